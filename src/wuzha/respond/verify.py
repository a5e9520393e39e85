"""Is this really the police? What the public page may know of officers' codes, and what it answers.

Kept true here: the page confirms a file number and a code together only, and then no more than the officer said: unit,
surname, part of the badge number. It holds no code, no file number and no citizen: a slow hash under a key that no
database has. What it does not know for sure at this moment it does not confirm, and says until when it knows.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import psycopg
from psycopg.rows import dict_row

from wuzha.command.public import Actor
from wuzha.events import clock
from wuzha.store import Settings, exchange, zone_keys

from .file_number import alert_of, digits_of, file_number

#: The zones by name: the desks', and those of public pages (``public``, ``public-2`` …).
CENTRE, PUBLIC = "centre", "public"
_PURPOSE = "officers' codes 1"
CODE_DIGITS = 6
#: Codes told in one round: each costs a slow hash.
_ROUND = 10
#: What is over stays so long, for clocks that differ.
_KEPT = timedelta(hours=1)

_COMPOUND = (
    "欧阳", "太史", "端木", "上官", "司马", "东方", "独孤", "南宫", "万俟", "闻人", "夏侯",
    "诸葛", "尉迟", "公羊", "赫连", "澹台", "皇甫", "宗政", "濮阳", "公冶", "太叔", "申屠",
    "公孙", "慕容", "仲孙", "钟离", "长孙", "宇文", "司徒", "鲜于", "司空", "令狐",
)  # fmt: skip

Verdict = Literal["empty", "unreadable", "incomplete", "misheard", "valid", "unknown", "cut", "never"]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the page says. ``known_until``: it knows what the centre had told until then; ``then``: whether the code was
    in force at that moment, where nothing newer is known."""

    verdict: Verdict
    unit: str = ""
    officer: str = ""
    badge: str = ""
    until: datetime | None = None
    known_until: datetime | None = None
    then: bool = False


def proof(secret: bytes, number: str, code: str) -> bytes:
    """What stands for a file number and a code: scrypt under the two zones' secret, some 50 ms of a core."""
    return hashlib.scrypt(f"{number}:{code}".encode(), salt=secret, n=2**14, r=8, p=1, dklen=32)


def surname(name: str) -> str:
    """What of an officer's name is told: the surname; of a name in parts its first part."""
    name = name.strip()
    if "·" in name or " " in name:
        return name.replace("·", " ").split()[0]
    return name[:2] if name[:2] in _COMPOUND and len(name) > 2 else name[:1]


def masked_badge(badge: str | None) -> str:
    """``33**81``; nothing of a short one."""
    badge = (badge or "").strip()
    return f"{badge[:2]}{'*' * (len(badge) - 4)}{badge[-2:]}" if len(badge) >= 6 else ""


# ---------------------------------------------------------------- the centre tells


def tell(conn: psycopg.Connection[Any], actor: Actor, now: datetime) -> int:
    """Round: queue to the public pages the codes that were made, and the early end of those whose officer no longer has
    the file. How many were told."""
    zone = zone_keys.load(Settings().home)
    peers = [p for p in zone.peers if p == PUBLIC or p.startswith(f"{PUBLIC}-")] if zone else []
    if zone is None or not peers:
        return 0
    rows = (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT * FROM (SELECT c.code_id, c.code, c.alert_id, c.at, c.until, c.told_at, u.name, u.badge_no,"
            "   n.name AS unit, a.state <> 'closed' AND a.merged_into IS NULL AND a.signed_by = c.user_id"
            "   AND u.active AS live"
            "  FROM wuzha.officer_codes c JOIN wuzha.alerts a USING (alert_id)"
            "  JOIN wuzha.users u ON u.user_id = c.user_id JOIN wuzha.units n ON n.unit_id = u.unit_id"
            "  WHERE c.until > %s AND (c.told_at IS NULL OR c.end_told_at IS NULL)) x"
            " WHERE live = (told_at IS NULL) ORDER BY code_id LIMIT %s",
            (now, _ROUND),
        )
        .fetchall()
    )
    for row in rows:
        ref = str(row["code_id"])
        for peer in peers:
            if row["live"]:
                number = digits_of(file_number(row["alert_id"]))
                body = {
                    "ref": ref,
                    "proof": proof(zone.shared(peer, _PURPOSE), number, row["code"]).hex(),
                    "unit": row["unit"],
                    "officer": surname(row["name"]),
                    "badge": masked_badge(row["badge_no"]),
                    "at": row["at"].isoformat(),
                    "until": row["until"].isoformat(),
                }
                exchange.queue(conn, peer, kind="officer_code", key=ref, body=body, now=now)
            else:
                body = {"ref": ref, "ended_at": now.isoformat()}
                exchange.queue(conn, peer, kind="officer_code_end", key=ref, body=body, now=now)
        column = "told_at" if row["live"] else "end_told_at"
        conn.execute(f"UPDATE wuzha.officer_codes SET {column} = %s WHERE code_id = %s", (now, row["code_id"]))
    return len(rows)


