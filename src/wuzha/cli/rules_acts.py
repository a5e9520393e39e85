"""Acts on a deployment's rules from a console: draft, shadow, promote, retire, snooze.

Kept true here: whoever acts says who they are and proves it with their password, since a version goes live only by the
hand of another than who wrote it.
"""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import typer

from .deployment import DATA_OPTION, database, settings_of
from .output import JSON_OPTION, CommandError, emit

_AS = typer.Option(..., "--as", help="Your login.")
_PASSWORD = typer.Option(False, "--password-stdin", help="Read your password from standard input.")
_WHY = typer.Option("", "--why", help="Why; kept with it.")

#: What a refusal says at a console.
_WORDS = {
    "forbidden": "your roles do not allow this",
    "not_found": "there is no such rule, or version of it, here",
    "rule_why": "say why, with --why",
    "rule_wrong": "line {line}, column {column}: {what}",
    "rule_same": "version {version} says the same",
    "rule_other_subject": "this rule speaks of a {subject}; another subject is another rule",
    "rule_own": "you wrote this version; another person promotes it",
    "rule_live": "version {version} is live",
    "rule_out": "the rule is out already",
    "rule_full": "all numbers are given; retire nothing, ask for a new deployment of rules",
    "rule_shadow_same": "nothing changes: the version runs in shadow already, or does not",
    "rule_subject": "this rule speaks of a {subject}",
    "snooze_time": "a snooze ends in the future, within {days} days",
    "feature_read": "it is read by {by}",
    "unknown_subject": "nobody has met this subject here; write kind:value",
}


def acts(rules: typer.Typer) -> None:
    """Add the commands."""
    for command in (draft, shadow, promote, retire, snooze):
        rules.command()(command)


def acting(data: Path | None, login: str, from_stdin: bool, work: Callable[[Any, Any], dict[str, Any]]) -> Any:
    """The result of ``work(conn, actor)`` in one transaction in the actor's name."""
    from wuzha.command import sessions
    from wuzha.command.public import Refused
    from wuzha.store import transaction

    password = sys.stdin.readline().rstrip("\r\n") if from_stdin else getpass.getpass(f"Password of {login}: ")
    with database(settings_of(data)) as db, db.connect("web") as conn:
        with transaction(conn):
            entered = sessions.log_in(conn, login, password)
        if entered.token is None:
            raise CommandError(
                "login or password is wrong" if entered.refused == "bad_login" else "the login is locked"
            )
        with transaction(conn):
            session = sessions.find(conn, entered.token)
        assert session is not None
        actor = session.actor
        try:
            with transaction(conn, unit=actor.unit_id, user=actor.user_id):
                return work(conn, actor)
        except Refused as refused:
            raise CommandError(_WORDS.get(refused.reason, refused.reason).format(**refused.values)) from refused
        finally:
            with transaction(conn, unit=actor.unit_id, user=actor.user_id):
                sessions.log_out(conn, entered.token, actor)


def draft(
    file: Path = typer.Argument(..., help="A FILE.toml with one rule."),
    why: str = typer.Option(..., "--why", help="Why this text; kept with it."),
    login: str = _AS,
    password_stdin: bool = _PASSWORD,
    data: Path | None = DATA_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """Keep a text as the next version of its rule. It judges nothing yet."""
    from wuzha.command import rules

    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{file}: {error}") from error

    def work(conn: Any, actor: Any) -> dict[str, Any]:
        rule, version = rules.save(conn, actor, text, why=why)
        return {"rule": rule, "version": version}

    emit(acting(data, login, password_stdin, work), as_json=as_json)


def shadow(
    rule: str = typer.Argument(..., help="The rule's name."),
    version: int = typer.Argument(..., help="Which version."),
    off: bool = typer.Option(False, "--off", help="End it."),
    login: str = _AS,
    password_stdin: bool = _PASSWORD,
    data: Path | None = DATA_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """Let a version run beside the live ones: what it would have given is kept, nobody is alerted by it."""
    from wuzha.command import rules

    def work(conn: Any, actor: Any) -> dict[str, Any]:
        rules.shadow(conn, actor, rule, version, on=not off)
        return {"rule": rule, "version": version, "shadow": not off}

    emit(acting(data, login, password_stdin, work), as_json=as_json)


def promote(
    rule: str = typer.Argument(..., help="The rule's name."),
    version: int = typer.Argument(..., help="Which version."),
    why: str = _WHY,
    login: str = _AS,
    password_stdin: bool = _PASSWORD,
    data: Path | None = DATA_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """Let a version judge, as another person than who wrote it. A running server takes it up within seconds."""
    from wuzha.command import rules

    def work(conn: Any, actor: Any) -> dict[str, Any]:
        rules.promote(conn, actor, rule, version, why=why)
        return {"rule": rule, "version": version, "promoted": True}

    emit(acting(data, login, password_stdin, work), as_json=as_json)


def retire(
    rule: str = typer.Argument(..., help="The rule's name."),
    why: str = _WHY,
    login: str = _AS,
    password_stdin: bool = _PASSWORD,
    data: Path | None = DATA_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """Take a rule out. What it has given stays; promoting a version brings it back."""
    from wuzha.command import rules

    def work(conn: Any, actor: Any) -> dict[str, Any]:
        rules.retire(conn, actor, rule, why=why)
        return {"rule": rule, "retired": True}

    emit(acting(data, login, password_stdin, work), as_json=as_json)


def snooze(
    rule: str = typer.Argument(..., help="The rule's name."),
    subject: str = typer.Argument(..., help="On whom, as kind:value."),
    until: str = typer.Option("", "--until", help="ISO date or time, at most 90 days off; without it a snooze ends."),
    why: str = _WHY,
    login: str = _AS,
    password_stdin: bool = _PASSWORD,
    data: Path | None = DATA_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """Keep a rule still on one subject until a date; it ends by itself."""
    from wuzha.command import rules
    from wuzha.events.clock import zone

    try:
        end = datetime.fromisoformat(until) if until else None
    except ValueError as error:
        raise typer.BadParameter(f"{until!r} is no ISO date") from error
    end = end.replace(tzinfo=zone()) if end is not None and end.tzinfo is None else end

    def work(conn: Any, actor: Any) -> dict[str, Any]:
        rules.snooze(conn, actor, rule, subject, end, why=why)
        return {"rule": rule, "subject": subject, "until": end.isoformat() if end else None}

    emit(acting(data, login, password_stdin, work), as_json=as_json)
