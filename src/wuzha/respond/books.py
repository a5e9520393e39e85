"""Workbooks of warnings that are dropped on the desk, and the results that go back into them.

Kept true here: a workbook is taken in one transaction, whole or not at all: its rows stand in the log under a
registered source's basis, each with its place; the file is kept as it came until its end. The same file, or a row that
is known, counts nothing twice. A sheet that nobody has explained is asked about before anything of its file is taken.
"""

from __future__ import annotations

import hashlib
import io
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from wuzha import ingest
from wuzha.command.public import Actor, Refused, require
from wuzha.events import clock
from wuzha.ingest.mapping import shipped
from wuzha.live import late
from wuzha.store import audit, log, sources
from wuzha.store.sources import Source

from . import layouts
from .reveal import check_purpose

if TYPE_CHECKING:
    from wuzha.ingest.books import Book, Sheet

#: A workbook's bytes at most; a list of 100,000 warnings has about ten million.
LIMIT = 32 * 1024 * 1024
#: Days that a workbook is kept whose columns nobody has explained.
_ASKING_DAYS = 14
_AHEAD = timedelta(days=1)
_READ_AS = "*"


def senders(conn: psycopg.Connection[Any], *, now: datetime | None = None) -> list[Source]:
    """The sources whose warnings may be taken: open, with a basis that is not over."""
    now = now or clock.now()
    return [
        s
        for s in sources.every(conn)
        if s.active and "warnings" in s.tables and (s.basis_until is None or s.basis_until > now)
    ]


def drop(
    conn: psycopg.Connection[Any], actor: Actor, name: str, data: bytes, *, source: str = "",
    now: datetime | None = None,
) -> int:  # fmt: skip
    """Take a workbook, or keep it and ask where a header or the source is not known; its number.

    The same file again is the workbook that stands here already. Refused: book_too_large, book_unreadable (why),
    no_source, and ``unknown_code`` for a source that may not send warnings.
    """
    require(actor, "desk.act")
    now = now or clock.now()
    if len(data) > LIMIT:
        raise Refused("book_too_large", limit=LIMIT // 1024 // 1024)
    name = (name.replace("\\", "/").rpartition("/")[2] or "workbook")[-200:]
    digest = hashlib.sha256(data).digest()
    conn.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 2))", [digest.hex()])
    row = conn.execute(
        "SELECT workbook_id FROM wuzha.workbooks WHERE sha256 = %s AND unit_id = %s", [digest, actor.unit_id]
    ).fetchone()
    if row is not None:
        return int(row[0])
    open_to = {s.name for s in senders(conn, now=now)}
    if not open_to:
        raise Refused("no_source")
    if source and source not in open_to:
        raise Refused("unknown_code", code=source)
    try:
        saved = [mapping for mapping, _ in layouts.saved(conn).values()]
        book = ingest.books.read_book(name, data, source=_READ_AS, mappings=saved, now=now)
    except ingest.grids.Unreadable as error:
        raise Refused("book_unreadable", why=str(error), unreadable=error.code) from error
    if not book.sheets:
        raise Refused("book_unreadable", why="；".join(book.notes) or "没有找到表头")
    row = conn.execute(
        "INSERT INTO wuzha.workbooks (unit_id, name, sha256, content, dropped_at, dropped_by, until, state, asked)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, 'asking', %s) RETURNING workbook_id",
        [
            actor.unit_id, name, digest, data, now, actor.user_id or None, now + timedelta(days=_ASKING_DAYS),
            Jsonb({"source": source}),
        ],
    ).fetchone()  # fmt: skip
    assert row is not None
    workbook_id = int(row[0])
    record(conn, actor, workbook_id, "dropped", now, sha256=digest.hex(), bytes=len(data), rows=book.n)
    chosen = source or _source_of(conn, book, open_to)
    if chosen and all(s.mapping is not None for s in book.sheets):
        _take(conn, actor, workbook_id, chosen, now)
    return workbook_id


