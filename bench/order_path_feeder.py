"""The two processes around `bench_order_path`: an exchange with generous rate limits, and a shard that asks for entries
at due times and for exits once it has a position.

Both are started with `multiprocessing` (spawn), so that they share no interpreter with the process that is measured.
"""

from __future__ import annotations

import asyncio
import random
import time
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from config.schema import Fees, Symbols
from core.enums import DataState, FeedState, MessageKind, ReportKind
from core.orders.wire import SYNC_RESTART, Message, read_reports, write_messages
from core.records import REPORT, SYMBOL_ROW
from core.units import parse_units
from gateway.bybit.universe import Selector, Universe
from gateway.rest import PublicRest
from gateway.venue.assembly import Venue, VenueOptions
from gateway.venue.instruments import synthetic_instruments
from gateway.venue.synthetic import SyntheticExchange
from gateway.venue.synthetic_feed import SyntheticFeed
from gateway.venue.warm import warm_up, warm_up_private
from shm.topology import Plant

RATE_FACTOR = 1000
HOLD_NS = 30_000_000
QUOTE_EVERY_NS = 200_000_000
STUCK_NS = 20_000_000_000


def venue(pipe: Connection, symbols: int, seed: int) -> None:
    """Serve an exchange until the pipe is closed; sends its addresses first."""
    warm_up()
    warm_up_private()

    async def life() -> None:
        feed = SyntheticFeed(SyntheticExchange(synthetic_instruments(symbols, seed), seed, time.time_ns() // 1_000_000, 0.2))
        made = Venue(feed, VenueOptions(seed=seed, accounts=1, deposit_usdt=10_000_000))
        assert made.private is not None
        made.private.rest.limits.factor = RATE_FACTOR
        await made.start()
        pipe.send(made.announced())
        loop = asyncio.get_running_loop()
        loop.run_in_executor(None, lambda: (pipe.poll(None), loop.call_soon_threadsafe(made.server.stopping.set)))
        await made.server.run()
        await made.server.stop()

    asyncio.run(life())


class Feeder:
    """One symbol after the other: ENTER when due and idle, EXIT when held for a while, idle again when flat."""

    def __init__(self, run_file: str, rest: str, symbols: int) -> None:
        self.gateway = Plant.join(run_file, "gateway")
        self.shard = Plant.join(run_file, "shard", 0)
        self._rest = PublicRest(rest)
        instruments, _ = self._rest.instruments()
        universe = Universe(Symbols(), Fees(), Selector.parse(""), 1)
        universe.start(instruments, self._rest.turnover(), time.time_ns())
        self.records = universe.records[: universe.count]
        for symbol in range(universe.count):
            self.gateway.symbols().write(symbol, universe.records, symbol)
        self.names = [universe.name(symbol) for symbol in range(universe.count)]
        self._intents = self.shard.intents(0).writer()
        self._reports = self.shard.reports(0).reader()
        self._rows: np.ndarray = np.zeros(256, REPORT.dtype)
        self._touch: dict[int, tuple[int, int]] = {}
        self._quoted_ns = 0
        self.seq = 0
        self.gateway.control.set("feed_state", int(FeedState.CONNECTED))
        for process in (self.gateway, self.shard):
            process.cnc().start()

    def quote(self) -> None:
        """The touch of all symbols on the board, as a shard writes it."""
        answer = self._rest.get("/v5/market/tickers", "category=linear")
        row: np.ndarray = np.zeros(1, SYMBOL_ROW.dtype)
        for item in answer["result"]["list"]:
            symbol = self.names.index(item["symbol"])
            record = self.records[symbol]
            bid, ask = (parse_units(item[name], int(record["tick_mant"]), int(record["price_exp"]))
                        for name in ("bid1Price", "ask1Price"))
            self._touch[symbol] = bid, ask
            row[0]["symbol"], row[0]["data_state"] = symbol, int(DataState.OK)
            row[0]["bid_ticks"], row[0]["ask_ticks"], row[0]["mark_ticks"] = bid, ask, bid
            row[0]["ts_recv_ns"] = time.time_ns()
            self.shard.symbol_rows().write(symbol, row)
        self._quoted_ns = time.monotonic_ns()

    def push(self, message: Message) -> None:
        while not self._intents.push(write_messages([message]), 1):
            time.sleep(0.0001)

    def enter(self, symbol: int, due_ns: int) -> None:
        """An entry that takes at once: its price is a little through the touch."""
        self.seq += 1
        _, ask = self._touch[symbol]
        price = ask + max(1, ask // 2000)
        self.push(Message(
            seq=self.seq, ts_event_ns=time.time_ns(), mono_recv_ns=due_ns, mono_sent_ns=due_ns, decision_id=self.seq,
            price_ticks=price, stop_ticks=price - max(2, price // 200), target_ticks=price + max(2, price // 100),
            symbol=symbol, kind=int(MessageKind.ENTER), side=1,
        ))

    def exit(self, symbol: int) -> None:
        self.seq += 1
        self.push(Message(
            seq=self.seq, ts_event_ns=time.time_ns(), mono_sent_ns=time.monotonic_ns(), decision_id=self.seq, symbol=symbol,
            kind=int(MessageKind.EXIT),
        ))

    def run(self, count: int, per_s: float, seed: int) -> dict[str, Any]:
        """`count` entries at Poisson times; {due: {seq: ns}, told: [(symbol, lots, when)], refused}. The first entry of a
        symbol, before which leverage is set over REST, has no due time."""
        rng = random.Random(seed)
        idle = list(range(len(self.names)))
        held: dict[int, int] = {}
        due: dict[int, int] = {}
        told: list[tuple[int, int, int]] = []
        refused: list[int] = []
        asked: set[int] = set()
        self.push(Message(kind=int(MessageKind.NONE), reason=SYNC_RESTART))
        next_ns = time.monotonic_ns() + 1_000_000_000
        last_ns = next_ns
        while len(due) < count or held or len(idle) < len(self.names):
            now_ns = time.monotonic_ns()
            assert now_ns - last_ns < STUCK_NS, f"stuck: {len(due)} of {count} sent, {len(idle)} idle, {refused[-5:]}"
            if now_ns - self._quoted_ns > QUOTE_EVERY_NS:
                self.quote()
            if len(due) < count and now_ns >= next_ns and idle:
                symbol = idle.pop(rng.randrange(len(idle)))
                self.enter(symbol, next_ns)
                due[self.seq] = next_ns if symbol in asked else 0
                asked.add(symbol)
                next_ns += int(rng.expovariate(per_s) * 1e9)
                last_ns = now_ns
            elif len(due) < count and now_ns >= next_ns:
                next_ns = now_ns  # every symbol is busy: nobody was asked, so nothing was late
            for symbol, since_ns in list(held.items()):
                if now_ns - since_ns > HOLD_NS:
                    del held[symbol]
                    self.exit(symbol)
            for report in read_reports(self._rows, self._reports.pop(self._rows)):
                last_ns = now_ns
                if report.kind == ReportKind.POSITION and report.seq == 0:
                    told.append((report.symbol, report.qty_lots, time.monotonic_ns()))
                    if report.qty_lots and report.symbol not in held:
                        held[report.symbol] = now_ns
                    elif not report.qty_lots:
                        held.pop(report.symbol, None)
                        idle.append(report.symbol)
                elif report.kind == ReportKind.REJECTED:
                    refused.append(report.reason)
                    idle.append(report.symbol)
            time.sleep(0.00005)
        return {"due": due, "told": told, "refused": refused}


def feeder(pipe: Connection, run_file: str, rest: str, symbols: int, count: int, per_s: float, seed: int) -> None:
    """Prepare the plant, say "ready", wait for "go", feed, send the results and ask the plant to stop."""
    made = Feeder(run_file, rest, symbols)
    made.quote()
    pipe.send("ready")
    pipe.recv()
    try:
        pipe.send(made.run(count, per_s, seed))
    finally:
        made.gateway.control.request_stop()
