"""From decoded cells to the market rings: order, checks, TIMERs, shards. One kernel call per decoded batch.

What the kernel does with each message, in order: clamp its receive time (never backwards), put TIMERs before it where
a 100 ms boundary was crossed, check `u`, shed, stamp `seq`, copy it into the staging of its symbol's shard. Data-state
changes become SYMBOL_DATA events in the same order, so that a shard and a replay see them exactly where they happened.

The kernel stops after each TIMER: what the gateway decides once per TIMER (global regime, control bits, back-pressure)
takes its place in the order right there, and does not depend on how frames were batched.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from core.enums import DataReason, DataState, EventKind
from core.jit import kernel
from core.records import CELL_WORDS
from gateway.bybit.book_sync import DROP, GAP, NO_BASE, RESET, SYNC_COUNTS, Sync, check_book, depth_column, new_sync

TIMER_NS = 100_000_000
TIMER_SKIP_NS = 10_000_000_000  # a longer silence gets one TIMER at its end
STAGING_CELLS = 32_768
STAGING_MARGIN = 16  # header events that one message may bring with it
MAX_ACTIONS = 1024

# clock int64[CLOCK_WORDS]
K_SEQ, K_NEXT_TIMER, K_LAST_TS, K_SKEW_MIN, K_SKEW_COUNT = range(5)
CLOCK_WORDS = 8
SKEW_UNKNOWN = 1 << 62

# counts int64[ROUTE_COUNTS]
C_ROUTED, C_OTHER_DEPTH, C_INACTIVE, C_SHED, C_TIMERS, C_CLAMPED, C_TOO_LONG = range(7)
ROUTE_COUNTS = 8
ROUTE_COUNT_NAMES = ("routed", "other_depth", "inactive", "shed", "timers", "clamped", "too_long")

# columns of `actions` int64[MAX_ACTIONS, 4]: symbol, depth, what, value
A_GAP, A_NO_BASE, A_RESET, A_RECOVERED = np.int64(1), np.int64(2), np.int64(3), np.int64(4)

# why the kernel returned
DONE, AT_TIMER, FULL = 0, 1, 2

# as np.int64 and not int: a plain int passed to another kernel is a literal to numba, and compiles that kernel once more
_SNAPSHOT, _DELTA, _BBO = np.int64(EventKind.BOOK_SNAPSHOT), np.int64(EventKind.BOOK_DELTA), np.int64(EventKind.BBO)
_TICKER, _TRADES = np.int64(EventKind.TICKER), np.int64(EventKind.TRADES)
_NEWS = np.int64(EventKind.NEWS)
_TIMER, _SYMBOL_DATA = np.int64(EventKind.TIMER), np.int64(EventKind.SYMBOL_DATA)
_OK, _BROKEN, _STALE = np.int64(DataState.OK), np.int64(DataState.BROKEN), np.int64(DataState.STALE)
_R_NONE, _R_SNAPSHOT = np.int64(DataReason.NONE), np.int64(DataReason.SNAPSHOT)
_R_GAP, _R_RESET = np.int64(DataReason.GAP), np.int64(DataReason.RESET)
_ZERO, _ONE, _ALL = np.int64(0), np.int64(1), np.int64(-1)


class Memory(NamedTuple):
    """What `Sync` and `Routes` are views of: numba needs 0.3 µs per array of a tuple to look at a call's arguments."""

    sync: np.ndarray  # int64[5, symbols, COLUMNS]
    table: np.ndarray  # int64[7, symbols]: the per-symbol arrays of Routes
    cells: np.ndarray
    fill: np.ndarray
    words: np.ndarray  # int64[WORDS]: clock, counts, sync_counts, n_actions
    actions: np.ndarray


class Routes(NamedTuple):
    """Routing state. Per-symbol arrays are int64[symbols]."""

    shard: np.ndarray
    active: np.ndarray  # 1 = listed
    driving: np.ndarray  # depth of the topic that drives the book
    data_state: np.ndarray  # DataState as last told to the shard
    shedding: np.ndarray  # 1 = data events of the symbol are dropped
    shed: np.ndarray  # how many since the last SHED event
    last_ticks: np.ndarray  # last price from tickers or trades, 0 = unknown
    cells: np.ndarray  # staging, int64[shards, STAGING_CELLS, 8]
    fill: np.ndarray  # int64[shards, 2]: cells and messages staged
    clock: np.ndarray  # int64[CLOCK_WORDS], K_*
    counts: np.ndarray  # int64[ROUTE_COUNTS]
    sync_counts: np.ndarray  # int64[SYNC_COUNTS] of book_sync
    actions: np.ndarray  # int64[MAX_ACTIONS, 4]
    n_actions: np.ndarray  # int64[1]


