"""``wuzha admin``: the first unit and administrator, passwords, sources and their keys, from the machine's console.

Kept true here: what the console does is in the audit under ``console:<account>``; a password or key is printed once and
kept nowhere.
"""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from .deployment import DATA_OPTION, database, settings_of
from .output import JSON_OPTION, CommandError, emit, say

if TYPE_CHECKING:
    from wuzha.store import Connection, Settings


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="First unit and administrator, passwords, sources and keys.")
    app.add_typer(group, name="admin")
    group.command()(init)
    group.command("reset-password")(reset_password)
    group.command()(source)
    group.command()(key)
    group.command()(revoke)
    group.command("list")(list_)


def console() -> str:
    """Who sits at the console, for the audit."""
    try:
        return f"console:{os.environ.get('SUDO_USER') or getpass.getuser()}"
    except (KeyError, OSError):  # a uid without an account
        return f"console:{os.getuid()}"


@contextmanager
def _acting(settings: Settings, *, make: bool = False) -> Iterator[Connection]:
    """A transaction as the faces have it; its audit rows are sealed when it is done."""
    from wuzha.store import audit, transaction

    with database(settings, make=make) as db:
        with db.connect("web") as conn, transaction(conn):
            yield conn
        with db.connect("engine") as engine:
            try:
                audit.seal(engine, settings.heads_file)
            except (audit.HeadsDiffer, OSError) as error:
                say(f"Not sealed yet: {error}")


def _note(conn: Connection, action: str, object_: str, detail: dict[str, Any]) -> None:
    from wuzha.store import audit

    audit.append(conn, actor=console(), action=action, object=object_, detail=detail)


def _password(from_stdin: bool) -> tuple[str, bool]:
    """A password from standard input, or a new one; whether it must be changed at the first log-in."""
    from wuzha.command import users

    if not from_stdin:
        return users.new_password(), True
    given = sys.stdin.readline().rstrip("\r\n")
    if not given:
        raise CommandError("no password came on standard input")
    return given, False


def _hash(password: str) -> str:
    from wuzha.command.public import Refused
    from wuzha.command.sessions import PASSWORD_LENGTH, hash_password

    try:
        return hash_password(password)
    except Refused as error:
        raise CommandError(f"the password is too weak; {PASSWORD_LENGTH} characters or more, not all alike") from error


