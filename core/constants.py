"""Limits and conversions, with the relations between them asserted at import. Tunables are not here: see `params.py`."""

from __future__ import annotations

NS_PER_US = 1_000
NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
HOUR_NS = 3600 * NS_PER_S
DAY_NS = 24 * HOUR_NS
EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday, Monday = 0
E8 = 100_000_000
E8_PER_BPS = 10_000  # one basis point as a 1e-8 fraction
E8_PER_PCT = 1_000_000
BPS_PER_PCT = 100.0

TIMER_NS = 100 * NS_PER_MS  # step of TIMER events
MARK_NS = NS_PER_S  # MARK messages of a symbol with a position
MAX_IDS = 4096  # symbol ids an engine can name
MAX_BATCH_ROWS = 64  # rows of `out` and `logs` that must be free before one event or one slot of a sweep is handled
SIZE_FULL = 10_000  # the normal size of an entry, in the unit of MESSAGE.qty_lots of ENTER
MAX_APPLIED = 1024  # reports one call of run_batch can take
MAX_OUTSTANDING = 1024  # unanswered messages of one shard (paced)

assert MAX_OUTSTANDING > MAX_BATCH_ROWS
assert TIMER_NS <= MARK_NS
