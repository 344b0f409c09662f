"""No request can leave the guardian but three: by type, by value, by the bytes, and by what its modules import."""

from __future__ import annotations

import ast
import json
import random
import typing
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from core.orders import exchange_words as words
from core.orders.exchange_words import (
    Amend,
    Cancel,
    CancelEntries,
    Create,
    OrderType,
    Query,
    QueryKind,
    SetLeverage,
    TimeInForce,
    TpslMode,
    TradingStop,
    TriggerBy,
)
from gateway.bybit.sign import credentials
from gateway.bybit.wire_units import WireGrid
from gateway.signed_rest import RestAnswer, SignedRest
from workers import guardian_door
from workers.guardian_door import Door, Forbidden, Unreachable, check

GOOD = (
    CancelEntries(1), CancelEntries(1, "BTCUSDT"), TradingStop(1, "BTCUSDT", stop_ticks=5),
    Create(1, "guard-1", "BTCUSDT", -1, OrderType.MARKET, 0, tif=TimeInForce.IOC, reduce_only=True, close_on_trigger=True),
    Query(1, QueryKind.POSITIONS), Query(1, QueryKind.ORDER_REALTIME, cursor="x"), Query(1, QueryKind.INSTRUMENT, "BTCUSDT"),
)
CLOSE = GOOD[3]
STOP = GOOD[2]
BAD = (
    Amend(1, "BTCUSDT", "a", price_ticks=5), Cancel(1, "BTCUSDT", "a"), SetLeverage(1, "BTCUSDT", 500),
    TradingStop(1, "BTCUSDT"), TradingStop(1, "BTCUSDT", stop_ticks=0), TradingStop(1, "BTCUSDT", stop_ticks=-1),
    STOP._replace(target_ticks=9), STOP._replace(target_ticks=0), STOP._replace(trailing_ticks=3),
    STOP._replace(active_ticks=3), STOP._replace(mode=TpslMode.PARTIAL, size_lots=3),
    CLOSE._replace(reduce_only=False), CLOSE._replace(close_on_trigger=False), CLOSE._replace(qty_lots=1),
    CLOSE._replace(order_type=OrderType.LIMIT, price_ticks=5), CLOSE._replace(tif=TimeInForce.GTC),
    CLOSE._replace(stop_ticks=5), CLOSE._replace(target_ticks=5), CLOSE._replace(trigger_ticks=5),
    CLOSE._replace(link_id="s1-BTCUSDT-b"), CLOSE._replace(link_id=""), CLOSE._replace(slippage_e2pct=5),
    CLOSE._replace(price_ticks=7),
    *(Query(1, kind) for kind in QueryKind if kind not in guardian_door.LOOKUPS),
)


