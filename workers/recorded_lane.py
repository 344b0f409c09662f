"""An engine whose reports take effect where they took effect in a recorded run, and by the model where there was none.

    cells -> backlog -> engine, up to the next Place -> the report, when it is there -> on

Paced, the engine stops before the first event at which an answer is due. Then the answer gets its place: the recorded one,
or that event. The lane goes on to the earliest place and waits there; what it waits for does not depend on how the events
were cut into batches, nor on who is asked first.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from core.engine.engine import P_WATERMARK
from core.engine.state import C_CURSOR, C_LAST_TS, C_OUTSTANDING, OUT_DUE
from core.orders.broker import ANSWERED
from core.orders.wire import Message, Report
from core.records import CELL_WORDS
from workers.lane import Lane, LaneSink
from workers.recorded_order import NEVER, Op, Place
from workers.replay_lanes import NO_EVENT, find_seq

UNRECORDED = 1 << 40  # number of a place that no shard's journal has: behind those it has
W_TS = 2  # ts_recv_ns of an event's header


class Said(NamedTuple):
    """A message of this lane: `number` names it in `give`. `op`: where the run handled the same one."""

    number: int
    message: Message
    op: Op | None


class RecordedLane(Lane):
    """`recorded(message)`: where the run handled it and where the answer took effect, None where the model says. Every answered
    message must be given its answer with `give`, every gate set with `set_gates` be opened, sooner or later."""

    def __init__(
        self, slots: int, levels: int, sink: LaneSink | None,
        recorded: Callable[[Message], tuple[Op | None, Place | None]],
    ) -> None:
        super().__init__(slots, levels, paced=True, sink=sink)
        self._recorded = recorded
        self._backlog: deque[np.ndarray] = deque()
        self._first = 0  # cell of backlog[0] to go on with
        self._said = 0
        self._open: list[tuple[int, Place | None]] = []  # as the engine's outstanding messages, in their order
        self._awaited: list[tuple[int, int, int, int]] = []  # before_seq, number of the place, number said, when_ns
        self._answers: dict[int, Report] = {}
        self._gates: deque[tuple[int, int]] = deque()  # before_seq, number of the op
        self.seq = 0
        self.late = 0  # answers that took effect behind the event before which they were due

    # --- what comes in ---------------------------------------------------------------------------------------------
    def publish(self, cells: np.ndarray, n_cells: int, n_messages: int) -> bool:
        """Take int64[n_cells, 8] whole messages; they are copied."""
        self._backlog.append(cells[:n_cells].copy())
        return True

    def set_gates(self, gates: list[tuple[int, int]]) -> None:
        """(before_seq, number) each, by number: not stepped past before they are opened, whatever else is there."""
        reach = NEVER
        for before_seq, number in reversed(gates):
            reach = min(reach, before_seq)  # an earlier one is opened first
            self._gates.appendleft((reach, number))

    def open_gate(self, number: int, reports: list[tuple[Report, Place | None]]) -> None:
        """The op behind the first gate was done; its reports, each to its place, without one to the gate's."""
        before_seq, first = self._gates.popleft()
        assert first == number, f"gate {number} opened before gate {first}"
        for report, place in reports:
            at = place or Place(0, before_seq, report.effect_ns, UNRECORDED)
            self._await(self._next_number(), at, at.when_ns, report)

    def give(self, number: int, report: Report) -> None:
        """The answer to the message said under `number`."""
        self._answers[number] = report

    @property
    def stuck(self) -> bool:
        """After `work`: it waits for an answer or a gate."""
        return bool(self._backlog)

    # --- work ------------------------------------------------------------------------------------------------------
    def advance(self) -> list[Said]:
        """Step what is there, up to the first place whose report is missing."""
        said: list[Said] = []
        while self._backlog:
            cells = self._backlog[0]
            if not self._deliver(int(cells[self._first, 0])):
                break
            until = int(find_seq(cells, self._first, len(cells), self._next_place()))
            first = self._first
            said += self._number(self._step(cells[first:until]))
            self._first = first + self._at
            if self._first < until:
                self._fix_places(int(cells[self._first, 0]), int(cells[self._first, W_TS]))
            elif self._first >= len(cells):
                self._backlog.popleft()
                self._first = 0
        return said

    def _next_number(self) -> int:
        self._said += 1
        return self._said

    def _next_place(self) -> int:
        return min(self._awaited[0][0] if self._awaited else NEVER, self._gates[0][0] if self._gates else NEVER)

    def _step(self, part: np.ndarray) -> list[Message]:
        """Step whole messages; `_at` tells how many cells were used."""
        super().publish(part, len(part), 0)
        messages = super().work()
        self._n_cells = self._at  # what was left is in the backlog
        self.seq = max(self.seq, int(self._progress[P_WATERMARK]))
        assert int(self.state.control[C_CURSOR]) == 0
        return messages

    def _number(self, messages: list[Message]) -> list[Said]:
        numbered = []
        for message in messages:
            number, (op, place) = self._next_number(), self._recorded(message)
            numbered.append(Said(number, message, op))
            if message.kind in ANSWERED:
                self._open.append((number, place))
        return numbered

    def _fix_places(self, seq: int, ts_ns: int) -> None:
        """The engine waits before event `seq`: answers due by then take effect at their recorded place, or here."""
        control, rows = self.state.control, self.state.outstanding
        assert int(control[C_OUTSTANDING]) == len(self._open)
        kept = 0
        left: list[tuple[int, Place | None]] = []
        is_end = not np.any(rows[: int(control[C_OUTSTANDING]), OUT_DUE] <= ts_ns)  # END waits for all of them
        for row, (number, place) in enumerate(self._open):
            due_ns = int(rows[row, OUT_DUE])
            if due_ns > ts_ns and not is_end:
                rows[kept] = rows[row]
                kept += 1
                left.append((number, place))
            elif place is None:
                self._await(number, Place(0, seq, 0, UNRECORDED + number), due_ns)
            elif place.before_seq < NEVER:
                self.late += place.before_seq > seq
                self._await(number, place._replace(before_seq=max(place.before_seq, seq)), 0)
        control[C_OUTSTANDING] = kept
        self._open = left

    def _await(self, number: int, place: Place, when_ns: int, report: Report | None = None) -> None:
        insort(self._awaited, (place.before_seq, place.number, number, when_ns))
        if report is not None:
            self._answers[number] = report

    def _deliver(self, seq: int) -> bool:
        """Whatever takes effect before event `seq`; False where something is missing."""
        while self._awaited and self._awaited[0][0] <= seq:
            if self._gates and self._gates[0][0] <= self._awaited[0][0]:
                return False
            _, _, number, when_ns = self._awaited[0]
            report = self._answers.pop(number, None)
            if report is None:
                return False
            self._awaited.pop(0)
            self._take(report, when_ns)
        return not self._gates or self._gates[0][0] > seq

    def _take(self, report: Report, when_ns: int) -> None:
        """Let a report take effect now: reports are looked at before an event, so step one that says nothing."""
        when_ns = max(report.effect_ns, when_ns) or int(self.state.control[C_LAST_TS])
        self.answer([report._replace(effect_ns=when_ns)])
        nothing: np.ndarray = np.zeros((1, CELL_WORDS), np.int64)
        nothing[0, 0], nothing[0, W_TS], nothing[0, 6] = self.seq, when_ns, NO_EVENT
        stepped = self.counts["stepped"]
        self._step(nothing)
        self.counts["stepped"] = stepped
