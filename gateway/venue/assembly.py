"""A whole venue put together: market, public side, private side, scenarios, faults, control. The process and the tests
build it here, so that both run the same thing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from core.sim.queue_model import QueueModel
from gateway.venue.account_faults import account_faults
from gateway.venue.accounts import Accounts, order_key
from gateway.venue.clients import MAX_BUFFERED_BYTES
from gateway.venue.clock import VenueClock
from gateway.venue.control import control_paths
from gateway.venue.fault_file import FaultSchedule, ScheduledFault
from gateway.venue.faults import Faults
from gateway.venue.market_views import SyntheticView, TapeView
from gateway.venue.private_side import PrivateSide
from gateway.venue.scenarios import ScenarioEngine, Timeline
from gateway.venue.server import VenueServer
from gateway.venue.synthetic_feed import SyntheticFeed
from gateway.venue.tape_feed import TapeFeed
from gateway.venue.truth import Truth

DEPOSIT_USDT = 10_000


@dataclass(frozen=True)
class VenueOptions:
    """What a venue is made of beside its market. accounts 0: no private side at all. latency_ms: how much later the
    requests on the WebSockets arrive (0: at once, as without a network)."""

    seed: int = 1
    accounts: int = 1
    deposit_usdt: int = DEPOSIT_USDT
    port: int = 0
    max_buffered_bytes: int = MAX_BUFFERED_BYTES
    latency_ms: int = 0
    queue_model: QueueModel = QueueModel.RISK_AVERSE
    timeline: Timeline = field(default_factory=Timeline)
    faults: Sequence[ScheduledFault] = ()


class Venue:
    """All parts of one venue. Build it inside the event loop; `start`, then `server.run`."""

    def __init__(self, feed: SyntheticFeed | TapeFeed, options: VenueOptions, clock: VenueClock | None = None) -> None:
        self.feed = feed
        self.truth = Truth()
        self.server = server = VenueServer(
            feed, port=options.port, max_buffered_bytes=options.max_buffered_bytes, seed=options.seed, clock=clock,
        )
        server.hub.now_ms = server.clock.now_ms()
        server.hub.latency_ms = options.latency_ms
        self.accounts = Accounts(options.accounts, options.seed, server.hub.now_ms)
        exchange = feed.exchange if isinstance(feed, SyntheticFeed) else None
        self.private: PrivateSide | None = None
        if options.accounts:
            market = SyntheticView(feed.exchange) if isinstance(feed, SyntheticFeed) else TapeView(feed)
            self.private = server.private = PrivateSide(
                market, self.accounts, now_ms=server.hub.now_ms, seed=options.seed, deposit_usdt=options.deposit_usdt,
                counters=server.counters, rules=server.rules, postponed=server.postponed, clock=server.clock,
                max_buffered_bytes=options.max_buffered_bytes, queue_model=options.queue_model,
            )
            self.private.hub.latency_ms = options.latency_ms
        actions = account_faults(self.private, exchange) if self.private is not None else {}
        hub = self.private.hub if self.private is not None else None
        self.faults = Faults(server.hub, self.truth, exchange, hub, server.clock, actions, server.suspend)
        self.schedule = FaultSchedule(options.faults, self.faults, self.truth, server.hub.now_ms)
        server.before_step = self.schedule.advance
        self.scenario: ScenarioEngine | None = None
        if isinstance(feed, SyntheticFeed):
            self.scenario = feed.scenario = ScenarioEngine(feed.exchange, options.timeline, self.truth, self.faults)
        else:
            feed.hub = server.hub

    async def start(self) -> None:
        """Open the ports. Raises OSError when one is taken."""
        control = control_paths(self.server.hub, self.truth, self.faults, self.scenario, self.status)
        control["POST", "key"] = lambda body: order_key(self.accounts, body, self.server.clock.now_ms())
        await self.server.start(control)

    def status(self) -> dict[str, Any]:
        """Figures of the feed and of the private side, for GET /venue/status."""
        found = self.feed.status()
        if self.private is not None:
            link = self.private.link
            found |= {
                "accounts": len(self.accounts.uids), "private_clients": len(self.private.hub.clients),
                "watched": link.watched, "looks": link.looks, "private_calls": self.private.rest.calls,
                "ret_codes": {str(code): count for code, count in self.private.rest.refused.items()},
            }
        return found

    def announced(self) -> dict[str, Any]:
        """The addresses and accounts that the first line of the process tells."""
        found: dict[str, Any] = dict(self.server.addresses)
        found["accounts"] = self.accounts.announced()
        return found
