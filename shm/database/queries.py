"""Reads of the trading database: lists cut into pages, trades, equity, sessions. Rows become plain dicts and Trades.

A page of a list is newest first; its cursor is the `id` of the last row shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy import Column, Connection, Select, Table, and_, case, func, or_, select

from core.performance.figures import Point
from core.performance.profiles import Sightings
from core.performance.trades import Trade, move_type
from shm.database.tables import (
    balances,
    cursors,
    decisions,
    metadata,
    orders,
    positions,
    sessions,
    signal_history,
    symbol_days,
)

MAX_PAGE = 500
MAX_ID = (1 << 63) - 1
E8 = 100_000_000
LISTS: dict[str, Table] = {"orders": orders, "signals": signal_history, "positions": positions,
                           "incidents": metadata.tables["incidents"], "audit": metadata.tables["audit"],
                           "sessions": sessions, "backtests": metadata.tables["backtest_results"]}
TIMES = {"orders": "created_ns", "signals": "ts_ns", "positions": "opened_ns", "incidents": "ts_ns", "audit": "ts_ns",
         "sessions": "started_ns", "backtests": "created_ns"}
NUMBERS = {"sessions": "started_ns"}
"""The column that orders a list and is its cursor, where it is not `id`."""
HEAVY = {"backtests": frozenset({"equity_curve", "trades", "report"}), "sessions": frozenset({"strategy_config"})}
"""Columns that no list needs."""
FILTERS = {"orders": ("symbol", "status", "role", "session_id", "rejection_reason"),
           "signals": ("symbol", "phase", "session_id", "refused_by"),
           "positions": ("symbol", "status", "session_id", "close_reason"),
           "incidents": ("kind", "severity", "session_id"), "audit": ("action", "actor"),
           "sessions": ("session_type", "status", "mode"), "backtests": ("name", "settings_digest")}


def number_of(name: str) -> str:
    """Name of the column that orders a list, newest first, and is its cursor."""
    return NUMBERS.get(name, "id")


def columns_of(name: str) -> list[Column[Any]]:
    """Columns of a list."""
    return [column for column in LISTS[name].c if column.name not in HEAVY.get(name, ())]


def listed(name: str, filters: dict[str, str], from_ns: int = 0, to_ns: int = 0) -> Select[Any]:
    """Select of a list by equality of columns and time, newest first. KeyError for a filter it has not."""
    table = LISTS[name]
    number = table.c[number_of(name)]
    statement = select(*columns_of(name)).where(number.is_not(None)).order_by(number.desc())
    for column, value in filters.items():
        if column not in FILTERS[name]:
            raise KeyError(column)
        statement = statement.where(table.c[column] == value)
    time = table.c[TIMES[name]]
    if from_ns:
        statement = statement.where(time >= from_ns)
    if to_ns:
        statement = statement.where(time < to_ns)
    return statement


def page(
    connection: Connection, name: str, filters: dict[str, str], limit: int, before: int | None = None, from_ns: int = 0,
    to_ns: int = 0,
) -> tuple[list[dict[str, Any]], int | None]:
    """(rows, cursor of the next page or None)."""
    statement = listed(name, filters, from_ns, to_ns)
    if before is not None:
        statement = statement.where(LISTS[name].c[number_of(name)] < before)
    rows = [dict(row) for row in connection.execute(statement.limit(limit + 1)).mappings()]
    return rows[:limit], rows[limit - 1][number_of(name)] if len(rows) > limit else None


def all_pages(
    connection: Connection, name: str, filters: dict[str, str], from_ns: int = 0, to_ns: int = 0, most: int = 100_000
) -> Iterator[dict[str, Any]]:
    """Every row of a list, page by page: no read is long."""
    before: int | None = None
    left = most
    while left > 0:
        rows, before = page(connection, name, filters, min(MAX_PAGE, left), before, from_ns, to_ns)
        yield from rows
        left -= len(rows)
        if before is None:
            return


def _value_e8(price: str | None, quantity: str | None) -> int:
    return int(Decimal(price) * Decimal(quantity) * E8) if price and quantity else 0


def _trade(row: Any) -> Trade:
    side = 1 if row["position_side"] == "LONG" else -1
    entry, quantity = row["entry_price"], row["max_quantity"]
    at = _value_e8(entry, quantity)
    mfe = mae = None
    if row["best_price"] and row["worst_price"] and entry:
        seen = [_value_e8(price, quantity) for price in (row["best_price"], row["worst_price"], row["exit_price"]) if price]
        moves = [side * (value - at) for value in seen]
        mfe, mae = max(0, *moves), max(0, *(-move for move in moves))
    slippage = round((row["slippage_pct"] or 0.0) / 100 * row["entry_value_e8"]) if row["entry_value_e8"] else 0
    return Trade(
        session_id=row["session_id"], position_no=row["position_no"], symbol=row["symbol"], side=side,
        opened_ns=row["opened_ns"], closed_ns=row["closed_ns"], entry_value_e8=row["entry_value_e8"],
        gross_e8=row["gross_pnl_e8"], fees_e8=row["fees_e8"], funding_e8=row["funding_accrued_e8"] or 0,
        net_e8=row["realised_pnl_e8"], risk_e8=row["risk_e8"] or 0, mfe_e8=mfe, mae_e8=mae, slippage_e8=slippage,
        close_reason=row["close_reason"] or "", move_type=move_type(row["pump"]), decision_id=row["decision_id"] or "",
        quantity=quantity or "", entry_price=entry or "", exit_price=row["exit_price"] or "",
    )


Place = tuple[int, int]


def trades_page(
    connection: Connection, from_ns: int = 0, to_ns: int = 0, session_id: str = "", symbol: str = "", limit: int = 0,
    before: Place | None = None,
) -> tuple[list[Trade], Place | None]:
    """(closed trades by the time they were closed, newest first, where the next page goes on or None); limit 0: all."""
    p, d = positions.c, decisions.c
    statement = (
        select(positions, d.pump)
        .join(decisions, and_(d.session_id == p.session_id, d.decision_id == p.decision_id), isouter=True)
        .where(p.closed_ns.is_not(None), p.opened_ns.is_not(None))
        .order_by(p.closed_ns.desc(), p.id.desc())
    )
    older = before and or_(p.closed_ns < before[0], and_(p.closed_ns == before[0], p.id < before[1]))
    for condition in (p.closed_ns >= from_ns if from_ns else None, p.closed_ns < to_ns if to_ns else None,
                      p.session_id == session_id if session_id else None, p.symbol == symbol if symbol else None,
                      p.closed_ns <= before[0] if before else None, older):  # the first lets an index begin there
        if condition is not None:
            statement = statement.where(condition)
    if limit:
        statement = statement.limit(limit)
    rows = connection.execute(statement).mappings().all()
    return [_trade(row) for row in rows], (rows[-1]["closed_ns"], rows[-1]["id"]) if limit and len(rows) == limit else None


def trades(
    connection: Connection, from_ns: int = 0, to_ns: int = 0, session_id: str = "", symbol: str = "", last: int = 0
) -> list[Trade]:
    """Closed trades in order of closing; by the time they were closed."""
    return trades_page(connection, from_ns, to_ns, session_id, symbol, last)[0][::-1]


def equity(connection: Connection, from_ns: int, to_ns: int, session_id: str = "") -> list[Point]:
    """Equity samples of a period, unrealised included; of one session, or of all in order of time."""
    b = balances.c
    statement = select(b.ts_ns, b.equity_e8).where(b.source == "SAMPLE", b.ts_ns >= from_ns, b.equity_e8.is_not(None))
    if to_ns:
        statement = statement.where(b.ts_ns < to_ns)
    if session_id:
        statement = statement.where(b.session_id == session_id)
    return [Point(ts, value) for ts, value in connection.execute(statement.order_by(b.ts_ns))]


def session(connection: Connection, session_id: str = "") -> dict[str, Any] | None:
    """A session by id, by default the newest; None where there is none."""
    statement = select(sessions).order_by(sessions.c.started_ns.desc().nulls_last()).limit(1)
    if session_id:
        statement = statement.where(sessions.c.session_id == session_id)
    row = connection.execute(statement).mappings().first()
    return dict(row) if row else None


def sessions_between(connection: Connection, from_ns: int, to_ns: int) -> list[dict[str, Any]]:
    """Sessions that ran at some time of a period, oldest first. One that was killed ran until its last balance."""
    s, b = sessions.c, balances.c
    last = select(func.max(b.ts_ns)).where(b.session_id == s.session_id).scalar_subquery()
    ended = case((s.status == "ERROR", func.coalesce(s.ended_ns, last, s.started_ns)), else_=s.ended_ns)
    statement = select(sessions).where(s.started_ns < to_ns, or_(ended.is_(None), ended >= from_ns))
    return [dict(row) for row in connection.execute(statement.order_by(s.started_ns)).mappings()]


def backtest(connection: Connection, number: int) -> dict[str, Any] | None:
    """A kept backtest with everything that came of it."""
    if number > MAX_ID:
        return None
    table = LISTS["backtests"]
    row = connection.execute(select(table).where(table.c.id == number)).mappings().first()
    return dict(row) if row else None


def decision(connection: Connection, session_id: str, decision_id: str) -> dict[str, Any] | None:
    """The record behind a trade, as core.explain.plain made it."""
    d = decisions.c
    return connection.execute(select(d.record).where(d.session_id == session_id, d.decision_id == decision_id)).scalar()


def counts(connection: Connection, name: str, column: str, from_ns: int, to_ns: int, session_id: str = "") -> dict[str, int]:
    """How many rows of a list for every value of a column in a period, most frequent first."""
    table = LISTS[name]
    what, time = table.c[column], table.c[TIMES[name]]
    statement = select(what, func.count()).where(what.is_not(None), time >= from_ns).group_by(what)
    if to_ns:
        statement = statement.where(time < to_ns)
    if session_id:
        statement = statement.where(table.c.session_id == session_id)
    rows = [(str(value), int(number)) for value, number in connection.execute(statement)]
    return dict(sorted(rows, key=lambda item: (-item[1], item[0])))


def unrealised_e8(connection: Connection, session_id: str, to_ns: int = 0) -> int:
    """Of the newest sample of a session (before `to_ns`)."""
    b = balances.c
    statement = select(b.unrealised_pnl_e8).where(b.source == "SAMPLE", b.session_id == session_id)
    if to_ns:
        statement = statement.where(b.ts_ns < to_ns)
    return connection.execute(statement.order_by(b.ts_ns.desc()).limit(1)).scalar() or 0


def balance_e8(connection: Connection, ran: Sequence[Mapping[str, Any]], at_ns: int) -> int:
    """Balance at a time of the first of these sessions that has one: after its last fill before, else what it began with."""
    b = balances.c
    for row in ran:
        if row["start_balance_e8"]:
            statement = select(b.balance_e8).where(b.source == "FILL", b.session_id == row["session_id"], b.ts_ns < at_ns)
            return connection.execute(statement.order_by(b.n.desc()).limit(1)).scalar() or row["start_balance_e8"]
    return 0


def booked_e8(connection: Connection, session_id: str) -> int:
    """What the positions a session has open have booked so far: fees, funding, parts that were closed."""
    p = positions.c
    statement = select(func.sum(p.realised_pnl_e8)).where(p.session_id == session_id, p.closed_ns.is_(None))
    return int(connection.execute(statement).scalar() or 0)


def sightings(connection: Connection, from_day: int) -> dict[str, Sightings]:
    """Spoofs and pumps of every symbol since a day, over the days anything was seen at all."""
    s = symbol_days.c
    days = connection.execute(select(func.count(func.distinct(s.day))).where(s.day >= from_day)).scalar() or 0
    statement = select(s.symbol, func.sum(s.spoofs), func.sum(s.pumps)).where(s.day >= from_day).group_by(s.symbol)
    return {symbol: Sightings(float(days), int(spoofs), int(pumps))
            for symbol, spoofs, pumps in connection.execute(statement)}


def traded_symbols(connection: Connection, from_ns: int) -> Sequence[str]:
    p = positions.c
    return connection.execute(select(func.distinct(p.symbol)).where(p.closed_ns >= from_ns).order_by(p.symbol)).scalars().all()


def table_sizes(connection: Connection) -> dict[str, int]:
    """Rows of every table, by its highest number where counting would take long (close, never less)."""
    sizes = {}
    for table in metadata.sorted_tables:
        if "id" in table.c:
            sizes[table.name] = connection.execute(select(func.max(table.c.id))).scalar() or 0
        elif table is not cursors:
            sizes[table.name] = connection.execute(select(func.count()).select_from(table)).scalar() or 0
    return sizes
