"""The words of the embedded exchange: requests, orders, results and the events it emits.

Units: prices in ticks, quantities in lots, money 1e-8 USDT (`_e8`), rates 1e-8 (`_e8`), mark and index prices 1e-10 USDT
(`_e10`), times in ns. A side is a sign: +1 buy, -1 sell. `position_idx`: 0
one-way, 1 hedge buy side, 2 hedge sell side. Price 0 = none. Enum names are ours, their `.text` is Bybit's word.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from core.sim.margin_types import ExecType, MarginInstrument, PositionSnapshot, WalletSnapshot, Worded

BUY, SELL = 1, -1
SIDE_TEXT = {BUY: "Buy", SELL: "Sell", 0: ""}


class OrderType(Worded):
    MARKET = 0, "Market"
    LIMIT = 1, "Limit"
    UNKNOWN = 2, "UNKNOWN"  # executions without an order (funding)


class TimeInForce(Worded):
    GTC = 0, "GTC"
    IOC = 1, "IOC"
    FOK = 2, "FOK"
    POST_ONLY = 3, "PostOnly"


class TriggerBy(Worded):
    NONE = 0, ""
    LAST = 1, "LastPrice"
    MARK = 2, "MarkPrice"
    INDEX = 3, "IndexPrice"


class OrderStatus(Worded):
    NEW = 0, "New"
    PARTIALLY_FILLED = 1, "PartiallyFilled"
    UNTRIGGERED = 2, "Untriggered"
    TRIGGERED = 3, "Triggered"
    FILLED = 4, "Filled"
    CANCELLED = 5, "Cancelled"
    PARTIALLY_FILLED_CANCELED = 6, "PartiallyFilledCanceled"  # spot's word; never on linear
    REJECTED = 7, "Rejected"
    DEACTIVATED = 8, "Deactivated"


OPEN_STATUSES = frozenset({OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED, OrderStatus.UNTRIGGERED})


class StopOrderType(Worded):
    NONE = 0, ""
    STOP = 1, "Stop"
    TAKE_PROFIT = 2, "TakeProfit"
    STOP_LOSS = 3, "StopLoss"
    PARTIAL_TAKE_PROFIT = 4, "PartialTakeProfit"
    PARTIAL_STOP_LOSS = 5, "PartialStopLoss"
    TRAILING_STOP = 6, "TrailingStop"


class TpslMode(Worded):
    NONE = 0, ""
    FULL = 1, "Full"
    PARTIAL = 2, "Partial"


class SmpType(Worded):
    NONE = 0, "None"
    CANCEL_MAKER = 1, "CancelMaker"
    CANCEL_TAKER = 2, "CancelTaker"
    CANCEL_BOTH = 3, "CancelBoth"


class SlippageType(Worded):
    """How far a market order may walk: the exchange's own band, so many ticks, or 1e-2 percent."""

    NONE = 0, "UNKNOWN"
    TICK_SIZE = 1, "TickSize"
    PERCENT = 2, "Percent"


class CreateType(Worded):
    USER = 0, "CreateByUser"
    STOP_ORDER = 1, "CreateByStopOrder"
    TAKE_PROFIT = 2, "CreateByTakeProfit"
    PARTIAL_TAKE_PROFIT = 3, "CreateByPartialTakeProfit"
    STOP_LOSS = 4, "CreateByStopLoss"
    PARTIAL_STOP_LOSS = 5, "CreateByPartialStopLoss"
    TRAILING_STOP = 6, "CreateByTrailingStop"
    LIQUIDATION = 7, "CreateByLiq"
    TAKE_OVER = 8, "CreateByTakeOver_PassThrough"
    ADL = 9, "CreateByAdl_PassThrough"
    CLOSING = 10, "CreateByClosing"
    ADMIN_CLOSING = 11, "CreateByAdminClosing"
    SETTLE = 12, "CreateBySettle"


class CancelType(Worded):
    NONE = 0, "UNKNOWN"
    USER = 1, "CancelByUser"
    REDUCE_ONLY = 2, "CancelByReduceOnly"
    PREPARE_LIQ = 3, "CancelByPrepareLiq"
    ALL_BEFORE_LIQ = 4, "CancelAllBeforeLiq"
    PREPARE_ADL = 5, "CancelByPrepareAdl"
    ALL_BEFORE_ADL = 6, "CancelAllBeforeAdl"
    ADMIN = 7, "CancelByAdmin"
    SETTLE = 8, "CancelBySettle"
    TPSL_CLEAR = 9, "CancelByTpSlTsClear"
    SMP = 10, "CancelBySmp"
    DCP = 11, "CancelByDCP"
    TP_BY_SL = 12, "CancelByOCOTpCanceledBySlTriggered"
    SL_BY_TP = 13, "CancelByOCOSlCanceledByTpTriggered"


