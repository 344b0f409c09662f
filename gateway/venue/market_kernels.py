"""How the synthetic market moves: one call advances every symbol by one step.

Per symbol and step: the fair price moves (BTC factor with a lag, own jumps, scripted drift, impact of trades); quotes
on the wrong side of it are hit by informed takers or cancelled; makers refill the gap they left; noise takers arrive
by a self-exciting (Hawkes) process with log-normal sizes; resting orders change at all depths; the window follows.
Everything is drawn from one generator per symbol, so (seed, number of steps, their times) fix the market.
"""

from __future__ import annotations

import math

from core.jit import kernel
from gateway.venue.book_kernels import MASK, clear_level, follow, fresh_lots, liquidate, set_level, take, touched
from gateway.venue.market import MINUTES_KEPT, WINDOW
from gateway.venue.random_kernels import gauss, heavy, poisson, uniform

EXCITE_DECAY = 6.0  # 1/s: memory of the Hawkes process
EXCITE_SELF = 2.6  # 1/s per event: branching ratio 0.43 on the same side ...
EXCITE_CROSS = 0.6  # ... and 0.1 on the other
FACTOR_VOL = 7e-5  # BTC, log per square root of a second (about 40 % a year)
FACTOR_JUMPS = 5.0  # moves of the factor, 1/s
STALE_LEVELS = 600  # at most this many stale levels go per step


@kernel
def step_market(market, n, now_ms, dt_s):
    """Advance rows [0, n) by `dt_s` seconds ending at `now_ms`."""
    shock = step_factor(market, dt_s)
    for i in range(n):
        if market.symbols[i].listed == 1:
            step_symbol(market, i, shock, now_ms, dt_s)


@kernel
def step_factor(market, dt_s):
    """Log move of the BTC factor in this step."""
    f = market.factor
    row = market.random.shape[0] - 1
    move = f[1] * dt_s
    f[0] = 1.0 + (f[0] - 1.0) * math.exp(-dt_s / 20.0)
    if uniform(market.random, row) < FACTOR_JUMPS * dt_s:
        jump = FACTOR_VOL / math.sqrt(FACTOR_JUMPS) * f[0] * f[2] * heavy(market.random, row)
        move += jump
        f[0] = min(6.0, f[0] + 0.012 * abs(jump) / FACTOR_VOL)  # moves make more moves
    f[3] = move
    return move


