"""Accounts of a case: numbers as subjects, names in the vault, what their banks have told.

Kept true here: a name stands only in the vault, on the provisional person of the account; what a bank has told of an
account is never taken back by a later, emptier word.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from wuzha.events import subjects

_NOISE = re.compile(r"[\s\-'’`\u200b\ufeff]+")
_ACCOUNT = re.compile(r"[0-9A-Za-z@._*#]{4,64}\Z")
KINDS = ("personal", "company", "wallet", "merchant")


def account_value(text: str) -> str | None:
    """The bare account of what people write: digits without blanks, or a wallet's letters; None where it is none."""
    value = _NOISE.sub("", unicodedata.normalize("NFKC", text))
    return value if _ACCOUNT.match(value) else None


def subject_id(conn: psycopg.Connection[Any], kind: str, value: str) -> int:
    """The subject's number; it is made where it is new."""
    return _subjects(conn, kind, [value])[value]


def named(conn: psycopg.Connection[Any], value: str, name: str | None, id_no: str | None = None) -> int:
    """The person with this bare value, with the name where the vault has none yet."""
    person = subject_id(conn, "person", value)
    if name or id_no:
        # Where the vault knows them already, possibly out of this officer's sight, its word stands.
        conn.execute(
            "INSERT INTO wuzha.persons (person_id, name, id_no) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
            (person, name or None, id_no or None),
        )
    return person


@dataclass(frozen=True, kw_only=True)
class Met:
    """An account as somebody names it: its bare value, and what is said of it."""

    value: str
    role: str = "met"
    name: str | None = None
    bank: str | None = None


def met(
    conn: psycopg.Connection[Any], case_id: int, value: str, *, role: str, name: str | None = None,
    bank: str | None = None,
) -> int:  # fmt: skip
    """The account stands in the case, with what is said of it where nothing was known; returns its subject."""
    return met_all(conn, case_id, [Met(value=value, role=role, name=name, bank=bank)])[value]


def met_all(conn: psycopg.Connection[Any], case_id: int, said: Iterable[Met]) -> dict[str, int]:
    """The same of many at once: their subjects by bare value. A payee of stolen money is a payee, whoever else calls
    the account their own."""
    first: dict[str, Met] = {}
    for one in said:
        had = first.get(one.value)
        first[one.value] = one if had is None else Met(
            value=one.value, role=had.role, name=had.name or one.name, bank=had.bank or one.bank
        )  # fmt: skip
    every = list(first.values())
    people = {m.value: subjects.provisional_person(f"account:{m.value}") for m in every if m.name}
    numbers = _subjects(conn, "account", [m.value for m in every])
    holders = _subjects(conn, "person", list(people.values()))
    if people:
        conn.execute(
            "INSERT INTO wuzha.persons (person_id, name) SELECT * FROM unnest(%s::bigint[], %s::text[])"
            " ON CONFLICT DO NOTHING",
            ([holders[p] for p in people.values()], [first[value].name for value in people]),
        )
    conn.execute(
        "INSERT INTO wuzha.case_accounts AS a (case_id, account_id, role, holder_id, bank)"
        " SELECT %s, * FROM unnest(%s::bigint[], %s::text[], %s::bigint[], %s::text[])"
        " ON CONFLICT (case_id, account_id) DO UPDATE SET role = CASE WHEN 'payee' IN (a.role, excluded.role)"
        "  THEN 'payee' WHEN 'victim' IN (a.role, excluded.role) THEN 'victim' ELSE 'met' END,"
        " holder_id = coalesce(a.holder_id, excluded.holder_id), bank = coalesce(a.bank, excluded.bank)",
        (
            case_id, [numbers[m.value] for m in every], [m.role for m in every],
            [holders[people[m.value]] if m.name else None for m in every],
            [(m.bank or "").strip()[:100] or None for m in every],
        ),
    )  # fmt: skip
    return numbers


def _subjects(conn: psycopg.Connection[Any], kind: str, values: list[str]) -> dict[str, int]:
    if not values:
        return {}
    conn.execute(
        "INSERT INTO wuzha.subjects (kind, value) SELECT %s, unnest(%s::text[]) ON CONFLICT DO NOTHING", (kind, values)
    )
    rows = conn.execute(
        "SELECT value, subject_id FROM wuzha.subjects WHERE kind = %s AND value = ANY(%s)", (kind, values)
    ).fetchall()
    return {value: int(number) for value, number in rows}


def told(
    conn: psycopg.Connection[Any], case_id: int, account_id: int, *, balance_fen: int | None, known_until: datetime,
    kind: str | None = None,
) -> None:  # fmt: skip
    """The bank has told what the account did up to a time."""
    conn.execute(
        "UPDATE wuzha.case_accounts SET kind = coalesce(%(kind)s, kind),"
        " balance_fen = CASE WHEN known_until > %(until)s THEN balance_fen ELSE coalesce(%(balance)s, balance_fen) END,"
        " known_until = greatest(known_until, %(until)s) WHERE case_id = %(case)s AND account_id = %(account)s",
        {
            "kind": kind if kind in KINDS else None, "balance": balance_fen, "until": known_until, "case": case_id,
            "account": account_id,
        },
    )  # fmt: skip
