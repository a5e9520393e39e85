"""Where a statement's rows stand: file, sheet and row of each, written short.

Kept true here: a citation names every row that it rests on, of both sides' statements where both have it; rows in a run
are written as one, none is left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl


@dataclass(frozen=True, kw_only=True)
class Cite:
    """Rows of one sheet: runs (first, last) of row numbers as the file's own program shows them."""

    file: str
    sheet: str
    runs: tuple[tuple[int, int], ...]
    rows: int

    def __str__(self) -> str:
        numbers = "、".join(str(a) if a == b else f"{a}–{b}" for a, b in self.runs)
        return f"{self.file}{f'「{self.sheet}」' if self.sheet else ''} 第 {numbers} 行"


class Cites:
    """The places of transfers, by the number of the transfer in its table."""

    def __init__(self, transfers: pl.DataFrame, places: pl.DataFrame) -> None:
        if "table" in places.columns:
            places = places.filter(pl.col("table") == "transfers")
        numbered = transfers.select("source", "event_id").with_row_index("_i")
        found = places.join(numbered, on=["source", "event_id"], how="inner")
        found = found.sort("_i", "file", "sheet", "row")
        self._sheets = found.select("file", "sheet").unique(maintain_order=True).sort("file", "sheet").rows()
        number = {pair: i for i, pair in enumerate(self._sheets)}
        self._sheet = np.array([number[p] for p in found.select("file", "sheet").iter_rows()], np.int32)
        self._row: npt.NDArray[np.int64] = found.get_column("row").fill_null(0).to_numpy().astype(np.int64)
        self._at = np.searchsorted(found.get_column("_i").to_numpy(), np.arange(transfers.height + 1))

    def of(self, transfers: Iterable[int]) -> list[Cite]:
        """The places of these transfers, a `Cite` a sheet, in the order of files."""
        asked = np.unique(np.fromiter((int(i) for i in transfers), np.int64))
        if not asked.size:
            return []
        at = np.concatenate([np.arange(self._at[i], self._at[i + 1]) for i in asked])
        out = []
        for sheet in np.unique(self._sheet[at]).tolist():
            rows = np.unique(self._row[at[self._sheet[at] == sheet]])
            file, name = self._sheets[sheet]
            cuts = np.flatnonzero(np.diff(rows) != 1) + 1
            runs = tuple((int(r[0]), int(r[-1])) for r in np.split(rows, cuts))
            out.append(Cite(file=file, sheet=name, runs=runs, rows=int(rows.size)))
        return out

    def first(self, transfer: int) -> str:
        """The first place of one transfer; "" where none is known."""
        found = self.of([transfer])
        return str(found[0]) if found else ""
