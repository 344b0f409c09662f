"""The take-profit ladder: resting reduce-only limits kept in line with what is wanted.

A rung is amended where that does not raise its quantity, else cancelled and made anew. While a rung is unproved or a
change of it is on its way the ladder waits. The attached target of the entry is removed when a ladder takes its place
(by the same trading-stop request that sets the stop); a closing job cancels the rungs.
"""

from __future__ import annotations

from core.enums import OrderRole
from core.orders.exchange_desk_closes import Closes
from core.orders.exchange_desk_core import MS, DeskCore, Holding
from core.orders.exchange_desk_orders import OrderFlow
from core.orders.exchange_words import OrderType, TimeInForce
from core.orders.lifecycle import OrderState
from core.orders.order_store import DeskOrder, Leg, link_id_of

RETRY_NS = 250 * MS


class Ladder:
    """See the module. Wanted rungs are `Holding.targets` ((ticks, lots), nearest first)."""

    def __init__(self, core: DeskCore, flow: OrderFlow, closes: Closes) -> None:
        self.core = core
        self.flow = flow
        self.closes = closes
        self._next: dict[str, int] = {}  # symbols with a ladder -> look at it again at

    def want(self, holding: Holding) -> None:
        """The wanted rungs have changed."""
        self._next[holding.symbol] = 0
        self.sync(holding)

    def recover(self, holding: Holding) -> None:
        """The rungs wanted before the crash are wanted still."""
        if holding.targets is not None:
            self._next[holding.symbol] = 0

    def changed(self, order: DeskOrder) -> None:
        """A rung moved on: one that filled is no longer wanted, one that was refused waits a moment."""
        holding = self.core.holding(order.symbol)
        if holding is None or order.symbol not in self._next:
            return
        if order.settled and order.cum_lots >= order.qty_lots and holding.targets:
            left = list(holding.targets)
            match = next((rung for rung in left if rung[0] == order.price_ticks), left[0])
            left.remove(match)
            holding.targets = tuple(left)
        if order.state is OrderState.REJECTED:
            self._next[order.symbol] = self.core.now_ns + 4 * RETRY_NS
            return
        self._next[order.symbol] = min(self._next[order.symbol] or self.core.now_ns, self.core.now_ns + RETRY_NS)

    def on_timer(self) -> None:
        for symbol, at in list(self._next.items()):
            holding = self.core.holdings[symbol]
            if holding.targets is None:
                del self._next[symbol]
            elif at <= self.core.now_ns:
                self._next[symbol] = self.core.now_ns + RETRY_NS
                self.sync(holding)

    def sync(self, holding: Holding) -> None:
        """Make the rungs on the exchange those that are wanted."""
        core = self.core
        lots = holding.at_stake
        if holding.targets is None or holding.symbol in self.closes.jobs or core.killed or not core.reachable:
            return
        rungs = [o for o in core.store.unclosed_of(holding.symbol) if o.leg is Leg.TARGET and not o.settled]
        if any(not o.alive or o.unproved or o.change_id or o.cancel_asked for o in rungs):
            return
        side = -1 if lots > 0 else 1
        wanted = list(self._fitting(holding.targets, abs(lots)))
        spare = []
        for order in rungs:
            here = (order.price_ticks, order.leaves_lots)
            if order.side == side and here in wanted:
                wanted.remove(here)
            else:
                spare.append(order)
        for order in spare:
            ticks, size = wanted[0] if wanted else (0, 0)
            total = order.cum_lots + size
            fits = order.side == side and 0 < size and total <= order.qty_lots
            if fits and self.flow.amend(
                order, ticks if ticks != order.price_ticks else None, total if total != order.qty_lots else None
            ):
                wanted.pop(0)
            else:
                self.flow.cancel(order)
        if not spare:
            for ticks, size in wanted:
                self._place(holding, side, ticks, size)

    @staticmethod
    def _fitting(targets: tuple[tuple[int, int], ...], lots: int) -> tuple[tuple[int, int], ...]:
        """The rungs as far as the position reaches."""
        fitted = []
        for ticks, size in targets:
            size = min(size, lots)
            if size > 0 and ticks > 0:
                fitted.append((ticks, size))
                lots -= size
        return tuple(fitted)

    def _place(self, holding: Holding, side: int, ticks: int, lots: int) -> None:
        core = self.core
        core.leg_number += 1
        core.count("rungs")
        self.flow.place(DeskOrder(
            link_id=link_id_of(core.config.run_tag, Leg.TARGET, core.leg_number), leg=Leg.TARGET, symbol=holding.symbol,
            side=side, order_type=OrderType.LIMIT, tif=TimeInForce.GTC, qty_lots=lots, price_ticks=ticks,
            reduce_only=True, role=OrderRole.TAKE_PROFIT, reason=0, order_id=holding.order_id,
            decision_id=holding.decision_id,
        ), ttl_ns=core.config.close_ttl_ns)
