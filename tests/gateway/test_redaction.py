"""Our key in the words of the exchange (10004 quotes it) reaches nothing that is logged, journalled or shown."""

from __future__ import annotations

import string
import time
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.orders.exchange_words import Ack, LinkState, Query, QueryKind, Stream
from gateway.bybit.private_codec import decode_trade
from gateway.bybit.rest_codec import envelope
from gateway.bybit.sign import Credentials, credentials
from gateway.signed_rest import SignedRest
from gateway.venue.synthetic_feed import SyntheticFeed
from gateway.venue_clock import VenueClock
from tests.gateway.link_tools import Linked, keys_of, linked
from tests.gateway.venue.running import Running, new_exchange, served_venue

LETTERS = string.ascii_letters + string.digits
KEYS = st.builds(  # no key of nothing but hex digits, as it could stand in an escape: \\u0000
    str.__add__, st.sampled_from("gGkKqQxXzZ"), st.text(LETTERS, min_size=11, max_size=39),
).filter(  # nor one whose last four characters, which are shown, could begin it anew together with what follows
    lambda key: not any(key.startswith(key[-n:]) for n in range(1, 5)))
TEXTS = st.text(max_size=60)


@given(KEYS, TEXTS, TEXTS, st.integers(1, 3))
def test_a_quoted_key_is_taken_out_and_nothing_else_is_touched(key: str, before: str, after: str, times: int):
    keys = credentials(key, "secret-of-nobody")
    text = before + after.join([key] * times)
    body = msgspec.json.encode({"retCode": 10004, "retMsg": text, "result": {}, "retExtInfo": {}, "time": 1})
    said = envelope(keys.redact(body))
    assert key not in said.text and said.code == 10004
    frame = msgspec.json.encode({"reqId": "1-1", "retCode": 10004, "retMsg": text, "op": "order.create", "data": {}})
    answer = decode_trade(keys.redact(frame))
    assert answer is not None and answer.req_id == "1-1" and key not in answer.text
    harmless = msgspec.json.encode({"retMsg": "" if key in before else before})
    assert keys.redact(harmless) == harmless


@pytest.fixture(scope="module")
def venue() -> Iterator[Running]:
    with served_venue(SyntheticFeed(new_exchange(3, seed=5)), accounts=1, seed=5) as running:
        yield running


def everything(link: Linked) -> str:
    """All the link has said, as it would be printed."""
    return repr(link.heard) + repr(list(link.link.notes)) + repr(list(link.link.sent))


def wrong(venue: Running) -> Credentials:
    """The right key with a secret that is not its own: the exchange answers 10004 and quotes the string it signed."""
    return credentials(keys_of(venue).api_key, "not-the-secret-of-this-key")


@pytest.mark.parametrize("trade", [True, False], ids=["trade WebSocket", "REST only"])
def test_refusals_of_orders_do_not_carry_the_key(venue: Running, trade: bool):
    key = keys_of(venue).api_key
    with linked(venue, trade=trade) as link:
        link.up(Stream.PRIVATE, Stream.REST, *((Stream.TRADE,) if trade else ()))
        venue.fault("trade.reject", op="order.create", code=10004, text=f"error sign! origin_string[1{key}5000]", count=1)
        ack = link.answer(link.entry(), Ack)
        assert ack.ret_code == 10004 and "origin_string" in ack.ret_msg
        assert key not in everything(link)


def test_a_refused_login_and_a_refused_question_do_not_carry_the_key(venue: Running):
    key = keys_of(venue).api_key
    with linked(venue, keys=wrong(venue)) as link:
        ack = link.answer(Query(link.next_id(), QueryKind.WALLET), Ack)
        assert ack.ret_code == 10004 and "origin_string" in ack.ret_msg
        link.wait(LinkState, lambda e: e.stream is Stream.PRIVATE and not e.up)
        assert key not in everything(link)


def test_the_guardians_and_the_permits_way_is_the_same(venue: Running):
    """Both use the REST client directly."""
    keys = wrong(venue)
    rest = SignedRest(venue.addresses["rest"], keys, VenueClock(), 5000, 5.0)
    answer = rest.call("GET", "/v5/user/query-api", b"", time.monotonic_ns() + 10**10)
    rest.close()
    assert b"origin_string" in answer.body and keys.api_key.encode() not in answer.body
