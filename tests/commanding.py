"""The whole ``wuzha`` command, from its arguments to its exit code, in this process: a new one takes seconds to start
on a busy machine. That the program itself does the same is for `tests.cli.test_main`."""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from subprocess import CompletedProcess

from wuzha.cli import main


def wuzha(*words: object) -> CompletedProcess[str]:
    """What it ended with and printed."""
    given, out, err = ["wuzha", *map(str, words)], io.StringIO(), io.StringIO()
    before, sys.argv = sys.argv, given
    try:
        with redirect_stdout(out), redirect_stderr(err):
            main.run()
    except SystemExit as ended:
        assert isinstance(ended.code, int)
        return CompletedProcess(given, ended.code, out.getvalue(), err.getvalue())
    finally:
        sys.argv = before
    raise AssertionError("it did not end")
