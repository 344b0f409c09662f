"""Every knob of what the venue does (matching, accounts, REST, the whole of it): that it strikes, and that the next request
works again. In virtual time, without sockets; knobs of what travels: `test_fault_wire.py`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.venue import faults
from gateway.venue.fault_rules import RULES
from gateway.venue.faults import ACTIONS
from tests.gateway.venue.fault_scene import ALL, Scene
from tests.gateway.venue.virtual import Plant


@pytest.fixture
def scene() -> Scene:
    return Scene()


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
    files = (here.stem, "test_fault_wire", "test_hub", "test_scenarios", "test_private_server")
    text = "".join((here.parent / f"{name}.py").read_text() for name in files)
    knobs = set(Plant().venue.faults.knobs)
    assert knobs >= set(RULES) | set(ACTIONS)
    assert not {kind for kind in knobs if f'"{kind}"' not in text}


def test_the_readme_names_every_knob() -> None:
    text = (Path(faults.__file__).parent / "README.md").read_text()
    assert not {kind for kind in Plant().venue.faults.knobs if f"`{kind}`" not in text}
