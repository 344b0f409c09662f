"""What all parts of the ExchangeDesk share: settings, time, effects, requests on their way, holdings, troubles.

Every request has exactly one answer: what the link says, or Lost by our own timer. A later word about it is a hint.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from core.constants import NS_PER_MS
from core.enums import Cause, MessageKind, OrderRole, Severity
from core.orders.desk_journal import Checkpoint, Latch, Record, persist
from core.orders.exchange_words import (
    REQ_EPOCH_SHIFT,
    Ack,
    Create,
    Effect,
    Log,
    Lost,
    PositionRow,
    Query,
    QueryKind,
    QueryRows,
    Quote,
    Request,
    Send,
    Stream,
    Tell,
)
from core.orders.order_store import DeskOrder, OrderStore
from core.orders.wire import Message
from core.position.position import book_fill
from core.risk.policy import Instrument

MS = NS_PER_MS
SECOND = 1000 * MS
DESK_SEQ = 1 << 60  # `seq` of messages made here: DESK_SEQ + running number, apart from every seq of the market
FOREVER = 1 << 62


class DeskConfig(NamedTuple):
    """Settings of the desk. Times in ns, widths in 1e-4 (bps)."""

    run_tag: str = "0"  # part of every order id; must differ between runs on one account
    recv_window_ns: int = 2 * SECOND
    guard_ns: int = 5 * SECOND  # acceptance at the gate is not execution
    ack_ns: int = 1 * SECOND
    close_ack_ns: int = 250 * MS  # of a reduce-only order: sent again with the same id
    query_ns: int = 2 * SECOND
    stream_ns: int = 2 * SECOND  # acked, cancelled or filled, and nothing heard: look up
    entry_ttl_ns: int = 2 * SECOND
    close_ttl_ns: int = 1 * SECOND
    taker_collar_bps: int = 10
    close_bps: tuple[int, ...] = (20, 50, 100, 200, 400)  # then a market order
    quote_ns: int = 5 * SECOND  # a price older than this is no reference
    look_ns: tuple[int, ...] = (300 * MS, 1 * SECOND, 3 * SECOND)  # after the start, then again and again
    look_every_ns: int = 3 * SECOND
    poll_ns: int = 5 * SECOND  # open orders and positions
    poll_executions_ns: int = 30 * SECOND
    wallet_ns: int = 30 * SECOND
    naked_ns: int = 300 * MS  # a fill without a stop in sight for this long: set it
    fillable_ns: int = 600 * SECOND  # after an end
    overlap_ms: int = 600_000  # executions are asked for again this far behind the checkpoint
    window_ms: int = 7 * 86_400_000  # longest span of one query
    refusals: int = 3  # in `refusal_ns`: the symbol takes no entries
    refusal_ns: int = 60 * SECOND
    failures_ns: int = 60 * SECOND  # so long a refused or lost order counts for the kill trigger
    cooldown_ns: int = 60 * SECOND
    rearms_per_hour: int = 2
    adopt: str = "adopt"  # what to do with a position that is not ours: adopt, ignore, close
    adopt_stop_bps: int = 100  # protection of an adopted position, from its entry price
    panic_close: bool = False  # close a symbol whose books do not agree
    attach_target: bool = True
    verify_ns: int = 200 * MS  # between the two proofs of being flat
    adl_rank: int = 4
    margin_ns: int = 30 * SECOND  # no entries after a margin refusal
    local_stop_bps: int = 30  # price this far beyond the stop: close ourselves (the stop did not do it)
    local_stop_ns: int = 500 * MS
    ledger_slack_e8: int = 2  # per booked execution: rounding of the venue


class Trouble(NamedTuple):
    """Something that keeps entries away: of a symbol id, or (-1) of everything."""

    symbol: int
    code: str
    text: str
    ours: str = ""
    theirs: str = ""


Answer = Ack | Lost | QueryRows
CLOCK_CODES = frozenset({10002, -1})


@dataclass(slots=True)
class Pending:
    """A request on its way and who wants its answer."""

    request: Request
    answered: Callable[[Answer], None]
    due_ns: int
    stream: Stream
    epoch: int


@dataclass(slots=True)
class Holding:
    """One symbol: what we booked, what the venue says, what should stand. Lots signed."""

    symbol: str
    instrument: Instrument
    lots: int = 0  # sum of the booked executions
    entry_value_e8: int = 0  # of them, signed
    ignored_lots: int = 0  # of it: not ours, and by policy left alone
    order_id: int = 0
    decision_id: int = 0
    exec_seq: int = 0
    base_seq: int = 0  # executions up to here are inside a position that was taken over
    adopted_lots: int = 0  # signed: taken over, the executions behind it not seen yet
    adopted_ticks: int = 0
    exec_ns: int = 0
    venue: PositionRow | None = None
    venue_ns: int = 0
    stop_ticks: int = 0  # wanted
    targets: tuple[tuple[int, int], ...] | None = None  # wanted ladder, None = the target attached to the entry
    quote: Quote | None = None
    quote_ns: int = 0
    off: dict[str, int] = field(default_factory=dict)  # no entries: why -> until
    refusals: list[int] = field(default_factory=list)

    @property
    def venue_lots(self) -> int | None:
        """As the venue told last; None = never."""
        return None if self.venue is None else self.venue.signed_lots

    @property
    def agrees(self) -> bool:
        """What we booked is what the venue shows (a venue that never spoke of the symbol shows nothing)."""
        return (self.venue_lots or 0) == self.lots

    @property
    def at_stake(self) -> int:
        """Signed lots to protect or close: the newer of both tellings."""
        if self.venue is not None and self.venue.seq >= self.exec_seq and self.venue_ns >= self.exec_ns:
            return self.venue.signed_lots - self.ignored_lots
        return self.lots - self.ignored_lots

    @property
    def side(self) -> int:
        """Sign of what is at stake, 0 = flat."""
        return (self.at_stake > 0) - (self.at_stake < 0)


class DeskCore:
    """State and helpers of one desk; the parts are built around it."""

    def __init__(self, config: DeskConfig) -> None:
        self.config = config
        self.now_ns = 0
        self.venue_ms = 0  # latest time the venue told
        self.store = OrderStore()
        self.holdings: dict[str, Holding] = {}
        self.instruments: dict[str, Instrument] = {}
        self.effects: list[Effect] = []
        self.counters: Counter[str] = Counter()
        self.troubles: dict[tuple[int, str], Trouble] = {}
        self.pending: dict[int, Pending] = {}
        self.links: dict[Stream, tuple[bool, int]] = dict.fromkeys(Stream, (False, 0))
        self.earlier: dict[str, int] = {}  # signed lots by symbol that an earlier run held, as its journal says
        self.killed = False
        self.failures: deque[int] = deque(maxlen=1000)  # when orders were refused, or their outcome lost
        self.number = 0  # of messages told
        self.leg_number = 0
        self.checkpoint_ms = 0
        self.banned_until_ns = 0
        self.margin_until_ns = 0  # a margin refusal keeps entries away until then
        self.realised_e8 = 0  # booked since the wallet was last taken as the base: results less fees and funding
        self.clock_ns = 0  # no entry before a measurement newer than the last complaint
        self.clock_asked_ns = 0
        self._request_number = 0
        self.order_changed: Callable[[DeskOrder], None] = lambda order: None
        self.holding_changed: Callable[[Holding], None] = lambda holding: None

    # --- effects ---------------------------------------------------------------------------------------------------
    def persist(self, record: Record) -> None:
        self.effects.append(persist(record))

    def count(self, word: str, n: int = 1) -> None:
        self.counters[word] += n

    def log(self, severity: Severity, word: str, symbol: str, text: str, a: int = 0, b: int = 0) -> None:
        self.effects.append(Log(severity, word, symbol, text, a, b))

    def note(self, severity: Severity, word: str, symbol: str, text: str, a: int = 0, b: int = 0) -> None:
        """Count and log."""
        self.count(word)
        self.log(severity, word, symbol, text, a, b)

    def next_number(self) -> int:
        self.number += 1
        return self.number

    def tell(self, number: int, message: Message) -> None:
        """To the Broker; whatever is needed to tell it again has been persisted under the same number."""
        self.effects.append(Tell(message._replace(
            seq=DESK_SEQ + number, ts_event_ns=message.ts_event_ns or self.venue_ms * MS, mono_recv_ns=self.now_ns,
        )))

    def done_message(self, symbol: int, order_id: int, decision_id: int, leaves: int, reason: int) -> Message:
        return Message(kind=int(MessageKind.DONE), symbol=symbol, order_id=order_id, decision_id=decision_id,
                       leaves_lots=leaves, reason=reason, role=int(OrderRole.ENTRY))

    def checkpoint(self, venue_ms: int) -> None:
        """Executions up to `venue_ms` are booked."""
        if venue_ms > self.checkpoint_ms:
            self.checkpoint_ms = venue_ms
            self.persist(Checkpoint(venue_ms, self.leg_number))

    # --- requests --------------------------------------------------------------------------------------------------
    def up(self, stream: Stream) -> bool:
        return self.links[stream][0]

    @property
    def reachable(self) -> bool:
        """Orders can be sent (trade stream, or REST in its place)."""
        return self.now_ns >= self.banned_until_ns and self.up(Stream.REST) or self.up(Stream.TRADE)

    @property
    def can_ask(self) -> bool:
        """Queries can be sent."""
        return self.up(Stream.REST) and self.now_ns >= self.banned_until_ns

    def request(
        self, make: Callable[[int], Request], answered: Callable[[Answer], None], ttl_ns: int, urgent: bool
    ) -> int:
        """Send; `answered` is called exactly once. `ttl_ns`: from now, not to leave any later. Returns the req_id."""
        self._request_number += 1
        epoch = self.links[Stream.TRADE][1]
        req_id = epoch << REQ_EPOCH_SHIFT | self._request_number
        request = make(req_id)
        query = isinstance(request, Query)
        wait = self.config.query_ns if query else self.config.ack_ns
        if isinstance(request, Create) and request.reduce_only:
            wait = self.config.close_ack_ns
        stream = Stream.REST if query else Stream.TRADE
        self.pending[req_id] = Pending(request, answered, self.now_ns + wait, stream, epoch)
        self.effects.append(Send(request, self.now_ns + ttl_ns, urgent))
        return req_id

    def ask(self, what: QueryKind, answered: Callable[[Answer], None], symbol: str | None = None,
            link_id: str | None = None, since_ms: int = 0, until_ms: int = 0, cursor: str = "") -> int:
        """Send a query."""
        return self.request(
            lambda req_id: Query(req_id, what, symbol, link_id, None, since_ms, until_ms, cursor),
            answered, self.config.query_ns, urgent=True,
        )

    def answer(self, answer: Answer) -> None:
        """Hand an answer to whoever waits for it; nobody does: a late one, of an old connection or after our timer."""
        if isinstance(answer, Ack) and answer.ret_code in CLOCK_CODES:
            self.measure_clock()  # a look-up is signed like an order: nothing is learnt until the clock is right
        pending = self.pending.pop(answer.req_id, None)
        if pending is None:
            self.count("late_ack")
            return
        pending.answered(answer)

    def expire(self) -> None:
        """Requests nobody answered in time are lost."""
        for req_id, pending in list(self.pending.items()):
            if pending.due_ns <= self.now_ns:
                self.answer(Lost(req_id, "no answer"))

    def book(self, holding: Holding, side: int, lots: int, price_ticks: int, fee_e8: int) -> None:
        """Position and cash of one execution, by the rule of the Broker's account."""
        booked = book_fill(holding.instrument.grid, holding.lots, holding.entry_value_e8, side * lots, price_ticks)
        holding.lots, holding.entry_value_e8 = booked.lots, booked.entry_value_e8
        self.realised_e8 += booked.realised_e8 - fee_e8

    def measure_clock(self) -> None:
        """Ask for the venue's time, at most ten times a second; entries wait for the answer."""
        self.clock_ns = FOREVER
        if self.now_ns - self.clock_asked_ns >= 100 * MS:
            self.clock_asked_ns = self.now_ns
            self.count("clock_asked")
            self.ask(QueryKind.SERVER_TIME, lambda answer: None)

    # --- symbols ---------------------------------------------------------------------------------------------------
    def holding(self, symbol: str) -> Holding | None:
        """By the venue's name; None where the instrument is not known."""
        found = self.holdings.get(symbol)
        if found is None and symbol in self.instruments:
            found = self.holdings[symbol] = Holding(symbol, self.instruments[symbol])
        return found

    def symbol_id(self, symbol: str) -> int:
        instrument = self.instruments.get(symbol)
        return -1 if instrument is None else instrument.id

    def switch_off(self, holding: Holding, why: str, until_ns: int, text: str) -> None:
        """No entries on the symbol until then (FOREVER: until a person clears it, over restarts)."""
        if holding.off.get(why, 0) >= until_ns:
            return
        holding.off[why] = until_ns
        self.log(Severity.WARNING, "no_entry", holding.symbol, f"{why}: {text}")
        if until_ns >= FOREVER:
            self.persist(Latch("off:" + why, holding.symbol, 1, text))

    def refused(self, holding: Holding, code: int, text: str) -> None:
        """An entry was refused: three times in a minute is enough."""
        since = self.now_ns - self.config.refusal_ns
        holding.refusals = [t for t in holding.refusals if t > since] + [self.now_ns]
        if len(holding.refusals) >= self.config.refusals:
            holding.refusals.clear()
            self.switch_off(holding, "refused", self.now_ns + self.config.refusal_ns, f"{code} {text}")

    def failed(self) -> None:
        """An order was refused, or nobody knows what became of it. What happens while killing is the price of the kill,
        and no reason for the next one."""
        if not self.killed:
            self.failures.append(self.now_ns)

    def broken(self, holding: Holding) -> bool:
        """Both sides of the symbol do not agree, and that has been shown: the exchange's side is what can be closed."""
        return (holding.instrument.id, "INTEGRITY_BROKEN") in self.troubles

    # --- troubles --------------------------------------------------------------------------------------------------
    def trouble(self, symbol: str, code: str, text: str, ours: str = "", theirs: str = "", latch: bool = False) -> bool:
        """Raise; True when it is new. `latch`: it survives restarts until a person clears it."""
        number = self.symbol_id(symbol) if symbol else -1
        new = (number, code) not in self.troubles
        self.troubles[number, code] = Trouble(number, code, text, ours, theirs)
        if new:
            detail = f"{text} ours={ours} theirs={theirs}" if ours or theirs else text
            self.note(Severity.CRITICAL, code.lower(), symbol, detail)
            if latch:
                self.persist(Latch(code, symbol, 1, text))
        return new

    def clear(self, symbol: str, code: str) -> None:
        """The trouble is over."""
        number = self.symbol_id(symbol) if symbol else -1
        if self.troubles.pop((number, code), None) is not None:
            self.log(Severity.INFO, code.lower(), symbol, "over")

    def clear_latched(self, symbol: str, code: str) -> None:
        """A person says it is over: also after a restart."""
        self.clear(symbol, code)
        self.persist(Latch(code, symbol, 0, ""))

    def switch_on(self, holding: Holding) -> None:
        """A person allows entries on the symbol again."""
        holding.off.clear()
        self.persist(Latch("off:", holding.symbol, 0, ""))


def cause_of(reason: int) -> int:
    """A reason for the Broker; 0 would be none."""
    return reason or int(Cause.CONTROL)
