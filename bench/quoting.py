"""One strategy on the simulated exchange's own parts, to be run against hftbacktest's (`hftbacktest_replay.quotes`).

A bid and an ask of one lot at the touch, looked at every `step_ns` of event time. A quote that stands elsewhere than the
touch, or is known to be filled, is replaced: the cancel goes first. Requests take `latency_ns` to the exchange, fills the
same back; the feed takes none, so that one book can be the exchange's and ours. Book and matching are the kernels of the
embedded exchange (`core.book`, `core.sim.matching`, `core.sim.queue_model`, risk-averse); what is added here is the
strategy, the latency and, with `as_peer`, three definitions of hftbacktest's that are not our exchange's. They only add
work here:

* no more lots are ahead of a quote than its level shows (`_cap_queues`), none where the book does not reach. Ours keeps
  what was ahead when it was placed, so that it stays a lower bound where the feed is sparse;
* a print meets only quotes of the side that its aggressor took from. In ours any print beyond a quote fills it: there the
  book has crossed the quote already, and the feed shows it some ms later;
* what we take stays in the book (`_put_back`). In ours it is gone until the feed sends the level again.

With them every order and every fill is hftbacktest's, to the ns (`bench_replay` asserts it); without them they are those
of `MatchingBook` behind a `Link` (tests/bench/test_quoting.py). Own bids and asks never meet each other. Ties: a public
event comes before a request that reaches the exchange at the same time, and that before a look.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from core.book.kernels import Book, apply_delta, apply_snapshot, best, new_book
from core.enums import EventKind
from core.jit import entry_kernel, kernel
from core.records import LEVEL, LEVELS_PER_CELL, TRADE, TRADES_PER_CELL
from core.sim.matching import (
    FILL_FIELDS,
    HANDLE,
    LOTS,
    PRICE,
    TAKEN,
    WORKING,
    drop_empty,
    find,
    insert,
    match_book,
    match_prints,
    take,
)
from core.sim.matching_book import NO_TRIGGER
from core.sim.queue_model import QUEUE_SCALE, QueueModel, queue_ahead

DELTA, SNAPSHOT, TRADES = int(EventKind.BOOK_DELTA), int(EventKind.BOOK_SNAPSHOT), int(EventKind.TRADES)
STEP_NS = 100_000_000
LATENCY_NS = 1_000_000
NONE = np.int64(-1)  # no order
NEVER = np.int64(1 << 62)
ZERO, ONE = np.int64(0), np.int64(1)
RISE, FALL = np.int64(NO_TRIGGER[0]), np.int64(NO_TRIGGER[1])
MODEL, POWER = np.int64(QueueModel.RISK_AVERSE), np.float64(1.0)
BLOCK, RPI = 1, 2  # TRADE flags
NOW, NEW, OLD = 0, 1, 2
LEVELS = 512
OWN_MAX = 8

QUOTE = np.dtype(
    (
        np.record,
        [
            ("side", "i8"),  # +1 bid, -1 ask
            ("price_ticks", "i8"),
            ("sent_ns", "i8"),
            ("fill_ns", "i8"),  # at the exchange; 0 = not filled
            ("fill_ticks", "i8"),
        ],
    )
)


class Quoting(NamedTuple):
    """One symbol's exchange and our quotes in it. An order's number, its handle too, is its row of `quotes`.

    book: slot 0 the exchange's; slot 1, where it has one, what the strategy looks at. orders: int64[2, 3], a row per side
    (bid, ask): the quote as we know it, the one on its way to the exchange, the one to be cancelled before it; NONE where
    there is none. prints: int64[1, 3], scratch.
    """

    book: Book
    working: Any
    count: Any
    fills: Any
    prints: Any
    orders: Any
    quotes: Any


def new_quoting(room: int, books: int = 1) -> Quoting:
    """Nothing seen and nothing sent, with room for so many orders; `books` 2: the strategy has a book of its own. Pages
    are touched here, not while it runs."""
    market = Quoting(
        new_book(books, LEVELS), np.recarray((2, OWN_MAX), WORKING), np.zeros(2, np.int64),
        np.zeros((2 * (LEVELS + OWN_MAX) + 2, FILL_FIELDS), np.int64), np.zeros((1, 3), np.int64),
        np.full((2, 3), NONE), np.recarray(room, QUOTE),
    )
    for part in (*market.book, market.fills, market.quotes):
        part.reshape(-1).view(np.uint8)[::4096] |= np.uint8(0)
    return market


def run_quotes(market: Quoting, cells: np.ndarray, as_peer: bool = True) -> Any:
    """The messages of one symbol through the market; returns the orders sent (QUOTE). Raises ValueError where there is
    no room for them."""
    flat = cells.reshape(-1)
    n = play_quotes(
        market, cells, flat.view(LEVEL.dtype), flat.view(TRADE.dtype), np.int64(STEP_NS), np.int64(LATENCY_NS),
        np.int64(as_peer),
    )
    if n < 0:
        raise ValueError(f"more than {len(market.quotes)} orders")
    return market.quotes[:n]


@entry_kernel
def play_quotes(market, cells, levels, trades, step_ns, latency_ns, as_peer):  # type: ignore[no-untyped-def]
    """All messages of `cells`; returns the number of orders sent, -1 where `quotes` has no room."""
    book, working, count, fills, prints, _, quotes = market
    n_sent = ZERO
    look_ns, arrive_ns = ZERO, NEVER
    at = ZERO
    while at < cells.shape[0]:
        word, counts, now_ns = cells[at, 6], cells[at, 7], cells[at, 2]
        kind = (word >> 32) & 0xFF
        first = at + 1
        at += max((word >> 48) & 0xFFFF, 1)
        if kind != DELTA and kind != SNAPSHOT and kind != TRADES:
            continue
        if look_ns == 0:
            look_ns = now_ns + step_ns
        while min(look_ns, arrive_ns) < now_ns:
            if arrive_ns <= look_ns:
                _arrive(market, arrive_ns, as_peer)
                arrive_ns = NEVER
            else:
                if n_sent + 2 > quotes.shape[0]:
                    return NONE
                before = n_sent
                n_sent = _look(market, look_ns, latency_ns, n_sent)
                if n_sent > before:
                    arrive_ns = look_ns + latency_ns
                look_ns += step_ns
        n_bids, n_asks = counts & 0xFFFF, (counts >> 16) & 0xFFFF
        if kind == TRADES:
            for k in range(first * TRADES_PER_CELL, first * TRADES_PER_CELL + n_bids):
                if trades[k]["flags"] & BLOCK:
                    continue
                prints[0, 0] = trades[k].price_ticks
                prints[0, 1] = trades[k].qty_lots
                prints[0, 2] = 0 if trades[k]["flags"] & RPI else trades[k].side
                own = 0 if trades[k].side > 0 else 1
                hidden = count[own]
                if as_peer != 0:
                    count[own] = 0
                _, n = match_prints(working, count, prints, ZERO, RISE, FALL, fills)
                count[own] = hidden
                if n > 0:
                    _note(market, n, now_ns, as_peer)
        else:
            for slot in range(book.count.shape[0]):
                if kind == SNAPSHOT:
                    apply_snapshot(book, slot, levels, first * LEVELS_PER_CELL, n_bids, n_asks)
                else:
                    apply_delta(book, slot, levels, first * LEVELS_PER_CELL, n_bids, n_asks)
            n = match_book(working, count, book, MODEL, POWER, fills)
            if n > 0:
                _note(market, n, now_ns, as_peer)
            if as_peer != 0:
                _cap_queues(working, count)
    if arrive_ns != NEVER:
        _arrive(market, arrive_ns, as_peer)
    return n_sent


@kernel
def _look(market, now_ns, latency_ns, n_sent):  # type: ignore[no-untyped-def]
    """The strategy's turn; returns the number of orders sent so far."""
    book, _, _, _, _, orders, quotes = market
    seen = np.int64(book.count.shape[0] - 1)
    touch = best(book, seen, ZERO)[0], best(book, seen, ONE)[0]
    if touch[0] <= 0 or touch[1] <= touch[0]:
        return n_sent
    for side in range(2):
        old = orders[side, NOW]
        if old != NONE and quotes[old].fill_ns > 0 and quotes[old].fill_ns + latency_ns <= now_ns:
            old = NONE
        if old != NONE and quotes[old].price_ticks == touch[side]:
            continue
        quote = quotes[n_sent]
        quote.side = 1 - 2 * side
        quote.price_ticks = touch[side]
        quote.sent_ns = now_ns
        quote.fill_ns = 0
        quote.fill_ticks = 0
        orders[side, NOW] = n_sent
        orders[side, NEW] = n_sent
        orders[side, OLD] = old
        n_sent += 1
    return n_sent


