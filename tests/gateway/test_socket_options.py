"""A connection that is gone before its owner has touched it is a lost one: pause, and the next try."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from types import SimpleNamespace
from typing import Any

import pytest

from gateway import connection, signed_socket
from gateway.bybit.session import ConnectBudget, Session, SessionState, Timing
from gateway.bybit.sign import credentials
from gateway.connection import Connection
from gateway.signed_socket import SignedSocket
from gateway.socket_options import tuned
from gateway.venue_clock import VenueClock

TIMING = Timing(20_000_000_000, 10_000_000_000, 20_000_000, 200_000_000, 1_000_000_000)


ENDS = pytest.mark.parametrize("ended", ["picows knows", "the kernel knows", "TLS knows"])


def transport(ended: str) -> Any:
    """Of a connection that has ended, as far as somebody knows; "": of one that stands."""
    raw = socket.socket()
    if ended:
        raw.close()
    found = {} if ended == "TLS knows" else {"socket": raw}
    return SimpleNamespace(
        disconnect=lambda graceful: None, is_disconnected=ended == "picows knows", raw=raw,
        underlying_transport=SimpleNamespace(get_extra_info=found.get))


def connects_to(monkeypatch: pytest.MonkeyPatch, module: Any, made: Any) -> None:
    async def connect(*args: Any, **more: Any) -> tuple[Any, Any]:
        return made, None

    monkeypatch.setattr(module, "ws_connect", connect)


def test_an_open_socket_sends_at_once_and_gives_up_in_time():
    made = transport("")
    with made.raw as raw:
        assert tuned(made, 9_000)
        assert raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 9_000


@ENDS
def test_an_authenticated_socket_that_is_closed_at_once(monkeypatch: pytest.MonkeyPatch, ended: str):
    """It ended the link's thread with "bad file descriptor", and execution with it."""
    said: list[tuple[bool, str]] = []

    async def life() -> bool:
        made = SignedSocket(
            "ws://127.0.0.1:9", credentials("k" * 18, "s" * 36), VenueClock(), TIMING, ConnectBudget(5, time.monotonic_ns()),
            random.Random(1), lambda up, why: said.append((up, why)))
        return await made._one_life()

    connects_to(monkeypatch, signed_socket, transport(ended))
    assert asyncio.run(life()) is False
    assert said == [(False, "closed at once")]


@ENDS
def test_a_market_connection_that_is_closed_at_once(monkeypatch: pytest.MonkeyPatch, ended: str):
    """It stayed "connecting" for good: its topics were never heard again."""
    said: list[str] = []
    stage: Any = SimpleNamespace(pending=[])
    session = Session(0, TIMING, ConnectBudget(5, 0), random.Random(1))
    session.want(["tickers.XUSDT"])

    async def life() -> None:
        made = Connection(session, "ws://127.0.0.1:9", stage, 1000, lambda which, why: said.append(why))
        made.step()
        assert session.state == SessionState.CONNECTING and made._connecting is not None
        await made._connecting

    connects_to(monkeypatch, connection, transport(ended))
    asyncio.run(life())
    assert session.state == SessionState.WAITING, "the session makes a new one"
    assert said == ["closed at once"]
