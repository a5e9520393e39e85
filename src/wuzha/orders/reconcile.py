"""The platform's export read, and what stands there and not here, and the reverse.

Kept true here: an export read twice changes nothing; a receipt moves an order only forward and only the one of its
number; a row that fits no order of ours stays on the list until an officer has found whose it is.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row
from python_calamine import CalamineWorkbook

from wuzha.command.public import Actor, Refused, require
from wuzha.events import clock, money
from wuzha.ingest.books import encoding_of

from . import states
from .answering import Answer, accepted, answered, entered
from .platform import platform
from .states import SELECT, stated


@dataclass(frozen=True, kw_only=True)
class Read:
    """What reading an export did. ``rejects``: (row from 1, why) of rows that could not be read."""

    rows: int
    entered: int
    moved: int
    strange: int
    rejects: list[tuple[int, str]]


def rows_of(name: str, data: bytes) -> list[dict[str, str]]:
    """The export's rows by our field names. Refused("platform_file") where it has no such columns."""
    wanted = platform().export
    grid = _grid(name, data)
    for i, row in enumerate(grid[:20]):
        heads = [_text(cell) for cell in row]
        places = {f: next((heads.index(h) for h in names if h in heads), None) for f, names in wanted.items()}
        if places["external_no"] is None or places["account"] is None:
            continue
        found = []
        for line in grid[i + 1 :]:
            cells = [_text(cell) for cell in line]
            if any(cells):
                found.append({f: cells[c] for f, c in places.items() if c is not None and c < len(cells)})
        return found
    raise Refused("platform_file")


def _grid(name: str, data: bytes) -> list[list[Any]]:
    if Path(name).suffix.lower() == ".csv":
        return [list(row) for row in csv.reader(data.decode(encoding_of(data), "replace").splitlines())]
    try:
        return CalamineWorkbook.from_filelike(io.BytesIO(data)).get_sheet_by_index(0).to_python()
    except Exception as error:  # its errors have no common class
        raise Refused("platform_file") from error


def _text(cell: Any) -> str:
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, datetime):
        return cell.isoformat(sep=" ")
    return str(cell).strip().replace("\x00", "")


def take(conn: psycopg.Connection[Any], actor: Actor, name: str, data: bytes, *, now: datetime | None = None) -> Read:
    """Read an export: numbers, receipts and results go to their orders; the rest is kept as what is strange here.

    An order is found by its external number, else by our own number where the import sheet carried it.
    """
    require(actor, "orders.enter")
    now = now or clock.now()
    counts = {"entered": 0, "moved": 0, "strange": 0}
    rejects: list[tuple[int, str]] = []
    rows = rows_of(name, data)
    for i, row in enumerate(rows, 1):
        number = row.get("external_no", "")
        account = "".join(row.get("account", "").split())
        if not number or not account or len(number) > 100 or len(account) > 64:
            rejects.append((i, "no_number" if not number else "no_account"))
            continue
        try:
            with conn.transaction():
                _one(conn, actor, row, number, account, counts, now)
        except Refused as refused:
            rejects.append((i, refused.reason))
    return Read(rows=len(rows), rejects=rejects, **counts)


