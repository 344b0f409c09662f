"""Naive twin of `bench.quoting` with the peer's definitions: dictionaries, one list of orders, one thing after the other."""

from __future__ import annotations

from core.enums import EventKind
from tests.core.streams import Event


def naive_quotes(events: list[Event], step_ns: int, latency_ns: int) -> list[tuple[int, int, int, int, int]]:
    """(side, price, sent ns, fill ns, fill price) of every quote of one lot, in the order sent; fill 0, 0 = not filled."""
    shown: dict[int, dict[int, int]] = {1: {}, -1: {}}
    sent: list[list[int]] = []
    ahead: dict[int, int] = {}  # working quote -> lots ahead of it
    latest: dict[int, int | None] = {1: None, -1: None}  # the quote of a side as we know it
    requests: list[tuple[int, int | None, int]] = []  # (arrival, quote to cancel first, new quote)
    look_ns = events[0].ts_ns + step_ns

    def touch(side: int) -> int:
        return side * max((side * price for price in shown[side]), default=0)

    def fill(number: int, ts_ns: int, price: int) -> None:
        sent[number][3:] = [ts_ns, price]
        ahead.pop(number, None)

    def crosses(side: int, price: int) -> bool:
        return touch(-side) > 0 and side * (price - touch(-side)) >= 0

    def arrive(ts_ns: int, old: int | None, number: int) -> None:
        if old is not None:
            ahead.pop(old, None)
        side, price = sent[number][:2]
        if crosses(side, price):
            fill(number, ts_ns, touch(-side))
        else:
            ahead[number] = shown[side].get(price, 0)

    def look(now_ns: int) -> None:
        if not 0 < touch(1) < touch(-1):
            return
        for side in (1, -1):
            old = latest[side]
            if old is not None and 0 < sent[old][3] <= now_ns - latency_ns:
                old = None
            if old is None or sent[old][1] != touch(side):
                requests.append((now_ns + latency_ns, old, len(sent)))
                latest[side] = len(sent)
                sent.append([side, touch(side), now_ns, 0, 0])

    for event in events:
        while min([look_ns] + [at for at, _, _ in requests]) < event.ts_ns:
            if requests and requests[0][0] <= look_ns:
                arrive(*requests.pop(0))
            else:
                look(look_ns)
                look_ns += step_ns
        if event.kind is EventKind.TRADES:
            for trade in event.trades:
                for number in list(ahead):
                    side, price = sent[number][:2]
                    if side == trade.side:
                        continue
                    if price == trade.price:
                        ahead[number] -= trade.qty
                    if side * (price - trade.price) > 0 or (price == trade.price and ahead[number] < 0):
                        fill(number, event.ts_ns, price)
            continue
        for side, levels in ((1, event.bids), (-1, event.asks)):
            if event.kind is EventKind.BOOK_SNAPSHOT:
                shown[side].clear()
            for price, lots in levels:
                shown[side].pop(price, None)
                if lots:
                    shown[side][price] = lots
        for number in list(ahead):
            side, price = sent[number][:2]
            ahead[number] = min(ahead[number], shown[side].get(price, 0))
            if crosses(side, price):
                fill(number, event.ts_ns, price)
    for request in requests:
        arrive(*request)
    return [(side, price, ts_ns, fill_ns, at) for side, price, ts_ns, fill_ns, at in sent]
