from __future__ import annotations

import numpy as np

from shm.errors import OVERFLOW_KIND, ErrorLog, get_text, put_text
from shm.layout import ERROR_ROWS
from tests.shm.support import zeros


def test_equal_errors_share_a_row() -> None:
    body = zeros(ErrorLog.bytes_needed())
    log = ErrorLog(body)
    for i in range(5):
        assert log.record("ConnectionError", f"attempt {i} refused", now_ns=100 + i) == i + 1
    log.record(KeyError("symbol"), now_ns=50)
    entries = ErrorLog(body).entries()
    assert [(e["kind"], e["count"], e["first_ns"], e["last_ns"]) for e in entries] == [
        ("ConnectionError", 5, 100, 104), ("KeyError", 1, 50, 50),
    ]
    assert entries[0]["text"] == "attempt 0 refused"
    assert log.total() == 6


def test_an_exception_tells_where() -> None:
    log = ErrorLog(zeros(ErrorLog.bytes_needed()))
    try:
        raise ValueError("bad tick")
    except ValueError as error:
        log.record(error, "decoding")
    assert log.entries()[0]["text"].startswith("decoding: bad tick [test_an_exception_tells_where test_errors.py:")


def test_a_restarted_process_continues_its_rows() -> None:
    body = zeros(ErrorLog.bytes_needed())
    ErrorLog(body).record("A", "x")
    ErrorLog(body).record("A", "x")
    assert ErrorLog(body).record("A", "x") == 3
    assert len(ErrorLog(body).entries()) == 1


def test_a_storm_of_different_errors_is_counted_in_the_last_row() -> None:
    log = ErrorLog(zeros(ErrorLog.bytes_needed()))
    names = [a + b for a in "abcdefghij" for b in "abcdefghij"]
    for name in names:
        log.record(name, "text")
    entries = log.entries()
    assert len(entries) == ERROR_ROWS
    assert sum(e["count"] for e in entries) == len(names)
    assert max(entries, key=lambda e: e["count"])["kind"] == OVERFLOW_KIND


def test_text_is_cut_at_a_character() -> None:
    field = np.full(8, 255, np.uint8)
    put_text(field, "ab")
    assert bytes(field) == b"ab" + b"\0" * 6
    put_text(field, "ééééé")
    assert get_text(field) == "éééé"
    put_text(field, "aéééé")
    assert get_text(field) == "aééé"
    assert field[7] == 0
