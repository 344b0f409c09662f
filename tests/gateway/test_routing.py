"""Routing and publication: one order over all shards, TIMERs in place, states where they happened."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.enums import DataReason, DataState, EventKind
from core.records import EVENT
from gateway import routing
from gateway.bybit.book_sync import check_book
from gateway.publisher import Stopped
from tests.gateway.feed_tools import MS, T0, KeepingWriter, a_publisher, message

SNAP, DELTA, TRADES, TICKER = EventKind.BOOK_SNAPSHOT, EventKind.BOOK_DELTA, EventKind.TRADES, EventKind.TICKER
DATA, TIMER = EventKind.SYMBOL_DATA, EventKind.TIMER


def all_events(writers: list[KeepingWriter]) -> list[list]:
    return [writer.events() for writer in writers]


def data_only(events: list) -> list[tuple]:
    return [(e.kind, e.symbol, e.u) for e in events if e.kind not in (TIMER, EventKind.LISTING)]


def test_the_header_words_of_the_kernels_are_those_of_the_record() -> None:
    cells = message(SNAP, 3, T0, u=9, depth=200, levels=5)
    words = cells[0]
    offsets = {name: EVENT.dtype.fields[name][1] for name in EVENT.dtype.names}  # type: ignore[index]
    assert [offsets[n] for n in ("seq", "ts_exch_ns", "ts_recv_ns", "mono_recv_ns", "u", "xseq")] == [0, 8, 16, 24, 32, 40]
    assert (words[6] & 0xFFFFFFFF, (words[6] >> 32) & 0xFF, (words[6] >> 48) & 0xFFFF) == (3, SNAP, len(cells))
    assert (words[7] & 0xFFFF, (words[7] >> 32) & 0xFFFF) == (5, 200)


def test_listings_come_first_and_each_symbol_goes_to_its_shard() -> None:
    publisher, writers, _ = a_publisher()
    batch = np.concatenate([message(SNAP, s, T0 + 1, u=5, levels=9) for s in range(4)] + [message(TRADES, 2, T0 + 2)])
    publisher.route(batch, len(batch))
    publisher.publish()
    even, odd = all_events(writers)
    assert [(e.kind, e.symbol) for e in even[:2]] == [(EventKind.LISTING, 0), (EventKind.LISTING, 2)]
    assert data_only(even) == [(SNAP, 0, 5), (DATA, 0, 1), (SNAP, 2, 5), (DATA, 2, 1), (TRADES, 2, 0)]
    assert data_only(odd) == [(SNAP, 1, 5), (DATA, 1, 1), (SNAP, 3, 5), (DATA, 3, 1)]
    seqs = sorted(e.seq for events in (even, odd) for e in events)
    assert seqs == list(range(1, len(seqs) + 1))


def test_timers_lie_between_the_frames_they_separate_and_reach_every_shard() -> None:
    publisher, writers, _ = a_publisher()
    times = [T0 + 50 * MS, T0 + 99 * MS, T0 + 100 * MS, T0 + 350 * MS]
    batch = np.concatenate([message(TRADES, 0, t) for t in times])
    publisher.route(batch, len(batch))
    publisher.publish()
    even, odd = ([(e.kind, e.ts_ns - T0) for e in events if e.kind != EventKind.LISTING] for events in all_events(writers))
    timers = [(TIMER, t * MS) for t in (100, 200, 300)]
    assert odd == timers
    assert even == [(TRADES, 50 * MS), (TRADES, 99 * MS), timers[0], (TRADES, 100 * MS), *timers[1:], (TRADES, 350 * MS)]
    assert [e.seq for e in writers[0].events() if e.kind == TIMER] == [e.seq for e in writers[1].events() if e.kind == TIMER]


def test_a_long_silence_gets_one_timer_at_its_end() -> None:
    publisher, writers, _ = a_publisher()
    late = T0 + 60_000 * MS + 50 * MS
    batch = np.concatenate([message(TRADES, 0, T0 + MS), message(TRADES, 0, late)])
    publisher.route(batch, len(batch))
    publisher.publish()
    assert [e.ts_ns for e in writers[0].events() if e.kind == TIMER] == [T0 + 60_000 * MS]


def test_what_is_decided_at_a_timer_takes_its_place_there() -> None:
    publisher, writers, _ = a_publisher()
    publisher.on_timer = lambda ts_ns: publisher.broadcast(EventKind.GLOBAL, u=ts_ns)  # type: ignore[assignment, return-value]
    batch = np.concatenate([message(TRADES, 0, T0 + MS), message(TRADES, 0, T0 + 150 * MS)])
    publisher.route(batch, len(batch))
    publisher.publish()
    assert [e.kind for e in writers[0].events()[2:]] == [TRADES, TIMER, EventKind.GLOBAL, TRADES]
    assert [e.kind for e in writers[1].events()[2:]] == [TIMER, EventKind.GLOBAL]


def test_time_never_goes_back() -> None:
    publisher, writers, _ = a_publisher()
    batch = np.concatenate([message(TRADES, 0, T0 + t * MS) for t in (50, 20, 60, -5)])
    publisher.route(batch, len(batch))
    publisher.publish()
    assert [e.ts_ns - T0 for e in writers[0].events() if e.kind == TRADES] == [50 * MS, 50 * MS, 60 * MS, 60 * MS]
    assert publisher.routes.counts[routing.C_CLAMPED] == 2


def test_a_gap_is_told_in_place_then_nothing_of_the_book_until_a_snapshot() -> None:
    actions: list[tuple] = []
    publisher, writers, _ = a_publisher(on_action=lambda *action: actions.append(action))
    frames = [(SNAP, 5), (DELTA, 6), (DELTA, 9), (DELTA, 10), (SNAP, 20), (DELTA, 21), (SNAP, 40)]
    cells = [message(kind, 0, T0 + i * MS, u=u) for i, (kind, u) in enumerate(frames)]
    cells.insert(3, message(TRADES, 0, T0 + 2 * MS))
    batch = np.concatenate(cells)
    publisher.route(batch, len(batch))
    publisher.publish()
    assert data_only(writers[0].events()) == [
        (SNAP, 0, 5), (DATA, 0, DataState.OK), (DELTA, 0, 6), (DATA, 0, DataState.BROKEN), (TRADES, 0, 0),
        (SNAP, 0, 20), (DATA, 0, DataState.OK), (DELTA, 0, 21), (SNAP, 0, 40), (DATA, 0, DataState.OK),
    ]  # fmt: skip
    reasons = [e.xseq for e in writers[0].events() if e.kind == DATA]
    assert reasons == [DataReason.SNAPSHOT, DataReason.GAP, DataReason.SNAPSHOT, DataReason.RESET]
    assert actions == [
        (0, 50, routing.A_GAP, 2), (0, 50, routing.A_RECOVERED, 2 * MS), (0, 50, routing.A_RESET, 40)
    ]  # fmt: skip


def test_a_restart_delta_with_u_1_travels_as_a_snapshot() -> None:
    publisher, writers, _ = a_publisher()
    batch = np.concatenate([message(SNAP, 0, T0, u=5), message(DELTA, 0, T0, u=1), message(DELTA, 0, T0, u=2)])
    publisher.route(batch, len(batch))
    publisher.publish()
    assert data_only(writers[0].events()) == [(SNAP, 0, 5), (DATA, 0, 1), (SNAP, 0, 1), (DATA, 0, 1), (DELTA, 0, 2)]


def test_only_the_driving_depth_is_routed_but_every_depth_is_checked() -> None:
    actions: list[tuple] = []
    publisher, writers, _ = a_publisher(on_action=lambda *action: actions.append(action))
    batch = np.concatenate([
        message(SNAP, 0, T0, u=5, depth=200), message(SNAP, 0, T0, u=7), message(DELTA, 0, T0, u=8, depth=200),
        message(DELTA, 0, T0, u=8),
    ])  # fmt: skip
    publisher.route(batch, len(batch))
    publisher.publish()
    assert data_only(writers[0].events()) == [(SNAP, 0, 7), (DATA, 0, 1), (DELTA, 0, 8)]
    assert publisher.routes.counts[routing.C_OTHER_DEPTH] == 1
    assert actions == [(0, 200, routing.A_GAP, 2)]


def test_a_stale_book_is_ok_again_with_its_next_frame() -> None:
    publisher, writers, _ = a_publisher()
    publisher.route(message(SNAP, 0, T0, u=5), 2)
    publisher.data_state(0, DataState.STALE, DataReason.SILENT)
    publisher.route(message(DELTA, 0, T0, u=6), 2)
    publisher.publish()
    states = [(e.u, e.xseq) for e in writers[0].events() if e.kind == DATA]
    assert states == [(DataState.OK, DataReason.SNAPSHOT), (DataState.STALE, DataReason.SILENT), (DataState.OK, 0)]


def test_shed_symbols_are_dropped_counted_and_stay_broken_until_resubscribed() -> None:
    publisher, writers, _ = a_publisher()
    publisher.routes.shedding[0] = 1
    publisher.data_state(0, DataState.BROKEN, DataReason.SHED)
    batch = np.concatenate([message(SNAP, 0, T0, u=5), message(DELTA, 0, T0, u=6), message(SNAP, 2, T0, u=5)])
    publisher.route(batch, len(batch))
    publisher.routes.shedding[0] = 0
    publisher.data_state(0, DataState.BROKEN, DataReason.SHED)
    batch = np.concatenate([message(DELTA, 0, T0, u=7), message(SNAP, 0, T0, u=9)])
    publisher.route(batch, len(batch))
    publisher.publish()
    assert publisher.routes.shed[0] == 2
    assert [(e.kind, e.u) for e in writers[0].events() if e.symbol == 0][1:] == [
        (DATA, DataState.BROKEN), (DATA, DataState.BROKEN), (SNAP, 9), (DATA, DataState.OK)
    ]  # fmt: skip


def test_data_of_a_delisted_or_unknown_symbol_is_dropped() -> None:
    publisher, writers, _ = a_publisher()
    publisher.delisting(0)
    batch = np.concatenate([message(TRADES, 0, T0), message(TRADES, 77, T0), message(TRADES, 2, T0)])
    publisher.route(batch, len(batch))
    publisher.publish()
    assert data_only(writers[0].events()) == [(EventKind.DELISTING, 0, 0), (TRADES, 2, 0)]
    assert publisher.routes.counts[routing.C_INACTIVE] == 2


def test_the_last_price_follows_the_last_trade() -> None:
    publisher, _, _ = a_publisher()
    publisher.route(message(TRADES, 0, T0, levels=5), 1 + 3)
    assert publisher.routes.last_ticks[0] == 104


def test_published_seq_is_stored_after_all_rings_hold_it() -> None:
    stored: list[tuple[int, int]] = []
    publisher, writers, _ = a_publisher()
    publisher._set_published = lambda seq: stored.append((seq, sum(w.messages for w in writers)))
    publisher.broadcast(EventKind.FEED, u=2)
    publisher.publish()
    assert stored == [(5, 6)]
    assert publisher.publish() == 0 and len(stored) == 1


def test_full_staging_publishes_by_itself_and_keeps_the_order() -> None:
    stored: list[int] = []
    publisher, writers, _ = a_publisher(set_published=stored.append)
    frames = [message(SNAP, i % 4, T0 + i, u=1 if i < 4 else i, levels=1000) for i in range(600)]
    batch = np.concatenate(frames)
    publisher.route(batch, len(batch))
    publisher.publish()
    assert len(stored) > 3 and stored == sorted(stored)
    assert sum(len([e for e in w.events() if e.kind == SNAP]) for w in writers) == 600
    for writer in writers:
        seqs = [e.seq for e in writer.events()]
        assert seqs == sorted(seqs)


def test_a_gated_ring_is_waited_for_and_giving_up_raises() -> None:
    publisher, writers, _ = a_publisher()
    waits: list[int] = []
    publisher._wait = lambda: waits.append(1) is None  # type: ignore[assignment]
    writers[1].refusals = 3
    publisher.broadcast(EventKind.FEED)
    assert publisher.publish() == 2 and len(waits) == 3
    writers[0].refusals = 1
    publisher._wait = lambda: False
    publisher.broadcast(EventKind.FEED)
    with pytest.raises(Stopped):
        publisher.publish()


def test_tick_gives_the_timers_of_a_quiet_time() -> None:
    publisher, writers, _ = a_publisher()
    assert publisher.tick(T0 + 99 * MS, 0) == 0
    assert publisher.tick(T0 + 320 * MS, 0) == 3
    publisher.publish()
    assert [e.ts_ns - T0 for e in writers[1].events() if e.kind == TIMER] == [100 * MS, 200 * MS, 300 * MS]


frames = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from([SNAP, DELTA, TRADES]), st.integers(1, 6), st.integers(0, 120)),
    min_size=1, max_size=40,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(frames, st.lists(st.integers(1, 7), min_size=1, max_size=10), st.sampled_from([1, 2, 4]))
def test_batching_and_sharding_change_nothing_in_what_a_symbol_sees(
    steps: list[tuple[int, EventKind, int, int]], cuts: list[int], shards: int
) -> None:
    def run(n_shards: int, sizes: list[int]) -> dict[int, list]:
        publisher, writers, _ = a_publisher(shards=n_shards)
        now, cells = T0, []
        for symbol, kind, u, wait in steps:
            now += wait * MS
            cells.append(message(kind, symbol, now, u=u))
        turn = 0
        while cells:
            take = sizes[turn % len(sizes)]
            batch = np.concatenate(cells[:take])
            publisher.route(batch, len(batch))
            publisher.publish()
            cells = cells[take:]
            turn += 1
        seen: dict[int, list] = {s: [] for s in range(4)}
        for writer in writers:
            for event in writer.events():
                for symbol in seen:
                    if event.symbol == symbol or (event.symbol == -1 and symbol % n_shards == writers.index(writer)):
                        seen[symbol].append(event)
        return seen

    assert run(shards, cuts) == run(1, [len(steps)])


def test_each_kernel_has_one_signature() -> None:
    """A second one would be compiled while the market moves."""
    for kernel in (
        routing.route, routing.route_batch, routing.route_one,
        routing.put_header, routing.put_symbol_data, routing.put_timer, routing.tick,
        routing.add_action, routing.stage_full, check_book,
    ):  # fmt: skip
        assert len(kernel.signatures) <= 1, kernel.__name__
