"""What every kind of market event does: books, quarantine, data states, tickers, listings."""

from __future__ import annotations

import numpy as np
import pytest

from core.engine import state
from core.engine.engine import (
    P_BROKEN,
    P_EVENTS,
    P_RESYNC,
    P_UNKNOWN,
)
from core.enums import (
    Category,
    DataReason,
    DataState,
    EventKind,
    Gate,
    LogKind,
)
from core.records import TICKER
from tests.core.engine.rig import Rig
from tests.core.engine.streams import symbol_record

MS = 1_000_000
S = 1_000_000_000


# --- events ----------------------------------------------------------------------------------------------------------
def test_snapshot_makes_ok_and_deltas_before_it_are_ignored() -> None:
    rig = Rig()
    rig.stream.book(5, [(1, 1)], [])
    rig.go()
    assert rig.trade["data_state"] == DataState.WARMUP and rig.trade["ignored_deltas"] == 1
    rig.snapshot()
    rig.go()
    assert rig.trade["data_state"] == DataState.OK and rig.state.book.count[0, 0] == 10
    assert rig.trade["gate"] == Gate.WARMUP  # no candles yet


def test_crossed_book_is_quarantined_after_its_time_and_a_snapshot_heals() -> None:
    rig = Rig()
    rig.snapshot()
    rig.stream.book(5, [(100_020, 5)], [])
    rig.go()
    assert rig.trade["data_state"] == DataState.OK and rig.trade["crossed_ns"] != 0
    rig.stream.now_ns += 199 * MS
    rig.stream.timer()
    rig.go()
    assert rig.trade["data_state"] == DataState.OK
    rig.stream.now_ns += MS
    rig.stream.timer()
    rig.go()
    assert (rig.trade["data_state"], rig.trade["data_reason"]) == (DataState.BROKEN, DataReason.CROSSED)
    assert rig.state.resync_wish[0] == 1 and rig.progress[P_RESYNC] == 1 and rig.progress[P_BROKEN] == 1
    assert [r["a"] for r in rig.rows if r["kind"] == LogKind.DATA_STATE] == [DataState.BROKEN]
    assert np.isnan(rig.state.features.row[0]["mid"]) and rig.trade["gate"] == Gate.DATA
    rig.stream.book(5, [(100_020, 0)], [])
    rig.go()
    assert rig.trade["data_state"] == DataState.BROKEN and rig.trade["ignored_deltas"] == 1
    rig.snapshot()
    rig.go()
    assert rig.trade["data_state"] == DataState.OK and rig.trade["crossed_ns"] == 0


def test_a_short_cross_is_forgiven() -> None:
    rig = Rig()
    rig.snapshot()
    rig.stream.book(5, [(100_020, 5)], [])
    rig.stream.now_ns += 100 * MS
    rig.stream.book(5, [(100_020, 0)], [])
    rig.stream.now_ns += 500 * MS
    rig.stream.timer()
    rig.go()
    assert rig.trade["data_state"] == DataState.OK and rig.trade["crossed_ns"] == 0


@pytest.mark.parametrize("reason", [DataReason.GAP, DataReason.DISCONNECTED])
def test_symbol_data(reason: DataReason) -> None:
    rig = Rig()
    rig.snapshot()
    rig.stream.event(EventKind.SYMBOL_DATA, 5, u=int(DataState.BROKEN), xseq=int(reason))
    rig.stream.event(EventKind.SYMBOL_DATA, 5, u=int(DataState.OK), xseq=int(DataReason.NONE))
    rig.go()
    assert (rig.trade["data_state"], rig.trade["data_reason"]) == (DataState.BROKEN, reason)
    rig.snapshot()
    rig.stream.event(EventKind.SYMBOL_DATA, 5, u=int(DataState.STALE), xseq=int(DataReason.SILENT))
    rig.go()
    assert rig.trade["data_state"] == DataState.STALE and rig.trade["gate"] == Gate.DATA
    rig.stream.book(5, [(99_999, 7)], [])
    rig.go()
    assert rig.trade["data_state"] == DataState.OK


