"""What an account can ask about itself: wallet, fee rates, settings, its keys."""

from __future__ import annotations

from core.sim.margin_types import MarginMode
from gateway.venue.accounts import key_information
from gateway.venue.private_account_rows import wallet_row
from gateway.venue.private_rest import Call, Done
from gateway.venue.private_rest_params import PARAMETER_ERROR
from gateway.venue.private_venue import PrivateVenue
from gateway.venue.rest_answers import ApiError, instruments_info
from gateway.venue.row_texts import e8

UTA = 5  # unifiedMarginStatus of UTA 2.0


class AccountCalls:
    """The handlers."""

    def __init__(self, venue: PrivateVenue) -> None:
        self._venue = venue

    def wallet_balance(self, call: Call) -> Done:
        fields = call.fields
        if fields.text("accountType", required=True) != "UNIFIED":
            raise ApiError(PARAMETER_ERROR, "accountType only support UNIFIED.")
        exchange = self._venue.exchange
        isolated = exchange.account(call.uid).margin_mode is MarginMode.ISOLATED
        row = wallet_row(exchange.wallet(call.uid), isolated)
        coins = fields.text("coin")
        if coins:
            row["coin"] = [coin for coin in row["coin"] if coin["coin"] in coins.split(",")]
        return Done({"list": [row]})

    def fee_rate(self, call: Call) -> Done:
        fields = call.fields
        fields.category()
        contracts = self._venue.instruments
        if fields.given("symbol"):
            symbols = [self._venue.instrument(fields).symbol]
        else:
            base = fields.text("baseCoin")
            symbols = [name for name, contract in contracts.items() if not base or contract.answer["baseCoin"] == base]
        margin, rows = self._venue.exchange.account(call.uid), []
        for symbol in symbols:
            maker_e8, taker_e8 = (margin.fee_rate_e8(symbol, maker=maker) for maker in (True, False))
            rows.append({"symbol": symbol, "takerFeeRate": e8(taker_e8), "makerFeeRate": e8(maker_e8), "baseCoin": ""})
        return Done({"list": rows})

    def info(self, call: Call) -> Done:
        mode = self._venue.exchange.account(call.uid).margin_mode
        return Done({
            "marginMode": mode.text, "updatedTime": str(call.account.info_updated_ms), "unifiedMarginStatus": UTA,
            "dcpStatus": "OFF", "timeWindow": 0, "smpGroup": 0, "isMasterTrader": False, "spotHedgingStatus": "OFF",
        })

    def user_setting_config(self, call: Call) -> Done:
        """lpaPerp true: a limit price beyond the price limit is refused instead of moved."""
        return Done({"lpaSpot": False, "lpaPerp": call.account.price_limit_rejects})

    def smp_group(self, call: Call) -> Done:
        return Done({"smpGroup": 0}, "success")

    def query_dcp_info(self, call: Call) -> Done:
        return Done({"dcpInfos": []}, "success")

    def query_api(self, call: Call) -> Done:
        """About the key that asks; any permission will do."""
        return Done(key_information(call.key, call.account, call.now_ms), "")

    def coin_info(self, call: Call) -> Done:
        """The one coin of the venue; it comes and goes over no chain."""
        rows = [{"name": "USDT", "coin": "USDT", "remainAmount": "0", "chains": []}]
        return Done({"rows": [row for row in rows if call.fields.text("coin", "USDT") == row["coin"]]}, "")

    def instruments_info(self, call: Call) -> Done:
        """The contracts as this account sees them: all, like the public list."""
        rows = [contract.answer for contract in self._venue.instruments.values()]
        return Done(instruments_info(rows, call.fields.values))
