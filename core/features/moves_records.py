"""Records of the move features (price moves, flow, volatility, leverage, news): field, type, unit, sentence.

Formulas, sources and worked examples are in MOVES.md beside this file.
"""

from __future__ import annotations

from core.records import _record

MOVES = _record(
    "MOVES", 128, "how a symbol moves and what moves it; nan = not known",
    ("change_5s_pct", "f8", "%", "mid against the mid five seconds ago (younger series: against its start)"),
    ("change_15s_pct", "f8", "%", "the same over 15 s"),
    ("change_5m_pct", "f8", "%", "the same over 5 min"),
    ("trades_surge", "f8", "x", "trades a second, slow window against the baseline before it"),
    ("cvd", "f8", "USDT", "cumulative volume delta: bought - sold by aggressors since the last full anchor time"),
    ("vpin", "f8", "0..1", "volume-synchronised probability of informed trading"),
    ("volatility", "f8", "0..100", "VolatilityScore"),
    ("explosion", "f8", "0/1", "ExplosionFlag: the 1 s micro-ATR is out of all bounds"),
    ("min_move_bps", "f8", "bps", "MinMoveForProfit: fees of the round trip, their buffer and the spread"),
    ("liq_safety", "f8", "0..100", "LiqSafetyScore: how far inside the liquidation price a trade would live"),
    ("oi_change_pct", "f8", "%", "open interest against that of five minutes ago"),
    ("funding_8h_bps", "f8", "bps", "funding rate, brought to eight hours"),
    ("liq_burst", "f8", "x", "liquidations, slow window against their average; + longs, - shorts liquidated"),
    ("news_impact", "f8", "0..100", "NewsImpactScore: impact of the flag in force, decayed; 0 = no flag"),
    ("news_age_s", "f8", "s", "age of that flag; nan = no flag"),
    ("news_type", "f8", "NewsType", "what it is about; 0 = no flag"),
)
MOVE_SECOND = _record(
    "MOVE_SECOND", 32, "one second of a symbol",
    ("trades", "i8", "1", "trades in it"),
    ("long_value", "i8", "ticks x lots", "longs liquidated"),
    ("short_value", "i8", "ticks x lots", "shorts liquidated"),
    ("open_interest", "i8", "1e-4 coin", "open interest when it closed, carried on; -1 = never known"),
)
MOVE_TRACK = _record(
    "MOVE_TRACK", 192, "where the windows of a slot stand",
    ("bucket", "i8", "100 ms", "bucket the slow-moving features were made in"),
    ("second", "i8", "s", "open second"),
    ("first_second", "i8", "s", "second of the listing"),
    ("near2", "i8", "half ticks", "mid x 2 that change_5s_pct compares with; 0 = none"),
    ("middle2", "i8", "half ticks", "that of change_15s_pct"),
    ("far2", "i8", "half ticks", "that of change_5m_pct"),
    ("baseline_trades", "i8", "1", "trades in the seconds of the baseline"),
    ("baseline_long", "i8", "ticks x lots", "longs liquidated in them"),
    ("baseline_short", "i8", "ticks x lots", "shorts liquidated in them"),
    ("open_interest", "i8", "1e-4 coin", "open interest now; -1 = not known"),
    ("oi_second", "i8", "s", "first second that closed with it known; -1 = none"),
    ("oi_reference", "i8", "1e-4 coin", "that oi_change_pct compares with; -1 = none"),
    ("cvd_value", "i8", "ticks x lots", "bought - sold since the anchor"),
    ("cvd_period", "i8", "1", "anchor period it belongs to"),
    ("vpin_size", "i8", "ticks x lots", "size of the open volume bucket"),
    ("vpin_buy", "i8", "ticks x lots", "bought in it"),
    ("vpin_sell", "i8", "ticks x lots", "sold in it"),
    ("vpin_closed", "i8", "1", "volume buckets closed since the listing"),
    ("vpin_sum", "i8", "1e-9", "sum of the one-sided shares of the buckets in the window"),
    ("reserved", "(5,)i8", "", "zero"),
)
NEWS_FLAG = _record(
    "NEWS_FLAG", 64, "the news flag in force; outlives a new tick size",
    ("type", "i8", "NewsType", "0 = none"),
    ("ts_ns", "i8", "ns", "when it happened (event time)"),
    ("half_life_ns", "i8", "ns", "its impact halves in this time"),
    ("ttl_ns", "i8", "ns", "it is gone after this"),
    ("impact", "f8", "0..100", "at its time"),
    ("reserved", "(3,)i8", "", "zero"),
)
MOVE_CONFIG = _record(
    "MOVE_CONFIG", 64, "windows in use",
    ("near_s", "i8", "s", "window of change_5s_pct"),
    ("middle_s", "i8", "s", "window of change_15s_pct"),
    ("far_s", "i8", "s", "window of change_5m_pct"),
    ("oi_s", "i8", "s", "window of oi_change_pct"),
    ("anchor_s", "i8", "s", "period of the cumulative delta"),
    ("vpin_buckets", "i8", "1", "closed volume buckets in VPIN"),
    ("vpin_minimum", "i8", "1", "of which so many must be there"),
    ("vpin_per_day", "f8", "1", "volume buckets in the turnover of 24 h"),
)

MOVE_NAMES: tuple[str, ...] = tuple(f.name for f in MOVES.fields)
"""Names of the move features, in the order of the record."""
