"""``wuzha demo``: a living city, and a holder, a centre, the public page and the phones' pages on this machine.

Kept true here: nothing is opened from the internet; events come in by the public doors only; killed at any moment and
started again it goes on where it was: the deployment's clock never goes back, what was acknowledged is not sent anew.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import typer

from wuzha.cli.output import JSON_OPTION, CommandError, emit, say

#: Local hour of the second day at which the demo begins to follow the clock; what is before is history.
_BEGIN = timedelta(days=1, hours=8)
_BEFORE = timedelta(minutes=10)
_READY_S = 900.0
#: Whose passwords are printed; those of the simulated officers stand in a file.
SHOWN = ("admin", "quanzu", "yinzhang", "zhihui", "paichusuo")
#: Moves when a folder made before cannot go on with what the demo does now.
_EDITION = 3


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What was asked for. A folder belongs to one wish: another one needs ``--fresh`` or another folder."""

    people: int
    days: int
    seed: int
    speed: float


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def demo(
        people: int = typer.Option(20_000, min=200, help="Residents of the city."),
        days: int = typer.Option(3, min=2, max=366, help="Days of the city; the first is history."),
        seed: int = typer.Option(7, help="The same seed gives the same city."),
        speed: float = typer.Option(20.0, min=1.0, max=2000.0, help="City seconds a second."),
        port: int = typer.Option(8000, min=1, max=65532, help="The centre's port; the next three are the others'."),
        data: Path = typer.Option(Path(".demo"), help="Folder of the demo's data."),
        fresh: bool = typer.Option(False, "--fresh", help="Begin anew: the folder's data are removed."),
        for_s: float | None = typer.Option(None, "--for", min=1.0, help="Stop so many seconds after it is up."),
        as_json: bool = JSON_OPTION,
    ) -> None:
        """Watch a living city: events stream in, alerts appear, officers act. Ctrl-C stops it; it goes on next time."""
        summary = run(
            Wish(people=people, days=days, seed=seed, speed=speed), data.absolute(), port, fresh=fresh, for_s=for_s
        )
        if for_s is not None or as_json:
            emit(summary, as_json=as_json)


