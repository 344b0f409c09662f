"""The controls of a replay: GET /api/replay/status and POST /api/replay. Of a running system they say that it is none."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from admin.commands import CommandClient, NoAnswer
from admin.views import Views
from admin.web import ApiError, answer, body
from core.enums import CommandKind
from core.replay_row import ReplayAction

MAX_SPEED = 1000.0
FIELDS = {"play": (), "pause": (), "step": ("ms",), "seek": ("to",), "speed": ("speed",)}
HINT = ('send {"action": "play"}, "pause", {"action": "step", "ms": 100}, {"action": "seek", "to": epoch ms} or '
        '{"action": "speed", "speed": 0.1 … 1000 or "max"}')


def replay_routes(views: Views, commands: CommandClient) -> Blueprint:
    """The blueprint. A command is answered when the player has taken it, not when a seek has arrived."""
    api = Blueprint("replay", __name__, url_prefix="/api")

    @api.get("/replay/status")
    def replay() -> Response:
        views.snapshot()
        return answer({"replay": views.replay.state(), **(views.replay.description() if views.replay.is_on else {})})

    @api.post("/replay")
    def control() -> Response:
        if not views.replay.is_on:
            raise ApiError(409, "this is no replay: the system runs", "start one beside it: launch.py replay latest --page",
                           code=90001)
        content = body()
        action = content.get("action")
        if not isinstance(action, str) or action not in FIELDS:
            raise ApiError(400, "'action' is none of play, pause, step, seek, speed", HINT)
        unknown = set(content) - {"action", *FIELDS[action]}
        if unknown:
            raise ApiError(400, f"unknown: {', '.join(sorted(unknown))}", HINT)
        try:
            found = commands.ask(CommandKind.REPLAY, value=int(ReplayAction[action.upper()]),
                                 price_ticks=_argument(action, content))
        except NoAnswer:
            raise ApiError(503, "the player of the replay does not answer", "look at logs/player.log; start it again",
                           code=90006) from None
        if not found.ok:
            raise ApiError(409, found.text, HINT)
        views.refresh()
        return answer({"replay": views.replay.state()})

    return api


def _argument(action: str, content: dict[str, Any]) -> int:
    """COMMAND.price_ticks of an action."""
    if action == "step":
        return round(_number(content.get("ms", 0), "ms", 0.0, 86_400_000.0) * 1e6)
    if action == "seek":
        return round(_number(content.get("to"), "to", 0.0, 1e13) * 1_000_000)
    if action == "speed":
        if content.get("speed") == "max":
            return 0
        return round(_number(content.get("speed"), "speed", 0.001, MAX_SPEED) * 1000)
    return 0


def _number(value: Any, name: str, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise ApiError(400, f"'{name}' must be a number from {least:g} to {most:g}", HINT)
    return value
