"""The one place that reads shared memory for the pages: a snapshot at most every few hundred milliseconds, shared by all.

Readers only: seqlock boards, process pages, ring cursors, and the log rings through the admin's own reader slot. The only
words written from here are the wishes for the detail board.
"""

from __future__ import annotations

import math
import threading
import time
from enum import IntEnum
from pathlib import Path

import numpy as np

from admin import present
from admin.alerts import alerts
from admin.backtests import Backtests
from admin.checklist import Checklist
from admin.comparisons import comparisons
from admin.events import EventHistory, Names, in_order
from admin.explain import Decisions, Funnel, explain, listed
from admin.history import History
from admin.orders import Orders
from admin.plant_stats import CpuMeter, StageMeter, Timeline, process_rows, ring_rows
from admin.replay import ReplayView
from admin.sessions import BacktestRuns
from admin.snapshot import Snapshot, SymbolInfo, symbol_info
from admin.storage import storage
from config.blacklist_file import read_blacklist
from config.latch_file import read_latch
from config.paths import ROOT, DataPaths
from core.detail import DETAIL, DETAIL_INTERVALS_S
from core.enums import (
    Category,
    DataState,
    FeedState,
    Gate,
    GlobalRegime,
    LogKind,
    Mode,
    Pump,
    Regime,
    State,
    WallFate,
)
from core.features.registry import ALL_FEATURE_NAMES
from core.records import ACCOUNT_ROW, GLOBAL, POSITION_ROW, SYMBOL_ROW
from shm.errors import DATABASE_KIND
from shm.regions import MAX_SYMBOLS
from shm.seqlock import RowBusy
from shm.topology import SLOT_ADMIN, Plant

MAX_AGE_NS = 250_000_000
STATS_NS = 1_000_000_000
STORAGE_NS = 10_000_000_000
PRESSURE_STAGES = ("recv_to_shard", "recv_to_publish", "decode")
ENUMS: tuple[tuple[str, type[IntEnum]], ...] = (
    ("state", State), ("regime", Regime), ("pump", Pump), ("gate", Gate), ("category", Category),
    ("data_state", DataState), ("feed_state", FeedState), ("global_regime", GlobalRegime),
)
_FLOATS = [name for name in SYMBOL_ROW.dtype.names or () if SYMBOL_ROW.dtype[name] == np.float64
           and name not in ("tick_size", "lot_size")]


