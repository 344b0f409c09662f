from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from core.enums import LogKind
from core.features.registry import ALL_FEATURE_NAMES
from core.records import MESSAGE, REPORT, SYMBOL_ROW
from shm.regions import MAX_SYMBOLS, regions, total_bytes
from shm.run_spec import RunSpec, VenueAddress, process_rows
from shm.segment import SHM_FOLDER, LayoutMismatch, OwnerAlive
from shm.topology import PREFIX, SLOT_RECORDER, Plant, live_runs
from tests.shm.support import fresh_run, message


def small(**changes: object) -> RunSpec:
    values: dict[str, object] = {
        "run_id": fresh_run(), "shards": 2, "market_cells": 1024, "raw_cells": 1024, "intent_slots": 64,
        "report_slots": 64, "log_records": 300,
    }
    return RunSpec(**{**values, **changes})  # type: ignore[arg-type]


@pytest.fixture
def plant() -> Iterator[Plant]:
    made = Plant.create(small(paced=True))
    yield made
    made.destroy()


def joined(plant: Plant, tmp_path: Path, role: str, index: int = 0) -> Plant:
    plant.spec.save(tmp_path / "run.json")
    return Plant.join(tmp_path / "run.json", role, index)


def test_a_run_description_survives_the_file(tmp_path: Path) -> None:
    spec = small(venue={"rest": "http://127.0.0.1:1", "ws_public": "ws://127.0.0.1:1"}, tape=["a.gz"], token="secret")
    path = tmp_path / "deep" / "run.json"
    spec.save(path)
    assert RunSpec.load(path) == spec
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in path.parent.iterdir()] == ["run.json"]
    path.write_text('{"run_id": "x", "unknown": 1}')
    with pytest.raises(msgspec.ValidationError, match="unknown"):
        RunSpec.load(path)


def test_what_is_secret_stays_out_of_journals() -> None:
    venue = VenueAddress(rest="http://r", ws_public="ws://p", api_key="k" * 18, api_secret="s" * 36)
    run = RunSpec(run_id="x", token="t" * 20, venue=venue)
    assert run.public == RunSpec(run_id="x", venue=VenueAddress(rest="http://r", ws_public="ws://p"))
    assert run.venue == venue and RunSpec(run_id="x").public == RunSpec(run_id="x")


@pytest.mark.parametrize("changes", [{"shards": 0}, {"shards": 33}, {"run_id": ""}, {"run_id": "../x"}])
def test_impossible_descriptions(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"shards|run id"):
        small(**changes)


def test_regions_are_page_aligned_and_disjoint() -> None:
    for placed in regions(small(shards=5)).values():
        end = 0
        for offset, size in placed.values():
            assert offset % 4096 == 0
            assert offset >= end
            end = offset + size


def test_memory_stays_moderate() -> None:
    assert total_bytes(RunSpec(run_id="x", shards=2)) < 200e6
    assert total_bytes(RunSpec(run_id="x", shards=8)) < 400e6


def test_data_flows_through_every_part(plant: Plant, tmp_path: Path) -> None:
    gateway = joined(plant, tmp_path, "gateway")
    shard = joined(plant, tmp_path, "shard", 1)
    execution = joined(plant, tmp_path, "execution")
    recorder = joined(plant, tmp_path, "recorder")
    admin = joined(plant, tmp_path, "admin")

    reader = shard.market(1).reader(0, gating=True)
    assert gateway.market(1).writer(gated=True).publish(message(1, 4), 4, 1)
    dst = np.zeros((16, 8), np.int64)
    assert reader.read(dst) == 4

    raw_reader = recorder.raw().reader(SLOT_RECORDER)
    assert gateway.raw().writer().publish(message(1, 4), 4, 1)
    assert admin.recorder_lag_cells() == 4
    assert raw_reader.read(dst) == 4
    assert admin.recorder_lag_cells() == 0

    messages = np.zeros(4, MESSAGE.dtype)
    messages["seq"] = 9
    assert shard.intents(1).writer().push(messages, 2) == 2
    assert execution.intents(1).reader().pop(messages) == 2

    row = np.zeros(1, SYMBOL_ROW.dtype)
    row["events"] = 3
    shard.symbol_rows().write(1023, row)
    assert admin.symbol_rows().changed_since().tolist() == [1023]
    for board in (admin.symbols(), admin.positions(), admin.account(), admin.detail(), admin.global_regime()):
        assert len(board.read(0)) == 1
    assert len(admin.detail().read(3)["features"][0]) == len(ALL_FEATURE_NAMES)

    gateway.log_writer().emit(LogKind.FEED, text="up")
    readers = recorder.log_readers(SLOT_RECORDER)
    assert readers["gateway"].read()["process"].tolist() == [recorder.row("gateway")]
    assert len(readers["shard-1"].read()) == 0

    shard.request_resync(5)
    shard.request_resync(5)
    assert gateway.resync_count(5) == 2
    assert gateway.resync_words()[:: 8].tolist() == [0] * 5 + [2] + [0] * (MAX_SYMBOLS - 6)

    shard.cnc().progress_seq = 40
    assert (execution.watermark(1), execution.min_watermark()) == (40, 0)

    gateway.counters().add("frames", 2)
    gateway.counters().record("decode", 900)
    assert admin.totals()["frames"] == 2
    assert admin.latency()["decode"]["count"] == 1
    assert list(admin.cncs()) == [
        "supervisor", "gateway", "execution", "recorder", "admin", "venue", "guardian", "shard-0", "shard-1",
    ]


