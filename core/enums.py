"""Every enumeration that travels in a record. Values are stable: journals and pages hold them.

Kernels import the plain integers (numba folds `IntEnum` members to constants); pages use the names.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag


class EventKind(IntEnum):
    """What a market-ring event is. Below 16: from the exchange. From 16 on: put in by the gateway itself."""

    NONE = 0
    BOOK_SNAPSHOT = 1
    BOOK_DELTA = 2
    TRADES = 3
    TICKER = 4
    KLINE = 5
    LIQUIDATION = 6
    BBO = 7  # orderbook.1: best bid and ask only
    TIMER = 16  # every 100 ms of receive time, to every shard
    LISTING = 17  # a symbol enters (payload: SYMBOL record); always before its first data
    DELISTING = 18
    SYMBOL_DATA = 19  # data state of a symbol changed: u = DataState, xseq = DataReason
    SHED = 20  # back-pressure dropped events of this symbol: u = how many
    FEED = 21  # u = FeedState
    CONFIG = 22  # u = config version (payload: PARAMS record)
    GLOBAL = 23  # global regime inputs and verdict (payload: GLOBAL record)
    CONTROL = 24  # u = ControlBits in force from here on
    END = 25  # a tape is read to its end
    NEWS = 26  # a news flag of a symbol (payload: NEWS record)
    PROFILE = 27  # profile of a symbol (payload: PROFILE record)


class Category(IntEnum):
    PRIME = 0
    NORMAL = 1
    WILD = 2


class DataState(IntEnum):
    """May this symbol's book be believed?"""

    WARMUP = 0  # no snapshot yet
    OK = 1
    STALE = 2  # topic silent
    BROKEN = 3  # gap, crossed, lapped or shed: no entries until the next snapshot


class DataReason(IntEnum):
    NONE = 0
    SNAPSHOT = 1
    GAP = 2
    CROSSED = 3
    SILENT = 4
    RESET = 5  # u = 1 or unsolicited snapshot
    LAPPED = 6  # the reader of the ring was overtaken
    SHED = 7
    DISCONNECTED = 8
    NOT_TRADING = 9
    MALFORMED = 10


class FeedState(IntEnum):
    DOWN = 0
    RECONNECTING = 1
    CONNECTED = 2


class ControlBits(IntFlag):
    NONE = 0
    PAUSE = 1
    KILL = 2
    DEGRADED = 4


class Mode(IntEnum):
    SIM = 0
    DRY_RUN = 1
    LIVE = 2


class State(IntEnum):
    """Trade state of a symbol (requirement A12)."""

    FLAT = 0
    WATCHING_LONG = 1
    WATCHING_SHORT = 2
    ARMED_LONG = 3
    ARMED_SHORT = 4
    ORDER_PLACED = 5
    IN_POSITION = 6
    MANAGING = 7
    EXITED = 8
    COOLDOWN = 9
    BLOCKED_REGIME = 10


class Regime(IntEnum):
    NORMAL = 0
    PUMP = 1
    MANIPULATED = 2
    NEWS_DRIVEN = 3
    COOLDOWN = 4
    COOLDOWN_DONE = 5


class GlobalRegime(IntEnum):
    GLOBAL_NORMAL = 0
    GLOBAL_RISK_OFF = 1
    GLOBAL_PANIC = 2


class Pump(IntEnum):
    NONE = 0
    PREPUMP = 1
    PUMPING = 2
    BLOWOFF = 3
    DUMP = 4
    COOLDOWN = 5