class RejectReason(Worded):
    NO_ERROR = 0, "EC_NoError"
    OTHERS = 1, "EC_Others"
    PER_CANCEL_REQUEST = 2, "EC_PerCancelRequest"
    POST_ONLY_WILL_TAKE = 3, "EC_PostOnlyWillTakeLiquidity"
    NO_IMMEDIATE_QTY = 4, "EC_NoImmediateQtyToFill"
    NO_FULL_FILL = 5, "EC_CancelForNoFullFill"
    NO_ENOUGH_QTY = 6, "EC_NoEnoughQtyToFill"
    BY_SELF_MATCH = 7, "EC_BySelfMatch"
    ORIG_NOT_EXIST = 8, "EC_OrigClOrdIDDoesNotExist"
    INVALID_SYMBOL_STATUS = 9, "EC_InvalidSymbolStatus"
    REACH_RISK_PRICE_LIMIT = 10, "EC_ReachRiskPriceLimit"
    REACH_MARKET_PRICE_LIMIT = 11, "EC_ReachMarketPriceLimit"
    INVALID_QTY = 12, "EC_EcInvalidQty"
    LOAD_ORDER_CANCEL = 13, "EC_LoadOrderCancel"


class SymbolStatus(Worded):
    PRE_LAUNCH = 0, "PreLaunch"
    TRADING = 1, "Trading"
    DELIVERING = 2, "Delivering"
    CLOSED = 3, "Closed"


class OrderFilter(Worded):
    """Which orders a cancel-all or a listing means; ALL = every kind."""

    ALL = 0, ""
    ORDER = 1, "Order"
    STOP_ORDER = 2, "StopOrder"  # every conditional order: Stop, TP/SL, trailing
    TPSL_ORDER = 3, "tpslOrder"
    OCO_ORDER = 4, "OcoOrder"
    BIDIRECTIONAL = 5, "BidirectionalTpslOrder"


@dataclass(frozen=True, kw_only=True)
class InstrumentSpec(MarginInstrument):
    """A contract: grid, tiers, leverage and funding of `MarginInstrument`, and the trading filters.

    Price limit ratios X and Y are Bybit's riskParameters in 1e-8."""

    base_coin: str = ""
    settle_coin: str = "USDT"
    min_qty_lots: int = 1
    max_qty_lots: int = 1_000_000_000
    max_market_qty_lots: int = 1_000_000_000
    min_notional_e8: int = 500_000_000
    price_limit_x_e8: int = 1_000_000
    price_limit_y_e8: int = 2_000_000
    market_band_e8: int = 1_000_000  # a market order is an IOC limit this far from the last price (seen: about 1 %)
    status: SymbolStatus = SymbolStatus.TRADING


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRequest:
    """A create request, already in ticks and lots. `trigger_price_ticks` > 0 makes it conditional.

    `slippage` is in ticks (TICK_SIZE) or 1e-2 percent (PERCENT). With `modify_enable` a limit price beyond the price
    limit is silently moved to it (Bybit's default), else refused."""

    symbol: str
    side: int
    order_type: OrderType
    qty_lots: int
    price_ticks: int = 0
    tif: TimeInForce = TimeInForce.GTC
    reduce_only: bool = False
    close_on_trigger: bool = False
    order_link_id: str = ""
    position_idx: int = 0
    trigger_price_ticks: int = 0
    trigger_direction: int = 0  # 1 the price rises to it, 2 falls to it
    trigger_by: TriggerBy = TriggerBy.NONE
    take_profit_ticks: int = 0
    stop_loss_ticks: int = 0
    tp_trigger_by: TriggerBy = TriggerBy.NONE
    sl_trigger_by: TriggerBy = TriggerBy.NONE
    tpsl_mode: TpslMode = TpslMode.NONE
    tp_order_type: OrderType = OrderType.MARKET
    sl_order_type: OrderType = OrderType.MARKET
    tp_limit_ticks: int = 0
    sl_limit_ticks: int = 0
    smp: SmpType = SmpType.NONE
    slippage_type: SlippageType = SlippageType.NONE
    slippage: int = 0
    modify_enable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class AmendRequest:
    """What to change of a working order; None = leave it. Take profit / stop loss 0 removes them."""

    symbol: str
    order_id: str = ""
    order_link_id: str = ""
    price_ticks: int | None = None
    qty_lots: int | None = None
    trigger_price_ticks: int | None = None
    trigger_by: TriggerBy | None = None
    take_profit_ticks: int | None = None
    stop_loss_ticks: int | None = None
    tp_trigger_by: TriggerBy | None = None
    sl_trigger_by: TriggerBy | None = None
    tpsl_mode: TpslMode | None = None
    tp_limit_ticks: int | None = None
    sl_limit_ticks: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TradingStopRequest:
    """POST /v5/position/trading-stop. None = leave it, 0 removes. `trailing_ticks` is a distance from the price."""

    symbol: str
    position_idx: int = 0
    tpsl_mode: TpslMode = TpslMode.FULL
    take_profit_ticks: int | None = None
    stop_loss_ticks: int | None = None
    trailing_ticks: int | None = None
    active_price_ticks: int | None = None
    tp_trigger_by: TriggerBy = TriggerBy.LAST
    sl_trigger_by: TriggerBy = TriggerBy.LAST
    tp_size_lots: int = 0
    sl_size_lots: int = 0
    tp_order_type: OrderType = OrderType.MARKET
    sl_order_type: OrderType = OrderType.MARKET
    tp_limit_ticks: int = 0
    sl_limit_ticks: int = 0


