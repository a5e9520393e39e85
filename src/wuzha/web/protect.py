"""What the alert's page needs of measures, kin and follow-ups, read in the page's own transaction."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg

from wuzha.respond import followups, lookback_list, measure_law, measure_list, releases, safety
from wuzha.respond.file import File


def values(conn: psycopg.Connection[Any], found: File, *, now: datetime) -> dict[str, Any]:
    """Template values: measures with their states, what may be measured, the law, follow-ups, losses after warnings."""
    law = measure_law.law(now)
    return {
        "measures": measure_list.of_person(conn, found.alert, now=now),
        "targets": measure_list.targets(conn, found.alert, now),
        "law": law,
        "ways": releases.WAYS,
        "asked_by": releases.ASKED_BY,
        "safety": safety.shipped(),
        "followups": followups.of_alert(conn, found.alert["alert_id"]),
        "losses": lookback_list.of_alert(conn, found.alert["alert_id"]),
    }
