"""ccxt's bybit (REST), nothing patched but the address: the same exchange through another client's eyes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import ccxt
import pytest

from gateway.venue.synthetic_feed import SyntheticFeed
from tests.gateway.venue.running import Running, new_exchange, served_venue

BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"


@pytest.fixture(scope="module")
def venue() -> Iterator[Running]:
    with served_venue(SyntheticFeed(new_exchange(5, seed=12)), accounts=3) as running:
        yield running


def client_of(venue: Running, number: int) -> ccxt.bybit:
    account = venue.venue.accounts.announced()[number]
    made = ccxt.bybit({"apiKey": account["api_key"], "secret": account["api_secret"]})
    made.urls["api"] = dict.fromkeys(made.urls["api"], venue.addresses["rest"])
    return made


@pytest.fixture(scope="module")
def trader(venue: Running) -> ccxt.bybit:
    return client_of(venue, 0)


def near(client: ccxt.bybit, symbol: str, factor: float) -> float:
    return float(client.price_to_precision(symbol, client.fetch_ticker(symbol)["last"] * factor))


def test_markets(trader: ccxt.bybit) -> None:
    markets = trader.load_markets()
    assert set(markets) == {f"{base}/USDT:USDT" for base in ("BTC", "ETH", "SOL", "XRP", "DOGE")}
    btc = markets[BTC]
    assert btc["linear"] and btc["swap"] and btc["settle"] == "USDT" and btc["precision"]["price"] == 0.1
    assert list(trader.is_unified_enabled()) == [False, True]
    assert "USDT" in trader.fetch_currencies()


def test_create_edit_cancel(trader: ccxt.bybit) -> None:
    made = trader.create_order(BTC, "limit", "buy", 0.01, near(trader, BTC, 0.97), {"clientOrderId": "ccxt-1"})
    seen = trader.fetch_open_order(made["id"], BTC)
    assert (seen["status"], seen["clientOrderId"], seen["remaining"]) == ("open", "ccxt-1", 0.01)
    edited = trader.edit_order(made["id"], BTC, "limit", "buy", 0.02, near(trader, BTC, 0.96))
    assert edited["id"] == made["id"]
    assert trader.fetch_open_order(made["id"], BTC)["amount"] == 0.02
    trader.cancel_order(made["id"], BTC)
    assert trader.fetch_open_orders(BTC) == []
    closed = trader.fetch_canceled_orders(BTC)
    assert closed[-1]["id"] == made["id"] and closed[-1]["status"] == "canceled"
    with pytest.raises(ccxt.OrderNotFound):
        trader.cancel_order(made["id"], BTC)


def test_position_with_take_profit_and_stop_loss(trader: ccxt.bybit) -> None:
    trader.set_leverage(8, ETH)
    with pytest.raises(ccxt.ExchangeError, match="110043"):
        trader.set_leverage(8, ETH)
    target, stop = near(trader, ETH, 1.08), near(trader, ETH, 0.93)
    made = trader.create_order(ETH, "market", "buy", 0.4, None, {
        "takeProfit": {"triggerPrice": target}, "stopLoss": {"triggerPrice": stop},
    })
    position = trader.fetch_position(ETH)
    assert (position["side"], position["contracts"], position["leverage"]) == ("long", 0.4, 8)
    assert (position["takeProfitPrice"], position["stopLossPrice"]) == (target, stop)
    assert position["initialMargin"] > position["maintenanceMargin"] > 0
    fills = trader.fetch_order_trades(made["id"], ETH)
    assert sum(fill["amount"] for fill in fills) == pytest.approx(0.4)
    assert all(fill["takerOrMaker"] == "taker" and fill["fee"]["currency"] == "USDT" for fill in fills)
    assert {order["type"] for order in trader.fetch_open_orders(ETH, params={"trigger": True})} == {"market"}
    trader.create_order(ETH, "market", "sell", 0.4, None, {"reduceOnly": True})
    assert trader.fetch_positions([ETH], params={}) == [] or trader.fetch_position(ETH)["contracts"] == 0
    history = trader.fetch_positions_history([ETH])
    assert history[0]["symbol"] == ETH and history[0]["contracts"] == pytest.approx(0.4)


def test_trailing_stop(trader: ccxt.bybit) -> None:
    trader.create_order(ETH, "market", "sell", 0.3)
    trader.create_order(ETH, "market", "buy", 0.3, None, {"trailingAmount": "40", "reduceOnly": True})
    assert trader.fetch_position(ETH)["info"]["trailingStop"] == "40.00"
    trader.create_order(ETH, "market", "buy", 0.3, None, {"reduceOnly": True})


def test_batch_and_cancel_all(venue: Running) -> None:
    client = client_of(venue, 1)
    client.load_markets()
    made = client.create_orders([
        {"symbol": BTC, "type": "limit", "side": "buy", "amount": 0.001, "price": near(client, BTC, 0.9 + n / 100)}
        for n in range(4)
    ])
    assert len({order["id"] for order in made}) == 4
    cancelled = client.cancel_orders([order["id"] for order in made[:2]], BTC)
    assert len(cancelled) == 2
    client.cancel_all_orders(BTC)
    assert client.fetch_open_orders(BTC) == []


def test_pages_to_the_end(venue: Running) -> None:
    """ccxt walks the cursors by itself."""
    client = client_of(venue, 2)
    client.load_markets()
    for _ in range(7):
        client.create_order(BTC, "market", "buy", 0.001)
    trades = client.fetch_my_trades(BTC, params={"paginate": True, "paginationCalls": 20, "maxEntriesPerRequest": 2})
    assert len({trade["id"] for trade in trades}) == len(trades) >= 7
    assert sum(trade["amount"] for trade in trades) == pytest.approx(0.007)
    ledger = client.fetch_ledger("USDT", params={"subType": ""})
    assert {entry["currency"] for entry in ledger} == {"USDT"}


def test_balance_fees_and_the_rest(trader: ccxt.bybit) -> None:
    trader.create_order(BTC, "market", "buy", 0.001)
    trader.create_order(BTC, "market", "sell", 0.001, None, {"reduceOnly": True})
    balance = trader.fetch_balance()
    assert 9_900 < balance["USDT"]["total"] < 10_000
    fee = trader.fetch_trading_fee(BTC)
    assert (fee["maker"], fee["taker"]) == (0.0002, 0.00055)
    assert trader.fetch_funding_rate_history(BTC, limit=3)[-1]["symbol"] == BTC
    tiers: list[dict[str, Any]] = trader.fetch_market_leverage_tiers(BTC)
    assert tiers[0]["maxLeverage"] == 100 and tiers[0]["maintenanceMarginRate"] == 0.005
    assert trader.fetch_open_interest(BTC)["symbol"] == BTC
    assert trader.fetch_leverage(BTC)["longLeverage"] == 10
    trader.set_position_mode(True, BTC)
    assert trader.set_position_mode(False, BTC)["retCode"] == 0


def test_refusals_are_those_ccxt_knows(venue: Running, trader: ccxt.bybit) -> None:
    with pytest.raises(ccxt.InsufficientFunds):
        trader.create_order(BTC, "limit", "buy", 50, near(trader, BTC, 0.99))
    wrong = client_of(venue, 0)
    wrong.secret = "wrong"
    with pytest.raises(ccxt.AuthenticationError):
        wrong.fetch_balance()
    wrong.apiKey = "nobody"
    with pytest.raises(ccxt.AuthenticationError):
        wrong.fetch_balance()
