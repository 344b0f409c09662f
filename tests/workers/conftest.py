"""What tests of several modules begin with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workers.database_checks import T0
from tests.workers.made_runs import MadeRun


@pytest.fixture
def run(tmp_path: Path, db_url: str) -> Iterator[MadeRun]:
    """A made run beside a database, on SQLite and on PostgreSQL."""
    made = MadeRun(tmp_path / "data", "r1", T0)
    yield made
    made.close()
