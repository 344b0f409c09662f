"""The market a load generator sends: pre-built frames of Bybit's public stream, and when each of them is due.

Frames are WebSocket frames in one block of bytes. Sending one means copying its template and writing three numbers of
fixed width into it: `u` (books, +1 per symbol), the sequence number (`seq` or `cs`), and the times in ms. The sequence
number is SEQ_BASE + ns since an epoch both sides know: the due time travels through the system in a field that nobody
changes (EVENT.xseq), to the ns.

    second of a schedule   1000 slots of 1 ms; all frames of a slot are due at its start
    books                  heavy-tailed (rank^-0.8), at most 50/s per symbol (the exchange's 20 ms); half of the symbols
                           are in phase with the others: they move at the same 20 ms ticks
    tickers                at most 10/s per symbol
    trades                 no limit; a tenth of a second's trade frames are due in one and the same slot
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from core.jit import kernel

SLOTS = 1000
SLOT_NS = 1_000_000
SEQ_BASE = 10**15  # sequence numbers have 16 digits
FIRST_U = 10_000_000  # update ids have 8
FIRST_MS = 10**12  # times have 13
BOOK, TRADE, TICKER = 0, 1, 2
KINDS = ("book", "trade", "ticker")
SHARE = (0.65, 0.25, 0.10)
CAP = (50, SLOTS, 10)  # frames a second of one symbol
VARIANTS = (8, 8, 4)
MID_TICKS = 100_000
DEPTH = 50
TIMES = 6
STRIDE = 7919  # a prime: mixes busy and quiet symbols
# columns of a template row
T_AT, T_BYTES, T_SYMBOL, T_U, T_SEQ, T_N_TIMES, T_TIMES = 0, 1, 2, 3, 4, 5, 6
COLUMNS = T_TIMES + TIMES


class Templates(NamedTuple):
    """Arrays for `compose`. Template of (symbol, kind, variant): first[3 * symbol + kind] + variant."""

    blob: np.ndarray  # uint8[:]
    rows: np.ndarray  # int64[templates, COLUMNS]
    first: np.ndarray  # int64[3 * symbols]
    variants: np.ndarray  # int64[3]
    sent: np.ndarray  # int64[3 * symbols] frames sent so far
    last_u: np.ndarray  # int64[symbols]


class Schedule(NamedTuple):
    """One second: entry k (3 * symbol + kind) of slot s for k in starts[s]:starts[s + 1]."""

    starts: np.ndarray  # int64[SLOTS + 1]
    entries: np.ndarray  # int64[frames]


@dataclass(frozen=True)
class Prices:
    """Decimal texts of one symbol: tick 0.01, lot 0.001."""

    @staticmethod
    def price(ticks: int) -> str:
        return f"{ticks // 100}.{ticks % 100:02d}"

    @staticmethod
    def qty(lots: int) -> str:
        return f"{lots // 1000}.{lots % 1000:03d}"


def names(count: int) -> list[str]:
    """`count` symbols, the busiest first."""
    return (["BTCUSDT", "ETHUSDT"] + [f"S{i:03d}USDT" for i in range(2, count)])[:count]


def instrument(name: str, rank: int) -> dict[str, Any]:
    """A row of instruments-info."""
    return {
        "symbol": name, "contractType": "LinearPerpetual", "status": "Trading", "baseCoin": name[:-4],
        "quoteCoin": "USDT", "launchTime": "1584230400000", "deliveryTime": "0", "priceScale": "2",
        "leverageFilter": {"minLeverage": "1", "maxLeverage": "50.00", "leverageStep": "0.01"},
        "priceFilter": {"minPrice": "0.01", "maxPrice": "199999.98", "tickSize": "0.01"},
        "lotSizeFilter": {
            "maxOrderQty": "1000.000", "minOrderQty": "0.001", "qtyStep": "0.001", "postOnlyMaxOrderQty": "1000.000",
            "maxMktOrderQty": "200.000", "minNotionalValue": "5",
        },
        "fundingInterval": 480, "settleCoin": "USDT", "copyTrading": "none", "symbolId": rank + 1,
        "riskParameters": {"priceLimitRatioX": "0.01", "priceLimitRatioY": "0.02"},
    }


def ticker_row(name: str, rank: int) -> dict[str, str]:
    """A row of /v5/market/tickers: turnover falls with the rank."""
    return {"symbol": name, "lastPrice": Prices.price(MID_TICKS), "turnover24h": f"{1e9 / (rank + 1):.4f}"}


def websocket(payload: bytes) -> bytes:
    """An unmasked text frame."""
    size = len(payload)
    if size < 126:
        return b"\x81" + bytes([size]) + payload
    return b"\x81" + (b"\x7e" + size.to_bytes(2, "big") if size < 65_536 else b"\x7f" + size.to_bytes(8, "big")) + payload


def _levels(levels: list[tuple[int, int]]) -> str:
    return "[" + ",".join(f'["{Prices.price(p)}","{Prices.qty(q)}"]' for p, q in levels) + "]"


def book_frame(name: str, kind: str, bids: list[tuple[int, int]], asks: list[tuple[int, int]], u: int, ms: int) -> str:
    """An orderbook.50 frame; levels as (ticks, lots), quantity 0 deletes."""
    return (
        f'{{"topic":"orderbook.50.{name}","type":"{kind}","ts":{ms},"data":{{"s":"{name}","b":{_levels(bids)},'
        f'"a":{_levels(asks)},"u":{u},"seq":{SEQ_BASE}}},"cts":{ms}}}'
    )


def base_book(rng: np.random.Generator) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """50 levels a side, more on the bid side (so that entries are wanted)."""
    bids = [(MID_TICKS - 1 - k, int(q)) for k, q in enumerate(rng.integers(2000, 9000, DEPTH))]
    asks = [(MID_TICKS + k, int(q)) for k, q in enumerate(rng.integers(500, 2500, DEPTH))]
    return bids, asks


def _delta(name: str, rng: np.random.Generator, gone: list[int], come: list[int]) -> str:
    """Changed quantities of a heavy-tailed number of levels, near the touch more often; `gone` and `come` (depths on
    both sides) are deleted and put back."""
    count = min(40, 3 + int(4 * rng.pareto(1.3)))
    depths = sorted({min(DEPTH - 1, int(d)) for d in rng.exponential(8.0, count)} - set(gone) - set(come))
    half = max(1, len(depths) // 2)
    bids = [(MID_TICKS - 1 - d, int(rng.integers(2000, 9000))) for d in depths[:half] + come]
    asks = [(MID_TICKS + d, int(rng.integers(500, 2500))) for d in depths[half:] + come]
    bids += [(MID_TICKS - 1 - d, 0) for d in gone]
    asks += [(MID_TICKS + d, 0) for d in gone]
    return book_frame(name, "delta", bids, asks, FIRST_U, FIRST_MS)


def _trade(name: str, rng: np.random.Generator) -> str:
    rows = []
    for number in range(min(TIMES - 2, int(rng.zipf(2.2)))):
        is_buy = rng.random() < 0.75
        ticks = MID_TICKS if is_buy else MID_TICKS - 1
        rows.append(
            f'{{"T":{FIRST_MS},"s":"{name}","S":"{"Buy" if is_buy else "Sell"}","v":"{Prices.qty(int(rng.integers(1, 900)))}",'
            f'"p":"{Prices.price(ticks)}","L":"ZeroPlusTick","i":"{number:08x}-3a43-53b0-913b-{rng.integers(1 << 40):012x}",'
            f'"BT":false,"RPI":false,"seq":{SEQ_BASE}}}'
        )
    return f'{{"topic":"publicTrade.{name}","type":"snapshot","ts":{FIRST_MS},"data":[{",".join(rows)}]}}'


def _ticker(name: str, rng: np.random.Generator) -> str:
    price = Prices.price(MID_TICKS)
    return (
        f'{{"topic":"tickers.{name}","type":"delta","data":{{"symbol":"{name}","lastPrice":"{price}","markPrice":"{price}",'
        f'"indexPrice":"{price}","openInterest":"{rng.integers(10_000, 99_999)}.120","openInterestValue":"9876543.21",'
        f'"turnover24h":"{rng.integers(10**8, 10**9)}.1250","volume24h":"{rng.integers(10**5, 10**6)}.0500"}},'
        f'"cs":{SEQ_BASE},"ts":{FIRST_MS}}}'
    )


def _places(frame: bytes, key: bytes) -> list[int]:
    """Where the numbers behind `"key":` begin."""
    found = []
    at = frame.find(key)
    while at >= 0:
        found.append(at + len(key))
        at = frame.find(key, at + 1)
    return found


def make_templates(symbols: list[str], seed: int) -> Templates:
    """All variants of all kinds of all symbols."""
    rng = np.random.default_rng(seed)
    parts: list[bytes] = []
    rows: list[list[int]] = []
    first = np.zeros(3 * len(symbols), np.int64)
    at = 0
    for symbol, name in enumerate(symbols):
        for kind, variants in enumerate(VARIANTS):
            first[3 * symbol + kind] = len(rows)
            gone: list[int] = []
            for variant in range(variants):
                if kind == BOOK:
                    come, gone = gone, rng.choice(np.arange(15, DEPTH), 2, replace=False).tolist() if variant % 2 == 0 else []
                    text = _delta(name, rng, gone, come)
                else:
                    text = _trade(name, rng) if kind == TRADE else _ticker(name, rng)
                frame = websocket(text.encode())
                times = _places(frame, b'"ts":') + _places(frame, b'"cts":') + _places(frame, b'"T":')
                sequence = _places(frame, b'"cs":' if kind == TICKER else b'"seq":')
                u = _places(frame, b'"u":') if kind == BOOK else [0]
                # trades of one frame share their sequence number: the last one is what the decoder takes
                row = [at, len(frame), symbol, u[0], sequence[-1], len(times), *times]
                rows.append(row + [0] * (COLUMNS - len(row)))
                parts.append(frame)
                at += len(frame)
    return Templates(
        np.frombuffer(b"".join(parts), np.uint8).copy(), np.array(rows, np.int64), first, np.array(VARIANTS, np.int64),
        np.zeros(3 * len(symbols), np.int64), np.full(len(symbols), FIRST_U, np.int64),
    )


def spread(total: int, weights: np.ndarray, cap: int) -> np.ndarray:
    """`total` in shares proportional to `weights`, each within 1..cap (or as near to `total` as that allows)."""
    low, high = 0.0, float(total) / float(weights.min())
    for _ in range(60):
        scale = (low + high) / 2
        if np.clip(np.floor(weights * scale), 1, cap).sum() < total:
            low = scale
        else:
            high = scale
    counts = np.clip(np.floor(weights * low), 1, cap).astype(np.int64)
    for index in np.argsort(-weights):
        if counts.sum() < total and counts[index] < cap:
            counts[index] += 1
    return counts


def make_schedule(symbols: int, rate: int, seed: int, bursts: bool = True) -> Schedule:
    """`rate` frames in one second, in the shares SHARE; what books and tickers may not send are trades. Without `bursts`
    the symbols are all out of phase and trades come evenly: what is left is chance."""
    rng = np.random.default_rng(seed)
    weights = np.arange(1, symbols + 1) ** -0.8
    books = spread(int(rate * SHARE[BOOK]), weights, CAP[BOOK])
    tickers = spread(int(rate * SHARE[TICKER]), weights, CAP[TICKER])
    trades = rng.multinomial(max(0, rate - int(books.sum() + tickers.sum())), weights / weights.sum())
    phases = np.where(rng.random(symbols) < 0.5, 0, rng.integers(1, 20, symbols))
    if not bursts:
        phases = rng.integers(0, SLOTS, symbols)
    slots, entries = [], []
    for kind, counts, ticks in ((BOOK, books, 50), (TICKER, tickers, 10)):
        for symbol, count in enumerate(counts.tolist()):
            when = (np.arange(count) * ticks // count * (SLOTS // ticks) + phases[symbol]) % SLOTS
            slots.append(when)
            entries.append(np.full(count, 3 * symbol + kind))
    owner = np.repeat(np.arange(symbols), trades)
    when = rng.integers(0, SLOTS, len(owner))
    when[rng.random(len(owner)) < 0.1 * bursts] = 511
    slots.append(when)
    entries.append(3 * owner + TRADE)
    slot, entry = np.concatenate(slots), np.concatenate(entries)
    order = np.lexsort((rng.random(len(slot)), slot))
    starts = np.searchsorted(slot[order], np.arange(SLOTS + 1))
    return Schedule(starts.astype(np.int64), entry[order].astype(np.int64))


@kernel
def put_number(out, at, value, digits):
    """`value` as `digits` decimal digits into out[at:]."""
    for k in range(digits):
        out[at + digits - 1 - k] = 48 + value % 10
        value //= 10


@kernel
def compose(templates, entries, begin, end, conn_of, conn, trading, sequence, ms, out, at):
    """Append the frames of entries[begin:end] that belong to connection `conn` to `out`; returns the new end of it.

    `sequence` and `ms` go into every frame, the next `u` of its symbol into a book. Only `trading` symbols (in a mixed
    order) have trades yet, the trades of others are left out.
    """
    for k in range(begin, end):
        entry = entries[k]
        symbol = entry // 3
        if conn_of[symbol] != conn:
            continue
        kind = entry - 3 * symbol
        if kind == 1 and symbol * STRIDE % conn_of.shape[0] >= trading:
            continue
        row = templates.first[entry] + templates.sent[entry] % templates.variants[kind]
        templates.sent[entry] += 1
        source = templates.rows[row, 0]
        size = templates.rows[row, 1]
        for byte in range(size):
            out[at + byte] = templates.blob[source + byte]
        if kind == 0:
            templates.last_u[symbol] += 1
            put_number(out, at + templates.rows[row, 3], templates.last_u[symbol], 8)
        put_number(out, at + templates.rows[row, 4], sequence, 16)
        for k_time in range(templates.rows[row, 5]):
            put_number(out, at + templates.rows[row, 6 + k_time], ms, 13)
        at += size
    return at
