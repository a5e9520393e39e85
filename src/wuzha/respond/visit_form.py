"""An officer's record of a visit as it crosses, and the one outcome of several of them.

Kept true here: a form is read whole or refused with a reason that names what is wrong; what several officers say of one
visit comes to one outcome whatever the order in which it arrives, and nothing of it is dropped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from wuzha.store import exchange

from .codes import codes
from .door_book import book
from .phrases import MINDS
from .safety import KIN_REASONS

#: Results of a visit, the strongest first: somebody who met the person outweighs another who found nobody.
RESULTS = ("met", "told_other", "not_here", "no_such_person")
#: The notice: signed, refused with a reason, or not given because nobody was met.
NOTICES = ("signed", "refused", "none")
_ID = re.compile(r"[0-9a-f-]{16,40}\Z")
WORDS = 500

if set(RESULTS) != set(codes()["channel"]["visit"].results) - {"dispatched"}:
    raise ValueError("codes.toml: the results of a visit are not those that a door page records")


class BadForm(exchange.Unfit):
    """A form cannot be taken; ``reason`` is a code (``door.bad_…`` in the catalogue), ``what`` the field."""

    def __init__(self, reason: str, what: str = "") -> None:
        super().__init__(f"{reason} {what}".strip())
        self.reason = reason


def item_id(value: Any) -> str:
    """A name that a phone has made. BadForm."""
    if not isinstance(value, str) or not _ID.match(value):
        raise BadForm("form", "id")
    return value


def time(value: Any) -> datetime:
    """An ISO time with its zone. BadForm."""
    try:
        at = datetime.fromisoformat(value.replace("Z", "+00:00"))
    except (AttributeError, ValueError, TypeError) as error:
        raise BadForm("form", "time") from error
    if at.tzinfo is None:
        raise BadForm("form", "time")
    return at


def _text(row: Mapping[str, Any], name: str, limit: int = WORDS) -> str:
    value = row.get(name) or ""
    if not isinstance(value, str):
        raise BadForm("form", name)
    return value.replace("\x00", "").strip()[:limit]


def _number(value: Any, low: float, high: float) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise BadForm("form", "place")
    return round(float(value), 6)


def _part(raw: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = raw.get(name) or {}
    if not isinstance(value, Mapping):
        raise BadForm("form", name)
    return value


def read(raw: Mapping[str, Any]) -> dict[str, Any]:
    """A record as it is kept: ``result, revision, checks, notice, signature, pictures, place, kin, mind, words``.

    BadForm: form (not ours), result, notice (met, and neither signed nor refused with a reason), kin (told, and not
    said why or what).
    """
    result, revision = raw.get("result"), raw.get("revision")
    if result not in RESULTS:
        raise BadForm("result")
    if isinstance(revision, bool) or not isinstance(revision, int) or not 0 < revision < 10_000:
        raise BadForm("form", "revision")
    checks, listed = {}, raw.get("checks") or []
    if not isinstance(listed, list):
        raise BadForm("form", "checks")
    for tick in listed[:50]:
        if not isinstance(tick, Mapping) or tick.get("code") not in book().checks:
            raise BadForm("form", "checks")
        checks[str(tick["code"])] = time(tick.get("at")).isoformat()
    given = _part(raw, "notice")
    state = given.get("state") or "none"
    notice = {"state": state, "reason": _text(given, "reason", 200)}
    signature = raw.get("signature")
    if state not in NOTICES:
        raise BadForm("form", "notice")
    if state == "signed" and not signature:
        raise BadForm("notice")
    if (state == "refused" and not notice["reason"]) or (result == "met" and state == "none"):
        raise BadForm("notice")
    if state != "none":
        notice["at"] = time(given.get("at")).isoformat()
    pictures = raw.get("pictures") or []
    if not isinstance(pictures, list) or len(pictures) > book().pictures:
        raise BadForm("pictures")
    where = _part(raw, "place")
    place = {
        "text": _text(where, "text", 200), "lat": _number(where.get("lat"), -90, 90),
        "lon": _number(where.get("lon"), -180, 180), "accuracy": _number(where.get("accuracy"), 0, 1e7),
    }  # fmt: skip
    people = _part(raw, "kin")
    kin = {
        "present": bool(people.get("present")), "told": bool(people.get("told")),
        "reason": _text(people, "reason", 40), "what": _text(people, "what"),
    }  # fmt: skip
    if kin["told"] and (kin["reason"] not in KIN_REASONS or not kin["what"]):
        raise BadForm("kin")
    mind = raw.get("mind") or None
    if mind is not None and mind not in MINDS:
        raise BadForm("form", "mind")
    return {
        "result": result, "revision": revision, "checks": checks, "notice": notice,
        "signature": item_id(signature) if signature else None, "pictures": [item_id(p) for p in pictures],
        "place": place, "kin": kin, "mind": mind, "words": _text(raw, "words"),
    }  # fmt: skip


def standing(records: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Each officer's record that counts, the strongest first: their latest correction.

    ``records`` have ``record_id, officer`` (anything that tells officers apart), ``revision, made_at, result``.
    """
    latest: dict[Any, Mapping[str, Any]] = {}
    for row in records:
        known = latest.get(row["officer"])
        if known is None or _order(row) > _order(known):
            latest[row["officer"]] = row
    return sorted(latest.values(), key=lambda row: (RESULTS.index(row["result"]), row["made_at"], row["record_id"]))


def _order(row: Mapping[str, Any]) -> tuple[int, datetime, str]:
    return row["revision"], row["made_at"], row["record_id"]
