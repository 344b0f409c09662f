"""Frames of a recorded run as a tape, so that whatever reads tapes can work on journals."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import zstandard

from config.paths import default_data_dir
from core.consumption import Kind
from gateway.tape import TapeError
from workers.run_journal import NoJournal, RunJournal, find_run

LEVEL = 1


def write_tape(journal: RunJournal, path: Path, to_ns: int = 0) -> int:
    """Write the public frames of a run to `path` (zstd); returns how many. Reading ends at the first hole."""
    count = 0
    with path.open("wb") as raw, zstandard.ZstdCompressor(level=LEVEL).stream_writer(raw) as file:
        for frame, note in journal.read("raw"):
            if note is not None or frame.kind >= Kind.RUN:
                continue
            if to_ns and frame.ts_recv_ns > to_ns:
                break
            file.write(b"%d %b\n" % (frame.ts_recv_ns, frame.data))
            count += 1
    return count


@contextmanager
def journal_tape(place: Path | None, to_ns: int = 0) -> Iterator[tuple[str, ...]]:
    """The tape of the newest run under `place` (`latest`: of the data folder), as long as the block runs; without a place
    no tape. Raises TapeError."""
    if place is None:
        yield ()
        return
    try:
        journal = find_run(default_data_dir() if str(place) == "latest" else place.expanduser())
    except NoJournal as error:
        raise TapeError(str(error)) from None
    with tempfile.TemporaryDirectory(prefix="scalper-tape-") as folder:
        path = Path(folder) / f"{journal.run_id}.frames.zst"
        if not write_tape(journal, path, to_ns):
            why = journal.state["raw"].hole or "it is empty"
            raise TapeError(f"the journal of run {journal.run_id} holds no public frames: {why}")
        yield (str(path),)
