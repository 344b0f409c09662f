"""The order ledger: every stamp once, absent ones absent, refusals, partial fills, recovery."""

from __future__ import annotations

import numpy as np

from core.enums import Cause, Gate, MessageKind, Mode, OrderRole, ReportKind
from core.orders.latency import KEPT, STAGES, STAMPS, Ledger, as_dict, elapsed_us, percentiles
from core.orders.lifecycle import OrderState
from core.orders.wire import Message, Report
from core.position.position import Grid
from core.records import ORDER_ROW
from core.risk.policy import Instrument

S = 10**9
BTC = Instrument(id=0, name="BTCUSDT", name_hash=1, shard=0, grid=Grid(1, 1, 4), tick_size=0.1, lot_size=0.001, min_qty_lots=1,
                 max_qty_lots=0, min_notional_e8=0, max_leverage_e2=2500, taker_fee_e8=0, trading=True, blacklisted=False)
ENTER = Message(seq=7, ts_event_ns=5 * S, mono_recv_ns=1_000, mono_sent_ns=3_000, decision_id=7, price_ticks=1000,
                stop_ticks=990, target_ticks=1020, kind=int(MessageKind.ENTER), side=1, ts_exch_ns=5 * S - 2_000_000,
                mono_decided_ns=2_500)


def accepted(order_id: int = 11) -> Report:
    return Report(seq=7, order_id=order_id, price_ticks=1000, qty_lots=50, stop_ticks=990, target_ticks=1020,
                  kind=int(ReportKind.ACCEPTED), side=1)


def fill(lots: int, leaves: int, price: int = 1001, maker: int = 0) -> Message:
    return Message(order_id=11, price_ticks=price, qty_lots=lots, leaves_lots=leaves, kind=int(MessageKind.FILL), side=1,
                   role=int(OrderRole.ENTRY), fee_e8=500, is_maker=maker)


def entered(ledger: Ledger, report: Report, mode: Mode = Mode.SIM, ticket: int = 4, message: Message = ENTER) -> None:
    ledger.entered(message, report, BTC, int(mode), "s7-BTCUSDT-b", (0.0, 0.0), 4_000, 5_000, 5 * S, ticket)


def row_of(ledger: Ledger, number: int = 1) -> np.void:
    (rows,) = ledger.rows([number])
    return rows[0]


def test_a_whole_life_in_sim() -> None:
    ledger = Ledger()
    entered(ledger, accepted())
    ledger.durable(3, 8_000)
    assert not row_of(ledger)["durable_ns"]
    ledger.durable(4, 9_000)
    assert row_of(ledger)["state"] == OrderState.LIVE
    ledger.told(fill(20, 30), BTC, 20_000)
    assert row_of(ledger)["state"] == OrderState.PARTIALLY_FILLED and ledger.ended == []
    ledger.told(fill(30, 0, 1003), BTC, 30_000)
    assert ledger.ended == [1]
    told = as_dict(row_of(ledger))
    assert (told["state"], told["filled_qty"], told["fee_usdt"], told["maker"]) == ("FILLED", 0.05, 1e-05, False)
    assert told["average"] == 100.22 and told["slippage_bps"] == 22.0
    stamps = {name: told[name] for name in STAMPS}
    assert stamps == {
        "recv_ns": 1_000, "decoded_ns": None, "decided_ns": 2_500, "sent_ns": 3_000, "taken_ns": 4_000, "gated_ns": 5_000,
        "durable_ns": 9_000, "wire_ns": None, "ack_ns": None, "live_ns": None, "fill_ns": 20_000, "done_ns": 30_000,
    }  # what nobody could stamp is absent, and the first fill counts
    assert (told["exchange_to_recv_us"], told["recv_to_fill_us"], told["wire_to_ack_us"]) == (2000.0, 19.0, None)


