"""Records of decisions, committed in groups: many requests share one transaction.

Kept true here: an answer is given only when its record is durable; a source's key stands for one record for good, and
whoever asks with it again gets that; what a revoked key asked, or a worker that lost its lease answered, is never
recorded. Of a group's single transfers the rows hold what is asked of them all, and one pack the records.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import psycopg
import structlog

from . import decision_packs
from .decision_packs import Figures, Kept

log = structlog.get_logger(__name__)

_GROUP = 512
_PATIENCE_S = 5.0
_JSON = msgspec.json.Encoder()

_INSERT = """
WITH p AS MATERIALIZED (SELECT nextval('wuzha.decision_packs_pack_id_seq') AS pack_id),
     held AS MATERIALIZED (SELECT coalesce(array_agg(partition || ':' || epoch), '{}') AS owners FROM wuzha.partitions)
INSERT INTO wuzha.decisions (source_id, key, asked, at, n, action, ends_at, missing, rules, policy, position, record,
                             rows, pack_id, place)
SELECT s.source_id, a.key, decode(a.asked, 'hex'), a.at, a.n, a.action, a.ends_at, string_to_array(a.missing, ','),
       a.rules, a.policy, a.position, a.record::jsonb, (%s::bytea[])[a.row],
       CASE WHEN a.record IS NULL THEN p.pack_id END, a.place
  FROM p, held, unnest(%s::bigint[], %s::text[], %s::text[], %s::timestamptz[], %s::int[], %s::text[],
                       %s::timestamptz[], %s::text[], %s::text[], %s::text[], %s::bigint[], %s::text[], %s::text[],
                       %s::int[])
       WITH ORDINALITY AS a (key_id, key, asked, at, n, action, ends_at, missing, rules, policy, position, owners,
                             record, row, place)
  JOIN wuzha.api_keys k ON k.key_id = a.key_id AND k.revoked_at IS NULL
  JOIN wuzha.sources s ON s.source_id = k.source_id AND s.active AND s.role = 'bank'
   AND (s.basis_until IS NULL OR s.basis_until > a.at)
 WHERE string_to_array(a.owners, ',') <@ held.owners
ON CONFLICT (source_id, key) DO NOTHING
RETURNING place - 1, decision_id, source_id, pack_id
"""
#: The same for a group of single transfers all of which can stand, in one statement with their packs: where one cannot
#: it fails, by a division by zero, and nothing of it stands.
_TOGETHER = """
WITH p AS MATERIALIZED (SELECT nextval('wuzha.decision_packs_pack_id_seq') AS pack_id),
     held AS MATERIALIZED (SELECT coalesce(array_agg(partition || ':' || epoch), '{}') AS owners FROM wuzha.partitions),
     fresh AS (
INSERT INTO wuzha.decisions (source_id, key, asked, at, n, action, ends_at, missing, rules, policy, position, pack_id,
                             place)
SELECT s.source_id, a.key, decode(a.asked, 'hex'), a.at, 1, a.action, a.ends_at, string_to_array(a.missing, ','),
       a.rules, a.policy, a.position, p.pack_id, a.place
  FROM p, held, json_to_recordset(%s::json)
       AS a (key_id bigint, key text, asked text, at timestamptz, action text, ends_at timestamptz, missing text,
             rules text, policy text, position bigint, owners text, place int)
  JOIN wuzha.api_keys k ON k.key_id = a.key_id AND k.revoked_at IS NULL
  JOIN wuzha.sources s ON s.source_id = k.source_id AND s.active AND s.role = 'bank'
   AND (s.basis_until IS NULL OR s.basis_until > a.at)
 WHERE string_to_array(a.owners, ',') <@ held.owners
ON CONFLICT (source_id, key) DO NOTHING
RETURNING place, decision_id),
     kept AS (
INSERT INTO wuzha.decision_packs (pack_id, source_id, content)
SELECT p.pack_id, c.source_id, c.content FROM p, unnest(%s::bigint[], %s::bytea[]) AS c (source_id, content))
SELECT 1 / (count(*) = %s)::int, string_agg(decision_id::text, ',' ORDER BY place) FROM fresh
"""
_KEEP = "INSERT INTO wuzha.decision_packs (pack_id, source_id, content) VALUES (%s, %s, %s)"
_STANDING = """
SELECT d.decision_id, d.source_id, d.key, d.asked, d.place, p.content, d.record, d.rows FROM wuzha.decisions d
  JOIN unnest(%s::bigint[], %s::text[]) AS w(source_id, key) ON d.source_id = w.source_id AND d.key = w.key
  LEFT JOIN wuzha.decision_packs p ON p.pack_id = d.pack_id AND p.source_id = d.source_id
