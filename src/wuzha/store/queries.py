"""All SQL of the store, named, in ``sql/*.sql``: ``-- name: area.verb``, one sentence, the statement.

Kept true here: a name stands once, carries its sentence, and its file is its area; a file that breaks this is refused
with its line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources

from psycopg.sql import SQL

_NAME = re.compile(r"-- name: ([a-z_]+)\.([a-z_]+)\Z")


@dataclass(frozen=True, kw_only=True)
class Query:
    """One statement with psycopg's named placeholders."""

    name: str
    sentence: str
    text: str


@cache
def queries() -> dict[str, Query]:
    """Every query by name. ValueError with file and line where a file is malformed."""
    found: dict[str, Query] = {}
    for file in sorted((f for f in resources.files(__package__).joinpath("sql").iterdir()), key=lambda f: f.name):
        if file.name.endswith(".sql"):
            for query in parse(file.name.removesuffix(".sql"), file.read_text("utf-8")):
                found[query.name] = query
    return found


def parse(area: str, text: str) -> list[Query]:
    """The queries of one file's text."""
    found: list[Query] = []
    name, sentence, body, begun = "", "", list[str](), 0

    def close() -> None:
        if not name:
            return
        statement = "\n".join(body).strip().removesuffix(";")
        if not sentence.endswith("."):
            raise ValueError(f"{area}.sql:{begun + 1}: {name} wants one sentence after its name")
        if not statement:
            raise ValueError(f"{area}.sql:{begun}: {name} has no statement")
        if any(q.name == name for q in found):
            raise ValueError(f"{area}.sql:{begun}: {name} stands twice")
        found.append(Query(name=name, sentence=sentence, text=statement))

    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith("-- name:"):
            close()
            match = _NAME.match(line.rstrip())
            if match is None or match[1] != area:
                raise ValueError(f"{area}.sql:{number}: want '-- name: {area}.verb', got {line!r}")
            name, sentence, body, begun = f"{match[1]}.{match[2]}", "", [], number
        elif name and not body and line.startswith("-- "):
            sentence = f"{sentence} {line[3:].strip()}".strip()
        elif name:
            body.append(line)
        elif line.strip():
            raise ValueError(f"{area}.sql:{number}: a statement before the first name")
    close()
    return found


@cache
def q(name: str) -> SQL:
    """The statement called ``name``; KeyError where there is none."""
    return SQL(queries()[name].text)  # psycopg wants a literal; ours stands in a file
