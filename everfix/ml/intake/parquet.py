"""Parquet: judged by what it says of itself before it is read, and by what really comes out of it while it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
from pyarrow import parquet as arrow_parquet

from everfix.ml.intake.delimited import check_names
from everfix.ml.intake.refused import Limits, Refused

CELLS = 4_000_000  # decoded at a time
ALLOWED = "numbers, text, booleans, dates, times and categories"


def opened(path: Path, limits: Limits) -> arrow_parquet.ParquetFile:
    """Return the file once its own account of itself keeps the limits; raises Refused otherwise."""
    try:
        plain = arrow_parquet.ParquetFile(path)
        texts = [field.name for field in plain.schema_arrow if _is_text(field.type)]
        file = arrow_parquet.ParquetFile(path, read_dictionary=texts)  # a value that repeats a million times is held once
    except (pa.ArrowException, OSError) as problem:
        raise Refused(f"the Parquet file is broken: {str(problem)[:300]}") from problem
    said = file.metadata
    if said.num_columns > limits.columns:
        raise Refused(f"the table has {said.num_columns:,} columns; at most {limits.columns:,} are allowed")
    if said.num_rows > limits.rows:
        raise Refused(f"the table has {said.num_rows:,} rows; at most {limits.rows:,} are allowed", "large")
    unpacked = sum(said.row_group(group).total_byte_size for group in range(said.num_row_groups))
    if unpacked > limits.bytes:
        raise Refused(f"the file unpacks to {unpacked:,} bytes; at most {limits.bytes:,} are allowed", "large")
    names = file.schema_arrow.names
    check_names(names, limits)
    if len(set(names)) != len(names):
        raise Refused("two columns have the same name")
    for field in file.schema_arrow:
        if target(field.type) is None:
            raise Refused(f"the column {field.name[:80]!r} holds {str(field.type)[:80]}; allowed are {ALLOWED}", field=field.name[:80])
    return file


def _is_text(kind: Any) -> bool:  # noqa: ANN401 - an Arrow type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def target(kind: Any) -> Any:  # noqa: ANN401, PLR0911 - Arrow types; one line each
    """Return the type a column is kept as, or None where it cannot be kept."""
    is_ = pa.types
    if is_.is_dictionary(kind):
        return target(kind.value_type)
    if is_.is_boolean(kind):
        return pa.bool_()
    if is_.is_uint64(kind) or is_.is_floating(kind) or is_.is_decimal(kind):
        return pa.float64()
    if is_.is_integer(kind):
        return pa.int64()
    if is_.is_date(kind):
        return pa.date32()
    if is_.is_timestamp(kind):
        return pa.timestamp("us", tz="UTC")
    if is_.is_time(kind) or is_.is_null(kind) or _is_text(kind) or kind == pa.string_view():
        return pa.string()
    return pa.int64() if is_.is_duration(kind) else None


def batches(file: arrow_parquet.ParquetFile, limits: Limits) -> Iterator[pl.DataFrame]:
    """Yield the rows with the types they are kept as; raises Refused when more comes out than the limits allow."""
    at_once = max(256, min(65_536, CELLS // max(1, file.metadata.num_columns)))
    bytes_, rows = 0, 0
    try:
        for batch in file.iter_batches(batch_size=at_once):
            columns = {field.name: _cast(batch.column(place), target(field.type)) for place, field in enumerate(batch.schema)}
            frame = pl.DataFrame(pa.table(columns))
            bytes_, rows = bytes_ + int(frame.estimated_size()), rows + frame.height
            if bytes_ > limits.bytes or rows > limits.rows:
                raise Refused(f"the file unpacks to more than {limits.bytes:,} bytes or {limits.rows:,} rows", "large")
            yield frame
    except pa.ArrowMemoryError as problem:
        raise MemoryError(str(problem)) from problem
    except (pa.ArrowException, OSError) as problem:
        raise Refused(f"the Parquet file is broken: {str(problem)[:300]}") from problem


def _cast(column: Any, kind: Any) -> Any:  # noqa: ANN401 - Arrow arrays and types
    if pa.types.is_dictionary(column.type):
        return column.dictionary.cast(kind).take(column.indices)
    if pa.types.is_duration(column.type):
        return column.cast(pa.duration("ms")).cast(kind)
    return column.cast(kind, safe=False)  # a nanosecond that a microsecond cannot hold is cut
