"""Every statement is named, explained, and fits the schema."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wuzha.store import Connection
from wuzha.store.queries import parse, queries


@pytest.mark.parametrize("name", sorted(queries()))
def test_every_statement_fits_the_schema(name: str, superuser_once: Connection) -> None:
    text = queries()[name].text
    number = iter(range(1, 100))
    seen: dict[str, int] = {}

    def placeholder(match: re.Match[str]) -> str:
        return f"${seen.setdefault(match[1], 0) or seen.update({match[1]: next(number)}) or seen[match[1]]}"

    prepared = re.sub(r"%\((\w+)\)s", placeholder, text).replace("%%", "%")
    superuser_once.execute(f"PREPARE probe AS {prepared}".encode())
    superuser_once.execute("DEALLOCATE probe")


@pytest.fixture(scope="module")
def superuser_once(module_db):  # type: ignore[no-untyped-def]
    with module_db.connect("super") as conn:
        yield conn


def test_a_statement_is_one_sentence_one_name() -> None:
    good = parse("a", "-- name: a.b\n-- What it does.\nSELECT 1;\n")
    assert [(x.name, x.sentence, x.text) for x in good] == [("a.b", "What it does.", "SELECT 1")]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("SELECT 1;", 1),
        ("-- name: b.x\n-- S.\nSELECT 1;", 1),
        ("\n-- name: a.x\nSELECT 1;", 3),
        ("-- name: a.x\n-- S.\n", 1),
        ("-- name: a.x\n-- S.\nSELECT 1;\n-- name: a.x\n-- S.\nSELECT 2;", 4),
    ],
)
def test_a_malformed_file_is_refused_with_its_line(text: str, line: int) -> None:
    with pytest.raises(ValueError, match=rf"a\.sql:{line}:"):
        parse("a", text)


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse("a", text)
    except ValueError as error:
        assert str(error).startswith("a.sql:")
