"""What the private handlers see of the venue: the exchange behind its link, the contracts, and the armed faults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.sim.exchange import Exchange
from core.units import format_fixed
from gateway.venue.contract_answers import named
from gateway.venue.exchange_link import ExchangeLink
from gateway.venue.instruments import Instrument
from gateway.venue.private_rest_params import PARAMETER_ERROR, Fields, missing
from gateway.venue.rest_answers import ApiError, Params, check_category


class PrivateVenue:
    """Exchange time is that of the market's last step: the same requests between the same steps do the same."""

    def __init__(self, link: ExchangeLink) -> None:
        self._link = link
        self.closed_wiped_ns = 0  # closed orders older than this are gone from order/realtime (a restart wipes them)

    @property
    def exchange(self) -> Exchange:
        return self._link.exchange

    @property
    def now_ns(self) -> int:
        return self._link.now_ns

    @property
    def instruments(self) -> Mapping[str, Instrument]:
        return self._link.market.instruments()

    def touch(self, symbol: str) -> None:
        """Bring the exchange's picture of a symbol up to date before an operation on it."""
        self._link.touch(symbol)

    def instrument(self, fields: Fields) -> Instrument:
        """The contract that `symbol` names; its order of business needs a fresh market. Raises ApiError 10001."""
        symbol = fields.text("symbol", required=True)
        found = self.instruments.get(symbol)
        if found is None:
            raise ApiError(PARAMETER_ERROR, f"params error: symbol invalid {symbol[:40]}")
        self.touch(symbol)
        return found

    def chosen_symbols(self, fields: Fields) -> list[str] | None:
        """The symbols meant by symbol, baseCoin or settleCoin, of which one must be given; None = all.

        Raises ApiError 10001."""
        if fields.given("symbol"):
            return [self.instrument(fields).symbol]
        base, settle = fields.text("baseCoin"), fields.text("settleCoin")
        if not base and not settle:
            raise missing("symbol, baseCoin or settleCoin")
        if base:
            return [name for name, contract in self.instruments.items() if contract.answer["baseCoin"] == base]
        return None if settle == "USDT" else []

    def price_limit(self, params: Params) -> dict[str, Any]:
        """The public /v5/market/price-limit: the highest price to buy and the lowest to sell at, which only the exchange
        behind the market knows."""
        check_category(params)
        i = named(self.instruments, params)
        self.touch(i.symbol)
        buy, sell = (format_fixed(ticks * i.tick_mant, i.price_exp) for ticks in self.exchange.price_limits(i.symbol))
        return {"symbol": i.symbol, "buyLmt": buy, "sellLmt": sell, "ts": str(self.now_ns // 1_000_000)}
