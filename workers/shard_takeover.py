"""What a restarted shard tells its new engine before the first event: settings, feed, control words, its symbols."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from config.schema import Profile, Settings
from core.enums import EventKind
from core.explain import naming_of
from core.params import PARAMS, params_row, profile_row
from core.records import CELL_BYTES, CELL_WORDS, EVENT, PROFILE, SYMBOL, TICKER
from shm.regions import MAX_SYMBOLS
from shm.topology import Plant
from workers.funding_handover import known_ticker


def symbols_of(plant: Plant, shard: int) -> np.ndarray:
    """SYMBOL records of a shard's tradable symbols, by id."""
    table: np.ndarray = np.zeros(MAX_SYMBOLS, SYMBOL.dtype)
    plant.symbols().read_all(table)
    return np.sort(table[(table["name_hash"] != 0) & (table["shard"] == shard) & (table["status"] == 1)], order="id")


def takeover_events(
    plant: Plant, settings: Settings, profiles: dict[str, Profile], symbols: np.ndarray, rows: np.ndarray, seq: int,
    known_ns: int, until_ns: int,
) -> Iterator[np.ndarray]:
    """Events as int64[n, 8] cells behind event `seq`. `rows`: SYMBOL_ROW of the dead shard, by symbol id; `known_ns`: the
    last event they know; `until_ns`: up to when funding may have been due without it."""
    version = plant.control.get("config_version")
    header: np.ndarray = np.zeros(1, EVENT.dtype)
    header["seq"], header["ts_exch_ns"], header["ts_recv_ns"] = seq, known_ns, known_ns

    def event(kind: EventKind, *, u: int = 0, symbol: int = -1, payload: np.ndarray | None = None, size: int = 0) -> np.ndarray:
        n_cells = 1 + size // CELL_BYTES
        header["u"], header["symbol"], header["kind"], header["n_cells"] = u, symbol, int(kind), n_cells
        cells: np.ndarray = np.zeros((n_cells, CELL_WORDS), np.int64)
        cells[0] = header.view(np.int64)
        if payload is not None:
            cells[1:] = payload.view(np.int64).reshape(-1, CELL_WORDS)
        return cells

    yield event(EventKind.CONFIG, payload=params_row(settings, version), size=PARAMS.size)
    yield event(EventKind.FEED, u=plant.control.get("feed_state"))
    yield event(EventKind.CONTROL, u=int(plant.control.bits()))
    for record in symbols:
        symbol = int(record["id"])
        yield event(EventKind.LISTING, symbol=symbol, payload=np.array([record], SYMBOL.dtype), size=SYMBOL.size)
        profile = profiles.get(naming_of(record).name)
        if profile is not None:
            yield event(EventKind.PROFILE, symbol=symbol, payload=profile_row(profile, version), size=PROFILE.size)
        ticker = known_ticker(rows[symbol], record, until_ns)
        if ticker is not None:
            yield event(EventKind.TICKER, symbol=symbol, payload=ticker, size=TICKER.size)
