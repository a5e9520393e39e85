"""Trials of rules, beside the live stream and never in it: shadows that follow the log, backtests that are asked for;
and features that are rebuilt.

In a process of its own (`wuzha.live.trying`) with an engine of its own, because a rule that only looks would else
share the live one's places for evidence and cool-downs. It starts from the worker's newest snapshot and runs at the
lowest priority: where the machine is busy it falls behind, and says how far.

Kept true here: nothing of this writes what the worker writes; a subject stands in what is kept by its number alone; a
trial that fails says why and stops nothing.
"""

from __future__ import annotations

import threading
from datetime import datetime
from typing import Any

import psycopg
import structlog
from psycopg.types.json import Jsonb

from wuzha import detect
from wuzha.detect import drafts
from wuzha.detect.backtest import backtest
from wuzha.detect.firings import Firing, fired
from wuzha.events import clock
from wuzha.events.datafile import DataFileError
from wuzha.events.subjects import split_key
from wuzha.store import log as store_log

from . import rulebooks, snapshots
from .cited import read_words
from .late import Watermarks
from .lease import Connect
from .past import Past
from .rebuilding import Rebuilder
from .rulebooks import under
from .settings import Settings
from .subjects import Numbers
from .worker import block_of

log = structlog.get_logger(__name__)

_ROWS = 50_000
_IDLE_S = 1.0
_LOOK_S = 0.3


class Follower:
    """The engine that reads the log with the shadows' rules as if they were live."""

    def __init__(self, given: Settings) -> None:
        self._settings = given
        self._engine: detect.Engine | None = None
        self._marks = Watermarks()
        self._changes: tuple[int, ...] = ()
        self._shadows: dict[int, tuple[str, int]] = {}
        self._at = self._began = self._seen = 0

    def follow(self, conn: psycopg.Connection[Any]) -> int:
        """Read on in the log where a rule is in shadow; how many rows were read."""
        line = self._held(conn, rulebooks.changes(conn))
        stands = rulebooks.fold(line)
        if not stands.shadowed:
            self._engine = None
            return 0
        ids = tuple(c.change_id for c in line)
        if self._engine is None or ids != self._changes:
            book, wrong = rulebooks.book_of(conn, stands, with_shadows=True)
            for rule, why in wrong.items():
                log.warning("shadow left out", rule=rule, why=why)
            self._shadows = {
                book.rules[r].number: (r, v) for r, v in stands.shadowed.items() if r in book.rules and r not in wrong
            }
            self._changes = ids
            if self._engine is None:
                self._engine = self._begin(conn, book)
                return 1  # what its snapshot lacks is looked at before it reads on
            self._engine = under(self._engine, book)
        batches = list(store_log.read(conn, self._at, limit_rows=_ROWS))
        if batches and batches[0].position > self._at + 1:  # it fell behind what the log still holds
            self._engine = None
            return 1
        found: list[Firing] = []
        for b in batches:
            late = self._marks.late(b.table, b.source, b.rows)
            self._engine.feed(block_of(b.table, read_words(b.table, b.rows), b.position, late))
            self._at = b.position
            fresh, self._seen = fired(self._engine, self._seen)
            found += [f for f in fresh if f.number in self._shadows]
        self._note(conn, found)
        return sum(b.rows.num_rows for b in batches)

    def _held(self, conn: psycopg.Connection[Any], line: list[rulebooks.Change]) -> list[rulebooks.Change]:
        """The changes that this engine can follow: windows that became whole came into the live state alone, and stand
        in its snapshots. Where a newer snapshot has them it is begun anew."""
        engine = self._engine
        ends = [c for c in line if c.kind == "rebuilt" and (engine is None or c.change_id > engine.grafted)]
        if engine is None or not ends:
            return line
        newest = snapshots.listing(self._settings.snapshots)
        if newest and int(newest[0].stem) > max(c.position or 0 for c in ends):
            self._engine = None
            return line
        return [c for c in line if c not in ends]

    def _begin(self, conn: psycopg.Connection[Any], book: detect.RuleBook) -> detect.Engine:
        row = conn.execute("SELECT coalesce(max(position), 0) FROM wuzha.partitions").fetchone()
        committed = int(row[0]) if row else 0
        snapshot, _ = snapshots.newest(self._settings.snapshots, not_after=committed)
        if snapshot is not None:
            engine = detect.Engine.restore(snapshot.arrays, book)
            self._marks, self._at = Watermarks(snapshot.meta.get("marks")), snapshot.position
        else:
            first = conn.execute("SELECT coalesce(min(position), 1) FROM wuzha.log").fetchone()
            engine, self._marks, self._at = detect.Engine(book), Watermarks(), int(first[0] if first else 1) - 1
        self._began = self._at
        _, self._seen = fired(engine)
        log.info("shadows follow", position=self._at, rules=[f"{r}@{v}" for r, v in self._shadows.values()])
        return engine

    def _note(self, conn: psycopg.Connection[Any], found: list[Firing]) -> None:
        with conn.transaction():
            ids = Numbers().of(conn, {split_key(f.subject) for f in found})
            with conn.cursor() as cursor:
                cursor.executemany(
                    "INSERT INTO wuzha.rule_shadows (rule, version, subject_id, at, known_at, position)"
                    " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
                    [(*self._shadows[f.number], ids[split_key(f.subject)], f.at, f.known_at, self._at) for f in found],
                )
            conn.execute(
                "INSERT INTO wuzha.rule_follower (position, began_at, at) VALUES (%s, %s, %s)"
                " ON CONFLICT (one) DO UPDATE SET position = EXCLUDED.position, began_at = EXCLUDED.began_at,"
                " at = EXCLUDED.at",
                [self._at, self._began, clock.now()],
            )


