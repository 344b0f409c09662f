"""The paper matcher and its naive twin side by side: every call is compared."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from core.enums import MessageKind, OrderRole, ReportKind
from core.params import PARAMS
from core.records import MESSAGE, REPORT, SYMBOL, TRADE
from core.sim import desk as d
from tests.reference.desk import Instrument, Market, PaperDesk

LEVELS = 64


class TestBook(NamedTuple):
    """The three arrays of a book the desk reads."""

    __test__ = False
    price: np.ndarray
    qty: np.ndarray
    count: np.ndarray


class Rig:
    """One slot (of two, so that an index mistake shows) with the market in plain lists."""

    def __init__(self, slot: int = 1, maker_fee_e8: int = 20_000, taker_fee_e8: int = 55_000, cap_e8: int = 500_000,
                 decimals: tuple[int, int] = (2, 3), tick_mant: int = 5, cut_e4: int = 0) -> None:
        self.slot = slot
        self.desk = d.new_desk(2)
        self.book = TestBook(np.zeros((2, 2, LEVELS), np.int64), np.zeros((2, 2, LEVELS), np.int64),
                             np.zeros((2, 2), np.int64))
        self.symbols = np.zeros(2, SYMBOL.dtype)
        row = self.symbols[slot]
        row.id, row.tick_mant, row.lot_mant = 7, tick_mant, 1
        row.price_exp, row.qty_exp = decimals
        self.params = np.zeros(1, PARAMS.dtype)
        self.params["maker_fee_e8"], self.params["taker_fee_e8"] = maker_fee_e8, taker_fee_e8
        self.params["slippage_cap_e8"], self.params["queue_cut_e4"] = cap_e8, cut_e4
        self.out = np.zeros(256, MESSAGE.dtype)
        self.seq = 0
        scale = 10**8
        self.twin = PaperDesk(Instrument(
            Fraction(tick_mant, 10 ** decimals[0]), Fraction(1, 10 ** decimals[1]), Fraction(maker_fee_e8, scale),
            Fraction(taker_fee_e8, scale), Fraction(cap_e8, scale), 1 - Fraction(cut_e4, 10_000),
        ))

    def report(self, kind, **fields):
        names = {"price": "price_ticks", "qty": "qty_lots", "stop": "stop_ticks", "deadline": "deadline_ns"}
        reports = np.zeros(2, REPORT.dtype)
        reports[1].kind = kind
        for at, (ticks, lots) in zip(("", "2", "3"), fields.get("targets", ()), strict=False):
            reports[f"target{at}_ticks"][1], reports[f"target{at}_lots"][1] = ticks, lots
        for key, value in fields.items():
            if key == "targets":
                continue
            reports[names.get(key, key)][1] = value
        d.desk_report(self.desk, self.slot, reports, 1, 0, self.params)
        self.twin.report(kind, **fields)

    def enter(self, side=1, price=1000, qty=10, stop=0, target=0, deadline=0, flags=3, targets=()):
        """`target`: one for the whole entry; `targets`: [(price, lots)] of a ladder."""
        self.report(ReportKind.ACCEPTED, seq=5, order_id=11, decision_id=9, side=side, price=price, qty=qty,
                    stop=stop, targets=targets or ([(target, qty)] if target else ()), deadline=deadline, flags=flags)

    def match(self, bids=None, asks=None, trades=(), now=0, believed=True, taker=True):
        """One event: a new book where bids and asks are given, else the old one; compares kernel and twin."""
        changed = bids is not None
        for side, levels in enumerate((bids, asks)):
            if changed:
                self.book.count[self.slot, side] = len(levels)
                for k, (price, lots) in enumerate(levels):
                    self.book.price[self.slot, side, k], self.book.qty[self.slot, side, k] = price, lots
        shown = [[(int(self.book.price[self.slot, s, k]), int(self.book.qty[self.slot, s, k]))
                  for k in range(self.book.count[self.slot, s])] for s in (0, 1)]
        records = np.zeros(len(trades) + 2, TRADE.dtype)
        full = []
        for k, trade in enumerate(trades):
            price, lots, aggressor, *bits = trade
            flags = bits[0] if bits else 0
            records[k + 1].price_ticks, records[k + 1].qty_lots = price, lots
            records[k + 1].side, records[k + 1].flags = aggressor, flags
            full.append((price, lots, aggressor, bool(flags & 1), bool(flags & 2)))
        self.seq += 1
        flags = (d.MATCH_BOOK_OK if believed else 0) | (d.MATCH_BOOK_CHANGED if changed else 0)
        flags |= 0 if taker else d.MATCH_NO_TAKER
        self.out[:] = np.zeros(1, MESSAGE.dtype)
        n = d.desk_match(self.desk, self.slot, self.book, flags, records, 1, len(trades), now, self.symbols, self.slot,
                         self.params, self.out, 3, self.seq, self.seq * 10, self.seq * 100) - 3
        assert n <= d.MAX_MESSAGES
        names = ("kind", "order_id", "decision_id", "price_ticks", "qty_lots", "side", "role", "is_maker",
                 "leaves_lots", "fee_e8", "reason", "rung")
        got = [{name: int(row[name]) for name in names} for row in self.out[3:3 + n]]
        for row in self.out[3:3 + n]:
            assert (row.symbol, row.seq, row.ts_event_ns, row.mono_recv_ns) == (7, self.seq, self.seq * 10,
                                                                                self.seq * 100)
        expected = self.twin.match(Market(*shown, full, believed, changed), now, taker)
        assert got == expected
        position = self.twin.position
        assert d.desk_position(self.desk, self.slot) == (position.lots if position else 0)
        assert d.desk_stop(self.desk, self.slot) == (position.stop if position else 0)
        assert self.targets() == ([(t.price, t.lots) for t in position.targets] if position else [(0, 0)] * 3)
        return got

    def targets(self):
        return [tuple(map(int, d.desk_target(self.desk, self.slot, k))) for k in range(3)]


BIDS = [(999, 20), (998, 30), (990, 5)]
ASKS = [(1001, 20), (1002, 30), (1010, 5)]


def brief(messages):
    return [(MessageKind(m["kind"]).name, OrderRole(m["role"]).name if m["kind"] == MessageKind.FILL else "",
             m["side"], m["price_ticks"], m["qty_lots"], m["leaves_lots"]) for m in messages]


def mirrored(sign):
    """The market of these tests as a buyer (+1) or, mirrored around 1000, as a seller (-1) sees it."""
    flip = lambda levels: [(2000 - p, q) for p, q in levels]  # noqa: E731
    return (BIDS, ASKS) if sign > 0 else (flip(ASKS), flip(BIDS))


def price(sign, value):
    return value if sign > 0 else 2000 - value
