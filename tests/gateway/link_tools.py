"""A link to a served venue, and a patient reader of what it says."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from core.orders.exchange_words import Create, Event, LinkState, OrderType, Request, Send, Stream, TimeInForce
from gateway.bybit.session import Timing
from gateway.bybit.sign import Credentials, credentials
from gateway.bybit.wire_units import WireGrid
from gateway.link_words import Heard
from gateway.order_link import LinkAddress, LinkOptions, OrderLink
from gateway.venue.instruments import Instrument
from tests.gateway.venue.running import Running

E = TypeVar("E")
WAIT_S = 240.0
_names = itertools.count(1)  # link ids are unique per account, also across the links of a test run
TIMING = Timing(60_000_000_000, 60_000_000_000, 20_000_000, 200_000_000, 1_000_000_000)
PATIENT = LinkOptions(TIMING, recv_window_ms=60_000, rest_timeout_s=60.0)  # venue and link share a process


def wire_grid(instrument: Instrument) -> WireGrid:
    return WireGrid(instrument.tick_mant, instrument.price_exp, instrument.lot_mant, instrument.qty_exp)


def keys_of(venue: Running, number: int = 0) -> Credentials:
    account = venue.venue.announced()["accounts"][number]
    return credentials(account["api_key"], account["api_secret"])


def address_of(venue: Running, trade: bool = True) -> LinkAddress:
    found = venue.addresses
    return LinkAddress(found["rest"], found["ws_private"], found["ws_trade"] if trade else "")


class Linked:
    """An OrderLink to a served venue with everything it has said so far."""

    def __init__(self, venue: Running, address: LinkAddress, keys: Credentials, options: LinkOptions) -> None:
        assert venue.venue.private is not None
        self.venue = venue
        self.heard: list[Event] = []
        self.told: list[Heard] = []
        self.symbols: dict[str, Instrument] = dict(venue.venue.private.venue.instruments)
        self._wake = threading.Event()
        self._number = 0
        self.wanted: Callable[[Request], bool] = lambda request: True
        self.link = OrderLink(address, keys, self.grid, options, self._wake.set, random.Random(7),
                              lambda now_ns, request: self.wanted(request))

    def grid(self, symbol: str) -> WireGrid | None:
        found = self.symbols.get(symbol)
        return None if found is None else wire_grid(found)

    def next_id(self) -> int:
        self._number += 1
        return self._number

    def send(self, request: Request, urgent: bool = False, deadline_ns: int = 0) -> None:
        self.link.send(Send(request, deadline_ns, urgent))

    def at_once(self, requests: Sequence[Request], urgent: bool = False, within_ns: int = 0) -> None:
        """Hand over all in one turn of the link's loop; `within_ns` from then on, 0: no deadline."""

        def hand_over() -> None:
            deadline_ns = time.monotonic_ns() + within_ns if within_ns else 0
            for request in requests:
                self.send(request, urgent, deadline_ns)

        self.link._in_loop(hand_over)

    def wait(self, kind: type[E], which: Callable[[E], Any] = lambda event: True, after: int = 0) -> E:
        """The first event of a kind that fits, from position `after` on; AssertionError after a while."""
        deadline = time.monotonic() + WAIT_S
        while True:
            while self.link.events:
                heard = self.link.events.popleft()
                self.told.append(heard)
                self.heard += heard.events
            for event in self.heard[after:]:
                if isinstance(event, kind) and which(event):
                    return event
            assert self.link.error is None, self.link.error
            assert time.monotonic() < deadline, f"no {kind.__name__} in {self.heard[after:][-20:]}; {list(self.link.notes)}"
            self._wake.wait(0.05)
            self._wake.clear()

    def answer(self, request: Request, kind: type[E], **how: Any) -> E:
        """Send a request and wait for its answer."""
        self.send(request, **how)
        return self.wait(kind, lambda event: getattr(event, "req_id", None) == request.req_id)

    def up(self, *streams: Stream) -> None:
        for stream in streams or tuple(Stream):
            self.wait(LinkState, lambda e, s=stream: e.stream is s and e.up)

    @property
    def words(self) -> list[str]:
        """Notes so far."""
        return [note.word for note in self.link.notes]

    def bid(self, symbol: str) -> int:
        private = self.venue.venue.private
        assert private is not None
        return self.venue.run(lambda: int(private.link.market.book(symbol)[0][0, 0]))

    def entry(self, symbol: str = "BTCUSDT", factor: float = 0.97, **more: Any) -> Create:
        """A buy with a stop; far below the market unless told otherwise."""
        number = self.next_id()
        price = int(self.bid(symbol) * factor)
        values: dict[str, Any] = {
            "link_id": f"t{next(_names)}", "qty_lots": self.lots(symbol), "price_ticks": price, "tif": TimeInForce.POST_ONLY,
            "stop_ticks": int(price * 0.98), "order_type": OrderType.LIMIT, "side": 1,
        }
        return Create(req_id=number, symbol=symbol, **(values | more))

    def lots(self, symbol: str) -> int:
        """A quantity worth some 20 USDT, and at least the smallest one."""
        found = self.symbols[symbol]
        lot = found.lot_mant / 10**found.qty_exp
        price = self.bid(symbol) * found.tick_mant / 10**found.price_exp
        return max(int(20 / price / lot) + 1, round(float(found.answer["lotSizeFilter"]["minOrderQty"]) / lot))


@contextmanager
def linked(
    venue: Running, *, trade: bool = True, keys: Credentials | None = None, options: LinkOptions | None = None,
    address: LinkAddress | None = None,
) -> Iterator[Linked]:
    """A running link to `venue`, with the key of its first account."""
    reader = Linked(venue, address or address_of(venue, trade), keys or keys_of(venue), options or PATIENT)
    reader.link.start()
    try:
        yield reader
    finally:
        reader.link.stop()
