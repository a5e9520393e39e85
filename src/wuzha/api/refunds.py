"""``/v1/refunds``: the freezing bank asks for the refunds that were sent to it, says that it has them, sends receipts.

Kept true here: a key sees and answers only payments that a named officer has sent to it on a decision; one is listed
until it is answered; the same answer again changes nothing, and no share is paid twice whatever comes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any, Literal

import psycopg
from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, Field

from wuzha.cases.refund import member, paying
from wuzha.cases.refund.paying import Receipt
from wuzha.command.public import Actor, Refused
from wuzha.events.money import LIMIT_FEN
from wuzha.store.sources import Source

from .doors import bearer
from .members import aware, member_scope, refused_problem
from .problems import Problem, documented
from .said import Said

router = APIRouter(tags=["refunds"])

_BIGINT = 2**63 - 1
RefundId = Annotated[int, Path(ge=1, le=_BIGINT)]


class Refund(BaseModel):
    """One payment out of frozen money to a victim."""

    refund: int = Field(examples=[3], description="The payment's number")
    document: str = Field(description="Number of the decision", examples=["330200刑返字〔2026〕3号"])
    account: str = Field(description="The frozen account", examples=["6228480402560001"])
    holder: str | None
    to_account: str = Field(description="The victim's account", examples=["6222020200001111"])
    to_holder: str | None
    to_bank: str | None
    other_account_why: str | None = Field(description="Why not the account that the money came from; null: it is that")
    amount_fen: int
    due_at: datetime = Field(description="The end of the last working day of the term")
    law: str
    sealed_at: datetime
    officer: str | None
    unit: str | None
    note: str = Field(description="What is said to the victim", examples=["返还不收取任何费用，可拨96110核实。"])
    taken: bool = Field(description="True where the bank has said that it has it")


class Refunds(BaseModel):
    """What waits for the bank, the oldest first."""

    refunds: list[Refund]


class Taken(Said):
    """The bank has the payment, under its own number."""

    number: str = Field(min_length=1, max_length=100, examples=["FH20260302000017"])


class Answer(Said):
    """What became of a payment: ``paid_fen`` with the receipt; ``failed`` where that is not all."""

    key: str = Field(min_length=1, max_length=80, description="The answer's own: sent again, it is the same answer")
    paid_fen: int = Field(0, ge=0, le=LIMIT_FEN)
    paid_at: datetime | None = Field(None, description="With an offset; now where not given")
    receipt: str = Field("", max_length=200, examples=["HZ20260302000017"])
    failed: Literal["", "name", "account", "closed", "no_balance", "frozen_elsewhere", "other"] = ""
    words: str = Field("", max_length=500)


class Stands(BaseModel):
    """The payment's state by now: sent, taken, paid, partial, failed."""

    refund: int
    state: str = Field(examples=["paid"])
    repeated: bool = False


@contextmanager
def _scope(request: Request, payment: int) -> Iterator[tuple[psycopg.Connection[Any], Source, Actor]]:
    with member_scope(request) as (conn, source, actor):
        if not member.belongs(conn, payment, source.source_id):
            raise Problem(404, "no_refund", "There is no such refund for you / 没有这笔返还", "")
        yield conn, source, actor


@router.get(
    "/v1/refunds", response_model=Refunds, summary="Refunds that wait for the bank",
    dependencies=[Depends(bearer)], responses=documented(401, 403, 422, 503),
)  # fmt: skip
def waiting(request: Request, limit: Annotated[int, Query(ge=1, le=500)] = 100) -> Refunds:
    """Sent and not answered yet."""
    with member_scope(request) as (conn, source, _):
        return Refunds(refunds=[Refund(**p) for p in member.waiting(conn, source.source_id, limit=limit)])


@router.post(
    "/v1/refunds/{refund}/receipt", response_model=Stands, summary="The bank has a refund",
    dependencies=[Depends(bearer)], responses=documented(401, 403, 404, 409, 422, 503),
)  # fmt: skip
def receipt(request: Request, refund: RefundId, said: Taken) -> Stands:
    """Under this number there. The same word again changes nothing."""
    with _scope(request, refund) as (conn, _, actor):
        try:
            done = paying.taken(conn, actor, refund, number=said.number, key=f"taken:{refund}:{said.number}")
        except Refused as refused:
            raise refused_problem(refused) from refused
        return Stands(refund=refund, state=member.state(conn, refund), repeated=done.repeated)


@router.post(
    "/v1/refunds/{refund}/answer", response_model=Stands, summary="Answer a refund",
    dependencies=[Depends(bearer)], responses=documented(401, 403, 404, 409, 422, 503),
)  # fmt: skip
def answer(request: Request, refund: RefundId, said: Answer) -> Stands:
    """Paid, a part, or not. The last share's receipt completes the refund."""
    with _scope(request, refund) as (conn, _, actor):
        told = Receipt(
            paid_fen=said.paid_fen, paid_at=aware(said.paid_at), number=said.receipt, failed_code=said.failed,
            failed_words=said.words,
        )  # fmt: skip
        try:
            done = paying.answered(conn, actor, refund, told, key=f"paid:{refund}:{said.key}")
        except Refused as refused:
            raise refused_problem(refused) from refused
        return Stands(refund=refund, state=member.state(conn, refund), repeated=done.repeated)
