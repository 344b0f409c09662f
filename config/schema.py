"""Every setting, once: name, type, default and unit (last in the name). TOML files and `SCALPER__...` names follow it.

A key is `hot` when `HOT_SECTIONS` names its section: it may change while the system runs, atomically, as a new config
version. Everything else needs a restart.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

Positive = Annotated[float, Meta(gt=0)]
NonNegative = Annotated[float, Meta(ge=0)]
Count = Annotated[int, Meta(ge=0)]
PositiveCount = Annotated[int, Meta(gt=0)]
Percent = Annotated[float, Meta(ge=0, le=100)]

ModeName = Literal["SIM", "DRY_RUN", "LIVE"]
CategoryName = Literal["PRIME", "NORMAL", "WILD"]


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all settings: frozen, keyword only, unknown keys refused."""


# --- trading.toml ----------------------------------------------------------------------------------------------------
class Account(Section, frozen=True):
    start_balance_usdt: Positive = 1000.0
    leverage: Annotated[float, Meta(ge=1, le=25)] = 5.0
    margin_per_trade_usdt: Positive = 25.0
    max_positions: PositiveCount = 3
    min_balance_usdt: NonNegative = 100.0


class Fees(Section, frozen=True):
    maker_pct: float = 0.02
    taker_pct: float = 0.055


class Orders(Section, frozen=True):
    latency_ms: Positive = 20.0  # paper: decision to exchange; also the time a report needs back
    maker_deadline_ms: NonNegative = 1500.0  # unfilled maker entry turns taker after this
    price_buffer_bps: NonNegative = 1.0  # latency price buffer of a taker entry
    slippage_cap_bps: Positive = 50.0  # a market order never fills farther than this from the touch


class Exits(Section, frozen=True):
    stop_atr: Positive = 4.0  # stop distance in micro-ATR
    stop_min_bps: Positive = 15.0
    stop_max_bps: Positive = 80.0
    target_r: Positive = 1.6  # take profit in multiples of the stop distance, never under MinMoveForProfit
    fee_buffer: NonNegative = 0.25  # profit must exceed fees x (1 + this)
    max_hold_s: Positive = 300.0
    break_even: bool = True


class Trading(Section, frozen=True):
    mode: ModeName = "SIM"
    account: Account = field(default_factory=Account)
    fees: Fees = field(default_factory=Fees)
    orders: Orders = field(default_factory=Orders)
    exits: Exits = field(default_factory=Exits)


# --- safety.toml -----------------------------------------------------------------------------------------------------
class Limits(Section, frozen=True):
    daily_loss_pct: Annotated[float, Meta(gt=0, le=5)] = 3.0
    max_heat_pct: Percent = 5.0
    max_unrealised_loss_pct: Percent = 3.0


class Degraded(Section, frozen=True):
    enter_ms: Positive = 300.0
    leave_ms: Positive = 150.0
    enter_after_ms: NonNegative = 300.0  # measured latency must stay over enter_ms this long
    leave_after_ms: NonNegative = 2000.0
    backlog_cells_pct: Percent = 50.0  # a shard's ring lag over this share of the ring sheds WILD symbols
    resume_cells_pct: Percent = 10.0


class Feed(Section, frozen=True):
    down_after_s: Positive = 10.0
    silent_topic_s: Positive = 20.0  # PRIME book without an update this long is STALE
    silent_wild_s: Positive = 120.0
    crossed_ms: NonNegative = 200.0
    resubscribe_min_s: Positive = 1.0  # per symbol
    connect_budget: PositiveCount = 60  # new connections per five minutes (Bybit allows 500)
    backoff_min_s: Positive = 0.5
    backoff_max_s: Positive = 30.0
    ping_s: Positive = 20.0
    pong_deadline_s: Positive = 10.0
    max_frame_bytes: PositiveCount = 4_194_304
    instruments_refresh_s: Positive = 15.0


class Safety(Section, frozen=True):
    limits: Limits = field(default_factory=Limits)
    degraded: Degraded = field(default_factory=Degraded)
    feed: Feed = field(default_factory=Feed)


# --- skip.toml -------------------------------------------------------------------------------------------------------
class Skip(Section, frozen=True):
    enabled: bool = False
    weekdays: tuple[Annotated[int, Meta(ge=0, le=6)], ...] = (0, 1, 2, 3, 4)  # Monday = 0
    from_hour_utc: Annotated[int, Meta(ge=0, le=23)] = 9
    to_hour_utc: Annotated[int, Meta(ge=1, le=24)] = 18
    volatility_index_max: Positive = 30.0


