"""One symbol's market with our own orders in it: the public book, the working orders, and the fills of each event."""

from __future__ import annotations

import numpy as np

from core.book.kernels import apply_delta, apply_snapshot, new_book
from core.records import LEVEL
from core.sim.matching import (
    FILL_FIELDS,
    PUBLIC,
    TAKEN,
    WORKING,
    best_price,
    drop_empty,
    fillable,
    find,
    insert,
    match_book,
    match_prints,
    take,
)
from core.sim.queue_model import QUEUE_SCALE, QueueModel, queue_ahead

LEVELS = 1100
FIRST_CAP = 16
PENDING_MAX = 256  # changes remembered for a symbol without own orders before they are applied together
ZERO = np.int64(0)
NO_TRIGGER = (1 << 62, -(1 << 62))  # last prices that reach no trigger: rise, fall

Fill = tuple[int, int, int]  # handle (PUBLIC = the public book), price ticks, lots


class MatchingBook:
    """Public book and own orders of a symbol. Prices in ticks, quantities in lots; `side` is a sign.

    Handles are the caller's numbers (>= 0) for own orders. Own lots are no part of the public book."""

    def __init__(self, model: QueueModel, power: float) -> None:
        self._model = np.int64(model)
        self._power = np.float64(power)
        self.book = new_book(1, LEVELS)
        self.working = np.recarray((2, FIRST_CAP), WORKING)
        self.count = np.zeros(2, np.int64)
        self._fills = np.zeros((self._room(), FILL_FIELDS), np.int64)
        self._taken: dict[tuple[int, int], tuple[int, int]] = {}  # (book side, price) -> (displayed, left) lots
        self._pending: list[tuple[np.ndarray, np.ndarray]] = []  # changes (bids, asks) not applied yet
        self._pending_snapshot = False
        self.n_own = 0

    def _room(self) -> int:
        return 2 * (LEVELS + self.working.shape[1]) + 2

    # --- the public market --------------------------------------------------------------------------------------

    def apply(self, bids: np.ndarray, asks: np.ndarray, is_snapshot: bool) -> list[Fill]:
        """New levels int64[n, 2] (price, lots; lots 0 deletes); returns the fills of own orders the book now crosses.

        A snapshot that shows a level as it was before we took from it does not give the lots back."""
        if not self.n_own and not self._taken:
            if is_snapshot:
                self._pending.clear()
                self._pending_snapshot = True
            self._pending.append((bids.copy(), asks.copy()))
            if len(self._pending) >= PENDING_MAX:
                self._catch_up()
            return []
        self._catch_up()
        if self._taken and not is_snapshot:
            for side, rows in ((0, bids), (1, asks)):
                for price in rows[:, 0].tolist():
                    self._taken.pop((side, price), None)
        self._apply([(bids, asks)], is_snapshot)
        if self._taken and is_snapshot:
            self._take_again()
        if not self.n_own:
            return []
        n = match_book(self.working, self.count, self.book, self._model, self._power, self._fills)
        fills = self._rows(n)
        self._note_taken([(TAKEN - handle, price, lots) for handle, price, lots in fills if handle <= TAKEN])
        return [fill for fill in fills if fill[0] > TAKEN]

    def _apply(self, changes: list[tuple[np.ndarray, np.ndarray]], is_snapshot: bool) -> None:
        """Changes (bids, asks) one after the other in one call: the sides are independent, so each is one sequence."""
        levels = np.concatenate([bids for bids, _ in changes] + [asks for _, asks in changes])
        n_bids = sum(len(bids) for bids, _ in changes)
        (apply_snapshot if is_snapshot else apply_delta)(
            self.book, ZERO, levels.view(LEVEL.dtype).reshape(-1), ZERO, np.int64(n_bids),
            np.int64(len(levels) - n_bids),
        )

    def _catch_up(self) -> None:
        """Apply what was only remembered while nobody had an order here; only its first change can be a snapshot."""
        if self._pending:
            self._apply(self._pending, self._pending_snapshot)
            self._pending.clear()
            self._pending_snapshot = False

    def match_next(self, rows: np.ndarray, at: int, rise_ticks: int, fall_ticks: int) -> tuple[int, list[Fill]]:
        """Public trades int64[n, 3] (price, lots, aggressor) from row `at` on, until one fills an own order or its
        price reaches a trigger: (row after it, fills)."""
        at, n = match_prints(
            self.working, self.count, rows, np.int64(at), np.int64(rise_ticks), np.int64(fall_ticks), self._fills
        )
        return int(at), self._rows(n)

    def best(self, side: int) -> int:
        """Best price on the side of sign `side` with lots left, own orders included; 0 = none."""
        self._catch_up()
        return int(best_price(self.working, self.count, self.book, np.int64(side)))

    def public_levels(self, side: int) -> list[tuple[int, int]]:
        """(price, lots left) of the public book on the side of sign `side`, best first."""
        self._catch_up()
        index = 0 if side > 0 else 1
        n = int(self.book.count[0, index])
        return list(zip(self.book.price[0, index, :n].tolist(), self.book.qty[0, index, :n].tolist(), strict=True))

    def mid2(self) -> int:
        """Twice the mid price of the public book, 0 unless both sides are there."""
        self._catch_up()
        if self.book.count[0, 0] == 0 or self.book.count[0, 1] == 0:
            return 0
        return int(self.book.price[0, 0, 0] + self.book.price[0, 1, 0])

    # --- own orders ---------------------------------------------------------------------------------------------

    def rest(self, side: int, price_ticks: int, lots: int, handle: int) -> None:
        """Put an own order at the end of the queue of its price."""
        self._catch_up()
        index = 0 if side > 0 else 1
        if self.count[index] == self.working.shape[1]:
            wider = np.recarray((2, 2 * self.working.shape[1]), WORKING)
            wider[:, : self.working.shape[1]] = self.working
            self.working = wider
            self._fills = np.zeros((self._room(), FILL_FIELDS), np.int64)
        ahead = queue_ahead(self.book, ZERO, np.int64(index), np.int64(side), np.int64(price_ticks))
        insert(
            self.working, self.count, np.int64(index), np.int64(price_ticks), np.int64(lots), np.int64(ahead),
            np.int64(handle),
        )
        self.n_own += 1

    def reduce(self, side: int, handle: int, lots: int) -> None:
        """Give a working order `lots` left (fewer than before; it keeps its place), or with 0 take it out."""
        index = 0 if side > 0 else 1
        at = find(self.working, self.count, np.int64(index), np.int64(handle))
        if at >= 0:
            self.working[index, at].leaves_lots = lots
            if lots == 0:
                self.sweep()

    def sweep(self) -> None:
        """Forget the orders without lots left."""
        drop_empty(self.working, self.count)
        self.n_own = int(self.count.sum())

    def queue_ahead(self, side: int, handle: int) -> int:
        """Public lots ahead of a working order, rounded up; -1 unknown."""
        index = 0 if side > 0 else 1
        at = find(self.working, self.count, np.int64(index), np.int64(handle))
        if at < 0:
            return 0
        queue = int(self.working[index, at].queue)
        return -(-queue // QUEUE_SCALE) if queue >= 0 else -1

    def first_own(self, side: int, limit_ticks: int) -> list[int]:
        """Handles of own orders an arriving order of sign `side` could meet, in matching order."""
        index = 1 if side > 0 else 0
        found = []
        for i in range(self.count[index]):
            row = self.working[index, i]
            if side * (limit_ticks - row.price_ticks) < 0:
                break
            if row.leaves_lots > 0:
                found.append(int(row.handle))
        return found

    def fillable(self, side: int, limit_ticks: int, *, public: bool) -> tuple[int, int]:
        """(public, own) lots an order could take at once."""
        self._catch_up()
        shown, own = fillable(
            self.working, self.count, self.book, np.int64(side), np.int64(limit_ticks), np.int64(public)
        )
        return int(shown), int(own)

    def take(
        self, side: int, limit_ticks: int, lots: int, *, public: bool, stop_at: int = PUBLIC
    ) -> tuple[list[Fill], int]:
        """Take until done, or one own order was met: (fills, handle of it or PUBLIC); see `matching.take`."""
        self._catch_up()
        _, n, met = take(
            self.working, self.count, self.book, np.int64(side), np.int64(limit_ticks), np.int64(lots),
            np.int64(public), np.int64(stop_at), self._fills,
        )
        fills = self._rows(n)
        other = 1 if side > 0 else 0
        self._note_taken([(other, price, got) for handle, price, got in fills if handle == PUBLIC])
        return fills, int(met)

    # --- lots that are gone -------------------------------------------------------------------------------------

    def _rows(self, n: int) -> list[Fill]:
        return [(h, p, q) for h, p, q in self._fills[:n].tolist()] if n else []

    def _note_taken(self, takings: list[tuple[int, int, int]]) -> None:
        """(book side, price, lots) that have just been taken out of the public book."""
        total: dict[tuple[int, int], int] = {}
        for side, price, lots in takings:
            total[side, price] = total.get((side, price), 0) + lots
        for (side, price), lots in total.items():
            left = int(self.book.qty[0, side, self._level(side, price)])
            displayed, _ = self._taken.get((side, price), (left + lots, 0))
            self._taken[side, price] = displayed, left

    def _take_again(self) -> None:
        """After a snapshot: a level shown as it was before we took from it has not changed."""
        for (side, price), (displayed, left) in list(self._taken.items()):
            at = self._level(side, price)
            if at >= 0 and self.book.qty[0, side, at] == displayed:
                self.book.qty[0, side, at] = left
            else:
                del self._taken[side, price]

    def _level(self, side: int, price: int) -> int:
        found = np.flatnonzero(self.book.price[0, side, : self.book.count[0, side]] == price)
        return int(found[0]) if len(found) else -1