def _source_of(conn: psycopg.Connection[Any], book: Book, open_to: set[str]) -> str:
    """The one source that the sheets' layouts are of; "" where there is none or more than one."""
    known = layouts.saved(conn)
    found = {known[s.mapping.name][1] for s in book.sheets if s.mapping is not None and s.mapping.name in known}
    return found.pop() if len(found) == 1 and found <= open_to else ""


def one(conn: psycopg.Connection[Any], actor: Actor, workbook_id: int) -> dict[str, Any]:
    """A workbook without its bytes. Refused("not_found") outside the officer's scope."""
    require(actor, "desk.read")
    row = (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT b.workbook_id, b.unit_id, b.source, b.name, b.dropped_at, b.until, b.state, b.asked, b.sheets,"
            " b.rows_n, b.accepted, b.duplicates, b.rejected, b.rejects, b.notes, b.position, u.name AS officer,"
            " q.title, length(b.content) AS bytes"
            " FROM wuzha.workbooks b LEFT JOIN wuzha.users u ON u.user_id = b.dropped_by"
            " LEFT JOIN wuzha.sources q ON q.name = b.source WHERE workbook_id = %s",
            [workbook_id],
        )
        .fetchone()
    )
    if row is None:
        raise Refused("not_found")
    return row


def recent(conn: psycopg.Connection[Any], actor: Actor, *, limit: int = 12) -> list[dict[str, Any]]:
    """The newest workbooks of the officer's units."""
    require(actor, "desk.read")
    return (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT b.workbook_id, b.source, q.title, b.name, b.dropped_at, b.state, b.accepted, b.duplicates,"
            " b.rejected FROM wuzha.workbooks b LEFT JOIN wuzha.sources q ON q.name = b.source"
            " ORDER BY workbook_id DESC LIMIT %s",
            [limit],
        )
        .fetchall()
    )


def content(conn: psycopg.Connection[Any], workbook_id: int) -> tuple[str, bytes]:
    row = conn.execute("SELECT name, content FROM wuzha.workbooks WHERE workbook_id = %s", [workbook_id]).fetchone()
    if row is None:
        raise Refused("not_found")
    return row[0], bytes(row[1])


def preview(conn: psycopg.Connection[Any], actor: Actor, workbook_id: int) -> list[Sheet]:
    """The workbook's sheets as they would be read now: known ones with their layout, others with a guess."""
    one(conn, actor, workbook_id)
    name, data = content(conn, workbook_id)
    known = [m for m, _ in layouts.saved(conn).values()]
    return ingest.books.read_book(name, data, source=_READ_AS, mappings=known, now=clock.now()).sheets


def explain(
    conn: psycopg.Connection[Any],
    actor: Actor,
    workbook_id: int,
    *,
    source: str,
    columns: dict[str, dict[str, str] | None],
    now: datetime | None = None,
) -> None:
    """What an officer says of a workbook: its source, and of each sheet with an unknown header what its columns are
    (column → target or ``answer.…``), or None to leave the sheet out. It is kept for next time, and the workbook taken.

    Refused: no_source, no_number (nothing tells a warning from another), no_line (nothing tells whose it is),
    already_taken.
    """
    require(actor, "desk.act")
    now = now or clock.now()
    book = locked(conn, actor, workbook_id)
    if book["state"] != "asking":
        raise Refused("already_taken")
    if source not in {s.name for s in senders(conn, now=now)}:
        raise Refused("no_source")
    left_out = []
    for sheet in preview(conn, actor, workbook_id):
        if sheet.mapping is not None:
            continue
        chosen = columns.get(sheet.name)
        if chosen is None:
            left_out.append(sheet.name)
            continue
        allowed = {*ingest.books.offered(), *(f"answer.{p}" for p in reading_parts())}
        chosen = {c: t for c, t in chosen.items() if c in sheet.names and t in allowed}
        if not {"victim_line", "victim_account", "victim_device", "victim_id"} & set(chosen.values()):
            raise Refused("no_line")
        layouts.save(conn, actor, source, layouts.written(layouts.fresh_name(conn, source), sheet, chosen))
    conn.execute(
        "UPDATE wuzha.workbooks SET asked = %s WHERE workbook_id = %s",
        [Jsonb({"source": source, "left_out": left_out}), workbook_id],
    )
    _take(conn, actor, workbook_id, source, now)


