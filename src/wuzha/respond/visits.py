"""What the phones bring back from the door, made part of the file.

Kept true here: a record counts once, by the name that the phone gave it; every officer's record is kept, corrections
beside what they correct; a visit has one outcome by `visit_form.standing`, written as one step that stands in the name
of the officer whose record it is; what was entered at the desk by hand is not written over.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any

import psycopg
import structlog
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from wuzha import store
from wuzha.command.public import Actor, Refused, machine, require
from wuzha.events import clock
from wuzha.live.rounds import giving_way
from wuzha.store import exchange

from . import dispatch, merged, phones, visit_form
from .codes import codes
from .reveal import revealed_until
from .step import audit_step, lock, record

log = structlog.get_logger(__name__)

#: A picture's bytes, which with the rest of its letter stay below what a letter holds.
PICTURE_LIMIT = 600_000
#: Records without effect are shown so long.
_REFUSED_SHOWN = timedelta(days=30)
_MAGIC = {"image/jpeg": b"\xff\xd8\xff", "image/png": b"\x89PNG\r\n\x1a\n"}


def image(body: dict[str, Any]) -> bytes:
    """The bytes of a picture's letter. `visit_form.BadForm`: it is none, or too large."""
    mime, text = body.get("mime"), body.get("data")
    if mime not in _MAGIC or not isinstance(text, str) or body.get("what") not in ("signature", "photo"):
        raise visit_form.BadForm("picture")
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise visit_form.BadForm("picture") from error
    if not data.startswith(_MAGIC[mime]) or len(data) > PICTURE_LIMIT:
        raise visit_form.BadForm("picture")
    return data


# ---------------------------------------------------------------- letters come in


def take_record(conn: psycopg.Connection[Any], message: exchange.Message) -> None:
    """An officer's record of a visit."""
    b = message.body
    form = visit_form.read(b["form"])
    conn.execute(
        "INSERT INTO wuzha.visit_records (record_id, dispatch_id, phone_ref, user_id, revision, made_at, received_at,"
        " result, form) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (record_id) DO NOTHING",
        (
            visit_form.item_id(b["id"]), int(b["order"]), str(b["phone"]), _officer(conn, message), form["revision"],
            visit_form.time(b["at"]), clock.now(), form["result"], Jsonb(form),
        ),
    )  # fmt: skip


def take_picture(conn: psycopg.Connection[Any], message: exchange.Message) -> None:
    """A picture or signature."""
    b = message.body
    _officer(conn, message)
    conn.execute(
        "INSERT INTO wuzha.visit_pictures (picture_id, dispatch_id, phone_ref, kind, mime, image, made_at, received_at)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (picture_id) DO NOTHING",
        (
            visit_form.item_id(b["id"]), int(b["order"]), str(b["phone"]), b["what"], b["mime"], image(b),
            visit_form.time(b["at"]), clock.now(),
        ),
    )  # fmt: skip


def take_mark(conn: psycopg.Connection[Any], message: exchange.Message) -> None:
    """Somebody opened an order, or set out."""
    b = message.body
    conn.execute(
        "INSERT INTO wuzha.visit_marks (mark_id, dispatch_id, phone_ref, kind, user_id, at)"
        " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (mark_id) DO NOTHING",
        (
            visit_form.item_id(b["id"]), int(b["order"]), str(b["phone"]), message.kind.removeprefix("door_"),
            _officer(conn, message), visit_form.time(b["at"]),
        ),
    )  # fmt: skip


def _officer(conn: psycopg.Connection[Any], message: exchange.Message) -> int:
    """The user whose phone it is. exchange.Unfit where that zone has no such phone."""
    phones.only_phones(message)
    row = conn.execute(
        "SELECT user_id FROM wuzha.phones WHERE ref = %s AND paired_in = %s", (str(message.body["phone"]), message.peer)
    ).fetchone()
    if row is None:
        raise exchange.Unfit("from a phone that was not paired there")
    return int(row[0])


