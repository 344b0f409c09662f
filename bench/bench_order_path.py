"""From an intent to bytes on the socket, and from the exchange's word back to the shard, in the real execution process.

A shard (another process) asks for entries at Poisson times; this process runs the real Execution in LIVE: gate, sizing,
exchange desk, journal with fdatasync, order link; the embedded exchange (a third process, rate limits a thousandfold)
answers over real sockets. Everything is counted from the due time of the intent, so that waiting behind others shows.

    intent -> bytes     due time -> the order is written to the trade socket, its journal record on disk before
    ack                 frame read from the socket -> the desk has handled it
    fill -> shard       frame with the execution read -> POSITION report pushed into the ring, journal on disk before
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from bench import order_path_feeder
from bench.harness import Bench
from config.schema import Account, Limits, Orders, Safety, Settings, Trading
from core.enums import ReportKind
from core.orders.exchange_words import Create
from core.orders.wire import Report
from core.risk.tiers import TIERS
from gateway.bybit.private_codec import decode_trade
from gateway.link_answers import Sent
from gateway.link_words import Heard
from shm.agent import run
from shm.run_spec import RunSpec, VenueAddress, new_run_id
from shm.topology import Plant
from workers.execution import Execution

SYMBOLS = 24
SEED = 11


def settings() -> Settings:
    """Entries take at once; no limit of the account is reached."""
    return Settings(
        trading=Trading(
            mode="LIVE", capital_tier="NORMAL", orders=Orders(maker_deadline_ms=0.0),
            account=Account(max_positions=SYMBOLS, margin_per_trade_usdt=25.0),
        ),
        safety=Safety(limits=Limits(
            daily_loss_pct=5.0, max_heat_pct=50.0, max_unrealised_loss_pct=50.0, max_orders_per_minute=100_000,
            churn_orders=100_000, churn_round_trips=100_000, max_category_positions=(50, 50, 50), max_correlated_pct=10_000.0,
        )),
    )


class Tap(deque[Sent]):
    """The link's stamps, noted as they are made: execution's latency ledger takes them away."""

    def __init__(self, written: dict[int, int]) -> None:
        super().__init__(maxlen=4096)
        self._written = written

    def append(self, stamp: Sent) -> None:
        self._written.setdefault(stamp.req_id, stamp.written_ns)
        super().append(stamp)

    def extend(self, stamps: Iterable[Sent]) -> None:
        for stamp in stamps:
            self.append(stamp)


class Stamps:
    """Notes when things happen, by wrapping the places where they do; nothing else is changed."""

    def __init__(self, execution: Execution) -> None:
        live = execution.live
        assert live is not None
        self.decision_of: dict[int, int] = {}  # order id -> decision id
        self.order_of: dict[int, int] = {}  # req id -> order id
        self.read_ns: dict[int, int] = {}  # req id -> its answer was read
        self.handled_ns: dict[int, int] = {}
        self.fill_ns: dict[int, int] = {}  # symbol -> the frame with the entry's execution was read
        self.fills: list[tuple[int, int]] = []  # (symbol, ns from that to the report)
        self.cpu_s = 0.0
        self.written: dict[int, int] = {}
        live.link._answers.sent = Tap(self.written)
        self._live = live
        self._execution = execution
        desk = live.desk
        self._wrap(desk, "submit", self._submitted)
        self._wrap(live.link, "send", self._sent)
        self._wrap(desk, "hear", self._heard)
        self._wrap(execution.records._outbox, "_push", self._pushed)

    def _wrap(self, owner: Any, name: str, seen: Callable[..., None]) -> None:
        real = getattr(owner, name)

        def wrapper(*args: Any) -> Any:
            result = real(*args)
            seen(*args)
            return result

        setattr(owner, name, wrapper)

    def watch_sockets(self) -> None:
        """The link's sockets exist once its thread runs."""
        link = self._live.link
        while link._entry is None:
            time.sleep(0.001)
        entry, private = link._entry, link._private
        assert private is not None
        real_text, real_private = entry.on_text, private.on_text

        def on_trade(frame: bytes) -> None:
            at = time.monotonic_ns()
            answer = decode_trade(frame)
            flight = entry._flying.get(answer.req_id) if answer is not None else None
            if flight is not None:
                self.read_ns[flight[0].req_ids[0]] = at
            real_text(frame)

        def on_private(frame: bytes) -> None:
            at = time.monotonic_ns()
            if b'"topic":"execution"' in frame:
                for name, symbol in self._live.desk._names.items():
                    if f'"symbol":"{symbol}"'.encode() in frame:
                        self.fill_ns.setdefault(name, at)
            real_private(frame)

        entry.on_text, private.on_text = on_trade, on_private  # type: ignore[method-assign]

    def _submitted(self, now_ns: int, order: Any, *rest: Any) -> None:
        self.decision_of[order.order_id] = order.decision_id

    def _sent(self, send: Any) -> None:
        request = send.request
        if isinstance(request, Create) and not request.reduce_only:
            self.order_of[request.req_id] = int(request.link_id.rsplit("-", 1)[1][:-1], 36)

    def _heard(self, now_ns: int, heard: Heard) -> None:
        at = time.monotonic_ns()
        for event in heard.events:
            self.handled_ns.setdefault(getattr(event, "req_id", -1), at)

    def _pushed(self, shard: int, ready: list[Report]) -> None:
        at = time.monotonic_ns()
        for report in ready:
            began = self.fill_ns.pop(report.symbol, 0) if report.kind == ReportKind.POSITION and report.seq == 0 else 0
            if began:
                self.fills.append((report.symbol, at - began))


