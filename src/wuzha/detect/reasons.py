"""Evidence as a sentence, in the reader's language, from the arguments that it was given with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from wuzha.events.money import yuan_short

from .rulebook import RuleBook, shipped

_SLOT = re.compile(r"\{(\w+)(?::(\w+))?\}")


def _zh_minutes(minutes: float) -> str:
    m = round(minutes)
    if m < 120:
        return f"{m} 分钟"
    if m < 48 * 60:
        return f"{m // 60} 小时" + (f" {m % 60} 分" if m % 60 and m < 600 else "")
    return f"{m // 1440} 天"


def _en_minutes(minutes: float) -> str:
    m = round(minutes)
    if m < 120:
        return f"{m} min"
    if m < 48 * 60:
        return f"{m // 60} h"
    return f"{m // 1440} days"


def _en_yuan(fen: int) -> str:
    return f"¥{fen // 100:,}"


def _figure(value: float | None, how: str, language: str) -> str:
    """One argument: ``minutes``, ``seconds`` (as minutes), ``fen``, ``percent``, else a plain number; — if unknown."""
    if value is None:
        return "—"
    if how == "minutes":
        return _zh_minutes(value) if language == "zh" else _en_minutes(value)
    if how == "seconds":
        return _zh_minutes(max(value / 60, 1)) if language == "zh" else _en_minutes(max(value / 60, 1))
    if how == "fen":
        return yuan_short(round(value)) if language == "zh" else _en_yuan(round(value))
    if how == "percent":
        return f"{value * 100:.0f}%"
    return f"{value:.0f}" if value == round(value) else f"{value:.1f}"


#: Sentences of versions that were not shipped: (rule, version) → (zh, en).
_LEARNED: dict[tuple[str, int], tuple[str, str]] = {}


def learn(rule: str, version: int, zh: str, en: str) -> None:
    """Evidence of this version is told with these words, in this process."""
    _LEARNED[rule, version] = (zh, en)


def known(rule: str, version: int) -> bool:
    """Whether this very version has words here."""
    found = shipped().rules.get(rule)
    return (rule, version) in _LEARNED or (found is not None and found.version == version)


def reason(rule: str, version: int, args: Mapping[str, Any], language: str = "zh", book: RuleBook | None = None) -> str:
    """The sentence of one piece of evidence; for a rule that is gone, its name and figures."""
    if book is None and (rule, version) in _LEARNED:
        zh, en = _LEARNED[rule, version]
        return _SLOT.sub(lambda m: _figure(args.get(m[1]), m[2] or "", language), zh if language == "zh" else en)
    found = (book or shipped()).rules.get(rule)
    if found is None or (found.version != version and any(a not in args for a in found.args)):
        return f"{rule} v{version}: " + ", ".join(f"{k}={v}" for k, v in args.items())
    sentence = found.zh if language == "zh" else found.en
    return _SLOT.sub(lambda m: _figure(args.get(m[1]), m[2] or "", language), sentence)
