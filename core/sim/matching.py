"""Price-time matching of own orders inside the public market, on plain arrays: one symbol, any number of accounts.

    print  -> match_prints   resting own orders against a public trade
    book   -> match_book     queues against the changed levels, resting own orders against a book that crosses them
    taker  -> take           an arriving order against displayed lots and own resting orders, in price-time order

`working` is WORKING[2, cap]: side 0 bids, 1 asks, best price first, then age; `count` int64[2] how many. `book` is a
`core.book` book (slot 0): the lots a taker or a crossing fill takes are taken out of it and stay gone until the feed
sends that level again. Public lots ahead of an own order go first, then the order, then the public lots behind it.
"""

from __future__ import annotations

import numpy as np

from core.jit import kernel
from core.sim.queue_model import QUEUE_SCALE, queue_after, queue_after_change, resting_fill

WORKING = np.dtype(
    (
        np.record,
        [
            ("price_ticks", "i8"),
            ("leaves_lots", "i8"),
            ("queue", "i8"),  # public lots ahead in 1/QUEUE_SCALE lots, QUEUE_UNKNOWN = deeper than displayed
            ("level_lots", "i8"),  # displayed at the price when last seen, -1 = not displayed
            ("traded_lots", "i8"),  # printed at the price since then
            ("handle", "i8"),
        ],
    )
)
PUBLIC = -1  # handle of a fill against the public book
TAKEN = -2  # handle TAKEN - side of a row that is no fill: lots a crossing fill took out of a level of that book side
HANDLE, PRICE, LOTS = 0, 1, 2
FILL_FIELDS = 3

SLOT = np.int64(0)
NOT_SHOWN = np.int64(-1)


