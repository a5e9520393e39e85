"""What automatic calls say and what their platform answers, read from ``robot.toml``.

Kept true here: no text carries a link; every word of the platform means one result of ours; a mistake is shown where
it stands.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

from wuzha.events.datafile import DataFile, parse
from wuzha.events.scam_types import nearest, scam_types

from .codes import codes
from .links import link_in

COLUMNS = ("ref", "result", "at", "recording")
_SPACE = re.compile(r"[\s_\-－—]+")


@dataclass(frozen=True, kw_only=True)
class Words:
    """The file. ``templates``: code -> text by language; ``results``: plain word of the platform -> our code."""

    tries: int
    again_s: int
    templates: dict[str, dict[str, str]]
    columns: dict[str, tuple[str, ...]]
    results: dict[str, str]

    def template(self, scam_type: str) -> str:
        """The code of the text for a scam type: its own, that of the type above it, or the general one."""
        return nearest(scam_type, self.templates) or "general"

    def result(self, word: str) -> str | None:
        """Our code of the platform's word, None where nobody has said what it means."""
        return self.results.get(plain(word))


def plain(word: str) -> str:
    """A word without case, blanks and dashes."""
    return _SPACE.sub("", word).casefold()


def read(text: str, name: str = "robot.toml") -> Words:
    """The words of automatic calls. `events.datafile.DataFileError` with the place of what is wrong."""
    file = parse(text, name)
    if unknown := file.data.keys() - {"tries", "again_s", "template", "columns", "results"}:
        raise file.error(min(unknown), "", f"no such entry {min(unknown)}")
    for key in ("tries", "again_s"):
        if type(file.data.get(key)) is not int or file.data[key] < 1:
            raise file.error("", key, f"{key} is no whole number from 1")
    return Words(
        tries=file.data["tries"], again_s=file.data["again_s"], templates=_templates(file), columns=_columns(file),
        results=_results(file),
    )  # fmt: skip


def _templates(file: DataFile) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = file.data.get("template", {})
    if "general" not in found:
        raise file.error("template", "", "there is no [template.general]")
    for code, texts in found.items():
        if code != "general" and code not in scam_types():
            raise file.error(f"template.{code}", "", f"{code} is no scam type")
        for language in ("zh", "en"):
            text: Any = texts.get(language)
            if not isinstance(text, str) or not text.strip():
                raise file.error(f"template.{code}", language, f"lacks {language}")
            if link_in(text):
                raise file.error(f"template.{code}", language, "no text of ours carries a link")
    return found


def _columns(file: DataFile) -> dict[str, tuple[str, ...]]:
    found = file.data.get("columns", {})
    for name in COLUMNS:
        if not isinstance(found.get(name), list) or not all(isinstance(x, str) for x in found[name]):
            raise file.error("columns", name, f"{name} is no list of headings")
    return {name: tuple(plain(x) for x in found[name]) for name in COLUMNS}


def _results(file: DataFile) -> dict[str, str]:
    found: dict[str, str] = {}
    offered = codes()["channel"]["robot"].results
    for code, words in file.data.get("results", {}).items():
        if code not in offered:
            raise file.error("results", code, f"an automatic call has no result {code}")
        for word in words:
            if found.get(plain(word), code) != code:
                raise file.error("results", code, f"{word} means {found[plain(word)]} already")
            found[plain(word)] = code
    return found


@lru_cache(maxsize=1)
def words() -> Words:
    """The shipped words."""
    return read((files(__package__) / "robot.toml").read_text("utf-8"))
