"""The database's own log torn at its end, as by a power cut: what was acknowledged stands, the rest leaves no trace."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.store.rows import batch

from wuzha.store import log, migrate
from wuzha.store.embedded import Server
from wuzha.store.unprivileged import postgres_in

#: The database writes and syncs its log by whole pages.
_PAGE = 8192


@pytest.fixture
def folder(enterable_tmp: Path) -> Iterator[Path]:
    made = enterable_tmp / "torn"
    yield made
    for pid in postgres_in(made / "cluster"):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    shutil.rmtree(made, ignore_errors=True)


def torn(segment: Path, at: int, how: str) -> None:
    """What stands in ``segment`` from ``at`` on did not reach the disk, or not as it was."""
    whole = bytearray(segment.read_bytes())
    rest = len(whole) - at
    with segment.open("r+b") as file:
        file.seek(at)
        if how == "garbage":
            file.write(os.urandom(min(rest, 1 << 16)))
        elif how == "zeros":
            file.write(bytes(rest))
        else:
            file.truncate(-(-at // _PAGE) * _PAGE)


def test_what_was_acknowledged_outlives_a_log_torn_behind_it(folder: Path) -> None:
    acknowledged: list[str] = []
    for turn, how in enumerate(("garbage", "zeros", "cut")):
        server = Server(folder)
        server.start()
        db = server.database("torn")
        migrate.upgrade(db)
        with db.connect("web") as conn:
            for n in range(5):
                ids = [f"{turn}-{n}-{i}" for i in range(20)]
                (said,) = log.append(conn, batch(ids))
                assert said.accepted == 20
                acknowledged += ids
        with db.connect("super") as conn:
            row = conn.execute(
                "SELECT (pg_walfile_name_offset(lsn)).* FROM (SELECT pg_current_wal_flush_lsn() AS lsn) f"
            ).fetchone()
        assert row is not None
        doing = db.connect("web")
        doing.execute("BEGIN")
        log.append(doing, batch([f"{turn}-never-{i}" for i in range(20)]))  # written, never committed
        for pid in postgres_in(folder / "cluster"):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        doing.close()
        while postgres_in(folder / "cluster"):
            pass
        torn(folder / "cluster" / "pg_wal" / str(row[0]), int(str(row[1])), how)
        again = Server(folder)
        again.start()
        with again.database("torn").connect("engine") as conn:
            read = list(log.read(conn, 0, limit_rows=10**9))
            assert [b.position for b in read] == list(range(1, len(read) + 1)), how
            assert [i for b in read for i in b.rows.column("event_id").to_pylist()] == acknowledged, how
            (said,) = log.append(conn, batch([f"{turn}-never-{i}" for i in range(20)]))
            assert said.accepted == 20, "its sender, who was told nothing, sends it again"
            acknowledged += [f"{turn}-never-{i}" for i in range(20)]
        server.stop()
        again.stop()
