"""Closing: one job per symbol, reduce-only, again and wider until the exchange shows the position flat.

    cancel the entry -> IOC limit near the touch -> what is left: wider, inside the price limit -> ... -> market order
    -> (dust, or refused as too small) everything at once: quantity 0, reduceOnly, closeOnTrigger
    -> flat by our books and by a position told after the last fill: done

Each try is an order of its own with its own id; while one is alive no other is made, except that one of unknown outcome
is waited for only as long as it may be sent again: reduce-only, two of them cannot close more than there is. A refused
exit is tried again for ever: exits must not be given up (O14, O32, O33, O34).
"""

from __future__ import annotations

from dataclasses import dataclass

from core.enums import OrderRole, Severity
from core.orders.desk_journal import Latch
from core.orders.exchange_desk_core import MS, SECOND, Answer, DeskCore, Holding
from core.orders.exchange_desk_entries import Entries
from core.orders.exchange_desk_orders import OrderFlow
from core.orders.exchange_words import OrderType, PositionRow, QueryKind, QueryRows, TimeInForce
from core.orders.lifecycle import OrderState
from core.orders.lookups import LookUps
from core.orders.order_store import DeskOrder, Leg, link_id_of
from core.orders.ret_classes import ALREADY_FLAT, NO_MARKET, PRICE_LIMIT

BPS = 10_000
CLOSING = "CLOSING"  # latch of a symbol: "role,reason" of its job
AGAIN_NS = 50 * MS  # between two tries on the same market
REFUSED_NS = 200 * MS
REFUSED_MAX_NS = 5 * SECOND
ASK_NS = 250 * MS


@dataclass(slots=True)
class CloseJob:
    """A position on its way to zero."""

    holding: Holding
    role: OrderRole
    reason: int
    started_ns: int
    tries: int = 0
    refusals: int = 0
    market: bool = False
    everything: bool = False
    next_ns: int = 0
    leg: DeskOrder | None = None
    asked_ns: int = -(1 << 62)
    asking: bool = False
    flat_since_ns: int = 0


