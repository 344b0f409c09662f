"""A strategy without a market opinion: seeded intents of every kind, as the shards would send them, on many symbols.

It only knows what reports tell it. After a restart of execution it sends what was never answered again, as shards do.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

from core.enums import Cause, MessageKind, ReportKind
from core.orders.wire import Message, Report
from core.sim.scheduler import Scheduler
from tests.sim.market import Market

MS = 1_000_000


class Strategy:
    """`send` hands a message to execution, `protect` a new stop. `venue_ns` is the event time of messages."""

    def __init__(
        self, scheduler: Scheduler, market: Market, rng: random.Random, pace_ns: tuple[int, int],
        send: Callable[[Message], None], protect: Callable[[int, int], None], venue_ns: Callable[[], int],
    ) -> None:
        self.scheduler = scheduler
        self.market = market
        self.rng = rng
        self.pace_ns = pace_ns
        self.send = send
        self.protect = protect
        self.venue_ns = venue_ns
        self.active = False
        self.sent: Counter[str] = Counter()
        self.accepted: dict[int, Report] = {}  # broker order id -> its ACCEPTED
        self.unanswered: dict[int, Message] = {}  # by seq
        self._seq = 0
        self._lots: dict[int, int] = {}
        self._working: dict[int, Report] = {}
        self._asked_ns: dict[int, int] = {}

    @property
    def intents(self) -> int:
        return sum(self.sent.values())

    def start(self) -> None:
        self.active = True
        for contract in self.market.contracts:
            self.scheduler.after(self.rng.randint(*self.pace_ns), self._turn, contract.symbol)

    # --- intents -----------------------------------------------------------------------------------------------------
    def _turn(self, symbol: int) -> None:
        self.scheduler.after(self.rng.randint(*self.pace_ns), self._turn, symbol)
        if not self.active:
            return
        now = self.scheduler.now_ns
        if any(m.symbol == symbol for m in self.unanswered.values()) and now - self._asked_ns.get(symbol, 0) < 4_000 * MS:
            return
        roll = self.rng.random()
        if self._lots.get(symbol):
            if roll < 0.45:
                self._say(symbol, MessageKind.EXIT, reason=int(Cause.NONE))
            elif roll < 0.65:
                self._move_stop(symbol)
            elif roll < 0.70:
                self._enter(symbol)  # must be refused: there is a position
        elif symbol in self._working:
            if roll < 0.35:
                self._say(symbol, MessageKind.CANCEL)
            elif roll < 0.40:
                self._say(symbol, MessageKind.EXIT)
        elif roll < 0.9:
            self._enter(symbol)
        elif roll < 0.93:
            self._say(symbol, MessageKind.EXIT)

    def _enter(self, symbol: int) -> None:
        rng, contract = self.rng, self.market.contracts[symbol]
        side = rng.choice((-1, 1))
        touch = contract.best_bid if side > 0 else contract.best_ask
        roll = rng.random()
        far = contract.best_ask if side > 0 else contract.best_bid
        price = touch if roll < 0.6 else far if roll < 0.9 else touch - side * 3 * contract.step_ticks
        distance = rng.choice((2, 5, 12, 25, 60)) * contract.step_ticks
        target = price + side * rng.choice((6, 15, 40)) * contract.step_ticks if rng.random() < 0.7 else 0
        self._say(symbol, MessageKind.ENTER, side=side, price_ticks=price, stop_ticks=price - side * distance,
                  target_ticks=target)

    def _move_stop(self, symbol: int) -> None:
        contract, lots = self.market.contracts[symbol], self._lots[symbol]
        side = 1 if lots > 0 else -1
        self.sent["PROTECT"] += 1
        self.protect(symbol, contract.mid_ticks - side * self.rng.choice((3, 8, 20)) * contract.step_ticks)

    def _say(self, symbol: int, kind: MessageKind, **fields: int) -> None:
        self._seq += 1
        self.sent[kind.name] += 1
        message = Message(
            seq=self._seq, ts_event_ns=self.venue_ns(), mono_recv_ns=self.scheduler.now_ns,
            mono_sent_ns=self.scheduler.now_ns, decision_id=self._seq, symbol=symbol, kind=int(kind), **fields,
        )
        self.unanswered[self._seq] = message
        self._asked_ns[symbol] = self.scheduler.now_ns
        self.send(message)

    # --- what comes back -----------------------------------------------------------------------------------------------
    def report(self, report: Report) -> None:
        symbol, kind = report.symbol, report.kind
        self.unanswered.pop(report.seq, None)
        if kind == ReportKind.ACCEPTED:
            self._working[symbol] = self.accepted[report.order_id] = report
        elif kind == ReportKind.POSITION:
            self._lots[symbol] = report.qty_lots
            if report.qty_lots == 0:
                self._working.pop(symbol, None)
        elif kind == ReportKind.DONE:
            self._working.pop(symbol, None)
            self._lots[symbol] = 0

    def restarted(self) -> None:
        """Execution is back: everything it has not answered is sent again."""
        for message in list(self.unanswered.values()):
            self.send(message)
