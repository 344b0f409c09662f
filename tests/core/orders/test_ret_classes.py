"""retCodes by class: the table of RELIABILITY.md 2.3, written down again."""

from __future__ import annotations

import pytest

from core.orders.ret_classes import CLASS_OF, REACTIONS, Reaction, RetClass, classify, classify_change
from core.sim.ret_codes import RetCode

# the table as the catalogue prints it; ranges spelled out
CATALOGUE = {
    "A": [0],
    "B": [10001, 110003, 110004, 110006, 110007, 110009, 110012, 110017, 110020, 110021, 110044, 110045, 110051, 110052,
          110053, 110092, 110093, 110094, 110120, 110121],
    "C": [110025, 110026, 110027, 110043, 34040],
    "D": [110072, 10014, 20006],
    "E": [10000, 10016, 10019, 10429, 10403, 500000, 170001, 170005, 170007, 170032],
    "F": [10006, 20003],
    "G": [10003, 10004, 10005, 10007, 10008, 10009, 10010, 10024, 10027, 10028, 33004, 110066, 110123, 401, 403],
    "H": [10002, -1],
    "I": [10029, 30228, 110023, 110042, 110063, 110074, 110095, 110098, 110099],
    "J": [110024, 110028, 110029],
    "K": [110011, 110013, 110040, 110085, 110086, 110089, 110090],
    "L": [40004, 110079],
}


@pytest.mark.parametrize(("letter", "code"), [(k, c) for k, codes in CATALOGUE.items() for c in codes])
def test_catalogue(letter, code):
    verdict = classify(code)
    assert verdict.kind == RetClass(letter)
    assert verdict.reaction is REACTIONS[verdict.kind]


def test_a_code_nobody_knows_proves_nothing():
    for code in (1, 99999, 110999, 123456789, -7):
        assert classify(code).kind is RetClass.AMBIGUOUS
        assert classify(code).reaction is Reaction.LOOK_UP
        assert classify_change(code).kind is RetClass.AMBIGUOUS


def test_only_refusing_classes_end_an_order():
    ending = {k for k, r in REACTIONS.items() if r in (Reaction.REFUSE, Reaction.STOP_ENTRIES, Reaction.STOP_SYMBOL)}
    assert ending == {RetClass.REFUSED, RetClass.IDENTITY, RetClass.SYMBOL, RetClass.MODE, RetClass.RISK}
    assert set(REACTIONS) == set(RetClass)


def test_the_mode_mismatch_hides_behind_10001():
    assert classify(10001, "Position idx not match position mode").kind is RetClass.MODE
    assert classify(10001, "Qty invalid").kind is RetClass.REFUSED


@pytest.mark.parametrize("code", [110001, 110008, 110010, 110064, 110059])
def test_a_cancel_that_finds_nothing_proves_nothing(code):
    assert classify_change(code) == (RetClass.GONE, Reaction.LOOK_UP)


def test_changes_share_the_rest_of_the_table():
    assert classify_change(10002).reaction is Reaction.RETRY_NEW_CLOCK
    assert classify_change(0).kind is RetClass.TAKEN


def test_every_code_of_the_embedded_exchange_has_a_class():
    gone = {RetCode.ORDER_NOT_FOUND, RetCode.ORDER_DONE, RetCode.ORDER_CANCELLED, RetCode.QTY_BELOW_FILLED}
    for code in RetCode:
        assert code in gone or code in CLASS_OF, code
