"""Where everything lies in the shared memory of a run, and how large it is.

Sizes follow from the run description alone, so every process computes the same offsets.
"""

from __future__ import annotations

from typing import NamedTuple

from core.decision import DECISION_CELLS, FUNNEL
from core.detail import DETAIL, DETAIL_WISHES
from core.records import (
    ACCOUNT_ROW,
    ANSWER,
    COMMAND,
    GLOBAL,
    MESSAGE,
    ORDER_ROW,
    POSITION_ROW,
    REPORT,
    SYMBOL,
    SYMBOL_ROW,
)
from core.replay_row import REPLAY
from shm.broadcast import BroadcastRing
from shm.control import CncPage, ControlBlock
from shm.counters import CounterPage
from shm.layout import PAGE_BYTES
from shm.logs import LOG_CELLS
from shm.run_spec import RunSpec, process_rows, tap_rows
from shm.seqlock import Board
from shm.spsc import SpscRing

MAX_SYMBOLS = 1024
COMMAND_SLOTS = 64
ORDER_ROWS = 512


def page(size: int) -> int:
    """Bytes of the pages that hold `size`."""
    return (size + PAGE_BYTES - 1) // PAGE_BYTES * PAGE_BYTES


def _power_of_two(n: int, least: int) -> int:
    return 1 << (max(n, least) - 1).bit_length()


class Sizes(NamedTuple):
    """Of the rings, powers of two."""

    market_cells: int
    raw_cells: int
    intent_slots: int
    report_slots: int
    log_cells: int
    decision_cells: int
    tap_cells: int


def sizes_of(spec: RunSpec) -> Sizes:
    return Sizes(
        _power_of_two(spec.market_cells, 1024), _power_of_two(spec.raw_cells, 1024),
        _power_of_two(spec.intent_slots, 64), _power_of_two(spec.report_slots, 64),
        _power_of_two(spec.log_records * LOG_CELLS, 1024),
        _power_of_two(spec.decision_records * DECISION_CELLS, 4096),
        _power_of_two(spec.tap_cells, 1024),
    )


def regions(spec: RunSpec) -> dict[str, dict[str, tuple[int, int]]]:
    """{segment: {region: (offset, size in bytes)}}, every region on pages of its own."""
    sizes = sizes_of(spec)
    rows = process_rows(spec.shards)
    control = [("words", ControlBlock.bytes_needed()), ("bells", len(rows) * 64), ("resync", MAX_SYMBOLS * 64)]
    control += [(f"cnc-{role}-{i}", CncPage.bytes_needed()) for role, i in rows]
    control += [(f"counters-{role}-{i}", CounterPage.bytes_needed()) for role, i in rows]
    boards = [
        ("symbols", Board.bytes_needed(SYMBOL.dtype, MAX_SYMBOLS)),
        ("symbol_rows", Board.bytes_needed(SYMBOL_ROW.dtype, MAX_SYMBOLS)),
        ("positions", Board.bytes_needed(POSITION_ROW.dtype, MAX_SYMBOLS)),
        ("account", Board.bytes_needed(ACCOUNT_ROW.dtype, 1)),
        ("orders", Board.bytes_needed(ORDER_ROW.dtype, ORDER_ROWS)),
        ("detail", Board.bytes_needed(DETAIL.dtype, DETAIL_WISHES)),
        ("global", Board.bytes_needed(GLOBAL.dtype, 1)),
        ("funnel", Board.bytes_needed(FUNNEL.dtype, MAX_SYMBOLS)),
        ("replay", Board.bytes_needed(REPLAY.dtype, 1)),
    ]
    orders: list[tuple[str, int]] = []
    for i in range(spec.shards):
        orders.append((f"intents-{i}", SpscRing.bytes_needed(MESSAGE.size, sizes.intent_slots)))
        orders.append((f"reports-{i}", SpscRing.bytes_needed(REPORT.size, sizes.report_slots)))
    orders.append(("commands", SpscRing.bytes_needed(COMMAND.size, COMMAND_SLOTS)))
    orders.append(("answers", SpscRing.bytes_needed(ANSWER.size, COMMAND_SLOTS)))
    logs = [(f"{role}-{i}", BroadcastRing.bytes_needed(sizes.log_cells)) for role, i in rows]
    logs += [(f"decisions-{i}", BroadcastRing.bytes_needed(sizes.decision_cells)) for i in range(spec.shards)]
    table = {"control": control, "boards": boards, "orders": orders, "logs": logs,
             "raw": [("ring", BroadcastRing.bytes_needed(sizes.raw_cells))],
             "taps": [(f"{role}-{i}", BroadcastRing.bytes_needed(sizes.tap_cells)) for role, i in tap_rows(spec.shards)]}
    for i in range(spec.shards):
        table[f"market-{i}"] = [("ring", BroadcastRing.bytes_needed(sizes.market_cells))]
    result: dict[str, dict[str, tuple[int, int]]] = {}
    for segment, entries in table.items():
        offset = 0
        placed: dict[str, tuple[int, int]] = {}
        for name, size in entries:
            placed[name] = (offset, size)
            offset += page(size)
        result[segment] = placed
    return result


def total_bytes(spec: RunSpec) -> int:
    """Shared memory a run takes, header pages included."""
    return sum(PAGE_BYTES + sum(page(size) for _, size in placed.values()) for placed in regions(spec).values())