def run(wish: Wish, data: Path, port: int, *, fresh: bool, for_s: float | None) -> dict[str, Any]:
    """Run until Ctrl-C, SIGTERM or ``for_s``; returns the summary. CommandError where it cannot."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    begun = time.monotonic()
    _own(data, wish, fresh)
    city = _city(data, wish)
    start = _start(city)

    from wuzha.events.clock import Clock
    from wuzha.events.clock import zone as clock_zone

    from .demo_seed import SEATS, seed
    from .demo_zones import ZONES, introduce

    if not all((data / seat / "demo.json").exists() for seat in SEATS):
        say("demo: making units, logins, senders and keys (once)")
        _compiled(stop)
    # What is made here is dated in the city's time too, a little before its first event.
    os.environ["WUZHA_CLOCK"] = str(Clock(anchor=start - _BEFORE, wall=time.time(), speed=1.0))
    made = seed(data, start.astimezone(clock_zone()).date() - timedelta(days=1), wish.days)
    introduce(data)
    clock = _clock(data, start, wish.speed)
    os.environ["WUZHA_CLOCK"] = str(clock)

    import psycopg

    from wuzha.live.supervise import Supervisor
    from wuzha.store.embedded import ServerError

    supervisor = Supervisor(lambda words: say(f"demo: {words}"))
    urls = {seat: f"http://127.0.0.1:{port + k}" for k, seat in enumerate(("centre", "holder", *ZONES))}
    there = _standing(data)
    senders: dict[str, Any] = {}
    money: Any = None
    first_alert: float | None = None
    try:
        say("demo: starting the centre and the holder")
        for seat in ("centre", "holder"):
            supervisor.start(_server(seat, data, urls))
        from .demo_desk import Desk  # while the servers start
        from .demo_money import Money
        from .demo_replay import Sender

        _await({seat: urls[seat] for seat in SEATS}, supervisor, stop, there)
        for seat in SEATS:
            senders[seat] = Sender(
                city, seat, urls[seat], made[seat]["keys"], data / f"sent-{seat}.json", start, clock.now
            )
            senders[seat].start()
        _tell(urls, made["centre"]["logins"], wish, time.monotonic() - begun)
        for seat in ZONES:  # after the desk, which so stands sooner
            supervisor.start(_server(seat, data, urls))
        zones = {seat: urls[seat] for seat in ZONES}
        desk = Desk(data, city, start - _BEGIN, made["centre"]["logins"])
        before = _alerts(data, "centre")
        told = caught_up = handed_over = False
        up = time.monotonic()
        while not stop.is_set() and (for_s is None or time.monotonic() - up < for_s):
            stop.wait(0.5)
            there()
            supervisor.tend()
            _keep(data, clock)
            if zones and not (zones := _not_ready(zones)):
                _tell_zones(urls, made["centre"]["logins"])
            desk.tend(clock.now(), time.monotonic() - up)
            if money is not None:
                money.tend()
            for sender in senders.values():
                if sender.failure is not None:
                    raise CommandError(f"the city could not be sent: {sender.failure}") from sender.failure
            if first_alert is None and _alerts(data, "centre"):
                first_alert = time.monotonic() - begun
                words = "alerts of before stand" if before else "the first alert stands"
                say(f"demo: {words} at {urls['centre']}/desk after {first_alert:.0f} s")
            if not caught_up and all(s.caught_up.is_set() for s in senders.values()):
                caught_up = True
                money = Money(city, urls["centre"], made["centre"]["keys"], clock.now(), clock.now)
                say(f"demo: the past is in ({sum(s.sent for s in senders.values()):,} events); following the clock")
            if caught_up and not handed_over and _worked(data):
                handed_over = True
                handled = _night_shift(data, city, start)
                if handled:
                    say(f"demo: the night shift (simulated) has handled {handled} alerts; the rest is yours")
            if not told and all(s.finished.is_set() for s in senders.values()):
                told = True
                say("demo: the city has been told to its end; the pages stay")
        summary = _summary(data, wish, senders, clock.now(), first_alert, time.monotonic() - begun)
        summary["lists"] = desk.lists.n
        summary["cases"] = money.n if money is not None else 0
    except (ServerError, psycopg.Error, OSError):
        there()  # that the folder is gone says more than what came of it
        raise
    finally:
        if money is not None:
            money.stop()
        for sender in senders.values():
            sender.stop_asked.set()
        for sender in senders.values():
            sender.join(5)
        with suppress(OSError):  # the folder may be gone or full: what runs is stopped all the same
            _keep(data, clock)
        supervisor.stop(together=True)
    say("demo: stopped; start it again and it goes on from here")
    return summary


# ---------------------------------------------------------------- what it stands on


def _own(data: Path, wish: Wish, fresh: bool) -> None:
    """Claim the folder. CommandError where it holds something else or another demo."""
    record = data / "wish.json"
    if fresh and record.exists():
        say(f"demo: removing {data}")
        _forget_databases(data)
        shutil.rmtree(data)
    if data.exists() and not record.exists() and any(data.iterdir()):
        raise CommandError(f"{data} holds something else; give --data an empty folder")
    data.mkdir(mode=0o711, parents=True, exist_ok=True)
    asked = {"people": wish.people, "days": wish.days, "seed": wish.seed, "speed": wish.speed, "edition": _EDITION}
    if record.exists():
        stands = json.loads(record.read_text("utf-8"))
        if stands.get("edition", 1) != _EDITION:
            raise CommandError(f"{data} was made by an earlier release; add --fresh to begin anew")
        if {k: v for k, v in stands.items() if k != "speed"} != {k: v for k, v in asked.items() if k != "speed"}:
            raise CommandError(
                f"{data} holds a city of {stands['people']} people, {stands['days']} days, seed {stands['seed']};"
                " add --fresh to begin anew, or give --data another folder"
            )
    record.write_text(json.dumps(asked), "utf-8")


def _forget_databases(data: Path) -> None:
    """Clusters that stand outside the folder (where its parents are closed to the database's user) go with it."""
    for pointer in data.glob("*/postgres/place"):
        shutil.rmtree(pointer.read_text().strip(), ignore_errors=True)


def _city(data: Path, wish: Wish) -> Path:
    """The city's folder, generated where it is not there yet."""
    city = data / "city"
    if (city / "city.json").exists():
        return city
    from . import files, generator
    from .scripts import load
    from .stage import DEFAULT_START

    say(f"demo: making a city of {wish.people:,} people for {wish.days} days (once)")
    began = time.monotonic()
    half = data / "city.new"
    shutil.rmtree(half, ignore_errors=True)
    rate, shelf = generator.check(wish.people, wish.days, wish.seed, None), load(None)
    made = generator.make(wish.people, wish.days, wish.seed, shelf, DEFAULT_START, rate)
    facts: dict[str, Any] = {
        "people": wish.people, "days": wish.days, "seed": wish.seed, "start": DEFAULT_START.isoformat(),
        "scam_rate": rate, "scripts": [s.name for s in shelf],
    }  # fmt: skip
    files.write(made, half, facts)
    half.rename(city)
    say(f"demo: the city stands ({time.monotonic() - began:.0f} s)")
    return city


def _start(city: Path) -> datetime:
    from wuzha.events import clock

    day = datetime.fromisoformat(json.loads((city / "city.json").read_text("utf-8"))["start"])
    return day.replace(tzinfo=clock.zone()).astimezone(UTC) + _BEGIN


def _clock(data: Path, start: datetime, speed: float) -> Any:
    """The deployment's clock, anchored now: at the start, or a little after where a demo before this one left it."""
    from wuzha.events.clock import Clock

    anchor = start
    try:
        left = json.loads((data / "clock.json").read_text("utf-8"))
        # It was noted up to a second before the end: the clock must not go back.
        anchor = datetime.fromisoformat(left["now"]) + timedelta(seconds=2 * left["speed"])
    except FileNotFoundError:
        pass
    return Clock(anchor=anchor, wall=time.time(), speed=speed)


def _compiled(stop: threading.Event) -> None:
    """Compile the engine's kernels once for both servers; nothing to do from the second start on."""
    import subprocess

    process = subprocess.Popen([sys.executable, "-m", "wuzha.live.warm"], stdin=subprocess.DEVNULL)
    while process.poll() is None:
        if stop.wait(0.1):
            process.kill()
    if process.returncode != 0 and not stop.is_set():
        raise CommandError("the engine could not be compiled; the lines above say why")


def _keep(data: Path, clock: Any) -> None:
    from .demo_seed import write_secret

    write_secret(data / "clock.json", json.dumps({"now": clock.now().isoformat(), "speed": clock.speed}))


def _standing(data: Path) -> Callable[[], None]:
    """Gives what says whether the folder is still the one that we began on. CommandError where it is not."""
    begun = (data / "wish.json").stat()

    def look() -> None:
        try:
            same = os.path.samestat((data / "wish.json").stat(), begun)
        except OSError:
            same = False
        if not same:
            raise CommandError(f"{data} was removed or moved while the demo ran on it; start it again to begin anew")

    return look


# ---------------------------------------------------------------- servers


def _server(seat: str, data: Path, urls: dict[str, str]) -> Any:
    from wuzha.live.supervise import Child

    own = urls[seat].rpartition(":")[2]
    command = [sys.executable, "-m", "wuzha", "serve", "--role", seat, "--data", str(data / seat), "--port", own]
    if seat == "holder":
        command += ["--centre", urls["centre"], "--centre-key-file", str(data / "holder" / "centre.key")]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("WUZHA_") or k in _PASSED}
    # Asked to stop, not killed, when the demo is killed: a server stops its database with it.
    return Child(seat, command, environment, stop_s=45.0, death=signal.SIGTERM)


