"""Group text: one press warns everybody of a wave who has not been spoken to, by a file for the message platform.

Kept true here: no text carries a link; full numbers leave in the file only, for a purpose and into the audit; each
person's own file tells that they were texted, once a press; nobody who was reached or whose file is closed is texted.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from importlib.resources import files
from typing import Any

import psycopg

from wuzha.command.public import Actor, Refused, require
from wuzha.events import clock, subjects
from wuzha.events.scam_types import nearest, scam_types
from wuzha.store import audit

from . import robot
from .codes import codes
from .links import link_in
from .step import lock, record, repeated

HEADINGS = ("编号", "对象", "号码", "短信")


def read(text: str, name: str = "group_texts.toml") -> dict[str, dict[str, str]]:
    """The texts by scam type and language. ValueError names the entry that is wrong."""
    found = tomllib.loads(text)
    if "general" not in found:
        raise ValueError(f"{name}: there is no [general]")
    for code, texts in found.items():
        if code != "general" and code not in scam_types():
            raise ValueError(f"{name}: [{code}] is no scam type")
        for language in ("zh", "en"):
            if not texts.get(language, "").strip():
                raise ValueError(f"{name}: [{code}] lacks {language}")
            if link := link_in(texts[language]):
                raise ValueError(f"{name}: [{code}] carries a link: {link}")
    return found


@lru_cache(maxsize=1)
def texts() -> dict[str, dict[str, str]]:
    """The shipped texts."""
    return read((files(__package__) / "group_texts.toml").read_text("utf-8"))


#: Does what is to be done for one person, whose alert is locked: alert, the text for them, the step's key.
Each = Callable[[dict[str, Any], str, str], None]


def recipients(
    conn: psycopg.Connection[Any], actor: Actor, wave_id: int, do: Each, *, purpose: str, key: str, language: str,
    now: datetime,
) -> list[tuple[int, str | None, str, str]]:  # fmt: skip
    """Everybody of the wave in sight whom nobody has reached, once each: ``(alert, name, line, text)``, ``do`` done.
    Refused: forbidden, not_found, no_purpose, nobody_to_text."""
    require(actor, "desk.act")
    require(actor, "reveal")
    if purpose not in codes()["purpose"]:
        raise Refused("no_purpose")
    if not 8 <= len(key) <= 60:  # each person's step has its own key made of it
        raise Refused("no_key")
    if conn.execute("SELECT 1 FROM wuzha.waves WHERE wave_id = %s", (wave_id,)).fetchone() is None:
        raise Refused("not_found")
    rows = conn.execute(
        "SELECT a.alert_id, p.name, l.value, a.scam_type FROM wuzha.wave_alerts x JOIN wuzha.alerts a USING (alert_id)"
        " JOIN wuzha.subjects l ON l.subject_id = a.line_id LEFT JOIN wuzha.persons p ON p.person_id = a.person_id"
        " WHERE x.wave_id = %s AND a.state <> 'closed' AND a.reached_at IS NULL AND a.merged_into IS NULL"
        " AND l.value NOT LIKE 'alpha:%%' ORDER BY a.level_rank DESC, a.alert_id",
        (wave_id,),
    ).fetchall()
    said = texts()
    told = {r[0]: (r[0], r[1], r[2], said[nearest(r[3], said) or "general"][language]) for r in rows}
    gone = set()
    for alert_id in sorted(told):  # locks are taken in one order by all
        step_key = f"{key}-{alert_id}"
        if repeated(conn, actor, step_key) is None:
            alert = lock(conn, alert_id)
            if alert["state"] == "closed" or alert["reached_at"] is not None:  # while we waited for the lock
                gone.add(alert_id)
                continue
            do(alert, told[alert_id][3], step_key)
    found = [told[r[0]] for r in rows if r[0] not in gone]
    if not found:
        raise Refused("nobody_to_text")
    audit.append(
        conn, at=now, actor=actor.login, user_id=actor.user_id, unit_id=actor.unit_id, action="wave.texted",
        object=f"wave:{wave_id}", detail={"purpose": purpose, "n": len(found)},
    )  # fmt: skip
    return found


def send(
    conn: psycopg.Connection[Any],
    actor: Actor,
    wave_id: int,
    *,
    purpose: str,
    key: str,
    language: str = "zh",
    now: datetime | None = None,
) -> bytes:
    """The file for the message platform of all `recipients`; the same press again gives the same people."""
    at = now or clock.now()

    def note(alert: dict[str, Any], _text: str, step_key: str) -> None:
        first = {} if alert["contacted_at"] is not None else {"contacted_at": at}
        record(conn, actor, alert, "sms", key=step_key, changes=first, at=at, code="sent", to_id=alert["line_id"])

    found = recipients(conn, actor, wave_id, note, purpose=purpose, key=key, language=language, now=at)
    lines = [
        (str(alert), subjects.mask_name(name) if name else "", robot.dialled(line), text)
        for alert, name, line, text in found
    ]
    return robot.as_xlsx(HEADINGS, lines)
