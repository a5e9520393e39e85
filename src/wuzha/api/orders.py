"""``/v1/orders``: a member unit asks for the orders that were sealed for it, says that it has them, and answers.

Kept true here: a key sees and answers only what a named officer has sealed for it; an order is listed until it is
answered; the same answer again changes nothing, and rows that cannot be read are told one by one while the rest counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any, Literal

import psycopg
from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from wuzha.cases import answers, resolutions
from wuzha.command.public import Actor, Refused
from wuzha.events import clock
from wuzha.events.money import LIMIT_FEN
from wuzha.orders import answering, camt, member, recall, states
from wuzha.orders.answering import Answer
from wuzha.store.sources import Source

from . import body as bodies
from .doors import bearer, source_of
from .members import aware, member_scope, refused_problem
from .problems import Problem, documented
from .said import Said

router = APIRouter(tags=["orders"])

_BIGINT = 2**63 - 1
#: Reject rows named in an answer.
_LISTED = 100
_FILE = 64 * 1024 * 1024
OrderId = Annotated[int, Path(ge=1, le=_BIGINT)]


class Order(BaseModel):
    """What is asked of the member unit."""

    order: int = Field(examples=[12])
    kind: str = Field(examples=["stop"], description="query, stop, freeze, release")
    document: str = Field(description="Number of the sealed document", examples=["330211资〔2026〕12号"])
    account: str = Field(examples=["6228480402560001"])
    holder: str | None
    transfer_fen: int | None = Field(description="The transfer that is matched: amount")
    transfer_at: datetime | None = Field(description="… and time")
    amount_fen: int | None = Field(description="How much to hold; null: the whole account (of a query: nothing)")
    hours: int | None = Field(description="A stop lasts so long")
    months: int | None = Field(description="A freeze lasts so long")
    law: str
    releases: int | None = Field(description="The order that a release ends")
    sealed_at: datetime
    officer: str | None = Field(description="Who sealed it")
    unit: str | None
    reason: str
    taken: bool = Field(description="True where the member unit has said that it has it")


class Orders(BaseModel):
    """What waits for the member unit, the oldest first."""

    orders: list[Order]


class _Said(Said):
    model_config = ConfigDict(str_max_length=500)


class Receipt(_Said):
    """The member unit has the order, under its own number."""

    number: str = Field(min_length=1, max_length=100, examples=["BK20260302000017"])
    accepted: bool = Field(False, description="It has taken it on, too")


class AnswerBody(_Said):
    """What became of an order. ``failed``: why it is not done; ``queued``: it waits its turn and may be answered again;
    else what is held, or what the account did."""

    key: str = Field(min_length=1, max_length=80, description="The answer's own: sent again, it is the same answer")
    number: str = Field("", max_length=100, description="The member unit's number, where it was not told before")
    executed_at: datetime | None = Field(None, description="When it was done, with an offset; now where not given")
    held_fen: int | None = Field(None, ge=0, le=LIMIT_FEN, description="What a stop or freeze holds")
    failed: Literal["", "name", "account", "amount", "time", "no_account", "closed", "no_balance", "stopped_before",
                    "no_limit", "other"] = ""  # fmt: skip
    queued: bool = Field(False, description="A freeze that waits its turn behind another's; held_fen: its amount")
    behind: str = Field("", max_length=100, description="Whose freeze stands before it", examples=["乙市公安局"])
    behind_until: datetime | None = Field(None, description="When that ends, as far as the bank knows")
    words: str = Field("", max_length=500)
    as_of: datetime | None = Field(None, description="Up to when the transfers are complete; now where not given")
    balance_fen: int | None = Field(None, ge=-LIMIT_FEN, le=LIMIT_FEN)
    account_kind: Literal["personal", "company", "wallet", "merchant"] | None = None
    transfers: list[dict[str, Any]] | None = Field(
        None, max_length=100_000, description="Rows of the transfers table: ts, payer, payee, amount_fen and more",
        examples=[[{"event_id": "e1", "ts": "2026-03-02T09:03:10+08:00", "payer": "6228480402560001",
                    "payee": "6217001234560002", "amount_fen": 3_000_000}]],
    )  # fmt: skip


class RowReject(BaseModel):
    """A row that was not taken."""

    row: int | None
    column: str | None
    value: str | None
    reason: str | None


class AnswerTaken(BaseModel):
    """What became of an answer."""

    order: int
    state: str = Field(examples=["done"])
    rows: int = Field(description="New transfers")
    known: int = Field(description="Transfers that were told before")
    rejected: int
    rejects: list[RowReject]
    repeated: bool


@contextmanager
def _scope(request: Request, order: int | None = None) -> Iterator[tuple[psycopg.Connection[Any], Source, Actor]]:
    with member_scope(request) as (conn, source, actor):
        if order is not None and not member.belongs(conn, order, source.source_id):
            raise Problem(404, "no_order", "There is no such order for you / 没有这条指令")
        yield conn, source, actor


@router.get(
    "/v1/orders", response_model=Orders, summary="Orders that wait for the member unit",
    dependencies=[Depends(bearer)], responses=documented(401, 403, 422, 503),
)  # fmt: skip
def waiting(request: Request, limit: Annotated[int, Query(ge=1, le=500)] = 100) -> Orders:
    """Sealed and not answered yet. Ask as often as you like; say by ``receipt`` that you have one."""
    with _scope(request) as (conn, source, _):
        return Orders(orders=[Order(**o) for o in member.waiting(conn, source.source_id, limit=limit, now=clock.now())])


def _state(conn: psycopg.Connection[Any], actor: Actor, order: int) -> str:
    return str(states.one(conn, actor, order, now=clock.now())["state"])


class Stands(BaseModel):
    """The order's state by now."""

    order: int
    state: str = Field(examples=["entered"])


