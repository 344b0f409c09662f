"""The words of the margin account: modes, causes, and the frozen rows it hands out.

Units: money 1e-8 USDT (`_e8`), rates 1e-8 (`_e8`, 0.055 % = 55_000), leverage 1e-2 (`_e2`), mark prices 1e-10 USDT
(`_e10`), other computed prices 1e-8 USDT (`_price_e8`), order prices in ticks, quantities in lots, times in ns.
Enum names are ours, their `.text` (where it differs from a number) is Bybit's word.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from typing import NamedTuple, Protocol

from core.position.position import Grid


class Worded(IntEnum):
    """An IntEnum whose members carry the word Bybit writes."""

    text: str

    def __new__(cls, value: int, text: str) -> Worded:
        member = int.__new__(cls, value)
        member._value_ = value
        member.text = text
        return member


class MarginMode(Worded):
    """Margin mode of the whole account (UTA)."""

    ISOLATED = 0, "ISOLATED_MARGIN"
    REGULAR = 1, "REGULAR_MARGIN"  # cross


class PositionMode(Worded):
    """Position mode of a symbol; the numbers are those of /v5/position/switch-mode."""

    ONE_WAY = 0, "MergedSingle"
    HEDGE = 3, "BothSides"


class PositionStatus(Worded):
    NORMAL = 0, "Normal"
    LIQ = 1, "Liq"
    ADL = 2, "Adl"


class MarginRule(IntEnum):
    """Which price margins are computed on (BYBIT.md 12): before 2 Sep 2025 the entry, since then the mark price
    (cross: IM and MM; isolated: MM only)."""

    ENTRY_2024 = 0
    MARK_2025 = 1


class ExecType(Worded):
    TRADE = 0, "Trade"
    FUNDING = 1, "Funding"
    ADL_TRADE = 2, "AdlTrade"
    BUST_TRADE = 3, "BustTrade"
    SETTLE = 4, "Settle"


class Cause(Worded):
    """Why cash changed; the text is the `type` of Bybit's transaction log."""

    DEPOSIT = 0, "TRANSFER_IN"
    WITHDRAWAL = 1, "TRANSFER_OUT"
    REALISED = 2, "TRADE"  # result of closed lots, without the fee
    FEE = 3, "FEE"
    FUNDING = 4, "SETTLEMENT"
    LIQUIDATION = 5, "LIQUIDATION"  # result of lots closed at the bankruptcy price
    ADL = 6, "ADL"
    DELIVERY = 8, "DELIVERY"  # result of lots settled because the contract ended
    INSURANCE = 7, "INSURANCE"  # a loss the account could not pay, taken over by the insurance fund


class RiskTier(NamedTuple):
    """One row of /v5/market/risk-limit: holds for position plus order values up to `limit_value_e8`."""

    id: int
    limit_value_e8: int
    im_rate_e8: int
    mm_rate_e8: int
    mm_deduction_e8: int
    max_leverage_e2: int


@dataclass(frozen=True, kw_only=True)
class MarginInstrument:
    """What the account must know of a symbol. tick = tick_mant / 10^price_exp, lot = lot_mant / 10^qty_exp.

    The exchange's instrument record may extend it. `tiers` are ascending in their limit values."""

    symbol: str
    tick_mant: int
    price_exp: int
    lot_mant: int
    qty_exp: int
    tiers: tuple[RiskTier, ...]
    min_price_ticks: int = 1
    max_price_ticks: int = 1 << 40
    min_leverage_e2: int = 100
    max_leverage_e2: int = 10_000
    leverage_step_e2: int = 1
    funding_interval_ns: int = 28_800_000_000_000

    @cached_property
    def grid(self) -> Grid:
        return Grid(self.tick_mant, self.lot_mant, self.price_exp + self.qty_exp)


@dataclass(frozen=True, kw_only=True)
class AccountSpec:
    """How an account begins. Fee rates by symbol override the account's (symbol -> (maker, taker))."""

    deposit_e8: int = 0
    maker_fee_e8: int = 20_000
    taker_fee_e8: int = 55_000
    symbol_fees_e8: dict[str, tuple[int, int]] = field(default_factory=dict)
    margin_mode: MarginMode = MarginMode.REGULAR
    position_mode: PositionMode = PositionMode.ONE_WAY
    leverage_e2: int = 1000
    rule: MarginRule = MarginRule.MARK_2025


