"""Tapes as the source: at full speed or paced, into gated rings, with the recorded times as the only clock.

Nothing can be asked of a tape: a book with a gap stays BROKEN until the tape itself brings a snapshot.
"""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from config.schema import Settings
from core.enums import FeedState, LogKind, Severity
from gateway.bybit.universe import Changes, Instrument, Selector, Universe, UniverseError, load_instruments
from gateway.intake import MAX_FRAMES
from gateway.publisher import Stopped
from gateway.service import GatewayService, Sinks
from gateway.tape import FRAME_COLUMNS, TapeError, TapeReader
from gateway.tape_scan import TapeContents, choose_depth, scan_tape, tape_instruments
from shm.agent import StopFlag
from shm.control import STOP_BIT, cnc_turn
from shm.run_spec import RunSpec
from shm.tap import Tap
from shm.topology import Plant

STAGE_BYTES = 8 << 20
BATCH_FRAMES = 1024  # enough to forget the call costs, few enough that shards start while the next ones are decoded
GATED_SLEEP_S = 0.0002


def read_instruments(path: Path) -> dict[str, Instrument]:
    """Instruments by name from a recorded instruments-info answer (plain or .gz). Raises TapeError."""
    try:
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
        return {instrument.name: instrument for instrument in load_instruments(data)}
    except (OSError, EOFError) as error:
        raise TapeError(f"instruments file {path}: cannot be read ({error}). Check the path.") from None
    except UniverseError as error:
        raise TapeError(f"instruments file {path}: {error}. It must be an answer of instruments-info.") from None


def tape_universe(spec: RunSpec, settings: Settings, contents: TapeContents) -> tuple[Universe, Changes]:
    """Symbols of a tape with their grids, depths and shards; the busiest on the tape rank first. Raises TapeError."""
    known = read_instruments(Path(spec.instruments)) if spec.instruments else {}
    universe = Universe(settings.symbols, settings.trading.fees, Selector.parse(spec.symbols), spec.shards)
    activity = {symbol.name: float(symbol.frames) for symbol in contents.symbols}
    try:
        changes = universe.start(tape_instruments(contents, known), activity, contents.first_ns)
    except UniverseError as error:
        raise TapeError(f"tape: {error}. Check --symbols.") from None
    for tape_symbol in contents.symbols:
        symbol = universe.ids.get(tape_symbol.name)
        if symbol is not None:
            row = universe.records[symbol]
            row["depth"] = choose_depth(int(row["depth"]), tape_symbol.depths)
    return universe, changes


class TapeSource:
    """Agent of the gateway process in a tape run (see shm.agent.run)."""

    role_name = "gateway"

    def __init__(
        self, plant: Plant, settings: Settings, flag: StopFlag, reload: Callable[[], Settings],
        sinks: Sinks | None = None, until_ns: int = 0,
    ) -> None:
        """Reads the whole tape once to learn what it holds; `sinks` as in GatewayService; the tape ends before the first
        frame later than `until_ns` (0 = at its end). Raises TapeError."""
        spec = plant.spec
        self._paths = [Path(name) for name in spec.tape]
        self.contents = scan_tape(self._paths)
        universe, self._changes = tape_universe(spec, settings, self.contents)
        self._plant = plant
        self._cnc = plant.cnc()
        self._flag = flag
        self._speed = spec.tape_speed
        self.until_ns = until_ns or self.contents.last_ns
        self.now_ns = self.contents.first_ns  # receive time of the last frame handled
        tap = Tap(plant.tap()) if sinks is None else None
        self.service = GatewayService(plant, universe, settings, self._wait, reload, sinks, tap)
        self._reader = TapeReader(self._paths)
        self._stage: np.ndarray = np.zeros(STAGE_BYTES, np.uint8)
        self._frames: np.ndarray = np.zeros((min(BATCH_FRAMES, MAX_FRAMES), FRAME_COLUMNS), np.int64)
        self._at = self._count = 0  # frames of the stage: next one to handle, how many there are
        self._bad_lines = 0
        self._start_mono_ns = 0
        self.is_done = False

    @property
    def first_ns(self) -> int:
        """Receive time of the first frame."""
        return self.contents.first_ns

    def remarks(self) -> list[str]:
        """What is wrong with the tapes, as far as they were read."""
        said = []
        for path, fault in zip(self._paths, self._reader.faults, strict=True):
            if fault.damage:
                said.append(f"{path.name}: reading ended early: {fault.damage}")
        return said

    def on_start(self) -> None:
        self.service.start(self.contents.first_ns, self._changes, FeedState.CONNECTED)
        self._start_mono_ns = time.monotonic_ns()

    def do_work(self) -> int:
        """One batch of frames; 0 when none is due, a ring could not be written, or the tape is read."""
        if self.is_done:
            return 0
        try:
            return self._work()
        except Stopped:
            self.is_done = True
            return 0

    def on_close(self) -> None:
        self.service.publish_state()
        self._reader.close()

    def _work(self) -> int:
        now_ns = time.monotonic_ns()
        if self._at == self._count:
            self._at, self._count = 0, self._reader.read(self._stage, self._frames, now_ns)
            self._note_bad_lines()
            self._count = int(np.searchsorted(self._frames[: self._count, 2], self.until_ns, side="right"))
            if self._count == 0:
                self._finish()
                return 1
        count = self._due(now_ns)
        if count:
            frames = self._frames[self._at : self._at + count]
            self.service.intake.process(self._stage, frames, count, int(frames[:, 1].sum()))
            self._at += count
            self.now_ns = int(frames[-1, 2])
            self.service.publish_state()
        return count

    def _due(self, now_ns: int) -> int:
        """How many of the staged frames may be handled now."""
        waiting = self._frames[self._at : self._count]
        if self._speed <= 0.0:
            return len(waiting)
        until_ns = self.contents.first_ns + int((now_ns - self._start_mono_ns) * self._speed)
        late = np.flatnonzero(waiting[:, 2] > until_ns)
        count = int(late[0]) if late.size else len(waiting)
        waiting[:count, 3] = now_ns
        return count

    def _finish(self) -> None:
        for path, fault in zip(self._paths, self._reader.faults, strict=True):
            if fault.damage:
                self.service.emit(LogKind.ERROR, -1, Severity.ERROR, f"{path.name[:16]}: {fault.damage}")
                self._cnc.errors.record("TapeDamage", f"{path}: reading ended early: {fault.damage}")
        self.service.end()
        self.is_done = True

    def _note_bad_lines(self) -> None:
        """Lines that are no frames count as rejected frames; the first ones are logged with their numbers."""
        new = self._reader.bad_lines - self._bad_lines
        if not new:
            return
        self._bad_lines += new
        self.service.intake.reject(new)
        for path, fault in zip(self._paths, self._reader.faults, strict=True):
            for line in fault.take_new_lines():
                self.service.emit(LogKind.ERROR, -1, Severity.WARNING, f"line {line}: no frame ({path.name[:16]})", a=line)
                self._cnc.errors.record("TapeLine", f"{path}: line {line} is no frame", None)

    def _wait(self) -> bool:
        """A gated ring is full: keep the heartbeat going, sleep a moment; False when the run must stop."""
        self.service.counters.add("gated_waits")
        bits = cnc_turn(self._plant.control.words, self._cnc.words, time.monotonic_ns(), 0)
        if self._flag.set or int(bits) & STOP_BIT:
            return False
        time.sleep(GATED_SLEEP_S)
        return True