@router.post(
    "/v1/orders/{order}/receipt", response_model=Stands, summary="The member unit has an order",
    dependencies=[Depends(bearer)], responses=documented(401, 403, 404, 409, 422, 503),
)  # fmt: skip
def receipt(request: Request, order: OrderId, said: Receipt) -> Stands:
    """Under this number there. Only from now on does the order count as sent. The same word again changes nothing."""
    with _scope(request, order) as (conn, _, actor):
        try:
            _enter(conn, actor, order, said.number)
            if said.accepted and _state(conn, actor, order) == "entered":
                answering.accepted(conn, actor, order, receipt=said.number, key=f"accepted:{order}:{said.number}")
        except Refused as refused:
            raise refused_problem(refused) from refused
        return Stands(order=order, state=_state(conn, actor, order))


def _enter(conn: psycopg.Connection[Any], actor: Actor, order: int, number: str) -> None:
    if _state(conn, actor, order) == "sealed":
        answering.entered(conn, actor, order, external_no=number, key=f"entered:{order}:{number}")


@router.post(
    "/v1/orders/{order}/answer", response_model=AnswerTaken, summary="Answer an order",
    dependencies=[Depends(bearer)], responses=documented(401, 403, 404, 409, 422, 503),
)  # fmt: skip
def answer(request: Request, order: OrderId, said: AnswerBody) -> AnswerTaken:
    """What is held, why not, or what the account did. The trace follows it before the answer comes back."""
    now = clock.now()
    with _scope(request, order) as (conn, source, actor):
        try:
            _enter(conn, actor, order, said.number or f"{order}-{said.key}")
            row = states.one(conn, actor, order, now=now)
            statement = None
            if said.transfers is not None and not said.failed:
                statement = answers.from_rows(
                    said.transfers, account=row["account"], source=source.name, as_of=aware(said.as_of) or now,
                    balance_fen=said.balance_fen, account_kind=said.account_kind,
                )  # fmt: skip
            took = answers.take(
                conn, actor, order,
                answer=Answer(
                    executed_at=aware(said.executed_at), done_fen=said.held_fen, failed_code=said.failed,
                    failed_words=said.words, queued=said.queued, behind=said.behind,
                    behind_until=aware(said.behind_until),
                ),
                statement=statement, key=f"answer:{order}:{said.key}", now=now,
            )  # fmt: skip
        except Refused as refused:
            raise refused_problem(refused) from refused
        return _told(took, _state(conn, actor, order))


