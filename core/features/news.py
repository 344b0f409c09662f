"""News flags: what stands, since when, and how much of its impact is left.

A flag is set by a NEWS event (page, command line, a feed) or by the listing of a new symbol; it is part of the one order
of events, so a replay sees it at the same place. The impact halves in every half-life and is gone after the ttl. Between
the halvings it falls in a straight line: only basic operations, so every machine gives the same bits.
"""

from __future__ import annotations

import math

import numpy as np

from core.enums import NewsType
from core.jit import kernel

_NONE = np.int64(NewsType.NONE)
MOST_HALVINGS = 60


@kernel
def impact_at(flag, ts_ns):  # type: ignore[no-untyped-def]
    """What is left of the flag's impact (0..100) at ts_ns; 0 = no flag stands."""
    age = ts_ns - flag.ts_ns
    if flag.type == _NONE or age >= flag.ttl_ns:
        return 0.0
    if age <= 0 or flag.half_life_ns <= 0:
        return flag.impact
    halvings = age // flag.half_life_ns
    if halvings >= MOST_HALVINGS:
        return 0.0
    left = flag.impact
    for _ in range(halvings):
        left *= 0.5
    return left * (1.0 - 0.5 * np.float64(age - halvings * flag.half_life_ns) / np.float64(flag.half_life_ns))


@kernel
def clear_flag(flag):  # type: ignore[no-untyped-def]
    flag.type = _NONE
    flag.ts_ns = 0
    flag.half_life_ns = 0
    flag.ttl_ns = 0
    flag.impact = 0.0


@kernel
def raise_flag(flag, news_type, impact, happened_ns, half_life_ns, ttl_ns, ts_ns):  # type: ignore[no-untyped-def]
    """A news item of the given impact (0..100). It takes the flag over when it weighs at least what is left of the one
    in force, or is of the same type; an impact of 0 takes a flag of its type (NONE: any) down. Returns 1 when the flag
    changed."""
    if not (impact > 0.0) or news_type == _NONE:
        if flag.type != _NONE and (news_type == _NONE or news_type == flag.type):
            clear_flag(flag)
            return 1
        return 0
    if flag.type != news_type and impact < impact_at(flag, ts_ns):
        return 0
    flag.type = news_type
    flag.ts_ns = min(happened_ns, ts_ns) if happened_ns > 0 else ts_ns
    flag.half_life_ns = half_life_ns
    flag.ttl_ns = ttl_ns
    flag.impact = min(impact, 100.0)
    return 1


@kernel
def write_news(out, flag, ts_ns):  # type: ignore[no-untyped-def]
    """The three news features of a MOVES row."""
    out.news_impact = impact_at(flag, ts_ns)
    out.news_age_s = math.nan
    out.news_type = 0.0
    if out.news_impact > 0.0:
        out.news_age_s = np.float64(ts_ns - flag.ts_ns) / 1e9
        out.news_type = np.float64(flag.type)
