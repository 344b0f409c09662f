"""Live push: a picows WebSocket server that shares one encoded frame among all clients of the same rate.

Nothing is ever queued for a client. The table is "latest value wins": who missed a tick (slow socket, hidden tab, just
came) gets the whole table at the next one. Events carry ids: who fell behind learns how many were skipped.

    client -> server   {"op":"auth","ticket":…} first, within 5 s; then {"op":"rate","hz":0|1|2|4},
                       {"op":"detail","symbol":"BTCUSDT"|null}
    server -> client   text: hello, symbols, head, plant, pos, ev, detail, err (key "t"); binary: SNAP and DELTA (frames.py)
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import msgspec
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

from admin import catalogue, hotlist, present
from admin.auth import Auth
from admin.snapshot import Snapshot
from admin.views import Views
from admin.web import Address
from core.detail import DETAIL_WISHES
from core.enums import Severity

AUTH_SECONDS = 5.0
STALL_SECONDS = 30.0
MAX_CLIENTS = 64
EVENTS_PER_TICK = 100
HIGH_WATER = 256 * 1024
BEAT_SECONDS = 0.05


class Client(WSListener):
    """One browser."""

    def __init__(self, server: PushServer, peer_origin: str) -> None:
        self.server = server
        self.origin = peer_origin
        self.transport: WSTransport | None = None
        self.ready = False
        self.paused_at = 0.0
        self.divisor = 1  # sends at every `divisor`-th tick; 0 = hidden page, nothing
        self.whole = True  # next table frame must be a SNAP
        self.versions: dict[str, int] = {}  # JSON parts this client has, by name
        self.seen_event = 0
        self.detail = -1
        self.opened = time.monotonic()

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        transport.underlying_transport.set_write_buffer_limits(high=HIGH_WATER)
        self.server.clients.add(self)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.server.clients.discard(self)
        self.server.release_detail(self)

    def pause_writing(self) -> None:
        self.paused_at = time.monotonic()

    def resume_writing(self) -> None:
        self.paused_at = 0.0
        self.whole = True

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), b"")
            transport.disconnect()
            return
        if frame.msg_type != WSMsgType.TEXT or not frame.fin:
            return
        try:
            message = msgspec.json.decode(frame.get_payload_as_bytes())
            operation = message.get("op") if isinstance(message, dict) else None
        except msgspec.DecodeError:
            operation = None
        if operation is None:
            self.refuse(WSCloseCode.POLICY_VIOLATION, "not a message of this protocol")
        elif not self.ready:
            self.server.authenticate(self, message)
        elif operation == "rate":
            self.set_rate(message.get("hz"))
        elif operation == "detail":
            self.server.want_detail(self, message.get("symbol"))

    def set_rate(self, hz: object) -> None:
        """0 stops the stream; otherwise the nearest whole fraction of the push rate."""
        if not isinstance(hz, int | float) or hz < 0:
            self.send_json({"t": "err", "code": 10001, "text": "rate: hz must be a number of at least 0"})
            return
        self.divisor = max(1, round(self.server.hz / hz)) if hz else 0
        self.whole = True

    def send(self, kind: WSMsgType, payload: bytes) -> None:
        if self.transport is not None:
            self.transport.send(kind, payload)
            self.server.sent_frames += 1
            self.server.sent_bytes += len(payload)

    def send_json(self, content: dict) -> None:
        self.send(WSMsgType.TEXT, msgspec.json.encode(content))

    def refuse(self, code: WSCloseCode, text: str) -> None:
        if self.transport is not None:
            self.send_json({"t": "err", "code": 10003, "text": text})
            self.transport.send_close(code, text.encode())
            self.transport.disconnect()


class PushServer:
    """The server: call `start`, then `tick` at `hz`, then `close`. All methods run in the event loop.

    `measure` is told how long (ns) each update took to build and send.
    """

    def __init__(self, views: Views, auth: Auth, where: Address, hz: float = 4.0,
                 measure: Callable[[int], None] = lambda ns: None) -> None:
        self.views = views
        self._measure = measure
        self.auth = auth
        self.where = where
        self.hz = hz
        self.clients: set[Client] = set()
        self._server: asyncio.Server | None = None
        self._ticks = 0
        self._channels: dict[int, hotlist.TableChannel] = {}
        self._parts: dict[str, tuple[int, bytes]] = {}  # name -> (version, JSON frame)
        self._symbols_version = -1
        self._epoch = 0  # of a replay: pages are greeted anew when it begins anew
        self._plant_at = -1e9
        self._gates = {gate.name: reason for gate, reason in catalogue.GATE_REASONS.items()}
        self._features = catalogue.features_json()
        self._details: dict[int, int] = {}  # symbol -> slot of the detail board
        self.sent_frames = 0
        self.sent_bytes = 0
        self.skipped = 0

    async def start(self) -> int:
        """Listen; returns the bound port."""
        self._server = await ws_create_server(self._accept, self.where.host, self.where.ws_port, max_frame_size=16384,
                                              enable_auto_ping=True, auto_ping_idle_timeout=20.0,
                                              auto_ping_reply_timeout=20.0)
        return int(self._server.sockets[0].getsockname()[1])

    def _accept(self, request: WSUpgradeRequest) -> Client | None:
        """Only /push, only from our own pages (Origin allow-list, trusted Host); everything else is a 404."""
        headers = request.headers
        origin = headers.get("Origin", "")
        host = headers.get("Host", "")
        if request.path != b"/push" or origin not in self.where.origins() or len(self.clients) >= MAX_CLIENTS:
            return None
        name = host.rsplit(":", 1)[0] if host.rpartition(":")[2].isdigit() else host
        return Client(self, origin) if name in self.where.trusted_hosts else None

    async def close(self) -> None:
        """Tell every client that the server goes, and stop listening."""
        for client in list(self.clients):
            if client.transport is not None:
                client.transport.send_close(WSCloseCode.GOING_AWAY, b"admin stops")
                client.transport.disconnect()
        if self._server is not None:
            self._server.close()

    # --- messages of clients -----------------------------------------------------------------------------------------
    def authenticate(self, client: Client, message: dict) -> None:
        """First message: a ticket, single use."""
        session = self.auth.redeem_ticket(message.get("ticket")) if message.get("op") == "auth" else None
        if session is None:
            client.refuse(WSCloseCode.POLICY_VIOLATION, "ticket missing, used or too old: reload the page")
            return
        client.ready = True
        self.greet(client)

    def greet(self, client: Client) -> None:
        """Everything a page needs to begin: names, columns, the last events; the table follows whole."""
        names = self.views.names()
        events, _, client.seen_event = self.views.events.since(0, 150, names)
        client.whole = True
        weighty, _ = self.views.events.page(150, names, before=events[0]["id"] if events else None, least=Severity.INFO)
        snapshot = self.views.snapshot()
        hello = {"t": "hello", "v": 1, "hz": self.hz, "columns": hotlist.columns_json(), "unknown": hotlist.UNKNOWN,
                 "enums": self.views.enums_json(), "run": self.views.run_json(), "gates": self._gates,
                 "features": self._features,
                 "symbols": [info.as_json() for info in snapshot.symbols.values()],
                 "timeline": list(self.views.timeline.points), "events": [*reversed(weighty), *events]}
        client.send_json(hello)

    def want_detail(self, client: Client, name: object) -> None:
        """Subscribe to one symbol's ladder, candles and trades; None unsubscribes."""
        self.release_detail(client)
        if name is None:
            return
        info = self.views.snapshot().by_name(name) if isinstance(name, str) else None
        if info is None:
            client.send_json({"t": "err", "code": 10001, "text": "detail: this symbol is not listed"})
            return
        if info.id not in self._details:
            free = set(range(DETAIL_WISHES)) - set(self._details.values())
            if not free:
                client.send_json({"t": "err", "code": 10006,
                                  "text": f"detail: {DETAIL_WISHES} symbols are already open in other windows"})
                return
            self._details[info.id] = min(free)
            self.views.set_detail(self._details[info.id], info.id)
        client.detail = info.id
        client.versions.pop(f"detail {info.id}", None)

    def release_detail(self, client: Client) -> None:
        symbol, client.detail = client.detail, -1
        if symbol >= 0 and not any(other.detail == symbol for other in self.clients):
            self.views.set_detail(self._details.pop(symbol), -1)

    # --- ticks -------------------------------------------------------------------------------------------------------
    def waiting(self) -> bool:
        """Does an authenticated client still wait for its first table?"""
        return any(client.ready and client.whole and client.divisor and not client.paused_at for client in self.clients)

    def tick(self) -> None:
        """Look once, encode once, send to everyone who keeps up."""
        self._ticks += 1
        now = time.monotonic()
        due = [client for client in list(self.clients) if self._keeps_up(client, now)]
        snapshot = self.views.refresh()
        if self.views.replay.epoch != self._epoch:
            self._epoch, known = self.views.replay.epoch, self._epoch
            for client in [each for each in self.clients if each.ready and known]:
                self.greet(client)
        if not due:
            return
        planes = hotlist.to_planes(snapshot.rows, snapshot.seen_ms)
        for divisor in {client.divisor for client in due}:
            self._channels.setdefault(divisor, hotlist.TableChannel()).update(snapshot.ids, planes, snapshot.wall_ns)
        self._encode(snapshot, now, {client.detail for client in due if client.detail >= 0})
        for client in due:
            self._send(client)
        self._measure(int((time.monotonic() - now) * 1e9))

    def _keeps_up(self, client: Client, now: float) -> bool:
        """Is this client to be served at this tick? Closes those that never authenticate or stall for long.

        All clients of a rate group are served at the same ticks, so that one DELTA fits them all.
        """
        if not client.ready:
            if now - client.opened > AUTH_SECONDS:
                client.refuse(WSCloseCode.POLICY_VIOLATION, "no ticket within 5 s")
            return False
        if client.paused_at:
            self.skipped += 1
            if now - client.paused_at > STALL_SECONDS and client.transport is not None:
                client.transport.disconnect(False)
            return False
        return client.divisor > 0 and self._ticks % client.divisor == 0

    def _part(self, name: str, content: dict) -> None:
        """Keep a JSON frame under a version that changes only when its bytes do."""
        payload = msgspec.json.encode({"t": name.split(" ")[0], **content})
        version, old = self._parts.get(name, (0, b""))
        if payload != old:
            self._parts[name] = (version + 1, payload)

    def _encode(self, snapshot: Snapshot, now: float, details: set[int]) -> None:
        if self.views.symbols_version != self._symbols_version:
            self._symbols_version = self.views.symbols_version
            self._part("symbols", {"symbols": [info.as_json() for info in snapshot.symbols.values()]})
        self._part("head", {"ts": snapshot.wall_ns // 1_000_000, "ms": snapshot.now_ms, "control": snapshot.control,
                            "account": present.account(snapshot), "global": snapshot.global_regime,
                            "wire": present.wire_to_intent(snapshot), "n": len(snapshot.ids),
                            "replay": self.views.replay.state()})
        self._part("pos", {"rows": present.positions(snapshot)})
        if now - self._plant_at >= 0.95:
            self._plant_at = now
            self._part("plant", {"processes": snapshot.processes, "stages": snapshot.stages, "rings": snapshot.rings,
                                 "counters": snapshot.counters, "point": self.views.timeline.newest(),
                                 "clients": len(self.clients), "skipped": self.skipped})
        for symbol in details:
            detail = self.views.detail(symbol)
            if detail:
                self._part(f"detail {symbol}", detail)

    def _send(self, client: Client) -> None:
        names = ["symbols", "head", "pos", "plant"]
        if client.detail >= 0:
            names.append(f"detail {client.detail}")
        self._send_part(client, names[0])  # rows need their names first
        channel = self._channels[client.divisor]
        client.send(WSMsgType.BINARY, channel.snap() if client.whole else channel.delta())
        client.whole = False
        for name in names[1:]:
            self._send_part(client, name)
        if client.seen_event < self.views.events.newest:
            events, skipped, client.seen_event = self.views.events.since(client.seen_event, EVENTS_PER_TICK,
                                                                         self.views.names())
            client.send_json({"t": "ev", "items": events, "gap": skipped})

    def _send_part(self, client: Client, name: str) -> None:
        version, payload = self._parts.get(name, (0, b""))
        if version and client.versions.get(name) != version:
            client.versions[name] = version
            client.send(WSMsgType.TEXT, payload)


async def run_ticks(push: PushServer, turn: Callable[[], bool]) -> None:
    """`turn()` every 50 ms until it says stop, a tick at `push.hz`; a late tick is not caught up. Without clients: 1 Hz."""
    due = 0.0
    while not turn():
        now = time.monotonic()
        if now >= due or push.waiting():
            push.tick()
            due = now + (1.0 / push.hz if push.clients else 1.0)
        await asyncio.sleep(max(0.0, min(BEAT_SECONDS, due - time.monotonic())))
