"""The pages as one ASGI application.

Kept true here: every answer carries the security headers; every refusal is a page that says what happened, what was
kept and what to do; nobody waits for ever; nothing of an error's inside reaches a browser.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import psycopg
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from psycopg_pool import ConnectionPool
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from wuzha.command.public import Refused

from . import (
    admin_clocks,
    admin_sources,
    admin_units,
    admin_users,
    after,
    alert,
    audit,
    callbacks,
    cases,
    context,
    desk,
    duty,
    feedback,
    figures,
    health,
    live,
    login,
    measures,
    money,
    orders,
    phones,
    phrases,
    platform,
    reasons,
    refunds,
    render,
    robot,
    rules,
    telephone,
    wall,
    waves,
    workbench,
    workbooks,
)

log = structlog.get_logger(__name__)

#: One file a page; each has its router.
PAGES = (
    login,
    desk,
    duty,
    alert,
    phrases,
    wall,
    figures,
    health,
    live,
    admin_units,
    admin_users,
    admin_sources,
    admin_clocks,
    audit,
    measures,
    after,
    waves,
    feedback,
    workbooks,
    workbench,
    telephone,
    callbacks,
    robot,
    phones,
    health,
    rules,
    cases,
    money,
    refunds,
    platform,  # before orders, whose addresses take a number in its place
    orders,
)


def create(pool: ConnectionPool[Any]) -> FastAPI:
    """The pages over a pool of connections as wuzha_web. Mount it at the root, after what answers under ``/v1``."""
    app = FastAPI(title="Wuzha pages", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.pool = pool
    reasons.read_from(pool)
    static = Path(str(files(__package__))) / "static"
    app.mount("/static", StaticFiles(directory=static), name="static")
    for page in PAGES:
        app.include_router(page.router)

    @app.middleware("http")
    async def headers(request: Request, call: Callable[[Request], Awaitable[Response]]) -> Response:
        # PostgreSQL keeps no NUL in a text, and no page of ours sends one.
        odd = "%00" in request.url.query or "\x00" in request.url.path
        response = plain(request, 404, "not_found") if odd else await call(request)
        for name, value in render.HEADERS.items():
            response.headers.setdefault(name, value)
        if request.url.path.startswith("/static/"):
            response.headers["Cache-Control"] = "public, max-age=31536000" if "v=" in request.url.query else "no-cache"
        return response

    def plain(request: Request, status: int, key: str, **values: object) -> Response:
        session = getattr(request.state, "session", None)
        known = {"actor": session.actor, "csrf": session.csrf} if session else {}
        language = session.actor.language if session else login.wish(request)
        again = context.address(request) if request.method == "GET" else ""
        return render.page(
            request, "error.html", language=language, status=status, key=key, values=values, again=again, **known
        )

    @app.exception_handler(context.SessionEnded)
    async def ended(request: Request, _: Exception) -> Response:
        return context.to_login(request, "ended" if context.cookie_name(request) in request.cookies else "")

    @app.exception_handler(context.MustChange)
    async def must_change(request: Request, _: Exception) -> Response:
        return Response(status_code=303, headers={"Location": "/password"})

    @app.exception_handler(context.BadForm)
    async def bad_form(request: Request, _: Exception) -> Response:
        return plain(request, 403, "bad_form")

    @app.exception_handler(Refused)
    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, Refused)
        return plain(request, context.STATUS.get(error.reason, 409), error.reason, **error.values)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return plain(request, error.status_code, "not_found" if error.status_code in (404, 405) else "failed")

    @app.exception_handler(RequestValidationError)
    async def unreadable(request: Request, _: Exception) -> Response:
        return plain(request, 404, "not_found")

    @app.exception_handler(psycopg.OperationalError)
    async def busy(request: Request, error: Exception) -> Response:
        # Another's step held the row, no connection came free, the database was away: nothing was done.
        log.warning("page gave up waiting", path=request.url.path, error=type(error).__name__)
        response = plain(request, 503, "busy")
        response.headers["Retry-After"] = "2"
        return response

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        log.error("page failed", path=request.url.path, error=type(error).__name__, exc_info=error)
        response = plain(request, 500, "failed")
        response.headers.update(render.HEADERS)
        return response

    return app
