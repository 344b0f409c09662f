"""The ladder book: levels, trades that consume them, the window that follows the price.

`side` is +1 for buys/bids and -1 for sells/asks, and one code path serves both: a taker of side s walks the levels
`touch, touch + s, ...` of the other side.
"""

from __future__ import annotations

import math

import numpy as np

from core.jit import kernel
from gateway.venue.market import LIQUIDATIONS_KEPT, TRADES_KEPT, WINDOW
from gateway.venue.random_kernels import gauss, next_word, uniform

MASK = WINDOW - 1


@kernel
def fresh_lots(market, i, distance):
    """Lots of a new level: log-normal around a profile that is thinner right at the touch, now and then a big one."""
    s = market.symbols[i]
    profile = 0.35 + 0.65 * min(1.0, distance / 12.0) + distance / 600.0
    lots = s.level_lots * s.depth_factor * profile * math.exp(0.9 * gauss(market.random, i) - 0.4)
    if uniform(market.random, i) < 0.02:
        lots *= 5.0
    return max(1, int(lots))


@kernel
def touched(market, i, now_ms):
    """Book-keeping of any change of the book of symbol i."""
    s = market.symbols[i]
    s.version += 1
    s.seq += 1 + np.int64(next_word(market.random, i) & np.uint64(3))
    if now_ms > s.event_ms:
        s.event_ms = now_ms


@kernel
def set_level(market, i, side, ticks, lots, now_ms):
    """Make a level of `side` hold `lots` (0 clears it) plus the wall standing there, and move the touch accordingly.

    Refuses (returns False) what would cross or lies outside the window.
    """
    s = market.symbols[i]
    if ticks < max(1, s.lo) or ticks >= s.hi:
        return False
    if (side > 0 and ticks >= s.best_ask) or (side < 0 and ticks <= s.best_bid):
        return False
    if s.wall_side == side and s.wall_ticks == ticks:
        lots += s.wall_lots
    cell = ticks & MASK
    if market.ladder[i, cell] == lots:
        return False
    touch = s.best_bid if side > 0 else s.best_ask
    if lots == 0 and ticks == touch:
        # The last level of a side never goes by cancelling: an exchange without a bid is not a market.
        following = next_level(market, i, side, ticks)
        if following == -1:
            return False
        touch = following
    market.ladder[i, cell] = lots
    if lots > 0 and side * (ticks - touch) > 0:
        touch = ticks
    if side > 0:
        s.best_bid = touch
    else:
        s.best_ask = touch
    touched(market, i, now_ms)
    return True


@kernel
def clear_level(market, i, side, ticks, now_ms):
    """`set_level` to nothing."""
    return set_level(market, i, side, ticks, np.int64(0), now_ms)


@kernel
def next_level(market, i, side, ticks):
    """Price of the first occupied level of `side` behind `ticks`, or -1."""
    s = market.symbols[i]
    t = ticks - side
    while t >= max(1, s.lo) and t < s.hi:
        if market.ladder[i, t & MASK] > 0:
            return t
        t -= side
    return -1


@kernel
def take(market, i, side, lots, limit_ticks, now_ms):
    """A taker of `side` consumes up to `lots` no worse than `limit_ticks`; the rest is cancelled (IOC). Returns lots done.

    Every level hit is one public trade; all trades of the order share one seq. At least one level of the hit side is
    left standing.
    """
    s = market.symbols[i]
    t = s.best_ask if side > 0 else s.best_bid
    touched(market, i, now_ms)
    left = lots
    while left > 0 and side * (limit_ticks - t) >= 0:
        cell = t & MASK
        there = market.ladder[i, cell]
        following = next_level(market, i, -side, t)
        if there > left or following == -1:
            done = min(left, there - 1)
        else:
            done = there
        if done > 0:
            market.ladder[i, cell] = there - done
            left -= done
            if s.wall_side == -side and s.wall_ticks == t:
                s.wall_lots = min(s.wall_lots, there - done)
            print_trade(market, i, side, t, done, now_ms)
        if done < there:
            break
        t = following
    if side > 0:
        s.best_ask = t
    else:
        s.best_bid = t
    return lots - left


