"""Who is in a study: keyed hashes of a table's rows, by which the same patients are known again without their data.

The key never leaves the site. Cells are hashed as the study reads them: ``1``, ``1.0`` and 1.0 are one value.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from fedglmm_secure.study.columns import read_words

Hashes = npt.NDArray[np.uint64]
_HASH_BYTES = 8
"""64 bits: among a million rows two different ones have the same hash with a probability below 1e-7."""


@dataclass(frozen=True)
class Overlap:
    """How two lists of rows compare, equal rows being told apart by their number only."""

    shared: int
    only_one: int
    """Rows that are in one of the two and not in the other."""
    smaller: int
    larger: int


def complete_rows(frame: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """The rows that hold a value in each of ``columns``: those that a study of these columns uses."""
    kept = np.ones(len(frame), dtype=bool)
    for name in columns:
        kept &= np.array([word is not None for word in read_words(frame[name], name)])
    return frame.loc[kept]


def row_hashes(frame: pd.DataFrame, columns: Sequence[str], key: bytes) -> Hashes:
    """One hash a row of its values in ``columns``, sorted."""
    cells = np.column_stack(
        [np.empty((len(frame), 0), np.uint64), *(_cells(frame[name], name, key) for name in columns)]
    )
    rows = np.ascontiguousarray(cells, dtype=np.uint64)
    digests = b"".join(hashlib.blake2b(row.tobytes(), key=key, digest_size=_HASH_BYTES).digest() for row in rows)
    return np.sort(np.frombuffer(digests, dtype=np.uint64))


def compare(one: Hashes, other: Hashes) -> Overlap:
    """The rows that two lists share, each counted as often as both have it."""
    values, position = np.unique(np.concatenate([one, other]), return_inverse=True)
    first = np.bincount(position[: one.size], minlength=values.size)
    second = np.bincount(position[one.size :], minlength=values.size)
    shared = int(np.minimum(first, second).sum())
    return Overlap(shared, one.size + other.size - 2 * shared, min(one.size, other.size), max(one.size, other.size))


def fingerprint(data: bytes, key: bytes) -> str:
    """A keyed hash of a table file."""
    return hashlib.blake2b(data, key=key, digest_size=16).hexdigest()


def _cells(column: pd.Series, name: str, key: bytes) -> Hashes:
    codes, words = pd.factorize(read_words(column, name))
    known = [_hash(f"{name}={_canonical(str(word))}", key) for word in words]
    return np.array([*known, _hash(f"{name} is missing", key)], dtype=np.uint64)[codes]


def _hash(text: str, key: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), key=key, digest_size=_HASH_BYTES).digest(), "big")


def _canonical(word: str) -> str:
    """A number in one spelling, whichever file it came from; other words as they are."""
    try:
        return repr(float(word))
    except ValueError:
        return word
