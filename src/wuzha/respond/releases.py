"""How a measure ends before its term, and how the person is told of it.

Kept true here: to let go is easy and to hold on is hard: any officer who may act releases, the person's withdrawn
consent releases by itself, and only a named approver may refuse a request, with a reason, the same day. The answer and
the release that follows from it stand in one transaction.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import dict_row

from wuzha.command.public import MAY, Actor, Refused, require
from wuzha.events import clock

from . import reveal
from .measure_law import law_of
from .measure_list import state
from .measures import opened, told
from .step import Done, audit_step, lock, record, repeated

WAYS = ("in_person", "by_post", "electronic", "read_out")
ASKED_BY = ("person", "agent")
_STANDING = ("approved", "sent", "in_force")


def _end(conn: psycopg.Connection[Any], actor: Actor, measure: dict[str, Any], code: str, now: datetime) -> None:
    conn.execute(
        "UPDATE wuzha.measures SET released_at = %s, released_by = %s, release_code = %s WHERE measure_id = %s",
        (now, actor.user_id or None, code, measure["measure_id"]),
    )
    conn.execute(
        "UPDATE wuzha.release_requests SET answered_at = %s, answered_by = %s, upheld = true, answer = %s"
        " WHERE measure_id = %s AND answered_at IS NULL",
        (now, actor.user_id or None, code, measure["measure_id"]),
    )


def release(
    conn: psycopg.Connection[Any], actor: Actor, measure_id: int, *, words: str = "", key: str,
    now: datetime | None = None,
) -> Done:  # fmt: skip
    """It is no longer needed, or the person has taken their consent back: it ends at once. Refused: measure_state."""
    require(actor, "desk.act")
    now = now or clock.now()
    done = repeated(conn, actor, key)
    alert, measure = opened(conn, measure_id)
    if done is not None:
        return done
    if state(measure, now) not in _STANDING:
        raise Refused("measure_state")
    taken_back = law_of(measure["law_from"]).basis[measure["basis"]].revocable
    _end(conn, actor, measure, "withdrawn" if taken_back else "not_needed", now)
    return told(
        conn,
        actor,
        alert,
        measure,
        "measure_withdrawn" if taken_back else "measure_released",
        key=key,
        at=now,
        words=words,
    )


def day_end(at: datetime) -> datetime:
    """The end of the day of ``at`` in the deployment's zone."""
    local = at.astimezone(clock.zone())
    return local.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)


def ask(
    conn: psycopg.Connection[Any],
    actor: Actor,
    measure_id: int,
    *,
    asked_by: str,
    words: str,
    key: str,
    now: datetime | None = None,
) -> Done:
    """Take down the person's request for release, with its time. Where the measure rests on their own word it ends
    with that; else it is answered the same day. Refused: unknown_code, no_words, measure_state, release_open.
    """
    require(actor, "desk.act")
    now = now or clock.now()
    if asked_by not in ASKED_BY:
        raise Refused("unknown_code", code=asked_by)
    if not words.strip():
        raise Refused("no_words")
    done = repeated(conn, actor, key)
    alert, measure = opened(conn, measure_id)
    if done is not None:
        return done
    if state(measure, now) not in _STANDING:
        raise Refused("measure_state")
    waiting = conn.execute(
        "SELECT 1 FROM wuzha.release_requests WHERE measure_id = %s AND answered_at IS NULL", (measure_id,)
    ).fetchone()
    if waiting is not None:
        raise Refused("release_open")
    conn.execute(
        "INSERT INTO wuzha.release_requests (measure_id, asked_at, asked_by, words, taken_by, due_at)"
        " VALUES (%s, %s, %s, %s, %s, %s)",
        (measure_id, now, asked_by, words.strip()[:2000], actor.user_id, day_end(now)),
    )
    revocable = law_of(measure["law_from"]).basis[measure["basis"]].revocable
    if revocable:
        _end(conn, actor, measure, "withdrawn", now)
    return told(
        conn, actor, alert, measure, "measure_withdrawn" if revocable else "release_asked", key=key, at=now, words=words
    )


