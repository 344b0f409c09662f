"""The rule set of gateway/bybit/README.md, example by example; limits of the batch; nothing raises."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from core.jit import KERNELS
from gateway.bybit.decode import Outcome, decode_slow
from gateway.bybit.decode_kernels import (
    MESSAGE_CELLS_MAX,
    S_AT,
    S_MESSAGES,
    S_STOP,
    STATUS_WORDS,
    STOP_DONE,
    STOP_FULL,
    STOP_UNUSUAL,
    decode_batch,
)
from gateway.bybit.symbol_index import SymbolIndex
from tests.gateway.bybit.decode_helpers import CONN, MONO_NS, RECV_NS, Rig, stage_frames, symbol_record

BOOK = {
    "topic": "orderbook.50.BTCUSDT",
    "type": "delta",
    "ts": 1687940967466,
    "data": {"s": "BTCUSDT", "b": [["30247.20", "30.028"], ["30240.00", "0"]], "a": [["30248.70", "0"]], "u": 9, "seq": 6},
    "cts": 1687940967464,
}
TRADE = {"T": 1672304486865, "s": "BTCUSDT", "S": "Buy", "v": "0.001", "p": "16578.50", "L": "PlusTick", "BT": False}
TRADE |= {"i": "20f43950-d8dd-5b31-9112-a178eb6023af", "RPI": True, "seq": 1783284617}
TRADES = {"topic": "publicTrade.BTCUSDT", "type": "snapshot", "ts": 1672304486868, "data": [TRADE]}
LIQUIDATION = {"T": 1739502302929, "s": "BTCUSDT", "S": "Sell", "v": "20.000", "p": "44990.1"}
LIQUIDATIONS = {"topic": "allLiquidation.BTCUSDT", "type": "snapshot", "ts": 1739502303204, "data": [LIQUIDATION]}
CANDLE = {"start": 1672324800000, "end": 1672325099999, "interval": "5", "open": "16649.5", "close": "16677"}
CANDLE |= {"high": "16677", "low": "16608", "volume": "2.081", "turnover": "34666.40059", "confirm": False}
KLINE = {"topic": "kline.5.BTCUSDT", "data": [CANDLE | {"timestamp": 1672324988882}], "ts": 1672324988882}
KLINE |= {"type": "snapshot"}
TICKER = {"symbol": "BTCUSDT", "tickDirection": "PlusTick", "price24hPcnt": "-0.158315", "lastPrice": "66666.60"}
TICKER |= {"markPrice": "66666.6012345678901", "indexPrice": "115418.19", "openInterest": "492373.72999"}
TICKER |= {"turnover24h": "4936790807.6521", "volume24h": "73191.3870", "nextFundingTime": "1760342400000"}
TICKER |= {"fundingRate": "-0.005", "bid1Price": "66666.60", "bid1Size": "23789.165", "ask1Price": "", "preQty": ""}
TICKERS = {"topic": "tickers.BTCUSDT", "type": "snapshot", "data": TICKER, "cs": 9532239429, "ts": 1760325052630}
FAMILIES = {"book": BOOK, "trades": TRADES, "liquidations": LIQUIDATIONS, "kline": KLINE, "tickers": TICKERS}


@pytest.fixture(scope="module")
def rig() -> Rig:
    return Rig()


def wire(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def changed(frame: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A deep copy with `path` ("data.0.p") set; `...` removes it."""
    copy = json.loads(json.dumps(frame))
    *parents, last = path.split(".")
    node: Any = copy
    for key in parents:
        node = node[int(key)] if isinstance(node, list) else node[key]
    key = int(last) if isinstance(node, list) else last
    if value is ...:
        del node[key]
    else:
        node[key] = value
    return copy


@pytest.mark.parametrize("family", FAMILIES)
def test_usual_frames_are_scanned(rig: Rig, family: str) -> None:
    decoded, scanned = rig.all_three(wire(FAMILIES[family]))
    assert (decoded.kind, scanned) == (Outcome.DECODED, True)


