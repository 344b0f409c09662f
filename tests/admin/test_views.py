"""Snapshots of a real plant: what the boards say is what the pages get, stale or hostile boards included."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import numpy as np

from admin import hotlist, metrics, present
from admin.plant_stats import Timeline, figures
from admin.server import AdminServer
from core.enums import Category, DataState, GlobalRegime, LogKind, State
from core.histogram import hist_record, new_histogram
from shm.control import ProcessState
from shm.topology import Plant
from tests.admin.engine_part import EnginePart, make_plant, symbol_record


def test_rows_follow_the_boards(admin: AdminServer, engine: EnginePart) -> None:
    snapshot = admin.views.refresh()
    assert snapshot.ids.tolist() == list(range(10))
    assert np.array_equal(snapshot.rows["last_ticks"], engine.rows["last_ticks"])
    engine.tick()
    after = admin.views.refresh()
    assert np.array_equal(after.rows["last_ticks"], engine.rows["last_ticks"])
    assert np.array_equal(snapshot.rows["events"], np.ones(10))  # the earlier snapshot did not change under its users
    moved = after.rows["events"] > snapshot.rows["events"]
    assert (after.seen_ms[moved] == after.now_ms).all() and (after.seen_ms[~moved] == snapshot.seen_ms[~moved]).all()


def test_unwritten_rows_are_unknown_not_zero(admin: AdminServer, engine: EnginePart) -> None:
    engine.plant.symbols().write(20, symbol_record(20, "NEWUSDT", 5.0, 2))
    before = admin.views.symbols_version
    snapshot = admin.views.refresh()
    assert admin.views.symbols_version == before + 1 and snapshot.by_name("NEWUSDT").id == 20
    row = snapshot.rows[snapshot.place(20)]
    assert row["category"] == Category.NORMAL  # what is known of the instrument is told
    assert math.isnan(row["spread_bps"]) and present.age_ms(snapshot, snapshot.place(20)) is None
    planes = hotlist.to_planes(snapshot.rows, snapshot.seen_ms)
    assert planes[2, -1] == hotlist.UNKNOWN and planes[-1, -1] == -1
    json.dumps(present.hotlist(snapshot), allow_nan=False)


def test_delisted_symbols_leave(admin: AdminServer, engine: EnginePart) -> None:
    gone = symbol_record(4, "DOGEUSDT", 0.3, 2)
    gone[0]["status"] = 0
    engine.plant.symbols().write(4, gone)
    snapshot = admin.views.refresh()
    assert 4 not in snapshot.ids and snapshot.place(4) == -1 and len(snapshot.rows) == 9


def test_positions_in_money_and_r(admin: AdminServer, engine: EnginePart) -> None:
    row = engine.position[0]
    row["unrealised_e8"] = -3_500_000
    engine.plant.positions().write(0, engine.position)
    position = present.positions(admin.views.refresh())[0]
    entry, stop = float(position["entry_price"]), float(position["stop_price"])
    assert position["unrealised_usdt"] == -0.035 and position["side"] == "Buy"
    assert position["r"] == round(-0.035 / ((entry - stop) * float(position["qty"])), 2)
    row["side"], row["qty_lots"], row["entry_value_e8"] = -1, -int(row["qty_lots"]), -int(row["entry_value_e8"])
    row["stop_ticks"] = int(row["mark2_ticks"]) * 503 // 1000  # a short's stop lies above
    engine.plant.positions().write(0, engine.position)
    short = present.positions(admin.views.refresh())[0]
    assert short["side"] == "Sell" and short["r"] < 0 and float(short["entry_price"]) == entry
    row["stop_ticks"] = int(row["mark2_ticks"]) // 2  # at break-even R has no meaning
    engine.plant.positions().write(0, engine.position)
    assert present.positions(admin.views.refresh())[0]["r"] is None
    row["side"] = 0
    engine.plant.positions().write(0, engine.position)
    assert present.positions(admin.views.refresh()) == []


def test_dead_and_silent_processes_are_seen(admin: AdminServer, engine: EnginePart) -> None:
    page = engine.plant.cnc("shard", 1)
    page.words[1] = 2**22 - 3  # a pid nobody has
    assert page.pid == 2**22 - 3
    admin.views._stats_ns = 0
    processes = {row["name"]: row for row in admin.views.refresh().processes}
    assert processes["shard-1"]["alive"] is False and processes["shard-0"]["alive"] is True
    assert "venue" not in processes  # never started
    assert processes["supervisor"]["alive"] is True and not processes["supervisor"]["acks"]
    engine.plant.cnc("venue").note_start(os.getpid())
    venue = next(row for row in admin.views.refresh().processes if row["name"] == "venue")
    assert venue["state"] == "RUN" and venue["beat_ms"] is None and not venue["acks"]
    assert admin.views.refresh().control["kill_of"] == 5  # gateway, execution, recorder and two shards
    engine.plant.cnc("gateway").set_state(ProcessState.FAIL)
    health = present.health(admin.views.refresh())
    assert health["status"] == "FAIL" and health["failed"] == ["gateway", "shard-1"]


def test_stage_latencies(admin: AdminServer, engine: EnginePart) -> None:
    for _ in range(3):
        engine.tick()
        admin.views._stats_ns = 0
        snapshot = admin.views.refresh()
    whole = present.wire_to_intent(snapshot)
    assert whole["n"] == 12 and whole["recent"]["n"] == 9  # three came before the admin first looked
    assert 0 < whole["p50_us"] <= whole["p99_us"] <= whole["p999_us"] <= whole["max_us"]


def test_figures_of_a_difference() -> None:
    early, late = new_histogram(), new_histogram()
    for value in (1_000_000, 2_000):
        hist_record(early, value)
        hist_record(late, value)
    assert figures(late - early, late) is None
    hist_record(late, 5_000)
    found = figures(late - early, late)
    assert found["n"] == 1 and 5.0 <= found["max_us"] <= 5.0 * (1 + 1 / 64)


def test_timeline_tells_differences() -> None:
    control = {"degraded": True, "paused": False, "killed": False}
    timeline = Timeline()
    rings = [{"ring": "a", "reader": "x", "lag_pct": 3.0}, {"ring": "b", "reader": "y", "lag_pct": 40.0}]
    timeline.add(1_000_000, rings, 12.5, control, 100, 7, 1000)
    timeline.add(2_000_000, [], None, control, 105, 7, 900)
    first, second = timeline.points
    assert (first["shed"], first["lag_pct"], first["ring"], first["degraded"]) == (0, 40.0, "b → y", True)
    assert (second["shed"], second["lost"], second["events"], second["lag_pct"]) == (5, 0, 0, 0.0)


def test_global_regime_comes_from_its_board(admin: AdminServer, engine: EnginePart) -> None:
    told = admin.views.refresh().global_regime
    assert told["regime"] == "GLOBAL_NORMAL" and told["since_ts"] is None
    assert told["inputs"]["btc_vol_bps"] == 12.5 and told["inputs"]["correlation"] is None
    engine.log("gateway", LogKind.GLOBAL_REGIME, a=0, b=int(GlobalRegime.GLOBAL_PANIC))
    assert admin.views.refresh().global_regime["regime"] == "GLOBAL_NORMAL"  # a line may be lost; the board is the truth
    engine.verdict["regime"] = int(GlobalRegime.GLOBAL_PANIC)
    engine.plant.global_regime().write(0, engine.verdict)
    told = admin.views.refresh().global_regime
    assert told["regime"] == "GLOBAL_PANIC" and told["since_ts"] > 0


def test_global_regime_is_unknown_before_the_gateway_speaks(tmp_path: Path) -> None:
    plant = make_plant(tmp_path)
    try:
        views = AdminServer(Plant.join(tmp_path / "data" / "run" / "run.json", "admin"), environ={}).views
        assert views.refresh().global_regime == {"regime": None, "since_ts": None, "inputs": {}}
    finally:
        plant.destroy()


def test_detail_is_only_what_was_wished_for(admin: AdminServer, engine: EnginePart) -> None:
    assert admin.views.detail(1) is None
    admin.views.set_detail(2, 1)
    assert engine.plant.control.detail_symbols == [-1, -1, 1, -1]
    engine.tick()
    detail = admin.views.detail(1)
    assert detail["symbol"] == 1 and len(detail["bids"][0]) == len(detail["asks"][1]) == 25
    assert list(detail["candles"]) == ["1", "5", "15"] and len(detail["trades"][3]) == 50
    assert all(len(series) == 7 and len(series[0]) == 60 for series in detail["candles"].values())
    assert np.unique(np.diff(detail["candles"]["15"][0])).tolist() == [15_000]
    last = detail["bids"][0][0] + 1
    assert [(w["ticks"] - last, w["lots"], w["fate"]) for w in detail["walls"]["bids"]] == [
        (-5, 91_000, "STANDING"),
        (-11, 40_500, "SPOOFING"),
    ]
    assert [(w["x"], w["age_s"]) for w in detail["walls"]["asks"]] == [(11.8, 4.0)]
    assert detail["bids"][0][0] < detail["asks"][0][0] and "spread_bps" in detail["features"]
    json.dumps(detail, allow_nan=False)
    admin.views.set_detail(2, -1)
    assert admin.views.detail(1) is None


def test_unknown_enum_values_do_not_break_pages(admin: AdminServer, engine: EnginePart) -> None:
    row = engine.rows[:1].copy()
    row["state"], row["gate"], row["pump"], row["data_state"] = 200, 201, 202, 203
    engine.plant.symbol_rows().write(0, row)
    rows = present.hotlist(admin.views.refresh())
    assert next(r for r in rows if r["symbol"] == "BTCUSDT")["state"] == "200"
    present.summary(admin.views.snapshot())


def test_metrics_are_well_formed(admin: AdminServer) -> None:
    text = metrics.render(admin.views.refresh())
    names = set()
    for line in text.splitlines():
        if line.startswith("# TYPE"):
            name = line.split()[2]
            assert name not in names
            names.add(name)
        elif not line.startswith("#"):
            sample, value = line.rsplit(" ", 1)
            float(value)
            assert sample.split("{")[0] in names
    assert {
        "scalper_ring_depth",
        "scalper_ring_dropped_total",
        "scalper_stage_latency_seconds",
        "scalper_ws_gap_total",
        "scalper_orders_total",
        "scalper_kill_state",
    } <= names
    assert metrics.family("x", "gauge", "s", [({"a": 'q"\\\n'}, 1)])[-1] == 'scalper_x{a="q\\"\\\\\\n"} 1'


def test_enum_names_line_up_with_values(admin: AdminServer) -> None:
    names = admin.views.enums_json()
    assert names["state"][State.BLOCKED_REGIME] == "BLOCKED_REGIME"
    assert names["data_state"][DataState.BROKEN] == "BROKEN"
