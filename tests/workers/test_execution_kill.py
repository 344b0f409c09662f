"""KILL and PAUSE in the execution process alone: what closes, what latches, what outlives a restart."""

from __future__ import annotations

import numpy as np
import pytest

from config.latch_file import clear_latch, read_latch, write_latch
from core.enums import Cause, Gate, GlobalRegime, OrderRole, ReportKind
from core.orders.wire import SYNC_RESTART, Message
from core.records import GLOBAL
from shm.topology import Plant
from tests.workers.execution_rig import done, enter, fill, made_rigs

make = pytest.fixture(made_rigs, name="make")


class TestKill:
    def test_sequence_latches_closes_and_verifies(self, make):
        rig = make()
        first, second = rig.turn(enter(0, 1), enter(1, 2))
        rig.turn(fill(first.order_id, first.qty_lots, seq=3))
        rig.control.request_kill("admin")
        reports = rig.turn()
        assert [(r.kind, r.symbol, r.seq) for r in reports] == [
            (ReportKind.CANCEL, 1, 0), (ReportKind.CLOSE, 0, 0)]
        assert (reports[1].role, reports[1].reason) == (OrderRole.KILL, Cause.KILL)
        assert read_latch(rig.paths.kill_file)["source"] == "admin"
        assert rig.turn(enter(2, 4))[0].reason == Gate.KILLED
        assert rig.account()["risk_off"] in (0, Gate.KILLED)
        assert rig.turn(ms=1100) != []  # told again while something is open
        rig.turn(done(second.order_id, 1, 5, second.qty_lots))
        assert rig.control.get("flat") == 0
        rig.turn(fill(first.order_id, first.qty_lots, seq=6, side=-1, role=OrderRole.KILL))
        rig.turn()
        assert rig.control.get("flat") == 0
        rig.turn(ms=60)
        assert rig.control.get("flat") == 1
        rig.turn(ms=200)
        texts = rig.log_texts()
        for part in ("KILL latched by admin", "KILL cancel and close: 2", "KILL flat, first look", "KILL verified flat"):
            assert part in texts
        assert rig.account()["risk_off"] == Gate.KILLED

    def test_stays_killed_over_a_restart_until_a_person_clears_it(self, make):
        rig = make()
        rig.control.request_kill("cli")
        rig.turn()
        assert rig.paths.kill_file.exists()
        for name in ("kill_cli", "kill_ns"):  # a new run: shared memory is fresh, the file is not
            rig.control.set(name, 0)
        rig.restart()
        assert rig.control.get("kill_exec") == 1
        rig.take()
        rig.push(Message(symbol=-1, reason=SYNC_RESTART))
        assert rig.turn(enter())[0].reason == Gate.KILLED
        rig.control.clear_kill()
        rig.turn()
        assert not rig.paths.kill_file.exists()
        assert rig.turn(enter(0, 2), ms=600)[0].kind == ReportKind.ACCEPTED
        rig.turn(ms=600)
        assert rig.control.get("kill_exec") == 0

    def test_a_file_written_by_somebody_else_kills_within_a_second(self, make):
        rig = make()
        rig.paths.kill_file.parent.mkdir(parents=True, exist_ok=True)
        rig.paths.kill_file.write_text("{}")
        rig.turn(ms=1000)
        assert rig.control.get("kill_exec") == 1
        assert rig.turn(enter())[0].reason == Gate.KILLED

    def test_a_file_is_as_quick_as_a_word(self, make):
        rig = make()
        rig.paths.kill_file.parent.mkdir(parents=True, exist_ok=True)
        rig.paths.kill_file.touch()
        assert rig.turn(enter(), ms=20)[0].reason == Gate.KILLED

    def test_the_system_kills_itself_and_says_why(self, make):
        """Daily loss: the threshold of safety.toml, the reason in the latch file, the position closed."""
        rig = make()
        (accepted,) = rig.turn(enter())
        rig.turn(fill(accepted.order_id, accepted.qty_lots))
        account = rig.execution.broker.account
        rig.execution.broker.ledger.day_start_equity_e8 = account.equity_e8 * 2
        told = rig.turn(ms=300)
        told += rig.turn()
        latch = read_latch(rig.paths.kill_file)
        assert latch is not None and latch["source"] == "exec" and "percent (50, limit 5)" in latch["reason"]
        assert [report.kind for report in told] == [ReportKind.CLOSE] and told[0].role == OrderRole.KILL
        assert any("KILL trigger daily_loss" in text for text in rig.log_texts())

    @pytest.mark.parametrize(("hours", "is_killed_again"), [(1, True), (26, False)])
    def test_a_daily_loss_is_over_when_its_day_is(self, make, hours, is_killed_again):
        """Killed, nobody tells execution anything: its day never ended, and every clearing was followed by the next kill."""
        rig = make()
        (accepted,) = rig.turn(enter())
        rig.turn(fill(accepted.order_id, accepted.qty_lots))
        ledger = rig.execution.broker.ledger
        ledger.day_start_equity_e8 = rig.execution.broker.account.equity_e8 * 2
        ledger.hours[0] = (ledger.hours[0][0], ledger.day_start_equity_e8)
        rig.turn(ms=300)
        rig.turn(fill(accepted.order_id, accepted.qty_lots, side=-1, role=OrderRole.KILL))
        assert read_latch(rig.paths.kill_file) is not None
        rig.turn(ms=hours * 3_600_000)
        clear_latch(rig.paths.kill_file)
        rig.control.clear_kill()
        for _ in range(5):
            rig.turn(ms=300)
        assert (read_latch(rig.paths.kill_file) is not None) == is_killed_again

    def test_panic_kills_only_with_something_open(self, make):
        rig = make()
        verdict = np.zeros(1, GLOBAL.dtype)
        gateway = Plant.join(rig.tmp_path / "run.json", "gateway").global_regime()
        verdict["regime"] = int(GlobalRegime.GLOBAL_PANIC)
        gateway.write(0, verdict)
        for _ in range(3):
            rig.turn(ms=9_000)
        assert not rig.execution.kill.killed
        verdict["regime"] = int(GlobalRegime.GLOBAL_NORMAL)
        gateway.write(0, verdict)
        rig.turn(ms=300)
        (accepted,) = rig.turn(enter(0, 50))
        rig.turn(fill(accepted.order_id, accepted.qty_lots))
        verdict["regime"] = int(GlobalRegime.GLOBAL_PANIC)
        gateway.write(0, verdict)
        rig.turn(ms=300)
        rig.turn(ms=9_000)
        assert not rig.execution.kill.killed
        rig.turn(ms=2_000)
        rig.turn()
        assert rig.execution.kill.killed and "PANIC" in read_latch(rig.paths.kill_file)["reason"]

    def test_words_without_the_file_do_not_bring_it_back(self, make):
        """launch.py resume --clear-kill removes the file first, then the words."""
        rig = make()
        rig.control.request_kill("cli")
        rig.turn()
        rig.paths.kill_file.unlink()
        rig.turn(ms=600)
        assert not rig.paths.kill_file.exists()
        rig.control.clear_kill()
        rig.turn(ms=600)
        assert not rig.execution.kill.killed