@router.post(
    "/v1/orders/{order}/statement", response_model=AnswerTaken, summary="Answer a query with a file",
    dependencies=[Depends(bearer)], responses=documented(400, 401, 403, 404, 409, 413, 415, 422, 503),
    openapi_extra={"requestBody": {"required": True, "content": {
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}},
)  # fmt: skip
async def statement(
    request: Request, order: OrderId,
    name: Annotated[str, Query(min_length=1, max_length=200, pattern=r"^[^/\\\x00]+$", examples=["流水.xlsx"])],
    number: Annotated[str, Query(max_length=100, pattern=r"^[^\x00]*$")] = "",
) -> AnswerTaken:  # fmt: skip
    """The bank's own workbook, CSV or archive, in any layout that the import reads."""
    from starlette.concurrency import run_in_threadpool

    source_of(request)
    data = await bodies.read(request, limit=_FILE, inflated=_FILE)
    return await run_in_threadpool(_file, request, order, name, number, data)


def _file(request: Request, order: int, name: str, number: str, data: bytes) -> AnswerTaken:
    import hashlib

    now = clock.now()
    digest = hashlib.sha256(data).hexdigest()[:32]
    with _scope(request, order) as (conn, source, actor):
        try:
            _enter(conn, actor, order, number or f"{order}-{digest}")
            row = states.one(conn, actor, order, now=now)
            if row["kind"] != "query":
                raise Refused("order_not_now")
            rows = answers.from_file(name, data, account=row["account"], source=source.name, as_of=now)
            took = answers.take(
                conn, actor, order, answer=Answer(), statement=rows, key=f"answer:{order}:{digest}", now=now
            )
        except Refused as refused:
            raise refused_problem(refused) from refused
        return _told(took, _state(conn, actor, order))


@router.get(
    "/v1/orders/{order}/camt.056", response_class=Response, summary="A stop order as a camt.056",
    dependencies=[Depends(bearer)], responses=documented(401, 403, 404, 409, 422, 503) | {200: {
        "description": f"The request to recall the transfer ({camt.KINDS['camt.056']})",
        "content": {"application/xml": {"schema": {"type": "string"}}}}},
)  # fmt: skip
def recalled(request: Request, order: OrderId) -> Response:
    """For banks that speak ISO 20022. The same bytes each time; the answer comes to ``/v1/orders/camt.029``."""
    with _scope(request, order) as (conn, _, actor):
        try:
            made = recall.xml(states.one(conn, actor, order, now=clock.now()))
        except Refused as refused:
            raise refused_problem(refused) from refused
    return Response(made, media_type="application/xml")


@router.post(
    "/v1/orders/camt.029", response_model=AnswerTaken, summary="Answer a stop order with a camt.029",
    dependencies=[Depends(bearer)], responses=documented(400, 401, 403, 404, 409, 413, 415, 422, 503),
    openapi_extra={"requestBody": {"required": True, "content": {
        "application/xml": {"schema": {"type": "string"}}}}},
)  # fmt: skip
async def resolved(request: Request) -> AnswerTaken:
    """The resolution of a recall becomes the answer of the order that its case names: done, done in part, not done,
    or – while it is pending – taken on. Checked against the schema; sent again it changes nothing."""
    from starlette.concurrency import run_in_threadpool

    source_of(request)
    data = await bodies.read(request, limit=camt.LARGEST, inflated=camt.LARGEST)
    return await run_in_threadpool(_resolved, request, data)


def _resolved(request: Request, data: bytes) -> AnswerTaken:
    with _scope(request) as (conn, source, actor):
        try:
            took = resolutions.take(
                conn, actor, data, mine=lambda order: member.belongs(conn, order, source.source_id), now=clock.now()
            )
        except Refused as refused:
            if refused.reason not in _UNREAD:
                raise refused_problem(refused) from refused
            raise Problem(
                422,
                refused.reason,
                "The message cannot be taken / 报文无法受理",
                "; ".join([refused.reason, *(f"{k}: {v}" for k, v in refused.values.items())])
                + "; nothing was changed",
            ) from refused
        return _told(took, _state(conn, actor, took.order_id))


#: What is wrong with a message itself, whatever its order's state.
_UNREAD = ("camt_large", "camt_xml", "camt_kind", "camt_case", "camt_status", "camt_amount", "camt_foreign")


def _told(took: answers.Took, state: str) -> AnswerTaken:
    return AnswerTaken(
        order=took.order_id, state=state, rows=took.rows, known=took.known, rejected=len(took.rejects),
        rejects=[RowReject(**r) for r in took.rejects[:_LISTED]], repeated=took.repeated,
    )  # fmt: skip