#: What the centre understands.
HANDLERS: dict[str, exchange.Handler] = {
    "door_record": take_record, "door_picture": take_picture, "door_opened": take_mark, "door_going": take_mark,
    "door_paired": phones.take_paired, "door_phone_lost": phones.take_lost,
}  # fmt: skip


# ---------------------------------------------------------------- and take effect


def round(conn: psycopg.Connection[Any], actor: Actor, now: datetime) -> int:
    """Round: records, pictures and marks that came since become part of their files. Each in a transaction of its own,
    so that no two files are ever locked at once; one that fails leaves the others standing."""

    def alone() -> AbstractContextManager[psycopg.Connection[Any]]:
        return store.transaction(conn, unit=actor.unit_id, user=None, now=now)

    with alone():
        marks = (
            conn.cursor(row_factory=dict_row)
            .execute(
                "SELECT m.* FROM wuzha.visit_marks m JOIN wuzha.dispatches USING (dispatch_id)"
                " WHERE m.applied_at IS NULL ORDER BY m.at, m.mark_id LIMIT 100"
            )
            .fetchall()
        )
        waiting = conn.execute(
            "SELECT r.record_id, dispatch_id FROM wuzha.visit_records r JOIN wuzha.dispatches USING (dispatch_id)"
            " WHERE r.applied_at IS NULL AND r.refused IS NULL ORDER BY r.received_at, r.record_id LIMIT 50"
        ).fetchall()
    done = 0
    for mark in marks:
        with giving_way(log, mark=mark["mark_id"]), alone():
            done += _mark(conn, mark, now)
    for record_id, dispatch_id in waiting:
        try:
            with giving_way(log, record=record_id), alone():
                done += _apply(conn, actor, record_id, dispatch_id, now)
        except (Refused, ValueError, KeyError, psycopg.DataError, psycopg.IntegrityError) as error:
            why = error.reason if isinstance(error, Refused) else exchange.why(error)
            with alone():
                conn.execute("UPDATE wuzha.visit_records SET refused = %s WHERE record_id = %s", (why, record_id))
            _tell_refused(conn, record_id, why, now)
            log.error("visit record has no effect", record=record_id, dispatch=dispatch_id, why=why)
    with alone():
        conn.execute(
            "UPDATE wuzha.visit_pictures p SET alert_id = (SELECT r.alert_id FROM wuzha.visit_records r"
            "  WHERE r.dispatch_id = p.dispatch_id AND r.alert_id IS NOT NULL LIMIT 1)"
            " WHERE p.alert_id IS NULL AND EXISTS (SELECT 1 FROM wuzha.visit_records r"
            "  WHERE r.dispatch_id = p.dispatch_id AND r.alert_id IS NOT NULL)"
        )
    return done


def _tell_refused(conn: psycopg.Connection[Any], record_id: str, why: str, now: datetime) -> None:
    """Let the phone know that its record had no effect, and why."""
    row = conn.execute(
        "SELECT paired_in FROM wuzha.phones p JOIN wuzha.visit_records r ON r.phone_ref = p.ref WHERE record_id = %s",
        (record_id,),
    ).fetchone()
    if row is not None and row[0]:
        exchange.queue(
            conn, row[0], kind="door_record_refused", key=record_id, body={"id": record_id, "why": why}, now=now
        )  # fmt: skip


def refused(conn: psycopg.Connection[Any], actor: Actor, *, now: datetime | None = None) -> list[dict[str, Any]]:
    """Records of the last month that had no effect, of the orders of the actor's units and of their files."""
    require(actor, "desk.act")
    since = (now or clock.now()) - _REFUSED_SHOWN
    return (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT r.record_id, r.made_at, r.received_at, r.result, r.refused, d.alert_id, u.name, n.name AS unit_name"
            " FROM wuzha.visit_records r JOIN wuzha.dispatches d USING (dispatch_id)"
            " JOIN wuzha.users u ON u.user_id = r.user_id JOIN wuzha.units n ON n.unit_id = d.unit_id"
            " WHERE r.refused IS NOT NULL AND r.received_at > %s ORDER BY r.received_at DESC LIMIT 100",
            (since,),
        )
        .fetchall()
    )


