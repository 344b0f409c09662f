"""A shard that dies around a settlement: the open position pays once, whoever lived at the moment."""

from __future__ import annotations

from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.enums import EventKind, MessageKind, OrderRole
from core.orders.wire import Message
from core.position.position import Grid, Position
from core.records import SYMBOL_ROW, TICKER
from core.sim.funding import funding_fee_e8
from tests.core.engine.streams import Stream, symbol_record
from tests.workers.support import EAGER, System, starts
from tests.workers.test_shard import feed
from workers.funding_handover import known_ticker, missed
from workers.shard import Shard

MARK_TICKS, RATE_E10 = 1_000_250, 1_250_000
DUE_NS = 1_750_003_200_000_000_000  # 16:00 UTC: a multiple of every interval


def row_of(**fields: Any) -> Any:
    row = np.zeros(1, SYMBOL_ROW.dtype)
    for name, value in {"mark_ticks": MARK_TICKS, "funding_rate_e10": RATE_E10, **fields}.items():
        row[name] = value
    return row[0]


def position_of(**fields: Any) -> Position:
    return Position(0, Grid(1, 1, 5), **{"lots": 137, "opened_ns": DUE_NS - 1, **fields})


@pytest.mark.parametrize("lots", [137, -137])
def test_what_was_missed_is_what_the_exchange_books(lots: int) -> None:
    symbol = symbol_record(0, "BTCUSDT", funding_interval_min=480)[0]
    cash = missed(position_of(lots=lots), 0, row_of(), symbol, DUE_NS + 5)
    assert cash is not None

    class Contract:
        lot_mant, qty_exp = 1, 3

    assert cash.fee_e8 == funding_fee_e8(Contract(), lots, MARK_TICKS * 10**8, RATE_E10)  # type: ignore[arg-type]
    assert (cash.kind, cash.qty_lots, cash.side, cash.seq) == (MessageKind.CASH, 137, 1 if lots > 0 else -1, 0)


@pytest.mark.parametrize(("position", "paid_ns", "row", "minutes", "until_ns"), [
    (position_of(opened_ns=DUE_NS), 0, row_of(), 480, DUE_NS + 5),  # opened behind it
    (position_of(), DUE_NS - 3, row_of(), 480, DUE_NS + 5),  # has paid; a receive clock may be a little behind
    (position_of(), 0, row_of(), 480, DUE_NS - 1),  # not due yet, and the one before was before it was opened
    (position_of(), 0, row_of(mark_ticks=0), 480, DUE_NS + 5),  # no mark price is known
    (position_of(), 0, row_of(), 0, DUE_NS + 5),  # a contract without funding
    (position_of(), 0, row_of(), 480, 0),  # no restart
])
def test_nothing_is_missed(position: Position, paid_ns: int, row: Any, minutes: int, until_ns: int) -> None:
    symbol = symbol_record(0, "BTCUSDT", funding_interval_min=minutes)[0]
    assert missed(position, paid_ns, row, symbol, until_ns) is None


def test_a_new_desk_is_told_what_the_boards_know() -> None:
    symbol = symbol_record(0, "BTCUSDT", funding_interval_min=60)[0]
    ticker = known_ticker(row_of(), symbol, DUE_NS - 1)
    assert ticker is not None and ticker.dtype == TICKER.dtype
    told = {name for k, name in enumerate(TICKER.dtype.names or ()) if int(ticker["mask"][0]) >> k & 1}
    assert told == {"mark_e10", "funding_rate_e10", "next_funding_ns"}
    assert int(ticker["next_funding_ns"][0]) == DUE_NS and int(ticker["mark_e10"][0]) == MARK_TICKS * 10**8
    assert known_ticker(row_of(mark_ticks=0), symbol, 1) is None


SECOND = 1_000_000_000
LOTS = 137


@pytest.mark.parametrize(("dies_at_s", "comes_back_s"), [(-8, -7), (-1, 0), (-1, 2), (0, 0), (0, 2), (1, 2)])
def test_a_shard_that_dies_around_a_settlement(tmp_path: Path, dies_at_s: int, comes_back_s: int) -> None:
    """One payment of the same amount, whether the dead shard, execution or the new one has to see to it. The ticker tells the
    settlement once, long before: two shards after the first have it from the boards and the clock."""
    system = System(tmp_path)
    try:
        stream = Stream(DUE_NS - 20 * SECOND)
        stream.config(EAGER)
        stream.feed()
        record = symbol_record(0, "BTCUSDT", funding_interval_min=480)
        stream.listing(record)
        system.list_symbols([record])
        known = known_ticker(row_of(), record[0], stream.now_ns)
        stream.event(EventKind.TICKER, 0, payload=known)

        def play(until_s: int, seen: bool = True) -> None:
            first = len(starts(stream.shard(0, 1)))
            while stream.now_ns < DUE_NS + until_s * SECOND:
                stream.now_ns += SECOND
                stream.timer()
            if seen:
                feed(system, stream, first)

        def restart() -> None:
            system.shards[0]._write_boards()
            shard = Shard(system.join("shard"), 0, EAGER, wall=lambda: stream.now_ns)
            shard.on_start()
            system.shards[0] = shard
            system.settle()

        feed(system, stream)
        broker = system.execution.broker
        system.execution.take_intent(0, Message(
            seq=1, ts_event_ns=stream.now_ns, order_id=1, decision_id=1, price_ticks=MARK_TICKS, qty_lots=LOTS, symbol=0,
            kind=int(MessageKind.FILL), side=1, role=int(OrderRole.ENTRY),
        ))
        restart()  # hands the position to the desk
        balance = broker.account.balance_e8
        play(dies_at_s)
        play(comes_back_s, seen=False)
        restart()
        play(10)
        assert broker.account.positions[0].lots == LOTS
        assert int(system.shards[0].state.desk.row["pos_lots"][0]) == LOTS
        assert balance - broker.account.balance_e8 == ceil(Fraction(LOTS * MARK_TICKS * 10**8 * RATE_E10, 10**15)) > 0
    finally:
        system.plant.destroy()
