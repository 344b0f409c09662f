"""The private side over real HTTP: what faults do to a connection, and the venue's own limits for addresses."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from flask.testing import FlaskClient

from gateway.venue.rate_limits import IP_LIMIT, RateLimits
from gateway.venue.rest import make_app
from gateway.venue.signing import rest_signature
from gateway.venue.synthetic_feed import SyntheticFeed
from tests.gateway.venue.private_world import BTC, PrivateWorld
from tests.gateway.venue.running import Running, new_exchange, served_venue

LINEAR = {"category": "linear"}


@pytest.fixture(scope="module")
def venue() -> Iterator[Running]:
    with served_venue(SyntheticFeed(new_exchange(3, seed=13)), accounts=2) as running:
        yield running


def send(venue: Running, method: str, path: str, payload: str, key: dict[str, Any] | None = None) -> requests.Response:
    """A signed request by hand, as the first account or with another key."""
    account = key or venue.venue.accounts.announced()[0]
    stamp = str(int(time.time() * 1000))
    headers = {
        "X-BAPI-API-KEY": str(account["api_key"]), "X-BAPI-TIMESTAMP": stamp, "X-BAPI-RECV-WINDOW": "5000",
        "X-BAPI-SIGN": rest_signature(str(account["api_secret"]), stamp, str(account["api_key"]), "5000", payload.encode()),
    }
    url = f"{venue.addresses['rest']}/v5/{path}"
    if method == "GET":
        return requests.get(f"{url}?{payload}", headers=headers, timeout=240)
    return requests.post(url, data=payload, headers={**headers, "Content-Type": "application/json"}, timeout=240)


def create(venue: Running, link_id: str) -> requests.Response:
    """A buy far below the market."""
    ticker = requests.get(f"{venue.addresses['rest']}/v5/market/tickers?category=linear&symbol={BTC}", timeout=240).json()
    price = f"{float(ticker['result']['list'][0]['lastPrice']) * 0.98:.1f}"
    body = {**LINEAR, "symbol": BTC, "side": "Buy", "orderType": "Limit", "qty": "0.001", "price": price, "orderLinkId": link_id}
    return send(venue, "POST", "order/create", json.dumps(body))


def known(venue: Running, link_id: str) -> bool:
    """Does the exchange know the order: what a careful client asks after an unknown outcome."""
    answer = send(venue, "GET", "order/realtime", f"category=linear&orderLinkId={link_id}").json()
    assert answer["retCode"] == 0
    return bool(answer["result"]["list"])


def test_headers_and_envelope(venue: Running) -> None:
    reply = create(venue, "plain")
    assert reply.status_code == 200 and reply.headers["Content-Type"] == "application/json"
    assert {"X-Bapi-Limit", "X-Bapi-Limit-Status", "X-Bapi-Limit-Reset-Timestamp"} <= set(reply.headers)
    assert reply.json()["retCode"] == 0 and known(venue, "plain")


@pytest.mark.parametrize(("kind", "link_id"), [("trade.accept_then_drop", "drop-1"), ("trade.ack_drop", "drop-2")])
def test_a_lost_answer_leaves_the_outcome_unknown(venue: Running, kind: str, link_id: str) -> None:
    """The connection is cut without a byte of an answer, and the order is there."""
    venue.fault(kind, op="order.create")
    with pytest.raises(requests.ConnectionError):
        create(venue, link_id)
    assert known(venue, link_id)


def test_a_lost_request(venue: Running) -> None:
    venue.fault("trade.ack_drop", op="order.create", executed=False)
    with pytest.raises(requests.ConnectionError):
        create(venue, "lost")
    assert not known(venue, "lost")
    assert create(venue, "lost").json()["retCode"] == 0, "the same id again"


@pytest.mark.parametrize(("kind", "values", "status", "text", "executed"), [
    ("rest.403", {}, 403, "too frequent", False), ("rest.5xx", {"status": 503}, 503, "", False),
    ("rest.5xx", {"executed": True}, 502, "", True), ("rest.html", {}, 200, "<html>", False),
])
def test_broken_answers(venue: Running, kind: str, values: dict[str, Any], status: int, text: str, executed: bool) -> None:
    link_id = f"{kind.replace('.', '-')}-{int(executed)}"
    venue.fault(kind, op="order.create", **values)
    reply = create(venue, link_id)
    assert reply.status_code == status and text in reply.text
    assert known(venue, link_id) is executed


def test_faults_strike_public_paths_too(venue: Running) -> None:
    url = f"{venue.addresses['rest']}/v5/market/tickers?category=linear&symbol={BTC}"
    for kind, status in (("rest.5xx", 502), ("rest.html", 200), ("rest.403", 403)):
        venue.fault(kind, op="market.tickers", symbol=BTC)
        reply = requests.get(url, timeout=240)
        assert reply.status_code == status and not reply.text.startswith('{"retCode":0')
    venue.fault("trade.ack_drop", op="market.tickers")
    with pytest.raises(requests.ConnectionError):
        requests.get(url, timeout=240)
    venue.fault("trade.reject", op="market.tickers", code=10016)
    assert requests.get(url, timeout=240).json()["retCode"] == 10016
    assert requests.get(url, timeout=240).json()["retCode"] == 0


def test_keys_on_demand(venue: Running) -> None:
    """A client that must survive an expired or a bound key can be given one."""
    for kind, code in (("trade", 0), ("expired", 33004), ("bound_elsewhere", 10010), ("read_only", 0), ("withdraw", 0)):
        made = venue.post("key", {"kind": kind})
        answer = send(venue, "GET", "user/query-api", "", made).json()
        assert answer["retCode"] == code
        if code == 0:
            assert ("Withdraw" in answer["result"]["permissions"]["Wallet"]) is (kind == "withdraw")


def test_a_huge_body_is_not_read(venue: Running) -> None:
    url = f"{venue.addresses['rest']}/v5/order/create"
    assert requests.post(url, data=b" " * (5 << 20), timeout=240).status_code == 413
    assert known(venue, "no-such-order") is False, "and the venue lives"


# -- without a socket ----------------------------------------------------------------------------------------------------
@pytest.fixture
def http() -> FlaskClient:
    world = PrivateWorld(limits=RateLimits())
    feed = SyntheticFeed(world.market)
    return make_app(feed.answers(), {}, lambda function: function(), world.rest, lambda: world.now_ns).test_client()


def test_too_many_requests_of_an_address_ban_it_from_everything(http: FlaskClient) -> None:
    for _ in range(IP_LIMIT):
        assert http.get("/v5/market/time").status_code == 200
    banned = http.get("/v5/market/time")
    assert banned.status_code == 403 and banned.get_json()["retMsg"] == "access too frequent"
    assert http.get("/v5/account/info").status_code == 403
    assert http.get("/v5/market/time", environ_base={"REMOTE_ADDR": "10.0.0.9"}).status_code == 200


def test_paths_of_both_sides(http: FlaskClient) -> None:
    assert http.get("/v5/market/price-limit?category=linear&symbol=BTCUSDT").get_json()["retCode"] == 10017
    assert http.get("/v5/account/info").status_code == 401
    assert http.get("/v5/order/create").status_code == 404 and http.post("/v5/moon").get_json()["retCode"] == 10017
    assert http.get("/v5/market/time").get_json()["result"]["timeNano"].startswith("1786310")