def _person(conn: psycopg.Connection[Any], user_id: int) -> Actor:
    """The officer who was at the door, acting through what they recorded."""
    row = conn.execute(
        "SELECT login, name, unit_id, badge_no FROM wuzha.users WHERE user_id = %s", (user_id,)
    ).fetchone()
    assert row is not None
    return Actor(
        user_id=user_id, unit_id=row[2], login=row[0], name=row[1], badge_no=row[3], roles=frozenset({"station"})
    )


def _order(
    conn: psycopg.Connection[Any], dispatch_id: int
) -> tuple[dict[str, Any], dict[str, Any]] | None:  # fmt: skip
    """The order with its living file, both locked, the file first; None where it is not in this round's scope."""
    cursor = conn.cursor(row_factory=dict_row)
    sent = cursor.execute("SELECT alert_id FROM wuzha.dispatches WHERE dispatch_id = %s", (dispatch_id,)).fetchone()
    if sent is None:
        return None
    alert = lock(conn, merged.living(conn, sent["alert_id"]))
    order = cursor.execute(
        "SELECT * FROM wuzha.dispatches WHERE dispatch_id = %s FOR UPDATE", (dispatch_id,)
    ).fetchone()
    assert order is not None
    return order, alert


def _theirs(conn: psycopg.Connection[Any], phone_ref: str, unit_id: int) -> bool:
    """Whether a phone is one of the unit that the order was sent to: the phones' zone is not believed there."""
    row = conn.execute("SELECT unit_id = %s FROM wuzha.phones WHERE ref = %s", (unit_id, phone_ref)).fetchone()
    return row is not None and bool(row[0])


def _mark(conn: psycopg.Connection[Any], row: dict[str, Any], now: datetime) -> int:
    if (found := _order(conn, row["dispatch_id"])) is None:
        return 0
    order, alert = found
    person = _person(conn, row["user_id"])
    if not _theirs(conn, row["phone_ref"], order["unit_id"]):
        pass  # noted, and of no effect
    elif row["kind"] == "going" and order["state"] == "sent":
        # Refused where they have moved to another unit since: of no effect then, and in nobody's way.
        with contextlib.suppress(Refused), conn.transaction():
            dispatch.going(conn, person, order["dispatch_id"], key=f"door-{row['mark_id']}", now=now)
    elif row["kind"] == "opened":
        detail = {"dispatch": order["dispatch_id"], "at": row["at"].isoformat()}
        audit_step(conn, person, alert, "order_opened", at=now, detail=detail)
    conn.execute("UPDATE wuzha.visit_marks SET applied_at = %s WHERE mark_id = %s", (now, row["mark_id"]))
    return 1


