"""Naive twin of both decoders: stdlib json and Decimal, one rule after the other, no speed, no cells."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any, NamedTuple

MS_MAX = 9_000_000_000_000
INTERVALS = {"1": 1, "3": 3, "5": 5, "15": 15, "30": 30, "60": 60, "120": 120, "240": 240, "360": 360, "720": 720}
INTERVALS |= {"D": 1440, "W": 10080, "M": 43200}
IGNORED = ("orderbook.rpi.", "orderbook.full.", "priceLimit.", "insurance.", "adlAlert.")
PRIVATE = "system.status order execution position wallet greeks dcp.future order.linear execution.linear execution.fast"
PRIVATE_TOPICS = set(PRIVATE.split()) | {"execution.fast.linear", "position.linear"}


class Symbol(NamedTuple):
    id: int
    tick: Decimal
    lot: Decimal


class Event(NamedTuple):
    """What the cells must say. Items: levels (price, qty), trades (price, qty, ns, side, flags), candles, ticker fields."""

    kind: str
    symbol: int
    ts_exch_ns: int
    u: int
    xseq: int
    depth: int
    bids: list[Any]
    asks: list[Any]


class Refused(Exception):
    """Carries the outcome's name."""


def _check(condition: bool, outcome: str = "REJECTED") -> None:
    if not condition:
        raise Refused(outcome)


def _object(value: Any) -> dict[str, Any]:
    _check(isinstance(value, dict))
    return value


def _integer(value: Any, top: int = 2**63 - 1) -> int:
    _check(isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= top)
    return value


def _text(value: Any) -> str:
    _check(isinstance(value, str))
    return value


def _steps(value: Any, step: Decimal) -> int:
    text = _text(value)
    _check(re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,12})?", text) is not None)
    number = Decimal(text)
    exp = max(-step.normalize().as_tuple().exponent, 0)  # type: ignore[operator]
    _check(number == round(number, exp), "OFF_GRID")
    _check(number * 10**exp < 10**18)
    _check(number % step == 0, "OFF_GRID")
    return int(number / step)


def _price(value: Any, symbol: Symbol) -> int:
    ticks = _steps(value, symbol.tick)
    _check(ticks > 0)
    return ticks


def _fixed(value: Any, exp: int, signed: bool = False) -> int:
    text = _text(value)
    _check(re.fullmatch(("-?" if signed else "") + r"[0-9]{1,15}(\.[0-9]{1,18})?", text) is not None)
    scaled = int(Decimal(text) * 10**exp)
    _check(abs(scaled) < 10**18)
    return scaled


def _trades(items: list[Any], name: str, symbol: Symbol, is_liquidation: bool) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    for item in map(_object, items):
        ns = _integer(item.get("T"), MS_MAX) * 10**6
        texts = [_text(item.get(key)) for key in "sSvp"]
        _check(texts[1] in ("Buy", "Sell"))
        flags = seq = 0
        if not is_liquidation:
            for bit, key in ((1, "BT"), (2, "RPI")):
                _check(isinstance(item.get(key, False), bool))
                flags |= bit * item.get(key, False)
            seq = _integer(item.get("seq", 0))
        rows.append((ns, *texts, flags, seq))
    trades = []
    for ns, item_symbol, side, size, price, bits, cross in rows:
        _check(item_symbol == name)
        qty = _steps(size, symbol.lot)
        _check(qty > 0)
        trades.append((_price(price, symbol), qty, ns, 1 if side == "Buy" else -1, bits, cross))
    return trades


def _candles(items: list[Any], symbol: Symbol) -> list[tuple[int, ...]]:
    for item in map(_object, items):
        _integer(item.get("start"), MS_MAX)
        _check(isinstance(item.get("confirm"), bool))
        for key in ("open", "high", "low", "close", "volume", "turnover"):
            _text(item.get(key))
    candles = []
    for item in items:
        prices = [_price(item[key], symbol) for key in ("open", "high", "low", "close")]
        sums = _fixed(item["volume"], 4), _fixed(item["turnover"], 4)
        candles.append((item["start"] * 10**6, *prices, *sums, int(item["confirm"])))
    return candles


def _ticker(data: Any, symbol: Symbol) -> dict[str, int]:
    found: dict[str, int] = {}
    for key in data:
        _check(key not in TICKER_KEYS or isinstance(data[key], str))
    for key, (field, form, exp) in TICKER_KEYS.items():
        text = data.get(key, "")
        if text == "":
            continue
        if form == "price":
            if ticks := _steps(text, symbol.tick):
                found[field] = ticks
        elif form == "qty":
            found[field] = _steps(text, symbol.lot)
        elif form == "time":
            _check(re.fullmatch("[0-9]{1,13}", text) is not None and int(text) <= MS_MAX)
            found[field] = int(text) * 10**6
        else:
            found[field] = _fixed(text, exp, form == "signed")
    return found


