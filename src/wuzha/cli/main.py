"""``wuzha``: the root command. Its own commands stand in this package, one file each; other packages
(``city``, ``bench``) register theirs as entry points of the group ``wuzha.commands``."""

from __future__ import annotations

import os
import sys
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points

import typer

from wuzha import __version__

from .output import DONE, FAILED, STOPPED, WRONG_USE, CommandError, begin, failed, say

app = typer.Typer(
    name="wuzha",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Wuzha (无诈): an open anti-fraud operations platform.",
)

#: Modules of this package that define ``register(app)``.
_OWN: tuple[str, ...] = (
    "import_", "serve", "admin", "audit", "exchange", "doctor", "detect", "features", "rules", "text", "trace", "paper",
    "decisions", "partitions", "cases",
)  # fmt: skip


def _version(value: bool) -> None:
    if value:
        typer.echo(f"wuzha {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    pass


@cache
def load() -> typer.Typer:
    """The app with every command of this package and of the entry points; filled once in a process."""
    for name in _OWN:
        import_module(f"{__package__}.{name}").register(app)
    for point in sorted(entry_points(group="wuzha.commands"), key=lambda p: p.name):
        point.load()(app)
    return app


def run() -> None:
    """Entry point of the ``wuzha`` script."""
    sys.exit(_run(sys.argv[1:]))


def _run(arguments: list[str]) -> int:
    """Run the command; returns the exit code. However it fails, with ``--json`` it says so in one object."""
    words: str | None = None
    begin()
    try:
        ended = load()(standalone_mode=False)
        code = ended if isinstance(ended, int) else DONE
        if code == STOPPED:  # Typer has caught the Ctrl-C
            say("wuzha: stopped")
    except CommandError as error:
        say(f"wuzha: {error}")
        code = FAILED
    except (KeyboardInterrupt, typer.Abort):
        say("wuzha: stopped")
        code = STOPPED
    except BrokenPipeError:
        return _unread()
    except Exception as error:
        if not hasattr(error, "format_message"):  # none of Click's own: a fault of ours, with its traceback
            failed(FAILED, arguments, f"{type(error).__name__}: {error}")
            raise
        from typer.rich_utils import rich_format_error

        rich_format_error(error)  # type: ignore[arg-type]
        code, words = WRONG_USE, str(error.format_message())
    try:
        failed(code, arguments, words)
    except BrokenPipeError:
        return _unread()
    return code


def _unread() -> int:
    """The reader has what it wanted (`wuzha … | head`); the flush at exit must not complain either."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return FAILED
