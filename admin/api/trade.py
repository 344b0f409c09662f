"""POST routes that trade: execute-trade, close, panic-close, mode, blacklist (the owner's shapes, requirement C5).

Execution decides; here a request is read, turned into ticks, audited and its answer told. Nothing is done twice: a command
without an answer is void after two seconds.
"""

from __future__ import annotations

import time
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from typing import Any

from flask import Blueprint, Response, request

from admin import present
from admin.api.write import PinCheck
from admin.catalogue import GATE_REASONS
from admin.commands import CommandClient, NoAnswer
from admin.controls import Controls
from admin.snapshot import SymbolInfo
from admin.views import Views
from admin.web import ApiError, answer, body, current, text_of, whole
from core.enums import CommandKind, Gate, Mode
from core.orders.command_words import Answer, position_id

SIDES = {"LONG": 1, "BUY": 1, "SHORT": -1, "SELL": -1}
SIDE_WORDS = {1: "Buy", -1: "Sell", 0: "None"}
MAX_PRICE = Decimal(10) ** 12
EXACT = Context(prec=60)  # our own: that of a thread is whatever its libraries have made of it


def ticks_of(info: SymbolInfo, value: Any, name: str) -> int:
    """A price as number or text -> the nearest tick. ApiError 400 where it is none."""
    try:
        price = Decimal(str(value)) if isinstance(value, int | float | str) and not isinstance(value, bool) else None
    except InvalidOperation:
        price = None
    if price is None or not price.is_finite() or not 0 < price < MAX_PRICE:
        raise ApiError(400, f"'{name}' is no price", f'send {{"{name}": 101234.5}} or the same as text')
    ticks = EXACT.divide(EXACT.scaleb(price, info.price_exp), info.tick_mant)
    return max(int(ticks.to_integral_value(ROUND_HALF_EVEN)), 1)


