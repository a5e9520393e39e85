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

from wuzha.events.hashing import text_hash

from . import glance

Ints = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]
Truths = npt.NDArray[np.uint32]
#: Bytes, offsets, bits of those that are not null (empty: all), first text, how many.
Texts = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32], npt.NDArray[np.uint8], int, int]
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


def _read(buffer: Any, kind: Any, empty: int) -> npt.NDArray[Any]:
    # never to be written, so that kernels are compiled for one type only
    out = np.zeros(empty, kind) if buffer is None or not buffer.size else np.frombuffer(buffer, kind)
    out.flags.writeable = False
    return out


def one(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """The column as one array."""
    if not isinstance(column, pa.ChunkedArray):
        return column
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def texts(column: pa.ChunkedArray | pa.Array) -> Texts:
    """A column of texts as its buffers, for the kernels of `glance`."""
    array = one(column)
    if not pa.types.is_string(array.type):
        array = array.cast(pa.string())
    n, at = len(array), array.offset
    valid, offsets, data = array.buffers()
    bits = _read(valid if array.null_count else None, np.uint8, 0)
    return _read(data, np.uint8, 1), _read(offsets, np.int32, at + n + 1), bits, at, n


def hashes(column: pa.ChunkedArray | pa.Array) -> U64:
    """`events.hashing.hash_text`; a column of nulls is not looked at."""

    def asked(values: Any) -> U64:
        data, offsets, valid, at, n = texts(values)
        out = np.empty(n, np.uint64)
        glance.hashes_into(data, offsets, valid, at, n, out)
        return out

    if column.null_count == len(column):
        return np.zeros(len(column), np.uint64)
    return by_value(column, asked)


def named(
    column: pa.ChunkedArray, kind_hash: int, kind: int, slot: int, keys: U64, kinds: npt.NDArray[np.uint8]
) -> npt.NDArray[np.uint8]:
    """Texts as subjects of a kind: into ``slot`` of each row's keys and kinds. What they look like, by `glance`."""
    looks = np.zeros(len(column), np.uint8)
    if column.null_count == len(column):
        return looks
    if not pa.types.is_dictionary(column.type):
        glance.subjects_into(*texts(column), np.uint64(kind_hash), kind, slot, keys, kinds, looks)
        return looks
    coded = one(column)
    n = len(coded.dictionary)
    key, of, seen = np.zeros((n + 1, 1), np.uint64), np.zeros((n + 1, 1), np.uint8), np.zeros(n + 1, np.uint8)
    glance.subjects_into(*texts(coded.dictionary), np.uint64(kind_hash), kind, 0, key, of, seen)
    index = pc.fill_null(coded.indices, n).to_numpy(zero_copy_only=False)
    keys[:, slot], kinds[:, slot] = key[index, 0], of[index, 0]
    out: npt.NDArray[np.uint8] = seen[index]
    return out


def whole(column: pa.ChunkedArray, null: int) -> Ints | None:
    """A column of 64-bit numbers without nulls as it stands, one of nulls only as ``null``; else None."""
    n = len(column)
    if column.null_count == n:
        return np.full(n, null, np.int64)
    if column.null_count or column.type.bit_width != 64 or pa.types.is_floating(column.type):
        return None
    array = one(column)
    return np.frombuffer(array.buffers()[1], np.int64)[array.offset : array.offset + n]


def times(column: pa.ChunkedArray, null: int) -> Ints:
    """µs since 1970."""
    if column.type == _TIME:
        plain = whole(column, null)
        if plain is not None:
            return plain
    raw = pc.fill_null(column.cast(_TIME).cast(pa.int64()), null)
    return np.ascontiguousarray(raw.to_numpy(), dtype=np.int64)


_TIME = pa.timestamp("us", tz="UTC")


def ints(column: pa.ChunkedArray, null: int = 0) -> Ints:
    """Whole numbers."""
    if pa.types.is_int64(column.type) or column.null_count == len(column):
        plain = whole(column, null)
        if plain is not None:
            return plain
    return np.ascontiguousarray(pc.fill_null(column.cast(pa.int64()), null).to_numpy(), dtype=np.int64)


def truths(column: Any, null: bool = False) -> Truths:
    """0 or 1."""
    if column.null_count == len(column):
        return np.full(len(column), null, np.uint32)
    if column.null_count == 0:
        array = one(column)
        bits = np.unpackbits(
            np.frombuffer(array.buffers()[1], np.uint8), count=array.offset + len(array), bitorder="little"
        )
        return bits[array.offset :].astype(np.uint32)
    return np.asarray(pc.fill_null(column, null).to_numpy(zero_copy_only=False)).astype(np.uint32)


def known(column: pa.ChunkedArray) -> Truths:
    """1 where there is anything."""
    if column.null_count in (0, len(column)):
        return np.full(len(column), column.null_count == 0 and len(column) > 0, np.uint32)
    return truths(pc.is_valid(column))


def is_one_of(column: pa.ChunkedArray | pa.Array, *values: str) -> Truths:
    """1 where the text is one of ``values``."""
    found = hashes(column)
    out = np.zeros(len(found), bool)
    for value in values:
        out |= found == np.uint64(text_hash(value))
    return out.astype(np.uint32)


def index_of(column: pa.ChunkedArray, values: tuple[str, ...], null: int = 0) -> Ints:
    """Place of the text among ``values``; ``null`` where it is none of them."""
    if column.null_count == len(column):
        return np.full(len(column), null, np.int64)
    known = pa.array(values, pa.string())
    return by_value(column, lambda texts: ints(pc.index_in(texts, value_set=known), null))


def matches(column: pa.ChunkedArray, pattern: str) -> Truths:
    """1 where the pattern is found in the text."""
    if column.null_count == len(column):
        return np.zeros(len(column), np.uint32)
    return by_value(column, lambda texts: truths(pc.match_substring_regex(texts, pattern)))


def disguised(raw: pa.ChunkedArray, looks: npt.NDArray[np.uint8]) -> Truths:
    """Digits as sent that play an office or a bank. ``looks``: of the numbers that they stand for."""
    out = np.zeros(len(raw), np.uint32)
    if raw.null_count < len(raw):
        glance.disguises_into(*texts(raw), looks, out)
    return out


def cities(column: pa.ChunkedArray) -> Ints:
    """City of a GB/T 2260 code, its first four digits; 0 where unknown."""

    def asked(values: Any) -> Ints:
        data, offsets, valid, at, n = texts(values)
        out = np.empty(n, np.int64)
        glance.cities_into(data, offsets, valid, at, n, out)
        return out

    if column.null_count == len(column):
        return np.zeros(len(column), np.int64)
    return by_value(column, asked)
