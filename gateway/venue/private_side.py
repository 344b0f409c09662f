"""The private side of a venue in one piece: accounts, exchange behind its link, private and trade connections, REST."""

from __future__ import annotations

from core.sim.margin_types import AccountSpec, MarginMode
from core.sim.queue_model import QueueModel
from gateway.venue.accounts import Accounts
from gateway.venue.clients import Counters, Postponed
from gateway.venue.clock import VenueClock
from gateway.venue.exchange_link import ExchangeLink, MarketView
from gateway.venue.fault_rules import FaultRules
from gateway.venue.private_hub import PrivateHub
from gateway.venue.private_messages import Batcher
from gateway.venue.private_rest import PrivateRest
from gateway.venue.private_rest_endpoints import endpoints
from gateway.venue.private_venue import PrivateVenue
from gateway.venue.rate_limits import RateLimits
from gateway.venue.venue_exchange import VenueExchange

E8 = 100_000_000


class PrivateSide:
    """Owned by the event loop; `step` follows every step of the market, `pump` every request.

    deposit_usdt: what every account begins with. What happens while a trade request is being answered is published
    after its answer.
    """

    def __init__(self, market: MarketView, accounts: Accounts, *, now_ms: int, seed: int, deposit_usdt: int,
                 counters: Counters, rules: FaultRules, postponed: Postponed, clock: VenueClock,
                 max_buffered_bytes: int, queue_model: QueueModel = QueueModel.RISK_AVERSE) -> None:
        self.accounts = accounts
        self.exchange = exchange = VenueExchange(rules, seed, queue_model)
        for uid in accounts.uids:
            exchange.add_account(uid, AccountSpec(deposit_e8=deposit_usdt * E8))
        self.link = ExchangeLink(exchange, market, now_ms)
        exchange.book_of, exchange.look_again = market.book, self.link.look_again
        self.limits = RateLimits()
        self.venue = PrivateVenue(self.link)
        market_answers = {"price-limit": self.venue.price_limit}
        self.rest = PrivateRest(accounts, self.limits, rules, endpoints(self.venue), self.pump, market_answers)
        self.hub = PrivateHub(accounts, self.rest, clock, counters, rules, postponed, max_buffered_bytes)
        self.hub.pump = self.pump
        self._batcher = Batcher(market.instruments, lambda uid: exchange.account(uid).margin_mode is MarginMode.ISOLATED)
        self.pump()  # deposits are no news

    def step(self, now_ms: int) -> None:
        self.link.step(now_ms)
        self.pump()

    def pump(self) -> None:
        """Publish what has happened at the exchange since the last call."""
        if self.hub.answering:
            return
        events = self.link.drain()
        if events:
            heard = self.hub.heard()
            self.hub.publish(self._batcher.messages(event for event in events if event.uid in heard))
