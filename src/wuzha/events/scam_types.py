"""Scam types, read from ``scam_types.toml``: the one list of codes that every package uses."""

from __future__ import annotations

import tomllib
from collections.abc import Container
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files


@dataclass(frozen=True, kw_only=True)
class ScamType:
    """One scam type: ``code`` (``investment.pig_butchering``), its words, its parent's code, the feeds' codes."""

    code: str
    zh: str
    en: str
    parent: str | None
    scripts: tuple[int, ...]
    feeds: tuple[str, ...]


@lru_cache(maxsize=1)
def scam_types() -> dict[str, ScamType]:
    """All scam types by code, in the file's order."""
    rows = tomllib.loads((files(__package__) / "scam_types.toml").read_text("utf-8"))
    types = {
        code: ScamType(
            code=code,
            zh=row["zh"],
            en=row["en"],
            parent=row.get("parent"),
            scripts=tuple(row["scripts"]),
            feeds=tuple(row["feeds"]),
        )
        for code, row in rows.items()
    }
    for t in types.values():
        if t.parent is not None and t.parent not in types:
            raise ValueError(f"scam_types.toml: [{t.code}] has the unknown parent {t.parent!r}")
    return types


def parent(code: str) -> str:
    """The parent's code, or the code itself where it is one."""
    return scam_types()[code].parent or code


def nearest(code: str, among: Container[str]) -> str | None:
    """The longest of ``code`` and the codes above it that is ``among`` those; None where none is."""
    parts = code.split(".")
    every = (".".join(parts[:n]) for n in range(len(parts), 0, -1))
    return next((one for one in every if one in among), None)


@lru_cache(maxsize=1)
def by_feed_code() -> dict[str, str]:
    """Scam type codes by the codes that feeds use."""
    return {feed: t.code for t in scam_types().values() for feed in t.feeds}
