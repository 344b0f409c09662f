"""The storage API: lines by day and symbol, snapshots replaced in one step, every kind of requirement A20."""

from __future__ import annotations

import json
import os

import pytest

from config.paths import STORES, DataPaths
from workers.stores import Stores

T0 = 1_763_640_000_000_000_000  # 2025-11-20T12:00:00Z


def test_every_kind_has_its_folder(tmp_path):
    paths = DataPaths(tmp_path, "SIM")
    stores = Stores(paths, clock=lambda: T0)
    assert set(STORES) == {"orderbook", "trades_stream", "microcandles", "metrics", "events", "trades_log", "profiles", "system"}
    for kind in STORES:
        stores.append(kind, "BTCUSDT", {"x": kind})
        stores.append(kind, "BTCUSDT", {"x": 2, "ts_ns": T0 + 86_400 * 10**9})
        assert stores.set_snapshot(kind, "BTCUSDT", {"now": kind})
    assert stores.flush()
    stores.close()
    for kind in STORES:
        folder = tmp_path / "sim" / kind
        assert json.loads((folder / "2025-11-20" / "BTCUSDT.jsonl").read_text()) == {"x": kind}
        assert json.loads((folder / "2025-11-21" / "BTCUSDT.jsonl").read_text())["x"] == 2
        assert json.loads((folder / "BTCUSDT.json").read_text()) == {"now": kind}


def test_bad_kinds_and_names_are_refused(tmp_path):
    stores = Stores(DataPaths(tmp_path, "SIM"))
    with pytest.raises(KeyError):
        stores.append("secrets", "X", {})
    for name in ("../x", "a/b", "", ".hidden", "x" * 65):
        with pytest.raises(ValueError, match="no name"):
            stores.append("metrics", name, {})
        with pytest.raises(ValueError, match="no name"):
            stores.set_snapshot("metrics", name, {})
    assert not list(tmp_path.rglob("*.json*"))


def test_a_disk_that_refuses_is_told_and_loses_nothing(tmp_path, monkeypatch):
    told = []
    stores = Stores(DataPaths(tmp_path, "SIM"), told.append, clock=lambda: T0)
    assert stores.set_snapshot("metrics", "a", {"n": 1})
    stores.append("metrics", "a", {"n": 1})

    def full(*arguments):
        raise OSError(28, "no space left")

    real = os.write
    monkeypatch.setattr(os, "write", full)
    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    assert not stores.set_snapshot("metrics", "a", {"n": 2})
    assert not stores.flush()
    assert len(told) == 2
    monkeypatch.undo()
    assert os.write is real
    assert stores.flush()
    folder = tmp_path / "sim" / "metrics"
    assert json.loads((folder / "a.json").read_text()) == {"n": 1}
    assert (folder / "2025-11-20" / "a.jsonl").read_text() == '{"n":1}\n'
