"""What the gate must know of one entry, gathered from account, working orders, ledger and what the exchange says.

Orders on their way count as filled: `Broker.working` holds everything that is SENT, UNKNOWN or working.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from core.orders.exchange_words import PositionRow, WalletRow
from core.orders.router import Order
from core.orders.wire import Message
from core.risk.gate import BPS, FAR, UNKNOWN, Facts
from core.risk.ledger import RiskLedger
from core.risk.policy import Instrument, Policy
from core.risk.sizing import order_risk_e8
from core.sim.account import Account


@dataclass(slots=True)
class Working:
    """An accepted entry; `leaves_lots` of it can still fill and count as filled in every limit."""

    order: Order
    leaves_lots: int
    leverage_e2: int


class ExchangeFacts(NamedTuple):
    """What only an exchange can say, for LIVE; what it has not said is UNKNOWN and refuses. Money in 1e-8 USDT."""

    settled: bool = False  # reconciled, and nothing differs
    tier_allowed: int = 0  # core.risk.tiers.Rank that the evidence allows
    equity_e8: int = UNKNOWN
    balance_e8: int = UNKNOWN
    available_e8: int = UNKNOWN
    mark_ticks: int = UNKNOWN  # of the symbol to be entered
    open_liquidation_bps: int = UNKNOWN  # mark to liquidation of the nearest open position; core.risk.gate.FAR: none
    adl_rank: int = UNKNOWN  # highest of the open positions, 0 without one


SIMULATED = ExchangeFacts(settled=True, open_liquidation_bps=FAR, adl_rank=0)
"""The paper account has no liquidation engine and no deleveraging; its money is `Account`'s."""


def exchange_facts(
    positions: Iterable[PositionRow], wallet: WalletRow | None, settled: bool, tier_allowed: int, mark_ticks: int
) -> ExchangeFacts:
    """What the exchange has said, as the gate reads it. `mark_ticks` of the symbol to be entered; 0 or less: not known."""
    nearest, rank = FAR, 0
    for row in positions:
        if row.lots:
            nearest = min(nearest, liquidation_distance_bps(row))  # UNKNOWN is less than any distance
            rank = max(rank, row.adl_rank)
    return ExchangeFacts(
        settled, tier_allowed, wallet.equity_e8 if wallet else UNKNOWN, wallet.balance_e8 if wallet else UNKNOWN,
        wallet.available_e8 if wallet else UNKNOWN, mark_ticks if mark_ticks > 0 else UNKNOWN, nearest, rank,
    )


