"""Tokens, sessions, tickets, passwords, limits: single use, expiry, survival over a restart."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from admin import auth as auth_module
from admin.auth import Auth, LoginLimit, password_hash


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def make(tmp_path: Path, run_id: str = "r1", **options) -> Auth:
    return Auth(tmp_path / "state.json", run_id, "first-token", **options)


def test_one_time_token_works_once(tmp_path: Path) -> None:
    auth = make(tmp_path)
    assert auth.login_with_token("wrong") is None
    cookie = auth.login_with_token("first-token")
    assert cookie is not None and auth.session(cookie) is not None
    assert auth.login_with_token("first-token") is None
    assert auth.login_token != "first-token" and auth.login_with_token(auth.login_token) is not None


def test_a_restarted_admin_keeps_sessions_and_burned_tokens(tmp_path: Path) -> None:
    before = make(tmp_path)
    cookie = before.login_with_token("first-token")
    after = make(tmp_path)
    assert after.session(cookie) == before.session(cookie)
    assert after.login_with_token("first-token") is None
    after.logout(after.session(cookie))
    assert make(tmp_path).session(cookie) is None
    other_run = make(tmp_path, "r2")
    assert other_run.login_with_token("first-token") is not None


def test_state_file_is_private(tmp_path: Path) -> None:
    make(tmp_path)
    assert stat.S_IMODE((tmp_path / "state.json").stat().st_mode) == 0o600


@pytest.mark.parametrize("cookie", [None, "", "x", "a.b.c", "\0", "é" * 50])
def test_foreign_cookies(tmp_path: Path, cookie: str | None) -> None:
    assert make(tmp_path).session(cookie) is None


def test_session_expires(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    auth = make(tmp_path)
    cookie = auth.login_with_token("first-token")
    monkeypatch.setattr(auth_module, "SESSION_SECONDS", -1)
    assert auth.session(cookie) is None


def test_csrf_belongs_to_its_session(tmp_path: Path) -> None:
    auth = make(tmp_path)
    one = auth.session(auth.login_with_token("first-token"))
    two = auth.session(auth.login_with_token(auth.login_token))
    assert auth.csrf_ok(one, auth.csrf(one))
    assert not auth.csrf_ok(one, auth.csrf(two))
    assert not auth.csrf_ok(one, None)


def test_tickets_are_single_use_and_short(tmp_path: Path) -> None:
    clock = Clock()
    auth = make(tmp_path, clock=clock)
    session = auth.session(auth.login_with_token("first-token"))
    ticket = auth.new_ticket(session)
    assert auth.redeem_ticket(ticket) == session
    assert auth.redeem_ticket(ticket) is None
    late = auth.new_ticket(session)
    clock.now += auth_module.TICKET_SECONDS + 1
    assert auth.redeem_ticket(late) is None
    last = auth.new_ticket(session)
    auth.logout(session)
    assert auth.redeem_ticket(last) is None
    for junk in (None, 7, "", "x.y.z", {"a": 1}):
        assert auth.redeem_ticket(junk) is None


def test_password(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least"):
        password_hash(tmp_path, "short")
    assert password_hash(tmp_path, None) is None
    hashed = password_hash(tmp_path, "correct horse battery")
    assert hashed.startswith("scrypt:") and "horse" not in hashed
    assert password_hash(tmp_path, None) == hashed == password_hash(tmp_path, "correct horse battery")
    auth = make(tmp_path, hashed_password=hashed)
    assert auth.login_with_password("wrong") is None
    assert auth.session(auth.login_with_password("correct horse battery")).actor == "password"
    assert make(tmp_path).login_with_password("") is None


def test_login_limit() -> None:
    clock = Clock()
    limit = LoginLimit(3, clock)
    for _ in range(3):
        assert limit.wait_seconds("a") == 0
        limit.failed("a")
    assert 0 < limit.wait_seconds("a") <= 61
    assert limit.wait_seconds("b") == 0
    clock.now += 61
    assert limit.wait_seconds("a") == 0
    for k in range(12):
        limit.failed(f"address {k}")
    assert limit.wait_seconds("somebody new") > 0
