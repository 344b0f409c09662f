"""LIVE runs replayed: the exchange desk sends the same bytes again, also over kills of execution; what was changed in the
journal or in the code is found; no key reaches the disk; a tap that is full stops no order."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from config.paths import DataPaths
from core.consumption import EVENT_RECORDS, NOTES, RECORD_BYTES, EventNote, Kind, NoteError, pack, unpack
from core.journal import Frame, decode_records
from core.orders import exchange_desk_entries
from core.risk import tiers
from gateway.venue.synthetic_feed import SyntheticFeed
from shm.journal_reader import read_frames, segments
from tests.gateway.venue.running import Running, new_exchange, served_venue
from tests.workers.live_rig import LiveRig
from tests.workers.test_replay import taken_back
from workers.journal_files import SegmentWriter
from workers.replay import Outcome, Replay
from workers.run_journal import find_run

FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "trade.ack_drop", "op": "order.create", "count": 3},
    {"kind": "trade.err_no_reqid", "op": "order.create", "code": 10016},
    {"kind": "ws.rst", "stream": "private"}, {"kind": "ws.rst", "stream": "trade"}, {"kind": "ws.close", "stream": "private"},
    {"kind": "rest.5xx", "op": "position.list"}, {"kind": "trade.fill_before_ack", "op": "order.create", "count": 2},
    {"kind": "trade.dup_exec", "count": 2}, {"kind": "clock.step", "ms": 1500}, {"kind": "clock.step", "ms": -1500},
    {"kind": "acct.ext_order", "symbol": "BTCUSDT", "qty": "0.01", "side": "Buy"},
)
FAULTS_A_RUN = 4


@pytest.fixture(scope="module")
def venue() -> Iterator[Running]:
    with served_venue(SyntheticFeed(new_exchange(3, seed=5)), accounts=4, seed=5) as running:
        yield running


@pytest.fixture(autouse=True, scope="module")
def generous() -> Iterator[None]:
    """The capital tier allows any number of trades; and no sync, which is not asked about here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(tiers.TIERS, "NORMAL", tiers.TIERS["NORMAL"]._replace(trades_a_day=10**9, concurrent=50))
        patch.setattr(os, "fdatasync", lambda handle: None)
        yield


def trade(rig: LiveRig, rounds: int, kills: int = 0, faults: tuple[dict[str, Any], ...] = ()) -> None:
    """Entries and exits at random; kills of execution with orders under way, faults of the exchange."""
    rng = rig.rng
    at_kill = {rng.randrange(rounds) for _ in range(kills)}
    at_fault = {rng.randrange(rounds): fault for fault in rng.sample(faults, min(FAULTS_A_RUN, len(faults)))}
    rig.ready()
    for number in range(rounds):
        rig.ready()
        symbol = rng.randrange(3)
        broker = rig.execution.broker
        if symbol in broker.working or symbol in broker.account.positions:
            rig.leave(symbol)
        else:
            rig.enter(symbol, rng.choice((1, -1)))
        rig.turns(rng.randrange(50))
        if number in at_fault:
            rig.venue.fault(**at_fault[number])
        if number in at_kill:
            rig.kill_minus_nine()
            rig.ready()
    if not faults:
        rig.until(lambda: filled(rig), "a fill")  # the turns above may have been too quick for one


def filled(rig: LiveRig) -> bool:
    """Has anything been filled? What is not under way yet is asked for."""
    broker = rig.execution.broker
    if not broker.account.fills and not broker.working:
        rig.enter(0)
    return broker.account.fills > 0


def record(folder: Path, venue: Running, seed: int, account: int = 0, crash: bool = False, **how: Any) -> Path:
    folder.mkdir(exist_ok=True)
    rig = LiveRig(folder, venue, seed, account=account)
    try:
        trade(rig, **how)
        if crash:
            rig.kill_minus_nine()
        rig.close()
    finally:
        rig.destroy()
        venue.post("release", {})
    return rig.data_dir


def replay(folder: Path) -> Outcome:
    return Replay(find_run(folder)).run()


