"""What keeps a position protected and takes a working entry back, through the engine: messages, answers, log lines."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from core.enums import Cause, ControlBits, EventKind, LogKind, MessageKind, OrderRole, Pump, Regime, ReportKind, State
from core.sim.desk import desk_position, desk_stop, desk_target
from tests.core.engine.rig import MS, Rig, accept, enter, in_position, position_fields

SLOT = 0


def far_rig(**params: Any) -> Rig:
    """Stop and first target 40 bps away, so that moves of the market meet neither."""
    return Rig(stop_min_bps=40.0, **params)


def move_market(rig: Rig, bid: int, size: int = 3000) -> None:
    """A whole new book around `bid` (ask ten ticks over it)."""
    rig.stream.book(5, [(bid - 10 * k, size) for k in range(10)], [(bid + 10 + 10 * k, size) for k in range(10)],
                    snapshot=True)  # fmt: skip
    rig.go()


def later(rig: Rig, ms: int = 300) -> None:
    rig.stream.now_ns += ms * MS
    rig.stream.timer()
    rig.go()


def wish(rig: Rig) -> np.void:
    return rig.sent(MessageKind.PROTECT)[-1]


def answer(rig: Rig, message: np.void, **changes: Any) -> None:
    """PROTECTED as execution says it: the wish, with the lots it knows."""
    names = ("stop_ticks", "target_ticks", "target2_ticks", "target3_ticks", "reason", "side")
    fields = {name: int(message[name]) for name in names}
    lots = {f"target{k}_lots": int(rig.trade["target_lots"][i]) for i, k in enumerate(("", 2, 3))}
    rig.report(ReportKind.PROTECTED, int(message["seq"]), int(message["ts_event_ns"]) + 20 * MS, **(fields | lots | changes))
    rig.stream.now_ns += 30 * MS
    rig.stream.timer()
    rig.go()


def entry_ticks(rig: Rig) -> float:
    lots = abs(int(rig.trade["position_lots"]))
    return abs(int(rig.trade["entry_value_e8"])) / lots / 1000


def test_break_even_moves_the_stop_of_desk_and_state() -> None:
    rig = far_rig()
    message = in_position(rig)
    entry, old = entry_ticks(rig), int(message["stop_ticks"])
    move_market(rig, int(entry * 1.0012))
    assert not rig.sent(MessageKind.PROTECT), "fees and buffer are 13.75 bps"
    move_market(rig, int(entry * 1.0018))
    moved = wish(rig)
    assert (moved["reason"], moved["side"]) == (Cause.BREAK_EVEN, 1)
    assert abs(moved["stop_ticks"] - entry * 1.001375) <= 1
    assert [moved[f"target{k}_ticks"] for k in ("", 2, 3)] == [message[f"target{k}_ticks"] for k in ("", 2, 3)]
    assert rig.trade["stop_ticks"] == desk_stop(rig.state.desk, SLOT) == old, "nothing moves before the answer"
    answer(rig, moved)
    assert rig.trade["stop_ticks"] == desk_stop(rig.state.desk, SLOT) == moved["stop_ticks"]
    line = next(row for row in rig.rows if row["kind"] == LogKind.PROTECT)
    assert [int(line[c]) for c in "abcdef"] == [
        1, old, moved["stop_ticks"], Cause.BREAK_EVEN, message["target_ticks"], int(entry * 1.0018)]
    assert line["x"] == pytest.approx(18.0, abs=0.2) and line["y"] == pytest.approx(18.0 / 40.0, abs=0.02)
    rig.stream.trades(5, [(int(moved["stop_ticks"]), 5, -1)])
    rig.go()
    assert rig.sent(MessageKind.FILL)[-1]["role"] == OrderRole.STOP


def test_one_wish_at_a_time_and_no_flood() -> None:
    rig = far_rig(tp_share_e4=(0, 0, 0))
    in_position(rig)
    entry = entry_ticks(rig)
    move_market(rig, int(entry * 1.002))
    first = wish(rig)
    for k in range(20):
        move_market(rig, int(entry * 1.002) + 20 * k)
        later(rig, 100)
    assert len(rig.sent(MessageKind.PROTECT)) == 1, "unanswered"
    answer(rig, first)
    rig.trade["took"] = 1  # trails from here on
    start = len(rig.sent(MessageKind.PROTECT))
    price = int(rig.trade["peak_ticks"])
    for _ in range(200):  # 10 s of one tick every 50 ms, answered at once
        rig.stream.now_ns += 50 * MS
        price += 7
        move_market(rig, price)
        if rig.trade["protect_ns"]:
            message = wish(rig)
            rig.report(ReportKind.PROTECTED, int(message["seq"]), rig.stream.now_ns, stop_ticks=message["stop_ticks"])
    wishes = rig.sent(MessageKind.PROTECT)[start:]
    assert 5 <= len(wishes) <= 40
    stops = [int(w["stop_ticks"]) for w in wishes]
    assert all(b - a >= 10 for a, b in pairwise(stops)), "at least a basis point, and only upwards"
    times = [int(w["ts_event_ns"]) for w in wishes]
    assert min(b - a for a, b in pairwise(times)) >= 250 * MS


def test_a_refusal_leaves_everything() -> None:
    rig = far_rig()
    message = in_position(rig)
    move_market(rig, int(entry_ticks(rig) * 1.002))
    answer(rig, wish(rig), flags=1, stop_ticks=1)
    assert rig.trade["stop_ticks"] == desk_stop(rig.state.desk, SLOT) == message["stop_ticks"]
    assert rig.trade["protect_ns"] == 0 and rig.trade["pending"] == 0


def test_trail_follows_after_a_target() -> None:
    rig = Rig(trail_atr=0.0, trail_r=0.5)
    message = in_position(rig)
    first = int(message["target_ticks"])
    rig.stream.trades(5, [(first + 10, 40, 1)])
    rig.go()
    fill = rig.sent(MessageKind.FILL)[-1]
    assert (fill["role"], fill["rung"], fill["qty_lots"]) == (OrderRole.TAKE_PROFIT, 1, 40)
    held = position_fields(message, 100, int(entry_ticks(rig)))
    rig.report(ReportKind.POSITION, int(fill["seq"]), int(fill["ts_event_ns"]) + 20 * MS,
               **(held | {"qty_lots": 60, "entry_value_e8": held["entry_value_e8"] * 60 // 100, "target_lots": 0,
                          "flags": 16, "role": OrderRole.TAKE_PROFIT}))  # fmt: skip
    later(rig)
    assert rig.trade["took"] == 1 and rig.trade["state"] == State.MANAGING
    early = wish(rig)  # from the best price so far
    assert early["reason"] == Cause.TRAIL and early["stop_ticks"] > message["stop_ticks"]
    answer(rig, early)
    later(rig)
    move_market(rig, first + 100)
    moved = wish(rig)
    assert moved["reason"] == Cause.TRAIL
    assert moved["stop_ticks"] == first + 100 - (int(rig.trade["risk_ticks"]) + 1) // 2
    later(rig, 1100)
    marks = rig.sent(MessageKind.MARK)[-1]
    assert [marks[f"target{k}_lots"] for k in ("", 2, 3)] == [0, 30, 20]


def test_blow_off_takes_profit_faster() -> None:
    rig = far_rig(break_even=0)
    message = in_position(rig)
    price = int(entry_ticks(rig) + 170)
    rig.trade["pump"], rig.trade["pump_ns"], rig.trade["pump_top"] = Pump.BLOWOFF, rig.stream.now_ns, float(price)
    move_market(rig, price)
    moved = wish(rig)
    assert rig.trade["pump"] == Pump.BLOWOFF
    assert moved["reason"] == Cause.TIGHTEN and moved["stop_ticks"] > message["stop_ticks"]
    targets = [int(moved[f"target{k}_ticks"]) for k in ("", 2, 3)]
    assert all(pulled < int(message[f"target{k}_ticks"]) for pulled, k in zip(targets, ("", 2, 3), strict=True))
    assert targets == sorted(targets)
    answer(rig, moved)
    assert [desk_target(rig.state.desk, SLOT, k)[0] for k in range(3)] == targets


def test_manipulated_widens_once_within_the_gated_risk() -> None:
    rig = Rig()
    message = in_position(rig)
    rig.trade["risk_lots"] = 200  # as if half of the order had filled
    rig.trade["regime"], rig.trade["regime_ns"] = Regime.MANIPULATED, rig.stream.now_ns  # stays for its dwell time
    later(rig)
    (moved,) = rig.sent(MessageKind.PROTECT)
    assert rig.trade["state"] == State.BLOCKED_REGIME and moved["reason"] == Cause.WIDEN
    assert moved["stop_ticks"] == pytest.approx(entry_ticks(rig) - 1.5 * rig.trade["risk_ticks"], abs=1)
    assert moved["stop_ticks"] < message["stop_ticks"]
    answer(rig, moved)
    for _ in range(5):
        later(rig)
    assert len(rig.sent(MessageKind.PROTECT)) == 1 and desk_stop(rig.state.desk, SLOT) == moved["stop_ticks"]


@pytest.mark.parametrize(("lots", "leaves"), [(3, True), (40, False)])
def test_dust_is_closed(lots: int, leaves: bool) -> None:
    """5 USDT are the smallest order here: a lot is worth one."""
    rig = Rig()
    message = in_position(rig)
    held = position_fields(message, 100, int(entry_ticks(rig)))
    rig.report(ReportKind.POSITION, 0, 0, **(held | {"qty_lots": lots, "entry_value_e8": lots * 10**8}))
    later(rig)
    exits = rig.sent(MessageKind.EXIT)
    assert bool(exits) is leaves
    if leaves:
        assert exits[0]["reason"] == Cause.DUST and rig.states()[-1] == (State.MANAGING, State.MANAGING, Cause.DUST)
        later(rig)
        assert len(rig.sent(MessageKind.EXIT)) == 1


@pytest.mark.parametrize(("cause", "prepare"), [
    (Cause.SPREAD_WIDE, lambda rig: rig.state.params[0].__setitem__("max_spread_bps", (0.5, 0.5, 0.5))),
    (Cause.NEWS, lambda rig: rig.state.params[0].__setitem__("news_veto", 0.0)),
    (Cause.WALLS_AGAINST, lambda rig: rig.trade.__setitem__("entry_wall", 90.0)),
    (Cause.FLOW_AGAINST, lambda rig: rig.state.params[0].__setitem__("flow_against", -1.0)),
])
def test_a_changed_picture_takes_the_entry_back(cause: Cause, prepare: Any) -> None:
    rig = Rig()
    message = enter(rig)
    accept(rig, message)
    later(rig, 40)
    assert not rig.sent(MessageKind.CANCEL)
    prepare(rig)
    if cause is Cause.NEWS:
        rig.state.moves.row[0]["news_impact"] = 1.0
    rig.stream.trades(5, [(100_000, 1, -1)])  # an event of the symbol
    rig.go()
    assert rig.states()[-1] == (State.ORDER_PLACED, State.ORDER_PLACED, cause)
    (cancel,) = rig.sent(MessageKind.CANCEL)
    assert (cancel["reason"], cancel["order_id"]) == (cause, 77)


def test_an_entry_that_is_taken_back_does_not_turn_taker() -> None:
    rig = Rig()
    message = enter(rig)
    accept(rig, message)
    rig.stream.now_ns += 50 * MS
    rig.stream.timer()
    rig.stream.event(EventKind.CONTROL, u=int(ControlBits.PAUSE))
    rig.stream.now_ns += 400 * MS  # past the deadline, the CANCEL still unanswered
    rig.stream.timer()
    rig.go()
    assert len(rig.sent(MessageKind.CANCEL)) == 1 and not rig.sent(MessageKind.FILL)
    (done,) = rig.sent(MessageKind.DONE)
    assert done["reason"] == Cause.EXPIRED and desk_position(rig.state.desk, SLOT) == 0


def test_outside_its_zone_an_entry_does_not_turn_taker() -> None:
    rig = Rig()
    message = enter(rig)
    accept(rig, message)
    later(rig, 50)
    zone_max = int(rig.trade["zone_max_ticks"])
    rig.stream.book(5, [(100_000 - 10 * k, 0) for k in range(10)] + [(zone_max + 20, 9000)],
                    [(100_010 + 10 * k, 0) for k in range(10)] + [(zone_max + 30, 300)])  # fmt: skip
    rig.go()
    assert rig.trade["zone_out_ns"] != 0
    later(rig, 400)
    assert not rig.sent(MessageKind.FILL) and rig.sent(MessageKind.DONE)


def test_a_position_of_an_exchange_is_none_of_the_desk() -> None:
    rig = Rig()
    message = enter(rig)
    rig.report(ReportKind.ACCEPTED, int(message["seq"]), int(message["ts_event_ns"]) + 20 * MS, order_id=77,
               decision_id=message["decision_id"], side=1, price_ticks=message["price_ticks"], qty_lots=100, flags=4 | 3)
    later(rig, 50)
    held = position_fields(message, 100, 100_000)
    rig.report(ReportKind.POSITION, 0, 0, **(held | {"flags": 4}))
    later(rig)
    assert rig.trade["state"] == State.IN_POSITION and rig.trade["working"] == 1
    rig.report(ReportKind.POSITION, 0, 0, **(held | {"flags": 4 | 32}))
    later(rig)
    assert rig.trade["state"] == State.MANAGING and rig.trade["working"] == 0
    assert desk_position(rig.state.desk, SLOT) == 0
    move_market(rig, 100_200)
    assert wish(rig)["reason"] == Cause.BREAK_EVEN, "the same rules"
    answer(rig, wish(rig), flags=4)
    assert rig.trade["stop_ticks"] == wish(rig)["stop_ticks"]
    assert not rig.sent(MessageKind.FILL)


def test_an_addition_is_asked_for_step_by_step_and_not_in_a_bad_regime() -> None:
    rig = Rig(add_max=2, arm=(56.0, 59.0, 64.0))
    message = in_position(rig)
    first, risk = float(rig.trade["first_ticks"]), int(rig.trade["risk_ticks"])
    assert first > 0 and risk > 0
    price = int(first - 0.41 * risk)
    rig.trade["pump"], rig.trade["pump_ns"] = Pump.COOLDOWN, rig.stream.now_ns  # not one to add in
    move_market(rig, price)
    assert rig.trade["regime"] == Regime.COOLDOWN and not rig.sent(MessageKind.ADD)
    rig.trade["pump"], rig.trade["regime"] = Pump.NONE, Regime.NORMAL
    later(rig, 10)
    (add,) = rig.sent(MessageKind.ADD)
    assert (add["side"], add["price_ticks"], add["stop_ticks"], add["reason"]) == (
        1, price, message["stop_ticks"], Cause.ADDED)
    assert rig.trade["working"] == 1 and rig.trade["additions"] == 1
    move_market(rig, price - risk // 8)
    assert len(rig.sent(MessageKind.ADD)) == 1
    rig.report(ReportKind.REJECTED, int(add["seq"]), int(add["ts_event_ns"]) + 20 * MS, decision_id=add["decision_id"],
               reason=19)  # fmt: skip
    later(rig, 50)
    assert rig.trade["working"] == 0 and rig.trade["state"] == State.MANAGING, "a refused addition changes nothing"


def test_without_the_setting_nothing_is_added() -> None:
    rig = Rig()
    in_position(rig)
    move_market(rig, int(rig.trade["first_ticks"]) - int(rig.trade["risk_ticks"]) + 5)
    later(rig, 1000)
    assert not rig.sent(MessageKind.ADD)
