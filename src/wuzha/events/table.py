"""What an event table is: named, typed, explained columns, and the rules that every row keeps.

Kept true here: a table's Arrow schema, its reference page and its validation are three readings of one
declaration, so they cannot differ. Tables change only by adding nullable columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

TEXT = pa.string()
INT = pa.int64()
FLOAT = pa.float64()
BOOL = pa.bool_()
TIME = pa.timestamp("us", tz="UTC")
DATE = pa.date32()
TEXTS = pa.list_(pa.string())
INTS = pa.list_(pa.int64())

IDENTITY = ("source", "event_id", "ts")


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column: its Arrow type, what it means, and what a value must satisfy."""

    name: str
    type: pa.DataType
    zh: str
    en: str
    #: A row without it is a reject.
    required: bool = False
    #: The subject kind that the bare value belongs to (``line``, ``account`` …), ``key`` for a whole ``kind:value``.
    subject: str | None = None
    #: The only values allowed; empty where any is.
    values: tuple[str, ...] = ()
    #: Names and identity numbers: stored only in the vault tables, masked everywhere else.
    vault: bool = False
    #: Whole numbers below this are rejects (durations, sizes, amounts that may not be negative).
    minimum: int | None = None
    #: Whole numbers above this are rejects: typing errors, or values that stand for something else.
    maximum: int | None = None


@dataclass(frozen=True, kw_only=True)
class Table:
    """One event table. ``columns`` are those beyond ``source``, ``event_id`` and ``ts``."""

    name: str
    zh: str
    en: str
    columns: tuple[Column, ...]
    #: How late a row may come and still count in live figures, seconds; a source may register its own.
    late_allowance_s: int = 3 * 86400
    #: Rows of one event that both sides report are paired on these columns within five minutes.
    natural_key: tuple[str, ...] = ()
    version: int = 1

    @cached_property
    def all_columns(self) -> tuple[Column, ...]:
        """Identity columns first, then the table's own."""
        return (
            Column(name="source", type=TEXT, zh="来源", en="registered sender", required=True),
            Column(name="event_id", type=TEXT, zh="事件编号", en="the sender's id of the event", required=True),
            Column(name="ts", type=TIME, zh="时间", en="when it happened, UTC", required=True),
            *self.columns,
        )

    @cached_property
    def schema(self) -> pa.Schema:
        """The Arrow schema, with the table's name and version in its metadata."""
        return pa.schema(
            [pa.field(c.name, c.type, nullable=not c.required) for c in self.all_columns],
            metadata={"wuzha.table": self.name, "wuzha.version": str(self.version)},
        )

    def column(self, name: str) -> Column:
        """The column called ``name``; KeyError names the table where there is none."""
        for c in self.all_columns:
            if c.name == name:
                return c
        raise KeyError(f"{self.name} has no column {name!r}")

    def empty(self) -> pa.Table:
        """A table without rows."""
        return self.schema.empty_table()
