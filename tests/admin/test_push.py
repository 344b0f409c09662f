"""The push channel with real WebSocket clients: tickets, origins, deltas, rates, slow clients, details."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from picows import WSError, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from admin import frames, push
from admin.server import AdminServer
from core.enums import LogKind
from tests.admin.engine_part import TOKEN, EnginePart

ORIGIN = "http://127.0.0.1:8787"


class Page(WSListener):
    """A client that keeps everything it got; `table` is what a browser would show."""

    def __init__(self) -> None:
        self.messages: list[dict] = []
        self.frames: list[frames.Frame] = []
        self.table: dict[int, list[int]] = {}
        self.closed = asyncio.Event()
        self.news = asyncio.Event()
        self.transport: WSTransport

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.closed.set()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            self.messages.append(json.loads(frame.get_payload_as_bytes()))
        elif frame.msg_type == WSMsgType.BINARY:
            got = frames.decode(frame.get_payload_as_bytes())
            self.frames.append(got)
            if got.type == frames.SNAP:
                self.table.clear()
            self.table.update({int(i): got.planes[:, k].tolist() for k, i in enumerate(got.ids)})
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()
        self.news.set()

    def send(self, message: Any) -> None:
        self.transport.send(WSMsgType.TEXT, json.dumps(message).encode())

    async def until(self, true: Callable[[], bool], step: Callable[[], None] = lambda: None) -> None:
        """Wait for news until `true()`; `step` drives the server."""
        async with asyncio.timeout(240):
            while not true():
                step()
                self.news.clear()
                try:
                    await asyncio.wait_for(self.news.wait(), 0.05)
                except TimeoutError:
                    continue

    def of(self, kind: str) -> list[dict]:
        return [message for message in self.messages if message["t"] == kind]


async def connect(
    server: push.PushServer, origin: str | None = ORIGIN, path: str = "/push", ticket: str | None = None
) -> Page:
    page = Page()
    headers = {"Origin": origin} if origin else {}
    await ws_connect(lambda: page, f"ws://127.0.0.1:{server.where.ws_port}{path}", extra_headers=headers)
    if ticket is not None:
        page.send({"op": "auth", "ticket": ticket})
    return page


async def first_table(server: push.PushServer, page: Page) -> None:
    """One tick for a page that is let in: exactly one frame."""
    await page.until(lambda: bool(page.of("hello")))
    server.tick()
    await page.until(lambda: bool(page.frames))


def run(admin: AdminServer, body: Callable[[push.PushServer], Awaitable[None]]) -> None:
    """Run `body` against a started push server on a free port; ticks are driven by the test."""

    async def main() -> None:
        admin.where.ws_port = 0
        admin.where.ws_port = await admin.push.start()
        try:
            await body(admin.push)
        finally:
            await admin.push.close()

    asyncio.run(main())


def ticket_of(admin: AdminServer) -> str:
    cookie = admin.auth.login_with_token(admin.auth.login_token)
    return admin.auth.new_ticket(admin.auth.session(cookie))


def test_hello_then_snap_then_deltas(admin: AdminServer, engine: EnginePart) -> None:
    async def body(server: push.PushServer) -> None:
        page = await connect(server, ticket=ticket_of(admin))
        await first_table(server, page)
        hello = page.messages[0]
        assert hello["t"] == "hello" and hello["v"] == 1 and len(hello["symbols"]) == 10
        assert sum(column["planes"] for column in hello["columns"]) == push.hotlist.N_PLANES
        assert page.frames[0].type == frames.SNAP and len(page.table) == 10
        for _ in range(8):
            engine.tick()
            n = len(page.frames)
            server.tick()
            await page.until(lambda n=n: len(page.frames) > n)
        assert {frame.type for frame in page.frames[1:]} == {frames.DELTA}
        assert [frame.seq for frame in page.frames] == list(
            range(page.frames[0].seq, page.frames[0].seq + len(page.frames))
        )
        for symbol in range(10):
            planes = page.table[symbol]
            assert planes[1] * 2**32 + planes[0] % 2**32 == int(engine.rows[symbol]["last_ticks"])
        assert page.of("head") and page.of("pos") and page.of("plant")
        head = page.of("head")[-1]
        assert head["control"]["feed"] == "CONNECTED" and head["account"]["equity_usdt"] > 0

    run(admin, body)


@pytest.mark.parametrize(
    ("origin", "path"),
    [
        (None, "/push"),
        ("http://evil.example", "/push"),
        ("null", "/push"),
        (ORIGIN, "/"),
        (ORIGIN, "/push/x"),
    ],
)
def test_foreign_origins_and_paths_are_refused(admin: AdminServer, origin: str | None, path: str) -> None:
    async def body(server: push.PushServer) -> None:
        with pytest.raises(WSError):
            await connect(server, origin, path)

    run(admin, body)


@pytest.mark.parametrize(
    "first",
    [
        {"op": "auth", "ticket": "forged"},
        {"op": "auth"},
        {"op": "rate", "hz": 4},
        {"op": "detail", "symbol": "BTCUSDT"},
        [1],
        "x",
        None,
    ],
)
def test_nothing_is_told_without_a_ticket(admin: AdminServer, first: Any) -> None:
    async def body(server: push.PushServer) -> None:
        page = await connect(server)
        page.send(first)
        await asyncio.wait_for(page.closed.wait(), 240)
        assert not page.frames and {message["t"] for message in page.messages} <= {"err"}

    run(admin, body)


def test_a_ticket_opens_one_connection(admin: AdminServer) -> None:
    async def body(server: push.PushServer) -> None:
        ticket = ticket_of(admin)
        page = await connect(server, ticket=ticket)
        await page.until(lambda: bool(page.of("hello")))
        second = await connect(server, ticket=ticket)
        await asyncio.wait_for(second.closed.wait(), 240)
        assert not second.of("hello") and second.of("err")

    run(admin, body)


def test_a_silent_connection_is_closed(admin: AdminServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push, "AUTH_SECONDS", 0.0)

    async def body(server: push.PushServer) -> None:
        page = await connect(server)
        server.tick()
        await asyncio.wait_for(page.closed.wait(), 240)

    run(admin, body)


def test_hidden_pages_get_nothing_and_a_snap_when_they_come_back(admin: AdminServer, engine: EnginePart) -> None:
    async def body(server: push.PushServer) -> None:
        page = await connect(server, ticket=ticket_of(admin))
        await first_table(server, page)
        client = next(iter(server.clients))
        page.send({"op": "rate", "hz": 0})
        await page.until(lambda: client.divisor == 0)
        count = len(page.messages)
        for _ in range(5):
            engine.tick()
            server.tick()
        assert len(page.frames) == 1 and len(page.messages) == count
        page.send({"op": "rate", "hz": 4})
        await page.until(lambda: client.divisor > 0)
        server.tick()
        await page.until(lambda: len(page.frames) > 1)
        assert page.frames[1].type == frames.SNAP

    run(admin, body)


def test_rate_groups_share_frames_and_stay_consistent(admin: AdminServer, engine: EnginePart) -> None:
    async def body(server: push.PushServer) -> None:
        fast, slow, slow2 = [await connect(server, ticket=ticket_of(admin)) for _ in range(3)]
        for page in (slow, slow2):
            await page.until(lambda page=page: bool(page.of("hello")))
            page.send({"op": "rate", "hz": 1})
        await fast.until(lambda: sorted(c.divisor for c in server.clients) == [1, 4, 4])
        for _ in range(16):
            engine.tick()
            server.tick()
            await asyncio.sleep(0)
        await slow.until(lambda: len(slow.frames) >= 4)
        await slow2.until(lambda: len(slow2.frames) == len(slow.frames))
        await fast.until(lambda: len(fast.frames) >= 16)
        assert slow.frames[0].type == frames.SNAP and all(f.type == frames.DELTA for f in slow.frames[1:])
        assert slow.table == slow2.table
        while server._ticks % 4:
            server.tick()
        await fast.until(lambda: fast.table == slow.table, server.tick)

    run(admin, body)


def test_a_slow_client_is_skipped_not_queued(admin: AdminServer, engine: EnginePart) -> None:
    async def body(server: push.PushServer) -> None:
        page = await connect(server, ticket=ticket_of(admin))
        await first_table(server, page)
        client = next(iter(server.clients))
        page.transport.underlying_transport.pause_reading()
        turns = 0
        while not client.paused_at:  # fill the sockets until the transport says stop
            client.send(
                WSMsgType.BINARY,
                frames.encode(
                    frames.SNAP, 0, 0, [], push.hotlist.to_planes(engine.rows[:0], engine.rows["events"][:0])
                ),
            )
            client.send(WSMsgType.TEXT, b'{"t":"fill","x":"' + b"x" * 200_000 + b'"}')
            turns += 1
            assert turns < 500
            await asyncio.sleep(0)
        before = server.sent_bytes
        for _ in range(50):
            engine.tick()
            server.tick()
        assert server.sent_bytes == before and server.skipped == 50
        page.transport.underlying_transport.resume_reading()
        await page.until(lambda: not client.paused_at)
        n = len(page.frames)
        await page.until(lambda: len(page.frames) > n and len(page.frames[-1].ids) > 0, server.tick)
        last = next(frame for frame in page.frames[n:] if len(frame.ids))
        assert last.type == frames.SNAP and len(last.ids) == 10

    run(admin, body)


def test_a_stalled_client_is_dropped(admin: AdminServer, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(server: push.PushServer) -> None:
        page = await connect(server, ticket=ticket_of(admin))
        await first_table(server, page)
        client = next(iter(server.clients))
        client.paused_at = push.time.monotonic() - push.STALL_SECONDS - 1
        server.tick()
        await asyncio.wait_for(page.closed.wait(), 240)

    run(admin, body)


def test_events_come_once_and_gaps_are_told(
    admin: AdminServer, engine: EnginePart, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push, "EVENTS_PER_TICK", 5)

    async def body(server: push.PushServer) -> None:
        page = await connect(server, ticket=ticket_of(admin))
        await first_table(server, page)
        for k in range(12):
            engine.log("execution", LogKind.ORDER, text=f"<img src=x onerror=alert({k})>")
        server.tick()
        await page.until(lambda: any(event["gap"] for event in page.of("ev")))
        event = page.of("ev")[-1]
        assert event["gap"] == 7 and [e["text"] for e in event["items"]] == [
            f"<img src=x onerror=alert({k})>" for k in range(7, 12)
        ]
        count = len(page.of("ev"))
        server.tick()
        await page.until(lambda: len(page.of("head")) > 2, server.tick)
        assert len(page.of("ev")) == count

    run(admin, body)


def test_details_use_four_slots_and_give_them_back(admin: AdminServer, engine: EnginePart) -> None:
    async def body(server: push.PushServer) -> None:
        control = admin.plant.control
        pages = [await connect(server, ticket=ticket_of(admin)) for _ in range(6)]
        for page in pages:
            await page.until(lambda page=page: bool(page.of("hello")))
        for number, name in enumerate(["BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "BTCUSDT"], 1):
            pages[number - 1].send({"op": "detail", "symbol": name})
            await pages[number - 1].until(lambda n=number: sum(client.detail >= 0 for client in server.clients) == n)
        pages[5].send({"op": "detail", "symbol": "DOGEUSDT"})
        await pages[5].until(lambda: bool(pages[5].of("err")))
        assert sorted(control.detail_symbols) == [0, 1, 2, 3]
        engine.tick()
        await pages[4].until(lambda: bool(pages[4].of("detail")), server.tick)
        assert pages[4].of("detail")[0]["symbol"] == 0
        pages[0].send({"op": "detail", "symbol": None})
        pages[1].transport.disconnect()
        await pages[5].until(lambda: 1 not in control.detail_symbols)
        assert 0 in control.detail_symbols  # pages[4] still looks at it
        pages[5].send({"op": "detail", "symbol": "DOGEUSDT"})
        await pages[5].until(lambda: 4 in control.detail_symbols)
        pages[2].send({"op": "detail", "symbol": "<script>"})
        await pages[2].until(lambda: bool(pages[2].of("err")))

    run(admin, body)


def test_token_never_travels_on_the_channel(admin: AdminServer) -> None:
    async def body(server: push.PushServer) -> None:
        page = await connect(server, ticket=ticket_of(admin))
        await page.until(lambda: bool(page.of("plant")), server.tick)
        text = json.dumps(page.messages)
        assert TOKEN not in text and admin.auth.login_token not in text

    run(admin, body)
