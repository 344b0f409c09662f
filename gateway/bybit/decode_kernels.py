"""Batch byte scanner: frames in a staging buffer -> event cells, for the shapes Bybit usually sends.

What it accepts is valid JSON in a shape it fully understands, and then its cells equal those of
`gateway.bybit.decode.decode_slow`. It stops AT anything else (whitespace, escapes, other key order than topic before
data and bids before asks, unknown keys or symbols, numbers out of range or off the grid, ...): the msgspec path decides.
"""

from __future__ import annotations

import numpy as np

from core.enums import EventKind
from core.jit import kernel
from core.records import CELL_WORDS
from core.units import MASKS, NS_PER_MS, SLACK_BYTES, TIME_MS_MAX, word
from gateway.bybit.field_kernels import scan_candles, scan_ticker
from gateway.bybit.inline import inlined
from gateway.bybit.payload_kernels import (
    FULL,
    H_COUNTS,
    H_TS_EXCH,
    H_U,
    H_XSEQ,
    HEADER_WORDS,
    scan_book,
    scan_trades,
)
from gateway.bybit.scan_kernels import (
    CLOSE_OBJECT,
    COMMA,
    OPEN_OBJECT,
    QUOTE,
    UNUSUAL,
    is_blank,
    literal,
    scan_integer,
    scan_symbol,
)

MESSAGE_CELLS_MAX = 1024
"""Longest message in cells, header included: room for 4,092 levels or 2,046 trades in one frame."""

# Columns of `frames`.
F_OFFSET, F_LENGTH, F_TS_RECV, F_MONO, F_CONN = range(5)
# Words of `status`.
S_AT = 0  # in and out: first free cell of `out`
S_STOP = 1  # out: why decode_batch returned (STOP_...)
S_MESSAGES = 2  # in and out: messages written, one per frame
STATUS_WORDS = 16
STOP_DONE = 0
STOP_UNUSUAL = 1  # the frame at the returned index is for decode_slow
STOP_FULL = 2  # publish `out`, set status[S_AT] = 0, call again from the returned index

_BOOK = int(EventKind.BOOK_SNAPSHOT)
_BOOK_DELTA = int(EventKind.BOOK_DELTA)
_TRADES = int(EventKind.TRADES)
_TICKER = int(EventKind.TICKER)
_KLINE = int(EventKind.KLINE)
_LIQUIDATION = int(EventKind.LIQUIDATION)
_TICKER_CS_WORD = 14

_M2, _M3, _M4, _M5, _M6, _M7 = MASKS[2], MASKS[3], MASKS[4], MASKS[5], MASKS[6], MASKS[7]
_KEY_TOPIC = literal('"topic":')
_KEY_TYPE = literal('"type":"')
_KEY_TS = literal('"ts":')
_KEY_DATA = literal('"data":')
_KEY_CTS = literal('"cts":')
_KEY_CS = literal('"cs":')
_SNAPSHOT = literal("snapshot")
_DELTA = literal('delta"')
_TOPIC_BOOK = (literal("orderboo"), literal("k."))
_TOPIC_TRADE = (literal("publicTr"), literal("ade."))
_TOPIC_TICKER = literal("tickers.")
_TOPIC_KLINE = literal("kline.")
_TOPIC_LIQUIDATION = (literal("allLiqui"), literal("dation."))
_DOT = ord(".")
DEPTH_MAX = 9999
_INTERVALS = np.array([1, 3, 5, 15, 30, 60, 120, 240, 360, 720], dtype=np.int64)
_INTERVAL_DAY, _INTERVAL_WEEK, _INTERVAL_MONTH = literal("D."), literal("W."), literal("M.")
_SEEN_TOPIC, _SEEN_TYPE, _SEEN_TS, _SEEN_DATA, _SEEN_CTS, _SEEN_CS = 1, 2, 4, 8, 16, 32
_NEEDED = _SEEN_TOPIC | _SEEN_TS | _SEEN_DATA


