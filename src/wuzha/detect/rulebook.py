"""Features, rules and typologies, read from their files and checked; the tables that the kernels run on.

Kept true here: a book is complete or it is not made: every name is known, every rule weighs in a typology of its
subject, every mistake is said at its file, line and column.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from wuzha.events import STAGES
from wuzha.events.datafile import DataFile, DataFileError, parse
from wuzha.events.scam_types import scam_types

from . import codes
from .book import BASE, REGISTER
from .layout import N_ARGS
from .predicate import PredicateError, Program, compile_text

_DURATION = re.compile(r"(\d+)\s*(min|h|d)\Z")
_MINUTES = {"min": 1, "h": 60, "d": 1440}
_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One declared figure of a subject. Windows count back from the subject's newest event, in 10-minute buckets."""

    name: str
    subject: str
    op: str
    of: tuple[str, ...] = ()
    where: tuple[str, ...] = ()
    window_min: int = 0
    skip_min: int = 0
    attribute: str = ""
    formula: str = ""
    program: Program | None = None
    unit: str
    zh: str
    en: str
    version: int
    risk: bool = False


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A predicate with a reason. ``number`` stands in evidence and snapshots and never changes."""

    id: str
    number: int
    version: int
    subject: str
    stage: str
    when: str
    program: Program
    args: tuple[str, ...]
    cooldown_min: int
    #: An alert of level low at the least, whatever it weighs: somebody must answer it.
    opens: bool
    zh: str
    en: str
    file: str
    #: Pieces of evidence in an hour above which the rule is taken out; 0: no cap.
    cap: int = 0


@dataclass(frozen=True, kw_only=True)
class Typology:
    """Weighted rules with thresholds: a scam's handwriting on its victim, or a suspect's."""

    id: str
    subject: str
    scam_type: str
    zh: str
    en: str
    stages: tuple[str, ...]
    halflife_min: int
    levels: tuple[float, float, float, float]
    urgent_stage: str
    interdict: float
    weights: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Snooze:
    """One rule gives no evidence on one subject (by key) for what becomes known before ``until`` (µs)."""

    rule: str
    subject: str
    until: int


@dataclass(frozen=True)
class RuleBook:
    """All that is declared, in the files' order.

    ``former`` holds rules by the numbers under which evidence of their earlier versions was given: it is told as what
    it was, and weighs as the rule of that name does now.
    """

    features: dict[str, Feature]
    rules: dict[str, Rule]
    typologies: dict[str, Typology]
    former: dict[int, Rule] = field(default_factory=dict)
    snoozes: tuple[Snooze, ...] = ()
    #: Windows that are kept although nothing here reads them: of features that wait to be rebuilt.
    kept: tuple[Feature, ...] = ()

    def by_number(self, number: int) -> Rule:
        """The rule with this number; KeyError where it is gone."""
        for rule in self.rules.values():
            if rule.number == number:
                return rule
        raise KeyError(number)


def _minutes(d: DataFile, table: str, key: str, default: int | None = None) -> int:
    row = _table(d, table)
    if key not in row:
        if default is None:
            raise d.error(table, "", f"[{table}] wants {key}")
        return default
    match = _DURATION.match(str(row[key]))
    if not match:
        raise d.error(table, key, f"{row[key]!r} is no duration; write 30min, 24h or 7d")
    return int(match[1]) * _MINUTES[match[2]]


def _table(d: DataFile, table: str) -> dict[str, Any]:
    node: Any = d.data
    for part in table.split("."):
        node = node[part]
    return dict(node)


def _check_keys(
    d: DataFile, table: str, need: dict[str, type | tuple[type, ...]], may: dict[str, Any]
) -> dict[str, Any]:
    row = _table(d, table)
    for key, kind in need.items():
        if key not in row:
            raise d.error(table, "", f"[{table}] wants {key}")
        if not isinstance(row[key], kind):
            raise d.error(table, key, f"{key} is {row[key]!r}, of the wrong kind")
    for key, value in row.items():
        if key not in need and key not in may:
            raise d.error(table, key, f"[{table}] knows no {key!r}")
        if key in may and not isinstance(value, may[key]):
            raise d.error(table, key, f"{key} is {value!r}, of the wrong kind")
    return row


def _one_of(d: DataFile, table: str, key: str, value: str, allowed: Iterable[str]) -> None:
    if value not in allowed:
        raise d.error(table, key, f"{value!r} is none of {', '.join(allowed)}")


def read_features(d: DataFile) -> dict[str, Feature]:
    """Features of one file, in its order; a formula reads only features declared above it."""
    out: dict[str, Feature] = {}
    for name in d.data:
        row = _check_keys(d, name, {**_FEATURE_NEEDS, "version": int}, _FEATURE_MAY)
        out[name] = _feature(d, name, row, out, row["version"])
    return out


_FEATURE_NEEDS: dict[str, Any] = {"subject": str, "unit": str, "zh": str, "en": str}
_FEATURE_MAY: dict[str, Any] = {
    "op": str, "of": (str, list), "where": (str, list), "window": str, "skip": str, "attribute": str, "formula": str,
    "risk": bool,
}  # fmt: skip


def _feature(d: DataFile, name: str, row: dict[str, Any], above: Mapping[str, Feature], version: int) -> Feature:
    """The feature of one table; a formula reads only those ``above``."""
    if not _NAME.match(name):
        raise d.error(name, "", f"{name!r} is no name: small letters, digits and _")
    _one_of(d, name, "subject", row["subject"], codes.JUDGED)
    op = "formula" if "formula" in row else "register" if "attribute" in row else row.get("op", "")
    _one_of(d, name, "op", op, BASE)
    of, where = _texts(row.get("of", [])), _texts(row.get("where", []))
    program = None
    if op == "formula":
        known = [f.name for f in above.values() if f.subject == row["subject"]]
        try:
            program = compile_text(row["formula"], known, predicate=False)
        except PredicateError as error:
            raise d.error(name, "formula", str(error), line=error.line, column=error.column) from error
    elif op == "register":
        _one_of(d, name, "attribute", row.get("attribute", ""), REGISTER)
    else:
        if not of:
            raise d.error(name, "", f"[{name}] wants of: which events it counts")
        for item in of:
            kind, _, side = item.partition(".")
            _one_of(d, name, "of", kind, codes.TYPES)
            _one_of(d, name, "of", side or "out", codes.SIDES)
            for w in where:
                if w.lstrip("!") not in codes.TYPES[kind]:
                    raise d.error(name, "where", f"{kind} has no flag {w!r}; it has {', '.join(codes.TYPES[kind])}")
    feature = Feature(
        name=name, subject=row["subject"], op=op, of=of, where=where, unit=row["unit"], zh=row["zh"], en=row["en"],
        version=version, risk=row.get("risk", False), formula=row.get("formula", ""), program=program,
        attribute=row.get("attribute", ""),
        window_min=0 if op in ("formula", "register") else _minutes(d, name, "window"),
        skip_min=_minutes(d, name, "skip", 0),
    )  # fmt: skip
    if feature.window_min % 10 or feature.skip_min % 10:
        raise d.error(name, "window", "windows are whole buckets of 10 minutes")
    return feature


def _texts(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


_ARG = re.compile(r"\{(\w+)(?::\w+)?\}")


def read_rules(d: DataFile, features: dict[str, Feature]) -> dict[str, Rule]:
    """Rules of one file. Reason sentences name features in braces, ``{calls:minutes}``; those are kept as arguments."""
    out: dict[str, Rule] = {}
    for name in d.data:
        row = _check_keys(d, name, {"number": int, "version": int, **_RULE_NEEDS}, _RULE_MAY)
        out[name] = _rule(d, name, row, features, row["number"], row["version"])
    return out


_RULE_NEEDS: dict[str, Any] = {"subject": str, "stage": str, "when": str, "zh": str, "en": str}
_RULE_MAY: dict[str, Any] = {"cooldown": str, "opens": bool, "cap": int}


def _rule(d: DataFile, name: str, row: dict[str, Any], features: dict[str, Feature], number: int, version: int) -> Rule:
    _one_of(d, name, "subject", row["subject"], codes.JUDGED)
    _one_of(d, name, "stage", row["stage"], STAGES)
    known = [f.name for f in features.values() if f.subject == row["subject"]]
    try:
        program = compile_text(row["when"], known, predicate=True)
    except PredicateError as error:
        raise d.error(name, "when", str(error), line=error.line, column=error.column) from error
    args = tuple(dict.fromkeys(_ARG.findall(row["zh"]) + _ARG.findall(row["en"])))
    for arg in args:
        if arg not in known:
            raise d.error(name, "zh", f"the reason names {arg!r}, which is no feature of a {row['subject']}")
    if len(args) > N_ARGS:
        raise d.error(name, "zh", f"a reason names at most {N_ARGS} features")
    if row.get("cap", 0) < 0:
        raise d.error(name, "cap", "a cap is a number of pieces of evidence in an hour, 0 for none")
    return Rule(
        id=name, number=number, version=version, subject=row["subject"], stage=row["stage"], when=row["when"],
        program=program, args=args, cooldown_min=_minutes(d, name, "cooldown", 1440), opens=row.get("opens", False),
        zh=row["zh"], en=row["en"], file=d.file, cap=row.get("cap", 0),
    )  # fmt: skip


def _weight(d: DataFile, key: str, weight: Any) -> float:
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not -100 <= weight <= 100:
        raise d.error("weights", key, f"a weight is a number from -100 to 100, not {weight!r}")
    return float(weight)


def read_typology(d: DataFile, rules: dict[str, Rule]) -> Typology:
    """The typology of one file: table ``typology`` and table ``weights`` (rule → points)."""
    if set(d.data) != {"typology", "weights"}:
        raise d.error("typology", "", "a typology file holds [typology] and [weights]")
    row = _check_keys(
        d, "typology",
        {"id": str, "subject": str, "zh": str, "en": str, "halflife": str, "low": (int, float), "medium": (int, float),
         "high": (int, float), "urgent": (int, float), "interdict": (int, float)},
        {"scam_type": str, "urgent_stage": str, "stages": list},
    )  # fmt: skip
    _one_of(d, "typology", "subject", row["subject"], codes.JUDGED)
    if row["subject"] == "person":
        if "scam_type" not in row:
            raise d.error("typology", "", "a typology of victims wants scam_type")
        _one_of(d, "typology", "scam_type", row["scam_type"], scam_types())
    else:
        _one_of(d, "typology", "id", row["id"], codes.SUSPECTS)
    _one_of(d, "typology", "urgent_stage", row.get("urgent_stage", "approach"), STAGES)
    levels = (float(row["low"]), float(row["medium"]), float(row["high"]), float(row["urgent"]))
    if list(levels) != sorted(levels):
        raise d.error("typology", "low", "thresholds rise from low to urgent")
    weights: dict[str, float] = {}
    for rule, weight in d.data["weights"].items():
        if rule not in rules:
            raise d.error("weights", rule, f"unknown rule {rule!r}")
        if rules[rule].subject != row["subject"]:
            raise d.error(
                "weights", rule, f"{rule} speaks of a {rules[rule].subject}, this typology of a {row['subject']}"
            )
        weights[rule] = _weight(d, rule, weight)
    return Typology(
        id=row["id"], subject=row["subject"], scam_type=row.get("scam_type", ""), zh=row["zh"], en=row["en"],
        stages=_texts(row.get("stages", [])), halflife_min=_minutes(d, "typology", "halflife"), levels=levels,
        urgent_stage=row.get("urgent_stage", "approach"), interdict=float(row["interdict"]), weights=weights,
    )  # fmt: skip


def build(features: DataFile, rules: Sequence[DataFile], typologies: Sequence[DataFile]) -> RuleBook:
    """A book of parsed files. DataFileError says where a mistake stands."""
    declared = read_features(features)
    all_rules: dict[str, Rule] = {}
    numbers: dict[int, str] = {}
    for d in rules:
        for rule in read_rules(d, declared).values():
            if rule.id in all_rules:
                raise d.error(rule.id, "", f"{rule.id} stands in {all_rules[rule.id].file} already")
            if rule.number in numbers:
                raise d.error(rule.id, "number", f"number {rule.number} is {numbers[rule.number]}'s")
            if not 1 <= rule.number < 4096:
                raise d.error(rule.id, "number", "a rule's number is 1 to 4095")
            all_rules[rule.id], numbers[rule.number] = rule, rule.id
    found: dict[str, Typology] = {}
    for d in typologies:
        typology = read_typology(d, all_rules)
        if typology.id in found:
            raise d.error("typology", "id", f"typology {typology.id} stands in another file already")
        found[typology.id] = typology
    return RuleBook(declared, all_rules, found)


def build_texts(texts: Mapping[str, str]) -> RuleBook:
    """The book of files by name: ``features.toml``, ``rules/…``, ``typologies/…``."""
    by_folder: dict[str, list[DataFile]] = {"rules": [], "typologies": []}
    for name in sorted(texts):
        folder, _, file = name.rpartition("/")
        if folder:
            by_folder[folder].append(parse(texts[name], file))
    return build(parse(texts["features.toml"], "features.toml"), by_folder["rules"], by_folder["typologies"])


@lru_cache(maxsize=1)
def shipped_texts() -> dict[str, str]:
    """The files in the package, as `build_texts` takes them."""
    here = files(__package__)
    out = {"features.toml": (here / "features.toml").read_text("utf-8")}
    for folder in ("rules", "typologies"):
        for file in (here / folder).iterdir():
            if file.name.endswith(".toml"):
                out[f"{folder}/{file.name}"] = file.read_text("utf-8")
    return out


def _parsed(folder: Any) -> list[DataFile]:
    entries = sorted((f for f in folder.iterdir() if f.name.endswith(".toml")), key=lambda f: f.name)
    return [parse(f.read_text("utf-8"), str(f) if isinstance(f, Path) else f.name) for f in entries]


@lru_cache(maxsize=1)
def shipped() -> RuleBook:
    """The book in the package."""
    return build_texts(shipped_texts())


def load(folder: Path) -> RuleBook:
    """The book of a folder: ``features.toml``, ``rules/*.toml``, ``typologies/*.toml``; what is missing is the shipped.

    DataFileError for a mistake in a file, FileNotFoundError where the folder is not there or holds none of these.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is no folder of rules")
    here = files(__package__)
    own = folder / "features.toml"
    features = (
        parse(own.read_text("utf-8"), str(own)) if own.is_file()
        else parse((here / "features.toml").read_text("utf-8"), "features.toml")
    )  # fmt: skip
    rules, typologies = folder / "rules", folder / "typologies"
    if not (own.is_file() or rules.is_dir() or typologies.is_dir()):
        raise FileNotFoundError(f"{folder} holds neither features.toml nor rules/ nor typologies/")
    return build(
        features,
        _parsed(rules if rules.is_dir() else here / "rules"),
        _parsed(typologies if typologies.is_dir() else here / "typologies"),
    )


__all__ = [
    "DataFileError", "Feature", "Rule", "RuleBook", "Snooze", "Typology", "build", "build_texts", "load", "shipped",
    "shipped_texts",
]  # fmt: skip