@kernel
def step_symbol(market, i, shock, now_ms, dt_s):
    s = market.symbols[i]
    move_fair(market, i, shock, dt_s)
    step_ms = int(dt_s * 1000.0)
    begin_ms = now_ms - step_ms + 1
    before = s.last_ticks
    for side in (1, -1):
        clear_stale(market, i, side, begin_ms)
    # Takers come at random moments of the step; their order decides nothing but the time stamps.
    keep = math.exp(-EXCITE_DECAY * dt_s)
    s.excite_buy *= keep
    s.excite_sell *= keep
    for side in (1, -1):
        boost = s.buy_boost if side > 0 else s.sell_boost
        excited = s.excite_buy if side > 0 else s.excite_sell
        arrivals = poisson(market.random, i, (0.25 * s.taker_rate * boost + excited) * dt_s)
        for _ in range(min(arrivals, 40)):
            at_ms = begin_ms + int(uniform(market.random, i) * step_ms)
            noise_taker(market, i, side, max(at_ms, s.event_ms))
            if side > 0:
                s.excite_buy += EXCITE_SELF
                s.excite_sell += EXCITE_CROSS
            else:
                s.excite_sell += EXCITE_SELF
                s.excite_buy += EXCITE_CROSS
    for side in (1, -1):
        refill(market, i, side, now_ms, dt_s)
    changes = poisson(market.random, i, s.book_rate * s.churn * dt_s)
    for _ in range(changes):
        change_level(market, i, now_ms)
    fall = before - s.last_ticks
    if abs(fall) * 2500 > before and uniform(market.random, i) < 0.3:  # 4 bps in one step: someone is liquidated
        lots = max(1, int(3.0 * s.taker_lots * math.exp(gauss(market.random, i))))
        side = 1 if fall > 0 else -1
        liquidate(market, i, side, lots, s.last_ticks - side * max(1, s.last_ticks // 200), now_ms)
        take(market, i, -side, lots, s.last_ticks - side * max(2, s.last_ticks // 1000), now_ms)
    follow(market, i)


@kernel
def move_fair(market, i, shock, dt_s):
    """The fair price: lagged factor, own jumps with volatility clustering, scripted drift."""
    s = market.symbols[i]
    s.pending += s.beta * shock
    part = 1.0 if s.lag <= 0.0 else 1.0 - math.exp(-dt_s / s.lag)
    move = s.pending * part
    s.pending -= move
    s.heat = 1.0 + (s.heat - 1.0) * math.exp(-dt_s / 15.0)
    if uniform(market.random, i) < s.jump_rate * dt_s:
        jump = heavy(market.random, i)
        move += s.vol / math.sqrt(s.jump_rate) * s.heat * jump
        s.heat = min(5.0, s.heat + 0.015 * abs(jump))
    move += s.drift * dt_s
    # The book must be able to follow: at most a fifth of the window per step.
    middle = 0.5 * (s.best_bid + s.best_ask)
    s.fair = max(60.0, min(middle + WINDOW / 5, max(middle - WINDOW / 5, s.fair * math.exp(move))))


@kernel
def clear_stale(market, i, side, now_ms):
    """Quotes that a taker of `side` would profit from at the fair price: some are hit, the others are pulled."""
    s = market.symbols[i]
    slack = int(s.half_spread)
    if side > 0:
        limit = math.floor(s.fair + s.half_spread) - slack
        stale = limit - s.best_ask
    else:
        limit = math.floor(s.fair - s.half_spread) + 1 + slack
        stale = s.best_bid - limit
    if stale < 0:
        return
    walled = s.wall_side == -side and s.wall_lots > 0 and side * (limit - s.wall_ticks) >= 0
    if walled:
        limit = s.wall_ticks  # nobody quotes behind a wall that still stands
    touch = s.best_ask if side > 0 else s.best_bid
    if walled and touch == s.wall_ticks:
        # A wall is eaten in some forty bites, not at once.
        if uniform(market.random, i) < 0.12:
            bite = max(1.0, s.wall_start_lots / 30.0 * (0.3 + uniform(market.random, i)))
            take(market, i, side, int(bite), limit, max(now_ms, s.event_ms))
        return
    if uniform(market.random, i) < 0.5:
        lots = max(1.0, s.level_lots * (0.2 + 2.0 * uniform(market.random, i)) * min(8, stale + 1) * 0.5)
        take(market, i, side, int(lots), limit, max(now_ms, s.event_ms))
    for _ in range(STALE_LEVELS):
        touch = s.best_ask if side > 0 else s.best_bid
        if side * (limit - touch) < 0 or not clear_level(market, i, -side, touch, now_ms):
            break


@kernel
def refill(market, i, side, now_ms, dt_s):
    """Makers of `side` quote up to the fair price again, leaving the gaps a book has."""
    s = market.symbols[i]
    if side > 0:
        target = min(math.floor(s.fair - s.half_spread), s.best_ask - 1)
        gap = target - s.best_bid
    else:
        target = max(math.floor(s.fair + s.half_spread) + 1, s.best_bid + 1)
        gap = s.best_ask - target
    if gap <= 0 or uniform(market.random, i) > 1.0 - math.exp(-s.fill_rate * dt_s):
        return
    for k in range(min(gap, STALE_LEVELS)):
        if k == 0 or uniform(market.random, i) < s.occupancy:
            set_level(market, i, side, target - side * k, max(1, fresh_lots(market, i, k) // 2), now_ms)


@kernel
def noise_taker(market, i, side, now_ms):
    """An aggressive order without knowledge: log-normal size, limited slippage, some lasting impact."""
    s = market.symbols[i]
    lots = s.taker_lots * math.exp(1.5 * gauss(market.random, i))
    lots = max(1, int(min(lots, 150.0 * s.taker_lots)))
    touch = s.best_ask if side > 0 else s.best_bid
    limit = touch + side * max(2, int(s.fair * 0.0012))
    if s.wall_side == -side and s.wall_lots > 0:
        limit = side * min(side * limit, side * s.wall_ticks)
    take(market, i, side, lots, limit, now_ms)
    after = s.best_ask if side > 0 else s.best_bid
    s.fair += side * min(0.3 * abs(after - touch) + 0.02, s.fair * 2e-4)


@kernel
def change_level(market, i, now_ms):
    """One change of resting orders: mostly near the touch, sometimes deep."""
    s = market.symbols[i]
    side = 1 if uniform(market.random, i) < 0.5 else -1
    kind = uniform(market.random, i)
    if kind < 0.75:
        distance = int(-6.0 * math.log(uniform(market.random, i)))
    elif kind < 0.97:
        distance = int(250.0 * uniform(market.random, i) ** 1.5)
    else:
        distance = int((WINDOW // 2 - 128) * uniform(market.random, i))
    touch = s.best_bid if side > 0 else s.best_ask
    ticks = touch - side * distance
    gone = 0.12 if distance == 0 else 1.0 - s.occupancy
    lots = 0 if uniform(market.random, i) < gone else fresh_lots(market, i, distance)
    set_level(market, i, side, ticks, lots, now_ms)


@kernel
def build_wall(market, i, side, ticks, lots, now_ms):
    """A scripted big order of `side`; False where it would cross."""
    s = market.symbols[i]
    standing = market.ladder[i, ticks & MASK]
    s.wall_side, s.wall_ticks, s.wall_lots, s.wall_start_lots = side, ticks, lots, lots
    if set_level(market, i, side, ticks, min(standing, max(1, int(s.level_lots))), now_ms):
        return True
    s.wall_side = s.wall_ticks = s.wall_lots = s.wall_start_lots = 0
    return False


@kernel
def pull_wall(market, i, now_ms):
    """Cancel what is left of the wall; the small orders at its price stay."""
    s = market.symbols[i]
    side, ticks, lots = s.wall_side, s.wall_ticks, s.wall_lots
    s.wall_side = s.wall_ticks = s.wall_lots = s.wall_start_lots = 0
    if side == 0 or lots == 0 or ticks < s.lo or ticks >= s.hi:
        return
    set_level(market, i, side, ticks, max(0, market.ladder[i, ticks & MASK] - lots), now_ms)
    touched(market, i, now_ms)


@kernel
def close_candles(market, n, now_ms):
    """Roll every candle whose interval is over; the closed one-minute candles are kept."""
    for i in range(n):
        s = market.symbols[i]
        if s.listed == 0:
            continue
        for k in range(market.bars.shape[1]):
            bar = market.bars[i, k]
            if now_ms < bar.next_ms:
                continue
            market.closed[i, k] = market.bars[i, k]
            if k == 0:
                market.minutes[i, s.minute_head % MINUTES_KEPT] = market.bars[i, k]
                s.minute_head += 1
            length = bar.next_ms - bar.start_ms
            while now_ms >= bar.next_ms:
                bar.start_ms = bar.next_ms
                bar.next_ms = next_month_ms(bar.start_ms) if k == market.bars.shape[1] - 1 else bar.start_ms + length
            bar.open = bar.high = bar.low = bar.close
            bar.lots = 0
            bar.turnover = 0


@kernel
def next_month_ms(month_start_ms):
    """Start of the calendar month after the one that starts at `month_start_ms` (UTC)."""
    day = month_start_ms // 86_400_000
    # Years are counted from March so that the leap day comes last (Hinnant's civil-from-days).
    z = day + 719468
    of_era = z % 146097
    year_of_era = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
    of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month = (5 * of_year + 2) // 153
    length = (153 * (month + 1) + 2) // 5 - (153 * month + 2) // 5
    if month == 11:  # February
        year = year_of_era + z // 146097 * 400 + 1
        leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
        length = 29 if leap else 28
    return (day + length) * 86_400_000


@kernel
def mark_prices(market, n, now_ms, dt_s):
    """Index, mark and funding of all symbols, once a second: slow averages of the fair price and of the premium."""
    for i in range(n):
        s = market.symbols[i]
        if s.listed == 0:
            continue
        middle = 0.5 * (s.best_bid + s.best_ask)
        part = 1.0 - math.exp(-dt_s / 2.5)
        s.index_fair += (s.fair - s.index_fair) * part
        s.premium += (middle / s.index_fair - 1.0 - s.premium) * (1.0 - math.exp(-dt_s / 30.0))
        s.index = int(s.index_fair * s.tick_mant + 0.5)
        s.mark = int((s.index_fair * (1.0 + s.premium)) * s.tick_mant + 0.5)
        rate = s.premium + min(5e-4, max(-5e-4, 1e-4 - s.premium))
        s.funding_e8 = min(s.funding_cap_e8, max(-s.funding_cap_e8, int(rate * 1e6) * 100))
        if now_ms >= s.next_funding_ms:
            s.next_funding_ms += s.funding_min * 60_000
        s.open_interest = max(10, s.open_interest + int(gauss(market.random, i) * s.taker_lots))
