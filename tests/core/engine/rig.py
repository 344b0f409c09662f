"""One free-running engine fed event by event, and the way of an order through it."""

from __future__ import annotations

from typing import Any

import numpy as np

from core.engine import state
from core.engine.engine import (
    MIN_ROWS,
    NO_ROOM,
    P_BLOCKED,
    P_LOGS,
    P_OUT,
    P_REPORTS_USED,
    P_WORDS,
    run_batch,
)
from core.enums import (
    Category,
    Cause,
    LogKind,
    MessageKind,
    OrderRole,
    ReportKind,
    State,
)
from core.orders.wire import target_fields
from core.position.ladder import share_out
from core.records import LOG, MESSAGE, REPORT
from tests.core.engine.plant import event_starts
from tests.core.engine.streams import Stream, symbol_record

MS = 1_000_000
S = 1_000_000_000


class Rig:
    """One free-running engine fed event by event from a Stream."""

    def __init__(self, paced: bool = False, **params: Any) -> None:
        self.stream = Stream()
        self.state = state.new_state(8, 64, paced)
        self.out = np.zeros(MIN_ROWS, MESSAGE.dtype)
        self.logs = np.zeros(MIN_ROWS, LOG.dtype)
        self.reports = np.zeros(64, REPORT.dtype)
        self.n_reports = 0
        self.progress = np.zeros(P_WORDS, np.int64)
        self.messages: list[np.void] = []
        self.rows: list[np.void] = []
        self.done = 0
        self.stream.config(**({"warmup_ns": 0} | params))
        self.stream.feed()
        self.stream.listing(symbol_record(5, "AAAUSDT", Category.PRIME))
        self.go()

    @property
    def trade(self) -> Any:
        return self.state.trade[0]

    def go(self) -> int:
        """Step what the stream holds beyond what was stepped; returns P_BLOCKED."""
        cells = np.concatenate(self.stream.parts[self.done :])
        starts = event_starts(cells)
        at = 0
        while True:
            at = run_batch(
                self.state, cells, at, len(cells), self.reports, self.n_reports, self.out, self.logs, self.progress
            )
            used = int(self.progress[P_REPORTS_USED])
            self.reports[: self.n_reports - used] = self.reports[used : self.n_reports].copy()
            self.n_reports -= used
            self.messages += [row.copy() for row in self.out[: self.progress[P_OUT]]]
            self.rows += [row.copy() for row in self.logs[: self.progress[P_LOGS]]]
            if self.progress[P_BLOCKED] != NO_ROOM:
                break
        self.done += int(np.searchsorted(starts, at))
        return int(self.progress[P_BLOCKED])

    def report(self, kind: ReportKind, seq: int, effect_ns: int, **fields: Any) -> None:
        self.reports[self.n_reports] = np.zeros((), REPORT.dtype)
        for name, value in ({"kind": int(kind), "seq": seq, "symbol": 5, "effect_ns": effect_ns} | fields).items():
            self.reports[self.n_reports][name] = value
        self.n_reports += 1

    def snapshot(self) -> None:
        bids = [(100_000 - 10 * k, 3000) for k in range(10)]
        asks = [(100_010 + 10 * k, 1000) for k in range(10)]
        self.stream.book(5, bids, asks, snapshot=True)

    def warm(self, lean: int = 1, seconds: int = 8) -> None:
        """A leaning book and a one-sided tape: the score of `lean` goes over arm."""
        heavy, light = 9000, 300
        bids = [(100_000 - 10 * k, heavy if lean > 0 else light) for k in range(10)]
        asks = [(100_010 + 10 * k, light if lean > 0 else heavy) for k in range(10)]
        self.stream.book(5, bids, asks, snapshot=True)
        for k in range(seconds * 10):
            self.stream.now_ns += 100 * MS
            self.stream.timer()
            price = 100_000 + 10 * (k % 2) + lean * 20 * (k % 3)
            self.stream.trades(5, [(price, 50, lean), (price, 40, lean)])
            self.stream.book(5, [(100_000, (heavy if lean > 0 else light) + k % 5)], [])

    def states(self) -> list[tuple[State, State, Cause]]:
        return [
            (State(int(r["a"])), State(int(r["b"])), Cause(int(r["c"]))) for r in self.rows if r["kind"] == LogKind.STATE
        ]

    def sent(self, kind: MessageKind) -> list[np.void]:
        return [m for m in self.messages if m["kind"] == kind]


