"""A report makes a case, or joins the one that its payee belongs to; what an officer adds to it later.

Kept true here: a report sent twice stands once; the web form verifies nobody – a named officer does; whoever reports a
loss to an account of an open case joins that case; every fact that an order needs has its officer and time.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg

from wuzha.command.public import Actor, Refused, require
from wuzha.events import clock, subjects
from wuzha.events.money import LIMIT_FEN
from wuzha.events.scam_types import scam_types
from wuzha.orders.public import Done, lock, record, repeated

from . import accounts

CHANNELS = ("counter", "phone", "web", "bank")
#: A later report joins a case that was opened so lately.
JOINS = timedelta(days=90)
#: A transfer that was reported further in the future than clocks differ is a typing error.
AHEAD = timedelta(minutes=10)


@dataclass(frozen=True, kw_only=True)
class Loss:
    """One transfer of the victim's: to ``payee``, ``amount_fen`` at ``at``, from ``account`` where it is known."""

    payee: str
    amount_fen: int
    at: datetime
    account: str = ""
    account_bank: str = ""
    payee_name: str = ""
    payee_bank: str = ""
    bank_ref: str = ""


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a victim reports. ``number``: the sender's own; empty for one of ours."""

    losses: tuple[Loss, ...]
    channel: str = "counter"
    source: str = "desk"
    number: str = ""
    reported_at: datetime | None = None
    name: str = ""
    id_no: str = ""
    line: str = ""
    scam_type: str = ""
    words: str = ""
    verified_how: str = ""
    application_ref: str = ""
    undisputed: bool = False


@dataclass(frozen=True, kw_only=True)
class Taken:
    """The case and report that stand; ``joined``: the case was there; ``repeated``: the report was there."""

    case_id: int
    report_id: int
    case_no: str
    joined: bool
    repeated: bool


def take(
    conn: psycopg.Connection[Any], actor: Actor, report: Report, *, key: str, now: datetime | None = None
) -> Taken:
    """Take a report down; its case is new, or the one that its payee belongs to.

    Refused: report_losses, report_account, report_payee, report_amount, report_time, report_channel, report_type,
    line_form.
    """
    require(actor, "cases.write")
    now = now or clock.now()
    if done := repeated(conn, actor, key):
        return _taken(conn, int(done.detail["report"]), joined=bool(done.detail.get("joined")), again=True)
    losses = [_loss(loss, now) for loss in report.losses]
    if not losses:
        raise Refused("report_losses")
    if report.channel not in CHANNELS:
        raise Refused("report_channel")
    if report.scam_type and report.scam_type not in scam_types():
        raise Refused("report_type")
    line = subjects.line_value(report.line) if report.line.strip() else None
    if report.line.strip() and (line is None or not line.startswith("+")):
        raise Refused("line_form")
    number = report.number.strip()[:100] or f"desk-{uuid.uuid4().hex}"
    conn.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"report:{report.source}:{number}",))
    row = conn.execute(
        "SELECT report_id FROM wuzha.case_reports WHERE source = %s AND report_no = %s", (report.source, number)
    ).fetchone()
    if row is not None:
        return _taken(conn, int(row[0]), joined=False, again=True)
    for payee in sorted({loss.payee for loss in losses}):  # two victims of one account at once make one case
        conn.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"payee:{payee}",))
    case, joined = _case(conn, actor, report, losses, now)
    report_id = _report(conn, actor, case, report, number, line, now)
    for loss in losses:
        _write(conn, case, report_id, report, loss)
    record(
        conn, actor, case, "report_joined" if joined else "case_opened", at=now, key=key,
        detail={"report": report_id, "joined": joined, "amount_fen": sum(x.amount_fen for x in losses)},
    )  # fmt: skip
    return _taken(conn, report_id, joined=joined, again=False)


def _taken(conn: psycopg.Connection[Any], report_id: int, *, joined: bool, again: bool) -> Taken:
    row = conn.execute(
        "SELECT case_id, case_no FROM wuzha.case_reports JOIN wuzha.cases USING (case_id) WHERE report_id = %s",
        (report_id,),
    ).fetchone()
    assert row is not None
    return Taken(case_id=row[0], report_id=report_id, case_no=row[1], joined=joined, repeated=again)


def _loss(loss: Loss, now: datetime) -> Loss:
    payee = accounts.account_value(loss.payee)
    account = accounts.account_value(loss.account) if loss.account.strip() else ""
    if payee is None:
        raise Refused("report_payee")
    if account is None or account == payee:
        raise Refused("report_account")
    if not 0 < loss.amount_fen <= LIMIT_FEN:
        raise Refused("report_amount")
    if not now - timedelta(days=3650) < loss.at <= now + AHEAD:
        raise Refused("report_time")
    return Loss(
        payee=payee, amount_fen=loss.amount_fen, at=min(loss.at, now), account=account,
        account_bank=loss.account_bank.strip()[:100], payee_name=loss.payee_name.strip()[:100],
        payee_bank=loss.payee_bank.strip()[:100], bank_ref=loss.bank_ref.strip()[:100],
    )  # fmt: skip


