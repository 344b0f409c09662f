"""Every setting, once: name, type, default and unit (last in the name). TOML files and `SCALPER__...` names follow it.

A key is `hot` when `HOT_SECTIONS` names its section: it may change while the system runs, atomically, as a new config
version. Everything else needs a restart.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field
from msgspec.json import Decoder

Positive = Annotated[float, Meta(gt=0)]
NonNegative = Annotated[float, Meta(ge=0)]
Count = Annotated[int, Meta(ge=0)]
PositiveCount = Annotated[int, Meta(gt=0)]
Percent = Annotated[float, Meta(ge=0, le=100)]
Share = Annotated[float, Meta(ge=0, le=1)]
Score100 = Annotated[float, Meta(ge=0, le=100)]
Leverage25 = Annotated[float, Meta(ge=1, le=25)]

ModeName = Literal["SIM", "DRY_RUN", "LIVE"]
CategoryName = Literal["PRIME", "NORMAL", "WILD"]
TierName = Literal["NONE", "MICRO", "SMALL", "NORMAL"]


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
    queue_share: Share = 1.0  # paper: share of the lots displayed ahead of us that must trade before we are filled
    maker_deadline_ms: NonNegative = 1500.0  # unfilled maker entry turns taker after this
    price_buffer_bps: NonNegative = 1.0  # latency price buffer of a taker entry
    slippage_cap_bps: Positive = 50.0  # a market order never fills farther than this from the touch


class Exits(Section, frozen=True):
    stop_atr: Positive = 4.0  # stop distance in micro-ATR
    stop_min_bps: Positive = 15.0
    stop_max_bps: Positive = 80.0
    tp_r: tuple[Positive, Positive, Positive] = (1.0, 1.6, 2.4)  # targets in stop distances, none under MinMoveForProfit
    tp_share: tuple[Share, Share, Share] = (0.4, 0.3, 0.2)  # of the position each takes; the rest rides with the trail
    fee_buffer: NonNegative = 0.25  # profit must exceed fees x (1 + this)
    max_hold_s: Positive = 300.0
    break_even: bool = True
    trail_atr: Positive = 4.0  # distance of the trailing stop from the best price: so many micro-ATR ...
    trail_r: Positive = 0.6  # ... or so many stop distances, whichever is more
    tighten: Annotated[float, Meta(gt=0, le=1)] = 0.5  # BLOWOFF, PANIC: trail and targets at this share of their distance
    widen: Annotated[float, Meta(ge=1)] = 1.5  # MANIPULATED, news: stop at so many stop distances, within the gated risk
    blocked_hold_s: NonNegative = 20.0  # a position is closed after so long in a bad regime
    step_bps: Positive = 1.0  # a stop or target moves by at least this much ...
    step_ms: NonNegative = 250.0  # ... and not more often than this
    add_max: Annotated[int, Meta(ge=0, le=3)] = 0  # additions to a losing position, 0 = never
    add_step_r: Annotated[float, Meta(gt=0, lt=1)] = 0.4  # each so many stop distances farther down
    add_share: Annotated[float, Meta(gt=0, le=1)] = 0.5  # each of this share of the first order


class Trading(Section, frozen=True):
    mode: ModeName = "SIM"
    capital_tier: TierName = "NONE"  # LIVE needs one (core/risk/tiers.py); elsewhere it rehearses the limits
    account: Account = field(default_factory=Account)
    fees: Fees = field(default_factory=Fees)
    orders: Orders = field(default_factory=Orders)
    exits: Exits = field(default_factory=Exits)


# --- safety.toml -----------------------------------------------------------------------------------------------------
class Limits(Section, frozen=True):
    daily_loss_pct: Annotated[float, Meta(gt=0, le=5)] = 3.0
    max_heat_pct: Percent = 5.0
    max_unrealised_loss_pct: Percent = 3.0
    risk_per_trade_pct: Annotated[float, Meta(gt=0, le=5)] = 2.0  # R; the share of the heat limit may be less
    max_correlated_pct: Positive = 100.0  # value in one direction of what moves together
    min_margin_ratio_pct: Percent = 50.0  # of equity stays free of margin
    max_leverage: tuple[Leverage25, Leverage25, Leverage25] = (25.0, 20.0, 10.0)  # PRIME, NORMAL, WILD
    max_notional_usdt: tuple[Positive, Positive, Positive] = (5000.0, 2500.0, 1000.0)  # of one position
    max_category_positions: tuple[PositiveCount, PositiveCount, PositiveCount] = (10, 10, 10)
    max_orders_per_minute: PositiveCount = 60  # entries of all symbols
    churn_orders: PositiveCount = 20  # of one symbol within a minute: more latch it off
    churn_round_trips: PositiveCount = 4
    collar_bps: Positive = 100.0  # entry price from the mark price (LIVE)
    liquidation_stops: Positive = 2.0  # liquidation at least this many stop distances away
    open_liquidation_bps: NonNegative = 300.0  # of an open position, from the mark price (LIVE)
    max_adl_rank: Annotated[int, Meta(ge=0, le=5)] = 3  # of an open position (LIVE)
    close_riskiest: bool = False  # risk limit reached: also close the riskiest position, one after the other


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


class Kill(Section, frozen=True):
    """When the system kills itself (core/orders/kill_triggers.py); 0 switches a trigger off."""

    network_s: NonNegative = 10.0  # with something open: private stream or REST gone this long
    panic_s: NonNegative = 10.0  # with something open: GLOBAL_PANIC this long
    spread_bps: NonNegative = 300.0  # a symbol we hold ...
    spread_s: NonNegative = 5.0  # ... spreads wider than that for this long
    failures_per_min: Count = 20  # orders the exchange refused or whose outcome is unknown
    daily_loss_pct: Annotated[float, Meta(gt=0, le=5)] = 5.0  # of the equity at 00:00 UTC


class Guardian(Section, frozen=True):
    """The process that protects positions while execution is gone (LIVE)."""

    silent_s: Positive = 2.0  # execution without a heartbeat for this long
    boot_s: Positive = 30.0  # after the start, until execution beats for the first time
    stop_pct: Annotated[float, Meta(gt=0, le=20)] = 1.0  # distance of a stop it sets, from the mark price
    poll_s: Positive = 0.5  # between looks at the exchange while it is on duty
    timeout_s: Annotated[float, Meta(gt=0, le=5)] = 1.5  # of a request
    orphan_s: Positive = 300.0  # without a supervisor: tries at most this long to leave everything protected


class Clock(Section, frozen=True):
    """How far this machine's clock may be from the exchange's; a LIVE start beyond it is refused."""

    max_offset_ms: Positive = 500.0  # between both clocks
    max_round_trip_ms: Positive = 1000.0  # until the exchange has told its time


class Safety(Section, frozen=True):
    limits: Limits = field(default_factory=Limits)
    guardian: Guardian = field(default_factory=Guardian)
    kill: Kill = field(default_factory=Kill)
    clock: Clock = field(default_factory=Clock)
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
    walls_pulled: Percent = 50.0
    flow_against: Share = 0.25
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
    max_notional_usdt: Positive | None = None


class Symbols(Section, frozen=True):
    prime: tuple[str, ...] = ("BTCUSDT", "ETHUSDT")
    normal_count: Count = 100  # next by turnover; the rest is WILD
    limit: PositiveCount = 1024
    depth: tuple[int, int, int] = (50, 50, 50)  # order-book topic for PRIME, NORMAL, WILD
    blacklist: tuple[str, ...] = ()
    uncorrelated: tuple[str, ...] = ()  # not of the group that moves with BTC
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


class Storage(Section, frozen=True):
    """How long what is kept, and how much of it; see workers/retention.py. 0 = for good (the job itself runs always)."""

    every_h: Positive = 2.0
    market_files: bool = True  # keep every public trade and micro candle as lines beside the journal
    raw_h: NonNegative = 24.0  # raw frames, order books, trade streams, micro candles
    raw_max_gb: NonNegative = 20.0
    replay_sessions: Count = 3  # raw frames of the last so many sessions stay longer, up to raw_max_gb
    decisions_days: NonNegative = 7.0
    decisions_max_gb: NonNegative = 5.0
    events_days: NonNegative = 30.0
    events_max_gb: NonNegative = 5.0
    metrics_days: NonNegative = 90.0
    logs_days: NonNegative = 30.0  # output of the processes
    shadow_days: NonNegative = 30.0  # what candidates decided beside runs, with report and comparison
    shadow_max_gb: NonNegative = 2.0
    calibration_days: NonNegative = 365.0  # what own fills said about the paper engine
    journal_days: NonNegative = 0.0  # execution journals and run files: what a database can be made from again
    compress_after_h: NonNegative = 24.0  # lines of days gone by become .zst


class ProfileRules(Section, frozen=True):
    """What a symbol's own closed trades do to its next entries, within bounds (core/performance/profiles.py)."""

    enabled: bool = True
    trades: PositiveCount = 50  # the last so many are looked at ...
    minimum: PositiveCount = 10  # ... and fewer tell nothing
    days: Positive = 30.0  # nor do older ones; a blacklisted symbol comes back by this
    win_rate: Share = 0.45  # under this rate the thresholds rise ...
    raise_per_pct: NonNegative = 0.5  # ... by this many points for each percent
    raise_max: Score100 = 15.0
    size_min: Annotated[float, Meta(ge=0.01, le=1)] = 0.25  # never a smaller share of the normal size
    slippage_bps: Positive = 5.0  # a mean slippage of trades over this raises, too: a point per basis point
    spoofs_per_day: Positive = 20.0  # over this the size is halved and 5 points are added
    pumps_per_day: Positive = 10.0  # over this 5 points are added
    blacklist_minimum: PositiveCount = 20  # trades a blacklisting needs
    blacklist_win_rate: Share = 0.25  # blacklisted under this rate ...
    blacklist_expectancy_r: float = -0.3  # ... with a mean result under this many R


