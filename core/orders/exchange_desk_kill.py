"""The kill sequence at the exchange: as far as it has come is proved, never assumed.

    latch (durable) -> cancel ENTRIES: each of ours, then cancel-all with orderFilter=Order (never bare: it would remove
    the stops) -> a reduce-only closing job for every position -> flat, proved twice by complete answers of the venue
    with nothing of ours unproved -> only then: leftover conditional orders of ours

Refused for the clock or a limit: measured, waited, again (O46). It goes on until flat, over restarts, and stays latched
until a person clears it.
"""

from __future__ import annotations

from enum import Enum, auto

from core.enums import Cause, OrderRole, Severity
from core.orders.desk_journal import Latch
from core.orders.exchange_desk_closes import Closes
from core.orders.exchange_desk_core import MS, Answer, DeskCore
from core.orders.exchange_desk_entries import Entries
from core.orders.exchange_desk_orders import OrderFlow
from core.orders.exchange_words import Ack, CancelEntries
from core.orders.reconcile import Reconciler
from core.orders.ret_classes import RetClass, classify_change

RETRY_NS = 150 * MS
PROOFS = 2


class KillPhase(Enum):
    IDLE = auto()
    CANCELLING = auto()
    CLOSING = auto()
    VERIFYING = auto()
    FLAT = auto()


class KillSequence:
    """See the module."""

    def __init__(self, core: DeskCore, flow: OrderFlow, entries: Entries, closes: Closes, recon: Reconciler) -> None:
        self.core = core
        self.flow = flow
        self.entries = entries
        self.closes = closes
        self.recon = recon
        self.phase = KillPhase.IDLE
        self._next_ns = 0
        self._sweep_req = 0
        self._swept = False
        self._proofs = 0
        self._proved_ns = 0
        self._round_seen = 0

    def begin(self) -> None:
        """Latch and start; latched already: the sequence goes on, and what is proved flat stays proved."""
        core = self.core
        if not core.killed:
            core.killed = True
            core.persist(Latch("KILL", "", 1, ""))
            core.note(Severity.CRITICAL, "kills", "", "kill latched")
        if self.phase is KillPhase.IDLE:
            self.phase = KillPhase.CANCELLING
            self._swept, self._next_ns = False, 0
            self.on_timer()

    def clear(self) -> None:
        """A person has looked: entries may come again, and failures are counted from here on."""
        if self.core.killed:
            self.core.killed = False
            self.core.failures.clear()
            self.core.persist(Latch("KILL", "", 0, ""))
            self.phase = KillPhase.IDLE

    def on_timer(self) -> None:
        """The next step."""
        core = self.core
        if self.phase in (KillPhase.IDLE, KillPhase.FLAT):
            if self.phase is KillPhase.FLAT and not self._nothing_left():
                self.phase = KillPhase.IDLE  # something came to life after all: once more
                self.begin()
            return
        for symbol in list(self.entries.working):
            self.entries.cancel(symbol, int(Cause.KILL))
        if core.now_ns >= self._next_ns and core.reachable and not self._sweep_req and not self._swept:
            core.count("kill_attempts")
            self._sweep_req = core.request(lambda req_id: CancelEntries(req_id), self._cancelled,
                                           core.config.close_ttl_ns, urgent=True)
        for holding in list(core.holdings.values()):
            held = holding.at_stake or (holding.lots - holding.ignored_lots and not core.broken(holding))
            if held and holding.symbol not in self.closes.jobs:
                self.closes.begin(holding, OrderRole.KILL, int(Cause.KILL))
        if self.phase is KillPhase.CANCELLING and self._swept:
            self.phase = KillPhase.CLOSING
        if self.phase is KillPhase.CLOSING and self._nothing_left():
            self.phase = KillPhase.VERIFYING
            self._proofs, self._proved_ns, self._round_seen = 0, core.now_ns, self.recon.rounds
            self.recon.ask_now()
        elif self.phase is KillPhase.VERIFYING:
            self._verify()

    def _cancelled(self, answer: Answer) -> None:
        self._sweep_req = 0
        self._swept = isinstance(answer, Ack) and classify_change(answer.ret_code, answer.ret_msg).kind is RetClass.TAKEN
        if not self._swept:
            self._next_ns = self.core.now_ns + RETRY_NS

    def _nothing_left(self) -> bool:
        """By our own books and the latest told positions."""
        core = self.core
        if self.entries.working or self.closes.jobs:
            return False
        if any(h.at_stake or (h.lots - h.ignored_lots and not core.broken(h)) for h in core.holdings.values()):
            return False
        return not any(o.alive and not o.reduce_only for o in core.store.unclosed())

    def _verify(self) -> None:
        """Two complete rounds (orders and positions) that began after the last thing we did and showed nothing."""
        core = self.core
        if not self._nothing_left() or self.recon.entries_seen:
            self.phase = KillPhase.CANCELLING
            self._swept = False
            return
        if self.recon.rounds == self._round_seen:
            return
        self._round_seen = self.recon.rounds
        self._proofs += self.recon.round_began_ns >= self._proved_ns
        self._proved_ns = core.now_ns
        if self._proofs >= PROOFS:
            self.phase = KillPhase.FLAT
            core.note(Severity.WARNING, "kill_flat", "", "verified flat twice")
            for order in core.store.unclosed():
                self.flow.cancel(order)
            return
        self.recon.ask_now(core.config.verify_ns)
