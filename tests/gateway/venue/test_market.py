"""The synthetic market: fixed by its seed, and market-like."""

from __future__ import annotations

import hashlib

import numpy as np
from numba import types

from core.jit import KERNELS
from gateway.venue import warm
from gateway.venue.market import INTERVALS, bar_bounds
from gateway.venue.market_kernels import next_month_ms
from gateway.venue.streams import KIND_TRADES
from tests.gateway.venue.running import new_exchange, run_virtual


def digest(seed: int, count: int = 5, seconds: float = 10.0) -> str:
    exchange = new_exchange(count, seed=seed)
    for row in range(min(count, 3)):
        for kind in (0, 1, 2, 4, 5, 7):
            exchange.activate((kind, row))
    state = hashlib.sha256()
    for now_ms, key, body in run_virtual(exchange, seconds):
        if key[1] < 3:
            state.update(f"{now_ms}{key}".encode() + body)
    return state.hexdigest()


def test_the_seed_fixes_every_byte() -> None:
    assert digest(5) == digest(5)
    assert digest(5) != digest(6)


def test_a_symbol_does_not_depend_on_how_many_there_are() -> None:
    assert digest(5, count=5, seconds=4) == digest(5, count=20, seconds=4)


def test_never_crossed_never_empty_over_minutes_of_everything() -> None:
    exchange = new_exchange(12, seed=3, rate=3.0)
    s = exchange.market.symbols
    draw = np.random.default_rng(1)
    for _ in range(60):
        s["drift"][:12] = draw.normal(0, 0.01, 12)  # 1 %/s: worse than any pump
        exchange.market.factor[1] = draw.normal(0, 0.004)
        list(run_virtual(exchange, 2.0))
        used = s[:12]
        assert (used["best_bid"] < used["best_ask"]).all()
        for row in range(12):
            mask = exchange.market.ladder.shape[1] - 1
            bid, ask = int(used["best_bid"][row]), int(used["best_ask"][row])
            assert exchange.market.ladder[row, bid & mask] > 0
            assert exchange.market.ladder[row, ask & mask] > 0
            assert not exchange.market.ladder[row, [t & mask for t in range(bid + 1, ask)]].any()
            assert used["lo"][row] + 128 < bid and ask < used["hi"][row] - 128
        assert (exchange.market.ladder >= 0).all()


def test_it_looks_like_a_market() -> None:
    exchange = new_exchange(40, seed=11)
    for row in range(40):
        exchange.activate((KIND_TRADES, row))
    marks = []
    for _ in range(240):
        list(run_virtual(exchange, 1.0))
        marks.append(exchange.market.symbols["fair"][:40].copy())
    s = exchange.market.symbols[:40]
    heads = s["trade_head"].astype(float)
    # Heavy tail of activity: the busiest tenth makes more trades than the quieter half.
    assert np.sort(heads)[-4:].sum() > np.sort(heads)[:20].sum()
    # BTC leads: the others move with it.
    moves = np.diff(np.log(np.array(marks)[::2]), axis=0)
    correlation = [np.corrcoef(moves[:, 0], moves[:, k])[0, 1] for k in range(1, 40)]
    assert np.median(correlation) > 0.25
    # Sizes are heavy tailed, both sides trade, arrivals cluster.
    ring = exchange.market.trades[1][: min(1024, int(s["trade_head"][1]))]
    lots = ring["lots"].astype(float)
    assert lots.mean() > 1.5 * np.median(lots)
    assert 0.15 < (ring["side"] > 0).mean() < 0.85
    per_100ms = np.bincount((ring["ts_ms"] - ring["ts_ms"].min()) // 100)
    assert per_100ms.var() > 1.5 * per_100ms.mean()
    # Spreads stay tight and calm minutes stay within a few percent.
    spread_bps = (s["best_ask"] - s["best_bid"]) / s["fair"] * 1e4
    assert np.median(spread_bps) < 8
    assert np.abs(np.log(marks[-1] / marks[0])).max() < 0.08


def test_candles_have_calendar_bounds() -> None:
    at = 1_786_310_797_000  # 2026-08-09 21:26:37 UTC, a Sunday
    assert bar_bounds(at, 60_000) == (1_786_310_760_000, 1_786_310_820_000)
    assert bar_bounds(at, 604_800_000) == (1_785_715_200_000, 1_786_320_000_000)  # Monday to Monday
    month = bar_bounds(at, 0)
    assert month == (1_785_542_400_000, 1_788_220_800_000)
    for first in ("2024-02-01", "2025-02-01", "2026-12-01", "2100-02-01", "2000-02-01", "2026-04-01"):
        start = int(np.datetime64(first, "ms").astype(np.int64))
        wanted = np.datetime64(first, "M") + 1
        assert next_month_ms(start) == int(wanted.astype("datetime64[ms]").astype(np.int64))


def test_candles_close_and_agree_with_trades() -> None:
    exchange = new_exchange(2, seed=4, rate=2.0)
    list(run_virtual(exchange, 150))
    s = exchange.market.symbols[0]
    assert s.minute_head == 3
    for bar in exchange.market.minutes[0][:3]:
        assert bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high
        assert bar.next_ms - bar.start_ms == 60_000
    assert int(exchange.market.bars[0, INTERVALS.index("5")].lots) > 0


def test_each_kernel_has_one_compiled_signature() -> None:
    warm.warm_up()
    list(run_virtual(new_exchange(2), 1.5))
    ours = [kernel for kernel in KERNELS if kernel.py_func.__module__.startswith("gateway.venue")]
    assert len(ours) > 40
    for kernel in ours:
        # A literal passed by another kernel (side +1, -1) gives numba a copy of the same types.
        kinds = {tuple(types.unliteral(argument) for argument in signature) for signature in kernel.signatures}
        assert len(kinds) <= 1, (kernel.py_func.__name__, kinds)
