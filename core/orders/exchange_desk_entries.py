"""Entries: maker first, the remainder as taker after the deadline, told to the Broker as one order.

    MAKER (post-only, stop attached) --filled--> done
        |  deadline -> cancel -> proved ended, every fill booked
        |  or died as maker (would have taken)
        v
    TAKER (IOC inside the collar, same stop) for what is left --ended--> DONE with the rest

The taker leg is made only when the maker leg is proved to have ended, so both together never exceed the order. A cancel
(the picture changed, a close, the kill) ends the whole entry.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from core.enums import Cause, Gate, OrderRole, Severity
from core.orders.desk_journal import Ended, Intent
from core.orders.exchange_desk_core import FOREVER, Answer, DeskCore, Holding, cause_of
from core.orders.exchange_desk_fills import Fills
from core.orders.exchange_desk_orders import OrderFlow, died_as_maker
from core.orders.exchange_words import (
    Ack,
    OrderType,
    PositionRow,
    QueryKind,
    QueryRows,
    SetLeverage,
    TimeInForce,
)
from core.orders.lifecycle import OrderState
from core.orders.order_store import DeskOrder, Leg, link_id_of
from core.orders.ret_classes import Reaction, classify
from core.orders.router import Order
from core.risk.policy import Instrument
from core.sim.desk_records import FLAG_POST_ONLY, FLAG_TAKER

BPS = 10_000


@dataclass(slots=True)
class Entry:
    """One order of the Broker and the legs that work it."""

    order: Order
    instrument: Instrument
    deadline_ns: int
    legs: list[DeskOrder] = field(default_factory=list)
    filled_lots: int = 0
    work_ns: int = 0
    leverage_e2: int = 0  # to be seen at the venue before the first leg, 0 = as it is
    expires_ns: int = 0
    cancel: int = 0  # Cause, 0 = go on
    done: bool = False

    @property
    def leaves_lots(self) -> int:
        """What may still fill."""
        return 0 if self.done else max(self.order.qty_lots - self.filled_lots, 0)


class Entries:
    """See the module."""

    def __init__(self, core: DeskCore, flow: OrderFlow, fills: Fills) -> None:
        self.core = core
        self.flow = flow
        self.by_order: dict[int, Entry] = {}
        self.working: dict[str, Entry] = {}  # by symbol
        self.apply_position: Callable[[PositionRow], object] = lambda row: None
        fills.entry_leaves = self.leaves_of
        fills.entry_filled = self.filled

    # --- begin and end ---------------------------------------------------------------------------------------------
    def gate(self, holding: Holding) -> Gate:
        """What of the desk's own knowledge keeps an entry away."""
        core = self.core
        if core.killed:
            return Gate.KILLED
        if any(symbol in (-1, holding.instrument.id) for symbol, _ in core.troubles):
            return Gate.DATA
        if any(until > core.now_ns for until in holding.off.values()):
            return Gate.BLACKLIST
        if holding.symbol in self.working:
            return Gate.IN_POSITION
        if core.clock_ns > core.now_ns or not core.reachable:
            return Gate.FEED
        if core.now_ns < core.margin_until_ns:
            return Gate.BALANCE
        return Gate.NONE

    def begin(self, order: Order, instrument: Instrument, work_ns: int, leverage_e2: int) -> None:
        """Work an order the gates have passed; `work_ns` how long as maker. The leverage is seen at the venue first."""
        core = self.core
        entry = Entry(order, instrument, FOREVER, work_ns=work_ns, leverage_e2=leverage_e2,
                      expires_ns=core.now_ns + core.config.entry_ttl_ns)
        self.by_order[order.order_id] = entry
        self.working[order.name] = entry
        if self._leverage_stands(entry):
            self._first_leg(entry)
        else:
            core.count("lev_set")
            core.request(lambda req_id: SetLeverage(req_id, order.name, leverage_e2),
                         lambda answer: self._leverage_answered(entry, answer), core.config.entry_ttl_ns, urgent=False)

    def _leverage_stands(self, entry: Entry) -> bool:
        holding = self.core.holding(entry.order.name)
        if not entry.leverage_e2:
            return True
        return holding is not None and holding.venue is not None and holding.venue.leverage_e2 == entry.leverage_e2

    def _leverage_answered(self, entry: Entry, answer: Answer) -> None:
        """Set or unchanged: read it back. Anything else: no entry."""
        core = self.core
        if entry.done or entry.legs:
            return
        verdict = classify(answer.ret_code, answer.ret_msg) if isinstance(answer, Ack) else None
        if verdict is not None and verdict.reaction in (Reaction.AWAIT_STREAM, Reaction.READ_BACK):
            core.ask(QueryKind.POSITIONS, lambda rows: self._leverage_read(entry, rows), entry.order.name)
            return
        holding = core.holding(entry.order.name)
        if verdict is not None and isinstance(answer, Ack) and holding is not None:
            core.refused(holding, answer.ret_code, answer.ret_msg)
        self._end(entry, int(Cause.ORDER_REJECTED))

    def _leverage_read(self, entry: Entry, answer: Answer) -> None:
        core = self.core
        for row in answer.rows if isinstance(answer, QueryRows) else ():
            if isinstance(row, PositionRow):
                self.apply_position(row)
        if entry.done or entry.legs:
            return
        if self._leverage_stands(entry) and self._allowed(entry.order.name) and core.now_ns < entry.expires_ns and (
                not entry.cancel):
            self._first_leg(entry)
            return
        if isinstance(answer, QueryRows):
            core.note(Severity.ERROR, "lev_mismatch", entry.order.name, "the leverage was not taken", entry.leverage_e2)
        self._end(entry, entry.cancel or int(Cause.ORDER_REJECTED))

    def _first_leg(self, entry: Entry) -> None:
        order = entry.order
        if entry.work_ns > 0:
            entry.deadline_ns = self.core.now_ns + entry.work_ns
        maker = bool(order.flags & FLAG_POST_ONLY)
        self._leg(entry, Leg.MAKER if maker else Leg.TAKER, order.qty_lots,
                  order.price_ticks if maker else self._taker_price(entry))

    def _leg(self, entry: Entry, leg: Leg, lots: int, price_ticks: int) -> None:
        order, core = entry.order, self.core
        made = DeskOrder(
            link_id=link_id_of(core.config.run_tag, leg, order.order_id), leg=leg, symbol=order.name, side=order.side,
            order_type=OrderType.LIMIT, tif=TimeInForce.POST_ONLY if leg is Leg.MAKER else TimeInForce.IOC,
            qty_lots=lots, price_ticks=price_ticks, reduce_only=False, role=OrderRole.ENTRY, reason=0,
            order_id=order.order_id, decision_id=order.decision_id, stop_ticks=order.stop_ticks,
            target_ticks=order.target_ticks if core.config.attach_target else 0,
        )
        entry.legs.append(made)
        self.flow.place(made, order.qty_lots, order.flags)

    def _taker_price(self, entry: Entry) -> int:
        """The limit price widened by the collar, inside the price limit where it is known."""
        order, core = entry.order, self.core
        price = order.price_ticks + order.side * (order.price_ticks * core.config.taker_collar_bps // BPS)
        holding = core.holding(order.name)
        quote = holding.quote if holding is not None else None
        limit = 0
        if quote is not None:
            limit = quote.buy_limit_ticks if order.side > 0 else quote.sell_limit_ticks
        return limit if limit and order.side * (price - limit) > 0 else max(price, 1)

    def cancel(self, symbol: str, cause: int) -> bool:
        """End the working entry of the symbol; False: there is none."""
        entry = self.working.get(symbol)
        if entry is None:
            return False
        entry.cancel = entry.cancel or cause_of(cause)
        self.evaluate(entry)
        return True

    # --- what happens to the legs ----------------------------------------------------------------------------------
    def leaves_of(self, order: DeskOrder) -> int:
        """Of the whole entry; 0 once it was told DONE."""
        entry = self.by_order.get(order.order_id)
        return 0 if entry is None else entry.leaves_lots

    def filled(self, order: DeskOrder, lots: int) -> None:
        """Before the fill is told: what is left must be right in the message."""
        entry = self.by_order.get(order.order_id)
        if entry is None:
            return
        entry.filled_lots += lots
        if entry.filled_lots > entry.order.qty_lots:
            self.core.note(Severity.ERROR, "entry_overfill", order.symbol, order.link_id, entry.filled_lots,
                           entry.order.qty_lots)

    def changed(self, order: DeskOrder) -> None:
        """A leg moved on."""
        entry = self.by_order.get(order.order_id)
        if entry is not None:
            self.evaluate(entry)

    def evaluate(self, entry: Entry) -> None:
        """The next step of the entry, if it is time for one."""
        if entry.done:
            return
        core = self.core
        if not entry.legs:  # the leverage is being looked at
            if entry.cancel or core.now_ns >= entry.expires_ns:
                self._end(entry, entry.cancel or int(Cause.EXPIRED))
            return
        ending = entry.cancel or core.now_ns >= entry.deadline_ns
        waiting = [leg for leg in entry.legs if not leg.settled]
        if waiting:
            if ending:
                for leg in waiting:
                    if leg.alive and not leg.cancel_asked and (leg.leg is Leg.MAKER or leg.retry_ns):
                        self.flow.cancel(leg)
            return
        if entry.leaves_lots == 0:
            self._end(entry, 0, told=True)
            return
        last = entry.legs[-1]
        if self._may_take(entry, last):
            core.count("maker_to_taker")
            self._leg(entry, Leg.TAKER, entry.leaves_lots, self._taker_price(entry))
        else:
            self._end(entry, self._cause(entry, last))

    def _may_take(self, entry: Entry, last: DeskOrder) -> bool:
        """Cancelled at the deadline or died as maker, and still wanted."""
        order, core = entry.order, self.core
        if last.leg is not Leg.MAKER or entry.cancel or not order.flags & FLAG_TAKER or not self._allowed(order.name):
            return False
        if not died_as_maker(last) and (core.now_ns < entry.deadline_ns or last.state is not OrderState.CANCELLED):
            return False
        lots, instrument = entry.leaves_lots, entry.instrument
        value = instrument.grid.value_e8(order.price_ticks, lots, round_up=False)
        return lots >= max(instrument.min_qty_lots, 1) and value >= instrument.min_notional_e8

    def _allowed(self, symbol: str) -> bool:
        core = self.core
        holding = core.holding(symbol)
        if holding is None or core.killed or not core.reachable:
            return False
        return not any(s in (-1, holding.instrument.id) for s, _ in core.troubles)

    def _cause(self, entry: Entry, last: DeskOrder) -> int:
        if entry.cancel:
            return entry.cancel
        if last.state is OrderState.REJECTED or died_as_maker(last):
            return int(Cause.ORDER_REJECTED)
        return int(Cause.EXPIRED)

    def _end(self, entry: Entry, cause: int, told: bool = False) -> None:
        """Nothing of it can fill any more; DONE unless the last fill has told so."""
        core, order = self.core, entry.order
        rest = entry.leaves_lots
        entry.done = True
        if self.working.get(order.name) is entry:
            del self.working[order.name]
        number = 0 if told else core.next_number()
        core.persist(Ended(number, "", 0, order.symbol, order.order_id, order.decision_id, rest, cause, core.venue_ms))
        if not told:
            core.tell(number, core.done_message(order.symbol, order.order_id, order.decision_id, rest, cause))

    def on_timer(self) -> None:
        """Deadlines."""
        for entry in list(self.working.values()):
            if entry.cancel or not entry.legs or self.core.now_ns >= entry.deadline_ns:
                self.evaluate(entry)

    def forget(self, order_ids: set[int]) -> None:
        """Entries whose orders are forgotten."""
        for order_id in order_ids:
            entry = self.by_order.get(order_id)
            if entry is not None and entry.done:
                del self.by_order[order_id]

    # --- recovery --------------------------------------------------------------------------------------------------
    def recover(self, intent: Intent, leg: DeskOrder, instrument: Instrument) -> None:
        """An entry leg read in the journal. What is not done by then is only ended: its deadline has passed."""
        entry = self.by_order.get(intent.order_id)
        if entry is None:
            order = Order(intent.order_id, intent.symbol_id, intent.symbol, intent.side, intent.total_lots,
                          intent.price_ticks, intent.stop_ticks, intent.target_ticks, 0, intent.flags,
                          intent.decision_id, 0)
            entry = Entry(order, instrument, 0, cancel=int(Cause.EXPIRED))
            self.by_order[order.order_id] = entry
            self.working[order.name] = entry
        entry.legs.append(leg)

    def recover_done(self, order_id: int) -> None:
        """Its DONE (or last fill) was told before the crash."""
        entry = self.by_order.get(order_id)
        if entry is not None:
            entry.done = True
            if self.working.get(entry.order.name) is entry:
                del self.working[entry.order.name]
