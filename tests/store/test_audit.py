"""The audit chain: rows commit with their deed, and whoever tampers with sealed ones is found."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wuzha.store import Connection, Database, audit, transaction

AT = datetime(2026, 3, 2, 8, tzinfo=UTC)


@pytest.fixture
def heads(tmp_path: Path) -> Path:
    return tmp_path / "heads" / "wuzha.jsonl"


def write(conn: Connection, n: int, *, action: str = "probe") -> None:
    for i in range(n):
        audit.append(conn, actor="desk-1", action=action, object=f"alert:{i}", unit_id=None, detail={"i": i}, at=AT)


@pytest.fixture
def sealed(web: Connection, engine: Connection, heads: Path) -> Iterator[Connection]:
    """Three seals of 4, 3 and 2 rows; the superuser's connection to tamper with is ``superuser``."""
    for n in (4, 3, 2):
        write(web, n)
        assert audit.seal(engine, heads, now=AT) == n
    assert audit.verify(engine, heads) == audit.Verdict(
        rows=9, seals=3, waiting=0, head=audit.verify(engine, heads).head
    )
    yield engine


def test_a_row_commits_and_rolls_back_with_its_deed(web: Connection, engine: Connection, heads: Path) -> None:
    with pytest.raises(ZeroDivisionError), transaction(web):
        write(web, 1)
        raise ZeroDivisionError
    with transaction(web):
        write(web, 1)
    assert len(audit.rows(engine)) == 1
    assert audit.seal(engine, heads) == 1
    verdict = audit.verify(engine, heads)
    assert verdict.whole and verdict.rows == 1, "a rolled back number is a gap, not a loss"


def test_sealing_nothing_writes_no_seal(engine: Connection, heads: Path) -> None:
    assert audit.seal(engine, heads) == 0
    assert not heads.exists()
    assert audit.verify(engine, heads) == audit.Verdict(rows=0, seals=0, waiting=0, head=None)


def test_a_row_that_commits_late_is_chained_late(db: Database, heads: Path) -> None:
    with db.connect("web") as early, db.connect("web") as late, db.connect("engine") as engine:
        with late.transaction():
            write(late, 1, action="late")  # takes the smaller number, commits after the seal
            write(early, 2)
            assert audit.seal(engine, heads) == 2
        assert audit.seal(engine, heads) == 1
        assert audit.verify(engine, heads).whole
        got = engine.execute("SELECT action, sealed FROM audit ORDER BY audit_id").fetchall()
        assert got == [("late", 2), ("probe", 1), ("probe", 1)]


def test_many_rows_are_sealed_in_parts(db: Database, heads: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "_SEAL_ROWS", 10)
    with db.connect("web") as web, db.connect("engine") as engine:
        write(web, 25)
        assert audit.seal(engine, heads) == 25
        verdict = audit.verify(engine, heads)
        assert (verdict.whole, verdict.seals, verdict.rows) == (True, 3, 25)


Tamper = Callable[[Connection], object]

