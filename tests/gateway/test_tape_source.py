"""A tape through the whole gateway process into real rings: order, accounting, determinism, faults, start-up errors."""

from __future__ import annotations

import os
import secrets
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from config.schema import Settings
from core.enums import DataReason, DataState, EventKind, FeedState
from core.records import CELL_WORDS, EVENT, GLOBAL, SYMBOL
from gateway import market_data
from gateway.bybit.universe import Instrument, Selector, Universe
from gateway.service import GatewayService, known_symbols
from gateway.tape_source import TapeSource
from shm.agent import StopFlag
from shm.run_spec import RunSpec
from shm.topology import SLOT_SHARD, Plant
from tests.gateway.feed_tools import MS, T0, Event, book_frame, line, split_events, trade_frame
from tests.shared_data import recording

SNAP, DELTA, DATA, TIMER = EventKind.BOOK_SNAPSHOT, EventKind.BOOK_DELTA, EventKind.SYMBOL_DATA, EventKind.TIMER


class TapeRun:
    """A gateway on a tape in this process; its rings are read as the shards would."""

    def __init__(self, tapes: list[Path], shards: int, settings: Settings | None = None, **spec: object) -> None:
        run_id = f"t{os.getpid()}-{secrets.token_hex(3)}"
        self.spec = RunSpec(
            run_id=run_id, shards=shards, paced=True, tape=[str(t) for t in tapes], market_cells=16_384,
            raw_cells=1024, log_records=1024, intent_slots=64, report_slots=64, **spec,  # type: ignore[arg-type]
        )
        self.plant = Plant.create(self.spec)
        self.settings = settings or Settings()
        self.gateway = Plant(self.spec, self.plant._segments, "gateway", 0)
        self.cells: list[list[np.ndarray]] = [[] for _ in range(shards)]

    def run(self) -> TapeRun:
        flag = StopFlag()
        readers = [self.plant.market(i).reader(SLOT_SHARD, gating=True) for i in range(self.spec.shards)]
        source = TapeSource(self.gateway, self.settings, flag, lambda: self.settings)
        buffer = np.zeros((16_384, CELL_WORDS), np.int64)

        def drain() -> None:
            for cells, reader in zip(self.cells, readers, strict=True):
                while count := reader.read(buffer):
                    cells.append(buffer[:count].copy())

        source._wait = lambda: drain() is None  # type: ignore[method-assign]
        source.service.publisher._wait = source._wait
        source.on_start()
        for _ in range(100_000):
            source.do_work()
            drain()
            if source.is_done:
                break
        source.on_close()
        self.counters = self.gateway.counters().as_dict(zeros=True)
        self.source = source
        return self

    def events(self, shard: int = 0) -> list[Event]:
        return split_events(np.concatenate(self.cells[shard]))

    def logs(self) -> list[str]:
        records = self.plant.log_readers(2)["gateway"].read()
        return [bytes(record["text"]).rstrip(b"\0").decode() for record in records]


@pytest.fixture
def runs() -> Iterator[list[TapeRun]]:
    made: list[TapeRun] = []
    yield made
    for run in made:
        run.plant.destroy()


def go(runs: list[TapeRun], tapes: list[Path], shards: int = 1, **options: object) -> TapeRun:
    runs.append(TapeRun(tapes, shards, **options))  # type: ignore[arg-type]
    return runs[-1].run()


def faulty_tape(path: Path) -> Path:
    """Gap, duplicate, u = 1 reset, unsolicited snapshot, unusable lines and frames, a time that goes back."""
    rows: list[tuple[int, bytes]] = [
        (0, book_frame("AUSDT", False, 10, 1)), (10, book_frame("AUSDT", True, 11, 2)),
        (20, book_frame("AUSDT", True, 11, 2)), (30, book_frame("AUSDT", True, 14, 3)),
        (40, book_frame("AUSDT", True, 15, 4)), (120, book_frame("AUSDT", False, 20, 5)),
        (130, book_frame("AUSDT", True, 21, 6)), (125, trade_frame("AUSDT", 6)),
        (140, book_frame("AUSDT", False, 1, 7)), (150, book_frame("AUSDT", True, 2, 8)),
        (160, book_frame("AUSDT", False, 90, 9)), (170, b'{"topic":"orderbook.50.AUSDT","type":"delta"'),
        (180, b'{"success":true,"op":"subscribe","ret_msg":""}'), (190, b'{"topic":"publicTrade.NOPE<>","data":[]}'),
        (200, b'{"topic":"nothing.we.know"}'), (210, b"not even json"),
    ]  # fmt: skip
    data = b"".join(line(T0 + at * MS, frame) for at, frame in rows)
    path.write_bytes(data + b"no frame at all\n" + line(T0 + 220 * MS, book_frame("BUSDT", False, 5, 9)))
    return path


