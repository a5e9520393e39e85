"""What is used at the door, read from ``door.toml``: checklist, what to do first, the notice, limits.

Kept true here: every stage has something to do first; every text stands in both languages and carries no link; a
mistake is told with file and line.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from wuzha.events import STAGES, datafile

from .links import link_in

_LANGUAGES = ("zh", "en")
#: The checklist of the law's practice; a deployment may add to it and say it otherwise, not leave one out.
CHECKS = ("screen_share", "apps", "forwarding", "passwords", "bank", "national_app")


@dataclass(frozen=True, kw_only=True)
class Book:
    """The file: words by code and language. ``notice``: title and text by language."""

    checks: dict[str, dict[str, str]]
    first: dict[str, dict[str, str]]
    notice: dict[str, tuple[str, str]]
    kept_days: int
    pair_minutes: int
    pictures: int


def read(text: str, name: str = "door.toml") -> Book:
    """DataFileError with file, line and what is wrong."""
    file = datafile.parse(text, name)
    told: dict[str, dict[str, dict[str, str]]] = {}
    for table in ("check", "first"):
        told[table] = {}
        for code, row in file.data.get(table, {}).items():
            where = f"{table}.{code}"
            if set(row) != set(_LANGUAGES) or not all(str(row[x]).strip() for x in _LANGUAGES):
                raise file.error(where, "", f"[{where}] wants zh and en")
            for language in _LANGUAGES:
                if link_in(str(row[language])):
                    raise file.error(where, language, f"[{where}] carries a link: no words of ours ever do")
            told[table][code] = {language: str(row[language]).strip() for language in _LANGUAGES}
    if missing := [c for c in CHECKS if c not in told["check"]]:
        raise file.error("", "", f"the checklist lacks {', '.join(missing)}")
    if set(told["first"]) != set(STAGES):
        raise file.error("", "", f"[first] wants the stages {', '.join(STAGES)}")
    notice = file.data.get("notice", {})
    for part in (f"{part}_{language}" for part in ("title", "text") for language in _LANGUAGES):
        if not str(notice.get(part, "")).strip():
            raise file.error("notice", "", f"[notice] lacks {part}")
        if link_in(str(notice[part])):
            raise file.error("notice", part, f"[notice] {part} carries a link: no words of ours ever do")
    limits = file.data.get("limits", {})
    for limit, top in (("kept_days", 30), ("pair_minutes", 120), ("pictures", 12)):
        value = limits.get(limit)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= top:
            raise file.error("limits", limit, f"[limits] {limit} wants a whole number from 1 to {top}")
    return Book(
        checks=told["check"], first=told["first"],
        notice={x: (str(notice[f"title_{x}"]).strip(), str(notice[f"text_{x}"]).strip()) for x in _LANGUAGES},
        **limits,
    )  # fmt: skip


@lru_cache(maxsize=1)
def book() -> Book:
    """The shipped file."""
    return read((files(__package__) / "door.toml").read_text("utf-8"))


def words() -> dict[str, dict[str, str]]:
    """What the pages call the checklist, by catalogue key."""
    return {f"check.{code}": row for code, row in book().checks.items()} | {
        "notice_paper.title": {x: book().notice[x][0] for x in _LANGUAGES}
    }
