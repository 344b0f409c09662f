"""The journal of a run while it is being written: the same records in the same order, as soon as they are whole on disk.

Whoever follows reads files, never a ring: it cannot slow the run, and it cannot miss what the recorder has kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from core.journal import FILE_BYTES, Frame, JournalError, block_frames, good_block
from shm.journal_reader import decompress
from workers.run_journal import Place, RunJournal, StreamState


class FollowedJournal(RunJournal):
    """`more()` is called when everything written so far was read: it waits, and says False when nothing will follow."""

    def __init__(self, folder: Path, run_id: str, more: Callable[[], bool]) -> None:
        super().__init__(folder, run_id)
        self._more = more

    def _blocks(self, prefix: str, state: StreamState, place: Place | None = None) -> Iterator[tuple[str, int, list[Frame]]]:
        assert place is None, "what is being written is followed from its beginning"
        at, index, going = FILE_BYTES, 0, True
        while True:
            paths = self.paths(prefix)
            if index < len(paths):
                path, is_last = paths[index], index == len(paths) - 1
                for frames, end in _whole(path, at, state):
                    begin, at = at, end
                    yield path.name, begin, frames
                if state.hole:
                    return
                if not is_last:  # a newer segment was there before this one was read to its end: nothing more comes here
                    if path.stat().st_size > at:
                        state.hole = f"{path.name}: bytes behind byte {at} are damaged"
                        return
                    at, index = FILE_BYTES, index + 1
                    continue
            if not going:
                return
            going = self._more()


def _whole(path: Path, at: int, state: StreamState) -> Iterator[tuple[list[Frame], int]]:
    """(frames, end) of every whole block of a segment from byte `at` on."""
    try:
        with path.open("rb") as file:
            file.seek(at)
            data = file.read()
    except OSError as error:
        state.hole = f"{path.name}: {error}"
        return
    offset = 0
    while (block := good_block(data, offset)) is not None:
        try:
            frames = list(block_frames(data, block, decompress))
        except JournalError as error:
            state.hole = f"{path.name}: block at {at + offset}: {error}"
            return
        offset = block.end
        yield frames, at + offset
