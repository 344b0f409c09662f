"""One symbol of the naive engine (`engine.py`): its data, its decisions, its trade, its desk."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from core.enums import Cause, DataState, Gate, MessageKind, OrderRole, Pump, Regime, ReportKind, State
from core.state.machine import CANCEL_REASONS, EXIT_REASONS, Action, When
from tests.reference.book import NaiveBook
from tests.reference.desk import Instrument, Market, PaperDesk
from tests.reference.exits import blow_off_target, ladder, wanted_stop
from tests.reference.features import NaiveFeatures
from tests.reference.moves import NaiveMoves
from tests.reference.regime import NaivePump
from tests.reference.score import NaiveScore
from tests.reference.state import move
from tests.reference.walls import NaiveWalls
from tests.reference.zone import NaiveZone

if TYPE_CHECKING:
    from tests.reference.engine import NaiveEngine

GOOD = (Regime.NORMAL, Regime.COOLDOWN_DONE)
BAD = (Regime.PUMP, Regime.MANIPULATED, Regime.NEWS_DRIVEN)


class NaiveSymbol:
    """One symbol: its data, its trade state, its desk."""

    def __init__(self, owner: NaiveEngine, s: dict[str, Any], now: int) -> None:
        self.owner, self.s, self.p = owner, s, owner.p
        self.book = NaiveBook(64)
        self.features = NaiveFeatures(s["tick_size"], s["lot_size"], now)
        self.features.warmup_ns = self.p["warmup_ns"]
        self.moves = NaiveMoves(self.features, s, self.p)
        self.walls = NaiveWalls(self.p, s["tick_size"], s["lot_size"])
        self.score = NaiveScore(self.p)
        self.pump = NaivePump(self.p)
        e8 = 10**8
        self.desk = PaperDesk(
            Instrument(
                Fraction(s["tick_mant"], 10 ** s["price_exp"]), Fraction(s["lot_mant"], 10 ** s["qty_exp"]),
                Fraction(s["maker_fee_e8"], e8), Fraction(s["taker_fee_e8"], e8),
                Fraction(self.p["slippage_cap_e8"], e8),
            )
        )
        self.data = DataState.WARMUP
        self.crossed_ns: int | None = None
        self.state, self.side, self.gate = State.FLAT, 0, Gate.NONE
        self.signal_ns: int | None = None
        self.attempts = self.decision = self.order = 0
        self.rest_until = 0
        self.working, self.entry_leaves, self.pending = False, -1, 0
        self.cancel_ns: int | None = None
        self.exit_ns: int | None = None
        self.lots, self.opened_ns, self.mark_ns = 0, 0, 0
        self.leaving, self.active = False, True
        self.zone: NaiveZone | None = None
        self.nudges = 0
        self.since_ns = self.opened_ns = self.moved_ns = 0
        self.entry_wall = 0.0
        self.value_e8 = self.ordered = 0
        self.stop, self.targets = 0, [(0, 0)] * 3
        self.risk, self.risk_lots, self.took, self.widened = 0, 0, False, False
        self.peak: int | None = None
        self.first: float | None = None
        self.protect_ns: int | None = None

    # market data
    def take_book(self, ts: int, bids: list, asks: list, snapshot: bool) -> bool:
        prior = (dict(self.book.sides[0]), dict(self.book.sides[1]))
        if snapshot:
            code = self.book.snapshot(bids, asks)
            self.data, self.crossed_ns = DataState.OK, None
        elif self.data in (DataState.WARMUP, DataState.BROKEN):
            return False
        else:
            code = self.book.delta(bids, asks)
            self.data = DataState.OK
        self.check_crossed(ts)
        if self.data is DataState.BROKEN:
            return False
        self.features.on_book(ts, self.book, snapshot)
        self.moves.at(ts)
        self.walls.on_book(ts, self.book, prior, (bids, asks), code, snapshot)
        return True

    def check_crossed(self, ts: int) -> None:
        if not self.book.is_crossed():
            self.crossed_ns = None
            return
        if self.crossed_ns is None:
            self.crossed_ns = ts
        if ts - self.crossed_ns >= self.p["crossed_ns"]:
            self.data, self.crossed_ns = DataState.BROKEN, None
            self.features.on_broken()
            self.walls.on_broken()
            self.score.reset()

    # decisions
    def decide(self, ts: int, seq: int, out: list[dict]) -> None:
        f = self.features.features() | self.moves.values() | self.walls.values
        mid, c = f["mid"], self.s["category"]
        warm = f["warm"] == 1.0 and mid > 0 and f["atr_1s_bps"] >= 0
        self.pump.take(ts, f, f["thinning"], f["spoof"])
        self.watch, self.arm = self.p["watch"][c], self.p["arm"][c]
        x, widest = self._inputs(f), self.p["max_spread_bps"][c]
        if warm and self.data is DataState.OK:
            self.score.take(ts, x)
        else:
            self.score.reset()
        level = {Pump.PUMPING: 1, Pump.BLOWOFF: 2}.get(self.pump.state, 0)
        known = bool(self.score.smooth)
        self.scores = {side: self.score.score(side, level, x, widest) if known else 0.0 for side in (1, -1)}
        self.flow = self.score.flow()
        walls = self.score.smooth.get("walls")
        self.against = {side: -100 * side * walls if walls is not None else math.nan for side in (1, 0, -1)}
        self._moves(f, x, ts, seq, out, warm)
        if self.lots:
            self._manage(f, ts, seq, out)

    def _moves(self, f: dict[str, float], x: dict[str, float], ts: int, seq: int, out: list[dict], warm: bool) -> None:
        for _ in range(5):
            self._follow_zone(x, ts)
            plan = None
            self.gate, setup = self._gate(x, ts, warm)
            if self.gate is Gate.NONE and self.state in (State.ARMED_LONG, State.ARMED_SHORT):
                plan = self._plan(f, 2 * self.s["taker_fee_e8"] / 1e4)
            agrees = not (x["news"] >= self.p["news_veto"] or self.against[self.side] > self.p["walls_against"])
            agrees = agrees and self.flow * self.side > 0
            found = move(self.state, self._true(ts, warm, setup, agrees, x))
            if found is None:
                return
            if found[2] is Action.ENTER:
                self.entry_wall = self._own_walls(x)
            self.go(*found, ts, seq, out, plan)

    def _own_walls(self, x: dict[str, float]) -> float:
        score = x["support"] if self.side > 0 else x["resistance"]
        return score if score > 0 else 0.0

    def _picture(self, x: dict[str, float]) -> dict[When, Any]:
        """What speaks against an entry that works, or a rest too small to keep."""
        p = self.p
        if self.state is not State.ORDER_PLACED:
            lots = abs(self.lots)
            small = lots < self.s["min_qty_lots"] or abs(self.value_e8) < self.s["min_notional_e8"]
            return {When.DUST: lots and not self.working and lots < self.ordered and small}
        return {
            When.SPREAD_WIDE: x["spread_bps"] > p["max_spread_bps"][self.s["category"]],
            When.NEWS_BAD: x["news"] >= p["news_veto"],
            When.WALLS_BAD: self.against[self.side] > p["walls_against"]
            or self.entry_wall - self._own_walls(x) > p["walls_pulled"],
            When.FLOW_BAD: self.flow * self.side < -p["flow_against"],
        }

    def _manage(self, f: dict[str, float], ts: int, seq: int, out: list[dict]) -> None:
        """Stop and targets of an open position (core/position/README.md)."""
        p = self.p
        (bid, _), (ask, _) = self.book.best(0), self.book.best(1)
        if self.data is not DataState.OK or self.crossed_ns is not None or not bid or ask <= bid or not self.value_e8:
            return
        side = 1 if self.lots > 0 else -1
        touch, held = (bid if side > 0 else ask), abs(self.lots)
        entry = abs(self.value_e8) / (held * (self.s["tick_size"] * self.s["lot_size"] * 10**8))
        self.first = self.first or entry
        if not self.risk and self.stop:
            self.risk, self.risk_lots = math.floor(abs(self.first - self.stop) + 0.5), held
        self.peak = touch if self.peak is None else max(self.peak, touch, key=lambda price: side * price)
        if self.exit_ns is not None or self.working:
            return
        if self.protect_ns is not None and (self.pending or ts - self.protect_ns < p["exit_retry_ns"]):
            return
        if self.moved_ns and ts - self.moved_ns < p["step_ns"]:
            return
        fees, spread = 2 * self.s["taker_fee_e8"] / 1e4, (ask - bid) / touch * 1e4
        tight = self.pump.state is Pump.BLOWOFF or self.owner.global_regime == 2
        wide = self.pump.regime in (Regime.MANIPULATED, Regime.NEWS_DRIVEN) and not self.widened
        first_target = self.targets[0][0]
        trails = self.took or (first_target != 0 and side * (self.peak - first_target) >= 0)
        stop, rule = wanted_stop(
            side, entry, touch, self.peak, self.stop, float(self.risk), float(self.risk) * self.risk_lots / held, trails,
            tight, wide, f["atr_1s_bps"], fees, spread, p,
        )
        prices = [ticks for ticks, _ in self.targets]
        if tight and side * (touch - entry) > 0 and self.risk:
            prices = [
                blow_off_target(side, entry, ticks, r, float(self.risk), fees, spread, touch, p) if lots else ticks
                for (ticks, lots), r in zip(self.targets, p["tp_r"], strict=True)
            ]
        if rule is Cause.NONE and prices != [ticks for ticks, _ in self.targets]:
            rule = Cause.TIGHTEN
        if rule is Cause.NONE:
            return
        self.widened = self.widened or rule is Cause.WIDEN
        self.protect_ns = self.moved_ns = ts
        out.append({
            "kind": MessageKind.PROTECT, "seq": seq, "ts_event_ns": ts, "symbol": self.s["id"], "side": side,
            "reason": int(rule), "decision_id": self.decision, "order_id": self.order, "stop_ticks": stop,
            "target_ticks": prices[0], "target2_ticks": prices[1], "target3_ticks": prices[2],
        })  # fmt: skip

    def _inputs(self, f: dict[str, float]) -> dict[str, float]:
        half_spread = 0.5 * f["spread_bps"] * f["mid"] * 1e-4
        return {
            "imbalance_top": f["imbalance_top"], "imbalance_levels": f["imbalance_n"],
            "imbalance_zone": f["imbalance_bps"],
            "micro_offset": (f["microprice"] - f["mid"]) / half_spread if half_spread > 0 else math.nan,
            "ofi": f["ofi_10s"], "depth": (f["depth_bid_usdt"] + f["depth_ask_usdt"]) / 2,
            "support": f["wall_support"], "resistance": f["wall_resistance"],
            "absorb_bid": max(f["absorb_bid"], f["iceberg_bid"]), "absorb_ask": max(f["absorb_ask"], f["iceberg_ask"]),
            "delta_fast": f["delta_1s"], "volume_fast": f["buy_1s"] + f["sell_1s"], "delta_slow": f["delta_10s"],
            "volume_slow": f["buy_10s"] + f["sell_10s"], "rate_slow": f["trades_per_s_10s"], "streak": f["streak"],
            "vpin": f["vpin"], "atr_bps": f["atr_1s_bps"], "min_move_bps": f["min_move_bps"],
            "spread_bps": f["spread_bps"], "liq_safety": f["liq_safety"], "spoof": f["spoof"],
            "spoof_lean": f["spoof_lean"], "layering": f["layering"], "news": f["news_impact"],
            "explosion": f["explosion"], "wall_bid_bps": f["wall_bid_bps"], "wall_ask_bps": f["wall_ask_bps"],
        }  # fmt: skip

    def _follow_zone(self, x: dict[str, float], ts: int) -> None:
        armed = self.state in (State.ARMED_LONG, State.ARMED_SHORT)
        (bid, _), (ask, _) = self.book.best(0), self.book.best(1)
        if not (armed or self.state is State.ORDER_PLACED) or not bid or not ask or self.data is not DataState.OK:
            return
        wall = x["wall_bid_bps"] if self.side > 0 else x["wall_ask_bps"]
        if self.zone is not None:
            if not self.zone.follow(bid if self.side > 0 else ask, ts) or not armed:
                return
            self.nudges += 1
            if self.nudges > self.p["zone_nudges"]:
                return
        self.zone = NaiveZone(self.side, bid, ask, wall, x["spread_bps"], x["atr_bps"], self.p)

    def _gate(self, x: dict[str, float], ts: int, warm: bool) -> tuple[Gate, bool]:
        """(first gate that is shut, whether it keeps a signal from starting)."""
        o, p = self.owner, self.p
        score = max(self.scores.values()) if self.side == 0 else self.scores[self.side]
        setup = (
            (Gate.DATA, self.data is not DataState.OK or self.leaving), (Gate.WARMUP, not warm),
            (Gate.FEED, o.feed != 2), (Gate.DEGRADED, o.bits & 4), (Gate.PAUSED, o.bits & 1), (Gate.KILLED, o.bits & 2),
            (Gate.GLOBAL_REGIME, o.global_regime != 0), (Gate.REGIME, self.pump.regime not in GOOD),
            (Gate.SPREAD, not 0 < x["spread_bps"] <= p["max_spread_bps"][self.s["category"]]),
        )  # fmt: skip
        watching = self.state.name.startswith(("WATCHING", "ARMED")) or self.state is State.ORDER_PLACED
        armed = self.state.name.startswith("ARMED") or self.state is State.ORDER_PLACED
        days, hours = ts // (86_400 * 10**9), ts // (3600 * 10**9) % 24
        skips = bool(p["skip_enabled"])
        signal = (
            (Gate.IN_POSITION, self.lots), (Gate.DUPLICATE, self.working or self.pending),
            (Gate.COOLDOWN, self.state is State.COOLDOWN),
            (Gate.SCORE_WATCH, score < self.watch - (p["hysteresis"] if watching else 0)),
            (Gate.SCORE_ARM, score < self.arm - (p["hysteresis"] if armed else 0)),
            (Gate.NEWS, x["news"] >= p["news_veto"]), (Gate.EXPLOSION, x["explosion"] > 0),
            (Gate.LIQ_SAFETY, x["liq_safety"] < p["liq_safety_min"]),
            (Gate.WALLS, self.against[self.side] > p["walls_against"]), (Gate.FLOW, not self.flow * self.side > 0),
            (Gate.ATTEMPTS, self.attempts >= p["max_attempts"]), (Gate.BLACKLIST, self.s["flags"] & 2),
            (Gate.MIN_MOVE, not x["min_move_bps"] <= p["tp_r"][2] * p["stop_max_bps"]),
            (Gate.ZONE, self.zone is not None and self.zone.out_ns is not None),
            (Gate.SKIP_DAY, skips and not p["skip_days"] >> (days + 3) % 7 & 1),
            (Gate.SKIP_HOURS, skips and not p["skip_from_hour"] <= hours < p["skip_to_hour"]),
            (Gate.SKIP_VOLATILITY, skips and p["skip_volatility"] > p["skip_volatility_max"]),
        )  # fmt: skip
        first = next((gate for gate, shut in (*setup, *signal) if shut), Gate.NONE)
        return first, any(gate is first for gate, _ in setup)

    def _plan(self, f: dict[str, float], fees: float) -> tuple[int, ...]:
        assert self.zone is not None
        (bid, _), (ask, _) = self.book.best(0), self.book.best(1)
        p, price = self.p, bid if self.side > 0 else ask
        prices = ladder(self.side, price, f["atr_1s_bps"], fees, (ask - bid) / price * 1e4, p)
        return (price, *prices, self.zone.low, self.zone.high, *p["tp_share_e4"])

    def _true(self, ts: int, warm: bool, setup: bool, agrees: bool, x: dict[str, float]) -> set[When]:
        p, o = self.p, self.owner
        idle = not self.lots and not self.working
        settled = idle and not self.pending
        regime = self.pump.regime
        can_start = not setup and self.state is State.FLAT and settled
        long, short = self.scores[1], self.scores[-1]
        score = long if self.side > 0 else short
        exiting = self.exit_ns is not None and (self.pending or ts - self.exit_ns < p["exit_retry_ns"])
        cancelling = self.cancel_ns is not None and (self.pending or ts - self.cancel_ns < p["exit_retry_ns"])
        over = can_start and long >= self.watch and long >= short
        facts = {
            When.DELISTED: self.leaving,
            When.LEFT: self.leaving and settled,
            When.KILLED: o.bits & 2,
            When.ENTRIES_OFF: o.bits & 5 or o.feed != 2,
            When.REGIME_BAD: regime in BAD,
            When.REGIME_GOOD: regime in GOOD and settled and ts >= self.rest_until,
            When.REGIME_GOOD_RESTING: regime in GOOD and settled and ts < self.rest_until,
            When.DATA_BAD: self.data is not DataState.OK or not warm,
            When.GLOBAL_BAD: o.global_regime != 0,
            When.LONG_OVER_WATCH: over,
            When.SHORT_OVER_WATCH: can_start and not over and short >= self.watch,
            When.OVER_ARM: score >= self.arm and agrees,
            When.UNDER_ARM: score < self.arm - p["hysteresis"],
            When.UNDER_WATCH: score < self.watch - p["hysteresis"],
            When.SIGNAL_EXPIRED: self.signal_ns is not None and ts - self.signal_ns >= p["signal_ttl_ns"],
            When.ZONE_LOST: self.zone is not None and (
                self.zone.distance_bps > p["zone_distance_bps"] or self.nudges > p["zone_nudges"]
            ),
            When.READY: self.gate is Gate.NONE,
            When.COOLDOWN_OVER: ts >= self.rest_until,
            When.SETTLED: settled,
            When.WORKING_OVER: self.lots and not self.working,
            When.TIME_UP: self.lots and ts - self.opened_ns >= p["max_hold_ns"],
            When.STILL_WORKING: self.working and not cancelling,
        } | self._picture(x)
        true = {when for when, fact in facts.items() if fact}
        if self.state is State.BLOCKED_REGIME and self.lots and not exiting:
            if true & set(EXIT_REASONS) or ts - self.since_ns >= p["blocked_hold_ns"]:
                true.add(When.STILL_OPEN)
        if exiting and self.state in (State.IN_POSITION, State.MANAGING):
            true -= set(EXIT_REASONS)
        if cancelling and self.working and self.state is State.ORDER_PLACED:
            true -= set(CANCEL_REASONS)
        return true

    def go(
        self, to: State, cause: Cause, action: Action, ts: int, seq: int, out: list[dict],
        plan: tuple[int, ...] | None = None,
    ) -> None:
        self.owner.moves.append((self.s["name"], self.state, to, cause, ts))
        if to is not self.state:
            self.since_ns = ts
        self.state, tried = to, self.attempts > 0 and self.order != 0
        if to in (State.FLAT, State.COOLDOWN):
            self.side, self.signal_ns, self.attempts, self.zone, self.nudges = 0, None, 0, None, 0
        message = {
            "seq": seq, "ts_event_ns": ts, "symbol": self.s["id"], "side": self.side, "reason": int(cause),
            "decision_id": self.decision, "order_id": self.order,
        }  # fmt: skip
        if action is Action.START_SIGNAL:
            self.side = 1 if to is State.WATCHING_LONG else -1
            self.signal_ns, self.attempts, self.zone, self.nudges = ts, 0, None, 0
        elif action is Action.START_COOLDOWN:
            self.rest_until = ts + self.p["cooldown_ns" if tried else "rest_ns"]
        elif action is Action.ENTER:
            assert plan is not None
            self.attempts += 1
            self.working, self.entry_leaves, self.cancel_ns, self.exit_ns = True, -1, None, None
            self.decision, self.order = seq, 0
            names = (
                "price_ticks", "stop_ticks", "target_ticks", "target2_ticks", "target3_ticks", "zone_min_ticks",
                "zone_max_ticks", "target_lots", "target2_lots", "target3_lots",
            )  # fmt: skip
            self.stop = plan[1]
            out.append(
                message | {"qty_lots": 10_000} | {"kind": MessageKind.ENTER, "decision_id": seq, "order_id": 0}
                | dict(zip(names, plan, strict=True))
            )
        elif action is Action.CANCEL and self.working and self.cancel_ns is None:
            self.cancel_ns = ts
            out.append(message | {"kind": MessageKind.CANCEL})
        elif action is Action.EXIT:
            self.exit_ns = ts
            out.append(message | {"kind": MessageKind.EXIT})

    # desk, messages, reports
    def match(self, ts: int, seq: int, trades: list, changed: bool, out: list[dict]) -> None:
        believed = self.data is DataState.OK and self.crossed_ns is None
        market = Market(
            [(p, q) for p, q in self.book.side(0)], [(p, q) for p, q in self.book.side(1)],
            [(t.price, t.qty, t.side, bool(t.flags & 1), bool(t.flags & 2)) for t in trades], believed, changed,
        )
        taker = self.cancel_ns is None and not (
            self.state is State.ORDER_PLACED and self.zone is not None and self.zone.out_ns is not None
        )
        for row in self.desk.match(market, ts, taker):
            out.append(row | {"seq": seq, "ts_event_ns": ts, "symbol": self.s["id"]})

    def mark(self, ts: int, seq: int, out: list[dict]) -> None:
        (bid, _), (ask, _) = self.book.best(0), self.book.best(1)
        if self.lots and ts - self.mark_ns >= 10**9 and bid and ask:
            self.mark_ns = ts
            names = ("target_ticks", "target_lots", "target2_ticks", "target2_lots", "target3_ticks", "target3_lots")
            out.append({
                "kind": MessageKind.MARK, "seq": seq, "ts_event_ns": ts, "symbol": self.s["id"], "side": self.side,
                "decision_id": self.decision, "order_id": self.order, "price_ticks": bid + ask,
                "stop_ticks": self.stop,
            } | dict(zip(names, [n for pair in self.targets for n in pair], strict=True)))  # fmt: skip

    def account(self, messages: list[dict]) -> None:
        for m in messages:
            if m["kind"] == MessageKind.FILL and m["role"] == OrderRole.ENTRY:
                self.entry_leaves = m["leaves_lots"]
            elif m["kind"] == MessageKind.DONE and m["decision_id"] == self.decision:
                self.entry_leaves = 0
            if m["kind"] != MessageKind.MARK:
                self.pending += 1
                self.owner.unanswered.append((m["seq"], m["symbol"], m["ts_event_ns"] + self.p["latency_ns"]))

    def report(self, r: dict[str, int], ts: int) -> None:
        kind = ReportKind(r["kind"])
        self.desk.report(
            kind, r["seq"], r["order_id"], r["decision_id"], r["side"], r["price_ticks"], r["qty_lots"], r["stop_ticks"],
            self._ladder(r), r["deadline_ns"], r["flags"], r["role"], r["reason"],
        )
        if r["seq"] and self.pending:
            self.pending -= 1
        found = self._follow(kind, r, ts)
        answer = move(self.state, {found}) if found is not None else None
        if answer is not None:
            self.go(*answer, ts, r["seq"], [])

    @staticmethod
    def _ladder(r: dict[str, int]) -> list[tuple[int, int]]:
        return [(r[f"target{k}_ticks"], r[f"target{k}_lots"]) for k in ("", 2, 3)]

    def _follow(self, kind: ReportKind, r: dict[str, int], ts: int) -> When | None:
        if kind is ReportKind.ACCEPTED:
            self.order, self.ordered = r["order_id"], r["qty_lots"]
        elif kind is ReportKind.PROTECTED:
            self.protect_ns = None
            if self.lots:
                self.stop, self.targets = r["stop_ticks"], self._ladder(r)
        elif kind is ReportKind.CLOSE:
            self.exit_ns = ts
        elif kind is ReportKind.CANCEL:
            self.cancel_ns = ts
        elif kind in (ReportKind.REJECTED, ReportKind.DONE):
            if not self.working or r["decision_id"] not in (0, self.decision):
                return None
            self.working, self.cancel_ns = False, None
            if kind is ReportKind.REJECTED:
                return When.REJECTED
            if self.lots:
                return None
            alive = ts - (self.signal_ns or 0) < self.p["signal_ttl_ns"] and self.attempts < self.p["max_attempts"]
            return (When.ENDED_LONG if self.side > 0 else When.ENDED_SHORT) if alive else When.ENDED
        elif kind is ReportKind.POSITION:
            before, self.lots = self.lots, r["qty_lots"]
            self.value_e8 = r["entry_value_e8"]
            if self.entry_leaves == 0 and self.working:
                self.working, self.cancel_ns = False, None
            if self.lots:
                self.side = 1 if self.lots > 0 else -1
                self.stop, self.targets, self.took = r["stop_ticks"], self._ladder(r), bool(r["flags"] & 16)
                self.risk, self.risk_lots = r["risk_ticks"], r["risk_lots"]
                if not before:
                    self.opened_ns, self.exit_ns, self.mark_ns = ts, None, 0
                    self.first = self.peak = self.protect_ns = None
                    self.moved_ns, self.widened, self.ordered = 0, False, max(self.ordered, abs(self.lots))
                    return When.OPENED
            elif before:
                self.exit_ns = None
                by_role = {
                    OrderRole.TAKE_PROFIT: When.CLOSED_TAKE_PROFIT, OrderRole.STOP: When.CLOSED_STOP,
                    OrderRole.LIQUIDATION: When.CLOSED_STOP,
                }
                return by_role.get(OrderRole(r["role"]), When.CLOSED_EXIT)
        return None
