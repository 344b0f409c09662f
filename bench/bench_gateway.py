"""What the gateway adds to receiving a frame: socket -> decoded, checked, routed, published, offered to the recorder.

A second process replays the same pre-framed bytes over loopback, as fast as they are taken. Both candidates run the
same picows client in this process: `bare` only takes each payload's memoryview; `gateway` is the production path
(connection, intake, publisher into two lossy rings, raw tap). Cost is CPU time of this process, because wall time on
a shared machine also measures the others.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import numpy as np
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from bench.harness import Bench
from config.schema import Settings
from gateway.bybit.symbol_index import SymbolIndex
from gateway.bybit.universe import Selector, Universe
from gateway.connection import READ_BUFFER_BYTES, FrameListener, Stage, WallClock
from gateway.intake import Intake
from gateway.publisher import Publisher
from gateway.tape_scan import scan_tape, tape_instruments
from gateway.warm import ring
from shm.counters import PAGE_WORDS, CounterPage
from shm.tap import Tap

RECORDED = (
    Path(__file__).resolve().parents[2]
    / "shared/bybit/recordings/DERIVED_bybit_shape_from_binance_20240718_BTC_ETH.frames.gz"
)
SHARDS = 2
RING_CELLS = 262_144
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def made_frames(count: int) -> list[bytes]:
    """Frames of the usual shapes for where no recording lies beside the project (seeded)."""
    rng = np.random.default_rng(7)
    frames = []
    for i in range(count):
        name = f"S{i % 50}USDT"
        levels = b",".join(b'["%d.%d","%d.%03d"]' % tuple(rng.integers(10, 99, 4)) for _ in range(9))
        kind = b"snapshot" if i < 50 else b"delta"
        frames.append(
            b'{"topic":"orderbook.50.%s","type":"%s","ts":1700000000000,"data":{"s":"%s","b":[%s],"a":[],"u":%d,"seq":%d},'
            b'"cts":1700000000000}' % (name.encode(), kind, name.encode(), levels, 2 + i // 50, i)
        )
    return frames


def load_frames(count: int) -> list[bytes]:
    """The first `count` recorded frames, or made ones."""
    if not RECORDED.exists():
        return made_frames(count)
    with gzip.open(RECORDED) as file:
        return [line.partition(b" ")[2].rstrip(b"\n") for line, _ in zip(file, range(count), strict=False)]


def framed(frames: Sequence[bytes]) -> bytes:
    """Unmasked WebSocket text frames, one behind the other."""
    parts = []
    for frame in frames:
        size = len(frame)
        head = bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2, "big")
        parts.append(b"\x81" + (head if size < 65_536 else b"\x7f" + size.to_bytes(8, "big")) + frame)
    return b"".join(parts)


def serve(path: str) -> None:
    """The second process: print the port, then send the file's bytes to each client that asks with one message."""
    data = Path(path).read_bytes()
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        while True:
            client, _ = server.accept()
            with client:
                request = b""
                while b"\r\n\r\n" not in request:
                    request += client.recv(4096)
                found = re.search(rb"Sec-WebSocket-Key: *(\S+)", request, re.IGNORECASE)
                assert found is not None
                accept = base64.b64encode(hashlib.sha1(found[1] + GUID).digest())
                client.sendall(
                    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
                )
                if client.recv(4096):
                    client.sendall(data)
                    client.recv(4096)


class Bare(WSListener):
    """The floor: the payload is there, nothing is done with it."""

    def __init__(self, wanted: int, done: Callable[[], None]) -> None:
        self.wanted = wanted
        self.done = done
        self.frames = 0
        self.bytes = 0

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        self.frames += 1
        self.bytes += len(frame.get_payload_as_memoryview())
        if frame.last_in_buffer and self.frames >= self.wanted:
            self.done()


