"""One backtest: recorded frames through gateway core, engine, gate, paper exchange and account, in virtual time.

    Job (tapes or journal, settings, window) --> Pipeline --> Tally (observer) --> Result (plain data: JSON, row, report)

A Result is a function of its Job: same frames, same settings, same result, wherever and beside whatever it runs. Frames
before `from_ns` are warm-up: they build books, features and states, and nothing may be entered. What the market's own
recording does not hold (our impact on it, hidden orders) is not in it. A journal gives the events of its run in their own
order (`journal_source.py`), a tape gives frames, whose order of events is made here.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from config.load import ConfigError, load
from config.load import digest as settings_digest
from config.schema import Settings
from core.constants import E8
from core.enums import Gate, MessageKind, ReportKind
from core.explain import decision_id, naming_of, plain
from core.orders.broker import INTENTS, Controls, Note
from core.orders.wire import Message, Report
from core.performance.figures import Point, ended, performance
from core.performance.ledger import Ledger, Traded
from core.performance.trades import Trade, move_type
from core.position.position import Position
from core.words import plural
from gateway.tape import TapeError
from gateway.tape_source import TapeSource
from shm.agent import StopFlag
from shm.run_spec import RunSpec
from workers.html_page import when
from workers.journal_source import JournalSource, decide_alike, run_settings
from workers.pipeline import NO_CONTROLS, NO_FOLDER, Observer, Pipeline, local_spec
from workers.recorded_order import recorded_order, remarks_of
from workers.recorded_pipeline import RecordedPipeline
from workers.run_journal import NoJournal, RunJournal, find_run

TRADED_FIELDS = ("tick_mant", "price_exp", "lot_mant", "qty_exp", "taker_fee_e8", "max_leverage_e2")
EQUITY_STEP_NS = 1_000_000_000
PAUSED = Controls(paused=True)
SHOW_EVERY_S = 0.1
Intent = tuple[int, int, int, int]  # seq, symbol id, kind, price in ticks


def intent_of(message: Message) -> Intent:
    return (message.seq, message.symbol, message.kind, message.price_ticks)


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What to run. Times are receive times of the recording in ns, 0 = its ends. `overrides`: settings by key. `timing` of a
    journal: `run` handles messages and answers in the order of the run, `model` by latency_ms alone."""

    tapes: tuple[str, ...] = ()
    journal: str = ""  # folder of a run's journal, instead of tapes
    run_id: str = ""  # which run of it, "" = the newest
    instruments: str = ""
    symbols: str = ""
    config_files: tuple[str, ...] = ()
    overrides: dict[str, Any] = {}
    from_ns: int = 0
    to_ns: int = 0
    shards: int = 1
    name: str = ""
    timing: Literal["model", "run"] = "model"


class Result(msgspec.Struct, kw_only=True):
    """What came of it. `intents`: every decision that left the engine, in the order of handling."""

    job: Job
    name: str
    kind: str = "backtest"  # or shadow, live
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
    intents: list[Intent]
    decisions: dict[str, dict[str, Any]]
    remarks: list[str] = []  # why a backtest of a journal may not be the run
    answers: dict[str, str] = {}  # by decision id: ACCEPTED, or the gate that refused the entry

    @property
    def net_usdt(self) -> float:
        return float(self.figures["net_usdt"])


def settings_of(job: Job) -> Settings:
    """Settings of a job, always SIM, whatever the files say. Raises ConfigError."""
    if "trading.mode" in job.overrides:
        raise ConfigError(["command line: `trading.mode`: a backtest is always SIM. Leave it out."])
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


def answer_name(report: Report | None) -> str:
    """ACCEPTED, or the gate that refused."""
    if report is None or report.kind == ReportKind.ACCEPTED:
        return "ACCEPTED"
    return Gate(report.reason).name


