"""What does the journal's tap cost on the order path of LIVE, per frame and per note, whether anybody reads it or not?

An order leaves behind three notes of execution (clock, controls, message); its bytes and its answer are told by the
link's thread after they were written, and reach the tap when execution takes them. "frame" is an order row of the private
stream (about 1 KB), "order" the bytes of an entry (about 400 B). The desk's own work on the same events is timed beside.
The ring has no reader here: a writer of a tap never waits for one.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import msgspec
import numpy as np

from bench.harness import Bench
from core.consumption import Kind, MessageNote
from core.orders.broker import Controls
from core.orders.exchange_desk import DeskConfig, ExchangeDesk
from core.orders.exchange_words import Ack, Event
from core.orders.wire import Message, pack_entry
from gateway.link_words import Context, Heard, source
from shm.broadcast import BroadcastRing
from workers.noted_desk import ExecutionTap, NotedDesk

CAPACITY = 32_768
FRAME = b'{"id":"x","topic":"order","creationTime":1,"data":[{"category":"linear"' + b'"field":"12345.67",' * 50 + b"}]}"
ORDER = b'{"reqId":"1-1f","header":{"X-BAPI-TIMESTAMP":"1"},"op":"order.create","args":[{' + b'"qty":"0.001",' * 20 + b"}]}"


def main(argv: Sequence[str] | None = None) -> int:
    bench = Bench("tap", argv, "the recorder's work (another process), the disk")
    calls = 2_000 if bench.small else 20_000
    repeats = 3 if bench.small else 9
    body: np.ndarray = np.zeros(BroadcastRing.bytes_needed(CAPACITY), np.uint8)
    ring = BroadcastRing.format(body, CAPACITY)
    tap = ExecutionTap(ring)
    noted, plain = NotedDesk(DeskConfig(), tap), ExchangeDesk(DeskConfig())
    message = MessageNote(0, pack_entry(Message(seq=5, kind=1), None))
    event: Event = Ack(1 << 32 | 7, 0, "OK", 9, 0, "id")
    context = Context((1 << 32 | 7,), "order.create")
    frame_source = source(Kind.PRIVATE, FRAME)
    heard = Heard((event,), source(Kind.TRADE_ACK, ORDER, 1, context))
    encode = msgspec.json.encode

    def put_frame() -> None:
        for _ in range(calls):
            tap.put(frame_source.kind, frame_source.data, frame_source.ts_ns, frame_source.mono_ns, 1)

    def put_order() -> None:
        for _ in range(calls):
            tap.put(Kind.SENT, ORDER, 1, 1, 1)

    def put_notes() -> None:
        for number in range(calls):
            tap.now(number)
            tap.note(message)

    def make_source() -> None:
        for _ in range(calls):
            source(Kind.SENT, ORDER, 1, context)

    def hear_noted() -> None:
        for number in range(calls):
            noted.hear(number, heard)
            noted.drain()

    def hear_plain() -> None:
        for number in range(calls):
            plain.on_event(number, event)
            plain.drain()

    def timer() -> None:
        for number in range(calls):
            tap.timer(number)

    cost = bench.interleave({
        "put: frame of 1 KB": put_frame, "put: order of 0.4 KB": put_order, "notes: clock and message": put_notes,
        "source: stamped (link thread)": make_source, "answer: told and taken by the desk": hear_noted,
        "answer: taken by the desk, not told": hear_plain, "timer": timer,
    }, repeats, dict.fromkeys((
        "put: frame of 1 KB", "put: order of 0.4 KB", "notes: clock and message",
        "source: stamped (link thread)", "answer: told and taken by the desk",
        "answer: taken by the desk, not told", "timer"), float(calls)))
    told, untold = cost["answer: told and taken by the desk"], cost["answer: taken by the desk, not told"]
    bench.figure("tap of one answer", told - untold, "ns")
    bench.figure("bytes of controls as JSON", len(encode(Controls())), "B")
    bench.digest(f"{tap.offered} records offered, {tap.not_offered} too long, desk counted {noted.counters['late_ack']}")
    return bench.finish()


if __name__ == "__main__":
    sys.exit(main())