def reading_parts() -> tuple[str, ...]:
    """Parts of an answer that a column may take."""
    from wuzha.ingest.answering import ANSWERS

    return ANSWERS


def unknown_words(conn: psycopg.Connection[Any], actor: Actor, workbook_id: int) -> dict[str, dict[str, list[str]]]:
    """Words that stopped rows of a taken workbook: layout → target → words, those of levels, types and stages only."""
    book = one(conn, actor, workbook_id)
    by_sheet = {s["name"]: s for s in book["sheets"]}
    out: dict[str, dict[str, list[str]]] = {}
    for r in book["rejects"]:
        sheet = by_sheet.get(r["sheet"] or "")
        unknown = sheet is not None and r["reason"] == "unknown_value"
        target = sheet["fills"].get(ingest.books.plain(r["column"])) if sheet and unknown else None
        if sheet is not None and target in ingest.books.WORDED and r["value"]:
            words = out.setdefault(sheet["layout"], {}).setdefault(target, [])
            if r["value"] not in words and len(words) < 60:
                words.append(r["value"])
    return out


def explain_words(
    conn: psycopg.Connection[Any],
    actor: Actor,
    workbook_id: int,
    words: dict[str, dict[str, dict[str, str]]],
    *,
    now: datetime | None = None,
) -> None:
    """Give meanings to words (layout → target → word → value), keep them, and read the workbook's rows again: what was
    taken counts nothing twice. Refused: layout_wrong."""
    require(actor, "desk.act")
    now = now or clock.now()
    book = locked(conn, actor, workbook_id)
    if book["state"] != "taken":
        raise Refused("changed")
    for name, by_target in words.items():
        source, text = layouts.text_of(conn, name)
        for target, meant in by_target.items():
            if meant:
                text = layouts.with_words(text, target, meant)
        layouts.save(conn, actor, source, text)
    _take(conn, actor, workbook_id, book["source"], now)


def locked(conn: psycopg.Connection[Any], actor: Actor, workbook_id: int) -> dict[str, Any]:
    conn.execute("SELECT 1 FROM wuzha.workbooks WHERE workbook_id = %s FOR UPDATE", [workbook_id])
    return one(conn, actor, workbook_id)


