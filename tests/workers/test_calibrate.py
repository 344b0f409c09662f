"""Calibration of a run: the queue from public frames and orders of the simulated exchange, the suggestion, nothing applied."""

from __future__ import annotations

import json
import os
import random
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from config.load import load
from config.paths import CALIBRATED, DataPaths
from config.schema import Settings
from core.consumption import Kind
from core.journal import Frame
from core.orders.lifecycle import OrderState
from core.params import params_row
from core.performance.calibration import MINIMUM, Divergence, QueueWatch, queue_share
from core.records import ORDER_ROW
from core.sim.exchange_types import Execution
from core.sim.latency import ConstantDelay, DelayLine
from shm.run_spec import RunSpec
from tests.core.sim.exchange_rig import ASKS, SYMBOL, A, Rig
from workers.backtest_store import StoreError
from workers.calibrate import apply, calibration_of, resting_orders, runs_before, said, save, watch_queues
from workers.run_journal import NoJournal, Record, RunJournal

TICK, LOT = 0.1, 0.001
BEST = 9990


class Market:
    """The simulated exchange (its queue: nobody ahead of us ever cancels), and the public frames beside it. Our requests and
    its answers travel `way_ms` each."""

    def __init__(self, seed: int, way_ms: float) -> None:
        self.random = random.Random(seed)
        self.rig = Rig()
        self.way = DelayLine[str](ConstantDelay(round(way_ms * 1e6)))
        self.records: list[Record] = []
        self.rows: list[np.void] = []

    def tell(self, topic: str, **body: Any) -> None:
        text = json.dumps({"topic": topic, "ts": 0, **body}).encode()
        self.records.append(Record(Frame(self.rig.now, self.rig.now, 1, Kind.FRAME_END, text), None))

    def book(self, ahead: int) -> None:
        bids = [(BEST, ahead), (BEST - 10, 300)]
        self.rig.book(bids, ASKS, snapshot=True)
        levels = {name: [[f"{p * TICK:.1f}", f"{q * LOT:.3f}"] for p, q in side] for name, side in (("b", bids), ("a", ASKS))}
        self.tell(f"orderbook.50.{SYMBOL}", type="snapshot", data={"s": SYMBOL, "u": 1, **levels})

    def sell(self, lots: int) -> None:
        self.rig.trades((BEST, lots, -1))
        rows = [{"T": 0, "S": "Sell", "v": f"{lots * LOT:.3f}", "p": f"{BEST * TICK:.1f}", "i": "x", "BT": False}]
        self.tell(f"publicTrade.{SYMBOL}", type="snapshot", data=rows)

    def order(self) -> None:
        """One entry at the best bid: rests, is filled by trades, or is given up."""
        ahead = self.random.randint(40, 200)
        self.book(ahead)
        decided = self.rig.now
        wire = decided + 300_000
        self.rig.now = self.way.send(wire, "create")
        self.way.pop()
        answer = self.rig.post_only(1, BEST, 6)
        assert not answer.ret_code
        live = self.rig.now
        ack = self.way.send(live, "ack")
        self.way.pop()
        self.rig.ex.drain()
        filled, patience = 0, self.random.randint(10, 300)
        while not filled and patience > 0:
            self.rig.now = max(self.rig.now, ack) + 5_000_000
            lots = self.random.randint(1, 12)
            patience -= lots
            self.sell(lots)
            if any(isinstance(e, Execution) and e.uid == A for e in self.rig.ex.drain()):
                filled = self.rig.now
        if not filled:
            self.rig.cancel(answer.order_id)
        self.rig.tick()
        row = np.zeros(1, ORDER_ROW.dtype)
        row["name"][0, : len(SYMBOL)] = np.frombuffer(SYMBOL.encode(), np.uint8)
        for name, value in (("side", 1), ("price_ticks", BEST), ("tick_size", TICK), ("lot_size", LOT), ("decided_ns", decided),
                            ("wire_ns", wire), ("ack_ns", ack), ("live_ns", live + 1), ("fill_ns", filled),
                            ("done_ns", self.rig.now), ("flags", 1 if filled else 0)):
            row[name] = value
        self.rows.append(row[0])
        self.flatten()

    def flatten(self) -> None:
        while self.rig.lots():
            self.rig.book([(BEST, 5000)], ASKS, snapshot=True)
            self.rig.market(-1, abs(self.rig.lots()), reduce_only=True)
        self.rig.ex.drain()


@pytest.fixture(scope="module")
def market() -> Market:
    made = Market(5, 12.0)
    for _ in range(90):
        made.order()
    return made


def test_the_exchange_that_fills_last_in_the_queue_is_told_from_its_fills(market: Market) -> None:
    """Parameters known: a queue nobody leaves (share 1), 12 ms each way, 0.3 ms of ours. Found: within 0.05 and 0.1 ms
    (and half of the millisecond the exchange takes to answer)."""
    found = calibration_of(
        "r", "LIVE", market.rows, watch_queues(market.records, resting_orders(market.rows)), Divergence(1.0, 1.0, 5, 9, 4),
        Settings(), [],
    )
    assert found.queue.n > MINIMUM and found.queue.value == pytest.approx(1.0, abs=0.05)
    assert found.latency.n == 90 and found.latency.value == pytest.approx(12.8, abs=0.1)
    assert found.suggests


