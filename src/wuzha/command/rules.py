"""Rules as a craft: drafts, shadows, promotion by a second person, retiring, snoozes. Every version is kept.

Kept true here: a version goes live only by the hand of another than who wrote it (the database refuses the first as
well); a text is checked whole before it is kept; every act is in the audit. What holds from when the worker says, which
takes changes up at a place in the log (`live.rulebooks`).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import dict_row

from wuzha.detect import drafts
from wuzha.detect.rulebook import RuleBook
from wuzha.events import clock
from wuzha.events.datafile import DataFileError
from wuzha.events.subjects import split_key
from wuzha.live import rulebooks
from wuzha.store import audit

from .public import Actor, Refused, require

#: A snooze is for a while: what shall be longer is another rule.
LONGEST_SNOOZE = timedelta(days=90)
_LOCK = 0x77757A72


def standing(conn: psycopg.Connection[Any]) -> rulebooks.Standing:
    """What stands with all that was decided, taken up or not."""
    return rulebooks.fold(rulebooks.changes(conn))


def book(conn: psycopg.Connection[Any]) -> RuleBook:
    """The book with all that was decided."""
    return rulebooks.book_of(conn, standing(conn))[0]


def check(conn: psycopg.Connection[Any], text: str) -> drafts.Draft:
    """The draft of a text over the features and typologies in force. DataFileError says where a mistake stands."""
    if len(text) > drafts.MOST_CHARACTERS:
        raise DataFileError("rule", 1, 1, f"a rule has at most {drafts.MOST_CHARACTERS} characters")
    return drafts.read(text, rulebooks.featured(conn, standing(conn))[0])


def save(conn: psycopg.Connection[Any], actor: Actor, text: str, *, why: str, now: datetime | None = None) -> Any:
    """Keep a text as the next version of its rule: (name, version). Refused: rule_wrong, rule_why, rule_same,
    rule_other_subject."""
    require(actor, "rules.write")
    now = now or clock.now()
    if not why.strip():
        raise Refused("rule_why")
    text = text.replace("\r\n", "\n").strip() + "\n"
    try:
        draft = check(conn, text)
    except DataFileError as error:
        raise Refused("rule_wrong", line=error.line, column=error.column, what=error.what) from error
    rule = draft.rule
    conn.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
    rows = versions(conn, rule.id)
    if rows and rows[0]["body"] == text:
        raise Refused("rule_same", version=rows[0]["version"])
    if rows and _subject(rows[0]["body"]) != rule.subject:
        raise Refused("rule_other_subject", subject=_subject(rows[0]["body"]))
    base = rulebooks.base_book(conn, standing(conn).base_id).rules.get(rule.id)
    version = max([r["version"] for r in rows] + [base.version if base else 0]) + 1
    conn.execute(
        "INSERT INTO wuzha.rule_versions (rule, version, body, zh, en, args, why, written_by, written_at)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (rule.id, version, text, rule.zh, rule.en, list(rule.args), why.strip()[:500], actor.user_id, now),
    )
    _audit(conn, actor, "rule.write", rule.id, now, version=version)
    return rule.id, version


def _subject(body: str) -> str:
    import tomllib

    data = tomllib.loads(body)
    return next(str(row["subject"]) for name, row in data.items() if name != "weights")


def versions(conn: psycopg.Connection[Any], rule: str) -> list[dict[str, Any]]:
    """What this deployment has written of a rule, newest first, with ``writer``."""
    return (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT v.*, u.name AS writer FROM wuzha.rule_versions v JOIN wuzha.users u ON u.user_id = v.written_by"
            " WHERE rule = %s ORDER BY version DESC",
            (rule,),
        )
        .fetchall()
    )


def text_of(conn: psycopg.Connection[Any], rule: str, version: int | None = None) -> str:
    """The text of a version; without one, of what stands. Refused("not_found")."""
    if version is None:
        version = standing(conn).promoted.get(rule)
    row = conn.execute(
        "SELECT body FROM wuzha.rule_versions WHERE rule = %s AND version = %s", (rule, version)
    ).fetchone()
    if row is not None:
        return str(row[0])
    base = rulebooks.base_book(conn, standing(conn).base_id)
    if rule in base.rules and version in (None, base.rules[rule].version):
        return drafts.text_of(base, rule)
    raise Refused("not_found")


# ---------------------------------------------------------------- what holds


def promote(
    conn: psycopg.Connection[Any], actor: Actor, rule: str, version: int, *, why: str = "", now: datetime | None = None
) -> None:
    """Let a version judge from now on. Refused: rule_own (its writer), rule_live, rule_wrong, rule_full, not_found."""
    require(actor, "rules.promote")
    now = now or clock.now()
    row = _version(conn, rule, version)
    if row["written_by"] == actor.user_id:
        raise Refused("rule_own")
    now_standing = standing(conn)
    if now_standing.promoted.get(rule) == version and rule not in now_standing.out:
        raise Refused("rule_live", version=version)
    _whole(conn, row)
    _number(conn, row)
    _change(conn, actor, "promoted", rule, now, version=version, why=why)


def shadow(
    conn: psycopg.Connection[Any],
    actor: Actor,
    rule: str,
    version: int,
    *,
    on: bool = True,
    now: datetime | None = None,
) -> None:
    """Let a version run beside the live ones, or end that. Refused: rule_live, rule_wrong, rule_full, not_found."""
    require(actor, "rules.write")
    now = now or clock.now()
    row = _version(conn, rule, version)
    stands = standing(conn)
    if on == (stands.shadowed.get(rule) == version):
        raise Refused("rule_shadow_same")
    if on and stands.promoted.get(rule) == version and rule not in stands.out:
        raise Refused("rule_live", version=version)
    if on:
        _whole(conn, row)
        _number(conn, row)
    _change(conn, actor, "shadowed" if on else "unshadowed", rule, now, version=version)


def retire(conn: psycopg.Connection[Any], actor: Actor, rule: str, *, why: str, now: datetime | None = None) -> None:
    """Take a rule out; what it gave stays and weighs. Refused: rule_why, rule_out, not_found."""
    require(actor, "rules.promote")
    now = now or clock.now()
    if not why.strip():
        raise Refused("rule_why")
    stands = standing(conn)
    if rule in stands.out:
        raise Refused("rule_out")
    if rule not in stands.promoted and rule not in rulebooks.base_book(conn, stands.base_id).rules:
        raise Refused("not_found")
    _change(conn, actor, "retired", rule, now, why=why)


def snooze(
    conn: psycopg.Connection[Any], actor: Actor, rule: str, subject: str, until: datetime | None, *, why: str,
    now: datetime | None = None,
) -> None:  # fmt: skip
    """Keep a rule still on one subject (key, or ``#number``) until a time of its events; ``until`` None ends that.

    Refused: rule_why, snooze_time (past, or more than 90 days off), rule_subject, unknown_subject, not_found.
    """
    require(actor, "rules.write")
    now = now or clock.now()
    if until is not None and not why.strip():
        raise Refused("rule_why")
    found = book(conn).rules.get(rule)
    if found is None:
        raise Refused("not_found")
    if until is not None and not now < until <= now + LONGEST_SNOOZE:
        raise Refused("snooze_time", days=LONGEST_SNOOZE.days)
    what = "woken" if until is None else "snoozed"
    number = _subject_number(conn, subject.strip(), found.subject)
    _change(conn, actor, what, rule, now, subject_id=number, until=until, why=why)


def _subject_number(conn: psycopg.Connection[Any], subject: str, kind: str) -> int:
    """Number of a subject of ``kind`` by its key, or as ``#number``. Refused: unknown_subject, rule_subject."""
    if subject.startswith("#") and subject[1:].isdecimal() and len(subject) < 19:
        row = conn.execute("SELECT subject_id, kind FROM wuzha.subjects WHERE subject_id = %s", (int(subject[1:]),))
    else:
        try:
            key = split_key(subject)
        except ValueError as error:
            raise Refused("unknown_subject") from error
        if key[0] != kind:
            raise Refused("rule_subject", subject=kind)
        row = conn.execute("SELECT subject_id, kind FROM wuzha.subjects WHERE kind = %s AND value = %s", key)
    found = row.fetchone()
    if found is None:
        raise Refused("unknown_subject")
    if found[1] != kind:
        raise Refused("rule_subject", subject=kind)
    return int(found[0])


def history(conn: psycopg.Connection[Any], rule: str | None = None, *, limit: int = 200) -> list[dict[str, Any]]:
    """Changes of the book, newest first, with ``who`` and the subject's kind and value."""
    return (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT c.*, u.name AS who, s.kind AS subject_kind, s.value AS subject_value FROM wuzha.rule_changes c"
            " LEFT JOIN wuzha.users u ON u.user_id = c.by_user LEFT JOIN wuzha.subjects s USING (subject_id)"
            " WHERE c.rule = %(rule)s OR %(rule)s::text IS NULL ORDER BY c.change_id DESC LIMIT %(limit)s",
            {"rule": rule, "limit": limit},
        )
        .fetchall()
    )


