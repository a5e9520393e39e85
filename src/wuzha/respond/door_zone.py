"""The phones' own zone: who has which phone, the orders of their units, and what they record.

Kept true here: a phone sees the orders of its own unit only; what it sends is kept once, under the name that it gave,
and queued for the centre in the same transaction; a phone that was taken away gets nothing more; what has ended is
deleted when its days are over. No password of the police network is ever asked here.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from wuzha.events import clock
from wuzha.store import exchange, zone_keys

from . import phones, visit_form, visits
from .door_book import book
from .verify import CENTRE

PIN_DIGITS, PIN_TRIES = 6, 5
#: Kinds of item that a phone sends.
KINDS = ("opened", "going", "record", "picture")


@dataclass(frozen=True, kw_only=True)
class Phone:
    """A phone with a session: whose it is, until when, and the key of its store."""

    ref: str
    officer: str
    unit: str
    unit_ref: str
    language: str
    until: datetime
    store_key: bytes


# ---------------------------------------------------------------- letters of the centre


def take_order(conn: psycopg.Connection[Any], message: exchange.Message) -> None:
    """A visit order, or what has changed in it."""
    b = _from_centre(message)
    at, by, version = datetime.fromisoformat(b["sent_at"]), datetime.fromisoformat(b["meet_by"]), int(b["version"])
    if not isinstance(b["person"], dict) or not isinstance(b["kin"], dict) or not isinstance(b["talk"], dict):
        raise exchange.Unfit("an order without person, kin or words")
    conn.execute(
        "INSERT INTO wuzha.door_orders (order_ref, unit_ref, version, sent_at, meet_by, body)"
        " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (order_ref) DO UPDATE SET version = excluded.version,"
        " meet_by = excluded.meet_by, body = excluded.body, ended_at = NULL, ended_as = NULL"
        " WHERE door_orders.version < excluded.version",
        (str(b["ref"]), str(b["unit_ref"]), version, at, by, Jsonb(b)),
    )
    purge(conn, clock.now())


def take_end(conn: psycopg.Connection[Any], message: exchange.Message) -> None:
    """An order is over: done, recalled, or its file is closed."""
    b = _from_centre(message)
    conn.execute(
        "UPDATE wuzha.door_orders SET ended_at = %s, ended_as = %s WHERE order_ref = %s AND ended_at IS NULL",
        (datetime.fromisoformat(b["at"]), str(b["as"]), str(b["ref"])),
    )


def take_phone(conn: psycopg.Connection[Any], message: exchange.Message) -> None:
    """A phone that may be paired."""
    b = _from_centre(message)
    conn.execute(
        "INSERT INTO wuzha.door_phones (phone_ref, proof, officer, badge, unit_ref, unit, language, code_until)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (phone_ref) DO NOTHING",
        (
            str(b["ref"]), bytes.fromhex(b["proof"]), str(b["officer"]), b.get("badge"), str(b["unit_ref"]),
            str(b["unit"]), "en" if b.get("language") == "en" else "zh", datetime.fromisoformat(b["until"]),
        ),
    )  # fmt: skip


def take_phone_end(conn: psycopg.Connection[Any], message: exchange.Message) -> None:
    """A phone was taken away: nothing opens for it any more."""
    b = _from_centre(message)
    conn.execute(_END, {"at": datetime.fromisoformat(b["at"]), "ref": str(b["ref"])})


_END = (
    "UPDATE wuzha.door_phones SET revoked_at = coalesce(revoked_at, %(at)s), pin_hash = NULL, store_key = NULL,"
    " session_hash = NULL, session_until = NULL WHERE phone_ref = %(ref)s"
)


def take_refused(conn: psycopg.Connection[Any], message: exchange.Message) -> None:
    """A record that the centre did not let take effect: its officer is to know why."""
    b = _from_centre(message)
    conn.execute(
        "UPDATE wuzha.door_items SET refused = %s WHERE item_id = %s AND kind = 'record'",
        (str(b["why"])[:200] or "?", visit_form.item_id(b["id"])),
    )


def _from_centre(message: exchange.Message) -> dict[str, Any]:
    if message.peer != CENTRE:
        raise exchange.Unfit(f"from {message.peer}, which sends no orders")
    return message.body


#: What a phones' zone understands.
HANDLERS: dict[str, exchange.Handler] = {
    "door_order": take_order, "door_order_end": take_end, "door_phone": take_phone, "door_phone_end": take_phone_end,
    "door_record_refused": take_refused,
}  # fmt: skip


def purge(conn: psycopg.Connection[Any], now: datetime) -> int:
    """Delete the orders that ended more than the kept days ago, with what was recorded on them, and the text of letters
    that the centre has long had."""
    before = now - timedelta(days=book().kept_days)
    gone = conn.execute("DELETE FROM wuzha.door_orders WHERE ended_at < %s", (before,)).rowcount
    conn.execute("SELECT wuzha.outbox_forget('door', %s)", (before,))
    conn.execute("DELETE FROM wuzha.door_phones WHERE paired_at IS NULL AND code_until < %s", (before,))
    return gone


# ---------------------------------------------------------------- pairing and sessions


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _pin(ref: str, pin: str) -> bytes:
    return hashlib.scrypt(pin.encode(), salt=f"door pin {ref}".encode(), n=2**14, r=8, p=1, dklen=32)


def digits(text: str) -> str:
    """The digits of what was typed, however parted."""
    return "".join(c for c in text if c.isascii() and c.isdigit())


def weak(pin: str) -> bool:
    """True of a PIN that anybody tries first."""
    steps = {ord(b) - ord(a) for a, b in pairwise(pin)}
    return len(pin) != PIN_DIGITS or not pin.isascii() or not pin.isdigit() or len(set(pin)) < 3 or len(steps) == 1


def pair(
    conn: psycopg.Connection[Any], zone: zone_keys.Zone, code: str, pin: str, *, now: datetime | None = None
) -> str | None:
    """Pair the phone that has this code, with a PIN of its own; the device's token, or None where the code is none."""
    now = now or clock.now()
    row = conn.execute(
        "SELECT phone_ref FROM wuzha.door_phones WHERE proof = %s AND code_until > %s AND paired_at IS NULL"
        " AND revoked_at IS NULL FOR UPDATE",
        (phones.code_proof(zone, CENTRE, digits(code)), now),
    ).fetchone()
    if row is None or weak(pin):
        return None
    token = secrets.token_urlsafe(32)
    conn.execute(
        "UPDATE wuzha.door_phones SET paired_at = %s, device_hash = %s, pin_hash = %s, store_key = %s"
        " WHERE phone_ref = %s",
        (now, _hash(token), _pin(row[0], pin), secrets.token_bytes(32), row[0]),
    )
    exchange.queue(
        conn, CENTRE, kind="door_paired", key=row[0], body={"ref": row[0], "at": now.isoformat()}, now=now
    )  # fmt: skip
    return token


