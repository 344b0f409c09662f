"""Board kernels: dirty rows once each, values as the state has them, detail of one symbol."""

from __future__ import annotations

import numpy as np

from core.book.kernels import book_digest
from core.candles.kernels import INTERVALS_S, KEPT
from core.detail import DETAIL, DETAIL_INTERVALS_S
from core.engine.board import fill_detail, fill_rows
from core.engine.state import C_DIRTY
from core.features.registry import ALL_FEATURE_NAMES
from core.records import SYMBOL_ROW
from tests.core.engine.plant import Plant
from tests.core.engine.streams import Market


def run() -> Plant:
    stream = Market(7, 2).run(8, 200)
    stream.end()
    return Plant([stream.cells()], 8).run()


def test_rows() -> None:
    plant = run()
    state = plant.shards[0].state
    ids, rows = np.zeros(3, np.int64), np.zeros(3, SYMBOL_ROW.dtype)
    state.features.row["mark"][2] = 1234.4 * state.symbols[2]["tick_size"]
    seen: dict[int, np.void] = {}
    for expected in (3, 3, 1, 0):
        n = fill_rows(state, ids, rows)
        assert n == expected
        for k in range(n):
            assert int(ids[k]) not in seen
            seen[int(ids[k])] = rows[k].copy()
    assert set(seen) == set(range(7)) and state.control[C_DIRTY] == 0
    for slot, row in seen.items():
        trade, feature = state.trade[slot], state.features.row[slot]
        assert row["symbol"] == slot and row["state"] == trade["state"] and row["digest"] == trade["digest"]
        assert row["bid_ticks"] == state.book.price[slot, 0, 0] and row["ask_lots"] == state.book.qty[slot, 1, 0]
        assert row["spread_bps"] == feature["spread_bps"] and row["imbalance"] == feature["imbalance_n"]
        assert row["score_long_e2"] == int(np.floor(trade["score_long"] * 100 + 0.5))
        assert row["book_digest"] == book_digest(state.book, slot) != 0
        assert row["name_hash"] == state.symbols[slot]["name_hash"] and row["gate"] == trade["gate"]
        assert 0 <= row["volatility_e2"] <= 10_000
        known = not np.isnan(feature["mark"])
        assert row["mark_ticks"] == (round(feature["mark"] / state.symbols[slot]["tick_size"]) if known else 0)
    assert [int(seen[slot]["mark_ticks"]) for slot in (1, 2)] == [0, 1234]


def test_detail() -> None:
    plant = run()
    state = plant.shards[0].state
    detail = np.zeros(2, DETAIL.dtype)
    assert fill_detail(state, 99, detail, 1) == 0 and fill_detail(state, -1, detail, 1) == 0
    assert fill_detail(state, 4, detail, 1) == 1
    row = detail[1]
    n = int(row["n_bids"])
    assert row["symbol"] == 4 and n == min(int(state.book.count[4, 0]), 25)
    assert list(row["bid_ticks"][:n]) == list(state.book.price[4, 0, :n])
    assert list(row["ask_lots"][: row["n_asks"]]) == list(state.book.qty[4, 1, : row["n_asks"]])
    for series, seconds in enumerate(DETAIL_INTERVALS_S):
        n = int(row["n_candles"][series])
        assert n >= (7, 2, 1)[series] and (np.diff(row["candle_start_ns"][series, :n]) == seconds * 10**9).all()
        interval = INTERVALS_S.index(seconds)
        newest = state.candles.candle[4, interval, state.candles.last[4, interval] % KEPT]
        assert row["candle_close_ticks"][series, n - 1] == newest["close"]
        assert row["candle_delta_lots"][series, n - 1] == newest["buy_lots"] - newest["sell_lots"]
    assert (row["candle_high_ticks"] >= row["candle_low_ticks"]).all()
    n = int(row["n_trades"])
    assert n > 10 and (np.diff(row["trade_ts_ns"][:n]) <= 0).all()  # newest first
    assert row["trade_ticks"][0] == state.tape.totals[4]["last_ticks"]
    tables = (state.features.row, state.walls.row, state.moves.row)
    for at, name in enumerate(ALL_FEATURE_NAMES):
        table = next(table for table in tables if name in (table.dtype.names or ()))
        np.testing.assert_equal(row["features"][at], table[4][name])
