"""News, global regimes and pump states: the same decisions for 1, 2, 4 and 8 shards."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from core.enums import EventKind, GlobalRegime, LogKind, NewsType
from core.records import GLOBAL, NEWS
from tests.core.engine.plant import Plant
from tests.core.engine.streams import Market, Stream

S = 1_000_000_000


def market() -> Stream:
    source = Market(
        8, 17, max_hold_ns=10 * S, cooldown_ns=5 * S, stop_min_bps=1.0, stop_max_bps=3.0, fee_buffer=-1.0, tp_r=(1.0, 1.4, 2.0),
        pump_change_pct=0.02, pump_fresh_pct=0.001, pump_witnesses=0, pump_cooldown_ns=3 * S, pump_dump_pct=0.02,
        pump_stall_ns=S, warmup_ns=S, spoof_enter=1.0, spoof_leave=0.5,
    )  # fmt: skip
    stream = source.run(12, 120)
    for regime in (GlobalRegime.GLOBAL_PANIC, GlobalRegime.GLOBAL_NORMAL, GlobalRegime.GLOBAL_RISK_OFF):
        row = np.zeros(1, GLOBAL.dtype)
        row["regime"] = int(regime)
        stream.event(EventKind.GLOBAL, u=int(regime), payload=row)
        item = np.zeros(1, NEWS.dtype)
        item["type"], item["impact_e2"], item["half_life_ns"], item["ttl_ns"] = int(NewsType.HACK), 9_000, 2 * S, 60 * S
        stream.event(EventKind.NEWS, 3, payload=item)
        source.run(6, 120)
    stream.event(EventKind.GLOBAL, payload=np.zeros(1, GLOBAL.dtype))
    source.run(10, 120)
    stream.end()
    return stream


def outcome(plant: Plant) -> tuple[Any, ...]:
    return plant.digest(), plant.execution.orders, plant.execution.fills, plant.execution.realised


@pytest.fixture(scope="module")
def stream() -> Stream:
    return market()


@pytest.fixture(scope="module")
def single(stream: Stream) -> tuple[Any, ...]:
    plant = Plant([stream.cells()], 8, keep_logs=True).run(10**6)
    kinds = {int(row["kind"]) for rows in plant.shards[0].log_rows for row in rows}
    assert {LogKind.PUMP, LogKind.REGIME, LogKind.NEWS, LogKind.STATE} <= kinds, "the stream shows what it should"
    return outcome(plant)


@pytest.mark.parametrize(("shards", "batch"), [(1, 7), (2, 40), (4, 11), (8, 300)])
def test_shards_do_not_matter(stream: Stream, single: tuple[Any, ...], shards: int, batch: int) -> None:
    cells = [stream.shard(k, shards) for k in range(shards)]
    assert outcome(Plant(cells, 8, seed=shards).run(batch)) == single
