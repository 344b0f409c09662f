"""The player of a replay: `python -m workers.replay_player --run F [--speed X] [--paused]`

    journal --> Replay (as `launch.py replay`: every comparison) --> boards, log and decision rings --> admin process
                   ^ pace                                        execution's notes up to the cursor --^
    admin process --> command ring --> play, pause, step, seek, speed --> ReplayClock

One process stands for gateway, shards and execution of the plant. Going back takes the last checkpoint before that time
(workers/replay_checkpoints.py) and replays from there at full speed; what is shown at a time is the same however it was
reached (`REPLAY.digest`). Nothing here can place an order.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from config.atomic_file import write_atomic
from config.paths import DataPaths
from core.constants import NS_PER_MS
from core.consumption import CheckShard, MessageNote
from core.enums import CommandKind, MessageKind, OrderRole
from core.mixing import MASK
from core.orders.broker import Controls
from core.orders.command_words import Answer, Command, read_commands, write_answer
from core.orders.wire import read_messages
from core.records import COMMAND, MESSAGE
from core.replay_row import ReplayAction, ReplayState
from shm.agent import Beat, StopFlag, die_with_parent
from shm.regions import COMMAND_SLOTS
from shm.topology import Plant
from workers.memento import Memento
from workers.replay import Replay, run_digest
from workers.replay_boards import PageAccount, PageSink, ReplayBoards
from workers.replay_checkpoints import Checkpoint, Checkpoints
from workers.replay_clock import ReplayClock
from workers.run_journal import NoJournal, RunJournal

LOOK_NS = 5_000_000
BOARD_NS = 100_000_000
BEAT_NS = 50_000_000
FUNNEL_NS = 1_000_000_000
IDLE_S = 0.004
RESET_S = 2.0  # how long the pages may take to begin anew
STALE_NS = 2_000_000_000
MARKS = 2000
MAX_SPEED_E3 = 1_000_000
DESCRIPTION = "replay.json"
OWN = ("_begun", "_booked", "_booked_ns")  # of the player, as a checkpoint keeps them


class Rewind(Exception):
    """Go back: the time asked for lies before the cursor."""


class Stopped(Exception):
    """The stop word, or SIGTERM."""


class Player:
    """Plays one run into `plant`. `main` runs until stopped; `clock` holds where it stands."""

    def __init__(self, plant: Plant, speed_e3: int = 1000, playing: bool = True, from_ns: int = 0) -> None:
        source = plant.spec.replay
        assert source is not None, "the plant of a replay names the run"
        self.plant = plant
        self.journal = RunJournal(Path(source.journal), source.run_id)
        self.clock = ReplayClock(speed_e3, playing)
        if from_ns:
            self.clock.seek(from_ns, playing)
        self.boards = ReplayBoards(plant)
        self.sink = PageSink(plant)
        self.beat = Beat(plant, period_ns=BEAT_NS)
        self.stop = StopFlag()
        self.replay: Replay | None = None
        self.account = PageAccount(self.sink)
        self.checkpoints = Checkpoints()
        self.epoch = 1
        self.from_ns = self.to_ns = 0
        self.verdict = 0
        self._notes: list[tuple[int, Any]] = []
        self._marks: list[list[Any]] = []
        self._told_differences = 0
        self._booked = 0
        self._booked_ns = 0
        self._granted_ns = 0
        self._begun = False
        self._looked_ns = self._board_ns = self._beat_ns = self._funnel_ns = 0
        self._commands = plant.commands().reader()
        self._answers = plant.answers().writer()
        self._command_rows: np.ndarray = np.zeros(COMMAND_SLOTS, COMMAND.dtype)

    # --- life ------------------------------------------------------------------------------------------------------
    def main(self) -> int:
        """Play until stopped; the exit code."""
        self.stop.install()
        self.beat.start()
        error: Exception | None = None
        try:
            while True:
                try:
                    self.play_through()
                    self._rest()
                except Rewind:
                    self._begin_anew()
        except Stopped:
            pass
        except Exception as caught:
            error = caught
            self._tell(ReplayState.FAILED)
            print(f"replay: {caught}", file=sys.stderr, flush=True)
        return self.beat.end(error)

    def play_through(self) -> None:
        """On to the last event, from the checkpoint before the time asked for, else from the first. Raises Rewind, Stopped."""
        checkpoint = self.checkpoints.before(self.clock.target_ns)
        replay = self.replay
        if checkpoint is None or replay is None:
            replay = self._begin()
            outcome = replay.run()
        else:
            self._take_back(checkpoint, replay)
            outcome = replay.resume()
        self.verdict = 1 if outcome.identical else 2 if not outcome.checks else -1
        self._book(1 << 62)
        self.to_ns = max(self.to_ns, outcome.until_ns)
        self.clock.end(self.to_ns)
        self._describe(replay)  # with what the end has to say
        self._show(time.monotonic_ns())

    def _begin(self) -> Replay:
        """The run from its beginning."""
        self._begun = False
        replay = self.replay = Replay(self.journal, 0, pace=self._pace, beside=self.sink, between=self._between)
        self.account = PageAccount(self.sink, replay.order.spec)
        self._notes = timed_notes(replay.order.execution)
        self._marks = self._marks or marks(replay.order.execution)
        self._told_differences = 0
        self._booked = self._booked_ns = self._granted_ns = 0
        self.checkpoints.kept.clear()
        self.sink.recent.clear()
        self.to_ns = max(self.to_ns, last_check_ns(replay.order.shards))
        self._describe(replay)
        self.beat.running()
        return replay

    def _between(self) -> None:
        """Between two blocks of the journal or batches of a tape: keep a checkpoint where one is due."""
        replay = self.replay
        assert replay is not None
        seq = replay.gateway.publisher.seq if replay.gateway.publisher is not None else 0
        if self.checkpoints.due(seq):
            cursor_ns = max(replay.outcome.until_ns, self._booked_ns)
            own = {name: getattr(self, name) for name in OWN}
            memento = Memento((replay, self.account), (self, self.sink, replay.order, self.plant))
            self.checkpoints.keep(Checkpoint(seq, cursor_ns, memento, own, tuple(self.sink.recent)))

    def _take_back(self, checkpoint: Checkpoint, replay: Replay) -> None:
        checkpoint.memento.restore()
        for name, value in checkpoint.own.items():
            setattr(self, name, value)
        self._told_differences = self._granted_ns = 0
        self.boards.show_all((lane.lane.state for lane in replay.lanes), self.account)
        self.sink.again(checkpoint.shown)
        self.clock.begin(max(checkpoint.cursor_ns + 1, self.from_ns), time.monotonic_ns())

    def _rest(self) -> None:
        """At the end: wait for somebody to go back."""
        while True:
            self._look(time.monotonic_ns(), 0)
            time.sleep(IDLE_S)

    def _begin_anew(self) -> None:
        """Take back what is shown, wait until the pages have let go of it."""
        self.epoch += 1
        self.verdict = 0
        self.boards.clear()
        self._tell(ReplayState.SEEKING)
        deadline = time.monotonic() + RESET_S
        while self.plant.control.get("replay_seen") != self.epoch and time.monotonic() < deadline:
            self._beat(time.monotonic_ns())
            time.sleep(IDLE_S)

    # --- pace ------------------------------------------------------------------------------------------------------
    def _pace(self, next_ns: int) -> int:
        """Asked before each read: wait until it is due, hear commands, show what is. Raises Rewind, Stopped."""
        clock = self.clock
        if not self._begun:
            self._begun = True
            self.from_ns = next_ns
            clock.begin(next_ns, time.monotonic_ns())
        else:
            clock.stepped(self._granted_ns)
        self._book(clock.cursor_ns)
        while True:
            now = time.monotonic_ns()
            if now - self._looked_ns >= LOOK_NS:
                self._look(now, next_ns)
            limit = clock.ask(next_ns, now)
            if limit >= next_ns:
                self._granted_ns = limit
                return limit
            self._book(clock.cursor_ns)
            time.sleep(min(max(clock.wait_ns(next_ns, now) / 1e9, 0.0005), IDLE_S))

    def _book(self, until_ns: int) -> None:
        """Execution's notes up to an event time."""
        self._booked_ns = max(self._booked_ns, until_ns)
        notes = self._notes
        while self._booked < len(notes) and notes[self._booked][0] <= until_ns:
            self.account.replayed.apply(notes[self._booked][1])
            self._booked += 1

    # --- commands --------------------------------------------------------------------------------------------------
    def _look(self, now: int, next_ns: int) -> None:
        self._looked_ns = now
        self._beat(now)
        again = False
        for command in read_commands(self._command_rows, self._commands.pop(self._command_rows)):
            text, rewinds = self._obey(command, now, next_ns)
            again |= rewinds
            self._tell(self.clock.state)  # who has the answer finds the row as it says
            answer = Answer(command.id, time.time_ns(), kind=command.kind, ok=not text, text=text)
            self._answers.push(write_answer(answer), 1)
        if again:
            raise Rewind
        if now - self._board_ns >= BOARD_NS:
            self._show(now)

    def _obey(self, command: Command, now: int, next_ns: int) -> tuple[str, bool]:
        """Carry a command out: (why not, begin anew?)."""
        clock = self.clock
        if command.kind != CommandKind.REPLAY:
            return "this is a replay: nothing is traded here", False
        if now - command.mono_ns > STALE_NS:
            return "too late", False
        try:
            action = ReplayAction(command.value)
        except ValueError:
            return f"no action {command.value}", False
        argument = command.price_ticks
        if action == ReplayAction.PLAY:
            if clock.state == ReplayState.ENDED:
                return "", clock.seek(self.from_ns - 1, play=True)
            clock.play(now)
        elif action == ReplayAction.PAUSE:
            clock.pause()
        elif action == ReplayAction.SPEED:
            if not 0 <= argument <= MAX_SPEED_E3:
                return f"speed: 0 to {MAX_SPEED_E3 // 1000} times", False
            clock.set_speed(argument, now)
        elif action == ReplayAction.STEP:
            if clock.state != ReplayState.ENDED:
                clock.seek(clock.cursor_ns + argument if argument else next_ns, play=False)
        elif action == ReplayAction.SEEK:
            return "", self._seek(min(max(argument, self.from_ns - 1), self.to_ns))
        return "", False

    def _seek(self, to_ns: int) -> bool:
        clock = self.clock
        if clock.state == ReplayState.ENDED and to_ns >= clock.cursor_ns:
            return False
        kept = self.checkpoints.before(to_ns)  # one that lies ahead saves the way there, too
        is_ahead = kept is not None and kept.cursor_ns > clock.cursor_ns
        return clock.seek(to_ns, clock.plays_on) or is_ahead

    # --- what is seen ----------------------------------------------------------------------------------------------
    def _beat(self, now: int) -> None:
        if now - self._beat_ns >= BEAT_NS:
            self._beat_ns = now
            if self.beat.tick(now) or self.stop.set:
                raise Stopped

    def _show(self, now: int) -> None:
        self._board_ns = now
        replay = self.replay
        if replay is None:
            return
        states = [lane.lane.state for lane in replay.lanes]
        self.boards.show(states, self.account, Controls(), replay.gateway.regime, self.clock.cursor_ns)
        broker = self.account.replayed.broker
        seq = replay.gateway.publisher.seq if replay.gateway.publisher is not None else 0
        self.boards.show_controls(states[0], seq, broker is not None and not broker.account.positions)
        if now - self._funnel_ns >= FUNNEL_NS:
            self._funnel_ns = now
            self.boards.show_funnel(states, self.clock.cursor_ns)
        if len(replay.outcome.differences) != self._told_differences:
            self._told_differences = len(replay.outcome.differences)
            self._describe(replay)
        counters = self.plant.counters()
        counters.set("events", seq)
        counters.set("decisions", sum(lane.lane.counts["decisions"] for lane in replay.lanes))
        self._tell(self.clock.state)

    def digest(self) -> int:
        """Of all engines and the account, as they stand."""
        if self.replay is None:
            return 0
        broker = self.account.replayed.broker
        account = broker.account.digest & MASK if broker is not None else 0
        return int(run_digest(self.replay.shard_digests(), account), 16)

    def _tell(self, state: ReplayState) -> None:
        clock, values = self.clock, {}
        if self.replay is not None:
            outcome, gateway = self.replay.outcome, self.replay.gateway
            values = {
                "frames": outcome.frames, "events": gateway.publisher.seq if gateway.publisher is not None else 0,
                "decisions": self.replay.decisions_compared, "checks": outcome.checks,
                "differences": len(outcome.differences) + outcome.more, "digest": self.digest(),
            }
        self.boards.tell(
            state=int(state), epoch=self.epoch, cursor_ns=clock.cursor_ns, from_ns=self.from_ns,
            to_ns=self.to_ns, target_ns=clock.target_ns, speed_e3=clock.speed_e3, verdict=self.verdict, **values,
        )

    def _describe(self, replay: Replay) -> None:
        """What is too long for the row, for the pages: run/replay.json. Anew whenever there is another difference."""
        spec = replay.order.spec
        run_dir = DataPaths(Path(self.plant.spec.data_dir), self.plant.spec.mode).run_dir
        write_atomic(run_dir / DESCRIPTION, msgspec.json.encode({
            "run_id": self.journal.run_id, "journal": str(self.journal.folder), "mode": spec.mode, "shards": spec.shards,
            "source": ", ".join(Path(name).name for name in spec.tape) or spec.venue_name,
            "started_ts": spec.created_ns // NS_PER_MS, "marks": self._marks,
            "differences": [difference.text() for difference in replay.outcome.differences], "notes": replay.outcome.notes,
        }))


