"""The exchange desk of a LIVE run again: what reached it comes from the journal, what it wants is compared with the run.

    bytes, SAID, TIMERS, NOW ──► ExchangeDesk ──► Send     against the bytes SENT
      (gateway/link_replay.py)       ▲     ├────► Tell     against the messages the account was told
    replayed Broker ── router ───────┘     └────► Persist  against the journal of execution

One ReplayDesk per run; a restarted execution begins a new life of it from the records it was given.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from core.consumption import (
    About,
    DeskBack,
    DeskCall,
    DeskRecords,
    GridNote,
    Kind,
    Now,
    Said,
    Timers,
)
from core.enums import Mode
from core.journal import Frame, JournalError
from core.orders.broker import Broker
from core.orders.desk_journal import DeskRecordError
from core.orders.desk_journal import decode as decode_record
from core.orders.exchange_desk import DeskConfig, ExchangeDesk
from core.orders.exchange_words import Lost, Persist, RecordKind, Send, Tell
from core.orders.journal_compact import compact
from core.orders.router import ExecutionRouter
from core.orders.wire import Message
from core.words import plural
from gateway.bybit.wire_units import WireGrid
from gateway.link_replay import LinkReplay, NotAsked
from gateway.link_words import NO_CONTEXT, Context
from shm.journal_reader import read_frames
from shm.run_spec import RunSpec
from workers.noted_desk import DESK_RECORD, call_again, decode_event, desk_config, unpacked
from workers.replay_compare import NOTHING, Difference, differing_fields, tell

TAIL = 64  # records that may have been on their way to the disk when execution died
PATIENCE_NS = 5_000_000_000  # behind its deadline a request has left or was refused, unless the link was stopped
SHOWN = 600  # characters of bytes in a difference
Record = tuple[int, bytes]


class ReplayDesk:
    """`take` notes and bytes of execution in order; `differ` is told each difference at event `seq`, the last one whose
    message execution had taken. sent, told, frames: what was compared or consumed."""

    def __init__(self, config: DeskConfig, differ: Callable[[Difference], None]) -> None:
        self._config = config
        self._differ = differ
        self.seq = 0
        self.ts_ns = 0
        self.frames = self.sent = self.told = self.records = 0
        self._wanted: list[Record] = []  # what should be in the journal of execution, or is on its way there
        self._recovering: list[Record] = []
        self._begin()

    def _begin(self) -> None:
        self.desk = ExchangeDesk(self._config)
        self._link = LinkReplay()
        self._now_ns = 0
        self._context: Context = NO_CONTEXT
        self._tells: deque[Message] = deque()
        self._waiting: dict[int, Send] = {}  # wanted, not seen to leave yet

    def begin(self) -> ExchangeDesk:
        """A life of execution begins: an empty desk."""
        self._begin()
        return self.desk

    # --- what came -----------------------------------------------------------------------------------------------------
    def take(self, item: Any, broker: Broker) -> bool:
        """A note or bytes; False where it is none of the desk's business."""
        desk, router = self.desk, broker.router
        if isinstance(item, Frame):
            self._bytes(item)
        elif isinstance(item, About):
            self._context = msgspec.json.decode(item.payload, type=Context)
        elif isinstance(item, Said):
            event = decode_event(item.payload)
            if isinstance(event, Lost) and not event.sent:
                self._waiting.pop(event.req_id, None)
            desk.on_event(self._now_ns, event)
        elif isinstance(item, Now):
            self._now_ns = router.now_ns = item.now_ns
        elif isinstance(item, Timers):
            for now_ns in np.frombuffer(item.payload, np.int64).tolist():
                desk.on_timer(now_ns)
        elif isinstance(item, DeskCall):
            call_again(desk, self._now_ns, item, self._recovering)
            self._recovering = []
        elif isinstance(item, GridNote):
            known = broker.instruments[item.symbol]
            self._link.grids[known.name] = WireGrid(*item[1:])
            desk.know(known)
        elif isinstance(item, DeskRecords):
            self._recovering += unpacked(item)
        elif isinstance(item, DeskBack):
            self._recover(item, broker, router)
        else:
            return False
        self.pump()
        return True

    def _bytes(self, frame: Frame) -> None:
        context, self._context = self._context, NO_CONTEXT
        self.ts_ns = frame.ts_recv_ns
        self.frames += 1
        if frame.kind == Kind.SENT:
            self._compare_sent(frame, context)
            return
        try:
            events = self._link.events(frame.kind, frame.data, context)
        except NotAsked as error:
            self._tell(f"answer on the {Kind(frame.kind).name} connection", shown(frame.data), f"never asked: {error}")
            return
        for event in events:
            self.desk.on_event(self._now_ns, event)

    def _recover(self, note: DeskBack, broker: Broker, router: ExecutionRouter) -> None:
        """The records a new life was given must be what the old one has written, as far as it came to the disk."""
        records, self._recovering = self._recovering, []
        if not self._was_compacted(records, note.booked):
            self.compare_records(records, self._wanted, "record {} a restarted execution was given")
        self._wanted = list(records)
        router.now_ns = note.now_ns
        working = [working.order for working in broker.working.values()]
        self.desk.recover(note.now_ns, records, note.booked, working)

    def _was_compacted(self, records: list[Record], booked: int) -> bool:
        """Is it what was wanted, without the dead (workers/journal_compaction.py), less what had not come to the disk yet?"""
        if not records or records[0][0] != RecordKind.BASE or records[:1] == self._wanted[:1]:
            return False
        keep_ms = 2 * self._config.overlap_ms
        whole = len(self._wanted)
        return any(compact(self._wanted[:end], booked, keep_ms) == records for end in range(whole, max(whole - TAIL, 0), -1))

    # --- what it wants ---------------------------------------------------------------------------------------------------
    def pump(self) -> None:
        """Take what the desk wants, in order."""
        for effect in self.desk.drain():
            if isinstance(effect, Persist):
                self._wanted.append((int(effect.kind), effect.payload))
            elif isinstance(effect, Send):
                self._link.requests[effect.request.req_id] = effect.request
                self._waiting[effect.request.req_id] = effect
            elif isinstance(effect, Tell):
                self._tells.append(effect.message)

    def compare_told(self, message: Message) -> None:
        """The account was told this by the desk; it must be what the replayed desk says next."""
        self.told += 1
        if not self._tells:
            self._tell("message of the exchange desk to the account", tell(message), NOTHING)
            return
        mine = self._tells.popleft()
        if mine != message:
            self._tell("message of the exchange desk to the account", *differing_fields(message, mine))

    def _compare_sent(self, frame: Frame, context: Context) -> None:
        self.sent += bool(context.req_ids)
        for req_id in context.req_ids:
            self._waiting.pop(req_id, None)
        where = f"bytes sent for request {', '.join(str(r & 0xFFFFFFFF) for r in context.req_ids)}"
        try:
            mine = self._link.written(frame.data, context)
        except NotAsked:
            self._tell(where, shown(frame.data), NOTHING)
            return
        if mine != frame.data:
            self._tell(where, *difference_shown(frame.data, mine))

    def _tell(self, where: str, recorded: str, replayed: str) -> None:
        self._differ(Difference(self.seq, self.ts_ns, where, recorded, replayed))

    # --- journal of execution ----------------------------------------------------------------------------------------------
    def compare_records(self, theirs: list[Record], mine: list[Record], where: str) -> None:
        """`theirs` must be the beginning of `mine`."""
        self.records = max(self.records, min(len(theirs), len(mine)))
        for number, record in enumerate(theirs):
            if number >= len(mine):
                self._tell(where.format(number), record_text(record), NOTHING)
                return
            if record != mine[number]:
                self._tell(where.format(number), record_text(record), record_text(mine[number]))
                return

    def finish(self, path: Path, run_id: str, is_closed: bool) -> list[str]:
        """The journal has ended: compare with what execution left on the disk. Returns notes about what stays open."""
        found = desk_records(path, run_id)
        mine = self._wanted
        if found is not None:
            common = found if is_closed else found[: len(mine)]
            self.compare_records(common, mine, "record {} of the execution journal")
            if is_closed and len(found) < len(mine):
                self._tell(f"record {len(found)} of the execution journal", NOTHING, record_text(mine[len(found)]))
        if is_closed and self._tells:
            self._tell("message of the exchange desk to the account", NOTHING, tell(self._tells[0]))
        open_requests = [s for s in self._waiting.values() if s.deadline_ns < self._now_ns - PATIENCE_NS]
        return [f"{plural(len(open_requests), 'request')} neither left nor came back refused: {open_requests[0].request}"] if (
            open_requests and is_closed) else []


