"""All pages of a look-up, or nothing: a listing that was cut short is never taken for the whole (O41)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from core.enums import Severity
from core.orders.exchange_desk_core import Answer, DeskCore
from core.orders.exchange_words import QueryKind, QueryRows, Row

MAX_PAGES = 1000


@dataclass(slots=True)
class Listing:
    """The answer: `rows` None = it failed. `began_ns` when it was asked, `now_ms` the venue's clock (0 = not told)."""

    began_ns: int
    rows: list[Row] | None = None
    now_ms: int = 0


@dataclass
class PagedQuery:
    """One look-up over all its pages. `done` is called once. A page that fails, or a cursor that comes again with new
    rows behind it, fails the whole; Bybit's last page often has a cursor too, which leads to an empty page."""

    core: DeskCore
    what: QueryKind
    done: Callable[[Listing], None]
    symbol: str | None = None
    since_ms: int = 0
    until_ms: int = 0
    listing: Listing = field(init=False)
    _rows: list[Row] = field(init=False, default_factory=list)
    _cursors: set[str] = field(init=False, default_factory=set)

    def start(self) -> None:
        self.listing = Listing(self.core.now_ns)
        self._ask("")

    def _ask(self, cursor: str) -> None:
        self.core.ask(self.what, self._answered, self.symbol, None, self.since_ms, self.until_ms, cursor)

    def _answered(self, answer: Answer) -> None:
        core = self.core
        if not isinstance(answer, QueryRows):
            core.count("query_failed")
            self.done(self.listing)
            return
        core.count("pages")
        if not self._cursors:
            self.listing.now_ms = answer.now_ms
            core.venue_ms = max(core.venue_ms, answer.now_ms)
        self._rows += answer.rows
        cursor = answer.next_cursor
        if not cursor or not answer.rows:
            self.listing.rows = self._rows
            self.done(self.listing)
        elif cursor in self._cursors or len(self._cursors) >= MAX_PAGES:
            core.note(Severity.ERROR, "cursor_repeated", self.symbol or "", f"{self.what.name}: a cursor came again")
            self.done(self.listing)
        else:
            self._cursors.add(cursor)
            self._ask(cursor)
