"""Generated frames: whatever the scanner accepts, the msgspec path decodes to the same cells; the naive twin agrees.

Frames are built as JSON text by hand, so that key order, white space, escapes, number forms, duplicates and extra keys
are all free; then bytes are cut, flipped, doubled or spliced.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.bybit.decode import Outcome
from tests.gateway.bybit.decode_helpers import STEPS, Rig

RIG = Rig()
QUICK = settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
THOROUGH = settings(max_examples=6000, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)

digits = st.text("0123456789", min_size=1, max_size=14)
odd_numbers = st.sampled_from(["", "-1", "+1", "1e3", "NaN", "1_0", ".5", "5.", "1.2.3", " 1", "0x1", "١", "00", "0.0", "1" * 25])
plain_numbers = st.one_of(
    digits,
    st.builds("{}.{}".format, digits, digits),
    st.builds("{}.{}".format, st.integers(0, 99999), st.text("0123456789", min_size=1, max_size=4)),
)
on_grid = st.builds(
    lambda n, zeros: f"{n // 10000}.{n % 10000:04d}{zeros}",
    st.integers(0, 10**9).map(lambda n: n * 5000),
    st.sampled_from(["", "0", "000"]),
)
numbers = st.one_of(on_grid, on_grid, on_grid, plain_numbers, odd_numbers, st.builds("-{}".format, plain_numbers))
good_numbers = st.integers(1, 10**7).map(lambda n: f"{n * 5}")
times = st.integers(0, 2_000_000_000_000)
sequences = st.one_of(st.integers(0, 10**15), st.integers(0, 2**63 - 1))
names = st.sampled_from([*STEPS, "NOUSDT", "BTCUSD", "DOGEUSDT "])
junk = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(10**20), 10**20), st.floats(allow_nan=False), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
    max_leaves=5,
)


class Pairs(list):  # type: ignore[type-arg]
    """An object as (key, value) pairs: order and duplicates are kept."""


def render(draw: Any, value: Any, style: int) -> str:
    """JSON text of `value`. Style 0: as Bybit writes; 1: white space; 2: also escapes in strings and keys."""
    gap = draw(st.sampled_from(["", "", " ", "\n", "\t "])) if style else ""
    if isinstance(value, Pairs):
        inner = f",{gap}".join(f"{render(draw, k, style)}{gap}:{render(draw, v, style)}" for k, v in value)
        return f"{gap}{{{inner}}}{gap}"
    if isinstance(value, list):
        return f"{gap}[{gap}" + f"{gap},".join(render(draw, item, style) for item in value) + "]"
    if isinstance(value, str) and style == 2 and value:
        at = draw(st.integers(0, len(value) - 1))
        head, tail = json.dumps(value[:at])[1:-1], json.dumps(value[at + 1 :])[1:-1]
        return f'"{head}\\u{ord(value[at]) & 0xFFFF:04x}{tail}"' if ord(value[at]) < 0xD800 else json.dumps(value)
    return json.dumps(value, ensure_ascii=draw(st.booleans()))


@st.composite
def book_data(draw: Any, name: str, number: Any) -> Pairs:
    level = st.lists(number, min_size=2, max_size=2)
    sides = {key: draw(st.lists(level, max_size=6)) for key in "ba"}
    return Pairs([("s", name), ("b", sides["b"]), ("a", sides["a"]), ("u", draw(sequences)), ("seq", draw(sequences))])


@st.composite
def trade_item(draw: Any, name: str, number: Any, is_liquidation: bool) -> Pairs:
    item = [("T", draw(times)), ("s", name), ("S", draw(st.sampled_from(["Buy", "Sell"])))]
    item += [("v", draw(number)), ("p", draw(number))]
    if not is_liquidation:
        item += [("L", "PlusTick"), ("i", draw(st.uuids().map(str))), ("BT", draw(st.booleans()))]
        item += draw(st.sampled_from([[], [("RPI", True)], [("RPI", False), ("seq", draw(sequences))]]))
    return Pairs(item)


@st.composite
def candle(draw: Any, number: Any) -> Pairs:
    item = [("start", draw(times)), ("end", draw(times)), ("interval", "5")]
    item += [(key, draw(number)) for key in ("open", "close", "high", "low", "volume", "turnover")]
    return Pairs([*item, ("confirm", draw(st.booleans())), ("timestamp", draw(times))])


@st.composite
def ticker(draw: Any, name: str, number: Any) -> Pairs:
    keys = ["tickDirection", "price24hPcnt", "lastPrice", "prevPrice24h", "markPrice", "indexPrice", "openInterest"]
    keys += ["openInterestValue", "turnover24h", "volume24h", "nextFundingTime", "fundingRate"]
    keys += ["bid1Price", "bid1Size", "ask1Price", "ask1Size", "preOpenPrice", "singleOpenInterestValue"]
    chosen = draw(st.lists(st.sampled_from(keys), unique=True))
    value = st.one_of(number, number, st.just(""))
    return Pairs([("symbol", name), *((key, draw(value)) for key in chosen)])


@st.composite
def frames(draw: Any, number: Any = numbers, tidy: bool = False) -> tuple[Pairs, int]:
    """A frame as nested Pairs, and a rendering style."""
    name = draw(st.sampled_from(list(STEPS)) if tidy else names)
    family = draw(st.sampled_from(["orderbook", "publicTrade", "tickers", "kline", "allLiquidation"]))
    topic, data = f"{family}.{name}", Pairs()
    if family == "orderbook":
        topic = f"orderbook.{draw(st.sampled_from([1, 50, 200, 1000]))}.{name}"
        data = draw(book_data(name, number))
    elif family == "tickers":
        data = draw(ticker(name, number))
    elif family == "kline":
        topic = f"kline.{draw(st.sampled_from(['1', '15', 'D', '720']))}.{name}"
        data = draw(st.lists(candle(number), min_size=1, max_size=3))
    else:
        data = draw(st.lists(trade_item(name, number, family == "allLiquidation"), min_size=1, max_size=4))
    pairs = [("topic", topic), ("type", draw(st.sampled_from(["snapshot", "delta"]))), ("ts", draw(times)), ("data", data)]
    if family == "orderbook" and draw(st.booleans()):
        pairs.append(("cts", draw(times)))
    if family == "tickers" and draw(st.booleans()):
        pairs.append(("cs", draw(sequences)))
    return Pairs(pairs), 0 if tidy else draw(st.sampled_from([0, 0, 1, 2]))


def _objects(value: Any) -> list[Pairs]:
    found = [value] if isinstance(value, Pairs) else []
    children = [v for _, v in value] if isinstance(value, Pairs) else value if isinstance(value, list) else []
    return found + [inner for child in children for inner in _objects(child)]


@st.composite
def disturbed(draw: Any) -> bytes:
    """A frame with other key order, extra, missing or replaced members."""
    frame, style = draw(frames())
    for pairs in _objects(frame):
        if draw(st.integers(0, 3)) == 0:
            pairs[:] = draw(st.permutations(pairs))
        change = draw(st.integers(0, 12))
        if change == 0:
            pairs.insert(draw(st.integers(0, len(pairs))), (draw(st.text(min_size=5, max_size=9)), draw(junk)))
        elif change == 1 and pairs:
            pairs.pop(draw(st.integers(0, len(pairs) - 1)))
        elif change == 2 and pairs:
            at = draw(st.integers(0, len(pairs) - 1))
            pairs[at] = (pairs[at][0], draw(junk))
    return render(draw, frame, style).encode("utf-8", "surrogatepass")


@st.composite
def mutated(draw: Any) -> bytes:
    """A tidy frame with a few bytes changed."""
    frame, style = draw(frames(good_numbers, tidy=True))
    raw = bytearray(render(draw, frame, style).encode())
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(raw) - 1))
        kind = draw(st.integers(0, 6))
        if kind == 0:
            raw[at] = draw(st.integers(0, 255))
        elif kind == 1:
            raw[at] = draw(st.sampled_from(list(b'{}[]",:.0123456789-\\ tfns')))
        elif kind == 2:
            del raw[at]
        elif kind == 3:
            raw.insert(at, draw(st.sampled_from(list(b'{}[]",:.0123456789-\\ eE'))))
        elif kind == 4:
            del raw[at:]
        elif kind == 5:
            length = draw(st.integers(1, 30))
            raw[at:at] = raw[at : at + length]
        else:
            length = draw(st.integers(1, 30))
            del raw[at : at + length]
        if not raw:
            break
    return bytes(raw)


@st.composite
def doubled(draw: Any) -> bytes:
    """Members given twice, both of a proper type: the last one counts."""
    frame, style = draw(frames(good_numbers, tidy=True))
    for pairs in _objects(frame):
        if draw(st.booleans()):
            key, value = pairs[draw(st.integers(0, len(pairs) - 1))]
            pairs.insert(draw(st.integers(0, len(pairs))), (key, value))
    return render(draw, frame, style).encode()


def check_tidy(case: tuple[Pairs, int]) -> None:
    decoded, scanned = RIG.all_three(_text(case).encode())
    assert decoded.kind is Outcome.DECODED or "positive" in decoded.detail or decoded.kind is Outcome.OFF_GRID, decoded
    has_long_integer = any(isinstance(v, int) and v >= 10**18 for pairs in _objects(case[0]) for _, v in pairs)
    assert scanned is (decoded.kind is Outcome.DECODED and not has_long_integer), (decoded, case)


def _text(case: tuple[Pairs, int]) -> str:
    def plain(value: Any) -> Any:
        if isinstance(value, Pairs):
            return {key: plain(inner) for key, inner in value}
        return [plain(inner) for inner in value] if isinstance(value, list) else value

    return json.dumps(plain(case[0]), separators=(",", ":"))


@QUICK
@given(frames(good_numbers, tidy=True))
def test_tidy_frames_are_scanned(case: tuple[Pairs, int]) -> None:
    check_tidy(case)


@QUICK
@given(disturbed())
def test_disturbed_frames(frame: bytes) -> None:
    RIG.all_three(frame)


@QUICK
@given(mutated())
def test_mutated_frames(frame: bytes) -> None:
    RIG.both(frame)


@QUICK
@given(doubled())
def test_doubled_members(frame: bytes) -> None:
    RIG.all_three(frame)


@QUICK
@given(st.binary(max_size=200))
def test_any_bytes(frame: bytes) -> None:
    RIG.both(frame)
    RIG.both(b'{"topic":"orderbook.50.BTCUSDT","type":"delta","data":' + frame + b"}")


@pytest.mark.slow
@THOROUGH
@given(st.one_of(disturbed(), mutated(), doubled()))
def test_thoroughly(frame: bytes) -> None:
    RIG.both(frame)


@pytest.mark.slow
@THOROUGH
@given(st.one_of(disturbed(), doubled()))
def test_thoroughly_against_the_twin(frame: bytes) -> None:
    RIG.all_three(frame)
