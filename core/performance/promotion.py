"""How much capital the evidence allows (requirements B5, B6, G7): closed live trades and incidents in, a tier out. Pure.

    PAPER -- lock over --> MICRO -- 20 clean trades, 60 % won --> SMALL -- 30 more, 65 %, no loss pattern --> NORMAL
      ^                      ^                                      |                                          |
      '-- serious incident --'-------- incident, daily loss: one tier down, evidence counts from here ---------'

A tier is earned upwards from `Rollout.base_rank` by the trades closed since `base_ms`; what happened before does not count
again. A serious incident locks the account to PAPER for `LOCK_MS`, then it starts at MICRO.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import NamedTuple

from core.risk.tiers import Rank

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
LOCK_MS = 3 * DAY_MS  # PAPER only after a serious incident
KEPT_TRADES = 500
PATTERN_TRADES = 5  # fewer of one hour or kind of move are no pattern
PATTERN_WIN_PCT = 40.0


class LiveTrade(NamedTuple):
    """A position from its first fill to flat. Money in 1e-8 USDT, fees included. `move`: how the market moved (PUMP, DUMP,
    GRIND). What may not happen is counted: a second entry for one intent, a target on the wrong side or under the fees, an
    entry added without a plan, a state no table knows, a position nobody opened. `matched`: the exchange's own history of
    it agrees (`core.performance.trade_match`); -1 not compared yet, 0 no, 1 yes. Sizes and values are 0 where the trade
    began in another run; values >= 0."""

    symbol: str
    opened_ms: int
    closed_ms: int
    side: int
    result_e8: int
    fees_e8: int
    tier: str
    move: str
    duplicate_entries: int = 0
    illogical_targets: int = 0
    unplanned_entries: int = 0
    undefined_states: int = 0
    ghost_positions: int = 0
    matched: int = -1
    entry_lots: int = 0
    entry_value_e8: int = 0
    exit_value_e8: int = 0
    funding_e8: int = 0
    difference: str = ""


FLAWS = ("duplicate_entries", "illogical_targets", "unplanned_entries", "undefined_states", "ghost_positions")


class Incident(NamedTuple):
    """`kind`: technical, market or safety. `reacted`: a safety (stop, kill, gate) did what it is for."""

    time_ms: int
    kind: str
    serious: bool
    reacted: bool
    text: str


class Rollout(NamedTuple):
    """The durable state: of one account at one endpoint."""

    endpoint: str = ""
    account: str = ""
    base_rank: int = int(Rank.MICRO)
    base_ms: int = 0
    locked_until_ms: int = 0
    trades: tuple[LiveTrade, ...] = ()
    incidents: tuple[Incident, ...] = ()


class Proof(NamedTuple):
    """One requirement of the next step: what was asked, what was found."""

    step: Rank
    text: str
    found: float
    needed: float
    passed: bool


class Standing(NamedTuple):
    """The highest tier allowed now, and what stands behind it and before the next one."""

    rank: Rank
    proofs: tuple[Proof, ...]
    locked_until_ms: int


# --- numbers of a list of trades ----------------------------------------------------------------------------------------
def win_pct(trades: Iterable[LiveTrade]) -> float:
    """Share of trades with a positive result after fees, percent; 0 without trades."""
    results = [trade.result_e8 > 0 for trade in trades]
    return 100 * sum(results) / len(results) if results else 0.0


def flaws(trades: Iterable[LiveTrade]) -> int:
    """What may not happen at all, together."""
    return sum(getattr(trade, name) for trade in trades for name in FLAWS)


def mismatches(trades: Iterable[LiveTrade]) -> int:
    """Trades whose result is another one in the exchange's history."""
    return sum(trade.matched == 0 for trade in trades)


def patterns(trades: Iterable[LiveTrade]) -> list[str]:
    """Hours of the day (UTC) and kinds of moves that lose again and again."""
    groups: dict[str, list[LiveTrade]] = defaultdict(list)
    for trade in trades:
        groups[f"hour {trade.opened_ms % DAY_MS // HOUR_MS:02d}"].append(trade)
        groups[f"move {trade.move}"].append(trade)
    return sorted(
        name for name, some in groups.items()
        if len(some) >= PATTERN_TRADES and win_pct(some) < PATTERN_WIN_PCT and sum(t.result_e8 for t in some) < 0
    )


