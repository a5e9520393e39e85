"""Protective measures: asked for, decided, sent, in force, each by a named officer.

Kept true here: bases are gone through in their order, and what stands before the chosen one has its answer on record;
a police measure has at most 48 hours ahead of it at any moment and two officers behind it; a renewal is a new decision
with a reason that was not given before; money measures leave a living amount; nothing is sent without an external
number and nothing is in force without a receipt. No round calls anything here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import dict_row

from wuzha.command.public import Actor, Refused, require
from wuzha.events import clock

from . import measure_list
from .measure_law import Law, law
from .step import Done, lock, mine, record, repeated


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What an officer asks for. ``target_id`` is a line or account of the person; ``living_per``: day or term."""

    kind: str
    basis: str
    target_id: int
    hours: int
    reason: str
    living_fen: int | None = None
    living_per: str | None = None
    why_not_self: str = ""
    why_not_bank: str = ""
    consent_ref: str = ""
    renews: int | None = None


def draft(
    conn: psycopg.Connection[Any],
    actor: Actor,
    alert_id: int,
    wish: Wish,
    *,
    version: int,
    key: str,
    now: datetime | None = None,
) -> Done:
    """Ask for a measure on a person's line or account. What needs no approver is decided with it.

    Refused: measure_law, measure_kind, measure_basis, measure_target, measure_term, measure_reason,
    measure_same_reason, measure_why_self, measure_why_bank, measure_consent, measure_living, measure_must_renew,
    measure_renew, measure_elsewhere (another unit has had one on it lately: whoever stands above both decides), and
    those of `mine`.
    """
    require(actor, "desk.act")
    now = now or clock.now()
    if actor.user_id == 0:
        raise Refused("forbidden", act="measure")
    if done := repeated(conn, actor, key):
        return done
    alert = lock(conn, alert_id)
    mine(alert, actor, version)
    table = law(now)
    if table is None:
        raise Refused("measure_law")
    _allowed(conn, alert, table, wish, now)
    before = _before(conn, alert, table, wish, now)
    _reasons(table, wish, before)
    _living(table, wish)
    basis = table.basis[wish.basis]
    decided = not basis.approver
    made = conn.execute(
        "INSERT INTO wuzha.measures (alert_id, person_id, kind, basis, law_from, target_id, hours, reason,"
        " why_not_self, why_not_bank, consent_ref, living_fen, living_per, renews, requested_at, requested_by,"
        " approved_at, ends_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
        " RETURNING measure_id",
        (
            alert_id, alert["person_id"], wish.kind, wish.basis, table.since, wish.target_id, wish.hours,
            wish.reason.strip(), wish.why_not_self.strip() or None, wish.why_not_bank.strip() or None,
            wish.consent_ref.strip() or None, wish.living_fen, wish.living_per if wish.living_fen else None,
            wish.renews, now, actor.user_id, now if decided else None,
            now + timedelta(hours=wish.hours) if decided else None,
        ),
    ).fetchone()  # fmt: skip
    assert made is not None
    return record(
        conn, actor, alert, "measure_drafted", key=key, changes={}, at=now, to_id=wish.target_id, words=wish.reason,
        detail={"measure": made[0], "kind": wish.kind, "basis": wish.basis, "hours": wish.hours},
    )  # fmt: skip


def _allowed(conn: psycopg.Connection[Any], alert: dict[str, Any], table: Law, wish: Wish, now: datetime) -> None:
    kind = table.kind.get(wish.kind)
    if kind is None:
        raise Refused("measure_kind")
    if wish.basis not in kind.bases:
        raise Refused("measure_basis")
    if not 0 < wish.hours <= table.longest_h(wish.kind, wish.basis):
        raise Refused("measure_term", code=table.longest_h(wish.kind, wish.basis))
    theirs = {row["subject_id"]: row["kind"] for row in measure_list.targets(conn, alert, now)}
    if theirs.get(wish.target_id) not in kind.target:
        raise Refused("measure_target")


