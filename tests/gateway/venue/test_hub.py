"""Requests, acknowledgements, and who gets what: sessions and hub without a socket."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.venue.faults import Faults
from gateway.venue.hub import Client, Counters, Hub
from gateway.venue.session import MAX_ARGS_CHARS
from gateway.venue.truth import Truth
from tests.gateway.venue.running import FakeTransport, new_exchange


class Desk:
    """A hub on a small exchange, with clients on fake sockets."""

    def __init__(self, count: int = 4, limit: int = 1 << 20) -> None:
        self.exchange = new_exchange(count)
        self.hub = Hub(self.exchange, Counters(), limit)
        self.truth = Truth()
        self.faults = Faults(self.hub, self.truth, self.exchange)

    def client(self) -> tuple[Client, FakeTransport]:
        transport = FakeTransport()
        return self.hub.connect(transport), transport

    def ask(self, client: Client, transport: FakeTransport, **message: Any) -> dict[str, Any]:
        before = len(transport.messages())
        self.hub.request(client, json.dumps(message).encode())
        return transport.messages()[before]

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self.hub.now_ms = self.exchange.now_ms + 10
            self.hub.publish((key, bytes(frame)) for key, frame in self.exchange.step(self.hub.now_ms))
            self.hub.flush_all()


def test_acknowledgements_are_those_of_the_wire() -> None:
    desk = Desk()
    client, transport = desk.client()
    ack = desk.ask(client, transport, op="subscribe", args=["publicTrade.BTCUSDT"], req_id="r7")
    assert list(ack) == ["success", "ret_msg", "conn_id", "req_id", "op"]
    assert (ack["success"], ack["ret_msg"], ack["req_id"], ack["op"]) == (True, "", "r7", "subscribe")
    assert len(ack["conn_id"]) == 26 and ack["conn_id"][20] == "-"
    assert desk.ask(client, transport, op="subscribe", args=["tickers.BTCUSDT"])["req_id"] == ""
    pong = desk.ask(client, transport, op="ping", req_id="9")
    assert (pong["op"], pong["ret_msg"], pong["success"], pong["req_id"]) == ("ping", "pong", True, "9")
    gone = desk.ask(client, transport, op="unsubscribe", args=["tickers.BTCUSDT"], req_id="u")
    assert (gone["op"], gone["success"], gone["req_id"]) == ("unsubscribe", True, "u")


@pytest.mark.parametrize("topic", ["orderbook.500.BTCUSDT", "orderbook.50.NOPEUSDT", "candle.1.BTCUSDT", "x"])
def test_one_unknown_topic_fails_the_whole_request(topic: str) -> None:
    desk = Desk()
    client, transport = desk.client()
    ack = desk.ask(client, transport, op="subscribe", args=["orderbook.50.BTCUSDT", topic])
    assert ack["success"] is False
    assert ack["ret_msg"] == f"error:handler not found,topic:{topic}"
    desk.run(50)
    assert len(transport.messages()) == 1, "nothing was subscribed"


def test_a_topic_can_be_held_once() -> None:
    desk = Desk()
    client, transport = desk.client()
    desk.ask(client, transport, op="subscribe", args=["publicTrade.BTCUSDT"])
    again = desk.ask(client, transport, op="subscribe", args=["publicTrade.BTCUSDT", "publicTrade.ETHUSDT"])
    assert again["ret_msg"] == "error:already subscribed,topic:publicTrade.BTCUSDT"
    assert "publicTrade.ETHUSDT" not in client.session.topics


def test_the_args_of_a_connection_are_limited() -> None:
    desk = Desk(count=80)
    client, _ = desk.client()
    session = client.session

    def ask(held: Any, op: str, args: list[str]) -> bool:
        return b'"success":true' in held.request(json.dumps({"op": op, "args": args}).encode(), lambda topic: False).text

    names = [i.symbol for i in desk.exchange.instruments]
    total = 0
    for name in ("orderbook.1", "orderbook.50", "orderbook.200", "orderbook.1000", "publicTrade", "tickers",
                 "allLiquidation", *(f"kline.{k}" for k in ("1", "3", "5", "15", "30", "60", "120", "240", "360", "D"))):
        topics = [f"{name}.{symbol}" for symbol in names]
        fits = total + sum(map(len, topics)) <= MAX_ARGS_CHARS
        assert ask(session, "subscribe", topics) is fits
        if not fits:
            break
        total += sum(map(len, topics))
    else:
        pytest.fail("the limit was never reached")
    assert session.chars == total
    assert ask(session, "unsubscribe", [f"tickers.{symbol}" for symbol in names])
    assert session.chars < total
    assert ask(desk.client()[0].session, "subscribe", topics), "the limit is per connection"


@pytest.mark.parametrize("raw", [
    b"", b"nonsense", b"[]", b"3", b'{"op":"jump"}', b'{"op":"subscribe"}', b'{"op":"subscribe","args":[]}',
    b'{"op":"subscribe","args":[1]}', b'{"args":["tickers.BTCUSDT"]}', b'{"op":"unsubscribe","args":["x"]}', b"\xff\xfe",
])
def test_nonsense_is_refused_and_survived(raw: bytes) -> None:
    desk = Desk()
    client, transport = desk.client()
    desk.hub.request(client, raw)
    assert transport.messages()[0]["success"] is False
    assert desk.ask(client, transport, op="ping")["ret_msg"] == "pong"
    assert desk.hub.counters.refused == 1


def test_a_late_subscriber_joins_the_same_sequence() -> None:
    desk = Desk()
    early, first = desk.client()
    topic = "orderbook.50.BTCUSDT"
    desk.ask(early, first, op="subscribe", args=[topic])
    desk.run(100)
    late, second = desk.client()
    desk.ask(late, second, op="subscribe", args=[topic])
    snapshot = second.messages()[1]
    assert snapshot["type"] == "snapshot"
    assert snapshot["data"]["u"] == first.messages()[-1]["data"]["u"]
    desk.run(100)
    assert second.messages()[2]["data"]["u"] == snapshot["data"]["u"] + 1
    assert first.written[-1] is second.written[-1] or first.messages()[-1] == second.messages()[-1]
    assert [m for m in first.messages() if m.get("ts", 0) > snapshot["ts"]] == second.messages()[2:]


def test_resubscribing_gives_a_snapshot_with_a_higher_u() -> None:
    desk = Desk()
    client, transport = desk.client()
    topic = "orderbook.50.BTCUSDT"
    desk.ask(client, transport, op="subscribe", args=[topic])
    desk.run(50)
    last = transport.messages()[-1]["data"]["u"]
    desk.ask(client, transport, op="unsubscribe", args=[topic])
    count = len(transport.messages())
    desk.run(50)
    assert len(transport.messages()) == count
    desk.ask(client, transport, op="subscribe", args=[topic])
    assert transport.messages()[-1]["type"] == "snapshot"
    assert transport.messages()[-1]["data"]["u"] > last


def test_a_client_that_does_not_read_is_cut_off_and_the_others_go_on() -> None:
    desk = Desk(limit=50_000)
    slow, stuck = desk.client()
    good, fine = desk.client()
    stuck.reads = False
    for client, transport in ((slow, stuck), (good, fine)):
        desk.ask(client, transport, op="subscribe", args=["orderbook.50.BTCUSDT", "publicTrade.BTCUSDT"])
    desk.run(600)
    assert stuck.aborted and not fine.aborted
    assert sum(map(len, stuck.written)) <= 50_000 + len(stuck.written[0])  # the snapshots it asked for come on top
    assert desk.hub.counters.slow_cut_off == 1
    assert desk.hub.clients == [good]
    count = len(fine.messages())
    desk.run(50)
    assert len(fine.messages()) > count


def test_disconnecting_silences_topics() -> None:
    desk = Desk()
    client, transport = desk.client()
    desk.ask(client, transport, op="subscribe", args=["orderbook.50.BTCUSDT"])
    desk.hub.disconnect(client)
    desk.hub.disconnect(client)
    assert not desk.hub.subscribers
    assert not desk.exchange.streams.active.any()


def test_ordered_faults() -> None:
    desk = Desk()
    client, transport = desk.client()
    desk.ask(client, transport, op="subscribe", args=["orderbook.50.BTCUSDT", "tickers.ETHUSDT"])
    desk.run(20)
    assert desk.faults.order({"kind": "refuse", "topic": "*", "count": 1}, 1)["ok"]
    assert desk.ask(client, transport, op="subscribe", args=["tickers.SOLUSDT"])["success"] is False
    assert desk.ask(client, transport, op="subscribe", args=["tickers.SOLUSDT"])["success"] is True
    before = len(transport.written)
    desk.faults.order({"kind": "malformed", "symbol": "BTCUSDT"}, 2)
    desk.hub.flush_all()
    with pytest.raises(ValueError, match="char"):
        json.loads(transport.written[before][2:])
    assert desk.faults.order({"kind": "half_open", "symbol": "BTCUSDT"}, 3)["details"] == {"clients": 1}
    count = len(transport.written)
    desk.run(50)
    desk.hub.request(client, b'{"op":"ping"}')
    assert len(transport.written) == count and not transport.aborted
    desk.faults.order({"kind": "disconnect"}, 4)
    assert transport.aborted and not desk.hub.clients
    assert [h.kind for h in desk.truth.happenings] == ["refuse", "malformed", "half_open", "disconnect"]
    for bad in ({}, {"kind": "earthquake"}, {"kind": "gap"}, {"kind": "gap", "symbol": "NOPE"}, [], None):
        with pytest.raises(ValueError):
            desk.faults.order(bad, 5)
