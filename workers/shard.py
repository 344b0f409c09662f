"""Shard process: one group of symbols. `python -m workers.shard --run F --index I`

    market ring -> scratch -> run_batch (core.engine) -> intent ring -> watermark
    report ring ----------------^        '-> log ring, boards (<= 10 Hz), resync wishes

Nothing is stepped while messages wait for room in the intent ring, and the watermark never passes a message that has
not been pushed, so execution may rely on it.

Restarts: a shard that starts in a running plant takes the market ring where it stands, lists its symbols from the symbol
board, asks for fresh snapshots of all of them, and says HELLO to execution, which gives its open positions back. Every
shard, also at its first start, throws away reports that stand before the answer to its HELLO, and steps nothing until
then. When execution was restarted, it says so, and everything it has not answered is sent again in order.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from config.load import ConfigError
from config.paths import DataPaths
from config.profiles import load_profiles
from config.schema import Profile, Settings
from core.consumption import Born, Broken, CheckShard, Own, Resume, Taken
from core.engine.decision import take_decisions
from core.engine.digest import digest_sum
from core.engine.engine import (
    NOT_BLOCKED,
    P_BLOCKED,
    P_BROKEN,
    P_DECISIONS,
    P_END,
    P_EVENTS,
    P_LAST_SEQ,
    P_LAST_TS,
    P_LOGS,
    P_OUT,
    P_REPORTS_USED,
    P_RESYNC,
    P_WATERMARK,
    P_WORDS,
    WAITING,
    run_batch,
)
from core.engine.state import APPLIED_NS, APPLIED_SEQ, C_CURSOR, C_N_SLOTS, mark_all_broken, new_state
from core.enums import DataReason, DataState, LogKind, MessageKind, Severity
from core.histogram import hist_record
from core.jit import kernel
from core.orders.wire import Message, read_messages
from core.records import CELL_WORDS, EVENT, LOG, MESSAGE, SYMBOL_ROW
from core.words import plural
from shm.agent import die_with_parent, run
from shm.counters import S_RECV_TO_SHARD, S_STEP
from shm.decisions import DecisionWriter
from shm.layout import word
from shm.regions import MAX_SYMBOLS
from shm.scheduling import go_first
from shm.tap import Tap
from shm.topology import SLOT_SHARD, Plant
from workers.dialogue import Dialogue
from workers.run_settings import load_settings
from workers.shard_takeover import symbols_of, takeover_events
from workers.symbol_boards import SymbolBoards

SCRATCH_CELLS = 8192
OUT_ROWS = 1024
BOARD_NS = 100_000_000
FUNNEL_NS = 1_000_000_000
TAPE_DEPTH = 1000  # a tape may hold any depth
TAKE_TURNS = 16  # batches per turn, so that control words are seen often
W_SEQ, W_EXCH, W_RECV = (word(EVENT, name) for name in ("seq", "ts_exch_ns", "ts_recv_ns"))  # of an event's header


@kernel
def record_ages(histogram, cells, start, n_cells, now_ns):
    """Age of every message in cells[start:n_cells] that carries a monotonic receive time, into the histogram (ns)."""
    at = start
    while at < n_cells:
        if cells[at, 3] > 0:
            hist_record(histogram, max(now_ns - cells[at, 3], 0))
        at += max((cells[at, 6] >> 48) & 0xFFFF, 1)


def book_levels(depth: int) -> int:
    """Room per side for a topic of `depth` levels: one frame may insert many before it deletes as many. Small books stay
    on few memory pages."""
    return 2 * depth + max(depth // 4, 28)


class Shard:
    """Agent over one engine. `clock` gives CLOCK_MONOTONIC ns, `wall` epoch ns (only for a restart's own events)."""

    role_name = "shard"

    def __init__(
        self, plant: Plant, index: int, settings: Settings | None = None, clock: Callable[[], int] = time.monotonic_ns,
        wall: Callable[[], int] = time.time_ns,
    ) -> None:
        self.plant = plant
        self.index = index
        self.paced = plant.spec.paced
        self._clock = clock
        self._wall = wall
        self._settings = settings
        self.control = plant.control
        self.cnc = plant.cnc()
        self.counters = plant.counters()
        self.log = plant.log_writer()
        self._decisions = DecisionWriter(plant.decisions(index))
        self._tap = Tap(plant.tap())
        self.restarted = self.cnc.pid != 0  # the page was zero when the plant was made
        depth = TAPE_DEPTH if self.paced else max((settings or load_settings(plant)).symbols.depth)
        self._levels = book_levels(depth)
        self.state = new_state(MAX_SYMBOLS, self._levels, paced=self.paced)
        self.reader = plant.market(index).reader(SLOT_SHARD, gating=self.paced, from_start=not self.restarted)
        self.dialogue = Dialogue(plant, index, clock)
        self._cells: np.ndarray = np.zeros((SCRATCH_CELLS, CELL_WORDS), np.int64)
        self._at = self._n_cells = 0
        self._out: np.ndarray = np.zeros(OUT_ROWS, MESSAGE.dtype)
        self._logs: np.ndarray = np.zeros(OUT_ROWS, LOG.dtype)
        self._progress: np.ndarray = np.zeros(P_WORDS, np.int64)
        self._laps = self.reader.laps
        self._resumes = self.restarted  # the next event read is the first behind a hole
        self._wishes: np.ndarray = self.state.resync_wish.copy()
        self._boards = SymbolBoards(plant)
        self._found: np.ndarray = np.zeros(2, np.int64)
        self._board_ns = self._funnel_ns = 0
        self._end_seq = 0
        self._rows: np.ndarray = np.zeros(MAX_SYMBOLS if self.restarted else 0, SYMBOL_ROW.dtype)
        self._known_ns = self._until_ns = 0  # a restart: the last event the boards know; what may have happened before us
        self._age = self.counters.hist(S_RECV_TO_SHARD)
        self._step = self.counters.hist(S_STEP)

    # --- life ------------------------------------------------------------------------------------------------------
    def on_start(self) -> None:
        """Say HELLO; after a restart take the symbols over."""
        nonce = max(self._clock(), 1)
        if self.restarted:
            self.plant.symbol_rows().read_all(self._rows)  # event time goes on where the boards of before stand
            self._known_ns = int(self._rows["ts_recv_ns"].max()) or self._wall()
            self._until_ns = max(self._known_ns, self._wall())
        self._tap.note(Born(nonce, int(self.restarted), self._levels))
        self.dialogue.hello(nonce, self._until_ns)
        if self.restarted:
            self._take_over()
        self.dialogue.push()

    def do_work(self) -> int:
        """One turn: reports, events, messages, boards. Nothing is stepped before execution has answered the HELLO."""
        done = self.dialogue.take()
        if self.dialogue.push() and not self.dialogue.nonce:
            for _ in range(TAKE_TURNS):
                events = self._work()
                done += events
                if events == 0 or self.dialogue.unsent:
                    break
        now = self._clock()
        if now - self._board_ns >= BOARD_NS:
            self._board_ns = now
            self._write_boards()
            if now - self._funnel_ns >= FUNNEL_NS:
                self._funnel_ns = now
                self._write_funnel()
                self._check()
        if self._end_seq and self.cnc.progress_seq < self._end_seq:
            self._finish()
        return done

    def on_close(self) -> None:
        """Last boards."""
        self.dialogue.push()
        self._check()
        self._write_boards()
        self._write_funnel()

    # --- events ----------------------------------------------------------------------------------------------------
    def _work(self) -> int:
        """Read a batch (or go on with the rest of one) and step it; returns events stepped."""
        published = self.control.get("published_seq")  # before the look at the ring
        if self._at >= self._n_cells:
            self._at = 0
            self._n_cells = self.reader.read(self._cells)
            if self.reader.laps != self._laps:
                self._lapped()
            if self._n_cells == 0:
                self._advance(max(int(self._progress[P_WATERMARK]), published) if self._may_pass() else 0)
                return 0
            if self._resumes:
                self._resumes = False
                self._tap.note(Resume(int(self._cells[0, 0])))
            now = self._clock()
            record_ages(self._age, self._cells, 0, self._n_cells, now)
            self.counters.add("cells", self._n_cells)
            self.counters.add("batches")
        return self._step_cells()

    def _may_pass(self) -> bool:
        """The ring is empty and nothing is owed: whatever was published before is handled."""
        return not self.dialogue.unsent and not self._end_seq and int(self._progress[P_BLOCKED]) == NOT_BLOCKED

    def _step_cells(self) -> int:
        """Step what is in the scratch until it is used up, blocked, or messages do not fit into the intent ring."""
        events = 0
        progress = self._progress
        while self._at < self._n_cells and not self.dialogue.unsent:
            start = self._clock()
            self._at = run_batch(
                self.state, self._cells, self._at, self._n_cells, self.dialogue.reports, self.dialogue.n_reports, self._out,
                self._logs, progress,
            )
            self._account(start)
            events += int(progress[P_EVENTS])
            if progress[P_BLOCKED] == WAITING:
                self.counters.add("blocked_turns")
                break
        return events

    def _account(self, start: int) -> None:
        """Everything that follows from one run_batch: messages out, logs out, reports used, counters, watermark."""
        progress, counters = self._progress, self.counters
        events = int(progress[P_EVENTS])
        if events:
            hist_record(self._step, (self._clock() - start) // events)
            counters.add("events", events)
        used = int(progress[P_REPORTS_USED])
        if used:  # in the journal before anything that follows from them leaves
            for row, applied in zip(self.dialogue.reports[:used], self.state.applied[:used].tolist(), strict=True):
                self._tap.note(Taken(applied[APPLIED_SEQ], applied[APPLIED_NS], row.tobytes()))
            self.dialogue.used(used)
        n_out = int(progress[P_OUT])
        if n_out:
            self.dialogue.unsent += [self._stamped(message) for message in read_messages(self._out, n_out)]
        pushed = self.dialogue.push()
        n_logs = int(progress[P_LOGS])
        if n_logs:
            self.log.write_records(self._logs, n_logs)
            counters.add("log_records", n_logs)
        records, lost = take_decisions(self.state)
        if len(records):
            self._decisions.write(records)
            counters.add("recorded", len(records))
        if lost:
            counters.add("records_lost", lost)
        decisions = int(progress[P_DECISIONS])
        if decisions:
            counters.add("decisions", decisions)
            counters.add("transitions", decisions)
        if progress[P_RESYNC]:
            self._ask_resync()
        if progress[P_BROKEN]:
            counters.add("crossed", int(progress[P_BROKEN]))
        if progress[P_END]:
            self._end_seq = int(progress[P_END])
        elif pushed:
            self._advance(int(progress[P_WATERMARK]))

    def _stamped(self, message: Message) -> Message:
        """An ENTER with when it was decided, and the exchange's time of the event behind it."""
        if message.kind != MessageKind.ENTER:
            return message
        cells = self._cells[: self._n_cells]
        found = np.flatnonzero((cells[:, W_SEQ] == message.seq) & (cells[:, W_RECV] == message.ts_event_ns))
        exchange_ns = int(cells[found[0], W_EXCH]) if len(found) else 0
        return message._replace(ts_exch_ns=exchange_ns, mono_decided_ns=self._clock())

    def _advance(self, seq: int) -> None:
        if seq > self.cnc.progress_seq:
            self.cnc.progress_seq = seq

    def _lapped(self) -> None:
        """The ring overtook us: no book can be believed, all are asked for anew."""
        laps, self._laps = self.reader.laps, self.reader.laps
        lost = self.reader.lost_messages - self.counters.get("lost_messages")
        self.counters.set("lost_messages", self.reader.lost_messages)
        self.counters.set("laps", laps)
        ts_ns, seq = int(self._progress[P_LAST_TS]), int(self._progress[P_LAST_SEQ])
        self._break_all(ts_ns, seq)
        self.log.emit(LogKind.LOST, severity=Severity.ERROR, ts_ns=ts_ns, a=lost, b=laps,
                      text=f"market ring of shard {self.index} lapped")
        self._ask_resync()

    def _break_all(self, ts_ns: int, seq: int) -> None:
        """No book can be believed behind event `seq`."""
        self._tap.note(Broken(int(DataReason.LAPPED), ts_ns, seq))
        mark_all_broken(self.state, int(DataReason.LAPPED), ts_ns, seq, 1)
        self._resumes = True

    def _check(self) -> None:
        """A digest over all symbols for the journal: where a replay first differs shows within a second."""
        if int(self.state.control[C_CURSOR]):
            return  # inside a TIMER
        state, progress, found = self.state, self._progress, self._found
        digest_sum(state.symbols, state.trade, int(state.control[C_N_SLOTS]), self.index, found)
        self._tap.note(CheckShard(int(progress[P_LAST_SEQ]), int(progress[P_LAST_TS]), int(found[1]), int(found[0])))

    def _ask_resync(self) -> None:
        """Pass the engine's wishes for fresh snapshots on to the gateway."""
        n = int(self.state.control[C_N_SLOTS])
        for slot in np.flatnonzero(self.state.resync_wish[:n] != self._wishes[:n]):
            self._wishes[slot] = self.state.resync_wish[slot]
            self.plant.request_resync(int(self.state.symbols["id"][slot]))
            self.counters.add("resync_wishes")
        self.plant.bell_of("gateway").ring()

    # --- restart ---------------------------------------------------------------------------------------------------
    def _take_over(self) -> None:
        """After a restart: settings, feed, control words and symbols as events of our own, then ask for snapshots."""
        settings = load_settings(self.plant) if self._settings is None else self._settings
        mine = symbols_of(self.plant, self.index)
        seq, ts_ns = self.control.get("published_seq"), self._known_ns
        for cells in takeover_events(
            self.plant, settings, self._profiles(), mine, self._rows, seq, ts_ns, self._until_ns
        ):
            self._tap.note(Own(cells.tobytes()))
            run_batch(self.state, cells, 0, len(cells), self.dialogue.reports, 0, self._out, self._logs, self._progress)
        self._break_all(ts_ns, seq)
        self._ask_resync()
        self.log.emit(LogKind.PROCESS, severity=Severity.WARNING, ts_ns=ts_ns, a=len(mine),
                      text=f"shard {self.index} restarted: {plural(len(mine), 'symbol')}")

    def _profiles(self) -> dict[str, Profile]:
        """Symbol profiles of the data folder; a file that became bad meanwhile stops no shard: it trades without them."""
        spec = self.plant.spec
        try:
            return load_profiles(DataPaths(Path(spec.data_dir), spec.mode).profiles_file)
        except ConfigError as error:
            self.cnc.errors.record(error)
            return {}

    # --- boards and end --------------------------------------------------------------------------------------------
    def _write_boards(self) -> None:
        self.counters.add("rows_written", self._boards.write(self.state))
        n = int(self.state.control[C_N_SLOTS])
        states = self.state.trade["data_state"][:n]
        self.counters.set("broken_symbols", int(np.count_nonzero(states == int(DataState.BROKEN))))

    def _write_funnel(self) -> None:
        self._boards.write_funnel(self.state, int(self._progress[P_LAST_TS]))

    def _finish(self) -> None:
        """END was stepped: final rows first, then the message that lets execution call the run drained."""
        if not self.dialogue.ended:
            if self.dialogue.unsent:
                return
            self._write_boards()
            self.dialogue.end(Message(
                seq=self._end_seq, ts_event_ns=int(self._progress[P_LAST_TS]), symbol=-1, kind=int(MessageKind.END)))
        if self.dialogue.push():
            self._advance(self._end_seq)


def main(argv: list[str] | None = None) -> int:
    """Entry of the process: joins the plant named by --run as shard --index and works until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m workers.shard")
    parser.add_argument("--run", required=True, help="run.json of the plant")
    parser.add_argument("--index", type=int, default=0, help="number of the shard")
    options = parser.parse_args(argv)
    die_with_parent()
    go_first()
    plant = Plant.join(options.run, "shard", options.index)
    return run(Shard(plant, options.index), plant)


if __name__ == "__main__":
    sys.exit(main())