def init(
    login: str = typer.Option("admin", help="The administrator's login."),
    name: str = typer.Option("管理员", help="The administrator's name."),
    unit_name: str = typer.Option("反诈中心", help="Name of the topmost unit, where there is none yet."),
    unit_code: str = typer.Option("root", help="Its code."),
    unit_kind: str = typer.Option("county", help="ministry, province, city, county, bank, carrier or platform."),
    password_stdin: bool = typer.Option(False, "--password-stdin", help="Read the password from standard input."),
    data: Path | None = DATA_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """Make the deployment's database, its topmost unit and its first administrator. The password is printed once."""
    import psycopg

    from wuzha.events import clock

    password, change = _password(password_stdin)
    hashed = _hash(password)
    if not login.strip() or any(c.isspace() for c in login):
        raise CommandError("a login is a word without spaces")
    with _acting(settings_of(data), make=True) as conn:
        conn.execute("LOCK TABLE units IN SHARE ROW EXCLUSIVE MODE")
        there = conn.execute(
            "SELECT u.login FROM users u JOIN user_roles r USING (user_id) WHERE r.role = 'admin' AND u.active LIMIT 1"
        ).fetchone()
        if there is not None:
            raise CommandError(f"there is an administrator already ({there[0]}); wuzha admin reset-password {there[0]}")
        unit = conn.execute("SELECT unit_id FROM units WHERE parent_id IS NULL ORDER BY unit_id LIMIT 1").fetchone()
        try:
            if unit is None:
                unit = conn.execute(
                    "INSERT INTO units (code, name, kind) VALUES (%s, %s, %s) RETURNING unit_id",
                    (unit_code, unit_name, unit_kind),
                ).fetchone()
            assert unit is not None
            user = conn.execute(
                "INSERT INTO users (login, name, unit_id, password_hash, must_change, created_at)"
                " VALUES (%s, %s, %s, %s, %s, %s) RETURNING user_id",
                (login, name, unit[0], hashed, change, clock.now()),
            ).fetchone()
        except psycopg.errors.CheckViolation as error:
            raise CommandError(f"{unit_kind!r} is no kind of unit") from error
        except psycopg.errors.UniqueViolation as error:
            raise CommandError(f"there is a user called {login} already; choose another --login") from error
        assert user is not None
        conn.execute("INSERT INTO user_roles (user_id, role) VALUES (%s, 'admin')", user)
        _note(conn, "user.added", f"user:{user[0]}", {"login": login, "unit": unit[0], "roles": ["admin"]})
    result = {"unit_id": unit[0], "user_id": user[0], "login": login}
    emit(result | ({} if password_stdin else {"password": password}), as_json=as_json)
    if change:
        say("The password is shown this once and must be changed at the first log-in.")


def reset_password(
    login: str = typer.Argument(help="Whose password."),
    password_stdin: bool = typer.Option(False, "--password-stdin", help="Read the password from standard input."),
    data: Path | None = DATA_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """A new password for a user, printed once. Unlocks the account and ends its sessions."""
    password, change = _password(password_stdin)
    hashed = _hash(password)
    with _acting(settings_of(data)) as conn:
        row = conn.execute(
            "UPDATE users SET password_hash = %s, must_change = %s, failed = 0, locked_until = NULL WHERE login = %s"
            " RETURNING user_id",
            (hashed, change, login),
        ).fetchone()
        if row is None:
            raise CommandError(f"there is no user called {login}; wuzha admin list shows them")
        conn.execute("DELETE FROM sessions WHERE user_id = %s", row)
        _note(conn, "user.password_reset", f"user:{row[0]}", {})
    emit({"login": login} | ({} if password_stdin else {"password": password}), as_json=as_json)


def source(
    name: str = typer.Argument(help="The source's name, which its events carry: a–z, 0–9, '_', '.', '-'."),
    title: str = typer.Option(..., help="What people call it."),
    role: str = typer.Option(..., help="carrier, bank, platform, upstream, holder or desk."),
    basis: str = typer.Option(..., help="warning, case_query, consent, own_report, open_data or holder_own."),
    purpose: str = typer.Option(..., help="What the rows are needed for."),
    retention_days: int = typer.Option(..., min=1, max=36500, help="How long its rows are kept."),
    table: list[str] = typer.Option(..., help="A table that it may send; give it once for each."),
    basis_ref: str | None = typer.Option(None, help="Number of the document."),
    basis_until: datetime | None = typer.Option(None, help="End of the basis, by the deployment's zone."),
    late: list[str] = typer.Option([], help="table=seconds that rows may come late; once for each."),
    key: bool = typer.Option(True, help="Issue a key for it as well."),
    data: Path | None = DATA_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """Register a source and issue its key, which is printed once."""
    from wuzha.events import clock
    from wuzha.store import keys, sources

    if basis_until is not None and basis_until.tzinfo is None:
        basis_until = basis_until.replace(tzinfo=clock.zone())
    with _acting(settings_of(data)) as conn:
        try:
            source_id = sources.register(
                conn, name=name, title=title, role=role, basis=basis, basis_ref=basis_ref, basis_until=basis_until,
                purpose=purpose, retention_days=retention_days, tables=table, late_allowance=_seconds(late),
            )  # fmt: skip
        except sources.SourceError as error:
            raise CommandError(f"{error.field}: {error}") from error
        _note(conn, "source.added", f"source:{source_id}", {"name": name, "role": role})
        result: dict[str, Any] = {"source_id": source_id, "name": name}
        if key:
            issued = keys.issue(conn, source_id)
            _note(conn, "key.issued", f"source:{source_id}", {"prefix": issued.prefix})
            result["key"] = issued.key
    emit(result, as_json=as_json)
    if key:
        say("The key is shown this once. Keep it where only the source can read it.")


def _seconds(late: list[str]) -> dict[str, int]:
    found = {}
    for entry in late:
        table, sep, seconds = entry.partition("=")
        if not sep or not seconds.isascii() or not seconds.isdigit():
            raise CommandError(f"--late {entry}: want table=seconds")
        found[table] = int(seconds)
    return found


def key(
    name: str = typer.Argument(help="The source's name."),
    data: Path | None = DATA_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """Issue a further key for a source, printed once. Revoke the old one when the source has changed over."""
    from wuzha.store import keys, sources

    with _acting(settings_of(data)) as conn:
        found = sources.one(conn, name=name)
        if found is None:
            raise CommandError(f"there is no source called {name}; wuzha admin list shows them")
        issued = keys.issue(conn, found.source_id)
        _note(conn, "key.issued", f"source:{found.source_id}", {"prefix": issued.prefix})
    emit({"name": name, "prefix": issued.prefix, "key": issued.key}, as_json=as_json)


def revoke(
    prefix: str = typer.Argument(help="The key's prefix: the letters and digits between wz_ and the next _."),
    data: Path | None = DATA_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """End a key at once and for good."""
    from wuzha.store import keys

    with _acting(settings_of(data)) as conn:
        row = conn.execute("SELECT key_id, source_id FROM api_keys WHERE prefix = %s", (prefix,)).fetchone()
        if row is None or not keys.revoke(conn, row[0]):
            raise CommandError(f"no key that works begins with wz_{prefix}_")
        _note(conn, "key.revoked", f"source:{row[1]}", {"prefix": prefix})
    emit({"prefix": prefix, "revoked": True}, as_json=as_json)


def list_(data: Path | None = DATA_OPTION, as_json: bool = JSON_OPTION) -> None:
    """Units, users, sources and keys of the deployment, without secrets."""
    from psycopg.rows import dict_row

    from wuzha.events import clock
    from wuzha.store import keys, sources

    with database(settings_of(data)) as db, db.connect("web") as conn:
        cursor = conn.cursor(row_factory=dict_row)
        units = cursor.execute(
            "SELECT unit_id, code, name, kind, parent_id, active FROM units ORDER BY unit_id"
        ).fetchall()
        users = cursor.execute(
            "SELECT u.login, u.name, n.code AS unit, u.active, u.locked_until,"
            " ARRAY(SELECT role FROM user_roles r WHERE r.user_id = u.user_id ORDER BY role) AS roles"
            " FROM users u JOIN units n USING (unit_id) ORDER BY u.login"
        ).fetchall()
        now = clock.now()
        found: list[dict[str, Any]] = [
            {
                **{k: getattr(s, k) for k in ("name", "title", "role", "basis", "basis_until", "tables", "active")},
                "flaws": sources.flaws(s, now=now),
                "keys": keys.of_source(conn, s.source_id),
            }
            for s in sources.every(conn)
        ]
    if as_json:
        emit({"units": units, "users": users, "sources": found}, as_json=True)
        return
    for unit in units:
        typer.echo(f"unit    {unit['code']:<16} {unit['name']}  ({unit['kind']}{'' if unit['active'] else ', closed'})")
    for user in users:
        state = "" if user["active"] else "  closed"
        typer.echo(f"user    {user['login']:<16} {user['name']}  {user['unit']}  {', '.join(user['roles'])}{state}")
    for one in found:
        words = f"{', '.join(one['tables'])}  {', '.join(one['flaws'])}"
        typer.echo(f"source  {one['name']:<16} {one['title']}  {words}")
        for k in one["keys"]:
            state = "revoked" if k["revoked_at"] else f"last used {k['last_used_at'] or 'never'}"
            typer.echo(f"  key   wz_{k['prefix']}_…  {state}")
