"""`launch.py replay --page` with real processes and a real browser: play, pause, step, seek by mouse and keyboard."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from config.paths import DataPaths
from tests.system.plant_runner import ROOT, environment, eventually, last_json, launch, leftovers
from tests.system.test_replay import eager

pytest.importorskip("selenium")

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.browser.stand_in import NEEDS_BROWSER, browser_of, complaints, requested, texts

pytestmark = [pytest.mark.system, pytest.mark.browser, NEEDS_BROWSER]
SECONDS = 15


class ReplayRun:
    """launch.py replay --page, its page in a browser."""

    def __init__(self, data_dir: Path, profile: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "launch.py"), "replay", str(data_dir), "--page", "--paused", "--data-dir", str(data_dir)],
            env=environment(), cwd=ROOT, stderr=subprocess.PIPE, text=True,
        )
        try:
            self._open(DataPaths(data_dir / "replay", "SIM").run_dir, profile)
        except BaseException:
            self.process.kill()
            raise

    def _open(self, run_dir: Path, profile: Path) -> None:
        self.address: dict[str, Any] = eventually(lambda: _read(run_dir / "admin.json"), "the page is up", 400)
        self.run_id = str(_read(run_dir / "run.json")["run_id"])
        self.url = str(self.address["url"])
        self.driver = browser_of(profile)
        self.driver.get(f"{self.url}login#{self.address['login_token']}")
        eventually(lambda: texts(self.driver, "#view-state") == ["STREAMING"], "logged in")
        eventually(lambda: self.state()["from_ts"], "the player has begun")

    def state(self) -> dict[str, Any]:
        return self.driver.execute_async_script(
            "const done = arguments[0]; fetch('/api/replay/status').then(r => r.json()).then(a => done(a.result.replay))")

    def wait(self, what: str, **wanted: Any) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            state = self.state()
            assert state["state"] != "FAILED"
            return state if all(state[key] == value for key, value in wanted.items()) else None

        return eventually(look, what, 120)

    def boards_written(self) -> None:
        """The boards are younger than the question (ten times a second, also while it is paused)."""
        for _ in range(2):  # a change of state is told without them
            beat = self.state()["beat"]
            eventually(lambda seen=beat: self.state()["beat"] > seen, "boards are written")

    def click(self, name: str) -> None:
        self.driver.find_element(By.ID, name).click()

    def keys(self, *keys: str) -> None:
        ActionChains(self.driver).send_keys(*keys).perform()

    def rows(self) -> list[str]:
        """What the pages tell of all symbols and the account, by REST."""
        return self.driver.execute_async_script(
            "const done = arguments[0]; Promise.all(['/api/hotlist', '/api/positions', '/api/orders/recent', '/api/summary']"
            ".map(p => fetch(p).then(r => r.json()).then(a => JSON.stringify(p === '/api/summary' ? a.result.account : a.result,"
            " (k, v) => k === 'age_ms' ? 0 : v)))).then(done)")

    def end(self) -> int:
        self.driver.quit()
        self.process.terminate()
        self.process.communicate(timeout=240)
        return self.process.returncode


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return {}


@pytest.fixture(scope="module")
def replay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplayRun]:
    folder = tmp_path_factory.mktemp("replayed")
    config = folder / "eager.toml"
    config.write_text(eager("SIM", 25.0))
    done = launch("--shards", "2", "--symbols", "6", "--duration", str(SECONDS), "--data-dir", str(folder / "data"), "--no-admin",
                  "--json", "-c", str(config), timeout_s=400)
    assert last_json(done)["exit_code"] == 0, done.stderr[-2000:]
    run = ReplayRun(folder / "data", folder / "chromium")
    yield run
    assert run.end() == 0
    assert leftovers(run.run_id) == []


def test_it_is_marked_and_offers_no_trading(replay: ReplayRun) -> None:
    driver = replay.driver
    assert driver.title.startswith("REPLAY") and texts(driver, "#mode") == ["REPLAY"]
    for path in ("", "trades", "orders", "history", "symbol/BTCUSDT"):
        driver.get(replay.url + path)
        eventually(lambda: texts(driver, "#view-state") == ["STREAMING"], "it streams")
        assert driver.title.startswith("REPLAY")
        assert driver.find_element(By.ID, "replay-bar").is_displayed()
        assert not driver.find_element(By.ID, "kill").is_displayed() and not driver.find_element(By.ID, "pause").is_displayed()
    refused = driver.execute_async_script(
        "const done = arguments[0]; const csrf = document.querySelector('meta[name=csrf]').content;"
        "const headers = {'X-CSRF-Token': csrf, 'Content-Type': 'application/json'};"
        "fetch('/api/admin/kill', {method: 'POST', body: '{}', headers})"
        ".then(r => r.json()).then(done)")
    assert refused["retCode"] == 90001 and "replay" in refused["error"]
    driver.get(replay.url)
    eventually(lambda: texts(driver, "#view-state") == ["STREAMING"], "it streams")


def test_play_pause_step_and_seek_give_the_same_pages(replay: ReplayRun) -> None:
    start = replay.wait("it waits at the start", state="PAUSED")
    span = start["to_ts"] - start["from_ts"]
    assert span > SECONDS * 500
    replay.keys(Keys.SPACE)
    eventually(lambda: replay.state()["ts"] > start["from_ts"] + span / 4, "it plays")
    replay.keys(Keys.SPACE)
    paused = replay.wait("it is paused", state="PAUSED")
    eventually(lambda: texts(replay.driver, "#replay-state") == ["paused"], "the page says so")
    replay.boards_written()
    assert replay.state()["digest"] == paused["digest"] and replay.state()["ts"] == paused["ts"]
    told = replay.rows()
    replay.keys(".")
    stepped = replay.wait("it has stepped", state="PAUSED")
    eventually(lambda: replay.state()["ts"] >= paused["ts"] + 99, "100 ms on")
    assert stepped["epoch"] == 1
    replay.click("replay-start")
    replay.wait("it is at the start again", state="PAUSED", epoch=2)
    eventually(lambda: replay.state()["ts"] <= start["from_ts"] + 1, "the start")
    assert replay.rows() != told
    replay.driver.execute_script("document.getElementById('replay-speed').value = '0'; "
                                 "document.getElementById('replay-speed').dispatchEvent(new Event('change'))")
    replay.wait("at full speed", speed=0.0)
    replay.keys(Keys.SPACE)
    end = replay.wait("it is at the end", state="ENDED")
    assert end["verdict"] == "identical" and end["differences"] == 0
    eventually(lambda: "identical" in texts(replay.driver, "#replay-proof")[0], "and says so")


def test_seeking_back_to_a_time_shows_what_was_shown_there(replay: ReplayRun) -> None:
    state = replay.state()
    middle = int((state["from_ts"] + state["to_ts"]) / 2)
    told = []
    for to in (middle, state["to_ts"] - 1000, middle):
        _seek(replay, to)
        eventually(lambda at=to: abs(replay.state()["ts"] - at) < 2 and replay.state()["state"] == "PAUSED", "there", 120)
        replay.boards_written()
        told.append((replay.state()["digest"], replay.rows()))
    (digest, rows), (_, others), (digest_again, rows_again) = told
    assert digest == digest_again and rows != others
    for first, again in zip(rows, rows_again, strict=True):
        assert json.loads(first) == json.loads(again)
    events = texts(replay.driver, "#events-list .event time")
    assert events == sorted(events, reverse=True)


def _seek(replay: ReplayRun, to_ms: float) -> None:
    """By the track: what a mouse does there."""
    replay.driver.execute_script(
        "const t = document.getElementById('replay-at'); t.value = String(arguments[0]); t.dispatchEvent(new Event('input'));"
        "t.dispatchEvent(new Event('change'))",
        1000 * (to_ms - replay.state()["from_ts"]) / (replay.state()["to_ts"] - replay.state()["from_ts"]))


def test_nothing_is_asked_of_anybody_else_and_nothing_fails(replay: ReplayRun) -> None:
    own = (replay.url, f"ws://127.0.0.1:{replay.address['ws_port']}/", "data:", "about:", "chrome:")
    assert all(url.startswith(own) for url in requested(replay.driver))
    assert [text for text in complaints(replay.driver) if "409" not in text] == []


def test_only_a_person_with_a_session_may_steer(replay: ReplayRun) -> None:
    request = urllib.request.Request(f"{replay.url}api/replay", b'{"action": "play"}', {"Content-Type": "application/json"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    refused.value.close()
    assert refused.value.code in (401, 403)
