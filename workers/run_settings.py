"""The settings of a run, as every process of it loads them."""

from __future__ import annotations

import os
from pathlib import Path

from config.load import load
from config.schema import Settings
from shm.topology import Plant


def load_settings(plant: Plant) -> Settings:
    """The settings of the run, with its mode. Raises ConfigError."""
    spec = plant.spec
    overrides = dict(spec.overrides) | {"trading.mode": spec.mode}
    return load([Path(f) for f in spec.config_files], os.environ, overrides).settings
