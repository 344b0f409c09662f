"""A whole private side in virtual time: a synthetic market, the exchange behind its link, REST; no socket, no clock."""

from __future__ import annotations

from typing import Any

import numpy as np

from core.sim.margin_types import AccountSpec
from gateway.venue.accounts import Accounts
from gateway.venue.exchange_link import ExchangeLink
from gateway.venue.fault_rules import FaultRules
from gateway.venue.market_views import SyntheticView
from gateway.venue.private_rest import PrivateRest
from gateway.venue.private_rest_endpoints import endpoints
from gateway.venue.private_venue import PrivateVenue
from gateway.venue.rate_limits import RateLimits
from gateway.venue.venue_exchange import VenueExchange
from tests.gateway.venue.private_client import Client, first_key
from tests.gateway.venue.running import START_MS, new_exchange

E8 = 100_000_000
DEPOSIT_USDT = 100_000
BTC = "BTCUSDT"


class PrivateWorld:
    """`client(n)` speaks as account n; time moves only with `run`, and the rate limits not at all unless asked for."""

    def __init__(self, symbols: int = 6, accounts: int = 2, seed: int = 1, limits: RateLimits | None = None,
                 deposit_usdt: int = DEPOSIT_USDT, start_ms: int = START_MS) -> None:
        self.market = new_exchange(symbols, seed, start_ms=start_ms)
        self.accounts = Accounts(accounts, seed, self.market.now_ms)
        self.faults = FaultRules(seed=seed, now_ms=self.market.now_ms)
        self.exchange = VenueExchange(seed=seed, rules=self.faults)
        for uid in self.accounts.uids:
            self.exchange.add_account(uid, AccountSpec(deposit_e8=deposit_usdt * E8))
        self.link = ExchangeLink(self.exchange, SyntheticView(self.market), self.market.now_ms)
        self.events: list[Any] = []
        self.venue = PrivateVenue(self.link)
        self.rest = PrivateRest(
            self.accounts, limits or RateLimits(0), self.faults, endpoints(self.venue), self._after
        )
        self.run(1.0)

    def _after(self) -> None:
        self.events += self.link.drain()

    def client(self, number: int = 0) -> Client:
        return Client(self.rest, first_key(self.accounts, number), self.now_ns)

    @property
    def now_ns(self) -> int:
        return self.market.now_ms * 1_000_000

    def run(self, seconds: float) -> None:
        """Let the market move."""
        for _ in range(round(seconds * 100)):
            self.market.step(self.market.now_ms + 10)
            self.faults.now_ms = self.market.now_ms
            self.events += self.link.step(self.market.now_ms) or []
        self.events += self.link.drain()

    def quote(self, symbol: str = BTC) -> tuple[int, int]:
        """Best bid and ask in ticks."""
        s = self.market.market.symbols[self.market.row_of[symbol]]
        return int(s.best_bid), int(s.best_ask)

    def price(self, factor: float, symbol: str = BTC) -> str:
        """A price on the grid, so many times the best bid."""
        instrument = self.venue.instruments[symbol]
        ticks = round(self.quote(symbol)[0] * factor)
        return str(round(ticks * instrument.tick_size, instrument.price_exp))

    def empty_symbol(self) -> str:
        """A symbol whose book is empty as far as the exchange knows."""
        symbol = self.market.instruments[-1].symbol
        nothing = np.zeros((0, 2), np.int64)
        self.link.touch(symbol)
        self.exchange.on_book(self.now_ns, symbol, nothing, nothing, True)
        return symbol
