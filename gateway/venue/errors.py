"""The venue's one error: a cause and a fix, for a person."""

from __future__ import annotations


class VenueError(Exception):
    """Something the person at the command line can mend."""

    def __init__(self, cause: str, fix: str) -> None:
        super().__init__(f"{cause}. Fix: {fix}.")
        self.cause = cause
        self.fix = fix
