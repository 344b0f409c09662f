"""Engines and a tiny execution in one process, under the paced rules: what the shard count may not change."""

from __future__ import annotations

import random

import numpy as np

from core.constants import FLAG_TOOK
from core.engine import engine
from core.engine.digest import combine, fold_int
from core.engine.state import EngineState, new_state
from core.enums import Gate, MessageKind, OrderRole, ReportKind
from core.position.ladder import NO_TARGETS, Targets, laid, share_out, taken, within
from core.records import LOG, MESSAGE, REPORT

NOTIONAL_TICKS = 12_500  # size of an entry: 125 USDT at tick 0.01, in price ticks x lots / 1000


class TinyExecution:
    """Accepts what fits three positions, answers every message once, in the order (seq, symbol, place in ring)."""

    def __init__(self, latency_ns: int, max_positions: int = 3) -> None:
        self.latency_ns = latency_ns
        self.max_positions = max_positions
        self.position: dict[int, int] = {}
        self.value: dict[int, int] = {}
        self.working: dict[int, int] = {}
        self.stop: dict[int, int] = {}
        self.targets: dict[int, Targets] = {}
        self.gated: dict[int, tuple[int, int]] = {}  # R in ticks, lots
        self.took: set[int] = set()
        self.plan: dict[int, Targets] = {}
        self.protects = self.rungs = 0
        self.orders = 0
        self.fills = 0
        self.rejects = 0
        self.closed = 0
        self.realised = 0
        self.digest = 0

    def answer(self, message: np.ndarray) -> np.ndarray | None:
        kind, symbol = int(message["kind"]), int(message["symbol"])
        if kind == MessageKind.MARK:
            return None
        row = np.zeros((), REPORT.dtype)
        row["seq"], row["symbol"], row["effect_ns"] = message["seq"], symbol, message["ts_event_ns"] + self.latency_ns
        row["decision_id"], row["order_id"], row["side"] = message["decision_id"], message["order_id"], message["side"]
        held = self.position.get(symbol, 0)
        if kind == MessageKind.ENTER:
            self._enter(message, row, symbol)
        elif kind == MessageKind.CANCEL:
            row["kind"] = ReportKind.CANCEL if self.working.get(symbol) else ReportKind.DONE
            row["reason"] = message["reason"]
        elif kind == MessageKind.EXIT:
            row["kind"] = ReportKind.CLOSE if held or self.working.get(symbol) else ReportKind.POSITION
            row["role"], row["reason"] = OrderRole.EXIT, message["reason"]
        elif kind == MessageKind.PROTECT:
            row["kind"], row["reason"] = ReportKind.PROTECTED, message["reason"]
            if held:
                self.protects += 1
                self.stop[symbol] = int(message["stop_ticks"])
                prices = [int(message[f"target{k}_ticks"]) for k in ("", 2, 3)]
                self.targets[symbol] = tuple((p, lots) for p, (_, lots) in zip(prices, self.targets[symbol], strict=True))
            self._protection(row, symbol)
        elif kind == MessageKind.FILL:
            self._fill(message, row, symbol)
        elif kind == MessageKind.DONE:
            self.working.pop(symbol, None)
            row["kind"] = ReportKind.POSITION if held else ReportKind.DONE
            row["qty_lots"] = held
            row["entry_value_e8"] = self.value.get(symbol, 0) * 1000
            row["flags"] = FLAG_TOOK if symbol in self.took else 0
            row["risk_ticks"], row["risk_lots"] = self.gated.get(symbol, (0, 0))
            self._protection(row, symbol)
        return row

    def _enter(self, message: np.ndarray, row: np.ndarray, symbol: int) -> None:
        busy = {s for s, q in self.position.items() if q} | set(self.working)
        if len(busy) >= self.max_positions:
            self.rejects += 1
            row["kind"], row["reason"] = ReportKind.REJECTED, Gate.MAX_POSITIONS
            return
        self.orders += 1
        self.working[symbol] = self.orders
        row["kind"], row["order_id"] = ReportKind.ACCEPTED, self.orders
        row["price_ticks"] = message["price_ticks"]
        row["qty_lots"] = max(NOTIONAL_TICKS * 1000 // int(message["price_ticks"]), 1)
        ticks = [int(message[f"target{k}_ticks"]) for k in ("", 2, 3)]
        shares = [int(message[f"target{k}_lots"]) for k in ("", 2, 3)]
        lots = int(row["qty_lots"])
        self.stop[symbol], self.gated[symbol] = int(message["stop_ticks"]), (
            abs(int(message["price_ticks"]) - int(message["stop_ticks"])), lots)
        self.targets[symbol] = self.plan[symbol] = share_out(lots, ticks, shares, 1)
        self._protection(row, symbol)
        self.targets[symbol] = tuple((ticks, 0) for ticks, _ in self.plan[symbol])
        self.took.discard(symbol)
        row["deadline_ns"], row["flags"] = int(row["effect_ns"]) + 1_500_000_000, 3

    def _protection(self, row: np.ndarray, symbol: int) -> None:
        row["stop_ticks"] = self.stop.get(symbol, 0)
        for k, (ticks, lots) in zip(("", 2, 3), self.targets.get(symbol, NO_TARGETS), strict=True):
            row[f"target{k}_ticks"], row[f"target{k}_lots"] = ticks, lots

    def _fill(self, message: np.ndarray, row: np.ndarray, symbol: int) -> None:
        self.fills += 1
        lots = int(message["side"]) * int(message["qty_lots"])
        self.position[symbol] = self.position.get(symbol, 0) + lots
        now = self.value.get(symbol, 0) + lots * int(message["price_ticks"])
        if lots * (before := self.position[symbol] - lots) < 0:  # a reduction takes its share of the entry value
            now = self.value[symbol] * self.position[symbol] // before
        self.value[symbol] = now
        targets = self.targets.get(symbol, NO_TARGETS)
        if message["role"] == OrderRole.ENTRY:
            gains = laid(self.plan[symbol], abs(before), abs(lots))
            targets = tuple((ticks, size + gain) for (ticks, size), gain in zip(targets, gains, strict=True))
        elif message["role"] == OrderRole.TAKE_PROFIT:
            self.took.add(symbol)
            self.rungs += 1
            targets = taken(targets, abs(lots), int(message["rung"]))
        self.targets[symbol] = within(targets, abs(self.position[symbol]))
        self.realised -= lots * int(message["price_ticks"])
        if message["role"] == OrderRole.ENTRY and message["leaves_lots"] == 0:
            self.working.pop(symbol, None)
        if self.position[symbol] == 0:
            self.closed += 1
            self.value[symbol] = 0
        row["kind"], row["role"], row["qty_lots"] = ReportKind.POSITION, message["role"], self.position[symbol]
        row["entry_value_e8"] = self.value[symbol] * 1000  # a tick of a lot is 1e-5 USDT
        row["flags"] = FLAG_TOOK if symbol in self.took else 0
        row["risk_ticks"], row["risk_lots"] = self.gated.get(symbol, (0, 0))
        self._protection(row, symbol)
        self.digest = fold_int(self.digest, int(message["price_ticks"]) * 7 + lots)


class Shard:
    def __init__(self, cells: np.ndarray, slots: int, levels: int) -> None:
        self.cells = cells
        self.state: EngineState = new_state(slots, levels, paced=True)
        self.at = 0
        self.watermark = 0
        self.reports = np.zeros(1024, REPORT.dtype)
        self.n_reports = 0
        self.out = np.zeros(512, MESSAGE.dtype)
        self.logs = np.zeros(512, LOG.dtype)
        self.progress = np.zeros(engine.P_WORDS, np.int64)
        self.transitions: list[tuple[int, ...]] = []
        self.log_rows: list[np.ndarray] = []
        self.keep_logs = False

    @property
    def done(self) -> bool:
        return self.at >= len(self.cells)

    def run(self, stop: int) -> np.ndarray:
        """Step up to cell `stop`; returns the messages."""
        self.at = engine.run_batch(
            self.state, self.cells, self.at, stop, self.reports, self.n_reports, self.out, self.logs, self.progress
        )
        used = int(self.progress[engine.P_REPORTS_USED])
        self.reports[: self.n_reports - used] = self.reports[used : self.n_reports].copy()
        self.n_reports -= used
        self.watermark = int(self.progress[engine.P_WATERMARK])
        if self.keep_logs:
            self.log_rows.append(self.logs[: self.progress[engine.P_LOGS]].copy())
        return self.out[: self.progress[engine.P_OUT]].copy()

    def push(self, report: np.ndarray) -> None:
        self.reports[self.n_reports] = report
        self.n_reports += 1


class Plant:
    """`shards` engines over the given cells, run to the end; `rng` picks who runs and how far."""

    def __init__(
        self, cells: list[np.ndarray], slots: int, *, levels: int = 64, latency_ns: int = 20_000_000, seed: int = 0,
        keep_logs: bool = False, max_positions: int = 3,
    ) -> None:
        self.shards = [Shard(c, slots, levels) for c in cells]
        for shard in self.shards:
            shard.keep_logs = keep_logs
        self.execution = TinyExecution(latency_ns, max_positions)
        self.random = random.Random(seed)
        self.starts = [event_starts(c) for c in cells]
        self.messages: list[np.ndarray] = []

    def run(self, max_batch: int = 400) -> Plant:
        waiting: list[tuple[int, int, int, int, np.ndarray]] = []
        place = 0
        idle = 0
        while waiting or not all(s.done for s in self.shards):
            at = self.random.randrange(len(self.shards))
            shard = self.shards[at]
            before = (shard.at, shard.n_reports)
            ahead = self.starts[at]
            index = int(np.searchsorted(ahead, shard.at)) + self.random.randrange(1, max_batch + 1)
            stop = int(ahead[min(index, len(ahead) - 1)])
            for message in shard.run(stop):
                place += 1
                waiting.append((int(message["seq"]), int(message["symbol"]), place, at, message))
            level = min(s.watermark if not s.done else 1 << 60 for s in self.shards)
            ready = sorted((w for w in waiting if w[0] <= level), key=lambda w: w[:3])
            waiting = [w for w in waiting if w[0] > level]
            for _, _, _, origin, message in ready:
                self.messages.append(message)
                report = self.execution.answer(message)
                if report is not None:
                    self.shards[origin].push(report)
            moved = ready or (shard.at, shard.n_reports) != before
            idle = 0 if moved else idle + 1
            if idle > 500:
                raise AssertionError("stuck")
        return self

    def digest(self) -> str:
        names, digests = [], []
        for shard in self.shards:
            listed = shard.state.symbols["name_hash"] != 0
            names.append(shard.state.symbols["name_hash"][listed])
            digests.append(shard.state.trade["digest"][listed])
        return combine(np.concatenate(names), np.concatenate(digests), self.execution.digest)


def event_starts(cells: np.ndarray) -> np.ndarray:
    """Cell index of every event, and the end."""
    starts = []
    at = 0
    lengths = (cells[:, 6] >> 48) & 0xFFFF
    while at < len(cells):
        starts.append(at)
        at += int(lengths[at])
    starts.append(len(cells))
    return np.array(starts)
