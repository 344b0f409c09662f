"""Journals as Parquet: trades and book levels out of the raw frames, features out of the decisions. Needs pyarrow (extra
`parquet`). Prices and quantities are exact decimals; times are ns as TIMESTAMP(ns, UTC).

    trades.parquet      ts_recv, ts_exch, symbol, side, price, quantity, trade_id, block
    books.parquet       ts_recv, ts_exch, symbol, kind (snapshot, delta), depth, side, price, quantity (0 = level gone), u, seq
    features.parquet    ts, symbol, decision_id, accepted, gate, state, scores, and a column per feature
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, field

from core.constants import NS_PER_MS
from core.journal import Frame, JournalError
from shm.journal_reader import frames_between

KINDS = ("trades", "books", "features")
BATCH = 50_000
Span = tuple[int, int]  # receive times in ns: from, until
EVER: Span = (0, 1 << 62)
PRECISION, SCALE = 38, 12


class ExportError(Exception):
    """The export cannot be made; the text says why and what to do."""


class _Trade(Struct):
    T: int
    s: str
    S: str
    v: str
    p: str
    i: str = ""
    BT: bool = False


class _Book(Struct):
    s: str
    b: list[tuple[str, str]] = field(default_factory=list)
    a: list[tuple[str, str]] = field(default_factory=list)
    u: int = 0
    seq: int = 0


class _Frame(Struct):
    topic: str = ""
    type: str = ""
    ts: int = 0
    cts: int = 0
    data: msgspec.Raw = msgspec.Raw(b"null")


_frame = msgspec.json.Decoder(_Frame)
_trades = msgspec.json.Decoder(list[_Trade])
_book = msgspec.json.Decoder(_Book)


def _arrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ExportError("Parquet needs pyarrow: install the extra `parquet`") from None
    return pyarrow


def schemas(pa: Any) -> dict[str, Any]:
    """Arrow schema of the two raw tables."""
    ts, number = pa.timestamp("ns", tz="UTC"), pa.decimal128(PRECISION, SCALE)
    return {
        "trades": pa.schema([("ts_recv", ts), ("ts_exch", ts), ("symbol", pa.string()), ("side", pa.string()),
                             ("price", number), ("quantity", number), ("trade_id", pa.string()), ("block", pa.bool_())]),
        "books": pa.schema([("ts_recv", ts), ("ts_exch", ts), ("symbol", pa.string()), ("kind", pa.string()),
                            ("depth", pa.int32()), ("side", pa.string()), ("price", number), ("quantity", number),
                            ("u", pa.int64()), ("seq", pa.int64())]),
    }


def frame_rows(ts_recv_ns: int, data: bytes) -> tuple[str, list[tuple[Any, ...]]]:
    """(table, rows) of one raw frame; ('', []) for frames that are neither trades nor books."""
    try:
        frame = _frame.decode(data)
        if frame.topic.startswith("publicTrade."):
            return "trades", [(ts_recv_ns, t.T * NS_PER_MS, t.s, t.S, Decimal(t.p), Decimal(t.v), t.i, t.BT)
                              for t in _trades.decode(frame.data)]
        if frame.topic.startswith("orderbook."):
            book = _book.decode(frame.data)
            depth, at = int(frame.topic.split(".")[1]), (frame.cts or frame.ts) * NS_PER_MS
            return "books", [
                (ts_recv_ns, at, book.s, frame.type, depth, side, Decimal(price), Decimal(quantity), book.u, book.seq)
                for side, levels in (("bid", book.b), ("ask", book.a)) for price, quantity in levels]
    except (msgspec.MsgspecError, ArithmeticError, ValueError):
        pass
    return "", []


class _Writer:
    """One Parquet file, opened with its first rows, in row groups of BATCH."""

    def __init__(self, pa: Any, path: Path, schema: Any) -> None:
        self._pa, self._path, self._schema = pa, path, schema
        self._rows: list[tuple[Any, ...]] = []
        self._file: Any = None
        self.rows = 0

    def add(self, rows: list[tuple[Any, ...]]) -> None:
        self._rows += rows
        if len(self._rows) >= BATCH:
            self._flush()

    def _flush(self) -> None:
        if self._file is None:
            self._file = self._pa.parquet.ParquetWriter(self._path, self._schema, compression="zstd")
        columns = list(zip(*self._rows, strict=True)) or [()] * len(self._schema)
        arrays = [self._pa.array(column, type=f.type) for column, f in zip(columns, self._schema, strict=True)]
        self._file.write_table(self._pa.table(arrays, schema=self._schema))
        self.rows += len(self._rows)
        self._rows = []

    def close(self) -> None:
        self._flush()
        self._file.close()


def frames(folder: Path, prefix: str, span: Span) -> Iterator[Frame]:
    """All frames of a time below a folder, in order of their segments; what is damaged is left out."""
    for path in sorted(folder.rglob(f"{prefix}-*.sjr"), key=lambda p: p.name):
        try:
            yield from frames_between(path, *span)
        except (JournalError, OSError):
            continue


def _feature_rows(folder: Path, span: Span) -> Iterator[dict[str, Any]]:
    for frame in frames(folder, "decisions", span):
        d = msgspec.json.decode(frame.data)
        yield {"ts": d["ts_ns"], "symbol": d["symbol"], "decision_id": d["id"], "accepted": d["accepted"],
               "gate": d["gate"], "state": d["state_to"], "score_long": d["score_long"],
               "score_short": d["score_short"], **{f"f_{name}": value for name, value in d["features"].items()}}


def _export_features(pa: Any, folder: Path, target: Path, span: Span) -> int:
    rows: list[dict[str, Any]] = []
    writer: Any = None
    schema: Any = None
    written = 0

    def flush() -> None:
        nonlocal writer, schema, written
        if writer is None:
            fixed = {"ts": pa.timestamp("ns", tz="UTC"), "symbol": pa.string(), "decision_id": pa.string(),
                     "accepted": pa.bool_(), "gate": pa.string(), "state": pa.string()}
            schema = pa.schema([(name, fixed.get(name, pa.float64())) for name in (rows[0] if rows else fixed)])
            writer = pa.parquet.ParquetWriter(target, schema, compression="zstd")
        writer.write_table(pa.Table.from_pylist(rows, schema=schema))  # a feature the first record lacks is left out
        written += len(rows)
        rows.clear()

    for row in _feature_rows(folder, span):
        rows.append(row)
        if len(rows) >= BATCH:
            flush()
    flush()
    writer.close()
    return written


def export(source: Path, target: Path, kinds: tuple[str, ...] = KINDS, span: Span = EVER) -> dict[str, int]:
    """Write the Parquet files of a data, mode or journal folder, of what was received within `span`; returns rows by kind.
    Raises ExportError, OSError."""
    pa = _arrow()
    if not source.is_dir():
        raise ExportError(f"{source} is no folder: give a data folder, or a journal or decisions folder in it")
    target.mkdir(parents=True, exist_ok=True)
    made: dict[str, int] = {}
    raw = {kind: _Writer(pa, target / f"{kind}.parquet", schema) for kind, schema in schemas(pa).items() if kind in kinds}
    if raw:
        for frame in frames(source, "raw", span):
            kind, rows = frame_rows(frame.ts_recv_ns, frame.data)
            if kind in raw:
                raw[kind].add(rows)
        for kind, writer in raw.items():
            writer.close()
            made[kind] = writer.rows
    if "features" in kinds:
        made["features"] = _export_features(pa, source, target / "features.parquet", span)
    return made
