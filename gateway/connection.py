"""The picows shell around a Session: sockets in and out, nothing decided here.

Frames of one socket read are copied into one stage and handed on in one call at the last of them. Pings are answered
here and not by picows: a ping that it swallows at the end of a read would take `last_in_buffer` with it, and the frames
before it would wait for the next read.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Protocol

import numpy as np
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from core.jit import kernel
from gateway.bybit.messages import Control
from gateway.bybit.session import Close, Open, Send, Session, SessionState
from gateway.intake import MAX_FRAMES
from gateway.socket_options import tuned
from gateway.tape import FRAME_COLUMNS, STAGE_TAIL

CONTROL_BYTES_MAX = 125  # RFC 6455 5.5
READ_BUFFER_BYTES = 256 << 10  # one read under load then holds hundreds of frames
HANDSHAKE_TIMEOUT_S = 10.0
CLOSE_S = 1.0  # at the end, for a connection that is just being made
TCP_USER_TIMEOUT_MS = 15_000
_BRACE = ord("{")
_APART = bytearray(1)  # between frames: a number at the end of one must not run into the next
_TAIL = bytes(STAGE_TAIL)
_TEXT, _BINARY, _PING, _PONG, _CLOSE = (
    WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.PING, WSMsgType.PONG, WSMsgType.CLOSE,
)


class FrameSink(Protocol):
    """Takes the frames of one socket read: stage bytes, frame rows, how many, payload bytes."""

    def __call__(self, stage: np.ndarray, frames: np.ndarray, n_frames: int, n_bytes: int) -> None: ...


class WallClock:
    """Receive times: the wall clock, but never going back within a run."""

    def __init__(self, read: Callable[[], int] = time.time_ns) -> None:
        self._read = read
        self._last_ns = 0

    def now_ns(self) -> int:
        self._last_ns = max(self._last_ns, self._read())
        return self._last_ns


@kernel
def fill_frames(frames, lengths, n_frames, ts_recv_ns, mono_ns, conn):
    """Rows of the frames of one read, which lie one byte apart from offset 0 on."""
    at = 0
    for index in range(n_frames):
        frames[index, 0] = at
        frames[index, 1] = lengths[index]
        frames[index, 2] = ts_recv_ns
        frames[index, 3] = mono_ns
        frames[index, 4] = conn
        at += lengths[index] + 1


class Stage:
    """The frames of one socket read, for one listener at a time.

    Per frame one bytes object and one append: half the time of copying each frame into a buffer through memoryviews.
    They become one buffer in `flush`.
    """

    def __init__(self, sink: FrameSink, clock: WallClock) -> None:
        self.pending: list[bytes] = []
        self._frames: np.ndarray = np.zeros((MAX_FRAMES, FRAME_COLUMNS), np.int64)
        self._sink = sink
        self._clock = clock
        self._ts_recv_ns = 0
        self._mono_ns = 0

    def begin(self) -> None:
        """Stamp the receive time: called at the first frame of a read."""
        self._ts_recv_ns = self._clock.now_ns()
        self._mono_ns = time.monotonic_ns()

    def flush(self, conn: int) -> None:
        """Hand the frames on, in runs of at most MAX_FRAMES. They are gone afterwards, also when the sink raises."""
        pending = self.pending
        while pending:
            run = pending[:MAX_FRAMES]
            del pending[:MAX_FRAMES]
            count = len(run)
            lengths = np.fromiter(map(len, run), np.int64, count)
            fill_frames(self._frames, lengths, count, self._ts_recv_ns, self._mono_ns, conn)
            run.append(_TAIL)
            joined = _APART.join(run)
            self._sink(np.frombuffer(joined, np.uint8), self._frames, count, len(joined) - count - STAGE_TAIL)


class FrameListener(WSListener):
    """Callbacks of one socket; `lost(reason)` is called once, when it is gone."""

    def __init__(self, conn: int, stage: Stage, max_frame_bytes: int, lost: Callable[[str], None]) -> None:
        self.conn = conn
        self.reason = ""
        self._stage = stage
        self._pending = stage.pending
        self._max_frame_bytes = max_frame_bytes
        self._lost = lost
        self._parts = bytearray()
        self._in_parts = False

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        payload = frame.get_payload_as_bytes()
        # asking picows for msg_type costs more than all else here; a control frame holds at most 125 bytes
        if len(payload) > CONTROL_BYTES_MAX and payload[0] == _BRACE and frame.fin and not self._in_parts:
            pending = self._pending
            if not pending:
                self._stage.begin()
            pending.append(payload)
        else:
            self._unusual(transport, frame, payload)
        if frame.last_in_buffer:
            self._stage.flush(self.conn)

    def _take(self, payload: bytes) -> None:
        if not self._pending:
            self._stage.begin()
        self._pending.append(payload)

    def _unusual(self, transport: WSTransport, frame: WSFrame, payload: bytes) -> None:
        """Short frames, control frames, fragments, and what a public stream never sends."""
        kind = frame.msg_type
        if kind is _TEXT and frame.fin and not frame.rsv1 and not self._in_parts:
            self._take(payload)
        elif kind is _PING:
            transport.send_pong(payload)
        elif kind is _PONG:
            return
        elif kind is _CLOSE:
            self.give_up(transport, f"closed by the exchange ({frame.get_close_code()})", WSCloseCode.OK)
        elif kind is _BINARY or frame.rsv1 or frame.rsv2 or frame.rsv3:
            self.give_up(transport, "binary or compressed frame on a text stream", WSCloseCode.UNSUPPORTED_DATA)
        else:
            self._fragment(transport, frame, payload)

    def _fragment(self, transport: WSTransport, frame: WSFrame, payload: bytes) -> None:
        if (frame.msg_type is _TEXT) == self._in_parts:  # a start inside a message, or a continuation of nothing
            self.give_up(transport, "fragments out of order", WSCloseCode.PROTOCOL_ERROR)
            return
        self._in_parts = not frame.fin
        self._parts += payload
        if len(self._parts) > self._max_frame_bytes:
            self.give_up(transport, "message too big", WSCloseCode.MESSAGE_TOO_BIG)
        elif frame.fin:
            self._take(bytes(self._parts))
            self._parts.clear()

    def give_up(self, transport: WSTransport, reason: str, code: WSCloseCode = WSCloseCode.GOING_AWAY) -> None:
        """Close without waiting for the other side, which may be dead."""
        self.reason = self.reason or reason
        if not transport.is_disconnected:
            transport.send_close(code)
            transport.disconnect(False)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._stage.flush(self.conn)
        self._lost(self.reason or "connection lost")


class Connection:
    """One Session with its socket. `step` is called on a timer; `changed(connection, reason)` tells opened and lost.

    `reason` is "" when the connection was opened.
    """

    def __init__(
        self,
        session: Session,
        url: str,
        stage: Stage,
        max_frame_bytes: int,
        changed: Callable[[Connection, str], None],
    ) -> None:
        self.session = session
        self._url = url
        self._stage = stage
        self._max_frame_bytes = max_frame_bytes
        self._changed = changed
        self._listener: FrameListener | None = None
        self._transport: WSTransport | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._log = logging.getLogger("gateway.picows")
        self._log.setLevel(logging.CRITICAL)  # what happens to a socket is told through `changed`

    @property
    def is_open(self) -> bool:
        return self.session.state == SessionState.OPEN

    def step(self) -> None:
        """Carry out what the session wants now."""
        for command in self.session.poll(time.monotonic_ns()):
            if isinstance(command, Open):
                self._connecting = asyncio.get_running_loop().create_task(self._connect())
            elif isinstance(command, Send):
                if self._transport is not None and not self._transport.is_disconnected:
                    self._transport.send(WSMsgType.TEXT, command.data)
            elif isinstance(command, Close):
                self.drop(command.reason)

    def reply(self, control: Control) -> str:
        """An acknowledgement or pong of this connection; returns the refusal's text or ""."""
        return self.session.reply(control, time.monotonic_ns())

    def drop(self, reason: str) -> None:
        """Give the socket up; the session makes a new one."""
        if self._listener is not None and self._transport is not None:
            self._listener.give_up(self._transport, reason)

    async def close(self) -> None:
        """Stop for good and wait until the socket is gone."""
        self.session.stop()
        if self._connecting is not None and not self._connecting.done():
            await asyncio.wait([self._connecting], timeout=CLOSE_S)  # a handshake that is cut off leaves its socket open
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        if self._transport is not None:
            transport = self._transport
            self.drop("stopping")
            await transport.wait_disconnected()

    async def _connect(self) -> None:
        listener = FrameListener(self.session.conn, self._stage, self._max_frame_bytes, self._on_lost)
        try:
            transport, _ = await ws_connect(
                lambda: listener,
                self._url,
                websocket_handshake_timeout=HANDSHAKE_TIMEOUT_S,
                enable_auto_pong=False,
                max_frame_size=self._max_frame_bytes,
                read_buffer_init_size=READ_BUFFER_BYTES,
                logger_name=self._log,
            )
        except Exception as error:  # any failure to connect is the same to us: try again later
            self.session.lost(time.monotonic_ns())
            self._changed(self, f"cannot connect to {self._url}: {error or type(error).__name__}")
            return
        if self.session.state != SessionState.CONNECTING:
            listener.give_up(transport, "stopping")
            return
        if not tuned(transport, TCP_USER_TIMEOUT_MS):
            self.session.lost(time.monotonic_ns())
            self._changed(self, "closed at once")
            return
        self._listener, self._transport = listener, transport
        self.session.opened(time.monotonic_ns())
        self._changed(self, "")
        self.step()

    def _on_lost(self, reason: str) -> None:
        was_open = self._transport is not None
        self._listener = self._transport = None
        if was_open:
            self.session.lost(time.monotonic_ns())
            self._changed(self, reason)