REJECTED, OFF_GRID, DECODED = Outcome.REJECTED, Outcome.OFF_GRID, Outcome.DECODED
NUMBER_RULES = [
    ("30247.2", DECODED), ("30247.20000", DECODED), ("0030247.2", DECODED), ("30247", DECODED),
    ("30247.200000000000", DECODED), ("30247.2000000000000", REJECTED),
    ("30247.25", OFF_GRID), ("30247.200001", OFF_GRID), ("0.01", OFF_GRID),
    ("0", REJECTED), ("0.0", REJECTED), ("-1.0", REJECTED), ("+1.0", REJECTED), ("1e3", REJECTED), ("1E3", REJECTED),
    ("NaN", REJECTED), ("Infinity", REJECTED), ("1_000", REJECTED), (" 1", REJECTED), ("1 ", REJECTED), ("", REJECTED),
    (".5", REJECTED), ("5.", REJECTED), (".", REJECTED), ("1.2.3", REJECTED), ("0x10", REJECTED), ("1,5", REJECTED),
    ("١", REJECTED), ("1234567890123", REJECTED), ("123456789012.1", DECODED), ("9" * 300, REJECTED), ("1\n", REJECTED),
]  # fmt: skip


@pytest.mark.parametrize(("text", "kind"), NUMBER_RULES)
@pytest.mark.parametrize(
    ("family", "path"), [("book", "data.b.0.0"), ("trades", "data.0.p"), ("liquidations", "data.0.p"), ("kline", "data.0.low")]
)
def test_prices(rig: Rig, family: str, path: str, text: str, kind: Outcome) -> None:
    frame = changed(FAMILIES[family], path, text)
    decoded, _ = rig.all_three(wire(frame))
    assert decoded.kind is kind
    assert rig.all_three(json.dumps(frame, ensure_ascii=False).encode())[0].kind is kind


@pytest.mark.parametrize(
    ("text", "kind"),
    [("0.001", DECODED), ("1.5000", DECODED), ("0.0005", OFF_GRID), ("-0.001", REJECTED), ("0.0000000000001", REJECTED)],
)
@pytest.mark.parametrize(("family", "path"), [("book", "data.a.0.1"), ("trades", "data.0.v"), ("tickers", "data.bid1Size")])
def test_quantities(rig: Rig, family: str, path: str, text: str, kind: Outcome) -> None:
    assert rig.all_three(wire(changed(FAMILIES[family], path, text)))[0].kind is kind


@pytest.mark.parametrize("zero", ["0", "0.000", "000"])
def test_zero_quantity_deletes_a_level_but_trades_nothing(rig: Rig, zero: str) -> None:
    assert rig.all_three(wire(changed(BOOK, "data.b.0.1", zero)))[0].kind is DECODED
    assert rig.all_three(wire(changed(TRADES, "data.0.v", zero)))[0].kind is REJECTED
    assert rig.all_three(wire(changed(LIQUIDATIONS, "data.0.v", zero)))[0].kind is REJECTED


@pytest.mark.parametrize(
    ("path", "text", "kind"),
    [
        ("data.markPrice", "1.23456789012345678", DECODED),
        ("data.fundingRate", "-0.00000000009", DECODED),
        ("data.fundingRate", "--1", REJECTED),
        ("data.fundingRate", "-", REJECTED),
        ("data.markPrice", "-1", REJECTED),
        ("data.markPrice", "1e5", REJECTED),
        ("data.turnover24h", "999999999999999", REJECTED),
        ("data.turnover24h", "99999999999999.99999", DECODED),
        ("data.turnover24h", "1234567890123456", REJECTED),
        ("data.volume24h", "0.1234567890123456789", REJECTED),
        ("data.nextFundingTime", "0", DECODED),
        ("data.nextFundingTime", "9000000000001", REJECTED),
        ("data.nextFundingTime", "1760342400000.5", REJECTED),
        ("data.nextFundingTime", "12345.", REJECTED),
        ("data.nextFundingTime", "12.3", REJECTED),
        ("data.nextFundingTime", "00000000000001", REJECTED),
        ("data.lastPrice", "66666.65", OFF_GRID),
        ("data.lastPrice", None, REJECTED),
        ("data.lastPrice", 66666.6, REJECTED),
        ("data.tickDirection", 5, DECODED),
        ("data.symbol", "DOGEUSDT", REJECTED),
        ("data.symbol", ..., REJECTED),
        ("cs", ..., DECODED),
        ("cs", "1", REJECTED),
        ("type", ..., REJECTED),
        ("data.brandNew", "x", DECODED),
        ("data.brandNew", {"a": [1, None]}, DECODED),
    ],
)
def test_ticker_rules(rig: Rig, path: str, text: Any, kind: Outcome) -> None:
    assert rig.all_three(wire(changed(TICKERS, path, text)))[0].kind is kind


