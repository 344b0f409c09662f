"""The owner's trading routes against a real execution: shapes, refusals, limits, audit; nothing gets past the gate."""

from __future__ import annotations

import decimal
import json
import time
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest

from admin.api.trade import ticks_of
from admin.commands import CommandClient, NoAnswer
from admin.server import AdminServer
from admin.snapshot import SymbolInfo
from config.latch_file import read_latch
from core.enums import CommandKind, ControlBits, OrderRole, ReportKind
from core.orders.command_words import read_answers
from core.records import ANSWER
from shm.spsc import W_HEAD
from tests.admin.conftest import Browser
from tests.admin.engine_part import EnginePart
from tests.admin.trading_part import PATIENCE_NS, TradingPart, no_hurry, wait_for_answers

BTC = {"symbol": "BTCUSDT", "direction": "LONG", "entry": 101234.5, "tp": 101900, "sl": "100900.0", "confidence": 0.8,
       "entryZone": {"min": 101200, "ideal": 101234.5, "max": 101300}}


@pytest.fixture(autouse=True)
def _no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    no_hurry(monkeypatch)


@pytest.fixture
def trading(engine: EnginePart, monkeypatch: pytest.MonkeyPatch) -> Iterator[TradingPart]:
    wait_for_answers(monkeypatch)
    part = TradingPart(engine)
    part.start()
    yield part
    part.stop()


