"""The kill sequence at the exchange: proved flat whatever happens on the way (order fault O46)."""

from __future__ import annotations

import itertools

from core.enums import Gate
from core.orders.exchange_words import (
    Cancel,
    CancelEntries,
    Create,
    LinkState,
    Lost,
    Send,
    Stream,
    TradingStop,
)
from tests.core.orders.desk_cases import A, break_books, refusing, rig
from tests.core.orders.naive_exchange import MS, SYMBOLS, S, instrument


def test_o46_clock_error_while_killing():
    r = rig()
    r.open_position()
    left = [6]

    def wrong_clock(q):
        if isinstance(q, Create | CancelEntries | Cancel) and left[0]:
            left[0] -= 1
            return 10002, "invalid request, please check your server timestamp"
        return None

    r.venue.refuse = wrong_clock
    r.desk.kill(r.now_ns)
    r.flush()
    r.until(lambda: r.desk.flat, 5_000)
    assert r.desk.counters["kill_attempts"] >= 2
    assert r.desk.counters["clock_asked"] >= 1
    assert r.venue.lots(A) == 0


def test_o46_reconnect_while_killing():
    r = rig()
    r.open_position()
    r.desk.kill(r.now_ns)
    r.flush()
    for stream in Stream:
        r.event(LinkState(stream, False, 1))
    r.on_send = lambda q: "error"
    r.run(500)
    r.on_send = lambda q: ""
    for stream in Stream:
        r.event(LinkState(stream, True, 2))
    r.until(lambda: r.desk.flat, 5_000)
    assert r.venue.lots(A) == 0


def test_kill_ends_even_with_broken_books():
    r = rig()
    r.open_position()
    break_books(r)
    r.desk.kill(r.now_ns)
    r.flush()
    r.until(lambda: r.desk.flat, 10_000)
    assert r.venue.lots(A) == 0


def test_kill_never_cancels_everything_and_removes_no_stop_before_flat():
    r = rig()
    r.open_position()
    r.venue.markets[A].lots = 0
    r.desk.kill(r.now_ns)
    r.flush()
    r.run(3_000)
    assert r.venue.position(A).stop_ticks == 9_890
    assert r.of_kind(CancelEntries)
    assert not [q for q in r.of_kind(TradingStop) if q.stop_ticks == 0]
    assert not r.desk.flat
    r.venue.markets[A].lots = 1 << 40
    r.until(lambda: r.desk.flat, 3_000)
    assert all(c.reduce_only for c in r.of_kind(Create)[1:])


def test_an_entry_that_waited_for_the_disk_is_not_wanted_after_kill_cancel_or_its_time():
    for end in ("kill", "cancel", "late"):
        r = rig()
        gate = r.desk.submit(r.now_ns, r.order(), instrument(0), 1500 * MS)
        (send,) = [e for e in r.desk.drain() if isinstance(e, Send)]
        assert gate is Gate.NONE
        assert r.desk.may_leave(r.now_ns, send.request)
        now = r.now_ns
        if end == "kill":
            r.desk.kill(now)
        elif end == "cancel":
            r.desk.cancel(now, 0, 1)
        else:
            now = send.deadline_ns
        assert not r.desk.may_leave(now, send.request)
        r.flush()
        r.event(Lost(send.request.req_id, "no longer wanted", sent=False))
        r.run(500)
        assert r.dones()[0].leaves_lots == 100
        assert not r.venue.creates


def test_exits_may_always_leave():
    r = rig()
    r.open_position()
    r.desk.kill(r.now_ns)
    sends = [e for e in r.desk.drain() if isinstance(e, Send)]
    assert sends
    assert all(r.desk.may_leave(r.now_ns + 100 * S, e.request) for e in sends)


def test_kill_is_latched_over_restarts_until_cleared():
    r = rig()
    r.open_position()
    r.desk.kill(r.now_ns)
    r.flush()
    r.crash(booked=max(m.seq for m in r.told))
    r.until(lambda: r.desk.flat, 15_000)
    assert r.venue.lots(A) == 0
    assert r.desk.submit(r.now_ns, r.order(number=2), instrument(0), 0) is Gate.KILLED
    r.desk.clear_kill(r.now_ns)
    r.flush()
    r.crash(booked=max(m.seq for m in r.told))
    r.until(lambda: r.desk.ready, 15_000)


def test_kill_with_ten_percent_of_the_answers_lost():
    r = rig()
    for number, symbol in enumerate(SYMBOLS):
        r.open_position(number=number + 1, symbol=number)
        assert r.venue.lots(symbol) == 100
    count = [0]

    def every_tenth(q):
        count[0] += 1
        return "lose" if count[0] % 10 == 0 else ""

    r.on_send = every_tenth
    at = r.now_ns
    r.desk.kill(r.now_ns)
    r.flush()
    assert r.until(lambda: not any(r.venue.lots(s) for s in SYMBOLS)) <= 1_000
    r.until(lambda: r.desk.flat, 10_000)
    for q, ns in zip(r.sent, r.sent_ns, strict=True):
        assert not (isinstance(q, Create) and not q.reduce_only and ns > at)


def test_kill_is_proved_by_two_complete_rounds_and_asks_once_for_everything_else():
    r = rig()
    r.open_position()
    records = len(r.records)
    r.desk.kill(r.now_ns)
    r.desk.kill(r.now_ns)
    r.flush()
    r.until(lambda: r.venue.lots(A) == 0)
    rounds = r.desk.recon.rounds
    r.until(lambda: r.desk.flat)
    assert r.desk.recon.rounds - rounds >= 2
    assert len(r.of_kind(CancelEntries)) == 1
    assert r.desk.counters["clock_asked"] == 0
    r.desk.kill(r.now_ns)
    r.flush()
    latches = [payload for kind, payload in r.records[records:] if kind == 4 and payload.startswith(b"KILL")]
    assert len(latches) == 1
    r.desk.clear_kill(r.now_ns)
    r.desk.clear_kill(r.now_ns)
    r.flush()
    latches = [payload for kind, payload in r.records[records:] if kind == 4 and payload.startswith(b"KILL")]
    assert len(latches) == 2
    assert r.desk.ready


def test_a_sweep_that_is_refused_waits_before_it_is_sent_again():
    r = rig()
    r.open_position()
    r.venue.refuse = refusing(10000, "server timeout", CancelEntries, times=3)
    r.desk.kill(r.now_ns)
    r.flush()
    r.until(lambda: r.desk.flat, 5_000)
    at = [ns for q, ns in zip(r.sent, r.sent_ns, strict=True) if isinstance(q, CancelEntries)]
    assert len(at) == 4
    assert all(b - a >= 150 * MS for a, b in itertools.pairwise(at))