# ---------------------------------------------------------------- backtests


class _Dropped(Exception):
    """Nobody waits for it any more."""


def run_waiting(conn: psycopg.Connection[Any], given: Settings) -> bool:
    """Run the oldest backtest that waits; False where none does."""
    row = conn.execute(
        "UPDATE wuzha.rule_backtests SET state = 'running' WHERE backtest_id = (SELECT min(backtest_id)"
        " FROM wuzha.rule_backtests WHERE state = 'waiting') RETURNING backtest_id, body, days"
    ).fetchone()
    if row is None:
        return False
    number, body, days = row
    try:
        result = _run(conn, given, number, body, days)
    except _Dropped:
        return True
    except DataFileError as error:
        _end(conn, number, "failed", {"line": error.line, "column": error.column, "what": error.what})
        return True
    except (ValueError, OSError) as error:
        log.warning("backtest failed", error=repr(error)[:300])
        _end(conn, number, "failed", {"what": str(error)[:500]})
        return True
    _end(conn, number, "done", _numbered(conn, result))
    return True


def _end(conn: psycopg.Connection[Any], number: int, state: str, result: dict[str, Any]) -> None:
    conn.execute(
        "UPDATE wuzha.rule_backtests SET state = %s, share = 1, result = %s, finished_at = %s"
        " WHERE backtest_id = %s AND state = 'running'",
        [state, Jsonb(result), clock.now(), number],
    )


def _run(conn: psycopg.Connection[Any], given: Settings, number: int, body: str, days: int) -> dict[str, Any]:
    before, _ = rulebooks.book_of(conn, rulebooks.fold(rulebooks.changes(conn)))
    draft = drafts.read(body, before, number=drafts.LAST_NUMBER)
    past = Past(given.history, conn)
    total, read, told = max(past.rows(), 1), 0, 0.0

    def step(n: int) -> None:
        nonlocal read, told
        read += n
        if read / total - told < 0.02:
            return
        told = min(read / total, 0.99)
        done = conn.execute(
            "UPDATE wuzha.rule_backtests SET share = %s WHERE backtest_id = %s AND state = 'running'", [told, number]
        )
        if done.rowcount != 1:
            raise _Dropped

    after = drafts.laid(before, [draft])
    return backtest(past.blocks(), before, after, draft.rule.id, past.truth, days=float(days), step=step)


def _numbered(conn: psycopg.Connection[Any], result: dict[str, Any]) -> dict[str, Any]:
    """The result with subjects by number: identifiers stand in ``subjects`` alone."""
    shown = result.get("on_whom", [])
    with conn.transaction():
        ids = Numbers().of(conn, {split_key(one["subject"]) for one in shown})
    numbered = [{**one, "subject": ids[split_key(one["subject"])]} for one in shown]
    return {**result, "on_whom": numbered} if shown else result


def forget(conn: psycopg.Connection[Any], before: datetime) -> None:
    """Drop backtests that ended long ago; those that a killed process left running wait again."""
    conn.execute("DELETE FROM wuzha.rule_backtests WHERE asked_at < %s", [before])
    conn.execute("UPDATE wuzha.rule_backtests SET state = 'waiting' WHERE state = 'running'")


# ---------------------------------------------------------------- both, side by side


def _loop(connect: Connect, stop: threading.Event, work: Any, idle_s: float) -> None:
    conn: psycopg.Connection[Any] | None = None
    while not stop.is_set():
        try:
            if conn is None or conn.closed:
                conn = connect()
            if work(conn):
                continue
        except psycopg.Error as error:
            log.warning("trials put off", error=type(error).__name__)
            conn = None
        except Exception as error:
            log.exception("trial failed", error=repr(error)[:200])
        stop.wait(idle_s)
    if conn is not None:
        conn.close()


def run(connect: Connect, given: Settings, stop: threading.Event) -> None:
    """Follow the shadows and run what is asked for, until ``stop``."""
    with connect() as conn:
        forget(conn, clock.now() - clock.stretch(30 * 86400))
    tests = threading.Thread(
        target=_loop, args=(connect, stop, lambda conn: run_waiting(conn, given), _LOOK_S), daemon=True
    )
    tests.start()
    rebuilds = threading.Thread(target=_loop, args=(connect, stop, Rebuilder(given).work, _LOOK_S), daemon=True)
    rebuilds.start()
    _loop(connect, stop, Follower(given).follow, _IDLE_S)
