"""The kill sequence of execution: latch, stop entries, cancel, close, verify flat twice. Level-triggered and durable.

The words in shared memory say *now*; the file says it across restarts. Whoever requests a kill may write the file;
execution writes it when it sees the words, and sets the words when it finds the file. Only a person clears it: through
`ControlBlock.clear_kill` (then execution removes the file) or `launch.py resume --clear-kill` (which does both).

What "cancel and close" means is the business of a `StandDown`: the paper account tells the shards' desks; in LIVE the
exchange desk cancels the entries, closes reduce-only and removes the stops last.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from config.latch_file import clear_latch, read_latch, write_latch
from core.constants import NS_PER_MS
from core.enums import Cause, ControlBits
from core.orders.broker import Broker
from core.orders.wire import Report

RESEND_NS = 1_000_000_000  # what is still open is told again
VERIFY_NS = 50_000_000  # between the two looks that find nothing open
FILE_POLL_NS = 20_000_000  # a kill by file is as quick as one by word
FIRST_LOOK, VERIFIED = "KILL flat, first look", "KILL verified flat"

Tell = Callable[[str, float], None]  # phase, ms since the request


class KillWords(Protocol):
    """The part of `shm.control.ControlBlock` used here."""

    def get(self, name: str) -> int: ...

    def set(self, name: str, value: int) -> None: ...

    def request_kill(self, source: str) -> None: ...

    def kill_sources(self) -> list[str]: ...


class StandDown(Protocol):
    """What the kill switch drives. `flat` is asked again and again, so it must be cheap and never say so too early."""

    def stand_down(self, now_ns: int) -> list[Report]:
        """Cancel what works, close what is open; asked again every `RESEND_NS` until flat. Reports for the shards."""
        ...

    @property
    def at_stake(self) -> bool:
        """Something works, is open or is unknown."""
        ...

    @property
    def flat(self) -> bool:
        """Nothing is at stake, and nothing waits to be written or sent."""
        ...


class PaperStandDown:
    """SIM and DRY_RUN: the shards' desks cancel and close; flat once the account says so and every report has left."""

    def __init__(self, broker: Broker, all_sent: Callable[[], bool]) -> None:
        self._broker = broker
        self._all_sent = all_sent

    def stand_down(self, now_ns: int) -> list[Report]:
        return self._broker.stand_down(int(Cause.KILL))

    @property
    def at_stake(self) -> bool:
        return not self._broker.flat

    @property
    def flat(self) -> bool:
        return self._broker.flat and self._all_sent()


class KillSwitch:
    """`tell` logs a phase with the ms since the request. Flat is told once for everything that was at stake: what only waits
    to be sent (the answer to an entry, the cancel of a stranger's order) takes the word back for that long, and no line."""

    def __init__(
        self, control: KillWords, path: Path, closing: StandDown, tell: Tell, on_error: Callable[[OSError], None],
    ) -> None:
        self._control = control
        self._path = path
        self.closing = closing
        self._tell = tell
        self._on_error = on_error
        self.killed = False
        self._clears = control.get("kill_clear_requests")
        self._since_ns = 0
        self._last_send_ns = 0
        self._flat_since_ns = 0
        self._told_flat = ""
        self._polled_ns = 0

    def start(self) -> None:
        """A killed system stays killed: set the words when the file stands."""
        if read_latch(self._path) is not None:
            self._control.request_kill("exec")

    def trip(self, reason: str) -> None:
        """Execution itself kills (a trigger of `core.orders.kill_triggers`): file with the reason, then the word."""
        try:
            write_latch(self._path, "exec", reason)
        except OSError as error:
            self._on_error(error)
        self._control.request_kill("exec")

    def turn(self, bits: ControlBits, now_ns: int) -> list[Report]:
        """One look at the words; returns unsolicited reports to send at once."""
        if now_ns - self._polled_ns >= FILE_POLL_NS:
            self._polled_ns = now_ns
            if not bits & ControlBits.KILL and not self._cleared() and self._path.exists():
                self._control.request_kill("exec")
                bits |= ControlBits.KILL
        if not bits & ControlBits.KILL:
            if self.killed:
                self._clear()
            return []
        if not self.killed:
            self._latch(now_ns)
            return self._send(now_ns)
        if self.closing.flat:
            self._verify(now_ns)
            return []
        self._flat_since_ns = 0
        if self._control.get("flat"):
            self._control.set("flat", 0)
        if self.closing.at_stake:
            if self._told_flat == VERIFIED:
                self._tell("KILL not flat any more", self._ms(now_ns))
            self._told_flat = ""
        return self._send(now_ns) if now_ns - self._last_send_ns >= RESEND_NS else []

    def _ms(self, now_ns: int) -> float:
        return max(now_ns - self._since_ns, 0) / NS_PER_MS

    def _cleared(self) -> bool:
        return self._control.get("kill_clear_requests") != self._clears

    def _latch(self, now_ns: int) -> None:
        self.killed = True
        self._since_ns = self._control.get("kill_ns") or now_ns
        self._flat_since_ns = 0
        self._told_flat = ""
        known = read_latch(self._path)  # whoever asked may have written it already
        sources = str(known["source"]) if known and "source" in known else ", ".join(self._control.kill_sources())
        self._tell(f"KILL latched by {sources}", self._ms(now_ns))
        try:
            write_latch(self._path, sources, "kill requested")
        except OSError as error:  # the words still hold; only a restart would forget
            self._on_error(error)

    def _send(self, now_ns: int) -> list[Report]:
        self._last_send_ns = now_ns
        reports = self.closing.stand_down(now_ns)
        if reports:
            self._tell(f"KILL cancel and close: {len(reports)}", self._ms(now_ns))
        return reports

    def _verify(self, now_ns: int) -> None:
        if self._control.get("flat"):
            return
        if self._flat_since_ns == 0:
            self._flat_since_ns = now_ns
            if not self._told_flat:
                self._tell_flat(FIRST_LOOK, now_ns)
        elif now_ns - self._flat_since_ns >= VERIFY_NS:
            self._control.set("flat", 1)
            if self._told_flat != VERIFIED:
                self._tell_flat(VERIFIED, now_ns)

    def _tell_flat(self, text: str, now_ns: int) -> None:
        self._told_flat = text
        self._tell(text, self._ms(now_ns))

    def _clear(self) -> None:
        self.killed = False
        self._tell("KILL cleared", 0.0)
        if self._cleared():
            self._clears = self._control.get("kill_clear_requests")
            try:
                clear_latch(self._path)
            except OSError as error:
                self._on_error(error)
