"""Virtual time: order of moments, ties, what is put in while running."""

from __future__ import annotations

import random

from core.sim.scheduler import Scheduler


def test_runs_by_moment_and_ties_by_arrival() -> None:
    rng = random.Random(1)
    clock = Scheduler(100)
    ran: list[tuple[int, int]] = []
    plan = [(rng.randrange(100, 130), n) for n in range(500)]
    for ts_ns, n in plan:
        clock.at(ts_ns, lambda ts, k: ran.append((ts, k)), ts_ns, n)
    clock.run_until(115)
    assert clock.now_ns == 115
    assert ran == sorted(item for item in plan if item[0] <= 115)
    clock.run_until(1000)
    assert ran == sorted(plan)
    assert (clock.now_ns, clock.next_ns, len(clock), clock.done) == (1000, None, 0, 500)


def test_an_action_may_put_in_others_and_the_past_means_now() -> None:
    clock = Scheduler()
    seen: list[tuple[str, int]] = []

    def note(name: str) -> None:
        seen.append((name, clock.now_ns))

    def first() -> None:
        clock.at(3, note, "past")
        clock.after(0, note, "same moment")
        clock.after(5, note, "later")

    clock.at(10, first)
    clock.at(10, note, "second")
    clock.run_until(12)
    assert seen == [("second", 10), ("past", 10), ("same moment", 10)]
    assert clock.next_ns == 15
    clock.run_until(15)
    assert seen[-1] == ("later", 15)
