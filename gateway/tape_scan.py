"""What a tape holds, found in one pass before the run: symbols, book depths, and the grids its numbers lie on.

Tick and lot of a symbol are the power of ten of the last digit that is not zero in any of its prices (quantities):
"65114.30", "65114.20" give 0.1. Every number of the tape then is a whole number of ticks or lots.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.jit import kernel
from core.units import EXP_MAX
from gateway.bybit.universe import Instrument
from gateway.tape import FRAME_COLUMNS, TapeError, TapeReader

MAX_NAMES = 1024
NAME_BYTES = 24
_SLOTS = 4096

# columns of facts int64[MAX_NAMES, 12]; 4.. are book frames per depth column
F_FRAMES, F_PRICE_DECIMALS, F_QTY_DECIMALS, F_BOOKS = 0, 1, 2, 4
_DEPTHS = (1, 50, 200, 500, 1000)
_QUOTE, _BACKSLASH, _COLON, _DOT, _BRACKET, _COMMA = 34, 92, 58, 46, 91, 44
_BOOK, _TRADE, _TICKER, _KLINE = 1, 2, 3, 4
_PRICE, _QTY = np.int64(1), np.int64(2)  # np.int64: a literal would compile `note` twice


@kernel
def skip_blanks(buffer, at, end):
    """First position at or after `at` that is not JSON white space."""
    while at < end and (buffer[at] == 32 or buffer[at] == 9 or buffer[at] == 10 or buffer[at] == 13):
        at += 1
    return at


@kernel
def string_end(buffer, at, end):
    """Position of the quote that closes the string whose content starts at `at`, or `end`."""
    while at < end and buffer[at] != _QUOTE:
        at += 2 if buffer[at] == _BACKSLASH else 1
    return min(at, end)


@kernel
def significant_decimals(buffer, start, end):
    """Decimals up to the last non-zero digit of a plain number, -1 for any other text."""
    decimals = -1
    significant = 0
    if start >= end or end - start > 32:
        return -1
    for at in range(start, end):
        char = buffer[at]
        if char == _DOT:
            if decimals >= 0 or at == start:
                return -1
            decimals = 0
        elif 48 <= char <= 57:
            if decimals >= 0:
                decimals += 1
                if char != 48:
                    significant = decimals
        else:
            return -1
    return significant


@kernel
def find_topic(buffer, start, end):
    """(first, last + 1) of the value of the "topic" key, or (-1, -1)."""
    at = start
    while at + 8 < end:
        if (
            buffer[at] == _QUOTE and buffer[at + 1] == 116 and buffer[at + 2] == 111 and buffer[at + 3] == 112
            and buffer[at + 4] == 105 and buffer[at + 5] == 99 and buffer[at + 6] == _QUOTE
        ):
            at = skip_blanks(buffer, at + 7, end)
            if at < end and buffer[at] == _COLON:
                at = skip_blanks(buffer, at + 1, end)
                if at < end and buffer[at] == _QUOTE:
                    return at + 1, string_end(buffer, at + 1, end)
            return -1, -1
        at += 1
    return -1, -1


@kernel
def key_role(buffer, start, end, kind):
    """_PRICE, _QTY or 0 for a key of a trade, ticker or kline item."""
    length = end - start
    if kind == _TRADE:
        if length == 1 and buffer[start] == 112:  # p
            return _PRICE
        return _QTY if length == 1 and buffer[start] == 118 else 0  # v
    if kind == _KLINE:  # open, high, low, close
        first = buffer[start] if length > 0 else 0
        if length == 4 and (first == 111 or first == 104):
            return _PRICE
        return _PRICE if (length == 3 and first == 108) or (length == 5 and first == 99) else 0
    if length == 9 and (buffer[start] == 108 or buffer[start + 3] == 49):  # lastPrice, bid1Price, ask1Price
        return _PRICE
    return _QTY if length == 8 and buffer[start + 3] == 49 else 0  # bid1Size, ask1Size


@kernel
def note(facts, symbol, role, decimals):
    if decimals > facts[symbol, role]:
        facts[symbol, role] = decimals


@kernel
def scan_frame(buffer, start, end, names, slots, facts, count):
    """Add one frame's facts; `count` int64[1] symbols are known so far (names uint8[:, 24], slots int64[4096])."""
    first, last = find_topic(buffer, start, end)
    if first < 0 or last - first < 9:
        return
    name_at = last
    while name_at > first and buffer[name_at - 1] != _DOT:
        name_at -= 1
    lead = buffer[first]
    depth = 0
    kind = 0
    if lead == 111 and buffer[first + 9] == _DOT:  # orderbook.
        kind = _BOOK
        for at in range(first + 10, name_at - 1):
            if not 48 <= buffer[at] <= 57 or depth > 9999:
                return
            depth = depth * 10 + (int(buffer[at]) - 48)
        if depth == 0:
            return
    elif lead == 112 or lead == 97:  # publicTrade., allLiquidation.
        kind = _TRADE
    elif lead == 116:  # tickers.
        kind = _TICKER
    elif lead == 107:  # kline.
        kind = _KLINE
    if kind == 0 or last == name_at or last - name_at > names.shape[1] or name_at == first:
        return
    symbol = find_name(buffer, name_at, last, names, slots, count)
    if symbol < 0:
        return
    facts[symbol, F_FRAMES] += 1
    if kind == _BOOK:
        column = 5
        for known in range(len(_DEPTHS)):
            if _DEPTHS[known] == depth:
                column = known
        facts[symbol, F_BOOKS + column] += 1
        scan_levels(buffer, start, end, facts, symbol)
    else:
        scan_items(buffer, start, end, facts, symbol, kind)


