"""Compile (or load from the cache) every kernel of the venue before it opens its doors."""

from __future__ import annotations

from gateway.venue.faults import Faults
from gateway.venue.hub import Counters, Hub
from gateway.venue.instruments import synthetic_instruments
from gateway.venue.rest_answers import MarketAnswers
from gateway.venue.scenarios import Event, ScenarioEngine, Timeline
from gateway.venue.streams import KINDS, STEP_MS
from gateway.venue.synthetic import SyntheticExchange
from gateway.venue.truth import Truth

WARM_STEPS = 120


def warm_up() -> None:
    """Run a two-symbol exchange for a moment with every topic on and a wall in the book."""
    exchange = SyntheticExchange(synthetic_instruments(2, 1), 1, 1_700_000_000_000)
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