class Spy:
    """Takes what a Door would write to its socket."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[str, str, bytes]] = []
        monkeypatch.setattr(SignedRest, "call", self._call)
        self.door = Door("http://127.0.0.1:1", credentials("k" * 18, "s" * 36))
        self.door._clock.measured = True
        self.door._grids["BTCUSDT"] = WireGrid(1, 1, 1, 3)

    def _call(self, method: str, path: str, payload: bytes, not_after_ns: int, signed: bool = True) -> RestAnswer:
        self.calls.append((method, path, payload))
        return RestAnswer(200, b'{"retCode":0,"retMsg":"OK","result":{"list":[]},"time":1}')


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch) -> Spy:
    return Spy(monkeypatch)


def allowed(method: str, path: str, payload: bytes) -> bool:
    """The rule once more, on the bytes and by somebody who does not know the code above."""
    if method == "GET":
        query = parse_qs(payload.decode())
        return path in ("/v5/position/list", "/v5/order/realtime", "/v5/market/instruments-info", "/v5/market/time",
                        "/v5/user/query-api") and query.get("category", ["linear"]) == ["linear"]
    body = json.loads(payload)
    if method != "POST" or body.pop("category") != "linear":
        return False
    if path == "/v5/order/cancel-all":
        return body in ({"settleCoin": "USDT", "orderFilter": "Order"}, {"symbol": "BTCUSDT", "orderFilter": "Order"})
    if path == "/v5/position/trading-stop":
        return set(body) == {"symbol", "tpslMode", "positionIdx", "stopLoss", "slTriggerBy"} and float(body["stopLoss"]) > 0
    if path == "/v5/order/create":
        return set(body) == {"symbol", "side", "orderType", "qty", "timeInForce", "orderLinkId", "positionIdx", "reduceOnly",
                             "closeOnTrigger"} and float(body["qty"]) == 0 and body["orderType"] == "Market" and \
            body["reduceOnly"] is True and body["closeOnTrigger"] is True
    return False


def test_the_three_requests_and_lookups_leave(spy: Spy) -> None:
    for request in GOOD:
        spy.door._call(request)
    assert len(spy.calls) == len(GOOD) and all(allowed(*call) for call in spy.calls)


@pytest.mark.parametrize("request_", BAD, ids=lambda r: type(r).__name__)
def test_nothing_else_leaves(spy: Spy, request_: words.Request) -> None:
    for way in (spy.door.act, spy.door._call):
        with pytest.raises(Forbidden):
            way(request_)
    assert spy.calls == []


def test_every_kind_of_request_has_been_thought_of() -> None:
    kinds = set(typing.get_args(words.Request))
    assert kinds == {type(request) for request in (*GOOD, *BAD)}


def test_random_requests_never_get_anything_else_out(spy: Spy) -> None:
    r = random.Random(11)
    values: dict[str, typing.Callable[[], typing.Any]] = {
        "req_id": lambda: 1, "link_id": lambda: r.choice(("guard-1", "s1-BTCUSDT-b", "")), "symbol": lambda: "BTCUSDT",
        "side": lambda: r.choice((-1, 1)), "order_type": lambda: r.choice(list(OrderType)),
        "tif": lambda: r.choice((TimeInForce.IOC, TimeInForce.IOC, TimeInForce.GTC)), "mode": lambda: r.choice(list(TpslMode)),
        "reduce_only": lambda: r.random() < 0.9, "close_on_trigger": lambda: r.random() < 0.9,
        "what": lambda: r.choice(list(QueryKind)), "cursor": lambda: r.choice(("", "abc%3D")), "order_id": lambda: "",
        "leverage_e2": lambda: 500, "stop_trigger_by": lambda: TriggerBy.LAST, "target_trigger_by": lambda: TriggerBy.LAST,
        "trigger_by": lambda: TriggerBy.NONE, "position_idx": lambda: r.choice((0, 1, 2)),
    }
    sent = refused = 0
    for _ in range(6000):
        kind = r.choice(typing.get_args(words.Request))
        fields = {name: values[name]() if name in values else r.choice((0, 0, 0, 0, 0, 0, 1, -1, 7)) for name in kind._fields}
        try:
            spy.door.act(kind(**fields))
            sent += 1
        except (Forbidden, Unreachable):
            refused += 1
    assert sent > 300 and refused > 300
    assert len(spy.calls) > 300 and all(allowed(*call) for call in spy.calls)


def test_the_door_is_the_only_way_out() -> None:
    """The guardian's modules reach no socket but through the door, and nothing of the order path of execution."""
    folder = Path(guardian_door.__file__).parent
    library = {"gateway.bybit.sign", "gateway.bybit.wire_units", "gateway.bybit.order_codec", "gateway.bybit.rest_codec",
               "gateway.signed_rest", "gateway.venue_clock"}
    net = {"socket", "http", "http.client", "requests", "urllib", "urllib.request", "pybit", "picows", "asyncio", "ssl"}
    for name in ("guardian.py", "guardian_door.py"):
        found = {alias.name for node in ast.walk(ast.parse((folder / name).read_text())) if isinstance(node, ast.Import)
                 for alias in node.names}
        found |= {str(node.module) for node in ast.walk(ast.parse((folder / name).read_text()))
                  if isinstance(node, ast.ImportFrom)}
        assert not found & net, name
        assert {module for module in found if module.startswith("gateway")} <= library, name
        if name == "guardian.py":
            assert "gateway.signed_rest" not in found
        ours = {module for module in found if module.startswith(("core.orders", "workers"))}
        assert ours <= {"core.orders.exchange_words", "core.orders.guard_duty", "core.orders.budget", "workers.guardian_door",
                        "workers.run_settings", "workers.starting"}, (name, ours)


def test_check_is_asked_before_a_byte_is_made(monkeypatch: pytest.MonkeyPatch, spy: Spy) -> None:
    monkeypatch.setattr(guardian_door, "check", lambda request: (_ for _ in ()).throw(Forbidden("all")))
    for request in GOOD:
        with pytest.raises(Forbidden):
            spy.door._call(request)
    assert spy.calls == []
    assert check(GOOD[0]) is None
