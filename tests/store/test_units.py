"""The tree of units: the closure is always that of the parents, and no unit stands below itself."""

from __future__ import annotations

import itertools
import threading

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.store.house import value

from wuzha.store import Connection, Database

_numbers = itertools.count()


def add(conn: Connection, parent: int | None) -> int:
    return value(
        conn, "INSERT INTO units (code, name, kind, parent_id) VALUES (%s, 'x', 'county', %s) RETURNING unit_id",
        f"u{next(_numbers)}", parent,
    )  # fmt: skip


def move(conn: Connection, unit: int, parent: int | None) -> None:
    conn.execute("UPDATE units SET parent_id = %s WHERE unit_id = %s", (parent, unit))


def closure(conn: Connection, units: list[int]) -> set[tuple[int, int, int]]:
    return {
        (r[0], r[1], r[2])
        for r in conn.execute(
            "SELECT ancestor, descendant, depth FROM unit_closure WHERE descendant = ANY(%s)", (units,)
        )
    }


def plain(parents: dict[int, int | None]) -> set[tuple[int, int, int]]:
    found = set()
    for unit in parents:
        at: int | None = unit
        depth = 0
        while at is not None:
            found.add((at, unit, depth))
            at, depth = parents[at], depth + 1
    return found


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=st.lists(st.tuples(st.integers(0, 6), st.none() | st.integers(0, 6)), max_size=12))
def test_the_closure_is_that_of_the_parents_after_any_moves(
    moves: list[tuple[int, int | None]], module_db: Database
) -> None:
    with module_db.connect("web") as conn:
        units = [add(conn, None)]
        for _ in range(6):
            units.append(add(conn, units[len(units) // 2]))
        parents: dict[int, int | None] = dict(
            conn.execute("SELECT unit_id, parent_id FROM units WHERE unit_id = ANY(%s)", (units,)).fetchall()
        )
        for who, where in moves:
            unit, parent = units[who], None if where is None else units[where]
            below = {d for a, d, _ in plain(parents) if a == unit}
            if parent in below:
                with pytest.raises(psycopg.errors.CheckViolation):
                    move(conn, unit, parent)
            else:
                move(conn, unit, parent)
                parents[unit] = parent
            assert closure(conn, units) == plain(parents)


def test_two_moves_at_once_make_no_circle(db: Database) -> None:
    with db.connect("web") as one, db.connect("web") as two:
        a, b = add(one, None), add(one, None)
        refused: list[Exception] = []

        def other() -> None:
            try:
                move(two, b, a)
            except psycopg.Error as error:
                refused.append(error)

        thread = threading.Thread(target=other)
        with one.transaction():
            move(one, a, b)
            thread.start()
            thread.join(0.3)
            assert thread.is_alive(), "the second move waits for the first"
        thread.join(60)
        assert len(refused) == 1 and isinstance(refused[0], psycopg.errors.CheckViolation)
        assert closure(one, [a, b]) == {(a, a, 0), (b, b, 0), (b, a, 1)}


def test_a_unit_that_holds_something_is_not_deleted(web: Connection, owner: Connection) -> None:
    unit = add(web, None)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        web.execute("DELETE FROM units WHERE unit_id = %s", (unit,))
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        owner.execute("DELETE FROM units WHERE unit_id = %s", (unit,))
