"""The universe: which instruments we trade, in which category, on which shard.

Pure: REST answers in, SYMBOL records and changes out. Ids are given once, in order of name at the start and appended
afterwards; they are never reused within a run, so an id in a journal always means the same symbol.

    answer of instruments-info --parse--> Instrument --Universe.start / refresh--> Changes(listed, updated, delisted)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from config.schema import Fees, Symbols
from core.enums import Category
from core.records import SYMBOL

MAX_SYMBOLS = 1024
FLAG_NEW_LISTING = 1
FLAG_BLACKLISTED = 2
_DECIMAL = re.compile(r"^\d{1,15}(\.\d{1,15})?$")
_NAME = re.compile(r"^[A-Za-z0-9._-]{1,24}$")
_MASK64 = (1 << 64) - 1


class UniverseError(ValueError):
    """An answer that must not change the universe; the message says why."""


def fnv1a64(name: bytes) -> int:
    """FNV-1a, 64 bit: the identity of a symbol in digests (http://www.isthe.com/chongo/tech/comp/fnv/)."""
    value = 0xCBF29CE484222325
    for byte in name:
        value = ((value ^ byte) * 0x100000001B3) & _MASK64
    return value


def parse_decimal(text: str) -> tuple[int, int]:
    """Decimal text to (mantissa, decimals as written): "0.10" -> (10, 2). Raises UniverseError for anything else."""
    if not _DECIMAL.match(text):
        raise UniverseError(f"not a decimal number: {text!r}")
    whole, _, fraction = text.partition(".")
    return int(whole + fraction), len(fraction)


@dataclass(frozen=True)
class Instrument:
    """An instrument of instruments-info; sizes in lots, tick and lot as mantissa and decimals."""

    name: str
    trading: bool
    tick: tuple[int, int]
    lot: tuple[int, int]
    min_qty_lots: int = 1
    max_qty_lots: int = 1 << 40
    max_market_lots: int = 1 << 40
    min_notional_e8: int = 500_000_000
    max_leverage_e2: int = 2500
    price_limit_x_e8: int = 1_000_000
    price_limit_y_e8: int = 2_000_000
    funding_interval_min: int = 480


def _scaled(text: str, decimals: int) -> int:
    """Decimal text as an integer in 10^-decimals, extra digits cut off; "" is 0."""
    if not text:
        return 0
    mantissa, digits = parse_decimal(text)
    return mantissa * 10 ** (decimals - digits) if digits <= decimals else mantissa // 10 ** (digits - decimals)


def _lots(text: str, lot: tuple[int, int]) -> int:
    """Decimal quantity to whole lots, rounded down."""
    mantissa, digits = parse_decimal(text)
    scale = max(digits, lot[1])
    return (mantissa * 10 ** (scale - digits)) // (lot[0] * 10 ** (scale - lot[1]))


def parse_instrument(item: Mapping[str, Any]) -> Instrument | None:
    """One element of `result.list`; None when it is not a USDT linear perpetual. Raises UniverseError when malformed."""
    try:
        if item["contractType"] != "LinearPerpetual" or item["settleCoin"] != "USDT":
            return None
        name = item["symbol"]
        if not isinstance(name, str) or not _NAME.match(name):
            raise UniverseError(f"unusable symbol name {name!r}")
        sizes, prices = item["lotSizeFilter"], item["priceFilter"]
        mantissa, digits = parse_decimal(prices["tickSize"])
        scale = max(digits, int(item.get("priceScale") or 0))
        lot = parse_decimal(sizes["qtyStep"])
        if mantissa <= 0 or lot[0] <= 0 or scale > 15 or lot[1] > 15:
            raise UniverseError(f"{name}: tick or lot is not positive or has too many decimals")
        risk = item.get("riskParameters") or {}
        return Instrument(
            name=name,
            trading=item["status"] == "Trading",
            tick=(mantissa * 10 ** (scale - digits), scale),
            lot=lot,
            min_qty_lots=max(1, _lots(sizes["minOrderQty"], lot)),
            max_qty_lots=_lots(sizes["maxOrderQty"], lot),
            max_market_lots=_lots(sizes["maxMktOrderQty"], lot),
            min_notional_e8=_scaled(sizes.get("minNotionalValue") or "", 8),
            max_leverage_e2=_scaled(item["leverageFilter"]["maxLeverage"], 2),
            price_limit_x_e8=_scaled(risk.get("priceLimitRatioX") or "", 8),
            price_limit_y_e8=_scaled(risk.get("priceLimitRatioY") or "", 8),
            funding_interval_min=int(item.get("fundingInterval") or 0),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise UniverseError(f"instrument {item.get('symbol', '?')!r} lacks or mistypes a field: {error!r}") from None


def parse_answer(answer: Mapping[str, Any]) -> tuple[list[Instrument], list[str]]:
    """Instruments of one instruments-info answer and the reasons of those that were refused.

    Raises UniverseError when the answer itself is not one (retCode, shape).
    """
    items = answer_list(answer)
    instruments: list[Instrument] = []
    refused: list[str] = []
    for item in items:
        try:
            instrument = parse_instrument(item)
        except UniverseError as error:
            refused.append(str(error))
            continue
        if instrument is not None:
            instruments.append(instrument)
    return instruments, refused


def answer_list(answer: Mapping[str, Any]) -> list[Any]:
    """`result.list` of a REST answer; raises UniverseError when retCode is not 0 or the shape is wrong."""
    if not isinstance(answer, Mapping) or answer.get("retCode") != 0:
        detail = answer.get("retMsg") if isinstance(answer, Mapping) else answer
        raise UniverseError(f"the exchange refused the request: {detail!r}")
    result = answer.get("result")
    items = result.get("list") if isinstance(result, Mapping) else None
    if not isinstance(items, list):
        raise UniverseError("answer without result.list")
    return [item for item in items if isinstance(item, Mapping)]


def paginate(fetch: Callable[[str], Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """All pages of a listing; `fetch(cursor)` gets one, the cursor goes back exactly as received.

    Ends at an empty list, an empty cursor, or a cursor seen before: real last pages carry a non-empty cursor.
    """
    pages: list[Mapping[str, Any]] = []
    seen: set[str] = set()
    cursor = ""
    while True:
        answer = fetch(cursor)
        items = answer_list(answer)
        if not items:
            return pages
        pages.append(answer)
        cursor = answer["result"].get("nextPageCursor") or ""
        if not cursor or cursor in seen:
            return pages
        seen.add(cursor)


def load_instruments(data: bytes) -> list[Instrument]:
    """Instruments of a recorded instruments-info answer (bytes of JSON). Raises UniverseError."""
    try:
        answer = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UniverseError(f"not JSON: {error}") from None
    instruments, _ = parse_answer(answer)
    if not instruments:
        raise UniverseError("no USDT linear perpetual in it")
    return instruments


def parse_turnover(answer: Mapping[str, Any]) -> dict[str, float]:
    """24 h turnover by symbol, from a tickers answer; symbols without a usable number are left out."""
    turnover = {}
    for item in answer_list(answer):
        text = item.get("turnover24h")
        if isinstance(item.get("symbol"), str) and isinstance(text, str) and _DECIMAL.match(text):
            turnover[item["symbol"]] = float(text)
    return turnover


def parse_tiers(answer: Mapping[str, Any]) -> dict[str, int]:
    """Maintenance margin rate (1e-8) of the lowest risk tier by symbol, from a risk-limit answer; malformed rows are left
    out. Raises UniverseError.

    Rate = maintenance / initial margin / largest leverage: the two margins come in percent or as fractions, and their
    quotient is the same either way.
    """
    tiers = {}
    for item in answer_list(answer):
        try:
            if int(item["isLowestRisk"]) != 1 or not isinstance(item["symbol"], str):
                continue
            (part, part_digits), (whole, whole_digits), (most, most_digits) = (
                parse_decimal(item[name]) for name in ("maintenanceMargin", "initialMargin", "maxLeverage")
            )
            rate_e8 = 10**8 * part * 10 ** (whole_digits + most_digits) // (whole * most * 10**part_digits)
        except (KeyError, TypeError, ValueError, ZeroDivisionError):
            continue
        if 0 < rate_e8 < 10**8:
            tiers[item["symbol"]] = rate_e8
    return tiers


@dataclass(frozen=True)
class Selector:
    """Which symbols a run wants: all, the busiest `count`, or `names`."""

    count: int | None = None
    names: frozenset[str] | None = None

    @classmethod
    def parse(cls, text: str | int | Sequence[str] | None) -> Selector:
        """"" or None or "all": everything; "40" or 40: the 40 busiest; "BTCUSDT,ETHUSDT": exactly those."""
        if text is None or text == "" or text == "all":
            return cls()
        if isinstance(text, int):
            return cls(count=text)
        if not isinstance(text, str):
            return cls.parse(",".join(text))
        if text.strip().isdigit():
            return cls(count=int(text))
        return cls(names=frozenset(name.strip() for name in text.split(",") if name.strip()))


@dataclass
class Changes:
    """Ids touched by one answer, in ascending order."""

    listed: list[int] = field(default_factory=list)
    updated: list[int] = field(default_factory=list)
    delisted: list[int] = field(default_factory=list)
    regridded: list[int] = field(default_factory=list)  # subset of updated: tick or lot changed, the book must restart

    def __bool__(self) -> bool:
        return bool(self.listed or self.updated or self.delisted)


class Universe:
    """The symbol table of a run. `records` has one SYMBOL row per id, `count` rows are in use."""

    def __init__(self, symbols: Symbols, fees: Fees, selector: Selector, shards: int) -> None:
        self.symbols = symbols
        self.fees = fees
        self.selector = selector
        self.shards = shards
        self.records = np.zeros(MAX_SYMBOLS, SYMBOL.dtype)
        self.count = 0
        self.ids: dict[str, int] = {}
        self._instruments: dict[str, Instrument] = {}
        self._known: set[str] = set()

    @property
    def limit(self) -> int:
        return min(self.symbols.limit, MAX_SYMBOLS)

    def name(self, symbol: int) -> str:
        return bytes(self.records["name"][symbol]).rstrip(b"\0").decode()

    def is_trading(self, symbol: int) -> bool:
        return bool(self.records["status"][symbol] == 1)

    def adopt(self, records: np.ndarray) -> None:
        """Take over the rows (SYMBOL[n]) of a gateway that ended in this run: ids and shards stay what they were.

        Adopted symbols are not trading until `start` finds them in the exchange's answer.
        """
        self.records[: len(records)] = records
        self.records["status"][: len(records)] = 0
        self.count = len(records)
        self.ids = {self.name(symbol): symbol for symbol in range(self.count)}

    def start(
        self,
        instruments: Iterable[Instrument],
        turnover: Mapping[str, float],
        now_ns: int,
        depths: Mapping[str, int] | None = None,
    ) -> Changes:
        """First answer: choose, sort by name, give ids, categories and shards.

        `depths` overrides the configured driving depth by symbol (tapes). Raises UniverseError when nothing is left.
        """
        trading = {i.name: i for i in instruments if i.trading}
        self._known = set(trading)
        chosen = self._choose(trading, turnover)
        chosen += [name for name in self.ids if name in trading and name not in chosen]
        if not chosen:
            wanted = ", ".join(sorted(self.selector.names)) if self.selector.names else "any symbol"
            raise UniverseError(f"none of the {len(trading)} trading USDT perpetuals matches the selection ({wanted})")
        by_turnover = sorted(chosen, key=lambda name: (-turnover.get(name, 0.0), name))
        rank = {name: place for place, name in enumerate(by_turnover)}
        normal = set([name for name in by_turnover if name not in self.symbols.prime][: self.symbols.normal_count])
        changes = Changes()
        for name in sorted(chosen):
            if name in self.ids:
                self._relist_or_append(trading[name], now_ns, changes)
                continue
            category = Category.NORMAL if name in normal else Category.WILD
            symbol = self._append(trading[name], category, rank[name] % self.shards, now_ns, 0)
            if depths and name in depths:
                self.records["depth"][symbol] = depths[name]
            changes.listed.append(symbol)
        changes.listed.sort()
        return changes

    def refresh(self, instruments: Iterable[Instrument], now_ns: int) -> Changes:
        """A later answer. Raises UniverseError for one in which most of our symbols vanished: that is no delisting."""
        fresh = {i.name: i for i in instruments}
        active = [name for name, symbol in self.ids.items() if self.is_trading(symbol)]
        gone = [name for name in active if name not in fresh]
        if len(gone) > max(1, len(active) // 2):
            raise UniverseError(f"{len(gone)} of {len(active)} symbols are missing in the answer: ignored")
        changes = Changes()
        for name in sorted(active):
            instrument = fresh.get(name)
            symbol = self.ids[name]
            if instrument is None or not instrument.trading:
                self.records["status"][symbol] = 0
                changes.delisted.append(symbol)
            elif instrument != self._instruments[name]:
                old = self._instruments[name]
                self._fill(symbol, instrument)
                changes.updated.append(symbol)
                if (old.tick, old.lot) != (instrument.tick, instrument.lot):
                    changes.regridded.append(symbol)
        for name in sorted(fresh):
            if fresh[name].trading and name not in active and self._wants(name):
                self._relist_or_append(fresh[name], now_ns, changes)
        self._known.update(name for name, i in fresh.items() if i.trading)
        changes.listed.sort()
        return changes

    def _relist_or_append(self, instrument: Instrument, now_ns: int, changes: Changes) -> None:
        symbol = self.ids.get(instrument.name)
        if symbol is not None:
            self._fill(symbol, instrument)
            self.records["status"][symbol] = 1
            changes.listed.append(symbol)
        elif self.count < self.limit:
            active = self.records[: self.count][self.records["status"][: self.count] == 1]
            load = np.bincount(active["shard"], minlength=self.shards)
            shard = int(np.argmin(load[: self.shards]))
            changes.listed.append(self._append(instrument, Category.WILD, shard, now_ns, FLAG_NEW_LISTING))

    def _wants(self, name: str) -> bool:
        """May `name` come in after the start? A symbol that was there and not chosen stays out."""
        if self.selector.names is not None:
            return name in self.selector.names
        return name in self.ids or name not in self._known

    def _choose(self, trading: Mapping[str, Instrument], turnover: Mapping[str, float]) -> list[str]:
        if self.selector.names is not None:
            return [name for name in trading if name in self.selector.names]
        prime = [name for name in self.symbols.prime if name in trading]
        rest = sorted((n for n in trading if n not in prime), key=lambda n: (-turnover.get(n, 0.0), n))
        count = self.limit if self.selector.count is None else min(self.selector.count, self.limit)
        return (prime + rest)[:count]

    def _append(self, instrument: Instrument, category: Category, shard: int, now_ns: int, flags: int) -> int:
        symbol = self.count
        row = self.records[symbol]
        row["id"] = symbol
        name = instrument.name.encode()
        row["name"][: len(name)] = np.frombuffer(name, np.uint8)
        row["name_hash"] = fnv1a64(name)
        row["shard"] = shard
        row["category"] = self._category(instrument.name, category)
        row["depth"] = self.symbols.depth[int(row["category"])]
        row["status"] = 1
        row["listed_ns"] = now_ns
        row["flags"] = flags
        row["maker_fee_e8"] = round(self.fees.maker_pct * 1e6)
        row["taker_fee_e8"] = round(self.fees.taker_pct * 1e6)
        self.count += 1
        self.ids[instrument.name] = symbol
        self._fill(symbol, instrument)
        return symbol

    def _category(self, name: str, category: Category) -> int:
        override = self.symbols.overrides.get(name)
        if override is not None and override.category is not None:
            return int(Category[override.category])
        return int(Category.PRIME if name in self.symbols.prime else category)

    def take_tiers(self, tiers: Mapping[str, int]) -> list[int]:
        """Maintenance margin rates (parse_tiers) into the records; the ids whose record changed, ascending."""
        changed = []
        for name, rate_e8 in tiers.items():
            symbol = self.ids.get(name)
            if symbol is not None and self.records[symbol]["maintenance_e8"] != rate_e8:
                self.records[symbol]["maintenance_e8"] = rate_e8
                changed.append(symbol)
        return sorted(changed)

    def _fill(self, symbol: int, instrument: Instrument) -> None:
        """The part of the record that the exchange decides."""
        row = self.records[symbol]
        self._instruments[instrument.name] = instrument
        row["tick_mant"], row["price_exp"] = instrument.tick
        row["lot_mant"], row["qty_exp"] = instrument.lot
        row["tick_size"] = instrument.tick[0] / 10 ** instrument.tick[1]
        row["lot_size"] = instrument.lot[0] / 10 ** instrument.lot[1]
        for name in (
            "min_qty_lots", "max_qty_lots", "max_market_lots", "min_notional_e8",
            "price_limit_x_e8", "price_limit_y_e8", "funding_interval_min",
        ):
            row[name] = getattr(instrument, name)
        override = self.symbols.overrides.get(instrument.name)
        leverage = instrument.max_leverage_e2
        if override is not None and override.max_leverage is not None:
            leverage = min(leverage, round(override.max_leverage * 100))
        row["max_leverage_e2"] = leverage
        blacklisted = instrument.name in self.symbols.blacklist or (override is not None and override.blacklisted)
        row["flags"] = (int(row["flags"]) & ~FLAG_BLACKLISTED) | (FLAG_BLACKLISTED if blacklisted else 0)
