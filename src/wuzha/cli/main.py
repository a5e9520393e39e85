"""``wuzha``: the root command. Its own commands stand in this package, one file each; other packages
(``city``, ``bench``) register theirs as entry points of the group ``wuzha.commands``."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.metadata import entry_points

import typer

from wuzha import __version__

from .output import FAILED, CommandError, say

app = typer.Typer(
    name="wuzha",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Wuzha (无诈): an open anti-fraud operations platform.",
)

#: Modules of this package that define ``register(app)``.
_OWN: tuple[str, ...] = ("import_", "serve", "admin", "audit", "doctor", "detect", "features", "rules", "text")


def _version(value: bool) -> None:
    if value:
        typer.echo(f"wuzha {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    pass


def load() -> typer.Typer:
    """The app with every command of this package and of the entry points."""
    for name in _OWN:
        import_module(f"{__package__}.{name}").register(app)
    for point in sorted(entry_points(group="wuzha.commands"), key=lambda p: p.name):
        point.load()(app)
    return app


def run() -> None:
    """Entry point of the ``wuzha`` script."""
    try:
        load()()
    except CommandError as error:
        say(f"wuzha: {error}")
        sys.exit(FAILED)
    except BrokenPipeError:
        # The reader has what it wanted (`wuzha … | head`); the flush at exit must not complain either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FAILED)
    except KeyboardInterrupt:
        say("wuzha: stopped")
        sys.exit(130)
