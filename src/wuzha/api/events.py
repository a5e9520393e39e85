"""``POST /v1/events/{table}``: events come in, the answer comes when they are durable.

Kept true here: rows sent = accepted + duplicates + rejected, and each reject says row, column, value and reason; an
answer of 200 means that what it calls accepted survives any crash; the same batch sent again counts nothing twice. The
column ``source`` is always the credential's: what a body says there is ignored.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.compute as pc
from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from wuzha import ingest
from wuzha.events import BASES, RAW_TABLES, TABLES, clock
from wuzha.events.batch import Reject
from wuzha.live import late, tracing
from wuzha.live.appender import Batch, QueueFull, Receipt, Stopped
from wuzha.store.log import prepared
from wuzha.store.sources import Source

from . import body as bodies
from .doors import Doors, bearer, busy, doors, source_of
from .problems import Problem, disk_full, documented

router = APIRouter()

#: Rejects that an answer lists; all are counted and stand in the table of rejects.
_LISTED = 1000
_MAX_ROWS = 1_000_000
#: On these a centre may hold raw rows of the public; each needs an end, a case query also its document's number.
_RAW_BASES = ("case_query", "consent", "own_report", "open_data")
_TAKEN = tuple(name for name in TABLES if name != "labels")


class RejectBody(BaseModel):
    """One row that was not taken."""

    row: int = Field(description="Row or line of the body, from 0", examples=[17])
    column: str = Field(examples=["duration_s"])
    value: str | None = Field(examples=["-3"])
    reason: str = Field(description="Stable code", examples=["below_minimum"])
    message: str = Field(examples=["通话时长（秒）不得小于0"])


class Taken(BaseModel):
    """What became of a batch. rows = accepted + duplicates + rejected."""

    position: int | None = Field(description="Place in the log; null where nothing was new", examples=[4711])
    accepted: int = Field(examples=[998])
    duplicates: int = Field(description="Rows known already by (source, event_id)", examples=[1])
    rejected: int = Field(examples=[1])
    rejects: list[RejectBody] = Field(description=f"The first {_LISTED} of them")


_LINES = (
    '{"event_id": "c-1", "ts": "2026-03-02T09:15:00+08:00", "caller": "+85251234567", "callee": "13800138000",'
    ' "duration_s": 640}\n'
)
_BODY = {
    "requestBody": {
        "required": True,
        "description": "One row a line or a record batch; columns as in the reference of the table. May be gzip.",
        "content": {
            "application/x-ndjson": {"schema": {"type": "string"}, "example": _LINES},
            "application/vnd.apache.arrow.stream": {"schema": {"type": "string", "format": "binary"}},
            "application/vnd.apache.parquet": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}


@dataclass(frozen=True, kw_only=True)
class _Basis:
    """On what ground a batch is held, and until when."""

    basis: str
    ref: str | None
    until: datetime | None


@router.post(
    "/v1/events/{table}", response_model=Taken, tags=["events"], summary="Send events", openapi_extra=_BODY,
    dependencies=[Depends(bearer)], responses=documented(400, 401, 403, 404, 413, 415, 422, 429, 503, 507),
)  # fmt: skip
async def send_events(
    request: Request,
    table: Annotated[
        str, Path(description="Name of the table", examples=["calls"], json_schema_extra={"enum": list(_TAKEN)})
    ],
    basis: Annotated[
        str | None, Query(description="Ground on which these rows are held", json_schema_extra={"enum": list(BASES)})
    ] = None,
    basis_ref: Annotated[str | None, Query(max_length=200, description="Number of the document")] = None,
    basis_until: Annotated[datetime | None, Query(description="The rows are dropped then; with an offset")] = None,
) -> Taken:
    """Rows that break a rule are answered as rejects; the others are taken. Send the same batch again after any
    failure: nothing counts twice."""
    known = table if table in TABLES else "unknown"  # whatever else stands in the address is the sender's own
    with tracing.span("events.receive", tracing.incoming(request.headers), table=known) as span:
        return await _receive(request, table, basis, basis_ref, basis_until, span)


async def _receive(
    request: Request, table: str, basis: str | None, basis_ref: str | None, basis_until: datetime | None, span: Any
) -> Taken:
    begun = time.perf_counter()
    d = doors(request)
    try:
        _room(d)  # first: a database without room may be away, and asking it whose key this is takes half a minute
        source = await run_in_threadpool(_sender, d, request)
        _may(table, source)
        ground = _ground(source, basis, basis_ref, basis_until)
        kind = bodies.content_type(request)
        limit = d.settings.body_limit
        body = await bodies.read(request, limit=limit, inflated=d.settings.inflated_limit)
        d.take_body(len(body))
        try:
            loop = asyncio.get_running_loop()
            batch, rejects = await loop.run_in_executor(d.readers, _read, d, table, body, kind, source, ground, span)
            with tracing.span("log.append", span, rows=batch.rows.num_rows, source=source.name):
                taken = await _append(d, batch, rejects, body, kind, source)
        finally:
            d.drop_body(len(body))
    except Problem as problem:
        d.figures.refused.labels(str(problem.status)).inc()
        raise
    d.figures.durable.observe(time.perf_counter() - begun)
    d.figures.batches.labels(table).inc()
    d.figures.sent.labels(table).inc(len(body))
    for became in ("accepted", "duplicates", "rejected"):
        d.figures.rows.labels(table, became).inc(getattr(taken, became))
    return taken


def _sender(d: Doors, request: Request) -> Source:
    """Whose key it is, where more can be taken: what is durable but not judged in time helps nobody."""
    source = source_of(request)
    if d.lag_s() > d.settings.lag_s:
        raise busy(30)
    return source


def _may(table: str, source: Source) -> None:
    if table == "labels":
        raise Problem(403, "labels_refused", "Ground truth never enters a server / 真值标签不得进入服务器")
    if table not in TABLES:
        raise Problem(404, "unknown_table", "There is no such table / 没有这个表", f"one of {', '.join(_TAKEN)}")
    if table not in source.tables:
        raise Problem(
            403, "table_not_allowed", "This key may not send that table / 该密钥无权发送此表",
            f"allowed: {', '.join(source.tables)}",
        )  # fmt: skip


def _ground(source: Source, basis: str | None, ref: str | None, until: datetime | None) -> _Basis:
    if basis is not None and basis not in BASES:
        raise Problem(422, "wrong_parameter", "A parameter is wrong / 参数有误", f"basis: one of {', '.join(BASES)}")
    if ref is not None and "\x00" in ref:
        raise Problem(422, "wrong_parameter", "A parameter is wrong / 参数有误", "basis_ref: holds a null character")
    if until is not None:
        if until.tzinfo is None:
            raise Problem(422, "wrong_parameter", "A parameter is wrong / 参数有误", "basis_until: needs an offset")
        try:
            until = until.astimezone(UTC)
        except OverflowError:
            raise Problem(
                422, "wrong_parameter", "A parameter is wrong / 参数有误", "basis_until: no such time"
            ) from None
    if basis is None:
        # What the source is registered for; an end given here may only be earlier.
        ends = [e for e in (until, source.basis_until) if e is not None]
        return _Basis(basis=source.basis, ref=ref or source.basis_ref, until=min(ends, default=None))
    return _Basis(basis=basis, ref=ref, until=until)


def _room(d: Doors) -> None:
    if d.full(least=0):
        raise disk_full()
    if d.appender.waiting_rows > d.settings.queue_rows:
        raise busy(2)


def _read(
    d: Doors, table: str, body: bytes, kind: str, source: Source, ground: _Basis, span: Any
) -> tuple[Batch, list[Reject]]:
    """What may go to the log, ready for it, and the rejects with the body's row numbers."""
    with tracing.span("body.read", span, bytes=len(body), kind=kind):
        rows, rejects = _rows(d, table, body, kind, source, ground)
        rows = tracing.stamp(late.stamp(rows, late.allowance_s(table, source.late_allowance)), span)
        batch = Batch(
            table=table, rows=rows, source=source.name, basis=ground.basis, basis_ref=ground.ref,
            basis_until=ground.until,
        )  # fmt: skip
        return prepared(batch), rejects


