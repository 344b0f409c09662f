"""What a process consumed and decided outside its inputs, as records of the journal: the one declaration of them.

A journal record (core/journal.py) of kind FRAME or FRAME_END holds bytes exactly as they were received; of the kinds of
`NOTES` it holds a note: the ints of its NamedTuple as int64, little-endian, then the bytes of its last field `payload`
where it has one. Frames and notes together are everything a replay needs: same frames, same notes, same decisions.

Order in a stream: a cause stands before its effects, except TICK, which stands behind the notes of its own TIMERs. A
gateway note with timer_seq != 0 belongs right behind the TIMER of that seq, wherever that falls among the frames.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Any, NamedTuple

from core.enums import EventKind
from core.params import PARAMS
from core.records import GLOBAL, MESSAGE, NEWS, PROFILE, REPORT, SYMBOL

ROW_DISK_FULL, ROW_TOO_LONG = -1, -2  # of a Hole that no process row is to blame for
MASK64 = (1 << 64) - 1


class Kind(IntEnum):
    """Kinds of journal records. Bytes of a link: FRAME to SENT; the others are notes."""

    FRAME = 1  # a public frame, more of the same socket read follow
    FRAME_END = 2  # the last public frame of a socket read
    PRIVATE = 3  # a frame of the private stream
    TRADE_ACK = 4  # a frame of the trade connection
    REST = 5  # body of a REST answer
    SENT = 6  # a request as it left
    # any stream
    RUN = 16
    HOLE = 17
    POSITION = 18
    CLOSED = 19
    # gateway
    START = 32
    SETTINGS = 33
    EVENT = 34
    LISTING = 35
    DELISTING = 36
    DATA_STATE = 37
    TICK = 38
    ASKED = 39
    SHEDDING = 40
    # shard
    BORN = 48
    OWN = 49
    BROKEN = 50
    RESUME = 51
    TAKEN = 52
    CHECK_SHARD = 53
    # execution
    BROKER_START = 64
    POLICY = 65
    MODE = 66
    CONTROLS = 67
    MESSAGE = 68
    BOOKED = 69
    STAND_DOWN = 70
    HELLO = 71
    INSTRUMENT = 72
    CHECK_ACCOUNT = 73
    ROLL = 74
    LATCHED = 75
    NOW = 76
    TIMERS = 77
    ABOUT = 78
    SAID = 79
    DESK_CALL = 80
    GRID = 81
    DESK_RECORDS = 82
    DESK_BACK = 83
    CANCEL_WORKING = 84
    CARRIED = 85
    WALLET = 86


class Run(NamedTuple):
    """The run description without token and keys, as JSON: first record of every segment."""

    payload: bytes


class Hole(NamedTuple):
    """`lost` records of process row `row` are missing here: the recorder was too slow. ROW_DISK_FULL: for too long;
    ROW_TOO_LONG: a record was longer than a tap carries."""

    row: int
    lost: int


class Position(NamedTuple):
    """How far the ring of process row `row` is in the journal with this block: a new recorder goes on here."""

    row: int
    cells: int
    messages: int


class Closed(NamedTuple):
    """The recorder ended in order, with everything that was in its rings; `records` of its life stand before."""

    records: int


class Start(NamedTuple):
    """A gateway begins at event time `now_ns` with numbers behind `base_seq`. payload: int64 per shard, the messages its
    market ring held."""

    now_ns: int
    base_seq: int
    is_restart: int
    payload: bytes


class SettingsNote(NamedTuple):
    """All settings of config version `version`, as JSON."""

    version: int
    payload: bytes


class EventNote(NamedTuple):
    """An event the gateway made itself; symbol -1: into every ring. payload: its record."""

    timer_seq: int
    kind: int
    symbol: int
    u: int
    xseq: int
    mono_ns: int
    payload: bytes


class Listing(NamedTuple):
    """payload: SYMBOL record."""

    timer_seq: int
    payload: bytes


class Delisting(NamedTuple):
    timer_seq: int
    symbol: int


class DataStateNote(NamedTuple):
    """SYMBOL_DATA, said by the gateway and not found in the frames."""

    timer_seq: int
    symbol: int
    state: int
    reason: int


class Tick(NamedTuple):
    """Time passed without data: TIMERs due at now_ns were put."""

    now_ns: int
    mono_ns: int


class Asked(NamedTuple):
    """A snapshot of the topic was asked for."""

    symbol: int
    column: int


class Shedding(NamedTuple):
    """From here on the data of the symbol is dropped (on = 1) or not."""

    symbol: int
    on: int


class Born(NamedTuple):
    """A shard begins with an empty engine; `nonce` is that of its HELLO, `levels` the room of its books per side."""

    nonce: int
    restarted: int
    levels: int


class Own(NamedTuple):
    """Events a restarted shard made itself. payload: cells."""

    payload: bytes


class Broken(NamedTuple):
    """The shard declared all its books BROKEN behind event `seq`: it was lapped or restarted."""

    reason: int
    ts_ns: int
    seq: int


class Resume(NamedTuple):
    """The first event a shard read after BORN or BROKEN; what was published in between it never saw."""

    seq: int


class Taken(NamedTuple):
    """A report took effect before event `before_seq`, at event time `when_ns`. payload: REPORT record."""

    before_seq: int
    when_ns: int
    payload: bytes


class CheckShard(NamedTuple):
    """Everything up to `seq` is stepped; digest over the shard's `symbols` symbols (signed 64 bits)."""

    seq: int
    ts_ns: int
    symbols: int
    digest: int


