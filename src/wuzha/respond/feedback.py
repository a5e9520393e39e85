"""Feedback: what each warning's sender is owed, in which state it is, and an officer's steps with it.

Kept true here: every joined warning stands in the register until its answer is accepted; a state moves by a step that
is kept (``feedback_steps``) and audited; overdue is computed on reading, from the warning's own deadline.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import psycopg
from psycopg.rows import dict_row

from wuzha.command.public import Actor, Refused, require
from wuzha.events import clock
from wuzha.store import audit

from . import answers, step, ways
from .answers import STANDS, steps

#: What the register is asked for; ``open``: all that is owed or was returned.
STATES = ("open", "overdue", "ready", "owed", "returned", "sent", "accepted")
PAGE = 100
#: Sent and accepted answers are counted over so many days.
COUNTED_DAYS = 7


@dataclass(frozen=True, kw_only=True)
class Filters:
    """What the register shows; ``after`` is the last page's end."""

    state: str = "open"
    source: str = ""
    after: str = ""

    @classmethod
    def of(cls, asked: dict[str, str]) -> Filters:
        """From an address; what is unknown counts as not said."""
        state = asked.get("state", "")
        return cls(
            state=state if state in STATES else "open",
            source=asked.get("source", "")[:63],
            after=asked.get("after", ""),
        )

    def address(self, **changes: str) -> str:
        """These filters, changed, for an address; a change of what is shown begins at the first page."""
        f = replace(self, **{"after": "", **changes})
        pairs = {"state": "" if f.state == "open" else f.state, "source": f.source, "after": f.after}
        return urlencode({k: v for k, v in pairs.items() if v})


_OPEN = "w.feedback IN ('owed','returned')"
_WHERE = {
    "open": _OPEN,
    "overdue": f"{_OPEN} AND w.feedback_by < %(now)s",
    "ready": "w.feedback = 'owed' AND w.answer IS NOT NULL",
    "owed": "w.feedback IN ('owed','returned') AND w.feedback = 'owed' AND w.answer IS NULL",
    "returned": "w.feedback IN ('owed','returned') AND w.feedback = 'returned'",
    "sent": "w.feedback IN ('sent','accepted') AND w.feedback = 'sent'",
    "accepted": "w.feedback IN ('sent','accepted') AND w.feedback = 'accepted'",
}
_DUE = "coalesce(w.feedback_by, 'infinity'::timestamptz)"
_COLUMNS = """
    w.warning_id, w.alert_id, w.source, w.event_id, w.source_no, w.ts, w.level_upstream, w.feedback_by, w.off_from,
    w.answer, w.answer_own, w.answered_at, w.feedback, w.sent_answer, w.sent_result, w.sent_at, w.sent_n, w.receipt,
    w.returned_why, w.tries, w.next_try, w.last_error, w.alert_id = w.off_from AS off,
    coalesce(w.issued_by, q.title, w.source) AS issuer, a.state, a.outcome, a.level, p.name, l.value AS line,
    n.name AS unit_name, o.name AS officer,
    (SELECT max(b.workbook_id) FROM wuzha.workbook_rows b WHERE b.source = w.source AND b.event_id = w.event_id)
        AS workbook_id
"""
_FROM = """
    FROM wuzha.alert_warnings w JOIN wuzha.alerts a USING (alert_id)
    LEFT JOIN wuzha.sources q ON q.name = w.source LEFT JOIN wuzha.persons p ON p.person_id = a.person_id
    LEFT JOIN wuzha.subjects l ON l.subject_id = a.line_id LEFT JOIN wuzha.units n ON n.unit_id = a.unit_id
    LEFT JOIN wuzha.users o ON o.user_id = w.answered_by
"""


def rows(
    conn: psycopg.Connection[Any], actor: Actor, f: Filters, *, now: datetime | None = None, limit: int = PAGE
) -> tuple[list[dict[str, Any]], str]:
    """A page of the register and the mark of the next, "" at the end. What is owed: the earliest deadline first; what
    is sent: the newest first."""
    require(actor, "desk.read")
    newest = f.state in ("sent", "accepted")
    where, values = [_WHERE[f.state]], {"now": now or clock.now(), "limit": limit + 1, "source": f.source}
    if f.source:
        where.append("w.source = %(source)s")
    at, _, number = f.after.partition("~")
    if number.isascii() and number.isdigit() and len(number) < 19 and (at == "infinity" or _time(at)):
        values |= {"at": at, "id": int(number)}
        sign = "<" if newest else ">"
        where.append(f"({'w.sent_at' if newest else _DUE}, w.warning_id) {sign} (%(at)s::timestamptz, %(id)s)")
    order = "w.sent_at DESC, w.warning_id DESC" if newest else f"{_DUE}, w.warning_id"
    # The page's numbers first, by the index alone; what is shown of them after.
    found = (
        conn.cursor(row_factory=dict_row)
        .execute(
            f"WITH page AS MATERIALIZED (SELECT w.warning_id FROM wuzha.alert_warnings w"
            f" WHERE {' AND '.join(where)} ORDER BY {order} LIMIT %(limit)s)"
            f" SELECT {_COLUMNS} {_FROM} JOIN page USING (warning_id) ORDER BY {order}",
            values,
        )
        .fetchall()
    )
    if len(found) <= limit:
        return found, ""
    last = found[limit - 1]
    mark = last["sent_at"] if newest else last["feedback_by"]
    return found[:limit], f"{mark.isoformat() if mark else 'infinity'}~{last['warning_id']}"


