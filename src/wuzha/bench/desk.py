"""``wuzha bench desk``: simulated officers at the pages of a whole centre, as browsers ask for them.

Kept true here: every page is asked for over HTTP, each officer with a session of their own, an open stream and a pause
before each press; nobody is told which alerts the others have. Times are of single requests, from the first byte sent
to the last received, under all the others' load.
"""

from __future__ import annotations

import asyncio
import random
import re
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
import numpy as np
from argon2 import PasswordHasher

from wuzha.events import LEVELS, clock
from wuzha.store import Connection, Database

from .machine import machine
from .serving import served

#: Seconds that an officer looks at a page before the next press, on average. A real call takes minutes.
PAUSE_S = 2.0
#: Seconds over which the officers come to their desks.
ARRIVE_S = 30.0
STATIONS = 10
_PASSWORD = secrets.token_urlsafe(12)
_LEVEL_SHARE = (0.02, 0.08, 0.30, 0.60)
_TYPES = ("task_rebate", "investment", "customer_service", "authority", "loan", "boss_acquaintance")
_CLICK = re.compile(r'name="click" value="([^"]+)"')
_CSRF = re.compile(r'name="csrf" value="([^"]+)"')
_VERSION = re.compile(r'name="version" value="(\d+)"')
_ALERT = re.compile(r"/alerts/(\d+)")


@dataclass
class Seen:
    """What the officers met: seconds by kind of page, files finished, refusals, pages that failed."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    finished: int = 0
    empty: int = 0
    conflicts: int = 0
    failed: int = 0


def run(*, officers: int, alerts: int, seconds: float, seed: int, open_alerts: int = 4_000) -> dict[str, Any]:
    """``officers`` at work for ``seconds`` in a centre with ``alerts`` alerts, ``open_alerts`` of them open.

    Returns ``{officers, alerts, open, seconds, pages, page_p50_ms, page_p95_ms, page_max_ms, by_page, finished,
    conflicts, failed, worked_twice, machine}``; ``worked_twice`` counts alerts on which two officers took a step.
    """
    with served("centre") as (db, _, url):
        people = furnish(db, officers=officers, alerts=alerts, open_alerts=open_alerts, seed=seed)
        seen = asyncio.run(_work(url, people, seconds, seed))
        with db.connect("engine") as conn:
            twice = _one(
                conn,
                "SELECT count(*) FROM (SELECT alert_id FROM wuzha.contacts WHERE user_id IS NOT NULL"
                " GROUP BY alert_id HAVING count(DISTINCT user_id) > 1) x",
            )
    every = [s for times in seen.seconds.values() for s in times]
    return {
        "officers": officers,
        "alerts": alerts,
        "open": open_alerts,
        "seconds": seconds,
        "pages": len(every),
        "page_p50_ms": _ms(every, 50),
        "page_p95_ms": _ms(every, 95),
        "page_max_ms": _ms(every, 100),
        "by_page": {
            name: {"pages": len(t), "p50_ms": _ms(t, 50), "p95_ms": _ms(t, 95)} for name, t in seen.seconds.items()
        },
        "finished": seen.finished,
        "conflicts": seen.conflicts,
        "failed": seen.failed,
        "worked_twice": twice,
        "machine": machine(),
    }


def _ms(seconds: list[float], q: int) -> float | None:
    return round(float(np.percentile(seconds, q)) * 1000, 1) if seconds else None


def _one(conn: Connection, sql: str) -> int:
    row = conn.execute(sql).fetchone()
    assert row is not None
    return int(row[0])


# ---------------------------------------------------------------- the centre


def furnish(db: Database, *, officers: int, alerts: int, open_alerts: int, seed: int) -> list[str]:
    """Stations, officers, and a year of alerts of which the newest are open; returns the officers' logins."""
    rng = np.random.default_rng(seed)
    now = clock.now()
    with db.connect("web") as conn:
        root = _one(conn, "SELECT min(unit_id) FROM wuzha.units")
        units = [root]
        for i in range(STATIONS):
            row = conn.execute(
                "INSERT INTO wuzha.units (code, name, kind, parent_id) VALUES (%s, %s, 'station', %s)"
                " RETURNING unit_id",
                (f"b{i}", f"第{i + 1}派出所", root),
            ).fetchone()
            assert row is not None
            units.append(row[0])
        password = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(_PASSWORD)
        people = [f"officer{i}" for i in range(officers)]
        for i, login in enumerate(people):
            conn.execute(
                "WITH u AS (INSERT INTO wuzha.users (login, name, unit_id, password_hash, created_at)"
                " VALUES (%s, %s, %s, %s, %s) RETURNING user_id)"
                " INSERT INTO wuzha.user_roles SELECT user_id, 'dissuader' FROM u",
                (login, f"劝阻员{i + 1}", root, password, now),
            )
    first = 1_000_000
    levels = rng.choice(len(LEVELS), size=alerts, p=_LEVEL_SHARE)
    home = rng.integers(0, len(units), alerts)
    kinds = rng.integers(0, len(_TYPES), alerts)
    # The open ones came within the last hours, the others over a year.
    age = np.sort(rng.integers(86_400, 365 * 86_400, alerts))[::-1].astype(float)
    age[alerts - open_alerts :] = np.sort(rng.uniform(30, 3 * 3600, open_alerts))[::-1]
    with db.connect("super") as conn, conn.transaction(), conn.cursor() as cursor:
        with cursor.copy("COPY wuzha.subjects (subject_id, kind, value) FROM STDIN") as rows:
            for i in range(alerts):
                rows.write_row((first + i, "person", f"bench{i}"))
                rows.write_row((first + alerts + i, "line", f"+861{3_000_000_000 + i}"))
        with cursor.copy("COPY wuzha.persons (person_id, name, gender, place) FROM STDIN") as rows:
            for i in range(alerts):
                rows.write_row((first + i, f"张{chr(0x4E00 + i % 20_000)}", "FM"[i % 2], "350203"))
        with cursor.copy(
            "COPY wuzha.alerts (alert_id, person_id, episode, unit_id, line_id, raised_at, last_evidence_at,"
            " committed_at, level_at, level, level_rank, scam_type, stage, score, typology, log_position, state,"
            " closed_at, outcome) FROM STDIN"
        ) as rows:
            for i in range(alerts):
                at, still = now - timedelta(seconds=age[i]), i >= alerts - open_alerts
                rows.write_row((
                    first + i, first + i, 1, units[home[i]], first + alerts + i, at, at, at, at, LEVELS[levels[i]],
                    3 - int(levels[i]), _TYPES[kinds[i]], "act", 50.0, _TYPES[kinds[i]], 1,
                    "new" if still else "closed", None if still else at + timedelta(hours=1),
                    None if still else "dissuaded",
                ))  # fmt: skip
        with cursor.copy(
            "COPY wuzha.evidence (alert_id, rule, rule_version, at, weight, typology, stage, args, log_position)"
            " FROM STDIN"
        ) as rows:
            for i in range(alerts):
                at = now - timedelta(seconds=age[i])
                rows.write_row((first + i, "foreign_talk", 1, at, 30.0, _TYPES[kinds[i]], "act", "{}", 1))
    with db.connect("super") as conn:
        conn.execute("ANALYZE")
    return people


