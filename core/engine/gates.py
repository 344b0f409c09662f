"""The gates of a symbol: everything that may keep it from an entry, in order. The first that is shut is the reason.

What the list means: `gate_list.py`.
"""

from __future__ import annotations

from core.constants import DAY_NS, EPOCH_WEEKDAY, HOUR_NS
from core.engine.gate_list import GATES, N_GATES
from core.engine.state import C_BITS, C_FEED, C_GLOBAL
from core.enums import ControlBits, DataState, FeedState, Gate, GlobalRegime, Regime, State
from core.jit import kernel
from core.score.kernels import SIGNAL_WALLS

_AT = {gate: k for k, gate in enumerate(GATES)}
_DATA, _WARMUP, _FEED, _DEGRADED = _AT[Gate.DATA], _AT[Gate.WARMUP], _AT[Gate.FEED], _AT[Gate.DEGRADED]
_PAUSED, _KILLED, _GLOBAL, _REGIME = _AT[Gate.PAUSED], _AT[Gate.KILLED], _AT[Gate.GLOBAL_REGIME], _AT[Gate.REGIME]
_SPREAD, _IN_POSITION, _DUPLICATE = _AT[Gate.SPREAD], _AT[Gate.IN_POSITION], _AT[Gate.DUPLICATE]
_COOLDOWN, _SCORE_WATCH, _SCORE_ARM = _AT[Gate.COOLDOWN], _AT[Gate.SCORE_WATCH], _AT[Gate.SCORE_ARM]
_NEWS, _EXPLOSION, _LIQ_SAFETY, _WALLS = _AT[Gate.NEWS], _AT[Gate.EXPLOSION], _AT[Gate.LIQ_SAFETY], _AT[Gate.WALLS]
_FLOW, _ATTEMPTS, _BLACKLIST, _MIN_MOVE = _AT[Gate.FLOW], _AT[Gate.ATTEMPTS], _AT[Gate.BLACKLIST], _AT[Gate.MIN_MOVE]
_ZONE, _SKIP_DAY, _SKIP_HOURS = _AT[Gate.ZONE], _AT[Gate.SKIP_DAY], _AT[Gate.SKIP_HOURS]
_SKIP_VOLATILITY = _AT[Gate.SKIP_VOLATILITY]

_OK, _CONNECTED = int(DataState.OK), int(FeedState.CONNECTED)
_PAUSE_BIT, _KILL_BIT, _DEGRADED_BIT = int(ControlBits.PAUSE), int(ControlBits.KILL), int(ControlBits.DEGRADED)
_GLOBAL_NORMAL = int(GlobalRegime.GLOBAL_NORMAL)
_NORMAL, _COOLDOWN_DONE = int(Regime.NORMAL), int(Regime.COOLDOWN_DONE)
_S_COOLDOWN, _S_WATCHING = int(State.COOLDOWN), int(State.WATCHING_LONG)
_S_ARMED, _S_ORDER_PLACED = int(State.ARMED_LONG), int(State.ORDER_PLACED)
_BLACKLISTED = 2  # SYMBOL.flags


