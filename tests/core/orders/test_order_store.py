"""Ids and the bounded memory of orders."""

from __future__ import annotations

import pytest

from core.enums import OrderRole
from core.orders.exchange_words import OrderType, TimeInForce
from core.orders.lifecycle import OrderState
from core.orders.order_store import LINK_ID, DeskOrder, Leg, OrderStore, base36, leg_of, link_id_of


def order(link_id: str, symbol: str = "AUSDT") -> DeskOrder:
    return DeskOrder(link_id=link_id, leg=Leg.MAKER, symbol=symbol, side=1, order_type=OrderType.LIMIT,
                     tif=TimeInForce.GTC, qty_lots=5, price_ticks=9, reduce_only=False, role=OrderRole.ENTRY, reason=0,
                     order_id=1, decision_id=2)


def test_ids_are_short_plain_and_all_different():
    made = {link_id_of("abc123", leg, n) for leg in Leg for n in range(5000)}
    assert len(made) == 5000 * len(Leg)
    made.add(link_id_of("0123456789", Leg.TAKER, 10**15))
    assert all(LINK_ID.fullmatch(text) and len(text) <= 30 for text in made)
    assert all(leg_of(link_id_of("t", leg, 7)) is leg for leg in Leg)


@pytest.mark.parametrize("tag", ["x" * 11, "a b", "ä", "a/b"])
def test_a_tag_the_venue_might_refuse_is_refused_here(tag):
    with pytest.raises(ValueError, match="order link id"):
        link_id_of(tag, Leg.MAKER, 1)


def test_base36():
    assert [int(base36(n), 36) for n in (0, 35, 36, 10**12)] == [0, 35, 36, 10**12]


def test_an_id_is_used_once():
    store = OrderStore()
    store.add(order("a"))
    with pytest.raises(ValueError, match="used already"):
        store.add(order("a"))


def test_the_venues_id_wins():
    store = OrderStore()
    one, two = order("a"), order("b")
    store.add(one)
    store.add(two)
    store.name(one, "v1")
    assert store.find("v1", "b") is one
    assert store.find("", "b") is two
    assert store.find("v9", "zz") is None


def test_memory_is_bounded():
    store = OrderStore()
    for n in range(10):
        made = order(str(n), symbol=f"S{n % 2}")
        store.add(made)
        store.name(made, f"v{n}")
        if n < 6:
            made.state, made.ended_ns, made.ended_told = OrderState.FILLED, 100 + n, n != 5
    store.execs = {f"e{n}": n for n in range(10)}
    assert store.prune(ended_before_ns=104, exec_before_ms=7) == 4
    assert sorted(o.link_id for o in store) == ["4", "5", "6", "7", "8", "9"]
    assert store.find("v1", "1") is None
    assert sorted(store.execs.values()) == [7, 8, 9]
    assert store.forgotten_ms == 7
    store.prune(104, 3)
    assert store.forgotten_ms == 7


def test_only_open_orders_are_looked_at_again_and_again():
    store = OrderStore()
    orders = [order(str(n), symbol=f"S{n % 2}") for n in range(6)]
    for made in orders:
        store.add(made)
    assert store.unclosed() == orders and store.unclosed_of("S1") == orders[1::2]
    for made in orders[:4]:
        made.state, made.ended_told = OrderState.FILLED, True
        store.changed(made)
    orders[3].told_lots = 5  # the venue tells of a fill we have not booked
    store.changed(orders[3])
    orders[2].await_ns = 1
    store.changed(orders[2])
    assert {o.link_id for o in store.unclosed()} == {"2", "3", "4", "5"}
    assert len(store.of("S0")) == 3 and store.find("", "0") is orders[0], "closed ones are still found"


def test_closed_orders_are_forgotten_and_nothing_of_them_is_kept():
    store = OrderStore()
    for n in range(10_000):
        made = order(str(n))
        store.add(made)
        store.name(made, f"v{n}")
        made.state, made.ended_ns, made.ended_told = OrderState.FILLED, 1 + n, True
        store.changed(made)
    assert store.unclosed() == [] and len(list(store)) == 10_000
    assert store.prune(ended_before_ns=10_001, exec_before_ms=0) == 10_000
    assert not list(store) and not store.by_venue and not store.of("AUSDT") and not store.unclosed_of("AUSDT")