def _time(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def counts(conn: psycopg.Connection[Any], actor: Actor, *, now: datetime | None = None) -> dict[str, dict[str, int]]:
    """By source, and "" for all: how many in each of STATES; sent and accepted of the last COUNTED_DAYS days."""
    require(actor, "desk.read")
    now = now or clock.now()
    found = (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT source, count(*) AS open, count(*) FILTER (WHERE feedback_by < %(now)s) AS overdue,"
            " count(*) FILTER (WHERE feedback = 'owed' AND answer IS NOT NULL) AS ready,"
            " count(*) FILTER (WHERE feedback = 'owed' AND answer IS NULL) AS owed,"
            " count(*) FILTER (WHERE feedback = 'returned') AS returned, 0 AS sent, 0 AS accepted"
            " FROM wuzha.alert_warnings w WHERE feedback IN ('owed','returned') GROUP BY source UNION ALL"
            " SELECT source, 0, 0, 0, 0, 0, count(*) FILTER (WHERE feedback = 'sent'),"
            " count(*) FILTER (WHERE feedback = 'accepted') FROM wuzha.alert_warnings w"
            " WHERE feedback IN ('sent','accepted') AND sent_at > %(since)s GROUP BY source",
            {"now": now, "since": now - timedelta(days=COUNTED_DAYS)},
        )
        .fetchall()
    )
    out: dict[str, dict[str, int]] = {"": dict.fromkeys(STATES, 0)}
    for row in found:
        own = out.setdefault(row["source"], dict.fromkeys(STATES, 0))
        for state in STATES:
            own[state] += row[state]
            out[""][state] += row[state]
    return out


def of_alert(conn: psycopg.Connection[Any], actor: Actor, alert_id: int) -> list[dict[str, Any]]:
    """The warnings of an alert as the register has them."""
    require(actor, "desk.read")
    return (
        conn.cursor(row_factory=dict_row)
        .execute(f"SELECT {_COLUMNS} {_FROM} WHERE w.alert_id = %s ORDER BY w.ts, w.warning_id", [alert_id])
        .fetchall()
    )


def one(conn: psycopg.Connection[Any], actor: Actor, warning_id: int, *, lock: bool = False) -> dict[str, Any]:
    """A warning as the register has it. Refused("not_found") outside the officer's scope."""
    require(actor, "desk.read")
    if lock:
        conn.execute("SELECT 1 FROM wuzha.alert_warnings WHERE warning_id = %s FOR UPDATE", [warning_id])
    row = (
        conn.cursor(row_factory=dict_row)
        .execute(f"SELECT {_COLUMNS} {_FROM} WHERE w.warning_id = %s", [warning_id])
        .fetchone()
    )
    if row is None:
        raise Refused("not_found")
    return row


def history(conn: psycopg.Connection[Any], actor: Actor, warning_id: int) -> list[dict[str, Any]]:
    """The steps of a warning's answer, the oldest first."""
    one(conn, actor, warning_id)
    return (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT s.*, u.name AS officer FROM wuzha.feedback_steps s LEFT JOIN wuzha.users u ON u.user_id = s.user_id"
            " WHERE warning_id = %s ORDER BY step_id",
            [warning_id],
        )
        .fetchall()
    )


def _done(conn: psycopg.Connection[Any], key: str) -> bool:
    """True where this click (or message) has been heard before. Holds the key, so that twins wait."""
    if not 8 <= len(key) <= 120:
        raise Refused("no_key")
    conn.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 1))", [key])
    return conn.execute("SELECT 1 FROM wuzha.feedback_steps WHERE key = %s", [key]).fetchone() is not None


def _audit(
    conn: psycopg.Connection[Any], actor: Actor, w: dict[str, Any], what: str, at: datetime, **said: Any
) -> None:
    audit.append(
        conn, at=at, actor=actor.login, user_id=actor.user_id or None, unit_id=actor.unit_id,
        action=f"feedback.{what}", object=f"alert:{w['alert_id']}",
        detail={"source": w["source"], "number": w["source_no"] or w["event_id"]}
        | {k: v for k, v in said.items() if v is not None},
    )  # fmt: skip