@inlined
def scan_interval(stage, p):
    """`5.` of a kline topic -> (position after the dot, minutes)."""
    here = word(stage, p) & _M2
    if here == _INTERVAL_DAY:
        return p + 2, np.int64(1440)
    if here == _INTERVAL_WEEK:
        return p + 2, np.int64(10080)
    if here == _INTERVAL_MONTH:
        return p + 2, np.int64(43200)
    p, minutes = scan_integer(stage, p)
    if p < 0 or stage[np.uint64(p)] != _DOT:
        return np.int64(UNUSUAL), np.int64(0)
    for k in range(_INTERVALS.shape[0]):
        if _INTERVALS[k] == minutes:
            return p + 1, minutes
    return np.int64(UNUSUAL), np.int64(0)


@inlined
def scan_topic(stage, p):
    """Topic up to its symbol -> (position of the symbol, family as EventKind, levels or minutes)."""
    here = word(stage, p)
    if here == _TOPIC_BOOK[0]:
        if word(stage, p + 8) & _M2 == _TOPIC_BOOK[1]:
            p, depth = scan_integer(stage, p + 10)
            if p >= 0 and 1 <= depth <= DEPTH_MAX and stage[np.uint64(p)] == _DOT:
                return p + 1, np.int64(_BOOK), depth
    elif here == _TOPIC_TRADE[0]:
        if word(stage, p + 8) & _M4 == _TOPIC_TRADE[1]:
            return p + 12, np.int64(_TRADES), np.int64(0)
    elif here == _TOPIC_TICKER:
        return p + 8, np.int64(_TICKER), np.int64(0)
    elif here & _M6 == _TOPIC_KLINE:
        p, minutes = scan_interval(stage, p + 6)
        return p, np.int64(_KLINE), minutes
    elif here == _TOPIC_LIQUIDATION[0]:
        if word(stage, p + 8) & _M7 == _TOPIC_LIQUIDATION[1]:
            return p + 15, np.int64(_LIQUIDATION), np.int64(0)
    return np.int64(UNUSUAL), np.int64(0), np.int64(0)


@inlined
def decode_frame(stage, p, end, ts_recv_ns, mono_ns, conn, slots, names, grids, words, head, limit):
    """One frame -> words written at `head` (whole cells, header first), UNUSUAL, or FULL at `limit`."""
    if stage[np.uint64(p)] != OPEN_OBJECT or stage[np.uint64(end - 1)] != CLOSE_OBJECT:
        return np.int64(UNUSUAL)
    if head + HEADER_WORDS > limit:
        return np.int64(FULL)
    for k in range(HEADER_WORDS):
        words[np.uint64(head + k)] = 0
    words[np.uint64(head + H_COUNTS)] = conn << 48
    w = head + HEADER_WORDS
    seen = 0
    family = np.int64(0)
    is_delta = np.int64(0)
    detail = np.int64(0)
    symbol = np.int64(0)
    length = np.int64(0)
    ts_ms = np.int64(0)
    cts_ms = np.int64(0)
    cs = np.int64(0)
    while True:
        p += 1
        here = word(stage, p)
        if here == _KEY_TOPIC:
            bit = _SEEN_TOPIC
            if stage[np.uint64(p + 8)] != QUOTE:
                return np.int64(UNUSUAL)
            p, family, detail = scan_topic(stage, p + 9)
            if p < 0:
                return p
            length, symbol = scan_symbol(stage, p, end, slots, names)
            if symbol < 0:
                return symbol
            p += length + 1
        elif here == _KEY_TYPE:
            bit = _SEEN_TYPE
            here = word(stage, p + 8)
            if here == _SNAPSHOT and stage[np.uint64(p + 16)] == QUOTE:
                p += 17
            elif here & _M6 == _DELTA:
                is_delta = np.int64(1)
                p += 14
            else:
                return np.int64(UNUSUAL)
        elif here & _M5 == _KEY_TS:
            bit = _SEEN_TS
            p, ts_ms = scan_integer(stage, p + 5)
        elif here & _M6 == _KEY_CTS:
            bit = _SEEN_CTS
            p, cts_ms = scan_integer(stage, p + 6)
        elif here & _M5 == _KEY_CS:
            bit = _SEEN_CS
            p, cs = scan_integer(stage, p + 5)
        elif here & _M7 == _KEY_DATA and family != 0 and not seen & _SEEN_DATA:
            bit = _SEEN_DATA
            at = p + 7
            row = np.uint64(symbol)
            grid = (grids[row, 0], grids[row, 1], grids[row, 2], grids[row, 3])
            name = (names[row, 0], names[row, 1], names[row, 2])
            if family == _BOOK:
                p, w = scan_book(stage, at, name, length, grid, words, head, w, limit)
            elif family == _TICKER:
                p, w = scan_ticker(stage, at, end, name, length, grid, words, head, w, limit)
            elif family == _KLINE:
                p, w = scan_candles(stage, at, end, grid, words, head, w, limit)
            else:
                is_liquidation = family == _LIQUIDATION
                p, w = scan_trades(stage, at, end, name, length, grid, words, head, w, limit, is_liquidation)
            if p >= end:
                return np.int64(UNUSUAL)
        else:
            return np.int64(UNUSUAL)
        if p < 0:
            return p
        if seen & bit:
            return np.int64(UNUSUAL)
        seen |= bit
        byte = stage[np.uint64(p)]
        if byte == CLOSE_OBJECT:
            break
        if byte != COMMA:
            return np.int64(UNUSUAL)
    if p + 1 != end or seen & _NEEDED != _NEEDED or ts_ms > TIME_MS_MAX or cts_ms > TIME_MS_MAX:
        return np.int64(UNUSUAL)
    kind = family
    ts_exch_ms = ts_ms
    if family == _BOOK:
        if not seen & _SEEN_TYPE:
            return np.int64(UNUSUAL)
        if is_delta:
            kind = np.int64(_BOOK_DELTA)
        if seen & _SEEN_CTS:
            ts_exch_ms = cts_ms
        words[np.uint64(head + H_COUNTS)] |= detail << 32
    elif family == _TICKER:
        if not seen & _SEEN_TYPE:
            return np.int64(UNUSUAL)
        if seen & _SEEN_CS:
            words[np.uint64(head + H_XSEQ)] = cs
            words[np.uint64(head + HEADER_WORDS)] |= 1 << _TICKER_CS_WORD
            words[np.uint64(head + HEADER_WORDS + _TICKER_CS_WORD)] = cs
    elif family == _KLINE:
        words[np.uint64(head + H_U)] = detail
    if family != _TRADES:
        words[np.uint64(head + H_TS_EXCH)] = ts_exch_ms * NS_PER_MS
    while (w - head) & (CELL_WORDS - 1):
        words[np.uint64(w)] = 0
        w += 1
    words[np.uint64(head + 2)] = ts_recv_ns
    words[np.uint64(head + 3)] = mono_ns
    words[np.uint64(head + 6)] = symbol | kind << 32 | ((w - head) >> 3) << 48
    return w - head


