"""Rounds: each acts as the machine, one that fails leaves the others running, its steps are told as such."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg
import pytest
from tests.desks import Centre

from wuzha.command.public import Actor
from wuzha.respond import file, rounds
from wuzha.respond.step import lock, record
from wuzha.store import Connection


def test_a_round_that_fails_leaves_the_others_running(
    house: Centre, web: Connection, wang: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    alert_id = house.alert(unit="east")

    def broken(conn: psycopg.Connection[Any], actor: Actor, now: datetime) -> int:
        conn.execute("UPDATE wuzha.alerts SET lost_fen = 1")
        raise ValueError("no")

    def noting(conn: psycopg.Connection[Any], actor: Actor, now: datetime) -> int:
        record(conn, actor, lock(conn, alert_id), "note", key="by-the-machine", changes={}, at=now, words="到时间了")
        return 1

    monkeypatch.setattr(rounds, "ROUNDS", {"broken": broken, "noting": noting})
    assert rounds.go_round(web) == {"noting": 1}
    with house.scope(wang):
        found = file.read(web, wang, alert_id)
    assert [(c["kind"], c["user_id"], c["officer"]) for c in found.contacts] == [("note", None, None)]
    assert found.alert["lost_fen"] is None
    with house.scope(wang):
        assert web.execute("SELECT actor FROM audit WHERE object = %s", [f"alert:{alert_id}"]).fetchall() == [
            ("machine:noting",)
        ]
