"""What the journal costs: CPU and bytes per frame, recording on against off, and one full day of 700 symbols.

    gateway    decode, check, route, publish (off); the same and offering every frame to the recorder (on)
    recorder   take from the ring, checksum, zstd, write and fdatasync each second of the recording
    shard      the notes it writes: one per report taken, one digest a second

CPU times of this process, system calls included; the disk's own time is not CPU and is left out. Frames come in reads of
1 and of 16, as from a quiet and from a busy socket. A day is arithmetic on these figures and on stated frame rates, and
is printed term by term. A week of such days (files as long as measured, without content) then goes through the retention
job in virtual time: every two hours what is on the disk stays under the rules, and what is younger than a day stays.
"""

from __future__ import annotations

import gzip
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np

from bench.bench_gateway import Gateway, load_frames
from bench.harness import Bench
from config.paths import DataPaths
from config.schema import Settings, Storage
from core.constants import HOUR_NS, NS_PER_S
from core.consumption import CheckShard, Kind, Taken
from core.engine.digest import digest_sum
from core.engine.state import new_state
from core.journal import RAW_FRAMES, encode_file_header
from core.records import REPORT
from gateway.tape import FRAME_COLUMNS, STAGE_TAIL
from shm.broadcast import BroadcastRing
from shm.journal_reader import read_frames, segments
from shm.tap import Tap
from tests.core.streams import REAL_TAPE
from tests.shared_data import SHARED
from workers.journal_files import SegmentWriter
from workers.retention import GB, Retention
from workers.tap_stream import TapStream

DAY_S = 86_400
SYMBOLS = 700
RATES = (6_000, 10_000, 15_000)  # frames/s of the topics below, of all symbols: low, ordinary and high mean of a day
SHARES = {"orderbook.50": 0.55, "tickers": 0.30, "publicTrade": 0.15}  # of those frames, assumed
RING_CELLS = 1 << 20
GATEWAY_ROW = 0


class Reads(NamedTuple):
    """Frames staged as socket reads of `size` frames: bytes, rows int64[n, 5]."""

    stage: np.ndarray
    rows: np.ndarray
    size: int


def staged(frames: list[bytes], size: int) -> Reads:
    lengths = np.array([len(frame) for frame in frames], np.int64)
    rows: np.ndarray = np.zeros((len(frames), FRAME_COLUMNS), np.int64)
    rows[:, 0] = np.cumsum(lengths) - lengths
    rows[:, 1] = lengths
    rows[:, 2] = NS_PER_S + np.arange(len(frames)) * 100_000  # 10,000 a second
    rows[:, 3] = rows[:, 2]
    return Reads(np.frombuffer(b"".join(frames) + bytes(STAGE_TAIL), np.uint8), rows, size)


def gateway_ns(gateway: Gateway, reads: Reads, recording: bool) -> float:
    """CPU ns per frame of the gateway's core over all reads."""
    gateway.publisher.sync.asked[:] = 1
    n = len(reads.rows)
    begin = time.process_time_ns()
    for at in range(0, n, reads.size):
        rows = reads.rows[at : at + reads.size]
        gateway.intake.process(reads.stage, rows, len(rows), 0)
        if recording:
            gateway.raw.offer(reads.stage, rows, len(rows))
    return (time.process_time_ns() - begin) / n


