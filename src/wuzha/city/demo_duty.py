"""The demo's officers on duty: the roster, where overflow goes, and the simulated ones who are signed in.

Kept true here: the roster is made once, through the commander's own steps; a simulated officer is signed in as anybody
is, and does nothing on the desk.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any

from wuzha.command import sessions, shifts
from wuzha.command.public import Actor
from wuzha.events import clock
from wuzha.respond import overflow
from wuzha.store import Connection, transaction

#: Simulated officers: login, name, unit code. On duty around the clock, or from the evening on.
COUNTY = (
    ("siming", "思明值班 吴珊（模拟）", "350203"),
    ("huli", "湖里值班 郑凯（模拟）", "350206"),
    ("jimei", "集美值班 许岚（模拟）", "350211"),
    ("tongan", "同安值班 蔡军（模拟）", "350212"),
    ("haicang", "海沧夜班 方敏（模拟）", "350205"),
    ("xiangan", "翔安夜班 洪涛（模拟）", "350213"),
)
_EVENING = ("haicang", "xiangan")
_DAY, _NIGHT, _ROUND = (8, 12), (20, 12), (8, 24)
#: Login, post, (hour at which it begins, hours): each day.
_SHIFTS = (
    ("quanzu", "劝阻席", _DAY), ("zhihui", "指挥", _DAY), ("yeban", "夜班", _NIGHT), ("paichusuo", "上门", _ROUND),
    *((login, "值班", _NIGHT if login in _EVENING else _ROUND) for login, _, _ in COUNTY),
)  # fmt: skip
#: Unit, the units that its overflow goes to in order; last come automatic calls.
_CHAINS = (("350213", ("350212", "350211")), ("350211", ("350206",)), ("350205", ()), ("350203", ("350206",)))
#: Seconds of the wall between two signs of life of the simulated officers.
_ALIVE_S = 300.0


def roster(conn: Connection, commander: Actor, users: dict[str, int], units: dict[str, int], day: date, n: int) -> None:
    """Shifts of ``n`` days from ``day`` on, in the caller's transaction."""
    for k in range(n):
        for login, post, (hour, hours) in _SHIFTS:
            begin = datetime.combine(day + timedelta(days=k), time(hour), clock.zone())
            shifts.add(
                conn, commander, user_id=users[login], post=post, starts_at=begin,
                ends_at=begin + timedelta(hours=hours),
            )  # fmt: skip
    for unit, to in _CHAINS:
        overflow.set_route(conn, commander, units[unit], [units[t] for t in to], automatic=True)


class SignedIn:
    """The simulated officers' sessions."""

    def __init__(self, passwords: dict[str, str]) -> None:
        self._passwords = {login: passwords[login] for login, _, _ in COUNTY}
        self._tokens: dict[str, str] = {}
        self._due = 0.0

    def due(self, elapsed: float) -> bool:
        """Whether they are to show that they are there; ``elapsed``: seconds of the demo."""
        return elapsed >= self._due

    def stay(self, conn: Connection, elapsed: float) -> None:
        """Sign in whoever is not, and show that they are there, where it is time. ``conn`` as role web."""
        if not self.due(elapsed):
            return
        for login, password in self._passwords.items():
            with transaction(conn, unit=None, user=None) as within:
                there: Any = self._tokens.get(login) and sessions.find(within, self._tokens[login])
                if there:
                    continue
                token = sessions.log_in(within, login, password).token
            if token is not None:  # somebody who watches may have given them another password
                self._tokens[login] = token
        self._due = elapsed + _ALIVE_S
