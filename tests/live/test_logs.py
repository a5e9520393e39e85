"""What a server's processes log: an error is told without the names and numbers that it met."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.desks import centre

from wuzha.live import logs
from wuzha.store import Connection, Database

_FAILING = """
import os, signal
from wuzha.respond import rounds

def round(conn, actor, now):
    name = "张小兰"
    os.kill(os.getpid(), signal.SIGTERM)
    conn.execute("INSERT INTO wuzha.call_backs (unit_id, number, why, first_at, last_at) VALUES"
                 " ((SELECT min(unit_id) FROM wuzha.units), '+8613812341234', 'none', now(), now())")

rounds.ROUNDS = {"failing": round}
rounds.EVERY_S = 0.05
raise SystemExit(rounds.run())
"""


def test_a_round_that_fails_is_logged_without_what_it_had_in_hand(
    db: Database, engine: Connection, web: Connection, tmp_path: Path
) -> None:
    house = centre(db, engine, web)
    words = tmp_path / "passwords.json"
    words.write_text(json.dumps(dict(house.db.passwords)))
    words.chmod(0o600)
    place = " ".join(f"{name}={value}" for name, value in house.db.params.items() if name in ("host", "port", "dbname"))
    done = subprocess.run(
        [sys.executable, "-c", _FAILING], capture_output=True, text=True, timeout=60,
        env={**os.environ, "WUZHA_DSN": place, "WUZHA_PASSWORDS": str(words), "WUZHA_HOME": str(tmp_path)},
    )  # fmt: skip
    told = done.stdout + done.stderr
    assert "round failed" in told and "CheckViolation" in told
    assert "张小兰" not in told and "13812341234" not in told
    line = next(row for row in done.stderr.splitlines() if "round failed" in row)
    assert json.loads(line)["process"] == "rounds"


@pytest.mark.parametrize(
    "text",
    [
        "duplicate key\nDETAIL:  Key (number)=(13812341234) already exists.",
        "new row violates\nDETAIL:  Failing row contains (1, 张小兰,\n东街12号, 13812341234).\nCONTEXT:  SQL function",
        "violates\nDETAIL:  Failing row contains (13812341234).\n\nDuring handling of the above exception",
    ],
)
def test_a_row_that_the_database_refuses_is_not_told(text: str) -> None:
    found = logs.without_rows(None, "", {"exception": text, "n": 1})
    assert "13812341234" not in found["exception"] and "东街" not in found["exception"]
    assert found["exception"].split("\n")[0] == text.split("\n")[0] and found["n"] == 1
    for rest in ("CONTEXT", "During handling"):
        assert (rest in text) == (rest in found["exception"])
