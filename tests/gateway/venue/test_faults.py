"""Every knob: that it strikes, and that the next request works again. In virtual time, without sockets."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from gateway.venue import faults
from gateway.venue.fault_rules import RULES
from gateway.venue.faults import ACTIONS
from tests.gateway.venue.virtual import Line, Plant

ALL = ("order", "execution", "execution.fast", "position", "wallet")


class Scene:
    """A venue whose account 0 listens to everything and trades."""

    def __init__(self, *topics: str) -> None:
        self.plant = Plant()
        self.plant.step(30)
        self.heard = self.plant.private(*(topics or ALL))
        self.trade = self.plant.trade()
        self.public = self.plant.public("orderbook.50.BTCUSDT", "tickers.BTCUSDT")

    def create(self, **more: Any) -> dict[str, Any]:
        return self.trade.order("order.create", self.plant.resting(**more))

    def hold(self, qty: str = "0.05") -> None:
        assert self.trade.order("order.create", self.plant.market_order(qty=qty))["retCode"] == 0
        self.heard.got()

    def open_ids(self) -> set[str]:
        return {row["orderId"] for row in self.plant.get("/v5/order/realtime", symbol="BTCUSDT")["result"]["list"]}

    def works(self) -> None:
        """The venue serves: an order is created, told, seen over REST, and cancelled."""
        told = self.create()
        assert told["retCode"] == 0, told
        order_id = told["data"]["orderId"]
        assert ("order", "New") in [(topic, row.get("orderStatus")) for topic, row in self.heard.rows()]
        assert order_id in self.open_ids()
        assert self.trade.order("order.cancel", {"symbol": "BTCUSDT", "orderId": order_id})["retCode"] == 0
        assert order_id not in self.open_ids()


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


# -- matching ----------------------------------------------------------------------------------------------------------
def test_the_order_fills_while_it_is_being_cancelled(scene: Scene) -> None:
    order_id = scene.create()["data"]["orderId"]
    scene.heard.got()
    scene.plant.fault("trade.fill_on_cancel", op="order.cancel")
    told = scene.trade.order("order.cancel", {"symbol": "BTCUSDT", "orderId": order_id})
    assert told["retCode"] == 0
    rows = [row for _, row in scene.heard.rows("order")]
    assert [(r["orderStatus"], r["cancelType"], r["rejectReason"]) for r in rows] == [
        ("Filled", "UNKNOWN", "EC_NoError"), ("Filled", "CancelByUser", "EC_OrigClOrdIDDoesNotExist")]
    scene.works()


def test_partial_fills(scene: Scene) -> None:
    scene.plant.fault("trade.partial", fraction=0.4)
    scene.trade.order("order.create", scene.plant.market_order(qty="0.01"))
    row = [row for _, row in scene.heard.rows("order")][-1]
    assert (row["orderStatus"], row["cumExecQty"]) == ("Cancelled", "0.004")
    scene.trade.order("order.create", scene.plant.market_order(qty="0.01"))
    assert [row["cumExecQty"] for _, row in scene.heard.rows("order")] == ["0.01"]


def test_slippage(scene: Scene) -> None:
    ask = float(scene.plant.price("BTCUSDT", "Buy"))
    scene.plant.fault("trade.slip", ticks=50)
    scene.trade.order("order.create", scene.plant.market_order(qty="0.001"))
    slipped = float(scene.heard.rows("execution")[0][1]["execPrice"])
    scene.trade.order("order.create", scene.plant.market_order(qty="0.001"))
    usual = float(scene.heard.rows("execution")[0][1]["execPrice"])
    assert slipped == pytest.approx(ask + 50 * 0.1) and usual == pytest.approx(ask)


def test_vacuum(scene: Scene) -> None:
    scene.plant.fault("trade.vacuum", symbol="BTCUSDT", seconds=1)
    scene.trade.order("order.create", scene.plant.market_order())
    assert [(r["orderStatus"], r["cumExecQty"]) for _, r in scene.heard.rows("order")] == [("Cancelled", "0")]
    scene.plant.step(101)
    scene.trade.order("order.create", scene.plant.market_order())
    assert [r["orderStatus"] for _, r in scene.heard.rows("order")] == ["Filled"]


# -- accounts ----------------------------------------------------------------------------------------------------------
def test_liquidation_and_adl(scene: Scene) -> None:
    with pytest.raises(ValueError, match="no such position"):
        scene.plant.fault("acct.liq", symbol="BTCUSDT")
    scene.hold()
    rests = scene.create()["data"]["orderId"]
    scene.plant.fault("acct.adl", symbol="BTCUSDT", fraction=0.4)
    rows = scene.heard.rows()
    adl = next(row for topic, row in rows if topic == "execution")
    assert (adl["execType"], adl["execQty"], adl["execFee"]) == ("AdlTrade", "0.02", "0")
    assert next(r for t, r in rows if t == "order" and r["orderId"] == rests)["cancelType"] in ("UNKNOWN", "CancelAllBeforeAdl")
    assert next(r for t, r in reversed(rows) if t == "position")["size"] == "0.03"
    scene.plant.fault("acct.liq", symbol="BTCUSDT", uid=str(scene.plant.uids[0]))
    rows = scene.heard.rows()
    assert "BustTrade" in [row["execType"] for topic, row in rows if topic == "execution"]
    assert next(r for t, r in reversed(rows) if t == "position")["size"] == "0"
    scene.works()


def test_things_done_elsewhere(scene: Scene) -> None:
    scene.plant.fault("acct.ext_pos", symbol="BTCUSDT", side="Sell", qty="0.01")
    rows = scene.heard.rows()
    assert next(r for t, r in reversed(rows) if t == "position")["side"] == "Sell"
    made = scene.plant.fault("acct.ext_order", symbol="BTCUSDT", qty="0.01", price=scene.plant.price("BTCUSDT", "Sell", -2))
    assert made["details"]["order_id"] in scene.open_ids()
    cancelled = scene.plant.fault("acct.ext_cancel", symbol="BTCUSDT")["details"]["cancelled"]
    assert cancelled == 1 and scene.open_ids() == set()
    assert "Cancelled" in [r["orderStatus"] for t, r in scene.heard.rows() if t == "order"]
    scene.plant.fault("acct.ext_lev", symbol="BTCUSDT", leverage="7")
    assert scene.plant.get("/v5/position/list", symbol="BTCUSDT")["result"]["list"][0]["leverage"] == "7"
    with pytest.raises(ValueError, match="refuses"):
        scene.plant.fault("acct.ext_mode", symbol="BTCUSDT", mode=3)
    scene.plant.fault("acct.ext_pos", symbol="BTCUSDT", side="Buy", qty="0.01")
    scene.plant.fault("acct.ext_mode", symbol="BTCUSDT", mode=3)
    assert len(scene.plant.get("/v5/position/list", symbol="BTCUSDT")["result"]["list"]) == 2
    scene.plant.fault("acct.ext_mode", symbol="BTCUSDT", mode=0)
    scene.heard.got()
    scene.works()


def test_money_comes_and_goes(scene: Scene) -> None:
    scene.plant.fault("acct.deposit", usdt="250.5")
    assert scene.heard.rows("wallet")[0][1]["totalWalletBalance"] == "10250.5"
    scene.plant.fault("acct.margin", available="1")
    assert scene.heard.rows("wallet")[0][1]["totalAvailableBalance"] == "1"
    assert scene.create()["retCode"] in (110007, 110012)
    scene.plant.fault("acct.deposit", usdt="1000")
    scene.heard.got()
    scene.works()


def test_funding(scene: Scene) -> None:
    scene.hold()
    scene.plant.fault("acct.funding", symbol="BTCUSDT", rate="-0.001")
    row = next(row for topic, row in scene.heard.rows() if topic == "execution")
    assert row["execType"] == "Funding" and float(row["execFee"]) < 0
    scene.works()


def test_reduce_only_symbols_and_delisting(scene: Scene) -> None:
    scene.hold("0.01")
    scene.plant.fault("acct.reduce_only", symbol="BTCUSDT")
    assert scene.create()["retCode"] != 0
    assert scene.trade.order("order.create", scene.plant.market_order(side="Sell", qty="0.005", reduceOnly=True))["retCode"] == 0
    scene.plant.fault("acct.reduce_only", symbol="BTCUSDT", on=False)
    scene.heard.got()
    scene.works()
    rests = scene.create()["data"]["orderId"]
    scene.heard.got()
    scene.plant.fault("acct.delist", symbol="BTCUSDT", final=True)
    rows = scene.heard.rows()
    orders = [row for topic, row in rows if topic == "order"]
    assert [(r["orderId"] == rests, r["orderStatus"], r["createType"]) for r in orders] == [
        (True, "Cancelled", "CreateByUser"), (False, "Filled", "CreateBySettle"),
    ]
    assert [r["execType"] for topic, r in rows if topic == "execution"] == ["Settle"]
    assert [r["size"] for topic, r in rows if topic == "position"][-1] == "0"
    assert scene.create()["retCode"] != 0
    assert scene.trade.order("order.create", scene.plant.resting("ETHUSDT", qty="0.1"))["retCode"] == 0, "others go on"


# -- REST --------------------------------------------------------------------------------------------------------------
def test_http_faults(scene: Scene) -> None:
    scene.plant.fault("rest.403", op="order.create")
    scene.plant.fault("rest.5xx", op="order.create", status=503, executed=True)
    scene.plant.fault("rest.html", op="order.create")
    seen = [scene.plant.rest("POST", "/v5/order/create", **scene.plant.resting()) for _ in range(4)]
    assert [reply.status for reply in seen] == [403, 503, 200, 200]
    assert seen[2].body is not None and seen[2].body.startswith(b"<html>")
    assert seen[3].body is not None and json.loads(seen[3].body)["retCode"] == 0
    assert len(scene.open_ids()) == 2, "the 503 had been carried out"
    scene.plant.fault("rest.delay", op="order.realtime", ms=70)
    assert scene.plant.rest("GET", "/v5/order/realtime", symbol="BTCUSDT").delay_ms == 70
    scene.plant.fault("trade.ack_drop", op="order.create")
    assert scene.plant.rest("POST", "/v5/order/create", **scene.plant.resting()).body is None
    assert len(scene.open_ids()) == 3
    scene.heard.got()
    scene.works()


def test_short_pages_history_that_lags_and_closed_orders_that_are_gone(scene: Scene) -> None:
    for _ in range(3):
        scene.works()
    closed = {"symbol": "BTCUSDT", "openOnly": 1}
    assert len(scene.plant.get("/v5/order/realtime", **closed)["result"]["list"]) == 3
    number = scene.plant.fault("rest.page", rows=1)["details"]["rule"]
    assert len(scene.plant.get("/v5/order/history", symbol="BTCUSDT")["result"]["list"]) == 1
    scene.plant.venue.faults.rules.disarm(number)
    number = scene.plant.fault("rest.lag", behind_s=10)["details"]["rule"]
    assert scene.plant.get("/v5/order/history", symbol="BTCUSDT")["result"]["list"] == []
    scene.plant.venue.faults.rules.disarm(number)
    assert len(scene.plant.get("/v5/order/history", symbol="BTCUSDT")["result"]["list"]) == 3
    scene.plant.fault("rest.wipe_closed")
    assert scene.plant.get("/v5/order/realtime", **closed)["result"]["list"] == []
    scene.plant.step()
    scene.works()
    assert len(scene.plant.get("/v5/order/realtime", **closed)["result"]["list"]) == 1


def test_rate_limits_shrink(scene: Scene) -> None:
    number = scene.plant.fault("rate", per_s=2)["details"]["rule"]
    scene.plant.step(101)
    told = [scene.create() for _ in range(3)]
    assert [t["retCode"] for t in told] == [0, 0, 10006]
    assert (told[2]["header"]["X-Bapi-Limit"], told[2]["header"]["X-Bapi-Limit-Status"]) == ("2", "0")
    scene.plant.venue.faults.rules.disarm(number)
    scene.plant.step(101)
    scene.heard.got()
    scene.works()


# -- the whole venue ---------------------------------------------------------------------------------------------------
def test_clock_skew_and_step(scene: Scene) -> None:
    scene.plant.fault("clock.skew", ms=-3000, seconds=1)
    real = scene.plant.now_ms
    scene.trade.got()
    scene.trade.send(reqId="s", header={"X-BAPI-TIMESTAMP": str(real)}, op="order.create",
                     args=[{"category": "linear", **scene.plant.resting()}])
    assert scene.trade.got()[0]["retCode"] == 10002, "our clock is more than a second ahead of the venue's"
    scene.plant.step(2000)
    assert scene.plant.clock.skew_ms == 0
    scene.plant.fault("clock.step", ms=1500)
    assert scene.plant.clock.now_ms() == scene.plant.now_ms + 1500
    scene.plant.step(2)
    scene.heard.got()
    scene.works()


def test_restart(scene: Scene) -> None:
    scene.hold("0.01")
    scene.create(orderLinkId="stays")
    scene.plant.fault("venue.restart", seconds=1)
    assert all(line.client.gone for line in (scene.public, scene.heard, scene.trade))
    assert scene.plant.rest("GET", "/v5/position/list", symbol="BTCUSDT").status == 502
    assert scene.plant.venue.server.rules.ask("ws.refuse", stream="private"), "new sockets are refused"
    scene.plant.step(101)
    assert scene.plant.venue.server.rules.ask("ws.refuse", stream="private") is None
    assert scene.plant.rest("GET", "/v5/position/list", symbol="BTCUSDT").status == 200
    scene.public = scene.plant.public()
    scene.public.send(op="subscribe", args=["orderbook.50.BTCUSDT"])
    assert next(m for m in scene.public.got() if "data" in m)["data"]["u"] == 1
    rows = scene.plant.get("/v5/order/realtime", symbol="BTCUSDT")["result"]["list"]
    assert [row["orderLinkId"] for row in rows] == ["stays"], "orders and positions survive"
    assert scene.plant.get("/v5/order/realtime", symbol="BTCUSDT", openOnly=1)["result"]["list"] == []
    scene.heard, scene.trade = scene.plant.private(*ALL), scene.plant.trade()
    scene.works()


# -- orders of faults --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("body", [
    {"kind": "x"}, {}, None, [], {"kind": ["x"]}, {"kind": "feed.drop", "nonsense": 1},
    {"kind": "acct.liq", "uid": "7", "symbol": "BTCUSDT"}, {"kind": "acct.liq", "symbol": "NOPE"},
    {"kind": "acct.ext_order", "symbol": "BTCUSDT", "side": "Long", "qty": "1"},
    {"kind": "acct.ext_order", "symbol": "BTCUSDT", "qty": "x"},
    {"kind": "acct.ext_order", "symbol": "BTCUSDT", "qty": "0.0001"},
    {"kind": "acct.deposit", "usdt": "much"}, {"kind": "acct.deposit", "usdt": "-99999999"},
    {"kind": "feed.snapshot", "symbol": "NOPE"}, {"kind": "feed.drop", "topic": ["a"]}, {"kind": "ws.close", "code": "x"},
    {"kind": "acct.ext_lev", "symbol": "BTCUSDT", "leverage": "1000"}, {"kind": "acct.ext_mode", "mode": 7},
    {"kind": "acct.ext_cancel", "filter": "all"}, {"kind": "acct.funding", "symbol": "BTCUSDT", "rate": "x"},
    {"kind": "feed.drop", "count": 1.5}, {"kind": "feed.drop", "count": None},
])
def test_wrong_orders_are_refused_with_a_reason(scene: Scene, body: Any) -> None:
    with pytest.raises(ValueError, match=r"\w+"):
        scene.plant.venue.faults.order(body, scene.plant.now_ms)
    scene.works()


def test_every_knob_has_a_test() -> None:
    """The table is the declaration; a knob that no test names is not proven."""
    here = Path(__file__)
    files = (here.stem, "test_hub", "test_scenarios", "test_private_server")
    text = "".join((here.parent / f"{name}.py").read_text() for name in files)
    knobs = set(Plant().venue.faults.knobs)
    assert knobs >= set(RULES) | set(ACTIONS)
    assert not {kind for kind in knobs if f'"{kind}"' not in text}


def test_the_readme_names_every_knob() -> None:
    text = (Path(faults.__file__).parent / "README.md").read_text()
    assert not {kind for kind in Plant().venue.faults.knobs if f"`{kind}`" not in text}
