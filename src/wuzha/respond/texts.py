"""Texts to people: an officer's wish, its way over the message gateway, and what the gateway says became of it.

Kept true here: no text carries a link; a press sends one person one text, however often it is heard; from the commit
that takes it a text is never sent again; what became of it stands on the ladder of its file, each word once.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row

from wuzha.command.public import Actor, Refused, machine, require
from wuzha.events import clock
from wuzha.events.scam_types import nearest

from . import group_text
from .links import link_in
from .step import audit_step, lock, mine, record

#: Characters of one text.
MOST = 300
#: What stands on the ladder for what became of a text.
RESULTS = {"sent": "sent", "delivered": "delivered", "undelivered": "undelivered", "refused": "undelivered"}
#: States that a text may still come from.
_BEFORE = {"sent": ("sending",), "refused": ("sending",), "unknown": ("sending",), "delivered": ("sent", "unknown"),
           "undelivered": ("sent", "unknown")}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Wish:
    """A text to be sent: ``to`` as the gateway wants it, international digits without plus."""

    text_id: int
    to: str
    words: str
    flash: bool


def open_to() -> bool:
    """Whether a gateway is named; without one texts go by hand, or as a file."""
    return bool(os.environ.get("WUZHA_SMPP_SERVER"))


def proposed(scam_type: str | None, language: str = "zh") -> str:
    """What is said to somebody in this kind of scam."""
    said = group_text.texts()
    return said[nearest(scam_type or "", said) or "general"][language]


def check(words: str) -> str:
    """The words as they are sent. Refused: no_words, text_long, link_in_text."""
    words = " ".join(words.split())
    if not words:
        raise Refused("no_words")
    if len(words) > MOST:
        raise Refused("text_long", limit=MOST)
    if link_in(words):
        raise Refused("link_in_text")
    return words


def send(
    conn: psycopg.Connection[Any], actor: Actor, alert_id: int, *, words: str, flash: bool, version: int, key: str,
    now: datetime | None = None,
) -> int:  # fmt: skip
    """Have a text sent to the line of this file; its number. Refused: no_gateway, no_text_line, as `check`, `mine`."""
    require(actor, "desk.act")
    now = now or clock.now()
    words = check(words)
    if (done := _asked(conn, actor, key)) is not None:
        return done
    alert = lock(conn, alert_id)
    mine(alert, actor, version)
    return queue(conn, actor, alert, words=words, flash=flash, key=key, now=now)


def _asked(conn: psycopg.Connection[Any], actor: Actor, key: str) -> int | None:
    """The text that this press has asked for already. Holds the key, so that twins wait."""
    if not 8 <= len(key) <= 80:
        raise Refused("no_key")
    conn.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 3))", (f"{actor.user_id}:{key}",))
    row = conn.execute(
        "SELECT text_id FROM wuzha.text_messages WHERE key = %s", (f"{actor.user_id}:{key}",)
    ).fetchone()  # fmt: skip
    return None if row is None else int(row[0])


def queue(
    conn: psycopg.Connection[Any], actor: Actor, alert: dict[str, Any], *, words: str, flash: bool, key: str,
    now: datetime,
) -> int:  # fmt: skip
    """Queue a text to a locked alert's line; the one that stands where this key was heard before."""
    if not open_to():
        raise Refused("no_gateway")
    line = conn.execute(
        "SELECT value FROM wuzha.subjects WHERE subject_id = %s AND kind = 'line'", (alert["line_id"],)
    ).fetchone()
    if line is None or not line[0].startswith("+"):
        raise Refused("no_text_line")
    if (done := _asked(conn, actor, key)) is not None:
        return done
    row = conn.execute(
        "INSERT INTO wuzha.text_messages (alert_id, line_id, flash, words, asked_by, asked_at, state_at, key)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s) RETURNING text_id",
        (alert["alert_id"], alert["line_id"], flash, words, actor.user_id, now, now, f"{actor.user_id}:{key}"),
    ).fetchone()
    assert row is not None
    audit_step(conn, actor, alert, "text", at=now, detail={"text": row[0], "flash": flash})
    return int(row[0])


