"""A small house for the tests of sight: a province, two cities, stations below one of them, alerts."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from wuzha.store import Connection, Database

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)


@dataclass
class House:
    """Numbers by name: ``units["station-a"]``, ``users[…]``, ``alerts[…]``, ``persons[…]``, ``evidence[…]``."""

    db: Database
    units: dict[str, int] = field(default_factory=dict)
    users: dict[str, int] = field(default_factory=dict)
    alerts: dict[str, int] = field(default_factory=dict)
    persons: dict[str, int] = field(default_factory=dict)
    evidence: dict[str, int] = field(default_factory=dict)


def value(conn: Connection, query: str, *args: object) -> int:
    """The one number that a query answers."""
    row = conn.execute(query, args).fetchone()  # type: ignore[arg-type]
    assert row is not None
    return int(row[0])


TREE = (
    ("province", "province", None), ("city-a", "city", "province"), ("city-b", "city", "province"),
    ("station-a", "station", "city-a"), ("station-b", "station", "city-a"), ("bank", "bank", None),
)  # fmt: skip


def build(db: Database) -> House:
    """Makes the house as the roles that write it."""
    house = House(db)
    with db.connect("web") as web:
        for code, kind, parent in TREE:
            house.units[code] = value(
                web,
                "INSERT INTO units (code, name, kind, parent_id) VALUES (%s, %s, %s, %s) RETURNING unit_id",
                code, code, kind, house.units.get(parent or ""),
            )  # fmt: skip
            house.users[code] = value(
                web,
                "INSERT INTO users (login, name, unit_id, password_hash, created_at) VALUES (%s, %s, %s, 'x', %s)"
                " RETURNING user_id",
                f"officer-{code}", code, house.units[code], NOW,
            )  # fmt: skip
    with db.connect("engine") as engine:
        for code in ("station-a", "station-b", "city-b"):
            add_alert(engine, house, code)
    return house


def add_alert(engine: Connection, house: House, code: str) -> None:
    """A person, an alert on them at the unit, with evidence, a cited event, a warning."""
    person = house.persons[code] = value(
        engine, "INSERT INTO subjects (kind, value) VALUES ('person', %s) RETURNING subject_id", f"p-{code}"
    )
    line = value(
        engine, "INSERT INTO subjects (kind, value) VALUES ('line', %s) RETURNING subject_id",
        f"+8613800{len(house.persons):06d}",
    )  # fmt: skip
    engine.execute(
        "INSERT INTO persons (person_id, name, id_no) VALUES (%s, %s, %s)", (person, f"张{code}", f"3502{person:014d}")
    )
    alert = house.alerts[code] = value(
        engine,
        "INSERT INTO alerts (person_id, episode, unit_id, line_id, raised_at, last_evidence_at, committed_at, level_at,"
        " level, level_rank, scam_type, stage, score, typology, log_position)"
        " VALUES (%s, 1, %s, %s, %s, %s, %s, %s, 'high', 2, 'authority', 'trust', 80, 't', 1) RETURNING alert_id",
        person, house.units[code], line, NOW, NOW, NOW, NOW,
    )  # fmt: skip
    evidence = house.evidence[code] = value(
        engine,
        "INSERT INTO evidence (alert_id, rule, rule_version, at, weight, typology, stage, args, log_position)"
        " VALUES (%s, 'r', 1, %s, 10, 't', 'trust', '{}', 1) RETURNING evidence_id",
        alert, NOW,
    )  # fmt: skip
    engine.execute(
        "INSERT INTO evidence_events (evidence_id, table_name, source, event_id, ts, event)"
        " VALUES (%s, 'calls', 's', %s, %s, '{}')",
        (evidence, code, NOW),
    )
    engine.execute(
        "INSERT INTO alert_warnings (alert_id, source, event_id, ts) VALUES (%s, 's', %s, %s)",
        (alert, f"w-{code}", NOW),
    )
