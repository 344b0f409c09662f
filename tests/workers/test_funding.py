"""Paper and exchange on one market: the embedded venue reaches its own funding moment, and both book the payment; paper by
the mark price that was told last, a push (100 ms) behind the exchange's own."""

from __future__ import annotations

import json
from fractions import Fraction
from math import ceil
from pathlib import Path

import pytest

from core.enums import MessageKind, ReportKind
from core.orders.wire import Message, Report
from core.sim.exchange_types import Execution
from core.sim.margin_types import ExecType
from gateway.tape_source import TapeSource
from shm.agent import StopFlag
from tests.gateway.venue.running import split_frames
from tests.gateway.venue.virtual import Plant
from tests.workers.support import EAGER
from workers.pipeline import NO_FOLDER, Observer, Pipeline, local_spec

HOUR_MS = 3_600_000
MIDNIGHT_MS = 1_786_320_000_000  # every interval settles then
QUANTITY = "0.137"
LOTS = 137
SYMBOL = "BTCUSDT"


class Cash(Observer):
    def __init__(self) -> None:
        self.messages: list[Message] = []

    def booked(self, message, report, notes):  # type: ignore[no-untyped-def]
        if message.kind == MessageKind.CASH:
            self.messages.append(message)


def frames_of(side: str) -> tuple[list[tuple[int, bytes]], Execution]:
    """Public frames from 10 s before the moment to 3 s after it, and the exchange's own Funding execution."""
    venue = Plant(symbols=2, seed=3, start_ms=MIDNIGHT_MS - 10_000)
    public = venue.public(f"tickers.{SYMBOL}", f"orderbook.50.{SYMBOL}", f"publicTrade.{SYMBOL}")
    trade = venue.trade()
    frames: list[tuple[int, bytes]] = []
    read = 0
    for step in range(1300):
        venue.step()
        if step == 100:
            answer = trade.order("order.create", venue.market_order(SYMBOL, side, QUANTITY))
            assert answer["retCode"] == 0
        new, read = public.transport.written[read:], len(public.transport.written)
        frames += [(venue.now_ms * 1_000_000, bytes(body)) for body in split_frames(b"".join(new)) if b'"topic"' in body]
    uid = venue.uids[0]
    (paid,) = [e for e in venue.link.exchange.executions(uid) if e.exec_type is ExecType.FUNDING]
    return frames, paid


def told_before(frames: list[tuple[int, bytes]]) -> tuple[Fraction, Fraction]:
    """Mark price and funding rate as the tickers told them until the moment."""
    told: dict[str, str] = {}
    for ts_ns, body in frames:
        frame = json.loads(body)
        if frame["topic"].startswith("tickers.") and ts_ns < MIDNIGHT_MS * 1_000_000:
            told |= frame["data"]
    return Fraction(told["markPrice"]), Fraction(told["fundingRate"])


@pytest.mark.parametrize("side", ["Buy", "Sell"])
def test_paper_pays_what_the_exchange_books(tmp_path: Path, side: str) -> None:
    frames, paid = frames_of(side)
    tape = tmp_path / "venue.frames"
    tape.write_bytes(b"".join(b"%d %b\n" % row for row in frames))
    cash = Cash()
    pipeline = Pipeline(local_spec(1, tape=[str(tape)], data_dir=NO_FOLDER), EAGER, cash)
    source = TapeSource(pipeline.plant, EAGER, StopFlag(), lambda: EAGER, pipeline.sinks)
    source.on_start()
    lots = LOTS if side == "Buy" else -LOTS
    pipeline.lanes[0].answer([Report(symbol=0, kind=int(ReportKind.POSITION), qty_lots=lots, order_id=1, decision_id=1)])
    while not source.is_done:
        source.do_work()
    source.on_close()
    (message,) = cash.messages
    mark, rate = told_before(frames)
    assert message.fee_e8 == ceil(lots * Fraction(1, 1000) * mark * rate * 10**8) != 0
    assert message.fee_e8 == pytest.approx(paid.fee_e8, rel=1e-4)  # the exchange's own mark moved on since the last push
    assert (message.qty_lots, message.side) == (paid.qty_lots, paid.side)
    assert pipeline.broker.account.balance_e8 == pipeline.broker.account.start_balance_e8 - message.fee_e8
