"""What a refund hears: the victim's application, another organ's file, the public notice, objections.

Kept true here: an application has its number and an officer, an agent's its mandate; money goes to another account than
the one it came from only with a reason; the notice runs its whole days from its posting; an objection is decided by an
officer with the reason, and one that is right wants a new plan. The victim's code is shown once and kept as a hash.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any

import psycopg

from wuzha.command.public import Actor, Refused, require
from wuzha.events import clock
from wuzha.orders.public import Done, record, repeated
from wuzha.respond import public as outside
from wuzha.store import audit

from .. import accounts
from . import progress
from .law import law_of
from .opening import locked


@dataclass(frozen=True, kw_only=True)
class Application:
    """A victim's 返还申请表. ``mandate``: an agent's; ``account``: another account than the original, with ``why``."""

    ref: str
    mandate: str = ""
    account: str = ""
    bank: str = ""
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class Applied:
    """The step, and the code by which the victim follows the refund: only the first time, and kept nowhere."""

    done: Done
    code: str | None


def apply(
    conn: psycopg.Connection[Any], actor: Actor, refund_id: int, report_id: int, told: Application, *, key: str,
    now: datetime | None = None,
) -> Applied:  # fmt: skip
    """A victim applies. Refused: order_number (no number), refund_victim (none of this refund), report_account,
    no_words (another account without why), refund_applied, refund_not_now."""
    require(actor, "refund.write")
    now = now or clock.now()
    if not told.ref.strip():
        raise Refused("order_number")
    if done := repeated(conn, actor, key):
        return Applied(done=done, code=None)
    case, r = locked(conn, actor, refund_id, now)
    if r["closed_at"] is not None:
        raise Refused("refund_not_now")
    if all(v["report_id"] != report_id for v in r["victims"]):
        raise Refused("refund_victim")
    account = _other(conn, case["case_id"], told) if told.account.strip() else None
    code = outside.make_code()
    row = conn.execute(
        "INSERT INTO wuzha.refund_applications (refund_id, report_id, applied_at, taken_by, ref, mandate, account_id,"
        " account_bank, account_why, code_hash) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
        " ON CONFLICT (refund_id, report_id) DO NOTHING RETURNING application_id",
        (
            refund_id, report_id, now, actor.user_id, told.ref.strip()[:100], told.mandate.strip()[:200] or None,
            account, told.bank.strip()[:100] or None if account else None,
            told.why.strip()[:500] if account else None, outside.code_hash(code),
        ),
    ).fetchone()  # fmt: skip
    if row is None:
        raise Refused("refund_applied")
    progress.tell(conn, refund_id, now=now)
    done = record(
        conn, actor, case, "refund_applied", at=now, key=key, words=told.ref,
        detail={"refund": refund_id, "report": report_id, "other_account": account is not None},
    )  # fmt: skip
    return Applied(done=done, code=code)


def _other(conn: psycopg.Connection[Any], case_id: int, told: Application) -> int:
    value = accounts.account_value(told.account)
    if value is None:
        raise Refused("report_account")
    if not told.why.strip():
        raise Refused("no_words")
    return accounts.met(conn, case_id, value, role="victim", bank=told.bank)


def redirect(
    conn: psycopg.Connection[Any], actor: Actor, application_id: int, told: Application, *, key: str,
    now: datetime | None = None,
) -> Done:  # fmt: skip
    """The money is to go to another account, with the reason: the original one cannot take it. Refused:
    report_account, no_words, not_found, refund_not_now."""
    require(actor, "refund.write")
    now = now or clock.now()
    if done := repeated(conn, actor, key):
        return done
    case, r = _of(conn, actor, "refund_applications", "application_id", application_id, now)
    if r["closed_at"] is not None:
        raise Refused("refund_not_now")
    conn.execute(
        "UPDATE wuzha.refund_applications SET account_id = %s, account_bank = %s, account_why = %s"
        " WHERE application_id = %s",
        (_other(conn, case["case_id"], told), told.bank.strip()[:100] or None, told.why.strip()[:500], application_id),
    )
    return record(
        conn, actor, case, "refund_redirected", at=now, key=key, words=told.why,
        detail={"refund": r["refund_id"], "application": application_id},
    )  # fmt: skip


def recode(
    conn: psycopg.Connection[Any], actor: Actor, application_id: int, *, key: str, now: datetime | None = None
) -> Applied:
    """A new code for a victim who has lost theirs; the old one ends. Refused: not_found."""
    require(actor, "refund.write")
    now = now or clock.now()
    if done := repeated(conn, actor, key):
        return Applied(done=done, code=None)
    case, r = _of(conn, actor, "refund_applications", "application_id", application_id, now)
    progress.end(conn, application_id, now=now)
    code = outside.make_code()
    conn.execute(
        "UPDATE wuzha.refund_applications SET code_hash = %s WHERE application_id = %s",
        (outside.code_hash(code), application_id),
    )
    progress.tell(conn, r["refund_id"], now=now)
    done = record(
        conn, actor, case, "refund_recoded", at=now, key=key,
        detail={"refund": r["refund_id"], "application": application_id},
    )  # fmt: skip
    return Applied(done=done, code=code)


# ---------------------------------------------------------------- another organ's file


def ask_file(
    conn: psycopg.Connection[Any], actor: Actor, refund_id: int, report_id: int, *, organ: str, case_no: str, key: str,
    now: datetime | None = None,
) -> Done:  # fmt: skip
    """The victim's case was taken by another organ: it is asked for its file. ``organ``: its name, or the code of a
    unit of ours. Refused: refund_organ, refund_victim, refund_asked, refund_not_now."""
    require(actor, "refund.write")
    now = now or clock.now()
    if not organ.strip() or not case_no.strip():
        raise Refused("refund_organ")
    if done := repeated(conn, actor, key):
        return done
    case, r = locked(conn, actor, refund_id, now)
    if r["closed_at"] is not None or r["decision"] is not None:
        raise Refused("refund_not_now")
    if all(v["report_id"] != report_id for v in r["victims"]):
        raise Refused("refund_victim")
    ours = conn.execute(
        "SELECT unit_id, name FROM wuzha.units WHERE active AND (code = %(o)s OR name = %(o)s) AND unit_id <> %(mine)s"
        " ORDER BY unit_id LIMIT 1",
        {"o": organ.strip(), "mine": case["unit_id"]},
    ).fetchone()
    row = conn.execute(
        "INSERT INTO wuzha.refund_handovers (refund_id, report_id, organ, organ_unit, case_no, asked_at, asked_by,"
        " asked_unit) VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (refund_id, report_id) DO NOTHING"
        " RETURNING handover_id",
        (
            refund_id, report_id, (ours[1] if ours else organ.strip())[:100], ours[0] if ours else None,
            case_no.strip()[:100], now, actor.user_id, r["unit_name"],
        ),
    ).fetchone()  # fmt: skip
    if row is None:
        raise Refused("refund_asked")
    return record(
        conn, actor, case, "refund_file_asked", at=now, key=key, words=organ,
        detail={"refund": refund_id, "report": report_id, "handover": row[0]},
    )  # fmt: skip


def send_file(
    conn: psycopg.Connection[Any], actor: Actor, handover_id: int, *, ref: str, now: datetime | None = None
) -> None:
    """The organ that was asked, where it is one of ours, says that its file is on its way, under this number. Pressed
    twice it stands once. Refused: order_number, not_found."""
    require(actor, "cases.write")
    now = now or clock.now()
    if not ref.strip():
        raise Refused("order_number")
    row = conn.execute(
        "UPDATE wuzha.refund_handovers SET sent_at = coalesce(sent_at, %s), sent_by = coalesce(sent_by, %s),"
        " sent_ref = coalesce(sent_ref, %s) WHERE handover_id = %s AND organ_unit IN (SELECT c.descendant"
        " FROM wuzha.unit_closure c WHERE c.ancestor = %s) RETURNING organ_unit",
        (now, actor.user_id, ref.strip()[:100], handover_id, actor.unit_id),
    ).fetchone()
    if row is None:
        raise Refused("not_found")
    audit.append(
        conn, at=now, actor=actor.login, user_id=actor.user_id or None, unit_id=row[0], action="refund.file_sent",
        object=f"handover:{handover_id}", detail={"ref": ref.strip()[:100]},
    )  # fmt: skip


def receive_file(
    conn: psycopg.Connection[Any], actor: Actor, handover_id: int, *, ref: str, key: str, now: datetime | None = None
) -> Done:
    """The file is here, complete, under this number. Refused: order_number, not_found, refund_not_now."""
    require(actor, "refund.write")
    now = now or clock.now()
    if not ref.strip():
        raise Refused("order_number")
    if done := repeated(conn, actor, key):
        return done
    case, r = _of(conn, actor, "refund_handovers", "handover_id", handover_id, now)
    row = conn.execute(
        "UPDATE wuzha.refund_handovers SET received_at = %s, received_by = %s, received_ref = %s"
        " WHERE handover_id = %s AND received_at IS NULL RETURNING handover_id",
        (now, actor.user_id, ref.strip()[:100], handover_id),
    ).fetchone()
    if row is None:
        raise Refused("refund_not_now")
    return record(
        conn, actor, case, "refund_file_here", at=now, key=key, words=ref,
        detail={"refund": r["refund_id"], "handover": handover_id},
    )  # fmt: skip


def asked_of_us(conn: psycopg.Connection[Any], actor: Actor) -> list[dict[str, Any]]:
    """Files that other organs' refunds wait for and that are ours to send, the oldest first."""
    require(actor, "cases.read")
    from psycopg.rows import dict_row

    return (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT h.*, n.name AS organ_name FROM wuzha.refund_handovers h"
            " JOIN wuzha.units n ON n.unit_id = h.organ_unit WHERE h.sent_at IS NULL AND h.received_at IS NULL"
            " AND h.organ_unit IN (SELECT c.descendant FROM wuzha.unit_closure c WHERE c.ancestor = %s)"
            " ORDER BY h.asked_at LIMIT 200",
            (actor.unit_id,),
        )
        .fetchall()
    )


