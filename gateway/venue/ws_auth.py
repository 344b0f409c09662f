"""The `auth` request of the private and the trade WebSocket: {"op":"auth","args":[api key, expires ms, signature]}."""

from __future__ import annotations

from typing import Any, NamedTuple

from gateway.venue.accounts import Accounts, ApiKey, refusal_of
from gateway.venue.signing import same, ws_signature


class Login(NamedTuple):
    """The outcome: a key, or a retCode with its text."""

    key: ApiKey | None
    code: int = 0
    text: str = ""


def login(accounts: Accounts, args: Any, ip: str, now_ms: int) -> Login:
    """Check the arguments of an `auth` request at server time `now_ms`.

    10001 wrong arguments, or expired (expires must lie in the future); 10003, 33004, 10010 the key; 10004 the
    signature.
    """
    if not isinstance(args, list) or len(args) != 3 or not isinstance(args[0], str) or not isinstance(args[2], str):
        return Login(None, 10001, "Params Error")
    expires = args[1]
    if isinstance(expires, bool) or not isinstance(expires, int | str) or not str(expires).isdigit():
        return Login(None, 10001, "Params Error")
    text = str(expires)
    if len(text) > 18 or int(text) <= now_ms:
        return Login(None, 10001, "Params Error")
    key = accounts.find(args[0])
    refusal = refusal_of(key, ip, now_ms)
    if key is None or refusal is not None:
        return Login(None, *(refusal or (10003, "")))
    if not args[2].isascii() or not same(ws_signature(key.secret, text), args[2]):
        return Login(None, 10004, "Params Error")
    return Login(key)
