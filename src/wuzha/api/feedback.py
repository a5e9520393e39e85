"""``/v1/feedback``: a source asks for the answers to its warnings, and says what became of them.

Kept true here: a key sees and moves the answers to its own source's warnings and no others; an answer is listed until
the source has said that it has it, so none is lost; the same word said twice changes nothing. No name and no number of
a person is in an answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any, Literal

import psycopg
from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, Field

from wuzha.command.public import Refused, machine
from wuzha.respond import feedback, sender
from wuzha.store import transaction
from wuzha.store.sources import Source

from .doors import bearer, doors, source_of
from .problems import Problem, documented

router = APIRouter(tags=["feedback"])


class Answer(BaseModel):
    """The answer to one warning."""

    key: str = Field(description="The sending's own: the same however often it is listed", examples=["12-1-dissuaded"])
    number: str = Field(description="The source's number of the warning", examples=["YJ000017"])
    warning: str = Field(description="event_id of the warning", examples=["YJ000017"])
    result: str = Field(description="In the source's own code", examples=["01"])
    outcome: str = Field(description="In ours", examples=["dissuaded"])
    at: datetime
    officer: str | None
    unit: str | None
    correction: bool = Field(description="True where another answer was sent before")
    avoided: str | None = Field(None, description="Money evidenced as avoided, yuan", examples=["38400.00"])


class Answers(BaseModel):
    """What waits for the source, the earliest deadline first, 200 at most."""

    answers: list[Answer]


class Said(BaseModel):
    """What became of an answer."""

    state: Literal["received", "accepted", "returned"] = Field(
        description="received: the source has it; accepted 已接收; returned 退回, with a reason, also long after"
    )
    key: str = Field("", max_length=80, description="The answer's key; needed with received")
    reason: str = Field("", max_length=500)
    receipt: str = Field("", max_length=200)


class Moved(BaseModel):
    """The answer's state by now."""

    feedback: str = Field(examples=["accepted"])
    changed: bool = Field(description="False where this had been said before")


@contextmanager
def _scope(request: Request) -> Iterator[tuple[psycopg.Connection[Any], Source, int]]:
    source = source_of(request)
    if "warnings" not in source.tables:
        raise Problem(403, "table_not_allowed", "This key sends no warnings / 该密钥不发送预警指令")
    with doors(request).pool.connection() as conn:
        row = conn.execute("SELECT min(unit_id) FROM wuzha.units WHERE parent_id IS NULL").fetchone()
        if row is None or row[0] is None:
            raise Problem(503, "no_unit", "No unit stands yet / 尚无单位")
        with transaction(conn, unit=row[0], user=None):
            yield conn, source, int(row[0])


@router.get(
    "/v1/feedback", response_model=Answers, summary="Answers that wait for the source", dependencies=[Depends(bearer)],
    responses=documented(401, 403, 422, 503),
)  # fmt: skip
def answers(request: Request, limit: Annotated[int, Query(ge=1, le=200)] = 200) -> Answers:
    """Answers to the key's own warnings that it has not said to have. Say so by POST; ask again until none is left."""
    with _scope(request) as (conn, source, _):
        waiting = sender.waiting(conn, [source.name], limit=limit)
        return Answers(answers=[Answer(**sender.message(w, way)) for w, way in waiting])


@router.post(
    "/v1/feedback/{warning:path}", response_model=Moved, summary="What became of an answer",
    dependencies=[Depends(bearer)],
    responses=documented(401, 403, 404, 409, 422, 503),
)  # fmt: skip
def said(
    request: Request,
    warning: Annotated[str, Path(max_length=200, description="event_id of the warning, or the source's number")],
    what: Said,
) -> Moved:
    """Received, accepted, or returned with a reason. A return may come at any time after the answer was sent."""
    with _scope(request) as (conn, source, root):
        actor = machine(root, f"source:{source.name}")
        wanted = _plain(warning)
        row = conn.execute(
            "SELECT warning_id, sent_n FROM wuzha.alert_warnings"
            " WHERE source = %s AND (event_id = %s OR source_no = %s) ORDER BY event_id <> %s LIMIT 1",
            [source.name, wanted, wanted, wanted],
        ).fetchone()
        if row is None:
            raise Problem(404, "no_warning", "There is no such warning of yours / 没有这条指令")
        number, sent_n = row
        try:
            changed = _move(conn, actor, number, sent_n, source, what)
        except Refused as refused:
            raise Problem(
                409,
                refused.reason,
                "Not possible in the answer's state / 当前状态不能这样做",
                "received needs the key of the answer that waits; returned needs a reason and an answer that was sent",
            ) from refused
        after = conn.execute("SELECT feedback FROM wuzha.alert_warnings WHERE warning_id = %s", [number]).fetchone()
        assert after is not None
        return Moved(feedback=after[0], changed=changed)


def _move(conn: psycopg.Connection[Any], actor: Any, number: int, sent_n: int, source: Source, what: Said) -> bool:
    changed = False
    if what.key:
        sending = sender.of_key(what.key, number)
        if sending is None:
            raise Refused("not_answered")
        n, outcome = sending
        if n > sent_n + 1:
            raise Refused("not_answered")
        changed = feedback.sent(
            conn, actor, number, key=f"send:{what.key}", receipt=_plain(what.receipt) or "received", n=n, answer=outcome
        )
        sent_n = max(sent_n, n)
    elif what.state == "received":
        raise Refused("not_answered")
    own = f"{source.name}:{number}:{what.state}:{sent_n}"[:120]
    if what.state == "accepted":
        return feedback.accept(conn, actor, number, key=own) or changed
    if what.state == "returned":
        return feedback.send_back(conn, actor, number, key=own, why=_plain(what.reason)) or changed
    return changed


def _plain(text: str) -> str:
    """``text`` without what PostgreSQL cannot hold."""
    return text.encode("utf-8", "replace").decode().replace("\x00", "␀")
