"""What the law says of refunds, as dated tables read from ``law.toml``.

Kept true here: no table makes the notice shorter than thirty days, and pro rata is always noticed; each procedure names
the level that approves it and where that stands; what is wrong with the file is told with its line.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date, datetime
from functools import lru_cache
from importlib.resources import files
from typing import Any

from wuzha.events import datafile
from wuzha.events.clock import zone

WAYS = ("single", "timestamps", "pro_rata")
RULES = ("fifo", "lifo")
#: By level, the kinds of units that may approve; the database holds the same.
LEVELS = {"county": ("county", "city", "province", "ministry"), "city": ("city", "province", "ministry")}
#: No table may make the public notice shorter; the database holds the same.
NOTICE_DAYS = 30


@dataclass(frozen=True, kw_only=True)
class Procedure:
    """One way through the law: who approves, on what ground."""

    zh: str
    en: str
    level: str
    ways: tuple[str, ...]
    law_zh: str
    law_en: str
    source: str


@dataclass(frozen=True, kw_only=True)
class Law:
    """One dated table."""

    since: date
    rule: str
    notice_days: int
    notice_ways: tuple[str, ...]
    bank_working_days: int
    transfer_items: tuple[str, ...]
    free_source: str
    procedure: dict[str, Procedure]


def read(text: str, name: str = "law.toml") -> list[Law]:
    """The dated tables, oldest first. DataFileError names file, line and what is wrong."""
    file = datafile.parse(text, name)
    found: dict[date, Law] = {}
    rows = file.data.get("law", [])
    for i, raw in enumerate(rows if isinstance(rows, list) else []):
        at, since = f"law[{i}]", raw.get("from")
        if type(since) is not date:
            raise file.error(at, "from", "want the day from which it holds, as 2016-09-18")
        if since in found:
            raise file.error(at, "from", f"another table begins on {since}")
        found[since] = _law(file, at, raw, since)
    if not found:
        raise file.error("", "", "no [[law]]")
    return [found[day] for day in sorted(found)]


def _law(file: datafile.DataFile, at: str, raw: dict[str, Any], since: date) -> Law:
    names = {f.name for f in fields(Law)} - {"since"}
    if odd := sorted(raw.keys() - names - {"from"}):
        raise file.error(at, odd[0], f"unknown entry {odd[0]!r}")
    if missing := sorted(names - raw.keys()):
        raise file.error(at, "", f"lacks {', '.join(missing)}")
    if raw["rule"] not in RULES:
        raise file.error(at, "rule", f"want one of {', '.join(RULES)}")
    for name, least in (("notice_days", NOTICE_DAYS), ("bank_working_days", 1)):
        if type(raw[name]) is not int or raw[name] < least:
            raise file.error(at, name, f"want a whole number of at least {least}")
    ways = raw["notice_ways"]
    if not isinstance(ways, list) or set(ways) - set(WAYS) or "pro_rata" not in ways:
        raise file.error(at, "notice_ways", f"want a list of {', '.join(WAYS)} with pro_rata in it")
    items = raw["transfer_items"]
    if not isinstance(items, list) or not items or not all(isinstance(x, str) and x.strip() for x in items):
        raise file.error(at, "transfer_items", "want a list of words")
    _words(file, at, raw, ("free_source",))
    rows = raw["procedure"] if isinstance(raw["procedure"], dict) else {}
    procedures = {code: _procedure(file, code, row) for code, row in rows.items()}
    if missing := sorted({"special", "clear"} - procedures.keys()):
        raise file.error(at, "", f"lacks [law.procedure.{missing[0]}]")
    return Law(
        since=since, rule=raw["rule"], notice_days=raw["notice_days"], notice_ways=tuple(ways),
        bank_working_days=raw["bank_working_days"], transfer_items=tuple(items), free_source=raw["free_source"],
        procedure=procedures,
    )  # fmt: skip


def _procedure(file: datafile.DataFile, code: str, row: dict[str, Any]) -> Procedure:
    at, names = f"law.procedure.{code}", {f.name for f in fields(Procedure)}
    if code not in ("special", "clear"):
        raise file.error(at, "", f"unknown procedure {code!r}; special or clear")
    if odd := sorted(row.keys() - names):
        raise file.error(at, odd[0], f"unknown entry {odd[0]!r}")
    if missing := sorted(names - row.keys()):
        raise file.error(at, "", f"lacks {', '.join(missing)}")
    _words(file, at, row, ("zh", "en", "law_zh", "law_en", "source"))
    if row["level"] not in LEVELS:
        raise file.error(at, "level", f"want one of {', '.join(LEVELS)}")
    if not isinstance(row["ways"], list) or not row["ways"] or set(row["ways"]) - set(WAYS):
        raise file.error(at, "ways", f"want a list of {', '.join(WAYS)}")
    return Procedure(**{**row, "ways": tuple(row["ways"])})


def _words(file: datafile.DataFile, at: str, row: dict[str, Any], names: tuple[str, ...]) -> None:
    for name in names:
        if not isinstance(row[name], str) or not row[name].strip():
            raise file.error(at, name, "want words")


@lru_cache(maxsize=1)
def _shipped() -> list[Law]:
    return read((files(__package__) / "law.toml").read_text("utf-8"))


def law(at: datetime) -> Law:
    """The table in force at ``at``; of a time before all, the oldest."""
    day = at.astimezone(zone()).date()
    return next((one for one in reversed(_shipped()) if one.since <= day), _shipped()[0])


def law_of(since: date) -> Law:
    """The table that a refund stands on. LookupError where it has been taken out of the file."""
    for one in _shipped():
        if one.since == since:
            return one
    raise LookupError(f"no table of refunds begins on {since}")


def words() -> dict[str, dict[str, str]]:
    """What pages call the procedures and their basis, by catalogue key."""
    newest = _shipped()[-1]
    return {f"refund_procedure.{code}": {"zh": p.zh, "en": p.en} for code, p in newest.procedure.items()} | {
        f"refund_law.{code}": {"zh": p.law_zh, "en": p.law_en} for code, p in newest.procedure.items()
    }
