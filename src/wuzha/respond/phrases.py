"""What to say on the phone, read from ``words/``: one file a scam type, and ``common.toml`` for what holds for all.

Kept true here: every scam type of `events.scam_types` finds words for every stage and state of mind, in both languages
(its own, its parent's, or those of ``other``); no text carries a link; a mistake is told with file and line. The
deployment's own texts (`phrase_book`) take the place of the file's, entry by entry.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

from wuzha.events import STAGES
from wuzha.events.scam_types import parent, scam_types

from .links import link_in

LANGUAGES = ("zh", "en")
#: States of mind (domain: five persuasion states), in the order of their keys on the alert page.
MINDS = ("unaware", "doubting", "convinced", "sunk_cost", "ashamed")
#: The stages in which money has not begun to move, and those in which it has.
PHASE = {"approach": "early", "trust": "early", "act": "late", "pay": "late"}
LIMIT = 400

#: What each part of a type's file has one text for; a parent's file has them all.
_PARTS: dict[str, tuple[str, ...]] = {
    "questions": ("early", "late"), "next": tuple(STAGES), "answer": tuple(STAGES), "turn": MINDS,
}  # fmt: skip
_COMMON = (
    "ending", "kin.opening", "kin.neutral",
    *(f"mind.{mind}.{part}" for mind in MINDS for part in ("opening.early", "opening.late", "approach", "closing")),
)  # fmt: skip
_SLOT = re.compile(r"\{(\w*)\}")


class PhrasesError(ValueError):
    """A file of words is wrong; the message names file and line."""


@dataclass(frozen=True, kw_only=True)
class Text:
    """One entry in both languages; three questions stand on three lines. ``version`` 0 is the shipped file."""

    zh: str
    en: str
    version: int = 0

    def of(self, language: str) -> str:
        """The text in a language."""
        return self.en if language == "en" else self.zh


@dataclass(frozen=True, kw_only=True)
class Words:
    """All files: texts by entry (``common:mind.unaware.closing``, ``loan:next.act``), the 凡是 of each type, and the
    types of whose matter kin learn nothing."""

    texts: Mapping[str, Text]
    fanshi: Mapping[str, tuple[int, ...]]
    discreet: frozenset[str]
    rules: Mapping[int, Text]


@dataclass(frozen=True, kw_only=True)
class Phrases:
    """Words for one call. ``approach`` is advice to the officer, everything else is said; ``said`` names the entries
    and versions that stand there."""

    mind: str
    opening: str
    opening_kin: str
    approach: str
    turn: str
    questions: tuple[str, ...]
    next_line: str
    answer: str
    closing: str
    ending: str
    fanshi: tuple[tuple[int, str], ...]
    said: tuple[tuple[str, int], ...]


def flaw(entry: str, language: str, text: str) -> str | None:
    """What is wrong with an entry's text: ``empty``, ``long``, ``link``, ``slots``, ``three``; None where nothing."""
    if not text.strip():
        return "empty"
    if len(text) > LIMIT * (1 if language == "zh" else 2):
        return "long"
    if link_in(text):
        return "link"
    opens = ".opening." in entry or entry.startswith("common:kin.")
    slots = _SLOT.findall(text)
    if set(slots) != ({"unit", "number"} if opens else set()) or text.count("{") + text.count("}") != 2 * len(slots):
        return "slots"
    if ":questions." in entry and len([q for q in text.splitlines() if q.strip()]) != 3:
        return "three"
    return None


_WHY = {
    "empty": "is empty", "long": "is too long to be said", "link": "carries a link: no words of ours ever do",
    "slots": "openings name {unit} and {number}, other words no slot", "three": "wants three questions",
}  # fmt: skip


