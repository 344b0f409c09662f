"""Naive twin of `core.sim.desk`: objects, lists and fractions; no kernels, no record arrays for its state."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil

from core.enums import Cause, MessageKind, OrderRole, ReportKind


@dataclass
class Entry:
    order_id: int
    decision_id: int
    side: int
    post_only: bool
    may_take: bool
    price: int
    leaves: int
    deadline: int
    stop: int
    targets: list[tuple[int, int]]  # (price, lots) when the entry fills in full
    filled: int = 0
    resting: bool = False
    queue: int | None = None  # None: not displayed
    cancel: int = 0


@dataclass
class Target:
    price: int
    lots: int
    placed: bool = False
    queue: int | None = None


@dataclass
class Position:
    lots: int
    order_id: int
    decision_id: int
    stop: int
    targets: list[Target]


@dataclass
class Close:
    role: int
    cause: int
    worst: int = 0  # never better than this price


@dataclass
class Market:
    """bids and asks: [(price, lots)] best first; trades: [(price, lots, aggressor, block, rpi)]."""

    bids: list[tuple[int, int]]
    asks: list[tuple[int, int]]
    trades: list[tuple[int, int, int, bool, bool]] = field(default_factory=list)
    believed: bool = True
    changed: bool = False


@dataclass
class Instrument:
    tick: Fraction
    lot: Fraction
    maker_fee: Fraction
    taker_fee: Fraction
    slippage_cap: Fraction
    queue_share: Fraction = Fraction(1)  # of the lots ahead: the rest is cancelled before it trades


class PaperDesk:
    """One symbol."""

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.entry: Entry | None = None
        self.position: Position | None = None
        self.close: Close | None = None
        self.refused: list[tuple[int, int, int]] = []
        self.used = {+1: 0, -1: 0}  # by side of the taker

    def report(self, kind, seq=0, order_id=0, decision_id=0, side=0, price=0, qty=0, stop=0, targets=(), deadline=0,
               flags=0, role=0, reason=0):
        targets = [*targets, (0, 0), (0, 0), (0, 0)][:3]
        held = self.position.lots if self.position else 0
        if kind == ReportKind.ACCEPTED:
            adds = flags & 8 and held * side > 0 and not self.close
            if self.entry or (self.position and not adds):
                self.refused = [(order_id, decision_id, qty)]
            elif qty > 0:
                self.entry = Entry(order_id, decision_id, side, bool(flags & 1), bool(flags & 2), price, qty, deadline,
                                   stop, targets)
        elif kind == ReportKind.CANCEL and self.entry and not self.entry.cancel:
            self.entry.cancel = reason or Cause.CONTROL
        elif kind == ReportKind.CLOSE and (self.entry or self.position) and not self.close:
            self.close = Close(role or OrderRole.EXIT, reason)
        elif kind == ReportKind.POSITION and seq == 0 and qty != held:
            self.entry = self.close = None
            rest, own = abs(qty), []
            for ticks, lots in targets:
                own.append(Target(ticks, min(lots, rest)))
                rest -= own[-1].lots
            self.position = Position(qty, order_id, decision_id, stop, own) if qty else None
        elif kind == ReportKind.PROTECTED and self.position:
            self.position.stop = stop or self.position.stop
            for target, (ticks, _) in zip(self.position.targets, targets, strict=True):
                if ticks and ticks != target.price:
                    target.price, target.placed, target.queue = ticks, False, None

    def match(self, market: Market, now: int, taker: bool = True) -> list[dict]:
        if market.changed:
            self.used = {+1: 0, -1: 0}
        out: list[dict] = []
        entry_got = 0
        hits: dict[int, int] = {}
        hit_side = 0
        entry = self.entry

        for price, lots, aggressor, block, rpi in market.trades:
            if block:
                continue
            if not rpi:
                if entry and entry.resting and entry.leaves:
                    got, entry.queue = self._print(entry.side, entry.price, entry.leaves, entry.queue, price, lots,
                                                   aggressor)
                    entry_got += got
                    entry.leaves -= got
                    self._grow(entry, got)
                position = self.position
                if position and position.lots and not self.close:
                    side, left = (-1 if position.lots > 0 else 1), lots
                    for k, target in enumerate(position.targets):
                        if target.placed and target.lots:
                            got, target.queue = self._print(side, target.price, target.lots, target.queue, price, left,
                                                            aggressor)
                            left -= got
                            target.lots -= got
                            position.lots += side * got
                            hits[k] = hits.get(k, 0) + got
                            hit_side = side
                    if position.lots == 0:
                        break
            position = self.position
            if position and position.lots and not self.close and position.stop > 0:
                long = position.lots > 0
                if (price <= position.stop) if long else (price >= position.stop):
                    self.close = Close(OrderRole.STOP, Cause.STOP, price)
                    break

        if market.believed and market.changed:
            if entry and entry.resting and entry.leaves and not self.close:
                got = min(entry.leaves, self._crossing(market, entry.side, entry.price))
                self.used[entry.side] += got
                entry_got += got
                entry.leaves -= got
                self._grow(entry, got)
            position = self.position
            if position and position.lots and not self.close:
                side, sold = (-1 if position.lots > 0 else 1), 0
                for k, target in enumerate(position.targets):
                    if target.placed and target.lots:
                        got = max(0, min(target.lots, self._crossing(market, side, target.price) - sold))
                        sold += got
                        target.lots -= got
                        position.lots += side * got
                        hits[k] = hits.get(k, 0) + got
                        hit_side = side
                self.used[side] += sold

        if entry_got:
            assert entry is not None
            out.append(self._fill(entry.side, entry.price, entry_got, OrderRole.ENTRY, True, entry.leaves))
            if entry.leaves == 0:
                self.entry = None
        if any(hits.values()):
            assert self.position is not None
            leaves = abs(self.position.lots) + sum(hits.values())
            for k, got in sorted(hits.items()):
                if got:
                    leaves -= got
                    out.append(self._fill(hit_side, self.position.targets[k].price, got, OrderRole.TAKE_PROFIT, True,
                                          leaves, k + 1))
            self._end(out, Cause.TAKE_PROFIT)
            if self.position.lots == 0:
                self.position = self.close = None

        if self.entry and self.entry.cancel:
            self._end(out, self.entry.cancel)
        if self.close:
            self._end(out, Cause.KILL if self.close.role == OrderRole.KILL else self.close.cause)
        entry = self.entry
        if entry and entry.resting and 0 < entry.deadline <= now:
            entry.may_take = entry.may_take and taker
            self._take_or_end(out, market, Cause.EXPIRED)
        elif entry and not entry.resting:
            opposite = market.asks if entry.side > 0 else market.bids
            if not market.believed or not entry.post_only:
                entry.may_take = entry.may_take or not entry.post_only
                self._take_or_end(out, market, Cause.EXPIRED)
            elif opposite and entry.side * (entry.price - opposite[0][0]) >= 0:
                self._take_or_end(out, market, Cause.ORDER_REJECTED)
            else:
                entry.resting = True
        entry = self.entry
        if entry and entry.resting and entry.queue is None and market.believed:
            entry.queue = self._queue(market, entry.side, entry.price)

        position = self.position
        if position and position.lots and not self.close and market.believed:
            self._place_targets(out, market, position)
        if self.close and position and position.lots:
            side = -1 if position.lots > 0 else 1
            if market.believed:
                self._walk(out, market, side, abs(position.lots), self.close.role, self.close.worst,
                           self._reach(market, side), 16)
            else:
                prints = [t for t in market.trades if not t[3] and not t[4]]
                lots = min(sum(t[1] for t in prints), abs(position.lots))
                if lots:
                    prices = [t[0] for t in prints] + ([self.close.worst] if self.close.worst else [])
                    worst = max(prices) if side > 0 else min(prices)
                    position.lots += side * lots
                    out.append(self._fill(side, worst, lots, self.close.role, False, abs(position.lots)))
        if not self.position or self.position.lots == 0:
            self.position = self.close = None
        for order_id, decision_id, lots in self.refused:
            out.append(self._done(order_id, decision_id, lots, Cause.ORDER_REJECTED))
        self.refused = []
        return out

    def _place_targets(self, out, market, position):
        side = -1 if position.lots > 0 else 1
        opposite = market.asks if side > 0 else market.bids
        before, room = len(out), 8
        for k, target in enumerate(position.targets):
            if not target.lots:
                continue
            if not target.placed and opposite and side * (target.price - opposite[0][0]) >= 0:
                held, said = abs(position.lots), len(out)
                self._walk(out, market, side, target.lots, OrderRole.TAKE_PROFIT, 0, target.price, room, k + 1)
                target.lots -= held - abs(position.lots)
                room -= len(out) - said
            target.placed = True
            if target.queue is None:
                target.queue = self._queue(market, side, target.price)
        if len(out) > before:
            self._end(out, Cause.TAKE_PROFIT)

    def _reach(self, market, side):
        levels = market.asks if side > 0 else market.bids
        return levels[0][0] + side * int(levels[0][0] * self.instrument.slippage_cap) if levels else 0

    @staticmethod
    def _print(side, limit, leaves, queue, price, lots, aggressor):
        """(filled, queue after) of one resting order and one print."""
        better_for_taker = price < limit if side > 0 else price > limit
        if better_for_taker:
            return min(leaves, lots), 0
        if price == limit and aggressor == -side and queue is not None:
            return min(leaves, max(0, lots - queue)), max(0, queue - lots)
        return 0, queue

    @staticmethod
    def _crossing(market, side, price):
        levels = market.asks if side > 0 else market.bids
        return sum(q for p, q in levels if (p <= price if side > 0 else p >= price))

    def _queue(self, market, side, price):
        levels = market.bids if side > 0 else market.asks
        if not levels or (levels[-1][0] > price if side > 0 else levels[-1][0] < price):
            return None
        return ceil(dict(levels).get(price, 0) * self.instrument.queue_share)

    def _grow(self, entry, lots):
        if lots:
            if self.position is None:
                own = [Target(price, 0) for price, _ in entry.targets]
                self.position = Position(0, entry.order_id, entry.decision_id, entry.stop, own)
            self.position.lots += entry.side * lots
            for _ in range(lots):  # lot by lot: the nearest target that is not full yet gets it
                entry.filled += 1
                below = 0
                for target, (_, size) in zip(self.position.targets, entry.targets, strict=True):
                    below += size
                    if entry.filled <= below:
                        target.lots, target.placed, target.queue = target.lots + 1, False, None
                        break

    def _take_or_end(self, out, market, cause):
        entry = self.entry
        if not market.believed:
            self._end(out, Cause.DATA_BROKEN)
            return
        if entry.may_take:
            self._walk(out, market, entry.side, entry.leaves, OrderRole.ENTRY, 0, self._reach(market, entry.side), 16)
            cause = Cause.EXPIRED
        if entry.leaves:
            self._end(out, cause)
        self.entry = None

    def _walk(self, out, market, side, want, role, worst, limit, most, rung=0):
        levels = market.asks if side > 0 else market.bids
        skip, fills = self.used[side], 0
        for price, lots in levels:
            if side * (price - limit) > 0 or want == 0 or fills >= most:
                return
            free = max(0, lots - skip)
            skip -= lots - free
            take = min(free, want)
            if not take:
                continue
            fills += 1
            want -= take
            self.used[side] += take
            if worst:
                price = max(price, worst) if side > 0 else min(price, worst)
            if role == OrderRole.ENTRY:
                self.entry.leaves -= take
                self._grow(self.entry, take)
                leaves = self.entry.leaves
            else:
                self.position.lots += side * take
                leaves = abs(self.position.lots)
            out.append(self._fill(side, price, take, role, False, leaves, rung))

    def _fill(self, side, price, lots, role, maker, leaves, rung=0):
        value = ceil(price * self.instrument.tick * lots * self.instrument.lot * 10**8)
        rate = self.instrument.maker_fee if maker else self.instrument.taker_fee
        return {
            "kind": int(MessageKind.FILL), "order_id": self.position.order_id,
            "decision_id": self.position.decision_id, "price_ticks": price, "qty_lots": lots, "side": side,
            "role": int(role), "is_maker": int(maker), "leaves_lots": leaves, "fee_e8": ceil(value * rate),
            "reason": 0, "rung": rung,
        }

    def _done(self, order_id, decision_id, lots, cause):
        return {
            "kind": int(MessageKind.DONE), "order_id": order_id, "decision_id": decision_id, "price_ticks": 0,
            "qty_lots": 0, "side": 0, "role": 0, "is_maker": 0, "leaves_lots": lots, "fee_e8": 0, "reason": int(cause),
            "rung": 0,
        }

    def _end(self, out, cause):
        if self.entry:
            out.append(self._done(self.entry.order_id, self.entry.decision_id, self.entry.leaves, cause))
            self.entry = None
