"""This machine's clock beside the exchange's: asked before a LIVE start and by `launch.py doctor`.

Requests are signed with the exchange's time (`gateway/venue_clock.py`), so a clock that is off does not cost an order. It
shifts the UTC day of the loss limits, the trading hours, and the times in every log, and says that something is wrong with
this machine; an answer that takes long says the same of its network.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from config.schema import Clock
from core.constants import NS_PER_MS
from gateway.rest import PublicRest, RestError

SAMPLES = 3
TIMEOUT_S = 5.0


class Reading(NamedTuple):
    """The tightest of a few questions, ms. `offset_ms`: exchange minus us."""

    offset_ms: float
    round_trip_ms: float


def read_clock(rest: str) -> Reading:
    """Ask the exchange at `rest` for its time. Raises RestError."""
    client = PublicRest(rest, TIMEOUT_S)
    return min((_ask(client) for _ in range(SAMPLES)), key=lambda reading: reading.round_trip_ms)


def _ask(client: PublicRest) -> Reading:
    wall_ns, sent_ns = time.time_ns(), time.monotonic_ns()
    answer = client.get("/v5/market/time", "")
    round_trip_ns = time.monotonic_ns() - sent_ns
    result: Any = answer.get("result")
    try:
        server_ns = int(result["timeNano"])
    except (TypeError, KeyError, ValueError):
        raise RestError(f"{client.base}: /v5/market/time has no timeNano") from None
    return Reading((server_ns - wall_ns - round_trip_ns // 2) / NS_PER_MS, round_trip_ns / NS_PER_MS)


def clock_trouble(rest: str, limits: Clock) -> tuple[str, str]:
    """(what was found, why that is too much; "" = it is not). An exchange that does not answer is too much."""
    try:
        offset_ms, round_trip_ms = read_clock(rest)
    except RestError as error:
        return "not measured", f"the exchange's clock could not be asked: {error}"
    found = f"exchange {offset_ms:+.0f} ms from here, answered in {round_trip_ms:.0f} ms"
    if abs(offset_ms) > limits.max_offset_ms:
        return found, f"this machine's clock is {abs(offset_ms):.0f} ms off, allowed {limits.max_offset_ms:g} ms"
    if round_trip_ms > limits.max_round_trip_ms:
        return found, f"the exchange takes {round_trip_ms:.0f} ms to answer, allowed {limits.max_round_trip_ms:g} ms"
    return found, ""
