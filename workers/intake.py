"""The order in which execution handles what the shards say."""

from __future__ import annotations

import heapq

import numpy as np

from core.enums import MessageKind
from core.orders.broker import INTENTS
from core.orders.wire import Message, read_messages
from core.records import MESSAGE
from shm.counters import S_INTENT_HOP, S_WIRE_TO_INTENT
from shm.topology import Plant

BATCH = 256


class PacedOrder:
    """Messages by (seq, symbol, arrival): does not depend on how many shards there are or how fast they run."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, int, int, Message]] = []
        self._arrivals = 0

    def __len__(self) -> int:
        return len(self._heap)

    def put(self, shard: int, message: Message) -> None:
        self._arrivals += 1
        heapq.heappush(self._heap, (message.seq, message.symbol, self._arrivals, shard, message))

    def up_to(self, limit: int) -> list[tuple[int, Message]]:
        """What no shard can come before any more, as (shard, message); `limit`: the smallest watermark."""
        ready = []
        while self._heap and self._heap[0][0] <= limit:
            *_, shard, message = heapq.heappop(self._heap)
            ready.append((shard, message))
        return ready


class Intake:
    """The intent rings' reading end. A shard counts only once it has answered that execution (re)started."""

    def __init__(self, plant: Plant) -> None:
        self._plant = plant
        self._counters = plant.counters()
        shards = range(plant.spec.shards)
        self._intents = [plant.intents(i).reader() for i in shards]
        self._scratch: np.ndarray = np.zeros(BATCH, MESSAGE.dtype)
        self._paced = PacedOrder()
        self._silent = set(shards)
        self._ended: set[int] = set()

    def take(self, now: int) -> list[tuple[int, Message]]:
        """What may be handled now, in order, as (shard, message)."""
        limit = self._plant.min_watermark() if self._plant.spec.paced else 0  # before the rings: what it promises is in them
        arrived: list[tuple[int, Message]] = []
        for shard, reader in enumerate(self._intents):
            while n := reader.pop(self._scratch):
                for message in read_messages(self._scratch, n):
                    if message.kind == MessageKind.NONE:
                        self._silent.discard(shard)
                    elif shard in self._silent:
                        continue  # will come again, in order, behind the shard's answer to our start
                    self._measure(message, now)
                    arrived.append((shard, message))
                if n < BATCH:
                    break
        if not self._plant.spec.paced:
            return arrived
        for shard, message in arrived:
            self._paced.put(shard, message)
        return self._paced.up_to(limit)

    def end(self, shard: int) -> None:
        """The shard has nothing more to say."""
        self._ended.add(shard)

    @property
    def at_end(self) -> bool:
        """Every shard has said END, and all of it was taken."""
        return len(self._ended) == self._plant.spec.shards and not self._paced

    def _measure(self, message: Message, now: int) -> None:
        if message.mono_sent_ns > 0:
            self._counters.record(S_INTENT_HOP, max(now - message.mono_sent_ns, 0))
        if message.kind in INTENTS and message.mono_recv_ns > 0:
            self._counters.record(S_WIRE_TO_INTENT, max(now - message.mono_recv_ns, 0))
