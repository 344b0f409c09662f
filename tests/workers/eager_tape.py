"""A backtest over a recorded tape by settings with which it trades often, for the tests of several modules."""

from __future__ import annotations

from tests.shared_data import recording
from workers.backtest import Job, Result, run

EAGER = {
    "thresholds.score.watch": [30.0, 30.0, 30.0], "thresholds.score.arm": [40.0, 40.0, 40.0],
    "thresholds.signal.cooldown_s": 2.0, "thresholds.signal.rest_s": 1.0, "trading.exits.max_hold_s": 20.0,
}


def eager_job() -> Job:
    return Job(tapes=(str(recording("bybit_v5_linear_20260809_BTCUSDT_DOGEUSDT.frames.gz")),), overrides=EAGER)


def eager_result(job: Job) -> Result:
    return run(job)
