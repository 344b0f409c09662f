"""The door of the private side: who may call what, when and how often; no exchange behind it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.venue.accounts import ORDER, POSITION, Accounts, ApiKey
from gateway.venue.fault_rules import FaultRules
from gateway.venue.private_rest import Call, Done, Endpoint, PrivateRest
from gateway.venue.rate_limits import RateLimits
from gateway.venue.rest_answers import ApiError
from tests.gateway.venue.private_client import NOW_NS, Client, first_key, signed

NOW_MS = NOW_NS // 1_000_000


class World:
    """A door with three echoing endpoints."""

    def __init__(self) -> None:
        self.accounts = Accounts(2, 3, NOW_MS)
        self.faults = FaultRules(seed=1, now_ms=NOW_MS)
        self.calls: list[Call] = []
        self.changes = 0
        self.rest = PrivateRest(self.accounts, RateLimits(), self.faults, {
            "/v5/order/create": Endpoint("POST", ORDER, self._echo),
            "/v5/order/create-batch": Endpoint("POST", ORDER, self._echo, lambda f: len(f.values["request"])),
            "/v5/order/realtime": Endpoint("GET", ORDER, self._echo),
            "/v5/position/set-leverage": Endpoint("POST", POSITION, self._refuse),
            "/v5/user/query-api": Endpoint("GET", None, self._echo),
        }, self._changed)
        self.key = first_key(self.accounts)

    def _echo(self, call: Call) -> Done:
        self.calls.append(call)
        return Done({"uid": call.uid, "granted": call.granted}, info={"more": 1})

    def _refuse(self, call: Call) -> Done:
        raise ApiError(110043, "leverage not modified")

    def _changed(self) -> None:
        self.changes += 1

    def code(self, key: ApiKey | None = None, method: str = "GET", path: str = "/v5/order/realtime", **how: Any) -> int:
        made = signed(key or self.key, method, path, how.pop("at_ms", NOW_MS), **how)
        reply = self.rest.handle(made, NOW_NS)
        assert reply.body is not None
        return int(json.loads(reply.body)["retCode"])


@pytest.fixture
def world() -> World:
    return World()


def test_a_signed_request_passes(world: World) -> None:
    client = Client(world.rest, world.key)
    found = client.get("order/realtime", category="linear", symbol="BTCUSDT", cursor="a%3Db&c")
    assert (found["retCode"], found["retMsg"], found["time"]) == (0, "OK", NOW_MS)
    assert found["result"] == {"uid": world.key.uid, "granted": 1} and found["retExtInfo"] == {"more": 1}
    assert world.calls[0].fields.values == {"category": "linear", "symbol": "BTCUSDT", "cursor": "a%3Db&c"}
    assert client.last is not None
    assert client.last.headers == {
        "X-Bapi-Limit": "50", "X-Bapi-Limit-Status": "49", "X-Bapi-Limit-Reset-Timestamp": str(NOW_MS),
    }


def test_the_bytes_on_the_wire_are_signed(world: World) -> None:
    """Order of parameters, blanks and percent signs belong to the signature."""
    for query in ("b=1&a=2", "a=2&b=1", "cursor=page_token%3D39380%26", "a="):
        assert world.code(query=query) == 0
    body = b'{ "category" : "linear" }'
    assert world.code(method="POST", path="/v5/order/create", body=body) == 0
    made = signed(world.key, "POST", "/v5/order/create", NOW_MS, body=body)
    changed = type(made)(made.method, made.path, made.query, body.replace(b" ", b""), made.headers)
    reply = world.rest.handle(changed, NOW_NS)
    assert reply.body is not None
    found = json.loads(reply.body)
    assert found["retCode"] == 10004
    assert found["retMsg"] == f'error sign! origin_string[{NOW_MS}{world.key.key}5000{{"category":"linear"}}]'


@pytest.mark.parametrize(("how", "code"), [
    ({"sign": "0" * 64}, 10004), ({"sign": "ä"}, 10004), ({"api_key": "nobody"}, 10003), ({"timestamp": "x"}, 10001),
    ({"timestamp": "-5"}, 10001), ({"timestamp": "9" * 30}, 10001), ({"window": "soon"}, 10001), ({"window": ""}, 0),
    ({"at_ms": NOW_MS - 5001}, 10002), ({"at_ms": NOW_MS - 5000}, 0), ({"at_ms": NOW_MS + 1000}, 10002),
    ({"at_ms": NOW_MS + 999}, 0), ({"at_ms": NOW_MS - 20_000, "window": "20000"}, 0),
    ({"at_ms": NOW_MS - 700_000, "window": "9999999"}, 10002),
])
def test_headers(world: World, how: dict[str, Any], code: int) -> None:
    assert world.code(**how) == code


@pytest.mark.parametrize("name", ["api_key", "timestamp", "sign"])
def test_missing_headers_are_unauthorized(world: World, name: str) -> None:
    reply = world.rest.handle(signed(world.key, "GET", "/v5/order/realtime", NOW_MS, **{name: ""}), NOW_NS)
    assert reply.status == 401 and reply.body is not None and json.loads(reply.body)["retCode"] == 10003


def test_text_of_the_time_window(world: World) -> None:
    client = Client(world.rest, world.key)
    made = signed(world.key, "GET", "/v5/order/realtime", NOW_MS - 9000)
    reply = client.rest.handle(made, NOW_NS)
    assert reply.body is not None
    assert json.loads(reply.body)["retMsg"] == (
        "invalid request, please check your server timestamp or recv_window param. "
        f"req_timestamp[{NOW_MS - 9000}],server_timestamp[{NOW_MS}],recv_window[5000]"
    )


@pytest.mark.parametrize(("kind", "read", "trade", "manage", "about"), [
    ("trade", 0, 0, 110043, 0), ("read_only", 0, 10005, 10005, 0), ("order_only", 0, 0, 10005, 0),
    ("spot_only", 10005, 10005, 10005, 0), ("withdraw", 0, 0, 110043, 0), ("expired", 33004, 33004, 33004, 33004),
    ("bound", 0, 0, 110043, 0), ("bound_elsewhere", 10010, 10010, 10010, 10010),
])
def test_permissions(world: World, kind: str, read: int, trade: int, manage: int, about: int) -> None:
    key = world.accounts.issue(world.key.uid, kind, NOW_MS)
    assert world.code(key) == read
    assert world.code(key, "POST", "/v5/order/create", body=b"{}") == trade
    assert world.code(key, "POST", "/v5/position/set-leverage", body=b"{}") == manage
    assert world.code(key, path="/v5/user/query-api") == about


def test_a_wrong_signature_does_not_tell_about_the_key(world: World) -> None:
    """Expiry and binding are told only to who can sign."""
    key = world.accounts.issue(world.key.uid, "expired", NOW_MS)
    assert world.code(key, sign="0") == 10004


@pytest.mark.parametrize("body", [b"", b"[]", b"1", b"{", b'{"a":}', b"\xff", b"[" * 5000, b'{"a":' * 5000, b'"x"'])
def test_bodies_that_are_no_object(world: World, body: bytes) -> None:
    assert world.code(method="POST", path="/v5/order/create", body=body) == 10001


def test_paths_methods_and_bodies_of_get(world: World) -> None:
    for method, path in (("GET", "/v5/order/create"), ("POST", "/v5/order/realtime"), ("GET", "/v5/moon"), ("PUT", "/v5/x")):
        reply = world.rest.handle(signed(world.key, method, path, NOW_MS), NOW_NS)
        assert reply.status == 404 and reply.body is not None and json.loads(reply.body)["retCode"] == 10017
    reply = world.rest.handle(signed(world.key, "GET", "/v5/order/realtime", NOW_MS, body=b"{}"), NOW_NS)
    assert reply.status == 403


def test_rate_limit(world: World) -> None:
    client = Client(world.rest, world.key)
    assert [client.post("order/create")["retCode"] for _ in range(11)] == [0] * 10 + [10006]
    assert client.last is not None
    assert client.last.headers["X-Bapi-Limit-Status"] == "0"
    assert client.last.headers["X-Bapi-Limit-Reset-Timestamp"] == str(NOW_MS + 1000)
    client.now_ns += 1_000_000_000
    assert client.post("order/create")["retCode"] == 0
    other = Client(world.rest, first_key(world.accounts, 1))
    assert other.post("order/create")["retCode"] == 0


def test_a_batch_takes_as_much_as_it_holds(world: World) -> None:
    client = Client(world.rest, world.key)
    assert client.post("order/create-batch", request=[1] * 8)["result"]["granted"] == 8
    assert client.post("order/create-batch", request=[1] * 8)["result"]["granted"] == 2
    assert client.post("order/create-batch", request=[1])["retCode"] == 10006


def test_only_acting_calls_tell_the_streams(world: World) -> None:
    client = Client(world.rest, world.key)
    client.get("order/realtime")
    assert world.changes == 0
    client.post("order/create")
    assert client.post("position/set-leverage")["retCode"] == 110043
    assert world.changes == 2 and world.rest.refused == {110043: 1}


# -- faults --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("kind", "values", "status", "body", "executed"), [
    ("trade.reject", {"code": 10016}, 200, b'"retCode":10016', False), ("rest.403", {}, 403, b"too frequent", False),
    ("rest.5xx", {"status": 503}, 503, b"", False), ("rest.5xx", {"executed": True}, 502, b"", True),
    ("rest.html", {}, 200, b"<html>", False), ("trade.ack_drop", {}, 200, None, True),
    ("trade.ack_drop", {"executed": False}, 200, None, False), ("trade.accept_then_drop", {}, 200, None, True),
    ("trade.swallow", {}, 200, b'"orderId":"', False),
])
def test_ordered_faults(world: World, kind: str, values: dict[str, Any], status: int, body: bytes | None, executed: bool) -> None:
    world.faults.arm(kind, op="order.create", **values)
    assert world.code() == 0, "other requests are untouched"
    made = signed(world.key, "POST", "/v5/order/create", NOW_MS, body=b'{"orderLinkId":"a"}')
    reply = world.rest.handle(made, NOW_NS)
    assert reply.status == status
    assert (reply.body is None) is (body is None)
    if body is not None and reply.body is not None:
        assert body in reply.body
    assert len(world.calls) == 1 + executed
    assert world.code(method="POST", path="/v5/order/create", body=b"{}") == 0, "spent"


def test_a_late_answer_and_shrunk_limits(world: World) -> None:
    world.faults.arm("rest.delay", ms=700)
    reply = world.rest.handle(signed(world.key, "GET", "/v5/order/realtime", NOW_MS), NOW_NS)
    assert reply.delay_ms == 700
    world.faults.arm("rate", per_s=1, uid=str(world.key.uid))
    assert [world.code(method="POST", path="/v5/order/create", body=b"{}") for _ in range(2)] == [0, 10006]
    assert world.code(first_key(world.accounts, 1), "POST", "/v5/order/create", body=b"{}") == 0


def test_lag_and_short_pages_reach_the_handler(world: World) -> None:
    world.faults.arm("rest.lag", behind_s=2.5, op="order.realtime")
    world.faults.arm("rest.page", rows=3)
    assert world.code() == 0
    assert world.calls[-1].behind_ms == 2500 and world.calls[-1].rows(20, 50) == 3


def test_the_trade_channel_shares_rights_and_limits(world: World) -> None:
    for _ in range(10):
        assert world.rest.call("order.create", world.key, {}, NOW_MS).code == 0
    refused = world.rest.call("order.create", world.key, {}, NOW_MS)
    assert refused.code == 10006 and refused.limits["X-Bapi-Limit-Status"] == "0"
    assert world.code(method="POST", path="/v5/order/create", body=b"{}") == 10006
    reader = world.accounts.issue(world.key.uid, "read_only", NOW_MS)
    assert world.rest.call("order.create", reader, {}, NOW_MS + 1000).code == 10005


def test_every_permission_error_says_so(world: World) -> None:
    key = world.accounts.issue(world.key.uid, "read_only", NOW_MS)
    found = Client(world.rest, key).post("order/create")
    assert (found["retCode"], found["retMsg"]) == (10005, "Permission denied, please check your API key permissions.")
