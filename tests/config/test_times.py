"""Times as people write them."""

from __future__ import annotations

import pytest

from config.times import utc


@pytest.mark.parametrize(("text", "second"), [
    ("2025-11-20T12:00:00", 1_763_640_000), ("2025-11-20T12:00:00Z", 1_763_640_000), ("2025-11-20T17:45:00+05:45", 1_763_640_000),
    ("2025-11-20", 1_763_596_800),
])
def test_a_time_without_a_zone_is_utc(text: str, second: int) -> None:
    assert utc(text).timestamp() == second


def test_what_is_no_time_is_refused() -> None:
    with pytest.raises(ValueError, match="soon"):
        utc("soon")
