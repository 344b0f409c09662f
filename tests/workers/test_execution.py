"""The execution process alone: order of handling, durability, restarts, shards that come back or do not."""

from __future__ import annotations

import errno
import os
from types import SimpleNamespace

import numpy as np
import pytest

from config.paths import DataPaths
from core.enums import Gate, MessageKind, OrderRole, ReportKind
from core.orders.exposure import ExchangeFacts
from core.orders.router import LiveUnavailable
from core.orders.wire import SYNC_HELLO, SYNC_RESTART, Message
from core.risk.tiers import Rank
from shm.control import N_HEARTBEAT
from shm.topology import Plant
from tests.workers.execution_rig import S, enter, fill, made_rigs
from tests.workers.support import EAGER, make_plant
from workers import journal_files, kill_watch
from workers.execution import Execution
from workers.execution_recovery import Recovery
from workers.execution_rounds import SHARD_LOST_NS
from workers.live_evidence import LiveEvidence
from workers.rollout import RolloutKeeper

make = pytest.fixture(made_rigs, name="make")


def test_answers_boards_and_figures(make):
    rig = make()
    (accepted,) = rig.turn(enter())
    assert (accepted.kind, accepted.seq) == (ReportKind.ACCEPTED, 1)
    (position,) = rig.turn(fill(accepted.order_id, accepted.qty_lots), ms=200)
    assert (position.kind, position.qty_lots) == (ReportKind.POSITION, accepted.qty_lots)
    rig.turn(Message(seq=4, ts_event_ns=4 * S, symbol=0, kind=int(MessageKind.MARK), price_ticks=2_000_200), ms=200)
    row = rig.plant.positions().read(0)[0]
    assert (int(row["qty_lots"]), int(row["side"]), int(row["flags"])) == (accepted.qty_lots, 1, 1)
    assert int(row["unrealised_e8"]) > 0
    account = rig.account()
    assert (account["open_positions"], account["orders"], account["fills"], account["intents"]) == (1, 1, 1, 1)
    assert account["equity_e8"] == account["balance_e8"] + account["unrealised_e8"]
    assert rig.plant.counters("execution").get("orders_journalled") == 4  # its ledger row, the hour's roll, the order, the fill


@pytest.mark.parametrize("spec", [
    {}, {"venue": {"rest": "https://api.bybit.com", "ws_public": ""}, "venue_name": "mainnet"},
    {"venue": {"rest": "https://api.bybit.com", "ws_public": ""}, "tier_allowed": "MICRO"},
    {"venue": {"rest": "https://api.bybit.com", "ws_public": ""}, "account": "4711"},
])
def test_live_without_a_permit_is_not_even_made(tmp_path, spec):
    """The second look, after the one of the start: nobody starts the process by hand, or with an edited run file."""
    plant = make_plant(tmp_path, mode="LIVE", **spec)
    try:
        with pytest.raises(LiveUnavailable, match="not permitted"):
            Execution(Plant.join(tmp_path / "run.json", "execution"), EAGER)
    finally:
        plant.destroy()


