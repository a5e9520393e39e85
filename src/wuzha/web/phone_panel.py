"""What the telephone's panel of a file shows."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg

from wuzha.respond import dialling, texts
from wuzha.respond.codes import codes
from wuzha.respond.file import File
from wuzha.respond.ladder import ladder

from .context import Context


def of_file(conn: psycopg.Connection[Any], ctx: Context, found: File, *, now: datetime) -> dict[str, Any]:
    """What the file's telephone panel shows: ``mode, extension, call, live, results`` and ``keys`` of results."""
    call = dialling.shown(conn, ctx.actor, found.alert["alert_id"], now=now)
    keys = ladder().keys
    by_hand = [(r, keys[r]) for r in codes()["channel"]["call"].results if r in keys]
    return {
        "mode": dialling.mode(),
        "extension": dialling.extension(conn, ctx.actor),
        "call": call,
        "live": call is not None and call["state"] in dialling.LIVE,
        "results": dialling.results(call) if call is not None else by_hand,
        "records": recordings(conn, found),
        "texts": texts.of_alert(conn, found.alert["alert_id"]),
        "gateway": texts.open_to(),
        "text": texts.proposed(found.alert["scam_type"]),
        "text_most": texts.MOST,
    }


def recordings(conn: psycopg.Connection[Any], found: File) -> dict[int, str]:
    """Where the recording of each contact is kept: contact -> the exchange's or the platform's reference."""
    rows = conn.execute(
        "SELECT contact_id, recording FROM wuzha.phone_calls WHERE alert_id = %(alert)s AND contact_id IS NOT NULL"
        " AND recording IS NOT NULL UNION ALL SELECT x.contact_id, x.recording FROM wuzha.robot_rows r"
        " JOIN wuzha.robot_results x USING (row_id) WHERE r.alert_id = %(alert)s AND x.contact_id IS NOT NULL"
        " AND x.recording IS NOT NULL",
        {"alert": found.alert["alert_id"]},
    ).fetchall()
    return {int(row[0]): str(row[1]) for row in rows}


def whole(text: str) -> int | None:
    """A number of ours in a form; None where it is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 18 else None
