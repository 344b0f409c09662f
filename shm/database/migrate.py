"""Bring a database to the present version of the tables, by alembic, one transaction per call.

A database newer than this code is refused: nothing is downgraded behind the user's back.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from shm.database.connect import DatabaseError, schema_of

FOLDER = Path(__file__).parent / "migrations"
HEAD = "0001"
VERSION_TABLE = "alembic_version"


def version(connection: Connection) -> str:
    """Version of the tables, '' for an empty database."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return ""
    return connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar() or ""


def upgrade(engine: Engine, mode: str, revision: str = "head") -> str:
    """Make or migrate the tables; returns the version before. Raises DatabaseError, SQLAlchemyError."""
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('scalper-migrate'))"))
            connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {schema_of(mode)}"))
        before = version(connection)
        if before == HEAD and revision == "head":
            return before  # the usual case: alembic is not even imported
        from alembic import command
        from alembic.config import Config
        from alembic.script import ScriptDirectory

        config = Config()
        config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
        config.attributes["connection"] = connection
        known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
        if before and before not in known:
            raise DatabaseError(f"the database is of version {before}, this program knows up to {HEAD}: use a newer one")
        command.upgrade(config, revision)
        return before
