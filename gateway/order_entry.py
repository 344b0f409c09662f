"""The trade WebSocket: requests in, answers or their absence out.

    send -> in flight -> answer with our reqId           -> on_answer(flight, answer)
                      -> nothing for ACK_TIMEOUT_S       -> on_lost(flight, "no ack"); a later answer is still told: on_late
                      -> error without reqId             -> on_lost for everything of that op in flight
                      -> connection gone                 -> on_lost for everything in flight

reqIds are new on every connection, so an answer can only belong to the connection it came over.
"""

from __future__ import annotations

import asyncio
import random
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from core.consumption import Kind
from core.orders.budget import Endpoint
from gateway.bybit.order_codec import trade_frame
from gateway.bybit.private_codec import Answer, decode_trade
from gateway.bybit.session import ConnectBudget, Timing
from gateway.bybit.sign import Credentials
from gateway.link_words import NO_CONTEXT, Context
from gateway.signed_socket import SignedSocket
from gateway.venue_clock import VenueClock

ACK_TIMEOUT_S = 1.0
LATE_KEPT = 1024
RESTARTING = 10019  # the service restarts: requests in flight are finished, new ones need a new connection
NOT_AUTHORISED = 10003


class Flight(NamedTuple):
    """A frame on its way: the requests in it, one unless it is a batch."""

    op: str
    endpoint: Endpoint
    req_ids: tuple[int, ...]


OnAnswer = Callable[[Flight, Answer, bytes, int], None]
"""Takes the flight, its answer, the frame it was read from and the epoch of the connection."""


class OrderEntry(SignedSocket):
    """`submit` writes at once or says that nothing left."""

    name = "trade"
    kind = Kind.TRADE_ACK
    id_name = "reqId"

    def __init__(
        self, url: str, keys: Credentials, clock: VenueClock, timing: Timing, budget: ConnectBudget, rng: random.Random,
        on_change: Callable[[bool, str], None], on_answer: OnAnswer,
        on_late: OnAnswer, on_lost: Callable[[Flight, str], None],
        on_note: Callable[[str, str], None], recv_window_ms: int,
    ) -> None:
        super().__init__(url, keys, clock, timing, budget, rng, on_change)
        self._on_answer = on_answer
        self._on_late = on_late
        self._on_lost = on_lost
        self._on_note = on_note
        self._recv_window_ms = recv_window_ms
        self._flying: OrderedDict[str, tuple[Flight, asyncio.TimerHandle]] = OrderedDict()
        self._overdue: OrderedDict[str, Flight] = OrderedDict()

    @property
    def in_flight(self) -> int:
        return len(self._flying)

    def submit(self, flight: Flight, args: bytes) -> bool:
        """Stamp and write a request. False: there is no usable connection, nothing left."""
        if not self.is_up:
            return False
        req_id = self.next_id()
        frame = trade_frame(req_id, flight.op, args, self._clock.now_ms(), self._recv_window_ms)
        if not self.write(frame, Context(flight.req_ids, flight.op)):
            return False
        timer = asyncio.get_running_loop().call_later(ACK_TIMEOUT_S, self._overdue_now, req_id)
        self._flying[req_id] = flight, timer
        return True

    def on_text(self, frame: bytes) -> None:
        answer = decode_trade(frame)
        known = answer is not None and (answer.req_id in self._flying or answer.req_id in self._overdue)
        if not known:  # what it leads to is told as events of their own
            self.record(self.kind, frame, self.epoch, NO_CONTEXT)
        if answer is None:
            self._on_note("trade_frame", "trade stream: a frame that cannot be understood")
            self._lose("", "undecodable answer")
            return
        if answer.req_id in self._flying:
            flight, timer = self._flying.pop(answer.req_id)
            timer.cancel()
            self._on_answer(flight, answer, frame, self.epoch)
        elif answer.req_id in self._overdue:
            self._on_late(self._overdue.pop(answer.req_id), answer, frame, self.epoch)
        elif answer.code and not answer.req_id:
            self._on_note("err_no_reqid", f"{answer.op}: {answer.code} {answer.text[:80]} without reqId")
            self._lose(answer.op, f"error {answer.code} without reqId")
        if answer.code == RESTARTING or (answer.code == NOT_AUTHORISED and "authorized" in answer.text):
            self.drop(f"{answer.code} {answer.text[:60]}")

    def gone(self, reason: str) -> None:
        self._lose("", "connection lost")
        super().gone(reason)

    def _overdue_now(self, req_id: str) -> None:
        flight, _ = self._flying.pop(req_id)
        self._overdue[req_id] = flight
        if len(self._overdue) > LATE_KEPT:
            self._overdue.popitem(last=False)
        self._on_lost(flight, "no ack")

    def _lose(self, op: str, why: str) -> None:
        """Everything in flight (of `op`) has an unknown outcome. An op nobody sent means anything could be meant."""
        hit = [key for key, (flight, _) in self._flying.items() if flight.op == op]
        for key in hit or list(self._flying):
            flight, timer = self._flying.pop(key)
            timer.cancel()
            self._on_lost(flight, why)