_PASSED = ("WUZHA_CLOCK", "WUZHA_ZONE", "WUZHA_CACHE", "WUZHA_LOG_LEVEL")


def _await(urls: dict[str, str], supervisor: Any, stop: threading.Event, there: Callable[[], None]) -> None:
    until = time.monotonic() + _READY_S
    waiting = urls
    while not stop.is_set():
        there()
        supervisor.tend()
        if not (waiting := _not_ready(waiting)):
            return
        if time.monotonic() > until:
            raise CommandError(f"not ready within {_READY_S:.0f} s: {', '.join(waiting)}; the lines above say why")
        stop.wait(0.1)


@cache
def _client() -> Any:
    """One client: each new one reads all the machine's certificates, ten times a second."""
    import httpx

    return httpx.Client(trust_env=False, verify=False, timeout=2)


def _not_ready(urls: dict[str, str]) -> dict[str, str]:
    """Those of these servers that do not answer yet."""
    import httpx

    left = {}
    for seat, url in urls.items():
        try:
            if _client().get(f"{url}/v1/ready").status_code == 200:
                continue
        except httpx.HTTPError:
            pass
        left[seat] = url
    return left


def _tell(urls: dict[str, str], logins: dict[str, str], wish: Wish, seconds: float) -> None:
    say(f"demo: up after {seconds:.0f} s")
    say("")
    say(f"  劝阻席 Desk    {urls['centre']}/desk")
    say(f"  大屏   Wall    {urls['centre']}/wall")
    say(f"  案件   Cases   {urls['centre']}/cases    victims report as the city goes on; yinzhang seals")
    say(f"  持有方 Holder  {urls['holder']}/")
    for login in SHOWN:
        say(f"  {login:<10} {logins[login]}")
    say("")
    say(f"  One second is {wish.speed:g} of the city's. Ctrl-C stops; nothing is lost.")


