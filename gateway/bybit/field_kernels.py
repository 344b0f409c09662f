"""`data` of tickers and klines: objects of many named fields, read by table. Contract as in `payload_kernels`.

A ticker's unknown keys are skipped where their value is a plain string (that list of fields grows); a candle's are
UNUSUAL.
"""

from __future__ import annotations

import numpy as np

from core.units import (
    MASKS,
    NS_PER_MS,
    TIME_MS_MAX,
    TIME_TEXT_DIGITS_MAX,
    scan_fixed,
    scan_units,
    word,
)
from gateway.bybit.inline import inlined
from gateway.bybit.payload_kernels import FULL, H_COUNTS
from gateway.bybit.scan_kernels import (
    CLOSE_LIST,
    CLOSE_OBJECT,
    COLON,
    COMMA,
    OPEN_LIST,
    OPEN_OBJECT,
    QUOTE,
    UNUSUAL,
    literal,
    same_name,
    scan_bool,
    scan_integer,
    skip_string,
)

STAT_EXP_PRICE = 10
STAT_EXP_AMOUNT = 4
STAT_EXP_RATE = 10
STAT_EXP_CHANGE = 8

# How a value is written on the wire.
PRICE, QTY, FIXED, SIGNED, TIME_TEXT, TIME, BOOL, NAME, ANY_INTEGER, ANY_TEXT = range(10)
_K_LENGTH, _K_FIRST, _K_LAST, _K_FIELD, _K_FORM, _K_EXP = range(6)
_NO_FIELD = 63
_KEY_END = np.uint64(QUOTE | COLON << 8)

# A key is looked up by its bytes 0, 1 and 4 (byte 4 of a short key is its quote or colon), multiplied into 64 slots.
_HASHED_BYTES = np.uint64(0xFF0000FFFF)
_SLOT_SHIFT = np.uint64(58)
_SLOTS = 64


def _key_table(*rows: tuple[str, int, int, int]) -> np.ndarray:
    """uint64[n, 6]: key length, first 8 bytes, last 8 bytes (0 where shorter), record word, form, exp."""
    table = np.zeros((len(rows), 6), dtype=np.uint64)
    for i, (key, field, form, exp) in enumerate(rows):
        if len(key) > 16:
            raise AssertionError(f"{key}: two words do not cover it")
        last = literal(key[-8:]) if len(key) >= 8 else np.uint64(0)
        table[i] = (len(key), literal(key[:8]), last, field, form, exp)
    return table


def _key_slots(*keys: str) -> tuple[np.ndarray, np.uint64]:
    """A multiplier that gives every key a slot of its own (the first that does), and the slots: row or -1.

    Candidates are scattered: neighbouring multipliers fail for the same keys, and a search by steps of two took 13 s.
    """
    hashed = [int.from_bytes(f'{key}":'.encode()[:8].ljust(8), "little") & int(_HASHED_BYTES) for key in keys]
    multiplier, places = 1, [0] * len(keys)
    while len(set(places)) < len(places):
        multiplier = (multiplier * 0x5851F42D4C957F2D + 0x14057B7EF767814E) & 0xFFFFFFFFFFFFFFFF | 1
        places = [(h * multiplier & 0xFFFFFFFFFFFFFFFF) >> int(_SLOT_SHIFT) for h in hashed]
    slots = np.full(_SLOTS, -1, dtype=np.int64)
    slots[places] = np.arange(len(keys))
    return slots, np.uint64(multiplier)


