"""Journals as Parquet: read back by polars and duckdb, exact, nothing left out, damaged parts passed over."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from tests.workers.made_runs import MadeRun
from workers.export_parquet import ExportError, export, frame_rows
from workers.journal_files import SegmentWriter

pytest.importorskip("pyarrow")
T0 = 1_763_640_000_000_000_000


def trade_frame(k: int) -> bytes:
    return json.dumps({"topic": "publicTrade.BTCUSDT", "type": "snapshot", "ts": 1763640000000 + k, "data": [
        {"T": 1763640000000 + k, "s": "BTCUSDT", "S": "Buy" if k % 2 else "Sell", "v": "0.001", "p": f"{65000 + k}.10",
         "L": "PlusTick", "i": f"id-{k}", "BT": False}]}).encode()


def book_frame(k: int, kind: str = "delta") -> bytes:
    return json.dumps({"topic": "orderbook.50.1000PEPEUSDT", "type": kind, "ts": 1763640000000 + k, "cts": 1763640000001 + k,
                       "data": {"s": "1000PEPEUSDT", "b": [["0.0112480", "11100"], ["0.0112470", "0"]],
                                "a": [["0.0112490", "5"]], "u": k, "seq": 7 * k}}).encode()


@pytest.fixture
def folder(tmp_path):
    run = MadeRun(tmp_path / "data", "r1", T0)
    for _ in range(30):
        run.step()
    run.end()
    for part in range(2):  # two segments, a day apart
        writer = SegmentWriter(run.paths.journal_dir, "r1", segment_bytes=10**6)
        for k in range(100):
            at = T0 + (part * 86_400_000 + k) * 10**6
            writer.append(at, 0, 0, 1, trade_frame(100 * part + k))
            writer.append(at, 0, 0, 1, book_frame(k, "snapshot" if k == 0 else "delta"))
            writer.append(at, 0, 0, 1, b'{"op":"pong"}')
            writer.append(at, 0, 0, 1, b'{"topic":"publicTrade.X","data":[{"T":"no"}]}')
        writer.close()
    return run


def test_polars_and_duckdb_read_the_same(folder, tmp_path):
    polars, duckdb = pytest.importorskip("polars"), pytest.importorskip("duckdb")
    made = export(folder.paths.mode_dir, tmp_path / "out")
    assert made["trades"] == 200
    assert made["books"] == 600
    assert made["features"] == folder.signals
    trades = polars.read_parquet(tmp_path / "out" / "trades.parquet")
    assert trades["price"][105] == Decimal("65105.10")
    assert trades["trade_id"].to_list() == [f"id-{k}" for k in range(200)]
    assert trades["ts_recv"].dt.timestamp("ns")[3] == T0 + 3_000_000
    assert trades["side"].to_list()[:2] == ["Sell", "Buy"]
    query = "SELECT kind, side, count(*), sum(quantity), min(price), max(u) FROM read_parquet(?) GROUP BY ALL ORDER BY ALL"
    rows = duckdb.execute(query, [str(tmp_path / "out" / "books.parquet")]).fetchall()
    assert [(kind, side, count) for kind, side, count, *_ in rows] == [
        ("delta", "ask", 198), ("delta", "bid", 396), ("snapshot", "ask", 2), ("snapshot", "bid", 4)]
    assert rows[1][3] == Decimal(198 * 11_100)
    assert rows[1][4] == Decimal("0.0112470")
    features = polars.read_parquet(tmp_path / "out" / "features.parquet")
    assert set(features["decision_id"]) == folder.kept
    assert [name for name in features.columns if name.startswith("f_")]
    joined = duckdb.execute("SELECT count(*) FROM read_parquet(?) WHERE accepted AND score_long > 0",
                            [str(tmp_path / "out" / "features.parquet")]).fetchone()
    assert joined == (folder.signals,)


def test_a_damaged_segment_costs_only_itself(folder, tmp_path):
    first = sorted(folder.paths.journal_dir.glob("raw-*.sjr"))[0]
    data = bytearray(first.read_bytes())
    data[200] ^= 1
    first.write_bytes(data)
    assert export(folder.paths.mode_dir, tmp_path / "out", ("trades",)) == {"trades": 100}
    first.write_bytes(b"no journal")
    assert export(folder.paths.mode_dir, tmp_path / "out", ("trades",)) == {"trades": 100}


def test_nothing_to_export_makes_empty_files_that_can_be_read(tmp_path):
    polars = pytest.importorskip("polars")
    (tmp_path / "empty").mkdir()
    assert export(tmp_path / "empty", tmp_path / "out") == {"trades": 0, "books": 0, "features": 0}
    assert polars.read_parquet(tmp_path / "out" / "trades.parquet").height == 0
    assert polars.read_parquet(tmp_path / "out" / "features.parquet").height == 0
    with pytest.raises(ExportError, match="no folder"):
        export(tmp_path / "none", tmp_path / "out")


def test_frames_that_are_something_else():
    assert frame_rows(1, b"rubbish") == ("", [])
    assert frame_rows(1, b'{"topic":"tickers.BTCUSDT","data":{}}') == ("", [])
    assert frame_rows(1, b'{"topic":"orderbook.x.Y","data":{"s":"Y"}}') == ("", [])


def test_a_part_of_the_time_is_exported(folder, tmp_path):
    polars = pytest.importorskip("polars")
    begin, end = T0 + 20 * 10**6, T0 + 40 * 10**6
    made = export(folder.paths.mode_dir, tmp_path / "out", ("trades", "books"), (begin, end))
    assert made == {"trades": 20, "books": 60}
    times = polars.read_parquet(tmp_path / "out" / "trades.parquet")["ts_recv"].dt.epoch("ns")
    assert (times.min(), times.max()) == (begin, end - 10**6)