def sent(
    conn: psycopg.Connection[Any],
    actor: Actor,
    warning_id: int,
    *,
    key: str,
    receipt: str = "",
    n: int | None = None,
    answer: str | None = None,
    now: datetime | None = None,
) -> bool:
    """Note that the standing answer has reached the source; False where this was noted before.

    ``n`` and ``answer``: the sending and the outcome that arrived, where it is not the one that stands now (an officer
    changed it meanwhile: then that is owed as a correction). Refused: not_answered.
    """
    require(actor, "desk.act")
    now = now or clock.now()
    if _done(conn, key):
        return False
    w = one(conn, actor, warning_id, lock=True)
    if n is not None and n <= w["sent_n"]:
        return False
    answer = answer or w["answer"]
    if answer is None or (n is None and w["feedback"] != "owed"):
        raise Refused("not_answered")
    word = ways.ways(conn).get(w["source"], ways.Way()).word(answer, layout_words(conn, [w]).get(w["warning_id"]))
    mark_sent(conn, actor, [(warning_id, answer, word)], receipt=receipt, at=now, key=key)
    _audit(conn, actor, w, "sent", now, code=answer, receipt=receipt or None)
    return True


def mark_sent(
    conn: psycopg.Connection[Any],
    actor: Actor,
    what: list[tuple[int, str, str]],
    *,
    receipt: str,
    at: datetime,
    key: str | None = None,
) -> None:
    """Note (warning, outcome, the source's word) as sent; another answer that stands by now is owed as a correction."""
    conn.execute(
        "UPDATE wuzha.alert_warnings w SET sent_answer = u.answer, sent_result = u.word, sent_at = %s,"
        " sent_n = sent_n + 1, receipt = %s, returned_why = NULL, tries = 0, next_try = NULL, last_error = NULL,"
        " feedback = CASE WHEN w.answer IS NULL OR w.answer = u.answer THEN 'sent' ELSE 'owed' END"
        " FROM unnest(%s::bigint[], %s::text[], %s::text[]) AS u (id, answer, word) WHERE w.warning_id = u.id",
        [at, receipt or None, [i for i, _, _ in what], [a for _, a, _ in what], [w for _, _, w in what]],
    )
    for answer in dict.fromkeys(a for _, a, _ in what):
        ids = [i for i, a, _ in what if a == answer]
        steps(conn, actor, ids, "sent", at=at, code=answer, words=receipt or None, key=key)


def layout_words(conn: psycopg.Connection[Any], found: list[dict[str, Any]]) -> dict[int, dict[str, str]]:
    """The words of the workbook's layout for each warning that came in one: warning → outcome → word."""
    from .returns import results_of

    ids = {w["warning_id"]: w["workbook_id"] for w in found if w["workbook_id"] is not None}
    return results_of(conn, ids)


def accept(
    conn: psycopg.Connection[Any], actor: Actor, warning_id: int, *, key: str, words: str = "",
    now: datetime | None = None,
) -> bool:  # fmt: skip
    """The source has taken the answer. Refused("not_sent") where nothing was sent."""
    return _reply(conn, actor, warning_id, "accepted", key=key, words=words, now=now)


def send_back(
    conn: psycopg.Connection[Any], actor: Actor, warning_id: int, *, key: str, why: str, now: datetime | None = None
) -> bool:
    """退回: the source refuses the answer, also long after it took it. Refused: not_sent, no_reason."""
    if not why.strip():
        raise Refused("no_reason")
    return _reply(conn, actor, warning_id, "returned", key=key, words=why, now=now)


def _reply(
    conn: psycopg.Connection[Any], actor: Actor, warning_id: int, kind: str, *, key: str, words: str,
    now: datetime | None,
) -> bool:  # fmt: skip
    require(actor, "desk.act")
    now = now or clock.now()
    if _done(conn, key):
        return False
    w = one(conn, actor, warning_id, lock=True)
    if w["sent_n"] == 0:
        raise Refused("not_sent")
    words = words.strip()[:500]
    # A correction that is already owed stays owed, whatever is said of what it corrects.
    conn.execute(
        "UPDATE wuzha.alert_warnings SET feedback = CASE WHEN feedback = 'owed' THEN feedback ELSE %s END,"
        " returned_why = %s WHERE warning_id = %s",
        [kind, words if kind == "returned" else None, warning_id],
    )
    steps(conn, actor, [warning_id], kind, at=now, code=w["sent_answer"], words=words or None, key=key)
    _audit(conn, actor, w, kind, now)
    return True


