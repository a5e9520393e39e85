"""Benchmarks print one JSON object, and their rivals did the same work."""

import json
import subprocess
import sys


def bench(*args):
    done = subprocess.run([sys.executable, "-m", "wuzha", "bench", *args, "--json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_import_agrees_with_its_rivals():
    figures = bench("import", "--rows", "5000")
    assert figures["rows"] == figures["accepted"] == 5000
    assert set(figures["rivals"]) == {"python_csv", "polars"}
    assert all(rival["agrees"] for rival in figures["rivals"].values())
