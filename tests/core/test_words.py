"""One is one, and everything else many."""

from __future__ import annotations

import ast
import re
from itertools import pairwise

from config.paths import ROOT
from core.words import plural

SPOKEN = sorted(path for folder in ("workers", "admin") for path in (ROOT / folder).rglob("*.py"))
COUNTED = ("trade", "order", "fill", "frame", "event", "decision", "symbol", "shard", "session", "position", "report", "row",
           "record", "message", "digest", "difference", "engine", "request", "point", "reconnect")
MANY = re.compile(rf"^ ({'|'.join(COUNTED)})s\b")


def test_plural() -> None:
    assert [plural(n, "trade") for n in (0, 1, 2, 1200)] == ["0 trades", "1 trade", "2 trades", "1,200 trades"]
    assert plural(1, "try", "tries") == "1 try" and plural(3, "try", "tries") == "3 tries"


def test_no_text_counts_by_itself() -> None:
    """A number in a text with one of these words behind it, always in the plural, says "1 trades"."""
    found = []
    for path in SPOKEN:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                for number, text in pairwise(node.values):
                    if isinstance(number, ast.FormattedValue) and isinstance(text, ast.Constant) and MANY.match(str(text.value)):
                        said = ast.unparse(number.value)
                        found += [] if said.isupper() else [f"{path}:{node.lineno}: {said}{text.value}"]
    assert not found
