"""Execution's pure half: messages in, reports out, account and working orders in between.

`decide` answers a message without changing anything; `book` applies a message together with its answer. Live handling
is decide + book; recovery is book alone over the journal, so a restarted execution has exactly the account it had.
Every ENTER, CANCEL, EXIT, FILL and DONE gets one report; MARK and END get none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from core.constants import SIZE_FULL
from core.enums import Gate, LogKind, MessageKind, OrderRole, ReportKind, Severity
from core.orders.router import ExecutionRouter, Order
from core.orders.wire import Message, Report
from core.position.position import Position
from core.risk.gate import Facts, Verdict, check, risk_off
from core.risk.policy import Instrument, Policy
from core.risk.sizing import order_risk_e8, size_lots
from core.sim.account import Account
from core.sim.desk import FLAG_POST_ONLY, FLAG_TAKER

ANSWERED = frozenset({MessageKind.ENTER, MessageKind.CANCEL, MessageKind.EXIT, MessageKind.FILL, MessageKind.DONE})
INTENTS = frozenset({MessageKind.ENTER, MessageKind.CANCEL, MessageKind.EXIT})


@dataclass(slots=True)
class Working:
    """An accepted entry; `leaves_lots` of it can still fill and count as filled in every limit."""

    order: Order
    leaves_lots: int
    leverage_e2: int
    cancelling: bool = False


class Controls(NamedTuple):
    """What is in force around a message, beside the account."""

    killed: bool = False
    paused: bool = False
    degraded: bool = False
    feed_down: bool = False
    quarantined: bool = False
    age_ns: int = 0


class Note(NamedTuple):
    """One LOG record to write: fields as in `core.records.LOG`."""

    kind: LogKind
    symbol: int
    ts_ns: int
    seq: int
    a: int = 0
    b: int = 0
    c: int = 0
    d: int = 0
    e: int = 0
    f: int = 0
    x: float = 0.0
    y: float = 0.0
    text: str = ""
    severity: Severity = Severity.INFO


class Decision(NamedTuple):
    """The answer to a message (None: it gets none), the refusal's numbers and the id to log an order under."""

    report: Report | None
    verdict: Verdict | None = None
    label: str = ""


