"""Table files: CSV and Parquet, and what is wrong with them."""

from __future__ import annotations

import contextlib
import io
import time

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedglmm_secure.errors import TableError
from fedglmm_secure.study import parse_table


def parquet(frame: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    return buffer.getvalue()


def test_csv_is_read_as_text():
    frame = parse_table("a.csv", '\ufeffname, age\r\nZoë,01\r\n"a,b",1.50\r\n'.encode())
    assert list(frame.columns) == ["name", "age"]
    assert frame["age"].tolist() == ["01", "1.50"]
    assert frame["name"].tolist() == ["Zoë", "a,b"]


def test_missing_cells():
    frame = parse_table("A.CSV", b"a,b\n,1\nNA,1\nNaN,1\nN/A,1\nnull,1\n.,1\n ,1\nx,1\n\n")
    assert frame["a"].isna().tolist() == [True] * 7 + [False]
    assert len(frame) == 8


def test_parquet_keeps_its_types(frame):
    read = parse_table("a.parquet", parquet(frame.astype({"rx": "category"})))
    assert read["age"].dtype == "float64"
    assert read["rx"].astype(str).tolist() == frame["rx"].tolist()


def test_csv_and_parquet_give_the_same_design(study_of, frame):
    study = study_of("y ~ rx + age + hmo + visits + (1 | doctor)")
    frame = frame.assign(doctor=[2, 1, 2, 1])
    one = study.design(parse_table("a.csv", frame.to_csv(index=False).encode()), "north", "a.csv")
    two = study.design(parse_table("a.parquet", parquet(frame)), "north", "a.parquet")
    assert (one.x == two.x).all()
    assert one.group_names == two.group_names == ("1", "2")


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("a.xlsx", b"PK", "a.xlsx: is neither .csv nor .parquet"),
        ("table", b"a\n1", "table: is neither .csv nor .parquet"),
        ("a.csv", b"", "a.csv: is empty (0 bytes)"),
        ("a.parquet", b"", "a.parquet: is empty (0 bytes)"),
        ("a.csv", b"a,b\n", "a.csv: has a header but no rows"),
        ("a.csv", b"\n\n", "a.csv: has no header"),
        ("a.csv", b"a,b\n1,\xe9\n", "a.csv: line 2 is not UTF-8 text"),
        ("a.csv", "a,b\n1,2\n".encode("utf-16"), "a.csv: line 1 is not UTF-8 text"),
        ("a.csv", b"a,b\n1,2\n1,2,3\n", "a.csv: line 3 has 3 cells where the header has 2"),
        ("a.csv", b"a,b\n1\n", "a.csv: line 2 has 1 cells where the header has 2"),
        ("a.csv", b'a,b\n"1,2\n', "is not valid CSV"),
        ("a.csv", b'a,b\n"1"x,2\n', "a.csv: line 2 is not valid CSV"),
        ("a.csv", b"a;b\n1;2\n", "a.csv: its columns are not separated by commas"),
        ("a.csv", b"a,b,a\n1,2,3\n", "a.csv: column a stands twice"),
        ("a.csv", b"a, a\n1,2\n", "a.csv: column a stands twice"),
        ("a.parquet", b"PAR1nonsensePAR1", "a.parquet: is not a readable Parquet file"),
        ("a.parquet", parquet(pd.DataFrame({"a": []})), "a.parquet: has a header but no rows"),
    ],
)
def test_wrong_files_are_refused(name, data, sentence):
    with pytest.raises(TableError) as error:
        parse_table(name, data)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


@given(st.sampled_from(["a.csv", "a.parquet"]), st.binary(max_size=200))
def test_no_bytes_escape_as_another_error(name, data):
    with contextlib.suppress(TableError):
        assert len(parse_table(name, data))


def test_a_parquet_file_that_inflates_is_refused_before_it_is_read():
    """Its pages hold one value, and how often it comes."""
    rows = pa.table({"a": pa.chunked_array([pa.nulls(2**24, pa.float64())] * 9)})
    sink = io.BytesIO()
    pq.write_table(rows, sink, compression="zstd")
    assert len(sink.getvalue()) < 1_000_000
    with pytest.raises(TableError, match=r"a.parquet: 150994944 rows of 1 columns may take up this machine's memory"):
        parse_table("a.parquet", sink.getvalue())


@pytest.mark.parametrize("kind", [pa.string(), pa.binary(), pa.binary(1000)])
def test_a_parquet_file_that_repeats_a_long_text_is_refused(monkeypatch, kind):
    monkeypatch.setattr("fedglmm_secure.study.table.MOST_BYTES", 100_000)
    words = pa.DictionaryArray.from_arrays(pa.array([0] * 101, pa.int32()), pa.array([b"x" * 1000], kind))
    sink = io.BytesIO()
    pq.write_table(pa.table({"a": words}), sink, store_schema=False)
    assert len(sink.getvalue()) < 10_000
    with pytest.raises(TableError, match=r"a.parquet: .* may take up this machine's memory; save a table with fewer"):
        parse_table("a.parquet", sink.getvalue())


def test_text_of_parquet_is_read_as_it_was():
    words = {"a": ["x", None, "y", "x"], "b": pd.Categorical(["u", "v", None, "u"]), "c": [b"x", b"", None, b"y"]}
    frame = pd.DataFrame(words)
    table, sink = pa.Table.from_pandas(frame), io.BytesIO()
    pq.write_table(table, sink)
    assert parse_table("a.parquet", sink.getvalue()).equals(table.to_pandas(ignore_metadata=True))


@pytest.mark.parametrize("kind", [pa.string_view(), pa.binary_view(), pa.large_string(), pa.large_binary()])
def test_text_of_any_type_is_read(kind):
    """pyarrow makes no views of the dictionaries that text is read as."""
    words = ["x", None, "a word that is longer than a view holds", "x"]
    sink = io.BytesIO()
    pq.write_table(pa.table({"a": pa.array(words).cast(pa.binary()).cast(kind)}), sink)
    read = parse_table("a.parquet", sink.getvalue())["a"]
    assert read.isna().tolist() == [False, True, False, False]
    assert [word if isinstance(word, str) else word.decode() for word in read.dropna()] == [words[0], *words[2:]]


def test_a_table_of_many_columns_is_read_in_time():
    began = time.perf_counter()
    names = [f"c{i}" for i in range(100_000)]
    text = f"{','.join(names)}\n{','.join('1' * len(names))}\n"
    assert list(parse_table("a.csv", text.encode()).columns) == names
    assert time.perf_counter() - began < 20.0
