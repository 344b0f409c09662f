"""LOG records to one-line sentences a trader reads. Pure. Free text stays plain text: pages set it as textContent only."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from admin.present import name_of
from admin.snapshot import SymbolInfo
from core.enums import (
    Cause,
    ControlBits,
    DataReason,
    DataState,
    FeedState,
    Gate,
    GlobalRegime,
    LogKind,
    NewsType,
    OrderRole,
    Pump,
    Regime,
    SignalPhase,
    State,
    WallFate,
)
from core.explain import gate_words, protect_words
from core.words import plural


def words(name: str) -> str:
    """`SCORE_OVER_WATCH` -> `score over watch`."""
    return name.replace("_", " ").lower()


def free_text(record: np.ndarray) -> str:
    """The record's own text; undecodable bytes and control characters become visible marks."""
    text = bytes(record["text"]).rstrip(b"\0").decode("utf-8", "replace")
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def _state(r: np.ndarray, info: SymbolInfo | None) -> str:
    price = f" @ {info.price(int(r['f']))}" if info and r["f"] else ""
    return (f"{words(name_of(State, int(r['a'])))} → {words(name_of(State, int(r['b'])))} · "
            f"{words(name_of(Cause, int(r['c'])))} · L {int(r['d']) / 100:.0f} S {int(r['e']) / 100:.0f}{price}")


def _change(enum: type) -> Callable[[np.ndarray, SymbolInfo | None], str]:
    return lambda r, info: f"{words(name_of(enum, int(r['a'])))} → {words(name_of(enum, int(r['b'])))}"


def _data_state(r: np.ndarray, info: SymbolInfo | None) -> str:
    gap = f" · gap {int(r['c'])}" if r["c"] else ""
    return f"book {name_of(DataState, int(r['a']))} · {words(name_of(DataReason, int(r['b'])))}{gap}"


def _degraded(r: np.ndarray, info: SymbolInfo | None) -> str:
    return f"DEGRADED {'on' if r['a'] else 'off'} · latency {int(r['b']) / 1e6:.1f} ms"


def _control(r: np.ndarray, info: SymbolInfo | None) -> str:
    if int(r["b"]):  # a person's command: the record's text says it all
        return ""
    bits = ControlBits(int(r["a"]) & 7)
    return f"control {bits.name.replace('|', ' + ') if bits and bits.name else 'clear'}"


def _side(value: int) -> str:
    return "long" if value > 0 else "short" if value < 0 else "flat"


def _price(info: SymbolInfo | None, ticks: int) -> str:
    return info.price(ticks) if info else f"{ticks} ticks"


def _quantity(info: SymbolInfo | None, lots: int) -> str:
    return info.quantity(abs(lots)) if info else f"{abs(lots)} lots"


def _usdt(e8: int) -> str:
    return f"{e8 / 1e8:+.4f} USDT".replace("-", "−")


_PHASES: dict[int, str] = {
    SignalPhase.READY: "ENTRY READY", SignalPhase.EXECUTING: "EXECUTING", SignalPhase.EXECUTED: "EXECUTED",
    SignalPhase.FAILED: "EXECUTE FAILED", SignalPhase.COOLDOWN_ACTIVE: "cooldown active",
    SignalPhase.MAX_ATTEMPTS: "max attempts reached", SignalPhase.ZONE_MOVED: "entry zone follows the price",
}


def _signal(r: np.ndarray, info: SymbolInfo | None) -> str:
    phase = _PHASES.get(int(r["f"]), name_of(SignalPhase, int(r["f"])))
    told = f"{phase} · {_side(int(r['a']))} · score {int(r['e']) / 100:.0f}"
    if r["b"]:
        told += (f" @ {_price(info, int(r['b']))} · stop {_price(info, int(r['c']))} · target "
                 f"{_price(info, int(r['d']))} · attempt {float(r['x']):.0f}")
    if int(r["f"]) == SignalPhase.FAILED:
        told += f" · {gate_words(Gate(int(r['y'])))}" if int(r["y"]) in Gate._value2member_map_ else ""
    return told


def _wall(r: np.ndarray, info: SymbolInfo | None) -> str:
    side = "bid" if r["b"] > 0 else "ask"
    return (f"{side} wall {words(name_of(WallFate, int(r['a'])))} @ {_price(info, int(r['c']))} · {float(r['x']):.1f}× average · "
            f"stood {float(r['y']):.1f} s · {_quantity(info, int(r['d']))} shown, {_quantity(info, int(r['e']))} eaten, "
            f"{_quantity(info, int(r['f']))} cancelled")


def _news(r: np.ndarray, info: SymbolInfo | None) -> str:
    weaker = "" if r["b"] else " · weaker than the news in force"
    return f"{words(name_of(NewsType, int(r['a'])))} · impact {float(r['x']):.0f} · half-life {float(r['y']):.0f} s{weaker}"


