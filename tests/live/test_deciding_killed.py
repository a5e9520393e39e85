"""The worker is killed while a real server is asked: what is missing is named, and nothing is decided twice."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from tests.served import Served, ended, folder, free_port

from wuzha.store import keys, opened, sources
from wuzha.store.settings import Settings


@pytest.fixture
def served(enterable_tmp: Path) -> Iterator[Served]:
    with folder(enterable_tmp) as place:
        running = Served.role(
            place / "home", "holder", "--bank-port", str(free_port()),
            environment={"WUZHA_LOG_LEVEL": "error", "WUZHA_LEASE_S": "2"},
        )  # fmt: skip
        with ended(running):
            yield running


def worker(served: Served) -> psutil.Process:
    """The engine's process."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        for p in served.everything():
            try:
                if "wuzha.live.process" in p.cmdline():
                    return p
            except psutil.NoSuchProcess:
                continue
        time.sleep(0.05)
    raise AssertionError("no worker")


def test_a_killed_worker_is_named_as_missing_and_nothing_is_decided_twice(served: Served) -> None:
    served.start()
    served.ready()
    served.says("Banks ask at ")
    with opened(Settings(home=served.home, dsn=None), upgrade=False) as db, db.connect("web") as conn:
        number = sources.register(
            conn, name="bank", title="bank", role="bank", basis="holder_own", purpose="test", retention_days=1,
            tables=["transfers"],
        )  # fmt: skip
        key = keys.issue(conn, number).key
    told: dict[str, list[dict[str, Any]]] = {}
    stop = threading.Event()
    counted = itertools.count()

    said = served.said
    own_door = said[said.index("Banks ask at ") + len("Banks ask at ") :].split("/v1/")[0]

    def bank(url: str) -> None:
        with httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
            while not stop.is_set():
                name = f"q{next(counted) // 2}"  # each twice, as a rule by both doors
                answer = client.post(
                    "/v1/decisions/transfer",
                    json={"payer": "62220001", "payee": "62220002", "amount_fen": 2_000_000, "deadline_ms": 200},
                    headers={"Authorization": f"Bearer {key}", "Idempotency-Key": name},
                )
                assert answer.status_code == 200, answer.text
                told.setdefault(name, []).append(answer.json())

    banks = [threading.Thread(target=bank, args=(url,)) for url in (served.url, own_door) * 2]
    for one in banks:
        one.start()
    end = time.monotonic() + 120

    def heard(holds: Callable[[dict[str, Any]], bool]) -> None:
        while not any(holds(t) for answers in list(told.values()) for t in list(answers)):
            assert time.monotonic() < end, told
            time.sleep(0.02)

    heard(lambda t: not t["missing"])
    os.kill(worker(served).pid, signal.SIGKILL)
    heard(lambda t: bool(t["missing"]))
    # the next one answers under its own epoch
    while time.monotonic() < end:
        newest = [t for answers in list(told.values())[-8:] for t in answers]
        if newest and all(not t["missing"] and t["state"]["owners"][0]["epoch"] > 1 for t in newest):
            break
        time.sleep(0.2)
    stop.set()
    for one in banks:
        one.join(30)
    answers = [t for some in told.values() for t in some]
    assert any(t["missing"] == ["payer", "payee"] for t in answers), "nobody noticed that the worker was gone"
    assert {o["epoch"] for t in answers for o in t["state"]["owners"]} >= {1, 2}
    for t in answers:
        assert t["missing"] in ([], ["payer", "payee"])
        assert (t["step"] == "not_answered") == bool(t["missing"])
    for name, some in told.items():
        assert len({t["id"] for t in some}) == 1, name
        assert len({str({k: v for k, v in sorted(t.items()) if k not in ("repeated", "state", "customer", "clerk")})
                    for t in some}) == 1, name  # fmt: skip
        assert sum(not t["repeated"] for t in some) <= 1
    with opened(Settings(home=served.home, dsn=None), upgrade=False) as db, db.connect("super") as conn:
        assert conn.execute("SELECT count(*), count(DISTINCT key) FROM wuzha.decisions").fetchone() == (
            len(told), len(told),
        )  # fmt: skip
