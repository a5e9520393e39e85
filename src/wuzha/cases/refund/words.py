"""What is said of a plan to a victim and on papers: sentences of ``words.toml`` filled with the plan's own figures.

Kept true here: the sentence under which a share is told is the way by which it was computed; whatever is said to
somebody outside ends with `free`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any

from wuzha.events.money import yuan

HOTLINE = "96110"


@lru_cache(maxsize=1)
def sentences() -> dict[str, Any]:
    """The file, as it stands."""
    return tomllib.loads((files(__package__) / "words.toml").read_text("utf-8"))


def _say(group: str, name: str, language: str, **values: object) -> str:
    table = sentences()
    entry = table[group][name] if name else table[group]
    return str(entry[language].format(**values))


def free(language: str = "zh") -> str:
    """That a refund costs nothing, and where to ask."""
    return _say("free", "", language)


def rule(code: str, language: str = "zh") -> str:
    """The ordering rule by which payments within an account are told apart."""
    return _say("rule", code, language)


def way(code: str, language: str = "zh") -> str:
    """The way of article 8."""
    return _say("way", code, language)


def why_plan(plan: Mapping[str, Any], language: str = "zh") -> list[str]:
    """Why the plan goes this way, and why an earlier way does not hold."""
    said = [_say("plan", plan["way"], language, receipts=plan["receipts"])]
    for earlier, what, n in plan["not_by"]:
        said.append(_say("not_by", f"{earlier}_{what}", language, n=n, amount=yuan(n)))
    if plan["stays_fen"]:
        said.append(_say("stays", "", language, amount=yuan(plan["stays_fen"])))
    return said


def why_share(plan: Mapping[str, Any], victim: Mapping[str, Any], whole_fen: int, language: str = "zh") -> str:
    """Why a victim gets what they get. ``victim``: sums over their losses; ``whole_fen``: what weighed in all."""
    if not victim["came"]:
        return _say("share", "never", language)
    if not victim["share_fen"]:
        return _say("share", "none", language)
    return _say(
        "share", plan["way"], language, balance=yuan(plan["balance_fen"]), share=yuan(victim["share_fen"]),
        traced=yuan(victim["traced_fen"]), outstanding=yuan(victim["weighed_fen"]), whole=yuan(whole_fen),
        percent=percent(victim["weighed_fen"], whole_fen),
    )  # fmt: skip


def percent(part: int, whole: int) -> str:
    """A part of a whole with two decimals, half up, without a binary fraction."""
    if whole <= 0:
        return "0.00"
    hundredths = (part * 20_000 + whole) // (2 * whole)
    return f"{hundredths // 100}.{hundredths % 100:02d}"


def assumed(years: tuple[int, ...] | list[int], language: str = "zh") -> str:
    """That working days were counted without a table; empty where there was one."""
    return _say("assumed", "", language, years="、".join(map(str, years))) if years else ""


def words() -> dict[str, dict[str, str]]:
    """The entries by catalogue key."""
    found = {"refund.free": sentences()["free"]}
    for group in ("rule", "way"):
        found |= {f"refund_{group}.{name}": entry for name, entry in sentences()[group].items()}
    return {key: {"zh": entry["zh"], "en": entry["en"]} for key, entry in found.items()}
