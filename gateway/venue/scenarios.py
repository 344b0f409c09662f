"""Scripted happenings: a timeline that pushes the synthetic market around, with the ground truth noted.

A timeline is a TOML or JSON file (see README.md):

    repeat_s = 60                # start again every so often, on other symbols; 0 or absent = once
    [[event]]
    at_s = 8.0                   # seconds after the start
    kind = "spoof"               # see KINDS
    symbol = "auto"              # a name, or "auto": a middle-sized symbol, another one in every round
    # ... parameters of the kind, each with a default

Every kind is a generator that is resumed at each step with the time, and sets the scenario inputs of `market.py`.
"""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.venue.errors import VenueError
from gateway.venue.faults import Faults
from gateway.venue.market_kernels import build_wall, pull_wall
from gateway.venue.synthetic import SyntheticExchange
from gateway.venue.truth import Truth

Script = Generator[None, int, None]


@dataclass(frozen=True)
class Event:
    at_s: float
    kind: str
    symbol: str = "auto"
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Timeline:
    events: tuple[Event, ...] = ()
    repeat_s: float = 0.0


DEMO = Timeline(
    events=(
        Event(8.0, "spoof"), Event(20.0, "absorbed_wall"),
        Event(34.0, "pump"),  # not earlier: a volume surge is told against half a minute of ordinary trading
        Event(54.0, "spoof", "auto", {"side": "ask"}),
    ),
    repeat_s=60.0,
)

DEFAULTS: dict[str, dict[str, Any]] = {
    "pump": {"size_pct": 6.0, "prepump_s": 2.5, "pump_s": 7.0, "blowoff_s": 2.5, "dump_s": 6.0, "give_back": 0.65},
    "dump": {"size_pct": -5.0, "dump_s": 5.0, "calm_s": 3.0, "bounce": 0.2},
    "spoof": {"side": "bid", "distance_bps": 8.0, "size": 25.0, "times": 3, "wait_s": 4.0},
    "absorbed_wall": {"side": "ask", "distance_bps": 5.0, "size": 40.0, "timeout_s": 15.0},
    "layered_wall": {"side": "bid", "distance_bps": 8.0, "size": 25.0, "times": 5, "wait_s": 1.0, "step_bps": 1.5},
    "iceberg": {"side": "ask", "distance_bps": 4.0, "clip": 4.0, "clips": 10, "timeout_s": 25.0},
    "news_listing": {"drift_pct": 4.0, "seconds": 8.0},
    "btc_shock": {"size_pct": -2.0, "seconds": 5.0, "bounce": 0.3},
    "gap": {"count": 1},
    "stale": {"seconds": 6.0},
    "restart_u1": {},
}
KINDS = tuple(DEFAULTS)


def load_timeline(name: str) -> Timeline:
    """`demo`, `none`, or the timeline in a .toml or .json file."""
    if name == "none":
        return Timeline()
    if name == "demo":
        return DEMO
    path = Path(name)
    try:
        raw = path.read_text()
        found = tomllib.loads(raw) if path.suffix == ".toml" else json.loads(raw)
    except OSError as error:
        raise VenueError(f"cannot read scenario {name}: {error}", "give demo, none or an existing file") from None
    except ValueError as error:
        raise VenueError(f"{name}: {error}", "mend the TOML or JSON syntax") from None
    return timeline_of(found, name)


def timeline_of(found: Any, name: str) -> Timeline:
    """Check the parsed file: unknown keys are refused, with their place."""
    if not isinstance(found, dict) or set(found) - {"repeat_s", "event"}:
        raise VenueError(f"{name}: only repeat_s and event are allowed at the top", "see gateway/venue/README.md")
    events = []
    for place, row in enumerate(found.get("event", [])):
        where = f"{name}, event {place + 1}"
        kind = row.get("kind")
        if kind not in DEFAULTS:
            raise VenueError(f"{where}: kind {kind!r} is unknown", f"use one of {', '.join(KINDS)}")
        unknown = set(row) - {"at_s", "kind", "symbol"} - set(DEFAULTS[kind])
        if unknown:
            raise VenueError(f"{where}: {', '.join(sorted(unknown))} unknown", f"{kind} takes {', '.join(DEFAULTS[kind])}")
        if not isinstance(row.get("at_s"), int | float) or row["at_s"] < 0:
            raise VenueError(f"{where}: at_s is missing or negative", "give the seconds after the start")
        parameters = {key: value for key, value in row.items() if key in DEFAULTS[kind]}
        events.append(Event(float(row["at_s"]), kind, str(row.get("symbol", "auto")), parameters))
    return Timeline(tuple(sorted(events, key=lambda event: event.at_s)), float(found.get("repeat_s", 0.0)))


