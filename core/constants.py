"""Limits and conversions, with the relations between them asserted at import. Tunables are not here: see `params.py`."""

from __future__ import annotations

NS_PER_US = 1_000
NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
E8 = 100_000_000
E8_PER_BPS = 10_000  # one basis point as a 1e-8 fraction
E8_PER_PCT = 1_000_000

TIMER_NS = 100 * NS_PER_MS  # step of TIMER events
MARK_NS = NS_PER_S  # MARK messages of a symbol with a position
MAX_IDS = 4096  # symbol ids an engine can name
MAX_BATCH_ROWS = 64  # rows of `out` and `logs` that must be free before one event or one slot of a sweep is handled
MAX_OUTSTANDING = 1024  # unanswered messages of one shard (paced)
MAX_ATTEMPTS = 3  # entries tried per signal (requirement C2)
ZONE_WIDTH_BPS = 4.0  # entry zone of 0.04 % (requirement C1)

assert MAX_OUTSTANDING > MAX_BATCH_ROWS
assert TIMER_NS <= MARK_NS
