"""The features in force after a line of changes: which are whole, and what waits to be rebuilt.

Kept true here: that follows from the changes and their places alone. Windows of the features that stood when the log
began are whole; a change that wants longer ones, or others, has them whole from the place of its `rebuilt` on. Two such
changes are never under way at once, and no two that were taken up one after the other share a place: the later one
waits without a place until the log has gone on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import psycopg

from wuzha.detect import declaring
from wuzha.detect.grafting import Keeps
from wuzha.detect.rulebook import Feature, RuleBook
from wuzha.detect.tables import kept_of
from wuzha.events.datafile import DataFileError

#: Kinds of changes that decide which features there are.
KINDS = ("shipped", "declared", "undeclared")


@dataclass(frozen=True, kw_only=True)
class Step:
    """A change of the features, or the end of one. ``position`` None: it waits."""

    change_id: int
    kind: str
    base_id: int | None
    feature: str | None
    version: int | None
    rebuilds: int | None
    whole: bool
    position: int | None


@dataclass(frozen=True, kw_only=True)
class Pending:
    """A change whose windows are not whole: as long as ``before`` they were, as long as ``after`` they are to be."""

    change_id: int
    position: int | None
    before: Keeps
    after: Keeps


@dataclass(frozen=True, kw_only=True)
class Windows:
    """What a line of steps comes to. ``rebuilt``: the steps by which windows became whole, in their order."""

    whole: Keeps
    pending: Pending | None
    rebuilt: tuple[Step, ...]
    #: All features that ever stood, whatever has become of them.
    ever: tuple[Feature, ...]


def own(
    conn: psycopg.Connection[Any], base: RuleBook, versions: Mapping[str, int]
) -> tuple[list[Feature], dict[str, str]]:
    """A deployment's own features by their versions, and by name why a text is not understood any more."""
    found: list[Feature] = []
    wrong: dict[str, str] = {}
    if not versions:
        return found, wrong
    texts = {
        (name, version): body
        for name, version, body in conn.execute("SELECT feature, version, body FROM wuzha.feature_versions")
    }
    book = base
    for name, version in versions.items():
        try:
            feature = declaring.read(texts[name, version], book, version=version, file=f"{name}@{version}")
        except DataFileError as error:
            wrong[name] = str(error)
            continue
        found.append(feature)
        book = declaring.with_features(book, [feature])
    return found, wrong


def windows(conn: psycopg.Connection[Any], steps: Sequence[Step], base_of: Callable[[int | None], RuleBook]) -> Windows:
    """Walk the steps; ``base_of`` gives the shipped book of a base."""
    whole: Keeps | None = None
    pending: Pending | None = None
    rebuilt: list[Step] = []
    ever: dict[Feature, None] = {}
    base = base_of(None)
    versions: dict[str, int] = {}
    for step in steps:
        if step.kind == "rebuilt":
            if pending is not None and step.rebuilds == pending.change_id:
                whole, pending = pending.after, None
                rebuilt.append(step)
            continue
        if step.kind == "shipped":
            base = base_of(step.base_id)
        elif step.kind == "declared":
            assert step.feature is not None and step.version is not None
            versions[step.feature] = step.version
        else:
            versions.pop(step.feature or "", None)
        features = declaring.with_features(base, own(conn, base, versions)[0]).features.values()
        ever |= dict.fromkeys(replace(f, program=None) for f in features)
        wanted = kept_of(features)
        if whole is None or step.whole or step.position == 0:
            whole, pending = wanted, None
        elif np.any(wanted > whole):
            pending = Pending(change_id=step.change_id, position=step.position, before=whole, after=wanted)
            whole = np.minimum(whole, wanted)
        else:
            whole, pending = np.minimum(whole, wanted), None
    if whole is None:
        whole = kept_of(base.features.values())
        ever = dict.fromkeys(replace(f, program=None) for f in base.features.values())
    return Windows(whole=whole, pending=pending, rebuilt=tuple(rebuilt), ever=tuple(ever))


def takeable(
    conn: psycopg.Connection[Any], steps: Sequence[Step], base_of: Callable[[int | None], RuleBook], committed: int
) -> set[int]:
    """Of the steps that wait those that may be taken up now, by number, where results reach ``committed``. While
    windows are being rebuilt that is their end, or what makes it needless."""
    newest = max((s.position for s in steps if s.position is not None), default=0)
    if newest and committed <= newest:
        return set()  # the log has not gone on since the last one
    placed = [s for s in steps if s.position is not None]
    waiting = [s for s in steps if s.position is None]
    pending = windows(conn, placed, base_of).pending
    ends = [s for s in waiting if s.kind == "rebuilt"]
    if pending is None:
        return {s.change_id for s in waiting}
    if any(s.rebuilds == pending.change_id for s in ends):
        return {s.change_id for s in ends}
    if windows(conn, [*placed, *(s for s in waiting if s.kind != "rebuilt")], base_of).pending is None:
        return {s.change_id for s in waiting}
    return set()


# ---------------------------------------------------------------- told


def progress(
    conn: psycopg.Connection[Any], book: RuleBook, steps: Sequence[Step], windows: Windows
) -> list[dict[str, Any]]:
    """Of each feature that is a deployment's own or waits: name, version, words, state (live, waiting for the worker,
    rebuilding, queued behind another), share read, and why the last try failed."""
    rows = {
        row[0]: row[1:] for row in conn.execute("SELECT change_id, share, why, began_at FROM wuzha.feature_rebuilds")
    }
    mine: dict[str, Step] = {}
    for step in steps:
        if step.kind == "declared":
            mine[step.feature or ""] = step
        elif step.kind == "undeclared":
            mine.pop(step.feature or "", None)
    waiting = {f.name for f in book.kept}
    pending = windows.pending
    out = []
    for name in book.features:
        declared = mine.get(name)
        if declared is None and name not in waiting:
            continue
        f = next((k for k in book.kept if k.name == name), book.features[name])
        said: dict[str, Any] = {
            "name": name, "version": f.version, "own": declared is not None, "subject": f.subject, "zh": f.zh,
            "en": f.en, "state": "live", "share": None, "why": None,
        }  # fmt: skip
        if name in waiting and pending is not None:
            share, why, began = rows.get(pending.change_id, (0.0, None, None))
            state = "waiting" if pending.position is None else "rebuilding" if began is not None else "queued"
            said |= {"state": state, "share": round(float(share), 3), "why": why}
        elif declared is not None and declared.position is None:
            said["state"] = "waiting"
        out.append(said)
    return out


def steps(changes: Iterable[Any]) -> tuple[Step, ...]:
    """The changes that concern features, of all changes of a book."""
    return tuple(
        Step(
            change_id=c.change_id, kind=c.kind, base_id=c.base_id, feature=c.feature, version=c.version,
            rebuilds=c.rebuilds, whole=c.whole, position=c.position,
        )
        for c in changes
        if c.kind in KINDS or c.kind == "rebuilt"
    )  # fmt: skip


__all__ = ["KINDS", "Pending", "Step", "Windows", "own", "progress", "steps", "takeable", "windows"]
