"""The synthetic exchange as a feed of the server: scenarios first, then the step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.venue.contract_answers import ContractAnswers
from gateway.venue.rest import Answer
from gateway.venue.rest_answers import MarketAnswers
from gateway.venue.scenarios import ScenarioEngine
from gateway.venue.synthetic import SyntheticExchange


class SyntheticFeed:
    """`scenario` may be set once the server (whose hub faults need) exists."""

    def __init__(self, exchange: SyntheticExchange) -> None:
        self.exchange = self.source = exchange
        self.scenario: ScenarioEngine | None = None

    def advance(self, now_ms: int) -> list[tuple[Any, Any]]:
        if self.scenario is not None:
            self.scenario.advance(now_ms)
        return self.exchange.step(now_ms)

    def answers(self) -> Mapping[str, Answer]:
        market, x = MarketAnswers(self.exchange), self.exchange
        contracts = ContractAnswers(
            lambda: {instrument.symbol: instrument for instrument in x.instruments}, lambda: x.now_ms,
            lambda symbol: x.settled.get(x.row_of[symbol], []),
            lambda symbol: int(x.market.symbols["open_interest"][x.row_of[symbol]]),
        )
        return {
            **contracts.answers(),
            "instruments-info": market.instruments, "orderbook": market.orderbook, "tickers": market.tickers,
            "kline": market.kline, "recent-trade": market.recent_trade,
        }

    def status(self) -> dict[str, Any]:
        return {"market": "synthetic", "symbols": len(self.exchange.instruments), "seed": self.exchange.seed}
