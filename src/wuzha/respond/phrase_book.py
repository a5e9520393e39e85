"""The deployment's own words: proposed by one, accepted by another, counted by how often they turned a person.

Kept true here: a text is in use only after a second person has accepted it (the database refuses the first); versions
are kept, the newest accepted one is said, the shipped file is version 0; what stood on the screen while a person was
spoken to is recorded with its version.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row

from wuzha.command.public import Actor, Refused, require
from wuzha.events import clock
from wuzha.store import audit

from .phrases import LANGUAGES, MINDS, Text, flaw, shipped


def own_texts(conn: psycopg.Connection[Any]) -> dict[str, Text]:
    """The newest accepted text of every entry that has one."""
    rows = conn.execute(
        "SELECT DISTINCT ON (entry) entry, zh, en, version FROM wuzha.phrases WHERE state = 'accepted'"
        " ORDER BY entry, version DESC"
    ).fetchall()
    return {r[0]: Text(zh=r[1], en=r[2], version=r[3]) for r in rows if r[0] in shipped().texts}


def propose(
    conn: psycopg.Connection[Any], actor: Actor, entry: str, *, zh: str, en: str, why: str = "",
    now: datetime | None = None,
) -> int:  # fmt: skip
    """Propose a text; one's own former wish for the entry is withdrawn. The proposal's number.

    Refused: unknown_phrase, phrase_empty, phrase_long, phrase_link, phrase_slots, phrase_three, phrase_same.
    """
    require(actor, "desk.act")
    now = now or clock.now()
    base = shipped().texts.get(entry)
    if base is None:
        raise Refused("unknown_phrase")
    new = Text(zh=_tidy(zh), en=_tidy(en))
    for language in LANGUAGES:
        if what := flaw(entry, language, new.of(language)):
            raise _REFUSALS[what]()
    current = own_texts(conn).get(entry, base)
    if (new.zh, new.en) == (current.zh, current.en):
        raise Refused("phrase_same")
    conn.execute(
        "UPDATE wuzha.phrases SET state = 'withdrawn', decided_by = %s, decided_at = %s"
        " WHERE entry = %s AND proposed_by = %s AND state = 'proposed'",
        (actor.user_id, now, entry, actor.user_id),
    )
    row = conn.execute(
        "INSERT INTO wuzha.phrases (entry, zh, en, why, proposed_by, proposed_at) VALUES (%s, %s, %s, %s, %s, %s)"
        " RETURNING phrase_id",
        (entry, new.zh, new.en, why.strip()[:500] or None, actor.user_id, now),
    ).fetchone()
    assert row is not None
    _audit(conn, actor, "phrase.propose", entry, now, phrase=row[0])
    return int(row[0])


def _tidy(text: str) -> str:
    return "\n".join(line.strip() for line in text.replace("\r", "").split("\n") if line.strip())


#: One refusal a flaw, each with its sentence in the catalogue.
_REFUSALS = {
    "empty": lambda: Refused("phrase_empty"), "long": lambda: Refused("phrase_long"),
    "link": lambda: Refused("phrase_link"), "slots": lambda: Refused("phrase_slots"),
    "three": lambda: Refused("phrase_three"),
}  # fmt: skip


def decide(
    conn: psycopg.Connection[Any], actor: Actor, phrase_id: int, *, accept: bool, why: str = "",
    now: datetime | None = None,
) -> int | None:  # fmt: skip
    """Accept a text (its version) or refuse it (None). Refused: phrase_own, phrase_decided, no_reason, not_found."""
    require(actor, "phrases.review")
    now = now or clock.now()
    row = _open(conn, phrase_id)
    if row["proposed_by"] == actor.user_id:
        raise Refused("phrase_own")
    if not accept and not why.strip():
        raise Refused("phrase_why")
    version = None
    if accept:
        conn.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 7))", (row["entry"],))
        found = conn.execute(
            "SELECT coalesce(max(version), 0) + 1 FROM wuzha.phrases WHERE entry = %s", (row["entry"],)
        ).fetchone()
        assert found is not None
        version = int(found[0])
    conn.execute(
        "UPDATE wuzha.phrases SET state = %s, decided_by = %s, decided_at = %s, decided_why = %s, version = %s"
        " WHERE phrase_id = %s",
        (
            "accepted" if accept else "refused", actor.user_id, now, why.strip()[:500] or None, version, phrase_id,
        ),
    )  # fmt: skip
    _audit(conn, actor, "phrase.accept" if accept else "phrase.refuse", row["entry"], now, phrase=phrase_id)
    return version


def withdraw(conn: psycopg.Connection[Any], actor: Actor, phrase_id: int, *, now: datetime | None = None) -> None:
    """Take one's own proposal back. Refused: not_yours, phrase_decided, not_found."""
    require(actor, "desk.act")
    now = now or clock.now()
    row = _open(conn, phrase_id)
    if row["proposed_by"] != actor.user_id:
        raise Refused("phrase_not_own")
    conn.execute(
        "UPDATE wuzha.phrases SET state = 'withdrawn', decided_by = %s, decided_at = %s WHERE phrase_id = %s",
        (actor.user_id, now, phrase_id),
    )
    _audit(conn, actor, "phrase.withdraw", row["entry"], now, phrase=phrase_id)


