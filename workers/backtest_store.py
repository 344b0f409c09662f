"""Results on disk and in the database: `<data>/SIM/backtests/<id>/{result.json, report.html}` and a row of backtest_results.

Files of a research command, not of the running plant: they may be written at any time, by many processes at once.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec
from sqlalchemy import insert
from sqlalchemy.exc import SQLAlchemyError

from config.atomic_file import write_replacing
from config.paths import MODES, DataPaths
from core.constants import E8
from core.performance.figures import thinned
from core.performance.selection import Moments, moments
from shm.database.connect import DatabaseError, database_url, writer
from shm.database.migrate import upgrade
from shm.database.tables import backtest_results
from workers.backtest import Result
from workers.backtest_report import html

RESULT, REPORT = "result.json", "report.html"
CURVE_POINTS = 2000


class StoreError(Exception):
    """A result cannot be kept or found; the text says why and what to do."""


def folder_of(paths: DataPaths) -> Path:
    return paths.mode_dir / "backtests"


def save(result: Result, paths: DataPaths, report_file: Path | None = None) -> Path:
    """Write result and report into a new folder; returns it. Raises StoreError."""
    name = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{result.settings_digest}-{os.getpid():x}"
    folder = folder_of(paths) / name
    save_in(result, folder, report_file)
    return folder


def save_in(result: Result, folder: Path, report_file: Path | None = None) -> None:
    """Write result and report into `folder`, over what is there. Raises StoreError."""
    try:
        write_replacing(folder / RESULT, msgspec.json.encode(result))
        for target in (folder / REPORT, report_file):
            if target is not None:
                write_page(target, html(result))
    except OSError as error:
        raise StoreError(f"the result cannot be written ({error}). Choose another place with --data-dir or --html.") from None


def write_page(file: Path, text: str) -> None:
    """The whole page or none; a pipe or device gets it as it is. Raises StoreError."""
    try:
        if file.exists() and not file.is_file():
            file.write_text(text, encoding="utf-8")
        else:
            write_replacing(file, text.encode())
    except OSError as error:
        raise StoreError(f"{file} cannot be written ({error}). Choose another place with --html.") from None


def load_result(name: str, paths: DataPaths) -> Result:
    """A kept result by folder name, its path, `latest`, or `shadow` (of the newest run that had one; `shadow:RUN`). Raises
    StoreError."""
    base = folder_of(paths)
    word, _, run_id = name.partition(":")
    if word == "shadow":
        kept = [path for mode in MODES for path in DataPaths(paths.data_dir, mode).shadow_dir.glob(f"{run_id or '*'}/{RESULT}")]
        if not kept:
            raise StoreError(f"no shadow {run_id} in {paths.data_dir}. Run with `--shadow FILE` first.".replace("  ", " "))
        return _read(max(kept, key=lambda path: path.stat().st_mtime))
    if name == "latest":
        found = sorted(base.glob(f"*/{RESULT}"), key=lambda path: path.stat().st_mtime)
        if not found:
            raise StoreError(f"no backtest in {base}. Run `launch.py backtest --tape FILE` first.")
        path = found[-1]
    else:
        candidates = [base / name / RESULT, Path(name) / RESULT, Path(name)]
        path = next((p for p in candidates if p.is_file()), Path())
        if not path.is_file():
            raise StoreError(f"no backtest {name!r} in {base}. `ls {base}` shows what there is; `latest` is the newest.")
    return _read(path)


def _read(path: Path) -> Result:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Result)
    except (OSError, msgspec.MsgspecError) as error:
        raise StoreError(f"{path} is no result of this version ({error}). Run the backtest again.") from None


def trade_moments(result: Result) -> Moments | None:
    """Of the trades' results in R."""
    return moments([trade.r for trade in result.trades if trade.r is not None])


def write_row(result: Result, paths: DataPaths, url: str = "") -> int:
    """One row of backtest_results, so that pages and other tools find it; its id. `url`: `[database] url`. Raises
    StoreError."""
    f = result.figures
    try:
        engine = writer(database_url(paths, url), paths.mode)
        try:
            upgrade(engine, paths.mode)
            with engine.begin() as connection:
                made = connection.execute(insert(backtest_results).values({
                    "name": result.name, "input": ", ".join(row["name"] for row in result.input),
                    "parameters": result.job.overrides, "settings_digest": result.settings_digest,
                    "created_ns": time.time_ns(), "from_ns": result.from_ns, "to_ns": result.to_ns,
                    "trade_count": f["trades"], "win_rate": f["win_rate"], "total_return_pct": f["total_return_pct"],
                    "gross_pnl_e8": round(f["gross_usdt"] * E8), "fees_e8": round(f["fees_usdt"] * E8),
                    "net_pnl_e8": sum(trade.net_e8 for trade in result.trades), "sharpe": f["sharpe"],
                    "sharpe_low": f["sharpe_low"], "sharpe_high": f["sharpe_high"], "sortino": f["sortino"],
                    "calmar": f["calmar"], "profit_factor": f["profit_factor"], "max_drawdown_pct": f["max_drawdown_pct"],
                    "expectancy_r": f["expectancy_r"], "decision_digest": result.decision_digest,
                    "equity_curve": [list(point) for point in thinned(result.equity, CURVE_POINTS)],
                    "trades": [trade._asdict() for trade in result.trades], "report": f,
                }))
                key = made.inserted_primary_key
                assert key is not None, "an insert of one row has a key"
                return int(key[0])
        finally:
            engine.dispose()
    except (DatabaseError, SQLAlchemyError, OSError) as error:
        raise StoreError(f"the result is kept as a file, but not in the database ({error})") from None
