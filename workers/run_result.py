"""What a run did, as a Result like a backtest's: from its execution journal and its run file, nothing else.

Prices of open positions are not in that journal: equity here moves with fills and payments only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from config.load import digest
from config.paths import MODES, DataPaths
from config.schema import Settings
from core.enums import MessageKind
from core.explain import decision_id
from core.journal import JournalError
from core.orders.broker import INTENTS
from core.orders.wire import ENTRY_RECORD, Message, Report, unpack_entry
from core.performance.figures import Point, ended, performance
from core.performance.ledger import Ledger
from core.performance.trades import Trade
from shm.journal_reader import read_frames
from workers.backtest import Job, Result, answer_name, closed_trade
from workers.backtest_store import StoreError
from workers.database_sources import RunInfo
from workers.file_reading import journal_header


def run_file_of(data_dir: Path, run_id: str) -> tuple[DataPaths, Path]:
    """Paths of the mode and run file of a run, of the newest one for "". Raises StoreError."""
    found = [
        (path.stat().st_mtime, path, paths) for mode in MODES for paths in (DataPaths(data_dir, mode),)
        for path in paths.runs_dir.glob(f"{run_id or '*'}.jsonl")
    ]
    if not found:
        raise StoreError(f"no run {run_id or ''} in {data_dir}. Name the data folder with --data-dir.".replace("  ", " "))
    _, path, paths = max(found)
    return paths, path


def result_of_run(data_dir: Path, run_id: str = "") -> Result:
    """The trades of a run (the newest one for "") with its figures. Raises StoreError."""
    paths, run_file = run_file_of(data_dir, run_id)
    info, end_ns = RunInfo(), 0
    head: dict[str, Any] = {}
    for text in run_file.read_bytes().splitlines():
        try:
            line = msgspec.json.decode(text)
        except msgspec.MsgspecError:
            continue  # half a line of a writer that died
        info.take(line)
        head = line if line["t"] == "run" else head
        end_ns = line["ts_ns"] if line["t"] == "end" else end_ns
    ledger = Ledger(run_file.stem, info.start_balance_e8, info.leverage_of, info.maintenance_of)
    trades: list[Trade] = []
    first_ns = head.get("ts_ns", 0)
    points = [Point(first_ns, info.start_balance_e8)]
    intents: list[tuple[int, int, int, int]] = []
    answers: dict[str, str] = {}
    for message, report in entries_of(paths, run_file.stem):
        if message.kind in INTENTS:
            intents.append((message.seq, message.symbol, message.kind, message.price_ticks))
        traded = info.instruments.get(message.symbol)
        if traded is None:
            continue
        if message.kind == MessageKind.ENTER:
            answers[decision_id(message.seq, traded.name)] = answer_name(report)
        for row in ledger.take(message, report, traded):
            if row.table == "positions" and row.values["closed_ns"]:
                trades.append(closed_trade(row.values, None, ""))
        if ledger.balance_e8 != points[-1].equity_e8:
            points.append(Point(message.ts_event_ns, ledger.balance_e8))
    settings = _settings(head)
    points = ended(points, Point(max(end_ns, points[-1].ts_ns), ledger.balance_e8))
    booked = ledger.balance_e8 - info.start_balance_e8 - sum(trade.net_e8 for trade in trades)  # of what is open
    return Result(
        job=Job(journal=str(paths.journal_dir), run_id=run_file.stem), name=f"run {run_file.stem} ({paths.mode})",
        kind="live", input=[{"name": f"run {run_file.stem}", "bytes": 0, "sha256": ""}],
        settings_digest=digest(settings) if settings is not None else "", decision_digest="", from_ns=first_ns,
        to_ns=points[-1].ts_ns, wall_s=0.0, counts={"open_positions": ledger.open_positions},
        figures=performance(trades, info.start_balance_e8, points, booked_e8=booked), trades=trades, equity=points,
        intents=sorted(intents, key=lambda intent: intent[:2]), decisions={}, answers=answers,
    )


def _settings(head: dict[str, object]) -> Settings | None:
    try:
        return msgspec.convert(head["settings"], Settings)
    except (KeyError, msgspec.MsgspecError):
        return None


def settings_of_run(data_dir: Path, run_id: str = "") -> Settings:
    """The settings a run began with. Raises StoreError."""
    _, run_file = run_file_of(data_dir, run_id)
    for text in run_file.read_bytes().splitlines()[:1]:
        settings = _settings(msgspec.json.decode(text))
        if settings is not None:
            return settings
    raise StoreError(f"{run_file} does not say the settings of this version")


def entries_of(paths: DataPaths, run_id: str) -> list[tuple[Message, Report | None]]:
    """Messages and answers of the run's execution journal, also where it was set aside. Raises StoreError."""
    journal, unread = paths.execution_journal, ""
    for path in (journal, *sorted(paths.mode_dir.glob("execution-*.journal"))):
        header = journal_header(path) if path.exists() else None
        if header is None and path.exists():
            unread += f"; {path.name} cannot be read, or is damaged at its beginning"
        if header is None or header.run_id != run_id:
            continue
        try:
            return [unpack_entry(frame.data) for frame in read_frames(path) if frame.kind == ENTRY_RECORD]
        except (JournalError, OSError) as error:
            raise StoreError(f"{path}: {error}") from None
    raise StoreError(f"no execution journal of run {run_id} in {paths.mode_dir}{unread}")
