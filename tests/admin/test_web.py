"""REST contract: every route under every wrong and right combination of session, CSRF token, Origin, Host and body."""

from __future__ import annotations

import json
from collections.abc import Iterator

import msgspec
import pytest

from admin.server import AdminServer
from admin.web import MAX_BODY
from core.enums import LogKind
from tests.admin.conftest import Browser, admin_on, engine_on
from tests.admin.engine_part import TOKEN, EnginePart

READS = [
    "/api/health",
    "/api/summary",
    "/api/hotlist",
    "/api/symbol/BTCUSDT",
    "/api/explain/BTCUSDT",
    "/api/funnel",
    "/api/positions",
    "/api/positions/open",
    "/api/blacklist",
    "/api/checklist",
    "/api/orders/active",
    "/api/orders/recent",
    "/api/latency",
    "/api/trades/active",
    "/api/events/recent",
    "/api/storage/status",
    "/api/session",
    "/api/replay/status",
    "/api/sessions/current",
    "/api/comparisons",
]
HISTORY = [f"/api/{name}/history{kind}" for name in ("orders", "signals", "trades", "incidents", "audit", "backtests", "sessions")
           for kind in ("", ".csv", ".parquet")] + ["/api/performance", "/api/backtests/1", "/api/backtests/compare",
                                                    "/api/backtests/1/report", "/api/backtests/sources"]
"""Reads of the database: tests/admin/test_history.py."""
PAGES = ["/", "/symbol/BTCUSDT", "/explain/BTCUSDT", "/trades", "/orders", "/history"]
WRITES = {
    "/api/pause": {"on": True},
    "/api/news": {"symbol": "BTCUSDT", "type": "HACK"},
    "/api/admin/kill": {"reason": "test"},
    "/api/admin/kill/clear": {},
    "/api/execute-trade": {"symbol": "BTCUSDT", "direction": "LONG", "sl": 1},
    "/api/positions/BTCUSDT/close": {},
    "/api/positions/BTCUSDT/protect": {"sl": 1},
    "/api/panic-close": {},
    "/api/mode": {"mode": "DRY_RUN"},
    "/api/blacklist-symbol": {"symbol": "BTCUSDT"},
    "/api/ws-ticket": {},
    "/api/replay": {"action": "play"},
    "/api/sessions/start": {"session_type": "paper"},
    "/api/sessions/pause": {},
    "/api/sessions/resume": {},
    "/api/sessions/stop": {},
    "/api/logout": {},
}


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[AdminServer, Browser]]:
    """One server and one session for all requests that must be refused: none of them may change anything."""
    folder = tmp_path_factory.mktemp("refusing")
    with engine_on(folder), admin_on(folder) as admin:
        yield admin, Browser(admin)
        assert Browser(admin, login=False).get("/healthz").status_code == 200


def test_every_route_is_known_to_this_matrix(admin: AdminServer) -> None:
    """A new route must be put into one of the lists, so that it is tested for default deny."""
    rules = {rule.rule.replace("<symbol>", "BTCUSDT").replace("<wanted>", "BTCUSDT").replace("<int:number>", "1")
             for rule in admin.app.url_map.iter_rules()}
    assert rules == set(READS) | set(HISTORY) | set(WRITES) | {
        *PAGES,
        "/login",
        "/healthz",
        "/metrics",
        "/favicon.ico",
        "/api/login",
        "/static/<path:filename>",
    }


@pytest.mark.parametrize("path", READS)
def test_reads(admin: AdminServer, browser: Browser, path: str) -> None:
    stranger = Browser(admin, login=False)
    refused = stranger.get(path)
    assert refused.status_code == 401
    assert refused.json["retCode"] == 10003 and refused.json["retExtInfo"]["hint"]
    assert refused.json["result"] == {}
    answer = browser.get(path, Origin=None, X_CSRF_Token=None)
    assert answer.status_code == 200
    assert {"retCode", "retMsg", "result", "retExtInfo", "time"} <= set(answer.json)
    assert answer.json["retCode"] == 0 and answer.json["ok"] is True
    assert browser.post(path).status_code == 405
    assert browser.get(path, Host="evil.example").status_code == 400


@pytest.mark.parametrize("path", WRITES)
@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"X_CSRF_Token": None}, 403),
        ({"X_CSRF_Token": "0" * 64}, 403),
        ({"Origin": None}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:9"}, 403),
        ({"Origin": "https://127.0.0.1:8787"}, 403),
        ({"Host": "evil.example"}, 400),
        ({"Host": "127.0.0.1.evil.example:8787"}, 400),
    ],
)
def test_writes_refuse_forgeries(refusing: tuple[AdminServer, Browser], path: str, changes: dict, status: int) -> None:
    admin, browser = refusing
    answer = browser.post(path, WRITES[path], **changes)
    assert answer.status_code == status
    assert answer.json["error"] and answer.json["retExtInfo"]["hint"]
    assert int(admin.plant.control.bits()) == 0