# --- the steps ----------------------------------------------------------------------------------------------------------
class Rule(NamedTuple):
    """Passes where `found` is at least (`at_least`) or at most `needed`."""

    text: str
    found: Callable[[tuple[LiveTrade, ...], tuple[Incident, ...]], float]
    needed: float
    at_least: bool


def _unanswered(trades: tuple[LiveTrade, ...], incidents: tuple[Incident, ...]) -> float:
    return sum(not incident.reacted for incident in incidents)


CLEAN = (
    Rule("duplicate entries, illogical targets, unplanned entries, undefined states and ghost positions",
         lambda trades, _: flaws(trades), 0, False),
    Rule("trades that differ from the exchange's history", lambda trades, _: mismatches(trades), 0, False),
    Rule("incidents no safety reacted to", _unanswered, 0, False),
)
STEPS: dict[Rank, tuple[int, tuple[Rule, ...]]] = {
    Rank.SMALL: (20, (Rule("percent won", lambda trades, _: win_pct(trades), 60.0, True), *CLEAN)),
    Rank.NORMAL: (30, (
        Rule("percent won", lambda trades, _: win_pct(trades), 65.0, True),
        Rule("hours or kinds of moves that lose again and again", lambda trades, _: len(patterns(trades)), 0, False),
        *CLEAN,
    )),
}  # fmt: skip
"""What it takes to reach a tier: live trades more than the step before took, and the rules over all since the base."""


def standing(state: Rollout, now_ms: int) -> Standing:
    """What the evidence allows at `now_ms`."""
    trades = tuple(trade for trade in state.trades if trade.closed_ms >= state.base_ms)
    incidents = tuple(incident for incident in state.incidents if incident.time_ms > state.base_ms)
    rank, needed, proofs = Rank(state.base_rank), 0, []
    confirmed = sum(trade.matched == 1 for trade in trades)
    for step, (more, rules) in STEPS.items():
        if step <= rank:
            continue
        needed += more
        rows = [Proof(step, "live trades since the last change that the exchange's history confirms", confirmed, needed,
                      confirmed >= needed)]
        for rule in rules:
            found = rule.found(trades, incidents)
            passed = found >= rule.needed if rule.at_least else found <= rule.needed
            rows.append(Proof(step, rule.text, found, rule.needed, passed))
        proofs += rows
        if step != rank + 1 or not all(row.passed for row in rows):
            continue
        rank = step
    locked = now_ms < state.locked_until_ms
    return Standing(Rank.PAPER if locked else rank, tuple(proofs), state.locked_until_ms if locked else 0)


# --- what changes it ----------------------------------------------------------------------------------------------------
def with_trade(state: Rollout, trade: LiveTrade) -> Rollout:
    """A position was closed."""
    return state._replace(trades=(*state.trades, trade)[-KEPT_TRADES:])


def compared(state: Rollout, trade: LiveTrade, matched: bool, difference: str = "") -> Rollout:
    """The exchange's history of a trade has been read; a trade that is not (any more) among the evidence changes nothing."""
    result = trade._replace(matched=int(matched), difference=difference)
    return state._replace(trades=tuple(result if known == trade else known for known in state.trades))


def demoted(state: Rollout, now_ms: int) -> Rollout:
    """One tier down from what is allowed now (MICRO stays MICRO); evidence counts from here."""
    rank = standing(state, now_ms).rank
    lower = max(Rank.MICRO, rank - 1)
    return state._replace(base_rank=int(lower), base_ms=max(state.base_ms, now_ms))


def after_incident(state: Rollout, incident: Incident) -> Rollout:
    """Remember it; a serious one locks to PAPER and starts at MICRO again, another one costs a tier."""
    noted = state._replace(incidents=(*state.incidents, incident))
    if not incident.serious:
        return demoted(noted, incident.time_ms)
    until = max(state.locked_until_ms, incident.time_ms + LOCK_MS)
    base_ms = max(state.base_ms, incident.time_ms)
    return noted._replace(base_rank=int(Rank.MICRO), base_ms=base_ms, locked_until_ms=until)


def with_incidents(state: Rollout, found: Iterable[Incident]) -> Rollout:
    """Take up every incident not known yet, oldest first."""
    known = set(state.incidents)
    for incident in sorted(set(found) - known):
        state = after_incident(state, incident)
    return state
