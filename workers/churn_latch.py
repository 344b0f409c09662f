"""Symbols latched off by the churn throttle, across restarts: one file each, until a person removes it.

The ledger latches (core.risk.ledger), the file makes it last and tells people. `launch.py enable SYMBOL` removes the file:
execution sees that within a housekeeping turn and enables the symbol. Files of an earlier run latch again at the start.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from config.latch_file import write_latch
from core.risk.ledger import RiskLedger
from core.risk.policy import Instrument


class ChurnLatch:
    """Mirror of `ledger.latched` in `folder`. `stands`: names whose file has been seen."""

    def __init__(self, folder: Path, ledger: RiskLedger, on_error: Callable[[OSError], None]) -> None:
        self._folder = folder
        self._ledger = ledger
        self._on_error = on_error
        self.stands: set[str] = set()

    def turn(self, instruments: Mapping[int, Instrument]) -> list[str]:
        """Bring both into line; returns the names that changed."""
        names = {instrument.name: symbol for symbol, instrument in instruments.items()}
        latched = {instruments[symbol].name for symbol in self._ledger.latched if symbol in instruments}
        try:
            found = {path.name for path in self._folder.iterdir()} if self._folder.exists() else set()
            removed = (self.stands & latched) - found
            new = latched - self.stands
            for name in sorted(new):
                write_latch(self._folder / name, "exec", "churn: too many orders or round trips within a minute")
        except OSError as error:  # the latch in memory holds
            self._on_error(error)
            return []
        for name in removed:
            self._ledger.enable(names[name])
        old = {name for name in found - latched if name in names}
        for name in old:
            self._ledger.latch(names[name], 0)
        self.stands = (self.stands | new | old) - removed
        return sorted(removed | new | old)
