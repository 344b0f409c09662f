"""The news file: rules of an item, whole lines only, files that start over."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from config.news_file import NewsError, NewsItem, NewsTail, append_news, item_of

TYPES = ("HACK", "LISTING")


def test_what_is_appended_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "run" / "news.jsonl"
    tail = NewsTail(path)
    assert tail.lines() == []
    append_news(path, NewsItem("BTCUSDT", "HACK", 80.0, text="ключ"))
    append_news(path, NewsItem("ALL", "LISTING", time_ns=5))
    items = [item_of(line, TYPES) for line in tail.lines()]
    assert [(i.symbol, i.type, i.impact, i.text) for i in items] == [
        ("BTCUSDT", "HACK", 80.0, "ключ"), ("ALL", "LISTING", None, ""),
    ]  # fmt: skip
    assert items[0].time_ns > 0 and items[1].time_ns == 5
    assert tail.lines() == []


def test_half_a_line_waits_for_its_end(tmp_path: Path) -> None:
    path = tmp_path / "news.jsonl"
    tail = NewsTail(path)
    path.write_text('{"symbol": "A')
    assert tail.lines() == []
    path.write_text('{"symbol": "AUSDT", "type": "HACK"}\n\n{"symb')
    assert [item_of(line, TYPES).symbol for line in tail.lines()] == ["AUSDT"]
    path.write_text('{"symbol": "B"}\n')
    assert tail.lines() == ['{"symbol": "B"}'], "it started over"


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"symbol": "btc"}, "symbol"), ({"symbol": 3}, "symbol"), ({"type": "RUMOUR"}, "Types: HACK"),
        ({"impact": 101}, "impact"), ({"impact": True}, "impact"),
        ({"half_life_s": -1}, "half_life_s"), ({"ttl_s": "9"}, "ttl_s"),
        ({"text": "x" * 201}, "text"), ({"time_ns": 1.5}, "time_ns"), ({"price": 1}, "no news item"),
    ],
)  # fmt: skip
def test_rules(change: dict, word: str) -> None:
    with pytest.raises(NewsError, match=word):
        item_of(json.dumps({"symbol": "BTCUSDT", "type": "HACK"} | change), TYPES)


@pytest.mark.parametrize("line", ["", "nonsense", "[]", '{"impact": NaN, "symbol": "A", "type": "HACK"}', "{}"])
def test_no_line_raises_anything_else(line: str) -> None:
    with pytest.raises(NewsError):
        item_of(line, TYPES)
