"""Every knob of what travels (streams, sockets, answers): that it strikes, and that the next request works again. In virtual
time, without sockets."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from tests.gateway.venue.fault_scene import ALL, Scene
from tests.gateway.venue.virtual import Line


@pytest.fixture
def scene() -> Scene:
    return Scene()


def books(line: Line) -> list[dict[str, Any]]:
    return [m for m in line.got() if m.get("topic", "").startswith("orderbook")]


# -- public stream -----------------------------------------------------------------------------------------------------
def test_feed_drop_dup_and_swap(scene: Scene) -> None:
    def us(kind: str) -> list[int]:
        books(scene.public)
        scene.plant.fault(kind, topic="orderbook.50.BTCUSDT", count=1)
        scene.plant.step(40)
        return [m["data"]["u"] for m in books(scene.public)]

    first = us("feed.drop")
    assert [b - a for a, b in pairwise(first)].count(1) == len(first) - 1, "only the first was lost"
    second = us("feed.dup")
    assert second[0] == first[-1] + 1 and second[0] == second[1]
    third = us("feed.swap")
    assert third[0] == third[1] + 1
    scene.works()


def test_feed_freeze_leaves_other_topics_alone(scene: Scene) -> None:
    scene.public.got()
    scene.plant.fault("feed.freeze", topic="orderbook.50.BTCUSDT", seconds=1)
    scene.plant.step(90)
    topics = [m["topic"] for m in scene.public.got()]
    assert "orderbook.50.BTCUSDT" not in topics and "tickers.BTCUSDT" in topics
    scene.plant.step(60)
    assert books(scene.public), "it speaks again"


def test_feed_raw_and_snapshot(scene: Scene) -> None:
    scene.public.got()
    scene.plant.fault("feed.snapshot", symbol="BTCUSDT", u=0)
    scene.plant.fault("feed.snapshot", symbol="BTCUSDT")
    scene.plant.step(10)
    seen = books(scene.public)
    assert [m["type"] for m in seen[:2]] == ["snapshot", "snapshot"]
    assert seen[0]["data"]["u"] > 1 and seen[1]["data"]["u"] == 1
    assert seen[2]["data"]["u"] == 2
    scene.plant.fault("feed.raw", symbol="BTCUSDT", text='{"topic":"orderbook.50.BTCUSDT","data":NaN')
    scene.plant.step()
    assert b"NaN" in b"".join(scene.public.transport.written)


# -- private stream ----------------------------------------------------------------------------------------------------
def test_private_drop_dup_swap_and_freeze(scene: Scene) -> None:
    uid = str(scene.plant.uids[0])
    scene.plant.fault("private.drop", topic="order", uid=uid)
    scene.create(orderLinkId="a")
    assert "order" not in [topic for topic, _ in scene.heard.rows()]
    scene.plant.fault("private.dup", topic="order")
    scene.create(orderLinkId="b")
    assert [row["orderLinkId"] for _, row in scene.heard.rows("order")] == ["b", "b"]
    scene.plant.fault("private.swap", topic="order")
    scene.create(orderLinkId="c")
    scene.create(orderLinkId="d")
    assert [row["orderLinkId"] for _, row in scene.heard.rows("order")] == ["d", "c"]
    scene.plant.fault("private.freeze", seconds=1)
    scene.create(orderLinkId="e")
    assert scene.heard.rows() == []
    assert scene.heard.ask(op="ping")["op"] == "pong", "the socket lives"
    scene.plant.step(110)
    scene.works()


def test_private_delay(scene: Scene) -> None:
    scene.plant.fault("private.delay", topic="order", ms=200)
    scene.create()
    assert "order" not in [topic for topic, _ in scene.heard.rows()]
    scene.plant.step(21)
    assert [topic for topic, _ in scene.heard.rows()] == ["order"]
    scene.works()


def test_dup_exec(scene: Scene) -> None:
    scene.plant.fault("trade.dup_exec", topic="execution")
    scene.trade.order("order.create", scene.plant.market_order(qty="0.001"))
    ids = [row["execId"] for _, row in scene.heard.rows("execution")]
    assert len(ids) == 2 * len(set(ids))
    scene.works()


# -- sockets -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("stream", ["public", "private", "trade"])
@pytest.mark.parametrize("kind", ["ws.rst", "ws.close", "ws.half_open"])
def test_sockets_are_cut_or_muted_by_stream(scene: Scene, kind: str, stream: str) -> None:
    lines = {"public": scene.public, "private": scene.heard, "trade": scene.trade}
    details = scene.plant.fault(kind, stream=stream)["details"]
    assert details["clients"] == 1
    for name, line in lines.items():
        struck = name == stream
        assert line.client.gone == (struck and kind != "ws.half_open")
        if not struck:
            assert line.ask(op="ping")
    if kind == "ws.half_open":
        lines[stream].got()
        lines[stream].send(op="ping")
        assert lines[stream].got() == []
    again = {"public": lambda: scene.plant.public("tickers.BTCUSDT"), "private": lambda: scene.plant.private(*ALL),
             "trade": scene.plant.trade}[stream]()
    setattr(scene, {"public": "public", "private": "heard", "trade": "trade"}[stream], again)
    scene.works()


def test_a_close_frame_tells_its_code(scene: Scene) -> None:
    scene.plant.fault("ws.close", stream="private", code=1012)
    assert scene.heard.transport.written[-1] == bytes((0x88, 2)) + (1012).to_bytes(2, "big")


def test_stalled_pongs(scene: Scene) -> None:
    for line in (scene.public, scene.heard, scene.trade):
        scene.plant.fault("ws.stall_pong", stream=line.client.stream)
        line.got()
        line.send(op="ping")
        assert line.got() == []
        assert line.ask(op="ping")["op"] in ("ping", "pong")
    scene.works()


def test_slow_sockets(scene: Scene) -> None:
    scene.plant.fault("ws.slow", stream="trade", ms=100)
    scene.trade.got()
    scene.trade.post("order.create", scene.plant.resting())
    assert scene.trade.got() == []
    scene.plant.step(11)
    assert scene.trade.got()[0]["retCode"] == 0
    scene.heard.got()
    scene.works()


def test_refused_subscriptions(scene: Scene) -> None:
    scene.plant.fault("sub.nack", topic="wallet", stream="private")
    line = scene.plant.private()
    assert line.ask(op="subscribe", args=["wallet"])["success"] is False
    assert line.ask(op="subscribe", args=["wallet"])["success"] is True
    scene.plant.fault("sub.nack", topic="tickers.*", stream="public")
    assert scene.public.ask(op="subscribe", args=["tickers.ETHUSDT"])["success"] is False
    assert scene.public.ask(op="subscribe", args=["tickers.ETHUSDT"])["success"] is True


# -- answers to requests -----------------------------------------------------------------------------------------------
def test_a_lost_answer_and_a_lost_request(scene: Scene) -> None:
    for executed in (True, False):
        scene.plant.fault("trade.ack_drop", op="order.create", executed=executed)
        scene.trade.got()
        scene.trade.post("order.create", scene.plant.resting(orderLinkId=f"lost{executed}"))
        assert scene.trade.got() == []
        found = scene.plant.get("/v5/order/realtime", symbol="BTCUSDT", orderLinkId=f"lost{executed}")["result"]["list"]
        assert len(found) == executed
    scene.heard.got()
    scene.works()


def test_accepted_then_the_connection_drops(scene: Scene) -> None:
    scene.plant.fault("trade.accept_then_drop", op="order.create")
    scene.trade.got()
    scene.trade.post("order.create", scene.plant.resting(orderLinkId="gone"))
    assert scene.trade.got() == [] and scene.trade.client.gone
    assert [row["orderLinkId"] for _, row in scene.heard.rows("order")] == ["gone"]
    scene.trade = scene.plant.trade()
    assert scene.create(orderLinkId="gone")["retCode"] == 110072, "the first try had landed"
    scene.works()


def test_late_answers_and_fills_before_them(scene: Scene) -> None:
    for kind, ms in (("trade.ack_delay", 300), ("trade.fill_before_ack", 50)):
        scene.plant.fault(kind, op="order.create", ms=ms)
        scene.trade.got()
        scene.trade.post("order.create", scene.plant.market_order(qty="0.001"))
        assert [row["orderStatus"] for _, row in scene.heard.rows("order")] == ["Filled"]
        scene.plant.step(ms // 10 - 1)
        assert scene.trade.got() == []
        scene.plant.step()
        assert scene.trade.got()[0]["retCode"] == 0
    scene.works()


def test_answers_change_places(scene: Scene) -> None:
    scene.plant.fault("trade.reorder")
    scene.trade.got()
    scene.trade.post("order.create", scene.plant.resting(), "first")
    scene.trade.post("order.create", scene.plant.resting(), "second")
    assert [m["reqId"] for m in scene.trade.got()] == ["second", "first"]
    scene.plant.fault("trade.reorder", ms=100)
    scene.trade.post("order.create", scene.plant.resting(), "third")
    scene.plant.step(11)
    assert [m["reqId"] for m in scene.trade.got()] == ["third"], "without a next one it comes after a while"
    scene.heard.got()
    scene.works()


@pytest.mark.parametrize("code", [10006, 10016, 10019, 110007, 33004, 10003])
@pytest.mark.parametrize("channel", ["trade", "rest"])
def test_refusals_with_a_code(scene: Scene, channel: str, code: int) -> None:
    scene.plant.fault("trade.reject", op="order.create", code=code, stream=channel)
    before = scene.open_ids()
    if channel == "trade":
        told = scene.create()
    else:
        told = scene.plant.post("/v5/order/create", **scene.plant.resting())
    assert told["retCode"] == code and told["retMsg"]
    assert scene.open_ids() == before
    scene.heard.got()
    scene.works()


def test_errors_without_req_id(scene: Scene) -> None:
    scene.plant.fault("trade.err_no_reqid", executed=True)
    told = scene.create()
    assert told["retCode"] == 10016 and "reqId" not in told
    assert scene.heard.rows("order"), "it had been carried out"
    scene.works()


def test_swallowed_orders_are_acknowledged_and_never_exist(scene: Scene) -> None:
    scene.plant.fault("trade.swallow", op="order.create")
    told = scene.create(orderLinkId="ghost")
    assert told["retCode"] == 0 and told["data"]["orderId"]
    assert scene.heard.rows() == []
    assert told["data"]["orderId"] not in scene.open_ids()
    scene.works()