def _take(conn: psycopg.Connection[Any], actor: Actor, workbook_id: int, source_name: str, now: datetime) -> None:
    """Read the workbook's rows into the log, with their places; again where more of it is known by now."""
    source = next((s for s in senders(conn, now=now) if s.name == source_name), None)
    if source is None:
        raise Refused("no_source")
    name, data = content(conn, workbook_id)
    _own_layouts(conn, actor, workbook_id, source_name, name, data, now)
    known = [m for m, of in layouts.saved(conn).values() if of == source_name]
    known += [m for m, of in layouts.saved(conn).values() if of != source_name]
    book = ingest.books.read_book(name, data, source=source_name, mappings=known, now=now)
    rejects = list(book.rejects)
    rows = _dated(conn, book, source_name)
    rows, ahead = _not_ahead(rows, now)
    rejects += [_at(book, e, "ts", t, "in_the_future", "时间晚于当前时间一天以上") for e, t in ahead]
    refused = {e for e, _ in ahead}
    places = [p for p in book.places if p[2] not in refused]
    ts_of = dict(zip(rows.column("event_id").to_pylist(), rows.column("ts").to_pylist(), strict=True))
    conn.execute("DELETE FROM wuzha.workbook_rows WHERE workbook_id = %s", [workbook_id])
    conn.execute(
        "INSERT INTO wuzha.workbook_rows (workbook_id, sheet, row, source, event_id, ts)"
        " SELECT %s, u.sheet, u.row, %s, u.event_id, u.ts"
        " FROM unnest(%s::text[], %s::int[], %s::text[], %s::timestamptz[]) AS u (sheet, row, event_id, ts)",
        [
            workbook_id, source_name, [s for s, _, _ in places], [r for _, r, _ in places], [e for _, _, e in places],
            [ts_of[e] for _, _, e in places],
        ],
    )  # fmt: skip
    rows = late.stamp(rows, late.allowance_s("warnings", source.late_allowance))
    batch = log.Batch(
        table="warnings", rows=rows, source=source_name, basis=source.basis, basis_ref=source.basis_ref,
        basis_until=source.basis_until, received_at=now,
    )  # fmt: skip
    # The last thing but the workbook's own row: other senders wait from here to the commit.
    taken = log.append(conn, batch)[0]
    ids = rows.column("event_id")
    for r in taken.rejects:
        rejects.append(_at(book, ids[r.row].as_py(), "ts", r.value, r.reason, r.message))
    rejects.sort(key=lambda r: (r["sheet"] or "", r["row"] or 0))
    before = one(conn, actor, workbook_id)
    accepted = before["accepted"] + taken.accepted
    conn.execute(
        "UPDATE wuzha.workbooks SET source = %s, state = 'taken', until = %s, sheets = %s, rows_n = %s, accepted = %s,"
        " duplicates = %s, rejected = %s, rejects = %s, notes = %s, position = coalesce(%s, position)"
        " WHERE workbook_id = %s",
        [
            source_name, before["dropped_at"] + timedelta(days=source.retention_days),
            Jsonb([_kept(s) for s in book.sheets if s.mapping is not None]), book.n, accepted,
            book.n - len(rejects) - accepted, len(rejects), Jsonb(_storable(rejects)), Jsonb(_storable(book.notes)),
            taken.position, workbook_id,
        ],
    )  # fmt: skip
    record(conn, actor, workbook_id, "taken", now, source=source_name, accepted=taken.accepted, rejected=len(rejects))


def _own_layouts(
    conn: psycopg.Connection[Any], actor: Actor, workbook_id: int, source: str, name: str, data: bytes, now: datetime
) -> None:
    """A sheet that a shipped layout knows is the source's from now on, so that nobody is asked for it again."""
    known = layouts.saved(conn)
    own = [m for m, _ in known.values()]
    seen: set[str] = set()
    for sheet in ingest.books.read_book(name, data, source=_READ_AS, mappings=own, now=now).sheets:
        mapping = sheet.mapping
        header = "|".join(sheet.names)
        if mapping is None or header in seen or mapping.name not in shipped():
            continue
        seen.add(header)
        layouts.save(
            conn, actor, source, layouts.extending(layouts.fresh_name(conn, source), mapping.name, sheet.names)
        )


def _kept(sheet: Sheet) -> dict[str, Any]:
    mapping = sheet.mapping
    assert mapping is not None
    fills: dict[str, str] = {}
    for target, listed in mapping.columns.items():
        for source in listed:
            if isinstance(source, str):
                fills[ingest.books.plain(source)] = target
    # A column that is both a code and its meaning: its words are those of the meaning.
    fills |= {ingest.books.plain(s): "scam_type" for s in mapping.columns.get("scam_type", ()) if isinstance(s, str)}
    return {"name": sheet.name, "header": sheet.header, "names": sheet.names, "layout": mapping.name, "fills": fills}