def test_every_fault_of_a_tape_is_counted_and_nothing_of_it_stops_the_run(tmp_path: Path, runs: list[TapeRun]) -> None:
    run = go(runs, [faulty_tape(tmp_path / "a.frames")])
    kinds = [(e.kind, e.u, e.xseq) for e in run.events() if e.symbol == 0 and e.kind in (SNAP, DELTA, DATA)]
    ok, broken = int(DataState.OK), int(DataState.BROKEN)
    assert [k if k[0] == DATA else k[:2] for k in kinds] == [
        (SNAP, 10), (DATA, ok, DataReason.SNAPSHOT), (DELTA, 11), (DATA, broken, DataReason.GAP),
        (SNAP, 20), (DATA, ok, DataReason.SNAPSHOT), (DELTA, 21), (SNAP, 1), (DATA, ok, DataReason.RESET), (DELTA, 2),
        (SNAP, 90), (DATA, ok, DataReason.RESET),
    ]  # fmt: skip
    c = run.counters
    assert (c["gaps"], c["duplicates"], c["resets"]) == (1, 1, 2)
    assert (c["frames"], c["decoded"], c["other"], c["rejected"]) == (18, 12, 3, 3)
    assert (c["unknown_topic"] + c["unknown_symbol"], c["tape_done"]) == (2, 1)
    assert c["frames"] == c["decoded"] + c["other"] + c["rejected"]
    assert any(text.startswith("line 17: no frame") for text in run.logs())
    times = [e.ts_ns for e in run.events()]
    assert times == sorted(times)


def test_the_run_begins_and_ends_as_agreed(tmp_path: Path, runs: list[TapeRun]) -> None:
    run = go(runs, [faulty_tape(tmp_path / "a.frames")], shards=2)
    for shard in range(2):
        events = run.events(shard)
        assert [e.kind for e in events[:3]] == [EventKind.CONFIG, EventKind.FEED, EventKind.LISTING]
        assert events[0].u == 1 and events[-1].kind == EventKind.END
        assert [e.ts_ns - T0 for e in events if e.kind == TIMER] == [100 * MS, 200 * MS]
        assert sum(e.kind == EventKind.GLOBAL for e in events) == 1
    board = run.plant.global_regime()
    assert board.changed_since().tolist() == [0] and board.read(0).dtype == GLOBAL.dtype
    assert board.read(0).tobytes() in b"".join(cells.tobytes() for cells in run.cells[1])  # the payload of the event
    control = run.plant.control
    last = run.events(0)[-1].seq
    assert (control.get("end_seq"), control.get("published_seq")) == (last, last)
    assert (control.get("config_version"), control.get("feed_state")) == (1, 2)
    row = run.plant.symbols().read(1)
    assert bytes(row["name"][0]).rstrip(b"\0") == b"BUSDT" and row.dtype == SYMBOL.dtype


def comparable(run: TapeRun) -> list[bytes]:
    """Everything a run published, shard numbers and monotonic times taken out, in order of seq."""
    messages: dict[tuple[int, int], bytes] = {}
    for cells in run.cells:
        joined = np.concatenate(cells)
        at = 0
        while at < len(joined):
            header = joined[at : at + 1].view(EVENT.dtype)[0, 0]
            size = int(header["n_cells"])
            message = joined[at : at + size].copy()
            message[0, 3] = 0
            if header["kind"] == EventKind.LISTING:
                message[1:].view(np.uint8).reshape(-1).view(SYMBOL.dtype)["shard"] = 0
            messages[int(header["seq"]), int(header["symbol"])] = message.tobytes()
            at += size
    return [messages[key] for key in sorted(messages)]


