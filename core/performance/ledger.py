"""The rows of the trading database from the messages execution booked: orders, executions, positions, balances.

A Ledger reads what the execution journal holds, message with answer, in order, and says after each one which rows have
changed, whole. It books fills by the one rule of `core.position.position.book_fill`, so its balance is the account's. It
depends on nothing but what it was given: the same journal gives the same rows, however often and in whatever portions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from core.constants import E8
from core.enums import Cause, Gate, MessageKind, OrderRole, ReportKind
from core.explain import decision_id, gate_words
from core.orders.router import Order, link_id
from core.orders.wire import Message, Report
from core.position.position import Grid, book_fill, open_risk_e8
from core.sim.money import initial_margin_e8
from core.units import format_fixed

OPEN, LEFT_OPEN = "OPEN", "LEFT_OPEN"  # of positions; the second when their session ended
STRATEGY = "scalp"
REFUSED = 1  # flag of a PROTECTED report
PRICE_DIGITS = 12  # of an average price; single prices have the digits of their grid


class Row(NamedTuple):
    """One row to insert, or to update where its natural key is there; `keep`: columns an update leaves alone, `add`:
    columns that count up instead."""

    table: str
    values: dict[str, Any]
    keep: tuple[str, ...] = ()
    add: tuple[str, ...] = ()


class VenueIds(NamedTuple):
    """What the exchange calls an execution and its order; '' on paper."""

    exec_id: str = ""
    order_id: str = ""


NO_IDS = VenueIds()


@dataclass(frozen=True, slots=True)
class Traded:
    """What the ledger needs of an instrument: exact steps of price and quantity, and the fee of a taker (1e-8)."""

    name: str
    tick_mant: int
    price_exp: int
    lot_mant: int
    qty_exp: int
    taker_fee_e8: int
    max_leverage_e2: int = 0
    category: int = 1  # Category.NORMAL

    @property
    def grid(self) -> Grid:
        return Grid(self.tick_mant, self.lot_mant, self.price_exp + self.qty_exp)

    def price(self, ticks: int) -> str | None:
        """Exact decimal text; None for 0 (no price)."""
        return format_fixed(ticks * self.tick_mant, self.price_exp) if ticks else None

    def quantity(self, lots: int) -> str:
        return format_fixed(lots * self.lot_mant, self.qty_exp)

    def average(self, value_e8: int, lots: int) -> str | None:
        """Value per coin as decimal text, cut after PRICE_DIGITS decimals; None without a quantity."""
        if lots == 0:
            return None
        scaled = abs(value_e8) * 10 ** (PRICE_DIGITS - 8 + self.qty_exp) // (abs(lots) * self.lot_mant)
        text = format_fixed(scaled, PRICE_DIGITS).rstrip("0")
        return text[:-1] if text.endswith(".") else text


def name_or(enum: Any, value: int) -> str:
    return enum(value).name if value in enum._value2member_map_ else str(value)


def side_name(side: int) -> str:
    return "Buy" if side > 0 else "Sell"


def position_side(side: int) -> str:
    return "LONG" if side > 0 else "SHORT"


@dataclass(slots=True)
class _Order:
    """One order: an entry, or all closing fills of one role of a position. `side` of the order itself."""

    link_id: str
    order_no: int
    symbol: int
    side: int
    opening: bool
    role: str
    order_type: str
    lots: int
    price_ticks: int
    stop_ticks: int
    targets: tuple[int, ...]  # ticks of the ladder, 0 = none
    leverage_e2: int
    decision: str
    seq: int
    created_ns: int
    status: str = "NEW"
    filled_lots: int = 0
    filled_value_e8: int = 0
    asked_e8: int = 0  # value at the price asked for of what was filled and had one; `got_e8` is what it was filled at
    got_e8: int = 0
    fees_e8: int = 0
    realised_e8: int = 0
    rejection: str = ""
    rejection_text: str = ""
    done_reason: str = ""
    updated_ns: int = 0
    done_ns: int = 0
    venue_id: str = ""


@dataclass(slots=True)
class _Position:
    """One trade from the first entry fill until it is flat; money signed as in core.position."""

    no: int
    symbol: int
    side: int
    grid: Grid
    entry_link: str
    decision: str
    leverage_e2: int
    opened_ns: int
    lots: int = 0
    max_lots: int = 0
    entry_value_e8: int = 0
    entered_e8: int = 0  # value of all entries, unsigned
    entered_lots: int = 0
    exited_e8: int = 0
    exited_lots: int = 0
    gross_e8: int = 0
    fees_e8: int = 0
    funding_e8: int = 0
    risk_e8: int = 0
    stop_ticks: int = 0
    targets: tuple[int, ...] = (0, 0, 0)  # ticks; 0 = not told
    close_reason: str = ""
    exit_cause: str = ""
    slipped_e8: int = 0  # how much worse than asked for all fills were
    last_ticks: int = 0
    updated_ns: int = 0
    closed_ns: int = 0
    exits: dict[str, _Order] = field(default_factory=dict)

    def asked_ticks(self, order: _Order, fill: Message) -> int:
        """The price a fill was asked for at, 0 = it had none (closed at the market): each target has its own."""
        if order.role == OrderRole.TAKE_PROFIT.name and 1 <= fill.rung <= len(self.targets):
            return self.targets[fill.rung - 1]
        return order.price_ticks


class Ledger:
    """One session. `leverage_of` gives the leverage x 100 in force for an instrument, `maintenance_of` its maintenance margin
    rate (1e-8): messages do not carry them."""

    def __init__(
        self, session_id: str, start_balance_e8: int, leverage_of: Callable[[Traded], int],
        maintenance_of: Callable[[Traded], int],
    ) -> None:
        self.session_id = session_id
        self.balance_e8 = start_balance_e8
        self.realised_e8 = 0
        self.fees_e8 = 0
        self.trades = self.wins = 0
        self.records = 0
        self._leverage_of, self._maintenance_of = leverage_of, maintenance_of
        self._working: dict[int, _Order] = {}
        self._positions: dict[int, _Position] = {}

    @property
    def open_positions(self) -> int:
        return len(self._positions)

    @property
    def margin_used_e8(self) -> int:
        return sum(initial_margin_e8(p.entry_value_e8, p.leverage_e2) for p in self._positions.values())

    def take(self, message: Message, report: Report | None, traded: Traded, venue: VenueIds = NO_IDS) -> list[Row]:
        """Book one journal record; returns the rows that changed. `venue`: what the exchange calls a fill (LIVE)."""
        self.records += 1
        kind = message.kind
        if kind in (MessageKind.ENTER, MessageKind.ADD) and report is not None:
            return self._enter(message, report, traded)
        if kind == MessageKind.PROTECT and report is not None:
            return self._protect(message, report, traded)
        if kind == MessageKind.CASH:
            return self._cash(message, traded)
        if kind == MessageKind.FILL:
            return self._fill(message, traded, venue)
        if kind == MessageKind.DONE:
            return self._done(message, traded)
        if kind == MessageKind.CANCEL and (order := self._working.get(message.symbol)) is not None:
            order.status, order.updated_ns = "PENDING_CANCEL", message.ts_event_ns
            order.done_reason = name_or(Cause, message.reason)
            return [self._order_row(order, traded)]
        if kind == MessageKind.EXIT and (position := self._positions.get(message.symbol)) is not None:
            position.exit_cause = name_or(Cause, message.reason)
        return []

    # --- orders ------------------------------------------------------------------------------------------------------
    def _enter(self, message: Message, report: Report, traded: Traded) -> list[Row]:
        refused = report.kind == ReportKind.REJECTED
        side = message.side if refused else report.side
        order = _Order(
            link_id=_link(report.order_id, message, traded.name, side), order_no=report.order_id, symbol=message.symbol,
            side=side, opening=True, role=OrderRole.ENTRY.name, order_type="LIMIT", lots=report.qty_lots,
            price_ticks=message.price_ticks if refused else report.price_ticks,
            stop_ticks=message.stop_ticks,
            targets=(message.target_ticks, report.target2_ticks, report.target3_ticks),
            leverage_e2=self._leverage_of(traded), decision=decision_id(message.seq, traded.name),
            seq=message.seq, created_ns=message.ts_event_ns, updated_ns=message.ts_event_ns,
        )
        if not refused:
            self._working[message.symbol] = order
        else:
            gate = Gate(report.reason) if report.reason in Gate._value2member_map_ else Gate.NONE
            order.status = "DRY_RUN" if gate == Gate.MODE else "REJECTED"
            order.rejection, order.rejection_text = gate.name, gate_words(gate)
            order.done_ns = message.ts_event_ns
        return [self._order_row(order, traded)]

    def _done(self, message: Message, traded: Traded) -> list[Row]:
        order = self._working.get(message.symbol)
        if order is None or order.order_no != message.order_id:
            return []
        del self._working[message.symbol]
        order.status = "PARTIALLY_FILLED_CANCELED" if order.filled_lots else "CANCELED"
        order.done_reason = name_or(Cause, message.reason) if message.reason else order.done_reason
        order.updated_ns = order.done_ns = message.ts_event_ns
        return [self._order_row(order, traded)]

    def _protect(self, message: Message, report: Report, traded: Traded) -> list[Row]:
        """Stop and target moved; a wish that was refused changes nothing. What one R is stays as it was."""
        position = self._positions.get(message.symbol)
        if position is None or report.flags & REFUSED:
            return []
        position.stop_ticks = report.stop_ticks
        position.targets = (report.target_ticks, report.target2_ticks or position.targets[1],
                            report.target3_ticks or position.targets[2])
        position.updated_ns = message.ts_event_ns
        return [self._position_row(position, traded)]

    def _cash(self, message: Message, traded: Traded) -> list[Row]:
        """Funding paid or received, also in the open position."""
        self.balance_e8 -= message.fee_e8
        self.realised_e8 -= message.fee_e8
        rows = [self._balance_row(message), self._session_row()]
        position = self._positions.get(message.symbol)
        if position is not None:
            position.funding_e8 += message.fee_e8
            position.updated_ns = message.ts_event_ns
            rows.append(self._position_row(position, traded))
        return rows

    def _order_row(self, order: _Order, traded: Traded) -> Row:
        opening_side = order.side if order.opening else -order.side
        action = ("BUY" if order.side > 0 else "SHORT") if order.opening else ("COVER" if order.side > 0 else "SELL")
        return Row("orders", {
            "session_id": self.session_id, "link_id": order.link_id, "order_no": order.order_no,
            "exchange_order_id": order.venue_id or None, "strategy": STRATEGY,
            "symbol": traded.name, "side": side_name(order.side), "position_side": position_side(opening_side),
            "action": action, "order_type": order.order_type, "role": order.role, "reduce_only": not order.opening,
            "requested_quantity": traded.quantity(order.lots), "filled_quantity": traded.quantity(order.filled_lots),
            "requested_price": traded.price(order.price_ticks),
            "execution_price": traded.average(order.filled_value_e8, order.filled_lots),
            "stop_price": traded.price(order.stop_ticks), "target_price": traded.price(order.targets[0]),
            "slippage_pct": _slippage_pct(order), "leverage": order.leverage_e2 / 100, "status": order.status,
            "rejection_reason": order.rejection or None, "rejection_text": order.rejection_text or None,
            "done_reason": order.done_reason or None, "filled_value_e8": order.filled_value_e8,
            "commission_e8": order.fees_e8, "realised_pnl_e8": order.realised_e8, "decision_id": order.decision or None,
            "seq": order.seq, "created_ns": order.created_ns, "updated_ns": order.updated_ns,
            "done_ns": order.done_ns or None,
        })

    # --- fills -------------------------------------------------------------------------------------------------------
    def _fill(self, message: Message, traded: Traded, venue: VenueIds) -> list[Row]:
        position = self._positions.get(message.symbol)
        entry = message.role == OrderRole.ENTRY
        if position is None:
            position = self._begin(message, traded)
        signed = message.side * message.qty_lots
        booked = book_fill(position.grid, position.lots, position.entry_value_e8, signed, message.price_ticks)
        position.lots, position.entry_value_e8 = booked.lots, booked.entry_value_e8
        position.max_lots = max(position.max_lots, abs(booked.lots))
        position.fees_e8 += message.fee_e8
        position.gross_e8 += booked.realised_e8
        position.last_ticks, position.updated_ns = message.price_ticks, message.ts_event_ns
        value = abs(position.grid.signed_value_e8(message.price_ticks, signed))
        realised = booked.realised_e8 - message.fee_e8
        self.balance_e8 += realised
        self.realised_e8 += realised
        self.fees_e8 += message.fee_e8
        order = self._filled_order(message, position, traded, entry)
        order.venue_id = order.venue_id or venue.order_id
        order.filled_lots += message.qty_lots
        order.filled_value_e8 += value
        asked_ticks = position.asked_ticks(order, message)
        if asked_ticks:
            asked = abs(position.grid.signed_value_e8(asked_ticks, signed))
            order.asked_e8, order.got_e8 = order.asked_e8 + asked, order.got_e8 + value
            position.slipped_e8 += message.side * (value - asked)
        order.fees_e8 += message.fee_e8
        order.realised_e8 += realised
        order.updated_ns = message.ts_event_ns
        if entry:
            position.entered_e8, position.entered_lots = position.entered_e8 + value, position.entered_lots + message.qty_lots
            position.risk_e8 = open_risk_e8(position.grid, position.lots, position.entry_value_e8, position.stop_ticks,
                                            traded.taker_fee_e8) + position.fees_e8
        else:
            position.exited_e8, position.exited_lots = position.exited_e8 + value, position.exited_lots + message.qty_lots
            role = name_or(OrderRole, message.role)
            decided = role == OrderRole.EXIT.name and position.exit_cause
            position.close_reason = position.exit_cause if decided else role
        self._status_after(order, message, position, entry)
        rows = [self._execution_row(message, order, value, realised, traded, venue.exec_id), self._order_row(order, traded)]
        if position.lots == 0:
            del self._positions[message.symbol]
            position.closed_ns = message.ts_event_ns
            self.trades += 1
            self.wins += position.gross_e8 > position.fees_e8 + position.funding_e8
            rows += [self._order_row(other, traded) for other in position.exits.values() if other is not order]
        return [*rows, self._position_row(position, traded), self._balance_row(message), self._session_row()]

    def _begin(self, message: Message, traded: Traded) -> _Position:
        order = self._working.get(message.symbol)
        position = _Position(
            no=message.order_id, symbol=message.symbol, side=message.side, grid=traded.grid,
            entry_link=order.link_id if order else "", decision=order.decision if order else "",
            leverage_e2=order.leverage_e2 if order else self._leverage_of(traded), opened_ns=message.ts_event_ns,
        )
        if order is not None:
            position.stop_ticks, position.targets = order.stop_ticks, order.targets
        else:  # taken over from the exchange, which tells the stop it knows
            position.stop_ticks, position.targets = message.stop_ticks, (message.target_ticks, 0, 0)
        self._positions[message.symbol] = position
        return position

    def _filled_order(self, message: Message, position: _Position, traded: Traded, entry: bool) -> _Order:
        """The order a fill belongs to; closing ones are made by their first fill, and so is an entry nobody announced."""
        order = self._working.get(message.symbol)
        if entry and order is not None:
            return order
        role = name_or(OrderRole, message.role)
        known = position.exits.get(role)
        if known is not None:
            return known
        asked = {OrderRole.STOP: position.stop_ticks, OrderRole.TAKE_PROFIT: position.targets[0]}
        base = position.entry_link or f"o{position.no}-{traded.name}"
        made = position.exits[role] = _Order(
            link_id=f"{base}.{role.lower()}"[:80], order_no=message.order_id, symbol=message.symbol, side=message.side,
            opening=entry, role=role, order_type="LIMIT" if message.role == OrderRole.TAKE_PROFIT else "MARKET",
            lots=message.qty_lots if entry else position.max_lots, price_ticks=asked.get(OrderRole(message.role), 0)
            if message.role in OrderRole._value2member_map_ else 0,
            stop_ticks=0, targets=(0, 0, 0), leverage_e2=position.leverage_e2, decision=position.decision, seq=message.seq,
            created_ns=message.ts_event_ns,
        )
        return made

    def _status_after(self, order: _Order, message: Message, position: _Position, entry: bool) -> None:
        done = message.leaves_lots == 0 if entry else position.lots == 0
        order.status = "FILLED" if done else "PARTIALLY_FILLED"
        if not done:
            return
        order.done_ns = message.ts_event_ns
        if entry:
            self._working.pop(message.symbol, None)
        else:
            for other in position.exits.values():
                other.status, other.done_ns, other.lots = "FILLED", other.done_ns or other.updated_ns, other.filled_lots

    # --- rows --------------------------------------------------------------------------------------------------------
    def _execution_row(
        self, message: Message, order: _Order, value: int, realised: int, traded: Traded, exec_id: str
    ) -> Row:
        return Row("executions", {
            "session_id": self.session_id, "n": self.records, "exec_id": exec_id or None, "link_id": order.link_id,
            "order_no": message.order_id, "symbol": traded.name, "side": side_name(message.side),
            "role": name_or(OrderRole, message.role),
            "price": traded.price(message.price_ticks), "quantity": traded.quantity(message.qty_lots),
            "is_maker": bool(message.is_maker), "value_e8": value, "fee_e8": message.fee_e8, "realised_pnl_e8": realised,
            "seq": message.seq, "ts_ns": message.ts_event_ns,
        })

    def _position_row(self, p: _Position, traded: Traded) -> Row:
        is_open = p.lots != 0
        liquidated = p.close_reason == OrderRole.LIQUIDATION.name
        slip = p.slipped_e8 / p.entered_e8 * 100 if p.entered_e8 else None
        return Row("positions", {
            "session_id": self.session_id, "position_no": p.no, "strategy": STRATEGY, "symbol": traded.name,
            "position_side": position_side(p.side), "status": OPEN if is_open else "LIQUIDATED" if liquidated else "CLOSED",
            "quantity": traded.quantity(abs(p.lots)), "max_quantity": traded.quantity(p.max_lots),
            "entry_price": traded.average(p.entered_e8, p.entered_lots),
            "exit_price": traded.average(p.exited_e8, p.exited_lots), "mark_price": traded.price(p.last_ticks),
            "entry_value_e8": p.entered_e8, "exit_value_e8": p.exited_e8, "gross_pnl_e8": p.gross_e8, "fees_e8": p.fees_e8,
            "funding_accrued_e8": p.funding_e8, "realised_pnl_e8": p.gross_e8 - p.fees_e8 - p.funding_e8,
            "leverage": p.leverage_e2 / 100,
            "margin_used_e8": initial_margin_e8(p.entry_value_e8, p.leverage_e2) if is_open else 0,
            "margin_ratio": self._margin_ratio(), "liquidation_price": self._liquidation_price(p, traded) if is_open else None,
            "unrealised_pnl_e8": -p.grid.signed_value_e8(p.last_ticks, -p.lots) - p.entry_value_e8,
            "stop_price": traded.price(p.stop_ticks), "target_price": traded.price(p.targets[0]), "risk_e8": p.risk_e8,
            "slippage_pct": round(slip, 6) + 0.0 if slip is not None else None,
            "close_reason": (p.close_reason or None) if not is_open else None, "entry_link_id": p.entry_link or None,
            "decision_id": p.decision or None, "opened_ns": p.opened_ns, "updated_ns": p.updated_ns,
            "closed_ns": p.closed_ns or None,
        })

    def _margin_ratio(self) -> float | None:
        """Share of the balance that no position binds, % (as the gate sees it, `core.risk.gate.margin_ratio_pct`)."""
        return round(100 * (self.balance_e8 - self.margin_used_e8) / self.balance_e8, 4) if self.balance_e8 > 0 else None

    def _liquidation_price(self, p: _Position, traded: Traded) -> str | None:
        """Where a position of its own margin would be liquidated: entry x (1 -/+ (1/leverage - maintenance)). An estimate
        without fees and funding; the exchange's own price counts in LIVE."""
        bears_e8 = E8 * 100 // p.leverage_e2 - self._maintenance_of(traded)
        value_e8 = abs(p.entry_value_e8) * (E8 - p.side * bears_e8) // E8
        scaled = max(value_e8, 0) * 10 ** traded.price_exp * 10 ** traded.qty_exp // (abs(p.lots) * traded.lot_mant * E8)
        return format_fixed(scaled, traded.price_exp)

    def _balance_row(self, message: Message) -> Row:
        margin = self.margin_used_e8
        return Row("balances", {
            "session_id": self.session_id, "source": "FILL", "n": self.records, "asset": "USDT",
            "balance_e8": self.balance_e8, "available_e8": self.balance_e8 - margin, "margin_used_e8": margin,
            "realised_pnl_e8": self.realised_e8, "ts_ns": message.ts_event_ns,
        })

    def _session_row(self) -> Row:
        return Row("sessions", {
            "session_id": self.session_id, "status": "RUNNING", "end_balance_e8": self.balance_e8,
            "realised_pnl_e8": self.realised_e8, "fees_e8": self.fees_e8, "trades": self.trades, "wins": self.wins,
        }, keep=("status",))


def _link(order_id: int, message: Message, name: str, side: int) -> str:
    """The client order id this entry has, or would have had."""
    return link_id(Order(order_id, message.symbol, name, side, 0, 0, 0, 0, 0, 0, message.decision_id, message.seq))


def _slippage_pct(order: _Order) -> float | None:
    """How much worse than asked for, % of what was asked for; None without a price or a fill."""
    if not order.asked_e8:
        return None
    return round(order.side * (order.got_e8 - order.asked_e8) / order.asked_e8 * 100, 6) + 0.0  # no negative zero
