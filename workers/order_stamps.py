"""Stamps of LIVE entries into the order ledger: bytes on the socket, acknowledgement, first word of the order stream."""

from __future__ import annotations

from collections import OrderedDict, deque

from core.orders.exchange_words import Ack, Create, Event, OrderRow, Request
from core.orders.latency import Ledger
from core.orders.lifecycle import OPEN, OrderState
from core.orders.order_store import OrderStore
from gateway.link_answers import Sent

REQUESTS_KEPT = 4096


class OrderStamps:
    """An entry may have several orders at the exchange (maker, then taker): the first of each stamp counts."""

    def __init__(self, ledger: Ledger, store: OrderStore) -> None:
        self._ledger = ledger
        self._store = store
        self._requests: OrderedDict[int, int] = OrderedDict()  # req_id -> our order

    def handed(self, request: Request) -> None:
        """A request goes to the link."""
        if isinstance(request, Create):
            order = self._store.by_link.get(request.link_id)
            if order is not None and order.entry:
                self._requests[request.req_id] = order.order_id
                if len(self._requests) > REQUESTS_KEPT:
                    self._requests.popitem(last=False)
                self._ledger.follow(order.order_id, OrderState.SENT)

    def written(self, sent: deque[Sent]) -> None:
        """What the link has put on a socket since the last call."""
        while sent:
            stamp = sent.popleft()
            if stamp.req_id in self._requests:
                self._ledger.stamp(self._requests[stamp.req_id], "wire_ns", stamp.written_ns)

    def on_event(self, event: Event, now_ns: int) -> None:
        """After the desk has taken it."""
        if isinstance(event, Ack):
            order_id = self._requests.get(event.req_id, 0)  # kept: what tells of its bytes may come behind its answer
            if order_id:
                self._ledger.stamp(order_id, "ack_ns", now_ns, event.ret_code)
                self._ledger.follow(order_id, OrderState.ACKED)
        elif isinstance(event, OrderRow):
            order = self._store.find(event.order_id, event.link_id)
            if order is not None and order.entry:
                self._ledger.stamp(order.order_id, "live_ns", now_ns)
                if order.state in OPEN:
                    self._ledger.follow(order.order_id, order.state)
