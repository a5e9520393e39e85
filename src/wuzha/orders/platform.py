"""The national platform by hand: what a card shows in the form's order, what a sheet to import holds.

Kept true here: the card's fields stand in the order in which the platform asks (`platform.toml`); amounts are exact
yuan; a text that a spreadsheet would take for a formula stays a text.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

from wuzha.events import clock, datafile, money

from .law import KINDS, law_of

FIELDS = ("kind", "account", "holder", "bank", "transfer_at", "transfer_fen", "amount_fen", "case_no", "reason", "unit",
          "officer")  # fmt: skip
EXPORT = ("external_no", "order_id", "kind", "account", "amount_fen", "state", "receipt", "done_fen", "at", "why")
STATES = ("accepted", "done", "failed", "queued")


@dataclass(frozen=True, kw_only=True)
class Platform:
    """What the file says: the form's order, the sheet's headings, what the export's headings and words mean."""

    fields: tuple[str, ...]
    sheet: dict[str, str]
    export: dict[str, tuple[str, ...]]
    states: dict[str, str]
    kinds: dict[str, str]


def read(text: str, name: str = "platform.toml") -> Platform:
    """The file. DataFileError names file, line and what is wrong."""
    file = datafile.parse(text, name)
    data = file.data
    for field in data.get("fields", []):
        if field not in FIELDS:
            raise file.error("", "fields", f"unknown field {field!r}; of {', '.join(FIELDS)}")
    parts: dict[str, dict[str, Any]] = {}
    for part, known in (("sheet", (*FIELDS, "order_id")), ("export", EXPORT), ("states", STATES), ("kinds", KINDS)):
        parts[part] = data.get(part, {})
        for key, value in parts[part].items():
            if key not in known:
                raise file.error(part, key, f"unknown entry {key!r}; of {', '.join(known)}")
            if not (isinstance(value, str) if part == "sheet" else isinstance(value, list)) or not value:
                raise file.error(part, key, "want a heading" if part == "sheet" else "want a list of words")
    for need in ("external_no", "account"):
        if need not in parts["export"]:
            raise file.error("export", "", f"lacks {need}")
    return Platform(
        fields=tuple(data.get("fields", FIELDS)), sheet=dict(parts["sheet"]),
        export={k: tuple(v) for k, v in parts["export"].items()},
        states={word: k for k, words in parts["states"].items() for word in words},
        kinds={word: k for k, words in parts["kinds"].items() for word in words},
    )  # fmt: skip


@lru_cache(maxsize=1)
def platform() -> Platform:
    """The shipped file."""
    return read((files(__package__) / "platform.toml").read_text("utf-8"))


def _value(order: dict[str, Any], field: str) -> str:
    if field == "kind":
        return law_of(order["law_from"]).kind[order["kind"]].zh
    if field in ("transfer_fen", "amount_fen"):
        fen = order[field]
        return money.yuan(fen).replace(",", "") if fen is not None else ""
    if field == "transfer_at":
        at = order["transfer_at"]
        return f"{at.astimezone(clock.zone()):%Y-%m-%d %H:%M:%S}" if at is not None else ""
    named = {"unit": "unit_name", "officer": "sealer"}.get(field, field)
    return str(order.get(named) or "")


def card(order: dict[str, Any]) -> list[tuple[str, str]]:
    """(field, text) in the order of the platform's form; ``order`` is a row of `states`."""
    return [(field, _value(order, field)) for field in platform().fields]


def sheet(orders: list[dict[str, Any]]) -> bytes:
    """A workbook to import there, one row an order."""
    import xlsxwriter

    out = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    with xlsxwriter.Workbook(out, options) as book:
        page = book.add_worksheet("导入")
        head = book.add_format({"bold": True})
        for c, (field, heading) in enumerate(platform().sheet.items()):
            page.write_string(0, c, heading, head)
            page.set_column(c, c, 22)
            for r, order in enumerate(orders, 1):
                page.write_string(r, c, str(order["order_id"]) if field == "order_id" else _value(order, field))
    return out.getvalue()
