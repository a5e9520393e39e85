"""Audit: who did what when, committed with the deed, chained each second, the chain's head kept outside the database.

Kept true here: an audit row commits or rolls back with what it tells; each sealed row's hash is
sha256(previous hash ‖ row), in the order (seal, audit_id), so that a row which commits late is chained late and a gap
from a rolled back number is none; whoever alters, removes or reorders sealed rows in the database, even as its
superuser, is found, unless he also rewrites the heads file.
What the chain cannot show: a row removed before its first sealing (within about a second).
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import structlog
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from wuzha.events import clock

from .queries import q

log = structlog.get_logger(__name__)

_LOCK = 0x77757A6863
#: Rows of one seal at most: a bound on the sealer's memory.
_SEAL_ROWS = 5_000
_NOTHING = bytes(32)
#: Bytes at the heads file's end that are looked at before sealing; verifying reads all of it.
_TAIL = 1 << 16


class HeadsDiffer(Exception):
    """The heads file and the database do not belong together, and sealing on would hide it: the file knows seals that
    the database has not (an older copy was put back), or it is gone (an empty one in its place begins anew)."""


def append(
    conn: psycopg.Connection[Any],
    *,
    actor: str,
    action: str,
    object: str | None = None,
    user_id: int | None = None,
    unit_id: int | None = None,
    detail: Mapping[str, Any] | None = None,
    at: datetime | None = None,
) -> None:
    """Writes one row in the caller's transaction. ``actor``: login, source or process; ``object``: ``alert:12`` …;
    ``detail``: codes and numbers, never names, identity numbers or passwords. Roles: wuzha_web, wuzha_engine."""
    conn.execute(
        q("audit.append"),
        {
            "at": at or clock.now(), "user_id": user_id, "unit_id": unit_id, "actor": actor, "action": action,
            "object": object, "detail": Jsonb(dict(detail or {}), dumps=_dumps),
        },
    )  # fmt: skip


def rows(
    conn: psycopg.Connection[Any],
    *,
    limit: int = 100,
    before: int | None = None,
    since: datetime | None = None,
    actor: str | None = None,
    action: str | None = None,
    object: str | None = None,
) -> list[dict[str, Any]]:
    """Newest rows first; ``before`` is the last page's smallest ``audit_id``; ``action`` also matches ``action.…``."""
    asked = {"limit": limit, "before": before, "since": since, "actor": actor, "action": action, "object": object}
    return conn.cursor(row_factory=dict_row).execute(q("audit.list"), asked).fetchall()


def seal(conn: psycopg.Connection[Any], heads: Path, *, now: datetime | None = None) -> int:
    """Chains the rows that wait and writes the new heads to ``heads``; returns how many rows. Role wuzha_engine.

    Raises HeadsDiffer, and seals nothing, where the file knows more seals than the database or is gone.
    """
    sealed = 0
    while True:
        with conn.transaction():
            conn.execute(q("audit.lock"), {"lock": _LOCK})
            last = conn.execute(q("audit.last_seal")).fetchone()
            number, head = (0, _NOTHING) if last is None else (last[0], bytes(last[3]))
            known = _newest_head(heads)
            if known > number:
                raise HeadsDiffer(f"{heads} knows seal {known}, the database ends at {number}")
            if number > 1 and not heads.exists():
                raise HeadsDiffer(f"{heads} is gone, but the database has {number} seals; put it back")
            waiting = conn.execute(q("audit.unsealed"), {"limit": _SEAL_ROWS}).fetchall()
            if waiting:
                hashes = []
                for row in waiting:
                    head = _link(head, row)
                    hashes.append(head)
                conn.execute(q("audit.chain"), {"seal": number + 1, "ids": [r[0] for r in waiting], "hashes": hashes})
                conn.execute(
                    q("audit.seal"),
                    {"seal": number + 1, "at": now or clock.now(), "last_id": waiting[-1][0], "n": len(waiting),
                     "head": head},
                )  # fmt: skip
        # After the commit: the file never knows a seal that was rolled back. A crash between is made good next time.
        missing = conn.execute(q("audit.seals"), {"after": known}).fetchall()
        if missing:
            _write_heads(heads, missing)
        sealed += len(waiting)
        if len(waiting) < _SEAL_ROWS:
            return sealed


