"""How a session gets its process: Broker and desk as LIVE has them, with wide limits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from config.schema import Account, Limits, Orders, Safety, Settings, Trading
from core.enums import Mode
from core.orders.broker import Broker
from core.orders.exchange_desk import DeskConfig, ExchangeDesk
from core.orders.exposure import ExchangeFacts, exchange_facts
from core.orders.router import ExecutionRouter
from core.risk.gate import FAR
from core.risk.ledger import ChurnLimits
from core.risk.policy import Instrument, Policy, policy
from core.risk.tiers import Rank, Tier
from tests.sim.host import Host
from tests.sim.market import spec_of
from tests.sim.naive_desk import NaiveDesk
from tests.sim.session import DEPOSIT_E8, Session

E8 = 10**8


ANY = 10**6
NO_TIER = Tier(Rank.NORMAL, ANY * E8, ANY * E8, ANY, ANY, 100.0)


def rules(maker_deadline_ms: float = 800.0) -> Policy:
    """Limits as wide as they go: the order path is on trial here, not the gate."""
    made = policy(Settings(
        trading=Trading(
            account=Account(start_balance_usdt=DEPOSIT_E8 / E8, margin_per_trade_usdt=300.0, leverage=5.0, max_positions=6),
            orders=Orders(maker_deadline_ms=maker_deadline_ms),
        ),
        safety=Safety(limits=Limits(max_heat_pct=50.0, daily_loss_pct=90.0, max_unrealised_loss_pct=90.0)),
    ))
    limits = replace(
        made.limits, max_correlated_pct=ANY, min_margin_ratio_pct=0.0, max_orders_per_minute=ANY, collar_bps=ANY,
        liquidation_stops=0.0, open_liquidation_bps=0.0, max_adl_rank=9, tier=NO_TIER,
    )
    return replace(made, limits=limits, churn=ChurnLimits(ANY, ANY))


def instruments(n: int) -> dict[int, Instrument]:
    made = {}
    for symbol in range(n):
        spec = spec_of(symbol)
        made[symbol] = Instrument(
            symbol, spec.symbol, 1000 + symbol, 0, spec.grid, spec.tick_mant / 10**spec.price_exp,
            spec.lot_mant / 10**spec.qty_exp, spec.min_qty_lots, spec.max_market_qty_lots, spec.min_notional_e8,
            spec.max_leverage_e2, 55_000, True, False, price_limit_e8=E8, maintenance_e8=spec.tiers[0].mm_rate_e8,
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


    def facts(symbol: int) -> ExchangeFacts:
        mark = session.market.contracts[symbol].mid_ticks
        if isinstance(desk, NaiveDesk):
            return ExchangeFacts(True, Rank.NORMAL, DEPOSIT_E8, DEPOSIT_E8, DEPOSIT_E8, mark, FAR, 0)
        rows = [h.venue for h in desk.core.holdings.values() if h.venue is not None]
        settled = desk.ready and not any(t.symbol in (-1, symbol) for t in desk.trouble)
        return exchange_facts(rows, desk.wallet, settled, Rank.NORMAL, mark)

    return Host(
        session.disk, broker, desk, lambda: session.scheduler.now_ns, session.send, session.report, session.noted, facts
    )
