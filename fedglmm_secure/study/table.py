"""A site's table file as a data frame: CSV with every cell as text, or Parquet with its own types."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from fedglmm_secure.errors import TableError
from fedglmm_secure.study.values import MISSING


def parse_table(name: str, data: bytes) -> pd.DataFrame:
    """The table in ``data``, the content of the file ``name``, whose ending says what it is.

    Cells of a CSV file are text, missing where they are empty, NA, NaN, N/A, null or ``.``. Raises
    TableError, naming the file, for what is not one rectangular table with a header and at least one row.
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
        table = pq.read_table(io.BytesIO(data))
        _refuse_duplicates(name, table.column_names)
        frame: pd.DataFrame = table.to_pandas(ignore_metadata=True)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise TableError(f"{name}: is not a readable Parquet file ({reason}); save it again") from None
    return frame


def _refuse_duplicates(name: str, columns: Sequence[str]) -> None:
    for column in columns:
        if columns.count(column) > 1:
            raise TableError(f"{name}: column {column or '(without a name)'} stands twice; keep one or rename it")