def spread(bench: Bench, name: str, values_ns: list[int], goal: str = "") -> None:
    """p10 too: on a machine that others use it says what the code needs, where p99 says what the others took."""
    ordered = np.sort(np.array(values_ns)) / 1000
    for label, share in (("p10", 0.10), ("p50", 0.50), ("p90", 0.90), ("p99", 0.99)):
        bench.figure(f"{name} {label}", float(ordered[min(len(ordered) - 1, int(len(ordered) * share))]), "us",
                     goal if label == "p99" else "")


def plant_on(folder: Path, announced: dict[str, Any]) -> Plant:
    key = announced["accounts"][0]
    address: VenueAddress = {
        "rest": announced["rest"], "ws_public": announced["ws_public"], "ws_private": announced["ws_private"],
        "ws_trade": announced["ws_trade"], "api_key": key["api_key"], "api_secret": key["api_secret"],
    }
    plant = Plant.create(RunSpec(
        run_id=new_run_id(), mode="LIVE", data_dir=str(folder), venue=address, market_cells=65_536, raw_cells=4096,
        intent_slots=256, report_slots=256, log_records=4096, spin=0, created_ns=time.time_ns(),
    ))
    plant.spec.save(folder / "run.json")
    return plant


def measure(pipe: Connection, folder: Path, plant: Plant) -> tuple[Stamps, dict[str, Any]]:
    """Run Execution here until the feeder is done."""
    joined = Plant.join(folder / "run.json", "execution")
    execution = Execution(joined, settings(), threaded=True)
    stamps = Stamps(execution)
    real_start = execution.on_start

    def on_start() -> None:
        real_start()
        stamps.watch_sockets()

    execution.on_start = on_start  # type: ignore[method-assign]
    real_turn = execution.do_work
    box: dict[str, Any] = {}

    def turn() -> int:
        if not box and execution.live is not None and execution.live.desk.ready:
            box["started"] = True
            pipe.send("go")
        return real_turn()

    execution.do_work = turn  # type: ignore[method-assign]
    before_s = time.process_time()
    code = run(execution, joined)
    stamps.cpu_s = time.process_time() - before_s
    assert code == 0, "execution failed"
    return stamps, pipe.recv()


def main(argv: Sequence[str] | None = None) -> int:
    bench = Bench(
        "bench_order_path", argv,
        "the network beyond loopback; the shard's work before the intent; setting leverage before a symbol's first entry",
    )
    count, per_s = (60, 20.0) if bench.small else (500, 20.0)
    TIERS["NORMAL"] = TIERS["NORMAL"]._replace(trades_a_day=10**9, concurrent=10**6)  # of this process only
    spawn = multiprocessing.get_context("spawn")
    venue_pipe, venue_end = spawn.Pipe()
    venue = spawn.Process(target=order_path_feeder.venue, args=(venue_end, SYMBOLS, SEED), daemon=True)
    venue.start()
    announced = venue_pipe.recv()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plant = plant_on(folder, announced)
        pipe, end = spawn.Pipe()
        feeding = spawn.Process(
            target=order_path_feeder.feeder, daemon=True,
            args=(end, str(folder / "run.json"), announced["rest"], SYMBOLS, count, per_s, SEED),
        )
        feeding.start()
        try:
            assert pipe.recv() == "ready"
            stamps, fed = measure(pipe, folder, plant)
            feeding.join(10)
        finally:
            plant.destroy()
            venue_pipe.close()
            venue.terminate()
            feeding.terminate()
    to_socket, acks = [], []
    for req_id, order_id in stamps.order_of.items():
        due_ns = fed["due"].get(stamps.decision_of[order_id])
        if due_ns and req_id in stamps.written:
            to_socket.append(stamps.written[req_id] - due_ns)
        if req_id in stamps.read_ns and req_id in stamps.handled_ns:
            acks.append(stamps.handled_ns[req_id] - stamps.read_ns[req_id])
    fills = [ns for _, ns in stamps.fills]
    assert len(to_socket) >= count // 4 and acks and fills, (len(to_socket), len(acks), len(fills), fed["refused"][:10])
    spread(bench, "intent -> bytes", to_socket)
    spread(bench, "ack", acks)
    spread(bench, "fill -> shard", fills)
    bench.figure("CPU of the process per entry and its exit", stamps.cpu_s * 1e6 / len(to_socket), "us")
    bench.figure("entries per second asked for", per_s, "1/s")
    bench.digest(f"{count} entries asked for, {len(to_socket)} written, {len(acks)} acks, {len(fills)} fills told, "
                 f"{len(fed['refused'])} refused")
    return bench.finish()


if __name__ == "__main__":
    sys.exit(main())
