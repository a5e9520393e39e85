"""``POST /v1/reports``: a registered sender tells of a victim's report; its case and its orders' drafts stand at once.

Kept true here: the web form's reports verify nobody, whatever they say; a report sent again is the same report; no name
and no number of anybody is in an answer.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Body, Depends, Request
from pydantic import BaseModel, ConfigDict, Field

from wuzha.cases import command
from wuzha.cases.reports import Loss, Report
from wuzha.command.public import Refused, machine
from wuzha.events import clock
from wuzha.events.money import LIMIT_FEN
from wuzha.store import transaction

from .doors import bearer, doors, source_of
from .problems import Problem, documented
from .said import Said

router = APIRouter(tags=["cases"])

#: Senders that may tell of reports: a desk's own systems, those above, and banks whose customers report to them.
_SENDERS = ("desk", "upstream", "bank", "platform")


class _Said(Said):
    model_config = ConfigDict(str_max_length=4000)


class LossBody(_Said):
    """One transfer of the victim's."""

    payee: str = Field(max_length=80, description="Account that received it", examples=["6228480402560001"])
    amount_fen: int = Field(gt=0, le=LIMIT_FEN, examples=[5_000_000])
    at: datetime = Field(description="When, with an offset", examples=["2026-03-02T09:00:00+08:00"])
    account: str = Field("", max_length=80, description="Account that was debited; empty where not known yet")
    account_bank: str = Field("", max_length=100)
    payee_name: str = Field("", max_length=100)
    payee_bank: str = Field("", max_length=100, examples=["示例银行"])
    bank_ref: str = Field("", max_length=100)


class ReportBody(_Said):
    """A victim's report."""

    number: str = Field(
        min_length=1, max_length=100, description="The sender's own number", examples=["110-20260302-17"]
    )
    channel: Literal["counter", "phone", "web", "bank"] = "web"
    reported_at: datetime | None = Field(None, description="When it was reported; now where not given")
    name: str = Field("", max_length=60)
    id_no: str = Field("", max_length=30)
    line: str = Field("", max_length=30, examples=["13812341234"])
    scam_type: str = Field("", max_length=60, examples=["authority"])
    words: str = Field("", max_length=4000)
    verified: str = Field("", max_length=200, description="How a bank has made sure who it is; ignored of the web form")
    transfers: list[LossBody] = Field(min_length=1, max_length=50)


class ReportTaken(BaseModel):
    """The case that stands."""

    case: int = Field(examples=[12])
    case_no: str = Field(examples=["A3302110000002026030001"])
    report: int
    joined: bool = Field(description="True where the payee belonged to an open case")
    repeated: bool = Field(description="True where this number had been sent before")


@router.post(
    "/v1/reports", response_model=ReportTaken, summary="Tell of a report", dependencies=[Depends(bearer)],
    responses=documented(401, 403, 409, 422, 503),
)  # fmt: skip
def tell_report(request: Request, report: Annotated[ReportBody, Body()]) -> ReportTaken:
    """A report and its case; the stop order and the query to the payee's bank are drafted before the answer comes back.
    Nothing is ordered by it: an officer verifies, and another seals. Send again after any failure."""
    source = source_of(request)
    if source.role not in _SENDERS:
        raise Problem(403, "key_may_not_report", "This key may not tell of reports / 该密钥无权报送警情")
    if report.channel == "bank" and source.role not in ("bank", "platform"):
        raise Problem(403, "key_may_not_report", "Only a bank reports as a bank / 仅银行可转报")
    now = clock.now()
    told = Report(
        losses=tuple(
            Loss(
                payee=x.payee, amount_fen=x.amount_fen, at=_at(x.at), account=x.account, account_bank=x.account_bank,
                payee_name=x.payee_name, payee_bank=x.payee_bank, bank_ref=x.bank_ref,
            )
            for x in report.transfers
        ),
        channel=report.channel, source=source.name, number=report.number,
        reported_at=_at(report.reported_at) if report.reported_at else None, name=report.name, id_no=report.id_no,
        line=report.line, scam_type=report.scam_type, words=report.words, verified_how=report.verified,
    )  # fmt: skip
    with doors(request).pool.connection() as conn:
        unit = source.unit_id if source.role == "desk" else None
        if unit is None:
            row = conn.execute("SELECT min(unit_id) FROM wuzha.units WHERE parent_id IS NULL").fetchone()
            unit = row[0] if row else None
        if unit is None:
            raise Problem(503, "no_unit", "No unit stands yet / 尚无单位")
        try:
            with transaction(conn, unit=unit, now=now):
                taken = command.report(
                    conn, machine(unit, f"source:{source.name}"), told, key=f"report:{report.number}", now=now
                )
        except Refused as refused:
            raise Problem(
                422, refused.reason, "The report cannot be taken / 警情无法受理", f"{refused.reason}: nothing was saved"
            ) from refused
    return ReportTaken(
        case=taken.case_id, case_no=taken.case_no, report=taken.report_id, joined=taken.joined, repeated=taken.repeated
    )


def _at(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise Problem(422, "wrong_parameter", "A parameter is wrong / 参数有误", "at: needs an offset")
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise Problem(422, "wrong_parameter", "A parameter is wrong / 参数有误", "at: no such time") from None
