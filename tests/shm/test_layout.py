from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from core.records import RECORDS, layout_hash
from shm import layout
from shm.layout import LAYOUT_FILE, LINE_BYTES, SHM_RECORDS, markdown, word


def test_the_committed_description_is_current() -> None:
    assert LAYOUT_FILE.read_text(encoding="utf-8") == markdown()
    assert layout.main(["--check"]) == 0


def test_check_fails_on_another_text(tmp_path, monkeypatch, capsys) -> None:  # type: ignore[no-untyped-def]
    target = tmp_path / "LAYOUT.md"
    monkeypatch.setattr(layout, "LAYOUT_FILE", target)
    assert layout.main(["--check"]) == 1
    assert "not current" in capsys.readouterr().err
    assert layout.main([]) == 0
    assert layout.main(["--check"]) == 0


@pytest.mark.parametrize("record", SHM_RECORDS, ids=lambda record: record.name)
def test_words_are_aligned_and_lines_whole(record) -> None:  # type: ignore[no-untyped-def]
    assert record.size % LINE_BYTES == 0 or record.name == "DETAIL"
    for name in record.dtype.names:
        base, offset = record.dtype.fields[name][:2]
        assert offset % (base.subdtype[0] if base.subdtype else base).itemsize == 0
        if base == np.int64:
            assert word(record, name) * 8 == offset
    with pytest.raises(KeyError):
        word(record, "nothing")


def test_the_hash_follows_every_change_of_layout_and_no_change_of_prose() -> None:
    records = RECORDS + SHM_RECORDS
    base = layout_hash(records)
    first = records[0]
    field = first.fields[0]
    for change in ({"name": "other"}, {"type": "u8"}):
        fields = (dataclasses.replace(field, **change), *first.fields[1:])
        assert layout_hash((dataclasses.replace(first, fields=fields), *records[1:])) != base
    assert layout_hash(records[::-1]) != base
    swapped = (first.fields[1], first.fields[0], *first.fields[2:])
    assert layout_hash((dataclasses.replace(first, fields=swapped), *records[1:])) != base
    prose = (dataclasses.replace(field, sentence="another sentence"), *first.fields[1:])
    assert layout_hash((dataclasses.replace(first, fields=prose), *records[1:])) == base
