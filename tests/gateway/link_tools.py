"""A link to a served venue, and a patient reader of what it says."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from core.orders.exchange_words import Create, Event, LinkState, OrderType, Request, Send, Stream, TimeInForce
from gateway.bybit.session import Timing
from gateway.bybit.sign import Credentials, credentials
from gateway.bybit.wire_units import WireGrid
from gateway.order_link import LinkAddress, LinkOptions, OrderLink
from gateway.venue.instruments import Instrument
from tests.gateway.venue.running import Running

E = TypeVar("E")
WAIT_S = 20.0
TIMING = Timing(20_000_000_000, 10_000_000_000, 20_000_000, 200_000_000, 1_000_000_000)


def wire_grid(instrument: Instrument) -> WireGrid:
    return WireGrid(instrument.tick_mant, instrument.price_exp, instrument.lot_mant, instrument.qty_exp)


class Linked:
    """An OrderLink with everything it has said so far."""

    def __init__(self, link: OrderLink, wake: threading.Event, symbols: dict[str, Instrument]) -> None:
        self.link = link
        self.heard: list[Event] = []
        self.symbols = symbols
        self._wake = wake
        self._number = 0

    def next_id(self) -> int:
        self._number += 1
        return self._number

    def send(self, request: Request, urgent: bool = False, deadline_ns: int = 0) -> None:
        self.link.send(Send(request, deadline_ns, urgent))

    def wait(self, kind: type[E], which: Callable[[E], Any] = lambda event: True, after: int = 0) -> E:
        """The first event of a kind that fits, from position `after` on; AssertionError after a while."""
        deadline = time.monotonic() + WAIT_S
        while True:
            while self.link.events:
                self.heard.append(self.link.events.popleft())
            for event in self.heard[after:]:
                if isinstance(event, kind) and which(event):
                    return event
            assert self.link.error is None, self.link.error
            assert time.monotonic() < deadline, f"no {kind.__name__} in {self.heard[after:][-20:]}; {list(self.link.notes)}"
            self._wake.wait(0.05)
            self._wake.clear()

    def up(self, *streams: Stream) -> None:
        for stream in streams or tuple(Stream):
            self.wait(LinkState, lambda e, s=stream: e.stream is s and e.up)

    @property
    def words(self) -> list[str]:
        return [note.word for note in self.link.notes]

    def entry(self, symbol: str = "BTCUSDT", link_id: str = "", factor: float = 0.97, lots: int = 0, **more: Any) -> Create:
        """A post-only buy far below the market of `symbol`, with a stop."""
        number = self.next_id()
        instrument = self.symbols[symbol]
        bid = self.bid(symbol)
        price = int(bid * factor)
        return Create(
            number, link_id or f"t{number}", symbol, 1, OrderType.LIMIT, lots or self.lots(symbol), price, TimeInForce.POST_ONLY,
            stop_ticks=int(price * 0.98), **more,
        ) if instrument else more["never"]

    def lots(self, symbol: str) -> int:
        """A quantity worth more than the least notional value."""
        found = self.symbols[symbol]
        price = self.bid(symbol) * found.tick_mant / 10**found.price_exp
        lot = found.lot_mant / 10**found.qty_exp
        return max(int(20 / price / lot) + 1, int(float(found.answer["lotSizeFilter"]["minOrderQty"]) / lot + 0.5))

    def bid(self, symbol: str) -> int:
        raise NotImplementedError


def keys_of(venue: Running, number: int = 0) -> Credentials:
    account = venue.venue.announced()["accounts"][number]
    return credentials(account["api_key"], account["api_secret"])


def address_of(venue: Running, trade: bool = True) -> LinkAddress:
    found = venue.addresses
    return LinkAddress(found["rest"], found["ws_private"], found["ws_trade"] if trade else "")


@contextmanager
def linked(
    venue: Running, *, trade: bool = True, keys: Credentials | None = None, options: LinkOptions | None = None,
    address: LinkAddress | None = None,
) -> Iterator[Linked]:
    """A running link to `venue` with the key of its first account."""
    wake = threading.Event()
    assert venue.venue.private is not None
    symbols = dict(venue.venue.private.venue.instruments)

    def grids(symbol: str) -> WireGrid | None:
        found = symbols.get(symbol)
        return None if found is None else wire_grid(found)

    link = OrderLink(
        address or address_of(venue, trade), keys or keys_of(venue), grids, options or LinkOptions(TIMING), wake.set,
        random.Random(7),
    )
    reader = _Reader(link, wake, symbols, venue)
    link.start()
    try:
        yield reader
    finally:
        link.stop()


class _Reader(Linked):
    def __init__(self, link: OrderLink, wake: threading.Event, symbols: dict[str, Instrument], venue: Running) -> None:
        super().__init__(link, wake, symbols)
        self._venue = venue

    def bid(self, symbol: str) -> int:
        private = self._venue.venue.private
        assert private is not None
        return self._venue.run(lambda: int(private.link.market.book(symbol)[0][0, 0]))
