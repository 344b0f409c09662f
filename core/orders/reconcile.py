"""Reconciliation: one way for start, reconnect, restart and every day, because all of them are the same question.

    executions since the checkpoint -> open orders -> positions -> (wallet)      every page, in this order
        |                                |               |
        booked once by exec id           table, look-up  compared with what we booked
                                         of the missing

`synced` after a complete pass since the private stream came up in which both sides agreed; entries wait for it (orders
still UNKNOWN count as filled in every limit). Beside the streams it goes on: orders and positions every 5 s, executions
every 30 s. Books that do not agree are asked for again (executions, position); if they still do not, INTEGRITY_BROKEN
is shown with both sides and entries stop, until they agree, or a person adopts the exchange's side.
"""

from __future__ import annotations

from dataclasses import dataclass

from core.enums import Cause, OrderRole, Severity
from core.orders.exchange_desk_closes import Closes
from core.orders.exchange_desk_core import FOREVER, MS, SECOND, DeskCore, Holding
from core.orders.exchange_desk_entries import Entries
from core.orders.exchange_desk_fills import ADOPTED, Fills
from core.orders.exchange_desk_orders import OrderFlow
from core.orders.exchange_words import (
    Cancel,
    ExecutionRow,
    LinkState,
    OrderRow,
    PositionRow,
    QueryKind,
    StopOrderType,
    Stream,
    WalletRow,
)
from core.orders.lifecycle import OrderState
from core.orders.lookups import LookUps
from core.orders.order_store import run_of
from core.orders.protection import average_ticks
from core.orders.reconcile_cash import CashCheck
from core.orders.reconcile_pages import Listing, PagedQuery

RETRY_NS = 500 * MS
CASH_AGAIN_NS = 2 * SECOND
SUSPECT_NS = 300 * MS  # books may disagree this long while messages are on their way
ASK_NS = 500 * MS
BROKEN_NS = 2500 * MS
LAGS_NS = 15_000 * MS  # lists of executions lag behind by seconds at times
OURS_NS = 60_000 * MS
SEEN = frozenset({OrderState.LIVE, OrderState.PARTIALLY_FILLED})


@dataclass(slots=True)
class Suspicion:
    """Books of one symbol that do not agree: what has been asked since."""

    since_ns: int
    asked_ns: int = -FOREVER
    executions: int = 0
    positions: int = 0


