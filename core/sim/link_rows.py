"""Rows of `core.orders.exchange_words` from the exchange's own objects: what a perfect decoder would make of its frames."""

from __future__ import annotations

from core.constants import NS_PER_MS
from core.orders.exchange_words import (
    ClosedPnlRow,
    ExecutionRow,
    InstrumentRow,
    OrderRow,
    PositionRow,
    Quote,
    Row,
    WalletRow,
)
from core.sim.exchange import Exchange
from core.sim.exchange_types import (
    ClosedPnl,
    Event,
    Execution,
    InstrumentSpec,
    OrderUpdate,
    PositionUpdate,
    SimOrder,
    SymbolStatus,
)
from core.sim.margin_types import PositionSnapshot, WalletSnapshot


def order_row(order: SimOrder) -> OrderRow:
    """Topic `order` and the order lists."""
    return OrderRow(
        symbol=order.symbol, order_id=order.order_id, link_id=order.order_link_id, side=order.side,
        order_type=order.order_type, tif=order.tif, status=order.status, price_ticks=order.price_ticks,
        qty_lots=order.qty_lots, cum_lots=order.cum_qty_lots, leaves_lots=order.leaves_lots,
        cum_value_e8=order.cum_value_e8, cum_fee_e8=order.cum_fee_e8, position_idx=order.position_idx,
        reduce_only=order.reduce_only, close_on_trigger=order.close_on_trigger, stop_order_type=order.stop_order_type,
        trigger_ticks=order.trigger_price_ticks, stop_ticks=order.stop_loss_ticks,
        target_ticks=order.take_profit_ticks, create_type=order.create_type.text, cancel_type=order.cancel_type.text,
        reject_reason=order.reject_reason.text, parent_link_id=order.parent_order_link_id,
        status_text=order.status.text, created_ms=order.created_ns // NS_PER_MS,
        updated_ms=order.updated_ns // NS_PER_MS, seq=order.seq,
    )


def closed_pnl_row(closed: ClosedPnl) -> ClosedPnlRow:
    """position/closed-pnl."""
    return ClosedPnlRow(
        closed.symbol, closed.order_id, closed.side, closed.closed_lots, closed.closed_pnl_e8, closed.updated_ns // NS_PER_MS
    )


def execution_row(fill: Execution) -> ExecutionRow:
    """Topic `execution` and execution/list."""
    return ExecutionRow(
        exec_id=fill.exec_id, exec_type=fill.exec_type.text, order_id=fill.order_id, link_id=fill.order_link_id,
        symbol=fill.symbol, side=fill.side, price_ticks=fill.price_ticks, qty_lots=fill.qty_lots, fee_e8=fill.fee_e8,
        is_maker=fill.is_maker, closed_lots=fill.closed_lots, exec_time_ms=fill.ts_ns // NS_PER_MS, seq=fill.seq,
        leaves_lots=fill.leaves_lots, value_e8=fill.value_e8, stop_order_type=fill.stop_order_type,
        create_type=fill.create_type.text, position_idx=fill.position_idx,
    )


def position_row(position: PositionSnapshot) -> PositionRow:
    """Topic `position` and position/list."""
    return PositionRow(
        symbol=position.symbol, position_idx=position.position_idx, side=position.side, lots=position.lots,
        entry_value_e8=position.position_value_e8, avg_price_e8=position.entry_price_e8,
        stop_ticks=position.stop_loss_ticks, target_ticks=position.take_profit_ticks,
        trailing_ticks=position.trailing_stop_ticks, leverage_e2=position.leverage_e2,
        mark_price_e8=position.mark_e10 // 100, liq_price_e8=position.liq_price_e8, adl_rank=position.adl_rank,
        status=position.status.text, is_reduce_only=position.is_reduce_only, realised_e8=position.cur_realised_e8,
        seq=position.seq, updated_ms=position.updated_ns // NS_PER_MS,
    )


def wallet_row(wallet: WalletSnapshot, ts_ns: int) -> WalletRow:
    """Topic `wallet` and account/wallet-balance."""
    return WalletRow(
        balance_e8=wallet.wallet_balance_e8, equity_e8=wallet.equity_e8, available_e8=wallet.available_e8,
        unrealised_e8=wallet.unrealised_e8, initial_margin_e8=wallet.initial_margin_e8,
        maintenance_margin_e8=wallet.maintenance_margin_e8, updated_ms=ts_ns // NS_PER_MS,
    )


def instrument_row(spec: InstrumentSpec, status: SymbolStatus) -> InstrumentRow:
    """market/instruments-info of a contract."""
    return InstrumentRow(
        symbol=spec.symbol, status=status.text, tick_mant=spec.tick_mant, price_exp=spec.price_exp,
        lot_mant=spec.lot_mant, qty_exp=spec.qty_exp, min_qty_lots=spec.min_qty_lots, max_qty_lots=spec.max_qty_lots,
        max_market_lots=spec.max_market_qty_lots, min_notional_e8=spec.min_notional_e8,
        max_leverage_e2=spec.max_leverage_e2,
    )


def quote_of(exchange: Exchange, symbol: str, bid_ticks: int, ask_ticks: int, mark_ticks: int) -> Quote:
    """What the public streams say of a symbol, with the exchange's price limits."""
    buy, sell = exchange.price_limits(symbol)
    return Quote(symbol, bid_ticks, ask_ticks, mark_ticks, buy, sell)


def private_row(event: Event) -> tuple[str, Row]:
    """(topic, row) of one event of the exchange."""
    if isinstance(event, OrderUpdate):
        return "order", order_row(event.order)
    if isinstance(event, Execution):
        return "execution", execution_row(event)
    if isinstance(event, PositionUpdate):
        return "position", position_row(event.position)
    return "wallet", wallet_row(event.wallet, event.ts_ns)
