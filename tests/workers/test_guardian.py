"""The guard on the embedded venue: entries cancelled, stops set, refusals answered by a close; nothing else touched."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from pybit.unified_trading import HTTP

from config.schema import Guardian as GuardianSettings
from core.enums import Severity
from gateway.bybit.sign import KeyProblem, credentials
from gateway.venue.synthetic_feed import SyntheticFeed
from shm.run_spec import RunSpec
from tests.gateway.venue.running import Running, new_exchange, served_venue
from workers.guardian import Guard, guardian_keys
from workers.guardian_door import Door, Unreachable

LINEAR = {"category": "linear"}
SETTLE = {"category": "linear", "settleCoin": "USDT"}


@pytest.fixture(scope="module")
def venue() -> Iterator[Running]:
    with served_venue(SyntheticFeed(new_exchange(6, seed=21)), accounts=12) as running:
        yield running


class Account:
    """One account of the venue with a guard over it; `trader` is whoever else has the key."""

    def __init__(self, venue: Running, number: int) -> None:
        self.venue = venue
        account = venue.venue.accounts.announced()[number]
        self.uid = account["uid"]
        self.trader = HTTP(api_key=account["api_key"], api_secret=account["api_secret"])
        self.trader.endpoint = venue.addresses["rest"]
        self.door = Door(venue.addresses["rest"], credentials(account["api_key"], account["api_secret"]), timeout_s=60.0)
        self.told: list[tuple[Severity, str, str]] = []
        self.distress: list[str] = []
        self.guard = Guard(self.door, GuardianSettings(), lambda *what: self.told.append(what), self.distress.append)

    def buy(self, symbol: str, qty: str, side: str = "Buy", **more: Any) -> None:
        answer = self.trader.place_order(**LINEAR, symbol=symbol, side=side, orderType="Market", qty=qty, **more)
        assert answer["retCode"] == 0

    def rest(self, symbol: str, factor: float, **more: Any) -> None:
        """A limit buy far below the market."""
        last = float(self.trader.get_tickers(**LINEAR, symbol=symbol)["result"]["list"][0]["lastPrice"])
        self.trader.place_order(**LINEAR, symbol=symbol, side="Buy", orderType="Limit", qty="0.01",
                                price=str(round(last * factor)), **more)

    def positions(self) -> dict[str, dict[str, str]]:
        rows = self.trader.get_positions(**SETTLE)["result"]["list"]
        return {row["symbol"]: row for row in rows if float(row["size"])}

    def orders(self) -> list[dict[str, str]]:
        return self.trader.get_open_orders(**SETTLE)["result"]["list"]


_numbers = iter(range(12))


@pytest.fixture
def account(venue: Running) -> Iterator[Account]:
    made = Account(venue, next(_numbers))
    yield made
    made.door.close()
    venue.post("release", {})


def test_entries_go_and_stops_stay(account: Account) -> None:
    account.buy("BTCUSDT", "0.01")
    mark = float(account.positions()["BTCUSDT"]["markPrice"])
    account.trader.set_trading_stop(**LINEAR, symbol="BTCUSDT", stopLoss=str(round(mark * 0.98)), tpslMode="Full",
                                    positionIdx=0)
    account.rest("BTCUSDT", 0.9)
    account.rest("ETHUSDT", 0.9)
    account.guard.work(close_all=False)
    account.guard.work(close_all=False)
    assert account.guard.protected == 2
    assert float(account.positions()["BTCUSDT"]["stopLoss"]) == round(mark * 0.98)
    assert [row["stopOrderType"] for row in account.orders()] == ["StopLoss"]


@pytest.mark.parametrize(("side", "sign"), [("Buy", 1), ("Sell", -1)])
def test_a_naked_position_gets_a_stop(account: Account, side: str, sign: int) -> None:
    account.buy("ETHUSDT", "0.2", side)
    account.guard.work(close_all=False)
    row = account.positions()["ETHUSDT"]
    distance = sign * (float(row["markPrice"]) - float(row["stopLoss"])) / float(row["markPrice"])
    assert 0.008 < distance < 0.012, row
    assert [(severity, symbol) for severity, symbol, _ in account.told if symbol] == [(Severity.CRITICAL, "ETHUSDT")]
    account.guard.work(close_all=False)
    account.guard.work(close_all=False)
    assert account.guard.protected == 2 and account.distress == []


def test_refused_twice_means_closed(account: Account, venue: Running) -> None:
    account.buy("BTCUSDT", "0.01")
    account.buy("ETHUSDT", "0.2", "Sell")
    venue.fault("trade.reject", op="position.trading-stop", uid=account.uid, symbol="BTCUSDT", code=10001, count=2)
    account.guard.work(close_all=False)
    assert set(account.positions()) == {"BTCUSDT", "ETHUSDT"}
    account.guard.work(close_all=False)
    assert set(account.positions()) == {"ETHUSDT"}
    assert account.positions()["ETHUSDT"]["stopLoss"] != ""
    assert len(account.distress) == 1 and "BTCUSDT takes no stop" in account.distress[0]


def test_one_refusal_is_tried_again_farther_away(account: Account, venue: Running) -> None:
    account.buy("BTCUSDT", "0.01")
    venue.fault("trade.reject", op="position.trading-stop", uid=account.uid, code=10001, count=1)
    account.guard.work(close_all=False)
    account.guard.work(close_all=False)
    row = account.positions()["BTCUSDT"]
    assert 0.018 < 1 - float(row["stopLoss"]) / float(row["markPrice"]) < 0.022
    assert account.distress == []


def test_under_a_kill_everything_is_closed(account: Account) -> None:
    account.buy("BTCUSDT", "0.01")
    account.buy("ETHUSDT", "0.2", "Sell")
    account.rest("BTCUSDT", 0.9)
    account.guard.work(close_all=True)
    account.guard.work(close_all=True)
    account.guard.work(close_all=True)
    assert account.positions() == {} and account.orders() == [] and account.guard.protected >= 1


def test_lost_answers_and_a_wrong_clock_are_survived(account: Account, venue: Running) -> None:
    account.buy("BTCUSDT", "0.01")
    venue.fault("rest.5xx", op="position.list", uid=account.uid, count=1)
    with pytest.raises(Unreachable):
        account.guard.work(close_all=False)
    assert account.guard.protected == 0
    account.door._clock.take(time.time_ns() - 60 * 10**9, 0, 1)  # a minute behind: every signature is refused
    account.guard.work(close_all=False)
    assert account.positions()["BTCUSDT"]["stopLoss"] != ""


def test_many_positions_over_several_pages(account: Account, venue: Running) -> None:
    symbols = sorted(account.trader.get_tickers(**LINEAR)["result"]["list"], key=lambda row: row["symbol"])
    for row in symbols:
        lot = float(account.trader.get_instruments_info(**LINEAR, symbol=row["symbol"])["result"]["list"][0]
                    ["lotSizeFilter"]["qtyStep"])
        qty = max(round(30 / float(row["lastPrice"]) / lot), 1) * lot
        account.buy(row["symbol"], f"{qty:.6f}".rstrip("0").rstrip("."))
    venue.fault("rest.page", op="position.list", uid=account.uid, rows=2, count=50)
    account.guard.work(close_all=False)
    venue.post("release", {})
    positions = account.positions()
    assert len(positions) == len(symbols) == 6 and all(float(row["stopLoss"]) > 0 for row in positions.values())


def test_keys() -> None:
    spec = RunSpec(run_id="keys", mode="LIVE", venue_name="mainnet")
    embedded = RunSpec(run_id="keys", mode="LIVE", venue={"rest": "", "ws_public": "", "api_key": "e" * 18, "api_secret": "s"})
    common = {"BYBIT_API_KEY": "k" * 18, "BYBIT_API_SECRET": "s" * 36}
    own = {"SCALPER_GUARDIAN_KEY": "g" * 18, "SCALPER_GUARDIAN_SECRET": "s" * 36}
    for wanted, mine, run, environ in (("g", True, spec, common | own), ("k", False, spec, common), ("e", False, embedded, {}),
                                       ("g", True, embedded, own)):
        found, is_own = guardian_keys(run, environ)
        assert (found.api_key[0], is_own) == (wanted, mine)
    with pytest.raises(KeyProblem, match="BYBIT_API_KEY"):
        guardian_keys(spec, {})
