"""What the engine found of a pending transfer's sides, in words and figures for the answer and the record.

Kept true here: figures and evidence are told with the names and versions of the book that judged.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from wuzha import detect
from wuzha.detect import codes
from wuzha.detect.changes import moment
from wuzha.detect.decide import MERCHANT, OWN, STRANGER, Decider, Transfer, Verdicts, pending
from wuzha.events import STAGES

from .asking import Heard
from .decision_packs import FIGURE
from .decision_packs import figures as figures_of
from .decision_words import Answer, Reason, Side

_SENTENCES = 10_000
_JSON = msgspec.json.Encoder()


def book_of(rules: detect.RuleBook) -> tuple[str, bytes]:
    """A book of rules as JSON, and its SHA-256: what features, rules and typologies said."""
    content = {
        "features": {
            f.name: {"version": f.version, "subject": f.subject, "unit": f.unit, "zh": f.zh, "en": f.en}
            for f in rules.features.values()
        },
        "rules": {
            r.id: {"version": r.version, "subject": r.subject, "stage": r.stage, "when": r.when, "zh": r.zh, "en": r.en}
            for r in rules.rules.values()
        },
        "typologies": {
            t.id: {
                "scam_type": t.scam_type, "zh": t.zh, "en": t.en, "levels": t.levels, "interdict": t.interdict,
                "weights": t.weights,
            }
            for t in rules.typologies.values()
        },
    }  # fmt: skip
    said = _JSON.encode(content)
    return hashlib.sha256(said).hexdigest(), said


class Book:
    """What the answers need of a book of rules."""

    def __init__(self, rules: detect.RuleBook) -> None:
        self.rules = rules
        self.digest, self.content = book_of(rules)
        self.typologies = list(rules.typologies.values())
        self.numbers = {r.number: r for r in rules.rules.values()}
        self._sentences: dict[tuple[Any, ...], tuple[str, str]] = {}
        self.names = tuple(rules.features)
        kinds = np.array([f.subject for f in rules.features.values()])
        self.of_side = np.stack([kinds == "account", kinds == "account", kinds == "person", kinds == "person"])

    def sentences(self, rule: Any, args: dict[str, float | None]) -> tuple[str, str]:
        """A piece of evidence in Chinese and English; the same is asked for again and again."""
        key = rule.id, *args.values()
        found = self._sentences.get(key)
        if found is None:
            if len(self._sentences) >= _SENTENCES:
                self._sentences.clear()
            zh, en = (detect.reason(rule.id, rule.version, args, language, self.rules) for language in ("zh", "en"))
            found = self._sentences[key] = zh, en
        return found


def eventful(verdicts: Verdicts) -> npt.NDArray[np.intp]:
    """Rows on a side of which anything stands."""
    s = verdicts.sides
    on = (s["level"] >= 0) | (s["was_level"] >= 0) | (s["suspect"] > 0) | (s["marks"] & 6 > 0) | (s["fired"] > 0)
    return np.flatnonzero(on.any(axis=1))


def of_rows(verdicts: Verdicts, rows: npt.NDArray[np.intp]) -> Verdicts:
    """These rows' part of the verdicts, in rising order, counted from 0."""
    pieces = verdicts.pieces[np.isin(verdicts.pieces["row"], rows)]
    pieces["row"] = np.searchsorted(rows, pieces["row"])
    values = verdicts.values[rows] if len(verdicts.values) else verdicts.values
    return Verdicts(sides=verdicts.sides[rows], flags=verdicts.flags[rows], values=values, pieces=pieces)


def persons_of(engine: detect.Engine, verdicts: Verdicts) -> list[tuple[str | None, str | None]]:
    """The payer's and the payee's person of each row by their keys; the accounts stand in the question."""
    some = verdicts.sides[:, 2:]
    numbers = np.where((some["known"] != 0) & (some["subject"] >= 0), some["subject"], -1).tolist()
    subject = engine.subject
    return [(subject(p) if p >= 0 else None, subject(q) if q >= 0 else None) for p, q in numbers]


