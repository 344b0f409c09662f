"""One thing at one moment: what the exchange, the user's phone, the network and the disk do to a session."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from core.orders.exchange_words import Stream
from core.sim.exchange_types import (
    AmendRequest,
    OrderFilter,
    OrderRequest,
    OrderType,
    SmpType,
    SymbolStatus,
    TimeInForce,
    TradingStopRequest,
)
from core.sim.margin_types import PositionMode

if TYPE_CHECKING:
    from tests.sim.session import Session

MS = 1_000_000
SECOND = 1000 * MS
E8 = 10**8

Action = Callable[["Session", random.Random], None]
ACTIONS: dict[str, Action] = {}


def happening(kind: str) -> Callable[[Action], Action]:
    def named(action: Action) -> Action:
        ACTIONS[kind] = action
        return action

    return named


def held(session: Session, rng: random.Random) -> str:
    """A symbol with a position if there is one, else any."""
    names = [n for n in session.names if session.judge.lots(n)]
    return rng.choice(names or session.names)


def lots_of(session: Session, name: str, rng: random.Random) -> int:
    contract = session.market.contracts[session.names.index(name)]
    return max(1, contract.lots // rng.randint(8, 40))


def foreign(session: Session, name: str, side: int, lots: int, price: int = 0, smp: SmpType = SmpType.NONE) -> None:
    """An order of the same account that is not ours."""
    result = session.exchange.external_order(session.link.venue_ns, session.uid, OrderRequest(
        symbol=name, side=side, order_type=OrderType.LIMIT if price else OrderType.MARKET, qty_lots=lots,
        price_ticks=price, tif=TimeInForce.GTC if price else TimeInForce.IOC, smp=smp,
    ))
    session.judge.external.add(result.order_id)
    session.link.pump()


for _stream in Stream:
    def _cut(session: Session, rng: random.Random, stream: Stream = _stream) -> None:
        session.link.cut(stream, rng.choice((0, 50, 500, 3_000)) * MS)

    ACTIONS[f"cut {_stream.name.lower()}"] = _cut


@happening("restart venue")
def restart_venue(session: Session, rng: random.Random) -> None:
    session.link.restart_venue(rng.randint(500, 5_000) * MS)


@happening("ext order")
def ext_order(session: Session, rng: random.Random) -> None:
    name = rng.choice(session.names)
    contract, side = session.market.contracts[session.names.index(name)], rng.choice((-1, 1))
    price = contract.mid_ticks - side * rng.randint(3, 40) * contract.step_ticks
    foreign(session, name, side, lots_of(session, name, rng), price)


@happening("ext position")
def ext_position(session: Session, rng: random.Random) -> None:
    name = rng.choice(session.names)
    foreign(session, name, rng.choice((-1, 1)), lots_of(session, name, rng))


def cancel_some(session: Session, rng: random.Random, which: OrderFilter) -> None:
    name = held(session, rng)
    result = session.exchange.cancel_all(session.link.venue_ns, session.uid, name, which)
    session.judge.external.update(order_id for order_id, _ in result.cancelled)
    session.link.pump()


@happening("dust")
def dust(session: Session, rng: random.Random) -> None:
    """By hand: all but one lot of the positions whose lot is worth next to nothing."""
    for name in session.names:
        lots = session.judge.lots(name)
        if abs(lots) > 1:
            foreign(session, name, -1 if lots > 0 else 1, abs(lots) - 1)


@happening("ext cancel")
def ext_cancel(session: Session, rng: random.Random) -> None:
    cancel_some(session, rng, rng.choice((OrderFilter.ORDER, OrderFilter.ALL)))


@happening("ext stop gone")
def ext_stop_gone(session: Session, rng: random.Random) -> None:
    cancel_some(session, rng, OrderFilter.STOP_ORDER)


@happening("ext stop moved")
def ext_stop_moved(session: Session, rng: random.Random) -> None:
    """By hand: nearer or farther."""
    name = held(session, rng)
    lots = session.judge.lots(name)
    if lots:
        contract, side = session.market.contracts[session.names.index(name)], 1 if lots > 0 else -1
        session.exchange.set_trading_stop(session.link.venue_ns, session.uid, TradingStopRequest(
            symbol=name, stop_loss_ticks=contract.mid_ticks - side * rng.choice((3, 15, 80)) * contract.step_ticks,
        ))
        session.link.pump()


@happening("ext amend")
def ext_amend(session: Session, rng: random.Random) -> None:
    orders = session.exchange.open_orders(session.uid, None, OrderFilter.ORDER)
    if orders:
        order = rng.choice(orders)
        session.exchange.amend_order(session.link.venue_ns, session.uid, AmendRequest(
            symbol=order.symbol, order_id=order.order_id, price_ticks=order.price_ticks - order.side,
        ))
        session.link.pump()


@happening("ext leverage")
def ext_leverage(session: Session, rng: random.Random) -> None:
    leverage = rng.choice((200, 300, 2000))
    session.exchange.set_leverage(session.link.venue_ns, session.uid, rng.choice(session.names), leverage, leverage)
    session.link.pump()


@happening("ext mode")
def ext_mode(session: Session, rng: random.Random) -> None:
    name = rng.choice([n for n in session.names if not session.judge.lots(n)] or session.names)
    result = session.exchange.switch_position_mode(session.uid, PositionMode.HEDGE, name)
    if result.ret_code == 0:
        session.later(rng.randint(1, 8) * SECOND, lambda: session.exchange.switch_position_mode(
            session.uid, PositionMode.ONE_WAY, name))


@happening("liquidate")
def liquidate(session: Session, rng: random.Random) -> None:
    session.exchange.force_liquidate(session.link.venue_ns, session.uid, held(session, rng))
    session.link.pump()


@happening("adl")
def adl(session: Session, rng: random.Random) -> None:
    name = held(session, rng)
    lots = abs(session.judge.lots(name))
    session.exchange.force_adl(session.link.venue_ns, session.uid, name, max(1, lots // rng.choice((1, 2, 3))))
    session.link.pump()


@happening("funding")
def funding(session: Session, rng: random.Random) -> None:
    for name in session.names:
        session.exchange.settle_now(session.link.venue_ns, name, rng.choice((-1, 1)) * rng.randint(1, 10) * 10**6)
    session.link.pump()


@happening("deposit")
def deposit(session: Session, rng: random.Random) -> None:
    session.exchange.transfer(session.link.venue_ns, session.uid, rng.randint(1, 1000) * E8 + 7, "phone")
    session.link.pump()


@happening("withdraw")
def withdraw(session: Session, rng: random.Random) -> None:
    session.exchange.transfer(session.link.venue_ns, session.uid, -rng.randint(1, 300) * E8 - 3, "phone")
    session.link.pump()


@happening("reduce only")
def reduce_only(session: Session, rng: random.Random) -> None:
    name = rng.choice(session.names)
    session.exchange.restrict(name, True)
    session.later(rng.randint(2, 8) * SECOND, lambda: session.exchange.restrict(name, False))


@happening("delist")
def delist(session: Session, rng: random.Random) -> None:
    name = rng.choice(session.names)
    session.delisted.add(name)
    session.exchange.delist(session.link.venue_ns, name)
    session.link.pump()


@happening("vacuum")
def vacuum(session: Session, rng: random.Random) -> None:
    name = held(session, rng)
    seconds = rng.uniform(0.5, 4.0)
    session.exchange.vacuum(session.link.venue_ns, name, seconds)
    session.judge.unable.add(name)
    session.later(int(seconds * SECOND) + 1500 * MS, lambda: session.judge.unable.discard(name))
    if rng.random() < 0.7:
        session.later(100 * MS, lambda: session.market.jump(session.names.index(name), rng))


@happening("stop out")
def stop_out(session: Session, rng: random.Random) -> None:
    session.market.jump(session.names.index(held(session, rng)), rng)


@happening("clock")
def clock(session: Session, rng: random.Random) -> None:
    session.link.faults.clock_error_ms = rng.choice((-30_000, -2_000, -1_600, 1_100, 5_000))


@happening("key")
def key(session: Session, rng: random.Random) -> None:
    session.refuse(rng.choice((33004, 10005, 10010)), rng.randint(300, 3_000) * MS)


@happening("stop refused")
def stop_refused(session: Session, rng: random.Random) -> None:
    """The stop goes, and setting a new one is refused for a while."""
    session.link.refuse_stops_until = session.scheduler.now_ns + rng.randint(300, 2_500) * MS
    cancel_some(session, rng, OrderFilter.STOP_ORDER)


@happening("no market")
def no_market(session: Session, rng: random.Random) -> None:
    session.refuse(110118, rng.randint(300, 1_500) * MS)


@happening("rate")
def rate(session: Session, rng: random.Random) -> None:
    session.link.faults.per_second = rng.randint(1, 3)


@happening("ip ban")
def ip_ban(session: Session, rng: random.Random) -> None:
    session.link.faults.ban_ns = rng.randint(500, 4_000) * MS
    session.link.faults.forbidden_ppm = 1_000_000
    session.later(1_000 * MS, lambda: setattr(session.link.faults, "forbidden_ppm", 0))


@happening("wipe")
def wipe(session: Session, rng: random.Random) -> None:
    session.link.queries.wiped_ns = session.link.venue_ns
    session.link.faults.lag_ns = rng.randint(2, 10) * SECOND


@happening("slow disk")
def slow_disk(session: Session, rng: random.Random) -> None:
    before = session.disk.sync_ns
    session.disk.sync_ns = (50 * MS, 400 * MS)
    session.later(rng.randint(1, 4) * SECOND, lambda: setattr(session.disk, "sync_ns", before))


@happening("crash")
def crash(session: Session, rng: random.Random) -> None:
    session.arm_crash(rng.randint(0, 3))


@happening("gone")
def gone(session: Session, rng: random.Random) -> None:
    """Execution does not come back for a while: the guardian takes over. Sometimes just after a stop was taken away."""
    if session.host is None:
        return
    if rng.random() < 0.4:
        cancel_some(session, rng, OrderFilter.STOP_ORDER)
    session.crash("gone", rng.randint(2_500, 9_000) * MS)


@happening("outage")
def outage(session: Session, rng: random.Random) -> None:
    """Execution is down for hours or days: cancelled orders are forgotten, windows of queries end."""
    if session.host is not None:
        session.crash("outage")
    session.link.venue_epoch_ns += rng.choice((30 * 3600, 9 * 86400)) * SECOND
    session.exchange.advance(session.link.venue_ns)
    session.link.pump()


@happening("filters")
def filters(session: Session, rng: random.Random) -> None:
    """The contract's rules change while it trades."""
    name = rng.choice(session.names)
    engine = session.exchange._engine
    spec = replace(engine.instruments[name], min_notional_e8=engine.instruments[name].min_notional_e8 * rng.choice((2, 10)))
    engine.instruments[name] = engine.symbols[name].spec = spec


