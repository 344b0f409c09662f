"""The gateway's core driven by its journal: recorded frames and notes in, the same events in the same order out.

What the gateway can compute is computed again and compared with what it recorded (global regime, parameters of a config
version); a mismatch is a `Finding`. What came from outside (clock, control words, instruments, connections) is taken
from the notes.

With `own` settings it is the same order of events under another configuration: CONFIG carries ours wherever it stood, and
GLOBAL, wherever it stood, our verdict. Universe, categories and fees stay the run's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from config.schema import Settings
from core.consumption import (
    EVENT_RECORDS,
    Asked,
    DataStateNote,
    Delisting,
    EventNote,
    Listing,
    SettingsNote,
    Shedding,
    Start,
    Tick,
)
from core.enums import DataReason, DataState, EventKind, FeedState
from core.explain import naming_of
from core.journal import Frame
from core.params import params_row
from core.records import SYMBOL
from gateway import routing
from gateway.bybit.symbol_index import SymbolIndex
from gateway.connection import fill_frames
from gateway.intake import MAX_FRAMES, Intake
from gateway.publisher import Publisher
from gateway.regime_feed import RegimeFeed
from gateway.service import Sinks
from gateway.tape import FRAME_COLUMNS, STAGE_TAIL
from shm.counters import PAGE_WORDS, CounterPage
from shm.regions import MAX_SYMBOLS


class Finding(NamedTuple):
    """Something the gateway computed otherwise than it recorded, at event `seq`."""

    seq: int
    what: str
    recorded: str
    replayed: str


def field_differences(record_a: np.ndarray, record_b: np.ndarray) -> tuple[str, str]:
    """The fields in which two records of one dtype differ, as text."""
    names = record_a.dtype.names or ()
    differing = [name for name in names if record_a[name].tobytes() != record_b[name].tobytes()]

    def tell(record: np.ndarray) -> str:
        return ", ".join(f"{name} = {record[name].tolist()}" for name in differing)

    return tell(record_a), tell(record_b)


class ReplayGateway:
    """Frames and notes of one run into `sinks`. `place` as in Publisher; `found` is told each Finding; `on_listing`
    each SYMBOL record before it is routed to."""

    def __init__(
        self, sinks: Sinks, place: Callable[[np.ndarray], int], found: Callable[[Finding], None],
        on_listing: Callable[[np.ndarray], None] = lambda record: None, own: Settings | None = None,
    ) -> None:
        self._sinks = sinks
        self._place = place
        self._found = found
        self._on_listing = on_listing
        self.counters = CounterPage(np.zeros(PAGE_WORDS, np.int64))
        self.publisher: Publisher | None = None
        self._own = own
        self._rows: np.ndarray = np.zeros((MAX_FRAMES, FRAME_COLUMNS), np.int64)
        self._settings: dict[int, Settings] = {}
        self._foreign: dict[int, str] = {}  # settings that this version cannot read, and why
        self._verdict: np.ndarray | None = None
        self.regime: np.ndarray | None = None  # GLOBAL record in force

    # --- lives of the gateway --------------------------------------------------------------------------------------
    def start(self, note: Start) -> None:
        """A gateway begins, with nothing known of what one before it knew."""
        self.publisher = Publisher(
            self._sinks.writers, MAX_SYMBOLS, self._sinks.published, lambda: True, self._at_timer, self._on_action,
            place=self._place,
        )
        self.publisher.routes.clock[routing.K_SEQ] = note.base_seq
        self._symbols = SymbolIndex(MAX_SYMBOLS)
        self._intake = Intake(self.publisher, self.counters, self._symbols)
        self._regime: RegimeFeed | None = None
        self._ids: dict[str, int] = {}
        self._tick_size: np.ndarray = np.zeros(MAX_SYMBOLS)
        self._at_timers: dict[int, list[Any]] = {}
        self._verdict = None
        self.publisher.start(note.now_ns)

    def stash(self, note: Any) -> None:
        """A note that belongs behind the TIMER of its timer_seq."""
        self._at_timers.setdefault(note.timer_seq, []).append(note)

    @property
    def stashed(self) -> list[int]:
        """TIMERs that have notes and have not come."""
        return sorted(self._at_timers)

    # --- frames ----------------------------------------------------------------------------------------------------
    def frames(self, batch: Sequence[Frame]) -> None:
        """The frames of one socket read, together."""
        for first in range(0, len(batch), MAX_FRAMES):
            run = batch[first : first + MAX_FRAMES]
            lengths = np.array([len(frame.data) for frame in run], np.int64)
            fill_frames(self._rows, lengths, len(run), run[0].ts_recv_ns, run[0].mono_ns, run[0].conn)
            joined = bytearray(1).join([*(frame.data for frame in run), bytes(STAGE_TAIL)])
            self.staged(np.frombuffer(joined, np.uint8), self._rows, len(run), int(lengths.sum()))

    def staged(self, stage: np.ndarray, frames: np.ndarray, n_frames: int, n_bytes: int) -> None:
        """Frames as `Intake.process` takes them."""
        self._intake.process(stage, frames, n_frames, n_bytes)

    # --- notes -----------------------------------------------------------------------------------------------------
    def settings(self, note: SettingsNote) -> None:
        """All settings of a config version; the CONFIG event that follows must agree with them."""
        try:
            self._settings[note.version] = msgspec.json.decode(note.payload, type=Settings)
        except msgspec.MsgspecError as error:
            self._foreign[note.version] = f"not of this version of the code: {error}"

    def apply(self, note: Any) -> None:
        """A note of the gateway, in its place."""
        publisher = self.publisher
        assert publisher is not None, "notes before START"
        if isinstance(note, EventNote):
            self._event(publisher, note)
        elif isinstance(note, Listing):
            self._listing(publisher, np.frombuffer(note.payload, SYMBOL.dtype).copy())
        elif isinstance(note, Delisting):
            publisher.delisting(note.symbol)
            self._symbols.remove(note.symbol)
        elif isinstance(note, DataStateNote):
            publisher.data_state(note.symbol, DataState(note.state), DataReason(note.reason))
        elif isinstance(note, Tick):
            publisher.tick(note.now_ns, note.mono_ns)
        elif isinstance(note, Asked):
            publisher.ask(note.symbol, note.column)
        elif isinstance(note, Shedding):
            publisher.shed(note.symbol, bool(note.on))
        else:
            raise TypeError(f"no note of the gateway: {note}")

    def publish(self) -> None:
        """Hand on what is staged."""
        if self.publisher is not None:
            self.publisher.publish()

    def _listing(self, publisher: Publisher, record: np.ndarray) -> None:
        self._on_listing(record)
        symbol = int(record["id"][0])
        self._symbols.add(record)
        self._ids[naming_of(record[0]).name] = symbol
        self._tick_size[symbol] = record["tick_size"][0]
        publisher.listing(record)

    def _event(self, publisher: Publisher, note: EventNote) -> None:
        kind = EventKind(note.kind)
        dtype = EVENT_RECORDS.get(kind)
        payload = None if dtype is None else np.frombuffer(note.payload, dtype).copy()
        if kind == EventKind.CONFIG and payload is not None:
            payload = payload if self._own is None else params_row(self._own, note.u)
            self._config(publisher, note, payload)
        elif kind == EventKind.FEED and self._regime is not None:
            self._regime.tracker.set_feed(publisher.last_ts_ns, FeedState(note.u))
        elif kind == EventKind.GLOBAL and payload is not None:
            if self._own is None:
                self._compare_verdict(publisher.seq, payload)
            elif self._verdict is not None:
                payload = self._verdict
            self.regime = payload
        if note.symbol < 0:
            publisher.broadcast(kind, u=note.u, xseq=note.xseq, payload=payload, mono_ns=note.mono_ns)
        else:
            publisher.to_symbol(
                kind, note.symbol, u=note.u, xseq=note.xseq, payload=payload, mono_ns=note.mono_ns
            )

    def _config(self, publisher: Publisher, note: EventNote, row: np.ndarray) -> None:
        if self._regime is None:
            self._regime = RegimeFeed(row)
        self._regime.tracker.set_params(row)
        if self._own is not None:
            return
        settings = self._settings.get(note.u)
        if settings is None:
            why = self._foreign.get(note.u, "not in the journal")
            self._found(Finding(publisher.seq, f"settings of config version {note.u}", why, ""))
            return
        expected = params_row(settings, note.u)
        if expected.tobytes() != row.tobytes():
            self._found(Finding(publisher.seq, f"parameters of config version {note.u}",
                                *field_differences(row, expected)))

    # --- once per TIMER --------------------------------------------------------------------------------------------
    def _at_timer(self, ts_ns: int) -> None:
        assert self.publisher is not None
        notes = self._at_timers.pop(self.publisher.seq, ())
        for note in notes:
            if not (isinstance(note, EventNote) and note.kind == EventKind.GLOBAL):
                self.apply(note)
        routes = self.publisher.routes
        if self._regime is not None:
            verdict = self._regime.turn(ts_ns, self._ids, routes.last_ticks, self._tick_size)
            self._verdict = verdict if verdict is not None else self._verdict
        for note in notes:
            if isinstance(note, EventNote) and note.kind == EventKind.GLOBAL:
                self.apply(note)

    def _compare_verdict(self, seq: int, recorded: np.ndarray) -> None:
        verdict, self._verdict = self._verdict, None
        if verdict is None:
            self._found(Finding(seq, "global regime", "a verdict", "none due"))
        elif verdict.tobytes() != recorded.tobytes():
            self._found(Finding(seq, "global regime", *field_differences(recorded, verdict)))

    def _on_action(self, symbol: int, depth: int, what: int, value: int) -> None:
        """What follows from it was recorded."""
