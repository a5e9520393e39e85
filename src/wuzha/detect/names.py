"""Texts by number, kept once: one run of bytes and where each text begins."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from .codes import KINDS
from .columns import one, texts
from .encode import Block
from .glance import texts_into


class Names:
    """Append-only texts; ``names[i]`` is the i-th."""

    def __init__(self, data: npt.NDArray[np.uint8] | None = None, offsets: npt.NDArray[np.int64] | None = None) -> None:
        self._data = bytearray(b"" if data is None else data.data)
        self._offsets = np.zeros(1024, np.int64)
        self._n = 0
        if offsets is not None:
            self._n = len(offsets) - 1
            self._offsets = np.zeros(max(1024, len(offsets) * 2), np.int64)
            self._offsets[: len(offsets)] = offsets

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, i: int) -> str:
        return self._data[self._offsets[i] : self._offsets[i + 1]].decode("utf-8")

    def extend(self, data: npt.NDArray[np.uint8], lengths: npt.NDArray[np.int64]) -> None:
        """Add texts that stand one after the other in ``data``."""
        k = len(lengths)
        if self._n + k + 1 > len(self._offsets):
            grown = np.zeros((self._n + k + 1) * 2, np.int64)
            grown[: self._n + 1] = self._offsets[: self._n + 1]
            self._offsets = grown
        self._offsets[self._n + 1 : self._n + 1 + k] = len(self._data) + np.cumsum(lengths)
        self._data += data.data
        self._n += k

    @property
    def nbytes(self) -> int:
        """Bytes of the texts and of where they begin."""
        return len(self._data) + self._n * self._offsets.itemsize

    def arrays(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
        """Bytes and offsets, copies."""
        return np.frombuffer(bytes(self._data), np.uint8), self._offsets[: self._n + 1].copy()


def new_keys(block: Block, new: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """UTF-8 keys of the newly met subjects one after the other, and their lengths; ``new`` holds row * width + slot."""
    width = block.keys.shape[1]
    rows, slots = new // width, new % width
    lengths = np.zeros(len(new), np.int64)
    found: list[tuple[bytes, pa.Array, npt.NDArray[np.int64]]] = []
    group = block.part[rows].astype(np.int64) * width + slots
    for g in np.unique(group):
        part, slot = int(g) // width, int(g) % width
        column = block.columns[part][slot]
        if column is None:
            continue
        where = np.flatnonzero(group == g)
        if column in ("subject", "other", "suspect_url", "value"):
            prefix, values = b"", pa.array([block.subject_text(int(rows[i]), slot) for i in where], pa.string())
        else:
            prefix = (KINDS[block.kinds[rows[where[0]], slot]] + ":").encode()
            values = one(one(block.parts[part].column(column)).take(pa.array(block.row[rows[where]])))
            values = values.cast(pa.string()).fill_null("")
        lengths[where] = pc.binary_length(values).to_numpy() + len(prefix)
        found.append((prefix, values, where))
    begins = np.cumsum(lengths) - lengths
    out = np.empty(int(lengths.sum()), np.uint8)
    for prefix, values, where in found:
        data, offsets, _, at, _ = texts(values)
        texts_into(data, offsets, at, np.frombuffer(prefix, np.uint8), where, begins, out)
    return out, lengths
