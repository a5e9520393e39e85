"""What the kernels have left to be told, as plain records: moves, alerts with their evidence and warnings, suspects.

Kept true here: everything is told once; an alert that has gained or lost pieces by a word on persons is told whole.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from wuzha.events import STAGES

from . import layout
from .changes import Alert, Evidence, JoinedWarning, Move, Suspect, Told, moment
from .codes import HINTS, K_ACCOUNT, K_DEVICE, K_LINE, K_PERSON, NEVER
from .layout import State

_RANK = ("low", "medium", "high", "urgent")


class Outcome(NamedTuple):
    """An engine's state, and by what its numbers are known."""

    state: State
    typologies: Sequence[Any]
    #: Rules by the numbers that evidence keeps.
    numbers: dict[int, Any]
    #: Key of a subject by its number.
    subject: Callable[[int], str]


def _plain(name: str, dtype: np.dtype[Any]) -> Any:
    """Makes a record of the state, as `item` and `tolist` give it, plain Python's."""
    return namedtuple(name, dtype.names or ())._make  # type: ignore[attr-defined]


_dossier, _evidence = _plain("_Dossier", layout.DOSSIER), _plain("_Evidence", layout.EVIDENCE)
_subject, _member = _plain("_Subject", layout.SUBJECT), _plain("_Member", layout.MEMBER)


def _bare(of: Outcome, i: int) -> str:
    return of.subject(i).partition(":")[2]


def collect(of: Outcome, out: Told) -> None:
    """All that has changed and is not told yet, into ``out``; from then on it is told."""
    state, n = of.state, of.state.n
    for j in range(int(n[layout.N_MOVES])):
        move = state.moves[j]
        out.moves.append(
            Move(
                source=_bare(of, int(move["source"])),
                target=_bare(of, int(move["target"])),
                at=moment(int(move["at"])),
            )
        )
    n[layout.N_MOVES] = 0
    dirty = state.dirty[: int(n[layout.N_DIRTY])]
    dossiers = state.dossiers[dirty]
    state.dossiers["dirty"][dirty] = 0
    kinds = state.subjects["kind"][dossiers["subject"]].tolist()
    # a record as a whole is read as fast as one field of it
    for d, kind, fields in zip(dirty.tolist(), kinds, dossiers.tolist(), strict=True):
        record = _dossier(fields)
        if kind == K_PERSON:
            state.dossiers[d]["restated"] = state.dossiers[d]["withdrawn"] = 0
            _person(of, record, out)
        elif record.open:
            _suspect(of, record, out)
    n[layout.N_DIRTY] = 0


def _piece(of: Outcome, e: int) -> Any:
    return _evidence(of.state.evidence[e].item())


def _person(of: Outcome, record: Any, out: Told) -> None:
    state = of.state
    person, episode = _bare(of, record.subject), record.episode
    anew, gone = bool(record.restated), bool(record.withdrawn)
    if not record.open:
        if gone:
            out.withdraw((person, episode + 1))
        return
    if anew:
        out.restate((person, episode))
    typology = of.typologies[record.typology]
    line, account, device = _reachable(of, record)
    place = record.place or (int(state.subjects[line]["place"]) if line >= 0 else 0)
    out.alert(
        Alert(
            person=person, episode=episode, line=_bare(of, line) if line >= 0 else None,
            account=_bare(of, account) if account >= 0 else None,
            device=_bare(of, device) if device >= 0 else None, place=f"{place:04d}00" if place else None,
            raised_at=moment(record.raised_at),
            high_at=None if record.high_at == NEVER else moment(record.high_at),
            last_evidence_at=moment(max(record.last_at, record.raised_at)),
            level=_RANK[max(record.level, 0)], scam_type=_type(of, record, typology),
            stage=STAGES[record.stage], score=round(record.score, 3), typology=typology.id,
            amount_fen=record.amount or None,
            interdict=bool(record.score >= typology.interdict),
        )
    )  # fmt: skip
    fresh_evidence = []
    e, told = record.evidence, state.evidence["told"]
    while e >= 0 and (anew or not told[e]):  # what is not told yet is newer than all that is
        told[e] = 1
        fresh_evidence.append(_piece(of, e))
        e = fresh_evidence[-1].next
    for piece in reversed(fresh_evidence):
        rule = of.numbers.get(piece.rule)
        if rule is None:
            continue
        known_as = of.typologies[max(piece.typology, 0)]
        out.evidence(
            Evidence(
                person=person, episode=episode, rule=rule.id, version=rule.version, at=moment(piece.at),
                weight=known_as.weights.get(rule.id) or _weight(of, rule.id), typology=known_as.id,
                stage=rule.stage, args=_args(rule, piece),
                events=tuple(piece.refs[: piece.n_refs].tolist()),
            )
        )  # fmt: skip
    joined = []
    w = record.warnings
    while w >= 0:
        warning = state.joined[w]
        if warning["told"] and not anew:
            break
        warning["told"] = 1
        joined.append(JoinedWarning(person=person, episode=episode, ref=int(warning["ref"])))
        w = int(warning["next"])
    for note in reversed(joined):
        out.warning(note)


def _type(of: Outcome, record: Any, typology: Any) -> str:
    """The typology's scam type; where it is no scam's own, the one that the newest warning names."""
    e = record.evidence
    while typology.scam_type == "other" and e >= 0:
        piece = _piece(of, e)
        if piece.hint:
            return HINTS[piece.hint]
        e = piece.next
    return str(typology.scam_type)


def _weight(of: Outcome, rule: str) -> float:
    return max((t.weights.get(rule, 0.0) for t in of.typologies), default=0.0)


def _args(rule: Any, piece: Any) -> dict[str, float | None]:
    values = [None if v != v else v for v in piece.args[: len(rule.args)].tolist()]
    return dict(zip(rule.args, values, strict=True))


def _reachable(of: Outcome, record: Any) -> tuple[int, int, int]:
    """Line, account and device of the person by which to reach them: the evidence's own line, else the newest."""
    state = of.state
    found = {K_LINE: record.line, K_ACCOUNT: -1, K_DEVICE: -1}
    p: int = record.subject
    while True:
        person = _subject(state.subjects[p].item())
        if person.marks & 1:
            s = person.provisional
            kind = int(state.subjects[s]["kind"])
            found[kind] = s if found.get(kind, -1) < 0 else found[kind]
        m = person.member
        while m >= 0:
            member = _member(state.members[m].item())
            kind = int(state.subjects[member.subject]["kind"])
            if found.get(kind, -1) < 0 and member.rank >= 3 and member.end > record.last_at:
                found[kind] = member.subject
            m = member.next_of_person
        p = person.twin
        if p == record.subject:
            return found[K_LINE], found[K_ACCOUNT], found[K_DEVICE]


def _suspect(of: Outcome, record: Any, out: Told) -> None:
    typology = of.typologies[record.typology]
    args: dict[str, dict[str, Any]] = {}
    e = record.evidence
    while e >= 0:
        piece = _piece(of, e)
        rule = of.numbers.get(piece.rule)
        if rule is not None and rule.id not in args:
            args[rule.id] = {
                "version": rule.version, "at": moment(piece.at).isoformat(),
                "args": _args(rule, piece),
                "events": piece.refs[: piece.n_refs].tolist(),
            }  # fmt: skip
        e = piece.next
    out.suspect(
        Suspect(
            subject=of.subject(record.subject), typology=typology.id,
            score=round(record.score, 3), first_at=moment(record.raised_at),
            last_at=moment(max(record.last_at, record.raised_at)), args=dict(sorted(args.items())),
        )
    )  # fmt: skip
