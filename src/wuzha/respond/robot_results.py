"""Results of automatic calls: a file of the platform in, each row by its reference.

Kept true here: files may come twice, overlap and come in any order, and the desk stands the same; a row that cannot be
taken is told with its row, column and reason; who asks for an officer waits in `callbacks`; who could not be reached
is tried again, and then goes back to the officers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import dict_row

from wuzha import ingest
from wuzha.command.public import Actor, Refused, machine, require
from wuzha.events import clock
from wuzha.ingest.sources import Item
from wuzha.store import audit

from . import callbacks, robot
from .codes import codes
from .robot_words import COLUMNS, plain, words
from .step import record

if TYPE_CHECKING:
    from wuzha.ingest.grids import Grid

#: Rows that one file may hold, and bytes.
MOST, BYTES = 20_000, 16 * 1024 * 1024
#: Rows that one transaction takes.
PART = 200
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


#: A result with its row, our code of it and when it was.
_Judged = tuple[dict[str, Any], Result, str, datetime]
Db = Callable[[], AbstractContextManager[psycopg.Connection[Any]]]


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What became of a file. rows = taken + repeated + rejected."""

    rows: int
    taken: int
    repeated: int
    rejects: list[Refusal]


def take(db: Db, actor: Actor, name: str, content: bytes, *, now: datetime | None = None) -> Taken:
    """Take a file of results. ``db`` opens a transaction with the officer's scope: a file is taken in several, so that
    no officer waits long for a person of a long list, and what a broken one left undone the same file brings again.

    Refused: robot_file (why).
    """
    require(actor, "desk.act")
    now = now or clock.now()
    if len(content) > BYTES:
        raise Refused("robot_file", why=f"超过 {BYTES >> 20} MiB / more than {BYTES >> 20} MiB")
    try:
        results, rejects = _read(name, content)
    except ingest.grids.Unreadable as error:
        raise Refused("robot_file", why=str(error), unreadable=error.code) from error
    rows = len(results) + len(rejects)
    taken = repeated = 0
    for part in range(0, len(results), PART):
        with db() as conn:
            judged, refused = _known(conn, results[part : part + PART], now)
            fresh = _all(conn, actor, judged, now)
        rejects += refused
        taken, repeated = taken + fresh, repeated + len(judged) - fresh
    rejects.sort(key=lambda r: (r.row, r.column))
    done = Taken(rows=rows, taken=taken, repeated=repeated, rejects=rejects)
    with db() as conn:
        _kept(conn, actor, name, content, now, done)
    return done


def _known(conn: psycopg.Connection[Any], results: list[Result], now: datetime) -> tuple[list[_Judged], list[Refusal]]:
    """Results whose row and word we know, and those that are refused."""
    rows = {
        r["ref"]: r
        for r in conn.cursor(row_factory=dict_row).execute(
            "SELECT r.row_id, r.ref, r.alert_id, r.line_id, r.robot_id, r.unit_id, t.made_at FROM wuzha.robot_rows r"
            " JOIN wuzha.robot_lists t USING (list_id) JOIN wuzha.alerts a USING (alert_id) WHERE r.ref = ANY(%s)",
            ([r.ref for r in results],),
        )
    }
    judged: list[_Judged] = []
    rejects: list[Refusal] = []
    for result in results:
        found = _judge(result, rows.get(result.ref), now)
        if isinstance(found, Refusal):
            rejects.append(found)
        else:
            judged.append((rows[result.ref], result, *found))
    return judged, rejects


# ---------------------------------------------------------------- the file


def _read(name: str, content: bytes) -> tuple[list[Result], list[Refusal]]:
    item = Item(name=name, data=content, changed=None)
    book = content[:4] == b"PK\x03\x04" or content[:8] == b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
    grids = ingest.grids.workbook_grids(item) if book else [ingest.grids.text_grid(item)]
    for grid in grids:
        for i, head in enumerate(grid.head):
            if (columns := _columns(head)) is not None:
                return _rows(grid, i, len(head), columns)
    raise ingest.grids.Unreadable(
        "no_header", "找不到表头：需要有“编号”和“结果”两列 / no heading for reference and result"
    )


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
        raise ingest.grids.Unreadable("too_many_rows", f"行数超过 {MOST} / more than {MOST} rows")
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
        from wuzha.ingest.times import parse_time

        at = parse_time(result.at)[0]
    except ValueError:
        return refuse("外呼时间", result.at, "bad_time", "不是时间")
    if at > now + _AHEAD:
        return refuse("外呼时间", result.at, "in_the_future", "时间晚于当前时间一天以上")
    return code, at


# ---------------------------------------------------------------- what the results change


