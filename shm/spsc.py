"""Single-writer, single-reader ring of fixed slots: nothing is ever lost, a full ring refuses the push.

Each side keeps the other's position as it last saw it in its own line and looks again only when that says full (or
empty): in steady flow a side touches the other's line once per lap, not once per push.
"""

from __future__ import annotations

import numpy as np

from core.jit import kernel
from shm.atomics import LINE_WORDS, fence_full, load_acquire, store_release
from shm.layout import PAGE_BYTES, SPSC_CONST, SPSC_READER, SPSC_WRITER, word
from shm.parking import arm_bell, disarm_bell, ring_bell, wait_bell

MAGIC = 0x535053432D52494E
HEADER_BYTES = PAGE_BYTES

W_MAGIC = word(SPSC_CONST, "magic")
W_CAPACITY = word(SPSC_CONST, "capacity")
W_SLOT_WORDS = word(SPSC_CONST, "slot_words")
W_BELL = word(SPSC_CONST, "bell")
W_TAIL = LINE_WORDS + word(SPSC_WRITER, "tail")
W_HEAD_SEEN = LINE_WORDS + word(SPSC_WRITER, "head_seen")
W_REFUSED = LINE_WORDS + word(SPSC_WRITER, "refused")
W_HEAD = 2 * LINE_WORDS + word(SPSC_READER, "head")
W_TAIL_SEEN = 2 * LINE_WORDS + word(SPSC_READER, "tail_seen")
OWN_BELL = 3 * LINE_WORDS
HEADER_WORDS = 4 * LINE_WORDS


@kernel
def spsc_push(words, slots, src, first, n, bells):
    """Push `src[first:first + n]` (int64[:, slot_words]) all or nothing; returns n, or 0 when it does not fit."""
    capacity = words[W_CAPACITY]
    tail = words[W_TAIL]
    if tail + n - words[W_HEAD_SEEN] > capacity:
        words[W_HEAD_SEEN] = load_acquire(words, W_HEAD)
        if tail + n - words[W_HEAD_SEEN] > capacity:
            words[W_REFUSED] += 1
            return 0
    for i in range(n):
        at = (tail + i) & (capacity - 1)
        for j in range(slots.shape[1]):
            slots[at, j] = src[first + i, j]
    store_release(words, W_TAIL, tail + n)
    fence_full()
    bell = words[W_BELL]
    if bell >= 0:
        ring_bell(bells, bell)
    return n


@kernel
def spsc_pop(words, slots, dst, first, max_n):
    """Pop up to `max_n` slots into `dst[first:]`; returns how many."""
    capacity = words[W_CAPACITY]
    head = words[W_HEAD]
    if words[W_TAIL_SEEN] == head:
        words[W_TAIL_SEEN] = load_acquire(words, W_TAIL)
    n = min(words[W_TAIL_SEEN] - head, max_n)
    if n <= 0:
        return 0
    for i in range(n):
        at = (head + i) & (capacity - 1)
        for j in range(slots.shape[1]):
            dst[first + i, j] = slots[at, j]
    store_release(words, W_HEAD, head + n)
    return n


@kernel
def spsc_park(words, bells, bell, timeout_ns):
    """Sleep until something is pushed, or `timeout_ns` is over."""
    arm_bell(bells, bell)
    if load_acquire(words, W_TAIL) != words[W_HEAD]:
        disarm_bell(bells, bell)
    else:
        wait_bell(bells, bell, timeout_ns)


class SpscWriter:
    def __init__(self, ring: SpscRing) -> None:
        self.ring = ring

    def push(self, records: np.ndarray, n: int, first: int = 0) -> int:
        """Push `records[first:first + n]` (the ring's record type, contiguous) all or nothing: n, or 0 when full."""
        if n <= 0:
            return 0
        ring = self.ring
        if first < 0 or first + n > records.shape[0]:
            raise ValueError(f"records {first}..{first + n} of {records.shape[0]}")
        if n > ring.capacity:
            raise ValueError(f"{n} records never fit into a ring of {ring.capacity}")
        return spsc_push(ring.words, ring.slots, ring.as_words(records), first, n, ring.bells)

    def free(self) -> int:
        """Slots free now."""
        words = self.ring.words
        return self.ring.capacity - int(words[W_TAIL]) + int(words[W_HEAD])


