"""``wuzha features``: the figures that rules may speak of, and what they are for a folder at a time."""

from __future__ import annotations

from pathlib import Path

import typer

from .output import FAILED, JSON_OPTION, WRONG_USE, emit, finish, say


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def features(
        folder: str = typer.Argument("list", help="'list', or a folder of event tables."),
        at: str | None = typer.Option(
            None, "--at", help="ISO time up to which the folder is read; default: all of it."
        ),
        subject: str | None = typer.Option(
            None, "--subject", help="Whose figures, as kind:value; needed with a folder."
        ),
        as_json: bool = JSON_OPTION,
    ) -> None:
        """List the declared features, or compute them over a folder as of a time."""
        from wuzha.detect import shipped

        if folder == "list":
            rows = [
                {"name": f.name, "subject": f.subject, "unit": f.unit, "zh": f.zh, "en": f.en, "version": f.version}
                for f in shipped().features.values()
            ]
            if as_json:
                emit({"features": rows}, as_json=True)
            else:
                for row in rows:
                    typer.echo(f"{row['subject']:<8} {row['name']:<26} {row['zh']}  {row['en']}")
            return
        if subject is None or ":" not in subject:
            say("wuzha features: say whose figures with --subject kind:value")
            finish(WRONG_USE)
        from wuzha import text
        from wuzha.detect.files import figures, read_folder

        try:
            until = _time(at)
            block, _ = read_folder(Path(folder), lambda n, rows: text.annotate(rows) if n == "messages" else rows)
            values = figures(block, subject, until)
        except (ValueError, FileNotFoundError) as error:
            say(f"wuzha features: {error}")
            finish(FAILED)
        if values is None:
            say(f"wuzha features: {subject} does not appear in {folder}")
            finish(FAILED)
        emit({"subject": subject, "features": values}, as_json=as_json)


def _time(text: str | None) -> int | None:
    if text is None:
        return None
    from datetime import datetime

    from wuzha.events.clock import zone

    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone())
    return round(moment.timestamp() * 1_000_000)
