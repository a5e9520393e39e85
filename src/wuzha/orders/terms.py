"""When a stop or a freeze ends by itself.

Kept true here: a term runs from its execution – of a freeze that waited its turn, from the moment that its turn came –
and never from its seal; months are those of the calendar in the deployment's zone.
"""

from __future__ import annotations

import calendar
from datetime import datetime, timedelta
from typing import Any

from wuzha.events import clock

from .law import law_of


def end_of(order: dict[str, Any], at: datetime) -> datetime:
    """When a stop or freeze that was executed at ``at`` ends by itself."""
    table = law_of(order["law_from"])
    if order["kind"] == "stop":
        return at + timedelta(hours=table.stop_hours)
    return months_after(at, order["months"])


def months_after(at: datetime, months: int) -> datetime:
    """The same day so many months later in the deployment's zone; the month's last where it has no such day."""
    local = at.astimezone(clock.zone())
    year, month = divmod(local.year * 12 + local.month - 1 + months, 12)
    day = min(local.day, calendar.monthrange(year, month + 1)[1])
    return local.replace(year=year, month=month + 1, day=day)
