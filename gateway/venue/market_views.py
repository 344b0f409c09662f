"""The two markets as the exchange link looks at them: the synthetic one (arrays) and a tape (texts)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.units import UnitsError, parse_fixed, parse_units
from gateway.venue.book_stream_kernels import gather
from gateway.venue.exchange_link import Prices
from gateway.venue.instruments import Instrument
from gateway.venue.market import TRADES_KEPT
from gateway.venue.synthetic import SyntheticExchange
from gateway.venue.tape_feed import TapeFeed

DEPTH = 200  # levels a side that the exchange sees


class SyntheticView:
    """The synthetic market. Its columns are read as plain arrays (a record scalar costs 4 us, an element 0.1 us)."""

    def __init__(self, exchange: SyntheticExchange) -> None:
        self._x = exchange
        self._row_of = exchange.row_of
        self._levels = np.zeros((1, 2, DEPTH, 2), np.int64)
        symbols = exchange.market.symbols.view(np.ndarray)
        self._versions, self._heads, self._last = symbols["version"], symbols["trade_head"], symbols["last_ticks"]
        self._marks, self._indexes, self._funding = symbols["mark"], symbols["index"], symbols["funding_e8"]

    def instruments(self) -> Mapping[str, Instrument]:
        return self._x.by_symbol

    def book_version(self, symbol: str) -> int:
        return int(self._versions[self._row_of[symbol]])

    def book(self, symbol: str) -> tuple[NDArray, NDArray]:
        row, market = self._row_of[symbol], self._x.market
        n_bids, n_asks = (gather(market, row, side, DEPTH, self._levels, 0) for side in (1, -1))
        return self._levels[0, 0, :n_bids].copy(), self._levels[0, 1, :n_asks].copy()

    def trade_count(self, symbol: str) -> int:
        return int(self._heads[self._row_of[symbol]])

    def trades(self, symbol: str, since: int) -> NDArray:
        row = self._row_of[symbol]
        head = int(self._heads[row])
        ring = self._x.market.trades[row]
        chosen = ring[np.arange(max(since, head - TRADES_KEPT), head) % TRADES_KEPT]
        return np.column_stack([chosen["ticks"], chosen["lots"], chosen["side"]]).astype(np.int64)

    def last_ticks(self, symbol: str) -> int:
        return int(self._last[self._row_of[symbol]])

    def prices(self, symbol: str) -> Prices:
        row = self._row_of[symbol]
        scale = 10 ** (10 - self._x.by_symbol[symbol].price_exp)
        return Prices(int(self._marks[row]) * scale, int(self._indexes[row]) * scale, int(self._funding[row]) * 100)


class TapeView:
    """A tape: the deepest book topic of a symbol, its trades and its merged ticker. Nothing before it has played."""

    def __init__(self, feed: TapeFeed) -> None:
        self._feed = feed
        self._instruments = {instrument.symbol: instrument for instrument in feed.instruments}

    def instruments(self) -> Mapping[str, Instrument]:
        return self._instruments

    def _deepest(self, symbol: str) -> Any:
        books = [book for topic, book in self._feed.state.books.items() if topic.endswith(f".{symbol}") and book.last]
        return max(books, key=lambda book: len(book.sides[0]), default=None)

    def book_version(self, symbol: str) -> int:
        book = self._deepest(symbol)
        return book.changes if book is not None else 0

    def book(self, symbol: str) -> tuple[NDArray, NDArray]:
        book, instrument = self._deepest(symbol), self._instruments[symbol]
        if book is None:
            return np.zeros((0, 2), np.int64), np.zeros((0, 2), np.int64)
        bids, asks = book.levels(DEPTH)
        return steps_of(bids, instrument), steps_of(asks, instrument)

    def trade_count(self, symbol: str) -> int:
        return self._feed.state.trade_counts.get(f"publicTrade.{symbol}", 0)

    def trades(self, symbol: str, since: int) -> NDArray:
        topic, instrument = f"publicTrade.{symbol}", self._instruments[symbol]
        kept = self._feed.state.trades.get(topic, ())
        wanted = min(len(kept), self._feed.state.trade_counts.get(topic, 0) - since)
        chosen = list(kept)[len(kept) - wanted:]
        sides = [1 if trade["S"] == "Buy" else -1 for trade in chosen]
        return steps_of([[trade["p"], trade["v"]] for trade in chosen], instrument, sides)

    def last_ticks(self, symbol: str) -> int:
        rows = self.trades(symbol, self.trade_count(symbol) - 1)
        return int(rows[-1, 0]) if len(rows) else 0

    def prices(self, symbol: str) -> Prices | None:
        """From the ticker; a tape without one has its last trade for mark and index."""
        known = self._feed.state.tickers.get(f"tickers.{symbol}", {}).get("data", {})
        mark = fixed(known.get("markPrice"), 10)
        if mark == 0:
            trades = self._feed.state.trades.get(f"publicTrade.{symbol}")
            mark = fixed(trades[-1]["p"], 10) if trades else 0
        return Prices(mark, fixed(known.get("indexPrice"), 10) or mark, fixed(known.get("fundingRate"), 10)) if mark else None


def steps_of(levels: list[list[str]], instrument: Instrument, sides: list[int] | None = None) -> NDArray:
    """int64[n, 2] ticks and lots of texts (with sides int64[n, 3]); what is off the grid of the contract is left out."""
    found = []
    for place, (price, size) in enumerate(levels):
        try:
            ticks = parse_units(price, instrument.tick_mant, instrument.price_exp)
            lots = parse_units(size, instrument.lot_mant, instrument.qty_exp)
        except UnitsError:
            continue
        found.append((ticks, lots) if sides is None else (ticks, lots, sides[place]))
    return np.array(found, np.int64).reshape(-1, 3 if sides is not None else 2)


def fixed(text: Any, exp: int) -> int:
    """A decimal text as a number of 10**-exp; 0 where there is none."""
    if not isinstance(text, str) or not text:
        return 0
    try:
        return parse_fixed(text, exp, signed=True)
    except UnitsError:
        return 0