@kernel
def decode_batch(stage, frames, start, n, symbols, out, status):
    """Decode frames `start`..`n`-1 until one is unusual or `out` is full; returns the index of the next frame.

    stage: u1[:], frames back to back in any way, with SLACK_BYTES readable after each (else the frame is unusual).
    frames: int64[:, 5] of (offset, length, ts_recv_ns, mono_ns, conn). symbols: SymbolTable.
    out: int64[:, 8], C order; messages are written from cell status[S_AT] on, seq = 0.
    status: int64[STATUS_WORDS], see S_...; status[S_STOP] tells why it stopped. An empty `out` never stops as full:
    what does not fit then (or exceeds MESSAGE_CELLS_MAX) is unusual, and decode_slow refuses it with a reason.
    """
    words = out.reshape(-1)
    capacity = np.int64(out.shape[0])
    at = status[S_AT]
    for i in range(start, n):
        p = frames[i, F_OFFSET]
        length = frames[i, F_LENGTH]
        end = p + length
        written = np.int64(UNUSUAL)
        limit = min(capacity, at + MESSAGE_CELLS_MAX)
        if p >= 0 and length >= 2 and end + SLACK_BYTES <= stage.shape[0]:
            while end > p + 2 and is_blank(stage[np.uint64(end - 1)]):
                end -= 1
            written = decode_frame(
                stage, p, end, frames[i, F_TS_RECV], frames[i, F_MONO], frames[i, F_CONN],
                symbols.slots, symbols.names, symbols.grids, words, at * CELL_WORDS, limit * CELL_WORDS,
            )  # fmt: skip
        if written < 0:
            full = written == FULL and at > 0 and limit == capacity
            status[S_STOP] = STOP_FULL if full else STOP_UNUSUAL
            return i
        at += written >> 3
        status[S_AT] = at
        status[S_MESSAGES] += 1
    status[S_STOP] = STOP_DONE
    return n
