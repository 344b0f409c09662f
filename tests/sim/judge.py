"""The judge: what the exchange itself has written down against what we believe, and the bounds of the money rules.

    nobody twice     an order id exists once; the legs of an intent fill no more than the intent
    nothing late     no entry is born after its time to live (deadline of its last try + receive window)
    never naked      a position without a stop at the exchange lasts at most 1 s while we could mend it
    books equal      positions, and cash to 1e-8 USDT term by term, wherever the session comes to rest (`cash.py`)
    guarded          execution gone, the guardian on duty: no entry works on, every position has its stop as fast
    kill             no entry leaves later than 50 ms after the command, no stop goes while there is a position
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from core.orders.broker import Broker
from core.orders.desk_journal import Executed, Intent
from core.orders.exchange_words import Create, Request, TradingStop
from core.sim.desk_link import RECV_WINDOW_MS
from core.sim.exchange import Exchange
from core.sim.exchange_types import OPEN_STATUSES, CancelType, OrderStatus, SimOrder, StopOrderType
from tests.sim.cash import compare

MS = 1_000_000
SECOND = 1000 * MS
NAKED_NS = 1 * SECOND
AFTER_LINK_NS = 1 * SECOND  # on top: 2 s after connectivity returns
AFTER_START_NS = 4 * SECOND  # on top: 5 s after a restart of ours
NAKED_IN_STORM_NS = 15 * SECOND  # while frames and requests are being lost
KILL_NS = 50 * MS
GUARD_NS = 2000 * MS  # an entry that works on while the guardian is on duty: seen at one look, cancelled at the next
ENTRY_TTL_NS = 2 * SECOND  # from the journal to the last byte


@dataclass(slots=True)
class Naked:
    """A symbol whose position has no stop at the exchange."""

    since_ns: int
    told: bool = False


@dataclass
class Judge:
    exchange: Exchange
    uid: int
    names: list[str]
    born: dict[str, int]  # by link id: when the exchange made the order
    boot_ns: int
    deposit_e8: int
    violations: list[str] = field(default_factory=list)
    intents: dict[str, Intent] = field(default_factory=dict)  # by link id
    journalled_ns: dict[str, int] = field(default_factory=dict)
    deadlines: dict[str, int] = field(default_factory=dict)  # of the last try of an entry, by link id
    killed_ns: int = 0
    killed_venue_ns: int = 0
    flat_ns: int = 0  # when the exchange showed nothing any more after the kill
    able_ns: int = 0  # since when we could mend (connected, alive), 0 = we cannot
    slack_ns: int = 0  # what a (re)start or reconnect gives on top
    storm_until_ns: int = 0
    guarded_ns: int = 0  # the guardian is on duty and reaches the exchange since then, 0 = it is not
    compared: int = 0  # books found equal
    open_compared: int = 0  # of them with a position open
    reordered: int = 0  # of them with the split between realised and open result of our own order
    adopted: int = 0  # of them after a position was taken over
    told: set[str] = field(default_factory=set)
    unable: set[str] = field(default_factory=set)  # symbols whose market takes nothing
    longest_naked_ns: int = 0
    naked: dict[str, Naked] = field(default_factory=dict)

    def say(self, now_ns: int, text: str) -> None:
        self.violations.append(f"{(now_ns - self.boot_ns) / SECOND:.3f} {text}")

    # --- while it runs -----------------------------------------------------------------------------------------------
    def leaves(self, now_ns: int, request: Request, deadline_ns: int) -> None:
        """A request leaves us."""
        if isinstance(request, Create) and not request.reduce_only:
            self.deadlines[request.link_id] = max(deadline_ns, self.deadlines.get(request.link_id, 0))
            if deadline_ns and now_ns > deadline_ns:
                self.say(now_ns, f"entry {request.link_id} leaves after its deadline")
            if self.guarded_ns:
                self.say(now_ns, f"entry {request.link_id} leaves while the guardian is on duty")
            if self.killed_ns and now_ns > self.killed_ns + KILL_NS:
                self.say(now_ns, f"entry {request.link_id} leaves {(now_ns - self.killed_ns) / MS:.1f} ms after the kill")
        if isinstance(request, TradingStop) and request.stop_ticks == 0 and self.lots(request.symbol):
            self.say(now_ns, f"the stop of {request.symbol} is taken away")

    def lots(self, symbol: str) -> int:
        return sum(p.lots for p in self.exchange.account(self.uid).positions(symbol))

    def look(self, now_ns: int, name: str) -> None:
        """Does the position of a symbol stand without a stop, and for how long?"""
        if self.killed_ns and not self.flat_ns and not any(self.lots(n) for n in self.names):
            self.flat_ns = now_ns
        bare = self.bare(name)
        state = self.naked.get(name)
        if not bare or name in self.unable:
            self.naked.pop(name, None)
            return
        if state is None:
            self.naked[name] = Naked(now_ns)
            return
        if not self.able_ns or state.told:
            return
        since = max(state.since_ns, self.able_ns + self.slack_ns)
        calm = now_ns - max(since, self.storm_until_ns)
        self.longest_naked_ns = max(self.longest_naked_ns, calm)
        if calm > NAKED_NS or now_ns - since > NAKED_IN_STORM_NS:
            state.told = True
            self.say(now_ns, f"{name} has had no stop for {(now_ns - state.since_ns) / MS:.0f} ms")

    def guarded(self, now_ns: int, venue_ns: int, name: str) -> None:
        """While the guardian is on duty no entry works on (one may be born late: it goes at the next look)."""
        if not self.guarded_ns or now_ns - max(self.guarded_ns, self.storm_until_ns) < GUARD_NS:
            return
        for order in self.exchange.working_of(self.uid, name):
            if not order.reduce_only and order.status in OPEN_STATUSES and venue_ns - order.created_ns > GUARD_NS and (
                    order.stop_order_type is StopOrderType.NONE and order.order_id not in self.told):
                self.told.add(order.order_id)
                self.say(now_ns, f"{order.order_link_id or order.order_id} works on while the guardian is on duty")

    def bare(self, name: str) -> bool:
        """A position without a stop at the exchange."""
        margin = self.exchange.account(self.uid)
        return any(p.lots and not p.stop_loss_ticks and not p.trailing_stop_ticks for p in margin.positions(name))

    def unseen(self, now_ns: int, name: str, symbol: int, broker: Broker) -> None:
        """An entry of ours works at the exchange, and the Broker believes it ended: its limits do not count it."""
        for order in self.exchange.working_of(self.uid, name):
            intent = self.intents.get(order.order_link_id)
            if intent is None or order.reduce_only or order.order_link_id in self.told:
                continue
            working = broker.working.get(symbol)
            if working is None or working.order.order_id != intent.order_id:
                self.told.add(order.order_link_id)
                self.say(now_ns, f"{order.order_link_id} works at the exchange, and the Broker was told that it ended")

    # --- at rest -----------------------------------------------------------------------------------------------------
    def protected(self) -> list[str]:
        """Symbols with a position and no stop."""
        return [name for name in self.names if self.bare(name)]

    def differences(self, broker: Broker, booked: Iterable[Executed]) -> list[str]:
        """What our books say against the ledger; [] = equal. `booked`: the executions in our journal."""
        found = []
        for symbol, instrument in broker.instruments.items():
            position = broker.account.positions.get(symbol)
            ours, theirs = position.lots if position else 0, self.lots(instrument.name)
            if ours != theirs:
                found.append(f"{instrument.name}: we hold {ours}, the exchange says {theirs}")
        if found:
            return found
        cash = compare(booked, self.exchange, self.uid, broker, self.deposit_e8)
        if not cash.found:
            self.compared += 1
            self.reordered += bool(cash.reordered)
            self.adopted += bool(cash.adopted)
            self.open_compared += any(self.lots(name) for name in self.names)
        return cash.found

    def orders(self) -> list[SimOrder]:
        exchange = self.exchange
        return exchange.open_orders(self.uid) + exchange.order_history(self.uid)

    def history(self, now_ns: int) -> None:
        """Every order the exchange has ever had of ours."""
        by_link: dict[str, list[SimOrder]] = defaultdict(list)
        filled: dict[int, int] = defaultdict(int)
        legs: dict[tuple[int, int], list[str]] = defaultdict(list)
        for order in self.orders():
            if self.killed_ns:
                self._stop_kept(now_ns, order)
            if not order.order_link_id:
                continue
            by_link[order.order_link_id].append(order)
            if order.reduce_only or order.order_link_id not in self.deadlines:
                continue
            born = self.born[order.order_link_id]
            limit = self.deadlines[order.order_link_id] + RECV_WINDOW_MS * MS
            if born > limit:
                self.say(now_ns, f"{order.order_link_id} is born {(born - limit) / MS:.0f} ms after its time")
            intent = self.intents.get(order.order_link_id)
            if intent is None:
                self.say(now_ns, f"{order.order_link_id} was never journalled")
                continue
            limit = self.journalled_ns[order.order_link_id] + ENTRY_TTL_NS + RECV_WINDOW_MS * MS
            if born > limit:
                self.say(now_ns, f"{order.order_link_id} is born {(born - limit) / MS:.0f} ms too long after its intent")
            filled[intent.order_id] += order.cum_qty_lots
            legs[intent.order_id, intent.leg].append(order.order_link_id)
            if filled[intent.order_id] > intent.total_lots:
                self.say(now_ns, f"intent {intent.order_id} wanted {intent.total_lots}, got {filled[intent.order_id]}")
        for link, twins in by_link.items():
            if len(twins) > 1:
                self.say(now_ns, f"{link} exists {len(twins)} times")
        for (order_id, leg), links in legs.items():
            if len(links) > 1:
                self.say(now_ns, f"intent {order_id} has several orders of leg {leg}: {links}")

    def _stop_kept(self, now_ns: int, order: SimOrder) -> None:
        """After a kill no stop is cancelled by us while there is a position (external hands are marked)."""
        if (
            order.stop_order_type is StopOrderType.STOP_LOSS and order.status is OrderStatus.DEACTIVATED
            and order.cancel_type is CancelType.USER and order.updated_ns > self.killed_venue_ns
            and order.order_id not in self.external and order.qty_lots and self.held_then(order)
        ):
            self.say(now_ns, f"the stop of {order.symbol} was taken away in the kill")

    external: set[str] = field(default_factory=set)  # order ids ended by other hands

    def held_then(self, order: SimOrder) -> bool:
        """Was there a position when the order ended? (fills up to then)"""
        lots = 0
        for fill in self.exchange.executions(self.uid, order.symbol):
            if fill.ts_ns <= order.updated_ns and fill.exec_type.text != "Funding":
                lots += fill.side * fill.qty_lots
        return lots != 0

    def working(self) -> list[SimOrder]:
        return [o for o in self.exchange.open_orders(self.uid) if o.status in OPEN_STATUSES]
