"""Log in and out, one's own password and language."""

from __future__ import annotations

import secrets
from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response
from psycopg_pool import ConnectionPool

from wuzha.command import sessions
from wuzha.command.public import Refused
from wuzha.events import clock
from wuzha.respond import tiers

from . import render
from .context import BadForm, Context, cookie_name, fields, posted, same_site, set_cookie, signed_in

router = APIRouter()
PRE = "wuzha_pre"


def wish(request: Request) -> str:
    """The reader's language where no session says it: what they chose here before, else the browser's wish."""
    told = request.cookies.get("wuzha_language") or request.headers.get("accept-language", "")
    return "en" if told.lower().startswith("en") else "zh"


def _safe_next(target: str) -> str:
    """Only a path of ours: another host in ``next`` would send officers to a copy of this page."""
    parts = urlsplit(target)
    own = target.startswith("/") and not target.startswith(("//", "/\\")) and not parts.scheme and not parts.netloc
    return target if own and "\\" not in target and not target.startswith("/log") else "/"


def _form(
    request: Request, *, said: str | None, status: int = 200, name: str = "", to: str = "/", **values: Any
) -> Response:
    pre = request.cookies.get(PRE) or secrets.token_urlsafe(24)
    response = render.page(
        request,
        "login.html",
        language=wish(request),
        status=status,
        said=said,
        csrf=pre,
        name=name,
        to=to,
        values=values,
    )
    set_cookie(request, response, PRE, pre, seconds=3600)
    return response


@router.get("/login")
def show(request: Request, next: str = "/", said: str = "") -> Response:
    """The form; where a session stands already, on to the desk."""
    return _form(request, said="ended" if said == "ended" else None, to=_safe_next(next))


@router.post("/login")
def log_in(request: Request, pairs: list[tuple[str, str]] = Depends(fields)) -> Response:
    """Try it. The same words for a wrong name and a wrong password."""
    form = dict(pairs)
    pre = request.cookies.get(PRE, "")
    if not pre or not same_site(request) or not secrets.compare_digest(form.get("csrf", "").encode(), pre.encode()):
        raise BadForm
    to = _safe_next(form.get("next", "/"))
    name = form.get("login", "").replace("\x00", "")[:100]
    pool: ConnectionPool[Any] = request.app.state.pool
    with pool.connection() as conn, conn.transaction():
        got = sessions.log_in(conn, name, form.get("password", "")[:1000])
    if got.token is None:
        minutes = None if got.until is None else max(1, -(-(tiers.left(got.until, clock.now()) or 0) // 60))
        return _form(request, said=got.refused, status=401, name=name, to=to, minutes=minutes)
    response = RedirectResponse(to, status_code=303)
    set_cookie(request, response, cookie_name(request), got.token, seconds=sessions.SESSION_S)
    response.delete_cookie(PRE, path="/")
    return response


@router.post("/logout")
def log_out(ctx: Context = Depends(posted)) -> Response:
    """End the session."""
    with ctx.db() as conn:
        sessions.log_out(conn, ctx.token, ctx.actor)
    response = RedirectResponse("/login", status_code=303)
    response.delete_cookie(cookie_name(ctx.request), path="/")
    return response


@router.post("/language")
def language(ctx: Context = Depends(posted)) -> Response:
    """Chinese or English, kept with the user."""
    with ctx.db() as conn:
        sessions.set_language(conn, ctx.actor, ctx.form.get("language", ""))
    response = RedirectResponse(_safe_next(ctx.form.get("next", "/")), status_code=303)
    set_cookie(ctx.request, response, "wuzha_language", ctx.form["language"], seconds=365 * 86400)
    return response


@router.get("/password")
def password(ctx: Context = Depends(signed_in)) -> Response:
    """The form for a new password of one's own."""
    return ctx.page("password.html", length=sessions.PASSWORD_LENGTH)


@router.post("/password")
def set_password(ctx: Context = Depends(posted)) -> Response:
    """Change it; other sessions of this user end."""
    try:
        if ctx.form.get("new", "") != ctx.form.get("again", ""):
            raise Refused("passwords_differ")
        with ctx.db() as conn:
            sessions.change_password(conn, ctx.actor, ctx.form.get("old", ""), ctx.form.get("new", ""), keep=ctx.token)
    except Refused as refused:
        return ctx.page("password.html", status=409, length=sessions.PASSWORD_LENGTH, said=refused)
    return RedirectResponse("/", status_code=303)
