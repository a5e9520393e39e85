"""Waves: many people whom one thing has touched, worked as one item."""

from __future__ import annotations

import io
from functools import partial
from typing import Any

from fastapi import APIRouter, Depends
from fastapi.responses import Response

from wuzha.command.public import Refused
from wuzha.events import clock
from wuzha.respond import group_text, seized, waves
from wuzha.respond import texts as messages

from . import catalogue, words
from .context import Context, attempt, posted, signed_in
from .masks import Sight
from .upload import Dropped, dropped
from .workbooks import attachment

router = APIRouter(prefix="/waves")


def _list(ctx: Context, *, said: Refused | None = None, status: int = 200) -> Response:
    with ctx.db() as conn:
        return ctx.page(
            "waves.html", status=status, waves=waves.waves(conn, ctx.actor), said=said, form=ctx.form,
            making=waves.in_the_making(conn, ctx.actor),
        )  # fmt: skip


def _one(ctx: Context, wave_id: int, *, said: Refused | None = None, status: int = 200) -> Response:
    with ctx.db() as conn:
        found = waves.read(conn, ctx.actor, wave_id)
    return ctx.page("wave.html", status=status, found=found, wave=found.wave, total=found.total, said=said,
                    gateway=messages.open_to())  # fmt: skip


def _step(ctx: Context, wave_id: int, verb: Any) -> Response:
    return attempt(
        ctx, lambda conn: verb(conn, ctx.actor, wave_id), shown=partial(_one, wave_id=wave_id), to=f"/waves/{wave_id}"
    )


@router.get("")
def show(ctx: Context = Depends(signed_in)) -> Response:
    """Waves, and those in the making."""
    return _list(ctx)


@router.post("")
def make(ctx: Context = Depends(posted)) -> Response:
    """One work item of everybody whom a mark has touched."""
    f = ctx.form
    return attempt(ctx, lambda conn: waves.make(
        conn, ctx.actor, mark=f.get("mark", ""), title=f.get("title", ""), key=f.get("click", ""),
    ), shown=_list, to=lambda made: f"/waves/{made}")  # fmt: skip


@router.post("/list")
def take_list(sent: Dropped = Depends(dropped)) -> Response:
    """A wave of a seized list."""
    f = sent.ctx.form
    return attempt(sent.ctx, lambda conn: seized.take(
        conn, sent.ctx.actor, name=sent.name, data=sent.data, case_no=f.get("case_no", ""), title=f.get("title", ""),
        key=f.get("click", ""),
    ), shown=_list, to=lambda made: f"/waves/{made}")  # fmt: skip


@router.get("/{wave_id}")
def one(wave_id: int, ctx: Context = Depends(signed_in)) -> Response:
    """A wave's figures, by unit."""
    return _one(ctx, wave_id)


@router.post("/{wave_id}/hand-out")
def hand_out(wave_id: int, ctx: Context = Depends(posted)) -> Response:
    """Hand other units their share."""
    return _step(ctx, wave_id, waves.hand_out)


@router.post("/{wave_id}/sign")
def sign(wave_id: int, ctx: Context = Depends(posted)) -> Response:
    """Sign for one's share."""
    return _step(ctx, wave_id, waves.sign_share)


@router.post("/{wave_id}/close")
def close(wave_id: int, ctx: Context = Depends(posted)) -> Response:
    """End it."""
    return _step(ctx, wave_id, waves.close)


@router.post("/{wave_id}/texts.xlsx")
def texts(wave_id: int, ctx: Context = Depends(posted)) -> Response:
    """The file of a group text; each person's own file tells that they were texted."""
    f = ctx.form
    return attempt(ctx, lambda conn: group_text.send(
        conn, ctx.actor, wave_id, purpose=f.get("purpose", ""), key=f.get("click", ""), language=ctx.language,
    ), shown=partial(_one, wave_id=wave_id), to=lambda made: attachment(f"texts-{wave_id}.xlsx", made))  # fmt: skip


@router.post("/{wave_id}/texts")
def texts_now(wave_id: int, ctx: Context = Depends(posted)) -> Response:
    """The group text over the message gateway."""
    f = ctx.form
    return _step(ctx, wave_id, partial(
        messages.send_wave, purpose=f.get("purpose", ""), key=f.get("click", ""), flash=f.get("flash") == "1",
        language=ctx.language,
    ))  # fmt: skip


_COLUMNS = (
    "wave.no", "person.name", "person.line", "col.unit", "col.level", "col.type", "col.state", "wave.signed",
    "wave.officer", "wave.first_contact", "wave.contacts", "alert.outcome", "figure.avoided", "figure.lost",
)  # fmt: skip


@router.get("/{wave_id}/table.xlsx")
def table(wave_id: int, ctx: Context = Depends(signed_in)) -> Response:
    """The feedback table: one row a person, masked, with what was done and what came of it."""
    with ctx.db() as conn:
        found = waves.read(conn, ctx.actor, wave_id)
        rows = waves.people(conn, ctx.actor, wave_id)

    def word(key: str) -> str:
        return catalogue.translate(key, ctx.language)

    def when(at: Any) -> str:
        return words.full(at) if at else ""

    import xlsxwriter

    sink = io.BytesIO()
    with xlsxwriter.Workbook(sink, {"in_memory": True, "strings_to_formulas": False}) as book:
        sheet = book.add_worksheet(word("wave.feedback"))
        sheet.write_row(0, 0, [word(key) for key in _COLUMNS], book.add_format({"bold": True}))
        sheet.freeze_panes(1, 0)
        for i, r in enumerate(rows, 1):
            sight = Sight()
            sheet.write_row(i, 0, [
                r["alert_id"], sight.name(r["name"]) or "", sight.line(r["line"]) or "", r["unit_name"],
                word(f"level.{r['level']}"), word(f"type.{r['scam_type']}"), word(f"state.{r['state']}"),
                when(r["signed_at"]), r["officer"] or "", when(r["contacted_at"]), r["contacts"],
                word(f"outcome.{r['outcome']}") if r["outcome"] else "",
                *("" if r[money] is None else r[money] / 100 for money in ("avoided_fen", "lost_fen")),
            ])  # fmt: skip
        sheet.autofit()
    name = f"wave-{found.wave['wave_id']}-{clock.now():%Y%m%d%H%M}.xlsx"
    return attachment(name, sink.getvalue())
