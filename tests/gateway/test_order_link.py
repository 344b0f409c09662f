"""The link against the embedded exchange over real sockets: both ways in, every way an answer can fail to come."""

from __future__ import annotations

import gc
import random
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from core.orders.exchange_words import (
    AccountRow,
    Ack,
    Amend,
    Banned,
    Cancel,
    ClockOffset,
    Create,
    ExecutionRow,
    FeeRow,
    InstrumentRow,
    KeyRow,
    LinkState,
    Lost,
    OrderRow,
    OrderStatus,
    OrderType,
    PositionRow,
    Query,
    QueryKind,
    QueryRows,
    Request,
    Send,
    SetLeverage,
    Stream,
    TimeInForce,
    TradingStop,
    WalletRow,
)
from core.sim.exchange_types import OrderFilter
from gateway.bybit.session import Timing
from gateway.bybit.sign import credentials
from gateway.order_link import LinkAddress, LinkOptions, OrderLink
from gateway.private_stream import PrivateStream
from gateway.venue.synthetic_feed import SyntheticFeed
from tests.conftest import Goal
from tests.gateway.link_tools import PATIENT, TIMING, Linked, address_of, linked
from tests.gateway.venue.running import Running, new_exchange, served_venue


@pytest.fixture(scope="module")
def shared() -> Iterator[Running]:
    with served_venue(SyntheticFeed(new_exchange(3, seed=5)), accounts=1, seed=5) as running:
        yield running


@pytest.fixture
def venue(shared: Running) -> Iterator[Running]:
    """The same exchange for all tests, without the faults, orders and used-up limits of the one before."""
    yield shared
    shared.post("release", {})
    private = shared.venue.private
    assert private is not None

    def clean() -> None:
        limits = private.rest.limits
        limits._used.clear()
        limits._ip.clear()
        limits.banned_until_ms.clear()
        for uid in shared.venue.accounts.uids:
            private.link.exchange.cancel_all(private.link.now_ns, uid, None, OrderFilter.ORDER)

    shared.run(clean)


def status(link: Linked, link_id: str, wanted: OrderStatus) -> OrderRow:
    return link.wait(OrderRow, lambda row: row.link_id == link_id and row.status is wanted)


def rows(link: Linked, kind: QueryKind, symbol: str | None = None, **more: object) -> QueryRows:
    return link.answer(Query(link.next_id(), kind, symbol, **more), QueryRows)  # type: ignore[arg-type]


@pytest.mark.parametrize("trade", [True, False], ids=["trade WebSocket", "REST only"])
def test_the_life_of_an_order(venue: Running, trade: bool):
    with linked(venue, trade=trade) as link:
        link.up(Stream.PRIVATE, Stream.REST)
        if trade:
            link.up(Stream.TRADE)
        entry = link.entry(link_id=f"life-{trade}")
        ack = link.answer(entry, Ack)
        assert ack.ret_code == 0 and ack.order_id and ack.limit_left >= 0
        born = status(link, entry.link_id, OrderStatus.NEW)
        assert (born.order_id, born.price_ticks, born.stop_ticks, born.qty_lots) == (
            ack.order_id, entry.price_ticks, entry.stop_ticks, entry.qty_lots)
        amend = Amend(link.next_id(), entry.symbol, entry.link_id, price_ticks=entry.price_ticks - 5)
        assert link.answer(amend, Ack).ret_code == 0
        link.wait(OrderRow, lambda row: row.link_id == entry.link_id and row.price_ticks == entry.price_ticks - 5)
        (seen,) = rows(link, QueryKind.ORDER_REALTIME, entry.symbol, link_id=entry.link_id).rows
        assert isinstance(seen, OrderRow) and seen.order_id == ack.order_id
        assert link.answer(Cancel(link.next_id(), entry.symbol, entry.link_id), Ack, urgent=True).ret_code == 0
        gone = status(link, entry.link_id, OrderStatus.CANCELLED)
        assert gone.cancel_type == "CancelByUser" and gone.leaves_lots == 0
        stamps = {sent.req_id: sent for sent in link.link.sent}
        assert 0 < stamps[entry.req_id].handed_ns <= stamps[entry.req_id].written_ns


