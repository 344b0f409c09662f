"""Suite-wide settings: the kernel cache of this checkout, and which sizes run by default."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.fingerprint import use_cache

use_cache(Path(__file__).resolve().parent.parent)  # before any test module imports numba


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
