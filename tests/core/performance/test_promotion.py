"""What the evidence allows: every requirement of B5 and B6 alone, at its edge."""

from __future__ import annotations

import pytest

from core.performance.promotion import (
    LOCK_MS,
    Incident,
    LiveTrade,
    Rollout,
    after_incident,
    compared,
    demoted,
    patterns,
    standing,
    win_pct,
    with_incidents,
    with_trade,
)
from core.risk.tiers import Rank

HOUR = 3_600_000
DAY_MS = 24 * HOUR
KEPT_TRADES = 500


def trades(wins: int, losses: int, start: int = 0, **fields) -> tuple[LiveTrade, ...]:
    """One an hour, in different hours and kinds of moves, so that there is no pattern."""
    rows = []
    for k in range(wins + losses):
        result = 100 if k % 10 * (wins + losses) < wins * 10 and sum(r.result_e8 > 0 for r in rows) < wins else -100
        rows.append(LiveTrade("XUSDT", start + k * 7 * HOUR, start + k * 7 * HOUR + 1, 1, result, 5, "MICRO", "GRIND",
                              matched=1))
    won = sum(r.result_e8 > 0 for r in rows)
    for k in range(len(rows)):
        if won < wins and rows[k].result_e8 < 0:
            rows[k], won = rows[k]._replace(result_e8=100), won + 1
    return tuple(row._replace(**fields) for row in rows)


def rank(*some: tuple[LiveTrade, ...], now: int = 10**12, **state) -> Rank:
    return standing(Rollout(trades=sum(some, ()), **state), now).rank


def test_the_steps():
    assert rank() == Rank.MICRO
    assert rank(trades(12, 7)) == Rank.MICRO  # 19
    assert rank(trades(12, 8)) == Rank.SMALL  # 20, 60 %
    assert rank(trades(11, 9)) == Rank.MICRO  # 55 %
    assert rank(trades(19, 13)) == Rank.MICRO  # 59.4 %
    assert rank(trades(33, 16)) == Rank.SMALL  # 49
    assert rank(trades(33, 17)) == Rank.NORMAL  # 50, 66 %
    assert rank(trades(32, 18)) == Rank.SMALL  # 64 %
    assert rank(trades(39, 21)) == Rank.NORMAL  # 65 %
    assert rank(trades(33, 17), base_rank=int(Rank.SMALL)) == Rank.NORMAL
    assert rank(trades(20, 9), base_rank=int(Rank.SMALL)) == Rank.SMALL
    assert rank(trades(20, 10), base_rank=int(Rank.SMALL)) == Rank.NORMAL


def test_only_trades_the_exchange_confirms_count():
    waiting = trades(30, 0, matched=-1)
    assert rank(trades(19, 0), waiting) == Rank.MICRO
    assert rank(trades(20, 0), waiting) == Rank.SMALL  # what is not compared yet proves nothing and disproves nothing
    assert LiveTrade("X", 0, 0, 1, 0, 0, "MICRO", "")[8:] == (*[0] * 5, -1, *[0] * 4, "")  # a trade as it is closed
    state = Rollout(trades=trades(19, 0) + waiting[:1])
    assert standing(compared(state, waiting[0], True), 10**12).rank == Rank.SMALL
    unlike = compared(state, waiting[0], False, "fees_e8 1 here, 2 there")
    assert (unlike.trades[-1].matched, unlike.trades[-1].difference) == (0, "fees_e8 1 here, 2 there")
    assert standing(unlike, 10**12).rank == Rank.MICRO
    assert compared(state, waiting[5], True) == state  # not among the evidence


def test_no_step_is_skipped():
    """What is wrong with the first step keeps the second one shut, too."""
    bad = trades(60, 0)
    assert rank((bad[0]._replace(duplicate_entries=1), *bad[1:])) == Rank.MICRO


@pytest.mark.parametrize("flaw", [
    "duplicate_entries", "illogical_targets", "unplanned_entries", "undefined_states", "ghost_positions"])
def test_one_flaw_is_one_too_many(flaw):
    good = trades(30, 0)
    for base, earned in ((Rank.MICRO, Rank.SMALL), (Rank.SMALL, Rank.NORMAL)):
        assert rank(good, base_rank=int(base)) == earned
        assert rank((good[0]._replace(**{flaw: 1}), *good[1:]), base_rank=int(base)) == base


def test_a_trade_the_exchange_knows_otherwise():
    good = trades(20, 0, matched=1)
    assert rank(good) == Rank.SMALL
    assert rank((good[0]._replace(matched=0), *good[1:])) == Rank.MICRO
    assert rank((good[0]._replace(matched=-1), *good[1:])) == Rank.MICRO  # not confirmed yet
    assert rank((good[0]._replace(matched=0), *trades(20, 0))) == Rank.MICRO  # twenty others do not make up for it


def test_an_incident_no_safety_reacted_to():
    quiet = Incident(5, "safety", False, True, "")
    assert rank(trades(20, 0), incidents=(quiet,)) == Rank.SMALL
    assert rank(trades(20, 0), incidents=(quiet._replace(reacted=False),)) == Rank.MICRO
    assert rank(trades(20, 0), incidents=(quiet._replace(reacted=False, time_ms=0),)) == Rank.SMALL  # before the base


