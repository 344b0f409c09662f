"""The msgspec decoder: the rule set (README.md), applied frame by frame; the scanner's twin and its fallback.

    index = decode_batch(stage, frames, start, n, symbols.table, out, status)      # decode_kernels.py
    ... status[S_STOP] == STOP_UNUSUAL:
    verdict = decode_slow(bytes of that frame, symbols, ts_recv_ns, mono_ns, conn, out, int(status[S_AT]))

Both write the same cells. Nothing a frame holds can raise out of here, and a refused frame writes nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence as Items
from enum import IntEnum
from typing import NamedTuple

import msgspec
import numpy as np
from msgspec import UNSET

from core.enums import EventKind, NewsType
from core.records import CELL_BYTES, CELL_WORDS, NEWS, TICKER
from core.units import NS_PER_MS, OffGrid, UnitsError, parse_fixed, parse_time_ms, parse_units
from gateway.bybit.decode_kernels import MESSAGE_CELLS_MAX
from gateway.bybit.field_kernels import STAT_EXP_AMOUNT, STAT_EXP_CHANGE, STAT_EXP_PRICE, STAT_EXP_RATE
from gateway.bybit.messages import Book, Candle, Control, Envelope, Liquidation, News, Ticker, Trade
from gateway.bybit.symbol_index import SymbolGrid, SymbolIndex
from gateway.bybit.topics import Topic, TopicKind, parse_topic


class Outcome(IntEnum):
    """What became of a frame."""

    DECODED = 0  # cells written
    OTHER = 1  # control frame (`control` is set) or a topic we know and do not use
    REJECTED = 2  # breaks a rule; `detail` says which
    UNKNOWN_TOPIC = 3
    UNKNOWN_SYMBOL = 4
    OFF_GRID = 5  # refused only because a number is no multiple of its step: the instrument may have changed
    FULL = 6  # fits an empty `out`, not the rest of this one: publish and call again


class Decoded(NamedTuple):
    """`symbol` is the id where the topic named a known one (also of refused frames), else -1."""

    kind: Outcome
    n_cells: int = 0
    detail: str = ""
    symbol: int = -1
    topic: Topic | None = None
    control: Control | None = None


class FrameError(ValueError):
    """A rule is broken."""


_HEADER = struct.Struct("<qqqqqqiBBHHHHH")  # EVENT of core/records.py
_DETAIL_MAX = 200
_SIGNS = {"Buy": 1, "Sell": 255}  # i1 as the low byte of a word
_TICKER_BIT = {name: k for k, name in enumerate(TICKER.dtype.names or ())}
_TICKER_STATISTICS = (
    ("mark_price", "mark_e10", STAT_EXP_PRICE, False),
    ("index_price", "index_e10", STAT_EXP_PRICE, False),
    ("open_interest", "open_interest_e4", STAT_EXP_AMOUNT, False),
    ("turnover24h", "turnover24h_e4", STAT_EXP_AMOUNT, False),
    ("volume24h", "volume24h_e4", STAT_EXP_AMOUNT, False),
    ("funding_rate", "funding_rate_e10", STAT_EXP_RATE, True),
    ("price24h_pcnt", "price24h_pcnt_e8", STAT_EXP_CHANGE, True),
)

_envelope = msgspec.json.Decoder(Envelope)
_control = msgspec.json.Decoder(Control)
_book = msgspec.json.Decoder(Book)
_trades = msgspec.json.Decoder(list[Trade])
_liquidations = msgspec.json.Decoder(list[Liquidation])
_candles = msgspec.json.Decoder(list[Candle])
_ticker = msgspec.json.Decoder(Ticker)
_news = msgspec.json.Decoder(News)
_NEWS_TYPES = {kind.name: int(kind) for kind in NewsType}
_TEXT_BYTES = NEWS.dtype["text"].itemsize


class _Event(NamedTuple):
    """Header fields and payload words of one event, before it is written."""

    kind: EventKind
    words: list[int]
    n_bids: int
    n_asks: int = 0
    u: int = 0
    xseq: int = 0
    depth: int = 0
    ts_exch_ms: int = -1  # -1: ts of the envelope


def decode_slow(
    frame: bytes, index: SymbolIndex, ts_recv_ns: int, mono_ns: int, conn: int, out: np.ndarray, at: int
) -> Decoded:
    """Decode one frame into `out` (int64[:, 8], C order) from cell `at` on; never raises for any frame."""
    topic: Topic | None = None
    symbol = -1
    try:
        if not frame.isascii():
            frame.decode("utf-8")
        envelope = _envelope.decode(frame)
        if envelope.topic is UNSET:
            return _decode_control(frame)
        topic = parse_topic(envelope.topic)
        if topic.kind is TopicKind.UNKNOWN:
            return Decoded(Outcome.UNKNOWN_TOPIC, detail=envelope.topic[:_DETAIL_MAX], topic=topic)
        if topic.kind is TopicKind.IGNORED:
            return Decoded(Outcome.OTHER, detail=envelope.topic[:_DETAIL_MAX], topic=topic)
        grid = index.by_name.get(topic.symbol)
        if grid is None:
            return Decoded(Outcome.UNKNOWN_SYMBOL, detail=topic.symbol[:_DETAIL_MAX], topic=topic)
        symbol = grid.id
        if envelope.ts is UNSET or envelope.data is UNSET:
            raise FrameError("no " + ("ts" if envelope.ts is UNSET else "data"))
        event = _READERS[topic.kind](envelope, envelope.data, topic, grid)
        n_cells = 1 + (len(event.words) + CELL_WORDS - 1) // CELL_WORDS
        if n_cells > min(MESSAGE_CELLS_MAX, len(out)):
            raise FrameError(f"{n_cells} cells are more than {min(MESSAGE_CELLS_MAX, len(out))}")
        if at + n_cells > len(out):
            return Decoded(Outcome.FULL, detail=f"{n_cells} cells", symbol=symbol, topic=topic)
        ts_exch_ms = envelope.ts if event.ts_exch_ms < 0 else event.ts_exch_ms
        _HEADER.pack_into(
            out.data.cast("B"), at * CELL_BYTES,
            0, ts_exch_ms * NS_PER_MS, ts_recv_ns, mono_ns, event.u, event.xseq,
            symbol, event.kind, 0, n_cells, event.n_bids, event.n_asks, event.depth, conn,
        )  # fmt: skip
        words = out.reshape(-1)
        payload, stop = (at + 1) * CELL_WORDS, (at + n_cells) * CELL_WORDS
        words[payload : payload + len(event.words)] = event.words
        words[payload + len(event.words) : stop] = 0
        return Decoded(Outcome.DECODED, n_cells, symbol=symbol, topic=topic)
    except OffGrid as error:
        return Decoded(Outcome.OFF_GRID, detail=str(error)[:_DETAIL_MAX], symbol=symbol, topic=topic)
    except (FrameError, UnitsError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        return Decoded(Outcome.REJECTED, detail=str(error)[:_DETAIL_MAX], symbol=symbol, topic=topic)
    except (RecursionError, MemoryError) as error:
        return Decoded(Outcome.REJECTED, detail=type(error).__name__, symbol=symbol, topic=topic)


def _decode_control(frame: bytes) -> Decoded:
    control = _control.decode(frame)
    if not control.op and control.success is None and control.ret_code is None:
        raise FrameError("neither topic nor op")
    return Decoded(Outcome.OTHER, detail=control.op, control=control)


def _is_delta(envelope: Envelope) -> bool:
    if envelope.type == "snapshot" or envelope.type == "delta":
        return envelope.type == "delta"
    raise FrameError("no type" if envelope.type is UNSET else f"type {envelope.type!r}")


def _require_symbol(name: str, topic: Topic) -> None:
    if name != topic.symbol:
        raise FrameError(f"item of {name!r} in a frame of {topic.symbol}")


def _price(text: str, grid: SymbolGrid) -> int:
    ticks = parse_units(text, grid.tick_mant, grid.tick_exp)
    if ticks <= 0:
        raise UnitsError(f"price {text} is not positive")
    return ticks


def _qty(text: str, grid: SymbolGrid) -> int:
    return parse_units(text, grid.lot_mant, grid.lot_exp)


def _read_book(envelope: Envelope, data: msgspec.Raw, topic: Topic, grid: SymbolGrid) -> _Event:
    is_delta = _is_delta(envelope)
    book = _book.decode(data)
    _require_symbol(book.symbol, topic)
    words: list[int] = []
    for price, qty in book.bids:
        words += (_price(price, grid), _qty(qty, grid))
    for price, qty in book.asks:
        words += (_price(price, grid), _qty(qty, grid))
    return _Event(
        EventKind.BOOK_DELTA if is_delta else EventKind.BOOK_SNAPSHOT,
        words, len(book.bids), len(book.asks), book.u, book.seq, topic.detail,
        -1 if envelope.cts is UNSET else envelope.cts,
    )  # fmt: skip


def _trade_words(item: Trade | Liquidation, flags: int, topic: Topic, grid: SymbolGrid) -> tuple[int, int, int, int]:
    _require_symbol(item.symbol, topic)
    qty = _qty(item.qty, grid)
    if qty <= 0:
        raise UnitsError(f"quantity {item.qty} is not positive")
    return _price(item.price, grid), qty, item.time_ms * NS_PER_MS, _SIGNS[item.side] | flags << 8


def _require_items(items: Items[object]) -> None:
    if not items:
        raise FrameError("no item in data")


def _read_trades(_envelope: Envelope, data: msgspec.Raw, topic: Topic, grid: SymbolGrid) -> _Event:
    trades = _trades.decode(data)
    _require_items(trades)
    words: list[int] = []
    for trade in trades:
        words += _trade_words(trade, trade.is_block | trade.is_rpi << 1, topic, grid)
    last = trades[-1]
    return _Event(EventKind.TRADES, words, len(trades), xseq=last.seq, ts_exch_ms=last.time_ms)


def _read_liquidations(_envelope: Envelope, data: msgspec.Raw, topic: Topic, grid: SymbolGrid) -> _Event:
    items = _liquidations.decode(data)
    _require_items(items)
    words: list[int] = []
    for item in items:
        words += _trade_words(item, 0, topic, grid)
    return _Event(EventKind.LIQUIDATION, words, len(items))


def _read_candles(_envelope: Envelope, data: msgspec.Raw, topic: Topic, grid: SymbolGrid) -> _Event:
    candles = _candles.decode(data)
    _require_items(candles)
    words: list[int] = []
    for candle in candles:
        words += (
            candle.start * NS_PER_MS,
            _price(candle.open, grid), _price(candle.high, grid), _price(candle.low, grid), _price(candle.close, grid),
            parse_fixed(candle.volume, STAT_EXP_AMOUNT), parse_fixed(candle.turnover, STAT_EXP_AMOUNT),
            int(candle.confirm),
        )  # fmt: skip
    return _Event(EventKind.KLINE, words, len(candles), u=topic.detail)


def _read_ticker(envelope: Envelope, data: msgspec.Raw, topic: Topic, grid: SymbolGrid) -> _Event:
    _is_delta(envelope)
    ticker = _ticker.decode(data)
    _require_symbol(ticker.symbol, topic)
    found: dict[str, int] = {}
    for text, field in (
        (ticker.last_price, "last_ticks"), (ticker.bid1_price, "bid_ticks"), (ticker.ask1_price, "ask_ticks"),
    ):  # fmt: skip
        if text and (ticks := parse_units(text, grid.tick_mant, grid.tick_exp)):
            found[field] = ticks
    for text, field in ((ticker.bid1_size, "bid_lots"), (ticker.ask1_size, "ask_lots")):
        if text:
            found[field] = _qty(text, grid)
    for attribute, field, exp, signed in _TICKER_STATISTICS:
        if text := getattr(ticker, attribute):
            found[field] = parse_fixed(text, exp, signed=signed)
    if ticker.next_funding_time:
        found["next_funding_ns"] = parse_time_ms(ticker.next_funding_time)
    if envelope.cs is not UNSET:
        found["cs"] = envelope.cs
    words = [0] * (TICKER.size // 8)
    for field, value in found.items():
        words[_TICKER_BIT[field]] = value
        words[0] |= 1 << _TICKER_BIT[field]
    return _Event(EventKind.TICKER, words, 1, xseq=found.get("cs", 0))


def _read_news(_envelope: Envelope, data: msgspec.Raw, _topic: Topic, _grid: SymbolGrid) -> _Event:
    item = _news.decode(data)
    kind = _NEWS_TYPES.get(item.type)
    if kind is None:
        raise FrameError(f"news of type {item.type!r}")
    text = item.text.encode()[:_TEXT_BYTES].decode("utf-8", "ignore").encode().ljust(_TEXT_BYTES, b"\0")
    words = [kind, item.impact_e2, item.happened_ns, item.half_life_ns, item.ttl_ns, *struct.unpack("<3q", text)]
    return _Event(EventKind.NEWS, words, 1, u=kind, xseq=item.impact_e2)


_READERS = {
    TopicKind.BOOK: _read_book,
    TopicKind.TRADES: _read_trades,
    TopicKind.LIQUIDATION: _read_liquidations,
    TopicKind.KLINE: _read_candles,
    TopicKind.TICKER: _read_ticker,
    TopicKind.NEWS: _read_news,
}
