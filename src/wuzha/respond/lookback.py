"""倒查, looking back: was she warned? Each report against every warning, file and step on that person before the loss.

Kept true here: a report is classed from what stood here before the loss and from nothing later; only steps that were
not taken back count; the class is the furthest that any file of the person's got. The round writes each once, and again
when a row of the report tells something new; a loss after a warning opens the file again, once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
import structlog
from psycopg.rows import dict_row

from wuzha import store
from wuzha.command.public import Actor
from wuzha.live.rounds import giving_way

from . import lookback_match as match
from .followups import after
from .reopen import reopen
from .step import lock, record

#: From no warning at all to met and still deceived.
CLASSES = ("no_warning", "not_signed", "not_reached", "not_met", "met")
#: Outcomes that had already told of the loss: a report of a loss before that close says nothing new.
TOLD = ("deceived",)
_A_ROUND = 50

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Chain:
    """The clocks of one file before the loss; None for what had not happened by then."""

    alert_id: int
    unit_id: int
    warned_at: datetime | None
    alert_at: datetime
    signed_at: datetime | None
    contacted_at: datetime | None
    reached_at: datetime | None
    met_at: datetime | None

    @property
    def klass(self) -> str:
        """How far it got."""
        if self.met_at is not None:
            return "met"
        if self.reached_at is not None:
            return "not_met"
        return "not_reached" if self.signed_at is not None else "not_signed"


def furthest(chains: list[Chain]) -> Chain | None:
    """The file that got furthest; of equals the newest."""
    return max(chains, key=lambda c: (CLASSES.index(c.klass), c.alert_at), default=None)


def chains(conn: psycopg.Connection[Any], alert_ids: list[int], loss_at: datetime) -> list[Chain]:
    """The chain of each file that stood here before ``loss_at``."""
    steps: dict[int, list[tuple[str, str | None, datetime]]] = {}
    for alert_id, kind, code, at in conn.execute(
        "SELECT c.alert_id, c.kind, c.code, c.at FROM wuzha.contacts c WHERE c.alert_id = ANY(%s) AND c.at < %s"
        " AND c.undoes IS NULL AND NOT EXISTS (SELECT 1 FROM wuzha.contacts u WHERE u.undoes = c.contact_id)"
        " ORDER BY c.at, c.contact_id",
        (alert_ids, loss_at),
    ):
        steps.setdefault(alert_id, []).append((kind, code, at))
    made = []
    for alert_id, unit_id, committed_at, warned_at in conn.execute(
        "SELECT a.alert_id, a.unit_id, a.committed_at, (SELECT min(w.ts) FROM wuzha.alert_warnings w"
        " WHERE w.alert_id = a.alert_id AND w.ts < %(loss)s) FROM wuzha.alerts a"
        " WHERE a.alert_id = ANY(%(ids)s) AND a.committed_at < %(loss)s",
        {"ids": alert_ids, "loss": loss_at},
    ):
        first = match.firsts(steps.get(alert_id, []))
        made.append(Chain(alert_id=alert_id, unit_id=unit_id, warned_at=warned_at, alert_at=committed_at, **first))
    return made


def round(conn: psycopg.Connection[Any], actor: Actor, now: datetime) -> int:
    """Look back at reports that are new or tell something new, each in a transaction of its own, so that no two files
    are ever locked at once; one that fails leaves the others standing."""
    with store.transaction(conn, unit=actor.unit_id, user=None, now=now):
        rows = (
            conn.cursor(row_factory=dict_row)
            .execute(
                "SELECT r.* FROM wuzha.reports r WHERE r.fresh AND r.unit_id IN"
                " (SELECT descendant FROM wuzha.unit_closure WHERE ancestor = %s) ORDER BY r.report_id LIMIT %s",
                (actor.unit_id, _A_ROUND),
            )
            .fetchall()
        )
    n = 0
    for report in rows:
        try:
            with (
                giving_way(log, report=report["report_id"]),
                store.transaction(conn, unit=actor.unit_id, user=None, now=now),
            ):
                n += _look(conn, actor, report, now)
        except psycopg.OperationalError:
            raise
        except Exception as error:
            log.error(
                "report not looked back at", report=report["report_id"], error=type(error).__name__, exc_info=error
            )
    return n


def _look(conn: psycopg.Connection[Any], actor: Actor, report: dict[str, Any], now: datetime) -> int:
    window = timedelta(days=after(now).window_days)
    every = match.files(conn, report, since=report["ts"] - window)
    loss_at = match.loss_at(conn, report, every)
    found = chains(conn, every, loss_at)
    best = furthest(found)
    conn.execute(
        "INSERT INTO wuzha.lookbacks (report_id, class, unit_id, alert_id, alert_ids, reported_at, loss_at, loss_fen,"
        " warned_at, alert_at, signed_at, contacted_at, reached_at, met_at, computed_at)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (report_id) DO UPDATE SET"
        " class = EXCLUDED.class, unit_id = EXCLUDED.unit_id, alert_id = EXCLUDED.alert_id,"
        " alert_ids = EXCLUDED.alert_ids, loss_at = EXCLUDED.loss_at, warned_at = EXCLUDED.warned_at,"
        " alert_at = EXCLUDED.alert_at, signed_at = EXCLUDED.signed_at, contacted_at = EXCLUDED.contacted_at,"
        " reached_at = EXCLUDED.reached_at, met_at = EXCLUDED.met_at, computed_at = EXCLUDED.computed_at",
        (
            report["report_id"], best.klass if best else "no_warning", best.unit_id if best else report["unit_id"],
            best.alert_id if best else None, [c.alert_id for c in found], report["reported_at"], loss_at,
            report["loss_fen"], best and best.warned_at, best and best.alert_at, best and best.signed_at,
            best and best.contacted_at, best and best.reached_at, best and best.met_at, now,
        ),
    )  # fmt: skip
    # A row that has told something new since it was read stays fresh.
    conn.execute(
        "UPDATE wuzha.reports SET fresh = false WHERE report_id = %s AND changed_at = %s",
        (report["report_id"], report["changed_at"]),
    )
    if best is not None and report["loss_fen"] != 0:
        _tell(conn, actor, report, [c.alert_id for c in found], loss_at, now)
    return 1


def _tell(
    conn: psycopg.Connection[Any], actor: Actor, report: dict[str, Any], alert_ids: list[int], loss_at: datetime,
    now: datetime,
) -> None:  # fmt: skip
    """Put the loss on the person's newest file: an open one is told, a closed one opened again, one that closed too
    long ago is told too and stays closed. The files of one person stand in one order, so that twins do not lock each
    other out."""
    newest = conn.execute(
        "SELECT alert_id FROM wuzha.alerts WHERE alert_id = ANY(%s) AND merged_into IS NULL"
        " ORDER BY state = 'closed', committed_at DESC, alert_id DESC LIMIT 1",
        (alert_ids,),
    ).fetchone()
    key = f"report-{report['report_id']}"
    if newest is None:
        return
    known = conn.execute("SELECT 1 FROM wuzha.contacts WHERE key = %s", (f"{actor.user_id}:{key}",)).fetchone()
    if known is not None:
        return
    alert = lock(conn, newest[0])
    # Rounds of other roots see the same file: the step is the round's own, whichever root it works for.
    words = report["report"]
    if alert["state"] == "closed":
        if alert["outcome"] in TOLD and loss_at <= alert["closed_at"]:
            return
        if alert["closed_at"] + timedelta(days=after(now).reopen_days) >= now:
            reopen(conn, actor, alert, key=key, at=now, words=words, amount_fen=report["loss_fen"])
            return
    record(
        conn, actor, alert, "loss_reported", key=key, changes={}, at=now, words=words, amount_fen=report["loss_fen"]
    )  # fmt: skip
