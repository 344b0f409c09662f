"""The order ledger: every stamp of every order, from the exchange's event to the notice of its fill, as one record.

    exchange -> receive -> decode -> decide -> intent sent -> taken -> gated -> durable -> bytes on the socket -> ack
                                                       -> first word of the order stream -> first fill -> end

A stamp nobody could take (in SIM nothing goes over a socket) is 0 and stays so: it is shown as absent, never guessed. One
record per intent, refused ones included; the record of an order with several tries at the exchange carries the first of
each stamp. Pure: the caller brings the times, `dirty` and `ended` are what it has to write down.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from core.constants import NS_PER_US
from core.enums import Gate, MessageKind, Mode, OrderRole, ReportKind
from core.orders.lifecycle import ENDED, OrderState
from core.orders.wire import Message, Report
from core.records import ORDER_ROW
from core.risk.policy import Instrument

FILLED_AS_MAKER = 1
E8 = 100_000_000


class Stage(NamedTuple):
    """Time between two stamps of a row. `exchange_clock`: the first one is by the exchange's clock."""

    name: str
    first: str
    last: str
    sentence: str
    exchange_clock: bool = False


STAGES: tuple[Stage, ...] = (
    Stage("exchange_to_recv", "ts_exch_ns", "ts_recv_ns", "event at the exchange to its bytes here (two clocks)", True),
    Stage("recv_to_decoded", "recv_ns", "decoded_ns", "reading to decoding the frame"),
    Stage("recv_to_decided", "recv_ns", "decided_ns", "reading the frame to the shard's decision"),
    Stage("decided_to_sent", "decided_ns", "sent_ns", "decision to intent in the ring"),
    Stage("sent_to_taken", "sent_ns", "taken_ns", "intent ring"),
    Stage("taken_to_gated", "taken_ns", "gated_ns", "gate, sizing and booking"),
    Stage("gated_to_durable", "gated_ns", "durable_ns", "record on disk"),
    Stage("durable_to_wire", "durable_ns", "wire_ns", "request encoded and written to the socket"),
    Stage("wire_to_ack", "wire_ns", "ack_ns", "exchange acknowledges"),
    Stage("ack_to_live", "ack_ns", "live_ns", "first word of the order stream"),
    Stage("wire_to_fill", "wire_ns", "fill_ns", "bytes on the socket to the first fill"),
    Stage("taken_to_durable", "taken_ns", "durable_ns", "intent taken to record on disk"),
    Stage("recv_to_wire", "recv_ns", "wire_ns", "the whole way here: bytes in to bytes out"),
    Stage("recv_to_fill", "recv_ns", "fill_ns", "bytes in to the first fill"),
)
STAMPS: tuple[str, ...] = (
    "recv_ns", "decoded_ns", "decided_ns", "sent_ns", "taken_ns", "gated_ns", "durable_ns", "wire_ns", "ack_ns", "live_ns",
    "fill_ns", "done_ns",
)
"""Stamps of CLOCK_MONOTONIC in the order in which they are taken."""
KEPT = 4096
LEDGER_RECORD = 3
"""Kind of an ORDER_ROW in the execution journal."""


def elapsed_us(row: np.void, stage: Stage) -> float | None:
    """Microseconds of a stage; None where one of its stamps is absent."""
    first, last = int(row[stage.first]), int(row[stage.last])
    return (last - first) / NS_PER_US if first and last else None