@kernel
def find_name(buffer, start, end, names, slots, count):
    """Row of a name, added where it is new; -1 when the table is full or the name has unusual characters."""
    mixed = np.uint64(0xCBF29CE484222325)
    for at in range(start, end):
        char = buffer[at]
        if not (48 <= char <= 57 or 65 <= char <= 90 or 97 <= char <= 122 or char == 45 or char == 95):
            return -1
        mixed = (mixed ^ np.uint64(char)) * np.uint64(0x100000001B3)
    slot = int(mixed >> np.uint64(40)) & (_SLOTS - 1)
    while slots[slot] >= 0:
        row = slots[slot]
        same = names.shape[1] == end - start or names[row, end - start] == 0
        for at in range(start, end):
            if names[row, at - start] != buffer[at]:
                same = False
                break
        if same:
            return row
        slot = (slot + 1) & (_SLOTS - 1)
    if count[0] >= names.shape[0]:
        return -1
    row = count[0]
    for at in range(start, end):
        names[row, at - start] = buffer[at]
    slots[slot] = row
    count[0] = row + 1
    return row


@kernel
def scan_levels(buffer, start, end, facts, symbol):
    """Every `["price", "size"` pair of a book frame."""
    at = start
    while at < end:
        if buffer[at] != _BRACKET:
            at += 1
            continue
        at = skip_blanks(buffer, at + 1, end)
        role = _PRICE
        while at < end and buffer[at] == _QUOTE and role <= _QTY:
            stop = string_end(buffer, at + 1, end)
            note(facts, symbol, role, significant_decimals(buffer, at + 1, stop))
            at = skip_blanks(buffer, stop + 1, end)
            role += 1
            if at < end and buffer[at] == _COMMA:
                at = skip_blanks(buffer, at + 1, end)


@kernel
def scan_items(buffer, start, end, facts, symbol, kind):
    """Prices and quantities of trade, ticker and kline items: values of known keys."""
    at = start
    while at < end:
        if buffer[at] != _QUOTE:
            at += 1
            continue
        key = at + 1
        stop = string_end(buffer, key, end)
        at = skip_blanks(buffer, stop + 1, end)
        if at >= end or buffer[at] != _COLON:
            continue
        at = skip_blanks(buffer, at + 1, end)
        if at >= end or buffer[at] != _QUOTE:
            continue
        value = at + 1
        close = string_end(buffer, value, end)
        role = key_role(buffer, key, stop, kind)
        if role > 0:
            note(facts, symbol, role, significant_decimals(buffer, value, close))
        at = close + 1


