"""Naive twins of the venue's kernels: frames by `json`, the book by a dict, straight from the market's arrays."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

DIRECTIONS = ("PlusTick", "ZeroPlusTick", "MinusTick", "ZeroMinusTick")


def compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def fixed(mantissa: int, decimals: int) -> str:
    """mantissa / 10**decimals with exactly that many decimals."""
    return f"{Decimal(mantissa).scaleb(-decimals):.{decimals}f}"


def trimmed(mantissa: int, decimals: int) -> str:
    text = fixed(mantissa, decimals)
    return text.rstrip("0").rstrip(".") if "." in text else text


def payload(frame: bytes) -> bytes:
    """Payload of an unmasked text frame; checks the header against the length."""
    data = bytes(frame)
    assert data[0] == 0x81
    if data[1] < 126:
        start, size = 2, data[1]
    elif data[1] == 126:
        start, size = 4, int.from_bytes(data[2:4], "big")
        assert size >= 126
    else:
        start, size = 10, int.from_bytes(data[2:10], "big")
        assert size >= 65536
    assert len(data) == start + size
    return data[start:]


def ladder(exchange: Any, row: int, depth: int) -> tuple[list[list[str]], list[list[str]]]:
    """Best `depth` bids and asks of the market's own book, as texts."""
    s, instrument = exchange.market.symbols[row], exchange.instruments[row]
    window = exchange.market.ladder.shape[1]
    sides = []
    for step, start, stop in ((-1, int(s.best_bid), max(1, int(s.lo)) - 1), (1, int(s.best_ask), int(s.hi))):
        found = []
        for ticks in range(start, stop, step):
            lots = int(exchange.market.ladder[row, ticks % window])
            if lots and len(found) < depth:
                price = fixed(ticks * instrument.tick_mant, instrument.price_exp)
                found.append([price, fixed(lots * instrument.lot_mant, instrument.qty_exp)])
        sides.append(found)
    return sides[0], sides[1]


def trade_frame(exchange: Any, row: int, first: int, now_ms: int) -> bytes:
    """The publicTrade frame of the trades from ring position `first` on."""
    s, instrument = exchange.market.symbols[row], exchange.instruments[row]
    ring = exchange.market.trades[row]
    data = []
    for k in range(first, int(s.trade_head)):
        trade = ring[k % len(ring)]
        digits = list(f"{int(trade.id_high):016x}{int(trade.id_low):016x}")
        digits[12], digits[16] = "5", "89ab"[int(digits[16], 16) & 3]
        text = "".join(digits)
        data.append({
            "T": int(trade.ts_ms), "s": instrument.symbol, "S": "Buy" if trade.side > 0 else "Sell",
            "v": fixed(int(trade.lots) * instrument.lot_mant, instrument.qty_exp),
            "p": fixed(int(trade.ticks) * instrument.tick_mant, instrument.price_exp),
            "L": DIRECTIONS[int(trade.direction)],
            "i": "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:])),
            "BT": False, "RPI": False, "seq": int(trade.seq),
        })
    return compact({"topic": f"publicTrade.{instrument.symbol}", "type": "snapshot", "ts": now_ms, "data": data})


class ClientBook:
    """What a client of an orderbook topic keeps; asserts Bybit's rules on the way."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.sides: dict[str, dict[str, str]] = {"b": {}, "a": {}}
        self.u = self.seq = -1
        self.frames = 0

    def apply(self, message: dict[str, Any]) -> None:
        data = message["data"]
        if message["type"] == "snapshot":
            self.sides = {"b": {}, "a": {}}
        else:
            assert data["u"] == self.u + 1
            assert data["seq"] > self.seq
        for key, side in self.sides.items():
            prices = [float(price) for price, _ in data[key]]
            assert prices == sorted(prices, reverse=key == "b"), "levels come best first"
            for price, size in data[key]:
                if size == "0":
                    assert side.pop(price, None) is not None, "deleted a level that was not there"
                else:
                    side[price] = size
        self.u, self.seq = data["u"], data["seq"]
        self.frames += 1
        assert len(self.sides["b"]) == len(self.sides["a"]) == self.depth
        assert max(map(float, self.sides["b"])) < min(map(float, self.sides["a"])), "crossed"

    def levels(self) -> tuple[list[list[str]], list[list[str]]]:
        bids = sorted(self.sides["b"].items(), key=lambda level: -float(level[0]))
        asks = sorted(self.sides["a"].items(), key=lambda level: float(level[0]))
        return [list(level) for level in bids], [list(level) for level in asks]
