"""Records of the feature state, declared like the shared ones: field, type, unit, sentence. They stay in one process.

Names ending in `_1s` and `_10s` carry the default lengths of the fast and the slow window.
"""

from __future__ import annotations

from core.records import _record

FEATURES = _record(
    "FEATURES", 256, "what is known of a symbol's microstructure now; nan = not known",
    ("mid", "f8", "ticks", "mid price"),
    ("spread_bps", "f8", "bps", "(ask - bid) / mid"),
    ("microprice", "f8", "ticks", "mid weighted by the opposite quantities"),
    ("micro_bps", "f8", "bps", "(microprice - mid) / mid: where the next mid leans"),
    ("imbalance_top", "f8", "-1..1", "(bid - ask) / (bid + ask) of the best levels' quantities"),
    ("imbalance_n", "f8", "-1..1", "the same over the best `levels` levels"),
    ("ofi_1s", "f8", "USDT", "order-flow imbalance of the best levels, fast window"),
    ("ofi_10s", "f8", "USDT", "the same, slow window"),
    ("buy_1s", "f8", "USDT", "bought by aggressors, fast window"),
    ("sell_1s", "f8", "USDT", "sold by aggressors, fast window"),
    ("buy_10s", "f8", "USDT", "bought by aggressors, slow window"),
    ("sell_10s", "f8", "USDT", "sold by aggressors, slow window"),
    ("delta_1s", "f8", "USDT", "bought - sold, fast window"),
    ("delta_10s", "f8", "USDT", "bought - sold, slow window"),
    ("streak", "f8", "trades", "trades in a row with one aggressor, signed; 0 after a slow window without trades"),
    ("trades_per_s", "f8", "1/s", "trade rate, fast window"),
    ("trades_per_s_10s", "f8", "1/s", "trade rate, slow window"),
    ("atr_1s_bps", "f8", "bps", "mean true range of closed 1 s candles"),
    ("atr_3s_bps", "f8", "bps", "mean true range of closed 3 s candles"),
    ("realised_vol_bps", "f8", "bps", "volatility of one minute from 1 s returns of the mid"),
    ("change_1m_pct", "f8", "%", "mid against the mid one minute ago (younger series: against its start)"),
    ("volume_surge", "f8", "x", "traded value a second, slow window against the baseline before it"),
    ("last", "f8", "ticks", "price of the last trade"),
    ("mark", "f8", "USDT", "mark price"),
    ("index", "f8", "USDT", "index price"),
    ("basis_bps", "f8", "bps", "(mark - index) / index"),
    ("funding_rate", "f8", "1", "current funding rate as a fraction"),
    ("open_interest", "f8", "coin", "open interest"),
    ("liq_long_10s", "f8", "USDT", "longs liquidated, slow window"),
    ("liq_short_10s", "f8", "USDT", "shorts liquidated, slow window"),
    ("warm", "f8", "0/1", "1 = the book has been believed for the warm-up time and is two-sided now"),
    ("atr_provisional", "f8", "0..2", "micro-ATRs still estimated from the mid: 2 both, 1 that of 3 s, 0 none"),
)
FLOW = _record(
    "FLOW", 64, "what happened in one bucket of time, or in a window of them",
    ("buy_value", "i8", "ticks x lots", "bought by aggressors"),
    ("sell_value", "i8", "ticks x lots", "sold by aggressors"),
    ("trades", "i8", "1", "trades"),
    ("ofi_lots", "i8", "lots", "order-flow imbalance"),
    ("long_value", "i8", "ticks x lots", "longs liquidated"),
    ("short_value", "i8", "ticks x lots", "shorts liquidated"),
    ("range2", "i8", "half ticks", "true range of the mid x 2; known when the bucket closed"),
    ("ranges", "i8", "1", "1 = range2 is known (in a window: how many are)"),
)
SECOND = _record(
    "SECOND", 32, "one second of a symbol",
    ("mid2", "i8", "half ticks", "mid x 2 when it closed, carried on while unknown; 0 = never known"),
    ("value", "i8", "ticks x lots", "traded in it"),
    ("square", "i8", "1e-18", "square of the return of the mid over it; -1 = unknown at one end"),
    ("reserved", "i8", "", "zero"),
)
TRACK = _record(
    "TRACK", 192, "where the windows of a slot stand, and what the next event is compared with",
    ("bucket", "i8", "100 ms", "open bucket; 0 = slot not listed"),
    ("first_bucket", "i8", "100 ms", "bucket of the listing"),
    ("second", "i8", "s", "open second"),
    ("first_second", "i8", "s", "second of the listing"),
    ("known_second", "i8", "s", "first second that closed with a mid; -1 = none"),
    ("since_ns", "i8", "ns", "first book since listing or break; 0 = none"),
    ("mid2", "i8", "half ticks", "mid x 2 now; 0 = not known"),
    ("carried2", "i8", "half ticks", "last known mid x 2; 0 = none"),
    ("closed_known", "i8", "bool", "was the mid known when the last second closed?"),
    ("reference2", "i8", "half ticks", "mid x 2 that change_1m_pct compares with; 0 = none"),
    ("bid_ticks", "i8", "ticks", "best bid before; 0 = no top to compare with"),
    ("bid_lots", "i8", "lots", "its quantity"),
    ("ask_ticks", "i8", "ticks", "best ask before"),
    ("ask_lots", "i8", "lots", "its quantity"),
    ("streak", "i8", "trades", "signed streak"),
    ("baseline_value", "i8", "ticks x lots", "traded in the seconds of the baseline"),
    ("square_sum", "i8", "1e-18", "sum of the known squares of the volatility window"),
    ("square_count", "i8", "1", "how many are known"),
    ("tick_size", "f8", "USDT", "tick"),
    ("lot_size", "f8", "coin", "lot"),
    ("unit_usdt", "f8", "USDT", "value of one tick x lot"),
    ("high2", "i8", "half ticks", "highest mid x 2 of the open bucket, the close before it included; 0 = none"),
    ("low2", "i8", "half ticks", "lowest"),
    ("reserved", "i8", "", "zero"),
)
FEATURE_CONFIG = _record(
    "FEATURE_CONFIG", 104, "windows in use",
    ("fast_buckets", "i8", "100 ms", "fast flow window"),
    ("slow_buckets", "i8", "100 ms", "slow flow window"),
    ("slow_s", "i8", "s", "seconds the slow window reaches into"),
    ("change_s", "i8", "s", "window of change_1m_pct"),
    ("volatility_s", "i8", "s", "window of realised_vol_bps"),
    ("volatility_minimum", "i8", "s", "returns needed"),
    ("baseline_s", "i8", "s", "baseline of volume_surge"),
    ("baseline_minimum_s", "i8", "s", "seconds of it needed"),
    ("atr_candles", "i8", "1", "candles in the micro-ATR"),
    ("atr_minimum", "i8", "1", "closed candles needed"),
    ("provisional_minimum", "i8", "100 ms", "closed buckets a provisional micro-ATR needs"),
    ("levels", "i8", "levels", "depth of imbalance_n"),
    ("warmup_ns", "i8", "ns", "warm after this"),
)

FEATURE_NAMES: tuple[str, ...] = tuple(f.name for f in FEATURES.fields if f.name != "reserved")
"""Names of the features, in the order of the record."""