class Tally(Observer):
    """Trades, equity, intents and the decisions behind entries, as the broker books them."""

    def __init__(self, name: str, settings: Settings, from_ns: int) -> None:
        self.pipeline: Pipeline
        self.trades: list[Trade] = []
        self.equity: list[Point] = []
        self.intents: list[Intent] = []
        self.decisions_of: dict[str, dict[str, Any]] = {}
        self.answers: dict[str, str] = {}
        self.name = name
        self._from_ns = from_ns
        start_e8 = self._equity_e8 = round(settings.trading.account.start_balance_usdt * E8)
        self._ledger = Ledger(name, start_e8, self._leverage, self._maintenance)
        self._traded: dict[int, Traded] = {}

    def _leverage(self, traded: Traded) -> int:
        broker = self.pipeline.broker
        return next(broker.policy.leverage_of(i) for i in broker.instruments.values() if i.name == traded.name)

    def _maintenance(self, traded: Traded) -> int:
        return self.pipeline.broker.policy.maintenance_e8[traded.category]

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
            self.intents.append(intent_of(message))
        if message.kind == MessageKind.ENTER and message.symbol in self.pipeline.broker.instruments:
            name = self.pipeline.broker.instruments[message.symbol].name
            self.answers[decision_id(message.seq, name)] = answer_name(report)
        if message.ts_event_ns >= self._from_ns and message.symbol in self.pipeline.broker.instruments:
            for row in self._ledger.take(message, report, self._instrument(message.symbol)):
                if row.table == "positions" and row.values["closed_ns"]:
                    traded = self._traded[message.symbol]
                    self.trades.append(self._trade(row.values, traded, account.closed[message.symbol]))
        last_ns = self.equity[-1].ts_ns if self.equity else 0
        if message.ts_event_ns - last_ns >= EQUITY_STEP_NS or message.kind == MessageKind.FILL:
            if account.equity_e8 != self._equity_e8:
                self._equity_e8 = account.equity_e8
                self.equity.append(Point(message.ts_event_ns, account.equity_e8))

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
        pump = self.decisions_of.get(row["decision_id"] or "", {}).get("pump")
        best, worst = (traded.price(ticks) for ticks in (position.best_ticks, position.worst_ticks))
        return closed_trade(row, (best, worst) if best and worst else None, move_type(pump))


def closed_trade(row: Mapping[str, Any], seen: tuple[str, str] | None, move: str) -> Trade:
    """A Trade from the last `positions` row of a position; `seen`: best and worst price while it was open, where known."""
    side = 1 if row["position_side"] == "LONG" else -1
    entered = row["entry_value_e8"]
    mfe = mae = None
    if seen is not None and row["entry_price"]:
        quantity = Decimal(row["max_quantity"])
        entry, best, worst = (int(Decimal(price) * quantity * E8) for price in (row["entry_price"], *seen))
        mfe, mae = max(0, side * (best - entry)), max(0, side * (entry - worst))
    return Trade(
        session_id=row["session_id"], position_no=row["position_no"], symbol=row["symbol"], side=side,
        opened_ns=row["opened_ns"], closed_ns=row["closed_ns"], entry_value_e8=entered, gross_e8=row["gross_pnl_e8"],
        fees_e8=row["fees_e8"], funding_e8=row["funding_accrued_e8"], net_e8=row["realised_pnl_e8"], risk_e8=row["risk_e8"],
        mfe_e8=mfe, mae_e8=mae, slippage_e8=round((row["slippage_pct"] or 0.0) / 100 * entered),
        close_reason=row["close_reason"] or "", move_type=move, decision_id=row["decision_id"] or "",
        quantity=row["max_quantity"], entry_price=row["entry_price"] or "", exit_price=row["exit_price"] or "",
    )


