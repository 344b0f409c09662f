"""The watchdog of stops: a position has its stop on the exchange within a second, or it is closed.

    position told, stop there                -> stands
    position told, no stop, 0.3 s            -> set it (POST trading-stop)
    refused twice, or the price is beyond it -> close reduce-only
    stop was there and is gone (a person, or the venue) -> set again, at most twice an hour on the symbol; then no
                                                fight and no naked position either: it is closed, no entries
    stop stands elsewhere                    -> tighter is taken over; looser is moved back, under the same limit

A close under way has those 0.3 s to make a stop needless, no more: it may be slow, or meet nobody. Stops are never
removed here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from core.enums import Cause, OrderRole, Severity
from core.orders.desk_journal import Protect, targets_text
from core.orders.exchange_desk_closes import Closes
from core.orders.exchange_desk_core import FOREVER, MS, SECOND, Answer, DeskCore, Holding
from core.orders.exchange_desk_fills import Fills
from core.orders.exchange_words import (
    Ack,
    OrderRow,
    OrderStatus,
    PositionRow,
    QueryKind,
    QueryRows,
    StopOrderType,
    TradingStop,
)
from core.orders.lookups import LookUps
from core.orders.order_store import DeskOrder
from core.orders.ret_classes import Reaction, RetClass, classify

BPS = 10_000
HOUR_NS = 3600 * SECOND
STOPS = frozenset({StopOrderType.STOP_LOSS, StopOrderType.PARTIAL_STOP_LOSS, StopOrderType.TRAILING_STOP})
TRIGGERED = frozenset({OrderStatus.TRIGGERED, OrderStatus.PARTIALLY_FILLED, OrderStatus.FILLED})
RETRY_NS = 200 * MS
ASK_NS = 300 * MS
CHANGED_NS = 1 * SECOND  # a stop elsewhere for this long is no race with our own request
REFUSALS = 2
PASSED = "base_price"  # in the text of a refusal: the stop is on the wrong side of the price by now


@dataclass(slots=True)
class Guard:
    """The stop of one symbol."""

    holding: Holding
    naked_ns: int = 0  # since when a position stands without a stop, 0 = it does not
    changed_ns: int = 0  # since when the stop stands elsewhere
    stood_ticks: int = 0  # last seen on the exchange for this position
    req_id: int = 0
    next_ns: int = 0
    refusals: int = 0
    wished: bool = False  # a new stop was asked for and has not been seen yet
    triggered_ns: int = 0  # the stop triggered, and we are not flat yet
    beyond_ns: int = 0  # since when the price is beyond a stop that stands
    attached: set[int] = field(default_factory=set)  # stops our entries brought: one of them standing is our doing
    rearmed: list[int] = field(default_factory=list)
    yielded: bool = False
    asked_ns: int = -FOREVER


class Protection:
    """See the module."""

    def __init__(self, core: DeskCore, fills: Fills, closes: Closes, looks: LookUps) -> None:
        self.core = core
        self.closes = closes
        self.looks = looks
        self.guards: dict[str, Guard] = {}
        fills.entry_stop = self.entry_stop

    def want(self, holding: Holding, stop_ticks: int, targets: tuple[tuple[int, int], ...] | None) -> None:
        """The stop that should stand from now on (0: leave what there is)."""
        holding.stop_ticks = stop_ticks or holding.stop_ticks
        holding.targets = targets if targets is not None else holding.targets
        self.core.persist(Protect(holding.symbol, holding.stop_ticks, targets_text(holding.targets or ())))
        guard = self._guard(holding)
        guard.yielded = False
        guard.refusals = 0
        guard.wished = True
        self.check(guard)

    def _guard(self, holding: Holding) -> Guard:
        guard = self.guards.get(holding.symbol)
        if guard is None:
            guard = self.guards[holding.symbol] = Guard(holding)
        return guard

    def recover(self, holding: Holding) -> None:
        """What was wanted before the crash is wanted still."""
        self._guard(holding).wished = holding.stop_ticks > 0

    def entry_stop(self, holding: Holding, order: DeskOrder) -> None:
        """An entry filled: its stop, or the tighter one where there is a position already (O16: Full mode has one)."""
        if not order.stop_ticks:
            return
        if not holding.stop_ticks:
            holding.stop_ticks = order.stop_ticks
        elif holding.stop_ticks != order.stop_ticks:
            guard = self._guard(holding)
            guard.attached |= {holding.stop_ticks, order.stop_ticks}
            guard.wished = True
            if order.side * (order.stop_ticks - holding.stop_ticks) > 0:
                holding.stop_ticks = order.stop_ticks

    def stop_told(self, row: OrderRow) -> None:
        """A child order of the position: a stop that triggered has half a second to close it (O14)."""
        holding = self.core.holding(row.symbol)
        if holding is None or row.stop_order_type not in STOPS or row.status not in TRIGGERED:
            return
        guard = self._guard(holding)
        guard.triggered_ns = guard.triggered_ns or self.core.now_ns

    def holding_changed(self, holding: Holding) -> None:
        """Fill or telling of the position."""
        self.check(self._guard(holding))

    def on_timer(self) -> None:
        for guard in list(self.guards.values()):
            self.check(guard)

    def check(self, guard: Guard) -> None:
        """Is the position of the symbol protected?"""
        core, holding = self.core, guard.holding
        if not holding.at_stake:
            self._flat(guard)
            return
        if guard.triggered_ns and core.now_ns - guard.triggered_ns >= core.config.local_stop_ns:
            guard.triggered_ns = 0
            self._stop_ourselves(guard, "the stop triggered and did not close the position")
        told = self._told(holding)
        if told is not None and told.stop_ticks:
            self._stands(guard, told.stop_ticks)
            return
        guard.naked_ns = guard.naked_ns or core.now_ns
        naked = core.now_ns - guard.naked_ns
        core.counters["naked_ms_max"] = max(core.counters["naked_ms_max"], naked // MS)
        if guard.yielded:
            return
        if holding.symbol in self.closes.jobs:
            if naked >= core.config.naked_ns:  # the close takes its time
                self._set(guard)
            return
        if guard.stood_ticks and told is not None:
            self._lost(guard)
        elif naked >= core.config.naked_ns:
            if told is not None or naked >= 2 * core.config.naked_ns:
                self._set(guard)
            else:
                self._ask(guard)

    @staticmethod
    def _told(holding: Holding) -> PositionRow | None:
        """The position as told, where that is not older than our last fill of it."""
        venue = holding.venue
        if venue is None or venue.signed_lots == holding.ignored_lots or venue.seq < holding.exec_seq:
            return None
        return venue

    def _flat(self, guard: Guard) -> None:
        holding = guard.holding
        guard.naked_ns = guard.changed_ns = guard.stood_ticks = guard.refusals = 0
        guard.triggered_ns = guard.beyond_ns = 0
        guard.attached.clear()
        guard.yielded = guard.wished = False
        if holding.lots == 0 and not holding.venue_lots and not guard.req_id:
            holding.stop_ticks = 0
            holding.targets = None
            holding.order_id = holding.decision_id = 0
            if not guard.rearmed or guard.rearmed[-1] < self.core.now_ns - HOUR_NS:
                del self.guards[holding.symbol]

    def _stands(self, guard: Guard, stands: int) -> None:
        core, holding = self.core, guard.holding
        guard.naked_ns = 0
        guard.stood_ticks = stands
        self._beyond(guard, stands)
        if not holding.stop_ticks:
            holding.stop_ticks = stands
        if stands == holding.stop_ticks or guard.yielded:
            guard.changed_ns = guard.refusals = 0
            guard.wished = False
            return
        if guard.wished or stands in guard.attached:
            self._set(guard)
            return
        guard.changed_ns = guard.changed_ns or core.now_ns
        if guard.req_id or core.now_ns - guard.changed_ns < CHANGED_NS:
            return
        core.count("sl_changed")
        guard.changed_ns = 0
        if holding.side * (stands - holding.stop_ticks) > 0:
            core.log(Severity.WARNING, "sl_changed", holding.symbol, "a tighter stop stands: taken over",
                     holding.stop_ticks, stands)
            self._accept(holding, stands)
        elif self._may_rearm(guard):
            self._set(guard)
        else:
            self._yield(guard, f"the stop was moved to {stands} again and again: taken over")
            self._accept(holding, stands)

    def _beyond(self, guard: Guard, stands: int) -> None:
        """The price is well beyond a stop that stands: it will not do it, so we do."""
        core, side = self.core, guard.holding.side
        reference = self.closes.reference(guard.holding, -side)
        width = stands * core.config.local_stop_bps // BPS
        if not reference or side * (stands - reference) <= width:
            guard.beyond_ns = 0
            return
        guard.beyond_ns = guard.beyond_ns or core.now_ns
        if core.now_ns - guard.beyond_ns >= core.config.local_stop_ns:
            guard.beyond_ns = 0
            self._stop_ourselves(guard, "the price is beyond the stop, which has not triggered")

    def _through(self, holding: Holding) -> bool:
        """Is the price, as far as it is known, at the wanted stop or beyond?"""
        reference = self.closes.reference(holding, -holding.side)
        return reference > 0 and holding.side * (reference - holding.stop_ticks) <= 0

    def _stop_ourselves(self, guard: Guard, text: str) -> None:
        core, holding = self.core, guard.holding
        if holding.symbol in self.closes.jobs:
            return
        reference = self.closes.reference(holding, -holding.side)
        if reference and holding.stop_ticks:
            slip = abs(reference - holding.stop_ticks) * BPS // holding.stop_ticks
            core.counters["sl_slip_bp"] = max(core.counters["sl_slip_bp"], slip)
        core.note(Severity.CRITICAL, "sl_local", holding.symbol, text, holding.stop_ticks, reference)
        self.closes.begin(holding, OrderRole.STOP, int(Cause.STOP))

    def _accept(self, holding: Holding, stop_ticks: int) -> None:
        holding.stop_ticks = stop_ticks
        self.core.persist(Protect(holding.symbol, stop_ticks, targets_text(holding.targets or ())))

    def _lost(self, guard: Guard) -> None:
        """It stood and is gone."""
        if guard.req_id or self.core.now_ns < guard.next_ns:
            return
        self.core.count("sl_lost")
        if self._may_rearm(guard):
            guard.stood_ticks = 0
            self._set(guard)
        else:
            self._yield(guard, "the stop was removed again and again: closed")
            self.closes.begin(guard.holding, OrderRole.STOP, int(Cause.STOP))  # no fight, but no position without a stop

    def _may_rearm(self, guard: Guard) -> bool:
        """Set against somebody's will: at most so often an hour."""
        core = self.core
        guard.rearmed = [t for t in guard.rearmed if t > core.now_ns - HOUR_NS]
        if len(guard.rearmed) >= core.config.rearms_per_hour:
            return False
        guard.rearmed.append(core.now_ns)
        core.note(Severity.ERROR, "sl_rearmed", guard.holding.symbol, "the stop is set again", guard.holding.stop_ticks)
        return True

    def _yield(self, guard: Guard, text: str) -> None:
        guard.yielded = True
        self.core.switch_off(guard.holding, "operator", FOREVER, text)
        self.core.note(Severity.CRITICAL, "sl_yielded", guard.holding.symbol, text)

    # --- requests ----------------------------------------------------------------------------------------------------
    def _ask(self, guard: Guard) -> None:
        """A fill, and the venue has not told the position: ask."""
        core = self.core
        if not core.can_ask or core.now_ns - guard.asked_ns < ASK_NS:
            return
        guard.asked_ns = core.now_ns

        def answered(answer: Answer) -> None:
            if isinstance(answer, QueryRows):
                for row in answer.rows:
                    if isinstance(row, PositionRow):
                        self.looks.apply_position(row)

        core.ask(QueryKind.POSITIONS, answered, guard.holding.symbol)

    def _set(self, guard: Guard) -> None:
        core, holding = self.core, guard.holding
        if guard.req_id or core.now_ns < guard.next_ns or not core.reachable:
            return
        passed = bool(guard.naked_ns and holding.stop_ticks and self._through(holding))
        if passed and holding.symbol not in self.closes.jobs:
            self._stop_ourselves(guard, "no stop, and the price is beyond the one wanted")
            return
        # the wanted one would be refused for as long as the close takes: one that is taken stands until then
        stop = self._emergency(holding) if passed or not holding.stop_ticks else holding.stop_ticks
        if not stop:
            self._ask(guard)
            return
        if stop != holding.stop_ticks:
            self._accept(holding, stop)
        core.count("sl_set")
        target = 0 if holding.targets is not None else None

        guard.req_id = core.request(
            lambda req_id: TradingStop(req_id, holding.symbol, stop, target), lambda answer: self._answered(guard, answer),
            core.config.close_ttl_ns, urgent=True,
        )

    def _emergency(self, holding: Holding) -> int:
        """A stop for a position nobody planned: so far from its entry price, or from the mark where that is worse."""
        side = holding.side
        base = self.closes.reference(holding, -side)
        if not base:
            return 0
        width = max(base * self.core.config.adopt_stop_bps // BPS, 1)
        stop = (average_ticks(holding) or base) - side * width
        return max(stop if side * (base - stop) > 0 else base - side * width, 1)

    def _answered(self, guard: Guard, answer: Answer) -> None:
        core, holding = self.core, guard.holding
        guard.req_id = 0
        guard.next_ns = core.now_ns + RETRY_NS
        if not isinstance(answer, Ack):
            return
        verdict = classify(answer.ret_code, answer.ret_msg)
        if verdict.kind in (RetClass.TAKEN, RetClass.UNCHANGED):
            guard.asked_ns = -FOREVER
            guard.next_ns = core.now_ns + core.config.naked_ns
            self._ask(guard)  # read it back
        elif verdict.reaction in (Reaction.REFUSE, Reaction.STOP_ENTRIES, Reaction.STOP_SYMBOL):
            guard.refusals += 1
            core.note(Severity.CRITICAL, "sl_refused", holding.symbol, f"{answer.ret_code} {answer.ret_msg}",
                      holding.stop_ticks)
            if guard.refusals >= REFUSALS or (guard.naked_ns and PASSED in answer.ret_msg):
                self._refused(guard)

    def _refused(self, guard: Guard) -> None:
        """Twice: without a stop, or with the price beyond the one wanted, close; else keep the one that stands."""
        core, holding = self.core, guard.holding
        guard.refusals = 0
        if not holding.at_stake or holding.symbol in self.closes.jobs:
            return
        if guard.naked_ns or self._through(holding):
            core.count("sl_close")
            self.closes.begin(holding, OrderRole.STOP, int(Cause.STOP))
        else:
            guard.wished = False
            self._accept(holding, guard.stood_ticks)


def average_ticks(holding: Holding) -> int:
    """Average entry price of the position as told by the venue, in ticks, rounded down."""
    venue, grid = holding.venue, holding.instrument.grid
    if venue is None or not venue.lots:
        return 0
    return venue.entry_value_e8 * 10**grid.decimals // (venue.lots * grid.tick_mant * grid.lot_mant * 10**8)
