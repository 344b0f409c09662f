"""Historic bugs of other systems (RELIABILITY 3), put back into our desk one at a time: the seeds must catch each.

A mutant replaces one method while its sessions run. `plan` lays on thick what the bug is about (a directed session of
`tests.sim.coverage`), as its finders had weeks for it and the suite has seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from core.orders import exchange_desk_orders, ret_classes
from core.orders.exchange_desk import ExchangeDesk
from core.orders.exchange_desk_closes import Closes
from core.orders.exchange_desk_core import Holding
from core.orders.exchange_desk_entries import Entries
from core.orders.exchange_desk_fills import Fills
from core.orders.exchange_desk_kill import KillSequence
from core.orders.exchange_desk_orders import OrderFlow
from core.orders.exchange_words import Ack, ExecutionRow, Lost, QueryRows, TradingStop
from core.orders.lifecycle import Input
from core.orders.lookups import LookUps
from core.orders.order_store import DeskOrder
from core.orders.protection import Protection
from core.orders.reconcile import Reconciler
from core.orders.reconcile_pages import PagedQuery


class Patch(NamedTuple):
    """Replace `name` of `owner`; `make(original)` gives the new one."""

    owner: Any
    name: str
    make: Callable[[Any], Any]


class Mutant(NamedTuple):
    """`source` of the bug; `faults` of `tests.sim.coverage` whose directed sessions it is tried on ("" = plain seeds)."""

    source: str
    faults: tuple[str, ...]
    patches: tuple[Patch, ...]


@contextmanager
def applied(mutant: Mutant | None) -> Iterator[None]:
    """While it lasts the desk has the bug."""
    undo = []
    for patch in mutant.patches if mutant is not None else ():
        original = getattr(patch.owner, patch.name)
        undo.append((patch.owner, patch.name, original))
        setattr(patch.owner, patch.name, patch.make(original))
    try:
        yield
    finally:
        for owner, name, original in reversed(undo):
            setattr(owner, name, original)


def _timeout_is_refusal(original: Any) -> Any:
    def answered(self: OrderFlow, order: DeskOrder, answer: Any) -> None:
        if isinstance(answer, Lost):
            order.req_id = 0
            self.feed(order, Input.REFUSED)
        else:
            original(self, order, answer)

    return answered


def _retry_with_a_new_id(original: Any) -> Any:
    def answered(self: OrderFlow, order: DeskOrder, answer: Any) -> None:
        if isinstance(answer, Lost) and order.entry and len(order.link_id) < 26:
            twin = order.create(0)
            self.core.request(lambda req_id: twin._replace(req_id=req_id, link_id=order.link_id + "r"),
                              lambda answer: None, self.core.config.entry_ttl_ns, urgent=False)
        original(self, order, answer)

    return answered


def _ack_is_alive(original: Any) -> Any:
    def react(self: OrderFlow, order: DeskOrder, reaction: Any, answer: Ack) -> None:
        if answer.ret_code == 0:
            self.feed(order, Input.SEEN_OPEN)
            order.await_ns = 0
        else:
            original(self, order, reaction, answer)

    return react


def _funding_is_a_fill(original: Any) -> Any:
    def apply(self: Fills, row: ExecutionRow) -> bool:
        if row.exec_type == "Funding":
            row = row._replace(exec_type="Trade", price_ticks=row.price_ticks or 1)
        return original(self, row)

    return apply


def _fills_twice(original: Any) -> Any:
    def apply(self: Fills, row: ExecutionRow) -> bool:
        self.core.store.execs.pop(row.exec_id, None)
        return original(self, row)

    return apply


def _cancel_means_unfilled(original: Any) -> Any:
    def apply(self: Fills, row: ExecutionRow) -> bool:
        order = self.core.store.find(row.order_id, row.link_id)
        if order is not None and not order.alive:
            self.core.store.execs[row.exec_id] = row.exec_time_ms
            order.told_lots = order.cum_lots
            return False  # cancelled orders have no fills
        return original(self, row)

    return apply


def _gone_is_cancelled(original: Any) -> Any:
    def answered(self: OrderFlow, order: DeskOrder, answer: Any) -> None:
        if isinstance(answer, Ack) and answer.ret_code in (110001, 110008, 110010) and order.alive:
            order.change_id = 0
            order.told_lots = order.cum_lots
            self.feed(order, Input.SEEN_CANCELLED)
        else:
            original(self, order, answer)

    return answered


def _not_found_is_absent(original: Any) -> Any:
    def proof(self: LookUps, order: DeskOrder) -> int:
        return 0

    return proof


def _first_page_only(original: Any) -> Any:
    def answered(self: PagedQuery, answer: Any) -> None:
        original(self, answer._replace(next_cursor="") if isinstance(answer, QueryRows) else answer)

    return answered


def _no_poll(original: Any) -> Any:
    def on_timer(self: Reconciler) -> None:
        if not self.synced:
            original(self)

    return on_timer


def _no_reconcile_on_reconnect(original: Any) -> Any:
    def link(self: Reconciler, state: Any) -> None:
        synced = self.synced
        original(self, state)
        self.synced = synced
        self._suspects.clear()

    return link


def _nothing(original: Any) -> Any:
    return lambda self, *args, **kwargs: None


def _always(original: Any) -> Any:
    return lambda self, *args, **kwargs: True


def _no_watchdog(original: Any) -> Any:
    return lambda self, guard: None


def _one_try_for_a_stop(original: Any) -> Any:
    def answered(self: Protection, guard: Any, answer: Any) -> None:
        guard.req_id = 0
        guard.next_ns = 1 << 62  # logged, and returned

    return answered


def _one_try_to_close(original: Any) -> Any:
    def judge(self: Closes, job: Any, order: DeskOrder) -> None:
        original(self, job, order)
        job.next_ns = 1 << 62

    return judge


def _close_not_reduce_only(original: Any) -> Any:
    def create(self: DeskOrder, req_id: int) -> Any:
        return original(self, req_id)._replace(reduce_only=False, close_on_trigger=False)

    return create


def _closes_by_order_lots(original: Any) -> Any:
    def end(self: Closes, job: Any, order: DeskOrder) -> None:
        original(self, job, order)
        if order.cum_lots and self.jobs.get(order.symbol) is job:
            self._end(job)  # an order that filled has closed the position

    return end


def _stops_first_in_the_kill(original: Any) -> Any:
    def begin(self: KillSequence) -> None:
        for holding in self.core.holdings.values():
            if holding.at_stake:
                self.core.request(lambda req_id, s=holding.symbol: TradingStop(req_id, s, 0, 0), lambda answer: None,
                                  self.core.config.close_ttl_ns, urgent=True)
        original(self)

    return begin


def _forgets_on_restart(original: Any) -> Any:
    def recover(self: ExchangeDesk, now_ns: int, records: Any, booked: int = 0, working: Any = ()) -> int:
        return original(self, now_ns, [], booked, working)

    return recover


def _amend_to_the_full_size(original: Any) -> Any:
    def maker_to_taker(self: Entries, entry: Any, leg: Any, lots: int, price: int) -> None:
        original(self, entry, leg, entry.order.qty_lots, price)  # what is filled already is bought again

    return maker_to_taker


def _adopts_at_once(original: Any) -> Any:
    def changed(self: Reconciler, holding: Holding) -> None:
        if not holding.agrees and holding.venue is not None:
            self.adopt(holding)  # an inferred fill, before the real one comes
        original(self, holding)

    return changed


def _ambiguous_is_refused(original: Any) -> Any:
    def classify(code: int, text: str = "") -> Any:
        verdict = original(code, text)
        if verdict.kind is ret_classes.RetClass.AMBIGUOUS:
            return ret_classes.Verdict(ret_classes.RetClass.REFUSED, ret_classes.Reaction.REFUSE)
        return verdict

    return classify


def _child_is_an_entry(original: Any) -> Any:
    def book(self: Fills, row: ExecutionRow) -> bool:
        if row.stop_order_type and not row.link_id:
            row = row._replace(side=-row.side)
        return original(self, row)

    return book


MUTANTS: dict[str, Mutant] = {
    "timeout_is_refusal": Mutant("hummingbot#493, #6716", ("lost",), (
        Patch(OrderFlow, "_create_answered", _timeout_is_refusal),)),
    "retry_with_a_new_id": Mutant("catalyst#317", ("O01",), (
        Patch(OrderFlow, "_create_answered", _retry_with_a_new_id), Patch(ExchangeDesk, "may_leave", _always))),
    "ack_is_alive": Mutant("ccxt#15648", ("O08",), (
        Patch(OrderFlow, "_react", _ack_is_alive), Patch(Reconciler, "_ask_orders", _nothing))),
    "ambiguous_is_refused": Mutant("pybit#234", ("doubt",), (Patch(exchange_desk_orders, "classify", _ambiguous_is_refused),)),
    "not_found_is_absent": Mutant("nautilus#3870, ccxt#7411", ("late", "lost"), (
        Patch(LookUps, "proof_ns", _not_found_is_absent),)),
    "gone_is_cancelled": Mutant("hummingbot#2501", ("O04",), (Patch(OrderFlow, "_change_answered", _gone_is_cancelled),)),
    "cancel_means_unfilled": Mutant("freqtrade#9128", ("O04", "O05"), (
        Patch(Fills, "apply_execution", _cancel_means_unfilled),)),
    "fills_twice": Mutant("nautilus#1001", ("O07",), (Patch(Fills, "apply_execution", _fills_twice),)),
    "funding_is_a_fill": Mutant("nautilus#4937", ("O25",), (Patch(Fills, "apply_execution", _funding_is_a_fill),)),
    "child_fills_reversed": Mutant("nautilus#3815", ("O17", "O14"), (Patch(Fills, "apply_execution", _child_is_an_entry),)),
    "inferred_fill": Mutant("nautilus PR#3493", ("O08", "O03"), (Patch(Reconciler, "holding_changed", _adopts_at_once),)),
    "first_page_only": Mutant("nautilus#2879", ("pages",), (Patch(PagedQuery, "_answered", _first_page_only),)),
    "no_poll": Mutant("Lean.TradeStation PR#95, nautilus defaults", ("O08",), (Patch(Reconciler, "on_timer", _no_poll),)),
    "no_reconcile_on_reconnect": Mutant("vnpy_bybit#19", ("O09", "O40"), (
        Patch(Reconciler, "link", _no_reconcile_on_reconnect), Patch(Reconciler, "_suspect", _nothing),
        Patch(Reconciler, "_ask_executions", _nothing))),
    "no_watchdog": Mutant("passivbot#477, freqtrade#11570", ("O13",), (Patch(Protection, "check", _no_watchdog),)),
    "stop_tried_once": Mutant("freqtrade#8429: Giving up", ("O15", "O13"), (
        Patch(Protection, "_answered", _one_try_for_a_stop),)),
    "close_tried_once": Mutant("nexusfi: exits can be refused", ("kill",), (
        Patch(Closes, "_judge", _one_try_to_close),)),
    "close_not_reduce_only": Mutant("ccxt#24864: the close opened the other side", ("O32", "O33"), (
        Patch(DeskOrder, "create", _close_not_reduce_only),)),
    "filled_means_flat": Mutant("trading-gpt#103", ("O33",), (Patch(Closes, "_judge", _closes_by_order_lots),)),
    "kill_removes_stops": Mutant("bare cancel-all in the kill", ("O46", "kill"), (
        Patch(KillSequence, "begin", _stops_first_in_the_kill),)),
    "forgets_on_restart": Mutant("hummingbot#3561", ("crash",), (Patch(ExchangeDesk, "recover", _forgets_on_restart),)),
    "full_size_again": Mutant("nautilus#4154", ("O05",), (Patch(Entries, "_leg", _amend_to_the_full_size),)),
}
