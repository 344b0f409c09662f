"""Words for people that several programs use."""

from __future__ import annotations


def plural(n: int, word: str, many: str = "") -> str:
    """`1 trade`, `2 trades`, `1,200 trades`; `many` where it is not the word with an s."""
    return f"{n:,} {word if n == 1 else many or word + 's'}"
