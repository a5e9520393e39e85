"""``wuzha demo`` whole: the desk, the zones outside, what the city feeds them; killed, gone on, its folder removed."""

from __future__ import annotations

import json
import shutil
import socket
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import httpx
import pytest
from tests.served import Served, ended, folder

from wuzha.city.demo import SHOWN
from wuzha.city.demo_seed import officer
from wuzha.command import shifts
from wuzha.command.public import on_duty
from wuzha.events import clock
from wuzha.events.clock import Clock
from wuzha.respond import overflow
from wuzha.store import opened, transaction
from wuzha.store.settings import Settings


def four_ports() -> int:
    """The first of four free ports in a row."""
    for port in range(18400, 60000, 7):
        with socket.socket() as a, socket.socket() as b, socket.socket() as c, socket.socket() as d:
            try:
                for k, s in enumerate((a, b, c, d)):
                    s.bind(("127.0.0.1", port + k))
            except OSError:
                continue
            return port
    raise AssertionError("no ports")


@pytest.fixture
def demo(enterable_tmp: Path) -> Iterator[Served]:
    with folder(enterable_tmp) as place:
        port = four_ports()
        wish = ("--people", "1500", "--days", "2", "--speed", "60", "--port", str(port), "--data", str(place / "demo"))
        served = Served(place / "demo", ["demo", *wish], port, environment={"WUZHA_LOG_LEVEL": "error"})
        with ended(served):
            yield served


def counted(home: Path) -> dict[str, int]:
    """What the centre has, by name."""
    asked = {
        "warnings": "SELECT coalesce(sum(n), 0) FROM wuzha.log WHERE table_name = 'warnings'",
        "lists": "SELECT count(*) FROM wuzha.workbooks",
        "listed": "SELECT coalesce(sum(accepted), 0) FROM wuzha.workbooks",
        "refused": "SELECT coalesce(sum(rejected), 0) FROM wuzha.workbooks",
        "twice": "SELECT count(*) - count(DISTINCT (source, event_id)) FROM wuzha.workbook_rows",
        "robot": "SELECT count(*) FROM wuzha.robot_calls",
        "visits": "SELECT count(*) FROM wuzha.dispatches",
    }
    with opened(Settings(home=home / "centre", dsn=None), upgrade=False) as db, db.connect("super") as conn:
        return {name: int(conn.execute(sql).fetchone()[0]) for name, sql in asked.items()}  # type: ignore[index]


@pytest.mark.soak
def test_the_demo_is_whole_goes_on_after_a_kill_and_ends_where_its_folder_is_removed(
    demo: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    demo.start()
    demo.says("demo: the past is in", 400)
    demo.says("outside the police network", 120)
    demo.says("night shift (simulated) has handled", 120)
    _pages(demo)
    logins = json.loads((demo.home / "centre" / "demo.json").read_text())["logins"]
    assert all(f"{login:<10} {logins[login]}" in demo.said for login in SHOWN)
    _duty(demo.home, monkeypatch)
    before = counted(demo.home)
    assert before["lists"] > 0 and before["listed"] > 0 and before["refused"] == 0

    demo.kill()
    demo.log.write_bytes(b"")
    demo.start()
    demo.says("alerts of before stand", 240)
    demo.says("outside the police network", 120)
    _pages(demo)
    after = counted(demo.home)
    assert after["lists"] >= before["lists"] and after["twice"] == 0
    assert all(after[name] >= before[name] for name in after)

    there = demo.running()
    shutil.rmtree(demo.home, ignore_errors=True)
    demo.says("was removed or moved while", 60)
    assert demo.process is not None and demo.process.wait(90) == 1
    demo.gone(there, 90)
    assert "Traceback" not in demo.said.partition("demo: ")[0]


def _pages(demo: Served) -> None:
    """Every address that it prints opens."""
    with httpx.Client(trust_env=False, timeout=20, follow_redirects=True) as client:
        for k, (path, words) in enumerate(
            (("/desk", "登录"), ("/v1/ready", ""), ("/verify", "96110"), ("/door", "配对码"))
        ):
            url = f"http://127.0.0.1:{demo.port + k}"
            answer = client.get(url + path)
            assert answer.status_code == 200 and words in answer.text, (path, answer.text[:200])
            assert k == 1 or f"{url}{path}" in demo.said


def _duty(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A roster now and next, officers on duty in the districts, and where their overflow goes."""
    left = json.loads((home / "clock.json").read_text())
    now = datetime.fromisoformat(left["now"])
    monkeypatch.setattr(clock, "clock", lambda: Clock(anchor=now, wall=time.time(), speed=left["speed"]))
    with opened(Settings(home=home / "centre", dsn=None), upgrade=False) as db, db.connect("web") as conn:
        chief = officer(conn, "zhihui")
        assert chief is not None
        with transaction(conn, unit=chief.unit_id, user=chief.user_id, now=now):
            rows = shifts.week(conn, chief, now.date())
            assert {r["name"] for r in rows if r["starts_at"] <= now < r["ends_at"]} >= {"劝阻员 林晓", "民警 黄伟"}
            assert any(r["starts_at"] > now for r in rows)
            there = {o.unit_name for o in on_duty(conn, chief, now=now)}
            assert there >= {"思明分局", "湖里分局", "集美分局", "同安分局"} and "翔安分局" not in there
            chains = {r["unit_name"]: [s["name"] for s in r["steps"]] for r in overflow.routes(conn, chief)}
            assert chains["翔安分局"] == ["同安分局", "集美分局", None]