def _case(
    conn: psycopg.Connection[Any], actor: Actor, report: Report, losses: list[Loss], now: datetime
) -> tuple[dict[str, Any], bool]:
    row = conn.execute(
        "SELECT k.case_id FROM wuzha.cases k JOIN wuzha.case_accounts a USING (case_id)"
        " JOIN wuzha.subjects s ON s.subject_id = a.account_id AND s.kind = 'account' AND s.value = ANY(%s)"
        " WHERE a.role = 'payee' AND k.state NOT IN ('withdrawn', 'not_filed') AND k.opened_at > %s"
        " ORDER BY k.opened_at, k.case_id LIMIT 1 FOR UPDATE OF k",  # ours to work on, and not only shared with us
        ([loss.payee for loss in losses], now - JOINS),
    ).fetchone()
    if row is not None:
        return lock(conn, row[0]), True
    made = conn.execute(
        "INSERT INTO wuzha.cases (case_no, unit_id, opened_at, opened_by, state_at, scam_type)"
        " VALUES (%s, %s, %s, %s, %s, %s) RETURNING case_id",
        (_number(conn, actor, now), actor.unit_id, now, actor.user_id or None, now, report.scam_type or None),
    ).fetchone()
    assert made is not None
    return lock(conn, made[0]), False


def _number(conn: psycopg.Connection[Any], actor: Actor, now: datetime) -> str:
    """``A`` unit, year and month, four digits that run within the month."""
    month = now.astimezone(clock.zone()).date().replace(day=1)
    row = conn.execute(
        "INSERT INTO wuzha.case_numbers AS c (unit_id, month, n) VALUES (%s, %s, 1)"
        " ON CONFLICT (unit_id, month) DO UPDATE SET n = c.n + 1 RETURNING n",
        (actor.unit_id, month),
    ).fetchone()
    code = conn.execute("SELECT code FROM wuzha.units WHERE unit_id = %s", (actor.unit_id,)).fetchone()
    assert row is not None and code is not None
    return f"A{code[0]}{month:%Y%m}{row[0]:04d}"


def _report(
    conn: psycopg.Connection[Any], actor: Actor, case: dict[str, Any], report: Report, number: str, line: str | None,
    now: datetime,
) -> int:  # fmt: skip
    value = subjects.person_of_id(report.id_no) if report.id_no.strip() else ""
    if not value:
        value = subjects.provisional_person(f"line:{line}") if line else f"report-{uuid.uuid4().hex}"
    person = accounts.named(conn, value, report.name.strip()[:60], report.id_no.strip()[:30])
    # What comes from the web form, or from the machine, verifies nobody.
    by_officer = actor.user_id != 0 and report.channel != "web"
    verified = report.verified_how.strip() if by_officer or report.channel == "bank" else ""
    row = conn.execute(
        "INSERT INTO wuzha.case_reports (case_id, source, report_no, channel, reported_at, taken_at, taken_by,"
        " person_id, line_id, scam_type, words, verified_at, verified_by, verified_how, application_ref,"
        " application_at, dispute) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
        " RETURNING report_id",
        (
            case["case_id"], report.source, number, report.channel, min(report.reported_at or now, now), now,
            actor.user_id or None, person, accounts.subject_id(conn, "line", line) if line else None,
            report.scam_type or None, report.words.strip()[:4000] or None, now if verified else None,
            actor.user_id or None if verified else None, verified[:200] or None,
            report.application_ref.strip()[:100] or None if by_officer else None,
            now if by_officer and report.application_ref.strip() else None,
            "no" if by_officer and report.undisputed else "unasked",
        ),
    ).fetchone()  # fmt: skip
    assert row is not None
    return int(row[0])


def _write(conn: psycopg.Connection[Any], case: dict[str, Any], report_id: int, report: Report, loss: Loss) -> None:
    payee = accounts.met(conn, case["case_id"], loss.payee, role="payee", name=loss.payee_name, bank=loss.payee_bank)
    account = None
    if loss.account:
        account = accounts.met(
            conn, case["case_id"], loss.account, role="victim", name=report.name.strip()[:60], bank=loss.account_bank
        )
    conn.execute(
        "INSERT INTO wuzha.case_losses (report_id, case_id, account_id, payee_id, amount_fen, at, bank_ref)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s)",
        (report_id, case["case_id"], account, payee, loss.amount_fen, loss.at, loss.bank_ref or None),
    )


