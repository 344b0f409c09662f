"""Records as bytes and back; anything else is refused, never half read."""

from __future__ import annotations

import random

import pytest

from core.enums import OrderRole
from core.orders.desk_journal import (
    Base,
    Checkpoint,
    DeskRecordError,
    Ended,
    Executed,
    Intent,
    Latch,
    Protect,
    Resumed,
    decode,
    intent_of,
    persist,
    targets_from,
    targets_text,
)
from core.orders.exchange_words import OrderType, RecordKind, TimeInForce
from core.orders.lifecycle import OrderState
from core.orders.order_store import DeskOrder, Leg

RECORDS = [
    Intent("sct-1E", 0, "1000PEPEUSDT", 3, -1, 1, 3, 77, 1234, 0, 0, 0, 5, -9, 1300, 1100, 0, 90, 3),
    Executed(4, "e-1", "Trade", "uuid", "sct-1E", "BTCUSDT", 0, 1, 99, 3, -12, 1, 1_700_000_000_000, 9, 0, 0, 5, 6, 7, 8,
             9, 0),
    Ended(2, "", 0, 3, 5, 6, 7, 18, 1_700_000_000_000),
    Latch("KILL", "", 1, "a person, at night; 30 % of it"),
    Checkpoint(1_700_000_000_000, 12),
    Protect("BTCUSDT", 990, "1000:5,1100:6"),
    Base(1_700_000_000_000, 12, 13, 1_699_999_000_000),
    Resumed(123_456_789_000),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: type(r).__name__)
def test_there_and_back(record):
    effect = persist(record)
    assert decode(int(effect.kind), effect.payload) == record


def test_every_kind_is_covered():
    assert {persist(r).kind for r in RECORDS} == set(RecordKind)


def test_an_order_survives():
    order = DeskOrder(
        link_id="sct-1T", leg=Leg.TAKER, symbol="BTCUSDT", side=-1, order_type=OrderType.MARKET, tif=TimeInForce.IOC,
        qty_lots=7, price_ticks=0, reduce_only=True, role=OrderRole.KILL, reason=21, order_id=3, decision_id=4,
        stop_ticks=5, target_ticks=6,
    )
    again = intent_of(order, 1, 7, 3).order()
    assert again == order
    assert again.state is OrderState.INTENT
    assert again.create(5) == order.create(5)


def test_damage_is_refused():
    rng = random.Random(5)
    refused = 0
    for record in RECORDS:
        effect = persist(record)
        for _ in range(300):
            data = bytearray(effect.payload)
            at = rng.randrange(len(data))
            del data[at:at + rng.randrange(1, 9)]
            try:
                decode(int(effect.kind), bytes(data))  # what still has the right shape is caught by the checksum below
            except DeskRecordError:
                refused += 1
        with pytest.raises(DeskRecordError):
            decode(99, effect.payload)
        with pytest.raises(DeskRecordError):
            decode(int(effect.kind), b"\xff\xfe")
    assert refused > 500


def test_targets():
    rungs = ((100, 5), (110, 6))
    assert targets_from(targets_text(rungs)) == rungs
    assert targets_from("") == ()
