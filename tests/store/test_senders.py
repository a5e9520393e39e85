"""Senders, their keys, and the outbox."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from wuzha.store import Connection, Database, keys, outbox, sources, transaction

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
GOOD: dict[str, Any] = {
    "name": "carrier-a", "title": "甲运营商", "role": "carrier", "basis": "holder_own", "purpose": "反诈",
    "retention_days": 30, "tables": ["calls", "messages"],
}  # fmt: skip


def test_a_sender_is_read_as_it_was_registered(web: Connection) -> None:
    number = sources.register(web, **GOOD, late_allowance={"calls": 60}, basis_until=NOW, now=NOW)
    found = sources.one(web, name="carrier-a")
    assert found == sources.one(web, source_id=number) == sources.every(web)[0]
    assert found is not None
    assert (found.tables, found.late_allowance, found.basis_until) == (("calls", "messages"), {"calls": 60}, NOW)
    assert (found.active, found.keys, found.last_used_at) == (True, 0, None)
    assert sources.one(web, name="other") is None


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"name": "A"}, "name", "name"),
        ({"name": "a b"}, "name", "name"),
        ({"title": " "}, "title", "empty"),
        ({"role": "x"}, "role", "unknown_value"),
        ({"basis": ""}, "basis", "unknown_value"),
        ({"purpose": ""}, "purpose", "empty"),
        ({"retention_days": 0}, "retention_days", "range"),
        ({"tables": []}, "tables", "unknown_value"),
        ({"tables": ["labels"]}, "tables", "unknown_value"),
        ({"basis_until": datetime(2026, 1, 1)}, "basis_until", "zone"),
        ({"late_allowance": {"visits": 1}}, "late_allowance", "unknown_value"),
        ({"late_allowance": {"calls": -1}}, "late_allowance", "unknown_value"),
    ],
)
def test_a_wrong_entry_is_named(web: Connection, change: dict[str, Any], field: str, reason: str) -> None:
    with pytest.raises(sources.SourceError) as refused:
        sources.register(web, **{**GOOD, **change})
    assert (refused.value.field, refused.value.reason) == (field, reason)
    assert sources.every(web) == []


def test_a_name_is_taken_once_even_within_a_transaction(web: Connection) -> None:
    with web.transaction():
        sources.register(web, **GOOD)
        with pytest.raises(sources.SourceError, match="already"):
            sources.register(web, **GOOD)
    assert len(sources.every(web)) == 1


def test_a_key_opens_its_sender_until_it_is_revoked_or_the_sender_closed(
    web: Connection, superuser: Connection
) -> None:
    number = sources.register(web, **GOOD)
    first, second = keys.issue(web, number, now=NOW), keys.issue(web, number, now=NOW)
    for issued in (first, second):
        found = keys.check(web, issued.key, now=NOW)
        assert found is not None and found.source_id == number
    assert keys.revoke(web, first.key_id, now=NOW) and not keys.revoke(web, first.key_id, now=NOW)
    assert keys.check(web, first.key) is None and keys.check(web, second.key) is not None
    entries = {k: v for k, v in GOOD.items() if k != "name"}
    assert sources.change(web, number, **entries, active=False)
    assert keys.check(web, second.key) is None
    kept = str(superuser.execute("SELECT * FROM wuzha.api_keys").fetchall())
    assert first.key not in kept and first.key.rsplit("_", 1)[1] not in kept
    assert not sources.change(web, 999, **entries, active=True)


@pytest.mark.parametrize("spoil", [
    lambda k: k[:-1] + ("A" if k[-1] != "A" else "B"), lambda k: k + "x", lambda k: k[3:], lambda _: "",
    lambda k: k.replace("wz_", "wz_' OR 1=1 --"), lambda k: k.upper(), lambda k: k + "\x00", lambda k: k + "\n",
])  # fmt: skip
def test_a_key_that_is_nearly_right_opens_nothing(web: Connection, spoil: Any) -> None:
    issued = keys.issue(web, sources.register(web, **GOOD))
    assert keys.check(web, spoil(issued.key)) is None


def test_the_last_use_of_a_key_is_noted_at_most_once_a_minute(web: Connection) -> None:
    number = sources.register(web, **GOOD)
    issued = keys.issue(web, number, now=NOW)
    for seconds, noted in ((0, 0), (59, 0), (60, 60), (61, 60)):
        keys.check(web, issued.key, now=NOW + timedelta(seconds=seconds))
        assert keys.of_source(web, number)[0]["last_used_at"] == NOW + timedelta(seconds=noted)


def test_a_key_is_checked_while_another_notes_its_use(db: Database) -> None:
    with db.connect("web") as one, db.connect("web") as two:
        issued = keys.issue(one, sources.register(one, **GOOD), now=NOW)
        two.execute("SET lock_timeout = '1s'")
        with one.transaction():
            assert keys.check(one, issued.key, now=NOW)
            assert keys.check(two, issued.key, now=NOW), "nobody waits for a note"


def test_a_key_for_nobody_is_refused(web: Connection) -> None:
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        keys.issue(web, 12345)


def test_flaws_of_a_registration(web: Connection) -> None:
    number = sources.register(web, **{**GOOD, "basis": "case_query"}, now=NOW)
    found = sources.one(web, source_id=number)
    assert found and sources.flaws(found, now=NOW) == ["no_end", "no_document", "no_key"]
    entries = {k: v for k, v in GOOD.items() if k != "name"}
    end = NOW + timedelta(days=1)
    sources.change(web, number, **{**entries, "basis": "case_query"}, basis_ref="查1号", basis_until=end, active=True)
    keys.issue(web, number)
    found = sources.one(web, source_id=number)
    assert found and sources.flaws(found, now=NOW) == ["never_used"]
    assert sources.flaws(found, now=end) == ["expired", "never_used"]


# ---------------------------------------------------------------- the outbox


def test_a_message_is_queued_once_and_leaves_in_order(engine: Connection) -> None:
    for key in ("b", "a", "b"):
        outbox.enqueue(engine, recipient="centre", kind="warning", key=key, body={"key": key}, now=NOW)
    outbox.enqueue(engine, recipient="other", kind="warning", key="b", body={})
    waiting = outbox.waiting(engine, "centre")
    assert [m.key for m in waiting] == ["b", "a"] and waiting[0].body == {"key": "b"}
    assert outbox.receipted(engine, waiting[0].number, "position 1", now=NOW)
    assert not outbox.receipted(engine, waiting[0].number, "position 2", now=NOW), "the first receipt stands"
    assert [m.key for m in outbox.waiting(engine, "centre")] == ["a"]
    assert outbox.enqueue(engine, recipient="centre", kind="warning", key="b", body={}) is None, "sent already"
    assert [m.key for m in outbox.waiting(engine, "centre", limit=1)] == ["a"]


def test_a_message_of_a_rolled_back_deed_is_not_queued(engine: Connection) -> None:
    with pytest.raises(ZeroDivisionError), engine.transaction():
        outbox.enqueue(engine, recipient="centre", kind="warning", key="x", body={})
        raise ZeroDivisionError
    assert outbox.waiting(engine, "centre") == []


def test_no_page_queues_or_reads_a_message(web: Connection) -> None:
    """The desk's rounds queue messages as the machine; a transaction that names an officer is a page's."""
    with transaction(web, unit=1, user=None):
        assert outbox.enqueue(web, recipient="public", kind="code", key="x", body={}) is not None
    with pytest.raises(psycopg.errors.InsufficientPrivilege), transaction(web, unit=1, user=1):
        outbox.enqueue(web, recipient="public", kind="code", key="y", body={})
    with transaction(web, unit=1, user=1):
        assert outbox.waiting(web, "public") == []
