"""Rules: filters, counts, probabilities from a seed, time; and what they make of a request."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.venue.fault_rules import NO_FAULT, REQUEST_KINDS, RULES, FaultRules


def test_a_rule_hits_what_it_matches_and_as_often_as_it_says() -> None:
    rules = FaultRules(seed=3)
    rules.arm("trade.ack_drop", uid="7", op="order.*", count=2)
    assert rules.ask("trade.ack_drop", uid="8", op="order.create") is None
    assert rules.ask("trade.ack_drop", uid="7", op="position.list") is None
    hits = [rules.ask("trade.ack_drop", uid="7", op="order.create") is not None for _ in range(5)]
    assert hits == [True, True, False, False, False]
    assert rules.armed == {}, "a spent rule costs nothing any more"
    assert rules.as_list()[0]["hits"] == 2


def test_skip_lets_the_first_ones_pass() -> None:
    rules = FaultRules()
    rules.arm("private.drop", topic="execution", skip=2)
    hits = [rules.ask("private.drop", topic="execution") is not None for _ in range(4)]
    assert hits == [False, False, True, False]


def test_time_ends_a_rule() -> None:
    rules = FaultRules(now_ms=1000)
    rules.arm("feed.freeze", topic="tickers.*", seconds=2)
    assert rules.ask("feed.freeze", topic="tickers.BTCUSDT")
    assert rules.ask("feed.freeze", topic="tickers.BTCUSDT"), "no count while it lasts"
    rules.now_ms = 3000
    assert rules.ask("feed.freeze", topic="tickers.BTCUSDT") is None
    assert not rules.armed


def drawn(seed: int, asks: int = 200) -> list[bool]:
    rules = FaultRules(seed)
    rules.arm("private.drop", probability=0.3, count=-1)
    return [rules.ask("private.drop", topic="order") is not None for _ in range(asks)]


def test_a_seed_fixes_every_draw() -> None:
    assert drawn(5) == drawn(5)
    assert drawn(5) != drawn(6)
    assert 30 <= sum(drawn(5)) <= 90


@pytest.mark.parametrize(("kind", "channel", "body", "expected"), [
    ("trade.reject", "rest", {"code": 10006}, {"execute": False, "code": 10006}),
    ("trade.ack_drop", "trade", {}, {"execute": True, "lose": "answer"}),
    ("trade.ack_drop", "trade", {"executed": False}, {"execute": False, "lose": "answer"}),
    ("trade.accept_then_drop", "rest", {}, {"execute": True, "lose": "connection"}),
    ("trade.ack_delay", "trade", {"ms": 70}, {"delay_ms": 70}),
    ("trade.reorder", "trade", {"ms": 70}, {"delay_ms": 70, "reorder": True}),
    ("trade.fill_before_ack", "trade", {}, {"delay_ms": 50, "execute": True}),
    ("trade.swallow", "rest", {}, {"execute": False, "swallow": True}),
    ("trade.err_no_reqid", "trade", {"executed": True}, {"execute": True, "no_req_id": True, "code": 10016}),
    ("rest.403", "rest", {}, {"execute": False, "status": 403}),
    ("rest.5xx", "rest", {"status": 504, "executed": True}, {"execute": True, "status": 504, "body": b""}),
    ("rest.html", "rest", {}, {"execute": False, "status": 200}),
    ("rest.delay", "rest", {"ms": 9}, {"delay_ms": 9, "execute": True}),
])
def test_what_a_rule_makes_of_a_request(kind: str, channel: str, body: dict[str, Any], expected: dict[str, Any]) -> None:
    rules = FaultRules()
    rules.arm(kind, op="order.create", **body)
    assert rules.on_request(channel, "order.cancel", "7", "BTCUSDT") == NO_FAULT
    fault = rules.on_request(channel, "order.create", "7", "BTCUSDT")
    assert {name: getattr(fault, name) for name in expected} == expected
    assert fault.kind == kind
    assert rules.on_request(channel, "order.create", "7", "BTCUSDT") == NO_FAULT, "the next request works again"


def test_http_faults_leave_the_trade_websocket_alone_and_the_other_way_round() -> None:
    rules = FaultRules()
    rules.arm("rest.5xx")
    rules.arm("trade.err_no_reqid")
    assert rules.on_request("trade", "order.create").kind == "trade.err_no_reqid"
    assert rules.on_request("rest", "order.create").kind == "rest.5xx"


def test_faults_of_trading_leave_market_data_alone_unless_it_is_named() -> None:
    rules = FaultRules()
    rules.arm("trade.reject", count=-1)
    rules.arm("rest.delay", count=-1)
    assert rules.on_request("rest", "market.tickers").kind == "rest.delay"
    assert rules.on_request("rest", "position.list").kind == "trade.reject"
    rules.arm("trade.ack_drop", op="market.tickers")
    rules.disarm(2)
    assert rules.on_request("rest", "market.tickers").kind == "trade.ack_drop", "where it is named"


def test_every_request_kind_is_a_rule() -> None:
    assert set(REQUEST_KINDS) <= set(RULES)


@pytest.mark.parametrize("body", [
    {"kind": "trade.nothing"}, {"kind": "trade.reject", "kode": 1}, {"kind": "trade.reject", "code": "x"},
    {"kind": "trade.ack_drop", "executed": 1}, {"kind": "feed.drop", "count": -2}, {"kind": "feed.drop", "probability": 1.5},
    {"kind": "feed.drop", "probability": True}, {"kind": "feed.drop", "seconds": -1}, {"kind": "feed.drop", "skip": None},
])
def test_wrong_rules_are_refused(body: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must be|does not know"):
        FaultRules().arm(**body)


def test_disarm() -> None:
    rules = FaultRules()
    first, _ = rules.arm("feed.drop"), rules.arm("feed.dup")
    assert rules.disarm(first.number) == 1
    assert rules.disarm() == 1
    assert not rules.armed and len(rules.as_list()) == 2
