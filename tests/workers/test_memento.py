"""A graph of objects taken back to what it was, in place; what cannot be is refused."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pytest

from workers.memento import CHUNK_WORDS, Memento
from workers.replay_checkpoints import Checkpoint, Checkpoints


class Row(NamedTuple):
    numbers: np.ndarray
    view: np.ndarray


@dataclass(slots=True)
class Slotted:
    value: int
    names: list[str]


class Loose(msgspec.Struct):
    count: int = 0


class Thing:
    def __init__(self) -> None:
        big: np.ndarray = np.zeros((4, 3 * CHUNK_WORDS + 5), np.int64)
        self.row = Row(big, big[2])
        self.record: np.ndarray = np.zeros(3, [("a", "i4"), ("b", "f8")])
        self.waiting = deque([1, 2], maxlen=5)
        self.by_name: dict[str, Any] = OrderedDict(b=[1], a={2})
        self.queues: defaultdict[int, list[int]] = defaultdict(list, {1: [2]})
        self.slotted, self.loose = Slotted(1, ["x"]), Loose(3)
        self.said: list[int] = []
        self.tell = self._said
        total = 0

        def add(n: int) -> int:
            nonlocal total
            total += n
            return total

        self.add = add

    def _said(self, n: int) -> None:
        self.said.append(n)

    def change(self) -> None:
        self.row.view[:] += 7
        self.row.numbers[3, -1] = 5
        self.record["b"] += 1.5
        self.waiting.append(9)
        self.by_name["c"] = self.by_name.pop("b")
        self.by_name["c"].append(4)
        self.queues[8].append(1)
        self.slotted.value += 1
        self.slotted.names.append("y")
        self.loose.count += 1
        self.tell(5)
        self.add(3)
        self.new = object()

    def picture(self) -> tuple[Any, ...]:
        return (self.row.numbers.tobytes(), self.row.view.tobytes(), self.record.tobytes(), list(self.waiting),
                [(key, sorted(value)) for key, value in self.by_name.items()], dict(self.queues), self.slotted.value,
                list(self.slotted.names), self.loose.count, list(self.said), sorted(vars(self)), self.add(0))


def test_everything_is_as_it_was_and_the_same_object() -> None:
    thing = Thing()
    thing.row.numbers[1, 70] = 3
    objects = (thing.row.numbers, thing.by_name["b"], thing.slotted, thing.queues)
    first = thing.picture()
    memento = Memento([thing])
    assert 0 < memento.nbytes < thing.row.numbers.nbytes / 2, "of an array only what is not zero"
    for _ in range(2):
        thing.change()
        assert thing.picture() != first
        memento.restore()
        assert thing.picture() == first
        now = (thing.row.numbers, thing.by_name["b"], thing.slotted, thing.queues)
        assert all(a is b for a, b in zip(objects, now, strict=True)) and np.shares_memory(thing.row.view, thing.row.numbers)
    assert not hasattr(thing, "new") and thing.waiting.maxlen == 5


def test_what_is_outside_stays_and_what_cannot_be_taken_back_is_refused() -> None:
    outside, thing = [1], Thing()
    thing.said = outside  # type: ignore[assignment]
    memento = Memento([thing], [outside])
    outside.append(2)
    memento.restore()
    assert thing.said is outside and outside == [1, 2]
    for bad in ((n for n in (1, 2)), iter([1]), np.array([object()])):
        thing.queues[5] = [bad]  # type: ignore[list-item]
        with pytest.raises(TypeError, match="cannot be taken back"):
            Memento([thing])


def test_checkpoints_are_thinned_where_they_stand_closest_and_the_first_stays() -> None:
    memory = [np.ones(CHUNK_WORDS, np.int64)]
    kept = Checkpoints(every=10, cap_bytes=5 * memory[0].nbytes)
    for seq in range(0, 1000, 5):
        if kept.due(seq):
            kept.keep(Checkpoint(seq, seq * 2, Memento(memory), {}, ()))
    seqs = [each.seq for each in kept.kept]
    assert len(seqs) == 5 and seqs[0] == 0 and seqs[-1] == 990
    assert max(b - a for a, b in pairwise(seqs)) <= 700
    assert kept.before(seqs[2] * 2).seq == seqs[2] and kept.before(seqs[2] * 2 - 1).seq == seqs[1]  # type: ignore[union-attr]
    assert kept.before(-1) is None
