"""What the tests of the margin account share: an instrument, an account, orders and texts."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from core.sim.margin import MarginAccount
from core.sim.margin_types import AccountSpec, MarginInstrument, MarginMode, PositionMode, RiskTier
from core.sim.money import E8

MILLION_E8 = 10**6 * E8
TIERS = (
    RiskTier(1, 2 * MILLION_E8, 1_000_000, 500_000, 0, 10_000),
    RiskTier(2, 4 * MILLION_E8, 1_500_000, 1_000_000, 10_000 * E8, 6_600),
)
BTC = MarginInstrument(symbol="BTCUSDT", tick_mant=1, price_exp=1, lot_mant=1, qty_exp=3, tiers=TIERS)
ETH = MarginInstrument(symbol="ETHUSDT", tick_mant=1, price_exp=2, lot_mant=1, qty_exp=2, tiers=TIERS)


@dataclass
class Work:
    """A working order as `hold` reads it."""

    order_id: str
    side: int
    leaves_lots: int
    price_ticks: int
    symbol: str = "BTCUSDT"
    position_idx: int = 0
    reduce_only: bool = False


def account(
    deposit: str, *, cross: bool = True, hedge: bool = False, leverage: int = 10, **spec: object
) -> MarginAccount:
    return MarginAccount(
        7,
        AccountSpec(
            deposit_e8=e8(deposit),
            margin_mode=MarginMode.REGULAR if cross else MarginMode.ISOLATED,
            position_mode=PositionMode.HEDGE if hedge else PositionMode.ONE_WAY,
            leverage_e2=leverage * 100,
            **spec,  # type: ignore[arg-type]
        ),
        {"BTCUSDT": BTC, "ETHUSDT": ETH},
    )


def e8(text: str) -> int:
    """Decimal text in 1e-8; more digits than that are an error of the test."""
    value = Decimal(text).scaleb(8)
    assert value == int(value), text
    return int(value)


def e10(text: str) -> int:
    return int(Decimal(text).scaleb(10))


def trade(a: MarginAccount, side: int, qty: str, price: str, *, idx: int = 0, rate: str = "0.00055", **kind: object):  # type: ignore[no-untyped-def]
    """A fill of BTCUSDT at a decimal quantity and price."""
    lots, ticks = int(Decimal(qty).scaleb(3)), int(Decimal(price).scaleb(1))
    number = str(len(a.ledger.entries))
    return a.apply_fill(int(number), "o" + number, "x" + number, "BTCUSDT", idx, side, lots, ticks, e8(rate), **kind)
