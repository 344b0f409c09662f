"""Execution's journal cut at every byte and with flipped bits: it always starts, knows every intent that was acknowledged
before the damage, and never goes on trading over damage it did not name."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from config.latch_file import clear_latch
from core.journal import FILE_BYTES
from tests.workers.execution_rig import Rig, done, enter, fill

KEPT_FIGURES = ("digest", "balance_e8", "fills")


class Known(NamedTuple):
    """What execution knows: figures of its account, positions, orders begun."""

    figures: tuple[int, ...]
    positions: tuple[tuple[int, int, int], ...]
    orders: int


def known(rig: Rig) -> Known:
    account = rig.execution.broker.account
    positions = tuple((k, p.side, p.lots) for k, p in sorted(account.positions.items()))
    return Known(tuple(getattr(account, name) for name in KEPT_FIGURES), positions, rig.execution.broker.orders)


class Story(NamedTuple):
    rig: Rig
    whole: bytes
    states: dict[int, Known]  # by bytes of the journal that were durable when its answers had left


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Entries, fills and ends of four symbols; after every turn what is known and how long the journal is."""
    patch = pytest.MonkeyPatch()
    for name in ("fsync", "fdatasync"):  # nobody pulls the plug here
        patch.setattr(os, name, lambda handle: None)
    rig = Rig(tmp_path_factory.mktemp("story"))
    path: Path = rig.paths.execution_journal
    states = {path.stat().st_size: known(rig)}
    seq = 0
    try:
        for number in range(12):
            symbol = number % 4
            seq += 1
            for answer in rig.turn(enter(symbol, seq)):
                states[path.stat().st_size] = known(rig)
                if not answer.order_id:
                    continue
                seq += 1
                rig.turn(fill(answer.order_id, 60, symbol, seq, leaves=answer.qty_lots - 60))
                states[path.stat().st_size] = known(rig)
                seq += 1
                rig.turn(done(answer.order_id, symbol, seq, leaves=answer.qty_lots - 60))
            states[path.stat().st_size] = known(rig)
        assert len(states) > 10 and len({state.figures for state in states.values()}) > 5
        yield Story(rig, path.read_bytes(), states)
    finally:
        rig.plant.destroy()
        patch.undo()


def start_with(story: Story, data: bytes) -> tuple[Known, bool]:
    """What execution knows when it starts with these bytes, and whether it holds entries back."""
    rig, path = story.rig, story.rig.paths.execution_journal
    for old in path.parent.glob("execution*"):
        old.unlink()
    clear_latch(rig.paths.pause_file)
    rig.control.set("pause_exec", 0)
    path.write_bytes(data)
    rig.restart()
    rig.execution.records.close()
    return known(rig), bool(rig.control.get("pause_exec"))


@pytest.mark.parametrize("step", [101, pytest.param(1, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])])
def test_cut_at_every_offset(story: Story, step: int) -> None:
    nothing = story.states[min(story.states)]
    for size in range(0, len(story.whole) + 1, step):
        found, is_held = start_with(story, story.whole[:size])
        assert not is_held
        assert found == next((story.states[n] for n in sorted(story.states, reverse=True) if n <= size), nothing), size


@pytest.mark.parametrize("flips", [100, pytest.param(10_000, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])])
def test_flipped_bits(story: Story, flips: int) -> None:
    rng = random.Random(flips)
    whole = story.states[len(story.whole)]
    for _ in range(flips):
        bit = rng.randrange(8 * len(story.whole))
        data = bytearray(story.whole)
        data[bit // 8] ^= 1 << bit % 8
        found, is_held = start_with(story, bytes(data))
        assert is_held, f"bit {bit}: entries go on over damage"
        assert bit < 8 * FILE_BYTES or whole.orders - found.orders <= 1  # a block holds one order: only its own is lost
        assert list(story.rig.paths.execution_journal.parent.glob("execution*damaged*")) or bit < 8 * FILE_BYTES, bit