# ---------------------------------------------------------------- the public page's zone takes in


def take_code(conn: psycopg.Connection[Any], message: exchange.Message) -> None:
    """A code that was made."""
    _only_centre(message)
    b = message.body
    conn.execute("DELETE FROM wuzha.public_codes WHERE until < %s", (clock.now() - _KEPT,))
    conn.execute(
        "INSERT INTO wuzha.public_codes (code_ref, proof, unit, officer, badge, at, until)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (code_ref) DO NOTHING",
        (
            str(b["ref"]), bytes.fromhex(b["proof"]), str(b["unit"]), str(b["officer"]), b.get("badge") or None,
            datetime.fromisoformat(b["at"]), datetime.fromisoformat(b["until"]),
        ),
    )  # fmt: skip


def take_end(conn: psycopg.Connection[Any], message: exchange.Message) -> None:
    """A code whose officer no longer has the file."""
    _only_centre(message)
    conn.execute(
        "UPDATE wuzha.public_codes SET ended_at = %s WHERE code_ref = %s AND ended_at IS NULL",
        (datetime.fromisoformat(message.body["ended_at"]), str(message.body["ref"])),
    )


def _only_centre(message: exchange.Message) -> None:
    if message.peer != CENTRE:
        raise exchange.Unfit(f"from {message.peer}, which has no officers")


#: What a public page's zone understands.
HANDLERS: dict[str, exchange.Handler] = {"officer_code": take_code, "officer_code_end": take_end}


# ---------------------------------------------------------------- the page asks


def read(text: str) -> tuple[Verdict | None, str, str]:
    """File number and code in what somebody typed into the one field; or why it is not both."""
    if not text.strip():
        return "empty", "", ""
    whole = digits_of(text)
    if not whole:
        return "unreadable", "", ""
    number, code = whole[:-CODE_DIGITS], whole[-CODE_DIGITS:]
    if len(number) in (8, 10):
        return ("misheard" if alert_of(number) is None else None), number, code
    if len(whole) in (8, 10) and alert_of(whole) is None:
        return "misheard", "", ""
    return "incomplete", "", ""


def ask(
    conn: psycopg.Connection[Any], zone: zone_keys.Zone | None, text: str, *, fresh: timedelta,
    now: datetime | None = None,
) -> Answer:  # fmt: skip
    """What the page answers to ``text``. ``fresh``: how old its knowledge may be to be a confirmation."""
    now = now or clock.now()
    why, number, code = read(text)
    if why is not None:
        return Answer(verdict=why)
    row = conn.execute("SELECT current_until FROM wuzha.exchange_peers WHERE peer = %s", (CENTRE,)).fetchone()
    known = row[0] if row else None
    if zone is None or CENTRE not in zone.peers or known is None:
        return Answer(verdict="never")
    cut = now - known > fresh
    found = (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT * FROM wuzha.public_codes WHERE proof = %s AND until > %s AND ended_at IS NULL",
            (proof(zone.shared(CENTRE, _PURPOSE), number, code), now),
        )
        .fetchone()
    )
    if cut:
        return Answer(verdict="cut", known_until=known, then=found is not None)
    if found is None:
        return Answer(verdict="unknown", known_until=known)
    return Answer(
        verdict="valid", unit=found["unit"], officer=found["officer"], badge=found["badge"] or "",
        until=found["until"], known_until=known,
    )  # fmt: skip
