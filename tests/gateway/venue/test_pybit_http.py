"""pybit's HTTP client, nothing patched but the address: a trader's whole day on the embedded exchange."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from pybit.exceptions import InvalidRequestError
from pybit.unified_trading import HTTP

from gateway.venue.synthetic_feed import SyntheticFeed
from tests.gateway.venue.running import Running, new_exchange, served_venue

LINEAR = {"category": "linear"}
BTC = {"category": "linear", "symbol": "BTCUSDT"}
ETH = {"category": "linear", "symbol": "ETHUSDT"}


@pytest.fixture(scope="module")
def venue() -> Iterator[Running]:
    with served_venue(SyntheticFeed(new_exchange(5, seed=11)), accounts=4) as running:
        yield running


def client_of(venue: Running, number: int, **settings: Any) -> HTTP:
    account = venue.venue.accounts.announced()[number]
    made = HTTP(api_key=account["api_key"], api_secret=account["api_secret"], **settings)
    made.endpoint = venue.addresses["rest"]
    return made


@pytest.fixture(scope="module")
def trader(venue: Running) -> HTTP:
    return client_of(venue, 0)


def result(answer: Any) -> Any:
    assert answer["retCode"] == 0
    return answer["result"]


def price(client: HTTP, symbol: str, factor: str) -> str:
    """A price on the grid, so many times the last price."""
    row = result(client.get_tickers(**LINEAR, symbol=symbol))["list"][0]
    tick = Decimal("0.1") if symbol == "BTCUSDT" else Decimal("0.01")
    return str((Decimal(row["lastPrice"]) * Decimal(factor)).quantize(tick))


def test_create_amend_cancel(trader: HTTP) -> None:
    made = result(trader.place_order(
        **BTC, side="Buy", orderType="Limit", qty="0.01", price=price(trader, "BTCUSDT", "0.97"), orderLinkId="day-1",
    ))
    assert made["orderLinkId"] == "day-1"
    row = result(trader.get_open_orders(**BTC, orderLinkId="day-1"))["list"][0]
    assert (row["orderId"], row["orderStatus"], row["leavesQty"]) == (made["orderId"], "New", "0.010")
    result(trader.amend_order(**BTC, orderId=made["orderId"], qty="0.02", price=price(trader, "BTCUSDT", "0.96")))
    row = result(trader.get_open_orders(**BTC, orderId=made["orderId"]))["list"][0]
    assert row["qty"] == "0.020" and float(row["price"]) < float(price(trader, "BTCUSDT", "0.965"))
    result(trader.cancel_order(**BTC, orderLinkId="day-1"))
    assert result(trader.get_open_orders(**BTC))["list"] == []
    row = result(trader.get_order_history(**BTC, orderId=made["orderId"]))["list"][0]
    assert (row["orderStatus"], row["cancelType"], row["rejectReason"]) == (
        "Cancelled", "CancelByUser", "EC_PerCancelRequest",
    )
    with pytest.raises(InvalidRequestError, match="110001"):
        trader.cancel_order(**BTC, orderLinkId="day-1")


def test_take_profit_stop_loss_trading_stop_and_closed_pnl(trader: HTTP) -> None:
    result(trader.set_leverage(**ETH, buyLeverage="7", sellLeverage="7"))
    with pytest.raises(InvalidRequestError, match="110043"):
        trader.set_leverage(**ETH, buyLeverage="7", sellLeverage="7")
    target, stop = price(trader, "ETHUSDT", "1.1"), price(trader, "ETHUSDT", "0.9")
    made = result(trader.place_order(**ETH, side="Buy", orderType="Market", qty="0.5", takeProfit=target, stopLoss=stop))
    position = result(trader.get_positions(**ETH))["list"][0]
    assert (position["side"], position["size"], position["leverage"]) == ("Buy", "0.5", "7")
    assert (position["takeProfit"], position["stopLoss"]) == (target, stop)
    stops = result(trader.get_open_orders(**ETH, orderFilter="StopOrder"))["list"]
    assert {row["stopOrderType"] for row in stops} == {"TakeProfit", "StopLoss"}
    assert all(row["orderStatus"] == "Untriggered" and row["reduceOnly"] for row in stops)

    tighter = price(trader, "ETHUSDT", "0.95")
    result(trader.set_trading_stop(**ETH, stopLoss=tighter, tpslMode="Full", positionIdx=0))
    with pytest.raises(InvalidRequestError, match="34040"):
        trader.set_trading_stop(**ETH, stopLoss=tighter, tpslMode="Full", positionIdx=0)
    assert result(trader.get_positions(**ETH))["list"][0]["stopLoss"] == tighter

    fills = result(trader.get_executions(**ETH, orderId=made["orderId"]))["list"]
    assert sum(float(fill["execQty"]) for fill in fills) == pytest.approx(0.5)
    assert all(fill["feeRate"] == "0.00055" and not fill["isMaker"] for fill in fills)

    closing = result(trader.place_order(**ETH, side="Sell", orderType="Market", qty="0.5", reduceOnly=True))
    assert result(trader.get_positions(**LINEAR, settleCoin="USDT"))["list"] == []
    closed = result(trader.get_closed_pnl(**ETH))["list"][0]
    assert (closed["orderId"], closed["closedSize"], closed["side"]) == (closing["orderId"], "0.5", "Sell")
    assert result(trader.get_open_orders(**ETH, orderFilter="StopOrder"))["list"] == [], "cleared with the position"


def test_wallet_is_deposit_plus_ledger(trader: HTTP) -> None:
    result(trader.place_order(**BTC, side="Buy", orderType="Market", qty="0.001"))
    result(trader.place_order(**BTC, side="Sell", orderType="Market", qty="0.001", reduceOnly=True))
    wallet = result(trader.get_wallet_balance(accountType="UNIFIED", coin="USDT"))["list"][0]
    balance = Decimal(wallet["coin"][0]["walletBalance"])
    changes, cursor = Decimal(0), ""
    for _ in range(50):
        page = result(trader.get_transaction_log(accountType="UNIFIED", category="linear", limit=3, cursor=cursor))
        changes += sum(Decimal(row["change"]) for row in page["list"])
        cursor = page["nextPageCursor"]
        if not cursor:
            break
    assert 10_000 + changes == balance < 10_000  # the deposit is older than the seven days of the log
    assert result(trader.get_wallet_balance(accountType="UNIFIED", coin="BTC"))["list"][0]["coin"] == []


def test_batches(venue: Running) -> None:
    client = client_of(venue, 1)
    orders = [
        {"symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit", "qty": "0.001", "orderLinkId": f"batch-{n}",
         "price": price(client, "BTCUSDT", f"0.9{n}")} for n in range(3)
    ] + [{"symbol": "BTCUSDT", "side": "Up", "orderType": "Limit", "qty": "0.001", "price": "1", "orderLinkId": "bad"}]
    answer = client.place_batch_order(**LINEAR, request=orders)
    rows, outcomes = answer["result"]["list"], answer["retExtInfo"]["list"]
    assert [outcome["code"] for outcome in outcomes] == [0, 0, 0, 10001]
    assert rows[3]["orderId"] == "" and rows[3]["createAt"] == "" and rows[3]["orderLinkId"] == "bad"
    assert all(row["orderId"] and row["category"] == "linear" for row in rows[:3])
    answer = client.amend_batch_order(**LINEAR, request=[
        {"symbol": "BTCUSDT", "orderId": rows[0]["orderId"], "qty": "0.002"},
        {"symbol": "BTCUSDT", "orderLinkId": "unknown", "qty": "0.002"},
    ])
    assert [outcome["code"] for outcome in answer["retExtInfo"]["list"]] == [0, 110001]
    answer = client.cancel_batch_order(**LINEAR, request=[
        {"symbol": "BTCUSDT", "orderLinkId": f"batch-{n}"} for n in range(4)
    ])
    assert [outcome["code"] for outcome in answer["retExtInfo"]["list"]] == [0, 0, 0, 110001]


def test_pages_to_the_end(venue: Running) -> None:
    client = client_of(venue, 2)
    ids = set()
    for n in range(9):
        factor = f"0.9{n}"
        ids.add(result(client.place_order(
            **BTC, side="Buy", orderType="Limit", qty="0.001", price=price(client, "BTCUSDT", factor)))["orderId"])
    seen: list[str] = []
    cursor = ""
    for _ in range(20):
        page = result(client.get_open_orders(**BTC, limit=4, cursor=cursor))
        if not page["list"]:
            assert page["nextPageCursor"] == ""
            break
        seen += [row["orderId"] for row in page["list"]]
        cursor = page["nextPageCursor"]
    assert len(seen) == 9 and set(seen) == ids
    cancelled = result(client.cancel_all_orders(**LINEAR, settleCoin="USDT"))
    assert cancelled["success"] == "1" and {row["orderId"] for row in cancelled["list"]} == ids
    seen, cursor = [], ""
    for _ in range(20):
        page = result(client.get_order_history(**LINEAR, limit=2, cursor=cursor))
        if not page["list"]:
            break
        seen += [row["orderId"] for row in page["list"]]
        cursor = page["nextPageCursor"]
    assert len(seen) == 9 and set(seen) == ids


def test_conditional_and_trailing_orders(venue: Running) -> None:
    client = client_of(venue, 2)
    made = result(client.place_order(
        **ETH, side="Buy", orderType="Market", qty="0.1", triggerPrice=price(client, "ETHUSDT", "1.05"), triggerDirection=1,
    ))
    row = result(client.get_open_orders(**ETH, orderId=made["orderId"]))["list"][0]
    assert (row["orderStatus"], row["stopOrderType"], row["triggerBy"]) == ("Untriggered", "Stop", "LastPrice")
    with pytest.raises(InvalidRequestError, match="110092"):
        client.place_order(**ETH, side="Buy", orderType="Market", qty="0.1", triggerDirection=1,
                           triggerPrice=price(client, "ETHUSDT", "0.95"))
    result(client.cancel_order(**ETH, orderId=made["orderId"]))
    result(client.place_order(**ETH, side="Sell", orderType="Market", qty="0.2"))
    result(client.set_trading_stop(**ETH, trailingStop="50", tpslMode="Full", positionIdx=0))
    assert result(client.get_positions(**ETH))["list"][0]["trailingStop"] == "50.00"
    result(client.place_order(**ETH, side="Buy", orderType="Market", qty="0", reduceOnly=True, closeOnTrigger=True))
    assert result(client.get_positions(**ETH))["list"][0]["size"] == "0"


def test_settings(venue: Running) -> None:
    client = client_of(venue, 3)
    info = result(client.get_account_info())
    assert (info["marginMode"], info["unifiedMarginStatus"], info["dcpStatus"]) == ("REGULAR_MARGIN", 5, "OFF")
    result(client.set_margin_mode(setMarginMode="ISOLATED_MARGIN"))
    assert result(client.get_account_info())["marginMode"] == "ISOLATED_MARGIN"
    with pytest.raises(InvalidRequestError, match="110026"):
        client.set_margin_mode(setMarginMode="ISOLATED_MARGIN")
    with pytest.raises(InvalidRequestError, match="3400045"):
        client.set_margin_mode(setMarginMode="PORTFOLIO_MARGIN")
    result(client.place_order(**BTC, side="Buy", orderType="Market", qty="0.01"))
    added = result(client.add_or_reduce_margin(**BTC, margin="5", positionIdx=0))
    assert added["symbol"] == "BTCUSDT" and Decimal(added["positionIM"]) > 0
    result(client.set_auto_add_margin(**BTC, autoAddMargin=1, positionIdx=0))
    assert result(client.get_positions(**BTC))["list"][0]["autoAddMargin"] == 1
    with pytest.raises(InvalidRequestError, match="110024"):
        client.switch_position_mode(**BTC, mode=3)
    result(client.switch_position_mode(**ETH, mode=3))
    assert [row["positionIdx"] for row in result(client.get_positions(**ETH))["list"]] == [1, 2]
    with pytest.raises(InvalidRequestError, match="position idx not match position mode"):
        client.place_order(**ETH, side="Buy", orderType="Market", qty="0.1")
    result(client.place_order(**ETH, side="Sell", orderType="Market", qty="0.1", positionIdx=2))
    with pytest.raises(InvalidRequestError, match="100028"):
        client.switch_margin_mode(**BTC, tradeMode=1, buyLeverage="10", sellLeverage="10")
    with pytest.raises(InvalidRequestError, match="10005"):
        client.set_dcp(timeWindow=40, product="DERIVATIVES")


def test_reading(venue: Running, trader: HTTP) -> None:
    rates = result(trader.get_fee_rates(**LINEAR, symbol="BTCUSDT"))["list"]
    assert rates == [{"symbol": "BTCUSDT", "takerFeeRate": "0.00055", "makerFeeRate": "0.0002", "baseCoin": ""}]
    assert len(result(trader.get_fee_rates(**LINEAR))["list"]) == 5
    key = result(trader.get_api_key_information())
    assert key["userID"] == venue.venue.accounts.uids[0] and key["permissions"]["ContractTrade"] == ["Order", "Position"]
    assert result(trader.get_risk_limit(**BTC))["list"][0]["maxLeverage"] == "100.00"
    assert len(result(trader.get_funding_rate_history(**BTC, limit=5))["list"]) == 5
    assert result(trader.get_open_interest(**BTC, intervalTime="1h"))["symbol"] == "BTCUSDT"
    limits = result(trader.get_price_limit(**BTC))
    assert float(limits["sellLmt"]) < float(limits["buyLmt"])
    check = result(trader.pre_check_order(
        **BTC, side="Buy", orderType="Limit", qty="0.01", price=price(trader, "BTCUSDT", "0.99")))
    assert check["postImrE4"] > check["preImrE4"] >= 0
    assert result(trader.get_smp_group())["smpGroup"] == 0


def test_limits_and_keys(venue: Running) -> None:
    account = venue.venue.accounts.announced()[3]
    wrong = HTTP(api_key=account["api_key"], api_secret="wrong", max_retries=1)
    wrong.endpoint = venue.addresses["rest"]
    with pytest.raises(InvalidRequestError, match="10004"):
        wrong.get_account_info()
    noted = client_of(venue, 3, return_response_headers=True)
    _body, _elapsed, headers = noted.get_account_info()
    assert headers["X-Bapi-Limit"] == "50" and int(headers["X-Bapi-Limit-Status"]) < 50
