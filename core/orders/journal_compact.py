"""The desk's journal without its dead: what a restart must know, and nothing of orders that ended long ago.

    records -> compact -> BASE, then the records that still matter, in their order

Forgotten is what the running desk has forgotten, too (`OrderStore.prune`): executions older than the reach of the look-ups
(`keep_ms` behind the checkpoint) of positions that have been flat since, and orders that ended before then. A desk recovered
from the rest is the desk recovered from the whole. What no message has told yet (`booked`) is kept, whatever its age.
"""

from __future__ import annotations

from collections.abc import Iterable

from core.orders.desk_journal import (
    Base,
    Checkpoint,
    Ended,
    Executed,
    Intent,
    Latch,
    Protect,
    Record,
    Resumed,
    decode,
    persist,
)
from core.orders.exchange_desk_core import DESK_SEQ
from core.orders.exchange_desk_fills import MOVES_QUANTITY

Raw = tuple[int, bytes]


def compact(raw: Iterable[Raw], booked: int, keep_ms: int) -> list[Raw]:
    """`raw`: records as (kind, payload); `booked`: the highest `message.seq` of the desk that the Broker has booked.
    Returns them as they were where there is nothing to forget. Raises DeskRecordError."""
    whole = list(raw)
    records = [decode(kind, payload) for kind, payload in whole]
    cut_ms = max((r.venue_ms for r in records if isinstance(r, Checkpoint | Base)), default=0) - keep_ms
    if cut_ms <= 0:
        return whole
    told = booked - DESK_SEQ
    ended = {r.link_id for r in records if isinstance(r, Ended) and r.link_id and r.time_ms < cut_ms}
    done = {r.order_id for r in records if isinstance(r, Ended) and not r.link_id and r.time_ms < cut_ms and r.number <= told}
    fillable = {  # legs of an entry are forgotten together: what one has filled is not left to the other
        r.link_id for r in records
        if isinstance(r, Intent) and not (r.link_id in ended and (r.reduce_only or r.order_id in done))
    }
    dead = _dead_executions(records, cut_ms, told, fillable)
    kept_links = fillable | {r.link_id for at, r in enumerate(records) if isinstance(r, Executed) and at not in dead}
    dead |= {at for at, r in enumerate(records) if isinstance(r, Intent) and r.link_id not in kept_links}
    alive = {r.order_id for at, r in enumerate(records) if isinstance(r, Intent) and not r.reduce_only and at not in dead}
    links = {r.link_id for at, r in enumerate(records) if isinstance(r, Intent) and at not in dead}
    for at, record in enumerate(records):
        if isinstance(record, Ended):
            if record.number <= told and (record.link_id not in links if record.link_id else record.order_id not in alive):
                dead.add(at)
        elif isinstance(record, Checkpoint | Base):
            dead.add(at)
    dead |= _dead_switches(records, dead) | _dead_restarts(records, dead)
    base = _base(records, cut_ms)
    kept = [pair for at, pair in enumerate(whole) if at not in dead]
    effect = persist(base)
    return [(int(effect.kind), effect.payload), *kept] if len(kept) + 1 < len(whole) else whole


def _dead_executions(records: list[Record], cut_ms: int, told: int, fillable: set[str]) -> set[int]:
    """Of each symbol everything up to the last moment it was flat, with nothing before it that is younger than the cut, not
    told yet, or of an order that may still fill (what has filled of it must be known)."""
    lots: dict[str, int] = {}
    seen: dict[str, list[int]] = {}
    closed: set[str] = set()  # symbols with a record that must stay: nothing behind it is dead
    dead: set[int] = set()
    for at, record in enumerate(records):
        if not isinstance(record, Executed):
            continue
        name = record.symbol
        if record.exec_type in MOVES_QUANTITY:
            lots[name] = lots.get(name, 0) + record.side * record.qty_lots
        if record.exec_time_ms >= cut_ms or record.number > told or record.link_id in fillable:
            closed.add(name)
        if name in closed:
            continue
        seen.setdefault(name, []).append(at)
        if not lots.get(name):
            dead.update(seen.pop(name))
    return dead


def _dead_switches(records: list[Record], dead: set[int]) -> set[int]:
    """Latches and stops that a later record of the same kind replaces, and stops of positions that are over."""
    last: dict[tuple[str, ...], int] = {}
    found: set[int] = set()
    for at, record in enumerate(records):
        if isinstance(record, Executed) and at in dead:
            stop = last.pop(("", record.symbol), None)  # flat since: what was wanted then is over
            if stop is not None:
                found.add(stop)
        elif isinstance(record, Protect | Latch):
            key = ("", record.symbol) if isinstance(record, Protect) else (record.name, record.symbol)
            if key in last:
                found.add(last[key])
            last[key] = at
            if isinstance(record, Latch) and record.name == "off:":  # a person allowed entries: all reasons are void
                gone = [k for k in last if len(k[0]) > 4 and k[0].startswith("off:") and k[1] == record.symbol]
                found.update(last.pop(k) for k in gone)
    return found


def _dead_restarts(records: list[Record], dead: set[int]) -> set[int]:
    """Restarts that say nothing new: no order was written since the one before."""
    found: set[int] = set()
    is_news = False
    for at, record in enumerate(records):
        if isinstance(record, Intent):
            is_news = is_news or at not in dead
        elif isinstance(record, Resumed):
            if not is_news:
                found.add(at)
            is_news = False
    return found


def _base(records: list[Record], cut_ms: int) -> Base:
    checkpoint = leg_number = number = 0
    for record in records:
        if isinstance(record, Checkpoint | Base):
            checkpoint = max(checkpoint, record.venue_ms)
            leg_number = max(leg_number, record.leg_number)
        if isinstance(record, Base | Executed | Ended):
            number = max(number, record.number)
        elif isinstance(record, Intent) and record.reduce_only:
            leg_number = max(leg_number, int(record.link_id.rsplit("-", 1)[1][:-1], 36))
    return Base(checkpoint, leg_number, number, cut_ms)
