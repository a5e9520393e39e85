"""What to say on the phone, read from ``phrases.toml``.

Kept true here: every scam type of `events.scam_types` finds words (its own, its parent's, or those of ``other``), for
every stage, in both languages.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

from wuzha.events import STAGES
from wuzha.events.scam_types import parent, scam_types

LANGUAGES = ("zh", "en")


@dataclass(frozen=True, kw_only=True)
class Phrases:
    """Words for one call: opening lines, three questions, the scammer's next line, what to hold against it, 凡是."""

    opening: str
    opening_kin: str
    questions: tuple[str, ...]
    next_line: str
    answer: str
    fanshi: tuple[tuple[int, str], ...]


def read(text: str, name: str = "phrases.toml") -> dict[str, Any]:
    """The file's tables, checked; ValueError names the entry that is wrong or lacks a language."""
    raw = tomllib.loads(text)
    types = raw.get("type", {})
    if "other" not in types:
        raise ValueError(f"{name}: [type.other] is missing; it is what unknown types use")
    for code, row in types.items():
        if code not in scam_types():
            raise ValueError(f"{name}: [type.{code}] is no scam type")
        for language in LANGUAGES:
            if len(row["questions"].get(language, ())) != 3:
                raise ValueError(f"{name}: [type.{code}] wants three questions in {language}")
            if not row["answer"].get(language):
                raise ValueError(f"{name}: [type.{code}] lacks an answer in {language}")
            if not row["next"].get("approach", {}).get(language):
                raise ValueError(f"{name}: [type.{code}] lacks the scammer's line of the stage approach in {language}")
        for number in row["fanshi"]:
            if str(number) not in raw["fanshi"]:
                raise ValueError(f"{name}: [type.{code}] names the unknown 凡是 {number}")
        if row["next"].keys() - set(STAGES):
            raise ValueError(f"{name}: [type.{code}] has a line for an unknown stage")
    return raw


@lru_cache(maxsize=1)
def _shipped() -> dict[str, Any]:
    return read((files(__package__) / "phrases.toml").read_text("utf-8"))


def phrases(scam_type: str, stage: str, language: str = "zh", *, unit: str = "", code: str = "") -> Phrases:
    """The words for a scam type (sub-types fall back to their parent) at a stage."""
    raw = _shipped()
    types = raw["type"]
    row = types.get(scam_type) or types.get(parent(scam_type) if scam_type in scam_types() else "") or types["other"]
    reached = STAGES[: STAGES.index(stage) + 1] if stage in STAGES else STAGES[:1]
    line = next(row["next"][s][language] for s in reversed(reached) if s in row["next"])
    fill = {"unit": unit, "code": code or "——"}
    return Phrases(
        opening=raw["opening"][language].format(**fill),
        opening_kin=raw["opening_kin"][language].format(**fill),
        questions=tuple(row["questions"][language]),
        next_line=line,
        answer=row["answer"][language],
        fanshi=tuple((n, raw["fanshi"][str(n)][language]) for n in row["fanshi"]),
    )
