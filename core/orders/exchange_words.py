"""What the ExchangeDesk and a link to an exchange say to each other: requests, events, effects.

Pure words, no behaviour. A link (real sockets, or `core.sim` with latency and faults) turns requests into bytes and bytes
into events; it decides nothing. Units: prices in ticks and quantities in lots of the symbol's grid, money 1e-8 USDT
(`_e8`), leverage 1e-2 (`_e2`), computed prices that need not lie on the grid 1e-8 USDT (`_price_e8`), times of the venue
in ms, times of ours in ns of the monotonic clock. A side is a sign: +1 buy or long, -1 sell or short, 0 flat. `symbol` is
the venue's name. Price 0 = none, unless the field is `int | None`: then None = leave it, 0 = remove it.

The small closed sets of words are the enums of `core.sim.exchange_types` (one declaration; `.text` is Bybit's word). Sets
that Bybit extends without notice (execType, createType, cancelType, rejectReason) stay text: an unknown one is kept and
shown, never an exception.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from core.enums import Severity
from core.orders.wire import Message
from core.sim.exchange_types import OrderStatus, OrderType, StopOrderType, TimeInForce, TpslMode, TriggerBy

__all__ = [
    "AccountRow", "Ack", "Amend", "Banned", "Cancel", "CancelEntries", "ClockOffset", "Create", "Effect", "Event",
    "ExecutionRow", "FeeRow", "InstrumentRow", "KeyRow", "LinkState", "Log", "Lost", "OrderRow", "OrderStatus",
    "OrderType", "Persist", "PositionRow", "QueryKind", "Query", "QueryRows", "Quote", "RecordKind", "Request", "Row",
    "Send", "SetLeverage", "StopOrderType", "Stream", "Tell", "TimeInForce", "TpslMode", "TradingStop", "TriggerBy",
    "WalletRow", "req_epoch", "REQ_EPOCH_SHIFT",
]

REQ_EPOCH_SHIFT = 32  # req_id = connection epoch of the trade stream << 32 | running number


def req_epoch(req_id: int) -> int:
    """The connection epoch a request was made for: an answer over another connection is only a hint (O11)."""
    return req_id >> REQ_EPOCH_SHIFT


# --- requests: desk -> link ----------------------------------------------------------------------------------------
class QueryKind(IntEnum):
    """What to look up, and the rows of the answer."""

    ORDER_REALTIME = 0  # OrderRow; by link_id: one order, open or just ended; else the open orders of symbol or of all
    ORDER_HISTORY = 1  # OrderRow of ended orders
    EXECUTIONS = 2  # ExecutionRow since `since_ms`, newest first, funding included
    POSITIONS = 3  # PositionRow; with a symbol also the empty one
    WALLET = 4  # one WalletRow
    API_KEY = 5  # one KeyRow
    ACCOUNT = 6  # one AccountRow
    INSTRUMENT = 7  # one InstrumentRow
    FEE = 8  # one FeeRow
    SERVER_TIME = 9  # answered with ClockOffset, then QueryRows without rows
    CLOSED_PNL = 10  # ClosedPnlRow of closing orders that ended between `since_ms` and `until_ms`, newest first


class Create(NamedTuple):
    """POST order/create. Always goes out with `modifyEnable=true`: a limit beyond the price limit is moved to it.

    `qty_lots` 0 with reduce_only and close_on_trigger closes the whole position. `stop_ticks`, `target_ticks` attach
    a Full stop loss / take profit (market exits) with the triggers given. `slippage_e2pct` > 0 bounds a market order
    (slippageToleranceType Percent, in 1e-2 percent). `trigger_ticks` > 0 makes it conditional."""

    req_id: int
    link_id: str
    symbol: str
    side: int
    order_type: OrderType
    qty_lots: int
    price_ticks: int = 0
    tif: TimeInForce = TimeInForce.GTC
    reduce_only: bool = False
    close_on_trigger: bool = False
    stop_ticks: int = 0
    target_ticks: int = 0
    stop_trigger_by: TriggerBy = TriggerBy.LAST
    target_trigger_by: TriggerBy = TriggerBy.LAST
    position_idx: int = 0
    trigger_ticks: int = 0
    trigger_direction: int = 0
    trigger_by: TriggerBy = TriggerBy.NONE
    slippage_e2pct: int = 0


class Amend(NamedTuple):
    """POST order/amend. `qty_lots` is the total quantity. `order_id` wins over `link_id` where both are given."""

    req_id: int
    symbol: str
    link_id: str
    order_id: str = ""
    price_ticks: int | None = None
    qty_lots: int | None = None


class Cancel(NamedTuple):
    """POST order/cancel of one order. `order_id` wins over `link_id` where both are given."""

    req_id: int
    symbol: str
    link_id: str
    order_id: str = ""


class CancelEntries(NamedTuple):
    """POST order/cancel-all with orderFilter=Order (never bare: that would remove the stops too), of one symbol or,
    None, of every USDT contract (settleCoin)."""

    req_id: int
    symbol: str | None = None


class TradingStop(NamedTuple):
    """POST position/trading-stop. None = leave it, 0 = remove it; sizes only in Partial mode (both equal)."""

    req_id: int
    symbol: str
    stop_ticks: int | None = None
    target_ticks: int | None = None
    trailing_ticks: int | None = None
    active_ticks: int | None = None
    mode: TpslMode = TpslMode.FULL
    position_idx: int = 0
    stop_trigger_by: TriggerBy = TriggerBy.LAST
    target_trigger_by: TriggerBy = TriggerBy.LAST
    size_lots: int = 0


class SetLeverage(NamedTuple):
    """POST position/set-leverage, the same for both sides."""

    req_id: int
    symbol: str
    leverage_e2: int


class Query(NamedTuple):
    """One page of a look-up. `symbol` None = every USDT contract (settleCoin). `cursor` exactly as it was given."""

    req_id: int
    what: QueryKind
    symbol: str | None = None
    link_id: str | None = None
    order_id: str | None = None
    since_ms: int = 0
    until_ms: int = 0
    cursor: str = ""


Request = Create | Amend | Cancel | CancelEntries | TradingStop | SetLeverage | Query


# --- events: link -> desk ------------------------------------------------------------------------------------------
class Ack(NamedTuple):
    """The answer to a request: `ret_code` 0 = taken, which says nothing of the outcome of an order.

    Queries answer with QueryRows when taken and with Ack when refused. `limit_left` -1 = not told. HTTP states without
    a body come as Lost, except 401 and 403 (`ret_code` is the HTTP state). `order_id` of a Create, "" = not told."""

    req_id: int
    ret_code: int
    ret_msg: str = ""
    limit_left: int = -1
    limit_reset_ms: int = 0
    order_id: str = ""


class Lost(NamedTuple):
    """No usable answer to a request: timeout, disconnect, undecodable body, HTTP 5xx. Whether it acted is unknown.

    `sent` False only where it is certain that not one byte left (no connection, deadline passed in the queue)."""

    req_id: int
    why: str
    sent: bool = True


class OrderRow(NamedTuple):
    """An order as the venue tells it (topic `order`, order/realtime, order/history).

    `status` None = a word we do not know (`status_text` has it). `leaves_lots` is 0 once an order is closed: what is
    missing is qty_lots - cum_lots. `updated_ms` and `seq` order the tellings (`seq` 0 = not told)."""

    symbol: str
    order_id: str
    link_id: str
    side: int
    order_type: OrderType | None
    tif: TimeInForce | None
    status: OrderStatus | None
    price_ticks: int
    qty_lots: int
    cum_lots: int
    leaves_lots: int
    cum_value_e8: int = 0
    cum_fee_e8: int = 0
    position_idx: int = 0
    reduce_only: bool = False
    close_on_trigger: bool = False
    stop_order_type: StopOrderType = StopOrderType.NONE
    trigger_ticks: int = 0
    stop_ticks: int = 0
    target_ticks: int = 0
    create_type: str = "CreateByUser"
    cancel_type: str = ""
    reject_reason: str = ""
    parent_link_id: str = ""
    status_text: str = ""
    created_ms: int = 0
    updated_ms: int = 0
    seq: int = 0


class ExecutionRow(NamedTuple):
    """One execution (topic `execution`, execution/list). `exec_type` is Bybit's word. `fee_e8` positive = paid.

    Funding: `order_id` random, `link_id` "", side and quantity of the position, price_ticks 0 where the mark is off the
    grid. `leaves_lots` of the order after it; `value_e8` as told by the venue (0 = not told)."""

    exec_id: str
    exec_type: str
    order_id: str
    link_id: str
    symbol: str
    side: int
    price_ticks: int
    qty_lots: int
    fee_e8: int
    is_maker: bool
    closed_lots: int
    exec_time_ms: int
    seq: int
    leaves_lots: int = 0
    value_e8: int = 0
    stop_order_type: StopOrderType = StopOrderType.NONE
    create_type: str = ""
    position_idx: int = 0


class ClosedPnlRow(NamedTuple):
    """What one closing order realised (position/closed-pnl): fees of both ways in it, no funding. Its entry and exit values
    are cost based and not taken."""

    symbol: str
    order_id: str
    side: int
    lots: int
    closed_pnl_e8: int
    updated_ms: int


class PositionRow(NamedTuple):
    """A position (topic `position`, position/list). `lots` >= 0, `side` its sign, 0 flat. `status` Normal, Liq, Adl."""

    symbol: str
    position_idx: int
    side: int
    lots: int
    entry_value_e8: int
    avg_price_e8: int
    stop_ticks: int
    target_ticks: int
    trailing_ticks: int
    leverage_e2: int
    mark_price_e8: int
    liq_price_e8: int
    adl_rank: int
    status: str
    is_reduce_only: bool
    realised_e8: int
    seq: int
    updated_ms: int

    @property
    def signed_lots(self) -> int:
        """`lots` with the sign of the side."""
        return self.side * self.lots


class WalletRow(NamedTuple):
    """The USDT of the unified account. Margin figures are 0 where the venue calls them meaningless (isolated)."""

    balance_e8: int
    equity_e8: int
    available_e8: int
    unrealised_e8: int
    initial_margin_e8: int
    maintenance_margin_e8: int
    updated_ms: int


class KeyRow(NamedTuple):
    """GET user/query-api. `permissions` as "Group:Right" words; `expires_ms` 0 = never; `ips` empty = not bound."""

    user_id: str
    read_only: bool
    permissions: tuple[str, ...]
    ips: tuple[str, ...]
    expires_ms: int


class AccountRow(NamedTuple):
    """GET account/info: `margin_mode` is Bybit's word (ISOLATED_MARGIN, REGULAR_MARGIN, PORTFOLIO_MARGIN)."""

    margin_mode: str
    unified_status: int