@happening("narrow limits")
def narrow_limits(session: Session, rng: random.Random) -> None:
    """Price limits a hair from the mark: exits must be clamped, entries meet them."""
    name = rng.choice(session.names)
    engine = session.exchange._engine
    wide = engine.instruments[name]
    narrow = replace(wide, price_limit_x_e8=20_000, price_limit_y_e8=40_000)
    engine.instruments[name] = engine.symbols[name].spec = narrow

    def widen() -> None:
        engine.instruments[name] = engine.symbols[name].spec = wide

    session.later(rng.randint(1, 6) * SECOND, widen)


@happening("fill slots")
def fill_slots(session: Session, rng: random.Random) -> None:
    """Somebody else uses up the conditional orders of a symbol."""
    name = rng.choice(session.names)
    contract = session.market.contracts[session.names.index(name)]
    for k in range(10):
        result = session.exchange.external_order(session.link.venue_ns, session.uid, OrderRequest(
            symbol=name, side=1, order_type=OrderType.MARKET, qty_lots=1, reduce_only=True,
            trigger_price_ticks=contract.mid_ticks * 2 + k, trigger_direction=1,
        ))
        session.judge.external.add(result.order_id)
    session.link.pump()


@happening("self match")
def self_match(session: Session, rng: random.Random) -> None:
    """An order of the same account meets ours."""
    orders = session.exchange.open_orders(session.uid, None, OrderFilter.ORDER)
    if orders:
        order = rng.choice(orders)
        foreign(session, order.symbol, -order.side, order.leaves_lots, order.price_ticks,
                rng.choice((SmpType.NONE, SmpType.CANCEL_MAKER)))


@happening("batch of fills")
def batch_of_fills(session: Session, rng: random.Random) -> None:
    """Several working orders fill in pieces at one moment."""
    for order in session.exchange.open_orders(session.uid, None, OrderFilter.ORDER):
        for _ in range(rng.randint(1, 3)):
            session.exchange.force_fill(session.link.venue_ns, session.uid, order.order_id, max(1, order.leaves_lots // 3))
    session.link.pump()


def restore(session: Session) -> None:
    """The end of the faults: every contract trades again under its own rules (a delisted one stays so)."""
    for name in session.names:
        if session.exchange.status(name) is SymbolStatus.DELIVERING and name not in session.delisted:
            session.exchange.restrict(name, False)
