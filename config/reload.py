"""Hot reload: which changes may take effect while the plant runs. Pure: the caller swaps the result in, or keeps the old."""

from __future__ import annotations

from typing import Any

import msgspec

from config.load import ConfigError
from config.schema import HOT_SECTIONS, Settings


def flatten(settings: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted key -> value for every setting."""
    rows: dict[str, Any] = {}
    for name in settings.__struct_fields__:
        value, key = getattr(settings, name), f"{prefix}{name}"
        if isinstance(value, msgspec.Struct):
            rows.update(flatten(value, f"{key}."))
        else:
            rows[key] = value
    return rows


def changes(old: Settings, new: Settings) -> dict[str, tuple[Any, Any]]:
    """Every key whose value differs: key -> (old, new)."""
    before, after = flatten(old), flatten(new)
    return {key: (before[key], after[key]) for key in after if before[key] != after[key]}


def is_hot(key: str) -> bool:
    """True when the key may change without a restart."""
    return any(key == section or key.startswith(section + ".") for section in HOT_SECTIONS)


def check_hot(old: Settings, new: Settings) -> dict[str, tuple[Any, Any]]:
    """The changes, when all of them may be swapped in now.

    Raises ConfigError naming every key that needs a restart: nothing is applied in part.
    """
    diff = changes(old, new)
    cold = [key for key in diff if not is_hot(key)]
    if cold:
        raise ConfigError([f"`{key}` needs a restart ({diff[key][0]!r} -> {diff[key][1]!r})." for key in cold])
    return diff


LOOSER_HIGHER: tuple[str, ...] = (
    "trading.account.leverage", "trading.account.margin_per_trade_usdt", "trading.account.max_positions",
    "safety.limits.daily_loss_pct", "safety.limits.max_heat_pct", "safety.limits.max_unrealised_loss_pct",
    "safety.limits.risk_per_trade_pct", "safety.limits.max_correlated_pct", "safety.limits.max_leverage",
    "safety.limits.max_notional_usdt", "safety.limits.max_category_positions", "safety.limits.max_orders_per_minute",
    "safety.limits.churn_orders", "safety.limits.churn_round_trips", "safety.limits.collar_bps", "safety.limits.max_adl_rank",
    "skip.to_hour_utc", "skip.volatility_index_max",
)
LOOSER_LOWER: tuple[str, ...] = (
    "trading.account.min_balance_usdt", "safety.limits.min_margin_ratio_pct", "safety.limits.liquidation_stops",
    "safety.limits.open_liquidation_bps", "skip.enabled", "skip.from_hour_utc",
)
"""Limits, by the direction in which they allow more."""


def _higher(old: Any, new: Any) -> bool:
    """Is any of the numbers higher?"""
    pairs = zip(old, new, strict=True) if isinstance(old, tuple) else [(old, new)]
    return any(after > before for before, after in pairs)


def loosened(old: Settings, new: Settings) -> list[str]:
    """Keys of limits that would allow more than before. In LIVE they need a new start, which asks for the PIN again."""
    diff = changes(old, new)
    found = [key for key in LOOSER_HIGHER if key in diff and _higher(*diff[key])]
    found += [key for key in LOOSER_LOWER if key in diff and _higher(*reversed(diff[key]))]
    weekdays = diff.get("skip.weekdays")
    if weekdays is not None and set(weekdays[1]) - set(weekdays[0]):
        found.append("skip.weekdays")
    return found
