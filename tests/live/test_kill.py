"""SIGKILL at any moment, of everything at once, and a restart: the same alerts as an undisturbed run."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.served import Served, ended, folder, free_port

from wuzha.bench.outcome import events, outcome, unsent
from wuzha.bench.retrying import caught_up, post, registered
from wuzha.store import Database
from wuzha.store.embedded import Server

from . import city
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


def disturbed(served: Served, sent: list[city.Sent], kills: int, chance: random.Random) -> None:
    """Post ``sent`` while everything is killed ``kills`` times, then let the worker finish and stop."""
    served.start()
    served.ready()
    made = registered(served.database(), {s.source for s in sent})
    place = served.url.removeprefix("http://")
    done = 0
    failed: list[BaseException] = []

    def sending() -> None:
        nonlocal done
        try:
            for s in sent:
                said = post(place, made[s.source], s)
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
    caught_up(served.database(), 120)
    served.stop()
    assert served.running_itself.returncode == 0


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
        assert unsent(shaken) == 0


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
    served.stop(signal.SIGINT)
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
