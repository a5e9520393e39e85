"""``POST /v1/calls``: the telephone exchange tells of its calls.

Kept true here: only a source of the role ``desk`` tells of calls, and only in its own unit's scope; an event told twice
or late changes nothing that it should not; each event is judged by itself, and the answer says what became of it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Body, Depends, Request
from pydantic import BaseModel, ConfigDict, Field, field_validator

from wuzha.events import clock, subjects
from wuzha.respond import incoming
from wuzha.store import transaction

from .doors import bearer, doors, source_of
from .problems import Problem, documented

router = APIRouter(tags=["calls"])

#: Events of one request.
MOST = 500
#: A time further ahead than this is a clock that is wrong.
_AHEAD = timedelta(days=1)


class CallEvent(BaseModel):
    """One thing that happened to a call."""

    model_config = ConfigDict(extra="forbid", str_max_length=300)

    call: str = Field(min_length=1, max_length=200, description="The exchange's own number of the call")
    event: Literal["ringing", "answered", "missed", "ended"]
    at: datetime = Field(description="When it happened, with an offset", examples=["2026-03-02T09:15:00+08:00"])
    number: str | None = Field(None, description="The caller's number as it was shown; null where withheld")
    extension: str | None = Field(None, max_length=32, description="The telephone that rings or answered")
    recording: str | None = Field(None, description="Where the exchange keeps the recording")
    reference: str | None = Field(
        None, description="Of a call that we had asked for: what came in its header X-Wuzha-Call", examples=["w17"]
    )

    @field_validator("call", "number", "extension", "recording", "reference")
    @classmethod
    def _no_null(cls, value: str | None) -> str | None:
        if value is not None and "\x00" in value:
            raise ValueError("holds a null character")
        return value


class Became(BaseModel):
    """What became of one event: ``new``, ``known`` (told before), or why it was not taken."""

    event: int = Field(description="Which of the request's, from 0")
    became: Literal["new", "known", "no_offset", "in_the_future", "no_number", "unknown_reference"]


class CallsTaken(BaseModel):
    """The events of a request, each by itself."""

    taken: int
    known: int
    rejected: int
    events: list[Became]


@router.post(
    "/v1/calls", response_model=CallsTaken, summary="Tell of calls", dependencies=[Depends(bearer)],
    responses=documented(401, 403, 422, 503),
)  # fmt: skip
def tell_calls(
    request: Request,
    events: Annotated[list[CallEvent], Body(min_length=1, max_length=MOST)],
) -> CallsTaken:
    """Ringing, answered, missed and ended, in any order and as often as you like. Send again after any failure."""
    source = source_of(request)
    if source.role != "desk":
        raise Problem(403, "key_may_not_tell", "This key may not tell of calls / 该密钥无权报送来电", "role desk only")
    now = clock.now()
    became: list[Became] = []
    with doors(request).pool.connection() as conn:
        unit = source.unit_id
        if unit is None:  # a source of the whole house
            row = conn.execute("SELECT min(unit_id) FROM wuzha.units WHERE parent_id IS NULL").fetchone()
            unit = row[0] if row else None
        if unit is None:
            raise Problem(403, "no_unit", "This source has no unit / 该来源没有单位", "give it one")
        for i, event in enumerate(events):
            told = _told(event, now)
            if isinstance(told, str):
                became.append(Became.model_validate({"event": i, "became": told}))
                continue
            with transaction(conn, unit=unit, now=now):
                became.append(Became(event=i, became=incoming.tell(conn, source.name, unit, told, now=now)))
    taken, known = (sum(b.became == name for b in became) for name in ("new", "known"))
    return CallsTaken(taken=taken, known=known, rejected=len(became) - taken - known, events=became)


def _told(event: CallEvent, now: datetime) -> incoming.Told | str:
    """The event as the desk takes it, or why not."""
    if event.at.tzinfo is None:
        return "no_offset"
    try:
        at = event.at.astimezone(UTC)
    except OverflowError:
        return "in_the_future"
    if at > now + _AHEAD:
        return "in_the_future"
    number = None
    if event.number is not None and event.number.strip().casefold() not in ("", "anonymous", "private", "withheld"):
        number = subjects.line_value(event.number)
        if number is None:
            return "no_number"
    return incoming.Told(
        call=event.call, event=event.event, at=at, number=number, extension=(event.extension or "").strip() or None,
        recording=(event.recording or "").strip() or None, reference=event.reference or None,
    )  # fmt: skip
