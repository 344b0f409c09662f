"""What a tape has told so far, per topic: books, merged tickers, last trades, candles.

From it come the snapshots that late subscribers get and the REST answers of a venue that plays a tape.
"""

from __future__ import annotations

import json
from collections import deque
from typing import Any

import msgspec

TRADES_KEPT = 1000
CANDLES_KEPT = 1000


class BookData(msgspec.Struct):
    s: str
    u: int = 0
    seq: int = 0
    b: list[tuple[str, str]] = []
    a: list[tuple[str, str]] = []


class BookFrame(msgspec.Struct):
    topic: str
    type: str
    ts: int
    data: BookData
    cts: int = 0


class TapeBook:
    """One book topic; prices stay the texts of the tape."""

    def __init__(self) -> None:
        self.sides: tuple[dict[str, str], dict[str, str]] = ({}, {})
        self.last: BookFrame | None = None
        self.changes = 0  # frames taken in

    def apply(self, frame: BookFrame) -> None:
        if frame.type == "snapshot" or frame.data.u == 1:
            self.sides = ({}, {})
        elif self.last is None:
            return  # deltas before the first snapshot mean nothing
        for side, changes in zip(self.sides, (frame.data.b, frame.data.a), strict=True):
            for price, size in changes:
                if float(size) == 0.0:
                    side.pop(price, None)
                else:
                    side[price] = size
        self.last = frame
        self.changes += 1

    def levels(self, limit: int) -> tuple[list[list[str]], list[list[str]]]:
        """Bids and asks, best first."""
        bids = sorted(self.sides[0].items(), key=lambda level: -float(level[0]))
        asks = sorted(self.sides[1].items(), key=lambda level: float(level[0]))
        return [list(level) for level in bids[:limit]], [list(level) for level in asks[:limit]]

    def snapshot(self) -> bytes | None:
        """The topic's book as a snapshot frame under the last u, or None before the first one."""
        last = self.last
        if last is None:
            return None
        bids, asks = self.levels(len(self.sides[0]) + len(self.sides[1]))
        data = {"s": last.data.s, "b": bids, "a": asks, "u": last.data.u, "seq": last.data.seq}
        if last.topic.startswith("orderbook.1."):
            frame: dict[str, Any] = {"topic": last.topic, "ts": last.ts, "type": "snapshot", "data": data}
        else:
            frame = {"topic": last.topic, "type": "snapshot", "ts": last.ts, "data": data}
        return compact({**frame, "cts": last.cts})


def compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


class TapeState:
    """State of all topics; `apply` is called with every frame played."""

    def __init__(self) -> None:
        self.books: dict[str, TapeBook] = {}
        self.tickers: dict[str, dict[str, Any]] = {}
        self.trades: dict[str, deque[dict[str, Any]]] = {}
        self.trade_counts: dict[str, int] = {}  # ever, per topic; `trades` keeps the last ones
        self.candles: dict[str, dict[int, list[str]]] = {}
        self.unreadable = 0
        self._book = msgspec.json.Decoder(BookFrame)

    def apply(self, topic: str, frame: bytes) -> None:
        """Take in one raw frame; what does not parse is counted and still sent."""
        try:
            if topic.startswith("orderbook."):
                self.books.setdefault(topic, TapeBook()).apply(self._book.decode(frame))
                return
            message = msgspec.json.decode(frame)
            if topic.startswith("tickers."):
                if message.get("type") == "snapshot" or topic not in self.tickers:
                    self.tickers[topic] = {"data": {}}
                known = self.tickers[topic]
                known["data"].update(message["data"])
                known["cs"], known["ts"] = message.get("cs", 0), message["ts"]
            elif topic.startswith("publicTrade."):
                self.trades.setdefault(topic, deque(maxlen=TRADES_KEPT)).extend(message["data"])
                self.trade_counts[topic] = self.trade_counts.get(topic, 0) + len(message["data"])
            elif topic.startswith("kline."):
                rows = self.candles.setdefault(topic, {})
                for bar in message["data"]:
                    names = ("start", "open", "high", "low", "close", "volume", "turnover")
                    rows[int(bar["start"])] = [str(bar[name]) for name in names]
                while len(rows) > CANDLES_KEPT:
                    del rows[min(rows)]
        except (msgspec.DecodeError, KeyError, TypeError, ValueError, AttributeError):
            self.unreadable += 1

    def snapshot(self, topic: str) -> bytes | None:
        """What a subscriber gets who comes after the topic's own snapshot has passed."""
        if topic in self.books:
            return self.books[topic].snapshot()
        known = self.tickers.get(topic)
        if known is None:
            return None
        return compact({
            "topic": topic, "type": "snapshot", "data": known["data"], "cs": known["cs"], "ts": known["ts"],
        })
