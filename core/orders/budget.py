"""How many requests may leave now: the exchange's rate limits, counted before it has to count them.

Bybit allows each endpoint so many requests per UID in a rolling second, on REST and WebSocket together, and 600 REST
requests per address in five seconds. Here the same windows are kept a little longer (what leaves evenly may arrive
bunched), and shared out by purpose, so that getting out never waits for getting in:

    ENTRY 60 % of the limit · EXIT (and everything that only asks) 80 % · KILL 100 %

Of the address's requests each may use 20 % less: the gateway, the guardian and a person's commands share the address.
Batch endpoints have counters of their own at the exchange (in orders, not requests); they are for KILL alone. What the
exchange says of its own count (X-Bapi-Limit*, 10006) is believed when it is worse than ours: somebody else uses the
same account. HTTP 403 bans the address for ten minutes. Pure: times are int ns of one monotonic clock.
"""

from __future__ import annotations

from collections import deque
from enum import IntEnum

from core.constants import NS_PER_S

WINDOW_NS = 1_150_000_000  # of the exchange's second: 15 % for what bunches up on the way
IP_LIMIT = 600
IP_WINDOW_NS = 5_500_000_000
BAN_NS = 600 * NS_PER_S


class Purpose(IntEnum):
    """What a request is for; the higher, the more of a limit it may use."""

    ENTRY = 0
    EXIT = 1
    KILL = 2


SHARE_PCT = {Purpose.ENTRY: 60, Purpose.EXIT: 80, Purpose.KILL: 100}
ADDRESS_SHARE_PCT = {Purpose.ENTRY: 40, Purpose.EXIT: 60, Purpose.KILL: 80}


class Endpoint(IntEnum):
    """Requests that share one counter of the exchange."""

    CREATE = 0
    AMEND = 1
    CANCEL = 2
    CANCEL_ALL = 3
    CREATE_BATCH = 4
    CANCEL_BATCH = 5
    TRADING_STOP = 6
    SET_LEVERAGE = 7
    ORDER_REALTIME = 8
    ORDER_HISTORY = 9
    EXECUTIONS = 10
    POSITIONS = 11
    WALLET = 12
    ACCOUNT = 13
    FEE = 14
    API_KEY = 15
    MARKET = 16
    CLOSED_PNL = 17


BATCHES = frozenset({Endpoint.CREATE_BATCH, Endpoint.CANCEL_BATCH})
LIMITS = {
    Endpoint.CREATE: 10, Endpoint.AMEND: 10, Endpoint.CANCEL: 10, Endpoint.CANCEL_ALL: 10, Endpoint.CREATE_BATCH: 10,
    Endpoint.CANCEL_BATCH: 10, Endpoint.TRADING_STOP: 10, Endpoint.SET_LEVERAGE: 10, Endpoint.ORDER_REALTIME: 50,
    Endpoint.ORDER_HISTORY: 50, Endpoint.EXECUTIONS: 50, Endpoint.POSITIONS: 50, Endpoint.WALLET: 50,
    Endpoint.ACCOUNT: 50, Endpoint.FEE: 5, Endpoint.API_KEY: 10, Endpoint.MARKET: 50,
    Endpoint.CLOSED_PNL: 50,
}
"""Per second and UID, without VIP level (BYBIT.md 9); `heard` learns a higher one."""
NEVER = 1 << 62


class Window:
    """One counter: when the units of the last `span_ns` left, oldest first."""

    __slots__ = ("closed_until_ns", "limit", "span_ns", "used")

    def __init__(self, limit: int, span_ns: int) -> None:
        self.limit = limit
        self.span_ns = span_ns
        self.used: deque[int] = deque()
        self.closed_until_ns = 0

    def wait_ns(self, now_ns: int, ceiling: int, units: int) -> int:
        """0 when `units` more fit below `ceiling` now, else how long until they do (NEVER: they never will)."""
        in_use = self.in_use(now_ns)
        if now_ns < self.closed_until_ns:
            return self.closed_until_ns - now_ns
        if units > ceiling:
            return NEVER
        over = in_use + units - ceiling
        return self.used[over - 1] + self.span_ns - now_ns if over > 0 else 0

    def in_use(self, now_ns: int) -> int:
        """Units that left within the span."""
        while self.used and self.used[0] <= now_ns - self.span_ns:
            self.used.popleft()
        return len(self.used)

    def take(self, now_ns: int, units: int) -> None:
        self.used.extend([now_ns] * units)


class Budget:
    """All counters of one account and one address."""

    def __init__(self) -> None:
        self._windows = {endpoint: Window(limit, WINDOW_NS) for endpoint, limit in LIMITS.items()}
        self._address = Window(IP_LIMIT, IP_WINDOW_NS)
        self.banned_until_ns = 0
        self.refusals = 0

    def wait_ns(self, endpoint: Endpoint, purpose: Purpose, now_ns: int, units: int = 1, rest: bool = False) -> int:
        """0 when it may leave now; else ns to wait. `rest`: it goes over REST, which counts for the address too."""
        if endpoint in BATCHES and purpose != Purpose.KILL:
            return NEVER
        window = self._windows[endpoint]
        wait = window.wait_ns(now_ns, ceiling(window.limit, purpose), units)
        if rest:
            address = self._address.wait_ns(now_ns, self._address.limit * ADDRESS_SHARE_PCT[purpose] // 100, 1)
            wait = max(wait, address, self.banned_until_ns - now_ns)
        return wait

    def take(self, endpoint: Endpoint, now_ns: int, units: int = 1, rest: bool = False) -> None:
        """Note that it leaves."""
        self._windows[endpoint].take(now_ns, units)
        if rest:
            self._address.take(now_ns, 1)

    def heard(self, endpoint: Endpoint, now_ns: int, limit: int, left: int) -> None:
        """X-Bapi-Limit and X-Bapi-Limit-Status of an answer: the limit of this account, and what is left of it."""
        window = self._windows[endpoint]
        if limit > 0:
            window.limit = limit
        missing = window.limit - left - window.in_use(now_ns)
        if missing > 0:  # somebody else uses the same account
            window.take(now_ns, missing)

    def refused(self, endpoint: Endpoint, now_ns: int, until_ns: int) -> None:
        """10006: nothing of this kind until then, but at least for a moment and at most for two windows."""
        self.refusals += 1
        window = self._windows[endpoint]
        until_ns = min(max(until_ns, now_ns + NS_PER_S // 10), now_ns + 2 * WINDOW_NS)
        window.closed_until_ns = max(window.closed_until_ns, until_ns)

    def banned(self, now_ns: int) -> int:
        """HTTP 403: no REST for ten minutes. Returns until when."""
        self.banned_until_ns = max(self.banned_until_ns, now_ns + BAN_NS)
        return self.banned_until_ns

    def left(self, endpoint: Endpoint, purpose: Purpose, now_ns: int) -> int:
        """How many may leave now."""
        window = self._windows[endpoint]
        if now_ns < window.closed_until_ns:
            return 0
        return max(0, ceiling(window.limit, purpose) - window.in_use(now_ns))


def ceiling(limit: int, purpose: Purpose) -> int:
    """Units of a window that `purpose` may fill: at least one."""
    return max(1, limit * SHARE_PCT[purpose] // 100)
