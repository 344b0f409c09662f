"""The execution journal is rewritten at a restart; a crash at any step of that loses nothing that was acknowledged."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from core.journal import EXECUTION, encode_record
from core.orders.desk_journal import Intent, decode
from core.orders.exchange_words import RecordKind
from tests.core.orders.desk_cases import rig
from tests.core.orders.naive_exchange import Rig
from tests.core.orders.test_journal_compact import trade
from workers.journal_compaction import compact_journal
from workers.journal_files import DurableLog

DESK = 16
RUN = "run-1"
OTHER = 1  # kind of a Broker's record


class Died(BaseException):
    """The process is gone."""


def busy(trades: int = 25) -> Rig:
    """Many round trips long ago, one position open, one entry working."""
    r = rig()
    for number in range(1, trades + 1):
        trade(r, number)
    r.now_ns += 3_600 * 10**9
    r.venue.now_ms += 3_600_000
    r.desk.recon.ask_now()
    r.run(31_000)
    r.open_position(lots=50, number=900)
    r.submit(r.order(901, symbol=1), work_ms=600_000)
    r.run(50)
    return r


def written(path: Path, r: Rig) -> None:
    log = DurableLog(path, EXECUTION, RUN, 5)
    for at, (kind, payload) in enumerate(r.records):
        log.write([encode_record(at, 0, 0, OTHER, b"entry %d" % at), encode_record(at, 0, 0, DESK + kind, payload)], at)
    log.close()


def compacted(path: Path, r: Rig) -> list[tuple[int, bytes]]:
    run_id, frames, found = DurableLog.load(path)
    assert run_id == RUN and not found.gaps
    return compact_journal(path, run_id, frames, DESK, r.told[-1].seq, least=50)


def living(raw: list[tuple[int, bytes]]) -> set[str]:
    return {d.link_id for d in (decode(*each) for each in raw) if isinstance(d, Intent)}


def test_the_journal_gets_short_once_and_keeps_everything_else(tmp_path: Path) -> None:
    r, path = busy(), tmp_path / "execution.journal"
    written(path, r)
    size = path.stat().st_size
    short = compacted(path, r)
    assert len(short) < len(r.records) // 3 and path.stat().st_size < size
    run_id, frames, _ = DurableLog.load(path)
    assert run_id == RUN
    assert [(f.kind - DESK, f.data) for f in frames if f.kind >= DESK] == short and short[0][0] == RecordKind.BASE
    assert [f.data for f in frames if f.kind == OTHER] == [b"entry %d" % at for at in range(len(r.records))]
    before = path.read_bytes()
    assert compacted(path, r) == short and path.read_bytes() == before, "nothing more to gain: the file is not touched"
    log = DurableLog(path, EXECUTION, RUN, 5)  # and it goes on in it
    log.write([encode_record(9, 0, 0, OTHER, b"next")], 9)
    log.close()
    assert DurableLog.load(path)[1][-1].data == b"next"


@pytest.mark.parametrize("step", ["open", "write", "half", "fsync", "replace", "fsync folder"])
def test_a_crash_at_any_step_keeps_every_acknowledged_intent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    r, path = busy(), tmp_path / "execution.journal"
    written(path, r)
    alive = {o.link_id for o in r.desk.core.store if o.alive}
    assert alive
    synced: list[int] = []
    real_open, real_write, real_fsync, real_replace = os.open, os.write, os.fsync, Path.replace

    def open_(name: object, *rest: int) -> int:
        if step == "open" and str(name).endswith(".new"):
            raise Died
        return real_open(name, *rest)  # type: ignore[call-overload, no-any-return]

    def write(handle: int, data: bytes) -> int:
        if step == "write":
            raise Died
        if step == "half" and len(data) > 100:
            real_write(handle, data[: len(data) // 2])
            raise Died
        return real_write(handle, data)

    def fsync(handle: int) -> None:
        synced.append(handle)
        if (step, len(synced)) in (("fsync", 1), ("fsync folder", 2)):
            raise Died
        real_fsync(handle)

    def replace(self: Path, target: Path) -> Path:
        if step == "replace":
            raise Died
        return real_replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", open_)
        patch.setattr(os, "write", write)
        patch.setattr(os, "fsync", fsync)
        patch.setattr(Path, "replace", replace)
        with pytest.raises(Died):
            compacted(path, r)
    _, frames, found = DurableLog.load(path)
    raw = [(f.kind - DESK, f.data) for f in frames if f.kind >= DESK]
    assert not found.torn_bytes and alive <= living(raw)
    desk = r.new_desk()
    desk.recover(r.now_ns, raw, r.told[-1].seq)
    assert desk.lots(0) == r.desk.lots(0) == 50 and "BUSDT" in desk.entries.working
    assert compacted(path, r)[0][0] == RecordKind.BASE, "and the next restart makes it short"


@pytest.mark.parametrize("cut", [1, 17, 60])
def test_a_torn_tail_behind_a_short_journal_is_cut_off(tmp_path: Path, cut: int) -> None:
    r, path = busy(), tmp_path / "execution.journal"
    written(path, r)
    short = compacted(path, r)
    whole = path.stat().st_size
    log = DurableLog(path, EXECUTION, RUN, 5)
    log.write([encode_record(9, 0, 0, OTHER, b"never acknowledged")], 9)
    log.close()
    os.truncate(path, path.stat().st_size - cut)
    _, frames, found = DurableLog.load(path)
    assert found.torn_bytes and path.stat().st_size == whole
    assert [(f.kind - DESK, f.data) for f in frames if f.kind >= DESK] == short
