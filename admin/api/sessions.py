"""REST of sessions in the owner's shapes (requirement D5, D10): start, pause, resume, stop; what runs.

    POST /api/sessions/start {session_type: live|paper|backtest, symbols?, strategy_config?}
      -> {ok, success, session_id, session_type, status: RUNNING|PAUSED|STOPPED|ERROR, symbols, timestamp}
"""

from __future__ import annotations

import re
import time
from typing import Any

from flask import Blueprint, Response, request

from admin import present
from admin.backtest_wish import arguments_of, name_of
from admin.commands import CommandClient, NoAnswer
from admin.controls import Controls
from admin.sessions import STOPPED_BY, BacktestBusy, BacktestRuns, session_type, trading_session
from admin.views import Views
from admin.web import ApiError, answer, body, current, text_of
from config.latch_file import read_latch
from config.paths import DataPaths
from core.enums import CommandKind
from core.words import plural

TYPES = ("live", "paper", "backtest")
SYMBOL = re.compile(r"[A-Za-z0-9]{2,24}")
HINT = 'send {"session_type": "live" | "paper" | "backtest", "symbols": ["BTCUSDT"], "strategy_config": {}}'


def session_routes(views: Views, controls: Controls, commands: CommandClient, runs: BacktestRuns, paths: DataPaths) -> Blueprint:
    """The blueprint of all sessions."""
    api = Blueprint("sessions", __name__, url_prefix="/api/sessions")

    def trading() -> dict[str, Any]:
        return trading_session(views.refresh(), views.run_json(), views.mode, read_latch(paths.pause_file))

    def told(session: dict[str, Any], **more: Any) -> Response:
        beside = {key: session[key] for key in ("session_id", "session_type", "status", "symbols")}
        return answer(session | more, success=True, timestamp=time.time_ns() // 1_000_000, **beside)

    def from_address() -> str:
        return request.remote_addr or "?"

    @api.get("/current")
    def sessions() -> Response:
        return answer({"trading": trading(), "backtests": runs.rows()})

    @api.post("/start")
    def start() -> Response:
        content = body()
        unknown = set(content) - {"session_type", "symbols", "strategy_config"}
        wanted = content.get("session_type")
        if unknown or wanted not in TYPES:
            cause = f"unknown: {', '.join(sorted(unknown))}" if unknown else f"'session_type' is none of {', '.join(TYPES)}"
            raise ApiError(400, cause, HINT, beside={"success": False})
        symbols, config = _symbols(content.get("symbols")), content.get("strategy_config", {})
        if not isinstance(config, dict):
            raise ApiError(400, "'strategy_config' is not an object", HINT, beside={"success": False})
        if wanted == "backtest":
            return start_backtest(symbols, config)
        now = trading()
        if session_type(views.mode) != wanted:
            raise refused(f"this system is a {session_type(views.mode)} session ({views.mode.name})",
                          f"stop it and start launch.py --mode {'LIVE' if wanted == 'live' else 'SIM'}", now)
        if now["status"] == "ERROR":
            raise refused(now["error"], "clear the cause first", now)
        if symbols and set(symbols) != set(now["symbols"]):
            raise refused(f"this session trades {plural(len(now['symbols']), 'symbol')}, chosen at the start",
                          "leave symbols out, or restart with --symbols; single ones: POST /api/blacklist-symbol", now)
        if config:
            raise refused("the settings of a running session are its files", "change them, then launch.py reload", now)
        if now["status"] == "RUNNING":
            raise refused(f"session {now['session_id']} is running", "POST /api/sessions/pause or /stop", now)
        controls.pause(False, current().actor, from_address())
        return told(trading())

    def refused(cause: str, fix: str, now: dict[str, Any]) -> ApiError:
        return ApiError(409, cause, fix, code=90004, beside={"success": False, "status": now["status"]})

    def start_backtest(symbols: list[str], config: dict[str, Any]) -> Response:
        arguments = arguments_of(symbols, config, runs.recordings, runs.config_files)
        try:
            row = runs.start(symbols, config, arguments, name_of(config))
        except BacktestBusy as busy:
            raise ApiError(409, f"{busy} is still running", "wait for it, or POST /api/sessions/stop with its session_id",
                           code=90004, beside={"success": False}) from None
        except OSError as error:
            raise ApiError(503, f"the backtest cannot be started ({error.strerror})", "see the disk and the memory",
                           beside={"success": False}) from None
        controls.audit("session_start", current().actor, from_address(), session=row["session_id"], config=config,
                       reason=f"backtest {name_of(config) or row['session_id']}")
        return told(row)

    def session_id_of(content: dict[str, Any]) -> str:
        own = views.run_json()["run_id"]
        wanted = text_of(content, "session_id", 64, default="") or own
        if wanted != own and not any(row["session_id"] == wanted for row in runs.rows()):
            raise ApiError(404, f"no session '{wanted}' runs here", "GET /api/sessions/current lists them",
                           beside={"success": False})
        return wanted

    @api.post("/pause")
    def pause() -> Response:
        return set_pause(True)

    @api.post("/resume")
    def resume() -> Response:
        return set_pause(False)

    def set_pause(on: bool) -> Response:
        if session_id_of(body()) != views.run_json()["run_id"]:
            raise ApiError(409, "a backtest cannot be paused", "stop it", code=90004, beside={"success": False})
        result = controls.pause(on, current().actor, from_address())
        return told(trading(), warnings=result["warnings"])

    @api.post("/stop")
    def stop() -> Response:
        wanted = session_id_of(body())
        if wanted != views.run_json()["run_id"]:
            row = runs.stop(wanted)
            controls.audit("session_stop", current().actor, from_address(), session=wanted, reason=f"backtest {wanted}")
            assert row is not None, "session_id_of has found it"
            return told(row)
        result = controls.pause(True, current().actor, from_address(), why=f"{STOPPED_BY} {current().actor}")
        warnings: list[str] = list(result["warnings"])
        closing: list[str] = []
        snapshot = views.refresh()
        for row in present.positions(snapshot):
            info = snapshot.by_name(row["symbol"])
            if info is None:
                continue
            try:
                found = commands.ask(CommandKind.CLOSE, symbol=info.id)
            except NoAnswer as error:
                warnings.append(f"{info.name}: {error}")
                continue
            (closing if found.ok else warnings).append(info.name if found.ok else f"{info.name}: {found.text}")
        return told(trading(), closing=closing, warnings=warnings)

    return api


def _symbols(given: Any) -> list[str]:
    """Symbol names of a request; [] for all."""
    if given in (None, "", "ALL"):
        return []
    if not isinstance(given, list) or not all(isinstance(name, str) and SYMBOL.fullmatch(name) for name in given):
        raise ApiError(400, "'symbols' is not a list of symbol names", HINT, beside={"success": False, "field": "symbols"})
    return sorted({name.upper() for name in given})