def send_wave(
    conn: psycopg.Connection[Any], actor: Actor, wave_id: int, *, purpose: str, key: str, flash: bool,
    language: str = "zh", now: datetime | None = None,
) -> int:  # fmt: skip
    """Have everybody of a wave texted whom nobody has reached (`group_text.recipients`); how many texts wait now."""
    at = now or clock.now()
    if not open_to():
        raise Refused("no_gateway")
    numbers: list[int] = []

    def one(alert: dict[str, Any], text: str, step_key: str) -> None:
        try:
            numbers.append(queue(conn, actor, alert, words=check(text), flash=flash, key=step_key, now=at))
        except Refused as refused:
            if refused.reason != "no_text_line":  # a line that no text reaches: an officer calls
                raise

    group_text.recipients(conn, actor, wave_id, one, purpose=purpose, key=key, language=language, now=at)
    return len(numbers)


def of_alert(conn: psycopg.Connection[Any], alert_id: int) -> list[dict[str, Any]]:
    """The file's last texts, the newest first."""
    return (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT t.*, u.name AS officer FROM wuzha.text_messages t JOIN wuzha.users u ON u.user_id = t.asked_by"
            " WHERE alert_id = %s ORDER BY text_id DESC LIMIT 5",
            (alert_id,),
        )
        .fetchall()
    )


# ---------------------------------------------------------------- the gateway's process


def begin(conn: psycopg.Connection[Any], now: datetime) -> int:
    """At the start of the process: of what another was sending when it died nobody knows whether it went."""
    return conn.execute(
        "UPDATE wuzha.text_messages SET state = 'unknown', state_at = %s, why = 'died' WHERE state = 'sending'", (now,)
    ).rowcount


def take(conn: psycopg.Connection[Any], now: datetime) -> Wish | None:
    """The next text, never to be taken again from the commit on. A closed or taken-in file's is called off."""
    row = conn.execute(
        "UPDATE wuzha.text_messages t SET state_at = %s, state = CASE WHEN a.state = 'closed' THEN 'refused'"
        "  ELSE 'sending' END, why = CASE WHEN a.state = 'closed' THEN 'closed' END"
        " FROM wuzha.alerts a, wuzha.subjects s WHERE a.alert_id = t.alert_id AND s.subject_id = t.line_id"
        " AND t.text_id = (SELECT text_id FROM wuzha.text_messages WHERE state = 'queued' ORDER BY text_id LIMIT 1"
        "  FOR UPDATE SKIP LOCKED) RETURNING t.text_id, s.value, t.words, t.flash, t.state",
        (now,),
    ).fetchone()
    if row is None:
        return None
    if row[4] == "refused":
        return take(conn, now)
    return Wish(text_id=row[0], to=row[1].removeprefix("+"), words=row[2], flash=row[3])


def put_back(conn: psycopg.Connection[Any], text_id: int, now: datetime) -> None:
    """The gateway has not taken it and says that it may come again."""
    conn.execute(
        "UPDATE wuzha.text_messages SET state = 'queued', state_at = %s WHERE text_id = %s AND state = 'sending'",
        (now, text_id),
    )


def told(
    conn: psycopg.Connection[Any], root: int, text_id: int, state: str, now: datetime, *, gateway_id: str | None = None,
    why: str | None = None,
) -> bool:  # fmt: skip
    """Note what became of a text, and put it on the ladder; False where this is nothing new."""
    row = conn.execute(
        "UPDATE wuzha.text_messages SET state = %s, state_at = %s, gateway_id = coalesce(%s, gateway_id), why = %s"
        " WHERE text_id = %s AND state = ANY(%s) RETURNING alert_id, line_id",
        (state, now, gateway_id, why, text_id, list(_BEFORE[state])),
    ).fetchone()
    if row is None:
        return False
    if state in RESULTS:
        alert = lock(conn, row[0])
        first: dict[str, Any] = {}
        if state == "sent" and alert["state"] != "closed":
            first = {} if alert["contacted_at"] else {"contacted_at": now}
            first |= {"state": "contacting"} if alert["state"] == "signed" else {}
        record(
            conn, machine(root, "texts"), alert, "sms", key=f"text-{text_id}-{state}", changes=first, at=now,
            code=RESULTS[state], words=why, to_id=row[1], quiet=True,
        )  # fmt: skip
    return True


def receipted(conn: psycopg.Connection[Any], root: int, gateway_id: str, state: str, now: datetime) -> bool:
    """A receipt of the gateway: DELIVRD, or why not. False where no text of ours has this number, or it is known."""
    row = conn.execute(
        "SELECT text_id FROM wuzha.text_messages WHERE gateway_id = %s ORDER BY text_id DESC LIMIT 1", (gateway_id,)
    ).fetchone()
    if row is None:
        return False
    if state == "DELIVRD":
        return told(conn, root, row[0], "delivered", now)
    return told(conn, root, row[0], "undelivered", now, why=state[:40])
