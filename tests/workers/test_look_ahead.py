"""The self-check finds what knows the future, and nothing else: planted cheats in the gate, in decisions, in fills."""

from __future__ import annotations

import gzip
import json
from bisect import bisect_left
from collections.abc import Sequence

import msgspec
import pytest

from core.constants import NS_PER_S
from core.orders.broker import Controls
from core.orders.wire import Message
from tests.workers.eager_tape import eager_job, eager_result
from workers import backtest
from workers.backtest import PAUSED, Job, Result, Tally, run
from workers.look_ahead import Past, faults_of, look_ahead, past_of
from workers.pipeline import NO_CONTROLS

AHEAD_NS = 2 * NS_PER_S

job = pytest.fixture(eager_job, scope="module", name="job")
result = pytest.fixture(eager_result, scope="module", name="result")


@pytest.fixture(scope="module")
def past(job: Job, result: Result) -> Past:
    return past_of(msgspec.structs.replace(job, to_ns=result.to_ns - NS_PER_S))


def test_no_decision_knows_the_future(job: Job, result: Result) -> None:
    assert look_ahead(job, result) == []


class Cheat(Tally):
    """Enters only where the price two seconds later is no worse: it reads on in what it has of the recording."""

    until_ns = 0

    def controls(self, message: Message) -> Controls:
        if not hasattr(self, "prints"):
            self.prints = prints_until(self.pipeline.spec.tape[0], self.until_ns)
        prints = self.prints[self.pipeline.broker.instruments[message.symbol].name]
        now, later = (bisect_left(prints, (at, 0.0)) for at in (message.ts_event_ns, message.ts_event_ns + AHEAD_NS))
        is_fine = later < len(prints) and message.side * (prints[later][1] - prints[now][1]) >= 0
        return NO_CONTROLS if is_fine else PAUSED


def prints_until(tape: str, until_ns: int) -> dict[str, list[tuple[int, float]]]:
    """(time, price) of the trades on a tape, by symbol."""
    prints: dict[str, list[tuple[int, float]]] = {}
    with gzip.open(tape, "rt") as lines:
        for line in lines:
            recv, _, text = line.partition(" ")
            if '"topic":"publicTrade.' in text and (not until_ns or int(recv) <= until_ns):
                body = json.loads(text)
                prints.setdefault(body["topic"].split(".")[1], []).append((int(recv), float(body["data"][-1]["p"])))
    return prints


def test_a_strategy_that_reads_on_is_found(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its decisions are those of everybody; only which entries are let through knows the future."""

    def cheating(jobs: Sequence[Job]) -> list[Past]:
        pasts = []
        for short in jobs:
            monkeypatch.setattr(Cheat, "until_ns", short.to_ns)
            pasts.append(past_of(short))
        return pasts

    monkeypatch.setattr(backtest, "Tally", Cheat)
    result = run(job)
    assert result.trades and set(result.answers.values()) == {"ACCEPTED", "PAUSED"}
    faults = look_ahead(job, result, cheating, cuts=7)
    assert any("answered PAUSED, with the future known ACCEPTED" in fault for fault in faults)


def test_a_decision_that_only_the_whole_recording_has_is_found(past: Past, result: Result) -> None:
    """The last ones before the cut, which no prefix of the past can show."""
    assert faults_of(past, result) == []
    fewer = msgspec.structs.replace(past, intents=past.intents[:-1])
    (fault,) = faults_of(fewer, result)
    assert f"is nothing, with the future known it was {past.intents[-1]}" in fault
    more = msgspec.structs.replace(past, intents=[*past.intents, (past.reach_seq, 0, 1, 1)])
    (fault,) = faults_of(more, result)
    assert "with the future known it was nothing" in fault


def test_a_fill_that_knows_the_future_is_found(past: Past, result: Result) -> None:
    trade = past.trades[-1]
    assert trade.closed_ns < past.reach_ns
    for other in ([*past.trades[:-1], trade._replace(exit_price="1")], past.trades[:-1]):
        (fault,) = faults_of(msgspec.structs.replace(past, trades=other), result)
        assert f"trade {len(past.trades) - 1} is " in fault


def test_what_the_end_of_a_recording_leads_to_is_no_fault(job: Job, result: Result) -> None:
    """Cuts at every quarter second around an entry."""
    trade = result.trades[0]
    for k in range(-2, 6):
        short = past_of(msgspec.structs.replace(job, to_ns=trade.opened_ns + k * NS_PER_S // 4))
        assert faults_of(short, result) == []
