"""Broadcast ring: one writer, up to eight readers, messages of whole 64-byte cells, lossy and exactly counted.

The writer publishes a batch with one release store of a batch number. The numbers of cells and messages published stand
in two pairs; the parity of the batch number names the pair in force, so a reader always gets both of the same moment,
also from a writer that died half-way. Before it overwrites cells the writer moves an *intent* word ahead (in chunks, so
the word is rarely written); a reader copies, passes a fence, and believes the copy only when the cells were still above
intent - capacity. A reader that is overtaken jumps to the newest batch and adds to `lost` exactly the messages between.
A reader keeps at least capacity - chunk - (largest batch) cells behind the writer before that can happen.

Gated: the writer refuses a batch that would overwrite what a *gating* reader has not taken; others stay lossy.
"""

from __future__ import annotations

import os

import numpy as np

from core.jit import kernel
from core.records import CELL_WORDS, EVENT
from shm.atomics import LINE_WORDS, fence_acquire, fence_full, fence_release, load_acquire, set_word, store_release
from shm.layout import (
    BROADCAST_BELLS,
    BROADCAST_CONST,
    BROADCAST_INTENT,
    BROADCAST_SLOT,
    BROADCAST_WRITER,
    PAGE_BYTES,
    READER_SLOTS,
    word,
)
from shm.parking import arm_bell, disarm_bell, ring_bell, wait_bell

MAGIC = 0x42524F4144434153
HEADER_BYTES = PAGE_BYTES
MAX_MESSAGE_CELLS = 65_535

W_MAGIC = word(BROADCAST_CONST, "magic")
W_CAPACITY = word(BROADCAST_CONST, "capacity_cells")
W_CHUNK = word(BROADCAST_CONST, "chunk_cells")
W_BATCH = LINE_WORDS + word(BROADCAST_WRITER, "batch")
W_TAIL = LINE_WORDS + word(BROADCAST_WRITER, "tail_even")
W_MESSAGES = LINE_WORDS + word(BROADCAST_WRITER, "messages_even")
PAIR_WORDS = word(BROADCAST_WRITER, "tail_odd") - word(BROADCAST_WRITER, "tail_even")
W_INTENT = 2 * LINE_WORDS + word(BROADCAST_INTENT, "intent")
W_GATE = 2 * LINE_WORDS + word(BROADCAST_INTENT, "gate")
W_REFUSED = 2 * LINE_WORDS + word(BROADCAST_INTENT, "refused")
W_BELLS = 3 * LINE_WORDS + word(BROADCAST_BELLS, "bell")
W_SLOTS = 4 * LINE_WORDS
S_POSITION = word(BROADCAST_SLOT, "position")
S_MESSAGES = word(BROADCAST_SLOT, "messages")
S_LOST = word(BROADCAST_SLOT, "lost")
S_LAPS = word(BROADCAST_SLOT, "laps")
S_MODE = word(BROADCAST_SLOT, "mode")
S_PID = word(BROADCAST_SLOT, "pid")
OWN_BELLS = W_SLOTS + READER_SLOTS * LINE_WORDS
HEADER_WORDS = OWN_BELLS + READER_SLOTS * LINE_WORDS

MODE_FREE = 0
MODE_LOSSY = 1
MODE_GATING = 2

# where n_cells lies in the header cell of a message
_N_CELLS_OFFSET = EVENT.dtype.fields["n_cells"][1]  # type: ignore[index]
N_CELLS_WORD = _N_CELLS_OFFSET // 8
N_CELLS_SHIFT = 8 * (_N_CELLS_OFFSET % 8)

TOO_LONG = -1


@kernel
def ring_tail(words):
    """Cells published."""
    batch = load_acquire(words, W_BATCH)
    while True:
        tail = words[W_TAIL + PAIR_WORDS * (batch & 1)]
        fence_acquire()
        again = load_acquire(words, W_BATCH)
        if again == batch:
            return tail
        batch = again