class BrokerStart(NamedTuple):
    """Execution begins with an empty account in mode `mode`. payload: its policy, JSON."""

    mode: int
    payload: bytes


class PolicyNote(NamedTuple):
    """The policy in force from here on (JSON): settings, and what a person took out of trading."""

    payload: bytes


class ModeNote(NamedTuple):
    """Orders go where mode `mode` says from here on."""

    mode: int


class ControlsNote(NamedTuple):
    """Controls of the messages behind, until the next ones (JSON)."""

    payload: bytes


class MessageNote(NamedTuple):
    """Execution answers and books a message about a symbol of shard `shard` (-1: unknown). payload: MESSAGE."""

    shard: int
    payload: bytes


class Booked(NamedTuple):
    """A message booked with the answer it once got: recovery. payload: MESSAGE, and REPORT where it got one."""

    payload: bytes


class StandDown(NamedTuple):
    """Working entries cancelled, positions told to close. payload: symbol ids, or null for all (JSON)."""

    cause: int
    payload: bytes


class Hello(NamedTuple):
    """Shard `shard` has begun anew and is given its open positions; `nonce` is that of its BORN."""

    shard: int
    nonce: int


class InstrumentNote(NamedTuple):
    """Execution knows the symbol by this instrument from here on (JSON); null: no longer."""

    symbol: int
    payload: bytes


class Roll(NamedTuple):
    """Baselines of the daily loss restored by recovery. payload: as in core.risk.ledger."""

    payload: bytes


class Latched(NamedTuple):
    """Symbols latched off by the churn throttle from here on, with the times. payload: JSON."""

    payload: bytes


class Now(NamedTuple):
    """The clock (monotonic) as execution read it for what follows, in LIVE."""

    now_ns: int


class Timers(NamedTuple):
    """The exchange desk looked at its timers. payload: int64 clock readings."""

    payload: bytes


class About(NamedTuple):
    """Which requests the bytes in the next record belong to, and what stood around them (JSON of
    gateway.link_words.Context)."""

    payload: bytes


class Said(NamedTuple):
    """An event that came to the desk and stands in no bytes: a lost answer, a connection, a price (JSON: name, fields)."""

    payload: bytes


class DeskCall(NamedTuple):
    """The desk was told something beside orders: `what` of workers.noted_desk.Call. payload: text."""

    what: int
    symbol: int
    payload: bytes


class GridNote(NamedTuple):
    """Steps in which the exchange writes prices and quantities of the symbol (gateway.bybit.wire_units.WireGrid)."""

    symbol: int
    tick_mant: int
    price_exp: int
    lot_mant: int
    qty_exp: int


class DeskRecords(NamedTuple):
    """Records of its journal that a recovering desk is given. payload: zstd of core.journal records, `size` bytes plain."""

    size: int
    payload: bytes


class DeskBack(NamedTuple):
    """The desk recovers from the `records` records before: the Broker has booked its messages up to `booked`."""

    now_ns: int
    booked: int
    records: int


class CancelWorking(NamedTuple):
    """Working entries cancelled at the exchange. payload: symbol ids (JSON)."""

    cause: int
    payload: bytes


class Carried(NamedTuple):
    """Baselines of the daily loss of an earlier run taken over. payload: (hour, equity) of each hour (JSON)."""

    day: int
    day_start_equity_e8: int
    trades_day: int
    payload: bytes


class Wallet(NamedTuple):
    """The exchange's cash, seen while nothing was open: deposits and withdrawals are told from results."""

    balance_e8: int


