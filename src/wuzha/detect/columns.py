"""Columns of event tables as numbers: times, counts, truths, cities, and what can be told from a number's look.

Kept true here: a column of texts may come plain or dictionary-encoded, with the same answers; an encoded one is asked
once for each text that it has.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Ints = npt.NDArray[np.int64]
Truths = npt.NDArray[np.uint32]
Numbers = TypeVar("Numbers", bound=npt.NDArray[Any])


def plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column with its texts written out."""
    return column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column


def by_value(column: pa.ChunkedArray | pa.Array, asked: Callable[[Any], Numbers]) -> Numbers:
    """What ``asked`` says of each text of the column, one number a row; of a coded one each text is asked once."""
    if isinstance(column, pa.ChunkedArray) and pa.types.is_dictionary(column.type):
        column = column.unify_dictionaries().combine_chunks()
    if not pa.types.is_dictionary(column.type):
        return asked(column)
    texts = pa.chunked_array([column.dictionary.cast(pa.string()), pa.nulls(1, pa.string())])
    found = asked(texts)
    rows = pc.fill_null(column.indices, len(column.dictionary)).to_numpy(zero_copy_only=False)
    spread: Numbers = found[rows]
    return spread


def times(column: pa.ChunkedArray, null: int) -> Ints:
    """µs since 1970."""
    raw = pc.fill_null(column.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()), null)
    return np.ascontiguousarray(raw.to_numpy(), dtype=np.int64)


def ints(column: pa.ChunkedArray, null: int = 0) -> Ints:
    """Whole numbers."""
    return np.ascontiguousarray(pc.fill_null(column.cast(pa.int64()), null).to_numpy(), dtype=np.int64)


def truths(column: Any, null: bool = False) -> Truths:
    """0 or 1."""
    return np.asarray(pc.fill_null(column, null).to_numpy(zero_copy_only=False)).astype(np.uint32)


def is_one_of(column: pa.ChunkedArray, *values: str) -> Truths:
    """1 where the text is one of ``values``."""
    known = pa.array(values, pa.string())
    return by_value(column, lambda texts: truths(pc.is_in(texts, value_set=known)))


def index_of(column: pa.ChunkedArray, values: tuple[str, ...], null: int = 0) -> Ints:
    """Place of the text among ``values``; ``null`` where it is none of them."""
    known = pa.array(values, pa.string())
    return by_value(column, lambda texts: ints(pc.index_in(texts, value_set=known), null))


def matches(column: pa.ChunkedArray, pattern: str) -> Truths:
    """1 where the pattern is found in the text."""
    return by_value(column, lambda texts: truths(pc.match_substring_regex(texts, pattern)))


def foreign(column: pa.ChunkedArray) -> Truths:
    """1 where it is another country's number."""
    return by_value(column, lambda v: truths(pc.and_(pc.starts_with(v, "+"), pc.invert(pc.starts_with(v, "+86")))))


def service(column: pa.ChunkedArray) -> Truths:
    """1 where it is a short number, a name, or a 400 or 800 number."""

    def asked(v: Any) -> Truths:
        alpha = pc.or_(pc.starts_with(v, "cn-short:"), pc.starts_with(v, "alpha:"))
        return truths(pc.or_(alpha, pc.or_(pc.starts_with(v, "+86400"), pc.starts_with(v, "+86800"))))

    return by_value(column, asked)


def disguised(raw: pa.ChunkedArray, value: pa.ChunkedArray) -> Truths:
    """Digits as sent that play an office or a bank: a long number that ends as theirs, a national one from abroad."""
    if raw.null_count == len(raw):
        return np.zeros(len(raw), np.uint32)
    long_tail = matches(raw, r"^(\+|00)\d*(110|12110|96110|12381|12315|955\d\d|100\d\d)$")
    national = by_value(raw, lambda v: truths(pc.invert(pc.match_substring_regex(v, r"^(\+|00)"))))
    return long_tail | (foreign(value) & national)


def cities(column: pa.ChunkedArray) -> Ints:
    """City of a GB/T 2260 code, its first four digits; 0 where unknown."""

    def asked(v: Any) -> Ints:
        digits = pc.utf8_slice_codeunits(v, 0, 4)
        return ints(pc.if_else(pc.match_substring_regex(v, r"^\d{4}"), digits, None).cast(pa.int32()))

    return by_value(column, asked)
