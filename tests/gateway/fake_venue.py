"""A public WebSocket endpoint that obeys a test: Bybit's acknowledgements and snapshots, and every way to misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

from tests.gateway.feed_tools import book_frame


class Client(WSListener):
    """Server side of one connection."""

    def __init__(self, venue: FakeVenue) -> None:
        self.venue = venue
        self.topics: set[str] = set()
        self.transport: WSTransport | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        self.venue.clients.append(self)
        self.venue.connects += 1
        if self.venue.refuse:
            transport.disconnect(False)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        if self in self.venue.clients:
            self.venue.clients.remove(self)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is not WSMsgType.TEXT:
            if frame.msg_type is WSMsgType.CLOSE:
                transport.disconnect(False)
            return
        request = msgspec.json.decode(frame.get_payload_as_bytes())
        self.venue.requests.append(request)
        if request["op"] == "ping":
            if self.venue.pongs:
                self.reply(request, True, "pong")
            return
        if request["op"] == "unsubscribe":
            self.topics -= set(request["args"])
            self.reply(request, True)
            return
        bad = [topic for topic in request["args"] if topic in self.venue.nacks]
        if bad:
            self.reply(request, False, f"error:handler not found,topic:{bad[0]}")
            return
        self.reply(request, True)
        for topic in request["args"]:
            self.topics.add(topic)
            if topic.startswith("orderbook.") and topic not in self.venue.frozen:
                self.send(self.venue.snapshot(topic))

    def reply(self, request: dict[str, Any], success: bool, message: str = "") -> None:
        self.send(msgspec.json.encode({
            "success": success, "ret_msg": message, "conn_id": "c", "req_id": request["req_id"], "op": request["op"],
        }))  # fmt: skip

    def send(self, data: bytes, kind: WSMsgType = WSMsgType.TEXT, fin: bool = True) -> None:
        assert self.transport is not None
        self.transport.send(kind, data, fin)

    def raw(self, data: bytes) -> None:
        """Bytes below the WebSocket layer."""
        assert self.transport is not None
        self.transport.underlying_transport.write(data)

    def cut(self) -> None:
        """The connection dies without a word."""
        assert self.transport is not None
        self.transport.underlying_transport.abort()


class FakeVenue:
    """Knobs and what was seen."""

    def __init__(self) -> None:
        self.clients: list[Client] = []
        self.requests: list[dict[str, Any]] = []
        self.nacks: set[str] = set()
        self.frozen: set[str] = set()
        self.pongs = True
        self.refuse = False
        self.connects = 0
        self.u: dict[str, int] = {}
        self.url = ""
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        def listener(request: WSUpgradeRequest) -> Client:
            return Client(self)

        self._server = await ws_create_server(listener, "127.0.0.1", 0, max_frame_size=1 << 24)
        self.url = f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v5/public/linear"

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for client in list(self.clients):
            client.cut()
        await self._server.wait_closed()

    def snapshot(self, topic: str) -> bytes:
        self.u[topic] = self.u.get(topic, 100) + 10
        _, depth, symbol = topic.split(".")
        return book_frame(symbol, False, self.u[topic], 5, int(depth))

    def deltas(self, topic: str, count: int = 1, skip: int = 0) -> None:
        """Push deltas of a topic; `skip` update ids are lost before them."""
        _, depth, symbol = topic.split(".")
        self.u[topic] += skip
        for _ in range(count):
            self.u[topic] += 1
            for client in self.clients:
                if topic in client.topics:
                    client.send(book_frame(symbol, True, self.u[topic], 5, int(depth)))

    def asked(self, op: str, topic: str) -> int:
        """How often a topic was named in requests of a kind."""
        return sum(topic in request.get("args", ()) for request in self.requests if request["op"] == op)


async def until(condition: Callable[[], object], seconds: float = 240.0) -> None:
    """Wait for a condition; fails when it does not come true."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not condition():
        assert loop.time() < end, "the condition did not come true in time"
        await asyncio.sleep(0.002)
