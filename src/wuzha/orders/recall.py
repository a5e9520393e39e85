"""A stop order as a camt.056: the request to recall the transfer that brought the money.

Kept true here: there is one message an order, the same bytes each time it is asked for; it names the case by `case_id`,
by which the bank's resolution finds its order; none is written of what nobody has sealed, nor of an order that holds no
transfer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from wuzha.command.public import Refused
from wuzha.events import clock

from . import camt
from .law import law_of
from .paper import number

#: ISO's external code for a cancellation because the original was fraudulent.
FRAUD = "FRAD"
#: What an end-to-end number is where none is known, by the messages' usage rules.
NOT_PROVIDED = "NOTPROVIDED"
_NAME, _TEXT = 140, 105


@dataclass(frozen=True, kw_only=True)
class Recall:
    """What a camt.056 asks, as the other side reads it."""

    message_id: str
    case_id: str
    bank: str
    account: str
    holder: str
    transfer_fen: int | None
    transfer_on: str
    reason: str
    words: tuple[str, ...]
    made_at: datetime | None


def case_id(order: dict[str, Any]) -> str:
    """The case's name in messages: the unit's code and the order's number, in characters that every network carries."""
    code = "".join(c for c in order["unit_code"] or "" if c.isascii() and c.isalnum())[:20] or "WZ"
    return f"{code}-{order['order_id']}"


def xml(order: dict[str, Any]) -> bytes:
    """The camt.056 of a sealed stop. Refused: order_not_now (not sealed), camt_order (no stop, no transfer known)."""
    if order["sealed_at"] is None:
        raise Refused("order_not_now")
    if order["kind"] != "stop" or order["transfer_fen"] is None or order["transfer_at"] is None:
        raise Refused("camt_order")
    table = law_of(order["law_from"])
    sealed = order["sealed_at"].astimezone(clock.zone())
    amount = f"限额{camt.yuan(order['amount_fen'])}元" if order["amount_fen"] is not None else "全额"
    words = [
        f"{number(order)} {table.kind['stop'].zh} {amount} {table.stop_hours}小时", table.kind["stop"].law_zh,
        order["reason"], f"转入时间 {order['transfer_at'].astimezone(clock.zone()):%Y-%m-%d %H:%M:%S}",
    ]  # fmt: skip
    us = {"Pty": {"Nm": camt.clean(order["unit_name"] or "公安机关", _NAME)}}
    bank = {"FinInstnId": {"Nm": camt.clean(order["bank"] or "有关银行", _NAME)}}
    case = {"Id": case_id(order), "Cretr": us}
    return camt.written("camt.056", {"FIToFIPmtCxlReq": {
        "Assgnmt": {"Id": f"{case_id(order)}-R", "Assgnr": us, "Assgne": {"Agt": bank},
                    "CreDtTm": sealed.isoformat(timespec="seconds")},
        "Case": case,
        "CtrlData": {"NbOfTxs": "1"},
        "Undrlyg": {"TxInf": {
            "CxlId": case_id(order), "Case": case, "OrgnlEndToEndId": NOT_PROVIDED,
            "OrgnlIntrBkSttlmAmt@Ccy": camt.yuan(order["transfer_fen"]),
            "OrgnlIntrBkSttlmDt": f"{order['transfer_at'].astimezone(clock.zone()):%Y-%m-%d}",
            "CxlRsnInf": {"Rsn": {"Cd": FRAUD}, "AddtlInf": [camt.clean(w, _TEXT) for w in words]},
            "OrgnlTxRef": {
                "CdtrAgt": bank,
                "Cdtr": {"Pty": {"Nm": camt.clean(order["holder"], _NAME)}} if order["holder"] else None,
                "CdtrAcct": {"Id": {"Othr": {"Id": camt.clean(order["account"], 34)}}},
            },
        }},
    }})  # fmt: skip


def read(data: bytes) -> Recall:
    """What a camt.056 asks. Refused: those of `camt.read`, camt_case (it names no case or several transfers)."""
    message = camt.read(data, "camt.056")
    rows = message.every("Undrlyg/TxInf")
    case = message.text("Case/Id")
    if len(rows) != 1 or not case:
        raise Refused("camt_case")
    row = rows[0]
    return Recall(
        message_id=message.text("Assgnmt/Id"), case_id=case, bank=message.text("Assgnmt/Assgne/Agt/FinInstnId/Nm"),
        account=message.text("OrgnlTxRef/CdtrAcct/Id/Othr/Id", row),
        holder=message.text("OrgnlTxRef/Cdtr/Pty/Nm", row),
        transfer_fen=camt.fen(message.find("OrgnlIntrBkSttlmAmt", row)),
        transfer_on=message.text("OrgnlIntrBkSttlmDt", row), reason=message.text("CxlRsnInf/Rsn/Cd", row),
        words=tuple((w.text or "").strip() for w in message.every("CxlRsnInf/AddtlInf", row)),
        made_at=camt.moment(message.text("Assgnmt/CreDtTm")),
    )  # fmt: skip
