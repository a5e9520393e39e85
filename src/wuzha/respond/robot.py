"""Lists for automatic calls: who is to be called, out to the platform as a file, each row with a reference.

Kept true here: a person stands on one open list at a time; full numbers leave in a file only, which an officer with the
right to reveal takes for a purpose, and each taking is in the audit; no text of ours carries a link.
"""

from __future__ import annotations

import csv
import io
import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Literal

import psycopg
from psycopg.rows import dict_row

from wuzha.command.public import Actor, Refused, require
from wuzha.events import clock, subjects
from wuzha.store import audit

from .codes import codes
from .robot_words import words

#: Rows of one list at most.
MOST = 5000
HEADINGS = ("编号", "对象", "号码", "话术编号", "话术")
_LETTERS = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"


def list_one(conn: psycopg.Connection[Any], alert_id: int, now: datetime) -> None:
    """An officer wants this file's person to be called by itself too; once."""
    conn.execute(
        "INSERT INTO wuzha.robot_calls (alert_id, listed_at, state_at) VALUES (%s, %s, %s)"
        " ON CONFLICT (alert_id) WHERE state = 'listed' DO NOTHING",
        (alert_id, now, now),
    )


def waiting(conn: psycopg.Connection[Any], actor: Actor, *, now: datetime | None = None) -> int:
    """How many stand to be called and on no open list."""
    require(actor, "desk.read")
    row = conn.execute(f"SELECT count(*) {_FROM}", _values(now or clock.now())).fetchone()
    return int(row[0]) if row else 0


_FROM = """
    FROM wuzha.robot_calls c JOIN wuzha.alerts a ON a.alert_id = c.alert_id
    JOIN wuzha.subjects l ON l.subject_id = a.line_id AND l.kind = 'line' AND l.value NOT LIKE 'alpha:%%'
    WHERE c.state = 'listed' AND a.state <> 'closed'
      AND NOT EXISTS (SELECT 1 FROM wuzha.robot_rows r JOIN wuzha.robot_lists t USING (list_id)
                       WHERE r.robot_id = c.call_id AND (r.result IS NOT NULL OR t.made_at > %(fresh)s))"""


def _values(now: datetime) -> dict[str, Any]:
    return {"fresh": now - clock.stretch(words().again_s), "most": MOST}


def make(conn: psycopg.Connection[Any], actor: Actor, *, purpose: str, key: str, now: datetime | None = None) -> int:
    """A list of all who wait (`MOST` at a time), in the order of their danger; returns its number.

    Refused: forbidden, no_purpose, robot_none (nobody waits).
    """
    require(actor, "desk.act")
    require(actor, "reveal")
    now = now or clock.now()
    if purpose not in codes()["purpose"]:
        raise Refused("no_purpose")
    if not 8 <= len(key) <= 80:
        raise Refused("no_key")
    full = f"{actor.user_id}:{key}"
    conn.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (full,))
    done = conn.execute("SELECT list_id FROM wuzha.robot_lists WHERE key = %s", (full,)).fetchone()
    if done is not None:
        return int(done[0])
    rows = conn.execute(
        f"SELECT c.call_id, c.alert_id, a.line_id, a.scam_type {_FROM}"
        " ORDER BY a.level_rank DESC, c.listed_at, c.call_id LIMIT %(most)s FOR UPDATE OF c SKIP LOCKED",
        _values(now),
    ).fetchall()
    if not rows:
        raise Refused("robot_none")
    made = conn.execute(
        "INSERT INTO wuzha.robot_lists (unit_id, made_at, made_by, purpose, n, key) VALUES (%s, %s, %s, %s, %s, %s)"
        " RETURNING list_id",
        (actor.unit_id, now, actor.user_id, purpose, len(rows), full),
    ).fetchone()
    assert made is not None
    conn.cursor().executemany(
        "INSERT INTO wuzha.robot_rows (list_id, unit_id, ref, alert_id, line_id, robot_id, template)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s)",
        [
            (made[0], actor.unit_id, reference(), alert, line, call, words().template(scam_type))
            for call, alert, line, scam_type in rows
        ],
    )
    _audit(conn, actor, int(made[0]), "made", now, {"purpose": purpose, "n": len(rows)})
    return int(made[0])


def reference() -> str:
    """A row's reference: says nothing of whom it means, cannot be guessed, and is read out without mistakes."""
    return "R" + "".join(secrets.choice(_LETTERS) for _ in range(11))


