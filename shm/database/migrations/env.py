"""Run by alembic: migrations over the connection of `shm.database.migrate`, inside its transaction."""

from __future__ import annotations

from alembic import context

from shm.database.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
context.run_migrations()
