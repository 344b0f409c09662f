"""One backtest: recorded frames through gateway core, engine, gate, paper exchange and account, in virtual time.

    Job (tapes, settings, window) --> Pipeline --> Tally (observer) --> Result (plain data: JSON, database row, report)

A Result is a function of its Job: same frames, same settings, same result, wherever and beside whatever it runs. Frames
before `from_ns` are warm-up: they build books, features and states, and nothing may be entered. What the market's own
recording does not hold (our impact on it, hidden orders) is not in it; funding is not charged.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from config.load import digest as settings_digest
from config.load import load
from config.schema import Settings
from core.constants import E8
from core.enums import MessageKind
from core.explain import naming_of, plain
from core.orders.broker import Controls, Note
from core.orders.wire import Message, Report
from core.performance.figures import Point, performance
from core.performance.ledger import Ledger, Traded
from core.performance.trades import Trade, move_type
from core.position.position import Position
from gateway.tape_source import TapeSource
from shm.agent import StopFlag
from workers.pipeline import NO_CONTROLS, NO_FOLDER, Observer, Pipeline, local_spec

TRADED_FIELDS = ("tick_mant", "price_exp", "lot_mant", "qty_exp", "taker_fee_e8", "max_leverage_e2")
EQUITY_STEP_NS = 1_000_000_000
INTENTS = frozenset({int(MessageKind.ENTER), int(MessageKind.CANCEL), int(MessageKind.EXIT)})
PAUSED = Controls(paused=True)
SHOW_EVERY_S = 0.1


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What to run. Times are receive times of the recording in ns, 0 = its ends. `overrides`: settings by key."""

    tapes: tuple[str, ...]
    instruments: str = ""
    symbols: str = ""
    config_files: tuple[str, ...] = ()
    overrides: dict[str, Any] = {}
    from_ns: int = 0
    to_ns: int = 0
    shards: int = 1
    name: str = ""


class Result(msgspec.Struct, kw_only=True):
    """What came of it. `intents`: (seq, symbol id, kind, price ticks) of every decision that left the engine, in order."""

    job: Job
    name: str
    input: list[dict[str, Any]]
    settings_digest: str
    decision_digest: str
    from_ns: int
    to_ns: int
    wall_s: float
    counts: dict[str, int]
    figures: dict[str, Any]
    trades: list[Trade]
    equity: list[Point]
    intents: list[tuple[int, int, int, int]]
    decisions: dict[str, dict[str, Any]]

    @property
    def net_usdt(self) -> float:
        return float(self.figures["net_usdt"])


def settings_of(job: Job) -> Settings:
    """Settings of a job, always SIM. Raises ConfigError."""
    files = [Path(name) for name in job.config_files]
    return load(files, os.environ, {**job.overrides, "trading.mode": "SIM"}).settings


def input_facts(paths: Sequence[str]) -> list[dict[str, Any]]:
    """Name, size and SHA-256 of every file, so that results can be told to be of the same data."""
    facts = []
    for name in paths:
        digest = hashlib.sha256()
        with Path(name).open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        facts.append({"name": Path(name).name, "bytes": Path(name).stat().st_size, "sha256": digest.hexdigest()})
    return facts


