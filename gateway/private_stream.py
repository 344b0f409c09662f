"""The private stream: order, execution, position and wallet rows as events, or a new connection when in doubt.

Bybit sends no snapshot after a subscription, so whoever hears `LinkState(PRIVATE, up)` looks everything up once. A frame
that cannot be understood is as good as a lost one: the connection is remade, and looking up follows.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec

from gateway.bybit.private_codec import TOPICS, Told, decode_private
from gateway.bybit.session import ConnectBudget, Timing
from gateway.bybit.sign import Credentials
from gateway.bybit.wire_units import Grids
from gateway.signed_socket import SignedSocket
from gateway.venue_clock import VenueClock


class PrivateStream(SignedSocket):
    """`on_told` takes each frame and what it says; `on_note` a sentence about what could not be used."""

    name = "private"
    id_name = "req_id"

    def __init__(
        self, url: str, keys: Credentials, clock: VenueClock, timing: Timing, budget: ConnectBudget, rng: random.Random,
        on_change: Callable[[bool, str], None], grids: Grids, on_told: Callable[[bytes, Told], None],
        on_note: Callable[[str, str], None],
    ) -> None:
        super().__init__(url, keys, clock, timing, budget, rng, on_change)
        self.frames = self.other = 0
        self._grids = grids
        self._on_told = on_told
        self._on_note = on_note
        self._subscription = ""
        self._strangers: set[str] = set()

    def greet(self) -> None:
        self._subscription = self.next_id()
        self.write(msgspec.json.encode({"req_id": self._subscription, "op": "subscribe", "args": TOPICS}))

    def on_text(self, frame: bytes) -> None:
        self.frames += 1
        told = decode_private(frame, self._grids)
        self._on_told(frame, told)
        self.other += told.other
        control = told.control
        if control is not None and control.op == "subscribe":
            if control.is_failure:
                self.drop(f"subscription refused: {control.text[:80]}")
            elif not self.is_up:
                self.set_up()
        for symbol in set(told.strangers) - self._strangers:
            self._strangers.add(symbol)
            self._on_note("stranger", f"{symbol}: orders or positions in a symbol that is not traded here")
        if told.troubles:
            self._on_note("private_frame", f"private stream: {told.troubles[0]}")
            self.drop("a frame that cannot be understood")

