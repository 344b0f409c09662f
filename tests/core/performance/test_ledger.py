"""Rows of the database from messages: one whole trade by hand, and what moves stops and cash."""

from __future__ import annotations

from core.enums import Cause, Gate, MessageKind, OrderRole, ReportKind
from core.orders.wire import Message, Report
from core.performance.ledger import Ledger, Traded, VenueIds

E8 = 10**8
S = 10**9
X = Traded("XUSDT", tick_mant=5, price_exp=2, lot_mant=1, qty_exp=1, taker_fee_e8=55_000)  # tick 0.05, lot 0.1


def enter(seq: int = 10, side: int = 1, price: int = 2000, kind: int = MessageKind.ENTER) -> tuple[Message, Report]:
    message = Message(seq=seq, ts_event_ns=seq * S, symbol=1, kind=int(kind), side=side, price_ticks=price,
                      stop_ticks=price - side * 20, target_ticks=price + side * 40, decision_id=seq)
    report = Report(seq=seq, order_id=seq, price_ticks=price, qty_lots=30, stop_ticks=price - side * 20, symbol=1,
                    kind=int(ReportKind.ACCEPTED), side=side, decision_id=seq)
    return message, report


def fill(seq: int, price: int, lots: int, leaves: int = 0, side: int = 1, role: int = OrderRole.ENTRY, fee: int = 1000,
         order_id: int = 10) -> Message:
    return Message(seq=seq, ts_event_ns=seq * S, symbol=1, kind=int(MessageKind.FILL), side=side, price_ticks=price,
                   qty_lots=lots, leaves_lots=leaves, role=int(role), fee_e8=fee, order_id=order_id)


