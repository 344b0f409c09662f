"""The gates of a symbol in order; pure, because records and pages need it too.

This is the part of the risk check that is local to the symbol; the portfolio's part is execution's (core/risk/gate.py).
The order has two halves: a gate before `FIRST_SIGNAL_GATE` keeps a signal from starting at all; one after it lets the
symbol be watched and only keeps the order back. A value that is not known shuts the gates on data, spread and costs, and
passes those on optional measures (walls, news, liquidation, explosion): they forbid, they do not permit.
"""

from __future__ import annotations

from core.enums import Gate

GATES: tuple[Gate, ...] = (
    Gate.DATA, Gate.WARMUP, Gate.FEED, Gate.DEGRADED, Gate.PAUSED, Gate.KILLED, Gate.GLOBAL_REGIME, Gate.REGIME,
    Gate.SPREAD,
    Gate.IN_POSITION, Gate.DUPLICATE, Gate.COOLDOWN, Gate.SCORE_WATCH, Gate.SCORE_ARM, Gate.NEWS, Gate.EXPLOSION,
    Gate.LIQ_SAFETY, Gate.WALLS, Gate.FLOW, Gate.ATTEMPTS, Gate.BLACKLIST, Gate.MIN_MOVE, Gate.ZONE, Gate.SKIP_DAY,
    Gate.SKIP_HOURS, Gate.SKIP_VOLATILITY,
)  # fmt: skip
N_GATES = len(GATES)
FIRST_SIGNAL_GATE = GATES.index(Gate.IN_POSITION)
GATE_CODES: tuple[int, ...] = tuple(int(gate) for gate in GATES)