"""
_KEYS = """
SELECT k.key_id FROM wuzha.api_keys k JOIN wuzha.sources s USING (source_id)
 WHERE k.key_id = ANY(%s) AND k.revoked_at IS NULL AND s.active AND s.role = 'bank'
   AND (s.basis_until IS NULL OR s.basis_until > %s)
"""


#: One decision of a source by its number: its key, and what `decision_packs.record` takes.
ONE = """
SELECT d.key, d.place, p.content, d.record, d.rows FROM wuzha.decisions d
  LEFT JOIN wuzha.decision_packs p ON p.pack_id = d.pack_id AND p.source_id = d.source_id WHERE d.decision_id = %s
"""


class _Row(msgspec.Struct):
    """A record as `_TOGETHER` reads it."""

    key_id: int
    key: str
    asked: str
    at: str
    action: str
    ends_at: str | None
    missing: str
    rules: str | None
    policy: str
    position: int | None
    owners: str
    place: int


def _columns(records: Sequence[Record]) -> list[Any]:
    """What `_INSERT` takes. Records of many transfers stand whole in their row, the others in the group's pack."""
    blobs = [r.rows for r in records if r.rows is not None]
    numbers = iter(range(1, len(blobs) + 1))
    owners: dict[tuple[tuple[int, int], ...], str | None] = {}
    for r in records:
        if r.owners not in owners:
            owners[r.owners] = ",".join(f"{p}:{e}" for p, e in r.owners)
    return [
        blobs, [r.key_id for r in records], [r.key for r in records], [r.asked.hex() for r in records],
        [r.at for r in records], [r.n for r in records], [r.action for r in records], [r.ends_at for r in records],
        [",".join(r.missing) for r in records], [r.rules for r in records], [r.policy for r in records],
        [r.position for r in records], [owners[r.owners] for r in records],
        [None if r.rows is None else r.record.decode() for r in records],
        [None if r.rows is None else next(numbers) for r in records],
    ]  # fmt: skip


class KeyRefused(Exception):
    """The key or its source works no more."""


class Stale(Exception):
    """An answer was of a worker that does not hold its partition any more: ask again."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One record as it will stand. ``record`` is JSON; ``owners`` (partition, epoch) of the answers behind it;
    ``figures``: as the payer's and as the payee's owner told them."""

    key_id: int
    source_id: int
    key: str
    asked: bytes
    at: str
    n: int
    action: str
    ends_at: str | None
    missing: list[str]
    rules: str | None
    policy: str
    position: int | None
    record: bytes
    rows: bytes | None = None
    owners: tuple[tuple[int, int], ...] = ()
    figures: Figures = (None, None)


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """The record that stands under a key. ``repeated``: it stood before; ``same``: the question was the same."""

    decision_id: int
    repeated: bool
    same: bool = True
    record: dict[str, Any] = {}
    rows: bytes | None = None


#: Whoever waits for a record, and what became of it: an error to raise or the record that stands.
Became = tuple[Any, Standing | Exception]


