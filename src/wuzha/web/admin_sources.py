"""Administration of registered sources and their keys."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any

import psycopg
from fastapi import APIRouter, Depends
from fastapi.responses import RedirectResponse, Response

from wuzha.command import sources
from wuzha.command.public import Refused, require
from wuzha.events import BASES, clock
from wuzha.store.keys import Issued
from wuzha.store.sources import ROLES, SENDABLE

from .context import Context, attempt, posted, signed_in

router = APIRouter(prefix="/admin/sources")


def _show(ctx: Context, *, said: Refused | None = None, status: int = 200, issued: Issued | None = None) -> Response:
    require(ctx.actor, "sources.write")
    with ctx.db() as conn:
        rows = [
            (s, flaws, sources.keys_of(conn, ctx.actor, s.source_id)) for s, flaws in sources.every(conn, ctx.actor)
        ]
    return ctx.page(
        "admin_sources.html", status=status, rows=rows, roles=ROLES, bases=BASES, tables=SENDABLE, said=said,
        issued=issued, form=ctx.form, chosen=ctx.many.get("table", []),
    )  # fmt: skip


@router.get("")
def show(ctx: Context = Depends(signed_in)) -> Response:
    """Sources, their keys and what is wrong with them."""
    return _show(ctx)


def _until(text: str) -> datetime | None:
    """The end of a day in the deployment's zone. Refused where it is no date."""
    if not text.strip():
        return None
    if (day := clock.day_of(text)) is None:
        raise Refused("source_entry", code="basis_until")
    return datetime.combine(day, time(), clock.zone()) + timedelta(days=1)


@router.post("")
def add(ctx: Context = Depends(posted)) -> Response:
    """Register a source."""
    f = ctx.form

    def work(conn: psycopg.Connection[Any]) -> None:
        days = f.get("retention_days", "")
        if not (days.isascii() and days.isdigit() and len(days) < 6):
            raise Refused("source_entry", code="retention_days")
        sources.add(
            conn, ctx.actor, name=f.get("name", "").strip(), title=f.get("title", ""), role=f.get("role", ""),
            basis=f.get("basis", ""), purpose=f.get("purpose", ""), retention_days=int(days),
            tables=ctx.many.get("table", []), basis_ref=f.get("basis_ref") or None,
            basis_until=_until(f.get("basis_until", "")),
        )  # fmt: skip

    return attempt(ctx, work, shown=_show, to="/admin/sources")


@router.post("/{source_id}/active")
def active(source_id: int, ctx: Context = Depends(posted)) -> Response:
    """Close a source or open it again."""
    with ctx.db() as conn:
        sources.set_active(conn, ctx.actor, source_id, active=ctx.form.get("active") == "1")
    return RedirectResponse("/admin/sources", status_code=303)


@router.post("/{source_id}/keys")
def issue(source_id: int, ctx: Context = Depends(posted)) -> Response:
    """A new key, shown on this answer only."""
    with ctx.db() as conn:
        issued = sources.issue_key(conn, ctx.actor, source_id)
    return _show(ctx, issued=issued)


@router.post("/{source_id}/keys/{key_id}/revoke")
def revoke(source_id: int, key_id: int, ctx: Context = Depends(posted)) -> Response:
    """End a key at once."""
    with ctx.db() as conn:
        sources.revoke_key(conn, ctx.actor, source_id, key_id)
    return RedirectResponse("/admin/sources", status_code=303)