def test_patterns():
    losing = trades(0, 5, move="PUMP")
    assert patterns(losing) == ["move PUMP"]
    assert patterns(losing[:4]) == []
    assert patterns((*losing, *trades(4, 0, move="PUMP"))) == []  # 44 % won
    assert patterns((*losing, *trades(2, 0, move="PUMP", result_e8=1000))) == []  # it earns
    assert patterns((*losing, *trades(1, 0, move="PUMP", result_e8=500))) == []  # it loses nothing
    assert patterns((*losing, *trades(1, 0, move="PUMP", result_e8=499))) == ["move PUMP"]
    assert patterns(trades(2, 3, move="PUMP")) == []  # 40 % won
    assert patterns(trades(15, 23, move="PUMP")) == ["move PUMP"]  # 39.5 %
    for at in (14 * HOUR, 15 * HOUR - 1):
        hour = tuple(t._replace(opened_ms=k * DAY_MS + at, move=str(k)) for k, t in enumerate(trades(0, 5)))
        assert patterns(hour) == ["hour 14"]
    assert patterns(()) == []
    some = trades(45, 5)
    at = [k for k, t in enumerate(some) if t.result_e8 < 0]
    moved = tuple(t._replace(move="DUMP") if k in at else t for k, t in enumerate(some))
    assert rank(some) == Rank.NORMAL
    assert rank(moved) == Rank.SMALL


def test_evidence_counts_from_the_base_on():
    good = trades(20, 0)
    assert rank(good, base_ms=good[0].closed_ms) == Rank.SMALL
    assert rank(good, base_ms=good[0].closed_ms + 1) == Rank.MICRO
    assert Rollout() == ("", "", Rank.MICRO, 0, 0, (), ())  # a new account has everything before it


def test_demotion_counts_from_now_on():
    state = Rollout(trades=trades(33, 17))
    down = demoted(state, 10**10)
    assert (standing(down, 10**10).rank, down.base_rank, down.base_ms) == (Rank.SMALL, Rank.SMALL, 10**10)
    further = demoted(down, 10**10 + 1)
    assert standing(further, 10**10 + 2).rank == Rank.MICRO
    assert standing(demoted(further, 10**10 + 3), 10**10 + 4).rank == Rank.MICRO
    again = down
    for trade in trades(20, 10, start=10**10):
        assert standing(again, 10**11).rank == Rank.SMALL
        again = with_trade(again, trade)
    assert standing(again, 10**11).rank == Rank.NORMAL


def test_a_serious_incident_locks_and_starts_anew():
    state = Rollout(trades=trades(33, 17))
    at = 10**10
    after = after_incident(state, Incident(at, "technical", True, True, "x"))
    assert standing(after, at) .rank == standing(after, at + LOCK_MS - 1).rank == Rank.PAPER
    assert standing(after, at).locked_until_ms == at + LOCK_MS == at + 3 * DAY_MS
    unlocked = standing(after, at + LOCK_MS)
    assert (unlocked.rank, unlocked.locked_until_ms) == (Rank.MICRO, 0)
    longer = after_incident(after, Incident(at + 5, "market", True, True, "y"))
    assert longer.locked_until_ms == at + 5 + LOCK_MS
    assert after_incident(longer, Incident(at - 5, "market", True, True, "y")).locked_until_ms == at + 5 + LOCK_MS
    mild = after_incident(state, Incident(at, "market", False, True, "z"))
    assert (standing(mild, at).rank, mild.locked_until_ms) == (Rank.SMALL, 0)
    assert [i.text for i in longer.incidents] == ["x", "y"]


def test_a_lock_is_not_lifted_by_a_demotion_and_locked_accounts_stay_at_the_bottom():
    locked = after_incident(Rollout(), Incident(0, "safety", True, True, ""))
    down = demoted(locked, 5)
    assert (down.base_rank, down.locked_until_ms) == (Rank.MICRO, LOCK_MS)


def test_proofs_tell_what_was_found():
    found = standing(Rollout(trades=trades(10, 0)), 0)
    first = found.proofs[0]
    assert (first.step, first.found, first.needed, first.passed) == (Rank.SMALL, 10, 20, False)
    needed = {(p.step, p.needed) for p in found.proofs if p.text.startswith("live trades")}
    assert needed == {(Rank.SMALL, 20), (Rank.NORMAL, 50)}
    assert [p.found for p in found.proofs if p.text == "percent won"] == [100.0, 100.0]


def test_numbers():
    assert win_pct(()) == 0.0
    assert win_pct(trades(1, 0) + trades(0, 1)) == 50.0
    assert [win_pct(trades(1, 0, result_e8=e8)) for e8 in (0, 1)] == [0.0, 100.0]  # nothing won is not won
    many = Rollout()
    for k in range(KEPT_TRADES + 3):
        many = with_trade(many, LiveTrade("X", k, k, 1, 1, 1, "MICRO", ""))
    assert (len(many.trades), many.trades[0].opened_ms) == (KEPT_TRADES, 3)


def test_incidents_found_on_disk_count_once():
    first, second = Incident(5, "market", False, True, "a"), Incident(9, "safety", True, True, "b")
    state = with_incidents(Rollout(trades=trades(33, 17, start=-10**10)), [second, first])
    assert [i.text for i in state.incidents] == ["a", "b"]
    assert state.locked_until_ms == 9 + LOCK_MS
    assert with_incidents(state, [first, second, second]) == state
    late = with_incidents(state, [Incident(3, "market", True, True, "c")])
    assert (late.base_ms, late.locked_until_ms) == (9, 9 + LOCK_MS)  # the older one moves nothing back
