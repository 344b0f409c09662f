"""The venue as a process: picows server, REST thread, and the loop that advances the market in real time.

One event loop owns market, hub and sockets. The REST threads only ask it.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import socket
from collections.abc import Callable, Mapping
from time import time_ns
from typing import Any, Protocol

from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

from gateway.venue.hub import MAX_BUFFERED_BYTES, Client, Counters, Hub
from gateway.venue.rest import Answer, RestServer, make_app
from gateway.venue.streams import STEP_MS

PUBLIC_PATH = b"/v5/public/linear"
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


class PublicListener(WSListener):
    """One socket of the public stream."""

    def __init__(self, hub: Hub) -> None:
        super().__init__()
        self._hub = hub
        self._client: Client | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._client = self._hub.connect(transport.underlying_transport)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        client = self._client
        if client is None or client.half_open:
            return
        if frame.msg_type == WSMsgType.TEXT:
            self._hub.request(client, frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.PING:
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
            self._hub.disconnect(self._client)


class VenueServer:
    """Addresses, loop and life of one venue. `control` adds paths under /venue/."""

    def __init__(self, feed: Feed, *, port: int = 0, max_buffered_bytes: int = MAX_BUFFERED_BYTES) -> None:
        self.feed = feed
        self.counters = Counters()
        self.hub = Hub(feed.source, self.counters, max_buffered_bytes)
        self.stopping = asyncio.Event()
        self._port = port
        self._rest: RestServer | None = None
        self._ws: asyncio.Server | None = None

    @property
    def addresses(self) -> dict[str, str]:
        """Valid after `start`."""
        assert self._rest is not None and self._ws is not None
        rest = f"http://127.0.0.1:{self._rest.port}"
        ws_port = self._ws.sockets[0].getsockname()[1]
        return {"rest": rest, "ws_public": f"ws://127.0.0.1:{ws_port}{PUBLIC_PATH.decode()}", "control": rest}

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

        def listener(request: WSUpgradeRequest) -> WSListener | None:
            path = request.path.partition(b"?")[0]
            return PublicListener(self.hub) if path == PUBLIC_PATH else None

        rest_socket, ws_socket = bound_pair(self._port)
        self._ws = await ws_create_server(
            listener, sock=ws_socket, enable_auto_pong=False, max_frame_size=MAX_REQUEST_BYTES
        )
        self._rest = RestServer(make_app(self.feed.answers(), control or {}, ask), rest_socket)
        self._rest.start()

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
            offset_ms = time_ns() / 1e6 - loop.time() * 1e3  # anew each turn: the wall clock may be slewed
            while due_s <= loop.time():
                self.advance(max(self.hub.now_ms + 1, int(due_s * 1000 + offset_ms)))
                due_s += STEP_MS / 1000
            self.hub.flush_all()
            await asyncio.sleep(max(0.0, due_s - loop.time()))

    def advance(self, now_ms: int) -> None:
        """One step: its frames go to the outboxes as copies, because the next step reuses the buffer."""
        self.counters.steps += 1
        self.hub.now_ms = now_ms
        self.hub.publish((key, bytes(frame)) for key, frame in self.feed.advance(now_ms))

    async def stop(self) -> None:
        self.stopping.set()
        for client in self.hub.clients[:]:
            client.transport.abort()
        if self._ws is not None:
            self._ws.close()
        if self._rest is not None:
            await asyncio.to_thread(self._rest.stop)
