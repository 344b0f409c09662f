"""The plant: which segments, rings, boards and pages a run has, and who may write them.

The supervisor creates and destroys; all others `Plant.join(run_file, role, index)`. Where what lies: `regions.py`.

    segment     holds
    control     control words, bells, process pages (words, errors), counter pages, resync words
    boards      symbols, symbol_rows, positions, account, orders, detail, global, funnel, replay
    market-I    market ring of shard I (slot 0 the shard, 1 the recorder, 2 the admin, rest free)
    raw         raw frames and notes, gateway to recorder (slot 1)
    taps        what execution and every shard received and consumed, to the recorder (slot 1)
    orders      intent and report ring of every shard, command and answer ring of the admin
    logs        log ring of every process (slot 1 the recorder, 2 the admin, 3 the supervisor), decision ring of every shard
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from core.decision import FUNNEL
from core.detail import DETAIL, DETAIL_WISHES
from core.enums import Mode
from core.records import (
    ACCOUNT_ROW,
    ANSWER,
    COMMAND,
    GLOBAL,
    MESSAGE,
    ORDER_ROW,
    POSITION_ROW,
    REPORT,
    SYMBOL,
    SYMBOL_ROW,
)
from core.replay_row import REPLAY
from shm.atomics import LINE_WORDS, get_word, set_word
from shm.broadcast import BroadcastRing
from shm.control import CncPage, ControlBlock, ProcessState
from shm.counters import CounterPage, merged_latency, sum_counters
from shm.decisions import DecisionReader
from shm.layout import LAYOUT_HASH
from shm.logs import LogReader, LogWriter
from shm.parking import Bell
from shm.regions import COMMAND_SLOTS, MAX_SYMBOLS, ORDER_ROWS, page, regions, sizes_of
from shm.run_spec import RunSpec, process_rows, tap_rows
from shm.segment import SHM_FOLDER, LayoutMismatch, PrivateSegment, Segment, sweep_stale
from shm.seqlock import Board
from shm.spsc import SpscRing

PREFIX = "scalper-"

SLOT_SHARD = 0
SLOT_RECORDER = 1
SLOT_ADMIN = 2
SLOT_SUPERVISOR = 3


class Plant:
    """All shared memory of a run as seen by one process (role, index). Objects are made on demand and kept."""

    def __init__(
        self, spec: RunSpec, segments: Mapping[str, Segment | PrivateSegment], role: str, index: int
    ) -> None:
        self.spec = spec
        self.role = role
        self.index = index
        self.rows = process_rows(spec.shards)
        if (role, index) not in self.rows:
            raise ValueError(f"{role} {index} is no process of this run")
        self._regions = regions(spec)
        self._segments = segments
        self._kept: dict[tuple[str, str], Any] = {}
        self.control = ControlBlock(self._words("control", "words"))
        self.bells: np.ndarray = self._words("control", "bells")
        self.bell = Bell(self.bells, self.row(role, index))

    # --- creation, joining, end
    @staticmethod
    def segment_name(run_id: str, name: str) -> str:
        return f"{PREFIX}{run_id}-{name}"

    @classmethod
    def create(cls, spec: RunSpec) -> Plant:
        """Make every segment of a run (the supervisor). OSError when shared memory is full: nothing is left behind."""
        if spec.layout_hash != LAYOUT_HASH:
            raise LayoutMismatch("the run description was made by another version of the code")
        segments: dict[str, Segment] = {}
        try:
            for name, placed in regions(spec).items():
                size = sum(page(size) for _, size in placed.values())
                segments[name] = Segment.create(cls.segment_name(spec.run_id, name), size, LAYOUT_HASH, spec.run_id)
            plant = cls(spec, segments, "supervisor", 0)
            plant._format()
        except BaseException:
            for segment in segments.values():
                segment.unlink()
            raise
        return plant

    @classmethod
    def join(cls, path: Path | str, role: str, index: int = 0) -> Plant:
        """Attach to a run by its run.json. LayoutMismatch when this code is of another version."""
        spec = RunSpec.load(path)
        if spec.layout_hash != LAYOUT_HASH:
            raise LayoutMismatch("the run was started by another version of the code; restart everything")
        segments = {
            name: Segment.join(cls.segment_name(spec.run_id, name), LAYOUT_HASH) for name in regions(spec)
        }
        return cls(spec, segments, role, index)

    @classmethod
    def private(cls, spec: RunSpec, role: str) -> Plant:
        """A plant in the memory of this process, seen as `role`: backtests and replays run the same code on it."""
        segments = {
            name: PrivateSegment(sum(page(size) for _, size in placed.values()))
            for name, placed in regions(spec).items()
        }
        plant = cls(spec, segments, role, 0)
        plant._format()
        return plant

    def _format(self) -> None:
        sizes = sizes_of(self.spec)
        ControlBlock.format(self.control.words)
        gating = (SLOT_SHARD,) if self.spec.paced else ()
        for i in range(self.spec.shards):
            BroadcastRing.format(self._body(f"market-{i}", "ring"), sizes.market_cells, gating)
            BroadcastRing.format(self._body("logs", f"decisions-{i}"), sizes.decision_cells)
            SpscRing.format(self._body("orders", f"intents-{i}"), MESSAGE.size, sizes.intent_slots)
            SpscRing.format(self._body("orders", f"reports-{i}"), REPORT.size, sizes.report_slots)
        SpscRing.format(self._body("orders", "commands"), COMMAND.size, COMMAND_SLOTS)
        SpscRing.format(self._body("orders", "answers"), ANSWER.size, COMMAND_SLOTS)
        BroadcastRing.format(self._body("raw", "ring"), sizes.raw_cells)
        for role, i in tap_rows(self.spec.shards):
            BroadcastRing.format(self._body("taps", f"{role}-{i}"), sizes.tap_cells)
        for role, i in self.rows:
            BroadcastRing.format(self._body("logs", f"{role}-{i}"), sizes.log_cells)
        Board.format(self._body("boards", "symbols"), SYMBOL.dtype, MAX_SYMBOLS)
        Board.format(self._body("boards", "symbol_rows"), SYMBOL_ROW.dtype, MAX_SYMBOLS)
        Board.format(self._body("boards", "positions"), POSITION_ROW.dtype, MAX_SYMBOLS)
        Board.format(self._body("boards", "account"), ACCOUNT_ROW.dtype, 1)
        Board.format(self._body("boards", "orders"), ORDER_ROW.dtype, ORDER_ROWS)
        Board.format(self._body("boards", "detail"), DETAIL.dtype, DETAIL_WISHES)
        Board.format(self._body("boards", "global"), GLOBAL.dtype, 1)
        Board.format(self._body("boards", "funnel"), FUNNEL.dtype, MAX_SYMBOLS)
        Board.format(self._body("boards", "replay"), REPLAY.dtype, 1)
        self.control.set("run_state", ProcessState.BOOT)
        self.control.set("mode", Mode[self.spec.mode])

    def close(self) -> None:
        """Drop this process's mappings (as far as no array of them is in use any more)."""
        self._kept.clear()
        del self.control
        del self.bell
        del self.bells
        for segment in self._segments.values():
            segment.close()

    def destroy(self) -> None:
        """Remove the names (the supervisor, after all others have ended)."""
        for segment in self._segments.values():
            segment.unlink()

    # --- parts
    def _body(self, segment: str, region: str) -> np.ndarray:
        offset, size = self._regions[segment][region]
        return self._segments[segment].body[offset : offset + size]

    def _words(self, segment: str, region: str) -> np.ndarray:
        return self._body(segment, region).view(np.int64)

    def _keep(self, segment: str, region: str, make: Callable[[np.ndarray], Any]) -> Any:
        key = (segment, region)
        if key not in self._kept:
            self._kept[key] = make(self._body(segment, region))
        return self._kept[key]

    def row(self, role: str, index: int = 0) -> int:
        """Row of a process in the process table."""
        return self.rows.index((role, index))

    def row_name(self, row: int) -> str:
        """Name of a process row: `gateway`, `shard-1`."""
        role, index = self.rows[row]
        return f"shard-{index}" if role == "shard" else role

    def bell_of(self, role: str, index: int = 0) -> Bell:
        """Somebody else's bell, to wake that process after changing a word it watches."""
        return Bell(self.bells, self.row(role, index))

    def cnc(self, role: str | None = None, index: int | None = None) -> CncPage:
        """Process page; without arguments this process's own."""
        role, index = self._who(role, index)
        name = self.row_name(self.row(role, index))
        return self._keep("control", f"cnc-{role}-{index}", lambda body: CncPage(body, name))

    def counters(self, role: str | None = None, index: int | None = None) -> CounterPage:
        """Counter page; without arguments this process's own."""
        role, index = self._who(role, index)
        return self._keep("control", f"counters-{role}-{index}", lambda body: CounterPage(body.view(np.int64)))

    def _who(self, role: str | None, index: int | None) -> tuple[str, int]:
        return (self.role, self.index) if role is None else (role, 0 if index is None else index)

    def _ring(self, body: np.ndarray) -> BroadcastRing:
        return BroadcastRing.attach(body, self.bells, self.bell.index)

    def market(self, shard: int) -> BroadcastRing:
        """Market ring of a shard: written by the gateway; slot SLOT_SHARD is the shard's (gating in paced runs)."""
        return self._keep(f"market-{shard}", "ring", self._ring)

    def raw(self) -> BroadcastRing:
        """Raw frames and notes (shm/tap.py), gateway to recorder."""
        return self._keep("raw", "ring", self._ring)

    def tap(self, role: str | None = None, index: int | None = None) -> BroadcastRing:
        """What a process received and consumed (shm/tap.py), to the recorder; without arguments this process's own."""
        role, index = self._who(role, index)
        return self.raw() if role == "gateway" else self._keep("taps", f"{role}-{index}", self._ring)

    def taps(self) -> dict[int, BroadcastRing]:
        """Ring of every process that has a tap, by its row in the process table."""
        rows = [("gateway", 0), *tap_rows(self.spec.shards)]
        return {self.row(role, i): self.tap(role, i) for role, i in rows}

    def log(self, role: str | None = None, index: int | None = None) -> BroadcastRing:
        """Log ring of a process; without arguments this process's own."""
        role, index = self._who(role, index)
        return self._keep("logs", f"{role}-{index}", self._ring)

    def decisions(self, shard: int) -> BroadcastRing:
        """Ring of DECISION records of a shard, lossy for every reader."""
        return self._keep("logs", f"decisions-{shard}", self._ring)

    def decision_readers(self, slot: int, from_start: bool = True) -> list[DecisionReader]:
        """Readers of all decision rings in one slot."""
        return [
            DecisionReader(self.decisions(i).reader(slot, from_start=from_start)) for i in range(self.spec.shards)
        ]

    def log_writer(self, clock: Callable[[], int] = time.time_ns) -> LogWriter:
        """Writer of this process's own log ring."""
        return LogWriter(self.log(), self.row(self.role, self.index), clock)

    def log_readers(self, slot: int, from_start: bool = True) -> dict[str, LogReader]:
        """Readers of all log rings in one slot, by process name."""
        return {
            self.row_name(row): LogReader(self.log(role, i), slot, from_start)
            for row, (role, i) in enumerate(self.rows)
        }

    def _spsc(self, body: np.ndarray) -> SpscRing:
        return SpscRing.attach(body, self.bells, self.bell.index)

    def intents(self, shard: int) -> SpscRing:
        """MESSAGE ring, shard to execution."""
        return self._keep("orders", f"intents-{shard}", self._spsc)

    def reports(self, shard: int) -> SpscRing:
        """REPORT ring, execution to shard."""
        return self._keep("orders", f"reports-{shard}", self._spsc)

    def commands(self) -> SpscRing:
        """COMMAND ring, admin to execution."""
        return self._keep("orders", "commands", self._spsc)

    def answers(self) -> SpscRing:
        """ANSWER ring, execution to admin."""
        return self._keep("orders", "answers", self._spsc)

    def _board(self, name: str, dtype: np.dtype) -> Board:
        return self._keep("boards", name, lambda body: Board.attach(body, dtype))

    def symbols(self) -> Board:
        """SYMBOL by id; written by the gateway."""
        return self._board("symbols", SYMBOL.dtype)

    def symbol_rows(self) -> Board:
        """SYMBOL_ROW by id; each row written by the shard that owns the symbol."""
        return self._board("symbol_rows", SYMBOL_ROW.dtype)

    def positions(self) -> Board:
        """POSITION_ROW by symbol id; written by execution."""
        return self._board("positions", POSITION_ROW.dtype)

    def account(self) -> Board:
        """ACCOUNT_ROW, one row; written by execution."""
        return self._board("account", ACCOUNT_ROW.dtype)

    def orders(self) -> Board:
        """ORDER_ROW, the last intents and their orders; written by execution, row = number modulo ORDER_ROWS."""
        return self._board("orders", ORDER_ROW.dtype)

    def detail(self) -> Board:
        """DETAIL, one row per wish in `control.detail_symbols`; written by the shard that owns the wished symbol."""
        return self._board("detail", DETAIL.dtype)

    def global_regime(self) -> Board:
        """GLOBAL, one row: the verdict of the last GLOBAL event and its inputs; written by the gateway."""
        return self._board("global", GLOBAL.dtype)

    def funnel(self) -> Board:
        """FUNNEL by symbol id; each row written by the shard that owns the symbol."""
        return self._board("funnel", FUNNEL.dtype)

    def replay(self) -> Board:
        """REPLAY, one row; written by the player of a replay, empty in a running system."""
        return self._board("replay", REPLAY.dtype)

    def resync_words(self) -> np.ndarray:
        """int64[1024 * 8]: word 8 * id counts the resynchronisations a shard asked of the gateway for a symbol."""
        return self._words("control", "resync")

    def request_resync(self, symbol: int) -> None:
        """Owning shard: one more wish for a fresh snapshot."""
        words = self.resync_words()
        set_word(words, symbol * LINE_WORDS, int(words[symbol * LINE_WORDS]) + 1)

    def resync_count(self, symbol: int) -> int:
        return int(get_word(self.resync_words(), symbol * LINE_WORDS))

    def watermark(self, shard: int) -> int:
        """seq up to which a shard has handled everything."""
        return self.cnc("shard", shard).progress_seq

    def min_watermark(self) -> int:
        """seq up to which all shards have handled everything."""
        return min(self.watermark(i) for i in range(self.spec.shards))

    # --- over all processes
    def recorder_lag_cells(self) -> int:
        """Cells the recorder has still to read, over all rings it takes part in."""
        rings = [*self.taps().values(), *(self.log(role, i) for role, i in self.rows)]
        rings += [self.market(i) for i in range(self.spec.shards)]
        rings += [self.decisions(i) for i in range(self.spec.shards)]
        return sum(ring.slot_lag_cells(SLOT_RECORDER) for ring in rings)

    def pages(self) -> dict[str, CounterPage]:
        """Counter pages by process name."""
        return {self.row_name(row): self.counters(role, i) for row, (role, i) in enumerate(self.rows)}

    def cncs(self) -> dict[str, CncPage]:
        """Process pages by process name."""
        return {self.row_name(row): self.cnc(role, i) for row, (role, i) in enumerate(self.rows)}

    def latency(self) -> dict[str, dict[str, float]]:
        """{stage: {count, p50, p99, p99_9, max}} in µs, all processes merged."""
        return merged_latency(self.pages().values())

    def totals(self) -> dict[str, int]:
        """Counters added over all processes."""
        return sum_counters(self.pages().values())


def leftovers(refuse_live: bool = False) -> list[str]:
    """Remove the shared memory of dead runs; with `refuse_live` a live run raises OwnerAlive."""
    return sweep_stale(PREFIX, refuse_live)


def live_runs() -> list[str]:
    """Run ids whose control segment exists."""
    suffix = "-control"
    names = (path.name for path in SHM_FOLDER.glob(f"{PREFIX}*{suffix}"))
    return sorted(name[len(PREFIX) : -len(suffix)] for name in names)
