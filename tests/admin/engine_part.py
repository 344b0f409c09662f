"""A real Plant in the test process, and a stand-in that plays the other processes' part: writes boards, logs, heartbeats."""

from __future__ import annotations

import os
import secrets
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from admin import plant_stats, push
from admin.plant_stats import OUTSIDE
from core.detail import DETAIL, DETAIL_CANDLES, DETAIL_INTERVALS_S
from core.enums import Category, Cause, DataState, Gate, LogKind, Pump, Regime, Severity, State, WallFate
from core.features.registry import N_ALL_FEATURES
from core.records import ACCOUNT_ROW, GLOBAL, POSITION_ROW, SYMBOL, SYMBOL_ROW
from shm.control import ProcessState, cnc_turn
from shm.logs import LogWriter
from shm.run_spec import RunSpec
from shm.topology import Plant

TOKEN = "one-time-token-of-this-test"
E8 = 100_000_000
NAMES = (
    "BTCUSDT",
    "ETHUSDT",
    "SOLUSDT",
    "XRPUSDT",
    "DOGEUSDT",
    "1000PEPEUSDT",
    "LINKUSDT",
    "AVAXUSDT",
    "WIFUSDT",
    "SUIUSDT",
)
# Of each side: ticks from the last price, lots, size x average, age in s, fate.
WALLS = (
    ((-5, 91_000, 12.4, 38.2, WallFate.STANDING), (-11, 40_500, 6.1, 7.5, WallFate.SPOOFING)),
    ((8, 90_000, 11.8, 4.0, WallFate.ABSORBING),),
)
PRICES = (101_234.5, 3_911.22, 241.15, 1.4321, 0.32101, 0.0201234, 18.442, 41.107, 3.1204, 3.6577)


def make_plant(folder: Path, shards: int = 2, mode: str = "SIM", **changes: Any) -> Plant:
    """A small plant under `folder`/data, described in `folder`/data/run/run.json."""
    spec = RunSpec(
        run_id=f"test-{secrets.token_hex(6)}",
        mode=mode,
        shards=shards,
        data_dir=str(folder / "data"),
        token=TOKEN,
        market_cells=1024,
        raw_cells=1024,
        log_records=2048,
        created_ns=time.time_ns(),
        **changes,
    )
    spec.save(folder / "data" / "run" / "run.json")
    return Plant.create(spec)


def symbol_record(number: int, name: str, price: float, shards: int, category: int | None = None) -> np.ndarray:
    """SYMBOL record (1,) with about five significant price figures."""
    record = np.zeros(1, SYMBOL.dtype)
    row = record[0]
    row["name"][: len(name)] = np.frombuffer(name.encode(), np.uint8)
    digits = max(0, 5 - int(np.floor(np.log10(price))) - 1)
    row["id"], row["shard"], row["status"] = number, number % shards, 1
    row["tick_mant"], row["price_exp"] = 1, digits
    row["tick_size"] = 10.0**-digits
    row["lot_mant"], row["qty_exp"], row["lot_size"] = 1, 3, 0.001
    row["category"] = (
        category
        if category is not None
        else (Category.PRIME if number < 2 else Category.NORMAL if number < 60 else Category.WILD)
    )
    return record


