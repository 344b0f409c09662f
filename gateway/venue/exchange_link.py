"""The venue's market feeds the exchange: books, trades, mark and index prices, funding rates of the symbols that matter.

A symbol matters (is *watched*) while some account has an order or a position in it; for the others nothing is done, not
even a look. An operation on a symbol that is not watched brings the exchange's picture of it up to date first
(`touch`). Time is that of the market's last step, so the same requests between the same steps do the same.

    market step -> ExchangeLink.step -> Exchange.on_trades, on_book, on_prices, advance -> events -> private stream
    request     -> VenueExchange.create_order, ... (where faults strike) -> Exchange     -> events -> private stream
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from core.constants import NS_PER_MS
from core.sim.exchange import Exchange
from core.sim.exchange_types import OPEN_STATUSES, Event, OrderUpdate, PositionUpdate
from gateway.venue.instrument_specs import spec_of
from gateway.venue.instruments import Instrument

TIMER_NS = 60_000_000_000  # funding instants are whole minutes: the exchange's timers are looked at as often


class Prices(NamedTuple):
    """Mark and index price, 1e-10 USDT; the funding rate, 1e-10."""

    mark_e10: int
    index_e10: int
    funding_e10: int


class MarketView(Protocol):
    """What the link asks of a market. Books and trades in ticks and lots; a version changes with the book."""

    def instruments(self) -> Mapping[str, Instrument]: ...
    def book_version(self, symbol: str) -> int: ...
    def book(self, symbol: str) -> tuple[NDArray, NDArray]: ...
    def trade_count(self, symbol: str) -> int: ...
    def trades(self, symbol: str, since: int) -> NDArray: ...
    def last_ticks(self, symbol: str) -> int: ...
    def prices(self, symbol: str) -> Prices | None: ...


class _Fed(NamedTuple):
    """What the exchange has been told of a symbol."""

    version: int
    trades: int
    prices: Prices | None


class ExchangeLink:
    """Feeds `exchange` from `market`."""

    def __init__(self, exchange: Exchange, market: MarketView, now_ms: int) -> None:
        self.exchange = exchange
        self.market = market
        self.now_ns = now_ms * NS_PER_MS
        self.looks = 0  # how often a symbol's market was looked at (nothing for symbols nobody holds)
        self._fed: dict[str, _Fed] = {}
        self._orders: dict[str, set[str]] = {}  # symbol -> open order ids
        self._held: dict[str, set[tuple[int, int]]] = {}  # symbol -> (account, position idx) that are not flat
        self._listed: set[str] = set()
        exchange.advance(self.now_ns)

    # -- the market --------------------------------------------------------------------------------------------------
    def step(self, now_ms: int) -> None:
        """After a step of the market: tell the exchange of the watched symbols; forget the others."""
        before, self.now_ns = self.now_ns, max(self.now_ns, now_ms * NS_PER_MS)
        if self._fed:
            for symbol in list(self._fed):
                if symbol in self._orders or symbol in self._held:
                    self._feed(symbol)
                else:
                    del self._fed[symbol]
        if self.now_ns // TIMER_NS != before // TIMER_NS:
            self.exchange.advance(self.now_ns)

    def drain(self) -> list[Event]:
        """Everything that happened since the last call; keeps account of which symbols matter."""
        events = self.exchange.drain()
        for event in events:
            if isinstance(event, OrderUpdate):
                order = event.order
                change(self._orders, order.symbol, order.order_id, order.status in OPEN_STATUSES)
            elif isinstance(event, PositionUpdate):
                position = event.position
                change(self._held, position.symbol, (event.uid, position.position_idx), position.lots > 0)
        return events

    @property
    def watched(self) -> list[str]:
        return sorted(self._fed)

    def touch(self, symbol: str) -> None:
        """Make the exchange's picture of a symbol that of the market's last step. Unknown symbols are left alone; known
        ones are listed at the exchange with their first use, because each takes 90 kB there."""
        if symbol in self._fed:
            return
        if symbol not in self._listed:
            contract = self.market.instruments().get(symbol)
            if contract is None:
                return
            self.exchange.add_instrument(spec_of(contract))
            self.exchange.advance(self.now_ns)  # sets its next funding instant
            self._listed.add(symbol)
        self._fed[symbol] = _Fed(-1, self.market.trade_count(symbol), None)
        last = self.market.last_ticks(symbol)
        if last:
            self.exchange.on_trades(self.now_ns, symbol, np.array([[last, 0, 0]], np.int64))  # a price, no trade
        self._feed(symbol)

    def look_again(self, symbol: str) -> None:
        """Tell the exchange the whole book again (a fault had shown it another one)."""
        if symbol in self._fed:
            self._fed[symbol] = self._fed[symbol]._replace(version=-1)
            self._feed(symbol)

    def _feed(self, symbol: str) -> None:
        """Trades first, then the book they left, then the prices: as a client of the public stream sees it."""
        market, exchange, fed = self.market, self.exchange, self._fed[symbol]
        self.looks += 1
        count = market.trade_count(symbol)
        if count > fed.trades:
            exchange.on_trades(self.now_ns, symbol, market.trades(symbol, fed.trades))
        version = market.book_version(symbol)
        if version != fed.version:
            bids, asks = market.book(symbol)
            exchange.on_book(self.now_ns, symbol, bids, asks, True)
        prices = market.prices(symbol)
        if prices is not None and prices != fed.prices:
            exchange.on_prices(self.now_ns, symbol, prices.mark_e10, prices.index_e10)
            exchange.on_funding_rate(symbol, prices.funding_e10)
        self._fed[symbol] = _Fed(version, count, prices)


def change(sets: dict[str, set[Any]], symbol: str, member: Any, present: bool) -> None:
    """Put a member into the set of a symbol or take it out; empty sets go."""
    if present:
        sets.setdefault(symbol, set()).add(member)
    elif symbol in sets:
        sets[symbol].discard(member)
        if not sets[symbol]:
            del sets[symbol]
