"""LIVE in the execution process without an exchange: what waits for the disk, what the shards hear, keys, and that the
other modes have no way to an order host."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

from core.constants import FLAG_EXTERNAL, SIZE_FULL
from core.enums import Gate, LogKind, MessageKind, OrderRole, ReportKind, Severity
from core.journal import EXECUTION, decode_records, encode_record
from core.orders.broker import Note
from core.orders.desk_journal import Executed, persist
from core.orders.exchange_desk_core import DESK_SEQ
from core.orders.exchange_words import (
    Ack,
    Cancel,
    Create,
    LinkState,
    Log,
    Lost,
    OrderType,
    Persist,
    Query,
    QueryKind,
    RecordKind,
    Send,
    Stream,
    Tell,
    WalletRow,
)
from core.orders.latency import Ledger
from core.orders.wire import Message, Report, read_reports
from core.records import REPORT, SYMBOL
from core.risk.tiers import Rank
from gateway.bybit.sign import KeyProblem
from gateway.link_answers import LinkNote
from gateway.link_words import Heard
from shm.run_spec import RunSpec, VenueAddress
from tests.workers.support import EAGER, System
from workers import live as live_module
from workers.journal_files import DurableLog
from workers.kill_watch import LinkHealth
from workers.live import LiveOrders, link_address, live_keys
from workers.noted_desk import DESK_RECORD, ExecutionTap

VENUE: VenueAddress = {
    "rest": "http://127.0.0.1:9", "ws_public": "ws://127.0.0.1:9/p", "ws_private": "ws://127.0.0.1:9/v",
    "ws_trade": "ws://127.0.0.1:9/t", "api_key": "key-of-the-embedded-venue", "api_secret": "its-secret",
}
ENTRY = Create(1, "sc1-1m", "BTCUSDT", 1, OrderType.LIMIT, 5, 100, stop_ticks=90)
CLOSE = Create(2, "sc1-2c", "BTCUSDT", -1, OrderType.MARKET, 5, reduce_only=True)


class FakeLink:
    """Stands for the OrderLink: keeps what is sent."""

    made: ClassVar[list[FakeLink]] = []

    def __init__(self, *args: Any) -> None:
        self.events: deque[Any] = deque()
        self.notes: deque[Any] = deque()
        self.sent: deque[Any] = deque()
        self.error: BaseException | None = None
        self.sends: list[Send] = []
        self.running = False
        FakeLink.made.append(self)

    def start(self) -> None:
        self.running = True

    def stop(self) -> None:
        self.running = False

    def send(self, send: Send) -> None:
        self.sends.append(send)


class KeptRecords(list[bytes]):
    """The journal of a host that only keeps what it is given."""

    @property
    def booked(self) -> int:
        return len(self)


class Host:
    """What execution lends, kept in lists."""

    def __init__(self, tap: ExecutionTap) -> None:
        self.records = KeptRecords()
        self.told: list[Message] = []
        self.notes: list[Note] = []
        self.broker: Any = None
        self.ledger = Ledger()
        self.tap: Any = tap
        self.stopped = False

    def entries_stopped(self) -> bool:
        return self.stopped

    def tell(self, message: Message) -> None:
        self.told.append(message)

    def note(self, note: Note) -> None:
        self.notes.append(note)


@pytest.fixture
def fake_link(monkeypatch: pytest.MonkeyPatch) -> type[FakeLink]:
    FakeLink.made = []
    monkeypatch.setattr(live_module, "OrderLink", FakeLink)
    return FakeLink


@pytest.fixture
def plant_of(tmp_path: Path) -> Any:
    made: list[System] = []

    def make(**changes: Any) -> System:
        made.append(System(tmp_path / str(len(made)), **changes))
        return made[-1]

    for number in range(4):
        (tmp_path / str(number)).mkdir()
    yield make
    for system in made:
        system.destroy()


@pytest.fixture
def orders(plant_of: Any, fake_link: type[FakeLink]) -> tuple[LiveOrders, Host, FakeLink]:
    """LiveOrders over a fake link; the plant is a SIM one, whose execution has no link of its own."""
    system = plant_of(venue=VENUE)
    host = Host(system.execution.tap)
    made = LiveOrders(system.plant, host, EAGER.safety.feed, {})
    return made, host, fake_link.made[-1]


def want(orders: LiveOrders, *effects: Any) -> None:
    """As if the desk had wanted these."""
    orders.desk.core.effects += effects
    orders.carry_out()


def test_a_send_waits_until_what_was_written_before_it_is_durable(orders: tuple[LiveOrders, Host, FakeLink]) -> None:
    live, host, link = orders
    first, second, third = (Send(ENTRY._replace(req_id=n), 0, False) for n in (1, 2, 3))
    want(live, first, Persist(RecordKind.INTENT, b"one"), second, Persist(RecordKind.INTENT, b"two"), third)
    assert len(host.records) == 2 and link.sends == []
    assert live.release(0, False) == 1 and link.sends == [first], "nothing stands before the first"
    assert live.release(1, False) == 1 and link.sends == [first, second]
    assert len(live._sends) == 1 and live.release(1, False) == 0
    assert live.release(2, False) == 1 and link.sends == [first, second, third]


def test_when_the_disk_refuses_only_entries_stay(orders: tuple[LiveOrders, Host, FakeLink]) -> None:
    live, _, link = orders
    entry, close, cancel = Send(ENTRY, 0, False), Send(CLOSE, 0, True), Send(Cancel(3, "BTCUSDT", "x"), 0, False)
    want(live, Persist(RecordKind.INTENT, b"one"), entry, close, cancel)
    assert live.release(0, True) == 2 and link.sends == [close, cancel]
    assert live.release(1, True) == 1 and link.sends[-1] is entry


def test_effects_keep_their_order_and_find_their_place(orders: tuple[LiveOrders, Host, FakeLink]) -> None:
    live, host, _ = orders
    message = Message(seq=DESK_SEQ + 1, kind=int(MessageKind.FILL))
    want(live, Persist(RecordKind.EXECUTION, b"x"), Tell(message), Log(Severity.ERROR, "word", "", "text", 4, 5))
    assert host.told == [message]
    (note,) = host.notes
    assert (note.kind, note.severity, note.text, note.a, note.b) == (LogKind.ERROR, Severity.ERROR, "word: text", 4, 5)
    (frame,) = decode_records(host.records[0])
    assert (frame.kind - DESK_RECORD, frame.data) == (RecordKind.EXECUTION, b"x")


def test_events_reach_the_desk_and_lost_orders_the_kill_triggers(orders: tuple[LiveOrders, Host, FakeLink]) -> None:
    live, host, link = orders
    link.events += [Heard((event,)) for event in (
        LinkState(Stream.PRIVATE, True, 1), LinkState(Stream.REST, True, 1), Lost(7, "x"), Ack(8, 110007), Ack(9, 0))]
    link.notes.append(LinkNote("err_no_reqid", "order.create: 10016"))
    assert live.turn(time.monotonic_ns()) == 5
    assert live.health() == LinkHealth(True, True, 0), "answers to nothing we know of are no lost orders"
    live.desk.core.failed()
    assert live.health().failures_per_min == 1
    assert live.desk.counters["err_no_reqid"] == 1
    assert any(note.text.startswith("order.create") for note in host.notes)


def test_flat_waits_for_orders_on_their_way_and_not_for_questions(orders: tuple[LiveOrders, Host, FakeLink]) -> None:
    live, host, _ = orders
    host.broker = SimpleNamespace(flat=True)
    want(live, Persist(RecordKind.LATCH, b"x"), Send(Query(5, QueryKind.POSITIONS), 0, True))
    assert live.flat
    want(live, Send(CLOSE, 0, True))
    assert not live.flat and not live.at_stake
    live.release(1, False)
    assert live.flat


def test_the_last_question_before_the_first_byte(orders: tuple[LiveOrders, Host, FakeLink]) -> None:
    live, host, _ = orders
    wanted = True
    live.desk.may_leave = lambda now_ns, request: wanted or request.reduce_only  # type: ignore[method-assign, attr-defined]
    assert live.may_leave(1, ENTRY) and live.may_leave(1, CLOSE)
    host.stopped = True
    assert not live.may_leave(1, ENTRY), "killed, paused or guarded since it was decided"
    assert live.may_leave(1, CLOSE) and live.may_leave(1, Cancel(3, "BTCUSDT", "x")), "what gets out always may"
    host.stopped = wanted = False
    assert not live.may_leave(1, ENTRY), "the desk does not want it any more"


def test_a_failed_link_ends_the_process(orders: tuple[LiveOrders, Host, FakeLink]) -> None:
    live, _, link = orders
    link.error = ValueError("boom")
    with pytest.raises(RuntimeError, match="order link"):
        live.turn(1)


# --- keys ----------------------------------------------------------------------------------------------------------------
def spec(**more: Any) -> RunSpec:
    return RunSpec(run_id="r", mode="LIVE", **more)


def test_keys_of_the_embedded_exchange_come_from_the_run() -> None:
    found = live_keys(spec(venue=VENUE), {})
    assert found.keys.api_key == VENUE["api_key"] and found.tier_allowed is Rank.NORMAL
    assert link_address(spec(venue=VENUE)).ws_trade.endswith("/t")


def test_other_keys_come_from_the_environment_only() -> None:
    venue: VenueAddress = {"rest": "https://api-demo.bybit.com", "ws_public": "wss://x/p", "ws_private": "wss://x/v"}
    told = spec(venue=venue, venue_name="demo", tier_allowed="MICRO")
    with pytest.raises(KeyProblem, match="BYBIT_DEMO_API_KEY"):
        live_keys(told, {"BYBIT_API_KEY": "of-mainnet-not-demo", "BYBIT_API_SECRET": "s"})
    found = live_keys(told, {"BYBIT_DEMO_API_KEY": "kkkkkkkkkkkk1234", "BYBIT_DEMO_API_SECRET": "sssssss"})
    assert found.keys.api_key.endswith("1234") and found.tier_allowed is Rank.MICRO
    assert "sssssss" not in repr(found) and "kkkk" not in repr(found)
    assert link_address(told).ws_trade == "", "demo has no order WebSocket"


@pytest.mark.parametrize("venue", [None, {"rest": "http://x", "ws_public": "ws://x"}])
def test_a_venue_without_a_private_side_cannot_be_traded(venue: Any) -> None:
    with pytest.raises(ValueError, match="private"):
        link_address(spec(venue=venue))


# --- execution in LIVE -----------------------------------------------------------------------------------------------------
def symbol_row(system: System) -> None:
    record = np.zeros(1, SYMBOL.dtype)
    for name, value in {
        "id": 0, "name_hash": 77, "tick_mant": 1, "price_exp": 1, "lot_mant": 1, "qty_exp": 3, "tick_size": 0.1,
        "lot_size": 0.001, "min_qty_lots": 1, "max_qty_lots": 10**6, "max_market_lots": 10**6, "status": 1,
        "max_leverage_e2": 10_000,
    }.items():
        record[name] = value
    record["name"] = np.frombuffer(b"BTCUSDT".ljust(record["name"].shape[-1], b"\0"), np.uint8)
    system._gateway.symbols().write(0, record)


def reports(system: System) -> list[Report]:
    """What shard 0 is told now, handshakes left out."""
    system.execution.records.commit()
    rows: np.ndarray = np.zeros(64, REPORT.dtype)
    n = system.join("shard", 0).reports(0).reader().pop(rows)
    return [report for report in read_reports(rows, n) if report.kind != ReportKind.NONE]


def fill(lots: int, leaves: int, number: int = 1, **more: Any) -> Message:
    return Message(
        seq=DESK_SEQ + number, ts_event_ns=10**18, order_id=9, price_ticks=650_000, qty_lots=lots, leaves_lots=leaves, fee_e8=100,
        kind=int(MessageKind.FILL), side=1, role=int(OrderRole.ENTRY), decision_id=5, stop_ticks=640_000, **more,
    )


@pytest.fixture
def execution(plant_of: Any, fake_link: type[FakeLink], monkeypatch: pytest.MonkeyPatch) -> System:
    """A LIVE execution over a fake link; its shard does not run."""
    monkeypatch.setattr(System, "new_shard", lambda self, index: None)
    system: System = plant_of(mode="LIVE", venue=VENUE)
    system.shards = []
    symbol_row(system)
    return system


def test_the_shard_hears_of_fills_and_ends_as_unsolicited_and_external(execution: System) -> None:
    execution.execution.tell(fill(3, leaves=2))
    (partly,) = reports(execution)
    assert (partly.kind, partly.qty_lots, partly.seq, partly.flags & FLAG_EXTERNAL) == (ReportKind.POSITION, 3, 0, FLAG_EXTERNAL)
    execution.execution.tell(fill(2, leaves=0, number=2))
    whole, over = reports(execution)
    assert (whole.kind, whole.qty_lots) == (ReportKind.POSITION, 5)
    assert (over.kind, over.order_id, over.decision_id, over.seq) == (ReportKind.DONE, 9, 5, 0), "nobody else tells the end"


def test_a_new_run_knows_what_the_run_before_it_held(execution: System) -> None:
    """Another run's journal is set aside; its positions are ours, also when this run restarts before it has seen them."""
    execution.execution.on_close()
    path = execution.execution.paths.execution_journal
    path.unlink()
    held = Executed(1, "e1", "Trade", "v1", "sct1-1E", "BTCUSDT", 0, -1, 650_000, 7, 100, 0, 5, 5, 0, 0, 1, 5, 0, 660_000, 0, 0)
    noted = persist(held)
    before = DurableLog(path, EXECUTION, "run-before", 1)
    before.write([encode_record(1, 0, 0, DESK_RECORD + noted.kind, noted.payload)], 1)
    before.close()
    for _ in range(2):
        again = execution.new_execution()
        assert again.live is not None and again.live.desk.core.earlier == {"BTCUSDT": -7}
        again.on_close()
    assert len(list(path.parent.glob("execution-*.journal"))) == 1


