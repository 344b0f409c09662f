"""Before the plant exists: options, the single-instance lock, the run description, start-up errors."""

from __future__ import annotations

import fcntl
import os
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from config.fingerprint import source_digest
from config.paths import ROOT, DataPaths
from config.schema import Settings
from shm.run_spec import RunSpec, VenueAddress, new_run_id
from workers.permit import Permit, Person, Refused, live_permit

LOOPBACK = ("127.0.0.1", "localhost", "::1")
EXIT_OK, EXIT_UNEXPECTED, EXIT_CREDENTIALS, EXIT_PREFLIGHT, EXIT_LOCKED, EXIT_CRASH_LOOP = 0, 1, 4, 5, 7, 8
PUBLIC, PRIVATE, TRADE = "/v5/public/linear", "/v5/private", "/v5/trade"
HOSTS: dict[str, VenueAddress] = {
    "mainnet": {
        "rest": "https://api.bybit.com", "ws_public": f"wss://stream.bybit.com{PUBLIC}",
        "ws_private": f"wss://stream.bybit.com{PRIVATE}", "ws_trade": f"wss://stream.bybit.com{TRADE}",
    },
    "testnet": {
        "rest": "https://api-testnet.bybit.com", "ws_public": f"wss://stream-testnet.bybit.com{PUBLIC}",
        "ws_private": f"wss://stream-testnet.bybit.com{PRIVATE}", "ws_trade": f"wss://stream-testnet.bybit.com{TRADE}",
    },
    "demo": {  # trades on mainnet data, and has no order WebSocket
        "rest": "https://api-demo.bybit.com", "ws_public": f"wss://stream.bybit.com{PUBLIC}",
        "ws_private": f"wss://stream-demo.bybit.com{PRIVATE}",
    },
}


class StartError(Exception):
    """A start-up failure: exit code, cause, fix."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def start_code(code: int | None) -> int:
    """Exit code of a start that a process ended with `code`: what it says of usage, configuration or machine is ours."""
    return code if code in (2, 3, 5) else EXIT_UNEXPECTED


@dataclass(frozen=True)
class Options:
    """What the command line asked for."""

    shards: int = 2
    venue: str = "embedded"
    tape: tuple[str, ...] = ()
    instruments: str = ""
    speed: float = 1.0
    symbols: str = ""
    duration_s: float = 0.0
    data_dir: Path = ROOT / "data"
    admin: bool = True
    seed: int = 42
    config_files: tuple[str, ...] = ()
    overrides: Mapping[str, Any] = field(default_factory=dict)  # settings given on the command line
    live: bool = False  # first confirmation of LIVE
    account: str = ""  # second one: the number of the account, where it is given and not typed
    shadow: tuple[str, ...] = ()  # settings of a second configuration that decides beside the run
    json: bool = False
    verbose: int = 0


def take_lock(paths: DataPaths) -> IO[str]:
    """Hold the data folder: one plant at a time. The lock dies with the process, however it dies.

    Raises StartError when another instance holds it, or the folder cannot be used.
    """
    try:
        paths.make()
        lock = paths.lock_file.open("a+")
    except OSError as error:
        text = f"data folder {paths.data_dir}: {error}. Choose another with --data-dir."
        raise StartError(EXIT_PREFLIGHT, text) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.seek(0)
        pid = lock.read().strip() or "unknown"
        lock.close()
        raise StartError(
            EXIT_LOCKED,
            f"another instance (pid {pid}) is running in {paths.data_dir}.\n"
            "   See it with `launch.py status`, or use another --data-dir.",
        ) from None
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock


def venue_address(name: str) -> VenueAddress | None:
    """Addresses of a named venue or of a REST address; None for the embedded one (known once it runs).

    `REST,WS` gives both (WS of the public stream, the other two beside it). From REST alone: `https://api...` has its
    streams at `wss://stream...` (Bybit and its regional sites), and our own venue (`launch.py venue`) at the next port.
    Raises ValueError for anything else.
    """
    if name in HOSTS:
        return HOSTS[name]
    if name == "embedded":
        return None
    rest, _, ws_public = (part.strip().rstrip("/") for part in name.partition(","))
    parts = urlsplit(rest)
    host = parts.hostname or ""
    if ws_public:
        pass
    elif host.startswith("api"):
        ws_public = f"wss://stream{host[3:]}{PUBLIC}"
    elif parts.port and host in LOOPBACK:
        ws_public = f"ws://{host}:{parts.port + 1}{PUBLIC}"
    if parts.scheme not in ("http", "https") or not host or not ws_public.startswith(("ws://", "wss://")):
        raise ValueError(
            f"{name!r}: use embedded, mainnet, testnet, demo, the REST address of a Bybit V5 venue, or REST,WS with both"
        )
    base = ws_public.removesuffix(PUBLIC)
    return VenueAddress(rest=rest, ws_public=ws_public, ws_private=base + PRIVATE, ws_trade=base + TRADE)


def permit_live(options: Options, settings: Settings, paths: DataPaths) -> Permit:
    """Permission to trade for real. Raises StartError with every reason that stands against it and what to do."""
    address = venue_address(options.venue)
    rest = "embedded" if address is None else address["rest"]
    try:
        return live_permit(options, rest, settings.trading.capital_tier, paths, os.environ, Person(os.environ),
                           settings.safety.clock)
    except Refused as refused:
        raise StartError(refused.code, str(refused)) from None


def make_spec(options: Options, settings: Settings, paths: DataPaths) -> RunSpec:
    """Everything the processes must know of this run."""
    system, rings = settings.system, settings.system.rings
    paced = bool(options.tape)
    return RunSpec(
        run_id=new_run_id(),
        mode=settings.trading.mode,
        shards=options.shards,
        paced=paced,
        data_dir=str(paths.data_dir),
        seed=options.seed,
        venue=None if paced else venue_address(options.venue),
        venue_name=options.venue,
        tape=list(options.tape),
        tape_speed=options.speed,
        instruments=options.instruments,
        symbols=options.symbols,
        config_files=list(options.config_files),
        overrides=dict(options.overrides) | {"trading.mode": settings.trading.mode},
        admin={"host": system.admin.host, "port": system.admin.port},
        token=secrets.token_urlsafe(24) if options.admin else "",
        created_ns=time.time_ns(),
        market_cells=rings.market_cells,
        raw_cells=rings.raw_cells,
        intent_slots=rings.intent_slots,
        report_slots=rings.report_slots,
        log_records=rings.log_records,
        decision_records=rings.decision_records,
        park_ms=system.idle.park_ms,
        spin=system.idle.spin,
        code_hash=source_digest(("config", "core", "shm", "gateway", "workers", "admin")),
    )


def first_line(stream: IO[bytes], timeout_s: float) -> str:
    """First line a child prints, within a time limit ('' when it does not)."""
    box: list[bytes] = []
    reader = threading.Thread(target=lambda: box.append(stream.readline()), daemon=True)
    reader.start()
    reader.join(timeout_s)
    return box[0].decode("utf-8", "replace") if box else ""
