"""Data files that experts edit: TOML, read with the place of every entry, so that a mistake is shown where it stands.

Kept true here: whatever is wrong with a file is said as ``file:line:column: what``, never as a bare traceback.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from typing import Any


class DataFileError(ValueError):
    """A mistake in a data file. ``str`` is ``file:line:column: what is wrong``."""

    def __init__(self, file: str, line: int, column: int, what: str) -> None:
        super().__init__(f"{file}:{line}:{column}: {what}")
        self.file, self.line, self.column, self.what = file, line, column, what


_HEADER = re.compile(r"\s*\[\[?\s*(?P<name>[^\]]+?)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(r"\s*(?P<key>\"[^\"]+\"|'[^']+'|[A-Za-z0-9_-]+)\s*=\s*")
_AT = re.compile(r"\(at line (\d+), column (\d+)\)")


@dataclass(frozen=True)
class DataFile:
    """A TOML file's data and the line and column where each table and value begins."""

    file: str
    data: dict[str, Any]
    lines: tuple[str, ...]
    places: dict[tuple[str, str], tuple[int, int]]

    def where(self, table: str, key: str = "") -> tuple[int, int]:
        """Line and column (from 1) of a table's header, or of the value of one of its keys."""
        return self.places.get((table, key)) or self.places.get((table, "")) or (1, 1)

    def error(self, table: str, key: str, what: str, *, line: int = 1, column: int = 1) -> DataFileError:
        """The mistake ``what`` at ``line`` and ``column`` (from 1) *within* the value of ``table``'s ``key``."""
        begin_line, begin_column = self.where(table, key)
        if line > 1:
            return DataFileError(self.file, begin_line + line - 1, column, what)
        return DataFileError(self.file, begin_line, begin_column + column - 1, what)


def parse(text: str, file: str) -> DataFile:
    """The data file of ``text``; DataFileError where it is no TOML."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = _AT.search(str(error))
        at = (int(found[1]), int(found[2])) if found else (1, 1)
        raise DataFileError(file, *at, str(error).split(" (at ")[0]) from error
    places: dict[tuple[str, str], tuple[int, int]] = {}
    counts: dict[str, int] = {}
    table, inside = "", ""
    for number, line in enumerate(text.splitlines(), 1):
        if inside:
            if inside in line:
                inside = ""
            continue
        if header := _HEADER.match(line):
            name = header["name"].replace('"', "").replace("'", "")
            if line.lstrip().startswith("[["):
                table = f"{name}[{counts.get(name, 0)}]"
                counts[name] = counts.get(name, 0) + 1
            else:
                table = name
            places[(table, "")] = (number, line.index("[") + 1)
        elif key := _KEY.match(line):
            rest = line[key.end() :]
            quote = next((q for q in ('"""', "'''") if rest.startswith(q)), "")
            column = key.end() + 1 + (len(quote) if quote else 1 if rest[:1] in "\"'" else 0)
            start = (number + 1, 1) if quote and rest == quote else (number, column)
            places[(table, key["key"].strip("\"'"))] = start
            if quote and quote not in rest[3:]:
                inside = quote
    return DataFile(file, data, tuple(text.splitlines()), places)
