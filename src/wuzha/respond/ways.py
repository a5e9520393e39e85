"""How each source wants its answers: the way they go, and the source's own words for our outcomes.

Kept true here: a way that is saved can be used as it stands; one that cannot is refused with its line. A source that
nobody has written a way for is answered in the workbook that it sent, or by hand, in the words of ``feedback.toml``.
A key never stands in the database: a way names the file that holds it.
"""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

import psycopg

from wuzha.command.public import Actor, Refused, require
from wuzha.events import clock
from wuzha.ingest.answering import ANSWERS
from wuzha.store import audit

from .codes import codes

#: By a post of ours, by their own asking, in their workbook, or an officer types it into their system.
WAYS = ("api", "pull", "workbook", "hand")
_KEYS = {"way", "url", "key_file", "results"}
_FILE = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}\Z")


class WayError(ValueError):
    """A way that cannot be used; the text names its line, ``key`` the entry."""

    def __init__(self, words: str, key: str = "") -> None:
        super().__init__(words)
        self.key = key


@dataclass(frozen=True, kw_only=True)
class Way:
    """``results``: our outcome → the source's word. ``key_file``: name of the file in the home's folder of keys."""

    way: str = "hand"
    url: str = ""
    key_file: str = ""
    results: dict[str, str] = field(default_factory=dict)

    def word(self, outcome: str, layout: dict[str, str] | None = None) -> str:
        """The source's word for one of our outcomes; ``layout``: those of the workbook that it came in."""
        return (layout or {}).get(outcome) or self.results.get(outcome) or defaults().results.get(outcome) or outcome


@dataclass(frozen=True, kw_only=True)
class Defaults:
    """``feedback.toml``."""

    results: dict[str, str]
    columns: dict[str, tuple[str, ...]]
    add: tuple[str, ...]


def final() -> list[str]:
    """Our outcomes that answer a warning."""
    return [o.code for o in codes()["outcome"].values() if o.final]


def _line(text: str, key: str) -> int:
    return next((i for i, row in enumerate(text.splitlines(), 1) if re.match(rf'\s*\[?"?{re.escape(key)}\b', row)), 1)


def read(text: str, name: str = "way") -> Way:
    """A way from its TOML text. WayError with the line where it is wrong."""
    try:
        raw: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        at = re.search(r"line (\d+)", str(error))
        raise WayError(f"{name}:{at[1] if at else 1}: {error}") from error

    def wrong(key: str, why: str) -> WayError:
        return WayError(f"{name}:{_line(text, key)}: {why}", key)

    for key in raw:
        if key not in _KEYS:
            raise wrong(key, f"unknown key {key!r}; one of {', '.join(sorted(_KEYS))}")
    way = raw.get("way", "hand")
    if way not in WAYS:
        raise wrong("way", f"unknown way {way!r}; one of {', '.join(WAYS)}")
    url, key_file = raw.get("url", ""), raw.get("key_file", "")
    if way == "api":
        parts = urlsplit(url if isinstance(url, str) else "")
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
            raise wrong("url", 'the way api wants url = "https://…" without user and password')
    if key_file and (not isinstance(key_file, str) or not _FILE.match(key_file)):
        raise wrong("key_file", "key_file is the name of a file in the folder of keys: a–z, 0–9, '_', '.', '-'")
    results = raw.get("results", {})
    if not isinstance(results, dict):
        raise wrong("results", "want lines of outcome = word")
    for outcome, word in results.items():
        if outcome not in final():
            raise wrong(outcome, f"unknown outcome {outcome!r}; one of {', '.join(final())}")
        if not isinstance(word, str) or not word.strip():
            raise wrong(outcome, f"{outcome} wants a text")
    return Way(way=way, url=url, key_file=key_file, results=dict(results))


def written(*, way: str, url: str, key_file: str, results: dict[str, str]) -> str:
    """A way's text; what is empty is left out. It is as right as what it is made of: `read` it."""
    lines = [f"{name} = {_q(value.strip())}" for name, value in (("way", way), ("url", url), ("key_file", key_file))
             if value.strip()]  # fmt: skip
    words = [f"{_q(outcome)} = {_q(word.strip())}" for outcome, word in results.items() if word.strip()]
    return "\n".join([*lines, *(["", "[results]", *words] if words else [])]) + "\n"


def _q(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


@lru_cache(maxsize=1)
def defaults() -> Defaults:
    """The shipped defaults. WayError where the file is wrong."""
    text = (files(__package__) / "feedback.toml").read_text("utf-8")
    raw = tomllib.loads(text)
    for outcome in raw["results"]:
        if outcome not in final():
            raise WayError(f"feedback.toml:{_line(text, outcome)}: unknown outcome {outcome!r}")
    for part in (*raw["columns"], *raw["add"]["parts"]):
        if part not in ANSWERS:
            raise WayError(f"feedback.toml:{_line(text, part)}: unknown part {part!r}; one of {', '.join(ANSWERS)}")
    return Defaults(
        results=raw["results"], columns={k: tuple(v) for k, v in raw["columns"].items()}, add=tuple(raw["add"]["parts"])
    )


def ways(conn: psycopg.Connection[Any]) -> dict[str, Way]:
    """The ways that have been written, by source."""
    return {r[0]: read(r[1], r[0]) for r in conn.execute("SELECT source, text FROM wuzha.feedback_ways")}


def save(conn: psycopg.Connection[Any], actor: Actor, source: str, text: str) -> Way:
    """Write a source's way. Refused("way_wrong", why=…, field=…) where it cannot be used; "not_found": no source."""
    require(actor, "sources.write")
    try:
        way = read(text, source)
    except WayError as error:
        raise Refused("way_wrong", why=str(error).partition(": ")[2], field=error.key) from error
    if conn.execute("SELECT 1 FROM wuzha.sources WHERE name = %s", [source]).fetchone() is None:
        raise Refused("not_found")
    conn.execute(
        "INSERT INTO wuzha.feedback_ways (source, text, saved_by, saved_at) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT (source) DO UPDATE SET text = EXCLUDED.text, saved_by = EXCLUDED.saved_by,"
        " saved_at = EXCLUDED.saved_at",
        [source, text, actor.user_id or None, clock.now()],
    )
    audit.append(
        conn, actor=actor.login, user_id=actor.user_id or None, unit_id=actor.unit_id, action="feedback.way",
        object=f"source:{source}", detail={"way": way.way},
    )  # fmt: skip
    return way
