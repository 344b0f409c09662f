"""The venue as a process: picows server, REST thread, and the loop that advances the market in real time.

One event loop owns market, hub and sockets. The REST threads only ask it.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from picows import (
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
    ws_create_server,
)

from gateway.venue.clients import IDLE_SCAN_MS, MAX_BUFFERED_BYTES, Client, Counters, Postponed, idle_of
from gateway.venue.clock import VenueClock
from gateway.venue.fault_rules import FaultRules
from gateway.venue.hub import Hub
from gateway.venue.private_hub import PrivateHub
from gateway.venue.private_rest import PrivateRest
from gateway.venue.rest import Answer, RestServer, make_app
from gateway.venue.streams import STEP_MS

PUBLIC_PATH, PRIVATE_PATH, TRADE_PATH = b"/v5/public/linear", b"/v5/private", b"/v5/trade"
STREAM_OF = {PUBLIC_PATH: "public", PRIVATE_PATH: "private", TRADE_PATH: "trade"}
CONNECTIONS_PER_WINDOW, CONNECTION_WINDOW_MS = 500, 300_000  # new connections of one address
MAX_REQUEST_BYTES = 1024 * 1024
SEND_BUFFER_BYTES = 512 * 1024  # of the kernel, per connection
PORT_ATTEMPTS = 50
CATCH_UP_STEPS = 25  # a venue that was held up longer than this drops the time instead of rushing after it
ANSWER_TIMEOUT_S = 10.0


class Feed(Protocol):
    """What the loop drives: the synthetic market with its scenarios, or a tape."""

    @property
    def source(self) -> Any: ...
    def advance(self, now_ms: int) -> list[tuple[Any, Any]]: ...
    def answers(self) -> Mapping[str, Answer]: ...


def bound_socket(port: int, send_buffer_bytes: int = 0) -> socket.socket:
    """A loopback socket bound to `port` (0 = any)."""
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if send_buffer_bytes:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer_bytes)
        made.bind(("127.0.0.1", port))
    except OSError:
        made.close()
        raise
    return made


def bound_pair(port: int) -> tuple[socket.socket, socket.socket]:
    """Sockets of REST and WebSocket: the WebSocket port is always the next one, so that a venue that is started again
    with the REST port of its predecessor has both its addresses. Port 0 lets the system choose.

    WebSocket connections inherit a small send buffer: else the kernel would hold megabytes for a client that does not
    read, before our own bound even counts.
    """
    for attempt in range(PORT_ATTEMPTS):
        rest = bound_socket(port)
        try:
            return rest, bound_socket(rest.getsockname()[1] + 1, SEND_BUFFER_BYTES)
        except (OSError, OverflowError):
            rest.close()
            if port or attempt == PORT_ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable")


class ClientListener(WSListener):
    """One socket of any stream; `sockets` is the hub that it belongs to."""

    def __init__(self, sockets: Hub | PrivateHub, connect: Callable[[Any], Client]) -> None:
        super().__init__()
        self._sockets = sockets
        self._connect = connect
        self._client: Client | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._client = self._connect(transport.underlying_transport)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        client = self._client
        if client is None or client.half_open:
            return
        if frame.msg_type == WSMsgType.TEXT:
            self._sockets.arrive(client, frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.PING:
            if self._sockets.pinged(client):
                transport.send_pong(frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), None)
            transport.disconnect()

    def pause_writing(self) -> None:
        """The hub looks at the size of the buffer itself."""

    def resume_writing(self) -> None:
        """See `pause_writing`."""

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        if self._client is not None:
            self._sockets.disconnect(self._client)


class PrivateSide(Protocol):
    """The exchange with its accounts, as the loop drives it."""

    @property
    def hub(self) -> PrivateHub: ...
    @property
    def rest(self) -> PrivateRest: ...
    def step(self, now_ms: int) -> None: ...


class VenueServer:
    """Addresses, loop and life of one venue. `private` may be set until `start`; without it there is only market data."""

    def __init__(self, feed: Feed, *, port: int = 0, max_buffered_bytes: int = MAX_BUFFERED_BYTES, seed: int = 1,
                 clock: VenueClock | None = None) -> None:
        self.feed = feed
        self.counters = Counters()
        self.rules = FaultRules(seed)
        self.postponed = Postponed()
        self.clock = clock or VenueClock()
        self.hub = Hub(feed.source, self.counters, max_buffered_bytes, self.rules, self.postponed)
        self.private: PrivateSide | None = None
        self.before_step: Callable[[int], None] = lambda _now_ms: None
        self.stopping = asyncio.Event()
        self._port = port
        self._rest: RestServer | None = None
        self._ws: asyncio.Server | None = None
        self._opened_ms: deque[int] = deque()
        self._scanned_ms = 0

    @property
    def addresses(self) -> dict[str, str]:
        """Valid after `start`. Addresses of the private side only where there is one."""
        assert self._rest is not None and self._ws is not None
        rest = f"http://127.0.0.1:{self._rest.port}"
        base = f"ws://127.0.0.1:{self._ws.sockets[0].getsockname()[1]}"
        found = {"rest": rest, "ws_public": base + PUBLIC_PATH.decode(), "control": rest}
        if self.private is not None:
            found |= {"ws_private": base + PRIVATE_PATH.decode(), "ws_trade": base + TRADE_PATH.decode()}
        return found

    async def start(self, control: Mapping[tuple[str, str], Callable[[Any], Any]] | None = None) -> None:
        """Open both ports. Raises OSError when one is taken."""
        loop = asyncio.get_running_loop()

        def ask(function: Callable[[], Any]) -> Any:
            future: concurrent.futures.Future[Any] = concurrent.futures.Future()

            def run() -> None:
                try:
                    future.set_result(function())
                except BaseException as error:
                    future.set_exception(error)

            loop.call_soon_threadsafe(run)
            return future.result(ANSWER_TIMEOUT_S)

        rest_socket, ws_socket = bound_pair(self._port)
        self._ws = await ws_create_server(
            self._listener, sock=ws_socket, enable_auto_pong=False, max_frame_size=MAX_REQUEST_BYTES
        )
        private = self.private.rest if self.private is not None else None
        app = make_app(self.feed.answers(), control or {}, ask, private, self.clock.now_ns)
        self._rest = RestServer(app, rest_socket)
        self._rest.start()

    def _listener(self, request: WSUpgradeRequest) -> WSListener | WSUpgradeResponseWithListener | None:
        """Who serves a new connection: by path; 503 while a fault refuses it, 403 for too many new connections."""
        path, _, query = request.path.partition(b"?")
        stream = STREAM_OF.get(path)
        private = self.private
        if stream is None or (stream != "public" and private is None):
            return None
        if self.rules.ask("ws.refuse", stream=stream):
            return self._turned_away(503)
        now_ms = self.clock.now_ms()
        while self._opened_ms and self._opened_ms[0] <= now_ms - CONNECTION_WINDOW_MS:
            self._opened_ms.popleft()
        if len(self._opened_ms) >= CONNECTIONS_PER_WINDOW:
            return self._turned_away(403)
        self._opened_ms.append(now_ms)
        if stream == "public":
            return ClientListener(self.hub, self.hub.connect)
        assert private is not None
        hub, idle_ms = private.hub, idle_of(query.decode("latin-1"))
        return ClientListener(hub, lambda transport: hub.connect(transport, stream, peer_of(transport), idle_ms))

    def _turned_away(self, status: int) -> WSUpgradeResponseWithListener:
        self.counters.refused_connections += 1
        return WSUpgradeResponseWithListener(WSUpgradeResponse.create_error_response(status), None)

    async def run(self) -> None:
        """Advance the market every STEP_MS until `stopping` is set."""
        loop = asyncio.get_running_loop()
        gc.freeze()
        due_s = loop.time()
        while not self.stopping.is_set():
            behind = int((loop.time() - due_s) * 1000) // STEP_MS
            if behind > CATCH_UP_STEPS:
                self.counters.steps_skipped += behind
                due_s += behind * STEP_MS / 1000
            offset_ms = self.clock.now_ns() / 1e6 - loop.time() * 1e3  # anew each turn: the wall clock may be slewed
            while due_s <= loop.time():
                self.advance(max(self.hub.now_ms + 1, int(due_s * 1000 + offset_ms)))
                due_s += STEP_MS / 1000
            self.hub.flush_all()
            await asyncio.sleep(max(0.0, due_s - loop.time()))

    def advance(self, now_ms: int) -> None:
        """One step: its frames go to the outboxes as copies, because the next step reuses the buffer."""
        self.counters.steps += 1
        self.hub.now_ms = now_ms
        self.before_step(now_ms)
        self.hub.publish((key, bytes(frame)) for key, frame in self.feed.advance(now_ms))
        if self.private is not None:
            self.private.step(now_ms)
            if now_ms - self._scanned_ms >= IDLE_SCAN_MS:
                self._scanned_ms = now_ms
                self.private.hub.cut_idle()
        self.postponed.release(now_ms)

    def suspend(self, seconds: float) -> None:
        """Stand still, as a machine that is paused: from the next turn of the loop on, which is blocked for so long."""
        asyncio.get_running_loop().call_soon(time.sleep, seconds)

    async def stop(self) -> None:
        self.stopping.set()
        private = self.private.hub.clients if self.private is not None else []
        for client in [*self.hub.clients, *private]:
            client.transport.abort()
        if self._ws is not None:
            self._ws.close()
        if self._rest is not None:
            await asyncio.to_thread(self._rest.stop)


def peer_of(transport: Any) -> str:
    """The address a connection comes from."""
    peer = transport.get_extra_info("peername")
    return str(peer[0]) if peer else ""
