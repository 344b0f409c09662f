"""Our orders on their way: sent once (or again with the same id), answered, changed, told about, ended.

    place -> Persist(INTENT), Send(Create) -> answer -> reaction of its class (core.orders.ret_classes)
    row of the order stream, a look-up or a poll -> lifecycle

A retry carries the same id: the venue takes one of them at most. Nothing leaves after the order's time to live.
"""

from __future__ import annotations

from dataclasses import replace

from core.enums import Severity
from core.orders.desk_journal import Ended, intent_of
from core.orders.exchange_desk_core import MS, SECOND, Answer, DeskCore, Holding
from core.orders.exchange_words import (
    Ack,
    Amend,
    Cancel,
    InstrumentRow,
    Lost,
    OrderRow,
    QueryKind,
    QueryRows,
    TimeInForce,
)
from core.orders.lifecycle import ENDED, UNPROVED, Input, OrderState, input_of, step
from core.orders.lookups import LookUps
from core.orders.order_store import DeskOrder
from core.orders.ret_classes import (
    ALREADY_FLAT,
    MARGIN,
    RULES,
    SYMBOL_NOT_REDUCING,
    Reaction,
    RetClass,
    classify,
    classify_change,
)

RETRY_NS = 100 * MS
CHANGE_RETRY_NS = 300 * MS
WAITING = UNPROVED | {OrderState.INTENT}  # may be sent (again)
HARMLESS = frozenset({RetClass.UNCHANGED, RetClass.DUPLICATE})  # an answer to a retry: the first try was counted


