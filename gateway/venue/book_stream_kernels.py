"""Order-book topics: the level-1 snapshots, and the deltas of depth 50, 200 and 1000.

Frames are exactly as Bybit linear writes them: level 1 has ts before type, the deeper ones type before ts; cts stands
outside data; prices and sizes are strings. Deltas are differences of the best N, so a client holds exactly N levels.
"""

from __future__ import annotations

import numpy as np

from core.jit import kernel
from gateway.venue.book_kernels import MASK
from gateway.venue.format_kernels import HEADER_ROOM, put_fixed, put_int, put_name, put_text, text
from gateway.venue.frame_kernels import END, SNAPSHOT_TS, seal
from gateway.venue.streams import REPUSH_MS

TOPIC_1, TOPIC_50 = text('{"topic":"orderbook.1.'), text('{"topic":"orderbook.50.')
TOPIC_200, TOPIC_1000 = text('{"topic":"orderbook.200.'), text('{"topic":"orderbook.1000.')
DELTA_TS, QUOTE_TS, SNAPSHOT = text('","type":"delta","ts":'), text('","ts":'), text(',"type":"snapshot"')
DATA_S, BIDS, ASKS = text(',"data":{"s":"'), text('","b":['), text('],"a":[')
LEVEL, COMMA_LEVEL, BETWEEN, CLOSE_LEVEL, ZERO = text('["'), text(',["'), text('","'), text('"]'), text("0")
U, SEQ, CTS = text('],"u":'), text(',"seq":'), text('},"cts":')


@kernel
def gather(market, i, side, wanted, levels, row):
    """Copy the best `wanted` levels of a side into levels[row, 0 or 1]; returns how many there are."""
    s = market.symbols[i]
    which = 0 if side > 0 else 1
    t = s.best_bid if side > 0 else s.best_ask
    found = 0
    while found < wanted and t >= max(1, s.lo) and t < s.hi:
        lots = market.ladder[i, t & MASK]
        if lots > 0:
            levels[row, which, found, 0] = t
            levels[row, which, found, 1] = lots
            found += 1
        t -= side
    return found


@kernel
def put_topic(out, p, d):
    if d == 0:
        return put_text(out, p, TOPIC_1)
    if d == 1:
        return put_text(out, p, TOPIC_50)
    if d == 2:
        return put_text(out, p, TOPIC_200)
    return put_text(out, p, TOPIC_1000)


@kernel
def put_level(out, p, s, ticks, lots, first):
    p = put_text(out, p, LEVEL) if first else put_text(out, p, COMMA_LEVEL)
    p = put_fixed(out, p, ticks * s.tick_mant, s.price_exp)
    p = put_text(out, p, BETWEEN)
    p = put_text(out, p, ZERO) if lots == 0 else put_fixed(out, p, lots * s.lot_mant, s.qty_exp)
    return put_text(out, p, CLOSE_LEVEL)


@kernel
def open_frame(streams, d, i, is_snapshot, now_ms, out, p):
    """Everything of a book frame up to the first level. Level 1 has ts before type, the others type before ts."""
    p = put_topic(out, p, d)
    p = put_name(out, p, streams.names, streams.name_lengths, i)
    if d == 0:
        p = put_text(out, p, QUOTE_TS)
    elif is_snapshot:
        p = put_text(out, p, SNAPSHOT_TS)
    else:
        p = put_text(out, p, DELTA_TS)
    p = put_int(out, p, now_ms)
    if d == 0:
        p = put_text(out, p, SNAPSHOT)
    p = put_text(out, p, DATA_S)
    p = put_name(out, p, streams.names, streams.name_lengths, i)
    return put_text(out, p, BIDS)


@kernel
def close_frame(streams, d, i, out, p):
    p = put_text(out, p, U)
    p = put_int(out, p, streams.u[d, i])
    p = put_text(out, p, SEQ)
    p = put_int(out, p, streams.seq[d, i])
    p = put_text(out, p, CTS)
    p = put_int(out, p, streams.cts[d, i])
    return put_text(out, p, END)


@kernel
def put_side(market, levels, i, which, count, out, p):
    s = market.symbols[i]
    for k in range(count):
        p = put_level(out, p, s, levels[i, which, k, 0], levels[i, which, k, 1], k == 0)
    return p


