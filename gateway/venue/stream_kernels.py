"""All public streams: `publish` is called after every market step and writes the frames that are due."""

from __future__ import annotations

import numpy as np

from core.jit import kernel
from gateway.venue.book_stream_kernels import book_frame
from gateway.venue.streams import (
    BOOK_PERIODS,
    KIND_KLINE,
    KIND_LIQUIDATION,
    KIND_TICKERS,
    KIND_TRADES,
    LIQUIDATION_PERIOD,
    ROOM_BYTES,
    TICKER_PERIOD,
)
from gateway.venue.ticker_stream_kernels import kline_frame, ticker_delta
from gateway.venue.trade_stream_kernels import liquidation_frame, trade_frame


@kernel
def publish(market, streams, n, step, now_ms, out, frames):
    """Write every frame that is due at this step for rows [0, n); returns how many.

    Stops early when `out` or `frames` is nearly full: nothing is lost, the rest is due again at the next step.
    """
    count = np.int64(0)
    p = np.int64(0)
    for i in range(n):
        s = market.symbols[i]
        if s.listed == 0:
            continue
        due = step + s.phase
        if streams.active[KIND_TRADES, i] == 1 and streams.trade_sent[i] < s.trade_head:
            p, count = trade_frame(market, streams, i, now_ms, out, p, frames, count)
        for d in range(4):
            if streams.active[d, i] == 1 and due % BOOK_PERIODS[d] == 0:
                if d == 0:
                    p, count = book_frame(market, streams, streams.levels1, d, i, now_ms, out, p, frames, count)
                elif d == 1:
                    p, count = book_frame(market, streams, streams.levels50, d, i, now_ms, out, p, frames, count)
                elif d == 2:
                    p, count = book_frame(market, streams, streams.levels200, d, i, now_ms, out, p, frames, count)
                else:
                    p, count = book_frame(market, streams, streams.levels1000, d, i, now_ms, out, p, frames, count)
        if streams.active[KIND_TICKERS, i] == 1 and due % TICKER_PERIOD == 0:
            p, count = ticker_delta(market, streams, i, now_ms, out, p, frames, count)
        if streams.active[KIND_LIQUIDATION, i] == 1 and due % LIQUIDATION_PERIOD == 0:
            if streams.liquidation_sent[i] < s.liquidation_head:
                p, count = liquidation_frame(market, streams, i, now_ms, out, p, frames, count)
        for k in range(market.bars.shape[1]):
            if streams.active[KIND_KLINE + k, i] == 1:
                p, count = kline_frame(market, streams, k, i, due, now_ms, out, p, frames, count)
        if p + ROOM_BYTES * 2 > out.shape[0] or count + 32 > frames.shape[0]:
            break
    return count
