"""A process that sends a market at a fixed rate, open loop: `python -m bench.load_generator --symbols N --seed S`.

It serves Bybit's public REST answers that the gateway asks for, and the public WebSocket. One line of JSON with the
addresses on standard output, then per line on standard input

    run RATE SECONDS RAMP BURSTS   send RATE frames a second, each at its due time or as soon after as it can; answers with a
                            line of JSON: epoch and start (CLOCK_MONOTONIC ns), frames by kind, lateness, CPU.
                            RAMP > 0: the symbols begin to trade one after the other within so many seconds, and are
                            then out of step with each other for good. BURSTS 0: nothing moves in phase

Due times are fixed before anything is sent and never move: a generator or a reader that falls behind is late for every
frame that waited. The sockets are written directly, without an event loop between the clock and the frame.
"""

from __future__ import annotations

import argparse
import base64
import ctypes
import hashlib
import json
import os
import select
import socket
import sys
import threading
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from config.fingerprint import use_cache

use_cache()  # before numba is imported

import numpy as np  # noqa: E402

from bench import load_market as market  # noqa: E402
from shm.agent import die_with_parent  # noqa: E402

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TOPICS_PER_SYMBOL = 5
LEAD_NS = 300_000_000  # between the command and the first due time
POLL_NS = 50_000_000  # how often requests are looked at while sending
OUT_BYTES = 8 << 20
SEND_BUFFER_BYTES = 4 << 20
FLUSH_NS = 5_000_000_000
TIMER_SLACK_NS = 1_000
_PR_SET_TIMERSLACK = 29


def be_punctual() -> bool:
    """Wake this thread at once when its sleep is over: no timer slack, and real-time priority where that is allowed.

    The load is a clock, like a network card: it must not wait for the processes it measures. Children do not inherit.
    Returns whether the priority was granted.
    """
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, TIMER_SLACK_NS, 0, 0, 0)
    try:
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    except OSError:
        return False
    return True


