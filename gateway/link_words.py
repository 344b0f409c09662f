"""What the order link tells the execution process: events of the desk, and the bytes they were read from.

    Heard(events)            no bytes say them: a lost answer, a connection, a clock
    Heard(events, Source)    read from these bytes; for what left us, or says nothing, without events

No key is in them: requests of REST are told without their headers, `auth` frames not at all, and what comes was redacted
(`Credentials.redact`) before anybody saw it.
"""

from __future__ import annotations

import time
from typing import NamedTuple

import msgspec

from core.consumption import Kind
from core.orders.exchange_words import Event
from gateway.bybit.rest_codec import RestAnswer


class Context(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the bytes do not say: the requests they belong to, HTTP around a body, symbols that could not be read."""

    req_ids: tuple[int, ...] = ()
    op: str = ""
    status: int = -1  # of REST; 0 = no answer came
    limit: int = -1
    left: int = -1
    reset_ms: int = 0
    sent: bool = True
    why: str = ""
    strangers: tuple[str, ...] = ()

    def rest_answer(self, body: bytes) -> RestAnswer:
        """The answer of REST it was made of."""
        return RestAnswer(self.status, body, self.limit, self.left, self.reset_ms, self.sent, self.why)


NO_CONTEXT = Context()


class Source(NamedTuple):
    """Bytes of a link (`kind` as in core.consumption) and when they came or left."""

    kind: Kind
    data: bytes
    ts_ns: int
    mono_ns: int
    epoch: int = 0
    context: Context = NO_CONTEXT


class Heard(NamedTuple):
    """One thing the link has to say; the events belong together."""

    events: tuple[Event, ...]
    source: Source | None = None


def source(kind: Kind, data: bytes, epoch: int = 0, context: Context = NO_CONTEXT, mono_ns: int = 0) -> Source:
    """Bytes of now, or of `mono_ns` (monotonic) where that is given."""
    now_ns = time.monotonic_ns()
    at_ns = mono_ns or now_ns
    return Source(kind, data, time.time_ns() - (now_ns - at_ns), at_ns, epoch, context)


def rest_source(req_ids: tuple[int, ...], op: str, answer: RestAnswer) -> Source:
    """The answer of a REST call, or that none came."""
    context = Context(req_ids, op, answer.status, answer.limit, answer.left, answer.reset_ms, answer.sent, answer.why)
    return source(Kind.REST, answer.body, 0, context, answer.received_ns)


def rest_line(method: str, path: str, payload: bytes) -> bytes:
    """A REST request as it is told: without its headers, where key and signature are."""
    return f"{method} {path}\n".encode() + payload