def _tell_zones(urls: dict[str, str], logins: dict[str, str]) -> None:
    say("demo: outside the police network, each with a database of its own, joined to the centre by letters only:")
    say(f"  公众核验 Verify {urls['public']}/verify    type the file number and the code that a signed alert shows")
    say(f"  上门 Door      {urls['phone']}/door      pair it with a code from {urls['centre']}/phones (as paichusuo)")
    say(f"  {len(logins) - len(SHOWN)} more officers are simulated; their logins stand in centre/demo.json")


def _database(data: Path, seat: str) -> Any:
    from wuzha.store.settings import Settings, opened

    return opened(Settings(home=data / seat, dsn=None), upgrade=False)


def _alerts(data: Path, seat: str) -> int:
    with _database(data, seat) as db, db.connect("engine") as conn:
        row = conn.execute("SELECT count(*) FROM wuzha.alerts").fetchone()
        return int(row[0]) if row else 0


def _worked(data: Path) -> bool:
    """Whether both engines have read all that was committed before this moment."""
    for seat in ("holder", "centre"):
        with _database(data, seat) as db, db.connect("engine") as conn:
            row = conn.execute(
                "SELECT (SELECT position FROM wuzha.log_head),"
                " (SELECT coalesce(max(position), 0) FROM wuzha.partitions),"
                " (SELECT count(*) FROM wuzha.outbox WHERE receipted_at IS NULL)"
            ).fetchone()
        if row is None or row[0] - row[1] > 5 or row[2] > 0:  # by then the clock's own batches come in
            return False
    return True


def _night_shift(data: Path, city: Path, start: datetime) -> int:
    from .demo_shift import work

    with _database(data, "centre") as db, db.connect("web") as conn:
        return work(conn, city, start)


def _summary(
    data: Path, wish: Wish, senders: dict[str, Any], now: datetime, first_alert: float | None, seconds: float
) -> dict[str, Any]:
    """What stands, by seat."""
    out: dict[str, Any] = {
        "people": wish.people, "days": wish.days, "seed": wish.seed, "speed": wish.speed, "seconds": round(seconds, 1),
        "city_time": now.isoformat(), "first_alert_s": None if first_alert is None else round(first_alert, 1),
    }  # fmt: skip
    for seat, sender in senders.items():
        with _database(data, seat) as db, db.connect("engine") as conn:
            levels = dict(conn.execute("SELECT level, count(*) FROM wuzha.alerts GROUP BY 1").fetchall())
            counts = conn.execute(
                "SELECT (SELECT coalesce(sum(n), 0) FROM wuzha.log), (SELECT position FROM wuzha.log_head),"
                " (SELECT coalesce(max(position), 0) FROM wuzha.partitions),"
                " (SELECT count(*) FROM wuzha.outbox),"
                " (SELECT count(*) FROM wuzha.outbox WHERE receipted_at IS NOT NULL),"
                " (SELECT count(*) FROM wuzha.alert_warnings)"
            ).fetchone()
        assert counts is not None
        out[seat] = {
            "events": int(counts[0]), "sent": sender.sent, "duplicates": sender.duplicates, "rejected": sender.rejected,
            "caught_up": sender.caught_up.is_set(), "position": counts[1], "worked": counts[2],
            "alerts": sum(levels.values()), "by_level": levels, "warnings_joined": counts[5],
            "warnings_out": counts[3], "warnings_receipted": counts[4],
        }  # fmt: skip
    return out
