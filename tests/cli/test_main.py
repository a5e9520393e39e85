"""The root command: quick, quiet on standard output, and clear about what went wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from wuzha import __version__
from wuzha.cli import output

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("numba", "numpy", "polars", "pyarrow", "sqlalchemy", "psycopg", "fastapi", "sqlglot", "pandas", "alembic")


def python(code: str, *words: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONUTF8": "1", "NO_COLOR": "1"}
    return subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, env=env, check=False)


def wuzha(*words: str) -> subprocess.CompletedProcess[str]:
    return python("from wuzha.cli.main import run; run()", *words)


def test_help_of_every_command_imports_nothing_heavy() -> None:
    done = python(f"""
import json, sys
from typer.testing import CliRunner
from wuzha.cli import main, reference
found = reference.commands()
runner = CliRunner()
wrong = [w for w in found if runner.invoke(main.app, [*w.split()[1:], "--help"]).exit_code]
print(json.dumps([len(found), wrong, [m for m in {HEAVY!r} if m in sys.modules]]))
""")
    assert done.returncode == 0, done.stderr
    count, wrong, heavy = json.loads(done.stdout)
    assert count and not wrong
    assert not heavy, f"import inside the command's function: {heavy}"


def test_every_command_and_option_has_words() -> None:
    done = python("""
from wuzha.cli import reference
for words, command in reference.commands().items():
    if not (command.help or "").strip():
        print(words)
    for p in command.params:
        if p.name not in ("help", "version") and not (getattr(p, "help", "") or "").strip():
            print(words, p.name)
""")
    assert done.returncode == 0, done.stderr
    assert not done.stdout, done.stdout


def test_version_is_the_package_s() -> None:
    done = wuzha("--version")
    assert (done.returncode, done.stdout) == (0, f"wuzha {__version__}\n")
    assert done.stderr == ""


@pytest.mark.parametrize("words", [("nosuch",), ("--nosuch",), ("city", "nosuch")])
def test_wrong_use_is_exit_2_and_only_on_standard_error(words: tuple[str, ...]) -> None:
    done = wuzha(*words)
    assert done.returncode == output.WRONG_USE
    assert done.stdout == ""
    assert done.stderr.strip()
    assert "Traceback" not in done.stderr


def test_module_and_script_are_the_same_program() -> None:
    done = subprocess.run([sys.executable, "-m", "wuzha", "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"wuzha {__version__}\n")
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["scripts"]
    assert scripts == {"wuzha": "wuzha.cli.main:run"}


COMMAND = """
import sys, typer
from wuzha.cli import main, output
def register(app):
    @app.command("proof")
    def proof(what: str, as_json: bool = output.JSON_OPTION):
        output.say("words [bold]as they are[/bold]")
        if what == "error":
            raise output.CommandError("no such folder: /地方; name another")
        if what == "stop":
            raise KeyboardInterrupt
        if what == "pipe":
            raise BrokenPipeError
        if what == "fault":
            raise ZeroDivisionError("a fault of ours")
        if what == "said":
            output.say("wuzha proof: say it with --this")
            output.finish(output.WRONG_USE)
        output.emit({"rows": 3, "place": "杭州"}, as_json=as_json)
        if what == "unsound":
            output.finish(output.FAILED)
        if what == "rejects":
            output.finish(output.WITH_REJECTS)
register(main.app)
main.run()
"""


def test_json_is_one_object_and_words_go_beside_it() -> None:
    done = python(COMMAND, "proof", "fine", "--json")
    assert done.returncode == output.DONE
    assert json.loads(done.stdout) == {"rows": 3, "place": "杭州"}
    assert done.stdout.count("\n") == 1
    assert done.stderr == "words [bold]as they are[/bold]\n"


def test_people_get_lines() -> None:
    done = python(COMMAND, "proof", "fine")
    assert done.stdout == "rows   3\nplace  杭州\n"


def test_rejects_are_exit_3_with_the_result_printed() -> None:
    done = python(COMMAND, "proof", "rejects", "--json")
    assert done.returncode == output.WITH_REJECTS
    assert json.loads(done.stdout)["rows"] == 3


def test_a_failure_is_one_sentence_and_exit_1() -> None:
    done = python(COMMAND, "proof", "error", "--json")
    assert done.returncode == output.FAILED
    assert json.loads(done.stdout) == {"error": "no such folder: /地方; name another", "exit_code": 1}
    assert done.stdout.count("\n") == 1
    assert done.stderr.endswith("wuzha: no such folder: /地方; name another\n")
    assert "Traceback" not in done.stderr
    for_people = python(COMMAND, "proof", "error")
    assert (for_people.returncode, for_people.stdout, for_people.stderr) == (output.FAILED, "", done.stderr)


def test_ctrl_c_says_so() -> None:
    done = python(COMMAND, "proof", "stop", "--json")
    assert done.returncode == 130
    assert json.loads(done.stdout) == {"error": "stopped", "exit_code": 130}
    assert done.stderr.endswith("wuzha: stopped\n")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (("proof", "said"), output.WRONG_USE, "say it with --this"),
        (("proof",), output.WRONG_USE, "Missing argument 'what'."),
        (("proof", "fine", "--nosuch"), output.WRONG_USE, "No such option: --nosuch"),
        (("nosuch",), output.WRONG_USE, "No such command 'nosuch'."),
        (("proof", "fault"), output.FAILED, "ZeroDivisionError: a fault of ours"),
    ],
)
def test_however_a_command_fails_json_says_so(words: tuple[str, ...], code: int, error: str) -> None:
    done = python(COMMAND, *words, "--json")
    assert done.returncode == code
    assert json.loads(done.stdout) == {"error": error, "exit_code": code}
    assert done.stderr.strip()


def test_a_result_that_is_bad_news_stays_the_only_object() -> None:
    done = python(COMMAND, "proof", "unsound", "--json")
    assert done.returncode == output.FAILED
    assert json.loads(done.stdout) == {"rows": 3, "place": "杭州"}


def test_json_after_two_dashes_is_no_option() -> None:
    assert python(COMMAND, "proof", "error", "--", "--json").stdout == ""


def test_a_reader_that_has_gone_is_no_crash() -> None:
    done = python(COMMAND, "proof", "pipe")
    assert done.returncode == output.FAILED
    assert "Traceback" not in done.stderr
