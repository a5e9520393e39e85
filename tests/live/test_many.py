"""A log of three nodes, and several workers: whatever is killed in the middle, the alerts are those of a calm run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from tests.loopback import nodes
from tests.served import Served, ended, folder, free_port

from wuzha.bench.outcome import events
from wuzha.bench.retrying import post, registered
from wuzha.cli import doctor_lines
from wuzha.live import share
from wuzha.live.subjects import first_unit
from wuzha.store import Connection, Database, log_index
from wuzha.store import log as store_log

from . import city
from .test_kill import compare
from .test_share import restless, same
from .test_worker import fill, follow, settings, small_city


def caught_up(conn: Connection, last: int, seconds: float = 120.0) -> None:
    """Wait until results and index hold everything up to ``last``."""
    end = time.monotonic() + seconds
    while True:
        row = conn.execute(
            "SELECT h.position, (SELECT min(position) FROM wuzha.partitions) FROM wuzha.log_head h"
        ).fetchone()
        if row is not None and row[0] >= last and row[1] >= last:
            return
        assert time.monotonic() < end, (row, last)
        time.sleep(0.05)


@pytest.mark.soak
def test_a_node_killed_in_the_middle_loses_nothing_and_changes_no_alert(
    enterable_tmp: Path, make_db: Callable[[], Database], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = list(city.batches(city.tables(people=120, days=2, scam_rate=0.2), minutes=720))
    with folder(enterable_tmp) as place, nodes(place) as cluster:
        (place / "centre.key").write_text("nobody listens there")
        served = Served.role(
            place / "home", "holder", "--centre", f"http://127.0.0.1:{free_port()}",
            "--centre-key-file", str(place / "centre.key"),
            environment={
                "WUZHA_LOG": f"{cluster.url}/calls", "WUZHA_LOG_NODES": cluster.monitors, "WUZHA_SNAPSHOT_S": "1",
                "WUZHA_SEAL_ROWS": "5000", "WUZHA_LOG_LEVEL": "error", "WUZHA_LEASE_S": "2",
            },
        )  # fmt: skip
        with ended(served):
            served.start()
            served.ready()
            keys = registered(served.database(), {s.source for s in sent})
            where = served.url.removeprefix("http://")
            dead = None
            for i, s in enumerate(sent):
                if i == len(sent) // 3:
                    dead = cluster.leader("calls")
                    cluster.kill(dead)
                if i == 2 * len(sent) // 3 and dead is not None:
                    cluster.start(dead)
                said = post(where, keys[s.source], s)
                assert said["accepted"] == s.rows.num_rows and not said["rejected"], said
            last = len(sent)  # a batch is a message, whatever befell the nodes
            monkeypatch.setenv("WUZHA_LOG", f"{cluster.url}/calls")
            monkeypatch.setenv("WUZHA_LOG_NODES", cluster.monitors)
            looked = {f.name: f for f in doctor_lines.stream()}
            assert looked["log"].words.startswith(f"stream calls, positions 1 to {last}, 3 replicas"), looked
            assert looked["log node"].state == "ok" and "syncs each write" in looked["log node"].words
            monkeypatch.delenv("WUZHA_LOG")
            again = post(where, keys[sent[0].source], sent[0])
            assert again["duplicates"] == sent[0].rows.num_rows and not again["accepted"]
            assert httpx.get(f"{served.url}/v1/ready", trust_env=False).status_code == 200
            with served.database().connect("engine") as conn:
                caught_up(conn, last)
                empty = conn.execute("SELECT count(*), sum(length(payload)) FROM wuzha.log").fetchone()
                assert empty == (len(sent), 0), "the database holds an index, the rows stand in the stream"
            served.stop()
            compare(served, make_db(), sent, tmp_path)


_WORKER = """
import sys
from pathlib import Path
import psycopg
from wuzha.live.lease import LeaseLost
from wuzha.live.settings import Settings
from wuzha.live.worker import Worker
conninfo, home = sys.argv[1:]
given = Settings(home=Path(home), role="holder", lease_s=2.0, snapshot_s=1)
try:
    Worker(lambda: psycopg.connect(conninfo, autocommit=True), given).run()