class Client:
    """One WebSocket connection after its handshake."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.received = bytearray()
        self.backlog = bytearray()
        self.topics: set[str] = set()
        self.is_open = True

    def send(self, data: bytes | memoryview) -> None:
        """Send what the kernel takes; the rest waits in order."""
        if not self.is_open:
            return
        try:
            if self.backlog:
                self.backlog += data
                sent = self.socket.send(self.backlog)
                del self.backlog[:sent]
                return
            sent = self.socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.is_open = False
            return
        if sent < len(data) and not self.backlog:
            self.backlog += data[sent:]

    def flush(self) -> None:
        if self.backlog:
            self.send(b"")

    def read(self) -> None:
        try:
            data = self.socket.recv(65_536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self.is_open = self.is_open and bool(data)
        self.received += data

    def messages(self) -> list[tuple[int, bytes]]:
        """Whole frames received: (opcode, payload); clients mask."""
        found = []
        data = self.received
        while len(data) >= 6:
            size, at = data[1] & 0x7F, 2
            if size >= 126:
                width = 2 if size == 126 else 8
                if len(data) < 2 + width:
                    break
                size, at = int.from_bytes(data[2 : 2 + width], "big"), 2 + width
            if len(data) < at + 4 + size:
                break
            mask = np.frombuffer(bytes(data[at : at + 4]) * (size // 4 + 1), np.uint8)[:size]
            payload = np.frombuffer(bytes(data[at + 4 : at + 4 + size]), np.uint8) ^ mask
            found.append((data[0] & 0x0F, payload.tobytes()))
            del data[: at + 4 + size]
        return found


def handshake(connection: socket.socket) -> Client:
    """Answer the upgrade request (blocking, at most 5 s)."""
    connection.settimeout(5.0)
    request = b""
    while b"\r\n\r\n" not in request:
        part = connection.recv(4096)
        if not part:
            raise OSError("closed during the handshake")
        request += part
    key = next(line.split(b":", 1)[1].strip() for line in request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
    connection.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
        + accept + b"\r\n\r\n"
    )
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setblocking(False)
    return Client(connection)


def serve_rest(symbols: list[str]) -> ThreadingHTTPServer:
    """instruments-info, tickers and time, from memory, in a thread."""
    rows = {
        "/v5/market/instruments-info": [market.instrument(name, rank) for rank, name in enumerate(symbols)],
        "/v5/market/tickers": [market.ticker_row(name, rank) for rank, name in enumerate(symbols)],
    }
    bodies = {
        path: json.dumps({"retCode": 0, "retMsg": "OK", "result": {"category": "linear", "list": found, "nextPageCursor": ""}})
        for path, found in rows.items()
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            now_ns = time.time_ns()
            time_answer = {"retCode": 0, "result": {"timeSecond": str(now_ns // 10**9), "timeNano": str(now_ns)}}
            body = bodies.get(self.path.partition("?")[0], json.dumps(time_answer)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


class Generator:
    """Clients, their subscriptions, and the sending of schedules."""

    def __init__(self, symbols: list[str], seed: int) -> None:
        self.symbols = symbols
        self.seed = seed
        self.ids = {name: symbol for symbol, name in enumerate(symbols)}
        self.templates = market.make_templates(symbols, seed)
        self.conn_of = np.full(len(symbols), -1, np.int64)
        self.clients: list[Client] = []
        self.snapshots = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        self.listener.setblocking(False)
        self.epoch_ns = time.monotonic_ns()
        self._out: np.ndarray = np.zeros(OUT_BYTES, np.uint8)
        self._bytes = memoryview(self._out)  # type: ignore[arg-type]
        market.compose(  # loads the kernel
            self.templates, np.zeros(1, np.int64), 0, 0, self.conn_of, 0, 0, market.SEQ_BASE, market.FIRST_MS, self._out,
            0,
        )

    # --- requests -------------------------------------------------------------------------------------------------
    @property
    def is_subscribed(self) -> bool:
        topics = sum(len(client.topics) for client in self.clients if client.is_open)
        return topics >= TOPICS_PER_SYMBOL * len(self.symbols)

    def serve(self, timeout_s: float, extra: Sequence[Any] = ()) -> list[Any]:
        """Accept and answer what is there; returns those of `extra` that can be read."""
        sockets = {client.socket: client for client in self.clients if client.is_open}
        ready, _, _ = select.select([self.listener, *sockets, *extra], [], [], timeout_s)
        for item in ready:
            if item is self.listener:
                connection, _ = self.listener.accept()
                try:
                    self.clients.append(handshake(connection))
                except (OSError, StopIteration):
                    connection.close()
            elif item in sockets:
                client = sockets[item]
                client.read()
                for opcode, payload in client.messages():
                    self._answer(client, opcode, payload)
        return [item for item in extra if item in ready]

    def _answer(self, client: Client, opcode: int, payload: bytes) -> None:
        if opcode == 9:
            client.send(b"\x8a" + bytes([len(payload)]) + payload)
        if opcode != 1:
            return
        request = json.loads(payload)
        operation = request["op"]
        text = "pong" if operation == "ping" else ""
        answer = {"success": True, "ret_msg": text, "conn_id": "load", "req_id": request.get("req_id", ""), "op": operation}
        client.send(market.websocket(json.dumps(answer).encode()))
        for topic in request.get("args", ()):
            if operation == "unsubscribe":
                client.topics.discard(topic)
            elif operation == "subscribe":
                client.topics.add(topic)
                if topic.startswith("orderbook."):
                    self._snapshot(client, topic.rsplit(".", 1)[1])

    def _snapshot(self, client: Client, name: str) -> None:
        symbol = self.ids[name]
        self.conn_of[symbol] = self.clients.index(client)
        self.snapshots += 1
        bids, asks = market.base_book(np.random.default_rng([self.seed, symbol]))
        ms = time.time_ns() // 10**6
        frame = market.book_frame(name, "snapshot", bids, asks, int(self.templates.last_u[symbol]), ms)
        client.send(market.websocket(frame.encode()))

    # --- sending --------------------------------------------------------------------------------------------------
    def run(self, rate: int, seconds: int, ramp_s: float = 0.0, bursts: bool = True) -> dict[str, Any]:
        """Send; returns what was done."""
        schedule = market.make_schedule(len(self.symbols), rate, self.seed + rate, bursts)
        slots, symbols, ramp_slots = seconds * market.SLOTS, len(self.symbols), ramp_s * market.SLOTS
        sent_at = np.zeros(slots, np.int64)
        before, snapshots = self.templates.sent.copy(), self.snapshots
        bytes_sent = backlog_max = 0
        starts = schedule.starts.tolist()
        start_ns = time.monotonic_ns() + LEAD_NS
        wall_minus_mono = time.time_ns() - time.monotonic_ns()
        next_poll_ns, slot = start_ns, 0
        cpu = time.process_time()
        while slot < slots:
            now = time.monotonic_ns()
            due_ns = start_ns + slot * market.SLOT_NS
            if now < due_ns:
                time.sleep((due_ns - now) / 1e9)
                continue
            ready = min(slots, (now - start_ns) // market.SLOT_NS + 1)
            for conn, client in enumerate(self.clients):
                at = 0
                for number in range(slot, ready):
                    due_ns = start_ns + number * market.SLOT_NS
                    second = number % market.SLOTS
                    trading = int(symbols * number / ramp_slots) if number < ramp_slots else symbols
                    at = int(market.compose(
                        self.templates, schedule.entries, starts[second], starts[second + 1], self.conn_of, conn,
                        trading, market.SEQ_BASE + due_ns - self.epoch_ns, (due_ns + wall_minus_mono) // 10**6, self._out, at,
                    ))
                    if at > OUT_BYTES // 2:
                        client.send(self._bytes[:at])
                        bytes_sent, at = bytes_sent + at, 0
                if at or client.backlog:
                    client.send(self._bytes[:at])
                    bytes_sent += at
                backlog_max = max(backlog_max, len(client.backlog))
            sent_at[slot:ready] = time.monotonic_ns()
            slot = ready
            if sent_at[slot - 1] >= next_poll_ns:
                next_poll_ns = int(sent_at[slot - 1]) + POLL_NS
                self.serve(0.0)
        end_ns = time.monotonic_ns()
        while any(c.backlog and c.is_open for c in self.clients) and time.monotonic_ns() < end_ns + FLUSH_NS:
            self.serve(0.001)
            for client in self.clients:
                client.flush()
        cpu = time.process_time() - cpu
        sent = (self.templates.sent - before).reshape(-1, 3).sum(axis=0)
        weights = np.tile(np.diff(schedule.starts), seconds)
        late = np.repeat(sent_at - start_ns - np.arange(slots) * market.SLOT_NS, weights) / 1e3
        quantiles = np.percentile(late, [50, 99, 99.9, 100]).tolist() if late.size else [0.0] * 4
        return {
            "epoch_ns": self.epoch_ns, "start_ns": start_ns, "frames": sent.tolist(), "bytes": bytes_sent,
            "late_us": quantiles, "cpu_share": cpu / ((end_ns - start_ns) / 1e9), "backlog_max": backlog_max,
            "largest_slot": int(weights.max()), "snapshots": self.snapshots - snapshots, "clients": len(self.clients),
            "unsent": sum(len(client.backlog) for client in self.clients),
        }


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench.load_generator", description="a Bybit-like feed at a fixed rate")
    parser.add_argument("--symbols", type=int, default=700)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    die_with_parent()
    symbols = market.names(options.symbols)
    rest = serve_rest(symbols)
    generator = Generator(symbols, options.seed)
    be_punctual()
    addresses = {
        "rest": f"http://127.0.0.1:{rest.server_address[1]}",
        "ws_public": f"ws://127.0.0.1:{generator.listener.getsockname()[1]}/v5/public/linear",
    }
    print(json.dumps(addresses), flush=True)
    while True:
        if not generator.serve(0.2, [sys.stdin]):
            continue
        words = sys.stdin.readline().split()
        if not words:
            return 0
        deadline = time.monotonic() + 30.0
        while not generator.is_subscribed and time.monotonic() < deadline:
            generator.serve(0.05)
        print(json.dumps(generator.run(int(words[1]), int(words[2]), float(words[3]), words[4] != "0")), flush=True)


if __name__ == "__main__":
    sys.exit(main())
