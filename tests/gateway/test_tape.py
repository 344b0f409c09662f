"""Tape reader and scan: forms of lines, damage, merging, grids; and the naive way to do the same."""

from __future__ import annotations

import gzip
import json
import re
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway import tape
from gateway.tape import FRAME_COLUMNS, STAGE_TAIL, TapeError, TapeReader
from gateway.tape_scan import TapeSymbol, choose_depth, scan_tape, tape_instruments
from tests.gateway.feed_tools import MS, T0, book_frame, line, trade_frame
from tests.shared_data import recording


def read_all(paths: list[Path], stage_bytes: int = 1 << 16, max_frames: int = 64) -> list[tuple[int, bytes, int]]:
    """(time, frame, file) of everything, through small stages."""
    reader = TapeReader(paths)
    stage, frames = np.zeros(stage_bytes, np.uint8), np.zeros((max_frames, FRAME_COLUMNS), np.int64)
    found: list[tuple[int, bytes, int]] = []
    while count := reader.read(stage, frames, 5):
        for offset, length, ts, mono, conn in frames[:count].tolist():
            assert mono == 5 and offset + length + STAGE_TAIL <= stage_bytes
            found.append((ts, stage[offset : offset + length].tobytes(), conn))
    reader.close()
    return found


def write(path: Path, data: bytes) -> Path:
    pack = {".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress}.get(path.suffix, bytes)
    path.write_bytes(pack(data))
    return path


@pytest.mark.parametrize("name", ["a.frames", "a.frames.gz", "a.frames.zst"])
def test_plain_gz_and_zst(tmp_path: Path, name: str) -> None:
    frames = [book_frame("AUSDT", i > 0, i + 1, 1000 + i) for i in range(300)]
    path = write(tmp_path / name, b"".join(line(T0 + i, f) for i, f in enumerate(frames)))
    assert read_all([path]) == [(T0 + i, f, 0) for i, f in enumerate(frames)]


def test_lines_of_raw_json_take_their_own_ts(tmp_path: Path) -> None:
    frame = book_frame("AUSDT", False, 1, 1_733_011_200_691)
    path = write(tmp_path / "a.jsonl", frame + b"\r\n" + frame.replace(b'"ts":', b'"ts": ') + b"\n")
    assert [ts for ts, _, _ in read_all([path])] == [1_733_011_200_691 * MS] * 2


@pytest.mark.parametrize("bad", [
    b"junk", b"12x34 {}", b"-5 {}", b"0 {}", b"17", b"17 ", b"99999999999999999999 {}", b'{"no":"time"}', b"\x00\xff",
    b'{"ts":12}',
])  # fmt: skip
def test_bad_lines_are_counted_with_their_number(tmp_path: Path, bad: bytes) -> None:
    good = line(T0, trade_frame("AUSDT", 1))
    path = write(tmp_path / "a", good + bad + b"\n\n" + good)
    stage, frames = np.zeros(1 << 16, np.uint8), np.zeros((64, FRAME_COLUMNS), np.int64)
    with closing(TapeReader([path])) as reader:
        assert reader.read(stage, frames, 0) == 2 and reader.read(stage, frames, 0) == 0
    assert reader.bad_lines == 1 and reader.faults[0].first_lines == [2]
    assert reader.faults[0].take_new_lines() == [2] and reader.faults[0].take_new_lines() == []


def test_a_last_line_without_newline_counts(tmp_path: Path) -> None:
    path = write(tmp_path / "a", line(T0, b"{}") + b"%d {1}" % T0)
    assert [f for _, f, _ in read_all([path])] == [b"{}", b"{1}"]


def test_a_truncated_gz_gives_what_it_holds_and_says_so(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    data = b"".join(line(T0 + i, trade_frame("AUSDT", i, str(rng.integers(1, 10**9)))) for i in range(5000))
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(data)[:-5000])
    stage, frames = np.zeros(1 << 20, np.uint8), np.zeros((8192, FRAME_COLUMNS), np.int64)
    count = 0
    with closing(TapeReader([path])) as reader:
        while n := reader.read(stage, frames, 0):
            count += n
    assert 1000 < count < 5001 and reader.faults[0].damage


@pytest.mark.parametrize("name", ["a.gz", "a.zst"])
@pytest.mark.parametrize("damage", ["cut", "flip"])
def test_a_small_damaged_file_gives_what_comes_before_the_damage(tmp_path: Path, name: str, damage: str) -> None:
    """Less than one chunk: what was unpacked before the damage must not go with it."""
    rng = np.random.default_rng(1)
    frames = [trade_frame("AUSDT", i, str(rng.integers(1, 10**9))) for i in range(3000)]
    path = write(tmp_path / name, b"".join(line(T0 + i, f) for i, f in enumerate(frames)))
    packed = bytearray(path.read_bytes())
    if damage == "cut":
        del packed[len(packed) // 2 :]
    else:
        packed[-3] ^= 0x40  # in the check behind the data, or the end of the data
    path.write_bytes(bytes(packed))
    found = [frame for _, frame, _ in read_all([path])]
    assert len(found) > (1000 if damage == "cut" or name == "a.gz" else -1) and found[:-1] == frames[: max(len(found) - 1, 0)]


def test_a_number_that_no_grid_holds_is_told(tmp_path: Path) -> None:
    """As a flipped bit makes it: a comma that became a digit."""
    path = write(tmp_path / "a", line(T0, trade_frame("AUSDT", 1, "1.00000000000001")))
    with pytest.raises(TapeError, match=r"AUSDT .* 14 decimals"):
        tape_instruments(scan_tape([path]), {})


def test_a_line_longer_than_any_frame_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tape, "CHUNK_BYTES", 1 << 12)
    monkeypatch.setattr(tape, "MAX_FRAME_BYTES", 1 << 13)
    good = line(T0, trade_frame("AUSDT", 1))
    path = write(tmp_path / "a", good + line(T0, b"{" + b"x" * 50_000) + good)
    assert len(read_all([path])) == 2
    stage, frames = np.zeros(1 << 16, np.uint8), np.zeros((64, FRAME_COLUMNS), np.int64)
    with closing(TapeReader([path])) as reader:
        while reader.read(stage, frames, 0):
            pass
    assert reader.bad_lines == 1 and reader.faults[0].first_lines == [2]


@pytest.mark.parametrize(("make", "says"), [
    (lambda p: p / "absent", "no such file"), (lambda p: p, "folder"),
    (lambda p: write(p / "e", b""), "empty"), (lambda p: write(p / "j", b"hello\nworld\n"), "no frame of any symbol"),
    (lambda p: write(p / "g.gz", b""), "no frame of any symbol"),
])  # fmt: skip
def test_an_unusable_tape_is_a_clear_error(tmp_path: Path, make, says: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(TapeError, match=says):
        scan_tape([make(tmp_path)])


def test_no_tape_at_all() -> None:
    with pytest.raises(TapeError):
        TapeReader([])


times = st.lists(st.integers(0, 30), max_size=25)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=st.lists(times, min_size=1, max_size=4), max_frames=st.sampled_from([1, 3, 64]))
def test_merging_is_a_stable_merge_of_the_files(tmp_path: Path, files: list[list[int]], max_frames: int) -> None:
    paths, expected = [], []
    for number, moments in enumerate(files):
        frames = [b'{"f":%d,"i":%d}' % (number, i) for i in range(len(moments))]
        lines = b"".join(line(T0 + m, f) for m, f in zip(moments, frames, strict=True)) or b"\n"
        paths.append(write(tmp_path / f"{number}", lines))
        expected.append([(T0 + m, f, number) for m, f in zip(moments, frames, strict=True)])
    twin: list[tuple[int, bytes, int]] = []
    while any(expected):
        best = min((rows[0][0], number) for number, rows in enumerate(expected) if rows)[1]
        twin.append(expected[best].pop(0))
    assert read_all(paths, 600, max_frames) == twin


def test_scan_finds_symbols_depths_and_grids(tmp_path: Path) -> None:
    lines = [
        line(T0, book_frame("AUSDT", False, 1, 5, depth=200)), line(T0 + 1, book_frame("AUSDT", False, 1, 5, depth=1)),
        line(T0 + 2, trade_frame("BUSDT", 7, "12.34500")),
        line(T0 + 3, b'{"topic":"tickers.CUSDT","type":"delta","data":{"symbol":"CUSDT","bid1Size":"0.25",'
                     b'"price24hPcnt":"0.123456789","ask1Price":"7.0625"},"ts":1}'),
        line(T0 + 4, b'{"data": [ {"open" : "1.5", "volume":"1.23456", "low":"1.25"} ], "topic" : "kline.1.DUSDT"}'),
        line(T0 + 5, b'{"success":true,"op":"subscribe"}'), line(T0 + 6, b'{"topic":"orderbook.x.EUSDT"}'),
        line(T0 + 7, b'{"topic":"system.status"}'), b"junk\n",
    ]  # fmt: skip
    contents = scan_tape([write(tmp_path / "a.gz", b"".join(lines))])
    assert contents.symbols == (
        TapeSymbol("AUSDT", 2, (1, 200), 1, 0), TapeSymbol("BUSDT", 1, (), 3, 1), TapeSymbol("CUSDT", 1, (), 4, 2),
        TapeSymbol("DUSDT", 1, (), 2, 0),
    )  # fmt: skip
    assert (contents.frames, contents.bad_lines, contents.first_ns, contents.last_ns) == (8, 1, T0, T0 + 7)
    assert tape_instruments(contents, {})[1].tick == (1, 3)


@pytest.mark.parametrize(("configured", "present", "chosen"), [
    (50, [50, 200], 50), (50, [200, 1, 1000], 200), (200, [1, 50], 50), (50, [1], 1), (50, [], 50), (50, [500], 500),
])  # fmt: skip
def test_driving_depth(configured: int, present: list[int], chosen: int) -> None:
    assert choose_depth(configured, present) == chosen


def naive_decimals(path: Path) -> dict[str, tuple[int, int]]:
    """Decimals of books and trades by json, regular decimals text and no kernel."""
    found: dict[str, tuple[int, int]] = {}

    def digits(text: str) -> int:
        return len(re.sub(r"0+$", "", text.partition(".")[2]))

    data = path.read_bytes()
    for text in (gzip.decompress(data) if path.suffix == ".gz" else data).decode().splitlines():
        frame = json.loads(text[text.index("{") :])
        topic = frame.get("topic", "")
        name = topic.split(".")[-1]
        pairs: list[tuple[str, str]] = []
        if topic.startswith("orderbook"):
            pairs = [tuple(level) for level in frame["data"]["b"] + frame["data"]["a"]]
        elif topic.startswith("publicTrade"):
            pairs = [(t["p"], t["v"]) for t in frame["data"]]
        for price, qty in pairs:
            old = found.get(name, (0, 0))
            found[name] = max(old[0], digits(price)), max(old[1], digits(qty))
    return found


@pytest.mark.parametrize("name", [
    "bybit_v5_linear_20260809_BTCUSDT_DOGEUSDT.frames.gz", "2024-12-01_XRPUSDT_ob500.jsonl",
])  # fmt: skip
def test_real_tapes_scan_to_the_naive_grids_and_the_true_ticks(name: str) -> None:
    path = recording(name)
    contents = scan_tape([path])
    found = {s.name: (s.price_decimals, s.qty_decimals) for s in contents.symbols}
    assert found == naive_decimals(path)
    assert found.items() <= {"BTCUSDT": (1, 3), "DOGEUSDT": (5, 0), "XRPUSDT": (4, 0)}.items()