class Reconciler:
    """See the module."""

    def __init__(self, core: DeskCore, flow: OrderFlow, fills: Fills, looks: LookUps, entries: Entries, closes: Closes) -> None:
        self.core = core
        self.flow = flow
        self.fills = fills
        self.looks = looks
        self.closes = closes
        looks.apply_position = entries.apply_position = self.apply_position
        fills.foreign_fill = self.foreign_fill
        self.synced = False
        self.rounds = 0  # complete orders + positions
        self.round_began_ns = 0
        self.entries_seen = 0  # plain orders that can open, in the last round
        self.wallet: WalletRow | None = None
        self._running = False
        self._gap = False  # the private stream came or went since the pass began
        self._next_ns = 0
        self._executions_ns = 0
        self._wallet_ns = 0
        self._asking_executions = False
        self._down_ns = 0
        self._suspects: dict[str, Suspicion] = {}
        self._strangers: set[str] = set()
        self._live_before: set[str] = set()
        self._orders_began_ns = 0
        self._cash = CashCheck(core)
        self._takeover = self._rounds_wanted = 0

    # --- when --------------------------------------------------------------------------------------------------------
    def link(self, state: LinkState) -> None:
        """A stream came or went. After every gap of the private stream nothing is believed until a complete pass."""
        core = self.core
        if state.stream is Stream.PRIVATE:
            if state.up and self._down_ns:
                core.counters["priv_gap_ms"] = max(core.counters["priv_gap_ms"], (core.now_ns - self._down_ns) // MS)
            self._down_ns = 0 if state.up else core.now_ns
            self.synced, self._gap = False, True
            self._executions_ns = self._wallet_ns = 0
        if state.up:
            self._next_ns = core.now_ns

    def ask_now(self, delay_ns: int = 0) -> None:
        """The next pass begins soon."""
        self._next_ns = min(self._next_ns, self.core.now_ns + delay_ns)

    def reconciled_after(self, takeover: int) -> bool:
        """The guardian was at work (its takeover of that number): has a complete round, begun after we noticed, been
        believed?"""
        if takeover != self._takeover:
            self._takeover, self._rounds_wanted = takeover, self.rounds + 2  # one may be under way
            self.ask_now()
        return self.synced and self.rounds >= self._rounds_wanted

    def on_timer(self) -> None:
        """Begin a pass when it is due; look after suspicions."""
        core = self.core
        if core.can_ask and not self._running and core.now_ns >= self._next_ns:
            self._running, self._gap = True, False
            if core.checkpoint_ms == 0:
                PagedQuery(core, QueryKind.POSITIONS, self._base).start()
            elif core.now_ns >= self._executions_ns:
                self._ask_executions(in_pass=True)
            else:
                self._ask_orders()
        if core.can_ask and core.now_ns >= self._wallet_ns:
            self._wallet_ns = core.now_ns + core.config.wallet_ns
            PagedQuery(core, QueryKind.WALLET, self._wallet).start()
        for symbol in list(self._suspects):
            self._suspect(core.holdings[symbol])

    def _failed(self) -> None:
        self._running = False
        self._next_ns = self.core.now_ns + RETRY_NS

    # --- a first start: what is there is the base ----------------------------------------------------------------------
    def _base(self, listing: Listing) -> None:
        """Executions before this moment are nobody's; positions that stand are external ones."""
        core = self.core
        now_ms = listing.now_ms or core.venue_ms
        if listing.rows is None or not now_ms:
            self._failed()
            return
        core.store.forgotten_ms = now_ms
        core.checkpoint(now_ms)
        for row in listing.rows:
            if isinstance(row, PositionRow):
                self.apply_position(row)
                holding = core.holding(row.symbol)
                if holding is not None and row.lots and not holding.agrees:
                    self.adopt(holding)
        self._ask_orders()

    # --- executions ----------------------------------------------------------------------------------------------------
    def _ask_executions(self, in_pass: bool) -> None:
        """Everything since the checkpoint, in windows the venue takes, oldest first; then, in a pass, the orders."""
        core = self.core
        self._asking_executions = True
        def window(since_ms: int) -> None:
            until = since_ms + core.config.window_ms if core.venue_ms - since_ms > core.config.window_ms else 0

            def got(listing: Listing) -> None:
                if listing.rows is None:
                    self._asking_executions = False
                    if in_pass:
                        self._failed()
                    return
                self._book(listing)
                end = since_ms + core.config.window_ms
                if core.venue_ms > end:  # asked without an end the venue answers a window, too: of days, not of all
                    window(end)
                    return
                self._asking_executions = False
                core.checkpoint(core.venue_ms)
                for suspect in self._suspects.values():
                    suspect.executions += listing.began_ns >= suspect.since_ns
                if in_pass:
                    self._executions_done()

            PagedQuery(core, QueryKind.EXECUTIONS, got, None, since_ms, until).start()

        window(max(core.checkpoint_ms - core.config.overlap_ms, core.store.forgotten_ms))

    def _book(self, listing: Listing) -> None:
        rows = [row for row in listing.rows or () if isinstance(row, ExecutionRow)]
        for row in sorted(rows, key=lambda r: (r.exec_time_ms, r.seq, r.exec_id)):
            if self.fills.apply_execution(row) and self.synced:
                self.core.note(Severity.WARNING, "recon_diff", row.symbol, f"execution {row.exec_id} was not streamed")

    def _executions_done(self) -> None:
        if not self._gap:
            self._executions_ns = self.core.now_ns + self.core.config.poll_executions_ns
        self._ask_orders()

    # --- orders --------------------------------------------------------------------------------------------------------
    def _ask_orders(self) -> None:
        self._live_before = {o.link_id for o in self.core.store.unclosed() if o.state in SEEN}
        self._orders_began_ns = self.core.now_ns
        PagedQuery(self.core, QueryKind.ORDER_REALTIME, self._orders).start()

    def _orders(self, listing: Listing) -> None:
        if listing.rows is None:
            self._failed()
            return
        seen: set[str] = set()
        self._strangers &= {row.order_id for row in listing.rows if isinstance(row, OrderRow)}
        opening = 0
        for row in listing.rows:
            if isinstance(row, OrderRow):
                seen.add(row.link_id)
                opening += row.stop_order_type is StopOrderType.NONE and not row.reduce_only
                if self.flow.apply_row(row) is None:
                    self.stranger(row)
        self.entries_seen = opening
        for link_id in sorted(self._live_before - seen):
            order = self.core.store.by_link.get(link_id)
            if order is not None and order.state in SEEN:
                self.core.count("order_missing")
                self.core.count("recon_diff")
                self.looks.start(order, at_once=True)
        PagedQuery(self.core, QueryKind.POSITIONS, self._positions).start()

    def stranger(self, row: OrderRow) -> None:
        """An open order that is not in our books: a child of ours, one of an earlier life or run, or somebody else's.
        What an earlier run left working is cancelled, like an entry whose time has passed; its stops are the position's."""
        core = self.core
        if row.order_id in self._strangers:
            return
        if row.stop_order_type not in (StopOrderType.NONE, StopOrderType.STOP):
            core.count("orphan_child")  # stops of the position: protective, looked at through the position
            return
        if row.leaves_lots == 0:
            return
        self._strangers.add(row.order_id)
        made_by = run_of(row.link_id)
        if made_by is not None:
            if made_by == core.config.run_tag:
                core.note(Severity.ERROR, "orphan_order", row.symbol, f"{row.link_id} is ours and not in the journal: cancelled")
            else:
                core.note(Severity.WARNING, "earlier_order", row.symbol, f"{row.link_id} is of an earlier run of ours: cancelled")
            core.request(lambda req_id: Cancel(req_id, row.symbol, row.link_id, row.order_id),
                         lambda answer: self._strangers.discard(row.order_id), core.config.close_ttl_ns, urgent=True)
            return
        core.note(Severity.WARNING, "ext_order", row.symbol, f"order {row.order_id} {row.link_id} is not ours")
        holding = core.holding(row.symbol)
        if holding is not None:
            core.switch_off(holding, "ext_order", core.now_ns + core.config.cooldown_ns, "external order")

    # --- positions -----------------------------------------------------------------------------------------------------
    def _positions(self, listing: Listing) -> None:
        if listing.rows is None:
            self._failed()
            return
        core = self.core
        seen = set()
        for row in listing.rows:
            if isinstance(row, PositionRow):
                seen.add(row.symbol)
                self.apply_position(row)
        for holding in list(core.holdings.values()):
            if holding.symbol not in seen and (holding.lots or holding.venue_lots):
                self._ask_position(holding)  # open ones are listed: ask for the one that is gone, with its seq
        self.rounds += 1
        self.round_began_ns = self._orders_began_ns
        self._running = False
        self._next_ns = core.now_ns + core.config.poll_ns
        if not self.synced:
            self._sync_or_wait()

    def _sync_or_wait(self) -> None:
        core = self.core
        if self._gap:
            self._next_ns = core.now_ns
        elif core.up(Stream.PRIVATE) and all(h.agrees for h in core.holdings.values()):
            self.synced = True
            core.log(Severity.INFO, "synced", "", "orders, executions and positions agree with the exchange")
        else:
            self._next_ns = core.now_ns + RETRY_NS

    def _ask_position(self, holding: Holding) -> None:
        def got(listing: Listing) -> None:
            for row in listing.rows or ():
                if isinstance(row, PositionRow):
                    self.apply_position(row)
            suspect = self._suspects.get(holding.symbol)
            if suspect is not None and listing.rows is not None:
                suspect.positions += listing.began_ns >= suspect.since_ns

        PagedQuery(self.core, QueryKind.POSITIONS, got, holding.symbol).start()

    def apply_position(self, row: PositionRow) -> None:
        """A telling of a position, from a stream or an answer; older ones are dropped."""
        core = self.core
        core.venue_ms = max(core.venue_ms, row.updated_ms)
        holding = core.holding(row.symbol)
        if holding is None:
            if row.lots:
                core.trouble("", "INSTRUMENT", f"position of unknown {row.symbol}")
            return
        if row.position_idx:
            if row.lots:
                core.count("mode_mismatch")
                core.trouble(row.symbol, "MODE", "hedge mode: one-way is wanted", "0", str(row.position_idx))
            return
        old = holding.venue
        if old is not None and (row.seq, row.updated_ms) < (old.seq, old.updated_ms):
            core.count("old_position")
            return
        holding.venue, holding.venue_ns = row, core.now_ns
        self._watch(holding, row, old)
        core.holding_changed(holding)

    def _watch(self, holding: Holding, row: PositionRow, old: PositionRow | None) -> None:
        """What else a position tells: liquidation, deleveraging, a venue that takes only reducing orders, leverage."""
        core = self.core
        if row.status == "Liq":
            core.trouble("", "LIQUIDATION", f"{row.symbol} is being liquidated", latch=True)
        if row.adl_rank >= core.config.adl_rank and (old is None or old.adl_rank < row.adl_rank):
            core.note(Severity.CRITICAL, "adl_rank", row.symbol, "close to auto-deleveraging", row.adl_rank)
        if row.is_reduce_only:
            core.count("venue_reduce_only")
            core.switch_off(holding, "reduce_only", core.now_ns + 2 * core.config.poll_ns, "the venue only reduces")
        if old is not None and old.leverage_e2 != row.leverage_e2 and old.leverage_e2:
            core.note(Severity.WARNING, "lev_mismatch", row.symbol, "leverage changed", old.leverage_e2, row.leverage_e2)

    def holding_changed(self, holding: Holding) -> None:
        """A fill or a telling: do both sides agree?"""
        core = self.core
        if holding.agrees:
            if self._suspects.pop(holding.symbol, None) is not None:
                core.clear(holding.symbol, "INTEGRITY_BROKEN")
            if not holding.lots:
                holding.ignored_lots = 0
                holding.off.pop("ext_position", None)
        elif holding.symbol not in self._suspects:
            self._suspects[holding.symbol] = Suspicion(core.now_ns)

    def _suspect(self, holding: Holding) -> None:
        core = self.core
        suspect = self._suspects[holding.symbol]
        age = core.now_ns - suspect.since_ns
        if age < SUSPECT_NS or not core.can_ask:
            return
        if core.now_ns - suspect.asked_ns >= (ASK_NS if age < 4 * BROKEN_NS else 4 * ASK_NS):
            suspect.asked_ns = core.now_ns
            if not self._asking_executions and core.checkpoint_ms:
                self._ask_executions(in_pass=False)
            self._ask_position(holding)
        if age < BROKEN_NS or suspect.executions < 2 or suspect.positions < 2:
            return
        busy = any(o.unproved or (not o.settled and not o.alive) for o in core.store.of(holding.symbol))
        ours = any(core.now_ns - max(o.born_ns, o.ended_ns) < OURS_NS for o in core.store.of(holding.symbol))
        if not holding.lots and not busy and (age >= LAGS_NS or not ours):  # its executions may only be late
            self.adopt(holding)
        elif core.trouble(holding.symbol, "INTEGRITY_BROKEN", "the position is not the sum of our executions",
                          str(holding.lots), str(holding.venue_lots)) and core.config.panic_close:
            self.closes.begin(holding, OrderRole.KILL, int(Cause.KILL))

    # --- strangers -----------------------------------------------------------------------------------------------------
    def adopt(self, holding: Holding) -> None:
        """Take the exchange's side of a symbol over: book the difference at the average price told, as an execution of
        nobody's (`foreign_fill` says whose the position then is)."""
        core, venue = self.core, holding.venue
        if venue is None or holding.agrees:
            return
        difference = venue.signed_lots - holding.lots
        side = 1 if difference > 0 else -1
        price = average_ticks(holding) or self.closes.reference(holding, side)
        if price <= 0:
            core.log(Severity.ERROR, "adopt", holding.symbol, "no price is known: not adopted")
            return
        self.fills.apply_execution(ExecutionRow(
            f"adopt-{holding.symbol}-{venue.seq}-{core.number}", ADOPTED, "", "", holding.symbol, side, price,
            abs(difference), 0, False, 0, max(core.venue_ms, core.store.forgotten_ms), venue.seq,
        ))

    def foreign_fill(self, holding: Holding, row: ExecutionRow) -> None:
        """An execution that no order in our books explains opened or enlarged a position. Of an earlier run of ours: it
        is ours, taken over and protected. Of somebody else: policy."""
        core = self.core
        if self.fills.of_ours(holding, row):
            if row.exec_type == ADOPTED:
                del core.earlier[row.symbol]  # what comes later is not what that run left
            core.note(Severity.WARNING, "earlier_run", row.symbol,
                      f"execution {row.exec_id} of an earlier run of ours: taken over", row.side * row.qty_lots)
            return
        policy = core.config.adopt
        core.switch_off(holding, "ext_position", FOREVER - 1, "external position")
        core.note(Severity.CRITICAL, "ext_position", row.symbol, f"execution {row.exec_id} is not ours: {policy}",
                  row.side * row.qty_lots)
        if policy == "close":
            self.closes.begin(holding, OrderRole.EXIT, int(Cause.CONTROL))

    def _wallet(self, listing: Listing) -> None:
        for row in listing.rows or ():
            if isinstance(row, WalletRow):
                self.wallet = row
                if self._cash.compare(row, quiet=self.synced):
                    self._wallet_ns = min(self._wallet_ns, self.core.now_ns + CASH_AGAIN_NS)