class TestRollout:
    """LIVE on a real exchange: results become evidence, a daily loss costs a tier."""

    def make_live(self, rig, tmp_path):
        keeper = RolloutKeeper(DataPaths(tmp_path / "data", "LIVE"), "https://x", "4711", lambda error: None)
        counters = {"ext_position": 0}
        told = ExchangeFacts(True, 3, 1, 1, 1, 1, 1, 0)
        rig.execution.rollout = keeper
        rig.execution.evidence = LiveEvidence(
            SimpleNamespace(), keeper, tmp_path / "checks.jsonl", rig.execution.note, rig.execution.error)
        rig.execution.live = SimpleNamespace(desk=SimpleNamespace(counters=counters), facts=lambda symbol: told,
                                             know=lambda *_: None)
        return keeper, counters

    def test_a_trade_becomes_evidence(self, make, tmp_path):
        rig = make()
        keeper, counters = self.make_live(rig, tmp_path)
        rig.execution.instrument_of(0)
        order, _ = rig.execution.broker.handle(enter())
        rig.execution.tell(fill(order.order_id, order.qty_lots))
        counters["ext_position"] = 1
        rig.execution.tell(fill(order.order_id, order.qty_lots, seq=3, side=-1, role=OrderRole.STOP, price=990_000))
        (trade,) = keeper.state.trades
        assert (trade.symbol, trade.side, trade.ghost_positions, trade.move, trade.tier) == (
            "SYM0USDT", 1, 1, "GRIND", "NONE")
        assert trade.result_e8 < 0
        assert rig.execution.exchange(0).tier_allowed == Rank.MICRO  # the evidence, not what the start found

    def test_a_deposit_is_no_profit(self, make, tmp_path):
        rig = make()
        self.make_live(rig, tmp_path)
        desk, ledger = rig.execution.live.desk, rig.execution.broker.ledger
        desk.wallet = None
        rig.execution.rounds.see_wallet()
        for balance, moved in ((1000, 0), (1050, 50)):
            desk.wallet = SimpleNamespace(balance_e8=balance * 10**8, updated_ms=10_000)
            rig.execution.rounds.see_wallet()
            assert ledger.baselines(0, 5) == ((1000 + moved) * 10**8,) * 2
        rig.execution.instrument_of(0)
        order, _ = rig.execution.broker.handle(enter())
        rig.execution.tell(fill(order.order_id, order.qty_lots, seq=9))
        before = ledger.hours[0][1]
        desk.wallet = SimpleNamespace(balance_e8=1, updated_ms=90_000)
        rig.execution.rounds.see_wallet()  # a position is open: the wallet is on the move
        rig.execution.tell(fill(order.order_id, order.qty_lots, seq=9, side=-1, role=OrderRole.STOP))
        desk.wallet = SimpleNamespace(balance_e8=1, updated_ms=10_999)
        rig.execution.rounds.see_wallet()  # older than the fill
        assert ledger.hours[0][1] == before
        assert "cash moved beside our trades" in rig.log_texts()

    def losing(self, make, tmp_path, rank):
        """An account of that tier that has lost half of what its day began with, looked at once."""
        rig = make()
        keeper, _ = self.make_live(rig, tmp_path)
        keeper.state = keeper.state._replace(base_rank=int(rank))
        ledger = rig.execution.broker.ledger
        ledger.roll(S, ledger.day_start_equity_e8 * 2)
        rig.execution.rounds.keep_rollout()
        return rig, keeper

    def test_a_daily_loss_costs_a_tier(self, make, tmp_path):
        rig, keeper = self.losing(make, tmp_path, Rank.SMALL)
        assert keeper.allowed == Rank.MICRO
        assert "daily loss: tier now MICRO" in rig.log_texts()
        assert keeper._paths.rollout_file.exists()

    def test_a_daily_loss_of_a_quiet_account_costs_no_second_tier_days_later(self, make, tmp_path):
        rig, keeper = self.losing(make, tmp_path, Rank.NORMAL)
        cost = keeper.allowed
        keeper.state = keeper.state._replace(base_ms=0)  # another day by the clock of the wall
        rig.now += 26 * 3600 * S  # and nobody has told the account anything
        rig.execution.rounds.keep_rollout()
        assert keeper.allowed == cost


def test_dry_run_logs_and_refuses(make):
    rig = make(mode="DRY_RUN")
    (report,) = rig.turn(enter())
    assert (report.kind, report.reason) == (ReportKind.REJECTED, Gate.MODE)
    assert "DRY-RUN" in rig.log_texts()


def test_paced_handles_in_order_behind_the_watermarks(make):
    rig = make(shards=2, paced=True)
    rig.cncs[0].progress_seq = 20
    rig.cncs[1].progress_seq = 4
    rig.push(enter(1, 9), shard=1)
    rig.push(enter(0, 9), enter(2, 12), shard=0)
    assert rig.turn() == []  # shard 1 may still say something older
    rig.cncs[1].progress_seq = 11
    rig.execution.do_work()
    first, second = rig.take(0), rig.take(1)
    assert [(r.symbol, r.order_id) for r in first + second] == [(0, 1), (1, 2)]
    rig.cncs[1].progress_seq = 13
    assert [(r.symbol, r.order_id) for r in rig.turn()] == [(2, 3)]
    for shard in (0, 1):
        rig.push(Message(seq=14, symbol=-1, kind=int(MessageKind.END)), shard=shard)
        assert not rig.control.get("drained")
        rig.cncs[shard].progress_seq = 20
        rig.turn()
    assert rig.control.get("drained") == 1


def test_restart_keeps_the_account_and_recognises_repeats(make):
    rig = make()
    (accepted,) = rig.turn(enter())
    rig.turn(fill(accepted.order_id, 100, leaves=accepted.qty_lots - 100))
    before = rig.execution.broker
    rig.push(enter(1, 5))  # popped by nobody before the kill
    rig.restart()
    after = rig.execution.broker
    assert after.account.digest == before.account.digest
    assert after.account.positions == before.account.positions
    assert after.working[0].leaves_lots == accepted.qty_lots - 100
    assert [r.reason for r in rig.take()] == [SYNC_RESTART]
    assert rig.turn() == []  # what stands in the ring comes again behind the shard's answer
    again = fill(accepted.order_id, 100, leaves=accepted.qty_lots - 100)
    echo = Message(symbol=-1, reason=SYNC_RESTART)
    reports = rig.turn(echo, again, enter(1, 5))
    assert [(r.kind, r.symbol) for r in reports] == [(ReportKind.POSITION, 0), (ReportKind.ACCEPTED, 1)]
    assert reports[0].qty_lots == 100
    assert after.account.positions[0].lots == 100
    assert after.account.fills == 1
    assert rig.plant.counters("execution").get("duplicate_intents") == 1