def desk_of(spec: RunSpec, differ: Callable[[Difference], None] = lambda difference: None) -> ReplayDesk | None:
    """The desk of a LIVE run, None of any other."""
    return ReplayDesk(desk_config(spec), differ) if spec.mode == Mode.LIVE.name else None


def desk_records(path: Path, run_id: str) -> list[Record] | None:
    """Records of the desk in a journal of execution; None where it is not this run's."""
    try:
        with path.open("rb") as file:
            if run_id.encode() not in file.read(64):
                return None
        return [(frame.kind - DESK_RECORD, frame.data) for frame in read_frames(path) if frame.kind >= DESK_RECORD]
    except (OSError, JournalError):
        return None


def record_text(record: Record) -> str:
    """One record of the desk's journal for people."""
    try:
        return str(decode_record(*record))
    except (DeskRecordError, ValueError):
        return f"{RecordKind(record[0]).name}: {shown(record[1])}"


def shown(data: bytes) -> str:
    text = data.decode("utf-8", "replace")
    return text if len(text) <= SHOWN else text[:SHOWN] + " ..."


def difference_shown(theirs: bytes, mine: bytes) -> tuple[str, str]:
    """Both, from a little before the first byte in which they differ."""
    at = next((i for i, (a, b) in enumerate(zip(theirs, mine, strict=False)) if a != b), min(len(theirs), len(mine)))
    start = max(at - 80, 0)
    lead = f"byte {at}: " + ("..." if start else "")
    return lead + shown(theirs[start:]), lead + shown(mine[start:])

