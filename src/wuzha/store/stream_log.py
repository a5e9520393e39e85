"""The log in a JetStream stream: a batch is a message, its position the message's sequence.

Kept true here: what is acknowledged is on the disks of a majority; a batch is judged against every message before it
and stored only if none has come in between, whoever else appends; an answer that got lost is looked for in the stream
itself, so a batch whose fate was unknown is told as what it became. PostgreSQL keeps what is older: runs of
fingerprints, and an index of the stream (`log_index`) that can be made again from it at any time.

A message: u32 length of a JSON head, the head, n × 16 bytes of fingerprints, the rows (`log_rows.pack`). Numbers are
little endian.
"""

from __future__ import annotations

import json
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg

from .fingerprints import MEMORY_ROWS, PAIR, Fingerprints, Known, Pairs, RunGone
from .jetstream import MOST_BYTES, MOST_MESSAGES, LogAway, Place, Stream, fresh_id
from .log_rows import Appended, Batch, LogBatch, Taken, prepared, taken, unpack
from .queries import q

#: How long an append looks for what became of its messages before it says that it does not know.
_PATIENCE_S = 10.0
_DAY_US = 86_400_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LENGTH = struct.Struct("<I")


@lru_cache(maxsize=8)
def of(said: str) -> StreamLog:
    """This process's log at such an address (`jetstream.Place.read`)."""
    return StreamLog(Stream(Place.read(said)))


def message(part: Taken, name: str) -> bytes:
    """The message of a part of a batch. ``name``: what its sender knows it by."""
    head = json.dumps(
        {
            "id": name, "table": part.table, "version": part.version, "source": part.source, "n": part.n,
            "min": _us(part.min_ts), "max": _us(part.max_ts), "received": _us(part.received_at), "basis": part.basis,
            "ref": part.basis_ref, "until": None if part.basis_until is None else _us(part.basis_until),
        },
        ensure_ascii=False,
    ).encode()  # fmt: skip
    return b"".join((_LENGTH.pack(len(head)), head, part.pairs.tobytes(), part.payload))


def opened(body: bytes) -> tuple[str, Taken]:
    """The id and the part of a message. ValueError where it is none of ours."""
    try:
        (n,) = _LENGTH.unpack_from(body)
        head = json.loads(body[4 : 4 + n])
        begin, rows = 4 + n, int(head["n"])
        part = Taken(
            table=head["table"], version=head["version"], source=head["source"], n=rows, min_ts=_moment(head["min"]),
            max_ts=_moment(head["max"]), received_at=_moment(head["received"]), basis=head["basis"],
            basis_ref=head["ref"], basis_until=None if head["until"] is None else _moment(head["until"]),
            pairs=np.frombuffer(body, PAIR, rows, begin), payload=body[begin + rows * PAIR.itemsize :],
        )  # fmt: skip
        return str(head["id"]), part
    except (struct.error, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"a message that is no batch of the log: {error!r}"[:200]) from error


def _us(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)


def _moment(us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=us)


