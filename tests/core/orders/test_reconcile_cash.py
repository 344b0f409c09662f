"""The wallet against what was booked: what is a difference, how often it must be told, and what a person's word does (O45)."""

from __future__ import annotations

from core.orders.exchange_desk_core import DeskConfig, DeskCore, Holding
from core.orders.exchange_words import WalletRow
from core.orders.reconcile_cash import CashCheck
from tests.core.orders.naive_exchange import S, instrument

LEDGER = (-1, "LEDGER")


class Books:
    """A core with two flat symbols, long after their last execution, and 10 e8 booked before the wallet was first told."""

    def __init__(self) -> None:
        self.core = DeskCore(DeskConfig())
        self.core.now_ns = 100 * S
        for number in (0, 1):
            known = instrument(number)
            self.core.instruments[known.name] = known
            self.core.holdings[known.name] = Holding(known.name, known, exec_ns=10 * S)
        self.core.realised_e8 = 10
        self.check = CashCheck(self.core)

    def told(self, balance_e8: int, quiet: bool = True) -> bool:
        return self.check.compare(WalletRow(balance_e8, 0, 0, 0, 0, 0, 0), quiet)

    @property
    def broken(self) -> bool:
        return LEDGER in self.core.troubles


def test_the_first_telling_is_the_base_and_results_move_what_is_wanted():
    books = Books()
    assert not books.told(1_000)
    books.core.realised_e8 += 25
    assert not books.told(1_025) and books.told(1_000) and not books.broken


def test_a_difference_is_believed_when_it_was_told_three_times_in_a_row_and_counted_once():
    books = Books()
    books.told(1_000)
    assert books.told(1_300) and books.told(1_300) and not books.broken
    assert not books.told(1_000), "it was on its way: the count begins anew"
    assert [books.told(1_300) for _ in range(2)] == [True, True] and not books.broken
    assert books.told(1_300) and books.broken
    trouble = books.core.troubles[LEDGER]
    assert (trouble.ours, trouble.theirs) == ("1000", "1300")
    books.told(1_300)
    books.told(1_300)
    assert books.core.counters["ledger_diff"] == 1
    assert [effect.payload for effect in books.core.effects if hasattr(effect, "payload")] == [
        b"LEDGER\x1f\x1f1\x1fthe wallet is not what we booked"], "it survives a restart"


def test_a_person_takes_the_wallet_as_the_new_base():
    books = Books()
    books.told(1_000)
    for _ in range(3):
        books.told(1_300)
    assert books.told(1_300), "until then it stays a difference"
    books.core.clear_latched("", "LEDGER")
    assert not books.told(1_300) and not books.broken
    assert books.told(1_000) and books.told(1_000) and not books.broken, "and from here three times again"
    assert books.told(1_000) and books.broken


def test_a_person_who_answers_at_once_is_heard_at_the_next_look():
    """The trouble was cleared right after the look that raised it."""
    books = Books()
    books.told(1_000)
    for _ in range(3):
        books.told(1_300)
    books.core.clear_latched("", "LEDGER")
    assert not books.told(1_300) and not books.broken and not books.told(1_300)


def test_a_difference_that_goes_away_by_itself_does_not_move_the_base():
    books = Books()
    books.told(1_000)
    for _ in range(3):
        books.told(1_300)
    assert not books.told(1_000) and books.told(1_300)


def test_rounding_of_the_exchange_is_forgiven_two_units_for_each_fill_and_funding():
    books = Books()
    books.told(1_000)
    books.core.counters["fills"], books.core.counters["funding"] = 3, 2
    assert [books.told(1_000 + d) for d in (10, 11, -10, -11)] == [False, True, False, True]


def test_nothing_is_compared_while_anything_is_on_its_way():
    books = Books()
    books.told(1_000)
    assert not books.told(1_300, quiet=False)
    one = books.core.holdings["AUSDT"]
    one.lots = 5  # booked, and the exchange has not shown it yet
    assert not books.told(1_300)
    one.lots = 0
    one.exec_ns = books.core.now_ns - 2 * S
    assert not books.told(1_300), "two seconds after an execution the wallet may not have it"
    one.exec_ns -= 1
    assert books.told(1_300) and books.told(1_300) and not books.broken, "none of those counted"


def test_nothing_is_the_base_while_anything_is_on_its_way():
    books = Books()
    books.core.holdings["BUSDT"].exec_ns = books.core.now_ns
    assert not books.told(1_300)
    books.core.holdings["BUSDT"].exec_ns = 0
    assert not books.told(1_000) and not books.told(1_000)
