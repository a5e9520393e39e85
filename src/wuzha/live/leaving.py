"""What leaves a holder: a warning with its reasons for an alert and for each rise of its level. Nothing else does.

Kept true here: a warning carries no row of the holder's events, only sentences, the person's identifiers and those of
the suspects; its number follows from person, episode and level, so that one that is made again is the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.types.json import Jsonb

from wuzha import detect
from wuzha.events import LEVELS, clock
from wuzha.events.hashing import text_hash
from wuzha.events.subjects import split_key

from .forward import KIND

if TYPE_CHECKING:
    from .results import Written

#: Sentences that a warning carries, the heaviest first.
_REASONS = 6


def enqueue(conn: psycopg.Connection[Any], alerts: Sequence[Written], recipient: str) -> None:
    """Put a warning into the outbox for each of ``alerts`` that is new or has risen, in the caller's transaction."""
    for a in alerts:
        if a.before is None or a.rank > a.before:
            conn.execute(
                "INSERT INTO wuzha.outbox (recipient, kind, key, body, created_at) VALUES (%s, %s, %s, %s, %s)"
                " ON CONFLICT (recipient, kind, key) DO NOTHING",
                [recipient, KIND, number(a.person, a.change.episode, a.rank), Jsonb(body(conn, a)), clock.now()],
            )


def number(person: str, episode: int, rank: int) -> str:
    """The warning's own number: the same for the same person, episode and level, and no identifier in it."""
    return f"{text_hash(f'{person}|{episode}'):016X}-{rank}"


def body(conn: psycopg.Connection[Any], a: Written) -> dict[str, Any]:
    """The warning as a row of table ``warnings``, nulls left out."""
    change = a.change
    own = number(a.person, change.episode, a.rank)
    vault = conn.execute("SELECT name, id_no FROM wuzha.persons WHERE person_id = %s", [a.person_id]).fetchone()
    row: dict[str, Any] = {
        "event_id": own,
        "source_no": own,
        "ts": change.last_evidence_at.isoformat(),
        "level_upstream": LEVELS[3 - a.rank],
        "scam_type": change.scam_type,
        "stage": change.stage,
        "reasons": _reasons(conn, a.alert_id),
        "victim_line": change.line,
        "victim_account": change.account,
        "victim_device": change.device,
        "victim_name": vault[0] if vault else None,
        "victim_id": vault[1] if vault else None,
        "place": change.place,
        "amount_fen": change.amount_fen,
        **_suspects(conn, a.alert_id),
    }
    return {k: v for k, v in row.items() if v is not None}


def _reasons(conn: psycopg.Connection[Any], alert_id: int) -> list[str]:
    said = conn.execute(
        "SELECT rule, rule_version, args FROM wuzha.evidence WHERE alert_id = %s AND withdrawn_at IS NULL"
        " ORDER BY weight DESC, at DESC, rule LIMIT %s",
        [alert_id, _REASONS * 3],
    ).fetchall()
    sentences = dict.fromkeys(detect.reason(rule, version, args, language="zh") for rule, version, args in said)
    return list(sentences)[:_REASONS]


#: Where a cited event names the other side, and the warning's column for a suspect of that kind.
_OTHERS = {
    "calls": (("caller", "line"), ("callee", "line")),
    "messages": (("sender", "line"),),
    "visits": (("host", "domain"),),
    "transfers": (("payee", "account"), ("payer", "account")),
    "app_events": (("package", "app"),),
}
_COLUMN = {"line": "suspect_line", "domain": "suspect_url", "account": "suspect_account", "app": "suspect_app"}


def _suspects(conn: psycopg.Connection[Any], alert_id: int) -> dict[str, str]:
    """The latest suspect of each kind that stands in the alert's cited events."""
    named: dict[str, str] = {}
    for table, event in conn.execute(
        "SELECT x.table_name, x.event FROM wuzha.evidence e JOIN wuzha.evidence_events x USING (evidence_id)"
        " WHERE e.alert_id = %s ORDER BY x.ts DESC, x.event_id LIMIT 200",
        [alert_id],
    ):
        for column, kind in _OTHERS.get(table, ()):
            if event.get(column):
                named.setdefault(f"{kind}:{event[column]}", kind)
    if not named:
        return {}
    keys = [split_key(k) for k in named]
    known = conn.execute(
        "SELECT s.kind, s.value FROM wuzha.subjects s JOIN unnest(%s::text[], %s::text[]) AS w(kind, value)"
        " USING (kind, value) WHERE EXISTS (SELECT 1 FROM wuzha.suspects x WHERE x.subject_id = s.subject_id)",
        [[k for k, _ in keys], [v for _, v in keys]],
    ).fetchall()
    suspects = set(known)
    out: dict[str, str] = {}
    for kind, value in keys:
        if (kind, value) in suspects:
            out.setdefault(_COLUMN[kind], value)
    return out