@pytest.mark.parametrize("path", WRITES)
def test_writes_need_a_session_and_post(refusing: tuple[AdminServer, Browser], path: str) -> None:
    admin, browser = refusing
    stranger = Browser(admin, login=False)
    stranger.csrf = browser.csrf
    assert stranger.post(path, WRITES[path]).status_code == 401
    assert browser.get(path).status_code == 405
    assert int(admin.plant.control.bits()) == 0


def test_unknown_paths_are_denied_before_they_are_missing(admin: AdminServer, browser: Browser) -> None:
    assert Browser(admin, login=False).get("/api/nothing").status_code == 401
    assert browser.get("/api/nothing").status_code == 404


@pytest.mark.parametrize("path", ["/api/pause", "/api/admin/kill", "/api/admin/kill/clear"])
def test_bodies_must_be_json_objects(browser: Browser, path: str) -> None:
    for data, kind, status in (
        (b"{", "application/json", 400),
        (b"[1]", "application/json", 400),
        (b"on=1", "text/plain", 415),
        (b'{"on":1,"reason":7,"confirm":1}', "application/json", None),
        (b"x" * (MAX_BODY + 1), "application/json", 413),
    ):
        answer = browser.client.post(path, data=data, headers=browser.headers(Content_Type=kind))
        assert answer.status_code == status or (status is None and answer.status_code in (400, 409))
        assert answer.json["retExtInfo"]["hint"]


def test_public_routes(admin: AdminServer) -> None:
    stranger = Browser(admin, login=False)
    assert stranger.get("/healthz").data == b"ok\n"
    assert stranger.get("/login").status_code == 200
    assert stranger.get("/static/js/frame.js").status_code == 200
    for path in PAGES:
        page = stranger.get(path)
        assert (page.status_code, page.headers["Location"]) == (302, "/login")
    for host in ("127.0.0.1:8787", "localhost:8787", "localhost"):
        assert stranger.get("/healthz", Host=host).status_code == 200


def test_pages(browser: Browser) -> None:
    """Nothing in a page is inline, whatever the address says; other spellings of a symbol lead to its own address."""
    hostile = ("/symbol/%3Cscript%3Ealert(1)", "/explain/%22%3E%3Cimg%20onerror%3Dx%3E")
    for path in (*PAGES, *hostile):
        answer = browser.get(path)
        assert answer.status_code == 200 and answer.mimetype == "text/html"
        assert "style=" not in answer.text and "onerror=x>" not in answer.text and "<script>" not in answer.text
        assert answer.text.count("<script") == 1 and 'id="kill"' in answer.text
    assert browser.get("/symbol/btcusdt").headers["Location"] == "/symbol/BTCUSDT"


def test_security_headers_are_on_every_answer(admin: AdminServer, browser: Browser) -> None:
    for path in ("/", "/login", "/static/js/frame.js", "/api/health", "/api/nothing", "/metrics"):
        headers = browser.get(path).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "script-src 'self'" in policy and "unsafe" not in policy
        assert "connect-src 'self' ws://127.0.0.1:8788" in policy and "frame-ancestors 'none'" in policy
        assert headers["X-Frame-Options"] == "DENY" and headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
    assert "ws://localhost:8788" in browser.get("/login", Host="localhost:8787").headers["Content-Security-Policy"]


def test_login_sets_a_strict_cookie_and_burns_the_token(admin: AdminServer) -> None:
    browser = Browser(admin, login=False)
    answer = browser.post("/api/login", {"token": TOKEN})
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and "Secure" not in cookie and TOKEN not in cookie
    assert Browser(admin, login=False).post("/api/login", {"token": TOKEN}).status_code == 401
    fresh = json.loads(admin.paths.admin_file.read_text())["login_token"]
    assert Browser(admin, login=False).post("/api/login", {"token": fresh}).status_code == 200
    assert (
        Browser(admin, login=False).post("/api/login", {"token": fresh}, Origin="http://evil.example").status_code
        == 403
    )


def test_login_is_rate_limited(admin: AdminServer) -> None:
    browser = Browser(admin, login=False)
    for _ in range(5):
        assert browser.post("/api/login", {"token": "guess"}).status_code == 401
    limited = browser.post("/api/login", {"token": TOKEN})
    assert limited.status_code == 429 and int(limited.headers["Retry-After"]) > 0 and limited.json["retCode"] == 10006


