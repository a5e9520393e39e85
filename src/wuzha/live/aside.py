"""Batches that the engine cannot take in: tried again, then set aside with the reason, so that the line goes on.

Kept true here: what is set aside is noted durably before anything after it is worked on, and stays aside on every
replay, so that a restart decides the same; its rows stay in the log and in history. Only errors of the work itself
count; a kill, a lost lease or an absent database does not.

``set-aside.json`` in the home folder holds ``careful_until`` (a position), ``tries`` (number by position), ``aside``
(reason by position) and ``traces`` (where in the program it failed, by position; places in the code, no values).
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping
from pathlib import Path

from wuzha.store import durable

#: Times that a batch may fail before it is set aside.
TRIES = 3
NAME = "set-aside.json"


class Aside:
    """What one partition's worker has set aside. `failed` is durable when it returns."""

    def __init__(self, home: Path) -> None:
        self._path = home / NAME
        self._careful_until = 0
        self._tries: dict[int, int] = {}
        self._aside: dict[int, str] = {}
        self._traces: dict[int, list[str]] = {}
        if self._path.exists():
            said = json.loads(self._path.read_text("utf-8"))
            self._careful_until = int(said["careful_until"])
            self._tries = {int(k): int(v) for k, v in said["tries"].items()}
            self._aside = {int(k): str(v) for k, v in said["aside"].items()}
            self._traces = {int(k): list(v) for k, v in said.get("traces", {}).items()}

    def careful(self, after: int) -> bool:
        """Whether batches after this position are to be committed one by one, to learn which one is wrong."""
        return after < self._careful_until

    def why(self, position: int) -> str | None:
        """Why the batch at this position is set aside; None where it is not."""
        return self._aside.get(position)

    @property
    def positions(self) -> Mapping[int, str]:
        """All that is set aside, and why."""
        return self._aside

    def trace(self, position: int) -> list[str]:
        """Where in the program the batch at this position failed, the innermost place last."""
        return self._traces.get(position, [])

    def failed(self, first: int, last: int, error: BaseException) -> bool:
        """Work on the batches from ``first`` to ``last`` failed. One batch alone that has failed often enough is set
        aside: True."""
        self._careful_until = max(self._careful_until, last)
        if first == last:
            self._tries[first] = self._tries.get(first, 0) + 1
            if self._tries[first] >= TRIES:
                self._aside[first] = f"{type(error).__name__}: {error}"[:500]
                self._traces[first] = [
                    f"{Path(at.filename).name}:{at.lineno} {at.name}"
                    for at in traceback.extract_tb(error.__traceback__)
                ]
        self._write()
        return first in self._aside

    def _write(self) -> None:
        said = {
            "careful_until": self._careful_until, "tries": self._tries, "aside": self._aside, "traces": self._traces,
        }  # fmt: skip
        durable.write(self._path, json.dumps(said, ensure_ascii=False, indent=1).encode("utf-8"))


def count(home: Path) -> int:
    """How many batches of this deployment are set aside."""
    try:
        return len(json.loads((home / NAME).read_text("utf-8"))["aside"])
    except FileNotFoundError:
        return 0