def again(
    conn: psycopg.Connection[Any], actor: Actor, warning_id: int, *, key: str, now: datetime | None = None
) -> bool:
    """Send the standing answer once more after it was returned. Refused("not_returned")."""
    require(actor, "desk.act")
    now = now or clock.now()
    if _done(conn, key):
        return False
    w = one(conn, actor, warning_id, lock=True)
    if w["feedback"] != "returned" or w["answer"] is None:
        raise Refused("not_returned")
    conn.execute(
        "UPDATE wuzha.alert_warnings SET feedback = 'owed', tries = 0, next_try = NULL, last_error = NULL"
        " WHERE warning_id = %s",
        [warning_id],
    )
    steps(conn, actor, [warning_id], "again", at=now, code=w["answer"], key=key)
    _audit(conn, actor, w, "again", now)
    return True


def answer_alone(
    conn: psycopg.Connection[Any], actor: Actor, warning_id: int, *, code: str, key: str, words: str = "",
    now: datetime | None = None,
) -> bool:  # fmt: skip
    """Answer one warning by itself: one that was taken off its alert, or whose alert ends otherwise.

    Refused: unknown_code (only final outcomes answer).
    """
    require(actor, "desk.act")
    now = now or clock.now()
    if code not in ways.final():
        raise Refused("unknown_code", code=code)
    if _done(conn, key):
        return False
    w = one(conn, actor, warning_id, lock=True)
    conn.execute(
        "UPDATE wuzha.alert_warnings SET answer = %(code)s, answer_own = true, answered_at = %(now)s,"
        " answered_by = %(user)s, tries = 0, next_try = NULL, last_error = NULL,"
        " feedback = CASE WHEN sent_answer = %(code)s THEN CASE feedback WHEN 'owed' THEN 'sent' ELSE feedback END"
        " ELSE 'owed' END WHERE warning_id = %(id)s",
        {"code": code, "now": now, "user": actor.user_id or None, "id": warning_id},
    )
    steps(conn, actor, [warning_id], "answered", at=now, code=code, words=words.strip()[:500] or None, key=key)
    _audit(conn, actor, w, "answered", now, code=code)
    return True


def take_off(
    conn: psycopg.Connection[Any], actor: Actor, warning_id: int, *, version: int, key: str, why: str,
    now: datetime | None = None,
) -> step.Done:  # fmt: skip
    """Not this person: the warning no longer counts on its alert, neither for its clocks nor for its answer; it is
    still owed one of its own. Refused: no_reason, already_off, closed, changed."""
    if not why.strip():
        raise Refused("no_reason")
    return _off_or_on(conn, actor, warning_id, off=True, version=version, key=key, words=why, now=now)


def put_back(
    conn: psycopg.Connection[Any], actor: Actor, warning_id: int, *, version: int, key: str,
    now: datetime | None = None,
) -> step.Done:  # fmt: skip
    """The warning is of this person after all. Refused: not_off, closed, changed."""
    return _off_or_on(conn, actor, warning_id, off=False, version=version, key=key, words="", now=now)


def _off_or_on(
    conn: psycopg.Connection[Any], actor: Actor, warning_id: int, *, off: bool, version: int, key: str, words: str,
    now: datetime | None,
) -> step.Done:  # fmt: skip
    require(actor, "desk.act")
    now = now or clock.now()
    if done := step.repeated(conn, actor, key):
        return done
    alert = step.lock(conn, one(conn, actor, warning_id)["alert_id"])
    w = one(conn, actor, warning_id, lock=True)
    if w["alert_id"] != alert["alert_id"] or alert["version"] != version:
        raise Refused("changed")
    if alert["state"] == "closed":
        raise Refused("closed")
    if bool(w["off"]) == off:
        raise Refused("already_off" if off else "not_off")
    # An answer that came with the alert goes with it; what was sent stays known.
    conn.execute(
        "UPDATE wuzha.alert_warnings SET off_from = %s, answer_own = false, answer = NULL, answered_at = NULL,"
        " answered_by = NULL, feedback = CASE WHEN sent_answer IS NULL THEN 'owed' WHEN feedback = 'owed' THEN 'sent'"
        " ELSE feedback END WHERE warning_id = %s",
        [alert["alert_id"] if off else None, warning_id],
    )
    steps(conn, actor, [warning_id], "off" if off else "on", at=now, words=words.strip()[:500] or None)
    done = step.record(
        conn, actor, alert, "warning_off" if off else "warning_on", key=key, changes={}, at=now,
        words=f"{w['source_no'] or w['event_id']} {words}".strip(),
    )  # fmt: skip
    if not off:
        answers.follow(conn, actor, alert["alert_id"], alert["outcome"], now)
    return done


__all__ = [
    "PAGE", "STANDS", "STATES", "Filters", "accept", "again", "answer_alone", "counts", "history", "mark_sent",
    "of_alert", "one", "put_back", "rows", "send_back", "sent", "take_off",
]  # fmt: skip
