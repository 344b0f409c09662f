"""The watched price levels: when one is a wall, and the verdict when it goes (eaten, absorbed, spoofing, layering, iceberg,
withdrawn). Formulas: WALLS.md."""

from __future__ import annotations

import math

import numpy as np

from core.enums import WallFate
from core.features.walls_state import (
    SAID,
    SAID_CANCELLED,
    SAID_EATEN,
    SAID_FATE,
    SAID_PEAK,
    SAID_PRICE,
    SAID_SIDE,
    WATCHED,
)
from core.features.walls_watch import roll_watch, start_watch, take_change
from core.jit import kernel

# numpy scalars: a plain int handed to a kernel is a literal type and would compile it again
_STANDING, _ABSORBING = np.int64(WallFate.STANDING), np.int64(WallFate.ABSORBING)
_EATEN, _SPOOFING = np.int64(WallFate.EATEN), np.int64(WallFate.SPOOFING)
_LAYERING, _ICEBERG = np.int64(WallFate.LAYERING), np.int64(WallFate.ICEBERG)
_WITHDRAWN = np.int64(WallFate.WITHDRAWN)
LEVEL, WALL = np.int64(0), np.int64(1)  # why a price is watched
ONE = np.int64(1)  # a place of a side as a bit: ONE << k


@kernel
def find_level(prices, marks, price_ticks):  # type: ignore[no-untyped-def]
    """Place where a price is watched, -1 = nowhere. prices, marks: those of the side.

    Few levels of a frame are, and `marks` says so of most. Then all are compared: which one cannot be foreseen.
    """
    found = -1
    if marks >> (price_ticks & 63) & 1 != 0:
        for k in range(WATCHED):
            if prices[k] == price_ticks:
                found = k
    return found


@kernel
def _free(state, slot, side, k):  # type: ignore[no-untyped-def]
    """Stop watching."""
    prices = state.price[slot, side]
    prices[k] = 0
    now = state.track[slot]
    now.watched[side] -= 1
    now.marks[side] = 0
    for j in range(WATCHED):
        if prices[j] != 0:
            now.marks[side] |= ONE << (prices[j] & 63)
    if state.watch[slot, side, k].wall != 0:
        now.walls[side] &= ~(ONE << k)
        now.standing[side] &= ~(ONE << k)
        state.watch[slot, side, k].wall = 0


@kernel
def claim_level(state, slot, side, price_ticks, lots, is_wall, ts_ns):  # type: ignore[no-untyped-def]
    """A place to watch a price: a free one, else that of the level longest left alone, else (walls only) that of the
    smallest wall when it is smaller. Returns -1 when there is none.
    """
    prices, watch = state.price[slot, side], state.watch[slot, side]
    found = -1
    for k in range(WATCHED):
        if prices[k] == 0:
            found = k
            break
    if found < 0:
        for k in range(WATCHED):
            if watch[k].wall == 0 and (found < 0 or watch[k].seen_ns < watch[found].seen_ns):
                found = k
    if found < 0 and is_wall != 0:
        found = 0
        for k in range(1, WATCHED):
            if watch[k].peak_lots < watch[found].peak_lots:
                found = k
        if watch[found].peak_lots >= lots:
            found = -1
    if found >= 0:
        if prices[found] != 0:
            _free(state, slot, side, found)
        prices[found] = price_ticks
        state.track[slot].watched[side] += 1
        state.track[slot].marks[side] |= ONE << (price_ticks & 63)
        start_watch(watch[found], lots, ts_ns)
    return found


@kernel
def distance_bps(now, price_ticks):  # type: ignore[no-untyped-def]
    """Distance from the mid; nan without one."""
    if now.mid2 == 0:
        return math.nan
    return 1e4 * abs(np.float64(2 * price_ticks - now.mid2)) / np.float64(now.mid2)


@kernel
def _is_wall(now, price_ticks, lots, par):  # type: ignore[no-untyped-def]
    """Is a level that shows `lots` a wall? Not while the average or the mid is unknown."""
    return (
        lots >= par.wall_x * now.average_lots
        and now.unit_usdt * (np.float64(price_ticks) * np.float64(lots)) >= par.wall_min_usdt
        and distance_bps(now, price_ticks) <= par.wall_reach_bps
    )


