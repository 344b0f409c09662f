"""Shards and execution together, paced: the digest depends neither on the number of shards nor on who runs when."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.core.engine.streams import Market
from tests.workers.support import EAGER, System, play


def run(tmp_path: Path, shards: int, seed: int, market_seed: int = 3, **changes) -> tuple[str, dict[str, int]]:
    market = Market(6, market_seed, settings=EAGER)
    market.run(40.0, 100.0)
    market.stream.end()
    system = System(tmp_path / f"{shards}-{seed}", shards=shards, paced=True, **changes)
    try:
        play(system, market.stream, seed)
        account = system.account()
        assert system.plant.totals().get("lost_messages", 0) == 0
        return system.digest(), account
    finally:
        system.destroy()


def test_same_digest_for_any_number_of_shards_and_any_order_of_turns(tmp_path):
    digest, account = run(tmp_path, 1, 0)
    assert account["orders"] >= 3
    assert account["fills"] >= 3
    assert account["balance_e8"] == 1000 * 10**8 + account["realised_e8"]
    for shards, seed in ((1, 1), (2, 2), (2, 3), (3, 4)):
        again, other = run(tmp_path, shards, seed)
        assert other == account
        assert again == digest


@pytest.mark.slow
@pytest.mark.parametrize("market_seed", range(10, 16))
def test_same_digest_many(tmp_path, market_seed):
    results = {run(tmp_path, shards, seed, market_seed)[0] for seed, shards in enumerate((1, 2, 4, 5))}
    assert len(results) == 1