class Views:
    """Snapshots of `plant`. Safe to call from several threads: one lock around every look."""

    def __init__(self, plant: Plant, paths: DataPaths, max_heat_pct: float, database_url: str = "") -> None:
        self._plant = plant
        self._paths = paths
        self._max_heat_pct = max_heat_pct
        self._lock = threading.RLock()
        self.base_ns = time.monotonic_ns()
        self.run_id = plant.spec.run_id
        self.events = EventHistory()
        self.replay = ReplayView(plant, paths)
        recorded = self.recorded_paths
        self.history = History(recorded, database_url, lambda: self.replay.cursor_ns)
        self.backtests = Backtests(recorded, database_url)
        self.backtest_runs = BacktestRuns(paths, plant.spec.config_files)
        self.timeline = Timeline()
        self._decisions = Decisions(plant, recorded.decisions_dir)
        self._funnel = Funnel(plant)
        self.orders = Orders(plant)
        self.checklist = Checklist(paths.data_dir, plant.spec.config_files)
        self.symbols_version = 0
        self._symbols: dict[int, SymbolInfo] = {}
        self._listed = np.zeros(MAX_SYMBOLS, bool)
        self._symbol_versions: np.ndarray = np.zeros(MAX_SYMBOLS, np.int64)
        self._position_versions: np.ndarray = np.zeros(MAX_SYMBOLS, np.int64)
        self._rows: np.ndarray = np.zeros(MAX_SYMBOLS, SYMBOL_ROW.dtype)
        self._categories: np.ndarray = np.zeros(MAX_SYMBOLS, np.uint8)
        self._seen_events: np.ndarray = np.zeros(MAX_SYMBOLS, np.int64)
        self._seen_ms: np.ndarray = np.full(MAX_SYMBOLS, -1, np.int64)
        self._positions: np.ndarray = np.zeros(MAX_SYMBOLS, POSITION_ROW.dtype)
        self._account: np.ndarray = np.zeros(1, ACCOUNT_ROW.dtype)
        self._detail: np.ndarray = np.zeros(1, DETAIL.dtype)
        self._logs = plant.log_readers(SLOT_ADMIN)
        self._process_names = {row: plant.row_name(row) for row in range(len(plant.rows))}
        self._cpu = CpuMeter()
        self._stages = StageMeter(plant)
        self._stats_ns = 0
        self._stage_rows: list[dict] = []
        self._global: np.ndarray = np.zeros(1, GLOBAL.dtype)
        self._global_known = False
        self._global_since = (-1, 0)  # verdict of the last log line about it, and its time in ms
        self._kill: dict | None = None
        self._pause: dict | None = None
        self._storage: tuple[int, dict] = (0, {})
        self._latest: Snapshot | None = None

    def recordings(self) -> dict:
        """What a backtest can be made of. Raises OSError."""
        return self.backtest_runs.recordings.listed(self.run_id)

    # --- looking
    def snapshot(self, max_age_ns: int = MAX_AGE_NS) -> Snapshot:
        """The newest snapshot, looked up again when it is older than `max_age_ns`."""
        latest = self._latest
        if latest is not None and time.monotonic_ns() - latest.mono_ns < max_age_ns:
            return latest
        return self.refresh()

    def refresh(self) -> Snapshot:
        """Look now."""
        with self._lock:
            now = time.monotonic_ns()
            anew = self.replay.look()
            self._drain_logs()
            self._decisions.drain()
            if anew:
                self._forget()
            wall = self.replay.cursor_ns or time.time_ns()
            self._look_at_symbols()
            ids = np.flatnonzero(self._listed)
            now_ms = (wall - self.replay.from_ns if self.replay.is_on else now - self.base_ns) // 1_000_000
            self._look_at_rows(ids, now_ms)
            self._look_at_positions()
            self._plant.account().read_all(self._account)
            self._global_known = self._plant.global_regime().read_into(0, self._global) > 0 or self._global_known
            if now - self._stats_ns >= STATS_NS:
                self._cpu.look([self._plant.cnc(*row).pid for row in self._plant.rows if self._plant.cnc(*row).pid])
                self._kill = read_latch(self._paths.kill_file)
                self._pause = read_latch(self._paths.pause_file)
                self._funnel.look(self._look_ns())
            processes = process_rows(self._plant, self._cpu)
            counters = {name: page.as_dict() for name, page in self._plant.pages().items()}
            control = self._control(processes, counters)
            rings = ring_rows(self._plant)
            if now - self._stats_ns >= STATS_NS:
                self._stats_ns = now
                self._look_at_stages(wall, rings, control, counters)
            used = self._positions["side"] != 0
            self._latest = Snapshot(
                wall, now, int(now_ms), self._symbols, ids, self._rows[ids].copy(), self._seen_ms[ids].copy(),
                self._positions[used].copy(), self._account.copy(), control, processes, self._stage_rows, rings,
                {name: values for name, values in counters.items() if values},
                present.global_regime(self._global[0] if self._global_known else None, self._global_since),
            )
            return self._latest

    def _forget(self) -> None:
        """A replay began anew: nothing that was seen has happened yet."""
        self.events.clear()
        self._decisions.clear()
        self._funnel.clear(self.replay.from_ns)
        self.timeline = Timeline()
        self._global_since = (-1, 0)
        self._seen_events[:] = 0
        self._seen_ms[:] = -1
        self.replay.begun_anew()

    def _drain_logs(self) -> None:
        batches = []
        for reader in self._logs.values():
            while len(records := reader.read()):
                batches.append(records)
        if not batches:
            return
        records = in_order(np.concatenate(batches))
        verdicts = np.flatnonzero(records["kind"] == LogKind.GLOBAL_REGIME)
        if len(verdicts):
            last = records[verdicts[-1]]
            self._global_since = int(last["b"]), int(last["ts_ns"]) // 1_000_000
        self.events.append(records)

    def _look_at_symbols(self) -> None:
        board = self._plant.symbols()
        changed = board.changed_since(self._symbol_versions)
        if not len(changed):
            return
        symbols = dict(self._symbols)
        for row in changed.tolist():
            try:
                record = board.read(row)[0]
            except RowBusy:
                self._symbol_versions[row] = -1  # look again
                continue
            if int(record["name"][0]):
                symbols[row] = symbol_info(record)
                self._listed[row] = int(record["status"]) == 1
                self._categories[row] = int(record["category"])
        self._symbols = symbols
        self.symbols_version += 1

    def _look_at_rows(self, ids: np.ndarray, now_ms: int) -> None:
        count = int(ids[-1]) + 1 if len(ids) else 0
        rows = self._rows[:count]
        self._plant.symbol_rows().read_all(rows)
        moved = rows["events"] != self._seen_events[:count]
        self._seen_ms[:count][moved] = now_ms
        self._seen_events[:count][moved] = rows["events"][moved]
        for name in _FLOATS:  # a row nobody has written yet knows nothing
            rows[name][rows["events"] == 0] = math.nan
        rows["category"] = np.where(rows["events"] == 0, self._categories[:count], rows["category"])

    def _look_at_positions(self) -> None:
        board = self._plant.positions()
        for row in board.changed_since(self._position_versions).tolist():
            if board.read_into(row, self._positions, row) < 0:
                self._position_versions[row] = -1

    def _control(self, processes: list[dict], counters: dict[str, dict[str, int]]) -> dict:
        control = self._plant.control
        words = control.as_dict()
        killed = control.kill_sources()
        paused = control.pause_sources()
        gateway = next((row for row in processes if row["role"] == "gateway"), None)
        asked = [row for row in processes if row["acks"]]
        seen = [row for row in asked if row["kill_seen_ns"]]
        return {
            "killed": bool(killed), "kill_sources": killed, "flat": bool(words["flat"]),
            "kill": _latch_json(self._kill) if killed else None,
            "kill_seen": len(seen), "kill_of": len(asked),
            "kill_ms": max((row["kill_ms"] for row in seen if row["kill_ms"] is not None), default=None),
            "paused": bool(paused), "pause_sources": paused,
            "pause": _latch_json(self._pause) if paused else None, "degraded": bool(words["degraded"]),
            "feed": FeedState(words["feed_state"]).name if words["feed_state"] in (0, 1, 2) else str(words["feed_state"]),
            "feed_beat_ms": gateway["beat_ms"] if gateway else None, "stop": bool(words["stop"]),
            "published_seq": words["published_seq"], "ended": bool(words["end_seq"]), "drained": bool(words["drained"]),
            "config_version": words["config_version"], "mode": self.mode.name,
            "alerts": [] if self.replay.is_on else alerts(words, processes, counters, self._pause if paused else None),
        }

    def _look_at_stages(self, wall: int, rings: list[dict], control: dict, counters: dict[str, dict]) -> None:
        self._stages.look()
        self._stage_rows = self._stages.rows()
        gateway = counters.get("gateway", {})
        self.timeline.add(wall, rings, self._stages.last_second_p99_us(PRESSURE_STAGES), control,
                          gateway.get("shed_events", 0), sum(ring["lost"] for ring in rings), gateway.get("events", 0))

    # --- details of one symbol
    def set_detail(self, slot: int, symbol: int) -> None:
        """Wish for a symbol (-1 = none) on row `slot` of the detail board; its shard fills it."""
        self._plant.control.want_detail(slot, symbol)

    def detail(self, symbol: int) -> dict | None:
        """Ladder, candles, trades and features of a symbol that is on the detail board; None while it is not."""
        with self._lock:
            wishes = self._plant.control.detail_symbols
            if symbol not in wishes or self._plant.detail().read_into(wishes.index(symbol), self._detail) <= 0:
                return None
            row = self._detail[0]
            if int(row["symbol"]) != symbol or not int(row["ts_recv_ns"]):
                return None
            bids, asks, trades = (int(row[name]) for name in ("n_bids", "n_asks", "n_trades"))
            features = {name: None if math.isnan(value) else round(value, 6)
                        for name, value in zip(ALL_FEATURE_NAMES, row["features"].tolist(), strict=True)}
            return {
                "symbol": symbol, "seq": int(row["seq"]), "ts": int(row["ts_recv_ns"]) // 1_000_000,
                "bids": [row["bid_ticks"][:bids].tolist(), row["bid_lots"][:bids].tolist()],
                "asks": [row["ask_ticks"][:asks].tolist(), row["ask_lots"][:asks].tolist()],
                "candles": {str(seconds): _candles(row, series) for series, seconds in enumerate(DETAIL_INTERVALS_S)},
                "trades": [(row["trade_ts_ns"][:trades] // 1_000_000).tolist(),
                           *(row[f"trade_{name}"][:trades].tolist() for name in ("ticks", "lots", "side"))],
                "walls": {name: self._walls(row, side) for side, name in enumerate(("bids", "asks"))},
                "features": features,
            }

    @staticmethod
    def _walls(row: np.void, side: int) -> list[dict]:
        """Standing walls of one side, nearest the touch first."""
        return [
            {"ticks": int(row["wall_ticks"][side, k]), "lots": int(row["wall_lots"][side, k]),
             "x": round(float(row["wall_x"][side, k]), 2), "age_s": round(float(row["wall_age_s"][side, k]), 2),
             "fate": WallFate(int(row["wall_fate"][side, k])).name}
            for k in range(int(row["n_walls"][side]))
        ]

    # --- why and why not
    def explain(self, wanted: str, at_ms: int = 0) -> dict | None:
        """/api/explain: by decision id (no later than `at_ms`) or symbol; None = neither is known."""
        return explain(self._decisions, self.snapshot(), wanted, at_ms)

    def decisions(self, info: SymbolInfo) -> list[dict]:
        """The newest decisions of a symbol, newest first."""
        return listed(self._decisions, info)

    def funnel(self) -> dict:
        """/api/funnel: looks of the last hour per gate."""
        snapshot = self.snapshot()
        with self._lock:
            return self._funnel.answer(snapshot.symbols, self._look_ns())

    def _look_ns(self) -> int:
        """What an hour is measured by: CLOCK_MONOTONIC, in a replay the event time that is shown."""
        return self.replay.cursor_ns if self.replay.is_on else time.monotonic_ns()

    @property
    def paths(self) -> DataPaths:
        """Of this plant; a replay has its own."""
        return self._paths

    @property
    def recorded_paths(self) -> DataPaths:
        """Where the run that is shown was recorded: this plant's own, except in a replay."""
        source = self.replay.source
        return DataPaths(Path(source.data_dir), self._paths.mode) if source else self._paths

    @property
    def mode(self) -> Mode:
        """The mode in force, which may have changed since the start."""
        return Mode(self._plant.control.mode)

    def blacklist(self) -> list[dict]:
        """Symbols out of trading: by a person (who can take them back), and by the settings or their profile."""
        try:
            mine = read_blacklist(self._paths.blacklist_file)
        except (OSError, ValueError):
            mine = {}  # execution has paused for it, and says so
        rows = [{"symbol": name, "by": "person", "reason": row.reason, "since_ts": row.time_ns // 1_000_000}
                for name, row in sorted(mine.items())]
        return rows + [{"symbol": info.name, "by": "settings", "reason": "settings or symbol profile", "since_ts": None}
                       for info in self.snapshot().symbols.values() if info.blacklisted and info.name not in mine]

    # --- names and descriptions
    def names(self) -> Names:
        return Names(self._symbols, self._process_names)

    @staticmethod
    def enums_json() -> dict[str, list[str]]:
        """Names by value of every enum the binary columns use."""
        return {name: [member.name for member in sorted(enum)] for name, enum in ENUMS}

    def run_json(self) -> dict:
        """Description of the run for HELLO and /api/summary."""
        spec = self._plant.spec
        source = "replay" if spec.replay else "tape" if spec.tape else "venue" if spec.venue else "exchange"
        return {"run_id": spec.run_id, "mode": spec.mode, "shards": spec.shards, "paced": spec.paced, "seed": spec.seed,
                "source": source, "started_ts": spec.created_ns // 1_000_000, "kill_line": self.kill_line,
                "max_heat_pct": self._max_heat_pct}

    @property
    def kill_line(self) -> str:
        """The command that kills from a terminal."""
        folder = self._paths.data_dir
        return "python3 launch.py kill" + ("" if folder == ROOT / "data" else f" --data-dir {folder}")

    def comparisons(self) -> dict:
        """/api/comparisons: the shadow of other settings, and paper against the account."""
        return comparisons(self.recorded_paths, self.replay.source.run_id if self.replay.source else self.run_id)

    def storage(self) -> dict:
        """/api/storage/status: what lies in the data folder and how much room is left; measured at most every 10 s."""
        with self._lock:
            measured, result = self._storage
            now = time.monotonic_ns()
            if not measured or now - measured > STORAGE_NS:
                refusals = self._plant.cnc("recorder").errors.entries()
                result = storage(self._paths, self._plant.counters("recorder").as_dict(zeros=True), self.history.where(),
                                 next((entry for entry in refusals if entry["kind"] == DATABASE_KIND), None))
                self._storage = (now, result)
            return result


def _latch_json(latch: dict | None) -> dict | None:
    """Who latched KILL or PAUSE, when and why, as the file says; None without a file."""
    if latch is None:
        return None
    return {"time_ms": latch.get("time_ns", 0) // 1_000_000, "source": str(latch.get("source", "")),
            "reason": str(latch.get("reason", ""))}


def _candles(row: np.ndarray, series: int) -> list[list[int]]:
    """[start ms, open, high, low, close, volume, delta], each a list with the oldest candle first."""
    n = int(row["n_candles"][series])
    return [(row["candle_start_ns"][series, :n] // 1_000_000).tolist(),
            *(row[f"candle_{name}"][series, :n].tolist() for name in (
                "open_ticks", "high_ticks", "low_ticks", "close_ticks", "volume_lots", "delta_lots"))]
