"""What the engine found of a pending transfer's sides, in words and figures for the answer and the record.

Kept true here: figures and evidence are told with the names and versions of the book that judged.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import numpy as np

from wuzha import detect
from wuzha.detect import codes
from wuzha.detect.changes import moment
from wuzha.detect.decide import MERCHANT, OWN, STRANGER, Decider, Transfer, Verdicts, pending
from wuzha.events import STAGES

from .asking import Heard
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
        self.names = np.array(list(rules.features), object)
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


def names_of(engine: detect.Engine, verdicts: Verdicts, row: int) -> list[str | None]:
    """Persons by their keys; the accounts stand in the question."""
    some = verdicts.sides[row]
    persons = zip(some["subject"][2:].tolist(), some["known"][2:].tolist(), strict=True)
    return [None, None, *(engine.subject(s) if known and s >= 0 else None for s, known in persons)]


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


def _figures(book: Book, verdicts: Verdicts) -> list[dict[str, float]]:
    """By row * 4 + side: what is neither null nor 0."""
    values = verdicts.values
    some = ~np.isnan(values) & (values != 0) & book.of_side & (verdicts.sides["subject"] >= 0)[:, :, None]
    rows, sides, columns = np.nonzero(some)
    names, figures = book.names[columns].tolist(), values[some].tolist()
    ends = np.cumsum(np.bincount(rows * 4 + sides, minlength=4 * len(values))).tolist()
    begin, out = 0, []
    for end in ends:
        out.append(dict(zip(names[begin:end], figures[begin:end], strict=True)))
        begin = end
    return out


def sides_of(book: Book, verdicts: Verdicts, names: list[list[str | None]]) -> list[list[Side]]:
    """Four sides of each row."""
    reasons, figures = _reasons(book, verdicts), _figures(book, verdicts)
    out = []
    for row, four in enumerate(verdicts.sides.tolist()):
        made = []
        for c, said in enumerate(four):
            score, amount, _, _, suspect, marks, typology, level, was, stage, known, fired = said
            side = Side(subject=names[row][c], known=bool(known), figures=figures[row * 4 + c])
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
        sides=sides_of(book, verdicts, [names_of(engine, verdicts, 0)])[0],
    )  # fmt: skip
    return Heard(by={"payer": answer, "payee": answer})