def answer(
    conn: psycopg.Connection[Any],
    actor: Actor,
    measure_id: int,
    *,
    upheld: bool,
    words: str,
    key: str,
    now: datetime | None = None,
) -> Done:
    """Answer the request that waits. Upheld: released at once, by any officer who may act. Refused it may be only by an
    approver, with a reason. Refused: forbidden, no_words, release_answered.
    """
    require(actor, "desk.act" if upheld else "measure.approve")
    now = now or clock.now()
    if not upheld and not words.strip():
        raise Refused("no_words")
    done = repeated(conn, actor, key)
    alert, measure = opened(conn, measure_id)
    if done is not None:
        return done
    row = conn.execute(
        "UPDATE wuzha.release_requests SET answered_at = %s, answered_by = %s, upheld = %s, answer = %s"
        " WHERE measure_id = %s AND answered_at IS NULL RETURNING request_id",
        (now, actor.user_id, upheld, words.strip()[:2000] or None, measure_id),
    ).fetchone()
    if row is None:
        raise Refused("release_answered")
    if upheld and state(measure, now) in _STANDING:
        _end(conn, actor, measure, "upheld", now)
    return told(
        conn, actor, alert, measure, "measure_released" if upheld else "release_denied", key=key, at=now, words=words
    )


def lifted(
    conn: psycopg.Connection[Any], actor: Actor, measure_id: int, *, receipt: str, key: str,
    now: datetime | None = None,
) -> Done:  # fmt: skip
    """The institution has receipted that it has lifted what was released. Refused: measure_number, measure_state."""
    require(actor, "desk.act")
    now = now or clock.now()
    if not receipt.strip():
        raise Refused("measure_number")
    done = repeated(conn, actor, key)
    alert, measure = opened(conn, measure_id)
    if done is not None:
        return done
    if measure["began_at"] is None or measure["lifted_at"] or state(measure, now) not in ("released", "ended"):
        raise Refused("measure_state")
    conn.execute(
        "UPDATE wuzha.measures SET lifted_at = %s, lift_receipt = %s WHERE measure_id = %s",
        (now, receipt.strip()[:200], measure_id),
    )
    return told(conn, actor, alert, measure, "measure_lifted", key=key, at=now, words=receipt)


def serve(
    conn: psycopg.Connection[Any], actor: Actor, measure_id: int, *, result: str, way: str, words: str = "",
    key: str, now: datetime | None = None,
) -> Done:  # fmt: skip
    """The notice was handed over, or its taking was refused. Refused: unknown_code, measure_state (nothing decided)."""
    require(actor, "desk.act")
    now = now or clock.now()
    if result not in ("served", "refused"):
        raise Refused("unknown_code", code=result)
    if way not in WAYS:
        raise Refused("unknown_code", code=way)
    done = repeated(conn, actor, key)
    alert, measure = opened(conn, measure_id)
    if done is not None:
        return done
    if measure["approved_at"] is None:
        raise Refused("measure_state")
    conn.execute(
        "INSERT INTO wuzha.measure_notices (measure_id, at, user_id, result, way, words)"
        " VALUES (%s, %s, %s, %s, %s, %s)",
        (measure_id, now, actor.user_id, result, way, words.strip()[:2000] or None),
    )
    return told(conn, actor, alert, measure, f"notice_{result}", key=key, at=now, words=words)


