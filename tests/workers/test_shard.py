"""The shard process: laps, full rings, restarts of either side, boards, END."""

from __future__ import annotations

import numpy as np
import pytest

from core.enums import DataState, EventKind, MessageKind, ReportKind
from core.orders.wire import SYNC_HELLO, SYNC_RESTART, Report, read_messages, write_reports
from core.records import MESSAGE
from shm.topology import Plant
from tests.core.engine.streams import Market
from tests.workers.support import EAGER, System, make_plant, play, starts, symbols_in
from workers.shard import Shard, record_ages


@pytest.fixture
def make(tmp_path):
    made = []

    def build(**changes):
        system = System(tmp_path / str(len(made)), **changes)
        made.append(system)
        return system

    yield build
    for system in made:
        system.plant.destroy()


def market(seconds: float = 20.0, seed: int = 3, symbols: int = 4, end: bool = False):
    made = Market(symbols, seed, settings=EAGER)
    made.run(seconds, 100.0)
    if end:
        made.stream.end()
    return made.stream


def feed(system: System, stream, first: int = 0, count: int | None = None, shards: int = 1) -> int:
    """Publish events [first, first + count) of a stream to every shard, turning everybody as it goes."""
    cells = stream.shard(0, shards)
    at = [*starts(cells), len(cells)]
    stop = len(at) - 1 if count is None else min(first + count, len(at) - 1)
    for begin in range(first, stop, 20):
        end = min(begin + 20, stop)
        assert system.publish(0, cells[at[begin] : at[end]])
        system.published(int(cells[at[end - 1], 0]))
        system.settle()
    return stop


def test_free_run_trades_and_moves_its_watermark(make):
    system = make()
    stream = market()
    system.list_symbols(symbols_in(stream.cells()))
    feed(system, stream)
    assert system.shards[0].cnc.progress_seq == stream.seq
    system.execution._write_boards(0, force=True)
    account = system.account()
    assert account["orders"] > 0
    assert account["fills"] > 0
    counters = system.plant.counters("shard", 0)
    assert counters.get("events") == len(starts(stream.cells()))
    assert counters.get("intents") >= account["orders"]
    assert system.plant.counters("execution").get("messages") >= account["fills"]
    assert not system.shards[0].dialogue.unanswered


def test_boards_and_detail_are_written(make):
    system = make()
    stream = market(6.0)
    system.plant.control.want_detail(1, 2)
    system.list_symbols(symbols_in(stream.cells()))
    feed(system, stream)
    system.shards[0]._write_boards()
    row = system.plant.symbol_rows().read(2)[0]
    assert int(row["bid_ticks"]) < int(row["ask_ticks"])
    assert int(row["data_state"]) == DataState.OK
    detail = system.plant.detail().read(1)[0]
    assert (int(detail["symbol"]), int(detail["n_bids"])) == (2, 20)


def test_a_lapped_shard_breaks_its_books_and_asks_for_all(make):
    system = make(market_cells=1024)
    stream = market()
    at = feed(system, stream, 0, 200)
    cells = stream.shard(0, 1)
    places = [*starts(cells), len(cells)]
    lost_from = at
    while at < 1200:  # nobody reads
        system.publish(0, cells[places[at] : places[at + 20]])
        at += 20
    system.published(int(cells[places[at - 1], 0]))
    before = [system.plant.resync_count(s) for s in range(4)]
    system.settle()
    counters = system.plant.counters("shard", 0)
    assert counters.get("laps") == 1
    assert counters.get("lost_messages") == at - lost_from
    assert [system.plant.resync_count(s) for s in range(4)] == [n + 1 for n in before]
    states = system.shards[0].state.trade["data_state"][:4]
    assert (states == int(DataState.BROKEN)).all()
    assert counters.get("resync_wishes") == 4


def test_full_intent_ring_loses_nothing(tmp_path):
    """Execution stands still: the shard stops stepping instead of dropping, and goes on when there is room."""
    system = System(tmp_path, intent_slots=64)
    try:
        stream = market(40.0)
        shard = system.shards[0]
        system.settle()
        shard.dialogue._intents.push(np.zeros(64, MESSAGE.dtype), 62)
        cells = stream.shard(0, 1)
        at = [*starts(cells), len(cells)]
        for begin in range(0, len(at) - 1, 50):
            system.publish(0, cells[at[begin] : at[min(begin + 50, len(at) - 1)]])
        system.published(stream.seq)
        for _ in range(50):
            shard.do_work()
        assert shard.cnc.progress_seq < stream.seq
        assert system.plant.counters("shard", 0).get("push_refused") > 0
        system.settle()
        assert shard.cnc.progress_seq == stream.seq
    finally:
        system.destroy()


def test_reports_before_the_answer_to_hello_are_void(tmp_path):
    plant = make_plant(tmp_path)
    try:
        side = Plant.join(tmp_path / "run.json", "execution")
        writer = side.reports(0).writer()
        reader = side.intents(0).reader()
        stale = Report(seq=3, symbol=0, kind=int(ReportKind.ACCEPTED), qty_lots=5)
        writer.push(write_reports([stale]), 1)
        own = Plant.join(tmp_path / "run.json", "shard", 0)
        shard = Shard(own, 0, EAGER)
        shard.on_start()
        rows = np.zeros(64, MESSAGE.dtype)
        (hello,) = read_messages(rows, reader.pop(rows))
        assert (hello.kind, hello.reason) == (MessageKind.NONE, SYNC_HELLO)
        shard.do_work()
        # execution began after us: it may have thrown the HELLO away
        writer.push(write_reports([Report(reason=SYNC_RESTART)]), 1)
        shard.do_work()
        (again,) = read_messages(rows, reader.pop(rows))
        assert again.decision_id == hello.decision_id
        answer = Report(reason=SYNC_HELLO, decision_id=hello.decision_id)
        position = Report(symbol=0, kind=int(ReportKind.POSITION), qty_lots=4)
        writer.push(write_reports([stale, answer._replace(decision_id=1), answer, position, stale]), 5)
        shard.do_work()
        assert shard.dialogue.n_reports == 1
        assert int(shard.dialogue.reports[0]["qty_lots"]) == 4
    finally:
        plant.destroy()


