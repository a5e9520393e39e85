"""The eight 凡是 as patterns in a file, read and checked: every mistake is said at its line.

Kept true here: a text hits a 凡是 only by what stands in the file; numbers are 1 to 8, each once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from wuzha.events.datafile import DataFile, parse


@dataclass(frozen=True, kw_only=True)
class Fanshi:
    """One 凡是. ``any`` one must be found, ``also`` too where it is given, ``unless`` must not."""

    number: int
    zh: str
    en: str
    any: str
    also: str
    unless: str
    link: bool


@dataclass(frozen=True)
class Patterns:
    """The file's patterns: what every text is excused by, and the eight."""

    excuse: str
    fanshi: tuple[Fanshi, ...]


def _joined(d: DataFile, table: str, key: str, row: dict[str, Any]) -> str:
    values = row.get(key, [])
    if not isinstance(values, list) or not all(isinstance(v, str) and v for v in values):
        raise d.error(table, key, f"{key} is a list of patterns")
    for value in values:
        try:
            re.compile(value)
        except re.error as error:
            line, column = _line_of(d, value, table, key)
            raise type(d.error(table, key, ""))(
                d.file, line, column + (error.pos or 0), f"pattern: {error.msg}"
            ) from error
    return "|".join(f"(?:{v})" for v in values)


def _line_of(d: DataFile, value: str, table: str, key: str) -> tuple[int, int]:
    for number, line in enumerate(d.lines, 1):
        if (at := line.find(value)) >= 0:
            return number, at + 1
    return d.where(table, key)


def read(d: DataFile) -> Patterns:
    """Patterns of a parsed file. DataFileError says where a mistake stands."""
    for name in d.data:
        if name not in ("common", "fanshi"):
            raise d.error(name, "", f"unknown table {name!r}; want [common] and [[fanshi]]")
    common = d.data.get("common", {})
    rows = d.data.get("fanshi", [])
    out: list[Fanshi] = []
    for i, row in enumerate(rows):
        table = f"fanshi[{i}]"
        for key in row:
            if key not in ("number", "zh", "en", "any", "and", "unless", "link"):
                raise d.error(table, key, f"a 凡是 knows no {key!r}")
        number = row.get("number")
        if not isinstance(number, int) or not 1 <= number <= 8 or any(f.number == number for f in out):
            raise d.error(table, "number", "number is 1 to 8, each once")
        for key in ("zh", "en"):
            if not isinstance(row.get(key), str):
                raise d.error(table, key, f"a 凡是 wants {key}")
        patterns = _joined(d, table, "any", row)
        if not patterns:
            raise d.error(table, "any", "a 凡是 wants patterns under any")
        out.append(
            Fanshi(
                number=number, zh=row["zh"], en=row["en"], any=patterns, also=_joined(d, table, "and", row),
                unless=_joined(d, table, "unless", row), link=bool(row.get("link", False)),
            )
        )  # fmt: skip
    if len(out) != 8:
        raise d.error("fanshi[0]", "", f"want the eight 凡是, found {len(out)}")
    return Patterns(_joined(d, "common", "unless", common), tuple(sorted(out, key=lambda f: f.number)))


@lru_cache(maxsize=1)
def shipped() -> Patterns:
    """The patterns in the package."""
    return read(parse((files(__package__) / "fanshi.toml").read_text("utf-8"), "fanshi.toml"))


def load(path: Path) -> Patterns:
    """Patterns of a file of one's own."""
    return read(parse(path.read_text("utf-8"), str(path)))
