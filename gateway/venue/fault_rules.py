"""Faults as rules that the venue asks at the places where things can go wrong. Pure, seeded, no clock.

A rule is armed with a kind, a filter (uid, symbol, op, topic, stream) and a measure (count, probability, skip, seconds).
Whoever is about to do something asks; a rule that matches and hits is returned once, and its hit is counted:

    rules.arm("trade.ack_drop", op="order.create", uid="1000001", count=1)
    rule = rules.ask("trade.ack_drop", uid=..., op="order.create", symbol="BTCUSDT")      # None: nothing goes wrong

`on_request` is the one question that REST and trade WebSocket ask before they carry out a client's request: the kinds
of REQUEST_KINDS, folded into one `RequestFault`. `op` is a request's name in both: the path without "/v5/" and with
dots ("order.create", "position.list", "market.tickers"), which is also the name that the trade WebSocket uses.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from gateway.venue.ret_texts import TEXTS

FILTERS = ("uid", "symbol", "op", "topic", "stream")
MEASURES: dict[str, Any] = {"count": 1, "probability": 1.0, "skip": 0, "seconds": 0.0}


class Knob(NamedTuple):
    """One kind of fault: the default of each parameter of its own, and what it does."""

    values: dict[str, Any]
    sentence: str


RULES: dict[str, Knob] = {
    "feed.drop": Knob({}, "a public frame is lost (a gap in u)"),
    "feed.dup": Knob({}, "a public frame comes twice"),
    "feed.swap": Knob({}, "a public frame comes after its successor of the same topic"),
    "feed.freeze": Knob({}, "a public topic is silent while its socket lives"),
    "private.drop": Knob({}, "a private frame is lost"),
    "private.dup": Knob({}, "a private frame comes twice"),
    "private.swap": Knob({}, "a private frame comes after its successor"),
    "private.freeze": Knob({}, "private frames are lost while the socket lives"),
    "private.delay": Knob({"ms": 500}, "a private frame comes late"),
    "ws.refuse": Knob({}, "new connections are refused (HTTP 503)"),
    "ws.stall_pong": Knob({}, "pings are not answered"),
    "ws.slow": Knob({"ms": 500}, "everything to a socket comes late"),
    "sub.nack": Knob({}, "a subscription is refused"),
    "trade.ack_drop": Knob({"executed": True}, "the answer to a request is lost; executed = whether the request was carried out"),
    "trade.ack_delay": Knob({"ms": 1000}, "the answer to a request comes late"),
    "trade.accept_then_drop": Knob({}, "the request is carried out and the connection is cut before the answer"),
    "trade.swallow": Knob({}, "an order is acknowledged and never comes into being"),
    "trade.reject": Knob({"code": 10016, "text": ""}, "a request is refused with this retCode and not carried out"),
    "trade.err_no_reqid": Knob({"code": 10016, "executed": False}, "an error without reqId answers a trade WebSocket request"),
    "trade.reorder": Knob({"ms": 500}, "an answer comes after the next one of its connection, or after ms"),
    "trade.fill_before_ack": Knob({"ms": 50}, "the private frames come first, the answer ms later"),
    "trade.fill_on_cancel": Knob({}, "the order to be cancelled (or amended) fills first"),
    "trade.partial": Knob({"fraction": 0.5}, "the book holds only this fraction of the order's quantity"),
    "trade.slip": Knob({"ticks": 20}, "the book moves away by so many ticks when the order arrives"),
    "trade.dup_exec": Knob({}, "an execution is pushed twice, also in a message of its own"),
    "rest.403": Knob({}, "HTTP 403, access too frequent"),
    "rest.5xx": Knob({"status": 502, "executed": False}, "HTTP 5xx with an empty body"),
    "rest.html": Knob({"status": 200, "executed": False}, "a page of HTML instead of JSON"),
    "rest.delay": Knob({"ms": 1000}, "a REST answer comes late"),
    "rest.lag": Knob({"behind_s": 10.0}, "order history and execution list lack what is younger than this"),
    "rest.page": Knob({"rows": 1}, "pages hold at most so many rows, whatever the limit says"),
    "rate": Knob({"per_s": 1}, "the rate limits of an account shrink to this many requests a second"),
}
REQUEST_KINDS = (
    "rest.403", "rest.5xx", "rest.html", "trade.reject", "trade.err_no_reqid", "trade.ack_drop", "trade.accept_then_drop",
    "trade.swallow", "trade.ack_delay", "trade.reorder", "trade.fill_before_ack", "rest.delay",
)
"""Kinds that `on_request` asks, in this order; the first that hits is the fault of the request."""

HTML = b"<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center></body></html>"
FORBIDDEN = b'{"retCode":403,"retMsg":"access too frequent","result":{},"retExtInfo":{}}'


@dataclass
class Rule:
    """One armed fault. `left` counts down with the hits; -1 = no bound but time."""

    number: int
    kind: str
    filters: dict[str, str]
    values: dict[str, Any]
    left: int
    probability: float
    skip: int
    until_ms: int  # 0 = for ever
    random: random.Random
    asked: int = 0
    hits: int = 0

    def as_dict(self) -> dict[str, Any]:
        """For GET /venue/faults."""
        return {
            "id": self.number, "kind": self.kind, **self.filters, **self.values, "left": self.left,
            "probability": self.probability, "until_ms": self.until_ms, "asked": self.asked, "hits": self.hits,
        }


class RequestFault(NamedTuple):
    """What goes wrong with one request.

    execute  False: do not carry it out
    status   HTTP status; not 200, or `body` given: answer that body instead of an envelope (REST only)
    code     not 0: answer this retCode with `text`
    lose     "answer": never answer; "connection": cut the connection instead of answering
    delay_ms the answer waits so long (the request itself does not, so private frames come first)
    reorder  the answer waits for the next one of its connection, at most delay_ms
    no_req_id      the answer lacks reqId (trade WebSocket)
    swallow  answer as if accepted, carry out nothing
    """

    kind: str = ""
    execute: bool = True
    status: int = 200
    body: bytes | None = None
    code: int = 0
    text: str = ""
    lose: str = ""
    delay_ms: int = 0
    reorder: bool = False
    no_req_id: bool = False
    swallow: bool = False


NO_FAULT = RequestFault()


@dataclass
class FaultRules:
    """All armed rules. `now_ms` is set by whoever drives the venue; `seed` fixes every draw."""

    seed: int = 1
    now_ms: int = 0
    armed: dict[str, list[Rule]] = field(default_factory=dict)
    spent: list[Rule] = field(default_factory=list)
    _numbers: int = 0

    def arm(self, kind: str, **body: Any) -> Rule:
        """Arm a rule. Raises ValueError naming what is wrong."""
        knob = RULES.get(kind)
        if knob is None:
            raise ValueError(f"kind must be one of {', '.join(sorted(RULES))}")
        unknown = set(body) - set(FILTERS) - set(MEASURES) - set(knob.values)
        if unknown:
            allowed = ", ".join((*FILTERS, *MEASURES, *knob.values))
            raise ValueError(f"{kind} does not know {', '.join(sorted(unknown))}; it takes {allowed}")
        seconds = checked("seconds", body.get("seconds", 0.0), 0.0, 1e6)
        default_count = -1 if seconds or kind.endswith(".freeze") or kind in ("rate", "rest.lag", "rest.page") else 1
        self._numbers += 1
        rule = Rule(
            number=self._numbers,
            kind=kind,
            filters={name: str(body[name]) for name in FILTERS if body.get(name) not in (None, "")},
            values={name: like(name, body.get(name, default), default) for name, default in knob.values.items()},
            left=int(checked("count", body.get("count", default_count), -1, 1e9)),
            probability=checked("probability", body.get("probability", 1.0), 0.0, 1.0),
            skip=int(checked("skip", body.get("skip", 0), 0, 1e9)),
            until_ms=self.now_ms + int(seconds * 1000) if seconds else 0,
            random=random.Random(f"{self.seed}:{self._numbers}:{kind}"),
        )
        self.armed.setdefault(kind, []).append(rule)
        return rule

    def ask(self, kind: str, needs: str = "", **context: str) -> Rule | None:
        """Does a fault of this kind happen here and now? context: some of FILTERS; a hit is counted. needs: only rules
        with this filter."""
        rules = self.armed.get(kind)
        if not rules:
            return None
        for rule in rules[:]:
            if rule.until_ms and self.now_ms >= rule.until_ms:
                self._retire(rule)
                continue
            if needs and needs not in rule.filters:
                continue
            if not all(fnmatchcase(context.get(name, ""), wanted) for name, wanted in rule.filters.items()):
                continue
            rule.asked += 1
            if rule.skip > 0:
                rule.skip -= 1
                continue
            if rule.probability < 1.0 and rule.random.random() >= rule.probability:
                continue
            rule.hits += 1
            if rule.left > 0:
                rule.left -= 1
                if rule.left == 0:
                    self._retire(rule)
            return rule
        return None

    def on_request(self, channel: str, op: str, uid: str = "", symbol: str = "") -> RequestFault:
        """The fault of a client's request, or NO_FAULT. channel: "rest" or "trade" (filter `stream`).

        `trade.` kinds leave market data alone, unless a rule names its op."""
        if not self.armed:
            return NO_FAULT
        for kind in REQUEST_KINDS:
            if kind.startswith("rest.") and channel != "rest":
                continue
            if kind == "trade.err_no_reqid" and channel != "trade":
                continue
            needs = "op" if kind.startswith("trade.") and op.startswith("market.") else ""
            rule = self.ask(kind, needs, uid=uid, symbol=symbol, op=op, stream=channel)
            if rule is not None:
                return fault_of(rule)
        return NO_FAULT

    def disarm(self, number: int = 0) -> int:
        """Disarm one rule, or all (0); returns how many."""
        found = [rule for rules in self.armed.values() for rule in rules if number in (0, rule.number)]
        for rule in found:
            self._retire(rule)
        return len(found)

    def as_list(self) -> list[dict[str, Any]]:
        """Every rule so far with its hits, the armed ones first."""
        return [rule.as_dict() for rules in self.armed.values() for rule in rules] + [r.as_dict() for r in self.spent]

    def _retire(self, rule: Rule) -> None:
        rules = self.armed[rule.kind]
        rules.remove(rule)
        if not rules:
            del self.armed[rule.kind]
        self.spent.append(rule)


def fault_of(rule: Rule) -> RequestFault:
    """The request fault that a rule that has hit stands for."""
    kind, values = rule.kind, rule.values
    executed = bool(values.get("executed", True))
    delay_ms = int(values.get("ms", 0))
    if kind == "rest.403":
        return RequestFault(kind, execute=False, status=403, body=FORBIDDEN)
    if kind == "rest.5xx":
        return RequestFault(kind, execute=executed, status=int(values["status"]), body=b"")
    if kind == "rest.html":
        return RequestFault(kind, execute=executed, status=int(values["status"]), body=HTML)
    if kind in ("trade.reject", "trade.err_no_reqid"):
        code = int(values["code"])
        text = str(values.get("text") or TEXTS.get(code, TEXTS[10016]))
        no_req_id = kind == "trade.err_no_reqid"
        return RequestFault(kind, execute=no_req_id and executed, code=code, text=text, no_req_id=no_req_id)
    if kind == "trade.ack_drop":
        return RequestFault(kind, execute=executed, lose="answer")
    if kind == "trade.accept_then_drop":
        return RequestFault(kind, lose="connection")
    if kind == "trade.swallow":
        return RequestFault(kind, execute=False, swallow=True)
    return RequestFault(kind, delay_ms=delay_ms, reorder=kind == "trade.reorder")


def checked(name: str, value: Any, low: float, high: float) -> float:
    """A number in [low, high], else ValueError."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"{name} must be a number from {low:g} to {high:g}")
    return float(value)


def like(name: str, value: Any, default: Any) -> Any:
    """A parameter of the type of its default, else ValueError."""
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise ValueError(f"{name} must be true or false")
        return value
    if isinstance(default, str):
        return str(value)
    found = checked(name, value, -1e9, 1e9)
    return int(found) if isinstance(default, int) else found
