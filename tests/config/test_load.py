"""Configuration: layers, every error at once with its place, hot reload."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.load import ConfigError, digest, load
from config.paths import SHIPPED
from config.reload import LOOSER_HIGHER, LOOSER_LOWER, changes, check_hot, flatten, is_hot, loosened
from config.schema import HOT_SECTIONS, Settings


def errors_of(tmp_path: Path, text: str, environ: dict[str, str] | None = None) -> list[str]:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load([path], environ or {}, local=None)
    return caught.value.errors


def test_shipped_files_state_the_defaults() -> None:
    """The comments in config/*.toml would lie if a shipped value differed from the built-in default."""
    assert load(local=None).settings == Settings()


def test_every_setting_is_in_a_shipped_file() -> None:
    loaded = load(local=None)
    missing = [key for key in flatten(loaded.settings) if key not in loaded.sources and key != "symbols.overrides"]
    assert missing == []


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("[trading.account]\nleverag = 3\n", "mine.toml:2", "Did you mean `leverage`"),
        ("[trading.account]\n\nleverage = 99\n", "mine.toml:3", "<= 25"),
        ("[trading.account]\nleverage = true\n", "mine.toml:2", "got `bool`"),
        ("[trading.account]\nmax_positions = 2.5\n", "mine.toml:2", "int"),
        ('[trading]\nmode = "LIFE"\n', "mine.toml:2", "'DRY_RUN'"),
        ("[nope]\nx = 1\n", "mine.toml:2", "Known keys here: trading"),
        ("[safety]\nlimits = 3\n", "mine.toml:2", "is a section"),
        ("[thresholds.score]\nhysteresis = nan\n", "mine.toml:2", "finite"),
        ("[thresholds.score]\nwatch = [90.0, 1.0, 1.0]\n", "", "watch must be below thresholds.score.arm for PRIME"),
        ("[safety.degraded]\nleave_ms = 400.0\n", "", "leave_ms must be below enter_ms"),
        ("[system.rings]\nmarket_cells = 1000\n", "", "power of two"),
        ("[symbols]\ndepth = [500, 50, 50]\n", "", "50, 200 or 1000"),
        ('[trading]\napi_key = "x"\n', "mine.toml:2", "environment only"),
        ('[system.database]\nurl = "postgresql://me:hunter2@h/db"\n', "", "SCALPER_DATABASE_URL"),
        ('[system.database]\nurl = "postgresql://h/db?user=me&password=hunter2"\n', "", "SCALPER_DATABASE_URL"),
        ("[trading\n", "mine.toml", "not valid TOML"),
    ],
)
def test_bad_input_names_place_and_fix(tmp_path: Path, text: str, place: str, words: str) -> None:
    (error,) = errors_of(tmp_path, text)
    assert place in error
    assert words in error
    assert "hunter2" not in error


def test_all_errors_come_at_once(tmp_path: Path) -> None:
    text = "[trading.account]\nleverage = 99\nmax_positions = 0\n[skip]\nenabled = 3\n"
    assert len(errors_of(tmp_path, text)) == 3


def test_a_section_is_no_setting() -> None:
    """It would be put back to its defaults by the next setting inside it, and nobody would be told."""
    for value in (3, {"stop_atr": 2.0}):
        with pytest.raises(ConfigError, match=r"`trading\.exits` is a section"):
            load(overrides={"trading.exits": value, "trading.exits.stop_atr": 2.0}, local=None)


def test_faults_cross_processes() -> None:
    error = pickle.loads(pickle.dumps(ConfigError(["one", "two"])))
    assert (error.errors, str(error)) == (["one", "two"], "one\ntwo")


def test_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="file not found"):
        load([tmp_path / "none.toml"], local=None)


def test_layers_last_wins(tmp_path: Path) -> None:
    first, second = tmp_path / "a.toml", tmp_path / "b.toml"
    first.write_text("[trading.account]\nleverage = 3.0\nmax_positions = 2\n")
    second.write_text("[trading.account]\nleverage = 4.0\n")
    environ = {"SCALPER__TRADING__ACCOUNT__MAX_POSITIONS": "1", "TRADING_MODE": "PAPER", "HOME": "/"}
    loaded = load([first, second], environ, {"system.admin.port": 0}, local=None)
    account = loaded.settings.trading.account
    assert (account.leverage, account.max_positions) == (4.0, 1)
    assert loaded.settings.system.admin.port == 0
    assert loaded.sources["trading.account.leverage"] == "b.toml:2"
    assert "MAX_POSITIONS" in loaded.sources["trading.account.max_positions"]
    assert loaded.sources["system.admin.port"] == "command line"


def test_environment_errors_name_the_variable(tmp_path: Path) -> None:
    errors = errors_of(tmp_path, "", {"SCALPER__SYSTEM__ADMIN__PORT": "x", "TRADING_MODE": "FAST"})
    assert any("SCALPER__SYSTEM__ADMIN__PORT" in error for error in errors)
    assert any("TRADING_MODE=FAST" in error for error in errors)


def test_overrides_per_symbol(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('[symbols.overrides.DOGEUSDT]\ncategory = "WILD"\n')
    assert load([path], local=None).settings.symbols.overrides["DOGEUSDT"].category == "WILD"
    assert "unknown key `symbols.overrides.DOGEUSDT.colour`" in errors_of(
        tmp_path, "[symbols.overrides.DOGEUSDT]\ncolour = 1\n"
    )[0]


def test_hot_keys_exist() -> None:
    keys = list(flatten(Settings()))
    for section in HOT_SECTIONS:
        assert any(key == section or key.startswith(section + ".") for key in keys), section


def test_reload_takes_hot_and_refuses_cold(tmp_path: Path) -> None:
    old = Settings()
    hot = tmp_path / "hot.toml"
    hot.write_text("[thresholds.score]\narm = [75.0, 75.0, 75.0]\n")
    new = load([hot], local=None).settings
    assert check_hot(old, new) == {"thresholds.score.arm": ((56.0, 59.0, 64.0), (75.0, 75.0, 75.0))}
    cold = tmp_path / "cold.toml"
    cold.write_text("[system.admin]\nport = 1\n[thresholds.score]\nhysteresis = 4.0\n")
    with pytest.raises(ConfigError, match=r"system\.admin\.port` needs a restart"):
        check_hot(old, load([cold], local=None).settings)


def test_digest_moves_with_any_value() -> None:
    base = Settings()
    changed = msgspec.structs.replace(base, skip=msgspec.structs.replace(base.skip, to_hour_utc=17))
    assert digest(base) == digest(Settings()) != digest(changed)
    assert list(changes(base, changed)) == ["skip.to_hour_utc"]
    assert is_hot("skip.to_hour_utc")


VALUES = st.one_of(st.integers(), st.floats(allow_nan=False), st.booleans(), st.just("x"), st.lists(st.integers(), max_size=3))


@settings(deadline=None)  # a loaded machine is slow, not wrong
@given(st.dictionaries(st.sampled_from(sorted(flatten(Settings()))), VALUES, max_size=6))
def test_no_values_crash_the_loader(values: dict[str, Any]) -> None:
    """Any assignment either loads or says why; nothing else escapes."""
    try:
        loaded = load((), {}, values, shipped=SHIPPED, local=None)
    except ConfigError as error:
        assert error.errors
    else:
        assert isinstance(loaded.settings, Settings)


def _deep(struct: Any, path: str, value: Any) -> Any:
    name, _, rest = path.partition(".")
    return msgspec.structs.replace(struct, **{name: _deep(getattr(struct, name), rest, value) if rest else value})


@pytest.mark.parametrize("key", [*LOOSER_HIGHER, *LOOSER_LOWER])
def test_limits_know_their_loose_end(key: str) -> None:
    base = Settings()
    old = flatten(base)[key]
    up = tuple(v + 1 for v in old) if isinstance(old, tuple) else True if isinstance(old, bool) else old + 1
    more = _deep(base, key, up)
    assert is_hot(key)
    loose, tight = ((base, more), (more, base)) if key in LOOSER_HIGHER else ((more, base), (base, more))
    assert loosened(*loose) == [key]
    assert loosened(*tight) == []


def test_one_of_three_is_enough_and_days_are_a_set() -> None:
    base = Settings()
    assert loosened(base, _deep(base, "safety.limits.max_leverage", (1.0, 21.0, 1.0))) == ["safety.limits.max_leverage"]
    assert loosened(base, _deep(base, "skip.weekdays", (0, 5))) == ["skip.weekdays"]
    assert loosened(base, _deep(base, "skip.weekdays", (0,))) == []
    assert loosened(base, _deep(base, "thresholds.signal.cooldown_s", 1.0)) == []
