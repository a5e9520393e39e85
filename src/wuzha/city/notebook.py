"""Rows that are written one by one (scams, their money), gathered and added to the stage in one go.

Kept true here: every row of a scam carries its label; a row outside the city's days is dropped with its label.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .rows import STAGES, STEPS, Labels
from .stage import Stage


class Notebook:
    """Rows by table, with labels."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.rows: dict[str, list[dict[str, Any]]] = {}
        self.labels: dict[str, list[tuple[int, int, int, int, int]]] = {}

    def write(
        self,
        table: str,
        sec: float,
        *,
        scam: int = -1,
        stage: str = "",
        step: str = "",
        victim: int = -1,
        look: int = -1,
        **columns: Any,
    ) -> bool:
        """One row; False where its time lies outside the city's days."""
        if not 0 <= sec < self.stage.end:
            return False
        self.rows.setdefault(table, []).append({"sec": int(sec), **columns})
        self.labels.setdefault(table, []).append(
            (scam, STAGES.index(stage) if stage else -1, STEPS.index(step) if step else -1, victim, look)
        )
        return True

    def flush(self) -> None:
        """Add all rows to the stage."""
        for table, rows in self.rows.items():
            target = self.stage.rows[table]
            columns: dict[str, Any] = {"sec": np.array([r["sec"] for r in rows], np.int64)}
            for name, default in target.defaults.items():
                if any(name in r for r in rows):
                    columns[name] = np.array([r.get(name, default) for r in rows], np.asarray(default).dtype)
            marks = np.array(self.labels[table], np.int32)
            at = np.flatnonzero((marks[:, 0] >= 0) | (marks[:, 4] >= 0))
            marks = marks[at]
            target.add(
                len(rows),
                Labels(
                    scam=marks[:, 0], stage=marks[:, 1], step=marks[:, 2], person=marks[:, 3], look=marks[:, 4], at=at
                ),
                **columns,
            )
        self.rows.clear()
        self.labels.clear()
