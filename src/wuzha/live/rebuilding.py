"""Windows of features that were declared while the log went on, read again from history beside the live state.

An engine of its own reads what is sealed and the log beyond it up to the place of the declaration, by the books that
held there, with the new windows kept from the beginning. What the live state lacks of them goes into a file of the
folder ``grafts``; then a change `rebuilt` waits for the worker, which puts it into its state at a place in the log that
is recorded (`detect.grafting`).

Kept true here: the file is whole and durable before the change is there; it stays as long as a snapshot from before
that place does, and where it is lost it is made again. What has gone from history (rows past their end, names and
identity numbers) is in no rebuilt window.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import structlog

from wuzha import detect
from wuzha.detect.grafting import Graft, missing
from wuzha.events import clock

from . import declared, history, rulebooks, snapshots
from .aside import Aside
from .past import Past
from .settings import Settings

log = structlog.get_logger(__name__)

#: After a try that failed.
_REST_S = 60.0


def folder(settings: Settings) -> Path:
    """Where the files stand until no snapshot needs them."""
    return settings.home / "grafts"


def make(
    conn: psycopg.Connection[Any], settings: Settings, pending: declared.Pending, step: Callable[[float], None]
) -> Graft:
    """Read the past up to the change's place. ``step`` is told the share that is read, and may raise to end it."""
    assert pending.position is not None
    books = rulebooks.Books(conn)
    ever = books.windows(pending.position).ever

    def book(position: int) -> detect.RuleBook:
        return replace(books.at(position), kept=ever)

    engine, turns = detect.Engine(book(0)), books.next(0)
    past = Past(settings.history, conn)
    total, read = max(past.rows(until=pending.position), 1), 0
    for block in past.blocks(until=pending.position, without=Aside(settings.home).positions):
        places, begin = block.ref >> history.ROW_BITS, 0
        while turns is not None and (end := int(np.searchsorted(places, turns, "right"))) < len(block):
            engine.feed(block.slice(begin, end))
            engine = rulebooks.under(engine, book(turns))
            turns, begin = books.next(turns), end
        engine.feed(block.slice(begin, len(block)))
        read += len(block)
        step(min(read / total, 0.99))
    return missing(engine, pending.before, pending.after)


def part_of(conn: psycopg.Connection[Any], settings: Settings, change: rulebooks.Change) -> Graft:
    """The windows of a `rebuilt` change; read again from the past where its file is lost."""
    assert change.rebuilds is not None
    path = snapshots.path_of(folder(settings), change.rebuilds)
    try:
        return Graft.of(snapshots.read(path).arrays)
    except (snapshots.BadSnapshot, KeyError, ValueError) as error:
        log.warning("rebuilt windows are made again", change=change.rebuilds, why=str(error))
    books = rulebooks.Books(conn)
    pending = books.pending_of(change.rebuilds)
    part = make(conn, settings, pending, lambda share: None)
    _keep(settings, change.rebuilds, part)
    return part


def _keep(settings: Settings, change_id: int, part: Graft) -> None:
    snapshots.write(
        folder(settings), snapshots.Snapshot(position=change_id, arrays=part.arrays()), keep=None
    )  # fmt: skip


class _Over(Exception):
    """Nobody waits for it any more."""


class Rebuilder:
    """Does what is pending, one change after the other."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._not_before = 0.0

    def work(self, conn: psycopg.Connection[Any]) -> bool:
        """Rebuild what waits for it; whether anything did."""
        pending = rulebooks.Books(conn).pending()
        if pending is None or self._waits(conn, pending.change_id):
            self._prune(conn)
            return False
        if time.monotonic() < self._not_before:
            return False
        conn.execute(
            "INSERT INTO wuzha.feature_rebuilds (change_id, began_at) VALUES (%s, %s)"
            " ON CONFLICT (change_id) DO UPDATE SET share = 0, began_at = EXCLUDED.began_at",
            [pending.change_id, clock.now()],
        )
        log.info("rebuilding", change=pending.change_id, position=pending.position)
        told = 0.0

        def step(share: float) -> None:
            nonlocal told
            if share - told < 0.02:
                return
            told = share
            still = rulebooks.Books(conn).pending()
            if still is None or still.change_id != pending.change_id:
                raise _Over
            conn.execute(
                "UPDATE wuzha.feature_rebuilds SET share = %s WHERE change_id = %s", [share, pending.change_id]
            )

        try:
            part = make(conn, self._settings, pending, step)
            _keep(self._settings, pending.change_id, part)
        except _Over:
            conn.execute("DELETE FROM wuzha.feature_rebuilds WHERE change_id = %s", [pending.change_id])
            return True
        except (psycopg.Error, MemoryError):
            raise
        except Exception as error:
            self._not_before = time.monotonic() + _REST_S
            log.exception("not rebuilt", change=pending.change_id, error=repr(error)[:300])
            conn.execute(
                "UPDATE wuzha.feature_rebuilds SET why = %s WHERE change_id = %s",
                [f"{type(error).__name__}: {error}"[:500], pending.change_id],
            )
            return False
        with conn.transaction():
            now = clock.now()
            conn.execute(
                "UPDATE wuzha.feature_rebuilds SET share = 1, why = NULL, ended_at = %s WHERE change_id = %s",
                [now, pending.change_id],
            )
            conn.execute(
                "INSERT INTO wuzha.rule_changes (kind, rebuilds, at) VALUES ('rebuilt', %s, %s)",
                [pending.change_id, now],
            )
        log.info("rebuilt", change=pending.change_id, cells=len(part.cells))
        return True

    @staticmethod
    def _waits(conn: psycopg.Connection[Any], change_id: int) -> bool:
        row = conn.execute("SELECT 1 FROM wuzha.rule_changes WHERE rebuilds = %s", [change_id]).fetchone()
        return row is not None

    def _prune(self, conn: psycopg.Connection[Any]) -> None:
        """Remove files that every snapshot holds already."""
        kept = snapshots.listing(self._settings.snapshots)
        files = snapshots.listing(folder(self._settings))
        if not kept or not files:
            return
        oldest = int(kept[-1].stem)
        over = {
            row[0]
            for row in conn.execute(
                "SELECT rebuilds FROM wuzha.rule_changes WHERE kind = 'rebuilt' AND position < %s", [oldest]
            )
        }
        for path in files:
            if int(path.stem) in over:
                path.unlink(missing_ok=True)
