"""Alembic's folder: `env.py` runs the scripts of `versions/` over a connection that `migrate.upgrade` hands in."""