@kernel
def _arrive(market, now_ns, as_peer):  # type: ignore[no-untyped-def]
    """What the last look sent reaches the exchange, bid first: cancel, then the new order takes or rests."""
    book, working, count, fills, _, orders, quotes = market
    for side in range(2):
        number = orders[side, NEW]
        if number == NONE:
            continue
        if orders[side, OLD] != NONE:
            at = find(working, count, np.int64(side), orders[side, OLD])
            if at >= 0:
                working[side, at].leaves_lots = 0
                drop_empty(working, count)
        orders[side, NEW] = NONE
        orders[side, OLD] = NONE
        sign, price = quotes[number].side, quotes[number].price_ticks
        other = 1 - side
        own = working[other, 0].handle if count[other] > 0 else NONE
        taken, _, _ = take(working, count, book, sign, price, ONE, ONE, own, fills)
        if taken > 0:
            quotes[number].fill_ns = now_ns
            quotes[number].fill_ticks = fills[0, PRICE]
            if as_peer != 0:
                _put_back(book, np.int64(other), fills[0, PRICE], fills[0, LOTS])
        else:
            ahead = queue_ahead(book, ZERO, np.int64(side), sign, price)
            if as_peer != 0:
                ahead = max(ahead, ZERO)
            insert(working, count, np.int64(side), price, ONE, ahead, number)


@kernel
def _note(market, n, now_ns, as_peer):  # type: ignore[no-untyped-def]
    """The first `n` rows of `fills` into the quotes."""
    book, working, count, fills, _, _, quotes = market
    for k in range(n):
        number = fills[k, HANDLE]
        if number <= TAKEN and as_peer != 0:
            _put_back(book, TAKEN - number, fills[k, PRICE], fills[k, LOTS])
        elif number >= 0:
            quotes[number].fill_ns = now_ns
            quotes[number].fill_ticks = fills[k, PRICE]
    drop_empty(working, count)


@kernel
def _put_back(book, side, price_ticks, lots):  # type: ignore[no-untyped-def]
    for level in range(book.count[ZERO, side]):
        if book.price[ZERO, side, level] == price_ticks:
            book.qty[ZERO, side, level] += lots
            break


@kernel
def _cap_queues(working, count):  # type: ignore[no-untyped-def]
    """No more public lots ahead of a quote than its level showed when last seen."""
    for side in range(2):
        for i in range(count[side]):
            order = working[side, i]
            order.queue = min(order.queue, max(order.level_lots, 0) * QUEUE_SCALE)
