"""The worker of a partition: reads the log in order, feeds the engine, commits what it found with the position reached.

Kept true here: state = snapshot + log from its position; what was committed before is not written again; nothing is
committed without the lease's epoch; whether a row is late, and what the words of a message say, is decided from the log
alone, so that a restart decides the same.
"""

from __future__ import annotations

import gc
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg
import pyarrow as pa
import structlog

from wuzha import detect
from wuzha.detect.grafting import graft
from wuzha.events import clock
from wuzha.store import log as store_log

from . import lease as leases
from . import results, rulebooks, share, snapshots, tracing
from .aside import Aside
from .cited import Cited, read_words
from .deciding import Deciding
from .forward import RECIPIENT, Forwarder
from .late import Watermarks
from .lease import Connect, LeaseLost
from .quiet import Quiet
from .rebuilding import part_of
from .rulebooks import under
from .settings import Settings
from .subjects import Numbers, Units
from .watching import Telling

log = structlog.get_logger(__name__)

#: Rows fed before a commit at most, when there is that much to catch up with.
_ROWS_A_COMMIT = 100_000
_IDLE_S = 0.05
_UNITS_S = 10.0
#: Tries to write one result, two seconds apart at last: two minutes, then the worker is started anew.
_TRIES = 60


def block_of(table: str, rows: pa.Table, position: int, late: npt.NDArray[np.bool_]) -> detect.Block:
    """The rows that count, encoded. Picking always copies, so that every block's arrays are of one kind: the kernels
    are compiled once, not anew for arrays that happen to be read-only views of Arrow's."""
    return detect.encode(table, rows, position).pick(np.flatnonzero(~late))