def _before(
    conn: psycopg.Connection[Any], alert: dict[str, Any], table: Law, wish: Wish, now: datetime
) -> list[dict[str, Any]]:
    """The decisions that this one follows on, oldest first. What stood a short while ago cannot be asked anew as if it
    had never been, or 48 hours would be looped without anybody seeing the sum."""
    # Two officers who ask for one target at once, on two files, wait for each other here.
    name = f"measure:{wish.kind}:{wish.target_id}"
    conn.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (name,))
    since = now - timedelta(days=table.chain_days)
    chains = measure_list.chain_of(conn, wish.kind, wish.target_id, wish.basis)
    recent = [m for m in chains if m["until"] > since]
    if wish.basis == "police":
        every = conn.execute("SELECT wuzha.police_measures(%s, %s, %s)", (wish.kind, wish.target_id, since)).fetchone()
        if every is not None and every[0] > len(recent):
            raise Refused("measure_elsewhere")
    if wish.renews is None:
        if wish.basis == "police" and recent:
            raise Refused("measure_must_renew")
        return []
    at = next((i for i, m in enumerate(chains) if m["measure_id"] == wish.renews), None)
    if at is None or at != len(chains) - 1:
        raise Refused("measure_renew")
    return chains


def _plain(words: str) -> str:
    return re.sub(r"\W+", "", words).casefold()


def _reasons(table: Law, wish: Wish, before: list[dict[str, Any]]) -> None:
    said = _plain(wish.reason)
    if len(said) < table.reason_chars:
        raise Refused("measure_reason", code=table.reason_chars)
    if said in {_plain(m["reason"]) for m in before}:
        raise Refused("measure_same_reason")
    earlier = table.earlier(wish.kind, wish.basis)
    if 1 in earlier and len(_plain(wish.why_not_self)) < table.reason_chars:
        raise Refused("measure_why_self", length=table.reason_chars)
    if 2 in earlier and len(_plain(wish.why_not_bank)) < table.reason_chars:
        raise Refused("measure_why_bank", length=table.reason_chars)
    if wish.basis == "consent" and not wish.consent_ref.strip():
        raise Refused("measure_consent")


def _living(table: Law, wish: Wish) -> None:
    if wish.living_fen is not None and wish.living_fen <= 0:
        raise Refused("measure_living")
    if table.kind[wish.kind].money and (not wish.living_fen or wish.living_per not in ("day", "term")):
        raise Refused("measure_living")


