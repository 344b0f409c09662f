"""An exchange desk that tells the journal everything that reaches it: the same calls give the same orders again.

    link ──Heard──► NotedDesk.hear ──► tap: ABOUT + the bytes, or SAID        (then the desk)
    clock ────────► on_timer ────────► tap: TIMERS, many in one record
    Broker, router ─► submit, cancel, close, protect: not told here; the door of the Broker tells what leads to them

What the desk is asked by the Broker is computed again by the replayed Broker, so it stands in no note. The clock goes
into the journal as NOW, once per turn in which something happens.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import Any

import msgspec
import numpy as np
import zstandard

from core.constants import NS_PER_S
from core.consumption import About, DeskBack, DeskCall, DeskRecords, GridNote, Now, Said, Timers
from core.journal import decode_records, encode_record
from core.orders import exchange_words
from core.orders.desk_journal import DeskRecordError
from core.orders.exchange_desk import DeskConfig, ExchangeDesk
from core.orders.exchange_words import Event, QueryKind, QueryRows, Row
from core.orders.order_store import base36
from core.orders.reconcile_pages import Listing
from core.orders.router import Order
from gateway.bybit.wire_units import WireGrid
from gateway.link_words import NO_CONTEXT, Heard
from shm.broadcast import BroadcastRing
from shm.run_spec import RunSpec
from shm.tap import Tap

DESK_RECORD = 16  # kind of a desk record in the execution journal: this + core.orders.exchange_words.RecordKind
TIMERS_KEPT = 256  # looks at the timers that wait for a record to go with; 1.3 s of an idle desk
RECORDS_BYTES = 256 * 1024  # plain bytes of the records of one note
encode = msgspec.json.encode


def desk_config(spec: RunSpec) -> DeskConfig:
    """Settings of the exchange desk of a run."""
    return DeskConfig(run_tag=base36(spec.created_ns // NS_PER_S % 36**8))


class Call(IntEnum):
    """What the desk is told beside orders and events."""

    KILL = 0
    CLEAR_KILL = 1
    CLEAR_TROUBLE = 2
    CLEAR_SYMBOL = 3
    TAKEOVER = 4
    INHERIT = 5
    HISTORY = 6


class ExecutionTap(Tap):
    """Tap of execution. Looks at the desk's timers wait here and go with the next record, whatever it is."""

    def __init__(self, ring: BroadcastRing) -> None:
        super().__init__(ring)
        self._timers: list[int] = []
        self._now_ns = -1

    def now(self, now_ns: int) -> None:
        """What follows happens at this reading of the clock."""
        if now_ns != self._now_ns:
            self._now_ns = now_ns
            self.note(Now(now_ns))

    def timer(self, now_ns: int) -> None:
        self._timers.append(now_ns)
        if len(self._timers) >= TIMERS_KEPT:
            self.flush()

    def flush(self) -> None:
        """Write down the timers that wait."""
        if self._timers:
            times, self._timers = self._timers, []
            self.note(Timers(np.array(times, np.int64).tobytes()))

    def put(self, kind: int, data: bytes, ts_recv_ns: int = 0, mono_ns: int = 0, conn: int = 0) -> None:
        if self._timers:
            self.flush()
        super().put(kind, data, ts_recv_ns, mono_ns, conn)


