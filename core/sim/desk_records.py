"""DESK: what the paper desk remembers of one symbol, and the numbers its kernels share."""

from __future__ import annotations

import numpy as np

from core.enums import Cause, MessageKind, OrderRole, ReportKind
from core.records import _record

MATCH_BOOK_OK = 1
MATCH_BOOK_CHANGED = 2
MATCH_NO_TAKER = 4
FLAG_POST_ONLY = 1
FLAG_TAKER = 2
FLAG_REFUSED = 1  # of PROTECTED: nothing moves
FLAG_ADD = 8  # an addition to the open position
RUNGS = 3
TRADE_BLOCK = 1
TRADE_RPI = 2
WALK_LEVELS = np.int64(16)  # a literal would compile a second signature
TARGET_WALK_LEVELS = np.int64(8)  # of targets that are crossed when they are placed, all together
MAX_MESSAGES = 48  # 1 maker entry + 3 targets + 2 walks + targets that take + 3 DONE, with room
E8 = 100_000_000

IDLE = 0
PENDING = 1  # accepted, not yet on the book
RESTING = 2
TARGET_NONE = -2  # target not on the book yet

# numpy integers: an enum member or a literal handed from kernel to kernel would compile a second signature
ZERO = np.int64(0)
ONE = np.int64(1)
BUY = np.int64(1)
SELL = np.int64(-1)
BID_SIDE = np.int64(0)
ASK_SIDE = np.int64(1)
CAUSE_CONTROL = np.int64(Cause.CONTROL)
CAUSE_DATA_BROKEN = np.int64(Cause.DATA_BROKEN)
CAUSE_EXPIRED = np.int64(Cause.EXPIRED)
CAUSE_KILL = np.int64(Cause.KILL)
CAUSE_ORDER_REJECTED = np.int64(Cause.ORDER_REJECTED)
CAUSE_STOP = np.int64(Cause.STOP)
CAUSE_TAKE_PROFIT = np.int64(Cause.TAKE_PROFIT)
MESSAGE_CASH = np.int64(MessageKind.CASH)
MESSAGE_DONE = np.int64(MessageKind.DONE)
MESSAGE_FILL = np.int64(MessageKind.FILL)
REPORT_ACCEPTED = np.int64(ReportKind.ACCEPTED)
REPORT_CANCEL = np.int64(ReportKind.CANCEL)
REPORT_CLOSE = np.int64(ReportKind.CLOSE)
REPORT_POSITION = np.int64(ReportKind.POSITION)
REPORT_PROTECTED = np.int64(ReportKind.PROTECTED)
ROLE_ENTRY = np.int64(OrderRole.ENTRY)
ROLE_EXIT = np.int64(OrderRole.EXIT)
ROLE_KILL = np.int64(OrderRole.KILL)
ROLE_STOP = np.int64(OrderRole.STOP)
ROLE_TAKE_PROFIT = np.int64(OrderRole.TAKE_PROFIT)

DESK = _record(
    "DESK", 384, "one symbol on the paper desk: the working entry, the position, the closing order",
    ("order_id", "i8", "1", "working entry"),
    ("decision_id", "i8", "1", "decision behind it"),
    ("phase", "i8", "0..2", "IDLE, PENDING or RESTING"),
    ("side", "i8", "sign", "side of the entry"),
    ("order_flags", "i8", "bits", "FLAG_POST_ONLY, FLAG_TAKER"),
    ("price_ticks", "i8", "ticks", "limit"),
    ("leaves_lots", "i8", "lots", "unfilled"),
    ("queue_lots", "i8", "lots", "ahead of us, QUEUE_UNKNOWN = deeper than displayed"),
    ("deadline_ns", "i8", "ns", "turn taker or end at this event time, 0 = never"),
    ("order_lots", "i8", "lots", "its size"),
    ("stop_ticks", "i8", "ticks", "stop attached to the entry"),
    ("target_ticks", "(3,)i8", "ticks", "targets attached to the entry"),
    ("target_lots", "(3,)i8", "lots", "what each takes when the entry fills in full"),
    ("cancel", "i8", "Cause", "cancel wanted, 0 = no"),
    ("pos_lots", "i8", "lots", "signed position"),
    ("pos_order_id", "i8", "1", "entry order of the position"),
    ("pos_decision_id", "i8", "1", "decision of the position"),
    ("pos_stop_ticks", "i8", "ticks", "stop in force, 0 = none"),
    ("pos_target_ticks", "(3,)i8", "ticks", "targets in force"),
    ("pos_target_lots", "(3,)i8", "lots", "what each still takes, 0 = none"),
    ("target_queue_lots", "(3,)i8", "lots", "ahead of each, TARGET_NONE = not placed"),
    ("hit_lots", "(3,)i8", "lots", "filled of each by the event at hand"),
    ("hit_side", "i8", "sign", "side of these fills"),
    ("close_role", "i8", "OrderRole", "market close wanted for this, 0 = no"),
    ("close_reason", "i8", "Cause", "why"),
    ("trigger_ticks", "i8", "ticks", "print that triggered the stop: fills are never better, 0 = none"),
    ("used_bid_lots", "i8", "lots", "taken from the bids of this book state"),
    ("used_ask_lots", "i8", "lots", "taken from the asks of this book state"),
    ("refused_order_id", "i8", "1", "accepted while the desk was busy: to be answered DONE"),
    ("refused_decision_id", "i8", "1", "its decision"),
    ("refused_lots", "i8", "lots", "its size"),
    ("reserved", "(40,)u1", "", "zero"),
)
