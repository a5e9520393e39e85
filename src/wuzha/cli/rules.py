"""``wuzha rules``: list the rules, or check a folder of them; a mistake is shown at file, line and column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from .output import FAILED, JSON_OPTION, WRONG_USE, emit, finish, say


def register(app: typer.Typer) -> None:
    """Add the commands."""
    rules = typer.Typer(no_args_is_help=True, help="Rules and typologies: list and check.")
    app.add_typer(rules, name="rules")

    @rules.command("list")
    def list_rules(
        folder: Path | None = typer.Argument(None, help="A folder of rules; default: the shipped."),
        as_json: bool = JSON_OPTION,
    ) -> None:
        """Every rule with its subject, stage, condition and words."""
        book = _book(folder)
        rows = [
            {
                "id": r.id,
                "version": r.version,
                "subject": r.subject,
                "stage": r.stage,
                "when": r.when,
                "zh": r.zh,
                "en": r.en,
            }
            for r in book.rules.values()
        ]
        if as_json:
            emit({"rules": rows, "typologies": list(book.typologies)}, as_json=True)
            return
        for row in rows:
            typer.echo(f"{row['id']:<28} {row['subject']:<8} {row['stage']:<9} {row['zh']}")

    @rules.command()
    def check(
        folder: Path | None = typer.Argument(None, help="A folder of rules; default: the shipped."),
        as_json: bool = JSON_OPTION,
    ) -> None:
        """Read a folder of features, rules and typologies and say whether they hold."""
        book = _book(folder)
        emit(
            {"features": len(book.features), "rules": len(book.rules), "typologies": len(book.typologies)},
            as_json=as_json,
        )


def _book(folder: Path | None) -> Any:
    from wuzha.detect import load, shipped
    from wuzha.events.datafile import DataFileError

    try:
        return shipped() if folder is None else load(folder)
    except FileNotFoundError as error:
        say(f"wuzha rules: {error}")
        finish(WRONG_USE)
    except DataFileError as error:
        say(str(error))
        finish(FAILED)