class Ledger:
    """Rows of the orders of one execution process. `dirty`: numbers whose row has changed; `ended`: numbers to write
    to the journal, each once."""

    def __init__(self) -> None:
        self.last = 0
        self.dirty: set[int] = set()
        self.ended: list[int] = []
        self._rows: OrderedDict[int, np.ndarray] = OrderedDict()
        self._by_order: dict[int, int] = {}
        self._waiting: list[tuple[int, int]] = []  # (ticket, number) of rows that are not durable yet

    def rows(self, numbers: Iterable[int]) -> Iterator[np.ndarray]:
        """ORDER_ROW arrays (1,) of `numbers`, as far as they are still kept."""
        for number in numbers:
            if number in self._rows:
                yield self._rows[number]

    def restore(self, data: bytes) -> None:
        """A row of the journal."""
        rows = np.frombuffer(data, ORDER_ROW.dtype).copy()
        number = int(rows[0]["number"])
        self._keep(rows)
        self.last = max(self.last, number)
        self.ended = [each for each in self.ended if each != number]

    def entered(
        self, message: Message, report: Report, instrument: Instrument | None, mode: int, label: str,
        numbers: tuple[float, float], taken_ns: int, gated_ns: int, wall_ns: int, ticket: int,
    ) -> None:
        """An intent was answered. `label`: the id it is logged under; `numbers`: value and limit of a refusal; `ticket`:
        of its journal record, 0 = none."""
        rows: np.ndarray = np.zeros(1, ORDER_ROW.dtype)
        row = rows[0]
        accepted = _accepted(report)
        self.last += 1
        row["number"], row["order_id"], row["decision_id"] = self.last, report.order_id, message.decision_id
        row["seq"], row["wall_ns"], row["ts_recv_ns"] = message.seq, wall_ns, message.ts_event_ns
        row["ts_exch_ns"], row["recv_ns"], row["decided_ns"] = message.ts_exch_ns, message.mono_recv_ns, message.mono_decided_ns
        row["sent_ns"], row["taken_ns"], row["gated_ns"] = message.mono_sent_ns, taken_ns, gated_ns
        row["price_ticks"] = report.price_ticks or message.price_ticks
        row["qty_lots"] = report.qty_lots
        row["stop_ticks"] = report.stop_ticks or message.stop_ticks
        row["target_ticks"] = report.target_ticks or message.target_ticks
        row["value"], row["limit"] = numbers
        row["symbol"], row["side"], row["mode"] = message.symbol, message.side, mode
        row["gate"] = Gate.NONE if accepted else report.reason
        row["state"] = OrderState.INTENT if accepted else OrderState.REJECTED
        if instrument is not None:
            row["tick_size"], row["lot_size"] = instrument.tick_size, instrument.lot_size
            _put(row["name"], instrument.name)
        _put(row["link_id"], label)
        self._keep(rows)
        if ticket:
            self._waiting.append((ticket, self.last))
        if not accepted:
            self.ended.append(self.last)

    def durable(self, tickets: int, now_ns: int) -> None:
        """Records up to `tickets` are on disk."""
        done = 0
        for ticket, number in self._waiting:
            if ticket > tickets:
                break
            done += 1
            if number in self._rows:
                row = self._rows[number][0]
                self._stamp(row, "durable_ns", now_ns)
                if row["mode"] == Mode.SIM and row["state"] == OrderState.INTENT:
                    row["state"] = OrderState.LIVE  # the shard's paper desk takes it from here
        del self._waiting[:done]

    def stamp(self, order_id: int, name: str, now_ns: int, ret_code: int = 0) -> None:
        """One of STAMPS of an order, at the first time it is told; `ret_code` where the exchange refused it."""
        row = self._row(order_id)
        if row is not None:
            self._stamp(row, name, now_ns)
            row["ret_code"] = ret_code or row["ret_code"]

    def follow(self, order_id: int, state: OrderState) -> None:
        """Where the order stands at the exchange (or on the paper desk)."""
        row = self._row(order_id)
        if row is not None and row["state"] != state and OrderState(int(row["state"])) not in ENDED:
            row["state"] = state
            self.dirty.add(int(row["number"]))

    def told(self, message: Message, instrument: Instrument, now_ns: int) -> None:
        """A FILL or DONE of an entry."""
        row = self._row(message.order_id)
        if row is None:
            return
        if message.kind == MessageKind.FILL and message.role == OrderRole.ENTRY:
            first = not row["filled_lots"]
            row["filled_lots"] += message.qty_lots
            row["value_e8"] += instrument.grid.value_e8(message.price_ticks, message.qty_lots, round_up=False)
            row["fee_e8"] += message.fee_e8
            maker = bool(message.is_maker) and (first or bool(int(row["flags"]) & FILLED_AS_MAKER))
            row["flags"] = FILLED_AS_MAKER if maker else 0
            row["state"] = OrderState.PARTIALLY_FILLED if message.leaves_lots else OrderState.FILLED
            self._stamp(row, "fill_ns", now_ns)
            if not message.leaves_lots:
                self._end(row, now_ns)
        elif message.kind == MessageKind.DONE:
            row["state"] = OrderState.CANCELLED if row["filled_lots"] < row["qty_lots"] else OrderState.FILLED
            row["cause"] = message.reason
            self._end(row, now_ns)

    def _end(self, row: np.void, now_ns: int) -> None:
        if not row["done_ns"] and int(row["number"]) not in self.ended:
            self._stamp(row, "done_ns", now_ns)
            self.ended.append(int(row["number"]))

    def _row(self, order_id: int) -> np.void | None:
        found = self._rows.get(self._by_order.get(order_id, 0)) if order_id else None
        return None if found is None else found[0]

    def _stamp(self, row: np.void, name: str, now_ns: int) -> None:
        if not row[name]:
            row[name] = now_ns
        self.dirty.add(int(row["number"]))

    def _keep(self, rows: np.ndarray) -> None:
        number, order_id = int(rows[0]["number"]), int(rows[0]["order_id"])
        self._rows[number] = rows
        self.dirty.add(number)
        if order_id:
            self._by_order[order_id] = number
        if len(self._rows) > KEPT:
            _, old = self._rows.popitem(last=False)
            self._by_order.pop(int(old[0]["order_id"]), None)