def _apply(conn: psycopg.Connection[Any], actor: Actor, record_id: str, dispatch_id: int, now: datetime) -> int:
    found = _order(conn, dispatch_id)
    if found is None:
        return 0
    order, alert = found
    cursor = conn.cursor(row_factory=dict_row)
    sender = conn.execute("SELECT phone_ref FROM wuzha.visit_records WHERE record_id = %s", (record_id,)).fetchone()
    if sender is None or not _theirs(conn, sender[0], order["unit_id"]):
        raise Refused("not_for_you")
    conn.execute(
        "UPDATE wuzha.visit_records SET alert_id = %s, applied_at = %s WHERE record_id = %s AND applied_at IS NULL",
        (alert["alert_id"], now, record_id),
    )
    rows = cursor.execute(
        "SELECT *, user_id AS officer FROM wuzha.visit_records WHERE dispatch_id = %s AND applied_at IS NOT NULL",
        (dispatch_id,),
    ).fetchall()
    mine = next(r for r in rows if r["record_id"] == record_id)
    person = _person(conn, mine["user_id"])
    told = {"dispatch": dispatch_id, "revision": mine["revision"], "result": mine["result"]}
    done = record(
        conn, person, alert, "visit_record", key=f"door-{record_id}", changes={}, at=now, code=mine["result"],
        words=mine["form"]["words"], quiet=True, detail=told,
    )  # fmt: skip
    assert not done.repeated
    if mine["form"]["kin"]["told"]:
        record(
            conn, person, alert, "kin", key=f"kin-{record_id}", changes={}, at=now, code="told_other", quiet=True,
            words=mine["form"]["kin"]["what"], reason=mine["form"]["kin"]["reason"],
        )  # fmt: skip
    _settle(conn, actor, order, alert, visit_form.standing(rows)[0], now)
    return 1


def _settle(
    conn: psycopg.Connection[Any], actor: Actor, order: dict[str, Any], alert: dict[str, Any], top: Any, now: datetime
) -> None:
    """Make the one outcome of the visit that of its records: the step that stood goes, the new one comes. It may have
    stood on a file that this one has taken in since; the new one stands here."""
    dispatch_id, result = order["dispatch_id"], str(top["result"])
    files = merged.family(conn, alert["alert_id"])
    stood = (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT c.contact_id, c.alert_id, c.code, c.at, c.before FROM wuzha.contacts c WHERE c.alert_id = ANY(%s)"
            " AND c.kind = 'visit' AND c.key LIKE %s"
            " AND NOT EXISTS (SELECT 1 FROM wuzha.contacts u WHERE u.undoes = c.contact_id) ORDER BY 1 DESC LIMIT 1",
            (files, f"%:visit-{dispatch_id}-%"),
        )
        .fetchone()
    )
    if stood is None and order["state"] == "done":
        return  # answered at the desk by hand: that stands, and the records stand beside it
    if stood is not None and stood["code"] == result:
        return
    person = _person(conn, top["user_id"])
    at = min(max(top["made_at"], order["sent_at"]), now)
    if stood is None and _by_hand(conn, files, result, order["sent_at"]):
        _answer(conn, order, top["user_id"], at, result)
        return
    if stood is not None:
        back: dict[str, Any] = {}
        own = stood["alert_id"] == alert["alert_id"] and alert["reached_at"] == stood["at"]
        if own and alert["state"] == "reached" and alert["outcome"] is None:
            before = stood["before"]
            back = {"state": before["state"], "reached_at": before["reached_at"]}
        record(
            conn, machine(actor.unit_id, "visits"), alert, "undo", key=f"unvisit-{stood['contact_id']}", changes=back,
            at=now, code="visit", undoes=stood["contact_id"],
        )  # fmt: skip
        alert = lock(conn, alert["alert_id"])
    changes: dict[str, Any] = {} if alert["contacted_at"] else {"contacted_at": at}
    if codes()["result"][result].reached and alert["state"] in ("signed", "contacting", "reached"):
        changes |= {"state": "reached"} | ({} if alert["reached_at"] else {"reached_at": at})
    if top["form"]["mind"] and alert["state"] != "closed":
        changes["mind"] = top["form"]["mind"]
    n = conn.execute(
        "SELECT count(*) FROM wuzha.contacts WHERE alert_id = ANY(%s) AND kind = 'visit' AND key LIKE %s",
        (files, f"%:visit-{dispatch_id}-%"),
    ).fetchone()
    record(
        conn, person, alert, "visit", key=f"visit-{dispatch_id}-{n[0] if n else 0}",
        changes={} if alert["state"] == "closed" else changes, at=at, code=result, words=top["form"]["words"],
        quiet=alert["state"] == "closed",
    )  # fmt: skip
    if order["state"] in ("sent", "going", "done"):
        _answer(conn, order, top["user_id"], at, result)