def _version(conn: psycopg.Connection[Any], rule: str, version: int) -> dict[str, Any]:
    conn.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
    row = (
        conn.cursor(row_factory=dict_row)
        .execute("SELECT * FROM wuzha.rule_versions WHERE rule = %s AND version = %s", (rule, version))
        .fetchone()
    )
    if row is None:
        raise Refused("not_found")
    return row


def _whole(conn: psycopg.Connection[Any], row: dict[str, Any]) -> None:
    """The features and typologies may be others by now than when the text was kept."""
    try:
        check(conn, row["body"])
    except DataFileError as error:
        raise Refused("rule_wrong", line=error.line, column=error.column, what=error.what) from error


def _number(conn: psycopg.Connection[Any], row: dict[str, Any]) -> None:
    if row["number"] is not None:
        return
    found = conn.execute("SELECT coalesce(max(number) + 1, %s) FROM wuzha.rule_versions", (drafts.FIRST_NUMBER,))
    number = (found.fetchone() or (drafts.FIRST_NUMBER,))[0]
    if number > drafts.LAST_NUMBER:
        raise Refused("rule_full")
    conn.execute(
        "UPDATE wuzha.rule_versions SET number = %s WHERE rule = %s AND version = %s AND number IS NULL",
        (number, row["rule"], row["version"]),
    )


