"""run_batch: what may not matter to it, progress, pacing."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from config.schema import Profile
from core.engine import engine, state
from core.engine.engine import (
    MIN_ROWS,
    NOT_BLOCKED,
    P_BLOCKED,
    P_DECISIONS,
    P_END,
    P_LAST_SEQ,
    P_OUTSTANDING,
    P_WATERMARK,
    P_WORDS,
    WAITING,
    run_batch,
)
from core.enums import (
    ControlBits,
    EventKind,
    Gate,
    GlobalRegime,
    MessageKind,
    ReportKind,
    State,
)
from core.params import profile_row
from core.records import GLOBAL, LOG, MESSAGE
from tests.core.engine.plant import Plant
from tests.core.engine.rig import Rig, accept
from tests.core.engine.streams import Market, Stream

MS = 1_000_000
S = 1_000_000_000


# --- invariances -----------------------------------------------------------------------------------------------------
def say_global(stream: Stream, regime: GlobalRegime) -> None:
    row = np.zeros(1, GLOBAL.dtype)
    row["regime"] = regime
    stream.event(EventKind.GLOBAL, payload=row)


@pytest.fixture(scope="module")
def market() -> Stream:
    """A minute of six symbols, with changes of the global regime and of a symbol profile in it."""
    source = Market(6, 7, max_hold_ns=10 * S, cooldown_ns=5 * S, rest_ns=3 * S, stop_min_bps=1.0, stop_max_bps=3.0,
                    fee_buffer=-1.0, tp_r=(1.0, 1.4, 2.0))  # fmt: skip
    source.run(25, 120)
    say_global(source.stream, GlobalRegime.GLOBAL_RISK_OFF)
    source.run(3, 120)
    say_global(source.stream, GlobalRegime.GLOBAL_PANIC)
    source.run(2, 120)
    say_global(source.stream, GlobalRegime.GLOBAL_NORMAL)
    source.stream.event(EventKind.PROFILE, 2, profile_row(Profile(raise_points=4.0, size=0.5), 1))
    stream = source.run(30, 120)
    stream.end()
    return stream


def outcome(plant: Plant) -> tuple[Any, ...]:
    execution = plant.execution
    return plant.digest(), execution.orders, execution.fills, execution.closed, execution.rejects, execution.realised


@pytest.fixture(scope="module")
def reference_outcome(market: Stream) -> tuple[Any, ...]:
    result = outcome(Plant([market.cells()], 8).run(1_000_000))
    assert result[1] >= 5 and result[3] >= 3, f"the market is too quiet to prove anything: {result}"
    return result


@pytest.mark.parametrize(("shards", "batch", "seed"), [(1, 1, 0), (1, 13, 1), (2, 50, 2), (2, 3, 3), (4, 29, 4), (8, 61, 5)])
def test_neither_batches_nor_shards_nor_reruns_matter(
    market: Stream, reference_outcome: tuple[Any, ...], shards: int, batch: int, seed: int
) -> None:
    cells = [market.shard(k, shards) for k in range(shards)]
    assert outcome(Plant(cells, 8, seed=seed).run(batch)) == reference_outcome


def test_another_latency_is_another_run(market: Stream, reference_outcome: tuple[Any, ...]) -> None:
    assert outcome(Plant([market.cells()], 8, latency_ns=300 * MS).run())[0] != reference_outcome[0]


def test_a_sweep_cut_short_goes_on(market: Stream) -> None:
    """With the least room allowed, TIMER sweeps over many symbols are interrupted, and nothing changes."""
    stream = Market(150, 3, arm=(20.0, 20.0, 20.0), watch=(15.0, 15.0, 15.0)).run(12, 600)
    stream.event(EventKind.CONTROL, u=int(ControlBits.KILL))
    cells = stream.cells()
    results = []
    for rows in (MIN_ROWS, 4096):
        shard = Plant([cells], 150).shards[0]
        shard.state.control[state.C_PACED] = 0
        shard.out, shard.logs = np.zeros(rows, MESSAGE.dtype), np.zeros(rows, LOG.dtype)
        cut = 0
        messages = []
        while not shard.done:
            messages.append(shard.run(len(cells)))
            cut += int(shard.state.control[state.C_CURSOR] != 0)
        results.append((np.concatenate(messages).tobytes(), shard.state.trade["digest"].tobytes()))
        assert cut > 0 or rows > MIN_ROWS
    assert results[0] == results[1]


def test_progress_and_end() -> None:
    rig = Rig()
    rig.snapshot()
    last = rig.stream.end()
    rig.go()
    assert rig.progress[P_END] == last == rig.progress[P_LAST_SEQ] == rig.progress[P_WATERMARK]
    assert rig.trade["book_digest"] != 0 and rig.progress[P_BLOCKED] == NOT_BLOCKED


def test_buffers_are_checked() -> None:
    rig = Rig()
    with pytest.raises(ValueError, match="at least 256 rows"):
        run_batch(rig.state, np.zeros((1, 8), np.int64), 0, 0, rig.reports, 0, rig.out[:3], rig.logs, rig.progress)
    with pytest.raises(ValueError, match="cells"):
        run_batch(rig.state, np.zeros((1, 8)), 0, 0, rig.reports, 0, rig.out, rig.logs, rig.progress)


# --- pacing ----------------------------------------------------------------------------------------------------------
def test_paced_engine_waits_for_its_answer() -> None:
    rig = Rig(paced=True)
    rig.warm()
    assert rig.go() == WAITING
    message = rig.sent(MessageKind.ENTER)[-1]
    assert rig.progress[P_OUTSTANDING] == 1
    waits_at = rig.progress[P_WATERMARK] + 1
    starts = {int(p[0, 0]): int(p[0, 2]) for p in rig.stream.parts}
    assert starts[int(waits_at)] >= message["ts_event_ns"] + 20 * MS > starts[int(waits_at) - 1]
    assert rig.go() == WAITING  # nothing moves without it
    accept(rig, message)
    rig.reports[0]["effect_ns"] = 0  # too early on purpose: it holds from the due time all the same
    blocked = rig.go()
    assert rig.state.desk.row[0]["order_id"] == 77 or blocked == WAITING
    assert rig.trade["order_id"] == 77


def test_end_waits_for_every_answer() -> None:
    rig = Rig(paced=True, latency_ns=3600 * S)
    rig.warm()
    rig.stream.end()
    assert rig.go() == WAITING and rig.progress[P_END] == 0
    message = rig.sent(MessageKind.ENTER)[-1]
    rig.report(ReportKind.REJECTED, int(message["seq"]), 0, reason=Gate.BALANCE)
    assert rig.go() == NOT_BLOCKED and rig.progress[P_END] == rig.stream.seq
    assert rig.trade["state"] == State.ORDER_PLACED  # the answer would have held an hour later


def test_random_reports_never_break_the_engine() -> None:
    rng = random.Random(5)
    rig = Rig()
    for _ in range(30):
        rig.warm(rng.choice((1, -1)), 1)
        for _ in range(rng.randrange(4)):
            rig.report(
                ReportKind(rng.randrange(7)), rng.randrange(3), rig.stream.now_ns - rng.randrange(S),
                qty_lots=rng.choice((0, 0, 50, -50)), side=rng.choice((1, -1)), role=rng.randrange(6),
                price_ticks=100_000, stop_ticks=99_000, target_ticks=101_000, flags=rng.randrange(4),
                order_id=rng.randrange(5), symbol=rng.choice((5, 5, 5, 9, -1)),
            )  # fmt: skip
        rig.go()
        assert 0 <= rig.trade["state"] <= 10 and rig.trade["pending"] >= 0
        assert rig.progress[P_DECISIONS] >= 0
    assert engine.P_MONO < P_WORDS
