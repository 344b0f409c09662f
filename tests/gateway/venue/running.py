"""Helpers: an exchange in virtual time, and a venue served for real on ports of the system's choice."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

import requests

from gateway.venue.assembly import Venue, VenueOptions
from gateway.venue.clients import MAX_BUFFERED_BYTES
from gateway.venue.instruments import synthetic_instruments
from gateway.venue.scenarios import Timeline
from gateway.venue.server import VenueServer
from gateway.venue.streams import STEP_MS
from gateway.venue.synthetic import SyntheticExchange
from gateway.venue.warm import warm_up, warm_up_private
from tests.reference.venue import payload

START_MS = 1_786_310_760_000 + 37_000  # 37 s into a minute
Key = tuple[int, int]
T = TypeVar("T")


def new_exchange(count: int = 6, seed: int = 1, rate: float = 1.0, start_ms: int = START_MS) -> SyntheticExchange:
    return SyntheticExchange(synthetic_instruments(count, seed), seed, start_ms, rate)


def run_virtual(exchange: SyntheticExchange, seconds: float) -> Iterator[tuple[int, Key, bytes]]:
    """Step through virtual time; yields (now_ms, key, payload) of every frame."""
    for _ in range(int(seconds * 1000) // STEP_MS):
        now_ms = exchange.now_ms + STEP_MS
        for key, frame in exchange.step(now_ms):
            yield now_ms, key, payload(frame)


def snapshot_of(exchange: SyntheticExchange, key: Key) -> dict[str, Any]:
    """Activate a topic and give its first snapshot."""
    exchange.activate(key)
    frame = exchange.snapshot(key)
    assert frame is not None
    found: dict[str, Any] = json.loads(payload(frame))
    return found


class FakeTransport:
    """Stands for a socket: keeps what is written; `reads = False` lets it pile up."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.reads = True
        self.aborted = False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def get_write_buffer_size(self) -> int:
        return 0 if self.reads else sum(map(len, self.written))

    def abort(self) -> None:
        self.aborted = True

    def close(self) -> None:
        self.aborted = True

    def messages(self) -> list[dict[str, Any]]:
        """All text frames written so far, decoded."""
        return [json.loads(text) for text in split_frames(b"".join(self.written))]


def split_frames(data: bytes) -> list[bytes]:
    found = []
    at = 0
    while at < len(data):
        size, start = data[at + 1], at + 2
        if size == 126:
            size, start = int.from_bytes(data[at + 2:at + 4], "big"), at + 4
        elif size == 127:
            size, start = int.from_bytes(data[at + 2:at + 10], "big"), at + 10
        found.append(data[start:start + size])
        at = start + size
    return found


class Running:
    """A venue that is being served in a thread of its own."""

    def __init__(self, venue: Venue, loop: asyncio.AbstractEventLoop) -> None:
        self.venue = venue
        self._loop = loop

    @property
    def addresses(self) -> dict[str, str]:
        return self.venue.server.addresses

    def run(self, function: Callable[[], T]) -> T:
        """Run a function in the venue's event loop."""

        async def call() -> T:
            return function()

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(240)

    def fault(self, kind: str, **body: Any) -> dict[str, Any]:
        """Order a fault at the control endpoint."""
        return self.post("fault", {"kind": kind, **body})

    def post(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        reply = requests.post(f"{self.addresses['control']}/venue/{name}", json=body, timeout=240)
        found: dict[str, Any] = reply.json()
        assert reply.status_code == 200, found
        return found

    def get(self, name: str) -> Any:
        return requests.get(f"{self.addresses['control']}/venue/{name}", timeout=240).json()


@cache
def compiled() -> None:
    """Every kernel of the venue, before its loop owes anybody an answer."""
    warm_up()
    warm_up_private()


@contextmanager
def served_venue(feed: Any, **options: Any) -> Iterator[Running]:
    """Serve a whole venue in a thread of its own until the block ends. options: those of `VenueOptions`."""
    compiled()
    ready = threading.Event()
    box: dict[str, Any] = {}

    async def life() -> None:
        venue = Venue(feed, VenueOptions(**options))
        await venue.start()
        box["venue"], box["loop"] = venue, asyncio.get_running_loop()
        ready.set()
        await venue.server.run()
        await venue.server.stop()

    def target() -> None:
        try:
            asyncio.run(life())
        except BaseException as error:
            box["error"] = error
            ready.set()
            raise

    thread = threading.Thread(target=target, name="venue")
    thread.start()
    try:
        assert ready.wait(120)
        assert "error" not in box, box.get("error")
        yield Running(box["venue"], box["loop"])
    finally:
        if "loop" in box:
            box["loop"].call_soon_threadsafe(box["venue"].server.stopping.set)
        thread.join(240)
        assert not thread.is_alive()


@contextmanager
def served(feed: Any, *, timeline: Timeline | None = None, max_buffered_bytes: int = MAX_BUFFERED_BYTES) -> Iterator[VenueServer]:
    """Serve a feed's market data only."""
    options = {"accounts": 0, "timeline": timeline or Timeline(), "max_buffered_bytes": max_buffered_bytes}
    with served_venue(feed, **options) as running:
        yield running.venue.server
