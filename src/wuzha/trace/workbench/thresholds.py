"""Thresholds of the workbench: a TOML file that experts edit.

Kept true here: a file is taken whole or refused with the line of its mistake; what a file does not name keeps the
shipped value.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from wuzha.events.datafile import DataFile, DataFileError, parse

#: Measures with a share that is graded; ``balance`` is out of the ordinary below its figures, all others above.
GRADED = ("balance", "cash", "top3", "round", "fast_days", "turnover", "region", "bank")
#: Every table with its keys, and the least and most that each may be.
_SCHEMA: dict[str, dict[str, tuple[float, float]]] = {
    "fast": {"minutes": (1, 1440), "yuan": (0.01, 10**10)},
    **{name: {"abnormal": (0, 10**6), "high": (0, 10**6)} for name in GRADED},
    "shared": {"cards": (2, 1000)},
    "least": {"entries": (1, 10**6)},
}
_SCHEMA["round"]["yuan"] = (1, 10**8)


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """The figures in force, by table and key; ``text`` is what they were read from."""

    values: dict[str, dict[str, float]]

    def __getitem__(self, name: str) -> dict[str, float]:
        return self.values[name]

    def fen(self, name: str) -> int:
        """``yuan`` of a table, in fen."""
        return round(self.values[name]["yuan"] * 100)

    def grade(self, name: str, value: float | None, entries: int) -> str:
        """``high``, ``abnormal`` or "" for a measure's value."""
        if value is None or entries < self.values["least"]["entries"]:
            return ""
        limits = self.values[name]
        for grade in ("high", "abnormal"):
            if value < limits[grade] if name == "balance" else value > limits[grade]:
                return grade
        return ""


def read(text: str, file: str = "thresholds.toml") -> Thresholds:
    """The thresholds of a file's text over the shipped ones. DataFileError: ``file:line:column: what``."""
    told = parse(text, file)
    values = {name: dict(row) for name, row in (shipped().values if file != _OWN else {}).items()}
    for name, row in told.data.items():
        if name not in _SCHEMA:
            raise told.error(name, "", f"没有这一节 [{name}]；可用：{', '.join(_SCHEMA)}")
        if not isinstance(row, dict):
            raise told.error("", name, f"{name} 应为一节 [{name}]")
        for key, value in row.items():
            _checked(told, name, key, value)
        values[name] = values.get(name, {}) | {key: float(value) for key, value in row.items()}
    for name in GRADED:
        if name in values and {"abnormal", "high"} <= values[name].keys():
            low, high = values[name]["abnormal"], values[name]["high"]
            if (low < high) if name == "balance" else (low > high):
                raise told.error(name, "high", "high 应比 abnormal 更严重")
    return Thresholds(values=values)


def _checked(told: DataFile, name: str, key: str, value: Any) -> None:
    if key not in _SCHEMA[name]:
        raise told.error(name, key, f"[{name}] 没有 {key}；可用：{', '.join(_SCHEMA[name])}")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise told.error(name, key, f"{key} 应为数字")
    low, high = _SCHEMA[name][key]
    if not low <= value <= high:
        raise told.error(name, key, f"{key} 应在 {low:g} 与 {high:g} 之间")


_OWN = "wuzha/trace/workbench/thresholds.toml"


@lru_cache(maxsize=1)
def shipped() -> Thresholds:
    """The thresholds that come with Wuzha."""
    return read((files(__package__) / "thresholds.toml").read_text("utf-8"), _OWN)


def load(path: Path) -> Thresholds:
    """The thresholds of a file. DataFileError where it cannot be read or is wrong."""
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataFileError(str(path), 1, 1, f"读不出：{error}") from error
    return read(text, str(path))
