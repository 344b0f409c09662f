"""What goes and what stays: the rules alone on made-up files, and a simulated week on a real folder."""

from __future__ import annotations

import errno
import json
import os
import random
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.paths import DataPaths
from config.schema import Storage
from core.constants import HOUR_NS
from core.journal import encode_file_header
from workers.event_files import EventFiles, part_name
from workers.event_lines import day
from workers.file_reading import lines_from
from workers.retention import GB, Kept, Retention, Stream, compress, days_left, doomed, streams, written_per_day

T0 = 1_763_596_800_000_000_000  # 2025-11-20T00:00:00Z
RAW = Stream("raw", (), 24.0, 1.0, for_replay=True)


def files(*rows) -> list[Kept]:
    """(age in hours, GB, session)"""
    return [Kept(Path(f"f{k}"), int(gb * GB), T0 - int(age * HOUR_NS), session) for k, (age, gb, session) in enumerate(rows)]


def names(going) -> set[str]:
    return {kept.path.name for kept in going}


def test_age_takes_what_no_replay_needs():
    kept = files((50, 0.1, "old"), (40, 0.1, "last"), (30, 0.1, "now"), (0, 0.1, "now"))
    assert names(doomed(kept, T0, RAW, ["now", "last"])) == {"f0"}
    assert names(doomed(kept, T0, RAW, ["now"])) == {"f0", "f1"}


def test_the_cap_goes_over_everything_but_the_newest_file():
    kept = files((5, 0.4, "old"), (4, 0.4, "last"), (3, 0.4, "now"), (2, 0.4, "now"))
    assert names(doomed(kept, T0, RAW, ["now", "last"])) == {"f0", "f1"}
    assert names(doomed(kept, T0, RAW._replace(max_gb=0.5), ["now", "last"])) == {"f0", "f1", "f2"}
    assert names(doomed(kept, T0, RAW._replace(max_gb=0.0001), ["now", "last"])) == {"f0", "f1", "f2"}
    assert doomed([], T0, RAW, ["now"]) == []


def test_zero_keeps_for_good():
    kept = files((9999, 50, ""), (0, 50, ""))
    assert doomed(kept, T0, Stream("x", (), 0.0, 0.0), []) == []


def test_what_the_database_has_not_read_waits_but_not_over_the_cap():
    kept = files((50, 0.4, ""), (45, 0.4, ""), (0, 0.4, ""))
    waiting = frozenset({Path("f0"), Path("f1")})
    plain = Stream("x", (), 24.0, 0.0)
    assert doomed(kept, T0, plain, [], waiting) == []
    assert names(doomed(kept, T0, plain._replace(max_gb=1.0), [], waiting)) == {"f0"}


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 1), st.sampled_from(["", "a", "b", "now"])), max_size=30),
       st.floats(0.1, 5))
def test_never_the_newest_never_under_the_rules(rows, cap):
    kept = files(*rows)
    going = doomed(kept, T0, RAW._replace(max_gb=cap), ["now", "a"])
    left = [f for f in kept if f not in going]
    if kept:
        assert max(kept, key=lambda f: (f.written_ns, f.path.name)) in left
    assert len(left) <= 1 or sum(f.bytes for f in left) <= cap * GB
    for f in left:
        assert f.session in ("now", "a") or T0 - f.written_ns <= 24 * HOUR_NS or len(left) == 1 or f == max(
            kept, key=lambda g: (g.written_ns, g.path.name))


def test_rates_and_days_left():
    kept = files((30, 1, ""), (20, 2, ""), (10, 2, ""))
    assert written_per_day(kept, T0) == round(4 * GB * 24 / 20)
    assert written_per_day([], T0) is None
    assert written_per_day(files((0.02, 1, "")), T0) is None  # a minute tells nothing of a day
    assert days_left(100 * GB, 10 * GB) == 10.0
    assert days_left(5, None) is None


