"""The private paths: method, permission that a key needs, handler."""

from __future__ import annotations

from gateway.venue.accounts import ORDER, POSITION
from gateway.venue.private_rest import Endpoint
from gateway.venue.private_rest_account import AccountCalls
from gateway.venue.private_rest_orders import OrderCalls, batch_units
from gateway.venue.private_rest_queries import Queries
from gateway.venue.private_rest_settings import Settings
from gateway.venue.private_venue import PrivateVenue


def endpoints(venue: PrivateVenue) -> dict[str, Endpoint]:
    """Path -> endpoint. Reading needs the same permission as acting; what any key may ask needs none."""
    orders, queries, settings, account = OrderCalls(venue), Queries(venue), Settings(venue), AccountCalls(venue)
    return {
        "/v5/order/create": Endpoint("POST", ORDER, orders.create),
        "/v5/order/amend": Endpoint("POST", ORDER, orders.amend),
        "/v5/order/cancel": Endpoint("POST", ORDER, orders.cancel),
        "/v5/order/cancel-all": Endpoint("POST", ORDER, orders.cancel_all),
        "/v5/order/create-batch": Endpoint("POST", ORDER, orders.create_batch, batch_units),
        "/v5/order/amend-batch": Endpoint("POST", ORDER, orders.amend_batch, batch_units),
        "/v5/order/cancel-batch": Endpoint("POST", ORDER, orders.cancel_batch, batch_units),
        "/v5/order/pre-check": Endpoint("POST", ORDER, orders.pre_check),
        "/v5/order/disconnected-cancel-all": Endpoint("POST", ORDER, settings.disconnected_cancel_all),
        "/v5/order/realtime": Endpoint("GET", ORDER, queries.realtime),
        "/v5/order/history": Endpoint("GET", ORDER, queries.history),
        "/v5/execution/list": Endpoint("GET", ORDER, queries.executions),
        "/v5/position/list": Endpoint("GET", POSITION, queries.positions),
        "/v5/position/closed-pnl": Endpoint("GET", POSITION, queries.closed_pnl),
        "/v5/position/set-leverage": Endpoint("POST", POSITION, settings.set_leverage),
        "/v5/position/switch-mode": Endpoint("POST", POSITION, settings.switch_mode),
        "/v5/position/switch-isolated": Endpoint("POST", POSITION, settings.switch_isolated),
        "/v5/position/set-tpsl-mode": Endpoint("POST", POSITION, settings.set_tpsl_mode),
        "/v5/position/trading-stop": Endpoint("POST", POSITION, settings.trading_stop),
        "/v5/position/set-auto-add-margin": Endpoint("POST", POSITION, settings.set_auto_add_margin),
        "/v5/position/add-margin": Endpoint("POST", POSITION, settings.add_margin),
        "/v5/position/set-risk-limit": Endpoint("POST", POSITION, settings.set_risk_limit),
        "/v5/position/confirm-pending-mmr": Endpoint("POST", POSITION, settings.confirm_pending_mmr),
        "/v5/account/wallet-balance": Endpoint("GET", None, account.wallet_balance),
        "/v5/account/fee-rate": Endpoint("GET", None, account.fee_rate),
        "/v5/account/info": Endpoint("GET", None, account.info),
        "/v5/account/instruments-info": Endpoint("GET", None, account.instruments_info),
        "/v5/account/user-setting-config": Endpoint("GET", None, account.user_setting_config),
        "/v5/account/set-limit-px-action": Endpoint("POST", ORDER, settings.set_limit_price_action),
        "/v5/account/smp-group": Endpoint("GET", None, account.smp_group),
        "/v5/account/query-dcp-info": Endpoint("GET", None, account.query_dcp_info),
        "/v5/account/set-margin-mode": Endpoint("POST", POSITION, settings.set_margin_mode),
        "/v5/account/transaction-log": Endpoint("GET", None, queries.transaction_log),
        "/v5/asset/coin/query-info": Endpoint("GET", None, account.coin_info),
        "/v5/user/query-api": Endpoint("GET", None, account.query_api),
    }
