"""Where the answer to a warning goes back to: the part ``[feedback]`` of a mapping file.

Kept true here: each part of an answer is one that there is, and has columns; each outcome has a word.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

#: What an answer to a warning may fill of the workbook that it came in.
ANSWERS = ("result", "at", "officer", "unit", "words", "amount")


@dataclass(frozen=True, kw_only=True)
class Feedback:
    """``columns``: part of an answer → the file's names for it; ``results``: our outcome → the sender's own word."""

    columns: dict[str, tuple[str, ...]] = field(default_factory=dict)
    results: dict[str, str] = field(default_factory=dict)


def read_feedback(told: Any, table: str, wrong: Callable[[str, str, str], ValueError]) -> Feedback | None:
    """What a mapping says of it; None where it says nothing. ``wrong`` makes the error of (words, section, key)."""
    if told is None:
        return None
    if table != "warnings":
        raise wrong(f"answers are owed to warnings only, not to {table}", "feedback", "")
    if not isinstance(told, dict):
        raise wrong("want lines of part = [names of columns]", "feedback", "")
    columns: dict[str, tuple[str, ...]] = {}
    for part, names in told.items():
        if part == "results":
            continue
        if part not in ANSWERS:
            raise wrong(f"unknown part {part!r}; one of {', '.join(ANSWERS)}, results", "feedback", part)
        listed = [names] if isinstance(names, str) else names
        if not isinstance(listed, list) or not listed or not all(isinstance(n, str) and n.strip() for n in listed):
            raise wrong(f"{part}: want names of columns", "feedback", part)
        columns[part] = tuple(listed)
    results = told.get("results", {})
    if not isinstance(results, dict):
        raise wrong("want lines of outcome = word", "feedback.results", "")
    for outcome, word in results.items():
        if not isinstance(word, str) or not word.strip():
            raise wrong(f"{outcome} wants a text", "feedback.results", outcome)
    return Feedback(columns=columns, results=dict(results))
