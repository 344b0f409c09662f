"""Our clock beside the exchange's, measured on the served exchange; and what the doctor says of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from config.schema import Clock
from gateway.rest import RestError
from gateway.venue.synthetic_feed import SyntheticFeed
from tests.gateway.venue.running import Running, new_exchange, served_venue
from workers.doctor import check_exchange_clock
from workers.exchange_clock import clock_trouble, read_clock

WIDE = Clock(max_offset_ms=500.0, max_round_trip_ms=20_000.0)  # the machine of the test may be slow, its clock is one


@pytest.fixture(scope="module")
def venue() -> Iterator[Running]:
    with served_venue(SyntheticFeed(new_exchange(1, seed=3)), accounts=1) as running:
        yield running


def test_the_offset_and_the_round_trip_are_measured(venue: Running) -> None:
    rest = venue.addresses["rest"]
    near = read_clock(rest)
    assert near.round_trip_ms > 0 and abs(near.offset_ms) <= near.round_trip_ms / 2 + 50
    venue.fault("clock.step", ms=-2_000)
    try:
        far = read_clock(rest)
        assert abs(far.offset_ms + 2_000) <= far.round_trip_ms / 2 + 50
        found, trouble = clock_trouble(rest, WIDE)
        assert "off, allowed 500 ms" in trouble and "exchange -" in found
    finally:
        venue.fault("clock.step", ms=2_000)
    assert clock_trouble(rest, WIDE)[1] == ""


def test_a_slow_answer_is_too_much(venue: Running) -> None:
    found, trouble = clock_trouble(venue.addresses["rest"], Clock(max_round_trip_ms=0.001))
    assert "ms to answer, allowed 0.001 ms" in trouble and "answered in" in found


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(RestError):
        read_clock("http://127.0.0.1:9")
    (row,) = check_exchange_clock(tmp_path, (), "http://127.0.0.1:9")
    assert row.level == "fail" and "could not be asked" in row.finding and "NTP" in row.fix


def test_the_doctor(venue: Running, tmp_path: Path) -> None:
    config = tmp_path / "wide.toml"
    config.write_text("[safety.clock]\nmax_round_trip_ms = 20000.0\n")
    (row,) = check_exchange_clock(tmp_path, (config,), venue.addresses["rest"])
    assert row.level == "ok" and row.name == "exchange clock" and venue.addresses["rest"] in row.finding
    venue.fault("clock.step", ms=700)
    try:
        (row,) = check_exchange_clock(tmp_path, (config,), venue.addresses["rest"])
        assert row.level == "fail" and "allowed 500 ms" in row.finding
    finally:
        venue.fault("clock.step", ms=-700)
    assert check_exchange_clock(tmp_path, ()) == [], "nothing runs, none was named: nobody is asked"
    (wrong,) = check_exchange_clock(tmp_path, (), "nonsense")
    assert wrong.level == "fail" and "nonsense" in wrong.finding