def test_a_position_from_entry_to_flat(venue: Running):
    with linked(venue) as link:
        link.up()
        assert link.answer(SetLeverage(link.next_id(), "BTCUSDT", 500), Ack).ret_code in (0, 110043)
        entry = link.entry(factor=1.001, tif=TimeInForce.IOC)
        assert link.answer(entry, Ack).ret_code == 0
        fill = link.wait(ExecutionRow, lambda row: row.link_id == entry.link_id)
        assert (fill.exec_type, fill.side, fill.is_maker) == ("Trade", 1, False) and fill.fee_e8 > 0
        held = link.wait(PositionRow, lambda row: row.lots == entry.qty_lots)
        assert held.stop_ticks == entry.stop_ticks and held.signed_lots > 0 and held.leverage_e2 == 500
        mark = len(link.heard)
        assert link.answer(TradingStop(link.next_id(), "BTCUSDT", entry.stop_ticks + 7), Ack, urgent=True).ret_code == 0
        link.wait(PositionRow, lambda row: row.stop_ticks == entry.stop_ticks + 7, mark)
        (listed,) = rows(link, QueryKind.POSITIONS).rows
        assert isinstance(listed, PositionRow) and listed.lots == entry.qty_lots
        assert (listed.entry_value_e8, listed.seq > 0) == (fill.value_e8, True)
        close = link.entry(side=-1, order_type=OrderType.MARKET, qty_lots=0, price_ticks=0, stop_ticks=0, tif=TimeInForce.IOC,
                           reduce_only=True, close_on_trigger=True)
        assert link.answer(close, Ack, urgent=True).ret_code == 0
        link.wait(PositionRow, lambda row: row.lots == 0 and row.side == 0, mark)
        trades = rows(link, QueryKind.EXECUTIONS, "BTCUSDT").rows
        assert {row.link_id for row in trades if isinstance(row, ExecutionRow)} >= {entry.link_id, close.link_id}


def test_everything_can_be_asked(venue: Running):
    with linked(venue) as link:
        link.up()
        kinds = {QueryKind.WALLET: WalletRow, QueryKind.API_KEY: KeyRow, QueryKind.ACCOUNT: AccountRow,
                 QueryKind.INSTRUMENT: InstrumentRow, QueryKind.FEE: FeeRow}
        for kind, row in kinds.items():
            told = rows(link, kind, "BTCUSDT" if kind in (QueryKind.INSTRUMENT, QueryKind.FEE) else None)
            assert len(told.rows) == 1 and isinstance(told.rows[0], row) and told.kind is kind and told.now_ms > 0
        assert "ContractTrade:Order" in rows(link, QueryKind.API_KEY).rows[0].permissions  # type: ignore[union-attr]
        assert rows(link, QueryKind.SERVER_TIME).rows == ()
        refused = link.answer(Query(link.next_id(), QueryKind.POSITIONS, "NOSUCHUSDT"), Ack)
        assert refused.ret_code == 10001


def test_an_answer_that_never_comes_is_lost_after_a_second(venue: Running):
    with linked(venue) as link:
        link.up()
        venue.fault("trade.ack_drop", op="order.create")
        entry = link.entry()
        began = time.monotonic()
        lost = link.answer(entry, Lost)
        assert lost.sent and "no ack" in lost.why and time.monotonic() - began > 0.99
        status(link, entry.link_id, OrderStatus.NEW)  # it acted all the same: only a look-up can tell


def test_a_late_answer_is_told_after_it_was_lost(venue: Running):
    with linked(venue) as link:
        link.up()
        venue.fault("trade.ack_delay", op="order.create", ms=1300)
        entry = link.entry()
        assert link.answer(entry, Lost).sent
        assert link.wait(Ack, lambda ack: ack.req_id == entry.req_id).ret_code == 0
        assert "late_ack" in link.words


