"""Who may look and who may act: one-time login token, password, session cookies, CSRF tokens, push tickets, login rate limit.

Secrets are compared in constant time, never logged, and kept in one 0600 file so that a restarted admin process keeps
its sessions and remembers that a one-time token was used.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec
from itsdangerous import BadSignature, URLSafeTimedSerializer
from werkzeug.security import check_password_hash, generate_password_hash

from admin.files import read_json
from config.atomic_file import write_atomic

SESSION_SECONDS = 8 * 3600
TICKET_SECONDS = 30
MIN_PASSWORD = 12


class Session(NamedTuple):
    """A verified session: `sid` is random per login, `actor` is what the audit log says."""

    sid: str
    actor: str


def password_hash(folder: Path, password: str | None) -> str | None:
    """The scrypt hash to check against: of `password` where given (kept in `folder`/admin_password), else the kept one."""
    path = folder / "admin_password"
    if password:
        if len(password) < MIN_PASSWORD:
            raise ValueError(f"SCALPER_ADMIN_PASSWORD has {len(password)} characters; use at least {MIN_PASSWORD}")
        kept = path.read_text().strip() if path.exists() else ""
        if not (kept and check_password_hash(kept, password)):
            write_atomic(path, (generate_password_hash(password, method="scrypt") + "\n").encode())
    return path.read_text().strip() if path.exists() else None


class Auth:
    """Sessions and tickets of one run; safe to call from several threads.

    `path`: state file; `token`: the run's first one-time token. A used one-time token is replaced by a fresh one
    (`login_token`), which whoever can read the 0600 address file may use: that user could write the control words
    themselves.
    """

    def __init__(self, path: Path, run_id: str, token: str, hashed_password: str | None = None,
                 clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._run_id = run_id
        self._hashed_password = hashed_password
        self._clock = clock
        self._lock = threading.Lock()
        state = read_json(path) or {}
        if state.get("run_id") != run_id:
            state = {"run_id": run_id, "secret": secrets.token_hex(32), "login_token": token, "revoked": {}}
        self._secret: str = state["secret"]
        self._login_token: str = state["login_token"]
        self._revoked: dict[str, float] = dict(state["revoked"])
        self._tickets: dict[str, float] = {}
        self._sessions = URLSafeTimedSerializer(self._secret, salt="session")
        self._ticket_signer = URLSafeTimedSerializer(self._secret, salt="ticket")
        self._save()

    def _save(self) -> None:
        now = self._clock()
        self._revoked = {sid: until for sid, until in self._revoked.items() if until > now}
        state = {"run_id": self._run_id, "secret": self._secret, "login_token": self._login_token,
                 "revoked": self._revoked}
        write_atomic(self._path, msgspec.json.encode(state))

    @property
    def login_token(self) -> str:
        """The one-time token that works now."""
        return self._login_token

    @property
    def has_password(self) -> bool:
        return self._hashed_password is not None

    def login_with_token(self, token: str) -> str | None:
        """Cookie value for a right one-time token, which is burned; None for a wrong one."""
        with self._lock:
            expected = self._login_token
            if not expected or not hmac.compare_digest(expected.encode(), token.encode()):
                return None
            self._login_token = secrets.token_urlsafe(24)
            self._save()
        return self._new_session("one-time link")

    def login_with_password(self, password: str) -> str | None:
        """Cookie value for the right password, else None (also where no password is set)."""
        if self._hashed_password is None or not check_password_hash(self._hashed_password, password):
            return None
        return self._new_session("password")

    def _new_session(self, actor: str) -> str:
        return str(self._sessions.dumps({"sid": secrets.token_urlsafe(16), "actor": actor}))

    def session(self, cookie: str | None) -> Session | None:
        """The session of a cookie; None when it is absent, forged, expired or logged out."""
        if not cookie:
            return None
        try:
            content = self._sessions.loads(cookie, max_age=SESSION_SECONDS)
            session = Session(str(content["sid"]), str(content["actor"]))
        except (BadSignature, KeyError, TypeError):
            return None
        return None if session.sid in self._revoked else session

    def logout(self, session: Session) -> None:
        """Revoke a session; the cookie stays worthless even for a restarted process."""
        with self._lock:
            self._revoked[session.sid] = self._clock() + SESSION_SECONDS
            self._save()

    def csrf(self, session: Session) -> str:
        """The token that the page sends back in X-CSRF-Token."""
        return hmac.new(self._secret.encode(), b"csrf:" + session.sid.encode(), hashlib.sha256).hexdigest()

    def csrf_ok(self, session: Session, token: str | None) -> bool:
        return token is not None and hmac.compare_digest(self.csrf(session).encode(), token.encode())

    def new_ticket(self, session: Session) -> str:
        """A ticket for one push connection: valid 30 s, once."""
        nonce = secrets.token_urlsafe(12)
        now = self._clock()
        with self._lock:
            self._tickets = {key: until for key, until in self._tickets.items() if until > now}
            self._tickets[nonce] = now + TICKET_SECONDS
        return str(self._ticket_signer.dumps({"sid": session.sid, "actor": session.actor, "nonce": nonce}))

    def redeem_ticket(self, ticket: object) -> Session | None:
        """The session behind a ticket on its first use, else None."""
        if not isinstance(ticket, str):
            return None
        try:
            content = self._ticket_signer.loads(ticket, max_age=TICKET_SECONDS)
        except BadSignature:
            return None
        with self._lock:
            until = self._tickets.pop(content["nonce"], 0.0)
        if until <= self._clock() or content["sid"] in self._revoked:
            return None
        return Session(content["sid"], content["actor"])

    def metrics_ok(self, header: str | None) -> bool:
        """Bearer token of scrapers from elsewhere: derived from the secret, shown by `metrics_token`."""
        return header is not None and hmac.compare_digest(f"Bearer {self.metrics_token}".encode(), header.encode())

    @property
    def metrics_token(self) -> str:
        return hmac.new(self._secret.encode(), b"metrics", hashlib.sha256).hexdigest()[:40]


class LoginLimit:
    """At most `per_minute` failed logins a minute and address, four times that over all addresses."""

    def __init__(self, per_minute: int = 5, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: list[tuple[float, str]] = []

    def wait_seconds(self, address: str) -> int:
        """0 when a try is allowed, else the seconds until one is."""
        now = self._clock()
        with self._lock:
            self._failures = [(at, who) for at, who in self._failures if at > now - 60]
            mine = [at for at, who in self._failures if who == address]
            if len(mine) >= self._per_minute:
                return int(mine[-self._per_minute] + 60 - now) + 1
            if len(self._failures) >= 4 * self._per_minute:
                return int(self._failures[-4 * self._per_minute][0] + 60 - now) + 1
        return 0

    def failed(self, address: str) -> None:
        with self._lock:
            self._failures.append((self._clock(), address))
