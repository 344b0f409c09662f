"""Every word in shared memory that is not a domain record, declared once; the layout hash; the generated LAYOUT.md.

Rings, boards and process pages are int64 word arrays; each record below is one or more cache lines of them. `word(R,
field)` gives the index of a field in words, so that kernels and tables cannot disagree. `python -m shm.layout` writes
LAYOUT.md, `--check` fails when the committed file is not what the declarations say.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

from core.decision import DECISION, FUNNEL
from core.detail import DETAIL, DETAIL_WISHES
from core.records import RECORDS, Record, _record, layout_hash
from core.replay_row import REPLAY
from shm.counters import COUNTERS, STAGES

PAGE_BYTES = 4096
LINE_BYTES = 64
READER_SLOTS = 8
ERROR_ROWS = 32

SEGMENT = _record(
    "SEGMENT", 192, "start of the 4096-byte header page of every segment",
    ("magic", "i8", "1", "SCALPER1 in ascii; written last, so a half-made segment is never joined"),
    ("version", "i8", "1", "version of this header"),
    ("layout_hash", "i8", "1", "hash over every record and word: another one refuses the join"),
    ("size_bytes", "i8", "bytes", "usable bytes after the header page"),
    ("creator_pid", "i8", "pid", "owner; a segment of a dead owner is a leftover"),
    ("creator_start_ticks", "i8", "ticks", "start time of that process, because pids are used again"),
    ("boot_hash", "i8", "1", "hash of the kernel's boot id: after a reboot every owner is dead"),
    ("created_ns", "i8", "ns", "creation time"),
    ("run_id", "(64,)u1", "ascii", "run the segment belongs to"),
    ("reserved", "(64,)u1", "", "zero"),
)
BROADCAST_CONST = _record(
    "BROADCAST_CONST", 64, "broadcast ring, line 0: fixed at creation",
    ("magic", "i8", "1", "what this memory is"),
    ("capacity_cells", "i8", "cells", "size of the ring, a power of two"),
    ("chunk_cells", "i8", "cells", "how far ahead the intent word is moved, so that it is rarely written"),
    ("reserved", "(5,)i8", "", "zero"),
)
BROADCAST_WRITER = _record(
    "BROADCAST_WRITER", 64, "broadcast ring, line 1: what is published; written by the writer",
    ("batch", "i8", "1", "number of batches published; its parity names the pair in force"),
    ("tail_even", "i8", "cells", "cells published, when batch is even"),
    ("messages_even", "i8", "1", "messages published, when batch is even"),
    ("tail_odd", "i8", "cells", "cells published, when batch is odd"),
    ("messages_odd", "i8", "1", "messages published, when batch is odd"),
    ("reserved", "(3,)i8", "", "zero"),
)
BROADCAST_INTENT = _record(
    "BROADCAST_INTENT", 64, "broadcast ring, line 2: what may be being overwritten; written by the writer",
    ("intent", "i8", "cells", "cells below intent - capacity may be gone"),
    ("gate", "i8", "cells", "slowest gating reader as last seen by the writer"),
    ("refused", "i8", "1", "batches refused because a gating reader was not far enough"),
    ("reserved", "(5,)i8", "", "zero"),
)
BROADCAST_BELLS = _record(
    "BROADCAST_BELLS", 64, "broadcast ring, line 3: bell of every reader slot, -1 = none; written by its reader",
    ("bell", "(8,)i8", "index", "bell to ring after a publication"),
)
BROADCAST_SLOT = _record(
    "BROADCAST_SLOT", 64, "broadcast ring, lines 4-11: one per reader slot, written by its reader",
    ("position", "i8", "cells", "cells consumed or skipped"),
    ("messages", "i8", "1", "messages consumed or lost"),
    ("lost", "i8", "1", "messages lost, exactly"),
    ("laps", "i8", "1", "how often the reader was overtaken"),
    ("mode", "i8", "1", "0 = free, 1 = lossy reader, 2 = gating reader (holds a gated writer back)"),
    ("pid", "i8", "pid", "process of the reader"),
    ("reserved", "(2,)i8", "", "zero"),
)
SPSC_CONST = _record(
    "SPSC_CONST", 64, "single-reader ring, line 0: fixed at creation",
    ("magic", "i8", "1", "what this memory is"),
    ("capacity", "i8", "slots", "size of the ring, a power of two"),
    ("slot_words", "i8", "words", "size of a slot"),
    ("bell", "i8", "index", "bell of the reader, -1 = none yet"),
    ("reserved", "(4,)i8", "", "zero"),
)
SPSC_WRITER = _record(
    "SPSC_WRITER", 64, "single-reader ring, line 1: written by the writer",
    ("tail", "i8", "slots", "slots pushed"),
    ("head_seen", "i8", "slots", "reader's head as last seen by the writer"),
    ("refused", "i8", "1", "pushes refused because the ring was full"),
    ("reserved", "(5,)i8", "", "zero"),
)
SPSC_READER = _record(
    "SPSC_READER", 64, "single-reader ring, line 2: written by the reader",
    ("head", "i8", "slots", "slots popped"),
    ("tail_seen", "i8", "slots", "writer's tail as last seen by the reader"),
    ("reserved", "(6,)i8", "", "zero"),
)
BELL = _record(
    "BELL", 64, "one line per process that may sleep",
    ("bell", "i8", "bool", "1 = its owner sleeps or is about to; a writer sets 0 and wakes it"),
    ("reserved", "(7,)i8", "", "zero"),
)
BOARD_CONST = _record(
    "BOARD_CONST", 64, "seqlock board, line 0: fixed at creation",
    ("magic", "i8", "1", "what this memory is"),
    ("rows", "i8", "1", "rows of the board"),
    ("record_words", "i8", "words", "size of a record"),
    ("stride_words", "i8", "words", "distance of rows"),
    ("reserved", "(4,)i8", "", "zero"),
)
BOARD_ROW = _record(
    "BOARD_ROW", 64, "seqlock board: line before every row, written by the row's writer",
    ("version", "i8", "1", "odd while the row is being written; + 2 per write"),
    ("reserved", "(7,)i8", "", "zero"),
)
CNC = _record(
    "CNC", 384, "process page: written by the process itself",
    ("state", "i8", "ProcessState", "OFF, BOOT, RUN, HALT, FAIL"),
    ("pid", "i8", "pid", "process id"),
    ("started_ns", "i8", "ns", "start time"),
    ("heartbeat_ns", "i8", "ns", "CLOCK_MONOTONIC of the last turn of the loop"),
    ("loops", "i8", "1", "turns of the loop"),
    ("stall_max_ns", "i8", "ns", "longest turn so far"),
    ("kill_seen_ns", "i8", "ns", "CLOCK_MONOTONIC when it first saw the kill word set; 0 = not set"),
    ("pause_seen", "i8", "bool", "1 = it sees the pause word set"),
    ("control_seen", "i8", "ControlBits", "control bits as seen in the last turn"),
    ("progress_seq", "i8", "1", "shard: watermark, seq of the last event fully handled"),
    ("config_seen", "i8", "1", "config version in force in this process"),
    ("ready", "i8", "bool", "1 = its own start-up is done (kernels loaded, sockets bound)"),
    ("port", "i8", "1", "TCP port it listens on, 0 = none"),
    ("reserved", "(3,)i8", "", "zero"),
    ("last_error", "(256,)u1", "utf-8", "text of the exception that ended it"),
)
CNC_SUPERVISOR = _record(
    "CNC_SUPERVISOR", 64, "process page: line written by the supervisor",
    ("restarts", "i8", "1", "times the process was started again"),
    ("exits", "i8", "1", "times it ended"),
    ("exit_code", "i8", "1", "last exit code (negative: signal)"),
    ("exit_ns", "i8", "ns", "CLOCK_MONOTONIC of the last exit"),
    ("given_up", "i8", "bool", "1 = restarted too often, left down"),
    ("reserved", "(3,)i8", "", "zero"),
)
ERROR_ROW = _record(
    "ERROR_ROW", 320, "distinct error log: one row per different error of a process",
    ("count", "i8", "1", "how often"),
    ("first_ns", "i8", "ns", "first time"),
    ("last_ns", "i8", "ns", "last time"),
    ("reserved", "i8", "", "zero"),
    ("kind", "(32,)u1", "utf-8", "exception class or other short kind"),
    ("text", "(256,)u1", "utf-8", "message of the first occurrence"),
)

class ControlRow(NamedTuple):
    name: str
    writer: str
    sentence: str


CONTROL_WORDS: tuple[ControlRow, ...] = (
    ControlRow("run_state", "supervisor", "state of the whole run (ProcessState)"),
    ControlRow("stop", "supervisor", "1 = every process ends in order"),
    ControlRow("published_seq", "gateway", "seq of the last event in all rings"),
    ControlRow("feed_state", "gateway", "FeedState"),
    ControlRow("degraded", "gateway", "1 = back-pressure: no new entries"),
    ControlRow("end_seq", "gateway", "seq of the END event, 0 = not yet"),
    ControlRow("drained", "execution", "1 = END of all shards handled"),
    ControlRow("config_version", "gateway", "config version published last"),
    ControlRow("config_request_admin", "admin", "counter: please reload the configuration"),
    ControlRow("config_request_cli", "cli", "counter: please reload the configuration"),
    ControlRow("config_request_recorder", "recorder", "counter: please read the symbol profiles again"),
    ControlRow("pause_admin", "admin", "1 = no new entries"),
    ControlRow("pause_cli", "cli", "1 = no new entries"),
    ControlRow("pause_exec", "execution", "1 = no new entries"),
    ControlRow("kill_admin", "admin", "1 = kill: no entries, cancel, close, verify flat"),
    ControlRow("kill_cli", "cli", "1 = kill (also set at start when the latch file stands)"),
    ControlRow("kill_exec", "execution", "1 = kill"),
    ControlRow("kill_guardian", "guardian", "1 = kill"),
    ControlRow("guardian_duty", "guardian", "number of the takeover while it is on duty: no entries; 0 = stands by"),
    ControlRow("exec_back", "execution", "number of the takeover after which it has reconciled: the guardian stands down"),
    ControlRow("replay_seen", "admin", "of a replay: the epoch for which the pages have begun anew"),
    ControlRow("kill_ns", "requester", "CLOCK_MONOTONIC of the first kill request in force, 0 = none"),
    ControlRow("kill_clear_requests", "admin or cli", "counter: times a person cleared the kill latch"),
    ControlRow("mode", "execution", "Mode in force; at the start that of the run description"),
    ControlRow("flat", "execution", "1 = killed and verified flat"),
    *(ControlRow(f"detail_symbol_{i}", "admin", "symbol id wanted on the detail board, -1 = none")
      for i in range(DETAIL_WISHES)),
)

SHM_RECORDS: tuple[Record, ...] = (
    SEGMENT, BROADCAST_CONST, BROADCAST_WRITER, BROADCAST_INTENT, BROADCAST_BELLS, BROADCAST_SLOT, SPSC_CONST,
    SPSC_WRITER, SPSC_READER, BELL, BOARD_CONST, BOARD_ROW, CNC, CNC_SUPERVISOR, ERROR_ROW, DETAIL, DECISION,
    FUNNEL, REPLAY,
)


def _names(name: str, rows: list[str]) -> Record:
    """A table of words as a record, so that its order is part of the layout hash."""
    return _record(name, 8 * len(rows), "words by name", *((row, "i8", "", "") for row in rows))


LAYOUT_HASH = layout_hash((
    *RECORDS, *SHM_RECORDS, _names("CONTROL_WORDS", [row.name for row in CONTROL_WORDS]),
    _names("COUNTERS", [row.name for row in COUNTERS]), _names("STAGES", [row.name for row in STAGES]),
))
"""What every segment carries; a process built from other declarations is refused."""

LAYOUT_FILE = Path(__file__).with_name("LAYOUT.md")


def word(record: Record, field: str) -> int:
    """Index of `field` in int64 words from the start of `record`."""
    fields = record.dtype.fields
    if fields is None or field not in fields:
        raise KeyError(f"{record.name} has no field {field}")
    return int(fields[field][1]) // 8


def _table(record: Record) -> list[str]:
    fields = record.dtype.fields
    assert fields is not None
    lines = [
        f"### {record.name} ({record.size} bytes)", "", f"{record.sentence[0].upper()}{record.sentence[1:]}.", "",
        "| offset | field | type | unit | meaning |", "|---:|---|---|---|---|",
    ]
    for field in record.fields:
        lines.append(f"| {fields[field.name][1]} | `{field.name}` | {field.type} | {field.unit} | {field.sentence} |")
    return [*lines, ""]


def markdown() -> str:
    """The text of LAYOUT.md: every record, then the control words, counters and stages."""
    lines = [
        "# Shared memory layout", "",
        "Generated by `python -m shm.layout`; do not edit. `python -m shm.layout --check` compares.", "",
        f"Layout hash: `{LAYOUT_HASH:016x}`. All words are little-endian int64; offsets are bytes.", "",
        "## Records of the domain", "",
    ]
    for record in RECORDS:
        lines += _table(record)
    lines += ["## Records of the transport", ""]
    for record in SHM_RECORDS:
        lines += _table(record)
    lines += ["## Control words", "", "One cache line each.", "", "| line | word | writer | meaning |"]
    lines += ["|---:|---|---|---|"]
    lines += [f"| {i} | `{row.name}` | {row.writer} | {row.sentence} |" for i, row in enumerate(CONTROL_WORDS)]
    lines += ["", "## Counters of a process", "", "| word | counter | unit | meaning |", "|---:|---|---|---|"]
    lines += [f"| {i} | `{row.name}` | {row.unit} | {row.sentence} |" for i, row in enumerate(COUNTERS)]
    lines += ["", "## Stages", "", "A log-linear histogram (`core/histogram.py`) of ns each.", "",
              "| index | stage | meaning |", "|---:|---|---|"]
    lines += [f"| {i} | `{row.name}` | {row.sentence} |" for i, row in enumerate(STAGES)]
    return "\n".join(lines) + "\n"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m shm.layout", description="Write or check shm/LAYOUT.md.")
    parser.add_argument("--check", action="store_true", help="only compare; exit code 1 when the file is not current")
    arguments = parser.parse_args(argv)
    text = markdown()
    if not arguments.check:
        LAYOUT_FILE.write_text(text, encoding="utf-8")
        return 0
    current = LAYOUT_FILE.read_text(encoding="utf-8") if LAYOUT_FILE.exists() else ""
    if current != text:
        print(f"{LAYOUT_FILE.name} is not current: run `python -m shm.layout`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
