"""Texts by number, kept once: one run of bytes and where each text begins."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


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