def be_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is played here may stand still for minutes and is no less alive for it."""
    monkeypatch.setattr(plant_stats, "SILENT_MS", 600_000.0)
    monkeypatch.setattr(push, "AUTH_SECONDS", 600.0)


class EnginePart:
    """Plays gateway, shards, execution and recorder on `plant`. `tick()` advances once; `run` does so in a thread."""

    def __init__(self, plant: Plant, symbols: int = 10, seed: int = 7) -> None:
        self.plant = plant
        self.random = np.random.default_rng(seed)
        self.n = symbols
        self.roles = [row for row in plant.rows if row[0] not in ("admin", "guardian", *OUTSIDE)]
        self.logs = {row: LogWriter(plant.log(*row), plant.row(*row)) for row in plant.rows}
        self.rows = np.zeros(symbols, SYMBOL_ROW.dtype)
        self.position = np.zeros(1, POSITION_ROW.dtype)
        self.account = np.zeros(1, ACCOUNT_ROW.dtype)
        self.detail = np.zeros(1, DETAIL.dtype)
        self.verdict = np.zeros(1, GLOBAL.dtype)
        self.verdict["btc_vol_bps"], self.verdict["breadth"], self.verdict["correlation"] = 12.5, 0.42, np.nan
        self.infos = []
        self.seq = 0
        self.share = 1.0  # share of symbols that move in one tick
        self._stop = threading.Event()
        self._logging = threading.Lock()
        self._thread: threading.Thread | None = None
        for number in range(symbols):
            name = NAMES[number] if number < len(NAMES) else f"T{number:03d}USDT"
            price = PRICES[number] if number < len(PRICES) else float(np.exp(self.random.uniform(-5, 6)))
            record = symbol_record(number, name, price, plant.spec.shards)
            self.infos.append(record)
            plant.symbols().write(number, record)
            self.rows[number]["last_ticks"] = round(price * 10 ** int(record[0]["price_exp"]))
            self.rows[number]["category"] = record[0]["category"]
            self.rows[number]["symbol"] = number
            self.rows[number]["tick_size"], self.rows[number]["lot_size"] = record[0]["tick_size"], 0.001
        self.history = np.repeat(self.rows["last_ticks"][:, None], DETAIL_CANDLES, axis=1)
        for row in self.roles:
            page = plant.cnc(*row)
            page.start()
            page.set_state(ProcessState.RUN)
        plant.cnc("supervisor").note_start(os.getpid())
        plant.control.set("feed_state", 2)
        plant.control.set("run_state", ProcessState.RUN)
        self.open_position(0, +1)
        self.write_account()

    def log(self, role: str, kind: LogKind, **fields: Any) -> None:
        """A log line; also from the test's own thread while the part runs: a ring has one writer at a time."""
        index = fields.pop("index", 0)
        with self._logging:
            self.logs[(role, index)].emit(kind, **fields)

    def beat(self) -> None:
        """One loop turn of every process it plays."""
        now = time.monotonic_ns()
        self.plant.cnc("supervisor").beat()
        for row in self.roles:
            cnc_turn(
                self.plant.control.words, self.plant.cnc(*row).words, now, int(self.random.integers(2_000, 400_000))
            )

    def open_position(self, number: int, side: int) -> None:
        row = self.position[0]
        last = int(self.rows[number]["last_ticks"])
        tick = float(self.rows[number]["tick_size"])
        lots = max(1, round(125 / (last * tick) / 0.001))
        row["symbol"], row["side"], row["flags"], row["qty_lots"] = number, side, 1, side * lots
        row["entry_value_e8"] = side * round(lots * 0.001 * last * tick * E8)
        row["mark2_ticks"] = 2 * last
        row["stop_ticks"], row["target_ticks"] = round(last * (1 - side * 0.003)), round(last * (1 + side * 0.005))
        row["target2_ticks"], row["target_lots"] = round(last * (1 + side * 0.007)), lots
        row["best_ticks"], row["worst_ticks"] = last, last
        row["tick_size"], row["lot_size"], row["leverage_e2"] = tick, 0.001, 500
        row["margin_e8"], row["fees_e8"] = 25 * E8, 687_500
        row["opened_ns"] = time.time_ns()
        self.plant.positions().write(number, self.position)

    def write_account(self) -> None:
        row = self.account[0]
        row["balance_e8"], row["unrealised_e8"] = 1000 * E8 + 213_000_000, int(self.position[0]["unrealised_e8"])
        row["equity_e8"] = int(row["balance_e8"]) + int(row["unrealised_e8"])
        row["day_start_equity_e8"], row["max_equity_e8"] = 1000 * E8, 1004 * E8
        row["realised_day_e8"] = row["realised_e8"] = 213_000_000
        row["heat_e8"], row["margin_used_e8"] = 38 * E8 // 100, 25 * E8
        row["open_positions"], row["orders"], row["fills"], row["trades_closed"], row["wins"] = 1, 7, 9, 4, 3
        self.plant.account().write(0, self.account)

    def tick(self) -> None:
        """A quarter of a second of life: prices, scores, states, a position that moves, log lines, latencies."""
        now = time.time_ns()
        random = self.random
        moving = np.flatnonzero(random.random(self.n) < self.share)
        self.seq += len(moving)
        rows = self.rows
        step = np.rint(random.standard_t(3, len(moving)) * np.maximum(1, rows["last_ticks"][moving] * 4e-5)).astype(
            np.int64
        )
        rows["last_ticks"][moving] = np.maximum(10, rows["last_ticks"][moving] + step)
        last = rows["last_ticks"][moving]
        rows["bid_ticks"][moving], rows["ask_ticks"][moving] = last - 1, last + 1
        rows["bid_lots"][moving], rows["ask_lots"][moving] = 900, 700
        rows["events"][moving] += 1
        rows["seq"][moving], rows["ts_recv_ns"][moving] = self.seq, now
        rows["spread_bps"][moving] = 2e4 / last
        rows["microprice"][moving] = last
        rows["imbalance"][moving] = np.clip(
            0.8 * np.nan_to_num(rows["imbalance"][moving]) + random.normal(0, 0.25, len(moving)), -1, 1
        )
        rows["change_1m_pct"][moving] = 0.9 * rows["change_1m_pct"][moving] + random.normal(0, 0.08, len(moving))
        rows["delta_10s"][moving] = 0.85 * rows["delta_10s"][moving] + random.standard_t(2, len(moving)) * 4000
        rows["delta_1s"][moving] = random.standard_t(2, len(moving)) * 700
        rows["trades_per_s"][moving] = np.abs(0.9 * rows["trades_per_s"][moving] + random.normal(0, 2, len(moving)))
        rows["atr_1s_bps"][moving] = 1.5
        rows["data_state"][:] = DataState.OK
        drift = random.normal(0, 500, len(moving))
        rows["score_long_e2"][moving] = np.clip(rows["score_long_e2"][moving] * 0.9 + 350 + drift, 0, 10_000)
        rows["score_short_e2"][moving] = np.clip(rows["score_short_e2"][moving] * 0.9 + 350 - drift, 0, 10_000)
        rows["gate"][:] = np.where(rows["score_long_e2"] > 4200, Gate.SCORE_ARM, Gate.SCORE_WATCH)
        rows["state"][:] = np.where(
            rows["score_long_e2"] > 4400,
            State.WATCHING_LONG,
            np.where(rows["score_short_e2"] > 4400, State.WATCHING_SHORT, State.FLAT),
        )
        if self.n > 5:
            rows["state"][0], rows["gate"][0] = State.MANAGING, Gate.IN_POSITION
            rows["state"][3], rows["pump"][5], rows["regime"][5] = State.ARMED_LONG, Pump.PUMPING, Regime.PUMP
            rows["state"][5], rows["gate"][5] = State.BLOCKED_REGIME, Gate.REGIME
            rows["spoof_e2"][4], rows["flags"][4], rows["regime"][4] = 7300, 2, Regime.MANIPULATED
            rows["data_state"][6], rows["gate"][6] = DataState.BROKEN, Gate.DATA
        rows["since_ns"][:] = now - 3_000_000_000
        self.plant.symbol_rows().write_rows(moving.astype(np.int64), len(moving), np.ascontiguousarray(rows[moving]))
        self._move_position(now)
        self.write_account()
        self.plant.global_regime().write(0, self.verdict)
        self._measure()
        self._tell(moving)
        self._fill_details(now)
        self.plant.control.set("published_seq", self.seq)
        self.beat()
        self.share = 0.45

    def _move_position(self, now: int) -> None:
        row = self.position[0]
        number = int(row["symbol"])
        last = int(self.rows[number]["last_ticks"])
        row["mark2_ticks"], row["updated_ns"] = 2 * last, now
        row["best_ticks"], row["worst_ticks"] = max(int(row["best_ticks"]), last), min(int(row["worst_ticks"]), last)
        row["unrealised_e8"] = round(int(row["qty_lots"]) * 0.001 * last * float(row["tick_size"]) * E8) - int(
            row["entry_value_e8"]
        )
        self.plant.positions().write(number, self.position)

    def _measure(self) -> None:
        for index in range(self.plant.spec.shards):
            page = self.plant.counters("shard", index)
            for _ in range(20):
                page.record("recv_to_shard", int(self.random.lognormal(10.6, 0.5)))
                page.record("step", int(self.random.lognormal(7.4, 0.4)))
                page.record("wire_to_decision", int(self.random.lognormal(11.2, 0.5)))
        gateway = self.plant.counters("gateway")
        gateway.add("events", 6000)
        gateway.add("frames", 5600)
        for _ in range(20):
            gateway.record("decode", int(self.random.lognormal(6.2, 0.3)))
            gateway.record("recv_to_publish", int(self.random.lognormal(9.5, 0.4)))
        for _ in range(3):
            execution = self.plant.counters("execution")
            execution.record("wire_to_intent", int(self.random.lognormal(12.2, 0.4)))
            execution.record("intent_hop", int(self.random.lognormal(10.4, 0.4)))
            execution.record("execution", int(self.random.lognormal(9.8, 0.4)))
            self.plant.counters("shard", 0).record("report_hop", int(self.random.lognormal(10.9, 0.4)))
            self.plant.counters("recorder").record("raw_to_disk", int(self.random.lognormal(14.9, 0.4)))

    def _tell(self, moving: np.ndarray) -> None:
        for number in moving[:2].tolist():
            self.log(
                "shard",
                LogKind.STATE,
                index=number % self.plant.spec.shards,
                symbol=number,
                seq=self.seq,
                a=int(State.FLAT),
                b=int(State.WATCHING_LONG),
                c=int(Cause.SCORE_OVER_WATCH),
                d=6120,
                e=1200,
                f=int(self.rows[number]["last_ticks"]),
            )
        if self.random.random() < 0.12:
            self.log(
                "shard", LogKind.PUMP, symbol=5, a=int(Pump.PREPUMP), b=int(Pump.PUMPING), severity=Severity.WARNING
            )
        if self.random.random() < 0.1:
            self.log("execution", LogKind.FILL, symbol=0, text="BUY 0.001 @ 101234.5 maker")
        if self.random.random() < 0.06:
            self.log(
                "gateway", LogKind.DATA_STATE, symbol=6, a=int(DataState.BROKEN), b=2, c=3, severity=Severity.ERROR
            )
        if self.random.random() < 0.08:
            self.log("execution", LogKind.RISK, symbol=3, a=int(Gate.MAX_POSITIONS))

    def _fill_details(self, now: int) -> None:
        self.history = np.roll(self.history, -1, axis=1)
        self.history[:, -1] = self.rows["last_ticks"]
        for place, symbol in enumerate(self.plant.control.detail_symbols):
            if 0 <= symbol < self.n:
                self._fill_detail(place, symbol, now)

    def _fill_detail(self, place: int, symbol: int, now: int) -> None:
        row = self.detail[0]
        last = int(self.rows[symbol]["last_ticks"])
        levels = np.arange(25)
        row["symbol"], row["seq"], row["ts_recv_ns"] = symbol, self.seq, now
        row["n_bids"] = row["n_asks"] = 25
        row["n_candles"], row["n_trades"] = DETAIL_CANDLES, 50
        row["bid_ticks"], row["ask_ticks"] = last - 1 - levels, last + 1 + levels
        row["bid_lots"] = np.rint(self.random.lognormal(8, 0.8, 25))
        row["ask_lots"] = np.rint(self.random.lognormal(8, 0.8, 25))
        for series, seconds in enumerate(DETAIL_INTERVALS_S):
            self._fill_candles(row, series, seconds * 10**9, self.history[symbol], now)
        row["trade_ticks"] = last + self.random.integers(-3, 4, 50)
        row["trade_lots"] = np.rint(self.random.lognormal(5, 1.5, 50))
        row["trade_ts_ns"] = now - np.arange(50) * 130_000_000
        row["trade_side"] = self.random.choice([-1, 1], 50)
        for side, walls in enumerate(WALLS):
            row["n_walls"][side] = len(walls)
            for k, (offset, lots, x, age_s, fate) in enumerate(walls):
                row["wall_ticks"][side, k], row["wall_lots"][side, k], row["wall_fate"][side, k] = last + offset, lots, fate
                row["wall_x"][side, k], row["wall_age_s"][side, k] = x, age_s
                at = abs(offset) - 1
                row["ask_lots" if side else "bid_lots"][at] = lots
        row["features"] = self.random.normal(0, 10, N_ALL_FEATURES)
        row["features"][3] = np.nan
        self.plant.detail().write(place, self.detail)

    def _fill_candles(self, row: Any, series: int, length_ns: int, close: np.ndarray, now: int) -> None:
        n = len(close)
        opened = np.roll(close, 1)
        opened[0] = close[0]
        spread = np.rint(np.abs(self.random.normal(0, 2, n))).astype(np.int64)
        volume = np.rint(self.random.lognormal(5, 1, n)).astype(np.int64)
        row["candle_start_ns"][series] = now // length_ns * length_ns - (n - 1 - np.arange(n)) * length_ns
        row["candle_open_ticks"][series], row["candle_close_ticks"][series] = opened, close
        row["candle_high_ticks"][series] = np.maximum(opened, close) + spread
        row["candle_low_ticks"][series] = np.minimum(opened, close) - spread
        row["candle_volume_lots"][series] = volume
        row["candle_delta_lots"][series] = np.sign(close - opened) * (volume // 2)

    # --- in a thread
    def start(self, hz: float = 8.0) -> None:
        """Tick in a thread; beat every 10 ms in between, as real processes would."""

        def loop() -> None:
            due = 0.0
            while not self._stop.wait(0.01):
                if time.monotonic() >= due:
                    due = time.monotonic() + 1 / hz
                    self.tick()
                else:
                    self.beat()

        self._thread = threading.Thread(target=loop, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
