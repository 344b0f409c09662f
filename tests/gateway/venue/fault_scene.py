"""A venue in virtual time whose account trades and listens: what the knobs are tried on."""

from __future__ import annotations

from typing import Any

from tests.gateway.venue.virtual import Plant

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