TICKER_KEYS = {
    "lastPrice": ("last_ticks", "price", 0),
    "bid1Price": ("bid_ticks", "price", 0),
    "ask1Price": ("ask_ticks", "price", 0),
    "bid1Size": ("bid_lots", "qty", 0),
    "ask1Size": ("ask_lots", "qty", 0),
    "markPrice": ("mark_e10", "fixed", 10),
    "indexPrice": ("index_e10", "fixed", 10),
    "openInterest": ("open_interest_e4", "fixed", 4),
    "turnover24h": ("turnover24h_e4", "fixed", 4),
    "volume24h": ("volume24h_e4", "fixed", 4),
    "fundingRate": ("funding_rate_e10", "signed", 10),
    "nextFundingTime": ("next_funding_ns", "time", 0),
    "price24hPcnt": ("price24h_pcnt_e8", "signed", 8),
}


def _control(frame: dict[str, Any]) -> None:
    _check(isinstance(frame.get("op", ""), str))
    _check(frame.get("success") is None or isinstance(frame["success"], bool))
    code = frame.get("retCode")
    _check(code is None or (isinstance(code, int) and not isinstance(code, bool)))
    for key in ("ret_msg", "conn_id", "req_id", "retMsg", "reqId"):
        _check(frame.get(key) is None or isinstance(frame[key], str))
    _check(bool(frame.get("op")) or frame.get("success") is not None or code is not None)


def _parse(raw: bytes) -> dict[str, Any]:
    def constant(text: str) -> Any:
        raise ValueError(text)

    try:
        frame = json.loads(raw.decode("utf-8"), parse_constant=constant, parse_int=lambda s: int(s[:40]), parse_float=float)
        json.dumps(frame, ensure_ascii=False).encode("utf-8")  # lone surrogates
    except (ValueError, RecursionError) as error:
        raise Refused("REJECTED") from error
    return _object(frame)


def decode(raw: bytes, symbols: dict[str, Symbol]) -> tuple[str, Event | None]:
    """-> (name of the Outcome, the event where DECODED)."""
    try:
        return _decode(raw, symbols)
    except Refused as refused:
        return str(refused), None


def _decode(raw: bytes, symbols: dict[str, Symbol]) -> tuple[str, Event | None]:
    frame = _parse(raw)
    for key in ("topic", "type"):
        _check(isinstance(frame.get(key, ""), str))
    for key, top in (("ts", MS_MAX), ("cts", MS_MAX), ("cs", 2**63 - 1)):
        _integer(frame.get(key, 0), top)
    if "topic" not in frame:
        _control(frame)
        return "OTHER", None
    parts = frame["topic"].split(".")
    if frame["topic"] in PRIVATE_TOPICS or frame["topic"].startswith(IGNORED):
        return "OTHER", None
    family, name, depth = parts[0], parts[-1], 0
    if family == "orderbook":
        _check(len(parts) == 3 and re.fullmatch("[1-9][0-9]{0,3}", parts[1]) is not None, "UNKNOWN_TOPIC")
        depth = int(parts[1])
    elif family == "kline":
        _check(len(parts) == 3 and parts[1] in INTERVALS, "UNKNOWN_TOPIC")
    else:
        _check(len(parts) == 2 and family in ("publicTrade", "tickers", "allLiquidation"), "UNKNOWN_TOPIC")
    _check(bool(name), "UNKNOWN_TOPIC")
    _check(name in symbols, "UNKNOWN_SYMBOL")
    symbol = symbols[name]
    _check("ts" in frame and "data" in frame)
    data, ts_ns = frame["data"], frame["ts"] * 10**6
    if family in ("orderbook", "tickers"):
        _check(frame.get("type") in ("snapshot", "delta"))
        data = _object(data)
        _check(data.get("s" if family == "orderbook" else "symbol") == name)
    else:
        _check(isinstance(data, list) and len(data) > 0)
    if family == "orderbook":
        sides = []
        u, seq = _integer(data.get("u")), _integer(data.get("seq"))
        for key in "ba":
            _check(isinstance(data.get(key), list))
            for level in data[key]:
                _check(isinstance(level, list) and len(level) == 2 and all(isinstance(x, str) for x in level))
        for key in "ba":
            sides.append([(_price(price, symbol), _steps(qty, symbol.lot)) for price, qty in data[key]])
        kind = "BOOK_DELTA" if frame["type"] == "delta" else "BOOK_SNAPSHOT"
        ts_ns = frame.get("cts", frame["ts"]) * 10**6
        return "DECODED", Event(kind, symbol.id, ts_ns, u, seq, depth, *sides)
    if family == "tickers":
        fields = _ticker(data, symbol)
        if "cs" in frame:
            fields["cs"] = frame["cs"]
        return "DECODED", Event("TICKER", symbol.id, ts_ns, 0, frame.get("cs", 0), 0, [fields], [])
    if family == "kline":
        return "DECODED", Event("KLINE", symbol.id, ts_ns, INTERVALS[parts[1]], 0, 0, _candles(data, symbol), [])
    is_liquidation = family == "allLiquidation"
    trades = _trades(data, name, symbol, is_liquidation)
    items = [trade[:5] for trade in trades]
    if is_liquidation:
        return "DECODED", Event("LIQUIDATION", symbol.id, ts_ns, 0, 0, 0, items, [])
    return "DECODED", Event("TRADES", symbol.id, trades[-1][2], 0, trades[-1][5], 0, items, [])
