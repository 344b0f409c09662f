"""A journalled run replayed: the same decisions for any number of engines, whatever had happened to it."""

from __future__ import annotations

import errno
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from config.paths import DataPaths
from config.schema import Recorder as RecorderSettings
from config.schema import System
from core.consumption import Kind, pack, unpack
from core.enums import EventKind
from core.journal import Frame
from core.orders import broker
from core.params import PARAMS
from shm.journal_reader import read_frames, segments
from tests.workers.journal_rig import Rig
from tests.workers.support import EAGER
from tests.workers.tape_rig import record_tape
from workers import journal_files, lane
from workers.journal_files import SegmentWriter, recover
from workers.memento import Memento
from workers.replay import Outcome, Replay
from workers.run_journal import NoJournal, RunJournal, find_run

QUIET = (Rig.reload, Rig.pause, Rig.lose_connection, Rig.shed, Rig.drop_frames)
HARD = (*QUIET, Rig.restart_shard, Rig.restart_execution, Rig.restart_recorder, Rig.kill, Rig.stall_shard)


@pytest.fixture(autouse=True)
def no_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked here does not depend on the disk, and each sync costs what a turn costs."""
    monkeypatch.setattr(os, "fdatasync", lambda handle: None)


def record(folder: Path, seed: int, shards: int, happenings: tuple[Callable[[Rig], None], ...], **changes: Any) -> Path:
    rig = Rig(folder, seed, shards, **changes)
    try:
        rng = random.Random(seed)
        rig.play({rng.randrange(20, len(rig.reads) - 20): rng.choice(happenings) for _ in range(20)} if happenings else {})
        rig.close()
    finally:
        rig.destroy()
    return rig.data_dir


def replay(folder: Path, shards: int = 0) -> Outcome:
    return Replay(find_run(folder), shards).run()


def taken_back(folder: Path, shards: int = 0) -> list[dict[str, Any]]:
    """Outcomes of one Replay, to the end and then from each of its checkpoints again, the last ones first."""
    replay: Replay
    kept: list[Memento] = []

    def between() -> None:
        if len(kept) < 6:
            kept.append(Memento([replay], [replay.order, kept]))

    replay = Replay(find_run(folder), shards, between=between)
    found = [replay.run().as_dict()]
    for memento in reversed(kept):
        memento.restore()
        found.append(replay.resume().as_dict())
    assert len(found) > 2
    return [{name: value for name, value in each.items() if name != "wall_s"} for each in found]


def assert_identical(outcome: Outcome) -> None:
    assert outcome.identical, (outcome.notes, [d.text() for d in outcome.differences[:2]])
    assert outcome.is_complete and outcome.checks > 0 and outcome.account_checks > 0


@pytest.mark.parametrize(
    ("seed", "shards", "happenings", "mode"), [(4, 2, QUIET, "SIM"), (5, 3, HARD, "SIM"), (6, 2, HARD, "DRY_RUN")],
    ids=["quiet", "hard", "dry run"],
)
def test_any_number_of_engines_repeats_a_run(
    tmp_path: Path, seed: int, shards: int, happenings: tuple[Callable[[Rig], None], ...], mode: str
) -> None:
    folder = record(tmp_path, seed, shards, happenings, mode=mode)
    outcomes = [replay(folder, n) for n in (0, 1, 4)]
    for outcome in outcomes:
        assert_identical(outcome)
        assert outcome.digest == outcomes[0].digest
    assert outcomes[0].messages > 0 and outcomes[0].reports > 0 and outcomes[0].decisions > 0
    again = taken_back(folder)
    assert all(each == again[0] for each in again) and again[0]["digest"] == outcomes[0].digest


def test_a_tape_run_is_repeated_and_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.replay.BATCH_FRAMES", 100)
    folder = record_tape(tmp_path, 4, 2, seconds=8.0)
    outcomes = [replay(folder, n) for n in (0, 1, 3)]
    for outcome in outcomes:
        assert_identical(outcome)
        assert outcome.digest == outcomes[0].digest and outcome.messages > 0
    again = taken_back(folder)
    assert all(each == again[0] for each in again) and again[0]["digest"] == outcomes[0].digest


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 25))
def test_many_runs(tmp_path: Path, seed: int) -> None:
    """Seeds, faults, 1 to 8 shards, and a third of them with rings so small that shards are lapped."""
    changes: dict[str, Any] = {"market_cells": 2048} if seed % 3 == 0 else {}
    if seed % 6 == 5:
        changes["mode"] = "DRY_RUN"
    folder = record(tmp_path, seed, 1 + seed % 8, (QUIET, HARD)[seed % 2], **changes)
    for shards in (0, 3):
        assert_identical(replay(folder, shards))


# --- what was changed is found, and where ------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, not to be changed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fdatasync", lambda handle: None)
        return record(tmp_path_factory.mktemp("recorded"), 4, 2, (Rig.reload, Rig.lose_connection))


def forge(recorded: Path, target: Path, prefix: str, change: Callable[[Frame], Frame]) -> Path:
    """A copy of the run, every checksum right, with `change` applied to each record of a stream."""
    shutil.copytree(recorded, target)
    folder = DataPaths(target, "SIM").journal_dir
    paths = segments(folder, prefix)
    run_id = find_run(recorded).run_id
    frames = [change(frame) for path in paths for frame in read_frames(path)]
    for path in paths:
        path.unlink()
    writer = SegmentWriter(folder, run_id, segment_bytes=1 << 30, prefix=prefix)
    for frame in frames:
        writer.append(*frame)
    writer.close()
    return target


def test_an_unchanged_copy_is_identical(recorded: Path, tmp_path: Path) -> None:
    assert_identical(replay(forge(recorded, tmp_path / "copy", "raw", lambda frame: frame)))


def test_a_changed_byte_of_a_frame_is_found_where_it_is(recorded: Path, tmp_path: Path) -> None:
    changed: list[int] = []

    def change(frame: Frame) -> Frame:
        if not changed and frame.ts_recv_ns > middle and b'"S":"Buy"' in frame.data:
            changed.append(frame.ts_recv_ns)
            return frame._replace(data=frame.data.replace(b'"S":"Buy"', b'"S":"Sell"', 1))
        return frame

    times = [f.ts_recv_ns for p in segments(DataPaths(recorded, "SIM").journal_dir) for f in read_frames(p) if f.kind <= 2]
    middle = (times[0] + times[-1]) // 2
    outcome = replay(forge(recorded, tmp_path / "forged", "raw", change))
    assert changed and not outcome.identical and outcome.digest != outcome.recorded_digest
    first = min(d.ts_ns for d in outcome.differences if d.ts_ns)
    assert changed[0] - 100_000_000 <= first <= changed[0] + 2_000_000_000


def test_a_changed_setting_is_found_and_named(recorded: Path, tmp_path: Path) -> None:
    def change(frame: Frame) -> Frame:
        if frame.kind != Kind.SETTINGS:
            return frame
        note = unpack(frame.kind, frame.data)
        settings = msgspec.json.decode(note.payload)
        settings["thresholds"]["score"]["arm"][0] += 1.0
        return frame._replace(data=pack(note._replace(payload=msgspec.json.encode(settings)))[1])

    outcome = replay(forge(recorded, tmp_path / "forged", "raw", change))
    first = outcome.differences[0]
    assert not outcome.identical and "config version 1" in first.where and "arm" in first.recorded


def test_other_parameters_than_recorded_are_found(recorded: Path, tmp_path: Path) -> None:
    """The CONFIG event itself forged: engines decide otherwise, and the settings beside it tell."""
    def change(frame: Frame) -> Frame:
        if frame.kind != Kind.EVENT or unpack(frame.kind, frame.data).kind != EventKind.CONFIG:
            return frame
        note = unpack(frame.kind, frame.data)
        row = np.frombuffer(note.payload, PARAMS.dtype).copy()
        row["arm"] += 10.0
        return frame._replace(data=pack(note._replace(payload=row.tobytes()))[1])

    outcome = replay(forge(recorded, tmp_path / "forged", "raw", change))
    assert not outcome.identical
    assert "parameters of config version" in outcome.differences[0].where


def of_another_version(change: Callable[[dict[str, Any]], None], kind: Kind) -> Callable[[Frame], Frame]:
    """`change` to the JSON of every record of a kind."""
    def forged(frame: Frame) -> Frame:
        if frame.kind != kind:
            return frame
        note = unpack(frame.kind, frame.data)
        body = msgspec.json.decode(note.payload)
        change(body)
        return frame._replace(data=pack(note._replace(payload=msgspec.json.encode(body)))[1])

    return forged


def test_the_run_description_of_another_version_is_told(recorded: Path, tmp_path: Path) -> None:
    change = of_another_version(lambda spec: spec.update(a_later_field=1), Kind.RUN)
    folder = forge(recorded, tmp_path / "forged", "order", change)
    with pytest.raises(NoJournal, match=r"not of this version.*a_later_field"):
        replay(folder)
    with pytest.raises(NoJournal, match="not of this version"):
        find_run(folder).spec()


def test_settings_of_another_version_are_told(recorded: Path, tmp_path: Path) -> None:
    change = of_another_version(lambda settings: settings["trading"].update(a_later_field=1), Kind.SETTINGS)
    outcome = replay(forge(recorded, tmp_path / "forged", "raw", change))
    assert not outcome.identical
    assert "settings of config version 1" in outcome.differences[0].where
    assert "not of this version" in outcome.differences[0].recorded


def test_records_of_another_layout_are_told(recorded: Path, tmp_path: Path) -> None:
    """PARAMS had a field less."""
    def change(frame: Frame) -> Frame:
        if frame.kind != Kind.EVENT or unpack(frame.kind, frame.data).kind != EventKind.CONFIG:
            return frame
        note = unpack(frame.kind, frame.data)
        return frame._replace(data=pack(note._replace(payload=note.payload[:-8]))[1])

    outcome = replay(forge(recorded, tmp_path / "forged", "raw", change))
    assert not outcome.identical and not outcome.is_complete
    assert any("not written by this version" in note and "EventNote" in note for note in outcome.notes)


def test_differences_before_the_time_asked_for_are_no_identity(recorded: Path, tmp_path: Path) -> None:
    def change(frame: Frame) -> Frame:
        return frame._replace(data=frame.data.replace(b'"S":"Buy"', b'"S":"Sell"')) if frame.ts_recv_ns < middle else frame

    times = [f.ts_recv_ns for p in segments(DataPaths(recorded, "SIM").journal_dir) for f in read_frames(p) if f.kind <= 2]
    middle = (times[0] + times[-1]) // 2
    journal = find_run(forge(recorded, tmp_path / "forged", "raw", change))
    outcome = Replay(journal, from_ns=times[-1] + 10**9).run()
    assert outcome.before > 0 and not outcome.identical
    assert all(d.ts_ns == 0 for d in outcome.differences)


def test_another_kernel_is_found_and_its_decision_explained(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that from some event on rates everything higher."""
    real = lane.run_batch

    def other(state: Any, cells: Any, start: int, n_cells: int, *rest: Any) -> int:
        if int(cells[start, 0]) > 1500:
            state.params["weights"] *= 1.001
        return real(state, cells, start, n_cells, *rest)

    monkeypatch.setattr(lane, "run_batch", other)
    outcome = replay(recorded)
    assert not outcome.identical
    told = [d for d in outcome.differences if d.where.startswith("decision ")]
    assert told and told[0].recorded and told[0].replayed
    assert outcome.differences[0].seq > 1400