def assert_same(outcome: Outcome, *, told: bool = True) -> None:
    """Nothing differs, and something was compared (there is no market in these runs, hence no check of a shard)."""
    assert not outcome.differences, [d.text() for d in outcome.differences[:2]]
    assert outcome.is_complete and outcome.account_checks and outcome.sent > 10, outcome.notes
    assert not told or outcome.told


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, venue: Running, generous: None) -> Path:
    """A run, not to be changed."""
    return record(tmp_path_factory.mktemp("recorded"), venue, 1, rounds=25)


def frames_of(folder: Path, prefix: str = "order") -> list[Frame]:
    return [frame for path in segments(DataPaths(folder, "LIVE").journal_dir, prefix) for frame in read_frames(path)]


# --- the same again ------------------------------------------------------------------------------------------------------
def test_a_run_is_the_same_again(recorded: Path) -> None:
    outcome = replay(recorded)
    assert_same(outcome)
    kinds = {frame.kind for frame in frames_of(recorded)}
    again = taken_back(recorded)
    assert all(each == again[0] for each in again) and again[0]["sent"] == outcome.sent
    assert kinds >= {Kind.PRIVATE, Kind.TRADE_ACK, Kind.REST, Kind.SENT}


@pytest.mark.parametrize("seed", [2, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(3, 15))])
def test_kills_and_faults(tmp_path: Path, venue: Running, seed: int) -> None:
    """kill -9 of execution with orders under way, lost answers, cut connections; the end is a crash every other time."""
    folder = record(tmp_path, venue, seed, seed % 4, crash=seed % 2 == 0, rounds=30, kills=3, faults=FAULTS)
    outcome = replay(folder)
    assert_same(outcome)
    assert len([f for f in frames_of(folder) if f.kind == Kind.BROKER_START]) >= 4


def test_a_kill_switch_is_the_same_again(tmp_path: Path, venue: Running) -> None:
    rig = LiveRig(tmp_path, venue, 5, account=1)
    try:
        rig.ready()
        rig.enter(0)
        rig.enter(1, -1)
        rig.until(lambda: rig.execution.broker.working or rig.execution.broker.account.positions, "something is open")
        rig.plant.control.request_kill("cli")
        rig.until(lambda: rig.plant.control.get("flat"), "flat")
        rig.plant.control.clear_kill()
        rig.until(lambda: not rig.execution.kill.killed, "cleared")
        rig.close()
    finally:
        rig.destroy()
    assert_same(replay(rig.data_dir), told=False)


# --- what was changed is found -------------------------------------------------------------------------------------------
def forge(recorded: Path, target: Path, change: Callable[[int, Frame], Frame]) -> Path:
    """A copy of the run, every checksum right, with `change(number, record)` applied to each record of the order stream."""
    shutil.copytree(recorded, target)
    folder = DataPaths(target, "LIVE").journal_dir
    frames = [change(number, frame) for number, frame in enumerate(frames_of(target))]
    for path in segments(folder, "order"):
        path.unlink()
    writer = SegmentWriter(folder, find_run(recorded).run_id, segment_bytes=1 << 30, prefix="order")
    for frame in frames:
        writer.append(*frame)
    writer.close()
    return target


def change_bytes(recorded: Path, target: Path, kind: Kind, old: bytes, new: bytes) -> tuple[Frame, Outcome]:
    """The first record of `kind` that holds `old` says `new`."""
    found = next(f for f in frames_of(recorded) if f.kind == kind and old in f.data)

    def change(number: int, frame: Frame) -> Frame:
        return frame._replace(data=frame.data.replace(old, new, 1)) if frame == found else frame

    return found, replay(forge(recorded, target, change))


def test_an_unchanged_copy_is_the_same(recorded: Path, tmp_path: Path) -> None:
    assert_same(replay(forge(recorded, tmp_path / "copy", lambda number, frame: frame)))


def test_a_changed_byte_that_was_sent_is_found_where_it_is(recorded: Path, tmp_path: Path) -> None:
    found, outcome = change_bytes(
        recorded, tmp_path / "forged", Kind.SENT, b'"timeInForce":"PostOnly"', b'"timeInForce":"PostOnlx"'
    )
    (told,) = outcome.differences
    assert "bytes sent for request" in told.where and told.ts_ns == found.ts_recv_ns
    assert "PostOnlx" in told.recorded and "PostOnly" in told.replayed and told.recorded.startswith("byte ")