_TICKER_ROWS = (
    ("symbol", _NO_FIELD, NAME, 0),
    ("price24hPcnt", 13, SIGNED, STAT_EXP_CHANGE),
    ("lastPrice", 1, PRICE, 0),
    ("markPrice", 6, FIXED, STAT_EXP_PRICE),
    ("indexPrice", 7, FIXED, STAT_EXP_PRICE),
    ("openInterest", 8, FIXED, STAT_EXP_AMOUNT),
    ("turnover24h", 9, FIXED, STAT_EXP_AMOUNT),
    ("volume24h", 10, FIXED, STAT_EXP_AMOUNT),
    ("nextFundingTime", 12, TIME_TEXT, 0),
    ("fundingRate", 11, SIGNED, STAT_EXP_RATE),
    ("bid1Price", 2, PRICE, 0),
    ("bid1Size", 3, QTY, 0),
    ("ask1Price", 4, PRICE, 0),
    ("ask1Size", 5, QTY, 0),
)
_TICKER_KEYS = _key_table(*_TICKER_ROWS)
_TICKER_SLOTS, _TICKER_MULTIPLIER = _key_slots(*(row[0] for row in _TICKER_ROWS))
TICKER_WORDS = 16
_TICKER_NEEDED = 1  # the symbol's row
_CANDLE_ROWS = (
    ("start", 0, TIME, 0),
    ("end", _NO_FIELD, ANY_INTEGER, 0),
    ("interval", _NO_FIELD, ANY_TEXT, 0),
    ("open", 1, PRICE, 0),
    ("close", 4, PRICE, 0),
    ("high", 2, PRICE, 0),
    ("low", 3, PRICE, 0),
    ("volume", 5, FIXED, STAT_EXP_AMOUNT),
    ("turnover", 6, FIXED, STAT_EXP_AMOUNT),
    ("confirm", 7, BOOL, 0),
    ("timestamp", _NO_FIELD, ANY_INTEGER, 0),
)
_CANDLE_KEYS = _key_table(*_CANDLE_ROWS)
_CANDLE_SLOTS, _CANDLE_MULTIPLIER = _key_slots(*(row[0] for row in _CANDLE_ROWS))
CANDLE_WORDS = 8
_CANDLE_NEEDED = 0b1111111001  # rows that fill a field


@inlined
def find_key(stage, p, end, keys, slots, multiplier):
    """Key from its opening quote -> (position after its colon, its row); row -1: another plain key; position -1: not plain."""
    w0 = word(stage, p + 1)
    row = slots[((w0 & _HASHED_BYTES) * multiplier) >> _SLOT_SHIFT]
    if row >= 0 and stage[np.uint64(p)] == QUOTE:
        at = np.uint64(row)
        length = np.int64(keys[at, _K_LENGTH])
        stop = p + 1 + length
        if (
            w0 & MASKS[np.uint64(min(length, np.int64(8)))] == keys[at, _K_FIRST]
            and (length < 8 or word(stage, stop - 8) == keys[at, _K_LAST])
            and word(stage, stop) & MASKS[2] == _KEY_END
        ):
            return stop + 2, row
    after = skip_string(stage, p, end)
    if after < 0 or stage[np.uint64(after)] != COLON:
        return np.int64(UNUSUAL), np.int64(-1)
    return after + 1, np.int64(-1)


@inlined
def scan_number(stage, p, form, exp, grid):
    """Quoted number -> (position after its closing quote, value, 1 = present or 0 = ""); position UNUSUAL where refused."""
    if stage[np.uint64(p)] != QUOTE:
        return np.int64(UNUSUAL), np.int64(0), np.int64(0)
    p += 1
    if stage[np.uint64(p)] == QUOTE:
        return p + 1, np.int64(0), np.int64(0)
    if form == PRICE:
        p, value = scan_units(stage, p, grid[0], grid[1])
        good = value >= 0
    elif form == QTY:
        p, value = scan_units(stage, p, grid[2], grid[3])
        good = value >= 0
    elif form == TIME_TEXT:
        first = p
        value = np.int64(0)
        digit = np.int64(stage[np.uint64(p)]) - 48
        while 0 <= digit <= 9:
            value = value * 10 + digit
            p += 1
            digit = np.int64(stage[np.uint64(p)]) - 48
        good = first < p <= first + TIME_TEXT_DIGITS_MAX and value <= TIME_MS_MAX
        value *= NS_PER_MS
    else:
        p, value, ok = scan_fixed(stage, p, exp, np.int64(form == SIGNED))
        good = ok == 1
    if not good or stage[np.uint64(p)] != QUOTE:
        return np.int64(UNUSUAL), np.int64(0), np.int64(0)
    return p + 1, value, np.int64(1)