def wait(condition, seconds: float = 240.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen"
        time.sleep(0.002)


def test_orders_and_their_latency(browser: Browser, trading: TradingPart) -> None:
    assert browser.get("/api/latency").json["result"]["orders"] == 0
    trading.fills = False
    assert browser.post("/api/execute-trade", BTC).status_code == 200
    far = {"symbol": "ETHUSDT", "direction": "LONG", "entry": 3800, "sl": 3790, "tp": 3900}
    assert browser.post("/api/execute-trade", far).status_code == 200
    browser.post("/api/pause", {"on": True})
    browser.post("/api/execute-trade", {"symbol": "SOLUSDT", "direction": "SHORT", "sl": 300})
    wait(lambda: browser.get("/api/orders/recent").json["count"] == 3)
    working = browser.get("/api/orders/active").json["result"]["list"]
    assert [row["symbol"] for row in working] == ["ETHUSDT", "BTCUSDT"]
    wait(lambda: {row["state"] for row in browser.get("/api/orders/active").json["result"]["list"]} == {"LIVE"})
    refused = browser.get("/api/orders/recent?state=rejected").json["orders"]
    assert [(row["symbol"], row["gate"], row["by"]) for row in refused] == [("SOLUSDT", "PAUSED", "person")]
    assert refused[0]["reason"] == "entries are paused by a person"
    trading.fills = True
    browser.post("/api/positions/ETHUSDT/close")
    wait(lambda: browser.get("/api/orders/active").json["result"]["count"] == 1)
    (ended,) = browser.get("/api/orders/recent?symbol=ETHUSDT").json["orders"]
    assert (ended["state"], ended["filled_qty"], ended["average"]) == ("CANCELLED", 0.0, None)
    page = browser.get("/api/orders/recent?limit=2").json["result"]
    assert page["count"] == 2 and page["nextPageCursor"]
    rest = browser.get(f"/api/orders/recent?limit=2&cursor={page['nextPageCursor']}").json["result"]
    assert rest["count"] == 1 and rest["nextPageCursor"] == ""
    for bad in ("cursor=x", "state=x", "limit=0"):
        assert browser.get(f"/api/orders/recent?{bad}").status_code == 400
    told = browser.get("/api/latency").json["result"]
    stages = {row["stage"]: row for row in told["stages"]}
    assert told["orders"] == 3 and stages["taken_to_gated"]["n"] == 3 and stages["taken_to_durable"]["n"] == 3
    assert stages["wire_to_ack"] == stages["wire_to_ack"] | {"n": 0, "p50_us": None}  # nothing went over a socket
    assert told["slowest_by"] == "taken_to_durable" and len(told["slowest"]) == 3


def test_stop_and_target_are_moved_within_the_rules(browser: Browser, trading: TradingPart) -> None:
    assert browser.post("/api/execute-trade", BTC).status_code == 200
    wait(lambda: browser.get("/api/positions").json["count"] == 1)
    path = "/api/positions/BTCUSDT/protect"
    nearer = browser.post(path, {"sl": 101000, "tp": "101800"}).json
    assert nearer["ok"] and (nearer["sl"], nearer["tp"]) == ("101000", "101800")
    wait(lambda: browser.get("/api/positions").json["positions"][0]["stop_price"] == "101000")
    (told,) = trading.reports(ReportKind.PROTECTED)
    assert told.seq == 0 and told.stop_ticks == 101000
    farther = browser.post(path, {"tp": 150000}).json  # a person may: it costs no more than what stands behind the stop
    assert farther["ok"] and farther["tp"] == "150000"
    for change, words in (({"sl": 90000}, "so far away"), ({"sl": 200000}, "close at once"), ({"tp": 5}, "close at once"),
                          ({"sl": 101100, "positionId": "77"}, "another one")):
        refused = browser.post(path, change)
        assert refused.status_code == 409 and words in refused.json["error"], refused.text
    assert browser.post(path, {}).status_code == 400
    assert browser.post("/api/positions/ETHUSDT/protect", {"sl": 1}).status_code == 409


@pytest.mark.parametrize("rounding", [decimal.ROUND_UP, decimal.ROUND_DOWN, decimal.ROUND_HALF_EVEN])
def test_the_nearest_tick_does_not_depend_on_the_thread(rounding: str) -> None:
    """A library may change the decimal context of the thread that answers (seen: 101234.5 became 101235)."""
    info = SymbolInfo(1, "BTCUSDT", 0, 0, tick_mant=5, price_exp=1, lot_mant=1, qty_exp=3)
    with decimal.localcontext(decimal.Context(prec=5, rounding=rounding)):
        ticks = [ticks_of(info, price, "entry") for price in (101234.5, "101234.74", "101234.76", 101234.25, 101234.75)]
    assert ticks == [202469, 202469, 202470, 202468, 202470]


def audit(admin: AdminServer, event: str) -> list[dict]:
    lines = admin.paths.audit_file.read_text().splitlines()
    return [row for row in map(json.loads, lines) if row["evt"] == f"admin.{event}"]


def test_execute_trade_and_close(admin: AdminServer, browser: Browser, trading: TradingPart) -> None:
    answer = browser.post("/api/execute-trade", BTC)
    assert answer.status_code == 200, answer.text
    told = answer.json
    assert {"ok", "success", "orderId", "symbol", "side", "qty", "entry", "tp", "sl", "dryRun", "timestamp"} <= set(told)
    assert (told["ok"], told["success"], told["dryRun"]) == (True, True, False)
    assert (told["symbol"], told["side"], told["entry"], told["tp"], told["sl"]) == (
        "BTCUSDT", "Buy", "101234", "101900", "100900")  # on the grid of this test's instrument
    assert float(told["qty"]) > 0 and told["orderId"].startswith("s-") and abs(told["timestamp"] / 1e3 - time.time()) < 60
    wait(lambda: trading.reports(ReportKind.ACCEPTED))
    (accepted,) = trading.reports(ReportKind.ACCEPTED)
    assert accepted.seq == 0  # an unsolicited report: no shard asked
    wait(lambda: browser.get("/api/positions").json["count"] == 1)
    positions = browser.get("/api/positions/open").json
    assert set(positions) >= {"ok", "positions", "count", "timestamp"}
    (row,) = positions["positions"]
    assert (row["symbol"], row["stop_price"], row["target_price"]) == ("BTCUSDT", "100900", "101900")

    twice = browser.post("/api/execute-trade", BTC)
    assert twice.status_code == 409 and twice.json["ok"] is False and twice.json["success"] is False
    assert "cooldown active" in twice.json["error"]

    stale = browser.post("/api/positions/BTCUSDT/close", {"positionId": "999"})
    assert stale.status_code == 409 and "another one" in stale.json["error"]
    closed = browser.post("/api/positions/BTCUSDT/close", {"positionId": row["order_id"]}).json
    assert closed["ok"] and (closed["side"], closed["qty"]) == ("Sell", row["qty"])
    wait(lambda: trading.execution.broker.flat)
    (close,) = trading.reports(ReportKind.CLOSE)
    assert (close.seq, close.role) == (0, OrderRole.EXIT)
    gone = browser.post("/api/positions/BTCUSDT/close")
    assert gone.status_code == 409 and "no position" in gone.json["error"]
    assert [row["ok"] for row in audit(admin, "execute_trade")] == [True, False]
    assert [row["ok"] for row in audit(admin, "close")] == [False, True, False]


def test_existing_position_is_told(admin: AdminServer, browser: Browser, trading: TradingPart) -> None:
    assert browser.post("/api/execute-trade", BTC).status_code == 200
    wait(lambda: browser.get("/api/positions").json["count"] == 1)
    trading.execution.commands._entered_ns.clear()  # as after the cooldown
    refused = browser.post("/api/execute-trade", BTC | {"direction": "BUY"})
    assert refused.status_code == 409 and refused.json["retCode"] == 90002
    assert refused.json["existingPosition"]["symbol"] == "BTCUSDT"
    assert "position or a working order already" in refused.json["error"]


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"symbol": "NOPEUSDT"}, 404, "not listed"),
        ({"symbol": None}, 404, "not listed"),
        ({"direction": "UP"}, 400, "LONG or SHORT"),
        ({"direction": 1}, 400, "LONG or SHORT"),
        ({"sl": None}, 400, "without a stop"),
        ({"sl": "nan"}, 400, "no price"),
        ({"sl": True}, 400, "no price"),
        ({"entry": -1}, 400, "no price"),
        ({"entry": [1]}, 400, "no price"),
        ({"tp": 1e300}, 400, "no price"),
        ({"confidence": 101}, 400, "confidence"),
        ({"confidence": "high"}, 400, "confidence"),
        ({"entryZone": [1, 2]}, 400, "entryZone"),
        ({"entryZone": {"min": 5}}, 400, "min and max"),
        ({"entryZone": {"min": 9, "max": 5}}, 400, "over max"),
        ({"leverage": 100}, 400, "unknown: leverage"),
        ({"sl": 101500}, 409, "losing side"),
        ({"tp": 101000}, 409, "winning side"),
        ({"direction": "SHORT"}, 409, "losing side"),
        ({"entryZone": {"min": 1, "max": 2}}, 409, "outside the entry zone"),
    ],
)
def test_bad_trades(browser: Browser, trading: TradingPart, change: dict, status: int, words: str) -> None:
    answer = browser.post("/api/execute-trade", BTC | change)
    assert answer.status_code == status, answer.text
    assert answer.json["ok"] is False and words in answer.json["error"] and answer.json["retExtInfo"]["hint"]
    assert not trading.reports(ReportKind.ACCEPTED)


