"""The ring of trades against a plain list."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.enums import EventKind
from core.records import TRADE
from core.tape import kernels as K
from tests.core.streams import DERIVED_TAPE, REAL_TAPE, Market, recorded_events, trade_array
from tests.reference.tape import NaiveTape, Trade
from tests.shared_data import recording


class Pair:
    def __init__(self) -> None:
        self.tape = K.new_tape(3)
        self.twin = NaiveTape(K.TAPE_LENGTH)
        self.out = np.zeros(K.TAPE_LENGTH + 10, TRADE.dtype)

    def append(self, trades: list[Trade]) -> None:
        self.twin.append(trades)
        pad = [Trade(1, 1, 1)] * 2
        K.append(self.tape, 1, trade_array(pad + trades + pad), 2, len(trades))

    def check(self, n: int) -> None:
        got = K.copy_last(self.tape, 1, n, self.out)
        expected = self.twin.last(n)
        assert got == len(expected)
        for row, trade in zip(self.out[:got].tolist(), expected, strict=True):
            price, qty, ts_exch_ns, side, flags, _ = row
            assert (price, qty, side, flags, ts_exch_ns) == trade
        assert tuple(self.tape.totals[1].item())[:7] == self.twin.totals()
        assert K.length(self.tape, 1) == min(len(self.twin.trades), K.TAPE_LENGTH)
        assert self.tape.count[0] == self.tape.count[2] == 0


def run_market(seed: int, n: int, check_every: int) -> None:
    pair = Pair()
    for i, event in enumerate(Market(seed).events(n)):
        if event.kind is EventKind.TRADES:
            pair.append(event.trades)
        if i % check_every == 0:
            pair.check(100)
    pair.check(K.TAPE_LENGTH + 5)
    assert pair.tape.count[1] > K.TAPE_LENGTH, "the ring went round"


def test_requirement_a3_keeps_two_thousand() -> None:
    assert K.TAPE_LENGTH >= 2000


def test_generated_trades_equal_twin() -> None:
    run_market(1, 5_000, 500)


@pytest.mark.slow
def test_long_generated_trades_equal_twin() -> None:
    run_market(2, 200_000, 20_000)  # about 125,000 trades


trades = st.builds(
    Trade, st.integers(1, 1 << 40), st.integers(1, 1 << 40), st.sampled_from([-1, 1]), st.integers(0, 3), st.integers(0, 1 << 60)
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(trades, max_size=30), max_size=6), st.integers(0, 200))
def test_any_trades_equal_twin(batches: list[list[Trade]], n: int) -> None:
    pair = Pair()
    for batch in batches:
        pair.append(batch)
        pair.check(n)


@pytest.mark.parametrize("name", [REAL_TAPE, DERIVED_TAPE])
def test_recorded_trades_equal_twin(name: str) -> None:
    pairs: dict[str, Pair] = {}
    for event in recorded_events(recording(name))[0]:
        if event.kind is EventKind.TRADES:
            pairs.setdefault(event.symbol, Pair()).append(event.trades)
    assert pairs
    for pair in pairs.values():
        pair.check(K.TAPE_LENGTH)


def test_block_trades_stay_out_of_the_totals() -> None:
    pair = Pair()
    pair.append([Trade(100, 3, 1, 0, 5), Trade(101, 1000, -1, K.BLOCK_TRADE, 6), Trade(99, 4, -1, 2, 7)])
    pair.check(5)
    assert pair.tape.totals[1].item()[:7] == (3, 4, 1, 1, 1, 99, 7)


def test_clear_forgets() -> None:
    pair = Pair()
    pair.append([Trade(100, 3, 1)])
    K.clear(pair.tape, 1)
    pair.twin = NaiveTape(K.TAPE_LENGTH)
    pair.check(5)
