"""One dissuasion answers every warning on its alert.

Kept true here: a warning's answer is its alert's final outcome, or none where there is none, unless an officer has
answered it alone or taken it off; what was sent is never forgotten: another outcome after it is sent as a correction,
and an outcome taken back before it was sent is as if it had not been.
"""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from typing import Any

import psycopg

from wuzha.command.public import Actor
from wuzha.events import clock

from . import ways

#: On the alert that it stands on, and not taken off it.
STANDS = "w.off_from IS DISTINCT FROM w.alert_id"


def follow(conn: psycopg.Connection[Any], actor: Actor, alert_id: int, outcome: str | None, at: datetime) -> int:
    """Give the alert's warnings the answer that ``outcome`` is (none where it is not final); how many changed."""
    answer = outcome if outcome in ways.final() else None
    changed = [
        r[0]
        for r in conn.execute(
            "UPDATE wuzha.alert_warnings w SET answer = %(answer)s, tries = 0, next_try = NULL, last_error = NULL,"
            " answered_at = CASE WHEN %(answer)s::text IS NULL THEN NULL ELSE %(at)s::timestamptz END,"
            " answered_by = CASE WHEN %(answer)s::text IS NULL THEN NULL ELSE %(user)s::bigint END,"
            " feedback = CASE WHEN sent_answer IS NULL THEN 'owed'"
            "   WHEN %(answer)s::text IS NULL OR %(answer)s = sent_answer"
            "   THEN CASE feedback WHEN 'owed' THEN 'sent' ELSE feedback END ELSE 'owed' END"
            f" WHERE alert_id = %(alert)s AND {STANDS} AND NOT answer_own"
            " AND answer IS DISTINCT FROM %(answer)s RETURNING warning_id",
            {"answer": answer, "at": at, "user": actor.user_id or None, "alert": alert_id},
        )
    ]
    steps(conn, actor, changed, "answered" if answer else "taken_back", at=at, code=answer)
    return len(changed)


def steps(
    conn: psycopg.Connection[Any],
    actor: Actor,
    warnings: list[int],
    kind: str,
    *,
    at: datetime,
    code: str | None = None,
    words: str | None = None,
    key: str | None = None,
) -> None:
    """Leave a step of the answer of each of ``warnings``."""
    if warnings:
        conn.execute(
            "INSERT INTO wuzha.feedback_steps (warning_id, at, user_id, kind, code, words, key)"
            " SELECT id, %s, %s, %s, %s, %s, %s || CASE WHEN n = 1 THEN '' ELSE ':' || n END"
            " FROM unnest(%s::bigint[]) WITH ORDINALITY AS u (id, n)",
            [at, actor.user_id or None, kind, code, words, key, warnings],
        )


#: An alert that has been closed for longer is looked at in every FULL_EVERY-th round only.
_RECENT = timedelta(hours=6)
FULL_EVERY = 120
_rounds = itertools.count()
_OPEN = f"w.feedback = 'owed' AND {STANDS} AND NOT w.answer_own"
_RECENTLY = f"""
SELECT w.alert_id, a.outcome FROM wuzha.alerts a JOIN wuzha.alert_warnings w USING (alert_id)
 WHERE a.state <> 'closed' AND a.outcome IS NOT NULL AND a.outcome = ANY(%(final)s) AND w.answer IS NULL AND {_OPEN}
UNION SELECT w.alert_id, a.outcome FROM wuzha.alerts a JOIN wuzha.alert_warnings w USING (alert_id)
 WHERE a.closed_at > %(since)s AND a.outcome = ANY(%(final)s) AND w.answer IS NULL AND {_OPEN}
UNION SELECT w.alert_id, a.outcome FROM wuzha.alert_warnings w JOIN wuzha.alerts a USING (alert_id)
 WHERE w.answer IS NOT NULL AND {_OPEN} AND w.answer IS DISTINCT FROM CASE WHEN a.outcome = ANY(%(final)s)
       THEN a.outcome END LIMIT 1000
"""
_WHOLE = f"""
SELECT DISTINCT w.alert_id, a.outcome FROM wuzha.alert_warnings w JOIN wuzha.alerts a USING (alert_id)
 WHERE w.feedback IN ('owed','returned') AND {_OPEN}
   AND w.answer IS DISTINCT FROM CASE WHEN a.outcome = ANY(%(final)s) THEN a.outcome END LIMIT 1000
"""


def round(conn: psycopg.Connection[Any], actor: Actor, now: datetime) -> int:
    """Warnings that joined after the outcome, or moved to another alert, get the answer of the alert they stand on."""
    asked = _WHOLE if next(_rounds) % FULL_EVERY == FULL_EVERY - 1 else _RECENTLY
    found = conn.execute(asked, {"final": ways.final(), "since": now - _RECENT}).fetchall()
    return sum(follow(conn, actor, alert_id, outcome, now) for alert_id, outcome in found)


def undo_over(now: datetime) -> str:
    """SQL: the outcome of alert ``a`` can no longer be taken back with a key, so its answer ``w`` may leave."""
    from .tiers import tiers

    seconds = clock.stretch(tiers(now).undo_s).total_seconds()
    return f"(a.state = 'closed' OR w.answer_own OR w.answered_at <= %(now)s - interval '{seconds} s')"
