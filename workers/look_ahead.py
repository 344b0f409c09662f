"""Look-ahead self-check: a recording cut short must lead to the same past.

    Job cut short --> Past (what it had decided, answered and closed by then) --compare--> Result of the whole recording

Compared is everything up to the last event before the cut, from both sides: a decision that only the whole recording made by
then knew the future as well as one it made otherwise. Intents, answers to entries, closed trades (fills, MFE, MAE).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import zip_longest
from typing import Any

import msgspec

from core.orders.broker import INTENTS
from core.performance.trades import Trade
from workers.backtest import Backtest, Intent, Job, Result, finish, intent_of

CUTS = 3
NOTHING = "nothing"


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """Of the events up to `reach_seq`, received before `reach_ns`: intents (also those not handled yet), answers by decision
    id, closed trades. More may be in it: of messages that a recording's end leads to."""

    reach_seq: int
    reach_ns: int
    intents: list[Intent]
    answers: dict[str, str]
    trades: list[Trade]


def past_of(job: Job) -> Past:
    """Run a job to its end."""
    backtest = Backtest(job)
    finish(backtest)
    pipeline, result = backtest.pipeline, backtest.result()
    seq, ts_ns = pipeline.reached()
    waiting = pipeline.waiting()
    return Past(
        reach_seq=seq if job.journal else seq - 1,  # the END of a tape stands where the whole one goes on
        reach_ns=min(ts_ns, result.to_ns, *(message.ts_event_ns for message in waiting)),
        intents=result.intents + [intent_of(message) for message in waiting if message.kind in INTENTS],
        answers=result.answers, trades=result.trades,
    )


def look_ahead(
    job: Job, result: Result, run_all: Callable[[Sequence[Job]], Iterable[Past]] | None = None, cuts: int = CUTS
) -> list[str]:
    """What differed, in sentences; [] = nothing. `run_all`: `past_of` of several jobs, for example side by side."""
    first, last = result.from_ns, result.to_ns
    short = [msgspec.structs.replace(job, to_ns=first + (last - first) * k // (cuts + 1)) for k in range(1, cuts + 1)]
    pasts = map(past_of, short) if run_all is None else run_all(short)
    return [fault for past in pasts for fault in faults_of(past, result)]


def faults_of(past: Past, whole: Result) -> list[str]:
    """The first decision, the first answer and the first trade that the whole recording has otherwise."""
    cut, faults = f"cut at {past.reach_ns}: ", []
    short, full = (sorted(i for i in intents if i[0] <= past.reach_seq) for intents in (past.intents, whole.intents))
    if (found := first_difference(short, full)) is not None:
        faults.append(f"{cut}decision {found[0]} is {found[1]}, with the future known it was {found[2]}")
    answers = ((key, answer, whole.answers.get(key, answer)) for key, answer in past.answers.items())
    if (other := next((row for row in answers if row[1] != row[2]), None)) is not None:
        faults.append(f"{cut}entry {other[0]} was answered {other[1]}, with the future known {other[2]}")
    closed, known = ([t for t in trades if t.closed_ns < past.reach_ns] for trades in (past.trades, whole.trades))
    if (found := first_difference(closed, known)) is not None:
        faults.append(f"{cut}trade {found[0]} is {found[1]}, with the future known it was {found[2]}")
    return faults


def first_difference(ours: Sequence[Any], theirs: Sequence[Any]) -> tuple[int, Any, Any] | None:
    """(index, ours, theirs) where two sequences part."""
    pairs = zip_longest(ours, theirs, fillvalue=NOTHING)
    return next(((k, x, y) for k, (x, y) in enumerate(pairs) if x != y), None)
