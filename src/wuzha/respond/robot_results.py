"""Results of automatic calls: a file of the platform in, each row by its reference.

Kept true here: files may come twice, overlap and come in any order, and the desk stands the same; a row that cannot be
taken is told with its row, column and reason; who asks for an officer waits in `callbacks`; who could not be reached
is tried again, and then goes back to the officers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import dict_row

from wuzha.command.public import Actor, Refused, machine, require
from wuzha.events import clock
from wuzha.ingest.grids import Grid, Unreadable, text_grid, workbook_grids
from wuzha.ingest.sources import Item
from wuzha.ingest.times import parse_time
from wuzha.store import audit

from . import callbacks, robot
from .codes import codes
from .robot_words import COLUMNS, plain, words
from .step import lock, record

#: Rows that one file may hold, and bytes.
MOST, BYTES = 20_000, 16 * 1024 * 1024
#: Rejects that are kept with the file; all are counted.
LISTED = 500
#: A platform's clock may be ahead of ours by so much.
_AHEAD = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """One row that was not taken; ``row`` as the file's own program counts."""

    row: int
    column: str
    value: str
    reason: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Result:
    """One row of the file."""

    row: int
    ref: str
    word: str
    at: str
    recording: str


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What became of a file. rows = taken + repeated + rejected."""

    rows: int
    taken: int
    repeated: int
    rejects: list[Refusal]


def take(
    conn: psycopg.Connection[Any], actor: Actor, name: str, content: bytes, *, now: datetime | None = None
) -> Taken:
    """Take a file of results. Refused: robot_file (why)."""
    require(actor, "desk.act")
    now = now or clock.now()
    if len(content) > BYTES:
        raise Refused("robot_file", why=f"超过 {BYTES >> 20} MiB / more than {BYTES >> 20} MiB")
    try:
        results, rejects = _read(name, content)
    except Unreadable as error:
        raise Refused("robot_file", why=str(error)) from error
    rows = len(results) + len(rejects)
    known = {
        r["ref"]: r
        for r in conn.cursor(row_factory=dict_row).execute(
            "SELECT r.row_id, r.ref, r.alert_id, r.line_id, r.robot_id, r.unit_id, t.made_at FROM wuzha.robot_rows r"
            " JOIN wuzha.robot_lists t USING (list_id) WHERE r.ref = ANY(%s)",
            ([r.ref for r in results],),
        )
    }
    taken = repeated = 0
    touched: set[int] = set()
    # In one order whatever the file's, so that two files at once cannot wait for each other.
    for result in sorted(results, key=lambda r: (r.ref, r.at, r.word, r.row)):
        judged = _judge(result, known.get(result.ref), now)
        if isinstance(judged, Refusal):
            rejects.append(judged)
            continue
        code, at = judged
        if _one(conn, actor, known[result.ref], result, code, at, now):
            taken += 1
            touched.add(known[result.ref]["alert_id"])
        else:
            repeated += 1
    for alert_id in sorted(touched):
        _consequence(conn, alert_id, now)
    rejects.sort(key=lambda r: (r.row, r.column))
    _kept(conn, actor, name, content, now, Taken(rows=rows, taken=taken, repeated=repeated, rejects=rejects))
    return Taken(rows=rows, taken=taken, repeated=repeated, rejects=rejects)


# ---------------------------------------------------------------- the file


def _read(name: str, content: bytes) -> tuple[list[Result], list[Refusal]]:
    item = Item(name=name, data=content, changed=None)
    book = content[:4] == b"PK\x03\x04" or content[:8] == b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
    grids = workbook_grids(item) if book else [text_grid(item)]
    for grid in grids:
        for i, head in enumerate(grid.head):
            if (columns := _columns(head)) is not None:
                return _rows(grid, i, len(head), columns)
    raise Unreadable("no_header", "找不到表头：需要有“编号”和“结果”两列 / no heading for reference and result")


def _columns(head: list[str]) -> dict[str, int] | None:
    """Where each column stands; None where this row is no heading."""
    names = [plain(cell or "") for cell in head]
    found = {c: next((names.index(n) for n in words().columns[c] if n in names), -1) for c in COLUMNS}
    return found if found["ref"] >= 0 and found["result"] >= 0 else None


def _rows(grid: Grid, header: int, width: int, columns: dict[str, int]) -> tuple[list[Result], list[Refusal]]:
    cells = grid.below(header, width)
    rejects = [
        Refusal(row=x.row, column=x.column, value=x.value[:200], reason=x.reason, message=x.message)
        for x in cells.refused
    ]
    if cells.frame.height > MOST:
        raise Unreadable("too_many_rows", f"行数超过 {MOST} / more than {MOST} rows")
    return list(_cells(cells.frame.rows(), cells.row.to_list(), columns)), rejects


def _cells(rows: list[tuple[Any, ...]], numbers: list[int], columns: dict[str, int]) -> Iterator[Result]:
    for number, row in zip(numbers, rows, strict=True):
        if not any(cell and str(cell).strip() for cell in row):
            continue
        ref, word, at, recording = (
            (str(row[columns[c]]).strip() if columns[c] >= 0 and row[columns[c]] is not None else "") for c in COLUMNS
        )
        yield Result(row=number, ref=ref.upper(), word=word, at=at, recording=recording)


def _judge(result: Result, row: dict[str, Any] | None, now: datetime) -> Refusal | tuple[str, datetime]:
    def refuse(column: str, value: str, reason: str, message: str) -> Refusal:
        return Refusal(row=result.row, column=column, value=value[:200], reason=reason, message=message)

    if not result.ref:
        return refuse("编号", "", "no_reference", "没有编号")
    if row is None:
        return refuse("编号", result.ref, "unknown_reference", "没有这个编号，或不在本单位的名单里")
    if not result.word:
        return refuse("结果", "", "no_result", "没有结果")
    code = words().result(result.word)
    if code is None:
        return refuse("结果", result.word, "unknown_result", "不认识这个结果；请在 robot.toml 的 [results] 里写明")
    if not result.at:
        return code, row["made_at"]  # a platform without times: one result of each kind a row
    try:
        at = parse_time(result.at)[0]
    except ValueError:
        return refuse("外呼时间", result.at, "bad_time", "不是时间")
    if at > now + _AHEAD:
        return refuse("外呼时间", result.at, "in_the_future", "时间晚于当前时间一天以上")
    return code, at


# ---------------------------------------------------------------- one result


def _one(
    conn: psycopg.Connection[Any],
    actor: Actor,
    row: dict[str, Any],
    result: Result,
    code: str,
    at: datetime,
    now: datetime,
) -> bool:
    """Take one result; False where it was there."""
    fresh = conn.execute(
        "INSERT INTO wuzha.robot_results (row_id, called_at, code, platform, recording) VALUES (%s, %s, %s, %s, %s)"
        " ON CONFLICT DO NOTHING RETURNING row_id",
        (row["row_id"], at, code, result.word[:100], result.recording[:300] or None),
    ).fetchone()
    if fresh is None:
        conn.execute(
            "UPDATE wuzha.robot_results SET recording = %s WHERE row_id = %s AND called_at = %s AND code = %s"
            " AND recording IS NULL AND %s <> ''",
            (result.recording[:300] or None, row["row_id"], at, code, result.recording),
        )
        return False
    alert = lock(conn, row["alert_id"])
    changes: dict[str, Any] = {}
    if alert["state"] != "closed":
        if alert["contacted_at"] is None or at < alert["contacted_at"]:
            changes["contacted_at"] = at
        if codes()["result"][code].silent:
            changes["tries"] = alert["tries"] + 1
    done = record(
        conn, machine(actor.unit_id, "robot"), alert, "robot", key=f"robot-{row['row_id']}-{at.isoformat()}-{code}",
        changes=changes, at=at, code=code, to_id=row["line_id"], quiet=True,
    )  # fmt: skip
    conn.execute(
        "UPDATE wuzha.robot_results SET contact_id = %s WHERE row_id = %s AND called_at = %s AND code = %s",
        (done.contact_id, row["row_id"], at, code),
    )
    conn.execute(
        "UPDATE wuzha.robot_rows r SET result = x.code, result_at = x.called_at FROM"
        " (SELECT code, called_at FROM wuzha.robot_results WHERE row_id = %s"
        "   ORDER BY called_at DESC, code DESC LIMIT 1) x WHERE r.row_id = %s",
        (row["row_id"], row["row_id"]),
    )
    conn.execute(
        "UPDATE wuzha.robot_calls c SET state = 'called', state_at = %s, result = r.result FROM wuzha.robot_rows r"
        " WHERE r.row_id = %s AND c.call_id = r.robot_id AND c.state IN ('listed','called')",
        (now, row["row_id"]),
    )
    if code == "asks_officer" and alert["state"] != "closed":
        _ask_for_officer(conn, alert, row, at)
    return True


def _ask_for_officer(conn: psycopg.Connection[Any], alert: dict[str, Any], row: dict[str, Any], at: datetime) -> None:
    line = conn.execute("SELECT value FROM wuzha.subjects WHERE subject_id = %s", (row["line_id"],)).fetchone()
    if line is not None and (alert["reached_at"] is None or alert["reached_at"] < at):
        callbacks.wanted(
            conn, row["unit_id"], number=line[0], alert_id=alert["alert_id"], line_id=row["line_id"], at=at,
            why="asks_officer",
        )  # fmt: skip


def _consequence(conn: psycopg.Connection[Any], alert_id: int, now: datetime) -> None:
    """Where the file stands after all its results, whatever their order: heard, tried again, or with the officers."""
    rows = conn.execute(
        "SELECT x.code FROM wuzha.robot_results x JOIN wuzha.robot_rows r USING (row_id) WHERE r.alert_id = %s",
        (alert_id,),
    ).fetchall()
    found = [r[0] for r in rows]
    without = [code for code in found if code not in ("heard", "asks_officer")]
    officer = "asks_officer" in found or "forwarded" in found or len(without) >= words().tries
    alert = lock(conn, alert_id)
    if alert["state"] != "new" or alert["robot_at"] is None:
        return
    if not officer and "heard" not in found:
        robot.list_one(conn, alert_id, now)
        return
    conn.execute(
        "UPDATE wuzha.robot_calls SET state = 'taken_back', state_at = %s WHERE alert_id = %s AND state = 'listed'",
        (now, alert_id),
    )
    if officer:
        conn.execute("UPDATE wuzha.alerts SET robot_at = NULL, kept_at = %s WHERE alert_id = %s", (now, alert_id))


# ---------------------------------------------------------------- what is kept of the file


def _kept(conn: psycopg.Connection[Any], actor: Actor, name: str, content: bytes, now: datetime, taken: Taken) -> None:
    row = conn.execute(
        "INSERT INTO wuzha.robot_files (unit_id, name, sha256, at, by_user, rows_n, taken, repeated, rejected, rejects)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING file_id",
        (
            actor.unit_id, name[:200], hashlib.sha256(content).digest(), now, actor.user_id, taken.rows, taken.taken,
            taken.repeated, len(taken.rejects),
            json.dumps([asdict(r) for r in taken.rejects[:LISTED]], ensure_ascii=False),
        ),
    ).fetchone()  # fmt: skip
    assert row is not None
    audit.append(
        conn, at=now, actor=actor.login, user_id=actor.user_id or None, unit_id=actor.unit_id, action="robot.results",
        object=f"robot_file:{row[0]}",
        detail={"rows": taken.rows, "taken": taken.taken, "repeated": taken.repeated, "rejected": len(taken.rejects)},
    )  # fmt: skip


def files(conn: psycopg.Connection[Any], actor: Actor) -> list[dict[str, Any]]:
    """The files that came, the newest first."""
    require(actor, "desk.read")
    return (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT f.*, u.name AS officer FROM wuzha.robot_files f JOIN wuzha.users u ON u.user_id = f.by_user"
            " ORDER BY f.file_id DESC LIMIT 20"
        )
        .fetchall()
    )
