"""Is the wallet what we booked (O45)? Results less fees and funding, since both last agreed."""

from __future__ import annotations

from core.orders.exchange_desk_core import SECOND, DeskCore
from core.orders.exchange_words import WalletRow

TOLD = 3  # a difference must be told so many times in a row
QUIET_NS = 2 * SECOND


class CashCheck:
    """The wallet when it was first told is the base. A transfer looks like a drift: a person clears the trouble, and the
    wallet as it is then becomes the base."""

    def __init__(self, core: DeskCore) -> None:
        self.core = core
        self._base_e8: int | None = None
        self._told = 0

    def compare(self, row: WalletRow, quiet: bool) -> bool:
        """Looked at only while nothing is on its way (`quiet`: both sides agree). True: different, ask again soon."""
        core = self.core
        if not quiet or not all(h.agrees and core.now_ns - h.exec_ns > QUIET_NS for h in core.holdings.values()):
            return False
        cleared = self._told >= TOLD and (-1, "LEDGER") not in core.troubles
        if self._base_e8 is None or cleared:
            self._base_e8, self._told = row.balance_e8 - core.realised_e8, 0
        wanted = self._base_e8 + core.realised_e8
        slack = core.config.ledger_slack_e8 * (core.counters["fills"] + core.counters["funding"])
        if abs(row.balance_e8 - wanted) <= slack:
            self._told = 0
            return False
        self._told += 1
        if self._told == TOLD:
            core.count("ledger_diff")
            core.trouble("", "LEDGER", "the wallet is not what we booked", str(wanted), str(row.balance_e8), latch=True)
        return True
