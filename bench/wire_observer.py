"""Looks at the shared memory of a running plant and notes when things happened. Writes nothing, holds no reader slot.

Every POLL_NS it reads the tails of the market rings, the watermarks of the shards, and both ends of the intent rings, and
walks the headers of what is new. A time noted here is that of the look that saw it: late by up to one poll, never early.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from core.histogram import hist_record, new_histogram
from core.jit import kernel
from shm.atomics import load_acquire
from shm.broadcast import W_CAPACITY, W_INTENT, ring_tail
from shm.control import N_PROGRESS
from shm.parking import now_mono_ns, park
from shm.spsc import W_HEAD, W_TAIL
from shm.topology import Plant

POLL_NS = 100_000
# columns of an event row
E_SEQ, E_XSEQ, E_READ, E_PUBLISHED, E_STEPPED, E_KIND = range(6)
# columns of an intent row
I_SEQ, I_READ, I_SENT, I_SEEN, I_TAKEN, I_KIND = range(6)
# words of a view's state
P_CELL, P_EVENTS, P_STEPPED, P_SLOT, P_INTENTS, P_TAKEN, P_LAPPED, P_FULL = range(8)


class View(NamedTuple):
    """One shard as seen from outside; rows fill up from 0."""

    ring: np.ndarray  # header words of its market ring
    cells: np.ndarray
    cnc: np.ndarray
    intents: np.ndarray  # header words of its intent ring
    slots: np.ndarray
    events: np.ndarray  # int64[n, 6]
    messages: np.ndarray  # int64[m, 6]
    at: np.ndarray  # int64[8]


@kernel
def look(view):
    """One look at one shard: new events and messages, what has been stepped and taken since."""
    at = view.at
    watermark = load_acquire(view.cnc, N_PROGRESS)
    head = load_acquire(view.intents, W_HEAD)
    slot_tail = load_acquire(view.intents, W_TAIL)
    tail = ring_tail(view.ring)
    now = now_mono_ns()
    capacity = view.ring[W_CAPACITY]
    cell, n = at[P_CELL], at[P_EVENTS]
    first = n
    while cell < tail:
        if n >= view.events.shape[0]:
            at[P_FULL] = 1
            break
        header = cell & (capacity - 1)
        word = view.cells[header, 6]
        row = view.events[n]
        row[E_SEQ] = view.cells[header, 0]
        row[E_XSEQ] = view.cells[header, 5]
        row[E_READ] = view.cells[header, 3]
        row[E_PUBLISHED] = now
        row[E_STEPPED] = 0
        row[E_KIND] = (word >> 32) & 0xFF
        cell += max((word >> 48) & 0xFFFF, 1)
        n += 1
    if load_acquire(view.ring, W_INTENT) - at[P_CELL] > capacity:
        at[P_LAPPED] += 1
        n, cell = first, tail
    at[P_CELL], at[P_EVENTS] = cell, n
    stepped = at[P_STEPPED]
    while stepped < n and view.events[stepped, E_SEQ] <= watermark:
        view.events[stepped, E_STEPPED] = now
        stepped += 1
    at[P_STEPPED] = stepped

    slot, m = at[P_SLOT], at[P_INTENTS]
    while slot < slot_tail and m < view.messages.shape[0]:
        source = view.slots[slot & (view.slots.shape[0] - 1)]
        message = view.messages[m]
        message[I_SEQ] = source[0]
        message[I_READ] = source[2]
        message[I_SENT] = source[3]
        message[I_SEEN] = now
        message[I_TAKEN] = 0
        message[I_KIND] = (source[13] >> 32) & 0xFF
        slot += 1
        m += 1
    at[P_SLOT], at[P_INTENTS] = slot, m
    taken = at[P_TAKEN]
    while taken < m and slot - m + taken < head:
        view.messages[taken, I_TAKEN] = now
        taken += 1
    at[P_TAKEN] = taken


@kernel
def watch(first, second, gaps, word, until_ns, poll_ns):
    """Look at two shards every `poll_ns` until `until_ns`; the times between looks into the histogram `gaps`."""
    last = 0
    while True:
        look(first)
        look(second)
        now = now_mono_ns()
        if last != 0:
            hist_record(gaps, now - last)
        last = now
        if now >= until_ns:
            return
        park(word, 0, 0, poll_ns)


class Observer:
    """Two shards of a plant; `rows` events per shard and run fit."""

    def __init__(self, plant: Plant, rows: int) -> None:
        self.views = tuple(self._view(plant, shard, rows) for shard in range(2))
        self.gaps = new_histogram()
        self._word: np.ndarray = np.zeros(1, np.int64)

    def _view(self, plant: Plant, shard: int, rows: int) -> View:
        market, intents = plant.market(shard), plant.intents(shard)
        return View(
            market.words, market.cells, plant.cnc("shard", shard).words, intents.words, intents.slots,
            np.zeros((rows, 6), np.int64), np.zeros((100_000, 6), np.int64), np.zeros(8, np.int64),
        )

    def begin(self) -> None:
        """Forget what was noted and start at the present ends of the rings."""
        self.gaps[:] = 0
        for view in self.views:
            view.at[:] = 0
            view.at[P_CELL] = ring_tail(view.ring)
            view.at[P_SLOT] = int(view.intents[W_TAIL])

    def watch(self, until_ns: int) -> None:
        """Look until `until_ns` (CLOCK_MONOTONIC)."""
        watch(*self.views, self.gaps, self._word, int(until_ns), POLL_NS)

    def is_settled(self) -> bool:
        """Everything published has been stepped, every message taken."""
        return all(
            int(v.at[P_STEPPED]) == int(v.at[P_EVENTS]) and int(v.at[P_TAKEN]) == int(v.at[P_INTENTS]) for v in self.views
        )

    def events(self) -> np.ndarray:
        """int64[n, 6] of both shards, in order of seq."""
        rows = np.concatenate([v.events[: int(v.at[P_EVENTS])] for v in self.views])
        return rows[np.argsort(rows[:, E_SEQ], kind="stable")]

    def messages(self) -> np.ndarray:
        """int64[m, 6] of both shards."""
        return np.concatenate([v.messages[: int(v.at[P_INTENTS])] for v in self.views])

    def check(self) -> None:
        """AssertionError when the notes are not complete."""
        for shard, view in enumerate(self.views):
            assert view.at[P_LAPPED] == 0, f"the observer was lapped on the market ring of shard {shard}"
            assert view.at[P_FULL] == 0, f"the observer's table of shard {shard} is full"
