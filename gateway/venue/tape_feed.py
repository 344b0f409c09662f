"""A tape as the venue's market: recorded frames, sent verbatim to whoever subscribed their topic.

The tape starts to run when the first client has subscribed and made no further request for SETTLE_MS, so that nothing
passes before anybody listens. With speed "max" it runs as fast as the slowest client reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gateway.tape import FRAME_COLUMNS, TapeError, TapeReader
from gateway.tape_scan import scan_tape
from gateway.venue.contract_answers import ContractAnswers
from gateway.venue.errors import VenueError
from gateway.venue.hub import Hub
from gateway.venue.instruments import Instrument, instrument_of, load_answer, tape_instrument
from gateway.venue.rest import Answer
from gateway.venue.rest_answers import (
    REST_TICKER_FIELDS,
    ApiError,
    check_category,
    instruments_info,
    number,
)
from gateway.venue.session import ws_frame
from gateway.venue.streams import parse_topic
from gateway.venue.tape_state import TapeState

SETTLE_MS = 300
STAGE_BYTES = 8 * 1024 * 1024
STAGE_FRAMES = 4096
MAX_FRAMES_PER_STEP = 4000
FULL_SPEED_BUFFER_BYTES = 1024 * 1024  # at speed max nobody is sent more than this ahead of his reading
STUCK_MS = 10_000  # at speed max a client that reads nothing for so long is cut off


class TapeFeed:
    """Feed and source in one. `hub` is set when the server exists."""

    def __init__(self, paths: Sequence[Path], speed: str, instruments: Path | None = None) -> None:
        try:
            contents = scan_tape(paths)
            self._reader = TapeReader(paths)
        except TapeError as error:
            cause, _, fix = str(error).rstrip(".").rpartition(". ")
            raise VenueError(cause or str(error), fix or "name a readable tape") from None
        recorded = {row["symbol"]: row for row in load_answer(instruments)} if instruments else {}
        self.instruments: list[Instrument] = []
        for place, symbol in enumerate(contents.symbols):
            row = recorded.get(symbol.name)
            self.instruments.append(
                instrument_of(row, 0.0) if row
                else tape_instrument(symbol.name, symbol.price_decimals, symbol.qty_decimals, 1.0, place)
            )
        self.hub: Hub | None = None
        self.source = self
        self.state = TapeState()
        self.finished = False
        self.frames_total = contents.frames
        self.frames_played = 0
        self.frames_without_topic = 0
        self._speed = 0.0 if speed == "max" else float(speed)
        self._first_ns = contents.first_ns
        self._symbols = {instrument.symbol for instrument in self.instruments}
        # Depths the live exchange no longer has (500) may be subscribed if the tape holds them.
        self._topics = {f"orderbook.{depth}.{symbol.name}" for symbol in contents.symbols for depth in symbol.depths}
        self._stage = np.zeros(STAGE_BYTES, np.uint8)
        self._frames = np.zeros((STAGE_FRAMES, FRAME_COLUMNS), np.int64)
        self._ready: list[list[int]] = []  # rows of the stage, in order
        self._next = 0
        self._started_ms = 0
        self._asked = False  # a subscription came since the last step
        self._asked_ms = 0
        self._now_ms = 0
        self._stuck_since_ms = 0

    # -- source ------------------------------------------------------------------------------------------------------
    def find(self, topic: str) -> str | None:
        parsed = parse_topic(topic)
        if topic in self._topics or (parsed is not None and parsed[1] in self._symbols):
            return topic
        return None

    def name_of(self, key: str) -> str:
        return key

    def activate(self, key: str) -> None:
        """Nothing to compute; a subscription (re)starts the settling time of a tape that has not begun."""
        self._asked = True

    def deactivate(self, key: str) -> None:
        """Nothing to stop."""

    def snapshot(self, key: str) -> bytes | None:
        self._asked = True
        frame = self.state.snapshot(key)
        return None if frame is None else ws_frame(frame)

    # -- feed --------------------------------------------------------------------------------------------------------
    def advance(self, now_ms: int) -> list[tuple[str, bytes]]:
        """The frames that are due at `now_ms`."""
        self._now_ms = now_ms
        hub = self.hub
        if self.finished or hub is None:
            return []
        if not self._started_ms:
            if self._asked:
                self._asked, self._asked_ms = False, now_ms
            if not hub.subscribers or now_ms - self._asked_ms < SETTLE_MS:
                return []
            self._started_ms = now_ms
        if self._speed == 0.0:
            return [] if self._held_back(hub, now_ms) else self._take(2**63 - 1)
        return self._take(self._first_ns + int((now_ms - self._started_ms) * 1_000_000 * self._speed))

    def _held_back(self, hub: Hub, now_ms: int) -> bool:
        """At full speed: does somebody still have to read? Who never does is cut off."""
        slow = [c for c in hub.clients if c.transport.get_write_buffer_size() > FULL_SPEED_BUFFER_BYTES]
        if not slow:
            self._stuck_since_ms = 0
            return not hub.clients  # nobody there: wait
        self._stuck_since_ms = self._stuck_since_ms or now_ms
        if now_ms - self._stuck_since_ms > STUCK_MS:
            for client in slow:
                hub.counters.slow_cut_off += 1
                client.transport.abort()
                hub.disconnect(client)
        return True

    def _take(self, until_ns: int) -> list[tuple[str, bytes]]:
        found: list[tuple[str, bytes]] = []
        while len(found) < MAX_FRAMES_PER_STEP:
            if self._next == len(self._ready):
                count = self._reader.read(self._stage, self._frames, 0)
                if count == 0:
                    self.finished = True
                    self._reader.close()
                    break
                self._ready = self._frames[:count, :3].tolist()
                self._next = 0
            offset, length, recv_ns = self._ready[self._next]
            if recv_ns > until_ns:
                break
            self._next += 1
            self.frames_played += 1
            frame = self._stage[offset:offset + length].tobytes()
            topic = topic_of(frame)
            if topic is None:  # acknowledgements and pongs of the recording
                self.frames_without_topic += 1
                continue
            self._topics.add(topic)
            self.state.apply(topic, frame)
            found.append((topic, ws_frame(frame)))
        return found

    def status(self) -> dict[str, Any]:
        return {
            "market": "tape", "symbols": len(self.instruments), "frames_total": self.frames_total,
            "frames_played": self.frames_played, "frames_without_topic": self.frames_without_topic,
            "finished": self.finished, "unreadable": self.state.unreadable,
        }

    # -- REST --------------------------------------------------------------------------------------------------------
    def answers(self) -> Mapping[str, Answer]:
        rows = [instrument.answer for instrument in self.instruments]
        contracts = ContractAnswers(lambda: {i.symbol: i for i in self.instruments}, lambda: self._now_ms)
        return {
            **contracts.answers(),
            "instruments-info": lambda params: instruments_info(rows, params), "orderbook": self._orderbook,
            "tickers": self._tickers, "kline": self._kline, "recent-trade": self._recent_trade,
        }

    def _symbol(self, params: Mapping[str, str]) -> str:
        symbol = params.get("symbol") or ""
        if symbol not in self._symbols:
            raise ApiError(10001, f"params error: symbol invalid {symbol}")
        return symbol

    def _orderbook(self, params: Mapping[str, str]) -> dict[str, Any]:
        """From the deepest book topic of the symbol; u is that topic's."""
        check_category(params)
        symbol = self._symbol(params)
        limit = number(params, "limit", 25, 1000)
        books = [book for topic, book in self.state.books.items() if topic.endswith(f".{symbol}") and book.last]
        if not books:
            return {"s": symbol, "b": [], "a": [], "ts": self._now_ms, "u": 0, "seq": 0, "cts": 0}
        book = max(books, key=lambda one: len(one.sides[0]))
        assert book.last is not None
        bids, asks = book.levels(limit)
        last = book.last
        return {"s": symbol, "b": bids, "a": asks, "ts": last.ts, "u": last.data.u, "seq": last.data.seq, "cts": last.cts}

    def _tickers(self, params: Mapping[str, str]) -> dict[str, Any]:
        check_category(params)
        symbols = [self._symbol(params)] if params.get("symbol") else sorted(self._symbols)
        found = []
        for symbol in symbols:
            known = self.state.tickers.get(f"tickers.{symbol}", {"data": {"symbol": symbol}})["data"]
            found.append({name: known.get(name, "") for name in REST_TICKER_FIELDS})
        return {"category": "linear", "list": found}

    def _kline(self, params: Mapping[str, str]) -> dict[str, Any]:
        check_category(params, "params error: Category is invalid")
        symbol = self._symbol(params)
        rows = self.state.candles.get(f"kline.{params.get('interval')}.{symbol}", {})
        limit = number(params, "limit", 200, 1000)
        first, last = number(params, "start", 1, 2**62), number(params, "end", 2**62, 2**62)
        chosen = [rows[start] for start in sorted(rows, reverse=True) if first <= start <= last]
        return {"symbol": symbol, "category": "linear", "list": chosen[:limit]}

    def _recent_trade(self, params: Mapping[str, str]) -> dict[str, Any]:
        check_category(params)
        symbol = self._symbol(params)
        limit = number(params, "limit", 500, 1000)
        trades = list(self.state.trades.get(f"publicTrade.{symbol}", ()))[-limit:]
        found = [
            {"execId": t["i"], "symbol": symbol, "price": t["p"], "size": t["v"], "side": t["S"], "time": str(t["T"]),
             "isBlockTrade": bool(t.get("BT")), "isRPITrade": bool(t.get("RPI")), "seq": str(t.get("seq", ""))}
            for t in reversed(trades)
        ]
        return {"category": "linear", "list": found}


def topic_of(frame: bytes) -> str | None:
    """Topic of a raw frame, or None."""
    start = frame.find(b'"topic"')
    if start < 0:
        return None
    start = frame.find(b'"', start + 7)
    end = frame.find(b'"', start + 1)
    return frame[start + 1:end].decode("ascii", "replace") if 0 < start < end else None
