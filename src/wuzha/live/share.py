"""Several workers on one log: which results a partition's worker writes, and where all must wait for one.

Every worker reads the whole log, keeps the whole state and judges everything, so what it finds does not depend on how
many there are; it writes what belongs to its own persons and suspects. Where one finding touches persons of several
partitions (evidence goes to another person, an alert is taken back, a report's identifiers), partition 0 writes all of
it, after the others have written what came before and before they write what comes after: the database then goes
through the same states as with one worker.

Kept true here: each finding is written by one partition and by no other; results at 1, 2 and 4 partitions are equal; a
change of the rule book holds from the same place of the log in every partition.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa

from wuzha.events.hashing import hash_text, text_hash

from . import lease as leases
from . import results, snapshots
from .lease import LeaseLost
from .rulebooks import Books

_LOOK_S = 0.02
#: Which column says whose a register's row is; identifiers are written together.
_WHOSE = {"persons": "person", "relations": "subject", "reports": "person"}


@dataclass(frozen=True, kw_only=True)
class Share:
    """Partition ``partition`` of ``parts``."""

    partition: int = 0
    parts: int = 1

    def owns(self, key: str) -> bool:
        """Whether this partition writes what is found of a person (bare value) or suspect (key)."""
        return self.parts == 1 or text_hash(key) % self.parts == self.partition

    def of(self, found: results.Found) -> results.Found:
        """What of it this partition writes."""
        if self.parts == 1:
            return found
        return replace(
            found,
            alerts={k: a for k, a in found.alerts.items() if self.owns(k[0])},
            evidence=[e for e in found.evidence if self.owns(e.person)],
            warnings=[w for w in found.warnings if self.owns(w.person)],
            suspects={k: s for k, s in found.suspects.items() if self.owns(k)},
            registers=[(table, mine) for table, rows in found.registers if (mine := self._rows(table, rows)).num_rows],
            aside=found.aside if self.partition == 0 else [],
        )

    def _rows(self, table: str, rows: pa.Table) -> pa.Table:
        whose = hash_text(rows.column(_WHOSE[table])) % np.uint64(self.parts)
        return rows.filter(pa.array(whose == self.partition))

    def together(self, changes: Any, table: str) -> bool:
        """Whether a batch's results touch persons of several partitions, so that partition 0 writes them alone."""
        return self.parts > 1 and bool(changes.moves or changes.withdrawn or changes.restated or table == "identifiers")


def wait(conn: psycopg.Connection[Any], share: Share, before: int, at: int, given_up: Callable[[], bool]) -> None:
    """Before results at ``at`` are written together: partition 0 waits until all others have written up to
    ``before``, the others until it has written ``at``. LeaseLost where ``given_up`` says so meanwhile."""
    others = share.partition == 0
    while True:
        row = conn.execute(
            "SELECT min(position) FROM wuzha.partitions WHERE (partition <> 0) = %s", [others]
        ).fetchone()
        if row is not None and row[0] is not None and row[0] >= (before if others else at):
            return
        if given_up():
            raise LeaseLost("it was to stop, or was replaced, while it waited for the other partitions")
        time.sleep(_LOOK_S)


# ---------------------------------------------------------------- the rule book


def _placed(conn: psycopg.Connection[Any]) -> int:
    row = conn.execute("SELECT count(*) FROM wuzha.rule_changes WHERE position IS NOT NULL").fetchone()
    return 0 if row is None else int(row[0])


def news(conn: psycopg.Connection[Any], share: Share, books: Books, at: int) -> Books | None:
    """The books anew where partition 0 has given a change its place since ``books`` were read, else None. LeaseLost
    where that lies behind ``at``: what was judged since then was judged by the old one."""
    if share.parts == 1 or share.partition == 0 or _placed(conn) == len(books.known):
        return None
    fresh = Books(conn)
    first = fresh.since(books.known)
    if first is not None and first < at:
        raise LeaseLost("the rule book changed behind this worker; it reads on from its snapshot")
    return fresh