def test_a_changed_price_of_a_fill_is_found_in_the_account(recorded: Path, tmp_path: Path) -> None:
    row = next(f for f in frames_of(recorded) if f.kind == Kind.PRIVATE and b'"execType":"Trade"' in f.data)
    price = msgspec.json.decode(row.data)["data"][0]["execPrice"]
    other = price[:-1] + ("1" if price[-1] != "1" else "2")
    told = (f'"execPrice":"{text}"'.encode() for text in (price, other))
    _, outcome = change_bytes(recorded, tmp_path / "forged", Kind.PRIVATE, *told)
    first = outcome.differences[0]
    assert first.where.startswith("message of the exchange desk") and "price_ticks" in first.recorded
    assert first.recorded != first.replayed
    assert abs(first.ts_ns - row.ts_recv_ns) < 5_000_000_000


def test_an_answer_to_somebody_else_is_found(recorded: Path, tmp_path: Path) -> None:
    """The requests an answer belongs to are not in its bytes; a changed one is noticed too."""
    frames = frames_of(recorded)
    found = next(i for i, f in enumerate(frames) if f.kind == Kind.ABOUT and frames[i + 1].kind == Kind.TRADE_ACK)

    def change(number: int, frame: Frame) -> Frame:
        if number != found:
            return frame
        note = unpack(frame.kind, frame.data)
        context = msgspec.json.decode(note.payload)
        context["req_ids"][0] += 100_000
        return frame._replace(data=pack(note._replace(payload=msgspec.json.encode(context)))[1])

    outcome = replay(forge(recorded, tmp_path / "forged", change))
    first = outcome.differences[0]
    assert first.where.startswith("answer on the TRADE_ACK") and "never asked" in first.replayed


def test_a_clock_that_was_changed_is_found(recorded: Path, tmp_path: Path) -> None:
    """Timers that come later make other orders."""
    def change(number: int, frame: Frame) -> Frame:
        if frame.kind not in (Kind.NOW, Kind.TIMERS):
            return frame
        note = unpack(frame.kind, frame.data)
        if frame.kind == Kind.NOW:
            return frame._replace(data=pack(note._replace(now_ns=note.now_ns + (number > 200) * 3_000_000_000))[1])
        return frame

    assert replay(forge(recorded, tmp_path / "forged", change)).differences


def test_a_changed_setting_is_found(recorded: Path, tmp_path: Path) -> None:
    def change(number: int, frame: Frame) -> Frame:
        if frame.kind not in (Kind.BROKER_START, Kind.POLICY):
            return frame
        note = unpack(frame.kind, frame.data)
        policy = msgspec.json.decode(note.payload)
        policy["margin_e8"] //= 2
        return frame._replace(data=pack(note._replace(payload=msgspec.json.encode(policy)))[1])

    outcome = replay(forge(recorded, tmp_path / "forged", change))
    assert any("bytes sent for request" in d.where and '"qty"' in d.recorded for d in outcome.differences), [
        d.text() for d in outcome.differences]


