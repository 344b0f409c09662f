"""The `data` part of each topic family, from bytes to payload cells.

Every kernel here starts at the first byte of the value of `data`, writes payload words from `w` on (below `limit`) and
the header words it knows from `head` on, and returns (position after the value, next free word). The position is
UNUSUAL where the msgspec path must decide, FULL where `limit` was reached. Words written before that are scratch: the
caller has not advanced. Keys may come in any order, each at most once; an unknown key is UNUSUAL.

`name` is the symbol of the topic as three words, `length` its bytes; `grid` is (tick mant, tick exp, lot mant, lot exp).
"""

from __future__ import annotations

import numpy as np

from core.units import MASKS, NS_PER_MS, TIME_MS_MAX, scan_units, word
from gateway.bybit.inline import inlined
from gateway.bybit.scan_kernels import (
    CLOSE_LIST,
    CLOSE_OBJECT,
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

FULL = -2
# Words of the EVENT header (core/records.py) that a payload fills in.
H_TS_EXCH = 1
H_U = 4
H_XSEQ = 5
H_COUNTS = 7  # n_bids | n_asks << 16 | depth << 32 | conn << 48
HEADER_WORDS = 8

_M2, _M3, _M4, _M5, _M6 = MASKS[2], MASKS[3], MASKS[4], MASKS[5], MASKS[6]
_LEVEL_OPEN = literal('["')
_BETWEEN = literal('","')
_LEVEL_CLOSE = literal('"]')
_KEY_S = literal('"s":"')
_KEY_B = literal('"b":[')
_KEY_A = literal('"a":[')
_KEY_U = literal('"u":')
_KEY_SEQ = literal('"seq":')
_KEY_T = literal('"T":')
_KEY_V = literal('"v":"')
_KEY_P = literal('"p":"')
_KEY_L = literal('"L":')
_KEY_I = literal('"i":')
_KEY_BT = literal('"BT":')
_KEY_RPI = literal('"RPI":')
_SIDE_BUY = literal('"S":"Buy')
_SIDE_SELL = literal('"S":"Sel')
_END_BUY, _END_SELL = literal('"'), literal('l"')
_LOW_BYTE = np.uint64(255)
_BOOK_S, _BOOK_B, _BOOK_A, _BOOK_U, _BOOK_SEQ = 1, 2, 4, 8, 16
_BOOK_NEEDED = 31
_TRADE_T, _TRADE_S, _TRADE_SIDE, _TRADE_V, _TRADE_P = 1, 2, 4, 8, 16
_TRADE_NEEDED = 31
_TRADE_L, _TRADE_I, _TRADE_BT, _TRADE_RPI, _TRADE_SEQ = 32, 64, 128, 256, 512


@inlined
def scan_levels(stage, p, words, w, limit, grid):
    """Levels of one side, from after the opening bracket -> (position after the closing one, next free word)."""
    tick_mant, tick_exp, lot_mant, lot_exp = grid
    here = word(stage, p)
    if here & _LOW_BYTE == np.uint64(CLOSE_LIST):
        return p + 1, w
    while here & _M2 == _LEVEL_OPEN:
        p, price = scan_units(stage, p + 2, tick_mant, tick_exp)
        if price <= 0 or word(stage, p) & _M3 != _BETWEEN:
            break
        p, qty = scan_units(stage, p + 3, lot_mant, lot_exp)
        here = word(stage, p)
        if qty < 0 or here & _M2 != _LEVEL_CLOSE:
            break
        if w + 2 > limit:
            return np.int64(FULL), w
        words[np.uint64(w)] = price
        words[np.uint64(w + 1)] = qty
        w += 2
        p += 3
        here = (here >> np.uint64(16)) & _LOW_BYTE
        if here == np.uint64(CLOSE_LIST):
            return p, w
        if here != np.uint64(COMMA):
            break
        here = word(stage, p)
    return np.int64(UNUSUAL), w


@inlined
def scan_book(stage, p, name, length, grid, words, head, w, limit):
    """orderbook.*: {"s","b","a","u","seq"}; bids must come before asks."""
    if stage[np.uint64(p)] != OPEN_OBJECT:
        return np.int64(UNUSUAL), w
    seen = 0
    n_bids = np.int64(0)
    n_asks = np.int64(0)
    while True:
        p += 1
        here = word(stage, p)
        key = here & _M5
        if key == _KEY_B:
            bit = _BOOK_B
            first = w
            p, w = scan_levels(stage, p + 5, words, w, limit, grid)
            n_bids = (w - first) >> 1
            if seen & _BOOK_A:
                return np.int64(UNUSUAL), w
        elif key == _KEY_A:
            bit = _BOOK_A
            first = w
            p, w = scan_levels(stage, p + 5, words, w, limit, grid)
            n_asks = (w - first) >> 1
        elif key == _KEY_S:
            bit = _BOOK_S
            same = same_name(word(stage, p + 5), word(stage, p + 13), word(stage, p + 21), name, length)
            p = p + length + 6 if same else np.int64(UNUSUAL)
        elif here & _M4 == _KEY_U:
            bit = _BOOK_U
            p, words[np.uint64(head + H_U)] = scan_integer(stage, p + 4)
        elif here & _M6 == _KEY_SEQ:
            bit = _BOOK_SEQ
            p, words[np.uint64(head + H_XSEQ)] = scan_integer(stage, p + 6)
        else:
            return np.int64(UNUSUAL), w
        if p < 0:
            return p, w
        if seen & bit:
            return np.int64(UNUSUAL), w
        seen |= bit
        byte = stage[np.uint64(p)]
        if byte == CLOSE_OBJECT:
            break
        if byte != COMMA:
            return np.int64(UNUSUAL), w
    if seen != _BOOK_NEEDED:
        return np.int64(UNUSUAL), w
    words[np.uint64(head + H_COUNTS)] |= n_bids | n_asks << 16
    return p + 1, w


@inlined
def scan_trade(stage, p, end, name, length, grid, words, w, is_liquidation):
    """One item, from its opening brace -> (position of its closing brace, seq); writes four words."""
    tick_mant, tick_exp, lot_mant, lot_exp = grid
    seen = 0
    flags = np.int64(0)
    sequence = np.int64(0)
    if stage[np.uint64(p)] != OPEN_OBJECT:
        return np.int64(UNUSUAL), sequence
    while True:
        p += 1
        here = word(stage, p)
        key = here & _M5
        good = True
        if here & _M4 == _KEY_T:
            bit = _TRADE_T
            p, value = scan_integer(stage, p + 4)
            words[np.uint64(w + 2)] = value * NS_PER_MS
            good = value <= TIME_MS_MAX
        elif key == _KEY_S:
            bit = _TRADE_S
            good = same_name(word(stage, p + 5), word(stage, p + 13), word(stage, p + 21), name, length)
            p += length + 6
        elif here == _SIDE_BUY:
            bit = _TRADE_SIDE
            flags |= 1
            good = word(stage, p + 8) & _LOW_BYTE == _END_BUY
            p += 9
        elif here == _SIDE_SELL:
            bit = _TRADE_SIDE
            flags |= 255
            good = word(stage, p + 8) & _M2 == _END_SELL
            p += 10
        elif key == _KEY_V:
            bit = _TRADE_V
            p, value = scan_units(stage, p + 5, lot_mant, lot_exp)
            words[np.uint64(w + 1)] = value
            good = value > 0 and stage[np.uint64(p)] == QUOTE
            p += 1
        elif key == _KEY_P:
            bit = _TRADE_P
            p, value = scan_units(stage, p + 5, tick_mant, tick_exp)
            words[np.uint64(w)] = value
            good = value > 0 and stage[np.uint64(p)] == QUOTE
            p += 1
        elif is_liquidation:
            return np.int64(UNUSUAL), sequence
        elif here & _M4 == _KEY_L:
            bit = _TRADE_L
            p = skip_string(stage, p + 4, end)
        elif here & _M4 == _KEY_I:
            bit = _TRADE_I
            p = skip_string(stage, p + 4, end)
        elif key == _KEY_BT:
            bit = _TRADE_BT
            p, value = scan_bool(stage, p + 5)
            flags |= value << 8
        elif here & _M6 == _KEY_RPI:
            bit = _TRADE_RPI
            p, value = scan_bool(stage, p + 6)
            flags |= value << 9
        elif here & _M6 == _KEY_SEQ:
            bit = _TRADE_SEQ
            p, sequence = scan_integer(stage, p + 6)
        else:
            return np.int64(UNUSUAL), sequence
        if p < 0 or not good or seen & bit:
            return np.int64(UNUSUAL), sequence
        seen |= bit
        byte = stage[np.uint64(p)]
        if byte == CLOSE_OBJECT:
            break
        if byte != COMMA:
            return np.int64(UNUSUAL), sequence
    if seen & _TRADE_NEEDED != _TRADE_NEEDED:
        return np.int64(UNUSUAL), sequence
    words[np.uint64(w + 3)] = flags
    return p, sequence


@inlined
def scan_trades(stage, p, end, name, length, grid, words, head, w, limit, is_liquidation):
    """publicTrade.* and allLiquidation.*: [{"T","s","S","v","p", and of trades "L","i","BT","RPI","seq"}, ...]."""
    if stage[np.uint64(p)] != OPEN_LIST:
        return np.int64(UNUSUAL), w
    first = w
    sequence = np.int64(0)
    while True:
        if w + 4 > limit:
            return np.int64(FULL), w
        p, sequence = scan_trade(stage, p + 1, end, name, length, grid, words, w, is_liquidation)
        if p < 0 or p + 1 >= end:
            return np.int64(UNUSUAL), w
        w += 4
        p += 1
        byte = stage[np.uint64(p)]
        if byte == CLOSE_LIST:
            break
        if byte != COMMA:
            return np.int64(UNUSUAL), w
    if not is_liquidation:
        words[np.uint64(head + H_TS_EXCH)] = words[np.uint64(w - 2)]
        words[np.uint64(head + H_XSEQ)] = sequence
    words[np.uint64(head + H_COUNTS)] |= (w - first) >> 2
    return p + 1, w