_CLOCK, _COUNTS = 0, CLOCK_WORDS
_SYNC_COUNTS = _COUNTS + ROUTE_COUNTS
_N_ACTIONS = _SYNC_COUNTS + SYNC_COUNTS
WORDS = _N_ACTIONS + 1


def new_memory(symbols: int, shards: int) -> Memory:
    """Fresh state: all topics EMPTY, their first snapshot expected."""

    def zeros(*shape: int) -> np.ndarray:
        return np.zeros(shape, np.int64)

    memory = Memory(
        sync=np.stack(new_sync(symbols)), table=zeros(7, symbols), cells=zeros(shards, STAGING_CELLS, CELL_WORDS),
        fill=zeros(shards, 2), words=zeros(WORDS), actions=zeros(MAX_ACTIONS, 4),
    )
    memory.words[_CLOCK + K_SKEW_MIN] = SKEW_UNKNOWN
    return memory


def sync_of(table):
    """Memory.sync as Sync."""
    return Sync(table[0], table[1], table[2], table[3], table[4])


def routes_of(table, cells, fill, words, actions):
    """The other arrays of Memory as Routes."""
    return Routes(
        table[0], table[1], table[2], table[3], table[4], table[5], table[6], cells, fill, words[_CLOCK:_COUNTS],
        words[_COUNTS:_SYNC_COUNTS], words[_SYNC_COUNTS:_N_ACTIONS], actions, words[_N_ACTIONS:WORDS],
    )


sync_view = kernel(sync_of)  # kernels own no arrays and hand none to Python: the plain functions serve there
routes_view = kernel(routes_of)


@kernel
def route_batch(messages, start, n_cells, sync, table, cells, fill, words, actions):
    """`route` on Memory."""
    return route(messages, start, n_cells, sync_view(sync), routes_view(table, cells, fill, words, actions))


@kernel
def put_header(routes, shard, seq, kind, symbol, ts_ns, mono_ns, u, xseq):
    """Stage a header-only event (words as in records.EVENT)."""
    at = routes.fill[shard, 0]
    row = routes.cells[shard, at]
    row[0] = seq
    row[1] = 0
    row[2] = ts_ns
    row[3] = mono_ns
    row[4] = u
    row[5] = xseq
    row[6] = (symbol & 0xFFFFFFFF) | (kind << 32) | (1 << 48)
    row[7] = 0
    routes.fill[shard, 0] = at + 1
    routes.fill[shard, 1] += 1


@kernel
def put_symbol_data(routes, symbol, ts_ns, mono_ns, state, reason):
    """SYMBOL_DATA in order, with its own seq; remembers the state told."""
    routes.clock[K_SEQ] += 1
    routes.data_state[symbol] = state
    put_header(routes, routes.shard[symbol], routes.clock[K_SEQ], _SYMBOL_DATA, symbol, ts_ns, mono_ns, state, reason)


