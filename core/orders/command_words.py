"""COMMAND and ANSWER records as plain tuples, and back: what a person asks of execution, and what becomes of it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from core.records import ANSWER, COMMAND


class Command(NamedTuple):
    """One COMMAND without its reserved byte; fields as in `core.records.COMMAND`."""

    id: int
    wall_ns: int
    mono_ns: int
    price_ticks: int = 0
    stop_ticks: int = 0
    target_ticks: int = 0
    zone_min_ticks: int = 0
    zone_max_ticks: int = 0
    symbol: int = -1
    kind: int = 0
    side: int = 0
    value: int = 0
    confidence_e2: int = 0
    position_id: int = -1
    text: str = ""


class Answer(NamedTuple):
    """One ANSWER without its reserved bytes; fields as in `core.records.ANSWER`."""

    id: int
    wall_ns: int = 0
    order_id: int = 0
    price_ticks: int = 0
    qty_lots: int = 0
    stop_ticks: int = 0
    target_ticks: int = 0
    value: float = 0.0
    limit: float = 0.0
    symbol: int = -1
    gate: int = 0
    kind: int = 0
    ok: bool = False
    side: int = 0
    dry_run: bool = False
    text: str = ""


def position_id(order_id: int) -> int:
    """What COMMAND.position_id says of a position whose entry order is `order_id`."""
    return order_id & 0x7FFF_FFFF


def write_command(command: Command) -> np.ndarray:
    """A COMMAND record array (1,)."""
    *words, text = command
    rows: np.ndarray = np.zeros(1, COMMAND.dtype)
    for name, value in zip(Command._fields[:-1], words, strict=True):
        rows[0][name] = value
    _put(rows[0]["text"], text)
    return rows


def read_commands(records: np.ndarray, n: int) -> list[Command]:
    """The first `n` COMMAND records as tuples."""
    return [
        Command._make([*(row[name].item() for name in Command._fields[:-1]), _text(row["text"])]) for row in records[:n]
    ]


def write_answer(answer: Answer) -> np.ndarray:
    """An ANSWER record array (1,)."""
    *words, text = answer
    rows: np.ndarray = np.zeros(1, ANSWER.dtype)
    for name, value in zip(Answer._fields[:-1], words, strict=True):
        rows[0][name] = value
    _put(rows[0]["text"], text)
    return rows


def read_answers(records: np.ndarray, n: int) -> list[Answer]:
    """The first `n` ANSWER records as tuples."""
    answers = []
    for row in records[:n]:
        values = {name: row[name].item() for name in Answer._fields[:-1]}
        values |= {"ok": bool(values["ok"]), "dry_run": bool(values["dry_run"])}
        answers.append(Answer(**values, text=_text(row["text"])))
    return answers


def _put(field: np.ndarray, text: str) -> None:
    """Text into bytes, cut at a character border where it is too long."""
    data = text.encode()[: len(field)].decode("utf-8", "ignore").encode()
    field[: len(data)] = np.frombuffer(data, np.uint8)


def _text(field: np.ndarray) -> str:
    return bytes(field).rstrip(b"\0").decode("utf-8", "replace")


for _words, _record in ((Command, COMMAND), (Answer, ANSWER)):
    if set(_words._fields) | {"reserved"} != set(_record.dtype.names or ()):
        raise AssertionError(f"{_record.name} and its tuple differ")