def test_a_queue_that_half_leaves_is_told_too(market: Market) -> None:
    """The same frames, but our orders had filled when 60 % of what was ahead had traded. Found within 0.1."""
    rows = [row.copy() for row in market.rows]
    orders = resting_orders(rows)
    for order, row in zip(orders, sorted(rows, key=lambda r: int(r["live_ns"])), strict=True):
        traded, at = 0.0, 0
        shown = 0.0
        for record in market.records:
            body = json.loads(record.frame.data)
            if body["topic"].startswith("orderbook") and record.frame.mono_ns <= order.live_ns:
                shown = float(body["data"]["b"][0][1])
            elif body["topic"].startswith("publicTrade") and order.live_ns < record.frame.mono_ns <= int(row["done_ns"]):
                traded += float(body["data"][0]["v"])
                if traded >= 0.6 * shown:
                    at = record.frame.mono_ns
                    break
        row["fill_ns"], row["flags"] = at, 1 if at else 0
    found = queue_share(list(watch_queues(market.records, resting_orders(rows))))
    assert found.is_enough and found.value == pytest.approx(0.6, abs=0.1)


def test_the_suggestion_is_a_layer_and_is_not_applied(market: Market, tmp_path: Path) -> None:
    paths = DataPaths(tmp_path, "LIVE")
    found = calibration_of("r1", "LIVE", market.rows, [], Divergence(None, None, 0, 0, 0), Settings(), ["x: torn"])
    file = save(found, paths)
    layer = tomllib.loads(file.read_text())
    assert layer == {"trading": {"orders": {"latency_ms": round(found.latency.value, 2)}}}  # no fill was watched: no queue
    assert load((file,), {}, {}).settings.trading.orders.latency_ms == round(found.latency.value, 2)
    assert load((), {}, {}).settings.trading.orders.latency_ms == Settings().trading.orders.latency_ms
    plain = json.loads(file.with_suffix(".json").read_text())
    assert plain["latency_ms"]["n"] == 90 and plain["said"] == said(found)
    assert any("damaged: x: torn" in line for line in plain["said"])


def test_applied_it_is_a_layer_under_ones_own_and_reaches_the_paper_desk(market: Market, tmp_path: Path) -> None:
    """`calibrate --apply`: latency and queue share of the next load; local.toml wins; another run replaces it."""
    watches = [QueueWatch(100, 25, True)] * MINIMUM + [QueueWatch(100, 60, True)] * MINIMUM
    found = calibration_of("r1", "LIVE", market.rows, watches, Divergence(None, None, 0, 0, 0), Settings(), [])
    local = tmp_path / "local.toml"
    applied = apply(found, tmp_path / CALIBRATED)
    assert applied["queue_share"] == found.queue.value == 0.25
    loaded = load((), {}, {}, local=local)
    assert loaded.settings.trading.orders.queue_share == 0.25
    assert loaded.settings.trading.orders.latency_ms == applied["latency_ms"]
    assert int(params_row(loaded.settings, 1)["queue_cut_e4"][0]) == 7500
    assert int(params_row(Settings(), 1)["queue_cut_e4"][0]) == 0
    local.write_text("[trading.orders]\nqueue_share = 0.5\n")
    assert load((), {}, {}, local=local).settings.trading.orders.queue_share == 0.5
    few = calibration_of("r2", "LIVE", market.rows[:5], [], Divergence(None, None, 0, 0, 0), Settings(), [])
    with pytest.raises(StoreError, match="too few"):
        apply(few, tmp_path / CALIBRATED)
    assert load((), {}, {}, local=local).settings.trading.orders.latency_ms == applied["latency_ms"]


def test_too_few_orders_suggest_nothing(market: Market, tmp_path: Path) -> None:
    few = calibration_of("r2", "LIVE", market.rows[:5], [], Divergence(None, None, 0, 0, 0), Settings(), [])
    file = save(few, DataPaths(tmp_path, "LIVE"))
    assert tomllib.loads(file.read_text()) == {}
    assert "fewer than" in file.read_text()


def test_runs_of_one_exchange_are_taken_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Newest first; one at another exchange is left out, one without a journal is left out and told."""
    paths = DataPaths(tmp_path, "LIVE")
    paths.runs_dir.mkdir(parents=True)
    venues = {"r1": "testnet", "r2": "embedded", "r3": "testnet", "r4": "", "r5": "testnet", "r6": "testnet"}
    for k, name in enumerate(venues):
        file = paths.runs_dir / f"{name}.jsonl"
        file.touch()
        os.utime(file, (k, k))

    def spec(journal: RunJournal) -> RunSpec:
        if not venues[journal.run_id]:
            raise NoJournal(f"run {journal.run_id} is gone")
        return RunSpec(run_id=journal.run_id, venue_name=venues[journal.run_id])

    monkeypatch.setattr(RunJournal, "spec", spec)
    damage: list[str] = []
    newest = paths.runs_dir / "r5.jsonl"
    assert runs_before(paths, newest, 9, damage) == ["r5", "r3", "r1"] and damage == ["run r4 is gone"]
    assert runs_before(paths, newest, 2, damage) == ["r5", "r3"]
    assert runs_before(paths, newest, 1, []) == ["r5"]


def test_refused_intents_are_no_orders(market: Market) -> None:
    rows = [row.copy() for row in market.rows[:8]]
    for row in rows[:5]:
        row["state"] = OrderState.REJECTED
    found = calibration_of("r", "LIVE", rows, [], Divergence(None, None, 0, 0, 0), Settings(), [], runs=3)
    assert found.orders == 3 and said(found)[0] == "run r (LIVE) and 2 before it, 3 orders"
