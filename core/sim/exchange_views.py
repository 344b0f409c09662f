"""What can be asked of the exchange: orders, executions, positions, results, wallet, ledger; newest first."""

from __future__ import annotations

from collections.abc import Iterator

from core.sim.exchange_settle import SettlingEngine
from core.sim.exchange_stops import POSITION_STOPS
from core.sim.exchange_types import (
    ClosedPnl,
    Execution,
    InstrumentSpec,
    OrderFilter,
    SimOrder,
    StopOrderType,
    SymbolStatus,
)
from core.sim.margin import MarginAccount
from core.sim.margin_types import ExecType, LedgerEntry, PositionSnapshot, WalletSnapshot


class Views:
    """Read side of the exchange. Times in ns, bounds inclusive; None = any."""

    def __init__(self, engine: SettlingEngine) -> None:
        self._engine = engine

    @staticmethod
    def matches(order: SimOrder, order_filter: OrderFilter) -> bool:
        """Does the order belong to the kinds the filter names?"""
        plain = order.stop_order_type is StopOrderType.NONE
        if order_filter is OrderFilter.ORDER:
            return plain
        if order_filter is OrderFilter.STOP_ORDER:
            return not plain
        if order_filter is OrderFilter.ALL:
            return True
        return order.stop_order_type in POSITION_STOPS

    def account(self, uid: int) -> MarginAccount:
        """The margin account: modes, leverage, fee rates."""
        return self._engine.accounts[uid].margin

    def open_orders(
        self, uid: int, symbol: str | None = None, order_filter: OrderFilter = OrderFilter.ALL
    ) -> list[SimOrder]:
        """Copies of the working and untriggered orders."""
        found = [o for o in self._engine.accounts[uid].open_orders(symbol) if self.matches(o, order_filter)]
        found.sort(key=lambda o: (o.created_ns, self._engine.order_number(o.order_id)), reverse=True)
        return [o.copy() for o in found]

    def working_of(self, uid: int, symbol: str) -> Iterator[SimOrder]:
        """The open orders of a symbol themselves, for a quick look (nobody changes them)."""
        return iter(self._engine.accounts[uid].open.get(symbol, {}).values())

    def find_order(self, uid: int, order_id: str = "", order_link_id: str = "") -> SimOrder | None:
        """A copy of an order by id (wins) or link id, open or ended."""
        order = self._engine.accounts[uid].find(order_id, order_link_id)
        return order.copy() if order is not None else None

    def order_history(
        self, uid: int, symbol: str | None = None, start_ns: int | None = None, end_ns: int | None = None,
        order_filter: OrderFilter = OrderFilter.ALL, limit: int | None = None,
    ) -> list[SimOrder]:
        """Copies of ended orders by creation time bounds, the last ended first."""
        found: list[SimOrder] = []
        for order in reversed(self._engine.accounts[uid].ended):
            if limit is not None and len(found) >= limit:
                break
            if symbol is not None and order.symbol != symbol or not self.matches(order, order_filter):
                continue
            if _inside(order.created_ns, start_ns, end_ns):
                found.append(order.copy())
        return found

    def executions(
        self, uid: int, symbol: str | None = None, start_ns: int | None = None, end_ns: int | None = None,
        order_id: str = "", order_link_id: str = "", exec_type: ExecType | None = None,
    ) -> list[Execution]:
        """Fills and funding; the ids override each other in Bybit's order (order id wins)."""
        account = self._engine.accounts[uid]
        wanted = order_id or account.links.get(order_link_id, "" if not order_link_id else "?")
        return [
            e for e in reversed(account.executions)
            if (not wanted or e.order_id == wanted) and (symbol is None or e.symbol == symbol)
            and (exec_type is None or e.exec_type is exec_type) and _inside(e.ts_ns, start_ns, end_ns)
        ]

    def closed_pnl(
        self, uid: int, symbol: str | None = None, start_ns: int | None = None, end_ns: int | None = None
    ) -> list[ClosedPnl]:
        """Results of closing orders."""
        return [
            c for c in reversed(self._engine.accounts[uid].closed)
            if (symbol is None or c.symbol == symbol) and _inside(c.updated_ns, start_ns, end_ns)
        ]

    def positions(self, uid: int, symbol: str | None = None) -> list[PositionSnapshot]:
        """Open positions; with a symbol also the empty rows of its mode (two in hedge mode)."""
        margin = self._engine.accounts[uid].margin
        held = margin.positions(symbol)
        for name in {p.instrument.symbol for p in held}:
            mark = self._engine.symbols[name].mark_e10
            if mark:
                margin.mark(name, mark)
        return [margin.snapshot(p.instrument.symbol, p.position_idx) for p in held]

    def wallet(self, uid: int) -> WalletSnapshot:
        return self._engine.accounts[uid].margin.wallet()

    def ledger(self, uid: int, start_ns: int | None = None, end_ns: int | None = None) -> list[LedgerEntry]:
        """Every change of cash."""
        entries = self._engine.accounts[uid].margin.ledger.entries
        return [entry for entry in reversed(entries) if _inside(entry.ts_ns, start_ns, end_ns)]

    def price_limits(self, symbol: str) -> tuple[int, int]:
        """(highest price to buy at, lowest to sell at) in ticks, 0 = none known."""
        state = self._engine.symbols[symbol]
        return state.price_limit_ticks(1), state.price_limit_ticks(-1)

    def spec(self, symbol: str) -> InstrumentSpec:
        return self._engine.instruments[symbol]

    def status(self, symbol: str) -> SymbolStatus:
        return self._engine.symbols[symbol].status

    def symbols(self) -> Iterator[str]:
        return iter(self._engine.symbols)

    def uids(self) -> Iterator[int]:
        return iter(self._engine.accounts)


def _inside(ts_ns: int, start_ns: int | None, end_ns: int | None) -> bool:
    return (start_ns is None or ts_ns >= start_ns) and (end_ns is None or ts_ns <= end_ns)
