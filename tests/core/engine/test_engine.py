"""run_batch: what every kind of event does, the invariances, reports, quarantine, listings, orders from end to end."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from core.engine import engine, state
from core.engine.engine import (
    MIN_ROWS,
    NO_ROOM,
    NOT_BLOCKED,
    P_BLOCKED,
    P_BROKEN,
    P_DECISIONS,
    P_END,
    P_EVENTS,
    P_LAST_SEQ,
    P_LOGS,
    P_OUT,
    P_OUTSTANDING,
    P_REPORTS_USED,
    P_RESYNC,
    P_UNKNOWN,
    P_WATERMARK,
    P_WORDS,
    WAITING,
    run_batch,
)
from core.enums import (
    Category,
    Cause,
    ControlBits,
    DataReason,
    DataState,
    EventKind,
    FeedState,
    Gate,
    GlobalRegime,
    LogKind,
    MessageKind,
    OrderRole,
    Regime,
    ReportKind,
    State,
)
from core.records import GLOBAL, LOG, MESSAGE, REPORT, TICKER
from tests.core.engine.plant import Plant, event_starts
from tests.core.engine.streams import Market, Stream, symbol_record

MS = 1_000_000
S = 1_000_000_000


class Rig:
    """One free-running engine fed event by event from a Stream."""

    def __init__(self, paced: bool = False, **params: Any) -> None:
        self.stream = Stream()
        self.state = state.new_state(8, 64, paced)
        self.out = np.zeros(MIN_ROWS, MESSAGE.dtype)
        self.logs = np.zeros(MIN_ROWS, LOG.dtype)
        self.reports = np.zeros(64, REPORT.dtype)
        self.n_reports = 0
        self.progress = np.zeros(P_WORDS, np.int64)
        self.messages: list[np.void] = []
        self.rows: list[np.void] = []
        self.done = 0
        self.stream.config(**({"warmup_ns": 0} | params))
        self.stream.feed()
        self.stream.listing(symbol_record(5, "AAAUSDT", Category.PRIME))
        self.go()

    @property
    def trade(self) -> Any:
        return self.state.trade[0]

    def go(self) -> int:
        """Step what the stream holds beyond what was stepped; returns P_BLOCKED."""
        cells = np.concatenate(self.stream.parts[self.done :])
        starts = event_starts(cells)
        at = 0
        while True:
            at = run_batch(
                self.state, cells, at, len(cells), self.reports, self.n_reports, self.out, self.logs, self.progress
            )
            used = int(self.progress[P_REPORTS_USED])
            self.reports[: self.n_reports - used] = self.reports[used : self.n_reports].copy()
            self.n_reports -= used
            self.messages += [row.copy() for row in self.out[: self.progress[P_OUT]]]
            self.rows += [row.copy() for row in self.logs[: self.progress[P_LOGS]]]
            if self.progress[P_BLOCKED] != NO_ROOM:
                break
        self.done += int(np.searchsorted(starts, at))
        return int(self.progress[P_BLOCKED])

    def report(self, kind: ReportKind, seq: int, effect_ns: int, **fields: Any) -> None:
        self.reports[self.n_reports] = np.zeros((), REPORT.dtype)
        for name, value in ({"kind": int(kind), "seq": seq, "symbol": 5, "effect_ns": effect_ns} | fields).items():
            self.reports[self.n_reports][name] = value
        self.n_reports += 1

    def snapshot(self) -> None:
        bids = [(100_000 - 10 * k, 3000) for k in range(10)]
        asks = [(100_010 + 10 * k, 1000) for k in range(10)]
        self.stream.book(5, bids, asks, snapshot=True)

    def warm(self, lean: int = 1, seconds: int = 8) -> None:
        """A leaning book and a one-sided tape: the score of `lean` goes over arm."""
        heavy, light = 9000, 300
        bids = [(100_000 - 10 * k, heavy if lean > 0 else light) for k in range(10)]
        asks = [(100_010 + 10 * k, light if lean > 0 else heavy) for k in range(10)]
        self.stream.book(5, bids, asks, snapshot=True)
        for k in range(seconds * 10):
            self.stream.now_ns += 100 * MS
            self.stream.timer()
            price = 100_000 + 10 * (k % 2) + lean * 20 * (k % 3)
            self.stream.trades(5, [(price, 50, lean), (price, 40, lean)])
            self.stream.book(5, [(100_000, (heavy if lean > 0 else light) + k % 5)], [])

    def states(self) -> list[tuple[State, State, Cause]]:
        return [
            (State(int(r["a"])), State(int(r["b"])), Cause(int(r["c"]))) for r in self.rows if r["kind"] == LogKind.STATE
        ]

    def sent(self, kind: MessageKind) -> list[np.void]:
        return [m for m in self.messages if m["kind"] == kind]


# --- invariances -----------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def market() -> Stream:
    stream = Market(6, 7, max_hold_ns=10 * S, cooldown_ns=5 * S, stop_min_bps=1.0, stop_max_bps=3.0, fee_buffer=-1.0,
                    target_r=1.0).run(60, 120)  # fmt: skip
    stream.end()
    return stream


def outcome(plant: Plant) -> tuple[Any, ...]:
    execution = plant.execution
    return plant.digest(), execution.orders, execution.fills, execution.closed, execution.rejects, execution.realised


@pytest.fixture(scope="module")
def reference_outcome(market: Stream) -> tuple[Any, ...]:
    result = outcome(Plant([market.cells()], 8).run(1_000_000))
    assert result[1] >= 5 and result[3] >= 3, f"the market is too quiet to prove anything: {result}"
    return result


@pytest.mark.parametrize(("shards", "batch", "seed"), [(1, 1, 0), (1, 13, 1), (2, 50, 2), (2, 3, 3), (4, 29, 4), (4, 500, 5)])
def test_neither_batches_nor_shards_nor_reruns_matter(
    market: Stream, reference_outcome: tuple[Any, ...], shards: int, batch: int, seed: int
) -> None:
    cells = [market.shard(k, shards) for k in range(shards)]
    assert outcome(Plant(cells, 8, seed=seed).run(batch)) == reference_outcome


def test_another_latency_is_another_run(market: Stream, reference_outcome: tuple[Any, ...]) -> None:
    assert outcome(Plant([market.cells()], 8, latency_ns=300 * MS).run())[0] != reference_outcome[0]


def test_a_sweep_cut_short_goes_on(market: Stream) -> None:
    """With the least room allowed, TIMER sweeps over many symbols are interrupted, and nothing changes."""
    stream = Market(150, 3, arm=(20.0, 20.0, 20.0), watch=(15.0, 15.0, 15.0)).run(12, 600)
    stream.event(EventKind.CONTROL, u=int(ControlBits.KILL))
    cells = stream.cells()
    results = []
    for rows in (MIN_ROWS, 4096):
        shard = Plant([cells], 150).shards[0]
        shard.state.control[state.C_PACED] = 0
        shard.out, shard.logs = np.zeros(rows, MESSAGE.dtype), np.zeros(rows, LOG.dtype)
        cut = 0
        messages = []
        while not shard.done:
            messages.append(shard.run(len(cells)))
            cut += int(shard.state.control[state.C_CURSOR] != 0)
        results.append((np.concatenate(messages).tobytes(), shard.state.trade["digest"].tobytes()))
        assert cut > 0 or rows > MIN_ROWS
    assert results[0] == results[1]


# --- events ----------------------------------------------------------------------------------------------------------
def test_snapshot_makes_ok_and_deltas_before_it_are_ignored() -> None:
    rig = Rig()
    rig.stream.book(5, [(1, 1)], [])
    rig.go()
    assert rig.trade["data_state"] == DataState.WARMUP and rig.trade["ignored_deltas"] == 1
    rig.snapshot()
    rig.go()
    assert rig.trade["data_state"] == DataState.OK and rig.state.book.count[0, 0] == 10
    assert rig.trade["gate"] == Gate.WARMUP  # no candles yet


def test_crossed_book_is_quarantined_after_its_time_and_a_snapshot_heals() -> None:
    rig = Rig()
    rig.snapshot()
    rig.stream.book(5, [(100_020, 5)], [])
    rig.go()
    assert rig.trade["data_state"] == DataState.OK and rig.trade["crossed_ns"] != 0
    rig.stream.now_ns += 199 * MS
    rig.stream.timer()
    rig.go()
    assert rig.trade["data_state"] == DataState.OK
    rig.stream.now_ns += MS
    rig.stream.timer()
    rig.go()
    assert (rig.trade["data_state"], rig.trade["data_reason"]) == (DataState.BROKEN, DataReason.CROSSED)
    assert rig.state.resync_wish[0] == 1 and rig.progress[P_RESYNC] == 1 and rig.progress[P_BROKEN] == 1
    assert [r["a"] for r in rig.rows if r["kind"] == LogKind.DATA_STATE] == [DataState.BROKEN]
    assert np.isnan(rig.state.features.row[0]["mid"]) and rig.trade["gate"] == Gate.DATA
    rig.stream.book(5, [(100_020, 0)], [])
    rig.go()
    assert rig.trade["data_state"] == DataState.BROKEN and rig.trade["ignored_deltas"] == 1
    rig.snapshot()
    rig.go()
    assert rig.trade["data_state"] == DataState.OK and rig.trade["crossed_ns"] == 0


def test_a_short_cross_is_forgiven() -> None:
    rig = Rig()
    rig.snapshot()
    rig.stream.book(5, [(100_020, 5)], [])
    rig.stream.now_ns += 100 * MS
    rig.stream.book(5, [(100_020, 0)], [])
    rig.stream.now_ns += 500 * MS
    rig.stream.timer()
    rig.go()
    assert rig.trade["data_state"] == DataState.OK and rig.trade["crossed_ns"] == 0


@pytest.mark.parametrize("reason", [DataReason.GAP, DataReason.DISCONNECTED])
def test_symbol_data(reason: DataReason) -> None:
    rig = Rig()
    rig.snapshot()
    rig.stream.event(EventKind.SYMBOL_DATA, 5, u=int(DataState.BROKEN), xseq=int(reason))
    rig.stream.event(EventKind.SYMBOL_DATA, 5, u=int(DataState.OK), xseq=int(DataReason.NONE))
    rig.go()
    assert (rig.trade["data_state"], rig.trade["data_reason"]) == (DataState.BROKEN, reason)
    rig.snapshot()
    rig.stream.event(EventKind.SYMBOL_DATA, 5, u=int(DataState.STALE), xseq=int(DataReason.SILENT))
    rig.go()
    assert rig.trade["data_state"] == DataState.STALE and rig.trade["gate"] == Gate.DATA
    rig.stream.book(5, [(99_999, 7)], [])
    rig.go()
    assert rig.trade["data_state"] == DataState.OK


def test_shed_breaks_the_book_without_a_wish() -> None:
    rig = Rig()
    rig.snapshot()
    rig.stream.event(EventKind.SHED, 5, u=3)
    rig.go()
    assert (rig.trade["data_state"], rig.trade["data_reason"]) == (DataState.BROKEN, DataReason.SHED)
    assert rig.state.resync_wish[0] == 0 and rig.progress[P_BROKEN] == 1


def test_lapped_reader_breaks_everything() -> None:
    rig = Rig()
    rig.stream.listing(symbol_record(7, "BBBUSDT"))
    rig.snapshot()
    rig.go()
    assert state.mark_all_broken(rig.state, int(DataReason.LAPPED), 1, 2, 1) == 2
    assert list(rig.state.trade["data_state"][:2]) == [DataState.BROKEN] * 2
    assert list(rig.state.resync_wish[:2]) == [1, 1] and np.isnan(rig.state.features.row[0]["mid"])


def test_unknown_events_are_counted_and_change_nothing() -> None:
    rig = Rig()
    rig.snapshot()
    rig.go()
    before = rig.state.trade.tobytes()
    rig.stream.event(EventKind.BOOK_DELTA, 4000)
    rig.stream.event(EventKind.TRADES, 99_999)
    for kind in (0, 12, 99):
        rig.stream.event(kind, 5)  # type: ignore[arg-type]
    rig.go()
    assert rig.progress[P_UNKNOWN] == 5 and rig.progress[P_EVENTS] == 5
    assert rig.state.trade.tobytes() == before


def test_ticker_liquidation_kline_bbo() -> None:
    rig = Rig()
    ticker = np.zeros(1, TICKER.dtype)
    ticker["mask"] = 1 << 1 | 1 << 6 | 1 << 11
    ticker["last_ticks"], ticker["mark_e10"], ticker["funding_rate_e10"] = 100_005, 7, -3
    rig.stream.event(EventKind.TICKER, 5, ticker)
    rig.stream.event(EventKind.KLINE, 5, np.zeros(8, np.int64))
    rig.stream.event(EventKind.BBO, 5, np.zeros(4, np.int64), n_bids=1, n_asks=1)
    rig.stream.trades(5, [(1, 1, 1)])
    rig.go()
    assert (rig.trade["mark_e10"], rig.trade["funding_rate_e10"]) == (7, -3)
    assert rig.trade["last_ticks"] == 1 and rig.trade["events"] == 4
    rig.stream.event(EventKind.LIQUIDATION, 5, np.zeros(4, np.int64), n_bids=1)
    rig.go()
    assert rig.trade["liquidation_ns"] == rig.stream.now_ns


def test_listing_update_and_relisting() -> None:
    rig = Rig()
    rig.snapshot()
    rig.go()
    rig.stream.listing(symbol_record(5, "AAAUSDT", Category.WILD, max_leverage_e2=100))
    rig.go()
    assert rig.trade["category"] == Category.WILD and rig.trade["data_state"] == DataState.OK
    rig.stream.listing(symbol_record(5, "AAAUSDT", Category.WILD, tick_mant=5))
    rig.go()
    assert rig.trade["data_state"] == DataState.WARMUP and rig.state.resync_wish[0] == 1
    rig.snapshot()
    rig.stream.event(EventKind.DELISTING, 5)
    rig.stream.timer()
    rig.go()
    assert rig.trade["active"] == 0
    rig.snapshot()
    rig.go()
    assert rig.progress[P_UNKNOWN] == 1
    rig.stream.listing(symbol_record(5, "AAAUSDT", Category.WILD, tick_mant=5))
    rig.go()
    assert rig.trade["active"] == 1 and rig.state.control[state.C_N_SLOTS] == 1
    assert rig.trade["data_state"] == DataState.WARMUP


def test_more_symbols_than_slots_are_refused_and_counted() -> None:
    rig = Rig()
    for k in range(10):
        rig.stream.listing(symbol_record(20 + k, f"N{k}USDT"))
    rig.stream.listing(symbol_record(5000, "FARUSDT"))
    rig.go()
    assert rig.state.control[state.C_N_SLOTS] == 8 and rig.state.control[state.C_REFUSED_LISTINGS] == 4


def test_progress_and_end() -> None:
    rig = Rig()
    rig.snapshot()
    last = rig.stream.end()
    rig.go()
    assert rig.progress[P_END] == last == rig.progress[P_LAST_SEQ] == rig.progress[P_WATERMARK]
    assert rig.trade["book_digest"] != 0 and rig.progress[P_BLOCKED] == NOT_BLOCKED


def test_buffers_are_checked() -> None:
    rig = Rig()
    with pytest.raises(ValueError, match="at least 256 rows"):
        run_batch(rig.state, np.zeros((1, 8), np.int64), 0, 0, rig.reports, 0, rig.out[:3], rig.logs, rig.progress)
    with pytest.raises(ValueError, match="cells"):
        run_batch(rig.state, np.zeros((1, 8)), 0, 0, rig.reports, 0, rig.out, rig.logs, rig.progress)


# --- decisions -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("lean", [1, -1])
def test_a_signal_becomes_an_entry_with_a_sane_plan(lean: int) -> None:
    rig = Rig()
    rig.warm(lean)
    rig.go()
    watching, armed = (State.WATCHING_LONG, State.ARMED_LONG) if lean > 0 else (State.WATCHING_SHORT, State.ARMED_SHORT)
    assert rig.states()[-3:] == [
        (State.FLAT, watching, Cause.SCORE_OVER_WATCH), (watching, armed, Cause.ARMED),
        (armed, State.ORDER_PLACED, Cause.ORDER_SENT),
    ]
    (enter,) = rig.sent(MessageKind.ENTER)
    assert enter["side"] == lean and enter["symbol"] == 5 and enter["decision_id"] == enter["seq"]
    price = 100_000 if lean > 0 else 100_010
    assert enter["price_ticks"] == price and enter["zone_min_ticks"] < price < enter["zone_max_ticks"]
    stop, target = lean * (price - int(enter["stop_ticks"])), lean * (int(enter["target_ticks"]) - price)
    assert 150 <= stop <= 800  # 15 .. 80 bps
    assert target >= 1.6 * stop - 1 and target >= 0.0011 * 1.25 * price
    assert enter["score_e2"] >= 6800
    signal = [r for r in rig.rows if r["kind"] == LogKind.SIGNAL][-1]
    assert (signal["a"], signal["b"]) == (lean, price)


@pytest.mark.parametrize(
    ("how", "gate"),
    [
        ("feed", Gate.FEED), ("pause", Gate.PAUSED), ("kill", Gate.KILLED), ("degraded", Gate.DEGRADED),
        ("global", Gate.GLOBAL_REGIME), ("blacklist", Gate.BLACKLIST), ("spread", Gate.SPREAD), ("listing", Gate.REGIME),
    ],
)  # fmt: skip
def test_gates_keep_entries_back(how: str, gate: Gate) -> None:
    rig = Rig(**({"max_spread_bps": (0.5, 0.5, 0.5)} if how == "spread" else {}))
    bits = {"pause": ControlBits.PAUSE, "kill": ControlBits.KILL, "degraded": ControlBits.DEGRADED}
    if how == "feed":
        rig.stream.feed(FeedState.RECONNECTING)
    elif how in bits:
        rig.stream.event(EventKind.CONTROL, u=int(bits[how]))
    elif how == "global":
        row = np.zeros(1, GLOBAL.dtype)
        row["regime"] = GlobalRegime.GLOBAL_RISK_OFF
        rig.stream.event(EventKind.GLOBAL, payload=row)
    elif how == "blacklist":
        rig.stream.listing(symbol_record(5, "AAAUSDT", Category.PRIME, flags=2))
    elif how == "listing":
        rig.stream.listing(symbol_record(5, "AAAUSDT", Category.PRIME, flags=1, listed_ns=rig.stream.now_ns))
    rig.warm()
    rig.go()
    assert not rig.sent(MessageKind.ENTER)
    assert rig.trade["gate"] == gate, Gate(int(rig.trade["gate"])).name


def enter(rig: Rig) -> np.void:
    rig.warm()
    rig.go()
    (message,) = rig.sent(MessageKind.ENTER)
    return message


def accept(rig: Rig, message: np.void, lots: int = 100, order_id: int = 77) -> None:
    rig.report(
        ReportKind.ACCEPTED, int(message["seq"]), int(message["ts_event_ns"]) + 20 * MS, order_id=order_id,
        decision_id=message["decision_id"], side=message["side"], price_ticks=message["price_ticks"], qty_lots=lots,
        stop_ticks=message["stop_ticks"], target_ticks=message["target_ticks"], flags=3,
        deadline_ns=int(message["ts_event_ns"]) + 300 * MS,
    )


def in_position(rig: Rig) -> np.void:
    """Entry sent, accepted, turned taker at its deadline, filled and reported."""
    message = enter(rig)
    accept(rig, message)
    rig.stream.now_ns += 400 * MS
    rig.stream.timer()
    rig.stream.now_ns += 400 * MS
    rig.stream.timer()
    rig.go()
    fill = rig.sent(MessageKind.FILL)[-1]
    assert fill["role"] == OrderRole.ENTRY and fill["leaves_lots"] == 0
    lots = sum(int(f["qty_lots"]) for f in rig.sent(MessageKind.FILL))
    for f in rig.sent(MessageKind.FILL):
        rig.report(
            ReportKind.POSITION, int(f["seq"]), int(f["ts_event_ns"]) + 20 * MS, qty_lots=lots,
            decision_id=f["decision_id"], order_id=77, role=OrderRole.ENTRY, stop_ticks=message["stop_ticks"],
            target_ticks=message["target_ticks"], entry_value_e8=lots * 10**8,
        )
    rig.stream.now_ns += 100 * MS
    rig.stream.timer()
    rig.go()
    assert rig.trade["state"] == State.MANAGING and rig.trade["position_lots"] == lots and rig.trade["pending"] == 0
    return message


def closed(rig: Rig, role: OrderRole) -> None:
    """Answer the fills of the exit."""
    for f in [m for m in rig.sent(MessageKind.FILL) if m["role"] != OrderRole.ENTRY]:
        rig.report(
            ReportKind.POSITION, int(f["seq"]), int(f["ts_event_ns"]) + 20 * MS, qty_lots=0, role=role,
            decision_id=f["decision_id"],
        )
    rig.stream.now_ns += 100 * MS
    rig.stream.timer()
    rig.go()


def test_rejection_rests() -> None:
    rig = Rig()
    message = enter(rig)
    rig.report(ReportKind.REJECTED, int(message["seq"]), int(message["ts_event_ns"]) + 20 * MS, reason=Gate.BALANCE,
               decision_id=message["decision_id"])  # fmt: skip
    rig.stream.now_ns += 100 * MS
    rig.stream.timer()
    rig.go()
    assert rig.states()[-1] == (State.ORDER_PLACED, State.COOLDOWN, Cause.ORDER_REJECTED)
    assert rig.trade["gate"] == Gate.COOLDOWN
    rig.stream.now_ns += 31 * S
    rig.stream.timer()
    rig.go()
    assert rig.states()[-1] == (State.COOLDOWN, State.FLAT, Cause.COOLDOWN_END)


def test_target_closes_the_trade() -> None:
    rig = Rig()
    message = in_position(rig)
    target = int(message["target_ticks"])
    rig.stream.trades(5, [(target + 50, 100_000, 1)])
    rig.go()
    closed(rig, OrderRole.TAKE_PROFIT)
    assert (State.MANAGING, State.EXITED, Cause.TAKE_PROFIT) in rig.states()
    assert rig.states()[-1] == (State.EXITED, State.COOLDOWN, Cause.COOLDOWN_START)
    assert rig.trade["position_lots"] == 0


def test_stop_closes_the_trade() -> None:
    rig = Rig()
    message = in_position(rig)
    stop = int(message["stop_ticks"])
    rig.stream.book(5, [(stop - 10, 100_000)] + [(100_000 - 10 * k, 0) for k in range(10)], [(stop, 10)])
    rig.stream.trades(5, [(stop, 10, -1)])
    rig.go()
    assert rig.sent(MessageKind.FILL)[-1]["role"] == OrderRole.STOP
    closed(rig, OrderRole.STOP)
    assert (State.MANAGING, State.EXITED, Cause.STOP) in rig.states()


def close_report(rig: Rig, cause: Cause) -> None:
    message = rig.sent(MessageKind.EXIT)[-1]
    assert message["reason"] == cause
    rig.report(ReportKind.CLOSE, int(message["seq"]), int(message["ts_event_ns"]) + 20 * MS, role=OrderRole.EXIT,
               reason=int(cause))  # fmt: skip
    rig.stream.now_ns += 100 * MS
    rig.stream.timer()
    rig.go()
    assert rig.sent(MessageKind.FILL)[-1]["role"] == OrderRole.EXIT
    closed(rig, OrderRole.EXIT)


def test_time_stop() -> None:
    rig = Rig(max_hold_ns=3 * S)
    in_position(rig)
    rig.stream.now_ns += 4 * S
    rig.stream.timer()
    rig.go()
    assert rig.states()[-1] == (State.MANAGING, State.MANAGING, Cause.TIME_STOP)
    rig.stream.timer()
    rig.go()
    assert len(rig.sent(MessageKind.EXIT)) == 1  # asked once while the answer is out
    close_report(rig, Cause.TIME_STOP)
    assert rig.states()[-2:] == [
        (State.MANAGING, State.EXITED, Cause.EXIT_FILLED), (State.EXITED, State.COOLDOWN, Cause.COOLDOWN_START),
    ]


def test_kill_exits_at_once() -> None:
    rig = Rig()
    in_position(rig)
    rig.stream.event(EventKind.CONTROL, u=int(ControlBits.KILL))
    rig.go()
    assert rig.states()[-1] == (State.MANAGING, State.MANAGING, Cause.KILL)
    close_report(rig, Cause.KILL)
    assert rig.trade["position_lots"] == 0


def test_bad_regime_manages_the_position_out() -> None:
    rig = Rig(explosion_bps=25.0)
    in_position(rig)
    for k in range(12):  # wild candles around the old price, inside stop and target
        rig.stream.trades(5, [(100_050 + 40 * (-1) ** k, 1, 1), (100_050 - 40 * (-1) ** k, 1, -1)])
        rig.stream.now_ns += S
        rig.stream.timer()
    rig.go()
    assert rig.trade["regime"] == Regime.NORMAL
    rig.state.params[0]["explosion_bps"] = 1.0
    rig.stream.now_ns += 100 * MS
    rig.stream.timer()
    rig.go()
    assert rig.trade["regime"] == Regime.PUMP
    assert rig.states()[-1] == (State.MANAGING, State.BLOCKED_REGIME, Cause.REGIME_BLOCKED)
    close_report(rig, Cause.REGIME_BLOCKED)
    assert rig.states()[-3:] == [
        (State.BLOCKED_REGIME, State.EXITED, Cause.EXIT_FILLED), (State.EXITED, State.COOLDOWN, Cause.COOLDOWN_START),
        (State.COOLDOWN, State.BLOCKED_REGIME, Cause.REGIME_BLOCKED),
    ]


def test_an_unanswered_exit_is_asked_again() -> None:
    rig = Rig(max_hold_ns=3 * S)
    in_position(rig)
    rig.stream.now_ns += 4 * S
    rig.stream.timer()
    rig.go()
    first = rig.sent(MessageKind.EXIT)[-1]
    rig.report(ReportKind.CANCEL, int(first["seq"]), int(first["ts_event_ns"]))  # answered, but nothing came of it
    rig.stream.now_ns += 6 * S
    rig.stream.timer()
    rig.go()
    assert len(rig.sent(MessageKind.EXIT)) == 2


def test_delisting_exits_first_and_leaves_then() -> None:
    rig = Rig()
    in_position(rig)
    rig.stream.event(EventKind.DELISTING, 5)
    rig.go()
    assert rig.states()[-1] == (State.MANAGING, State.MANAGING, Cause.DELISTED)
    assert rig.trade["active"] == 1
    close_report(rig, Cause.DELISTED)
    rig.stream.timer()
    rig.go()
    assert rig.trade["active"] == 0 and rig.trade["state"] == State.FLAT


def test_cancel_when_the_book_breaks_and_the_signal_lives_on() -> None:
    rig = Rig()
    message = enter(rig)
    accept(rig, message)
    rig.stream.now_ns += 50 * MS
    rig.stream.timer()
    rig.stream.event(EventKind.SYMBOL_DATA, 5, u=int(DataState.BROKEN), xseq=int(DataReason.GAP))
    rig.go()
    assert rig.states()[-1] == (State.ORDER_PLACED, State.ORDER_PLACED, Cause.DATA_BROKEN)
    (cancel,) = rig.sent(MessageKind.CANCEL)
    assert cancel["order_id"] == 77
    rig.report(ReportKind.CANCEL, int(cancel["seq"]), int(cancel["ts_event_ns"]) + 20 * MS, reason=Cause.DATA_BROKEN)
    rig.stream.now_ns += 100 * MS
    rig.stream.timer()
    rig.go()
    done = rig.sent(MessageKind.DONE)[-1]
    rig.report(ReportKind.DONE, int(done["seq"]), int(done["ts_event_ns"]) + 20 * MS, decision_id=done["decision_id"])
    rig.stream.now_ns += 100 * MS
    rig.stream.timer()
    rig.go()
    assert (State.ORDER_PLACED, State.WATCHING_LONG, Cause.ORDER_DONE) in rig.states()
    assert rig.states()[-1] == (State.WATCHING_LONG, State.FLAT, Cause.DATA_BROKEN)


def test_an_echo_of_an_older_order_ends_nothing() -> None:
    rig = Rig()
    message = enter(rig)
    rig.report(ReportKind.DONE, 0, 1, decision_id=int(message["decision_id"]) - 1)
    rig.stream.timer()
    rig.go()
    assert rig.trade["state"] == State.ORDER_PLACED and rig.trade["working"] == 1


def test_unsolicited_position_is_adopted() -> None:
    rig = Rig()
    rig.snapshot()
    rig.report(ReportKind.POSITION, 0, 0, qty_lots=-40, stop_ticks=100_300, target_ticks=99_000)
    rig.stream.now_ns += 100 * MS
    rig.stream.timer()
    rig.go()
    assert rig.states()[:1] == [(State.FLAT, State.IN_POSITION, Cause.FILLED)]
    assert rig.trade["side"] == -1 and rig.trade["position_lots"] == -40
    marks = rig.sent(MessageKind.MARK)
    assert len(marks) == 1 and marks[0]["price_ticks"] == 200_010 and marks[0]["stop_ticks"] == 100_300


def test_marks_come_once_a_second() -> None:
    rig = Rig()
    rig.snapshot()
    rig.report(ReportKind.POSITION, 0, 0, qty_lots=40, stop_ticks=90_000, target_ticks=110_000)
    for _ in range(35):
        rig.stream.now_ns += 100 * MS
        rig.stream.timer()
    rig.go()
    assert len(rig.sent(MessageKind.MARK)) == 4


# --- pacing ----------------------------------------------------------------------------------------------------------
def test_paced_engine_waits_for_its_answer() -> None:
    rig = Rig(paced=True)
    rig.warm()
    assert rig.go() == WAITING
    message = rig.sent(MessageKind.ENTER)[-1]
    assert rig.progress[P_OUTSTANDING] == 1
    waits_at = rig.progress[P_WATERMARK] + 1
    starts = {int(p[0, 0]): int(p[0, 2]) for p in rig.stream.parts}
    assert starts[int(waits_at)] >= message["ts_event_ns"] + 20 * MS > starts[int(waits_at) - 1]
    assert rig.go() == WAITING  # nothing moves without it
    accept(rig, message)
    rig.reports[0]["effect_ns"] = 0  # too early on purpose: it holds from the due time all the same
    blocked = rig.go()
    assert rig.state.desk.row[0]["order_id"] == 77 or blocked == WAITING
    assert rig.trade["order_id"] == 77


def test_end_waits_for_every_answer() -> None:
    rig = Rig(paced=True, latency_ns=3600 * S)
    rig.warm()
    rig.stream.end()
    assert rig.go() == WAITING and rig.progress[P_END] == 0
    message = rig.sent(MessageKind.ENTER)[-1]
    rig.report(ReportKind.REJECTED, int(message["seq"]), 0, reason=Gate.BALANCE)
    assert rig.go() == NOT_BLOCKED and rig.progress[P_END] == rig.stream.seq
    assert rig.trade["state"] == State.ORDER_PLACED  # the answer would have held an hour later


def test_random_reports_never_break_the_engine() -> None:
    rng = random.Random(5)
    rig = Rig()
    for _ in range(30):
        rig.warm(rng.choice((1, -1)), 1)
        for _ in range(rng.randrange(4)):
            rig.report(
                ReportKind(rng.randrange(7)), rng.randrange(3), rig.stream.now_ns - rng.randrange(S),
                qty_lots=rng.choice((0, 0, 50, -50)), side=rng.choice((1, -1)), role=rng.randrange(6),
                price_ticks=100_000, stop_ticks=99_000, target_ticks=101_000, flags=rng.randrange(4),
                order_id=rng.randrange(5), symbol=rng.choice((5, 5, 5, 9, -1)),
            )  # fmt: skip
        rig.go()
        assert 0 <= rig.trade["state"] <= 10 and rig.trade["pending"] >= 0
        assert rig.progress[P_DECISIONS] >= 0
    assert engine.P_MONO < P_WORDS
