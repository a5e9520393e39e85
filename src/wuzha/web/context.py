"""What a page's handler gets: the session, a transaction with the officer's scope, a form that was really sent by one
of our pages, and the renderer.

Kept true here: without a session no handler runs that asks for one; every POST is refused unless it carries the
session's token; every read and write of a handler has the officer's unit as its scope; a refused step changes nothing
and is told on the page that it was taken on.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, TypeVar
from urllib.parse import parse_qsl, quote, urlsplit

import psycopg
from fastapi import Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from psycopg_pool import ConnectionPool

from wuzha import store
from wuzha.command import sessions
from wuzha.command.public import Actor, Refused
from wuzha.events import clock

from . import render

FORM_BYTES = 1024 * 1024
#: What people write into a file, in characters at most; a longer one is refused, never cut short.
WRITTEN = {"words": 2000, "reason": 2000, "note": 2000}
FORM_FIELDS = 200
#: Which refusals are which answers; all others are a conflict.
STATUS = {"not_found": 404, "forbidden": 403, "book_too_large": 413}

T = TypeVar("T")


class SessionEnded(Exception):
    """No session stands behind this request."""


class MustChange(Exception):
    """The officer still has the password that was handed to them."""


class BadForm(Exception):
    """The form is too large, of another kind, or not from our page."""


@dataclass(kw_only=True)
class Context:
    """One request of one officer."""

    request: Request
    pool: ConnectionPool[Any]
    session: sessions.Session
    token: str
    form: Mapping[str, str] = field(default_factory=dict)
    many: Mapping[str, list[str]] = field(default_factory=dict)

    #: Pages that an officer with a handed-out password may open before they have changed it.
    BEFORE_CHANGE: ClassVar[frozenset[str]] = frozenset({"/password", "/logout", "/language"})

    @property
    def actor(self) -> Actor:
        """The officer."""
        return self.session.actor

    @property
    def language(self) -> str:
        """The officer's language."""
        return self.session.actor.language

    @contextmanager
    def db(self) -> Iterator[psycopg.Connection[Any]]:
        """A transaction with the officer's scope; commits at the end of the block."""
        with (
            self.pool.connection() as conn,
            store.transaction(conn, unit=self.actor.unit_id, user=self.actor.user_id),
        ):
            yield conn

    def page(self, template: str, *, status: int = 200, **values: Any) -> Response:
        """A page for this officer."""
        return render.page(
            self.request, template, language=self.language, status=status, actor=self.actor, csrf=self.session.csrf,
            click=secrets.token_hex(12), now=values.pop("now", None) or clock.now(), **values,
        )  # fmt: skip


def cookie_name(request: Request) -> str:
    """Cookies know no ports, and two seats may stand on one host: the name says which."""
    return f"wuzha_{request.url.port or (443 if request.url.scheme == 'https' else 80)}"


def set_cookie(request: Request, response: Response, name: str, value: str, *, seconds: int) -> None:
    """A cookie that scripts do not see and other sites do not send."""
    response.set_cookie(
        name, value, max_age=seconds, httponly=True, samesite="strict", secure=request.url.scheme == "https", path="/"
    )


def signed_in(request: Request) -> Context:
    """Dependency: the request's context. SessionEnded where there is none."""
    token = request.cookies.get(cookie_name(request), "")
    pool: ConnectionPool[Any] = request.app.state.pool
    with pool.connection() as conn, conn.transaction():
        session = sessions.find(conn, token) if token else None
    if session is None:
        raise SessionEnded
    request.state.session = session  # so that a page of refusal speaks the officer's language
    if session.actor.must_change and request.url.path not in Context.BEFORE_CHANGE:
        raise MustChange
    return Context(request=request, pool=pool, session=session, token=token)


async def read_form(request: Request) -> list[tuple[str, str]]:
    """The fields of a plain form. BadForm where it is too large or another kind."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise BadForm
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > FORM_BYTES:
            raise BadForm
    try:
        return parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=FORM_FIELDS)
    except ValueError as error:  # bytes that are no UTF-8, or too many fields
        raise BadForm from error


def same_site(request: Request) -> bool:
    """False where the browser says that another site sent this."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = request.headers.get("origin")
    return origin in (None, f"{request.url.scheme}://{request.url.netloc}")


async def fields(request: Request) -> list[tuple[str, str]]:
    """Dependency: the form's fields, read once."""
    return await read_form(request)


def posted(context: Context = Depends(signed_in), pairs: list[tuple[str, str]] = Depends(fields)) -> Context:
    """Dependency of every POST: the context with its form. BadForm without the session's token; Refused("too_long")."""
    # Browsers end lines with two characters and count them as one.
    form = {name: value.replace("\x00", "").replace("\r\n", "\n") for name, value in pairs}
    sent = form.get("csrf", "") or context.request.headers.get("x-csrf", "")
    if not same_site(context.request) or not secrets.compare_digest(sent.encode(), context.session.csrf.encode()):
        raise BadForm
    many: dict[str, list[str]] = {}
    for name, value in pairs:
        many.setdefault(name, []).append(value)
    for name, most in WRITTEN.items():
        if len(form.get(name, "")) > most:
            raise Refused("too_long", length=len(form[name]), limit=most)
    context.form, context.many = form, many
    return context


class Shown(Protocol):
    """A page that can say on top why a step was refused."""

    def __call__(self, ctx: Context, /, *, said: Refused, status: int) -> Response: ...


def attempt(
    ctx: Context,
    work: Callable[[psycopg.Connection[Any]], T],
    *,
    shown: Shown,
    to: str | Callable[[T], str | Response],
) -> Response:
    """Take the step ``work`` in one transaction, then go on to ``to``: an address, or what makes an address or an
    answer of the step's result.

    Kept true: a refusal ends the transaction before ``shown`` makes the page of it (409), so that the page tells what
    stands and nothing is half done; a refusal with an answer of its own (`STATUS`) is no page's to tell and is raised;
    the way on is taken only after the step was committed.
    """
    try:
        with ctx.db() as conn:
            result = work(conn)
    except Refused as refused:
        if refused.reason in STATUS:
            raise
        return shown(ctx, said=refused, status=409)
    answer = to if isinstance(to, str) else to(result)
    return RedirectResponse(answer, status_code=303) if isinstance(answer, str) else answer


def address(request: Request) -> str:
    """What was asked for, within this host."""
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


def _page_of(request: Request) -> str:
    """The page that a form was sent from, so that its draft is found again; ``/`` where it is not ours."""
    page = urlsplit(request.headers.get("hx-current-url") or request.headers.get("referer", ""))
    if page.netloc != request.url.netloc or not page.path.startswith("/"):
        return "/"
    return page.path + (f"?{page.query}" if page.query else "")


def to_login(request: Request, said: str = "") -> Response:
    """To the log-in page and back to where the officer was, for a form to the page that it stood on; a part of a page
    sends the whole page there."""
    here = address(request) if request.method == "GET" else _page_of(request)
    target = f"/login?next={quote(here, safe='')}" + (f"&said={said}" if said else "")
    if request.headers.get("hx-request"):
        return HTMLResponse("", status_code=401, headers={"HX-Redirect": target})
    return RedirectResponse(target, status_code=303)
