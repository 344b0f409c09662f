"""Risk-averse queue position of a resting paper order.

The queue ahead is what the book displays at our price when the order is placed. Only trades at our price shorten it;
cancellations ahead of us do not, because nobody knows which side of us they were on.
"""

from __future__ import annotations

from core.jit import kernel

QUEUE_UNKNOWN = -1  # our price is deeper than the book shows: only a trade through it fills us


@kernel
def queue_ahead(book, slot, book_side, sign, price_ticks):
    """Lots displayed at `price_ticks` on `book_side` (0 bids, 1 asks; `sign` +1 bids, -1 asks): 0 where the price lies
    inside the displayed range with nothing at it, QUEUE_UNKNOWN below the last displayed level or without a book."""
    n = book.count[slot, book_side]
    if n == 0 or sign * (book.price[slot, book_side, n - 1] - price_ticks) > 0:
        return -1
    for k in range(n):
        distance = sign * (book.price[slot, book_side, k] - price_ticks)
        if distance == 0:
            return book.qty[slot, book_side, k]
        if distance < 0:
            return 0
    return 0


@kernel
def crossing_lots(book, slot, book_side, sign, price_ticks):
    """Lots on `book_side` (the opposite one) that would trade with an order of side `sign` at `price_ticks`."""
    total = 0
    for k in range(book.count[slot, book_side]):
        if sign * (price_ticks - book.price[slot, book_side, k]) < 0:
            break
        total += book.qty[slot, book_side, k]
    return total
