"""The book of rules in force: what was shipped, promoted, taken out and snoozed, each from a place in the log on.

Kept true here: the book that judges after log position p follows from the changes up to p alone, so a replay judges by
the same books at the same places; a change waits without a place until the worker gives it one under its lease; a text
that the present features no longer carry is left out and said, it never stops the stream.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import psycopg
import structlog
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from wuzha.detect import Engine, declaring, drafts, reasons
from wuzha.detect.grafting import Graft
from wuzha.detect.rulebook import Rule, RuleBook, Snooze, build_texts, shipped, shipped_texts
from wuzha.detect.tables import tables
from wuzha.events import clock
from wuzha.events.datafile import DataFileError
from wuzha.events.subjects import key
from wuzha.store import audit

from . import declared
from .lease import Connect

log = structlog.get_logger(__name__)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LOOK_S = 0.5
_NOTING = 0x77757A686A


@dataclass(frozen=True, kw_only=True)
class Change:
    """One change of the book. ``position``: the last batch that was judged without it, None where it waits."""

    change_id: int
    kind: str
    base_id: int | None
    rule: str | None
    version: int | None
    subject: str | None
    until: datetime | None
    position: int | None
    feature: str | None = None
    rebuilds: int | None = None
    #: Shipped with windows that counted as whole from its place on.
    whole: bool = False


@dataclass(kw_only=True)
class Standing:
    """What a line of changes comes to. ``steps``: those that concern features."""

    base_id: int | None = None
    promoted: dict[str, int] = field(default_factory=dict)
    out: dict[str, str] = field(default_factory=dict)
    snoozed: dict[tuple[str, str], datetime] = field(default_factory=dict)
    shadowed: dict[str, int] = field(default_factory=dict)
    features: dict[str, int] = field(default_factory=dict)
    steps: tuple[declared.Step, ...] = ()


def fold(changes: Iterable[Change]) -> Standing:
    """What stands after ``changes``, given in their order."""
    changes = list(changes)
    now = Standing(steps=declared.steps(changes))
    for c in changes:
        rule = c.rule or ""
        if c.kind == "shipped":
            now.base_id = c.base_id
        elif c.kind == "promoted":
            assert c.version is not None
            now.promoted[rule] = c.version
            now.out.pop(rule, None)
            if now.shadowed.get(rule) == c.version:
                del now.shadowed[rule]
        elif c.kind in ("retired", "braked"):
            now.out[rule] = c.kind
        elif c.kind == "shadowed":
            assert c.version is not None
            now.shadowed[rule] = c.version
        elif c.kind == "unshadowed":
            now.shadowed.pop(rule, None)
        elif c.kind == "snoozed":
            assert c.subject is not None and c.until is not None
            now.snoozed[rule, c.subject] = c.until
        elif c.kind == "woken":
            now.snoozed.pop((rule, c.subject or ""), None)
        elif c.kind == "declared":
            assert c.feature is not None and c.version is not None
            now.features[c.feature] = c.version
        elif c.kind == "undeclared":
            now.features.pop(c.feature or "", None)
    return now


def changes(conn: psycopg.Connection[Any]) -> list[Change]:
    """All changes in their order, those that wait at the end."""
    rows = conn.execute(
        "SELECT c.change_id, c.kind, c.base_id, c.rule, c.version, s.kind, s.value, c.until, c.position, c.feature,"
        " c.rebuilds, c.whole"
        " FROM wuzha.rule_changes c LEFT JOIN wuzha.subjects s USING (subject_id)"
        " ORDER BY c.position NULLS LAST, c.change_id"
    ).fetchall()
    return [
        Change(
            change_id=r[0], kind=r[1], base_id=r[2], rule=r[3], version=r[4],
            subject=key(r[5], r[6]) if r[5] else None, until=r[7], position=r[8], feature=r[9], rebuilds=r[10],
            whole=r[11],
        )
        for r in rows
    ]  # fmt: skip


# ---------------------------------------------------------------- books


def digest(texts: Mapping[str, str]) -> bytes:
    """What tells one set of files from another."""
    return hashlib.sha256(json.dumps(dict(texts), sort_keys=True).encode()).digest()


@lru_cache(maxsize=4)
def _base(texts: str) -> RuleBook:
    said = json.loads(texts)
    return shipped() if said == shipped_texts() else build_texts(said)


@dataclass(frozen=True, kw_only=True)
class Version:
    """One text of a rule. ``number``: None until it may fire."""

    rule: str
    version: int
    number: int | None
    body: str


def base_book(conn: psycopg.Connection[Any], base_id: int | None) -> RuleBook:
    """The shipped book of ``base_id``; where it is unknown, or this software no longer understands it, today's."""
    if base_id is None:
        return shipped()
    row = conn.execute("SELECT files FROM wuzha.rule_texts WHERE base_id = %s", [base_id]).fetchone()
    try:
        return shipped() if row is None else _base(json.dumps(row[0], sort_keys=True))
    except (DataFileError, KeyError) as error:
        log.warning("an earlier book is not understood; today's is used", base=base_id, error=str(error))
        return shipped()


