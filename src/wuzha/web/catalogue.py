"""Words on pages, in the reader's language, from one catalogue.

Kept true here: the catalogue is built from the glossary, the desk's codes, the scam types and the figures, each word in
one place; a key without words stops the page instead of showing the key.
"""

from __future__ import annotations

import tomllib
from functools import lru_cache
from importlib.resources import files
from typing import Any

from wuzha.cases.refund import law as refund_law
from wuzha.cases.refund import words as refund_words
from wuzha.command.metrics import metrics
from wuzha.events import TABLES
from wuzha.events.scam_types import scam_types
from wuzha.orders import law as order_law
from wuzha.respond import door_book, followups, measure_law, safety
from wuzha.respond.codes import codes
from wuzha.trace.workbench.paper import words as bench_words

LANGUAGES = ("zh", "en")


def _flat(rows: dict[str, Any], prefix: str = "") -> dict[str, dict[str, str]]:
    out: dict[str, dict[str, str]] = {}
    for name, row in rows.items():
        key = f"{prefix}{name}"
        if isinstance(row, dict) and "zh" in row:
            out[key] = {language: row[language] for language in LANGUAGES}
        elif isinstance(row, dict):
            out |= _flat(row, key + ".")
        else:
            raise ValueError(f"glossary.toml: {key} is no entry with zh and en")
    return out


@lru_cache(maxsize=1)
def _glossary() -> dict[str, Any]:
    return tomllib.loads((files(__package__) / "glossary.toml").read_text("utf-8"))


@lru_cache(maxsize=1)
def entries() -> dict[str, dict[str, str]]:
    """Every entry: key -> words by language."""
    raw = {name: row for name, row in _glossary().items() if name != "forbidden"}
    found = _flat(raw)
    for kind, rows in codes().items():
        found |= {f"{kind}.{code.code}": {"zh": code.zh, "en": code.en} for code in rows.values()}
    found |= measure_law.words() | order_law.words() | safety.words() | followups.words() | door_book.words()
    found |= refund_law.words() | refund_words.words()
    found |= {f"measure_of_bench.{name}": {"zh": w["zh"], "en": w["en"]} for name, w in bench_words().items()}
    found |= {f"type.{t.code}": {"zh": t.zh, "en": t.en} for t in scam_types().values()}
    found |= {f"figure.{m.name}": {"zh": m.zh, "en": m.en} for m in metrics().values()}
    found |= {f"formula.{m.name}": m.formula for m in metrics().values()}
    found |= {f"table.{t.name}": {"zh": t.zh, "en": t.en} for t in TABLES.values()}
    for table in TABLES.values():
        found |= {f"column.{table.name}.{c.name}": {"zh": c.zh, "en": c.en} for c in table.all_columns}
    return found


def forbidden() -> dict[str, str]:
    """Words that no page may show -> the word to use instead."""
    return dict(_glossary()["forbidden"])


def translate(key: str, language: str, **values: object) -> str:
    """The words of ``key``; KeyError where nobody has written them."""
    return entries()[key][language].format(**values) if values else entries()[key][language]


def known(key: str) -> bool:
    """True where the catalogue has the key: for codes that come from data."""
    return key in entries()
