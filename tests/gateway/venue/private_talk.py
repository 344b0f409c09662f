"""Clients of the private and the trade WebSocket on real sockets, with nothing of the venue's own code behind them."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

WAIT_S = 240.0


def signed_auth(account: dict[str, Any], ahead_ms: int = 10_000) -> dict[str, Any]:
    """An `auth` request for an announced account."""
    expires = int(time.time() * 1000) + ahead_ms
    sign = hmac.new(account["api_secret"].encode(), f"GET/realtime{expires}".encode(), hashlib.sha256).hexdigest()
    return {"op": "auth", "args": [account["api_key"], expires, sign]}


class Frames(WSListener):
    """Keeps every text frame; wakes who waits."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: list[dict[str, Any]] = []
        self.came = asyncio.Event()
        self.closed = asyncio.Event()
        self.close_code = 0
        self.pongs = 0

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            self.frames.append(json.loads(frame.get_payload_as_bytes()))
            self.came.set()
        elif frame.msg_type == WSMsgType.PONG:
            self.pongs += 1
        elif frame.msg_type == WSMsgType.CLOSE:
            self.close_code = int(frame.get_close_code())
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.closed.set()
        self.came.set()


class Talk:
    """One connection. `find` waits for the first frame (seen or still to come) that a test accepts, and takes it out."""

    def __init__(self, transport: WSTransport, listener: Frames) -> None:
        self._transport = transport
        self._listener = listener
        self._numbers = 0

    @classmethod
    async def open(cls, address: str, account: dict[str, Any] | None = None, topics: list[str] | None = None) -> Talk:
        transport, listener = await ws_connect(Frames, address)
        assert isinstance(listener, Frames)
        talk = cls(transport, listener)
        if account is not None:
            answer = await talk.ask(signed_auth(account), lambda m: m.get("op") == "auth")
            assert answer.get("success", answer.get("retCode") == 0), answer
        if topics:
            answer = await talk.ask({"op": "subscribe", "args": topics}, lambda m: m.get("op") == "subscribe")
            assert answer["success"], answer
        return talk

    @property
    def frames(self) -> list[dict[str, Any]]:
        return self._listener.frames

    @property
    def closed(self) -> bool:
        return self._listener.closed.is_set()

    @property
    def close_code(self) -> int:
        return self._listener.close_code

    def send(self, message: dict[str, Any] | bytes) -> None:
        self._transport.send(WSMsgType.TEXT, message if isinstance(message, bytes) else json.dumps(message).encode())

    async def find(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        deadline = asyncio.get_running_loop().time() + WAIT_S
        while True:
            for place, frame in enumerate(self.frames):
                if wanted(frame):
                    return self.frames.pop(place)
            assert not self.closed, "the connection is closed"
            self._listener.came.clear()
            left = deadline - asyncio.get_running_loop().time()
            assert left > 0, f"nothing came; last {self.frames[-3:]}"
            try:
                await asyncio.wait_for(self._listener.came.wait(), left)
            except TimeoutError:
                raise AssertionError(f"nothing came; last {self.frames[-3:]}") from None

    async def ask(self, message: dict[str, Any] | bytes, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        self.send(message)
        return await self.find(wanted)

    async def order(self, op: str, body: dict[str, Any]) -> dict[str, Any]:
        """A trade request and its answer."""
        req_id = self.post(op, body)
        return await self.find(lambda m: m.get("reqId") == req_id)

    def post(self, op: str, body: dict[str, Any]) -> str:
        """A trade request without waiting; returns its reqId."""
        self._numbers += 1
        req_id = f"r{id(self)}-{self._numbers}"
        head = {"X-BAPI-TIMESTAMP": str(int(time.time() * 1000))}
        self.send({"reqId": req_id, "header": head, "op": op, "args": [{"category": "linear", **body}]})
        return req_id

    async def topic(self, topic: str, **fields: Any) -> dict[str, Any]:
        """The next push of a topic that has a row with these fields; returns that row."""

        def row_of(message: dict[str, Any]) -> dict[str, Any] | None:
            rows = message.get("data") if message.get("topic") == topic else None
            return next((row for row in rows or () if all(row.get(k) == v for k, v in fields.items())), None)

        found = row_of(await self.find(lambda m: row_of(m) is not None))
        assert found is not None
        return found

    async def quiet(self) -> None:
        """Wait until a ping has come back: everything sent before it has been received."""
        self.send({"op": "ping"})
        await self.find(lambda m: m.get("op") == "pong")

    async def pongs_to(self, pings: int) -> int:
        """Send WebSocket pings; how many pongs have come by the time an ordinary ping is answered."""
        before = self._listener.pongs
        for _ in range(pings):
            self._transport.send_ping(b"x")
        await self.quiet()
        return self._listener.pongs - before

    async def gone(self) -> None:
        await asyncio.wait_for(self._listener.closed.wait(), WAIT_S)

    async def close(self) -> None:
        if not self.closed:
            self._transport.disconnect(graceful=False)
            await self.gone()
