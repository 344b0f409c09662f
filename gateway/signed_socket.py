"""One authenticated WebSocket of Bybit that is always being remade: connect, auth, (subscribe), ping, and again.

    connecting -> auth sent -> auth taken -> `greet` sent -> ... `up()` -> lost -> pause (jittered, growing) -> connecting

Runs in the event loop of the order link. What the frames mean is the owner's business: every text frame goes to
`on_text` once the connection is authenticated.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable

import msgspec
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from core.consumption import Kind
from gateway.bybit.messages import Control
from gateway.bybit.session import Backoff, ConnectBudget, Timing
from gateway.bybit.sign import Credentials
from gateway.link_words import NO_CONTEXT, Context
from gateway.socket_options import tuned
from gateway.venue_clock import VenueClock

AUTH_VALID_MS = 8_000
ANSWER_S = 5.0  # for auth and subscription
HANDSHAKE_TIMEOUT_S = 5.0
MAX_FRAME_BYTES = 4 << 20
TCP_USER_TIMEOUT_MS = 10_000
REPEAT_AUTH = 20001
Record = Callable[[Kind, bytes, int, Context], None]
_CONTROL = msgspec.json.Decoder(Control)
_QUIET = logging.getLogger("gateway.picows")
_QUIET.setLevel(logging.CRITICAL)  # what happens to a socket is told through `on_change`


class SignedSocket:
    """Subclasses say what to send after auth (`greet`) and what to do with frames (`on_text`), and call `set_up`.

    on_change(up, reason): the connection became usable, or is gone. `epoch` counts connections that became usable.
    `record(kind, bytes, epoch, context)` is told of every frame that `write` sent and of those that nobody else tells of;
    never of `auth` and its answer.
    """

    name = "socket"
    id_name = "req_id"
    kind = Kind.PRIVATE  # of frames that come

    def __init__(
        self, url: str, keys: Credentials, clock: VenueClock, timing: Timing, budget: ConnectBudget, rng: random.Random,
        on_change: Callable[[bool, str], None],
    ) -> None:
        self.epoch = 0
        self.is_up = False
        self._url = url
        self._keys = keys
        self._clock = clock
        self._timing = timing
        self._budget = budget
        self._backoff = Backoff(timing.backoff_min_ns, timing.backoff_max_ns, rng)
        self._on_change = on_change
        self._transport: WSTransport | None = None
        self._authenticated = False
        self._reason = ""
        self._lost = asyncio.Event()
        self._numbers = 0
        self._deadline_ns = 0  # of auth and subscription
        self._ping_ns = self._pong_due_ns = 0
        self._stopping = False
        self.record: Record = lambda kind, data, epoch, context: None

    # --- for subclasses ----------------------------------------------------------------------------------------------
    def greet(self) -> None:
        """Authenticated: ask for what is needed, or be up."""
        self.set_up()

    def on_text(self, frame: bytes) -> None:
        """A text frame that is no pong, after auth."""

    def set_up(self) -> None:
        """The connection can be used now."""
        self.is_up = True
        self.epoch += 1
        self._deadline_ns = 0
        self._on_change(True, "")

    def is_pong(self, frame: bytes) -> bool:
        """Short frames are looked at before the owner sees them."""
        return len(frame) < 400 and b'"op":"pong"' in frame.replace(b" ", b"")

    def write(self, text: bytes, context: Context = NO_CONTEXT) -> bool:
        """Write one text frame now, and record it. False when there is no connection: nothing left."""
        if not self._send(text):
            return False
        self.record(Kind.SENT, text, self.epoch, context)
        return True

    def _send(self, text: bytes) -> bool:
        transport = self._transport
        if transport is None or transport.is_disconnected:
            return False
        transport.send(WSMsgType.TEXT, text)
        return True

    def next_id(self) -> str:
        """A request id nobody has used on this connection."""
        self._numbers += 1
        return f"{self.epoch:x}-{self._numbers:x}"

    # --- life --------------------------------------------------------------------------------------------------------
    async def run(self) -> None:
        """Until `stop`: connect, live, pause, connect ..."""
        while not self._stopping:
            if self._budget.take(time.monotonic_ns()):
                began_ns = time.monotonic_ns()
                was_up = await self._one_life()
                if was_up and time.monotonic_ns() - began_ns > 10_000_000_000:
                    self._backoff.reset()
            await self._pause(self._backoff.next_ns() / 1e9)

    def stop(self) -> None:
        """Close for good."""
        self._stopping = True
        self.drop("stopping")
        self._lost.set()

    def drop(self, reason: str) -> None:
        """Give this connection up; another one is made. The owner is told at once."""
        self._reason = self._reason or reason
        transport = self._transport
        if transport is not None and not transport.is_disconnected:
            transport.send_close(WSCloseCode.GOING_AWAY)
            transport.disconnect(False)

    def beat(self, now_ns: int) -> None:
        """Call every 50 ms or so: pings, and patience with auth and pongs."""
        if self._transport is None:
            return
        if self._deadline_ns and now_ns >= self._deadline_ns:
            self._deadline_ns = 0
            self.drop("no answer to auth or subscription")
        elif self._pong_due_ns and now_ns >= self._pong_due_ns:
            self._pong_due_ns = 0
            self.drop("no pong")
        elif now_ns >= self._ping_ns:
            self._ping_ns = now_ns + self._timing.ping_ns
            self._pong_due_ns = self._pong_due_ns or now_ns + self._timing.pong_deadline_ns
            self.write(msgspec.json.encode({self.id_name: self.next_id(), "op": "ping"}))

    async def _pause(self, seconds: float) -> None:
        self._lost.clear()
        if not self._stopping:
            try:
                await asyncio.wait_for(self._lost.wait(), seconds)
            except TimeoutError:
                return

    async def _one_life(self) -> bool:
        """One connection from its handshake to its end; True when it became usable."""
        self._lost.clear()
        self._authenticated, self._reason = False, ""
        epoch = self.epoch
        listener = _Listener(self)
        try:
            transport, _ = await ws_connect(
                lambda: listener, self._url, websocket_handshake_timeout=HANDSHAKE_TIMEOUT_S, enable_auto_pong=False,
                max_frame_size=MAX_FRAME_BYTES, logger_name=_QUIET,
            )
        except Exception as error:  # any failure to connect is the same to us: try again later
            self._on_change(False, f"cannot connect: {error or type(error).__name__}")
            return False
        if not tuned(transport, TCP_USER_TIMEOUT_MS):
            self._on_change(False, "closed at once")
            return False
        self._transport = transport
        now_ns = time.monotonic_ns()
        self._deadline_ns = now_ns + int(ANSWER_S * 1e9)
        self._ping_ns, self._pong_due_ns = now_ns + self._timing.ping_ns, 0
        if self._stopping:
            self.drop("stopping")
        self._send(self._keys.ws_auth(self._clock.now_ms() + AUTH_VALID_MS, self.id_name, self.next_id()))
        await self._lost.wait()
        return self.epoch > epoch

    # --- callbacks of the listener -----------------------------------------------------------------------------------
    def take(self, frame: bytes) -> None:
        """A text frame. An error of ours is told to the loop, whose owner ends the process; picows would swallow it."""
        frame = self._keys.redact(frame)
        try:
            if self.is_pong(frame):
                self._pong_due_ns = 0
                self.record(self.kind, frame, self.epoch, NO_CONTEXT)
            elif self._authenticated:
                self.on_text(frame)
            else:
                self._take_auth(frame)
        except Exception as error:
            asyncio.get_running_loop().call_exception_handler({"message": f"{self.name}: frame", "exception": error})

    def _take_auth(self, frame: bytes) -> None:
        try:
            answer = _CONTROL.decode(frame)
        except (msgspec.DecodeError, RecursionError):
            self.drop("no answer to auth")
            return
        if answer.op != "auth":
            self.drop(f"answer to auth is {answer.op[:20]!r}")
        elif answer.is_failure and answer.ret_code != REPEAT_AUTH:
            self.drop(f"auth refused: {answer.ret_code or ''} {answer.text[:80]}")
        else:
            self._authenticated = True
            self._deadline_ns = time.monotonic_ns() + int(ANSWER_S * 1e9)
            self.greet()

    def gone(self, reason: str) -> None:
        self._transport = None
        self.is_up = self._authenticated = False
        self._deadline_ns = self._pong_due_ns = 0
        self._on_change(False, self._reason or reason)
        self._lost.set()


class _Listener(WSListener):
    """Callbacks of one socket."""

    def __init__(self, owner: SignedSocket) -> None:
        super().__init__()
        self._owner = owner
        self._parts = bytearray()
        self._in_parts = False

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        payload = frame.get_payload_as_bytes()
        if kind is WSMsgType.TEXT and frame.fin and not self._in_parts:
            self._owner.take(payload)
        elif kind is WSMsgType.PING:
            transport.send_pong(payload)
        elif kind is WSMsgType.PONG:
            return
        elif kind is WSMsgType.CLOSE:
            self._owner.drop(f"closed by the exchange ({frame.get_close_code()})")
        elif kind is WSMsgType.BINARY or (kind is WSMsgType.TEXT) == self._in_parts:
            self._owner.drop("binary frame or fragments out of order")
        else:
            self._fragment(frame, payload)

    def _fragment(self, frame: WSFrame, payload: bytes) -> None:
        self._in_parts = not frame.fin
        self._parts += payload
        if len(self._parts) > MAX_FRAME_BYTES:
            self._owner.drop("message too big")
        elif frame.fin:
            whole = bytes(self._parts)
            self._parts.clear()
            self._owner.take(whole)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._owner.gone("connection lost")
