"""Requests that set something up on a position or an account: leverage, modes, margin, trading stop, DCP."""

from __future__ import annotations

from typing import Any

from core.sim.exchange_types import OrderType, Result, TradingStopRequest
from core.sim.margin_types import MarginMode, PositionMode
from gateway.venue.private_account_rows import added_margin_rest
from gateway.venue.private_rest import Call, Done
from gateway.venue.private_rest_orders import ORDER_TYPES, TPSL_MODES, TRIGGERS, words
from gateway.venue.private_rest_params import FILLED_IN, PARAMETER_ERROR, Fields, invalid, missing
from gateway.venue.private_venue import PrivateVenue
from gateway.venue.rest_answers import ApiError
from gateway.venue.ret_texts import TEXTS

MODES = {mode.value: mode for mode in PositionMode}
MARGIN_MODES = words(*MarginMode)
PORTFOLIO = "PORTFOLIO_MARGIN"
PORTFOLIO_REASON = {"reasonCode": "3400000", "reasonMsg": "Equity needs to be equal to or greater than 1000 USDC"}
MARGIN_MODE_FAILED = 3400045
DCP_SECONDS = (3, 300)


def checked(result: Result, text: str = "OK") -> Done:
    """An empty answer. Raises ApiError where the exchange refused."""
    if result.ret_code:
        raise ApiError(result.ret_code, result.ret_msg)
    return Done({}, text)


