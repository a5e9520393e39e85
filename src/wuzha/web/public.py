"""The pages outside the police network: ``/verify`` and ``/refund``, with a small database of their own and no way to
the centre but letters in folders.

Kept true here: they ask no log-in, keep nothing of who asks, run no script and need none; whoever tries codes one
after another is stopped early; every answer ends with calling 96110, which no web page can stand for.
"""

from __future__ import annotations

import asyncio
import ipaddress
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from datetime import datetime
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
from wuzha.respond import progress, verify
from wuzha.store import zone_keys

from . import outside, render

log = structlog.get_logger(__name__)

#: Seconds over which an address's questions are counted, and all wrong ones.
PER_ADDRESS_S, ALL_S = 600.0, 60.0
_ADDRESSES = 50_000
_FORM_BYTES = 4096
#: What is shown where even the page itself fails: it asks nothing of anything.
_LAST = (
    "<!doctype html><meta charset=utf-8><meta name=viewport content='width=device-width'><title>96110</title>"
    "<h1>现在无法核实，请拨 <a href='tel:96110'>96110</a></h1>"
    "<p>Cannot check at this moment. Please call <a href='tel:96110'>96110</a>.</p>"
)
#: Slow hashes that may run at once: more would only make everybody wait.
_hashing = threading.BoundedSemaphore(2)


class Tries:
    """How often each address has asked lately, and how many wrong questions came from all; in memory only."""

    def __init__(self, each: int, wrong: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._each, self._wrong, self._clock = each, wrong, clock
        self._of: OrderedDict[str, deque[float]] = OrderedDict()
        self._missed: deque[float] = deque()
        self._lock = threading.Lock()

    def wait(self, address: str) -> int:
        """0, and the question is counted; or the seconds until this address may ask again."""
        with self._lock:
            now = self._clock()
            own = self._of.setdefault(address, deque())
            self._of.move_to_end(address)
            while len(self._of) > _ADDRESSES:
                self._of.popitem(last=False)
            _drop(own, now - PER_ADDRESS_S)
            _drop(self._missed, now - ALL_S)
            if len(own) >= self._each:
                return max(1, round(own[0] + PER_ADDRESS_S - now))
            if len(self._missed) >= self._wrong:
                return max(1, round(self._missed[0] + ALL_S - now))
            own.append(now)
            return 0

    def missed(self) -> None:
        """A question named a file and code that are not in force together."""
        with self._lock:
            self._missed.append(self._clock())


def _drop(times: deque[float], before: float) -> None:
    while times and times[0] <= before:
        times.popleft()


def network_of(client: str, forwarded: str, proxies: frozenset[str]) -> str:
    """Whose tries are counted together: an IPv4 address, an IPv6 network of 64 bits. Of X-Forwarded-For only what a
    proxy of ours has written."""
    hops = [hop.strip() for hop in forwarded.split(",") if hop.strip()]
    while client in proxies and hops:
        client = hops.pop()
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return "?"
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is None:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(getattr(address, "ipv4_mapped", None) or address)


def create(pool: ConnectionPool[Any], told: Settings) -> FastAPI:
    """The page over a pool of connections as wuzha_web."""
    app = FastAPI(title="Wuzha verify", docs_url=None, redoc_url=None, openapi_url=None)
    tries = Tries(told.verify_tries, told.verify_wrong)
    proxies = frozenset(p.strip() for p in (told.proxies or "").split(",") if p.strip())
    app.mount("/static", StaticFiles(directory=Path(str(files(__package__))) / "static"), name="static")

    @app.middleware("http")
    async def headers(request: Request, call: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await call(request)
        for name, value in render.HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    def show(request: Request, answer: verify.Answer | None, *, status: int = 200, wait: int = 0) -> Response:
        return render.page(
            request, "verify.html", language=outside.language(request), status=status, answer=answer, wait=wait,
            minutes=-(-wait // 60),
        )  # fmt: skip

    @app.get("/")
    def home() -> Response:
        return RedirectResponse("/verify", status_code=303)

    @app.get("/verify")
    def form(request: Request) -> Response:
        """The field and the button. A code in the address is not read: nobody is to be sent here by a link."""
        return show(request, None)

    @app.post("/verify")
    async def check(request: Request) -> Response:
        text = await _field(request)
        client = request.client.host if request.client else ""
        wait = tries.wait(network_of(client, request.headers.get("x-forwarded-for", ""), proxies))
        if wait:
            return show(request, None, status=429, wait=wait)
        answer = await asyncio.to_thread(_ask, text)
        return show(request, answer)

    def _ask(text: str) -> verify.Answer:
        try:
            zone = zone_keys.load(told.home)
            with _hashing, pool.connection(timeout=10) as conn, conn.transaction():
                answer = verify.ask(conn, zone, text, fresh=clock.stretch(told.verify_fresh_s))
        except (psycopg.Error, PoolTimeout, zone_keys.KeysError) as error:
            log.error("cannot verify", error=type(error).__name__)
            return verify.Answer(verdict="never")
        if answer.verdict in ("unknown", "cut", "misheard"):
            tries.missed()
        return answer

    def told_page(request: Request, found: progress.Found | None, *, status: int = 200, wait: int = 0) -> Response:
        return render.page(
            request, "progress.html", language=outside.language(request), status=status, found=found, wait=wait,
            minutes=-(-wait // 60), parse=datetime.fromisoformat,
        )  # fmt: skip

    @app.get("/refund")
    def refund(request: Request) -> Response:
        """The field and the button; a code in the address is not read."""
        return told_page(request, None)

    @app.post("/refund")
    async def refund_progress(request: Request) -> Response:
        text = await _field(request)
        client = request.client.host if request.client else ""
        wait = tries.wait(network_of(client, request.headers.get("x-forwarded-for", ""), proxies))
        if wait:
            return told_page(request, None, status=429, wait=wait)
        return told_page(request, await asyncio.to_thread(_progress, text))

    def _progress(text: str) -> progress.Found:
        try:
            zone = zone_keys.load(told.home)
            with pool.connection(timeout=10) as conn, conn.transaction():
                found = progress.ask(conn, zone, text, fresh=clock.stretch(told.progress_fresh_s))
        except (psycopg.Error, PoolTimeout, zone_keys.KeysError) as error:
            log.error("cannot tell progress", error=type(error).__name__)
            return progress.Found(verdict="never")
        if found.verdict == "unknown":
            tries.missed()
        return found

    @app.get("/v1/ready")
    def ready() -> Response:
        try:
            with pool.connection(timeout=5) as conn:
                conn.execute("SELECT 1")
        except (psycopg.Error, PoolTimeout):
            return JSONResponse({"status": "no_database"}, status_code=503)
        return JSONResponse({"status": "ready"})

    @app.exception_handler(HTTPException)
    async def lost(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return show(request, None, status=error.status_code)

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        log.error("page failed", path=request.url.path, error=type(error).__name__, exc_info=error)
        return Response(_LAST, status_code=500, media_type="text/html; charset=utf-8", headers=render.HEADERS)

    return app


async def _field(request: Request) -> str:
    """What was typed; nothing where the form is no form of ours."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _FORM_BYTES:
            return ""
    try:
        return parse_qs(body.decode("utf-8"), max_num_fields=5).get("code", [""])[0][:100]
    except ValueError:
        return ""


if __name__ == "__main__":
    outside.serve("public", create, connections=4)
