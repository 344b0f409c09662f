"""Universe: answers of instruments-info to ids, categories, shards, and what a refresh changes."""

from __future__ import annotations

import gzip
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.schema import Fees, SymbolOverride, Symbols
from core.enums import Category
from gateway.bybit.universe import (
    FLAG_BLACKLISTED,
    FLAG_NEW_LISTING,
    Instrument,
    Selector,
    Universe,
    UniverseError,
    fnv1a64,
    load_instruments,
    paginate,
    parse_answer,
    parse_instrument,
    parse_turnover,
)
from tests.shared_data import recording


def item(name: str = "AUSDT", **changes: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "symbol": name, "contractType": "LinearPerpetual", "status": "Trading", "settleCoin": "USDT", "priceScale": "2",
        "fundingInterval": 240, "priceFilter": {"tickSize": "0.10"},
        "lotSizeFilter": {"qtyStep": "0.001", "minOrderQty": "0.001", "maxOrderQty": "1500.000",
                          "maxMktOrderQty": "150.000", "minNotionalValue": "5"},
        "leverageFilter": {"maxLeverage": "100.00"},
        "riskParameters": {"priceLimitRatioX": "0.01", "priceLimitRatioY": "0.02"},
    }  # fmt: skip
    return base | changes


def page(*items: dict[str, Any], cursor: str = "") -> dict[str, Any]:
    return {"retCode": 0, "retMsg": "OK", "result": {"list": list(items), "nextPageCursor": cursor}}


def instrument(name: str, trading: bool = True, tick: tuple[int, int] = (1, 2)) -> Instrument:
    return Instrument(name, trading, tick, (1, 3))


def universe(selector: Any = None, shards: int = 2, **symbols: Any) -> Universe:
    return Universe(Symbols(**symbols), Fees(), Selector.parse(selector), shards)


def test_parse_instrument_turns_sizes_into_lots_and_keeps_the_grid_as_integers() -> None:
    parsed = parse_instrument(item())
    assert parsed == Instrument(
        "AUSDT", True, (10, 2), (1, 3), 1, 1_500_000, 150_000, 500_000_000, 10_000, 1_000_000, 2_000_000, 240
    )


@pytest.mark.parametrize("changes", [
    {"contractType": "LinearFutures"}, {"settleCoin": "USDC"},
])  # fmt: skip
def test_other_contracts_are_not_ours(changes: dict[str, Any]) -> None:
    assert parse_instrument(item(**changes)) is None


@pytest.mark.parametrize("changes", [
    {"symbol": "XSS<>USDT"}, {"symbol": 7}, {"symbol": "A" * 25}, {"priceFilter": {"tickSize": "0"}},
    {"priceFilter": {"tickSize": "1e-5"}}, {"priceFilter": {}}, {"lotSizeFilter": None}, {"leverageFilter": "x"},
    {"priceFilter": {"tickSize": "-1"}}, {"priceFilter": {"tickSize": "NaN"}},
])  # fmt: skip
def test_a_malformed_instrument_is_refused_alone(changes: dict[str, Any]) -> None:
    with pytest.raises(UniverseError):
        parse_instrument(item(**changes))
    good, refused = parse_answer(page(item(**changes), item("BUSDT")))
    assert [i.name for i in good] == ["BUSDT"] and len(refused) == 1


@pytest.mark.parametrize("answer", [{}, {"retCode": 10006}, {"retCode": 0}, {"retCode": 0, "result": {"list": None}}])
def test_an_answer_that_is_none_is_refused(answer: dict[str, Any]) -> None:
    with pytest.raises(UniverseError):
        parse_answer(answer)


def test_pages_are_followed_by_the_exact_cursor_and_end_in_every_known_way() -> None:
    asked: list[str] = []

    def fetch(cursor: str, last: dict[str, Any]) -> dict[str, Any]:
        asked.append(cursor)
        pages = {"": page(item("A"), cursor="page_token%3D39380%26"), "page_token%3D39380%26": last}
        return pages.get(cursor, page())

    for last, pages in [
        (page(item("B")), 2),
        (page(item("B"), cursor="page_token%3D39380%26"), 2),  # the same cursor again
        (page(cursor="x"), 1),  # an empty list
        (page(item("B"), cursor="z"), 2),  # the page behind it is empty
    ]:
        asked.clear()
        assert len(paginate(lambda cursor, last=last: fetch(cursor, last))) == pages
        assert asked[:2] == ["", "page_token%3D39380%26"]