@kernel
def ring_publish(words, cells, src, n_cells, n_messages, gated, bells):
    """Publish `src[:n_cells]` (whole messages) as one batch; 1, or 0 when gated and a gating reader is too far behind.

    `words` int64 header, `cells` and `src` int64[:, 8], `gated` 0/1, `bells` int64[8 * n].
    """
    capacity = words[W_CAPACITY]
    batch = words[W_BATCH]
    pair = W_TAIL + PAIR_WORDS * (batch & 1)
    tail = words[pair]
    end = tail + n_cells
    if gated != 0 and end - words[W_GATE] > capacity:
        slowest = tail
        for slot in range(READER_SLOTS):
            base = W_SLOTS + slot * LINE_WORDS
            if load_acquire(words, base + S_MODE) == MODE_GATING:
                slowest = min(slowest, load_acquire(words, base + S_POSITION))
        words[W_GATE] = slowest
        if end - slowest > capacity:
            words[W_REFUSED] += 1
            return 0
    if end > words[W_INTENT]:
        # a gating reader must never find its cells below intent - capacity, so nothing is reserved ahead of it
        words[W_INTENT] = end if gated != 0 else end + words[W_CHUNK]
    fence_release()
    first = tail & (capacity - 1)
    until_wrap = min(n_cells, capacity - first)
    for i in range(until_wrap):
        for j in range(CELL_WORDS):
            cells[first + i, j] = src[i, j]
    for i in range(until_wrap, n_cells):
        for j in range(CELL_WORDS):
            cells[i - until_wrap, j] = src[i, j]
    other = W_TAIL + PAIR_WORDS * ((batch + 1) & 1)
    words[other] = end
    words[other + 1] = words[pair + 1] + n_messages
    store_release(words, W_BATCH, batch + 1)
    fence_full()
    for slot in range(READER_SLOTS):
        bell = words[W_BELLS + slot]
        if bell >= 0:
            ring_bell(bells, bell)
    return 1


@kernel
def ring_jump(words, slot):
    """Put a reader at the newest batch; returns the number of messages skipped."""
    base = W_SLOTS + slot * LINE_WORDS
    batch = load_acquire(words, W_BATCH)
    while True:
        pair = W_TAIL + PAIR_WORDS * (batch & 1)
        tail = words[pair]
        messages = words[pair + 1]
        fence_acquire()
        again = load_acquire(words, W_BATCH)
        if again == batch:
            break
        batch = again
    skipped = messages - words[base + S_MESSAGES]
    words[base + S_MESSAGES] = messages
    store_release(words, base + S_POSITION, tail)
    return skipped


@kernel
def ring_read(words, cells, slot, dst):
    """Copy as many whole messages as there are and fit into `dst` (int64[:, 8]); returns cells, 0 = nothing (also after
    a lap, which `S_LAPS` tells), -1 = the next message is longer than `dst`."""
    base = W_SLOTS + slot * LINE_WORDS
    position = words[base + S_POSITION]
    available = ring_tail(words) - position
    if available == 0:
        return 0
    capacity = words[W_CAPACITY]
    n_cells = min(available, dst.shape[0])
    taken = 0
    messages = 0
    first_length = 0
    if available <= capacity:
        first = position & (capacity - 1)
        until_wrap = min(n_cells, capacity - first)
        for i in range(until_wrap):
            for j in range(CELL_WORDS):
                dst[i, j] = cells[first + i, j]
        for i in range(until_wrap, n_cells):
            for j in range(CELL_WORDS):
                dst[i, j] = cells[i - until_wrap, j]
        # the copy may be torn: nothing here may loop or write outside because of what it holds
        while taken < n_cells:
            length = (dst[taken, N_CELLS_WORD] >> N_CELLS_SHIFT) & 0xFFFF
            if taken == 0:
                first_length = length
            if length == 0 or taken + length > n_cells:
                break
            taken += length
            messages += 1
    fence_acquire()
    if load_acquire(words, W_INTENT) - position > capacity:
        words[base + S_LOST] += ring_jump(words, slot)
        words[base + S_LAPS] += 1
        return 0
    if taken == 0:
        return TOO_LONG if first_length > 0 else TOO_LONG - 1
    words[base + S_MESSAGES] += messages
    store_release(words, base + S_POSITION, position + taken)
    return taken


@kernel
def ring_park(words, slot, bells, bell, timeout_ns):
    """Sleep until something is published behind the reader's position, or `timeout_ns` is over."""
    arm_bell(bells, bell)
    if ring_tail(words) != words[W_SLOTS + slot * LINE_WORDS + S_POSITION]:
        disarm_bell(bells, bell)
    else:
        wait_bell(bells, bell, timeout_ns)


