"""The private side on real sockets: addresses, refusals of connections, faults by the control endpoint, a restart."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from gateway.venue import server
from gateway.venue.errors import VenueError
from gateway.venue.fault_file import load_faults
from gateway.venue.synthetic_feed import SyntheticFeed
from tests.gateway.venue.private_talk import WAIT_S, Talk
from tests.gateway.venue.running import Running, new_exchange, served_venue

TOPICS = ["order", "execution", "position", "wallet"]


@pytest.fixture
def venue() -> Iterator[Running]:
    with served_venue(SyntheticFeed(new_exchange(3, seed=5)), accounts=1, seed=5) as running:
        yield running


def first(venue: Running) -> dict[str, Any]:
    found: dict[str, Any] = venue.venue.announced()["accounts"][0]
    return found


async def pair(venue: Running) -> tuple[Talk, Talk]:
    """A private and a trade connection of the account."""
    private = await Talk.open(venue.addresses["ws_private"], first(venue), TOPICS)
    return private, await Talk.open(venue.addresses["ws_trade"], first(venue))


def body(venue: Running, **more: Any) -> dict[str, Any]:
    """A buy order far below the market."""
    price = venue.run(lambda: venue.venue.private.link.market.book("BTCUSDT")[0][0, 0]) * 98 // 1000  # type: ignore[union-attr]
    return {"symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit", "qty": "0.01", "price": str(int(price)), **more}


async def works(venue: Running, private: Talk, trade: Talk) -> None:
    """An order is created, told and cancelled."""
    told = await trade.order("order.create", body(venue))
    assert told["retCode"] == 0, told
    order_id = told["data"]["orderId"]
    await private.topic("order", orderId=order_id, orderStatus="New")
    assert (await trade.order("order.cancel", {"symbol": "BTCUSDT", "orderId": order_id}))["retCode"] == 0
    await private.topic("order", orderId=order_id, orderStatus="Cancelled")


def test_faults_by_the_control_endpoint(venue: Running) -> None:
    async def scene() -> None:
        private, trade = await pair(venue)
        await works(venue, private, trade)
        fault = lambda kind, **more: asyncio.to_thread(venue.fault, kind, **more)  # noqa: E731

        await fault("trade.ack_drop", op="order.create")
        trade.post("order.create", body(venue, orderLinkId="lost"))
        await private.topic("order", orderLinkId="lost", orderStatus="New")
        await trade.quiet()
        assert not trade.frames
        await works(venue, private, trade)

        await fault("trade.accept_then_drop")
        trade.post("order.create", body(venue, orderLinkId="cut"))
        await trade.gone()
        await private.topic("order", orderLinkId="cut", orderStatus="New")
        trade = await Talk.open(venue.addresses["ws_trade"], first(venue))
        await works(venue, private, trade)

        await fault("ws.half_open", stream="trade")
        trade.send({"op": "ping"})
        await private.quiet()
        assert not trade.frames and not trade.closed
        await trade.close()
        trade = await Talk.open(venue.addresses["ws_trade"], first(venue))
        await works(venue, private, trade)

        await fault("ws.close", stream="private", code=1012)
        await private.gone()
        assert private.close_code == 1012
        private = await Talk.open(venue.addresses["ws_private"], first(venue), TOPICS)
        await works(venue, private, trade)

        await fault("ws.rst", stream="trade")
        await trade.gone()
        trade = await Talk.open(venue.addresses["ws_trade"], first(venue))
        await works(venue, private, trade)

        await fault("ws.stall_pong", stream="trade", count=2)
        assert await trade.pongs_to(3) == 1

        await fault("ws.refuse", stream="trade", count=1)
        with pytest.raises(Exception, match="503"):
            await Talk.open(venue.addresses["ws_trade"])
        await (await Talk.open(venue.addresses["ws_trade"], first(venue))).close()
        for talk in (private, trade):
            await talk.close()

    asyncio.run(scene())
    rules = venue.get("faults")
    assert {rule["kind"]: rule["hits"] for rule in rules} == {
        "trade.ack_drop": 1, "trade.accept_then_drop": 1, "ws.stall_pong": 2, "ws.refuse": 1}
    assert set(venue.get("knobs")) >= {"trade.ack_drop", "acct.liq", "venue.restart"}
    assert requests.post(f"{venue.addresses['control']}/venue/fault", json={"kind": "x"}, timeout=WAIT_S).status_code == 400


def test_a_restart_closes_everything_and_comes_back(venue: Running) -> None:
    async def scene() -> None:
        private, trade = await pair(venue)
        told = await trade.order("order.create", body(venue, orderLinkId="stays"))
        await asyncio.to_thread(venue.fault, "venue.restart", seconds=600)
        await private.gone()
        await trade.gone()
        market = f"{venue.addresses['rest']}/v5/market/time"
        reply = await asyncio.to_thread(requests.get, market, timeout=WAIT_S)
        assert reply.status_code == 502
        with pytest.raises(Exception, match=r"50[0-9]|refused|handshake"):
            await Talk.open(venue.addresses["ws_trade"], first(venue))
        await asyncio.to_thread(venue.post, "release", {})  # it ends by itself after `seconds`: test_faults, in virtual time
        private, trade = await pair(venue)
        assert (await asyncio.to_thread(requests.get, market, timeout=WAIT_S)).json()["retCode"] == 0
        told = await trade.order("order.cancel", {"symbol": "BTCUSDT", "orderId": told["data"]["orderId"]})
        assert told["retCode"] == 0, "orders survive a restart"
        await works(venue, private, trade)
        for talk in (private, trade):
            await talk.close()

    asyncio.run(scene())


def test_a_suspended_venue_stands_still_and_goes_on(venue: Running) -> None:
    async def scene() -> None:
        private, trade = await pair(venue)
        skipped = (await asyncio.to_thread(venue.get, "status"))["steps_skipped"]
        await asyncio.to_thread(venue.fault, "clock.suspend", seconds=0.5)
        await works(venue, private, trade)
        assert (await asyncio.to_thread(venue.get, "status"))["steps_skipped"] > skipped, "time has jumped"
        for talk in (private, trade):
            await talk.close()

    asyncio.run(scene())


def test_rules_can_be_released(venue: Running) -> None:
    venue.fault("trade.reject", code=10006, seconds=600)
    assert venue.post("release", {}) == {"ok": True, "disarmed": 1}

    async def scene() -> None:
        private, trade = await pair(venue)
        await works(venue, private, trade)
        for talk in (private, trade):
            await talk.close()

    asyncio.run(scene())


def test_too_many_new_connections_are_turned_away(venue: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "CONNECTIONS_PER_WINDOW", 2)

    async def scene() -> None:
        open_ones = [await Talk.open(venue.addresses["ws_private"]) for _ in range(2)]
        with pytest.raises(Exception, match="403"):
            await Talk.open(venue.addresses["ws_private"])
        for talk in open_ones:
            await talk.close()

    asyncio.run(scene())
    assert venue.get("status")["refused_connections"] == 1


def test_a_venue_without_accounts_has_no_private_side() -> None:
    with served_venue(SyntheticFeed(new_exchange(2, seed=5)), accounts=0) as running:
        assert set(running.addresses) == {"rest", "ws_public", "control"}

        async def scene() -> None:
            with pytest.raises(Exception, match="404"):
                await Talk.open(running.addresses["ws_public"].replace("/v5/public/linear", "/v5/private"))

        asyncio.run(scene())


def test_faults_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "faults.toml"
    file.write_text('[[fault]]\nat_s = 0.0\nkind = "trade.reject"\ncode = 10006\nop = "order.create"\n'
                    '[[fault]]\nkind = "acct.liq"\nsymbol = "BTCUSDT"\n')
    with served_venue(SyntheticFeed(new_exchange(3, seed=5)), accounts=1, seed=5, faults=load_faults(file)) as running:

        async def scene() -> None:
            private, trade = await pair(running)
            assert (await trade.order("order.create", body(running)))["retCode"] == 10006
            await works(running, private, trade)
            for talk in (private, trade):
                await talk.close()

        asyncio.run(scene())
        noted = [(row["kind"], row["details"].get("refused", "")) for row in running.get("truth")]
        assert noted == [("trade.reject", ""), ("acct.liq", "the account has no such position")]


@pytest.mark.parametrize(("text", "cause"), [
    ("[[fault]\n", "TOML"), ("x = 1\n", "nothing else"), ('[[fault]]\nat_s = -1\nkind = "feed.drop"\n', "at_s"),
    ('[[fault]]\nat_s = "soon"\nkind = "feed.drop"\n', "at_s"), ('fault = "all"\n', "nothing else"),
])
def test_bad_fault_files_are_refused(tmp_path: Path, text: str, cause: str) -> None:
    file = tmp_path / "faults.toml"
    file.write_text(text)
    with pytest.raises(VenueError, match=cause):
        load_faults(file)
    with pytest.raises(VenueError, match="cannot read"):
        load_faults(tmp_path / "absent.toml")


def test_a_fault_file_with_an_unknown_kind_is_refused_at_the_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from gateway.venue.__main__ import main

    file = tmp_path / "faults.json"
    file.write_text(json.dumps({"fault": [{"kind": "feed.drop"}, {"kind": "earthquake"}]}))
    assert main(["--symbols", "2", "--fault", str(file)]) == 2
    assert "fault 2" in capsys.readouterr().err
