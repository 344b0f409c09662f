"""Topic names, both ways."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.bybit import topics
from gateway.bybit.topics import Topic, TopicKind, parse_topic


@pytest.mark.parametrize(
    ("text", "topic"),
    [
        (topics.orderbook(50, "BTCUSDT"), Topic(TopicKind.BOOK, "BTCUSDT", 50)),
        (topics.orderbook(1000, "1000PEPEUSDT"), Topic(TopicKind.BOOK, "1000PEPEUSDT", 1000)),
        (topics.public_trade("BTC-26DEC25"), Topic(TopicKind.TRADES, "BTC-26DEC25")),
        (topics.tickers("BTCUSDT"), Topic(TopicKind.TICKER, "BTCUSDT")),
        (topics.all_liquidation("BTCUSDT"), Topic(TopicKind.LIQUIDATION, "BTCUSDT")),
        (topics.kline("D", "BTCUSDT"), Topic(TopicKind.KLINE, "BTCUSDT", 1440)),
    ],
)
def test_names_and_their_meaning(text: str, topic: Topic) -> None:
    assert parse_topic(text) == topic


@pytest.mark.parametrize("text", ["orderbook.rpi.BTCUSDT", "insurance.USDT", "wallet", "execution.fast", "dcp.future"])
def test_known_but_unused(text: str) -> None:
    assert parse_topic(text).kind is TopicKind.IGNORED


@pytest.mark.parametrize(
    "text",
    ["", ".", "orderbook", "orderbook.50", "orderbook.50.", "orderbook.-1.X", "orderbook.50.X.Y", "tickers", "tickers."]
    + ["tickers.X.Y", "kline.X", "kline.2.X", "kline.1.", "liquidation.X", "Orderbook.50.X", "orderbook.50.X\n.", "٥"],
)
def test_unknown(text: str) -> None:
    assert parse_topic(text).kind is TopicKind.UNKNOWN


@given(st.text())
def test_any_text_has_a_verdict(text: str) -> None:
    parse_topic(text)
    parse_topic("orderbook." + text)


def test_depth_is_bounded_as_in_the_scanner() -> None:
    assert parse_topic(f"orderbook.{topics.DEPTH_MAX}.X").detail == topics.DEPTH_MAX
    assert parse_topic(f"orderbook.{topics.DEPTH_MAX + 1}.X").kind is TopicKind.UNKNOWN