def test_the_same_events_for_any_number_of_shards_batch_size_and_repetition(
    runs: list[TapeRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    tape = recording("bybit_v5_linear_20260809_BTCUSDT_DOGEUSDT.frames.gz")
    first = comparable(go(runs, [tape]))
    assert comparable(go(runs, [tape], shards=2)) == first
    monkeypatch.setattr("gateway.tape_source.BATCH_FRAMES", 7)
    assert comparable(go(runs, [tape], shards=3)) == first


@pytest.mark.parametrize(("name", "frames", "other"), [
    ("bybit_v5_linear_20260809_BTCUSDT_DOGEUSDT.frames.gz", 1227, 17),
    ("2024-12-01_XRPUSDT_ob500.jsonl", 50, 0),
    ("DERIVED_bybit_shape_from_binance_20240718_BTC_ETH.frames.gz", 54_774, 0),
])  # fmt: skip
def test_real_tapes_are_fully_accounted_for(runs: list[TapeRun], name: str, frames: int, other: int) -> None:
    run = go(runs, [recording(name)], shards=2)
    c = run.counters
    assert (c["frames"], c["other"], c["rejected"], c["gaps"], c["resets"]) == (frames, other, 0, 0, 0)
    assert c["frames"] == c["decoded"] + c["other"]
    kinds = Counter(e.kind for shard in range(2) for e in run.events(shard))
    assert kinds[EventKind.TRADES] + kinds[SNAP] + kinds[DELTA] + kinds[EventKind.TICKER] + kinds[EventKind.KLINE] == (
        c["decoded"] - int(run.source.service.publisher.routes.counts[1])
    )


def test_instruments_file_gives_the_exchange_grid(runs: list[TapeRun]) -> None:
    tape = recording("bybit_v5_linear_20260809_BTCUSDT_DOGEUSDT.frames.gz")
    listed = recording("bybit_v5_instruments_info_linear_20260809.json.gz")
    run = go(runs, [tape], instruments=str(listed))
    row = run.plant.symbols().read(0)
    assert (int(row["tick_mant"][0]), int(row["price_exp"][0]), int(row["max_qty_lots"][0])) == (10, 2, 1_500_000)
    assert int(row["depth"][0]) == 200 and run.counters["off_grid"] == 0


def test_symbols_that_are_not_selected_count_as_other(runs: list[TapeRun]) -> None:
    tape = recording("bybit_v5_linear_20260809_BTCUSDT_DOGEUSDT.frames.gz")
    c = go(runs, [tape], symbols="DOGEUSDT").counters
    assert c["unknown_symbol"] == 637 and c["decoded"] + c["other"] == c["frames"] == 1227


@pytest.mark.parametrize(("make", "says"), [
    (lambda p: {"tape": [str(p / "absent.gz")]}, "no such file"),
    (lambda p: {"tape": [str(faulty_tape(p / "a"))], "symbols": "NOPEUSDT"}, "--symbols"),
    (lambda p: {"tape": [str(faulty_tape(p / "a"))], "instruments": str(p / "none.json")}, "instruments file"),
])  # fmt: skip
def test_start_up_errors_name_cause_and_fix(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], make, says: str  # type: ignore[no-untyped-def]
) -> None:
    spec = RunSpec(run_id=f"t{os.getpid()}-{secrets.token_hex(3)}", paced=True, market_cells=1024, raw_cells=1024,
                   log_records=64, **make(tmp_path))  # fmt: skip
    plant = Plant.create(spec)
    try:
        gateway = Plant(spec, plant._segments, "gateway", 0)
        assert market_data.run_tape(gateway, Settings(), StopFlag()) == market_data.EXIT_USAGE
        assert says in capsys.readouterr().err
        assert plant.cnc("gateway").state.name == "FAIL"
    finally:
        plant.destroy()


def test_pacing_follows_the_recorded_times(tmp_path: Path, runs: list[TapeRun]) -> None:
    """At speed 10 the frames of one second are due within 100 ms of the monotonic clock, not before."""
    frames = b"".join(line(T0 + i * 10 * MS, book_frame("AUSDT", i > 0, i + 1, i)) for i in range(101))
    path = tmp_path / "a"
    path.write_bytes(frames)
    runs.append(TapeRun([path], 1, tape_speed=10.0))
    source = TapeSource(runs[-1].gateway, Settings(), StopFlag(), Settings)
    source._count = source._reader.read(source._stage, source._frames, 0)
    source._start_mono_ns = 1_000_000_000
    due = [source._due(1_000_000_000 + at * MS) for at in (0, 1, 50, 99, 100)]
    assert due == [1, 2, 51, 100, 101]
    source.on_close()


def test_a_restarted_gateway_never_reuses_a_seq_and_finds_the_symbols(tmp_path: Path, runs: list[TapeRun]) -> None:
    run = go(runs, [faulty_tape(tmp_path / "a.frames")])
    rows = known_symbols(run.gateway)
    assert [bytes(name).rstrip(b"\0") for name in rows["name"]] == [b"AUSDT", b"BUSDT"]
    universe = Universe(run.settings.symbols, run.settings.trading.fees, Selector(), 1)
    universe.adopt(rows)
    service = GatewayService(run.gateway, universe, run.settings, lambda: True, Settings)
    assert service.is_restart and service.publisher.seq > run.events()[-1].seq
    changes = universe.start([Instrument("BUSDT", True, (1, 1), (1, 3))], {}, T0)
    service.publisher.writers[0].gated = False  # type: ignore[attr-defined]
    service.start(T0, changes, FeedState.DOWN)
    assert changes.listed == [1] and run.plant.control.get("config_version") == 2
    assert service.publisher.routes.data_state[1] == DataState.BROKEN
