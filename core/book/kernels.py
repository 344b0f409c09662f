"""Level-2 books as sorted flat arrays, best level first: snapshot, delta, digest, and the measures of the top.

One `Book` holds the books of all slots (rows) of a shard. Side 0 is bids (descending), side 1 asks (ascending); both
run through one code path with a sign. Entries past `count` are left-overs and mean nothing.

Invariants after every call: `0 <= count <= levels`; prices strictly monotone best to worst; every quantity > 0.
An absent side is a state of its own (`shape`): helpers that need it give nan, never a made-up zero.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from core.jit import kernel
from core.mixing import mix64
from core.move import move_words

BIDS = np.int64(0)  # numpy scalars: a literal passed to a kernel would compile a second signature of it
ASKS = np.int64(1)

OK = 0
ABSENT = 1  # a delete named a price the book did not have
OVERFLOW = 2  # the side was full: its worst level was dropped
CROSSED = 4  # best bid >= best ask after the call
MALFORMED = 8  # a level with price <= 0 or quantity < 0 was ignored

HAS_BIDS = 1
HAS_ASKS = 2
TWO_SIDED = 3

DEFAULT_LEVELS = 1100
MAX_EDITS = 256  # inserts and deletes gathered before the arrays are moved
MAX_TOUCHED = 4096  # levels of one call of which the quantity before is kept; a frame has at most 2 x 1000

_KEY_MIN = -0x7FFF_FFFF_FFFF_FFFF

BOOK_META = np.dtype(
    (
        np.record,
        [
            ("snapshots", "i8"),  # snapshots applied
            ("deltas", "i8"),  # deltas applied
            ("levels", "i8"),  # levels applied, snapshot and delta
            ("absent_deletes", "i8"),  # deletes of prices the book did not have
            ("overflows", "i8"),  # levels dropped because a side was full
            ("malformed", "i8"),  # levels ignored
            ("crossed_updates", "i8"),  # calls after which the book was crossed or locked
            ("reserved", "i8"),
        ],
    )
)


class Book(NamedTuple):
    """Books of all slots.

    price, qty: int64[cap, 2, levels] in ticks and lots; count: int64[cap, 2]; meta: BOOK_META[cap] (counters);
    edits: int64[MAX_EDITS + 1, 4], scratch of one call: old index, first index after it, shift so far, level.
    before: int64[MAX_TOUCHED]: lots each level of the last call had before it (bids then asks, as in the call);
    -1 for a malformed one, 0 for one that was not there.
    """

    price: Any
    qty: Any
    count: Any
    meta: Any
    edits: Any
    before: Any


def new_book(cap: int, levels: int = DEFAULT_LEVELS) -> Book:
    """Empty books for `cap` slots of up to `levels` levels a side: 32 bytes per level and slot, touched lazily."""
    return Book(
        np.zeros((cap, 2, levels), np.int64),
        np.zeros((cap, 2, levels), np.int64),
        np.zeros((cap, 2), np.int64),
        np.zeros(cap, BOOK_META),
        np.zeros((MAX_EDITS + 1, 4), np.int64),
        np.zeros(MAX_TOUCHED, np.int64),
    )


@kernel
def _find(prices, sign, lo, hi, key):  # type: ignore[no-untyped-def]
    """First index in [lo, hi) whose signed price is >= key, else hi: blocks of 64, of 8, then a count within the block.

    Where a level stands cannot be foreseen, so a branch for each costs more than comparing all eight. `flip` turns bids
    round without a product; unsigned indices spare numba's test for negative ones. Recorded deltas, per level of a frame
    with all that follows: 21 ns at depth 50, 18 at 200; ending one by one 26 and 25, bisection 26 and 25.
    """
    flip = sign >> 1
    goal = (sign * key) ^ flip
    while lo + 64 <= hi and (prices[np.uint64(lo + 63)] ^ flip) < goal:
        lo += 64
    while lo + 8 <= hi and (prices[np.uint64(lo + 7)] ^ flip) < goal:
        lo += 8
    if lo + 8 <= hi:
        before = np.int64(0)
        for k in range(7):
            before += (prices[np.uint64(lo + k)] ^ flip) < goal
        return lo + before
    while lo < hi and (prices[np.uint64(lo)] ^ flip) < goal:
        lo += 1
    return lo


@kernel
def _move(prices, qtys, start, stop, shift):  # type: ignore[no-untyped-def]
    """Move the levels [start, stop) by `shift` places within the arrays."""
    if shift != 0:
        move_words(prices, start, stop, shift)
        move_words(qtys, start, stop, shift)


@kernel
def _carry_out(prices, qtys, edits, n_edits, count, levels):  # type: ignore[no-untyped-def]
    """Carry out gathered inserts and deletes with at most one move per level; returns the new count.

    Stretches that go left are moved in ascending order, those that go right in descending order: none overwrites a
    stretch that has not moved yet, because destinations keep the order of the sources and never overlap.
    """
    if n_edits == 0:
        return count
    edits[n_edits, 0] = count
    for k in range(n_edits):
        if edits[k, 2] < 0:
            _move(prices, qtys, edits[k, 1], edits[k + 1, 0], edits[k, 2])
    for k in range(n_edits - 1, -1, -1):
        if edits[k, 2] > 0:
            _move(prices, qtys, edits[k, 1], edits[k + 1, 0], edits[k, 2])
    shift = np.int64(0)
    for k in range(n_edits):
        if edits[k, 2] > shift:
            at = edits[k, 0] + shift
            prices[at] = levels[edits[k, 3]].price_ticks
            qtys[at] = levels[edits[k, 3]].qty_lots
        shift = edits[k, 2]
    return count + shift


@kernel
def _apply_side(prices, qtys, count, edits, before, base, sign, levels, first, n):  # type: ignore[no-untyped-def]
    """Put `n` levels into one side, as if one after the other; returns (count, absent, overflows, malformed).

    before[i - base] becomes the quantity that level i found.

    Feeds send levels best first, so each search starts where the last one ended, and the inserts and deletes of such
    an ascending run are gathered and carried out together. Any other order is right too, only slower.
    """
    room = prices.shape[0]
    at = np.int64(0)
    shift = np.int64(0)
    n_edits = np.int64(0)
    absent = np.int64(0)
    overflows = np.int64(0)
    malformed = np.int64(0)
    last_key = np.int64(_KEY_MIN)
    for i in range(first, first + n):
        ticks = levels[i].price_ticks
        lots = levels[i].qty_lots
        keep = i - base if i - base < MAX_TOUCHED else MAX_TOUCHED - 1
        if ticks <= 0 or lots < 0:
            malformed += 1
            before[keep] = -1
            continue
        before[keep] = 0
        key = sign * ticks
        if key <= last_key:
            count = _carry_out(prices, qtys, edits, n_edits, count, levels)
            n_edits, shift, at = np.int64(0), np.int64(0), np.int64(0)
        last_key = key
        at = _find(prices, sign, at, count, key)
        if at < count and prices[at] == ticks:
            before[keep] = qtys[at]
            if lots > 0:
                qtys[at] = lots
                continue
            change = -1
        elif lots == 0:
            absent += 1
            continue
        else:
            change = 1
        if n_edits == MAX_EDITS or (change > 0 and count + shift == room):
            at += shift
            count = _carry_out(prices, qtys, edits, n_edits, count, levels)
            n_edits, shift = np.int64(0), np.int64(0)
            if change > 0 and count == room:
                overflows += 1
                if at == room:
                    continue
                count -= 1
        shift += change
        edits[n_edits, 0] = at
        edits[n_edits, 1] = at + (change < 0)
        edits[n_edits, 2] = shift
        edits[n_edits, 3] = i
        n_edits += 1
    count = _carry_out(prices, qtys, edits, n_edits, count, levels)
    return count, absent, overflows, malformed


@kernel
def _apply(book, slot, levels, first, n_bids, n_asks):  # type: ignore[no-untyped-def]
    """Both sides of a call. The arrays are taken out of the tuple once: each access costs a reference count."""
    price, qty, counts, metas, edits, before = book
    at = first
    n = n_bids
    code = np.int64(0)
    for side in range(2):
        count, absent, overflows, malformed = _apply_side(
            price[slot, side], qty[slot, side], counts[slot, side], edits, before, first, np.int64(2 * side - 1),
            levels, at, n,
        )
        counts[slot, side] = count
        if absent + overflows + malformed > 0:
            code |= ABSENT * (absent > 0) | OVERFLOW * (overflows > 0) | MALFORMED * (malformed > 0)
            metas[slot].absent_deletes += absent
            metas[slot].overflows += overflows
            metas[slot].malformed += malformed
        at += n_bids
        n = n_asks
    metas[slot].levels += n_bids + n_asks
    if counts[slot, 0] > 0 and counts[slot, 1] > 0 and price[slot, 0, 0] >= price[slot, 1, 0]:
        metas[slot].crossed_updates += 1
        code |= CROSSED
    return code


@kernel
def apply_snapshot(book, slot, levels, first, n_bids, n_asks):  # type: ignore[no-untyped-def]
    """Replace the book of `slot` by `n_bids` then `n_asks` entries of `levels` (LEVEL[:]) from index `first`.

    Returns the code bits (OVERFLOW, CROSSED, MALFORMED; ABSENT for a level of quantity 0). Arguments are int64.
    """
    book.count[slot, BIDS] = 0
    book.count[slot, ASKS] = 0
    book.meta[slot].snapshots += 1
    return _apply(book, slot, levels, first, n_bids, n_asks)


@kernel
def apply_delta(book, slot, levels, first, n_bids, n_asks):  # type: ignore[no-untyped-def]
    """Apply `n_bids` then `n_asks` entries: a quantity of 0 deletes, any other is the level's new absolute quantity.

    Returns the code bits. Arguments are int64.
    """
    book.meta[slot].deltas += 1
    return _apply(book, slot, levels, first, n_bids, n_asks)


@kernel
def is_crossed(book, slot):  # type: ignore[no-untyped-def]
    """Is the best bid at or above the best ask?"""
    price, _, count, _, _, _ = book
    return count[slot, 0] > 0 and count[slot, 1] > 0 and price[slot, 0, 0] >= price[slot, 1, 0]


@kernel
def clear(book, slot):  # type: ignore[no-untyped-def]
    """Forget the book of `slot` (its counters stay)."""
    book.count[slot, BIDS] = 0
    book.count[slot, ASKS] = 0


@kernel
def shape(book, slot):  # type: ignore[no-untyped-def]
    """Which sides there are: 0 empty, HAS_BIDS, HAS_ASKS, or TWO_SIDED."""
    return HAS_BIDS * (book.count[slot, BIDS] > 0) + HAS_ASKS * (book.count[slot, ASKS] > 0)


@kernel
def best(book, slot, side):  # type: ignore[no-untyped-def]
    """(price ticks, lots) of the best level of a side; (0, 0) when the side is absent."""
    if book.count[slot, side] == 0:
        return np.int64(0), np.int64(0)
    return book.price[slot, side, 0], book.qty[slot, side, 0]


@kernel
def qty_at(book, slot, side, price_ticks):  # type: ignore[no-untyped-def]
    """Lots shown at a price; 0 when there is no such level."""
    prices = book.price[slot, side]
    sign = 2 * side - 1
    count = book.count[slot, side]
    at = _find(prices, sign, np.int64(0), count, sign * price_ticks)
    if at < count and prices[at] == price_ticks:
        return book.qty[slot, side, at]
    return np.int64(0)


@kernel
def depth_lots(book, slot, side, n):  # type: ignore[no-untyped-def]
    """Lots in the best `n` levels of a side."""
    total = np.int64(0)
    for i in range(min(n, book.count[slot, side])):
        total += book.qty[slot, side, i]
    return total


@kernel
def mid2(book, slot):  # type: ignore[no-untyped-def]
    """Twice the mid price, in ticks (an integer); 0 unless both sides are there."""
    if shape(book, slot) != TWO_SIDED:
        return np.int64(0)
    return book.price[slot, BIDS, 0] + book.price[slot, ASKS, 0]


@kernel
def mid_ticks(book, slot):  # type: ignore[no-untyped-def]
    """Mid price in ticks; nan unless both sides are there."""
    if shape(book, slot) != TWO_SIDED:
        return math.nan
    return 0.5 * mid2(book, slot)


@kernel
def spread_bps(book, slot):  # type: ignore[no-untyped-def]
    """(ask - bid) / mid in basis points; negative when crossed, nan unless both sides are there."""
    if shape(book, slot) != TWO_SIDED:
        return math.nan
    return 20_000.0 * (book.price[slot, ASKS, 0] - book.price[slot, BIDS, 0]) / mid2(book, slot)


@kernel
def microprice_ticks(book, slot):  # type: ignore[no-untyped-def]
    """(bid x ask lots + ask x bid lots) / (bid lots + ask lots), in ticks; nan unless both sides are there."""
    if shape(book, slot) != TWO_SIDED:
        return math.nan
    bid_lots = np.float64(book.qty[slot, BIDS, 0])
    ask_lots = np.float64(book.qty[slot, ASKS, 0])
    return (book.price[slot, BIDS, 0] * ask_lots + book.price[slot, ASKS, 0] * bid_lots) / (bid_lots + ask_lots)


@kernel
def imbalance(book, slot, n):  # type: ignore[no-untyped-def]
    """(bid lots - ask lots) / (bid lots + ask lots) over the best `n` levels a side; nan unless both are there."""
    if shape(book, slot) != TWO_SIDED or n < 1:
        return math.nan
    bids = np.float64(depth_lots(book, slot, BIDS, n))
    asks = np.float64(depth_lots(book, slot, ASKS, n))
    return (bids - asks) / (bids + asks)


@kernel
def book_digest(book, slot):  # type: ignore[no-untyped-def]
    """A uint64 over all levels of a book: the wrapping sum of mix64 chains over (side, price, lots), mixed again.

    A sum does not care how a book is stored, so any other implementation can reproduce it.
    """
    total = np.uint64(0)
    for side in range(2):
        for i in range(book.count[slot, side]):
            h = mix64(np.uint64(book.price[slot, side, i]) + np.uint64(0x9E3779B97F4A7C15) * np.uint64(side + 1))
            total += mix64(h ^ np.uint64(book.qty[slot, side, i]))
    return mix64(total + np.uint64(book.count[slot, BIDS] + book.count[slot, ASKS]))


@kernel
def is_sound(book, slot):  # type: ignore[no-untyped-def]
    """Do the invariants hold (monotone prices, positive prices and quantities, counts in range)?"""
    for side in range(2):
        sign = 2 * side - 1
        count = book.count[slot, side]
        if count < 0 or count > book.price.shape[2]:
            return False
        for i in range(count):
            if book.qty[slot, side, i] <= 0 or book.price[slot, side, i] <= 0:
                return False
            if i > 0 and sign * book.price[slot, side, i] <= sign * book.price[slot, side, i - 1]:
                return False
    return True