@pytest.mark.parametrize("text", ["", "0", "0.00"])
def test_ticker_price_of_nothing_is_absent(rig: Rig, text: str) -> None:
    decoded, cells, scanned = rig.both(wire(changed(TICKERS, "data.lastPrice", text)))
    assert decoded.kind is DECODED
    assert scanned
    assert not cells[1, 0] >> 1 & 1


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("value", [..., None, "x", 1.5, -1, True, {}, [], 2**63, 9_000_000_000_001, "1687940967466"])
def test_envelope_time(rig: Rig, family: str, value: Any) -> None:
    assert rig.all_three(wire(changed(FAMILIES[family], "ts", value)))[0].kind is REJECTED


@pytest.mark.parametrize("key", ["s", "b", "a", "u", "seq"])
@pytest.mark.parametrize("value", [..., None, 5.0, "", "5", [["1"]], [["1", "2", "3"]], [[1, 2]], {}, True, 2**63, -3])
def test_book_fields(rig: Rig, key: str, value: Any) -> None:
    decoded, _ = rig.all_three(wire(changed(BOOK, f"data.{key}", value)))
    assert decoded.kind is REJECTED
    assert decoded.symbol == 0


@pytest.mark.parametrize("key", ["T", "s", "S", "v", "p"])
@pytest.mark.parametrize("value", [..., None, 5.5, "", "buy", [], True])
@pytest.mark.parametrize("family", ["trades", "liquidations"])
def test_trade_fields(rig: Rig, family: str, key: str, value: Any) -> None:
    assert rig.all_three(wire(changed(FAMILIES[family], f"data.0.{key}", value)))[0].kind is REJECTED


@pytest.mark.parametrize("key", ["BT", "RPI", "seq", "L", "i"])
def test_trade_fields_that_may_be_missing(rig: Rig, key: str) -> None:
    decoded, scanned = rig.all_three(wire(changed(TRADES, f"data.0.{key}", ...)))
    assert (decoded.kind, scanned) == (DECODED, True)


@pytest.mark.parametrize("key", ["start", "open", "high", "low", "close", "volume", "turnover", "confirm"])
@pytest.mark.parametrize("value", [..., None, 5.5, "", "x", [], -1])
def test_candle_fields(rig: Rig, key: str, value: Any) -> None:
    assert rig.all_three(wire(changed(KLINE, f"data.0.{key}", value)))[0].kind is REJECTED


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("value", [..., None, [], {}, "x", 1, [[]], [{}], [None]])
def test_data_of_the_wrong_shape(rig: Rig, family: str, value: Any) -> None:
    assert rig.all_three(wire(changed(FAMILIES[family], "data", value)))[0].kind is REJECTED


@pytest.mark.parametrize(
    ("topic", "kind"),
    [
        ("orderbook.1.BTCUSDT", DECODED), ("orderbook.9999.BTCUSDT", DECODED), ("orderbook.10000.BTCUSDT", Outcome.UNKNOWN_TOPIC),
        ("orderbook.0.BTCUSDT", Outcome.UNKNOWN_TOPIC), ("orderbook.050.BTCUSDT", Outcome.UNKNOWN_TOPIC),
        ("orderbook.50.DOGEUSDT", REJECTED), ("orderbook.50.NOUSDT", Outcome.UNKNOWN_SYMBOL),
        ("orderbook.50.BTCUSDTX", Outcome.UNKNOWN_SYMBOL), ("orderbook.50.BTCUSD", Outcome.UNKNOWN_SYMBOL),
        ("orderbook.50.", Outcome.UNKNOWN_TOPIC), ("orderbook.50", Outcome.UNKNOWN_TOPIC), ("", Outcome.UNKNOWN_TOPIC),
        ("orderbook.rpi.BTCUSDT", Outcome.OTHER), ("orderbook.full.BTCUSDT", Outcome.OTHER), ("order", Outcome.OTHER),
        ("priceLimit.BTCUSDT", Outcome.OTHER), ("system.status", Outcome.OTHER), ("adlAlert.USDT", Outcome.OTHER),
        ("kline.7.BTCUSDT", Outcome.UNKNOWN_TOPIC), ("something.BTCUSDT", Outcome.UNKNOWN_TOPIC), (None, REJECTED), (5, REJECTED),
        ("orderbook.50." + "A" * 400, Outcome.UNKNOWN_SYMBOL), ("orderbook.50.БИТКОИН", Outcome.UNKNOWN_SYMBOL),
    ],
)  # fmt: skip
def test_topics(rig: Rig, topic: Any, kind: Outcome) -> None:
    assert rig.all_three(wire(changed(BOOK, "topic", topic)))[0].kind is kind