@kernel
def scan_frames(stage, frames, n_frames, names, slots, facts, count):
    """`scan_frame` over a stage filled by TapeReader."""
    for index in range(n_frames):
        offset = frames[index, 0]
        scan_frame(stage, offset, offset + frames[index, 1], names, slots, facts, count)


@dataclass(frozen=True)
class TapeSymbol:
    """A symbol of a tape: how often it occurs, which book depths it has, decimals of its grid."""

    name: str
    frames: int
    depths: tuple[int, ...]
    price_decimals: int
    qty_decimals: int

    def instrument(self) -> Instrument:
        """An instrument whose grid holds every number of the tape; limits as wide as they may be. Raises TapeError."""
        decimals = max(self.price_decimals, self.qty_decimals)
        if decimals > EXP_MAX:
            raise TapeError(f"tape: {self.name} has a number with {decimals} decimals, no exchange has more than {EXP_MAX}: the "
                            "tape is damaged. Record it again, or give its grid with --instruments.")
        return Instrument(self.name, True, (1, self.price_decimals), (1, self.qty_decimals))


@dataclass(frozen=True)
class TapeContents:
    """Result of the pass."""

    symbols: tuple[TapeSymbol, ...]
    frames: int
    bad_lines: int
    first_ns: int
    last_ns: int


def scan_tape(paths: Sequence[Path]) -> TapeContents:
    """Read the whole tape once. Raises TapeError when it cannot be read or holds no frame of a symbol."""
    reader = TapeReader(paths)
    stage = np.zeros(8 << 20, np.uint8)
    frames = np.zeros((8192, FRAME_COLUMNS), np.int64)
    names = np.zeros((MAX_NAMES, NAME_BYTES), np.uint8)
    slots = np.full(_SLOTS, -1, np.int64)
    facts = np.zeros((MAX_NAMES, 12), np.int64)
    count = np.zeros(1, np.int64)
    total = first_ns = last_ns = 0
    try:
        while n_frames := reader.read(stage, frames, 0):
            scan_frames(stage, frames, n_frames, names, slots, facts, count)
            first_ns = first_ns or int(frames[0, 2])
            last_ns = max(last_ns, int(frames[:n_frames, 2].max()))
            total += n_frames
    finally:
        reader.close()
    if not count[0]:
        damage = "; ".join(fault.damage for fault in reader.faults if fault.damage)
        raise TapeError(
            f"tape {', '.join(map(str, paths))}: no frame of any symbol in {total + reader.bad_lines} lines"
            + (f" (damaged: {damage})" if damage else "")
            + ". A line is `<recv_ns> <raw frame>`; check that it is a tape."
        )
    symbols = []
    for row in range(int(count[0])):
        seen = [depth for column, depth in enumerate(_DEPTHS) if facts[row, F_BOOKS + column]]
        symbols.append(
            TapeSymbol(
                name=bytes(names[row]).rstrip(b"\0").decode(),
                frames=int(facts[row, F_FRAMES]),
                depths=tuple(seen),
                price_decimals=int(facts[row, F_PRICE_DECIMALS]),
                qty_decimals=int(facts[row, F_QTY_DECIMALS]),
            )
        )
    return TapeContents(tuple(symbols), total, reader.bad_lines, first_ns, last_ns)


def choose_depth(configured: int, present: Sequence[int]) -> int:
    """Driving depth on a tape: the configured one, else the smallest larger one, else the largest; none: configured."""
    if configured in present or not present:
        return configured
    larger = [depth for depth in present if depth > configured]
    return min(larger) if larger else max(present)


def tape_instruments(contents: TapeContents, known: Mapping[str, Instrument]) -> list[Instrument]:
    """Instruments of a tape's symbols: the recorded ones where given, else from the decimals of the frames."""
    return [known.get(symbol.name) or symbol.instrument() for symbol in contents.symbols]
