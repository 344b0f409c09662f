"""Public REST of Bybit, blocking: called from a thread. Every answer is JSON or a RestError that says what came instead."""

from __future__ import annotations

import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.bybit.universe import Instrument, UniverseError, paginate, parse_answer, parse_tiers, parse_turnover

TIMEOUT_S = 10.0
MAX_ANSWER_BYTES = 64 << 20


class RestError(Exception):
    """The exchange could not be asked, or its answer is no answer; the message begins with the cause (a log record keeps 40
    characters)."""


class PublicRest:
    """GET requests below `base` (`https://host`)."""

    def __init__(self, base: str, timeout_s: float = TIMEOUT_S) -> None:
        self.base = base.rstrip("/")
        self.timeout_s = timeout_s
        self.calls = 0
        self.errors = 0

    def get(self, path: str, query: str) -> Mapping[str, Any]:
        """The JSON object at `path?query`; the query goes out exactly as given. Raises RestError."""
        self.calls += 1
        url = f"{self.base}{path}?{query}"
        try:
            request = urllib.request.Request(url, headers={"User-Agent": "scalper"})
            with urllib.request.urlopen(request, timeout=self.timeout_s) as answer:
                body = answer.read(MAX_ANSWER_BYTES + 1)
        except urllib.error.HTTPError as error:
            self.errors += 1
            raise RestError(f"HTTP {error.code} {error.reason}: {url}") from None
        except (OSError, ValueError) as error:
            self.errors += 1
            raise RestError(f"{getattr(error, 'reason', None) or error}: {url}") from None
        try:
            if len(body) > MAX_ANSWER_BYTES:
                raise ValueError("answer too big")
            decoded = msgspec.json.decode(body)
            if not isinstance(decoded, dict):
                raise ValueError("not a JSON object")
        except ValueError as error:  # msgspec's errors are ValueErrors
            self.errors += 1
            raise RestError(f"answer is not usable ({error}): {url}") from None
        return decoded

    def instruments(self, page_size: int = 1000) -> tuple[list[Instrument], list[str]]:
        """All USDT perpetuals of all pages, and why others were refused. Raises RestError."""
        query = f"category=linear&limit={page_size}"
        instruments: list[Instrument] = []
        refused: list[str] = []
        try:
            for page in paginate(lambda cursor: self._page(query, cursor)):
                found, bad = parse_answer(page)
                instruments += found
                refused += bad
        except UniverseError as error:
            self.errors += 1
            raise RestError(f"{self.base}: instruments-info: {error}") from None
        return instruments, refused

    def tiers(self, cursor: str) -> tuple[dict[str, int], str]:
        """One page (some fifteen symbols) of the risk limits: maintenance margin rates (1e-8) by symbol, and the cursor of
        the next page, "" behind the last. Raises RestError."""
        answer = self.get("/v5/market/risk-limit", "category=linear" + (f"&cursor={_safe(cursor)}" if cursor else ""))
        try:
            tiers = parse_tiers(answer)
        except UniverseError as error:
            self.errors += 1
            raise RestError(f"{self.base}: risk-limit: {error}") from None
        return tiers, str(answer["result"].get("nextPageCursor") or "") if tiers else ""

    def turnover(self) -> dict[str, float]:
        """24 h turnover by symbol. Raises RestError."""
        try:
            return parse_turnover(self.get("/v5/market/tickers", "category=linear"))
        except UniverseError as error:
            self.errors += 1
            raise RestError(f"{self.base}: tickers: {error}") from None

    def _page(self, query: str, cursor: str) -> Mapping[str, Any]:
        return self.get("/v5/market/instruments-info", query + (f"&cursor={_safe(cursor)}" if cursor else ""))


def _safe(cursor: str) -> str:
    """The cursor is percent-encoded text already: quoting it again would change it; only what no URL may hold is."""
    return urllib.parse.quote(cursor, safe="%=&-_.~+:/,;@!$'()*")