def _open(conn: psycopg.Connection[Any], phrase_id: int) -> dict[str, Any]:
    row = (
        conn.cursor(row_factory=dict_row)
        .execute("SELECT entry, proposed_by, state FROM wuzha.phrases WHERE phrase_id = %s", (phrase_id,))
        .fetchone()
    )
    if row is None:
        raise Refused("not_found")
    # Locked only while it is open: nobody may write a decided one, and a lock asks for that right.
    locked = conn.execute(
        "SELECT 1 FROM wuzha.phrases WHERE phrase_id = %s AND state = 'proposed' FOR UPDATE", (phrase_id,)
    ).fetchone()
    if locked is None:
        raise Refused("phrase_decided")
    return row


def history(conn: psycopg.Connection[Any], entry: str) -> list[dict[str, Any]]:
    """Every text of an entry that was ever wished for, newest first; the shipped one is not among them."""
    return (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT p.*, u.name AS proposer, d.name AS decider FROM wuzha.phrases p"
            " JOIN wuzha.users u ON u.user_id = p.proposed_by LEFT JOIN wuzha.users d ON d.user_id = p.decided_by"
            " WHERE p.entry = %s ORDER BY p.phrase_id DESC",
            (entry,),
        )
        .fetchall()
    )


def waiting(conn: psycopg.Connection[Any]) -> list[dict[str, Any]]:
    """The proposals that nobody has decided, oldest first."""
    return (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT p.*, u.name AS proposer FROM wuzha.phrases p JOIN wuzha.users u ON u.user_id = p.proposed_by"
            " WHERE p.state = 'proposed' ORDER BY p.phrase_id"
        )
        .fetchall()
    )


# ---------------------------------------------------------------- what was said, and whom it turned


def packed(said: Iterable[tuple[str, int]]) -> str:
    """Entries and versions as a form carries them."""
    return " ".join(f"{entry}@{version}" for entry, version in said)


def note_said(conn: psycopg.Connection[Any], alert_id: int, contact_id: int, *, said: str, mind: str) -> int:
    """Record what stood on the screen (`packed`) at a contact with the person; how many entries. What is not ours is
    left out."""
    rows = []
    for word in said.split()[:20]:
        entry, _, version = word.rpartition("@")
        if entry in shipped().texts and version.isascii() and version.isdigit() and len(version) < 8:
            rows.append((contact_id, alert_id, entry, int(version), mind if mind in MINDS else MINDS[0]))
    if rows:
        conn.cursor().executemany(
            "INSERT INTO wuzha.contact_phrases (contact_id, alert_id, entry, version, mind)"
            " VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            rows,
        )
    return len(rows)


def counts(conn: psycopg.Connection[Any]) -> dict[tuple[str, int], tuple[int, int]]:
    """(entry, version) -> (persons to whom it was said, those of them who were dissuaded), in the officer's scope."""
    rows = conn.execute(
        "SELECT p.entry, p.version, count(DISTINCT p.alert_id),"
        " count(DISTINCT p.alert_id) FILTER (WHERE a.outcome = 'dissuaded')"
        " FROM wuzha.contact_phrases p JOIN wuzha.alerts a USING (alert_id)"
        " WHERE NOT EXISTS (SELECT 1 FROM wuzha.contacts u WHERE u.undoes = p.contact_id) GROUP BY 1, 2"
    ).fetchall()
    return {(r[0], r[1]): (r[2], r[3]) for r in rows}


def _audit(
    conn: psycopg.Connection[Any], actor: Actor, action: str, entry: str, now: datetime, **detail: Any
) -> None:  # fmt: skip
    audit.append(
        conn, at=now, actor=actor.login, user_id=actor.user_id or None, unit_id=actor.unit_id, action=action,
        object=f"phrase:{entry}", detail=detail,
    )  # fmt: skip
