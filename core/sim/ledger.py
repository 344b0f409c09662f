"""The cash book of an account: nothing moves money without an entry, and the entries sum to the balance exactly."""

from __future__ import annotations

from core.sim.margin_types import Cause, LedgerEntry


class Ledger:
    """Append-only; `balance_e8` is the wallet balance, `totals_e8` what each cause has changed so far.

    Invariant: balance = sum of changes = sum of totals, after every entry, with no rounding anywhere.
    """

    def __init__(self) -> None:
        self.entries: list[LedgerEntry] = []
        self.balance_e8 = 0
        self.totals_e8 = dict.fromkeys(Cause, 0)

    def add(
        self,
        ts_ns: int,
        cause: Cause,
        change_e8: int,
        *,
        symbol: str = "",
        position_idx: int = 0,
        order_id: str = "",
        ref: str = "",
    ) -> LedgerEntry:
        """Book one change of cash."""
        self.balance_e8 += change_e8
        self.totals_e8[cause] += change_e8
        entry = LedgerEntry(
            len(self.entries) + 1, ts_ns, cause, symbol, position_idx, order_id, ref, change_e8, self.balance_e8
        )
        self.entries.append(entry)
        return entry
