"""What the admin process knows at one moment: copies of the boards plus ready-made rows for pages. Immutable once made."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np

from core.risk.policy import BLACKLISTED

_SAFE_NAME = re.compile(r"^[A-Z0-9]{2,24}$")


@dataclass(frozen=True)
class SymbolInfo:
    """An instrument as pages need it; prices are `ticks * tick_mant / 10**price_exp`, exactly."""

    id: int
    name: str
    category: int
    shard: int
    tick_mant: int
    price_exp: int
    lot_mant: int
    qty_exp: int
    blacklisted: bool = False

    def price(self, ticks: int) -> str:
        """Exact decimal text of a price in ticks."""
        return fixed(ticks * self.tick_mant, self.price_exp)

    def quantity(self, lots: int) -> str:
        """Exact decimal text of a quantity in lots."""
        return fixed(lots * self.lot_mant, self.qty_exp)

    def as_json(self) -> dict:
        return {"id": self.id, "name": self.name, "category": self.category, "shard": self.shard,
                "tick_mant": self.tick_mant, "price_exp": self.price_exp,
                "lot_mant": self.lot_mant, "qty_exp": self.qty_exp}


def fixed(mantissa: int, exponent: int) -> str:
    """`mantissa / 10**exponent` as text with exactly `exponent` decimals, without going through a float."""
    sign = "-" if mantissa < 0 else ""
    digits = str(abs(int(mantissa))).rjust(exponent + 1, "0")
    return sign + (f"{digits[:-exponent]}.{digits[-exponent:]}" if exponent > 0 else digits)


def symbol_info(record: np.ndarray) -> SymbolInfo:
    """A SYMBOL record as SymbolInfo. A name that is not a symbol's is replaced by its id: names come from the wire."""
    text = bytes(record["name"]).rstrip(b"\0").decode("ascii", "replace")
    number = int(record["id"])
    return SymbolInfo(number, text if _SAFE_NAME.match(text) else f"ID{number}", int(record["category"]),
                      int(record["shard"]), int(record["tick_mant"]), int(record["price_exp"]),
                      int(record["lot_mant"]), int(record["qty_exp"]), bool(int(record["flags"]) & BLACKLISTED))


@dataclass(frozen=True)
class Snapshot:
    """One look at the plant.

    `ids` int64 (n,): listed symbols, ascending; `rows` SYMBOL_ROW (n,), aligned with `ids`; `seen_ms` int64 (n,):
    server milliseconds (since `Views.base_ns`) of the last noticed event, -1 = none; `positions` POSITION_ROW (m,);
    `account` ACCOUNT_ROW (1,).
    """

    wall_ns: int
    mono_ns: int
    now_ms: int
    symbols: dict[int, SymbolInfo]
    ids: np.ndarray
    rows: np.ndarray
    seen_ms: np.ndarray
    positions: np.ndarray
    account: np.ndarray
    control: dict
    processes: list[dict]
    stages: list[dict]
    rings: list[dict]
    counters: dict[str, dict[str, int]] = field(default_factory=dict)
    global_regime: dict = field(default_factory=dict)

    def by_name(self, name: str) -> SymbolInfo | None:
        """The listed symbol of that name; also accepts BTC/USDT:USDT and BTCUSDT-LINEAR."""
        wanted = name.upper().removesuffix("-LINEAR").split(":")[0].replace("/", "")
        for info in self.symbols.values():
            if info.name == wanted:
                return info
        return None

    def place(self, symbol: int) -> int:
        """Index of a symbol in `rows`, -1 = not there."""
        at = int(np.searchsorted(self.ids, symbol))
        return at if at < len(self.ids) and int(self.ids[at]) == symbol else -1
