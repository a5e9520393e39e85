"""Which events the log already holds: (identity hash, ts) of every row, in memory where recent, in sorted runs by day
where older.

Kept true here:

* an event with the same identity and the same ts is found however old it is, until its run is dropped; one with another
  ts is found among the rows that are not folded yet, and among those of its own (UTC) day that stand in no full run or
  in one of its time;
* memory holds committed rows only, so a transaction that is rolled back leaves no trace; rows that the asking
  transaction itself wrote are looked at for this one call;
* a process holds the sources that it has met, caught up under the log's lock, so that several processes agree.

Two identities that share a 64-bit hash would be taken for one: with 10⁸ events a day once in some 4,000 days.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg

from .queries import q

U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]
Pairs = npt.NDArray[np.void]

#: One row's fingerprint as it is stored.
PAIR = np.dtype([("key", "<u8"), ("ts", "<i8")])
NEW, DUPLICATE, DIFFERS = 0, 1, 2

#: Rows held in memory before they are folded into runs (32 bytes each at half load).
MEMORY_ROWS = 4_000_000
#: Rows from which on the table in memory is made for as many as it may hold.
_MANY = 50_000
#: Rows of a full run, which knows its times; smaller ones are merged by day. Whoever commits beside it waits until the
#: four megabytes of one are on the disk, so they are no more; fewer would make a day of too many runs to look through.
_RUN_ROWS = 1 << 18
#: Between two runs that are written beside the stream: what they weigh is then never waited for at once. Seconds.
_APART_S = 0.1
#: Rows that are folded beside the stream as soon as there are so many.
FOLD_ROWS = 1_000_000
#: Bytes of opened runs kept.
_RUN_CACHE = 512 << 20
_DAY_US = 86_400_000_000
_EPOCH = date(1970, 1, 1)
_CHUNK = 256
_FOLDING = 0x77757A6869


class RunGone(Exception):
    """A run was merged into another while it was looked for; look the runs up again."""


def warm(keys: U64, ts: I64) -> None:
    """Load the kernels."""
    from .fingerprint_kernels import find, find_sorted, insert, take

    known, out = Known(), np.zeros(len(keys), np.uint8)
    insert(known.keys, known.ts, keys, ts)
    find(known.keys, known.ts, keys, ts, out)
    find_sorted(keys, ts, keys, ts, out)
    take(known.keys, known.ts, keys, ts, out)


class Known:
    """A set of (key, ts): open addressing over two arrays, at most half full. ``lasting``: it is kept, and goes on to
    grow."""

    def __init__(self, rows: int = 1 << 12, *, lasting: bool = False) -> None:
        self._make(rows)
        self.rows, self._lasting = 0, lasting

    def _make(self, rows: int) -> None:
        size = 1 << max(13, int(2 * rows - 1).bit_length())
        self.keys: U64 = np.zeros(size, np.uint64)
        self.ts: I64 = np.zeros(size, np.int64)

    def room(self, more: int) -> None:
        """Makes room for ``more`` rows."""
        if 2 * (self.rows + more) <= self.keys.shape[0]:
            return
        keys, ts, rows = self.keys, self.ts, self.rows + more
        if self._lasting:
            # Senders wait while it is made anew, half a second with a million rows: it grows by leaps, and where it
            # holds many to all that it may hold.
            self._make(8 * rows if rows < _MANY else max(2 * rows, MEMORY_ROWS))
        else:
            self._make(2 * rows)
        used = keys != 0
        from .fingerprint_kernels import insert

        insert(self.keys, self.ts, keys[used], ts[used])

    def clear(self) -> None:
        """Forgets all, and keeps its room."""
        self.keys.fill(0)
        self.rows = 0

    def add(self, pairs: Pairs) -> None:
        """Adds fingerprints."""
        from .fingerprint_kernels import insert

        self.room(len(pairs))
        self.rows += int(
            insert(self.keys, self.ts, np.ascontiguousarray(pairs["key"]), np.ascontiguousarray(pairs["ts"]))
        )


class Fingerprints:
    """What one process knows of one log. Ask only while holding the log's lock."""

    def __init__(self) -> None:
        self._mutex = threading.RLock()
        self._runs: OrderedDict[int, tuple[U64, I64]] = OrderedDict()
        self._there: list[tuple[int, int, int | None, int | None]] = []
        self._known = Known(lasting=True)
        self._reset(0)

    def _reset(self, base: int) -> None:
        # Memory holds the rows of the met sources in (base, seen]; runs hold every row up to folded, which is ≥ base.
        self._base = self._seen = self._folded = base
        self._sources: set[str] = set()
        self._known.clear()

    def catch_up(self, conn: psycopg.Connection[Any], sources: Iterable[str], *, head: int, folded: int) -> Known:
        """Reads what others have committed; returns the table of this call, with the transaction's own rows in it."""
        with self._mutex:
            if head < self._seen or folded < self._folded:
                self._runs.clear()
                self._reset(folded)
            elif folded > self._base and (not self._sources or self._known.rows > MEMORY_ROWS // 2):
                self._reset(folded)
            self._folded = folded
            fresh = sorted(set(sources) - self._sources)
            if fresh:
                self._load(conn, fresh)
                self._sources.update(fresh)
            return self._follow(conn)

    def _load(self, conn: psycopg.Connection[Any], sources: Sequence[str]) -> None:
        after = self._base
        while True:
            rows = conn.execute(
                q("log.fingerprints_between"),
                {"sources": sources, "after": after, "until": self._seen, "limit": _CHUNK},
            ).fetchall()
            for position, pairs in rows:
                self._known.add(np.frombuffer(pairs, PAIR))
                after = position
            if len(rows) < _CHUNK:
                return

    def _follow(self, conn: psycopg.Connection[Any]) -> Known:
        call = Known()
        after, own_begun = self._seen, False
        while True:
            rows = conn.execute(
                q("log.fingerprints"), {"sources": sorted(self._sources), "after": after, "limit": _CHUNK}
            ).fetchall()
            for position, own, pairs in rows:
                own_begun = own_begun or own
                if pairs is not None:
                    (call if own_begun else self._known).add(np.frombuffer(pairs, PAIR))
                if not own_begun:
                    self._seen = position
                after = position
            if len(rows) < _CHUNK:
                return call

    def judge(self, conn: psycopg.Connection[Any], call: Known, keys: U64, ts: I64) -> U8:
        """For each row NEW, DUPLICATE or DIFFERS (same identity, another ts); new ones are remembered in ``call``.
        `look_up_runs` has been asked for its time."""
        from .fingerprint_kernels import find, find_sorted, take

        out = np.zeros(len(keys), np.uint8)
        with self._mutex:
            find(self._known.keys, self._known.ts, keys, ts, out)
            for rkeys, rts, rows in self._runs_for(conn, ts):
                part = out[rows]
                find_sorted(rkeys, rts, keys[rows], ts[rows], part)
                out[rows] = part
            call.room(len(keys))
            before = int((out == NEW).sum())
            take(call.keys, call.ts, keys, ts, out)
            call.rows += before
        return out

    def look_up_runs(self, conn: psycopg.Connection[Any], times: Sequence[I64]) -> None:
        """Which runs may hold events of these times: asked once for all batches that are judged next."""
        self._there = []
        ts = np.concatenate(times) if times else np.empty(0, np.int64)
        if self._folded == 0 or not len(ts):
            return
        asked = {
            "days": [_EPOCH + timedelta(days=int(d)) for d in np.unique(ts // _DAY_US)],
            "first": int(ts.min()), "last": int(ts.max()),
        }  # fmt: skip
        self._there = [
            (run, (day - _EPOCH).days, first, last)
            for run, day, _, first, last in conn.execute(q("log.runs_of_days"), asked)
        ]

    def _runs_for(self, conn: psycopg.Connection[Any], ts: I64) -> Iterable[tuple[U64, I64, npt.NDArray[np.intp]]]:
        days = ts // _DAY_US
        for run, day, first, last in self._there:
            here = days == day
            if first is not None and last is not None:
                here &= (ts >= first) & (ts <= last)
            rows = np.flatnonzero(here)
            if len(rows):
                yield (*self._run(conn, run), rows)

    def _run(self, conn: psycopg.Connection[Any], run: int) -> tuple[U64, I64]:
        opened = self._runs.get(run)
        if opened is None:
            row = conn.execute(q("log.runs"), {"runs": [run]}, binary=True).fetchone()
            if row is None:  # never where the log's lock is held: nobody merges runs then
                raise RunGone
            pairs = np.frombuffer(row[1], PAIR)
            opened = (np.ascontiguousarray(pairs["key"]), np.ascontiguousarray(pairs["ts"]))
            self._runs[run] = opened
            while len(self._runs) > 1 and sum(16 * len(k) for k, _ in self._runs.values()) > _RUN_CACHE:
                self._runs.popitem(last=False)
        self._runs.move_to_end(run)
        return opened

    @property
    def crowded(self) -> bool:
        """Memory holds more than it should: it is time to fold."""
        return self._known.rows > MEMORY_ROWS


_of: dict[tuple[str, int, int], Fingerprints] = {}
_of_lock = threading.Lock()


def of(conn: psycopg.Connection[Any], database: int) -> Fingerprints:
    """This process's knowledge of the log behind ``conn``; ``database`` is the database's oid."""
    with _of_lock:
        return _of.setdefault((conn.info.host, conn.info.port, database), Fingerprints())


def fold(conn: psycopg.Connection[Any], until: int, *, holding: bool = False) -> int:
    """Writes the fingerprints of committed positions up to ``until`` that are not folded yet into sorted runs by day;
    returns how many rows. Appenders go on meanwhile, and wait only for the last step. ``holding``: the caller's
    transaction holds the log's lock already; then nothing is done while another folds."""
    with conn.transaction():
        # One folder at a time. It takes this lock before the log's, so whoever holds the log's must not wait for it.
        if holding:
            row = conn.execute("SELECT pg_try_advisory_xact_lock(%s)", [_FOLDING]).fetchone()
            if row is None or not row[0]:
                return 0
        else:
            conn.execute("SELECT pg_advisory_xact_lock(%s)", [_FOLDING])
        row = conn.execute(q("log.folded_to")).fetchone()
        assert row is not None
        if until <= row[0]:
            return 0
        whole = _unfolded(conn, row[0], until)
        gone = _write_runs(conn, whole, apart_s=0.0 if holding else _APART_S)
        conn.execute(q("log.lock"))
        if gone:
            conn.execute(q("log.runs_delete"), {"runs": gone})
        conn.execute(q("log.folded"), {"position": until})
    return len(whole)


def _unfolded(conn: psycopg.Connection[Any], folded: int, until: int) -> Pairs:
    parts: list[Pairs] = []
    after = folded
    while after < until:
        rows = conn.execute(
            q("log.fingerprints_all"), {"after": after, "until": until, "limit": _CHUNK}, binary=True
        ).fetchall()
        parts += [np.frombuffer(pairs, PAIR) for _, pairs in rows]
        if len(rows) < _CHUNK:
            break
        after = rows[-1][0]
    return np.concatenate(parts) if parts else np.empty(0, PAIR)


def _write_runs(conn: psycopg.Connection[Any], whole: Pairs, *, apart_s: float) -> list[int]:
    """Puts these pairs and the day's runs that are not full yet into new runs, ``apart_s`` apart; the runs that are to
    go with it."""
    days = whole["ts"] // _DAY_US
    gone: list[int] = []
    for number in np.unique(days).tolist():
        day = _EPOCH + timedelta(days=number)
        smaller = [run for (run,) in conn.execute(q("log.runs_not_full"), {"day": day})]
        old = [np.frombuffer(p, PAIR) for _, p in conn.execute(q("log.runs"), {"runs": smaller}, binary=True)]
        gone += smaller
        pairs = np.concatenate([*old, whole[days == number]])
        if len(pairs) >= _RUN_ROWS:
            pairs = pairs[np.argsort(pairs["ts"], kind="stable")]
        for at in range(0, len(pairs), _RUN_ROWS):
            run = pairs[at : at + _RUN_ROWS]
            full = len(run) == _RUN_ROWS
            conn.execute(
                q("log.run_insert"),
                {
                    "day": day, "n": len(run), "first": int(run["ts"][0]) if full else None,
                    "last": int(run["ts"][-1]) if full else None,
                    "pairs": run[np.lexsort((run["ts"], run["key"]))].tobytes(),
                },
            )  # fmt: skip
            time.sleep(apart_s)
    return gone
