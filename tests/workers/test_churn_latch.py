"""Latches of the churn throttle: in the ledger, in files, over restarts, and away when a person removes the file."""

from __future__ import annotations

from types import SimpleNamespace

from core.risk.ledger import RiskLedger
from workers.churn_latch import ChurnLatch

INSTRUMENTS = {3: SimpleNamespace(name="DOGEUSDT"), 4: SimpleNamespace(name="XRPUSDT")}


def test_from_latch_to_file_and_back(tmp_path):
    ledger, errors = RiskLedger(1), []
    latch = ChurnLatch(tmp_path / "churn", ledger, errors.append)
    assert latch.turn(INSTRUMENTS) == []
    ledger.latch(3, 5)
    assert latch.turn(INSTRUMENTS) == ["DOGEUSDT"]
    assert [path.name for path in (tmp_path / "churn").iterdir()] == ["DOGEUSDT"]
    assert latch.turn(INSTRUMENTS) == [] and list(ledger.latched) == [3]
    (tmp_path / "churn" / "DOGEUSDT").unlink()
    assert latch.turn(INSTRUMENTS) == ["DOGEUSDT"]
    assert not ledger.latched and not latch.stands and not errors
    assert latch.turn(INSTRUMENTS) == []


def test_a_file_of_an_earlier_run_latches_again(tmp_path):
    (tmp_path / "XRPUSDT").write_text("{}")
    (tmp_path / "NOTLISTED").write_text("{}")
    ledger = RiskLedger(1)
    latch = ChurnLatch(tmp_path, ledger, lambda error: None)
    assert latch.turn(INSTRUMENTS) == ["XRPUSDT"]
    assert list(ledger.latched) == [4]


def test_a_latch_without_a_disk_holds_and_is_written_later(tmp_path):
    blocked = tmp_path / "churn"
    blocked.write_text("a file where the folder should be")
    ledger, errors = RiskLedger(1), []
    latch = ChurnLatch(blocked, ledger, errors.append)
    ledger.latch(3, 5)
    assert latch.turn(INSTRUMENTS) == []
    assert errors and list(ledger.latched) == [3]
    blocked.unlink()
    assert latch.turn(INSTRUMENTS) == ["DOGEUSDT"]
