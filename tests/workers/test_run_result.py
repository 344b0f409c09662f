"""What a run did, by its own files: where they do not say it."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.paths import DataPaths
from workers.backtest_store import StoreError
from workers.run_result import entries_of


@pytest.mark.parametrize("content", [None, b"", b"not a journal at all, but long enough to hold a header " * 10])
def test_a_journal_that_cannot_be_read_is_not_a_missing_one(tmp_path: Path, content: bytes | None) -> None:
    paths = DataPaths(tmp_path, "LIVE")
    paths.mode_dir.mkdir(parents=True)
    if content is not None:
        paths.execution_journal.write_bytes(content)
    with pytest.raises(StoreError, match="no execution journal of run r1") as told:
        entries_of(paths, "r1")
    assert ("execution.journal cannot be read" in str(told.value)) is (content is not None)
