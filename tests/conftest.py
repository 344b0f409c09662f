"""Suite-wide settings: the kernel cache of this checkout, and which sizes run by default."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from config.fingerprint import use_cache
from config.memory import return_large_blocks
from tests.database_servers import BACKENDS, Cluster, cluster, why_no_postgres

use_cache(Path(__file__).resolve().parent.parent)  # before any test module imports numba
return_large_blocks()  # one process runs hundreds of plants

PROFILE = settings.get_current_profile_name()  # tests/mutation brings its own

PATIENCE = 20.0
TESTS = Path(__file__).resolve().parent
LONG_FIRST = ("bench", "browser", "mutation", "sim", "stress", "workers")  # files are handed out in this order: small ones last
LONG_TIMEOUT_S = 900  # a plant, a browser on a slow machine: what hangs is told by its own wait, this is the last resort
Goal = Callable[[str, float, float], None]  # what took how long, and how long it may, s


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="also run the full-size tests (marker `slow`)")
    parser.addoption("--sim-seeds", default="200", help="how many seeded sessions tests/sim runs (--full: 20,000)")


def pytest_configure(config: pytest.Config) -> None:
    """`hypothesis` here measures no time (a loaded machine is slow, not wrong), and takes the same examples in every run: it
    looks for new ones with `--full`. What else its profile says, in CI too, stays."""
    if PROFILE in ("default", "ci"):
        settings.register_profile("suite", settings.get_profile(PROFILE), deadline=None,
                                  derandomize=not config.getoption("--full"), suppress_health_check=[HealthCheck.too_slow])
        settings.load_profile("suite")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if {"system", "browser"} & set(item.keywords) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(LONG_TIMEOUT_S))
    items.sort(key=lambda item: item.path.relative_to(TESTS).parts[0] not in LONG_FIRST)
    if config.getoption("--full"):
        return
    skip = pytest.mark.skip(reason="full size: run with --full")
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(skip)


@pytest.fixture
def goal(request: pytest.FixtureRequest) -> Goal:
    """A goal of time: told always, and asserted where the machine is ours alone (`--full`). By default a process may be
    held off the processor by others: it then fails only at PATIENCE times as long, which is no longer slow but broken."""
    patience = 1.0 if request.config.getoption("--full") else PATIENCE

    def check(what: str, took_s: float, limit_s: float) -> None:
        print(f"{what}: {took_s:.3f} s, {'within' if took_s <= limit_s else 'OVER'} the goal of {limit_s:g} s", flush=True)
        assert took_s <= limit_s * patience, what

    return check


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
