"""The ExchangeDesk: the heart of LIVE execution, pure. It works the Broker's orders at a real exchange.

    Broker -> router -> submit, cancel, close, protect, kill        (what is wanted)
    link   -> on_event (answers, order/execution/position rows)     (what happened)
    clock  -> on_timer                                              (what is due)
    drain  -> Persist, Send, Tell, Log in this order                (what to do): a Send only behind its durable Persists

It tells the Broker FILL, DONE and CASH as the paper desk of a shard does, so account, limits and reports are one code.
The same object runs in the seeded simulation, in the process and in recovery: no clock, no socket, no randomness. Times
are ns of the monotonic clock; call `on_timer` at least every 50 ms. Public calls name symbols by their id.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from core.enums import Gate, OrderRole
from core.orders.exchange_desk_closes import Closes
from core.orders.exchange_desk_core import FOREVER, SECOND, DeskConfig, DeskCore, Holding, Trouble, cause_of
from core.orders.exchange_desk_entries import Entries
from core.orders.exchange_desk_fills import Fills
from core.orders.exchange_desk_kill import KillPhase, KillSequence
from core.orders.exchange_desk_ladder import Ladder
from core.orders.exchange_desk_orders import OrderFlow
from core.orders.exchange_desk_recovery import positions_left, recover
from core.orders.exchange_words import (
    Ack,
    Banned,
    ClockOffset,
    Create,
    Effect,
    Event,
    ExecutionRow,
    LinkState,
    Lost,
    OrderRow,
    PositionRow,
    QueryKind,
    QueryRows,
    Quote,
    Request,
    Stream,
    WalletRow,
)
from core.orders.lookups import LookUps
from core.orders.order_store import CLOSING_LEGS, DeskOrder, Leg, link_id_of
from core.orders.protection import Protection
from core.orders.reconcile import Reconciler
from core.orders.reconcile_pages import Listing, PagedQuery
from core.orders.router import Order
from core.risk.policy import Instrument

PRUNE_NS = 60 * SECOND

__all__ = ["DeskConfig", "ExchangeDesk", "Trouble"]


class ExchangeDesk:
    """See the module. `know` every instrument before its first use, `recover` before the first event."""

    def __init__(self, config: DeskConfig = DeskConfig()) -> None:
        self.core = core = DeskCore(config)
        self.looks = LookUps(core)
        self.flow = OrderFlow(core, self.looks)
        self.fills = Fills(core, self.flow)
        self.entries = Entries(core, self.flow, self.fills)
        self.closes = Closes(core, self.flow, self.entries, self.looks)
        self.protection = Protection(core, self.fills, self.closes, self.looks)
        self.ladder = Ladder(core, self.flow, self.closes)
        self.recon = Reconciler(core, self.flow, self.fills, self.looks, self.entries, self.closes)
        self.killing = KillSequence(core, self.flow, self.entries, self.closes, self.recon)
        self._names: dict[int, str] = {}
        self._prune_ns = 0
        core.order_changed = self._order_changed
        core.holding_changed = self._holding_changed

    # --- what is wanted ----------------------------------------------------------------------------------------------
    def know(self, instrument: Instrument) -> None:
        """An instrument, new or changed (its id and grid stay)."""
        self._names[instrument.id] = instrument.name
        self.core.instruments[instrument.name] = instrument
        holding = self.core.holdings.get(instrument.name)
        if holding is not None:
            holding.instrument = instrument

    def submit(
        self, now_ns: int, order: Order, instrument: Instrument, work_ns: int, leverage_e2: int = 0
    ) -> Gate:
        """Work an entry the gates have passed: `work_ns` as maker before what is left is taken (0: as long as it takes),
        with that leverage (0: whatever stands). NONE = taken, and from here on every fill and its end are told; else
        why not, and nothing has happened."""
        core = self.core
        core.now_ns = now_ns
        self.know(instrument)
        holding = core.holding(instrument.name)
        if holding is None or not self.ready:
            return Gate.KILLED if core.killed else Gate.FEED
        gate = self.entries.gate(holding)
        if gate is Gate.NONE:
            self.entries.begin(order, instrument, work_ns, leverage_e2)
        return gate

    def label(self, order: Order) -> str:
        """What the ids of all orders made for it begin with."""
        return link_id_of(self.core.config.run_tag, Leg.MAKER, order.order_id)[:-1]

    def cancel(self, now_ns: int, symbol: int, reason: int) -> bool:
        """Cancel the working entry of a symbol; False: there is none."""
        self.core.now_ns = now_ns
        return self.entries.cancel(self._names.get(symbol, ""), reason)

    def close(self, now_ns: int, symbol: int, role: OrderRole, reason: int) -> bool:
        """Close a symbol reduce-only until it is flat, its entry cancelled first; False: nothing known of it."""
        self.core.now_ns = now_ns
        holding = self.core.holding(self._names.get(symbol, ""))
        if holding is None or not (holding.lots or holding.at_stake or holding.symbol in self.entries.working):
            return False
        self.closes.begin(holding, role, cause_of(reason))
        return True

    def protect(
        self, now_ns: int, symbol: int, stop_ticks: int, targets: tuple[tuple[int, int], ...] | None = None
    ) -> bool:
        """Move the stop (0: leave it) and, unless None, replace the targets by a ladder of (price ticks, lots)."""
        self.core.now_ns = now_ns
        holding = self.core.holding(self._names.get(symbol, ""))
        if holding is None or not (holding.lots or holding.at_stake):
            return False
        self.protection.want(holding, stop_ticks, targets)
        if targets is not None:
            self.ladder.want(holding)
        return True

    def kill(self, now_ns: int) -> None:
        """Latch, cancel entries, close everything, prove it flat; stays until `clear_kill`."""
        self.core.now_ns = now_ns
        self.killing.begin()

    def clear_kill(self, now_ns: int) -> None:
        """A person has looked."""
        self.core.now_ns = now_ns
        self.killing.clear()

    def clear_trouble(self, now_ns: int, symbol: int, code: str) -> bool:
        """A person has looked at a trouble (INTEGRITY_BROKEN: the exchange's side is taken over). False: there is none."""
        core = self.core
        core.now_ns = now_ns
        name = self._names.get(symbol, "") if symbol >= 0 else ""
        if (symbol, code) not in core.troubles:
            return False
        holding = core.holdings.get(name)
        if code == "INTEGRITY_BROKEN" and holding is not None:
            self.recon.adopt(holding)
        core.clear_latched(name, code)
        return True

    def clear_symbol(self, now_ns: int, symbol: int) -> None:
        """A person allows entries on a symbol again."""
        self.core.now_ns = now_ns
        holding = self.core.holding(self._names.get(symbol, ""))
        if holding is not None:
            self.core.switch_on(holding)

    def ask_history(
        self, now_ns: int, what: QueryKind, symbol: str, since_ms: int, until_ms: int, done: Callable[[Listing], None]
    ) -> None:
        """The exchange's own listing of a symbol (EXECUTIONS, CLOSED_PNL), all its pages; `done` must ask nothing itself."""
        self.core.now_ns = now_ns
        PagedQuery(self.core, what, done, symbol, since_ms, until_ms).start()

    # --- what happened -----------------------------------------------------------------------------------------------
    def on_event(self, now_ns: int, event: Event) -> None:
        """An answer, a row of a stream, or news of the link."""
        core = self.core
        core.now_ns = now_ns
        if isinstance(event, Ack | Lost | QueryRows):
            core.answer(event)
        elif isinstance(event, OrderRow):
            if self.flow.apply_row(event) is None:
                self.recon.stranger(event)
                self.protection.stop_told(event)
        elif isinstance(event, ExecutionRow):
            self.fills.apply_execution(event)
        elif isinstance(event, PositionRow):
            self.recon.apply_position(event)
        elif isinstance(event, WalletRow):
            self.recon.wallet = event
        elif isinstance(event, LinkState):
            core.links[event.stream] = (event.up, event.epoch)
            self.recon.link(event)
        elif isinstance(event, ClockOffset):
            core.clock_ns = 0
        elif isinstance(event, Banned):
            core.count("ip_ban")
            core.banned_until_ns = event.until_ns
        elif isinstance(event, Quote):
            holding = core.holding(event.symbol)
            if holding is not None:
                holding.quote, holding.quote_ns = event, now_ns

    def on_timer(self, now_ns: int) -> None:
        """Whatever is due."""
        core = self.core
        core.now_ns = now_ns
        core.expire()
        self.flow.on_timer()
        self.looks.on_timer()
        self.killing.on_timer()
        self.entries.on_timer()
        self.closes.on_timer()
        self.protection.on_timer()
        self.ladder.on_timer()
        self.recon.on_timer()
        if core.clock_ns >= FOREVER and core.can_ask and now_ns - core.clock_asked_ns >= SECOND:
            core.measure_clock()
        if now_ns - self._prune_ns >= PRUNE_NS:
            self._prune_ns = now_ns
            self._prune()

    def drain(self) -> list[Effect]:
        """What to do, in order; call it after every call above."""
        effects, self.core.effects = self.core.effects, []
        return effects

    def may_leave(self, now_ns: int, request: Request) -> bool:
        """To be asked right before the first byte of a Send leaves (it may have waited for the disk or for budget): is it
        still wanted? False only for entries: killed, cancelled or too old by now; then answer Lost(sent=False)."""
        core = self.core
        if not isinstance(request, Create) or request.reduce_only:
            return True
        order = core.store.by_link.get(request.link_id)
        if order is None or order.req_id != request.req_id or not order.alive:
            return False
        entry = self.entries.by_order.get(order.order_id)
        return not core.killed and now_ns < order.ttl_ns and entry is not None and not entry.cancel

    def recover(
        self, now_ns: int, records: Iterable[tuple[int, bytes]], booked: int = 0, working: Iterable[Order] = ()
    ) -> int:
        """Build the desk up again from its journal (kind, payload). `booked`: the highest `message.seq` of this desk that
        the Broker has booked (0 = none): later ones are told again. `working`: entries the Broker believes at work;
        those that never got as far as the journal are told DONE. Returns how many messages were told again.
        Raises DeskRecordError."""
        self.core.now_ns = now_ns
        return recover(self, records, booked, list(working))

    def inherit(self, records: Iterable[tuple[int, bytes]]) -> None:
        """The desk records of the run before this one: what it held is ours. Raises DeskRecordError."""
        self.core.earlier = positions_left(records)

    # --- what stands -------------------------------------------------------------------------------------------------
    @property
    def ready(self) -> bool:
        """Reconciled, connected, on time and without a trouble of the whole: entries are allowed."""
        core = self.core
        return (
            self.recon.synced and not core.killed and core.up(Stream.PRIVATE) and core.reachable and core.can_ask
            and core.clock_ns == 0
            and not any(symbol < 0 for symbol, _ in core.troubles)
        )

    @property
    def trouble(self) -> list[Trouble]:
        """What keeps entries away, with both sides."""
        return [self.core.troubles[key] for key in sorted(self.core.troubles)]

    @property
    def flat(self) -> bool:
        """Nothing held, nothing working, nothing that may still be born; while killed: proved."""
        if self.core.killed:
            return self.killing.phase is KillPhase.FLAT
        return not self.entries.working and not self.closes.jobs and not any(
            h.lots - h.ignored_lots or h.at_stake for h in self.core.holdings.values()
        ) and not any(o.alive and not o.reduce_only for o in self.core.store.unclosed())

    @property
    def counters(self) -> Counter[str]:
        """By the metric names of the fault catalogue; `unknown_open` and `rate` of now included."""
        self.core.counters["unknown_open"] = sum(o.unproved for o in self.core.store.unclosed())
        return self.core.counters

    @property
    def wallet(self) -> WalletRow | None:
        """As told last."""
        return self.recon.wallet

    def failures(self, now_ns: int) -> int:
        """Orders of the last minute that were refused or lost, for the kill trigger; none from before a cleared kill."""
        since = now_ns - self.core.config.failures_ns
        return sum(at > since for at in self.core.failures)

    def lots(self, symbol: int) -> int:
        """Signed position as booked."""
        holding = self.core.holdings.get(self._names.get(symbol, ""))
        return 0 if holding is None else holding.lots

    def name_of(self, symbol: int) -> str:
        return self._names.get(symbol, "")

    # --- between the parts --------------------------------------------------------------------------------------------
    def _order_changed(self, order: DeskOrder) -> None:
        if order.entry:
            self.entries.changed(order)
        elif order.leg in CLOSING_LEGS:
            self.closes.changed(order)
        elif order.leg is Leg.TARGET:
            self.ladder.changed(order)

    def _holding_changed(self, holding: Holding) -> None:
        self.recon.holding_changed(holding)
        self.closes.holding_changed(holding)
        self.protection.holding_changed(holding)

    def _prune(self) -> None:
        core = self.core
        before = core.now_ns - core.config.fillable_ns
        known = set(self.entries.by_order)
        core.store.prune(before, core.checkpoint_ms - 2 * core.config.overlap_ms)
        self.entries.forget(known - {o.order_id for o in core.store})