def test_an_error_without_a_request_id_makes_all_of_its_kind_unknown(venue: Running):
    with linked(venue) as link:
        link.up()
        bystander = link.entry()
        assert link.answer(bystander, Ack).ret_code == 0
        venue.fault("trade.ack_drop", op="order.create", count=2)
        venue.fault("trade.err_no_reqid", op="order.create", skip=2, code=10016)
        hit = [link.entry() for _ in range(3)]
        cancel = Cancel(link.next_id(), bystander.symbol, bystander.link_id)
        for request in hit:
            link.send(request)
        link.send(cancel)
        for request in hit:
            lost = link.wait(Lost, lambda event, r=request: event.req_id == r.req_id)
            assert lost.sent and "without reqId" in lost.why
        assert link.wait(Ack, lambda ack: ack.req_id == cancel.req_id).ret_code == 0
        assert "err_no_reqid" in link.words


@pytest.mark.parametrize("fault", ["trade.accept_then_drop", "ws.rst"])
def test_a_lost_connection_loses_what_is_in_flight_and_comes_back(venue: Running, fault: str):
    with linked(venue) as link:
        link.up()
        if fault == "ws.rst":
            venue.fault("trade.ack_drop", op="order.create")
        else:
            venue.fault(fault, op="order.create")
        entry = link.entry()
        link.send(entry)
        status(link, entry.link_id, OrderStatus.NEW)
        if fault == "ws.rst":
            venue.fault("ws.rst", stream="trade")
        lost = link.wait(Lost, lambda event: event.req_id == entry.req_id)
        assert lost.sent
        link.wait(LinkState, lambda e: e.stream is Stream.TRADE and not e.up and e.epoch == 1)
        link.wait(LinkState, lambda e: e.stream is Stream.TRADE and e.up and e.epoch == 2)
        assert link.answer(link.entry(), Ack).ret_code == 0


def test_a_link_that_fails_just_now_is_sent_to_and_stopped_like_any_other(monkeypatch: pytest.MonkeyPatch):
    """Its loop has ended, its thread not quite: stopping raised, and execution's journal behind it was not closed."""
    async def broken(self: PrivateStream) -> None:
        raise OSError("no such thing")

    monkeypatch.setattr(PrivateStream, "run", broken)
    link = OrderLink(LinkAddress("http://127.0.0.1:9", "ws://127.0.0.1:9", ""), credentials("k" * 18, "s" * 36),
                     lambda symbol: None, LinkOptions(TIMING), lambda: None, random.Random(1), lambda now_ns, request: True)
    ended, joined, join = threading.Event(), threading.Event(), link._thread.join
    monkeypatch.setattr(link._rest, "close", lambda: ended.set() or joined.wait(200))
    monkeypatch.setattr(link._thread, "join", lambda s: joined.set() or join(s))
    link.start()
    assert ended.wait(200)
    link.send(Send(Query(1, QueryKind.WALLET), 0, False))
    link.stop()
    assert not link._thread.is_alive() and isinstance(link.error, OSError)


def test_a_link_stopped_while_it_connects_leaves_no_socket_open(monkeypatch: pytest.MonkeyPatch):
    """It cut the handshake off, and the socket was closed by whoever collected the garbage, with a warning."""
    monkeypatch.setattr("gateway.order_link.CLOSE_S", 60.0)
    with socket.socket() as exchange:
        exchange.bind(("127.0.0.1", 0))
        exchange.listen()
        link = OrderLink(LinkAddress("http://127.0.0.1:9", f"ws://127.0.0.1:{exchange.getsockname()[1]}/v5/private", ""),
                         credentials("k" * 18, "s" * 36), lambda symbol: None, LinkOptions(TIMING), lambda: None,
                         random.Random(1), lambda now_ns, request: True)
        link.start()
        with exchange.accept()[0] as asking:
            assert asking.recv(1) == b"G", "it asks for the upgrade, and waits"
            stopping = threading.Thread(target=link.stop)
            stopping.start()
            while not (link._private and link._private._stopping):
                time.sleep(0.001)
        stopping.join()
    assert not link._thread.is_alive() and link.error is None
    del link, stopping
    gc.collect()