@kernel
def _begin_wall(state, slot, side, k, price_ticks, ts_ns, par):  # type: ignore[no-untyped-def]
    """A watched level has become a wall: what it was before does not count."""
    now, w = state.track[slot], state.watch[slot, side, k]
    w.wall = 1
    now.walls[side] |= ONE << k
    now.standing[side] |= ONE << k
    w.fate = _STANDING
    w.peak_lots = w.lots
    w.leave_lots = np.int64(math.ceil(par.wall_leave_x * now.average_lots))
    w.since_ns = ts_ns
    w.born_ns = ts_ns
    w.ended_ns = 0
    w.credit_old = 0
    w.credit_new = 0
    w.pending_old = 0
    w.pending_new = 0
    w.traded_lots = 0
    w.eaten_lots = 0
    w.cancelled_lots = 0
    w.refills = 0
    w.moves = 0
    w.size_x = np.float64(w.lots) / now.average_lots
    w.born_bps = distance_bps(now, price_ticks)


@kernel
def _say(state, slot, side, k, fate, ts_ns):  # type: ignore[no-untyped-def]
    """The fate of a watched level is now `fate`; it is told once."""
    w = state.watch[slot, side, k]
    if w.fate == fate:
        return
    w.fate = fate
    n = state.said_n[0]
    if n == SAID:
        return
    row = state.said[n]
    row[SAID_FATE] = fate
    row[SAID_SIDE] = 1 - 2 * side
    row[SAID_PRICE] = state.price[slot, side, k]
    row[SAID_PEAK] = w.peak_lots
    row[SAID_EATEN] = w.eaten_lots
    row[SAID_CANCELLED] = w.cancelled_lots + w.pending_old + w.pending_new
    since_ns = w.since_ns if w.wall != 0 else w.seen_ns
    state.said_x[n, 0] = w.size_x
    state.said_x[n, 1] = max(ts_ns - since_ns, 0) / 1e9
    state.said_n[0] = n + 1


@kernel
def after_eaten(state, slot, side, k, eaten, refills, ts_ns, par):  # type: ignore[no-untyped-def]
    """`eaten` lots were explained by trades just now, and the level had been refilled `refills` times before."""
    now, w = state.track[slot], state.watch[slot, side, k]
    if w.wall != 0 and eaten > 0:
        now.absorb[side] += np.float64(eaten) / np.float64(w.peak_lots)
        if w.fate == _STANDING and w.eaten_lots >= par.wall_absorb_share * w.peak_lots:
            _say(state, slot, side, k, _ABSORBING, ts_ns)
    if w.refills > refills and w.refills >= par.iceberg_refills and w.traded_lots > w.peak_lots:
        now.iceberg[side] += 1.0 if w.fate != _ICEBERG else 0.5
        _say(state, slot, side, k, _ICEBERG, ts_ns)


@kernel
def touch_level(state, slot, side, k, price_ticks, after, is_beyond, ts_ns, par):  # type: ignore[no-untyped-def]
    """The book shows `after` lots at a price watched in place k (-1: not watched). is_beyond: the level left the
    visible book, nobody pulled it.
    """
    now = state.track[slot]
    if k < 0:
        if _is_wall(now, price_ticks, after, par):
            k = claim_level(state, slot, side, price_ticks, after, WALL, ts_ns)
            if k >= 0:
                _begin_wall(state, slot, side, k, price_ticks, ts_ns, par)
        return
    w = state.watch[slot, side, k]
    if is_beyond and w.ended_ns == 0:
        _free(state, slot, side, k)
        return
    refills = w.refills
    eaten = take_change(w, after, ts_ns, par.wall_match_ns)
    if w.wall == 0:
        if _is_wall(now, price_ticks, after, par):
            _begin_wall(state, slot, side, k, price_ticks, ts_ns, par)
        w.peak_lots = max(w.peak_lots, after)
    elif after >= w.leave_lots:
        w.ended_ns = 0
        now.standing[side] |= ONE << k
        if after > w.peak_lots:
            w.peak_lots = after
            w.size_x = max(w.size_x, np.float64(after) / now.average_lots)
    elif w.ended_ns == 0:
        w.ended_ns = ts_ns
        now.standing[side] &= ~(ONE << k)
        w.end_bps = distance_bps(now, price_ticks)
    after_eaten(state, slot, side, k, eaten, refills, ts_ns, par)


