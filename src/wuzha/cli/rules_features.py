"""``wuzha rules feature``: figures that a deployment declares itself, their versions, and how far each is rebuilt.

Kept true here: as in `rules_acts`, whoever acts proves it with their password, and a version comes into force by the
hand of another than who wrote it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from .deployment import DATA_OPTION, database, settings_of
from .output import FAILED, JSON_OPTION, CommandError, emit, finish, say
from .rules_acts import _AS, _PASSWORD, _WHY, acting


def register(rules: typer.Typer) -> None:
    """Add the commands."""
    feature = typer.Typer(no_args_is_help=True, help="Features that a deployment declares, and their rebuilding.")
    rules.add_typer(feature, name="feature")
    for command in (list_, text, check, draft, promote, retire):
        feature.command("list" if command is list_ else None)(command)


def list_(data: Path | None = DATA_OPTION, as_json: bool = JSON_OPTION) -> None:
    """The deployment's own features, and all that wait to be rebuilt, with how far that is."""
    from wuzha.command import features

    with database(settings_of(data)) as db, db.connect("web") as conn, conn.transaction():
        rows = features.progress(conn)
    if as_json:
        emit({"features": rows}, as_json=True)
        return
    for row in rows:
        far = f"{100 * row['share']:.0f}%" if row["share"] is not None else ""
        why = f"  {row['why']}" if row["why"] else ""
        typer.echo(
            f"{row['name']:<28} v{row['version']:<4} {row['state']:<10} {far:>4} {row['subject']:<8} {row['zh']}{why}"
        )


def text(
    name: str = typer.Argument(..., help="The feature's name."),
    version: int | None = typer.Argument(None, help="Which version of a deployment's feature; default: what stands."),
    data: Path | None = DATA_OPTION,
) -> None:
    """Print a feature as the text that a draft begins from; without --data, the shipped one."""
    from wuzha.detect import declaring, shipped

    if data is not None:
        from wuzha.command import features
        from wuzha.command.public import Refused

        with database(settings_of(data)) as db, db.connect("web") as conn, conn.transaction():
            try:
                typer.echo(features.text_of(conn, name, version), nl=False)
                return
            except Refused as refused:
                raise CommandError(f"there is no feature {name!r} of that version here") from refused
    if name not in shipped().features:
        raise CommandError(f"there is no feature {name!r}")
    typer.echo(declaring.text_of(shipped().features[name]), nl=False)


def check(
    file: Path = typer.Argument(..., help="A FILE.toml with one feature."),
    data: Path | None = DATA_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """Read one feature, beside the shipped ones or --data's, and say whether it holds."""
    from wuzha.command import features
    from wuzha.detect import declaring, shipped
    from wuzha.events.datafile import DataFileError

    body = _read(file)
    try:
        if data is not None:
            with database(settings_of(data)) as db, db.connect("web") as conn, conn.transaction():
                book = features.book(conn)
        else:
            book = shipped()
        found = declaring.read(body, book, file=str(file))
    except DataFileError as error:
        say(str(error))
        finish(FAILED)
    emit(
        {"feature": found.name, "subject": found.subject, "op": found.op, "window_min": found.window_min},
        as_json=as_json,
    )


def draft(
    file: Path = typer.Argument(..., help="A FILE.toml with one feature."),
    why: str = typer.Option(..., "--why", help="Why this text; kept with it."),
    login: str = _AS,
    password_stdin: bool = _PASSWORD,
    data: Path | None = DATA_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """Keep a text as the next version of its feature. Nothing is computed by it yet."""
    from wuzha.command import features

    body = _read(file)

    def work(conn: Any, actor: Any) -> dict[str, Any]:
        name, version = features.save(conn, actor, body, why=why)
        return {"feature": name, "version": version}

    emit(acting(data, login, password_stdin, work), as_json=as_json)


def promote(
    name: str = typer.Argument(..., help="The feature's name."),
    version: int = typer.Argument(..., help="Which version."),
    why: str = _WHY,
    login: str = _AS,
    password_stdin: bool = _PASSWORD,
    data: Path | None = DATA_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """Bring a version into force, as another person than who wrote it. It is null until it is rebuilt from history."""
    from wuzha.command import features

    def work(conn: Any, actor: Any) -> dict[str, Any]:
        features.promote(conn, actor, name, version, why=why)
        return {"feature": name, "version": version, "promoted": True}

    emit(acting(data, login, password_stdin, work), as_json=as_json)


def retire(
    name: str = typer.Argument(..., help="The feature's name."),
    why: str = _WHY,
    login: str = _AS,
    password_stdin: bool = _PASSWORD,
    data: Path | None = DATA_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """Take a feature out that no rule reads; a shipped one of its name comes back. It also ends a rebuilding."""
    from wuzha.command import features

    def work(conn: Any, actor: Any) -> dict[str, Any]:
        features.retire(conn, actor, name, why=why)
        return {"feature": name, "retired": True}

    emit(acting(data, login, password_stdin, work), as_json=as_json)


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{file}: {error}") from error