@kernel
def put_timer(routes, now_ns, mono_ns):
    """Stage one TIMER for every shard if a boundary lies at or before `now_ns`; 1 if so, else 0."""
    due = routes.clock[K_NEXT_TIMER]
    if due == 0:
        routes.clock[K_NEXT_TIMER] = (now_ns // TIMER_NS + 1) * TIMER_NS
        return 0
    if now_ns < due:
        return 0
    if now_ns - due > TIMER_SKIP_NS:
        due = now_ns // TIMER_NS * TIMER_NS
    routes.clock[K_NEXT_TIMER] = due + TIMER_NS
    routes.clock[K_LAST_TS] = max(routes.clock[K_LAST_TS], due)
    routes.clock[K_SEQ] += 1
    for shard in range(routes.fill.shape[0]):
        put_header(routes, shard, routes.clock[K_SEQ], _TIMER, _ALL, due, mono_ns, _ZERO, _ZERO)
    routes.counts[C_TIMERS] += 1
    return 1


@kernel
def tick(routes, now_ns, mono_ns):
    """Stage at most one due TIMER (call until 0): time passes without data. Returns 1 if one was staged."""
    if stage_full(routes, _ONE) == 1:
        return 0
    return put_timer(routes, now_ns, mono_ns)


@kernel
def add_action(routes, symbol, depth, what, value):
    """Remember something the caller must act on; a full list drops it (the once-a-second scan finds it again)."""
    at = routes.n_actions[0]
    if at < routes.actions.shape[0]:
        routes.actions[at, 0] = symbol
        routes.actions[at, 1] = depth
        routes.actions[at, 2] = what
        routes.actions[at, 3] = value
        routes.n_actions[0] = at + 1


@kernel
def stage_full(routes, n_cells):
    """1 if some shard's staging may not take a message of `n_cells` and what it may bring with it."""
    for shard in range(routes.fill.shape[0]):
        if routes.fill[shard, 0] + n_cells + STAGING_MARGIN > routes.cells.shape[1]:
            return 1
    return 0


@kernel
def route(cells, start, n_cells, sync, routes):
    """Route messages `cells[start:n_cells]` (int64[:, 8], whole messages, seq unset) into the staging.

    Returns (position, why): position is the first cell not handled; why is DONE, AT_TIMER (a TIMER was staged before
    that message: decide, then call again) or FULL (publish, then call again).
    """
    at = start
    clock = routes.clock
    while at < n_cells:
        words = cells[at, 6]
        length = (words >> 48) & 0xFFFF
        if length + 2 * STAGING_MARGIN > routes.cells.shape[1]:
            routes.counts[C_TOO_LONG] += 1
            at += length
            continue
        if stage_full(routes, length) == 1:
            return at, FULL
        ts_ns = cells[at, 2]
        mono_ns = cells[at, 3]
        if ts_ns < clock[K_LAST_TS]:
            routes.counts[C_CLAMPED] += 1
            ts_ns = clock[K_LAST_TS]
            cells[at, 2] = ts_ns
        if put_timer(routes, ts_ns, mono_ns) == 1:
            return at, AT_TIMER
        clock[K_LAST_TS] = ts_ns
        route_one(cells, at, length, sync, routes, ts_ns, mono_ns)
        at += length
    return at, DONE


@kernel
def route_one(cells, at, length, sync, routes, ts_ns, mono_ns):
    """Check and stage the message of `length` cells at `at`."""
    words = cells[at, 6]
    symbol = words & 0xFFFFFFFF
    kind = (words >> 32) & 0xFF
    clock = routes.clock
    if symbol >= routes.active.shape[0] or routes.active[symbol] == 0:
        routes.counts[C_INACTIVE] += 1
        return
    if cells[at, 1] > 0:
        clock[K_SKEW_MIN] = min(clock[K_SKEW_MIN], ts_ns - cells[at, 1])
        clock[K_SKEW_COUNT] += 1
    if routes.shedding[symbol] == 1 and kind != _NEWS:
        routes.shed[symbol] += 1
        routes.counts[C_SHED] += 1
        return
    became = _ALL
    reason = _R_NONE
    if kind in (_DELTA, _SNAPSHOT, _BBO):
        depth = (cells[at, 7] >> 32) & 0xFFFF
        column = depth_column(depth)
        u = cells[at, 4]
        drives = depth == routes.driving[symbol]
        waited_ns = sync.since_ns[symbol, column]
        previous_u = sync.last_u[symbol, column]
        verdict = check_book(sync, routes.sync_counts, symbol, column, np.int64(kind == _DELTA), u, ts_ns)
        if verdict == GAP:
            if drives:
                put_symbol_data(routes, symbol, ts_ns, mono_ns, _BROKEN, _R_GAP)
            add_action(routes, symbol, depth, A_GAP, u - previous_u - 1)
            return
        if verdict == NO_BASE:
            add_action(routes, symbol, depth, A_NO_BASE, _ZERO)
            return
        if verdict == DROP:
            return
        if not drives:
            routes.counts[C_OTHER_DEPTH] += 1
            return
        if kind == _DELTA and u == 1:  # a service restart sends its new base as u = 1, whatever it calls it
            kind = _SNAPSHOT
            cells[at, 6] = (words & ~(0xFF << 32)) | (kind << 32)
        state = routes.data_state[symbol]
        if kind != _DELTA:
            if state != _OK:
                became, reason = _OK, _R_SNAPSHOT
                if state == _BROKEN and waited_ns > 0:
                    add_action(routes, symbol, depth, A_RECOVERED, ts_ns - waited_ns)
            elif verdict == RESET:
                became, reason = _OK, _R_RESET
                add_action(routes, symbol, depth, A_RESET, u)
        elif state == _STALE:
            became = _OK
    elif kind == _TICKER:
        if (cells[at + 1, 0] >> 1) & 1 == 1:
            routes.last_ticks[symbol] = cells[at + 1, 1]
    elif kind == _TRADES:
        count = cells[at, 7] & 0xFFFF
        if count > 0:
            routes.last_ticks[symbol] = cells[at + 1 + (count - 1) // 2, 4 * ((count - 1) % 2)]
    shard = routes.shard[symbol]
    clock[K_SEQ] += 1
    cells[at, 0] = clock[K_SEQ]
    to = routes.fill[shard, 0]
    staging = routes.cells[shard].reshape(-1)
    source = cells.reshape(-1)
    for word in range(length * CELL_WORDS):  # unsigned: without the wrap-around test the copy is vectorised
        staging[np.uint64(to * CELL_WORDS + word)] = source[np.uint64(at * CELL_WORDS + word)]
    routes.fill[shard, 0] = to + length
    routes.fill[shard, 1] += 1
    routes.counts[C_ROUTED] += 1
    if became >= 0:
        put_symbol_data(routes, symbol, ts_ns, mono_ns, became, reason)