def device(conn: psycopg.Connection[Any], token: str) -> str:
    """How a device stands: ``paired``, ``revoked``, or ``unknown``."""
    row = conn.execute(
        "SELECT revoked_at IS NOT NULL FROM wuzha.door_phones WHERE device_hash = %s", (_hash(token),)
    ).fetchone()
    return "unknown" if row is None else "revoked" if row[0] else "paired"


def log_in(
    conn: psycopg.Connection[Any], token: str, pin: str, *, length: timedelta, now: datetime | None = None
) -> tuple[str | None, int]:
    """A session of a paired phone: its token, or None and the tries that are left. After the last one the phone is
    taken away, and the centre told."""
    now = now or clock.now()
    row = conn.execute(
        "SELECT phone_ref, pin_hash, pin_failed FROM wuzha.door_phones WHERE device_hash = %s AND revoked_at IS NULL"
        " FOR UPDATE",
        (_hash(token),),
    ).fetchone()
    if row is None:
        return None, 0
    ref = row[0]
    if not hmac.compare_digest(_pin(ref, digits(pin)), bytes(row[1])):
        failed = row[2] + 1
        conn.execute("UPDATE wuzha.door_phones SET pin_failed = %s WHERE phone_ref = %s", (failed, ref))
        if failed >= PIN_TRIES:
            conn.execute(_END, {"at": now, "ref": ref})
            body = {"ref": ref, "at": now.isoformat()}
            exchange.queue(conn, CENTRE, kind="door_phone_lost", key=ref, body=body, now=now)
        return None, max(0, PIN_TRIES - failed)
    session = secrets.token_urlsafe(32)
    conn.execute(
        "UPDATE wuzha.door_phones SET pin_failed = 0, session_hash = %s, session_until = %s WHERE phone_ref = %s",
        (_hash(session), now + length, ref),
    )
    return session, PIN_TRIES


def session(conn: psycopg.Connection[Any], token: str, *, now: datetime | None = None) -> Phone | None:
    """The phone of a session that stands."""
    row = (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT * FROM wuzha.door_phones WHERE session_hash = %s AND session_until > %s AND revoked_at IS NULL",
            (_hash(token), now or clock.now()),
        )
        .fetchone()
    )
    if row is None:
        return None
    return Phone(
        ref=row["phone_ref"], officer=row["officer"], unit=row["unit"], unit_ref=row["unit_ref"],
        language=row["language"], until=row["session_until"], store_key=bytes(row["store_key"]),
    )  # fmt: skip


def former_key(conn: psycopg.Connection[Any], phone: Phone, ref: str) -> bytes | None:
    """What this phone's store was closed with when it was paired as ``ref``, so that what was not sent goes on with the
    new pairing; None where that was another officer or unit, or the phone was taken away."""
    row = conn.execute(
        "SELECT old.store_key FROM wuzha.door_phones old JOIN wuzha.door_phones new ON new.phone_ref = %s"
        " WHERE old.phone_ref = %s AND old.revoked_at IS NULL AND old.store_key IS NOT NULL"
        " AND (old.officer, old.unit_ref) = (new.officer, new.unit_ref) AND old.badge IS NOT DISTINCT FROM new.badge",
        (phone.ref, ref),
    ).fetchone()
    return None if row is None else bytes(row[0])


