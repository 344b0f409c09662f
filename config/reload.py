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
