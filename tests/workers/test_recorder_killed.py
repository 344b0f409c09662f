"""kill -9 of the recorder under load: every log line and decision exactly once, on disk and in the database."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter

import msgspec
import numpy as np
import pytest
from sqlalchemy import func, select

from config.paths import ROOT, DataPaths
from config.schema import Settings
from core.decision import DECISION
from core.enums import LogKind, Severity, SignalPhase, State
from shm.database.connect import database_url, reader
from shm.database.tables import decisions, incidents, signal_history
from shm.decisions import DecisionWriter
from shm.journal_reader import read_frames
from shm.topology import Plant
from tests.core.engine.streams import symbol_record
from tests.workers.support import make_plant
from workers.database_writer import DatabaseWriter


class Load:
    """Writes log records and decisions, some fifty times as many as a busy market, and remembers how many."""

    def __init__(self, tmp_path) -> None:
        self.run_file = tmp_path / "run.json"
        self.plant = make_plant(tmp_path, log_records=65_536, decision_records=16_384)
        self.plant.symbols().write(3, symbol_record(3, "BTCUSDT"))
        self.log = Plant.join(self.run_file, "gateway").log_writer()
        self.ring = DecisionWriter(Plant.join(self.run_file, "shard").decisions(0))
        self.lines = self.signals = self.kept = 0

    def some(self, lines: int = 20) -> None:
        for _ in range(lines):
            self.lines += 1
            if self.lines % 5 == 0:
                self.signals += 1
                self.log.emit(LogKind.SIGNAL, 3, seq=self.lines, a=1, b=100, c=90, d=120, f=SignalPhase.READY)
            elif self.lines % 7 == 0:
                self.log.emit(LogKind.ERROR, severity=Severity.ERROR, text=f"error {self.lines}")
            else:
                self.log.emit(LogKind.FEED, a=2, b=self.lines)
        records = np.zeros(lines // 5, DECISION.dtype)
        for record in records:
            self.kept += 1
            for name, value in (("seq", self.kept), ("ts_ns", time.time_ns()), ("symbol", 3), ("side", 1), ("verdict", 1),
                                ("state_from", State.ARMED_LONG), ("state_to", State.ORDER_PLACED)):
                record[name] = int(value)
        self.ring.write(records)

    def recorder(self) -> subprocess.Popen:
        process = subprocess.Popen([sys.executable, "-m", "workers.recorder", "--run", str(self.run_file)], cwd=ROOT)
        cnc = self.plant.cnc("recorder")
        deadline = time.monotonic() + 60
        while not (cnc.pid == process.pid and cnc.ready):
            assert process.poll() is None and time.monotonic() < deadline, "the recorder did not start"
            self.some(5)  # an interpreter starts far more slowly than the supervisor's fork does
            time.sleep(0.05)
        return process


@pytest.mark.parametrize("kills", [3, pytest.param(50, marks=[pytest.mark.slow, pytest.mark.timeout(900)])])
def test_nothing_missing_nothing_twice(tmp_path, monkeypatch, kills):
    monkeypatch.delenv("SCALPER_DATABASE_URL", raising=False)
    load = Load(tmp_path)
    rng = random.Random(kills)
    try:
        for _ in range(kills):
            process = load.recorder()
            until = time.monotonic() + rng.uniform(0.0, 1.0)
            while time.monotonic() < until:
                load.some()
                time.sleep(0.03)
            os.kill(process.pid, signal.SIGKILL)
            assert process.wait(240) == -signal.SIGKILL
            for _ in range(rng.randint(0, 20)):
                load.some()
        end(load, load.recorder())
        check(load, DataPaths(tmp_path / "data", "SIM"))
    finally:
        load.plant.destroy()


def test_it_outlives_those_it_records(tmp_path, monkeypatch):
    """The stop word is for everybody at once: what they say on their way out, some of them for seconds, is kept."""
    monkeypatch.delenv("SCALPER_DATABASE_URL", raising=False)
    load = Load(tmp_path)
    try:
        process = load.recorder()
        load.some()
        load.plant.control.request_stop()
        loops = load.plant.cnc("recorder").loops
        while load.plant.cnc("recorder").loops < loops + 3:  # it has seen the word
            assert process.poll() is None, "it ended before the others"
            time.sleep(0.01)
        load.some()
        end(load, process)
        check(load, DataPaths(tmp_path / "data", "SIM"))
    finally:
        load.plant.destroy()


def end(load: Load, process: subprocess.Popen) -> None:
    """As the supervisor does, when everybody else is gone."""
    load.plant.control.request_stop()
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 0


def check(load: Load, paths: DataPaths) -> None:
    seen = Counter()
    for path in paths.events_dir.glob("*/*.jsonl"):
        for text in path.read_bytes().splitlines():
            try:
                line = msgspec.json.decode(text)
            except msgspec.MsgspecError:
                continue  # the half line of a killed writer; the whole one follows
            if line["proc"] == "gateway":
                seen[line["n"]] += 1
    counters = load.plant.counters("recorder")
    assert (counters.get("log_lost"), counters.get("records_lost")) == (0, 0)
    assert set(seen.values()) == {1}
    assert sorted(seen) == list(range(load.lines))
    found = Counter(frame.mono_ns for path in paths.decisions_dir.glob("*/*.sjr") for frame in read_frames(path))
    assert set(found.values()) == {1}
    assert sorted(found) == list(range(1, load.kept + 1))
    writer = DatabaseWriter(paths, Settings(), load.plant.spec.run_id)
    assert writer.drain()  # what the last recorder had no time for
    engine = reader(database_url(paths), "SIM")
    with engine.connect() as connection:
        rows = {t.name: connection.execute(select(func.count()).select_from(t)).scalar()
                for t in (signal_history, incidents, decisions)}
        last = connection.execute(select(func.max(signal_history.c.n))).scalar()
    engine.dispose()
    assert rows["signal_history"] == load.signals
    assert rows["decisions"] == load.kept
    assert rows["incidents"] == sum(1 for k in range(1, load.lines + 1) if k % 7 == 0 and k % 5)
    assert last == max(n for n in range(load.lines) if (n + 1) % 5 == 0)
