"""tickers (snapshot, then sparse deltas) and kline frames.

A ticker field is published as an integer in its own fixed point; a delta writes the fields whose integer changed.
bid1Price and bid1Size go together, so do the ask pair; in deltas the single... fields come last, as on the wire.
"""

from __future__ import annotations

from core.jit import kernel
from gateway.venue.format_kernels import (
    HEADER_ROOM,
    put_fixed,
    put_int,
    put_name,
    put_short,
    put_text,
    rescale,
    text,
)
from gateway.venue.frame_kernels import END, put_direction, seal
from gateway.venue.market import INTERVALS
from gateway.venue.streams import KIND_KLINE, KIND_TICKERS, KLINE_PERIOD, TICKER_FIELDS

TOPIC_TICKER = text('{"topic":"tickers.')
TYPE_SNAPSHOT, TYPE_DELTA = text('","type":"snapshot","data":{"symbol":"'), text('","type":"delta","data":{"symbol":"')
CS, TS, QUOTE = text('},"cs":'), text(',"ts":'), text('"')
FIELDS = text("".join(f'","{name}":"' for name in TICKER_FIELDS))
_OFFSETS = [0]
for _name in TICKER_FIELDS:
    _OFFSETS.append(_OFFSETS[-1] + len(_name) + 6)
FIELD_AT = tuple(_OFFSETS)
FIELD_COUNT = len(TICKER_FIELDS)
SINGLE, SINGLE_VALUE, BID, BID_SIZE, ASK, ASK_SIZE = 15, 16, 19, 20, 21, 22

TOPIC_KLINE = text('{"topic":"kline.')
INTERVAL_TEXT = text("".join(INTERVALS))
_AT = [0]
for _name in INTERVALS:
    _AT.append(_AT[-1] + len(_name))
INTERVAL_AT = tuple(_AT)
DATA_START, NEXT_START, KLINE_END = text('","data":[{"start":'), text(',{"start":'), text(',"end":')
KLINE_INTERVAL, KLINE_OPEN, KLINE_CLOSE = text(',"interval":"'), text('","open":"'), text('","close":"')
KLINE_HIGH, KLINE_LOW, KLINE_VOLUME = text('","high":"'), text('","low":"'), text('","volume":"')
KLINE_TURNOVER, CONFIRM, NOT_CONFIRM = text('","turnover":"'), text('","confirm":true'), text('","confirm":false')
KLINE_STAMP, LIST_TS, TYPE_LAST = text(',"timestamp":'), text('],"ts":'), text(',"type":"snapshot"}')


@kernel
def ticker_now(market, i, field):
    """Value of a ticker field as an integer: in ticks, lots or the fixed point `put_ticker_value` writes it with."""
    s = market.symbols[i]
    if field == 0:
        return s.tick_direction
    if field == 1:
        change = s.last_ticks - s.prev24
        millionths = (abs(change) * 2_000_000 + s.prev24) // (2 * s.prev24)  # rounded half up
        return millionths if change >= 0 else -millionths
    if field == 2:
        return s.last_ticks
    if field == 3:
        return s.prev24
    if field == 4:
        return s.high24
    if field == 5:
        return s.low24
    if field == 6:
        return s.prev1h
    if field == 7:
        return s.mark
    if field == 8:
        return s.index
    if field == 9:
        return 2 * s.open_interest
    if field == 10 or field == 16:
        sides = 2 if field == 10 else 1
        return rescale(s.mark * s.open_interest * sides, s.price_exp + s.qty_exp, 2) * s.lot_mant
    if field == 11:
        return rescale(s.turnover24, s.price_exp + s.qty_exp, 4) * s.tick_mant * s.lot_mant
    if field == 12:
        return rescale(s.volume24, s.qty_exp, 4) * s.lot_mant
    if field == 13:
        return s.funding_min // 60
    if field == 14:
        return s.funding_cap_e8
    if field == 15:
        return s.open_interest
    if field == 17:
        return s.next_funding_ms
    if field == 18:
        return s.funding_e8
    if field == 19:
        return s.best_bid
    if field == 20:
        return best_lots(market, i, s.best_bid)
    if field == 21:
        return s.best_ask
    if field == 22:
        return best_lots(market, i, s.best_ask)
    return 0


