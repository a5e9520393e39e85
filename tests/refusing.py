"""PostgreSQL's own errors at will: a table that refuses each write with a condition, and counts the tries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from wuzha.store import Connection, Database

_REFUSE = """
CREATE SEQUENCE public.refused;
CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
  PERFORM nextval('public.refused');
  RAISE EXCEPTION 'refused' USING ERRCODE = '{condition}';
END $$;
CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON {table} EXECUTE FUNCTION public.refuse()
"""


@contextmanager
def refusing(db: Database, table: str, condition: str) -> Iterator[Connection]:
    """Until the end of the block; `tries` on the connection that it yields."""
    with db.connect("super") as conn:
        conn.execute(_REFUSE.format(table=table, condition=condition).encode())
        try:
            yield conn
        finally:
            conn.execute("DROP FUNCTION public.refuse CASCADE; DROP SEQUENCE public.refused")


def tries(conn: Connection) -> int:
    """How often a write was refused."""
    row = conn.execute("SELECT last_value FROM public.refused WHERE is_called").fetchone()
    return int(row[0]) if row else 0