@kernel
def match_prints(working, count, prints, first, rise_ticks, fall_ticks, fills):
    """Prints from `first` on until one fills an own order, or reaches a trigger (last >= rise or <= fall).

    `prints` int64[n, 3]: price, lots, aggressor (+1, -1; 0 = a print that met no displayed order and fills nobody).
    Returns (index after the last print looked at, number of rows in `fills`). Orders filled up stay in `working` with
    no lots left until `drop_empty`.
    """
    n_fills = 0
    for k in range(first, prints.shape[0]):
        price, lots, aggressor = prints[k, 0], prints[k, 1], prints[k, 2]
        for side in range(2):
            if aggressor == 0:
                break
            sign = 1 - 2 * side
            own = np.int64(0)
            for i in range(count[side]):
                order = working[side, i]
                beyond = sign * (order.price_ticks - price)
                if beyond < 0:
                    break
                ahead = -(-order.queue // QUEUE_SCALE) if order.queue >= 0 else NOT_SHOWN
                got = resting_fill(sign, order.price_ticks, order.leaves_lots, ahead, price, lots - own, aggressor)
                order.queue = queue_after(
                    sign, order.price_ticks, order.queue, price, (lots - own) * QUEUE_SCALE, aggressor
                )
                if beyond == 0 and aggressor == -sign:
                    order.traded_lots += lots - own
                if got > 0:
                    order.leaves_lots -= got
                    own += got
                    fills[n_fills, HANDLE] = order.handle
                    fills[n_fills, PRICE] = order.price_ticks
                    fills[n_fills, LOTS] = got
                    n_fills += 1
        if n_fills > 0 or price >= rise_ticks or price <= fall_ticks:
            return k + 1, n_fills
    return prints.shape[0], n_fills


@kernel
def match_book(working, count, book, model, power, fills):
    """A changed book: queues of all own orders, then fills of those it crosses, up to what it displays.

    Returns the number of rows in `fills`; the price of such a fill is the own limit. Every level that lost lots has a
    row of its own (TAKEN).
    """
    n_fills = 0
    for side in range(2):
        sign = 1 - 2 * side
        n_levels = book.count[SLOT, side]
        level = 0
        for i in range(count[side]):
            order = working[side, i]
            price = order.price_ticks
            while level < n_levels and sign * (book.price[SLOT, side, level] - price) > 0:
                level += 1
            if level == n_levels:
                order.level_lots = NOT_SHOWN
            else:
                shown = np.int64(0)
                if book.price[SLOT, side, level] == price:
                    shown = book.qty[SLOT, side, level]
                if order.queue < 0:
                    order.queue = shown * QUEUE_SCALE
                elif order.level_lots >= 0:
                    order.queue = queue_after_change(
                        model, power, order.queue, order.level_lots, shown, order.traded_lots
                    )
                order.level_lots = shown
            order.traded_lots = 0
        other = 1 - side
        opposite = 0
        for i in range(count[side]):
            order = working[side, i]
            got = np.int64(0)
            while (
                opposite < book.count[SLOT, other]
                and order.leaves_lots > 0
                and sign * (order.price_ticks - book.price[SLOT, other, opposite]) >= 0
            ):
                lots = min(order.leaves_lots, book.qty[SLOT, other, opposite])
                book.qty[SLOT, other, opposite] -= lots
                order.leaves_lots -= lots
                got += lots
                if lots > 0:
                    fills[n_fills, HANDLE] = TAKEN - other
                    fills[n_fills, PRICE] = book.price[SLOT, other, opposite]
                    fills[n_fills, LOTS] = lots
                    n_fills += 1
                if book.qty[SLOT, other, opposite] == 0:
                    opposite += 1
            if got > 0:
                fills[n_fills, HANDLE] = order.handle
                fills[n_fills, PRICE] = order.price_ticks
                fills[n_fills, LOTS] = got
                n_fills += 1
            elif order.leaves_lots > 0:
                break
    return n_fills


@kernel
def take(working, count, book, side, limit_ticks, want_lots, public, stop_at, fills):
    """An arriving order of sign `side` takes up to `want_lots` no worse than `limit_ticks`.

    `public` 0: the public book is not there (vacuum). Stops before the own order with handle `stop_at` (a self-match
    the caller must decide; PUBLIC = none) and right after the first fill against an own order, so that the caller can
    book it. Returns (lots taken, number of rows in `fills`, handle of the own order met: filled, or `stop_at`).
    """
    other = 1 if side > 0 else 0
    n_fills = 0
    taken = np.int64(0)
    level = 0
    n_levels = book.count[SLOT, other] if public != 0 else np.int64(0)
    i = 0
    while taken < want_lots:
        while i < count[other] and working[other, i].leaves_lots == 0:
            i += 1
        while level < n_levels and book.qty[SLOT, other, level] == 0:
            level += 1
        own = i < count[other]
        shown = level < n_levels
        if not own and not shown:
            break
        if own and (not shown or side * (working[other, i].price_ticks - book.price[SLOT, other, level]) < 0):
            price = working[other, i].price_ticks
            shown = False
        else:
            price = book.price[SLOT, other, level]
            own = own and working[other, i].price_ticks == price
        if side * (limit_ticks - price) < 0:
            break
        if shown:
            lots = min(want_lots - taken, book.qty[SLOT, other, level])
            if own:
                ahead = -(-working[other, i].queue // QUEUE_SCALE) if working[other, i].queue > 0 else np.int64(0)
                lots = min(lots, ahead)
            if lots > 0:
                book.qty[SLOT, other, level] -= lots
                taken += lots
                for j in range(i, count[other]):
                    order = working[other, j]
                    if order.price_ticks != price:
                        break
                    order.queue = max(order.queue - lots * QUEUE_SCALE, 0) if order.queue > 0 else order.queue
                    order.level_lots -= lots if order.level_lots > 0 else 0
                fills[n_fills, HANDLE] = PUBLIC
                fills[n_fills, PRICE] = price
                fills[n_fills, LOTS] = lots
                n_fills += 1
        if own and taken < want_lots:
            order = working[other, i]
            if order.handle == stop_at:
                return taken, n_fills, order.handle
            lots = min(want_lots - taken, order.leaves_lots)
            order.leaves_lots -= lots
            taken += lots
            fills[n_fills, HANDLE] = order.handle
            fills[n_fills, PRICE] = price
            fills[n_fills, LOTS] = lots
            return taken, n_fills + 1, order.handle
    return taken, n_fills, np.int64(PUBLIC)


@kernel
def fillable(working, count, book, side, limit_ticks, public):
    """Lots (public, own) that an order of sign `side` could take no worse than `limit_ticks`."""
    other = 1 if side > 0 else 0
    shown = np.int64(0)
    if public != 0:
        for level in range(book.count[SLOT, other]):
            if side * (limit_ticks - book.price[SLOT, other, level]) < 0:
                break
            shown += book.qty[SLOT, other, level]
    own = np.int64(0)
    for i in range(count[other]):
        if side * (limit_ticks - working[other, i].price_ticks) < 0:
            break
        own += working[other, i].leaves_lots
    return shown, own


@kernel
def best_price(working, count, book, side):
    """Best price on the side of sign `side` with lots left, own orders included; 0 = none."""
    index = 0 if side > 0 else 1
    best = np.int64(0)
    for level in range(book.count[SLOT, index]):
        if book.qty[SLOT, index, level] > 0:
            best = book.price[SLOT, index, level]
            break
    if count[index] > 0 and (best == 0 or side * (working[index, 0].price_ticks - best) > 0):
        best = working[index, 0].price_ticks
    return best


@kernel
def insert(working, count, side, price_ticks, leaves_lots, queue_lots, handle):
    """Put an order behind all of its side with the same or a better price; `queue_lots` public lots are ahead."""
    sign = 1 - 2 * side
    at = count[side]
    while at > 0 and sign * (price_ticks - working[side, at - 1].price_ticks) > 0:
        at -= 1
    for i in range(count[side], at, -1):
        working[side, i] = working[side, i - 1]
    order = working[side, at]
    order.price_ticks = price_ticks
    order.leaves_lots = leaves_lots
    order.queue = queue_lots * QUEUE_SCALE if queue_lots >= 0 else NOT_SHOWN
    order.level_lots = queue_lots
    order.traded_lots = 0
    order.handle = handle
    count[side] += 1


@kernel
def find(working, count, side, handle):
    """Index of an own order, -1 where it is not working."""
    for i in range(count[side]):
        if working[side, i].handle == handle:
            return i
    return -1


@kernel
def drop_empty(working, count):
    """Remove the orders without lots left; the others keep their order."""
    for side in range(2):
        kept = 0
        for i in range(count[side]):
            if working[side, i].leaves_lots > 0:
                if kept != i:
                    working[side, kept] = working[side, i]
                kept += 1
        count[side] = kept
