"""Instruments of the venue: what /v5/market/instruments-info answers, and the integers the market kernels need.

Three origins: invented from `names.py`, a recorded instruments-info answer (plain, .gz or .zst), or the decimals seen
in a tape. All give the same `Instrument`.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gateway.venue.errors import VenueError
from gateway.venue.names import REAL, SYLLABLES

LAUNCH_MS = 1_584_230_400_000  # launch time of the oldest real contract; invented ones follow it
MAX_PRICE_TICKS = 19_999_998  # the real answers' maxPrice is this many ticks
POSITION_LIMIT_USDT = 4_000_000.0  # an invented maxOrderQty is about this much


@dataclass(frozen=True)
class Instrument:
    """One contract: `answer` has the fields and key order of the real endpoint.

    A price string is `ticks * tick_mant / 10**price_exp` with price_exp decimals; quantities likewise.
    """

    symbol: str
    answer: dict[str, Any]
    tick_mant: int
    price_exp: int
    lot_mant: int
    qty_exp: int
    price: float  # a plausible start price, USDT

    @property
    def tick_size(self) -> float:
        return self.tick_mant / 10.0**self.price_exp

    @property
    def lot_size(self) -> float:
        return self.lot_mant / 10.0**self.qty_exp


def decimal(text: str) -> tuple[int, int]:
    """Mantissa and number of decimals of a plain decimal text: "0.10" -> (10, 2)."""
    head, _, tail = text.partition(".")
    return int(head + tail), len(tail)


def text_of(mantissa: int, digits: int) -> str:
    """The inverse of `decimal`: exactly `digits` decimals."""
    if digits == 0:
        return str(mantissa)
    sign = "-" if mantissa < 0 else ""
    body = str(abs(mantissa)).rjust(digits + 1, "0")
    return f"{sign}{body[:-digits]}.{body[-digits:]}"


def instrument_of(answer: dict[str, Any], price: float) -> Instrument:
    """An `Instrument` from one row of an instruments-info answer."""
    tick_mant, price_exp = decimal(answer["priceFilter"]["tickSize"])
    lot_mant, qty_exp = decimal(answer["lotSizeFilter"]["qtyStep"])
    if tick_mant <= 0 or lot_mant <= 0:
        raise VenueError(f"{answer['symbol']}: tickSize and qtyStep must be positive", "mend the instruments file")
    return Instrument(answer["symbol"], answer, tick_mant, price_exp, lot_mant, qty_exp, price)


def invent(base: str, price: float, tick: str, step: str, max_leverage: str, funding_min: int, number: int,
           launch_ms: int | None = None) -> Instrument:
    """An instrument with every field of the real answer; `number` gives symbolId and launch time."""
    tick_mant, price_exp = decimal(tick)
    lot_mant, qty_exp = decimal(step)
    lots = max(1000, int(POSITION_LIMIT_USDT / price / (lot_mant / 10**qty_exp)))
    lots = int(float(f"{lots:.2g}"))  # exchanges like round limits
    cap = "0.005" if number < 3 else ("0.01" if number < 60 else "0.02")
    ratio_x, ratio_y = ("0.01", "0.02") if number == 0 else (("0.05", "0.1") if number < 60 else ("0.15", "0.3"))
    answer = {
        "symbol": f"{base}USDT", "contractType": "LinearPerpetual", "status": "Trading", "baseCoin": base,
        "quoteCoin": "USDT", "launchTime": str(launch_ms or LAUNCH_MS + number * 86_400_000), "deliveryTime": "0",
        "deliveryFeeRate": "", "priceScale": str(price_exp),
        "leverageFilter": {"minLeverage": "1", "maxLeverage": max_leverage, "leverageStep": "0.01"},
        "priceFilter": {
            "minPrice": tick, "maxPrice": text_of(tick_mant * MAX_PRICE_TICKS, price_exp), "tickSize": tick,
        },
        "lotSizeFilter": {
            "maxOrderQty": text_of(lots * lot_mant, qty_exp), "minOrderQty": step, "qtyStep": step,
            "postOnlyMaxOrderQty": text_of(lots * lot_mant, qty_exp),
            "maxMktOrderQty": text_of(lots // 5 * lot_mant, qty_exp), "minNotionalValue": "5",
        },
        "unifiedMarginTrade": True, "fundingInterval": funding_min, "settleCoin": "USDT", "copyTrading": "both",
        "upperFundingRate": cap, "lowerFundingRate": f"-{cap}", "isPreListing": False, "preListingInfo": None,
        "riskParameters": {"priceLimitRatioX": ratio_x, "priceLimitRatioY": ratio_y}, "displayName": "",
        "symbolType": "" if number < 60 else "innovation", "forbidUplWithdrawal": False, "symbolId": 5 + number,
    }
    return Instrument(f"{base}USDT", answer, tick_mant, price_exp, lot_mant, qty_exp, price)


def invented_coin(number: int, random: np.random.Generator, launch_ms: int | None = None) -> Instrument:
    """A made-up coin with a price between 0.0005 and 50 USDT and a tick of 0.3 to 3 basis points."""
    count = len(SYLLABLES) // 2
    digits = number * 3571 % count**3  # a prime step: neighbours look different, no two are equal
    name = ""
    for _ in range(3):
        name += SYLLABLES[digits % count * 2:][:2]
        digits //= count
    price = float(np.exp(random.uniform(np.log(0.0005), np.log(50.0))))
    price_exp = max(0, int(np.ceil(-np.log10(price * 3e-4))))
    tick = text_of(1, price_exp)
    step = "0.1" if price > 5 else ("1" if price > 0.05 else "10")
    leverage = ("25.00", "50.00", "12.50")[int(random.integers(3))]
    return invent(name, round(price, price_exp), tick, step, leverage, 240, number, launch_ms)


def named_instruments(symbols: list[str], seed: int) -> list[Instrument]:
    """Instruments of these symbols, most active first: the known ones as they are, the others invented."""
    known = {f"{row[0]}USDT": invent(*row, number) for number, row in enumerate(REAL)}
    found = [instrument for symbol, instrument in known.items() if symbol in symbols]
    for symbol in dict.fromkeys(symbols):
        if symbol in known:
            continue
        base = symbol.removesuffix("USDT")
        if not symbol.endswith("USDT") or not base.isalnum() or not base.isupper() or len(symbol) > 20:
            raise VenueError(f"{symbol!r} is no name of a USDT perpetual", "use names like BTCUSDT, or a number")
        number = len(REAL) + len(found)
        draw = np.random.default_rng([seed, 80, *symbol.encode()])
        made = invented_coin(number, draw)
        answer = {**made.answer, "symbol": symbol, "baseCoin": base}
        found.append(instrument_of(answer, made.price))
    return found


def synthetic_instruments(count: int, seed: int) -> list[Instrument]:
    """The first `count` instruments of the synthetic exchange: real names, then invented ones by `seed`."""
    random = np.random.default_rng([seed, 77])
    rows = [invent(*row, number) for number, row in enumerate(REAL[:count])]
    rows.extend(invented_coin(number, random) for number in range(len(rows), count))
    return rows


def read_bytes(path: Path) -> bytes:
    """A whole file, unpacked by its ending (.gz, .zst); errors say cause and fix."""
    try:
        raw = path.read_bytes()
        if path.suffix == ".gz":
            return gzip.decompress(raw)
        if path.suffix == ".zst":
            import zstandard

            return zstandard.ZstdDecompressor().decompressobj().decompress(raw)
        return raw
    except (OSError, EOFError, ValueError) as error:
        raise VenueError(f"cannot read {path}: {error}", "give an existing, complete plain, .gz or .zst file") from None


def load_answer(path: Path) -> list[dict[str, Any]]:
    """Rows of a recorded instruments-info answer (the whole envelope, its `result`, or the bare list)."""
    try:
        found = json.loads(read_bytes(path))
    except ValueError as error:
        raise VenueError(f"{path} is not JSON: {error}", "give a recorded instruments-info answer") from None
    if isinstance(found, dict):
        found = found.get("result", found)
    if isinstance(found, dict):
        found = found.get("list")
    if not isinstance(found, list) or not found:
        raise VenueError(f"{path} holds no instruments", "give a recorded instruments-info answer with result.list")
    for row in found:
        if not isinstance(row, dict) or "symbol" not in row or "priceFilter" not in row or "lotSizeFilter" not in row:
            raise VenueError(f"{path}: a row lacks symbol, priceFilter or lotSizeFilter", "record the answer again")
    return found


def recorded_instruments(path: Path, count: int, seed: int, symbols: list[str] | None = None) -> list[Instrument]:
    """`count` USDT perpetuals (or those named) of a recorded answer, real favourites first, with plausible prices."""
    rows = [
        row for row in load_answer(path)
        if row.get("contractType", "LinearPerpetual") == "LinearPerpetual" and row.get("settleCoin", "USDT") == "USDT"
    ]
    prices = {f"{row[0]}USDT": row[1] for row in REAL}
    order = {symbol: rank for rank, symbol in enumerate(prices)}
    rows.sort(key=lambda row: order.get(row["symbol"], len(order)))
    if symbols:
        rows = [row for row in rows if row["symbol"] in symbols]
        count = len(set(symbols))
    if len(rows) < count:
        fix = f"ask for what it holds, for example --symbols {len(rows)}"
        raise VenueError(f"{path} holds {len(rows)} USDT perpetuals of those asked for, {count} asked", fix)
    random = np.random.default_rng([seed, 78])
    found = []
    for row in rows[:count]:
        ticks = float(np.exp(random.uniform(np.log(2500), np.log(30000))))
        tick_mant, price_exp = decimal(row["priceFilter"]["tickSize"])
        found.append(instrument_of(row, prices.get(row["symbol"], ticks * tick_mant / 10**price_exp)))
    return found


def tape_instrument(symbol: str, price_decimals: int, qty_decimals: int, price: float, number: int) -> Instrument:
    """An instrument guessed from the decimals of a tape's frames: tick and step are one unit of the last decimal."""
    base = symbol.removesuffix("USDT")
    made = invent(base, price, text_of(1, price_decimals), text_of(1, qty_decimals), "25.00", 480, number)
    return Instrument(symbol, {**made.answer, "symbol": symbol}, 1, price_decimals, 1, qty_decimals, price)
