"""Take-profit rungs kept as wanted."""

from __future__ import annotations

from core.enums import OrderRole
from core.orders.exchange_words import (
    Amend,
    Cancel,
    Create,
)
from tests.core.orders.desk_cases import A, rig


def test_the_ladder_takes_profit_rung_by_rung():
    r = rig()
    r.open_position(target=10_500)
    assert r.venue.position(A).target_ticks == 10_500
    r.desk.protect(r.now_ns, 0, 9_990, ((10_050, 60), (10_080, 40)))
    r.flush()
    r.run(300)
    assert (r.venue.position(A).stop_ticks, r.venue.position(A).target_ticks) == (9_990, 0)
    r.venue.fill(r.venue.by_link[r.link("P")], 60, 10_050)
    r.run(1_000)
    assert r.fills()[-1].role == OrderRole.TAKE_PROFIT
    assert len(r.of_kind(Create)) == 3  # the filled rung is not made again
    r.venue.fill(r.venue.by_link[r.link("P", 1)], 40, 10_080)
    r.run(200)
    assert r.desk.flat
    assert r.desk.core.holdings[A].targets is None


def test_a_lower_rung_is_amended_a_bigger_one_is_made_anew():
    r = rig()
    r.open_position()
    r.desk.protect(r.now_ns, 0, 0, ((10_050, 60),))
    r.flush()
    r.run(200)
    r.desk.protect(r.now_ns, 0, 0, ((10_040, 50),))
    r.flush()
    r.run(500)
    (amend,) = r.of_kind(Amend)
    assert (amend.price_ticks, amend.qty_lots) == (10_040, 50)
    r.desk.protect(r.now_ns, 0, 0, ((10_040, 80),))
    r.flush()
    r.run(1_000)
    assert len(r.of_kind(Cancel)) == 1
    assert [(o.price_ticks, o.qty_lots) for o in r.venue.orders.values() if o.status == 0] == [(10_040, 80)]
