"""What pages say about things that have a number: features by group, and each gate's reason in words. Pure."""

from __future__ import annotations

from core.enums import Gate
from core.features.registry import ALL_FEATURES

GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Price", ("mid", "last", "mark", "index", "basis", "spread", "micro", "change")),
    ("Book", ("imbalance", "ofi", "depth", "thinning", "warm")),
    ("Walls", ("wall", "spoof", "absorb", "iceberg", "layering")),
    ("Flow", ("buy", "sell", "delta", "cvd", "streak", "trades", "volume", "vpin")),
    ("Volatility", ("atr", "realised", "volatility", "explosion", "min_move")),
    ("Leverage and news", ("liq", "funding", "open_interest", "oi_", "news")),
)
"""Groups of features in the order of the pages: a feature belongs to the first group with a prefix of its name."""
OTHER = "Other"

GATE_REASONS: dict[Gate, str] = {
    Gate.NONE: "nothing blocks it",
    Gate.DATA: "its book is not to be believed now (gap, silence or crossed); entries wait for a fresh snapshot",
    Gate.WARMUP: "its features are not warm yet: the book has not been good for long enough",
    Gate.FEED: "the exchange feed is not connected",
    Gate.DEGRADED: "the system is DEGRADED (latency over its limit); no entries until it recovers",
    Gate.PAUSED: "entries are paused by a person",
    Gate.KILLED: "KILL is latched",
    Gate.GLOBAL_REGIME: "the global regime is not normal; nothing is entered anywhere",
    Gate.REGIME: "its regime (pump, manipulated, news or cooldown) allows no entry",
    Gate.SPREAD: "the spread is wider than its category allows",
    Gate.SCORE_WATCH: "neither score reaches the watch threshold",
    Gate.SCORE_ARM: "it is watched, but the score does not reach the arm threshold",
    Gate.WALLS: "a wall stands in the way, or support behind the entry is missing",
    Gate.FLOW: "aggressive flow does not confirm the side",
    Gate.COOLDOWN: "it rests after a trade or a failed attempt",
    Gate.ATTEMPTS: "its attempts are used up for now",
    Gate.MAX_POSITIONS: "as many positions are open as allowed",
    Gate.BALANCE: "the balance is under its minimum",
    Gate.DAILY_LOSS: "the daily loss limit is reached",
    Gate.HEAT: "open risk to the stops is at its limit",
    Gate.MIN_SIZE: "the allowed size is under the smallest order",
    Gate.SYMBOL_LIMIT: "a limit of this symbol or its category is reached",
    Gate.BLACKLIST: "it is on the blacklist",
    Gate.MODE: "the mode allows no order",
    Gate.EXPIRED: "the signal grew too old or price left the entry zone",
    Gate.IN_POSITION: "it has a position or a working order already",
    Gate.SKIP_HOURS: "outside the trading hours of the skip filter",
    Gate.DUPLICATE: "the same intent was sent already",
    Gate.MIN_MOVE: "the expected move does not pay fees and spread",
    Gate.SKIP_DAY: "the skip filter allows no entries on this weekday",
    Gate.SKIP_VOLATILITY: "the external volatility index is over its limit",
    Gate.NEWS: "news about it are too fresh and too strong",
    Gate.LIQ_SAFETY: "liquidation would be too near",
    Gate.EXPLOSION: "its price explodes",
    Gate.ZONE: "the price is outside the entry zone",
    Gate.INTEGRITY: "orders or positions do not agree with the exchange; entries wait until they do",
    Gate.TIER: "the capital tier does not allow it",
    Gate.TRADES_A_DAY: "the trades of this day are used up",
    Gate.CHURN: "it was traded in circles and is off until a person enables it",
    Gate.ORDER_RATE: "too many entries within a minute",
    Gate.COLLAR: "its price is too far from the mark price",
    Gate.LIQUIDATION: "liquidation would be too near its stop, or an open position is near its own",
    Gate.LEVERAGE: "the leverage is over the ceiling",
    Gate.ADL: "an open position is high in the queue of auto-deleveraging",
    Gate.MARGIN_RATIO: "too little of the equity would stay free",
    Gate.CORRELATED: "too much would be open in one direction",
    Gate.NO_STOP: "an entry without a stop is never sent",
}


def group_of(name: str) -> str:
    """Title of the group a feature is shown in."""
    return next((title for title, prefixes in GROUPS if name.startswith(prefixes)), OTHER)


def features_json() -> list[dict]:
    """Every feature with unit, meaning and group, in the order of `DETAIL.features`."""
    return [{"name": field.name, "unit": field.unit, "meaning": field.sentence, "group": group_of(field.name)}
            for field in ALL_FEATURES]


def gate_reason(name: str) -> str:
    """The reason behind a gate's name; the name itself where a newer engine has one we do not know."""
    return GATE_REASONS[Gate[name]] if name in Gate.__members__ else name.replace("_", " ").lower()
