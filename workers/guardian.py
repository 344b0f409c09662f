"""The guardian: LIVE's last process. It watches execution, and protects what is open on the exchange while that is gone.

    standing by -> execution silent for `silent_s` -> on duty: cancel entries; every position has a stop, or is closed
                -> execution is back and has reconciled -> standing by

It has a connection (and, where SCALPER_GUARDIAN_KEY and SCALPER_GUARDIAN_SECRET are set, a key) of its own, shares with
execution the protocol library only, and can send nothing but the three requests of `guardian_door.py`.

It outlives its supervisor: without one it waits until execution is gone too, sees that everything is protected, and ends.
In an orderly stop it ends last of those that trade, after one more look. `python -m workers.guardian --run F`
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil

from config.latch_file import write_latch
from config.paths import DataPaths
from config.schema import Guardian as GuardianSettings
from core.constants import NS_PER_S
from core.enums import ControlBits, LogKind, Severity
from core.orders.exchange_words import PositionRow
from core.orders.guard_duty import Duty, Seen, stop_price, ticks_of
from gateway.bybit.sign import Credentials, KeyProblem, credentials, from_environment
from gateway.bybit.wire_units import WireGrid
from shm.agent import PARENT_VARIABLE, Beat
from shm.run_spec import RunSpec
from shm.topology import Plant
from workers.guardian_door import Door, Outcome, Unreachable
from workers.run_settings import load_settings
from workers.starting import EXIT_CREDENTIALS

KEY, SECRET = "SCALPER_GUARDIAN_KEY", "SCALPER_GUARDIAN_SECRET"
NOT_MODIFIED = 34040
THROTTLED = frozenset({10006, 10018, 20003})
GONE = frozenset({110017, 110034})  # nothing to close any more
TURN_S = 0.05
FINAL_S = 2.0  # the last look of an orderly stop
Tell = Callable[[Severity, str, str], None]  # severity, symbol or "", text


def guardian_keys(spec: RunSpec, environ: Mapping[str, str]) -> tuple[Credentials, bool]:
    """(key, is it our own). Raises KeyProblem where there is none at all."""
    if environ.get(KEY) and environ.get(SECRET):
        return credentials(environ[KEY].strip(), environ[SECRET].strip()), True
    venue = spec.venue
    if venue is not None and venue.get("api_key"):  # the embedded exchange hands out its own
        return credentials(venue["api_key"], venue.get("api_secret", "")), False
    return from_environment(spec.venue_name, environ), False


class Guard:
    """Makes sure that nothing can enter and everything has a stop. One `work` is one look at the exchange."""

    def __init__(self, door: Door, settings: GuardianSettings, tell: Tell, distress: Callable[[str], None]) -> None:
        self._door = door
        self._distance_e4 = round(settings.stop_pct * 100)
        self._tell = tell
        self._distress = distress  # a position had to be closed: latch the kill
        self._refused: dict[str, int] = {}
        self._cancelled = False
        self.protected = 0  # looks in a row that found nothing to do

    def reset(self) -> None:
        """A new takeover."""
        self._refused.clear()
        self._cancelled = False
        self.protected = 0

    def work(self, close_all: bool) -> None:
        """Cancel entries; set the missing stops, or close where the exchange refuses them twice (or `close_all`).
        Raises Unreachable."""
        if not self._cancelled:
            outcome = self._door.cancel_entries()
            self._say(outcome, "", "entries cancelled")
            self._cancelled = outcome.taken
        done = self._cancelled
        for row in self._door.positions():
            if close_all or self._refused.get(row.symbol, 0) >= 2:
                self._close(row)
                done = False
            elif not row.stop_ticks:
                self._set_stop(row)
                done = False
            else:
                self._refused.pop(row.symbol, None)
        if self._door.entries():
            self._cancelled = done = False
        self.protected = self.protected + 1 if done else 0

    def _set_stop(self, row: PositionRow) -> None:
        grid = self._door.grid(row.symbol)
        assert grid is not None, "its row was read with it"
        tries = self._refused.get(row.symbol, 0)
        stop = self.stop_of(row, grid, self._distance_e4 << tries)
        outcome = self._door.set_stop(row.symbol, stop, row.position_idx)
        self._say(outcome, row.symbol, f"position without a stop: set at {grid.price_text(stop)}")
        if outcome.taken or outcome.code == NOT_MODIFIED or outcome.code in THROTTLED:
            return
        self._refused[row.symbol] = tries + 1
        if tries + 1 >= 2:
            self._close(row)

    @staticmethod
    def stop_of(row: PositionRow, grid: WireGrid, distance_e4: int) -> int:
        """Stop in ticks for a position as the exchange tells it."""
        price = row.mark_price_e8 or row.avg_price_e8
        return stop_price(
            row.side, ticks_of(price, grid.tick_mant, grid.price_exp), distance_e4,
            ticks_of(row.liq_price_e8, grid.tick_mant, grid.price_exp),
        )

    def _close(self, row: PositionRow) -> None:
        if self._refused.get(row.symbol, 0) >= 2:
            self._distress(f"guardian: {row.symbol} takes no stop, closed")
        outcome = self._door.close_position(row)
        if outcome.code not in GONE:
            self._say(outcome, row.symbol, "closing reduce-only")

    def _say(self, outcome: Outcome, symbol: str, text: str) -> None:
        if outcome.taken:
            self._tell(Severity.CRITICAL if symbol else Severity.WARNING, symbol, text)
        else:
            self._tell(Severity.ERROR, symbol, f"{text}: refused {outcome.code} {outcome.text}")


class Guardian:
    """The process around duty and guard."""

    def __init__(
        self, plant: Plant, door: Door, settings: GuardianSettings, clock: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self.plant = plant
        self.control = plant.control
        self._clock = clock
        self._log = plant.log_writer()
        self._names: dict[str, int] = {}
        self.paths = DataPaths(Path(plant.spec.data_dir), plant.spec.mode)
        self.duty = Duty(round(settings.silent_s * NS_PER_S), round(settings.boot_s * NS_PER_S), clock())
        self.duty.takeover = self.control.guardian_duty  # of a predecessor that died on duty
        self.duty.last = max(self.duty.takeover, self.control.exec_back)
        self.guard = Guard(door, settings, self.tell, self._distress)
        self._poll_ns = round(settings.poll_s * NS_PER_S)
        self._orphan_ns = round(settings.orphan_s * NS_PER_S)
        self._next_ns = 0
        self._unreachable = ""
        self.orphan_since_ns = 0
        self._embedded_venue = plant.cnc("venue").pid

    # --- telling
    def tell(self, severity: Severity, symbol: str, text: str) -> None:
        """To the event feed, and to the log file of the process: shared memory may be gone tomorrow."""
        print(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {severity.name} {symbol} {text}", file=sys.stderr,
              flush=True)
        self._log.emit(LogKind.RISK, symbol=self._symbol_id(symbol), severity=severity, ts_ns=time.time_ns(),
                       text=f"GUARDIAN {text}")

    def _symbol_id(self, name: str) -> int:
        if name and name not in self._names:
            board = self.plant.symbols()
            for row in range(board.rows):
                found = bytes(board.read(row)[0]["name"]).rstrip(b"\0").decode("ascii", "replace")
                if found:
                    self._names[found] = row
            self._names.setdefault(name, -1)
        return self._names.get(name, -1)

    def _distress(self, reason: str) -> None:
        """Nothing may enter before a person has looked."""
        if not self.control.get("kill_guardian"):
            self.control.request_kill("guardian")
            try:
                write_latch(self.paths.kill_file, "guardian", reason)
            except OSError as error:
                self.tell(Severity.ERROR, "", f"{self.paths.kill_file} not written: {error}")

    # --- looking
    def seen(self) -> Seen:
        cnc = self.plant.cnc("execution")
        return Seen(_alive(cnc.pid), cnc.ready, cnc.heartbeat_ns, self.control.exec_back)

    def _killed(self) -> bool:
        return bool(self.control.bits() & ControlBits.KILL) or self.paths.kill_file.exists()

    def turn(self) -> None:
        """One look at execution; on duty, when it is time, one at the exchange."""
        now = self._clock()
        before = self.duty.takeover
        on = self.duty.look(now, self.seen())
        if self.duty.takeover != before:
            self.control.guardian_duty = self.duty.takeover
            self.guard.reset()
            self._next_ns = 0
            self.tell(Severity.CRITICAL, "", f"on duty: execution is gone (takeover {self.duty.takeover})" if on
                      else f"standing by: execution is back (takeover {before})")
        if on and now >= self._next_ns:
            self.look_at_exchange()

    def look_at_exchange(self) -> bool:
        """One pass; True when it went through."""
        try:
            self.guard.work(close_all=self._killed())
        except Unreachable as error:
            if str(error) != self._unreachable:
                self._unreachable = str(error)
                self.tell(Severity.ERROR, "", f"exchange not reached: {error}")
            self.guard.protected = 0
            self._next_ns = self._clock() + self._poll_ns
            return False
        self._unreachable = ""
        self._next_ns = self._clock() + self._poll_ns  # protected or not: a stop may be taken away at any moment
        return True

    def orphan_done(self) -> bool:
        """Without a supervisor: is there nothing left to wait for?"""
        now = self._clock()
        if not self.orphan_since_ns:
            self.orphan_since_ns = now
            self.tell(Severity.CRITICAL, "", "the supervisor is gone; waiting for execution to end")
        if self._embedded_venue and not _alive(self._embedded_venue):
            return True  # the embedded exchange died with it
        if not self._same_run():
            return True  # another run has begun, with a guardian of its own
        if self.duty.takeover and self.guard.protected >= 2:
            self.tell(Severity.WARNING, "", "everything is protected; ending")
            return True
        if now - self.orphan_since_ns > self._orphan_ns:
            self.tell(Severity.CRITICAL, "", "gave up: NOT everything is known to be protected")
            return True
        return False

    def _same_run(self) -> bool:
        try:
            return RunSpec.load(self.paths.run_file).run_id == self.plant.spec.run_id
        except (OSError, ValueError):
            return False

    def final_look(self) -> None:
        """Orderly stop: entries away, stops there, within `FINAL_S`."""
        self.guard.reset()
        deadline = self._clock() + int(FINAL_S * NS_PER_S)
        while self.guard.protected < 1 and self._clock() < deadline:
            if not self.look_at_exchange():
                time.sleep(TURN_S)
        if self.guard.protected < 1:
            self.tell(Severity.CRITICAL, "", "stopped without having seen everything protected")


def _alive(pid: int) -> bool:
    """A zombie is dead: only its parent has not noticed yet."""
    try:
        return pid > 0 and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def watch(guardian: Guardian, beat: Beat, parent: int) -> int:
    """Turn until told to stop, or until an orphan has done its duty; returns the exit code."""
    control = guardian.control
    beat.running()
    while True:
        stopping = beat.tick()
        orphan = os.getppid() != parent
        if stopping and not orphan:
            if not control.stop:
                return 0  # SIGTERM to this process alone: the supervisor starts another
            if not _alive(guardian.plant.cnc("execution").pid):
                guardian.final_look()
                return 0
        else:
            guardian.turn()
        if orphan and guardian.orphan_done():
            return 0
        time.sleep(TURN_S)


def main(argv: list[str] | None = None) -> int:
    """Entry of the process. It does not ask to die with its parent."""
    parser = argparse.ArgumentParser(prog="python -m workers.guardian")
    parser.add_argument("--run", required=True, help="run.json of the plant")
    options = parser.parse_args(argv)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = int(os.environ.get(PARENT_VARIABLE) or os.getppid())
    plant = Plant.join(options.run, "guardian")
    assert plant.spec.venue is not None, "LIVE has a venue"
    beat = Beat(plant)
    signal.signal(signal.SIGTERM, lambda number, frame: beat.request_stop())
    beat.start()
    settings = load_settings(plant).safety.guardian
    rest = plant.spec.venue["rest"]
    try:
        keys, own = guardian_keys(plant.spec, os.environ)
    except KeyProblem as error:
        print(f"guardian: {error}", file=sys.stderr)
        plant.cnc().fail(error)
        return EXIT_CREDENTIALS
    guardian = Guardian(plant, Door(rest, keys, timeout_s=settings.timeout_s), settings)
    if not own:
        guardian.tell(Severity.WARNING, "", f"uses the key of execution: set {KEY} and {SECRET}")
    code = 1
    try:
        code = watch(guardian, beat, parent)
    finally:
        beat.end()
    return code


if __name__ == "__main__":
    sys.exit(main())