def test_the_private_stream_comes_back_with_a_new_epoch(venue: Running):
    with linked(venue) as link:
        link.up()
        venue.fault("ws.rst", stream="private")
        link.wait(LinkState, lambda e: e.stream is Stream.PRIVATE and not e.up)
        link.wait(LinkState, lambda e: e.stream is Stream.PRIVATE and e.up and e.epoch == 2)
        entry = link.entry()
        link.send(entry)
        status(link, entry.link_id, OrderStatus.NEW)


def test_a_refused_subscription_is_no_connection(venue: Running):
    venue.fault("sub.nack", topic="wallet")
    with linked(venue) as link:
        link.up(Stream.PRIVATE)
        assert any("subscription refused" in note.text for note in link.link.notes)


def test_a_silent_socket_is_given_up(venue: Running):
    timing = Timing(100_000_000, 300_000_000, 20_000_000, 200_000_000, 1_000_000_000)
    with linked(venue, options=LinkOptions(timing)) as link:
        link.up()
        venue.fault("ws.half_open", stream="private")
        link.wait(LinkState, lambda e: e.stream is Stream.PRIVATE and e.up and e.epoch == 2)
        assert any("no pong" in note.text for note in link.link.notes)


def test_without_the_trade_stream_orders_take_rest(venue: Running):
    address = address_of(venue)._replace(ws_trade="ws://127.0.0.1:1/v5/trade")
    with linked(venue, address=address) as link:
        link.up(Stream.PRIVATE, Stream.REST)
        entry = link.entry()
        assert link.answer(entry, Ack).ret_code == 0
        status(link, entry.link_id, OrderStatus.NEW)


def test_nothing_leaves_without_a_connection(venue: Running):
    address = LinkAddress("http://127.0.0.1:1", "ws://127.0.0.1:1/v5/private", "ws://127.0.0.1:1/v5/trade")
    with linked(venue, address=address) as link:
        lost = link.answer(link.entry(), Lost)
        assert not lost.sent and "no connection" in lost.why


@pytest.mark.parametrize(("fault", "acted"), [("rest.5xx", True), ("rest.html", True), ("rest.5xx", False)])
def test_http_trouble_is_ambiguous(venue: Running, fault: str, acted: bool):
    with linked(venue, trade=False) as link:
        link.up(Stream.PRIVATE, Stream.REST)
        venue.fault(fault, op="order.create", executed=acted)
        entry = link.entry()
        assert link.answer(entry, Lost).sent
        if acted:
            status(link, entry.link_id, OrderStatus.NEW)


def test_a_slow_answer_of_rest_is_lost_in_time(venue: Running):
    with linked(venue, trade=False, options=PATIENT._replace(rest_timeout_s=0.3)) as link:
        link.up(Stream.PRIVATE, Stream.REST)
        venue.fault("rest.delay", op="order.create", ms=1000)
        began = time.monotonic()
        assert link.answer(link.entry(), Lost).sent
        assert time.monotonic() - began > 0.29


def test_a_ban_stops_rest_and_says_so(venue: Running):
    with linked(venue) as link:
        link.up()
        venue.fault("rest.403", op="position.list")
        assert link.answer(Query(link.next_id(), QueryKind.POSITIONS), Ack).ret_code == 403
        assert link.wait(Banned).until_ns > time.monotonic_ns() + 500_000_000_000
        link.wait(LinkState, lambda e: e.stream is Stream.REST and not e.up)
        lost = link.answer(Query(link.next_id(), QueryKind.WALLET), Lost)
        assert not lost.sent and "banned" in lost.why
        assert link.answer(link.entry(), Ack).ret_code == 0, "the trade stream goes on"


def test_rate_limits_are_not_run_into(venue: Running):
    """Thirty cancels of nothing at once: the exchange never has to say 10006."""
    with linked(venue) as link:
        link.up()
        requests = [Cancel(link.next_id(), "BTCUSDT", f"none-{i}") for i in range(30)]
        link.at_once(requests)
        codes = {link.wait(Ack, lambda ack, r=request: ack.req_id == r.req_id).ret_code for request in requests}
        written_ns = sorted(sent.written_ns for sent in link.link.sent)
        assert all(later - sooner > 10**9 for sooner, later in zip(written_ns, written_ns[10:], strict=False))
        assert codes - {10006} == {110001}  # what left evenly arrives bunched where the exchange is held up


