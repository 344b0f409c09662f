"""Pump engine: six states, one table. What may be seen is `Seen`; what follows from it is `TABLE`; numbers are settings.

A change counts against the threshold of its own window (5 s, 15 s, 1 min, 5 min); the strongest one decides, but only
while the price still moves over the second window (`fresh_pct`): a move long past stands in the long windows for minutes
and must not be told twice. Witnesses (volume, trades, thinned book) must agree; an unknown one does not vote.
"""

from __future__ import annotations

import math
from enum import IntEnum

from core.enums import Pump
from core.jit import kernel


class Seen(IntEnum):
    """What can be true of a symbol at an event; bit numbers of the conditions."""

    FALLEN = 0  # the mid is dump_pct under the top of the pump
    FALLING = 1  # a fall past a threshold with witnesses, or an explosion downwards
    RISING = 2  # a rise past a threshold with witnesses, or an explosion
    RENEWED = 3  # RISING over the top of the last pump
    LIFTING = 4  # prepump_share of a threshold, one witness
    FADED = 5  # not even leave_share of LIFTING
    CLIMAX = 6  # blowoff_x thresholds, and near the top
    CALM = 7  # neither short window over leave_share of its threshold, no explosion
    OVER = 8  # CALM, and no new top for stall_s
    RESTED = 9  # cooldown_s in COOLDOWN


# (state, what is seen, next state, must the shortest stay have passed?); of a state's rows the first that fits fires
TABLE: tuple[tuple[Pump, Seen, Pump, bool], ...] = (
    (Pump.NONE, Seen.FALLING, Pump.DUMP, False),
    (Pump.NONE, Seen.RISING, Pump.PUMPING, False),
    (Pump.NONE, Seen.LIFTING, Pump.PREPUMP, False),
    (Pump.PREPUMP, Seen.FALLING, Pump.DUMP, False),
    (Pump.PREPUMP, Seen.RISING, Pump.PUMPING, False),
    (Pump.PREPUMP, Seen.FADED, Pump.NONE, True),
    (Pump.PUMPING, Seen.FALLEN, Pump.DUMP, False),
    (Pump.PUMPING, Seen.CLIMAX, Pump.BLOWOFF, False),
    (Pump.PUMPING, Seen.OVER, Pump.COOLDOWN, True),
    (Pump.BLOWOFF, Seen.FALLEN, Pump.DUMP, False),
    (Pump.BLOWOFF, Seen.OVER, Pump.COOLDOWN, True),
    (Pump.DUMP, Seen.CALM, Pump.COOLDOWN, True),
    (Pump.COOLDOWN, Seen.FALLING, Pump.DUMP, True),
    (Pump.COOLDOWN, Seen.RENEWED, Pump.PUMPING, True),
    (Pump.COOLDOWN, Seen.RESTED, Pump.NONE, False),
)
_STATE = tuple(int(row[0]) for row in TABLE)
_BIT = tuple(1 << row[1] for row in TABLE)
_TO = tuple(int(row[2]) for row in TABLE)
_STAYS = tuple(int(row[3]) for row in TABLE)
_ROWS = len(TABLE)

_NONE, _PREPUMP, _COOLDOWN = int(Pump.NONE), int(Pump.PREPUMP), int(Pump.COOLDOWN)
_PUMPING, _BLOWOFF = int(Pump.PUMPING), int(Pump.BLOWOFF)
B_FALLEN, B_FALLING, B_RISING = 1 << Seen.FALLEN, 1 << Seen.FALLING, 1 << Seen.RISING
B_RENEWED, B_LIFTING, B_FADED = 1 << Seen.RENEWED, 1 << Seen.LIFTING, 1 << Seen.FADED
B_CLIMAX, B_CALM, B_OVER, B_RESTED = 1 << Seen.CLIMAX, 1 << Seen.CALM, 1 << Seen.OVER, 1 << Seen.RESTED


@kernel
def strongest(near, middle, minute, far, sign, params):  # type: ignore[no-untyped-def]
    """The largest of the four changes in multiples of its threshold, in direction `sign`; 0 = none is known to go there."""
    needed = params[0].pump_change_pct
    most = 0.0
    if sign * near > most * needed[0]:
        most = sign * near / needed[0]
    if sign * middle > most * needed[1]:
        most = sign * middle / needed[1]
    if sign * minute > most * needed[2]:
        most = sign * minute / needed[2]
    if sign * far > most * needed[3]:
        most = sign * far / needed[3]
    return most


