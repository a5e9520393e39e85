"""Administration of the tree of units."""

from __future__ import annotations

from fastapi import APIRouter, Depends
from fastapi.responses import Response

from wuzha.command import units
from wuzha.command.public import Refused, require

from .context import Context, attempt, posted, signed_in

router = APIRouter(prefix="/admin/units")


def _show(ctx: Context, *, said: Refused | None = None, status: int = 200) -> Response:
    require(ctx.actor, "units.write")
    with ctx.db() as conn:
        tree = units.tree(conn, ctx.actor)
    return ctx.page("admin_units.html", status=status, tree=tree, kinds=units.KINDS, said=said, form=ctx.form)


@router.get("")
def show(ctx: Context = Depends(signed_in)) -> Response:
    """The tree and the form for a new unit."""
    return _show(ctx)


@router.post("")
def add(ctx: Context = Depends(posted)) -> Response:
    """A new unit."""
    f = ctx.form
    return attempt(ctx, lambda conn: units.add(
        conn, ctx.actor, code=f.get("code", ""), name=f.get("name", ""), kind=f.get("kind", ""),
        parent_id=whole(f.get("parent", "")), place=f.get("place", "").strip() or None,
    ), shown=_show, to="/admin/units")  # fmt: skip


@router.post("/{unit_id}")
def change(unit_id: int, ctx: Context = Depends(posted)) -> Response:
    """Rename, move, open or close a unit."""
    f = ctx.form
    return attempt(ctx, lambda conn: units.change(
        conn, ctx.actor, unit_id, name=f.get("name", ""), active=f.get("active") == "1",
        parent_id=whole(f["parent"]) if f.get("parent") else None,
    ), shown=_show, to="/admin/units")  # fmt: skip


def whole(text: str) -> int:
    """A number that a form carries. Refused("not_found") where it is none."""
    if not (text.isascii() and text.isdigit() and len(text) < 18):
        raise Refused("not_found")
    return int(text)
