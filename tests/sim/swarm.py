"""What goes wrong in a session, drawn from its seed: every fault has a range, and every session its own choice of them.

A session is a row of *weathers* (chances of the link) with *happenings* in between (one thing at one moment). Most faults
are off in most sessions: combinations of few are found sooner than a storm of all.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from core.sim.link_faults import LinkFaults
from tests.sim.host import CRASH_POINTS

MS = 1_000_000
SECOND = 1000 * MS
PPM = 1_000_000

# chance of one message, ppm: (least, most)
RANGES: dict[str, tuple[int, int]] = {
    "vanish_ppm": (10_000, 200_000),
    "ack_lost_ppm": (20_000, 300_000),
    "ack_late_ppm": (20_000, 300_000),
    "ack_swap_ppm": (50_000, 500_000),
    "fill_first_ppm": (50_000, 500_000),
    "cut_ppm": (5_000, 50_000),
    "stall_ppm": (10_000, 100_000),
    "swallow_ppm": (10_000, 100_000),
    "reject_ppm": (10_000, 200_000),
    "no_req_id_ppm": (10_000, 100_000),
    "frame_drop_ppm": (50_000, 800_000),
    "frame_dup_ppm": (20_000, 300_000),
    "frame_swap_ppm": (20_000, 300_000),
    "exec_dup_ppm": (50_000, 500_000),
    "http_5xx_ppm": (20_000, 300_000),
    "forbidden_ppm": (1_000, 10_000),
    "cursor_repeats_ppm": (100_000, 500_000),
}
MATCHING = {"trade.fill_on_cancel": (0.05, 0.6), "trade.partial": (0.05, 0.5), "trade.slip": (0.02, 0.3)}
REJECTS = (
    (10000, 10016, 10019, 10429, 170001, 170007, 500000),  # ambiguous
    (110007, 110004, 110012),  # margin
    (110072, 20006, 10014),  # duplicate
    (110079, 40004),  # in progress
    (110003, 110120, 110121),  # price
    (987654,),  # nobody knows it
)
# kind -> weight
HAPPENINGS: dict[str, int] = {
    "cut private": 4, "cut trade": 4, "cut rest": 2, "restart venue": 1, "ext order": 3, "ext position": 2,
    "ext cancel": 3, "ext stop gone": 3, "ext amend": 2, "ext stop moved": 2, "outage": 1, "dust": 1,
    "ext leverage": 1, "ext mode": 1, "liquidate": 1, "adl": 1, "funding": 3, "deposit": 1, "withdraw": 1,
    "reduce only": 1, "delist": 1, "vacuum": 2, "clock": 2, "key": 1, "stop refused": 2, "no market": 1, "rate": 2,
    "ip ban": 1, "wipe": 1, "slow disk": 2, "crash": 6, "filters": 1, "narrow limits": 1, "fill slots": 1,
    "self match": 1, "batch of fills": 2, "stop out": 3, "gone": 2,
}


@dataclass(frozen=True)
class Happening:
    at_ns: int
    kind: str
    seed: int


@dataclass
class Plan:
    """One session."""

    seed: int
    symbols: int
    pace_ns: tuple[int, int]
    active_ns: int
    jump: float
    sync_ns: tuple[int, int]
    weathers: list[tuple[int, LinkFaults, dict[str, float]]] = field(default_factory=list)  # from when on
    happenings: list[Happening] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)  # points, in this order
    kill_at_ns: int = 0  # 0 = only at the end or never
    kill_at_end: bool = False
    pause: bool = False  # a calm in the middle, to compare the books


def draw(seed: int) -> Plan:
    """The plan of a seed."""
    rng = random.Random(f"plan {seed}")
    active = rng.randint(20, 40) * SECOND
    symbols = rng.randint(3, 6)
    plan = Plan(
        seed=seed, symbols=symbols, pace_ns=(150 * MS, rng.choice((700, 1200, 2000)) * MS), active_ns=active,
        jump=rng.choice((0.0, 0.01, 0.03)),
        sync_ns=rng.choice(((60_000, 300_000), (100_000, 3 * MS), (1 * MS, 30 * MS))),
        kill_at_end=rng.random() < 0.3, pause=rng.random() < 0.3,
    )
    delays = rng.choice((((1, 3), (1, 3), (1, 5)), ((2, 8), (2, 8), (2, 12)), ((20, 60), (20, 60), (20, 90)),
                         ((5, 400), (5, 400), (5, 600))))
    legs = zip(("entry_ns", "answer_ns", "feed_ns"), delays, strict=True)
    network = {name: (low * MS, high * MS) for name, (low, high) in legs}
    chosen = [name for name in RANGES if rng.random() < 0.35]
    at = 0
    while at < active:
        faults = LinkFaults(**network)
        matching: dict[str, float] = {}
        if rng.random() < 0.65:
            for name in chosen:
                if rng.random() < 0.6:
                    setattr(faults, name, rng.randint(*RANGES[name]))
            faults.reject_codes = rng.choice(REJECTS)
            if rng.random() < 0.2:
                faults.lag_ns = rng.randint(1, 10) * SECOND
            if rng.random() < 0.3:
                faults.page_rows = rng.randint(1, 4)
            if rng.random() < 0.15:
                faults.per_second = rng.randint(2, 6)
                faults.queries_per_second = rng.randint(5, 20)
            matching = {name: rng.uniform(*bounds) for name, bounds in MATCHING.items() if rng.random() < 0.4}
        plan.weathers.append((at, faults, matching))
        at += rng.randint(2_000, 9_000) * MS
    kinds, weights = list(HAPPENINGS), list(HAPPENINGS.values())
    for _ in range(rng.randint(0, 9)):
        plan.happenings.append(Happening(rng.randrange(active), rng.choices(kinds, weights)[0], rng.getrandbits(32)))
    plan.happenings.sort(key=lambda h: (h.at_ns, h.kind))
    plan.crashes = [rng.choice(CRASH_POINTS) for h in plan.happenings if h.kind == "crash"]
    if rng.random() < 0.2:
        plan.kill_at_ns = rng.randrange(active // 3, active)
        for _ in range(rng.choice((0, 0, 1, 2))):  # and whatever makes it harder
            kind = rng.choice(("clock", "cut private", "cut trade", "cut rest", "rate", "slow disk", "vacuum"))
            at = plan.kill_at_ns + rng.randint(-200, 300) * MS
            plan.happenings.append(Happening(max(at, 0), kind, rng.getrandbits(32)))
        if rng.random() < 0.5:
            plan.crashes.append(rng.choice([p for p in CRASH_POINTS if p.startswith("kill")]))
    return plan


class MatchingFaults:
    """Stands for `gateway.venue.fault_rules.FaultRules` at `VenueExchange`: draws by chance, for one account's weather."""

    class Hit:
        def __init__(self, values: dict[str, float]) -> None:
            self.values = values

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(f"matching {seed}")
        self.armed: dict[str, float] = {}
        self.hits: dict[str, int] = {}

    def ask(self, kind: str, **_context: str) -> Hit | None:
        chance = self.armed.get(kind)
        if not chance or self._rng.random() >= chance:
            return None
        self.hits[kind] = self.hits.get(kind, 0) + 1
        return self.Hit({"fraction": self._rng.choice((0.0, 0.3, 0.7)), "ticks": self._rng.choice((-2, 3, 20))})
