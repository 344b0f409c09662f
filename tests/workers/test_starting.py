"""Before the plant exists: addresses, lock. And what the supervisor writes down of deaths."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.paths import DataPaths
from core.enums import LogKind, Severity
from shm.errors import get_text
from shm.topology import SLOT_RECORDER
from tests.workers.support import make_plant
from workers.processes import Child, CrashLoop
from workers.starting import StartError, take_lock, venue_address
from workers.supervisor import Supervisor


@pytest.mark.parametrize(
    ("name", "rest", "ws_public"),
    [
        ("mainnet", "https://api.bybit.com", "wss://stream.bybit.com/v5/public/linear"),
        ("demo", "https://api-demo.bybit.com", "wss://stream.bybit.com/v5/public/linear"),
        ("https://api.bybit.nl/", "https://api.bybit.nl", "wss://stream.bybit.nl/v5/public/linear"),
        ("https://api-testnet.bybit.com", "https://api-testnet.bybit.com", "wss://stream-testnet.bybit.com/v5/public/linear"),
        ("http://127.0.0.1:4000", "http://127.0.0.1:4000", "ws://127.0.0.1:4001/v5/public/linear"),
        ("http://10.0.0.1:1,ws://10.0.0.1:9/x", "http://10.0.0.1:1", "ws://10.0.0.1:9/x"),
    ],
)
def test_addresses(name: str, rest: str, ws_public: str) -> None:
    address = venue_address(name)
    assert address is not None and (address["rest"], address["ws_public"]) == (rest, ws_public)


def test_embedded_has_none_yet() -> None:
    assert venue_address("embedded") is None


@pytest.mark.parametrize("name", ["", "nowhere", "http://example.org", "ftp://api.bybit.com", "http://", "http://a,b"])
def test_others_are_refused_with_a_fix(name: str) -> None:
    with pytest.raises(ValueError, match="REST,WS"):
        venue_address(name)


def test_one_instance_per_folder(tmp_path: Path) -> None:
    paths = DataPaths(tmp_path, "SIM")
    lock = take_lock(paths)
    with pytest.raises(StartError, match="another instance") as caught:
        take_lock(paths)
    assert caught.value.code == 7
    lock.close()
    take_lock(paths).close()


def test_a_death_and_the_end_of_a_run_that_fails_are_log_lines(tmp_path: Path) -> None:
    """What the terminal alone knew is gone with it: the next morning no page and no report told why the run had ended."""
    plant = make_plant(tmp_path)
    supervisor = Supervisor.__new__(Supervisor)
    supervisor._plant, supervisor._log, supervisor.paced, supervisor.children = plant, plant.log_writer(), False, []
    try:
        child = Child("shard", 0, tmp_path / "log")
        with pytest.raises(CrashLoop):
            for _ in range(9):
                supervisor._note_death(child, -9)
        supervisor._error = "shard-0 died 5 times within 300 s (signal 9)"
        supervisor._log_failure()
        records = plant.log_readers(SLOT_RECORDER)["supervisor"].read()
    finally:
        plant.destroy()
    told = [(LogKind(int(r["kind"])), Severity(int(r["severity"])), get_text(r["text"])) for r in records]
    assert told[0] == (LogKind.ERROR, Severity.ERROR, "shard-0 died (signal 9)")
    assert told[-1] == (LogKind.ERROR, Severity.CRITICAL, "shard-0 died 5 times within 300 s (signa"[:40])
    assert len(told) == 6  # each of the five deaths, and the end