class ScenarioEngine:
    """Runs a timeline on an exchange; `advance` is called before every step."""

    def __init__(self, exchange: SyntheticExchange, timeline: Timeline, truth: Truth, faults: Faults) -> None:
        self._x = exchange
        self._timeline = timeline
        self._truth = truth
        self._faults = faults
        self._start_ms = exchange.now_ms
        self._queue = [(event.at_s, 0, event) for event in timeline.events]
        self._running: list[Script] = []
        self._turn = 0  # how many "auto" symbols have been given out
        self._makers: dict[str, Callable[[Any, dict[str, Any], int, str], Script]] = {
            "pump": self._pump, "dump": self._dump, "spoof": self._spoof, "absorbed_wall": self._absorbed_wall,
            "layered_wall": self._layered_wall, "iceberg": self._iceberg,
            "news_listing": self._news_listing, "btc_shock": self._btc_shock,
        }

    def advance(self, now_ms: int) -> None:
        """Start what is due and resume what runs."""
        while self._queue and now_ms - self._start_ms >= self._queue[0][0] * 1000:
            at_s, turn, event = self._queue.pop(0)
            self.start(event, now_ms)
            if self._timeline.repeat_s > 0:
                self._queue.append((at_s + self._timeline.repeat_s, turn + 1, event))
                self._queue.sort(key=lambda row: row[0])
        for script in self._running[:]:
            try:
                script.send(now_ms)
            except StopIteration:
                self._running.remove(script)

    def start(self, event: Event, now_ms: int) -> None:
        """Begin one happening now (also used by POST /venue/scenario)."""
        parameters = {**DEFAULTS[event.kind], **event.parameters}
        symbol = event.symbol
        if event.kind in ("gap", "stale", "restart_u1"):
            symbol = self._auto() if symbol == "auto" else symbol
            try:
                self._faults.order({"kind": event.kind, "symbol": symbol, **parameters}, now_ms)
            except ValueError as error:
                self._truth.begin(event.kind, symbol, now_ms, refused=str(error)).end_ms = now_ms
            return
        if event.kind in ("news_listing", "btc_shock"):
            row = 0
            symbol = "" if event.kind == "news_listing" else "BTC factor"
        else:
            symbol = self._auto() if symbol == "auto" else symbol
            found = self._x.row_of.get(symbol)
            if found is None:
                self._truth.begin(event.kind, symbol, now_ms, refused="no such symbol").end_ms = now_ms
                return
            row = found
        script = self._makers[event.kind](row, parameters, now_ms, symbol)
        next(script)
        self._running.append(script)

    def _auto(self) -> str:
        """Symbols of middle activity in turn: BTC and ETH are left alone, sleepy ones would not be noticed."""
        count = len(self._x.instruments)
        first = min(4, count - 1)
        span = max(1, min(count, 40) - first)
        row = first + (5 + self._turn * 7) % span
        self._turn += 1
        return self._x.instruments[row].symbol

    # -- kinds -------------------------------------------------------------------------------------------------------
    def _pump(self, row: int, p: dict[str, Any], now_ms: int, symbol: str) -> Script:
        """Early buying, a run up, heavy two-sided trading at the top, a fall that gives back part of it."""
        s = self._x.market.symbols[row]
        happening = self._truth.begin("pump", symbol, now_ms, size_pct=p["size_pct"], start_ticks=int(s.last_ticks))
        rise = math.log(1 + p["size_pct"] / 100)
        phases = (
            ("PREPUMP", p["prepump_s"], 0.08 * rise, 5.0, 1.0, 0.8, 2.0),
            ("PUMPING", p["pump_s"], 0.92 * rise, 14.0, 2.0, 0.4, 3.0),
            ("BLOWOFF", p["blowoff_s"], 0.0, 12.0, 12.0, 0.5, 4.0),
            ("DUMP", p["dump_s"], -p["give_back"] * rise, 2.0, 14.0, 0.5, 3.0),
        )
        for name, seconds, move, buys, sells, depth, churn in phases:
            happening.phase(name, now_ms, ticks=int(s.last_ticks))
            s.drift, s.buy_boost, s.sell_boost, s.depth_factor, s.churn = move / seconds, buys, sells, depth, churn
            end_ms = now_ms + int(seconds * 1000)
            while now_ms < end_ms:
                now_ms = yield
        self._calm(row)
        happening.end_ms = now_ms
        happening.details["end_ticks"] = int(s.last_ticks)

    def _dump(self, row: int, p: dict[str, Any], now_ms: int, symbol: str) -> Script:
        """A sudden fall out of nothing, heavy selling into a thin book; a small part comes back."""
        s = self._x.market.symbols[row]
        happening = self._truth.begin("dump", symbol, now_ms, size_pct=p["size_pct"], start_ticks=int(s.last_ticks))
        fall = math.log(1 + p["size_pct"] / 100)
        phases = (
            ("DUMP", p["dump_s"], fall, 1.0, 14.0, 0.5, 3.0),
            ("BOUNCE", p["calm_s"], -p["bounce"] * fall, 4.0, 2.0, 0.8, 1.5),
        )
        for name, seconds, move, buys, sells, depth, churn in phases:
            happening.phase(name, now_ms, ticks=int(s.last_ticks))
            s.drift, s.buy_boost, s.sell_boost, s.depth_factor, s.churn = move / seconds, buys, sells, depth, churn
            end_ms = now_ms + int(seconds * 1000)
            while now_ms < end_ms:
                now_ms = yield
        self._calm(row)
        happening.end_ms = now_ms

    def _spoof(self, row: int, p: dict[str, Any], now_ms: int, symbol: str) -> Script:
        """A big order near the touch that is pulled whenever the price comes close, several times."""
        s = self._x.market.symbols[row]
        side = 1 if p["side"] == "bid" else -1
        happening = self._truth.begin("spoof", symbol, now_ms, side=p["side"], times=int(p["times"]), pulled=0)
        for _ in range(int(p["times"])):
            distance = max(5, int(s.fair * p["distance_bps"] / 1e4))
            ticks = int(s.best_bid if side > 0 else s.best_ask) - side * distance
            lots = max(10, int(p["size"] * s.level_lots))
            if not build_wall(self._x.market, row, side, ticks, lots, now_ms):
                continue
            happening.phase("PLACED", now_ms, ticks=ticks, lots=lots)
            s.drift = -side * (distance / s.fair) / (0.7 * p["wait_s"])  # the price walks towards it
            end_ms = now_ms + int(p["wait_s"] * 1000)
            near = max(2, distance // 4)
            while now_ms < end_ms and abs(int(s.best_bid if side > 0 else s.best_ask) - ticks) > near:
                now_ms = yield
            left = int(s.wall_lots)
            pull_wall(self._x.market, row, now_ms)
            s.drift = 0.0
            happening.phase("PULLED", now_ms, ticks=ticks, lots=left)
            happening.details["pulled"] += 1
            end_ms = now_ms + 400
            while now_ms < end_ms:
                now_ms = yield
        happening.end_ms = now_ms

    def _absorbed_wall(self, row: int, p: dict[str, Any], now_ms: int, symbol: str) -> Script:
        """A big order that stands while takers eat it, until it is gone."""
        s = self._x.market.symbols[row]
        side = 1 if p["side"] == "bid" else -1
        distance = max(4, int(s.fair * p["distance_bps"] / 1e4))
        ticks = int(s.best_bid if side > 0 else s.best_ask) - side * distance
        lots = max(20, int(p["size"] * s.level_lots))
        happening = self._truth.begin("absorbed_wall", symbol, now_ms, side=p["side"], ticks=ticks, lots=lots, eaten=0)
        if build_wall(self._x.market, row, side, ticks, lots, now_ms):
            happening.phase("PLACED", now_ms)
            end_ms = now_ms + int(p["timeout_s"] * 1000)
            touched = False
            while now_ms < end_ms and s.wall_lots > 0:
                _press(s, side, ticks, distance)
                if not touched and s.wall_lots < lots:
                    touched = True
                    happening.phase("ABSORBING", now_ms)
                now_ms = yield
            happening.details["eaten"] = lots - int(s.wall_lots)
            happening.phase("GONE" if s.wall_lots == 0 else "TIMEOUT", now_ms)
            pull_wall(self._x.market, row, now_ms)
        happening.end_ms = now_ms

    def _layered_wall(self, row: int, p: dict[str, Any], now_ms: int, symbol: str) -> Script:
        """A big order that never stands still: every so often it is cancelled and placed a few ticks away at once."""
        s = self._x.market.symbols[row]
        side = 1 if p["side"] == "bid" else -1
        happening = self._truth.begin("layered_wall", symbol, now_ms, side=p["side"], times=int(p["times"]), moved=0)
        lots = max(10, int(p["size"] * s.level_lots))
        step = max(1, int(s.fair * p["step_bps"] / 1e4))
        ticks = int(s.best_bid if side > 0 else s.best_ask) - side * max(5, int(s.fair * p["distance_bps"] / 1e4))
        for turn in range(int(p["times"]) + 1):
            if turn:
                pull_wall(self._x.market, row, now_ms)
                ticks += step if turn % 2 else -step
            if not build_wall(self._x.market, row, side, ticks, lots, now_ms):
                break
            happening.phase("MOVED" if turn else "PLACED", now_ms, ticks=ticks, lots=lots)
            happening.details["moved"] = turn
            end_ms = now_ms + int(p["wait_s"] * 1000)
            while now_ms < end_ms:
                now_ms = yield
        pull_wall(self._x.market, row, now_ms)
        happening.phase("PULLED", now_ms, ticks=ticks)
        happening.end_ms = now_ms

    def _iceberg(self, row: int, p: dict[str, Any], now_ms: int, symbol: str) -> Script:
        """A large order that shows a small part of itself, and shows it again whenever takers have eaten most of it."""
        s = self._x.market.symbols[row]
        side = 1 if p["side"] == "bid" else -1
        distance = max(3, int(s.fair * p["distance_bps"] / 1e4))
        ticks = int(s.best_bid if side > 0 else s.best_ask) - side * distance
        clip = max(8, int(p["clip"] * s.level_lots))
        happening = self._truth.begin("iceberg", symbol, now_ms, side=p["side"], ticks=ticks, clip_lots=clip, refills=0)
        if build_wall(self._x.market, row, side, ticks, clip, now_ms):
            happening.phase("PLACED", now_ms)
            end_ms = now_ms + int(p["timeout_s"] * 1000)
            while now_ms < end_ms:
                _press(s, side, ticks, distance)
                if 3 * s.wall_lots <= clip:
                    if happening.details["refills"] == int(p["clips"]):
                        break
                    if not build_wall(self._x.market, row, side, ticks, clip, now_ms):
                        break
                    happening.details["refills"] += 1
                    happening.phase("REFILLED", now_ms)
                now_ms = yield
            pull_wall(self._x.market, row, now_ms)
        happening.end_ms = now_ms

    def _news_listing(self, _row: int, p: dict[str, Any], now_ms: int, _symbol: str) -> Script:
        """A new symbol appears in instruments-info and on the stream, and is bought wildly at first."""
        try:
            symbol = self._x.list_new()
        except IndexError as error:
            self._truth.begin("news_listing", "", now_ms, refused=str(error)).end_ms = now_ms
            return
        happening = self._truth.begin("news_listing", symbol, now_ms)
        row = self._x.row_of[symbol]
        s = self._x.market.symbols[row]
        s.drift = math.log(1 + p["drift_pct"] / 100) / p["seconds"]
        s.buy_boost, s.sell_boost, s.churn, s.heat = 10.0, 5.0, 3.0, 4.0
        end_ms = now_ms + int(p["seconds"] * 1000)
        while now_ms < end_ms:
            now_ms = yield
        self._calm(row)
        happening.end_ms = now_ms

    def _btc_shock(self, _row: int, p: dict[str, Any], now_ms: int, _symbol: str) -> Script:
        """BTC falls (or jumps) and takes the whole market along by each symbol's beta; part of it comes back."""
        factor = self._x.market.factor
        happening = self._truth.begin("btc_shock", "BTCUSDT", now_ms, size_pct=p["size_pct"])
        move = math.log(1 + p["size_pct"] / 100)
        for name, part in (("SHOCK", move), ("BOUNCE", -p["bounce"] * move)):
            happening.phase(name, now_ms)
            factor[1] = part / p["seconds"]
            factor[2] = 3.0
            end_ms = now_ms + int(p["seconds"] * 1000)
            while now_ms < end_ms:
                now_ms = yield
        factor[1], factor[2] = 0.0, 1.0
        happening.end_ms = now_ms

    def _calm(self, row: int) -> None:
        s = self._x.market.symbols[row]
        s.drift = 0.0
        s.buy_boost = s.sell_boost = s.depth_factor = s.churn = 1.0


def _press(s: Any, side: int, ticks: int, distance: int) -> None:
    """Lean the fair price of a symbol against an order at `ticks` of `side`: two seconds to get there, then beyond it."""
    if side * (s.fair - (ticks - side * (s.half_spread + 3.0))) > 0:
        s.fair -= side * max(1.5, distance / 2.0) * 0.01