class BroadcastWriter:
    """The one writer. A restarted writer continues where the last one's published batches end."""

    def __init__(self, ring: BroadcastRing, gated: bool) -> None:
        self.ring = ring
        self.gated = gated
        self._gated = int(gated)
        self._max_cells = ring.capacity_cells - ring.chunk_cells

    def publish(self, cells: np.ndarray, n_cells: int, n_messages: int) -> bool:
        """Publish `cells[:n_cells]` (int64[:, 8], whole messages) as one batch; False: gated, nothing was written.

        ValueError when the batch is larger than the ring can hold (capacity - chunk).
        """
        if n_cells <= 0:
            return True
        if n_cells > self._max_cells or n_cells > cells.shape[0]:
            raise ValueError(f"batch of {n_cells} cells: source has {cells.shape[0]}, ring takes {self._max_cells}")
        ring = self.ring
        return ring_publish(ring.words, ring.cells, cells, n_cells, n_messages, self._gated, ring.bells) == 1


class BroadcastReader:
    """One of up to eight readers. After each read compare `.laps`: a change means messages were lost before it."""

    def __init__(self, ring: BroadcastRing, slot: int, bell: int) -> None:
        self.ring = ring
        self.slot = slot
        self.bell = bell
        self._base = W_SLOTS + slot * LINE_WORDS

    def read(self, dst: np.ndarray) -> int:
        """Copy whole messages into `dst` (int64[:, 8]); returns the number of cells, 0 = nothing.

        ValueError when the next message is longer than `dst`; LookupError when the ring holds no valid message.
        """
        ring = self.ring
        n_cells = ring_read(ring.words, ring.cells, self.slot, dst)
        if n_cells < 0:
            if n_cells == TOO_LONG:
                raise ValueError(f"the next message does not fit into {dst.shape[0]} cells")
            raise LookupError(f"cell {self.position} of the ring is not the start of a message")
        return n_cells

    def has_data(self) -> bool:
        return self.lag_cells() > 0

    def park(self, timeout_ns: int) -> None:
        """Sleep until something is published, or the time is over (ns)."""
        ring_park(self.ring.words, self.slot, self.ring.bells, self.bell, int(timeout_ns))

    def jump_to_newest(self) -> None:
        """Skip what is unread without counting it as lost."""
        ring_jump(self.ring.words, self.slot)

    def seek(self, position: int, messages: int) -> None:
        """Go on at a place seen earlier (`position` and `messages` of then); a lap is noticed at the next read."""
        self.ring.words[self._base + S_MESSAGES] = messages
        set_word(self.ring.words, self._base + S_POSITION, position)

    def lag_cells(self) -> int:
        return int(ring_tail(self.ring.words)) - self.position

    def release(self) -> None:
        """Give the slot back: a gating reader no longer holds the writer."""
        self.ring.words[W_BELLS + self.slot] = -1
        self.ring.words[self._base + S_MODE] = MODE_FREE

    @property
    def position(self) -> int:
        """Cells consumed or skipped since the ring was made."""
        return int(self.ring.words[self._base + S_POSITION])

    @property
    def messages(self) -> int:
        """Messages consumed or lost since the ring was made."""
        return int(self.ring.words[self._base + S_MESSAGES])

    @property
    def lost_messages(self) -> int:
        return int(self.ring.words[self._base + S_LOST])

    @property
    def laps(self) -> int:
        return int(self.ring.words[self._base + S_LAPS])