@kernel
def witnesses(volume_surge, trades_surge, thinning, params):  # type: ignore[no-untyped-def]
    """(how many witnesses agree, how many are known)."""
    par = params[0]
    agree, known = 0, 0
    if not math.isnan(volume_surge):
        known += 1
        agree += 1 if volume_surge >= par.pump_surge else 0
    if not math.isnan(trades_surge):
        known += 1
        agree += 1 if trades_surge >= par.pump_trades_surge else 0
    if not math.isnan(thinning):
        known += 1
        agree += 1 if thinning <= par.pump_thinning else 0
    return agree, known


@kernel
def see(near, middle, minute, far, explosion, volume_surge, trades_surge, thinning, fall_pct, above_top, stalled,
        rested, params):  # type: ignore[no-untyped-def]  # fmt: skip
    """Bits (`Seen`) of what is true now. Changes in % over the four windows, explosion 0/1, surges in times the usual,
    thinning as a share of it: each may be nan. fall_pct: fall from the top (>= 0); above_top, stalled, rested: bool."""
    par = params[0]
    needed = par.pump_change_pct
    up = strongest(near, middle, minute, far, 1.0, params)
    down = strongest(near, middle, minute, far, -1.0, params)
    agree, known = witnesses(volume_surge, trades_surge, thinning, params)
    enough = par.pump_witnesses == 0 or known > 0 and agree >= min(par.pump_witnesses, known)
    rises, falls = middle >= par.pump_fresh_pct, middle <= -par.pump_fresh_pct
    exploding = explosion == 1.0
    found = 0
    if fall_pct >= par.pump_dump_pct:
        found |= B_FALLEN
    if falls and (exploding or down >= 1.0 and enough):
        found |= B_FALLING
    elif exploding or rises and up >= 1.0 and enough:
        found |= B_RISING
        if exploding or above_top:
            found |= B_RENEWED
    if rises and up >= par.prepump_share and (agree > 0 or par.pump_witnesses == 0):
        found |= B_LIFTING
    if not (up >= par.prepump_share * par.pump_leave_share):
        found |= B_FADED
    if up >= par.pump_blowoff_x and fall_pct < par.pump_dump_pct:
        found |= B_CLIMAX
    share = par.pump_leave_share
    if not exploding and not (abs(near) >= share * needed[0]) and not (abs(middle) >= share * needed[1]):
        found |= B_CALM
        if stalled:
            found |= B_OVER
    if rested:
        found |= B_RESTED
    return found


@kernel
def next_pump(pump, stayed, found):  # type: ignore[no-untyped-def]
    """Index of the row of `TABLE` that fires in state `pump` on the bits `found`, -1 = none. stayed: the shortest stay has
    passed."""
    for at in range(_ROWS):
        if _STATE[at] == pump and found & _BIT[at] and (stayed or _STAYS[at] == 0):
            return at
    return -1


@kernel
def update_pump(row, mid, minute, volume_surge, move, thinning, now_ns, params):  # type: ignore[no-untyped-def]
    """Move the pump state of a TRADE_STATE row; returns the number of the table row that fired, -1 = none.

    mid in ticks (nan: the top is left alone); minute: change over the third window; move: the MOVES row.
    """
    par = params[0]
    fall_pct = 0.0
    above_top = True
    if mid > 0.0:
        above_top = mid > row.pump_top
        if (row.pump == _PUMPING or row.pump == _BLOWOFF) and above_top:
            row.pump_top = mid
            row.pump_top_ns = now_ns
        if row.pump_top > 0.0:
            fall_pct = max((row.pump_top - mid) / row.pump_top * 100.0, 0.0)
    age_ns = now_ns - row.pump_ns
    found = see(
        move.change_5s_pct, move.change_15s_pct, minute, move.change_5m_pct, move.explosion, volume_surge,
        move.trades_surge, thinning, fall_pct, above_top, now_ns - row.pump_top_ns >= par.pump_stall_ns,
        age_ns >= par.pump_cooldown_ns, params,
    )
    at = next_pump(row.pump, age_ns >= par.pump_dwell_ns, found)
    if at < 0:
        return at
    to = _TO[at]
    if to == _NONE:
        row.pump_top = 0.0
    elif to == _PUMPING:
        row.pump_top = mid if mid > 0.0 else 0.0
        row.pump_top_ns = now_ns
    row.pump = to
    row.pump_ns = now_ns
    return at
