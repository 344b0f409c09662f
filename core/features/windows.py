"""The state behind the features: rings of closed pieces of time, and sums over windows of them.

Everything in a ring is an integer, so a rolling sum never drifts: `sum_windows` adds the rings up afresh and gives the
very same numbers.
  bucket   100 ms: aggressor values, trades, order-flow imbalance, liquidations (fast and slow window)
  second   mid at the close, traded value, squared return (change, realised volatility, volume baseline)
A window of N buckets is the open bucket and the N - 1 before it.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from core.features.records import FEATURE_CONFIG, FEATURES, FLOW, SECOND, TRACK
from core.jit import kernel
from core.records import TICKER

N_BUCKETS = 256
BUCKET_NS = 100_000_000
N_SECONDS = 512
SECOND_NS = 1_000_000_000
RETURN_LIMIT_E9 = 100_000_000  # returns over one second count as at most 10 %: keeps sums of squares in 63 bits

TICKER_WORDS = TICKER.size // 8

DEFAULT_CONFIG: dict[str, int] = {
    "fast_buckets": 10, "slow_buckets": 100, "slow_s": 10, "change_s": 60, "volatility_s": 60, "volatility_minimum": 5,
    "baseline_s": 300, "baseline_minimum_s": 20, "atr_candles": 14, "atr_minimum": 3,
    "provisional_minimum": 8, "levels": 10, "warmup_ns": 5_000_000_000,
}


class FeatureState(NamedTuple):
    """Features of all slots and what they are made from; 33 KiB a slot, most of it touched lazily.

    row: FEATURES[cap]; track: TRACK[cap]; fast, slow: FLOW[cap] (sums of the windows); bucket: FLOW[cap, N_BUCKETS];
    second: SECOND[cap, N_SECONDS]; ticker: int64[cap, 16], the merged TICKER record, its first word telling which
    fields are known; config: FEATURE_CONFIG[1].
    """

    row: Any
    track: Any
    fast: Any
    slow: Any
    bucket: Any
    second: Any
    ticker: Any
    config: Any


def new_features(cap: int) -> FeatureState:
    """Feature state of `cap` unlisted slots with the default windows."""
    row = np.zeros(cap, FEATURES.dtype)
    row.view(np.float64)[:] = np.nan
    config = np.zeros(1, FEATURE_CONFIG.dtype)
    for name, value in DEFAULT_CONFIG.items():
        config[name] = value
    return FeatureState(
        row,
        np.zeros(cap, TRACK.dtype),
        np.zeros(cap, FLOW.dtype),
        np.zeros(cap, FLOW.dtype),
        np.zeros((cap, N_BUCKETS), FLOW.dtype),
        np.zeros((cap, N_SECONDS), SECOND.dtype),
        np.zeros((cap, TICKER_WORDS), np.int64),
        config,
    )


@kernel
def length(span_ns, unit_ns, longest):  # type: ignore[no-untyped-def]
    """A span in whole units, at least one and at most `longest`."""
    return max(min((span_ns + unit_ns // 2) // unit_ns, longest), 1)


@kernel
def clear_flow(flow):  # type: ignore[no-untyped-def]
    flow.buy_value = 0
    flow.sell_value = 0
    flow.trades = 0
    flow.ofi_lots = 0
    flow.long_value = 0
    flow.short_value = 0
    flow.range2 = 0
    flow.ranges = 0


@kernel
def add_flow(total, flow, sign):  # type: ignore[no-untyped-def]
    """total += sign x flow."""
    total.buy_value += sign * flow.buy_value
    total.sell_value += sign * flow.sell_value
    total.trades += sign * flow.trades
    total.ofi_lots += sign * flow.ofi_lots
    total.long_value += sign * flow.long_value
    total.short_value += sign * flow.short_value
    total.range2 += sign * flow.range2
    total.ranges += sign * flow.ranges


@kernel
def open_bucket(track, fast, slow, bucket, config, slot, newest):  # type: ignore[no-untyped-def]
    """Open bucket `newest`: what falls out of the windows is taken off their sums."""
    now = track[slot]
    cfg = config[0]
    known = 1 if now.mid2 > 0 else 0
    if newest - now.bucket >= N_BUCKETS:
        for b in range(N_BUCKETS):
            clear_flow(bucket[slot, b])
            bucket[slot, b].ranges = known
        bucket[slot, newest & (N_BUCKETS - 1)].ranges = 0
        clear_flow(fast[slot])
        clear_flow(slow[slot])
        fast[slot].ranges = known * (cfg.fast_buckets - 1)
        slow[slot].ranges = known * (cfg.slow_buckets - 1)
    else:
        for b in range(now.bucket + 1, newest + 1):
            if known:  # bucket b - 1 closes: its true range counts
                piece = bucket[slot, (b - 1) & (N_BUCKETS - 1)]
                piece.range2 = now.high2 - now.low2
                piece.ranges = 1
                fast[slot].range2 += piece.range2
                fast[slot].ranges += 1
                slow[slot].range2 += piece.range2
                slow[slot].ranges += 1
                now.high2 = now.mid2
                now.low2 = now.mid2
            add_flow(fast[slot], bucket[slot, (b - cfg.fast_buckets) & (N_BUCKETS - 1)], np.int64(-1))
            add_flow(slow[slot], bucket[slot, (b - cfg.slow_buckets) & (N_BUCKETS - 1)], np.int64(-1))
            clear_flow(bucket[slot, b & (N_BUCKETS - 1)])
    now.high2 = now.mid2
    now.low2 = now.mid2
    now.bucket = newest
    if slow[slot].trades == 0:
        now.streak = 0


@kernel
def close_second(track, second, config, slot):  # type: ignore[no-untyped-def]
    """Close the open second and open the next one."""
    now = track[slot]
    cfg = config[0]
    s = now.second
    row = second[slot, s & (N_SECONDS - 1)]
    row.square = -1
    if now.mid2 > 0 and now.closed_known != 0:
        before = second[slot, (s - 1) & (N_SECONDS - 1)].mid2
        change = math.floor(2e9 * np.float64(now.mid2 - before) / np.float64(now.mid2 + before) + 0.5)
        limit = np.float64(RETURN_LIMIT_E9)
        change_e9 = np.int64(max(min(change, limit), -limit))
        row.square = change_e9 * change_e9
        now.square_sum += row.square
        now.square_count += 1
    row.mid2 = now.carried2
    now.closed_known = 1 if now.mid2 > 0 else 0
    if now.known_second < 0 and now.carried2 > 0:
        now.known_second = s
    leaving = s - cfg.volatility_s
    if leaving >= now.first_second:
        old = second[slot, leaving & (N_SECONDS - 1)]
        if old.square >= 0:
            now.square_sum -= old.square
            now.square_count -= 1
    entering = s - cfg.slow_s
    if entering >= now.first_second:
        now.baseline_value += second[slot, entering & (N_SECONDS - 1)].value
    leaving = entering - cfg.baseline_s
    if leaving >= now.first_second:
        now.baseline_value -= second[slot, leaving & (N_SECONDS - 1)].value
    now.second = s + 1
    second[slot, (s + 1) & (N_SECONDS - 1)].value = 0


@kernel
def sum_windows(track, fast, slow, bucket, second, config, slot):  # type: ignore[no-untyped-def]
    """Sum every window of the slot anew from its rings."""
    now = track[slot]
    cfg = config[0]
    clear_flow(fast[slot])
    clear_flow(slow[slot])
    for b in range(max(now.bucket - cfg.fast_buckets + 1, now.first_bucket), now.bucket + 1):
        add_flow(fast[slot], bucket[slot, b & (N_BUCKETS - 1)], np.int64(1))
    for b in range(max(now.bucket - cfg.slow_buckets + 1, now.first_bucket), now.bucket + 1):
        add_flow(slow[slot], bucket[slot, b & (N_BUCKETS - 1)], np.int64(1))
    now.square_sum = 0
    now.square_count = 0
    for s in range(max(now.second - cfg.volatility_s, now.first_second), now.second):
        square = second[slot, s & (N_SECONDS - 1)].square
        if square >= 0:
            now.square_sum += square
            now.square_count += 1
    now.baseline_value = 0
    stop = now.second - cfg.slow_s
    for s in range(max(stop - cfg.baseline_s, now.first_second), stop):
        now.baseline_value += second[slot, s & (N_SECONDS - 1)].value


@kernel
def skip_seconds(track, second, slot, newest):  # type: ignore[no-untyped-def]
    """Jump to second `newest` over more seconds than the ring holds: all of it becomes quiet."""
    now = track[slot]
    known = now.mid2 > 0
    for s in range(newest - N_SECONDS + 1, newest + 1):
        row = second[slot, s & (N_SECONDS - 1)]
        row.mid2 = now.carried2
        row.value = 0
        row.square = 0 if known else -1
    if now.known_second < 0 and now.carried2 > 0:
        now.known_second = newest - 1
    now.closed_known = 1 if known else 0
    now.second = newest
