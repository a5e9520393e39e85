"""The ladder's constants, read from ``ladder.toml``: engaged lines, waiting times, keys, answers of the exchange.

Kept true here: every result that the file names exists and belongs to a call; a mistake is shown where it stands.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

from wuzha.events.datafile import DataFile, parse

from .codes import codes

_NUMBERS = {
    "engaged": ("times", "over_s"),
    "dialling": ("wait_s", "hold_s", "offer_s"),
    "call_back": ("take_s", "past_s", "ring_s"),
}
_CLASSES = ("4xx", "5xx", "6xx")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What an answer of the exchange means: the result to propose (None: the officer says it); forwarded or not."""

    result: str | None = None
    forwarded: bool = False


@dataclass(frozen=True, kw_only=True)
class Ladder:
    """The file. Times are an officer's own seconds."""

    times: int
    over_s: int
    wait_s: int
    hold_s: int
    offer_s: int
    take_s: int
    past_s: int
    ring_s: int
    keys: dict[str, str]
    answers: dict[str, Answer]

    def answer(self, status: int) -> Answer:
        """The meaning of a SIP status, by itself or by its class."""
        return self.answers.get(str(status)) or self.answers.get(f"{status // 100}xx") or Answer()


def read(text: str, name: str = "ladder.toml") -> Ladder:
    """The ladder's constants. `events.datafile.DataFileError` with the place of what is wrong."""
    file = parse(text, name)
    if unknown := file.data.keys() - {*_NUMBERS, "keys", "sip"}:
        raise file.error(min(unknown), "", f"no such table {min(unknown)}")
    numbers: dict[str, int] = {}
    for table, keys in _NUMBERS.items():
        rows = file.data.get(table, {})
        for key in keys:
            if type(rows.get(key)) is not int or not 0 < rows[key] <= 31_536_000:
                raise file.error(table, key, f"{key} is no whole number from 1 to a year's seconds")
            numbers[key] = rows[key]
        if unknown := rows.keys() - set(keys):
            raise file.error(table, min(unknown), f"no such entry {min(unknown)}")
    return Ladder(keys=_keys(file), answers=_answers(file), **numbers)


def _keys(file: DataFile) -> dict[str, str]:
    keys: dict[str, Any] = file.data.get("keys", {})
    taken = set("zrtoblypudcsh") | {c.key for c in codes()["channel"].values()}
    for result, key in keys.items():
        if result not in codes()["result"]:
            raise file.error("keys", result, f"no such result {result}")
        if not isinstance(key, str) or len(key) != 1 or not key.islower():
            raise file.error("keys", result, "a key is one small letter")
        if key in taken:
            raise file.error("keys", result, f"the key {key} does something else already")
        taken.add(key)
    return keys


def _answers(file: DataFile) -> dict[str, Answer]:
    found: dict[str, Answer] = {}
    call = codes()["channel"]["call"].results
    for status, row in file.data.get("sip", {}).items():
        table = f"sip.{status}"
        if status not in _CLASSES and not (status.isdigit() and 100 <= int(status) <= 699):
            raise file.error(table, "", f"{status} is no status of SIP")
        if unknown := row.keys() - {"result", "forwarded"}:
            raise file.error(table, min(unknown), f"no such entry {min(unknown)}")
        if row.get("result") is not None and row["result"] not in call:
            raise file.error(table, "result", f"a call has no result {row['result']}")
        if not isinstance(row.get("forwarded", False), bool):
            raise file.error(table, "forwarded", "is true or false")
        found[status] = Answer(result=row.get("result"), forwarded=row.get("forwarded", False))
    return found


@lru_cache(maxsize=1)
def ladder() -> Ladder:
    """The shipped constants."""
    return read((files(__package__) / "ladder.toml").read_text("utf-8"))
