"""Fitting the curves of survival to what banks have answered, by command and by itself each night.

Kept true here: a kind of account of which fewer than `LEAST` stays were seen keeps its shipped curve and says so (n 0);
the same answers give the same file; the file takes the place of the old one whole.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import structlog

from wuzha.command.public import Actor
from wuzha.events import clock
from wuzha.events.datafile import DataFileError
from wuzha.store import transaction
from wuzha.store.settings import Settings

from . import flow, survival
from .survival import Curve, Stay

log = structlog.get_logger(__name__)

#: Fewer stays of a kind than this say less than the published cases do.
LEAST = 50
#: Cases that are looked at: the newest so many, opened within so long. Habits of launderers change.
CASES, LATELY = 2000, timedelta(days=365)
#: The night's hour from which the day's fit is made.
HOUR = 4


def stays(conn: psycopg.Connection[Any], unit_id: int, now: datetime) -> list[Stay]:
    """What the answers of the cases in a unit's scope say; each case in a transaction of its own."""
    with transaction(conn, unit=unit_id, user=None, now=now):
        ids = conn.execute(
            "SELECT DISTINCT k.case_id FROM wuzha.cases k JOIN wuzha.case_accounts a USING (case_id)"
            " WHERE a.known_until IS NOT NULL AND k.opened_at > %s ORDER BY 1 DESC LIMIT %s",
            (now - LATELY, CASES),
        ).fetchall()
    found = []
    for (case_id,) in reversed(ids):
        with transaction(conn, unit=unit_id, user=None, now=now):
            found += survival.stays(flow.follow(flow.read(conn, case_id), until=now))
    return found


def fitted(seen: Iterable[Stay]) -> dict[str, Curve]:
    """A curve for every kind: fitted where enough was seen, else the shipped one. ``unknown`` learns from all kinds."""
    every = list(seen)
    table = {}
    for kind, shipped in survival.shipped().items():
        mine = every if kind == "unknown" else [s for s in every if s.kind == kind]
        table[kind] = survival.fit(mine, shipped) if len(mine) >= LEAST else shipped
    return table


def write(table: dict[str, Curve], now: datetime) -> Path:
    """Put the curves in use. OSError where the folder cannot be written."""
    path = Settings().home / survival.FILE
    part = path.with_name(f".{path.name}.part")
    part.write_text(survival.written(table, now), "utf-8")
    part.replace(path)
    return path


def daily(conn: psycopg.Connection[Any], actor: Actor, now: datetime) -> int:
    """The day's fit, where it is due; returns how many kinds were fitted."""
    local = now.astimezone(clock.zone())
    if local.hour < HOUR:
        return 0
    try:
        last = survival.fitted_at()
    except (DataFileError, OSError) as error:
        log.error("the fitted curves cannot be read", error=str(error))
        return 0
    if last is not None and last.astimezone(clock.zone()).date() >= local.date():
        return 0
    if last is None and not _answered(conn, actor, now):
        return 0
    table = fitted(stays(conn, actor.unit_id, now))
    try:
        write(table, now)
    except OSError as error:  # a full disk; it is tried again with the next round
        log.error("the fitted curves cannot be written", error=str(error))
        return 0
    log.info("curves of survival fitted", **{kind: c.n for kind, c in table.items()})
    return sum(c.n > 0 for c in table.values())


def _answered(conn: psycopg.Connection[Any], actor: Actor, now: datetime) -> bool:
    """Whether there is anything to fit to, so that a deployment without answers writes no file."""
    with transaction(conn, unit=actor.unit_id, user=None, now=now):
        row = conn.execute("SELECT EXISTS (SELECT 1 FROM wuzha.case_accounts WHERE known_until IS NOT NULL)").fetchone()
    return bool(row and row[0])