def _of(conn: psycopg.Connection[Any], report_id: int) -> dict[str, Any]:
    row = conn.execute("SELECT case_id FROM wuzha.case_reports WHERE report_id = %s", (report_id,)).fetchone()
    if row is None:
        raise Refused("not_found")
    return lock(conn, row[0])


def verify(
    conn: psycopg.Connection[Any], actor: Actor, report_id: int, *, how: str, key: str, now: datetime | None = None
) -> Done:
    """A named officer has made sure who reports. Refused: no_words."""
    require(actor, "cases.write")
    now = now or clock.now()
    if not how.strip():
        raise Refused("no_words")
    if done := repeated(conn, actor, key):
        return done
    case = _of(conn, report_id)
    conn.execute(
        "UPDATE wuzha.case_reports SET verified_at = %s, verified_by = %s, verified_how = %s"
        " WHERE report_id = %s AND verified_at IS NULL",
        (now, actor.user_id, how.strip()[:200], report_id),
    )
    return record(conn, actor, case, "report_verified", at=now, key=key, words=how, detail={"report": report_id})


def apply(
    conn: psycopg.Connection[Any], actor: Actor, report_id: int, *, ref: str, key: str, now: datetime | None = None
) -> Done:
    """The signed application for a stop lies before the officer, under this number. Refused: order_number."""
    require(actor, "cases.write")
    now = now or clock.now()
    if not ref.strip():
        raise Refused("order_number")
    if done := repeated(conn, actor, key):
        return done
    case = _of(conn, report_id)
    conn.execute(
        "UPDATE wuzha.case_reports SET application_at = %s, application_ref = %s WHERE report_id = %s"
        " AND application_at IS NULL",
        (now, ref.strip()[:100], report_id),
    )
    return record(conn, actor, case, "report_applied", at=now, key=key, words=ref, detail={"report": report_id})


def dispute(
    conn: psycopg.Connection[Any], actor: Actor, report_id: int, *, is_one: bool, why: str, key: str,
    now: datetime | None = None,
) -> Done:  # fmt: skip
    """Whether it is a civil dispute after all: asked by an officer, with the reason. Refused: no_words."""
    require(actor, "cases.write")
    now = now or clock.now()
    if is_one and not why.strip():
        raise Refused("no_words")
    if done := repeated(conn, actor, key):
        return done
    case = _of(conn, report_id)
    conn.execute(
        "UPDATE wuzha.case_reports SET dispute = %s, dispute_why = %s WHERE report_id = %s",
        ("yes" if is_one else "no", why.strip()[:500] or None, report_id),
    )
    return record(
        conn, actor, case, "dispute_found" if is_one else "dispute_none", at=now, key=key, words=why,
        detail={"report": report_id},
    )  # fmt: skip


def debited(
    conn: psycopg.Connection[Any], actor: Actor, report_id: int, *, account: str, bank: str = "", key: str,
    now: datetime | None = None,
) -> Done:  # fmt: skip
    """The account that was debited, learnt after the report. Refused: report_account."""
    require(actor, "cases.write")
    now = now or clock.now()
    value = accounts.account_value(account)
    if value is None:
        raise Refused("report_account")
    if done := repeated(conn, actor, key):
        return done
    case = _of(conn, report_id)
    number = accounts.met(conn, case["case_id"], value, role="victim", bank=bank)
    conn.execute(
        "UPDATE wuzha.case_losses SET account_id = %s WHERE report_id = %s AND account_id IS NULL", (number, report_id)
    )
    return record(conn, actor, case, "report_account", at=now, key=key, detail={"report": report_id})


#: Where a case's state may go.
MOVES = {
    "received": ("accepted", "withdrawn"), "accepted": ("filed", "not_filed", "withdrawn"), "filed": ("withdrawn",),
    "not_filed": ("filed",), "withdrawn": (),
}  # fmt: skip


def move(
    conn: psycopg.Connection[Any], actor: Actor, case_id: int, *, to: str, words: str = "", key: str,
    now: datetime | None = None,
) -> Done:  # fmt: skip
    """Accept a case, file it or not, withdraw it. Refused: case_state, no_words (not filed or withdrawn needs why)."""
    require(actor, "cases.write")
    now = now or clock.now()
    if done := repeated(conn, actor, key):
        return done
    case = lock(conn, case_id)
    if to not in MOVES[case["state"]]:
        raise Refused("case_state")
    if to in ("not_filed", "withdrawn") and not words.strip():
        raise Refused("no_words")
    conn.execute("UPDATE wuzha.cases SET state = %s, state_at = %s WHERE case_id = %s", (to, now, case_id))
    return record(conn, actor, case, f"case_{to}", at=now, key=key, words=words)
