"""What a run is: its description, which travels as run.json, and its table of processes."""

from __future__ import annotations

import os
import secrets
import time
from pathlib import Path
from typing import Any, NamedTuple, NotRequired, TypedDict
from urllib.parse import urlsplit

import msgspec

from shm.layout import LAYOUT_HASH

MAX_SHARDS = 32


class Role(NamedTuple):
    name: str
    module: str
    sentence: str


ROLES: tuple[Role, ...] = (
    Role("supervisor", "launch", "process table, shared memory, orderly stop"),
    Role("gateway", "gateway.market_data", "public sockets or tapes to market rings"),
    Role("execution", "workers.execution", "risk, paper account, the only door to an order"),
    Role("recorder", "workers.recorder", "journal of raw frames, JSONL"),
    Role("admin", "admin.server", "pages, REST, WebSocket push"),
    Role("venue", "gateway.venue", "embedded exchange"),
    Role("guardian", "workers.guardian", "LIVE only: protects what is open while execution is gone"),
    Role("shard", "workers.shard", "books, features, scores and states of its symbols; one process per shard"),
)
ROLE_NAMES: tuple[str, ...] = tuple(role.name for role in ROLES)


class VenueAddress(TypedDict):
    """Addresses of an exchange; `ws_trade` is missing where orders go over REST (demo). Keys only of the embedded one,
    which hands them out itself: others come from the environment and are never written down."""

    rest: str
    ws_public: str
    ws_private: NotRequired[str]
    ws_trade: NotRequired[str]
    api_key: NotRequired[str]
    api_secret: NotRequired[str]


class ReplaySource(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The recorded run a plant replays."""

    journal: str  # folder of its journal
    run_id: str
    data_dir: str  # data folder it ran in: its database, its decisions


class RunSpec(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Everything a process must know of a run; travels as run.json. Settings are loaded from `config_files` and
    `overrides` by whoever needs them."""

    run_id: str
    mode: str = "SIM"
    shards: int = 1
    paced: bool = False
    data_dir: str = "data"
    seed: int = 1
    venue: VenueAddress | None = None
    venue_name: str = "embedded"  # as asked for: embedded, mainnet, testnet, demo, or an address
    tier_allowed: str = "PAPER"  # core.risk.tiers.Rank that the evidence allows on this venue (LIVE)
    account: str = ""  # number of the account of a LIVE run on a real exchange
    tape: list[str] = msgspec.field(default_factory=list)
    tape_speed: float = 0.0  # 0 = as fast as possible, 1 = as recorded
    instruments: str = ""  # file with a recorded instruments-info answer
    symbols: str = ""  # selector: empty = all, a number, or names separated by commas
    config_files: list[str] = msgspec.field(default_factory=list)
    overrides: dict[str, Any] = msgspec.field(default_factory=dict)
    admin: dict[str, Any] = msgspec.field(default_factory=lambda: {"host": "127.0.0.1", "port": 0})
    token: str = ""
    replay: ReplaySource | None = None  # nothing trades here: the pages show this run again
    created_ns: int = 0
    market_cells: int = 262_144
    raw_cells: int = 1_048_576
    intent_slots: int = 4096
    report_slots: int = 4096
    log_records: int = 16_384
    decision_records: int = 2048
    tap_cells: int = 32_768
    spin: int = 200
    park_ms: float = 5.0
    layout_hash: int = LAYOUT_HASH
    code_hash: str = ""

    def __post_init__(self) -> None:
        if not 1 <= self.shards <= MAX_SHARDS:
            raise ValueError(f"shards = {self.shards}: 1..{MAX_SHARDS}")
        if not self.run_id or not all(c.isalnum() or c in "-_" for c in self.run_id):
            raise ValueError(f"run id {self.run_id!r}: letters, digits, - and _ only")

    @property
    def practice(self) -> bool:
        """LIVE on an exchange of this machine: orders are real, the money is not. Every page and line says so."""
        host = urlsplit(self.venue["rest"]).hostname if self.venue else ""
        return self.mode == "LIVE" and host in ("127.0.0.1", "localhost", "::1")

    @property
    def permitted(self) -> bool:
        """May this run send orders? Outside LIVE there is nothing to permit; a LIVE run was permitted by `launch.py`
        (core.risk.permit), or is practice."""
        return self.mode != "LIVE" or self.practice or (self.account != "" and self.tier_allowed != "PAPER")

    @property
    def public(self) -> RunSpec:
        """The same without what is secret (the admin token, the embedded exchange's key): for journals."""
        venue = None if self.venue is None else self.venue.copy()
        if venue is not None:
            venue.pop("api_key", None)
            venue.pop("api_secret", None)
        return msgspec.structs.replace(self, token="", venue=venue)

    def save(self, path: Path | str) -> None:
        """Write run.json: readable by the owner only, because it holds the admin token."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f"{target.name}.{os.getpid()}.tmp")
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(self), indent=1))
        temporary.replace(target)

    @classmethod
    def load(cls, path: Path | str) -> RunSpec:
        return msgspec.json.decode(Path(path).read_bytes(), type=cls)


def new_run_id(now_ns: int | None = None) -> str:
    """UTC time and four random digits: 20260809T101500-a3f1."""
    seconds = (time.time_ns() if now_ns is None else now_ns) // 1_000_000_000
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(seconds))}-{secrets.token_hex(2)}"


def process_rows(shards: int) -> list[tuple[str, int]]:
    """The process table: (role, index) per row. LOG.process and bells count by it."""
    rows = [(role.name, 0) for role in ROLES if role.name != "shard"]
    return rows + [("shard", i) for i in range(shards)]


def tap_rows(shards: int) -> list[tuple[str, int]]:
    """Processes with a tap ring of their own; the gateway's is the raw ring."""
    return [("execution", 0), *(("shard", i) for i in range(shards))]
