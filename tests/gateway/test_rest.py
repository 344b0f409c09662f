"""Public REST against a real socket: pages, exact cursors, and every way an answer can be none."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from gateway.rest import PublicRest, RestError
from tests.gateway.bybit.test_universe import item, page


class Exchange(HTTPServer):
    """Answers from a table: (status, body) by path and query; remembers what was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.asked: list[str] = []


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, Exchange)
        server.asked.append(self.path)
        status, body = server.answers.get(self.path, (404, b"nothing here"))
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        return


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    with Exchange() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


FIRST = "/v5/market/instruments-info?category=linear&limit=1000"


def rest(server: Exchange) -> PublicRest:
    return PublicRest(f"http://127.0.0.1:{server.server_address[1]}/", timeout_s=5.0)


def answer(value: Any) -> tuple[int, bytes]:
    return 200, json.dumps(value).encode()


def test_pages_are_asked_with_the_cursor_as_it_came(exchange: Exchange) -> None:
    cursor = "page_token%3D39380%26"
    exchange.answers = {
        FIRST: answer(page(item("AUSDT"), cursor=cursor)),
        f"{FIRST}&cursor={cursor}": answer(page(item("BUSDT"), item("B<D>"), cursor=cursor)),
    }
    client = rest(exchange)
    instruments, refused = client.instruments()
    assert [i.name for i in instruments] == ["AUSDT", "BUSDT"] and len(refused) == 1
    assert exchange.asked == [FIRST, f"{FIRST}&cursor={cursor}"] and (client.calls, client.errors) == (2, 0)


def test_turnover(exchange: Exchange) -> None:
    exchange.answers["/v5/market/tickers?category=linear"] = answer(page({"symbol": "AUSDT", "turnover24h": "7.5"}))
    assert rest(exchange).turnover() == {"AUSDT": 7.5}


@pytest.mark.parametrize("reply", [
    (403, b"access too frequent"), (500, b""), (200, b""), (200, b"<html>"), (200, b"[]"), (200, b"\xff"),
    (200, b'{"retCode":10006,"retMsg":"Too many visits"}'), (200, b'{"retCode":0,"result":{}}'), (404, b"{}"),
])  # fmt: skip
def test_what_is_no_answer_is_a_rest_error(exchange: Exchange, reply: tuple[int, bytes]) -> None:
    exchange.answers = {FIRST: reply, "/v5/market/tickers?category=linear": reply}
    client = rest(exchange)
    with pytest.raises(RestError):
        client.instruments()
    with pytest.raises(RestError):
        client.turnover()
    assert client.errors == 2


def test_nobody_there_is_a_rest_error(exchange: Exchange) -> None:
    with socket.socket() as deaf:  # bound, so that nobody else gets the port, and not listening
        deaf.bind(("127.0.0.1", 0))
        with pytest.raises(RestError, match="instruments-info"):
            PublicRest(f"http://127.0.0.1:{deaf.getsockname()[1]}", timeout_s=2.0).instruments()


RISK = "/v5/market/risk-limit?category=linear"


def tier(symbol: str, maintenance: str, initial: str, leverage: str, lowest: int = 1) -> dict[str, Any]:
    return {"id": 1, "symbol": symbol, "maintenanceMargin": maintenance, "initialMargin": initial, "maxLeverage": leverage,
            "isLowestRisk": lowest}  # fmt: skip


def test_tiers_page_by_page_in_percent_and_as_fractions(exchange: Exchange) -> None:
    cursor = "page_token%3D15%26"
    bad = [tier("CUSDT", "x", "1", "10"), tier("DUSDT", "1", "0", "10"), {"symbol": "EUSDT"}]
    exchange.answers = {
        RISK: answer(page(tier("AUSDT", "0.5", "1", "100.00"), tier("AUSDT", "1", "2", "50", 0), *bad, cursor=cursor)),
        f"{RISK}&cursor={cursor}": answer(page(tier("BUSDT", "0.02", "0.04", "25.00"), cursor="")),
    }
    client = rest(exchange)
    assert client.tiers("") == ({"AUSDT": 500_000}, cursor)
    assert client.tiers(cursor) == ({"BUSDT": 2_000_000}, "")
    with pytest.raises(RestError, match="404"):
        client.tiers("gone")