@pytest.mark.parametrize(("text", "expected"), [
    (None, Selector()), ("", Selector()), ("all", Selector()), ("12", Selector(count=12)), (3, Selector(count=3)),
    ("BTCUSDT, ETHUSDT", Selector(names=frozenset({"BTCUSDT", "ETHUSDT"}))),
    (["AUSDT"], Selector(names=frozenset({"AUSDT"}))),
])  # fmt: skip
def test_selector(text: Any, expected: Selector) -> None:
    assert Selector.parse(text) == expected


def test_start_gives_ids_by_name_categories_by_turnover_and_balanced_shards() -> None:
    subject = universe(prime=("BTCUSDT",), normal_count=2, overrides={"DUSDT": SymbolOverride(category="PRIME")})
    turnover = {"BTCUSDT": 10.0, "AUSDT": 5.0, "BUSDT": 9.0, "CUSDT": 7.0, "DUSDT": 1.0}
    names = ["DUSDT", "CUSDT", "BUSDT", "AUSDT", "BTCUSDT"]
    changes = subject.start([instrument(n) for n in names] + [instrument("XUSDT", trading=False)], turnover, 77)
    assert changes.listed == [0, 1, 2, 3, 4] and not changes.delisted
    assert [subject.name(i) for i in range(5)] == sorted(names)
    category = {subject.name(i): Category(int(subject.records["category"][i])) for i in range(5)}
    assert category == {
        "AUSDT": Category.WILD, "BTCUSDT": Category.PRIME, "BUSDT": Category.NORMAL, "CUSDT": Category.NORMAL,
        "DUSDT": Category.PRIME,
    }  # fmt: skip
    shard = {subject.name(i): int(subject.records["shard"][i]) for i in range(5)}
    assert [shard[n] for n in ("BTCUSDT", "BUSDT", "CUSDT", "AUSDT", "DUSDT")] == [0, 1, 0, 1, 0]
    assert subject.records["name_hash"][0] == np.uint64(fnv1a64(b"AUSDT"))
    assert subject.records["listed_ns"][0] == 77 and subject.records["taker_fee_e8"][0] == 55_000


def test_fnv1a64_reference_values() -> None:
    assert fnv1a64(b"") == 0xCBF29CE484222325
    assert fnv1a64(b"a") == 0xAF63DC4C8601EC8C
    assert fnv1a64(b"foobar") == 0x85944171F73967E8


def test_selection_by_count_and_by_list() -> None:
    instruments = [instrument(n) for n in ("AUSDT", "BTCUSDT", "ZUSDT")]
    turnover = {"ZUSDT": 5.0, "AUSDT": 1.0}
    counted = universe("2")
    counted.start(instruments, turnover, 0)
    assert sorted(counted.ids) == ["BTCUSDT", "ZUSDT"]
    listed = universe("AUSDT")
    listed.start(instruments, turnover, 0)
    assert sorted(listed.ids) == ["AUSDT"]
    with pytest.raises(UniverseError, match="NOPEUSDT"):
        universe("NOPEUSDT").start(instruments, turnover, 0)


def test_refresh_lists_delists_updates_and_relists() -> None:
    subject = universe(blacklist=("BUSDT",), overrides={"AUSDT": SymbolOverride(max_leverage=5.0)})
    subject.start([instrument("AUSDT"), instrument("BUSDT")], {}, 0)
    assert subject.records["flags"][1] == FLAG_BLACKLISTED and subject.records["max_leverage_e2"][0] == 500

    changes = subject.refresh([instrument("AUSDT"), instrument("BUSDT"), instrument("NEWUSDT")], 5)
    assert (changes.listed, changes.updated, changes.delisted) == ([2], [], [])
    assert subject.records["category"][2] == Category.WILD and subject.records["flags"][2] == FLAG_NEW_LISTING

    changes = subject.refresh([instrument("AUSDT", tick=(5, 2)), instrument("BUSDT", False), instrument("NEWUSDT")], 6)
    assert (changes.listed, changes.updated, changes.regridded, changes.delisted) == ([], [0], [0], [1])
    assert subject.records["tick_mant"][0] == 5 and not subject.is_trading(1)

    changes = subject.refresh([instrument("AUSDT", tick=(5, 2)), instrument("BUSDT")], 7)
    assert (changes.listed, changes.delisted) == ([1], [2]), "back under its old id; gone without a word is delisted"
    assert not subject.refresh([instrument("AUSDT", tick=(5, 2)), instrument("BUSDT")], 8)


