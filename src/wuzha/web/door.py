"""The pages at the door, for officers' phones: ``/door``, in a network zone with a small database of its own and no way
to the centre but letters in folders.

Kept true here: a phone is paired by a code and opened by a PIN, never by a password of the police network; it sees its
own unit's orders, masked until it opens one, which is logged; the page itself holds nobody's data, so that a phone may
keep it for the time without a network; what a phone sends is answered item by item.
"""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import psycopg
import structlog
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from psycopg_pool import ConnectionPool, PoolTimeout
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from wuzha.events import clock
from wuzha.live.settings import Settings
from wuzha.respond import door_zone, verify, visit_form
from wuzha.respond.door_book import book
from wuzha.respond.phrases import MINDS
from wuzha.store import zone_keys

from . import door_words, outside, render
from .context import cookie_name, same_site
from .public import Tries, network_of

log = structlog.get_logger(__name__)

HEADERS = {
    **render.HEADERS,
    "Content-Security-Policy": render.HEADERS["Content-Security-Policy"] + "; worker-src 'self'",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(self), payment=()",
}
#: A picture and its letter; more is no item of ours.
BODY_BYTES = 1_200_000
ITEMS = 50
DEVICE_S = 400 * 86400
#: What the service worker keeps for the time without a network.
SHELL = ("door.css", "door_store.js", "door_form.js", "door.js", "icon.svg")
_hashing = threading.BoundedSemaphore(2)


class _Gone(Exception):
    """No session: ``ended``, ``revoked`` or ``unknown``."""