class Gate(IntEnum):
    """The first gate that kept a symbol from trading, in order of evaluation; also the reason of a refusal."""

    NONE = 0
    DATA = 1  # book not OK
    WARMUP = 2  # features not warm
    FEED = 3
    DEGRADED = 4
    PAUSED = 5
    KILLED = 6
    GLOBAL_REGIME = 7
    REGIME = 8
    SPREAD = 9
    SCORE_WATCH = 10
    SCORE_ARM = 11
    WALLS = 12
    FLOW = 13
    COOLDOWN = 14
    ATTEMPTS = 15
    MAX_POSITIONS = 16
    BALANCE = 17
    DAILY_LOSS = 18
    HEAT = 19
    MIN_SIZE = 20
    SYMBOL_LIMIT = 21
    BLACKLIST = 22
    MODE = 23
    EXPIRED = 24
    IN_POSITION = 25
    SKIP_HOURS = 26
    DUPLICATE = 27
    MIN_MOVE = 28
    SKIP_DAY = 29
    SKIP_VOLATILITY = 30
    NEWS = 31
    LIQ_SAFETY = 32
    EXPLOSION = 33
    ZONE = 34
    INTEGRITY = 35  # orders or positions do not agree with the exchange
    TIER = 36  # capital tier: not allowed by the evidence, or its capital
    TRADES_A_DAY = 37
    CHURN = 38  # latched by the churn throttle
    ORDER_RATE = 39
    COLLAR = 40  # price too far from the mark price
    LIQUIDATION = 41
    LEVERAGE = 42
    ADL = 43
    MARGIN_RATIO = 44
    CORRELATED = 45
    NO_STOP = 46


class NewsType(IntEnum):
    """What a news flag is about."""

    NONE = 0
    LISTING = 1
    DELISTING = 2
    PARTNERSHIP = 3
    UNLOCK = 4  # tokens come free
    HACK = 5
    REGULATION = 6
    MACRO = 7
    OTHER = 8


class MessageKind(IntEnum):
    """Shard to execution."""

    NONE = 0
    ENTER = 1  # an intent: please open
    CANCEL = 2  # an intent: cancel the working entry
    EXIT = 3  # an intent: close the position, reduce-only
    FILL = 4  # a paper fill made by the shard's book-local matcher
    DONE = 5  # the working order ended without a (further) fill
    MARK = 6  # price of a symbol with an open position, every second
    END = 7  # the tape ended and everything before it is handled
    PROTECT = 8  # an intent: another stop, other target prices for the open position; `reason` is the rule
    ADD = 9  # an intent: add to the open position within the risk that was gated at its entry
    CASH = 10  # cash moved without a trade (funding): `fee_e8` paid; from the exchange desk only


class ReportKind(IntEnum):
    """Execution to shard."""

    NONE = 0
    ACCEPTED = 1  # order as sized by execution; the paper matcher works it
    REJECTED = 2  # `reason` is a Gate
    CANCEL = 3  # stop working the entry order
    CLOSE = 4  # close reduce-only at market
    POSITION = 5  # position after a fill: the truth the state machine follows
    DONE = 6  # order ended without position
    PROTECTED = 7  # stop and targets in force from here on; `reason` is the rule, `flags` 1 = the wish was refused


class CommandKind(IntEnum):
    """A person to execution, through the admin page."""

    NONE = 0
    TRADE = 1  # open at a price, with stop and target: gated and sized like any intent
    CLOSE = 2  # cancel the entry and close the position of a symbol, reduce-only
    PROTECT = 3  # another stop or target of a position
    MODE = 4  # SIM or DRY_RUN from now on
    BLACKLIST = 5  # take a symbol out of trading, or back
    REPLAY = 6  # to the player of a replay, which has no execution: see core/replay_row.py


class OrderRole(IntEnum):
    """What a fill was for."""

    ENTRY = 0
    TAKE_PROFIT = 1
    STOP = 2
    EXIT = 3  # decided by the state machine
    KILL = 4
    LIQUIDATION = 5