def opened(conn: psycopg.Connection[Any], measure_id: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The alert and the measure, both locked. Refused("not_found") out of scope."""
    row = conn.execute("SELECT alert_id FROM wuzha.measures WHERE measure_id = %s", (measure_id,)).fetchone()
    if row is None:
        raise Refused("not_found")
    alert = lock(conn, row[0])
    found = (
        conn.cursor(row_factory=dict_row)
        .execute("SELECT * FROM wuzha.measures WHERE measure_id = %s FOR UPDATE", (measure_id,))
        .fetchone()
    )
    assert found is not None
    return alert, found


def told(
    conn: psycopg.Connection[Any],
    actor: Actor,
    alert: dict[str, Any],
    measure: dict[str, Any],
    kind: str,
    *,
    key: str,
    at: datetime,
    words: str | None = None,
) -> Done:
    """The step of a measure on its file: nothing of the alert changes, and which measure on what stands with it."""
    return record(
        conn, actor, alert, kind, key=key, changes={}, at=at, to_id=measure["target_id"],
        detail={"measure": measure["measure_id"]}, words=words,
    )  # fmt: skip


def approve(
    conn: psycopg.Connection[Any], actor: Actor, measure_id: int, *, key: str, now: datetime | None = None
) -> Done:
    """Decide that it is done; its term runs from this moment.

    Refused: forbidden, measure_own (whoever asks for it does not decide it), measure_state, closed (its file is),
    measure_stale (it was asked for too long ago: what was true then may not be now).
    """
    now = now or clock.now()
    alert, measure, done = _to_decide(conn, actor, measure_id, key, now)
    if done is not None:
        return done
    if alert["state"] == "closed":
        raise Refused("closed")
    table = law(now)
    if table is None or now - measure["requested_at"] > timedelta(hours=table.draft_h):
        raise Refused("measure_stale")
    conn.execute(
        "UPDATE wuzha.measures SET approved_at = %s, approved_by = %s, ends_at = %s WHERE measure_id = %s",
        (now, actor.user_id, now + timedelta(hours=measure["hours"]), measure_id),
    )
    return told(conn, actor, alert, measure, "measure_approved", key=key, at=now)


def decline(
    conn: psycopg.Connection[Any], actor: Actor, measure_id: int, *, why: str, key: str, now: datetime | None = None
) -> Done:
    """Decide that it is not done. Refused: no_words, measure_own, measure_state."""
    now = now or clock.now()
    if not why.strip():
        raise Refused("no_words")
    alert, measure, done = _to_decide(conn, actor, measure_id, key, now)
    if done is not None:
        return done
    conn.execute(
        "UPDATE wuzha.measures SET declined_at = %s, declined_by = %s, declined_why = %s WHERE measure_id = %s",
        (now, actor.user_id, why.strip()[:2000], measure_id),
    )
    return told(conn, actor, alert, measure, "measure_declined", key=key, at=now, words=why)


def _to_decide(
    conn: psycopg.Connection[Any], actor: Actor, measure_id: int, key: str, now: datetime
) -> tuple[dict[str, Any], dict[str, Any], Done | None]:
    require(actor, "measure.approve")
    done = repeated(conn, actor, key)
    alert, measure = opened(conn, measure_id)
    if done is None:
        if measure_list.state(measure, now) != "draft":
            raise Refused("measure_state")
        if measure["requested_by"] == actor.user_id:
            raise Refused("measure_own")
    return alert, measure, done


def sent(
    conn: psycopg.Connection[Any],
    actor: Actor,
    measure_id: int,
    *,
    external_no: str,
    key: str,
    now: datetime | None = None,
) -> Done:
    """The order has gone to the bank or carrier through the channel that exists, under this number there.

    Refused: measure_number (none given), measure_state.
    """
    require(actor, "desk.act")
    now = now or clock.now()
    if not external_no.strip():
        raise Refused("measure_number")
    done = repeated(conn, actor, key)
    alert, measure = opened(conn, measure_id)
    if done is not None:
        return done
    if measure_list.state(measure, now) != "approved" or measure["basis"] == "own_act":
        raise Refused("measure_state")
    conn.execute(
        "UPDATE wuzha.measures SET sent_at = %s, sent_by = %s, external_no = %s WHERE measure_id = %s",
        (now, actor.user_id, external_no.strip()[:100], measure_id),
    )
    return told(conn, actor, alert, measure, "measure_sent", key=key, at=now, words=external_no)


def in_force(
    conn: psycopg.Connection[Any],
    actor: Actor,
    measure_id: int,
    *,
    receipt: str,
    key: str,
    began_at: datetime | None = None,
    until: datetime | None = None,
    now: datetime | None = None,
) -> Done:
    """The institution has receipted that it stands since ``began_at``, and till ``until`` where that is earlier than
    decided; of the person's own act, what the officer saw. Refused: measure_number (no receipt), measure_state.
    """
    require(actor, "desk.act")
    now = now or clock.now()
    if not receipt.strip():
        raise Refused("measure_number")
    done = repeated(conn, actor, key)
    alert, measure = opened(conn, measure_id)
    if done is not None:
        return done
    if measure_list.state(measure, now) != ("approved" if measure["basis"] == "own_act" else "sent"):
        raise Refused("measure_state")
    begun = began_at or now
    if not (measure["sent_at"] or measure["approved_at"]) <= begun <= now or (until is not None and until <= begun):
        raise Refused("measure_times")
    ends = min(measure["ends_at"], until) if until is not None else measure["ends_at"]
    conn.execute(
        "UPDATE wuzha.measures SET began_at = %s, receipt = %s, ends_at = %s WHERE measure_id = %s",
        (begun, receipt.strip()[:200], ends, measure_id),
    )
    return told(conn, actor, alert, measure, "measure_in_force", key=key, at=now, words=receipt)