def test_the_account_of_the_page_is_the_exchanges_wallet(execution: System) -> None:
    made, board = execution.execution, execution.plant.account()
    assert made.live is not None
    made._write_boards(0, force=True)
    assert int(board.read(0)[0]["equity_e8"]) == 0, "not told yet: nothing is shown in its place"
    made.live.desk.on_event(1, WalletRow(520 * 10**8, 500 * 10**8, 400 * 10**8, -20 * 10**8, 0, 0, 1))
    made.do_work()
    made._write_boards(0, force=True)
    row = board.read(0)[0]
    assert [int(row[name]) // 10**8 for name in ("balance_e8", "equity_e8", "margin_used_e8")] == [520, 500, 100]
    made.on_close()


def test_an_entry_that_ends_partly_filled_is_told_as_position_and_end(execution: System) -> None:
    execution.execution.tell(fill(3, leaves=2))
    reports(execution)
    done = fill(0, leaves=2, number=2)._replace(kind=int(MessageKind.DONE), reason=7)
    execution.execution.tell(done)
    assert [report.kind for report in reports(execution)] == [ReportKind.POSITION, ReportKind.DONE]


def test_what_a_paper_desk_says_in_live_is_not_booked(execution: System) -> None:
    execution.execution._answer(0, fill(3, leaves=0)._replace(seq=50), 1)
    assert execution.execution.broker.account.positions == {} and execution.execution.counters.get("errors") == 1


def test_nothing_is_sent_before_the_exchange_has_been_looked_at(execution: System, fake_link: type[FakeLink]) -> None:
    assert fake_link.made[-1].running and not execution.execution.live.desk.ready  # type: ignore[union-attr]
    execution.execution.do_work()
    facts = execution.execution.exchange(0)
    assert not facts.settled and facts.equity_e8 < 0


def test_a_restarted_execution_recovers_account_and_desk(execution: System, fake_link: type[FakeLink]) -> None:
    first = execution.execution
    first.tell(fill(3, leaves=0))
    first.records.commit()
    first.on_close()
    again = execution.new_execution()
    execution.execution = again
    assert again.broker.account.positions[0].lots == 3


# --- the other modes ---------------------------------------------------------------------------------------------------------
@pytest.fixture
def order_hosts() -> Iterator[tuple[VenueAddress, list[socket.socket]]]:
    """Everywhere an order could go, listening: REST, private stream, trade stream."""
    hosts = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    rest, private, trade = (f"127.0.0.1:{host.getsockname()[1]}" for host in hosts)
    venue = VENUE.copy()
    venue.update({"rest": f"http://{rest}", "ws_private": f"ws://{private}/v", "ws_trade": f"ws://{trade}/t"})
    yield venue, hosts
    for host in hosts:
        host.close()


@pytest.mark.parametrize(("mode", "answer"), [
    ("SIM", (ReportKind.ACCEPTED, Gate.NONE)), ("DRY_RUN", (ReportKind.REJECTED, Gate.MODE))])
def test_other_modes_open_no_socket(
    plant_of: Any, order_hosts: tuple[VenueAddress, list[socket.socket]], monkeypatch: pytest.MonkeyPatch, mode: str,
    answer: tuple[ReportKind, Gate],
) -> None:
    """Not even with keys at hand, an order, its fill, a close and a kill: no socket, no thread, no link, and nobody knocks."""
    monkeypatch.setenv("BYBIT_API_KEY", "k" * 16)
    monkeypatch.setenv("BYBIT_API_SECRET", "s" * 16)
    monkeypatch.setattr(System, "new_shard", lambda self, index: None)
    opened: list[Any] = []
    real, start = socket.socket.__init__, threading.Thread.start
    ours = {threading.current_thread()}  # what other tests have left running does not matter

    def guarded(self: socket.socket, *args: Any, **more: Any) -> None:
        if threading.current_thread() in ours:
            opened.append(args)
        real(self, *args, **more)

    def noted(self: threading.Thread) -> None:
        if threading.current_thread() in ours:
            ours.add(self)
        start(self)

    monkeypatch.setattr(socket.socket, "__init__", guarded)
    monkeypatch.setattr(threading.Thread, "start", noted)
    venue, hosts = order_hosts
    system = plant_of(mode=mode, venue=venue, paced=False)
    system.shards = []
    symbol_row(system)
    execution = system.execution
    answers = [execution._answer(0, Message(
        seq=number, ts_event_ns=number, kind=int(kind), side=1, price_ticks=650_000, stop_ticks=649_000, order_id=1,
        qty_lots=SIZE_FULL if kind == MessageKind.ENTER else 1, role=int(OrderRole.ENTRY)), 1)[0]
        for number, kind in enumerate((MessageKind.ENTER, MessageKind.FILL, MessageKind.EXIT), start=1)]
    assert answers[0] is not None and (answers[0].kind, Gate(answers[0].reason)) == answer
    system.plant.control.request_kill("admin")
    system.settle()
    assert execution.kill.killed
    assert execution.live is None and execution.broker.router.desk is None
    assert opened == [] and ours == {threading.current_thread()}
    assert select.select(hosts, [], [], 0)[0] == [], "somebody knocked"


def test_live_knocks_at_the_order_hosts(
    plant_of: Any, order_hosts: tuple[VenueAddress, list[socket.socket]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same hosts hear LIVE at once: the silence above is no accident."""
    monkeypatch.setattr(System, "new_shard", lambda self, index: None)
    venue, hosts = order_hosts
    system = plant_of(mode="LIVE", venue=venue)
    system.shards = []
    assert select.select(hosts, [], [], 240)[0]
