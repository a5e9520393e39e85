"""What PostgreSQL keeps of a log that stands in a stream: its index, and batches on their way into it.

Kept true here: the index follows the stream without gaps and can be made again from it; a batch that a desk wrote with
its own rows goes to the stream after they stand, at least once, where it counts once. A deployment whose log stands in
one place never goes on in another unnoticed.
"""

from __future__ import annotations

from typing import Any

import psycopg

from wuzha.events.batch import Reject

from . import log
from .jetstream import LogUnsound
from .log_rows import Batch, unpack
from .queries import q
from .stream_log import StreamLog, opened

_CARRYING = 0x77757A686B
_AT_ONCE = 500


def settle(conn: psycopg.Connection[Any]) -> None:
    """See that the log stands where it always stood, and make its stream where the deployment is new. LogUnsound
    where it cannot go on there. Role wuzha_engine."""
    elsewhere = log.stream()
    with conn.transaction():
        row = conn.execute(q("log.place")).fetchone()
        assert row is not None
        recorded, indexed, folded, reached = row
        if elsewhere is None:
            if recorded is not None:
                raise LogUnsound(
                    f"this deployment's log stands in the stream {recorded}; name its servers in WUZHA_LOG, as before"
                )
            return
        name = elsewhere.stream.place.name
        if recorded is None and indexed:
            raise LogUnsound(
                "this deployment's log stands in its database and holds batches already; a log moves to a stream only"
                " with a new deployment (docs: many machines)"
            )
        if recorded is not None and recorded != name:
            raise LogUnsound(f"this deployment's log stands in the stream {recorded}, not in {name}")
        state = elsewhere.stream.make()
        needed = max(indexed, reached)
        if recorded is None and state.last:
            raise LogUnsound(f"the stream {name} holds messages already: another deployment's? Name another stream")
        if state.last < needed or state.first > folded + 1:
            raise LogUnsound(
                f"the stream {name} holds positions {state.first} to {state.last}, but this deployment's records reach"
                f" {needed}: it is not the stream that they were made from, or it was put back from an old copy"
            )
        if recorded is None:
            conn.execute(q("log.stands"), {"stream": name})


def follow(conn: psycopg.Connection[Any], elsewhere: StreamLog) -> int:
    """Take what is new in the stream into the index; how many messages. Role wuzha_engine."""
    done = 0
    while True:
        with conn.transaction():
            row = conn.execute(q("log.lock")).fetchone()
            assert row is not None
            at = int(row[0])
            rows: list[dict[str, Any]] = []
            for position, body in elsewhere.stream.after(at):
                _, part = opened(body)
                rows.append({**log.row_of(part), "position": position, "payload": b""})
                at = position
                if len(rows) >= _AT_ONCE:
                    break
            if not rows:
                return done
            conn.cursor().executemany(q("log.insert"), rows)
            conn.execute(q("log.advance"), {"position": at})
        done += len(rows)
        if len(rows) < _AT_ONCE:
            return done


def carry(conn: psycopg.Connection[Any], elsewhere: StreamLog) -> int:
    """Put into the stream what waits to go there; how many batches. Role wuzha_engine."""
    with conn.transaction():
        row = conn.execute(q("log.carrying"), {"lock": _CARRYING}).fetchone()
        if row is None or not row[0]:
            return 0
        waiting = conn.execute(q("log.leaving"), {"limit": _AT_ONCE}, binary=True).fetchall()
        if not waiting:
            return 0
        batches = [
            Batch(
                table=table, rows=unpack(table, version, payload), source=source, received_at=received_at, basis=basis,
                basis_ref=basis_ref, basis_until=basis_until,
            )
            for _, table, version, source, received_at, basis, basis_ref, basis_until, payload in waiting
        ]  # fmt: skip
        try:
            elsewhere.append(conn, batches)
        except ValueError:  # one of them is no batch that the stream can hold: the others go on
            for batch in batches:
                _alone(conn, elsewhere, batch)
        conn.execute(q("log.left"), {"numbers": [w[0] for w in waiting]})
    return len(waiting)


def _alone(conn: psycopg.Connection[Any], elsewhere: StreamLog, batch: Batch) -> None:
    """Put one batch into the stream, or among the rejects, with why it cannot stand there."""
    try:
        elsewhere.append(conn, [batch])
    except ValueError as error:
        log.write_rejects(
            conn, batch, [Reject(row=0, column="", value=None, reason="set_aside", message=str(error)[:500])]
        )
