"""Topic names: one table says what becomes events, what is known but unused, and what is unknown."""

from __future__ import annotations

import re
from enum import IntEnum
from typing import NamedTuple

from core.enums import EventKind

DEPTH_MAX = 9999
INTERVAL_MINUTES = {
    "1": 1, "3": 3, "5": 5, "15": 15, "30": 30, "60": 60, "120": 120, "240": 240, "360": 360, "720": 720,
    "D": 1440, "W": 10080, "M": 43200,
}  # fmt: skip


class TopicKind(IntEnum):
    """Family of a topic. Those that become events carry the number of their EventKind (books: the snapshot's)."""

    UNKNOWN = 0
    BOOK = EventKind.BOOK_SNAPSHOT
    TRADES = EventKind.TRADES
    TICKER = EventKind.TICKER
    KLINE = EventKind.KLINE
    LIQUIDATION = EventKind.LIQUIDATION
    NEWS = EventKind.NEWS  # our own frames (gateway/news.py), never an exchange's
    IGNORED = 100


class Topic(NamedTuple):
    """`detail`: levels of a book topic, minutes of a kline topic, else 0."""

    kind: TopicKind
    symbol: str = ""
    detail: int = 0


_UNKNOWN = Topic(TopicKind.UNKNOWN)
_IGNORED = Topic(TopicKind.IGNORED)
_BOOK = re.compile(r"orderbook\.([1-9][0-9]{0,3})\.([^.]+)", re.DOTALL)
_KLINE = re.compile(r"kline\.([0-9DWM]{1,3})\.([^.]+)", re.DOTALL)
_PLAIN = {
    "publicTrade": TopicKind.TRADES,
    "tickers": TopicKind.TICKER,
    "allLiquidation": TopicKind.LIQUIDATION,
}
_NEWS_PREFIX = "scalper.news."
_IGNORED_PREFIXES = ("orderbook.rpi.", "orderbook.full.", "priceLimit.", "insurance.", "adlAlert.")
_IGNORED_FAMILIES = frozenset(
    ("system.status", "order", "execution", "position", "wallet", "greeks", "dcp.future")
    + ("order.linear", "execution.linear", "execution.fast", "execution.fast.linear", "position.linear")
)


def parse_topic(text: str) -> Topic:
    """Never raises: what the table does not know is UNKNOWN."""
    if match := _BOOK.fullmatch(text):
        return Topic(TopicKind.BOOK, match[2], int(match[1]))
    if match := _KLINE.fullmatch(text):
        minutes = INTERVAL_MINUTES.get(match[1])
        return Topic(TopicKind.KLINE, match[2], minutes) if minutes is not None else _UNKNOWN
    family, dot, symbol = text.partition(".")
    kind = _PLAIN.get(family)
    if kind is not None:
        return Topic(kind, symbol) if dot and symbol and "." not in symbol else _UNKNOWN
    if text.startswith(_NEWS_PREFIX):
        name = text[len(_NEWS_PREFIX) :]
        return Topic(TopicKind.NEWS, name) if name and "." not in name else _UNKNOWN
    if text in _IGNORED_FAMILIES or text.startswith(_IGNORED_PREFIXES):
        return _IGNORED
    return _UNKNOWN


def news_topic(symbol: str) -> str:
    return _NEWS_PREFIX + symbol


def orderbook(depth: int, symbol: str) -> str:
    return f"orderbook.{depth}.{symbol}"


def public_trade(symbol: str) -> str:
    return f"publicTrade.{symbol}"


def tickers(symbol: str) -> str:
    return f"tickers.{symbol}"


def all_liquidation(symbol: str) -> str:
    return f"allLiquidation.{symbol}"


def kline(interval: str, symbol: str) -> str:
    """`interval` is a key of INTERVAL_MINUTES."""
    return f"kline.{interval}.{symbol}"