# ---------------------------------------------------------------- the notice, and who objects


def notice(
    conn: psycopg.Connection[Any], actor: Actor, refund_id: int, *, place: str, key: str, now: datetime | None = None
) -> Done:
    """The notice hangs (where), from now on. Refused: no_words, refund_not_now (closed, decided, posted before, or
    this way wants none), refund_changed."""
    require(actor, "refund.write")
    now = now or clock.now()
    if not place.strip():
        raise Refused("no_words")
    if done := repeated(conn, actor, key):
        return done
    case, r = locked(conn, actor, refund_id, now)
    table = law_of(r["law_from"])
    if r["closed_at"] or r["decision"] or r["notice"] or r["plan"]["way"] not in table.notice_ways:
        raise Refused("refund_not_now")
    if r["changed"]:
        raise Refused("refund_changed")
    conn.execute(
        "INSERT INTO wuzha.refund_notices (refund_id, round, posted_at, posted_by, place, ends_at)"
        " VALUES (%s, %s, %s, %s, %s, %s)",
        (refund_id, r["round"], now, actor.user_id, place.strip()[:200], notice_end(now, table.notice_days)),
    )
    progress.tell(conn, refund_id, now=now)
    return record(conn, actor, case, "refund_noticed", at=now, key=key, words=place, detail={"refund": refund_id})


