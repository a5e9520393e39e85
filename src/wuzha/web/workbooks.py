"""A workbook of warnings: dropped, asked about where nobody knows it, taken, and given back with its results."""

from __future__ import annotations

import re
from functools import partial
from typing import Any
from urllib.parse import quote

import psycopg
from fastapi import APIRouter, Depends
from fastapi.responses import RedirectResponse, Response

from wuzha import ingest
from wuzha.command.public import Refused, require
from wuzha.events import LEVELS
from wuzha.events.scam_types import scam_types
from wuzha.events.warnings import STAGES
from wuzha.respond import books, layouts, returns, ways
from wuzha.respond.codes import codes

from .context import Context, attempt, posted, signed_in
from .masks import mask_text
from .upload import Dropped, dropped

router = APIRouter()

_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_TYPES = {".xlsx": _XLSX, ".xlsm": "application/vnd.ms-excel.sheet.macroEnabled.12", ".csv": "text/csv",
          ".tsv": "text/tab-separated-values"}  # fmt: skip
_TIME = re.compile(r"(19|20)\d\d[-/.年]\d{1,2}[-/.月]\d{1,2}日?([ T]\d{1,2}:\d{2}(:\d{2})?)?\Z")
#: Rejects shown on the page; all are in the download.
_SHOWN = 200


def attachment(name: str, data: bytes, kind: str = "") -> Response:
    """A file to keep, never opened inside the page."""
    suffix = name[name.rfind(".") :].lower() if "." in name else ""
    return Response(
        data, media_type=kind or _TYPES.get(suffix, "application/octet-stream"),
        headers={
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}", "Cache-Control": "no-store",
        },
    )  # fmt: skip


@router.post("/desk/workbooks")
def drop(sent: Dropped = Depends(dropped)) -> Response:
    """Take the dropped workbook, and show what became of it."""
    if not sent.name or not sent.data:
        raise Refused("book_empty")
    with sent.ctx.db() as conn:
        number = books.drop(conn, sent.ctx.actor, sent.name, sent.data)
    return RedirectResponse(f"/workbooks/{number}", status_code=303)


def _show(ctx: Context, number: int, *, said: Refused | None = None, status: int = 200, note: str = "") -> Response:
    with ctx.db() as conn:
        book = books.one(conn, ctx.actor, number)
        asking = book["state"] == "asking"
        return ctx.page(
            "workbook.html", status=status, book=book, said=said, note=note, shown=_SHOWN,
            sheets=books.preview(conn, ctx.actor, number) if asking else [],
            senders=books.senders(conn) if asking else [],
            words=books.unknown_words(conn, ctx.actor, number), owed=returns.owed(conn, ctx.actor, number),
            targets=ingest.books.offered(), parts=books.reading_parts(), meanings=_meanings(), form=ctx.form,
            may=ctx.actor.may, guessed=_guessed, value=_value, codes=codes(),
        )  # fmt: skip


def _guessed(name: str, guess: dict[str, tuple[str, float]]) -> str:
    """What a column is likely to be: part of an answer by its usual name, else what it is like."""
    for part, names in ways.defaults().columns.items():
        if name.strip() in names:
            return f"answer.{part}"
    return guess[name][0] if name in guess else ""


def _value(text: str) -> str:
    """A cell as it may be shown: numbers shortened, a time as it is."""
    return text if _TIME.match(text) else mask_text(text)


def _meanings() -> dict[str, list[tuple[str, str]]]:
    """What a word of each target may stand for: (value, catalogue key)."""
    return {
        "level_upstream": [(v, f"level.{v}") for v in LEVELS],
        "scam_type": [(c, f"type.{c}") for c in scam_types() if c != "none"],
        "stage": [(v, f"stage.{v}") for v in STAGES],
    }


@router.get("/workbooks/{number}")
def show(number: int, ctx: Context = Depends(signed_in)) -> Response:
    """What is known of a workbook."""
    return _show(ctx, number)


