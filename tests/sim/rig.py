"""How a session gets its process: Broker and desk as LIVE has them, with wide limits."""

from __future__ import annotations

from typing import Any

from config.schema import Account, Limits, Orders, Safety, Settings, Trading
from core.enums import Mode
from core.orders.broker import Broker
from core.orders.exchange_desk import DeskConfig, ExchangeDesk
from core.orders.router import ExecutionRouter
from core.risk.policy import Instrument, Policy, policy
from tests.sim.host import Host
from tests.sim.market import spec_of
from tests.sim.naive_desk import NaiveDesk
from tests.sim.session import DEPOSIT_E8, Session

E8 = 10**8


def rules(maker_deadline_ms: float = 800.0) -> Policy:
    return policy(Settings(
        trading=Trading(
            account=Account(start_balance_usdt=DEPOSIT_E8 / E8, margin_per_trade_usdt=300.0, leverage=5.0, max_positions=6),
            orders=Orders(maker_deadline_ms=maker_deadline_ms),
        ),
        safety=Safety(limits=Limits(max_heat_pct=50.0, daily_loss_pct=90.0, max_unrealised_loss_pct=90.0)),
    ))


def instruments(n: int) -> dict[int, Instrument]:
    made = {}
    for symbol in range(n):
        spec = spec_of(symbol)
        made[symbol] = Instrument(
            symbol, spec.symbol, 1000 + symbol, 0, spec.grid, spec.tick_mant / 10**spec.price_exp,
            spec.lot_mant / 10**spec.qty_exp, spec.min_qty_lots, spec.max_market_qty_lots, spec.min_notional_e8,
            spec.max_leverage_e2, 55_000, True, False,
        )
    return made


def naive_host(session: Session) -> Host:
    """A process with the naive desk."""
    known = instruments(session.plan.symbols)
    names = {symbol: instrument.name for symbol, instrument in known.items()}
    return _host(session, NaiveDesk(names, len(session.crashes) << 40))


def live_host(session: Session) -> Host:
    """A process as LIVE has it."""
    desk = ExchangeDesk(DeskConfig(run_tag=f"{session.plan.seed:x}"))
    for instrument in instruments(session.plan.symbols).values():
        desk.know(instrument)
    return _host(session, desk)


def _host(session: Session, desk: Any) -> Host:
    broker = Broker(rules(), ExecutionRouter(Mode.LIVE, desk))
    broker.instruments = instruments(session.plan.symbols)
    return Host(session.disk, broker, desk, lambda: session.scheduler.now_ns, session.send, session.report, session.noted)
