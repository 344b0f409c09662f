"""News items as frames: what they say, how they decode, and that shedding leaves them alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from config.news_file import NewsItem, append_news
from config.schema import News
from core.enums import EventKind, NewsType
from core.records import EVENT, NEWS, SYMBOL
from gateway.bybit.decode import Outcome, decode_slow
from gateway.bybit.symbol_index import SymbolIndex
from gateway.bybit.topics import TopicKind, parse_topic
from gateway.news import NEWS_TYPES, NewsFile, frames_of
from gateway.publisher import Publisher
from tests.core.engine.streams import symbol_record

S = 1_000_000_000
LISTED = ("BTCUSDT", "DOGEUSDT")


class Ring:
    def __init__(self) -> None:
        self.rows: list[np.ndarray] = []

    def publish(self, cells: np.ndarray, n_cells: int, n_messages: int) -> bool:
        self.rows.append(cells[:n_cells].copy())
        return True


def index() -> SymbolIndex:
    symbols = SymbolIndex(8)
    for k, name in enumerate(LISTED):
        symbols.add(symbol_record(k, name))
    return symbols


def decoded(frame: bytes) -> tuple[np.void, np.void]:
    out = np.zeros((8, 8), np.int64)
    verdict = decode_slow(frame, index(), 77 * S, 7, 0xFFFF, out, 0)
    assert verdict.kind is Outcome.DECODED and verdict.n_cells == 2, verdict
    return out[:1].view(EVENT.dtype)[0][0], out[1:2].view(NEWS.dtype)[0][0]


def test_an_item_becomes_an_event() -> None:
    item = NewsItem("DOGEUSDT", "HACK", 81.5, 30.0, 600.0, "Wallet emptied, chain halted für Stunden", 70 * S)
    (frame,) = frames_of(item, News(), LISTED, 77 * S)
    event, row = decoded(frame)
    assert (event["kind"], event["symbol"], event["ts_recv_ns"], event["u"]) == (EventKind.NEWS, 1, 77 * S, NewsType.HACK)
    assert (row["type"], row["impact_e2"], row["happened_ns"]) == (NewsType.HACK, 8_150, 70 * S)
    assert (row["half_life_ns"], row["ttl_ns"]) == (30 * S, 600 * S)
    assert bytes(row["text"]) == b"Wallet emptied, chain ha"


def test_what_is_missing_comes_from_the_settings_and_all_means_every_symbol() -> None:
    settings = News(impact=12.0, half_life_s=3.0, ttl_s=9.0)
    frames = frames_of(NewsItem("ALL", "MACRO"), settings, LISTED, 77 * S)
    rows = [decoded(frame) for frame in frames]
    assert [int(event["symbol"]) for event, _ in rows] == [0, 1]
    assert {(int(r["impact_e2"]), int(r["half_life_ns"]), int(r["ttl_ns"])) for _, r in rows} == {(1_200, 3 * S, 9 * S)}


def test_out_of_date_or_not_listed_gives_nothing() -> None:
    assert frames_of(NewsItem("XRPUSDT", "HACK"), News(), LISTED, S) == []
    old = NewsItem("BTCUSDT", "HACK", ttl_s=60.0, time_ns=10 * S)
    assert frames_of(old, News(), LISTED, 70 * S) == [] and frames_of(old, News(), LISTED, 69 * S)


def test_the_file_is_a_source(tmp_path: Path) -> None:
    path = tmp_path / "news.jsonl"
    source = NewsFile(path)
    for k in range(100):
        append_news(path, NewsItem("BTCUSDT", "OTHER", float(k)))
    with path.open("a") as handle:
        handle.write("nonsense\n")
    first, second = source.poll(), source.poll()
    assert [item.impact for item in first[0] + second[0]] == list(range(100)), "in order, some at a time"
    assert first[1] == [] and len(second[1]) == 1 and source.poll() == ([], [])


@pytest.mark.parametrize("change", [{"type": "RUMOUR"}, {"impact_e2": 10_001}, {"ttl_ns": -1}, {"half_life_ns": "x"}])
def test_a_malformed_frame_is_refused(change: dict) -> None:
    (frame,) = frames_of(NewsItem("BTCUSDT", "HACK"), News(), LISTED, S)
    found = json.loads(frame)
    found["data"] |= change
    verdict = decode_slow(json.dumps(found).encode(), index(), S, 0, 0, np.zeros((8, 8), np.int64), 0)
    assert verdict.kind is Outcome.REJECTED


def test_topic() -> None:
    assert parse_topic("scalper.news.BTCUSDT") == (TopicKind.NEWS, "BTCUSDT", 0)
    assert parse_topic("scalper.news.").kind is parse_topic("scalper.news.A.B").kind is TopicKind.UNKNOWN
    assert tuple(k.name for k in NewsType)[1:] == NEWS_TYPES


def test_shedding_leaves_news_alone() -> None:
    ring = Ring()
    publisher = Publisher([ring], 8, lambda seq: None, lambda: True)
    publisher.start(70 * S)
    record = symbol_record(1, "DOGEUSDT")
    assert record.dtype == SYMBOL.dtype
    publisher.listing(record)
    publisher.routes.shedding[1] = 1
    (frame,) = frames_of(NewsItem("DOGEUSDT", "HACK"), News(), LISTED, 77 * S)
    out = np.zeros((8, 8), np.int64)
    assert decode_slow(frame, index(), 70 * S + 1, 7, 0xFFFF, out, 0).n_cells == 2
    publisher.route(out, 2)
    publisher.publish()
    kinds = [int(cells[at, 6] >> 32 & 0xFF) for cells in ring.rows for at in range(len(cells))]
    assert EventKind.NEWS in kinds
