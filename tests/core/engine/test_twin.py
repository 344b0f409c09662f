"""The engine against its naive twin, order for order, over a whole paced run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from config.schema import Settings
from core.engine import engine
from core.enums import Cause, EventKind, LogKind, MessageKind, State
from core.params import params_row
from core.records import EVENT, LEVEL, MESSAGE, SYMBOL, TRADE
from tests.core.engine.plant import Plant, Shard, event_starts
from tests.core.engine.streams import Market, Stream
from tests.reference.engine import NaiveEngine
from tests.reference.engine_symbol import NaiveSymbol
from tests.reference.tape import Trade

COMPARED = (
    "seq", "symbol", "kind", "ts_event_ns", "price_ticks", "qty_lots", "stop_ticks", "target_ticks", "zone_min_ticks",
    "zone_max_ticks", "target2_ticks", "target3_ticks", "target_lots", "target2_lots", "target3_lots", "rung",
    "fee_e8", "side", "role", "is_maker", "reason", "leaves_lots", "order_id", "decision_id",
)  # fmt: skip


def as_dict(row: Any) -> dict[str, Any]:
    return {
        name: (row[name].tolist() if row[name].ndim else row[name].item())
        for name in row.dtype.names
        if name != "reserved"
    }


class NaiveShard(Shard):
    """A Shard with the twin inside."""

    def __init__(self, cells: np.ndarray, params: np.void) -> None:
        super().__init__(cells, 1, 2)
        self.twin = NaiveEngine(as_dict(params))
        self.starts = event_starts(cells)
        self.naive_reports = 0

    def push(self, report: np.ndarray) -> None:
        self.twin.push(as_dict(report))
        self.n_reports += 1

    def run(self, stop: int) -> np.ndarray:
        out: list[dict] = []
        waiting = False
        while self.at < stop:
            header = self.cells[self.at : self.at + 1].reshape(-1).view(EVENT.dtype)[0]
            ts, seq, kind = int(header["ts_recv_ns"]), int(header["seq"]), EventKind(header["kind"])
            self.twin.take_due(ts)
            if self.twin.must_wait(ts, kind is EventKind.END):
                waiting = True
                self.watermark = seq - 1
                break
            self.n_reports = len(self.twin.reports)
            body = self.cells[self.at + 1 : self.at + int(header["n_cells"])].reshape(-1)
            out += self.step(header, ts, seq, kind, body)
            self.watermark = seq
            self.at += int(header["n_cells"])
        self.n_reports = len(self.twin.reports)
        self.progress[engine.P_BLOCKED] = int(waiting)
        rows = np.zeros(len(out), MESSAGE.dtype)
        for k, message in enumerate(out):
            for name, value in message.items():
                rows[k][name] = value
        return rows

    def step(self, header: np.void, ts: int, seq: int, kind: EventKind, body: np.ndarray) -> list[dict]:
        twin, symbol = self.twin, int(header["symbol"])
        n_bids, n_asks = int(header["n_bids"]), int(header["n_asks"])
        if kind in (EventKind.BOOK_SNAPSHOT, EventKind.BOOK_DELTA):
            levels = [(int(r["price_ticks"]), int(r["qty_lots"])) for r in body.view(LEVEL.dtype)[: n_bids + n_asks]]
            payload = (levels[:n_bids], levels[n_bids:], kind is EventKind.BOOK_SNAPSHOT)
            return twin.market(symbol, ts, seq, "book", payload)
        if kind is EventKind.TRADES:
            rows = body.view(TRADE.dtype)[:n_bids]
            trades = [
                Trade(int(r["price_ticks"]), int(r["qty_lots"]), int(r["side"]), int(r["flags"]), int(r["ts_exch_ns"]))
                for r in rows
            ]
            return twin.market(symbol, ts, seq, "trades", trades)
        if kind is EventKind.LISTING:
            record = as_dict(body.view(SYMBOL.dtype)[0])
            record["name"] = bytes(record["name"]).rstrip(b"\0").decode()
            twin.symbols[symbol] = NaiveSymbol(twin, record, ts)
            return []
        if kind is EventKind.DELISTING:
            twin.symbols[symbol].leaving = True
            return twin.market(symbol, ts, seq, "none", None)
        if kind is EventKind.END:
            return []
        if kind is EventKind.FEED:
            twin.feed = int(header["u"])
        elif kind is EventKind.CONTROL:
            twin.bits = int(header["u"])
        elif kind is EventKind.GLOBAL:
            twin.global_regime = int(body[0])
        return twin.timer(ts, seq, kind is EventKind.TIMER)


def compare(stream: Stream, params: np.void, slots: int) -> Plant:
    cells = stream.cells()
    real = Plant([cells], slots, keep_logs=True).run(200)
    twin = Plant([cells], 1, seed=1)
    naive = NaiveShard(cells, params)
    twin.shards = [naive]
    twin.run(150)
    names = {int(s["id"]): bytes(s["name"]).rstrip(b"\0").decode() for s in real.shards[0].state.symbols if s["name_hash"]}
    moves = [
        (names[int(r["symbol"])], State(int(r["a"])), State(int(r["b"])), Cause(int(r["c"])), int(r["ts_ns"]))
        for rows in real.shards[0].log_rows for r in rows if r["kind"] == LogKind.STATE
    ]  # fmt: skip
    for name in sorted(names.values()):
        mine = [m for m in moves if m[0] == name]
        theirs = [m for m in naive.twin.moves if m[0] == name]
        assert mine == theirs
    for ours, theirs in zip(real.messages, twin.messages, strict=True):
        assert {n: int(ours[n]) for n in COMPARED} == {n: int(theirs[n]) for n in COMPARED}
    assert real.execution.digest == twin.execution.digest
    return real


@pytest.mark.parametrize("seed", [7, 8])
def test_engine_equals_its_twin(seed: int) -> None:
    fields = {
        "max_hold_ns": 6_000_000_000, "cooldown_ns": 3_000_000_000, "stop_min_bps": 1.0, "stop_max_bps": 3.0,
        "fee_buffer": -1.0, "tp_r": (1.0, 1.4, 2.0), "step_bps": 0.1, "warmup_ns": 1_000_000_000,
        "pump_thinning": -1.0, "spoof_enter": 101.0,  # walls have a twin of their own
    }  # fmt: skip
    market = Market(4, seed, **fields)
    stream = market.run(14, 60)
    stream.event(EventKind.CONTROL, u=4)
    market.run(2, 60)
    stream.event(EventKind.CONTROL, u=0)
    market.run(8, 60)
    stream.event(EventKind.DELISTING, 1)
    stream.event(EventKind.CONTROL, u=2)
    for _ in range(20):
        stream.now_ns += 100_000_000
        stream.timer()
    stream.end()
    params = params_row(Settings(), 1)
    for name, value in fields.items():
        params[name] = value
    real = compare(stream, params[0], 6)
    kinds = {int(m["kind"]) for m in real.messages}
    assert {MessageKind.ENTER, MessageKind.FILL, MessageKind.MARK, MessageKind.EXIT, MessageKind.PROTECT} <= kinds
    assert real.execution.rungs > 0
