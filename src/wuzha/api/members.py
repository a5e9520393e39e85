"""What requests of member units share: their key and scope, a refusal as a problem, times with an offset.

Kept true here: only a bank's, a platform's or a carrier's key gets in; it acts as the machine in the whole house's
scope, so that whoever uses it asks what belongs to the key before anything is read or written.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg
from fastapi import Request

from wuzha.command.public import Actor, Refused, machine
from wuzha.store import transaction
from wuzha.store.sources import Source

from .doors import doors, source_of
from .problems import Problem


@contextmanager
def member_scope(request: Request) -> Iterator[tuple[psycopg.Connection[Any], Source, Actor]]:
    """A transaction of the member unit whose key came with the request."""
    source = source_of(request)
    if source.role not in ("bank", "platform", "carrier"):
        raise Problem(403, "key_may_not_answer", "This key has no orders / 该密钥没有指令", "member units only")
    with doors(request).pool.connection() as conn:
        row = conn.execute("SELECT min(unit_id) FROM wuzha.units WHERE parent_id IS NULL").fetchone()
        if row is None or row[0] is None:
            raise Problem(503, "no_unit", "No unit stands yet / 尚无单位")
        with transaction(conn, unit=row[0], user=None):
            yield conn, source, machine(row[0], f"source:{source.name}")


def refused_problem(refused: Refused) -> Problem:
    """409: nothing was changed, and why."""
    return Problem(
        409, refused.reason, "Not possible in the order's state / 当前状态不能这样做",
        f"{refused.reason}{': ' + str(refused.values['why']) if 'why' in refused.values else ''}; nothing was changed",
    )  # fmt: skip


def aware(at: datetime | None) -> datetime | None:
    """A time in UTC; 422 where it has no offset or there is no such time."""
    if at is None:
        return None
    if at.tzinfo is None:
        raise Problem(422, "wrong_parameter", "A parameter is wrong / 参数有误", "a time needs an offset")
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise Problem(422, "wrong_parameter", "A parameter is wrong / 参数有误", "there is no such time") from None
