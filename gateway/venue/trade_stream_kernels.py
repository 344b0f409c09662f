"""publicTrade and allLiquidation frames: everything since the last push, read from the rings of the market."""

from __future__ import annotations

from core.jit import kernel
from gateway.venue.format_kernels import HEADER_ROOM, put_fixed, put_int, put_name, put_text, put_uuid, text
from gateway.venue.frame_kernels import CLOSE_LIST, END, SNAPSHOT_TS, put_direction, seal
from gateway.venue.market import LIQUIDATIONS_KEPT, TRADES_KEPT
from gateway.venue.streams import KIND_LIQUIDATION, KIND_TRADES

TOPIC_TRADE, TOPIC_LIQUIDATION = text('{"topic":"publicTrade.'), text('{"topic":"allLiquidation.')
DATA_T, NEXT_T = text(',"data":[{"T":'), text(',{"T":')
TRADE_S, SIDE, BUY, SELL = text(',"s":"'), text('","S":"'), text("Buy"), text("Sell")
TRADE_V, TRADE_P, TRADE_L, TRADE_I = text('","v":"'), text('","p":"'), text('","L":"'), text('","i":"')
TRADE_FLAGS, CLOSE_QUOTE = text('","BT":false,"RPI":false,"seq":'), text('"}')


@kernel
def trade_frame(market, streams, i, now_ms, out, p, frames, count):
    """All trades since the last push (at most the ring, 1,024)."""
    s = market.symbols[i]
    first = max(streams.trade_sent[i], s.trade_head - TRADES_KEPT)
    streams.trade_sent[i] = s.trade_head
    body = p + HEADER_ROOM
    q = put_text(out, body, TOPIC_TRADE)
    q = put_name(out, q, streams.names, streams.name_lengths, i)
    q = put_text(out, q, SNAPSHOT_TS)
    q = put_int(out, q, now_ms)
    for k in range(first, s.trade_head):
        trade = market.trades[i, k % TRADES_KEPT]
        q = put_text(out, q, DATA_T) if k == first else put_text(out, q, NEXT_T)
        q = put_int(out, q, trade.ts_ms)
        q = put_text(out, q, TRADE_S)
        q = put_name(out, q, streams.names, streams.name_lengths, i)
        q = put_text(out, q, SIDE)
        q = put_text(out, q, BUY) if trade.side > 0 else put_text(out, q, SELL)
        q = put_text(out, q, TRADE_V)
        q = put_fixed(out, q, trade.lots * s.lot_mant, s.qty_exp)
        q = put_text(out, q, TRADE_P)
        q = put_fixed(out, q, trade.ticks * s.tick_mant, s.price_exp)
        q = put_text(out, q, TRADE_L)
        q = put_direction(out, q, trade.direction)
        q = put_text(out, q, TRADE_I)
        q = put_uuid(out, q, trade.id_high, trade.id_low)
        q = put_text(out, q, TRADE_FLAGS)
        q = put_int(out, q, trade.seq)
        q = put_text(out, q, END)
    q = put_text(out, q, CLOSE_LIST)
    return seal(KIND_TRADES, i, out, body, q, frames, count)


@kernel
def liquidation_frame(market, streams, i, now_ms, out, p, frames, count):
    """All liquidations since the last push; S is the side of the liquidated position."""
    s = market.symbols[i]
    first = max(streams.liquidation_sent[i], s.liquidation_head - LIQUIDATIONS_KEPT)
    streams.liquidation_sent[i] = s.liquidation_head
    body = p + HEADER_ROOM
    q = put_text(out, body, TOPIC_LIQUIDATION)
    q = put_name(out, q, streams.names, streams.name_lengths, i)
    q = put_text(out, q, SNAPSHOT_TS)
    q = put_int(out, q, now_ms)
    for k in range(first, s.liquidation_head):
        row = market.liquidations[i, k % LIQUIDATIONS_KEPT]
        q = put_text(out, q, DATA_T) if k == first else put_text(out, q, NEXT_T)
        q = put_int(out, q, row.ts_ms)
        q = put_text(out, q, TRADE_S)
        q = put_name(out, q, streams.names, streams.name_lengths, i)
        q = put_text(out, q, SIDE)
        q = put_text(out, q, BUY) if row.side > 0 else put_text(out, q, SELL)
        q = put_text(out, q, TRADE_V)
        q = put_fixed(out, q, row.lots * s.lot_mant, s.qty_exp)
        q = put_text(out, q, TRADE_P)
        q = put_fixed(out, q, row.ticks * s.tick_mant, s.price_exp)
        q = put_text(out, q, CLOSE_QUOTE)
    q = put_text(out, q, CLOSE_LIST)
    return seal(KIND_LIQUIDATION, i, out, body, q, frames, count)