def _one(
    conn: psycopg.Connection[Any], actor: Actor, row: dict[str, str], number: str, account: str, counts: dict[str, int],
    now: datetime,
) -> None:  # fmt: skip
    order = _order(conn, number, row.get("order_id", ""), account, now)
    kind = platform().kinds.get(row.get("kind", ""), order["kind"] if order else "")
    conn.execute("INSERT INTO wuzha.subjects (kind, value) VALUES ('account', %s) ON CONFLICT DO NOTHING", (account,))
    conn.execute(
        "INSERT INTO wuzha.platform_rows (external_no, read_at, read_by, unit_id, account_id, kind, amount_fen, state,"
        " order_id) SELECT %s, %s, %s, %s, subject_id, %s, %s, %s, %s FROM wuzha.subjects WHERE kind = 'account'"
        " AND value = %s ON CONFLICT (external_no) DO UPDATE SET read_at = excluded.read_at,"
        " read_by = excluded.read_by, state = excluded.state,"
        " order_id = coalesce(wuzha.platform_rows.order_id, excluded.order_id)",
        (
            number, now, actor.user_id, actor.unit_id, kind or "unknown", _fen(row.get("amount_fen", "")),
            row.get("state", "")[:60] or None, order["order_id"] if order else None, account,
        ),
    )  # fmt: skip
    if order is None:
        counts["strange"] += 1
        return
    if order["state"] == "sealed":
        entered(conn, actor, order["order_id"], external_no=number, key=f"platform:{number}:entered", now=now)
        counts["entered"] += 1
        order = states.one(conn, actor, order["order_id"], now=now)
    told = platform().states.get(row.get("state", ""))
    if told is not None and order["state"] == "entered" and row.get("receipt"):
        accepted(conn, actor, order["order_id"], receipt=row["receipt"], key=f"platform:{number}:accepted", now=now)
        counts["moved"] += 1
        order = states.one(conn, actor, order["order_id"], now=now)
    if told == "queued" and order["kind"] == "freeze" and order["state"] in ("entered", "accepted"):
        behind = row.get("why", "").strip() or "平台回执所称在先冻结"
        answered(
            conn, actor, order["order_id"], Answer(queued=True, behind=behind), key=f"platform:{number}:queued", now=now
        )
        counts["moved"] += 1
    if told in ("done", "failed") and order["state"] in ("entered", "accepted"):
        # A result without its amount, or a query's without its rows, is the officer's to enter.
        done = _fen(row.get("done_fen", ""))
        if told == "done" and (order["kind"] == "query" or (order["kind"] in ("stop", "freeze") and done is None)):
            return
        at = clock.time_of(row.get("at", "")) if told == "done" else None
        answered(
            conn, actor, order["order_id"],
            Answer(executed_at=at, done_fen=done if told == "done" else None,
                   failed_code="other" if told == "failed" else "", failed_words=row.get("why", "")),
            key=f"platform:{number}:{told}", now=now,
        )  # fmt: skip
        counts["moved"] += 1


def _fen(text: str) -> int | None:
    try:
        return money.parse_yuan(text) if text else None
    except ValueError as error:
        raise Refused("report_amount") from error


def _order(conn: psycopg.Connection[Any], number: str, own: str, account: str, now: datetime) -> dict[str, Any] | None:
    """The order that a row means; its account must be the row's, or the row is somebody else's."""
    cursor = conn.cursor(row_factory=dict_row)
    row = cursor.execute(SELECT + " WHERE o.external_no = %s AND o.channel = 'platform'", (number,)).fetchone()
    if row is None and own.isascii() and own.isdigit() and len(own) < 18:
        row = cursor.execute(
            SELECT + " WHERE o.order_id = %s AND o.channel = 'platform' AND o.sealed_at IS NOT NULL", (int(own),)
        ).fetchone()
    if row is None or row["account"] != account:
        return None
    return stated([row], now)[0]


def differences(conn: psycopg.Connection[Any], actor: Actor, *, now: datetime) -> dict[str, list[dict[str, Any]]]:
    """``there``: rows of the platform that are no order of ours; ``here``: orders that say they were entered and that
    no export since then has shown; ``late``: sealed for the platform and not entered for an hour."""
    require(actor, "cases.read")
    cursor = conn.cursor(row_factory=dict_row)
    there = cursor.execute(
        "SELECT r.*, s.value AS account, u.name AS reader FROM wuzha.platform_rows r"
        " JOIN wuzha.subjects s ON s.subject_id = r.account_id LEFT JOIN wuzha.users u ON u.user_id = r.read_by"
        " WHERE r.order_id IS NULL ORDER BY r.read_at DESC, r.external_no LIMIT 200"
    ).fetchall()
    last = conn.execute("SELECT max(read_at) FROM wuzha.platform_rows").fetchone()
    here: list[dict[str, Any]] = []
    if last is not None and last[0] is not None:
        here = cursor.execute(
            SELECT + " WHERE o.channel = 'platform' AND o.entered_at <= %s AND NOT EXISTS (SELECT 1"
            " FROM wuzha.platform_rows r WHERE r.external_no = o.external_no) ORDER BY o.entered_at LIMIT 200",
            (last[0],),
        ).fetchall()
    late = cursor.execute(
        SELECT + " WHERE o.channel = 'platform' AND o.sealed_at < %s AND o.entered_at IS NULL"
        " AND o.dropped_at IS NULL ORDER BY o.sealed_at LIMIT 200",
        (now - timedelta(hours=1),),
    ).fetchall()
    return {"there": there, "here": stated(here, now), "late": stated(late, now)}


def to_enter(conn: psycopg.Connection[Any], actor: Actor, *, now: datetime) -> list[dict[str, Any]]:
    """Sealed for the platform and not entered: what an import sheet holds."""
    require(actor, "orders.enter")
    cursor = conn.cursor(row_factory=dict_row)
    sql = (
        SELECT
        + " WHERE o.channel = 'platform' AND o.sealed_at IS NOT NULL AND o.entered_at IS NULL ORDER BY o.order_id"
    )
    return stated(cursor.execute(sql).fetchall(), now)
