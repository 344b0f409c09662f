"""Distinct error log of a process: one row per different error, so a storm costs a counter and not a disk.

Two errors are the same when kind and text with the digits taken out are. When all rows are used, the last one
counts the rest. One writer (the process; one thread), any number of readers.
"""

from __future__ import annotations

import re
import time
import traceback
from typing import Any

import numpy as np

from shm.layout import ERROR_ROW, ERROR_ROWS

_DIGITS = re.compile(r"\d+")
OVERFLOW_KIND = "Other"
DATABASE_KIND = "Database"  # the recorder's: what the trading database refused


def put_text(target: np.ndarray, text: str) -> None:
    """Store `text` as utf-8 in a uint8 array, cut at a character, zero padded."""
    raw = text.encode("utf-8", "replace")[: target.size]
    raw = raw.decode("utf-8", "ignore").encode("utf-8")
    target[: len(raw)] = np.frombuffer(raw, np.uint8)
    target[len(raw) :] = 0


def get_text(source: Any) -> str:
    """The text of a zero-padded uint8 array."""
    return bytes(source).split(b"\0", 1)[0].decode("utf-8", "replace")


class ErrorLog:
    """View of ERROR_ROWS rows in a uint8 array."""

    def __init__(self, body: np.ndarray) -> None:
        self.rows: np.ndarray = body[: self.bytes_needed()].view(ERROR_ROW.dtype)
        self._known: dict[tuple[str, str], int] = {}
        for index in range(ERROR_ROWS):
            if int(self.rows["count"][index]):
                key = self._key(get_text(self.rows["kind"][index]), get_text(self.rows["text"][index]))
                self._known[key] = index

    @staticmethod
    def bytes_needed() -> int:
        return ERROR_ROW.size * ERROR_ROWS

    @staticmethod
    def _key(kind: str, text: str) -> tuple[str, str]:
        return kind, _DIGITS.sub("#", text)[:200]

    def record(self, error: BaseException | str, text: str = "", now_ns: int | None = None) -> int:
        """Count an error: an exception, or a short kind with a text. Returns how often it was seen by now."""
        if isinstance(error, BaseException):
            kind = type(error).__name__
            frames = traceback.extract_tb(error.__traceback__)
            where = ""
            if frames:
                last = frames[-1]
                where = f" [{last.name} {last.filename.rsplit('/', 1)[-1]}:{last.lineno}]"
            message = f"{text + ': ' if text else ''}{error}"[:200] + where
        else:
            kind, message = error, text
        now = time.time_ns() if now_ns is None else now_ns
        key = self._key(kind, message)
        index = self._known.get(key)
        if index is None:
            index = len(self._known)
            if index >= ERROR_ROWS - 1:
                index = ERROR_ROWS - 1
                kind, message = OVERFLOW_KIND, "further errors, each different from those above"
            else:
                self._known[key] = index
        row = self.rows[index]
        if int(row["count"]) == 0:
            row["first_ns"] = now
            put_text(row["kind"], kind)
            put_text(row["text"], message)
        row["last_ns"] = now
        row["count"] += 1
        return int(row["count"])

    def entries(self) -> list[dict[str, Any]]:
        """Rows in use, newest first: kind, count, first_ns, last_ns, text."""
        used = [
            {
                "kind": get_text(row["kind"]), "count": int(row["count"]), "first_ns": int(row["first_ns"]),
                "last_ns": int(row["last_ns"]), "text": get_text(row["text"]),
            }
            for row in self.rows
            if int(row["count"])
        ]
        return sorted(used, key=lambda entry: -int(entry["last_ns"]))

    def total(self) -> int:
        return int(self.rows["count"].sum())
