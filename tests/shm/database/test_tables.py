"""Tables, migrations and connections, the same on SQLite and PostgreSQL."""

from __future__ import annotations

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, select, text
from sqlalchemy.exc import DBAPIError

from config.paths import DataPaths
from shm.database import connect
from shm.database.connect import DatabaseError, database_url, reader, shown, sqlite_file, writer
from shm.database.migrate import HEAD, upgrade, version
from shm.database.tables import KEYS, metadata, orders

D8 = {
    "sessions": {"session_id", "session_type", "mode", "status", "symbols", "strategy_config", "started_ns", "ended_ns"},
    "signal_history": {"session_id", "strategy", "symbol", "side", "score", "price", "decision_id", "ts_ns"},
    "orders": {"session_id", "strategy", "symbol", "side", "position_side", "order_type", "requested_quantity",
               "filled_quantity", "requested_price", "execution_price", "slippage_pct", "leverage", "status",
               "rejection_reason", "commission_e8", "realised_pnl_e8", "decision_id", "created_ns", "updated_ns", "done_ns"},
    "positions": {"session_id", "strategy", "symbol", "position_side", "quantity", "entry_price", "liquidation_price",
                  "margin_used_e8", "margin_ratio", "funding_accrued_e8", "unrealised_pnl_e8", "realised_pnl_e8",
                  "leverage", "close_reason", "opened_ns", "closed_ns"},
    "balances": {"session_id", "asset", "balance_e8", "equity_e8", "available_e8", "margin_used_e8", "ts_ns"},
    "strategy_execution_state": {"session_id", "strategy", "symbol", "state", "previous_state", "transitions", "since_ns"},
    "backtest_results": {"sharpe", "sortino", "calmar", "profit_factor", "max_drawdown_pct", "trades", "equity_curve"},
    "executions": {"session_id", "link_id", "price", "quantity", "fee_e8", "is_maker", "ts_ns"},
    "decisions": {"decision_id", "record"}, "incidents": {"kind", "severity", "cause", "fix"},
    "audit": {"actor", "action", "reason", "ts_ns"},
}


def made(url: str):
    return writer(database_url_of(url), "SIM")


def test_the_tables_of_the_requirement_with_their_columns(db_url: str) -> None:
    engine = made(db_url)
    assert upgrade(engine, "SIM") == ""
    assert upgrade(engine, "SIM") == HEAD
    with engine.connect() as connection:
        found = inspect(connection)
        for table, columns in D8.items():
            assert columns <= {column["name"] for column in found.get_columns(table)}, table
            assert found.get_indexes(table) or table == "strategy_execution_state"
        assert version(connection) == HEAD
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_what_is_declared_is_what_migrations_make_and_can_be_taken_back(db_url: str) -> None:
    from alembic import command
    from alembic.config import Config

    from shm.database.migrate import FOLDER

    engine = made(db_url)
    upgrade(engine, "SIM")
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    with engine.connect() as connection:
        assert set(inspect(connection).get_table_names()) == {"alembic_version"}
    upgrade(engine, "SIM")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_a_newer_database_is_refused(db_url: str) -> None:
    engine = made(db_url)
    upgrade(engine, "SIM")
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DatabaseError, match="9999"):
        upgrade(engine, "SIM")
    engine.dispose()


def test_readers_cannot_write_and_prices_are_exact(db_url: str) -> None:
    engine = made(db_url)
    upgrade(engine, "SIM")
    price = "123456789.000000012345"
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO sessions (session_id, status) VALUES ('r', 'RUNNING')"))
        connection.execute(orders.insert().values(
            session_id="r", link_id="a", symbol="X", status="NEW", requested_price=price, commission_e8=2**62))
    engine.dispose()
    readers = reader(database_url_of(db_url), "SIM")
    with readers.connect() as connection:
        row = connection.execute(select(orders)).one()
        assert (row.requested_price, row.commission_e8) == (price, 2**62)
        with pytest.raises(DBAPIError):
            connection.execute(text("DELETE FROM orders"))
    readers.dispose()


def database_url_of(url: str):
    return database_url(None, environ={connect.URL_VARIABLE: url})  # type: ignore[arg-type]


def test_a_read_that_takes_too_long_is_ended(db_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "READ_TIMEOUT_S", 0.2)
    engine = made(db_url)
    upgrade(engine, "SIM")
    engine.dispose()
    readers = reader(database_url_of(db_url), "SIM")
    endless = "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 1000000000) SELECT count(*) FROM t"
    with readers.connect() as connection, pytest.raises(DBAPIError):
        connection.execute(text(endless)).scalar()
    readers.dispose()


def test_where_the_database_is(tmp_path) -> None:
    paths = DataPaths(tmp_path, "SIM")
    assert sqlite_file(database_url(paths, "", {})) == tmp_path / "sim" / "trading.sqlite"
    url = database_url(paths, "postgresql://me@h/x", {connect.URL_VARIABLE: "postgresql://u:secret@h/db"})
    assert url.drivername == "postgresql+psycopg"
    assert shown(url) == "postgresql+psycopg://u:***@h/db"
    for given in ("postgres://h/db?user=x&password=secret", "postgresql://u:secret@h/db?sslpassword=secret&sslmode=require"):
        told = shown(database_url(paths, "", {connect.URL_VARIABLE: given}))
        assert told.startswith("postgresql+psycopg://") and "secret" not in told
    with pytest.raises(DatabaseError, match="mysql"):
        database_url(paths, "mysql://x/y", {})
    with pytest.raises(DatabaseError) as caught:
        database_url(paths, "not a url with a secret", {})
    assert "secret" not in str(caught.value)


def test_every_table_has_a_natural_key() -> None:
    assert KEYS["orders"] == ("session_id", "link_id")
    assert KEYS["cursors"] == ("source",)
    assert all(KEYS[name] != ("id",) for name in KEYS)


def test_modes_do_not_share_tables(postgres) -> None:
    url = database_url_of(postgres.fresh())
    for mode in ("SIM", "LIVE"):
        engine = writer(url, mode)
        upgrade(engine, mode)
        with engine.begin() as connection:
            connection.execute(text(f"INSERT INTO sessions (session_id, status) VALUES ('{mode}', 'RUNNING')"))
            assert connection.execute(text("SELECT session_id FROM sessions")).scalars().all() == [mode]
        engine.dispose()
