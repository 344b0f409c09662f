"""Symbol names of the wire -> rows and grids, for both decoders.

`SymbolIndex.table` holds plain arrays that kernels read: an open-addressing hash table over names packed into three
64-bit words. They are changed in place, so a kernel called after `add` or `remove` sees the change.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np

from core.units import reduce_grid

NAME_BYTES = 24
NAME_WORDS = NAME_BYTES // 8
HASH_A = np.uint64(0x9E3779B97F4A7C15)
HASH_B = np.uint64(0xC2B2AE3D27D4EB4F)
HASH_C = np.uint64(0x165667B19E3779F9)
_U64 = (1 << 64) - 1
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-]+")


class SymbolTable(NamedTuple):
    """Arrays for kernels.

    slots: int64[power of two, at least 4 x capacity], symbol id or -1, probed linearly from `name_slot`.
    names: uint64[capacity, 3], the zero-padded name as little-endian words.
    grids: int64[capacity, 4], tick mant, tick exp, lot mant, lot exp (smallest exp).
    """

    slots: np.ndarray
    names: np.ndarray
    grids: np.ndarray


class SymbolGrid(NamedTuple):
    """What the slow path needs of a symbol."""

    id: int
    tick_mant: int
    tick_exp: int
    lot_mant: int
    lot_exp: int


def name_slot(words: tuple[int, int, int], n_slots: int) -> int:
    """First slot to probe; the kernel's arithmetic in Python integers."""
    mixed = words[0] * int(HASH_A) + words[1] * int(HASH_B) + words[2] * int(HASH_C)
    return ((mixed & _U64) >> 40) & (n_slots - 1)


class SymbolIndex:
    """Symbols that decode to events. Names are at most 24 bytes; ids are rows below `capacity`."""

    def __init__(self, capacity: int = 1024) -> None:
        if capacity <= 0:
            raise ValueError(f"capacity {capacity} is not positive")
        n_slots = 1 << (4 * capacity - 1).bit_length()
        self.capacity = capacity
        self.by_name: dict[str, SymbolGrid] = {}
        self._name_of: dict[int, str] = {}
        self.table = SymbolTable(
            slots=np.full(n_slots, -1, dtype=np.int64),
            names=np.zeros((capacity, NAME_WORDS), dtype=np.uint64),
            grids=np.ones((capacity, 4), dtype=np.int64),
        )

    def __len__(self) -> int:
        return len(self.by_name)

    def name_of(self, symbol_id: int) -> str:
        """Raises KeyError where the id is not in the index."""
        return self._name_of[symbol_id]

    def add(self, record: Any) -> None:
        """Insert or update from a SYMBOL record (or an array of one): name, id, ticks and lots are read.

        Raises ValueError: no name, id out of range, impossible grid, or the name already belongs to another id.
        """
        row = record.reshape(-1)[0] if isinstance(record, np.ndarray) else record
        name = bytes(row["name"].tobytes()).rstrip(b"\0").decode("utf-8")
        symbol_id = int(row["id"])
        if not name:
            raise ValueError(f"symbol {symbol_id} has no name")
        if not 0 <= symbol_id < self.capacity:
            raise ValueError(f"{name}: id {symbol_id} is outside 0..{self.capacity - 1}")
        known = self.by_name.get(name)
        if known is not None and known.id != symbol_id:
            raise ValueError(f"{name} is already symbol {known.id}, cannot also be {symbol_id}")
        grid = SymbolGrid(
            symbol_id,
            *reduce_grid(int(row["tick_mant"]), int(row["price_exp"])),
            *reduce_grid(int(row["lot_mant"]), int(row["qty_exp"])),
        )
        renamed = self._name_of.get(symbol_id) not in (None, name)
        if renamed:
            self.remove(symbol_id)
        self.by_name[name] = grid
        self._name_of[symbol_id] = name
        self.table.grids[symbol_id] = grid[1:]
        if known is None:
            self._insert(symbol_id, name)

    def remove(self, symbol_id: int) -> None:
        """Forget a symbol; its frames are UNKNOWN_SYMBOL from now on. Unknown ids are ignored."""
        name = self._name_of.pop(symbol_id, None)
        if name is None:
            return
        del self.by_name[name]
        self.table.slots[:] = -1
        for other_id, other in self._name_of.items():
            self._insert(other_id, other)

    def _insert(self, symbol_id: int, name: str) -> None:
        if _PLAIN_NAME.fullmatch(name) is None:
            return  # the scanner never meets it as a plain string: the slow path decodes its frames
        raw = name.encode("ascii").ljust(NAME_BYTES, b"\0")
        words = (
            int.from_bytes(raw[:8], "little"),
            int.from_bytes(raw[8:16], "little"),
            int.from_bytes(raw[16:], "little"),
        )
        self.table.names[symbol_id] = words
        slots = self.table.slots
        slot = name_slot(words, len(slots))
        while slots[slot] >= 0:
            slot = (slot + 1) & (len(slots) - 1)
        slots[slot] = symbol_id
