"""What happened at the exchange, as pushes of the private stream.

Neighbouring events of one account and kind travel in one message, as Bybit does ("1..n items"), unless they are two
states of the same order. `execution.fast` (trades only) goes out before everything else that the same events cause.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b

from core.constants import NS_PER_MS
from core.sim.exchange_types import Event, Execution, OrderUpdate, PositionUpdate, WalletUpdate
from core.sim.margin_types import ExecType
from gateway.venue.instruments import Instrument
from gateway.venue.private_account_rows import position_stream, wallet_row
from gateway.venue.private_hub import Message
from gateway.venue.private_rows import execution_fast, execution_stream, order_stream

MAX_ROWS = 20
KIND_OF = {OrderUpdate: "order", Execution: "execution", PositionUpdate: "position", WalletUpdate: "wallet"}


class Batcher:
    """Turns events into messages. isolated: does an account use isolated margin (its wallet row leaves much empty)."""

    def __init__(self, instruments: Callable[[], Mapping[str, Instrument]], isolated: Callable[[int], bool]) -> None:
        self._listed = instruments
        self._isolated = isolated

    @property
    def _instruments(self) -> Mapping[str, Instrument]:
        return self._listed()

    def messages(self, events: Iterable[Event]) -> list[Message]:
        """Messages in the order of the events, fast executions first."""
        fast: list[Message] = []
        made: list[Message] = []
        groups: list[list[Event]] = []
        for event in events:
            if groups and joins(groups[-1], event):
                groups[-1].append(event)
            else:
                groups.append([event])
        for group in groups:
            made.append(self._message(group))
            trades = [event for event in group if isinstance(event, Execution) and event.exec_type is ExecType.TRADE]
            if trades:
                fast.append(self._fast(trades))
        return fast + made

    def _message(self, group: list[Event]) -> Message:
        first = group[0]
        now_ms = first.ts_ns // NS_PER_MS
        kind = KIND_OF[type(first)]
        if isinstance(first, OrderUpdate):
            symbol, seq = first.order.symbol, group[-1].order.seq  # type: ignore[union-attr]
            rows = [order_stream(event.order, self._instruments[event.order.symbol])
                    for event in group if isinstance(event, OrderUpdate)]
            return Message(first.uid, kind, symbol, f"{first.uid}_{symbol}_{seq}", now_ms, rows)
        if isinstance(first, Execution):
            rows = [execution_stream(event, self._instruments[event.symbol]) for event in group if isinstance(event, Execution)]
            return Message(first.uid, kind, first.symbol, f"{first.uid}_{first.symbol}_{first.seq}", now_ms, rows)
        if isinstance(first, PositionUpdate):
            rows = [position_stream(event.position, self._instruments[event.position.symbol])
                    for event in group if isinstance(event, PositionUpdate)]
            return Message(first.uid, kind, first.position.symbol, f"{first.uid}_position_{now_ms}", now_ms, rows)
        wallets = [event for event in group if isinstance(event, WalletUpdate)]
        rows = [wallet_row(event.wallet, self._isolated(event.uid)) for event in wallets]
        return Message(first.uid, kind, "", wallet_id(first.uid, first.ts_ns), now_ms, rows)

    def _fast(self, trades: list[Execution]) -> Message:
        first = trades[0]
        rows = [execution_fast(trade, self._instruments[trade.symbol]) for trade in trades]
        return Message(first.uid, "execution.fast", first.symbol, "", first.ts_ns // NS_PER_MS, rows)


def joins(group: list[Event], event: Event) -> bool:
    """May `event` travel in the message of `group`?"""
    first = group[0]
    if type(event) is not type(first) or event.uid != first.uid or len(group) >= MAX_ROWS or event.ts_ns != first.ts_ns:
        return False
    if isinstance(event, OrderUpdate):
        return all(isinstance(e, OrderUpdate) and e.order.order_id != event.order.order_id for e in group)
    return isinstance(event, Execution | PositionUpdate) and symbol_of(event) == symbol_of(first)


def symbol_of(event: Event) -> str:
    return event.position.symbol if isinstance(event, PositionUpdate) else getattr(event, "symbol", "")


def wallet_id(uid: int, ts_ns: int) -> str:
    """An id in the shape of the real ones ("592324d2bce751-ad38-48eb-8f42-4671d1fb4d4e")."""
    text = blake2b(f"{uid}:{ts_ns}".encode(), digest_size=19).hexdigest()
    return "-".join((text[:14], text[14:18], text[18:22], text[22:26], text[26:38]))