@kernel
def snapshot_frame(market, streams, levels, d, i, now_ms, out, p, frames, count):
    """A snapshot of what this topic has published: what a new subscriber gets, and every level-1 push."""
    body = p + HEADER_ROOM
    p = open_frame(streams, d, i, True, now_ms, out, body)
    for which in range(2):
        if which == 1:
            p = put_text(out, p, ASKS)
        p = put_side(market, levels, i, which, streams.counts[d, i, which], out, p)
    p = close_frame(streams, d, i, out, p)
    return seal(d, i, out, body, p, frames, count)


@kernel
def capture(market, streams, levels, d, i, now_ms):
    """Make the book as it stands the published state of topic (d, i), under the next u."""
    s = market.symbols[i]
    depth = levels.shape[2]
    for which in range(2):
        streams.counts[d, i, which] = gather(market, i, 1 - 2 * which, depth, levels, i)
    streams.u[d, i] += 1
    stamp(s, streams, d, i, now_ms)


@kernel
def stamp(s, streams, d, i, now_ms):
    streams.seq[d, i] = s.seq
    streams.cts[d, i] = s.event_ms
    streams.version[d, i] = s.version
    streams.pushed_ms[d, i] = now_ms


@kernel
def book_frame(market, streams, levels, d, i, now_ms, out, p, frames, count):
    """The push of a book topic at its interval: nothing, a level-1 snapshot, or the delta to what was published."""
    s = market.symbols[i]
    quiet = s.version == streams.version[d, i]
    if d == 0:
        if quiet and now_ms - streams.pushed_ms[0, i] < REPUSH_MS:
            return p, count
        bid, ask = levels[i, 0, 0, 0], levels[i, 1, 0, 0]
        bid_lots, ask_lots = levels[i, 0, 0, 1], levels[i, 1, 0, 1]
        if not quiet:
            for which in range(2):
                gather(market, i, 1 - 2 * which, levels.shape[2], levels, i)
        same = (bid == levels[i, 0, 0, 0] and ask == levels[i, 1, 0, 0]
                and bid_lots == levels[i, 0, 0, 1] and ask_lots == levels[i, 1, 0, 1])
        if same:
            streams.version[0, i] = s.version
            if now_ms - streams.pushed_ms[0, i] < REPUSH_MS:
                return p, count
            streams.pushed_ms[0, i] = now_ms
        else:
            streams.u[0, i] += 1
            stamp(s, streams, d, i, now_ms)
        return snapshot_frame(market, streams, levels, d, i, now_ms, out, p, frames, count)
    if quiet:
        return p, count
    body = p + HEADER_ROOM
    q = open_frame(streams, d, i, False, now_ms, out, body)
    changed = np.int64(0)
    for which in range(2):
        if which == 1:
            q = put_text(out, q, ASKS)
        start = q
        q = delta_side(market, streams, levels, d, i, 1 - 2 * which, out, q)
        changed += q - start
    if changed == 0:  # all changes were deeper than this topic sees
        streams.version[d, i] = s.version
        return p, count
    streams.u[d, i] += 1
    stamp(s, streams, d, i, now_ms)
    q = close_frame(streams, d, i, out, q)
    return seal(d, i, out, body, q, frames, count)


@kernel
def delta_side(market, streams, levels, d, i, side, out, p):
    """Write the difference between the published and the present best N levels of a side, best first.

    What falls out of the best N is deleted explicitly and what comes in is inserted, so a client holds exactly N. The
    present levels become the published ones; they are merged from the back of the array to need no second one.
    """
    s = market.symbols[i]
    which = 0 if side > 0 else 1
    depth = levels.shape[2]
    held = streams.counts[d, i, which]
    t = s.best_bid if side > 0 else s.best_ask
    found = 0
    first = True
    old = 0
    # Pass 1 writes the text; old levels are read, not yet overwritten.
    while found < depth and t >= max(1, s.lo) and t < s.hi:
        lots = market.ladder[i, t & MASK]
        if lots > 0:
            while old < held and side * (levels[i, which, old, 0] - t) > 0:
                p = put_level(out, p, s, levels[i, which, old, 0], 0, first)
                first = False
                old += 1
            if old < held and levels[i, which, old, 0] == t:
                if levels[i, which, old, 1] != lots:
                    p = put_level(out, p, s, t, lots, first)
                    first = False
                old += 1
            else:
                p = put_level(out, p, s, t, lots, first)
                first = False
            found += 1
        t -= side
    while old < held:
        p = put_level(out, p, s, levels[i, which, old, 0], 0, first)
        first = False
        old += 1
    if not first:
        streams.counts[d, i, which] = gather(market, i, side, depth, levels, i)
    return p
