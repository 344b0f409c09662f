"""The guardian in virtual time: `workers.guardian.Guard` and `core.orders.guard_duty.Duty` as the process has them, with a
door that opens on the embedded exchange. It looks, and acts, at one moment; what the weather takes is Unreachable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from config.schema import Guardian as GuardianSettings
from core.constants import NS_PER_S
from core.enums import Severity
from core.orders.exchange_words import OrderRow, OrderType, PositionRow, Stream, TimeInForce
from core.orders.guard_duty import Duty, Seen
from core.sim.exchange_types import OrderFilter, OrderRequest, Result, TradingStopRequest
from core.sim.link_rows import order_row, position_row
from gateway.bybit.wire_units import WireGrid
from workers.guardian import TURN_S, Guard
from workers.guardian_door import LINK_PREFIX, Outcome, Unreachable

if TYPE_CHECKING:
    from tests.sim.session import Session

TURN_NS = round(TURN_S * NS_PER_S)
SETTINGS = GuardianSettings()


class SimDoor:
    """`workers.guardian_door.Door` without a socket: the same calls, the same exceptions."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._number = 0

    def _reach(self) -> None:
        """Everything goes over REST, from the address that execution has, too."""
        session, link = self._session, self._session.link
        now = session.scheduler.now_ns
        if now < max(link.down_until[Stream.REST], link.banned_until):
            raise Unreachable("REST is down")
        lost = link.faults.http_5xx_ppm + link.faults.vanish_ppm + link.faults.forbidden_ppm
        if session.guard_dice.hits(min(lost, 500_000)):
            raise Unreachable("HTTP 502")

    def _done(self, result: Result) -> Outcome:
        self._session.link.pump()
        return Outcome(int(result.ret_code), result.ret_msg)

    def grid(self, symbol: str) -> WireGrid:
        spec = self._session.exchange.spec(symbol)
        return WireGrid(spec.tick_mant, spec.price_exp, spec.lot_mant, spec.qty_exp)

    def positions(self) -> list[PositionRow]:
        self._reach()
        session = self._session
        return [position_row(p) for p in session.exchange.positions(session.uid, None) if p.lots]

    def entries(self) -> list[OrderRow]:
        self._reach()
        session = self._session
        rows = [order_row(o) for o in session.exchange.open_orders(session.uid, None, OrderFilter.ORDER)]
        return [row for row in rows if not row.reduce_only and not row.close_on_trigger]

    def cancel_entries(self) -> Outcome:
        self._reach()
        session = self._session
        return self._done(session.exchange.cancel_all(session.link.venue_ns, session.uid, None, OrderFilter.ORDER).result)

    def set_stop(self, symbol: str, stop_ticks: int, position_idx: int) -> Outcome:
        self._reach()
        session = self._session
        if session.scheduler.now_ns < session.link.refuse_stops_until:
            return Outcome(10001, "refused")
        return self._done(session.exchange.set_trading_stop(session.link.venue_ns, session.uid, TradingStopRequest(
            symbol=symbol, stop_loss_ticks=stop_ticks, position_idx=position_idx,
        )))

    def close_position(self, row: PositionRow) -> Outcome:
        self._reach()
        session = self._session
        self._number += 1
        return self._done(session.exchange.create_order(session.link.venue_ns, session.uid, OrderRequest(
            symbol=row.symbol, side=-row.side, order_type=OrderType.MARKET, qty_lots=0, tif=TimeInForce.IOC,
            reduce_only=True, close_on_trigger=True, order_link_id=f"{LINK_PREFIX}{self._number:x}",
            position_idx=row.position_idx,
        )))


class SimGuardian:
    """`turn` every 50 ms. `since_ns`: on duty since then with the exchange in reach, 0 = not."""

    def __init__(self, session: Session) -> None:
        self._session = session
        now = session.scheduler.now_ns
        self.duty = Duty(round(SETTINGS.silent_s * NS_PER_S), round(SETTINGS.boot_s * NS_PER_S), now)
        self.guard = Guard(SimDoor(session), SETTINGS, self._tell, self._distress)  # type: ignore[arg-type]
        self.since_ns = 0
        self._next_ns = 0

    def _tell(self, severity: Severity, symbol: str, text: str) -> None:
        self._session.note("guardian", f"{severity.name} {symbol} {text}")
        self._session.counters[f"guardian: {text.split(':')[0]}"] += 1

    def _distress(self, reason: str) -> None:
        self._session.note("guardian", reason)
        self._session.counters["guardian: distress"] += 1
        if not self._session.killed_ns:
            self._session.kill()

    def turn(self, seen: Seen) -> None:
        """One look at execution; on duty, when it is time, one at the exchange."""
        session = self._session
        now = session.scheduler.now_ns
        before = self.duty.takeover
        on = self.duty.look(now, seen)
        if self.duty.takeover != before:
            self.guard.reset()
            self._next_ns = self.since_ns = 0
            session.note("guardian", f"takeover {self.duty.takeover}, was {before}")
            session.counters["guardian: on duty" if on else "guardian: standing by"] += 1
        if on and now >= self._next_ns:
            self._look(now)

    def _look(self, now: int) -> None:
        try:
            self.guard.work(close_all=self._session.killed_ns > 0)
        except Unreachable:
            self._session.counters["guardian: unreachable"] += 1
            self.guard.protected = 0
            self.since_ns = 0
            self._next_ns = now + round(SETTINGS.poll_s * NS_PER_S)
            return
        self.since_ns = self.since_ns or now
        self._next_ns = now + round(SETTINGS.poll_s * NS_PER_S)
