"""TCP options of our WebSockets."""

from __future__ import annotations

import socket

from picows import WSTransport


def tuned(transport: WSTransport, user_timeout_ms: int) -> bool:
    """Send at once, and give an unanswered byte up after `user_timeout_ms`. False: there is no socket any more (the other
    side may close behind its handshake, before we are told of it)."""
    if transport.is_disconnected:
        return False
    raw = transport.underlying_transport.get_extra_info("socket")
    if raw is None:  # under TLS
        return False
    try:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, user_timeout_ms)
    except OSError:
        transport.disconnect(False)
        return False
    return True
