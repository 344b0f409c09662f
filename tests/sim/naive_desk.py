"""The desk everybody writes first: right on a good day, and wrong in every way a bad day can show. The judge must say so.

Believes every answer, takes a time-out for a refusal, the stream for complete, knows nothing after a restart.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from core.enums import Gate, MessageKind, OrderRole
from core.orders.desk_journal import Executed, intent_of, persist
from core.orders.exchange_words import (
    Ack,
    Cancel,
    Create,
    Effect,
    Event,
    ExecutionRow,
    LinkState,
    Lost,
    OrderRow,
    OrderType,
    Send,
    Stream,
    Tell,
    TimeInForce,
    TradingStop,
)
from core.orders.order_store import DeskOrder, Leg, link_id_of
from core.orders.router import Order
from core.orders.wire import Message
from core.sim.exchange_types import OPEN_STATUSES

SEQ = 1 << 60


class NaiveDesk:
    """The public face of `core.orders.exchange_desk.ExchangeDesk`, without what it knows about the world."""

    def __init__(self, symbols: dict[int, str], first_number: int) -> None:
        self.symbols = symbols
        self.ids = {name: symbol for symbol, name in symbols.items()}
        self.number = first_number
        self.effects: list[Effect] = []
        self.entries: dict[str, Order] = {}  # working, by link id
        self.roles: dict[str, OrderRole] = {}
        self.lots: dict[str, int] = {}
        self.up: dict[Stream, bool] = {}
        self.trouble: list[Any] = []
        self.recon = self
        self.counters: Counter[str] = Counter()

    def _next(self) -> int:
        self.number += 1
        return self.number

    def submit(self, now_ns: int, order: Order, instrument: object, work_ns: int, leverage_e2: int) -> Gate:
        link = self.label(order)
        made = DeskOrder(
            link_id=link, leg=Leg.MAKER, symbol=order.name, side=order.side, order_type=OrderType.LIMIT,
            tif=TimeInForce.GTC, qty_lots=order.qty_lots, price_ticks=order.price_ticks, reduce_only=False,
            role=OrderRole.ENTRY, reason=0, order_id=order.order_id, decision_id=order.decision_id,
            stop_ticks=order.stop_ticks, target_ticks=order.target_ticks,
        )
        self.entries[link] = order
        self.roles[link] = OrderRole.ENTRY
        self.effects += [
            persist(intent_of(made, order.symbol, order.qty_lots, 0)),
            Send(made.create(self._next()), now_ns + 2_000_000_000, False),
        ]
        return Gate.NONE

    def cancel(self, now_ns: int, symbol: int, reason: int) -> None:
        for link, order in self.entries.items():
            if order.symbol == symbol:
                self.effects.append(Send(Cancel(self._next(), order.name, link), now_ns + 1_000_000_000, True))

    def close(self, now_ns: int, symbol: int, role: OrderRole, reason: int) -> None:
        self.cancel(now_ns, symbol, reason)
        name = self.symbols[symbol]
        lots = self.lots.get(name, 0)
        if lots:
            link = link_id_of("n", Leg.CLOSE, self._next())
            self.roles[link] = role
            self.effects.append(Send(Create(
                self.number, link, name, -1 if lots > 0 else 1, OrderType.MARKET, abs(lots), tif=TimeInForce.IOC,
                reduce_only=True,
            ), now_ns + 1_000_000_000, True))

    def protect(self, now_ns: int, symbol: int, stop_ticks: int, targets: object) -> None:
        self.effects.append(Send(TradingStop(self._next(), self.symbols[symbol], stop_ticks), now_ns + 1_000_000_000, True))

    def kill(self, now_ns: int) -> None:
        for symbol in self.symbols:
            self.close(now_ns, symbol, OrderRole.KILL, 0)

    def on_timer(self, now_ns: int) -> None:
        """Nothing: every answer will come."""

    def label(self, order: Order) -> str:
        return link_id_of("n", Leg.MAKER, order.order_id)

    def may_leave(self, now_ns: int, request: object) -> bool:
        """Whatever was wanted once is wanted."""
        return True

    def reconciled_after(self, takeover: int) -> bool:
        """There is nothing to reconcile."""
        return True

    def recover(self, now_ns: int, records: object, booked: int, working: object) -> None:
        """Nothing: the stream will tell."""

    def on_event(self, now_ns: int, event: Event) -> None:
        if isinstance(event, LinkState):
            self.up[event.stream] = event.up
        elif isinstance(event, ExecutionRow):
            self.lots[event.symbol] = self.lots.get(event.symbol, 0) + event.side * event.qty_lots
            order = self.entries.get(event.link_id)
            role = self.roles.get(event.link_id, OrderRole.STOP)
            self.effects.append(persist(Executed(
                0, event.exec_id, event.exec_type, event.order_id, event.link_id, event.symbol, self.ids[event.symbol],
                event.side, event.price_ticks, event.qty_lots, event.fee_e8, int(event.is_maker), event.exec_time_ms, event.seq,
                int(role), 0, order.order_id if order else 0, 0, event.leaves_lots, 0, 0, 0,
            )))
            self._tell(event.symbol, Message(
                kind=int(MessageKind.FILL), side=event.side, price_ticks=event.price_ticks, qty_lots=event.qty_lots,
                fee_e8=event.fee_e8, leaves_lots=event.leaves_lots, is_maker=int(event.is_maker),
                role=int(role), ts_event_ns=event.exec_time_ms * 1_000_000,
                order_id=order.order_id if order else 0,
            ))
        elif isinstance(event, OrderRow):
            if event.link_id in self.entries and event.status not in OPEN_STATUSES:
                self._done(event.link_id, event.updated_ms, event.qty_lots - event.cum_lots)
        elif isinstance(event, Lost) or (isinstance(event, Ack) and event.ret_code):
            for link, order in list(self.entries.items()):
                if order.order_id == event.req_id:
                    self._done(link, 0, order.qty_lots)

    def _done(self, link: str, ms: int, leaves: int) -> None:
        order = self.entries.pop(link)
        self._tell(order.name, Message(kind=int(MessageKind.DONE), order_id=order.order_id, leaves_lots=leaves,
                                       decision_id=order.decision_id, ts_event_ns=ms * 1_000_000))

    def _tell(self, name: str, message: Message) -> None:
        self.effects.append(Tell(message._replace(seq=SEQ + self._next(), symbol=self.ids[name])))

    def drain(self) -> list[Effect]:
        effects, self.effects = self.effects, []
        return effects

    @property
    def ready(self) -> bool:
        return all(self.up.get(stream, False) for stream in Stream)

    @property
    def flat(self) -> bool:
        return not self.entries and not any(self.lots.values())
