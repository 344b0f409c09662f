"""From a signal to an order and out again: gates, plans, reports, exits, cancels."""

from __future__ import annotations

import numpy as np
import pytest

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
    NewsType,
    OrderRole,
    Regime,
    ReportKind,
    State,
)
from core.records import GLOBAL, NEWS
from tests.core.engine.rig import Rig, accept, close_report, closed, enter, in_position
from tests.core.engine.streams import symbol_record

MS = 1_000_000
S = 1_000_000_000


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
    least = 0.0011 * 1.25 * price + 10  # MinMoveForProfit: fees, buffer and spread
    assert target >= stop - 1 and target >= least
    second, third = (lean * (int(enter[f"target{k}_ticks"]) - price) for k in (2, 3))
    assert second >= 1.6 * (stop - 1) and third >= 2.4 * (stop - 1) and target < second < third
    assert [enter[f"target{k}_lots"] for k in ("", 2, 3)] == [4000, 3000, 2000]
    assert enter["score_e2"] >= 5600
    assert enter["qty_lots"] == 10_000  # the normal size
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
    target = int(message["target3_ticks"])
    rig.stream.trades(5, [(target + 50, 100_000, 1)])
    rig.go()
    assert [(f["rung"], f["qty_lots"]) for f in rig.sent(MessageKind.FILL) if f["role"] == OrderRole.TAKE_PROFIT] == [
        (1, 40), (2, 30), (3, 20)]
    closed(rig, OrderRole.TAKE_PROFIT)  # as if the last report said so
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
    rig.stream.now_ns += 19 * S
    rig.stream.timer()
    rig.go()
    assert not rig.sent(MessageKind.EXIT), "managed by the rules of the regime for blocked_hold_s"
    rig.stream.now_ns += S
    rig.stream.timer()
    rig.go()
    close_report(rig, Cause.REGIME_BLOCKED)
    assert rig.states()[-3:] == [
        (State.BLOCKED_REGIME, State.BLOCKED_REGIME, Cause.REGIME_BLOCKED),
        (State.BLOCKED_REGIME, State.EXITED, Cause.EXIT_FILLED), (State.EXITED, State.COOLDOWN, Cause.COOLDOWN_START),
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


def news_row(kind: NewsType, impact: float, half_life_s: int = 10, ttl_s: int = 60) -> np.ndarray:
    row = np.zeros(1, NEWS.dtype)
    row["type"], row["impact_e2"] = int(kind), round(impact * 100)
    row["half_life_ns"], row["ttl_ns"] = half_life_s * S, ttl_s * S
    row["text"][0, :6] = list(b"bridge")
    return row


def test_news_turns_the_regime_and_decays() -> None:
    rig = Rig()
    rig.warm()
    rig.stream.event(EventKind.NEWS, 5, payload=news_row(NewsType.HACK, 80.0))
    rig.go()
    assert rig.trade["regime"] == Regime.NEWS_DRIVEN and rig.trade["gate"] == Gate.REGIME
    assert rig.state.moves.row[0].news_type == NewsType.HACK
    line = next(row for row in rig.rows if row["kind"] == LogKind.NEWS)
    assert (line["a"], line["b"], line["x"], line["y"]) == (NewsType.HACK, 1, 80.0, 10.0)
    assert bytes(line["text"]).rstrip(b"\0") == b"bridge"
    rig.stream.event(EventKind.NEWS, 5, payload=news_row(NewsType.OTHER, 10.0))
    for second in range(1, 21):
        rig.stream.now_ns += S
        rig.stream.timer()
        rig.go()
        assert rig.trade["regime"] == Regime.NEWS_DRIVEN, second
    rig.stream.now_ns += S
    rig.stream.timer()
    rig.go()
    assert rig.trade["regime"] == Regime.NORMAL, "under 20 after two half-lives"
    assert [row["b"] for row in rig.rows if row["kind"] == LogKind.NEWS] == [1, 0]
