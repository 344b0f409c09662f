"""What pybit's WebSocket clients need to be asked without luck."""

from __future__ import annotations

import threading
from typing import Any

import pybit._websocket_stream
import pytest


def filing(monkeypatch: pytest.MonkeyPatch) -> threading.RLock:
    """pybit files a question only after it has sent it, and stumbles over an answer that is there before: who holds this
    lock while asking keeps it from hearing anything meanwhile."""
    lock = threading.RLock()
    heard = pybit._websocket_stream._WebSocketManager._on_message

    def when_filed(client: Any, message: str) -> None:
        with lock:
            heard(client, message)

    monkeypatch.setattr(pybit._websocket_stream._WebSocketManager, "_on_message", when_filed)
    return lock
