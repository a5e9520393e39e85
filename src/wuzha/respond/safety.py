"""Safety flags, and when kin may be told.

Kept true here: kin are never told where it can hurt (extortion with intimate pictures, romance, family violence), for
no reason at all; else without the person's consent only where they cannot be reached or are in danger; a flag holds
for the person, on whichever file it was set.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from importlib.resources import files
from typing import Any

import psycopg
from psycopg.rows import dict_row

from wuzha.command.public import Actor, Refused, require
from wuzha.events import clock, datafile
from wuzha.events.scam_types import scam_types

from .codes import codes
from .merged import family
from .step import Done, lock, record, repeated

OTHER_REASONS = ("neutral", "consent", "danger")
KIN_REASONS = ("consent", "cannot_reach", "danger")
#: Results of a try among kin by which somebody has been told something.
TOLD = ("told_other", "self")


@dataclass(frozen=True, kw_only=True)
class Flag:
    """One flag with its fixed handling."""

    zh: str
    en: str
    handling_zh: str
    handling_en: str
    danger: bool
    forbids_kin: bool


@dataclass(frozen=True, kw_only=True)
class Safety:
    """The file ``safety.toml``."""

    never: tuple[str, ...]
    flags: dict[str, Flag]
    reasons: dict[str, dict[str, str]]
    others: dict[str, dict[str, str]]


def read(text: str, name: str = "safety.toml") -> Safety:
    """DataFileError with file, line and what is wrong."""
    file = datafile.parse(text, name)
    flags = {}
    for code, row in file.data.get("flag", {}).items():
        try:
            flags[code] = Flag(**row)
        except TypeError as error:
            raise file.error(f"flag.{code}", "", f"[flag.{code}] {error}") from error
    never = tuple(file.data.get("kin", {}).get("never", ()))
    if unknown := [t for t in never if t not in scam_types()]:
        raise file.error("kin", "never", f"the unknown scam type {', '.join(unknown)}")
    if not {"net_black.sextortion", "romance"} <= {t for t in scam_types() if _under(t, never)}:
        raise file.error("kin", "never", "extortion with pictures and romance are always among them")
    if not any(f.forbids_kin for c, f in flags.items() if c == "family_violence"):
        raise file.error("flag.family_violence", "", "family violence always forbids kin")
    reasons = file.data.get("kin_reason", {})
    if tuple(reasons) != KIN_REASONS:
        raise file.error("", "", f"the reasons are {', '.join(KIN_REASONS)}")
    others = file.data.get("other_reason", {})
    if tuple(others) != OTHER_REASONS:
        raise file.error("", "", f"the reasons for telling another are {', '.join(OTHER_REASONS)}")
    return Safety(never=never, flags=flags, reasons=reasons, others=others)


def _under(scam_type: str, never: tuple[str, ...]) -> bool:
    return any(scam_type == t or scam_type.startswith(t + ".") for t in never)


@lru_cache(maxsize=1)
def shipped() -> Safety:
    """The shipped file."""
    return read((files(__package__) / "safety.toml").read_text("utf-8"))


def words() -> dict[str, dict[str, str]]:
    """What the pages call flags and reasons, by catalogue key."""
    found = {f"flag.{code}": {"zh": f.zh, "en": f.en} for code, f in shipped().flags.items()}
    found |= {f"handling.{code}": {"zh": f.handling_zh, "en": f.handling_en} for code, f in shipped().flags.items()}
    found |= {f"other_reason.{code}": row for code, row in shipped().others.items()}
    return found | {f"kin_reason.{code}": row for code, row in shipped().reasons.items()}


#: Flags of these files, of this person, or of anybody whom these files were about.
_FLAGS_OF = (
    "(alert_id = ANY(%(files)s) OR person_id = %(person)s"
    " OR person_id IN (SELECT m.person_id FROM wuzha.alerts m WHERE m.alert_id = ANY(%(files)s)))"
)


def standing(conn: psycopg.Connection[Any], alert: dict[str, Any]) -> list[dict[str, Any]]:
    """The flags on the alert's person that nobody has cleared: flag_id, flag, words, at, officer."""
    return (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT DISTINCT ON (f.flag) f.flag_id, f.flag, f.words, f.at, u.name AS officer"
            f" FROM (SELECT * FROM wuzha.safety_flags WHERE {_FLAGS_OF} AND cleared_at IS NULL) f"
            " LEFT JOIN wuzha.users u ON u.user_id = f.user_id ORDER BY f.flag, f.at",
            {"files": family(conn, alert["alert_id"]), "person": alert["person_id"]},
        )
        .fetchall()
    )


@dataclass(frozen=True, kw_only=True)
class KinRule:
    """``forbidden``: why kin may not be told (a code: type, flag), empty where they may; ``reasons``: by what."""

    forbidden: str
    reasons: tuple[str, ...]


