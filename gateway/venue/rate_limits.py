"""Rate limits of Bybit V5: requests per UID and endpoint in a rolling second, and requests per IP in five seconds.

REST and the trade WebSocket share the account's budgets. Batch calls have budgets of their own, counted in orders: the
head that fits passes, the tail is refused. Pure: time comes in.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

WINDOW_MS = 1000
IP_LIMIT = 600
IP_WINDOW_MS = 5000
IP_BAN_MS = 600_000
DEFAULT_LIMIT = 50  # endpoints whose limit is not published

LIMITS = {
    "/v5/order/create": 10, "/v5/order/amend": 10, "/v5/order/cancel": 10, "/v5/order/cancel-all": 10,
    "/v5/order/create-batch": 10, "/v5/order/amend-batch": 10, "/v5/order/cancel-batch": 10,
    "/v5/order/pre-check": 10, "/v5/order/disconnected-cancel-all": 5,
    "/v5/order/realtime": 50, "/v5/order/history": 50, "/v5/execution/list": 50,
    "/v5/position/list": 50, "/v5/position/closed-pnl": 50, "/v5/position/set-leverage": 10,
    "/v5/position/switch-mode": 10, "/v5/position/switch-isolated": 10, "/v5/position/trading-stop": 10,
    "/v5/position/add-margin": 10, "/v5/position/set-auto-add-margin": 10,
    "/v5/account/wallet-balance": 50, "/v5/account/info": 50, "/v5/account/fee-rate": 5,
    "/v5/account/set-margin-mode": 5, "/v5/account/transaction-log": 25, "/v5/user/query-api": 10, "/v5/asset/coin/query-info": 2,
}
"""Requests (orders, for a batch) per second and UID without VIP level."""


class Budget(NamedTuple):
    """What the X-Bapi-Limit* headers tell. granted: how many of the units asked for may pass."""

    limit: int
    remaining: int
    reset_ms: int
    granted: int

    @property
    def headers(self) -> dict[str, str]:
        return {
            "X-Bapi-Limit": str(self.limit), "X-Bapi-Limit-Status": str(self.remaining),
            "X-Bapi-Limit-Reset-Timestamp": str(self.reset_ms),
        }


class RateLimits:
    """The budgets of all accounts and addresses. `factor` multiplies every budget (0: no limits at all)."""

    def __init__(self, factor: int = 1) -> None:
        self.factor = factor
        self._used: dict[tuple[int, str], deque[int]] = {}
        self._ip: dict[str, deque[int]] = {}
        self.banned_until_ms: dict[str, int] = {}

    def limit_of(self, path: str) -> int:
        """Units per second of an endpoint for one account."""
        return LIMITS.get(path, DEFAULT_LIMIT) * max(1, self.factor)

    def take(self, uid: int, path: str, now_ms: int, units: int = 1, limit: int | None = None) -> Budget:
        """Take up to `units`; a single request (units 1) is either granted 1 or 0. limit: instead of the usual one."""
        if limit is None:
            limit = self.limit_of(path)
        used = self._used.setdefault((uid, path), deque())
        while used and used[0] <= now_ms - WINDOW_MS:
            used.popleft()
        granted = units if self.factor == 0 else max(0, min(units, limit - len(used)))
        if self.factor:
            used.extend([now_ms] * granted)
        exceeded = granted < units
        reset_ms = (used[0] if used else now_ms) + WINDOW_MS if exceeded else now_ms
        return Budget(limit, max(0, limit - len(used)), reset_ms, granted)

    def admit_ip(self, ip: str, now_ms: int) -> bool:
        """Count a request of an address; False while it is banned (HTTP 403)."""
        if now_ms < self.banned_until_ms.get(ip, 0):
            return False
        if self.factor == 0:
            return True
        seen = self._ip.setdefault(ip, deque())
        while seen and seen[0] <= now_ms - IP_WINDOW_MS:
            seen.popleft()
        if len(seen) >= IP_LIMIT * self.factor:
            self.banned_until_ms[ip] = now_ms + IP_BAN_MS
            seen.clear()
            return False
        seen.append(now_ms)
        return True
