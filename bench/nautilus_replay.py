"""Run by the Python of a separate environment that has nautilus_trader; started and asked by `bench_replay.py`.

    {"do": "load", "rows": [FILE.npy, ..]}            as in hftbacktest_replay.py; makes one OrderBookDeltas per frame
    {"do": "books", "how": "engine" | "book", "books": bool}
    {"do": "convert", "lines": FILE.jsonl}            frames as lines of Bybit's archive, through its Bybit loader and wrangler

"engine": BacktestEngine, a strategy that subscribes to the deltas and has the data engine keep the book; the simulated
exchange keeps one too. "book": only `OrderBook.apply_deltas` in a loop. `ns` is CPU time of this process; building the
objects, adding them and the start of the engine are excluded. Logging is off.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
import zipfile
from decimal import Decimal
from pathlib import Path

import numpy as np
from nautilus_trader.adapters.bybit.loaders import BybitOrderBookDeltaDataLoader
from nautilus_trader.backtest.config import BacktestEngineConfig
from nautilus_trader.backtest.engine import BacktestEngine
from nautilus_trader.config import LoggingConfig
from nautilus_trader.model.book import OrderBook
from nautilus_trader.model.currencies import BTC, USDT
from nautilus_trader.model.data import BookOrder, OrderBookDelta, OrderBookDeltas
from nautilus_trader.model.enums import AccountType, BookAction, BookType, OmsType, OrderSide, RecordFlag
from nautilus_trader.model.identifiers import InstrumentId, Symbol, Venue
from nautilus_trader.model.instruments import CryptoPerpetual
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.persistence.wranglers import OrderBookDeltaDataWrangler
from nautilus_trader.trading.strategy import Strategy

VENUE = Venue("BYBIT")
SIDES = {1: OrderSide.BUY, 2: OrderSide.SELL}


def instrument_of(name, price_digits=0, size_digits=0):
    return CryptoPerpetual(
        instrument_id=InstrumentId(Symbol(name), VENUE), raw_symbol=Symbol(name), base_currency=BTC, quote_currency=USDT,
        settlement_currency=USDT, is_inverse=False, price_precision=price_digits, size_precision=size_digits,
        price_increment=Price(10.0**-price_digits, price_digits), size_increment=Quantity(10.0**-size_digits, size_digits),
        ts_event=0, ts_init=0, margin_init=Decimal("0.1"), margin_maint=Decimal("0.1"), maker_fee=Decimal("0.0002"),
        taker_fee=Decimal("0.0007"),
    )


def deltas_of(instrument, rows):
    """One OrderBookDeltas per frame."""
    frames, gathered = [], []
    last = len(rows) - 1
    for at, (ts, kind, price, lots, frame) in enumerate(rows.tolist()):
        ends = at == last or rows[at + 1, 4] != frame
        order = BookOrder(SIDES[kind], Price(price, 0), Quantity(lots, 0), 0)
        action = BookAction.UPDATE if lots else BookAction.DELETE
        gathered.append(OrderBookDelta(instrument.id, action, order, RecordFlag.F_LAST if ends else 0, frame, ts, ts))
        if ends:
            frames.append(OrderBookDeltas(instrument.id, gathered))
            gathered = []
    return frames


class Reader(Strategy):
    """Has the data engine keep the book of each instrument."""

    def __init__(self, instruments):
        super().__init__()
        self.wanted = instruments

    def on_start(self):
        for instrument in self.wanted:
            self.subscribe_order_book_deltas(instrument.id, book_type=BookType.L2_MBP, managed=True)


def levels(book):
    found = [[1, round(level.price.as_double()), round(level.size())] for level in book.bids()]
    return sorted(found + [[2, round(level.price.as_double()), round(level.size())] for level in book.asks()],
                  key=lambda row: (row[1], row[0]))


class Replay:
    def __init__(self):
        self.instruments, self.frames, self.events = [], [], 0

    def load(self, rows):
        begin = time.process_time_ns()
        self.instruments = [instrument_of(f"S{k}USDT") for k in range(len(rows))]
        self.frames = []
        for instrument, path in zip(self.instruments, rows, strict=True):
            read = np.load(path)
            read = read[read[:, 1] < 3]
            self.events += len(read)
            self.frames.append(deltas_of(instrument, read))
        return {"events": self.events, "ns": time.process_time_ns() - begin}

    def books(self, how, books):
        return self._engine(books) if how == "engine" else self._book(books)

    def _engine(self, books):
        engine = BacktestEngine(config=BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True)))
        engine.add_venue(venue=VENUE, oms_type=OmsType.NETTING, account_type=AccountType.MARGIN, base_currency=None,
                         starting_balances=[Money(1_000_000, USDT)], book_type=BookType.L2_MBP)
        for instrument, frames in zip(self.instruments, self.frames, strict=True):
            engine.add_instrument(instrument)
            engine.add_data(frames)
        engine.add_strategy(Reader(self.instruments))
        begin = time.process_time_ns()
        engine.run()
        spent = time.process_time_ns() - begin
        found = [levels(engine.cache.order_book(i.id)) for i in self.instruments] if books else []
        engine.dispose()
        return {"ns": spent, "books": found}

    def _book(self, books):
        kept = [OrderBook(i.id, BookType.L2_MBP) for i in self.instruments]
        begin = time.process_time_ns()
        for book, frames in zip(kept, self.frames, strict=True):
            for frame in frames:
                book.apply_deltas(frame)
        spent = time.process_time_ns() - begin
        return {"ns": spent, "books": [levels(book) for book in kept] if books else []}

    def convert(self, lines, price_digits, size_digits):
        """Loader, wrangler and engine, of one symbol."""
        with tempfile.TemporaryDirectory() as folder:
            packed = Path(folder) / "day.zip"
            with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as out:
                out.write(lines, "day.data")
            begin = time.process_time_ns()
            table = BybitOrderBookDeltaDataLoader.load(packed)
            instrument = instrument_of(table["instrument_id"].iloc[0].removesuffix(".BYBIT"), price_digits, size_digits)
            deltas = OrderBookDeltaDataWrangler(instrument).process(table)
            spent = time.process_time_ns() - begin
        return {"ns": spent, "events": len(deltas)}


def main():
    replay = Replay()
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        what = json.loads(line)
        answer = getattr(replay, what.pop("do"))(**what)
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