@kernel
def _moved_to(state, slot, side, k, par):  # type: ignore[no-untyped-def]
    """The wall that wall k has become: born when it ended, as big, near; -1 = none. Each wall follows one other, and a
    flicker (shorter than `walls.spoof_stay_s`) has not moved.
    """
    prices, watch = state.price[slot, side], state.watch[slot, side]
    w = watch[k]
    if (w.ended_ns - w.born_ns) / 1e9 < par.spoof_stay_s:
        return -1
    for j in range(WATCHED):
        other = watch[j]
        if (
            j != k and prices[j] != 0 and other.wall != 0 and other.ended_ns == 0 and other.since_ns == other.born_ns
            and abs(other.born_ns - w.ended_ns) <= par.wall_match_ns
            and abs(other.peak_lots - w.peak_lots) <= par.wall_move_size * w.peak_lots
            and 1e4 * abs(prices[j] - prices[k]) <= par.wall_move_bps * prices[k]
        ):  # fmt: skip
            return j
    return -1


@kernel
def spoof_evidence(w, par):  # type: ignore[no-untyped-def]
    """0..1: how much a pulled wall looks like spoofing: how far it stood out, how far the price had come towards it,
    and how long it stood: not a flicker, not an order that rested for minutes. See WALLS.md.
    """
    size = 1.0
    if par.wall_full_x > par.wall_x:
        size = min(max((w.size_x - par.wall_x) / (par.wall_full_x - par.wall_x), 0.0), 1.0)
    approach = 0.0
    if w.born_bps > 0.0 and w.end_bps >= 0.0:
        approach = min(max((w.born_bps - w.end_bps) / max(0.5 * w.born_bps, par.spoof_approach_bps), 0.0), 1.0)
    age_s = max(w.ended_ns - w.since_ns, 0) / 1e9
    stay = min(age_s / par.spoof_stay_s, 1.0)
    return size * approach * stay * (par.spoof_life_s / (par.spoof_life_s + age_s))


@kernel
def _judge(state, slot, side, ts_ns, par):  # type: ignore[no-untyped-def]
    """See `judge_levels`; a side with walls that ended."""
    now = state.track[slot]
    ended = now.walls[side] & ~now.standing[side]
    for k in range(WATCHED):
        w = state.watch[slot, side, k]
        if ended >> k & 1 == 0 or ts_ns - w.ended_ns < par.wall_match_ns:
            continue
        roll_watch(w, ts_ns, par.wall_match_ns)
        if w.eaten_lots >= w.cancelled_lots + w.pending_old + w.pending_new:
            _say(state, slot, side, k, _EATEN, ts_ns)
        else:
            j = _moved_to(state, slot, side, k, par)
            evidence = spoof_evidence(w, par)
            if j >= 0:
                follower = state.watch[slot, side, j]
                follower.since_ns = w.since_ns
                follower.moves = w.moves + 1
                now.layer[side] += min(w.size_x / par.wall_full_x, 1.0)
                _say(state, slot, side, k, _LAYERING, ts_ns)
            elif now.traded != 0 and evidence >= par.spoof_verdict:
                now.spoof[side] += evidence
                _say(state, slot, side, k, _SPOOFING, ts_ns)
            else:
                w.fate = _WITHDRAWN
        _free(state, slot, side, k)


@kernel
def judge_levels(state, slot, ts_ns, par):  # type: ignore[no-untyped-def]
    """Verdicts on walls that ended a match window ago: by now the trades that ate them would have been seen."""
    now = state.track[slot]
    for side in range(2):
        if now.walls[side] != now.standing[side]:
            _judge(state, slot, side, ts_ns, par)


@kernel
def look_over(state, book, slot, ts_ns, par):  # type: ignore[no-untyped-def]
    """Walls nobody has touched since they could be called so."""
    now = state.track[slot]
    if not now.average_lots > 0.0 or now.mid2 == 0:
        return
    needed = par.wall_x * now.average_lots
    for side in range(2):
        prices, qtys = book.price[slot, side], book.qty[slot, side]
        for i in range(book.count[slot, side]):
            if qtys[i] >= needed and _is_wall(now, prices[i], qtys[i], par):
                k = find_level(state.price[slot, side], now.marks[side], prices[i])
                if k < 0:
                    k = claim_level(state, slot, side, prices[i], qtys[i], WALL, ts_ns)
                if k >= 0 and state.watch[slot, side, k].wall == 0:
                    _begin_wall(state, slot, side, k, prices[i], ts_ns, par)
