"""Whole answers against the documentation's examples and the adapter's payloads: fields of `result`, types, texts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.gateway.venue.private_client import Client
from tests.gateway.venue.private_fixtures import adapter, docs
from tests.gateway.venue.private_world import BTC, PrivateWorld

LINEAR = {"category": "linear"}
ON_BTC = {"category": "linear", "symbol": BTC}
Call = Callable[[PrivateWorld, Client], dict[str, Any]]


@pytest.fixture(scope="module")
def world() -> PrivateWorld:
    """An isolated account with a position that was partly closed, and a working order."""
    made = PrivateWorld()
    client = made.client()
    client.post("account/set-margin-mode", setMarginMode="ISOLATED_MARGIN")
    for side, qty in (("Buy", "0.02"), ("Sell", "0.01")):
        assert client.post("order/create", **ON_BTC, side=side, orderType="Market", qty=qty)["retCode"] == 0
    assert client.post("order/create", **resting(made), orderLinkId="rests")["retCode"] == 0
    return made


def resting(world: PrivateWorld) -> dict[str, Any]:
    return {**ON_BTC, "side": "Buy", "orderType": "Limit", "qty": "0.01", "price": world.price(0.98)}


def same_shape(ours: Any, theirs: Any, path: str) -> None:
    """Every field of theirs is in ours with the same type; lists are compared by their first rows."""
    assert type(ours) is type(theirs), f"{path}: {ours!r} against {theirs!r}"
    if isinstance(theirs, dict):
        assert set(theirs) <= set(ours), f"{path} lacks {set(theirs) - set(ours)}"
        for name, value in theirs.items():
            if name != "cumFeeDetail" and value is not None:
                same_shape(ours[name], value, f"{path}.{name}")
    elif isinstance(theirs, list) and theirs:
        assert ours, f"{path} is empty"
        same_shape(ours[0], theirs[0], f"{path}[0]")


def batch(path: str, **item: Any) -> Call:
    def call(world: PrivateWorld, client: Client) -> dict[str, Any]:
        return client.post(path, **LINEAR, request=[{**resting(world), **item}])
    return call


CALLS: dict[str, Call] = {
    "order/create-order.mdx": lambda w, c: c.post("order/create", **resting(w)),
    "order/amend-order.mdx": lambda w, c: c.post("order/amend", **ON_BTC, orderLinkId="rests", qty="0.02"),
    "order/open-order.mdx": lambda w, c: c.get("order/realtime", **ON_BTC),
    "order/order-list.mdx": lambda w, c: c.get("order/history", **ON_BTC),
    "order/execution.mdx": lambda w, c: c.get("execution/list", **ON_BTC),
    "order/batch-place.mdx": batch("order/create-batch", orderLinkId="b1"),
    "order/batch-amend.mdx": batch("order/amend-batch", orderLinkId="b1", qty="0.03", price=None),
    "order/batch-cancel.mdx": batch("order/cancel-batch", orderLinkId="b1"),
    "order/cancel-order.mdx": lambda w, c: c.post("order/cancel", **ON_BTC, orderLinkId="rests"),
    "order/cancel-all.mdx": lambda w, c: c.post("order/cancel-all", **LINEAR, settleCoin="USDT"),
    "position/position.mdx": lambda w, c: c.get("position/list", **ON_BTC),
    "position/close-pnl.mdx": lambda w, c: c.get("position/closed-pnl", **ON_BTC),
    "position/leverage.mdx": lambda w, c: c.post("position/set-leverage", **ON_BTC, buyLeverage="9", sellLeverage="9"),
    "position/trading-stop.mdx": lambda w, c: c.post("position/trading-stop", **ON_BTC, takeProfit=w.price(1.2), positionIdx=0),
    "position/manual-add-margin.mdx": lambda w, c: c.post("position/add-margin", **ON_BTC, margin="10"),
    "position/auto-add-margin.mdx": lambda w, c: c.post("position/set-auto-add-margin", **ON_BTC, autoAddMargin=1),
    "position/position-mode.mdx": lambda w, c: c.post("position/switch-mode", **LINEAR, symbol="ETHUSDT", mode=3),
    "account/wallet-balance.mdx": lambda w, c: c.get("account/wallet-balance", accountType="UNIFIED"),
    "account/fee-rate.mdx": lambda w, c: c.get("account/fee-rate", **ON_BTC),
    "account/account-info.mdx": lambda w, c: c.get("account/info"),
    "account/set-price-limit.mdx": lambda w, c: c.post("account/set-limit-px-action", **LINEAR, modifyEnable=True),
    "account/set-margin-mode.mdx": lambda w, c: c.post("account/set-margin-mode", setMarginMode="PORTFOLIO_MARGIN"),
}
"""Documentation page -> the call it describes, in an order in which each finds what it needs."""


def test_every_call_answers_as_documented(world: PrivateWorld) -> None:
    client = world.client()
    for page, call in CALLS.items():
        ours = call(world, client)
        theirs = next(example for example in docs(page) if "retCode" in example)
        assert ours["retCode"] == theirs["retCode"], (page, ours)
        assert ours["retMsg"] == theirs["retMsg"], page
        same_shape(ours["result"], theirs["result"], page)
        if theirs.get("retExtInfo"):
            same_shape(ours["retExtInfo"], theirs["retExtInfo"], page)


def test_pre_check_answers_as_documented() -> None:
    world = PrivateWorld()
    ours = world.client().post("order/pre-check", **resting(world))
    theirs = docs("order/pre-check-order.mdx")[0]
    assert ours["retCode"] == 0
    same_shape(ours["result"], theirs["result"], "pre-check")
    assert ours["result"]["postImrE4"] > ours["result"]["preImrE4"] == 0


@pytest.mark.parametrize(("name", "path", "params"), [
    ("http_get_account_info.json", "account/info", {}), ("http_get_fee_rate.json", "account/fee-rate", LINEAR),
    ("http_get_positions.json", "position/list", ON_BTC), ("http_get_executions.json", "execution/list", ON_BTC),
    ("http_get_wallet_balance.json", "account/wallet-balance", {"accountType": "UNIFIED"}),
    ("http_get_orders_history.json", "order/history", ON_BTC),
    ("http_get_positions_with_open_time.json", "position/list", ON_BTC),
])
def test_answers_against_the_adapters_payloads(world: PrivateWorld, name: str, path: str, params: dict[str, str]) -> None:
    ours = world.client().get(path, **params)
    assert ours["retCode"] == 0
    same_shape(ours["result"], adapter(name)["result"], name)


def test_price_limit_answers_as_documented(world: PrivateWorld) -> None:
    same_shape(world.venue.price_limit(ON_BTC), docs("market/order-price-limit.mdx")[0]["result"], "price-limit")
