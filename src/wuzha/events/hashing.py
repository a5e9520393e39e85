"""Hashes of strings, straight from Arrow's buffers: 64-bit FNV-1a with a final mix.

Kept true here: the hash of a text is the same on every machine, version and batch cut, so that it may be stored
(fingerprints in the log, keys in snapshots). A library's own hash never is. Null hashes to 0, nothing else does.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_OFFSET = np.uint64(14695981039346656037)
_PRIME = np.uint64(1099511628211)
_MIX1 = np.uint64(0xFF51AFD7ED558CCD)
_MIX2 = np.uint64(0xC4CEB9FE1A85EC53)
_33 = np.uint64(33)

U64 = npt.NDArray[np.uint64]


def hash_text(column: pa.Array | pa.ChunkedArray) -> U64:
    """uint64 hash of each text of an Arrow string column; 0 where null."""
    if isinstance(column, pa.ChunkedArray):
        chunks = [hash_text(chunk) for chunk in column.chunks]
        return np.concatenate(chunks) if chunks else np.empty(0, np.uint64)
    if pa.types.is_dictionary(column.type):
        values = np.append(hash_text(column.dictionary), np.uint64(0))
        codes = column.indices.fill_null(len(values) - 1).to_numpy(zero_copy_only=False)
        out: U64 = values[codes]
        return out
    if not pa.types.is_string(column.type):
        column = column.cast(pa.string())
    n = len(column)
    out = np.empty(n, np.uint64)
    if n == 0:
        return out
    validity, offsets, data = column.buffers()
    begin = column.offset
    off = np.frombuffer(offsets, np.int32, begin + n + 1)[begin:]
    raw = np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(1, np.uint8)
    if column.null_count == 0 or validity is None:
        bits = np.full((n + 7) // 8, 255, np.uint8)
    else:
        bits = np.packbits(column.is_valid().to_numpy(zero_copy_only=False), bitorder="little")
    from .hash_kernels import hash_bytes

    hash_bytes(raw, off, bits, out)
    return out


def combine(a: U64, b: U64) -> U64:
    """Hash of each pair; order matters."""
    from .hash_kernels import combine as combined

    out = np.empty(a.shape[0], np.uint64)
    combined(a, b, out)
    return out


def identity(rows: pa.Table) -> U64:
    """Hash of each event's identity, (source, event_id)."""
    return combine(hash_text(rows.column("source")), hash_text(rows.column("event_id")))


def text_hash(text: str) -> int:
    """Hash of one text, the same as `hash_text` gives. In plain Python: constants do not wake the compiler."""
    all_64 = 2**64 - 1
    h = int(_OFFSET)
    for byte in text.encode():
        h = (h ^ byte) * int(_PRIME) & all_64
    h ^= h >> 33
    h = h * int(_MIX1) & all_64
    h ^= h >> 33
    h = h * int(_MIX2) & all_64
    return (h ^ h >> 33) or 1
