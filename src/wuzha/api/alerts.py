"""Alerts for programs: the rows that the asker's unit may see, masked as on the pages.

Kept true here: what is seen is decided by the database's row-level security, under the unit of the key's source or
of the session's officer; identifiers are masked, since a reveal takes a purpose and a person.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

import psycopg
from fastapi import APIRouter, Depends, Path, Query, Request
from psycopg.rows import dict_row
from pydantic import BaseModel, Field

from wuzha.command import sessions
from wuzha.events import LEVELS
from wuzha.events.subjects import key as subject_key
from wuzha.events.subjects import mask
from wuzha.store import transaction

from .doors import bearer, doors, source_of
from .problems import Problem, documented

router = APIRouter(tags=["alerts"])

#: Sources whose keys may read: a desk's own systems and those above. Holders send, they do not read.
_READERS = ("desk", "upstream")
_BIGINT = 2**63 - 1


class Alert(BaseModel):
    """A person at risk."""

    alert: int = Field(examples=[12])
    person: str = Field(description="Masked", examples=["138****1234"])
    line: str | None = Field(description="Masked", examples=["138****1234"])
    episode: int
    level: str = Field(examples=["urgent"])
    scam_type: str = Field(examples=["authority"])
    stage: str = Field(examples=["act"])
    score: float
    amount_fen: int | None
    raised_at: datetime
    high_at: datetime | None
    state: str = Field(examples=["new"])


class Evidence(BaseModel):
    """One reason."""

    rule: str
    at: datetime
    weight: float
    stage: str
    reason: str = Field(description="The sentence, in the language asked for")
    events: list[str] = Field(description="source/event_id of each cited event")


class AlertFile(Alert):
    """An alert with its reasons and warnings."""

    evidence: list[Evidence]
    warnings: list[str] = Field(description="source/event_id of each joined warning")


class Page(BaseModel):
    """Newest first. Ask again with ``after`` = ``next`` until that is null."""

    alerts: list[Alert]
    next: str | None


@contextmanager
def _scope(request: Request) -> Iterator[psycopg.Connection[Any]]:
    """A transaction under the asker's unit. 401 without key or session, 403 without the right."""
    unit, user = _asker(request)
    with doors(request).pool.connection() as conn, transaction(conn, unit=unit, user=user):
        yield conn


def _asker(request: Request) -> tuple[int, int | None]:
    # The pages' cookie, named after the port, since cookies know none.
    port = request.url.port or (443 if request.url.scheme == "https" else 80)
    token = request.cookies.get(f"wuzha_{port}")
    if "authorization" not in request.headers and token:
        with doors(request).pool.connection() as conn:
            session = sessions.find(conn, token)
        if session is None:
            raise Problem(401, "session_over", "The session is over / 登录已失效")
        if "desk.read" not in session.actor.may or session.actor.must_change:
            raise Problem(403, "forbidden", "Not allowed for your roles / 您的角色无此权限")
        return session.actor.unit_id, session.actor.user_id
    source = source_of(request)
    if source.role not in _READERS or source.unit_id is None:
        raise Problem(403, "key_may_not_read", "This key may not read alerts / 该密钥无权读取预警")
    return source.unit_id, None


_COLUMNS = (
    "a.alert_id, s.value AS person, l.value AS line, a.episode, a.level, a.scam_type, a.stage, a.score, a.amount_fen,"
    " a.raised_at, a.high_at, a.state, a.committed_at"
)
_FROM = (
    " FROM wuzha.alerts a JOIN wuzha.subjects s ON s.subject_id = a.person_id"
    " LEFT JOIN wuzha.subjects l ON l.subject_id = a.line_id"
)


