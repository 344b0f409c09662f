"""Board rows of execution: POSITION_ROW and ACCOUNT_ROW from the broker's objects."""

from __future__ import annotations

import numpy as np

from core.constants import DAY_NS
from core.enums import Gate
from core.orders.broker import Broker
from core.orders.exposure import ExchangeFacts, baselines
from core.orders.wire import target_fields
from core.position.position import Position
from core.risk.gate import UNKNOWN
from core.risk.policy import Instrument

STOP_STANDS = 1
CLOSING = 2


def position_row(rows: np.ndarray, position: Position, instrument: Instrument) -> None:
    """Fill `rows[0]` (POSITION_ROW)."""
    row = rows[0]
    row["symbol"] = position.symbol
    row["side"] = position.side
    open_now = position.lots != 0
    row["flags"] = (STOP_STANDS if open_now and position.stop_ticks > 0 else 0) | (
        CLOSING if open_now and position.closing else 0
    )
    row["qty_lots"] = position.lots
    for name in (
        "entry_value_e8", "mark2_ticks", "unrealised_e8", "realised_e8", "fees_e8", "stop_ticks",
        "opened_ns", "updated_ns", "order_id", "decision_id", "leverage_e2", "best_ticks", "worst_ticks", "margin_e8",
    ):
        row[name] = getattr(position, name)
    for name, value in target_fields(position.targets).items():
        row[name] = value
    row["tick_size"] = instrument.tick_size
    row["lot_size"] = instrument.lot_size


def account_row(
    rows: np.ndarray, broker: Broker, ts_ns: int, risk_off: Gate, exchange: ExchangeFacts | None = None
) -> None:
    """Fill `rows[0]` (ACCOUNT_ROW) at event time `ts_ns`, with which the day of a quiet account ends, too. LIVE: the money
    is the `exchange`'s, zeros where it has not spoken yet; what trades cost and brought is as booked here."""
    row, account = rows[0], broker.account
    highest = int(row["max_equity_e8"])
    for name in (
        "balance_e8", "equity_e8", "unrealised_e8", "realised_e8", "realised_day_e8", "margin_used_e8",
        "fees_e8", "fills", "trades_closed", "wins", "updated_ns", "max_equity_e8",
    ):
        row[name] = getattr(account, name)
    if exchange is not None:
        _exchange_money(row, exchange, highest)
    row["day_start_equity_e8"], _ = baselines(broker.ledger, ts_ns, int(row["equity_e8"]), exchange is not None)
    day = ts_ns // DAY_NS
    if day > account.day >= 0:
        row["realised_day_e8"] = 0
    row["heat_e8"] = account.heat_e8(broker.policy.taker_fee_e8)
    row["open_positions"] = len(account.positions)
    row["working_orders"] = len(broker.working)
    row["intents"] = broker.intents
    row["orders"] = broker.orders
    row["rejects"] = broker.rejects
    row["risk_off"] = int(risk_off)
    row["mode"] = int(broker.router.mode)
    row["day"] = max(account.day, day, 0)
    row["digest"] = np.uint64(account.digest)


def _exchange_money(row: np.void, exchange: ExchangeFacts, highest_e8: int) -> None:
    """The wallet as told last; what of it is not available is margin in use."""
    told = (exchange.balance_e8, exchange.equity_e8, exchange.available_e8)
    balance, equity, available = (0 if e8 == UNKNOWN else e8 for e8 in told)
    row["balance_e8"], row["equity_e8"], row["margin_used_e8"] = balance, equity, equity - available
    row["unrealised_e8"] = equity - balance
    row["max_equity_e8"] = max(highest_e8, equity)
