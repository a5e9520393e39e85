"""Search over the vault without opening it: ids only, and only of what the asker sees."""

from __future__ import annotations

from typing import Any

import psycopg

from .queries import q


def alerts(conn: psycopg.Connection[Any], text: str) -> list[int]:
    """Ids of at most 200 alerts in the transaction's scope whose person or line has, or begins with, ``text``: a number
    (from 3 characters), a name (from 2) or an identity number. Role wuzha_web."""
    return [int(row[0]) for row in conn.execute(q("search.alerts"), {"text": text})]
