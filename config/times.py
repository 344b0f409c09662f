"""Times that a person writes on a command line."""

from __future__ import annotations

from datetime import UTC, datetime


def utc(text: str) -> datetime:
    """An ISO time, UTC where it names no zone. Raises ValueError."""
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)
