"""LIVE in the execution process: the exchange desk (pure), the order link (sockets) and the journal, tied together.

    Broker -> router -> ExchangeDesk -> Persist -> Committer -> durable
                             ^      \\-> Send ---- waits for that -----> OrderLink -> exchange
                             |       -> Tell -> booked like a message of a shard, reports to it
                             '--- events <---------------------------- OrderLink

A request leaves when everything the desk wrote before it is on disk. When the disk refuses, entries stay here until
their deadline; what protects, closes or asks leaves all the same.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np

from config.schema import Feed
from core.constants import NS_PER_MS, NS_PER_S
from core.consumption import Kind
from core.enums import Cause, LogKind, Severity
from core.journal import encode_record
from core.orders.broker import Broker, Note
from core.orders.budget import Purpose
from core.orders.exchange_words import (
    Log,
    Persist,
    Query,
    Quote,
    Request,
    Send,
    Stream,
    Tell,
)
from core.orders.exposure import ExchangeFacts, exchange_facts
from core.orders.latency import Ledger
from core.orders.router import Order
from core.orders.send_queue import purpose_of
from core.orders.wire import Message, Report
from core.records import SYMBOL_ROW
from core.risk.policy import Instrument
from core.risk.tiers import Rank
from gateway.bybit.session import Timing
from gateway.bybit.sign import Credentials, credentials, from_environment
from gateway.bybit.wire_units import WireGrid
from gateway.order_link import LinkAddress, LinkOptions, OrderLink
from shm.run_spec import RunSpec
from shm.topology import Plant
from workers.kill_watch import LinkHealth
from workers.noted_desk import DESK_RECORD, ExecutionTap, NotedDesk, desk_config
from workers.order_stamps import OrderStamps

TIMER_NS = 5 * NS_PER_MS
QUOTE_NS = 100 * NS_PER_MS
STALE_NS = 5 * NS_PER_S  # a board row older than this says nothing about the price
SWITCH_INTERVAL_S = 0.0002  # the link's thread must not wait 5 ms for the agent loop to let go
NOTE_LEVELS = {"late_ack": Severity.INFO, "batch_partial": Severity.WARNING, "stranger": Severity.WARNING}


class Journal(Protocol):
    """The records of execution."""

    @property
    def booked(self) -> int: ...
    def append(self, record: bytes) -> None: ...


class Host(Protocol):
    """What execution lends to LIVE."""

    @property
    def broker(self) -> Broker: ...
    @property
    def ledger(self) -> Ledger: ...
    @property
    def tap(self) -> ExecutionTap: ...
    @property
    def records(self) -> Journal: ...
    def tell(self, message: Message) -> None:
        """Book a FILL, DONE or CASH of the desk and report it to the shard."""
        ...
    def note(self, note: Note) -> None: ...
    def entries_stopped(self) -> bool:
        """Killed, paused, guarded, or without a permit by now. Asked in the link's threads."""
        ...


class Keys(NamedTuple):
    """A key for a venue, and the highest capital tier the evidence allows there."""

    keys: Credentials
    tier_allowed: Rank


def live_keys(spec: RunSpec, environ: Mapping[str, str]) -> Keys:
    """The key of a LIVE run: of the embedded venue from the run description, of any other from the environment.

    Raises KeyProblem naming the variables to set.
    """
    venue: Mapping[str, Any] = spec.venue or {}
    if venue.get("api_key"):  # the embedded exchange hands out its own; there is nothing to lose there
        return Keys(credentials(str(venue["api_key"]), str(venue.get("api_secret", ""))), Rank.NORMAL)
    return Keys(from_environment(spec.venue_name, environ), Rank[spec.tier_allowed])


def link_address(spec: RunSpec) -> LinkAddress:
    """Where orders go. Raises ValueError for a venue without a private side."""
    venue = spec.venue
    if venue is None or not venue.get("ws_private"):
        raise ValueError("this venue has no private stream: LIVE is not possible")
    return LinkAddress(venue["rest"], venue["ws_private"], venue.get("ws_trade", ""))


def link_options(feed: Feed) -> LinkOptions:
    """Patience of the link: pings as on the market feed, but quicker to come back."""
    return LinkOptions(Timing(
        int(feed.ping_s * NS_PER_S), int(feed.pong_deadline_s * NS_PER_S), int(feed.backoff_min_s * NS_PER_S) // 2,
        int(feed.backoff_max_s * NS_PER_S) // 3, int(feed.resubscribe_min_s * NS_PER_S),
    ))