def notice_end(at: datetime, days: int) -> datetime:
    """The day of posting does not count; the term ends with its last day."""
    day = at.astimezone(clock.zone()).date() + timedelta(days=days + 1)
    return datetime.combine(day, time(), clock.zone())


def object_(
    conn: psycopg.Connection[Any], actor: Actor, refund_id: int, *, who: str, words: str, name: str = "",
    report_id: int | None = None, key: str, now: datetime | None = None,
) -> Done:  # fmt: skip
    """Somebody objects to the plan. Refused: unknown_code, no_words, refund_victim, refund_not_now."""
    require(actor, "refund.write")
    now = now or clock.now()
    if who not in ("victim", "holder", "other"):
        raise Refused("unknown_code", code=who[:40])
    if not words.strip():
        raise Refused("no_words")
    if done := repeated(conn, actor, key):
        return done
    case, r = locked(conn, actor, refund_id, now)
    if r["closed_at"] is not None or r["decision"] is not None:
        raise Refused("refund_not_now")
    if report_id is not None and all(v["report_id"] != report_id for v in r["victims"]):
        raise Refused("refund_victim")
    row = conn.execute(
        "INSERT INTO wuzha.refund_objections (refund_id, round, who, report_id, raised_at, taken_by, words, person_id)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s) RETURNING objection_id",
        (
            refund_id, r["round"], who, report_id, now, actor.user_id, words.strip()[:2000],
            accounts.named(conn, f"objector-{key[:150]}", name.strip()[:60]) if name.strip() else None,
        ),
    ).fetchone()  # fmt: skip
    assert row is not None
    return record(
        conn, actor, case, "refund_objected", at=now, key=key, detail={"refund": refund_id, "objection": row[0]}
    )


def settle(
    conn: psycopg.Connection[Any], actor: Actor, objection_id: int, *, upheld: bool, reason: str, key: str,
    now: datetime | None = None,
) -> Done:  # fmt: skip
    """Decide an objection, with the reason. Refused: no_words, not_found, refund_not_now (it was decided)."""
    require(actor, "refund.write")
    now = now or clock.now()
    if not reason.strip():
        raise Refused("no_words")
    if done := repeated(conn, actor, key):
        return done
    case, r = _of(conn, actor, "refund_objections", "objection_id", objection_id, now)
    row = conn.execute(
        "UPDATE wuzha.refund_objections SET decided_at = %s, decided_by = %s, upheld = %s, reason = %s"
        " WHERE objection_id = %s AND decided_at IS NULL RETURNING objection_id",
        (now, actor.user_id, upheld, reason.strip()[:2000], objection_id),
    ).fetchone()
    if row is None:
        raise Refused("refund_not_now")
    return record(
        conn, actor, case, "refund_settled", at=now, key=key, words=reason,
        detail={"refund": r["refund_id"], "objection": objection_id, "upheld": upheld},
    )  # fmt: skip


def _of(
    conn: psycopg.Connection[Any], actor: Actor, table: str, column: str, number: int, now: datetime
) -> tuple[dict[str, Any], dict[str, Any]]:
    row = conn.execute(f"SELECT refund_id FROM wuzha.{table} WHERE {column} = %s", (number,)).fetchone()
    if row is None:
        raise Refused("not_found")
    return locked(conn, actor, row[0], now)
