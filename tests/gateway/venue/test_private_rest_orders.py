"""Order requests and queries on a whole private side in virtual time."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from core.sim.exchange_types import OrderUpdate
from gateway.venue.rate_limits import RateLimits
from gateway.venue.synthetic_feed import SyntheticFeed
from tests.gateway.venue.private_client import Client
from tests.gateway.venue.private_world import BTC, PrivateWorld
from tests.gateway.venue.running import START_MS

LINEAR = {"category": "linear"}
ETH = "ETHUSDT"


@pytest.fixture
def world() -> PrivateWorld:
    return PrivateWorld()


@pytest.fixture
def client(world: PrivateWorld) -> Client:
    return world.client()


def limit(world: PrivateWorld, factor: float = 0.99, **changes: Any) -> dict[str, Any]:
    body = {**LINEAR, "symbol": BTC, "side": "Buy", "orderType": "Limit", "qty": "0.01"}
    body |= {"price": world.price(factor, changes.get("symbol", BTC))}
    return {name: value for name, value in (body | changes).items() if value is not None}


def good(answer: dict[str, Any]) -> dict[str, Any]:
    assert answer["retCode"] == 0, answer
    result: dict[str, Any] = answer["result"]
    return result


def refused(answer: dict[str, Any]) -> tuple[int, str]:
    return answer["retCode"], answer["retMsg"]


def open_ids(client: Client, **more: Any) -> list[str]:
    return [row["orderId"] for row in good(client.get("order/realtime", **LINEAR, settleCoin="USDT", **more))["list"]]


# -- form ----------------------------------------------------------------------------------------------------------------
TOLERANT = {"orderType": "Market", "slippageToleranceType": "TickSize"}
MISSING = "params error: Missing some parameters that must be filled in, "


@pytest.mark.parametrize(("changes", "text"), [
    ({"category": "spot"}, "Illegal category"), ({"category": None}, "Illegal category"),
    ({"symbol": None}, MISSING + "symbol"),
    ({"symbol": 5}, "params error: symbol invalid"), ({"side": None}, MISSING + "side"),
    ({"side": "buy"}, "Side invalid"),
    ({"side": 1}, "Side invalid"), ({"orderType": "Stop"}, "OrderType invalid"),
    ({"orderType": None}, MISSING + "orderType"),
    ({"qty": None}, MISSING + "qty"), ({"qty": 0.01}, "Qty invalid"), ({"qty": "0"}, "Qty invalid"),
    ({"qty": "0.0001"}, "Qty invalid"), ({"qty": "abc"}, "Qty invalid"), ({"price": None}, MISSING + "price"),
    ({"price": 65000}, "Price invalid"), ({"price": "65000.05"}, "Price invalid"), ({"price": "0"}, "Price invalid"),
    ({"timeInForce": "GTX"}, "TimeInForce invalid"), ({"reduceOnly": "true"}, "params error: reduceOnly invalid"),
    ({"positionIdx": 3}, "position idx not match position mode"),
    ({"positionIdx": "0"}, "position idx not match position mode"),
    ({"positionIdx": 1}, "position idx not match position mode"),
    ({"triggerPrice": "60000"}, "TriggerDirection invalid"),
    ({"triggerBy": "Fair", "triggerPrice": "60000", "triggerDirection": 2}, "params error: triggerBy invalid"),
    ({"smpType": "Cancel"}, "params error: smpType invalid"),
    ({"tpslMode": "Half"}, "params error: tpslMode invalid"),
    ({"takeProfit": "70000", "tpOrderType": "Limit"}, "params error: tpLimitPrice invalid"),
    ({"takeProfit": "70000", "tpOrderType": "Limit", "tpLimitPrice": "70001"}, "params error: tpOrderType invalid"),
    ({"orderLinkId": "x" * 37}, "params error: orderLinkId longer than 36"),
    ({"orderLinkId": "x y"}, "params error: orderLinkId invalid"),
    ({"slippageToleranceType": "TickSize", "slippageTolerance": "5"}, "params error: slippageTolerance invalid"),
    ({"slippageToleranceType": "TickSize"}, MISSING + "slippageTolerance"),
    ({**TOLERANT, "slippageToleranceType": "Percent", "slippageTolerance": "10.01"}, "params error: slippageTolerance invalid"),
    ({**TOLERANT, "slippageTolerance": "1.5"}, "params error: slippageTolerance invalid"),
])
def test_bad_create_requests(world: PrivateWorld, client: Client, changes: dict[str, Any], text: str) -> None:
    assert refused(client.post("order/create", **limit(world, **changes) if "symbol" not in changes else
                               {k: v for k, v in (limit(world) | changes).items() if v is not None})) == (10001, text)
    assert open_ids(client) == []


def test_unknown_fields_are_ignored(world: PrivateWorld, client: Client) -> None:
    """isLeverage and orderFilter belong to spot, the rest to nobody."""
    good(client.post("order/create", **limit(world, isLeverage=1, orderFilter="Order", marketUnit="baseCoin", moon=[1])))


def test_defaults_of_a_row(world: PrivateWorld, client: Client) -> None:
    made = good(client.post("order/create", **limit(world)))
    row = good(client.get("order/realtime", **LINEAR, symbol=BTC))["list"][0]
    assert row["orderId"] == made["orderId"] and made["orderLinkId"] == ""
    assert (row["timeInForce"], row["smpType"], row["positionIdx"], row["reduceOnly"]) == ("GTC", "None", 0, False)


@pytest.mark.parametrize("tif", ["GTC", "IOC", "FOK", "PostOnly"])
def test_time_in_force_travels(world: PrivateWorld, client: Client, tif: str) -> None:
    made = good(client.post("order/create", **limit(world, timeInForce=tif)))
    rows = good(client.get("order/realtime", **LINEAR, symbol=BTC, orderId=made["orderId"]))["list"]
    assert [row["timeInForce"] for row in rows] == [tif]
    assert rows[0]["orderStatus"] == ("New" if tif in ("GTC", "PostOnly") else "Cancelled")


def test_post_only_that_would_take_is_cancelled_not_refused(world: PrivateWorld, client: Client) -> None:
    made = good(client.post("order/create", **limit(world, 1.001, timeInForce="PostOnly")))
    row = good(client.get("order/history", **LINEAR, orderId=made["orderId"]))["list"][0]
    assert (row["orderStatus"], row["cancelType"], row["rejectReason"]) == (
        "Cancelled", "UNKNOWN", "EC_PostOnlyWillTakeLiquidity",
    )


def test_a_price_beyond_the_limit_is_moved_unless_told_otherwise(world: PrivateWorld, client: Client) -> None:
    highest = world.venue.price_limit({"category": "linear", "symbol": BTC})["buyLmt"]
    made = good(client.post("order/create", **limit(world, 1.3, triggerPrice=world.price(1.2), triggerDirection=1)))
    assert made["orderId"]
    made = good(client.post("order/create", **limit(world, 1.3)))
    row = good(client.get("order/realtime", **LINEAR, orderId=made["orderId"]))["list"][0]
    assert row["price"] == highest
    assert good(client.get("account/user-setting-config")) == {"lpaSpot": False, "lpaPerp": False}
    good(client.post("account/set-limit-px-action", **LINEAR, modifyEnable=False))
    assert good(client.get("account/user-setting-config")) == {"lpaSpot": False, "lpaPerp": True}
    assert client.post("order/create", **limit(world, 1.3))["retCode"] == 110003


# -- amend and cancel ----------------------------------------------------------------------------------------------------
def test_amend_changes_only_what_is_given(world: PrivateWorld, client: Client) -> None:
    made = good(client.post("order/create", **limit(world, takeProfit=world.price(1.1), stopLoss=world.price(0.9))))
    who = {**LINEAR, "symbol": BTC, "orderId": made["orderId"]}
    before = good(client.get("order/realtime", **who))["list"][0]
    good(client.post("order/amend", **who, qty="0.02"))
    after = good(client.get("order/realtime", **who))["list"][0]
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"qty", "leavesQty", "leavesValue"} or changed == {"qty", "leavesQty", "leavesValue", "updatedTime"}
    good(client.post("order/amend", **who, takeProfit="0"))
    assert good(client.get("order/realtime", **who))["list"][0]["takeProfit"] == "0.00"
    assert refused(client.post("order/amend", **who, qty="0.02")) == (10001, "order not modified")
    assert refused(client.post("order/amend", **who, qty="0")) == (10001, "Qty invalid")
    assert refused(client.post("order/amend", **who, price=5)) == (10001, "Price invalid")
    assert refused(client.post("order/amend", **LINEAR, symbol=BTC, qty="1")) == (10001, MISSING + "orderId or orderLinkId")


def test_the_order_id_wins_over_the_link_id(world: PrivateWorld, client: Client) -> None:
    first = good(client.post("order/create", **limit(world, orderLinkId="first")))["orderId"]
    good(client.post("order/create", **limit(world, orderLinkId="second")))
    good(client.post("order/cancel", **LINEAR, symbol=BTC, orderId=first, orderLinkId="second"))
    rows = good(client.get("order/realtime", **LINEAR, symbol=BTC))["list"]
    assert [row["orderLinkId"] for row in rows] == ["second"]
    assert client.post("order/cancel", **LINEAR, symbol=ETH, orderLinkId="second")["retCode"] == 110001


def test_cancel_all_by_kind(world: PrivateWorld, client: Client) -> None:
    good(client.post("order/create", **limit(world)))
    good(client.post("order/create", **limit(world, symbol=ETH, qty="0.1")))
    good(client.post("order/create", **limit(world, triggerPrice=world.price(0.9), triggerDirection=2)))
    assert refused(client.post("order/cancel-all", **LINEAR)) == (10001, MISSING + "symbol, baseCoin or settleCoin")
    done = good(client.post("order/cancel-all", **LINEAR, symbol=BTC, orderFilter="Order"))
    assert len(done["list"]) == 1 and done["success"] == "1"
    assert len(open_ids(client)) == 2
    assert len(good(client.post("order/cancel-all", **LINEAR, baseCoin="BTC"))["list"]) == 1
    assert len(good(client.post("order/cancel-all", **LINEAR, baseCoin="DOGE"))["list"]) == 0, "never traded"
    assert len(good(client.post("order/cancel-all", **LINEAR, settleCoin="USDC"))["list"]) == 0
    assert len(good(client.post("order/cancel-all", **LINEAR, settleCoin="USDT"))["list"]) == 1
    assert open_ids(client) == []


# -- batches -------------------------------------------------------------------------------------------------------------
def test_batch_rows_and_outcomes_are_parallel(world: PrivateWorld, client: Client) -> None:
    twice = limit(world, orderLinkId="a")
    items = [twice, limit(world, side="x", orderLinkId="b"), twice, {}, limit(world)]
    answer = client.post("order/create-batch", **LINEAR, request=items)
    rows, outcomes = good(answer)["list"], answer["retExtInfo"]["list"]
    assert [o["code"] for o in outcomes] == [0, 10001, 110072, 10001, 0]
    assert [bool(row["orderId"]) for row in rows] == [True, False, False, False, True]
    assert [row["orderLinkId"] for row in rows] == ["a", "b", "a", "", ""]
    assert all(set(row) == {"category", "symbol", "orderId", "orderLinkId", "createAt"} for row in rows)
    assert rows[0]["createAt"] == str(client.now_ns // 10**6) and rows[1]["createAt"] == ""


@pytest.mark.parametrize(("request_", "text"), [
    (None, MISSING + "request"), ([], MISSING + "request"), ("x", "params error: request invalid"),
    ([1], "params error: request invalid"), ([{}] * 21, "params error: the number of orders exceeds 20"),
])
def test_bad_batches(client: Client, request_: Any, text: str) -> None:
    assert refused(client.post("order/create-batch", **LINEAR, request=request_)) == (10001, text)


def test_the_tail_of_a_batch_beyond_the_limit_fails() -> None:
    world = PrivateWorld(limits=RateLimits())
    client = world.client()
    answer = client.post("order/create-batch", **LINEAR, request=[limit(world)] * 14)
    assert [o["code"] for o in answer["retExtInfo"]["list"]] == [0] * 10 + [10006] * 4
    assert len(open_ids(client)) == 10
    single = client.post("order/create", **limit(world))
    assert single["retCode"] == 0, "single calls have a budget of their own"
    assert client.post("order/cancel-batch", **LINEAR, request=[{"symbol": BTC, "orderLinkId": "x"}])["retCode"] == 0


def test_conditional_orders_cannot_be_amended_in_a_batch(world: PrivateWorld, client: Client) -> None:
    stop = limit(world, triggerPrice=world.price(0.9), triggerDirection=2, orderLinkId="stop")
    good(client.post("order/create", **stop))
    item = {"symbol": BTC, "orderLinkId": "stop", "qty": "0.02"}
    answer = client.post("order/amend-batch", **LINEAR, request=[item])
    assert answer["retExtInfo"]["list"] == [{"code": 10001, "msg": "conditional orders cannot be amended in a batch"}]
    good(client.post("order/amend", **LINEAR, **item))


# -- queries -------------------------------------------------------------------------------------------------------------
def test_realtime_needs_a_scope_and_knows_the_recently_closed(world: PrivateWorld, client: Client) -> None:
    assert refused(client.get("order/realtime", **LINEAR)) == (10001, MISSING + "symbol, baseCoin or settleCoin")
    made = good(client.post("order/create", **limit(world, orderLinkId="gone")))["orderId"]
    good(client.post("order/create", **limit(world)))
    good(client.post("order/cancel", **LINEAR, symbol=BTC, orderId=made))
    assert made not in open_ids(client) and open_ids(client, openOnly=1) == [made]
    by_link = good(client.get("order/realtime", **LINEAR, orderLinkId="gone"))["list"]
    assert [row["orderStatus"] for row in by_link] == ["Cancelled"]
    world.venue.closed_wiped_ns = world.now_ns + 1
    assert open_ids(client, openOnly=1) == []
    assert good(client.get("order/realtime", **LINEAR, orderLinkId="gone"))["list"] == []
    assert good(client.get("order/history", **LINEAR, orderLinkId="gone"))["list"] != []


def test_history_forgets_ends_without_a_fill_after_a_day(world: PrivateWorld, client: Client) -> None:
    made = good(client.post("order/create", **limit(world)))["orderId"]
    good(client.post("order/cancel", **LINEAR, symbol=BTC, orderId=made))
    filled = good(client.post("order/create", **limit(world, 1.001)))["orderId"]
    ids = {row["orderId"] for row in good(client.get("order/history", **LINEAR))["list"]}
    assert ids == {made, filled}
    world.link.now_ns += 86_400 * 10**9
    client.now_ns += 86_400 * 10**9
    assert [row["orderId"] for row in good(client.get("order/history", **LINEAR))["list"]] == [filled]
    client.now_ns += 7 * 86_400 * 10**9
    assert good(client.get("order/history", **LINEAR))["list"] == [], "outside of the seven days"
    assert len(good(client.get("order/history", **LINEAR, orderId=filled))["list"]) == 1


def test_history_that_lags_and_short_pages(world: PrivateWorld, client: Client) -> None:
    for _ in range(5):
        good(client.post("order/create", **limit(world, 1.001, qty="0.001")))
    world.faults.arm("rest.lag", behind_s=5.0)
    assert good(client.get("order/history", **LINEAR))["list"] == []
    assert good(client.get("execution/list", **LINEAR))["list"] == []
    world.run(6.0)
    client.now_ns = world.now_ns
    assert len(good(client.get("order/history", **LINEAR))["list"]) == 5
    world.faults.arm("rest.page", rows=2, op="execution.list")
    seen, cursor = [], ""
    while True:
        found = good(client.get("execution/list", **LINEAR, limit=50, cursor=cursor))
        if not found["list"]:
            break
        assert len(found["list"]) <= 2
        seen += [row["execId"] for row in found["list"]]
        cursor = found["nextPageCursor"]
    assert len(seen) == len(set(seen)) >= 5


def test_executions_by_kind_order_and_window(world: PrivateWorld, client: Client) -> None:
    made = good(client.post("order/create", **limit(world, 1.001, orderLinkId="mine")))["orderId"]
    world.run(0.1)
    client.now_ns = world.now_ns
    good(client.post("order/create", **limit(world, 1.001, symbol=ETH, qty="0.1")))
    rows = good(client.get("execution/list", **LINEAR))["list"]
    times = [int(row["execTime"]) for row in rows]
    assert times == sorted(times, reverse=True) and {row["symbol"] for row in rows} == {BTC, ETH}
    for query in ({"orderId": made}, {"orderLinkId": "mine"}, {"symbol": BTC}, {"baseCoin": "BTC"}):
        assert {row["orderId"] for row in good(client.get("execution/list", **LINEAR, **query))["list"]} == {made}
    assert good(client.get("execution/list", **LINEAR, execType="Funding"))["list"] == []
    assert good(client.get("execution/list", **LINEAR, endTime=min(times) - 1))["list"] == []
    assert client.get("execution/list", **LINEAR, execType="Gift")["retCode"] == 10001


def test_positions_with_symbol_and_with_coin(world: PrivateWorld, client: Client) -> None:
    assert refused(client.get("position/list", **LINEAR)) == (10001, MISSING + "symbol, baseCoin or settleCoin")
    flat = good(client.get("position/list", **LINEAR, symbol=BTC))["list"]
    assert [(row["side"], row["size"], row["positionIdx"]) for row in flat] == [("", "0", 0)]
    assert good(client.get("position/list", **LINEAR, settleCoin="USDT"))["list"] == []
    good(client.post("position/switch-mode", **LINEAR, coin="USDT", mode=3))
    assert [row["positionIdx"] for row in good(client.get("position/list", **LINEAR, symbol=BTC))["list"]] == [1, 2]
    for side, idx in (("Buy", 1), ("Sell", 2)):
        good(client.post("order/create", **limit(world, orderType="Market", price=None, side=side, positionIdx=idx)))
    rows = good(client.get("position/list", **LINEAR, settleCoin="USDT"))["list"]
    assert {(row["positionIdx"], row["side"]) for row in rows} == {(1, "Buy"), (2, "Sell")}


def test_positions_page_to_the_end(world: PrivateWorld, client: Client) -> None:
    for symbol, qty in ((BTC, "0.01"), (ETH, "0.1"), ("SOLUSDT", "1"), ("XRPUSDT", "50")):
        good(client.post("order/create", **limit(world, orderType="Market", price=None, symbol=symbol, qty=qty)))
    seen, cursor = [], ""
    for _ in range(9):
        found = good(client.get("position/list", **LINEAR, settleCoin="USDT", limit=1, cursor=cursor))
        if not found["list"]:
            break
        seen += [row["symbol"] for row in found["list"]]
        cursor = found["nextPageCursor"]
    assert sorted(seen) == sorted([BTC, ETH, "SOLUSDT", "XRPUSDT"])


def test_the_log_explains_the_wallet_to_the_last_digit(world: PrivateWorld, client: Client) -> None:
    """Rows of the log, newest first: each cash balance is the one before plus the change, the newest is the wallet's."""
    for n in range(12):
        side = "Buy" if n % 3 else "Sell"
        good(client.post("order/create", **limit(world, orderType="Market", price=None, side=side, qty=f"0.0{n % 4 + 1}")))
        world.run(0.3)
    world.exchange.force_liquidate(world.now_ns, client.key.uid, BTC)
    client.now_ns = world.now_ns
    rows: list[dict[str, Any]] = []
    cursor = ""
    while True:
        found = good(client.get("account/transaction-log", category="linear", limit=4, cursor=cursor))
        if not found["list"]:
            break
        rows += found["list"]
        cursor = found["nextPageCursor"]
    for newer, older in pairwise(rows):
        assert Decimal(newer["cashBalance"]) == Decimal(older["cashBalance"]) + Decimal(newer["change"])
    for row in rows:
        parts = Decimal(row["cashFlow"]) + Decimal(row["funding"] or 0) - Decimal(row["fee"])
        assert Decimal(row["change"]) == parts
    wallet = good(client.get("account/wallet-balance", accountType="UNIFIED"))["list"][0]
    assert rows[0]["cashBalance"] == wallet["coin"][0]["walletBalance"] == wallet["totalWalletBalance"]
    assert rows[0]["size"] == "0"
    assert {row["tradeId"] for row in rows} == {
        row["execId"] for row in good(client.get("execution/list", **LINEAR, limit=100))["list"]
    }