def log_out(conn: psycopg.Connection[Any], phone: Phone) -> None:
    """End the session; the phone stays paired."""
    conn.execute(
        "UPDATE wuzha.door_phones SET session_hash = NULL, session_until = NULL WHERE phone_ref = %s", (phone.ref,)
    )


def set_language(conn: psycopg.Connection[Any], phone: Phone, language: str) -> None:
    """The language of this phone's pages."""
    if language in ("zh", "en"):
        conn.execute("UPDATE wuzha.door_phones SET language = %s WHERE phone_ref = %s", (language, phone.ref))


# ---------------------------------------------------------------- orders and what is recorded


def orders(conn: psycopg.Connection[Any], phone: Phone) -> list[dict[str, Any]]:
    """The orders of the phone's unit, the most pressing first, those that ended last: the rows of ``door_orders`` with
    ``records`` (who recorded what), ``refused`` (this phone's that the centre did not take) and ``opened`` (here)."""
    rows = (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT * FROM wuzha.door_orders WHERE unit_ref = %s ORDER BY ended_at IS NOT NULL, meet_by, order_ref"
            " LIMIT 200",
            (phone.unit_ref,),
        )
        .fetchall()
    )
    items = (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT i.item_id AS record_id, i.order_ref, i.phone_ref, i.kind, i.made_at, i.form, i.refused, p.officer"
            " FROM wuzha.door_items i LEFT JOIN wuzha.door_phones p USING (phone_ref)"
            " WHERE i.order_ref = ANY(%s) AND i.kind IN ('record', 'opened')",
            ([r["order_ref"] for r in rows],),
        )
        .fetchall()
    )
    for row in rows:
        own = [i for i in items if i["order_ref"] == row["order_ref"]]
        row["opened"] = any(i["kind"] == "opened" and i["phone_ref"] == phone.ref for i in own)
        told = [
            {
                "record_id": i["record_id"], "officer": i["officer"] or "", "made_at": i["made_at"],
                "result": i["form"]["result"], "revision": i["form"]["revision"],
                "mine": i["phone_ref"] == phone.ref,
            }
            for i in own if i["kind"] == "record" and i["refused"] is None
        ]  # fmt: skip
        row["records"] = visit_form.standing(told)
        row["refused"] = [
            {"made_at": i["made_at"], "why": i["refused"]}
            for i in own if i["refused"] is not None and i["phone_ref"] == phone.ref
        ]  # fmt: skip
    return rows


def keep(
    conn: psycopg.Connection[Any], phone: Phone, item: dict[str, Any], *, skew: timedelta = timedelta(),
    now: datetime | None = None,
) -> str:  # fmt: skip
    """Keep one item of the phone and queue it for the centre: ``kept``, or ``again`` where it was kept before.

    ``skew`` is added to the phone's times, whose clock may be wrong. `visit_form.BadForm`: it cannot be taken (reason
    order: not one of the phone's unit; changed: its name means another item).
    """
    now = now or clock.now()
    name, kind = visit_form.item_id(item.get("id")), item.get("kind")
    if kind not in KINDS:
        raise visit_form.BadForm("form", "kind")
    ref = str(item.get("order"))
    plain = {k: v for k, v in item.items() if k != "now"}
    digest = hashlib.sha256(json.dumps(plain, sort_keys=True, ensure_ascii=False).encode()).digest()
    conn.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 12))", (name,))
    before = conn.execute("SELECT digest FROM wuzha.door_items WHERE item_id = %s", (name,)).fetchone()
    if before is not None:
        if bytes(before[0]) != digest:
            raise visit_form.BadForm("changed")
        return "again"
    order = conn.execute(
        "SELECT sent_at FROM wuzha.door_orders WHERE order_ref = %s AND unit_ref = %s", (ref, phone.unit_ref)
    ).fetchone()
    if order is None:
        raise visit_form.BadForm("order")
    # No earlier than the order and no later than now, whatever the phone's clock says.
    at = min(max(visit_form.time(item.get("at")) + skew, order[0]), now)
    body: dict[str, Any] = {"id": name, "order": ref, "phone": phone.ref, "at": at.isoformat()}
    form = None
    if kind == "record":
        form = visit_form.read(item)
        body["form"] = form_sent(form)
    elif kind == "picture":
        visits.image(item)
        body |= {"what": item["what"], "mime": item["mime"], "data": item["data"]}
    conn.execute(
        "INSERT INTO wuzha.door_items (item_id, order_ref, phone_ref, kind, digest, made_at, received_at, form)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
        (name, ref, phone.ref, kind, digest, at, now, Jsonb(form) if form else None),
    )
    exchange.queue(conn, CENTRE, kind=f"door_{kind}", key=name, body=body, now=now)
    return "kept"


def form_sent(form: dict[str, Any]) -> dict[str, Any]:
    """A record as its letter holds it: read here already, written so that the centre reads the same."""
    checks = [{"code": code, "at": at} for code, at in form["checks"].items()]
    return {**form, "checks": checks}
