"""JSON scanner primitives: literals, integers, booleans, skipped strings, names.

Many take words (eight bytes read at once) instead of the buffer. Positions are int64 and index as uint64, which spares
numba's wrap-around test.

What keeps a scan inside its frame without a bounds test per byte: the frame's last byte is `}`, and nothing here
steps over a `}` outside a skipped string (closing an object is done by callers, who then compare with `end`). So a
position that has only passed through these is below `end`. Words may reach past the frame, never past SLACK_BYTES.
"""

from __future__ import annotations

import numpy as np

from core.units import ALL, HIGHS, MASKS, ONES, ZEROS, bytes_below, digit_marks, each_byte, eight_digits, word
from gateway.bybit.inline import inlined
from gateway.bybit.symbol_index import HASH_A, HASH_B, HASH_C, NAME_BYTES

UNUSUAL = -1
QUOTE = ord('"')
COMMA = ord(",")
COLON = ord(":")
OPEN_LIST = ord("[")
CLOSE_LIST = ord("]")
OPEN_OBJECT = ord("{")
CLOSE_OBJECT = ord("}")
_QUOTES, _BACKSLASHES, _BLANKS = each_byte(QUOTE), each_byte(ord("\\")), each_byte(ord(" "))
INTEGER_DIGITS_MAX = 18
_ZERO = ord("0")
_LOW_BYTE = np.uint64(255)


def literal(text: str) -> np.uint64:
    """Up to 8 ASCII characters as the little-endian word that `word` reads."""
    return np.uint64(int.from_bytes(text.encode("ascii"), "little"))


_TRUE = literal("true")
_FALSE = literal("false")
_MASK_4, _MASK_5 = MASKS[4], MASKS[5]


@inlined
def is_blank(byte):
    """JSON white space: lines of a file end a frame with one, sockets do not."""
    return byte == 32 or byte == 10 or byte == 13 or byte == 9


@inlined
def scan_integer(stage, p):
    """JSON integer without sign, at most 18 digits -> (position after it, value); UNUSUAL where it is not one."""
    first = p
    value = np.int64(0)
    digits = word(stage, p) ^ ZEROS
    if digit_marks(digits) == np.uint64(0):
        value = eight_digits(digits)
        p += 8
    digit = np.int64(stage[np.uint64(p)]) - 48
    while 0 <= digit <= 9:
        value = value * 10 + digit
        p += 1
        digit = np.int64(stage[np.uint64(p)]) - 48
    length = p - first
    if length == 0 or length > INTEGER_DIGITS_MAX or (length > 1 and stage[np.uint64(first)] == _ZERO):
        return np.int64(UNUSUAL), value
    return p, value


@inlined
def scan_bool(stage, p):
    """`true` or `false` -> (position after it, 1 or 0)."""
    here = word(stage, p)
    if here & _MASK_4 == _TRUE:
        return p + 4, np.int64(1)
    if here & _MASK_5 == _FALSE:
        return p + 5, np.int64(0)
    return np.int64(UNUSUAL), np.int64(0)


@inlined
def odd_marks(here):
    """Marks (bit 7) the bytes of a word that are not plain: quote, backslash, control, not ASCII. Exact up to the lowest."""
    quote = here ^ _QUOTES
    backslash = here ^ _BACKSLASHES
    found = (quote - ONES) & (quote ^ ALL) | (backslash - ONES) & (backslash ^ ALL)
    return (found | (here - _BLANKS) & (here ^ ALL) | here | (here + ONES)) & HIGHS


@inlined
def skip_string(stage, p, end):
    """From the opening quote of a printable ASCII string without escapes to the position after its closing quote."""
    if stage[np.uint64(p)] != QUOTE:
        return np.int64(UNUSUAL)
    p += 1
    marks = odd_marks(word(stage, p))
    while marks == np.uint64(0) and p < end:
        p += 8
        marks = odd_marks(word(stage, p))
    p += bytes_below(marks)
    if p >= end or stage[np.uint64(p)] != QUOTE:
        return np.int64(UNUSUAL)
    return p + 1


@inlined
def same_name(w0, w1, w2, name, length):
    """Do the three words start with the `length` bytes of `name` and a quote?"""
    if length < 8:
        mask = MASKS[np.uint64(length)]
        return w0 & mask == name[0] and (w0 >> np.uint64(8 * length)) & _LOW_BYTE == np.uint64(QUOTE)
    if w0 != name[0]:
        return False
    if length < 16:
        mask = MASKS[np.uint64(length - 8)]
        return w1 & mask == name[1] and (w1 >> np.uint64(8 * length - 64)) & _LOW_BYTE == np.uint64(QUOTE)
    if w1 != name[1] or length > 23:
        return False
    mask = MASKS[np.uint64(length - 16)]
    return w2 & mask == name[2] and (w2 >> np.uint64(8 * length - 128)) & _LOW_BYTE == np.uint64(QUOTE)


@inlined
def scan_symbol(stage, p, end, slots, names):
    """A symbol name up to its closing quote -> (its length, its id); (0, -1) where the table does not hold it."""
    length = np.int64(0)
    while length < NAME_BYTES and p + length < end and stage[np.uint64(p + length)] != QUOTE:
        length += 1
    symbol = np.int64(UNUSUAL)
    if 0 < length < NAME_BYTES and p + length < end:
        first = word(stage, p) & MASKS[np.uint64(min(length, np.int64(8)))]
        second = word(stage, p + 8) & MASKS[np.uint64(max(min(length - 8, np.int64(8)), np.int64(0)))]
        third = word(stage, p + 16) & MASKS[np.uint64(max(length - 16, np.int64(0)))]
        last_slot = np.uint64(slots.shape[0] - 1)
        slot = ((first * HASH_A + second * HASH_B + third * HASH_C) >> np.uint64(40)) & last_slot
        while slots[slot] >= 0:
            row = np.uint64(slots[slot])
            if names[row, 0] == first and names[row, 1] == second and names[row, 2] == third:
                symbol = np.int64(slots[slot])
                break
            slot = (slot + np.uint64(1)) & last_slot
    return length, symbol
