"""The rollout of a LIVE run: evidence and incidents move the tier while it runs, and the file proves it afterwards."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from config.incidents import read_incident
from config.paths import DataPaths
from config.rollout_file import read_rollout
from core.performance.promotion import LOCK_MS, LiveTrade, Rollout
from core.risk.tiers import Rank
from workers.cli import cli
from workers.rollout import RolloutKeeper, load_rollout, note_incident

NOW = 1_800_000_000_000


class Rig:
    def __init__(self, tmp_path: Path) -> None:
        self.paths = DataPaths(tmp_path, "LIVE")
        self.now = NOW
        self.errors: list[Exception] = []
        self.keeper = self.start()

    def start(self) -> RolloutKeeper:
        self.keeper = RolloutKeeper(self.paths, "https://x", "4711", self.errors.append, lambda: self.now)
        return self.keeper

    def turn(self, ms: int = 1000):
        self.now += ms
        return self.keeper.turn()

    def trades(self, n: int) -> None:
        for k in range(n):
            self.keeper.closed(LiveTrade("XUSDT", self.now + k * 7 * 3_600_000, self.now + k, 1, 5, 1, "MICRO", "GRIND",
                                         matched=1))


def test_evidence_lifts_and_a_daily_loss_lowers(tmp_path):
    rig = Rig(tmp_path)
    assert rig.keeper.allowed == Rank.MICRO
    rig.trades(20)
    assert rig.keeper.allowed == Rank.SMALL
    assert rig.turn() == []
    assert read_rollout(rig.paths.rollout_file, Rollout) == rig.keeper.state
    assert rig.start().allowed == Rank.SMALL
    assert rig.keeper.daily_loss()
    assert not rig.keeper.daily_loss()  # once a day
    assert rig.keeper.allowed == Rank.MICRO
    rig.turn()
    assert rig.start().allowed == Rank.MICRO
    rig.now += 86_400_000
    assert rig.keeper.daily_loss()
    assert not rig.errors


def test_a_serious_incident_locks_at_once_and_over_restarts(tmp_path):
    rig = Rig(tmp_path)
    rig.trades(20)
    rig.turn()
    note_incident(rig.paths, "technical", True, "what happened", now_ms=rig.now)
    at = rig.now
    (incident,) = rig.turn()
    assert (incident.text, incident.serious) == ("what happened", True)
    assert rig.keeper.allowed == Rank.PAPER
    assert rig.turn() == []
    rig.paths.rollout_file.unlink()  # the incident alone remembers
    assert load_rollout(rig.paths).locked_until_ms == at + LOCK_MS
    assert rig.start().allowed == Rank.PAPER
    rig.now = at + LOCK_MS
    assert rig.keeper.allowed == Rank.MICRO
    assert "what happened" in rig.paths.incidents_list.read_text()


def test_a_person_writes_down_what_it_was(tmp_path):
    """And it is no new incident for that: neither another tier lost nor a longer lock."""
    rig = Rig(tmp_path)
    first, newest = (note_incident(rig.paths, kind, True, "what happened", now_ms=rig.now + k) for k, kind in
                     enumerate(("market", "technical")))
    assert len(rig.turn()) == 2
    said = ["rollout", "resolve", "--cause", "a cable", "--fix", "changed it", "--data-dir", str(rig.paths.data_dir)]
    done = CliRunner().invoke(cli, said)
    assert done.exit_code == 0 and newest.name in done.output
    assert (read_incident(newest).cause, read_incident(first).cause) == ("a cable", "")
    assert CliRunner().invoke(cli, [*said, first.name]).exit_code == 0 and read_incident(first).fix == "changed it"
    locked = rig.keeper.state.locked_until_ms
    rig.now += 5000
    assert rig.turn() == [] and rig.keeper.state.locked_until_ms == locked
    wrong = CliRunner().invoke(cli, [*said, "nothing"])
    assert wrong.exit_code != 0 and "no incident 'nothing'" in wrong.output + str(wrong.exception)


def test_a_damaged_file_proves_nothing_and_is_kept(tmp_path):
    rig = Rig(tmp_path)
    rig.trades(20)
    rig.turn()
    rig.paths.rollout_file.write_text("{}")
    assert rig.start().allowed == Rank.PAPER
    assert len(rig.errors) == 1
    rig.trades(20)
    rig.turn()
    assert rig.paths.rollout_file.read_text() == "{}"


def test_looks_once_a_second_and_a_disk_that_refuses_is_told(tmp_path):
    rig = Rig(tmp_path)
    rig.turn()
    rig.trades(1)
    assert rig.turn(ms=10) == []
    assert len(load_rollout(rig.paths).trades) == 0
    rig.turn()
    assert len(load_rollout(rig.paths).trades) == 1
    rig.paths.rollout_file.unlink()
    rig.paths.rollout_file.mkdir()
    rig.trades(1)
    rig.turn()
    assert len(rig.errors) == 1
    rig.paths.rollout_file.rmdir()
    rig.turn()
    assert len(load_rollout(rig.paths).trades) == 2
