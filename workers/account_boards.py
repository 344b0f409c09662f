"""What execution shows of its account: positions, orders, the account's row."""

from __future__ import annotations

import numpy as np

from core.enums import Gate
from core.orders.broker import Broker
from core.orders.exposure import ExchangeFacts
from core.orders.latency import Ledger
from core.orders.rows import account_row, position_row
from core.records import ACCOUNT_ROW, POSITION_ROW
from shm.regions import ORDER_ROWS
from shm.topology import Plant


class AccountBoards:
    """Writer of the boards positions, orders and account."""

    def __init__(self, plant: Plant) -> None:
        self._plant = plant
        self._position: np.ndarray = np.zeros(1, POSITION_ROW.dtype)
        self._account: np.ndarray = np.zeros(1, ACCOUNT_ROW.dtype)

    def write_changes(self, broker: Broker, ledger: Ledger) -> None:
        """Positions and orders that changed since the last call."""
        for symbol in sorted(broker.dirty):
            position = broker.account.positions.get(symbol) or broker.account.closed.get(symbol)
            if position is not None:
                position_row(self._position, position, broker.instruments[symbol])
                self._plant.positions().write(symbol, self._position)
        broker.dirty.clear()
        for rows in ledger.rows(sorted(ledger.dirty)):
            self._plant.orders().write(int(rows[0]["number"]) % ORDER_ROWS, rows)
        ledger.dirty.clear()

    def write_account(
        self, broker: Broker, ts_ns: int, risk_off: Gate, exchange: ExchangeFacts | None = None
    ) -> None:
        """The account's row at event time `ts_ns`; LIVE: with the money as the exchange told it."""
        account_row(self._account, broker, ts_ns, risk_off, exchange)
        self._plant.account().write(0, self._account)
