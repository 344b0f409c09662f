"""Every retCode of BYBIT.md 11 that a retail linear client can meet on REST can be produced, by a request or by a fault."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gateway.venue.rate_limits import RateLimits
from gateway.venue.ret_texts import TEXTS
from tests.gateway.venue.private_client import Client, signed
from tests.gateway.venue.private_world import BTC, E8, PrivateWorld

LINEAR = {"category": "linear"}
Cause = Callable[[PrivateWorld, Client], dict[str, Any]]
CAUSES: dict[int, Cause] = {}


def produces(code: int) -> Callable[[Cause], Cause]:
    def note(cause: Cause) -> Cause:
        assert code not in CAUSES
        CAUSES[code] = cause
        return cause
    return note


def order(world: PrivateWorld, client: Client, **changes: Any) -> dict[str, Any]:
    """A limit buy that rests, changed as asked."""
    body = {**LINEAR, "symbol": BTC, "side": "Buy", "orderType": "Limit", "qty": "0.01", "price": world.price(0.995)}
    return client.post("order/create", **{name: value for name, value in (body | changes).items() if value is not None})


def opened(world: PrivateWorld, client: Client, side: str = "Buy", qty: str = "0.01") -> None:
    found = order(world, client, side=side, orderType="Market", qty=qty, price=None)
    assert found["retCode"] == 0, found


# -- at the door ---------------------------------------------------------------------------------------------------------
@produces(0)
def accepted(world: PrivateWorld, client: Client) -> dict[str, Any]:
    return order(world, client)


@produces(10001)
def bad_parameter(world: PrivateWorld, client: Client) -> dict[str, Any]:
    return order(world, client, side="Up")


@produces(10002)
def slow_clock(world: PrivateWorld, client: Client) -> dict[str, Any]:
    client.skew_ms = -5001
    return client.get("account/info")


@produces(10003)
def unknown_key(world: PrivateWorld, client: Client) -> dict[str, Any]:
    world.accounts.revoke(client.key.key)
    return client.get("account/info")


@produces(10004)
def wrong_secret(world: PrivateWorld, client: Client) -> dict[str, Any]:
    reply = world.rest.handle(signed(client.key, "GET", "/v5/account/info", client.now_ns // 10**6, sign="0" * 64), client.now_ns)
    return client.decode(reply)


def with_key(kind: str) -> Cause:
    def cause(world: PrivateWorld, client: Client) -> dict[str, Any]:
        client.key = world.accounts.issue(client.key.uid, kind, world.market.now_ms)
        return order(world, client)
    return cause


produces(10005)(with_key("read_only"))
produces(10010)(with_key("bound_elsewhere"))
produces(33004)(with_key("expired"))


@produces(10006)
def too_many(world: PrivateWorld, client: Client) -> dict[str, Any]:
    world.rest.limits = RateLimits()
    found = [order(world, client) for _ in range(11)]
    assert [answer["retCode"] for answer in found[:10]] == [0] * 10
    return found[10]


@produces(10017)
def no_such_path(world: PrivateWorld, client: Client) -> dict[str, Any]:
    return client.get("moon/landing")


# -- by the exchange -----------------------------------------------------------------------------------------------------
@produces(34040)
def same_stop_again(world: PrivateWorld, client: Client) -> dict[str, Any]:
    opened(world, client)
    stop = {**LINEAR, "symbol": BTC, "stopLoss": world.price(0.9), "tpslMode": "Full", "positionIdx": 0}
    assert client.post("position/trading-stop", **stop)["retCode"] == 0
    return client.post("position/trading-stop", **stop)


@produces(110001)
def cancel_unknown(world: PrivateWorld, client: Client) -> dict[str, Any]:
    return client.post("order/cancel", **LINEAR, symbol=BTC, orderId="no-such-order")


@produces(110003)
def beyond_the_limit(world: PrivateWorld, client: Client) -> dict[str, Any]:
    assert client.post("account/set-limit-px-action", **LINEAR, modifyEnable=False)["retCode"] == 0
    return order(world, client, price=world.price(1.2))


@produces(110007)
def too_poor(world: PrivateWorld, client: Client) -> dict[str, Any]:
    money = world.exchange.account(client.key.uid)
    money.transfer(world.now_ns, -(money.available_e8() - 60 * E8), "to the bank")
    return order(world, client, qty="0.01")


@produces(110009)
def eleventh_conditional(world: PrivateWorld, client: Client) -> dict[str, Any]:
    stop = {"triggerPrice": world.price(0.9), "triggerDirection": 2}
    assert [order(world, client, **stop)["retCode"] for _ in range(10)] == [0] * 10
    return order(world, client, **stop)


@produces(110013)
def leverage_over_tier(world: PrivateWorld, client: Client) -> dict[str, Any]:
    for _ in range(4):
        opened(world, client, qty="10")
    return client.post("position/set-leverage", **LINEAR, symbol=BTC, buyLeverage="100", sellLeverage="100")


@produces(110015)
def auto_margin_in_cross(world: PrivateWorld, client: Client) -> dict[str, Any]:
    return client.post("position/set-auto-add-margin", **LINEAR, symbol=BTC, autoAddMargin=1)


@produces(110017)
def reduce_nothing(world: PrivateWorld, client: Client) -> dict[str, Any]:
    return order(world, client, side="Sell", orderType="Market", price=None, reduceOnly=True)


@produces(110020)
def five_hundred_and_one(world: PrivateWorld, client: Client) -> dict[str, Any]:
    for _ in range(500):
        assert order(world, client, qty="0.001")["retCode"] == 0
    return order(world, client, qty="0.001")


@produces(110024)
def switch_with_position(world: PrivateWorld, client: Client) -> dict[str, Any]:
    opened(world, client)
    return client.post("position/switch-mode", **LINEAR, symbol=BTC, mode=3)


@produces(110025)
def same_position_mode(world: PrivateWorld, client: Client) -> dict[str, Any]:
    return client.post("position/switch-mode", **LINEAR, symbol=BTC, mode=0)


@produces(110026)
def same_margin_mode(world: PrivateWorld, client: Client) -> dict[str, Any]:
    return client.post("account/set-margin-mode", setMarginMode="REGULAR_MARGIN")


@produces(110027)
def same_auto_margin(world: PrivateWorld, client: Client) -> dict[str, Any]:
    assert client.post("account/set-margin-mode", setMarginMode="ISOLATED_MARGIN")["retCode"] == 0
    return client.post("position/set-auto-add-margin", **LINEAR, symbol=BTC, autoAddMargin=0)


@produces(110028)
def switch_with_orders(world: PrivateWorld, client: Client) -> dict[str, Any]:
    assert order(world, client)["retCode"] == 0
    return client.post("position/switch-mode", **LINEAR, symbol=BTC, mode=3)


@produces(110043)
def same_leverage(world: PrivateWorld, client: Client) -> dict[str, Any]:
    return client.post("position/set-leverage", **LINEAR, symbol=BTC, buyLeverage="10", sellLeverage="10")


@produces(110061)
def too_many_partial_stops(world: PrivateWorld, client: Client) -> dict[str, Any]:
    opened(world, client, qty="0.1")
    found: dict[str, Any] = {"retCode": 0}
    for n in range(21):
        assert found["retCode"] == 0, found
        found = client.post("position/trading-stop", **LINEAR, symbol=BTC, tpslMode="Partial", positionIdx=0,
                            takeProfit=world.price(1.1 + n / 1000), tpSize="0.001")
    return found


@produces(110064)
def amend_below_the_filled(world: PrivateWorld, client: Client) -> dict[str, Any]:
    made = order(world, client, qty="0.02")["result"]["orderId"]
    assert world.exchange.force_fill(world.now_ns, client.key.uid, made, 10)
    return client.post("order/amend", **LINEAR, symbol=BTC, orderId=made, qty="0.01")


@produces(110072)
def link_id_again(world: PrivateWorld, client: Client) -> dict[str, Any]:
    assert order(world, client, orderLinkId="twice")["retCode"] == 0
    return order(world, client, orderLinkId="twice")


@produces(110074)
def not_live(world: PrivateWorld, client: Client) -> dict[str, Any]:
    world.link.touch(BTC)
    world.exchange.delist(world.now_ns, BTC, final=True)
    return order(world, client)


@produces(110090)
def over_the_tier(world: PrivateWorld, client: Client) -> dict[str, Any]:
    assert client.post("position/set-leverage", **LINEAR, symbol=BTC, buyLeverage="100", sellLeverage="100")["retCode"] == 0
    return order(world, client, qty="60")


@produces(110092)
def trigger_below_when_rising(world: PrivateWorld, client: Client) -> dict[str, Any]:
    return order(world, client, triggerPrice=world.price(0.9), triggerDirection=1)


@produces(110093)
def trigger_above_when_falling(world: PrivateWorld, client: Client) -> dict[str, Any]:
    return order(world, client, triggerPrice=world.price(1.1), triggerDirection=2)


@produces(110094)
def below_five_usdt(world: PrivateWorld, client: Client) -> dict[str, Any]:
    doge = "DOGEUSDT"
    return order(world, client, symbol=doge, qty="3", price=world.price(0.99, doge))


@produces(110118)
def no_liquidity(world: PrivateWorld, client: Client) -> dict[str, Any]:
    empty = world.empty_symbol()
    return order(world, client, symbol=empty, orderType="Market", qty="1000", price=None,
                 slippageToleranceType="TickSize", slippageTolerance="5")


@produces(110119)
def rpi(world: PrivateWorld, client: Client) -> dict[str, Any]:
    return order(world, client, timeInForce="RPI")


@produces(30228)
def while_delisting(world: PrivateWorld, client: Client) -> dict[str, Any]:
    world.link.touch(BTC)
    world.exchange.delist(world.now_ns, BTC)
    return order(world, client)


@produces(3400045)
def portfolio_margin(world: PrivateWorld, client: Client) -> dict[str, Any]:
    return client.post("account/set-margin-mode", setMarginMode="PORTFOLIO_MARGIN")


@produces(100028)
def classic_margin_mode(world: PrivateWorld, client: Client) -> dict[str, Any]:
    return client.post("position/switch-isolated", **LINEAR, symbol=BTC, tradeMode=1, buyLeverage="10", sellLeverage="10")


BY_FAULT = (
    -1, 429, 10000, 10007, 10008, 10009, 10014, 10016, 10018, 10019, 10024, 10027, 10028, 10029, 10429, 30208, 30209, 40004,
    110004, 110005, 110006, 110008, 110010, 110011, 110012, 110019, 110021, 110022, 110023, 110034, 110040, 110042, 110044,
    110045, 110046, 110051, 110052, 110053, 110058, 110060, 110063, 110066, 110067, 110079, 110086, 110088, 110089, 110095,
    110096, 110097, 110098, 110099, 110100, 110103, 110120, 110121, 110124, 110125,
)
"""Codes that need a state of the exchange or of the account that only a fault brings about (`trade.reject`)."""

LISTED = {
    0, 110043, 110025, 110026, 110027, 34040,  # success-like
    10000, 10016, 10014, 110079, 40004, 429, 10429,  # unknown outcome
    10006, 10018, 10003,  # back off
    10002, -1,  # clock
    110001, 110008, 110010, 110072, 110017, 110034, 110005, 110063, 110019, 110064, 10019,  # re-sync
    110003, 30208, 30209, 110120, 110121, 110004, 110006, 110007, 110012, 110044, 110045, 110051, 110052, 110053, 110094,
    110092, 110093, 110009, 110020, 110021, 110022, 110023, 110042, 30228, 110040, 110046, 110011, 110086, 110089, 110090,
    110013, 110118, 110119, 110103, 110061, 110058, 110060, 110066, 110074, 110095, 110096, 110097, 110098, 110099, 110100,
    10029, 110124,  # business refusals
    10001, 10017,  # programming errors
    10004, 10005, 10007, 10008, 10009, 10010, 10024, 10027, 10028, 33004, 110067, 110088, 110125,  # fatal
}
"""BYBIT.md 11 without what only the trade WebSocket answers (10403, 10404, 20003, 20006)."""


def test_every_listed_code_has_a_cause() -> None:
    assert not set(CAUSES) & set(BY_FAULT)
    assert set(CAUSES) | set(BY_FAULT) >= LISTED
    assert set(TEXTS) >= LISTED


@pytest.mark.parametrize("code", CAUSES)
def test_produced_by_a_request(code: int) -> None:
    world = PrivateWorld(deposit_usdt=1_000_000)
    client = world.client()
    found = CAUSES[code](world, client)
    assert found["retCode"] == code, found
    assert found["retMsg"] and isinstance(found["retMsg"], str)
    if code == 3400045:
        assert found["result"]["reasons"][0]["reasonCode"] == "3400000"
    elif code:
        assert found["result"] == {}


@pytest.fixture(scope="module")
def world() -> PrivateWorld:
    return PrivateWorld()


@pytest.mark.parametrize("code", BY_FAULT)
def test_produced_by_a_fault(world: PrivateWorld, code: int) -> None:
    client = world.client()
    world.faults.arm("trade.reject", code=code, op="order.*")
    link_id = f"fault{code}"
    found = order(world, client, orderLinkId=link_id)
    assert (found["retCode"], found["retMsg"], found["result"]) == (code, TEXTS[code], {})
    assert world.exchange.find_order(client.key.uid, order_link_id=link_id) is None, "refused, so not carried out"
    again = order(world, client, orderLinkId=link_id, qty="0.001")
    assert again["retCode"] == 0, "spent"
    assert client.post("order/cancel", **LINEAR, symbol=BTC, orderLinkId=link_id)["retCode"] == 0
