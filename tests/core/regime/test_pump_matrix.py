"""Pumps, dumps, quiet symbols and a BTC shock of the embedded venue against the pump engine: a confusion matrix.

Seeds from 1000 on were not looked at while the thresholds were chosen. A pump counts as found when PUMPING or BLOWOFF is
entered between its start and its end, a dump when DUMP is entered until three seconds after its end. A quiet symbol-minute
touches no happening of the symbol and no BTC shock (nor the minute after one); it is false when the symbol is then in
PUMPING, BLOWOFF or DUMP.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from core.constants import NS_PER_MS
from core.enums import LogKind, Pump
from gateway.venue.scenarios import Event, Timeline
from tests.core.features.market_run import START_MS, MarketRun

ACTIVE = (Pump.PUMPING, Pump.BLOWOFF, Pump.DUMP)
FIRST_S = 36.0  # baselines need half a minute
MINUTE_MS = 60_000


@dataclass
class Matrix:
    """Counts over runs."""

    pumps: int = 0
    pumps_found: int = 0
    dumps: int = 0
    dumps_found: int = 0
    quiet: int = 0
    quiet_false: int = 0
    delays_s: list[float] = field(default_factory=list)
    stays_s: list[float] = field(default_factory=list)  # from the end of a happening to COOLDOWN
    missed: list[str] = field(default_factory=list)

    def text(self) -> str:
        return (
            f"pumps {self.pumps_found}/{self.pumps}, dumps {self.dumps_found}/{self.dumps}, "
            f"quiet symbol-minutes {self.quiet_false} false of {self.quiet}; "
            f"delay median {np.median(self.delays_s):.1f} s, calm after the end median {np.median(self.stays_s):.1f} s; "
            f"missed: {self.missed}"
        )


def timeline(seed: int, symbols: list[str], seconds: float) -> Timeline:
    """Pumps of 3 to 10 % in 3 to 40 s, dumps of 3 to 8 % in 3 to 20 s, on every other symbol; a BTC shock at the end."""
    random = np.random.default_rng(seed)
    events = []
    for k, symbol in enumerate(symbols):
        if k % 2:
            continue
        at_s = FIRST_S + float(random.uniform(0, seconds - FIRST_S - 80))
        if k % 6 == 4:
            size, dump_s = float(-random.uniform(3, 8)), float(random.uniform(3, 20))
            events.append(Event(at_s, "dump", symbol, {"size_pct": size, "dump_s": dump_s}))
        else:
            size, pump_s = float(random.uniform(3, 10)), float(random.uniform(3, 40))
            events.append(Event(at_s, "pump", symbol, {"size_pct": size, "pump_s": pump_s}))
    events.append(Event(seconds - 20.0, "btc_shock", "auto", {"size_pct": float(random.choice([-2.0, 2.0, -4.0]))}))
    return Timeline(tuple(sorted(events, key=lambda event: event.at_s)))


def judge(matrix: Matrix, seed: int, seconds: float, symbols: int) -> None:
    names = MarketRun(Timeline(), symbols=symbols, seed=seed).names[2:]
    run = MarketRun(timeline(seed, names, seconds), symbols=symbols, seed=seed).go(seconds)
    moves = [
        (int(row["symbol"]), int(row["ts_ns"]) // NS_PER_MS, Pump(int(row["b"])))
        for row in run.logs if row["kind"] == LogKind.PUMP
    ]  # fmt: skip
    shocks = [h for h in run.truth.happenings if h.kind == "btc_shock"]
    for happening in run.truth.happenings:
        if happening.kind not in ("pump", "dump"):
            continue
        slot, end_ms = run.slot_of[happening.symbol], happening.end_ms or run.now_ms
        mine = [(at, state) for symbol, at, state in moves if symbol == slot and at >= happening.start_ms]
        wanted = (Pump.PUMPING, Pump.BLOWOFF) if happening.kind == "pump" else (Pump.DUMP,)
        last_ms = end_ms if happening.kind == "pump" else end_ms + 3_000
        found = [at for at, state in mine if state in wanted and at <= last_ms]
        lasted_s, size_pct = (end_ms - happening.start_ms) / 1000, happening.details["size_pct"]
        label = f"{seed} {happening.symbol} {happening.kind} {size_pct:.1f} % {lasted_s:.0f} s"
        if happening.kind == "pump":
            matrix.pumps += 1
            matrix.pumps_found += bool(found)
        else:
            matrix.dumps += 1
            matrix.dumps_found += bool(found)
        if not found:
            matrix.missed.append(label)
            continue
        matrix.delays_s.append((found[0] - happening.start_ms) / 1000)
        calm = [at for at, state in mine if state is Pump.COOLDOWN and at >= end_ms]
        if calm:
            matrix.stays_s.append((calm[0] - end_ms) / 1000)
    for name in run.names:
        slot = run.slot_of[name]
        busy = [(h.start_ms, (h.end_ms or run.now_ms) + MINUTE_MS) for h in run.truth.happenings if h.symbol == name]
        busy += [(h.start_ms, (h.end_ms or run.now_ms) + MINUTE_MS) for h in shocks]
        states = [(START_MS, Pump.NONE), *((at, state) for symbol, at, state in moves if symbol == slot)]
        for start in range(START_MS, run.now_ms - MINUTE_MS + 1, MINUTE_MS):
            stop = start + MINUTE_MS
            if any(a < stop and b > start for a, b in busy):
                continue
            matrix.quiet += 1
            spans = zip(states, [*states[1:], (run.now_ms, Pump.NONE)], strict=True)
            matrix.quiet_false += any(state in ACTIVE and a < stop and b > start for (a, state), (b, _) in spans)


def test_pumps_and_quiet_symbols_of_one_seed() -> None:
    matrix = Matrix()
    judge(matrix, 1000, 150.0, 12)
    print(matrix.text())
    assert matrix.pumps >= 3 and matrix.pumps_found >= matrix.pumps - 1, matrix.text()
    assert matrix.dumps_found == matrix.dumps >= 1, matrix.text()
    assert matrix.quiet > 8 and matrix.quiet_false == 0, matrix.text()


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_confusion_matrix() -> None:
    matrix = Matrix()
    for seed in range(1000, 1014):
        judge(matrix, seed, 240.0, 26)
    print(matrix.text())
    assert matrix.pumps >= 100 and matrix.pumps_found >= 0.9 * matrix.pumps, matrix.text()
    assert matrix.dumps >= 40 and matrix.dumps_found >= 0.9 * matrix.dumps, matrix.text()
    assert matrix.quiet >= 500 and matrix.quiet_false <= 0.05 * matrix.quiet, matrix.text()
    assert np.median(matrix.stays_s) < 20.0, "a pump does not hang on after its end"