class OrderFlow:
    """See the module."""

    def __init__(self, core: DeskCore, looks: LookUps) -> None:
        self.core = core
        self.looks = looks
        looks.apply_row = self.apply_row
        looks.absent = lambda order: self.feed(order, Input.PROVED_ABSENT)

    # --- sending ---------------------------------------------------------------------------------------------------
    def place(self, order: DeskOrder, total_lots: int = 0, flags: int = 0, ttl_ns: int = 0) -> None:
        """Write it down, send it. `ttl_ns` from now: no try leaves later."""
        core = self.core
        core.store.add(order)
        order.born_ns = core.now_ns
        order.ttl_ns = core.now_ns + (ttl_ns or core.config.entry_ttl_ns)
        core.persist(intent_of(order, core.symbol_id(order.symbol), total_lots, flags))
        self._send(order)

    def _send(self, order: DeskOrder) -> None:
        core = self.core
        order.tries += 1
        order.retry_ns = 0
        if order.tries > 1:
            core.count("dup_attempt")
        self.feed(order, Input.SEND)
        order.left_by_ns = order.ttl_ns
        order.req_id = core.request(
            order.create, lambda answer: self._create_answered(order, answer),
            max(order.ttl_ns - core.now_ns, 1), urgent=not order.entry,
        )

    def _create_answered(self, order: DeskOrder, answer: Answer) -> None:
        core = self.core
        order.req_id = 0
        if isinstance(answer, Ack):
            if answer.limit_left >= 0:
                core.counters["rate_left"] = answer.limit_left
            core.store.name(order, answer.order_id if answer.ret_code == 0 else "")
            verdict = classify(answer.ret_code, answer.ret_msg)
            order.ret_code = answer.ret_code
            if verdict.kind is not RetClass.TAKEN:
                if verdict.kind not in HARMLESS and not (order.reduce_only and answer.ret_code in ALREADY_FLAT):
                    core.failed()
                core.count(f"ret_{verdict.kind.value}")
                core.log(Severity.WARNING, "refused", order.symbol, f"{order.link_id}: {answer.ret_code} {answer.ret_msg}",
                         answer.ret_code)
            self._react(order, verdict.reaction, answer)
        elif isinstance(answer, Lost):
            if not answer.sent and not order.doubtful:
                self.feed(order, Input.NOT_SENT)
                return
            if answer.sent:
                core.failed()
                order.left_by_ns = min(order.left_by_ns, core.now_ns) if answer.why != "no answer" else order.left_by_ns
            self._doubt(order)

    def _react(self, order: DeskOrder, reaction: Reaction, answer: Ack) -> None:
        core = self.core
        if reaction is Reaction.AWAIT_STREAM:
            if order.alive and order.state is not OrderState.LIVE:
                order.await_ns = core.now_ns + core.config.stream_ns
            self.feed(order, Input.ACK)
        elif reaction in (Reaction.LOOK_UP, Reaction.READ_BACK):
            if answer.ret_code == 110072:
                core.count("dup_refused")
            self._doubt(order)
        elif reaction in (Reaction.RETRY_LATER, Reaction.RETRY_NEW_CLOCK):
            self._again(order, reaction, answer)
        else:
            self._refused(order, reaction, answer)

    def _again(self, order: DeskOrder, reaction: Reaction, answer: Ack) -> None:
        """Certainly not processed: the same id again while its time lasts, unless an earlier try has been seen."""
        core = self.core
        if order.state not in WAITING:
            return
        wait = RETRY_NS
        if reaction is Reaction.RETRY_NEW_CLOCK:
            core.count("clock_refused")
            core.measure_clock()
        else:
            core.count("rate_refused")
            wait = max(wait, (answer.limit_reset_ms - core.venue_ms) * MS if answer.limit_reset_ms else SECOND // 2)
        retry = core.now_ns + min(wait, SECOND)
        if retry < order.ttl_ns:
            order.retry_ns = retry
        elif order.doubtful:
            self._doubt(order)
        else:
            self.feed(order, Input.REFUSED)

    def _refused(self, order: DeskOrder, reaction: Reaction, answer: Ack) -> None:
        core = self.core
        holding = core.holding(order.symbol)
        if reaction is Reaction.STOP_ENTRIES:
            core.trouble("", "KEY", f"{answer.ret_code} {answer.ret_msg}")
        if holding is not None and order.entry:
            if reaction is Reaction.STOP_SYMBOL:
                core.switch_off(holding, "venue", core.now_ns + 10 * core.config.refusal_ns,
                                f"{answer.ret_code} {answer.ret_msg}")
            core.refused(holding, answer.ret_code, answer.ret_msg)
            if answer.ret_code in MARGIN:
                core.count("margin_reject")
                core.margin_until_ns = core.now_ns + core.config.margin_ns
            if answer.ret_code in RULES:
                core.ask(QueryKind.INSTRUMENT, lambda rows: self._rules(holding, rows), order.symbol)
        if answer.ret_code in SYMBOL_NOT_REDUCING:
            core.count("venue_reduce_only")
        if order.reduce_only and answer.ret_code in ALREADY_FLAT:
            core.count("close_race")
        if order.doubtful:  # an earlier try may have landed: the refusal of this one proves nothing
            self._doubt(order)
        else:
            self.feed(order, Input.REFUSED)

    def _rules(self, holding: Holding, answer: Answer) -> None:
        """Sizes are set anew twice a month, while we run (O29)."""
        for row in answer.rows if isinstance(answer, QueryRows) else ():
            if not isinstance(row, InstrumentRow) or row.symbol != holding.symbol:
                continue
            known = holding.instrument
            largest = min((n for n in (row.max_qty_lots, row.max_market_lots) if n), default=0)
            now = replace(known, min_qty_lots=row.min_qty_lots, max_qty_lots=largest,
                          min_notional_e8=row.min_notional_e8, trading=row.status == "Trading")
            if now != known:
                self.core.note(Severity.WARNING, "instr_change", holding.symbol, "trading filters changed")
                holding.instrument = self.core.instruments[holding.symbol] = now

    def _doubt(self, order: DeskOrder) -> None:
        """Nobody knows. A reduce-only order is tried again with the same id (the venue takes one of them)."""
        core = self.core
        order.doubtful = True
        order.await_ns = 0
        self.feed(order, Input.AMBIGUOUS)
        if order.state not in WAITING:  # the stream has shown it: that is the truth
            return
        core.count("unknown")
        if order.reduce_only and order.ret_code != 110072 and core.now_ns + RETRY_NS < order.ttl_ns:
            order.retry_ns = core.now_ns + RETRY_NS
        self.looks.start(order)

    # --- changing --------------------------------------------------------------------------------------------------
    def cancel(self, order: DeskOrder) -> None:
        """Ask to cancel; again and again until it has ended, one request at a time."""
        if not order.alive or order.change_id or order.state is OrderState.INTENT:
            return
        core = self.core
        if order.retry_ns and not order.doubtful:  # every try so far was certainly not taken
            order.retry_ns = 0
            self.feed(order, Input.REFUSED)
            return
        order.cancel_asked = True
        order.change_retry_ns = 0
        order.retry_ns = 0
        order.change_id = core.request(
            lambda req_id: Cancel(req_id, order.symbol, order.link_id, order.venue_id),
            lambda answer: self._change_answered(order, answer), core.config.close_ttl_ns, urgent=True,
        )

    def amend(self, order: DeskOrder, price_ticks: int | None, qty_lots: int | None) -> bool:
        """Change price or total quantity, never upwards (O06). False: not possible now."""
        if not order.alive or order.change_id or order.cancel_asked or order.unproved:
            return False
        if qty_lots is not None and (qty_lots > order.qty_lots or qty_lots <= max(order.cum_lots, order.told_lots)):
            return False
        core = self.core
        order.change_id = core.request(
            lambda req_id: Amend(req_id, order.symbol, order.link_id, order.venue_id, price_ticks, qty_lots),
            lambda answer: self._change_answered(order, answer), core.config.close_ttl_ns, urgent=True,
        )
        return True

    def _change_answered(self, order: DeskOrder, answer: Answer) -> None:
        core = self.core
        order.change_id = 0
        if not order.alive:
            return
        order.await_ns = order.await_ns or core.now_ns + core.config.stream_ns
        if isinstance(answer, Lost):
            order.await_ns = min(order.await_ns, core.now_ns + CHANGE_RETRY_NS)
            order.change_retry_ns = core.now_ns + CHANGE_RETRY_NS if order.cancel_asked else 0
        elif isinstance(answer, Ack) and answer.ret_code:
            verdict = classify_change(answer.ret_code, answer.ret_msg)
            core.count(f"ret_{verdict.kind.value}")
            if verdict.kind is RetClass.GONE:
                core.count("amend_race")
                if order.state is not OrderState.SENT:  # still on its way: nothing to cancel yet
                    self._look(order)
            if verdict.reaction is Reaction.RETRY_NEW_CLOCK:
                core.measure_clock()
            if verdict.reaction is Reaction.STOP_ENTRIES:
                core.trouble("", "KEY", f"{answer.ret_code} {answer.ret_msg}")
            if order.cancel_asked:
                order.change_retry_ns = core.now_ns + CHANGE_RETRY_NS
        core.order_changed(order)

    # --- what the exchange tells -----------------------------------------------------------------------------------
    def feed(self, order: DeskOrder, event: Input) -> None:
        """One input into the table; a change is told to whoever the order belongs to."""
        core = self.core
        before = order.state
        taken = step(before, event)
        if taken.note:
            core.count(taken.note)
        if taken.integrity:
            core.log(Severity.ERROR, "integrity", order.symbol, f"{order.link_id}: {event.name} while {before.name}")
        order.state = taken.state
        if taken.state not in WAITING:
            order.retry_ns = 0  # seen: nothing is to be sent again
        if taken.state in ENDED and before not in ENDED:
            order.ended_ns = core.now_ns
            order.await_ns = order.change_retry_ns = 0
        if taken.state is OrderState.UNKNOWN and before in ENDED:
            self.looks.start(order)
        if order.settled and not order.ended_told and order.state in ENDED:
            order.ended_told = True
            order.await_ns = 0
            self.looks.stop(order)
            core.persist(Ended(0, order.link_id, int(order.state), core.symbol_id(order.symbol), order.order_id,
                               order.decision_id, 0, order.reason, core.venue_ms))
        elif order.state in ENDED and not order.settled:
            order.await_ns = order.await_ns or core.now_ns + CHANGE_RETRY_NS  # executions are missing
        core.store.changed(order)
        if event is not Input.SEND:
            core.order_changed(order)

    def apply_row(self, row: OrderRow) -> DeskOrder | None:
        """A telling of an order; returns ours, or None for one we do not know."""
        core = self.core
        core.venue_ms = max(core.venue_ms, row.updated_ms)
        order = core.store.find(row.order_id, row.link_id)
        if order is None:
            return None
        core.store.name(order, row.order_id)
        event = input_of(row)
        if event is None:
            core.note(Severity.WARNING, "status_unknown", row.symbol, f"{row.link_id}: {row.status_text}")
            return order
        old = row.seq < order.seen_seq if row.seq and order.seen_seq else row.updated_ms < order.seen_ms
        order.told_lots = max(order.told_lots, row.cum_lots)
        if old and event in (Input.SEEN_OPEN, Input.SEEN_PARTIAL):
            return order
        order.seen_seq, order.seen_ms = max(row.seq, order.seen_seq), max(row.updated_ms, order.seen_ms)
        if event in (Input.SEEN_OPEN, Input.SEEN_PARTIAL):
            self._as_working(order, row)
            if order.cancel_asked and not order.change_id and not order.change_retry_ns:
                order.change_retry_ns = core.now_ns + CHANGE_RETRY_NS
        else:
            order.cancel_type, order.reject_reason = row.cancel_type, row.reject_reason
            if row.cancel_type == "CancelBySmp":
                core.count("smp")
        order.await_ns = 0
        self.feed(order, event)
        return order

    def _as_working(self, order: DeskOrder, row: OrderRow) -> None:
        """Price and quantity as they are on the book: limits move prices, the venue and people change orders."""
        core = self.core
        moved = row.price_ticks != order.price_ticks and order.price_ticks and row.price_ticks
        if moved and not order.change_id:
            core.count("price_limit_hit" if order.entry else "order_moved")
        if row.qty_lots != order.qty_lots and order.entry and row.qty_lots > 0:
            core.note(Severity.WARNING, "ext_order", order.symbol, f"{order.link_id}: quantity changed",
                      order.qty_lots, row.qty_lots)
        order.price_ticks = row.price_ticks or order.price_ticks
        order.qty_lots = row.qty_lots or order.qty_lots

    # --- time ------------------------------------------------------------------------------------------------------
    def on_timer(self) -> None:
        """Retries, and look-ups of orders nothing was heard of."""
        core = self.core
        for order in core.store.unclosed():
            if order.retry_ns and (core.now_ns >= order.ttl_ns or (order.entry and core.killed)):
                order.retry_ns = 0
                self._give_up(order)
            elif order.retry_ns and order.retry_ns <= core.now_ns and not order.req_id and core.reachable:
                self._send(order)
            if order.change_retry_ns and order.change_retry_ns <= core.now_ns and core.reachable:
                self.cancel(order)
            if order.closed:
                core.store.changed(order)
            waits = order.req_id or order.retry_ns or order.await_ns or order.link_id in self.looks.looks
            if (order.await_ns and order.await_ns <= core.now_ns) or (order.unproved and not waits):
                self._look(order)

    def _look(self, order: DeskOrder) -> None:
        """Something should have been heard of it."""
        order.await_ns = 0
        if order.state in (OrderState.SENT, OrderState.ACKED):
            self.feed(order, Input.AMBIGUOUS)
        self.looks.start(order, at_once=True)

    def _give_up(self, order: DeskOrder) -> None:
        if order.doubtful:
            self.looks.start(order)
        elif order.alive:
            self.feed(order, Input.REFUSED)


POST_ONLY_DIED = "EC_PostOnlyWillTakeLiquidity"


def died_as_maker(order: DeskOrder) -> bool:
    """Post-only that would have taken (O35): a normal outcome, not an error."""
    return order.tif is TimeInForce.POST_ONLY and order.reject_reason == POST_ONLY_DIED and order.cum_lots == 0
