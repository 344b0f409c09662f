"""Signatures and the time window of Bybit V5: HMAC-SHA256, lower-case hex.

    REST       timestamp + api key + recv window + payload       payload = raw query string (GET) or raw body (POST)
    WebSocket  "GET/realtime" + expires (ms)
    window     server - recv_window <= timestamp < server + 1000   (a clock ahead is forgiven one second, whatever the
                                                                     window; a slow clock up to the window)
"""

from __future__ import annotations

import hashlib
import hmac

DEFAULT_RECV_WINDOW_MS = 5000
AHEAD_MS = 1000  # how far the clock of a client may be ahead


def rest_signature(secret: str, timestamp: str, api_key: str, recv_window: str, payload: bytes) -> str:
    """The signature of one REST request; all texts exactly as they stand in the headers and on the wire."""
    head = f"{timestamp}{api_key}{recv_window}".encode()
    return hmac.new(secret.encode(), head + payload, hashlib.sha256).hexdigest()


def ws_signature(secret: str, expires: str) -> str:
    """The signature of an `auth` request on the private or the trade WebSocket."""
    return hmac.new(secret.encode(), f"GET/realtime{expires}".encode(), hashlib.sha256).hexdigest()


def same(a: str, b: str) -> bool:
    """Compare signatures in constant time."""
    return hmac.compare_digest(a.encode(), b.encode())


def in_window(timestamp_ms: int, recv_window_ms: int, server_ms: int) -> bool:
    """True when a request of that time may pass now."""
    return server_ms - recv_window_ms <= timestamp_ms < server_ms + AHEAD_MS


def window_text(timestamp: object, recv_window: object, server_ms: int) -> str:
    """retMsg of 10002."""
    return (
        "invalid request, please check your server timestamp or recv_window param. "
        f"req_timestamp[{timestamp}],server_timestamp[{server_ms}],recv_window[{recv_window}]"
    )
