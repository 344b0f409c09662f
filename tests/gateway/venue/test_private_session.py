"""The private stream's conversation: auth, topics, pings, and the texts of refusals."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.venue.accounts import Accounts, ApiKey
from gateway.venue.private_session import PrivateSession
from gateway.venue.signing import ws_signature
from tests.shared_data import fixture

NOW_MS = 1_786_310_760_000


def auth_args(key: ApiKey, expires_ms: int = NOW_MS + 5000) -> list[Any]:
    return [key.key, expires_ms, ws_signature(key.secret, str(expires_ms))]


class Talk:
    def __init__(self, kind: str = "trade", ip: str = "127.0.0.1") -> None:
        self.accounts = Accounts(2, seed=5, now_ms=NOW_MS)
        self.key = self.accounts.issue(self.accounts.uids[0], kind, NOW_MS)
        self.session = PrivateSession("conn-1", self.accounts, ip)
        self.nacks: list[str] = []

    def ask(self, **message: Any) -> dict[str, Any]:
        return self.raw(json.dumps(message).encode())

    def raw(self, raw: bytes) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.session.request(raw, NOW_MS, lambda topic: topic in self.nacks).text)
        return found

    def auth(self) -> dict[str, Any]:
        return self.ask(op="auth", args=auth_args(self.key))


def recorded_acks() -> list[dict[str, Any]]:
    lines = fixture("private/bybit_order_stream_20241109_a.jsonl").read_text().splitlines()
    return [found for found in map(json.loads, lines) if "op" in found]


def test_acknowledgements_have_the_fields_and_order_of_the_recorded_ones() -> None:
    talk = Talk()
    told = [talk.auth(), talk.ask(op="subscribe", args=["order"])]
    for ours, real in zip(told, recorded_acks(), strict=True):
        assert list(ours) == list(real)
        assert {**ours, "conn_id": ""} == {**real, "conn_id": ""}


def test_a_req_id_is_echoed() -> None:
    talk = Talk()
    assert talk.ask(op="auth", args=auth_args(talk.key), req_id="a1")["req_id"] == "a1"
    assert talk.ask(op="subscribe", args=["wallet"], req_id="s1")["req_id"] == "s1"


def test_the_pong_has_the_shape_of_the_documented_one() -> None:
    talk = Talk()
    assert talk.ask(op="ping") == {"op": "pong", "args": [str(NOW_MS)], "conn_id": "conn-1"}
    assert list(talk.ask(op="ping", req_id="test")) == ["req_id", "op", "args", "conn_id"]


def test_an_unknown_key_is_refused_as_the_fixture_says() -> None:
    real = json.loads(fixture("nautilus/ws_auth_failure.json").read_text())
    talk = Talk()
    ours = talk.ask(op="auth", args=["nobody", NOW_MS + 1000, "00"])
    assert {**ours, "connId": ""} == {**real, "connId": ""}
    assert list(ours) == list(real)


@pytest.mark.parametrize(("kind", "ip", "code"), [("expired", "127.0.0.1", 33004), ("bound_elsewhere", "127.0.0.1", 10010)])
def test_a_key_that_may_not_be_used_is_refused_with_its_code(kind: str, ip: str, code: int) -> None:
    told = Talk(kind, ip).auth()
    assert (told["success"], told["retCode"]) == (False, code)


@pytest.mark.parametrize("args", [
    None, [], ["a"], [1, 2, 3], ["a", "b", "c"], ["a", True, "c"], ["a", 1e300, "c"], ["a", -5, "c"], ["a", "9" * 30, "c"],
])
def test_malformed_auth(args: Any) -> None:
    told = Talk().ask(op="auth", args=args)
    assert (told["success"], told["ret_msg"], told["op"]) == (False, "Params Error", "auth")


def test_a_wrong_signature_and_a_past_expiry_are_params_errors_and_the_next_try_works() -> None:
    talk = Talk()
    wrong, strange = auth_args(talk.key), auth_args(talk.key)
    wrong[2], strange[2] = "0" * 64, "\ud800"
    for args in (wrong, strange, auth_args(talk.key, NOW_MS), auth_args(talk.key, NOW_MS - 1)):
        assert talk.ask(op="auth", args=args)["ret_msg"] == "Params Error"
        assert talk.session.key is None
    assert talk.auth()["success"] is True


def test_nothing_is_subscribed_before_auth() -> None:
    talk = Talk()
    assert talk.ask(op="subscribe", args=["order"])["success"] is False
    assert talk.session.topics == set()


@pytest.mark.parametrize("topics", [
    ["order", "nothing"], ["orderbook.50.BTCUSDT"], ["order.nothing"], ["wallet.linear"], ["dcp.future"],
])
def test_one_unknown_topic_fails_the_request(topics: list[str]) -> None:
    talk = Talk()
    talk.auth()
    assert talk.ask(op="subscribe", args=topics)["success"] is False
    assert talk.session.topics == set()


def test_all_in_one_and_categorised_topics_are_not_mixed_in_one_request() -> None:
    talk = Talk()
    talk.auth()
    assert talk.ask(op="subscribe", args=["order", "order.linear"])["success"] is False
    assert talk.ask(op="subscribe", args=["order.linear", "execution.linear", "position.linear", "wallet"])["success"]
    assert talk.ask(op="subscribe", args=["execution.fast"])["success"]
    assert talk.session.topics == {"order.linear", "execution.linear", "position.linear", "wallet", "execution.fast"}
    assert talk.ask(op="unsubscribe", args=["wallet"])["success"]
    assert "wallet" not in talk.session.topics


def test_a_refused_subscription_works_the_next_time() -> None:
    talk = Talk()
    talk.auth()
    talk.nacks = ["order"]
    assert talk.ask(op="subscribe", args=["order", "wallet"])["success"] is False
    talk.nacks = []
    assert talk.ask(op="subscribe", args=["order", "wallet"])["success"] is True


@pytest.mark.parametrize("raw", [
    b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b'{"op":', b"[" * 60_000, b'{"op":NaN}', b'{"op":{}}', b'{"op":[]}',
    b'{"op":"subscribe","args":{}}', b'{"op":"subscribe","args":[1]}', b'{"op":"dance"}', b"1" * 5000,
])
def test_garbage_gets_an_answer(raw: bytes) -> None:
    assert Talk().raw(raw)["success"] is False
