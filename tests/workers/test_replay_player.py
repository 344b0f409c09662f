"""A recorded run played, paused, stepped and sought through: what is shown at a time is the same however it was reached."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from admin.commands import CommandClient
from admin.replay import ReplayView
from config.paths import DataPaths
from core.enums import CommandKind, ControlBits
from core.orders.command_words import Answer
from core.records import ACCOUNT_ROW, ORDER_ROW, POSITION_ROW, SYMBOL_ROW
from core.replay_row import ReplayAction
from shm.regions import MAX_SYMBOLS, ORDER_ROWS
from shm.run_spec import ReplaySource, RunSpec
from shm.topology import SLOT_ADMIN, Plant
from tests.workers.journal_rig import Rig
from tests.workers.tape_rig import record_tape
from workers import replay_player
from workers.replay import Replay
from workers.replay_player import Player
from workers.run_journal import find_run

SECONDS = 8.0


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a reload, a pause and a kill in it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fdatasync", lambda handle: None)
        rig = Rig(tmp_path_factory.mktemp("recorded"), 4, 2, seconds=SECONDS)
        rng = random.Random(4)
        try:
            rig.play({rng.randrange(20, len(rig.reads) - 20): what for what in (Rig.reload, Rig.pause, Rig.lose_connection)})
            rig.close()
        finally:
            rig.destroy()
    return rig.data_dir


@pytest.fixture(scope="module")
def recorded_tape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record_tape(tmp_path_factory.mktemp("tape"), 4, 2, SECONDS)


class Scene:
    """A player in a thread, and a person at the command ring."""

    def __init__(self, recorded: Path, folder: Path, every: int) -> None:
        journal = find_run(recorded)
        spec = RunSpec(run_id="replay-test", shards=1, data_dir=str(folder), market_cells=1024, raw_cells=1024, tap_cells=1024,
                       replay=ReplaySource(str(journal.folder), journal.run_id, str(recorded)))
        self.plant = Plant.private(spec, "shard")
        self.paths = DataPaths(folder, spec.mode)
        self.player = Player(self.plant, speed_e3=0, playing=False)
        self.player.checkpoints.every = every
        self.player.stop.install = lambda: None  # type: ignore[method-assign]  # only the main thread may
        self.view = ReplayView(self.plant, self.paths)
        self.client = CommandClient(self.plant, answer_s=120.0)
        self.thread = threading.Thread(target=self.player.main, daemon=True)
        self.thread.start()
        self.until(lambda s: s["from_ts"] > 0)

    def ask(self, action: ReplayAction, argument: int = 0) -> Answer:
        return self.client.ask(CommandKind.REPLAY, value=int(action), price_ticks=argument)

    def row(self) -> np.void:
        return self.plant.replay().read(0)[0]

    def until(self, true: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            if self.view.look():
                self.view.begun_anew()
            state = self.view.state()
            assert state is not None and state["state"] != "FAILED", "the player failed"
            if true(state):
                return state
            time.sleep(0.002)
        raise AssertionError(f"did not happen: {self.view.state()}")

    def go(self, to_ns: int) -> tuple[str, dict[str, bytes]]:
        """Seek and wait: digest and boards there."""
        assert self.ask(ReplayAction.SEEK, to_ns).ok
        self.until(lambda s: s["state"] in ("PAUSED", "ENDED") and int(self.row()["cursor_ns"]) >= to_ns)
        return self.picture()

    def picture(self) -> tuple[str, dict[str, bytes]]:
        beat = int(self.row()["written_ns"])
        self.until(lambda s: int(self.row()["written_ns"]) > beat)  # boards are younger than the question
        boards = {}
        for name, dtype, rows in (("symbol_rows", SYMBOL_ROW.dtype, MAX_SYMBOLS), ("positions", POSITION_ROW.dtype, MAX_SYMBOLS),
                                  ("orders", ORDER_ROW.dtype, ORDER_ROWS), ("account", ACCOUNT_ROW.dtype, 1)):
            found: np.ndarray = np.zeros(rows, dtype)
            getattr(self.plant, name)().read_all(found)
            boards[name] = found.tobytes()
        return f"{int(self.row()['digest']):016x}", boards

    def close(self) -> None:
        self.plant.control.request_stop()
        self.thread.join(240)
        assert not self.thread.is_alive()


@pytest.fixture(params=[400, 10**9], ids=["checkpoints", "from the beginning"])
def scene(
    recorded: Path, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Scene]:
    """With a checkpoint every 400 events, or with the first one alone."""
    monkeypatch.setattr(replay_player, "RESET_S", 120.0)  # the page of this test looks, sooner or later
    one = Scene(recorded, tmp_path, request.param)
    yield one
    one.close()


def test_play_and_seek_lead_to_the_same_state(scene: Scene) -> None:
    row = scene.row()
    first, last = int(row["from_ns"]), int(row["to_ns"])
    times = [first + (last - first) * k // 10 for k in (2, 5, 8)]
    forward = [scene.go(at) for at in times]
    assert len({digest for digest, _ in forward}) == 3 and any(forward[-1][1]["symbol_rows"])
    assert [scene.go(at) for at in (times[1], times[0], times[2])] == [forward[1], forward[0], forward[2]]
    scene.go(first)
    assert scene.ask(ReplayAction.SPEED, 1000).ok and scene.ask(ReplayAction.PLAY).ok
    scene.until(lambda s: s["ts"] * 1e6 > first + 10**9)
    assert scene.ask(ReplayAction.PAUSE).ok
    state = scene.until(lambda s: s["state"] == "PAUSED")
    played, cursor = scene.picture(), int(scene.row()["cursor_ns"])
    assert first + 10**9 <= cursor < last and state["differences"] == 0
    assert scene.go(first + 1)[0] != played[0]
    assert scene.go(cursor) == played
    assert scene.go(last) and scene.go(times[1]) == forward[1]
    kept = scene.player.checkpoints.kept
    assert len(kept) > 3 if scene.player.checkpoints.every == 400 else len(kept) == 1


@pytest.mark.parametrize("kind", ["journal", "tape"])
def test_any_time_is_the_same_from_a_checkpoint_and_from_the_beginning(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Also one where the way there never stopped: what had been granted there is not granted again."""
    monkeypatch.setattr("workers.replay.BATCH_FRAMES", 100)
    folder = request.getfixturevalue("recorded" if kind == "journal" else "recorded_tape")
    pictures = []
    for every in (10**9, 400):
        scene = Scene(folder, tmp_path / str(every), every)
        try:
            first, last = int(scene.row()["from_ns"]), int(scene.row()["to_ns"])
            rng = random.Random(7)
            times = sorted(rng.randrange(first + (last - first) // 5, last) for _ in range(8))
            if every == 400:
                assert scene.ask(ReplayAction.PLAY).ok
                scene.until(lambda s: s["state"] == "ENDED")
                times.reverse()
            found = {at: (scene.go(at), int(scene.row()["cursor_ns"])) for at in times}
            assert len(scene.player.checkpoints.kept) > 3 if every == 400 else len({one[0][0] for one in found.values()}) == 8
            pictures.append(found)
        finally:
            scene.close()
    assert pictures[0] == pictures[1] and all(cursor == at for at, (_, cursor) in pictures[0].items())


def test_nothing_behind_the_cursor_is_shown_and_steps_go_on(scene: Scene) -> None:
    row = scene.row()
    first, last = int(row["from_ns"]), int(row["to_ns"])
    at = (first + last) // 2
    scene.go(at)
    logs = scene.plant.log_readers(SLOT_ADMIN, from_start=True)

    def newest() -> int:
        found: np.ndarray = np.zeros(MAX_SYMBOLS, SYMBOL_ROW.dtype)
        scene.plant.symbol_rows().read_all(found)
        times = [int(found["ts_recv_ns"].max())]
        for reader in logs.values():
            while len(records := reader.read()):
                times.append(int(records["ts_ns"].max()))
        return max(times)

    assert at - 10**9 < newest() <= at
    assert scene.ask(ReplayAction.STEP, 250_000_000).ok
    scene.until(lambda s: s["state"] == "PAUSED" and int(scene.row()["cursor_ns"]) == at + 250_000_000)
    scene.picture()
    assert at < newest() <= at + 250_000_000
    frames = int(scene.row()["frames"])
    assert scene.ask(ReplayAction.STEP).ok
    scene.until(lambda s: s["state"] == "PAUSED" and s["frames"] > frames)


def test_going_back_tells_the_pages_again_what_they_had_been_told(scene: Scene) -> None:
    row = scene.row()
    first, last = int(row["from_ns"]), int(row["to_ns"])
    at = (first + 3 * last) // 4
    readers = scene.plant.log_readers(SLOT_ADMIN, from_start=True)

    def drained() -> dict[Any, list[bytes]]:
        found: dict[Any, list[bytes]] = {}
        for name, reader in readers.items():
            lines = found.setdefault(name, [])
            while len(records := reader.read()):
                lines += [record.tobytes() for record in records]
        return found

    scene.go(at)
    forward = drained()
    scene.go(last)
    drained()
    scene.go(at)
    assert drained() == forward and sum(len(lines) for lines in forward.values()) > 20


def test_the_end_is_the_recorded_run_and_playing_on_begins_anew(scene: Scene, recorded: Path) -> None:
    assert scene.ask(ReplayAction.PLAY).ok
    state = scene.until(lambda s: s["state"] == "ENDED")
    outcome = Replay(find_run(recorded)).run()
    assert outcome.identical and state["verdict"] == "identical"
    assert scene.picture()[0] == outcome.digest == outcome.recorded_digest
    assert state["checks"] == outcome.checks and state["frames"] == outcome.frames
    description = msgspec.json.decode((scene.paths.run_dir / "replay.json").read_bytes())
    assert description["run_id"] == outcome.run_id and description["marks"]
    assert scene.ask(ReplayAction.PAUSE).ok and scene.ask(ReplayAction.PLAY).ok
    scene.until(lambda s: s["epoch"] == 2 and s["state"] == "ENDED")
    assert scene.picture()[0] == outcome.digest


def test_a_trade_is_refused_and_control_words_show_what_was(scene: Scene) -> None:
    answer = scene.client.ask(CommandKind.CLOSE, symbol=0)
    assert not answer.ok and "replay" in answer.text
    assert not scene.ask(ReplayAction.SPEED, 5_000_000).ok
    seen = set()
    row = scene.row()
    first, last = int(row["from_ns"]), int(row["to_ns"])
    for k in range(1, 40):
        scene.go(first + (last - first) * k // 40)
        seen.add(ControlBits.PAUSE in scene.plant.control.bits())
    assert seen == {True, False}