def test_pause_refuses_entries_only(make):
    rig = make()
    rig.control.request_pause("admin", True)
    assert rig.turn(enter())[0].reason == Gate.PAUSED
    rig.control.request_pause("admin", False)
    assert rig.turn(enter(0, 2))[0].kind == ReportKind.ACCEPTED


def test_pause_survives_a_restart_of_everything(make):
    rig = make()
    write_latch(rig.paths.pause_file, "cli", "over night")
    rig.restart()  # shared memory of a new run knows nothing of it
    rig.push(Message(symbol=-1, reason=SYNC_RESTART))
    rig.take()
    assert rig.turn(enter())[0].reason == Gate.PAUSED
    clear_latch(rig.paths.pause_file)
    rig.turn(ms=20)
    assert rig.control.pause_sources() == []
    assert rig.turn(enter(0, 2))[0].kind == ReportKind.ACCEPTED


def test_an_unreadable_blacklist_pauses(make):
    """Nobody may guess which symbols were meant."""
    rig = make()
    rig.paths.blacklist_file.parent.mkdir(parents=True, exist_ok=True)
    rig.paths.blacklist_file.write_text("[")
    rig.restart()
    assert rig.control.pause_sources() == ["exec"]
    assert read_latch(rig.paths.pause_file)["reason"] == "blacklist file unreadable"
