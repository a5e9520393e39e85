"""What the law lets an order do, as dated tables read from ``law.toml``.

Kept true here: no table makes a stop longer than 48 hours or an account stopped more than twice, and a freeze has an
approver; a table that builds on an earlier one says which; what is wrong with the file is told with its line.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date, datetime
from functools import lru_cache
from importlib.resources import files
from typing import Any

from wuzha.command.public import ACTS
from wuzha.events import datafile
from wuzha.events.clock import zone

KINDS = ("query", "stop", "freeze", "release")
NEEDS = ("verified", "account", "application", "undisputed")
CASE_STATES = ("received", "accepted", "filed", "not_filed", "withdrawn")
#: What no table may pass; the database holds the same.
STOP_H, STOP_TIMES, FREEZE_MONTHS = 48, 2, 12


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What one kind of order rests on."""

    zh: str
    en: str
    law_zh: str
    law_en: str
    notice: str
    needs: tuple[str, ...]
    states: tuple[str, ...]
    approver: str


@dataclass(frozen=True, kw_only=True)
class Law:
    """One dated table."""

    since: date
    entry_minutes: int
    stop_hours: int
    stop_times: int
    freeze_months: int
    freeze_major_months: int
    release_unrelated_days: int
    freeze_draft_hours: int
    reconcile_hour: int
    complaint_days: int
    amount_first: bool
    match_minutes: int
    repeat_reports: int
    repeat_days: int
    kind: dict[str, Kind]


_NUMBERS = {f.name for f in fields(Law)} - {"since", "kind", "amount_first"}
_MOST = {"stop_hours": STOP_H, "stop_times": STOP_TIMES, "freeze_months": FREEZE_MONTHS,
         "freeze_major_months": FREEZE_MONTHS, "reconcile_hour": 23}  # fmt: skip


def read(text: str, name: str = "law.toml") -> list[Law]:
    """The dated tables, oldest first. DataFileError names file, line and what is wrong."""
    file = datafile.parse(text, name)
    found: dict[date, Law] = {}
    rows = file.data.get("law", [])
    for i, raw in enumerate(rows if isinstance(rows, list) else []):
        at = f"law[{i}]"
        since = raw.get("from")
        if type(since) is not date:
            raise file.error(at, "from", "want the day from which it holds, as 2025-12-01")
        if since in found:
            raise file.error(at, "from", f"another table begins on {since}")
        found[since] = _law(file, at, raw, since, found)
    if not found:
        raise file.error("", "", "no [[law]]")
    return [found[day] for day in sorted(found)]


def _law(file: datafile.DataFile, at: str, raw: dict[str, Any], since: date, earlier: dict[date, Law]) -> Law:
    base = raw.get("as")
    if base is not None and base not in earlier:
        raise file.error(at, "as", f"no table above begins on {base}")
    old = earlier.get(base) if base is not None else None
    values: dict[str, Any] = {}
    for key, value in raw.items():
        if key in ("from", "as", "kind"):
            continue
        if key == "amount_first":
            if type(value) is not bool:
                raise file.error(at, key, "want true or false")
        elif key not in _NUMBERS:
            raise file.error(at, key, f"unknown entry {key!r}")
        elif type(value) is not int or value < 1:
            raise file.error(at, key, "want a whole number of at least 1")
        elif value > _MOST.get(key, value):
            raise file.error(at, key, f"the law allows {_MOST[key]} at most")
        values[key] = value
    kinds = dict(old.kind) if old is not None else {}
    for code, row in raw.get("kind", {}).items():
        kinds[code] = _kind(file, code, row)
    for missing in [k for k in KINDS if k not in kinds]:
        raise file.error(at, "", f"lacks [law.kind.{missing}]")
    for name in sorted(_NUMBERS | {"amount_first"}):
        if name not in values:
            if old is None:
                raise file.error(at, "", f"lacks {name}")
            values[name] = getattr(old, name)
    return Law(since=since, kind=kinds, **values)


def _kind(file: datafile.DataFile, code: str, row: dict[str, Any]) -> Kind:
    at = f"law.kind.{code}"
    if code not in KINDS:
        raise file.error(at, "", f"unknown kind {code!r}; one of {', '.join(KINDS)}")
    names = {f.name for f in fields(Kind)}
    if odd := sorted(row.keys() - names):
        raise file.error(at, odd[0], f"unknown entry {odd[0]!r}")
    if missing := sorted(names - row.keys()):
        raise file.error(at, "", f"lacks {', '.join(missing)}")
    for name, known in (("needs", NEEDS), ("states", CASE_STATES)):
        value = row[name]
        if not isinstance(value, list) or set(value) - set(known):
            raise file.error(at, name, f"want a list of {', '.join(known)}")
    for name in ("zh", "en", "law_zh", "law_en", "notice"):
        if not isinstance(row[name], str) or not row[name].strip():
            raise file.error(at, name, "want words")
    if row["approver"] and row["approver"] not in ACTS:
        raise file.error(at, "approver", f"the unknown right {row['approver']!r}")
    if code == "freeze" and not row["approver"]:
        raise file.error(at, "approver", "a freeze wants an approver")
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in row.items()}
    return Kind(**values)


@lru_cache(maxsize=1)
def _shipped() -> list[Law]:
    return read((files(__package__) / "law.toml").read_text("utf-8"))


def law(at: datetime) -> Law:
    """The table in force at ``at``; of a time before all, the oldest."""
    day = at.astimezone(zone()).date()
    return next((one for one in reversed(_shipped()) if one.since <= day), _shipped()[0])


def law_of(since: date) -> Law:
    """The table that an order stands on. LookupError where it has been taken out of the file."""
    for one in _shipped():
        if one.since == since:
            return one
    raise LookupError(f"no table of law begins on {since}")


def words() -> dict[str, dict[str, str]]:
    """What pages call the kinds and their basis, by catalogue key."""
    newest = _shipped()[-1]
    return {f"order_kind.{code}": {"zh": k.zh, "en": k.en} for code, k in newest.kind.items()} | {
        f"order_law.{code}": {"zh": k.law_zh, "en": k.law_en} for code, k in newest.kind.items()
    }
