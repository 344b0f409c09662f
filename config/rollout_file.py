"""The rollout of an account (capital stage, its evidence, locks): one small file with a checksum, `rollout.json`.

A file that is missing starts at the bottom. One that is damaged or was edited by hand proves nothing: it allows PAPER only,
until a person starts the evidence anew (`launch.py rollout reset`).
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TypeVar

import msgspec

from config.atomic_file import write_atomic

VERSION = 1
T = TypeVar("T")


class Damaged(Exception):
    """The file is not what was written."""


def _checksum(body: bytes) -> str:
    return hashlib.sha256(b"rollout %d\n" % VERSION + body).hexdigest()


def write_rollout(path: Path, content: object) -> None:
    """Replace the file: whole or not at all, durable. Raises OSError."""
    body = msgspec.json.encode(content)
    text = msgspec.json.encode({"version": VERSION, "sha256": _checksum(body), "rollout": msgspec.Raw(body)})
    write_atomic(path, text + b"\n")


class _File(msgspec.Struct, forbid_unknown_fields=True):
    version: int
    sha256: str
    rollout: msgspec.Raw


def read_rollout(path: Path, kind: type[T]) -> T | None:
    """What was written, as `kind`; None where there is no file. Raises Damaged for anything else."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Damaged(f"{path}: {error.strerror}") from error
    try:
        file = msgspec.json.decode(text, type=_File)
        body = bytes(file.rollout)
        if file.version != VERSION or file.sha256 != _checksum(body):
            raise Damaged(f"{path}: the checksum is wrong: damaged, or edited by hand")
        return msgspec.json.decode(body, type=kind)
    except msgspec.MsgspecError as error:
        raise Damaged(f"{path}: {error}") from error