def test_refresh_keeps_out_what_the_selection_left_out_but_takes_what_is_really_new() -> None:
    by_count = universe("1")
    by_count.start([instrument("AUSDT"), instrument("BTCUSDT")], {}, 0)
    changes = by_count.refresh([instrument("AUSDT"), instrument("BTCUSDT"), instrument("NEWUSDT")], 1)
    assert [by_count.name(i) for i in changes.listed] == ["NEWUSDT"]
    by_list = universe("BTCUSDT")
    by_list.start([instrument("BTCUSDT")], {}, 0)
    assert not by_list.refresh([instrument("BTCUSDT"), instrument("NEWUSDT")], 1)


def test_an_answer_without_most_of_our_symbols_is_no_delisting() -> None:
    subject = universe()
    subject.start([instrument(f"S{i}USDT") for i in range(10)], {}, 0)
    with pytest.raises(UniverseError):
        subject.refresh([instrument("S0USDT")], 1)
    with pytest.raises(UniverseError):
        subject.refresh([], 1)
    assert all(subject.is_trading(i) for i in range(10))


def test_the_limit_holds_also_for_new_listings() -> None:
    subject = universe(limit=2)
    subject.start([instrument("AUSDT"), instrument("BUSDT"), instrument("CUSDT")], {"CUSDT": 1.0}, 0)
    assert sorted(subject.ids) == ["AUSDT", "CUSDT"]
    assert not subject.refresh([instrument("AUSDT"), instrument("CUSDT"), instrument("NUSDT")], 1)


def test_a_restarted_gateway_keeps_ids_and_shards() -> None:
    first = universe(shards=3)
    first.start([instrument(n) for n in ("BUSDT", "CUSDT", "DUSDT")], {"DUSDT": 2.0}, 0)
    first.refresh([instrument(n) for n in ("AUSDT", "BUSDT", "CUSDT", "DUSDT")], 1)
    second = universe(shards=3)
    second.adopt(first.records[: first.count].copy())
    changes = second.start([instrument(n) for n in ("AUSDT", "BUSDT", "DUSDT", "EUSDT")], {}, 2)
    assert second.ids == {"BUSDT": 0, "CUSDT": 1, "DUSDT": 2, "AUSDT": 3, "EUSDT": 4}
    assert changes.listed == [0, 2, 3, 4] and not second.is_trading(1)
    assert second.records["shard"][:4].tolist() == first.records["shard"][:4].tolist()


def test_the_recorded_answer() -> None:
    instruments = load_instruments(gzip.decompress(recording(
        "bybit_v5_instruments_info_linear_20260809.json.gz").read_bytes()))  # fmt: skip
    assert len(instruments) == 692
    btc = next(i for i in instruments if i.name == "BTCUSDT")
    assert (btc.tick, btc.lot, btc.max_qty_lots, btc.max_market_lots) == ((10, 2), (1, 3), 1_500_000, 150_000)
    subject = universe(shards=4)
    subject.start(instruments, {}, 0)
    assert np.bincount(subject.records["shard"][: subject.count]).tolist() == [173] * 4


def test_turnover_of_a_tickers_answer() -> None:
    answer = page({"symbol": "AUSDT", "turnover24h": "12.5"}, {"symbol": "BUSDT", "turnover24h": ""}, {"symbol": 3})
    assert parse_turnover(answer) == {"AUSDT": 12.5}


@given(
    st.lists(st.sets(st.sampled_from([f"S{i}" for i in range(12)])), min_size=1, max_size=8),
    st.integers(1, 4),
)
def test_ids_never_move_and_active_symbols_are_those_of_the_last_answer(answers: list[set[str]], shards: int) -> None:
    subject = universe(shards=shards, limit=12)
    start = answers[0] or {"S0"}
    subject.start([instrument(n) for n in start], {}, 0)
    ids: dict[str, int] = dict(subject.ids)
    for answer in answers[1:]:
        try:
            subject.refresh([instrument(n) for n in answer], 1)
        except UniverseError:
            continue
        assert {n for n, i in subject.ids.items() if subject.is_trading(i)} == answer
        assert all(subject.ids[name] == number for name, number in ids.items())
        ids = dict(subject.ids)
        assert subject.records["id"][: subject.count].tolist() == list(range(subject.count))


def test_tiers_go_into_the_records_and_stay_over_a_refresh() -> None:
    here = universe(shards=1)
    instruments = [instrument("AUSDT"), instrument("BUSDT")]
    here.start(instruments, {}, 1)
    assert here.take_tiers({"BUSDT": 500_000, "NOUSDT": 1}) == [1] and here.take_tiers({"BUSDT": 500_000}) == []
    here.refresh(instruments, 2)
    assert here.records["maintenance_e8"][:2].tolist() == [0, 500_000]
