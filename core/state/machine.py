"""The trade state machine of a symbol (requirement A12): everything that moves it, in one table.

    FLAT --> WATCHING_x --> ARMED_x --> ORDER_PLACED --> IN_POSITION --> MANAGING --> EXITED --> COOLDOWN --> FLAT
      any of them --> BLOCKED_REGIME when the regime turns bad; an entry is cancelled, an open position managed out: stop and
      targets follow the rules of the regime (core/position), and after `blocked_hold_s` it is closed

How it runs: `conditions` (kernels.py) states as bits what is true of the symbol; of the rows of its state the first, in
table order, whose condition is true fires. Order is priority. Rows on report conditions (from `FIRST_REPORT` on) send
no message: reports may be taken at any event of the shard, and what a symbol sends must depend on its own events and
TIMERs only, or the number of shards would matter.

LONG and SHORT are one code path: WATCHING and ARMED know their side, conditions are about "the side of interest".
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np

from core.enums import Cause, State


class When(IntEnum):
    """Conditions; the value is the bit number."""

    DELISTED = 0  # the symbol leaves
    LEFT = 1  # the symbol leaves and nothing of ours is open
    KILLED = 2  # kill latch
    ENTRIES_OFF = 3  # pause, DEGRADED or feed not connected
    REGIME_BAD = 4  # PUMP, MANIPULATED, NEWS_DRIVEN
    REGIME_GOOD = 5  # NORMAL or COOLDOWN_DONE, nothing open, rest over
    REGIME_GOOD_RESTING = 6  # the same with the rest not over
    DATA_BAD = 7  # book not OK or features not warm
    GLOBAL_BAD = 8  # GLOBAL_RISK_OFF or GLOBAL_PANIC
    LONG_OVER_WATCH = 9  # long score the better one, over watch, and the symbol may signal
    SHORT_OVER_WATCH = 10
    OVER_ARM = 11  # score of the side of interest over arm, walls and flow agree, no fresh bad news
    UNDER_ARM = 12  # it fell under arm - hysteresis
    UNDER_WATCH = 13  # it fell under watch - hysteresis
    SIGNAL_EXPIRED = 14  # the signal is older than its time to live
    READY = 15  # no gate is shut
    COOLDOWN_OVER = 16
    SETTLED = 17  # nothing open, working or unanswered
    WORKING_OVER = 18  # a position, and no entry order working behind it
    TIME_UP = 19  # position older than max_hold
    STILL_OPEN = 20  # position open in a bad regime, no exit under way, and it must go: its time there is over, or
    # killed, delisted, too old, dust
    STILL_WORKING = 21  # entry working and no cancel under way
    ZONE_LOST = 22  # price too far from the entry zone, or the zone followed it too often
    SPREAD_WIDE = 23  # a working entry: the spread is over its limit
    NEWS_BAD = 24  # ... news over the veto
    WALLS_BAD = 25  # ... the walls behind it were pulled, or others stand against it
    FLOW_BAD = 26  # ... the flow turned
    DUST = 27  # the rest of a position is smaller than the smallest order
    REJECTED = 28  # report: entry refused
    ENDED_LONG = 29  # report: entry ended unfilled, long, and the signal has attempts left
    ENDED_SHORT = 30
    ENDED = 31  # report: entry ended unfilled, the signal is used up
    OPENED = 32  # report: a position now exists
    CLOSED_TAKE_PROFIT = 33  # report: position closed by its target
    CLOSED_STOP = 34  # report: position closed by its stop (or liquidated)
    CLOSED_EXIT = 35  # report: position closed by an exit we asked for


FIRST_REPORT = When.REJECTED


class Action(IntEnum):
    """What a transition does besides moving."""

    NONE = 0
    START_SIGNAL = 1  # note side, time and first attempt of the signal
    ENTER = 2  # send ENTER
    CANCEL = 3  # send CANCEL, once until answered
    EXIT = 4  # send EXIT, once until it worked or `exit_retry_ns` passed
    START_COOLDOWN = 5


class Row(NamedTuple):
    state: State
    when: When
    to: State
    cause: Cause
    action: Action


_S, _W, _C, _A = State, When, Cause, Action

_WATCHING_OR_ARMED = (
    (_W.OPENED, _S.IN_POSITION, _C.FILLED, _A.NONE),
    (_W.LEFT, _S.FLAT, _C.DELISTED, _A.NONE),
    (_W.KILLED, _S.FLAT, _C.KILL, _A.NONE),
    (_W.REGIME_BAD, _S.BLOCKED_REGIME, _C.REGIME_BLOCKED, _A.NONE),
    (_W.DATA_BAD, _S.FLAT, _C.DATA_BROKEN, _A.NONE),
    (_W.GLOBAL_BAD, _S.FLAT, _C.GLOBAL, _A.NONE),
    (_W.SIGNAL_EXPIRED, _S.COOLDOWN, _C.EXPIRED, _A.START_COOLDOWN),
    (_W.ZONE_LOST, _S.COOLDOWN, _C.ZONE_LOST, _A.START_COOLDOWN),
    (_W.UNDER_WATCH, _S.FLAT, _C.SCORE_UNDER_WATCH, _A.NONE),
)
_OPEN = (
    (_W.CLOSED_TAKE_PROFIT, _S.EXITED, _C.TAKE_PROFIT, _A.NONE),
    (_W.CLOSED_STOP, _S.EXITED, _C.STOP, _A.NONE),
    (_W.CLOSED_EXIT, _S.EXITED, _C.EXIT_FILLED, _A.NONE),
)


def _open_exits(state: State) -> tuple[Row, ...]:
    return (
        Row(state, _W.REGIME_BAD, _S.BLOCKED_REGIME, _C.REGIME_BLOCKED, _A.NONE),
        Row(state, _W.KILLED, state, _C.KILL, _A.EXIT),
        Row(state, _W.DELISTED, state, _C.DELISTED, _A.EXIT),
        Row(state, _W.TIME_UP, state, _C.TIME_STOP, _A.EXIT),
        Row(state, _W.DUST, state, _C.DUST, _A.EXIT),
    )


TABLE: tuple[Row, ...] = (
    # state               condition             to                  cause                 action
    Row(_S.FLAT, _W.OPENED, _S.IN_POSITION, _C.FILLED, _A.NONE),
    Row(_S.FLAT, _W.REGIME_BAD, _S.BLOCKED_REGIME, _C.REGIME_BLOCKED, _A.NONE),
    Row(_S.FLAT, _W.LONG_OVER_WATCH, _S.WATCHING_LONG, _C.SCORE_OVER_WATCH, _A.START_SIGNAL),
    Row(_S.FLAT, _W.SHORT_OVER_WATCH, _S.WATCHING_SHORT, _C.SCORE_OVER_WATCH, _A.START_SIGNAL),
    *(Row(_S.WATCHING_LONG, *rest) for rest in _WATCHING_OR_ARMED),
    Row(_S.WATCHING_LONG, _W.OVER_ARM, _S.ARMED_LONG, _C.ARMED, _A.NONE),
    *(Row(_S.WATCHING_SHORT, *rest) for rest in _WATCHING_OR_ARMED),
    Row(_S.WATCHING_SHORT, _W.OVER_ARM, _S.ARMED_SHORT, _C.ARMED, _A.NONE),
    *(Row(_S.ARMED_LONG, *rest) for rest in _WATCHING_OR_ARMED),
    Row(_S.ARMED_LONG, _W.UNDER_ARM, _S.WATCHING_LONG, _C.DISARMED, _A.NONE),
    Row(_S.ARMED_LONG, _W.READY, _S.ORDER_PLACED, _C.ORDER_SENT, _A.ENTER),
    *(Row(_S.ARMED_SHORT, *rest) for rest in _WATCHING_OR_ARMED),
    Row(_S.ARMED_SHORT, _W.UNDER_ARM, _S.WATCHING_SHORT, _C.DISARMED, _A.NONE),
    Row(_S.ARMED_SHORT, _W.READY, _S.ORDER_PLACED, _C.ORDER_SENT, _A.ENTER),
    Row(_S.ORDER_PLACED, _W.OPENED, _S.IN_POSITION, _C.FILLED, _A.NONE),
    Row(_S.ORDER_PLACED, _W.REJECTED, _S.COOLDOWN, _C.ORDER_REJECTED, _A.START_COOLDOWN),
    Row(_S.ORDER_PLACED, _W.ENDED_LONG, _S.WATCHING_LONG, _C.ORDER_DONE, _A.NONE),
    Row(_S.ORDER_PLACED, _W.ENDED_SHORT, _S.WATCHING_SHORT, _C.ORDER_DONE, _A.NONE),
    Row(_S.ORDER_PLACED, _W.ENDED, _S.COOLDOWN, _C.ORDER_DONE, _A.START_COOLDOWN),
    Row(_S.ORDER_PLACED, _W.REGIME_BAD, _S.BLOCKED_REGIME, _C.REGIME_BLOCKED, _A.CANCEL),
    Row(_S.ORDER_PLACED, _W.KILLED, _S.ORDER_PLACED, _C.KILL, _A.CANCEL),
    Row(_S.ORDER_PLACED, _W.DELISTED, _S.ORDER_PLACED, _C.DELISTED, _A.CANCEL),
    Row(_S.ORDER_PLACED, _W.DATA_BAD, _S.ORDER_PLACED, _C.DATA_BROKEN, _A.CANCEL),
    Row(_S.ORDER_PLACED, _W.GLOBAL_BAD, _S.ORDER_PLACED, _C.GLOBAL, _A.CANCEL),
    Row(_S.ORDER_PLACED, _W.ENTRIES_OFF, _S.ORDER_PLACED, _C.CONTROL, _A.CANCEL),
    Row(_S.ORDER_PLACED, _W.SIGNAL_EXPIRED, _S.ORDER_PLACED, _C.EXPIRED, _A.CANCEL),
    Row(_S.ORDER_PLACED, _W.ZONE_LOST, _S.ORDER_PLACED, _C.ZONE_LOST, _A.CANCEL),
    Row(_S.ORDER_PLACED, _W.UNDER_WATCH, _S.ORDER_PLACED, _C.SCORE_UNDER_WATCH, _A.CANCEL),
    Row(_S.ORDER_PLACED, _W.NEWS_BAD, _S.ORDER_PLACED, _C.NEWS, _A.CANCEL),
    Row(_S.ORDER_PLACED, _W.SPREAD_WIDE, _S.ORDER_PLACED, _C.SPREAD_WIDE, _A.CANCEL),
    Row(_S.ORDER_PLACED, _W.WALLS_BAD, _S.ORDER_PLACED, _C.WALLS_AGAINST, _A.CANCEL),
    Row(_S.ORDER_PLACED, _W.FLOW_BAD, _S.ORDER_PLACED, _C.FLOW_AGAINST, _A.CANCEL),
    *(Row(_S.IN_POSITION, *rest) for rest in _OPEN),
    *_open_exits(_S.IN_POSITION),
    Row(_S.IN_POSITION, _W.WORKING_OVER, _S.MANAGING, _C.MANAGE, _A.NONE),
    *(Row(_S.MANAGING, *rest) for rest in _OPEN),
    *_open_exits(_S.MANAGING),
    Row(_S.EXITED, _W.OPENED, _S.IN_POSITION, _C.FILLED, _A.NONE),
    Row(_S.EXITED, _W.SETTLED, _S.COOLDOWN, _C.COOLDOWN_START, _A.START_COOLDOWN),
    Row(_S.EXITED, _W.REGIME_BAD, _S.BLOCKED_REGIME, _C.REGIME_BLOCKED, _A.START_COOLDOWN),
    Row(_S.COOLDOWN, _W.OPENED, _S.IN_POSITION, _C.FILLED, _A.NONE),
    Row(_S.COOLDOWN, _W.LEFT, _S.FLAT, _C.DELISTED, _A.NONE),
    Row(_S.COOLDOWN, _W.REGIME_BAD, _S.BLOCKED_REGIME, _C.REGIME_BLOCKED, _A.NONE),
    Row(_S.COOLDOWN, _W.COOLDOWN_OVER, _S.FLAT, _C.COOLDOWN_END, _A.NONE),
    *(Row(_S.BLOCKED_REGIME, *rest) for rest in _OPEN),
    Row(_S.BLOCKED_REGIME, _W.OPENED, _S.BLOCKED_REGIME, _C.FILLED, _A.NONE),
    Row(_S.BLOCKED_REGIME, _W.STILL_OPEN, _S.BLOCKED_REGIME, _C.REGIME_BLOCKED, _A.EXIT),
    Row(_S.BLOCKED_REGIME, _W.STILL_WORKING, _S.BLOCKED_REGIME, _C.REGIME_BLOCKED, _A.CANCEL),
    Row(_S.BLOCKED_REGIME, _W.LEFT, _S.FLAT, _C.DELISTED, _A.NONE),
    Row(_S.BLOCKED_REGIME, _W.REGIME_GOOD_RESTING, _S.COOLDOWN, _C.REGIME_CLEAR, _A.NONE),
    Row(_S.BLOCKED_REGIME, _W.REGIME_GOOD, _S.FLAT, _C.REGIME_CLEAR, _A.NONE),
)

# conditions that would ask again what is already asked: hidden while a cancel or an exit is under way
CANCEL_REASONS = (
    _W.KILLED, _W.DELISTED, _W.DATA_BAD, _W.GLOBAL_BAD, _W.ENTRIES_OFF, _W.SIGNAL_EXPIRED, _W.ZONE_LOST,
    _W.UNDER_WATCH, _W.NEWS_BAD, _W.SPREAD_WIDE, _W.WALLS_BAD, _W.FLOW_BAD,
)
EXIT_REASONS = (_W.KILLED, _W.DELISTED, _W.TIME_UP, _W.DUST)


def mask(conditions: tuple[When, ...]) -> int:
    """Bits of `conditions`."""
    return sum(1 << when for when in conditions)


CANCEL_MASK = mask(CANCEL_REASONS)
EXIT_MASK = mask(EXIT_REASONS)

# columns of the compiled table
ROW_BIT, ROW_TO, ROW_CAUSE, ROW_ACTION = 0, 1, 2, 3
ROW_COLUMNS = 4


def compiled_table() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The table as the kernels walk it.

    rows: int64[n, 4] (condition bit, to, cause, action) grouped by state in table order; first: int64[states + 1], rows
    of state s are first[s]:first[s + 1]; interest: int64[states], all condition bits of the state's rows.
    """
    rows: list[tuple[int, int, int, int]] = []
    first = [0]
    interest = []
    for state in State:
        own = [row for row in TABLE if row.state == state]
        rows += [(1 << row.when, int(row.to), int(row.cause), int(row.action)) for row in own]
        interest.append(mask(tuple(row.when for row in own)))
        first.append(len(rows))
    return np.array(rows, np.int64), np.array(first, np.int64), np.array(interest, np.int64)
