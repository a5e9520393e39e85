"""A bank's camt.029: what became of a recall, and what it says as an answer to its order.

Kept true here: a resolution answers exactly one case; "done" needs an amount, its own or what was asked for; a code
that nobody has given a meaning is a refusal in the bank's own words, never a success.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from wuzha.command.public import Refused
from wuzha.events import clock

from . import camt
from .answering import Answer

#: Confirmation codes of the whole and of the transaction: done, done in part, not done, not yet decided.
DONE, IN_PART, REFUSED, PENDING = ("CNCL", "ACCR"), "PECR", "RJCR", ("PDCR", "UWFW", "INFO")
#: What the codes of a rejection mean among ours; all others are "other", with their words.
MEANS = {
    "AC01": "account", "AC03": "account", "AC04": "closed", "AC06": "stopped_before", "AM04": "no_balance",
    "ARDT": "no_balance", "AM09": "amount", "BE01": "name", "BE05": "name", "DT01": "time", "NOOR": "time",
    "AC02": "no_account", "LEGL": "other", "CUST": "other", "AGNT": "other", "NOAS": "other", "INDM": "other",
}  # fmt: skip
WRITES = {ours: code for code, ours in reversed(MEANS.items())} | {"other": "LEGL", "no_limit": "LEGL"}


@dataclass(frozen=True, kw_only=True)
class Resolution:
    """What a camt.029 says. ``answer`` None: the bank has it and has not decided yet."""

    message_id: str
    case_id: str
    recall_id: str
    made_at: datetime | None
    status: str
    answer: Answer | None


def read(data: bytes, *, asked_fen: int | None = None) -> Resolution:
    """A resolution; ``asked_fen`` is what a "done" without an amount means. Refused: those of `camt.read`, camt_case
    (it names no case, or several), camt_status (none of the codes), camt_amount (done in part, without how much)."""
    message = camt.read(data, "camt.029")
    rows = message.every("CxlDtls/TxInfAndSts")
    named = {
        name
        for name in (message.text("RslvdCase/Id"), *(message.text("RslvdCase/Id", row) for row in rows))
        if name
    }  # fmt: skip
    if len(named) != 1 or len(rows) > 1:
        raise Refused("camt_case")
    row = rows[0] if rows else None
    whole = message.text("Sts/Conf")
    status = whole if whole == IN_PART or row is None else message.text("TxCxlSts", row) or whole
    made = camt.moment(message.text("Assgnmt/CreDtTm"))
    return Resolution(
        message_id=message.text("Assgnmt/Id"), case_id=named.pop(), made_at=made, status=status,
        recall_id=message.text("OrgnlGrpInf/OrgnlMsgId", row) if row is not None else "",
        answer=_answer(message, row, status, made, asked_fen),
    )  # fmt: skip


def _answer(
    message: camt.Message, row: Any, status: str, made: datetime | None, asked_fen: int | None
) -> Answer | None:
    if status in PENDING:
        return None
    if status in DONE or status == IN_PART:
        told = camt.fen(message.find("RsltnRltdInf/IntrBkSttlmAmt", row)) if row is not None else None
        told = told if told is not None else camt.fen(message.find("RsltnRltdInf/IntrBkSttlmAmt"))
        if told is None and (status == IN_PART or asked_fen is None):
            raise Refused("camt_amount")
        return Answer(executed_at=made, done_fen=told if told is not None else asked_fen)
    if status != REFUSED:
        raise Refused("camt_status", what=status[:10] or "—")
    code, words = "", []
    for why in message.every("CxlStsRsnInf", row) if row is not None else []:
        code = code or message.text("Rsn/Cd", why) or message.text("Rsn/Prtry", why)
        words += [(w.text or "").strip() for w in message.every("AddtlInf", why)]
    return Answer(
        failed_code=MEANS.get(code, "other"), failed_words=" ".join([*([code] if code else []), *words])[:500]
    )


def xml(
    *, message_id: str, case_id: str, recall_id: str, bank: str, unit: str, answer: Answer | None, at: datetime,
    partial: bool = False,
) -> bytes:  # fmt: skip
    """The camt.029 that a bank sends: what `read` reads again. ``answer`` None: not decided yet."""
    pending = answer is None
    failed = answer is not None and bool(answer.failed_code)
    us = {"Agt": {"FinInstnId": {"Nm": camt.clean(bank, 140)}}}
    them = {"Pty": {"Nm": camt.clean(unit, 140)}}
    done = None if answer is None or failed else answer.done_fen
    why = None
    if answer is not None and failed:
        why = {"Rsn": {"Cd": WRITES.get(answer.failed_code, "LEGL")}, "AddtlInf": camt.clean(answer.failed_words, 105)}
    return camt.written("camt.029", {"RsltnOfInvstgtn": {
        "Assgnmt": {"Id": message_id, "Assgnr": us, "Assgne": them,
                    "CreDtTm": at.astimezone(clock.zone()).isoformat(timespec="seconds")},
        "RslvdCase": {"Id": case_id, "Cretr": them},
        "Sts": {"Conf": "PDCR" if pending else "RJCR" if failed else IN_PART if partial else "CNCL"},
        "CxlDtls": {"TxInfAndSts": {
            "CxlStsId": message_id, "RslvdCase": {"Id": case_id, "Cretr": them},
            "OrgnlGrpInf": {"OrgnlMsgId": recall_id, "OrgnlMsgNmId": camt.KINDS["camt.056"]},
            "TxCxlSts": "PDCR" if pending else "RJCR" if failed else "ACCR", "CxlStsRsnInf": why,
            "RsltnRltdInf": {"IntrBkSttlmAmt@Ccy": camt.yuan(done)} if done is not None else None,
        }},
    }})  # fmt: skip
