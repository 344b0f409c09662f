"""Column planes and the delta channel: what a browser holds after any sequence of frames is the server's table."""

from __future__ import annotations

import numpy as np

from admin import frames, hotlist
from core.enums import Gate, Pump, Regime, State
from core.records import SYMBOL_ROW


def rows_of(n: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    rows = np.zeros(n, SYMBOL_ROW.dtype)
    rows["last_ticks"] = random.integers(1, 2**40, n)
    for name in ("spread_bps", "change_1m_pct", "delta_10s", "imbalance", "trades_per_s"):
        rows[name] = random.normal(0, 1000, n)
    return rows


def test_columns_are_contiguous_and_cover_all_planes() -> None:
    at = 0
    for column in hotlist.columns_json():
        assert column["first"] == at
        at += column["planes"]
    assert at == hotlist.N_PLANES == hotlist.to_planes(rows_of(3, 1), np.zeros(3, np.int64)).shape[0]


def test_values_survive_their_scale() -> None:
    rows = rows_of(4, 2)
    rows["last_ticks"] = [1, 2**31, 2**32 + 5, 2**40 + 123]
    rows["spread_bps"] = [1.2345, np.nan, 1e300, -np.inf]
    rows["score_long_e2"] = [6120, 0, 10_000, 1]
    scores = ("spoof", "news", "volatility", "wall_support", "wall_resistance", "score_long", "score_short",
              "watch", "arm")  # fmt: skip
    for at, name in enumerate(scores):
        rows[f"{name}_e2"][1] = 100 + at
    rows["state"], rows["regime"], rows["pump"], rows["gate"] = State.ARMED_LONG, Regime.PUMP, Pump.BLOWOFF, Gate.FLOW
    rows["side"] = [-1, 0, 1, 1]
    planes = hotlist.to_planes(rows, np.array([-1, 0, 7, 2**40]))
    ticks = planes[1].astype(np.int64) * 2**32 + planes[0].view(np.uint32)
    assert ticks.tolist() == rows["last_ticks"].tolist()
    assert planes[2].tolist() == [123, hotlist.UNKNOWN, hotlist.LIMIT, -hotlist.LIMIT]
    place = {column["name"]: column["first"] for column in hotlist.columns_json()}
    assert planes[place["long"]].tolist() == [6120, 105, 10_000, 1]
    shown = ("spoof", "news", "volatility", "support", "resistance", "long", "short", "watch", "arm")
    assert [planes[place[name], 1] for name in shown] == list(range(100, 109))
    codes = planes[place["codes"]].view(np.uint32)
    assert [int(codes[0] >> shift & 255) for shift in (0, 8, 16, 24)] == [
        State.ARMED_LONG,
        Regime.PUMP,
        Pump.BLOWOFF,
        Gate.FLOW,
    ]
    assert (planes[place["marks"]].view(np.uint32) >> 24).tolist() == [0, 1, 2, 2]
    assert planes[place["seen"]].tolist() == [-1, 0, 7, hotlist.LIMIT]


def test_a_reader_of_snaps_and_deltas_holds_the_table() -> None:
    random = np.random.default_rng(3)
    channel = hotlist.TableChannel()
    ids = np.arange(50)
    rows = rows_of(50, 4)
    held: dict[int, list[int]] = {}
    for turn in range(40):
        if turn == 20:  # a symbol leaves
            ids, rows = np.delete(ids, 7), np.delete(rows, 7)
        moved = random.random(len(ids)) < 0.2
        rows["last_ticks"][moved] += 1
        planes = hotlist.to_planes(rows, np.zeros(len(ids), np.int64))
        channel.update(ids, planes, turn)
        skipped = turn and random.random() < 0.2
        data = channel.snap() if skipped else channel.delta()
        frame = frames.decode(data)
        assert frame.seq == turn + 1
        assert frame.type == (frames.SNAP if skipped or turn in (0, 20) else frames.DELTA)
        if frame.type == frames.SNAP:
            held.clear()
        elif not skipped:
            assert len(frame.ids) == moved.sum()
        held.update({int(i): frame.planes[:, k].tolist() for k, i in enumerate(frame.ids)})
        assert held == {int(i): planes[:, k].tolist() for k, i in enumerate(ids)}


def test_frames_of_one_tick_are_encoded_once() -> None:
    channel = hotlist.TableChannel()
    rows = rows_of(5, 5)
    channel.update(np.arange(5), hotlist.to_planes(rows, np.zeros(5, np.int64)), 1)
    assert channel.delta() is channel.snap()
    rows["last_ticks"][2] += 1
    channel.update(np.arange(5), hotlist.to_planes(rows, np.zeros(5, np.int64)), 2)
    assert channel.delta() is channel.delta()
    assert len(channel.delta()) < len(channel.snap())