class Recording:
    """The recorder's way of raw frames: ring, stream, segments."""

    def __init__(self, folder: Path) -> None:
        body: np.ndarray = np.zeros(BroadcastRing.bytes_needed(RING_CELLS), np.uint8)
        ring = BroadcastRing.format(body, RING_CELLS)
        rules = Settings().system.recorder
        self.tap = Tap(ring)
        self.reader = ring.reader(0, from_start=True)
        self.journal = SegmentWriter(folder, "bench", segment_bytes=int(rules.segment_mb * 1e6), level=rules.zstd_level)
        self.stream = TapStream(self.journal, {GATEWAY_ROW: self.reader}, round(rules.sync_s * NS_PER_S), GATEWAY_ROW)
        self._cells: np.ndarray = np.zeros((1 << 16, 8), np.int64)
        self._bytes = self._cells.view(np.uint8).reshape(-1)
        self._place: dict[int, tuple[int, int]] = self.stream._places
        self._place[GATEWAY_ROW] = (0, 0)
        self.spent_ns = 0

    def run(self, reads: Reads) -> None:
        """Offer the frames and take them into segments, a second of them at a time; only the taking is measured."""
        n = len(reads.rows)
        per_turn = 512
        synced_ns = int(reads.rows[0, 2])
        for at in range(0, n, per_turn):
            rows = reads.rows[at : at + per_turn]
            self.tap.offer(reads.stage, rows, len(rows))
            begin = time.process_time_ns()
            while (n_cells := self.reader.read(self._cells)) > 0:
                k = 0
                while k < n_cells:
                    header = self._cells[k].tolist()
                    first = (k + 1) * 64
                    self.stream.take(GATEWAY_ROW, header, self._bytes[first : first + header[4]].tobytes())
                    k += (header[6] >> 48) & 0xFFFF
            if int(rows[-1, 2]) - synced_ns >= self.stream.sync_ns:
                synced_ns = int(rows[-1, 2])
                self.journal.sync()
            self.spent_ns += time.process_time_ns() - begin
        begin = time.process_time_ns()
        self.journal.close()
        self.spent_ns += time.process_time_ns() - begin


def shard_ns(symbols: int) -> tuple[float, float]:
    """CPU ns of the note of one report, and of the digest over `symbols` symbols with its note."""
    tap = Tap(BroadcastRing.format(np.zeros(BroadcastRing.bytes_needed(1 << 16), np.uint8), 1 << 16))
    payload = np.zeros(1, REPORT.dtype).tobytes()
    state = new_state(symbols, 16)
    found: np.ndarray = np.zeros(2, np.int64)
    samples: list[tuple[float, float]] = []
    for _ in range(4):  # the first one loads kernels
        begin = time.process_time_ns()
        for k in range(2000):
            tap.note(Taken(k, k, payload))
        middle = time.process_time_ns()
        for k in range(200):
            digest_sum(state.symbols, state.trade, symbols, 0, found)
            tap.note(CheckShard(k, k, int(found[1]), int(found[0])))
        samples.append(((middle - begin) / 2000, (time.process_time_ns() - middle) / 200))
    return median(s[0] for s in samples[1:]), median(s[1] for s in samples[1:])


def day(bench: Bench, stored: float, gateway: float, recorder: float) -> float:
    """Print a day of the universe; returns bytes per day at the ordinary rate."""
    bench.digest("shares of the frames, assumed: " + ", ".join(f"{name} {100 * part:.0f} %" for name, part in SHARES.items()))
    for rate in RATES:
        total = rate * DAY_S * stored
        bench.digest(
            f"a day at {rate:,} frames/s: {rate:,} x {DAY_S:,} s x {stored:.1f} B = {total / GB:.1f} GB; recorder "
            f"{rate:,} x {recorder:,.0f} ns = {rate * recorder / 1e7:.1f} % of a core; gateway "
            f"{rate:,} x {gateway:,.0f} ns = {rate * gateway / 1e7:.1f} % of a core")
        bench.figure(f"day of {SYMBOLS} symbols at {rate} frames/s", total / GB, "GB")
    return RATES[1] * DAY_S * stored


def week(bench: Bench, bytes_per_day: float, rules: Storage) -> None:
    """Seven days of segments of the measured size through the retention job. AssertionError where a rule is broken."""
    rate = bytes_per_day / 24
    with tempfile.TemporaryDirectory() as scratch:
        paths = DataPaths(Path(scratch), "SIM")
        for folder in (paths.journal_dir, paths.runs_dir):
            folder.mkdir(parents=True)
        (paths.runs_dir / "bench.jsonl").write_bytes(b"")
        now = start = 1_763_596_800 * NS_PER_S
        segment = round(Settings().system.recorder.segment_mb * 1e6)
        peak = written = 0
        for hour in range(7 * 24):
            due = round(rate * (hour + 1))
            while written + segment <= due:  # a file of this length without content: only its header is there
                at = start + round((written / rate) * HOUR_NS)
                path = paths.journal_dir / f"raw-{at:020d}.sjr"
                path.write_bytes(encode_file_header(RAW_FRAMES, at, "bench"))
                os.truncate(path, segment)
                os.utime(path, ns=(at, at))
                written += segment
            now = start + (hour + 1) * HOUR_NS
            if hour % 2:
                Retention(paths, rules, "bench", lambda now=now: now).run()  # type: ignore[misc]
                held = [path.stat() for path in paths.journal_dir.glob("*.sjr")]
                size = sum(stat.st_size for stat in held)
                peak = max(peak, size)
                assert size <= rules.raw_max_gb * GB, f"hour {hour}: {size / GB:.1f} GB over the cap"
                oldest_h = (now - min(stat.st_mtime_ns for stat in held)) / HOUR_NS
        bench.figure("week: written", written / GB, "GB")
        bench.figure("week: most on the disk after a run of the job", peak / GB, "GB", f"<= {rules.raw_max_gb:.0f}")
        bench.figure("week: oldest raw frame at its end", oldest_h, "h")