@kernel
def check_gate(state, slot, k, now_ns):  # type: ignore[no-untyped-def]
    """Gate `k` of GATES for the slot now: (open, value, limit), all that is compared as floats. Reads `state.inputs`."""
    row = state.trade[slot]
    par = state.params[0]
    x = state.inputs[0]
    side = row.side
    bits = state.control[C_BITS]
    if k == _DATA:
        return row.data_state == _OK and row.leaving == 0, float(row.data_state), float(_OK)
    if k == _WARMUP:
        return row.warm != 0, float(row.warm), 1.0
    if k == _FEED:
        return state.control[C_FEED] == _CONNECTED, float(state.control[C_FEED]), float(_CONNECTED)
    if k == _DEGRADED:
        return bits & _DEGRADED_BIT == 0, 1.0 if bits & _DEGRADED_BIT != 0 else 0.0, 0.0
    if k == _PAUSED:
        return bits & _PAUSE_BIT == 0, 1.0 if bits & _PAUSE_BIT != 0 else 0.0, 0.0
    if k == _KILLED:
        return bits & _KILL_BIT == 0, 1.0 if bits & _KILL_BIT != 0 else 0.0, 0.0
    if k == _GLOBAL:
        return state.control[C_GLOBAL] == _GLOBAL_NORMAL, float(state.control[C_GLOBAL]), float(_GLOBAL_NORMAL)
    if k == _REGIME:
        return row.regime == _NORMAL or row.regime == _COOLDOWN_DONE, float(row.regime), float(_NORMAL)
    if k == _SPREAD:  # a crossed book has a spread below 0
        widest = par.max_spread_bps[row.category]
        return 0.0 < x.spread_bps <= widest, x.spread_bps, widest
    if k == _IN_POSITION:
        return row.position_lots == 0, float(row.position_lots), 0.0
    if k == _DUPLICATE:
        return row.working == 0 and row.pending == 0, float(row.working + row.pending), 0.0
    if k == _COOLDOWN:
        left_s = max(row.cooldown_until_ns - now_ns, 0) * 1e-9
        return row.state != _S_COOLDOWN, left_s if row.state == _S_COOLDOWN else 0.0, 0.0
    if k == _SCORE_WATCH or k == _SCORE_ARM:
        score = max(row.score_long, row.score_short)
        if side > 0:
            score = row.score_long
        elif side < 0:
            score = row.score_short
        limit = row.watch if k == _SCORE_WATCH else row.arm
        held = row.state >= (_S_WATCHING if k == _SCORE_WATCH else _S_ARMED) and row.state <= _S_ORDER_PLACED
        if held:  # a threshold once passed is left only this far below it
            limit -= par.hysteresis
        return score >= limit, score, limit
    if k == _NEWS:
        return not x.news >= par.news_veto, x.news, par.news_veto
    if k == _EXPLOSION:
        return not x.explosion > 0.0, x.explosion, 0.0
    if k == _LIQ_SAFETY:
        return not x.liq_safety < par.liq_safety_min, x.liq_safety, par.liq_safety_min
    if k == _WALLS:
        against = -100.0 * side * state.signals[slot, SIGNAL_WALLS]
        return not against > par.walls_against, against, par.walls_against
    if k == _FLOW:
        return row.flow * side > 0.0, row.flow * side, 0.0
    if k == _ATTEMPTS:
        return row.attempts < par.max_attempts, float(row.attempts), float(par.max_attempts)
    if k == _BLACKLIST:
        listed = state.symbols[slot].flags & _BLACKLISTED != 0 or row.profile_blacklisted != 0
        return not listed, 1.0 if listed else 0.0, 0.0
    if k == _MIN_MOVE:
        reach = par.tp_r[2] * par.stop_max_bps  # of the farthest target
        return x.min_move_bps <= reach, x.min_move_bps, reach
    if k == _ZONE:
        return row.zone_out_ns == 0, row.zone_distance_bps, 0.0
    if k == _SKIP_DAY:
        weekday = (now_ns // DAY_NS + EPOCH_WEEKDAY) % 7
        return par.skip_enabled == 0 or (par.skip_days >> weekday) & 1 != 0, float(weekday), float(par.skip_days)
    if k == _SKIP_HOURS:
        hour = now_ns % DAY_NS // HOUR_NS
        inside = par.skip_from_hour <= hour < par.skip_to_hour
        return par.skip_enabled == 0 or inside, float(hour), float(par.skip_to_hour)
    over = par.skip_volatility > par.skip_volatility_max
    return par.skip_enabled == 0 or not over, par.skip_volatility, par.skip_volatility_max


@kernel
def first_shut(state, slot, now_ns):  # type: ignore[no-untyped-def]
    """Index in GATES of the first gate that is shut, N_GATES = all are open."""
    for k in range(N_GATES):
        is_open, _, _ = check_gate(state, slot, k, now_ns)
        if not is_open:
            return k
    return N_GATES


@kernel
def side_agrees(state, slot, now_ns):  # type: ignore[no-untyped-def]
    """What arming asks besides the score (requirement A12): no fresh bad news, walls and flow on our side."""
    for k in (_NEWS, _WALLS, _FLOW):
        is_open, _, _ = check_gate(state, slot, k, now_ns)
        if not is_open:
            return False
    return True
