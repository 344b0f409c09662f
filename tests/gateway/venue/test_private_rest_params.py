"""Reading of parameters: types, words, grids, windows; the same rules for bodies and queries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gateway.venue.private_rest_pages import cursor_of, page, position_of
from gateway.venue.private_rest_params import SPAN_MS, Fields, body_of, query_of
from gateway.venue.rest_answers import ApiError
from tests.gateway.venue.private_fixtures import BTC

DAY = 86_400_000


def body(**values: Any) -> Fields:
    return Fields(values, True)


def query(text: str) -> Fields:
    return Fields(query_of(text.encode()), False)


@pytest.mark.parametrize(("read", "found"), [
    (lambda: body(a="x").text("a"), "x"), (lambda: body(a=None).text("a", "d"), "d"),
    (lambda: body(a="").text("a", "d"), "d"),
    (lambda: body(a=0).integer("a", 5), 0), (lambda: body().integer("a", 5), 5),
    (lambda: query("a=7").integer("a", 5), 7),
    (lambda: query("a=").integer("a", 5), 5), (lambda: body(a=True).flag("a"), True),
    (lambda: body(a=None).flag("a"), False),
    (lambda: body(a="b").choice("a", {"b": 2}), 2), (lambda: body().choice("a", {"b": 2}, 9), 9),
    (lambda: body(price="65000.1").ticks("price", BTC), 650_001),
    (lambda: body(price="65000.10").ticks("price", BTC), 650_001),
    (lambda: body(price="0").ticks("price", BTC), 0), (lambda: body(qty="0.001").lots("qty", BTC), 1),
    (lambda: body(l="12.5").fixed("l", 2), 1250), (lambda: body(l="-3").fixed("l", 8, signed=True), -300_000_000),
    (lambda: body(limit=7).limit(20, 50), 7), (lambda: body(limit=700).limit(20, 50), 50),
    (lambda: body().limit(20, 50), 20),
    (lambda: body(orderLinkId="aZ09_-").link_id(), "aZ09_-"),
    (lambda: body(orderLinkId="a" * 36).link_id(), "a" * 36),
    (lambda: query("a=1&a=2").integer("a", 0), 1),
    (lambda: query("cursor=page_token%3D3%26").text("cursor"), "page_token=3&"),
])
def test_accepted(read: Callable[[], Any], found: Any) -> None:
    assert read() == found


@pytest.mark.parametrize(("read", "text"), [
    (lambda: body(a=1).text("a"), "params error: a invalid"),
    (lambda: body(a=["x"]).text("a"), "params error: a invalid"),
    (lambda: body().text("a", required=True), "params error: Missing some parameters that must be filled in, a"),
    (lambda: body(a="7").integer("a", 5), "params error: a invalid"),
    (lambda: body(a=1.0).integer("a", 5), "params error: a invalid"),
    (lambda: body(a=True).integer("a", 5), "params error: a invalid"),
    (lambda: query("a=x").integer("a", 5), "params error: a invalid"),
    (lambda: query("a=-1").integer("a", 5), "params error: a invalid"),
    (lambda: body(a=-1).integer("a", 5), "params error: a invalid"),
    (lambda: query("a=" + "9" * 40).integer("a", 5), "params error: a invalid"),
    (lambda: query("a=%D9%A1").integer("a", 5), "params error: a invalid"),
    (lambda: body(a=10**30).integer("a", 5), "params error: a invalid"),
    (lambda: body(a="true").flag("a"), "params error: a invalid"),
    (lambda: body(a=1).flag("a"), "params error: a invalid"),
    (lambda: body(side="up").choice("side", {"Buy": 1}), "Side invalid"),
    (lambda: body(qty=0.01).lots("qty", BTC), "Qty invalid"),
    (lambda: body(qty="0.0005").lots("qty", BTC), "Qty invalid"),
    (lambda: body(qty="-1").lots("qty", BTC), "Qty invalid"),
    (lambda: body(qty="1e3").lots("qty", BTC), "Qty invalid"),
    (lambda: body(qty="NaN").lots("qty", BTC), "Qty invalid"),
    (lambda: body(price="65000.05").ticks("price", BTC), "Price invalid"),
    (lambda: body(price="9" * 30).ticks("price", BTC), "Price invalid"),
    (lambda: body(l="1.005").fixed("l", 2), "params error: l invalid"),
    (lambda: body(l="-3").fixed("l", 8), "params error: l invalid"),
    (lambda: body(limit=0).limit(20, 50), "params error: limit invalid"),
    (lambda: body(orderLinkId="a" * 37).link_id(), "params error: orderLinkId longer than 36"),
    (lambda: body(orderLinkId="a b").link_id(), "params error: orderLinkId invalid"),
    (lambda: body(orderLinkId="ä").link_id(), "params error: orderLinkId invalid"),
    (lambda: body(category="spot").category(), "Illegal category"),
    (lambda: body(category=["linear"]).category(), "Illegal category"),
    (lambda: body_of(b"[1]"), "Request parameter error."),
    (lambda: body_of(b"{" + b" " * (1 << 20)), "Request parameter error."),
    (lambda: query_of("a=ä".encode()), "Request parameter error."),
    (lambda: query_of(b"&".join([b"a=1"] * 101)), "Request parameter error."),
])
def test_refused(read: Callable[[], Any], text: str) -> None:
    with pytest.raises(ApiError) as refusal:
        read()
    assert (refusal.value.code, str(refusal.value)) == (10001, text)


@pytest.mark.parametrize(("given", "found"), [
    ({}, (93 * DAY, 107 * DAY)), ({"startTime": 5}, (5, 5 + SPAN_MS)), ({"endTime": 50 * DAY}, (43 * DAY, 50 * DAY)),
    ({"startTime": 5, "endTime": 5}, (5, 5)), ({"startTime": 0, "endTime": SPAN_MS}, (0, SPAN_MS)),
])
def test_windows(given: dict[str, int], found: tuple[int, int]) -> None:
    assert body(**given).window(100 * DAY) == found


@pytest.mark.parametrize("given", [{"startTime": 6, "endTime": 5}, {"startTime": 0, "endTime": SPAN_MS + 1}, {"startTime": "x"}])
def test_refused_windows(given: dict[str, Any]) -> None:
    with pytest.raises(ApiError):
        body(**given).window(100 * DAY)


def test_cursor_survives_both_ways_of_sending_it_back() -> None:
    text = cursor_of((1_790_000_000_000_000_000, "a-b:c"))
    assert "%3D" in text and "%26" in text and "=" not in text
    for sent in (text, text.replace("%", "%25")):
        assert position_of(query_of(f"cursor={sent}".encode())["cursor"]) == (1_790_000_000_000_000_000, "a-b:c")
    assert position_of("") is None
    for bad in ("x", "page_token=", "page_token=a:b&", "page_token=5&", "page_token=²:b&", "page_token=" + "9" * 30 + ":a&"):
        with pytest.raises(ApiError):
            position_of(bad)


def test_pages_hold_every_row_once_whatever_is_added_meanwhile() -> None:
    rows = [(n // 3, f"id{n}") for n in range(20)]
    seen: list[tuple[int, str]] = []
    cursor, new = "", 100
    while True:
        found, cursor = page(rows, lambda row: row, cursor, 3)
        if not found:
            assert cursor == ""
            break
        seen += found
        rows.append((new, "younger"))
        new += 1
    assert seen == sorted([row for row in rows if row[0] < 100], reverse=True)