def test_gates_hold_for_a_person(browser: Browser, trading: TradingPart) -> None:
    assert browser.post("/api/pause", {"on": True}).json["result"]["paused"]
    refused = browser.post("/api/execute-trade", BTC)
    assert refused.status_code == 409 and refused.json["result"]["gate"] == "PAUSED"
    browser.post("/api/pause", {"on": False})
    names = ["ETHUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT"]
    prices = {"ETHUSDT": 3911.2, "SOLUSDT": 241.15, "XRPUSDT": 1.4321, "DOGEUSDT": 0.32101}
    codes = [browser.post("/api/execute-trade", {"symbol": name, "direction": "LONG", "sl": prices[name] * 0.99}).json
             for name in names]
    assert [row["ok"] for row in codes] == [True, True, True, False]
    assert codes[3]["result"] == {"gate": "MAX_POSITIONS", "value": 3.0, "limit": 3.0}


def test_max_attempts(browser: Browser, trading: TradingPart) -> None:
    browser.post("/api/pause", {"on": True})
    words = [browser.post("/api/execute-trade", BTC).json["error"] for _ in range(4)]
    assert ["max attempts" in text for text in words] == [False, False, False, True]


def test_dry_run(admin: AdminServer, browser: Browser, trading: TradingPart) -> None:
    assert browser.post("/api/mode", {"mode": "DRY_RUN", "from": "LIVE"}).status_code == 409
    assert browser.post("/api/mode", {"mode": "DRY_RUN", "from": "SIM"}).json["mode"] == "DRY_RUN"
    told = browser.post("/api/execute-trade", BTC).json
    assert (told["ok"], told["success"], told["dryRun"]) == (True, True, True)
    assert "not sent" in told["message"] and float(told["result"]["order"]["qty"]) > 0
    assert not trading.reports(ReportKind.ACCEPTED) and trading.execution.broker.flat
    wait(lambda: browser.get("/api/summary").json["result"]["account"]["mode"] == "DRY_RUN")
    restarted = trading.new_execution()  # kill -9 of execution: the mode in force stays
    assert restarted.broker.router.mode.name == "DRY_RUN"
    live = browser.post("/api/mode", {"mode": "LIVE"})
    assert live.status_code == 409 and live.json["retCode"] == 90001 and "never goes to" in live.json["error"]
    assert browser.post("/api/mode", {"mode": "turbo"}).status_code == 400
    assert [row["ok"] for row in audit(admin, "mode")] == [True, False]


