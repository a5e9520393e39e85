"""A file and those that it has taken in, when their persons turned out to be one.

Kept true here: what is done goes to the file that carries the work now; what was done before, on whichever of them,
belongs to it. Only files in sight count: the database shows a file that was taken in to whoever sees the one it is in.
"""

from __future__ import annotations

from typing import Any

import psycopg


def living(conn: psycopg.Connection[Any], alert_id: int) -> int:
    """The file in sight that carries this one's work now: itself, or the one that has taken it in, however often."""
    row = conn.execute(
        "WITH RECURSIVE way AS (SELECT a.alert_id, a.merged_into FROM wuzha.alerts a WHERE a.alert_id = %s"
        " UNION ALL SELECT a.alert_id, a.merged_into FROM way JOIN wuzha.alerts a ON a.alert_id = way.merged_into)"
        " CYCLE alert_id SET again USING path"
        " SELECT alert_id FROM way WHERE NOT again ORDER BY cardinality(path) DESC LIMIT 1",
        (alert_id,),
    ).fetchone()
    return alert_id if row is None else int(row[0])


def family(conn: psycopg.Connection[Any], alert_id: int) -> list[int]:
    """The file with those in sight that it has taken in, however often."""
    rows = conn.execute(
        "WITH RECURSIVE one AS (SELECT %s::bigint AS alert_id UNION SELECT m.alert_id FROM wuzha.alerts m"
        " JOIN one ON m.merged_into = one.alert_id) SELECT alert_id FROM one",
        (alert_id,),
    ).fetchall()
    return [row[0] for row in rows]