class BroadcastRing:
    """View of a ring in a uint8 array. `bells` and `bell` name the parking words; by default the ring's own."""

    def __init__(self, body: np.ndarray, bells: np.ndarray | None, bell: int | None) -> None:
        self.words: np.ndarray = body[: HEADER_WORDS * 8].view(np.int64)
        if int(self.words[W_MAGIC]) != MAGIC:
            raise ValueError("this memory holds no broadcast ring")
        self.capacity_cells = int(self.words[W_CAPACITY])
        self.chunk_cells = int(self.words[W_CHUNK])
        end = HEADER_BYTES + self.capacity_cells * CELL_WORDS * 8
        self.cells: np.ndarray = body[HEADER_BYTES:end].view(np.int64).reshape(self.capacity_cells, CELL_WORDS)
        self.bells: np.ndarray = self.words[OWN_BELLS:] if bells is None else bells
        self._bell = bell

    @staticmethod
    def bytes_needed(capacity_cells: int) -> int:
        return HEADER_BYTES + capacity_cells * CELL_WORDS * 8

    @classmethod
    def format(
        cls, body: np.ndarray, capacity_cells: int, gating_slots: tuple[int, ...] = (),
        bells: np.ndarray | None = None, bell: int | None = None,
    ) -> BroadcastRing:
        """Make an empty ring in zeroed `body` (uint8, 8-byte aligned). `gating_slots` hold a gated writer back from the
        start, before their readers have joined."""
        if capacity_cells < 16 or capacity_cells & (capacity_cells - 1):
            raise ValueError(f"capacity {capacity_cells} cells: a power of two of at least 16 is needed")
        if body.size < cls.bytes_needed(capacity_cells):
            raise ValueError(f"{body.size} bytes are too few for {capacity_cells} cells")
        words: np.ndarray = body[: HEADER_WORDS * 8].view(np.int64)
        words[:] = 0
        words[W_CAPACITY] = capacity_cells
        words[W_CHUNK] = capacity_cells // 16
        words[W_BELLS : W_BELLS + READER_SLOTS] = -1
        for slot in gating_slots:
            words[W_SLOTS + slot * LINE_WORDS + S_MODE] = MODE_GATING
        words[W_MAGIC] = MAGIC
        return cls(body, bells, bell)

    @classmethod
    def attach(cls, body: np.ndarray, bells: np.ndarray | None = None, bell: int | None = None) -> BroadcastRing:
        """View a ring another process has formatted."""
        return cls(body, bells, bell)

    def _map_pages(self) -> None:
        """Touch every page once, so that no page fault falls into the first lap."""
        self.cells[:: PAGE_BYTES // (CELL_WORDS * 8), 0].sum()

    def writer(self, gated: bool = False) -> BroadcastWriter:
        self._map_pages()
        return BroadcastWriter(self, gated)

    def reader(self, slot: int, gating: bool = False, from_start: bool = False) -> BroadcastReader:
        """Take reader slot 0-7. `from_start` begins at cell 0, counting what is gone already as lost; else the reader
        begins at the newest batch. A gating slot (named at `format`, or taken before) goes on where it stands."""
        if not 0 <= slot < READER_SLOTS:
            raise ValueError(f"reader slot {slot}: 0..{READER_SLOTS - 1} exist")
        self._map_pages()
        base = W_SLOTS + slot * LINE_WORDS
        bell = slot if self._bell is None else self._bell
        if not (gating and int(self.words[base + S_MODE]) == MODE_GATING):
            self.words[base + S_LOST] = 0
            self.words[base + S_LAPS] = 0
            if from_start:
                self.words[base + S_MESSAGES] = 0
                self.words[base + S_POSITION] = 0
            else:
                ring_jump(self.words, slot)
        self.words[base + S_PID] = os.getpid()
        self.words[base + S_MODE] = MODE_GATING if gating else MODE_LOSSY
        self.words[W_BELLS + slot] = bell
        return BroadcastReader(self, slot, bell)

    @property
    def tail_cells(self) -> int:
        return int(ring_tail(self.words))

    @property
    def total_messages(self) -> int:
        """Messages published since the ring was made, as its writer (or nobody, while it is dead) sees it."""
        return int(self.words[W_TAIL + PAIR_WORDS * (int(self.words[W_BATCH]) & 1) + 1])

    @property
    def refused(self) -> int:
        """Batches a gated writer had to hold back."""
        return int(self.words[W_REFUSED])

    def lags(self) -> list[dict[str, int]]:
        """One entry per reader in use: slot, pid, lag_cells, lost_messages, laps, gating (0/1)."""
        tail = self.tail_cells
        rows = []
        for slot in range(READER_SLOTS):
            line = self.words[W_SLOTS + slot * LINE_WORDS : W_SLOTS + (slot + 1) * LINE_WORDS]
            if int(line[S_MODE]) != MODE_FREE:
                rows.append({
                    "slot": slot, "pid": int(line[S_PID]), "lag_cells": max(0, tail - int(line[S_POSITION])),
                    "lost_messages": int(line[S_LOST]), "laps": int(line[S_LAPS]),
                    "gating": int(int(line[S_MODE]) == MODE_GATING),
                })
        return rows

    def slot_lag_cells(self, slot: int) -> int:
        """Cells a reader slot is behind; 0 for a free slot."""
        line = self.words[W_SLOTS + slot * LINE_WORDS : W_SLOTS + (slot + 1) * LINE_WORDS]
        return 0 if int(line[S_MODE]) == MODE_FREE else max(0, self.tail_cells - int(line[S_POSITION]))
