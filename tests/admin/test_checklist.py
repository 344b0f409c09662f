"""The checklist of the page: from another process, kept for a while, honest when it cannot be made."""

from __future__ import annotations

import sys
from pathlib import Path

from admin.checklist import KEPT_S, Checklist


def test_the_real_one(tmp_path: Path) -> None:
    found = Checklist(tmp_path).get()
    assert found["ready"] is False and len(found["rows"]) == 19 and found["ts"] > 0
    assert {"name", "level", "finding", "fix"} == set(found["rows"][0])


def test_kept_for_a_while(tmp_path: Path) -> None:
    count = tmp_path / "count"
    code = f"open({str(count)!r}, 'a').write('x'); print('{{\"ready\": true, \"rows\": []}}')"
    now = 100.0
    checklist = Checklist(tmp_path, command=[sys.executable, "-c", code], clock=lambda: now)
    assert checklist.get() == checklist.get() == {"ready": True, "rows": []}
    assert count.read_text() == "x"
    now += KEPT_S
    checklist.get()
    assert count.read_text() == "xx"


def test_one_that_cannot_be_made(tmp_path: Path) -> None:
    for command in (["/nonexistent"], [sys.executable, "-c", "raise SystemExit(3)"], [sys.executable, "-c", "print('x')"]):
        found = Checklist(tmp_path, command=command).get()
        assert not found["ready"] and "could not be made" in found["error"]
