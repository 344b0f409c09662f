"""Every feature of a symbol by name: the tables of the feature modules, one after the other.

The detail board, decision records and pages list features in this order; a module that measures something new adds its
table here and its row to `EngineState` (see `core/engine/board.fill_features`).
"""

from __future__ import annotations

from core.features.records import FEATURES
from core.records import Field, Record

TABLES: tuple[Record, ...] = (FEATURES,)
ALL_FEATURES: tuple[Field, ...] = tuple(f for table in TABLES for f in table.fields if f.name != "reserved")
ALL_FEATURE_NAMES: tuple[str, ...] = tuple(f.name for f in ALL_FEATURES)
N_ALL_FEATURES = len(ALL_FEATURES)

assert len(set(ALL_FEATURE_NAMES)) == N_ALL_FEATURES, "two features of one name"
