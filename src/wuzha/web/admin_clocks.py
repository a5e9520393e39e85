"""Administration of the clocks: what each level allows, and tables that wait for a second person."""

from __future__ import annotations

import difflib

from fastapi import APIRouter, Depends
from fastapi.responses import Response

from wuzha.command.public import Refused, require
from wuzha.events import LEVELS, clock
from wuzha.respond import tier_book, tiers

from .context import Context, attempt, posted, signed_in

router = APIRouter(prefix="/admin/clocks")


def _changes(old: str, new: str) -> list[str]:
    """Lines that go and come, without the unchanged ones."""
    return [line for line in difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=0)][2:]


def _show(ctx: Context, *, said: Refused | None = None, status: int = 200) -> Response:
    require(ctx.actor, "clocks.write")
    now, text = clock.now(), tier_book.text_now()
    with ctx.db() as conn:
        rows = tier_book.texts(conn, ctx.actor)
    waiting = [{**row, "changes": _changes(text, row["body"])} for row in rows if row["decided_at"] is None]
    return ctx.page(
        "admin_clocks.html", status=status, now=now, table=tiers.tiers(now), levels=LEVELS, text=text,
        waiting=waiting, rows=[row for row in rows if row["decided_at"] is not None], by_hand=tier_book.by_hand(rows),
        said=said, form=ctx.form,
    )  # fmt: skip


@router.get("")
def show(ctx: Context = Depends(signed_in)) -> Response:
    """The clocks in force, as a table and as text."""
    return _show(ctx)


@router.post("")
def propose(ctx: Context = Depends(posted)) -> Response:
    """Write a table down for another to put in force."""
    f = ctx.form
    return attempt(
        ctx, lambda conn: tier_book.propose(conn, ctx.actor, f.get("text", ""), why=f.get("why", "")), shown=_show,
        to="/admin/clocks",
    )  # fmt: skip


@router.post("/{text_id}/decide")
def decide(text_id: int, ctx: Context = Depends(posted)) -> Response:
    """Put it in force, or leave it."""
    return attempt(
        ctx, lambda conn: tier_book.decide(conn, ctx.actor, text_id, accept=ctx.form.get("accept") == "1"),
        shown=_show, to="/admin/clocks",
    )  # fmt: skip
