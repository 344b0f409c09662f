"""Sentences of log records; hostile text stays text."""

from __future__ import annotations

import numpy as np
import pytest

from admin.describe import sentence
from admin.events import EventHistory, Names, in_order, tell
from admin.snapshot import SymbolInfo, fixed, symbol_info
from core.enums import (
    Cause,
    ControlBits,
    DataReason,
    DataState,
    FeedState,
    Gate,
    LogKind,
    NewsType,
    Pump,
    State,
    WallFate,
)
from core.records import LOG
from tests.admin.engine_part import symbol_record

BTC = SymbolInfo(0, "BTCUSDT", 0, 0, 5, 1, 1, 3)


def record(kind: int, text: bytes = b"", **fields: float) -> np.ndarray:
    row = np.zeros(1, LOG.dtype)[0]
    row["kind"], row["symbol"] = kind, 0
    for name, value in fields.items():
        row[name] = value
    row["text"][: len(text)] = np.frombuffer(text, np.uint8)
    return row


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (
            record(
                LogKind.STATE, a=State.FLAT, b=State.WATCHING_LONG, c=Cause.SCORE_OVER_WATCH, d=6120, e=1200, f=2001
            ),
            "flat → watching long · score over watch · L 61 S 12 @ 1000.5",
        ),
        (record(LogKind.RISK, a=Gate.MAX_POSITIONS), "refused: max positions"),
        (record(LogKind.PUMP, a=Pump.PREPUMP, b=Pump.PUMPING), "prepump → pumping"),
        (record(LogKind.DATA_STATE, a=DataState.BROKEN, b=DataReason.GAP, c=4), "book BROKEN · gap · gap 4"),
        (record(LogKind.FEED, b"ping", a=FeedState.DOWN, b=2), "feed DOWN · connection 2 · ping"),
        (record(LogKind.DEGRADED, a=1, b=412_000_000), "DEGRADED on · latency 412.0 ms"),
        (record(LogKind.CONTROL, a=ControlBits.PAUSE | ControlBits.KILL), "control PAUSE + KILL"),
        (record(LogKind.CONTROL), "control clear"),
        (record(LogKind.LOST, a=17), "reader overtaken: 17 messages lost"),
        (record(LogKind.FILL, b"BUY 0.001 @ 101234.5"), "BUY 0.001 @ 101234.5"),
        (record(LogKind.LISTING, b"BTCUSDT", a=1), "listed · BTCUSDT"),
        (
            record(LogKind.SIGNAL, a=1, b=2001, c=1990, d=2020, e=7150, f=1, x=1),
            "EXECUTING · long · score 72 @ 1000.5 · stop 995.0 · target 1010.0 · attempt 1",
        ),
        (record(LogKind.SIGNAL, a=-1, e=6600), "ENTRY READY · short · score 66"),
        (record(LogKind.NEWS, a=NewsType.HACK, b=1, x=80.0, y=300.0), "hack · impact 80 · half-life 300 s"),
        (
            record(LogKind.SPOOF, a=WallFate.SPOOFING, b=1, c=2001, d=9000, f=9000, x=12.44, y=3.21),
            "bid wall spoofing @ 1000.5 · 12.4× average · stood 3.2 s · 9.000 shown, 0.000 eaten, 9.000 cancelled",
        ),
        (
            record(LogKind.ORDER, a=9, b=-1, c=2001, d=25, e=2010, f=1990),
            "short 0.025 @ 1000.5 · stop 1005.0 · target 995.0 · #9",
        ),
        (record(LogKind.ORDER, b"DONE", a=9, b=1, d=25, e=Cause.EXPIRED), "#9 done · 0.025 unfilled · expired"),
        (record(LogKind.RISK, b"REFUSED MAX_POSITIONS", a=Gate.MAX_POSITIONS, b=1), "long refused: max positions"),
        (record(LogKind.FILL, a=9, b=-1, c=2001, d=25, e=2, f=1_375_000), "stop sell 0.025 @ 1000.5 · fee 0.0138 · #9"),
        (record(LogKind.POSITION, b=-1, c=-25, d=-2_501_250_000), "short 0.025 · value 25.01 USDT"),
        (record(LogKind.POSITION, e=-12_340_000, f=2_750_000), "closed · realised −0.1234 USDT · fees 0.0275"),
        (
            record(LogKind.PROTECT, a=1, b=1990, c=2002, d=Cause.BREAK_EVEN, e=2020, x=14.2, y=0.44),
            (
                "long stop 995.0 to 1001.0 at +14.2 bps (+0.44 R): the trade has paid for itself, so the stop covers entry "
                "and fees · next target 1010.0"
            ),
        ),
        (record(LogKind.SHED, a=2, b=1), "shard 1 sheds: level 2"),
        (record(LogKind.FEED, b"CONNECTED", a=FeedState.CONNECTED), "feed CONNECTED · connection 0"),
        (
            record(LogKind.STATE, b"0123456789abcdef", a=State.FLAT, b=State.COOLDOWN),
            "flat → cooldown · none · L 0 S 0",
        ),
        (record(999, a=-5, b=2**62), "999"),
        (record(LogKind.STATE, a=77, b=-1, c=500), "77 → -1 · 500 · L 0 S 0"),
    ],
)
def test_sentences(row: np.ndarray, expected: str) -> None:
    assert sentence(row, BTC) == expected