def round(conn: psycopg.Connection[Any], actor: Actor, now: datetime) -> int:
    """Requests for release that have waited too long go up: after the law table's hours to the officer who has the file
    and whoever decides in its unit, with the end of the day (or at once where nobody decides there) to the unit above;
    each once. This round reminds; it makes, renews and lengthens nothing. Returns how many were told."""
    late = (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT r.request_id, r.asked_at, r.due_at, r.escalated_at, m.alert_id, m.law_from, m.target_id"
            " FROM wuzha.release_requests r JOIN wuzha.measures m USING (measure_id)"
            " WHERE r.answered_at IS NULL AND r.raised_at IS NULL ORDER BY m.alert_id, r.request_id"
        )
        .fetchall()
    )
    n = 0
    for row in late:
        first = min(row["due_at"], row["asked_at"] + timedelta(hours=law_of(row["law_from"]).release_escalate_h))
        if now < (row["due_at"] if row["escalated_at"] else first):
            continue
        alert = lock(conn, row["alert_id"])
        above = now >= row["due_at"] or not _decides(conn, alert["unit_id"])
        to = _to(conn, alert["unit_id"], above=above)
        taken = conn.execute(
            "UPDATE wuzha.release_requests SET escalated_at = coalesce(escalated_at, %(now)s), raised_at ="
            " CASE WHEN %(above)s THEN %(now)s END, raised_to = CASE WHEN %(above)s THEN %(to)s::bigint END"
            " WHERE request_id = %(id)s AND answered_at IS NULL AND raised_at IS NULL"
            " AND (escalated_at IS NULL OR %(above)s) RETURNING 1",
            {"now": now, "above": above, "to": to[0], "id": row["request_id"]},
        ).fetchone()
        if taken is not None:
            key = f"release-late-{row['request_id']}" + ("-above" if row["escalated_at"] else "")
            record(
                conn, actor, alert, "release_late", key=key, changes={}, at=now, to_id=row["target_id"],
                code="unit_above" if above else "own_unit", words=f"→ {to[1]}",
            )  # fmt: skip
            n += 1
    return n


#: Roles that may refuse a request, and so are asked where nobody has answered.
_DECIDERS = [role for role, acts in MAY.items() if "measure.approve" in acts]


def _decides(conn: psycopg.Connection[Any], unit_id: int) -> bool:
    row = conn.execute(
        "SELECT 1 FROM wuzha.users u JOIN wuzha.user_roles r USING (user_id)"
        " WHERE u.unit_id = %s AND u.active AND r.role = ANY(%s) LIMIT 1",
        (unit_id, _DECIDERS),
    ).fetchone()
    return row is not None


def _to(conn: psycopg.Connection[Any], unit_id: int, *, above: bool) -> tuple[int, str]:
    """The unit itself, or the one above it; at the top there is none above."""
    row = conn.execute(
        "SELECT u.unit_id, u.name FROM wuzha.unit_closure c JOIN wuzha.units u ON u.unit_id = c.ancestor"
        " WHERE c.descendant = %s AND c.depth <= %s ORDER BY c.depth DESC LIMIT 1",
        (unit_id, int(above)),
    ).fetchone()
    assert row is not None
    return int(row[0]), str(row[1])


def waiting(conn: psycopg.Connection[Any], actor: Actor) -> dict[str, int]:
    """Requests that nobody has answered and that are this officer's to answer: ``open`` on files that they have, and
    ``late``, with those that have gone up to them."""
    row = conn.execute(
        "SELECT count(*) FILTER (WHERE a.signed_by = %(me)s), count(*) FILTER (WHERE r.escalated_at IS NOT NULL)"
        " FROM wuzha.release_requests r JOIN wuzha.measures m USING (measure_id) JOIN wuzha.alerts a USING (alert_id)"
        " WHERE r.answered_at IS NULL AND (a.signed_by = %(me)s OR (%(decides)s AND r.escalated_at IS NOT NULL"
        "  AND (a.unit_id = %(unit)s OR r.raised_to = %(unit)s)))",
        {"me": actor.user_id, "unit": actor.unit_id, "decides": "measure.approve" in actor.may},
    ).fetchone()
    return {"open": int(row[0]), "late": int(row[1])} if row else {"open": 0, "late": 0}


def taken(
    conn: psycopg.Connection[Any], actor: Actor, measure: dict[str, Any], *, paper: str, purpose: str,
    now: datetime | None = None,
) -> None:  # fmt: skip
    """A paper with the person's name in it is taken out of the system, for a purpose; stands in the audit.

    Refused: forbidden, no_purpose.
    """
    require(actor, "desk.act")
    reveal.check_purpose(purpose)
    audit_step(
        conn, actor, measure, "paper_taken", at=now or clock.now(),
        detail={"measure": measure["measure_id"], "paper": paper, "purpose": purpose},
    )  # fmt: skip