class InstrumentRow(NamedTuple):
    """Trading filters of a symbol as they are now (O29). Steps as mantissas like `core.position.position.Grid`."""

    symbol: str
    status: str
    tick_mant: int
    price_exp: int
    lot_mant: int
    qty_exp: int
    min_qty_lots: int
    max_qty_lots: int
    max_market_lots: int
    min_notional_e8: int
    max_leverage_e2: int


class FeeRow(NamedTuple):
    """Fee rates of a symbol in 1e-8."""

    symbol: str
    maker_fee_e8: int
    taker_fee_e8: int


Row = (
    OrderRow | ExecutionRow | ClosedPnlRow | PositionRow | WalletRow | KeyRow | AccountRow | InstrumentRow | FeeRow
)


class QueryRows(NamedTuple):
    """One page of the answer to a Query; `next_cursor` "" = the last one. `now_ms` is the venue's clock, 0 = not told."""

    req_id: int
    kind: QueryKind
    rows: tuple[Row, ...]
    next_cursor: str = ""
    now_ms: int = 0


class Stream(IntEnum):
    """The connections of a link."""

    PRIVATE = 0
    TRADE = 1
    REST = 2


class LinkState(NamedTuple):
    """A connection is usable (authenticated and, private, subscribed) or is not; `epoch` rises with every connection."""

    stream: Stream
    up: bool
    epoch: int


