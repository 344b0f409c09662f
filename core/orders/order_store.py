"""Our orders at the exchange: what was sent, where each stands, how much of it is booked; and which executions are.

Found by our id (`link_id`), by the venue's id, by symbol. Ended orders stay fillable for a while (late fills after a
cancel are real) and are then forgotten, like execution ids: both are bounded by time, not by luck.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from core.enums import OrderRole
from core.orders.exchange_words import Create, OrderType, TimeInForce
from core.orders.lifecycle import OPEN, UNPROVED, OrderState

LINK_ID_MAX = 30  # Bybit takes 36; one day it enforced less than it documents (O18)
LINK_ID = re.compile(r"[A-Za-z0-9_-]{1,30}")
TAG_MAX = 10
PREFIX = "sc"
MADE_BY_US = re.compile(rf"{PREFIX}([A-Za-z0-9_]{{1,{TAG_MAX}}})-[0-9a-z]+[ETPXZ]")
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


class Leg(IntEnum):
    """What one of our orders is for. The letter is part of its id."""

    MAKER = 0  # entry, post-only
    TAKER = 1  # entry, IOC: the remainder after the deadline, or all of it
    TARGET = 2  # rung of the ladder, reduce-only limit
    CLOSE = 3  # reduce-only IOC of a closing job
    ALL = 4  # the same as quantity 0 with closeOnTrigger: everything there is, dust included


LETTERS: dict[Leg, str] = {Leg.MAKER: "E", Leg.TAKER: "T", Leg.TARGET: "P", Leg.CLOSE: "X", Leg.ALL: "Z"}
LEG_OF = {letter: leg for leg, letter in LETTERS.items()}
ENTRY_LEGS = frozenset({Leg.MAKER, Leg.TAKER})
CLOSING_LEGS = frozenset({Leg.CLOSE, Leg.ALL})


def base36(number: int) -> str:
    """A number >= 0 in digits and lower-case letters."""
    text = ""
    while True:
        number, digit = divmod(number, 36)
        text = _DIGITS[digit] + text
        if not number:
            return text


def link_id_of(tag: str, leg: Leg, number: int) -> str:
    """Our id of an order: `sc<tag of the run>-<number><letter>`. Deterministic: the same leg of the same decision has
    the same id in every try and after every restart. Raises ValueError where the venue might refuse it."""
    text = f"{PREFIX}{tag}-{base36(number)}{LETTERS[leg]}"
    if len(tag) > TAG_MAX or not LINK_ID.fullmatch(text):
        raise ValueError(f"not an order link id: {text!r}")
    return text


def run_of(link_id: str) -> str | None:
    """The tag of the run that made an order, whatever became of our memory of it; None: somebody else's."""
    found = MADE_BY_US.fullmatch(link_id)
    return found.group(1) if found is not None else None


def leg_of(link_id: str) -> Leg | None:
    """What an id of ours says the order is for."""
    return LEG_OF.get(link_id[-1:])


@dataclass(slots=True, kw_only=True)
class DeskOrder:
    """One order of ours. Lots filled as booked (`cum_lots`, from executions) and as the venue tells (`told_lots`).

    `left_by_ns`: no copy of the request can leave later than this (monotonic); `doubtful`: an earlier try may have
    landed, so a refusal of a later one proves nothing."""

    link_id: str
    leg: Leg
    symbol: str
    side: int
    order_type: OrderType
    tif: TimeInForce
    qty_lots: int
    price_ticks: int
    reduce_only: bool
    role: OrderRole
    reason: int
    order_id: int  # the Broker's
    decision_id: int
    stop_ticks: int = 0
    target_ticks: int = 0
    slippage_e2pct: int = 0
    state: OrderState = OrderState.INTENT
    venue_id: str = ""
    cum_lots: int = 0
    told_lots: int = 0
    tries: int = 0
    doubtful: bool = False
    req_id: int = 0  # create on its way, 0 = none
    change_id: int = 0  # cancel or amend on its way, 0 = none
    cancel_asked: bool = False
    born_ns: int = 0
    left_by_ns: int = 0
    ttl_ns: int = 0  # monotonic: never sent again after it
    retry_ns: int = 0  # send again at, 0 = not
    change_retry_ns: int = 0
    await_ns: int = 0  # look it up when nothing was heard of it by then, 0 = not
    ended_ns: int = 0
    ended_told: bool = False  # the ENDED record is written
    seen_ms: int = 0
    seen_seq: int = 0
    ret_code: int = 0
    cancel_type: str = ""
    reject_reason: str = ""

    @property
    def alive(self) -> bool:
        """May (still) fill, as far as we know."""
        return self.state in OPEN

    @property
    def unproved(self) -> bool:
        """Sent, never seen: counts as filled, and as working."""
        return self.state in UNPROVED

    @property
    def settled(self) -> bool:
        """Ended, and everything the venue says was filled is booked."""
        return self.state not in OPEN and self.cum_lots >= self.told_lots

    @property
    def closed(self) -> bool:
        """Ended, booked, written down, and nothing is due: only a late telling can touch it any more."""
        return self.ended_told and self.settled and not (self.retry_ns or self.change_retry_ns or self.await_ns)

    @property
    def leaves_lots(self) -> int:
        """What may still fill; 0 once ended."""
        return max(self.qty_lots - max(self.cum_lots, self.told_lots), 0) if self.alive else 0

    @property
    def entry(self) -> bool:
        return self.leg in ENTRY_LEGS

    def create(self, req_id: int) -> Create:
        """The request, the same in every try but for `req_id`."""
        return Create(
            req_id=req_id, link_id=self.link_id, symbol=self.symbol, side=self.side, order_type=self.order_type,
            qty_lots=0 if self.leg is Leg.ALL else self.qty_lots, price_ticks=self.price_ticks, tif=self.tif,
            reduce_only=self.reduce_only, close_on_trigger=self.leg is Leg.ALL, stop_ticks=self.stop_ticks,
            target_ticks=self.target_ticks, slippage_e2pct=self.slippage_e2pct,
        )