@pytest.mark.parametrize(("side", "sign"), [("Buy", 1), ("Sell", -1)])
def test_funding_is_told_alike_everywhere(side: str, sign: int) -> None:
    """Execution, ledger, wallet and public funding history agree on one settlement."""
    span_ms = 8 * 3_600_000
    instant = (START_MS // span_ms + 1) * span_ms
    world = PrivateWorld(start_ms=instant - 4_000)
    client = world.client()
    good(client.post("order/create", **limit(world, orderType="Market", price=None, side=side, qty="0.5")))
    before = Decimal(good(client.get("account/wallet-balance", accountType="UNIFIED"))["list"][0]["totalWalletBalance"])
    world.run(5.0)
    client.now_ns = world.now_ns
    fill = good(client.get("execution/list", **LINEAR, execType="Funding"))["list"]
    assert len(fill) == 1
    assert (fill[0]["side"], fill[0]["orderType"], fill[0]["orderQty"], fill[0]["execQty"]) == (side, "UNKNOWN", "0", "0.5")
    answers = SyntheticFeed(world.market).answers()
    settled = answers["funding/history"]({"category": "linear", "symbol": BTC})["list"][0]
    assert settled["fundingRateTimestamp"] == str(instant)
    assert Decimal(settled["fundingRate"]) == Decimal(fill[0]["feeRate"])
    paid = Decimal(fill[0]["execFee"])
    assert paid == pytest.approx(sign * Decimal(fill[0]["execValue"]) * Decimal(fill[0]["feeRate"]), abs=Decimal("1e-8"))
    row = good(client.get("account/transaction-log", type="SETTLEMENT"))["list"]
    assert len(row) == 1
    assert (row[0]["tradeId"], row[0]["side"], row[0]["qty"], row[0]["cashFlow"]) == (fill[0]["execId"], side, "0.5", "0")
    assert Decimal(row[0]["funding"]) == Decimal(row[0]["change"]) == -paid
    after = Decimal(good(client.get("account/wallet-balance", accountType="UNIFIED"))["list"][0]["totalWalletBalance"])
    assert after == before - paid
    assert good(client.get("position/list", **LINEAR, symbol=BTC))["list"][0]["size"] == "0.5", "funding moves no position"


def test_closed_pnl_is_what_the_log_booked(world: PrivateWorld, client: Client) -> None:
    good(client.post("order/create", **limit(world, orderType="Market", price=None, qty="0.03")))
    world.run(1.0)
    selling = limit(world, orderType="Market", price=None, side="Sell", qty="0.03")
    closing = good(client.post("order/create", **selling))["orderId"]
    client.now_ns = world.now_ns
    closed = good(client.get("position/closed-pnl", **LINEAR, symbol=BTC))["list"]
    assert [row["orderId"] for row in closed] == [closing]
    changes = sum(Decimal(row["change"]) for row in good(client.get("account/transaction-log"))["list"])
    assert Decimal(closed[0]["closedPnl"]) == changes, "opening and closing fee are in the result"
    exit_value = Decimal(closed[0]["cumExitValue"]) - Decimal(closed[0]["cumEntryValue"])
    fees = Decimal(closed[0]["openFee"]) + Decimal(closed[0]["closeFee"])
    assert Decimal(closed[0]["closedPnl"]) == exit_value - fees


def test_accounts_do_not_see_each_other(world: PrivateWorld, client: Client) -> None:
    other = world.client(1)
    made = good(client.post("order/create", **limit(world, orderLinkId="same")))["orderId"]
    good(other.post("order/create", **limit(world, orderLinkId="same")))
    assert made not in open_ids(other)
    assert other.post("order/cancel", **LINEAR, symbol=BTC, orderId=made)["retCode"] == 110001
    assert made in open_ids(client)


def test_what_happened_is_there_for_the_streams_when_the_reply_leaves(world: PrivateWorld, client: Client) -> None:
    world.events.clear()
    made = good(client.post("order/create", **limit(world)))["orderId"]
    told = [event.order.order_id for event in world.events if isinstance(event, OrderUpdate)]
    assert told == [made]


def test_swallowed_orders_never_come_into_being(world: PrivateWorld, client: Client) -> None:
    world.faults.arm("trade.swallow", op="order.create")
    made = good(client.post("order/create", **limit(world, orderLinkId="lost")))
    assert made["orderLinkId"] == "lost" and len(made["orderId"]) == 36
    assert good(client.get("order/realtime", **LINEAR, orderLinkId="lost"))["list"] == []
    assert client.post("order/cancel", **LINEAR, symbol=BTC, orderId=made["orderId"])["retCode"] == 110001


def test_history_by_status_and_kind(world: PrivateWorld, client: Client) -> None:
    stop = good(client.post("order/create", **limit(world, triggerPrice=world.price(0.9), triggerDirection=2)))["orderId"]
    good(client.post("order/cancel", **LINEAR, symbol=BTC, orderId=stop))
    filled = good(client.post("order/create", **limit(world, 1.001)))["orderId"]
    for query, ids in (({"orderStatus": "Filled"}, [filled]), ({"orderStatus": "Deactivated"}, [stop]),
                       ({"orderStatus": "Cancelled"}, []), ({"orderFilter": "Order"}, [filled]),
                       ({"orderFilter": "StopOrder"}, [stop]), ({"symbol": ETH}, []), ({"baseCoin": "ETH"}, [])):
        rows = good(client.get("order/history", **LINEAR, **query))["list"]
        assert [row["orderId"] for row in rows] == ids, query
    assert client.get("order/history", **LINEAR, orderStatus="Gone")["retCode"] == 10001