def _rows(
    d: Doors, table: str, body: bytes, kind: str, source: Source, ground: _Basis
) -> tuple[pa.Table, list[Reject]]:
    """Rows that may be held here."""
    try:
        rows, rejects = ingest.rows_from_body(table, body, kind, source=source.name, limit=d.settings.inflated_limit)
    except ingest.BodyTooLarge as error:
        raise Problem(413, "too_large", "The body is too large / 内容过大", str(error)) from error
    except ingest.BodyError as error:
        raise Problem(400, "unreadable", "The body cannot be read / 无法读取内容", str(error)[:500]) from error
    if rows.num_rows > _MAX_ROWS:
        raise Problem(413, "too_many_rows", "Too many rows / 行数过多", f"at most {_MAX_ROWS:,} rows a batch")
    numbers = Numbers(rows.num_rows, rejects, body, kind)
    why = _no_ground(d, table, ground)
    if why is not None:
        reason, message = why
        rejects = rejects + [
            Reject(row=numbers.of(i), column="basis", value=ground.basis, reason=reason, message=message)
            for i in range(rows.num_rows)
        ]
        return rows.slice(0, 0), rejects
    ahead = clock.now() + timedelta(seconds=d.settings.ahead_s)
    early = pc.greater(rows.column("ts"), pa.scalar(ahead, pa.timestamp("us", tz="UTC")))
    if pc.any(early).as_py():
        for i in pc.indices_nonzero(early).to_pylist():
            rejects.append(
                Reject(
                    row=numbers.of(i), column="ts", value=str(rows.column("ts")[i].as_py()), reason="in_the_future",
                    message="时间晚于当前时间一天以上",
                )
            )  # fmt: skip
        rows = rows.filter(pc.invert(early))
    return rows, rejects


