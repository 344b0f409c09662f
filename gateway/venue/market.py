"""State of the synthetic exchange: plain arrays, one row per symbol, that the market and stream kernels share.

The book of a symbol is a *ladder*: `ladder[i, tick & (WINDOW - 1)]` holds the resting lots of a price, for ticks in
[lo, hi). Ticks up to `best_bid` are bids, ticks from `best_ask` on are asks, what lies between is empty. Inserting,
cancelling and matching are then single cells, and a moving market only re-labels cells.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gateway.venue.history import PIECES, History
from gateway.venue.instruments import Instrument

WINDOW = 4096  # ticks kept around the price; a power of two. Holds > 1,000 occupied levels a side at occupancy >= 0.6
TRADES_KEPT = 1024  # ring of public trades per symbol (REST gives 1,000, a frame at most 1,024)
LIQUIDATIONS_KEPT = 64
MINUTES_KEPT = 1500  # closed one-minute candles per symbol since the start
INTERVALS = ("1", "3", "5", "15", "30", "60", "120", "240", "360", "720", "D", "W", "M")
INTERVAL_MS = tuple(60_000 * m for m in (1, 3, 5, 15, 30, 60, 120, 240, 360, 720, 1440, 10080)) + (0,)  # M: calendar

SYMBOL_FIELDS: tuple[tuple[str, str, str], ...] = (
    # what the instrument is
    ("tick_mant", "i8", "price = ticks x tick_mant / 10^price_exp"),
    ("price_exp", "i8", "decimals of prices"),
    ("lot_mant", "i8", "quantity = lots x lot_mant / 10^qty_exp"),
    ("qty_exp", "i8", "decimals of quantities"),
    ("listed", "i8", "1 = trades and streams"),
    ("phase", "i8", "steps by which its pushes are shifted, so that symbols do not all push at once"),
    ("funding_min", "i8", "funding interval, minutes"),
    # the market's character
    ("taker_rate", "f8", "base rate of aggressive orders, 1/s, both sides together"),
    ("book_rate", "f8", "base rate of resting-order changes, 1/s"),
    ("fill_rate", "f8", "how fast makers close a gap to the fair price, 1/s"),
    ("jump_rate", "f8", "rate of own price moves, 1/s"),
    ("vol", "f8", "own volatility, log per square root of a second"),
    ("beta", "f8", "exposure to the BTC factor"),
    ("lag", "f8", "time in which the BTC factor reaches it, s; 0 = at once"),
    ("occupancy", "f8", "share of ticks that hold orders"),
    ("half_spread", "f8", "makers stay this far from the fair price, ticks"),
    ("level_lots", "f8", "mean lots of a level"),
    ("taker_lots", "f8", "median lots of an aggressive order"),
    # scenario inputs (1 or 0 = none)
    ("drift", "f8", "pull on the fair price, log/s"),
    ("buy_boost", "f8", "factor on aggressive buys"),
    ("sell_boost", "f8", "factor on aggressive sells"),
    ("depth_factor", "f8", "factor on the size of new resting orders"),
    ("churn", "f8", "factor on resting-order changes"),
    ("wall_side", "i8", "+1 bid, -1 ask, 0 none"),
    ("wall_ticks", "i8", "price of the wall"),
    ("wall_lots", "i8", "what is left of it"),
    ("wall_start_lots", "i8", "what it was"),
    # the moving market
    ("fair", "f8", "fair price, ticks"),
    ("pending", "f8", "part of the BTC factor that has not reached it, log"),
    ("heat", "f8", "volatility state, 1 = calm"),
    ("excite_buy", "f8", "self-excitation of aggressive buys, 1/s"),
    ("excite_sell", "f8", "self-excitation of aggressive sells, 1/s"),
    ("best_bid", "i8", "ticks"),
    ("best_ask", "i8", "ticks"),
    ("lo", "i8", "first tick of the ladder window"),
    ("hi", "i8", "first tick after it"),
    ("seq", "i8", "cross sequence"),
    ("version", "i8", "changes of the book so far"),
    ("event_ms", "i8", "matching-engine time of the last change"),
    ("trade_head", "i8", "trades so far"),
    ("liquidation_head", "i8", "liquidations so far"),
    ("minute_head", "i8", "closed one-minute candles so far"),
    # what tickers tell
    ("last_ticks", "i8", "last price"),
    ("tick_direction", "i8", "0 PlusTick, 1 ZeroPlusTick, 2 MinusTick, 3 ZeroMinusTick"),
    ("high24", "i8", "ticks"),
    ("low24", "i8", "ticks"),
    ("prev24", "i8", "ticks, 24 h ago"),
    ("prev1h", "i8", "ticks, 1 h ago"),
    ("volume24", "i8", "lots"),
    ("turnover24", "i8", "ticks x lots"),
    ("open_interest", "i8", "lots, one side"),
    ("mark", "i8", "mark price, 10^-price_exp"),
    ("index", "i8", "index price, 10^-price_exp"),
    ("index_fair", "f8", "smoothed fair price behind the index, ticks"),
    ("premium", "f8", "smoothed premium of mid over index"),
    ("funding_e8", "i8", "funding rate, 1e-8"),
    ("funding_cap_e8", "i8", "its bound, 1e-8"),
    ("next_funding_ms", "i8", "ms"),
)
SYMBOL_ROW = np.dtype((np.record, [(name, kind) for name, kind, _ in SYMBOL_FIELDS]))

TRADE_ROW = np.dtype((np.record, [
    ("ts_ms", "i8"), ("ticks", "i8"), ("lots", "i8"), ("side", "i8"), ("direction", "i8"), ("seq", "i8"),
    ("id_high", "u8"), ("id_low", "u8"),
]))
LIQUIDATION_ROW = np.dtype((np.record, [("ts_ms", "i8"), ("ticks", "i8"), ("lots", "i8"), ("side", "i8")]))
BAR_ROW = np.dtype((np.record, [
    ("start_ms", "i8"), ("next_ms", "i8"), ("open", "i8"), ("high", "i8"), ("low", "i8"), ("close", "i8"),
    ("lots", "i8"), ("turnover", "i8"),
]))


class Market(NamedTuple):
    """All arrays of the exchange (kernels take this whole tuple as one argument).

    symbols     SYMBOL_ROW[cap]
    ladder      int64[cap, WINDOW]
    trades      TRADE_ROW[cap, TRADES_KEPT]       ring by trade_head
    liquidations LIQUIDATION_ROW[cap, LIQUIDATIONS_KEPT]
    bars        BAR_ROW[cap, len(INTERVALS)]      the running candle of each interval
    closed      BAR_ROW[cap, len(INTERVALS)]      the last closed candle of each
    minutes     BAR_ROW[cap, MINUTES_KEPT]        closed one-minute candles, ring by minute_head
    random      uint64[cap + 1]                   one generator per symbol, the last one for the factor
    factor      float64[4]                        BTC factor: heat, drift (log/s), boost of volatility, last move
    """

    symbols: NDArray
    ladder: NDArray
    trades: NDArray
    liquidations: NDArray
    bars: NDArray
    closed: NDArray
    minutes: NDArray
    random: NDArray
    factor: NDArray


def new_market(capacity: int) -> Market:
    """An empty exchange with room for `capacity` symbols."""
    return Market(
        symbols=np.zeros(capacity, SYMBOL_ROW),
        ladder=np.zeros((capacity, WINDOW), np.int64),
        trades=np.zeros((capacity, TRADES_KEPT), TRADE_ROW),
        liquidations=np.zeros((capacity, LIQUIDATIONS_KEPT), LIQUIDATION_ROW),
        bars=np.zeros((capacity, len(INTERVALS)), BAR_ROW),
        closed=np.zeros((capacity, len(INTERVALS)), BAR_ROW),
        minutes=np.zeros((capacity, MINUTES_KEPT), BAR_ROW),
        random=np.zeros(capacity + 1, np.uint64),
        factor=np.array([1.0, 0.0, 1.0, 0.0]),
    )


def name_seed(symbol: str, seed: int) -> int:
    """FNV-1a of the name mixed with the seed: a symbol's market does not depend on which others exist."""
    value = (0xCBF29CE484222325 ^ (seed * 0x9E3779B97F4A7C15)) & 0xFFFFFFFFFFFFFFFF
    for byte in symbol.encode():
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return value or 1


