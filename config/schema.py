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
Share = Annotated[float, Meta(ge=0, le=1)]
Score100 = Annotated[float, Meta(ge=0, le=100)]

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
    volatility_index: NonNegative = 0.0  # 0 = not known
    volatility_index_max: Positive = 30.0


# --- thresholds.toml -------------------------------------------------------------------------------------------------
class Score(Section, frozen=True):
    watch: tuple[float, float, float] = (44.0, 47.0, 52.0)  # PRIME, NORMAL, WILD
    arm: tuple[float, float, float] = (56.0, 59.0, 64.0)
    hysteresis: NonNegative = 5.0
    max_spread_bps: tuple[float, float, float] = (3.0, 8.0, 15.0)
    smoothing_s: Positive = 0.5  # a 20 ms book tick must not arm a symbol by itself
    weight_imbalance_top: NonNegative = 8.0  # points at full signal; all weights together 100
    weight_imbalance_zone: NonNegative = 12.0
    weight_microprice: NonNegative = 8.0
    weight_ofi: NonNegative = 7.0
    weight_walls: NonNegative = 8.0
    weight_absorption: NonNegative = 4.0
    weight_flow: NonNegative = 8.0
    weight_cvd_slope: NonNegative = 14.0
    weight_streak: NonNegative = 5.0
    weight_vpin: NonNegative = 6.0
    weight_volatility: NonNegative = 6.0
    weight_fee: NonNegative = 8.0
    weight_leverage: NonNegative = 6.0
    penalty_pump: NonNegative = 40.0
    penalty_spoof: NonNegative = 25.0
    penalty_layering: NonNegative = 10.0
    penalty_news: NonNegative = 30.0
    penalty_spread: NonNegative = 30.0
    imbalance_full: Positive = 0.5  # an imbalance of this and more counts in full
    ofi_full: Positive = 0.5  # as does an order-flow imbalance of this share of the depth
    flow_full: Positive = 0.5  # and this share of one-sided aggressive volume
    rate_half: Positive = 0.1  # trades per second at which the flow counts half
    streak_half: Positive = 2.0  # trades in a row of one side that give half the signal
    horizon_s: Positive = 60.0  # can this many seconds of movement carry the smallest profitable move?


class Signal(Section, frozen=True):
    attempts: PositiveCount = 3
    ttl_s: Positive = 45.0
    cooldown_s: NonNegative = 300.0
    rest_s: NonNegative = 30.0
    walls_against: Percent = 60.0
    news_veto: Percent = 60.0
    liq_safety_min: Percent = 30.0
    record_every_s: Positive = 1.0
    record_gap_ms: NonNegative = 100.0
    exit_retry_s: Positive = 5.0


class Zone(Section, frozen=True):
    width_pct: Positive = 0.04
    width_atr: NonNegative = 1.0
    width_max_pct: Positive = 0.15
    max_distance_pct: Positive = 0.5
    nudge_after_s: Positive = 2.0
    nudges: Count = 2


class Windows(Section, frozen=True):
    flow_fast_s: Positive = 1.0
    flow_slow_s: Positive = 10.0
    imbalance_levels: PositiveCount = 10
    warmup_s: NonNegative = 1.0


class Pump(Section, frozen=True):
    windows_s: tuple[Positive, Positive, Positive, Positive] = (5.0, 15.0, 60.0, 300.0)
    change_pct: tuple[Positive, Positive, Positive, Positive] = (1.5, 2.0, 3.0, 5.0)  # a pump, per window
    volume_surge: Positive = 3.0  # witnesses: volume and trades over the usual, book thinned out to this share
    trades_surge: Positive = 2.5
    thinning: Share = 0.5
    witnesses: Annotated[int, Meta(ge=0, le=3)] = 2  # so many must agree; of fewer known ones all
    fresh_pct: NonNegative = 0.15  # and the price must have moved this much over the second window
    prepump_share: Share = 0.5  # PREPUMP at this share of the changes, with one witness
    leave_share: Share = 0.5  # a threshold once passed is left at this share of it
    blowoff_x: Positive = 2.0  # BLOWOFF at so many times the change of a pump
    dump_pct: Positive = 2.5  # DUMP at this fall from the top
    stall_s: Positive = 20.0  # no new top for so long: the pump is over
    dwell_s: NonNegative = 2.0  # shortest stay in a state
    cooldown_s: Positive = 60.0
    baseline_s: Positive = 300.0  # what volume is compared with
    baseline_minimum_s: Positive = 20.0  # a younger baseline tells nothing


class Volatility(Section, frozen=True):
    window_s: Positive = 60.0  # realised volatility
    minimum_s: Positive = 5.0
    atr_candles: PositiveCount = 14  # closed 1 s / 3 s candles in a micro-ATR
    atr_minimum: PositiveCount = 3
    provisional_s: Positive = 0.8  # until then an estimate from the mid, once it is known this long
    half_bps: Positive = 30.0  # VolatilityScore 50 at this volatility of one minute
    explosion_bps: Positive = 60.0  # ExplosionFlag at this 1 s micro-ATR ...
    explosion_leave_share: Share = 0.5  # ... until it is under this share of it