def test_topic_table_carries_depth_and_interval(rig: Rig) -> None:
    for depth in (1, 50, 200, 500, 1000):
        decoded, _ = rig.all_three(wire(changed(BOOK, "topic", f"orderbook.{depth}.BTCUSDT")))
        assert decoded.topic is not None
        assert decoded.topic.detail == depth
    for interval in ("1", "3", "5", "15", "30", "60", "120", "240", "360", "720", "D", "W", "M"):
        decoded, scanned = rig.all_three(wire(changed(KLINE, "topic", f"kline.{interval}.BTCUSDT")))
        assert (decoded.kind, scanned) == (DECODED, True)


ODD_JSON = [
    b"", b" ", b"{", b"}", b"{}", b"[]", b"null", b'"pong"', b"\x00", b"\xff\xfe", b'{"topic"', b'{"topic":}', b"{]}",
    b'{"topic":"orderbook.50.BTCUSDT","data":' + b"[" * 100_000, b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    b'{"op":"ping","x":NaN}', b'{"topic":"\\ud800"}', b'{"op":"x"}\x00', b'{"op":"x"} {"op":"y"}', b"\xef\xbb\xbf{}",
    b'{"op":"x","y":"\xff"}', b'{"topic":"orderbook.50.BTCUSDT","ts":' + b"9" * 5000 + b"}",
]  # fmt: skip


@pytest.mark.parametrize("frame", ODD_JSON, ids=lambda frame: repr(frame[:30]))
def test_broken_frames_are_refused_without_raising(rig: Rig, frame: bytes) -> None:
    assert rig.both(frame)[0].kind is REJECTED


@pytest.mark.parametrize("family", FAMILIES)
def test_truncated_anywhere(rig: Rig, family: str) -> None:
    frame = wire(FAMILIES[family])
    for end in range(len(frame)):
        assert rig.scan(frame[:end]) is None
        assert rig.slow(frame[:end])[0].kind is REJECTED


@pytest.mark.parametrize("family", FAMILIES)
def test_white_space_goes_to_the_msgspec_path(rig: Rig, family: str) -> None:
    decoded, cells, scanned = rig.both(json.dumps(FAMILIES[family], indent=1).encode())
    assert (decoded.kind, scanned) == (DECODED, False)
    compact, compact_cells, scanned = rig.both(wire(FAMILIES[family]) + b" \t\r\n")
    assert (compact.kind, scanned) == (DECODED, True)
    assert np.array_equal(cells, compact_cells)


def test_data_before_topic_and_asks_before_bids(rig: Rig) -> None:
    usual = rig.both(wire(BOOK))[1].copy()
    reordered = {key: BOOK[key] for key in ("cts", "data", "ts", "type", "topic")}
    assert np.array_equal(rig.both(wire(reordered))[1], usual)
    data = BOOK["data"]
    assert isinstance(data, dict)
    swapped = BOOK | {"data": {key: data[key] for key in ("seq", "a", "u", "b", "s")}}
    assert np.array_equal(rig.both(wire(swapped))[1], usual)


def test_the_last_of_two_equal_keys_counts(rig: Rig) -> None:
    usual = rig.both(wire(BOOK))[1].copy()
    doubled = wire(BOOK).replace(b'"ts":', b'"ts":1,"ts":').replace(b'"u":', b'"u":77,"u":').replace(b'"b":', b'"b":[],"b":')
    decoded, cells, scanned = rig.both(doubled)
    assert (decoded.kind, scanned) == (DECODED, False)
    assert np.array_equal(cells, usual)


