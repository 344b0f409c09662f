"""The trade stream's conversation: auth once, a header per request, reqId, rates, and faults of the answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.venue.accounts import Accounts, ApiKey
from gateway.venue.fault_rules import FaultRules
from gateway.venue.ret_texts import TEXTS
from gateway.venue.trade_session import SESSION_REQUESTS_PER_S, Answer, Reply, TradeSession
from tests.gateway.venue.test_private_session import NOW_MS, auth_args
from tests.shared_data import fixture


class EchoDesk:
    """Accepts everything and remembers it."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int, dict[str, Any]]] = []

    def call(self, op: str, key: ApiKey, body: dict[str, Any], now_ms: int) -> Answer:
        self.calls.append((op, key.uid, body))
        return Answer(0, "OK", {"orderId": "1", "orderLinkId": ""}, {}, {"X-Bapi-Limit": "10"})

    def swallow(self, op: str, body: dict[str, Any]) -> Answer:
        return Answer(0, "OK", {"orderId": "2", "orderLinkId": ""}, {}, {})


class Talk:
    def __init__(self) -> None:
        self.accounts = Accounts(1, seed=5, now_ms=NOW_MS)
        self.key = self.accounts.accounts[self.accounts.uids[0]].keys[0]
        self.desk = EchoDesk()
        self.rules = FaultRules()
        self.session = TradeSession("conn-1", self.accounts, self.desk, self.rules, "127.0.0.1")
        self.now_ms = NOW_MS

    def reply(self, **message: Any) -> Reply:
        return self.session.request(json.dumps(message).encode(), self.now_ms)

    def ask(self, **message: Any) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.reply(**message).text)
        return found

    def auth(self) -> dict[str, Any]:
        return self.ask(op="auth", args=auth_args(self.key))

    def create(self, **more: Any) -> dict[str, Any]:
        return self.ask(**{**request(), **more})


def request(op: str = "order.create") -> dict[str, Any]:
    return {"op": op, "header": {"X-BAPI-TIMESTAMP": str(NOW_MS)}, "args": [{"category": "linear", "symbol": "BTCUSDT"}]}


def test_auth_answers() -> None:
    talk = Talk()
    assert talk.ask(op="auth", args=[talk.key.key, NOW_MS + 9, "00"])["retCode"] == 10004
    assert talk.ask(op="auth", args=["x"])["retCode"] == 10001
    assert talk.ask(op="auth", args=["x", NOW_MS + 9, "00"])["retCode"] == 10003
    assert talk.auth() == {"retCode": 0, "retMsg": "OK", "op": "auth", "connId": "conn-1"}
    assert talk.auth()["retCode"] == 20001


def test_pong() -> None:
    told = Talk().ask(op="ping", reqId="p")
    assert told == {"reqId": "p", "retCode": 0, "retMsg": "OK", "op": "pong", "data": [str(NOW_MS)], "connId": "conn-1"}


def test_an_order_is_answered_with_the_fields_of_the_documentation() -> None:
    talk = Talk()
    talk.auth()
    told = talk.create(reqId="test-005")
    assert list(told) == ["reqId", "retCode", "retMsg", "op", "data", "retExtInfo", "header", "connId"]
    assert told["data"] == {"orderId": "1", "orderLinkId": ""}
    assert set(told["header"]) >= {"X-Bapi-Limit", "Traceid", "Timenow"}
    assert talk.desk.calls == [("order.create", talk.key.uid, {"category": "linear", "symbol": "BTCUSDT"})]
    real = json.loads(fixture("nautilus/ws_order_response.json").read_text())
    assert set(real) <= set(told) and set(real["data"]) == set(told["data"])


def test_without_req_id_none_is_returned() -> None:
    talk = Talk()
    talk.auth()
    assert "reqId" not in talk.create()


