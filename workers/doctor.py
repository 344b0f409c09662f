"""Is this machine, installation and configuration fit to run? Each row: what, verdict, finding, fix."""

from __future__ import annotations

import os
import re
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from config.latch_file import read_latch
from config.load import ConfigError, load
from config.paths import ROOT, DataPaths
from shm.run_spec import RunSpec
from workers.control import attach
from workers.exchange_clock import clock_trouble
from workers.starting import venue_address

SHM_NEED_MB = 512
DISK_NEED_GB = 10.0


@dataclass(frozen=True)
class Row:
    """One finding; level is ok, warn or fail."""

    name: str
    level: str
    finding: str
    fix: str = ""

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


def _verdict(name: str, good: bool, finding: str, fix: str, bad: str = "fail") -> Row:
    return Row(name, "ok" if good else bad, finding, "" if good else fix)


def check_python() -> Row:
    found = sys.version.split()[0]
    return _verdict("python", sys.version_info >= (3, 11), found, "install Python 3.11 or newer")


def check_packages(lock: Path = ROOT / "requirements.lock") -> Row:
    """Installed versions against the lock (rows with a platform marker may be absent)."""
    wrong = []
    for name, wanted, marker in re.findall(r"^([a-z0-9][a-z0-9._-]*)==([^ \\;]+)( ;)?", lock.read_text(), re.M):
        try:
            found = version(name)
        except PackageNotFoundError:
            if not marker:
                wrong.append(f"{name} missing")
            continue
        if found != wanted:
            wrong.append(f"{name} {found}, locked {wanted}")
    return _verdict("packages", not wrong, ", ".join(wrong[:5]) or "as locked", "delete .venv and start again")


def check_shared_memory(path: str = "/dev/shm") -> Row:
    try:
        free_mb = shutil.disk_usage(path).free // 2**20
    except OSError as error:
        return Row("shared memory", "fail", str(error), "mount a tmpfs at /dev/shm")
    fix = "enlarge it (containers: --shm-size=1g), or smaller rings in system.toml"
    return _verdict("shared memory", free_mb >= SHM_NEED_MB, f"{free_mb} MB free in {path}, need {SHM_NEED_MB}", fix)


def check_disk(data_dir: Path) -> Row:
    probe = data_dir
    while not probe.exists():
        probe = probe.parent
    free_gb = shutil.disk_usage(probe).free / 1e9
    try:  # asking for permission is not enough: root may write everywhere, but not on /proc
        with tempfile.TemporaryFile(dir=probe):
            pass
    except OSError as error:
        return Row("disk", "fail", f"{probe} is not writable ({error.strerror})", "choose another folder with --data-dir")
    fix = "free some space: journals grow"
    return _verdict("disk", free_gb >= DISK_NEED_GB, f"{free_gb:.0f} GB free at {probe}", fix, bad="warn")


def check_cpu() -> Row:
    cores, load = os.cpu_count() or 1, psutil.cpu_percent(interval=0.2)
    good = cores >= 2 and load < 70
    return _verdict("cpu", good, f"{cores} cores, {load:.0f} % busy", "two cores, less than 70 % busy, are wanted", "warn")


def free_memory_gb() -> float:
    return float(psutil.virtual_memory().available) / 1e9


def check_memory() -> Row:
    free_gb = free_memory_gb()
    return _verdict("memory", free_gb > 2, f"{free_gb:.1f} GB available", "2 GB are wanted", "warn")


def check_clock() -> Row:
    """The wall clock must not move against the monotonic one while we look."""
    wall, mono = time.time_ns(), time.monotonic_ns()
    time.sleep(0.05)
    drift_ms = abs((time.time_ns() - wall) - (time.monotonic_ns() - mono)) / 1e6
    fix = "let NTP run; Bybit refuses orders from a clock 1 s ahead"
    return _verdict("clock", drift_ms < 5, f"moved {drift_ms:.2f} ms in 50 ms", fix)


def check_exchange_clock(data_dir: Path, config_files: tuple[Path, ...], venue: str = "") -> list[Row]:
    """Against the exchange of that name or address, else the one the running system listens to; no row without either."""
    name, rest = "exchange clock", ""
    try:
        if venue:
            rest = (venue_address(venue) or {"rest": ""})["rest"]
        elif attach(data_dir) is not None:
            rest = (RunSpec.load(DataPaths(data_dir, "SIM").run_file).venue or {"rest": ""})["rest"]
        limits = load(config_files, os.environ).settings.safety.clock
    except (ConfigError, ValueError, OSError) as error:
        return [Row(name, "fail", str(error), "name the exchange as for --venue of `launch.py run`")]
    if not rest:
        return []
    found, trouble = clock_trouble(rest, limits)
    fix = "let NTP run (chrony, systemd-timesyncd), look at the network; the limits stand in safety.clock"
    return [_verdict(name, not trouble, trouble or f"{found} ({rest})", fix)]


def check_loopback() -> Row:
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            return Row("loopback", "ok", f"could listen on {server.getsockname()[1]}")
    except OSError as error:
        return Row("loopback", "fail", str(error), "allow listening on 127.0.0.1")


def check_config(files: tuple[Path, ...]) -> Row:
    try:
        loaded = load(files, os.environ)
    except ConfigError as error:
        return Row("config", "fail", "; ".join(error.errors[:3]), "fix the named lines")
    return Row("config", "ok", f"mode {loaded.settings.trading.mode}, digest {loaded.digest}")


def check_kernel_cache() -> Row:
    folder = Path(os.environ.get("NUMBA_CACHE_DIR", ""))
    count = sum(1 for _ in folder.rglob("*.nbc")) if folder.name else 0
    return _verdict("kernel cache", count > 0, f"{count} compiled kernels", "the next start compiles them once", "warn")


def check_kill(data_dir: Path) -> Row:
    latch = read_latch(DataPaths(data_dir, "SIM").kill_file)
    if latch is None:
        return Row("kill latch", "ok", "not set")
    found = f"set by {latch.get('source')}: {latch.get('reason')}"
    return Row("kill latch", "warn", found, "launch.py resume --clear-kill (after looking why)")


def check_keys() -> Row:
    names = [n for n in ("BYBIT_API_KEY", "BYBIT_DEMO_API_KEY", "BYBIT_TESTNET_API_KEY") if os.environ.get(n)]
    return Row("keys", "ok", ", ".join(names) if names else "none in the environment: simulation only")


def check(data_dir: Path, config_files: tuple[Path, ...], venue: str = "") -> list[Row]:
    """Every check; none of them changes anything."""
    checks: list[Callable[[], Row]] = [
        check_python, check_packages, check_shared_memory, lambda: check_disk(data_dir), check_cpu, check_memory,
        check_clock, check_loopback, lambda: check_config(config_files), check_kernel_cache,
        lambda: check_kill(data_dir), check_keys,
    ]
    return [one() for one in checks] + check_exchange_clock(data_dir, config_files, venue)


def print_report(rows: list[Row]) -> None:
    """The list a person reads."""
    from rich.console import Console
    from rich.markup import escape

    console = Console()
    marks = {"ok": "[green]✔[/]", "warn": "[yellow]⚠[/]", "fail": "[red]✘[/]"}
    for row in rows:
        console.print(f"{marks[row.level]} {row.name:<14} {escape(row.finding)}", highlight=False)
        if row.fix:
            console.print(f"  [dim]→ {escape(row.fix)}[/]", highlight=False)