except LeaseLost:
    sys.exit(75)
"""


@pytest.mark.soak
def test_four_workers_and_three_nodes_under_kills_give_what_one_process_gives(
    enterable_tmp: Path, make_db: Callable[[], Database], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node and two workers are killed in the middle, a third is frozen past its lease and woken."""
    sent = restless(list(small_city()))
    whole, db = make_db(), make_db()
    follow(whole, settings(tmp_path / "whole"), fill(whole, sent))
    running: list[subprocess.Popen[bytes]] = []

    def start(how_many: int) -> list[subprocess.Popen[bytes]]:
        command = [sys.executable, "-c", _WORKER, db.conninfo("engine"), str(tmp_path / "many")]
        made = [subprocess.Popen(command) for _ in range(how_many)]
        running.extend(made)
        return made

    def reached(conn: Connection) -> list[int]:
        return [p for (p,) in conn.execute("SELECT position FROM wuzha.partitions ORDER BY partition").fetchall()]

    def held_by(conn: Connection, partition: int) -> int:
        row = conn.execute(
            "SELECT split_part(leased_by, '|', 3)::int FROM wuzha.partitions WHERE partition = %s", [partition]
        ).fetchone()
        assert row is not None
        return int(row[0])

    def until(check: Callable[[], bool]) -> None:
        end = time.monotonic() + 180
        while not check():
            assert time.monotonic() < end, "it did not come to pass"
            time.sleep(0.05)

    with nodes(enterable_tmp) as cluster, db.connect("engine") as conn, db.connect("web") as web:
        cluster.stream("first").close()
        monkeypatch.setenv("WUZHA_LOG", f"{cluster.url}/four")
        try:
            log_index.settle(conn)
            first_unit(web, "持有单位")
            share.double(conn)
            share.double(conn)

            def send(batches: list[city.Sent]) -> int:
                said = [
                    store_log.commit(
                        web, [store_log.Batch(table=s.table, rows=s.rows, source=s.source, basis="holder_own")]
                    )[0]
                    for s in batches
                ]
                # the city sends some rows twice
                assert [r.accepted + len(r.duplicates) for r in said] == [s.rows.num_rows for s in batches]
                return said[-1].position or 0

            third = len(sent) // 3
            start(4)
            last = send(sent[:third])
            until(lambda: min(reached(conn)) >= last // 2)
            dead = cluster.leader("four")
            cluster.kill(dead)
            holders = {partition: held_by(conn, partition) for partition in range(4)}
            assert len(set(holders.values())) == 4
            by_pid = {p.pid: p for p in running}
            for partition in (0, 1):
                by_pid[holders[partition]].kill()
            frozen = by_pid[holders[2]]
            os.kill(frozen.pid, signal.SIGSTOP)
            start(3)  # their parents start two again, and another machine has one to spare
            last = send(sent[third : 2 * third])
            until(lambda: min(reached(conn)) >= last)
            assert held_by(conn, 2) != frozen.pid
            os.kill(frozen.pid, signal.SIGCONT)
            cluster.start(dead)
            last = send(sent[2 * third :])
            until(lambda: min(reached(conn)) >= last)
            # it learns that it was replaced, or first that what it asked the log is too old to be answered
            assert frozen.wait(60) in (75, 1)
            again = store_log.commit(
                web, [store_log.Batch(table=s.table, rows=s.rows, source=s.source, basis="holder_own") for s in sent]
            )
            assert not any(r.accepted for r in again) and last == len(sent)
            elsewhere = store_log.stream()
            assert elsewhere is not None
            log_index.follow(conn, elsewhere)
            elsewhere.stream.close()
            store_log.stream_of.cache_clear()
        finally:
            for process in running:
                process.kill()
                process.wait()
        with whole.connect("engine") as calm:
            assert events(conn) == events(calm), "nothing lost, nothing twice"
    same(whole, db)
