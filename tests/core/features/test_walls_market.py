"""Ground truth against verdict: spoofed, absorbed, layered and iceberg walls and quiet minutes of the venue's market.

Settings were tuned on the market seeds in TUNED and are judged on seeds that played no part in that. A wall counts as
found when its own verdict (side, price, time) is right; a quiet symbol-minute is spoiled by any SPOOF verdict in it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import NamedTuple

import numpy as np
import pytest

from core.detail import DETAIL
from core.engine.board import fill_detail
from core.enums import LogKind, WallFate
from gateway.venue.scenarios import Event, Timeline
from gateway.venue.truth import Happening
from tests.core.features.market_run import START_MS, MarketRun

TUNED = tuple(range(1, 15))
SMALL = (101, 102)
FULL = tuple(range(201, 222))
SYMBOLS = 24
WARM_S = 12.0
KINDS = ("spoof", "absorbed_wall", "absorbed_wall", "layered_wall", "iceberg", "absorbed_wall")
QUIET_S = 60.0
VERDICT_MS = 1_000  # a verdict comes a match window (300 ms) after the end, at the next event or TIMER


class Verdict(NamedTuple):
    ms: float
    slot: int
    fate: WallFate
    side: int
    ticks: int


class Matrix:
    """Truth -> verdict, counted."""

    def __init__(self) -> None:
        self.rows: dict[str, Counter[str]] = defaultdict(Counter)
        self.quiet_minutes = 0
        self.spoiled: Counter[WallFate] = Counter()

    def recall(self, truth: str, verdict: str) -> float:
        return self.rows[truth][verdict] / max(self.rows[truth].total(), 1)

    def __str__(self) -> str:
        columns = ("SPOOFING", "ABSORBED", "LAYERING", "ICEBERG", "none")
        lines = [f"{'truth':16}" + "".join(f"{name:>10}" for name in columns)]
        lines += [f"{t:16}" + "".join(f"{row[name]:>10}" for name in columns) for t, row in sorted(self.rows.items())]
        shares = ", ".join(f"{fate.name} {self.spoiled[fate]}" for fate in list(WallFate)[1:] if self.spoiled[fate])
        return "\n".join([*lines, f"quiet symbol-minutes {self.quiet_minutes}, with: {shares or 'nothing'}"])


def verdicts(run: MarketRun) -> list[Verdict]:
    return [
        Verdict(int(r["ts_ns"]) / 1e6, int(r["symbol"]), WallFate(int(r["a"])), int(r["b"]), int(r["c"]))
        for r in run.logs if r["kind"] in (LogKind.WALL, LogKind.SPOOF)
    ]  # fmt: skip


def name_of(fates: list[WallFate]) -> str:
    """The verdict on one wall: eaten walls are ABSORBED, and were ABSORBING on the way."""
    if not fates:
        return "none"
    if WallFate.ICEBERG in fates:
        return "ICEBERG"
    return "ABSORBED" if fates[-1] in (WallFate.ABSORBING, WallFate.EATEN) else fates[-1].name


def count_walls(matrix: Matrix, run: MarketRun, happening: Happening, found: list[Verdict]) -> None:
    """Every wall of a happening with the verdict on it."""
    slot, side = run.slot_of[happening.symbol], 1 if happening.details["side"] == "bid" else -1
    assert happening.end_ms is not None

    def verdict(ticks: int, start_ms: int, end_ms: int) -> str:
        until = end_ms + VERDICT_MS
        return name_of([
            v.fate for v in found
            if (v.slot, v.side, v.ticks) == (slot, side, ticks) and start_ms <= v.ms <= until
        ])  # fmt: skip

    if happening.kind in ("absorbed_wall", "iceberg"):
        if happening.phases[-1]["phase"] != "TIMEOUT":
            matrix.rows[happening.kind][verdict(happening.details["ticks"], happening.start_ms, happening.end_ms)] += 1
        return
    for here, after in zip(happening.phases, happening.phases[1:], strict=False):
        if here["phase"] != "PULLED" and (happening.kind == "spoof" or after["phase"] == "MOVED"):
            matrix.rows[happening.kind][verdict(here["ticks"], here["start_ms"], after["start_ms"])] += 1


def happenings_run(matrix: Matrix, seed: int, delays: tuple[int, int]) -> None:
    """One venue on which every symbol but the first four and every fifth gets a happening of its own."""
    names = MarketRun(Timeline(), symbols=SYMBOLS, seed=seed).names[4:]
    events = [
        Event(WARM_S + 2.0 * (k % 9), KINDS[k % len(KINDS)], name, {"side": "bid" if (k + seed) % 2 else "ask"})
        for k, name in enumerate(names)
    ]
    run = MarketRun(
        Timeline(tuple(sorted(events, key=lambda e: e.at_s))), symbols=SYMBOLS, seed=seed,
        book_delay_ms=delays[0], trade_delay_ms=delays[1],
    ).go(70.0)  # fmt: skip
    found = verdicts(run)
    for happening in run.truth.happenings:
        if happening.end_ms is not None and "refused" not in happening.details:
            count_walls(matrix, run, happening, found)


def quiet_run(matrix: Matrix, seed: int) -> None:
    """One venue without happenings: after the warm-up, every symbol is a quiet symbol-minute."""
    run = MarketRun(Timeline(), symbols=SYMBOLS, seed=seed).go(WARM_S + QUIET_S)
    found = {(v.slot, v.fate) for v in verdicts(run) if v.ms >= START_MS + 1000 * WARM_S}
    matrix.quiet_minutes += SYMBOLS
    matrix.spoiled.update(fate for _, fate in found)


def judge(seeds: tuple[int, ...]) -> Matrix:
    assert not set(seeds) & set(TUNED)
    matrix = Matrix()
    for seed in seeds:
        happenings_run(matrix, seed, ((5, 5), (5, 65), (45, 5))[seed % 3])
        quiet_run(matrix, seed + 1000)
    print(f"\n{matrix}")
    return matrix


def check(matrix: Matrix, spoiled_share: float) -> None:
    assert matrix.recall("spoof", "SPOOFING") >= 0.9
    assert matrix.recall("absorbed_wall", "ABSORBED") >= 0.9
    assert matrix.rows["absorbed_wall"]["SPOOFING"] <= 0.02 * matrix.rows["absorbed_wall"].total()
    assert matrix.recall("layered_wall", "LAYERING") >= 0.8
    assert matrix.recall("iceberg", "ICEBERG") >= 0.7
    assert matrix.spoiled[WallFate.SPOOFING] <= spoiled_share * matrix.quiet_minutes


def test_walls_of_the_venue_are_told_apart() -> None:
    matrix = judge(SMALL)
    check(matrix, 0.08)  # few minutes: the share is judged in the full size
    assert matrix.rows["spoof"].total() >= 20 and matrix.rows["absorbed_wall"].total() >= 15


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_two_hundred_spoofed_and_absorbed_walls() -> None:
    matrix = judge(FULL)
    assert matrix.rows["spoof"].total() >= 200 and matrix.rows["absorbed_wall"].total() >= 200
    check(matrix, 0.05)


def test_detail_lists_the_walls_nearest_the_touch_first() -> None:
    """What the page's ladder marks is what stands in the venue's book."""
    run = MarketRun(Timeline((Event(12.0, "absorbed_wall", "LINKUSDT", {"distance_bps": 9.0}),)), seed=101).go(12.5)
    happening = run.truth.happenings[0]
    detail = np.zeros(1, DETAIL.dtype)
    assert fill_detail(run.state, run.slot_of["LINKUSDT"], detail, 0) == 1
    row = detail[0]
    asks = int(row["n_walls"][1])
    assert happening.details["ticks"] in row["wall_ticks"][1, :asks].tolist()
    place = row["wall_ticks"][1].tolist().index(happening.details["ticks"])
    assert row["wall_lots"][1, place] >= happening.details["lots"] and row["wall_x"][1, place] > 20
    assert row["wall_fate"][1, place] == WallFate.STANDING and 0.2 < row["wall_age_s"][1, place] < 0.6
    for side, sign in ((0, -1), (1, 1)):
        n = int(row["n_walls"][side])
        assert sorted((sign * row["wall_ticks"][side, :n]).tolist()) == (sign * row["wall_ticks"][side, :n]).tolist()
