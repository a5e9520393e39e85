"""A small centre to test the desks on: units, officers, alerts with evidence, events, warnings and kin.

Rows of the engine are written as wuzha_engine, those of the administration as wuzha_web, as in a deployment.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from argon2 import PasswordHasher

from wuzha import store
from wuzha.command.public import Actor
from wuzha.events import LEVELS, clock
from wuzha.store import Connection, Database

PASSWORD = "correct-horse-9"
#: argon2 is slow on purpose; a hash carries its own cost, and this one is made to be checked often.
_HASH = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(PASSWORD)
_numbers = itertools.count(1)


@dataclass
class Centre:
    """Connections of a test's database and the units in it."""

    db: Database
    engine: Connection
    web: Connection
    units: dict[str, int] = field(default_factory=dict)

    def unit(self, code: str, name: str, kind: str = "station", parent: str | None = None) -> int:
        """A unit below ``parent``."""
        row = self.web.execute(
            "INSERT INTO units (code, name, kind, parent_id) VALUES (%s, %s, %s, %s) RETURNING unit_id",
            (code, name, kind, self.units[parent] if parent else None),
        ).fetchone()
        assert row is not None
        self.units[code] = row[0]
        return int(row[0])

    def officer(self, login: str, name: str, *roles: str, unit: str = "centre", **columns: Any) -> Actor:
        """A user with PASSWORD, as an actor."""
        row = self.web.execute(
            "INSERT INTO users (login, name, badge_no, unit_id, password_hash, language, created_at)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s) RETURNING user_id",
            (login, name, columns.get("badge_no"), self.units[unit], _HASH, columns.get("language", "zh"), clock.now()),
        ).fetchone()
        assert row is not None
        for role in roles:
            self.web.execute("INSERT INTO user_roles (user_id, role) VALUES (%s, %s)", (row[0], role))
        found = self.web.execute("SELECT name FROM units WHERE unit_id = %s", (self.units[unit],)).fetchone()
        assert found is not None
        return Actor(
            user_id=row[0], unit_id=self.units[unit], login=login, name=name, roles=frozenset(roles),
            language=columns.get("language", "zh"), badge_no=columns.get("badge_no"), unit_name=found[0],
        )  # fmt: skip

    def subject(self, kind: str, value: str) -> int:
        """A subject's number."""
        row = self.engine.execute(
            "INSERT INTO subjects (kind, value) VALUES (%s, %s)"
            " ON CONFLICT (kind, value) DO UPDATE SET value = excluded.value RETURNING subject_id",
            (kind, value),
        ).fetchone()
        assert row is not None
        return int(row[0])

    def person(self, name: str | None, *, line: str | None = None, **columns: Any) -> tuple[int, int | None]:
        """A person in the vault and their line: (person_id, line_id)."""
        number = next(_numbers)
        person = self.subject("person", columns.pop("value", f"p{number}"))
        self.engine.execute(
            "INSERT INTO persons (person_id, name, id_no, born, gender, place, occupation)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s)",
            (
                person, name, columns.get("id_no"), columns.get("born", date(1962, 5, 4)), columns.get("gender", "F"),
                columns.get("place"), columns.get("occupation"),
            ),
        )  # fmt: skip
        line_id = None
        if line:
            line_id = self.subject("line", line)
            self.relate(person, line_id, "user")
        return person, line_id

    def relate(self, subject: int, other: int, role: str) -> None:
        """A relation that holds now."""
        self.engine.execute(
            "INSERT INTO relations (subject_id, other_id, role, source, event_id) VALUES (%s, %s, %s, 'test', %s)",
            (subject, other, role, f"r{next(_numbers)}"),
        )

    def alert(
        self,
        name: str | None = "张小兰",
        *,
        unit: str = "centre",
        level: str = "high",
        line: str | None = None,
        **columns: Any,
    ) -> int:
        """An open alert; ``ago`` is how long it has stood here."""
        now = columns.get("now") or clock.now()
        ago: timedelta = columns.get("ago", timedelta(minutes=2))
        line = line or f"+8613{700000000 + next(_numbers)}"
        person, line_id = columns.get("person") or self.person(name, line=line, **columns.get("vault", {}))
        row = self.engine.execute(
            "INSERT INTO alerts (person_id, episode, unit_id, line_id, raised_at, last_evidence_at, committed_at,"
            " level_at, level, level_rank, scam_type, stage, score, typology, amount_fen, log_position)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, 1) RETURNING alert_id",
            (
                person, columns.get("episode", 1), self.units[unit], line_id, now - ago, now - ago, now - ago,
                now - ago,
                level, 3 - LEVELS.index(level), columns.get("scam_type", "authority"), columns.get("stage", "act"),
                92.0,                "authority", columns.get("amount_fen"),
            ),
        ).fetchone()  # fmt: skip
        assert row is not None
        return int(row[0])

    def evidence(
        self, alert_id: int, rule: str, args: dict[str, Any], *, at: datetime, weight: float = 30.0,
        stage: str = "approach",
        events: list[tuple[str, datetime, dict[str, Any]]] | None = None,
    ) -> int:  # fmt: skip
        """A piece of evidence with the events it cites: (table, ts, columns)."""
        row = self.engine.execute(
            "INSERT INTO evidence (alert_id, rule, rule_version, at, weight, typology, stage, args, log_position)"
            " VALUES (%s, %s, 1, %s, %s, 'authority', %s, %s, 1) RETURNING evidence_id",
            (alert_id, rule, at, weight, stage, json.dumps(args)),
        ).fetchone()
        assert row is not None
        for table, ts, columns in events or []:
            self.engine.execute(
                "INSERT INTO evidence_events (evidence_id, table_name, source, event_id, ts, event)"
                " VALUES (%s, %s, 'a', %s, %s, %s)",
                (row[0], table, f"e{next(_numbers)}", ts, json.dumps(columns, default=str)),
            )
        return int(row[0])

    def warning(self, alert_id: int, **columns: Any) -> None:
        """A warning joined with the alert."""
        self.engine.execute(
            "INSERT INTO alert_warnings (alert_id, source, event_id, ts, source_no, issued_by, level_upstream, reasons,"
            " sign_by, feedback_by) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (
                alert_id, columns.get("source", "upper"), f"w{next(_numbers)}", columns.get("ts", clock.now()),
                columns.get("source_no"), columns.get("issued_by"), columns.get("level"), columns.get("reasons", []),
                columns.get("sign_by"), columns.get("feedback_by"),
            ),
        )  # fmt: skip

    def scope(self, actor: Actor, conn: Connection | None = None, now: datetime | None = None) -> Any:
        """A transaction with the officer's scope, as every page opens it."""
        return store.transaction(conn or self.web, unit=actor.unit_id, user=actor.user_id, now=now)


def centre(db: Database, engine: Connection, web: Connection) -> Centre:
    """A county centre with two stations."""
    made = Centre(db=db, engine=engine, web=web)
    made.unit("centre", "示例区反诈中心", "county")
    made.unit("east", "东街派出所", parent="centre")
    made.unit("south", "南岸派出所", parent="centre")
    return made