def _order(r: np.ndarray, info: SymbolInfo | None) -> str:
    if free_text(r) == "DONE":  # e is then the cause
        return f"#{int(r['a'])} done · {_quantity(info, int(r['d']))} unfilled · {words(name_of(Cause, int(r['e'])))}"
    return (f"{_side(int(r['b']))} {_quantity(info, int(r['d']))} @ {_price(info, int(r['c']))} · stop "
            f"{_price(info, int(r['e']))} · target {_price(info, int(r['f']))} · #{int(r['a'])}")


def _fill(r: np.ndarray, info: SymbolInfo | None) -> str:
    return (f"{words(name_of(OrderRole, int(r['e'])))} {'buy' if r['b'] > 0 else 'sell'} {_quantity(info, int(r['d']))} @ "
            f"{_price(info, int(r['c']))} · fee {int(r['f']) / 1e8:.4f} · #{int(r['a'])}")


def _trade(r: np.ndarray, info: SymbolInfo | None) -> str:
    held_s = max(int(r["ts_ns"]) - int(r["e"]), 0) / 1e9
    return (f"{_side(int(r['b']))} trade over after {held_s:.1f} s · best {_price(info, int(r['c']))} · worst "
            f"{_price(info, int(r['d']))} · #{int(r['a'])}")


def _position(r: np.ndarray, info: SymbolInfo | None) -> str:
    if not int(r["c"]):
        return f"closed · realised {_usdt(int(r['e']))} · fees {int(r['f']) / 1e8:.4f}"
    return f"{_side(int(r['b']))} {_quantity(info, int(r['c']))} · value {abs(int(r['d'])) / 1e8:.2f} USDT"


def _protect(r: np.ndarray, info: SymbolInfo | None) -> str:
    before = _price(info, int(r["b"])) if r["b"] else None
    told = protect_words(int(r["d"]), before, _price(info, int(r["c"])), float(r["x"]), float(r["y"]))
    target = f" · next target {_price(info, int(r['e']))}" if r["e"] else ""
    return f"{_side(int(r['a']))} {told}{target}"


def _risk(r: np.ndarray, info: SymbolInfo | None) -> str:
    limit = f" · {float(r['x']):.6g} against {float(r['y']):.6g}" if r["y"] else ""
    return f"{_side(int(r['b'])) + ' ' if r['b'] else ''}refused: {words(name_of(Gate, int(r['a'])))}{limit}"


def _shed(r: np.ndarray, info: SymbolInfo | None) -> str:
    return f"shard {int(r['b'])} sheds: level {int(r['a'])}" if r["a"] else f"shard {int(r['b'])} sheds nothing any more"


_TELL: dict[int, Callable[[np.ndarray, SymbolInfo | None], str]] = {
    LogKind.STATE: _state,
    LogKind.SIGNAL: _signal,
    LogKind.ORDER: _order,
    LogKind.FILL: _fill,
    LogKind.TRADE: _trade,
    LogKind.POSITION: _position,
    LogKind.PROTECT: _protect,
    LogKind.RISK: _risk,
    LogKind.SHED: _shed,
    LogKind.LISTING: lambda r, info: "listed" if r["a"] else "delisted",
    LogKind.RESYNC: lambda r, info: "book subscribed again for a snapshot",
    LogKind.NEWS: _news,
    LogKind.WALL: _wall,
    LogKind.SPOOF: _wall,
    LogKind.PUMP: _change(Pump),
    LogKind.REGIME: _change(Regime),
    LogKind.GLOBAL_REGIME: _change(GlobalRegime),
    LogKind.DATA_STATE: _data_state,
    LogKind.FEED: lambda r, info: f"feed {name_of(FeedState, int(r['a']))} · connection {int(r['b'])}",
    LogKind.DEGRADED: _degraded,
    LogKind.CONTROL: _control,
    LogKind.CONFIG: lambda r, info: f"config v{int(r['a'])} {'applied' if r['b'] else 'refused'}",
    LogKind.LOST: lambda r, info: f"reader overtaken: {plural(int(r['a']), 'message')} lost",
}


def sentence(record: np.ndarray, info: SymbolInfo | None) -> str:
    """What happened, in one line: the kind's own words, then the record's free text where it adds something."""
    kind = int(record["kind"])
    tell = _TELL.get(kind)
    told = tell(record, info) if tell and (kind not in _EMPTY_SAYS_NOTHING or _filled(record)) else ""
    own = "" if kind == LogKind.STATE else free_text(record)  # a state line carries its digest for the JSONL
    if told and own and words(own) not in words(told).replace(":", ""):
        return f"{told} · {own}"
    return told or own or words(name_of(LogKind, kind))


_EMPTY_SAYS_NOTHING = frozenset(
    (LogKind.SIGNAL, LogKind.ORDER, LogKind.FILL, LogKind.POSITION, LogKind.PROTECT, LogKind.TRADE, LogKind.WALL, LogKind.SPOOF)
)


def _filled(record: np.ndarray) -> bool:
    return any(int(record[name]) for name in "abcdef")
