"""DECISION: everything behind one evaluation of a symbol, so that it can be explained later. Filled by
`core/engine/decision.py`, put into words by `core/explain.py`."""

from __future__ import annotations

from core.engine.gate_list import N_GATES
from core.enums import Gate
from core.features.registry import N_ALL_FEATURES
from core.records import CELL_BYTES, _record
from core.score.terms import N_PENALTIES, N_SIGNALS, N_TERMS

ACCEPTED, REJECTED = 1, 0

_DECISION_BYTES = 8 * (33 + 2 * N_TERMS + N_SIGNALS + N_PENALTIES + 2 * N_GATES + N_ALL_FEATURES)
_PAD_WORDS = -_DECISION_BYTES % CELL_BYTES // 8
DECISION = _record(
    "DECISION", _DECISION_BYTES + 8 * _PAD_WORDS, "one evaluation of a symbol, accepted or rejected, with its reasons",
    ("seq", "i8", "1", "event that was evaluated; with the symbol's name it is the id"),
    ("ts_ns", "i8", "ns", "event time"),
    ("symbol", "i8", "id", "symbol"),
    ("config_version", "i8", "1", "settings in force"),
    ("profile_version", "i8", "1", "symbol profile in force, 0 = none"),
    ("side", "i8", "sign", "side looked at"),
    ("verdict", "i8", "0/1", "1 = an entry was sent"),
    ("gate", "i8", "Gate", "first gate that was shut, 0 = none"),
    ("state_from", "i8", "State", "state in the record before"),
    ("state_to", "i8", "State", "state after the evaluation"),
    ("cause", "i8", "Cause", "why that state was entered"),
    ("regime", "i8", "Regime", "symbol regime"),
    ("pump", "i8", "Pump", "pump state"),
    ("global_regime", "i8", "GlobalRegime", "global regime"),
    ("category", "i8", "Category", "row of the thresholds"),
    ("attempts", "i8", "1", "orders sent for the signal"),
    ("nudges", "i8", "1", "times the zone followed the price"),
    ("signal_ns", "i8", "ns", "first detection of the signal, 0 = none"),
    ("price_ticks", "i8", "ticks", "plan: entry, 0 = no plan"),
    ("stop_ticks", "i8", "ticks", "plan: stop"),
    ("target_ticks", "i8", "ticks", "plan: first target"),
    ("target2_ticks", "i8", "ticks", "plan: second target"),
    ("target3_ticks", "i8", "ticks", "plan: third target"),
    ("zone_min_ticks", "i8", "ticks", "entry zone, 0 = none yet"),
    ("zone_ideal_ticks", "i8", "ticks", "entry zone"),
    ("zone_max_ticks", "i8", "ticks", "entry zone"),
    ("gates_open", "i8", "bits", "bit k: gate k of the list was open"),
    ("score_long", "f8", "score", "FinalScalpScoreLong"),
    ("score_short", "f8", "score", "FinalScalpScoreShort"),
    ("watch", "f8", "score", "threshold in force"),
    ("arm", "f8", "score", "threshold in force"),
    ("profile_raise", "f8", "score", "of both thresholds, by the symbol profile"),
    ("profile_size", "f8", "0..1", "share of the normal size"),
    ("terms_long", f"({N_TERMS},)f8", "score", "contribution of every term; nan = not known"),
    ("terms_short", f"({N_TERMS},)f8", "score", "contribution of every term; nan = not known"),
    ("weights", f"({N_SIGNALS + N_PENALTIES},)f8", "score", "weight of every term, penalties negative"),
    ("gate_value", f"({N_GATES},)f8", "by gate", "what every gate looked at"),
    ("gate_limit", f"({N_GATES},)f8", "by gate", "and compared it with"),
    ("features", f"({N_ALL_FEATURES},)f8", "by name", "see core/features/registry.py; nan = not known"),
    *((("reserved", f"({_PAD_WORDS},)i8", "", "zero"),) if _PAD_WORDS else ()),
)
DECISION_CELLS = DECISION.size // CELL_BYTES

N_FUNNEL = 54  # whole cache lines
FUNNEL_ACCEPTED = N_FUNNEL - 1
FUNNEL = _record(
    "FUNNEL", 16 + 8 * N_FUNNEL, "why a symbol did not trade, counted since the start; seqlock board written by its shard",
    ("symbol", "i8", "id", "symbol"),
    ("ts_ns", "i8", "ns", "event time of the last count"),
    ("looks", f"({N_FUNNEL},)i8", "1", "looks (every TIMER) that ended at each Gate, 0 = none; refusals; last: accepted"),
)
assert max(Gate) < FUNNEL_ACCEPTED
