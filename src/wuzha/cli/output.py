"""How commands speak.

Kept true here: with ``--json`` one JSON object goes to standard output and nothing else does, also where the command
fails: then it is ``{"error": words, "exit_code": code}``. Words and progress go to standard error. Exit codes: 0 done;
1 failed, nothing written; 2 wrong use; 3 done, with rejects.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

DONE, FAILED, WRONG_USE, WITH_REJECTS = 0, 1, 2, 3
#: Ctrl-C, as shells have it.
STOPPED = 130

#: Words for people; never standard output.
console = Console(stderr=True, highlight=False)

JSON_OPTION = typer.Option(False, "--json", help="Print one JSON object on standard output.")


class CommandError(Exception):
    """The command cannot go on: its message is for the user, in one or two sentences, with what to do."""


#: What was said last, and whether a result stands on standard output: what a failure's object needs to know.
_said = ""
_emitted = False
_SPEAKER = re.compile(r"^wuzha( \w+)*: ")


def begin() -> None:
    """A command begins: nothing is said or printed yet."""
    global _said, _emitted
    _said, _emitted = "", False


def say(text: str) -> None:
    """One line of words on standard error."""
    global _said
    _said = text
    console.print(text, markup=False, soft_wrap=True)


def emit(result: dict[str, Any], *, as_json: bool) -> None:
    """The command's result: one JSON object, or ``name  value`` lines for people, on standard output."""
    global _emitted
    _emitted = True
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


def failed(code: int, arguments: Sequence[str], words: str | None = None) -> None:
    """With ``--json`` among the arguments, the object of a failure without a result: the machine that called reads why,
    and with which exit code the command ends. ``words`` where nothing was said to people."""
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if code in (DONE, WITH_REJECTS) or "--json" not in options or _emitted:
        return
    error = words if words is not None else _SPEAKER.sub("", _said, count=1)
    emit({"error": error, "exit_code": code}, as_json=True)


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
