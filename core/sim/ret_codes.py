"""retCodes the exchange itself gives, with Bybit's texts. Codes of the door (signature, limits, paths) are the venue's.

Sources: Bybit's error-code page; texts of 110001, 110007, 110017, 110043, 34040 as real clients have logged them.
"""

from __future__ import annotations

from enum import IntEnum


class RetCode(IntEnum):
    OK = 0
    PARAMETER = 10001
    SYMBOL_NOT_ALLOWED = 10029
    TPSL_UNCHANGED = 34040
    ORDER_NOT_FOUND = 110001
    PRICE_OUT_OF_RANGE = 110003
    BALANCE = 110004
    NOT_ENOUGH_BALANCE = 110007
    ORDER_DONE = 110008
    STOP_ORDERS_LIMIT = 110009
    ORDER_CANCELLED = 110010
    WOULD_LIQUIDATE = 110011
    LEVERAGE_OVER_TIER = 110013
    REDUCE_ONLY = 110017
    ORDERS_LIMIT = 110020
    REDUCE_ONLY_CONTRACT = 110023
    POSITION_EXISTS = 110024
    MODE_UNCHANGED = 110025
    MARGIN_MODE_UNCHANGED = 110026
    MARGIN_UNCHANGED = 110027
    ORDERS_EXIST = 110028
    NO_NET_POSITION = 110034
    LEVERAGE_UNCHANGED = 110043
    PARTIAL_TPSL_LIMIT = 110061
    QTY_BELOW_FILLED = 110064
    DUPLICATE_LINK_ID = 110072
    NOT_LIVE = 110074
    RISK_LIMIT = 110090
    TRIGGER_NOT_RISING = 110092
    TRIGGER_NOT_FALLING = 110093
    MIN_NOTIONAL = 110094
    NO_LIQUIDITY = 110118
    DELISTING = 30228


TEXTS: dict[int, str] = {
    RetCode.OK: "OK",
    RetCode.PARAMETER: "Request parameter error.",
    RetCode.SYMBOL_NOT_ALLOWED: "The requested symbol is invalid or not allowed for this key.",
    RetCode.TPSL_UNCHANGED: "not modified",
    RetCode.ORDER_NOT_FOUND: "order not exists or too late to cancel",
    RetCode.PRICE_OUT_OF_RANGE: "Order price exceeds the allowable range.",
    RetCode.BALANCE: "Wallet balance is insufficient.",
    RetCode.NOT_ENOUGH_BALANCE: "ab not enough for new order",
    RetCode.ORDER_DONE: "Order has been finished or canceled",
    RetCode.STOP_ORDERS_LIMIT: "The number of stop orders exceeds the maximum allowable limit.",
    RetCode.ORDER_CANCELLED: "The order has been cancelled.",
    RetCode.WOULD_LIQUIDATE: "Liquidation will be triggered immediately by this adjustment.",
    RetCode.LEVERAGE_OVER_TIER: "Cannot set leverage due to risk limit level.",
    RetCode.REDUCE_ONLY: "current position is zero, cannot fix reduce-only order qty",
    RetCode.ORDERS_LIMIT: "Not allowed to have more than 500 active orders.",
    RetCode.REDUCE_ONLY_CONTRACT: "Currently you can only reduce positions on this contract.",
    RetCode.POSITION_EXISTS: "You have an existing position, so the position mode cannot be switched.",
    RetCode.MODE_UNCHANGED: "Position mode is not modified",
    RetCode.MARGIN_MODE_UNCHANGED: "Cross/isolated margin mode is not modified",
    RetCode.MARGIN_UNCHANGED: "Margin is not modified",
    RetCode.ORDERS_EXIST: "You have existing open orders, so the position mode cannot be switched.",
    RetCode.NO_NET_POSITION: "There is no net position.",
    RetCode.LEVERAGE_UNCHANGED: "leverage not modified",
    RetCode.PARTIAL_TPSL_LIMIT: "Cannot have more than 20 TP/SLs under Partial tpSlMode",
    RetCode.QTY_BELOW_FILLED: "The number of contracts modified cannot be less than or equal to the filled quantity",
    RetCode.DUPLICATE_LINK_ID: "OrderLinkedID is duplicate",
    RetCode.NOT_LIVE: "This contract is not live",
    RetCode.RISK_LIMIT: "The position value would exceed the risk limit of the current leverage, lower the leverage.",
    RetCode.TRIGGER_NOT_RISING: "expect Rising, but trigger_price is not above the current price",
    RetCode.TRIGGER_NOT_FALLING: "expect Falling, but trigger_price is not below the current price",
    RetCode.MIN_NOTIONAL: "Order does not meet minimum order value 5USDT",
    RetCode.NO_LIQUIDITY: "There is no liquidity in the market for this order.",
    RetCode.DELISTING: "No new positions during delisting.",
}


class Refused(Exception):
    """A request the exchange does not take: retCode and retMsg."""

    def __init__(self, code: int, text: str = "") -> None:
        self.code = int(code)
        self.text = text or TEXTS.get(self.code, "")
        super().__init__(f"{self.code} {self.text}")
