"""The worked example of core/score/README.md, read from the page."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest

from core.score.terms import N_SIGNALS, TERM_NAMES
from tests.core.score.test_kernels import NAMES, PARAMS, Scored

PAGE = (Path(__file__).resolve().parents[3] / "core" / "score" / "README.md").read_text()


def number(cell: str) -> float:
    return math.nan if cell in ("unknown", "") else float(cell)


def test_the_page_tells_the_truth() -> None:
    story, table = PAGE.split("## Worked example", 1)[1].split("| term |", 1)
    given = {name: float(value) for name, value in re.findall(r"(\w+) (\d[\d.]*)(?=[,;])", story) if name in NAMES}
    assert len(given) == 24
    scored = Scored()
    scored.take(10**18, dict.fromkeys(NAMES) | {"explosion": 0.0} | given)
    rows = {cells[0]: cells[1:] for cells in (re.split(r"\s*\|\s*", line)[1:-1] for line in table.splitlines()[2:]
                                            if line.startswith("|"))}
    assert list(rows) == [*TERM_NAMES, "score"]
    for at, name in enumerate(TERM_NAMES):
        signal, *points = map(number, rows[name])
        np.testing.assert_allclose(scored.terms[0, :, at], points, atol=0.005, err_msg=name)
        if at < N_SIGNALS:
            np.testing.assert_allclose(scored.signals[0, at], signal, atol=0.005, err_msg=name)
    assert scored.scores == pytest.approx([number(cell) for cell in rows["score"][1:]], abs=0.005)
    assert PARAMS[0]["watch"][0] < scored.scores[0] < PARAMS[0]["arm"][0]