@kernel
def print_trade(market, i, side, ticks, lots, now_ms):
    """Append a public trade to the ring of symbol i and to its candles and day figures."""
    s = market.symbols[i]
    trade = market.trades[i, s.trade_head % TRADES_KEPT]
    if ticks > s.last_ticks:
        s.tick_direction = 0
    elif ticks < s.last_ticks:
        s.tick_direction = 2
    elif s.tick_direction == 0:
        s.tick_direction = 1
    elif s.tick_direction == 2:
        s.tick_direction = 3
    trade.ts_ms = s.event_ms
    trade.ticks = ticks
    trade.lots = lots
    trade.side = side
    trade.direction = s.tick_direction
    trade.seq = s.seq
    trade.id_high = next_word(market.random, i)
    trade.id_low = next_word(market.random, i)
    s.trade_head += 1
    s.last_ticks = ticks
    s.high24 = max(s.high24, ticks)
    s.low24 = min(s.low24, ticks)
    s.volume24 += lots
    s.turnover24 += ticks * lots
    for k in range(market.bars.shape[1]):
        bar = market.bars[i, k]
        bar.close = ticks
        bar.high = max(bar.high, ticks)
        bar.low = min(bar.low, ticks)
        bar.lots += lots
        bar.turnover += ticks * lots


@kernel
def liquidate(market, i, position_side, lots, ticks, now_ms):
    """Note a liquidated position (side +1 = a long) at its bankruptcy price; the order it causes is the caller's."""
    s = market.symbols[i]
    row = market.liquidations[i, s.liquidation_head % LIQUIDATIONS_KEPT]
    row.ts_ms = now_ms
    row.ticks = max(1, ticks)
    row.lots = lots
    row.side = position_side
    s.liquidation_head += 1


@kernel
def follow(market, i):
    """Move the ladder window after the price, filling what comes into it and forgetting what leaves."""
    s = market.symbols[i]
    half = WINDOW // 2
    middle = (s.best_bid + s.best_ask) // 2
    wanted = middle - half
    if abs(wanted - s.lo) < 64:
        return
    # Both touches stay well inside: the stale side catches up within the next steps.
    wanted = min(wanted, s.best_bid - 256)
    wanted = max(wanted, s.best_ask + 256 - WINDOW)
    while s.lo < wanted:
        t = s.hi
        lots = fresh_lots(market, i, half) if uniform(market.random, i) < s.occupancy else 0
        market.ladder[i, t & MASK] = lots
        s.lo += 1
        s.hi += 1
    while s.lo > wanted:
        t = s.lo - 1
        lots = fresh_lots(market, i, half) if t >= 1 and uniform(market.random, i) < s.occupancy else 0
        market.ladder[i, t & MASK] = lots
        s.lo -= 1
        s.hi -= 1
    s.version += 1


@kernel
def open_book(market, i, now_ms):
    """Fill the whole ladder of a new symbol around its fair price and start its index and mark there."""
    s = market.symbols[i]
    middle = int(s.fair)
    s.lo = middle - WINDOW // 2
    s.hi = s.lo + WINDOW
    s.best_bid = max(1, math.floor(s.fair - s.half_spread))
    s.best_ask = max(s.best_bid + 1, math.floor(s.fair + s.half_spread) + 1)
    for t in range(s.lo, s.hi):
        lots = 0
        if t >= 1 and (t <= s.best_bid or t >= s.best_ask):
            distance = s.best_bid - t if t <= s.best_bid else t - s.best_ask
            if distance == 0 or uniform(market.random, i) < s.occupancy:
                lots = fresh_lots(market, i, distance)
        market.ladder[i, t & MASK] = lots
    s.version = 1
    s.event_ms = now_ms
    s.index_fair = s.fair
    s.index = int(s.fair * s.tick_mant + 0.5)
    s.mark = s.index