def test_other_code_is_found(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A desk that rounds its taker price otherwise, or forgets the stop inside the entry."""
    real = exchange_desk_entries.DeskOrder

    def without_stop(**fields: Any) -> Any:
        return real(**(fields | {"stop_ticks": 0}))

    monkeypatch.setattr(exchange_desk_entries, "DeskOrder", without_stop)
    outcome = replay(recorded)
    assert outcome.differences
    assert any("stopLoss" in d.recorded for d in outcome.differences if "bytes sent" in d.where), outcome.differences[0].text()


# --- keys ----------------------------------------------------------------------------------------------------------------
def test_no_key_reaches_the_disk(recorded: Path, venue: Running) -> None:
    """Not in any record of any stream, not in any other file but the run description the supervisor keeps."""
    account = venue.venue.announced()["accounts"][0]
    secrets = [account["api_key"].encode(), account["api_secret"].encode(), b"X-BAPI-SIGN", b'"auth"']
    records = [frame.data for prefix in ("order", "raw") for frame in frames_of(recorded, prefix)]
    files = [path for path in recorded.rglob("*") if path.is_file() and path.name != "run.json"]
    others = [path.read_bytes() for path in files if path.suffix != ".sjr"]
    for secret in secrets:
        assert not [data[:200] for data in records if secret in data]
        assert not any(secret in data for data in others)
    assert any(b"/v5/order/realtime" in data for data in records), "requests are told"


def test_a_key_in_an_answer_is_left_out(tmp_path: Path, venue: Running) -> None:
    from core.orders.exchange_words import Query, QueryKind, QueryRows
    from tests.gateway.link_tools import keys_of, linked

    key = keys_of(venue).api_key.encode()
    with linked(venue) as link:
        link.up()
        (row,) = link.answer(Query(link.next_id(), QueryKind.API_KEY), QueryRows).rows
        assert row
        sources = [heard.source for heard in link.told if heard.source is not None]
    bodies = [source.data for source in sources if source.kind == Kind.REST and b'"apiKey"' in source.data]
    assert bodies and b"\xe2\x80\xa6" + key[-4:] in bodies[0]
    assert not [source for source in sources if key in source.data]
    assert {source.kind for source in sources} == {Kind.PRIVATE, Kind.REST, Kind.SENT}


# --- a tap that is full ----------------------------------------------------------------------------------------------------
def test_a_full_tap_stops_no_order_and_is_told(tmp_path: Path, venue: Running) -> None:
    """The recorder sleeps: orders go on, and the journal says from where on it proves nothing."""
    rig = LiveRig(tmp_path, venue, 6, account=2, tap_cells=1024)
    try:
        rig.ready()
        awake, rig.recorder.do_work = rig.recorder.do_work, lambda: 0  # type: ignore[method-assign]
        before = rig.execution.broker.orders
        deadline = time.monotonic() + 120.0
        tap = rig.execution.tap
        while (rig.execution.broker.orders < before + 3 or tap.offered < 1500) and time.monotonic() < deadline:
            for symbol in range(3):
                broker = rig.execution.broker
                if symbol in broker.working or symbol in broker.account.positions:
                    rig.leave(symbol)
                else:
                    rig.enter(symbol)
            rig.turns(60)
        assert rig.execution.broker.orders >= before + 3
        rig.recorder.do_work = awake  # type: ignore[method-assign]
        rig.turns(5)
        assert rig.plant.counters("recorder").get("raw_lost") > 0
        rig.close()
    finally:
        rig.destroy()
    outcome = replay(rig.data_dir)
    assert not outcome.is_complete and not outcome.differences
    assert any("nothing behind it is proven" in note and "too slow" in note for note in outcome.notes), outcome.notes


def test_a_record_longer_than_a_tap_carries_is_a_hole(tmp_path: Path, venue: Running) -> None:
    rig = LiveRig(tmp_path, venue, 7, account=3)
    try:
        rig.ready()
        rig.execution.tap.put(Kind.REST, b"x" * (1 << 21))
        rig.turns(5)
        assert rig.execution.tap.not_offered == 1
        rig.close()
    finally:
        rig.destroy()
    outcome = replay(rig.data_dir)
    assert not outcome.is_complete and any("longer than a tap carries" in note for note in outcome.notes)


def test_every_kind_of_note_reads_back() -> None:
    for kind, make in NOTES.items():
        fields = [7] * (len(make._fields) - (make._fields[-1] == "payload"))
        sizes = RECORD_BYTES.get(make, (5,))
        notes = [make(*fields, bytes(size)) for size in sizes] if make._fields[-1] == "payload" else [make(*fields)]
        for note in notes:
            assert unpack(*pack(note)) == note and pack(note)[0] == kind
        if make in RECORD_BYTES:
            with pytest.raises(NoteError, match=r"here it has"):
                unpack(*pack(make(*fields, b"bytes")))
    for event, record in EVENT_RECORDS.items():
        fields = [event] * (len(EventNote._fields) - 1)
        whole = EventNote(*fields, bytes(record.itemsize))
        assert unpack(*pack(whole)) == whole
        with pytest.raises(NoteError, match=r"here it has"):
            unpack(*pack(whole._replace(payload=b"bytes")))
    assert list(decode_records(b"")) == []
