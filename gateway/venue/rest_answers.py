"""Answers of the public REST endpoints, computed from the synthetic exchange: `result` objects with Bybit's fields.

Pure: parameters (texts, as in the query) in, result out; bad parameters raise `ApiError` with Bybit's code and text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gateway.venue.instruments import text_of
from gateway.venue.market import INTERVAL_MS, INTERVALS, bar_bounds
from gateway.venue.streams import DEPTHS, TICKER_FIELDS
from gateway.venue.synthetic import SyntheticExchange
from gateway.venue.ticker_stream_kernels import all_tickers

Params = Mapping[str, str]
OTHER_CATEGORIES = ("spot", "inverse", "option")
DIRECTIONS = ("PlusTick", "ZeroPlusTick", "MinusTick", "ZeroMinusTick")
REST_TICKER_FIELDS = (
    "symbol", "lastPrice", "indexPrice", "markPrice", "prevPrice24h", "price24hPcnt", "highPrice24h", "lowPrice24h",
    "prevPrice1h", "openInterest", "openInterestValue", "turnover24h", "volume24h", "fundingRate", "nextFundingTime",
    "predictedDeliveryPrice", "basisRate", "deliveryFeeRate", "deliveryTime", "ask1Size", "bid1Price", "ask1Price",
    "bid1Size", "basis", "preOpenPrice", "preQty", "curPreListingPhase", "fundingIntervalHour", "basisRateYear",
    "fundingCap",
)




class ApiError(Exception):
    """A business refusal: HTTP 200 (rarely another status) with this retCode and retMsg."""

    def __init__(self, code: int, text: str, *, result: Any = None, status: int = 200) -> None:
        super().__init__(text)
        self.code = code
        self.result = {} if result is None else result
        self.status = status


def check_category(params: Params, text: str = "Illegal category") -> None:
    if params.get("category") != "linear":
        raise ApiError(10001, text)


def number(params: Params, name: str, default: int, largest: int) -> int:
    """An integer parameter; above `largest` it is cut, as Bybit does, below 1 or no number it is refused."""
    raw = params.get(name)
    if raw is None or raw == "":
        return default
    if not raw.isdigit() or int(raw) < 1:
        raise ApiError(10001, f"params error: {name} invalid")
    return min(int(raw), largest)


def instruments_info(rows: list[dict[str, Any]], params: Params) -> dict[str, Any]:
    """One page of `rows` (instruments-info objects), by symbol name, filtered. Other categories hold nothing here."""
    if params.get("category") in OTHER_CATEGORIES:
        return {"category": params["category"], "list": [], "nextPageCursor": ""}
    check_category(params)
    limit = number(params, "limit", 500, 1000)
    status = params.get("status") or "Trading"
    chosen = [row for row in rows if row["status"] == status]
    symbol, base = params.get("symbol"), params.get("baseCoin")
    if symbol:
        if not any(row["symbol"] == symbol for row in rows):
            raise ApiError(10001, f"params error: symbol invalid {symbol}")
        chosen = [row for row in (chosen if params.get("status") else rows) if row["symbol"] == symbol]
    if base:
        chosen = [row for row in chosen if row["baseCoin"] == base]
    chosen.sort(key=lambda row: row["symbol"])
    first = cursor_position(params.get("cursor") or "")
    page = chosen[first:first + limit]
    end = first + len(page)
    cursor = f"page_token%3D{end}%26" if end < len(chosen) else ""
    return {"category": "linear", "list": page, "nextPageCursor": cursor}


def cursor_position(cursor: str) -> int:
    """Position in a cursor, whether the client sent it back decoded or encoded once more."""
    text = cursor.replace("%3D", "=").replace("%26", "&")
    if not text:
        return 0
    token = text.removeprefix("page_token=").removesuffix("&")
    if not text.startswith("page_token=") or not token.isdigit():
        raise ApiError(10001, "params error: cursor invalid")
    return int(token)


class MarketAnswers:
    """The answers that depend on the moving market."""

    def __init__(self, exchange: SyntheticExchange) -> None:
        self._x = exchange
        self._values = np.zeros((len(exchange.market.symbols), len(TICKER_FIELDS)), np.int64)

    def _row(self, params: Params, text: str | None = None) -> int:
        symbol = params.get("symbol")
        if not symbol:
            raise ApiError(10001, "params error: Missing some parameters that must be filled in, symbol")
        row = self._x.row_of.get(symbol)
        if row is None or self._x.market.symbols[row].listed == 0:
            raise ApiError(10001, text or f"params error: symbol invalid {symbol}")
        return row

    def instruments(self, params: Params) -> dict[str, Any]:
        return instruments_info([instrument.answer for instrument in self._x.instruments], params)

    def orderbook(self, params: Params) -> dict[str, Any]:
        """The best `limit` levels of the 1000-level stream: what it last pushed, or the book now if nobody listens."""
        check_category(params)
        x, row = self._x, self._row(params)
        limit = number(params, "limit", 25, 1000)
        deep = len(DEPTHS) - 1
        if x.streams.active[deep, row] == 0:
            x.activate((deep, row))
            x.deactivate((deep, row))
        instrument, streams = x.instruments[row], x.streams
        sides = [
            [
                [text_of(int(ticks) * instrument.tick_mant, instrument.price_exp),
                 text_of(int(lots) * instrument.lot_mant, instrument.qty_exp)]
                for ticks, lots in streams.levels1000[row, which, : min(limit, int(streams.counts[deep, row, which]))]
            ]
            for which in (0, 1)
        ]
        return {
            "s": instrument.symbol, "b": sides[0], "a": sides[1], "ts": x.now_ms, "u": int(streams.u[deep, row]),
            "seq": int(streams.seq[deep, row]), "cts": int(streams.cts[deep, row]),
        }

    def tickers(self, params: Params) -> dict[str, Any]:
        check_category(params)
        x = self._x
        all_tickers(x.market, len(x.instruments), self._values)
        rows = [self._row(params)] if params.get("symbol") else [
            row for row in range(len(x.instruments)) if x.market.symbols[row].listed == 1
        ]
        base = params.get("baseCoin")
        found = [self._ticker(row) for row in rows if not base or x.instruments[row].answer["baseCoin"] == base]
        return {"category": "linear", "list": found}

    def _ticker(self, row: int) -> dict[str, str]:
        instrument = self._x.instruments[row]
        write = ticker_writers(instrument.tick_mant, instrument.price_exp, instrument.lot_mant, instrument.qty_exp)
        texts = {name: write[name](int(self._values[row, k])) for k, name in enumerate(TICKER_FIELDS[:23])}
        texts |= {"symbol": instrument.symbol, "deliveryTime": "0"}
        return {name: texts.get(name, "") for name in REST_TICKER_FIELDS}

    def kline(self, params: Params) -> dict[str, Any]:
        check_category(params, "params error: Category is invalid")
        row = self._row(params, "Not supported symbols")
        interval = params.get("interval") or ""
        if interval not in INTERVALS:
            raise ApiError(10001, "Invalid period!")
        limit = number(params, "limit", 200, 1000)
        end = number(params, "end", self._x.now_ms, 2**62)
        start = number(params, "start", 1, 2**62)
        return {
            "symbol": params["symbol"], "category": "linear",
            "list": self._candles(row, INTERVALS.index(interval), start, min(end, self._x.now_ms), limit),
        }

    def _candles(self, row: int, k: int, start_ms: int, end_ms: int, limit: int) -> list[list[str]]:
        """Candles whose start lies in [start_ms, end_ms], newest first."""
        x = self._x
        instrument, s = x.instruments[row], x.market.symbols[row]
        first_live = int(x.first_minute_ms[row])
        running = x.market.bars[row, k]
        kept = min(int(s.minute_head), x.market.minutes.shape[1])
        ring = np.arange(int(s.minute_head) - kept, int(s.minute_head)) % x.market.minutes.shape[1]
        minutes = x.market.minutes[row][ring]
        launch = int(instrument.answer["launchTime"])
        day_lots = max(1, int(s.volume24))
        found: list[list[str]] = []
        start, following = bar_bounds(end_ms, INTERVAL_MS[k])
        while len(found) < limit and start >= start_ms and following > launch:
            if start == running.start_ms:
                values = [int(running[name]) for name in ("open", "high", "low", "close", "lots", "turnover")]
            else:
                values = self._past_candle(row, start, following, first_live, minutes, day_lots)
            found.append(self._candle_text(instrument, start, values))
            start, following = bar_bounds(start - 1, INTERVAL_MS[k])
        return found

    def _past_candle(self, row: int, start: int, end: int, first_live: int, minutes: Any, day_lots: int) -> list[int]:
        """Open, high, low, close (ticks), lots, turnover of a closed candle: history, live minutes, or both."""
        tick = self._x.instruments[row].tick_size
        part = minutes[(minutes["start_ms"] >= start) & (minutes["start_ms"] < end)]
        parts: list[list[int]] = []
        if start < first_live:
            until = min(end, first_live)
            made = self._x.histories[row].bars(until - start, start, until)[0]
            lots = int(day_lots * (until - start) / 86_400_000 * (0.5 + (start // 60_000 * 2654435761 % 1000) / 1000))
            ticks = [max(1, round(value / tick)) for value in made]
            parts.append([*ticks, lots, lots * ticks[3]])
        parts.extend([int(m[name]) for name in ("open", "high", "low", "close", "lots", "turnover")] for m in part)
        if not parts:
            last = int(self._x.market.symbols[row].last_ticks)
            return [last, last, last, last, 0, 0]
        return [
            parts[0][0], max(p[1] for p in parts), min(p[2] for p in parts), parts[-1][3],
            sum(p[4] for p in parts), sum(p[5] for p in parts),
        ]

    @staticmethod
    def _candle_text(instrument: Any, start: int, values: list[int]) -> list[str]:
        prices = [short(value * instrument.tick_mant, instrument.price_exp) for value in values[:4]]
        volume = short(values[4] * instrument.lot_mant, instrument.qty_exp)
        scale = instrument.tick_mant * instrument.lot_mant
        return [str(start), *prices, volume, short(values[5] * scale, instrument.price_exp + instrument.qty_exp)]

    def recent_trade(self, params: Params) -> dict[str, Any]:
        check_category(params)
        x, row = self._x, self._row(params)
        limit = number(params, "limit", 500, 1000)
        instrument, head = x.instruments[row], int(x.market.symbols[row].trade_head)
        ring = x.market.trades[row]
        found = []
        for k in range(head - 1, max(-1, head - 1 - limit), -1):
            trade = ring[k % len(ring)]
            found.append({
                "execId": uuid_text(int(trade.id_high), int(trade.id_low)), "symbol": instrument.symbol,
                "price": text_of(int(trade.ticks) * instrument.tick_mant, instrument.price_exp),
                "size": text_of(int(trade.lots) * instrument.lot_mant, instrument.qty_exp),
                "side": "Buy" if trade.side > 0 else "Sell", "time": str(int(trade.ts_ms)), "isBlockTrade": False,
                "isRPITrade": False, "seq": str(int(trade.seq)),
            })
        return {"category": "linear", "list": found}


def short(mantissa: int, digits: int) -> str:
    """As candles write numbers: no trailing zeros."""
    text = text_of(mantissa, digits)
    return text.rstrip("0").rstrip(".") if "." in text else text


def uuid_text(high: int, low: int) -> str:
    """The id of a trade, as `put_uuid` writes it on the stream."""
    digits = f"{high:016x}{low:016x}"
    digits = f"{digits[:12]}5{digits[13:16]}{8 + (int(digits[16], 16) & 3):x}{digits[17:]}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def ticker_writers(tick_mant: int, price_exp: int, lot_mant: int, qty_exp: int) -> dict[str, Callable[[int], str]]:
    """How each integer of `ticker_now` becomes text."""

    def price(value: int) -> str:
        return text_of(value * tick_mant, price_exp)

    def size(value: int) -> str:
        return text_of(value * lot_mant, qty_exp)

    def fixed(digits: int) -> Callable[[int], str]:
        return lambda value: text_of(value, digits)

    rate = lambda value: short(value, 8)  # noqa: E731
    return {
        "tickDirection": lambda value: DIRECTIONS[value],
        "price24hPcnt": lambda value: text_of(value, 6) if value else "0",
        **dict.fromkeys(("lastPrice", "prevPrice24h", "highPrice24h", "lowPrice24h", "prevPrice1h"), price),
        "markPrice": fixed(price_exp), "indexPrice": fixed(price_exp),
        "openInterest": size, "openInterestValue": fixed(2), "turnover24h": fixed(4), "volume24h": fixed(4),
        "fundingIntervalHour": str, "fundingCap": rate, "singleOpenInterest": size, "singleOpenInterestValue": fixed(2),
        "nextFundingTime": str, "fundingRate": rate,
        "bid1Price": price, "bid1Size": size, "ask1Price": price, "ask1Size": size,
    }