class Broker:
    """One account. `instruments` maps symbol ids; `dirty` collects symbols whose position row changed."""

    def __init__(self, policy: Policy, router: ExecutionRouter) -> None:
        self.policy = policy
        self.router = router
        self.account = Account(policy.start_balance_e8)
        self.instruments: dict[int, Instrument] = {}
        self.working: dict[int, Working] = {}
        self.dirty: set[int] = set()
        self.next_order_id = 1
        self.intents = 0
        self.orders = 0
        self.rejects = 0

    # --- answers ---------------------------------------------------------------------------------------------------
    def decide(self, message: Message, controls: Controls = Controls()) -> Decision:
        """The answer to a message; changes nothing."""
        kind = message.kind
        if kind == MessageKind.ENTER:
            return self._decide_enter(message, controls)
        if kind == MessageKind.CANCEL:
            return Decision(self._cancel_report(message))
        if kind == MessageKind.EXIT:
            return Decision(self._exit_report(message))
        if kind in ANSWERED:
            return Decision(self._state_after(message))
        return Decision(None)

    def _effect(self, message: Message) -> int:
        return message.ts_event_ns + self.policy.latency_ns

    def _decide_enter(self, message: Message, controls: Controls) -> Decision:
        instrument = self.instruments.get(message.symbol)
        if instrument is None or message.price_ticks <= 0 or message.side not in (-1, 1):
            return self._refuse(message, Verdict(Gate.DATA, float(message.price_ticks), 0.0))
        policy, account = self.policy, self.account
        side, price, stop = message.side, message.price_ticks, message.stop_ticks
        fee = policy.fee_of(instrument)
        if stop > 0 and side * (price - stop) <= 0:  # a stop on the wrong side would not protect
            return self._refuse(message, Verdict(Gate.DATA, float(stop), float(price)))
        equity = account.equity_e8
        share = message.qty_lots or SIZE_FULL  # the symbol profile may make it smaller
        margin = policy.margin_of(instrument) * share // SIZE_FULL
        lots = size_lots(
            instrument.grid, side, price, stop, margin, policy.leverage_of(instrument),
            policy.risk_cap_e8(equity), fee, instrument.max_qty_lots,
        )
        facts = self.facts(message.ts_event_ns, controls, instrument, message, lots)
        verdict = check(facts, policy.limits)
        only_mode = verdict.gate == Gate.MODE
        if not verdict.allowed and not only_mode:
            return self._refuse(message, verdict)
        flags = FLAG_TAKER | (FLAG_POST_ONLY if policy.maker_deadline_ns > 0 else 0)
        order = Order(
            self.next_order_id, message.symbol, instrument.name, side, lots, price, stop, message.target_ticks,
            self._effect(message) + policy.maker_deadline_ns, flags, message.decision_id, message.seq,
        )
        report, label = self.router.submit(order, self._effect(message))
        return Decision(report, verdict if only_mode else None, label)

    def _refuse(self, message: Message, verdict: Verdict) -> Decision:
        return Decision(Report(
            seq=message.seq, effect_ns=self._effect(message), decision_id=message.decision_id, symbol=message.symbol,
            kind=int(ReportKind.REJECTED), side=message.side, reason=int(verdict.gate),
        ), verdict)

    def facts(
        self, ts_ns: int, controls: Controls, instrument: Instrument | None = None, message: Message | None = None,
        lots: int = 0,
    ) -> Facts:
        """Everything the gate looks at; without an instrument only what concerns every symbol."""
        account, policy = self.account, self.policy
        margin_working = sum(self._margin(w) for w in self.working.values())
        heat_working = sum(self._risk(w) for w in self.working.values())
        heat_open = sum(p.risk_e8(policy.taker_fee_e8) for p in account.positions.values())
        value = risk = margin = 0
        symbol = -1
        if instrument is not None and message is not None:
            symbol = instrument.id
            value = instrument.grid.value_e8(message.price_ticks, lots, round_up=True)
            margin = -(-value * 100 // policy.leverage_of(instrument))
            risk = order_risk_e8(instrument.grid, message.side, message.price_ticks, message.stop_ticks, lots,
                                 policy.fee_of(instrument))
        return Facts(
            ts_ns=ts_ns, age_ns=controls.age_ns, killed=controls.killed, paused=controls.paused,
            degraded=controls.degraded, feed_down=controls.feed_down, mode_allows=self.router.sends,
            blacklisted=instrument is not None and policy.blacklists(instrument),
            trading=instrument is None or instrument.trading, quarantined=controls.quarantined, duplicate=False,
            in_position=symbol in account.positions, order_working=symbol in self.working,
            positions=len(account.positions.keys() | self.working.keys()), balance_e8=account.balance_e8,
            equity_e8=account.equity_e8, day_start_equity_e8=account.day_start_equity_e8,
            unrealised_e8=account.unrealised_e8, margin_used_e8=account.margin_used_e8 + margin_working,
            margin_new_e8=margin, heat_e8=heat_open + heat_working, risk_new_e8=risk, qty_lots=lots,
            min_qty_lots=instrument.min_qty_lots if instrument else 0,
            max_qty_lots=instrument.max_qty_lots if instrument else 0, notional_e8=value,
            min_notional_e8=instrument.min_notional_e8 if instrument else 0,
        )

    def risk_off(self, ts_ns: int, controls: Controls) -> Gate:
        """Why no symbol may enter now, Gate.NONE when some may."""
        return risk_off(self.facts(ts_ns, controls), self.policy.limits)

    def _margin(self, working: Working) -> int:
        order = working.order
        value = self.instruments[order.symbol].grid.value_e8(order.price_ticks, working.leaves_lots, round_up=True)
        return -(-value * 100 // working.leverage_e2)

    def _risk(self, working: Working) -> int:
        order = working.order
        instrument = self.instruments[order.symbol]
        return order_risk_e8(instrument.grid, order.side, order.price_ticks, order.stop_ticks, working.leaves_lots,
                             self.policy.fee_of(instrument))

    def _cancel_report(self, message: Message) -> Report:
        working = self.working.get(message.symbol)
        if working is None:
            return self._state(message)
        return Report(
            seq=message.seq, effect_ns=self._effect(message), decision_id=working.order.decision_id,
            order_id=working.order.order_id, symbol=message.symbol, kind=int(ReportKind.CANCEL),
            side=working.order.side, reason=message.reason,
        )

    def _exit_report(self, message: Message) -> Report:
        position, working = self.account.positions.get(message.symbol), self.working.get(message.symbol)
        if position is None and working is None:
            return self._position_report(message, None)
        return Report(
            seq=message.seq, effect_ns=self._effect(message), decision_id=message.decision_id,
            order_id=position.order_id if position else working.order.order_id if working else 0,
            symbol=message.symbol, kind=int(ReportKind.CLOSE), side=-position.side if position else 0,
            role=int(OrderRole.EXIT), reason=message.reason,
        )

    def _state_after(self, message: Message) -> Report:
        """Answer to FILL and DONE: reported as it is after booking, so `handle` fills it in."""
        return Report(seq=message.seq, effect_ns=self._effect(message), symbol=message.symbol,
                      kind=int(ReportKind.POSITION if message.kind == MessageKind.FILL else ReportKind.DONE))

    def _state(self, message: Message) -> Report:
        """The truth about a symbol as a report: its position, or DONE when there is none."""
        position = self.account.positions.get(message.symbol)
        if position is not None:
            return self._position_report(message, position)
        return Report(
            seq=message.seq, effect_ns=self._effect(message), decision_id=message.decision_id,
            order_id=message.order_id, symbol=message.symbol, kind=int(ReportKind.DONE), reason=message.reason,
        )

    def _position_report(self, message: Message, position: Position | None) -> Report:
        base = Report(
            seq=message.seq, effect_ns=self._effect(message), decision_id=message.decision_id,
            order_id=message.order_id, symbol=message.symbol, kind=int(ReportKind.POSITION), role=message.role,
            side=message.side, reason=message.reason,
        )
        if position is None:
            return base
        return base._replace(
            decision_id=position.decision_id, order_id=position.order_id, qty_lots=position.lots,
            stop_ticks=position.stop_ticks, target_ticks=position.target_ticks,
            entry_value_e8=position.entry_value_e8, realised_e8=position.realised_e8,
        )

    # --- booking ---------------------------------------------------------------------------------------------------
    def handle(self, message: Message, controls: Controls = Controls()) -> tuple[Report | None, list[Note]]:
        """Answer and book one message: (report or None, log records)."""
        self.account.roll(message.ts_event_ns)
        decision = self.decide(message, controls)
        report = decision.report
        notes = self.book(message, report)
        if report is None:
            return None, notes
        if message.kind == MessageKind.FILL:
            report = self._position_report(message, self._last_position(message.symbol))
        elif message.kind == MessageKind.DONE:
            report = self._state(message)
        elif message.kind == MessageKind.ENTER:
            notes = self._enter_notes(message, decision) + notes
        return report, notes

    def _last_position(self, symbol: int) -> Position | None:
        return self.account.positions.get(symbol) or self.account.closed.get(symbol)

    def book(self, message: Message, report: Report | None) -> list[Note]:
        """Apply a message with its answer (also from the journal). Returns log records about fills and positions."""
        kind = message.kind
        account = self.account
        account.roll(message.ts_event_ns)
        self.intents += kind in INTENTS
        notes: list[Note] = []
        if kind == MessageKind.ENTER and report is not None:
            self._book_enter(message, report)
        elif kind == MessageKind.CANCEL:
            working = self.working.get(message.symbol)
            if working is not None:
                working.cancelling = True
        elif kind == MessageKind.EXIT:
            position = account.positions.get(message.symbol)
            if position is not None:
                position.closing = True
                self.dirty.add(message.symbol)
        elif kind == MessageKind.FILL:
            notes = self._book_fill(message)
        elif kind == MessageKind.DONE:
            working = self.working.get(message.symbol)
            if working is not None and working.order.order_id == message.order_id:
                del self.working[message.symbol]
                notes.append(Note(
                    LogKind.ORDER, message.symbol, message.ts_event_ns, message.seq, message.order_id,
                    working.order.side, working.order.price_ticks, message.leaves_lots, e=message.reason, text="DONE",
                ))
            self._fold(message, message.leaves_lots, message.reason)
        elif kind == MessageKind.MARK:
            self._book_mark(message)
        return notes

    def _fold(self, message: Message, *values: int) -> None:
        instrument = self.instruments.get(message.symbol)
        name_hash = instrument.name_hash if instrument else 0
        self.account.fold((name_hash, message.seq, message.kind, *values))

    def _book_enter(self, message: Message, report: Report) -> None:
        self._fold(message, report.kind, report.reason, report.qty_lots, report.price_ticks)
        if report.kind != ReportKind.ACCEPTED:
            self.rejects += 1
            return
        instrument = self.instruments[message.symbol]
        order = Order(
            report.order_id, message.symbol, instrument.name, report.side, report.qty_lots, report.price_ticks,
            report.stop_ticks, report.target_ticks, report.deadline_ns, report.flags, report.decision_id, report.seq,
        )
        self.working[message.symbol] = Working(order, report.qty_lots, self.policy.leverage_of(instrument))
        self.next_order_id = max(self.next_order_id, report.order_id + 1)
        self.orders += 1

    def _book_fill(self, message: Message) -> list[Note]:
        instrument = self.instruments.get(message.symbol)
        if instrument is None:
            return [Note(LogKind.ERROR, message.symbol, message.ts_event_ns, message.seq, text="fill of unknown symbol",
                         severity=Severity.ERROR)]
        account = self.account
        opened = message.symbol not in account.positions
        position = account.fill(message.symbol, instrument.grid, message.side, message.price_ticks, message.qty_lots,
                                message.fee_e8, message.ts_event_ns)
        working = self.working.get(message.symbol)
        if opened:
            position.order_id, position.decision_id = message.order_id, message.decision_id
            position.leverage_e2 = self.policy.leverage_of(instrument)
        if message.role == OrderRole.ENTRY and working is not None:
            if opened:
                position.stop_ticks, position.target_ticks = working.order.stop_ticks, working.order.target_ticks
                position.leverage_e2 = working.leverage_e2
            working.leaves_lots = message.leaves_lots
            if message.leaves_lots == 0:
                del self.working[message.symbol]
        elif message.role != OrderRole.ENTRY:
            position.closing = True
        self.dirty.add(message.symbol)
        self._fold(message, message.side, message.price_ticks, message.qty_lots, message.role, message.fee_e8,
                   account.balance_e8)
        return self._fill_notes(message, instrument, position)

    def _book_mark(self, message: Message) -> None:
        if self.account.mark(message.symbol, message.price_ticks, message.ts_event_ns):
            position = self.account.positions[message.symbol]
            position.stop_ticks = message.stop_ticks or position.stop_ticks
            position.target_ticks = message.target_ticks or position.target_ticks
            self.dirty.add(message.symbol)

    # --- log records -----------------------------------------------------------------------------------------------
    def _enter_notes(self, message: Message, decision: Decision) -> list[Note]:
        """ORDER when it was sent or would have been (DRY-RUN), RISK when it was refused."""
        report, verdict = decision.report, decision.verdict
        instrument = self.instruments.get(message.symbol)
        notes: list[Note] = []
        if decision.label and report is not None and instrument is not None:
            tick, lot = instrument.tick_size, instrument.lot_size
            notes.append(Note(
                LogKind.ORDER, message.symbol, message.ts_event_ns, message.seq, report.order_id, message.side,
                message.price_ticks, report.qty_lots, message.stop_ticks, message.target_ticks,
                message.price_ticks * tick, report.qty_lots * lot, decision.label,
            ))
        if verdict is not None:
            notes.append(Note(
                LogKind.RISK, message.symbol, message.ts_event_ns, message.seq, int(verdict.gate), message.side,
                message.price_ticks, x=verdict.value, y=verdict.limit, text=f"REFUSED {verdict.gate.name}",
            ))
        return notes

    def _fill_notes(self, message: Message, instrument: Instrument, position: Position) -> list[Note]:
        tick, lot = instrument.tick_size, instrument.lot_size
        role = OrderRole(message.role).name
        word = "CLOSED" if position.lots == 0 else "OPEN" if message.role == OrderRole.ENTRY else "REDUCED"
        entry = position.entry_value_e8 / 1e8 / (position.lots * lot) if position.lots and lot else 0.0
        notes = [
            Note(
                LogKind.FILL, message.symbol, message.ts_event_ns, message.seq, message.order_id, message.side,
                message.price_ticks, message.qty_lots, message.role, message.fee_e8, message.price_ticks * tick,
                message.qty_lots * lot, f"{role} {'maker' if message.is_maker else 'taker'}",
            ),
            Note(
                LogKind.POSITION, message.symbol, message.ts_event_ns, message.seq, message.order_id, position.side,
                position.lots, position.entry_value_e8, position.realised_e8, position.fees_e8, entry,
                position.realised_e8 / 1e8, f"{word} {role}",
            ),
        ]
        if position.lots == 0:
            notes.append(Note(
                LogKind.TRADE, message.symbol, message.ts_event_ns, message.seq, position.order_id, -message.side,
                position.best_ticks, position.worst_ticks, position.opened_ns, message.role, position.fees_e8 / 1e8,
                position.realised_e8 / 1e8, role,
            ))
        return notes

    # --- kill, resync, lost shards ---------------------------------------------------------------------------------
    @property
    def flat(self) -> bool:
        """Nothing working, nothing open."""
        return not self.working and not self.account.positions

    def stand_down(self, reason: int, symbols: set[int] | None = None) -> list[Report]:
        """Unsolicited reports that cancel every working entry, then close every position (of `symbols`)."""
        reports = []
        for symbol, working in sorted(self.working.items()):
            if symbols is None or symbol in symbols:
                working.cancelling = True
                reports.append(Report(
                    order_id=working.order.order_id, symbol=symbol, kind=int(ReportKind.CANCEL), reason=reason,
                    side=working.order.side, decision_id=working.order.decision_id,
                ))
        for symbol, position in sorted(self.account.positions.items()):
            if symbols is None or symbol in symbols:
                position.closing = True
                self.dirty.add(symbol)
                reports.append(Report(
                    order_id=position.order_id, symbol=symbol, kind=int(ReportKind.CLOSE), reason=reason,
                    side=-position.side, role=int(OrderRole.KILL), decision_id=position.decision_id,
                ))
        return reports

    def symbols_of(self, shard: int) -> set[int]:
        """Symbols with an order or a position that a shard works."""
        return {s for s in self.working.keys() | self.account.positions.keys() if self.instruments[s].shard == shard}

    def end_working(self, symbols: set[int]) -> list[Message]:
        """DONE messages for the working entries of `symbols`, whose desk is gone: to be booked like any other."""
        return [
            Message(seq=0, ts_event_ns=self.account.updated_ns, order_id=w.order.order_id, symbol=s,
                    kind=int(MessageKind.DONE), leaves_lots=w.leaves_lots, decision_id=w.order.decision_id)
            for s, w in sorted(self.working.items()) if s in symbols
        ]

    def position_reports(self, symbols: set[int]) -> list[Report]:
        """Unsolicited POSITION reports: a restarted shard adopts these positions."""
        return [
            Report(
                order_id=p.order_id, decision_id=p.decision_id, symbol=s, kind=int(ReportKind.POSITION), side=p.side,
                qty_lots=p.lots, stop_ticks=p.stop_ticks, target_ticks=p.target_ticks,
                entry_value_e8=p.entry_value_e8, realised_e8=p.realised_e8,
            )
            for s, p in sorted(self.account.positions.items()) if s in symbols
        ]

    def close_at_mark(self, symbols: set[int]) -> list[Message]:
        """FILL messages (role KILL, taker fee) that close the positions of `symbols` at their last mark, rounded
        against us: for shards that will not come back. To be booked like any other."""
        fills = []
        for symbol, position in sorted(self.account.positions.items()):
            if symbol in symbols:
                price = position.mark2_ticks // 2 if position.side > 0 else -(-position.mark2_ticks // 2)
                lots = abs(position.lots)
                value = position.grid.value_e8(price, lots, round_up=True)
                fee = -(-value * self.policy.fee_of(self.instruments[symbol]) // 100_000_000)
                fills.append(Message(
                    seq=0, ts_event_ns=self.account.updated_ns, order_id=position.order_id, price_ticks=price,
                    qty_lots=lots, fee_e8=fee, symbol=symbol, kind=int(MessageKind.FILL), side=-position.side,
                    role=int(OrderRole.KILL), decision_id=position.decision_id,
                ))
        return fills