class Flow(Section, frozen=True):
    cvd_anchor_s: Positive = 3600.0  # cumulative delta starts anew at every multiple of this
    vpin_buckets_per_day: Positive = 5000.0  # a volume bucket is the turnover of 24 h divided by this
    vpin_buckets: Annotated[int, Meta(ge=1, le=64)] = 50  # closed buckets in VPIN ...
    vpin_minimum: PositiveCount = 10  # ... of which this many must be there
    oi_window_s: Positive = 300.0  # change of the open interest
    liq_floor_share: Positive = 0.01  # liquidations are compared with at least this share of the usual volume


class Leverage(Section, frozen=True):
    maintenance_pct: tuple[Positive, Positive, Positive] = (0.5, 1.0, 2.0)  # where the risk tier is not known
    sigmas: NonNegative = 3.0  # the liquidation should be this many one-minute volatilities away


class News(Section, frozen=True):
    impact: Score100 = 70.0  # of a flag that names none
    half_life_s: Positive = 300.0
    ttl_s: Positive = 3600.0
    listing_impact: Score100 = 80.0  # a new listing
    listing_half_life_s: Positive = 300.0
    listing_ttl_s: NonNegative = 600.0


class RegimeRules(Section, frozen=True):
    news_enter: Score100 = 40.0  # NEWS_DRIVEN from this impact on ...
    news_leave: Score100 = 20.0  # ... down to this one
    spoof_enter: Score100 = 60.0  # MANIPULATED from this spoofing score on ...
    spoof_leave: Score100 = 40.0
    dwell_s: NonNegative = 5.0  # shortest stay in MANIPULATED and NEWS_DRIVEN
    cooldown_done_s: NonNegative = 60.0  # COOLDOWN_DONE is shown this long


class GlobalRules(Section, frozen=True):
    volatility_bps: tuple[Positive, Positive] = (60.0, 150.0)  # BTC or ETH over one minute: RISK_OFF, PANIC
    shock_bps: tuple[Positive, Positive] = (100.0, 300.0)  # their move over the minute
    correlation: Share = 0.8  # RISK_OFF when symbols move with BTC this much ...
    breadth: Share = 0.8  # ... and this share of them falls
    together_bps: NonNegative = 30.0  # ... the median of them by this much in the minute
    leave_share: Share = 0.6  # a threshold is left at this share of it
    calm_s: NonNegative = 30.0  # and only after so long under it
    dwell_s: NonNegative = 5.0  # shortest stay
    feed_down_s: NonNegative = 10.0  # feed not connected for so long: RISK_OFF


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
    spoof_verdict: Annotated[float, Meta(gt=0, le=1)] = 0.71
    spoof_approach_bps: Positive = 2.0
    spoof_stay_s: Positive = 0.5
    spoof_life_s: Positive = 30.0
    half_life_s: Positive = 20.0
    iceberg_refills: PositiveCount = 3


class Thresholds(Section, frozen=True):
    score: Score = field(default_factory=Score)
    signal: Signal = field(default_factory=Signal)
    zone: Zone = field(default_factory=Zone)
    windows: Windows = field(default_factory=Windows)
    pump: Pump = field(default_factory=Pump)
    depth: Depth = field(default_factory=Depth)
    walls: Walls = field(default_factory=Walls)
    volatility: Volatility = field(default_factory=Volatility)
    flow: Flow = field(default_factory=Flow)
    leverage: Leverage = field(default_factory=Leverage)
    news: News = field(default_factory=News)
    regime: RegimeRules = field(default_factory=RegimeRules)
    global_regime: GlobalRules = field(default_factory=GlobalRules)


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


# --- profiles/profiles.json: not a setting, see config/profiles.py ------------------------------------------------------
class Profile(Struct, frozen=True, kw_only=True):
    raise_points: Annotated[float, Meta(ge=0, le=100)] = 0.0  # added to `watch` and `arm`
    size: Annotated[float, Meta(ge=0.01, le=1)] = 1.0  # share of the normal size
    blacklisted: bool = False
    trades: Count = 0  # behind it
    win_rate: Annotated[float, Meta(ge=0, le=1)] | None = None


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
    decision_records: PositiveCount = 2048


class Idle(Section, frozen=True):
    spin: Count = 0  # empty turns before parking
    park_ms: Positive = 5.0


class Recorder(Section, frozen=True):
    enabled: bool = True
    segment_mb: Positive = 64.0
    zstd_level: Annotated[int, Meta(ge=1, le=19)] = 3
    sync_s: Positive = 1.0  # fdatasync of the raw frames
    order_sync_s: Positive = 1.0  # of the order of consumption


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
