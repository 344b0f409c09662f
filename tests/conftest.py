"""Suite-wide settings: the kernel cache of this checkout, and which sizes run by default."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from config.fingerprint import use_cache
from config.memory import return_large_blocks
from tests.database_servers import BACKENDS, Cluster, cluster, why_no_postgres

use_cache(Path(__file__).resolve().parent.parent)  # before any test module imports numba
return_large_blocks()  # one process runs hundreds of plants


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="also run the full-size tests (marker `slow`)")
    parser.addoption("--sim-seeds", default="200", help="how many seeded sessions tests/sim runs (--full: 20,000)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--full"):
        return
    skip = pytest.mark.skip(reason="full size: run with --full")
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A private PostgreSQL cluster; skips with the reason where there is none to be had."""
    if reason := why_no_postgres():
        pytest.skip(reason)
    with cluster() as made:
        yield made


@pytest.fixture(params=BACKENDS)
def db_url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty database of each kind, named by SCALPER_DATABASE_URL."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'trading.sqlite'}"
    else:
        url = request.getfixturevalue("postgres").fresh()
    monkeypatch.setenv("SCALPER_DATABASE_URL", url)
    return url
