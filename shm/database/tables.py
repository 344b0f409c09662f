"""Every table of the trading database, once. Pure declarations: nothing here connects to anything.

Money is a whole number of 1e-8 USDT (`*_e8`), exact everywhere. Prices and quantities are exact decimals as the exchange
writes them (`Exact`: text in SQLite, NUMERIC in PostgreSQL). Times are ns since the epoch (`*_ns`), UTC. Shares and scores
are floats. The natural key of a row is a unique constraint: writing a row twice is writing it once. `id` grows in order
of insertion and is what pages of a list are cut by.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeDecorator

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s", "uq": "uq_%(table_name)s", "pk": "pk_%(table_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
}
metadata = MetaData(naming_convention=NAMES)


class Exact(TypeDecorator[str]):
    """A decimal number as text in Python; NUMERIC where the database has one, so that SQL can reckon with it."""

    impl = String(40)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        return dialect.type_descriptor(Numeric() if dialect.name == "postgresql" else String(40))

    def process_bind_param(self, value: str | None, dialect: Dialect) -> Any:
        return Decimal(value) if value is not None and dialect.name == "postgresql" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        return format(value, "f") if isinstance(value, Decimal) else value


BigId = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by itself only for INTEGER
Json = JSON().with_variant(JSONB(), "postgresql")


def _id() -> Column[int]:
    return Column("id", BigId, primary_key=True, autoincrement=True)


def _session(nullable: bool = False) -> Column[str]:
    return Column("session_id", String(64), ForeignKey("sessions.session_id"), nullable=nullable)


def _money(name: str) -> Column[int]:
    return Column(f"{name}_e8", BigInteger)


def _ns(name: str) -> Column[int]:
    return Column(f"{name}_ns", BigInteger)


sessions = Table(
    "sessions", metadata,
    Column("session_id", String(64), primary_key=True),  # the run id
    Column("session_type", String(16)),  # live, paper, backtest (D5)
    Column("mode", String(16)),
    Column("status", String(16), nullable=False),  # RUNNING, PAUSED, STOPPED, ERROR
    Column("source", String(400)),  # venue or tape
    Column("symbols", Json),
    Column("strategy_config", Json),  # all settings in force at the start
    Column("settings_digest", String(64)),
    Column("code_hash", String(64)),
    Column("seed", BigInteger),
    Column("shards", Integer),
    _ns("started"), _ns("ended"),
    _money("start_balance"), _money("end_balance"), _money("realised_pnl"), _money("fees"),
    Column("trades", Integer), Column("wins", Integer),
    Column("error", Text),
    Index(None, "started_ns"), Index(None, "status"),
)

signal_history = Table(
    "signal_history", metadata,
    _id(), _session(),
    Column("process", String(80), nullable=False), Column("n", BigInteger, nullable=False),  # line of that process
    Column("strategy", String(64)), Column("symbol", String(24)),
    Column("side", String(8)), Column("phase", String(24)), Column("score", Float),
    Column("price", Exact), Column("stop_price", Exact), Column("target_price", Exact),
    Column("attempts", Integer), Column("refused_by", String(32)), Column("decision_id", String(64)),
    Column("seq", BigInteger), _ns("ts"),
    UniqueConstraint("session_id", "process", "n"),
    Index(None, "ts_ns"), Index(None, "symbol", "ts_ns"), Index(None, "decision_id"), Index(None, "phase", "ts_ns"),
)

orders = Table(
    "orders", metadata,
    _id(), _session(),
    Column("link_id", String(80), nullable=False),  # our client id; of closing orders <entry>.<role>
    Column("order_no", BigInteger),  # number execution gave it; a position has that of its first entry
    Column("exchange_order_id", String(64)),
    Column("strategy", String(64)), Column("symbol", String(24), nullable=False),
    Column("side", String(8)), Column("position_side", String(8)),
    Column("action", String(8)),  # BUY, SELL, SHORT, COVER (D3)
    Column("order_type", String(16)), Column("role", String(16)), Column("reduce_only", Boolean),
    Column("requested_quantity", Exact), Column("filled_quantity", Exact),
    Column("requested_price", Exact), Column("execution_price", Exact),
    Column("stop_price", Exact), Column("target_price", Exact),
    Column("slippage_pct", Float),  # positive = worse than requested
    Column("leverage", Float),
    Column("status", String(32), nullable=False),
    Column("rejection_reason", String(32)), Column("rejection_text", String(200)), Column("done_reason", String(32)),
    _money("filled_value"), _money("commission"), _money("realised_pnl"),
    Column("decision_id", String(64)),  # the signal behind it
    Column("seq", BigInteger),
    _ns("created"), _ns("updated"), _ns("done"),
    UniqueConstraint("session_id", "link_id"),
    Index(None, "created_ns"), Index(None, "symbol", "created_ns"), Index(None, "status", "created_ns"),
    Index(None, "decision_id"), Index(None, "rejection_reason", "created_ns"),
)

executions = Table(
    "executions", metadata,
    _id(), _session(),
    Column("n", BigInteger, nullable=False),  # record of the execution journal
    Column("exec_id", String(64)), Column("link_id", String(80)), Column("order_no", BigInteger),
    Column("symbol", String(24), nullable=False), Column("side", String(8)), Column("role", String(16)),
    Column("price", Exact), Column("quantity", Exact), Column("is_maker", Boolean),
    _money("value"), _money("fee"), _money("realised_pnl"),
    Column("seq", BigInteger), _ns("ts"),
    UniqueConstraint("session_id", "n"),
    Index(None, "ts_ns"), Index(None, "symbol", "ts_ns"), Index(None, "link_id"),
)

positions = Table(
    "positions", metadata,
    _id(), _session(),
    Column("position_no", BigInteger, nullable=False),  # order_no of the first entry
    Column("strategy", String(64)), Column("symbol", String(24), nullable=False), Column("position_side", String(8)),
    Column("status", String(16), nullable=False),  # OPEN, CLOSED, LIQUIDATED, LEFT_OPEN (when its session ended)
    Column("quantity", Exact), Column("max_quantity", Exact),
    Column("entry_price", Exact), Column("exit_price", Exact), Column("mark_price", Exact),
    _money("entry_value"), _money("exit_value"), _money("gross_pnl"), _money("fees"), _money("funding_accrued"),
    _money("realised_pnl"), _money("unrealised_pnl"),
    Column("leverage", Float), _money("margin_used"), Column("margin_ratio", Float),  # % of the balance nothing binds
    Column("liquidation_price", Exact), Column("stop_price", Exact), Column("target_price", Exact),
    _money("risk"),  # loss at the stop, fees included, when it was opened: one R
    Column("best_price", Exact), Column("worst_price", Exact),
    Column("slippage_pct", Float),
    Column("close_reason", String(32)), Column("entry_link_id", String(80)), Column("decision_id", String(64)),
    _ns("opened"), _ns("updated"), _ns("closed"),
    UniqueConstraint("session_id", "position_no"),
    Index(None, "status", "symbol"), Index(None, "closed_ns"), Index(None, "symbol", "closed_ns"),
    Index(None, "decision_id"),
)

balances = Table(
    "balances", metadata,
    _id(), _session(),
    Column("source", String(16), nullable=False),  # FILL: after a fill; SAMPLE: now and then, with what is unrealised
    Column("n", BigInteger, nullable=False),
    Column("asset", String(16)),
    _money("balance"), _money("equity"), _money("available"), _money("margin_used"), _money("unrealised_pnl"),
    _money("realised_pnl"), _money("heat"),
    _ns("ts"),
    UniqueConstraint("session_id", "source", "n"),
    Index(None, "ts_ns"), Index(None, "source", "ts_ns"),
)

strategy_execution_state = Table(
    "strategy_execution_state", metadata,
    _id(), _session(),
    Column("strategy", String(64), nullable=False), Column("symbol", String(24), nullable=False),
    Column("state", String(32), nullable=False), Column("previous_state", String(32)), Column("cause", String(32)),
    Column("score_long", Float), Column("score_short", Float), Column("price", Exact),
    Column("transitions", Json),  # the last five, newest first
    _ns("since"), _ns("updated"),
    UniqueConstraint("session_id", "strategy", "symbol"),
    Index(None, "symbol"), Index(None, "state"),
)

backtest_results = Table(
    "backtest_results", metadata,
    _id(), _session(nullable=True),
    Column("name", String(120), nullable=False),
    Column("input", Text), Column("parameters", Json), Column("settings_digest", String(64)),
    _ns("created"), _ns("from"), _ns("to"),
    Column("trade_count", Integer), Column("win_rate", Float), Column("total_return_pct", Float),
    _money("gross_pnl"), _money("fees"), _money("net_pnl"),
    Column("sharpe", Float), Column("sharpe_low", Float), Column("sharpe_high", Float),
    Column("sortino", Float), Column("calmar", Float), Column("profit_factor", Float),
    Column("max_drawdown_pct", Float), Column("expectancy_r", Float),
    Column("decision_digest", String(32)),
    Column("equity_curve", Json), Column("trades", Json), Column("report", Json),
    UniqueConstraint("name", "created_ns"),
    Index(None, "created_ns"),
)

decisions = Table(  # of all decision records those that led to something; the rest stays in the files
    "decisions", metadata,
    _id(), _session(),
    Column("decision_id", String(64), nullable=False),
    Column("symbol", String(24)), Column("side", Integer), Column("accepted", Boolean), Column("gate", String(32)),
    Column("state_to", String(32)), Column("score", Float), Column("pump", String(16)), Column("regime", String(32)),
    Column("seq", BigInteger), _ns("ts"),
    Column("record", Json),
    UniqueConstraint("session_id", "decision_id"),
    Index(None, "decision_id"), Index(None, "symbol", "ts_ns"), Index(None, "ts_ns"),
)

incidents = Table(
    "incidents", metadata,
    _id(), _session(),
    Column("process", String(80), nullable=False), Column("n", BigInteger, nullable=False),
    Column("kind", String(16)),  # technical, market, safety (B6)
    Column("severity", String(16)), Column("event", String(40)), Column("symbol", String(24)), Column("text", Text),
    Column("cause", Text), Column("fix", Text),
    _ns("ts"), _ns("resolved"),
    Column("record", Json),
    UniqueConstraint("session_id", "process", "n"),
    Index(None, "ts_ns"), Index(None, "kind", "ts_ns"),
)

symbol_days = Table(  # what was seen of a symbol on a UTC day, by all sessions
    "symbol_days", metadata,
    _id(),
    Column("symbol", String(24), nullable=False), Column("day", Integer, nullable=False),  # days since the epoch
    Column("spoofs", Integer, nullable=False, server_default="0"),
    Column("pumps", Integer, nullable=False, server_default="0"),
    UniqueConstraint("symbol", "day"),
    Index(None, "day"),
)

audit = Table(
    "audit", metadata,
    _id(),
    Column("source", String(80), nullable=False), Column("n", BigInteger, nullable=False),  # byte of the file
    Column("actor", String(80)), Column("action", String(80)), Column("reason", Text),
    _ns("ts"),
    Column("record", Json),
    UniqueConstraint("source", "n"),
    Index(None, "ts_ns"), Index(None, "action", "ts_ns"),
)

cursors = Table(  # how far each file has been taken over, moved in the transaction that takes it over
    "cursors", metadata,
    Column("source", String(250), primary_key=True),
    Column("position", BigInteger, nullable=False),
    Column("complete", Boolean, nullable=False),
    _ns("updated"),
)

KEYS: dict[str, tuple[str, ...]] = {
    table.name: next(
        (tuple(c.name for c in constraint.columns) for constraint in table.constraints
         if isinstance(constraint, UniqueConstraint)),
        tuple(c.name for c in table.primary_key.columns),
    )
    for table in metadata.tables.values()
}
"""Natural key of every table."""
