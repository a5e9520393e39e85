"""Officers' phones: paired once by a code that the officer reads off their own desk, taken away at any time.

Kept true here: a pairing code is shown once and kept nowhere – the phones' zone gets a slow keyed hash of it; a phone
is one officer's, for their unit; it is taken away by itself when its officer leaves, moves or may not go to doors.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from wuzha.command.public import Actor, Refused, require
from wuzha.events import clock
from wuzha.store import Settings, audit, exchange, zone_keys

from . import verify
from .door_book import book

#: Phones' zones by name: ``phone``, ``phone-2`` …
PHONE = "phone"
PURPOSE = "phones 1"
CODE_DIGITS = 10
#: Phones that one officer may have at a time.
MOST = 3


@dataclass(frozen=True, kw_only=True)
class Issued:
    """A phone that waits to be paired: the code, to be shown once, and until when it holds."""

    ref: str
    code: str
    until: datetime


def zones() -> tuple[zone_keys.Zone | None, list[str]]:
    """This zone and the names of the phones' zones that it knows."""
    zone = zone_keys.load(Settings().home)
    return zone, [p for p in zone.peers if p == PHONE or p.startswith(f"{PHONE}-")] if zone else []


def code_proof(zone: zone_keys.Zone, peer: str, code: str) -> bytes:
    """What stands for a pairing code between this zone and ``peer``."""
    return verify.proof(zone.shared(peer, PURPOSE), "phone", code)


def issue(conn: psycopg.Connection[Any], actor: Actor, *, now: datetime | None = None) -> Issued:
    """A pairing code for a phone of the officer's own. Refused: no_phone_zone, too_many_phones."""
    require(actor, "door.pair")
    now = now or clock.now()
    zone, peers = zones()
    if zone is None or not peers:
        raise Refused("no_phone_zone")
    conn.execute("SELECT 1 FROM wuzha.users WHERE user_id = %s FOR UPDATE", (actor.user_id,))
    held = conn.execute(
        "SELECT count(*) FROM wuzha.phones WHERE user_id = %s AND revoked_at IS NULL"
        " AND (paired_at IS NOT NULL OR until > %s)",
        (actor.user_id, now),
    ).fetchone()
    if held is not None and held[0] >= MOST:
        raise Refused("too_many_phones", limit=MOST)
    ref, code = secrets.token_hex(8), f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}d}"
    until = now + clock.stretch(60 * book().pair_minutes)  # an officer types it in
    proofs = {peer: code_proof(zone, peer, code).hex() for peer in peers}
    conn.execute(
        "INSERT INTO wuzha.phones (ref, user_id, unit_id, made_by, made_at, until, proofs)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s)",
        (ref, actor.user_id, actor.unit_id, actor.user_id, now, until, Jsonb(proofs)),
    )
    _audit(conn, actor, "phone.issued", ref, now)
    return Issued(ref=ref, code=code, until=until)


def listed(conn: psycopg.Connection[Any], actor: Actor, *, now: datetime | None = None) -> list[dict[str, Any]]:
    """Phones that stand: one's own; with the right to administer users or duty those of one's units, too."""
    wide = bool({"users.write", "duty.write"} & actor.may)
    return (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT p.*, u.name, n.name AS unit_name FROM wuzha.phones p JOIN wuzha.users u USING (user_id)"
            " JOIN wuzha.units n ON n.unit_id = p.unit_id"
            " WHERE (p.user_id = %(me)s OR %(wide)s AND p.unit_id IN"
            "  (SELECT descendant FROM wuzha.unit_closure WHERE ancestor = %(unit)s))"
            " AND (p.revoked_at > %(past)s OR p.revoked_at IS NULL AND (p.paired_at IS NOT NULL OR p.until > %(now)s))"
            " ORDER BY p.revoked_at IS NOT NULL, p.phone_id DESC LIMIT 300",
            {
                "me": actor.user_id, "wide": wide, "unit": actor.unit_id, "now": now or clock.now(),
                "past": (now or clock.now()) - timedelta(days=30),
            },
        )
        .fetchall()
    )  # fmt: skip


def revoke(conn: psycopg.Connection[Any], actor: Actor, phone_id: int, *, now: datetime | None = None) -> None:
    """Take a phone away: its session ends and what it holds is wiped when it next asks. Refused: not_found."""
    now = now or clock.now()
    mine = next((p for p in listed(conn, actor, now=now) if p["phone_id"] == phone_id), None)
    if mine is None:
        raise Refused("not_found")
    if mine["revoked_at"] is None:
        _take_off(conn, actor, mine["phone_id"], mine["ref"], "by_hand", now)


def _take_off(
    conn: psycopg.Connection[Any], actor: Actor, phone_id: int, ref: str, why: str, now: datetime
) -> None:  # fmt: skip
    conn.execute(
        "UPDATE wuzha.phones SET revoked_at = %s, revoked_by = %s, revoked_why = %s WHERE phone_id = %s",
        (now, actor.user_id or None, why, phone_id),
    )
    _audit(conn, actor, "phone.revoked", ref, now, why=why)


