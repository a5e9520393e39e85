"""The desk's codes, read from ``codes.toml``: channels, results, outcomes, purposes.

Kept true here: a code is used for one thing; every result that a channel offers exists.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

KINDS = ("channel", "result", "outcome", "purpose")
_COLUMNS = {
    "channel": {"key", "zh", "en", "to", "results"},
    "result": {"zh", "en", "reached", "live", "silent", "begins"},
    "outcome": {"zh", "en", "final", "reached", "money"},
    "purpose": {"zh", "en"},
}


@dataclass(frozen=True, kw_only=True)
class Code:
    """One code of one kind with its words; what does not apply to its kind stays at its default."""

    kind: str
    code: str
    zh: str
    en: str
    key: str | None = None
    to: str | None = None
    results: tuple[str, ...] = ()
    reached: bool = False
    live: bool = False
    silent: bool = False
    begins: bool = False
    final: bool = False
    money: str | None = None


class CodesError(ValueError):
    """The file of codes is wrong; the message names file and line."""


def read(text: str, name: str = "codes.toml") -> dict[str, dict[str, Code]]:
    """Codes by kind and code. CodesError with the line where the file is wrong."""
    try:
        raw: dict[str, dict[str, Any]] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CodesError(f"{name}: {error}") from error
    lines = text.splitlines()

    def fail(kind: str, code: str, why: str) -> CodesError:
        header = f"[{kind}.{code}]"
        line = next((i for i, row in enumerate(lines, 1) if row.strip() == header), 1)
        return CodesError(f"{name}:{line}: {header} {why}")

    found: dict[str, dict[str, Code]] = {}
    for kind, rows in raw.items():
        if kind not in KINDS:
            raise CodesError(f"{name}: unknown kind {kind!r}; one of {', '.join(KINDS)}")
        found[kind] = {}
        for code, row in rows.items():
            unknown = row.keys() - _COLUMNS[kind]
            if unknown:
                raise fail(kind, code, f"has no column {', '.join(sorted(unknown))}")
            if not row.get("zh") or not row.get("en"):
                raise fail(kind, code, "lacks zh or en")
            found[kind][code] = Code(kind=kind, code=code, **{**row, "results": tuple(row.get("results", ()))})
    keys: set[str] = set()
    for channel in found.get("channel", {}).values():
        if channel.key in keys:
            raise fail("channel", channel.code, f"uses the key {channel.key} of another channel")
        keys.add(channel.key or "")
        for result in channel.results:
            if result not in found.get("result", {}):
                raise fail("channel", channel.code, f"offers the unknown result {result!r}")
    for outcome in found.get("outcome", {}).values():
        if outcome.money not in (None, "avoided_fen", "lost_fen"):
            raise fail("outcome", outcome.code, f"fills the unknown column {outcome.money!r}")
    return found


def tries(results: list[str | None]) -> int:
    """How often a channel was tried, from its results in order: one that only begins a try and the one that answers it
    are one."""
    n = waiting = 0
    for code in results:
        result = codes()["result"].get(code or "")
        if result is not None and result.begins:
            n, waiting = n + 1, waiting + 1
        elif waiting:
            waiting -= 1
        else:
            n += 1
    return n


@lru_cache(maxsize=1)
def codes() -> dict[str, dict[str, Code]]:
    """The shipped codes by kind and code, in the file's order."""
    return read((files(__package__) / "codes.toml").read_text("utf-8"))