def packed(book: Book, verdicts: Verdicts) -> list[bytes]:
    """Each row's figures that are neither null nor 0 as `FIGURE`."""
    rows, at, values = _standing(book, verdicts)
    found = np.empty(len(rows), FIGURE)
    found["at"], found["value"] = at, values
    ends = (np.cumsum(np.bincount(rows, minlength=len(verdicts.sides))) * FIGURE.itemsize).tolist()
    said, begin, out = found.tobytes(), 0, []
    for end in ends:
        out.append(said[begin:end])
        begin = end
    return out


def _reasons(book: Book, verdicts: Verdicts) -> dict[tuple[int, int], list[Reason]]:
    out: dict[tuple[int, int], list[Reason]] = {}
    for at, values, row, number, side, fresh in verdicts.pieces.tolist():
        rule = book.numbers.get(number)
        if rule is None:
            continue
        args = {n: None if v != v else v for n, v in zip(rule.args, values.tolist(), strict=False)}
        zh, en = book.sentences(rule, args)
        out.setdefault((row, side), []).append(
            Reason(
                rule=rule.id, version=rule.version, at=moment(at), args=args, fresh=bool(fresh), zh=zh, en=en,
            )
        )  # fmt: skip
    return out


def _standing(book: Book, verdicts: Verdicts) -> tuple[Any, Any, Any]:
    """Row, side × features + feature, and value of each figure that is neither null nor 0, in this order."""
    values = verdicts.values
    some = (values != 0) & (values == values) & book.of_side & (verdicts.sides["subject"] >= 0)[:, :, None]
    flat = np.flatnonzero(some)
    rows, at = np.divmod(flat, some.shape[1] * some.shape[2] or 1)
    return rows, at, values.reshape(-1)[flat]


def sides_of(
    book: Book, verdicts: Verdicts, persons: Sequence[tuple[str | None, str | None]], *, figures: bool = True
) -> list[list[Side]]:
    """Four sides of each row, with or without their figures."""
    reasons = _reasons(book, verdicts)
    told = [figures_of(p, book.names) for p in packed(book, verdicts)] if figures else None
    out = []
    for row, four in enumerate(verdicts.sides.tolist()):
        made = []
        for c, said in enumerate(four):
            score, amount, _, _, suspect, marks, typology, level, was, stage, known, fired = said
            side = Side(
                subject=persons[row][c - 2] if c >= 2 else None, known=bool(known), figures=told[row][c] if told else {}
            )
            if suspect or marks or level >= 0 or was >= 0 or fired:
                side.suspect = [t for i, t in enumerate(codes.SUSPECTS) if suspect >> i & 1]
                side.cleared, side.confirmed = bool(marks & 2), bool(marks & 4)
                side.was_level, side.fired, side.reasons = was + 1, fired, reasons.get((row, c), [])
                if level >= 0:
                    one = book.typologies[typology]
                    side.level, side.stage, side.score = level + 1, STAGES[stage], round(score, 3)
                    side.typology, side.scam_type = one.id, one.scam_type
                    side.typology_zh, side.typology_en = one.zh, one.en
                    side.interdict, side.amount_fen = side.score >= one.interdict, amount
            elif (row, c) in reasons:  # evidence that does not make an alert yet
                side.reasons = reasons[row, c]
            made.append(side)
        out.append(made)
    return out


def ask_here(engine: detect.Engine, transfer: tuple[Any, ...]) -> Heard:
    """An engine at hand is asked as an owner would be. ``transfer``: `decision_words.Ask` after its number."""
    book = Book(engine.rules)
    verdicts = Decider().judge(engine, pending([Transfer(*transfer)]), figures=True)
    flags = int(verdicts.flags[0])
    answer = Answer(
        number=0, partition=0, epoch=0, position=0, rows=0, book=book.digest, stranger=bool(flags & STRANGER),
        own=bool(flags & OWN), merchant=bool(flags & MERCHANT),
        sides=sides_of(book, verdicts, persons_of(engine, verdicts))[0],
    )  # fmt: skip
    return Heard(by={"payer": answer, "payee": answer})