def _link(head: bytes, row: Any) -> bytes:
    """The hash of a row after ``head``. Row: audit_id, at, user_id, unit_id, actor, action, object, detail as text."""
    audit_id, at, *rest = row
    canonical = json.dumps(
        [audit_id, at.astimezone(UTC).isoformat(timespec="microseconds"), *rest],
        ensure_ascii=False,
        separators=(",", ":"),
    )
    return hashlib.sha256(head + canonical.encode()).digest()


# ---------------------------------------------------------------- the heads file


@dataclass(frozen=True, kw_only=True)
class Heads:
    """What the heads file says: seal → (last_id, n, head in hex); seals that it tells in two ways."""

    entries: dict[int, tuple[int, int, str]]
    contradictions: list[int]


def read_heads(path: Path) -> Heads:
    """Reads the heads file; a missing one is empty, a torn line (a crash while writing) is passed over."""
    entries: dict[int, tuple[int, int, str]] = {}
    contradictions: list[int] = []
    try:
        lines = path.read_text("utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        lines = []
    for line in lines:
        try:
            said = json.loads(line)
            number, entry = int(said["seal"]), (int(said["last_id"]), int(said["n"]), str(said["head"]))
        except (ValueError, KeyError, TypeError):
            continue
        if entries.setdefault(number, entry) != entry:
            contradictions.append(number)
    return Heads(entries=entries, contradictions=contradictions)


def _newest_head(path: Path) -> int:
    """The newest seal that the file knows, from its last lines; 0 for an empty or missing file."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
            lines = file.read().splitlines()
    except FileNotFoundError:
        return 0
    newest = 0
    for line in lines:
        try:
            newest = max(newest, int(json.loads(line)["seal"]))
        except (ValueError, KeyError, TypeError):  # a torn line, or the first of a tail
            continue
    return newest


def _write_heads(path: Path, seals: list[Any]) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "ab") as out:
        size = os.fstat(out.fileno()).st_size
        if size and os.pread(out.fileno(), 1, size - 1) != b"\n":
            out.write(b"\n")  # ends a torn line
        for number, at, last_id, n, head in seals:
            line = {"seal": number, "at": at.isoformat(), "last_id": last_id, "n": n, "head": bytes(head).hex()}
            out.write(json.dumps(line).encode() + b"\n")
        out.flush()
        os.fsync(out.fileno())


# ---------------------------------------------------------------- verifying


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What verifying found. ``why`` is a stable code; ``audit_id`` the first broken row where one can be named."""

    rows: int
    seals: int
    waiting: int
    head: str | None
    why: str | None = None
    seal: int | None = None
    audit_id: int | None = None

    @property
    def whole(self) -> bool:
        """Nothing is broken."""
        return self.why is None


def verify(conn: psycopg.Connection[Any], heads: Path) -> Verdict:
    """Recomputes the chain and compares it with the seals and with the heads file. Role wuzha_engine.

    ``why``: ``row_altered``, ``row_missing`` (removed from, or added to, a seal), ``seal_missing``, ``seal_altered``,
    ``head_differs`` (chain rewritten after the head left), ``seals_lost`` (the file knows more), ``heads_missing``,
    ``heads_contradict``.
    """
    # one snapshot: the sealer goes on while we read
    with conn.transaction():
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        waiting = conn.execute(q("audit.waiting")).fetchone()
        seals = {row[0]: row for row in conn.execute(q("audit.seals"), {"after": 0})}
        checked = _Chain(seals)
        with conn.cursor("audit_verify") as cursor:
            cursor.execute(q("audit.sealed_rows"))
            broken = checked.walk(cursor)
    if broken is None:
        broken = _against_file(checked, read_heads(heads))
    why, number, audit_id = broken or (None, None, None)
    return Verdict(
        rows=checked.rows, seals=len(seals), waiting=waiting[0] if waiting else 0,
        head=None if checked.rows == 0 else checked.head.hex(), why=why, seal=number, audit_id=audit_id,
    )  # fmt: skip


_Broken = tuple[str, int | None, int | None]


class _Chain:
    """Walks the rows; remembers each seal's computed head."""

    def __init__(self, seals: dict[int, Any]) -> None:
        self.seals = seals
        self.heads: dict[int, str] = {}
        self.first: dict[int, int] = {}
        self.head, self.rows = _NOTHING, 0
        self._in_seal, self._last_id, self._number = 0, 0, 0

    def walk(self, rows: Iterator[Any]) -> _Broken | None:
        for number, stored, *row in rows:
            if number != self._number:
                broken = self._close()
                if broken is None and number != self._number + 1:
                    broken = ("row_missing", self._number + 1, row[0])
                if broken is None and number not in self.seals:
                    broken = ("seal_missing", number, row[0])
                if broken is not None:
                    return broken
                self._number, self._in_seal = number, 0
                self.first[number] = row[0]
            head = _link(self.head, row)
            if stored is None or bytes(stored) != head:
                # A row that was taken out shows at its follower; the stored hash then is right for another past.
                return ("row_altered", number, row[0])
            self.head, self._last_id = head, row[0]
            self._in_seal += 1
            self.rows += 1
        return self._close() or self._missing_tail()

    def _close(self) -> _Broken | None:
        if self._number == 0:
            return None
        _, _, last_id, n, head = self.seals[self._number]
        self.heads[self._number] = self.head.hex()
        if n != self._in_seal:
            return ("row_missing", self._number, self._last_id)
        if last_id != self._last_id or bytes(head) != self.head:
            return ("seal_altered", self._number, self._last_id)
        return None

    def _missing_tail(self) -> _Broken | None:
        beyond = sorted(s for s in self.seals if s > self._number)
        return ("row_missing", beyond[0], None) if beyond else None


def _against_file(chain: _Chain, heads: Heads) -> _Broken | None:
    if heads.contradictions:
        return ("heads_contradict", heads.contradictions[0], None)
    newest = max(chain.seals, default=0)
    for number, (last_id, n, head) in sorted(heads.entries.items()):
        if number > newest:
            return ("seals_lost", number, None)
        _, _, own_last, own_n, _ = chain.seals[number]
        if head != chain.heads[number] or (last_id, n) != (own_last, own_n):
            return ("head_differs", number, chain.first.get(number))
    # The newest seal may have been committed this moment and not be in the file yet; an older one must be.
    lost = sorted(set(chain.seals) - heads.entries.keys() - {newest})
    if lost or (chain.seals and not heads.entries and newest > 1):
        return ("heads_missing", lost[0] if lost else newest, None)
    return None


class Sealer(threading.Thread):
    """Seals each second, until stopped; trouble is logged and tried again."""

    def __init__(self, connect: Callable[[], psycopg.Connection[Any]], heads: Path, *, every_s: float = 1.0) -> None:
        super().__init__(name="audit-sealer", daemon=True)
        self._connect, self._heads, self._every_s = connect, heads, every_s
        self._stop_asked = threading.Event()

    def stop(self) -> None:
        """Seal what waits, then end."""
        self._stop_asked.set()
        self.join(10)

    def run(self) -> None:
        """Seal until `stop`."""
        conn: psycopg.Connection[Any] | None = None
        last, told = False, ""
        while not last:
            last = self._stop_asked.wait(self._every_s)
            try:
                if conn is None or conn.closed:
                    conn = self._connect()
                seal(conn, self._heads)
                told = ""
            except (psycopg.Error, OSError, HeadsDiffer) as error:
                if str(error) != told:  # once for each trouble, not each second
                    log.error("audit rows are not sealed", error=str(error))
                told = str(error)
                if conn is not None:
                    conn.close()
                conn = None
        if conn is not None:
            conn.close()


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
