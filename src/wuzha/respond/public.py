"""What the other desks may ask of respond: warn a person, tell a citizen outside how far their matter has come.

Kept true here: a warning from another desk enters by the log like every other, with its number, so that the engine
joins it with what is known of the person; the same number a second time changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pyarrow as pa

from wuzha.command.public import Actor, require
from wuzha.events import TABLES, batch
from wuzha.store import log

from .progress import code_hash, make_code, public_zones
from .progress import tell as tell_progress

__all__ = ["Warning", "code_hash", "make_code", "public_zones", "tell_progress", "warn"]

#: How long a warning of a case may be held here.
KEPT = timedelta(days=180)
#: What stands in the rows' column ``source``: our own desks are one sender.
SOURCE = "desk"


@dataclass(frozen=True, kw_only=True)
class Warning:
    """A person at risk, known by an account; ``number`` is the warning's own, ``reasons`` sentences for the officer."""

    number: str
    account: str
    suspect_account: str
    name: str | None
    scam_type: str | None
    amount_fen: int
    reasons: tuple[str, ...]


def warn(conn: psycopg.Connection[Any], actor: Actor, warning: Warning, *, ref: str, now: datetime) -> bool:
    """Put the warning into the log, on the basis of the case ``ref``; False where this number stood there."""
    require(actor, "cases.write")
    table = TABLES["warnings"]
    row = {
        "source": SOURCE, "event_id": warning.number, "ts": now, "source_no": warning.number,
        "issued_by": actor.unit_name,
        "level_upstream": "high", "scam_type": warning.scam_type, "stage": "pay", "reasons": list(warning.reasons),
        "victim_account": warning.account, "victim_name": warning.name, "suspect_account": warning.suspect_account,
        "amount_fen": warning.amount_fen,
    }  # fmt: skip
    rows = batch.conform(table, pa.Table.from_pylist([row], schema=pa.schema(
        [table.schema.field(name).with_nullable(True) for name in row])))  # fmt: skip
    taken = log.append(
        conn, [log.Batch(table="warnings", rows=rows, source=SOURCE, basis="case_query", basis_ref=ref,
                        basis_until=now + KEPT, received_at=now)],
    )  # fmt: skip
    return taken[0].accepted == 1
