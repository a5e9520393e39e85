"""SIGKILL at any moment, of everything at once, and a restart: the same alerts as an undisturbed run."""

from __future__ import annotations

import io
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest
from tests.served import Served, ended, folder, free_port

from wuzha.live import leaving
from wuzha.live.results import RANK
from wuzha.store import Connection, Database, keys, opened, sources
from wuzha.store.embedded import Server
from wuzha.store.settings import Settings

from . import city
from .outcome import events, outcome
from .test_worker import fill, follow, settings


@pytest.fixture
def served(enterable_tmp: Path) -> Iterator[Served]:
    with folder(enterable_tmp) as place:
        (place / "centre.key").write_text("nobody listens there")
        running = Served.role(
            place / "home", "holder", "--centre", f"http://127.0.0.1:{free_port()}",
            "--centre-key-file", str(place / "centre.key"),
            environment={
                "WUZHA_SNAPSHOT_S": "1", "WUZHA_SEAL_ROWS": "5000", "WUZHA_LOG_LEVEL": "error", "WUZHA_LEASE_S": "2",
            },
        )  # fmt: skip
        with ended(running):
            yield running


def registered(served: Served, sent: list[city.Sent]) -> dict[str, str]:
    """A key for each sender."""
    made = {}
    with opened(Settings(home=served.home, dsn=None), upgrade=False) as db, db.connect("web") as conn:
        for name in sorted({s.source for s in sent}):
            number = sources.register(
                conn, name=name, title=name, role="carrier", basis="holder_own", purpose="test", retention_days=3650,
                tables=list(sources.SENDABLE), late_allowance={},
            )  # fmt: skip
            made[name] = keys.issue(conn, number).key
    return made


def post(served: Served, key: str, s: city.Sent) -> dict[str, Any]:
    """Post until it is answered, as a sender does who must lose nothing."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, s.rows.schema) as out:
        out.write_table(s.rows)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/vnd.apache.arrow.stream"}
    end = time.monotonic() + 240
    while time.monotonic() < end:
        try:
            answer = httpx.post(
                f"{served.url}/v1/events/{s.table}",
                content=sink.getvalue(),
                headers=headers,
                trust_env=False,
                timeout=30,
            )
        except httpx.HTTPError:
            time.sleep(0.05)
            continue
        if answer.status_code in (429, 503):
            time.sleep(0.1)
            continue
        assert answer.status_code == 200, answer.text
        return dict(answer.json())
    raise AssertionError("never answered")


def disturbed(served: Served, sent: list[city.Sent], kills: int, chance: random.Random) -> None:
    """Post ``sent`` while everything is killed ``kills`` times, then let the worker finish and stop."""
    served.start()
    served.ready()
    made = registered(served, sent)
    done = 0
    failed: list[BaseException] = []

    def sending() -> None:
        nonlocal done
        try:
            for s in sent:
                said = post(served, made[s.source], s)
                assert said["accepted"] + said["duplicates"] == s.rows.num_rows and not said["rejected"], said
                done += 1
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=sending, daemon=True)
    thread.start()
    for point in sorted(chance.sample(range(20, len(sent) - 5), kills)):
        while done < point and not failed:
            time.sleep(0.002)
        time.sleep(chance.random() * 0.3)
        served.kill()
        served.start()
        served.ready()
    thread.join(240)
    assert not failed and not thread.is_alive(), failed
    with opened(Settings(home=served.home, dsn=None), upgrade=False) as db, db.connect("engine") as conn:
        end = time.monotonic() + 120
        while time.monotonic() < end:
            row = conn.execute(
                "SELECT h.position, p.position FROM wuzha.log_head h, wuzha.partitions p WHERE partition = 0"
            ).fetchone()
            if row is not None and row[0] == row[1]:
                break
            time.sleep(0.1)
    assert served.stop() < 25


def compare(served: Served, whole: Database, sent: list[city.Sent], tmp_path: Path) -> None:
    """The disturbed server's records and an undisturbed worker's on the same batches."""
    follow(whole, settings(tmp_path / "whole"), fill(whole, sent))
    with (
        Server(served.home / "postgres") as server,
        whole.connect("engine") as calm,
        server.database().connect("engine") as shaken,
    ):
        expected, got = outcome(calm), outcome(shaken)
        assert expected["alerts"] and expected["evidence"]
        for name in expected:
            assert (sorted(map(str, got[name] - expected[name])), sorted(map(str, expected[name] - got[name]))) == (
                [],
                [],
            ), name
        assert events(shaken) == events(calm), "nothing lost, nothing twice"
        _left(shaken)


def _left(conn: Connection) -> None:
    """Every alert's level has left, or waits to leave, as one warning."""
    queued = [k for (k,) in conn.execute("SELECT key FROM wuzha.outbox")]
    assert len(queued) == len(set(queued))
    for person, episode, level in conn.execute(
        "SELECT s.value, a.episode, a.level FROM wuzha.alerts a JOIN wuzha.subjects s ON s.subject_id = a.person_id"
        " WHERE a.merged_into IS NULL AND a.level <> 'low'"
        " AND NOT EXISTS (SELECT 1 FROM wuzha.audit u WHERE u.object = 'alert:' || a.alert_id)"
    ):
        assert leaving.number(person, episode, RANK[level]) in queued


def test_killed_at_random_and_restarted_gives_the_same_alerts(
    served: Served, make_db: Callable[[], Database], tmp_path: Path
) -> None:
    sent = list(city.batches(city.tables(people=200, days=2, scam_rate=0.15), minutes=240))
    disturbed(served, sent, 2, random.Random(os.environ.get("WUZHA_TEST_SEED", "1")))
    compare(served, make_db(), sent, tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(5))
def test_killed_many_times(served: Served, make_db: Callable[[], Database], tmp_path: Path, seed: int) -> None:
    sent = list(city.batches(city.tables(people=800, days=4, scam_rate=0.05)))
    disturbed(served, sent, 10, random.Random(seed))
    compare(served, make_db(), sent, tmp_path)


def test_ctrl_c_stops_all_of_it_and_leaves_no_process(served: Served) -> None:
    served.start()
    served.ready()
    there = served.everything()
    assert any("postgres" in p.name() for p in there)
    assert served.stop(signal.SIGINT) < 20
    assert served.process is not None and served.process.returncode == 0
    assert not served.running(there)


@pytest.mark.parametrize("early", [True, False])
def test_the_parent_killed_alone_takes_its_children_and_the_database_along(served: Served, early: bool) -> None:
    served.start()
    if early:  # the database runs, the children are starting
        end = time.monotonic() + 60
        while not any("postgres" in p.name() for p in served.running()) and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(random.random())
    else:
        served.ready()
    there = served.running()
    assert served.process is not None
    served.process.kill()
    served.process.wait()
    served.gone(there)
