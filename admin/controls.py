"""The writes of the admin process: PAUSE, KILL and clearing a kill. No web framework here, so nothing of it can fail them.

KILL comes first and depends on nothing: the control word, then the durable file `run/KILL`, then the audit line. A full
disk or a broken log makes the answer carry a warning; it never takes the word back.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from admin.files import JsonLines
from config.atomic_file import sync_folder, write_atomic
from config.latch_file import clear_latch, read_latch, write_latch
from config.news_file import NewsItem, append_news
from config.paths import DataPaths
from shm.control import ControlBlock

SOURCE = "admin"
ACK_TIMEOUT_S = 0.6
ACK_POLL_S = 0.004
FLAT_TIMEOUT_S = 2.0


class NotFlat(Exception):
    """A kill may not be cleared while positions or orders are open, unless they are adopted knowingly."""


def utc_text(wall_ns: int) -> str:
    """ISO-8601 with microseconds and Z."""
    return datetime.fromtimestamp(wall_ns / 1e9, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Controls:
    """Writes control words and leaves a trace of each write.

    `wake()` rings every process so that sleepers look at the words at once; `acks()` gives one row per process that runs:
    {"name", "kill_seen_ns" (monotonic, 0 = not seen), "alive"}; `exposure()` gives (open positions, working orders).
    """

    def __init__(self, words: ControlBlock, paths: DataPaths, wake: Callable[[], None], acks: Callable[[], list[dict]],
                 exposure: Callable[[], tuple[int, int]]) -> None:
        self._words = words
        self._kill_file = paths.kill_file
        self._pause_file = paths.pause_file
        self._news_file = paths.news_file
        self._audit = JsonLines(paths.audit_file)
        self._wake = wake
        self._acks = acks
        self._exposure = exposure
        self.mode = paths.mode

    def audit(self, action: str, actor: str, address: str, **detail: object) -> str | None:
        """Append one audit line; the reason as text when the disk refused it."""
        now = time.time_ns()
        row = {"ts": utc_text(now), "ts_ns": now, "evt": f"admin.{action}", "actor": actor, "from": address, "v": 1,
               **detail}
        try:
            self._audit.append(row)
        except OSError as error:
            return f"audit line not written ({error}); free the disk or fix its permissions"
        return None

    def pause(self, on: bool, actor: str, address: str, why: str = "") -> dict:
        """Stop or allow new entries, also after a restart; exits keep working. A resume takes back every pause. `why`
        replaces the reason of a pause that holds already."""
        warnings = []
        try:
            if on:
                self._words.request_pause(SOURCE, True)
                if why:
                    clear_latch(self._pause_file)
                write_latch(self._pause_file, SOURCE, why or f"paused by {actor}")
            elif clear_latch(self._pause_file):
                sync_folder(self._pause_file.parent)
        except OSError as error:
            warnings.append(f"{self._pause_file} not {'written' if on else 'removed'} ({error}): "
                            + ("the pause holds, but would not survive a restart" if on else "entries stay paused"))
        if not on and not warnings:
            self._words.clear_pause()
        self._wake()
        warning = self.audit("pause" if on else "resume", actor, address)
        return {"paused": bool(self._words.pause_sources()), "warnings": [*warnings, *([warning] if warning else [])]}

    def news(self, item: NewsItem, actor: str, address: str) -> dict:
        """Note a news item; the gateway takes it within a second."""
        warnings = []
        try:
            append_news(self._news_file, item)
        except OSError as error:
            warnings.append(f"{self._news_file} not written ({error}): the news is not noted")
        warning = self.audit("news", actor, address, symbol=item.symbol, type=item.type, impact=item.impact)
        if warning:
            warnings.append(warning)
        return {"symbol": item.symbol, "type": item.type, "warnings": warnings}

    def kill(self, reason: str, actor: str, address: str) -> dict:
        """Latch the kill and report which process has seen it, after how many milliseconds.

        Idempotent: a second kill asserts the word again, keeps the first file, and reports the same latch.
        """
        first = read_latch(self._kill_file)
        self._words.request_kill(SOURCE)
        self._wake()
        requested = self._words.get("kill_ns") or time.monotonic_ns()
        warnings = []
        record = {"time_ns": time.time_ns(), "source": SOURCE, "reason": reason}  # as config.latch_file writes and reads it
        try:
            if first is None:  # execution may have latched it meanwhile, without the person's reason: replace that
                write_atomic(self._kill_file, msgspec.json.encode(record))
        except OSError as error:
            warnings.append(f"{self._kill_file} not written ({error}): the kill holds, but would not survive a restart; "
                            "write the file by hand")
        warning = self.audit("kill", actor, address, reason=reason, repeated=first is not None)
        if warning:
            warnings.append(warning)
        acks = self._wait_for_acks(requested)
        return {"killed": True, "already": first is not None, "since_ts": first["time_ns"] // 1_000_000 if first else None,
                "seen": sum(row["seen"] for row in acks), "of": len(acks), "processes": acks, "warnings": warnings}

    def wait_flat(self, timeout_s: float = FLAT_TIMEOUT_S) -> bool:
        """Has execution verified, within this time, that nothing is open any more?"""
        deadline = time.monotonic() + timeout_s
        while not self._words.flat and time.monotonic() < deadline:
            time.sleep(ACK_POLL_S)
        return bool(self._words.flat)

    def _wait_for_acks(self, requested: int) -> list[dict]:
        """Ask until every live process has seen the kill, at most `ACK_TIMEOUT_S`; ms count from the request in force."""
        deadline = time.monotonic_ns() + int(ACK_TIMEOUT_S * 1e9)
        while True:
            rows = [{"name": row["name"], "seen": row["kill_seen_ns"] > 0, "alive": row["alive"],
                     "ms": round(max(0, row["kill_seen_ns"] - requested) / 1e6, 2) if row["kill_seen_ns"] else None}
                    for row in self._acks()]
            waiting = any(not row["seen"] and row["alive"] is not False for row in rows)
            if not waiting or time.monotonic_ns() >= deadline:
                return rows
            time.sleep(ACK_POLL_S)

    @property
    def clear_phrase(self) -> str:
        """What a person types to clear a kill: names the mode, so that nobody clears the wrong system."""
        return f"CLEAR KILL {self.mode}"

    def clear(self, reason: str, adopt: bool, actor: str, address: str) -> dict:
        """Take the latch back: file first, then the word. Raises NotFlat when something is open and not adopted."""
        positions, orders = self._exposure()
        if (positions or orders) and not adopt:
            raise NotFlat(f"{positions} position(s) and {orders} working order(s) are still open")
        warnings = []
        try:
            if clear_latch(self._kill_file):
                sync_folder(self._kill_file.parent)
        except OSError as error:
            return {"killed": True, "warnings": [f"{self._kill_file} not removed ({error}); the kill stays latched"]}
        self._words.clear_kill()
        self._wake()
        warning = self.audit("kill_clear", actor, address, reason=reason, adopted=adopt and bool(positions or orders))
        if warning:
            warnings.append(warning)
        return {"killed": False, "warnings": warnings}
