"""Where recorded Bybit data lies beside the project; tests that need it skip with the reason where it is absent."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared" / "bybit"


def recording(name: str) -> Path:
    """Path of `recordings/<name>`; skips the calling test when the data is not there."""
    return fixture(f"recordings/{name}")


def fixture(name: str) -> Path:
    """Path of any file below the shared Bybit folder; skips the calling test when the data is not there."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"recorded data not present: {name} (expected in ../shared/bybit beside the project)")
    return path
