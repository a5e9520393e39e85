"""A visit order as a phone shows it: codes turned into words, in the officer's language.

Kept true here: of an order that nobody has opened on this phone no name, number or address leaves in full.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from wuzha.respond.safety import shipped

from . import catalogue, masks, words
from .render import LEVEL_MARKS


def _code(kind: str, value: Any, language: str) -> str:
    key = f"{kind}.{value}"
    return catalogue.translate(key, language) if value and catalogue.known(key) else str(value or "")


def refusal(why: str, language: str) -> str:
    """Why a record had no effect: our own reason in words, anything else as it stands."""
    return catalogue.translate(f"refused.{why}", language) if catalogue.known(f"refused.{why}") else why


def _plain(line: str | None) -> str:
    return masks.Sight(open=True).line(line)


def _both(row: dict[str, Any], language: str, now: datetime) -> dict[str, Any]:
    b = row["body"]
    records = [
        {
            "officer": r["officer"], "result": _code("result", r["result"], language),
            "at": words.moment(r["made_at"], now), "mine": r["mine"], "revision": r["revision"],
        }
        for r in row["records"]
    ]  # fmt: skip
    return {
        "ref": row["order_ref"], "version": row["version"], "level": b["level"],
        "mark": LEVEL_MARKS.get(b["level"], ""), "level_word": _code("level", b["level"], language),
        "what": f"{_code('type', b['type'], language)} · {_code('stage', b['stage'], language)}",
        "sent": words.moment(row["sent_at"], now), "meet_by": row["meet_by"].isoformat(),
        "meet_by_word": words.moment(row["meet_by"], now),
        "ended": _code("door.ended", row["ended_as"], language) if row["ended_at"] else "",
        "records": records, "outcome": records[0]["result"] if records else "",
        "refused": [
            catalogue.translate("door.refused_there", language).format(
                at=words.moment(r["made_at"], now), why=refusal(r["why"], language)
            )
            for r in row["refused"]
        ],
        "differs": len({r["result"] for r in row["records"]}) > 1,
    }  # fmt: skip


def masked(row: dict[str, Any], language: str, now: datetime) -> dict[str, Any]:
    """What the list shows of an order before it is opened."""
    person = row["body"]["person"]
    return {**_both(row, language, now), "name": masks.MASKED.name(person.get("name")), "open": False}


def full(row: dict[str, Any], language: str, now: datetime) -> dict[str, Any]:
    """The whole order."""
    b = row["body"]
    person, kin = b["person"], b["kin"]
    flags = [f for f in b["flags"] if f in shipped().flags]
    return {
        **_both(row, language, now), "open": True,
        "name": person.get("name") or catalogue.translate("person.unknown", language),
        "who": " · ".join(x for x in (_code("gender", person.get("gender"), language), person.get("age")) if x),
        "line": _plain(person.get("line")), "tel": _tel(person.get("line")),
        "number": b["number"], "places": b["places"], "route": b.get("route") or "", "unit": b["unit"],
        "sender": b["sender"], "amount": words.yuan(b["amount_fen"], language) if b.get("amount_fen") else "",
        "reason": b["reason"].get(language, ""), "first": b["first"].get(language, ""),
        "flags": [
            {"name": _code("flag", f, language), "handling": _code("handling", f, language)} for f in flags
        ],
        "kin": {
            "forbidden": bool(kin["forbidden"]),
            "reasons": [{"code": r, "word": _code("kin_reason", r, language)} for r in kin["reasons"]],
            "people": [
                {
                    "role": _code("role", k["role"], language), "name": k["name"] or "", "line": _plain(k["line"]),
                    "tel": _tel(k["line"]),
                }
                for k in kin["people"]
            ],
        },
        "talk": b["talk"].get(language) or {},
    }  # fmt: skip


def _tel(line: str | None) -> str:
    """What a phone can dial; empty where the line is no number."""
    return line if line and line.startswith("+") and line[1:].isdigit() else ""