class CheckAccount(NamedTuple):
    """After `handled` messages of this life; digest of the account (signed 64 bits)."""

    handled: int
    digest: int
    balance_e8: int
    open_positions: int


NOTES: dict[Kind, type[Any]] = {
    Kind.RUN: Run, Kind.HOLE: Hole, Kind.POSITION: Position, Kind.CLOSED: Closed,
    Kind.START: Start, Kind.SETTINGS: SettingsNote, Kind.EVENT: EventNote, Kind.LISTING: Listing,
    Kind.DELISTING: Delisting, Kind.DATA_STATE: DataStateNote, Kind.TICK: Tick, Kind.ASKED: Asked,
    Kind.SHEDDING: Shedding,
    Kind.BORN: Born, Kind.OWN: Own, Kind.BROKEN: Broken, Kind.RESUME: Resume, Kind.TAKEN: Taken,
    Kind.CHECK_SHARD: CheckShard,
    Kind.BROKER_START: BrokerStart, Kind.POLICY: PolicyNote, Kind.MODE: ModeNote, Kind.CONTROLS: ControlsNote,
    Kind.MESSAGE: MessageNote, Kind.BOOKED: Booked, Kind.STAND_DOWN: StandDown, Kind.HELLO: Hello,
    Kind.INSTRUMENT: InstrumentNote, Kind.CHECK_ACCOUNT: CheckAccount, Kind.ROLL: Roll, Kind.LATCHED: Latched,
    Kind.NOW: Now, Kind.TIMERS: Timers, Kind.ABOUT: About, Kind.SAID: Said, Kind.DESK_CALL: DeskCall,
    Kind.GRID: GridNote, Kind.DESK_RECORDS: DeskRecords, Kind.DESK_BACK: DeskBack,
    Kind.CANCEL_WORKING: CancelWorking, Kind.CARRIED: Carried, Kind.WALLET: Wallet,
}


class _Form(NamedTuple):
    kind: Kind
    make: type[Any]
    ints: struct.Struct
    has_payload: bool


def _form(kind: Kind, make: type[Any]) -> _Form:
    fields = make._fields
    has_payload = fields[-1] == "payload"
    return _Form(kind, make, struct.Struct(f"<{len(fields) - has_payload}q"), has_payload)


_BY_KIND = {int(kind): _form(kind, make) for kind, make in NOTES.items()}
_BY_TYPE = {form.make: form for form in _BY_KIND.values()}


EVENT_RECORDS: dict[int, Any] = {  # records of events, by kind
    EventKind.CONFIG: PARAMS.dtype, EventKind.GLOBAL: GLOBAL.dtype, EventKind.PROFILE: PROFILE.dtype,
    EventKind.NEWS: NEWS.dtype,
}
RECORD_BYTES: dict[type[Any], tuple[int, ...]] = {  # what a payload that is a record may be long
    Listing: (SYMBOL.size,), Taken: (REPORT.size,), MessageNote: (MESSAGE.size,),
    Booked: (MESSAGE.size, MESSAGE.size + REPORT.size),
}


class NoteError(ValueError):
    """The bytes are no note of that kind, or hold a record of another layout."""


def pack(note: Any) -> tuple[int, bytes]:
    """(kind, bytes) of a note."""
    form = _BY_TYPE[type(note)]
    if form.has_payload:
        return int(form.kind), form.ints.pack(*note[:-1]) + note[-1]
    return int(form.kind), form.ints.pack(*note)


def unpack(kind: int, data: bytes) -> Any:
    """The note of a journal record. Raises NoteError."""
    form = _BY_KIND.get(kind)
    if form is None:
        raise NoteError(f"no note has kind {kind}")
    size = form.ints.size
    if len(data) < size or (not form.has_payload and len(data) != size):
        raise NoteError(f"{form.make.__name__}: {len(data)} bytes")
    values = form.ints.unpack_from(data)
    if not form.has_payload:
        return form.make(*values)
    note = form.make(*values, data[size:])
    lengths = RECORD_BYTES.get(form.make)
    if form.make is EventNote and (dtype := EVENT_RECORDS.get(note.kind)) is not None:
        lengths = (dtype.itemsize,)
    if lengths is not None and len(note.payload) not in lengths:
        raise NoteError(f"{form.make.__name__} of {len(note.payload)} bytes, here it has {lengths[-1]}")
    return note


def signed(digest: int) -> int:
    """A 64-bit digest as the int64 that notes hold."""
    digest &= MASK64
    return digest - (1 << 64) if digest >> 63 else digest
