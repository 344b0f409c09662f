"""Look-ups of many orders at once, on an exchange that answers only so many queries."""

from __future__ import annotations

import pytest

from core.orders.exchange_desk import DeskConfig
from core.orders.exchange_words import Create, Query
from core.orders.lifecycle import OrderState
from tests.core.orders.naive_exchange import SYMBOLS, TAG, Rig, S


def rig_with_three_unknown_orders(throttled: bool, per_second: int) -> Rig:
    r = Rig(DeskConfig(run_tag=TAG)).start()
    used: list[int] = []

    def refuse(request):
        if not isinstance(request, Query) or not throttled:
            return None
        used[:] = [t for t in used if t > r.now_ns - S]
        if len(used) >= per_second:
            return 10006, "Too many visits!"
        used.append(r.now_ns)
        return None

    r.venue.refuse = refuse
    r.on_send = lambda q: "drop" if isinstance(q, Create) else ""
    for number in range(len(SYMBOLS)):
        r.submit(r.order(number + 1, number))
    return r


@pytest.mark.parametrize("per_second", [50, 8, 4])
def test_look_ups_end_however_few_queries_the_exchange_answers(per_second):
    """Seed 101287: eight unknown orders, each beginning its round anew every half second after a 10006, used up the
    limit together and none of them was ever proved absent: the kill did not end."""
    r = rig_with_three_unknown_orders(True, per_second)
    r.until(lambda: len(r.dones()) == len(SYMBOLS), 45_000)
    assert not r.desk.looks.looks
    assert {o.state for o in r.desk.core.store} == {OrderState.VOID}


def test_an_order_that_was_never_born_is_known_to_be_so_eight_seconds_after_it_was_sent():
    r = rig_with_three_unknown_orders(False, 0)
    took_ms = r.until(lambda: len(r.dones()) == len(SYMBOLS), 45_000)
    config = r.desk.core.config
    assert config.recv_window_ns + config.guard_ns < took_ms * 1_000_000 < 13 * S