class Settings:
    """The handlers."""

    def __init__(self, venue: PrivateVenue) -> None:
        self._venue = venue

    def set_leverage(self, call: Call) -> Done:
        fields = call.fields
        fields.category()
        symbol = self._venue.instrument(fields).symbol
        buy, sell = (fields.fixed(name, 2, required=True) for name in ("buyLeverage", "sellLeverage"))
        return checked(self._venue.exchange.set_leverage(self._venue.now_ns, call.uid, symbol, buy, sell))

    def switch_mode(self, call: Call) -> Done:
        """One-way (0) or hedge (3), of a symbol or of all symbols of a coin."""
        fields = call.fields
        fields.category()
        if not fields.given("mode"):
            raise missing("mode")
        mode = MODES.get(fields.integer("mode", 0))
        if mode is None:
            raise invalid("mode")
        symbol: str | None = None
        if fields.given("symbol"):
            symbol = self._venue.instrument(fields).symbol
        elif fields.text("coin", required=True) != "USDT":
            raise invalid("coin")
        return checked(self._venue.exchange.switch_position_mode(call.uid, mode, symbol))

    def switch_isolated(self, call: Call) -> Done:
        """The margin mode of one symbol: a matter of classic accounts, refused to unified ones."""
        call.fields.category()
        raise ApiError(100028, "The API cannot be accessed by unified account users.")

    def set_tpsl_mode(self, call: Call) -> Done:
        """Deprecated; a unified account's positions are always Full, whatever is sent."""
        call.fields.category()
        raise ApiError(100028, "The API cannot be accessed by unified account users.")

    def trading_stop(self, call: Call) -> Done:
        fields = call.fields
        fields.category()
        instrument = self._venue.instrument(fields)
        mode = fields.choice("tpslMode", TPSL_MODES, TPSL_MODES["Full"])
        prices: dict[str, Any] = {
            to: fields.ticks(name, instrument) if fields.given(name) else None
            for name, to in (("takeProfit", "take_profit_ticks"), ("stopLoss", "stop_loss_ticks"),
                             ("trailingStop", "trailing_ticks"), ("activePrice", "active_price_ticks"))
        }
        if all(price is None for price in prices.values()):
            raise ApiError(PARAMETER_ERROR, FILLED_IN.format("takeProfit, stopLoss or trailingStop"))
        details: dict[str, Any] = {}
        for name in ("tp", "sl"):
            kind = fields.choice(f"{name}OrderType", ORDER_TYPES, OrderType.MARKET)
            limit_price = fields.ticks(f"{name}LimitPrice", instrument)
            if kind is OrderType.LIMIT and not limit_price:
                raise invalid(f"{name}LimitPrice")
            details |= {
                f"{name}_order_type": kind, f"{name}_limit_ticks": limit_price if kind is OrderType.LIMIT else 0,
                f"{name}_trigger_by": fields.choice(f"{name}TriggerBy", TRIGGERS, TRIGGERS["LastPrice"]),
                f"{name}_size_lots": fields.lots(f"{name}Size", instrument),
            }
        request = TradingStopRequest(
            symbol=instrument.symbol, position_idx=position_idx(fields), tpsl_mode=mode, **prices, **details
        )
        return checked(self._venue.exchange.set_trading_stop(self._venue.now_ns, call.uid, request))

    def set_auto_add_margin(self, call: Call) -> Done:
        fields = call.fields
        fields.category()
        symbol = self._venue.instrument(fields).symbol
        if not fields.given("autoAddMargin"):
            raise missing("autoAddMargin")
        on, idx = fields.integer("autoAddMargin", 0, 0, 1) == 1, position_idx(fields)
        margin = self._venue.exchange.account(call.uid)
        position = next((p for p in margin.positions(symbol) if p.position_idx == idx), None)
        if position is None:
            raise invalid("positionIdx")
        if margin.cross:
            raise ApiError(110015, "The position is in cross margin.")
        if position.auto_add_margin is on:
            raise ApiError(110027, TEXTS[110027])
        position.auto_add_margin = on
        return Done({})

    def add_margin(self, call: Call) -> Done:
        """Add margin to an isolated position, or take it back; answers the position."""
        fields = call.fields
        fields.category()
        instrument = self._venue.instrument(fields)
        amount_e8 = fields.fixed("margin", 8, required=True, signed=True)
        idx = position_idx(fields)
        checked(self._venue.exchange.add_margin(self._venue.now_ns, call.uid, instrument.symbol, amount_e8, idx))
        found = next(p for p in self._venue.exchange.positions(call.uid, instrument.symbol) if p.position_idx == idx)
        return Done(added_margin_rest(found, instrument))

    def set_risk_limit(self, call: Call) -> Done:
        """Abandoned by Bybit: tiers follow the position value by themselves; answers the tier that holds."""
        fields = call.fields
        fields.category()
        instrument = self._venue.instrument(fields)
        row = self._venue.exchange.positions(call.uid, instrument.symbol)[0]
        limit = str(row.risk_limit_value_e8 // 100_000_000)
        return Done({"category": "linear", "riskId": row.risk_id, "riskLimitValue": limit})

    def confirm_pending_mmr(self, call: Call) -> Done:
        """Nothing is ever pending here: no system change of a margin rate waits for a confirmation."""
        call.fields.category()
        self._venue.instrument(call.fields)
        return Done({})

    def set_margin_mode(self, call: Call) -> Done:
        """Isolated or cross, for the whole account."""
        word = call.fields.text("setMarginMode", required=True)
        if word == PORTFOLIO:
            raise ApiError(MARGIN_MODE_FAILED, "Set margin mode failed", result={"reasons": [PORTFOLIO_REASON]})
        mode = MARGIN_MODES.get(word)
        if mode is None:
            raise invalid("setMarginMode")
        checked(self._venue.exchange.set_margin_mode(self._venue.now_ns, call.uid, mode))
        call.account.info_updated_ms = call.now_ms
        return Done({"reasons": []}, "Request accepted")

    def set_limit_price_action(self, call: Call) -> Done:
        """Should a limit price beyond the price limit be moved to it (modifyEnable, Bybit's default) or refused."""
        fields = call.fields
        if fields.text("category", required=True) not in ("linear", "inverse", "spot"):
            raise invalid("category")
        if not fields.given("modifyEnable"):
            raise missing("modifyEnable")
        enable = fields.flag("modifyEnable")
        if fields.text("category") == "linear":
            call.account.price_limit_rejects = not enable
        return Done({}, "success")

    def disconnected_cancel_all(self, call: Call) -> Done:
        """DCP: for institutional clients whom their account manager enabled; these accounts are retail."""
        fields = call.fields
        if fields.text("product", "OPTIONS") not in ("OPTIONS", "DERIVATIVES", "SPOT"):
            raise invalid("product")
        if not fields.given("timeWindow"):
            raise missing("timeWindow")
        fields.integer("timeWindow", 0, *DCP_SECONDS)
        raise ApiError(10005, "DCP is not enabled for this account, please contact your account manager.")


def position_idx(fields: Fields) -> int:
    return fields.integer("positionIdx", 0, 0, 2)
