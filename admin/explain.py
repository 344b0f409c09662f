"""Why and why not: decision records of the running plant and of its data folder, and the funnel of the last hour.

The newest records of every symbol are kept as they come through the decision rings (slot SLOT_ADMIN); older ones are read
from the recorder's files when somebody asks. Answers are made by `core/explain.py`.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from admin.snapshot import Snapshot, SymbolInfo
from core.decision import FUNNEL, FUNNEL_ACCEPTED
from core.engine.gate_list import GATES
from core.enums import Cause, Gate, GlobalRegime, Pump, Regime, State
from core.explain import REFUSAL_WORDS, Naming, brief, explanation, gate_words, name_of, plain
from core.journal import JournalError, block_frames
from shm.journal_reader import decompress, read_scan, segments
from shm.regions import MAX_SYMBOLS
from shm.topology import SLOT_ADMIN, Plant

KEEP = 20  # records of a symbol held in memory
LISTED = 20  # of them in an answer
WINDOW_S = 3600
SAMPLE_NS = 60_000_000_000
PREFIX = "decisions"
CENTS = 100.0  # of the _e2 columns


# --- files ------------------------------------------------------------------------------------------------------------
def stored_lines(folder: Path) -> Iterator[bytes]:
    """JSON of the decisions of a `decisions` folder, newest day, segment and block first; damaged blocks are skipped."""
    for day in sorted((path for path in folder.glob("*") if path.is_dir()), reverse=True):
        for path in reversed(segments(day, PREFIX)):
            try:
                data, found = read_scan(path)
            except (JournalError, OSError):
                continue
            for block in reversed(found.blocks):
                yield from (frame.data for frame in reversed(list(block_frames(data, block, decompress))))


def find_stored(folder: Path, wanted: str, at_ms: int = 0) -> dict[str, Any] | None:
    """The newest stored decision of an id (`<seq>-<symbol>`) or a symbol, with `at_ms` none after that time (epoch ms: every
    run counts its events from 1, so a later one may have used the id again); None when there is none."""
    key = "id" if "-" in wanted else "symbol"
    needle = f'"{key}":"{wanted}"'.encode()
    found = (msgspec.json.decode(line) for line in stored_lines(folder) if needle in line)
    return next((d for d in found if is_by(d, at_ms)), None)


def is_by(decision: dict[str, Any], at_ms: int) -> bool:
    return not at_ms or decision["ts_ns"] // 1_000_000 <= at_ms


# --- the running plant ------------------------------------------------------------------------------------------------
class Decisions:
    """The newest decision records of every symbol. Call `drain` regularly; safe to read from several threads."""

    def __init__(self, plant: Plant, folder: Path) -> None:
        self._readers = plant.decision_readers(SLOT_ADMIN)
        self._folder = folder
        self._lock = threading.Lock()
        self._newest: dict[int, deque[np.ndarray]] = {}

    def drain(self) -> None:
        """Take what is in the rings."""
        with self._lock:
            for reader in self._readers:
                while len(records := reader.read()):
                    for record in records:
                        self._newest.setdefault(int(record["symbol"]), deque(maxlen=KEEP)).append(record.copy())

    def clear(self) -> None:
        """Forget the newest ones (a replay began anew)."""
        with self._lock:
            self._newest.clear()

    def of_symbol(self, info: SymbolInfo) -> list[dict[str, Any]]:
        """Its newest decisions, newest first."""
        naming = Naming(info.name, info.tick_mant, info.price_exp)
        with self._lock:
            records = list(self._newest.get(info.id, ()))
        return [plain(record, naming) for record in reversed(records)]

    def find(self, wanted: str, info: SymbolInfo | None, at_ms: int = 0) -> dict[str, Any] | None:
        """A decision by id (`<seq>-<symbol>`), none after `at_ms`; `info`: the symbol the id names, when it is listed."""
        if info is not None:
            for d in self.of_symbol(info):
                if d["id"] == wanted and is_by(d, at_ms):
                    return d
        return find_stored(self._folder, wanted, at_ms)


def live(snapshot: Snapshot, info: SymbolInfo) -> dict[str, Any]:
    """The same shape for a symbol nothing was decided about: what its board row says now."""
    row = snapshot.rows[snapshot.place(info.id)]
    gate = name_of(Gate, int(row["gate"]))
    state = name_of(State, int(row["state"]))
    scores = {"long": int(row["score_long_e2"]) / CENTS, "short": int(row["score_short_e2"]) / CENTS,
              "watch": int(row["watch_e2"]) / CENTS, "arm": int(row["arm_e2"]) / CENTS}
    best = max(scores["long"], scores["short"])
    why = gate_words(Gate[gate], best, scores["watch"]) if gate in ("SCORE_WATCH", "SCORE_ARM") else ""
    words = [f"{info.name}: no decision yet. " + (f"Now {why}." if why else f"Now the gate {gate} is first."),
             f"Scores: long {scores['long']:.1f}, short {scores['short']:.1f}; watching starts at {scores['watch']:.1f}."]
    return {
        "id": "", "symbol": info.name, "ts": int(row["ts_recv_ns"]) // 1_000_000, "side": "either side",
        "verdict": "rejected", "gate": gate, "words": words,
        "state": {"from": state, "to": state, "cause": Cause.NONE.name}, "regime": name_of(Regime, int(row["regime"])),
        "pump": name_of(Pump, int(row["pump"])),
        "global_regime": str(snapshot.global_regime.get("regime", GlobalRegime.GLOBAL_NORMAL.name)), "category": "",
        "scores": scores, "terms": [], "features": [], "gates": [], "plan": None, "attempts": 0, "nudges": 0,
        "config_version": int(snapshot.control["config_version"]),
        "profile": {"version": 0, "raise": 0.0, "size": 1.0}, "live": True,
    }


def explain(decisions: Decisions, snapshot: Snapshot, wanted: str, at_ms: int = 0) -> dict[str, Any] | None:
    """Why: the decision of an id, or the latest of a symbol (its present values where there is none); None = unknown."""
    name = wanted.partition("-")[2] if wanted.partition("-")[0].isdigit() else wanted
    info = snapshot.by_name(name)
    if name != wanted:
        found = decisions.find(f"{wanted.partition('-')[0]}-{info.name if info else name.upper()}", info, at_ms)
        return explanation(found) if found else None
    if info is None or snapshot.place(info.id) < 0:
        return None
    newest = decisions.of_symbol(info)
    return explanation(newest[0]) if newest else live(snapshot, info)


def listed(decisions: Decisions, info: SymbolInfo) -> list[dict[str, Any]]:
    """Rows of a symbol's list of decisions, newest first."""
    return [brief(d) for d in decisions.of_symbol(info)[:LISTED]]