def ledger() -> Ledger:
    return Ledger("run", 1000 * E8, lambda traded: 500, lambda traded: E8 // 100)


def newest(rows, table: str) -> dict:
    return [row.values for row in rows if row.table == table][-1]


def test_a_whole_trade_by_hand():
    book = ledger()
    order = newest(book.take(*enter(), X), "orders")
    assert (order["status"], order["link_id"], order["requested_price"], order["requested_quantity"]) == (
        "NEW", "sa-XUSDT-b", "100.00", "3.0")
    assert (order["action"], order["side"], order["position_side"], order["leverage"]) == ("BUY", "Buy", "LONG", 5.0)
    rows = book.take(fill(11, 2000, 10, 20), None, X)
    assert newest(rows, "orders")["status"] == "PARTIALLY_FILLED"
    rows = book.take(fill(12, 2004, 20, 0), None, X)
    order = newest(rows, "orders")
    assert (order["status"], order["filled_quantity"], order["filled_value_e8"]) == ("FILLED", "3.0", 300 * E8 + 40_000_000)
    assert order["execution_price"] == "100.133333333333"
    assert order["slippage_pct"] == 0.133333
    position = newest(rows, "positions")
    assert (position["status"], position["quantity"], position["position_no"]) == ("OPEN", "3.0", 10)
    # 5 x leverage bears 20 % less 1 % of maintenance: 100.1333 x 0.81 = 81.108; 300.4 / 5 of 999.99998 are bound
    assert (position["liquidation_price"], position["margin_ratio"]) == ("81.10", 93.992)
    assert position["unrealised_pnl_e8"] == 3 * 10_020_000_000 - 30_040_000_000
    stop_value = 3 * 99 * E8
    assert position["risk_e8"] == 30_040_000_000 - stop_value + -(-stop_value * 55_000 // E8) + 2000
    book.take(Message(seq=13, ts_event_ns=13 * S, symbol=1, kind=int(MessageKind.EXIT), reason=int(Cause.TIME_STOP)), None, X)
    rows = book.take(fill(14, 2010, 30, 0, -1, OrderRole.EXIT, 3000), None, X)
    position = newest(rows, "positions")
    gross = 3 * 10_050_000_000 - 30_040_000_000
    assert (position["status"], position["close_reason"], position["gross_pnl_e8"]) == ("CLOSED", "TIME_STOP", gross)
    assert (position["realised_pnl_e8"], position["fees_e8"], position["exit_price"]) == (gross - 5000, 5000, "100.5")
    assert (position["liquidation_price"], position["unrealised_pnl_e8"], position["margin_ratio"]) == (None, 0, 100.0)
    closing = newest(rows, "orders")
    assert (closing["link_id"], closing["action"], closing["reduce_only"], closing["status"]) == (
        "sa-XUSDT-b.exit", "SELL", True, "FILLED")
    assert newest(rows, "balances")["balance_e8"] == 1000 * E8 + gross - 5000
    assert (book.trades, book.wins, book.margin_used_e8) == (1, 1, 0)


def test_refusals_are_orders_too():
    message, _ = enter()
    refused = Report(seq=10, symbol=1, kind=int(ReportKind.REJECTED), reason=int(Gate.MAX_POSITIONS))
    order = newest(ledger().take(message, refused, X), "orders")
    assert (order["status"], order["rejection_reason"], order["link_id"]) == ("REJECTED", "MAX_POSITIONS", "sa-XUSDT-b")
    assert "max positions reached" in order["rejection_text"]
    unknown = newest(ledger().take(message, refused._replace(reason=200), X), "orders")
    assert unknown["rejection_reason"] == "NONE"


def test_a_moved_stop_leaves_r_as_it_was():
    book = ledger()
    book.take(*enter(), X)
    before = newest(book.take(fill(11, 2000, 30), None, X), "positions")
    move = Message(seq=12, ts_event_ns=12 * S, symbol=1, kind=int(MessageKind.PROTECT), stop_ticks=2001)
    after = newest(book.take(move, Report(kind=int(ReportKind.PROTECTED), stop_ticks=2001, target_ticks=2050), X), "positions")
    assert (after["stop_price"], after["target_price"], after["risk_e8"]) == ("100.05", "102.50", before["risk_e8"])
    assert book.take(move, Report(kind=int(ReportKind.PROTECTED), flags=1, stop_ticks=1), X) == []


def test_funding_is_part_of_the_result():
    book = ledger()
    book.take(*enter(), X)
    book.take(fill(11, 2000, 30, fee=0), None, X)
    rows = book.take(Message(seq=12, ts_event_ns=12 * S, symbol=1, kind=int(MessageKind.CASH), fee_e8=700), None, X)
    assert newest(rows, "positions")["funding_accrued_e8"] == 700
    closed = newest(book.take(fill(13, 2000, 30, 0, -1, OrderRole.STOP, 0), None, X), "positions")
    assert (closed["realised_pnl_e8"], closed["gross_pnl_e8"]) == (-700, 0)
    assert (book.balance_e8, book.realised_e8, book.wins) == (1000 * E8 - 700, -700, 0)
    assert len(book.take(Message(seq=14, symbol=9, kind=int(MessageKind.CASH), fee_e8=5), None, X)) == 2  # no position


def test_an_addition_belongs_to_the_position_it_adds_to():
    book = ledger()
    book.take(*enter(), X)
    book.take(fill(11, 2000, 30), None, X)
    book.take(*enter(20, kind=MessageKind.ADD, price=1990), X)
    rows = book.take(fill(21, 1990, 30, order_id=20), None, X)
    position = newest(rows, "positions")
    assert (position["position_no"], position["quantity"], position["entry_price"]) == (10, "6.0", "99.75")
    assert newest(rows, "orders")["link_id"] == "s14-XUSDT-b"


def test_a_ladder_and_a_short():
    book = ledger()
    book.take(*enter(side=-1), X)
    book.take(fill(11, 2000, 30, side=-1), None, X)
    rows = []
    for seq, price, lots in ((12, 1980, 10), (13, 1970, 10), (14, 2000, 10)):
        role = OrderRole.STOP if price == 2000 else OrderRole.TAKE_PROFIT
        rows += book.take(fill(seq, price, lots, 0, 1, role), None, X)
    links = {row.values["link_id"]: row.values for row in rows if row.table == "orders"}
    assert set(links) == {"sa-XUSDT-s.take_profit", "sa-XUSDT-s.stop"}
    assert links["sa-XUSDT-s.take_profit"]["filled_quantity"] == "2.0"
    assert links["sa-XUSDT-s.stop"]["action"] == "COVER"
    position = newest(rows, "positions")
    assert (position["status"], position["position_side"], position["close_reason"]) == ("CLOSED", "SHORT", "STOP")
    assert position["gross_pnl_e8"] == (100 + 150) * 1_000_000
    assert links["sa-XUSDT-s.take_profit"]["requested_quantity"] == "2.0"


def test_fills_of_nothing_known_open_a_position_all_the_same():
    book = ledger()
    rows = book.take(fill(11, 2000, 30)._replace(stop_ticks=1980), None, X)
    assert newest(rows, "positions")["stop_price"] == "99.00"
    assert newest(rows, "orders")["link_id"] == "o10-XUSDT.entry"
    assert newest(book.take(fill(12, 2000, 30, 0, -1, OrderRole.KILL), None, X), "positions")["close_reason"] == "KILL"


def test_a_short_is_liquidated_above_and_the_exchanges_ids_are_kept():
    book = ledger()
    book.take(*enter(side=-1), X)
    rows = book.take(fill(11, 2000, 30, 0, side=-1), None, X, VenueIds("e-1", "o-1"))
    assert newest(rows, "positions")["liquidation_price"] == "119.00"
    assert (newest(rows, "executions")["exec_id"], newest(rows, "orders")["exchange_order_id"]) == ("e-1", "o-1")
    paper = book.take(fill(12, 1990, 30, 0, side=1, role=OrderRole.STOP), None, X)
    assert (newest(paper, "executions")["exec_id"], newest(paper, "orders")["exchange_order_id"]) == (None, None)


def test_a_stop_that_fills_worse_than_its_price_is_slippage_of_the_trade():
    """Entries at a limit never slip: a figure of entries alone would be 0 for good, and the stop's 2 ticks would be missing."""
    book = ledger()
    book.take(*enter(), X)
    book.take(fill(11, 2000, 30), None, X)
    rows = book.take(fill(12, 1978, 30, 0, -1, OrderRole.STOP), None, X)  # asked 99.00, got 98.90
    assert newest(rows, "orders")["slippage_pct"] == 0.10101
    assert newest(rows, "positions")["slippage_pct"] == 0.1  # 0.10 x 3.0 coins of an entry of 300 USDT


def test_a_further_target_is_asked_for_at_its_own_price():
    """One row holds the whole ladder: the second target is not the first one, filled better."""
    book = ledger()
    message, report = enter()
    report = report._replace(target_ticks=2040, target2_ticks=2060, target3_ticks=2100)
    book.take(message, report, X)
    book.take(fill(11, 2000, 30), None, X)
    rows = []
    for seq, price, lots, rung in ((12, 2040, 10, 1), (13, 2060, 10, 2), (14, 2102, 10, 3)):
        rows = book.take(fill(seq, price, lots, 0, -1, OrderRole.TAKE_PROFIT)._replace(rung=rung), None, X)
    order = newest(rows, "orders")
    assert order["requested_price"] == "102.00"
    assert order["slippage_pct"] == -0.032258  # the third alone: 0.10 better on 1.0 of 310 USDT
    assert newest(rows, "positions")["slippage_pct"] == -0.033333  # the same 0.10 of the entry of 300


def test_a_target_nobody_told_is_no_slippage():
    book = ledger()
    message, report = enter()
    book.take(message._replace(target_ticks=0), report, X)
    book.take(fill(11, 2000, 30), None, X)
    rows = book.take(fill(12, 2040, 30, 0, -1, OrderRole.TAKE_PROFIT)._replace(rung=3), None, X)
    assert newest(rows, "orders")["slippage_pct"] is None
    assert newest(rows, "positions")["slippage_pct"] == 0.0


def test_a_moved_target_is_what_was_asked_for():
    book = ledger()
    book.take(*enter(), X)
    book.take(fill(11, 2000, 30), None, X)
    protect = Message(seq=12, ts_event_ns=12 * S, symbol=1, kind=int(MessageKind.PROTECT), stop_ticks=1990, target_ticks=2100)
    book.take(protect, Report(seq=12, symbol=1, stop_ticks=1990, target_ticks=2100), X)
    rows = book.take(fill(13, 2100, 30, 0, -1, OrderRole.TAKE_PROFIT)._replace(rung=1), None, X)
    assert newest(rows, "orders")["slippage_pct"] == 0.0 and newest(rows, "positions")["slippage_pct"] == 0.0
