"""What the private side adds to a step of the synthetic market: nothing for symbols without own orders or positions.

A step is 10 ms of market time for all symbols. Candidates, in turn: the bare market; the market with the link and its
accounts but no order; with a resting order in 1, 10 and 40 symbols (each is then looked at after every step: trades,
200 levels a side, prices). Figures are the cost of the link alone (`ExchangeLink.step` and the drain), per step and
per watched symbol.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from statistics import median

from bench.harness import Bench
from core.sim.exchange_types import OrderRequest, OrderType
from gateway.venue.accounts import Accounts
from gateway.venue.clients import MAX_BUFFERED_BYTES, Counters, Postponed
from gateway.venue.clock import VenueClock
from gateway.venue.fault_rules import FaultRules
from gateway.venue.instrument_specs import spec_of
from gateway.venue.instruments import synthetic_instruments
from gateway.venue.market_views import SyntheticView
from gateway.venue.private_side import PrivateSide
from gateway.venue.streams import STEP_MS
from gateway.venue.synthetic import SyntheticExchange

START_MS = 1_786_310_760_000
SYMBOLS, SEED = 100, 7


def private_side(market: SyntheticExchange) -> PrivateSide:
    return PrivateSide(
        SyntheticView(market), Accounts(1, SEED, START_MS), now_ms=START_MS, seed=SEED, deposit_usdt=1_000_000,
        counters=Counters(), rules=FaultRules(SEED), postponed=Postponed(), clock=VenueClock(),
        max_buffered_bytes=MAX_BUFFERED_BYTES,
    )


def rest_far_away(side: PrivateSide, symbol: str) -> None:
    """A buy order some percent below the market: watched, and never filled."""
    side.link.touch(symbol)
    best = int(side.link.market.book(symbol)[0][0, 0])
    spec = spec_of(side.link.market.instruments()[symbol])
    lots = max(spec.min_qty_lots, 1 + 20 * 10**spec.qty_exp * 10**spec.price_exp // (best * spec.tick_mant * spec.lot_mant))
    request = OrderRequest(symbol=symbol, side=1, order_type=OrderType.LIMIT, qty_lots=lots, price_ticks=best * 97 // 100)
    answer = side.link.exchange.create_order(side.link.now_ns, side.accounts.uids[0], request)
    assert answer.ret_code == 0, answer


def main(argv: Sequence[str] | None = None) -> int:
    bench = Bench("bench_venue_link", argv, "sockets, encoding and delivery of frames; the public streams (nobody listens)")
    steps = 200 if bench.small else 3000
    counts = (0, 1, 10) if bench.small else (0, 1, 10, 40)
    symbols = 20 if bench.small else SYMBOLS
    for watched in counts:
        market = SyntheticExchange(synthetic_instruments(symbols, SEED), SEED, START_MS)
        side = private_side(market)
        for symbol in list(market.row_of)[:watched]:
            rest_far_away(side, symbol)
        side.pump()
        link_ns, market_ns = [], []
        for step in range(1, steps + 1):
            now_ms = START_MS + step * STEP_MS
            begun = time.perf_counter_ns()
            market.step(now_ms)
            done = time.perf_counter_ns()
            side.step(now_ms)
            link_ns.append(time.perf_counter_ns() - done)
            market_ns.append(done - begun)
        assert len(side.link.watched) == watched
        if watched == 0:
            bench.figure(f"market step, {symbols} symbols", median(market_ns) / 1000, "us")
        bench.figure(f"link step, {watched} watched", median(link_ns) / 1000, "us", "<= 2" if watched == 0 else "")
        if watched:
            bench.figure(f"  per watched symbol ({watched})", median(link_ns) / 1000 / watched, "us")
        bench.digest(f"{watched} watched: looks {side.link.looks}, seq {[int(s.seq) for s in market.market.symbols[:3]]}")
    return bench.finish()


if __name__ == "__main__":
    sys.exit(main())
