"""Features that a deployment declares itself, and what stands for those whose windows are not whole yet.

Kept true here: a text is a whole feature or a mistake with its line and column; a feature that waits to be rebuilt is
null for every subject, and so is every formula over it; no rule that reads it holds, whatever COALESCE makes of null.

Text: one table named like the feature, as in ``features.toml``, without ``version``, which is given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from wuzha.events.datafile import parse

from .drafts import _NEVER
from .grafting import Keeps
from .rulebook import _FEATURE_MAY, _FEATURE_NEEDS, Feature, RuleBook, _check_keys, _feature, _one_of
from .tables import kept_of

#: The longest window that a deployment may declare. Days are told apart by 64 bits.
MOST_DAYS, MOST_DAYS_OF_DAYS = 180, 60
_DAY_MIN = 1440
#: Units that pages and sentences have words for.
UNITS = ("code", "count", "days", "fen", "minutes", "seconds", "share", "yes")


def read(text: str, book: RuleBook, *, version: int = 1, file: str = "feature") -> Feature:
    """The feature of ``text`` beside those of ``book``. DataFileError says where a mistake stands."""
    d = parse(text, file)
    if len(d.data) != 1 or not isinstance(next(iter(d.data.values())), dict):
        second = list(d.data)[1] if len(d.data) > 1 else next(iter(d.data), "")
        raise d.error(second, "", "write one feature: a table with its name, [name]")
    name = next(iter(d.data))
    if len(name) > 60:
        raise d.error(name, "", f"{name!r} is no name: small letters, digits and _, at most 60")
    if "version" in d.data[name]:
        raise d.error(name, "version", "version is given by the deployment, leave it out")
    above = dict(book.features)
    if name in above:
        names = list(above)
        above = {n: above[n] for n in names[: names.index(name)]}
    found = _feature(d, name, _check_keys(d, name, _FEATURE_NEEDS, _FEATURE_MAY), above, version)
    stood = book.features.get(name)
    if stood is not None and stood.subject != found.subject:
        raise d.error(name, "subject", f"{name} is of a {stood.subject}; of another subject it is another feature")
    _one_of(d, name, "unit", found.unit, UNITS)
    if found.risk and (stood is None or not stood.risk):
        raise d.error(name, "risk", "what counts as money at risk comes with the software")
    if found.op not in ("formula", "register"):
        most = MOST_DAYS_OF_DAYS if found.op == "days" else MOST_DAYS
        if found.window_min < 10 or found.window_min + found.skip_min > most * _DAY_MIN:
            raise d.error(name, "window", f"window and skip are from 10min to {most}d together")
    return found


def text_of(feature: Feature) -> str:
    """A feature as the text of a draft."""
    said: list[tuple[str, object]] = [("subject", feature.subject)]
    if feature.op == "formula":
        said.append(("formula", feature.formula))
    elif feature.op == "register":
        said.append(("attribute", feature.attribute))
    else:
        said += [
            ("op", feature.op),
            ("of", feature.of),
            ("where", feature.where),
            ("window", _span(feature.window_min)),
        ]
        said += [("skip", _span(feature.skip_min))] if feature.skip_min else []
    said += [("risk", True)] if feature.risk else []
    said += [("unit", feature.unit), ("zh", feature.zh), ("en", feature.en)]
    return f"[{feature.name}]\n" + "".join(f"{k} = {_toml(v)}\n" for k, v in said if v != ())


def _span(minutes: int) -> str:
    for unit, size in (("d", _DAY_MIN), ("h", 60)):
        if minutes % size == 0:
            return f"{minutes // size}{unit}"
    return f"{minutes}min"


def _toml(value: object) -> str:
    if value is True:
        return "true"
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(v) for v in value) + "]"
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def with_features(base: RuleBook, own: Sequence[Feature]) -> RuleBook:
    """``base`` with ``own`` in place of the features of their names, or after them."""
    return replace(base, features={**base.features, **{f.name: f for f in own}}) if own else base


def readers(book: RuleBook, names: Iterable[str]) -> tuple[str, ...]:
    """``names`` and every formula that reads one of them, however deep, in the book's order."""
    found = set(names)
    for f in book.features.values():
        if f.program is not None and found.intersection(f.program.features):
            found.add(f.name)
    return tuple(n for n in book.features if n in found)


def lacking(book: RuleBook, whole: Keeps) -> tuple[str, ...]:
    """Features whose windows reach further back than is ``whole``, and the formulas over them."""
    return readers(book, [f.name for f in book.features.values() if bool(np.any(kept_of([f]) > whole))])


def awaiting(book: RuleBook, names: Sequence[str]) -> RuleBook:
    """``book`` while these wait: they are null, their windows are kept, and no rule over them holds."""
    if not names:
        return book
    null: Mapping[str, Feature] = {
        n: replace(book.features[n], op="register", attribute="", program=None, risk=False) for n in names
    }
    rules = {
        r.id: replace(r, program=_NEVER) if set(names).intersection(r.program.features) else r
        for r in book.rules.values()
    }
    kept = tuple(book.features[n] for n in names)
    return replace(book, features={**book.features, **null}, rules=rules, kept=kept)


__all__ = ["MOST_DAYS", "Feature", "awaiting", "lacking", "read", "readers", "text_of", "with_features"]
