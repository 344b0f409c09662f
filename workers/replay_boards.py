"""What the pages see of a replay: the boards, rings and control words of a plant, written from engines and account.

In a running system every board has the process behind it as writer; here one process stands for all of them.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from core.detail import DETAIL, DETAIL_WISHES
from core.engine.state import C_BITS, C_FEED, C_N_SLOTS, EngineState
from core.enums import ControlBits, FeedState, LogKind, MessageKind
from core.orders.broker import ANSWERED, Controls, Note
from core.orders.latency import Ledger
from core.orders.wire import Message, Report
from core.records import ACCOUNT_ROW, GLOBAL, ORDER_ROW, POSITION_ROW, SYMBOL, SYMBOL_ROW
from core.replay_row import REPLAY
from shm.decisions import DecisionWriter
from shm.logs import LogWriter
from shm.regions import MAX_SYMBOLS, ORDER_ROWS
from shm.run_spec import RunSpec
from shm.seqlock import Board
from shm.topology import SLOT_ADMIN, Plant
from workers.account_boards import AccountBoards
from workers.lane import LaneSink
from workers.replay_broker import ReplayBroker
from workers.replay_desk import desk_of
from workers.symbol_boards import SymbolBoards

ADMIN_WAIT_S = 2.0  # a page process that does not read for so long loses events; the replay goes on
POLL_S = 0.005
RECENT = 16_384  # batches of log and decision records: more than the pages keep


class PageSink(LaneSink):
    """Log and decision records into the rings of the page process, which loses none as long as it reads."""

    def __init__(self, plant: Plant) -> None:
        self._rings = (plant.log("shard", 0), plant.decisions(0), plant.log("execution", 0))
        self._logs = LogWriter(plant.log("shard", 0), plant.row("shard", 0))
        self._execution = LogWriter(plant.log("execution", 0), plant.row("execution", 0))
        self._decisions = DecisionWriter(plant.decisions(0))
        self._waits = True
        self.recent: deque[tuple[Callable[[Any], None], Any]] = deque(maxlen=RECENT)  # what was told last, and how

    def again(self, recent: Iterable[tuple[Callable[[Any], None], Any]]) -> None:
        """Tell the pages anew what they had been told, who forget everything when a replay goes back."""
        self.recent.clear()
        for tell, what in recent:
            tell(what)

    def logs(self, records: np.ndarray) -> None:
        self._wait()
        self.recent.append((self.logs, records.copy()))
        self._logs.write_records(records, len(records))

    def decisions(self, records: np.ndarray) -> None:
        self._wait()
        self.recent.append((self.decisions, records.copy()))
        self._decisions.write(records)

    def note(self, note: Note) -> None:
        """What execution logged."""
        self.recent.append((self.note, note))
        self._execution.emit(
            note.kind, note.symbol, note.severity, note.ts_ns, note.seq, note.a, note.b, note.c, note.d, note.e, note.f,
            note.x, note.y, note.text,
        )

    def _wait(self) -> None:
        """Hold while a ring is more than half full of what the pages have not read."""
        deadline = time.monotonic() + ADMIN_WAIT_S
        while any(ring.slot_lag_cells(SLOT_ADMIN) > ring.capacity_cells // 2 for ring in self._rings):
            if not self._waits or time.monotonic() > deadline:
                self._waits = False  # nobody reads: one wait is enough, until somebody does again
                return
            time.sleep(POLL_S)
        self._waits = True


class PageAccount:
    """Execution's account at the cursor: a `ReplayBroker` fed note by note, its order ledger and what it logged."""

    def __init__(self, sink: PageSink, spec: RunSpec | None = None) -> None:
        self.replayed = ReplayBroker(self._told, None if spec is None else desk_of(spec))
        self.ledger = Ledger()
        self._sink = sink

    def _told(self, message: Message, report: Report | None, notes: list[Note]) -> None:
        for note in notes:
            self._sink.note(note)
        broker = self.replayed.broker
        if broker is None or message.kind not in ANSWERED:
            return
        instrument = broker.instruments.get(message.symbol)
        if message.kind == MessageKind.ENTER and report is not None:
            label = next((note.text for note in notes if note.kind == LogKind.ORDER), "")
            numbers = next(((note.x, note.y) for note in notes if note.kind == LogKind.RISK), (0.0, 0.0))
            self.ledger.entered(message, report, instrument, int(broker.router.mode), label, numbers, 0, 0,
                                message.ts_event_ns, 1)
            self.ledger.durable(1, 0)
        elif message.kind in (MessageKind.FILL, MessageKind.DONE) and instrument is not None:
            self.ledger.told(message, instrument, 0)


