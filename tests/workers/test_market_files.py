"""Public trades and micro candles as lines: against a naive reading of the frames, over restarts, with retention."""

from __future__ import annotations

import json
import os
import threading
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from config.paths import DataPaths
from config.schema import Storage
from core.consumption import Kind
from core.journal import Frame
from tests.workers.journal_rig import Rig
from workers import market_files
from workers.market_files import CANDLES, TRADES, Mark, MarketFiles, MarketLines, rest_s
from workers.retention import Retention
from workers.run_journal import Record, find_run
from workers.stores import Stores

S = 1_000_000_000
T0 = 1_763_640_000 * S


def frame(ts_ns: int, *rows: dict[str, Any], symbol: str = "BTCUSDT") -> Record:
    body = {"topic": f"publicTrade.{symbol}", "type": "snapshot", "ts": 1, "data": list(rows)}
    return Record(Frame(ts_ns, 0, 1, Kind.FRAME_END, json.dumps(body).encode()), None)


def row(price: str, quantity: str, side: str = "Buy", **more: Any) -> dict[str, Any]:
    return {"T": T0 // 10**6, "s": "BTCUSDT", "S": side, "v": quantity, "p": price, "i": "x", "BT": False, "RPI": False} | more


def lines(paths: DataPaths, kind: str, symbol: str = "BTCUSDT") -> list[dict[str, Any]]:
    found = []
    for path in sorted(paths.store_dir(kind).glob(f"*/{symbol}.jsonl")):
        found += [json.loads(text) for text in path.read_text().splitlines()]
    return found


def test_trades_and_candles(tmp_path: Path) -> None:
    paths = DataPaths(tmp_path, "SIM")
    stores = Stores(paths)
    made = MarketLines(stores)
    made.take(frame(T0, row("100.5", "2"), row("99", "1", "Sell"), row("500", "9", BT=True)))
    made.take(frame(T0 + S // 2, row("101", "0.5")))
    made.take(frame(T0 + 5 * S, row("98.0", "1", "Sell")))
    made.finish()
    stores.close()
    trades = lines(paths, TRADES)
    assert [len(line["trades"]) for line in trades] == [3, 1, 1] and [line["n"] for line in trades] == [1, 2, 3]
    assert trades[0]["trades"][1] == [T0 // 10**6, "99", "1", "Sell", "x"]
    first = {"ts_ns": T0, "s": 1, "o": "100.5", "h": "101", "l": "99", "c": "101", "volume": "3.5", "delta": "1.5", "trades": 3}
    candles = lines(paths, CANDLES)
    assert first in candles and first | {"s": 3} in candles and first | {"s": 5} in candles
    whole = first | {"s": 15, "l": "98.0", "c": "98.0", "volume": "4.5", "delta": "0.5", "trades": 4}
    assert whole in candles
    assert len(candles) == 2 + 2 + 2 + 1  # the second trade opens candles of 1, 3 and 5 s


def test_other_frames_and_odd_ones_are_passed_over(tmp_path: Path) -> None:
    stores = Stores(DataPaths(tmp_path, "SIM"))
    made = MarketLines(stores)
    for data in (b"", b"{", b'{"topic":"publicTrade.X","data":[{"T":"x"}]}', b'{"topic":"publicTrade.../x","data":[]}',
                 b'{"topic":"orderbook.50.X","data":{"s":"publicTrade."}}'):
        made.take(Record(Frame(T0, 0, 1, Kind.FRAME_END, data), None))
    made.take(Record(Frame(T0, 0, 1, Kind.TICK, b""), object()))
    made.finish()
    stores.close()
    assert made.records == 6 and list(tmp_path.rglob("*.jsonl")) == []


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fdatasync", lambda handle: None)
        patch.setattr(market_files, "STOP_S", 300.0)  # a busy machine
        rig = Rig(tmp_path_factory.mktemp("run"), 3, 1, seconds=15.0)
        try:
            rig.play({})
            rig.close()
        finally:
            rig.destroy()
    return rig.data_dir


def naive(folder: Path) -> tuple[dict[str, int], dict[tuple[str, int, int], tuple[Decimal, Decimal, int]]]:
    """Trades by symbol, and (high, volume, trades) of every candle, straight from the frames."""
    count: dict[str, int] = defaultdict(int)
    candles: dict[tuple[str, int, int], list[tuple[Decimal, Decimal]]] = defaultdict(list)
    for record in find_run(folder).read("raw"):
        if record.frame.kind > Kind.FRAME_END:
            continue
        body = json.loads(record.frame.data)
        if not str(body.get("topic", "")).startswith("publicTrade."):
            continue
        for trade in body["data"]:
            count[trade["s"]] += 1
            for seconds in (1, 3, 5, 15):
                key = (trade["s"], seconds, record.frame.ts_recv_ns // (seconds * S) * seconds * S)
                candles[key].append((Decimal(trade["p"]), Decimal(trade["v"])))
    return count, {key: (max(p for p, _ in rows), sum((q for _, q in rows), Decimal(0)), len(rows))
                   for key, rows in candles.items()}


def test_a_run_leaves_its_trades_and_candles(recorded: Path) -> None:
    """Written by the recorder of the run itself, beside its journal."""
    paths, (count, candles) = DataPaths(recorded, "SIM"), naive(recorded)
    assert sum(count.values()) > 100
    for symbol, expected in count.items():
        assert sum(len(line["trades"]) for line in lines(paths, TRADES, symbol)) == expected
    found = {
        (symbol, line["s"], line["ts_ns"]): (Decimal(line["h"]), Decimal(line["volume"]), line["trades"])
        for symbol in count for line in lines(paths, CANDLES, symbol)
    }
    assert found == candles


def test_a_restart_goes_on_and_writes_nothing_twice(recorded: Path, tmp_path: Path) -> None:
    run = find_run(recorded)
    paths = DataPaths(tmp_path, "SIM")
    paths.mode_dir.mkdir(parents=True)
    paths.journal_dir.symlink_to(run.folder)
    records = list(run.read("raw"))
    half = next(k for k, record in enumerate(records) if k > len(records) // 2 and record.frame.kind <= Kind.FRAME_END)
    stores = Stores(paths)
    first = MarketLines(stores)
    for record in records[:half]:
        first.take(record)
    stores.close()  # killed: open candles are lost with it
    files = MarketFiles(paths, run.run_id)
    files.mark_file.parent.mkdir(parents=True)
    files.mark_file.write_bytes(json.dumps({"run_id": run.run_id, "records": half}).encode())
    files._stopping.set()
    files._give_up_s = float("inf")
    files.work()
    count, candles = naive(recorded)
    for symbol, expected in count.items():
        assert sum(len(line["trades"]) for line in lines(paths, TRADES, symbol)) == expected
        keys = [(symbol, line["s"], line["ts_ns"]) for line in lines(paths, CANDLES, symbol)]
        assert len(keys) == len(set(keys))
        for line in lines(paths, CANDLES, symbol):
            assert line["trades"] == candles[symbol, line["s"], line["ts_ns"]][2]  # whole ones only
    assert json.loads(files.mark_file.read_bytes())["records"] == len(records)
    assert Mark(**json.loads(files.mark_file.read_bytes())).run_id == run.run_id


def test_a_run_that_was_over_before_the_first_look(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The journal came and the end was asked for while the thread waited for the journal: it reads it nevertheless."""
    run = find_run(recorded)
    paths = DataPaths(recorded, "SIM")
    files = MarketFiles(paths, run.run_id)
    files.mark_file.unlink(missing_ok=True)
    looks = iter([{}])
    monkeypatch.setattr(market_files, "runs", lambda folder: next(looks, {run.run_id: []}))
    files.stop()
    files._run()
    assert Mark(**json.loads(files.mark_file.read_bytes())).records == len(list(run.read("raw")))


def test_its_thread_is_not_below_the_recorder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would keep the interpreter's lock while it waits for a core, and the recorder missed its heartbeats."""
    found: list[int] = []

    def runs(folder: Path) -> dict[str, Any]:
        found.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        return {}

    monkeypatch.setattr(market_files, "runs", runs)
    files = MarketFiles(DataPaths(tmp_path, "SIM"), "run")
    files.start()
    files.stop()
    assert set(found) == {os.getpriority(os.PRIO_PROCESS, 0)}


def test_a_run_without_a_journal_ends(tmp_path: Path) -> None:
    files = MarketFiles(DataPaths(tmp_path, "SIM"), "run")
    files.start()
    files.stop()
    assert files._thread is not None and not files._thread.is_alive() and not files.mark_file.exists()


def test_retention_takes_old_days(tmp_path: Path) -> None:
    paths = DataPaths(tmp_path, "SIM")
    stores = Stores(paths)
    for kind in (TRADES, CANDLES):
        for day in (0, 1, 2):
            stores.append(kind, "BTCUSDT", {"ts_ns": T0 + day * 86_400 * S})
            stores.flush()
            path = next(paths.store_dir(kind).glob(f"*-{20 + day}/BTCUSDT.jsonl"))
            os.utime(path, ns=(T0 + day * 86_400 * S,) * 2)
    stores.close()
    outcome = Retention(paths, Storage(), "run", clock=lambda: T0 + 2 * 86_400 * S + 7200 * S).run()
    assert outcome["removed"]["books"]["files"] == 4
    left = sorted(path.parent.name for path in paths.mode_dir.glob("*/*/BTCUSDT.jsonl"))
    assert left == ["2025-11-22", "2025-11-22"]


@pytest.mark.parametrize(("cpu_s", "wall_s", "wanted_s"), [(0.02, 0.05, 0.15), (0.02, 0.2, 0.0), (0.0, 0.0, 0.0)])
def test_it_keeps_to_its_share_of_a_core(cpu_s: float, wall_s: float, wanted_s: float) -> None:
    """In the recorder's process it would otherwise take what the recorder needs (seen: a third of a core at 25,000 frames/s)."""
    assert rest_s(cpu_s, wall_s) == pytest.approx(wanted_s)


def test_it_rests_while_it_is_behind_and_not_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = MarketFiles(DataPaths(tmp_path, "SIM"), "run", clock=lambda: 5.0)
    files._wall_s = 5.0
    cpu_s = [1.0]
    monkeypatch.setattr(market_files.time, "thread_time", lambda: cpu_s[0])
    waited: list[float] = []
    monkeypatch.setattr(files._stopping, "wait", waited.append)
    files._rest()
    assert waited == [pytest.approx(10.0)]
    files._rest()  # what was waited for is settled
    assert len(waited) == 1