def test_shed_breaks_the_book_without_a_wish() -> None:
    rig = Rig()
    rig.snapshot()
    rig.stream.event(EventKind.SHED, 5, u=3)
    rig.go()
    assert (rig.trade["data_state"], rig.trade["data_reason"]) == (DataState.BROKEN, DataReason.SHED)
    assert rig.state.resync_wish[0] == 0 and rig.progress[P_BROKEN] == 1


def test_lapped_reader_breaks_everything() -> None:
    rig = Rig()
    rig.stream.listing(symbol_record(7, "BBBUSDT"))
    rig.snapshot()
    rig.go()
    assert state.mark_all_broken(rig.state, int(DataReason.LAPPED), 1, 2, 1) == 2
    assert list(rig.state.trade["data_state"][:2]) == [DataState.BROKEN] * 2
    assert list(rig.state.resync_wish[:2]) == [1, 1] and np.isnan(rig.state.features.row[0]["mid"])


def test_unknown_events_are_counted_and_change_nothing() -> None:
    rig = Rig()
    rig.snapshot()
    rig.go()
    before = rig.state.trade.tobytes()
    rig.stream.event(EventKind.BOOK_DELTA, 4000)
    rig.stream.event(EventKind.TRADES, 99_999)
    for kind in (0, 12, 99):
        rig.stream.event(kind, 5)  # type: ignore[arg-type]
    rig.go()
    assert rig.progress[P_UNKNOWN] == 5 and rig.progress[P_EVENTS] == 5
    assert rig.state.trade.tobytes() == before


def test_ticker_liquidation_kline_bbo() -> None:
    rig = Rig()
    ticker = np.zeros(1, TICKER.dtype)
    ticker["mask"] = 1 << 1 | 1 << 6 | 1 << 11
    ticker["last_ticks"], ticker["mark_e10"], ticker["funding_rate_e10"] = 100_005, 7, -3
    rig.stream.event(EventKind.TICKER, 5, ticker)
    rig.stream.event(EventKind.KLINE, 5, np.zeros(8, np.int64))
    rig.stream.event(EventKind.BBO, 5, np.zeros(4, np.int64), n_bids=1, n_asks=1)
    rig.stream.trades(5, [(1, 1, 1)])
    rig.go()
    assert (rig.trade["mark_e10"], rig.trade["funding_rate_e10"]) == (7, -3)
    assert rig.trade["last_ticks"] == 1 and rig.trade["events"] == 4
    rig.stream.event(EventKind.LIQUIDATION, 5, np.zeros(4, np.int64), n_bids=1)
    rig.go()
    assert rig.trade["liquidation_ns"] == rig.stream.now_ns


def test_listing_update_and_relisting() -> None:
    rig = Rig()
    rig.snapshot()
    rig.go()
    rig.stream.listing(symbol_record(5, "AAAUSDT", Category.WILD, max_leverage_e2=100))
    rig.go()
    assert rig.trade["category"] == Category.WILD and rig.trade["data_state"] == DataState.OK
    rig.stream.listing(symbol_record(5, "AAAUSDT", Category.WILD, tick_mant=5))
    rig.go()
    assert rig.trade["data_state"] == DataState.WARMUP and rig.state.resync_wish[0] == 1
    rig.snapshot()
    rig.stream.event(EventKind.DELISTING, 5)
    rig.stream.timer()
    rig.go()
    assert rig.trade["active"] == 0
    rig.snapshot()
    rig.go()
    assert rig.progress[P_UNKNOWN] == 1
    rig.stream.listing(symbol_record(5, "AAAUSDT", Category.WILD, tick_mant=5))
    rig.go()
    assert rig.trade["active"] == 1 and rig.state.control[state.C_N_SLOTS] == 1
    assert rig.trade["data_state"] == DataState.WARMUP


def test_more_symbols_than_slots_are_refused_and_counted() -> None:
    rig = Rig()
    for k in range(10):
        rig.stream.listing(symbol_record(20 + k, f"N{k}USDT"))
    rig.stream.listing(symbol_record(5000, "FARUSDT"))
    rig.go()
    assert rig.state.control[state.C_N_SLOTS] == 8 and rig.state.control[state.C_REFUSED_LISTINGS] == 4
