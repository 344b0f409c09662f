"""A second configuration decides beside the running one (requirement G6). `python -m workers.shadow --data-dir D ...`

    journal of the run, while it is written --> Backtest (paper account of its own) --> <mode>/shadow/<run id>/

Same events in the same order, so the difference is the configuration's. It reads files and joins no shared memory: the live
path neither knows it nor waits for it (it runs at low priority, a second or two behind). Nothing here can reach an order.
What it decides is what `launch.py backtest --journal DIR --config FILE` decides afterwards: it is the same computation.

    result.json, report.html    every SAVE_S, and at the end      comparison.json    live against shadow, for the page
    status.json                 every second
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from config.atomic_file import write_replacing
from config.load import ConfigError
from config.paths import DataPaths
from core.performance.comparison import Comparison, compare
from gateway.tape import TapeError
from shm.journal_reader import runs
from workers.backtest import Backtest, Job, Result
from workers.backtest_report import pair_row
from workers.backtest_store import StoreError, save_in
from workers.journal_follow import FollowedJournal
from workers.run_result import result_of_run

LOOK_S = 0.25
STATUS_S = 1.0
SAVE_S = 15.0
NICE = 10
SHOWN = 50  # trades of the comparison
STATUS, COMPARISON = "status.json", "comparison.json"


def comparison_plain(live: Result, shadow: Result, found: Comparison) -> dict[str, Any]:
    """What the page shows of live (a) against shadow (b)."""
    short = found.shortfall
    return {
        "a": live.name, "b": shadow.name, "figures": found.figures, "same_decisions": found.same_until,
        "decisions_a": len(live.intents), "decisions_b": len(shadow.intents), "matched": short.matched, "only_a": short.extra,
        "only_b": short.missed, "shortfall": {**short._asdict(), "total_e8": short.total_e8},
        "trades": [pair_row(pair) for pair in found.pairs[-SHOWN:]],
    }


class Shadow:
    """One candidate beside one run. `going()`: False when the run is over and everything has been written."""

    def __init__(
        self, paths: DataPaths, run_id: str, job: Job, going: Callable[[], bool], pause: Callable[[float], None] = time.sleep
    ) -> None:
        self._paths, self._run_id, self._going, self._pause = paths, run_id, going, pause
        self.folder = paths.shadow_dir / run_id
        self.journal = FollowedJournal(paths.journal_dir, run_id, self._more)
        self.backtest = Backtest(job, self.journal, "shadow")
        self._status_s = self._saved_s = 0.0
        self._cpu_s = time.process_time()

    def run(self) -> Result:
        """Follow the run to its end. Raises TapeError, StoreError."""
        self.backtest.start()
        while self.backtest.work():
            self._tell(False)
        result = self.save()
        self._write(STATUS, self.status(True))
        return result

    def _more(self) -> bool:
        """Everything written so far is decided."""
        self._tell(True)
        if not self._going():
            return False
        self._pause(LOOK_S)
        return True

    def _tell(self, caught_up: bool) -> None:
        now_s = time.monotonic()
        if now_s - self._status_s >= STATUS_S:
            self._status_s = now_s
            self._write(STATUS, self.status(False))
        if caught_up and now_s - self._saved_s >= SAVE_S and self.backtest.source.now_ns:
            self.save()
            self._saved_s = time.monotonic()

    def status(self, over: bool) -> dict[str, Any]:
        """Where it stands; `lag_s`: event time behind the clock."""
        backtest = self.backtest
        account, at_ns = backtest.pipeline.broker.account, backtest.source.now_ns
        return {
            "run_id": self._run_id, "over": over, "config_files": list(backtest.job.config_files), "now_ns": time.time_ns(),
            "at_ns": at_ns, "lag_s": (time.time_ns() - at_ns) / 1e9 if at_ns and not over else None,
            "cpu_s": time.process_time() - self._cpu_s, "trades": len(backtest.tally.trades),
            "equity_e8": account.equity_e8, "net_e8": account.equity_e8 - account.start_balance_e8,
            "open_positions": len(account.positions), "decisions": len(backtest.tally.intents),
            "hole": self.journal.state["raw"].hole,
        }

    def save(self) -> Result:
        """Result, report and comparison as of now. Raises StoreError."""
        result = self.backtest.result()
        save_in(result, self.folder)
        try:
            live = result_of_run(self._paths.data_dir, self._run_id)
        except (StoreError, OSError) as error:  # the run has not booked anything yet
            self._write(COMPARISON, {"error": str(error)})
            return result
        found = compare(live.figures, live.trades, result.figures, result.trades, live.intents, result.intents)
        self._write(COMPARISON, comparison_plain(live, result, found))
        return result

    def _write(self, name: str, content: dict[str, Any]) -> None:
        write_replacing(self.folder / name, msgspec.json.encode(content))


def main(argv: list[str] | None = None) -> int:
    """Entry of the process: waits for the run's journal, follows it until SIGTERM, then to its end."""
    parser = argparse.ArgumentParser(prog="python -m workers.shadow")
    parser.add_argument("--data-dir", required=True, type=Path)
    parser.add_argument("--mode", required=True, help="of the run")
    parser.add_argument("--run-id", required=True)
    parser.add_argument("--job", required=True, help="Job as JSON")
    options = parser.parse_args(argv)
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: stopped.append(number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # see shadow_child
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to everybody: the supervisor says when the journal is whole
    parent = os.getppid()
    os.nice(NICE)
    paths = DataPaths(options.data_dir, options.mode)

    def going() -> bool:
        return not stopped and os.getppid() == parent

    wanted = True
    while options.run_id not in runs(paths.journal_dir):
        if not wanted:
            return 0
        time.sleep(LOOK_S)
        wanted = going()  # asked before the next look: what was written until the end is seen
    try:
        Shadow(paths, options.run_id, msgspec.json.decode(options.job, type=Job), going).run()
    except (ConfigError, StoreError, TapeError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
