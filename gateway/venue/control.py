"""The venue's own paths, beside Bybit's, on loopback only:

    GET  /venue/truth     what really happened          POST /venue/fault     order a fault, or arm a rule
    GET  /venue/status    counters                      POST /venue/release   disarm one rule {"id"}, or all
    GET  /venue/faults    armed and spent rules         POST /venue/scenario  start a scripted happening
    GET  /venue/knobs     every kind of fault with its parameters
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from gateway.venue.faults import Faults
from gateway.venue.hub import Hub
from gateway.venue.scenarios import DEFAULTS, Event, ScenarioEngine
from gateway.venue.truth import Truth


def control_paths(hub: Hub, truth: Truth, faults: Faults, scenario: ScenarioEngine | None,
                  extra: Callable[[], dict[str, Any]]) -> dict[tuple[str, str], Callable[[Any], Any]]:
    """(method, name) -> function of the JSON body. ValueErrors become HTTP 400 with the text."""

    def status(_body: Any) -> dict[str, Any]:
        return {
            "pid": os.getpid(), "now_ms": hub.now_ms, "clients": len(hub.clients), "topics": len(hub.subscribers),
            **asdict(hub.counters), **extra(),
        }

    def start_scenario(body: Any) -> dict[str, Any]:
        if scenario is None:
            raise ValueError("scenarios need the synthetic market; a tape is played verbatim")
        if not isinstance(body, dict) or body.get("kind") not in DEFAULTS:
            raise ValueError(f"kind must be one of {', '.join(DEFAULTS)}")
        known = DEFAULTS[body["kind"]]
        parameters = {key: value for key, value in body.items() if key in known}
        scenario.start(Event(0.0, body["kind"], str(body.get("symbol", "auto")), parameters), hub.now_ms)
        return {"ok": True, "id": len(truth.happenings)}

    def release(body: Any) -> dict[str, Any]:
        number = body.get("id", 0) if isinstance(body, dict) else 0
        if isinstance(number, bool) or not isinstance(number, int):
            raise ValueError("id must be the number of a rule")
        return {"ok": True, "disarmed": faults.rules.disarm(number)}

    return {
        ("GET", "truth"): lambda _body: truth.as_list(),
        ("GET", "status"): status,
        ("GET", "faults"): lambda _body: faults.rules.as_list(),
        ("GET", "knobs"): lambda _body: {kind: {**knob.values, "": knob.sentence} for kind, knob in faults.knobs.items()},
        ("POST", "fault"): lambda body: faults.order(body, hub.now_ms),
        ("POST", "release"): release,
        ("POST", "scenario"): start_scenario,
    }
