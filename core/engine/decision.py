"""DECISION records: when one is due, and what goes into it. Nothing here decides anything.

Records wait in `state.decisions`; whoever drives the engine takes them after each `run_batch` (`take_decisions`). When
nobody does, further ones are counted and dropped: recording never holds the engine up.
"""

from __future__ import annotations

import numpy as np

from core.engine.board import fill_features
from core.engine.gate_list import GATE_CODES, N_GATES
from core.engine.gates import check_gate
from core.engine.state import C_DECISIONS, C_DECISIONS_LOST, C_GLOBAL, EngineState
from core.enums import Gate, State
from core.jit import kernel
from core.score.terms import N_PENALTIES, N_SIGNALS, N_TERMS

_NONE = int(Gate.NONE)
_MIN_MOVE = int(Gate.MIN_MOVE)
_WATCHING, _ORDER_PLACED = int(State.WATCHING_LONG), int(State.ORDER_PLACED)


@kernel
def decision_due(state, slot, gate, moved, now_ns):  # type: ignore[no-untyped-def]
    """True when the evaluation of now has to be written down: a score over watch or a signal alive, and something new,
    or `record_every_ns` since the last. What flickers is written at most every `record_gap_ns`."""
    row = state.trade[slot]
    if moved:
        return True
    alive = _WATCHING <= row.state <= _ORDER_PLACED
    if not alive and row.score_long < row.watch and row.score_short < row.watch:
        return False
    age = now_ns - row.decided_ns
    if age >= state.params[0].record_every_ns:
        return True
    if age < state.params[0].record_gap_ns:
        return False
    return decision_key(state, slot, gate) != row.decided_key


@kernel
def decision_key(state, slot, gate):  # type: ignore[no-untyped-def]
    """What makes two evaluations different: gate, state, side, regime, settings, profile."""
    row = state.trade[slot]
    key = gate * 16 + row.state
    key = key * 4 + row.side + 1
    key = key * 8 + row.regime
    return (key * 65536 + (state.params[0].config_version & 65535)) * 65536 + (row.profile_version & 65535)


@kernel
def record_decision(state, slot, gate, entered, side, now_ns, seq):  # type: ignore[no-untyped-def]
    """Write the evaluation of now. gate: the first that is shut; entered: an ENTER went out; side: the one looked at."""
    row = state.trade[slot]
    control = state.control
    if control[C_DECISIONS] >= state.decisions.shape[0]:
        control[C_DECISIONS_LOST] += 1
        return
    record = state.decisions[control[C_DECISIONS]]
    control[C_DECISIONS] += 1
    par = state.params[0]
    record.seq = seq
    record.ts_ns = now_ns
    record.symbol = state.symbols[slot].id
    record.config_version = par.config_version
    record.profile_version = row.profile_version
    record.side = side
    record.verdict = 1 if entered else 0
    record.gate = gate
    record.state_from = row.decided_state
    record.state_to = row.state
    record.cause = row.cause
    record.regime = row.regime
    record.pump = row.pump
    record.global_regime = control[C_GLOBAL]
    record.category = row.category
    record.attempts = row.attempts
    record.nudges = row.nudges
    record.signal_ns = row.signal_ns
    planned = state.plan[0] > 0
    record.price_ticks = state.plan[0] if planned else 0
    record.stop_ticks = state.plan[1] if planned else 0
    record.target_ticks = state.plan[2] if planned else 0
    record.target2_ticks = state.plan[3] if planned else 0
    record.target3_ticks = state.plan[4] if planned else 0
    record.zone_min_ticks = row.zone_min_ticks
    record.zone_ideal_ticks = row.zone_ideal_ticks
    record.zone_max_ticks = row.zone_max_ticks
    record.score_long = row.score_long
    record.score_short = row.score_short
    record.watch = row.watch
    record.arm = row.arm
    record.profile_raise = row.profile_raise
    record.profile_size = row.profile_size
    for k in range(N_TERMS):
        record.terms_long[k] = state.terms[slot, 0, k]
        record.terms_short[k] = state.terms[slot, 1, k]
    for k in range(N_SIGNALS):
        record.weights[k] = par.weights[k]
    for k in range(N_PENALTIES):
        record.weights[N_SIGNALS + k] = -par.penalties[k]
    gates_open = np.int64(0)
    for k in range(N_GATES):
        is_open, value, limit = check_gate(state, slot, k, now_ns)
        if is_open and not (GATE_CODES[k] == _MIN_MOVE and gate == _MIN_MOVE):
            gates_open |= np.int64(1) << k
        record.gate_value[k] = value
        record.gate_limit[k] = limit
    record.gates_open = gates_open
    fill_features(state, slot, record.features)
    row.decided_ns = now_ns
    row.decided_key = decision_key(state, slot, gate)
    row.decided_state = row.state


def take_decisions(state: EngineState) -> tuple[np.ndarray, int]:
    """(the DECISION records since the last call, how many were dropped in between); valid until the next `run_batch`."""
    n, lost = int(state.control[C_DECISIONS]), int(state.control[C_DECISIONS_LOST])
    state.control[C_DECISIONS] = state.control[C_DECISIONS_LOST] = 0
    return state.decisions[:n], lost