def lists(conn: psycopg.Connection[Any], actor: Actor) -> list[dict[str, Any]]:
    """The lists in sight, the newest first, with how many results came."""
    require(actor, "desk.read")
    return (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT t.*, u.name AS officer, (SELECT count(*) FROM wuzha.robot_rows r WHERE r.list_id = t.list_id"
            " AND r.result IS NOT NULL) AS results FROM wuzha.robot_lists t JOIN wuzha.users u ON u.user_id = t.made_by"
            " ORDER BY t.list_id DESC LIMIT 30"
        )
        .fetchall()
    )


def answers(conn: psycopg.Connection[Any], actor: Actor) -> list[tuple[str, int]]:
    """How often each result stands on the lists of the last month of lists in sight."""
    require(actor, "desk.read")
    rows = conn.execute(
        "SELECT result, count(*) FROM wuzha.robot_rows WHERE result IS NOT NULL AND list_id IN"
        " (SELECT list_id FROM wuzha.robot_lists ORDER BY list_id DESC LIMIT 30) GROUP BY result ORDER BY 2 DESC, 1"
    ).fetchall()
    return [(r[0], r[1]) for r in rows]


def file(
    conn: psycopg.Connection[Any],
    actor: Actor,
    list_id: int,
    kind: Literal["csv", "xlsx"],
    *,
    language: str = "zh",
    now: datetime | None = None,
) -> bytes:
    """The list as a file for the platform: reference, masked name, number, code of the text, the text. In the audit."""
    require(actor, "desk.act")
    require(actor, "reveal")
    now = now or clock.now()
    found = conn.execute("SELECT purpose FROM wuzha.robot_lists WHERE list_id = %s", (list_id,)).fetchone()
    if found is None:
        raise Refused("not_found")
    rows = conn.execute(
        "SELECT r.ref, v.name, l.value, r.template FROM wuzha.robot_rows r"
        " JOIN wuzha.alerts a ON a.alert_id = r.alert_id JOIN wuzha.subjects l ON l.subject_id = r.line_id"
        " LEFT JOIN wuzha.persons v ON v.person_id = a.person_id"
        " WHERE r.list_id = %s AND r.result IS NULL AND a.state <> 'closed' ORDER BY r.row_id",
        (list_id,),
    ).fetchall()
    _audit(conn, actor, list_id, "taken", now, {"purpose": found[0], "n": len(rows), "kind": kind})
    texts = words().templates
    lines: list[tuple[str, ...]] = [
        (ref, subjects.mask_name(name) if name else "", dialled(line), template, texts[template][language])
        for ref, name, line, template in rows
    ]
    return as_xlsx(HEADINGS, lines) if kind == "xlsx" else _csv(lines)


def dialled(line: str) -> str:
    """A bare line value as a platform dials it, digits only."""
    if line.startswith("cn-short:"):
        return line.partition(":")[2]
    if not line.startswith("+86"):
        return "00" + line.removeprefix("+")
    rest = line.removeprefix("+86")
    return rest if rest.startswith("1") and len(rest) == 11 else "0" + rest


def _csv(lines: list[tuple[str, ...]]) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(HEADINGS)
    writer.writerows(lines)
    return out.getvalue().encode("utf-8-sig")  # spreadsheets read it as UTF-8 only with the mark


def as_xlsx(headings: Sequence[str], lines: Iterable[Sequence[str]]) -> bytes:
    """A workbook for a platform: headings and text cells, the last column wide."""
    import xlsxwriter

    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True, "strings_to_numbers": False, "strings_to_urls": False}) as book:
        sheet = book.add_worksheet("名单")
        sheet.set_column(0, len(headings) - 2, 16)
        sheet.set_column(len(headings) - 1, len(headings) - 1, 80)
        for i, row in enumerate([headings, *lines]):
            for j, cell in enumerate(row):
                sheet.write_string(i, j, cell)
    return out.getvalue()


def _audit(
    conn: psycopg.Connection[Any], actor: Actor, list_id: int, what: str, now: datetime, detail: dict[str, Any]
) -> None:
    audit.append(
        conn, at=now, actor=actor.login, user_id=actor.user_id or None, unit_id=actor.unit_id,
        action=f"robot.{what}", object=f"robot_list:{list_id}", detail=detail,
    )  # fmt: skip