def test_a_repeated_req_id_is_refused_and_not_carried_out() -> None:
    talk = Talk()
    talk.auth()
    assert talk.create(reqId="a")["retCode"] == 0
    assert talk.create(reqId="a")["retCode"] == 20006
    assert talk.create(reqId="b")["retCode"] == 0
    assert len(talk.desk.calls) == 2


def test_before_auth_nothing_is_carried_out() -> None:
    talk = Talk()
    assert talk.create(reqId="a")["retCode"] == 10003
    assert talk.desk.calls == []


@pytest.mark.parametrize(("header", "code"), [
    ({}, 10001), (None, 10001), ("x", 10001), ({"X-BAPI-TIMESTAMP": "x"}, 10001), ({"X-BAPI-TIMESTAMP": True}, 10001),
    ({"X-BAPI-TIMESTAMP": 1.5}, 10001), ({"X-BAPI-TIMESTAMP": "9" * 40}, 10001), ({"X-BAPI-TIMESTAMP": 10**30}, 10001),
    ({"X-BAPI-TIMESTAMP": str(NOW_MS - 5001)}, 10002), ({"X-BAPI-TIMESTAMP": str(NOW_MS + 1000)}, 10002),
    ({"X-BAPI-TIMESTAMP": str(NOW_MS - 5000)}, 0), ({"X-BAPI-TIMESTAMP": NOW_MS + 999}, 0),
    ({"X-BAPI-TIMESTAMP": str(NOW_MS - 50), "X-BAPI-RECV-WINDOW": "40"}, 10002),
    ({"X-BAPI-TIMESTAMP": str(NOW_MS - 5001), "X-BAPI-RECV-WINDOW": 8000, "Referer": "bot-001"}, 0),
])
def test_the_time_window_of_the_header(header: Any, code: int) -> None:
    talk = Talk()
    talk.auth()
    assert talk.create(header=header)["retCode"] == code
    assert len(talk.desk.calls) == (code == 0)


@pytest.mark.parametrize(("change", "code"), [
    ({"op": "order.dance"}, 10404), ({"op": None}, 10404), ({"op": 5}, 10404), ({"args": []}, 10001), ({"args": {}}, 10001),
    ({"args": [{}, {}]}, 10001), ({"args": ["x"]}, 10001), ({"reqId": "x" * 37}, 10001), ({"reqId": 5}, 10001),
])
def test_wrong_requests(change: dict[str, Any], code: int) -> None:
    talk = Talk()
    talk.auth()
    assert talk.create(**change)["retCode"] == code
    assert talk.desk.calls == []
    assert talk.create()["retCode"] == 0, "the next request works"


def test_too_many_requests_of_one_session() -> None:
    talk = Talk()
    talk.auth()
    codes = [talk.create()["retCode"] for _ in range(SESSION_REQUESTS_PER_S + 2)]
    assert codes[-3:] == [0, 20003, 20003]
    talk.now_ms += 1000
    assert talk.create()["retCode"] == 0


def test_faults_of_the_answer() -> None:
    talk = Talk()
    talk.auth()
    talk.rules.arm("trade.reject", code=10016)
    talk.rules.arm("trade.err_no_reqid", code=10019)
    talk.rules.arm("trade.swallow")
    told = talk.create(reqId="a")
    assert (told["retCode"], told["retMsg"], told["reqId"]) == (10016, TEXTS[10016], "a")
    told = talk.create(reqId="b")
    assert (told["retCode"], "reqId" in told) == (10019, False)
    assert talk.create(reqId="c")["data"]["orderId"] == "2"
    assert talk.desk.calls == []
    assert talk.create(reqId="d")["data"]["orderId"] == "1"


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 60_000, b'{"op":{}}', b"[1" * 30_000, b"1" * 9000])
def test_garbage_gets_an_answer(raw: bytes) -> None:
    talk = Talk()
    talk.auth()
    assert json.loads(talk.session.request(raw, NOW_MS).text)["retCode"] in (10001, 10404)