@kernel
def best_lots(market, i, ticks):
    return market.ladder[i, ticks & (market.ladder.shape[1] - 1)]


@kernel
def put_ticker_value(out, p, s, field, value):
    """The text of a field; the three pre-listing fields are empty on ordinary contracts."""
    if field == 0:
        return put_direction(out, p, value)
    if field == 1:
        return put_int(out, p, 0) if value == 0 else put_fixed(out, p, value, 6)
    if 2 <= field <= 6 or field in (BID, ASK):
        return put_fixed(out, p, value * s.tick_mant, s.price_exp)
    if field == 7 or field == 8:
        return put_fixed(out, p, value, s.price_exp)
    if field == 9 or field in (SINGLE, BID_SIZE, ASK_SIZE):
        return put_fixed(out, p, value * s.lot_mant, s.qty_exp)
    if field == 10 or field == SINGLE_VALUE:
        return put_fixed(out, p, value, 2)
    if field == 11 or field == 12:
        return put_fixed(out, p, value, 4)
    if field == 14 or field == 18:
        return put_short(out, p, value, 8)
    if field >= 23:
        return p
    return put_int(out, p, value)


@kernel
def put_field(out, p, s, field, value):
    for k in range(FIELD_AT[field], FIELD_AT[field + 1]):
        out[p] = FIELDS[k]
        p += 1
    return put_ticker_value(out, p, s, field, value)


@kernel
def close_ticker(s, now_ms, out, p):
    p = put_text(out, p, QUOTE)
    p = put_text(out, p, CS)
    p = put_int(out, p, s.seq)
    p = put_text(out, p, TS)
    p = put_int(out, p, now_ms)
    return put_text(out, p, END)


@kernel
def capture_ticker(market, streams, i):
    """Make the ticker as it stands the published one."""
    for field in range(FIELD_COUNT):
        streams.ticker[i, field] = ticker_now(market, i, field)


@kernel
def ticker_snapshot(market, streams, i, now_ms, out, p, frames, count):
    """All fields, as published."""
    s = market.symbols[i]
    body = p + HEADER_ROOM
    q = put_text(out, body, TOPIC_TICKER)
    q = put_name(out, q, streams.names, streams.name_lengths, i)
    q = put_text(out, q, TYPE_SNAPSHOT)
    q = put_name(out, q, streams.names, streams.name_lengths, i)
    for field in range(FIELD_COUNT):
        q = put_field(out, q, s, field, streams.ticker[i, field])
    q = close_ticker(s, now_ms, out, q)
    return seal(KIND_TICKERS, i, out, body, q, frames, count)


@kernel
def ticker_delta(market, streams, i, now_ms, out, p, frames, count):
    """The changed fields, or nothing."""
    s = market.symbols[i]
    body = p + HEADER_ROOM
    q = put_text(out, body, TOPIC_TICKER)
    q = put_name(out, q, streams.names, streams.name_lengths, i)
    q = put_text(out, q, TYPE_DELTA)
    q = put_name(out, q, streams.names, streams.name_lengths, i)
    start = q
    single = False
    single_value = False
    pair = False  # the size of a changed price is written even if equal, and the other way round
    for field in range(FIELD_COUNT):
        value = ticker_now(market, i, field)
        changed = value != streams.ticker[i, field]
        if field == SINGLE:
            single = changed
        elif field == SINGLE_VALUE:
            single_value = changed
        else:
            if field in (BID, ASK):
                pair = changed or ticker_now(market, i, field + 1) != streams.ticker[i, field + 1]
                changed = pair
            elif field in (BID_SIZE, ASK_SIZE):
                changed = pair
            if changed:
                q = put_field(out, q, s, field, value)
        streams.ticker[i, field] = value
    if single:
        q = put_field(out, q, s, SINGLE, streams.ticker[i, SINGLE])
    if single_value:
        q = put_field(out, q, s, SINGLE_VALUE, streams.ticker[i, SINGLE_VALUE])
    if q == start:
        return p, count
    q = close_ticker(s, now_ms, out, q)
    return seal(KIND_TICKERS, i, out, body, q, frames, count)