class Worker:
    """One partition's worker. `run` returns when asked to stop; LeaseLost where another has taken over."""

    def __init__(self, connect: Connect, settings: Settings, *, partition: int | None = None) -> None:
        self._connect, self._settings, self._wanted = connect, settings, partition
        self._share = share.Share()
        self._floor: int | None = None
        self.stop_asked = threading.Event()
        self._cited = Cited(settings.history)
        self._units = Units()
        self._outward = RECIPIENT if settings.role == "holder" and settings.centre_url else None
        self._scribe = results.Scribe(
            numbers=Numbers(),
            units=self._units,
            cited=self._cited,
            outward=self._outward,
            outward_rank=results.RANK[settings.leaving_level],
        )
        self.events = 0
        #: What the worker tells of itself, and how often each rule gave evidence since it started.
        self._figures: dict[str, Any] = {"replaying": False, "position": 0, "subjects": 0, "snapshot": {}}
        self._given: Counter[str] = Counter()
        #: The snapshot that is being written, events that no snapshot has, when the last one was begun, and how long
        #: the next one waits at least.
        self._writing: snapshots.Writing | None = None
        self._unsaved = 0
        self._quiet = Quiet(settings)
        self._last_snapshot = self._snapshot_rest_s = 0.0

    def run(self) -> None:
        """Take the lease, restore, follow the log."""
        self._warm()
        conn = self._connect()
        lease = share.claim(conn, leases.worker_name(), self._settings.lease_s, self._wanted, self.stop_asked)
        if lease is None:
            return
        self._settle_in(lease)
        log.info("lease taken", partition=lease.partition, epoch=lease.epoch, position=lease.position)
        renewal = leases.Renewal(self._connect, lease)
        renewal.start()
        forwarder = self._forwarder()
        rulebooks.note_shipped(conn, clock.now())
        rulebooks.learn(conn)
        watch = rulebooks.Watch(self._connect, lambda conn, change: part_of(conn, self._settings, change))
        watch.start()
        telling = Telling(self._connect, f"engine:{lease.partition}", self._told)
        telling.start()
        try:
            self._follow(conn, lease, renewal, forwarder, watch)
            leases.give_back(self._connect(), lease)
        finally:
            telling.stop()
            self._deciding.stop()
            watch.stop()
            self._abandon()
            renewal.stop()
            if forwarder is not None:
                forwarder.stop()

    @staticmethod
    def _warm() -> None:
        from .warm import say, warm

        warm(say)
        gc.collect()
        gc.freeze()  # else the compiler's objects are gone through again and again, a quarter of a second each time

    def _settle_in(self, lease: leases.Lease) -> None:
        self._share = share.Share(partition=lease.partition, parts=lease.parts)
        self._home = share.home_of(self._settings.home, lease.partition)
        self._home.mkdir(parents=True, exist_ok=True)
        self._aside = Aside(self._home)
        self._deciding = Deciding(self._settings.home, lease.partition)
        if lease.parts > 1:
            self._scribe.numbers.apart(self._connect)

    def _forwarder(self) -> Forwarder | None:
        if self._outward is None or self._share.partition:  # one sends, in order
            return None
        if self._settings.centre_url is None or self._settings.centre_key_file is None:
            raise ValueError("a holder's centre needs both its address and the key that it gave")
        forwarder = Forwarder(self._connect, self._settings.centre_url, self._settings.centre_key_file)
        forwarder.start()
        return forwarder

    # ------------------------------------------------------------ state

    def _restore(self, lease: leases.Lease, books: rulebooks.Books) -> tuple[Any, Watermarks, int]:
        home = self._settings.home
        snapshot, passed = share.newest(home, lease.partition, not_after=lease.position)
        for why in passed:
            log.warning("snapshot passed over", why=why)
        while snapshot is not None:
            try:
                engine = detect.Engine.restore(snapshot.arrays, books.at(snapshot.position))
                self._graft(engine, books, snapshot.position)
                return engine, Watermarks(snapshot.meta.get("marks")), snapshot.position
            except (ValueError, KeyError) as error:
                log.warning("snapshot not understood", position=snapshot.position, error=repr(error))
                snapshot, _ = share.newest(home, lease.partition, not_after=snapshot.position - 1)
        return detect.Engine(books.at(0)), Watermarks(), 0

    def _graft(self, engine: Any, books: rulebooks.Books, at: int) -> None:
        """Windows that became whole at ``at`` or before it, where the state does not have them yet."""
        for change in books.rebuilt(engine.grafted, at):
            with self._connect() as conn:
                graft(engine, part_of(conn, self._settings, change), change.change_id)

    def _take_up(self, conn: psycopg.Connection[Any], lease: leases.Lease, engine: Any, at: int, ready: Any) -> Any:
        """From their place on the changed book judges: the engine that does, where that is here."""
        with conn.transaction():
            leases.guard(conn, lease, at)
            place = share.furthest(conn, self._share, at)
            rulebooks.give_place(conn, ready.ids, place)
        log.info("rules taken up", position=place, changes=len(ready.ids))
        self._books = rulebooks.Books(conn)
        if place > at:
            return engine
        with self._deciding.turns.feeding():
            for number, part in ready.parts:
                if strange := graft(engine, part, number):
                    log.error("rebuilt windows of unknown subjects", change=number, cells=strange)
            return under(engine, ready.book)

    def _snapshot(self, engine: Any, marks: Watermarks, at: int) -> None:
        """Begin to write one, unless one is still being written."""
        if self._writing is not None:
            return
        state = marks.state()
        self._last_snapshot = time.monotonic()

        def take() -> snapshots.Snapshot:
            return snapshots.Snapshot(position=at, arrays=engine.snapshot(copied=False), meta={"marks": state})

        try:
            with self._deciding.turns.feeding():  # the copy is of a state at rest
                self._writing = snapshots.begin(self._home / "snapshots", at, take, floor=self._floor)
        except OSError as error:  # no memory for a copy: the older snapshots and the log still make the state
            log.error("snapshot put off", position=at, error=str(error))
        else:
            self._unsaved = 0

    def _snapshot_over(self, conn: psycopg.Connection[Any], lease: leases.Lease, *, wait: bool = False) -> None:
        """Note the snapshot that has been written, if one has."""
        writing = self._writing
        if writing is None:
            return
        try:
            if not writing.over(wait=wait):
                return
        except OSError as error:  # a full disk
            log.error("snapshot put off", position=writing.position, error=str(error))
            self._writing, self._unsaved = None, max(self._unsaved, 1)
            return
        self._writing = None
        done = conn.execute(
            "UPDATE wuzha.partitions SET snapshot = %s, snapshot_position = %s WHERE partition = %s AND epoch = %s",
            [writing.path.name, writing.position, lease.partition, lease.epoch],
        )
        if done.rowcount != 1:
            raise LeaseLost("another worker took over while a snapshot was written")
        took = time.monotonic() - writing.begun
        # Writing a large state takes a core's while: it is not to take more than a tenth of the time.
        self._snapshot_rest_s = 9 * took
        size = writing.path.stat().st_size
        self._figures["snapshot"] = {"at": clock.now().isoformat(), "position": writing.position, "size": size,
                                     "seconds": round(took, 2)}  # fmt: skip
        log.info("snapshot", position=writing.position, bytes=size, seconds=round(took, 2))

    def _last(
        self, conn: psycopg.Connection[Any], lease: leases.Lease, engine: Any, marks: Watermarks, at: int
    ) -> None:
        """The snapshot of a worker that stops: everything is in it, and it stands before the worker ends."""
        self._abandon()
        self._snapshot(engine, marks, at)
        self._snapshot_over(conn, lease, wait=True)

    def _abandon(self) -> None:
        if self._writing is not None:
            self._writing.abandon()
            self._writing = None

    def _snapshot_due(self, idle: bool = False) -> bool:
        since = time.monotonic() - self._last_snapshot
        if not self._unsaved or since < self._snapshot_rest_s:
            return False
        return since > self._settings.snapshot_s or (not idle and self._unsaved >= self._settings.snapshot_events)

    # ------------------------------------------------------------ the loop

    def _follow(
        self, conn: psycopg.Connection[Any], lease: leases.Lease, renewal: leases.Renewal, forwarder: Forwarder | None,
        watch: rulebooks.Watch,
    ) -> None:  # fmt: skip
        books = self._books = rulebooks.Books(conn)
        engine, marks, at = self._restore(lease, books)
        turns = books.next(at)
        committed, units_read = lease.position, 0.0
        self._last_snapshot = time.monotonic()
        if at < committed:
            log.info("replaying", from_position=at, to_position=committed)
        while not self.stop_asked.is_set():
            if renewal.lost.is_set():
                raise LeaseLost("the lease is another worker's")
            self._snapshot_over(conn, lease)
            self._floor = share.floor(conn, self._share)
            if at >= committed and turns is not None and turns <= at:
                engine, turns = self._turned(engine, books, at)
            if at >= committed and not self._share.partition and (ready := watch.take()) is not None:
                engine = self._take_up(conn, lease, engine, at, ready)
                books, turns = self._books, self._books.next(at)
            if at >= committed and (fresh := share.news(conn, self._share, books, at)) is not None:
                books = self._books = fresh
                engine, turns = self._turned(engine, books, at)
            self._figures["null_features"] = [f.name for f in engine.rules.kept]
            if at >= committed:
                self._deciding.open(engine, lease.epoch, at)
            # Replay ends exactly where results are committed: beyond it everything found is written.
            rows = 1 if self._aside.careful(at) else _ROWS_A_COMMIT
            batches = list(store_log.read(conn, at, limit_rows=rows, until=committed if at < committed else None))
            if not batches:
                if at < committed:
                    raise RuntimeError(
                        f"the log has no rows after {at} although results reach {committed}: it was trimmed below the"
                        " newest whole snapshot; put a snapshot or the log back from the backup"
                    )
                if self._snapshot_due(idle=True):
                    self._snapshot(engine, marks, at)
                    self._quiet.look(engine, self._deciding.turns.feeding())
                self.stop_asked.wait(_IDLE_S)
                continue
            replaying = self._figures["replaying"] = at < committed
            found = results.Found()
            for batch in batches:
                if turns is not None and batch.position > turns:
                    engine, turns = self._turned(engine, books, batch.position - 1)
                if (why := self._aside.why(batch.position)) is not None:
                    if not replaying:
                        found.aside.append((batch, why))
                    at = batch.position
                    continue
                with self._blamed(batch.position, batch.position):
                    changes = self._feed(engine, marks, batch)
                self._unsaved += batch.rows.num_rows
                self._figures |= {"position": batch.position, "subjects": changes.counts.get("subjects", 0)}
                alone = not replaying and self._share.together(changes, batch.table)
                if (changes.moves or alone) and not replaying and at > committed:
                    # A person's alert must stand before it can go along with them.
                    with self._blamed(committed + 1, at):
                        conn = self._write(conn, lease, at, found)
                    committed, found = at, results.Found()
                found.add(changes)
                if batch.table in results.REGISTERS:
                    found.registers.append((batch.table, batch.rows))
                at = batch.position
                if alone:
                    share.wait(conn, self._share, committed, at, lambda: self._over(renewal))
                    with self._blamed(at, at):
                        conn = self._write(conn, lease, at, found, whole=True)
                    committed, found = at, results.Found()
            if not replaying:
                if time.monotonic() - units_read > _UNITS_S:
                    self._units.refresh(conn)
                    units_read = time.monotonic()
                with self._blamed(committed + 1, at), self._committing(batches, found):
                    conn = self._write(conn, lease, at, found)
                committed = at
                self._given.update(e.rule for e in found.evidence)
                self._brake(conn, engine.rules, found)
                self.events += sum(b.rows.num_rows for b in batches)
                if forwarder is not None:
                    forwarder.wake()
            if at >= committed and self._snapshot_due():
                self._snapshot(engine, marks, at)
                self._quiet.look(engine, self._deciding.turns.feeding())
        if at >= committed and (self._unsaved or self._writing is not None):
            self._last(conn, lease, engine, marks, at)

    def _turned(self, engine: Any, books: rulebooks.Books, at: int) -> tuple[Any, int | None]:
        """The engine under the book that holds after ``at``, and the next place at which it changes."""
        with self._deciding.turns.feeding():
            self._graft(engine, books, at)
            return under(engine, books.at(at)), books.next(at)

    def _over(self, renewal: leases.Renewal) -> bool:
        return self.stop_asked.is_set() or renewal.lost.is_set()

    def _brake(self, conn: psycopg.Connection[Any], book: detect.RuleBook, found: results.Found) -> None:
        """Rules that have just given more than their cap are to go out."""
        if self._share.partition:
            return
        fired = {e.rule for e in found.evidence} | {r for s in found.suspects.values() for r in s.args}
        for rule, given, cap in rulebooks.over_cap(conn, book, fired, self._settings.rule_cap):
            log.error("rule braked", rule=rule.id, version=rule.version, given=given, cap=cap)
            with conn.transaction():
                rulebooks.brake(conn, rule, given, cap)

    @contextmanager
    def _blamed(self, first: int, last: int) -> Iterator[None]:
        """An error of the work itself is noted against these batches before it ends the worker: its state may be half
        changed, so the next one starts from what is committed. A database that is away or a disk that is full for
        however long is no fault of the batches."""
        try:
            yield
        except (LeaseLost, psycopg.OperationalError, psycopg.InterfaceError, MemoryError, OSError):
            raise
        except Exception as error:
            if self._aside.failed(first, last, error):
                log.error("batch set aside", position=first, error=repr(error)[:500])
            raise

    def _feed(self, engine: Any, marks: Watermarks, batch: Any) -> Any:
        rows = batch.rows
        late = marks.late(batch.table, batch.source, rows)
        rows = read_words(batch.table, rows)
        self._cited.remember(batch.position, batch.table, rows)
        with tracing.span(
            "engine.feed", tracing.of(batch.rows), table=batch.table, rows=rows.num_rows, position=batch.position
        ):
            return self._deciding.feed(engine, block_of(batch.table, rows, batch.position, late))

    @staticmethod
    @contextmanager
    def _committing(batches: list[store_log.LogBatch], found: results.Found) -> Iterator[None]:
        """One span for the commit, in the trace of its last batch; the other batches' are linked."""
        traces = [tracing.of(b.rows) for b in batches]
        with tracing.span(
            "results.commit", traces[-1], links=traces[:-1], position=batches[-1].position, batches=len(batches),
            alerts=len(found.alerts), evidence=len(found.evidence),
        ):  # fmt: skip
            yield

    def _told(self) -> dict[str, Any]:
        """The figures of this moment, for whoever watches."""
        waited = time.monotonic() - self._last_snapshot if self._unsaved else 0.0
        rules = [{"rule": rule, "given": given} for rule, given in Counter(dict(self._given)).most_common(10)]
        return {
            **self._figures, "events": self.events, "unsaved": self._unsaved, "unsaved_s": round(waited, 1),
            "rules": rules,
        }  # fmt: skip

    def _write(
        self, conn: psycopg.Connection[Any], lease: leases.Lease, at: int, found: results.Found, *, whole: bool = False
    ) -> psycopg.Connection[Any]:
        """Write until it stands: a connection that breaks leaves open whether the commit did. ``whole``: partition 0
        writes all of it, the others nothing; else each what is its own."""
        if whole and self._share.partition:
            found = results.Found()
        elif not whole:
            found = self._share.of(found)
        also = share.same_book(self._share, self._books)
        for attempt in range(_TRIES):
            try:
                results.write(conn, lease, at, found, self._scribe, also)
                return conn
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                if attempt + 1 == _TRIES:
                    raise
                log.warning("results not written; trying again", error=type(error).__name__)
                conn.close()
                time.sleep(min(0.1 * (attempt + 1), 2.0))
                conn = self._reconnect() or conn
                if not conn.closed:
                    row = conn.execute(
                        "SELECT position, epoch FROM wuzha.partitions WHERE partition = %s", [lease.partition]
                    ).fetchone()
                    if row is None or row[1] != lease.epoch:
                        raise LeaseLost("another worker took over while the database was away") from error
                    if row[0] == at:
                        self._scribe.numbers.undone()
                        return conn
        raise AssertionError("each try returns or raises")

    def _reconnect(self) -> psycopg.Connection[Any] | None:
        try:
            return self._connect()
        except psycopg.OperationalError:
            return None