TAMPERED: dict[str, tuple[str, str, int | None]] = {
    "a word changed": ("UPDATE audit SET actor = 'other' WHERE audit_id = 6", "row_altered", 6),
    "detail changed": ("UPDATE audit SET detail = '{\"i\": 7}' WHERE audit_id = 2", "row_altered", 2),
    "time changed": ("UPDATE audit SET at = at + interval '1 microsecond' WHERE audit_id = 1", "row_altered", 1),
    "object emptied": ("UPDATE audit SET object = NULL WHERE audit_id = 5", "row_altered", 5),
    "first removed": ("DELETE FROM audit WHERE audit_id = 1", "row_altered", 2),
    "middle removed": ("DELETE FROM audit WHERE audit_id = 6", "row_altered", 7),
    "last of a seal removed": ("DELETE FROM audit WHERE audit_id = 4", "row_missing", 3),
    "last removed": ("DELETE FROM audit WHERE audit_id = 9", "row_missing", 8),
    "a whole seal's rows removed": ("DELETE FROM audit WHERE sealed = 2", "row_missing", 8),
    "the newest seal's rows removed": ("DELETE FROM audit WHERE sealed = 3", "row_missing", None),
    "all rows removed": ("DELETE FROM audit", "row_missing", None),
    "two rows swapped": (
        "UPDATE audit a SET action = 'probe2', object = b.object, detail = b.detail FROM audit b"
        " WHERE (a.audit_id, b.audit_id) IN ((2, 3), (3, 2))", "row_altered", 2,
    ),
    "unsealed again": ("UPDATE audit SET sealed = NULL, hash = NULL WHERE audit_id = 9", "row_missing", 8),
    "moved to another seal": ("UPDATE audit SET sealed = 3 WHERE audit_id = 7", "row_missing", 6),
    "a row put in": (
        "INSERT INTO audit (audit_id, at, actor, action, sealed, hash)"
        " SELECT 1000, at, actor, action, sealed, hash FROM audit WHERE audit_id = 9", "row_altered", 1000,
    ),
    "a seal removed": ("DELETE FROM audit_seals WHERE seal = 2", "seal_missing", 5),
    "a seal's head changed": ("UPDATE audit_seals SET head = '\\x00' WHERE seal = 2", "seal_altered", 7),
    "rows and seal removed at the end": (
        "WITH gone AS (DELETE FROM audit WHERE sealed = 3) DELETE FROM audit_seals WHERE seal = 3", "seals_lost", None,
    ),
    "everything removed": (
        "WITH gone AS (DELETE FROM audit) DELETE FROM audit_seals", "seals_lost", None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", TAMPERED)
def test_tampering_as_superuser_is_found(what: str, sealed: Connection, superuser: Connection, heads: Path) -> None:
    statement, why, row = TAMPERED[what]
    superuser.execute("SET search_path = wuzha")
    assert superuser.execute(statement).rowcount > 0  # type: ignore[arg-type]
    verdict = audit.verify(sealed, heads)
    assert (verdict.why, verdict.audit_id) == (why, row)
    assert not verdict.whole


def test_a_chain_rewritten_whole_is_found_by_the_file(sealed: Connection, superuser: Connection, heads: Path) -> None:
    """Somebody alters a row and computes every hash and head anew, as the sealer would."""
    superuser.execute("SET search_path = wuzha")
    superuser.execute("UPDATE audit SET actor = 'nobody' WHERE audit_id = 6")
    superuser.execute("UPDATE audit SET sealed = NULL, hash = NULL WHERE sealed >= 2")
    superuser.execute("DELETE FROM audit_seals WHERE seal >= 2")
    other = heads.with_name("forged.jsonl")
    other.write_text(heads.read_text().splitlines()[0] + "\n")
    audit.seal(superuser, other)
    assert audit.verify(sealed, other).whole, "the forged chain is sound in itself"
    verdict = audit.verify(sealed, heads)
    assert (verdict.why, verdict.seal) in (("head_differs", 2), ("seals_lost", 3))


def test_a_database_put_back_is_found_and_not_sealed_over(
    sealed: Connection, superuser: Connection, web: Connection, heads: Path
) -> None:
    superuser.execute("DELETE FROM wuzha.audit WHERE sealed = 3")
    superuser.execute("DELETE FROM wuzha.audit_seals WHERE seal = 3")
    write(web, 1)
    before = heads.read_text()
    with pytest.raises(audit.HeadsDiffer):
        audit.seal(sealed, heads)
    assert heads.read_text() == before
    assert audit.verify(sealed, heads).waiting == 1


def test_a_heads_file_that_is_gone_is_missed(sealed: Connection, web: Connection, heads: Path) -> None:
    heads.unlink()
    assert audit.verify(sealed, heads).why == "heads_missing"
    write(web, 1)
    with pytest.raises(audit.HeadsDiffer, match="gone"):
        audit.seal(sealed, heads)


def test_a_heads_file_that_tells_it_two_ways_is_found(sealed: Connection, heads: Path) -> None:
    line = json.loads(heads.read_text().splitlines()[1])
    with heads.open("a") as out:
        out.write(json.dumps({**line, "head": "00"}) + "\n")
    verdict = audit.verify(sealed, heads)
    assert (verdict.why, verdict.seal) == ("heads_contradict", 2)


def test_a_crash_between_commit_and_file_is_made_good(sealed: Connection, web: Connection, heads: Path) -> None:
    """The newest head is not in the file yet, or stands there as a torn line."""
    lines = heads.read_text().splitlines(keepends=True)
    heads.write_text("".join(lines[:2]) + lines[2][:20])
    assert audit.verify(sealed, heads).whole, "the newest seal may be on its way to the file"
    write(web, 1)
    audit.seal(sealed, heads)
    verdict = audit.verify(sealed, heads)
    assert verdict.whole and verdict.seals == 4
    assert sorted(audit.read_heads(heads).entries) == [1, 2, 3, 4]


def test_the_heads_file_is_private_and_only_grows(sealed: Connection, web: Connection, heads: Path) -> None:
    before = heads.read_bytes()
    assert os.stat(heads).st_mode & 0o777 == 0o600
    write(web, 1)
    audit.seal(sealed, heads)
    assert heads.read_bytes().startswith(before)


def test_sealers_beside_each_other_make_one_chain(db: Database, heads: Path) -> None:
    stop = threading.Event()
    trouble: list[BaseException] = []

    def work() -> None:
        try:
            with db.connect("engine") as conn:
                while not stop.is_set():
                    audit.seal(conn, heads)
        except BaseException as error:
            trouble.append(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    with db.connect("web") as web:
        for _ in range(20):
            write(web, 3)
    time.sleep(0.1)
    stop.set()
    for thread in threads:
        thread.join()
    assert trouble == []
    with db.connect("engine") as engine:
        audit.seal(engine, heads)
        verdict = audit.verify(engine, heads)
        assert verdict.whole and verdict.rows == 60


def test_the_sealer_seals_and_stops(db: Database, heads: Path) -> None:
    sealer = audit.Sealer(lambda: db.connect("engine"), heads, every_s=0.02)
    sealer.start()
    with db.connect("web") as web:
        write(web, 3)
        until = time.monotonic() + 60
        while not heads.exists() and time.monotonic() < until:
            time.sleep(0.01)
        assert heads.exists()
        write(web, 2)
    sealer.stop()
    assert not sealer.is_alive()
    with db.connect("engine") as engine:
        assert audit.verify(engine, heads) == audit.Verdict(
            rows=5, seals=audit.verify(engine, heads).seals, waiting=0, head=audit.verify(engine, heads).head
        )


texts = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=20)


details = st.dictionaries(
    texts,
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
    | st.lists(texts, max_size=3),
    max_size=4,
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actor=texts, detail=details)
def test_any_row_verifies_as_it_was_sealed(
    actor: str, detail: dict[str, object], module_db: Database, tmp_path_factory: pytest.TempPathFactory
) -> None:
    heads = tmp_path_factory.getbasetemp() / "any.jsonl"
    with module_db.connect("web") as web, module_db.connect("engine") as engine:
        audit.append(web, actor=actor, action="any", detail=detail)
        audit.seal(engine, heads)
        assert audit.verify(engine, heads).whole