def seat(market: Market, row: int, instrument: Instrument, rank: int, seed: int, rate: float, now_ms: int,
         history: History) -> None:
    """Fill the row of one symbol: its character by activity rank (0 = busiest), its past from `history`.

    The ladder itself is filled by `market_kernels.open_book`.
    """
    draw = np.random.default_rng([name_seed(instrument.symbol, seed), 1])
    s = market.symbols[row]
    price = float(history.price(np.array([now_ms]))[0])
    ticks = price / instrument.tick_size
    tick_bps = 1e4 / ticks
    busy = float(np.exp(0.5 * draw.standard_normal())) if rank > 2 else 1.0
    s.tick_mant, s.price_exp = instrument.tick_mant, instrument.price_exp
    s.lot_mant, s.qty_exp = instrument.lot_mant, instrument.qty_exp
    s.phase = row
    s.funding_min = int(instrument.answer.get("fundingInterval") or 480)
    # Heavy tail over symbols: a power law of the rank, as measured universes show.
    s.taker_rate = 6.0 * (rank + 1) ** -0.85 * busy * rate
    s.book_rate = (280.0 * (rank + 1) ** -0.8 * busy + 1.0) * rate
    s.fill_rate = 4.0 + 26.0 * (rank + 1) ** -0.35
    s.jump_rate = (0.4 + 4.0 * (rank + 1) ** -0.5) * min(1.0, rate)
    s.beta = 1.0 if rank == 0 else float(draw.uniform(0.8, 1.6))
    s.lag = 0.0 if rank == 0 else float(draw.uniform(0.05, 0.4))
    s.vol = 1.5e-5 if rank == 0 else float(draw.uniform(5e-5, 1.3e-4))
    s.occupancy = min(0.97, 0.62 + 0.3 * tick_bps)
    spread_bps = 0.02 if rank < 2 else min(6.0, 0.2 + 0.02 * rank)
    s.half_spread = max(0.0, spread_bps * 0.5 / tick_bps - 0.5)
    level_usdt = 60_000.0 * (rank + 1) ** -0.55 * min(1.0, 0.2 + tick_bps) + 150.0
    lot_usdt = price * instrument.lot_size
    s.level_lots = max(2.0, level_usdt / lot_usdt)
    s.taker_lots = max(1.0, (900.0 * (rank + 1) ** -0.3 + 40.0) / lot_usdt)
    s.buy_boost = s.sell_boost = s.depth_factor = s.churn = s.heat = 1.0
    s.fair = ticks
    s.index_fair = ticks
    s.last_ticks = round(ticks)
    s.seq = 10_000_000_000 + int(draw.integers(1, 700_000_000_000))
    s.event_ms = now_ms
    s.open_interest = max(10, int(4e9 * (rank + 1) ** -1.1 / lot_usdt))
    s.funding_e8 = 10_000
    s.funding_cap_e8 = round(float(instrument.answer.get("upperFundingRate") or 0.005) * 1e8)
    span = s.funding_min * 60_000
    s.next_funding_ms = (now_ms // span + 1) * span
    market.random[row] = np.uint64(name_seed(instrument.symbol, seed + 1))
    day_usdt = 2.4e9 * (rank + 1) ** -1.15 + 2e5
    s.volume24 = max(1, int(day_usdt / lot_usdt))
    s.turnover24 = int(s.volume24) * int(s.last_ticks)
    seat_past(market, row, now_ms, history, instrument.tick_size)
    s.listed = 1


def seat_past(market: Market, row: int, now_ms: int, history: History, tick_size: float) -> None:
    """Day figures and running candles of a new symbol, from one look at its history."""
    s = market.symbols[row]
    bounds = np.array([bar_bounds(now_ms, length) for length in INTERVAL_MS], np.int64)
    part = np.linspace(0.0, 1.0, PIECES + 1)
    inside = bounds[:, :1] + ((now_ms - bounds[:, :1]) * part).astype(np.int64)
    day = now_ms - 86_400_000 + (86_400_000 * np.linspace(0.0, 1.0, 24 * PIECES + 1)).astype(np.int64)
    ticks = np.maximum(1, np.rint(history.price(np.concatenate([inside.ravel(), day])) / tick_size)).astype(np.int64)
    candles, past = ticks[: inside.size].reshape(inside.shape), ticks[inside.size:]
    last = int(s.last_ticks)
    s.high24, s.low24 = max(last, int(past.max())), min(last, int(past.min()))
    s.prev24, s.prev1h = int(past[0]), int(past[-1 - PIECES])
    running = market.bars[row]
    running["start_ms"], running["next_ms"] = bounds[:, 0], bounds[:, 1]
    running["open"] = candles[:, 0]
    running["high"] = np.maximum(candles.max(axis=1), last)
    running["low"] = np.minimum(candles.min(axis=1), last)
    running["close"] = last
    running["lots"] = ((now_ms - bounds[:, 0]) * (float(s.volume24) / 86_400_000)).astype(np.int64)
    running["turnover"] = running["lots"] * last


def bar_bounds(now_ms: int, length_ms: int) -> tuple[int, int]:
    """Start and end of the candle that holds `now_ms`. Weeks start on Monday; length 0 is the calendar month (UTC)."""
    if length_ms == 0:
        month = np.datetime64(now_ms, "ms").astype("datetime64[M]")
        return (int(month.astype("datetime64[ms]").astype(np.int64)),
                int((month + 1).astype("datetime64[ms]").astype(np.int64)))
    shift = 3 * 86_400_000 if length_ms == 604_800_000 else 0
    start = (now_ms + shift) // length_ms * length_ms - shift
    return start, start + length_ms