class NotedDesk(ExchangeDesk):
    """See the module. `hear` is `on_event` for what the link says."""

    def __init__(self, config: DeskConfig, tap: ExecutionTap) -> None:
        super().__init__(config)
        self._tap = tap
        self._takeover = 0

    def hear(self, now_ns: int, heard: Heard) -> None:
        """Bytes, and the events in them; or events that no bytes say."""
        tap, source = self._tap, heard.source
        if heard.events:
            tap.now(now_ns)
        if source is None:
            for event in heard.events:
                tap.note(Said(encode_event(event)))
        else:
            if source.context is not NO_CONTEXT:
                tap.note(About(encode(source.context)))
            tap.put(source.kind, source.data, source.ts_ns, source.mono_ns, source.epoch & 0xFFFF)
        for event in heard.events:
            super().on_event(now_ns, event)

    def on_event(self, now_ns: int, event: Event) -> None:
        self.hear(now_ns, Heard((event,)))

    def on_timer(self, now_ns: int) -> None:
        self._tap.timer(now_ns)
        super().on_timer(now_ns)

    def grid(self, symbol: int, grid: WireGrid) -> None:
        """How the link writes the symbol that is about to be known."""
        self._tap.note(GridNote(symbol, *grid))

    def recover(
        self, now_ns: int, records: Iterable[tuple[int, bytes]], booked: int = 0, working: Iterable[Order] = ()
    ) -> int:
        records = list(records)
        for chunk in packed(records):
            self._tap.note(chunk)
        self._tap.note(DeskBack(now_ns, booked, len(records)))
        return super().recover(now_ns, records, booked, working)

    # --- calls -------------------------------------------------------------------------------------------------------
    def _call(self, now_ns: int, what: Call, symbol: int = -1, text: str = "") -> None:
        self._tap.now(now_ns)
        self._tap.note(DeskCall(int(what), symbol, text.encode()))

    def kill(self, now_ns: int) -> None:
        self._call(now_ns, Call.KILL)
        super().kill(now_ns)

    def clear_kill(self, now_ns: int) -> None:
        self._call(now_ns, Call.CLEAR_KILL)
        super().clear_kill(now_ns)

    def clear_trouble(self, now_ns: int, symbol: int, code: str) -> bool:
        self._call(now_ns, Call.CLEAR_TROUBLE, symbol, code)
        return super().clear_trouble(now_ns, symbol, code)

    def clear_symbol(self, now_ns: int, symbol: int) -> None:
        self._call(now_ns, Call.CLEAR_SYMBOL, symbol)
        super().clear_symbol(now_ns, symbol)

    def ask_history(
        self, now_ns: int, what: QueryKind, symbol: str, since_ms: int, until_ms: int, done: Callable[[Listing], None]
    ) -> None:
        self._call(now_ns, Call.HISTORY, text=msgspec.json.encode([int(what), symbol, since_ms, until_ms]).decode())
        super().ask_history(now_ns, what, symbol, since_ms, until_ms, done)

    def reconciled_after(self, takeover: int) -> bool:
        """See `Reconciler.reconciled_after`."""
        if takeover != self._takeover:  # the same again changes nothing
            self._takeover = takeover
            self._tap.note(DeskCall(int(Call.TAKEOVER), takeover, b""))
        return self.recon.reconciled_after(takeover)

    def inherit(self, records: Iterable[tuple[int, bytes]]) -> None:
        records = list(records)
        for chunk in packed(records):
            self._tap.note(chunk)
        self._tap.note(DeskCall(int(Call.INHERIT), -1, b""))
        super().inherit(records)


def call_again(desk: ExchangeDesk, now_ns: int, note: DeskCall, records: list[tuple[int, bytes]]) -> None:
    """The call of a note, at a replayed desk; `records` came before it."""
    if note.what == Call.KILL:
        desk.kill(now_ns)
    elif note.what == Call.CLEAR_KILL:
        desk.clear_kill(now_ns)
    elif note.what == Call.CLEAR_TROUBLE:
        desk.clear_trouble(now_ns, note.symbol, note.payload.decode())
    elif note.what == Call.CLEAR_SYMBOL:
        desk.clear_symbol(now_ns, note.symbol)
    elif note.what == Call.HISTORY:
        what, name, since_ms, until_ms = msgspec.json.decode(note.payload)
        desk.ask_history(now_ns, QueryKind(what), name, since_ms, until_ms, lambda listing: None)
    elif note.what == Call.TAKEOVER:
        desk.recon.reconciled_after(note.symbol)
    elif note.what == Call.INHERIT:
        with contextlib.suppress(DeskRecordError):  # an unreadable journal is told and left alone, then and now
            desk.inherit(records)


# --- events and records as bytes ---------------------------------------------------------------------------------------
def encode_event(event: Event | Row) -> bytes:
    """An event as JSON: its name and its fields; the rows of an answer likewise."""
    return encode(_plain(event))


def _plain(event: Any) -> list[Any]:
    fields = list(event)
    if isinstance(event, QueryRows):
        fields[2] = [_plain(row) for row in event.rows]
    return [type(event).__name__, fields]


def decode_event(data: bytes) -> Any:
    """Raises ValueError (msgspec.ValidationError among them) where it is none."""
    return _event(msgspec.json.decode(data))


def _event(told: Any) -> Any:
    name, fields = told
    make = getattr(exchange_words, name, None)
    if make is None:
        raise ValueError(f"no event has the name {name}")
    if make is QueryRows:
        req_id, kind, rows, cursor, now_ms = fields
        return QueryRows(req_id, QueryKind(kind), tuple(_event(row) for row in rows), cursor, now_ms)
    return msgspec.convert(fields, make)


def packed(records: list[tuple[int, bytes]]) -> Iterable[DeskRecords]:
    """Records of the desk's journal as notes that fit a tap."""
    compressor = zstandard.ZstdCompressor(level=1)
    plain, size = [], 0
    for kind, payload in records:
        plain.append(encode_record(0, 0, 0, kind, payload))
        size += len(plain[-1])
        if size >= RECORDS_BYTES:
            yield DeskRecords(size, compressor.compress(b"".join(plain)))
            plain, size = [], 0
    if plain:
        yield DeskRecords(size, compressor.compress(b"".join(plain)))


def unpacked(note: DeskRecords) -> list[tuple[int, bytes]]:
    """Raises JournalError where a record is not whole."""
    plain = zstandard.ZstdDecompressor().decompress(note.payload, max_output_size=note.size)
    return [(frame.kind, frame.data) for frame in decode_records(plain)]
