"""DETAIL: all that a page shows of one symbol. Filled by `core/engine/board.py`, carried by the detail board of shm."""

from __future__ import annotations

from core.features.registry import N_ALL_FEATURES
from core.records import _record

DETAIL_LEVELS = 25
DETAIL_CANDLES = 60
DETAIL_TRADES = 50
DETAIL_WISHES = 4
_DETAIL_BYTES = 8 * (8 + 4 * DETAIL_LEVELS + 7 * DETAIL_CANDLES + 4 * DETAIL_TRADES + N_ALL_FEATURES)
DETAIL = _record(
    "DETAIL", _DETAIL_BYTES, "all a page shows of one symbol; board row = number of the wish in detail_symbol_N",
    ("symbol", "i8", "id", "symbol, -1 = none"),
    ("seq", "i8", "1", "seq of the last event"),
    ("ts_recv_ns", "i8", "ns", "receive time of the last event"),
    ("n_bids", "i8", "1", "bid levels filled"),
    ("n_asks", "i8", "1", "ask levels filled"),
    ("n_candles", "i8", "1", "candles filled, oldest first"),
    ("n_trades", "i8", "1", "trades filled, newest first"),
    ("reserved", "i8", "", "zero"),
    ("bid_ticks", f"({DETAIL_LEVELS},)i8", "ticks", "bid prices, best first"),
    ("bid_lots", f"({DETAIL_LEVELS},)i8", "lots", "bid quantities"),
    ("ask_ticks", f"({DETAIL_LEVELS},)i8", "ticks", "ask prices, best first"),
    ("ask_lots", f"({DETAIL_LEVELS},)i8", "lots", "ask quantities"),
    ("candle_start_ns", f"({DETAIL_CANDLES},)i8", "ns", "candles: start"),
    ("candle_open_ticks", f"({DETAIL_CANDLES},)i8", "ticks", "candles: open"),
    ("candle_high_ticks", f"({DETAIL_CANDLES},)i8", "ticks", "candles: high"),
    ("candle_low_ticks", f"({DETAIL_CANDLES},)i8", "ticks", "candles: low"),
    ("candle_close_ticks", f"({DETAIL_CANDLES},)i8", "ticks", "candles: close"),
    ("candle_volume_lots", f"({DETAIL_CANDLES},)i8", "lots", "candles: volume"),
    ("candle_delta_lots", f"({DETAIL_CANDLES},)i8", "lots", "candles: aggressive buys minus sells"),
    ("trade_ticks", f"({DETAIL_TRADES},)i8", "ticks", "trades: price"),
    ("trade_lots", f"({DETAIL_TRADES},)i8", "lots", "trades: quantity"),
    ("trade_ts_ns", f"({DETAIL_TRADES},)i8", "ns", "trades: match time"),
    ("trade_side", f"({DETAIL_TRADES},)i8", "sign", "trades: aggressor +1 buy, -1 sell"),
    ("features", f"({N_ALL_FEATURES},)f8", "by name", "see core/features/registry.py; nan = not known yet"),
)
