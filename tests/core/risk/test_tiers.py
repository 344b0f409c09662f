"""The owner's table of capital tiers (requirement B2), number by number: it is money, and nothing derives it."""

from __future__ import annotations

import pytest

from core.constants import E8
from core.risk.tiers import MAX_DAILY_LOSS_PCT, MAX_LEVERAGE_E2, TIERS, Growth, Rank


def test_the_table():
    rows = {name: (int(t.rank), t.max_capital_e8 / E8, t.per_trade_e8 / E8, t.concurrent, t.trades_a_day, t.daily_loss_pct)
            for name, t in TIERS.items()}
    assert rows == {"MICRO": (1, 200, 25, 1, 3, 2), "SMALL": (2, 500, 50, 2, 5, 3), "NORMAL": (3, 1000, 100, 3, 7, 5)}
    assert [(rank.name, int(rank)) for rank in Rank] == [("PAPER", 0), ("MICRO", 1), ("SMALL", 2), ("NORMAL", 3)]
    assert (MAX_LEVERAGE_E2, MAX_DAILY_LOSS_PCT) == (2500, 5.0)


@pytest.mark.parametrize(("name", "equity_e8", "capital_usdt", "heat_decides"), [
    ("MICRO", 10_000 * E8, 25, False), ("SMALL", 10_000 * E8, 50, False), ("NORMAL", 0, 100, False),
    ("NORMAL", 2_000 * E8, 100, False), ("NORMAL", 2_000 * E8 + 1, 150, False),
    ("NORMAL", 5_000 * E8, 150, False), ("NORMAL", 5_000 * E8 + 1, 150, True),
])
def test_what_an_account_may_put_into_a_trade_as_it_grows(name, equity_e8, capital_usdt, heat_decides):
    grown = TIERS[name].grown(equity_e8)
    assert (grown.per_trade_e8, grown.heat_decides) == (capital_usdt * E8, heat_decides)
    if grown.per_trade_e8 == TIERS[name].per_trade_e8:
        assert grown == Growth(0, TIERS[name].per_trade_e8, False)  # no step of growth reached