class LiveOrders:
    """One per LIVE execution process: `desk` for the router, `turn` and `carry_out` for the loop, `stand_down` for kill."""

    def __init__(self, plant: Plant, host: Host, feed: Feed, environ: Mapping[str, str] = os.environ) -> None:
        spec = plant.spec
        self._host = host
        found = live_keys(spec, environ)
        self._tier_allowed = found.tier_allowed
        self.desk = NotedDesk(desk_config(spec), host.tap)
        self._grids: dict[str, WireGrid] = {}
        self.link = OrderLink(
            link_address(spec), found.keys, self._grids.get, link_options(feed), plant.bell.ring,
            random.Random(spec.created_ns ^ os.getpid()), self.may_leave,
        )
        self._sends: deque[tuple[int, Send]] = deque()  # with the ticket that must be durable first
        self._timer_ns = self._quote_ns = 0
        self._stamps = OrderStamps(host.ledger, self.desk.core.store)
        self._board = plant.symbol_rows()
        self._symbol_row: np.ndarray = np.zeros(1, SYMBOL_ROW.dtype)

    # --- start and end -----------------------------------------------------------------------------------------------
    def know(self, instrument: Instrument, row: Any) -> None:
        """An instrument, new or changed, with its SYMBOL record."""
        grid = WireGrid(int(row["tick_mant"]), int(row["price_exp"]), int(row["lot_mant"]), int(row["qty_exp"]))
        self.desk.grid(instrument.id, grid)
        self._grids[instrument.name] = grid
        self.desk.know(instrument)

    def start(self, now_ns: int, records: Iterable[tuple[int, bytes]], booked: int, working: Iterable[Order]) -> None:
        """Recover the desk from its journal (kind, payload) and open the connections."""
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        self._host.broker.router.now_ns = now_ns
        self.desk.recover(now_ns, records, booked, working)
        self.carry_out()
        self.link.start()

    def stop(self) -> None:
        """Close the connections; whatever is in flight is found again at the next start."""
        self.link.stop()
        for heard in self.link.events:  # what left is told, what came is not taken any more
            if heard.source is not None and heard.source.kind == Kind.SENT:
                self.desk.hear(0, heard)

    # --- the loop ------------------------------------------------------------------------------------------------------
    def turn(self, now_ns: int) -> int:
        """Events, quotes and timers; returns how many events. Raises when the link's thread has failed."""
        link, desk = self.link, self.desk
        if link.error is not None:
            raise RuntimeError("the order link failed") from link.error
        done = 0
        while link.events:
            heard = link.events.popleft()
            done += len(heard.events)
            desk.hear(now_ns, heard)
            for event in heard.events:
                self._stamps.on_event(event, now_ns)
        self._stamps.written(link.sent)
        if now_ns - self._timer_ns >= TIMER_NS:
            self._timer_ns = now_ns
            if now_ns - self._quote_ns >= QUOTE_NS:
                self._quote_ns = now_ns
                self._quotes(now_ns)
            desk.on_timer(now_ns)
        while link.notes:
            note = link.notes.popleft()
            self.desk.core.count(note.word)
            self._note(NOTE_LEVELS.get(note.word, Severity.WARNING), -1, note.text)
        self.carry_out()
        return done

    def carry_out(self) -> None:
        """Do what the desk wants, in its order. Sends wait for `release`."""
        host = self._host
        while effects := self.desk.drain():
            for effect in effects:
                if isinstance(effect, Persist):
                    now_ns = time.time_ns()
                    host.records.append(encode_record(now_ns, 0, 0, DESK_RECORD + effect.kind, effect.payload))
                elif isinstance(effect, Send):
                    self._sends.append((host.records.booked, effect))
                elif isinstance(effect, Tell):
                    host.tell(effect.message)
                else:
                    self._log(effect)

    def release(self, durable: int, disk_failed: bool) -> int:
        """Hand over what may leave: behind its ticket, or, when the disk refuses, whatever is no entry."""
        kept: deque[tuple[int, Send]] = deque()
        sent = 0
        while self._sends:
            ticket, send = self._sends.popleft()
            if ticket <= durable or (disk_failed and purpose_of(send.request, send.urgent) is not Purpose.ENTRY):
                self._stamps.handed(send.request)
                self.link.send(send)
                sent += 1
            else:
                kept.append((ticket, send))
        self._sends = kept
        return sent

    def may_leave(self, now_ns: int, request: Request) -> bool:
        """Is it still wanted, right before its first byte? Asked by the link in its threads: it only reads. Exits,
        protection and questions always are; an entry while the desk wants it and nothing has stopped entries since."""
        opening = purpose_of(request, urgent=False) is Purpose.ENTRY
        return self.desk.may_leave(now_ns, request) and not (opening and self._host.entries_stopped())

    def reconciled_after(self, takeover: int) -> bool:
        """See `Reconciler.reconciled_after`."""
        return self.desk.reconciled_after(takeover)

    # --- prices ----------------------------------------------------------------------------------------------------------
    def _quotes(self, now_ns: int) -> None:
        """The touch of every symbol the desk is busy with, from the shards' boards."""
        desk = self.desk
        names = {h.symbol for h in desk.core.holdings.values() if h.lots or h.at_stake} | desk.entries.working.keys()
        for name in names:
            bid, ask = self.touch(desk.core.symbol_id(name))
            if bid and ask:
                desk.on_event(now_ns, Quote(name, bid, ask))

    def touch(self, symbol: int) -> tuple[int, int]:
        """Best bid and ask in ticks; zeros where the board is old or empty."""
        rows, row = self._board, self._symbol_row
        if not 0 <= symbol < rows.rows or rows.read_into(symbol, row) <= 0:
            return 0, 0
        if time.time_ns() - int(row[0]["ts_recv_ns"]) > STALE_NS:
            return 0, 0
        return int(row[0]["bid_ticks"]), int(row[0]["ask_ticks"])

    def facts(self, symbol: int) -> ExchangeFacts:
        """What the exchange has said, for the gate; the mark of the symbol to enter as its shard last heard it."""
        desk = self.desk
        mark = int(self._symbol_row[0]["mark_ticks"]) if all(self.touch(symbol)) else 0
        rows = [h.venue for h in desk.core.holdings.values() if h.venue is not None]
        settled = desk.ready and not any(t.symbol in (-1, symbol) for t in desk.trouble)
        return exchange_facts(rows, desk.wallet, settled, int(self._tier_allowed), mark)

    def health(self) -> LinkHealth:
        """For the kill triggers."""
        core = self.desk.core
        return LinkHealth(core.up(Stream.PRIVATE), core.up(Stream.REST), self.desk.failures(core.now_ns))

    # --- kill --------------------------------------------------------------------------------------------------------------
    def stand_down(self, now_ns: int) -> list[Report]:
        """The desk latches, cancels entries, closes, proves it flat; the shards hear of it."""
        self._host.broker.router.now_ns = now_ns
        reports = self._host.broker.stand_down(int(Cause.KILL))
        self.desk.kill(now_ns)
        return reports

    @property
    def at_stake(self) -> bool:
        """Not proved flat at the exchange, or not booked here."""
        return not (self.desk.flat and self._host.broker.flat)

    @property
    def flat(self) -> bool:
        """Nothing is at stake, and no order waits to be written or sent (questions are always on their way)."""
        return not self.at_stake and all(isinstance(send.request, Query) for _, send in self._sends)

    def follow_kill(self, now_ns: int, killed: bool) -> None:
        """The desk's own latch follows the words: a person may have cleared them while we were away."""
        if not killed and self.desk.core.killed:
            self.desk.clear_kill(now_ns)

    # --- log ---------------------------------------------------------------------------------------------------------------
    def _log(self, log: Log) -> None:
        text = f"{log.word}: {log.symbol} {log.text}" if log.symbol else f"{log.word}: {log.text}"
        self._note(log.severity, self.desk.core.symbol_id(log.symbol) if log.symbol else -1, text, log.a, log.b)

    def _note(self, severity: Severity, symbol: int, text: str, a: int = 0, b: int = 0) -> None:
        kind = LogKind.ERROR if severity >= Severity.WARNING else LogKind.ORDER
        self._host.note(Note(kind, symbol, time.time_ns(), 0, a, b, text=text, severity=severity))
