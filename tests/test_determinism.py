"""The proof of requirement A5 on recorded markets: reruns, batch sizes and shard counts give one digest."""

from __future__ import annotations

from typing import Any

import pytest

from core.enums import DataState
from tests.core.engine.plant import Plant
from tests.core.engine.streams import Market, Stream
from tests.core.engine.tapes import DERIVED, REAL, tape_stream

EAGER = {"arm": (40.0, 40.0, 40.0), "watch": (30.0, 30.0, 30.0)}  # the real 42 s are too quiet for the default arm


def outcome(stream: Stream, shards: int, seed: int, batch: int, levels: int = 512, slots: int = 4) -> tuple[Any, ...]:
    plant = Plant([stream.shard(k, shards) for k in range(shards)], slots, levels=levels, seed=seed).run(batch)
    execution = plant.execution
    for shard in plant.shards:
        listed = shard.state.trade["active"] != 0
        assert (shard.state.trade["data_state"][listed] <= DataState.OK).all()
        assert not shard.state.resync_wish.any() and not shard.state.trade["ignored_deltas"].any()
    return plant.digest(), execution.orders, execution.fills, execution.closed, execution.realised


@pytest.mark.parametrize(
    ("tape", "params", "frames", "orders"), [(REAL, EAGER, None, 1), (DERIVED, {}, 12_000, 1)], ids=["real", "derived"]
)
def test_recorded_market(tape: Any, params: dict[str, Any], frames: int | None, orders: int) -> None:
    stream = tape_stream(tape, max_frames=frames, **params)
    first = outcome(stream, 1, 0, 10_000)
    assert first[1] >= orders
    for shards, seed, batch in ((1, 1, 37), (2, 2, 500), (2, 3, 11), (4, 4, 700), (8, 5, 2000)):
        assert outcome(stream, shards, seed, batch) == first


@pytest.mark.slow
def test_whole_derived_tape() -> None:
    stream = tape_stream(DERIVED)
    first = outcome(stream, 1, 0, 10_000)
    assert first[1] >= 3 and first[3] >= 1
    assert outcome(stream, 2, 1, 333) == first


def test_another_event_is_another_digest() -> None:
    market = Market(3, 5).run(10, 100)
    market.trades(0, [(1_000_000, 7, 1)])
    for _ in range(39):
        market.timer()
    one = outcome(market, 1, 0, 100, 64)
    changed = market.parts[-40].copy()
    changed[1, 1] += 1  # the quantity of one trade
    market.parts[-40] = changed
    assert outcome(market, 1, 0, 100, 64)[0] != one[0]


def test_symbol_ids_do_not_enter_the_digest() -> None:
    """The same symbols under other ids (another order of listing) decide and digest the same."""
    market = Market(3, 6).run(10, 100)
    market.end()
    one = outcome(market, 1, 0, 100, 64, slots=9)
    for k, part in enumerate(market.parts):
        if market.symbols[k] >= 0:
            fresh = part.copy()
            fresh[0, 6] += 5  # the low 32 bits are the symbol id
            if fresh[0, 6] >> 32 & 0xFF == 17:
                fresh[1, 4] += 5  # SYMBOL.id behind name and hash
            market.parts[k] = fresh
            market.symbols[k] += 5
    assert outcome(market, 1, 0, 100, 64, slots=9) == one
