"""``POST /v1/decisions/transfers``: many transfers at once.

Kept true here: rows asked = decided + rejected, each reject with row, column, value and reason; the batch's key stands
for one record; nobody keeps the event loop from the single questions for long.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pyarrow as pa

from wuzha import ingest
from wuzha.events import clock
from wuzha.events.batch import Reject
from wuzha.live import decision_batch
from wuzha.live.decision_policy import ACTIONS
from wuzha.live.decision_records import KeyRefused, Record, Stale

from .asgi import Receive, Refused, body, other_question
from .events import Numbers, plain

if TYPE_CHECKING:
    from .decisions import Caller, Decisions

_ROWS = 100_000
_LISTED = 1000
_ARROW = "application/vnd.apache.arrow.stream"
#: Batches in work at once; more are told to come again.
_MOST = 4
#: Beside the policy's deadline, time for each row.
_ROW_S = 0.0002
_JSON = msgspec.json.Encoder()
_working = 0


async def many(
    app: Decisions, caller: Caller, key: str, headers: dict[bytes, bytes], receive: Receive
) -> tuple[int, bytes, bytes]:
    """Status, content type and body of the answer."""
    global _working
    if _working >= _MOST:
        raise Refused(429, "busy", "Too many batches at once / 批量请求过多", "send the same batch again")
    _working += 1
    try:
        return await _many(app, caller, key, headers, receive)
    finally:
        _working -= 1


async def _many(
    app: Decisions, caller: Caller, key: str, headers: dict[bytes, bytes], receive: Receive
) -> tuple[int, bytes, bytes]:
    kind = headers.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip().lower()
    if kind not in ingest.CONTENT_TYPES:
        raise Refused(
            415, "unreadable_type", "Content type is none that is read / 不支持的内容类型",
            f"send one of {', '.join(ingest.CONTENT_TYPES)}",
        )  # fmt: skip
    sent = await body(receive, app.doors.settings.body_limit)
    asked = hashlib.sha256(kind.encode() + b"\n" + sent).digest()
    begun = time.monotonic()
    rows, rejects = await asyncio.to_thread(_read, app, caller, sent, kind)
    if rows.num_rows == 0:
        raise Refused(
            422, "no_rows", "No row can be decided / 没有可判断的记录",
            "; ".join(f"row {r.row} {r.column}: {r.message}" for r in rejects[:20]) or "the body has no rows",
        )  # fmt: skip
    now = clock.now()
    wanted = await asyncio.to_thread(decision_batch.plain, rows)
    while True:
        left = app.policy.deadline_ms / 1000 + rows.num_rows * _ROW_S - (time.monotonic() - begun)
        heard = await app.asker().ask_many(wanted, left) if left > 0 else {}
        partitions = app.asker().partitions
        decided = await asyncio.to_thread(decision_batch.decide, app.policy, rows, heard, partitions, now)
        record = _record(app, caller, key, asked, decided, rejects, now.isoformat())
        try:
            standing = await app.record(record)
            break
        except Stale:
            continue
        except KeyRefused:
            app.forget()
            raise Refused(401, "bad_key", "The API key is unknown or revoked / 密钥无效或已撤销") from None
    if not standing.same:
        raise other_question()
    said = standing.record if standing.repeated else msgspec.json.decode(record.record)
    for action, n in said["counts"].items():
        app.doors.figures.decisions.labels(action).inc(n)
    stands = decided.table
    if standing.repeated:
        assert standing.rows is not None  # many transfers stand with their rows
        stands = await asyncio.to_thread(decision_batch.read, bytes(standing.rows))
    if _ARROW in headers.get(b"accept", b"").decode("latin-1"):
        return 200, _ARROW.encode(), await asyncio.to_thread(_table, stands)
    told = await asyncio.to_thread(_listed, stands)
    return (
        200,
        b"application/json",
        _JSON.encode({"id": str(standing.decision_id), "repeated": standing.repeated, **said, "decisions": told}),
    )


def _read(app: Decisions, caller: Caller, sent: bytes, kind: str) -> tuple[pa.Table, list[Reject]]:
    limit = app.doors.settings.inflated_limit
    try:
        rows, rejects = ingest.rows_from_body("transfers", sent, kind, source=caller.source.name, limit=limit)
    except ingest.BodyTooLarge as error:
        raise Refused(413, "too_large", "The body is too large / 内容过大", str(error)) from error
    except ingest.BodyError as error:
        raise Refused(400, "unreadable", "The body cannot be read / 无法读取内容", str(error)[:500]) from error
    if rows.num_rows > _ROWS:
        raise Refused(413, "too_many_rows", "Too many rows / 行数过多", f"at most {_ROWS:,} rows a batch")
    # both sides must be named: there is nothing to decide on cash
    without = {c: np.flatnonzero(rows.column(c).is_null().to_numpy()) for c in ("payer", "payee")}
    if any(len(w) for w in without.values()):
        numbers = Numbers(rows.num_rows, rejects, sent, kind)
        out = set()
        more = []
        for column, where in without.items():
            for i in where.tolist():
                if i not in out:
                    more.append(
                        Reject(row=numbers.of(i), column=column, value=None, reason="missing", message="缺少账户")
                    )
                    out.add(i)
        rejects = sorted([*rejects, *more], key=lambda r: r.row)
        rows = rows.filter(pa.array([i not in out for i in range(rows.num_rows)]))
    return rows, rejects


def _record(
    app: Decisions, caller: Caller, key: str, asked: bytes, decided: Any, rejects: list[Reject], at: str
) -> Record:
    counts = np.bincount(decided.action, minlength=len(ACTIONS))
    record = {
        "n": len(decided.action), "at": at,
        "counts": {name: int(n) for name, n in zip(ACTIONS, counts, strict=True)}, "missing": decided.missing,
        "rejected": len(rejects),
        "rejects": [
            {"row": r.row, "column": r.column, "value": plain(r.value), "reason": r.reason, "message": plain(r.message)}
            for r in rejects[:_LISTED]
        ],
        "state": {
            "owners": decided.answered,
            "policy": {"id": app.policy.id, "since": app.policy.since, "digest": app.policy.digest},
        },
    }  # fmt: skip
    strictest = int(decided.action.max())
    return Record(
        key_id=caller.key_id, source_id=caller.source.source_id, key=key, asked=asked, at=at, n=len(decided.action),
        action=ACTIONS[strictest], ends_at=None, missing=decided.missing, rules=decided.rules,
        policy=app.policy.digest, position=decided.position, record=_JSON.encode(record),
        rows=decision_batch.stream(decided.table), owners=decided.owners,
    )  # fmt: skip


def _listed(table: pa.Table) -> list[dict[str, Any]]:
    refused = np.flatnonzero(table.column("action").to_numpy())
    some = table.select(["event_id", "answer"]).take(pa.array(refused)).to_pylist()
    return [
        {"row": row, "event_id": r["event_id"], **msgspec.json.decode(r["answer"])}
        for row, r in zip(refused.tolist(), some, strict=True)
    ]


def _table(table: pa.Table) -> bytes:
    """The answer as Arrow: a row each."""
    return decision_batch.stream(decision_batch.told(table), light=True)


row_of = decision_batch.row_of
