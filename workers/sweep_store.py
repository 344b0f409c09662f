"""A sweep on the disk, so that one that was ended goes on: `<data>/sim/sweeps/<name>/{asked.json, points.jsonl}`.

`asked.json` says what was asked for; a sweep goes on only where every bit of that is the same. `points.jsonl` has a line for
each point as soon as it is computed. Whoever goes on asks the sampler for the same points again, from the first one, and takes
those that are here: the ranking is that of a sweep that was never ended. `trials`, `jobs` and the cluster may be others.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import Any

import msgspec

from config.atomic_file import write_replacing
from config.fingerprint import source_digest
from config.load import digest as settings_digest
from config.paths import DataPaths
from workers.backtest import Job, input_facts, journal_facts, journal_of, settings_of
from workers.sweep import Space, SweepError, Trial

ASKED, POINTS = "asked.json", "points.jsonl"
CODE = ("config", "core", "shm", "gateway", "workers")


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a sweep was asked for. `settings`: digest of those that the points stand on; `code`: of the sources."""

    recording: list[dict[str, Any]]
    instruments: list[dict[str, Any]]
    symbols: str
    from_ns: int
    to_ns: int
    settings: str
    space: Space
    sampler: str
    seed: int
    objective: str
    code: str


WORDS = {
    "recording": "another recording (--tape, --journal)", "instruments": "other --instruments", "symbols": "other --symbols",
    "from_ns": "another --from", "to_ns": "another --to", "settings": "other settings (config files, --set, environment)",
    "space": "another --space", "sampler": "another --sampler", "seed": "another --seed",
    "objective": "another --objective", "code": "another version of the code",
}


def asked(job: Job, space: Space, sampler: str, seed: int, objective: str) -> Asked:
    """Raises TapeError, ConfigError."""
    return Asked(
        recording=journal_facts(journal_of(job)) if job.journal else input_facts(job.tapes),
        instruments=input_facts([job.instruments] if job.instruments else []), symbols=job.symbols, from_ns=job.from_ns,
        to_ns=job.to_ns, settings=settings_digest(settings_of(job)), space=space, sampler=sampler, seed=seed,
        objective=objective, code=source_digest(CODE),
    )


class SweepStore:
    """Points of one sweep; `name` is its folder. One process at a time; `close` lets go of it."""

    def __init__(self, folder: Path) -> None:
        """Raises SweepError where another process is at it, or the disk refuses."""
        self.folder = folder
        self.name = folder.name
        self._points: dict[bytes, Trial] = {}
        try:
            self._file = (folder / POINTS).open("a+b")
        except OSError as error:
            raise refused(folder, error) from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise SweepError(f"the sweep {self.name} is running already. Wait for its end, or end it.") from None
        self._read()

    def get(self, overrides: dict[str, Any]) -> Trial | None:
        """What the point with these settings brought, where it is known."""
        return self._points.get(key_of(overrides))

    def add(self, trial: Trial) -> None:
        """Raises SweepError where the disk refuses."""
        try:
            self._file.write(msgspec.json.encode(trial) + b"\n")
            self._file.flush()
        except OSError as error:
            raise refused(self.folder, error) from None
        self._points[key_of(trial.overrides)] = trial

    def __len__(self) -> int:
        return len(self._points)

    def close(self) -> None:
        self._file.close()

    def _read(self) -> None:
        """The whole lines; what a killed writer left of its last one is cut off."""
        self._file.seek(0)
        data = self._file.read()
        whole = data[: data.rfind(b"\n") + 1]
        try:
            trials = [msgspec.json.decode(line, type=Trial) for line in whole.splitlines()]
        except msgspec.MsgspecError as error:
            self.close()
            raise SweepError(f"{self.folder / POINTS} is damaged ({error}). Start a new sweep, without --resume.") from None
        self._points = {key_of(trial.overrides): trial for trial in trials}
        self._file.truncate(len(whole))


def key_of(overrides: dict[str, Any]) -> bytes:
    return msgspec.json.encode(overrides, order="sorted")


def refused(folder: Path, error: OSError) -> SweepError:
    return SweepError(f"the sweep cannot be kept in {folder} ({error.strerror}). Choose another place with --data-dir.")


def folder_of(paths: DataPaths) -> Path:
    return paths.mode_dir / "sweeps"


def begin(wanted: Asked, paths: DataPaths) -> SweepStore:
    """A new sweep. Raises SweepError."""
    name = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{wanted.settings}-{os.getpid():x}"
    folder = folder_of(paths) / name
    try:
        write_replacing(folder / ASKED, msgspec.json.encode(wanted))
    except OSError as error:
        raise refused(folder, error) from None
    return SweepStore(folder)


def resume(name: str, wanted: Asked, paths: DataPaths) -> SweepStore:
    """Go on with a kept sweep, the newest for `latest`. Raises SweepError where it is another one than `wanted`."""
    base = folder_of(paths)
    known = sorted((path.parent for path in base.glob(f"*/{ASKED}")), key=lambda folder: (folder / ASKED).stat().st_mtime)
    folder = next((each for each in reversed(known) if name in (each.name, "latest")), None)
    if folder is None:
        told = ", ".join(each.name for each in known[-5:]) or "none"
        raise SweepError(f"no sweep {name!r} in {base}; there: {told}.")
    try:
        kept = msgspec.json.decode((folder / ASKED).read_bytes(), type=Asked)
    except (OSError, msgspec.MsgspecError) as error:
        raise SweepError(f"{folder / ASKED} is not of this version ({error}). Start a new sweep, without --resume.") from None
    other = [words for field, words in WORDS.items() if getattr(kept, field) != getattr(wanted, field)]
    if other:
        raise SweepError(f"the sweep {folder.name} was made with {' and '.join(other)}: its points say nothing of this one. "
                         "Give what it was made with, or start a new one, without --resume.")
    return SweepStore(folder)