def test_another_sizing_is_found_in_the_account(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = broker.size_lots
    monkeypatch.setattr(broker, "size_lots", lambda *args: max(real(*args) - 1, 1))
    outcome = replay(recorded)
    assert not outcome.identical
    assert any(d.where.startswith("account after") for d in outcome.differences)
    assert any(d.where.startswith("report to shard") for d in outcome.differences)


# --- damage ------------------------------------------------------------------------------------------------------------
def test_a_missing_segment_is_a_hole_and_not_a_difference(tmp_path: Path) -> None:
    settings = msgspec.structs.replace(EAGER, system=System(recorder=RecorderSettings(segment_mb=0.05)))
    folder = record(tmp_path, 4, 2, (), settings=settings)
    paths = segments(DataPaths(folder, "SIM").journal_dir)
    assert len(paths) > 3
    paths[len(paths) // 2].unlink()  # the oldest that is left still tells what run it is
    outcome = replay(folder)
    assert not outcome.is_complete and any("hole" in note for note in outcome.notes)
    assert not outcome.differences


def test_a_disk_full_too_long_is_told(tmp_path: Path) -> None:
    rig = Rig(tmp_path, 4, 1, seconds=5.0)
    try:
        rig.recorder.order.journal.keep_bytes = 1000
        write = journal_files.write_all
        with pytest.MonkeyPatch.context() as patch:
            def full(handle: int, data: bytes) -> None:
                raise OSError(errno.ENOSPC, "no space left")

            patch.setattr(journal_files, "write_all", full)
            while rig.at < len(rig.reads) // 2:
                rig.play_one()
            assert rig.plant.counters("recorder").get("disk_errors") > 0
        assert journal_files.write_all is write
        rig.play({})
        rig.close()
    finally:
        rig.destroy()
    outcome = replay(rig.data_dir)
    assert not outcome.is_complete and any("hole" in note for note in outcome.notes)


@pytest.mark.parametrize("kills", [10, pytest.param(50, marks=[pytest.mark.slow, pytest.mark.timeout(900)])])
def test_a_recorder_killed_again_and_again_loses_nothing(tmp_path: Path, kills: int) -> None:
    """Each time with its memory, and with a part of what it wrote last."""
    rig = Rig(tmp_path, 6, 2)
    try:
        rng = random.Random(kills)

        def kill(rig: Rig) -> None:
            for prefix in ("raw", "order"):
                for path in segments(DataPaths(rig.data_dir, "SIM").journal_dir, prefix)[-1:]:
                    os.truncate(path, max(path.stat().st_size - rng.randrange(3000), 0))
            rig.restart_recorder()

        rig.play({rng.randrange(len(rig.reads)): kill for _ in range(kills)})
        rig.close()
    finally:
        rig.destroy()
    assert_identical(replay(rig.data_dir))


@pytest.mark.parametrize("flips", [60, pytest.param(10_000, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])])
def test_no_flipped_bit_goes_unseen(recorded: Path, tmp_path: Path, flips: int) -> None:
    """What is read is what was written, up to where a hole is told."""
    folder = tmp_path / "sim" / "journal"
    folder.mkdir(parents=True)
    source = segments(DataPaths(recorded, "SIM").journal_dir, "order")[0]
    path = folder / source.name
    run_id = find_run(recorded).run_id
    whole = source.read_bytes()
    path.write_bytes(whole)
    frames = [row.frame for row in RunJournal(folder, run_id).read("order")]
    rng = random.Random(flips)
    for _ in range(flips):
        bit = rng.randrange(8 * len(whole))
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        journal = RunJournal(folder, run_id)
        read = [row.frame for row in journal.read("order")]
        state = journal.state["order"]
        assert read == frames[: len(read)]
        assert len(read) < len(frames), "a flipped bit changed nothing"
        assert state.hole or state.notes or not journal.paths("order")


@pytest.mark.parametrize("step", [997, pytest.param(1, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])])
def test_a_stream_cut_anywhere_is_read_up_to_there(recorded: Path, tmp_path: Path, step: int) -> None:
    folder = tmp_path / "sim" / "journal"
    folder.mkdir(parents=True)
    source = segments(DataPaths(recorded, "SIM").journal_dir, "order")[0]
    path = folder / source.name
    run_id = find_run(recorded).run_id
    whole = source.read_bytes()
    path.write_bytes(whole)
    frames = [row.frame for row in RunJournal(folder, run_id).read("order")]
    for size in range(0, len(whole), step):
        path.write_bytes(whole[:size])
        read = [row.frame for row in RunJournal(folder, run_id).read("order")]
        assert read == frames[: len(read)] and len(read) < len(frames)
        if size >= 64:
            assert recover(path) is not None
            assert [row.frame for row in RunJournal(folder, run_id).read("order")] == read


def test_an_order_stream_that_ends_before_the_others_proves_up_to_there(recorded: Path, tmp_path: Path) -> None:
    """As when recorder and run are shot together: frames and decisions go on, what the shards took behind the end is unknown."""
    folder = tmp_path / "cut"
    shutil.copytree(recorded, folder)
    path = segments(DataPaths(folder, "SIM").journal_dir, "order")[-1]
    os.truncate(path, path.stat().st_size * 35 // 100)
    outcome = replay(folder)
    assert outcome.differences == [], [d.text() for d in outcome.differences[:2]]
    assert outcome.identical and any("order was cut off" in note for note in outcome.notes)
    assert 0 < outcome.decisions < replay(recorded).decisions