def _accepted(report: Report) -> bool:
    return report.kind == ReportKind.ACCEPTED


def _put(field: np.ndarray, text: str) -> None:
    data = text.encode("ascii", "replace")[: len(field)]
    field[: len(data)] = np.frombuffer(data, np.uint8)


def text_of(field: np.ndarray) -> str:
    """The text in a zero padded field of a row."""
    return bytes(field).rstrip(b"\0").decode("ascii", "replace")


def as_dict(row: np.void) -> dict[str, object]:
    """A row for export: names instead of numbers, prices in USDT, absent stamps as None, every stage in µs."""
    tick, lot = float(row["tick_size"]), float(row["lot_size"])
    filled = int(row["filled_lots"]) * lot
    average = int(row["value_e8"]) / E8 / filled if filled else None
    price = int(row["price_ticks"]) * tick
    side = int(row["side"])
    return {
        "number": int(row["number"]), "symbol": text_of(row["name"]), "link_id": text_of(row["link_id"]),
        "order_id": int(row["order_id"]), "decision_id": int(row["decision_id"]), "seq": int(row["seq"]),
        "by": "person" if int(row["seq"]) < 0 else "system", "wall_ns": int(row["wall_ns"]),
        "side": "Buy" if side > 0 else "Sell", "state": OrderState(int(row["state"])).name,
        "gate": Gate(int(row["gate"])).name, "value": float(row["value"]), "limit": float(row["limit"]),
        "stop": _exact(int(row["stop_ticks"]) * tick) or None, "target": _exact(int(row["target_ticks"]) * tick) or None,
        "cause": int(row["cause"]), "ret_code": int(row["ret_code"]), "price": _exact(price),
        "qty": _exact(int(row["qty_lots"]) * lot),
        "filled_qty": _exact(filled), "average": _exact(average) if average is not None else None,
        "slippage_bps": round(1e4 * side * (average / price - 1), 3) if average is not None and price else None,
        "fee_usdt": int(row["fee_e8"]) / E8, "maker": bool(int(row["flags"]) & FILLED_AS_MAKER) if filled else None,
        "exchange_ns": int(row["ts_exch_ns"]) or None, "received_ns": int(row["ts_recv_ns"]) or None,
        **{name: int(row[name]) or None for name in STAMPS},
        **{f"{stage.name}_us": elapsed_us(row, stage) for stage in STAGES},
    }


def _exact(value: float) -> float:
    """Without the dust of binary fractions."""
    return float(f"{value:.12g}")


def percentiles(rows: Iterable[np.void]) -> list[dict[str, object]]:
    """Per stage: how many rows have it, p50, p90, p99 and max in µs (None where none has)."""
    kept = list(rows)
    table = []
    for stage in STAGES:
        found = np.array([us for row in kept if (us := elapsed_us(row, stage)) is not None])
        named: dict[str, object] = {"stage": stage.name, "sentence": stage.sentence, "n": len(found)}
        for name, share in (("p50_us", 50), ("p90_us", 90), ("p99_us", 99), ("max_us", 100)):
            named[name] = round(float(np.percentile(found, share)), 1) if len(found) else None
        table.append(named)
    return table