def _no_ground(d: Doors, table: str, ground: _Basis) -> tuple[str, str] | None:
    """Why rows of ``table`` may not be held here on this ground; None where they may."""
    now = clock.now()
    if ground.until is not None and ground.until <= now:
        return "basis_over", "依据已到期"
    if d.settings.role != "centre" or table not in RAW_TABLES:
        return None
    if ground.basis not in _RAW_BASES:
        return "no_basis", "反诈中心不得无依据留存公民原始数据：须有案件查询文书、本人同意、本人报案或公开数据之一"
    if ground.until is None:
        return "no_end", "缺少留存截止时间（basis_until）"
    if ground.basis == "case_query" and not ground.ref:
        return "no_document", "案件查询缺少文书号（basis_ref）"
    return None


class Numbers:
    """The body's row number of each accepted row: what is left without the rejected and the blank ones."""

    def __init__(self, n: int, rejects: list[Reject], body: bytes, kind: str) -> None:
        self._n, self._out, self._body, self._kind = n, {r.row for r in rejects}, body, kind
        self._of: list[int] | None = None

    def of(self, i: int) -> int:
        """Of accepted row ``i``."""
        if self._of is None:
            # Only lines may be blank; broken ones are among the rejects.
            blank: set[int] = set()
            if self._kind in ingest.JSON_LINES:
                blank = {k for k, line in enumerate(self._body.split(b"\n")) if not line.strip()}
            self._of = []
            k = 0
            while len(self._of) < self._n:
                if k not in self._out and k not in blank:
                    self._of.append(k)
                k += 1
        return self._of[i]


async def _append(d: Doors, batch: Batch, rejects: list[Reject], body: bytes, kind: str, source: Source) -> Taken:
    if batch.rows.num_rows:
        numbers = Numbers(batch.rows.num_rows, rejects, body, kind)
        try:
            receipt: Receipt | None = await asyncio.wrap_future(d.appender.submit(batch))
        except QueueFull as full:
            raise busy(full.retry_after) from full
        except Stopped:
            raise Problem(
                503, "stopping", "The server is stopping / 服务正在停止", None, {"Retry-After": "5"}
            ) from None
        assert receipt is not None
        rejects = rejects + [
            Reject(row=numbers.of(r.row), column=r.column, value=r.value, reason=r.reason, message=r.message)
            for r in receipt.rejects
        ]
        position, accepted, duplicates = receipt.position, receipt.accepted, len(receipt.duplicates)
    else:
        position, accepted, duplicates = None, 0, 0
    rejects.sort(key=lambda r: r.row)
    if rejects:
        await run_in_threadpool(_note, d, batch.table, source, rejects)
    listed = [
        RejectBody(
            row=r.row,
            column=plain(r.column) or "",
            value=plain(r.value),
            reason=r.reason,
            message=plain(r.message, 500) or "",
        )
        for r in rejects[:_LISTED]
    ]
    return Taken(position=position, accepted=accepted, duplicates=duplicates, rejected=len(rejects), rejects=listed)


def _note(d: Doors, table: str, source: Source, rejects: list[Reject]) -> None:
    """Keep rejects for the people who mend the sender. Values of names and identity numbers are not kept."""
    vault = {c.name for c in TABLES[table].columns if c.vault}
    kept: list[list[Any]] = [
        [plain(r.column) for r in rejects],
        [None if r.column in vault or not r.column else plain(r.value) for r in rejects],
        [r.reason for r in rejects],
        [plain(r.message, 500) for r in rejects],
    ]
    with d.pool.connection() as conn:
        conn.execute(
            "INSERT INTO wuzha.rejects (source, table_name, received_at, column_name, value, reason, message)"
            " SELECT %s, %s, %s, * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[])",
            [source.name, table, clock.now(), *kept],
        )


def plain(text: str | None, length: int = 200) -> str | None:
    """``text`` cut, without what neither JSON nor PostgreSQL can hold (null characters, halves of surrogate pairs)."""
    if text is None:
        return None
    return text[:length].encode("utf-8", "replace").decode().replace("\x00", "␀")
