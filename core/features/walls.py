"""Walls of every symbol: big resting orders, how long they stand and what becomes of them. Formulas: WALLS.md.

Per side up to WATCHED prices are watched: walls, and levels that trades are hitting. A book event touches only the
levels of its frame, a trade only the watched prices; once a second the visible book is looked over for walls that were
there before an average was known. A snapshot, a break or a new listing forgets what was watched, without a verdict.
"""

from __future__ import annotations

import numpy as np

from core.book.kernels import ASKS, BIDS, MAX_TOUCHED, qty_at
from core.features.depth import (
    SECOND_NS,
    add_level,
    clear_samples,
    fresh_zone,
    move_edges,
    refresh_depth,
    sum_samples,
    take_sample,
)
from core.features.walls_levels import LEVEL, after_eaten, claim_level, find_level, judge_levels, look_over, touch_level
from core.features.walls_scores import decay_scores, forget_walls, refresh_walls
from core.features.walls_state import WATCHED
from core.features.walls_watch import start_watch, take_trade
from core.jit import kernel
from core.tape.kernels import BLOCK_TRADE

IDLE_NS = 10 * SECOND_NS  # a level that was left alone so long is watched afresh when trades hit it again


@kernel
def _forget_watched(state, slot):  # type: ignore[no-untyped-def]
    now = state.track[slot]
    for side in range(2):
        for k in range(WATCHED):
            state.price[slot, side, k] = 0
            state.watch[slot, side, k].wall = 0
        now.watched[side] = 0
        now.marks[side] = 0
        now.walls[side] = 0
        now.standing[side] = 0


@kernel
def list_walls(state, slot, tick_size, lot_size):  # type: ignore[no-untyped-def]
    """Start a slot anew for a symbol: nothing is known."""
    now = state.track[slot]
    clear_samples(state.track, state.ring, slot)
    now.unit_usdt = tick_size * lot_size
    now.traded = 0
    now.decayed_ns = 0
    for side in range(2):
        now.spoof[side] = 0.0
        now.absorb[side] = 0.0
        now.iceberg[side] = 0.0
        now.layer[side] = 0.0
    walls_broken(state, slot)


@kernel
def configure_walls(state, params, slots):  # type: ignore[no-untyped-def]
    """New settings hold from now on: averages of another length are made anew, and zones take their new width with the
    next book event (their edges are compared on every one).
    """
    if state.average_s[0] != params[0].depth_average_s:
        state.average_s[0] = params[0].depth_average_s
        for slot in range(slots):
            sum_samples(state.track, state.ring, slot, state.average_s[0])


@kernel
def walls_broken(state, slot):  # type: ignore[no-untyped-def]
    """The book of the slot is not believed any more: what was watched is forgotten without a verdict."""
    now = state.track[slot]
    now.believed = 0
    now.mid2 = 0
    _forget_watched(state, slot)
    refresh_depth(state.row, state.zone, state.track, slot)
    forget_walls(state.row[slot])


@kernel
def walls_book(state, book, slot, levels, first, n_bids, n_asks, is_fresh, ts_ns, params):  # type: ignore[no-untyped-def]
    """The book of the slot took `n_bids` then `n_asks` entries of `levels` from `first`; `book.before` is still theirs.

    is_fresh: a snapshot, or a call that dropped levels: sums are made anew and what was watched is forgotten.
    """
    state.said_n[0] = 0
    now, par = state.track[slot], params[0]
    if par.wall_match_ns <= 0:  # no CONFIG yet
        return
    fresh = is_fresh != 0 or now.believed == 0 or n_bids + n_asks > MAX_TOUCHED
    now.believed = 1
    now.mid2 = 0
    if book.count[slot, BIDS] > 0 and book.count[slot, ASKS] > 0:
        if book.price[slot, BIDS, 0] < book.price[slot, ASKS, 0]:
            now.mid2 = book.price[slot, BIDS, 0] + book.price[slot, ASKS, 0]
    if fresh:
        _forget_watched(state, slot)
        fresh_zone(state.zone, book, slot, BIDS, params)
        fresh_zone(state.zone, book, slot, ASKS, params)
        look_over(state, book, slot, ts_ns, par)
    else:
        at = first
        for side in range(2):
            sign = np.int64(2 * side - 1)
            n = n_asks if side else n_bids
            zone = state.zone[slot, side]
            count = book.count[slot, side]
            worst = sign * book.price[slot, side, count - 1] if count > 0 else np.int64(-0x7FFF_FFFF_FFFF_FFFF)
            needed = par.wall_x * now.average_lots
            prices = state.price[slot, side]
            for i in range(at, at + n):
                before = book.before[i - first]
                price, after = levels[i].price_ticks, levels[i].qty_lots
                if before < 0 or before == after:
                    continue
                add_level(zone, sign, price, after - before)
                k = find_level(prices, now.marks[side], price)
                if k >= 0 or after >= needed:
                    beyond = after == 0 and sign * price > worst
                    touch_level(state, slot, np.int64(side), k, price, after, beyond, ts_ns, par)
            at += n
            move_edges(state.zone, book, slot, np.int64(side), params)
    judge_levels(state, slot, ts_ns, par)
    refresh_walls(state, slot, ts_ns, par)


@kernel
def walls_trades(state, book, slot, trades, first, n, ts_ns, params):  # type: ignore[no-untyped-def]
    """Public trades of the slot: each hits the side its aggressor takes from. Block trades are off the book."""
    state.said_n[0] = 0
    now, par = state.track[slot], params[0]
    now.traded = 1
    if now.believed == 0:
        return
    for i in range(first, first + n):
        if trades[i]["flags"] & BLOCK_TRADE:
            continue
        side = ASKS if trades[i].side > 0 else BIDS
        price, lots = trades[i].price_ticks, trades[i].qty_lots
        k = find_level(state.price[slot, side], now.marks[side], price)
        if k >= 0 and state.watch[slot, side, k].wall == 0 and ts_ns - state.watch[slot, side, k].seen_ns > IDLE_NS:
            start_watch(state.watch[slot, side, k], state.watch[slot, side, k].lots, ts_ns)
        if k < 0:
            shown = qty_at(book, slot, side, price)
            k = claim_level(state, slot, side, price, shown, LEVEL, ts_ns)
            if k < 0:
                continue
        refills = state.watch[slot, side, k].refills
        eaten = take_trade(state.watch[slot, side, k], lots, ts_ns, par.wall_match_ns)
        after_eaten(state, slot, side, np.int64(k), eaten, refills, ts_ns, par)


@kernel
def walls_timer(state, book, slot, ts_ns, params):  # type: ignore[no-untyped-def]
    """Time has come to `ts_ns`: verdicts that are due, scores decay, and once a second the book is sampled."""
    state.said_n[0] = 0
    now, par = state.track[slot], params[0]
    if par.wall_match_ns <= 0:
        return
    changes = decay_scores(now, ts_ns, par)
    second = ts_ns // SECOND_NS
    if second > now.second:
        changes = True
        lots, levels, value = np.int64(0), np.int64(0), np.int64(0)
        if now.mid2 > 0:
            for side in range(2):
                lots += state.zone[slot, side].lots
                levels += book.count[slot, side]
                value += state.zone[slot, side].bps_value
                for k in range(WATCHED if now.standing[side] != 0 else 0):
                    if now.standing[side] >> k & 1:
                        lots -= state.watch[slot, side, k].lots
                        levels -= 1
        take_sample(
            state.track, state.ring, slot, state.average_s[0], second, np.int64(now.mid2 > 0), lots, levels, value
        )
        if now.believed != 0:
            look_over(state, book, slot, ts_ns, par)
    if changes and now.believed != 0:
        judge_levels(state, slot, ts_ns, par)
        refresh_walls(state, slot, ts_ns, par)
