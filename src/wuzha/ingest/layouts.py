"""Which layout a sheet has: its header is found below title rows, and its mapping by the sets of names.

Kept true here: a sheet is read by at most one mapping, and the same sheet always by the same one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from wuzha.events import TABLES

from .cells import bare_word, words
from .mapping import Joined, Mapping, plain_header

#: A line drawn across the sheet, as it stands below the rows of some exports.
_LINE = r"([-－—─━–_=＝*＊]\s*){3,}$"


@dataclass(frozen=True, kw_only=True)
class Found:
    """The header: its row (from 0), its names as they stand, the mapping; and what stood above it."""

    row: int
    names: list[str]
    mapping: Mapping
    above: str


def own_mapping(table: str) -> Mapping:
    """The mapping of a file that already has our column names."""
    declared = TABLES[table]
    return Mapping(
        name=f"own_{table}",
        zh=declared.zh,
        table=table,
        shape="rows",
        header=tuple((c.name,) for c in declared.all_columns if c.required and c.name not in ("source", "event_id")),
        columns={c.name: (c.name,) for c in declared.all_columns},
    )


def find(head: list[list[str]], mappings: list[Mapping], tables: set[str]) -> Found | None:
    """The header and mapping of a sheet whose first rows are ``head``; None where no mapping knows any of them.

    Mappings come by precedence; among several that fit a row, more names known wins, then precedence; the shipped lists
    of warnings give way to any other. Only mappings that give one of ``tables`` are asked.
    """
    for i, row in enumerate(head):
        plain = {plain_header(cell)[0] for cell in row if cell and cell.strip()}
        if len(plain) < 2 and len(row) > 1:
            continue
        best: tuple[bool, int, int] | None = None
        chosen: Mapping | None = None
        for rank, mapping in enumerate(mappings):
            if mapping.table not in tables or not all(plain.intersection(group) for group in mapping.header):
                continue
            # Lists of warnings differ in words more than in names: one's own layout is right however little it names.
            score = (not mapping.path.startswith("mappings/warnings_"), len(plain & mapping.names()), -rank)
            if best is None or score > best:
                best, chosen = score, mapping
        if chosen is not None:
            names = list(row)
            while names and not names[-1].strip():
                names.pop()
            return Found(row=i, names=names, mapping=chosen, above=_above(head[:i]))
    return None


def _above(rows: list[list[str]]) -> str:
    return "\n".join(" ".join(cell for cell in row if cell) for row in rows)


def guess_header(head: list[list[str]]) -> int | None:
    """The row that looks most like a header where no mapping knows one: many cells, all words, all different."""
    best, best_score = None, 1.0
    for i, row in enumerate(head[:30]):
        cells = [cell.strip() for cell in row if cell and cell.strip()]
        wordy = [c for c in cells if not re.fullmatch(r"[\d\s.,:/¥￥+\-]+", c) and len(c) <= 30]
        if not cells or len(set(cells)) < len(cells):
            continue
        score = len(wordy) * (len(wordy) / len(cells)) ** 2
        if score > best_score:
            best, best_score = i, score
    return best


def sources_of(mapping: Mapping, names: list[str]) -> dict[str, list[int | tuple[list[int], str]]]:
    """For each target: the file's columns that fill it, in the mapping's order; a join as its columns and text.

    Where a name stands twice in the header, its first column counts.
    """
    at: dict[str, int] = {}
    for i, name in enumerate(names):
        at.setdefault(plain_header(name)[0], i)
    out: dict[str, list[int | tuple[list[int], str]]] = {}
    for target, sources in mapping.columns.items():
        found: list[int | tuple[list[int], str]] = []
        for source in sources:
            if isinstance(source, Joined):
                parts = [at.get(plain_header(name)[0]) for name in source.join]
                if all(part is not None for part in parts):
                    found.append(([part for part in parts if part is not None], source.by))
            elif (column := at.get(plain_header(source)[0])) is not None:
                found.append(column)
        if found:
            out[target] = found
    return out


def title_values(mapping: Mapping, above: str) -> dict[str, str]:
    """Values that the lines above the header give (``卡号：6217…``)."""
    out = {}
    for target, pattern in mapping.title.items():
        match = re.search(pattern, above)
        if match:
            out[target] = match[1]
    return out


def total_words() -> tuple[str, ...]:
    """First words of rows that sum up others, in their bare form."""
    return tuple(bare_word(w) for w in words()["totals"]["words"])


@lru_cache(maxsize=1)
def total_pattern() -> str:
    """What the first cell of such a row begins with, as a pattern over lower-case text: blanks may part the letters."""
    told = [r"\s*".join("[:：]" if ch == ":" else re.escape(ch) for ch in word) for word in total_words()]
    return r"^[\s:：]*(?:" + "|".join([*told, *words()["totals"]["patterns"], _LINE]) + ")"


def is_line(text: str) -> bool:
    """Whether a cell is nothing but a line drawn with characters."""
    return re.fullmatch(_LINE, text) is not None


def is_total(text: str) -> bool:
    """Whether the whole of a first cell is of sums or footers, for tables whose rows have no time."""
    bare = bare_word(text)
    return bare.rstrip(":") in total_words() or any(re.fullmatch(p, bare) for p in words()["totals"]["patterns"])