def test_a_tighter_limit_of_the_exchange_is_learnt(venue: Running):
    venue.fault("rate", op="order.cancel", per_s=2, seconds=60)
    with linked(venue) as link:
        link.up()
        requests = [Cancel(link.next_id(), "BTCUSDT", f"few-{i}") for i in range(12)]
        link.at_once(requests, urgent=True)
        codes = [link.wait(Ack, lambda ack, r=request: ack.req_id == r.req_id).ret_code for request in requests]
        assert 0 < codes.count(10006) <= 10, codes  # the first burst finds out, then it is kept
        late = [Cancel(link.next_id(), "BTCUSDT", f"late-{i}") for i in range(3)]
        assert 110001 in [link.answer(request, Ack, urgent=True).ret_code for request in late]


def test_killing_uses_the_batch_counters_too(venue: Running, goal: Goal):
    """Twenty reduce-only closes at once leave within the second: ten single, ten in batches, each with its own answer."""
    with linked(venue) as link:
        link.up()
        close = link.entry(side=-1, order_type=OrderType.MARKET, price_ticks=0, stop_ticks=0, tif=TimeInForce.IOC,
                           reduce_only=True)
        requests = [close._replace(req_id=link.next_id(), link_id=f"kill-{i}") for i in range(20)]
        began_ns = time.monotonic_ns()
        link.at_once(requests, urgent=True)
        acks = [link.wait(Ack, lambda ack, r=request: ack.req_id == r.req_id) for request in requests]
        assert {ack.ret_code for ack in acks} == {110017}, "no position to reduce; but every one was answered"
        written = [sent.written_ns for sent in link.link.sent if sent.req_id in {r.req_id for r in requests}]
        assert len(written) == 20
        goal("twenty closes on the wire", (max(written) - began_ns) / 1e9, 1.0)
        assert "batch_partial" in link.words


def test_a_deadline_passed_in_the_queue_is_kept(venue: Running):
    with linked(venue) as link:
        link.up()
        late = link.entry()
        lost = link.answer(late, Lost, deadline_ns=time.monotonic_ns() - 1)
        assert not lost.sent and "deadline" in lost.why
        first = [link.entry() for _ in range(8)]  # entries may use six of ten
        link.at_once(first, within_ns=300_000_000)
        unsent = [link.wait(Lost, lambda e, r=request: e.req_id == r.req_id) for request in first[6:]]
        assert [event.sent for event in unsent] == [False, False]
        assert {link.wait(Ack, lambda a, r=request: a.req_id == r.req_id).ret_code for request in first[:6]} == {0}


def test_what_cannot_be_written_does_not_leave(venue: Running):
    with linked(venue) as link:
        link.up()
        lost = link.answer(link.entry()._replace(symbol="NOSUCHUSDT"), Lost)
        assert not lost.sent and "NOSUCHUSDT" in lost.why and "not_encodable" in link.words


@pytest.mark.parametrize("ms", [-3000, 3000])
def test_a_clock_that_is_off_is_measured(venue: Running, ms: int):
    """Bybit refuses more than a second ahead whatever the window; the link stamps with the exchange's time."""
    venue.fault("clock.step", ms=ms)
    try:
        with linked(venue) as link:
            link.up()
            assert abs(link.wait(ClockOffset).ms - ms) < 2000
            assert link.answer(link.entry(), Ack).ret_code == 0
    finally:
        venue.fault("clock.step", ms=-ms)


def test_a_step_of_the_exchanges_clock_is_noticed(venue: Running):
    with linked(venue, options=PATIENT._replace(recv_window_ms=1500)) as link:
        link.up()
        venue.fault("clock.step", ms=5000)
        try:
            assert link.answer(link.entry(), Ack).ret_code == 10002
            mark = len(link.heard)
            assert abs(link.wait(ClockOffset, after=mark).ms - 5000) < 2000
            assert link.answer(link.entry(), Ack).ret_code == 0
        finally:
            venue.fault("clock.step", ms=-5000)