def test_one_bell_serves_all_rings_of_a_process(plant: Plant, tmp_path: Path) -> None:
    shard = joined(plant, tmp_path, "shard", 1)
    gateway = joined(plant, tmp_path, "gateway")
    execution = joined(plant, tmp_path, "execution")
    shard.market(1).reader(0, gating=True)
    shard.reports(1).reader()
    line = shard.bell.index * 8
    for publish in (
        lambda: gateway.market(1).writer(gated=True).publish(message(1, 1), 1, 1),
        lambda: execution.reports(1).writer().push(np.zeros((1, REPORT.size // 8), np.int64), 1),
        lambda: gateway.bell_of("shard", 1).ring(),
    ):
        shard.bell.arm()
        assert gateway.bells[line] == 1
        publish()
        assert gateway.bells[line] == 0


def test_a_paced_plant_gates_before_its_shards_have_joined(plant: Plant, tmp_path: Path) -> None:
    writer = joined(plant, tmp_path, "gateway").market(0).writer(gated=True)
    while writer.publish(message(1, 64), 64, 1):
        pass
    reader = joined(plant, tmp_path, "shard", 0).market(0).reader(0, gating=True)
    assert reader.read(np.zeros((2048, 8), np.int64)) == 1024
    assert reader.laps == 0


def test_another_version_is_refused(plant: Plant, tmp_path: Path) -> None:
    spec = msgspec.structs.replace(plant.spec, layout_hash=1)
    spec.save(tmp_path / "run.json")
    with pytest.raises(LayoutMismatch, match="restart everything"):
        Plant.join(tmp_path / "run.json", "gateway")
    with pytest.raises(LayoutMismatch):
        Plant.create(msgspec.structs.replace(spec, run_id=fresh_run()))


def test_unknown_processes_are_refused(plant: Plant, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="shard 2 is no process"):
        joined(plant, tmp_path, "shard", 2)
    assert len(process_rows(2)) == len(plant.rows)


def test_a_second_creation_of_the_same_run_is_refused_and_harmless(plant: Plant) -> None:
    with pytest.raises(OwnerAlive):
        Plant.create(plant.spec)
    assert plant.spec.run_id in live_runs()


def test_a_full_file_system_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = os.posix_fallocate, []

    def full_at_the_third(fd: int, offset: int, length: int) -> None:
        calls.append(length)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(fd, offset, length)

    monkeypatch.setattr(os, "posix_fallocate", full_at_the_third)
    spec = small()
    with pytest.raises(OSError, match="enlarge /dev/shm"):
        Plant.create(spec)
    assert list(SHM_FOLDER.glob(f"{PREFIX}{spec.run_id}-*")) == []


def test_destroy_removes_every_name() -> None:
    plant = Plant.create(small())
    run = plant.spec.run_id
    assert run in live_runs()
    plant.close()
    plant.destroy()
    assert run not in live_runs()
    assert list(SHM_FOLDER.glob(f"{PREFIX}{run}-*")) == []


@pytest.mark.parametrize(("rest", "practice"), [
    ("http://127.0.0.1:4000", True), ("http://localhost:1", True), ("http://[::1]:1", True), ("https://api.bybit.com", False),
    ("http://127.0.0.1.evil.com", False), (None, False),
])
def test_practice_is_live_on_this_machine(rest, practice):
    venue = {"rest": rest, "ws_public": ""} if rest else None
    run = RunSpec(run_id="x", mode="LIVE", venue=venue)
    assert run.practice is run.permitted is practice
    assert not RunSpec(run_id="x", mode="SIM", venue=venue).practice
    assert RunSpec(run_id="x", mode="DRY_RUN", venue=venue).permitted


def test_a_real_exchange_needs_an_account_and_a_tier():
    venue = {"rest": "https://api.bybit.com", "ws_public": ""}
    found = [RunSpec(run_id="x", mode="LIVE", venue=venue, account=a, tier_allowed=t).permitted
             for a in ("", "4711") for t in ("PAPER", "MICRO")]
    assert found == [False, False, False, True]
