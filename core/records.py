"""Every record that crosses a process border, declared once: field, type, unit, sentence.

From these rows come the dtypes, `shm/LAYOUT.md`, the layout hash that refuses a mismatched join, and the layout tests.
What bumps the hash: any change of a name, type, order or size. Sentences do not.

Transport is in cells of 64 bytes (one cache line). A market event is one EVENT header cell followed by payload cells:

    cell 0              cell 1 ..                      (n_cells counts the header too)
    [EVENT header 64 B][LEVEL x 4][LEVEL x 4] ...      BOOK_SNAPSHOT, BOOK_DELTA: n_bids then n_asks levels; BBO: 1 + 1
                       [TRADE x 2] ...                 TRADES, LIQUIDATION: n_bids = number of trades
                       [TICKER 128 B]                  TICKER
                       [KLINE 64 B] ...                KLINE: n_bids = number of candles
                       [SYMBOL 256 B]                  LISTING
                       [PARAMS]  [GLOBAL]  [NEWS] ...  CONFIG, GLOBAL, NEWS, PROFILE

Prices are ticks and quantities lots (int64) everywhere; what is off the tick grid (mark, index) is fixed-point 1e-10
quote units (`_e10`). Times are ns since the Unix epoch (`_ns`) except `mono_..._ns`, which are CLOCK_MONOTONIC.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np

CELL_BYTES = 64
CELL_WORDS = CELL_BYTES // 8


@dataclass(frozen=True)
class Field:
    name: str
    type: str
    unit: str
    sentence: str


@dataclass(frozen=True)
class Record:
    """A record type: `dtype` is `np.dtype((np.record, ...))`, so attribute access works compiled and not."""

    name: str
    size: int
    sentence: str
    fields: tuple[Field, ...]

    @cached_property
    def dtype(self) -> np.dtype:
        """Made once: numpy needs 9 us for it, and its constructor is not safe when several threads make the same one."""
        return np.dtype((np.record, [(f.name, f.type) for f in self.fields]))


def _record(name: str, size: int, sentence: str, *rows: tuple[str, str, str, str]) -> Record:
    record = Record(name, size, sentence, tuple(Field(*row) for row in rows))
    dtype = record.dtype
    if dtype.itemsize != size:
        raise AssertionError(f"{name}: {dtype.itemsize} bytes, declared {size}; name the reserved bytes")
    for field_name in dtype.names or ():
        base, offset = dtype.fields[field_name][:2]  # type: ignore[index]
        align = (base.subdtype[0] if base.subdtype else base).itemsize
        if offset % align:
            raise AssertionError(f"{name}.{field_name} at offset {offset} is not aligned to {align}")
    return record


EVENT = _record(
    "EVENT", 64, "header cell of a market-ring event (also of a raw frame in the raw ring)",
    ("seq", "i8", "1", "place in the gateway's one total order, over all shards"),
    ("ts_exch_ns", "i8", "ns", "exchange time: cts of books, T of trades, else ts"),
    ("ts_recv_ns", "i8", "ns", "receive time (tape: as recorded): the only clock of the engine"),
    ("mono_recv_ns", "i8", "ns", "CLOCK_MONOTONIC when the frame was read here: for latency only, never for decisions"),
    ("u", "i8", "1", "book: update id; control events: first argument"),
    ("xseq", "i8", "1", "book: cross sequence; control events: second argument"),
    ("symbol", "i4", "id", "symbol id, -1 = all"),
    ("kind", "u1", "EventKind", "what this is"),
    ("flags", "u1", "bits", "reserved for data-quality bits"),
    ("n_cells", "u2", "cells", "length of the message including this header"),
    ("n_bids", "u2", "1", "bid levels, or number of payload items"),
    ("n_asks", "u2", "1", "ask levels"),
    ("depth", "u2", "levels", "topic depth of a book event"),
    ("conn", "u2", "id", "connection the frame came by"),
)
LEVEL = _record(
    "LEVEL", 16, "one book level; quantity 0 deletes it",
    ("price_ticks", "i8", "ticks", "price"),
    ("qty_lots", "i8", "lots", "absolute quantity"),
)
TRADE = _record(
    "TRADE", 32, "one public trade, or one liquidation",
    ("price_ticks", "i8", "ticks", "price (liquidation: bankruptcy price)"),
    ("qty_lots", "i8", "lots", "quantity"),
    ("ts_exch_ns", "i8", "ns", "match time"),
    ("side", "i1", "sign", "aggressor +1 buy, -1 sell (liquidation: side of the liquidated position)"),
    ("flags", "u1", "bits", "1 = block trade, 2 = RPI"),
    ("reserved", "(6,)u1", "", "zero"),
)
TICKER = _record(
    "TICKER", 128, "the fields of a tickers frame; only those in `mask` are set, the rest is unchanged",
    ("mask", "i8", "bits", "bit k: field k of this record (1 = last_ticks ...) was in the frame"),
    ("last_ticks", "i8", "ticks", "last price"),
    ("bid_ticks", "i8", "ticks", "best bid (lags the book)"),
    ("bid_lots", "i8", "lots", "its size"),
    ("ask_ticks", "i8", "ticks", "best ask"),
    ("ask_lots", "i8", "lots", "its size"),
    ("mark_e10", "i8", "1e-10 USDT", "mark price"),
    ("index_e10", "i8", "1e-10 USDT", "index price"),
    ("open_interest_e4", "i8", "1e-4 coin", "open interest"),
    ("turnover24h_e4", "i8", "1e-4 USDT", "turnover of 24 h"),
    ("volume24h_e4", "i8", "1e-4 coin", "volume of 24 h"),
    ("funding_rate_e10", "i8", "1e-10", "current funding rate"),
    ("next_funding_ns", "i8", "ns", "next funding time"),
    ("price24h_pcnt_e8", "i8", "1e-8", "change over 24 h as a fraction"),
    ("cs", "i8", "1", "cross sequence"),
    ("reserved", "i8", "", "zero"),
)
KLINE = _record(
    "KLINE", 64, "one exchange candle",
    ("start_ns", "i8", "ns", "start of the candle"),
    ("open_ticks", "i8", "ticks", "open"),
    ("high_ticks", "i8", "ticks", "high"),
    ("low_ticks", "i8", "ticks", "low"),
    ("close_ticks", "i8", "ticks", "close"),
    ("volume_e4", "i8", "1e-4 coin", "volume"),
    ("turnover_e4", "i8", "1e-4 USDT", "turnover"),
    ("confirm", "i8", "bool", "1 = closed"),
)
SYMBOL = _record(
    "SYMBOL", 256, "an instrument as the system trades it; payload of LISTING and row of the symbol table",
    ("name", "(24,)u1", "ascii", "Bybit symbol, zero padded"),
    ("name_hash", "u8", "fnv1a64", "identity of the symbol in digests: ids differ between runs, names do not"),
    ("id", "i4", "id", "row in the symbol table, stable within a run"),
    ("shard", "i4", "id", "shard that owns it"),
    ("tick_mant", "i8", "10^-price_exp", "tick size as an integer"),
    ("lot_mant", "i8", "10^-qty_exp", "quantity step as an integer"),
    ("price_exp", "i4", "digits", "decimals of prices"),
    ("qty_exp", "i4", "digits", "decimals of quantities"),
    ("tick_size", "f8", "USDT", "tick_mant / 10^price_exp, for features only"),
    ("lot_size", "f8", "coin", "lot_mant / 10^qty_exp, for features only"),
    ("min_qty_lots", "i8", "lots", "smallest order"),
    ("max_qty_lots", "i8", "lots", "largest limit order"),
    ("max_market_lots", "i8", "lots", "largest market order"),
    ("min_notional_e8", "i8", "1e-8 USDT", "smallest order value"),
    ("max_leverage_e2", "i8", "1e-2", "leverage limit"),
    ("price_limit_x_e8", "i8", "1e-8", "riskParameters.priceLimitRatioX"),
    ("price_limit_y_e8", "i8", "1e-8", "riskParameters.priceLimitRatioY"),
    ("funding_interval_min", "i4", "min", "funding interval"),
    ("depth", "i4", "levels", "order-book topic that drives the book"),
    ("category", "i4", "Category", "PRIME, NORMAL or WILD"),
    ("status", "i4", "0/1", "1 = Trading"),
    ("listed_ns", "i8", "ns", "receive time at which we first saw it"),
    ("flags", "i8", "bits", "1 = new listing (NEWS_LISTING), 2 = blacklisted"),
    ("maker_fee_e8", "i8", "1e-8", "maker fee rate"),
    ("taker_fee_e8", "i8", "1e-8", "taker fee rate"),
    ("maintenance_e8", "i8", "1e-8", "maintenance margin rate of the lowest risk tier, 0 = not known"),
    ("reserved", "(64,)u1", "", "zero"),
)
PROFILE = _record(
    "PROFILE", 64, "what a symbol's own history does to its entries; payload of PROFILE events",
    ("version", "i8", "1", "config version that brought it; 0 = none"),
    ("raise_e2", "i8", "1e-2", "added to both score thresholds"),
    ("size_e4", "i8", "1e-4", "share of the normal size"),
    ("blacklisted", "i8", "bool", "no entries"),
    ("trades", "i8", "1", "trades behind it"),
    ("win_rate_e4", "i8", "1e-4", "share of them won; -1 = not known"),
    ("reserved", "(2,)i8", "", "zero"),
)
NEWS = _record(
    "NEWS", 64, "a news item about a symbol; payload of NEWS events",
    ("type", "i8", "NewsType", "what it is about"),
    ("impact_e2", "i8", "1e-2", "impact 0..100; 0 takes a flag of this type down"),
    ("happened_ns", "i8", "ns", "when it happened, 0 = now"),
    ("half_life_ns", "i8", "ns", "the impact halves in this time"),
    ("ttl_ns", "i8", "ns", "and is gone after this"),
    ("text", "(24,)u1", "utf-8", "headline, cut, zero padded"),
)
GLOBAL = _record(
    "GLOBAL", 64, "global regime and its inputs; payload of GLOBAL events",
    ("regime", "i8", "GlobalRegime", "verdict"),
    ("btc_vol_bps", "f8", "bps", "BTC realised volatility"),
    ("eth_vol_bps", "f8", "bps", "ETH realised volatility"),
    ("btc_return_bps", "f8", "bps", "BTC return over the shock window"),
    ("eth_return_bps", "f8", "bps", "ETH return over the shock window"),
    ("correlation", "f8", "1", "mean correlation of the universe with BTC (nan until known)"),
    ("breadth", "f8", "1", "share of symbols that fell over the minute"),
    ("median_bps", "f8", "bps", "median move of all symbols over the minute"),
)
MESSAGE = _record(
    "MESSAGE", 192, "shard to execution, over the intent ring",
    ("seq", "i8", "1", "seq of the event that caused it; messages of one seq are ordered by symbol id"),
    ("ts_event_ns", "i8", "ns", "event time (ts_recv_ns) of that event"),
    ("mono_recv_ns", "i8", "ns", "mono_recv_ns of that event: wire-to-intent is measured from it"),
    ("mono_sent_ns", "i8", "ns", "CLOCK_MONOTONIC at publication; 0 inside the engine"),
    ("decision_id", "i8", "1", "decision record behind it, 0 = none"),
    ("order_id", "i8", "1", "order concerned (FILL, DONE, CANCEL, EXIT), 0 = none yet"),
    ("price_ticks", "i8", "ticks", "ENTER: zone ideal; FILL: fill price; MARK: mid x 2 (ticks of the half-tick grid)"),
    ("qty_lots", "i8", "lots", "FILL: filled quantity; ENTER: 1e-4 of the normal size, 0 = all of it"),
    ("stop_ticks", "i8", "ticks", "ENTER: stop price; PROTECT: the stop wanted; MARK: the stop in force"),
    ("target_ticks", "i8", "ticks", "ENTER, PROTECT, MARK: first target"),
    ("zone_min_ticks", "i8", "ticks", "ENTER: entry zone"),
    ("zone_max_ticks", "i8", "ticks", "ENTER: entry zone"),
    ("fee_e8", "i8", "1e-8 USDT", "FILL: fee paid (negative: received)"),
    ("symbol", "i4", "id", "symbol"),
    ("kind", "u1", "MessageKind", "what this is"),
    ("side", "i1", "sign", "+1 long / buy, -1 short / sell"),
    ("role", "u1", "OrderRole", "FILL: what for"),
    ("is_maker", "u1", "bool", "FILL: provided liquidity"),
    ("score_e2", "i4", "1e-2", "ENTER: score of the side"),
    ("reason", "i4", "Cause", "EXIT, CANCEL, DONE: why"),
    ("leaves_lots", "i8", "lots", "FILL, DONE: quantity still working"),
    ("target2_ticks", "i8", "ticks", "second target"),
    ("target3_ticks", "i8", "ticks", "third target"),
    ("target_lots", "i8", "lots", "MARK: lots the first target still takes; ENTER: 1e-4 of the position"),
    ("target2_lots", "i8", "lots", "the same of the second"),
    ("target3_lots", "i8", "lots", "the same of the third"),
    ("rung", "i8", "1", "FILL of role TAKE_PROFIT: which target, from 1; 0 = not told"),
    ("ts_exch_ns", "i8", "ns", "ENTER: exchange time of that event, 0 = it had none; for latency only"),
    ("mono_decided_ns", "i8", "ns", "ENTER: CLOCK_MONOTONIC when the shard had decided; for latency only"),
)
REPORT = _record(
    "REPORT", 192, "execution to shard, over the report ring",
    ("seq", "i8", "1", "seq of the message it answers"),
    ("effect_ns", "i8", "ns", "event time from which it holds: taken before the first event at or after it"),
    ("mono_sent_ns", "i8", "ns", "CLOCK_MONOTONIC at publication"),
    ("decision_id", "i8", "1", "decision behind the order"),
    ("order_id", "i8", "1", "order"),
    ("price_ticks", "i8", "ticks", "ACCEPTED: limit price; POSITION: unused"),
    ("qty_lots", "i8", "lots", "ACCEPTED: order size; POSITION: signed position size"),
    ("stop_ticks", "i8", "ticks", "stop attached to the position"),
    ("target_ticks", "i8", "ticks", "first target"),
    ("deadline_ns", "i8", "ns", "ACCEPTED: event time at which an unfilled maker entry turns taker"),
    ("entry_value_e8", "i8", "1e-8 USDT", "POSITION: signed entry value"),
    ("realised_e8", "i8", "1e-8 USDT", "POSITION: realised PnL of this position so far, fees included"),
    ("target2_ticks", "i8", "ticks", "second target"),
    ("target3_ticks", "i8", "ticks", "third target"),
    ("target_lots", "i8", "lots", "ACCEPTED: lots of the first target; else what is left of them"),
    ("target2_lots", "i8", "lots", "the same of the second"),
    ("target3_lots", "i8", "lots", "the same of the third"),
    ("risk_ticks", "i8", "ticks", "POSITION: R, distance of the stop the risk gate saw; 0 = not known"),
    ("risk_lots", "i8", "lots", "POSITION: size the risk gate saw"),
    ("symbol", "i4", "id", "symbol"),
    ("kind", "u1", "ReportKind", "what this is"),
    ("side", "i1", "sign", "side of the order"),
    ("role", "u1", "OrderRole", "role of the order"),
    ("flags", "u1", "bits", "1 post-only first, 2 may turn taker, 4 external, 8 addition, 16 target filled, 32 entry over"),
    ("reason", "i4", "Gate/Cause", "why refused, closed or moved"),
    ("reserved", "(28,)u1", "", "zero"),
)
ORDER_ROW = _record(
    "ORDER_ROW", 384, "an intent and its order from the event to the end; seqlock board and journal record of execution",
    ("number", "i8", "1", "running number of the intent, from 1; row of the board = number modulo its rows"),
    ("order_id", "i8", "1", "order, 0 = refused"),
    ("decision_id", "i8", "1", "decision behind it, 0 = a person's"),
    ("seq", "i8", "1", "seq of the event behind it; negative = a person's command"),
    ("wall_ns", "i8", "ns", "when execution took the intent, Unix time"),
    ("ts_exch_ns", "i8", "ns", "exchange time of the event"),
    ("ts_recv_ns", "i8", "ns", "receive time of the event"),
    ("recv_ns", "i8", "ns", "stamp: the event was read from the socket; CLOCK_MONOTONIC as all below, 0 = no such stamp"),
    ("decoded_ns", "i8", "ns", "stamp: the frame was decoded"),
    ("decided_ns", "i8", "ns", "stamp: the shard had decided"),
    ("sent_ns", "i8", "ns", "stamp: the intent was in the ring"),
    ("taken_ns", "i8", "ns", "stamp: execution took it"),
    ("gated_ns", "i8", "ns", "stamp: checked, sized, booked"),
    ("durable_ns", "i8", "ns", "stamp: its record was on disk"),
    ("wire_ns", "i8", "ns", "stamp: its bytes were written to a socket"),
    ("ack_ns", "i8", "ns", "stamp: the exchange acknowledged it"),
    ("live_ns", "i8", "ns", "stamp: first word of the order stream about it"),
    ("fill_ns", "i8", "ns", "stamp: first notice of a fill"),
    ("done_ns", "i8", "ns", "stamp: it ended"),
    ("price_ticks", "i8", "ticks", "limit price"),
    ("qty_lots", "i8", "lots", "size"),
    ("filled_lots", "i8", "lots", "filled so far"),
    ("value_e8", "i8", "1e-8 USDT", "value of what is filled"),
    ("fee_e8", "i8", "1e-8 USDT", "fees of it"),
    ("stop_ticks", "i8", "ticks", "stop"),
    ("target_ticks", "i8", "ticks", "first target"),
    ("value", "f8", "by gate", "refused: what was compared ..."),
    ("limit", "f8", "by gate", "... with which limit"),
    ("tick_size", "f8", "USDT", "to turn ticks into prices"),
    ("lot_size", "f8", "coin", "to turn lots into quantities"),
    ("symbol", "i4", "id", "symbol"),
    ("gate", "i4", "Gate", "why refused"),
    ("cause", "i4", "Cause", "why it ended before it was filled"),
    ("ret_code", "i4", "retCode", "of the exchange, where it refused"),
    ("side", "i1", "sign", "+1 buy, -1 sell"),
    ("state", "u1", "OrderState", "where it stands (core/orders/lifecycle.py)"),
    ("mode", "u1", "Mode", "mode it was made in"),
    ("flags", "u1", "bits", "1 = filled as maker (all of it so far)"),
    ("reserved2", "(4,)u1", "", "zero"),
    ("name", "(24,)u1", "ascii", "symbol, zero padded"),
    ("link_id", "(40,)u1", "ascii", "id it is logged under, zero padded"),
    ("reserved", "(56,)u1", "", "zero"),
)
COMMAND = _record(
    "COMMAND", 128, "a person's order to execution, admin to execution over the command ring",
    ("id", "i8", "1", "number of the command: unique over all runs, so that an order made of it is, too"),
    ("wall_ns", "i8", "ns", "when it was given"),
    ("mono_ns", "i8", "ns", "the same, CLOCK_MONOTONIC: what waited too long is not carried out"),
    ("price_ticks", "i8", "ticks", "TRADE: entry price, 0 = the touch of our side; REPLAY: argument of the action"),
    ("stop_ticks", "i8", "ticks", "TRADE, PROTECT: stop, PROTECT 0 = as it is"),
    ("target_ticks", "i8", "ticks", "TRADE, PROTECT: take profit, 0 = none (PROTECT: as it is)"),
    ("zone_min_ticks", "i8", "ticks", "TRADE: entry zone, 0 = none"),
    ("zone_max_ticks", "i8", "ticks", "TRADE: entry zone, 0 = none"),
    ("symbol", "i4", "id", "symbol, -1 = none"),
    ("kind", "u1", "CommandKind", "what to do"),
    ("side", "i1", "sign", "TRADE: +1 long, -1 short"),
    ("value", "u1", "by kind", "MODE: Mode; BLACKLIST: 1 = take out, 0 = take back; REPLAY: ReplayAction"),
    ("reserved", "u1", "", "zero"),
    ("confidence_e2", "i4", "1e-2", "TRADE: confidence 0-100 as given, for the record"),
    ("position_id", "i4", "1", "CLOSE, PROTECT: low bits of the position's order id the person saw, -1 = any"),
    ("text", "(48,)u1", "utf-8", "the person's reason"),
)
ANSWER = _record(
    "ANSWER", 192, "execution's answer to a COMMAND",
    ("id", "i8", "1", "number of the command"),
    ("wall_ns", "i8", "ns", "when it was answered"),
    ("order_id", "i8", "1", "TRADE: order"),
    ("price_ticks", "i8", "ticks", "TRADE: limit price"),
    ("qty_lots", "i8", "lots", "TRADE: size; CLOSE: signed position that is being closed"),
    ("stop_ticks", "i8", "ticks", "stop"),
    ("target_ticks", "i8", "ticks", "take profit"),
    ("value", "f8", "by gate", "refused: what was compared ..."),
    ("limit", "f8", "by gate", "... with which limit"),
    ("symbol", "i4", "id", "symbol, -1 = none"),
    ("gate", "i4", "Gate", "why refused, NONE where `text` says it"),
    ("kind", "u1", "CommandKind", "of the command"),
    ("ok", "u1", "bool", "1 = carried out"),
    ("side", "i1", "sign", "side of the order or position"),
    ("dry_run", "u1", "bool", "1 = built and checked, not sent"),
    ("reserved", "(4,)u1", "", "zero"),
    ("text", "(104,)u1", "utf-8", "id the order is logged under, or the refusal in words"),
)
LOG = _record(
    "LOG", 128, "one line of the event feed and of the JSONL files, over the log rings",
    ("ts_ns", "i8", "ns", "event time"),
    ("seq", "i8", "1", "seq of the event that caused it, 0 = none"),
    ("a", "i8", "by kind", "see LogKind"),
    ("b", "i8", "by kind", "see LogKind"),
    ("c", "i8", "by kind", "see LogKind"),
    ("d", "i8", "by kind", "see LogKind"),
    ("e", "i8", "by kind", "see LogKind"),
    ("f", "i8", "by kind", "see LogKind"),
    ("x", "f8", "by kind", "see LogKind"),
    ("y", "f8", "by kind", "see LogKind"),
    ("symbol", "i4", "id", "symbol, -1 = none"),
    ("kind", "u2", "LogKind", "what this is"),
    ("severity", "u1", "Severity", "how bad"),
    ("process", "u1", "id", "row of the writer in the process table"),
    ("text", "(40,)u1", "utf-8", "short free text, zero padded"),
)
SYMBOL_ROW = _record(
    "SYMBOL_ROW", 256, "what the pages show of a symbol; seqlock board written by its shard",
    ("symbol", "i4", "id", "symbol"),
    ("category", "u1", "Category", "category"),
    ("state", "u1", "State", "trade state"),
    ("regime", "u1", "Regime", "symbol regime"),
    ("pump", "u1", "Pump", "pump state"),
    ("data_state", "u1", "DataState", "may the book be believed"),
    ("gate", "u1", "Gate", "what blocks it now"),
    ("side", "i1", "sign", "side of interest or of the position"),
    ("flags", "u1", "bits", "1 = wall, 2 = spoof, 4 = news, 8 = liquidations"),
    ("score_long_e2", "i4", "1e-2", "FinalScalpScoreLong"),
    ("score_short_e2", "i4", "1e-2", "FinalScalpScoreShort"),
    ("spoof_e2", "i4", "1e-2", "SpoofingScore 0-100"),
    ("wall_support_e2", "i4", "1e-2", "WallSupportScore"),
    ("wall_resistance_e2", "i4", "1e-2", "WallResistanceScore"),
    ("news_e2", "i4", "1e-2", "NewsImpactScore"),
    ("volatility_e2", "i4", "1e-2", "VolatilityScore"),
    ("bid_ticks", "i8", "ticks", "best bid"),
    ("ask_ticks", "i8", "ticks", "best ask"),
    ("bid_lots", "i8", "lots", "its size"),
    ("ask_lots", "i8", "lots", "its size"),
    ("last_ticks", "i8", "ticks", "last trade"),
    ("ts_exch_ns", "i8", "ns", "exchange time of the last event"),
    ("ts_recv_ns", "i8", "ns", "receive time of the last event"),
    ("seq", "i8", "1", "seq of the last event"),
    ("events", "i8", "1", "events seen"),
    ("tick_size", "f8", "USDT", "to turn ticks into prices"),
    ("lot_size", "f8", "coin", "to turn lots into quantities"),
    ("spread_bps", "f8", "bps", "spread"),
    ("microprice", "f8", "ticks", "microprice"),
    ("imbalance", "f8", "-1..1", "top-of-book and zonal imbalance"),
    ("change_1m_pct", "f8", "%", "price change over one minute"),
    ("delta_1s", "f8", "USDT", "signed aggressor value of the last second"),
    ("delta_10s", "f8", "USDT", "signed aggressor value of ten seconds"),
    ("trades_per_s", "f8", "1/s", "trade rate"),
    ("atr_1s_bps", "f8", "bps", "micro-ATR of 1 s candles"),
    ("position_lots", "i8", "lots", "signed open position"),
    ("digest", "u8", "1", "running decision digest of this symbol"),
    ("since_ns", "i8", "ns", "event time at which the state was entered"),
    ("funding_rate_e10", "i8", "1e-10", "funding rate"),
    ("name_hash", "u8", "fnv1a64", "identity of the symbol"),
    ("book_digest", "u8", "1", "digest of the book, filled in when a tape ends"),
    ("watch_e2", "i4", "1e-2", "score from which it is watched now"),
    ("arm_e2", "i4", "1e-2", "score from which an entry is prepared now"),
    ("mark_ticks", "i8", "ticks", "mark price to the nearest tick, 0 = not known"),
)
POSITION_ROW = _record(
    "POSITION_ROW", 192, "an open or last closed position; seqlock board written by execution, row = symbol id",
    ("symbol", "i4", "id", "symbol"),
    ("side", "i1", "sign", "0 = flat"),
    ("flags", "u1", "bits", "1 = stop stands, 2 = closing"),
    ("reserved2", "u2", "", "zero"),
    ("qty_lots", "i8", "lots", "signed size"),
    ("entry_value_e8", "i8", "1e-8 USDT", "signed entry value"),
    ("mark2_ticks", "i8", "half ticks", "last mid x 2 seen by execution"),
    ("unrealised_e8", "i8", "1e-8 USDT", "unrealised PnL at that mid"),
    ("realised_e8", "i8", "1e-8 USDT", "realised PnL of the position, fees included"),
    ("fees_e8", "i8", "1e-8 USDT", "fees so far"),
    ("margin_e8", "i8", "1e-8 USDT", "initial margin"),
    ("stop_ticks", "i8", "ticks", "stop"),
    ("target_ticks", "i8", "ticks", "first target"),
    ("opened_ns", "i8", "ns", "event time of the first fill"),
    ("updated_ns", "i8", "ns", "event time of the last change"),
    ("order_id", "i8", "1", "entry order"),
    ("decision_id", "i8", "1", "decision behind it"),
    ("tick_size", "f8", "USDT", "to turn ticks into prices"),
    ("lot_size", "f8", "coin", "to turn lots into quantities"),
    ("leverage_e2", "i8", "1e-2", "leverage"),
    ("best_ticks", "i8", "ticks", "best price seen (MFE)"),
    ("worst_ticks", "i8", "ticks", "worst price seen (MAE)"),
    ("target2_ticks", "i8", "ticks", "second target"),
    ("target3_ticks", "i8", "ticks", "third target"),
    ("target_lots", "i8", "lots", "what the first target still takes, 0 = done"),
    ("target2_lots", "i8", "lots", "the same of the second"),
    ("target3_lots", "i8", "lots", "the same of the third"),
)
ACCOUNT_ROW = _record(
    "ACCOUNT_ROW", 192, "the account as execution sees it; seqlock board with one row",
    ("balance_e8", "i8", "1e-8 USDT", "wallet balance"),
    ("equity_e8", "i8", "1e-8 USDT", "balance + unrealised"),
    ("unrealised_e8", "i8", "1e-8 USDT", "unrealised PnL"),
    ("realised_e8", "i8", "1e-8 USDT", "realised PnL of the run, fees included"),
    ("realised_day_e8", "i8", "1e-8 USDT", "realised PnL of the UTC day"),
    ("day_start_equity_e8", "i8", "1e-8 USDT", "equity at the day's start"),
    ("margin_used_e8", "i8", "1e-8 USDT", "initial margin in use"),
    ("fees_e8", "i8", "1e-8 USDT", "fees of the run"),
    ("heat_e8", "i8", "1e-8 USDT", "sum of open risk to the stops"),
    ("open_positions", "i8", "1", "positions open"),
    ("working_orders", "i8", "1", "entries working"),
    ("intents", "i8", "1", "intents received"),
    ("orders", "i8", "1", "orders accepted"),
    ("fills", "i8", "1", "fills booked"),
    ("rejects", "i8", "1", "intents refused"),
    ("trades_closed", "i8", "1", "positions closed"),
    ("wins", "i8", "1", "of them with positive realised PnL"),
    ("updated_ns", "i8", "ns", "event time"),
    ("risk_off", "i8", "Gate", "0 = none, else why no entries"),
    ("mode", "i8", "Mode", "mode"),
    ("day", "i8", "days", "UTC day number"),
    ("max_equity_e8", "i8", "1e-8 USDT", "high-water mark"),
    ("digest", "u8", "1", "digest of orders and fills"),
    ("reserved", "i8", "", "zero"),
)
RECORDS: tuple[Record, ...] = (
    EVENT, LEVEL, TRADE, TICKER, KLINE, SYMBOL, NEWS, PROFILE, GLOBAL, MESSAGE, REPORT, ORDER_ROW, COMMAND, ANSWER, LOG, SYMBOL_ROW, POSITION_ROW,
    ACCOUNT_ROW,
)

LEVELS_PER_CELL = CELL_BYTES // LEVEL.size
TRADES_PER_CELL = CELL_BYTES // TRADE.size


def layout_hash(records: tuple[Record, ...] = RECORDS) -> int:
    """A positive 63-bit number that changes when any name, type, order or size does."""
    text = ";".join(f"{r.name}:{r.size}:" + ",".join(f"{f.name}={f.type}" for f in r.fields) for r in records)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1