def test_logout_ends_the_session(browser: Browser) -> None:
    stolen = browser.client.get_cookie("scalper_8787", domain="127.0.0.1").value
    assert browser.post("/api/logout").status_code == 200
    browser.client.set_cookie("scalper_8787", stolen, domain="127.0.0.1")
    assert browser.get("/api/health").status_code == 401


def test_hotlist_and_symbol(browser: Browser) -> None:
    rows = browser.get("/api/hotlist").json["result"]["list"]
    assert len(rows) == 10 and rows[0]["state"] == "MANAGING"
    one = browser.get("/api/symbol/BTCUSDT").json["result"]
    assert one["symbol"] == "BTCUSDT" and isinstance(one["last"], str) and one["position"]["side"] == "Buy"
    for spelling in ("btcusdt", "BTCUSDT-LINEAR"):
        assert browser.get(f"/api/symbol/{spelling}").json["result"]["symbol"] == "BTCUSDT"
    missing = browser.get("/api/symbol/NOPE<script>")
    assert missing.status_code == 404 and missing.json["retExtInfo"]["hint"]


def test_positions_have_the_owners_shape(browser: Browser) -> None:
    answer = browser.get("/api/positions").json
    assert answer["ok"] is True and answer["count"] == len(answer["positions"]) == 1
    position = answer["positions"][0]
    assert position["symbol"] == "BTCUSDT" and position["stop_stands"] is True
    assert position["stop_price"] and position["target_price"] and position["r"] is not None
    assert [t["done"] for t in position["targets"]] == [False, True]
    assert position["targets"][0]["price"] == position["target_price"]


def test_events_are_paged_and_filtered(engine: EnginePart, browser: Browser) -> None:
    for k in range(30):
        engine.log("execution", LogKind.ORDER, symbol=k % 3, text=f"number {k}")
    seen: list[str] = []
    cursor = ""
    while True:
        result = browser.get(f"/api/events/recent?limit=7&kind=ORDER&cursor={cursor}").json["result"]
        seen += [row["text"] for row in result["list"]]
        cursor = result["nextPageCursor"]
        if not cursor:
            break
    assert seen == [f"number {k}" for k in reversed(range(30))]
    mine = browser.get("/api/events/recent?symbol=ETHUSDT&kind=ORDER").json["result"]["list"]
    assert {row["symbol"] for row in mine} == {"ETHUSDT"} and len(mine) == 10
    for query in ("limit=0", "limit=501", "limit=x", "kind=NOPE", "cursor=x", "symbol=NOPE"):
        assert browser.get(f"/api/events/recent?{query}").status_code in (400, 404)


def test_metrics_for_local_scrapers_only(admin: AdminServer, browser: Browser) -> None:
    text = Browser(admin, login=False).get("/metrics").text
    assert (
        "scalper_kill_state 0" in text
        and 'scalper_stage_latency_seconds{stage="wire_to_intent",quantile="0.99"}' in text
    )
    assert "equity" not in text and "balance" not in text and TOKEN not in text
    away = {"REMOTE_ADDR": "10.1.2.3"}
    client = admin.app.test_client()
    assert client.get("/metrics", headers=browser.headers(), environ_base=away).status_code == 401
    good = {**browser.headers(), "Authorization": f"Bearer {admin.auth.metrics_token}"}
    assert client.get("/metrics", headers=good, environ_base=away).status_code == 200


def test_pause_writes_its_word_and_an_audit_line(admin: AdminServer, browser: Browser) -> None:
    assert browser.post("/api/pause", {"on": True}).json["result"]["paused"] is True
    assert admin.plant.control.get("pause_admin") == 1
    assert browser.post("/api/pause", {"on": False}).status_code == 200
    assert admin.plant.control.get("pause_admin") == 0
    assert browser.post("/api/pause", {"on": "yes"}).status_code == 400
    lines = [msgspec.json.decode(line) for line in admin.paths.audit_file.read_bytes().splitlines()]
    assert [line["evt"] for line in lines] == ["admin.login", "admin.pause", "admin.resume"]
    assert all(line["actor"] == "one-time link" and line["from"] == "127.0.0.1" for line in lines)
    assert TOKEN not in admin.paths.audit_file.read_text()


def test_failures_inside_are_told_without_details(
    admin: AdminServer, browser: Browser, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> dict:
        raise RuntimeError("canary-secret")

    monkeypatch.setattr(admin.views, "storage", broken)
    answer = browser.get("/api/storage/status")
    assert answer.status_code == 500 and answer.json["retCode"] == 10016
    assert "canary" not in answer.text and "canary" in caplog.text
