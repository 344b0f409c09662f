"""A day of virtual time and more, per set of symbols, in one process: gateway core, shards, execution and recorder over
real rings, on a thin generated market. Days roll exactly, counters agree, nothing grows, files follow the days."""

from __future__ import annotations

import gc
import json
import os
import time
from collections import Counter, deque
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import psutil
import pytest

from config.paths import DataPaths
from config.schema import Account, ProfileRules, Recorder, Settings, Storage, Trading
from core.constants import DAY_NS, HOUR_NS
from core.consumption import Kind
from shm.journal_reader import read_frames, segments
from tests.gateway.venue.running import START_MS, new_exchange
from tests.reference.venue import payload
from tests.workers.journal_rig import Rig
from tests.workers.support import EAGER
from tests.workers.test_replay import assert_identical, replay
from workers import execution
from workers.event_lines import day
from workers.retention import Retention

NS_PER_MS = 1_000_000
THIN_MS, DENSE_MS = 2_000, 10  # steps of market time: most of the time, and around every full hour, when it trades
DENSE_AROUND_MS = 20_000
HOUR_MS = 3_600_000
TOPICS = (0, 1, 2, 4)
WARM_HOURS = 3  # caches and pools fill up
HOURLY_BYTES = 20 << 20  # of raw frames; the retention job comes every second hour
ANSWERS_KEPT = 64  # execution's memory of answers is bounded; here it is full before the watch begins
GROWTH_OBJECTS = 2_000  # per day, of some hundred thousand
GROWTH_RSS = 24 << 20  # bytes per day: pages of files written by the database's library, of pools
EASY = msgspec.structs.replace(EAGER.thresholds, score=msgspec.structs.replace(
    EAGER.thresholds.score, watch=(10.0,) * 3, arm=(15.0,) * 3))
RICH = msgspec.structs.replace(  # days of losing trades may neither kill nor latch nor blacklist: it is to trade every day
    EAGER, trading=Trading(account=Account(start_balance_usdt=1e6)), safety=msgspec.structs.replace(
        EAGER.safety, limits=msgspec.structs.replace(EAGER.safety.limits, churn_orders=10_000, churn_round_trips=10_000)))
SETTINGS = msgspec.structs.replace(RICH, thresholds=EASY, system=msgspec.structs.replace(
    EAGER.system, recorder=Recorder(segment_mb=1.0), profiles=ProfileRules(enabled=False),
    storage=Storage(raw_h=6.0, raw_max_gb=0.1, replay_sessions=0, decisions_days=0.25, events_days=0.5, metrics_days=1.0)))


def kinds() -> Counter[str]:
    """All objects the collector knows, by type."""
    return Counter(f"{type(found).__module__}.{type(found).__qualname__}" for found in gc.get_objects())


class SymbolSet(NamedTuple):
    symbols: int
    seed: int


FEW, MANY = SymbolSet(3, 11), SymbolSet(12, 12)


class Clock:
    """Wall clock of everybody."""

    def __init__(self, start_ns: int) -> None:
        self.now_ns = start_ns

    def time_ns(self) -> int:
        return self.now_ns


