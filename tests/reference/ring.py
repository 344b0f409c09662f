"""Naive twin of the broadcast ring: a list of batches, and readers that do the arithmetic of the contract."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class RingModel:
    """Messages are (number, length); positions in cells. A reader is overtaken when cells it has not taken may be
    under the writer's hand: below intent - capacity."""

    capacity: int
    chunk: int
    messages: list[tuple[int, int]] = field(default_factory=list)
    tail: int = 0
    intent: int = 0

    def fits(self, cells: int) -> bool:
        return cells <= self.capacity - self.chunk

    def publish(self, batch: list[tuple[int, int]]) -> None:
        cells = sum(length for _, length in batch)
        if self.tail + cells > self.intent:
            self.intent = self.tail + cells + self.chunk
        self.messages += batch
        self.tail += cells


@dataclass
class ReaderModel:
    ring: RingModel
    position: int = 0
    at: int = 0  # messages consumed or lost
    lost: int = 0
    laps: int = 0

    def read(self, room: int) -> list[int] | None:
        """Numbers of the messages read; None = the next one is longer than `room`."""
        if self.position == self.ring.tail:
            return []
        if self.ring.intent - self.position > self.ring.capacity:
            self.lost += len(self.ring.messages) - self.at
            self.at = len(self.ring.messages)
            self.position = self.ring.tail
            self.laps += 1
            return []
        numbers: list[int] = []
        while self.at < len(self.ring.messages):
            number, length = self.ring.messages[self.at]
            if length > room:
                return numbers or None
            numbers.append(number)
            room -= length
            self.position += length
            self.at += 1
        return numbers