def _flat(table: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        name = f"{before}{key}"
        if isinstance(value, dict) and not value.keys() & set(LANGUAGES):
            yield from _flat(value, name + ".")
        else:
            yield name, value


def _text(raw: Any, file: str, entry: str, lines: list[str]) -> Text:
    """One entry of a file. PhrasesError with its line."""
    if not isinstance(raw, dict) or set(raw) != set(LANGUAGES):
        raise PhrasesError(f"{file}:{_line(lines, entry, '')}: {entry} wants zh and en")
    plain = {}
    for language in LANGUAGES:
        value = raw[language]
        plain[language] = "\n".join(map(str, value)) if isinstance(value, list) else str(value)
        if why := flaw(entry, language, plain[language]):
            first = plain[language].splitlines()[0] if plain[language] else ""
            raise PhrasesError(f"{file}:{_line(lines, entry, first)}: {entry} in {language} {_WHY[why]}")
    return Text(zh=plain["zh"], en=plain["en"])


def _line(lines: list[str], entry: str, first: str) -> int:
    """Where a text stands: the line that holds its beginning, else the one of its key."""
    beginning, key = first[:20].replace('"', '\\"'), entry.rpartition(".")[2].rpartition(":")[2]
    for number, line in enumerate(lines, 1):
        if beginning and beginning in line:
            return number
    return next((n for n, line in enumerate(lines, 1) if re.match(rf"\s*(\S*\.)?{re.escape(key)}\b.*[=\]]", line)), 1)


def read(sources: Mapping[str, str]) -> Words:
    """The words of files by name (``loan.toml`` → text). PhrasesError with file and line."""
    texts: dict[str, Text] = {}
    fanshi: dict[str, tuple[int, ...]] = {}
    rules: dict[int, Text] = {}
    discreet = set()
    for file, source in sources.items():
        name, lines = file.removesuffix(".toml"), source.splitlines()
        try:
            raw = tomllib.loads(source)
        except tomllib.TOMLDecodeError as error:
            raise PhrasesError(f"{file}: {error}") from error
        if name == "common":
            rules = {int(n): _text(row, file, f"common:fanshi.{n}", lines) for n, row in raw.pop("fanshi", {}).items()}
            wanted: tuple[str, ...] = _COMMON
        elif name in scam_types():
            fanshi[name] = tuple(raw.pop("fanshi", ()))
            if raw.pop("discreet", False):
                discreet.add(name)
            wanted = tuple(f"{part}.{key}" for part, keys in _PARTS.items() for key in keys)
        else:
            raise PhrasesError(f"{file}: {name} is no scam type")
        for key, value in _flat(raw):
            if key not in wanted:
                raise PhrasesError(f"{file}:{_line(lines, key, '')}: {key} is not known")
            texts[f"{name}:{key}"] = _text(value, file, f"{name}:{key}", lines)
        if "." not in name and (missing := [k for k in wanted if f"{name}:{k}" not in texts]):
            raise PhrasesError(f"{file}:1: lacks {', '.join(missing)}")
    if missing := [n for n in ("common.toml", "other.toml") if n not in sources]:
        raise PhrasesError(f"words: {', '.join(missing)} is missing; it is what unknown types use")
    for name, numbers in fanshi.items():
        if unknown := [n for n in numbers if n not in rules]:
            lines = sources[f"{name}.toml"].splitlines()
            raise PhrasesError(f"{name}.toml:{_line(lines, 'fanshi', '')}: the unknown 凡是 {unknown[0]}")
    return Words(texts=texts, fanshi=fanshi, discreet=frozenset(discreet), rules=rules)


@lru_cache(maxsize=1)
def shipped() -> Words:
    """The shipped files."""
    folder = files(__package__) / "words"
    return read({f.name: f.read_text("utf-8") for f in folder.iterdir() if f.name.endswith(".toml")})


def entry_of(scam_type: str, part: str) -> str:
    """The entry that a type uses for ``next.act`` and the like: its own, its parent's, or that of ``other``."""
    above = parent(scam_type) if scam_type in scam_types() else "other"
    texts = shipped().texts
    return next(e for t in (scam_type, above, "other") if (e := f"{t}:{part}") in texts)


def phrases(
    scam_type: str, stage: str, mind: str = "unaware", language: str = "zh", *, unit: str = "", number: str = "",
    discreet: bool = False, own: Mapping[str, Text] | None = None,
) -> Phrases:  # fmt: skip
    """The words for a scam type at a stage and in a state of mind. ``own``: the deployment's texts by entry.

    ``discreet``: kin hear nothing of what it is about, whatever the type.
    """
    words = shipped()
    stage = stage if stage in PHASE else STAGES[0]
    mind = mind if mind in MINDS else MINDS[0]
    above = parent(scam_type) if scam_type in scam_types() else "other"
    hidden = discreet or scam_type in words.discreet or above in words.discreet
    entries = {
        "opening": f"common:mind.{mind}.opening.{PHASE[stage]}",
        "opening_kin": "common:kin.neutral" if hidden else "common:kin.opening",
        "approach": f"common:mind.{mind}.approach",
        "turn": entry_of(scam_type, f"turn.{mind}"),
        "questions": entry_of(scam_type, f"questions.{PHASE[stage]}"),
        "next_line": entry_of(scam_type, f"next.{stage}"),
        "answer": entry_of(scam_type, f"answer.{stage}"),
        "closing": f"common:mind.{mind}.closing",
        "ending": "common:ending",
    }
    texts = {name: (own or {}).get(entry) or words.texts[entry] for name, entry in entries.items()}
    fill = {"unit": unit, "number": number or "——"}
    told = {
        name: text.of(language).format(**fill) if name.startswith("opening") else text.of(language)
        for name, text in texts.items()
    }
    questions = tuple(q.strip() for q in told.pop("questions").splitlines() if q.strip())
    numbers = next((words.fanshi[t] for t in (scam_type, above, "other") if words.fanshi.get(t)), ())
    return Phrases(
        mind=mind, questions=questions, fanshi=tuple((n, words.rules[n].of(language)) for n in numbers),
        said=tuple((entries[name], text.version) for name, text in texts.items()), **told,
    )  # fmt: skip
