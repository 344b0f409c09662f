"""The obvious features: every event is kept, and every feature is made from the whole history when asked for."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right

from tests.reference.book import NaiveBook
from tests.reference.candles import NaiveCandles
from tests.reference.tape import BLOCK, Trade

BUCKET = 100_000_000
SECOND = 1_000_000_000


class NaiveFeatures:
    """Features of one symbol. Lengths: flow windows in buckets of 100 ms, the others in seconds."""

    def __init__(self, tick_size: float, lot_size: float, ts_ns: int) -> None:
        self.tick_size, self.lot_size = tick_size, lot_size
        self.fast, self.slow, self.change_s, self.vol_s, self.vol_min = 10, 100, 60, 60, 5
        self.baseline_s, self.baseline_min, self.levels, self.warmup_ns = 300, 20, 10, 5 * SECOND
        self.atr_n, self.atr_min, self.provisional = 14, 3, 8
        self.start_ns = self.now_ns = ts_ns
        self.book: NaiveBook | None = None
        self.top: tuple[int, int, int, int] | None = None
        self.since_ns = 0
        self.mids: list[tuple[int, int]] = [(ts_ns // SECOND, 0)]  # (second, mid x 2; 0 = unknown), on every change
        self.quotes: list[tuple[int, int]] = [(ts_ns // BUCKET, 0)]  # (bucket, mid x 2), likewise
        self.ofi: list[tuple[int, int]] = []  # (bucket, lots)
        self.trades: list[tuple[int, int, Trade]] = []  # (bucket, second, trade)
        self.liquidations: list[tuple[int, Trade]] = []
        self.ticker: dict[int, int] = {}
        self.candles_1s, self.candles_3s = NaiveCandles(SECOND), NaiveCandles(3 * SECOND)

    # events
    def at(self, ts_ns: int) -> None:
        self.now_ns = max(self.now_ns, ts_ns)
        self.candles_1s.roll(self.now_ns)
        self.candles_3s.roll(self.now_ns)

    def on_book(self, ts_ns: int, book: NaiveBook, is_snapshot: bool) -> None:
        self.at(ts_ns)
        self.since_ns = self.since_ns or ts_ns
        if not book.is_whole() or book.is_crossed():
            self.book = self.top = None
            self._mid(0)
            return
        (bid, bid_qty), (ask, ask_qty) = book.best(0), book.best(1)
        if self.top and not is_snapshot:
            bid0, bid_qty0, ask0, ask_qty0 = self.top
            e = (bid >= bid0) * bid_qty - (bid <= bid0) * bid_qty0 - (ask <= ask0) * ask_qty + (ask >= ask0) * ask_qty0
            self.ofi.append((self.now_ns // BUCKET, e))
        self.book, self.top = book, (bid, bid_qty, ask, ask_qty)
        self._mid(bid + ask)

    def on_broken(self) -> None:
        self.book = self.top = None
        self.since_ns = 0
        self._mid(0)

    def _mid(self, mid2: int) -> None:
        self.mids.append((self.now_ns // SECOND, mid2))
        self.quotes.append((self.now_ns // BUCKET, mid2))

    def on_trades(self, ts_ns: int, trades: list[Trade]) -> None:
        self.at(ts_ns)
        self.candles_1s.add(ts_ns, trades)
        self.candles_3s.add(ts_ns, trades)
        for t in trades:
            if not t.flags & BLOCK:
                self.trades.append((self.now_ns // BUCKET, self.now_ns // SECOND, t))

    def on_liquidations(self, ts_ns: int, trades: list[Trade]) -> None:
        self.at(ts_ns)
        self.liquidations += [(self.now_ns // BUCKET, t) for t in trades]

    def on_ticker(self, ts_ns: int, fields: dict[int, int]) -> None:
        self.at(ts_ns)
        self.ticker.update(fields)

    # answers
    def _close_mid(self, second: int) -> int:
        """Mid x 2 when `second` closed; 0 = not known then."""
        return self.mids[bisect_right(self.mids, (second, math.inf)) - 1][1]

    def _carried_mid(self, second: int) -> int:
        """The last known mid x 2 at or before the close of `second`; 0 = none yet."""
        i = bisect_right(self.mids, (second, math.inf)) - 1
        while i >= 0 and self.mids[i][1] == 0:
            i -= 1
        return self.mids[i][1] if i >= 0 else 0

    def _window(self, rows: list, buckets: int) -> list:
        bucket = self.now_ns // BUCKET
        lo = bisect_left(rows, (bucket - buckets + 1,))
        return rows[lo:]

    def _value(self, trades: list[Trade], side: int) -> float:
        return sum(t.price * t.qty for t in trades if t.side == side) * (self.tick_size * self.lot_size)

    def _streak(self) -> int:
        streak, bucket = 0, self.now_ns // BUCKET
        for b, _, t in reversed(self.trades):
            if bucket - b >= self.slow or streak * t.side < 0:
                break
            streak += t.side
            bucket = b
        return streak

    def _volatility(self) -> float:
        second, first = self.now_ns // SECOND, self.start_ns // SECOND
        squares = []
        for s in range(max(second - self.vol_s, first + 1), second):
            before, after = self._close_mid(s - 1), self._close_mid(s)
            if before and after:
                r = math.floor(2e9 * (after - before) / (after + before) + 0.5) / 1e9
                squares.append(min(max(r, -0.1), 0.1) ** 2)
        if len(squares) < self.vol_min:
            return math.nan
        return math.sqrt(sum(squares) / len(squares) * 60) * 1e4

    def _provisional(self) -> float:
        """Mean true range of the mid over closed buckets of the slow window in bps of the last mid; nan = too few."""
        newest, first = self.now_ns // BUCKET, self.start_ns // BUCKET
        ranges = []
        for b in range(max(newest - self.slow + 1, first), newest):
            lo, hi = (bisect_left(self.quotes, (b + k,)) for k in (0, 1))
            piece = [mid2 for _, mid2 in self.quotes[max(lo - 1, 0) : hi]]
            if piece and piece[-1]:
                known = [mid2 for k, mid2 in enumerate(piece) if all(piece[k:])]
                ranges.append(max(known) - min(known))
        before = range(bisect_left(self.quotes, (newest,)) - 1, -1, -1)
        last = next((self.quotes[k][1] for k in before if self.quotes[k][1]), 0)
        return sum(ranges) / len(ranges) / last * 1e4 if len(ranges) >= self.provisional and last else math.nan

    def _atrs(self) -> dict[str, float]:
        fast, slow = (c.atr_bps(self.atr_n, self.atr_min) for c in (self.candles_1s, self.candles_3s))
        estimate, provisional = self._provisional(), 0.0
        if math.isnan(slow):
            slow, provisional = estimate * math.sqrt(30), 1.0
        if math.isnan(fast):
            fast, provisional = estimate * math.sqrt(10), 2.0 if estimate >= 0 else math.nan
        return {"atr_1s_bps": fast, "atr_3s_bps": slow, "atr_provisional": provisional}

    def change(self, mid2: int, change_s: int) -> float:
        second, first = self.now_ns // SECOND, self.start_ns // SECOND
        s = max(second - 1 - change_s, first)
        reference = 0
        while s < second and not reference:
            reference = self._carried_mid(s)
            s += 1
        return (mid2 / reference - 1) * 100 if mid2 and reference else math.nan

    def _surge(self, slow_trades: list[Trade], slow_buckets: int) -> float:
        first = self.start_ns // SECOND
        stop = self.now_ns // SECOND - math.ceil(self.slow / 10)
        start = max(stop - self.baseline_s, first)
        value = 0
        for _, s, t in reversed(self.trades):
            if s < start:
                break
            if s < stop:
                value += t.price * t.qty
        if stop - start < self.baseline_min or not value:
            return math.nan
        rate = sum(t.price * t.qty for t in slow_trades) / (slow_buckets / 10)
        return rate / (value / (stop - start))

    def features(self) -> dict[str, float]:
        nan = math.nan
        bucket, first = self.now_ns // BUCKET, self.start_ns // BUCKET
        fast_buckets, slow_buckets = (min(bucket - first + 1, n) for n in (self.fast, self.slow))
        near = [t for _, _, t in self._window(self.trades, self.fast)]
        far = [t for _, _, t in self._window(self.trades, self.slow)]
        liquidated = [t for _, t in self._window(self.liquidations, self.slow)]
        book, mid2 = self.book, self.mids[-1][1]
        lot_value = mid2 / 2 * self.tick_size * self.lot_size
        mark, index = self.ticker.get(6, 0) / 1e10, self.ticker.get(7, 0) / 1e10
        atrs = self._atrs()
        micro, mid = (book.microprice(), book.mid()) if book else (nan, nan)
        return {
            "mid": mid,
            "spread_bps": book.spread_bps() if book else nan,
            "microprice": micro,
            "micro_bps": (micro - mid) / mid * 1e4,
            "imbalance_top": book.imbalance(1) if book else nan,
            "imbalance_n": book.imbalance(self.levels) if book else nan,
            "ofi_1s": sum(e for _, e in self._window(self.ofi, self.fast)) * lot_value if book else nan,
            "ofi_10s": sum(e for _, e in self._window(self.ofi, self.slow)) * lot_value if book else nan,
            "buy_1s": self._value(near, 1),
            "sell_1s": self._value(near, -1),
            "buy_10s": self._value(far, 1),
            "sell_10s": self._value(far, -1),
            "delta_1s": sum(t.price * t.qty * t.side for t in near) * (self.tick_size * self.lot_size),
            "delta_10s": sum(t.price * t.qty * t.side for t in far) * (self.tick_size * self.lot_size),
            "streak": self._streak(),
            "trades_per_s": len(near) / (fast_buckets / 10),
            "trades_per_s_10s": len(far) / (slow_buckets / 10),
            "atr_1s_bps": atrs["atr_1s_bps"],
            "atr_3s_bps": atrs["atr_3s_bps"],
            "realised_vol_bps": self._volatility(),
            "change_1m_pct": self.change(mid2, self.change_s),
            "volume_surge": self._surge(far, slow_buckets),
            "last": self.trades[-1][2].price if self.trades else nan,
            "mark": mark if 6 in self.ticker else nan,
            "index": index if 7 in self.ticker else nan,
            "basis_bps": (mark - index) / index * 1e4 if 6 in self.ticker and index > 0 else nan,
            "funding_rate": self.ticker[11] / 1e10 if 11 in self.ticker else nan,
            "open_interest": self.ticker[8] / 1e4 if 8 in self.ticker else nan,
            "liq_long_10s": self._value(liquidated, 1),
            "liq_short_10s": self._value(liquidated, -1),
            "warm": float(book is not None and self.now_ns - self.since_ns >= self.warmup_ns),
            "atr_provisional": atrs["atr_provisional"],
        }
