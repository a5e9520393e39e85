"""Visit orders as the phones get them: what an officer at the door must know, in three lines, and no more.

Kept true here: every order that stands is told to the phones' zones, anew where its file has changed, and so is its
end; kin are named only where they may be told; nobody's order leaves without an audit row on the file.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row

from wuzha.command.public import Actor
from wuzha.events import clock
from wuzha.store import exchange

from . import file, locate, merged, phrase_book
from .door_book import book
from .file_number import file_number
from .mind import mind_of
from .phones import zones
from .phrases import LANGUAGES, phrases
from .step import audit_step

#: Orders told in one round.
_ROUND = 20


def tell(conn: psycopg.Connection[Any], actor: Actor, now: datetime) -> int:
    """Round: queue orders that are new or whose file has changed, and the end of those that are over."""
    _, peers = zones()
    if not peers:
        return 0
    rows = (
        conn.cursor(row_factory=dict_row)
        .execute(
            # Two walks of two small indexes; a closed file that was opened again makes its ended order stand again.
            "WITH due AS (SELECT dispatch_id FROM wuzha.dispatches d JOIN wuzha.alerts a USING (alert_id)"
            "   WHERE d.end_told_at IS NULL AND (d.told_at IS NOT NULL OR d.state IN ('sent', 'going'))"
            "   AND (d.told_mark IS NULL OR d.state NOT IN ('sent', 'going') OR a.merged_into IS NOT NULL"
            f"    OR d.told_mark <> {_MARK})"
            "  UNION SELECT dispatch_id FROM wuzha.dispatches d JOIN wuzha.alerts a USING (alert_id)"
            "   WHERE d.end_told_at IS NOT NULL AND d.state IN ('sent', 'going') AND a.state <> 'closed')"
            " SELECT d.* FROM due JOIN wuzha.dispatches d USING (dispatch_id) JOIN wuzha.alerts a USING (alert_id)"
            " WHERE a.unit_id IN (SELECT descendant FROM wuzha.unit_closure WHERE ancestor = %s)"
            " ORDER BY d.meet_by, d.dispatch_id LIMIT %s",
            (actor.unit_id, _ROUND),
        )
        .fetchall()
    )
    return sum(_tell_one(conn, actor, row, peers, now) for row in rows)


#: Changes whenever anything may have changed that stands in an order.
_MARK = "a.version || ' ' || a.last_evidence_at || ' ' || a.level"


def _tell_one(
    conn: psycopg.Connection[Any], actor: Actor, order: dict[str, Any], peers: list[str], now: datetime
) -> int:  # fmt: skip
    alert_id = merged.living(conn, order["alert_id"])
    row = conn.execute(
        f"SELECT {_MARK}, a.state, a.unit_id FROM wuzha.alerts a WHERE a.alert_id = %s", (alert_id,)
    ).fetchone()
    if row is None:
        return 0
    mark, state = f"{alert_id} {row[0]}" if alert_id != order["alert_id"] else str(row[0]), row[1]
    ref = str(order["dispatch_id"])
    if order["state"] not in ("sent", "going") or state == "closed":
        how = order["state"] if order["state"] in ("done", "recalled") else "closed"
        if order["told_at"] is not None:
            for peer in peers:
                body = {"ref": ref, "at": now.isoformat(), "as": how}
                key = f"{ref}.{order['told_n']}"
                exchange.queue(conn, peer, kind="door_order_end", key=key, body=body, now=now)
        conn.execute("UPDATE wuzha.dispatches SET end_told_at = %s WHERE dispatch_id = %s", (now, order["dispatch_id"]))
        return 1
    again = order["end_told_at"] is not None
    if mark == order["told_mark"] and not again:
        return 0
    told = compose(conn, actor, order, alert_id, now)
    digest = hashlib.sha256(json.dumps(told, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
    number = order["told_n"] + (again or digest != order["told_digest"])
    if number != order["told_n"]:
        for peer in peers:
            body = {**told, "version": number}
            exchange.queue(conn, peer, kind="door_order", key=f"{ref}.{number}", body=body, now=now)
        detail = {"dispatch": order["dispatch_id"], "order": number}
        audit_step(
            conn, actor, {"alert_id": alert_id, "unit_id": order["unit_id"]}, "order_told", at=now, detail=detail
        )
    conn.execute(
        "UPDATE wuzha.dispatches SET told_at = coalesce(told_at, %s), told_mark = %s, told_digest = %s, told_n = %s,"
        " end_told_at = NULL WHERE dispatch_id = %s",
        (now, mark, digest, number, order["dispatch_id"]),
    )
    return 1


def compose(
    conn: psycopg.Connection[Any], actor: Actor, order: dict[str, Any], alert_id: int, now: datetime
) -> dict[str, Any]:
    """The order of a row of `dispatches` as it crosses; codes, not words, but for what is said and why."""
    found = file.read(conn, actor, alert_id, now=now)
    alert, rule = found.alert, found.kin_rule
    judged = locate.standing(conn, alert_id)
    unit = conn.execute("SELECT name FROM wuzha.units WHERE unit_id = %s", (order["unit_id"],)).fetchone()
    sender = conn.execute("SELECT name FROM wuzha.users WHERE user_id = %s", (order["sent_by"],)).fetchone()
    own, number = phrase_book.own_texts(conn), file_number(alert_id)
    # Where they were found to be now, then where they are registered.
    places = [judged["place"] if judged else None, *(r["value"] for r in found.lines if r["kind"] == "address"),
              alert["place"]]  # fmt: skip
    talk = {
        language: phrases(
            alert["scam_type"], alert["stage"], mind_of(alert, found.contacts), language,
            unit=unit[0] if unit else "", number=number, discreet=bool(rule.forbidden), own=own,
        )
        for language in LANGUAGES
    }  # fmt: skip
    return {
        "ref": str(order["dispatch_id"]), "unit_ref": str(order["unit_id"]), "unit": unit[0] if unit else "",
        "sender": sender[0] if sender else "", "sent_at": order["sent_at"].isoformat(),
        "meet_by": order["meet_by"].isoformat(), "number": number, "level": alert["level"],
        "person": {
            "name": alert["name"], "gender": alert["gender"], "age": _age_band(alert["born"], now),
            "line": alert["line"],
        },
        "places": list(dict.fromkeys(p for p in places if p)), "route": order["words"],
        "type": alert["scam_type"], "stage": alert["stage"], "amount_fen": alert["amount_fen"],
        "reason": {language: _reason(conn, found, language) for language in LANGUAGES},
        "flags": [f["flag"] for f in found.flags],
        "kin": {
            "forbidden": rule.forbidden, "reasons": list(rule.reasons),
            "people": [] if rule.forbidden else [
                {"role": k["role"], "name": k["name"], "line": k["line"]} for k in found.kin[:6]
            ],
        },
        "first": book().first[alert["stage"]],
        "talk": {
            language: {
                "approach": words.approach, "opening": words.opening, "questions": list(words.questions),
                "next_line": words.next_line, "answer": words.answer, "turn": words.turn, "ending": words.ending,
            }
            for language, words in talk.items()
        },
    }  # fmt: skip


def _age_band(born: Any, now: datetime) -> str:
    if born is None:
        return ""
    today = now.astimezone(clock.zone()).date()
    years = today.year - born.year - ((today.month, today.day) < (born.month, born.day))
    return f"{years // 5 * 5}–{years // 5 * 5 + 4}"


def _reason(conn: psycopg.Connection[Any], found: file.File, language: str) -> str:
    """The strongest reason in one sentence; of a file without evidence the first reason of a warning."""
    alert = found.alert
    if alert["rule"] is not None:
        from wuzha import detect  # most of a second, which only an order costs
        from wuzha.live import rulebooks

        rulebooks.learn_of(conn, [(alert["rule"], alert["rule_version"])])
        return detect.reason(alert["rule"], alert["rule_version"] or 0, dict(alert["args"] or {}), language)
    return next((str(r) for w in found.warnings for r in w["reasons"] or ()), "")
