"""The profile file: missing, good, bad, and what has to be told when it changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.load import ConfigError
from config.profiles import NEUTRAL, changed_profiles, load_profiles
from config.schema import Profile


def test_missing_is_none(tmp_path: Path) -> None:
    assert load_profiles(tmp_path / "profiles.json") == {}


def test_good(tmp_path: Path) -> None:
    path = tmp_path / "profiles.json"
    path.write_text('{"symbols": {"DOGEUSDT": {"raise_points": 6, "size": 0.5, "mfe_bps": 31.0}, "XUSDT": {}}}')
    assert load_profiles(path) == {"DOGEUSDT": Profile(raise_points=6.0, size=0.5), "XUSDT": NEUTRAL}


@pytest.mark.parametrize("text", ["", "[]", '{"symbols": {"A": {"size": 0}}}', '{"symbols": {"A": {"raise_points": -1}}}'])
def test_bad_is_refused_as_a_whole(tmp_path: Path, text: str) -> None:
    path = tmp_path / "profiles.json"
    path.write_text(text)
    with pytest.raises(ConfigError):
        load_profiles(path)


def test_changes_are_told_and_a_profile_that_is_gone_becomes_neutral() -> None:
    old = {"A": Profile(size=0.5), "B": Profile(size=0.5), "C": NEUTRAL}
    assert changed_profiles(old, {"A": Profile(size=0.5), "D": Profile(blacklisted=True)}) == {
        "B": NEUTRAL, "D": Profile(blacklisted=True),
    }  # fmt: skip
