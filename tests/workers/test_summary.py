"""The picture `launch.py status` draws."""

from __future__ import annotations

from pathlib import Path

import pytest

from shm.topology import Plant
from tests.workers.support import make_plant
from workers.summary import status


def test_no_heartbeat_is_of_the_future(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process beats while the looking one maps its page: the table showed ages of -800 ms."""
    plant = make_plant(tmp_path)
    real = plant.cncs

    def beaten() -> object:
        found = real()
        plant.cnc("execution").start()
        plant.cnc("execution").beat()
        return found

    try:
        monkeypatch.setattr(Plant, "cncs", lambda self: beaten())
        ages = [row["heartbeat_age_ms"] for row in status(plant)["processes"] if row["heartbeat_age_ms"] is not None]
        assert ages and min(ages) >= 0.0
    finally:
        plant.destroy()
