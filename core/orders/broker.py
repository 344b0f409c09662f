"""Execution's pure half: messages in, reports out, account and working orders in between.

`decide` answers a message without changing anything; `book` applies a message together with its answer. Live handling
is decide + book; recovery is book alone over the journal, so a restarted execution has exactly the account it had.
Every ENTER, ADD, CANCEL, EXIT, PROTECT, FILL, DONE and CASH gets one report; MARK and END get none, nor does CASH of the
exchange desk, which no shard sent.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from core.constants import DAY_NS, FLAG_ENTRY_OVER, FLAG_EXTERNAL, FLAG_TOOK, SIZE_FULL
from core.enums import Gate, LogKind, MessageKind, Mode, OrderRole, ReportKind, Severity
from core.orders.broker_notes import Note as Note
from core.orders.broker_notes import enter_notes, fill_notes
from core.orders.exposure import Controls as Controls
from core.orders.exposure import Working as Working
from core.orders.exposure import equity_e8, gather
from core.orders.router import ExecutionRouter, Order
from core.orders.stops import added_targets, addition_lots, decide_protect, first_lots, open_from, plan_targets
from core.orders.wire import Message, Report, target_fields, targets_of
from core.position.ladder import NO_TARGETS, Targets
from core.position.position import Position
from core.risk.gate import Facts, Verdict, check, heat_pct, risk_off
from core.risk.ledger import RiskLedger
from core.risk.policy import Instrument, Policy
from core.risk.sizing import size_lots
from core.sim.account import Account
from core.sim.desk_records import FLAG_ADD, FLAG_POST_ONLY, FLAG_REFUSED, FLAG_TAKER

ENTRIES = frozenset({MessageKind.ENTER, MessageKind.ADD})
INTENTS = ENTRIES | {MessageKind.CANCEL, MessageKind.EXIT}
ANSWERED = INTENTS | {MessageKind.PROTECT, MessageKind.FILL, MessageKind.DONE, MessageKind.CASH}


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
        self.ledger = RiskLedger(policy.start_balance_e8)
        self.instruments: dict[int, Instrument] = {}
        self.working: dict[int, Working] = {}
        self.dirty: set[int] = set()
        self.funding_ns: dict[int, int] = {}  # event time of the last funding payment, by symbol
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
        if kind == MessageKind.PROTECT:
            report, verdict = decide_protect(message, self.account.positions.get(message.symbol),
                                             self.instruments.get(message.symbol), self.policy, self._effect(message))
            return Decision(report, verdict)
        if kind == MessageKind.ADD:
            return self._decide_add(message, controls)
        if kind in ANSWERED and (kind != MessageKind.CASH or self.router.mode != Mode.LIVE):
            return Decision(self._state_after(message))
        return Decision(None)

    def _effect(self, message: Message) -> int:
        return message.ts_event_ns + self.policy.latency_ns

    def _decide_enter(self, message: Message, controls: Controls) -> Decision:
        instrument = self.instruments.get(message.symbol)
        if instrument is None or message.price_ticks <= 0 or message.side not in (-1, 1):
            return self._refuse(message, Verdict(Gate.DATA, float(message.price_ticks), 0.0))
        policy = self.policy
        side, price, stop = message.side, message.price_ticks, message.stop_ticks
        fee = policy.fee_of(instrument)
        if stop > 0 and side * (price - stop) <= 0:  # a stop on the wrong side would not protect
            return self._refuse(message, Verdict(Gate.DATA, float(stop), float(price)))
        if controls.regime_bad:  # it turned after the shard had decided
            return self._refuse(message, Verdict(Gate.REGIME, 1.0, 0.0))
        equity = equity_e8(self.account, controls, self.router.mode == Mode.LIVE)
        share = message.qty_lots or SIZE_FULL  # the symbol profile may make it smaller
        margin = policy.margin_of(instrument, equity) * share // SIZE_FULL
        lots = size_lots(
            instrument.grid, side, price, stop, margin, policy.leverage_of(instrument), policy.risk_cap_e8(equity), fee,
            instrument.max_qty_lots, policy.notional_of(instrument), policy.price_buffer_e8,
        )
        facts = self.facts(message.ts_event_ns, controls, instrument, message, lots)
        verdict = check(facts, policy.limits)
        only_mode = verdict.gate == Gate.MODE
        if not verdict.allowed and not only_mode:
            return self._refuse(message, verdict)
        flags = FLAG_TAKER | (FLAG_POST_ONLY if policy.maker_deadline_ns > 0 else 0)
        first = first_lots(lots, instrument, policy)
        targets = plan_targets(message, first, instrument)
        order = Order(
            self.next_order_id, message.symbol, instrument.name, side, first, price, stop, targets[0][0],
            self._effect(message) + policy.maker_deadline_ns, flags, message.decision_id, message.seq, targets, lots,
        )
        report, label = self.router.submit(
            order, self._effect(message), instrument, policy.leverage_of(instrument)
        )
        if only_mode or report.kind == ReportKind.ACCEPTED:
            return Decision(report, verdict if only_mode else None, label)
        return self._refuse(message, Verdict(Gate(report.reason), 0.0, 0.0))  # the desk of the exchange knows better

    def _decide_add(self, message: Message, controls: Controls) -> Decision:
        """An addition is an entry of a position we have: the whole gate, and what its position was allowed at its entry."""
        position, instrument = self.account.positions.get(message.symbol), self.instruments.get(message.symbol)
        if position is None or instrument is None or position.closing or position.took:
            return self._refuse(message, Verdict(Gate.DATA, 0.0, 0.0))
        if self.router.mode == Mode.LIVE:  # the desk of an exchange works one entry per symbol
            return self._refuse(message, Verdict(Gate.MODE, 0.0, 0.0))
        if controls.regime_bad:
            return self._refuse(message, Verdict(Gate.REGIME, 1.0, 0.0))
        lots = addition_lots(message, position, instrument, self.policy)
        if lots == 0:
            return self._refuse(message, Verdict(Gate.HEAT, float(position.additions), float(self.policy.add_max)))
        facts = self.facts(message.ts_event_ns, controls, instrument, message, lots)
        verdict = check(replace(facts, in_position=False, positions=0, category_positions=0), self.policy.limits)
        if not verdict.allowed:
            return self._refuse(message, verdict)
        flags = FLAG_ADD | FLAG_TAKER | (FLAG_POST_ONLY if self.policy.maker_deadline_ns > 0 else 0)
        targets = added_targets(position, lots)
        order = Order(
            self.next_order_id, message.symbol, instrument.name, position.side, lots, message.price_ticks,
            position.stop_ticks, targets[0][0], self._effect(message) + self.policy.maker_deadline_ns, flags,
            message.decision_id, message.seq, targets, position.risk_lots,
        )
        report, label = self.router.submit(
            order, self._effect(message), instrument, self.policy.leverage_of(instrument)
        )
        return Decision(report, None, label)

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
        return gather(self, ts_ns, controls, self.router.mode == Mode.LIVE, self.router.sends, instrument, message, lots)

    def risk_off(self, ts_ns: int, controls: Controls) -> Gate:
        """Why no symbol may enter now, Gate.NONE when some may."""
        return risk_off(self.facts(ts_ns, controls), self.policy.limits)

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
        """Answer to FILL, CASH and DONE: reported as it is after booking, so `handle` fills it in."""
        return Report(seq=message.seq, effect_ns=self._effect(message), symbol=message.symbol,
                      kind=int(ReportKind.DONE if message.kind == MessageKind.DONE else ReportKind.POSITION))

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
            **self._state_fields(position),
        )

    def _state_fields(self, position: Position) -> dict[str, int]:
        """What a POSITION report tells of a position."""
        flags = FLAG_TOOK if position.took else 0
        if self.router.mode == Mode.LIVE:
            flags |= FLAG_EXTERNAL | (0 if position.symbol in self.working else FLAG_ENTRY_OVER)
        return {
            "stop_ticks": position.stop_ticks, "entry_value_e8": position.entry_value_e8,
            "realised_e8": position.realised_e8, "risk_ticks": position.risk_ticks, "risk_lots": position.risk_lots,
            "flags": flags, **target_fields(position.targets),
        }

    # --- booking ---------------------------------------------------------------------------------------------------
    def handle(self, message: Message, controls: Controls = Controls()) -> tuple[Report | None, list[Note]]:
        """Answer and book one message: (report or None, log records)."""
        self._roll(message.ts_event_ns, equity_e8(self.account, controls, self.router.mode == Mode.LIVE))
        decision = self.decide(message, controls)
        if message.kind == MessageKind.CANCEL:
            self.router.cancel(message.symbol, message.reason)
        elif message.kind == MessageKind.EXIT:
            self.router.close(message.symbol, OrderRole.EXIT, message.reason)
        report = decision.report
        notes = self.book(message, report)
        if report is None:
            return None, notes
        if message.kind == MessageKind.FILL:
            position = self._last_position(message.symbol)
            report = self._position_report(message, position)
            if message.role == OrderRole.ENTRY and position is not None and position.risk_lots:  # an entry of ours
                self.router.protect(message.symbol, *self.protection(message.symbol))
        elif message.kind == MessageKind.PROTECT:
            if decision.verdict is not None:
                notes += self._enter_notes(message, decision)
            elif not report.flags & FLAG_REFUSED:
                self.router.protect(message.symbol, *self.protection(message.symbol))
        elif message.kind == MessageKind.CASH:
            report = self._position_report(message, self.account.positions.get(message.symbol))
        elif message.kind == MessageKind.DONE:
            report = self._state(message)
        elif message.kind in ENTRIES:
            notes = self._enter_notes(message, decision) + notes
        return report, notes

    def _enter_notes(self, message: Message, decision: Decision) -> list[Note]:
        instrument = self.instruments.get(message.symbol)
        return enter_notes(message, decision.report, decision.verdict, decision.label, instrument)

    def _roll(self, ts_ns: int, equity_e8: int) -> None:
        """Event time moves on: the account's day, and the baselines of the daily loss."""
        self.account.roll(ts_ns)
        if equity_e8 > 0:  # not known yet (LIVE): no baseline, and no entry either
            self.ledger.roll(ts_ns, equity_e8)
            self.account.day_start_equity_e8 = self.ledger.day_start_equity_e8

    def restore_roll(self, record: bytes) -> None:
        """Take a roll from the journal, before the message that made it."""
        self.ledger.restore(record)
        self.account.roll(self.ledger.day * DAY_NS)
        self.account.day_start_equity_e8 = self.ledger.day_start_equity_e8

    def _last_position(self, symbol: int) -> Position | None:
        return self.account.positions.get(symbol) or self.account.closed.get(symbol)

    def book(self, message: Message, report: Report | None) -> list[Note]:
        """Apply a message with its answer (also from the journal). Returns log records about fills and positions."""
        kind = message.kind
        account = self.account
        account.roll(message.ts_event_ns)
        self.ledger.observe(message, report, self.policy.churn)
        self.intents += kind in INTENTS
        notes: list[Note] = []
        if kind in ENTRIES and report is not None:
            self._book_enter(message, report)
        elif kind == MessageKind.PROTECT and report is not None:
            self._book_protect(message, report)
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
        elif kind == MessageKind.CASH:
            account.cash(message.symbol, message.fee_e8)
            self.funding_ns[message.symbol] = message.ts_event_ns
            self.dirty.add(message.symbol)
            self._fold(message, message.fee_e8, account.balance_e8)
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
            targets_of(report), report.risk_lots,
        )
        if report.flags & FLAG_ADD:
            self.account.positions[message.symbol].additions += 1
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
            position.stop_ticks = message.stop_ticks  # 0 on paper
            if message.target_ticks > 0:
                position.targets = ((message.target_ticks, message.qty_lots), *NO_TARGETS[1:])
        if message.role == OrderRole.ENTRY and working is not None and working.order.order_id == message.order_id:
            if opened:
                open_from(position, working.order, instrument, self.policy)
                position.leverage_e2 = working.leverage_e2
            position.lay(working.order.targets, working.order.qty_lots - working.leaves_lots, message.qty_lots)
            working.leaves_lots = message.leaves_lots
            if message.leaves_lots == 0:
                del self.working[message.symbol]
        elif message.role != OrderRole.ENTRY:
            position.reduce(message.qty_lots, message.rung, message.role == OrderRole.TAKE_PROFIT)
            position.closing = position.closing or message.role != OrderRole.TAKE_PROFIT
        self.dirty.add(message.symbol)
        self._fold(message, message.side, message.price_ticks, message.qty_lots, message.role, message.fee_e8,
                   account.balance_e8)
        return fill_notes(message, instrument, position)

    def _book_protect(self, message: Message, report: Report) -> None:
        position = self.account.positions.get(message.symbol)
        if position is None or report.flags & FLAG_REFUSED:
            return
        position.stop_ticks = report.stop_ticks
        position.targets = tuple(
            (ticks, lots) for (ticks, _), (_, lots) in zip(targets_of(report), position.targets, strict=True)
        )
        self.dirty.add(message.symbol)
        self._fold(message, report.stop_ticks, *(ticks for ticks, _ in position.targets))

    def protection(self, symbol: int) -> tuple[int, Targets | None]:
        """(stop, targets with lots left) that a position should have; (0, None): nothing is wanted."""
        position = self.account.positions.get(symbol)
        if position is None:
            return 0, None
        return position.stop_ticks, tuple(rung for rung in position.targets if rung[1] > 0) or None

    def _book_mark(self, message: Message) -> None:
        """The price of an open position; its stop and targets are known here from their own messages."""
        if self.account.mark(message.symbol, message.price_ticks, message.ts_event_ns):
            self.dirty.add(message.symbol)

    # --- limits of risk ---------------------------------------------------------------------------------------------
    def riskiest(self, controls: Controls) -> int | None:
        """At a limit of risk (heat, unrealised or daily loss): the open position that can lose most from here."""
        facts, limits = self.facts(self.account.updated_ns, controls), self.policy.limits
        over = (
            heat_pct(facts, limits) > limits.max_heat_pct
            or risk_off(facts, limits) in (Gate.HEAT, Gate.DAILY_LOSS)
        )
        fee = self.policy.taker_fee_e8
        standing = {s: p.risk_e8(fee) + p.unrealised_e8 for s, p in self.account.positions.items() if not p.closing}
        return max(sorted(standing), key=lambda s: standing[s]) if over and standing else None

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
                self.router.cancel(symbol, reason)
                reports.append(Report(
                    order_id=working.order.order_id, symbol=symbol, kind=int(ReportKind.CANCEL), reason=reason,
                    side=working.order.side, decision_id=working.order.decision_id,
                ))
        for symbol, position in sorted(self.account.positions.items()):
            if symbols is None or symbol in symbols:
                position.closing = True
                self.dirty.add(symbol)
                self.router.close(symbol, OrderRole.KILL, reason)
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

    def cancel_working(self, symbols: set[int], reason: int) -> None:
        """Cancel the working entries of `symbols` at the exchange (LIVE); their ends are told later."""
        for symbol, working in sorted(self.working.items()):
            if symbol in symbols:
                self.router.cancel(symbol, reason)

    def position_reports(self, symbols: set[int]) -> list[Report]:
        """Unsolicited POSITION reports: a restarted shard adopts these positions."""
        return [
            Report(
                order_id=p.order_id, decision_id=p.decision_id, symbol=s, kind=int(ReportKind.POSITION), side=p.side,
                qty_lots=p.lots, **self._state_fields(p),
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