@inlined
def scan_ticker(stage, p, end, name, length, grid, words, head, w, limit):
    """tickers.*: {"symbol", any of the fields of TICKER, anything else that is a plain string}."""
    if stage[np.uint64(p)] != OPEN_OBJECT:
        return np.int64(UNUSUAL), w
    if w + TICKER_WORDS > limit:
        return np.int64(FULL), w
    for k in range(TICKER_WORDS):
        words[np.uint64(w + k)] = 0
    seen = np.int64(0)
    mask = np.int64(0)
    while True:
        p, row = find_key(stage, p + 1, end, _TICKER_KEYS, _TICKER_SLOTS, _TICKER_MULTIPLIER)
        if p < 0:
            return p, w
        form = np.int64(ANY_TEXT)
        if row >= 0:
            if seen >> row & 1:
                return np.int64(UNUSUAL), w
            seen |= 1 << row
            form = np.int64(_TICKER_KEYS[np.uint64(row), _K_FORM])
        if form == ANY_TEXT:
            p = skip_string(stage, p, end)
            if p < 0:
                return p, w
        elif form == NAME:
            if stage[np.uint64(p)] != QUOTE or not same_name(
                word(stage, p + 1), word(stage, p + 9), word(stage, p + 17), name, length
            ):
                return np.int64(UNUSUAL), w
            p += length + 2
        else:
            p, value, present = scan_number(stage, p, form, np.int64(_TICKER_KEYS[np.uint64(row), _K_EXP]), grid)
            if p < 0:
                return p, w
            if present == 1 and not (form == PRICE and value == 0):
                field = np.int64(_TICKER_KEYS[np.uint64(row), _K_FIELD])
                words[np.uint64(w + field)] = value
                mask |= 1 << field
        byte = stage[np.uint64(p)]
        if byte == CLOSE_OBJECT:
            break
        if byte != COMMA:
            return np.int64(UNUSUAL), w
    if seen & _TICKER_NEEDED != _TICKER_NEEDED:
        return np.int64(UNUSUAL), w
    words[np.uint64(w)] = mask
    words[np.uint64(head + H_COUNTS)] |= 1
    return p + 1, w + TICKER_WORDS


@inlined
def scan_candle(stage, p, end, grid, words, w):
    """One candle, from its opening brace -> position of its closing brace; writes eight words."""
    if stage[np.uint64(p)] != OPEN_OBJECT:
        return np.int64(UNUSUAL)
    seen = np.int64(0)
    while True:
        p, row = find_key(stage, p + 1, end, _CANDLE_KEYS, _CANDLE_SLOTS, _CANDLE_MULTIPLIER)
        if p < 0 or row < 0 or seen >> row & 1:
            return np.int64(UNUSUAL)
        seen |= 1 << row
        form = np.int64(_CANDLE_KEYS[np.uint64(row), _K_FORM])
        field = np.int64(_CANDLE_KEYS[np.uint64(row), _K_FIELD])
        value = np.int64(0)
        good = True
        if form == ANY_TEXT:
            p = skip_string(stage, p, end)
        elif form == BOOL:
            p, value = scan_bool(stage, p)
        elif form in (TIME, ANY_INTEGER):
            p, value = scan_integer(stage, p)
            if form == TIME:
                good = value <= TIME_MS_MAX
                value *= NS_PER_MS
        else:
            p, value, present = scan_number(stage, p, form, np.int64(_CANDLE_KEYS[np.uint64(row), _K_EXP]), grid)
            good = present == 1 and not (form == PRICE and value == 0)
        if p < 0 or not good:
            return np.int64(UNUSUAL)
        if field < CANDLE_WORDS:
            words[np.uint64(w + field)] = value
        byte = stage[np.uint64(p)]
        if byte == CLOSE_OBJECT:
            break
        if byte != COMMA:
            return np.int64(UNUSUAL)
    return p if seen & _CANDLE_NEEDED == _CANDLE_NEEDED else np.int64(UNUSUAL)


@inlined
def scan_candles(stage, p, end, grid, words, head, w, limit):
    """kline.*: [{"start","end","interval","open","close","high","low","volume","turnover","confirm","timestamp"}]."""
    if stage[np.uint64(p)] != OPEN_LIST:
        return np.int64(UNUSUAL), w
    first = w
    while True:
        if w + CANDLE_WORDS > limit:
            return np.int64(FULL), w
        p = scan_candle(stage, p + 1, end, grid, words, w)
        if p < 0 or p + 1 >= end:
            return np.int64(UNUSUAL), w
        w += CANDLE_WORDS
        p += 1
        byte = stage[np.uint64(p)]
        if byte == CLOSE_LIST:
            break
        if byte != COMMA:
            return np.int64(UNUSUAL), w
    words[np.uint64(head + H_COUNTS)] |= (w - first) >> 3
    return p + 1, w
