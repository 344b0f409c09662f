"""A desk recovered from the compacted journal is the desk recovered from the whole, at whatever record the crash came."""

from __future__ import annotations

from typing import Any

import pytest

from core.enums import Cause, OrderRole
from core.orders.desk_journal import Base, Executed, Intent, decode
from core.orders.exchange_desk import ExchangeDesk
from core.orders.exchange_desk_core import DESK_SEQ
from core.orders.exchange_words import RecordKind, Tell
from core.orders.journal_compact import compact
from tests.core.orders.desk_cases import rig
from tests.core.orders.naive_exchange import MS, Rig, S
from tests.core.orders.test_exchange_desk_seeds import Life

KEEP_MS = 1_500


def recovered(r: Rig, raw: list[tuple[int, bytes]], booked: int) -> ExchangeDesk:
    desk = r.new_desk()
    desk.recover(r.now_ns, raw, booked)
    return desk


def memory(desk: ExchangeDesk, since_ms: int) -> dict[str, Any]:
    """Everything a restart brings back that can make a difference."""
    core = desk.core
    return {
        "positions": {
            h.symbol: (h.lots, h.entry_value_e8, h.ignored_lots, h.stop_ticks, h.targets, h.order_id, h.decision_id)
            for h in core.holdings.values() if h.lots},
        "off": {h.symbol: sorted(h.off) for h in core.holdings.values() if h.off},
        "orders": {o.link_id: (o.state, o.cum_lots, o.qty_lots, o.reduce_only, o.left_by_ns) for o in core.store if o.alive},
        "entries": {name: (e.order.order_id, e.leaves_lots) for name, e in desk.entries.working.items()},
        "closing": sorted(desk.closes.jobs),
        "troubles": sorted(core.troubles),
        "killed": core.killed,
        "numbers": (core.number, core.leg_number, core.checkpoint_ms),
        "executions": {i for i, ms in core.store.execs.items() if ms >= since_ms},
        "told": [effect.message._replace(mono_recv_ns=0) for effect in desk.drain() if isinstance(effect, Tell)],
    }


def checked(r: Rig, raw: list[tuple[int, bytes]], booked: int) -> int:
    """Compact and compare; returns how many records went."""
    short = compact(raw, booked, KEEP_MS)
    since = 0
    if short and short[0][0] == RecordKind.BASE:
        base = decode(*short[0])
        assert isinstance(base, Base)
        since = base.forgotten_ms
    whole, brief = recovered(r, raw, booked), recovered(r, short, booked)
    assert memory(whole, since) == memory(brief, since)
    again = compact(short, booked, KEEP_MS)
    assert again == short, "compacting twice is compacting once"
    return len(raw) - len(short)


def number_of(raw: list[tuple[int, bytes]]) -> int:
    return max((getattr(decode(kind, payload), "number", 0) for kind, payload in raw), default=0)


@pytest.mark.parametrize("seed", range(4))
def test_a_crash_at_any_record_of_a_life_brings_back_the_same_desk(seed: int) -> None:
    life = Life(seed, crashes=seed % 2 == 0).run()
    raw = life.rig.records
    gone = 0
    for end in range(0, len(raw) + 1, 11):
        cut = raw[:end]
        told = number_of(cut)
        for untold in (0, 2):
            gone = max(gone, checked(life.rig, cut, DESK_SEQ + max(told - untold, 0) if told else 0))
    assert gone > len(raw) // 3, (gone, len(raw))


def trade(r: Rig, number: int) -> None:
    """In, and out again."""
    order = r.order(number)
    assert not r.desk.submit(r.now_ns, order, r.desk.core.instruments[order.name], 1500 * MS)
    r.flush()
    r.run(50)
    r.venue.fill(r.venue.by_link[r.link("E", -1)], order.qty_lots, order.price_ticks)
    r.run(50)
    r.desk.close(r.now_ns, 0, OrderRole.EXIT, int(Cause.CONTROL))
    r.flush()
    r.until(lambda: r.desk.flat)


def test_a_long_run_keeps_a_short_journal() -> None:
    """Two hundred round trips over a day, compacted at every restart: what is read at the next one does not grow."""
    r = rig()
    sizes = []
    for number in range(1, 201):
        trade(r, number)
        r.now_ns += 400 * S
        r.venue.now_ms += 400_000
        r.run(20)
        if number % 20 == 0:
            r.desk.recon.ask_now()
            r.run(31_000)
            whole = len(r.records)
            r.records = compact(r.records, r.told[-1].seq, 1_200_000)
            r.crash(booked=r.told[-1].seq)
            r.until(lambda: r.desk.ready)
            sizes.append((whole, len(r.records)))
    assert all(whole > 90 for whole, _ in sizes) and max(kept for _, kept in sizes[1:]) < 45, sizes
    assert r.told_lots() == 0 and len({m.seq for m in r.told}) == len(r.told), "no number was given twice"


def test_what_may_still_fill_keeps_what_has_filled_of_it() -> None:
    """An entry half filled, its half closed by the stop: the other half works on, however long ago that was."""
    r = rig()
    r.submit(lots=100, flags=1, work_ms=3_600_000)
    r.run(50)
    r.venue.fill(r.venue.by_link[r.link("E")], 40, 9_990)
    r.run(50)
    r.venue.trigger_stop("AUSDT")
    r.run(50)
    assert r.desk.lots(0) == 0 and r.desk.core.store.by_link[r.link("E")].alive
    r.venue.now_ms += 600_000
    r.desk.recon.ask_now()
    r.run(31_000)
    assert r.desk.core.store.by_link[r.link("E")].alive
    short = compact(r.records, r.told[-1].seq, KEEP_MS)
    assert [type(d) for d in (decode(*raw) for raw in short) if isinstance(d, Intent | Executed)] == [
        Intent, Executed, Executed]
    checked(r, r.records, r.told[-1].seq)


def test_what_nobody_was_told_is_kept_and_nothing_is_touched_without_a_checkpoint() -> None:
    r = rig()
    trade(r, 1)
    told = [decode(*raw) for raw in compact(r.records, 0, 0)]  # booked nothing: everything must be told again
    assert {d.number for d in told if isinstance(d, Executed)} == {m.seq - DESK_SEQ for m in r.told if m.qty_lots}
    bare = [raw for raw in r.records if raw[0] != RecordKind.CHECKPOINT]
    assert compact(bare, r.told[-1].seq, 0) == bare
