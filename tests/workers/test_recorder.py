"""The recorder: frames to segments, log records to lines, losses told, disks that refuse survived."""

from __future__ import annotations

import errno
import json
import os
from types import SimpleNamespace

import numpy as np
import pytest

from config.paths import DataPaths
from config.schema import Database, Settings, System
from config.schema import Recorder as RecorderSettings
from core.consumption import Kind
from core.enums import Cause, Gate, LogKind, OrderRole, Pump, Severity, State
from core.records import CELL_WORDS
from shm.errors import DATABASE_KIND
from shm.journal_reader import read_frames, segments
from shm.tap import Tap
from shm.topology import Plant
from tests.core.engine.streams import symbol_record
from tests.workers.support import make_plant, taken_down
from workers import event_files, journal_files
from workers.event_files import EventFiles, parts
from workers.event_lines import LINES, NO_INSTRUMENT, STREAMS, Instrument, iso, line
from workers.recorder import Recorder

T0 = 1_763_683_081_123_456_789  # 2025-11-20T23:58:01.123456Z


class Rig:
    def __init__(self, tmp_path, **changes) -> None:
        self.tmp_path = tmp_path
        self.now = 10**9
        self.plant = make_plant(tmp_path, **changes)
        self.plant.symbols().write(3, symbol_record(3, "BTCUSDT"))
        self.gateway = Plant.join(tmp_path / "run.json", "gateway")
        self.tap = Tap(self.gateway.tap())
        self.log = self.gateway.log_writer(clock=lambda: T0)
        self.paths = DataPaths(tmp_path / "data", "SIM")
        self.number = 0
        self.sent: list[tuple[int, int, int, bytes]] = []
        self.recorder = self.start()

    def start(self) -> Recorder:
        plant = Plant.join(self.tmp_path / "run.json", "recorder")
        recorder = Recorder(plant, Settings(system=System(
            recorder=RecorderSettings(sync_s=1.0), database=Database(enabled=False))), lambda: self.now)
        plant.cnc().start()
        recorder.on_start()
        return recorder

    def offer(self, *payloads: bytes) -> None:
        stage = np.frombuffer(b"".join(payloads) or b"\0", np.uint8).copy()
        frames = np.zeros((len(payloads), 5), np.int64)
        at = 0
        for k, payload in enumerate(payloads):
            self.number += 1
            frames[k] = (at, len(payload), T0 + self.number, self.number * 7, self.number % 3)
            self.sent.append((T0 + self.number, self.number * 7, self.number % 3, payload))
            at += len(payload)
        self.tap.offer(stage, frames, len(payloads))

    def turn(self, ms: float = 1.0) -> int:
        self.now += int(ms * 1e6)
        return self.recorder.do_work()

    def journalled(self) -> list[tuple[int, int, int, bytes]]:
        return [(f.ts_recv_ns, f.mono_ns, f.conn, f.data) for path in segments(self.paths.journal_dir)
                for f in read_frames(path) if f.kind <= Kind.FRAME_END]

    def lines(self, stream: str) -> list[dict]:
        return [json.loads(text) for path in sorted(self.paths.events_dir.glob(f"*/{stream}.jsonl"))
                for text in path.read_text().splitlines()]


@pytest.fixture
def make(tmp_path):
    yield from taken_down(Rig, tmp_path)


def payloads(count: int, seed: int = 0) -> list[bytes]:
    rng = np.random.default_rng(seed)
    return [b'{"topic":"x"' + rng.bytes(int(n)) + b"}" for n in rng.integers(0, 700, count)]


def test_every_byte_comes_back(make):
    rig = make()
    for at in range(0, 200, 10):
        rig.offer(*payloads(10, at))
        while rig.turn():
            pass
    rig.offer(b"", b"x" * 64, b"y" * 65)
    rig.recorder.on_close()
    assert rig.journalled() == rig.sent
    counters = rig.plant.counters("recorder")
    assert (counters.get("raw_frames"), counters.get("raw_lost")) == (203, 0)
    written = [f for prefix in ("raw", "order") for path in segments(rig.paths.journal_dir, prefix) for f in read_frames(path)]
    assert counters.get("bytes") == sum(len(f.data) for f in written if f.kind not in (Kind.POSITION, Kind.RUN))