@router.post("/workbooks/{number}/explain")
def explain(number: int, ctx: Context = Depends(posted)) -> Response:
    """The officer's word on source and columns."""
    f = ctx.form

    def work(conn: psycopg.Connection[Any]) -> None:
        columns: dict[str, dict[str, str] | None] = {}
        for i, sheet in enumerate(books.preview(conn, ctx.actor, number)):
            chosen = {
                name: target for j, name in enumerate(sheet.names) if name and (target := f.get(f"c-{i}-{j}", ""))
            }
            columns[sheet.name] = None if f.get(f"skip-{i}") else chosen
        books.explain(conn, ctx.actor, number, source=f.get("source", ""), columns=columns)

    return attempt(ctx, work, shown=partial(_show, number=number), to=f"/workbooks/{number}")


@router.post("/workbooks/{number}/words")
def words(number: int, ctx: Context = Depends(posted)) -> Response:
    """Meanings of words that nobody knew; the rows that they stopped are read again."""
    f = ctx.form
    allowed = {target: {v for v, _ in pairs} for target, pairs in _meanings().items()}

    def work(conn: psycopg.Connection[Any]) -> None:
        meant: dict[str, dict[str, dict[str, str]]] = {}
        n = 0
        for layout, by_target in books.unknown_words(conn, ctx.actor, number).items():
            for target, listed in by_target.items():
                for word in listed:
                    value = f.get(f"v-{n}", "")
                    if value in allowed[target] and f.get(f"w-{n}") == word:
                        meant.setdefault(layout, {}).setdefault(target, {})[word] = value
                    n += 1
        if not meant:
            raise Refused("no_choice")
        books.explain_words(conn, ctx.actor, number, meant)

    return attempt(ctx, work, shown=partial(_show, number=number), to=f"/workbooks/{number}")


@router.post("/workbooks/{number}/filled")
def filled(number: int, ctx: Context = Depends(posted)) -> Response:
    """The workbook with its results; what is in it for the first time counts as sent."""
    return attempt(
        ctx, lambda conn: returns.filled(
            conn, ctx.actor, number, mark=True, purpose=ctx.form.get("purpose", "")),
        shown=partial(_show, number=number), to=lambda done: attachment(done.name, done.data),
    )  # fmt: skip


@router.post("/workbooks/{number}/rejects")
def rejects(number: int, ctx: Context = Depends(posted)) -> Response:
    """The rows that were not taken, as a workbook."""

    def work(conn: psycopg.Connection[Any]) -> Response:
        name = books.one(conn, ctx.actor, number)["name"]
        data = books.rejects_book(conn, ctx.actor, number, purpose=ctx.form.get("purpose", ""))
        return attachment(f"{name.rpartition('.')[0] or name}-未导入.xlsx", data, _XLSX)

    return attempt(ctx, work, shown=partial(_show, number=number), to=lambda made: made)


@router.get("/layouts")
def show_layouts(ctx: Context = Depends(signed_in)) -> Response:
    """The layouts that officers have confirmed, as text to edit."""
    return _layouts(ctx)


def _layouts(ctx: Context, *, said: Refused | None = None, status: int = 200) -> Response:
    require(ctx.actor, "desk.act")
    with ctx.db() as conn:
        rows = conn.execute(
            "SELECT l.name, l.source, q.title, l.text, l.saved_at, u.name FROM wuzha.layouts l"
            " JOIN wuzha.sources q ON q.name = l.source LEFT JOIN wuzha.users u ON u.user_id = l.saved_by"
            " ORDER BY l.source, l.name LIMIT 500"
        ).fetchall()
    return ctx.page("layouts.html", status=status, rows=rows, said=said, form=ctx.form)


@router.post("/layouts")
def save_layout(ctx: Context = Depends(posted)) -> Response:
    """Keep a layout as it was edited; it must keep its name."""
    name, text = ctx.form.get("name", ""), ctx.form.get("text", "")

    def work(conn: psycopg.Connection[Any]) -> None:
        source, _ = layouts.text_of(conn, name)
        if layouts.save(conn, ctx.actor, source, text).name != name:
            raise Refused("layout_wrong", why=f"layout: name = {name}")

    return attempt(ctx, work, shown=_layouts, to="/layouts")