class Gateway:
    """The production path from the socket to the rings."""

    def __init__(self, frames: Sequence[bytes]) -> None:
        with tempfile.NamedTemporaryFile() as tape:
            tape.write(b"".join(b"%d %s\n" % (1 + i, frame) for i, frame in enumerate(frames)))
            tape.flush()
            contents = scan_tape([Path(tape.name)])
        settings = Settings()
        self.publisher = Publisher([ring(RING_CELLS).writer() for _ in range(SHARDS)], 1024, lambda seq: None, lambda: True)
        symbols = SymbolIndex()
        self.counters = CounterPage(np.zeros(PAGE_WORDS, np.int64))
        self.intake = Intake(self.publisher, self.counters, symbols)
        self.raw = Tap(ring(RING_CELLS))
        universe = Universe(settings.symbols, settings.trading.fees, Selector(), SHARDS)
        changes = universe.start(tape_instruments(contents, {}), {s.name: s.frames for s in contents.symbols}, 1)
        self.publisher.start(time.time_ns())
        for symbol in changes.listed:
            record = universe.records[symbol : symbol + 1].copy()
            symbols.add(record)
            self.publisher.listing(record)
        self.stage = Stage(self._sink, WallClock())
        self.wanted = 0
        self.done: Callable[[], None] = lambda: None

    def _sink(self, stage: np.ndarray, frames: np.ndarray, n_frames: int, n_bytes: int) -> None:
        self.intake.process(stage, frames, n_frames, n_bytes)
        self.raw.offer(stage, frames, n_frames)
        self.wanted -= n_frames
        if self.wanted <= 0:
            self.done()

    def listener(self, wanted: int, done: Callable[[], None]) -> WSListener:
        self.wanted, self.done = wanted, done
        self.publisher.sync.asked[:] = 1
        return FrameListener(1, self.stage, 1 << 22, lambda reason: None)


async def receive(port: int, make: Callable[[Callable[[], None]], WSListener]) -> tuple[float, float]:
    """(CPU seconds, wall seconds) of this process from the first request to the last frame."""
    finished = asyncio.get_running_loop().create_future()
    listener = make(lambda: None if finished.done() else finished.set_result(None))
    transport, _ = await ws_connect(
        lambda: listener, f"ws://127.0.0.1:{port}/", enable_auto_pong=False, max_frame_size=1 << 22,
        read_buffer_init_size=READ_BUFFER_BYTES,
    )
    cpu, wall = time.process_time(), time.perf_counter()
    transport.send(WSMsgType.TEXT, b"go")
    await finished
    spent = time.process_time() - cpu, time.perf_counter() - wall
    transport.disconnect(False)
    await transport.wait_disconnected()
    return spent


def main(argv: Sequence[str] | None = None) -> int:
    bench = Bench(
        "bench_gateway", argv,
        excluded="TLS, kernel network cost of a real link, shards reading the rings at the same time",
    )
    frames = load_frames(2_000 if bench.small else 50_000)
    rounds = 2 if bench.small else 9
    gateway = Gateway(frames)
    with tempfile.NamedTemporaryFile() as file:
        file.write(framed(frames))
        file.flush()
        server = subprocess.Popen(
            [sys.executable, "-c", f"from bench.bench_gateway import serve; serve({file.name!r})"],
            stdout=subprocess.PIPE, text=True, cwd=Path(__file__).resolve().parent.parent,
        )  # fmt: skip
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            makers: dict[str, Callable[[Callable[[], None]], WSListener]] = {
                "bare": lambda done: Bare(len(frames), done),
                "gateway": lambda done: gateway.listener(len(frames), done),
            }
            samples: dict[str, list[tuple[float, float]]] = {name: [] for name in makers}
            for number in range(rounds + 1):  # the first round loads kernels and warms the socket
                for name, make in makers.items():
                    spent = asyncio.run(receive(port, make))
                    if number:
                        samples[name].append(spent)
        finally:
            server.kill()
            server.wait()
            if server.stdout is not None:
                server.stdout.close()
    cpu = {name: median(s[0] for s in rows) * 1e9 / len(frames) for name, rows in samples.items()}
    wall = {name: median(s[1] for s in rows) * 1e9 / len(frames) for name, rows in samples.items()}
    bench.figure("frames per round", len(frames), "frames")
    bench.figure("mean frame", sum(map(len, frames)) / len(frames), "bytes")
    for name in makers:
        bench.figure(f"{name}: CPU per frame", cpu[name], "ns")
        bench.figure(f"{name}: wall per frame", wall[name], "ns")
    bench.ratio("gateway / bare picows (CPU)", cpu["gateway"], cpu["bare"], "<= 3")
    bench.ratio("gateway / bare picows (wall)", wall["gateway"], wall["bare"])
    bench.figure("gateway: frames per second and core", 1e9 / cpu["gateway"], "1/s")
    counters = gateway.counters.as_dict()
    assert counters["frames"] == counters["decoded"] == (rounds + 1) * len(frames), counters
    assert gateway.publisher.routes.sync_counts[0] == 0, "gaps in a gapless stream"
    bench.digest(f"{counters['decoded']} frames decoded, {int(gateway.publisher.routes.counts[0])} events routed")
    return bench.finish()


if __name__ == "__main__":
    sys.exit(main())