def test_another_run_begins_with_a_fresh_account(make, tmp_path):
    rig = make()
    rig.turn(enter())
    path = rig.paths.execution_journal
    data = path.read_bytes()
    log = journal_files.DurableLog(tmp_path / "other.journal", 2, "another-run", 1)
    log.close()
    path.write_bytes((tmp_path / "other.journal").read_bytes())
    rig.restart()
    assert rig.execution.broker.orders == 0
    assert [p.name for p in path.parent.glob("execution-*.journal")]
    assert data != path.read_bytes()


def test_damaged_journal_pauses_entries(make):
    rig = make()
    for seq in range(1, 4):
        rig.turn(enter(seq, seq))
    path = rig.paths.execution_journal
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    rig.restart()
    assert rig.control.get("pause_exec") == 1
    assert rig.execution.broker.orders == 2
    assert "execution journal damaged: paused" in rig.log_texts()


def test_full_report_ring_loses_nothing(make):
    rig = make()
    messages = [Message(seq=k, symbol=k % 6, kind=int(MessageKind.CANCEL)) for k in range(1, 301)]
    for at in range(0, 300, 50):
        rig.push(*messages[at : at + 50])
        rig.now += 1_000_000
        rig.execution.do_work()
    got = []
    for _ in range(20):
        got += rig.turn()
    assert [r.seq for r in got] == list(range(1, 301))
    assert rig.plant.counters("execution").get("push_refused") > 0


def test_disk_trouble_refuses_entries_and_lets_exits_go_on(make, monkeypatch):
    rig = make()
    (accepted,) = rig.turn(enter())
    rig.turn(fill(accepted.order_id, accepted.qty_lots))
    real = os.write

    def full(handle, data):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(journal_files.os, "write", full)
    rig.turn(Message(seq=4, symbol=5, kind=int(MessageKind.CANCEL)))
    assert rig.turn(enter(1, 5))[0].reason == Gate.PAUSED
    assert rig.turn(Message(seq=6, symbol=0, kind=int(MessageKind.EXIT)))[0].kind == ReportKind.CLOSE
    monkeypatch.setattr(journal_files.os, "write", real)
    rig.turn()
    assert rig.turn(enter(1, 7))[0].kind == ReportKind.ACCEPTED
    rig.restart()
    assert rig.execution.broker.intents == 5
    assert rig.execution.broker.orders == 2


def test_old_intents_and_quarantined_books_are_refused(make):
    rig = make()
    late = enter()._replace(mono_sent_ns=rig.now - 3 * S)
    assert rig.turn(late)[0].reason == Gate.EXPIRED
    rows = np.zeros(1, rig.plant.symbol_rows().dtype)
    rows["data_state"] = 3
    rig.plant.symbol_rows().write(0, rows)
    assert rig.turn(enter(0, 2))[0].reason == Gate.DATA
    assert rig.turn(enter(1, 3))[0].kind == ReportKind.ACCEPTED


def test_a_shard_that_came_back_gets_its_positions(make):
    rig = make(shards=2)
    first, _ = rig.turn(enter(0, 1), enter(2, 2))
    rig.turn(fill(first.order_id, 70, seq=3, leaves=first.qty_lots - 70))
    rig.turn(enter(1, 4), shard=1)
    hello = Message(decision_id=77, symbol=-1, reason=SYNC_HELLO)
    reports = rig.turn(hello)
    assert (reports[0].kind, reports[0].reason, reports[0].decision_id) == (ReportKind.NONE, SYNC_HELLO, 77)
    assert [(r.kind, r.seq, r.symbol, r.qty_lots, r.order_id) for r in reports[1:]] == [
        (ReportKind.POSITION, 0, 0, 70, first.order_id)]
    assert reports[1].stop_ticks == 997_000
    assert set(rig.execution.broker.working) == {1}  # the other shard's entry stands
    rig.control.request_kill("admin")
    rig.turn()
    reports = rig.turn(hello)
    assert [r.kind for r in reports] == [ReportKind.NONE, ReportKind.POSITION, ReportKind.CLOSE]
    rig.restart()  # what execution booked itself is in its journal too
    assert set(rig.execution.broker.working) == {1}


