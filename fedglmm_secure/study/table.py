"""A site's table file as a data frame: CSV with every cell as text, or Parquet with its own types."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence

import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from fedglmm_secure.errors import TableError
from fedglmm_secure.study.values import MISSING

MOST_CELLS = 2**27
MOST_BYTES = 2**31
"""What a Parquet file may hold: as numbers in memory, 1 GiB of cells, and 2 GiB of text."""
_VIEWED = {pa.string_view(): pa.large_string(), pa.binary_view(): pa.large_binary()}
"""Types of text that pyarrow does not make of a dictionary, and what says the same."""


def parse_table(name: str, data: bytes) -> pd.DataFrame:
    """The table in ``data``, the content of the file ``name``, whose ending says what it is.

    Cells of a CSV file are text, missing where they are empty, NA, NaN, N/A, null or ``.``. Raises
    TableError, naming the file, for what is not one rectangular table with a header and at least one row, and for a
    Parquet file that would take up the memory.
    """
    ending = name.rpartition(".")[2].lower()
    if ending not in ("csv", "parquet"):
        raise TableError(f"{name}: is neither .csv nor .parquet; save the table as one of them")
    if not data:
        raise TableError(f"{name}: is empty (0 bytes); check that it is the right file")
    frame = _csv(name, data) if ending == "csv" else _parquet(name, data)
    if not len(frame):
        raise TableError(f"{name}: has a header but no rows; check that it is the right file")
    return frame


def _csv(name: str, data: bytes) -> pd.DataFrame:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TableError(f"{name}: line {line} is not UTF-8 text; save the table as CSV in UTF-8") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = _header(name, next((row for row in reader if row), []))
        rows = [_row(name, reader.line_num, row, len(header)) for row in reader if row]
    except csv.Error as error:
        raise TableError(f"{name}: line {reader.line_num} is not valid CSV ({error}); correct that line") from None
    cells = [[None if cell.strip() in MISSING else cell for cell in row] for row in rows]
    return pd.DataFrame(cells, columns=header, dtype="str")


def _header(name: str, row: Sequence[str]) -> list[str]:
    header = [" ".join(cell.split()) for cell in row]
    if not any(header):
        raise TableError(f"{name}: has no header; the first line must hold the names of the columns")
    if len(header) == 1 and (";" in header[0] or "\t" in header[0]):
        raise TableError(f"{name}: its columns are not separated by commas; save the table as CSV with commas")
    _refuse_duplicates(name, header)
    return header


def _row(name: str, line: int, row: list[str], width: int) -> list[str]:
    if len(row) != width:
        raise TableError(f"{name}: line {line} has {len(row)} cells where the header has {width}; correct that line")
    return row


def _parquet(name: str, data: bytes) -> pd.DataFrame:
    try:
        file = pq.ParquetFile(io.BytesIO(data))
        _refuse_duplicates(name, file.schema_arrow.names)
        _refuse_large(name, file.metadata)
        words = [
            path for path, leaf in _leaves(file.metadata) if leaf.physical_type == "BYTE_ARRAY" and "." not in path
        ]
        table = pq.read_table(io.BytesIO(data), read_dictionary=words)
        frame: pd.DataFrame = _spelt_out(name, table, file.schema_arrow).to_pandas(ignore_metadata=True)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise TableError(f"{name}: is not a readable Parquet file ({reason}); save it again") from None
    return frame


def _leaves(metadata: pq.FileMetaData) -> Iterator[tuple[str, pq.ColumnSchema]]:
    for index in range(metadata.num_columns):
        leaf = metadata.schema.column(index)
        yield leaf.path, leaf


def _refuse_large(name: str, metadata: pq.FileMetaData) -> None:
    """Raise TableError for more than a table may have, before it is read: a few bytes may stand for all of it."""
    groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
    chunks = [group.column(index) for group in groups for index in range(group.num_columns)]
    widths = [leaf.length for _, leaf in _leaves(metadata) if leaf.physical_type == "FIXED_LEN_BYTE_ARRAY"]
    cells = max(metadata.num_rows * metadata.num_columns, sum(chunk.num_values for chunk in chunks))
    size = sum(chunk.total_uncompressed_size for chunk in chunks) + metadata.num_rows * sum(widths)
    if cells > MOST_CELLS or size > MOST_BYTES:
        raise _too_large(name, f"{metadata.num_rows} rows of {metadata.num_columns} columns")


def _spelt_out(name: str, table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Text columns, which were read as dictionaries, with each row's own text; TableError where that is too much."""
    size = 0
    for column, field in zip(table.columns, schema, strict=True):
        if pa.types.is_dictionary(column.type) and column.type != field.type:
            for chunk in column.chunks:
                lengths = pc.take(pc.binary_length(chunk.dictionary), chunk.indices)
                size += pc.sum(pc.cast(lengths, pa.int64())).as_py() or 0
    if size > MOST_BYTES:
        raise _too_large(name, f"its text, {size} bytes,")
    return table.cast(pa.schema([field.with_type(_VIEWED.get(field.type, field.type)) for field in schema]))


def _too_large(name: str, what: str) -> TableError:
    return TableError(
        f"{name}: {what} may take up this machine's memory; save a table with fewer columns, such as those of the study"
    )


def _refuse_duplicates(name: str, columns: Sequence[str]) -> None:
    column, count = Counter(columns).most_common(1)[0] if columns else ("", 0)
    if count > 1:
        raise TableError(f"{name}: column {column or '(without a name)'} stands twice; keep one or rename it")
