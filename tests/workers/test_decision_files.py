"""Decisions on disk: per day, found again by id and by symbol, whole after a crash."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from admin.explain import find_stored, stored_lines
from core.decision import DECISION
from core.explain import Naming, explanation
from workers.decision_files import DecisionFiles

T0 = 1_763_683_190_000_000_000  # 2025-11-20 23:59:50 UTC
S = 1_000_000_000
NAMES = {3: Naming("AUSDT", 1, 2), 4: Naming("BUSDT", 1, 2)}


def stored(folder: Path) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in stored_lines(folder)]


def files(folder: Path) -> DecisionFiles:
    return DecisionFiles(folder, "run", NAMES.__getitem__, segment_bytes=10**7, level=3)


def records(n: int, first_seq: int = 1) -> np.ndarray:
    rows = np.zeros(n, DECISION.dtype)
    rows["seq"], rows["ts_ns"] = np.arange(first_seq, first_seq + n), T0 + S * np.arange(n)
    rows["symbol"], rows["score_long"] = 3 + np.arange(n) % 2, np.arange(n)
    return rows


def test_days_ids_and_symbols(tmp_path: Path) -> None:
    out = files(tmp_path)
    out.add(records(20))
    out.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2025-11-20", "2025-11-21"]
    assert out.records == 20 and [d["seq"] for d in stored(tmp_path)] == list(range(20, 0, -1))
    found = find_stored(tmp_path, "5-AUSDT")
    assert found is not None and found["score_long"] == 4.0 and explanation(found)["symbol"] == "AUSDT"
    newest = find_stored(tmp_path, "AUSDT")
    assert newest is not None and newest["id"] == "19-AUSDT"
    assert find_stored(tmp_path, "5-BUSDT") is None and find_stored(tmp_path, "CUSDT") is None
    assert find_stored(tmp_path / "nothing", "AUSDT") is None


def test_a_torn_tail_costs_only_itself(tmp_path: Path) -> None:
    out = files(tmp_path)
    out.add(records(4))
    out.sync()
    out.add(records(4, 5))
    out.close()
    (path,) = tmp_path.glob("*/*.sjr")
    path.write_bytes(path.read_bytes()[:-7])
    assert [d["seq"] for d in stored(tmp_path)] == [4, 3, 2, 1]
    again = files(tmp_path)
    assert again.recover() == [path] and files(tmp_path).recover() == []
    again.add(records(1, 9))
    again.close()
    assert {d["seq"] for d in stored(tmp_path)} == {9, 4, 3, 2, 1}


def test_an_id_that_a_later_run_used_again_is_told_apart_by_time(tmp_path: Path) -> None:
    """Every run counts its events from 1: a trade of yesterday was explained by another decision of today."""
    for first_ns in (T0, T0 + 86_400 * S):
        rows = records(1, first_seq=5)
        rows["ts_ns"] = first_ns
        out = files(tmp_path)
        out.add(rows)
        out.close()
    newest, old = find_stored(tmp_path, "5-AUSDT"), find_stored(tmp_path, "5-AUSDT", (T0 + S) // 10**6)
    assert newest is not None and newest["ts_ns"] == T0 + 86_400 * S
    assert old is not None and old["ts_ns"] == T0
    assert find_stored(tmp_path, "5-AUSDT", T0 // 10**6 - 1) is None
