"""Results that go back into the workbooks that came: the very rows, in the source's own words.

Kept true here: only rows whose warning has a firm answer are written to; what is filled in for the first time counts as
sent, once; a sheet without a column for the result gets its own at the right.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import dict_row

from wuzha import ingest
from wuzha.command.public import Actor, Refused, require
from wuzha.events import clock, money
from wuzha.events.clock import zone
from wuzha.ingest.mapping import Mapping

from . import answers, books, feedback, layouts, ways
from .reveal import check_purpose

if TYPE_CHECKING:
    from wuzha.ingest.filling import Filled


def results_of(conn: psycopg.Connection[Any], ids: dict[int, int]) -> dict[int, dict[str, str]]:
    """For each warning (→ its workbook): the words of that workbook's layout for our outcomes."""
    if not ids:
        return {}
    known = {name: m for name, (m, _) in layouts.saved(conn).items()}
    of_book: dict[int, dict[str, str]] = {}
    for number, names in conn.execute(
        "SELECT workbook_id, array(SELECT s->>'layout' FROM jsonb_array_elements(sheets) s) FROM wuzha.workbooks"
        " WHERE workbook_id = ANY(%s)",
        [list(set(ids.values()))],
    ):
        words: dict[str, str] = {}
        for name in names:
            mapping = known.get(name)
            words |= mapping.feedback.results if mapping is not None and mapping.feedback is not None else {}
        of_book[number] = words
    return {warning: of_book.get(number, {}) for warning, number in ids.items()}


def owed(
    conn: psycopg.Connection[Any], actor: Actor, workbook_id: int, *, now: datetime | None = None
) -> dict[str, int]:
    """Of a workbook's warnings: ``joined`` to an alert, ``answered``, ``ready`` to go back, ``sent``."""
    require(actor, "desk.read")
    row = (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT count(*) AS joined, count(w.answer) AS answered,"
            f" count(*) FILTER (WHERE w.feedback = 'owed' AND w.answer IS NOT NULL"
            f"                  AND {answers.undo_over(now or clock.now())}) AS ready,"
            " count(*) FILTER (WHERE w.feedback IN ('sent','accepted')) AS sent"
            " FROM (SELECT DISTINCT source, event_id FROM wuzha.workbook_rows WHERE workbook_id = %(id)s) r"
            " JOIN wuzha.alert_warnings w USING (source, event_id) JOIN wuzha.alerts a USING (alert_id)",
            {"id": workbook_id, "now": now or clock.now()},
        )
        .fetchone()
    )
    assert row is not None
    return dict(row)


