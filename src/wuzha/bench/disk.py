"""``wuzha bench disk``: what an event takes of the disk, measured in a real server, and how many days of a rate fit.

Kept true here: sizes are those of the database's own tables and of the files, after everything is sealed and folded;
what is written and given back again (the database's write-ahead log) is told apart from what stays.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from wuzha.events import clock
from wuzha.live import history, keeping
from wuzha.live.settings import Settings
from wuzha.store import Database
from wuzha.store import log as store_log

from .live import offer
from .machine import machine
from .offering import bodies
from .retrying import caught_up
from .serving import served

_DAY_S = 86_400
_GB = 1e9
_PATIENCE_S = 900.0


def run(*, rows: int, rate: float, days: int, duplicates_days: int, seed: int) -> dict[str, Any]:
    """Send ``rows`` raw events of a city to a holder, seal and fold them, and reckon for ``rate`` events a second.

    Returns ``{events, bytes_per_event: {log, fingerprint, run, history, wal}, a_day: {events, log_gb, ...}, kept_gb,
    disk_gb, fits, days_that_fit, ...}``. ``kept_gb``: `WUZHA_LOG_KEEP_S` of log, ``days`` of history and
    ``duplicates_days`` of runs; ``days_that_fit``: days of history that this disk holds beside the other two.
    """
    with tempfile.TemporaryDirectory(prefix="wuzha-offered-") as folder, served("holder") as (db, home, url):
        offered = bodies(Path(folder) / "bodies", rows, 1_000, seed)
        before = _wal(db)
        offer(db, url, offered)
        caught_up(db, _PATIENCE_S)
        wal = _wal(db) - before
        told = Settings(home=home, role="holder", seal_s=0.001)
        _sealed(db, told)
        sizes = _sizes(db, told) | {"wal": wal}
        keep_days = told.log_keep_s / _DAY_S
    events = sizes.pop("events")
    each = {name: size / events for name, size in sizes.items()}
    day = rate * _DAY_S
    standing = {"log": keep_days, "fingerprint": keep_days, "history": days, "run": duplicates_days}
    kept = {name: each[name] * day * long / _GB for name, long in standing.items()}
    disk = shutil.disk_usage(Settings().home if Settings().home.exists() else Path.home()).total / _GB
    others = sum(size for name, size in kept.items() if name != "history")
    return {
        "events": events,
        "bytes_per_event": {name: round(size, 1) for name, size in each.items()},
        "rate": rate,
        "a_day": {"events": round(day)} | {f"{name}_gb": round(size * day / _GB, 1) for name, size in each.items()},
        "kept_days": {name: round(long, 1) for name, long in standing.items()},
        "kept_gb": round(sum(kept.values())),
        "disk_gb": round(disk),
        "fits": sum(kept.values()) < disk,
        "days_that_fit": max(0, int((disk - others) / (each["history"] * day / _GB))),
        "machine": machine(),
    }


def _wal(db: Database) -> int:
    with db.connect("super") as conn:
        row = conn.execute("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint").fetchone()
        return int(str(row[0])) if row else 0


def _sealed(db: Database, told: Settings) -> None:
    """Everything stands in history, and all fingerprints in runs."""
    end = time.monotonic() + _PATIENCE_S
    with db.connect("engine") as conn:
        while history.sealed(told.history).position < store_log.head(conn):
            keeping.keep(conn, told, clock.now(), expire=False, delete=False)
            if time.monotonic() > end:
                raise RuntimeError("the log was not sealed in time")
            time.sleep(0.2)
        store_log.fold(conn, rows=1)


def _sizes(db: Database, told: Settings) -> dict[str, int]:
    with db.connect("super") as conn:
        row = conn.execute(
            "SELECT (SELECT sum(n) FROM wuzha.log)::bigint, pg_total_relation_size('wuzha.log'),"
            " (SELECT sum(octet_length(fingerprints)) FROM wuzha.log)::bigint, pg_total_relation_size('wuzha.log_runs')"
        ).fetchone()
    assert row is not None
    events, log, fingerprints, runs = (int(str(v)) for v in row)
    files = sum(path.stat().st_size for path in history.files(told.history))
    return {"events": events, "log": log - fingerprints, "fingerprint": fingerprints, "run": runs, "history": files}