@kernel
def put_bar(s, bar, k, confirm, now_ms, out, p):
    """One candle object from its start value on; candles write numbers without trailing zeros."""
    p = put_int(out, p, bar.start_ms)
    p = put_text(out, p, KLINE_END)
    p = put_int(out, p, bar.next_ms - 1)
    p = put_text(out, p, KLINE_INTERVAL)
    for c in range(INTERVAL_AT[k], INTERVAL_AT[k + 1]):
        out[p] = INTERVAL_TEXT[c]
        p += 1
    p = put_text(out, p, KLINE_OPEN)
    p = put_short(out, p, bar.open * s.tick_mant, s.price_exp)
    p = put_text(out, p, KLINE_CLOSE)
    p = put_short(out, p, bar.close * s.tick_mant, s.price_exp)
    p = put_text(out, p, KLINE_HIGH)
    p = put_short(out, p, bar.high * s.tick_mant, s.price_exp)
    p = put_text(out, p, KLINE_LOW)
    p = put_short(out, p, bar.low * s.tick_mant, s.price_exp)
    p = put_text(out, p, KLINE_VOLUME)
    p = put_short(out, p, bar.lots * s.lot_mant, s.qty_exp)
    p = put_text(out, p, KLINE_TURNOVER)
    p = put_short(out, p, bar.turnover * s.tick_mant * s.lot_mant, s.price_exp + s.qty_exp)
    p = put_text(out, p, CONFIRM) if confirm else put_text(out, p, NOT_CONFIRM)
    p = put_text(out, p, KLINE_STAMP)
    p = put_int(out, p, now_ms)
    return put_text(out, p, END)


@kernel
def kline_frame(market, streams, k, i, due, now_ms, out, p, frames, count):
    """The running candle, at most once a second when something happened; at the boundary the closed one before it.

    streams.kline_key holds the start and the turnover behind the last push; the start of -1 asks for a first push.
    """
    s = market.symbols[i]
    bar = market.bars[i, k]
    kind = KIND_KLINE + k
    if due % KLINE_PERIOD != 0:
        return p, count
    known_start = streams.kline_key[k, i, 0]
    rolled = known_start >= 0 and known_start != bar.start_ms
    if not rolled and known_start >= 0 and streams.kline_key[k, i, 1] == bar.turnover:
        return p, count
    streams.kline_key[k, i, 0] = bar.start_ms
    streams.kline_key[k, i, 1] = bar.turnover
    body = p + HEADER_ROOM
    q = put_text(out, body, TOPIC_KLINE)
    for c in range(INTERVAL_AT[k], INTERVAL_AT[k + 1]):
        out[q] = INTERVAL_TEXT[c]
        q += 1
    out[q] = 46
    q = put_name(out, q + 1, streams.names, streams.name_lengths, i)
    q = put_text(out, q, DATA_START)
    if rolled and market.closed[i, k].next_ms == bar.start_ms:
        q = put_bar(s, market.closed[i, k], k, True, now_ms, out, q)
        q = put_text(out, q, NEXT_START)
    q = put_bar(s, bar, k, False, now_ms, out, q)
    q = put_text(out, q, LIST_TS)
    q = put_int(out, q, now_ms)
    q = put_text(out, q, TYPE_LAST)
    return seal(kind, i, out, body, q, frames, count)


@kernel
def all_tickers(market, n, values):
    """values[row, field] for rows [0, n): the fields as they stand, for REST."""
    for i in range(n):
        for field in range(FIELD_COUNT):
            values[i, field] = ticker_now(market, i, field)
