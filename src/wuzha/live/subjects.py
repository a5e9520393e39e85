"""Surrogate numbers of subjects, and the registers that say who they are.

Kept true here: identifiers stand only in ``subjects`` and names and identity numbers only in ``persons``; all else
speaks of a subject by its number. A number remembered here was committed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import psycopg
import pyarrow as pa

from wuzha.events.subjects import split_key

from .lease import Connect

Key = tuple[str, str]
#: Numbers remembered; beyond it the memory starts anew, since the table is the truth.
_REMEMBERED = 2_000_000


class Numbers:
    """``subject_id`` by (kind, value). What a transaction adds is remembered once `committed` is called."""

    def __init__(self) -> None:
        self._known: dict[Key, int] = {}
        self._fresh: dict[Key, int] = {}
        self._connect: Connect | None = None
        self._own: psycopg.Connection[Any] | None = None

    def apart(self, connect: Connect) -> None:
        """Add subjects by a connection of its own from now on, each statement a transaction: where several workers meet
        the same new subjects, none waits for another's results."""
        self._connect = connect

    def _adding(self, conn: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
        if self._connect is None:
            return conn
        if self._own is None or self._own.closed:
            self._own = self._connect()
        return self._own

    def of(self, conn: psycopg.Connection[Any], keys: Iterable[Key]) -> dict[Key, int]:
        """The numbers of all ``keys``; unknown subjects are added."""
        wanted = set(keys)
        found = {k: n for k in wanted if (n := self._known.get(k) or self._fresh.get(k)) is not None}
        missing = sorted(wanted - found.keys())
        if missing:
            kinds, values = [k for k, _ in missing], [v for _, v in missing]
            # Sorted, so that two transactions that add the same subjects wait for each other in one order.
            self._adding(conn).execute(
                "INSERT INTO wuzha.subjects (kind, value) SELECT * FROM unnest(%s::text[], %s::text[])"
                " ON CONFLICT DO NOTHING",
                [kinds, values],
            )
            for kind, value, number in conn.execute(
                "SELECT s.kind, s.value, s.subject_id FROM wuzha.subjects s"
                " JOIN unnest(%s::text[], %s::text[]) AS w(kind, value) USING (kind, value)",
                [kinds, values],
            ):
                found[kind, value] = self._fresh[kind, value] = number
        return found

    def committed(self) -> None:
        """The transaction stands: its numbers may be remembered."""
        if len(self._known) > _REMEMBERED:
            self._known.clear()
        self._known.update(self._fresh)
        self._fresh.clear()

    def undone(self) -> None:
        """The transaction was rolled back: what it added is not there."""
        self._fresh.clear()


def write_persons(conn: psycopg.Connection[Any], numbers: Numbers, rows: pa.Table) -> None:
    """Rows of table ``persons`` into the vault; a later row fills and corrects, a null takes nothing away."""
    latest: dict[str, dict[str, Any]] = {}
    for row in rows.select(["person", "name", "id", "born", "gender", "place", "occupation"]).to_pylist():
        known = latest.setdefault(row["person"], {})
        known.update({k: v for k, v in row.items() if v is not None})
    ids = numbers.of(conn, (("person", p) for p in latest))
    _fill(conn, [(ids["person", p], *(r.get(c) for c in _VAULT)) for p, r in latest.items()], correct=True)


_VAULT = ("name", "id", "born", "gender", "place", "occupation")


def name_person(
    conn: psycopg.Connection[Any], person_id: int, name: str | None, id_no: str | None, place: str | None
) -> None:
    """What a warning says of its person, where no register has said it before."""
    if name or id_no or place:
        _fill(conn, [(person_id, name, id_no, None, None, place, None)], correct=False)


def _fill(conn: psycopg.Connection[Any], rows: list[tuple[Any, ...]], *, correct: bool) -> None:
    if not rows:
        return
    first, second = ("EXCLUDED", "p") if correct else ("p", "EXCLUDED")
    columns = ("name", "id_no", "born", "gender", "place", "occupation")
    sets = ", ".join(f"{c} = coalesce({first}.{c}, {second}.{c})" for c in columns)
    lists = list(map(list, zip(*rows, strict=True)))
    conn.execute(
        "INSERT INTO wuzha.persons AS p (person_id, name, id_no, born, gender, place, occupation) SELECT * FROM"
        " unnest(%s::bigint[], %s::text[], %s::text[], %s::date[], %s::text[], %s::text[], %s::text[])"
        f" ON CONFLICT (person_id) DO UPDATE SET {sets}",
        lists,
    )


def write_relations(conn: psycopg.Connection[Any], numbers: Numbers, rows: pa.Table) -> list[str]:
    """Rows of table ``relations``; returns the keys that are no subject keys, whose rows are left out."""
    wrong: list[str] = []
    good: list[tuple[Key, Key, dict[str, Any]]] = []
    for row in rows.to_pylist():
        try:
            good.append((split_key(row["subject"]), split_key(row["other"]), row))
        except ValueError as error:
            wrong.append(str(error))
    if not good:
        return wrong
    ids = numbers.of(conn, {k for subject, other, _ in good for k in (subject, other)})
    columns = ("role", "valid_from", "valid_to", "source", "event_id", "confidence")
    conn.execute(
        "INSERT INTO wuzha.relations (subject_id, other_id, role, valid_from, valid_to, source, event_id, confidence)"
        " SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::timestamptz[], %s::timestamptz[],"
        " %s::text[], %s::text[], %s::float8[]) ON CONFLICT (source, event_id) DO NOTHING",
        [[ids[s] for s, _, _ in good], [ids[o] for _, o, _ in good], *([r[c] for _, _, r in good] for c in columns)],
    )
    return wrong


class Units:
    """Which unit answers for a place: the longest prefix of its code, else the root. Read anew on `refresh`."""

    def __init__(self) -> None:
        self._by_place: dict[str, int] = {}
        self._root: int | None = None

    def refresh(self, conn: psycopg.Connection[Any]) -> None:
        """Read the tree. Member units (banks, carriers, platforms) answer for no place."""
        self._by_place.clear()
        self._root = None
        for number, place, parent in conn.execute(
            "SELECT unit_id, place, parent_id FROM wuzha.units WHERE active"
            " AND kind NOT IN ('bank', 'carrier', 'platform') ORDER BY unit_id"
        ):
            if parent is None and self._root is None:
                self._root = number
            if place:
                self._by_place.setdefault(place, number)

    def answering(self, conn: psycopg.Connection[Any], place: str | None) -> int:
        """The unit for ``place`` (GB/T 2260). LookupError where the deployment has no unit at all."""
        if self._root is None:
            self.refresh(conn)
        if self._root is None:
            raise LookupError("no unit stands yet: start the server, which makes the first one, or add it")
        for end in range(len(place or ""), 1, -1):
            if (number := self._by_place.get((place or "")[:end])) is not None:
                return number
        return self._root


def first_unit(conn: psycopg.Connection[Any], name: str) -> None:
    """Make the root of the tree where there is no unit yet. Role wuzha_web."""
    conn.execute(
        "INSERT INTO wuzha.units (code, name, kind) SELECT 'root', %s, 'county'"
        " WHERE NOT EXISTS (SELECT 1 FROM wuzha.units) ON CONFLICT (code) DO NOTHING",
        [name],
    )
