"""Workbenches: banks' files dropped together for a case or a purpose, kept until an end.

Kept true here: nothing is kept without a case number or purpose and a day on which it goes; a bench past its end is
nobody's any more; all its files are read together, whole or not at all, so that both banks' rows of one transfer meet;
names and numbers leave it only after a reveal that says what for, and everything of that is in the audit.
"""

from __future__ import annotations

import hashlib
import io
import tempfile
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from wuzha.command.public import Actor, Refused, require
from wuzha.events import clock
from wuzha.events.datafile import DataFileError
from wuzha.ingest import ImportFailed
from wuzha.ingest.cells import bare_word
from wuzha.store import Settings, audit
from wuzha.trace.workbench import Books, Thresholds, load, shipped

from .workbench_reading import TABLES, Got, Told, books_of, by_file, shown

#: Bytes of one file, and of all files of a bench together, at most.
LIMIT = 32 * 1024 * 1024
LIMIT_ALL = 8 * LIMIT
#: Days that a bench may be kept, and those that are offered.
MOST_DAYS = 180
DAYS = (7, 30, 90, 180)
#: Hours that a reveal lasts.
REVEAL = timedelta(hours=4)


def open_(conn: psycopg.Connection[Any], actor: Actor, *, why: str, days: int, now: datetime | None = None) -> int:
    """A new bench; its number. Refused: forbidden, bench_why, bench_days."""
    require(actor, "workbench")
    now = now or clock.now()
    why = " ".join(why.split())[:200]
    if len(why) < 2:
        raise Refused("bench_why")
    if not 1 <= days <= MOST_DAYS:
        raise Refused("bench_days", days=MOST_DAYS)
    row = conn.execute(
        "INSERT INTO wuzha.workbenches (unit_id, why, opened_at, opened_by, until) VALUES (%s, %s, %s, %s, %s)"
        " RETURNING workbench_id",
        (actor.unit_id, why, now, actor.user_id, now + timedelta(days=days)),
    ).fetchone()
    assert row is not None
    _record(conn, actor, int(row[0]), "opened", now, days=days)
    return int(row[0])


def every(conn: psycopg.Connection[Any], actor: Actor, *, now: datetime | None = None) -> list[dict[str, Any]]:
    """Benches in the officer's scope that have not ended, newest first, with ``officer`` and ``files``."""
    require(actor, "workbench")
    return (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT b.workbench_id, b.why, b.opened_at, b.until, b.version, u.name AS officer,"
            " (SELECT count(*) FROM wuzha.workbench_files f WHERE f.workbench_id = b.workbench_id) AS files"
            " FROM wuzha.workbenches b JOIN wuzha.users u ON u.user_id = b.opened_by WHERE b.until > %s"
            " ORDER BY b.workbench_id DESC LIMIT 200",
            (now or clock.now(),),
        )
        .fetchall()
    )


def one(
    conn: psycopg.Connection[Any], actor: Actor, workbench_id: int, *, now: datetime | None = None
) -> dict[str, Any]:
    """A bench with its ``files`` (name, bytes, when, by whom). Refused("not_found") outside the scope or past its
    end."""
    require(actor, "workbench")
    cursor = conn.cursor(row_factory=dict_row)
    row = cursor.execute(
        "SELECT b.*, u.name AS officer FROM wuzha.workbenches b JOIN wuzha.users u ON u.user_id = b.opened_by"
        " WHERE b.workbench_id = %s AND b.until > %s",
        (workbench_id, now or clock.now()),
    ).fetchone()
    if row is None:
        raise Refused("not_found")
    row["words"] = dict(row["words"])
    row["files"] = cursor.execute(
        "SELECT f.file_id, f.name, length(f.content) AS bytes, f.dropped_at, u.name AS officer"
        " FROM wuzha.workbench_files f JOIN wuzha.users u ON u.user_id = f.dropped_by WHERE f.workbench_id = %s"
        " ORDER BY f.file_id",
        (workbench_id,),
    ).fetchall()
    return row


