"""Walls of every symbol: big resting orders, how long they stand and what becomes of them. Formulas: WALLS.md.

Per side up to WATCHED prices are watched: walls, and levels that trades are hitting. A book event touches only the
levels of its frame, a trade only the watched prices; once a second the visible book is looked over for walls that were
there before an average was known. A snapshot, a break or a new listing forgets what was watched, without a verdict.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from core.book.kernels import ASKS, BIDS, MAX_TOUCHED, qty_at
from core.enums import WallFate
from core.features.depth import (
    N_SAMPLES,
    SECOND_NS,
    add_level,
    clear_samples,
    fresh_zone,
    move_edges,
    refresh_depth,
    sum_samples,
    take_sample,
)
from core.features.walls_records import SAMPLE, WALL_TRACK, WALLS, WATCH, ZONE
from core.features.walls_watch import roll_watch, start_watch, take_change, take_trade
from core.jit import kernel
from core.tape.kernels import BLOCK_TRADE

WATCHED = 12  # prices watched per side
SAID = 32  # verdicts of one event: each of the 2 x 12 watched levels can say one thing
IDLE_NS = 10 * SECOND_NS  # a level that was left alone so long is watched afresh when trades hit it again
DECAY_NS = 100_000_000  # scores decay in steps of a TIMER
MAX_DECAY_STEPS = 10_000
NO_EVIDENCE = 1e-12  # faded to nothing
FAINT_EVIDENCE = 0.01  # less than this on both sides together leans nowhere
SAID_FATE, SAID_SIDE, SAID_PRICE, SAID_PEAK, SAID_EATEN, SAID_CANCELLED = range(6)

# numpy scalars: a plain int handed to a kernel is a literal type and would compile it again
_STANDING, _ABSORBING = np.int64(WallFate.STANDING), np.int64(WallFate.ABSORBING)
_EATEN, _SPOOFING = np.int64(WallFate.EATEN), np.int64(WallFate.SPOOFING)
_LAYERING, _ICEBERG = np.int64(WallFate.LAYERING), np.int64(WallFate.ICEBERG)
_WITHDRAWN = np.int64(WallFate.WITHDRAWN)
_LEVEL, _WALL = np.int64(0), np.int64(1)


class WallState(NamedTuple):
    """State of all slots.

    row: WALLS[cap]; track: WALL_TRACK[cap]; zone: ZONE[cap, 2]; ring: SAMPLE[cap, N_SAMPLES]; price: int64[cap, 2,
    WATCHED], 0 = free; watch: WATCH[cap, 2, WATCHED]; average_s: int64[1], length of the averages in use;
    said: int64[SAID, 6] and said_x: f8[SAID, 2] (size in average levels, age in s), said_n: int64[1]: fates that
    changed in the last call, see SAID_*.
    """

    row: Any
    track: Any
    zone: Any
    ring: Any
    price: Any
    watch: Any
    average_s: Any
    said: Any
    said_x: Any
    said_n: Any


def new_walls(cap: int) -> WallState:
    """State for `cap` slots, nothing known: 9 KiB a slot."""
    row = np.zeros(cap, WALLS.dtype)
    row.view(np.float64)[:] = math.nan
    return WallState(
        row, np.zeros(cap, WALL_TRACK.dtype), np.zeros((cap, 2), ZONE.dtype), np.zeros((cap, N_SAMPLES), SAMPLE.dtype),
        np.zeros((cap, 2, WATCHED), np.int64), np.zeros((cap, 2, WATCHED), WATCH.dtype), np.array([60], np.int64),
        np.zeros((SAID, 6), np.int64), np.zeros((SAID, 2)), np.zeros(1, np.int64),
    )  # fmt: skip


# --- watched levels ---------------------------------------------------------------------------------------------------
@kernel
def _find(prices, price_ticks):  # type: ignore[no-untyped-def]
    for k in range(WATCHED):
        if prices[k] == price_ticks:
            return k
    return -1


@kernel
def _free(state, slot, side, k):  # type: ignore[no-untyped-def]
    """Stop watching."""
    state.price[slot, side, k] = 0
    now = state.track[slot]
    now.watched[side] -= 1
    if state.watch[slot, side, k].wall != 0:
        now.walls[side] -= 1
        state.watch[slot, side, k].wall = 0


@kernel
def _claim(state, slot, side, price_ticks, lots, is_wall, ts_ns):  # type: ignore[no-untyped-def]
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
        start_watch(watch[found], lots, ts_ns)
    return found


@kernel
def _distance_bps(now, price_ticks):  # type: ignore[no-untyped-def]
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
        and _distance_bps(now, price_ticks) <= par.wall_reach_bps
    )


@kernel
def _begin_wall(state, slot, side, k, price_ticks, ts_ns, par):  # type: ignore[no-untyped-def]
    """A watched level has become a wall: what it was before does not count."""
    now, w = state.track[slot], state.watch[slot, side, k]
    w.wall = 1
    now.walls[side] += 1
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
    w.born_bps = _distance_bps(now, price_ticks)


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
def _after_eaten(state, slot, side, k, eaten, refills, ts_ns, par):  # type: ignore[no-untyped-def]
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
def _touch(state, slot, side, k, price_ticks, after, is_beyond, ts_ns, par):  # type: ignore[no-untyped-def]
    """The book shows `after` lots at a price watched in place k (-1: not watched). is_beyond: the level left the
    visible book, nobody pulled it.
    """
    now = state.track[slot]
    if k < 0:
        if _is_wall(now, price_ticks, after, par):
            k = _claim(state, slot, side, price_ticks, after, _WALL, ts_ns)
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
        if after > w.peak_lots:
            w.peak_lots = after
            w.size_x = max(w.size_x, np.float64(after) / now.average_lots)
    elif w.ended_ns == 0:
        w.ended_ns = ts_ns
        w.end_bps = _distance_bps(now, price_ticks)
    _after_eaten(state, slot, side, k, eaten, refills, ts_ns, par)


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
def _judge(state, slot, ts_ns, par):  # type: ignore[no-untyped-def]
    """Verdicts on walls that ended a match window ago: by now the trades that ate them would have been seen."""
    now = state.track[slot]
    for side in range(2):
        if now.walls[side] == 0:
            continue
        for k in range(WATCHED):
            w = state.watch[slot, side, k]
            if w.wall == 0 or w.ended_ns == 0 or ts_ns - w.ended_ns < par.wall_match_ns:
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
def _look_over(state, book, slot, ts_ns, par):  # type: ignore[no-untyped-def]
    """Walls nobody has touched since they could be called so."""
    now = state.track[slot]
    if not now.average_lots > 0.0 or now.mid2 == 0:
        return
    needed = par.wall_x * now.average_lots
    for side in range(2):
        prices, qtys = book.price[slot, side], book.qty[slot, side]
        for i in range(book.count[slot, side]):
            if qtys[i] >= needed and _is_wall(now, prices[i], qtys[i], par):
                k = _find(state.price[slot, side], prices[i])
                if k < 0:
                    k = _claim(state, slot, side, prices[i], qtys[i], _WALL, ts_ns)
                if k >= 0 and state.watch[slot, side, k].wall == 0:
                    _begin_wall(state, slot, side, k, prices[i], ts_ns, par)


# --- features ---------------------------------------------------------------------------------------------------------
@kernel
def _score(evidence):  # type: ignore[no-untyped-def]
    """Evidence (0 and more) as a score of 0..100: 1 is 50, 3 is 75."""
    return 100.0 * evidence / (1.0 + evidence)


@kernel
def _side_strength(state, slot, side, ts_ns, par):  # type: ignore[no-untyped-def]
    """(score 0..100, place of the strongest wall or -1) of a side: see WALLS.md."""
    now = state.track[slot]
    doubt, strongest, most = 1.0, -1, -1.0
    trust = 1.0 / (1.0 + now.spoof[side])
    for k in range(WATCHED):
        w = state.watch[slot, side, k]
        if w.wall == 0 or w.ended_ns != 0:
            continue
        size = min(np.float64(w.lots) / now.average_lots / par.wall_full_x, 1.0)
        near = par.wall_near_bps / (par.wall_near_bps + _distance_bps(now, state.price[slot, side, k]))
        age_s = max(ts_ns - w.since_ns, 0) / 1e9
        strength = size * near * (age_s / (age_s + par.wall_age_s))
        doubt *= 1.0 - trust * strength
        if strength > most:
            strongest, most = k, strength
    return 100.0 * (1.0 - doubt), strongest


@kernel
def _forget_walls(out):  # type: ignore[no-untyped-def]
    out.wall_bid_bps = math.nan
    out.wall_bid_x = math.nan
    out.wall_bid_age_s = math.nan
    out.wall_ask_bps = math.nan
    out.wall_ask_x = math.nan
    out.wall_ask_age_s = math.nan
    out.wall_support = math.nan
    out.wall_resistance = math.nan
    out.spoof = math.nan
    out.spoof_lean = math.nan
    out.absorb_bid = math.nan
    out.absorb_ask = math.nan
    out.iceberg_bid = math.nan
    out.iceberg_ask = math.nan
    out.layering = math.nan


@kernel
def _no_walls(out):  # type: ignore[no-untyped-def]
    """A book without walls: no distance, size 0."""
    out.wall_bid_bps = math.nan
    out.wall_bid_x = 0.0
    out.wall_bid_age_s = 0.0
    out.wall_ask_bps = math.nan
    out.wall_ask_x = 0.0
    out.wall_ask_age_s = 0.0
    out.wall_support = 0.0
    out.wall_resistance = 0.0


@kernel
def _wall_of(state, slot, side, k, ts_ns):  # type: ignore[no-untyped-def]
    """(distance bps, size in average levels, age s) of a wall."""
    now, w = state.track[slot], state.watch[slot, side, k]
    size = np.float64(w.lots) / now.average_lots
    return _distance_bps(now, state.price[slot, side, k]), size, max(ts_ns - w.since_ns, 0) / 1e9


@kernel
def _refresh(state, slot, ts_ns, par):  # type: ignore[no-untyped-def]
    """Every feature of the slot. Walls and scores are unknown without a believed mid and a known average."""
    refresh_depth(state.row, state.zone, state.track, slot)
    now, out = state.track[slot], state.row[slot]
    if now.mid2 == 0 or not now.average_lots > 0.0:
        _forget_walls(out)
        return
    _no_walls(out)
    if now.walls[BIDS] > 0:
        out.wall_support, k = _side_strength(state, slot, BIDS, ts_ns, par)
        if k >= 0:
            out.wall_bid_bps, out.wall_bid_x, out.wall_bid_age_s = _wall_of(state, slot, BIDS, k, ts_ns)
    if now.walls[ASKS] > 0:
        out.wall_resistance, k = _side_strength(state, slot, ASKS, ts_ns, par)
        if k >= 0:
            out.wall_ask_bps, out.wall_ask_x, out.wall_ask_age_s = _wall_of(state, slot, ASKS, k, ts_ns)
    spoof = now.spoof[0] + now.spoof[1]
    out.spoof = _score(spoof)
    out.spoof_lean = (now.spoof[0] - now.spoof[1]) / spoof if spoof >= FAINT_EVIDENCE else 0.0
    out.absorb_bid = _score(now.absorb[0])
    out.absorb_ask = _score(now.absorb[1])
    out.iceberg_bid = _score(now.iceberg[0])
    out.iceberg_ask = _score(now.iceberg[1])
    out.layering = _score(now.layer[0] + now.layer[1])


@kernel
def _faded(evidence):  # type: ignore[no-untyped-def]
    return evidence if evidence > NO_EVIDENCE else 0.0


@kernel
def _is_at_rest(now):  # type: ignore[no-untyped-def]
    """No wall and no evidence: time alone changes nothing."""
    total = 0.0
    for side in range(2):
        total += now.walls[side] + now.spoof[side] + now.absorb[side] + now.iceberg[side] + now.layer[side]
    return total == 0.0


@kernel
def _decay(now, ts_ns, par):  # type: ignore[no-untyped-def]
    """Let the evidence fade up to `ts_ns`, in whole steps of 100 ms. Returns False when time alone changes nothing."""
    rests = _is_at_rest(now)
    if now.decayed_ns == 0:
        now.decayed_ns = ts_ns
    steps = min((ts_ns - now.decayed_ns) // DECAY_NS, np.int64(MAX_DECAY_STEPS))
    if steps <= 0:
        return not rests
    now.decayed_ns += ((ts_ns - now.decayed_ns) // DECAY_NS) * DECAY_NS
    if rests:
        return False
    keep = 1.0
    for _ in range(steps):
        keep *= par.spoof_keep
    for side in range(2):
        now.spoof[side] = _faded(now.spoof[side] * keep)
        now.absorb[side] = _faded(now.absorb[side] * keep)
        now.iceberg[side] = _faded(now.iceberg[side] * keep)
        now.layer[side] = _faded(now.layer[side] * keep)
    return True


# --- events -----------------------------------------------------------------------------------------------------------
@kernel
def _forget_watched(state, slot):  # type: ignore[no-untyped-def]
    now = state.track[slot]
    for side in range(2):
        for k in range(WATCHED):
            state.price[slot, side, k] = 0
            state.watch[slot, side, k].wall = 0
        now.watched[side] = 0
        now.walls[side] = 0


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
    _forget_walls(state.row[slot])


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
        _look_over(state, book, slot, ts_ns, par)
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
                k = _find(prices, price)
                if k >= 0 or after >= needed:
                    beyond = after == 0 and sign * price > worst
                    _touch(state, slot, np.int64(side), k, price, after, beyond, ts_ns, par)
            at += n
            move_edges(state.zone, book, slot, np.int64(side), params)
    if now.walls[0] + now.walls[1] > 0:
        _judge(state, slot, ts_ns, par)
    _refresh(state, slot, ts_ns, par)


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
        k = _find(state.price[slot, side], price)
        if k >= 0 and state.watch[slot, side, k].wall == 0 and ts_ns - state.watch[slot, side, k].seen_ns > IDLE_NS:
            start_watch(state.watch[slot, side, k], state.watch[slot, side, k].lots, ts_ns)
        if k < 0:
            shown = qty_at(book, slot, side, price)
            k = _claim(state, slot, side, price, shown, _LEVEL, ts_ns)
            if k < 0:
                continue
        refills = state.watch[slot, side, k].refills
        eaten = take_trade(state.watch[slot, side, k], lots, ts_ns, par.wall_match_ns)
        _after_eaten(state, slot, side, np.int64(k), eaten, refills, ts_ns, par)


@kernel
def walls_timer(state, book, slot, ts_ns, params):  # type: ignore[no-untyped-def]
    """Time has come to `ts_ns`: verdicts that are due, scores decay, and once a second the book is sampled."""
    state.said_n[0] = 0
    now, par = state.track[slot], params[0]
    if par.wall_match_ns <= 0:
        return
    changes = _decay(now, ts_ns, par)
    second = ts_ns // SECOND_NS
    if second > now.second:
        changes = True
        lots, levels, value = np.int64(0), np.int64(0), np.int64(0)
        if now.mid2 > 0:
            for side in range(2):
                lots += state.zone[slot, side].lots
                levels += book.count[slot, side]
                value += state.zone[slot, side].bps_value
                for k in range(WATCHED if now.walls[side] > 0 else 0):
                    w = state.watch[slot, side, k]
                    if w.wall != 0 and w.ended_ns == 0:
                        lots -= w.lots
                        levels -= 1
        take_sample(
            state.track, state.ring, slot, state.average_s[0], second, np.int64(now.mid2 > 0), lots, levels, value
        )
        if now.believed != 0:
            _look_over(state, book, slot, ts_ns, par)
    if changes and now.believed != 0:
        _judge(state, slot, ts_ns, par)
        _refresh(state, slot, ts_ns, par)
