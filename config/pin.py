"""The PIN of LIVE: a scrypt hash in a file only the owner can read, with a limit on wrong tries that survives restarts.

    {"salt": hex, "hash": hex, "n": 32768, "r": 8, "p": 1, "failures": 0, "locked_until_ms": 0}

A try is counted before it is checked, so that a killed process cannot try for free.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import secrets
from pathlib import Path

import msgspec

from config.atomic_file import write_atomic

MIN_LENGTH = 6
TRIES = 5  # wrong ones before it locks
LOCK_MS = 15 * 60_000
N, R, P = 2**15, 8, 1  # 32 MiB and about 0.1 s per try
MAX_MEMORY = 128 * 2**20


class PinError(Exception):
    """The PIN is not accepted; the message says why and what to do."""


class PinFile(msgspec.Struct, forbid_unknown_fields=True):
    salt: str
    hash: str
    n: int
    r: int
    p: int
    failures: int = 0
    locked_until_ms: int = 0


def _hash(pin: str, file: PinFile) -> str:
    return hashlib.scrypt(
        pin.encode(), salt=bytes.fromhex(file.salt), n=file.n, r=file.r, p=file.p, maxmem=MAX_MEMORY, dklen=32
    ).hex()


def _write(path: Path, file: PinFile) -> None:
    write_atomic(path, msgspec.json.encode(file))


def _read(path: Path) -> PinFile | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=PinFile)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise PinError(f"the PIN file {path} cannot be read ({error}). Set a new one: launch.py pin set") from None


def set_pin(path: Path, pin: str) -> None:
    """Keep the hash of a new PIN. Raises PinError for a weak one."""
    if len(pin) < MIN_LENGTH:
        raise PinError(f"a PIN has at least {MIN_LENGTH} characters")
    steps = {ord(b) - ord(a) for a, b in itertools.pairwise(pin)}
    if len(steps) == 1 and steps <= {-1, 0, 1}:
        raise PinError("a PIN is not a row of equal or counted characters")
    file = PinFile(salt=secrets.token_hex(16), hash="", n=N, r=R, p=P)
    file.hash = _hash(pin, file)
    _write(path, file)


def is_set(path: Path) -> bool:
    return path.exists()


def check_pin(path: Path, pin: str, now_ms: int) -> None:
    """Returns when `pin` is the right one. Raises PinError otherwise: not set, locked, or wrong (with the tries left)."""
    file = _read(path)
    if file is None:
        raise PinError("no PIN is set. Set one: launch.py pin set")
    if now_ms < file.locked_until_ms:
        wait_s = (file.locked_until_ms - now_ms + 999) // 1000
        raise PinError(f"too many wrong PINs: locked for {wait_s} s more")
    file.failures += 1
    if file.failures >= TRIES:
        file.locked_until_ms = now_ms + LOCK_MS
    _write(path, file)
    if hmac.compare_digest(_hash(pin, file), file.hash):
        file.failures, file.locked_until_ms = 0, 0
        _write(path, file)
        return
    left = TRIES - file.failures
    if left <= 0:
        file.failures = 0
        _write(path, file)
        raise PinError(f"wrong PIN; too many of them: locked for {LOCK_MS // 60_000} min")
    raise PinError(f"wrong PIN, {left} tries left")
