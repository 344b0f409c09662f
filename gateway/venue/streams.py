"""The public topics of the synthetic exchange: what each stream has pushed so far.

A topic is (kind, row). Streams compute only what somebody has subscribed; the market itself never notices, so a
client cannot change the prices by listening.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gateway.venue.market import INTERVALS

STEP_MS = 10  # the exchange advances in steps of this; every push interval is a multiple
DEPTHS = (1, 50, 200, 1000)
BOOK_PERIODS = (1, 2, 10, 20)  # steps between pushes: 10, 20, 100, 200 ms
KIND_TRADES, KIND_TICKERS, KIND_LIQUIDATION, KIND_KLINE = 4, 5, 6, 7  # books are kinds 0..3
KINDS = KIND_KLINE + len(INTERVALS)
TICKER_PERIOD, LIQUIDATION_PERIOD, KLINE_PERIOD = 10, 50, 100
REPUSH_MS = 3000  # level 1 is pushed again after this long without a change, with the same u
NAME_BYTES = 24
ROOM_BYTES = 256 * 1024  # no single frame is longer

KIND_NAMES = (
    *(f"orderbook.{depth}" for depth in DEPTHS), "publicTrade", "tickers", "allLiquidation",
    *(f"kline.{interval}" for interval in INTERVALS),
)
TICKER_FIELDS = (
    "tickDirection", "price24hPcnt", "lastPrice", "prevPrice24h", "highPrice24h", "lowPrice24h", "prevPrice1h",
    "markPrice", "indexPrice", "openInterest", "openInterestValue", "turnover24h", "volume24h", "fundingIntervalHour",
    "fundingCap", "singleOpenInterest", "singleOpenInterestValue", "nextFundingTime", "fundingRate", "bid1Price",
    "bid1Size", "ask1Price", "ask1Size", "preOpenPrice", "preQty", "curPreListingPhase",
)


class Streams(NamedTuple):
    """Published state (kernels take the whole tuple).

    names, name_lengths   uint8[cap, 24], int64[cap]
    active                uint8[KINDS, cap]      somebody has subscribed
    u, seq, cts           int64[4, cap]          of the last push of each book depth
    version, pushed_ms    int64[4, cap]          book version and time of that push
    counts                int64[4, cap, 2]       levels pushed, bids and asks
    levels1 .. levels1000 int64[cap, 2, depth, 2] their (ticks, lots), best first
    trade_sent, liquidation_sent int64[cap]      ring positions
    kline_key             int64[13, cap, 2]      start and trade count behind the last push
    ticker                int64[cap, 26]         the fields last pushed, see `stream_kernels.ticker_now`
    """

    names: NDArray
    name_lengths: NDArray
    active: NDArray
    u: NDArray
    seq: NDArray
    cts: NDArray
    version: NDArray
    pushed_ms: NDArray
    counts: NDArray
    levels1: NDArray
    levels50: NDArray
    levels200: NDArray
    levels1000: NDArray
    trade_sent: NDArray
    liquidation_sent: NDArray
    kline_key: NDArray
    ticker: NDArray


def new_streams(capacity: int) -> Streams:
    """Streams of `capacity` symbols, nobody listening."""
    book = (len(DEPTHS), capacity)
    return Streams(
        names=np.zeros((capacity, NAME_BYTES), np.uint8),
        name_lengths=np.zeros(capacity, np.int64),
        active=np.zeros((KINDS, capacity), np.uint8),
        u=np.full(book, 1000, np.int64),
        seq=np.zeros(book, np.int64),
        cts=np.zeros(book, np.int64),
        version=np.zeros(book, np.int64),
        pushed_ms=np.zeros(book, np.int64),
        counts=np.zeros((*book, 2), np.int64),
        levels1=np.zeros((capacity, 2, 1, 2), np.int64),
        levels50=np.zeros((capacity, 2, 50, 2), np.int64),
        levels200=np.zeros((capacity, 2, 200, 2), np.int64),
        levels1000=np.zeros((capacity, 2, 1000, 2), np.int64),
        trade_sent=np.zeros(capacity, np.int64),
        liquidation_sent=np.zeros(capacity, np.int64),
        kline_key=np.zeros((len(INTERVALS), capacity, 2), np.int64),
        ticker=np.zeros((capacity, len(TICKER_FIELDS)), np.int64),
    )


def set_name(streams: Streams, row: int, symbol: str) -> None:
    """Enter a symbol's name into the table the kernels write from."""
    raw = np.frombuffer(symbol.encode(), np.uint8)
    streams.names[row, : len(raw)] = raw
    streams.name_lengths[row] = len(raw)


def parse_topic(topic: str) -> tuple[int, str] | None:
    """(kind, symbol) of a topic this exchange serves, or None: "orderbook.500.X" and unknown kinds are None."""
    head, _, symbol = topic.rpartition(".")
    kind = _KIND_OF.get(head)
    return None if kind is None or not symbol else (kind, symbol)


_KIND_OF = {name: kind for kind, name in enumerate(KIND_NAMES)}