class Closes:
    """See the module."""

    def __init__(self, core: DeskCore, flow: OrderFlow, entries: Entries, looks: LookUps) -> None:
        self.core = core
        self.flow = flow
        self.entries = entries
        self.looks = looks
        self.jobs: dict[str, CloseJob] = {}

    def begin(self, holding: Holding, role: OrderRole, reason: int) -> None:
        """Close what there is of the symbol, and its working entry. A job under way only takes on a graver role."""
        job = self.jobs.get(holding.symbol)
        if job is None:
            job = self.jobs[holding.symbol] = CloseJob(holding, role, reason, self.core.now_ns)
            self.core.count("closes")
            self.core.persist(Latch(CLOSING, holding.symbol, 1, f"{int(role)},{reason}"))
        elif role is OrderRole.KILL:
            job.role, job.reason = role, reason
        self.entries.cancel(holding.symbol, reason)
        for order in self.core.store.unclosed_of(holding.symbol):
            if order.leg is Leg.TARGET and order.alive and not order.cancel_asked:
                self.flow.cancel(order)
        self.evaluate(job)

    def changed(self, order: DeskOrder) -> None:
        """A closing order moved on."""
        job = self.jobs.get(order.symbol)
        if job is None or job.leg is not order:
            return
        if order.settled:
            self._judge(job, order)
        self.evaluate(job)

    def holding_changed(self, holding: Holding) -> None:
        job = self.jobs.get(holding.symbol)
        if job is not None:
            self.evaluate(job)

    def _judge(self, job: CloseJob, order: DeskOrder) -> None:
        """What a try that ended tells about the next one."""
        core = self.core
        job.leg = None
        job.next_ns = core.now_ns + AGAIN_NS
        if order.state is OrderState.CANCELLED and order.cum_lots < order.qty_lots:
            core.count("ioc_leaves")
        if order.state is not OrderState.REJECTED:
            job.refusals = 0
            return
        job.refusals += 1
        job.next_ns = core.now_ns + min(REFUSED_NS << min(job.refusals - 1, 6), REFUSED_MAX_NS)
        job.asked_ns = -(1 << 62)
        if order.ret_code in ALREADY_FLAT:
            return  # ask for the position first
        if order.ret_code in PRICE_LIMIT or order.ret_code in NO_MARKET:
            core.count("price_limit_hit")
            job.market = not job.market
        elif job.refusals % 2:
            job.market = True
        else:
            job.everything = True
        if job.refusals == 3:
            core.note(Severity.CRITICAL, "close_refused", order.symbol, f"{order.link_id}: {order.ret_code}")

    # --- one step ---------------------------------------------------------------------------------------------------
    def evaluate(self, job: CloseJob) -> None:
        """Whatever is next for the job, if it is time for it."""
        core, holding = self.core, job.holding
        lots = holding.at_stake
        if self._flat(job):
            self._end(job)
            return
        leg = job.leg
        if leg is not None and leg.state is OrderState.UNKNOWN and core.now_ns >= leg.ttl_ns:
            core.count("close_unproved")  # it is looked for; a second one cannot close more than there is
            job.leg = None
        if job.leg is not None or core.now_ns < job.next_ns:
            return
        if lots == 0 or (job.refusals and job.asked_ns < core.now_ns - ASK_NS * 4):
            self._ask_position(job)
            if lots == 0:
                return
        if core.reachable:
            self._try(job, lots)

    def _flat(self, job: CloseJob) -> bool:
        """By our books, by what the venue told after our last fill, and with nothing that may still open."""
        holding = job.holding
        if holding.at_stake or holding.venue is None:
            return False
        if (holding.lots - holding.ignored_lots or not holding.agrees) and not self.core.broken(holding):
            return False
        if job.leg is not None and not job.leg.settled:
            return False
        fresh = holding.venue.seq >= holding.exec_seq and (holding.exec_seq > 0 or holding.venue_ns >= job.started_ns)
        return fresh and holding.symbol not in self.entries.working

    def _end(self, job: CloseJob) -> None:
        del self.jobs[job.holding.symbol]
        self.core.persist(Latch(CLOSING, job.holding.symbol, 0, ""))
        self.core.count("closed")

    def _ask_position(self, job: CloseJob) -> None:
        core = self.core
        if job.asking or not core.can_ask or core.now_ns - job.asked_ns < ASK_NS:
            return
        job.asking, job.asked_ns = True, core.now_ns

        def answered(answer: Answer) -> None:
            job.asking = False
            if isinstance(answer, QueryRows):
                for row in answer.rows:
                    if isinstance(row, PositionRow):
                        self.looks.apply_position(row)
            if self.jobs.get(job.holding.symbol) is job:
                self.evaluate(job)

        core.ask(QueryKind.POSITIONS, answered, job.holding.symbol)

    def _try(self, job: CloseJob, lots: int) -> None:
        core, holding = self.core, job.holding
        side = -1 if lots > 0 else 1
        quantity = abs(lots)
        instrument = holding.instrument
        price = 0 if job.market else self.price(holding, side, job.tries)
        value = instrument.grid.value_e8(price or self.reference(holding, side), quantity, round_up=False)
        dust = quantity < instrument.min_qty_lots or 0 < value < instrument.min_notional_e8
        leg = Leg.ALL if dust or job.everything else Leg.CLOSE
        if leg is Leg.ALL:
            price = 0
            core.count("dust" if dust else "close_all")
        core.leg_number += 1
        order = DeskOrder(
            link_id=link_id_of(core.config.run_tag, leg, core.leg_number), leg=leg, symbol=holding.symbol, side=side,
            order_type=OrderType.LIMIT if price else OrderType.MARKET, tif=TimeInForce.IOC, qty_lots=quantity,
            price_ticks=price, reduce_only=True, role=job.role, reason=job.reason, order_id=holding.order_id,
            decision_id=holding.decision_id,
        )
        job.leg = order
        job.tries += 1
        job.everything = False
        core.count("close_tries")
        self.flow.place(order, ttl_ns=core.config.close_ttl_ns)

    # --- prices ------------------------------------------------------------------------------------------------------
    def reference(self, holding: Holding, side: int) -> int:
        """The price a closing order of `side` meets now, in ticks; 0 = nothing fresh is known."""
        core, quote, venue = self.core, holding.quote, holding.venue
        if quote is not None and core.now_ns - holding.quote_ns <= core.config.quote_ns:
            touch = quote.ask_ticks if side > 0 else quote.bid_ticks
            if touch or quote.mark_ticks:
                return touch or quote.mark_ticks
        if venue is not None and core.now_ns - holding.venue_ns <= core.config.quote_ns and venue.mark_price_e8:
            return ticks_of(holding, venue.mark_price_e8)
        return 0

    def price(self, holding: Holding, side: int, tries: int) -> int:
        """Limit of the next IOC: wider with every try, inside the price limit; 0 = a market order."""
        widths = self.core.config.close_bps
        reference = self.reference(holding, side)
        if not reference or tries >= len(widths):
            return 0
        price = reference + side * max(reference * widths[tries] // BPS, 1)
        quote = holding.quote
        limit = 0 if quote is None else quote.buy_limit_ticks if side > 0 else quote.sell_limit_ticks
        return limit if limit and side * (price - limit) > 0 else max(price, 1)

    def on_timer(self) -> None:
        for job in list(self.jobs.values()):
            self.evaluate(job)

    def recover(self, holding: Holding, text: str) -> None:
        """A job read in the journal ("" = it ended)."""
        if not text:
            self.jobs.pop(holding.symbol, None)
            return
        role, reason = text.split(",")
        self.jobs[holding.symbol] = CloseJob(holding, OrderRole(int(role)), int(reason), self.core.now_ns)

    def adopt(self, order: DeskOrder) -> None:
        """A closing order read in the journal may still be out there: its job waits for it."""
        job = self.jobs.get(order.symbol)
        if job is not None:
            job.leg = order
            job.tries += 1


def ticks_of(holding: Holding, price_e8: int) -> int:
    """A computed price of the venue (1e-8 USDT, off the grid) to the nearest tick: a reference, never money."""
    return round(price_e8 / (1e8 * holding.instrument.tick_size))