def kin_rule(conn: psycopg.Connection[Any], alert: dict[str, Any]) -> KinRule:
    """The rule for this alert now, from its type, its joined warnings, its person's flags, the files that it has
    taken in, and what was tried."""
    safety = shipped()
    told = conn.execute(
        "SELECT scam_type FROM wuzha.alert_warnings WHERE alert_id = ANY(%(files)s) AND scam_type IS NOT NULL"
        " UNION SELECT scam_type FROM wuzha.alerts WHERE alert_id = ANY(%(files)s)",
        {"files": family(conn, alert["alert_id"])},
    ).fetchall()
    if any(_under(t, safety.never) for t in (alert["scam_type"], *(row[0] for row in told))):
        return KinRule(forbidden="type", reasons=())
    flags = [safety.flags[f["flag"]] for f in standing(conn, alert) if f["flag"] in safety.flags]
    if any(f.forbids_kin for f in flags):
        return KinRule(forbidden="flag", reasons=())
    reasons = ["consent"]
    if alert["state"] != "reached" and (alert["line_id"] is None or _tried(conn, alert["alert_id"])):
        reasons.append("cannot_reach")
    if alert["level"] in ("urgent", "high") or alert["stage"] == "pay" or any(f.danger for f in flags):
        reasons.append("danger")
    return KinRule(forbidden="", reasons=tuple(reasons))


def _tried(conn: psycopg.Connection[Any], alert_id: int) -> bool:
    """Whether somebody has tried to reach the person themself and not spoken to them."""
    channels = [c.code for c in codes()["channel"].values() if c.to == "person"]
    failed = [r.code for r in codes()["result"].values() if not r.reached and r.code not in ("delivered", "dispatched")]
    row = conn.execute(
        "SELECT 1 FROM wuzha.contacts c WHERE alert_id = %s AND kind = ANY(%s) AND code = ANY(%s)"
        " AND NOT EXISTS (SELECT 1 FROM wuzha.contacts u WHERE u.undoes = c.contact_id) LIMIT 1",
        (alert_id, channels, failed),
    ).fetchone()
    return row is not None


def check_kin(
    conn: psycopg.Connection[Any], alert: dict[str, Any], *, result: str, reason: str | None, words: str | None
) -> None:
    """Refused: kin_forbidden, kin_reason (none given, or not so on this file), kin_words (not said what was told)."""
    rule = kin_rule(conn, alert)
    if rule.forbidden:
        raise Refused("kin_forbidden")
    if reason not in rule.reasons:
        raise Refused("kin_reason")
    if result in TOLD and not (words or "").strip():
        raise Refused("kin_words")


def check_other(
    conn: psycopg.Connection[Any], alert: dict[str, Any], *, result: str, reason: str | None, words: str | None
) -> str | None:
    """Somebody else took up the person's own line or opened their door, and was told. Where kin may not be told, the
    ground is asked for and kept, and what was told; returns the ground to keep.

    Refused: other_reason (none given), other_words (not said what was told).
    """
    if result != "told_other" or not kin_rule(conn, alert).forbidden:
        return None
    if reason not in OTHER_REASONS:
        raise Refused("other_reason")
    if not (words or "").strip():
        raise Refused("other_words")
    return reason


def discreet(conn: psycopg.Connection[Any], alert_id: int) -> bool:
    """Whether nobody else may be told on this file without a ground. Refused("not_found") out of scope."""
    row = (
        conn.cursor(row_factory=dict_row)
        .execute("SELECT * FROM wuzha.alerts WHERE alert_id = %s", (alert_id,))
        .fetchone()
    )
    if row is None:
        raise Refused("not_found")
    return bool(kin_rule(conn, row).forbidden)


def flag(
    conn: psycopg.Connection[Any],
    actor: Actor,
    alert_id: int,
    *,
    code: str,
    key: str,
    words: str = "",
    now: datetime | None = None,
) -> Done:
    """Set a flag on the person; any officer who may act does it, signed for or not. Refused: unknown_code."""
    require(actor, "desk.act")
    now = now or clock.now()
    if code not in shipped().flags:
        raise Refused("unknown_code", code=code)
    if done := repeated(conn, actor, key):
        return done
    alert = lock(conn, alert_id)
    conn.execute(
        "INSERT INTO wuzha.safety_flags (alert_id, person_id, flag, words, at, user_id) VALUES (%s, %s, %s, %s, %s, %s)"
        " ON CONFLICT (alert_id, flag) WHERE cleared_at IS NULL DO NOTHING",
        (alert_id, alert["person_id"], code, words.strip()[:500] or None, now, actor.user_id),
    )
    return record(conn, actor, alert, f"flag_{code}", key=key, changes={}, at=now, words=words)


def clear(
    conn: psycopg.Connection[Any],
    actor: Actor,
    alert_id: int,
    *,
    flag_id: int,
    why: str,
    key: str,
    now: datetime | None = None,
) -> Done:
    """Take a flag down, with the reason. Refused: no_words, not_found."""
    require(actor, "desk.act")
    now = now or clock.now()
    if not why.strip():
        raise Refused("no_words")
    if done := repeated(conn, actor, key):
        return done
    alert = lock(conn, alert_id)
    row = conn.execute(
        "UPDATE wuzha.safety_flags SET cleared_at = %(now)s, cleared_by = %(user)s, cleared_why = %(why)s"
        f" WHERE flag_id = %(flag)s AND {_FLAGS_OF} AND cleared_at IS NULL RETURNING flag_id",
        {
            "now": now,
            "user": actor.user_id,
            "why": why.strip()[:500],
            "flag": flag_id,
            "files": family(conn, alert_id),
            "person": alert["person_id"],
        },
    ).fetchone()
    if row is None:
        raise Refused("not_found")
    return record(conn, actor, alert, "flag_cleared", key=key, changes={}, at=now, words=why)