# --- thresholds.toml -------------------------------------------------------------------------------------------------
class Score(Section, frozen=True):
    watch: tuple[float, float, float] = (55.0, 58.0, 62.0)  # PRIME, NORMAL, WILD
    arm: tuple[float, float, float] = (68.0, 70.0, 74.0)
    hysteresis: NonNegative = 5.0
    max_spread_bps: tuple[float, float, float] = (3.0, 8.0, 15.0)
    weight_imbalance: float = 30.0
    weight_flow: float = 30.0
    weight_microprice: float = 15.0
    weight_streak: float = 10.0
    weight_volatility: float = 15.0


class Windows(Section, frozen=True):
    flow_fast_s: Positive = 1.0
    flow_slow_s: Positive = 10.0
    imbalance_levels: PositiveCount = 10
    warmup_s: NonNegative = 1.0
    cooldown_s: NonNegative = 30.0
    signal_ttl_s: Positive = 45.0


class Pump(Section, frozen=True):
    change_pct: Positive = 3.0
    window_s: Positive = 60.0
    volume_surge: Positive = 3.0
    blowoff_pct: Positive = 6.0
    dump_pct: Positive = 2.5
    cooldown_s: Positive = 60.0


class Depth(Section, frozen=True):
    zone_ticks: PositiveCount = 10
    zone_bps: Positive = 10.0
    average_s: Annotated[float, Meta(ge=5, le=120)] = 60.0


class Walls(Section, frozen=True):
    size_x: Annotated[float, Meta(gt=1)] = 8.0
    leave_x: Positive = 4.0
    min_usdt: NonNegative = 1000.0
    reach_bps: Positive = 50.0
    full_x: Positive = 24.0
    near_bps: Positive = 10.0
    age_s: Positive = 2.0
    match_ms: Annotated[float, Meta(ge=20, le=5000)] = 300.0
    absorb_share_pct: Annotated[float, Meta(gt=0, le=100)] = 20.0
    move_bps: Positive = 5.0
    move_size_pct: Percent = 10.0
    spoof_verdict: Annotated[float, Meta(gt=0, le=1)] = 0.65
    spoof_approach_bps: Positive = 2.0
    spoof_stay_s: Positive = 0.5
    spoof_life_s: Positive = 30.0
    half_life_s: Positive = 20.0
    iceberg_refills: PositiveCount = 3


class Thresholds(Section, frozen=True):
    score: Score = field(default_factory=Score)
    windows: Windows = field(default_factory=Windows)
    pump: Pump = field(default_factory=Pump)
    depth: Depth = field(default_factory=Depth)
    walls: Walls = field(default_factory=Walls)


# --- symbols.toml ----------------------------------------------------------------------------------------------------
class SymbolOverride(Section, frozen=True):
    category: CategoryName | None = None
    blacklisted: bool = False
    max_leverage: Annotated[float, Meta(ge=1, le=25)] | None = None
    margin_per_trade_usdt: Positive | None = None


class Symbols(Section, frozen=True):
    prime: tuple[str, ...] = ("BTCUSDT", "ETHUSDT")
    normal_count: Count = 100  # next by turnover; the rest is WILD
    limit: PositiveCount = 1024
    depth: tuple[int, int, int] = (50, 50, 50)  # order-book topic for PRIME, NORMAL, WILD
    blacklist: tuple[str, ...] = ()
    overrides: dict[str, SymbolOverride] = field(default_factory=dict)


# --- system.toml -----------------------------------------------------------------------------------------------------
class Admin(Section, frozen=True):
    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8787  # 0 = any free port
    push_hz: Positive = 4.0


class Rings(Section, frozen=True):
    market_cells: PositiveCount = 262_144  # powers of two
    raw_cells: PositiveCount = 1_048_576
    intent_slots: PositiveCount = 4096
    report_slots: PositiveCount = 4096
    log_records: PositiveCount = 16_384


class Idle(Section, frozen=True):
    spin: Count = 0  # empty turns before parking
    park_ms: Positive = 5.0


class Recorder(Section, frozen=True):
    enabled: bool = True
    segment_mb: Positive = 64.0
    zstd_level: Annotated[int, Meta(ge=1, le=19)] = 3
    sync_s: Positive = 1.0


class System(Section, frozen=True):
    admin: Admin = field(default_factory=Admin)
    rings: Rings = field(default_factory=Rings)
    idle: Idle = field(default_factory=Idle)
    recorder: Recorder = field(default_factory=Recorder)


class Settings(Section, frozen=True):
    """The whole configuration; one attribute per TOML file."""

    trading: Trading = field(default_factory=Trading)
    safety: Safety = field(default_factory=Safety)
    skip: Skip = field(default_factory=Skip)
    thresholds: Thresholds = field(default_factory=Thresholds)
    symbols: Symbols = field(default_factory=Symbols)
    system: System = field(default_factory=System)


HOT_SECTIONS: tuple[str, ...] = (
    "trading.account", "trading.orders", "trading.exits", "safety.limits", "safety.degraded", "skip", "thresholds",
    "symbols.blacklist",
)
