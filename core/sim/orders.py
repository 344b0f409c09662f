"""Making orders: ids, and a SimOrder from a request."""

from __future__ import annotations

from core.sim.exchange_types import (
    CreateType,
    OrderRequest,
    OrderStatus,
    OrderType,
    SimOrder,
    StopOrderType,
    TimeInForce,
    TpslMode,
    TriggerBy,
)
from core.sim.random_words import RandomWords


class IdSource:
    """Ids that look like random UUIDs and are the same in every run."""

    def __init__(self, seed: int) -> None:
        self._random = RandomWords(seed)

    def next(self) -> str:
        """A new id, UUID version 4 in form."""
        text = f"{self._random.word():016x}{self._random.word():016x}"
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{'89ab'[int(text[16], 16) & 3]}{text[17:20]}-{text[20:]}"


def order_from(
    ts_ns: int, uid: int, order_id: str, request: OrderRequest, last_ticks: int, create_type: CreateType
) -> SimOrder:
    """The order as requested. Market orders are IOC; defaults of triggers and modes are Bybit's."""
    conditional = request.trigger_price_ticks > 0
    attached = request.take_profit_ticks > 0 or request.stop_loss_ticks > 0
    tif = request.tif
    if request.order_type is OrderType.MARKET and tif is not TimeInForce.FOK:
        tif = TimeInForce.IOC
    return SimOrder(
        order_id=order_id,
        order_link_id=request.order_link_id,
        uid=uid,
        symbol=request.symbol,
        side=request.side,
        order_type=request.order_type,
        tif=tif,
        price_ticks=request.price_ticks if request.order_type is OrderType.LIMIT else 0,
        qty_lots=request.qty_lots,
        leaves_lots=request.qty_lots,
        status=OrderStatus.UNTRIGGERED if conditional else OrderStatus.NEW,
        position_idx=request.position_idx,
        create_type=create_type,
        stop_order_type=StopOrderType.STOP if conditional else StopOrderType.NONE,
        trigger_price_ticks=request.trigger_price_ticks,
        trigger_direction=request.trigger_direction,
        trigger_by=(request.trigger_by or TriggerBy.LAST) if conditional else TriggerBy.NONE,
        reduce_only=request.reduce_only or request.close_on_trigger,
        close_on_trigger=request.close_on_trigger,
        take_profit_ticks=request.take_profit_ticks,
        stop_loss_ticks=request.stop_loss_ticks,
        tp_trigger_by=(request.tp_trigger_by or TriggerBy.LAST) if request.take_profit_ticks else TriggerBy.NONE,
        sl_trigger_by=(request.sl_trigger_by or TriggerBy.LAST) if request.stop_loss_ticks else TriggerBy.NONE,
        tpsl_mode=(request.tpsl_mode or TpslMode.FULL) if attached else request.tpsl_mode,
        tp_order_type=request.tp_order_type,
        sl_order_type=request.sl_order_type,
        tp_limit_ticks=request.tp_limit_ticks,
        sl_limit_ticks=request.sl_limit_ticks,
        smp=request.smp,
        slippage_type=request.slippage_type,
        slippage=request.slippage,
        last_price_on_created_ticks=last_ticks,
        created_ns=ts_ns,
        updated_ns=ts_ns,
    )
