"""Administration of users and their roles."""

from __future__ import annotations

from fastapi import APIRouter, Depends
from fastapi.responses import Response

from wuzha.command import units, users
from wuzha.command.public import MAY, ROLES, Refused, require

from .admin_units import whole
from .context import Context, attempt, posted, signed_in

router = APIRouter(prefix="/admin/users")


def _show(
    ctx: Context, *, said: Refused | None = None, status: int = 200, secret: tuple[str, str] | None = None
) -> Response:
    require(ctx.actor, "users.write")
    with ctx.db() as conn:
        people = users.all_in_reach(conn, ctx.actor)
        tree = units.tree(conn, ctx.actor)
    return ctx.page(
        "admin_users.html", status=status, people=people, tree=tree, roles=ROLES, rights=MAY, said=said, secret=secret,
        form=ctx.form,
    )  # fmt: skip


@router.get("")
def show(ctx: Context = Depends(signed_in)) -> Response:
    """Users in reach and the form for a new one."""
    return _show(ctx)


@router.post("")
def add(ctx: Context = Depends(posted)) -> Response:
    """A new user; the password is on this answer and nowhere else."""
    f = ctx.form
    return attempt(ctx, lambda conn: users.add(
        conn, ctx.actor, login=f.get("login", ""), name=f.get("name", ""), unit_id=whole(f.get("unit", "")),
        roles=ctx.many.get("role", []), badge_no=f.get("badge", "").strip()[:40] or None,
        extension=f.get("extension"),
    ), shown=_show, to=lambda made: _show(ctx, secret=(f["login"].strip(), made[1])))  # fmt: skip


@router.post("/{user_id}")
def change(user_id: int, ctx: Context = Depends(posted)) -> Response:
    """Change a user."""
    f = ctx.form
    return attempt(ctx, lambda conn: users.change(
        conn, ctx.actor, user_id, name=f.get("name", ""), unit_id=whole(f.get("unit", "")),
        roles=ctx.many.get("role", []), active=f.get("active") == "1",
        badge_no=f.get("badge", "").strip()[:40] or None, extension=f.get("extension"),
    ), shown=_show, to="/admin/users")  # fmt: skip


@router.post("/{user_id}/password")
def reset(user_id: int, ctx: Context = Depends(posted)) -> Response:
    """A new password, shown once; the account is unlocked."""
    with ctx.db() as conn:
        secret = users.reset_password(conn, ctx.actor, user_id)
    return _show(ctx, secret=(ctx.form.get("login", ""), secret))
