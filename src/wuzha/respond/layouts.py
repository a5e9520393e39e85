"""Layouts that officers have confirmed: mapping files for the workbooks of their sources, kept for next time.

Kept true here: a layout that is saved can be read; what an expert has written in one stays where it is when words are
added; each layout is of one source.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import psycopg

from wuzha import ingest
from wuzha.command.public import Actor, Refused, require
from wuzha.events import clock
from wuzha.ingest.answering import ANSWERS
from wuzha.ingest.mapping import Mapping, MappingError, parse, shipped
from wuzha.store import audit

from . import ways

if TYPE_CHECKING:
    from wuzha.ingest.books import Sheet


def saved(conn: psycopg.Connection[Any]) -> dict[str, tuple[Mapping, str]]:
    """Saved layouts by name, the newest first, each with its source. One that can no longer be read is left out."""
    rows = conn.execute("SELECT name, source, text FROM wuzha.layouts ORDER BY saved_at, name").fetchall()
    known = dict(shipped())
    out: dict[str, tuple[Mapping, str]] = {}
    for name, source, text in rows:
        try:
            mapping = parse(text, f"layout {name}", known)
        except MappingError:
            continue
        known[mapping.name] = mapping
        out = {mapping.name: (mapping, source), **out}
    return out


def save(conn: psycopg.Connection[Any], actor: Actor, source: str, text: str) -> Mapping:
    """Keep a layout under its own name. Refused("layout_wrong", why=…) where it cannot be read, names no table of
    warnings, or answers with an outcome that is none."""
    require(actor, "desk.act")
    try:
        mapping = parse(text, "layout", {**shipped(), **{n: m for n, (m, _) in saved(conn).items()}})
    except MappingError as error:
        raise Refused("layout_wrong", why=str(error)) from error
    if mapping.table != "warnings":
        raise Refused("layout_wrong", why=f'layout:1: table = "{mapping.table}"')
    for outcome in mapping.feedback.results if mapping.feedback is not None else ():
        if outcome not in ways.final():
            raise Refused("layout_wrong", why=f"layout: [feedback.results] {outcome}")
    if mapping.name in shipped():
        raise Refused("layout_wrong", why=f'layout: name = "{mapping.name}"')
    conn.execute(
        "INSERT INTO wuzha.layouts (name, source, text, saved_by, saved_at) VALUES (%s, %s, %s, %s, %s)"
        " ON CONFLICT (name) DO UPDATE SET source = EXCLUDED.source, text = EXCLUDED.text,"
        " saved_by = EXCLUDED.saved_by, saved_at = EXCLUDED.saved_at",
        [mapping.name, source, text, actor.user_id or None, clock.now()],
    )
    audit.append(
        conn, actor=actor.login, user_id=actor.user_id or None, unit_id=actor.unit_id, action="feedback.layout",
        object=f"source:{source}", detail={"layout": mapping.name},
    )  # fmt: skip
    return mapping


def text_of(conn: psycopg.Connection[Any], name: str) -> tuple[str, str]:
    """Source and text of a saved layout. Refused("not_found")."""
    row = conn.execute("SELECT source, text FROM wuzha.layouts WHERE name = %s", [name]).fetchone()
    if row is None:
        raise Refused("not_found")
    return row[0], row[1]


def fresh_name(conn: psycopg.Connection[Any], source: str) -> str:
    """A name that no layout has yet: the source's, with a number from the second on."""
    taken = {r[0] for r in conn.execute("SELECT name FROM wuzha.layouts")} | set(shipped())
    name, n = source, 1
    while name in taken:
        n += 1
        name = f"{source}-{n}"
    return name


def written(name: str, sheet: Sheet, chosen: dict[str, str]) -> str:
    """A mapping file for a header that an officer has explained: ``chosen``: column → target, or ``answer.…``."""
    lines = [f"name = {_q(name)}", 'table = "warnings"', f"header = [{', '.join(_q(c) for c in list(chosen)[:8])}]"]
    by_target: dict[str, list[str]] = {}
    for column, target in chosen.items():
        by_target.setdefault(target, []).append(column)
    lines += ["", "[columns]"]
    for target, columns in by_target.items():
        if target in ingest.books.offered():
            lines.append(f"{target} = [{', '.join(_q(c) for c in columns)}]")
    for other, target in (("source_no", "event_id"), ("type_code", "scam_type")):
        if other in by_target:
            lines.append(f"{target} = [{', '.join(_q(c) for c in by_target[other])}]")
    parts = [p for p in ANSWERS if f"answer.{p}" in by_target]
    if parts:
        lines += ["", "[feedback]"]
        lines += [f"{p} = [{', '.join(_q(c) for c in by_target[f'answer.{p}'])}]" for p in parts]
    return "\n".join(lines) + "\n"


def extending(name: str, base: str, names: list[str]) -> str:
    """A layout that is a shipped one under a source's name, for the sheets that have these columns."""
    header = ", ".join(_q(n) for n in list(dict.fromkeys(n for n in names if n.strip()))[:12])
    return f"name = {_q(name)}\nextends = {_q(base)}\nheader = [{header}]\n"


def with_words(text: str, target: str, words: dict[str, str]) -> str:
    """``text`` with more words for ``target``; all else stays as it was written."""
    if target not in ingest.books.WORDED:
        raise ValueError(f"{target!r} has no words")
    new = [f"{_q(word)} = {_q(value)}" for word, value in words.items()]
    lines = text.rstrip("\n").split("\n")
    for i, line in enumerate(lines):
        if re.sub(r"\s+", "", line.split("#")[0]) == f"[values.{target}]":
            return "\n".join([*lines[: i + 1], *new, *lines[i + 1 :]]) + "\n"
    return "\n".join([*lines, "", f"[values.{target}]", *new]) + "\n"


def _q(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