class Week:
    """A data folder that is written to, hour by hour, by a run that began at T0."""

    def __init__(self, tmp_path: Path) -> None:
        self.paths = DataPaths(tmp_path, "SIM")
        self.now = T0
        self.random = random.Random(1)
        self.paths.log_dir.mkdir(parents=True)

    def put(self, path: Path, size: int, head: bytes = b"") -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(head + b'{"a":1}\n' * (size // 8))
        os.utime(path, ns=(self.now, self.now))

    def begin(self, run_id: str) -> None:
        self.put(self.paths.runs_dir / f"{run_id}.jsonl", 80)

    def hour(self, run_id: str) -> None:
        head = encode_file_header(1, self.now, run_id)
        self.put(self.paths.journal_dir / f"raw-{self.now:020d}.sjr", 40_000, head)
        self.put(self.paths.decisions_dir / day(self.now) / f"decisions-{self.now:020d}.sjr", 8_000, head)
        for stream in ("orders", "market"):
            path = self.paths.events_dir / day(self.now) / part_name(stream, 0)
            self.put(path, 8 * self.random.randint(1, 500))
        self.put(self.paths.metrics_dir / day(self.now) / "account.jsonl", 800)
        self.put(self.paths.store_dir("orderbook") / day(self.now) / "top.jsonl", 4000)
        self.put(self.paths.trades_dir / day(self.now) / "trades.jsonl", 800)
        self.put(self.paths.store_dir("profiles") / "profiles.json", 80)
        self.put(self.paths.log_dir / "gateway.log", 80)
        self.put(self.paths.shadow_dir / run_id / "result.json", 4000)
        self.put(self.paths.shadow_dir / run_id / "status.json", 80)
        self.put(self.paths.calibration_dir / f"{run_id}.toml", 80)

    def bytes(self, pattern: str) -> int:
        return sum(path.stat().st_size for path in self.paths.mode_dir.glob(pattern))


@pytest.mark.parametrize("run_h", [24, 200])
def test_a_simulated_week(tmp_path, run_h):
    """Every two hours for a week (and then idle days): raw stays within a day, sessions a replay needs within the cap,
    summaries and profiles for good, each run one line."""
    week = Week(tmp_path)
    rules = Storage(raw_h=24.0, raw_max_gb=0.0021, replay_sessions=1, decisions_days=3.0, decisions_max_gb=0.0004,
                    events_days=5.0, events_max_gb=1.0, metrics_days=6.0, logs_days=2.0)
    run_ids, runs = [], 0
    for hour in range(7 * 24):
        if hour % run_h == 0:
            run_ids.append(f"2025{hour:04d}-run")
            week.begin(run_ids[-1])
        week.hour(run_ids[-1])
        job = Retention(week.paths, rules, run_ids[-1], lambda: week.now)
        if hour % 2 == 1:
            line = job.run()
            runs += 1
            assert line["errors"] == []
            raw = sorted(week.paths.journal_dir.glob("*.sjr"))
            assert sum(path.stat().st_size for path in raw) <= 0.0021 * GB
            assert week.bytes("decisions/*/*") <= 0.0004 * GB
            oldest = {path.name: week.now - path.stat().st_mtime_ns for path in raw}
            if run_h == 24:  # the run before is still whole: two runs of a day fit under the cap
                sessions = {run_ids[-1], *run_ids[-2:-1]}
                hours = [h for h in range(hour + 1) if run_ids[h // run_h] in sessions]
                assert len(raw) >= min(len(hours), 50)
            assert raw[-1].stat().st_mtime_ns == week.now
            assert all(age <= 60 * HOUR_NS for age in oldest.values())
        week.now += HOUR_NS
    log = [json.loads(text) for text in week.paths.retention_log.read_text().splitlines()]
    assert len(log) == runs == 84
    assert sum(line["freed_bytes"] for line in log) > 3_000_000
    assert log[-1]["days_left"] > 0
    assert log[-1]["bytes_per_day"] == pytest.approx(24 * 50_000, rel=0.3)
    assert len(list(week.paths.trades_dir.glob("*/trades.jsonl"))) == 7  # per-day summaries stay
    assert (week.paths.store_dir("profiles") / "profiles.json").exists()
    assert len(list(week.paths.metrics_dir.glob("*"))) <= 7
    events = sorted(path.parent.name for path in week.paths.events_dir.glob("*/orders*"))
    assert events[0] >= "2025-11-21"
    assert any(path.suffix == ".zst" for path in week.paths.events_dir.glob("*/*"))
    last = run_ids[-1]
    for _ in range(10 * 24):  # nothing more is written: what the last session needs stays, the rest ages away
        week.now += HOUR_NS
    Retention(week.paths, rules, last, lambda: week.now).run()
    assert list(week.paths.journal_dir.glob("*.sjr"))
    assert not list(week.paths.decisions_dir.glob("*/*"))[1:]
    assert not list(week.paths.store_dir("orderbook").glob("*/*"))[1:]
    assert len(list(week.paths.trades_dir.glob("*/trades.jsonl"))) == 7


def test_what_candidates_and_own_fills_said_goes_by_its_own_age_and_cap(tmp_path):
    """Shadows: days, and a cap over which the oldest goes first; calibrations: days only. Empty folders go with their files."""
    week = Week(tmp_path)
    rules = Storage(shadow_days=3.0, shadow_max_gb=0.0000082, calibration_days=5.0)
    for k in range(7):
        week.hour(f"2025000{k}-run")
        week.now += 24 * HOUR_NS
    line = Retention(week.paths, rules, "20250006-run", lambda: week.now).run()
    assert sorted(path.name for path in week.paths.calibration_dir.iterdir()) == [f"2025000{k}-run.toml" for k in range(2, 7)]
    kept = sorted(str(path.relative_to(week.paths.shadow_dir)) for path in week.paths.shadow_dir.glob("*/*"))
    assert kept == [f"2025000{k}-run/{name}.json" for k in (5, 6) for name in ("result", "status")]
    assert sorted(path.name for path in week.paths.shadow_dir.iterdir()) == ["20250005-run", "20250006-run"]
    assert line["removed"]["shadow"]["files"] == 10 and line["kept"]["calibration"]["files"] == 5
    assert {"shadow", "calibration"} <= {stream.name for stream in streams(rules)}


def test_what_was_set_aside_as_damaged_goes_with_its_stream(tmp_path):
    """Not sooner: a copy beside a segment stays as long as its session is wanted, and counts into the cap meanwhile."""
    week = Week(tmp_path)
    mode, today = week.paths.mode_dir, day(T0)
    head = encode_file_header(1, T0, "20250001-run")
    for run_id in ("20250001-run", "20250002-run"):
        week.begin(run_id)
    segment = f"journal/raw-{T0:020d}.sjr"
    week.put(mode / segment, 800, head)
    unknown = [f"journal/order-{T0:020d}.sjr.damaged", f"decisions/{today}/decisions-{T0:020d}.sjr.damaged-64",
               "execution.journal.damaged-64", f"execution-{T0}.journal.damaged-64"]
    for name in [f"{segment}.damaged-64", *unknown]:
        week.put(mode / name, 800)
    stranger = mode / "journal" / "notes.sjr.damaged"
    week.put(stranger, 800)
    week.now += 23 * HOUR_NS
    for name in ("journal/raw", f"decisions/{day(week.now)}/decisions"):  # being written
        week.put(mode / f"{name}-{week.now:020d}.sjr", 800, encode_file_header(1, week.now, "20250002-run"))
    rules = Storage(raw_h=24.0, raw_max_gb=0.0, decisions_days=1.0, journal_days=1.0, replay_sessions=1)
    line = Retention(week.paths, rules, "20250002-run", lambda: week.now).run()
    assert line["freed_bytes"] == 0
    assert line["kept"]["raw"] == {"files": 4, "bytes": 4 * 800 + 2 * len(head)}
    week.now += 2 * HOUR_NS
    line = Retention(week.paths, rules, "20250002-run", lambda: week.now).run()
    assert [name for name in unknown if (mode / name).exists()] == []
    assert (mode / segment).exists() and (mode / f"{segment}.damaged-64").exists()  # of a session a replay needs
    line = Retention(week.paths, msgspec.structs.replace(rules, replay_sessions=0), "20250002-run", lambda: week.now).run()
    assert line["removed"]["raw"]["files"] == 2
    assert stranger.exists()


def test_a_damaged_copy_is_not_the_file_that_is_being_written():
    kept = [*files((2, 0.4, "now")), Kept(Path("f.sjr.damaged-64"), GB, T0, "now")]
    assert names(doomed(kept, T0, RAW, ["now"])) == {"f.sjr.damaged-64"}


def test_compressed_lines_keep_their_places(tmp_path):
    path = tmp_path / "orders.jsonl"
    path.write_bytes(b"".join(b'{"n":%d}\n' % k for k in range(1000)))
    before, end = lines_from(path, 500, 50)
    os.utime(path, ns=(5, 5))
    assert compress(path) > 0
    packed = tmp_path / "orders.jsonl.zst"
    assert not path.exists()
    assert packed.stat().st_mtime_ns == 5
    assert lines_from(packed, 500, 50) == (before, end)
    assert lines_from(packed, 10**9, 50) == ([], 10**9)


def test_a_disk_that_refuses_is_told(tmp_path, monkeypatch):
    week = Week(tmp_path)
    week.hour("r")
    week.hour("r")
    week.now += 100 * HOUR_NS
    week.hour("r2")

    def refuse(self, *arguments, **more):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "unlink", refuse)
    line = Retention(week.paths, Storage(replay_sessions=0), "r2", lambda: week.now).run()
    assert line["freed_bytes"] == 0
    assert any("Read-only" in text for text in line["errors"])


def test_an_empty_folder_is_no_trouble(tmp_path):
    line = Retention(DataPaths(tmp_path / "none", "SIM"), Storage(), "r").run()
    assert (line["freed_bytes"], line["days_left"]) == (0, None)
    assert {stream.name for stream in streams(Storage())} == set(line["kept"])


def test_what_somebody_else_put_there_stays(tmp_path):
    """Files with other names, links, and what lies behind a link: none of it was made here."""
    week = Week(tmp_path / "data")
    week.hour("20250001-run")
    old, mode, today = week.now, week.paths.mode_dir, day(T0)
    strangers = [mode / name for name in (
        "journal/notes.txt", "journal/keep/raw-00000000000000000001.sjr", f"orderbook/{today}/notes.txt",
        "orderbook/mine/top.jsonl",
        f"metrics/{today}/sheet.ods", "shadow/20250001-run/notes.txt", "shadow/mine/result.json", "calibration/mine.toml",
        "events/mine/orders.jsonl", "system/runs/notes.jsonl", "execution-copy.journal", "decisions/mine/decisions-1.sjr",
        f"events/{today}/orders.jsonl.bak")] + [week.paths.log_dir / "notes.txt"]
    elsewhere = tmp_path / "elsewhere"
    for path in [*strangers, elsewhere / "top.jsonl", elsewhere / "orders.jsonl"]:
        week.put(path, 800)
    links = [mode / "orderbook" / "2025-01-01", mode / "events" / "2025-01-01", mode / "metrics" / "2025-01-01"]
    for link in links:
        link.symlink_to(elsewhere, target_is_directory=True)
    links.append(mode / "journal" / "raw-00000000000000000002.sjr")
    links[-1].symlink_to(elsewhere / "top.jsonl")
    empty = mode / "events" / "empty"
    empty.mkdir()
    week.now += 500 * 24 * HOUR_NS
    week.hour("20260601-run")
    rules = Storage(replay_sessions=0, journal_days=1.0, raw_max_gb=1e-9, events_max_gb=1e-9, shadow_max_gb=1e-9,
                    decisions_max_gb=1e-9)
    for _ in range(2):
        line = Retention(week.paths, rules, "20260601-run", lambda: week.now).run()
        assert line["errors"] == []
    assert [path for path in strangers if not path.exists()] == []
    assert sorted(path.name for path in elsewhere.iterdir()) == ["orders.jsonl", "top.jsonl"]
    assert all(link.is_symlink() for link in links) and empty.is_dir()
    assert not (week.paths.journal_dir / f"raw-{old:020d}.sjr").exists()  # but ours went
    assert not (mode / "events" / today / "orders.jsonl").exists()


def test_lines_of_today_stay_lines(tmp_path):
    """However short `compress_after_h` is: the file of a quiet stream is open."""
    week = Week(tmp_path)
    week.hour("r")
    week.now += 5 * HOUR_NS
    rules = Storage(compress_after_h=1.0)
    Retention(week.paths, rules, "r", lambda: week.now).run()
    assert (week.paths.events_dir / day(T0) / "orders.jsonl").exists()
    week.now += 24 * HOUR_NS
    Retention(week.paths, rules, "r", lambda: week.now).run()
    assert (week.paths.events_dir / day(T0) / "orders.jsonl.zst").exists()


def test_a_clock_that_jumps_back_costs_nothing(tmp_path):
    week = Week(tmp_path)
    for _ in range(30):
        week.hour("r")
        week.now += HOUR_NS
    before = sorted(path for path in week.paths.mode_dir.rglob("*") if path.is_file())
    week.now -= 400 * 24 * HOUR_NS
    line = Retention(week.paths, Storage(), "r", lambda: week.now).run()
    assert line["errors"] == [] and line["freed_bytes"] == 0
    assert [path for path in before if not path.exists()] == []
    assert line["days_left"] is None or line["days_left"] > 0


def test_zero_is_a_setting_and_keeps_for_good(tmp_path):
    week = Week(tmp_path)
    week.hour("r")
    week.now += 4000 * 24 * HOUR_NS
    week.hour("r2")
    zeros = {name: 0 for name in Storage.__struct_fields__ if name.endswith(("_h", "_gb", "_days")) and name != "every_h"}
    rules = msgspec.convert(zeros, Storage)
    line = Retention(week.paths, rules, "r2", lambda: week.now).run()
    assert line["freed_bytes"] == 0 and line["compressed"]["files"] == 0


@pytest.mark.parametrize("number", [0, 3])
def test_a_file_that_was_taken_away_is_followed_by_the_next(tmp_path, number):
    """No line goes into a file nobody can see, and no place of a file is used twice: the database knows places."""
    files_ = EventFiles(tmp_path)
    folder = tmp_path / "2025-11-20"
    folder.mkdir()
    (folder / part_name("orders", number)).write_bytes(b'{"n":0}\n')
    files_.add("2025-11-20", "orders", b'{"n":1}')
    assert files_.flush()
    (folder / part_name("orders", number)).unlink()
    files_.add("2025-11-20", "orders", b'{"n":2}')
    files_.add("2025-11-20", "orders", b'{"n":3}')
    assert files_.flush()
    assert [path.name for path in folder.iterdir()] == [part_name("orders", number + 1)]
    assert (folder / part_name("orders", number + 1)).read_bytes() == b'{"n":2}\n{"n":3}\n'
    files_.close()
