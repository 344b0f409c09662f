"""When the guardian takes over and when it stands down; where it puts a stop."""

from __future__ import annotations

import random

import pytest

from core.orders.guard_duty import Duty, Seen, stop_price, ticks_of

S = 10**9


def duty() -> Duty:
    return Duty(silent_ns=2 * S, boot_ns=30 * S, started_ns=100 * S)


def seen(heartbeat_s: float, *, alive: bool = True, ready: bool = True, back: int = 0) -> Seen:
    return Seen(alive, ready, int(heartbeat_s * S), back)


def test_silence_calls_it_and_only_a_reconciled_execution_sends_it_away() -> None:
    d = duty()
    assert not d.look(110 * S, seen(109.9))
    assert not d.look(112 * S, seen(110))  # exactly the limit
    assert d.look(112 * S + 1, seen(110)) and d.takeover == 1
    assert d.look(113 * S, seen(113))  # it beats again, but has not looked at the exchange
    assert d.look(113 * S, seen(113, ready=False, back=1))
    assert d.look(113 * S, seen(113, alive=False, back=1))
    assert not d.look(114 * S, seen(114, back=1)) and d.takeover == 0
    assert not d.look(115 * S, seen(115, back=1))
    assert d.look(118 * S, seen(115, back=1)) and d.takeover == 2  # the old answer is not taken for a new one
    assert d.look(119 * S, seen(119, back=1))
    assert not d.look(119 * S, seen(119, back=2))


def test_a_last_word_of_a_process_that_fell_silent_again_does_not_send_it_away() -> None:
    d = duty()
    assert d.look(113 * S, seen(110))
    assert d.look(118 * S, seen(115.9, back=1))  # it had reconciled, and has been silent for longer than allowed since
    assert not d.look(118 * S, seen(116, back=1))  # exactly the limit


def test_a_successor_that_boots_in_time_keeps_it_away() -> None:
    d = duty()
    assert not d.look(111 * S, seen(110, alive=False))
    assert not d.look(112 * S, seen(111.5, ready=False))
    assert not d.look(113 * S, seen(112.9))


def test_boot_has_its_own_patience() -> None:
    d = duty()
    assert not d.look(130 * S, Seen(False, False, 0, 0))
    assert d.look(130 * S + 1, Seen(False, False, 0, 0))
    late = duty()  # a guardian that starts after a long silence waits once, too
    assert not late.look(101 * S, seen(1))
    assert late.look(103 * S, seen(1))


def test_a_predecessors_takeover_goes_on() -> None:
    d = Duty(2 * S, 30 * S, 100 * S, takeover=3, last=3)
    assert d.look(101 * S, seen(101))
    assert not d.look(101 * S, seen(101, back=3))


def test_stops_are_on_the_losing_side_and_before_liquidation() -> None:
    r = random.Random(5)
    for _ in range(2000):
        mark, side = r.randint(1, 10**9), r.choice((-1, 1))
        liq = r.choice((0, max(mark - side * r.randint(-mark // 2, mark), 1)))
        stop = stop_price(side, mark, r.randint(1, 3000), liq)
        assert stop >= 1
        assert side * (mark - stop) > 0 or mark == 1
        if side * (mark - liq) > 1 and liq > 0:
            assert side * (stop - liq) > 0, (mark, side, liq, stop)


def test_stop_distance_is_as_configured_and_rounded_away() -> None:
    assert stop_price(1, 100_000, 100, 0) == 99_000
    assert stop_price(-1, 100_000, 100, 0) == 101_000
    assert stop_price(1, 33, 100, 0) == 32
    assert stop_price(1, 100_000, 100, 99_500) == 99_750  # halfway to liquidation


@pytest.mark.parametrize(("mark", "liq", "distance_e4", "stop"), [
    (100_000_000, 0, 100, 99_000_000),  # one percent to the tick
    (1000, 0, 6000, 400),  # no liquidation price: nothing cuts the distance
    (10, 1, 9000, 6),  # halfway to a liquidation price of one tick
    (1000, 1010, 100, 990), (1000, 1000, 100, 990),  # at or beyond the mark it is nonsense: not looked at
    (1000, 999, 100, 999), (1000, 998, 100, 999),  # next to it: one tick from the mark, never beyond
    (1, 0, 100, 1), (2, 0, 100, 1),  # never below one tick
])
def test_a_stop_to_the_tick(mark: int, liq: int, distance_e4: int, stop: int) -> None:
    assert stop_price(1, mark, distance_e4, liq) == stop


def test_prices_to_ticks() -> None:
    assert ticks_of(101_234_56000000, 5, 1) == 202_469  # 101234.56 in steps of 0.5
    assert ticks_of(20_123_40, 1, 7) == 201_234
    assert ticks_of(0, 1, 2) == 0
