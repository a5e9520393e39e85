"""``wuzha text``: what a text names and which of the eight 凡是 it hits, one object a line in input order."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import typer

from .output import WRONG_USE, CommandError, finish, say


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def text(
        file: str = typer.Argument(..., help="A text file, one text a line, or - for standard input."),
        patterns: Path | None = typer.Option(None, "--patterns", help="Patterns of your own instead of the shipped."),
        as_json: bool = typer.Option(False, "--json", help="One JSON object a line, in input order."),
    ) -> None:
        """Links, numbers, apps and the eight 凡是 in texts, one a line."""
        from wuzha.events.datafile import DataFileError
        from wuzha.text import extract, load, shipped
        from wuzha.text.annotate import hits

        try:
            book = load(patterns) if patterns is not None else shipped()
        except (DataFileError, OSError) as error:
            say(f"wuzha text: {error}")
            finish(WRONG_USE)
        if file == "-":
            raw = sys.stdin.buffer.read()
        else:
            try:
                raw = Path(file).read_bytes()
            except OSError as error:
                raise CommandError(f"{file}: {error.strerror}") from error
        try:
            lines = _lines(raw.decode("utf-8-sig"))
        except UnicodeDecodeError:
            try:
                lines = _lines(raw.decode("gb18030"))
            except UnicodeDecodeError as error:
                raise CommandError(f"{file}: neither UTF-8 nor GB18030") from error
        names = {f.number: f for f in book.fanshi}
        distinct = list(dict.fromkeys(lines))  # what is sent a thousand times is read once
        told: dict[str, str] = {}
        for line, found in zip(distinct, hits(distinct, book), strict=True):
            if not as_json:
                told[line] = f"{'；'.join(names[n].zh for n in found or []) or '—'}  {line}\n"
                continue
            named = extract(line)
            row = {
                "text": line, "fanshi": found or [], "links": list(named.links), "lines": list(named.lines),
                "accounts": list(named.accounts), "apps": list(named.apps),
            }  # fmt: skip
            told[line] = json.dumps(row, ensure_ascii=False) + "\n"
        sys.stdout.writelines(told[line] for line in lines)


def _lines(text: str) -> list[str]:
    """Lines as files have them: only line feeds part them, so that a text may hold any other mark."""
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    return [line.removesuffix("\r") for line in lines]
