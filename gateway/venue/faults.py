"""Faults on demand: what a real exchange does to its clients on a bad day (POST /venue/fault, --fault FILE, scenarios).

    {"kind": "trade.ack_drop", "uid": "100542583", "op": "order.create", "count": 1}
    {"kind": "feed.drop", "topic": "orderbook.50.BTCUSDT", "probability": 0.1, "seconds": 20}
    {"kind": "venue.restart", "seconds": 3}

Two sorts. A *rule* (fault_rules.RULES) is armed and happens when something passes that it matches. An *action* (ACTIONS
here, and those of the accounts) happens at once. Both are noted in the truth; refusals are ValueErrors whose text says
what would be right.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from fnmatch import fnmatchcase
from typing import Any

from gateway.venue.clients import Client
from gateway.venue.clock import VenueClock
from gateway.venue.fault_rules import FILTERS, MEASURES, RULES, Knob, checked, like
from gateway.venue.hub import Hub
from gateway.venue.private_hub import PrivateHub
from gateway.venue.session import ws_frame
from gateway.venue.streams import DEPTHS, KIND_NAMES
from gateway.venue.synthetic import SyntheticExchange
from gateway.venue.truth import Happening, Truth

BOOK_NAMES = KIND_NAMES[: len(DEPTHS)]
Action = Callable[[dict[str, Any], Happening], None]

ACTIONS: dict[str, Knob] = {
    "feed.raw": Knob({"text": ""}, "a broken frame (or `text`) to the subscribers of a topic or symbol"),
    "feed.snapshot": Knob({"u": 1}, "its books start again with a snapshot; u = 1 as after a restart, 0 = the counter goes on"),
    "ws.half_open": Knob({}, "sockets stay open and nothing goes through any more"),
    "ws.rst": Knob({}, "sockets are cut without a word"),
    "ws.close": Knob({"code": 1001}, "sockets are closed with a close frame"),
    "clock.skew": Knob({"ms": 2000}, "the venue's clock is so far ahead (negative: behind), for `seconds` or for good"),
    "clock.step": Knob({"ms": 2000}, "the venue's clock jumps by so much"),
    "clock.suspend": Knob({"seconds": 1.0}, "the venue stands still: nothing is answered or sent, then time has jumped"),
    "venue.restart": Knob({}, "all sockets are closed, REST answers 502 and new sockets are refused for `seconds` (2); "
                              "books start with u = 1, closed orders leave order/realtime"),
    # the names of the public venue, kept
    "gap": Knob({}, "feed.drop of the subscribed books of a symbol (count each)"),
    "stale": Knob({}, "feed.freeze of a topic, or of all topics of a symbol, for `seconds` (5)"),
    "restart_u1": Knob({}, "feed.snapshot with u = 1"),
    "malformed": Knob({"text": ""}, "feed.raw"),
    "disconnect": Knob({}, "ws.rst of public sockets (those that listen to a symbol, or all)"),
    "half_open": Knob({}, "ws.half_open of public sockets"),
    "refuse": Knob({}, "sub.nack of a topic (* = any)"),
}
RESTART_S = 2.0
STALE_S = 5.0
MAX_SUSPENSION_S = 600.0


class Faults:
    """Carries faults out.

    exchange None: a tape plays, which has no books of its own to restart. `accounts` adds the actions on accounts;
    `suspend` makes the whole venue stand still for some seconds.
    """

    def __init__(self, hub: Hub, truth: Truth, exchange: SyntheticExchange | None, private: PrivateHub | None = None,
                 clock: VenueClock | None = None, accounts: dict[str, tuple[Knob, Action]] | None = None,
                 suspend: Callable[[float], None] = lambda _seconds: None) -> None:
        self._hub = hub
        self._truth = truth
        self._exchange = exchange
        self._private = private
        self._clock = clock or VenueClock()
        self._suspend = suspend
        self.rules = hub.rules
        self.knobs: dict[str, Knob] = {**RULES, **ACTIONS}
        self._actions: dict[str, Action] = {
            "feed.raw": self._raw, "feed.snapshot": self._snapshot, "ws.half_open": self._half_open, "ws.rst": self._rst,
            "ws.close": self._close, "clock.skew": self._skew, "clock.step": self._step,
            "clock.suspend": self._stand_still, "venue.restart": self._restart,
            "gap": self._gap, "stale": self._stale, "restart_u1": self._snapshot, "malformed": self._raw,
            "disconnect": self._rst, "half_open": self._half_open, "refuse": self._refuse,
        }
        for kind, (knob, action) in (accounts or {}).items():
            self.knobs[kind], self._actions[kind] = knob, action

    def order(self, body: Any, now_ms: int) -> dict[str, Any]:
        """Do what `body` asks and note it in the truth."""
        body = self.check(body)
        kind = body["kind"]
        happening = Happening(0, kind, str(body.get("symbol") or body.get("topic") or ""), now_ms)
        if kind in self._actions:
            self._actions[kind](body, happening)
        else:
            rule = self.rules.arm(**body)
            happening.details.update(rule=rule.number, **rule.filters, **rule.values)
            happening.end_ms = rule.until_ms or None
        noted = self._truth.begin(happening.kind, happening.symbol, now_ms, **happening.details)
        noted.end_ms = happening.end_ms if happening.end_ms is not None else now_ms
        self._hub.counters.faults += 1
        return {"ok": True, "id": noted.id, "kind": noted.kind, "details": noted.details}

    def check(self, body: Any) -> dict[str, Any]:
        """`body` when it names a kind and only parameters of that kind, with values of the right sort; else ValueError."""
        if not isinstance(body, dict) or str(body.get("kind")) not in self.knobs:
            raise ValueError(f"kind must be one of {', '.join(self.knobs)}")
        knob = self.knobs[body["kind"]]
        unknown = set(body) - {"kind"} - set(FILTERS) - set(MEASURES) - set(knob.values)
        if unknown:
            allowed = ", ".join((*FILTERS, *MEASURES, *knob.values))
            raise ValueError(f"{body['kind']} does not know {', '.join(sorted(unknown))}; it takes {allowed}")
        for name in FILTERS:
            if body.get(name) is not None and not isinstance(body[name], str | int):
                raise ValueError(f"{name} must be a text")
        for name, default in MEASURES.items():
            if name in body:
                checked(name, body[name], -1 if name == "count" else 0, 1.0 if name == "probability" else 1e9)
                if isinstance(default, int) and body[name] != int(body[name]):
                    raise ValueError(f"{name} must be a whole number")
        for name, default in knob.values.items():
            like(name, body.get(name, default), default)
        return body

    # -- whom it concerns --------------------------------------------------------------------------------------------
    def _keys(self, body: dict[str, Any], names: tuple[str, ...]) -> list[Hashable]:
        """Topics meant by `topic`, or the topics of `names` of `symbol`."""
        topics = [body["topic"]] if body.get("topic") else [f"{name}.{body.get('symbol')}" for name in names]
        keys = [key for key in (self._hub.source.find(topic) for topic in topics) if key is not None]
        if not keys:
            raise ValueError("give the topic or symbol of a listed contract")
        return keys

    def _clients(self, body: dict[str, Any]) -> list[tuple[Hub | PrivateHub, Client]]:
        """Sockets meant by stream (public, private, trade), uid, topic and symbol; the old kinds mean public ones."""
        stream = "public" if body["kind"] in ("disconnect", "half_open") else str(body.get("stream") or "*")
        found: list[tuple[Hub | PrivateHub, Client]] = []
        if fnmatchcase("public", stream) and not body.get("uid"):
            listeners = self._hub.clients[:]
            if body.get("symbol") or body.get("topic"):
                listeners = self._hub.listeners(self._keys(body, KIND_NAMES))
            found.extend((self._hub, client) for client in listeners)
        private = self._private
        if private is not None and not body.get("symbol"):
            wanted, topic = str(body.get("uid") or "*"), str(body.get("topic") or "")
            found.extend(
                (private, client) for client in private.clients
                if fnmatchcase(client.stream, stream) and fnmatchcase(client.uid, wanted)
                and (not topic or topic in getattr(client.session, "topics", ()))
            )
        return found

    # -- public stream -----------------------------------------------------------------------------------------------
    def _subscribed_books(self, body: dict[str, Any]) -> list[Any]:
        return [key for key in self._keys(body, BOOK_NAMES) if key in self._hub.subscribers]

    def _gap(self, body: dict[str, Any], happening: Happening) -> None:
        count = max(1, int(body.get("count") or 1))
        keys = self._subscribed_books(body)
        for key in keys:
            self.rules.arm("feed.drop", topic=self._hub.source.name_of(key), count=count)
        happening.details.update(count=count, topics=len(keys))

    def _stale(self, body: dict[str, Any], happening: Happening) -> None:
        seconds = float(body.get("seconds") or STALE_S)
        happening.end_ms = happening.start_ms + int(1000 * seconds)
        for key in self._keys(body, KIND_NAMES):
            self.rules.arm("feed.freeze", topic=self._hub.source.name_of(key), seconds=seconds)

    def _snapshot(self, body: dict[str, Any], happening: Happening) -> None:
        if self._exchange is None:
            raise ValueError(f"{body['kind']} needs the synthetic market; a tape is played verbatim")
        keys = self._subscribed_books(body)
        happening.details["topics"] = len(keys)
        again = int(body.get("u", 1)) == 1
        self._hub.publish([(key, self._exchange.restart_book(key, again)) for key in keys])

    def _raw(self, body: dict[str, Any], happening: Happening) -> None:
        keys = self._keys(body, BOOK_NAMES)
        topic = body.get("topic") or f"orderbook.50.{body.get('symbol')}"
        text = str(body.get("text") or f'{{"topic":"{topic}","type":"delta","ts":17')
        listeners = self._hub.listeners(keys)
        for client in listeners:
            client.outbox.append(ws_frame(text.encode()))
        happening.details["clients"] = len(listeners)

    def _refuse(self, body: dict[str, Any], happening: Happening) -> None:
        topic, count = str(body.get("topic") or "*"), max(1, int(body.get("count") or 1))
        self.rules.arm("sub.nack", topic=topic, count=count)
        happening.details.update(topic=topic, count=count)

    # -- sockets -----------------------------------------------------------------------------------------------------
    def _rst(self, body: dict[str, Any], happening: Happening) -> None:
        clients = self._clients(body)
        for sockets, client in clients:
            sockets.cut(client)
        happening.details["clients"] = len(clients)

    def _half_open(self, body: dict[str, Any], happening: Happening) -> None:
        clients = self._clients(body)
        for _, client in clients:
            client.half_open = True
        happening.details["clients"] = len(clients)

    def _close(self, body: dict[str, Any], happening: Happening) -> None:
        code = int(body.get("code", 1001))
        clients = self._clients(body)
        for sockets, client in clients:
            client.transport.write(bytes((0x88, 2)) + code.to_bytes(2, "big"))
            client.transport.close()
            sockets.disconnect(client)
        happening.details["clients"] = len(clients)

    # -- the venue as a whole ----------------------------------------------------------------------------------------
    def _skew(self, body: dict[str, Any], happening: Happening) -> None:
        self._clock.skew_ms = int(body.get("ms", 2000))
        happening.details["skew_ms"] = self._clock.skew_ms
        if body.get("seconds"):
            happening.end_ms = happening.start_ms + int(1000 * float(body["seconds"]))
            self._hub.postponed.put(self._hub.now_ms + int(1000 * float(body["seconds"])), self._unskew)

    def _unskew(self) -> None:
        self._clock.skew_ms = 0

    def _step(self, body: dict[str, Any], happening: Happening) -> None:
        self._clock.skew_ms += int(body.get("ms", 2000))
        happening.details["skew_ms"] = self._clock.skew_ms

    def _stand_still(self, body: dict[str, Any], happening: Happening) -> None:
        seconds = float(body.get("seconds") or 1.0)
        if seconds > MAX_SUSPENSION_S:
            raise ValueError(f"seconds must be at most {MAX_SUSPENSION_S:g}")
        happening.end_ms = happening.start_ms + int(1000 * seconds)
        self._suspend(seconds)

    def _restart(self, body: dict[str, Any], happening: Happening) -> None:
        seconds = float(body.get("seconds") or RESTART_S)
        happening.end_ms = happening.start_ms + int(1000 * seconds)
        if "rest.wipe_closed" in self._actions:
            self._actions["rest.wipe_closed"](body, happening)
        if self._exchange is not None:
            self._exchange.restart_counters()
        self._close({"kind": "ws.close", "code": 1001}, happening)
        self.rules.arm("rest.5xx", status=502, seconds=seconds)
        self.rules.arm("ws.refuse", seconds=seconds)
