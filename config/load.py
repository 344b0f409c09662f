"""TOML layers -> Settings. Every error at once, each with its file and line, or the name of the variable.

Layers, last wins: defaults in `schema.py`, `config/*.toml`, `config/calibrated.toml` (what `calibrate --apply` measured),
`config/local.toml`, each `-c FILE`, `SCALPER__A__B__C=value`, `TRADING_MODE` (PAPER = SIM), `CAPITAL_TIER`, command line.
Secrets are never settings: keys come from the environment only.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import math
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec

from config.paths import CALIBRATED, LOCAL, SHIPPED
from config.schema import Section, Settings, SymbolOverride

ENV_PREFIX = "SCALPER__"
PASSWORD_IN_URL = re.compile(r"//[^/@]*:[^/]*@|[?&]\w*password=", re.IGNORECASE)
SECRET_NAMES = re.compile(r"(^|[._])(api_?key|api_?secret|secret|password|token|pin)$", re.IGNORECASE)


class ConfigError(Exception):
    """One or more settings are wrong; `errors` holds one sentence each."""

    def __init__(self, errors: Sequence[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = list(errors)

    def __reduce__(self) -> tuple[type[ConfigError], tuple[list[str]]]:
        """As made, not from its text: it crosses processes."""
        return type(self), (self.errors,)


@dataclass(frozen=True)
class Loaded:
    """Settings with the origin of every value that is not a built-in default."""

    settings: Settings
    sources: dict[str, str] = field(default_factory=dict)
    files: tuple[Path, ...] = ()

    @property
    def digest(self) -> str:
        return digest(self.settings)


def digest(settings: Settings) -> str:
    """Twelve hex digits that change with any value."""
    return hashlib.sha256(msgspec.json.encode(settings, order="sorted")).hexdigest()[:12]


def load(
    extra_files: Sequence[Path] = (),
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
    *,
    shipped: Sequence[Path] = SHIPPED,
    local: Path | None = LOCAL,
) -> Loaded:
    """Read all layers.

    `overrides` maps dotted keys to values (command line). Raises ConfigError with every fault found.
    """
    errors: list[str] = []
    tree: dict[str, Any] = {}
    sources: dict[str, str] = {}
    files: list[Path] = []
    for path in shipped:
        _merge_file(path, path.stem, tree, sources, errors)
        files.append(path)
    own = [local.with_name(CALIBRATED), local] if local is not None else []
    for path in [path for path in own if path.exists()] + list(extra_files):
        _merge_file(path, "", tree, sources, errors)
        files.append(path)
    _merge_environment(environ or {}, tree, sources, errors)
    for key, value in (overrides or {}).items():
        if isinstance(_get(tree, key.split(".")), dict):
            errors.append(f"command line: `{key}` is a section. Name one setting in it.")
            continue
        _put(tree, key.split("."), value)
        sources[key] = "command line"
    settings = _convert(tree, sources, errors)
    if settings is not None:
        errors.extend(_cross_checks(settings))
    if errors or settings is None:
        raise ConfigError(errors)
    return Loaded(settings, sources, tuple(files))


def parse_set(items: Iterable[str]) -> dict[str, Any]:
    """Overrides from `key=value` texts; a value is JSON where it can be read so, else text. Raises ConfigError."""
    overrides: dict[str, Any] = {}
    faults = []
    for item in items:
        key, equals, value = (part.strip() for part in item.partition("="))
        if not equals or not re.fullmatch(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*", key):
            faults.append(f"{item!r}: write key=value, for example trading.exits.stop_atr=3.")
            continue
        try:
            overrides[key] = json.loads(value)
        except ValueError:
            overrides[key] = value
    if faults:
        raise ConfigError(faults)
    return overrides


def _merge_file(path: Path, prefix: str, tree: dict[str, Any], sources: dict[str, str], errors: list[str]) -> None:
    try:
        text = path.read_text(encoding="utf-8")
        data = tomllib.loads(text)
    except FileNotFoundError:
        errors.append(f"{path}: file not found. Check the path, or restore the shipped file.")
        return
    except (OSError, UnicodeDecodeError) as error:
        errors.append(f"{path}: cannot be read ({error}). Fix the permissions or the encoding (UTF-8).")
        return
    except tomllib.TOMLDecodeError as error:
        errors.append(f"{path}: not valid TOML: {error}. Fix that line.")
        return
    if prefix:
        data = {prefix: data}
    lines = _key_lines(text, prefix)
    for key, value in _leaves(data):
        if SECRET_NAMES.search(key):
            errors.append(f"{path}:{lines.get(key, '?')}: `{key}` looks like a secret. Keys live in the environment only.")
            continue
        _put(tree, key.split("."), value)
        sources[key] = f"{path.name}:{lines.get(key, '?')}"


def _key_lines(text: str, prefix: str) -> dict[str, int]:
    """Line number of every dotted key of a TOML text (inline tables count as one key)."""
    lines: dict[str, int] = {}
    section = prefix
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if match := re.match(r"^\[([^\[\]]+)\]", stripped):
            section = ".".join(part for part in (prefix, match[1].replace('"', "").strip()) if part)
            lines[section] = number
        elif match := re.match(r'^([A-Za-z0-9_."-]+)\s*=', stripped):
            name = match[1].replace('"', "")
            lines[f"{section}.{name}" if section else name] = number
    return lines


def _leaves(data: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for key, value in data.items():
        path = f"{prefix}.{key}" if prefix else key
        if isinstance(value, dict) and value:
            rows.extend(_leaves(value, path))
        else:
            rows.append((path, value))
    return rows


def _get(tree: Any, path: Sequence[str]) -> Any:
    for part in path:
        tree = tree.get(part) if isinstance(tree, dict) else None
    return tree


def _put(tree: dict[str, Any], path: Sequence[str], value: Any) -> None:
    for part in path[:-1]:
        below = tree.get(part)
        if not isinstance(below, dict):
            below = tree[part] = {}
        tree = below
    tree[path[-1]] = value


def _merge_environment(
    environ: Mapping[str, str], tree: dict[str, Any], sources: dict[str, str], errors: list[str]
) -> None:
    mode = environ.get("TRADING_MODE", "")
    if mode:
        if mode not in ("PAPER", "SIM", "DRY_RUN", "LIVE"):
            errors.append(f"environment TRADING_MODE={mode}: use PAPER, DRY_RUN or LIVE.")
        else:
            _put(tree, ["trading", "mode"], "SIM" if mode == "PAPER" else mode)
            sources["trading.mode"] = "environment TRADING_MODE"
    tier = environ.get("CAPITAL_TIER", "")
    if tier:
        _put(tree, ["trading", "capital_tier"], tier)
        sources["trading.capital_tier"] = "environment CAPITAL_TIER"
    for name in sorted(environ):
        if not name.startswith(ENV_PREFIX):
            continue
        path = name[len(ENV_PREFIX):].lower().split("__")
        key = ".".join(path)
        if SECRET_NAMES.search(key):
            errors.append(f"environment {name}: looks like a secret; secrets are not settings.")
            continue
        try:
            value = tomllib.loads(f"v = {environ[name]}")["v"]
        except tomllib.TOMLDecodeError:
            value = environ[name]  # plain words need no quotes
        _put(tree, path, value)
        sources[key] = f"environment {name}"


def _convert(tree: dict[str, Any], sources: Mapping[str, str], errors: list[str]) -> Settings | None:
    before = len(errors)
    value = _section(Settings, tree, "", sources, errors)
    return value if len(errors) == before else None


def _where(key: str, sources: Mapping[str, str]) -> str:
    """Origin of a key, or of the nearest key below it."""
    if key in sources:
        return sources[key]
    below = [origin for path, origin in sources.items() if path.startswith(key + ".")]
    return below[0] if below else "unknown place"


def _section(kind: type, data: Any, prefix: str, sources: Mapping[str, str], errors: list[str]) -> Any:
    if not isinstance(data, dict):
        errors.append(f"{_where(prefix, sources)}: `{prefix}` is a section, got {data!r}. Write it as [{prefix}].")
        return None
    hints = get_type_hints(kind, include_extras=True)
    values: dict[str, Any] = {}
    for name, value in data.items():
        key = f"{prefix}.{name}" if prefix else name
        if name not in hints:
            near = difflib.get_close_matches(name, hints, n=1)
            hint = f" Did you mean `{near[0]}`?" if near else f" Known keys here: {', '.join(hints)}."
            errors.append(f"{_where(key, sources)}: unknown key `{key}`.{hint}")
            continue
        values[name] = _value(hints[name], value, key, sources, errors)
    try:
        return kind(**values)
    except TypeError as error:  # a required field is missing
        errors.append(f"`{prefix}`: {error}")
        return None


def _value(kind: Any, value: Any, key: str, sources: Mapping[str, str], errors: list[str]) -> Any:
    if isinstance(kind, type) and issubclass(kind, Section):
        return _section(kind, value, key, sources, errors)
    if SymbolOverride in get_args(kind):
        rows = value if isinstance(value, dict) else {}
        return {k: _section(SymbolOverride, v, f"{key}.{k}", sources, errors) for k, v in rows.items()}
    if not _finite(value):
        errors.append(f"{_where(key, sources)}: `{key}` = {value!r} is not a finite number. Write a plain number.")
        return None
    try:
        return msgspec.convert(value, kind, strict=True)
    except msgspec.ValidationError as error:
        text = str(error).split(" - at ")[0]
        choices = [repr(choice) for choice in get_args(kind) if isinstance(choice, str)]
        fix = f"Use one of {', '.join(choices)}" if choices else "Fix the value"
        errors.append(f"{_where(key, sources)}: `{key}` = {value!r}: {text}. {fix}.")
        return None


def _finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, list | tuple):
        return all(_finite(item) for item in value)
    return True


def _cross_checks(s: Settings) -> list[str]:
    """Rules between settings; each names both keys."""
    score, degraded, exits, rings = s.thresholds.score, s.safety.degraded, s.trading.exits, s.system.rings
    names = ("PRIME", "NORMAL", "WILD")
    rules = [
        (score.watch[i] < score.arm[i], f"thresholds.score.watch must be below thresholds.score.arm for {names[i]}")
        for i in range(3)
    ]
    rules += [
        (degraded.leave_ms < degraded.enter_ms, "safety.degraded.leave_ms must be below enter_ms (hysteresis)"),
        (
            degraded.resume_cells_pct < degraded.backlog_cells_pct,
            "safety.degraded.resume_cells_pct must be below backlog_cells_pct",
        ),
        (exits.stop_min_bps < exits.stop_max_bps, "trading.exits.stop_min_bps must be below stop_max_bps"),
        (exits.tp_r[0] <= exits.tp_r[1] <= exits.tp_r[2], "trading.exits.tp_r must not fall from one target to the next"),
        (sum(exits.tp_share) <= 1.0 + 1e-9, "trading.exits.tp_share must not add up to more than 1"),
        (exits.add_max * exits.add_step_r < 1, "trading.exits.add_max x add_step_r must stay under 1 (above the stop)"),
        (
            s.safety.feed.backoff_min_s <= s.safety.feed.backoff_max_s,
            "safety.feed.backoff_min_s must not exceed backoff_max_s",
        ),
        (s.skip.from_hour_utc < s.skip.to_hour_utc, "skip.from_hour_utc must be before skip.to_hour_utc"),
        (s.symbols.limit <= 1024, "symbols.limit must not exceed 1024"),
        (
            all(d in (50, 200, 1000) for d in s.symbols.depth),
            "symbols.depth must be 50, 200 or 1000 for each category (Bybit has no other deep topics)",
        ),
        (
            s.trading.account.margin_per_trade_usdt <= s.trading.account.start_balance_usdt,
            "trading.account.margin_per_trade_usdt must not exceed start_balance_usdt",
        ),
    ]
    rules += [
        (value & (value - 1) == 0, f"system.rings.{name} must be a power of two (got {value})")
        for name, value in msgspec.structs.asdict(rings).items()
    ]
    faults = [f"{text}. Fix one of them." for ok, text in rules if not ok]
    if PASSWORD_IN_URL.search(s.system.database.url):  # settings are shown, journalled and kept in the database itself
        faults.append("system.database.url holds a password. Put the URL into the environment: SCALPER_DATABASE_URL.")
    return faults