def round(conn: psycopg.Connection[Any], actor: Actor, now: datetime) -> int:
    """Round: tell the phones' zones of phones to be paired and of those taken off; take away the phones of officers who
    have left, moved to another unit, or may no longer go to a door."""
    gone = conn.execute(
        "SELECT p.phone_id, p.ref FROM wuzha.phones p JOIN wuzha.users u USING (user_id) WHERE p.revoked_at IS NULL"
        " AND p.unit_id IN (SELECT descendant FROM wuzha.unit_closure WHERE ancestor = %s)"
        " AND (p.paired_at IS NOT NULL OR p.until > %s) AND (NOT u.active OR u.unit_id <> p.unit_id"
        "  OR NOT EXISTS (SELECT 1 FROM wuzha.user_roles r WHERE r.user_id = u.user_id AND r.role = 'station'))"
        " LIMIT 100",
        (actor.unit_id, now),
    ).fetchall()
    for phone_id, ref in gone:
        _take_off(conn, actor, phone_id, ref, "officer_gone", now)
    return len(gone) + _tell(conn, actor, now)


def _end(conn: psycopg.Connection[Any], peer: str, ref: str, now: datetime) -> None:
    body = {"ref": ref, "at": now.isoformat()}
    exchange.queue(conn, peer, kind="door_phone_end", key=ref, body=body, now=now)


def _tell(conn: psycopg.Connection[Any], actor: Actor, now: datetime) -> int:
    peers = zones()[1]
    rows = (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT p.*, u.name, u.badge_no, u.language, n.name AS unit_name FROM wuzha.phones p"
            " JOIN wuzha.users u USING (user_id) JOIN wuzha.units n ON n.unit_id = p.unit_id"
            " WHERE p.unit_id IN (SELECT descendant FROM wuzha.unit_closure WHERE ancestor = %s)"
            " AND (p.told_at IS NULL OR p.revoked_at IS NOT NULL AND p.end_told_at IS NULL)"
            " ORDER BY p.phone_id LIMIT 50",
            (actor.unit_id,),
        )
        .fetchall()
        if peers
        else []
    )
    for row in rows:
        for peer in peers:
            if row["told_at"] is None and peer in row["proofs"] and row["revoked_at"] is None:
                body = {
                    "ref": row["ref"], "proof": row["proofs"][peer], "officer": row["name"], "badge": row["badge_no"],
                    "unit_ref": str(row["unit_id"]), "unit": row["unit_name"], "language": row["language"],
                    "until": row["until"].isoformat(),
                }  # fmt: skip
                exchange.queue(conn, peer, kind="door_phone", key=row["ref"], body=body, now=now)
            elif row["revoked_at"] is not None:
                _end(conn, peer, row["ref"], now)
        conn.execute(
            "UPDATE wuzha.phones SET told_at = coalesce(told_at, %(now)s), proofs = '{}',"
            " end_told_at = CASE WHEN revoked_at IS NOT NULL THEN %(now)s::timestamptz END WHERE phone_id = %(phone)s",
            {"now": now, "phone": row["phone_id"]},
        )
    return len(rows)


# ---------------------------------------------------------------- what the phones' zone tells


def take_paired(conn: psycopg.Connection[Any], message: exchange.Message) -> None:
    """A phone was paired in that zone; in the others its code ends."""
    ref, at = str(message.body["ref"]), datetime.fromisoformat(message.body["at"])
    only_phones(message)
    row = conn.execute(
        "UPDATE wuzha.phones SET paired_at = %s, paired_in = %s WHERE ref = %s AND paired_at IS NULL RETURNING unit_id",
        (at, message.peer, ref),
    ).fetchone()
    if row is None:
        raise exchange.Unfit("no such phone waits to be paired")
    actor = Actor(user_id=0, unit_id=row[0], login=f"zone:{message.peer}", name="", roles=frozenset())
    _audit(conn, actor, "phone.paired", ref, at)
    for peer in zones()[1]:
        if peer != message.peer:
            _end(conn, peer, ref, at)


def take_lost(conn: psycopg.Connection[Any], message: exchange.Message) -> None:
    """That zone has taken a phone away by itself: too many wrong PINs."""
    only_phones(message)
    conn.execute(
        "UPDATE wuzha.phones SET revoked_at = %s, revoked_why = 'pin' WHERE ref = %s AND revoked_at IS NULL",
        (datetime.fromisoformat(message.body["at"]), str(message.body["ref"])),
    )


def only_phones(message: exchange.Message) -> None:
    if not (message.peer == PHONE or message.peer.startswith(f"{PHONE}-")):
        raise exchange.Unfit(f"from {message.peer}, which has no phones")


def _audit(
    conn: psycopg.Connection[Any], actor: Actor, action: str, ref: str, now: datetime, **detail: Any
) -> None:  # fmt: skip
    audit.append(
        conn, at=now, actor=actor.login, user_id=actor.user_id or None, unit_id=actor.unit_id, action=action,
        object=f"phone:{ref}", detail=detail,
    )  # fmt: skip
