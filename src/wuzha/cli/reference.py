"""The reference page of the commands, written from the commands themselves: ``python -m wuzha.cli.reference FILE``.

Kept true: the page holds every command with its words and options, and nothing else. A test compares it with
``docs/reference/commands.md``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from .main import load

_HEAD = """\
# 命令参考 Commands

本页由 `make reference` 从代码生成，请勿手改。This page is written by `make reference` from the code.

With `--json` a command prints one JSON object on standard output and nothing else there; words and progress go to
standard error. Where it fails without a result, the object is `{"error": "…", "exit_code": 1}`. Exit codes: **0** done;
**1** failed, nothing written; **2** wrong use; **3** done, with rejects; 130 stopped by Ctrl-C.
"""


def commands() -> dict[str, Any]:
    """Every command that does something, by its full words (``wuzha city generate``), in order."""
    root: Any = typer.main.get_command(load())
    return dict(_walk("wuzha", root))


def _walk(words: str, command: Any) -> Iterator[tuple[str, Any]]:
    children: dict[str, Any] = getattr(command, "commands", {})
    if not children or getattr(command, "invoke_without_command", False):
        yield words, command
    for name in sorted(children):
        if not children[name].hidden:
            yield from _walk(f"{words} {name}", children[name])


def page() -> str:
    """The whole page, Markdown."""
    return "\n".join([_HEAD, *(_section(words, command) for words, command in commands().items())])


def _section(words: str, command: Any) -> str:
    parameters = [p for p in command.params if p.name != "help" and not getattr(p, "hidden", False)]
    arguments = [p for p in parameters if p.param_type_name == "argument"]
    options = [p for p in parameters if p.param_type_name == "option"]
    shape = " ".join([words, *(_argument(a) for a in arguments), *(["[options]"] if options else [])])
    lines = [f"## {words}", "", "```text", shape, "```", "", (command.help or "").strip(), ""]
    if arguments or options:
        lines += ["| | meaning |", "|---|---|"]
        lines += [f"| `{_name(a)}` | {_words(a)} |" for a in arguments]
        lines += [f"| {', '.join(f'`{o}`' for o in [*p.opts, *p.secondary_opts])} | {_words(p)} |" for p in options]
        lines.append("")
    return "\n".join(lines)


def _argument(argument: Any) -> str:
    shown = _name(argument) + ("…" if argument.nargs == -1 else "")
    return shown if argument.required else f"[{shown}]"


def _name(argument: Any) -> str:
    return str(argument.metavar or argument.name.upper())


def _words(parameter: Any) -> str:
    said = (parameter.help or "").strip().replace("|", "\\|").replace("\n", " ")
    default = parameter.default
    plain = isinstance(default, str | int | float) and not isinstance(default, bool)
    if plain and default != "" and not callable(default):
        said += f" (default: `{default}`)"
    if parameter.required and parameter.param_type_name == "option":
        said += " (needed)"
    return said.strip()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(page(), "utf-8")
    else:
        sys.stdout.write(page())
