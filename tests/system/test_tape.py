"""Tapes through the whole plant: everything accounted for, books right, and the same decisions for any number of shards."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tests.reference.frames_tape import final_book_digests
from tests.shared_data import recording
from tests.system.plant_runner import last_json, launch, leftovers

pytestmark = pytest.mark.system
REAL = "bybit_v5_linear_20260809_BTCUSDT_DOGEUSDT.frames.gz"
DERIVED = "DERIVED_bybit_shape_from_binance_20240718_BTC_ETH.frames.gz"


def run_tape(tmp_path: Path, *arguments: str, shards: int = 2) -> dict[str, Any]:
    """One tape run at full speed; it must end by itself, cleanly, and leave no shared memory."""
    done = launch(
        "--shards", str(shards), "--speed", "max", "--json", "--no-admin", "--data-dir", str(tmp_path / f"data{shards}"),
        *arguments,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    result = last_json(done)
    assert leftovers(result["run_id"]) == []
    assert result["frames"] == result["decoded"] + result["other"] + result["rejected"]
    assert result["ring_lost"] == 0 and result["raw_lost"] == 0
    return result


def decisions_of(result: dict[str, Any]) -> dict[str, Any]:
    """What must not depend on shards, speed or the day."""
    keys = (
        "frames", "decoded", "other", "rejected", "gaps", "resyncs", "decisions", "transitions", "intents", "orders",
        "fills", "open_positions", "realised_pnl", "decision_digest", "books",
    )
    return {key: result[key] for key in keys}


@pytest.mark.parametrize(("name", "frames"), [(REAL, 1227), pytest.param(DERIVED, 54774, marks=pytest.mark.slow)])
def test_tape_is_accounted_for_and_shards_do_not_matter(tmp_path: Path, name: str, frames: int) -> None:
    tape = str(recording(name))
    results = {shards: run_tape(tmp_path, "--tape", tape, shards=shards) for shards in (1, 2, 4)}
    first = decisions_of(results[1])
    assert first["frames"] == frames and first["rejected"] == 0 and first["gaps"] == 0
    assert first["decisions"] > 0
    for shards in (2, 4):
        assert decisions_of(results[shards]) == first, f"{shards} shards decide differently"
    assert first["books"] == final_book_digests(recording(name)), "books of a naive reference"


def test_books_equal_a_naive_reference(tmp_path: Path) -> None:
    path = recording(DERIVED)
    result = run_tape(tmp_path, "--tape", str(path))
    assert result["books"] == final_book_digests(path)


def test_instruments_file_sets_the_grid(tmp_path: Path) -> None:
    """With the recorded instruments BTC's tick is 0.1 (its frames show two decimals): another grid, the same market."""
    instruments = recording("bybit_v5_instruments_info_linear_20260809.json.gz")
    result = run_tape(tmp_path, "--tape", str(recording(REAL)), "--instruments", str(instruments))
    assert result["rejected"] == 0 and result["decoded"] == 1210


def book(kind: str, u: int, bids: list[list[str]], asks: list[list[str]], ts: int, symbol: str = "AAAUSDT") -> dict[str, Any]:
    return {
        "topic": f"orderbook.50.{symbol}", "type": kind, "ts": ts,
        "data": {"s": symbol, "b": bids, "a": asks, "u": u, "seq": 10 * u}, "cts": ts - 1,
    }


def write_tape(path: Path, rows: list[tuple[int, str]]) -> None:
    text = "".join(f"{ts_ms * 1_000_000} {frame}\n" for ts_ms, frame in rows)
    path.write_bytes(gzip.compress(text.encode()))


def test_gap_reset_and_rubbish_are_counted_and_survived(tmp_path: Path) -> None:
    start = 1_700_000_000_000
    frames: list[Any] = [book("snapshot", 5, [["10.0", "5"]], [["10.1", "5"]], start)]
    frames += [book("delta", 6 + i, [["10.0", str(5 + i)]], [], start + 20 * (i + 1)) for i in range(20)]
    frames += [book("delta", 40, [["9.9", "1"]], [], start + 500)]  # a hole in u
    frames += [book("delta", 41, [["9.8", "1"]], [], start + 520)]  # ignored: the book is broken
    frames += ["{\"topic\":\"orderbook.50.AAAUSDT\",\"type\":\"del", "\x00\xff garbage", "[" * 500]
    frames += [book("snapshot", 1, [["10.0", "7"]], [["10.2", "2"]], start + 600)]  # u = 1: service restart
    frames += [book("delta", 2, [["9.7", "3"]], [["10.2", "0"], ["10.3", "4"]], start + 620)]
    rows = [
        (start + 30 * i, frame if isinstance(frame, str) else json.dumps(frame, separators=(",", ":")))
        for i, frame in enumerate(frames)
    ]
    path = tmp_path / "made.frames.gz"
    write_tape(path, rows)
    results = [decisions_of(run_tape(tmp_path, "--tape", str(path), shards=shards)) for shards in (1, 2)]
    assert results[0] == results[1]
    assert results[0]["gaps"] == 1 and results[0]["rejected"] == 3
    assert results[0]["books"] == final_book_digests(path)


def test_bad_tapes_are_start_up_errors(tmp_path: Path) -> None:
    empty = tmp_path / "empty.frames"
    empty.write_bytes(b"")
    for path, code in ((tmp_path / "missing.frames", 2), (empty, 2)):
        done = launch("--tape", str(path), "--speed", "max", "--no-admin", "--data-dir", str(tmp_path / "data"))
        assert done.returncode == code, done.stderr
        assert path.name in done.stderr
    done = launch("--speed", "0", "--data-dir", str(tmp_path / "data"))
    assert done.returncode == 2 and "speed" in done.stderr