def test_synced_each_second_and_torn_tail_recovered_by_the_next(make):
    rig = make()
    rig.offer(*payloads(20))
    rig.turn()
    rig.turn(ms=1001)
    assert rig.journalled() == rig.sent
    assert rig.plant.counters("recorder").hist("raw_to_disk").any()
    (path,) = segments(rig.paths.journal_dir)
    with path.open("ab") as file:
        file.write(b"SJB1 half a block")
    before = path.stat().st_size
    rig.offer(*payloads(5, 9))  # nobody reads these before the kill
    rig.recorder = rig.start()
    assert path.stat().st_size == before - 17
    rig.offer(*payloads(3, 5))
    rig.turn()
    rig.recorder.on_close()
    assert rig.journalled() == rig.sent
    assert len([row for row in rig.lines("system") if row["evt"] == "process"]) == 2


def test_a_slow_recorder_loses_counted_and_blocks_nobody(make):
    rig = make(raw_cells=1024)
    for k in range(60):
        rig.offer(*payloads(10, k))
    rig.turn()
    rig.offer(*payloads(5, 99))
    rig.turn()
    rig.recorder.on_close()
    lost = rig.plant.counters("recorder").get("raw_lost")
    assert lost > 0
    assert rig.journalled() == rig.sent[lost:]
    told = [row for row in rig.lines("system") if row["evt"] == "lost"]
    assert [row["messages"] for row in told] == [lost]


def test_lines_of_every_kind(make):
    rig = make()
    for kind in LogKind:
        rig.log.emit(kind, 3, Severity.WARNING, seq=7, a=1, b=2, text="täxt")
    rig.turn()
    rig.recorder.on_close()
    rows = [row for stream in STREAMS for row in rig.lines(stream) if row["proc"] == "gateway"]
    assert len(rows) == len(LogKind)
    for row in rows:
        assert (row["ts"], row["ts_ns"], row["lvl"], row["sid"], row["v"]) == (
            "2025-11-20T23:58:01.123456Z", T0, "WARNING", rig.plant.spec.run_id, 1)
        assert (row["sym"], row["text"]) == ("BTCUSDT", "täxt")
    assert {path.parent.name for path in rig.paths.events_dir.glob("*/signals.jsonl")} == {"2025-11-20"}


def test_names_not_numbers():
    instrument = Instrument("BTCUSDT", 0.1, 0.001)
    base = dict.fromkeys("abcdef", 0) | {"x": 0.0, "y": 0.0, "ts_ns": T0, "seq": 0, "severity": 1, "text": ""}

    def fields(kind, **values):
        return line(base | {"kind": int(kind)} | values, "shard-0", "run", instrument)

    stream, row = fields(LogKind.STATE, a=State.FLAT, b=State.WATCHING_LONG, c=Cause.SCORE_OVER_WATCH, d=6150, f=1000)
    assert stream == "signals"
    assert (row["evt"], row["from"], row["to"], row["cause"]) == (
        "state.changed", "FLAT", "WATCHING_LONG", "SCORE_OVER_WATCH")
    assert (row["score_long"], row["price"]) == (61.5, 100.0)
    stream, row = fields(LogKind.FILL, a=4, b=-1, c=5, d=7, e=OrderRole.STOP, f=123)
    assert (stream, row["side"], row["role"], row["qty"], row["price"]) == ("orders", "Sell", "STOP", 0.007, 0.5)
    assert row["fee_usdt"] == 0.00000123
    stream, row = fields(LogKind.RISK, a=Gate.HEAT, x=5.5, y=5.0)
    assert (stream, row["gate"], row["value"], row["limit"]) == ("risk", "HEAT", 5.5, 5.0)
    assert fields(LogKind.PUMP, a=Pump.NONE, b=Pump.PUMPING)[1]["to"] == "PUMPING"
    assert fields(LogKind.CONTROL, a=3)[1]["bits"] == "PAUSE|KILL"
    assert fields(LogKind.STATE, a=99)[1]["from"] == 99  # a number nobody knows stays a number
    assert fields(LogKind.SHED, a=9, e=4)[1] | {"level": 9, "e": 4} == fields(LogKind.SHED, a=9, e=4)[1]
    assert line(base | {"kind": 999}, "p", "r", NO_INSTRUMENT)[1]["evt"] == "kind.999"
    assert {stream for stream, _, _ in LINES.values()} == set(STREAMS)
    assert iso(1_000_000_000) == "1970-01-01T00:00:01.000000Z"