class Recorder:
    """One thread that owns one connection. `submit` from any thread; ``deliver`` is called in the recorder's own, once
    a group: waking a waiting loop costs as much as a record does."""

    def __init__(
        self, connect: Callable[[], psycopg.Connection[Any]], deliver: Callable[[Sequence[Became]], None]
    ) -> None:
        self._connect, self._deliver = connect, deliver
        self._queue: deque[tuple[Record, Any]] = deque()
        self._books: dict[str, tuple[str, bytes]] = {}
        self._kept: set[str] = set()
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self.groups = 0

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Commit what waits, then end."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(_PATIENCE_S + 5)

    def book(self, digest: str, kind: str, content: bytes) -> None:
        """What records may refer to; it is kept before the first that does."""
        if digest not in self._kept:
            self._books[digest] = (kind, content)

    def submit(self, *records: tuple[Record, Any]) -> None:
        """Records and whoever waits for each: ``deliver`` gets ``whom`` with the record that will stand, with
        KeyRefused, Stale or psycopg's error."""
        with self._changed:
            if self._stopping:
                raise RuntimeError("the server is stopping")
            self._queue.extend(records)
            self._changed.notify()

    def _take(self) -> list[tuple[Record, Any]]:
        with self._changed:
            while not self._queue and not self._stopping:
                self._changed.wait()
            return [self._queue.popleft() for _ in range(min(len(self._queue), _GROUP))]

    def _run(self) -> None:
        conn: psycopg.Connection[Any] | None = None
        while group := self._take():
            until = time.monotonic() + _PATIENCE_S
            while True:
                try:
                    if conn is None or conn.closed:
                        conn = self._connect()
                        conn.execute("SELECT set_config('wuzha.source', 'any', false)")
                    self._commit(conn, group)
                except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                    # the commit may stand: trying again then finds it standing
                    if conn is not None:
                        conn.close()
                    conn = None
                    if isinstance(error, psycopg.errors.DiskFull) or time.monotonic() > until:
                        self._fail(group, error)
                        break
                    time.sleep(0.1)
                    continue
                except Exception as error:
                    log.exception("records refused")
                    self._fail(group, error)
                break
            self.groups += 1
        if conn is not None:
            conn.close()

    def _fail(self, group: Sequence[tuple[Record, Any]], error: Exception) -> None:
        self._deliver([(whom, error) for _, whom in group])

    def _commit(self, conn: psycopg.Connection[Any], group: Sequence[tuple[Record, Any]]) -> None:
        for digest, (kind, content) in list(self._books.items()):
            conn.execute(
                "INSERT INTO wuzha.decision_books (digest, kind, content, at) VALUES (%s, %s, %s::jsonb, %s)"
                " ON CONFLICT DO NOTHING",
                [digest, kind, content.decode(), group[0][0].at],
            )
            self._kept.add(digest)
            self._books.pop(digest)
        numbers = self._together(conn, group)
        if numbers is not None:
            self._deliver(
                [(whom, Standing(decision_id=n, repeated=False)) for (_, whom), n in zip(group, numbers, strict=True)]
            )
            return
        with conn.transaction():
            new = {}
            packs: dict[tuple[int, int], dict[int, Kept]] = {}
            for place, number, source, pack in conn.execute(_INSERT, _columns([r for r, _ in group]), prepare=True):
                new[place] = number
                if pack is not None:
                    record = group[place][0]
                    packs.setdefault((pack, source), {})[place + 1] = record.record, record.figures
            for (pack, source), kept in packs.items():
                conn.execute(_KEEP, [pack, source, decision_packs.packed(kept)], prepare=True)
        told: list[Became] = [
            (whom, Standing(decision_id=new[place], repeated=False))
            for place, (_, whom) in enumerate(group) if place in new
        ]  # fmt: skip
        if len(new) < len(group):
            told += self._why(conn, [one for place, one in enumerate(group) if place not in new])
        self._deliver(told)

    def _together(self, conn: psycopg.Connection[Any], group: Sequence[tuple[Record, Any]]) -> list[int] | None:
        """The numbers under which all of them stand now; None: not all can, and none does."""
        rows: list[_Row] = []
        packs: dict[int, dict[int, Kept]] = {}
        for place, (r, _) in enumerate(group, start=1):
            if r.rows is not None:
                return None
            packs.setdefault(r.source_id, {})[place] = r.record, r.figures
            owners = ",".join([f"{p}:{e}" for p, e in r.owners])
            rows.append(
                _Row(r.key_id, r.key, r.asked.hex(), r.at, r.action, r.ends_at, ",".join(r.missing), r.rules, r.policy,
                     r.position, owners, place)
            )  # fmt: skip
        contents = [decision_packs.packed(kept) for kept in packs.values()]
        try:
            said = conn.execute(
                _TOGETHER, [_JSON.encode(rows).decode(), list(packs), contents, len(group)], prepare=True
            ).fetchone()
        except psycopg.errors.DivisionByZero:
            return None
        assert said is not None
        return [int(n) for n in said[1].split(",")]

    def _why(self, conn: psycopg.Connection[Any], left: Sequence[tuple[Record, Any]]) -> list[Became]:
        """What was not written: it stands already, its key works no more, or its answer was stale."""
        records = [r for r, _ in left]
        good = {row[0] for row in conn.execute(_KEYS, [[r.key_id for r in records], records[0].at])}
        stands = {
            (s, k): (number, bytes(asked), *decision_packs.record(*said))
            for number, s, k, asked, *said in conn.execute(
                _STANDING, [[r.source_id for r in records], [r.key for r in records]]
            )
        }
        out: list[Became] = []
        for r, whom in left:
            if r.key_id not in good:
                out.append((whom, KeyRefused()))
            elif (found := stands.get((r.source_id, r.key))) is None:
                out.append((whom, Stale()))
            else:
                number, asked, record, rows = found
                same = asked == r.asked
                out.append((whom, Standing(decision_id=number, repeated=True, same=same, record=record, rows=rows)))
        return out