def trade_routes(views: Views, controls: Controls, commands: CommandClient, check_pin: PinCheck) -> Blueprint:
    """The blueprint of all trading writes."""
    api = Blueprint("trade", __name__, url_prefix="/api")

    def audit(action: str, **detail: object) -> list[str]:
        warning = controls.audit(action, current().actor, request.remote_addr or "?", **detail)
        return [warning] if warning else []

    def symbol_of(name: Any) -> SymbolInfo:
        info = views.snapshot().by_name(name) if isinstance(name, str) else None
        if info is None:
            raise ApiError(404, f"symbol '{str(name)[:24]}' is not listed", "GET /api/hotlist lists every symbol")
        return info

    def need_pin(content: dict, what: str) -> None:
        """In LIVE: what raises risk needs the PIN."""
        if views.mode == Mode.LIVE:
            refusal = check_pin(text_of(content, "pin", 64, default=""))
            if refusal:
                audit(f"{what}_refused", error=refusal)
                raise ApiError(403, refusal, 'send {"pin": "…"}', code=90003)

    def ask(action: str, kind: CommandKind, detail: dict[str, object], existing: bool = False, **fields: Any) -> Answer:
        """Carry a command out, audit it, raise ApiError for a refusal."""
        try:
            found = commands.ask(kind, **fields)
        except NoAnswer as error:
            audit(action, ok=False, error=str(error), **detail)
            raise ApiError(503, str(error), "look at `launch.py status`; exits: `launch.py kill` works without the page",
                           code=90006, result={"success": False}) from None
        audit(action, ok=found.ok, answer=found.text, gate=Gate(found.gate).name, order_id=found.order_id, **detail)
        if found.ok:
            return found
        gate = Gate(found.gate)
        cause = found.text or GATE_REASONS[gate]
        position = existing_position(found.symbol) if existing and gate == Gate.IN_POSITION else None
        raise ApiError(409, cause, _hint(found, gate), code=90001 if gate == Gate.MODE else 90002,
                       result={"gate": gate.name, "value": found.value, "limit": found.limit},
                       beside={"success": False, **({"existingPosition": position} if position else {})})

    def existing_position(symbol: int) -> dict | None:
        snapshot = views.refresh()
        name = snapshot.symbols[symbol].name
        return next((row for row in present.positions(snapshot) if row["symbol"] == name), None)

    @api.post("/execute-trade")
    def execute_trade() -> Response:
        content = body()
        unknown = set(content) - {"symbol", "direction", "entry", "tp", "sl", "confidence", "entryZone", "pin"}
        if unknown:
            raise ApiError(400, f"unknown: {', '.join(sorted(unknown))}",
                           "send symbol, direction, entry, tp, sl, confidence, entryZone{min, ideal, max}")
        info = symbol_of(content.get("symbol"))
        direction = content.get("direction")
        side = SIDES.get(direction.upper(), 0) if isinstance(direction, str) else 0
        if not side:
            raise ApiError(400, "'direction' must be LONG or SHORT", 'send {"direction": "LONG"}')
        need_pin(content, "execute_trade")
        fields = _trade_fields(info, side, content)
        found = ask("execute_trade", CommandKind.TRADE, {"symbol": info.name, "direction": direction}, existing=True,
                    symbol=info.id, side=side, **fields)
        told = {
            "success": True, "orderId": found.text or str(found.order_id), "symbol": info.name,
            "side": SIDE_WORDS[found.side], "qty": info.quantity(found.qty_lots), "entry": info.price(found.price_ticks),
            "tp": info.price(found.target_ticks) if found.target_ticks else None, "sl": info.price(found.stop_ticks),
            "dryRun": found.dry_run, "timestamp": found.wall_ns // 1_000_000,
        }
        if found.dry_run:
            message = (f"DRY-RUN: {told['side']} {told['qty']} {info.name} at {told['entry']}, sl {told['sl']}, "
                       f"tp {told['tp']}: checked and logged, not sent")
            return answer({"order": told}, success=True, dryRun=True, message=message)
        return answer(told, **told)

    @api.post("/positions/<symbol>/close")
    def close(symbol: str) -> Response:
        info, content = symbol_of(symbol), body()
        found = ask("close", CommandKind.CLOSE, {"symbol": info.name}, symbol=info.id, position_id=seen_position(content))
        told = {"success": True, "symbol": info.name, "side": SIDE_WORDS[-found.side],
                "qty": info.quantity(abs(found.qty_lots)), "orderId": str(found.order_id), "message": found.text,
                "timestamp": found.wall_ns // 1_000_000}
        return answer(told, **told)

    @api.post("/positions/<symbol>/protect")
    def protect(symbol: str) -> Response:
        """Another stop, another target, or both."""
        info, content = symbol_of(symbol), body()
        given = {key: ticks_of(info, content[key], key) for key in ("sl", "tp") if content.get(key) not in (None, "")}
        if not given:
            raise ApiError(400, "neither 'sl' nor 'tp' is given", 'send {"sl": …}, {"tp": …} or both')
        found = ask("protect", CommandKind.PROTECT, {"symbol": info.name, **given}, symbol=info.id,
                    stop_ticks=given.get("sl", 0), target_ticks=given.get("tp", 0), position_id=seen_position(content))
        told = {"success": True, "symbol": info.name, "sl": info.price(found.stop_ticks) if found.stop_ticks else None,
                "tp": info.price(found.target_ticks) if found.target_ticks else None, "message": found.text,
                "timestamp": found.wall_ns // 1_000_000}
        return answer(told, **told)

    @api.post("/panic-close")
    def panic_close() -> Response:
        """Requirement A17: a person's PANIC is the kill: entries off, cancel, close, verify flat, latched."""
        reason = text_of(body(), "reason", default="") or "PANIC CLOSE ALL"
        snapshot = views.refresh()
        open_before = [row["symbol"] for row in present.positions(snapshot)]
        result = controls.kill(reason, current().actor, request.remote_addr or "?")
        result |= {"success": True, "flat": controls.wait_flat(), "positions": open_before,
                   "timestamp": time.time_ns() // 1_000_000}
        return answer(result, success=True, flat=result["flat"], timestamp=result["timestamp"])

    @api.post("/mode")
    def mode() -> Response:
        content = body()
        wanted = str(content.get("mode", "")).upper().replace("PAPER", "SIM")
        if wanted not in Mode.__members__:
            raise ApiError(400, "'mode' must be SIM, DRY_RUN or LIVE", 'send {"mode": "DRY_RUN"}')
        before = views.mode
        expected = content.get("from")
        if expected is not None and str(expected).upper() != before.name:
            raise ApiError(409, f"the mode is {before.name}, not {str(expected)[:10]}", "look again", code=90004)
        found = ask("mode", CommandKind.MODE, {"from": before.name, "to": wanted}, value=int(Mode[wanted]))
        return answer({"mode": wanted, "before": before.name, "message": found.text}, mode=wanted)

    @api.post("/blacklist-symbol")
    def blacklist_symbol() -> Response:
        content = body()
        info = symbol_of(content.get("symbol"))
        on = content.get("blacklisted", True)
        if not isinstance(on, bool):
            raise ApiError(400, "'blacklisted' must be true or false", 'send {"symbol": "…", "blacklisted": true}')
        reason = text_of(content, "reason", default="")
        found = ask("blacklist", CommandKind.BLACKLIST, {"symbol": info.name, "on": on, "reason": reason},
                    symbol=info.id, value=int(on), text=reason)
        return answer({"symbol": info.name, "blacklisted": on, "message": found.text}, symbol=info.name, blacklisted=on)

    return api


def seen_position(content: dict) -> int:
    """COMMAND.position_id of the position the person saw; -1 where the request names none."""
    seen = content.get("positionId", "")
    number = whole(seen) if isinstance(seen, str) else None
    if seen != "" and number is None:
        raise ApiError(400, "'positionId' is not one of ours", "send order_id of the position as you got it")
    return -1 if number is None else position_id(number)


def _hint(found: Answer, gate: Gate) -> str:
    if gate == Gate.NONE:
        return "change the request"
    if found.limit or found.value:
        return f"gate {gate.name}: {found.value:.6g} against {found.limit:.6g}"
    return f"gate {gate.name}"


def _trade_fields(info: SymbolInfo, side: int, content: dict) -> dict[str, int]:
    """Prices of an execute-trade request in ticks."""
    zone = content.get("entryZone")
    if zone is not None and not (isinstance(zone, dict) and set(zone) <= {"min", "ideal", "max"}):
        raise ApiError(400, "'entryZone' must be {min, ideal, max}", "leave it out where there is none")
    zone = {key: ticks_of(info, value, f"entryZone.{key}") for key, value in (zone or {}).items() if value is not None}
    if zone and not {"min", "max"} <= set(zone):
        raise ApiError(400, "'entryZone' needs min and max", "send both, or leave it out")
    if zone and zone["min"] > zone["max"]:
        raise ApiError(400, "'entryZone': min is over max", "swap them")
    confidence = content.get("confidence", 0)
    if isinstance(confidence, bool) or not isinstance(confidence, int | float) or not 0 <= confidence <= 100:
        raise ApiError(400, "'confidence' must be 0 to 1, or 0 to 100", "leave it out where there is none")
    if content.get("sl") is None:
        raise ApiError(400, "'sl' is missing: no position without a stop", "send sl on the losing side of entry")
    entry = content.get("entry")
    return {
        "price_ticks": ticks_of(info, entry, "entry") if entry is not None else zone.get("ideal", 0),
        "stop_ticks": ticks_of(info, content["sl"], "sl"),
        "target_ticks": ticks_of(info, content["tp"], "tp") if content.get("tp") is not None else 0,
        "zone_min_ticks": zone.get("min", 0), "zone_max_ticks": zone.get("max", 0),
        "confidence_e2": round(confidence * (10_000 if confidence <= 1 else 100)),
    }
