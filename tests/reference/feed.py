"""Naive twins of the gateway's kernels: continuity of book topics, and routing with plain lists."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class TopicTwin:
    """One (symbol, depth) as sentences of BYBIT.md 4.1; `take` returns pass, drop, gap, reset or no_base."""

    depth: int
    last: int | None = None
    broken: bool = False
    asked: bool = True
    missing_since_ns: int = 0
    log: list[str] = field(default_factory=list)

    def take(self, is_delta: bool, u: int, now_ns: int) -> str:
        verdict = self._take(is_delta, u, now_ns)
        self.log.append(verdict)
        return verdict

    def _take(self, is_delta: bool, u: int, now_ns: int) -> str:
        live = self.last is not None and not self.broken
        if not is_delta or u == 1:
            if self.depth == 1 and live and u != 1 and self.last is not None and u <= self.last:
                return "drop"
            unsolicited = live and not self.asked and (self.depth != 1 or u == 1)
            self.last, self.broken, self.asked, self.missing_since_ns = u, False, False, 0
            return "reset" if unsolicited else "pass"
        if self.broken:
            return "drop"
        if self.last is None:
            if self.missing_since_ns == 0:
                self.missing_since_ns = now_ns
            elif now_ns - self.missing_since_ns >= 2_000_000_000:
                self.missing_since_ns = now_ns
                return "no_base"
            return "drop"
        if u <= self.last:
            return "drop"
        if u == self.last + 1:
            self.last = u
            return "pass"
        self.broken = True
        return "gap"
