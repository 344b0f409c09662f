"""Where everything lives on disk. The only module that knows folder names."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KERNEL_FOLDERS = ("core", "shm", "gateway")  # packages that hold compiled kernels
CONFIG_DIR = ROOT / "config"
SHIPPED = tuple(CONFIG_DIR / f"{name}.toml" for name in ("trading", "safety", "skip", "thresholds", "symbols", "system"))
LOCAL = CONFIG_DIR / "local.toml"
CALIBRATED = "calibrated.toml"  # beside LOCAL: what `calibrate --apply` measured


def default_data_dir(environ: dict[str, str] | None = None) -> Path:
    """`$SCALPER_DATA_DIR`, else `data/` in the checkout."""
    env = os.environ if environ is None else environ
    value = env.get("SCALPER_DATA_DIR")
    return Path(value).expanduser().resolve() if value else ROOT / "data"


MODES = ("SIM", "DRY_RUN", "LIVE")
"""Each has a folder of its own, so that none reads or writes what another one keeps."""
STORES = ("orderbook", "trades_stream", "microcandles", "metrics", "events", "trades_log", "profiles", "system")
"""Kinds of the storage API (requirement A20): a folder of the mode each."""


@dataclass(frozen=True)
class DataPaths:
    """All paths below one data folder. Modes never share files; `run/` is shared so that one plant runs per folder."""

    data_dir: Path
    mode: str

    @property
    def run_dir(self) -> Path:
        return self.data_dir / "run"

    @property
    def run_file(self) -> Path:
        """Description of the running plant (RunSpec as JSON)."""
        return self.run_dir / "run.json"

    @property
    def lock_file(self) -> Path:
        return self.run_dir / "lock"

    @property
    def kill_file(self) -> Path:
        """Durable kill latch: while it exists nothing is entered, across restarts."""
        return self.run_dir / "KILL"

    @property
    def pause_file(self) -> Path:
        """Durable pause: while it exists nothing is entered, across restarts; exits go on."""
        return self.run_dir / "PAUSE"

    @property
    def blacklist_file(self) -> Path:
        """Symbols a person has taken out of trading (config/blacklist_file.py)."""
        return self.run_dir / "blacklist.json"

    @property
    def admin_file(self) -> Path:
        """Ports the admin process has bound."""
        return self.run_dir / "admin.json"

    @property
    def news_file(self) -> Path:
        """News items for the gateway, one JSON object per line (config/news_file.py)."""
        return self.run_dir / "news.jsonl"

    @property
    def rollout_file(self) -> Path:
        """Capital stage of the LIVE account with its evidence (config/rollout_file.py)."""
        return self.live_dir / "rollout.json"

    @property
    def pin_file(self) -> Path:
        """Hash of the PIN of LIVE (config/pin.py)."""
        return self.live_dir / "pin.json"

    @property
    def incidents_dir(self) -> Path:
        return self.live_dir / "incidents"

    @property
    def incidents_list(self) -> Path:
        return self.live_dir / "INCIDENTS.md"

    @property
    def live_dir(self) -> Path:
        """Of mode LIVE, whatever mode runs now."""
        return self.data_dir / "live"

    @property
    def shadow_dir(self) -> Path:
        """Candidate settings that decided beside runs of this mode: a folder per run (workers/shadow.py)."""
        return self.mode_dir / "shadow"

    @property
    def calibration_dir(self) -> Path:
        """What own fills say about the paper engine: a suggestion per run (workers/calibrate.py)."""
        return self.mode_dir / "calibration"

    @property
    def trade_checks_file(self) -> Path:
        """What the exchange's history said of every LIVE trade, one line each (workers/live_evidence.py)."""
        return self.mode_dir / "trade_checks.jsonl"

    @property
    def churn_dir(self) -> Path:
        """Symbols the churn throttle has latched off: one file each (config/latch_file.py)."""
        return self.mode_dir / "churn"

    @property
    def mode_dir(self) -> Path:
        return self.data_dir / self.mode.lower()

    @property
    def journal_dir(self) -> Path:
        return self.mode_dir / "journal"

    @property
    def events_dir(self) -> Path:
        return self.mode_dir / "events"

    @property
    def decisions_dir(self) -> Path:
        """Decision records, one folder per UTC day."""
        return self.mode_dir / "decisions"

    def store_dir(self, kind: str) -> Path:
        """Folder of a store; KeyError where there is no such kind."""
        if kind not in STORES:
            raise KeyError(kind)
        return self.mode_dir / kind

    @property
    def system_dir(self) -> Path:
        """The recorder's own notes: what a run was, how far its files are whole, retention."""
        return self.mode_dir / "system"

    @property
    def runs_dir(self) -> Path:
        """One file per run: settings, instruments, end."""
        return self.system_dir / "runs"

    @property
    def retention_log(self) -> Path:
        return self.system_dir / "retention.log.jsonl"

    @property
    def trades_dir(self) -> Path:
        """Closed trades and their summaries, one folder per UTC day; kept."""
        return self.mode_dir / "trades_log"

    @property
    def metrics_dir(self) -> Path:
        return self.mode_dir / "metrics"

    @property
    def database_file(self) -> Path:
        """The SQLite database, where no other one is named."""
        return self.mode_dir / "trading.sqlite"

    @property
    def profiles_file(self) -> Path:
        """Symbol profiles; missing = none."""
        return self.mode_dir / "profiles" / "profiles.json"

    @property
    def execution_journal(self) -> Path:
        return self.mode_dir / "execution.journal"

    @property
    def audit_file(self) -> Path:
        return self.mode_dir / "audit.jsonl"

    @property
    def tape_dir(self) -> Path:
        """Recorded frames that a person puts here to make backtests of."""
        return self.data_dir / "tapes"

    @property
    def log_dir(self) -> Path:
        return self.data_dir / "logs"

    def make(self) -> None:
        """Create the folders; `run/` readable by the owner only (it holds the login token).

        Raises OSError when the disk refuses.
        """
        for folder in (self.run_dir, self.mode_dir, self.journal_dir, self.events_dir, self.log_dir):
            folder.mkdir(parents=True, exist_ok=True)
        self.run_dir.chmod(0o700)