@router.get(
    "/v1/alerts", response_model=Page, summary="Alerts, newest first", dependencies=[Depends(bearer)],
    responses=documented(401, 403, 422),
)  # fmt: skip
def alerts(
    request: Request,
    level: Annotated[str | None, Query(json_schema_extra={"enum": list(LEVELS)})] = None,
    after: Annotated[str | None, Query(max_length=200, description="``next`` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> Page:
    """Alerts that the key's or officer's unit answers for, by keyset pages: none is skipped or told twice."""
    if level is not None and level not in LEVELS:
        raise Problem(422, "wrong_parameter", "A parameter is wrong / 参数有误", f"level: one of {', '.join(LEVELS)}")
    where: list[str] = ["true"]
    values: list[Any] = []
    if level is not None:
        where.append("a.level = %s")
        values.append(level)
    if after is not None:
        where.append("(a.committed_at, a.alert_id) < (%s, %s)")
        values += list(_cursor(after))
    with _scope(request) as conn:
        rows = (
            conn.cursor(row_factory=dict_row)
            .execute(
                f"SELECT {_COLUMNS}{_FROM} WHERE {' AND '.join(where)}"
                " ORDER BY a.committed_at DESC, a.alert_id DESC LIMIT %s",
                [*values, limit + 1],
            )
            .fetchall()
        )
    more = len(rows) > limit
    rows = rows[:limit]
    following = _mark(rows[-1]["committed_at"], rows[-1]["alert_id"]) if more else None
    return Page(alerts=[Alert(**_shown(r)) for r in rows], next=following)


@router.get(
    "/v1/alerts/{alert}", response_model=AlertFile, summary="One alert, its reasons", dependencies=[Depends(bearer)],
    responses=documented(401, 403, 404, 422),
)  # fmt: skip
def alert_file(
    request: Request,
    alert: Annotated[int, Path(ge=1, le=_BIGINT)],
    language: Annotated[str, Query(json_schema_extra={"enum": ["zh", "en"]})] = "zh",
) -> AlertFile:
    """The alert's evidence, each with its sentence, and the warnings joined with it."""
    if language not in ("zh", "en"):
        raise Problem(422, "wrong_parameter", "A parameter is wrong / 参数有误", "language: zh or en")
    from wuzha import detect  # takes most of a second, which a server that starts need not wait for
    from wuzha.live import rulebooks

    with _scope(request) as conn:
        cursor = conn.cursor(row_factory=dict_row)
        row = cursor.execute(f"SELECT {_COLUMNS}{_FROM} WHERE a.alert_id = %s", [alert]).fetchone()
        if row is None:
            raise Problem(404, "no_alert", "There is no such alert in your scope / 范围内没有该预警")
        evidence = cursor.execute(
            "SELECT e.rule, e.rule_version, e.at, e.weight, e.stage, e.args, array(SELECT x.source || '/' || x.event_id"
            " FROM wuzha.evidence_events x WHERE x.evidence_id = e.evidence_id ORDER BY x.ts, x.event_id) AS events"
            " FROM wuzha.evidence e WHERE e.alert_id = %s AND e.withdrawn_at IS NULL ORDER BY e.at, e.evidence_id",
            [alert],
        ).fetchall()
        rulebooks.learn_of(conn, ((e["rule"], e["rule_version"]) for e in evidence))
        joined = cursor.execute(
            "SELECT source || '/' || event_id AS warning FROM wuzha.alert_warnings WHERE alert_id = %s ORDER BY ts",
            [alert],
        ).fetchall()
    return AlertFile(
        **_shown(row),
        evidence=[
            Evidence(
                rule=e["rule"], at=e["at"], weight=e["weight"], stage=e["stage"], events=e["events"],
                reason=detect.reason(e["rule"], e["rule_version"], e["args"], language=language),
            )
            for e in evidence
        ],
        warnings=[w["warning"] for w in joined],
    )  # fmt: skip


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    line = row["line"]
    out = {k: v for k, v in row.items() if k not in ("alert_id", "committed_at", "person", "line")}
    return {
        **out,
        "alert": row["alert_id"],
        "person": mask(subject_key("person", row["person"])),
        "line": mask(subject_key("line", line)) if line else None,
    }


def _mark(at: datetime, alert: int) -> str:
    return base64.urlsafe_b64encode(json.dumps([at.isoformat(), alert]).encode()).decode()


def _cursor(text: str) -> tuple[datetime, int]:
    try:
        at, alert = json.loads(base64.urlsafe_b64decode(text.encode()))
        when = datetime.fromisoformat(at)
        if when.tzinfo is None or not isinstance(alert, int) or not 0 <= alert <= _BIGINT:
            raise ValueError("not ours")
        return when.astimezone(UTC), alert
    except (ValueError, TypeError, binascii.Error, OverflowError) as error:
        raise Problem(
            422, "wrong_parameter", "A parameter is wrong / 参数有误", "after: not the next of a page"
        ) from error
