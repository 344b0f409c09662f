"""Compile (or load from the cache) every kernel of the venue before it opens its doors."""

from __future__ import annotations

from typing import Any

from gateway.venue.accounts import Accounts
from gateway.venue.clients import MAX_BUFFERED_BYTES, Counters, Postponed
from gateway.venue.clock import VenueClock
from gateway.venue.fault_rules import FaultRules
from gateway.venue.faults import Faults
from gateway.venue.hub import Hub
from gateway.venue.instruments import synthetic_instruments, text_of
from gateway.venue.market_views import SyntheticView
from gateway.venue.private_side import PrivateSide
from gateway.venue.rest_answers import MarketAnswers
from gateway.venue.scenarios import Event, ScenarioEngine, Timeline
from gateway.venue.streams import KINDS, STEP_MS
from gateway.venue.synthetic import SyntheticExchange
from gateway.venue.truth import Truth

WARM_STEPS = 120
START_MS = 1_700_000_000_000


def warm_up() -> None:
    """Run a two-symbol exchange for a moment with every topic on and a wall in the book."""
    exchange = SyntheticExchange(synthetic_instruments(2, 1), 1, START_MS)
    hub = Hub(exchange, Counters())
    truth = Truth()
    events = (Event(0.0, "absorbed_wall", "ETHUSDT"), Event(0.1, "spoof", "BTCUSDT", {"times": 1, "wait_s": 0.2}))
    scenario = ScenarioEngine(exchange, Timeline(events), truth, Faults(hub, truth, exchange))
    for kind in range(KINDS):
        exchange.activate((kind, 0))
        exchange.snapshot((kind, 0))
    for step in range(1, WARM_STEPS + 1):
        now_ms = exchange.start_ms + step * STEP_MS
        scenario.advance(now_ms)
        exchange.step(now_ms)
    answers = MarketAnswers(exchange)
    answers.tickers({"category": "linear"})
    answers.orderbook({"category": "linear", "symbol": "ETHUSDT"})


def warm_up_private() -> None:
    """Orders of two accounts in a two-symbol market: resting, taking, meeting each other, conditional, amended, ended."""
    market = SyntheticExchange(synthetic_instruments(2, 1), 1, START_MS)
    side = PrivateSide(
        SyntheticView(market), Accounts(2, 1, START_MS), now_ms=START_MS, seed=1, deposit_usdt=100_000, counters=Counters(),
        rules=FaultRules(), postponed=Postponed(), clock=VenueClock(), max_buffered_bytes=MAX_BUFFERED_BYTES,
    )
    keys = [side.accounts.accounts[uid].keys[0] for uid in side.accounts.uids]

    def order(account: int, op: str, **fields: Any) -> str:
        body = {"category": "linear", "symbol": "BTCUSDT", **fields}
        answer = side.rest.call(op, keys[account], body, market.now_ms)
        assert answer.code == 0, answer
        return str(answer.result["orderId"])

    def limit(account: int, direction: str, ticks: int, qty: str = "0.01", **fields: Any) -> str:
        price = text_of(ticks * instrument.tick_mant, instrument.price_exp)
        return order(account, "order.create", side=direction, orderType="Limit", qty=qty, price=price, **fields)

    instrument = market.by_symbol["BTCUSDT"]
    for step in range(1, WARM_STEPS + 1):
        market.step(START_MS + step * STEP_MS)
        side.step(market.now_ms)
        if step == 2:
            side.link.touch("BTCUSDT")
            bid = int(side.link.market.book("BTCUSDT")[0][0, 0])
            resting = [limit(0, "Buy", bid), limit(1, "Sell", bid + 400), limit(0, "Buy", bid - 300)]
            limit(1, "Sell", bid, "0.005", timeInForce="FOK")
            limit(1, "Buy", bid + 4000, timeInForce="PostOnly")
            order(0, "order.create", side="Buy", orderType="Market", qty="0.01")
            order(1, "order.create", side="Buy", orderType="Market", qty="0.01", triggerDirection=2,
                  triggerPrice=text_of((bid - 500) * instrument.tick_mant, instrument.price_exp))
            order(0, "order.amend", orderId=resting[2], qty="0.005")
            order(0, "order.cancel", orderId=resting[2])
