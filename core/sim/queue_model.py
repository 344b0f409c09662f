"""Where a resting order stands in the queue of its price, and what a print or a book change does to it.

Three models of the public lots ahead of us. They agree on placement (everything displayed at our price is ahead) and on
prints (a print at our price by the opposite aggressor shortens the queue, then fills us; a print through our price
fills us up to its lots). They differ in what they make of a level that shrinks by more than was traded there, which
means that somebody cancelled, ahead of us or behind us:

    RISK_AVERSE   cancels are always behind us: only prints help. A lower bound for our fills.
    POWER         share of the cancelled lots taken from behind us: p = back^n / (back^n + front^n)
    LOG           as POWER with f(x) = log(1 + x): p = f(back) / (f(back) + f(front))

with front = lots ahead, back = lots behind us before the change (lots, not coins: for LOG the unit matters a little).
front' = front - (1 - p) * cancelled + min(back - p * cancelled, 0), and never more than the level now shows. Source: the
probability queue models of hftbacktest (`PowerProbQueueFunc`, `LogProbQueueFunc`), after
https://quant.stackexchange.com/questions/3782 and https://rigtorp.se/2013/06/08/estimating-order-queue-position.html.
hftbacktest's own risk-averse model also caps front at the displayed lots; ours does not, so that it stays a lower bound
when the feed is sparse.

The paper desk and the embedded exchange share these kernels; a queue is counted in whole lots by the desk (scale 1) and
in 1/QUEUE_SCALE lots by the exchange, because the probability models move it by fractions of a lot.
"""

from __future__ import annotations

import math
from enum import IntEnum

from core.jit import kernel

QUEUE_UNKNOWN = -1  # our price is deeper than the book shows: only a trade through it fills us
QUEUE_SCALE = 1024


class QueueModel(IntEnum):
    RISK_AVERSE = 0
    POWER = 1
    LOG = 2


RISK_AVERSE, POWER = int(QueueModel.RISK_AVERSE), int(QueueModel.POWER)


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
def expected_ahead(book, slot, book_side, sign, price_ticks, cut_e4):
    """`queue_ahead` of which `cut_e4` 1e-4 are expected to be cancelled instead of traded (calibrated from own fills); what
    is left is rounded up."""
    ahead = queue_ahead(book, slot, book_side, sign, price_ticks)
    return ahead - ahead * cut_e4 // 10_000 if ahead > 0 else ahead


@kernel
def crossing_lots(book, slot, book_side, sign, price_ticks):
    """Lots on `book_side` (the opposite one) that would trade with an order of side `sign` at `price_ticks`."""
    total = 0
    for k in range(book.count[slot, book_side]):
        if sign * (price_ticks - book.price[slot, book_side, k]) < 0:
            break
        total += book.qty[slot, book_side, k]
    return total


@kernel
def resting_fill(side, limit_ticks, leaves_lots, queue_lots, price_ticks, lots, aggressor):
    """Lots that one print fills of a resting order."""
    beyond = side * (limit_ticks - price_ticks)
    if beyond > 0:
        return min(leaves_lots, lots)
    if beyond == 0 and aggressor == -side and queue_lots >= 0:
        return min(leaves_lots, max(lots - queue_lots, 0))
    return 0


@kernel
def queue_after(side, limit_ticks, queue, price_ticks, lots, aggressor):
    """Queue ahead of a resting order after one print; `queue` and `lots` in the same unit."""
    beyond = side * (limit_ticks - price_ticks)
    if beyond > 0:
        return 0
    if beyond == 0 and aggressor == -side and queue > 0:
        return max(queue - lots, 0)
    return queue


@kernel
def queue_after_change(model, power, queue, before_lots, after_lots, traded_lots):
    """Queue ahead (1/QUEUE_SCALE lots, >= 0) after the level went from `before_lots` to `after_lots` displayed lots, of
    which `traded_lots` were prints already counted. Rounded up."""
    if model == RISK_AVERSE:
        return queue
    shown = after_lots * QUEUE_SCALE
    cancelled = float(before_lots - after_lots - traded_lots)
    if cancelled <= 0.0:
        return min(queue, shown)
    front = float(queue) / QUEUE_SCALE
    back = max(float(before_lots - traded_lots) - front, 0.0)
    if model == POWER:
        f_back, f_front = back**power, front**power
    else:
        f_back, f_front = math.log(1.0 + back), math.log(1.0 + front)
    share = f_back / (f_back + f_front) if f_back + f_front > 0.0 else 1.0
    estimate = front - (1.0 - share) * cancelled + min(back - share * cancelled, 0.0)
    return max(min(int(math.ceil(estimate * QUEUE_SCALE)), shown), 0)
