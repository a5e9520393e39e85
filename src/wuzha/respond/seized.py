"""A seized list: names that were found with a ring become one wave, and a warning on each person.

Kept true here: no list without its case number, which stands with every row in the log as its basis, and an end; a row
that names nobody is told with sheet, row and reason; the list is taken whole or not at all.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from functools import lru_cache
from importlib.resources import files
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg.types.json import Jsonb

from wuzha import ingest
from wuzha.command.public import Actor, Refused, require
from wuzha.events import TABLES, batch, clock
from wuzha.ingest import mapping
from wuzha.store import log

from . import waves
from .outcome import SOURCE

#: How long the rows of a list are kept in the log.
KEPT = timedelta(days=180)
#: A list is read by people; more rows than this are a data set, which is imported.
ROWS = 50_000
_NAMED = ("victim_line", "victim_id", "victim_account")


@lru_cache(maxsize=1)
def _layout() -> mapping.Mapping:
    return mapping.parse((files(__package__) / "seized_list.toml").read_text("utf-8"), "seized_list.toml")


def take(
    conn: psycopg.Connection[Any],
    actor: Actor,
    *,
    name: str,
    data: bytes,
    case_no: str,
    title: str,
    key: str,
    now: datetime | None = None,
) -> int:
    """Make a wave of a list; its number. Its people join it as soon as the engine has read their rows.

    The same case number again adds the rows that are new. Refused: no_case, no_title, book_unreadable(why),
    nobody_named, list_too_long.
    """
    require(actor, "desk.act")
    now = now or clock.now()
    mark = f"list:{case_no.strip()}"
    try:
        book = ingest.books.read_book(name, data, source=SOURCE, mappings=[_layout()], now=now)
    except ingest.grids.Unreadable as error:
        raise Refused("book_unreadable", why=str(error), unreadable=error.code) from error
    rows = book.rows
    named = [pc.is_valid(rows[column]) for column in _NAMED]
    keep = pc.or_(pc.or_(named[0], named[1]), named[2])
    if not pc.any(keep).as_py():
        raise Refused("nobody_named")
    if rows.num_rows > ROWS:
        raise Refused("list_too_long", n=ROWS)
    rows, ids = _once(rows.filter(keep))
    wave_id = waves.make(conn, actor, mark=mark, title=title, key=key, case_no=case_no.strip(), now=now)
    rows = _as_warnings(rows, ids, mark, title.strip(), case_no.strip(), actor.unit_name, now)
    conn.execute(
        "UPDATE wuzha.waves SET rows_n = rows_n + %s, rejects = rejects || %s WHERE wave_id = %s",
        (rows.num_rows, Jsonb(book.rejects[:1000]), wave_id),
    )
    log.append(
        conn,
        [
            log.Batch(
                table="warnings", rows=rows, source=SOURCE, basis="case_query", basis_ref=case_no.strip(),
                basis_until=now + KEPT, received_at=now,
            )
        ],
    )  # fmt: skip
    return wave_id


def _once(rows: pa.Table) -> tuple[pa.Table, list[str]]:
    """Each person of the list once, with a name that depends on nothing but who they are."""
    people = zip(*(rows[column].to_pylist() for column in ("victim_name", *_NAMED)), strict=True)
    first: dict[str, int] = {}
    for i, person in enumerate(people):
        digest = hashlib.sha256("\x1f".join(value or "" for value in person).encode()).hexdigest()[:20]
        first.setdefault(digest, i)
    return rows.take(pa.array(list(first.values()))), list(first)


def _as_warnings(
    rows: pa.Table, ids: list[str], mark: str, title: str, case_no: str, unit: str, now: datetime
) -> pa.Table:
    """The rows as warnings of ours: their number is the list's, their time when it was given in."""
    n, table = rows.num_rows, TABLES["warnings"]

    def same(value: Any, column: str) -> pa.Array:
        return pa.array([value] * n, table.schema.field(column).type)

    given = {
        "event_id": pa.array([f"{mark}:{one}" for one in ids]),
        "ts": same(now, "ts"),
        "source_no": same(mark, "source_no"),
        "issued_by": same(unit or None, "issued_by"),
        "level_upstream": same("medium", "level_upstream"),
        "reasons": same([f"缴获名单：{title}（案件编号 {case_no}）"], "reasons"),
    }
    for column, values in given.items():
        at = rows.schema.get_field_index(column)
        rows = rows.set_column(at, column, values.cast(table.schema.field(column).type))
    return batch.conform(table, rows)
