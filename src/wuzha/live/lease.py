"""The lease on a partition: who may commit its results.

Kept true here: every commit carries the epoch under which its worker took the lease; taking it over raises the epoch,
so a worker that was frozen past its lease and wakes cannot commit anything. Time is the database's own.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import structlog

log = structlog.get_logger(__name__)

Connect = Callable[[], psycopg.Connection[Any]]


class LeaseLost(Exception):
    """Another worker holds the partition now; this one must stop without writing anything."""


@dataclass(frozen=True, kw_only=True)
class Lease:
    """A partition held under ``epoch``; results up to ``position`` were committed when it was taken."""

    partition: int
    epoch: int
    position: int
    name: str
    seconds: float
    #: Of how many partitions it is one.
    parts: int = 1


def worker_name() -> str:
    """Host, boot, process and its start: says on this host whether that worker still lives."""
    return f"{socket.gethostname()}|{_boot()}|{os.getpid()}|{_started(os.getpid())}"


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "unknown"


def _started(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return "gone"


def is_dead(name: str | None) -> bool:
    """Whether ``name`` is a worker of this very host that surely is gone. Another host's is never judged so."""
    if not name:
        return True
    try:
        host, boot, pid, started = name.split("|")
    except ValueError:
        return False
    if host != socket.gethostname():
        return False
    return boot != _boot() or _started(int(pid)) != started


def take(conn: psycopg.Connection[Any], partition: int, name: str, seconds: float) -> Lease | None:
    """The lease under a new epoch, or None while another worker's still runs.

    A dead worker's lease on this host is taken at once: the epoch, not the time, keeps the old one out.
    """
    with conn.transaction():
        if partition == 0:  # the first is made here, others by doubling
            conn.execute("INSERT INTO wuzha.partitions (partition) VALUES (0) ON CONFLICT DO NOTHING")
        row = conn.execute(
            "SELECT leased_by, leased_until > clock_timestamp() FROM wuzha.partitions WHERE partition = %s FOR UPDATE",
            [partition],
        ).fetchone()
        if row is None:
            return None
        holder, running = row
        if running and holder != name and not is_dead(holder):
            return None
        taken = conn.execute(
            "UPDATE wuzha.partitions SET epoch = epoch + 1, leased_by = %s,"
            " leased_until = clock_timestamp() + make_interval(secs => %s) WHERE partition = %s"
            " RETURNING epoch, position, parts",
            [name, seconds, partition],
        ).fetchone()
        assert taken is not None
        return Lease(partition=partition, epoch=taken[0], position=taken[1], name=name, seconds=seconds, parts=taken[2])


def guard(conn: psycopg.Connection[Any], lease: Lease, position: int) -> None:
    """Move the partition's position inside the caller's transaction, first of its statements: the row's lock makes a
    take-over wait for the commit. LeaseLost where the epoch is another's."""
    done = conn.execute(
        "UPDATE wuzha.partitions SET position = %s, leased_until = clock_timestamp() + make_interval(secs => %s)"
        " WHERE partition = %s AND epoch = %s",
        [position, lease.seconds, lease.partition, lease.epoch],
    )
    if done.rowcount != 1:
        raise LeaseLost(f"partition {lease.partition}: epoch {lease.epoch} is over")


def give_back(conn: psycopg.Connection[Any], lease: Lease) -> None:
    """End the lease at once, so that the next worker need not wait. Nothing where it is another's already."""
    conn.execute(
        "UPDATE wuzha.partitions SET leased_until = NULL, leased_by = NULL WHERE partition = %s AND epoch = %s",
        [lease.partition, lease.epoch],
    )


class Renewal(threading.Thread):
    """Renews a lease three times in its span. ``lost`` is set as soon as the lease is known to be another's."""

    def __init__(self, connect: Connect, lease: Lease) -> None:
        super().__init__(name="lease", daemon=True)
        self._connect, self._lease = connect, lease
        self._stop_asked = threading.Event()
        self.lost = threading.Event()

    def run(self) -> None:
        """Renew until `stop`."""
        conn: psycopg.Connection[Any] | None = None
        while not self._stop_asked.wait(self._lease.seconds / 3):
            try:
                if conn is None or conn.closed:
                    conn = self._connect()
                    conn.autocommit = True
                done = conn.execute(
                    "UPDATE wuzha.partitions SET leased_until = clock_timestamp() + make_interval(secs => %s)"
                    " WHERE partition = %s AND epoch = %s",
                    [self._lease.seconds, self._lease.partition, self._lease.epoch],
                )
                if done.rowcount != 1:
                    self.lost.set()
                    return
            except psycopg.Error as error:  # the database restarts; the epoch still guards every commit
                log.warning("lease not renewed", error=type(error).__name__)
                conn = None
                time.sleep(0.2)
        if conn is not None:
            conn.close()

    def stop(self) -> None:
        """Stop renewing."""
        self._stop_asked.set()
        self.join(self._lease.seconds)
