"""The only writer of the market rings: gives every event its place, stages it per shard, publishes batches.

`Publisher` owns the routing state and its staging. Data goes in as decoded cells (`route`), everything the gateway says
itself through `broadcast` and `to_symbol`. `publish` writes each shard's staging with one ring release, then advances
`published_seq`: whoever reads that word may rely on every ring holding everything up to it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from core.consumption import Asked, DataStateNote, Delisting, EventNote, Listing, Shedding, Start, Tick
from core.enums import DataReason, DataState, EventKind
from core.records import CELL_BYTES, CELL_WORDS, EVENT, SYMBOL
from gateway import routing
from gateway.bybit.book_sync import Sync, depth_column_of, restart

# what the kernel found, told after the call: (symbol, depth, routing.A_*, value)
ActionHandler = Callable[[int, int, int, int], None]


class RingWriter(Protocol):
    def publish(self, cells: np.ndarray, n_cells: int, n_messages: int) -> bool: ...


class Stopped(Exception):
    """The wait for a gated ring was given up because the process must stop."""


class Publisher:
    """Order, routing and publication for `len(writers)` shards and `symbols` symbol ids.

    `set_published(seq)` stores the control word. `wait()` is called while a gated ring is full; it returns False to
    give up (then Stopped is raised). `on_timer(ts_ns)` runs right after each TIMER is staged and may add events.
    `note(note)` is told everything that is put into the order from outside the decoded cells (core/consumption.py).
    `place(record)` gives the writer of a listed symbol: its shard, unless a replay uses others.
    """

    def __init__(
        self,
        writers: Sequence[RingWriter],
        symbols: int,
        set_published: Callable[[int], None],
        wait: Callable[[], bool],
        on_timer: Callable[[int], None] = lambda ts_ns: None,
        on_action: ActionHandler = lambda symbol, depth, what, value: None,
        note: Callable[[Any], None] = lambda note: None,
        place: Callable[[np.ndarray], int] = lambda record: int(record["shard"][0]),
    ) -> None:
        self.writers = list(writers)
        self._memory = routing.new_memory(symbols, len(self.writers))
        self.sync: Sync = routing.sync_of(self._memory.sync)
        self.routes: routing.Routes = routing.routes_of(*self._memory[1:])
        self._staging = [self.routes.cells[shard] for shard in range(len(self.writers))]
        self.on_timer = on_timer
        self.on_action = on_action
        self.note = note
        self._place = place
        self._set_published = set_published
        self._wait = wait
        self._timer_seq = 0  # of the TIMER whose on_timer is running

    @property
    def seq(self) -> int:
        """Place given last."""
        return int(self.routes.clock[routing.K_SEQ])

    @property
    def last_ts_ns(self) -> int:
        """Receive time reached by the order of events; nothing later may be earlier."""
        return int(self.routes.clock[routing.K_LAST_TS])

    def start(self, now_ns: int, ring_messages: Sequence[int] = (), is_restart: bool = False) -> None:
        """Set the clock of a run; TIMERs begin at the next 100 ms boundary. `ring_messages`: what the rings hold."""
        held = np.array(ring_messages, np.int64).tobytes()
        self.note(Start(now_ns, self.seq, int(is_restart), held))
        self.routes.clock[routing.K_LAST_TS] = now_ns
        self.routes.clock[routing.K_NEXT_TIMER] = (now_ns // routing.TIMER_NS + 1) * routing.TIMER_NS

    # --- what the gateway says itself -------------------------------------------------------------------------------
    def broadcast(
        self, kind: EventKind, *, u: int = 0, xseq: int = 0, payload: np.ndarray | None = None, mono_ns: int = 0
    ) -> int:
        """One event into every ring, the same seq everywhere; `payload` is a record array. Returns the seq."""
        self._note_event(kind, -1, u, xseq, payload, mono_ns)
        cells = self._cells(kind, -1, u, xseq, payload, mono_ns)
        for shard in range(len(self.writers)):
            self._stage(shard, cells)
        return self.seq

    def to_symbol(
        self, kind: EventKind, symbol: int, *, u: int = 0, xseq: int = 0, payload: np.ndarray | None = None,
        mono_ns: int = 0,
    ) -> int:
        """One event for the shard of `symbol`. Returns its seq."""
        self._note_event(kind, symbol, u, xseq, payload, mono_ns)
        return self._to_symbol(kind, symbol, u, xseq, payload, mono_ns)

    def listing(self, record: np.ndarray) -> None:
        """LISTING of a SYMBOL record (shape (1,)): from here on its data is routed. Also for a changed record."""
        self.note(Listing(self._timer_seq, record.tobytes()))
        symbol = int(record["id"][0])
        is_new = self.routes.active[symbol] == 0
        self.routes.shard[symbol] = self._place(record)
        self.routes.driving[symbol] = record["depth"][0]
        self.routes.active[symbol] = 1
        if is_new:
            self.routes.data_state[symbol] = int(DataState.WARMUP)
            restart(self.sync, symbol, depth_column_of(int(record["depth"][0])), 0)
        self._to_symbol(EventKind.LISTING, symbol, payload=record)

    def delisting(self, symbol: int) -> None:
        """DELISTING: the shard is told, further data of the symbol is dropped."""
        self.note(Delisting(self._timer_seq, symbol))
        self._to_symbol(EventKind.DELISTING, symbol)
        self.routes.active[symbol] = 0
        self.routes.shedding[symbol] = 0

    def data_state(self, symbol: int, state: DataState, reason: DataReason) -> None:
        """SYMBOL_DATA; BROKEN also forgets the base of the driving topic, so only a snapshot brings it back."""
        self.note(DataStateNote(self._timer_seq, symbol, int(state), int(reason)))
        self.routes.data_state[symbol] = int(state)
        if state == DataState.BROKEN:
            depth = int(self.routes.driving[symbol])
            restart(self.sync, symbol, depth_column_of(depth), self.last_ts_ns)
        self._to_symbol(EventKind.SYMBOL_DATA, symbol, u=int(state), xseq=int(reason))

    def ask(self, symbol: int, column: int) -> None:
        """A snapshot of this topic is being asked for: when it comes it is no reset."""
        self.note(Asked(symbol, column))
        self.sync.asked[symbol, column] = 1

    def shed(self, symbol: int, on: bool) -> None:
        """Drop the data of the symbol from here on, or no longer."""
        self.note(Shedding(symbol, int(on)))
        self.routes.shedding[symbol] = int(on)

    # --- data -------------------------------------------------------------------------------------------------------
    def route(self, cells: np.ndarray, n_cells: int) -> None:
        """Route decoded messages (int64[:, 8], first `n_cells` rows); publishes on its own only when staging is full."""
        at = 0
        while True:
            at, why = routing.route_batch(cells, at, n_cells, *self._memory)
            if why == routing.AT_TIMER:
                self._at_timer()
            elif why == routing.FULL:
                self._write()
            else:
                break

    def tick(self, now_ns: int, mono_ns: int) -> int:
        """Stage the TIMERs due at `now_ns` when no data came; returns how many."""
        timers = 0
        while routing.tick(self.routes, now_ns, mono_ns):
            timers += 1
            self._at_timer()
        if timers:
            self.note(Tick(now_ns, mono_ns))
        return timers

    def _at_timer(self) -> None:
        self._timer_seq = self.seq
        self.on_timer(self.last_ts_ns)
        self._timer_seq = 0

    def publish(self) -> int:
        """Publish all staging, waiting for gated rings, then tell what the kernel found: behind everything routed
        before, wherever it was found. Returns the messages written. Raises Stopped."""
        written = self._write()
        self._tell_actions()
        return written

    def _write(self) -> int:
        written = 0
        for shard, (n_cells, n_messages) in enumerate(self.routes.fill.tolist()):
            if n_cells == 0:
                continue
            while not self.writers[shard].publish(self._staging[shard], n_cells, n_messages):
                if not self._wait():
                    raise Stopped
            self.routes.fill[shard] = 0
            written += n_messages
        if written:
            self._set_published(self.seq)
        return written

    def _tell_actions(self) -> None:
        if self.routes.n_actions[0]:
            count = int(self.routes.n_actions[0])
            rows = self.routes.actions[:count].tolist()
            self.routes.n_actions[0] = 0
            for symbol, depth, what, value in rows:
                self.on_action(symbol, depth, what, value)

    def _note_event(
        self, kind: EventKind, symbol: int, u: int, xseq: int, payload: np.ndarray | None, mono_ns: int
    ) -> None:
        data = b"" if payload is None else payload.tobytes()
        self.note(EventNote(self._timer_seq, int(kind), symbol, u, xseq, mono_ns, data))

    def _to_symbol(
        self, kind: EventKind, symbol: int, u: int = 0, xseq: int = 0, payload: np.ndarray | None = None,
        mono_ns: int = 0,
    ) -> int:
        self._stage(int(self.routes.shard[symbol]), self._cells(kind, symbol, u, xseq, payload, mono_ns))
        return self.seq

    def _cells(
        self, kind: EventKind, symbol: int, u: int, xseq: int, payload: np.ndarray | None, mono_ns: int
    ) -> np.ndarray:
        size = 0 if payload is None else payload.nbytes
        n_cells = 1 + (size + CELL_BYTES - 1) // CELL_BYTES
        if int(self.routes.fill[:, 0].max()) + n_cells > self.routes.cells.shape[1]:
            self._write()  # before the seq is given: published_seq never runs ahead of a ring
        cells = np.zeros((n_cells, CELL_WORDS), np.int64)
        header = cells[:1].view(EVENT.dtype)[0]
        self.routes.clock[routing.K_SEQ] += 1
        header["seq"] = self.seq
        header["ts_recv_ns"] = self.last_ts_ns
        header["mono_recv_ns"] = mono_ns
        header["u"] = u
        header["xseq"] = xseq
        header["symbol"] = symbol
        header["kind"] = int(kind)
        header["n_cells"] = n_cells
        if payload is not None:
            cells[1:].view(np.uint8).reshape(-1)[:size] = np.ascontiguousarray(payload).view(np.uint8).reshape(-1)
        return cells

    def _stage(self, shard: int, cells: np.ndarray) -> None:
        n_cells = cells.shape[0]
        at = int(self.routes.fill[shard, 0])
        self.routes.cells[shard, at : at + n_cells] = cells
        self.routes.fill[shard, 0] += n_cells
        self.routes.fill[shard, 1] += 1


def symbol_rows(records: np.ndarray, symbols: Sequence[int]) -> list[np.ndarray]:
    """Rows of a SYMBOL table as arrays of shape (1,), as `Publisher.listing` takes them."""
    assert records.dtype == SYMBOL.dtype
    return [records[symbol : symbol + 1].copy() for symbol in symbols]
