"""What reaches the exchange desk, as notes: events and records read back as they were, timers go with whatever follows,
and the money of an earlier run or a deposit stands in the journal too."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from config.schema import Settings
from core.consumption import Carried, Kind, Now, Said, Timers, Wallet, pack, unpack
from core.enums import Mode
from core.orders.desk_journal import Checkpoint, persist
from core.orders.exchange_desk import DeskConfig
from core.orders.exchange_words import (
    Ack,
    Banned,
    ClockOffset,
    LinkState,
    Lost,
    OrderRow,
    OrderStatus,
    OrderType,
    PositionRow,
    QueryKind,
    QueryRows,
    Quote,
    Stream,
    WalletRow,
)
from core.orders.router import ExecutionRouter
from core.risk.ledger import RiskLedger
from core.risk.policy import policy
from shm.broadcast import BroadcastRing
from tests.shm.support import zeros
from tests.shm.test_tap import records_in
from workers.noted_broker import NotedBroker
from workers.noted_desk import ExecutionTap, NotedDesk, decode_event, encode_event, packed, unpacked
from workers.replay_broker import ReplayBroker

POSITION = PositionRow("BTCUSDT", 0, 1, 5, 10**12, 1, 2, 3, 0, 500, 7, 8, 1, "Normal", False, -9, 2**53 + 1, 11)
ORDER = OrderRow("BTCUSDT", "v", "l", -1, OrderType.LIMIT, None, OrderStatus.NEW, 1, 2, 3, 4, status_text="Neu")
EVENTS: list[Any] = [
    Ack(1 << 40, 110007, "no \"money\"", 3, 2**60, "id"), Lost(7, "no ack", False), LinkState(Stream.TRADE, True, 3),
    ClockOffset(-5), Banned(2**62), Quote("BTCUSDT", 1, 2), POSITION, ORDER, WalletRow(1, 2, 3, -4, 5, 6, 7),
    QueryRows(9, QueryKind.POSITIONS, (POSITION, ORDER), "c%3D", 12), QueryRows(9, QueryKind.SERVER_TIME, (), "", 2**50),
]


def ring_of(cells: int = 8192) -> BroadcastRing:
    return BroadcastRing.format(zeros(BroadcastRing.bytes_needed(cells)), cells)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_reads_back_as_it_was(event: Any) -> None:
    again = decode_event(encode_event(event))
    assert again == event and type(again) is type(event)
    assert [type(a) for a in again] == [type(b) for b in event]


@pytest.mark.parametrize("data", [b"[]", b'["os", []]', b'["Ack", ["x"]]', b"{", b'["Ack"]'])
def test_what_is_no_event_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        decode_event(data)


def test_records_of_a_long_life_read_back_in_pieces() -> None:
    effect = persist(Checkpoint(5, 6))
    records = [(int(effect.kind), effect.payload + b"%d" % n) for n in range(20_000)]
    notes = list(packed(records))
    assert len(notes) > 1 and max(len(note.payload) for note in notes) < 1 << 19
    assert [record for note in notes for record in unpacked(note)] == records
    assert list(packed([])) == []


def test_timers_go_with_the_next_record_and_before_it() -> None:
    ring = ring_of()
    reader, tap = ring.reader(1, from_start=True), ExecutionTap(ring)
    desk = NotedDesk(DeskConfig(), tap)
    desk.on_timer(5)
    desk.on_timer(9)
    assert records_in(reader) == [], "nothing is written for a timer alone"
    desk.on_event(11, Lost(1, "x"))
    desk.on_event(11, Lost(2, "x"))
    notes = [unpack(*record) for record in records_in(reader)]
    assert [type(note) for note in notes] == [Timers, Now, Said, Said], "the clock is told once"
    assert np.frombuffer(notes[0].payload, np.int64).tolist() == [5, 9] and notes[1].now_ns == 11


def test_many_timers_alone_are_written_in_time() -> None:
    ring = ring_of()
    reader, tap = ring.reader(1, from_start=True), ExecutionTap(ring)
    for now_ns in range(1000):
        tap.timer(now_ns)
    tap.put(Kind.SENT, b"x")
    records = records_in(reader)
    times = [t for record in records[:-1] for t in np.frombuffer(unpack(*record).payload, np.int64).tolist()]
    assert times == list(range(1000)) and len(records) == 5


def test_baselines_of_an_earlier_run_and_a_deposit_are_told_and_replayed() -> None:
    rules = policy(Settings())
    notes: list[Any] = []
    broker = NotedBroker(rules, ExecutionRouter(Mode.SIM), notes.append)
    earlier = RiskLedger(rules.start_balance_e8)
    earlier.roll(3600 * 10**9 * 500_000, 77 * 10**8)
    earlier.trades_day = 4
    broker.carry(earlier)
    for balance in (10**10, 10**10, 2 * 10**10):
        broker.see_wallet(balance)
    assert [type(note) for note in notes[1:]] == [Carried, Wallet, Wallet], "the same wallet again is told once"
    replayed = ReplayBroker()
    for note in notes:
        replayed.apply(unpack(*pack(note)))
    assert replayed.broker is not None
    mine, theirs = replayed.broker.ledger, broker.ledger
    assert theirs.day_start_equity_e8 == 77 * 10**8 + 10**10 and theirs.trades_day == 4
    assert (mine.hours, mine.day, mine.day_start_equity_e8, mine.trades_day) == (
        theirs.hours, theirs.day, theirs.day_start_equity_e8, theirs.trades_day)