def test_blacklist(admin: AdminServer, browser: Browser, trading: TradingPart) -> None:
    trading.fills = False
    assert browser.post("/api/execute-trade", BTC).status_code == 200
    told = browser.post("/api/blacklist-symbol", {"symbol": "BTCUSDT", "reason": "odd prints"}).json
    assert told["ok"] and told["blacklisted"] is True
    wait(lambda: trading.execution.broker.flat)  # the working entry was cancelled
    assert trading.reports(ReportKind.CANCEL)
    trading.execution.commands._entered_ns.clear()
    assert browser.post("/api/execute-trade", BTC).json["result"]["gate"] == "BLACKLIST"
    (row,) = browser.get("/api/blacklist").json["result"]["list"]
    assert (row["symbol"], row["by"], row["reason"]) == ("BTCUSDT", "person", "odd prints")
    restarted = trading.new_execution()
    assert "BTCUSDT" in restarted.broker.policy.blacklist
    assert browser.post("/api/blacklist-symbol", {"symbol": "BTCUSDT", "blacklisted": False}).json["ok"]
    assert browser.get("/api/blacklist").json["result"]["list"] == []
    assert browser.post("/api/blacklist-symbol", {"symbol": "BTCUSDT", "blacklisted": 1}).status_code == 400


def test_panic_close(admin: AdminServer, browser: Browser, trading: TradingPart) -> None:
    browser.post("/api/execute-trade", BTC)
    wait(lambda: browser.get("/api/positions").json["count"] == 1)
    told = browser.post("/api/panic-close", {}).json
    assert told["ok"] and told["success"] and told["flat"] is True
    assert told["result"]["positions"] == ["BTCUSDT"]
    assert trading.execution.broker.flat and admin.plant.control.bits() & ControlBits.KILL
    latch = read_latch(admin.paths.kill_file)
    assert latch is not None and latch["reason"] == "PANIC CLOSE ALL"
    refused = browser.post("/api/execute-trade", BTC | {"symbol": "ETHUSDT", "entry": None, "entryZone": None,
                                                        "tp": None, "sl": 3900})
    assert refused.json["result"]["gate"] == "KILLED"


def test_in_live_an_entry_needs_the_pin(admin: AdminServer, browser: Browser, trading: TradingPart) -> None:
    admin.plant.control.set("mode", 2)
    refused = browser.post("/api/execute-trade", BTC)
    assert refused.status_code == 403 and refused.json["retCode"] == 90003 and not trading.reports(ReportKind.ACCEPTED)
    assert audit(admin, "execute_trade_refused")


def test_a_dead_execution_is_said_and_nothing_happens_later(
    admin: AdminServer, browser: Browser, engine: EnginePart
) -> None:
    part = TradingPart(engine)  # not started: nobody takes commands
    client = CommandClient(admin.plant, answer_s=0.05)
    with pytest.raises(NoAnswer, match=r"0\.05 s"):
        client.ask(CommandKind.CLOSE, symbol=0)
    later = time.monotonic_ns() + PATIENCE_NS
    part.execution.clock = lambda: later
    part.turn()  # takes it now, and leaves it
    assert [row.text for row in read_answers(*answers_waiting(admin))] == ["asked too long ago"]
    part.execution.clock = time.monotonic_ns
    part.start()
    answer = CommandClient(admin.plant, answer_s=PATIENCE_NS / 1e9).ask(CommandKind.CLOSE, symbol=0)
    part.stop()
    assert not answer.ok and answer.text == "no position and no working order"


def test_an_answer_that_comes_during_the_last_pause_is_heard(
    admin: AdminServer, engine: EnginePart, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Carried out in time, while this process was held up: it was told that nothing would happen."""
    part = TradingPart(engine)
    now = [time.monotonic_ns()]
    part.execution.clock = lambda: now[0]

    def pause(seconds: float) -> None:
        part.turn()
        now[0] += PATIENCE_NS

    clock = SimpleNamespace(time_ns=time.time_ns, monotonic_ns=lambda: now[0], sleep=pause)
    monkeypatch.setattr("admin.commands.time", clock)
    answer = CommandClient(admin.plant).ask(CommandKind.CLOSE, symbol=0)
    assert answer.text == "no position and no working order"


def answers_waiting(admin: AdminServer) -> tuple[np.ndarray, int]:
    """The answers in the ring, which stay there: those of a request that nobody waits for any more."""
    ring = admin.plant.answers()
    rows = np.zeros(8, ANSWER.dtype)
    head = int(ring.words[W_HEAD])
    n = ring.reader().pop(rows)
    ring.words[W_HEAD] = head
    return rows, n


def test_rest_says_that_execution_is_silent(admin: AdminServer, browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CommandClient, "ask", lambda *_, **__: (_ for _ in ()).throw(NoAnswer("silent")))
    answer = browser.post("/api/execute-trade", BTC)
    assert answer.status_code == 503 and answer.json["retCode"] == 90006 and answer.json["error"] == "silent"
    assert audit(admin, "execute_trade")[0]["error"] == "silent"