class SpscReader:
    def __init__(self, ring: SpscRing, bell: int) -> None:
        self.ring = ring
        self.bell = bell

    def pop(self, records: np.ndarray, max_n: int | None = None, first: int = 0) -> int:
        """Pop up to `max_n` records (default: as many as fit) into `records[first:]`; returns how many."""
        ring = self.ring
        room = records.shape[0] - first
        wanted = room if max_n is None else min(max_n, room)
        return spsc_pop(ring.words, ring.slots, ring.as_words(records), first, wanted)

    def has_data(self) -> bool:
        return len(self.ring) > 0

    def park(self, timeout_ns: int) -> None:
        """Sleep until something is pushed, or the time is over (ns)."""
        spsc_park(self.ring.words, self.ring.bells, self.bell, int(timeout_ns))


class SpscRing:
    """View of a ring in a uint8 array. `bells` and `bell` name the reader's parking word; by default the ring's own."""

    def __init__(self, body: np.ndarray, bells: np.ndarray | None, bell: int | None) -> None:
        self.words: np.ndarray = body[: HEADER_WORDS * 8].view(np.int64)
        if int(self.words[W_MAGIC]) != MAGIC:
            raise ValueError("this memory holds no single-reader ring")
        self.capacity = int(self.words[W_CAPACITY])
        self.slot_words = int(self.words[W_SLOT_WORDS])
        end = HEADER_BYTES + self.capacity * self.slot_words * 8
        self.slots: np.ndarray = body[HEADER_BYTES:end].view(np.int64).reshape(self.capacity, self.slot_words)
        self.bells: np.ndarray = self.words[OWN_BELL:] if bells is None else bells
        self._bell = 0 if bell is None else bell
        self._seen: np.ndarray | None = None
        self._seen_words: np.ndarray = self.slots

    @staticmethod
    def bytes_needed(slot_bytes: int, capacity: int) -> int:
        return HEADER_BYTES + slot_bytes * capacity

    @classmethod
    def format(
        cls, body: np.ndarray, slot_bytes: int, capacity: int, bells: np.ndarray | None = None, bell: int | None = None
    ) -> SpscRing:
        """Make an empty ring in zeroed `body` (uint8, 8-byte aligned); `slot_bytes` a multiple of 8."""
        if capacity < 2 or capacity & (capacity - 1):
            raise ValueError(f"capacity {capacity}: a power of two of at least 2 is needed")
        if slot_bytes <= 0 or slot_bytes % 8:
            raise ValueError(f"slot of {slot_bytes} bytes: a multiple of 8 is needed")
        if body.size < cls.bytes_needed(slot_bytes, capacity):
            raise ValueError(f"{body.size} bytes are too few for {capacity} slots of {slot_bytes}")
        words: np.ndarray = body[: HEADER_WORDS * 8].view(np.int64)
        words[:] = 0
        words[W_CAPACITY] = capacity
        words[W_SLOT_WORDS] = slot_bytes // 8
        words[W_BELL] = -1
        words[W_MAGIC] = MAGIC
        return cls(body, bells, bell)

    @classmethod
    def attach(cls, body: np.ndarray, bells: np.ndarray | None = None, bell: int | None = None) -> SpscRing:
        return cls(body, bells, bell)

    def writer(self) -> SpscWriter:
        """The one writer; a restarted one goes on where the pushed slots end."""
        return SpscWriter(self)

    def reader(self) -> SpscReader:
        """The one reader; a restarted one goes on where its predecessor stopped."""
        self.words[W_BELL] = self._bell
        return SpscReader(self, self._bell)

    def as_words(self, records: np.ndarray) -> np.ndarray:
        """The same memory as int64[:, slot_words]; the view of the array used last is kept."""
        if records is not self._seen:
            if records.dtype.itemsize != self.slot_words * 8 and records.ndim == 1:
                raise ValueError(f"records of {records.dtype.itemsize} bytes in a ring of {self.slot_words * 8}")
            self._seen_words = records.view(np.int64).reshape(records.shape[0], self.slot_words)
            self._seen = records
        return self._seen_words

    def __len__(self) -> int:
        """Slots waiting."""
        return int(self.words[W_TAIL]) - int(self.words[W_HEAD])

    @property
    def refused(self) -> int:
        return int(self.words[W_REFUSED])
