"""Server-sent events: a page that is open learns that something in its officer's sight has changed.

Kept true here: nothing but "look again" is sent, so no fact travels past a page's own rights; a stream ends with its
session, and a burst of changes is one message.
"""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import anyio
import psycopg
from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response, StreamingResponse
from starlette.concurrency import run_in_threadpool

from wuzha.cases import listing
from wuzha.command import sessions
from wuzha.command.public import Refused
from wuzha.events import clock
from wuzha.respond import incoming, presence, queue

from .context import Context, signed_in

router = APIRouter()

#: Seconds between looks, between comments that keep proxies from closing, and the length of one stream (the browser
#: comes again by itself).
LOOK_S, COMMENT_S, LENGTH_S = 1.0, 15.0, 3600.0


class Looks:
    """What each unit's officers see, asked of the database once a `LOOK_S` however many of them have a page open."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[int, tuple[float, str]] = {}

    def of(self, ctx: Context, conn: psycopg.Connection[Any]) -> str:
        """The queue's fingerprint in the officer's sight, at most `LOOK_S` old. ``conn`` has the officer's scope."""
        unit, now = ctx.actor.unit_id, time.monotonic()
        with self._lock:
            at, seen = self._seen.get(unit, (float("-inf"), ""))
            if now - at < LOOK_S * 0.9:
                return seen
        seen = queue.fingerprint(conn)
        with self._lock:
            self._seen[unit] = (now, seen)
        return seen


def _looks(ctx: Context) -> Looks:
    state = ctx.request.app.state
    if not hasattr(state, "looks"):
        state.looks = Looks()
    found: Looks = state.looks
    return found


def _look(
    ctx: Context, alert_id: int | None, case_id: int | None, *, watching: bool
) -> tuple[str, str, str, str] | None:
    """Fingerprints of the queue, of one alert or case, of who else has it open, of the calls; None: the session has
    ended."""
    with ctx.pool.connection() as conn, conn.transaction():
        if sessions.find(conn, ctx.token, touch=watching) is None:
            return None
    with ctx.db() as conn:
        one = people = ""
        if alert_id is not None:
            row = conn.execute(
                "SELECT version, level, last_evidence_at,"
                " (SELECT count(*) FROM wuzha.evidence e WHERE e.alert_id = a.alert_id),"
                " (SELECT max(contact_id) FROM wuzha.contacts c WHERE c.alert_id = a.alert_id)"
                " FROM wuzha.alerts a WHERE alert_id = %s",
                (alert_id,),
            ).fetchone()
            one, people = str(row), "、".join(presence.others(conn, ctx.actor, alert_id))
        elif case_id is not None:
            one = listing.fingerprint(conn, case_id)
        return _looks(ctx).of(ctx, conn), one, people, incoming.fingerprint(conn, now=clock.now())


def _beat(ctx: Context, alert_id: int) -> datetime:
    """Say that this officer has the file open; returns when."""
    now = clock.now()
    with ctx.db() as conn:
        presence.here(conn, ctx.actor, alert_id, now=now)
    return now


def _leave(ctx: Context, alert_id: int, last: datetime) -> None:
    with ctx.db() as conn:
        presence.gone(conn, ctx.actor, alert_id, last=last)


@router.get("/live")
async def live(
    request: Request, alert: int | None = None, case: int | None = None, wall: int = 0,
    ctx: Context = Depends(signed_in),
) -> Response:  # fmt: skip
    """Events ``queue`` and ``file`` when what the officer may see has changed, ``people`` when others open or leave the
    file, ``phone`` when a call has come or changed, ``ended`` when the session is over."""
    if not {"desk.read", "wall.read", "cases.read"} & ctx.actor.may:
        raise Refused("forbidden")

    beats: list[datetime] = []

    async def stream() -> AsyncIterator[bytes]:
        begun = said = beaten = time.monotonic()
        if alert is not None:
            beats.append(await run_in_threadpool(_beat, ctx, alert))
        before = await run_in_threadpool(_look, ctx, alert, case, watching=bool(wall))
        yield b"retry: 2000\nevent: hello\ndata: -\n\n"
        while time.monotonic() - begun < LENGTH_S:
            await anyio.sleep(LOOK_S)
            if await request.is_disconnected():
                return
            now = await run_in_threadpool(_look, ctx, alert, case, watching=bool(wall))
            if now is None or before is None:
                yield b"event: ended\ndata: -\n\n"
                return
            if now[0] != before[0]:
                said = time.monotonic()
                yield b"event: queue\ndata: -\n\n"
            if now[1] != before[1]:
                yield b"event: file\ndata: -\n\n"
            if now[3] != before[3]:
                yield b"event: phone\ndata: -\n\n"
            if now[2] != before[2]:
                yield b"event: people\ndata: -\n\n"
            before = now
            if alert is not None and time.monotonic() - beaten > presence.BEAT_S:
                beaten = time.monotonic()
                beats[:] = [await run_in_threadpool(_beat, ctx, alert)]
            if time.monotonic() - said > COMMENT_S:
                said = time.monotonic()
                yield b": here\n\n"

    async def watched() -> AsyncIterator[bytes]:
        try:
            async for part in stream():
                yield part
        finally:
            if alert is not None and beats:
                with anyio.CancelScope(shield=True):
                    await run_in_threadpool(_leave, ctx, alert, beats[-1])

    return StreamingResponse(
        watched(), media_type="text/event-stream", headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )
