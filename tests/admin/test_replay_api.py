"""A replay over REST: its controls reach the player, nothing else reaches anything, and nothing behind the cursor is told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from admin.server import AdminServer
from core.enums import CommandKind
from core.orders.command_words import Answer, Command, read_commands, write_answer
from core.records import COMMAND
from core.replay_row import REPLAY, ReplayAction, ReplayState
from shm.regions import COMMAND_SLOTS
from shm.run_spec import ReplaySource
from shm.topology import Plant
from tests.admin.conftest import Browser
from tests.admin.engine_part import EnginePart, make_plant
from tests.admin.test_web import PAGES, WRITES

RUN = "20261121T102027-4539"
T0 = 1_795_256_435_000
MS = 1_000_000


class PlayerPart:
    """Stands for the player: writes the row, answers commands."""

    def __init__(self, plant: Plant) -> None:
        self.plant = plant
        self.asked: list[Command] = []
        self.row: np.ndarray = np.zeros(1, REPLAY.dtype)
        self.tell(state=ReplayState.PAUSED, epoch=1, cursor_ns=T0 * MS, from_ns=T0 * MS, to_ns=(T0 + 60_000) * MS, speed_e3=1000)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def tell(self, **values: int) -> None:
        for name, value in values.items():
            self.row[0][name] = value
        self.plant.replay().write(0, self.row)

    def _serve(self) -> None:
        reader, writer = self.plant.commands().reader(), self.plant.answers().writer()
        rows: np.ndarray = np.zeros(COMMAND_SLOTS, COMMAND.dtype)
        while not self._stop.wait(0.001):
            for command in read_commands(rows, reader.pop(rows)):
                self.asked.append(command)
                writer.push(write_answer(Answer(command.id, kind=command.kind, ok=True)), 1)

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[EnginePart]:
    plant = make_plant(tmp_path, replay=ReplaySource(str(tmp_path / "old" / "sim" / "journal"), RUN, str(tmp_path / "old")))
    part = EnginePart(plant)
    part.tick()
    yield part
    part.stop()
    plant.destroy()


@pytest.fixture
def player(engine: EnginePart) -> Iterator[PlayerPart]:
    part = PlayerPart(engine.plant)
    yield part
    part.stop()


@pytest.mark.parametrize("path", sorted(set(WRITES) - {"/api/logout", "/api/ws-ticket", "/api/replay"}))
def test_nothing_can_be_done_to_a_replay(player: PlayerPart, admin: AdminServer, browser: Browser, path: str) -> None:
    answer = browser.post(path, WRITES[path])
    assert answer.status_code == 409 and answer.json["retCode"] == 90001
    assert RUN in answer.json["error"] and "replay" in answer.json["error"] and "/api/replay" in answer.json["retExtInfo"]["hint"]
    assert int(admin.plant.control.bits()) == 0 and player.asked == []
    assert not any((admin.paths.run_dir / name).exists() for name in ("KILL", "PAUSE"))


def test_every_control_reaches_the_player(player: PlayerPart, browser: Browser) -> None:
    asked: list[tuple[dict[str, Any], ReplayAction, int]] = [
        ({"action": "play"}, ReplayAction.PLAY, 0), ({"action": "pause"}, ReplayAction.PAUSE, 0),
        ({"action": "step"}, ReplayAction.STEP, 0), ({"action": "step", "ms": 100}, ReplayAction.STEP, 100 * MS),
        ({"action": "seek", "to": T0 + 1500}, ReplayAction.SEEK, (T0 + 1500) * MS),
        ({"action": "speed", "speed": 0.1}, ReplayAction.SPEED, 100),
        ({"action": "speed", "speed": "max"}, ReplayAction.SPEED, 0),
    ]
    for content, action, argument in asked:
        answer = browser.post("/api/replay", content)
        assert answer.status_code == 200, answer.text
        assert answer.json["result"]["replay"]["state"] == "PAUSED"
        last = player.asked[-1]
        assert (last.kind, last.value, last.price_ticks) == (CommandKind.REPLAY, action, argument)


@pytest.mark.parametrize("content", [
    {}, {"action": "kill"}, {"action": ["play"]}, {"action": "play", "to": 1}, {"action": "seek"},
    {"action": "seek", "to": "now"}, {"action": "seek", "to": -1}, {"action": "speed", "speed": 0},
    {"action": "speed", "speed": 1e9}, {"action": "step", "ms": True},
])
def test_what_makes_no_sense_is_refused_with_a_hint(player: PlayerPart, browser: Browser, content: dict[str, Any]) -> None:
    answer = browser.post("/api/replay", content)
    assert answer.status_code == 400 and '"seek"' in answer.json["retExtInfo"]["hint"] and player.asked == []


def test_a_player_that_is_gone_is_a_503(engine: EnginePart, browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("admin.commands.CommandClient.ask", _no_answer)
    answer = browser.post("/api/replay", {"action": "play"})
    assert answer.status_code == 503 and "player" in answer.json["error"]


def _no_answer(self: object, kind: CommandKind, **fields: object) -> None:
    from admin.commands import NoAnswer

    raise NoAnswer("execution did not answer")


def test_pages_say_replay_and_have_no_kill(player: PlayerPart, browser: Browser) -> None:
    for path in PAGES:
        page = browser.get(path).text
        assert 'id="start-go"' not in page, "nothing is started from a replay"
        assert 'data-mode="REPLAY"' in page and f"<title>REPLAY of {RUN} · " in page and 'id="replay-bar"' in page
        assert '<div class="actions" hidden>' in page
    status = browser.get("/api/replay/status").json["result"]
    assert status["run_id"] == RUN and status["replay"]["to_ts"] == T0 + 60_000


def test_ages_and_events_are_those_of_the_cursor(player: PlayerPart, admin: AdminServer, browser: Browser) -> None:
    views = admin.views
    player.tell(cursor_ns=(T0 + 5000) * MS)
    snapshot = views.refresh()
    assert (snapshot.wall_ns, snapshot.now_ms) == ((T0 + 5000) * MS, 5000)
    before = views.refresh() and views.events.newest
    assert len(browser.get("/api/events/recent").json["result"]["list"]) > 0
    player.tell(epoch=2, cursor_ns=T0 * MS)
    views.refresh()
    assert admin.plant.control.get("replay_seen") == 2 and views.events.newest == before
    assert browser.get("/api/events/recent").json["result"]["list"] == []
    assert len(views.timeline.points) <= 1


def test_a_running_system_is_no_replay(tmp_path: Path) -> None:
    plant = make_plant(tmp_path / "other")
    try:
        server = AdminServer(Plant.join(tmp_path / "other" / "data" / "run" / "run.json", "admin"), environ={})
        server.where.port, server.where.ws_port, server.where.cookie = 8787, 8788, "scalper_8787"
        browser = Browser(server)
        answer = browser.post("/api/replay", {"action": "play"})
        assert answer.status_code == 409 and "launch.py replay" in answer.json["retExtInfo"]["hint"]
        assert browser.get("/api/replay/status").json["result"] == {"replay": None}
        assert "replay-bar" not in browser.get("/").text
    finally:
        plant.destroy()