def test_lost_log_records_are_told(make):
    rig = make(log_records=400)
    for k in range(3000):
        rig.log.emit(LogKind.FEED, a=2, b=k)
    rig.turn()
    rig.log.emit(LogKind.FEED, a=2, b=1)
    rig.turn()
    rig.recorder.on_close()
    lost = rig.plant.counters("recorder").get("log_lost")
    written = [row for row in rig.lines("system") if row["proc"] == "gateway"]
    assert lost > 0
    assert lost + len(written) == 3001
    assert [r["messages"] for r in rig.lines("system") if r["evt"] == "lost"] == [lost]


def test_a_full_disk_is_survived(make, monkeypatch):
    rig = make()
    rig.offer(*payloads(10))
    rig.log.emit(LogKind.FEED, a=2)
    real = os.write

    def full(handle, data):
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(journal_files.os, "write", full)
    rig.turn()
    for _ in range(3):
        rig.turn(ms=1001)
    assert rig.plant.counters("recorder").get("disk_errors") > 2
    assert rig.recorder.cnc.errors.total() > 2
    monkeypatch.setattr(journal_files.os, "write", real)
    rig.offer(*payloads(5, 3))
    rig.turn()
    rig.turn(ms=1001)
    assert rig.journalled() == rig.sent
    assert len([r for r in rig.lines("system") if r["evt"] == "feed.state"]) == 1


def test_event_files_rotate_and_heal(tmp_path):
    files = EventFiles(tmp_path, rotate_bytes=1000)
    for k in range(100):
        files.add("2025-11-20", "orders", b"%05d" % k * 8)
        files.flush()
    files.close()
    folder = tmp_path / "2025-11-20"
    found = [path for _, path in parts(folder, "orders")]
    assert len(found) > 3
    assert found[:2] == [folder / "orders.jsonl", folder / "orders.1.jsonl"]
    assert all(part.stat().st_size <= 1000 for part in found)
    assert b"".join(p.read_bytes() for p in found).split() == [b"%05d" % k * 8 for k in range(100)]
    found[-1].write_bytes(b'{"half')
    files = EventFiles(tmp_path)
    files.add("2025-11-20", "orders", b"{}")
    files.add("2025-11-21", "orders", b"{}")
    files.close()
    assert found[-1].read_bytes() == b'{"half\n{}\n'
    assert (tmp_path / "2025-11-21" / "orders.jsonl").read_bytes() == b"{}\n"


def test_event_files_drop_the_oldest_when_full_for_long(tmp_path, monkeypatch):
    files = EventFiles(tmp_path, keep_bytes=500)

    def full(handle, data):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(journal_files.os, "write", full)
    for k in range(100):
        files.add("d", "s", b"%05d" % k)
        assert not files.flush()
    monkeypatch.undo()
    files.close()
    assert files.lost > 0
    assert files.written + files.lost == 100
    assert (tmp_path / "d" / "s.jsonl").read_bytes().split()[-1] == b"00099"
    assert event_files.ROTATE_BYTES == 256 << 20
    assert CELL_WORDS == 8


def test_what_the_database_refused_is_told(make):
    recorder = make().recorder
    recorder.database = SimpleNamespace(rows=7, errors=0, last_error="", lag_ms=0, stop=lambda within_s: None)
    recorder._count()
    assert recorder.cnc.errors.entries() == []
    recorder.database.errors, recorder.database.last_error = 2, "OperationalError: database is locked"
    for _ in range(3):
        recorder._count()
    (told,) = recorder.cnc.errors.entries()
    assert (told["kind"], told["count"], told["text"]) == (DATABASE_KIND, 1, "OperationalError: database is locked")