def furthest(conn: psycopg.Connection[Any], share: Share, at: int) -> int:
    """Inside the caller's transaction: a place that no partition's results have passed, and none passes before the
    transaction ends; ``at`` where there is one partition only."""
    if share.parts == 1:
        return at
    rows = conn.execute("SELECT position FROM wuzha.partitions ORDER BY partition FOR UPDATE").fetchall()
    return max(at, *(int(position) for (position,) in rows))


def same_book(share: Share, books: Books) -> Callable[[psycopg.Connection[Any]], None]:
    """To be called in the transaction that writes results, after the guard: LeaseLost where a change has its place
    since ``books`` were read, since what was found may have been judged without it."""

    def check(conn: psycopg.Connection[Any]) -> None:
        if share.parts > 1 and _placed(conn) != len(books.known):
            raise LeaseLost("the rule book changed meanwhile; this worker reads on from its snapshot")

    return check


# ---------------------------------------------------------------- leases and state


def claim(
    conn: psycopg.Connection[Any], name: str, seconds: float, only: int | None, stop: threading.Event
) -> leases.Lease | None:
    """The lease of partition ``only``, or of any that nobody holds, as soon as there is one; None once asked to
    stop."""
    while not stop.is_set():
        wanted: Iterable[int] = [only] if only is not None else _free(conn)
        for partition in wanted:
            lease = leases.take(conn, partition, name, seconds)
            if lease is not None:
                return lease
        stop.wait(0.2)
    return None


def _free(conn: psycopg.Connection[Any]) -> list[int]:
    rows = conn.execute("SELECT partition FROM wuzha.partitions ORDER BY leased_until NULLS FIRST, partition")
    return [partition for (partition,) in rows.fetchall()] or [0]


def home_of(home: Path, partition: int) -> Path:
    """Folder of what a partition's worker keeps: the deployment's own for the first one."""
    return home if partition == 0 else home / "partitions" / str(partition)


def newest(home: Path, partition: int, *, not_after: int) -> tuple[snapshots.Snapshot | None, list[str]]:
    """As `snapshots.newest`, from this partition's folder or a neighbour's on this machine: all hold the same state."""
    mine = home_of(home, partition) / "snapshots"
    others = [home / "snapshots", *sorted((home / "partitions").glob("*/snapshots"))]
    there = [(int(p.stem), folder == mine, p) for folder in {mine, *others} for p in snapshots.listing(folder)]
    passed: list[str] = []
    for position, own, path in sorted(there, reverse=True):
        if position > not_after:
            passed += [f"{path.name}: ahead of the committed position {not_after}"] if own else []
            continue
        try:
            return snapshots.read(path), passed
        except snapshots.BadSnapshot as error:
            passed.append(str(error))
    return None, passed


def floor(conn: psycopg.Connection[Any], share: Share) -> int | None:
    """How far the partition that is furthest behind has come; None where there is only one."""
    if share.parts == 1:
        return None
    row = conn.execute("SELECT min(position) FROM wuzha.partitions").fetchone()
    return None if row is None else row[0]


def double(conn: psycopg.Connection[Any]) -> int:
    """Twice as many partitions; how many there are now. Each new one goes on where its parent stands and takes half of
    its persons; running workers are replaced at once. Role wuzha_engine."""
    with conn.transaction():
        rows = conn.execute("SELECT partition FROM wuzha.partitions ORDER BY partition FOR UPDATE").fetchall()
        parts = max(len(rows), 1)
        if not rows:
            conn.execute("INSERT INTO wuzha.partitions (partition) VALUES (0)")
        conn.execute(
            "UPDATE wuzha.partitions SET parts = %s, epoch = epoch + 1, leased_by = NULL, leased_until = NULL",
            [2 * parts],
        )
        conn.execute(
            "INSERT INTO wuzha.partitions (partition, epoch, position, snapshot, snapshot_position, parts)"
            " SELECT partition + %s, 1, position, snapshot, snapshot_position, parts FROM wuzha.partitions",
            [parts],
        )
    return 2 * parts
