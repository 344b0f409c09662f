"""Lists of the database as Parquet: money as decimals, times as timestamps, one row group per page read."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from sqlalchemy import Column


class NoParquet(Exception):
    """pyarrow is not installed."""


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise NoParquet("Parquet needs pyarrow: install the extra `parquet`, or take CSV") from None
    return pyarrow


def plain_name(column: str) -> str:
    """Name of a column outside the database: `_e8` is USDT, `_ns` a time."""
    if column.endswith("_e8"):
        return column.removesuffix("_e8") + "_usdt"
    return column.removesuffix("_ns") if column.endswith("_ns") and column != "ts_ns" else column.replace("ts_ns", "ts")


def _type(pa: Any, column: Column[Any]) -> Any:
    if column.name.endswith("_e8"):
        return pa.decimal128(24, 8)
    if column.name.endswith("_ns"):
        return pa.timestamp("ns", tz="UTC")
    try:
        kind = column.type.python_type
    except NotImplementedError:
        kind = str
    return {int: pa.int64(), float: pa.float64(), bool: pa.bool_()}.get(kind, pa.string())


def _value(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name.endswith("_e8"):
        return Decimal(value).scaleb(-8)
    return msgspec.json.encode(value).decode() if isinstance(value, dict | list) else value


def parquet(columns: Sequence[Column[Any]], pages: Iterable[Sequence[dict[str, Any]]]) -> bytes:
    """A Parquet file of rows as the database has them. Raises NoParquet."""
    pa = _pyarrow()
    schema = pa.schema([(plain_name(column.name), _type(pa, column)) for column in columns])
    out = io.BytesIO()
    with pa.parquet.ParquetWriter(out, schema, compression="zstd") as writer:
        for rows in pages:
            arrays = [pa.array([_value(column.name, row[column.name]) for row in rows], field.type)
                      for column, field in zip(columns, schema, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
    return out.getvalue()
