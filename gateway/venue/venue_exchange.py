"""The exchange as the venue's clients meet it: faults strike between a request and the matching.

    trade.fill_on_cancel  the order fills just before its cancel (or amend); the cancel is acknowledged all the same, and
                          a second Filled with CancelByUser and EC_OrigClOrdIDDoesNotExist follows
    trade.partial         a taker finds only a fraction of its quantity in the book
    trade.slip            the book has moved away by some ticks when the order arrives
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from core.sim.exchange import Exchange
from numpy.typing import NDArray

from core.sim.exchange_types import (
    AmendRequest,
    CancelType,
    Event,
    OrderRequest,
    OrderStatus,
    OrderUpdate,
    RejectReason,
    Result,
    SimOrder,
)
from gateway.venue.fault_rules import FaultRules


class VenueExchange(Exchange):
    """An `Exchange` whose requests pass by the fault rules. `look_again` shows it the market's book anew."""

    def __init__(self, rules: FaultRules, **settings: Any) -> None:
        super().__init__(**settings)
        self._rules = rules
        self._extra: list[Event] = []
        self._books: Callable[[str], tuple[NDArray, NDArray]]
        self.look_again: Callable[[str], None] = lambda _symbol: None
        self.book_of: Callable[[str], tuple[NDArray, NDArray]]

    def create_order(self, ts_ns: int, uid: int, request: OrderRequest) -> Result:
        context = {"uid": str(uid), "symbol": request.symbol, "op": "order.create"}
        partial = self._rules.ask("trade.partial", **context)
        slip = self._rules.ask("trade.slip", **context)
        if partial is None and slip is None:
            return super().create_order(ts_ns, uid, request)
        bids, asks = self.book_of(request.symbol)
        sides = {1: bids, -1: asks}
        shown = sides[-request.side]
        if slip is not None:
            shown = shifted(shown, request.side * int(slip.values["ticks"]))
        if partial is not None:
            shown = cut(shown, int(request.qty_lots * float(partial.values["fraction"])))
        sides[-request.side] = shown
        self.on_book(ts_ns, request.symbol, sides[1], sides[-1], True)
        try:
            return super().create_order(ts_ns, uid, request)
        finally:
            self.look_again(request.symbol)

    def amend_order(self, ts_ns: int, uid: int, request: AmendRequest) -> Result:
        self._fill_first(ts_ns, uid, "order.amend", request.symbol, request.order_id, request.order_link_id)
        return super().amend_order(ts_ns, uid, request)

    def cancel_order(self, ts_ns: int, uid: int, symbol: str, order_id: str = "", order_link_id: str = "") -> Result:
        filled = self._fill_first(ts_ns, uid, "order.cancel", symbol, order_id, order_link_id)
        if filled is None:
            return super().cancel_order(ts_ns, uid, symbol, order_id, order_link_id)
        late = replace(filled, cancel_type=CancelType.USER, reject_reason=RejectReason.ORIG_NOT_EXIST)
        self._extra.append(OrderUpdate(uid, ts_ns, late))
        return Result(0, "OK", filled.order_id, filled.order_link_id)

    def drain(self) -> list[Event]:
        events = super().drain()
        if self._extra:
            events, self._extra = [*events, *self._extra], []
        return events

    def _fill_first(self, ts_ns: int, uid: int, op: str, symbol: str, order_id: str, order_link_id: str) -> SimOrder | None:
        """trade.fill_on_cancel: print a trade through the order's price; the order if that filled it."""
        if "trade.fill_on_cancel" not in self._rules.armed:
            return None
        found = self.open_orders(uid, symbol=symbol, order_id=order_id, order_link_id=order_link_id)
        order = next((o for o in found if o.status in (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED)), None)
        if order is None or not self._rules.ask("trade.fill_on_cancel", uid=str(uid), symbol=symbol, op=op):
            return None
        through = max(1, order.price_ticks - order.side)
        self.on_trades(ts_ns, symbol, np.array([[through, order.leaves_lots, -order.side]], np.int64))
        ended = next((o for o in self.order_history(uid) if o.order_id == order.order_id), None)
        return ended if ended is not None and ended.status is OrderStatus.FILLED else None


def shifted(levels: NDArray, ticks: int) -> NDArray:
    """A side of a book moved by `ticks`; what falls below one tick is gone."""
    moved = levels + np.array([ticks, 0], np.int64)
    return moved[moved[:, 0] > 0]


def cut(levels: NDArray, lots: int) -> NDArray:
    """The best levels of a side that hold `lots` together."""
    before = np.concatenate([np.zeros(1, np.int64), np.cumsum(levels[:, 1])[:-1]]) if len(levels) else levels[:, 1]
    kept = np.minimum(levels[:, 1], lots - before)
    return np.column_stack([levels[:, 0], kept])[kept > 0]
