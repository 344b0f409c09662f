"""First version of the tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
EXACT = sa.String(40).with_variant(sa.Numeric(), "postgresql")


def upgrade() -> None:
    op.create_table("audit",
        sa.Column("id", BIG_ID, nullable=False), sa.Column("source", sa.String(80), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False), sa.Column("actor", sa.String(80)),
        sa.Column("action", sa.String(80)), sa.Column("reason", sa.Text()), sa.Column("ts_ns", sa.BigInteger()),
        sa.Column("record", JSON), sa.PrimaryKeyConstraint("id", name="pk_audit"),
        sa.UniqueConstraint("source", "n", name="uq_audit"),
    )
    op.create_index("ix_audit_action_ts_ns", "audit", ["action", "ts_ns"])
    op.create_index("ix_audit_ts_ns", "audit", ["ts_ns"])
    op.create_table("cursors",
        sa.Column("source", sa.String(250), nullable=False), sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("complete", sa.Boolean(), nullable=False), sa.Column("updated_ns", sa.BigInteger()),
        sa.PrimaryKeyConstraint("source", name="pk_cursors"),
    )
    op.create_table("sessions",
        sa.Column("session_id", sa.String(64), nullable=False), sa.Column("session_type", sa.String(16)),
        sa.Column("mode", sa.String(16)), sa.Column("status", sa.String(16), nullable=False),
        sa.Column("source", sa.String(400)), sa.Column("symbols", JSON), sa.Column("strategy_config", JSON),
        sa.Column("settings_digest", sa.String(64)), sa.Column("code_hash", sa.String(64)),
        sa.Column("seed", sa.BigInteger()), sa.Column("shards", sa.Integer()),
        sa.Column("started_ns", sa.BigInteger()), sa.Column("ended_ns", sa.BigInteger()),
        sa.Column("start_balance_e8", sa.BigInteger()), sa.Column("end_balance_e8", sa.BigInteger()),
        sa.Column("realised_pnl_e8", sa.BigInteger()), sa.Column("fees_e8", sa.BigInteger()),
        sa.Column("trades", sa.Integer()), sa.Column("wins", sa.Integer()), sa.Column("error", sa.Text()),
        sa.PrimaryKeyConstraint("session_id", name="pk_sessions"),
    )
    op.create_index("ix_sessions_started_ns", "sessions", ["started_ns"])
    op.create_index("ix_sessions_status", "sessions", ["status"])
    op.create_table("backtest_results",
        sa.Column("id", BIG_ID, nullable=False), sa.Column("session_id", sa.String(64)),
        sa.Column("name", sa.String(120), nullable=False), sa.Column("input", sa.Text()),
        sa.Column("parameters", JSON), sa.Column("settings_digest", sa.String(64)),
        sa.Column("created_ns", sa.BigInteger()), sa.Column("from_ns", sa.BigInteger()),
        sa.Column("to_ns", sa.BigInteger()), sa.Column("trade_count", sa.Integer()),
        sa.Column("win_rate", sa.Float()), sa.Column("total_return_pct", sa.Float()),
        sa.Column("gross_pnl_e8", sa.BigInteger()), sa.Column("fees_e8", sa.BigInteger()),
        sa.Column("net_pnl_e8", sa.BigInteger()), sa.Column("sharpe", sa.Float()),
        sa.Column("sharpe_low", sa.Float()), sa.Column("sharpe_high", sa.Float()), sa.Column("sortino", sa.Float()),
        sa.Column("calmar", sa.Float()), sa.Column("profit_factor", sa.Float()),
        sa.Column("max_drawdown_pct", sa.Float()), sa.Column("expectancy_r", sa.Float()),
        sa.Column("decision_digest", sa.String(32)), sa.Column("equity_curve", JSON), sa.Column("trades", JSON),
        sa.Column("report", JSON),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.session_id"], name="fk_backtest_results_session_id"),
        sa.PrimaryKeyConstraint("id", name="pk_backtest_results"),
        sa.UniqueConstraint("name", "created_ns", name="uq_backtest_results"),
    )
    op.create_index("ix_backtest_results_created_ns", "backtest_results", ["created_ns"])
    op.create_table("balances",
        sa.Column("id", BIG_ID, nullable=False), sa.Column("session_id", sa.String(64), nullable=False),
        sa.Column("source", sa.String(16), nullable=False), sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("asset", sa.String(16)), sa.Column("balance_e8", sa.BigInteger()),
        sa.Column("equity_e8", sa.BigInteger()), sa.Column("available_e8", sa.BigInteger()),
        sa.Column("margin_used_e8", sa.BigInteger()), sa.Column("unrealised_pnl_e8", sa.BigInteger()),
        sa.Column("realised_pnl_e8", sa.BigInteger()), sa.Column("heat_e8", sa.BigInteger()),
        sa.Column("ts_ns", sa.BigInteger()),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.session_id"], name="fk_balances_session_id"),
        sa.PrimaryKeyConstraint("id", name="pk_balances"),
        sa.UniqueConstraint("session_id", "source", "n", name="uq_balances"),
    )
    op.create_index("ix_balances_source_ts_ns", "balances", ["source", "ts_ns"])
    op.create_index("ix_balances_ts_ns", "balances", ["ts_ns"])
    op.create_table("decisions",
        sa.Column("id", BIG_ID, nullable=False), sa.Column("session_id", sa.String(64), nullable=False),
        sa.Column("decision_id", sa.String(64), nullable=False), sa.Column("symbol", sa.String(24)),
        sa.Column("side", sa.Integer()), sa.Column("accepted", sa.Boolean()), sa.Column("gate", sa.String(32)),
        sa.Column("state_to", sa.String(32)), sa.Column("score", sa.Float()), sa.Column("pump", sa.String(16)),
        sa.Column("regime", sa.String(32)), sa.Column("seq", sa.BigInteger()), sa.Column("ts_ns", sa.BigInteger()),
        sa.Column("record", JSON),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.session_id"], name="fk_decisions_session_id"),
        sa.PrimaryKeyConstraint("id", name="pk_decisions"),
        sa.UniqueConstraint("session_id", "decision_id", name="uq_decisions"),
    )
    op.create_index("ix_decisions_decision_id", "decisions", ["decision_id"])
    op.create_index("ix_decisions_symbol_ts_ns", "decisions", ["symbol", "ts_ns"])
    op.create_index("ix_decisions_ts_ns", "decisions", ["ts_ns"])
    op.create_table("executions",
        sa.Column("id", BIG_ID, nullable=False), sa.Column("session_id", sa.String(64), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False), sa.Column("exec_id", sa.String(64)),
        sa.Column("link_id", sa.String(80)), sa.Column("order_no", sa.BigInteger()),
        sa.Column("symbol", sa.String(24), nullable=False), sa.Column("side", sa.String(8)),
        sa.Column("role", sa.String(16)), sa.Column("price", EXACT), sa.Column("quantity", EXACT),
        sa.Column("is_maker", sa.Boolean()), sa.Column("value_e8", sa.BigInteger()),
        sa.Column("fee_e8", sa.BigInteger()), sa.Column("realised_pnl_e8", sa.BigInteger()),
        sa.Column("seq", sa.BigInteger()), sa.Column("ts_ns", sa.BigInteger()),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.session_id"], name="fk_executions_session_id"),
        sa.PrimaryKeyConstraint("id", name="pk_executions"),
        sa.UniqueConstraint("session_id", "n", name="uq_executions"),
    )
    op.create_index("ix_executions_link_id", "executions", ["link_id"])
    op.create_index("ix_executions_symbol_ts_ns", "executions", ["symbol", "ts_ns"])
    op.create_index("ix_executions_ts_ns", "executions", ["ts_ns"])
    op.create_table("incidents",
        sa.Column("id", BIG_ID, nullable=False), sa.Column("session_id", sa.String(64), nullable=False),
        sa.Column("process", sa.String(80), nullable=False), sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(16)), sa.Column("severity", sa.String(16)), sa.Column("event", sa.String(40)),
        sa.Column("symbol", sa.String(24)), sa.Column("text", sa.Text()), sa.Column("cause", sa.Text()),
        sa.Column("fix", sa.Text()), sa.Column("ts_ns", sa.BigInteger()), sa.Column("resolved_ns", sa.BigInteger()),
        sa.Column("record", JSON),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.session_id"], name="fk_incidents_session_id"),
        sa.PrimaryKeyConstraint("id", name="pk_incidents"),
        sa.UniqueConstraint("session_id", "process", "n", name="uq_incidents"),
    )
    op.create_index("ix_incidents_kind_ts_ns", "incidents", ["kind", "ts_ns"])
    op.create_index("ix_incidents_ts_ns", "incidents", ["ts_ns"])
    op.create_table("orders",
        sa.Column("id", BIG_ID, nullable=False), sa.Column("session_id", sa.String(64), nullable=False),
        sa.Column("link_id", sa.String(80), nullable=False), sa.Column("order_no", sa.BigInteger()),
        sa.Column("exchange_order_id", sa.String(64)), sa.Column("strategy", sa.String(64)),
        sa.Column("symbol", sa.String(24), nullable=False), sa.Column("side", sa.String(8)),
        sa.Column("position_side", sa.String(8)), sa.Column("action", sa.String(8)),
        sa.Column("order_type", sa.String(16)), sa.Column("role", sa.String(16)),
        sa.Column("reduce_only", sa.Boolean()), sa.Column("requested_quantity", EXACT),
        sa.Column("filled_quantity", EXACT), sa.Column("requested_price", EXACT),
        sa.Column("execution_price", EXACT), sa.Column("stop_price", EXACT), sa.Column("target_price", EXACT),
        sa.Column("slippage_pct", sa.Float()), sa.Column("leverage", sa.Float()),
        sa.Column("status", sa.String(32), nullable=False), sa.Column("rejection_reason", sa.String(32)),
        sa.Column("rejection_text", sa.String(200)), sa.Column("done_reason", sa.String(32)),
        sa.Column("filled_value_e8", sa.BigInteger()), sa.Column("commission_e8", sa.BigInteger()),
        sa.Column("realised_pnl_e8", sa.BigInteger()), sa.Column("decision_id", sa.String(64)),
        sa.Column("seq", sa.BigInteger()), sa.Column("created_ns", sa.BigInteger()),
        sa.Column("updated_ns", sa.BigInteger()), sa.Column("done_ns", sa.BigInteger()),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.session_id"], name="fk_orders_session_id"),
        sa.PrimaryKeyConstraint("id", name="pk_orders"),
        sa.UniqueConstraint("session_id", "link_id", name="uq_orders"),
    )
    op.create_index("ix_orders_created_ns", "orders", ["created_ns"])
    op.create_index("ix_orders_decision_id", "orders", ["decision_id"])
    op.create_index("ix_orders_rejection_reason_created_ns", "orders", ["rejection_reason", "created_ns"])
    op.create_index("ix_orders_status_created_ns", "orders", ["status", "created_ns"])
    op.create_index("ix_orders_symbol_created_ns", "orders", ["symbol", "created_ns"])
    op.create_table("positions",
        sa.Column("id", BIG_ID, nullable=False), sa.Column("session_id", sa.String(64), nullable=False),
        sa.Column("position_no", sa.BigInteger(), nullable=False), sa.Column("strategy", sa.String(64)),
        sa.Column("symbol", sa.String(24), nullable=False), sa.Column("position_side", sa.String(8)),
        sa.Column("status", sa.String(16), nullable=False), sa.Column("quantity", EXACT),
        sa.Column("max_quantity", EXACT), sa.Column("entry_price", EXACT), sa.Column("exit_price", EXACT),
        sa.Column("mark_price", EXACT), sa.Column("entry_value_e8", sa.BigInteger()),
        sa.Column("exit_value_e8", sa.BigInteger()), sa.Column("gross_pnl_e8", sa.BigInteger()),
        sa.Column("fees_e8", sa.BigInteger()), sa.Column("funding_accrued_e8", sa.BigInteger()),
        sa.Column("realised_pnl_e8", sa.BigInteger()), sa.Column("unrealised_pnl_e8", sa.BigInteger()),
        sa.Column("leverage", sa.Float()), sa.Column("margin_used_e8", sa.BigInteger()),
        sa.Column("margin_ratio", sa.Float()), sa.Column("liquidation_price", EXACT),
        sa.Column("stop_price", EXACT), sa.Column("target_price", EXACT), sa.Column("risk_e8", sa.BigInteger()),
        sa.Column("best_price", EXACT), sa.Column("worst_price", EXACT), sa.Column("slippage_pct", sa.Float()),
        sa.Column("close_reason", sa.String(32)), sa.Column("entry_link_id", sa.String(80)),
        sa.Column("decision_id", sa.String(64)), sa.Column("opened_ns", sa.BigInteger()),
        sa.Column("updated_ns", sa.BigInteger()), sa.Column("closed_ns", sa.BigInteger()),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.session_id"], name="fk_positions_session_id"),
        sa.PrimaryKeyConstraint("id", name="pk_positions"),
        sa.UniqueConstraint("session_id", "position_no", name="uq_positions"),
    )
    op.create_index("ix_positions_closed_ns", "positions", ["closed_ns"])
    op.create_index("ix_positions_decision_id", "positions", ["decision_id"])
    op.create_index("ix_positions_status_symbol", "positions", ["status", "symbol"])
    op.create_index("ix_positions_symbol_closed_ns", "positions", ["symbol", "closed_ns"])
    op.create_table("signal_history",
        sa.Column("id", BIG_ID, nullable=False), sa.Column("session_id", sa.String(64), nullable=False),
        sa.Column("process", sa.String(80), nullable=False), sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("strategy", sa.String(64)), sa.Column("symbol", sa.String(24)), sa.Column("side", sa.String(8)),
        sa.Column("phase", sa.String(24)), sa.Column("score", sa.Float()), sa.Column("price", EXACT),
        sa.Column("stop_price", EXACT), sa.Column("target_price", EXACT), sa.Column("attempts", sa.Integer()),
        sa.Column("refused_by", sa.String(32)), sa.Column("decision_id", sa.String(64)),
        sa.Column("seq", sa.BigInteger()), sa.Column("ts_ns", sa.BigInteger()),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.session_id"], name="fk_signal_history_session_id"),
        sa.PrimaryKeyConstraint("id", name="pk_signal_history"),
        sa.UniqueConstraint("session_id", "process", "n", name="uq_signal_history"),
    )
    op.create_index("ix_signal_history_decision_id", "signal_history", ["decision_id"])
    op.create_index("ix_signal_history_phase_ts_ns", "signal_history", ["phase", "ts_ns"])
    op.create_index("ix_signal_history_symbol_ts_ns", "signal_history", ["symbol", "ts_ns"])
    op.create_index("ix_signal_history_ts_ns", "signal_history", ["ts_ns"])
    op.create_table("strategy_execution_state",
        sa.Column("id", BIG_ID, nullable=False), sa.Column("session_id", sa.String(64), nullable=False),
        sa.Column("strategy", sa.String(64), nullable=False), sa.Column("symbol", sa.String(24), nullable=False),
        sa.Column("state", sa.String(32), nullable=False), sa.Column("previous_state", sa.String(32)),
        sa.Column("cause", sa.String(32)), sa.Column("score_long", sa.Float()),
        sa.Column("score_short", sa.Float()), sa.Column("price", EXACT), sa.Column("transitions", JSON),
        sa.Column("since_ns", sa.BigInteger()), sa.Column("updated_ns", sa.BigInteger()),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.session_id"], name="fk_strategy_execution_state_session_id"),
        sa.PrimaryKeyConstraint("id", name="pk_strategy_execution_state"),
        sa.UniqueConstraint("session_id", "strategy", "symbol", name="uq_strategy_execution_state"),
    )
    op.create_index("ix_strategy_execution_state_state", "strategy_execution_state", ["state"])
    op.create_index("ix_strategy_execution_state_symbol", "strategy_execution_state", ["symbol"])


def downgrade() -> None:
    for table in (
        "strategy_execution_state", "signal_history", "positions", "orders", "incidents", "executions",
        "decisions", "balances", "backtest_results", "sessions", "cursors", "audit",
    ):
        op.drop_table(table)