def _all(
    conn: psycopg.Connection[Any],
    actor: Actor,
    judged: list[tuple[dict[str, Any], Result, str, datetime]],
    now: datetime,
) -> int:
    """Take the results that are not there yet; how many those were."""
    # All files first and in one order, so that two files of results at once cannot wait for each other.
    alerts = {
        a["alert_id"]: a
        for a in conn.cursor(row_factory=dict_row).execute(
            "SELECT * FROM wuzha.alerts WHERE alert_id = ANY(%s) ORDER BY alert_id FOR UPDATE",
            (sorted({row["alert_id"] for row, *_ in judged}),),
        )
    }
    there = {
        (r[0], r[1], r[2]): r[3]
        for r in conn.execute(
            "SELECT row_id, called_at, code, recording FROM wuzha.robot_results WHERE row_id = ANY(%s)",
            (sorted({row["row_id"] for row, *_ in judged}),),
        )
    }
    by = machine(actor.unit_id, "robot")
    fresh: list[tuple[int, int, datetime, str]] = []
    for row, result, code, at in judged:
        identity = (row["row_id"], at, code)
        recording = result.recording[:300] or None
        if identity in there:
            if there[identity] is None and recording is not None:
                conn.execute(
                    "UPDATE wuzha.robot_results SET recording = %s WHERE row_id = %s AND called_at = %s AND code = %s",
                    (recording, *identity),
                )
                there[identity] = recording
            continue
        there[identity] = recording
        conn.execute(
            "INSERT INTO wuzha.robot_results (row_id, called_at, code, platform, recording)"
            " VALUES (%s, %s, %s, %s, %s)",
            (*identity, result.word[:100], recording),
        )
        fresh.append((_contact(conn, by, alerts[row["alert_id"]], row, code, at), *identity))
    conn.cursor().executemany(
        "UPDATE wuzha.robot_results SET contact_id = %s WHERE row_id = %s AND called_at = %s AND code = %s", fresh
    )
    _stand(conn, sorted({f[1] for f in fresh}), now)
    touched = {f[1] for f in fresh}
    _consequence(conn, sorted({row["alert_id"] for row, *_ in judged if row["row_id"] in touched}), now)
    return len(fresh)


def _contact(
    conn: psycopg.Connection[Any], by: Actor, alert: dict[str, Any], row: dict[str, Any], code: str, at: datetime
) -> int:
    """The contact that a result is; ``alert`` is locked, and its mapping is kept as the row stands."""
    changes: dict[str, Any] = {}
    if alert["state"] != "closed":
        if alert["contacted_at"] is None or at < alert["contacted_at"]:
            changes["contacted_at"] = at
        if codes()["result"][code].silent:
            changes["tries"] = alert["tries"] + 1
    done = record(
        conn, by, alert, "robot", key=f"robot-{row['row_id']}-{at.isoformat()}-{code}", changes=changes, at=at,
        code=code, to_id=row["line_id"], quiet=True,
    )  # fmt: skip
    alert.update(changes)
    if code == "asks_officer" and alert["state"] != "closed":
        _ask_for_officer(conn, alert, row, at)
    return done.contact_id


def _ask_for_officer(conn: psycopg.Connection[Any], alert: dict[str, Any], row: dict[str, Any], at: datetime) -> None:
    line = conn.execute("SELECT value FROM wuzha.subjects WHERE subject_id = %s", (row["line_id"],)).fetchone()
    if line is not None and (alert["reached_at"] is None or alert["reached_at"] < at):
        callbacks.wanted(
            conn, row["unit_id"], number=line[0], alert_id=alert["alert_id"], line_id=row["line_id"], at=at,
            why="asks_officer",
        )  # fmt: skip


def _stand(conn: psycopg.Connection[Any], rows: list[int], now: datetime) -> None:
    """Each row stands by the newest of its results."""
    conn.execute(
        "UPDATE wuzha.robot_rows r SET result = x.code, result_at = x.called_at FROM"
        " (SELECT DISTINCT ON (row_id) row_id, code, called_at FROM wuzha.robot_results WHERE row_id = ANY(%s)"
        "   ORDER BY row_id, called_at DESC, code DESC) x WHERE r.row_id = x.row_id",
        (rows,),
    )
    conn.execute(
        "UPDATE wuzha.robot_calls c SET state = 'called', state_at = %s, result = r.result FROM wuzha.robot_rows r"
        " WHERE r.row_id = ANY(%s) AND c.call_id = r.robot_id AND c.state IN ('listed','called')",
        (now, rows),
    )


def _consequence(conn: psycopg.Connection[Any], alerts: list[int], now: datetime) -> None:
    """Where files stand after all their results, whatever the order: heard, tried again, or with the officers."""
    found = conn.execute(
        "SELECT a.alert_id, bool_or(x.code IN ('asks_officer', 'forwarded'))"
        " OR count(*) FILTER (WHERE x.code NOT IN ('heard', 'asks_officer')) >= %s, bool_or(x.code = 'heard')"
        " FROM wuzha.alerts a JOIN wuzha.robot_rows r USING (alert_id) JOIN wuzha.robot_results x USING (row_id)"
        " WHERE a.alert_id = ANY(%s) AND a.state = 'new' AND a.robot_at IS NOT NULL GROUP BY a.alert_id",
        (words().tries, alerts),
    ).fetchall()
    for alert_id in (a for a, officer, heard in found if not officer and not heard):
        robot.list_one(conn, alert_id, now)
    conn.execute(
        "UPDATE wuzha.robot_calls SET state = 'taken_back', state_at = %s"
        " WHERE alert_id = ANY(%s) AND state = 'listed'",
        (now, [a for a, officer, heard in found if officer or heard]),
    )
    conn.execute(
        "UPDATE wuzha.alerts SET robot_at = NULL, kept_at = %s WHERE alert_id = ANY(%s)",
        (now, [a for a, officer, _ in found if officer]),
    )


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