def run_until_open(system: System, stream) -> int:
    """Feed events until a position is open; returns the next event's number."""
    at = 0
    cells = stream.shard(0, 1)
    while not system.execution.broker.account.positions:
        assert at < len(starts(cells)), "no position opened on this market"
        at = feed(system, stream, at, 20)
    return at


def test_killed_shard_comes_back_and_manages_its_position_out(make):
    system = make()
    stream = market(60.0, seed=5)
    system.list_symbols(symbols_in(stream.cells()))
    at = run_until_open(system, stream)
    (symbol,) = list(system.execution.broker.account.positions)[:1]
    lots = system.execution.broker.account.positions[symbol].lots
    before = [system.plant.resync_count(s) for s in range(4)]
    system.shards[0] = system.new_shard(0)
    assert system.shards[0].restarted
    system.settle()
    assert [system.plant.resync_count(s) for s in range(4)] == [n + 1 for n in before]
    assert not system.execution.broker.working
    at = feed(system, stream, at, 10)  # the reports take effect with the next events
    shard = system.shards[0]
    slot = int(shard.state.slot_of[symbol])
    assert int(shard.state.desk.row["pos_lots"][slot]) == lots
    assert int(shard.state.trade["position_lots"][slot]) == lots
    # fresh snapshots, as the gateway would send them, and the market goes on: the position must end
    for s in range(4):
        mid = 1_000_000 + 1000 * s
        stream.book(s, [(mid - 5 - 10 * k, 3000) for k in range(20)], [(mid + 5 + 10 * k, 3000) for k in range(20)],
                    snapshot=True)
        stream.now_ns += 1_000_000
    for _ in range(3400):
        stream.now_ns += 100_000_000
        stream.timer()
    cells = stream.shard(0, 1)
    feed(system, stream, len(starts(cells)) - 3404)
    assert symbol not in system.execution.broker.account.positions
    assert int(shard.state.desk.row["pos_lots"][slot]) == 0


def test_killed_execution_comes_back_and_nothing_is_lost_or_doubled(make):
    system = make()
    stream = market(60.0, seed=5)
    system.list_symbols(symbols_in(stream.cells()))
    at = run_until_open(system, stream)
    cells = stream.shard(0, 1)
    places = [*starts(cells), len(cells)]
    rng = np.random.default_rng(1)
    digest = system.execution.broker.account.digest
    restarts = 0
    while at < len(places) - 21:
        system.publish(0, cells[places[at] : places[at + 20]])
        at += 20
        system.published(int(cells[places[at - 1], 0]))
        for _ in range(int(rng.integers(0, 3))):
            system.shards[0].do_work()
        if rng.random() < 0.2:
            restarts += 1
            if rng.random() < 0.5:  # it had taken messages out of the ring and died before it wrote them down
                system.execution.intake.take(0)
            system.execution = system.new_execution()
        if rng.random() < 0.7:
            system.settle()
    system.settle()
    assert restarts > 10
    assert not system.shards[0].dialogue.unanswered
    account = system.execution.broker.account
    assert account.digest != digest
    state = system.shards[0].state
    for slot in range(4):
        symbol = int(state.symbols["id"][slot])
        held = account.positions[symbol].lots if symbol in account.positions else 0
        assert int(state.desk.row["pos_lots"][slot]) == held
        assert int(state.trade["position_lots"][slot]) == held


def test_restart_of_execution_does_not_change_the_account(tmp_path):
    """The same market with and without kills of execution between events ends in the same account."""
    ends = []
    for kill in (False, True):
        system = System(tmp_path / str(kill))
        try:
            stream = market(60.0, seed=5)
            system.list_symbols(symbols_in(stream.cells()))
            cells = stream.shard(0, 1)
            at = 0
            while at < len(starts(cells)):
                at = feed(system, stream, at, 200)
                if kill:
                    system.execution = system.new_execution()
                    system.settle()
            broker = system.execution.broker
            ends.append((broker.account.digest, broker.account.balance_e8, broker.orders, broker.account.fills))
        finally:
            system.plant.destroy()
    assert ends[0] == ends[1]
    assert ends[0][3] >= 3


def test_end_is_told_last_and_again_after_a_restart_of_execution(make):
    system = make(paced=True)
    stream = market(6.0, end=True)
    play(system, stream)
    assert system.plant.control.get("drained") == 1
    assert system.shards[0].cnc.progress_seq == stream.seq
    rows = system.plant.symbol_rows().read(0)[0]
    assert int(rows["book_digest"]) != 0
    system.plant.control.set("drained", 0)
    system.execution = system.new_execution()
    system.settle()
    assert system.plant.control.get("drained") == 1


def test_ages_of_messages():
    stream = market(1.0)
    cells = np.ascontiguousarray(stream.cells())
    page = np.zeros(10_000, np.int64)
    from core.histogram import hist_count, hist_max, new_histogram

    page = new_histogram()
    record_ages(page, cells, 0, len(cells), stream.seq * 1000 + 500)
    assert hist_count(page) == len(starts(cells))
    assert hist_max(page) >= (stream.seq - 1) * 1000
    assert int(cells[0, 6] >> 32 & 0xFF) == EventKind.CONFIG