def _by_hand(conn: psycopg.Connection[Any], files: list[int], result: str, since: datetime) -> bool:
    """Whether an officer has recorded this of a visit already, by telephone: one meeting is one step."""
    row = conn.execute(
        "SELECT 1 FROM wuzha.contacts c WHERE c.alert_id = ANY(%s) AND c.kind = 'visit' AND c.code = %s AND c.at >= %s"
        " AND c.key NOT LIKE '%%:visit-%%'"
        " AND NOT EXISTS (SELECT 1 FROM wuzha.contacts u WHERE u.undoes = c.contact_id) LIMIT 1",
        (files, result, since),
    ).fetchone()
    return row is not None


def _answer(
    conn: psycopg.Connection[Any], order: dict[str, Any], user_id: int, at: datetime, result: str
) -> None:  # fmt: skip
    conn.execute(
        "UPDATE wuzha.dispatches SET state = 'done', done_by = %s, done_at = %s, result = %s WHERE dispatch_id = %s",
        (user_id, at, result, order["dispatch_id"]),
    )


# ---------------------------------------------------------------- on the file


def of_file(conn: psycopg.Connection[Any], alert_id: int) -> list[dict[str, Any]]:
    """The records of a file's visits, a visit at a time, oldest first: ``stands`` (the officer's own that counts),
    ``outcome`` (the visit's), ``differs`` (officers say different things), ``images`` (pictures that are here)."""
    files = merged.family(conn, alert_id)
    rows = (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT r.*, r.user_id AS officer, u.name, u.badge_no, n.name AS unit_name, d.result AS outcome, d.sent_at"
            " FROM wuzha.visit_records r JOIN wuzha.users u USING (user_id) JOIN wuzha.dispatches d USING (dispatch_id)"
            " JOIN wuzha.units n ON n.unit_id = d.unit_id"
            " WHERE r.alert_id = ANY(%s) ORDER BY r.dispatch_id, r.made_at, r.record_id",
            (files,),
        )
        .fetchall()
    )
    here = conn.execute(
        "SELECT picture_id, kind FROM wuzha.visit_pictures WHERE alert_id = ANY(%s) ORDER BY made_at, picture_id",
        (files,),
    ).fetchall()
    for visit in {r["dispatch_id"] for r in rows}:
        own = [r for r in rows if r["dispatch_id"] == visit]
        stands = visit_form.standing(own)
        for row in own:
            row["stands"] = row in stands
            row["differs"] = len({r["result"] for r in stands}) > 1
    for row in rows:
        wanted = [row["form"]["signature"], *row["form"]["pictures"]]
        row["images"] = [{"picture_id": p, "kind": kind} for p, kind in here if p in wanted]
        row["missing"] = sum(1 for p in wanted if p) - len(row["images"])
    return rows


def picture(
    conn: psycopg.Connection[Any], actor: Actor, alert_id: int, picture_id: str, *, now: datetime | None = None
) -> tuple[str, bytes]:
    """A picture's type and bytes, to an officer who has the file open for a purpose; each look is in the audit.

    Refused: not_found, not_revealed.
    """
    require(actor, "reveal")
    now = now or clock.now()
    row = conn.execute(
        "SELECT p.mime, p.image, a.unit_id FROM wuzha.visit_pictures p JOIN wuzha.alerts a USING (alert_id)"
        " WHERE p.picture_id = %s AND p.alert_id = ANY(%s)",
        (picture_id, merged.family(conn, alert_id)),
    ).fetchone()
    if row is None:
        raise Refused("not_found")
    if revealed_until(conn, actor, alert_id, now=now) is None:
        raise Refused("not_revealed")
    told = {"alert_id": alert_id, "unit_id": row[2]}
    audit_step(conn, actor, told, "picture_seen", at=now, detail={"picture": picture_id})
    return row[0], bytes(row[1])
