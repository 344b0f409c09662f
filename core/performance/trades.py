"""One closed trade as the figures see it."""

from __future__ import annotations

from typing import NamedTuple

from core.constants import DAY_NS, HOUR_NS

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
PUMP_STATES = frozenset({"PREPUMP", "PUMPING", "BLOWOFF"})
MOVE_TYPES = ("pump", "dump", "slow grind")


class Trade(NamedTuple):
    """Money in 1e-8 USDT; `net_e8 = gross_e8 - fees_e8 - funding_e8`. `risk_e8`: loss at the first stop, fees included (one
    R), 0 = not known. `mfe_e8`, `mae_e8` >= 0: best and worst the open position stood, before fees, None = not known.
    `slippage_e8`: how much worse than asked for the fills of entries, stops and targets were; part of `gross_e8` already."""

    session_id: str
    position_no: int
    symbol: str
    side: int
    opened_ns: int
    closed_ns: int
    entry_value_e8: int
    gross_e8: int
    fees_e8: int
    funding_e8: int
    net_e8: int
    risk_e8: int = 0
    mfe_e8: int | None = None
    mae_e8: int | None = None
    slippage_e8: int = 0
    close_reason: str = ""
    move_type: str = ""
    decision_id: str = ""
    quantity: str = ""
    entry_price: str = ""
    exit_price: str = ""

    @property
    def won(self) -> bool:
        return self.net_e8 > 0

    @property
    def r(self) -> float | None:
        """Result in multiples of what was risked."""
        return self.net_e8 / self.risk_e8 if self.risk_e8 > 0 else None

    @property
    def hold_s(self) -> float:
        return (self.closed_ns - self.opened_ns) / 1e9


def move_type(pump: str | None) -> str:
    """Kind of move a trade was entered in, from the pump state of its decision (requirement B7); '' = not known."""
    if pump is None:
        return ""
    return "pump" if pump in PUMP_STATES else "dump" if pump == "DUMP" else "slow grind"


def day_of(ts_ns: int) -> int:
    """UTC days since the epoch."""
    return ts_ns // DAY_NS


def hour_of(ts_ns: int) -> int:
    """UTC hour of the day, 0-23."""
    return ts_ns % DAY_NS // HOUR_NS


def weekday_of(ts_ns: int) -> int:
    """Monday = 0. The epoch began on a Thursday."""
    return (day_of(ts_ns) + 3) % 7