def create(pool: ConnectionPool[Any], told: Settings) -> FastAPI:
    """The pages over a pool of connections as wuzha_web."""
    app = FastAPI(title="Wuzha door", docs_url=None, redoc_url=None, openapi_url=None)
    tries = Tries(told.door_tries, told.door_tries * 20)
    proxies = frozenset(p.strip() for p in (told.proxies or "").split(",") if p.strip())
    static = Path(str(files(__package__))) / "static"
    app.mount("/static", StaticFiles(directory=static), name="static")
    purged = [0.0]

    @contextmanager
    def db() -> Iterator[psycopg.Connection[Any]]:
        with pool.connection(timeout=10) as conn, conn.transaction():
            yield conn

    def phone_of(conn: psycopg.Connection[Any], request: Request) -> door_zone.Phone:
        phone = door_zone.session(conn, request.cookies.get(_session(request), ""))
        if phone is None:
            state = door_zone.device(conn, request.cookies.get(_device(request), ""))
            raise _Gone("ended" if state == "paired" else state)
        return phone

    @app.middleware("http")
    async def headers(request: Request, call: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await call(request)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if request.url.path.startswith("/static/"):
            response.headers["Cache-Control"] = "public, max-age=31536000" if "v=" in request.url.query else "no-cache"
        return response

    def page(request: Request, template: str, *, language: str, status: int = 200, **values: Any) -> Response:
        return render.page(request, template, language=language, status=status, **values)

    # ------------------------------------------------------------ in and out

    @app.get("/")
    def home() -> Response:
        return RedirectResponse("/door", status_code=303)

    @app.get("/door/login")
    def login(request: Request) -> Response:
        with db() as conn:
            state = door_zone.device(conn, request.cookies.get(_device(request), ""))
        return page(request, "door_login.html", language=outside.language(request), state=state, why="", n=0)

    @app.post("/door/login")
    async def log_in(request: Request) -> Response:
        form = await _form(request)
        return await asyncio.to_thread(_log_in, request, form)

    def _log_in(request: Request, form: dict[str, str]) -> Response:
        language = outside.language(request)
        pin, device = door_zone.digits(form.get("pin", "")), request.cookies.get(_device(request), "")
        client = request.client.host if request.client else ""
        with db() as conn:
            state = door_zone.device(conn, device)

        def again(why: str, status: int = 403, n: int = 0) -> Response:
            return page(request, "door_login.html", language=language, status=status, state=state, why=why, n=n)

        if not same_site(request):
            return again("not_ours")
        wait = tries.wait(network_of(client, request.headers.get("x-forwarded-for", ""), proxies))
        if wait:
            return again("wait", 429, -(-wait // 60))
        fresh = None
        if state != "paired":
            if door_zone.weak(pin):
                return again("weak")
            zone = zone_keys.load(told.home)
            with _hashing, db() as conn:
                knows = zone is not None and verify.CENTRE in zone.peers
                fresh = door_zone.pair(conn, zone, form.get("code", ""), pin) if zone and knows else None
            if fresh is None:
                tries.missed()
                return again("bad_code")
        with _hashing, db() as conn:
            token, left = door_zone.log_in(conn, fresh or device, pin, length=clock.stretch(told.door_session_s))
        if token is None:
            tries.missed()
            state = "paired" if left else "revoked"
            return again("bad_pin" if left else "locked", n=left)
        response = RedirectResponse("/door", status_code=303)
        _cookie(request, response, _session(request), token, int(told.door_session_s))
        if fresh is not None:
            _cookie(request, response, _device(request), fresh, DEVICE_S)
        return response

    @app.post("/door/api/logout")
    def log_out(request: Request) -> Response:
        if not _ours(request):
            return JSONResponse({"reason": "not_ours"}, status_code=403)
        with db() as conn:
            door_zone.log_out(conn, phone_of(conn, request))
        response = JSONResponse({"reason": "ended"})
        response.delete_cookie(_session(request), path="/")
        return response

    # ------------------------------------------------------------ the page, for the network and without it

    @app.get("/door")
    def door(request: Request) -> Response:
        with db() as conn:
            phone = phone_of(conn, request)
            if request.url.query in ("zh", "en"):
                door_zone.set_language(conn, phone, request.url.query)
                phone = phone_of(conn, request)
        return shell(request, phone.language)

    @app.get("/door/{ref}")
    def order(request: Request, ref: str) -> Response:
        if not ref.isdigit():
            raise HTTPException(404)
        with db() as conn:
            phone = phone_of(conn, request)
        return shell(request, phone.language)

    def shell(request: Request, language: str) -> Response:
        return page(
            request, "door.html", language=language, checks=book().checks, results=visit_form.RESULTS, minds=MINDS,
            notice=book().notice[language], limit=book().pictures,
        )  # fmt: skip

    @app.get("/door-worker.js")
    def worker() -> Response:
        """The service worker, at the root so that it may serve ``/door``, with the addresses of what it keeps."""
        kept = json.dumps([render.static(name) for name in SHELL])
        text = (static / "door_worker.js").read_text("utf-8")
        return Response(
            f"'use strict';\nconst KEPT = {kept};\n{text}", media_type="text/javascript",
            headers={"Cache-Control": "no-cache"},
        )  # fmt: skip

    # ------------------------------------------------------------ what the page asks

    @app.get("/door/api/me")
    def me(request: Request) -> Response:
        with db() as conn:
            phone = phone_of(conn, request)
            if time.monotonic() - purged[0] > 60:
                purged[0] = time.monotonic()
                door_zone.purge(conn, clock.now())
        return _json(
            {
                "ref": phone.ref, "officer": phone.officer, "unit": phone.unit, "until": phone.until.isoformat(),
                "now": clock.now().isoformat(), "key": base64.b64encode(phone.store_key).decode(),
            }
        )  # fmt: skip

    @app.post("/door/api/former")
    async def former(request: Request) -> Response:
        return await asyncio.to_thread(_former, request, await _body(request))

    def _former(request: Request, body: dict[str, Any]) -> Response:
        """What opens what this phone kept when it was paired before, for the same officer only."""
        with db() as conn:
            phone = phone_of(conn, request)
            key = door_zone.former_key(conn, phone, str(body.get("ref", ""))[:64])
        if key is None:
            return _json({"reason": "another"}, 404)
        return _json({"key": base64.b64encode(key).decode()})

    @app.get("/door/api/orders")
    def orders(request: Request) -> Response:
        with db() as conn:
            phone = phone_of(conn, request)
            rows = door_zone.orders(conn, phone)
        say = door_words.full, door_words.masked
        return _json({"orders": [say[not row["opened"]](row, phone.language, clock.now()) for row in rows]})

    @app.post("/door/api/open")
    async def open_order(request: Request) -> Response:
        return await asyncio.to_thread(_open, request, await _body(request))

    def _open(request: Request, body: dict[str, Any]) -> Response:
        with db() as conn:
            phone = phone_of(conn, request)
            try:
                door_zone.keep(conn, phone, {**body, "kind": "opened"}, skew=_skew(body))
            except visit_form.BadForm as error:
                return _json({"reason": error.reason}, 404 if error.reason == "order" else 400)
            row = next(r for r in door_zone.orders(conn, phone) if r["order_ref"] == str(body.get("order")))
        return _json(door_words.full(row, phone.language, clock.now()))

    @app.post("/door/api/sync")
    async def sync(request: Request) -> Response:
        return await asyncio.to_thread(_sync, request, await _body(request))

    def _sync(request: Request, body: dict[str, Any]) -> Response:
        items = body.get("items")
        if not isinstance(items, list) or len(items) > ITEMS:
            return _json({"reason": "form"}, 400)
        answers = []
        for item in items:
            name = item.get("id") if isinstance(item, dict) else None
            with db() as conn:
                phone = phone_of(conn, request)
                try:
                    if not isinstance(item, dict):
                        raise visit_form.BadForm("form")
                    with conn.transaction():
                        status = door_zone.keep(conn, phone, item, skew=_skew(body))
                    answers.append({"id": name, "status": status})
                except visit_form.BadForm as error:
                    answers.append({"id": name, "status": "refused", "reason": error.reason})
        return _json({"items": answers})

    @app.get("/v1/ready")
    def ready() -> Response:
        try:
            with pool.connection(timeout=5) as conn:
                conn.execute("SELECT 1")
        except (psycopg.Error, PoolTimeout):
            return JSONResponse({"status": "no_database"}, status_code=503)
        return JSONResponse({"status": "ready"})

    @app.exception_handler(_Gone)
    async def gone(request: Request, error: Exception) -> Response:
        if request.url.path.startswith("/door/api/"):
            return _json({"reason": str(error)}, 401)
        return RedirectResponse("/door/login", status_code=303)

    @app.exception_handler(visit_form.BadForm)
    async def bad(_: Request, error: Exception) -> Response:
        assert isinstance(error, visit_form.BadForm)
        return _json({"reason": error.reason}, 403 if error.reason == "not_ours" else 400)

    @app.exception_handler(HTTPException)
    async def lost(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return page(
            request, "door_login.html", language=outside.language(request), status=error.status_code, state="unknown",
            why="lost", n=0,
        )  # fmt: skip

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        log.error("page failed", path=request.url.path, error=type(error).__name__, exc_info=error)
        response = _json({"reason": "failed"}, 500)
        response.headers.update(HEADERS)
        return response

    return app


def _session(request: Request) -> str:
    return f"{cookie_name(request)}_door"


def _device(request: Request) -> str:
    return f"{cookie_name(request)}_phone"


def _cookie(request: Request, response: Response, name: str, value: str, seconds: int) -> None:
    response.set_cookie(
        name, value, max_age=seconds, httponly=True, samesite="strict", secure=request.url.scheme == "https", path="/"
    )


def _json(body: dict[str, Any], status: int = 200) -> Response:
    return JSONResponse(body, status_code=status, headers={"Cache-Control": "no-store"})


def _ours(request: Request) -> bool:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/json" and same_site(request)


async def _read(request: Request, limit: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise visit_form.BadForm("large")
    return bytes(body)


async def _body(request: Request) -> dict[str, Any]:
    """A JSON object from a page of ours. `visit_form.BadForm`: not_ours, large, form."""
    if not _ours(request):
        raise visit_form.BadForm("not_ours")
    try:
        body = json.loads(await _read(request, BODY_BYTES))
    except (ValueError, RecursionError) as error:
        if isinstance(error, visit_form.BadForm):
            raise
        raise visit_form.BadForm("form") from error
    if not isinstance(body, dict):
        raise visit_form.BadForm("form")
    return body


async def _form(request: Request) -> dict[str, str]:
    try:
        body = (await _read(request, 4096)).decode("utf-8")
        return {k: v[0][:100] for k, v in parse_qs(body, max_num_fields=6).items()}
    except ValueError:
        return {}


def _skew(body: dict[str, Any]) -> timedelta:
    """How far the phone's clock is from ours, by the time that it gave with what it sent; nothing below a minute."""
    try:
        off = clock.now() - visit_form.time(body.get("now"))
    except visit_form.BadForm:
        return timedelta()
    return off if abs(off) > timedelta(minutes=1) else timedelta()


if __name__ == "__main__":
    outside.serve("phone", create, connections=6)
