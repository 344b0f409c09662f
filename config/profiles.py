"""Symbol profiles (requirement A2): what a symbol's own history does to its entries. A file of the data folder, not a setting.

    {"symbols": {"DOGEUSDT": {"raise_points": 6.0, "size": 0.5, "blacklisted": false, "trades": 31, "win_rate": 0.42}}}

The file is read at the start and at every reload; what it says travels as PROFILE events, so that a replay sees the same.
Further keys (statistics) are kept by their writer and not looked at here.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct, field

from config.load import ConfigError
from config.schema import Profile


class ProfileFile(Struct, frozen=True, kw_only=True):
    symbols: dict[str, Profile] = field(default_factory=dict)


NEUTRAL = Profile()
_DECODER = msgspec.json.Decoder(ProfileFile)  # made at import: see the end of config/schema.py


def load_profiles(path: Path) -> dict[str, Profile]:
    """Profiles by symbol; none where the file is missing. Raises ConfigError naming what is wrong with it."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError([f"{path.name}: {error.strerror}"]) from error
    try:
        return _DECODER.decode(text).symbols
    except msgspec.MsgspecError as error:
        raise ConfigError([f"{path.name}: {error}"]) from error


def changed_profiles(old: dict[str, Profile], new: dict[str, Profile]) -> dict[str, Profile]:
    """What has to be told when `new` replaces `old`; a profile that is gone becomes NEUTRAL."""
    names = sorted(set(old) | set(new))
    return {name: new.get(name, NEUTRAL) for name in names if old.get(name, NEUTRAL) != new.get(name, NEUTRAL)}
