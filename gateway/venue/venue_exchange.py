"""The exchange as the venue's clients meet it: faults strike between a request and the matching.

    trade.fill_on_cancel  the order fills just before its cancel (or amend); the cancel is acknowledged all the same, and
                          a second Filled with CancelByUser and EC_OrigClOrdIDDoesNotExist follows
    trade.partial         a taker finds only a fraction of its quantity in the book
    trade.slip            the book has moved away by some ticks when the order arrives
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from core.sim.exchange import Exchange
from core.sim.exchange_types import (
    AmendRequest,
    CancelType,
    CreateType,
    Event,
    OrderRequest,
    OrderStatus,
    OrderUpdate,
    RejectReason,
    Result,
    SimOrder,
    SymbolStatus,
    WalletUpdate,
)
from core.sim.queue_model import QueueModel
from core.sim.ret_codes import RetCode
from gateway.venue.fault_rules import FaultRules

NO_LEVELS = np.zeros((0, 2), np.int64)
WORKING = (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED)


class VenueExchange(Exchange):
    """An `Exchange` whose requests pass by the fault rules.

    book_of: the market's present book of a symbol; look_again: shows the exchange that book again.
    """

    def __init__(self, rules: FaultRules, seed: int, queue_model: QueueModel = QueueModel.RISK_AVERSE) -> None:
        super().__init__(seed, queue_model)
        self._rules = rules
        self._late: list[Event] = []
        self.book_of: Callable[[str], tuple[NDArray, NDArray]] = lambda _symbol: (NO_LEVELS, NO_LEVELS)
        self.look_again: Callable[[str], None] = lambda _symbol: None

    # -- requests ----------------------------------------------------------------------------------------------------
    def create_order(self, ts_ns: int, uid: int, request: OrderRequest, create_type: CreateType = CreateType.USER) -> Result:
        context = {"uid": str(uid), "symbol": request.symbol, "op": "order.create"}
        partial, slip = self._rules.ask("trade.partial", **context), self._rules.ask("trade.slip", **context)
        if (partial is None and slip is None) or request.symbol not in self.symbols():
            return super().create_order(ts_ns, uid, request, create_type)
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
            return super().create_order(ts_ns, uid, request, create_type)
        finally:
            self.look_again(request.symbol)

    def amend_order(self, ts_ns: int, uid: int, request: AmendRequest) -> Result:
        self._fill_first(ts_ns, uid, "order.amend", request.symbol, request.order_id, request.order_link_id)
        return super().amend_order(ts_ns, uid, request)

    def cancel_order(
        self, ts_ns: int, uid: int, symbol: str, order_id: str = "", order_link_id: str = "",
        cancel_type: CancelType = CancelType.USER,
    ) -> Result:
        filled = self._fill_first(ts_ns, uid, "order.cancel", symbol, order_id, order_link_id)
        if filled is None:
            return super().cancel_order(ts_ns, uid, symbol, order_id, order_link_id, cancel_type)
        late = replace(filled, cancel_type=cancel_type, reject_reason=RejectReason.ORIG_NOT_EXIST)
        self._late.append(OrderUpdate(uid, ts_ns, late))
        return Result(0, "OK", filled.order_id, filled.order_link_id)

    def _fill_first(self, ts_ns: int, uid: int, op: str, symbol: str, order_id: str, link_id: str) -> SimOrder | None:
        """trade.fill_on_cancel: the order, when it was working and is filled now."""
        if "trade.fill_on_cancel" not in self._rules.armed:
            return None
        order = self.find_order(uid, order_id, link_id)
        if order is None or order.symbol != symbol or order.status not in WORKING:
            return None
        if not self._rules.ask("trade.fill_on_cancel", uid=str(uid), symbol=symbol, op=op):
            return None
        self.force_fill(ts_ns, uid, order.order_id)
        return self.find_order(uid, order.order_id)

    def drain(self) -> list[Event]:
        events = super().drain()
        late, self._late = self._late, []
        return [*events, *late] if late else events

    # -- happenings on demand ----------------------------------------------------------------------------------------
    def transfer(self, ts_ns: int, uid: int, amount_e8: int, ref: str) -> bool:
        """Money in, or out (a minus, at most what is available: else False)."""
        margin = self._engine.accounts[uid].margin
        if margin.transfer(ts_ns, amount_e8, ref) is not RetCode.OK:
            return False
        self._engine.events.append(WalletUpdate(uid, ts_ns, margin.wallet()))
        return True

    def settle_now(self, ts_ns: int, symbol: str, rate_e10: int) -> None:
        """A funding settlement of a symbol at this instant, at this rate; the regular ones go on as planned."""
        state = self._engine.symbols[symbol]
        planned, state.next_funding_ns, state.funding_rate_e10 = state.next_funding_ns, ts_ns, rate_e10
        self._engine.settle_funding(ts_ns, state)
        state.next_funding_ns = planned

    def restrict(self, symbol: str, on: bool) -> None:
        """A symbol takes only orders that reduce (Delivering), or all again."""
        self._engine.symbols[symbol].status = SymbolStatus.DELIVERING if on else SymbolStatus.TRADING


def shifted(levels: NDArray, ticks: int) -> NDArray:
    """A side of a book moved by `ticks`; what falls below one tick is gone."""
    moved = levels + np.array([ticks, 0], np.int64)
    return moved[moved[:, 0] > 0]


def cut(levels: NDArray, lots: int) -> NDArray:
    """The best levels of a side that hold `lots` together."""
    before = np.concatenate([np.zeros(1, np.int64), np.cumsum(levels[:, 1])[:-1]]) if len(levels) else levels[:, 1]
    kept = np.minimum(levels[:, 1], lots - before)
    return np.column_stack([levels[:, 0], kept])[kept > 0]