@dataclass(kw_only=True)
class SimOrder:
    """A working or ended order. Events and views hold copies; only the exchange changes one.

    `leaves_lots` is 0 once cancelled (as Bybit sends it); the remainder is qty_lots - cum_qty_lots."""

    order_id: str
    order_link_id: str
    uid: int
    symbol: str
    side: int
    order_type: OrderType
    tif: TimeInForce
    price_ticks: int
    qty_lots: int
    leaves_lots: int
    status: OrderStatus
    position_idx: int = 0
    cum_qty_lots: int = 0
    cum_value_e8: int = 0
    cum_fee_e8: int = 0
    closed_pnl_e8: int = 0
    reject_reason: RejectReason = RejectReason.NO_ERROR
    cancel_type: CancelType = CancelType.NONE
    create_type: CreateType = CreateType.USER
    stop_order_type: StopOrderType = StopOrderType.NONE
    trigger_price_ticks: int = 0
    trigger_direction: int = 0
    trigger_by: TriggerBy = TriggerBy.NONE
    reduce_only: bool = False
    close_on_trigger: bool = False
    take_profit_ticks: int = 0
    stop_loss_ticks: int = 0
    tp_trigger_by: TriggerBy = TriggerBy.NONE
    sl_trigger_by: TriggerBy = TriggerBy.NONE
    tpsl_mode: TpslMode = TpslMode.NONE
    tp_order_type: OrderType = OrderType.MARKET
    sl_order_type: OrderType = OrderType.MARKET
    tp_limit_ticks: int = 0
    sl_limit_ticks: int = 0
    smp: SmpType = SmpType.NONE
    smp_order_id: str = ""
    slippage_type: SlippageType = SlippageType.NONE
    slippage: int = 0
    parent_order_link_id: str = ""
    parent_order_id: str = ""  # ours: the entry a Partial pair grows with
    oco_order_id: str = ""  # the other one of an attached pair
    last_price_on_created_ticks: int = 0
    trailing_ticks: int = 0
    active_price_ticks: int = 0
    created_ns: int = 0
    updated_ns: int = 0
    queue_ahead_lots: int = 0  # public lots in front at its price, -1 unknown; own orders come on top
    seq: int = 0  # of the exchange; strictly rising over everything it emits

    def copy(self) -> SimOrder:
        """The order as it is now (50 fields: copying the dictionary is ten times faster than `replace`)."""
        new = object.__new__(SimOrder)
        new.__dict__.update(self.__dict__)
        return new


class Result(NamedTuple):
    """Answer to a request. `ret_code` 0 = accepted, which says nothing of the outcome."""

    ret_code: int
    ret_msg: str
    order_id: str = ""
    order_link_id: str = ""


class PreCheckResult(NamedTuple):
    """Initial and maintenance margin rates of the account in 1e-4, before and after the order would be open."""

    result: Result
    pre_imr_e4: int = 0
    pre_mmr_e4: int = 0
    post_imr_e4: int = 0
    post_mmr_e4: int = 0


class CancelAllResult(NamedTuple):
    result: Result
    cancelled: list[tuple[str, str]]  # order id, order link id


@dataclass(frozen=True, slots=True)
class OrderUpdate:
    uid: int
    ts_ns: int
    order: SimOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One fill, or a funding settlement (no order: type UNKNOWN, order quantity 0; it moves no position).

    `fee_e8` positive = paid. `leaves_lots` of the order after the fill. `exec_pnl_e8` without the fee."""

    uid: int
    ts_ns: int
    exec_id: str
    exec_type: ExecType
    symbol: str
    side: int
    position_idx: int
    order_id: str
    order_link_id: str
    order_type: OrderType
    stop_order_type: StopOrderType
    create_type: CreateType
    order_price_ticks: int
    order_qty_lots: int
    leaves_lots: int
    price_ticks: int  # 0 where the price is a mark price off the grid (funding): then mark_e10 is it
    qty_lots: int
    value_e8: int
    fee_e8: int
    fee_rate_e8: int
    is_maker: bool
    closed_lots: int
    exec_pnl_e8: int
    mark_e10: int
    index_e10: int
    seq: int


@dataclass(frozen=True, slots=True)
class PositionUpdate:
    uid: int
    ts_ns: int
    position: PositionSnapshot


@dataclass(frozen=True, slots=True)
class WalletUpdate:
    uid: int
    ts_ns: int
    wallet: WalletSnapshot


Event = OrderUpdate | Execution | PositionUpdate | WalletUpdate


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedPnl:
    """One closing order that ended (GET /v5/position/closed-pnl): entry and exit are cost based (values, not prices)."""

    uid: int
    symbol: str
    order_id: str
    side: int  # of the closing order
    qty_lots: int
    order_price_ticks: int
    order_type: OrderType
    exec_type: ExecType
    closed_lots: int
    entry_value_e8: int
    exit_value_e8: int
    closed_pnl_e8: int
    open_fee_e8: int
    close_fee_e8: int
    fill_count: int
    leverage_e2: int
    created_ns: int
    updated_ns: int