def _storable(said: Any) -> Any:
    """What JSONB can hold: no NUL, no half of a surrogate pair."""
    if isinstance(said, str):
        return said.encode("utf-8", "replace").decode().replace("\x00", "␀")
    if isinstance(said, list):
        return [_storable(s) for s in said]
    return {k: _storable(v) for k, v in said.items()} if isinstance(said, dict) else said


def _dated(conn: psycopg.Connection[Any], book: Book, source: str) -> pa.Table:
    """Rows whose time is when they were dropped keep the time of when they first were."""
    if not book.undated:
        return book.rows
    first = dict(
        conn.execute(
            "SELECT event_id, min(ts) FROM wuzha.workbook_rows WHERE source = %s AND event_id = ANY(%s) GROUP BY 1",
            [source, list(book.undated)],
        ).fetchall()
    )
    ids, ts = book.rows.column("event_id").to_pylist(), book.rows.column("ts").to_pylist()
    dated = pa.array([first.get(e, t) for e, t in zip(ids, ts, strict=True)], book.rows.schema.field("ts").type)
    return book.rows.set_column(book.rows.column_names.index("ts"), book.rows.schema.field("ts"), dated)


def _not_ahead(rows: pa.Table, now: datetime) -> tuple[pa.Table, list[tuple[str, str]]]:
    ahead = pc.greater(rows.column("ts"), pa.scalar(now + _AHEAD, rows.schema.field("ts").type))
    out = rows.filter(ahead)
    told = [(e, str(t)) for e, t in zip(out["event_id"].to_pylist(), out["ts"].to_pylist(), strict=True)]
    return (rows.filter(pc.invert(ahead)) if told else rows), told


def _at(book: Book, event_id: str, column: str, value: str | None, reason: str, message: str) -> dict[str, Any]:
    sheet, row = next(((s, r) for s, r, e in book.places if e == event_id), ("", None))
    return {"sheet": sheet, "row": row, "column": column, "value": value, "reason": reason, "message": message}


def rejects_book(conn: psycopg.Connection[Any], actor: Actor, workbook_id: int, *, purpose: str) -> bytes:
    """The rows that were not taken, as a workbook to read and mend by. Refused: forbidden, no_purpose."""
    import xlsxwriter

    require(actor, "desk.act")
    check_purpose(purpose)
    book = one(conn, actor, workbook_id)
    record(conn, actor, workbook_id, "rejects_taken", clock.now(), n=len(book["rejects"]), purpose=purpose)
    out = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    with xlsxwriter.Workbook(out, options) as new:
        sheet = new.add_worksheet("未导入的行")
        for i, (head, width) in enumerate(
            (("工作表", 14), ("行", 8), ("列", 18), ("值", 30), ("原因", 44), ("原因码", 18))
        ):
            sheet.set_column(i, i, width)
            sheet.write_string(0, i, head)
        for n, r in enumerate(book["rejects"], 1):
            for i, key in enumerate(("sheet", "row", "column", "value", "message", "reason")):
                if isinstance(r[key], int):
                    sheet.write_number(n, i, r[key])
                elif r[key]:
                    sheet.write_string(n, i, str(r[key])[:32_000])
    return out.getvalue()


def round(conn: psycopg.Connection[Any], actor: Actor, now: datetime) -> int:
    """Workbooks whose end has come go, with the places of their rows; what was answered stays in the register."""
    gone = conn.execute("DELETE FROM wuzha.workbooks WHERE until <= %s RETURNING workbook_id", [now]).fetchall()
    for (number,) in gone:
        record(conn, actor, number, "gone", now)
    return len(gone)


def record(conn: psycopg.Connection[Any], actor: Actor, workbook_id: int, what: str, at: datetime, **said: Any) -> None:
    audit.append(
        conn, at=at, actor=actor.login, user_id=actor.user_id or None, unit_id=actor.unit_id, action=f"workbook.{what}",
        object=f"workbook:{workbook_id}", detail=said,
    )  # fmt: skip