class Seen(Fingerprints):
    """Fingerprints of the stream's messages up to a position, with the runs in PostgreSQL behind them."""

    @property
    def position(self) -> int:
        """Every message up to here is known, in memory or in runs."""
        return self._seen

    def start(self, folded: int) -> None:
        """Runs hold everything up to ``folded``; what memory holds of it may go."""
        behind = folded > self._seen or folded < self._folded
        if behind or (folded > self._base and self._known.rows > MEMORY_ROWS // 2):
            self._runs.clear()
            self._reset(folded)
        self._folded = folded

    def learn(self, pairs: Pairs, position: int) -> None:
        """The message at ``position`` holds these."""
        self._known.add(pairs)
        self._seen = position

    def look_up(self, conn: psycopg.Connection[Any], times: Sequence[npt.NDArray[np.int64]]) -> int:
        """As `look_up_runs`, together with how far the runs reach, which is returned: one look at one moment."""
        ts = np.concatenate(times) if times else np.empty(0, np.int64)
        days = [date(1970, 1, 1) + timedelta(days=int(d)) for d in np.unique(ts // _DAY_US)]
        rows = conn.execute(
            q("log.folded_and_runs"),
            {"days": days, "first": int(ts.min()) if len(ts) else 0, "last": int(ts.max()) if len(ts) else 0},
        ).fetchall()
        self._there = [(r[1], (r[2] - date(1970, 1, 1)).days, r[3], r[4]) for r in rows if r[1] is not None]
        return int(rows[0][0])


class StreamLog:
    """The log of one process. Any thread may append and read."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self._mutex = threading.Lock()
        self._seen = Seen()

    # ------------------------------------------------------------ appending

    def append(self, conn: psycopg.Connection[Any], batches: Sequence[Batch]) -> list[Appended]:
        """As `log.commit`. LogAway where it stays unknown what became of them: sent again, nothing counts twice."""
        pieces: list[Batch] = []
        whose: list[tuple[int, int]] = []  # which batch a piece is of, and from which row on
        for i, batch in enumerate(batches):
            row = 0
            for piece in self._split(prepared(batch)):
                pieces.append(piece)
                whose.append((i, row))
                row += piece.rows.num_rows
        with self._mutex:
            became = self._append(conn, pieces)
        out = [Appended(position=None, accepted=0) for _ in batches]
        for (i, row), one in zip(whose, became, strict=True):
            out[i] = Appended(
                position=one.position or out[i].position, accepted=out[i].accepted + one.accepted,
                duplicates=[*out[i].duplicates, *(d + row for d in one.duplicates)],
                rejects=[*out[i].rejects, *(replace(r, row=r.row + row) for r in one.rejects)],
            )  # fmt: skip
        return out

    def _split(self, batch: Batch) -> Iterator[Batch]:
        """The batch in pieces that a message can hold each."""
        assert batch.ready is not None
        n = batch.rows.num_rows
        if len(batch.ready.payload) + n * PAIR.itemsize + 2048 <= self.stream.largest:
            yield batch
            return
        if n <= 1:
            raise ValueError(f"a row of {batch.table} is larger than the log's servers take (max_payload)")
        for rows in (batch.rows.slice(0, n // 2), batch.rows.slice(n // 2)):
            yield from self._split(prepared(replace(batch, rows=rows, ready=None)))

    def _append(self, conn: psycopg.Connection[Any], pieces: Sequence[Batch]) -> list[Appended]:
        results: list[Appended | None] = [None] * len(pieces)
        sent: dict[str, tuple[int, Appended]] = {}  # by id: whose fate is to be seen in the stream
        end = time.monotonic() + _PATIENCE_S
        while any(r is None for r in results):
            try:
                self._catch_up(conn, sent, results)
                todo = self._together(pieces, results)
                judged = self._judged(conn, [pieces[i] for i in todo])
            except LogAway:
                if time.monotonic() > end:
                    raise
                continue
            except RunGone:  # folded meanwhile
                continue
            parts = [(i, fresh_id(), result, part) for i, (result, part) in zip(todo, judged, strict=True)]
            bodies = [message(part, name) for _, name, _, part in parts if part is not None]
            if bodies and not self.stream.publish(self._seen.position, bodies):
                # they may stand or not; the others were judged as if they did
                sent.update((name, (i, result)) for i, name, result, part in parts if part is not None)
                if time.monotonic() > end:
                    raise LogAway("what became of a batch is not known; the log's servers do not answer")
                continue
            for i, _, result, part in parts:
                if part is not None and result.position is not None:
                    self._seen.learn(part.pairs, result.position)
                results[i] = result
        return [r for r in results if r is not None]

    @staticmethod
    def _together(pieces: Sequence[Batch], results: Sequence[Appended | None]) -> list[int]:
        """The next pieces without a result that fit into one atomic batch."""
        todo: list[int] = []
        size = 0
        for i, piece in enumerate(pieces):
            if results[i] is not None or piece.ready is None:
                continue
            size += len(piece.ready.payload) + piece.rows.num_rows * PAIR.itemsize
            if todo and (len(todo) == MOST_MESSAGES or size > MOST_BYTES):
                break
            todo.append(i)
        return todo

    def _judged(self, conn: psycopg.Connection[Any], pieces: Sequence[Batch]) -> list[tuple[Appended, Taken | None]]:
        """What becomes of each, were they appended now."""
        self._seen.look_up(conn, [p.ready.ts for p in pieces if p.ready is not None])
        call, position = Known(), self._seen.position
        judged = []
        for piece in pieces:
            assert piece.ready is not None
            verdict = self._seen.judge(conn, call, piece.ready.keys, piece.ready.ts)
            result, part = taken(piece, verdict, position + 1)
            position += part is not None
            judged.append((result, part))
        return judged

    def _catch_up(
        self, conn: psycopg.Connection[Any], sent: dict[str, tuple[int, Appended]], results: list[Appended | None]
    ) -> None:
        """Know every message; those that were ``sent`` from here and stand have their result."""
        row = conn.execute(q("log.folded_to")).fetchone()
        assert row is not None
        self._seen.start(int(row[0]))
        for position, body in self.stream.after(self._seen.position):
            name, part = opened(body)
            self._seen.learn(part.pairs, position)
            mine = sent.pop(name, None)
            if mine is not None and results[mine[0]] is None:
                results[mine[0]] = replace(mine[1], position=position)

    # ------------------------------------------------------------ reading

    def head(self) -> int:
        """The newest position."""
        return self.stream.state().last

    def read(self, after: int, *, limit_rows: int, until: int | None) -> Iterator[LogBatch]:
        """As `log.read`."""
        rows = 0
        for position, body in self.stream.after(after, until=until):
            _, part = opened(body)
            yield _batch(position, part)
            rows += part.n
            if rows >= limit_rows:
                return
        if not rows and until is not None and self.head() < until:
            raise LogAway("the log's servers are behind what was read there before")

    def at(self, positions: Sequence[int]) -> Iterator[LogBatch]:
        """As `log.at`."""
        for position, body in self.stream.at(sorted(positions)):
            yield _batch(position, opened(body)[1])


def _batch(position: int, part: Taken) -> LogBatch:
    return LogBatch(
        position=position, table=part.table, source=part.source, rows=unpack(part.table, part.version, part.payload),
        min_ts=part.min_ts, max_ts=part.max_ts, received_at=part.received_at, basis=part.basis,
        basis_ref=part.basis_ref, basis_until=part.basis_until,
    )  # fmt: skip
