"""Rows of positions and of the wallet, as REST answers them and as the streams push them: see `private_rows`.

A flat position has side "" and size "0"; REST calls avgPrice what the stream calls entryPrice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from core.constants import NS_PER_MS
from core.sim.exchange_types import SIDE_TEXT
from core.sim.margin_types import PositionSnapshot, WalletSnapshot
from gateway.venue.instruments import Instrument
from gateway.venue.row_texts import Figures, blank, e8, ms, trimmed


# -- positions -------------------------------------------------------------------------------------------------------
class PositionCell(NamedTuple):
    """What a position field is written from."""

    position: PositionSnapshot
    figures: Figures


Write = Callable[[PositionCell], Any]
POSITION: dict[str, Write] = {
    "positionIdx": lambda c: c.position.position_idx,
    "tradeMode": lambda c: 0,
    "riskId": lambda c: c.position.risk_id,
    "riskLimitValue": lambda c: e8(c.position.risk_limit_value_e8),
    "symbol": lambda c: c.position.symbol,
    "side": lambda c: SIDE_TEXT[c.position.side],
    "size": lambda c: c.figures.size(c.position.lots),
    "entryPrice": lambda c: e8(c.position.entry_price_e8),
    "avgPrice": lambda c: e8(c.position.entry_price_e8),
    "sessionAvgPrice": lambda c: "",
    "leverage": lambda c: trimmed(c.position.leverage_e2, 2),
    "breakEvenPrice": lambda c: blank(c.position.break_even_price_e8, e8(c.position.break_even_price_e8)),
    "positionValue": lambda c: e8(c.position.position_value_e8),
    "positionBalance": lambda c: e8(c.position.margin_balance_e8),
    "markPrice": lambda c: trimmed(c.position.mark_e10, 10),
    "positionIM": lambda c: e8(c.position.im_e8),
    "positionMM": lambda c: e8(c.position.mm_e8),
    "positionIMByMp": lambda c: e8(c.position.im_e8),
    "positionMMByMp": lambda c: e8(c.position.mm_e8),
    "takeProfit": lambda c: c.figures.price(c.position.take_profit_ticks),
    "stopLoss": lambda c: c.figures.price(c.position.stop_loss_ticks),
    "trailingStop": lambda c: c.figures.price(c.position.trailing_stop_ticks),
    "unrealisedPnl": lambda c: e8(c.position.unrealised_e8),
    "cumRealisedPnl": lambda c: e8(c.position.cum_realised_e8),
    "curRealisedPnl": lambda c: e8(c.position.cur_realised_e8),
    "createdTime": lambda c: ms(c.position.created_ns),
    "updatedTime": lambda c: ms(c.position.updated_ns),
    "openTime": lambda c: c.position.opened_ns // NS_PER_MS,
    "tpslMode": lambda c: "Full",
    "liqPrice": lambda c: blank(c.position.liq_price_e8, e8(c.position.liq_price_e8)),
    "bustPrice": lambda c: "",
    "category": lambda c: "linear",
    "positionStatus": lambda c: c.position.status.text,
    "adlRankIndicator": lambda c: c.position.adl_rank,
    "autoAddMargin": lambda c: int(c.position.auto_add_margin),
    "leverageSysUpdatedTime": lambda c: "",
    "mmrSysUpdatedTime": lambda c: "",
    "mmrSysUpdateTime": lambda c: "",  # the spelling of the documentation's REST example
    "seq": lambda c: c.position.seq,
    "isReduceOnly": lambda c: c.position.is_reduce_only,
}
"""Every position field; the surfaces below pick theirs."""

POSITION_STREAM = (
    "positionIdx", "tradeMode", "riskId", "riskLimitValue", "symbol", "side", "size", "entryPrice", "sessionAvgPrice",
    "leverage", "breakEvenPrice", "positionValue", "positionBalance", "markPrice", "positionIM", "positionMM",
    "positionIMByMp", "positionMMByMp", "takeProfit", "stopLoss", "trailingStop", "unrealisedPnl", "cumRealisedPnl",
    "curRealisedPnl", "createdTime", "updatedTime", "openTime", "tpslMode", "liqPrice", "bustPrice", "category",
    "positionStatus", "adlRankIndicator", "autoAddMargin", "leverageSysUpdatedTime", "mmrSysUpdatedTime", "seq",
    "isReduceOnly",
)
POSITION_REST = (
    "positionIdx", "riskId", "riskLimitValue", "symbol", "side", "size", "avgPrice", "positionValue", "tradeMode",
    "positionStatus", "autoAddMargin", "adlRankIndicator", "leverage", "breakEvenPrice", "positionBalance", "markPrice",
    "liqPrice", "bustPrice", "positionMM", "positionMMByMp", "positionIM", "positionIMByMp", "tpslMode", "takeProfit",
    "stopLoss", "trailingStop", "unrealisedPnl", "curRealisedPnl", "cumRealisedPnl", "seq", "isReduceOnly",
    "mmrSysUpdatedTime", "mmrSysUpdateTime", "leverageSysUpdatedTime", "sessionAvgPrice", "createdTime", "updatedTime",
    "openTime",
)


def position_stream(position: PositionSnapshot, instrument: Instrument) -> dict[str, Any]:
    """A row of topic `position`."""
    cell = PositionCell(position, Figures(instrument, True))
    return {name: POSITION[name](cell) for name in POSITION_STREAM}


def position_rest(position: PositionSnapshot, instrument: Instrument) -> dict[str, Any]:
    """A row of /v5/position/list."""
    cell = PositionCell(position, Figures(instrument, False))
    return {name: POSITION[name](cell) for name in POSITION_REST}


ADDED_MARGIN = (
    "category", "symbol", "positionIdx", "riskId", "riskLimitValue", "size", "positionValue", "avgPrice", "liqPrice",
    "bustPrice", "markPrice", "leverage", "autoAddMargin", "positionStatus", "positionIM", "positionMM", "unrealisedPnl",
    "cumRealisedPnl", "stopLoss", "takeProfit", "trailingStop", "createdTime", "updatedTime",
)


def added_margin_rest(position: PositionSnapshot, instrument: Instrument) -> dict[str, Any]:
    """`result` of /v5/position/add-margin."""
    cell = PositionCell(position, Figures(instrument, False))
    return {name: POSITION[name](cell) for name in ADDED_MARGIN}


# -- wallet ----------------------------------------------------------------------------------------------------------
WalletWrite = Callable[[WalletSnapshot], Any]
WALLET: dict[str, WalletWrite] = {
    "accountIMRate": lambda w: e8(w.im_rate_e8),
    "accountIMRateByMp": lambda w: e8(w.im_rate_e8),
    "accountMMRate": lambda w: e8(w.mm_rate_e8),
    "accountMMRateByMp": lambda w: e8(w.mm_rate_e8),
    "totalEquity": lambda w: e8(w.equity_e8),
    "totalWalletBalance": lambda w: e8(w.wallet_balance_e8),
    "totalMarginBalance": lambda w: e8(w.margin_balance_e8),
    "totalAvailableBalance": lambda w: e8(w.available_e8),
    "totalPerpUPL": lambda w: e8(w.unrealised_e8),
    "totalInitialMargin": lambda w: e8(w.initial_margin_e8),
    "totalInitialMarginByMp": lambda w: e8(w.initial_margin_e8),
    "totalMaintenanceMargin": lambda w: e8(w.maintenance_margin_e8),
    "totalMaintenanceMarginByMp": lambda w: e8(w.maintenance_margin_e8),
    "accountLTV": lambda w: "0",
    "accountType": lambda w: "UNIFIED",
}
MEANINGLESS_IF_ISOLATED = frozenset(name for name in WALLET if "Margin" in name or "Rate" in name or "Available" in name)
"""Bybit leaves these of the account empty in isolated mode."""

COIN: dict[str, WalletWrite] = {
    "coin": lambda w: "USDT",
    "equity": lambda w: e8(w.equity_e8),
    "usdValue": lambda w: e8(w.equity_e8),
    "walletBalance": lambda w: e8(w.wallet_balance_e8),
    "availableToWithdraw": lambda w: "",
    "availableToBorrow": lambda w: "",
    "borrowAmount": lambda w: "0",
    "accruedInterest": lambda w: "0",
    "totalOrderIM": lambda w: e8(w.order_im_e8),
    "totalPositionIM": lambda w: e8(w.position_im_e8),
    "totalPositionMM": lambda w: e8(w.position_mm_e8),
    "unrealisedPnl": lambda w: e8(w.unrealised_e8),
    "cumRealisedPnl": lambda w: e8(w.cum_realised_e8),
    "bonus": lambda w: "0",
    "collateralSwitch": lambda w: True,
    "marginCollateral": lambda w: True,
    "locked": lambda w: "0",
    "spotHedgingQty": lambda w: "0",
    "spotBorrow": lambda w: "0",
}


def wallet_row(wallet: WalletSnapshot, isolated: bool) -> dict[str, Any]:
    """The account object of /v5/account/wallet-balance and of topic `wallet`."""
    row = {name: "" if isolated and name in MEANINGLESS_IF_ISOLATED else write(wallet) for name, write in WALLET.items()}
    held = wallet.wallet_balance_e8 or wallet.equity_e8 or wallet.order_im_e8 or wallet.position_im_e8
    row["coin"] = [{name: write(wallet) for name, write in COIN.items()}] if held else []
    return row