def under(engine: Any, book: RuleBook) -> Any:
    """The engine, judging by ``book`` from the next event on. Other typologies than before get their numbers anew."""
    if list(engine.rules.typologies) != list(book.typologies):
        return Engine.restore(engine.snapshot(copied=False), book)
    engine.use(book)
    return engine


def featured(conn: psycopg.Connection[Any], standing: Standing) -> tuple[RuleBook, dict[str, str]]:
    """The shipped book with the deployment's own features, whether their windows are whole or not."""
    base = base_book(conn, standing.base_id)
    own, wrong = declared.own(conn, base, standing.features)
    return declaring.with_features(base, own), wrong


def windows(conn: psycopg.Connection[Any], steps: Sequence[declared.Step]) -> declared.Windows:
    """What windows are whole after ``steps``."""
    return declared.windows(conn, steps, lambda base_id: base_book(conn, base_id))


def book_of(
    conn: psycopg.Connection[Any], standing: Standing, *, with_shadows: bool = False
) -> tuple[RuleBook, dict[str, str]]:
    """The book of ``standing``, and by rule or feature why a text could not be taken in. With shadows: as if they were
    live. Features whose windows are not whole are null in it, and rules over them never hold."""
    base, wrong = featured(conn, standing)
    waits: tuple[str, ...] = ()
    if standing.features or len(standing.steps) > 1:
        waits = declaring.lacking(base, windows(conn, standing.steps).whole)
    chosen = {**standing.promoted, **(standing.shadowed if with_shadows else {})}
    snoozes = [
        Snooze(rule=rule, subject=subject, until=(until - _EPOCH) // timedelta(microseconds=1))
        for (rule, subject), until in standing.snoozed.items()
    ]
    out = [r for r in standing.out if not (with_shadows and r in standing.shadowed)]
    if not chosen and not out and not snoozes:
        return declaring.awaiting(base, waits), wrong
    present: dict[str, drafts.Draft] = {}
    former: dict[int, Rule] = {}
    with conn.cursor(row_factory=class_row(Version)) as cursor:
        for v in cursor.execute(
            "SELECT rule, version, number, body FROM wuzha.rule_versions WHERE number IS NOT NULL ORDER BY 1, 2"
        ):
            assert v.number is not None
            mine = chosen.get(v.rule) == v.version
            try:
                draft = drafts.read(v.body, base, number=v.number, version=v.version, file=f"{v.rule}@{v.version}")
            except DataFileError as error:
                if mine:
                    wrong[v.rule] = str(error)
                continue
            if mine:
                present[v.rule] = draft
            else:
                former[v.number] = draft.rule
    laid = drafts.laid(base, list(present.values()), out=out, former=former, snoozes=snoozes)
    return declaring.awaiting(laid, waits), wrong


def written(conn: psycopg.Connection[Any], standing: Standing) -> list[Rule]:
    """The deployment's own rules that may have fired, in every version."""
    base, _ = featured(conn, standing)
    found = []
    for (body,) in conn.execute("SELECT body FROM wuzha.rule_versions WHERE number IS NOT NULL"):
        with suppress(DataFileError):
            found.append(drafts.read(body, base).rule)
    return found


class Books:
    """Books by log position, as they were recorded when this was made."""

    def __init__(self, conn: psycopg.Connection[Any]) -> None:
        self._conn = conn
        self._line = [c for c in changes(conn) if c.position is not None]
        self.known = frozenset(c.change_id for c in self._line)

    def since(self, known: frozenset[int]) -> int | None:
        """The first place of a change that is not among ``known``."""
        return min((c.position or 0 for c in self._line if c.change_id not in known), default=None)

    def at(self, position: int) -> RuleBook:
        """The book that judges what comes after ``position``."""
        book, wrong = book_of(self._conn, fold(c for c in self._line if (c.position or 0) <= position))
        for rule, why in wrong.items():
            log.error("rule left out", rule=rule, why=why)
        return book

    def windows(self, position: int | None = None) -> declared.Windows:
        """What windows are whole after ``position``; None: after all that is recorded."""
        line = [c for c in self._line if position is None or (c.position or 0) <= position]
        return windows(self._conn, declared.steps(line))

    def pending(self) -> declared.Pending | None:
        """The change whose windows are to be rebuilt."""
        return self.windows().pending

    def pending_of(self, change_id: int) -> declared.Pending:
        """What was to be rebuilt for a change, when it was. KeyError where nothing was."""
        steps = declared.steps(self._line)
        at = next(i for i, s in enumerate(steps) if s.change_id == change_id)
        pending = windows(self._conn, steps[: at + 1]).pending
        if pending is None or pending.change_id != change_id:
            raise KeyError(change_id)
        return pending

    def rebuilt(self, after: int, position: int) -> list[Change]:
        """Changes by which windows became whole at ``position`` or before it, of those numbered above ``after``."""
        wanted = {s.change_id for s in self.windows(position).rebuilt if s.change_id > after}
        return [c for c in self._line if c.change_id in wanted]

    def next(self, position: int) -> int | None:
        """The first place after ``position`` at which the book changes."""
        return min((c.position for c in self._line if c.position is not None and c.position > position), default=None)


# ---------------------------------------------------------------- taking changes up


def note_shipped(conn: psycopg.Connection[Any], now: datetime) -> None:
    """Record the files in the package where they are not the newest known: the first ones hold from the log's
    beginning, later ones from where they are taken up."""
    texts = shipped_texts()
    mark = digest(texts)
    with conn.transaction():
        conn.execute("SELECT pg_advisory_xact_lock(%s)", [_NOTING])  # several workers start at once
        newest = conn.execute(
            "SELECT t.digest FROM wuzha.rule_changes c JOIN wuzha.rule_texts t USING (base_id)"
            " ORDER BY c.change_id DESC LIMIT 1"
        ).fetchone()
        if newest is not None and newest[0] == mark:
            return
        conn.execute(
            "INSERT INTO wuzha.rule_texts (digest, files, at) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
            [mark, Jsonb(texts), now],
        )
        conn.execute(
            "INSERT INTO wuzha.rule_changes (kind, base_id, at, position)"
            " SELECT 'shipped', base_id, %s, %s FROM wuzha.rule_texts WHERE digest = %s",
            [now, 0 if newest is None else None, mark],
        )


@dataclass(frozen=True, kw_only=True)
class Ready:
    """Changes that wait, the book with them, and windows that are whole with it, by the change that says so."""

    ids: tuple[int, ...]
    book: RuleBook
    parts: tuple[tuple[int, Graft], ...] = ()


class Watch(threading.Thread):
    """Looks for changes that wait and makes their book ready beside the stream, which so need not stop for it."""

    def __init__(self, connect: Connect, part_of: Callable[[psycopg.Connection[Any], Change], Graft]) -> None:
        super().__init__(name="rules", daemon=True)
        self._connect, self._part_of = connect, part_of
        self._stop_asked = threading.Event()
        self._ready: Ready | None = None

    def stop(self) -> None:
        """End after the look under way."""
        self._stop_asked.set()
        self.join(10)

    def run(self) -> None:
        """Look twice a second until `stop`."""
        conn: psycopg.Connection[Any] | None = None
        while not self._stop_asked.wait(_LOOK_S):
            try:
                if conn is None or conn.closed:
                    conn = self._connect()
                self.look(conn)
            except psycopg.Error as error:
                log.warning("rules not looked at", error=type(error).__name__)
                conn = None
            except Exception as error:
                log.exception("rules not taken up", error=repr(error)[:200])
        if conn is not None:
            conn.close()

    def look(self, conn: psycopg.Connection[Any]) -> None:
        """Look once."""
        ids = tuple(
            r[0] for r in conn.execute("SELECT change_id FROM wuzha.rule_changes WHERE position IS NULL ORDER BY 1")
        )
        held = self._ready
        if not ids or (held is not None and held.ids == ids):
            return
        line = [c for c in changes(conn) if c.position is not None or c.change_id in ids]
        steps = declared.steps(line)
        waiting = {s.change_id for s in steps if s.position is None}
        if waiting:
            now = declared.takeable(conn, steps, lambda base_id: base_book(conn, base_id), _committed(conn))
            ids = tuple(i for i in ids if i in now or i not in waiting)
            line = [c for c in line if c.position is not None or c.change_id in ids]
            if not ids or (held is not None and held.ids == ids):
                return
        ends = [c for c in line if c.kind == "rebuilt" and c.change_id in ids]
        whole = {s.change_id for s in windows(conn, declared.steps(line)).rebuilt}
        parts = tuple((c.change_id, self._part_of(conn, c)) for c in ends if c.change_id in whole)
        book, wrong = book_of(conn, fold(line))
        for rule, why in wrong.items():
            log.error("rule left out", rule=rule, why=why)
        tables(book)
        learn(conn)
        self._ready = Ready(ids=ids, book=book, parts=parts)

    def take(self) -> Ready | None:
        """What is ready, once."""
        ready, self._ready = self._ready, None
        return ready


def _committed(conn: psycopg.Connection[Any]) -> int:
    row = conn.execute("SELECT coalesce(min(position), 0) FROM wuzha.partitions").fetchone()
    return int(row[0]) if row else 0


def give_place(conn: psycopg.Connection[Any], ids: tuple[int, ...], position: int) -> None:
    """Inside the caller's transaction, under its lease: the changes hold for what comes after ``position``."""
    conn.execute(
        "UPDATE wuzha.rule_changes SET position = %s WHERE change_id = ANY(%s) AND position IS NULL",
        [position, list(ids)],
    )


# ---------------------------------------------------------------- the brake


def over_cap(
    conn: psycopg.Connection[Any], book: RuleBook, fired: Iterable[str], every: int = 0
) -> list[tuple[Rule, int, int]]:
    """Of the rules that have just fired those that gave more evidence in an hour than their cap, with how much and the
    cap. ``every``: the cap of a rule that names none, 0 for none."""
    found = []
    for name in sorted(set(fired)):
        rule = book.rules.get(name)
        cap = 0 if rule is None else rule.cap or every
        if rule is None or not cap or drafts.never(rule):
            continue
        if conn.execute(_BRAKING, [name]).fetchone() is not None:
            continue
        row = conn.execute(
            _GIVEN if rule.subject == "person" else _SUSPECTED, {"rule": name, "version": rule.version}
        ).fetchone()
        if row is not None and row[0] > cap:
            found.append((rule, int(row[0]), cap))
    return found


_BRAKING = "SELECT 1 FROM wuzha.rule_changes WHERE rule = %s AND kind = 'braked' AND position IS NULL"
_GIVEN = """SELECT count(*) FROM wuzha.evidence WHERE rule = %(rule)s AND rule_version = %(version)s AND at >
    (SELECT max(at) - interval '1 hour' FROM wuzha.evidence WHERE rule = %(rule)s AND rule_version = %(version)s)"""
_SUSPECTED = """WITH given AS (
    SELECT (args -> %(rule)s ->> 'at')::timestamptz AS at FROM wuzha.suspects
     WHERE args ? %(rule)s AND (args -> %(rule)s ->> 'version')::int = %(version)s)
    SELECT count(*) FROM given WHERE at > (SELECT max(at) - interval '1 hour' FROM given)"""


def brake(conn: psycopg.Connection[Any], rule: Rule, given: int, cap: int) -> None:
    """Take the rule out as soon as the worker takes it up; the audit says so."""
    detail = {"given": given, "cap": cap}
    conn.execute(
        "INSERT INTO wuzha.rule_changes (kind, rule, version, at, detail) VALUES ('braked', %s, %s, %s, %s)",
        [rule.id, rule.version, clock.now(), Jsonb(detail)],
    )
    audit.append(
        conn, actor="engine", action="rule.brake", object=f"rule:{rule.id}", detail={"version": rule.version, **detail}
    )


# ---------------------------------------------------------------- words


def learn(conn: psycopg.Connection[Any]) -> None:
    """The sentences of all versions that this deployment has written, so that evidence is told as it was given."""
    for rule, version, zh, en in conn.execute("SELECT rule, version, zh, en FROM wuzha.rule_versions"):
        reasons.learn(rule, version, zh, en)


def learn_of(conn: psycopg.Connection[Any], evidence: Iterable[tuple[str | None, int | None]]) -> None:
    """As `learn`, where this process lacks the words of one of these (rule, version)."""
    if any(rule is not None and not reasons.known(rule, version or 0) for rule, version in evidence):
        learn(conn)
