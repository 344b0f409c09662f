"""Private REST of Bybit, blocking: one kept-alive connection per thread, signed at the moment of writing.

A call ends in one of three ways, and the difference is money: an answer; nothing left (`sent` False: no connection); or
bytes left and no answer came (`sent` True): whether it acted is then unknown.
"""

from __future__ import annotations

import http.client
import select
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from gateway.bybit.private_codec import header_number
from gateway.bybit.rest_codec import RestAnswer
from gateway.bybit.sign import Credentials
from gateway.venue_clock import VenueClock

MAX_ANSWER_BYTES = 16 << 20
CONNECTIONS_KEPT = 64  # more than threads: closed ones are among them
IDLE_S = 20.0  # a connection that rested longer is made anew: the other side may have closed it


Wanted = Callable[[int], bool]
"""Monotonic ns -> may the request still leave? Asked in the caller's thread, right before the first byte."""


def always(now_ns: int) -> bool:
    return True


class SignedRest:
    """Calls below `base` (`https://host`) with one key. `recv_window_ms`: how long a request may be on its way."""

    def __init__(self, base: str, keys: Credentials, clock: VenueClock, recv_window_ms: int, timeout_s: float) -> None:
        parts = urlsplit(base)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{base!r} is no http address")
        self._host, self._port = parts.hostname, parts.port
        self._prefix = parts.path.rstrip("/")
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._keys = keys
        self._clock = clock
        self._recv_window_ms = recv_window_ms
        self._timeout_s = timeout_s
        self._mine = threading.local()
        self._all: deque[http.client.HTTPConnection] = deque(maxlen=CONNECTIONS_KEPT)

    def call(
        self, method: str, path: str, payload: bytes, not_after_ns: int, signed: bool = True, wanted: Wanted = always
    ) -> RestAnswer:
        """One request; `payload` is the query string of a GET, the body of a POST. Nothing is written after
        `not_after_ns` (monotonic), or when `wanted` says no. Never raises for the network."""
        if time.monotonic_ns() >= not_after_ns:  # it stood behind others
            return RestAnswer(0, sent=False, withheld=True, why="too late before it could leave")
        try:
            connection = self._connection()
        except OSError as error:
            return RestAnswer(0, sent=False, why=f"no connection: {error or type(error).__name__}")
        get = method == "GET"
        target = f"{self._prefix}{path}?{payload.decode()}" if get and payload else self._prefix + path
        headers: Mapping[str, str] = {}
        sent_ns = time.monotonic_ns()
        if sent_ns >= not_after_ns:
            return RestAnswer(0, sent=False, withheld=True, why="too late before it could leave")
        if not wanted(sent_ns):
            return RestAnswer(0, sent=False, withheld=True, why="not wanted any more")
        if signed:
            headers = self._keys.rest_headers(self._clock.now_ms(), self._recv_window_ms, payload)
        if not get:
            headers = {**headers, "Content-Type": "application/json"}
        try:
            connection.request(method, target, None if get else payload, dict(headers))
            answer = connection.getresponse()
            body = answer.read(MAX_ANSWER_BYTES + 1)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            return RestAnswer(0, why=f"no answer: {error or type(error).__name__}", sent_ns=sent_ns)
        received_ns = time.monotonic_ns()
        if len(body) > MAX_ANSWER_BYTES or answer.will_close:
            self.close()
        self._mine.used_s = time.monotonic()
        found = {name.lower(): value for name, value in answer.getheaders()}
        limit, left, reset = (header_number(found, f"x-bapi-limit{name}") for name in ("", "-status", "-reset-timestamp"))
        if len(body) > MAX_ANSWER_BYTES:
            return RestAnswer(0, why="answer too big", sent_ns=sent_ns)
        said = self._keys.redact(body)
        return RestAnswer(answer.status, said, limit, left, max(0, reset), True, "", sent_ns, received_ns)

    def _connection(self) -> http.client.HTTPConnection:
        """This thread's connection, open. Raises OSError."""
        held: http.client.HTTPConnection | None = getattr(self._mine, "connection", None)
        if held is not None and held.sock is not None:
            rested = time.monotonic() - self._mine.used_s > IDLE_S
            if not rested and not select.select([held.sock], [], [], 0)[0]:  # readable = closed, or out of step
                return held
            held.close()
        if self._tls is not None:
            held = http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout_s, context=self._tls)
        else:
            held = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)
        held.connect()
        self._all.append(held)
        self._mine.connection, self._mine.used_s = held, time.monotonic()
        return held

    def close(self) -> None:
        """Close this thread's connection."""
        held: http.client.HTTPConnection | None = getattr(self._mine, "connection", None)
        if held is not None:
            held.close()
            self._mine.connection = None

    def close_all(self) -> None:
        """Close the connections of all threads, once none of them calls any more."""
        while self._all:
            self._all.pop().close()
