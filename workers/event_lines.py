"""LOG records as JSON lines: names instead of numbers, flat keys, dotted event names, additive (`v`).

    {"ts":"2026-11-20T23:58:01.123456Z","ts_ns":...,"lvl":"INFO","proc":"shard-1","sid":"<run>","evt":"state.changed",
     "sym":"BTCUSDT","seq":...,"from":"FLAT","to":"WATCHING_LONG",...,"v":1}
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any, NamedTuple

from core.enums import (
    Cause,
    ControlBits,
    DataReason,
    DataState,
    FeedState,
    Gate,
    GlobalRegime,
    LogKind,
    OrderRole,
    Pump,
    Regime,
    Severity,
    SignalPhase,
    State,
    WallFate,
)

LINE_VERSION = 1
STREAMS = ("signals", "orders", "risk", "market", "system")


class Instrument(NamedTuple):
    """What a line needs of a symbol."""

    name: str
    tick_size: float
    lot_size: float


class Column(NamedTuple):
    """One field of a kind: the LOG column, the key in the line, and how its value is written."""

    source: str
    key: str
    form: Callable[[Any, Instrument], Any]


def _plain(value: Any, instrument: Instrument) -> Any:
    return value


def name_or_number(enum: type[IntEnum], value: int) -> Any:
    """Name of a member, or the number itself where there is none."""
    return enum(value).name if value in enum._value2member_map_ else value


def _named(enum: type[IntEnum]) -> Callable[[Any, Instrument], Any]:
    def form(value: Any, instrument: Instrument) -> Any:
        return name_or_number(enum, value)

    return form


def _price(value: Any, instrument: Instrument) -> Any:
    return round(value * instrument.tick_size, 12) if instrument.tick_size else value


def _quantity(value: Any, instrument: Instrument) -> Any:
    return round(value * instrument.lot_size, 12) if instrument.lot_size else value


def _usdt(value: Any, instrument: Instrument) -> Any:
    return value / 1e8


def _score(value: Any, instrument: Instrument) -> Any:
    return value / 100


def _side(value: Any, instrument: Instrument) -> Any:
    return {1: "Buy", -1: "Sell"}.get(value, "Flat")


def _bits(value: Any, instrument: Instrument) -> Any:
    return "|".join(bit.name or "" for bit in ControlBits(value & 7)) or "NONE"


def _flag(value: Any, instrument: Instrument) -> Any:
    return bool(value)


def _gate(value: Any, instrument: Instrument) -> Any:
    return name_or_number(Gate, int(value))


_C = Column
_WALL_COLUMNS = (
    _C("a", "fate", _named(WallFate)), _C("b", "side", _side), _C("c", "price", _price), _C("d", "peak_qty", _quantity),
    _C("e", "eaten_qty", _quantity), _C("f", "cancelled_qty", _quantity), _C("x", "size_x", _plain),
    _C("y", "age_s", _plain),
)
LINES: dict[LogKind, tuple[str, str, tuple[Column, ...]]] = {
    # kind: (stream, event name, columns)
    LogKind.STATE: ("signals", "state.changed", (
        _C("a", "from", _named(State)), _C("b", "to", _named(State)), _C("c", "cause", _named(Cause)),
        _C("d", "score_long", _score), _C("e", "score_short", _score), _C("f", "price", _price))),
    LogKind.SIGNAL: ("signals", "signal.entry", (
        _C("a", "side", _side), _C("b", "price", _price), _C("c", "stop", _price), _C("d", "target", _price),
        _C("e", "score", _score), _C("f", "phase", _named(SignalPhase)), _C("x", "attempts", _plain),
        _C("y", "refused_by", _gate))),
    LogKind.TRADE: ("orders", "trade.closed", (
        _C("a", "order_id", _plain), _C("b", "side", _side), _C("c", "best", _price), _C("d", "worst", _price),
        _C("e", "opened_ns", _plain), _C("f", "role", _named(OrderRole)), _C("x", "fees_usdt", _plain),
        _C("y", "realised_usdt", _plain))),
    LogKind.ORDER: ("orders", "order", (
        _C("a", "order_id", _plain), _C("b", "side", _side), _C("c", "price", _price), _C("d", "qty", _quantity),
        _C("e", "stop", _price), _C("f", "target", _price))),
    LogKind.FILL: ("orders", "order.fill", (
        _C("a", "order_id", _plain), _C("b", "side", _side), _C("c", "price", _price), _C("d", "qty", _quantity),
        _C("e", "role", _named(OrderRole)), _C("f", "fee_usdt", _usdt))),
    LogKind.POSITION: ("orders", "position", (
        _C("a", "order_id", _plain), _C("b", "side", _side), _C("c", "qty", _quantity),
        _C("d", "entry_value_usdt", _usdt), _C("e", "realised_usdt", _usdt), _C("f", "fees_usdt", _usdt),
        _C("x", "entry_price", _plain))),
    LogKind.PROTECT: ("orders", "position.protect", (
        _C("a", "side", _side), _C("b", "stop_before", _price), _C("c", "stop", _price), _C("d", "rule", _named(Cause)),
        _C("e", "next_target", _price), _C("f", "price", _price), _C("x", "unrealised_bps", _plain),
        _C("y", "unrealised_r", _plain))),
    LogKind.RISK: ("risk", "risk.gate", (
        _C("a", "gate", _named(Gate)), _C("b", "side", _side), _C("c", "price", _price), _C("x", "value", _plain),
        _C("y", "limit", _plain))),
    LogKind.CONTROL: ("risk", "control", (_C("a", "bits", _bits), _C("x", "ms", _plain))),
    LogKind.DEGRADED: ("risk", "degraded", (_C("a", "on", _flag), _C("b", "latency_ns", _plain))),
    LogKind.PUMP: ("market", "pump.changed", (_C("a", "from", _named(Pump)), _C("b", "to", _named(Pump)))),
    LogKind.REGIME: ("market", "regime.changed", (_C("a", "from", _named(Regime)), _C("b", "to", _named(Regime)))),
    LogKind.GLOBAL_REGIME: ("market", "regime.global", (
        _C("a", "from", _named(GlobalRegime)), _C("b", "to", _named(GlobalRegime)))),
    LogKind.SPOOF: ("market", "spoof", _WALL_COLUMNS),
    LogKind.NEWS: ("market", "news", ()),
    LogKind.WALL: ("market", "wall", _WALL_COLUMNS),
    LogKind.LIQUIDATION: ("market", "liquidation", ()),
    LogKind.LISTING: ("market", "listing", ()),
    LogKind.DATA_STATE: ("market", "data.state", (
        _C("a", "state", _named(DataState)), _C("b", "reason", _named(DataReason)), _C("c", "gap", _plain))),
    LogKind.FEED: ("system", "feed.state", (_C("a", "state", _named(FeedState)), _C("b", "connection", _plain))),
    LogKind.RESYNC: ("system", "resync", ()),
    LogKind.SHED: ("system", "shed", (_C("a", "level", _plain), _C("b", "shard", _plain))),
    LogKind.CONFIG: ("system", "config", (_C("a", "version", _plain), _C("b", "ok", _flag))),
    LogKind.PROCESS: ("system", "process", (_C("a", "what", _plain), _C("b", "pid", _plain))),
    LogKind.ERROR: ("system", "error", ()),
    LogKind.LOST: ("system", "lost", (_C("a", "messages", _plain),)),
}
NO_INSTRUMENT = Instrument("", 0.0, 0.0)


def iso(ts_ns: int) -> str:
    """UTC with microseconds, from integers (a float would round)."""
    seconds, rest = divmod(ts_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 1000:06d}Z"


def day(ts_ns: int) -> str:
    """UTC day as YYYY-MM-DD."""
    return datetime.fromtimestamp(ts_ns // 1_000_000_000, UTC).strftime("%Y-%m-%d")


def line(record: dict[str, Any], proc: str, run_id: str, instrument: Instrument) -> tuple[str, dict[str, Any]]:
    """(stream, line as a dict) of one LOG record given as {column: value} with `text` already a string.

    Columns a kind does not name are written under their own letter when they are not zero.
    """
    try:
        kind = LogKind(record["kind"])
        stream, event, columns = LINES[kind]
    except (ValueError, KeyError):
        stream, event, columns = "system", f"kind.{record['kind']}", ()
    severity = record["severity"]
    out: dict[str, Any] = {
        "ts": iso(record["ts_ns"]), "ts_ns": record["ts_ns"],
        "lvl": Severity(severity).name if severity in Severity._value2member_map_ else str(severity),
        "proc": proc, "sid": run_id, "evt": event,
    }
    if instrument.name:
        out["sym"] = instrument.name
    if record["seq"]:
        out["seq"] = record["seq"]
    named = set()
    for source, key, form in columns:
        named.add(source)
        out[key] = form(record[source], instrument)
    for source in "abcdefxy":
        if source not in named and record[source]:
            out[source] = record[source]
    if record["text"]:
        out["text"] = record["text"]
    out["v"] = LINE_VERSION
    return stream, out