def _change(
    conn: psycopg.Connection[Any], actor: Actor, kind: str, rule: str, now: datetime, *, version: int | None = None,
    subject_id: int | None = None, until: datetime | None = None, why: str = "",
) -> None:  # fmt: skip
    conn.execute(
        "INSERT INTO wuzha.rule_changes (kind, rule, version, subject_id, until, by_user, at, why)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
        (kind, rule, version, subject_id, until, actor.user_id, now, why.strip()[:500] or None),
    )
    said = {"version": version, "subject": subject_id, "until": until.isoformat() if until else None}
    _audit(conn, actor, _ACT[kind], rule, now, **{k: v for k, v in said.items() if v is not None})


_ACT = {
    "promoted": "rule.promote", "retired": "rule.retire", "shadowed": "rule.shadow", "unshadowed": "rule.unshadow",
    "snoozed": "rule.snooze", "woken": "rule.wake",
}  # fmt: skip


def _audit(conn: psycopg.Connection[Any], actor: Actor, action: str, rule: str, now: datetime, **detail: Any) -> None:
    audit.append(
        conn, at=now, user_id=actor.user_id, unit_id=actor.unit_id, actor=actor.login, action=action,
        object=f"rule:{rule}", detail=detail,
    )  # fmt: skip


__all__ = [
    "LONGEST_SNOOZE", "book", "check", "history", "promote", "retire", "save", "shadow", "snooze", "standing",
    "text_of", "versions",
]  # fmt: skip
