"""Which feed or rule caught it before the loss, or where none did, which came nearest, and by how much.

Kept true here: what is told is read from rows that stand, each with its source and its distance from the loss; what
came before the loss is nearer than anything after it; where nothing is known nothing is told.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row

#: The ways in which a loss was caught, or nearly: those before the loss in the order of how little was missing.
#: feed, rule: it was caught. below: a rule fired, the level was too low to call. behind: a rule fired, the alert stood
#: here too late. shadow: a rule on trial fired. suspect: what the report names was a suspect already. reports: earlier
#: reports named it.
BEFORE = ("feed", "rule", "below", "behind", "shadow", "suspect", "reports")
#: And after it: the same, too late.
AFTER = ("late_feed", "late_rule", "late_shadow", "late_suspect")
CAUGHT = ("feed", "rule")
_MOST = 12


@dataclass(frozen=True, kw_only=True)
class Near:
    """One of them. ``seconds`` from the loss, negative before it; None where its time is not known."""

    how: str
    seconds: float | None
    issuer: str | None = None
    rule: str | None = None
    version: int | None = None
    args: dict[str, Any] = field(default_factory=dict)
    typology: str | None = None
    kind: str | None = None
    value: str | None = None
    n: int = 0
    #: For ``behind``: seconds from the loss until the alert stood here.
    behind: float | None = None

    @property
    def before(self) -> bool:
        """Whether it stood before the loss."""
        return self.how in BEFORE


def shadows(conn: psycopg.Connection[Any], subject_ids: list[int], since: datetime, until: datetime) -> list[Any]:
    """Rules on trial that fired on these subjects: rule, version, at (when it would have been known), kind, value."""
    return (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT DISTINCT ON (h.rule, h.subject_id) h.rule, h.version, h.known_at AS at, s.kind, s.value"
            " FROM wuzha.rule_shadows h JOIN wuzha.subjects s USING (subject_id)"
            " WHERE h.subject_id = ANY(%s) AND h.known_at >= %s AND h.known_at < %s"
            " ORDER BY h.rule, h.subject_id, h.known_at LIMIT 100",
            (subject_ids, since, until),
        )
        .fetchall()
    )


def nearest(report: dict[str, Any]) -> list[Near]:
    """All that came near, the nearest first, of a report as `lookback_list.one` reads it."""
    loss: datetime = report["loss_at"]
    return sorted(_all(report, loss), key=_order)[:_MOST]


def _order(near: Near) -> tuple[bool, int, float]:
    if near.before:
        return (False, BEFORE.index(near.how), near.seconds or 0.0)
    return (True, 0, near.seconds or 0.0)


def _all(report: dict[str, Any], loss: datetime) -> Iterable[Near]:
    def off(at: datetime) -> float:
        return (at - loss).total_seconds()

    seen: set[tuple[Any, ...]] = set()
    for w in report["warnings"]:
        how = "feed" if w["before"] else "late_feed"
        if (how, w["issuer"]) not in seen:
            seen.add((how, w["issuer"]))
            yield Near(how=how, seconds=off(w["ts"]), issuer=w["issuer"])
    for e in report["evidence"]:
        stood = e["committed_at"] < loss
        how = "late_rule" if not e["before"] else "behind" if not stood else "below" if e["below"] else "rule"
        if (how, e["rule"]) in seen:
            continue
        seen.add((how, e["rule"]))
        yield Near(
            how=how, seconds=off(e["at"]), rule=e["rule"], version=e["rule_version"], args=e["args"],
            behind=off(e["committed_at"]) if how == "behind" else None,
        )  # fmt: skip
    for h in report["shadows"]:
        how = "shadow" if h["at"] < loss else "late_shadow"
        yield Near(
            how=how, seconds=off(h["at"]), rule=h["rule"], version=h["version"], kind=h["kind"], value=h["value"]
        )
    for s in report["suspects"]:
        one = {"kind": s["kind"], "value": s["value"]}
        if s["first_at"] is not None:
            how = "suspect" if s["before"] else "late_suspect"
            yield Near(how=how, seconds=off(s["first_at"]), typology=s["typology"], **one)
        if s["reports_before"] and ("reports", s["value"]) not in seen:
            seen.add(("reports", s["value"]))
            yield Near(how="reports", seconds=None, n=s["reports_before"], **one)