class Backtest:
    """A job under way: `start`, `work` until it says False; `result` at any time after that. `journal`: of the job, where it
    is open already; `settings`: instead of the job's files and overrides. Raises ConfigError, TapeError."""

    def __init__(
        self, job: Job, journal: RunJournal | None = None, kind: str = "backtest", settings: Settings | None = None
    ) -> None:
        self._started = time.monotonic()
        self.job = job
        self.kind = kind
        self.settings = settings = settings_of(job) if settings is None else settings
        if job.journal and journal is None:
            journal = journal_of(job)
        self.facts = input_facts(job.tapes) if journal is None else journal_facts(journal)
        label = job.name or f"{self.facts[0]['name']} {settings_digest(settings)}"
        spec = local_spec(
            job.shards, tape=list(job.tapes), symbols=job.symbols, instruments=job.instruments, data_dir=NO_FOLDER,
        )
        self.tally = Tally(label, settings, job.from_ns)
        self.remarks: list[str] = []
        self.source: TapeSource | JournalSource
        if journal is None:
            self.pipeline = self.tally.pipeline = Pipeline(spec, settings, self.tally)
            self.source = TapeSource(self.pipeline.plant, settings, StopFlag(), lambda: settings, self.pipeline.sinks, job.to_ns)
        else:
            self.pipeline, as_run = self._pipeline_of(journal, spec)
            self.tally.pipeline = self.pipeline
            self.source = JournalSource(journal, self.pipeline, job.to_ns, as_run)

    def _pipeline_of(self, journal: RunJournal, spec: RunSpec) -> tuple[Pipeline, bool]:
        """The pipeline for a journal, and whether the settings are its run's."""
        if self.job.timing == "run":
            try:
                order = recorded_order(journal)
            except NoJournal as error:
                raise TapeError(str(error)) from None
            theirs = run_settings(journal)
            as_run = theirs is not None and decide_alike(self.settings, theirs)
            self.remarks = remarks_of(order)
            if order.policy is not None:
                recorded = msgspec.structs.replace(spec, shards=order.shards)
                return RecordedPipeline(recorded, self.settings, order, as_run, self.tally), as_run
        return Pipeline(spec, self.settings, self.tally), False

    def start(self) -> None:
        self.source.on_start()

    def work(self) -> bool:
        """A batch of frames; False at the end of the recording."""
        if not self.source.is_done:
            self.source.do_work()
        if self.source.is_done:
            self.source.on_close()
        return not self.source.is_done

    def result(self) -> Result:
        """What has come of it so far."""
        tally, pipeline, job = self.tally, self.pipeline, self.job
        account = pipeline.broker.account
        first = max(job.from_ns, self.source.first_ns)
        start_e8 = account.start_balance_e8
        points = ended([Point(first, start_e8), *tally.equity], Point(self.source.now_ns, account.equity_e8))
        booked = sum(position.realised_e8 for position in account.positions.values())
        figures = performance(tally.trades, start_e8, points, account.unrealised_e8, booked)
        kept = {trade.decision_id for trade in tally.trades}
        counts = pipeline.counts()
        return Result(
            job=job, name=tally.name, kind=self.kind, input=self.facts, settings_digest=settings_digest(self.settings),
            decision_digest=pipeline.digest(), from_ns=first, to_ns=self.source.now_ns,
            wall_s=time.monotonic() - self._started, counts=counts, figures=figures, trades=list(tally.trades),
            equity=points, intents=list(tally.intents),
            decisions={key: value for key, value in tally.decisions_of.items() if key in kept},
            remarks=self.remarks + self.source.remarks() + rejected(counts["rejected"]),
            answers=dict(tally.answers),
        )


def rejected(count: int) -> list[str]:
    """What is to be said of frames that could not be decoded."""
    what = plural(count, "line or frame", "lines or frames")
    return [f"{what} rejected: damaged, or none of this exchange"] if count else []


def journal_of(job: Job) -> RunJournal:
    """The journal a job names. Raises TapeError."""
    try:
        return find_run(Path(job.journal), job.run_id)
    except NoJournal as error:
        raise TapeError(str(error)) from None


def journal_facts(journal: RunJournal) -> list[dict[str, Any]]:
    """As `input_facts`: a run is told by its id."""
    return [{"name": f"run {journal.run_id}", "bytes": 0, "sha256": ""}]


def run(
    job: Job, progress: Callable[[float], None] = lambda share: None, settings: Settings | None = None
) -> Result:
    """Run a job to its end. Raises ConfigError, TapeError."""
    backtest = Backtest(job, settings=settings)
    finish(backtest, progress)
    result, source = backtest.result(), backtest.source
    if not result.counts["frames"]:
        raise TapeError(f"nothing was received before --to {when(job.to_ns)}: the recording begins at "
                        f"{when(source.first_ns)} UTC.")
    if job.from_ns > source.now_ns:
        raise TapeError(f"nothing was received after --from {when(job.from_ns)}: the recording ends at "
                        f"{when(source.now_ns)} UTC.")
    return result


def finish(backtest: Backtest, progress: Callable[[float], None] = lambda share: None) -> None:
    """Work until there is no more. `progress` gets the share of the recording that is done. Raises TapeError."""
    source, shown = backtest.source, 0.0
    backtest.start()
    while backtest.work():
        if (now := time.monotonic()) - shown >= SHOW_EVERY_S:
            shown = now
            progress((source.now_ns - source.first_ns) / max(source.until_ns - source.first_ns, 1))
    progress(1.0)
