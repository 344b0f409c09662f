"""LIVE with real processes on the embedded exchange: the guardian protects what execution cannot, the ledger knows every
stamp, and a kill with many positions, lost answers and tight limits ends flat."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import Goal
from tests.system.live_runner import live_plant, settled
from tests.system.plant_runner import alive, eventually
from tests.system.test_live_orders import PLANT, protected

pytestmark = pytest.mark.system
PROTECTED_WITHIN_S = 5.0


def now_and_then(look: Callable[[], Any]) -> Callable[[], Any]:
    """The judge shares the account's rate limits with those it judges."""

    def calmly() -> Any:
        time.sleep(0.25)
        return look()

    return calmly


def test_guardian_protects_when_nobody_restarts_execution(tmp_path: Path, goal: Goal) -> None:
    """A stop is removed by hand at the moment execution is shot, and the supervisor is frozen."""
    with live_plant(tmp_path, *PLANT) as (run, plant, judge):
        guardian = plant.cnc("guardian")
        eventually(lambda: guardian.ready, "the guardian runs")
        eventually(now_and_then(lambda: judge.positions() and protected(judge)), "a protected position", 400.0)
        os.kill(run.process.pid, signal.SIGSTOP)
        os.kill(plant.cnc("execution").pid, signal.SIGKILL)
        shot = time.monotonic()
        symbol = next(iter(judge.positions()))
        away = {"category": "linear", "symbol": symbol, "tpslMode": "Full", "positionIdx": 0, "stopLoss": "0"}
        assert judge.post("/v5/position/trading-stop", away) in (0, 10001)  # it may have been closed meanwhile
        eventually(lambda: plant.control.guardian_duty, "on duty")
        eventually(now_and_then(lambda: protected(judge)), "everything has a stop")
        goal("stop removed, execution shot: everything has a stop", time.monotonic() - shot, PROTECTED_WITHIN_S)
        eventually(now_and_then(lambda: not [row for row in judge.open_orders()
                                             if not row["reduceOnly"] and not row["stopOrderType"]]), "no entry is left")
        os.kill(run.process.pid, signal.SIGCONT)
        eventually(lambda: plant.control.guardian_duty == 0 and settled(plant), "execution is back, it stands down")
        code, _, error = run.stop()
        assert code == 0, error[-3000:]


def test_guardian_outlives_the_plant_only_as_long_as_needed(tmp_path: Path) -> None:
    """kill -9 of the supervisor takes everybody along, the embedded exchange too: the guardian has nothing left to do."""
    with live_plant(tmp_path, *PLANT) as (run, plant, _):
        eventually(lambda: plant.cnc("guardian").ready, "the guardian runs")
        pid = plant.cnc("guardian").pid
        children = [child.pid for child in psutil.Process(run.process.pid).children(recursive=True)]
        run.process.kill()
        run.process.wait()
        eventually(lambda: not alive(pid), "no orphan")
        eventually(lambda: not any(alive(child) for child in children), "nobody is left")
