"""A connection that is gone before its owner has touched it is a lost one: pause, and the next try."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
import time
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from picows import WSListener, WSTransport, ws_connect, ws_create_server

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


def certificate(folder: Path) -> Path:
    """A certificate of our own for 127.0.0.1, with its key, in one file."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    today, day = datetime.now(UTC), timedelta(days=1)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), today - day, today + day)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    path = folder / "both.pem"
    path.write_bytes(made.public_bytes(pem) + key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return path


def test_a_real_socket_under_tls_is_tuned(tmp_path: Path):
    """As at the exchange: what counts as "no socket any more" must not be what every encrypted connection looks like."""
    both = certificate(tmp_path)
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.load_cert_chain(both)
    seen: list[tuple[bool, int, int]] = []

    class Client(WSListener):
        def on_ws_connected(self, transport: WSTransport) -> None:
            is_open = tuned(transport, 9_000)
            raw = transport.underlying_transport.get_extra_info("socket")
            seen.append((is_open, raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY),
                         raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)))

    async def life() -> None:
        server = await ws_create_server(lambda request: WSListener(), "127.0.0.1", 0, ssl=ours)
        port = server.sockets[0].getsockname()[1]
        trusted = ssl.create_default_context(cafile=str(both))
        transport, _ = await ws_connect(Client, f"wss://127.0.0.1:{port}/", ssl_context=trusted)
        transport.disconnect()
        await transport.wait_disconnected()
        server.close()
        await server.wait_closed()

    asyncio.run(life())
    assert [(is_open, bool(nodelay), wait) for is_open, nodelay, wait in seen] == [(True, True, 9_000)]
