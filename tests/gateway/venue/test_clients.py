"""Sockets of the venue: late and held data, idle ones, and what frame faults do to a stream."""

from __future__ import annotations

import pytest

from gateway.venue.clients import IDLE_MS, Client, Counters, FrameFaults, Postponed, Sockets, idle_of
from gateway.venue.fault_rules import FaultRules
from tests.gateway.venue.running import FakeTransport


class Desk:
    def __init__(self) -> None:
        self.rules = FaultRules()
        self.postponed = Postponed()
        self.sockets = Sockets(Counters(), 1 << 20, self.rules, self.postponed)

    def client(self, idle_ms: int = 0) -> tuple[Client, FakeTransport]:
        transport = FakeTransport()
        return self.sockets.join(Client(transport, None, "private", idle_ms=idle_ms)), transport

    def at(self, now_ms: int) -> None:
        self.sockets.now_ms = now_ms
        self.postponed.release(now_ms)


def test_postponed_actions_come_in_order_of_time_then_of_arrival() -> None:
    seen: list[str] = []
    later = Postponed()
    for due, name in ((20, "c"), (10, "a"), (10, "b"), (30, "d")):
        later.put(due, lambda name=name: seen.append(name))  # type: ignore[misc]
    later.release(9)
    assert seen == []
    later.release(20)
    assert seen == ["a", "b", "c"]


def test_slow_sockets_get_everything_late_and_in_order() -> None:
    desk = Desk()
    client, transport = desk.client()
    desk.rules.arm("ws.slow", ms=300, count=1)
    for number, at in enumerate((0, 100, 299)):
        desk.at(at)
        client.outbox.append(b"%d" % number)
        desk.sockets.flush_all()
        assert transport.written == []
    desk.at(300)
    assert b"".join(transport.written) == b"012"
    client.outbox.append(b"3")
    desk.sockets.flush_all()
    assert transport.written[-1] == b"3", "the fault is over"


def test_idle_sockets_are_cut_and_busy_ones_are_not() -> None:
    desk = Desk()
    _, silent = desk.client(idle_ms=30_000)
    busy_client, busy = desk.client(idle_ms=30_000)
    _, eternal = desk.client()
    desk.at(20_000)
    busy_client.outbox.append(b"x")
    desk.sockets.flush_all()
    desk.at(30_001)
    desk.sockets.cut_idle()
    assert (silent.aborted, busy.aborted, eternal.aborted) == (True, False, False)
    assert desk.sockets.counters.idle_cut_off == 1


@pytest.mark.parametrize(("query", "expected"), [
    ("", IDLE_MS), ("max_active_time=30s", 30_000), ("max_active_time=1m", 60_000), ("a=b&max_active_time=90s", 90_000),
    ("max_active_time=1s", 30_000), ("max_active_time=9999s", 600_000), ("max_active_time=x", IDLE_MS),
    ("max_active_time=", IDLE_MS), ("max_active_time=99999999999s", IDLE_MS), ("max_active_time=\u0663\u0663s", IDLE_MS),
])
def test_allowed_silence_from_the_address(query: str, expected: int) -> None:
    assert idle_of(query) == expected


def test_frame_faults() -> None:
    rules = FaultRules()
    faults = FrameFaults(rules, "feed")
    assert faults.quiet()
    for kind in ("drop", "dup", "swap"):
        rules.arm(f"feed.{kind}", topic=kind)
    rules.arm("feed.freeze", topic="cold", seconds=5)
    assert not faults.quiet()

    def sent(topic: str, count: int = 3) -> list[int]:
        return [frame for number in range(count) for frame in faults.through(topic, number, topic=topic)]

    assert sent("drop") == [1, 2]
    assert sent("dup") == [0, 0, 1, 2]
    assert sent("swap") == [1, 0, 2]
    assert sent("cold") == []
    assert sent("other") == [0, 1, 2]
    rules.now_ms = 5000
    assert sent("cold") == [0, 1, 2]
    assert faults.quiet()
