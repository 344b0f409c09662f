"""News items become frames, and frames take the same way as the exchange's: decoded, put into the one total order,
journalled, replayed.

    {"topic": "scalper.news.BTCUSDT", "ts": 0, "data": {"type": "HACK", "impact_e2": 8000, ...}}

A source of news is anything with `poll()`; the file (config/news_file.py) is the first. A feed of headlines would be
another one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from config.news_file import ALL, NewsError, NewsItem, NewsTail, item_of
from config.schema import News
from core.constants import NS_PER_S
from core.enums import NewsType
from gateway.bybit.topics import news_topic

CONN_LOCAL = 0xFFFF  # connection number of frames we make ourselves
NEWS_TYPES = tuple(kind.name for kind in NewsType if kind != NewsType.NONE)
MAX_ITEMS = 64  # of one poll: a file full of lines must not hold the loop up


class NewsSource(Protocol):
    def poll(self) -> tuple[list[NewsItem], list[str]]:
        """New items, and why others were refused; never raises, never waits."""


class NewsFile:
    """The items of `run/news.jsonl`."""

    def __init__(self, path: Path) -> None:
        self._tail = NewsTail(path)
        self._waiting: list[str] = []

    def poll(self) -> tuple[list[NewsItem], list[str]]:
        self._waiting += self._tail.lines()
        lines, self._waiting = self._waiting[:MAX_ITEMS], self._waiting[MAX_ITEMS:]
        items, refused = [], []
        for line in lines:
            try:
                items.append(item_of(line, NEWS_TYPES))
            except NewsError as error:
                refused.append(str(error))
        return items, refused


def frames_of(item: NewsItem, settings: News, listed: Iterable[str], now_ns: int) -> list[bytes]:
    """The frames of an item: one, or one per listed symbol for ALL; none when it is out of date or names no listed symbol."""
    ttl_s = settings.ttl_s if item.ttl_s is None else item.ttl_s
    if item.time_ns and now_ns - item.time_ns >= ttl_s * NS_PER_S:
        return []
    half_life_s = settings.half_life_s if item.half_life_s is None else item.half_life_s
    data = {
        "type": item.type,
        "impact_e2": round(100 * (settings.impact if item.impact is None else item.impact)),
        "happened_ns": item.time_ns,
        "half_life_ns": round(half_life_s * NS_PER_S),
        "ttl_ns": round(ttl_s * NS_PER_S),
        "text": item.text,
    }
    names = [name for name in listed if item.symbol in (ALL, name)]
    return [json.dumps({"topic": news_topic(name), "ts": 0, "data": data}).encode() for name in names]
