"""What can go wrong between the exchange desk and the exchange, as numbers. Chances in ppm, times in ns."""

from __future__ import annotations

from dataclasses import dataclass

from core.constants import NS_PER_MS
from core.sim.random_words import RandomWords

PPM = 1_000_000


@dataclass(slots=True, kw_only=True)
class LinkFaults:
    """Delays as (least, most); chances of one request, answer or private frame. The defaults are a good day."""

    entry_ns: tuple[int, int] = (2 * NS_PER_MS, 8 * NS_PER_MS)  # request -> exchange
    answer_ns: tuple[int, int] = (2 * NS_PER_MS, 8 * NS_PER_MS)  # answer -> us
    feed_ns: tuple[int, int] = (2 * NS_PER_MS, 12 * NS_PER_MS)  # private frame -> us
    reconnect_ns: tuple[int, int] = (50 * NS_PER_MS, 400 * NS_PER_MS)
    # requests
    vanish_ppm: int = 0  # never arrives: neither act nor answer
    ack_lost_ppm: int = 0  # carried out, never answered
    ack_late_ppm: int = 0  # carried out, answered after `late_ns`
    late_ns: tuple[int, int] = (1_200 * NS_PER_MS, 6_000 * NS_PER_MS)
    ack_swap_ppm: int = 0  # the answer comes after later ones
    fill_first_ppm: int = 0  # private frames come first, the answer `fill_first_ns` later
    fill_first_ns: tuple[int, int] = (20 * NS_PER_MS, 80 * NS_PER_MS)
    cut_ppm: int = 0  # carried out, and the connection dies instead of an answer
    stall_ppm: int = 0  # passes the gate, and is carried out `stall_ns` later
    stall_ns: tuple[int, int] = (300 * NS_PER_MS, 4_500 * NS_PER_MS)
    swallow_ppm: int = 0  # taken (0) and gone
    reject_ppm: int = 0  # refused with one of `reject_codes`, not carried out
    reject_codes: tuple[int, ...] = (10000, 10016, 10019, 10429, 170001, 170007, 500000, 110079)
    no_req_id_ppm: int = 0  # an error that does not say which request it means
    # private frames
    frame_drop_ppm: int = 0
    frame_dup_ppm: int = 0
    frame_swap_ppm: int = 0
    exec_dup_ppm: int = 0
    # REST
    http_5xx_ppm: int = 0
    forbidden_ppm: int = 0
    ban_ns: int = 2_000 * NS_PER_MS
    lag_ns: int = 0  # histories lack what is younger
    page_rows: int = 50
    cursor_repeats_ppm: int = 0  # a page names itself as the next one
    # limits
    per_second: int = 10  # creates, amends, cancels, ... each
    queries_per_second: int = 50
    # clock
    clock_error_ms: int = 0  # what we sign with, minus the truth; mended by measuring


class Dice:
    """Seeded draws."""

    def __init__(self, seed: int) -> None:
        self._words = RandomWords(seed)

    def hits(self, ppm: int) -> bool:
        """True with a chance of `ppm` in a million. Certain outcomes draw nothing."""
        return ppm > 0 and (ppm >= PPM or self._words.below(PPM) < ppm)

    def between(self, bounds: tuple[int, int]) -> int:
        """Evenly from least to most."""
        least, most = bounds
        return least + self._words.below(most - least + 1) if most > least else least

    def below(self, limit: int) -> int:
        return self._words.below(limit)