def test_a_bad_key_never_comes_up_and_is_not_shown(venue: Running):
    with linked(venue, keys=credentials("nobody-knows-this-key", "nor-this-secret")) as link:
        refused = link.answer(Query(link.next_id(), QueryKind.WALLET), Ack)
        assert refused.ret_code == 10003
        link.wait(LinkState, lambda e: e.stream is Stream.PRIVATE and not e.up)
        said = " ".join(note.text for note in link.link.notes) + repr(link.link.__dict__)
        assert "nor-this-secret" not in said and "nobody-knows-this-key" not in said


def test_orders_of_someone_else_are_heard(venue: Running):
    with linked(venue) as link:
        link.up()
        venue.fault("acct.ext_order", symbol="BTCUSDT", qty="0.01", side="Buy")
        foreign = link.wait(OrderRow, lambda row: not row.link_id.startswith("t"))
        assert foreign.symbol == "BTCUSDT"
        venue.fault("acct.ext_order", symbol="BTCUSDT", qty="0.01", side="Sell")  # the next test finds no position
        link.wait(PositionRow, lambda row: row.lots == 0, len(link.heard))


# --- the last question before the first byte -----------------------------------------------------------------------------
def opens(request: object) -> bool:
    return isinstance(request, Create) and not request.reduce_only


@pytest.mark.parametrize("trade", [True, False], ids=["trade WebSocket", "REST only"])
def test_an_entry_not_wanted_any_more_does_not_leave_and_an_exit_does(venue: Running, trade: bool):
    """Decided, written down, handed over, and then a kill: not one byte of the entry may leave."""
    with linked(venue, trade=trade) as link:
        link.up(Stream.PRIVATE, Stream.REST, *((Stream.TRADE,) if trade else ()))
        asked: list[str] = []

        def killed(request: Request) -> bool:
            asked.append(type(request).__name__)
            return not opens(request)

        link.wanted = killed
        entry = link.entry()
        lost = link.answer(entry, Lost)
        assert not lost.sent and "not wanted" in lost.why
        assert link.answer(link.entry(reduce_only=True, stop_ticks=0), Ack).ret_code == 110017, "an exit left"
        assert link.answer(Cancel(link.next_id(), entry.symbol, entry.link_id), Ack, urgent=True).ret_code == 110001
        assert rows(link, QueryKind.ORDER_REALTIME, entry.symbol, link_id=entry.link_id).rows == (), "never born"
        assert {sent.req_id for sent in link.link.sent}.isdisjoint({entry.req_id})
        assert {"Create", "Cancel"} <= set(asked), "every order request was asked about"


def test_entries_that_wait_for_the_budget_are_dropped_when_the_kill_comes(venue: Running):
    with linked(venue) as link:
        link.up()
        waiting = [link.entry() for _ in range(20)]
        link.wanted = lambda request: not opens(request) or len(link.link.sent) < 6  # six of ten may leave: then the kill comes
        link.at_once(waiting)
        answers = [link.wait((Ack, Lost), lambda e, r=request: e.req_id == r.req_id) for request in waiting]  # type: ignore[arg-type]
        unsent = [answer for answer in answers if isinstance(answer, Lost)]
        assert len(unsent) == 14 and not any(answer.sent for answer in unsent)
        assert [sent.req_id for sent in link.link.sent] == [request.req_id for request in waiting[:6]]


def test_over_rest_the_question_is_asked_behind_the_connection(venue: Running):
    """The kill comes while the request stands before its connection, in the thread that would write it."""
    with linked(venue, trade=False) as link:
        link.up(Stream.PRIVATE, Stream.REST)
        asked: list[str] = []

        def later(request: Request) -> bool:
            if opens(request):
                asked.append(threading.current_thread().name)
            return not opens(request) or not asked[-1].startswith("rest")

        link.wanted = later
        entry = link.entry()
        assert not link.answer(entry, Lost).sent
        assert asked[0] == "order-link" and asked[-1].startswith("rest-urgent")
        assert LinkState(Stream.REST, False, 1) not in link.heard, "it was us who did not send"
        assert rows(link, QueryKind.ORDER_REALTIME, entry.symbol, link_id=entry.link_id).rows == ()
