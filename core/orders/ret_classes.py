"""retCodes by class and reaction (BYBIT.md 11, RELIABILITY.md 2.3). A code nobody has listed is class E: it proves nothing.

The same number can mean different things for different requests, so there is one table for create and one that overrides
it for cancel and amend; texts decide where Bybit hides several causes behind 10001.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import NamedTuple


class RetClass(StrEnum):
    """What an answer to an order request proves."""

    TAKEN = "A"
    REFUSED = "B"
    UNCHANGED = "C"
    DUPLICATE = "D"
    AMBIGUOUS = "E"
    THROTTLED = "F"
    IDENTITY = "G"
    CLOCK = "H"
    SYMBOL = "I"
    MODE = "J"
    RISK = "K"
    IN_PROGRESS = "L"
    GONE = "X"  # cancel, amend: not there to be changed; perhaps filled


class Reaction(IntEnum):
    """What the desk does about it."""

    AWAIT_STREAM = 0  # the stream is the truth; nothing heard in 2 s: look up
    REFUSE = 1  # ended; not again with the same numbers; repeated: symbol takes no entries
    READ_BACK = 2  # as good as done: read the value
    LOOK_UP = 3  # UNKNOWN until seen or proved absent
    RETRY_LATER = 4  # not processed: same id again after the limit resets, while its time to live lasts
    RETRY_NEW_CLOCK = 5  # not processed: measure the clock, same id again with a new timestamp
    STOP_ENTRIES = 6  # ended; no entries at all until a person has looked
    STOP_SYMBOL = 7  # ended; no entries on the symbol


REACTIONS: dict[RetClass, Reaction] = {
    RetClass.TAKEN: Reaction.AWAIT_STREAM,
    RetClass.REFUSED: Reaction.REFUSE,
    RetClass.UNCHANGED: Reaction.READ_BACK,
    RetClass.DUPLICATE: Reaction.LOOK_UP,
    RetClass.AMBIGUOUS: Reaction.LOOK_UP,
    RetClass.THROTTLED: Reaction.RETRY_LATER,
    RetClass.IDENTITY: Reaction.STOP_ENTRIES,
    RetClass.CLOCK: Reaction.RETRY_NEW_CLOCK,
    RetClass.SYMBOL: Reaction.STOP_SYMBOL,
    RetClass.MODE: Reaction.STOP_SYMBOL,
    RetClass.RISK: Reaction.REFUSE,
    RetClass.IN_PROGRESS: Reaction.LOOK_UP,
    RetClass.GONE: Reaction.LOOK_UP,
}

_CODES: dict[RetClass, tuple[int, ...]] = {
    RetClass.TAKEN: (0,),
    RetClass.REFUSED: (
        10001, 30208, 30209, 110003, 110004, 110006, 110007, 110009, 110012, 110017, 110020, 110021, 110022, 110034,
        110044, 110045, 110051, 110052, 110053, 110058, 110060, 110061, 110092, 110093, 110094, 110103, 110118,
        110119, 110120, 110121, 110124,
    ),
    RetClass.UNCHANGED: (110025, 110026, 110027, 110043, 34040),
    RetClass.DUPLICATE: (110072, 10014, 20006),
    RetClass.AMBIGUOUS: (10000, 10016, 10019, 10429, 429, 10403, 500000, 170001, 170005, 170007, 170032),
    RetClass.THROTTLED: (10006, 10018, 20003),
    RetClass.IDENTITY: (
        401, 403, 10003, 10004, 10005, 10007, 10008, 10009, 10010, 10024, 10027, 10028, 33004, 110066, 110067, 110088,
        110123, 110125,
    ),
    RetClass.CLOCK: (10002, -1),
    RetClass.SYMBOL: (10029, 30228, 110023, 110042, 110063, 110074, 110095, 110096, 110097, 110098, 110099, 110100),
    RetClass.MODE: (110024, 110028, 110029),
    RetClass.RISK: (110011, 110013, 110040, 110046, 110085, 110086, 110089, 110090),
    RetClass.IN_PROGRESS: (40004, 110079),
}
CLASS_OF: dict[int, RetClass] = {code: kind for kind, codes in _CODES.items() for code in codes}
CHANGE_CLASS_OF: dict[int, RetClass] = dict.fromkeys(
    (110001, 110005, 110008, 110010, 110019, 110059, 110064), RetClass.GONE
)
WRONG_MODE_TEXT = "position idx not match position mode"

ALREADY_FLAT = frozenset({110017, 110034})  # of a reduce-only order: nothing to reduce (any more)
NO_MARKET = frozenset({110118})  # of a closing order: no liquidity inside the band; 10001 "buy: [..] invalid" too
PRICE_LIMIT = frozenset({110003, 30208, 30209, 110120, 110121})
MARGIN = frozenset({110004, 110006, 110007, 110012, 110044, 110045, 110051, 110052, 110053})
RULES = frozenset({10001, 110094})  # perhaps our picture of the trading filters is old
SYMBOL_NOT_REDUCING = frozenset({110023, 110042, 30228})  # the venue takes only reducing orders (O44)


class Verdict(NamedTuple):
    """Class of an answer and the reaction to it."""

    kind: RetClass
    reaction: Reaction


def classify(code: int, text: str = "") -> Verdict:
    """Of a create request, a trading stop or a setting."""
    kind = CLASS_OF.get(code, RetClass.AMBIGUOUS)
    if code == 10001 and WRONG_MODE_TEXT in text.lower():
        kind = RetClass.MODE
    return Verdict(kind, REACTIONS[kind])


def classify_change(code: int, text: str = "") -> Verdict:
    """Of a cancel or an amend: `GONE` is no proof of cancellation, the order may have been filled."""
    kind = CHANGE_CLASS_OF.get(code)
    if kind is None:
        return classify(code, text)
    return Verdict(kind, REACTIONS[kind])