def test_nested_cts_is_an_unknown_key(rig: Rig) -> None:
    frame = changed(changed(BOOK, "cts", ...), "data.cts", 5)
    decoded, cells, scanned = rig.both(wire(frame))
    assert (decoded.kind, scanned) == (DECODED, False)
    assert cells[0, 1] == 1687940967466 * 10**6


def test_exchange_time_is_cts_or_last_match_or_ts(rig: Rig) -> None:
    assert rig.both(wire(BOOK))[1][0, 1] == 1687940967464 * 10**6
    two = TRADES | {"data": [TRADE, TRADE | {"T": 1672304486867}]}
    assert rig.both(wire(two))[1][0, 1] == 1672304486867 * 10**6
    assert rig.both(wire(LIQUIDATIONS))[1][0, 1] == 1739502303204 * 10**6
    assert rig.both(wire(TICKERS))[1][0, 1] == 1760325052630 * 10**6


def test_one_bad_item_refuses_the_whole_frame(rig: Rig) -> None:
    frame = TRADES | {"data": [TRADE, TRADE, TRADE | {"p": "1.05"}]}
    decoded, cells, scanned = rig.both(wire(frame))
    assert (decoded.kind, scanned, len(cells)) == (OFF_GRID, False, 0)
    assert "grid" in decoded.detail


def test_control_frames(rig: Rig) -> None:
    pong = b'{"success":true,"ret_msg":"pong","conn_id":"c","req_id":"7","op":"ping"}'
    ack = b'{"success":true,"ret_msg":"","conn_id":"c","req_id":"s1","op":"subscribe"}'
    failure = b'{"success":false,"ret_msg":"error:handler not found,topic:x","conn_id":"c","op":"subscribe"}'
    trade = b'{"reqId":"r","retCode":10001,"retMsg":"bad","op":"order.create","data":{},"connId":"c"}'
    private_pong = b'{"req_id":"7","op":"pong","args":["1675418560633"],"conn_id":"c"}'
    verdicts = [rig.all_three(frame)[0] for frame in (pong, ack, failure, trade, private_pong)]
    assert [v.kind for v in verdicts] == [Outcome.OTHER] * 5
    controls = [v.control for v in verdicts]
    assert [c.is_pong for c in controls if c] == [True, False, False, False, True]
    assert [c.is_failure for c in controls if c] == [False, False, True, True, False]
    assert controls[1] is not None and controls[1].req_id == "s1"
    assert controls[3] is not None and controls[3].text == "bad"


def _many_levels(n: int) -> bytes:
    return wire(changed(BOOK, "data.b", [[f"{30000 + i}.0", "1"] for i in range(n)]))


def test_longest_message() -> None:
    rig = Rig(out_cells=3000)
    most = (MESSAGE_CELLS_MAX - 1) * 4 - 1  # one ask in the frame
    decoded, scanned = rig.all_three(_many_levels(most))
    assert (decoded.kind, decoded.n_cells, scanned) == (DECODED, MESSAGE_CELLS_MAX, True)
    decoded, cells, scanned = rig.both(_many_levels(most + 1))
    assert (decoded.kind, scanned, len(cells)) == (REJECTED, False, 0)
    assert "cells" in decoded.detail


@pytest.mark.parametrize("family", FAMILIES)
def test_a_frame_over_the_whole_buffer_is_refused(family: str) -> None:
    rig = Rig(out_cells=1)
    decoded, _, scanned = rig.both(wire(FAMILIES[family]))
    assert (decoded.kind, scanned) == (REJECTED, False)


def test_batch_stops_when_full_and_goes_on() -> None:
    rig = Rig(out_cells=8)
    frames = [_many_levels(n) for n in (3, 7, 11, 27, 28, 2)]  # 2, 3, 4, 8, 9 (too long for 8), 2 cells
    stage, rows = stage_frames(frames)
    status = np.zeros(STATUS_WORDS, np.int64)
    seen, at = [], 0
    while at < len(frames):
        with np.errstate(over="ignore"):  # NUMBA_DISABLE_JIT=1: words wrap on purpose
            at = decode_batch(stage, rows, at, len(frames), rig.index.table, rig.out, status)
        seen.append((at, int(status[S_STOP]), int(status[S_AT]), int(status[S_MESSAGES])))
        if status[S_STOP] == STOP_UNUSUAL:
            at += 1
        status[S_AT] = 0
    assert seen[:3] == [(2, STOP_FULL, 5, 2), (3, STOP_FULL, 4, 3), (4, STOP_FULL, 8, 4)]
    assert seen[3:] == [(4, STOP_UNUSUAL, 0, 4), (6, STOP_DONE, 2, 5)]