def filled(
    conn: psycopg.Connection[Any], actor: Actor, workbook_id: int, *, mark: bool, purpose: str = "",
    now: datetime | None = None,
) -> Filled:  # fmt: skip
    """The workbook as it came, with the results of every warning that has its answer. ``mark``: what is filled in for
    the first time counts as sent from now on, and ``purpose`` says why its names leave. Refused: not_taken, no_purpose,
    cannot_fill (why)."""
    require(actor, "desk.act" if mark else "desk.read")
    if mark:
        check_purpose(purpose)
    now = now or clock.now()
    book = books.locked(conn, actor, workbook_id) if mark else books.one(conn, actor, workbook_id)
    if book["state"] != "taken":
        raise Refused("not_taken")
    found = (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT r.sheet, r.row, w.warning_id, w.answer, w.answered_at, w.feedback, u.name AS officer,"
            " n.name AS unit, CASE WHEN w.answer_own THEN NULL ELSE a.avoided_fen END AS avoided_fen,"
            f" {answers.undo_over(now)} AS firm,"
            " CASE WHEN w.answer_own THEN (SELECT s.words FROM wuzha.feedback_steps s"
            " WHERE s.warning_id = w.warning_id AND s.kind = 'answered' ORDER BY s.step_id DESC LIMIT 1) ELSE"
            " (SELECT c.words FROM wuzha.contacts c WHERE c.alert_id = a.alert_id AND c.kind = 'outcome'"
            "   AND NOT EXISTS (SELECT 1 FROM wuzha.contacts x WHERE x.undoes = c.contact_id)"
            "   ORDER BY c.contact_id DESC LIMIT 1) END AS words"
            " FROM wuzha.workbook_rows r JOIN wuzha.alert_warnings w USING (source, event_id)"
            " JOIN wuzha.alerts a USING (alert_id) LEFT JOIN wuzha.users u ON u.user_id = w.answered_by"
            " LEFT JOIN wuzha.units n ON n.unit_id = a.unit_id"
            " WHERE r.workbook_id = %(id)s AND w.answer IS NOT NULL ORDER BY r.sheet, r.row",
            {"id": workbook_id, "now": now},
        )
        .fetchall()
    )
    way = ways.ways(conn).get(book["source"], ways.Way())
    known = {name: m for name, (m, _) in layouts.saved(conn).items()}
    cells: dict[str, dict[tuple[int, int], str]] = {}
    words: dict[str, dict[str, str]] = {}
    at: dict[str, dict[str, int]] = {}
    for sheet in book["sheets"]:
        mapping = known.get(sheet["layout"])
        at[sheet["name"]], heads = _columns(sheet["names"], mapping)
        cells[sheet["name"]] = {(sheet["header"], c): text for c, text in heads.items()} if found else {}
        words[sheet["name"]] = dict(mapping.feedback.results) if mapping is not None and mapping.feedback else {}
    firm = [r for r in found if r["firm"] and r["sheet"] in at]
    for r in firm:
        said = {
            "result": way.word(r["answer"], words[r["sheet"]]),
            "at": f"{r['answered_at'].astimezone(zone()):%Y-%m-%d %H:%M:%S}",
            "officer": r["officer"] or "", "unit": r["unit"] or "", "words": r["words"] or "",
            "amount": money.yuan(r["avoided_fen"]) if r["avoided_fen"] else "",
        }  # fmt: skip
        for part, column in at[r["sheet"]].items():
            if said[part]:
                cells[r["sheet"]][r["row"], column] = said[part]
    name, data = books.content(conn, workbook_id)
    try:
        done = ingest.filling.fill(name, data, {s: c for s, c in cells.items() if c})
    except ingest.filling.CannotFill as error:
        raise Refused("cannot_fill", why=str(error)) from error
    what: list[tuple[Any, ...]] = []
    if mark and way.way not in ("api", "pull"):
        new = {r["warning_id"]: r for r in firm if r["feedback"] == "owed"}
        what = [(i, r["answer"], way.word(r["answer"], words[r["sheet"]])) for i, r in new.items()]
        if what:
            feedback.mark_sent(conn, actor, what, receipt=name, at=now)
    if mark:  # its names and numbers leave, whether or not there was anything to fill in
        books.record(conn, actor, workbook_id, "filled", now, sent=len(what), purpose=purpose)
    return done


def _columns(names: list[str], mapping: Mapping | None) -> tuple[dict[str, int], dict[int, str]]:
    """Part of an answer → its column; and the headings of columns that have to be added at the right."""
    usual = ways.defaults()
    plain = [ingest.books.plain(n) for n in names]
    taken = set() if mapping is None else {
        ingest.books.plain(s) for listed in mapping.columns.values() for s in listed if isinstance(s, str)
    }  # fmt: skip
    out: dict[str, int] = {}
    for part in books.reading_parts():
        own = mapping.feedback.columns.get(part, ()) if mapping is not None and mapping.feedback is not None else ()
        wanted = [*own, *(n for n in usual.columns.get(part, ()) if ingest.books.plain(n) not in taken)]
        column = next((plain.index(ingest.books.plain(n)) for n in wanted if ingest.books.plain(n) in plain), None)
        if column is not None:
            out[part] = column
    if "result" in out:
        return out, {}
    heads: dict[int, str] = {}
    for part in usual.add:
        if part not in out:
            out[part] = len(names) + len(heads)
            heads[out[part]] = usual.columns[part][0]
    return out, heads