def enter(rig: Rig) -> np.void:
    rig.warm()
    rig.go()
    (message,) = rig.sent(MessageKind.ENTER)
    return message


def ladder_fields(message: np.void, lots: int) -> dict[str, int]:
    """The targets of an ENTER of `lots`, as execution answers them."""
    ticks = [int(message[f"target{k}_ticks"]) for k in ("", 2, 3)]
    shares = [int(message[f"target{k}_lots"]) for k in ("", 2, 3)]
    return target_fields(share_out(lots, ticks, shares, 1))


def accept(rig: Rig, message: np.void, lots: int = 100, order_id: int = 77) -> None:
    rig.report(
        ReportKind.ACCEPTED, int(message["seq"]), int(message["ts_event_ns"]) + 20 * MS, order_id=order_id,
        decision_id=message["decision_id"], side=message["side"], price_ticks=message["price_ticks"], qty_lots=lots,
        stop_ticks=message["stop_ticks"], flags=3, **ladder_fields(message, lots),
        deadline_ns=int(message["ts_event_ns"]) + 300 * MS,
    )


def position_fields(message: np.void, lots: int, price: int) -> dict[str, int]:
    """Of a POSITION report about a position of `lots` bought or sold at `price`; a tick of a lot is 1e-5 USDT."""
    side = int(message["side"])
    return {
        "qty_lots": side * lots, "decision_id": int(message["decision_id"]), "order_id": 77,
        "stop_ticks": int(message["stop_ticks"]), "entry_value_e8": side * lots * price * 1000,
        "risk_ticks": abs(int(message["price_ticks"]) - int(message["stop_ticks"])), "risk_lots": lots,
    } | ladder_fields(message, lots)


def in_position(rig: Rig) -> np.void:
    """Entry sent, accepted, turned taker at its deadline, filled and reported."""
    message = enter(rig)
    accept(rig, message)
    rig.stream.now_ns += 400 * MS
    rig.stream.timer()
    rig.stream.now_ns += 400 * MS
    rig.stream.timer()
    rig.go()
    fill = rig.sent(MessageKind.FILL)[-1]
    assert fill["role"] == OrderRole.ENTRY and fill["leaves_lots"] == 0
    lots = sum(int(f["qty_lots"]) for f in rig.sent(MessageKind.FILL))
    for f in rig.sent(MessageKind.FILL):
        rig.report(
            ReportKind.POSITION, int(f["seq"]), int(f["ts_event_ns"]) + 20 * MS, role=OrderRole.ENTRY,
            **position_fields(message, lots, int(f["price_ticks"])),
        )
    rig.stream.now_ns += 100 * MS
    rig.stream.timer()
    rig.go()
    assert rig.trade["state"] == State.MANAGING and rig.trade["position_lots"] == lots and rig.trade["pending"] == 0
    return message


def closed(rig: Rig, role: OrderRole) -> None:
    """Answer the fills of the exit."""
    for f in [m for m in rig.sent(MessageKind.FILL) if m["role"] != OrderRole.ENTRY]:
        rig.report(
            ReportKind.POSITION, int(f["seq"]), int(f["ts_event_ns"]) + 20 * MS, qty_lots=0, role=role,
            decision_id=f["decision_id"],
        )
    rig.stream.now_ns += 100 * MS
    rig.stream.timer()
    rig.go()


def close_report(rig: Rig, cause: Cause) -> None:
    message = rig.sent(MessageKind.EXIT)[-1]
    assert message["reason"] == cause
    rig.report(ReportKind.CLOSE, int(message["seq"]), int(message["ts_event_ns"]) + 20 * MS, role=OrderRole.EXIT,
               reason=int(cause))  # fmt: skip
    rig.stream.now_ns += 100 * MS
    rig.stream.timer()
    rig.go()
    assert rig.sent(MessageKind.FILL)[-1]["role"] == OrderRole.EXIT
    closed(rig, OrderRole.EXIT)