class ReplayBoards:
    """Writes the boards of `plant` as the engines and the account stand; `clear` takes everything back."""

    def __init__(self, plant: Plant) -> None:
        self._plant = plant
        self._symbol_boards = SymbolBoards(plant)
        self._account_boards = AccountBoards(plant)
        self._known: np.ndarray = np.zeros(MAX_SYMBOLS, SYMBOL.dtype)  # by symbol id, as the board has it
        self._row: np.ndarray = np.zeros(1, REPLAY.dtype)

    def show(
        self, states: Iterable[EngineState], account: PageAccount, controls: Controls, regime: np.ndarray | None, ts_ns: int
    ) -> None:
        """Everything but the replay's own row, at event time `ts_ns`."""
        for state in states:
            self._show_symbols(state)
            self._symbol_boards.write(state)
        if regime is not None:
            self._plant.global_regime().write(0, regime)
        broker = account.replayed.broker
        if broker is not None:
            self._account_boards.write_changes(broker, account.ledger)
            self._account_boards.write_account(broker, ts_ns, broker.risk_off(ts_ns, controls))

    def show_funnel(self, states: Iterable[EngineState], ts_ns: int) -> None:
        for state in states:
            self._symbol_boards.write_funnel(state, ts_ns)

    @staticmethod
    def show_all(states: Iterable[EngineState], account: PageAccount) -> None:
        """Let the next `show` write every row, also those that have not changed."""
        for state in states:
            state.trade["dirty"][: int(state.control[C_N_SLOTS])] = 1
        broker = account.replayed.broker
        if broker is not None:
            broker.dirty |= broker.account.positions.keys() | broker.account.closed.keys()
        account.ledger.dirty |= set(range(1, account.ledger.last + 1))

    def show_controls(self, state: EngineState, seq: int, is_flat: bool) -> None:
        """Control words as the engines saw them: whoever paused or killed then, it shows as execution's."""
        control = self._plant.control
        bits = ControlBits(int(state.control[C_BITS]))
        control.feed_state = int(state.control[C_FEED])
        control.degraded = int(ControlBits.DEGRADED in bits)
        control.published_seq = seq
        control.set("pause_exec", int(ControlBits.PAUSE in bits))
        killed = ControlBits.KILL in bits
        if killed and not control.kill_sources():
            control.request_kill("exec")
        elif not killed and control.kill_sources():
            control.clear_kill()
        control.flat = int(killed and is_flat)
        version = int(state.params["config_version"][0])
        control.config_version = version

    def _show_symbols(self, state: EngineState) -> None:
        n = int(state.control[C_N_SLOTS])
        records = state.symbols[:n].copy()
        records["status"] = state.trade["active"][:n]
        for record in records:
            symbol = int(record["id"])
            if record["name_hash"] and record.tobytes() != self._known[symbol].tobytes():
                self._known[symbol] = record
                self._plant.symbols().write(symbol, self._known, symbol)

    def tell(self, **values: int) -> None:
        """The replay's own row."""
        row = self._row[0]
        for name, value in values.items():
            row[name] = value
        row["written_ns"] = time.monotonic_ns()
        self._plant.replay().write(0, self._row)

    def clear(self) -> None:
        """As nothing had happened yet."""
        plant = self._plant
        self._known["status"] = 0
        for symbol in np.flatnonzero(self._known["name_hash"]):
            plant.symbols().write(int(symbol), self._known, int(symbol))
        _zero(plant.symbol_rows(), SYMBOL_ROW.dtype, MAX_SYMBOLS)
        _zero(plant.positions(), POSITION_ROW.dtype, MAX_SYMBOLS)
        _zero(plant.orders(), ORDER_ROW.dtype, ORDER_ROWS)
        _zero(plant.account(), ACCOUNT_ROW.dtype, 1)
        _zero(plant.global_regime(), GLOBAL.dtype, 1)
        _zero(plant.funnel(), plant.funnel().dtype, MAX_SYMBOLS)
        nothing: np.ndarray = np.zeros(DETAIL_WISHES, DETAIL.dtype)
        nothing["symbol"] = -1
        for row in range(DETAIL_WISHES):
            plant.detail().write(row, nothing, row)
        self._plant.control.feed_state = int(FeedState.DOWN)


def _zero(board: Board, dtype: np.dtype, rows: int) -> None:
    """Empty rows wherever something was written."""
    nothing: np.ndarray = np.zeros(1, dtype)
    for row in np.flatnonzero([board.read_into(k, nothing) > 0 for k in range(rows)]):
        nothing[:] = np.zeros(1, dtype)
        board.write(int(row), nothing)