class LogKind(IntEnum):
    """Records of the log rings (event feed, JSONL)."""

    NONE = 0
    STATE = 1  # a = from, b = to, c = cause (Cause), d = score long, e = score short, f = price ticks
    SIGNAL = 2  # a = side, b = price, c = stop, d = target, e = score, f = SignalPhase, x = attempts, y = Gate of FAILED
    ORDER = 3
    FILL = 4
    POSITION = 5
    TRADE = 30  # a position closed: a = its first order, b = side, c, d = best and worst price ticks, e = opened ns,
    # f = OrderRole that closed it, x = fees, y = realised, USDT
    RISK = 6  # a = Gate
    PUMP = 7  # a = from, b = to, c = row of the pump table, x = strongest change in thresholds, y = volume surge
    SPOOF = 8  # a wall was pulled; columns as WALL
    NEWS = 9  # a = NewsType, b = 1 taken 0 weaker than the flag in force, x = impact, y = half-life s
    WALL = 10  # a = WallFate, b = side, c = price ticks, d, e, f = lots: peak, eaten, cancelled; x = size, y = age s
    REGIME = 11  # a = from, b = to
    GLOBAL_REGIME = 12  # a = from, b = to, c = rule of core/regime/global_regime.py, text = its name
    DATA_STATE = 13  # a = DataState, b = DataReason, c = gap size
    FEED = 14  # a = FeedState, b = connection
    RESYNC = 15
    SHED = 16  # a = level (0 nothing, 1 WILD, 2 NORMAL too), b = shard
    DEGRADED = 17  # a = on/off, b = measured latency ns
    CONTROL = 18  # a = ControlBits
    CONFIG = 19  # a = version, b = ok
    PROCESS = 20  # a = ProcessEvent, b = pid
    LISTING = 21
    ERROR = 22
    LIQUIDATION = 23
    LOST = 24  # a reader was lapped: a = messages lost
    PROTECT = 25  # a = side, b = stop before, c = stop wanted, d = rule (Cause), e = next target, f = touch,
    # x = unrealised bps, y = the same in R


class WallFate(IntEnum):
    """What becomes of a wall (a resting order far larger than the average level), or of a refilled level."""

    STANDING = 0
    ABSORBING = 1  # trades are eating it
    EATEN = 2  # gone, mostly by trades
    SPOOFING = 3  # pulled without trades, near the price
    LAYERING = 4  # moved: the same size reappeared a few ticks away
    WITHDRAWN = 5  # gone without trades, but not in a way that counts as spoofing
    ICEBERG = 6  # refilled again and again after trades took it


class Severity(IntEnum):
    DEBUG = 0
    INFO = 1
    WARNING = 2
    ERROR = 3
    CRITICAL = 4


class Cause(IntEnum):
    """Why the state machine moved."""

    NONE = 0
    SCORE_OVER_WATCH = 1
    SCORE_UNDER_WATCH = 2
    ARMED = 3
    DISARMED = 4
    ORDER_SENT = 5
    ORDER_REJECTED = 6
    ORDER_DONE = 7
    FILLED = 8
    MANAGE = 9
    TAKE_PROFIT = 10
    STOP = 11
    REGIME_BLOCKED = 12
    REGIME_CLEAR = 13
    COOLDOWN_START = 14
    COOLDOWN_END = 15
    DATA_BROKEN = 16
    CONTROL = 17
    EXPIRED = 18
    TIME_STOP = 19
    GLOBAL = 20
    KILL = 21
    DELISTED = 22
    EXIT_FILLED = 23
    ZONE_LOST = 24
    SPREAD_WIDE = 25  # the picture of a working entry changed: the spread is over its limit
    NEWS = 26  # ... news over the veto
    WALLS_AGAINST = 27  # ... our walls were pulled, or others stand against us
    FLOW_AGAINST = 28  # ... the flow turned
    BREAK_EVEN = 29  # stop moved: the trade has paid for itself
    TRAIL = 30  # stop moved: it follows the best price after the first target
    TIGHTEN = 31  # stop and targets moved nearer: blow-off or panic
    WIDEN = 32  # stop moved away: MANIPULATED or high-risk news
    DUST = 33  # the rest is smaller than the smallest order
    ADDED = 34  # an addition to the position was sent


class SignalPhase(IntEnum):
    """What a SIGNAL log line tells of the way from the signal to the order (requirement C6)."""

    READY = 0  # armed and in the zone
    EXECUTING = 1
    EXECUTED = 2
    FAILED = 3
    COOLDOWN_ACTIVE = 4
    MAX_ATTEMPTS = 5
    ZONE_MOVED = 6