class MarginOrder(Protocol):
    """What `MarginAccount.hold` reads of an order; a market order carries the price it may walk to."""

    @property
    def order_id(self) -> str: ...
    @property
    def symbol(self) -> str: ...
    @property
    def position_idx(self) -> int: ...
    @property
    def side(self) -> int: ...
    @property
    def leaves_lots(self) -> int: ...
    @property
    def price_ticks(self) -> int: ...
    @property
    def reduce_only(self) -> bool: ...


class FillResult(NamedTuple):
    """`realised_e8` without any fee; `fee_e8` positive = paid. closed + opened = filled lots.

    For the closed lots: what they cost (`entry_value_e8`) and brought (`exit_value_e8`), the fees paid for opening and
    closing them. Bybit's closedPnl = realised - open fee - close fee."""

    fee_e8: int
    realised_e8: int
    closed_lots: int
    opened_lots: int
    value_e8: int
    entry_value_e8: int
    exit_value_e8: int
    open_fee_e8: int
    close_fee_e8: int

    @property
    def closed_pnl_e8(self) -> int:
        return self.realised_e8 - self.open_fee_e8 - self.close_fee_e8


class FundingResult(NamedTuple):
    """One settlement of one position; `fee_e8` positive = paid, `side` of the position, `mark_e10` = execPrice."""

    symbol: str
    position_idx: int
    side: int
    lots: int
    value_e8: int
    fee_e8: int
    rate_e10: int
    mark_e10: int


class DueKind(IntEnum):
    """Next step of a liquidation, in this order (Bybit's ladder, MARGIN.md)."""

    CANCEL = 0  # cancel the working orders of `cancel_symbols`, then ask `liquidations()` again
    REDUCE = 1  # FillOrKill of `lots` at `bust_price_ticks` or better; not filled: `liquidation_refused`
    TAKEOVER = 2  # the engine takes `lots` at `bust_price_ticks` (BustTrade)


class Due(NamedTuple):
    """A step of a liquidation the exchange must carry out now; `side` of the closing order, `lots` 0 for CANCEL."""

    kind: DueKind
    symbol: str
    position_idx: int
    side: int
    lots: int
    bust_price_ticks: int
    cancel_symbols: tuple[str, ...]


class LedgerEntry(NamedTuple):
    """One change of cash. `ref` = execution id, funding instant or transfer id; `order_id` where there is one."""

    seq: int
    ts_ns: int
    cause: Cause
    symbol: str
    position_idx: int
    order_id: str
    ref: str
    change_e8: int
    balance_e8: int


@dataclass(frozen=True, slots=True)
class PositionSnapshot:
    """Everything a position row shows. `side` +1, -1, 0 flat. Prices that do not exist are 0 (Bybit: "")."""

    uid: int
    symbol: str
    position_idx: int
    side: int
    lots: int
    entry_price_e8: int
    position_value_e8: int
    leverage_e2: int
    risk_id: int
    risk_limit_value_e8: int
    mark_e10: int
    im_e8: int
    mm_e8: int
    liq_price_e8: int
    bust_price_e8: int
    break_even_price_e8: int
    unrealised_e8: int
    cur_realised_e8: int
    cum_realised_e8: int
    margin_balance_e8: int  # isolated: initial + added margin; cross: 0
    take_profit_ticks: int
    stop_loss_ticks: int
    trailing_stop_ticks: int
    status: PositionStatus
    adl_rank: int
    auto_add_margin: bool
    is_reduce_only: bool
    created_ns: int
    updated_ns: int
    opened_ns: int
    seq: int


@dataclass(frozen=True, slots=True)
class WalletSnapshot:
    """UTA wallet with the one coin USDT. Rates 1e-8 of 1; meaningless (0) in isolated mode, as Bybit says."""

    uid: int
    equity_e8: int
    wallet_balance_e8: int
    margin_balance_e8: int
    available_e8: int
    unrealised_e8: int
    initial_margin_e8: int
    maintenance_margin_e8: int
    im_rate_e8: int
    mm_rate_e8: int
    order_im_e8: int
    position_im_e8: int
    position_mm_e8: int
    cum_realised_e8: int