class Tally(Observer):
    """Trades, equity, intents and the decisions behind entries, as the broker books them."""

    def __init__(self, name: str, settings: Settings, from_ns: int) -> None:
        self.pipeline: Pipeline
        self.trades: list[Trade] = []
        self.equity: list[Point] = []
        self.intents: list[tuple[int, int, int, int]] = []
        self.decisions_of: dict[str, dict[str, Any]] = {}
        self._from_ns = from_ns
        start_e8 = round(settings.trading.account.start_balance_usdt * E8)
        self._ledger = Ledger(name, start_e8, self._leverage)
        self._traded: dict[int, Traded] = {}

    def _leverage(self, traded: Traded) -> int:
        broker = self.pipeline.broker
        return next(broker.policy.leverage_of(i) for i in broker.instruments.values() if i.name == traded.name)

    def controls(self, message: Message) -> Controls:
        return PAUSED if message.ts_event_ns < self._from_ns else NO_CONTROLS

    def decisions(self, records: np.ndarray) -> None:
        for record in records[records["verdict"] == 1]:
            row = self.pipeline.plant.symbols().read(int(record["symbol"]))[0]
            line = plain(record, naming_of(row))
            self.decisions_of[line["id"]] = line

    def booked(self, message: Message, report: Report | None, notes: list[Note]) -> None:
        account = self.pipeline.broker.account
        if message.kind in INTENTS:
            self.intents.append((message.seq, message.symbol, message.kind, message.price_ticks))
        if message.ts_event_ns >= self._from_ns and message.symbol in self.pipeline.broker.instruments:
            for row in self._ledger.take(message, report, self._instrument(message.symbol)):
                if row.table == "positions" and row.values["closed_ns"]:
                    traded = self._traded[message.symbol]
                    self.trades.append(self._trade(row.values, traded, account.closed[message.symbol]))
        last = self.equity[-1] if self.equity else None
        point = Point(message.ts_event_ns, account.equity_e8)
        if last is None or point.ts_ns - last.ts_ns >= EQUITY_STEP_NS or message.kind == MessageKind.FILL:
            if last is None or point.equity_e8 != last.equity_e8:
                self.equity.append(point)

    def _instrument(self, symbol: int) -> Traded:
        known = self._traded.get(symbol)
        if known is None:
            row = self.pipeline.plant.symbols().read(symbol)[0]
            known = self._traded[symbol] = Traded(
                self.pipeline.broker.instruments[symbol].name,
                *(int(row[name]) for name in TRADED_FIELDS),
            )
        return known

    def _trade(self, row: Mapping[str, Any], traded: Traded, position: Position) -> Trade:
        decision = self.decisions_of.get(row["decision_id"] or "", {})
        side = 1 if row["position_side"] == "LONG" else -1
        entered = row["entry_value_e8"]
        slippage = round((row["slippage_pct"] or 0.0) / 100 * entered)
        quantity = Decimal(row["max_quantity"])
        entry, best, worst = (
            int(Decimal(price) * quantity * E8)
            for price in (row["entry_price"], traded.price(position.best_ticks), traded.price(position.worst_ticks)) if price
        )
        mfe, mae = max(0, side * (best - entry)), max(0, side * (entry - worst))
        return Trade(
            session_id=row["session_id"], position_no=row["position_no"], symbol=row["symbol"], side=side,
            opened_ns=row["opened_ns"], closed_ns=row["closed_ns"], entry_value_e8=entered, gross_e8=row["gross_pnl_e8"],
            fees_e8=row["fees_e8"], funding_e8=row["funding_accrued_e8"], net_e8=row["realised_pnl_e8"],
            risk_e8=row["risk_e8"], mfe_e8=mfe, mae_e8=mae, slippage_e8=slippage, close_reason=row["close_reason"] or "",
            move_type=move_type(decision.get("pump")), decision_id=row["decision_id"] or "",
            quantity=row["max_quantity"], entry_price=row["entry_price"] or "", exit_price=row["exit_price"] or "",
        )


def run(job: Job, progress: Callable[[float], None] = lambda share: None) -> Result:
    """Run a job to its end. `progress` gets the share of the recording that is done. Raises ConfigError, TapeError."""
    started = time.monotonic()
    settings = settings_of(job)
    facts = input_facts(job.tapes)
    label = job.name or f"{facts[0]['name']} {settings_digest(settings)}"
    spec = local_spec(
        job.shards, tape=list(job.tapes), symbols=job.symbols, instruments=job.instruments, data_dir=NO_FOLDER,
    )
    tally = Tally(label, settings, job.from_ns)
    pipeline = tally.pipeline = Pipeline(spec, settings, tally)
    source = TapeSource(pipeline.plant, settings, StopFlag(), lambda: settings, pipeline.sinks, job.to_ns)
    _drive(source, progress)
    account = pipeline.broker.account
    first = max(job.from_ns, source.contents.first_ns)
    start_e8 = account.start_balance_e8
    points = [Point(first, start_e8), *tally.equity]
    figures = performance(tally.trades, start_e8, points, account.unrealised_e8)
    kept = {trade.decision_id for trade in tally.trades}
    return Result(
        job=job, name=label, input=facts, settings_digest=settings_digest(settings), decision_digest=pipeline.digest(),
        from_ns=first, to_ns=source.now_ns, wall_s=time.monotonic() - started, counts=pipeline.counts(), figures=figures,
        trades=tally.trades, equity=points, intents=tally.intents,
        decisions={key: value for key, value in tally.decisions_of.items() if key in kept},
    )


def _drive(source: TapeSource, progress: Callable[[float], None]) -> None:
    contents, shown = source.contents, 0.0
    span = max(source.until_ns - contents.first_ns, 1)
    source.on_start()
    while not source.is_done:
        source.do_work()
        if (now := time.monotonic()) - shown >= SHOW_EVERY_S:
            shown = now
            progress((source.now_ns - contents.first_ns) / span)
    source.on_close()
    progress(1.0)


def look_ahead(job: Job, result: Result, cuts: int = 3) -> list[str]:
    """Self-check: the same job on a recording cut short must decide the same up to the cut. Returns what differed."""
    faults = []
    first, last = result.from_ns, result.to_ns
    for k in range(1, cuts + 1):
        at = first + (last - first) * k // (cuts + 1)
        short = run(msgspec.structs.replace(job, to_ns=at))
        n = len(short.intents)
        until = short.to_ns
        if short.intents != result.intents[:n]:
            at_fault = next(i for i, pair in enumerate(zip(short.intents, result.intents, strict=False)) if pair[0] != pair[1])
            faults.append(f"cut at {until}: decision {at_fault} is {short.intents[at_fault]}, "
                          f"with the future known it was {result.intents[at_fault]}")
    return faults