def drop(
    conn: psycopg.Connection[Any], actor: Actor, workbench_id: int, files: list[tuple[str, bytes]], *,
    now: datetime | None = None,
) -> None:  # fmt: skip
    """Lay files on the bench and read all of it anew. A file that lies there is left out.

    Refused: not_found, book_empty, book_too_large, bench_full, bench_unreadable (why); then nothing was changed.
    """
    now = now or clock.now()
    one(conn, actor, workbench_id, now=now)
    conn.execute("SELECT 1 FROM wuzha.workbenches WHERE workbench_id = %s FOR UPDATE", (workbench_id,))
    if not any(data for _, data in files):
        raise Refused("book_empty")
    for name, data in files:
        if len(data) > LIMIT:
            raise Refused("book_too_large", limit=LIMIT // 1024 // 1024)
        name = (name.replace("\\", "/").rpartition("/")[2] or "file")[-200:]
        digest = hashlib.sha256(data).digest()
        conn.execute(
            "INSERT INTO wuzha.workbench_files (workbench_id, name, sha256, content, dropped_at, dropped_by)"
            " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            (workbench_id, name, digest, data, now, actor.user_id),
        )
        _record(conn, actor, workbench_id, "dropped", now, sha256=digest.hex(), bytes=len(data))
    _read(conn, workbench_id)


def take_off(conn: psycopg.Connection[Any], actor: Actor, workbench_id: int, file_id: int) -> None:
    """Take one file off the bench, and read the rest anew."""
    one(conn, actor, workbench_id)
    conn.execute("SELECT 1 FROM wuzha.workbenches WHERE workbench_id = %s FOR UPDATE", (workbench_id,))
    conn.execute("DELETE FROM wuzha.workbench_files WHERE workbench_id = %s AND file_id = %s", (workbench_id, file_id))
    _record(conn, actor, workbench_id, "taken_off", clock.now(), file=file_id)
    _read(conn, workbench_id)


def explain(conn: psycopg.Connection[Any], actor: Actor, workbench_id: int, words: dict[str, str]) -> None:
    """Say what direction words stand for (``in``, ``out``), and read all anew. Refused("no_choice")."""
    bench = one(conn, actor, workbench_id)
    meant = {bare_word(word): way for word, way in words.items() if way in ("in", "out")}
    if not meant:
        raise Refused("no_choice")
    conn.execute(
        "UPDATE wuzha.workbenches SET words = %s WHERE workbench_id = %s",
        (Jsonb(bench["words"] | meant), workbench_id),
    )
    _record(conn, actor, workbench_id, "explained", clock.now(), words=len(meant))
    _read(conn, workbench_id)


def clear(conn: psycopg.Connection[Any], actor: Actor, workbench_id: int) -> None:
    """Let a bench go before its end, with all its files."""
    one(conn, actor, workbench_id)
    conn.execute("DELETE FROM wuzha.workbenches WHERE workbench_id = %s", (workbench_id,))
    _record(conn, actor, workbench_id, "cleared", clock.now())


def _read(conn: psycopg.Connection[Any], workbench_id: int) -> None:
    told = conn.execute("SELECT words FROM wuzha.workbenches WHERE workbench_id = %s", (workbench_id,)).fetchone()
    words: dict[str, str] = dict(told[0]) if told else {}
    rows = conn.execute(
        "SELECT file_id, name, content FROM wuzha.workbench_files WHERE workbench_id = %s ORDER BY file_id",
        (workbench_id,),
    ).fetchall()
    if sum(len(content) for _, _, content in rows) > LIMIT_ALL:
        raise Refused("bench_full", limit=LIMIT_ALL // 1024 // 1024)
    conn.execute("DELETE FROM wuzha.workbench_tables WHERE workbench_id = %s", (workbench_id,))
    notes: list[str] = []
    if rows:
        with tempfile.TemporaryDirectory(prefix="wuzha-bench-") as work:
            paths, used = [], set()
            for file_id, name, content in rows:
                # two banks may both send 流水.csv
                shown = _safe(name) if name not in used else f"{file_id}-{_safe(name)}"
                used.add(name)
                path = Path(work) / "in" / shown
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(content)
                paths.append(path)
            out = Path(work) / "read"
            try:
                notes = books_of(paths, out, guide=Told(words)).notes
            except ImportFailed as error:
                raise Refused("bench_unreadable", why=str(error)[:500]) from error
            for name in (*TABLES, "places", "rejects"):
                if (out / f"{name}.parquet").exists():
                    conn.execute(
                        "INSERT INTO wuzha.workbench_tables (workbench_id, name, parquet) VALUES (%s, %s, %s)",
                        (workbench_id, name, (out / f"{name}.parquet").read_bytes()),
                    )
    conn.execute(
        "UPDATE wuzha.workbenches SET version = version + 1, notes = %s WHERE workbench_id = %s",
        (Jsonb(notes), workbench_id),
    )


def _safe(name: str) -> str:
    """A name for a working file that keeps what people know it by."""
    plain = "".join(ch for ch in name if ch >= " " and ch not in '/\\:*?"<>|').lstrip(".~").strip()
    while len(plain.encode()) > 180:
        plain = plain[1:]
    return plain or "file"


def got(conn: psycopg.Connection[Any], bench: dict[str, Any]) -> Got | None:
    """What was read of a bench (a row of `one`); None where nothing lies on it."""
    which = (bench["workbench_id"], bench["version"], bench["opened_at"])
    held = _kept.get(which)
    if held is not None:
        return held
    rows = conn.execute(
        "SELECT name, parquet FROM wuzha.workbench_tables WHERE workbench_id = %s", (bench["workbench_id"],)
    ).fetchall()
    tables = {name: pl.read_parquet(io.BytesIO(data)) for name, data in rows}
    if not tables:
        return None
    places, rejects = tables.pop("places"), shown(tables.pop("rejects"))
    made = Got(books=Books(tables, places), read=by_file(places, rejects), rejects=rejects, notes=list(bench["notes"]))
    while len(_kept) >= _MOST_KEPT:
        _kept.pop(next(iter(_kept)), None)
    _kept[which] = made
    return made


#: What was read last, by bench and version; a bench is asked for in the officer's scope before it is looked for here.
_kept: dict[tuple[int, int, datetime], Got] = {}
_MOST_KEPT = 4


@lru_cache(maxsize=4)
def _loaded(path: Path, changed: int) -> Thresholds:
    return load(path)


def thresholds() -> tuple[Thresholds, str]:
    """The thresholds in force, and what is wrong with the deployment's own file ("" where nothing is)."""
    path = Settings().home / "thresholds.toml"
    try:
        return _loaded(path, path.stat().st_mtime_ns), ""
    except FileNotFoundError:
        return shipped(), ""
    except DataFileError as error:
        return shipped(), str(error)


def reveal(
    conn: psycopg.Connection[Any], actor: Actor, workbench_id: int, *, purpose: str, now: datetime | None = None
) -> datetime:
    """Show the bench unmasked to this officer until the end that is returned. ``purpose``: a code that was checked."""
    require(actor, "reveal")
    now = now or clock.now()
    one(conn, actor, workbench_id, now=now)
    until = now + REVEAL
    conn.execute(
        "INSERT INTO wuzha.workbench_reveals (workbench_id, user_id, purpose, at, until) VALUES (%s, %s, %s, %s, %s)",
        (workbench_id, actor.user_id, purpose, now, until),
    )
    _record(conn, actor, workbench_id, "revealed", now, purpose=purpose, until=until.isoformat())
    return until


def revealed_until(conn: psycopg.Connection[Any], actor: Actor, workbench_id: int) -> datetime | None:
    """Until when the bench is open to this officer; None where it is masked."""
    row = conn.execute(
        "SELECT max(until) FROM wuzha.workbench_reveals WHERE workbench_id = %s AND user_id = %s AND until > %s",
        (workbench_id, actor.user_id, clock.now()),
    ).fetchone()
    return row[0] if row else None


def took(conn: psycopg.Connection[Any], actor: Actor, workbench_id: int, what: str, purpose: str) -> None:
    """Note that a report or the refused rows left the bench; what leaves is in full, so it takes the right to see."""
    require(actor, "reveal")
    _record(conn, actor, workbench_id, what, clock.now(), purpose=purpose)


def _record(
    conn: psycopg.Connection[Any], actor: Actor, workbench_id: int, what: str, at: datetime, **said: Any
) -> None:
    audit.append(
        conn, at=at, actor=actor.login, user_id=actor.user_id or None, unit_id=actor.unit_id,
        action=f"workbench.{what}", object=f"workbench:{workbench_id}", detail=said,
    )  # fmt: skip
