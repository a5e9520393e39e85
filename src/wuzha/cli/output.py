"""How commands speak.

Kept true here: with ``--json`` one JSON object goes to standard output and nothing else does; words and progress go to
standard error. Exit codes: 0 done; 1 failed, nothing written; 2 wrong use; 3 done, with rejects.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

DONE, FAILED, WRONG_USE, WITH_REJECTS = 0, 1, 2, 3

#: Words for people; never standard output.
console = Console(stderr=True, highlight=False)

JSON_OPTION = typer.Option(False, "--json", help="Print one JSON object on standard output.")


class CommandError(Exception):
    """The command cannot go on: its message is for the user, in one or two sentences, with what to do."""


def say(text: str) -> None:
    """One line of words on standard error."""
    console.print(text, markup=False, soft_wrap=True)


def emit(result: dict[str, Any], *, as_json: bool) -> None:
    """The command's result: one JSON object, or ``name  value`` lines for people, on standard output."""
    if as_json:
        sys.stdout.write(json.dumps(result, ensure_ascii=False, default=str) + "\n")
        sys.stdout.flush()  # in its place among the words, also where both go to one pipe
        return
    width = max((len(k) for k in result), default=0)
    for name, value in result.items():
        shown = json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, dict | list) else value
        sys.stdout.write(f"{name:<{width}}  {shown}\n")
    sys.stdout.flush()


def finish(code: int) -> NoReturn:
    """Leave with an exit code."""
    raise typer.Exit(code)


#: Bars on the screen now.
_bars: list[Progress] = []


@contextmanager
def asking() -> Iterator[None]:
    """While the person at the terminal is asked: no bar redraws itself over the question."""
    stopped = list(_bars)
    for bar in stopped:
        bar.stop()
    try:
        yield
    finally:
        for bar in stopped:
            bar.start()


@contextmanager
def progress(words: str, total: float | None = None) -> Iterator[Any]:
    """A progress bar on standard error; yields a function that advances it. Silent where nobody watches."""
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        console=console, transient=True, disable=not console.is_terminal,
    ) as bar:  # fmt: skip
        task = bar.add_task(words, total=total)
        _bars.append(bar)
        try:
            yield lambda n=1: bar.advance(task, n)
        finally:
            _bars.remove(bar)
