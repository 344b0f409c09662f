"""Historic bugs of other systems (RELIABILITY 3), put back into our desk one at a time: the seeds must catch each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Undo = Callable[[], None]
Mutant = Callable[[], Undo]
MUTANTS: dict[str, Mutant] = {}


@contextmanager
def applied(mutant: Mutant | None) -> Iterator[None]:
    """While it lasts the desk has the bug."""
    undo = mutant() if mutant is not None else None
    try:
        yield
    finally:
        if undo is not None:
            undo()