def test_live_stamps_count_once() -> None:
    ledger = Ledger()
    entered(ledger, accepted(), Mode.LIVE)
    ledger.durable(4, 9_000)
    assert row_of(ledger)["state"] == OrderState.INTENT
    for at, name, state in ((10_000, "wire_ns", OrderState.SENT), (12_000, "ack_ns", OrderState.ACKED),
                            (13_000, "live_ns", OrderState.LIVE)):
        ledger.stamp(11, name, at)
        ledger.stamp(11, name, at + 5)  # the taker leg: later
        ledger.follow(11, state)
    row = row_of(ledger)
    assert (int(row["wire_ns"]), int(row["ack_ns"]), int(row["live_ns"])) == (10_000, 12_000, 13_000)
    assert row["state"] == OrderState.LIVE
    ledger.stamp(11, "ack_ns", 14_000, ret_code=110007)
    assert row["ret_code"] == 110007
    ledger.told(Message(order_id=11, kind=int(MessageKind.DONE), reason=int(Cause.EXPIRED)), BTC, 40_000)
    ledger.follow(11, OrderState.LIVE)  # too late
    assert row["state"] == OrderState.CANCELLED and row["cause"] == Cause.EXPIRED
    ledger.stamp(99, "ack_ns", 1)
    ledger.follow(99, OrderState.LIVE)
    ledger.told(fill(1, 0)._replace(order_id=99), BTC, 1)  # somebody else's


def test_refusals_are_rows_too() -> None:
    ledger = Ledger()
    refused = Report(kind=int(ReportKind.REJECTED), reason=int(Gate.MAX_POSITIONS))
    ledger.entered(ENTER, refused, BTC, int(Mode.SIM), "", (3.0, 3.0), 4_000, 5_000, 5 * S, 1)
    told = as_dict(row_of(ledger))
    assert (told["state"], told["gate"], told["value"], told["price"]) == ("REJECTED", "MAX_POSITIONS", 3.0, 100.0)
    assert told["by"] == "system"
    assert ledger.ended == [1]
    entered(ledger, refused, message=ENTER._replace(seq=-5))
    assert as_dict(row_of(ledger, 2))["by"] == "person"


def test_recovery_puts_the_written_row_in_place_of_the_replayed_one() -> None:
    ledger = Ledger()
    entered(ledger, accepted())
    ledger.durable(4, 9_000)
    ledger.told(fill(50, 0), BTC, 20_000)
    (data,) = [rows.tobytes() for rows in ledger.rows(ledger.ended)]
    again = Ledger()
    again.entered(ENTER, accepted(), BTC, int(Mode.SIM), "", (0.0, 0.0), 0, 0, 5 * S, 0)
    again.told(fill(50, 0), BTC, 0)
    assert again.ended == [1]  # not known to be written yet
    again.restore(data)
    assert again.ended == [] and row_of(again).tobytes() == row_of(ledger).tobytes()
    entered(again, accepted(12))
    assert again.last == 2


def test_bounded_memory() -> None:
    ledger = Ledger()
    for number in range(1, KEPT + 10):
        entered(ledger, accepted(number), ticket=0)
    assert list(ledger.rows([1, 9])) == [] and len(list(ledger.rows(range(KEPT + 10)))) == KEPT
    ledger.stamp(1, "ack_ns", 5)  # forgotten: no row, no error


def test_percentiles_leave_the_absent_out() -> None:
    ledger = Ledger()
    for number in range(1, 101):
        entered(ledger, accepted(number), ticket=number)
        ledger.durable(number, 5_000 + 1_000 * number)
    table = {row["stage"]: row for row in percentiles(rows[0] for rows in ledger.rows(range(1, 101)))}
    assert list(table) == [stage.name for stage in STAGES]
    durable = table["gated_to_durable"]
    assert (durable["n"], durable["p50_us"], durable["max_us"]) == (100, 50.5, 100.0)
    assert (table["wire_to_ack"]["n"], table["wire_to_ack"]["p99_us"]) == (0, None)


def test_every_stage_is_between_known_fields() -> None:
    names = set(ORDER_ROW.dtype.names or ())
    row = np.zeros(1, ORDER_ROW.dtype)[0]
    for stage in STAGES:
        assert {stage.first, stage.last} <= names and elapsed_us(row, stage) is None
