"""All pages or nothing: what a look-up over several pages hands on, page by page."""

from __future__ import annotations

import pytest

from core.orders.exchange_desk_core import DeskConfig, DeskCore
from core.orders.exchange_words import Log, Lost, Query, QueryKind, QueryRows, Send, WalletRow
from core.orders.reconcile_pages import MAX_PAGES, Listing, PagedQuery
from tests.core.orders.naive_exchange import S

A, B, C = (WalletRow(n, 0, 0, 0, 0, 0, 0) for n in range(3))


class Asked:
    """A query, and the exchange's side of it."""

    def __init__(self, **fields) -> None:
        self.core = DeskCore(DeskConfig())
        self.core.now_ns = 7 * S
        self.core.venue_ms = 500
        self.got: list[Listing] = []
        self.query = PagedQuery(self.core, QueryKind.EXECUTIONS, self.got.append, **fields)
        self.query.start()

    def last(self) -> Query:
        return [e.request for e in self.core.effects if isinstance(e, Send)][-1]

    def asked(self) -> int:
        return sum(isinstance(e, Send) for e in self.core.effects)

    def page(self, rows=(), cursor: str = "", now_ms: int = 0) -> Asked:
        self.core.answer(QueryRows(self.last().req_id, QueryKind.EXECUTIONS, tuple(rows), cursor, now_ms))
        return self


def test_every_page_in_order_asked_with_the_same_words():
    q = Asked(symbol="AUSDT", since_ms=11, until_ms=22)
    assert q.last() == Query(q.last().req_id, QueryKind.EXECUTIONS, "AUSDT", None, None, 11, 22, "")
    q.page([A], "x", 900).core.now_ns += S
    assert q.last() == Query(q.last().req_id, QueryKind.EXECUTIONS, "AUSDT", None, None, 11, 22, "x")
    q.page([B], "y", 950).page([C], "", 990)
    assert q.got == [Listing(7 * S, [A, B, C], 900)], "since when, and the clock of the first page"
    assert q.core.venue_ms == 900 and q.core.counters == {"pages": 3} and q.asked() == 3


def test_of_all_symbols_and_all_times_where_none_is_given():
    q = Asked()
    assert q.last() == Query(q.last().req_id, QueryKind.EXECUTIONS, None, None, None, 0, 0, "")


@pytest.mark.parametrize("cursor", ["", "more"])
def test_an_empty_page_is_the_last_one_with_a_cursor_or_without(cursor):
    q = Asked().page([], cursor, 400)
    assert q.got == [Listing(7 * S, [], 400)] and q.asked() == 1
    assert q.core.venue_ms == 500, "an older telling does not turn the clock back"


def test_a_page_that_fails_fails_the_whole():
    q = Asked().page([A], "x", 900)
    q.core.answer(Lost(q.last().req_id, "no answer"))
    assert q.got == [Listing(7 * S, None, 900)] and q.core.counters["query_failed"] == 1
    q = Asked()
    q.core.answer(Lost(q.last().req_id, "no answer"))
    assert q.got == [Listing(7 * S, None, 0)]


@pytest.mark.parametrize("symbol", ["AUSDT", None])
def test_a_cursor_that_comes_again_fails_the_whole_and_is_shown(symbol):
    q = Asked(symbol=symbol).page([A], "x").page([B], "y").page([C], "x")
    assert q.got == [Listing(7 * S)] and q.core.counters["cursor_repeated"] == 1
    assert [e.symbol for e in q.core.effects if isinstance(e, Log)] == [symbol or ""]


def test_pages_without_end_come_to_one():
    q = Asked()
    for number in range(MAX_PAGES):
        q.page([A], f"c{number}")
        assert not q.got
    q.page([A], "c-last")
    assert q.got == [Listing(7 * S)] and q.asked() == MAX_PAGES + 1