# ---------------------------------------------------------------- the officers


async def _work(url: str, people: list[str], seconds: float, seed: int) -> Seen:
    seen = Seen()
    until = time.monotonic() + seconds
    arrive_s = min(ARRIVE_S, seconds / 4)
    await asyncio.gather(
        *(_officer(url, login, until, arrive_s, random.Random(f"{seed}{login}"), seen) for login in people)
    )
    return seen


async def _officer(url: str, login: str, until: float, arrive_s: float, rng: random.Random, seen: Seen) -> None:
    """A duty officer: look at the desk, sign for the next one, call, tell the outcome, close; and again."""
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=60, headers={"accept-language": "zh"}) as http:

        async def page(name: str, method: str, address: str, **form: str) -> httpx.Response:
            await asyncio.sleep(rng.expovariate(1 / PAUSE_S))
            begun = time.monotonic()
            answer = await http.request(method, address, data=form or None)
            seen.seconds.setdefault(name, []).append(time.monotonic() - begun)
            if answer.status_code == 409:
                seen.conflicts += 1
            elif answer.status_code >= 400:
                seen.failed += 1
            return answer

        async def rows() -> None:
            begun = time.monotonic()
            await http.get("/desk/rows")
            seen.seconds.setdefault("rows", []).append(time.monotonic() - begun)

        await asyncio.sleep(rng.uniform(0, arrive_s))
        form = (await http.get("/login")).text
        answer = await http.post(
            "/login", data={"login": login, "password": _PASSWORD, "csrf": _CSRF.findall(form)[0], "next": "/"}
        )
        if answer.status_code != 303:
            raise RuntimeError(f"{login} cannot log in: {answer.status_code}")
        while time.monotonic() < until:
            desk = (await page("desk", "GET", "/desk")).text
            csrf = _CSRF.findall(desk)[0]
            async with _open_page(http, "/live", rows):
                signed = await page("sign", "POST", "/desk/sign-next", csrf=csrf, click=_CLICK.findall(desk)[0])
            if signed.status_code != 303:
                seen.empty += 1
                continue
            address = signed.headers["location"]
            async with _open_page(http, f"/live?alert={_ALERT.findall(address)[0]}", None):
                if await _dissuade(page, address, csrf, rng):
                    seen.finished += 1


async def _dissuade(page: Any, address: str, csrf: str, rng: random.Random) -> bool:
    async def step(what: str, where: str, **values: str) -> bool:
        shown = (await page("alert", "GET", address)).text
        answer = await page(
            what, "POST", f"{address}/{where}", csrf=csrf, click=f"{secrets.token_hex(12)}-{what}",
            version=_VERSION.findall(shown)[0], **values,
        )  # fmt: skip
        return bool(answer.status_code == 303)

    if rng.random() < 0.3 and not await step("call", "contacts", channel="call", result="no_answer"):
        return False
    return (
        await step("call", "contacts", channel="call", result="self")
        and await step("outcome", "outcome", code="dissuaded")
        and await step("close", "close")
    )


@asynccontextmanager
async def _open_page(
    http: httpx.AsyncClient, address: str, rows: Callable[[], Awaitable[None]] | None
) -> AsyncIterator[None]:
    """An open page's stream of "look again"; one that shows the queue asks for its rows as the page's script does."""

    async def watch() -> None:
        async with http.stream("GET", address, timeout=None) as stream:
            async for line in stream.aiter_lines():
                if rows is not None and line == "event: queue":
                    await rows()
                    await asyncio.sleep(0.7)

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError, httpx.HTTPError):
            await watching
