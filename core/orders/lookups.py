"""Where is this order? Look-ups by our id until it is seen, or proved never to have been born.

    round at 0.3, 1, 3 s, then every 3 s:  realtime -> history -> executions   (the first that knows it ends the round)
    proof: two rounds in a row that found nothing, each begun after   left_by + recv_window + guard,   each with the
    position as expected at its end. Before that "not found" means nothing.

A query that fails is asked again, later each time: many look-ups at once must not use up the very limit that lets them
be answered (a round that began anew after every failure never ended: seed 101287). Rounds go on for ever: an order is
never given up silently.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from core.enums import Severity
from core.orders.exchange_desk_core import MS, Answer, DeskCore
from core.orders.exchange_words import ExecutionRow, OrderRow, PositionRow, QueryKind, QueryRows
from core.orders.lifecycle import OrderState
from core.orders.order_store import DeskOrder

_STAGES = (QueryKind.ORDER_REALTIME, QueryKind.ORDER_HISTORY, QueryKind.EXECUTIONS, QueryKind.POSITIONS)
NEGATIVES = 2
RETRY_NS = 500 * MS
FAILS = 8  # doublings of the wait after a query that failed
AT_ONCE_NS = 20 * MS
STRANGE_ROUNDS = 6  # nothing found, but the position is not as expected: a person must look


@dataclass(slots=True)
class Look:
    """One order being looked for."""

    order: DeskOrder
    started_ns: int
    next_ns: int
    rounds: int = 0
    stage: int = -1  # of the round on its way, -1 = none
    asked: bool = False  # the query of the stage is on its way
    fails: int = 0  # of it, in a row
    round_ns: int = 0
    found: bool = False
    negatives: int = 0
    strange: int = 0
    stopped: bool = False


class LookUps:
    """Look-ups of any number of orders. The order flow sets what rows, executions and absence mean."""

    def __init__(self, core: DeskCore) -> None:
        self.core = core
        self.looks: dict[str, Look] = {}
        self.apply_row: Callable[[OrderRow], object] = lambda row: None
        self.apply_execution: Callable[[ExecutionRow], object] = lambda row: None
        self.apply_position: Callable[[PositionRow], object] = lambda row: None
        self.absent: Callable[[DeskOrder], None] = lambda order: None

    def start(self, order: DeskOrder, at_once: bool = False) -> None:
        """Look for it; a running look-up goes on (and is not slowed down)."""
        core = self.core
        first = core.now_ns + (AT_ONCE_NS if at_once else core.config.look_ns[0])
        look = self.looks.get(order.link_id)
        if look is None:
            self.looks[order.link_id] = Look(order, core.now_ns, first)
        elif look.stage < 0:
            look.next_ns = min(look.next_ns, first)

    def stop(self, order: DeskOrder) -> None:
        """It has been seen."""
        look = self.looks.pop(order.link_id, None)
        if look is not None:
            look.stopped = True
            self.core.count("unknown_resolved")
            self.core.counters["unknown_resolve_ms_max"] = max(
                self.core.counters["unknown_resolve_ms_max"], (self.core.now_ns - look.started_ns) // MS)

    def proof_ns(self, order: DeskOrder) -> int:
        """From here on an unseen order can no longer be born."""
        config = self.core.config
        return order.left_by_ns + config.recv_window_ns + config.guard_ns

    def on_timer(self) -> None:
        """Begin the rounds that are due."""
        core = self.core
        for look in list(self.looks.values()):
            if look.asked or look.next_ns > core.now_ns or not core.can_ask:
                continue
            if look.stage < 0:
                look.stage, look.round_ns, look.found = 0, core.now_ns, False
                look.rounds += 1
            self._ask(look)

    def _ask(self, look: Look) -> None:
        kind = _STAGES[look.stage]
        link = None if kind is QueryKind.POSITIONS else look.order.link_id
        look.asked = True
        self.core.ask(kind, lambda answer: self._answered(look, answer), look.order.symbol, link)

    def _answered(self, look: Look, answer: Answer) -> None:
        if look.stopped:
            return
        look.asked = False
        if not isinstance(answer, QueryRows):
            look.next_ns = self.core.now_ns + min(RETRY_NS << look.fails, self.core.config.look_every_ns)
            look.fails = min(look.fails + 1, FAILS)
            return
        look.fails = 0
        for row in answer.rows:
            if isinstance(row, OrderRow) and look.order.link_id == row.link_id:
                look.found = True
                self.apply_row(row)
            elif isinstance(row, ExecutionRow):
                look.found = look.found or row.link_id == look.order.link_id
                self.apply_execution(row)
            elif isinstance(row, PositionRow):
                self.apply_position(row)
        if look.stopped:
            return
        if look.found and self._resolved(look.order):
            self.stop(look.order)
        elif look.stage == len(_STAGES) - 1:
            self._conclude(look)
        elif look.found and look.stage == len(_STAGES) - 2:
            self._next(look)
        else:
            look.stage = 2 if look.found else look.stage + 1
            self._ask(look)

    @staticmethod
    def _resolved(order: DeskOrder) -> bool:
        return order.settled or (
            order.state in (OrderState.LIVE, OrderState.PARTIALLY_FILLED) and order.cum_lots >= order.told_lots
        )

    def _next(self, look: Look) -> None:
        config = self.core.config
        look.stage = -1
        steps = config.look_ns
        planned = look.started_ns + steps[look.rounds] if look.rounds < len(steps) else 0
        soon = look.negatives or look.rounds < len(steps)
        look.next_ns = max(planned, self.core.now_ns + (RETRY_NS if soon else config.look_every_ns))
        proof = self.proof_ns(look.order)
        if self.core.now_ns < proof < look.next_ns:
            look.next_ns = proof

    def _conclude(self, look: Look) -> None:
        """Nothing was found in this round."""
        core, order = self.core, look.order
        core.count("look_empty")
        holding = core.holding(order.symbol)
        expected = holding is None or holding.agrees
        if look.round_ns < self.proof_ns(order) or order.told_lots > order.cum_lots:
            look.negatives = 0
        elif not expected:
            look.negatives = 0
            look.strange += 1
            if look.strange == STRANGE_ROUNDS and holding is not None:
                core.log(Severity.ERROR, "unknown_open", order.symbol,
                         f"{order.link_id} not found, but the position is not as expected",
                         holding.lots, holding.venue_lots or 0)
        else:
            look.negatives += 1
            if look.negatives >= NEGATIVES:
                core.count("proved_absent")
                self.stop(order)
                self.absent(order)
                return
        self._next(look)

    @property
    def oldest_ns(self) -> int:
        """How long the longest look-up has been going on."""
        return max((self.core.now_ns - look.started_ns for look in self.looks.values()), default=0)