def timed_notes(notes: Sequence[Any]) -> list[tuple[int, Any]]:
    """Execution's notes with the event time from which they count: a message that of its event, anything else that of
    what stands before it."""
    timed = []
    reached = 0
    for note in notes:
        if isinstance(note, MessageNote):
            reached = max(reached, int(np.frombuffer(note.payload, MESSAGE.dtype)["ts_event_ns"][0]))
        timed.append((reached, note))
    return timed


def last_check_ns(shards: dict[int, list[Any]]) -> int:
    """Event time of the last digest any shard wrote down."""
    return max((note.ts_ns for notes in shards.values() for note in notes if isinstance(note, CheckShard)), default=0)


def marks(notes: Sequence[Any]) -> list[list[Any]]:
    """[epoch ms, "entry" or "exit", symbol id] of every fill, at most MARKS."""
    found: list[list[Any]] = []
    for note in notes:
        if isinstance(note, MessageNote):
            message = read_messages(np.frombuffer(note.payload, MESSAGE.dtype), 1)[0]
            if message.kind == MessageKind.FILL:
                word = "entry" if message.role == OrderRole.ENTRY else "exit"
                found.append([message.ts_event_ns // NS_PER_MS, word, message.symbol])
    return found[:: max(1, -(-len(found) // MARKS))]


def main(argv: list[str] | None = None) -> int:
    """Entry of the process: joins the plant named by --run and plays until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m workers.replay_player")
    parser.add_argument("--run", required=True, help="run.json of the plant")
    parser.add_argument("--speed-e3", type=int, default=1000, help="1e-3 of the recorded speed, 0 = as fast as possible")
    parser.add_argument("--from-ns", type=int, default=0, help="go there first")
    parser.add_argument("--paused", action="store_true", help="wait at the first event")
    options = parser.parse_args(argv)
    die_with_parent()
    plant = Plant.join(options.run, "shard", 0)
    try:
        return Player(plant, options.speed_e3, not options.paused, options.from_ns).main()
    except NoJournal as error:
        print(f"replay: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