def liquidation_distance_bps(row: PositionRow) -> int:
    """Mark to liquidation of an open position; FAR where the exchange names no liquidation price (the margin bears any
    fall), UNKNOWN without a mark. Past it: 0."""
    if row.mark_price_e8 <= 0:
        return UNKNOWN
    if row.liq_price_e8 <= 0:
        return FAR
    return min(max(row.side * (row.mark_price_e8 - row.liq_price_e8), 0) * BPS // row.mark_price_e8, FAR)


class Controls(NamedTuple):
    """What is in force around a message, beside the account."""

    killed: bool = False
    paused: bool = False
    degraded: bool = False
    feed_down: bool = False
    quarantined: bool = False
    regime_bad: bool = False  # the board says so: it turned after the shard had decided
    age_ns: int = 0
    exchange: ExchangeFacts = ExchangeFacts()  # looked at in LIVE only


class Books(Protocol):
    """The part of `Broker` that is read here."""

    policy: Policy
    account: Account
    ledger: RiskLedger
    instruments: dict[int, Instrument]
    working: dict[int, Working]


def equity_e8(account: Account, controls: Controls, live: bool) -> int:
    """LIVE: what the exchange says. Else the paper account's."""
    return controls.exchange.equity_e8 if live else account.equity_e8


def margin_working_e8(books: Books) -> int:
    """Initial margin of everything on its way."""
    total = 0
    for symbol, working in books.working.items():
        grid = books.instruments[symbol].grid
        value = grid.value_e8(working.order.price_ticks, working.leaves_lots, round_up=True)
        total += -(-value * 100 // working.leverage_e2)
    return total


def risk_working_e8(books: Books) -> int:
    """Open risk of everything on its way, as if filled."""
    policy = books.policy
    return sum(
        order_risk_e8(
            books.instruments[symbol].grid, w.order.side, w.order.price_ticks, w.order.stop_ticks, w.leaves_lots,
            policy.fee_of(books.instruments[symbol]), policy.price_buffer_e8,
        )
        for symbol, w in books.working.items()
    )


def correlated_e8(books: Books, side: int) -> int:
    """Value open and on its way in one direction over the symbols that move with BTC."""
    policy, instruments = books.policy, books.instruments
    total = sum(
        abs(p.entry_value_e8) for symbol, p in books.account.positions.items()
        if p.side == side and policy.moves_with_btc(instruments[symbol])
    )
    return total + sum(
        instruments[symbol].grid.value_e8(w.order.price_ticks, w.leaves_lots, round_up=True)
        for symbol, w in books.working.items() if w.order.side == side and policy.moves_with_btc(instruments[symbol])
    )


def baselines(ledger: RiskLedger, ts_ns: int, equity_e8: int, live: bool) -> tuple[int, int]:
    """`RiskLedger.baselines`; LIVE before the first one (wallet not seen by a message): nothing is lost yet."""
    return (equity_e8, equity_e8) if live and not ledger.hours else ledger.baselines(ts_ns, equity_e8)


def gather(
    books: Books, ts_ns: int, controls: Controls, live: bool, sends: bool, instrument: Instrument | None,
    message: Message | None, lots: int,
) -> Facts:
    """Everything the gate looks at; without an instrument and a message only what concerns every symbol."""
    account, policy, ledger = books.account, books.policy, books.ledger
    exchange = controls.exchange if live else SIMULATED
    equity = equity_e8(account, controls, live)
    margin_used = account.margin_used_e8 + margin_working_e8(books)
    busy = account.positions.keys() | books.working.keys()
    symbol: int | None = None
    leverage, category = policy.leverage_e2, 0
    value = risk = correlated = correlated_new = in_category = 0
    if instrument is not None and message is not None:
        symbol, leverage, category = instrument.id, policy.leverage_of(instrument), instrument.category
        in_category = sum(books.instruments[s].category == category for s in busy)
        value = instrument.grid.value_e8(message.price_ticks, lots, round_up=True)
        risk = order_risk_e8(instrument.grid, message.side, message.price_ticks, message.stop_ticks, lots,
                             policy.fee_of(instrument), policy.price_buffer_e8)
        if policy.moves_with_btc(instrument):
            correlated, correlated_new = correlated_e8(books, message.side), value
    day_start, rolling_start = baselines(ledger, ts_ns, equity, live)
    return Facts(
        ts_ns=ts_ns, age_ns=controls.age_ns, killed=controls.killed, paused=controls.paused, degraded=controls.degraded,
        feed_down=controls.feed_down, mode_allows=sends, live=live, settled=exchange.settled,
        tier_allowed=exchange.tier_allowed, blacklisted=instrument is not None and policy.blacklists(instrument),
        trading=instrument is None or instrument.trading, quarantined=controls.quarantined,
        churned=symbol in ledger.latched, duplicate=False, in_position=symbol in account.positions,
        order_working=symbol in books.working, positions=len(busy), category_positions=in_category,
        max_category_positions=policy.max_category_positions[category],
        trades_day=ledger.trades_day + len(books.working.keys() - account.positions.keys()),
        orders_minute=ledger.entries_minute(ts_ns), balance_e8=exchange.balance_e8 if live else account.balance_e8,
        equity_e8=equity, available_e8=exchange.available_e8 if live else equity - margin_used,
        day_start_equity_e8=day_start, rolling_start_equity_e8=rolling_start,
        unrealised_e8=account.unrealised_e8, margin_used_e8=margin_used, margin_new_e8=-(-value * 100 // leverage),
        heat_e8=account.heat_e8(policy.taker_fee_e8) + risk_working_e8(books), risk_new_e8=risk,
        correlated_e8=correlated, correlated_new_e8=correlated_new, qty_lots=lots,
        min_qty_lots=instrument.min_qty_lots if instrument else 0,
        max_qty_lots=instrument.max_qty_lots if instrument else 0, notional_e8=value,
        min_notional_e8=instrument.min_notional_e8 if instrument else 0,
        max_notional_e8=policy.notional_of(instrument) if instrument else 0, leverage_e2=leverage,
        price_ticks=message.price_ticks if message else 0, stop_ticks=message.stop_ticks if message else 0,
        mark_ticks=exchange.mark_ticks, price_limit_e8=instrument.price_limit_e8 if instrument else 0,
        liquidation_bps=policy.liquidation_bps(instrument) if instrument else FAR,
        open_liquidation_bps=exchange.open_liquidation_bps, adl_rank=exchange.adl_rank,
    )