def reads_of(symbols: SymbolSet, start_ns: int) -> Iterator[list[tuple[int, bytes]]]:
    """Reads of a socket without end."""
    exchange = new_exchange(symbols.symbols, symbols.seed, 2.0, start_ns // NS_PER_MS)
    keys = [(kind, row) for row in range(symbols.symbols) for kind in TOPICS]
    for key in keys:
        exchange.activate(key)
    yield [(start_ns, bytes(payload(frame))) for key in keys if (frame := exchange.snapshot(key)) is not None]
    now_ms = exchange.now_ms
    while True:
        from_hour = (now_ms + DENSE_AROUND_MS) % HOUR_MS
        now_ms += DENSE_MS if from_hour < 2 * DENSE_AROUND_MS else THIN_MS
        frames = [(now_ms * NS_PER_MS, bytes(payload(frame))) for _, frame in exchange.step(now_ms)]
        if frames:
            yield frames


class Roll(NamedTuple):
    day: int
    event_day: int
    equity_e8: int  # just before
    day_start_e8: int
    realised_day_e8: int
    balance_e8: int


class Soak:
    """A rig over an endless market, and what is watched while it runs."""

    def __init__(self, folder: Path, symbols: SymbolSet, start_ns: int, clock: Clock, settings: Settings) -> None:
        self.clock = clock
        self.source = reads_of(symbols, start_ns)
        first = [next(self.source) for _ in range(60)]  # shows every symbol's grid
        self.rig = Rig(folder, symbols.seed, 2, settings, reads=first)
        self.rig.recorder.retention.stop()  # its clock is the real one; ours runs below
        self.paths = DataPaths(self.rig.data_dir, "SIM")
        self.fed = 0
        self.rolls: list[Roll] = []
        self.usage: list[tuple[int, int]] = []  # objects, resident bytes, each virtual hour
        self.kinds: Counter[str] = Counter()  # objects by type, when caches and pools are full
        account = self.rig.execution.broker.account
        original = account.roll

        def roll(ts_ns: int) -> bool:
            before = account.day, account.equity_e8, account.balance_e8
            rolled = original(ts_ns)
            if account.day != before[0]:
                self.rolls.append(Roll(account.day, ts_ns // DAY_NS, before[1], account.day_start_equity_e8,
                                       account.realised_day_e8, before[2]))
            return rolled

        account.roll = roll  # type: ignore[method-assign]

    def step(self) -> None:
        """One read and a turn of everybody."""
        rig = self.rig
        if rig.at == len(rig.reads):
            rig.reads, rig.at = [next(self.source)], 0
        before, self.clock.now_ns = self.clock.now_ns, rig.reads[rig.at][0][0]
        rig.now_ns += self.clock.now_ns - before
        self.fed += len(rig.reads[rig.at])
        rig.read()
        for agent in (*rig.shards, rig.execution, *rig.shards):
            agent.do_work()
        rig.recorder.do_work()  # a step is up to a second of the market

    def run(self, hours: float) -> None:
        """Virtual hours; files get the times they were written at, the retention job runs every second hour."""
        end_ns = self.clock.now_ns + round(hours * HOUR_NS)
        hour = 0
        next_ns = self.clock.now_ns + HOUR_NS
        while self.clock.now_ns < end_ns:
            self.step()
            if self.clock.now_ns >= next_ns:
                next_ns += HOUR_NS
                hour += 1
                self.every_hour(hour)

    def every_hour(self, hour: int) -> None:
        self.check_account()
        for path in self.paths.mode_dir.rglob("*"):
            if path.is_file() and path.stat().st_mtime_ns > self.clock.now_ns:  # written since: real time is later
                os.utime(path, ns=(self.clock.now_ns, self.clock.now_ns))
        if hour % 2 == 0:
            line = Retention(self.paths, self.rig.settings.system.storage, self.rig.plant.spec.run_id, self.clock.time_ns).run()
            assert line["errors"] == []
        gc.collect()
        self.usage.append((len(gc.get_objects()), psutil.Process().memory_info().rss))
        if hour == WARM_HOURS:
            self.kinds = kinds()

    def check_account(self) -> None:
        """The figures of the day are those since its roll."""
        account = self.rig.execution.broker.account
        last = self.rolls[-1]
        assert account.day == last.day == self.rig.execution.broker.ledger.day
        assert account.realised_day_e8 == account.balance_e8 - last.balance_e8
        assert account.day_loss_e8 == last.day_start_e8 - account.equity_e8

    def check(self, hours: float) -> None:
        """After the end."""
        rig, account = self.rig, self.rig.execution.broker.account
        assert account.fills > 0 and account.trades_closed > 0
        days = [roll.day for roll in self.rolls]
        assert days == list(range(days[0], days[0] + len(days))) and len(days) >= 1 + hours // 24
        for roll in self.rolls:
            assert roll.event_day == roll.day
            assert roll.day_start_e8 == roll.equity_e8 and roll.realised_day_e8 == 0
        assert account.balance_e8 == self.rolls[0].balance_e8 + account.realised_e8
        gateway, recorder, execution = (rig.plant.counters(name) for name in ("gateway", "recorder", "execution"))
        shards = [rig.plant.counters("shard", i) for i in range(len(rig.shards))]
        assert gateway.get("frames") == self.fed == recorder.get("raw_frames")
        assert gateway.get("decoded") == self.fed and gateway.get("off_grid") == 0
        assert (recorder.get("raw_lost"), recorder.get("log_lost"), recorder.get("records_lost")) == (0, 0, 0)
        assert recorder.get("disk_errors") == 0
        assert [shard.get("lost_messages") for shard in shards] == [0, 0]
        assert sum(shard.get("recorded") for shard in shards) == recorder.get("recorded")
        assert sum(shard.get("messages") for shard in shards) == execution.get("messages")

    def check_growth(self, hours: float) -> None:
        warm = self.usage[WARM_HOURS - 1 :]
        per_day = 24 / (hours - WARM_HOURS)
        objects, resident = warm[-1][0] - warm[0][0], warm[-1][1] - warm[0][1]
        print(f"\nin {hours:.0f} h: {objects:+} objects of {warm[0][0]}, {resident / 1e6:+.1f} MB of {warm[0][1] / 1e6:.0f}")
        assert objects * per_day <= GROWTH_OBJECTS, (kinds() - self.kinds).most_common(20)
        assert resident * per_day <= GROWTH_RSS, [rss >> 10 for _, rss in self.usage]

    def check_files(self) -> None:
        """Lines stand in the folder of their day; raw frames are whole; what is too old is gone."""
        now, rules = self.clock.now_ns, self.rig.settings.system.storage
        lines = 0
        for path in self.paths.events_dir.glob("*/*.jsonl"):
            for text in path.read_bytes().splitlines():
                found = json.loads(text)
                assert path.parent.name == day(found["ts_ns"]), path
                lines += 1
        assert lines > 0
        raw = segments(self.paths.journal_dir)
        stamps = deque((f.ts_recv_ns for path in raw for f in read_frames(path) if f.kind <= Kind.FRAME_END), maxlen=1)
        assert stamps[-1] == now
        kept = sum(path.stat().st_size for path in raw)  # of the running session everything, as far as the cap allows
        assert kept <= rules.raw_max_gb * 1e9 + HOURLY_BYTES * (1 + rules.every_h)


@pytest.mark.parametrize(("symbols", "hours"), [
    (FEW, 0.4),
    pytest.param(FEW, 73.0, marks=[pytest.mark.slow, pytest.mark.timeout(7200)]),
    pytest.param(MANY, 25.0, marks=[pytest.mark.slow, pytest.mark.timeout(7200)]),
], ids=["few-short", "few-3-days", "many-1-day"])
def test_days_of_virtual_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, symbols: SymbolSet, hours: float) -> None:
    monkeypatch.setattr(os, "fdatasync", lambda handle: None)
    monkeypatch.setattr(execution, "ANSWERS_KEPT", ANSWERS_KEPT)
    start_ns = (START_MS // 86_400_000 + 1) * DAY_NS - 12 * 60 * 1_000_000_000  # twelve minutes before midnight
    clock = Clock(start_ns)
    monkeypatch.setattr(time, "time_ns", clock.time_ns)
    soak = Soak(tmp_path, symbols, start_ns, clock, SETTINGS)
    try:
        soak.run(hours)
        soak.check_account()
        soak.rig.close()
        soak.check(hours)
        soak.check_files()
        if hours > WARM_HOURS:
            soak.check_growth(hours)
        else:  # nothing was removed yet: the whole run replays
            assert_identical(replay(soak.rig.data_dir))
    finally:
        soak.rig.destroy()