class OrderStore:
    """Orders by every name, and the ids of booked executions. What is looked at again and again (timers, the kill, limits)
    looks at the open ones only; closed ones stay findable for late tellings until they are forgotten."""

    def __init__(self) -> None:
        self.by_link: dict[str, DeskOrder] = {}
        self.by_venue: dict[str, DeskOrder] = {}
        self._by_symbol: dict[str, dict[str, DeskOrder]] = {}
        self._open: dict[str, DeskOrder] = {}
        self._open_of: dict[str, dict[str, DeskOrder]] = {}
        self.execs: dict[str, int] = {}  # exec id -> exec time, ms
        self.forgotten_ms = 0  # executions older than this are not remembered, and not taken any more

    def add(self, order: DeskOrder) -> None:
        """A new order. Raises ValueError for an id already used."""
        if order.link_id in self.by_link:
            raise ValueError(f"order link id {order.link_id} is used already")
        self.by_link[order.link_id] = order
        self._by_symbol.setdefault(order.symbol, {})[order.link_id] = order
        self.changed(order)

    def changed(self, order: DeskOrder) -> None:
        """To be called after every change of an order that may close it, or open it again."""
        of_symbol = self._open_of.setdefault(order.symbol, {})
        if order.closed:
            self._open.pop(order.link_id, None)
            of_symbol.pop(order.link_id, None)
        else:
            self._open[order.link_id] = of_symbol[order.link_id] = order

    def name(self, order: DeskOrder, venue_id: str) -> None:
        """Learn the venue's id."""
        if venue_id and order.venue_id != venue_id:
            order.venue_id = venue_id
            self.by_venue[venue_id] = order

    def find(self, venue_id: str, link_id: str) -> DeskOrder | None:
        """The venue's id wins where both are known (as at the venue)."""
        return self.by_venue.get(venue_id) or self.by_link.get(link_id)

    def of(self, symbol: str) -> list[DeskOrder]:
        """Orders of a symbol, closed ones too, oldest first."""
        return list(self._by_symbol.get(symbol, {}).values())

    def unclosed(self) -> list[DeskOrder]:
        """Orders that are not closed."""
        return list(self._open.values())

    def unclosed_of(self, symbol: str) -> list[DeskOrder]:
        """Those of a symbol."""
        return list(self._open_of.get(symbol, {}).values())

    def __iter__(self) -> Iterator[DeskOrder]:
        return iter(list(self.by_link.values()))

    def prune(self, ended_before_ns: int, exec_before_ms: int) -> int:
        """Forget orders that ended long ago and executions from before; returns how many orders."""
        gone = [o for o in self.by_link.values() if o.closed and 0 < o.ended_ns < ended_before_ns]
        for order in gone:
            del self.by_link[order.link_id]
            self.by_venue.pop(order.venue_id, None)
            del self._by_symbol[order.symbol][order.link_id]
            self.changed(order)  # however it came to be closed
        if exec_before_ms > self.forgotten_ms:
            self.forgotten_ms = exec_before_ms
            self.execs = {i: ms for i, ms in self.execs.items() if ms >= exec_before_ms}
        return len(gone)
