"""Accounts of a case: numbers as subjects, names in the vault, what their banks have told.

Kept true here: a name stands only in the vault, on the provisional person of the account; what a bank has told of an
account is never taken back by a later, emptier word.
"""

from __future__ import annotations

import re
import unicodedata
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
    conn.execute("INSERT INTO wuzha.subjects (kind, value) VALUES (%s, %s) ON CONFLICT DO NOTHING", (kind, value))
    row = conn.execute("SELECT subject_id FROM wuzha.subjects WHERE kind = %s AND value = %s", (kind, value)).fetchone()
    assert row is not None
    return int(row[0])


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


def met(
    conn: psycopg.Connection[Any], case_id: int, value: str, *, role: str, name: str | None = None,
    bank: str | None = None, kind: str | None = None,
) -> int:  # fmt: skip
    """The account stands in the case, with what is said of it where nothing was known; returns its subject."""
    account = subject_id(conn, "account", value)
    holder = named(conn, subjects.provisional_person(f"account:{value}"), name) if name else None
    conn.execute(
        "INSERT INTO wuzha.case_accounts AS a (case_id, account_id, role, holder_id, bank, kind)"
        " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (case_id, account_id) DO UPDATE SET"
        " role = CASE WHEN excluded.role = 'met' OR a.role = 'victim' THEN a.role ELSE excluded.role END,"
        " holder_id = coalesce(a.holder_id, excluded.holder_id), bank = coalesce(a.bank, excluded.bank),"
        " kind = coalesce(a.kind, excluded.kind)",
        (case_id, account, role, holder, (bank or "").strip()[:100] or None, kind),
    )
    return account


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