def test_slow_path_asks_for_room_before_it_refuses() -> None:
    rig = Rig(out_cells=8)
    frame = _many_levels(11)
    assert decode_slow(frame, rig.index, RECV_NS, MONO_NS, CONN, rig.out, 5).kind is Outcome.FULL
    assert decode_slow(frame, rig.index, RECV_NS, MONO_NS, CONN, rig.out, 4).kind is DECODED


def test_frames_outside_the_stage_are_not_read(rig: Rig) -> None:
    stage, rows = stage_frames([wire(BOOK)])
    status = np.zeros(STATUS_WORDS, np.int64)
    for offset, length in ((-1, 50), (0, 10**9), (10**12, 50), (0, 0), (0, -5), (40, int(rows[0, 1]))):
        rows[0, :2] = offset, length
        assert decode_batch(stage, rows, 0, 1, rig.index.table, rig.out, status) == 0
        assert status[S_STOP] == STOP_UNUSUAL


def test_symbols_come_and_go() -> None:
    rig = Rig({"BTCUSDT": ("0.1", "0.001"), "ETHUSDT": ("0.01", "0.01")})
    rig.index.remove(0)
    assert rig.both(wire(BOOK))[0].kind is Outcome.UNKNOWN_SYMBOL
    rig.index.remove(0)
    rig.index.add(symbol_record("BTCUSDT", 7, "0.01", "0.001"))
    _, cells, scanned = rig.both(wire(BOOK))
    assert scanned
    assert cells[1, 0] == 3024720
    rig.index.add(symbol_record("BTCUSDT", 7, "0.1", "0.001"))
    assert rig.both(wire(BOOK))[1][1, 0] == 302472
    assert len(rig.index) == 2
    assert rig.index.name_of(7) == "BTCUSDT"


def test_symbol_index_refuses_what_it_cannot_hold() -> None:
    index = SymbolIndex(4)
    index.add(symbol_record("BTCUSDT", 0, "0.1", "0.001"))
    for record in (symbol_record("BTCUSDT", 1, "0.1", "1"), symbol_record("", 1, "1", "1"), symbol_record("A", 4, "1", "1")):
        with pytest.raises(ValueError, match=r"already|no name|outside"):
            index.add(record)
    bad = symbol_record("A", 1, "1", "1")
    bad["tick_mant"] = 0
    with pytest.raises(ValueError, match="grid"):
        index.add(bad)


def test_many_symbols_with_long_names() -> None:
    rng = np.random.default_rng(5)
    names = {"".join(rng.choice(list("ABCXYZ0189-"), rng.integers(1, 25))) for _ in range(900)}
    rig = Rig(dict.fromkeys(sorted(names), ("0.1", "0.001")))
    for name in sorted(names):
        frame = changed(changed(BOOK, "topic", f"orderbook.50.{name}"), "data.s", name)
        decoded, _, scanned = rig.both(wire(frame))
        assert decoded.kind is DECODED
        assert decoded.symbol == rig.symbols[name].id
        assert scanned is (len(name) < 24)


def test_names_that_are_not_plain_ascii_take_the_slow_path() -> None:
    rig = Rig({"币安USDT": ("0.1", "0.001")})
    frame = changed(changed(BOOK, "topic", "orderbook.50.币安USDT"), "data.s", "币安USDT")
    decoded, scanned = rig.all_three(json.dumps(frame, ensure_ascii=False).encode())
    assert (decoded.kind, scanned) == (DECODED, False)


def test_one_compiled_signature_per_kernel(rig: Rig) -> None:
    for family in FAMILIES.values():
        rig.scan(wire(family))
    ours = [k for k in KERNELS if k.__module__.startswith(("gateway.bybit", "core.units")) and hasattr(k, "signatures")]
    assert all(len(k.signatures) <= 1 for k in ours)