class Database(Section, frozen=True):
    enabled: bool = True
    url: str = ""  # '' = SQLite in the data folder; SCALPER_DATABASE_URL wins (a password belongs there)
    batch_rows: Annotated[int, Meta(ge=10, le=10_000)] = 500  # records taken over in one transaction
    interval_s: Positive = 0.5  # pause between two looks for something new
    sample_s: Positive = 60.0  # balance and equity are noted this often


class System(Section, frozen=True):
    admin: Admin = field(default_factory=Admin)
    rings: Rings = field(default_factory=Rings)
    idle: Idle = field(default_factory=Idle)
    recorder: Recorder = field(default_factory=Recorder)
    storage: Storage = field(default_factory=Storage)
    profiles: ProfileRules = field(default_factory=ProfileRules)
    database: Database = field(default_factory=Database)


class Settings(Section, frozen=True):
    """The whole configuration; one attribute per TOML file."""

    trading: Trading = field(default_factory=Trading)
    safety: Safety = field(default_factory=Safety)
    skip: Skip = field(default_factory=Skip)
    thresholds: Thresholds = field(default_factory=Thresholds)
    symbols: Symbols = field(default_factory=Symbols)
    system: System = field(default_factory=System)


HOT_SECTIONS: tuple[str, ...] = (
    "trading.account", "trading.orders", "trading.exits", "safety.limits", "safety.kill", "safety.degraded", "skip", "thresholds",
    "symbols.blacklist",
)

# msgspec learns the fields of a type at its first use, and 0.22 dies (segmentation fault, seen) when two threads use a
# type with Structs inside for the first time at once. So it learns them here, at import.
Decoder(Settings)