@pytest.mark.parametrize("how", ["given_up", "silent"])
def test_positions_of_a_lost_shard_are_closed_at_the_last_mark(make, how):
    rig = make(shards=2)
    (accepted,) = rig.turn(enter())
    rig.turn(fill(accepted.order_id, accepted.qty_lots))
    rig.turn(Message(seq=3, ts_event_ns=3 * S, symbol=0, kind=int(MessageKind.MARK), price_ticks=1_998_000))
    if how == "given_up":
        rig.cncs[0].supervisor_set("given_up", 1)
    else:
        rig.cncs[0].words[N_HEARTBEAT] = rig.now
        rig.now += SHARD_LOST_NS
    reports = rig.turn(ms=300) + rig.turn()
    assert [(r.kind, r.seq, r.qty_lots) for r in reports] == [(ReportKind.POSITION, 0, 0)]
    assert rig.execution.broker.flat
    closed = rig.execution.broker.account.closed[0]
    assert closed.realised_e8 < 0
    assert any("closed at last mark" in text for text in rig.log_texts())
    assert rig.turn(ms=300) == []
    rig.restart()
    assert rig.execution.broker.flat


class TestDailyLoss:
    """S13: a restart one second before midnight, or one after, resets nothing; a day begins once."""

    LAST = 86_399 * S + 900_000_000

    @pytest.fixture(autouse=True)
    def no_kill_trigger(self, monkeypatch):
        """The gate alone is under test: a loss over the limit would also kill."""
        monkeypatch.setattr(kill_watch.PlantWatch, "look", lambda *_: None)

    def lose(self, rig):
        (accepted,) = rig.turn(enter(0, 86_390))
        rig.turn(fill(accepted.order_id, accepted.qty_lots, seq=86_391))
        price = 1_000_000 - 500_000
        rig.turn(fill(accepted.order_id, accepted.qty_lots, seq=86_392, side=-1, role=OrderRole.STOP, price=price))
        return accepted

    def test_over_midnight_and_a_restart(self, make):
        rig = make()
        self.lose(rig)
        assert rig.turn(enter(1, 86_399))[0].reason == Gate.DAILY_LOSS
        rig.restart()
        rig.take()
        rig.push(Message(symbol=-1, reason=SYNC_RESTART))
        assert rig.turn(enter(1, 86_399)._replace(ts_event_ns=self.LAST))[0].reason == Gate.DAILY_LOSS
        assert rig.turn(enter(2, 86_401))[0].reason == Gate.DAILY_LOSS  # the next day, 24 h not over
        ledger = rig.execution.broker.ledger
        rolls = list(ledger.hours)
        assert [hour for hour, _ in rolls] == [23, 24]
        assert (ledger.day, rig.execution.broker.account.day) == (1, 1)
        rig.restart()
        again = rig.execution.broker.ledger
        assert (list(again.hours), again.day, again.day_start_equity_e8) == (rolls, 1, ledger.day_start_equity_e8)
        rig.take()
        rig.push(Message(symbol=-1, reason=SYNC_RESTART))
        assert rig.turn(enter(3, 86_500))[0].reason == Gate.DAILY_LOSS
        assert list(again.hours) == rolls
        assert rig.turn(enter(3, 48 * 3600 + 1))[0].kind == ReportKind.ACCEPTED

    def test_the_baseline_is_the_one_that_was_seen_not_the_one_the_journal_gives(self, make):
        """Marks are not journalled: replayed messages alone would find another equity at the roll."""
        rig = make()
        (accepted,) = rig.turn(enter(0, 3_000))
        rig.turn(fill(accepted.order_id, accepted.qty_lots, seq=3_001))
        rig.turn(Message(seq=3_002, ts_event_ns=3_002 * S, kind=int(MessageKind.MARK), price_ticks=2 * 1_100_000))
        rig.turn(Message(seq=3_700, ts_event_ns=3_700 * S, kind=int(MessageKind.MARK), price_ticks=2 * 1_100_000))
        live = list(rig.execution.broker.ledger.hours)
        assert live[1][1] > live[0][1]
        rig.restart()
        assert list(rig.execution.broker.ledger.hours) == live

    def test_another_run_of_a_live_account_knows_the_losses_of_today(self, make):
        rig = make()
        self.lose(rig)
        hours = list(rig.execution.broker.ledger.hours)
        _, frames, _ = journal_files.DurableLog.load(rig.paths.execution_journal)
        known = Recovery(rig.execution)._ledger_of(frames)
        assert (list(known.hours), known.trades_day) == (hours, 1)