class ClockOffset(NamedTuple):
    """Measured: clock of the venue minus ours, ms (the link signs with it; the desk only knows it is fresh)."""

    ms: int


class Banned(NamedTuple):
    """No request may leave before `until_ns` (monotonic): IP ban."""

    until_ns: int


class Quote(NamedTuple):
    """What is known of a market: touch, mark, price limits (highest price to buy at, lowest to sell at). 0 = unknown."""

    symbol: str
    bid_ticks: int = 0
    ask_ticks: int = 0
    mark_ticks: int = 0
    buy_limit_ticks: int = 0
    sell_limit_ticks: int = 0


Event = Ack | Lost | Row | QueryRows | LinkState | ClockOffset | Banned | Quote  # a bare Row comes from a stream


# --- effects: desk -> shell, strictly in order -----------------------------------------------------------------------
class RecordKind(IntEnum):
    """Journal records of the desk (payloads: core.orders.desk_journal)."""

    INTENT = 1  # an order as it will be sent
    EXECUTION = 2  # applied once and for all
    ENDED = 3  # an order is proved ended
    LATCH = 4  # kill latch, trouble, symbol off
    CHECKPOINT = 5  # reconciled up to a venue time
    PROTECT = 6  # stop and targets wanted for a position
    BASE = 7  # what a compacted journal begins with
    RESUMED = 8  # a restart: nothing written before it can leave any more


class Persist(NamedTuple):
    """Append to the journal. Whatever follows it in the list of effects may leave only once it is durable."""

    kind: RecordKind
    payload: bytes


class Send(NamedTuple):
    """Hand to the link. After `deadline_ns` (monotonic, 0 = none) it must not leave any more: answer Lost(sent=False).
    The last question before the first byte is `ExchangeDesk.may_leave`; no: the same answer.

    `urgent`: protection, closes, cancels: they may use the part of the rate budget that entries may not."""

    request: Request
    deadline_ns: int
    urgent: bool


class Tell(NamedTuple):
    """FILL or DONE for the Broker, as if a shard's paper desk had sent it."""

    message: Message


class Log(NamedTuple):
    """Something worth a line: `word` is the counter of RELIABILITY.md it belongs to where there is one."""

    severity: Severity
    word: str
    symbol: str
    text: str
    a: int = 0
    b: int = 0


Effect = Persist | Send | Tell | Log
