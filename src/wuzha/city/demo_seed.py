"""What the demo registers before anything is sent: units, people of ours with their logins and their roster, senders
and their keys.

Kept true here: it is made once a data folder; keys and passwords are random and stand in files that only we may read.
"""

from __future__ import annotations

import json
import os
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psycopg

from wuzha.command import units, users
from wuzha.command.public import Actor
from wuzha.store import keys, opened, transaction
from wuzha.store import sources as senders
from wuzha.store.settings import Settings, make_home

from . import demo_duty, demo_money
from .sources import sources

SEATS = ("holder", "centre")
#: Login, name, roles, unit code.
PEOPLE = (
    ("admin", "系统管理员", ("admin", "auditor"), "3502"),
    ("quanzu", "劝阻员 林晓", ("dissuader",), "3502"),
    ("zhihui", "指挥长 陈立", ("commander",), "3502"),
    ("yinzhang", "签章民警 吴正", ("sealer", "dissuader"), "3502"),
    ("paichusuo", "民警 黄伟", ("station",), "350212-01"),
    ("yeban", "夜班劝阻员 周宁（模拟）", ("dissuader",), "3502"),
)
#: Code, name, kind, parent's code, place. Every district of the city has its own; what falls outside is the root's.
UNITS = (
    ("350203", "思明分局", "county", "3502", None),
    ("350205", "海沧分局", "county", "3502", "350205"),
    ("350206", "湖里分局", "county", "3502", "350206"),
    ("350211", "集美分局", "county", "3502", "350211"),
    ("350212", "同安分局", "county", "3502", None),
    ("350213", "翔安分局", "county", "3502", "350213"),
    ("350203-01", "鹭江派出所", "station", "350203", "350203"),
    ("350212-01", "大同派出所", "station", "350212", "350212"),
)
_HOLDER = "city-holder"


def seed(folder: Path, first: date, days: int) -> dict[str, Any]:
    """Make both seats' records in ``folder``/holder and ``folder``/centre; returns ``{seat: {"logins": …, "keys": …}}``
    as it stands in each seat's ``demo.json`` from now on."""
    out = {seat: _seat(seat, folder / seat, first, days) for seat in SEATS}
    write_secret(folder / "holder" / "centre.key", out["centre"]["keys"][_HOLDER] + "\n")
    return out


def _seat(seat: str, home: Path, first: date, days: int) -> dict[str, Any]:
    record = home / "demo.json"
    if record.exists():
        return dict(json.loads(record.read_text("utf-8")))
    make_home(home)
    with opened(Settings(home=home, dsn=None)) as db, db.connect("web") as conn:
        root = _root(conn, "市反诈中心" if seat == "centre" else "城市数据持有单位")
        made: dict[str, Any] = {"logins": {}, "keys": {}}
        with transaction(conn, unit=root, user=None):
            maker = Actor(user_id=0, unit_id=root, login="demo", name="demo", roles=frozenset({"admin"}))
            numbers = {"3502": root}
            for code, name, kind, above, place in UNITS if seat == "centre" else ():
                numbers[code] = units.add(
                    conn, maker, code=code, name=name, kind=kind, parent_id=numbers[above], place=place
                )
            people: dict[str, int] = {}
            for login, name, roles, unit in (*PEOPLE, *((o, n, ("dissuader",), u) for o, n, u in demo_duty.COUNTY)):
                if unit in numbers:
                    password = users.new_password()
                    people[login], _ = users.add(
                        conn, maker, login=login, name=name, unit_id=numbers[unit], roles=roles, password=password
                    )
                    made["logins"][login] = password
            if seat == "centre":
                chief = officer(conn, "zhihui")
                assert chief is not None
                # The day before the first too: its night goes on into it.
                demo_duty.roster(conn, chief, people, numbers, first - timedelta(days=1), days + 2)
            for s in sources():
                if seat in s.tables:
                    made["keys"][s.name] = _sender(
                        conn, name=s.name, title=s.title, role=s.role, basis=s.basis, purpose=s.purpose,
                        retention_days=s.retention_days, tables=s.tables[seat], unit_id=root,
                        basis_ref="演示-2026-001" if s.basis == "case_query" else None,
                        late_allowance={t: v for t, v in s.late_allowance.items() if t in s.tables[seat]},
                    )  # fmt: skip
            if seat == "centre":
                made["keys"] |= demo_money.register(conn, root)
                made["keys"][_HOLDER] = _sender(
                    conn, name=_HOLDER, title="城市数据持有单位", role="holder", basis="warning", purpose="预警劝阻",
                    retention_days=365, tables=["warnings"], unit_id=root,
                )  # fmt: skip
        # Inside the seat's last step: a demo killed before this line begins the seat anew.
        write_secret(record, json.dumps(made, ensure_ascii=False, indent=1))
    return made


def _root(conn: psycopg.Connection[Any], name: str) -> int:
    row = conn.execute(
        "INSERT INTO wuzha.units (code, name, kind, place) VALUES ('3502', %s, 'city', '3502')"
        " ON CONFLICT (code) DO UPDATE SET name = EXCLUDED.name RETURNING unit_id",
        [name],
    ).fetchone()
    assert row is not None
    return int(row[0])


def officer(conn: psycopg.Connection[Any], login: str) -> Actor | None:
    """One of the demo's people, as they act on the desk; None where nobody has this login."""
    row = conn.execute(
        "SELECT user_id, unit_id, name, ARRAY(SELECT role FROM wuzha.user_roles r WHERE r.user_id = u.user_id)"
        " FROM wuzha.users u WHERE login = %s",
        (login,),
    ).fetchone()
    return row and Actor(user_id=row[0], unit_id=row[1], login=login, name=row[2], roles=frozenset(row[3]))


def _sender(conn: psycopg.Connection[Any], **values: Any) -> str:
    return keys.issue(conn, senders.register(conn, **values)).key


def write_secret(path: Path, text: str) -> None:
    """A file that only we may read, whole or absent."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    os.replace(fresh, path)
