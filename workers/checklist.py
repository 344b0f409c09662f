"""The pre-live checklist (requirement B3): may this installation trade real money? Each row: what, verdict, finding, fix.

`launch.py doctor --live` prints it and ends with 0 (ready) or 5; the page shows the same rows. A `fail` is a no. Nothing
here changes anything. What only a running system can show (processes, feed, page, log files) fails while none runs.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import msgspec
import psutil

from config.latch_file import read_latch
from config.load import ConfigError, load
from config.paths import DataPaths
from config.schema import Settings
from core.constants import HOUR_NS
from core.risk.tiers import MAX_DAILY_LOSS_PCT, TIERS
from core.words import plural
from workers.control import status_of
from workers.doctor import Row, check_clock, check_disk, check_exchange_clock, free_memory_gb
from workers.rollout_cli import status as rollout_status

CPU_MAX_PCT = 70.0
MEMORY_MIN_GB = 2.0
STABLE_S = 600.0  # a feed younger than this has proved nothing
DRY_RUN_HOURS = 4.0
DRY_RUN_DAYS = 7.0
FILE_MAX_BYTES = 256 << 20
VOLATILITY_MAX = 30.0
HEARTBEAT_MAX_MS = 2000.0


def _row(name: str, good: bool, finding: str, fix: str) -> Row:
    return Row(name, "ok" if good else "fail", finding, "" if good else fix)


# --- host ---------------------------------------------------------------------------------------------------------------
def host(data_dir: Path) -> list[Row]:
    """CPU, memory, disk, clock."""
    cpu, memory = psutil.cpu_percent(interval=0.5), free_memory_gb()
    disk = check_disk(data_dir)
    return [
        _row("cpu", cpu < CPU_MAX_PCT, f"{cpu:.0f} % busy, allowed {CPU_MAX_PCT:.0f}", "stop what else runs on this host"),
        _row("memory", memory > MEMORY_MIN_GB, f"{memory:.1f} GB available", f"{MEMORY_MIN_GB:g} GB are needed"),
        Row(disk.name, "ok" if disk.level == "ok" else "fail", disk.finding, disk.fix),
        check_clock(),
    ]


# --- the running system -------------------------------------------------------------------------------------------------
def plant(state: dict[str, Any] | None, page: str | None) -> list[Row]:
    """Processes, feed and page; `state` as of `launch.py status`, `page`: why it does not answer, "" = it does."""
    start = "start it (SIM or DRY_RUN) and let it run for some hours"
    if state is None:
        return [Row(name, "fail", "nothing runs", start) for name in ("processes", "feed", "page")]
    bad = [
        f"{p['name']} {p['state']}" for p in state["processes"]
        if p["state"] != "RUN" or (p["heartbeat_age_ms"] or 0.0) > HEARTBEAT_MAX_MS
    ]
    restarts = sum(p["restarts"] for p in state["processes"])
    found = ", ".join(bad) if bad else f"{len(state['processes'])} run, {restarts} restarts"
    reconnects, uptime = state["gateway"]["reconnects"], state["uptime_s"]
    calm = state["feed"] == "CONNECTED" and uptime >= STABLE_S and reconnects <= uptime / STABLE_S
    return [
        _row("processes", not bad and restarts == 0, found, "see data/logs; a system that restarts its parts is not ready"),
        _row("feed", calm, f"{state['feed']}, {plural(reconnects, 'reconnect')} in {uptime / 60:.0f} min",
             f"wait until it stood for {STABLE_S / 60:.0f} min; more than one reconnect in that time: look at the network"),
        _row("page", page == "", page or "answers", "see data/logs/admin.log; trading does not depend on it, watching does"),
    ]


def page_trouble(paths: DataPaths) -> str:
    """Why the page does not answer; "" = it does."""
    try:
        port = msgspec.json.decode(paths.admin_file.read_bytes())["port"]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=3) as answer:
            return "" if answer.status == 200 else f"answers {answer.status}"
    except (OSError, msgspec.MsgspecError, KeyError, TypeError, urllib.error.URLError) as error:
        return f"does not answer ({error})"


def paper_is_paper(state: dict[str, Any] | None) -> Row:
    """Outside LIVE the execution process has no connection to anybody."""
    name, fix = "paper is paper", "stop it at once and report this: an order path is open outside LIVE"
    if state is None:
        return Row(name, "fail", "nothing runs", "start it in SIM or DRY_RUN")
    if state["mode"] == "LIVE":
        return Row(name, "ok", "LIVE runs")
    execution = next((p["pid"] for p in state["processes"] if p["name"] == "execution"), 0)
    try:
        links = [c.raddr for c in psutil.Process(execution).net_connections(kind="inet") if c.raddr]
    except psutil.Error as error:
        return Row(name, "fail", f"execution cannot be looked at ({error})", "run the doctor as the same user")
    return _row(name, not links, f"mode {state['mode']}, execution has {plural(len(links), 'connection')}", fix)


# --- files --------------------------------------------------------------------------------------------------------------
def logs(data_dir: Path, mode: str, now_ns: int) -> Row:
    """Event files of today exist and no log grows without end."""
    paths = DataPaths(data_dir, mode)
    today = paths.events_dir / time.strftime("%Y-%m-%d", time.gmtime(now_ns // 10**9))
    files = [*paths.log_dir.glob("*.log"), *paths.events_dir.glob("*/*.jsonl")]
    big = [path.name for path in files if path.stat().st_size > FILE_MAX_BYTES]
    finding = f"{len(big)} too big: {', '.join(big[:3])}" if big else f"{plural(len(files), 'file')}, today's folder " + (
        "exists" if today.is_dir() else "is missing")
    return _row("log rotation", today.is_dir() and not big, finding, "the recorder writes one folder a day: does it run?")


def dry_run_hours(data_dir: Path, now_ns: int) -> float:
    """Hours of the last week in which DRY_RUN or SIM has written events, by first and last line of every file."""
    covered: set[int] = set()
    for mode in ("DRY_RUN", "SIM"):
        for path in DataPaths(data_dir, mode).events_dir.glob("*/*.jsonl"):
            first, last = _span_ns(path)
            if last and now_ns - last < DRY_RUN_DAYS * 24 * HOUR_NS:
                covered.update(range(first * 60 // HOUR_NS, last * 60 // HOUR_NS))
    return len(covered) / 60


class _Stamped(msgspec.Struct):
    ts_ns: int = 0


def _span_ns(path: Path) -> tuple[int, int]:
    """Stamps of the first and of the last whole line; zeros where there is none."""
    with path.open("rb") as file:
        first = file.readline()
        file.seek(max(0, path.stat().st_size - 8192))
        last = next((line for line in reversed(file.read().splitlines()) if line.endswith(b"}")), b"")
    try:
        return msgspec.json.decode(first, type=_Stamped).ts_ns, msgspec.json.decode(last, type=_Stamped).ts_ns
    except msgspec.MsgspecError:
        return 0, 0


# --- settings -----------------------------------------------------------------------------------------------------------
def settings_rows(s: Settings) -> list[Row]:
    """Position size, targets, kill thresholds, volatility stop, skip filters."""
    account, exits, kill, skip = s.trading.account, s.trading.exits, s.safety.kill, s.skip
    tier = TIERS.get(s.trading.capital_tier)
    per_trade = tier.per_trade_e8 / 1e8 if tier else 0.0
    triggers = (kill.network_s, kill.panic_s, kill.spread_bps, kill.failures_per_min)
    loss = min(s.safety.limits.daily_loss_pct, kill.daily_loss_pct)
    return [
        _row("capital tier", tier is not None, s.trading.capital_tier, "CAPITAL_TIER=MICRO in the environment"),
        _row("position size", tier is not None and account.margin_per_trade_usdt <= per_trade,
             f"{account.margin_per_trade_usdt:g} USDT at {account.leverage:g}x, the tier allows {per_trade:g}",
             "trading.account.margin_per_trade_usdt"),
        targets_row(exits),
        _row("kill thresholds", all(value > 0 for value in triggers) and 0 < loss <= MAX_DAILY_LOSS_PCT,
             f"network {kill.network_s:g} s, panic {kill.panic_s:g} s, spread {kill.spread_bps:g} bps, "
             f"{kill.failures_per_min} failures a minute, daily loss {loss:g} %",
             "every trigger of safety.kill needs a threshold (0 switches it off)"),
        _row("volatility stop", skip.enabled and skip.volatility_index_max <= VOLATILITY_MAX,
             f"{'on' if skip.enabled else 'off'}, stops over {skip.volatility_index_max:g}",
             f"skip.enabled = true, skip.volatility_index_max at most {VOLATILITY_MAX:g}"),
        _row("skip filters", skip.enabled and set(skip.weekdays) <= {0, 1, 2, 3, 4}
             and skip.from_hour_utc >= 9 and skip.to_hour_utc <= 18,
             f"{'on' if skip.enabled else 'off'}, days {list(skip.weekdays)}, {skip.from_hour_utc}-{skip.to_hour_utc} UTC",
             "skip.enabled = true; Monday to Friday, 9 to 18 UTC"),
    ]


def targets_row(exits: Any) -> Row:
    """Take-profit targets in rising order, each over the one before."""
    levels = getattr(exits, "tp_r", None) or (exits.target_r,)
    rising = all(a < b for a, b in itertools.pairwise(levels)) and levels[0] > 0
    return _row("targets", rising, "TP " + ", ".join(f"{level:g} R" for level in levels), "trading.exits: rising targets")


# --- the account --------------------------------------------------------------------------------------------------------
def account_rows(data_dir: Path) -> list[Row]:
    """Evidence, PIN and latches."""
    state = rollout_status(data_dir)
    latch = read_latch(DataPaths(data_dir, "LIVE").kill_file)
    lock = f", locked until {time.strftime('%Y-%m-%d %H:%M', time.gmtime(state['locked_until_ts'] / 1000))} UTC" if (
        state["locked_until_ts"]) else ""
    return [
        _row("rollout", state["allowed"] != "PAPER", state["trouble"] or f"allows {state['allowed']}{lock}",
             "launch.py rollout status"),
        _row("PIN", state["pin_set"], "set" if state["pin_set"] else "not set", "launch.py pin set"),
        _row("kill latch", latch is None, "not set" if latch is None else f"set by {latch.get('source')}: {latch.get('reason')}",
             "look why, then launch.py resume --clear-kill"),
    ]


def checklist(data_dir: Path, config_files: tuple[Path, ...] = (), venue: str = "") -> list[Row]:
    """Every row. Takes about half a second."""
    now_ns = time.time_ns()
    state = status_of(data_dir)
    mode = state["mode"] if state else "SIM"
    hours = dry_run_hours(data_dir, now_ns)
    try:
        configured = settings_rows(load(config_files, os.environ).settings)
    except ConfigError as error:
        configured = [Row("config", "fail", "; ".join(error.errors[:3]), "fix the named lines")]
    trouble = page_trouble(DataPaths(data_dir, mode)) if state else None
    return [
        *host(data_dir), *check_exchange_clock(data_dir, config_files, venue),
        *plant(state, trouble), paper_is_paper(state), logs(data_dir, mode, now_ns), *configured,
        _row("dry run", hours >= DRY_RUN_HOURS, f"{hours:.1f} h of events in the last {DRY_RUN_DAYS:.0f} days",
             f"run SIM or DRY_RUN on the real feed for {DRY_RUN_HOURS:g} h"),
        *account_rows(data_dir),
    ]


def checklist_json(data_dir: Path, config_files: tuple[Path, ...] = ()) -> dict[str, Any]:
    """For `/api/checklist` and `doctor --live --json`: {ready, rows: [{name, level, finding, fix}], ts}."""
    rows = checklist(data_dir, config_files)
    return {
        "ready": not any(row.level == "fail" for row in rows), "rows": [row.as_dict() for row in rows],
        "ts": time.time_ns() // 1_000_000,
    }


def main(argv: list[str] | None = None) -> int:
    """`python -m workers.checklist --data-dir D`: the list as one JSON object (for the page, which asks in a process of its
    own: the list takes its time)."""
    parser = argparse.ArgumentParser(prog="python -m workers.checklist")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("-c", "--config", type=Path, action="append", default=[])
    options = parser.parse_args(argv)
    print(msgspec.json.encode(checklist_json(options.data_dir, tuple(options.config))).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
