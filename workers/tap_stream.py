"""One stream of the journal: the taps of some processes into one series of segments, each record exactly once.

Every block ends with the POSITION of each tap, so a block and how far it reaches are written together or not at all; a
new recorder reads the last good block and goes on right behind it.
"""

from __future__ import annotations

import time

import msgspec

from core.consumption import ROW_DISK_FULL, Closed, Hole, Kind, Position, Run, pack, unpack
from core.journal import JournalError, block_frames
from shm.broadcast import BroadcastReader
from shm.journal_reader import decompress, read_scan, segments
from shm.run_spec import RunSpec
from workers.journal_files import SegmentWriter


class TapStream:
    """`taps`: reader by process row. Records of other processes than `plain_row` carry their row in the upper bits of
    `conn`."""

    def __init__(
        self, journal: SegmentWriter, taps: dict[int, BroadcastReader], sync_ns: int, plain_row: int
    ) -> None:
        self.journal = journal
        self.taps = taps
        self.sync_ns = sync_ns
        self.synced_ns = 0
        self.frames = 0
        self._plain_row = plain_row
        self._places: dict[int, tuple[int, int]] = {}
        self._seen_lost: dict[int, int] = {}
        self._dropped = 0
        self._run: list[tuple[int, bytes]] = []
        journal.closing = self._positions
        journal.opening = lambda: self._run

    def start(self, spec: RunSpec, restarted: bool) -> None:
        """Find the place to go on; every segment will begin with what run this is."""
        places = self._journalled_places(spec.run_id) if restarted else {}
        for row, reader in self.taps.items():
            if restarted:
                reader.seek(*places.get(row, (0, 0)))
            self._places[row] = (reader.position, reader.messages)
            self._seen_lost[row] = reader.lost_messages
        self._run = [pack(Run(msgspec.json.encode(spec.public)))]

    def _journalled_places(self, run_id: str) -> dict[int, tuple[int, int]]:
        """(cells, messages) by row behind the last block of this run that is whole."""
        for path in reversed(segments(self.journal.folder, self.journal.prefix)):
            try:
                data, found = read_scan(path)
                if found.header.run_id != run_id:
                    return {}
                if not found.blocks:
                    continue
                notes = [
                    unpack(frame.kind, frame.data)
                    for frame in block_frames(data, found.blocks[-1], decompress) if frame.kind == Kind.POSITION
                ]
            except (JournalError, OSError, ValueError):
                continue
            if notes:
                return {note.row: (note.cells, note.messages) for note in notes}
        return {}

    def take(self, row: int, header: list[int], data: bytes) -> None:
        """One message of a tap: its header cell and its payload."""
        cells, messages = self._places[row]
        self._places[row] = (cells + ((header[6] >> 48) & 0xFFFF), messages + 1)
        conn = (header[7] >> 48) & 0xFFFF
        self.frames += header[5] < Kind.RUN
        self.journal.append(
            header[2], header[3], conn if row == self._plain_row else row << 16 | conn, header[5], data
        )

    def newly_lost(self, row: int) -> int:
        """Messages a tap has lost since the last call; they become a HOLE. So does what a full disk made us drop."""
        reader = self.taps[row]
        lost = reader.lost_messages - self._seen_lost[row]
        if lost:
            self._seen_lost[row] += lost
            self._places[row] = (reader.position, reader.messages)
            self._put(Hole(row, lost))
        dropped = self.journal.lost_frames - self._dropped
        if dropped:
            self._dropped += dropped
            self._put(Hole(ROW_DISK_FULL, dropped))
        return lost

    def close(self) -> None:
        """Everything that was in the rings is taken: say so and close the files."""
        self._put(Closed(self.journal.frames))
        self.journal.close()

    @property
    def lost(self) -> int:
        """Records that did not reach the journal."""
        return sum(reader.lost_messages for reader in self.taps.values()) + self.journal.lost_frames

    def _put(self, note: Hole | Closed) -> None:
        self.journal.append(time.time_ns(), time.monotonic_ns(), 0, *pack(note))

    def _positions(self) -> list[tuple[int, bytes]]:
        return [pack(Position(row, cells, messages)) for row, (cells, messages) in self._places.items()]