@pytest.mark.parametrize(
    "payload",
    [
        b"<script>alert(1)</script>",
        b'"><img src=x onerror=alert(1)>',
        b"{{7*7}}",
        b"\x00\x01\x1b[31m",
        b"\xff\xfe\xfd",
        "\u202eevil".encode(),
        b"a\nb\r\nc",
        b"A" * 40,
    ],
)
def test_text_from_the_wire_is_one_printable_line(payload: bytes) -> None:
    told = tell(1, record(LogKind.ERROR, payload), Names({0: BTC}, {}))["text"]
    assert told.isprintable() and "\n" not in told


def test_hostile_symbol_names_are_replaced_by_their_id() -> None:
    assert symbol_info(symbol_record(3, "BTCUSDT", 10.0, 1)[0]).name == "BTCUSDT"
    for name in ("<B>USDT", "btcusdt", "BTC\x07", "A", "ÄUSDT"[:5]):
        row = symbol_record(3, "X", 10.0, 1)[0]
        raw = name.encode()[:24]
        row["name"][: len(raw)] = np.frombuffer(raw, np.uint8)
        assert symbol_info(row).name == "ID3"


@pytest.mark.parametrize(
    ("mantissa", "exponent", "text"),
    [
        (0, 0, "0"),
        (0, 3, "0.000"),
        (5, 3, "0.005"),
        (-5, 3, "-0.005"),
        (123456, 2, "1234.56"),
        (7, 0, "7"),
        (9_007_199_254_740_993, 10, "900719.9254740993"),
    ],
)
def test_fixed_is_exact(mantissa: int, exponent: int, text: str) -> None:
    assert fixed(mantissa, exponent) == text


def test_history_is_a_ring_with_stable_ids() -> None:
    history = EventHistory(keep=10)
    names = Names({}, {})
    rows = np.zeros(25, LOG.dtype)
    rows["seq"] = np.arange(1, 26)
    rows["kind"] = LogKind.ORDER
    history.append(rows[:4])
    history.append(rows[4:])
    assert (history.newest, history.oldest) == (25, 16)
    events, skipped, newest = history.since(0, 100, names)
    assert [e["id"] for e in events] == [e["seq"] for e in events] == list(range(16, 26))
    assert (skipped, newest) == (15, 25)
    events, skipped, _ = history.since(20, 3, names)
    assert ([e["id"] for e in events], skipped) == ([23, 24, 25], 2)
    assert history.since(25, 100, names)[0] == []
    page, cursor = history.page(4, names)
    assert ([e["id"] for e in page], cursor) == ([25, 24, 23, 22], 22)
    assert [e["id"] for e in history.page(100, names, before=cursor)[0]] == [21, 20, 19, 18, 17, 16]


def test_lines_of_several_processes_become_one_story() -> None:
    """By time; within one time the decision, then what execution did, then the states that follow from it."""
    story = [
        (1, LogKind.STATE, State.WATCHING_LONG, State.ARMED_LONG),
        (2, LogKind.SIGNAL, 0, 0),
        (2, LogKind.STATE, State.ARMED_LONG, State.ORDER_PLACED),
        (2, LogKind.ORDER, 0, 0),
        (2, LogKind.FILL, 0, 0),
        (2, LogKind.POSITION, 0, 0),
        (2, LogKind.STATE, State.ORDER_PLACED, State.IN_POSITION),
        (2, LogKind.STATE, State.IN_POSITION, State.MANAGING),
        (3, LogKind.PUMP, 0, 1),
        (4, LogKind.STATE, State.COOLDOWN, State.FLAT),
    ]
    rows = np.zeros(len(story), LOG.dtype)
    for row, (ts, kind, before, after) in zip(rows, story, strict=True):
        row["ts_ns"], row["kind"], row["a"], row["b"] = ts, kind, before, after
    rows["seq"] = np.arange(len(rows))
    execution = np.isin(rows["kind"], (LogKind.ORDER, LogKind.FILL, LogKind.POSITION))
    for batches in ((rows[execution], rows[~execution]), (rows[~execution], rows[execution])):
        assert in_order(np.concatenate(batches))["seq"].tolist() == list(range(len(rows)))
    assert len(in_order(rows[:0])) == 0


def test_a_change_of_state_names_where_it_led() -> None:
    names = Names({0: BTC}, {})
    assert tell(1, record(LogKind.STATE, a=State.WATCHING_LONG, b=State.ARMED_LONG), names)["to"] == "ARMED_LONG"
    assert "to" not in tell(1, record(LogKind.PUMP, a=0, b=1), names)
