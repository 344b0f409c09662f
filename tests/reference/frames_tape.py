"""Naive twin of a whole tape run's books: json, Decimal and dictionaries, straight from the lines of the file."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

MASK = (1 << 64) - 1
DEPTH = 50  # config/symbols.toml


def frames(path: Path) -> list[dict[str, Any]]:
    """Every line that holds a JSON object behind its receive time."""
    data = path.read_bytes()
    found = []
    for line in (gzip.decompress(data) if path.suffix == ".gz" else data).decode(errors="replace").splitlines():
        try:
            frame = json.loads(line.split(" ", 1)[1])
        except (ValueError, IndexError, RecursionError):
            continue
        if isinstance(frame, dict):
            found.append(frame)
    return found


def decimals(text: str) -> int:
    """Decimals that say something: trailing zeros do not ("65114.20" has one)."""
    return len(text.partition(".")[2].rstrip("0"))


def grids(rows: list[dict[str, Any]]) -> dict[str, tuple[int, int]]:
    """(price decimals, quantity decimals) of every symbol, from its books and trades."""
    result: dict[str, tuple[int, int]] = {}
    for frame in rows:
        topic = str(frame.get("topic", ""))
        if topic.startswith("orderbook."):
            symbol, pairs = frame["data"]["s"], frame["data"]["b"] + frame["data"]["a"]
        elif topic.startswith("publicTrade."):
            symbol, pairs = topic.rpartition(".")[2], [(t["p"], t["v"]) for t in frame["data"]]
        else:
            continue
        price, qty = result.get(symbol, (0, 0))
        for p, q in pairs:
            price, qty = max(price, decimals(p)), max(qty, decimals(q))
        result[symbol] = (price, qty)
    return result


def driving_depth(depths: set[int]) -> int:
    """The configured depth where the tape has it, else the smallest larger one, else the largest."""
    larger = [depth for depth in depths if depth >= DEPTH]
    return min(larger) if larger else max(depths)


def final_books(path: Path) -> dict[str, list[dict[int, int]]]:
    """{symbol: [bids, asks]} with prices in ticks and quantities in lots, as they stand after the last frame."""
    rows = frames(path)
    grid = grids(rows)
    topics: dict[str, set[int]] = {}
    for frame in rows:
        parts = str(frame.get("topic", "")).split(".")
        if parts[0] == "orderbook":
            topics.setdefault(parts[2], set()).add(int(parts[1]))
    chosen = {symbol: driving_depth(depths) for symbol, depths in topics.items()}
    books: dict[str, list[dict[int, int]]] = {}
    last_u: dict[str, int | None] = {}
    for frame in rows:
        parts = str(frame.get("topic", "")).split(".")
        if parts[0] != "orderbook" or chosen[parts[2]] != int(parts[1]):
            continue
        symbol, data = parts[2], frame["data"]
        if frame["type"] == "snapshot":
            books[symbol] = [{}, {}]
        elif last_u.get(symbol) is None or data["u"] <= last_u[symbol]:
            continue  # no base, or old
        elif data["u"] != last_u[symbol] + 1:
            last_u[symbol] = None  # a gap: nothing counts until the next snapshot
            continue
        last_u[symbol] = data["u"]
        price_exp, qty_exp = grid[symbol]
        for side, levels in enumerate((data["b"], data["a"])):
            for price, qty in levels:
                ticks, lots = int(Decimal(price).scaleb(price_exp)), int(Decimal(qty).scaleb(qty_exp))
                if lots:
                    books[symbol][side][ticks] = lots
                else:
                    books[symbol][side].pop(ticks, None)
    return books


def mix64(x: int) -> int:
    """splitmix64's finaliser."""
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def book_digest(book: list[dict[int, int]]) -> str:
    """The digest of core/book, from dictionaries."""
    total = 0
    for side, levels in enumerate(book):
        for ticks, lots in levels.items():
            chain = mix64((ticks + 0x9E3779B97F4A7C15 * (side + 1)) & MASK)
            total = (total + mix64(chain ^ lots)) & MASK
    return f"{mix64((total + len(book[0]) + len(book[1])) & MASK):016x}"


def final_book_digests(path: Path) -> dict[str, str]:
    return {symbol: book_digest(book) for symbol, book in final_books(path).items()}
