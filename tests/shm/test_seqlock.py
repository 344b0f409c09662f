from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.records import ACCOUNT_ROW, POSITION_ROW, SYMBOL_ROW
from shm.seqlock import HEADER_BYTES, Board, RowBusy
from tests.shm.support import zeros

ROWS = 8


def make() -> Board:
    return Board.format(zeros(Board.bytes_needed(SYMBOL_ROW.dtype, ROWS)), SYMBOL_ROW.dtype, ROWS)


@given(st.lists(st.tuples(st.sampled_from(["write", "rows", "read", "changed"]), st.integers(0, ROWS - 1)), max_size=60))
@settings(max_examples=100, deadline=None)
def test_any_sequence_equals_a_dictionary(steps: list[tuple[str, int]]) -> None:
    board = make()
    twin = dict.fromkeys(range(ROWS), 0)
    dirty: set[int] = set()
    records = np.zeros(ROWS, SYMBOL_ROW.dtype)
    for number, (step, row) in enumerate(steps, 1):
        if step == "write":
            records["events"][0] = number
            board.write(row, records)
            twin[row] = number
            dirty.add(row)
        elif step == "rows":
            rows = np.arange(row, ROWS, dtype=np.int64)
            records["events"][: len(rows)] = number + rows
            board.write_rows(rows, len(rows), records)
            twin.update({int(r): number + int(r) for r in rows})
            dirty |= set(rows.tolist())
        elif step == "read":
            assert int(board.read(row)["events"][0]) == twin[row]
        else:
            assert set(board.changed_since().tolist()) == dirty
            dirty.clear()
    target = np.zeros(ROWS, SYMBOL_ROW.dtype)
    assert board.read_all(target) == ROWS
    assert dict(enumerate(target["events"].tolist())) == twin


def test_a_row_left_half_written_is_busy_until_the_next_write() -> None:
    board = make()
    record = np.zeros(1, SYMBOL_ROW.dtype)
    record["events"] = 1
    board.write(3, record)
    version = HEADER_BYTES // 8 + 3 * (SYMBOL_ROW.size // 8 + 8)
    assert int(board.words[version]) == 2
    board.words[version] += 1  # its writer died here
    with pytest.raises(RowBusy, match="row 3"):
        board.read(3)
    target = np.zeros(ROWS, SYMBOL_ROW.dtype)
    assert board.read_all(target) == ROWS - 1
    record["events"] = 2
    board.write(3, record)
    assert int(board.read(3)["events"][0]) == 2
    assert int(board.words[version]) == 4


def test_readers_keep_their_own_versions() -> None:
    board = make()
    mine = np.zeros(ROWS, np.int64)
    board.write(5, np.zeros(1, SYMBOL_ROW.dtype))
    assert board.changed_since(mine).tolist() == [5]
    assert board.changed_since(mine).tolist() == []
    assert board.changed_since().tolist() == [5]


def test_records_of_any_multiple_of_eight() -> None:
    for record in (POSITION_ROW, ACCOUNT_ROW):
        board = Board.format(zeros(Board.bytes_needed(record.dtype, 2)), record.dtype, 2)
        rows = np.zeros(1, record.dtype)
        rows["updated_ns"] = 7
        board.write(1, rows)
        assert int(board.read(1)["updated_ns"][0]) == 7
        assert int(board.read(0)["updated_ns"][0]) == 0


def test_refused_uses() -> None:
    board = make()
    record = np.zeros(1, SYMBOL_ROW.dtype)
    with pytest.raises(IndexError, match="row 8"):
        board.write(ROWS, record)
    with pytest.raises(IndexError, match="outside"):
        board.write_rows(np.array([9], np.int64), 1, record)
    with pytest.raises(ValueError, match="256-byte records"):
        Board.attach(board.words.view(np.uint8), POSITION_ROW.dtype)
    with pytest.raises(ValueError, match="no board"):
        Board.attach(zeros(8192), SYMBOL_ROW.dtype)