def kinds(frames: list[bytes]) -> dict[str, list[bytes]]:
    """Frames by topic family."""
    found: dict[str, list[bytes]] = {}
    for frame in frames:
        topic = frame.partition(b'"topic":"')[2].partition(b'"')[0].decode()
        found.setdefault(topic.rpartition(".")[0] or "other", []).append(frame)
    return found


def ticker_frames() -> list[bytes]:
    path = SHARED / "recordings" / REAL_TAPE
    if not path.exists():
        return []
    with gzip.open(path, "rb") as file:
        return [frame for line in file if b'"topic":"tickers.' in (frame := line.rstrip(b"\n").partition(b" ")[2])]


def main(argv: Sequence[str] | None = None) -> int:
    bench = Bench("bench_journal", argv, excluded="the disk's own time, log lines, decisions and database rows; "
                  "frames of two symbols (no recording of 700 exists): other names compress a little worse")
    frames = load_frames(4_000 if bench.small else 50_000)
    gateway = Gateway(frames)
    costs = {}
    for size in (1, 16):
        reads = staged(frames, size)
        runs: dict[bool, list[float]] = {False: [], True: []}
        for _ in range(3 if bench.small else 9):
            for recording, samples in runs.items():
                samples.append(gateway_ns(gateway, reads, recording))
        off, on = median(runs[False][1:]), median(runs[True][1:])
        bench.figure(f"gateway, reads of {size}: recording off", off, "ns/frame")
        bench.figure(f"gateway, reads of {size}: recording on", on, "ns/frame")
        bench.ratio(f"gateway, reads of {size}: on / off", on, off)
        costs[size] = on - off
    report_ns, digest_ns = shard_ns(SYMBOLS // 2)
    bench.figure("shard: note of a report", report_ns, "ns")
    bench.figure(f"shard: digest of {SYMBOLS // 2} symbols, once a second", digest_ns, "ns")
    bench.digest(f"a shard with 10 reports/s: (10 x {report_ns:,.0f} + {digest_ns:,.0f}) ns/s = "
                 f"{(10 * report_ns + digest_ns) / 1e7:.4f} % of a core")
    stored = recorder = 0.0
    of_kind = kinds(frames) | {"tickers": ticker_frames()}
    for name in SHARES:
        own = of_kind.get(name, [])
        if len(own) < 100:
            bench.digest("no recordings beside the project: bytes and a day are not measured")
            return bench.finish()
        for _ in range(2):  # the first one loads kernels
            with tempfile.TemporaryDirectory() as scratch:
                made = Recording(Path(scratch))
                made.run(staged(own, 16))
                read = [f.data for path in segments(Path(scratch)) for f in read_frames(path) if f.kind <= Kind.FRAME_END]
        assert read == own, f"{name}: what was written is not what is read"
        on_disk, cost = made.journal.stored_bytes / len(own), made.spent_ns / len(own)
        bench.figure(f"journal, {name}: bytes of a frame", sum(map(len, own)) / len(own), "B")
        bench.figure(f"journal, {name}: bytes on disk per frame", on_disk, "B")
        bench.figure(f"journal, {name}: recorder CPU per frame", cost, "ns")
        stored += SHARES[name] * on_disk
        recorder += SHARES[name] * cost
    week(bench, day(bench, stored, costs[16], recorder), Settings().system.storage)
    return bench.finish()


if __name__ == "__main__":
    sys.exit(main())