# --- funnel -----------------------------------------------------------------------------------------------------------
class Funnel:
    """Counts of the last hour per gate: samples of the funnel board once a minute, the newest minus the oldest."""

    def __init__(self, plant: Plant) -> None:
        self._plant = plant
        self._rows: np.ndarray = np.zeros(MAX_SYMBOLS, FUNNEL.dtype)
        self._samples: deque[tuple[int, np.ndarray]] = deque(maxlen=WINDOW_S * 1_000_000_000 // SAMPLE_NS + 1)

    def clear(self, since_ns: int) -> None:
        """Forget the samples (a replay went back): the board counts from `since_ns` on."""
        self._samples.clear()
        self._samples.append((since_ns, np.zeros_like(self._rows["looks"], np.int32)))

    def look(self, now_ns: int) -> None:
        """Read the board; keep a sample once a minute. now_ns: CLOCK_MONOTONIC."""
        self._plant.funnel().read_all(self._rows)
        if not self._samples or now_ns - self._samples[-1][0] >= SAMPLE_NS:
            self._samples.append((now_ns, self._rows["looks"].astype(np.int32)))

    def answer(self, symbols: dict[int, SymbolInfo], now_ns: int) -> dict[str, Any]:
        """/api/funnel. A shard that was restarted counts from zero again: its older samples then weigh nothing."""
        self.look(now_ns)
        since, oldest = self._samples[0]
        looks = self._rows["looks"] - oldest
        looks[(looks < 0).any(axis=1)] = self._rows["looks"][(looks < 0).any(axis=1)]
        if len(self._samples) == 1:  # younger than a minute: everything since the start
            looks = self._rows["looks"].copy()
        return {"window_s": WINDOW_S, "covered_s": round((now_ns - since) / 1e9), **funnel(looks, symbols)}


def funnel(looks: np.ndarray, symbols: dict[int, SymbolInfo]) -> dict[str, Any]:
    """The funnel of counts int[rows, N_FUNNEL] (FUNNEL.looks by symbol id): first the looks of the shards, then what
    execution said to the entries they sent."""
    total = looks.sum(axis=0)
    left = evaluations = int(total[0]) + sum(int(total[gate]) for gate in GATES)
    gates = []
    for gate in GATES:
        left -= int(total[gate])
        gates.append({"name": gate.name, "stage": "symbol", "passed": left, "blocked": int(total[gate])})
    accepted = int(total[FUNNEL_ACCEPTED])
    refusals = [gate for gate in REFUSAL_WORDS if total[gate]]
    left = accepted + sum(int(total[gate]) for gate in refusals)
    for gate in refusals:
        left -= int(total[gate])
        gates.append({"name": gate.name, "stage": "execution", "passed": left, "blocked": int(total[gate])})
    return {"evaluations": evaluations, "gates": gates, "accepted": accepted,
            "top_blockers": _top_blockers(looks, symbols)}


def _top_blockers(looks: np.ndarray, symbols: dict[int, SymbolInfo]) -> list[dict[str, Any]]:
    codes = [int(gate) for gate in GATES]
    rows = []
    for symbol, info in symbols.items():
        counts = looks[symbol, codes]
        all_looks = int(counts.sum()) + int(looks[symbol, 0])
        if all_looks == 0 or not counts.any():
            continue
        at = int(np.argmax(counts))
        rows.append({"symbol": info.name, "gate": GATES[at].name, "share": round(int(counts[at]) / all_looks, 4),
                     "count": int(counts[at])})
    return sorted(rows, key=lambda row: (-row["share"], row["symbol"]))
