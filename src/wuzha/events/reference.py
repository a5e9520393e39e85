"""The reference page of the vocabulary, written from the declarations: ``python -m wuzha.events.reference FILE``.

Kept true: the page holds every table, column, subject kind and scam type that the code knows, and nothing else. A test
compares it with ``docs/reference/tables.md``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow as pa

from . import BASES, RAW_TABLES, TABLES, Column, Table
from .scam_types import scam_types
from .subjects import KINDS

_TYPES = {
    pa.string(): "text",
    pa.int64(): "whole number",
    pa.float64(): "number",
    pa.bool_(): "yes/no",
    pa.timestamp("us", tz="UTC"): "time",
    pa.date32(): "date",
    pa.list_(pa.string()): "list of texts",
    pa.list_(pa.int64()): "list of whole numbers",
}

_HEAD = """\
# 数据表参考 Tables

本页由 `make reference` 从代码生成，请勿手改。This page is written by `make reference` from the code.

Every row has an identity: (`source`, `event_id`) counts once, and the same id always has the same `ts`. `source` is the
registered sender and comes from its credential, never from the body. Times are kept in UTC, to the microsecond; nights
and days follow the deployment's zone (Asia/Shanghai). Money is whole fen. Unknown is null, never an empty text or 0.
Columns hold bare values (`+8613800138000`); subjects are spoken of by key (`line:+8613800138000`). Tables change only
by new columns that may be null.

**Needed** marks a column without which a row is a reject. **Vault** marks names and identity numbers: stored apart and
masked everywhere else.
"""


def page() -> str:
    """The whole page, Markdown."""
    parts = [_HEAD, _index(), *(_table(t) for t in TABLES.values()), _subjects(), _bases(), _scam_types()]
    return "\n".join(parts)


def _index() -> str:
    rows = [f"| [`{t.name}`](#{t.name}) | {t.zh} | {t.en} | {_span(t.late_allowance_s)} |" for t in TABLES.values()]
    return "\n".join(["| table | 中文 | rows are | late by at most |", "|---|---|---|---|", *rows, ""])


def _table(table: Table) -> str:
    words = [f"## {table.name} {table.zh} {{ #{table.name} }}", "", f"{table.en}. Schema version {table.version}."]
    if table.natural_key:
        key = ", ".join(f"`{name}`" for name in table.natural_key)
        words += ["", f"Both sides' rows of one event are paired on {key} within 5 minutes and count once."]
    if table.name in RAW_TABLES:
        words += ["", "Raw events of the public: a centre takes them only with a basis and an end date."]
    if table.name == "labels":
        words += ["", "Written by the synthetic city only; never imported, never in a server's database."]
    head = ["", "| column | 中文 | type | meaning |", "|---|---|---|---|"]
    return "\n".join([*words, *head, *(_row(c) for c in table.all_columns), ""])


def _row(column: Column) -> str:
    meaning = column.en
    if column.values:
        meaning += ": " + ", ".join(f"`{v}`" for v in column.values)
    notes = []
    if column.required:
        notes.append("**needed**")
    if column.minimum is not None:
        notes.append(f"at least {column.minimum}")
    if column.maximum is not None:
        notes.append(f"at most {column.maximum}")
    if column.subject:
        notes.append("subject key" if column.subject == "key" else f"subject `{column.subject}`")
    if column.vault:
        notes.append("**vault**")
    if notes:
        meaning += f" ({'; '.join(notes)})"
    return f"| `{column.name}` | {column.zh} | {_TYPES[column.type]} | {meaning} |"


def _span(seconds: int) -> str:
    days, rest = divmod(seconds, 86400)
    return f"{days} days" if not rest else f"{seconds // 3600} hours"


def _subjects() -> str:
    kinds = ", ".join(f"`{kind}`" for kind in KINDS)
    return f"## Subjects 对象 {{ #subjects }}\n\nKinds: {kinds}. The key of one is `kind:value`.\n"


def _bases() -> str:
    bases = ", ".join(f"`{basis}`" for basis in BASES)
    return (
        "## Bases 依据 { #bases }\n\nEvery batch says on what basis its rows are held: "
        f"{bases}; `holder_own` only at a holder.\n"
    )


def _scam_types() -> str:
    rows = [
        f"| `{t.code}` | {t.zh} | {t.en} | {', '.join(f'`{f}`' for f in t.feeds) or '—'} |"
        for t in scam_types().values()
    ]
    head = [
        "## Scam types 诈骗类型 { #scam-types }",
        "",
        "| code | 中文 | English | feeds' codes |",
        "|---|---|---|---|",
    ]
    return "\n".join([*head, *rows, ""])


if __name__ == "__main__":
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(page(), "utf-8")
    else:
        sys.stdout.write(page())
