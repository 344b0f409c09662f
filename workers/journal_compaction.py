"""The execution journal made short at a restart: the same file without the desk's records of orders long over.

    execution.journal --compact--> execution.journal.new --fsync--> renamed over it --fsync of the folder-->

A crash at any step leaves a whole journal under the name: the old one until the rename, the short one after it. Records of
the Broker, the order ledger and the daily loss stay as they are: the account is rebuilt from all of them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from core.journal import EXECUTION, Frame, encode_block, encode_file_header, encode_record
from core.orders.exchange_desk_core import DeskConfig
from core.orders.journal_compact import compact
from workers.journal_files import write_all

LEAST = 1000  # records to be gained: less is not worth a rewrite
RECORDS = 500  # of one block


def compact_journal(
    path: Path, run_id: str, frames: Sequence[Frame], desk_kind: int, booked: int, least: int = LEAST
) -> list[tuple[int, bytes]]:
    """The desk's records of a journal (kind, payload), after rewriting the file where it is worth it. `desk_kind`: kind of a
    frame less kind of its desk record; `booked`: the highest `message.seq` of the desk that the Broker has booked.
    Raises OSError (the old file stands) and DeskRecordError."""
    whole = [(f.kind - desk_kind, f.data) for f in frames if f.kind >= desk_kind]
    keep_ms = 2 * DeskConfig().overlap_ms  # as the running desk forgets (`ExchangeDesk._prune`)
    short = compact(whole, booked, keep_ms)
    if len(whole) - len(short) < least:
        return whole
    kept = iter(short[1:])
    wanted = next(kept, None)
    base_kind, base = short[0]
    first = frames[0]
    records = [encode_record(first.ts_recv_ns, first.mono_ns, 0, desk_kind + base_kind, base)]
    for frame in frames:
        if frame.kind >= desk_kind:
            if (frame.kind - desk_kind, frame.data) != wanted:
                continue
            wanted = next(kept, None)
        records.append(encode_record(*frame))
    _replace(path, run_id, first.ts_recv_ns, records)
    return short


def _replace(path: Path, run_id: str, created_ns: int, records: list[bytes]) -> None:
    fresh = path.with_name(path.name + ".new")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        write_all(handle, encode_file_header(EXECUTION, created_ns, run_id))
        for start in range(0, len(records), RECORDS):
            part = records[start:start + RECORDS]
            raw = b"".join(part)
            write_all(handle, encode_block(raw, len(raw), len(part), created_ns, created_ns))
        os.fsync(handle)
    finally:
        os.close(handle)
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
