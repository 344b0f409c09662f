"""Naive twin of core/features/walls.py and depth.py: whole books, lists of everything, each number made when asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from core.enums import WallFate
from tests.reference.book import MALFORMED, OVERFLOW, NaiveBook
from tests.reference.tape import BLOCK, Trade

WATCHED = 12
IDLE_NS = 10 * 10**9
STEP_NS = 10**8
Levels = list[tuple[int, int]]


@dataclass
class NaiveWatch:
    """A price that is watched: every trade and every decrease with its window and what of it is unexplained."""

    price: int
    lots: int
    seen: int
    match: int
    peak: int = 0
    leave: int = 0
    wall: bool = False
    fate: WallFate = WallFate.STANDING
    since: int = 0
    born: int = 0
    ended: int = 0
    size: float = 0.0
    born_bps: float = 0.0
    end_bps: float = 0.0
    trades: list[list[int]] = field(default_factory=list)  # [window, lots not seen leaving]
    drops: list[list[int]] = field(default_factory=list)  # [window, lots no trade explains]
    traded: int = 0
    eaten: int = 0
    clip: int = 0
    taken: int = 0
    taken_ns: int = 0
    refills: int = 0

    def __post_init__(self) -> None:
        self.peak = self.clip = self.lots

    def look(self, ts: int) -> None:
        """Trades of windows that are over and left no trace were refilled at once."""
        window = ts // self.match
        hidden = sum(left for w, left in self.trades if w < window - 1)
        self.trades = [row for row in self.trades if row[0] >= window - 1]
        if hidden and self.lots and 2 * hidden >= self.lots:
            self.refills += 1

    def open_drop(self, ts: int) -> bool:
        return any(left for w, left in self.drops if w >= ts // self.match - 1)

    def _explain(self, rows: list[list[int]], lots: int, ts: int) -> int:
        """Take up to `lots` from the rows of this window and the one before, oldest first."""
        found = 0
        for row in rows:
            if row[0] >= ts // self.match - 1:
                part = min(row[1], lots - found)
                row[1] -= part
                found += part
        if found:
            self.eaten += found
            self.taken += found
            self.taken_ns = ts
        return found

    def change(self, after: int, ts: int) -> int:
        self.look(ts)
        self.seen = ts
        eaten = 0
        if after < self.lots:
            if not self.taken and not self.open_drop(ts):
                self.clip = self.lots
            eaten = self._explain(self.trades, self.lots - after, ts)
            self.drops.append([ts // self.match, self.lots - after - eaten])
        elif after > self.lots:
            if (
                self.taken and self.taken >= 0.25 * self.clip and ts - self.taken_ns <= self.match
                and abs(after - self.clip) <= 0.3 * self.clip
            ):  # fmt: skip
                self.refills += 1
            self.taken, self.clip = 0, after
        self.lots = after
        return eaten

    def trade(self, lots: int, ts: int) -> int:
        self.look(ts)
        self.seen = ts
        self.traded += lots
        eaten = self._explain(self.drops, lots, ts)
        self.trades.append([ts // self.match, lots - eaten])
        return eaten

    def cancelled(self) -> int:
        """All that no trade has explained so far."""
        return sum(left for _, left in self.drops)


class NaiveWalls:
    """Depth and walls of one symbol; `p`: the fields of a PARAMS row."""

    def __init__(self, p: dict[str, Any], tick_size: float, lot_size: float) -> None:
        self.p, self.unit = p, tick_size * lot_size
        self.book: NaiveBook | None = None
        self.mid2 = 0
        self.slots: list[list[NaiveWatch | None]] = [[None] * WATCHED, [None] * WATCHED]
        self.samples: list[tuple[int, int, int, int]] = []
        self.second = 0
        self.average = self.average_value = math.nan
        self.traded = False
        self.steps = 0
        self.decayed: int | None = None
        self.evidence: dict[tuple[str, int], list[tuple[float, int]]] = {}
        self.said: list[tuple[Any, ...]] = []
        self.values: dict[str, float] = self._unknown()

    # events
    def on_book(self, ts: int, book: NaiveBook, prior: tuple[dict[int, int], dict[int, int]], frame: tuple[Levels, Levels],
                code: int, is_snapshot: bool) -> None:  # fmt: skip
        """book: as it is now; prior: its sides before the frame."""
        self.said = []
        fresh = is_snapshot or bool(code & OVERFLOW) or self.book is None
        self.book = book
        self.mid2 = book.best(0)[0] + book.best(1)[0] if book.is_whole() and not book.is_crossed() else 0
        if fresh:
            self.slots = [[None] * WATCHED, [None] * WATCHED]
            self._look_over(ts)
        else:
            for side in range(2):
                was = dict(prior[side])
                worst = book.side(side)[-1][0] if book.sides[side] else None
                for price, after in frame[side]:
                    if price <= 0 or after < 0:
                        assert code & MALFORMED
                        continue
                    before, was[price] = was.get(price, 0), after
                    if before != after:
                        farther = worst is None or (price < worst if side == 0 else price > worst)
                        self._touch(ts, side, price, after, after == 0 and farther)
        self._judge(ts)
        self.values = self._features(ts)

    def on_trades(self, ts: int, trades: list[Trade]) -> None:
        self.said = []
        self.traded = True
        if self.book is None:
            return
        for t in trades:
            if t.flags & BLOCK:
                continue
            side = 1 if t.side > 0 else 0
            w = self._find(side, t.price)
            if w is not None and not w.wall and ts - w.seen > IDLE_NS:
                fresh = NaiveWatch(w.price, w.lots, ts, self.p["wall_match_ns"])
                self.slots[side][self.slots[side].index(w)] = fresh
                w = fresh
            if w is None:
                w = self._claim(ts, side, t.price, self.book.sides[side].get(t.price, 0), False)
                if w is None:
                    continue
            refills = w.refills
            self._after(ts, side, w, w.trade(t.qty, ts), refills)

    def on_timer(self, ts: int) -> None:
        self.said = []
        if self.decayed is None:
            self.decayed = ts
        self.steps = (ts - self.decayed) // STEP_NS
        if ts // 10**9 > self.second:
            self.second = ts // 10**9
            self._sample()
            if self.book is not None:
                self._look_over(ts)
        if self.book is not None:
            self._judge(ts)
            self.values = self._features(ts)

    def on_broken(self) -> None:
        self.book, self.mid2 = None, 0
        self.slots = [[None] * WATCHED, [None] * WATCHED]
        self.values = self._unknown()

    # walls
    def _find(self, side: int, price: int) -> NaiveWatch | None:
        return next((w for w in self.slots[side] if w and w.price == price), None)

    def _claim(self, ts: int, side: int, price: int, lots: int, is_wall: bool) -> NaiveWatch | None:
        slots = self.slots[side]
        if None in slots:
            place = slots.index(None)
        else:
            full = [w for w in slots if w]
            levels = [w for w in full if not w.wall]
            if levels:
                victim = min(levels, key=lambda w: w.seen)
            else:
                victim = min(full, key=lambda w: w.peak)
                if not is_wall or victim.peak >= lots:
                    return None
            place = slots.index(victim)
        new = NaiveWatch(price, lots, ts, self.p["wall_match_ns"])
        slots[place] = new
        return new

    def _bps(self, price: int) -> float:
        return 1e4 * abs(2 * price - self.mid2) / self.mid2 if self.mid2 else math.nan

    def _big(self, price: int, lots: int) -> bool:
        p = self.p
        return (
            lots >= p["wall_x"] * self.average and self.unit * (price * lots) >= p["wall_min_usdt"]
            and self._bps(price) <= p["wall_reach_bps"]
        )  # fmt: skip

    def _begin(self, ts: int, w: NaiveWatch) -> None:
        born = NaiveWatch(w.price, w.lots, w.seen, w.match)
        born.clip, born.taken, born.taken_ns = w.clip, w.taken, w.taken_ns
        born.wall, born.since, born.born = True, ts, ts
        born.leave = math.ceil(self.p["wall_leave_x"] * self.average)
        born.size, born.born_bps = w.lots / self.average, self._bps(w.price)
        w.__dict__.update(born.__dict__)

    def _touch(self, ts: int, side: int, price: int, after: int, beyond: bool) -> None:
        w = self._find(side, price)
        if w is None:
            if self._big(price, after):
                w = self._claim(ts, side, price, after, True)
                if w:
                    self._begin(ts, w)
            return
        if beyond and not w.ended:
            self.slots[side][self.slots[side].index(w)] = None
            return
        refills = w.refills
        eaten = w.change(after, ts)
        if not w.wall:
            if self._big(price, after):
                self._begin(ts, w)
            w.peak = max(w.peak, after)
        elif after >= w.leave:
            w.ended = 0
            if after > w.peak:
                w.peak = after
                w.size = max(w.size, after / self.average)
        elif not w.ended:
            w.ended, w.end_bps = ts, self._bps(price)
        self._after(ts, side, w, eaten, refills)

    def _after(self, ts: int, side: int, w: NaiveWatch, eaten: int, refills: int) -> None:
        if w.wall and eaten:
            self._add("absorb", side, eaten / w.peak)
            if w.fate is WallFate.STANDING and w.eaten >= self.p["wall_absorb_share"] * w.peak:
                self._say(ts, side, w, WallFate.ABSORBING)
        if w.refills > refills and w.refills >= self.p["iceberg_refills"] and w.traded > w.peak:
            self._add("iceberg", side, 0.5 if w.fate is WallFate.ICEBERG else 1.0)
            self._say(ts, side, w, WallFate.ICEBERG)

    def _judge(self, ts: int) -> None:
        p = self.p
        for side in range(2):
            for k, w in enumerate(self.slots[side]):
                if w is None or not w.wall or not w.ended or ts - w.ended < p["wall_match_ns"]:
                    continue
                w.look(ts)
                size = min(w.size / p["wall_full_x"], 1.0)
                follower = self._follower(side, w)
                evidence = self._spoof_evidence(w)
                if w.eaten >= w.cancelled():
                    self._say(ts, side, w, WallFate.EATEN)
                elif follower:
                    follower.since = w.since
                    self._add("layer", side, size)
                    self._say(ts, side, w, WallFate.LAYERING)
                elif self.traded and evidence >= p["spoof_verdict"]:
                    self._add("spoof", side, evidence)
                    self._say(ts, side, w, WallFate.SPOOFING)
                self.slots[side][k] = None

    def _follower(self, side: int, w: NaiveWatch) -> NaiveWatch | None:
        p = self.p
        if (w.ended - w.born) / 1e9 < p["spoof_stay_s"]:
            return None
        for o in self.slots[side]:
            if o is None or o is w or not o.wall or o.ended or o.since != o.born:
                continue
            if abs(o.born - w.ended) > p["wall_match_ns"] or abs(o.peak - w.peak) > p["wall_move_size"] * w.peak:
                continue
            if 1e4 * abs(o.price - w.price) <= p["wall_move_bps"] * w.price:
                return o
        return None

    def _spoof_evidence(self, w: NaiveWatch) -> float:
        p = self.p
        span, size = p["wall_full_x"] - p["wall_x"], 1.0
        if span > 0:
            size = min(max((w.size - p["wall_x"]) / span, 0.0), 1.0)
        approach = 0.0
        if w.born_bps > 0 and w.end_bps >= 0:
            approach = min(max((w.born_bps - w.end_bps) / max(w.born_bps / 2, p["spoof_approach_bps"]), 0.0), 1.0)
        age = max(w.ended - w.since, 0) / 1e9
        return size * approach * min(age / p["spoof_stay_s"], 1.0) * p["spoof_life_s"] / (p["spoof_life_s"] + age)

    def _look_over(self, ts: int) -> None:
        if not self.average > 0 or not self.mid2 or self.book is None:
            return
        for side in range(2):
            for price, lots in self.book.side(side):
                w = self._find(side, price)
                if self._big(price, lots) and not (w and w.wall):
                    w = w or self._claim(ts, side, price, lots, True)
                    if w:
                        self._begin(ts, w)

    def _say(self, ts: int, side: int, w: NaiveWatch, fate: WallFate) -> None:
        if w.fate is not fate:
            w.fate = fate
            age = max(ts - (w.since if w.wall else w.seen), 0) / 1e9
            cancelled = w.cancelled()
            self.said.append((int(fate), 1 - 2 * side, w.price, w.peak, w.eaten, cancelled, w.size, age))

    # numbers
    def _add(self, name: str, side: int, amount: float) -> None:
        self.evidence.setdefault((name, side), []).append((amount, self.steps))

    def _sum(self, name: str, side: int) -> float:
        return sum(a * self.p["spoof_keep"] ** (self.steps - s) for a, s in self.evidence.get((name, side), []))

    def zone(self, side: int, bps: bool) -> Levels:
        """Levels of a zone."""
        assert self.book is not None
        levels = self.book.side(side)
        if not levels:
            return []
        best = levels[0][0]
        width = math.floor(best * self.p["zone_bps"] * 1e-4) if bps else self.p["zone_ticks"]
        return [(price, lots) for price, lots in levels if abs(price - best) <= width]

    def _sample(self) -> None:
        if self.mid2:
            assert self.book is not None
            walls = [w.lots for side in self.slots for w in side if w and w.wall and not w.ended]
            everything = [lots for side in range(2) for _, lots in self.book.side(side)]
            value = sum(price * lots for side in range(2) for price, lots in self.zone(side, True))
            self.samples.append((self.second, sum(everything) - sum(walls), len(everything) - len(walls), value))
        window = [s for s in self.samples if s[0] > self.second - self.p["depth_average_s"]]
        self.average = self.average_value = math.nan
        if len(window) >= 3:
            self.average_value = sum(s[3] for s in window) / len(window)
            levels = sum(s[2] for s in window)
            if levels:
                self.average = sum(s[1] for s in window) / levels

    def _strength(self, ts: int, side: int, w: NaiveWatch) -> float:
        p = self.p
        size = min(w.lots / self.average / p["wall_full_x"], 1.0)
        age = max(ts - w.since, 0) / 1e9
        return size * p["wall_near_bps"] / (p["wall_near_bps"] + self._bps(w.price)) * age / (age + p["wall_age_s"])

    def _unknown(self) -> dict[str, float]:
        names = (
            "imbalance_ticks imbalance_bps depth_bid_usdt depth_ask_usdt thinning wall_bid_bps wall_bid_x wall_bid_age_s "
            "wall_ask_bps wall_ask_x wall_ask_age_s wall_support wall_resistance spoof spoof_lean absorb_bid absorb_ask "
            "iceberg_bid iceberg_ask layering"
        )
        return dict.fromkeys(names.split(), math.nan)

    def _features(self, ts: int) -> dict[str, float]:
        v = self._unknown()
        if not self.mid2:
            return v

        def balance(bids: float, asks: float) -> float:
            return (bids - asks) / (bids + asks)

        lots = [[sum(q for _, q in self.zone(side, bps)) for side in range(2)] for bps in (False, True)]
        values = [sum(p * q for p, q in self.zone(side, True)) for side in range(2)]
        v["imbalance_ticks"], v["imbalance_bps"] = balance(*lots[0]), balance(*lots[1])
        v["depth_bid_usdt"], v["depth_ask_usdt"] = self.unit * values[0], self.unit * values[1]
        if self.average_value > 0:
            v["thinning"] = sum(values) / self.average_value
        if not self.average > 0:
            return v
        for side, name, score in ((0, "bid", "wall_support"), (1, "ask", "wall_resistance")):
            standing = [w for w in self.slots[side] if w and w.wall and not w.ended]
            trust = 1 / (1 + self._sum("spoof", side))
            v[score] = 100 * (1 - math.prod(1 - trust * self._strength(ts, side, w) for w in standing))
            v[f"wall_{name}_x"] = v[f"wall_{name}_age_s"] = 0.0
            if standing:
                best = max(standing, key=lambda w, s=side: self._strength(ts, s, w))  # type: ignore[misc]
                v[f"wall_{name}_bps"] = self._bps(best.price)
                v[f"wall_{name}_x"] = best.lots / self.average
                v[f"wall_{name}_age_s"] = max(ts - best.since, 0) / 1e9
            for kind in ("absorb", "iceberg"):
                v[f"{kind}_{name}"] = self._score(self._sum(kind, side))
        spoof = [self._sum("spoof", side) for side in range(2)]
        v["spoof"] = self._score(sum(spoof))
        v["spoof_lean"] = (spoof[0] - spoof[1]) / sum(spoof) if sum(spoof) >= 0.01 else 0.0
        v["layering"] = self._score(self._sum("layer", 0) + self._sum("layer", 1))
        return v

    @staticmethod
    def _score(evidence: float) -> float:
        return 100 * evidence / (1 + evidence)
