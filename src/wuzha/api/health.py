"""Is it alive, is it ready, how is it doing. None of it tells anything about a person."""

from __future__ import annotations

import hmac
from datetime import datetime
from typing import Literal

import psycopg
from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, Gauge, generate_latest
from prometheus_client.registry import CollectorRegistry
from pydantic import BaseModel, Field

from wuzha import __version__
from wuzha.live import aside
from wuzha.live.watching import resident, standing

from .doors import Doors, doors
from .problems import Problem, documented

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"
    version: str = Field(default=__version__, examples=["0.1.0"])
    role: str = Field(examples=["centre"])
    set_aside: int = Field(
        0, description="Batches that the engine could not take in; wuzha.rejects says which (reason set_aside)"
    )


class Ready(BaseModel):
    """The database answers and a worker holds the lease."""

    status: Literal["ready"] = "ready"
    position: int = Field(description="Newest place of the log", examples=[4711])
    behind: int = Field(description="Batches that the worker has not taken in yet", examples=[0])


@router.get("/v1/health", response_model=Health, summary="Alive")
def health(request: Request) -> Health:
    """Answers as long as the process does."""
    told = doors(request).settings
    return Health(role=told.role, set_aside=aside.count(told.home))


@router.get("/v1/ready", response_model=Ready, summary="Ready", responses=documented(503))
def ready(request: Request) -> Ready:
    """503 until the database answers and a worker holds its lease."""
    try:
        head, reached, leased = _state(doors(request))
    except psycopg.Error as error:
        raise Problem(
            503, "no_database", "The database does not answer / 数据库无响应", type(error).__name__
        ) from error
    if not leased:
        raise Problem(503, "no_worker", "No worker holds the lease yet / 分析进程尚未就绪", None, {"Retry-After": "1"})
    return Ready(position=head, behind=max(head - reached, 0))


def _state(d: Doors) -> tuple[int, int, bool]:
    with d.pool.connection(timeout=5) as conn:
        row = conn.execute(
            "SELECT greatest(h.position, p.reached), p.reached, p.leased FROM wuzha.log_head h,"
            " (SELECT coalesce(min(position), 0) AS reached,"
            " coalesce(bool_or(leased_until > clock_timestamp()), false) AS leased FROM wuzha.partitions) AS p"
        ).fetchone()
    assert row is not None
    return row[0], row[1], row[2]


@router.get("/metrics", include_in_schema=False)
def metrics(request: Request) -> Response:
    """Prometheus figures: for this machine, and for whoever has the word of ``WUZHA_METRICS_KEY_FILE``."""
    d = doors(request)
    if not _may_measure(request, d):
        raise Problem(404, "http_404", "Not Found")
    now = CollectorRegistry()

    def gauge(name: str, words: str, value: float, **labels: str) -> None:
        made = gauges.get(name) or gauges.setdefault(name, Gauge(name, words, list(labels), registry=now))
        (made.labels(**labels) if labels else made).set(value)

    gauges: dict[str, Gauge] = {}
    gauge("wuzha_queue_rows", "Rows that wait for the log", d.appender.waiting_rows)
    gauge("wuzha_held_body_bytes", "Bytes of bodies held", d.bodies)
    gauge("wuzha_free_bytes", "Free space of the data folder's disk", d.free_space())
    gauge("wuzha_set_aside", "Batches that the engine could not take in", aside.count(d.settings.home))
    gauge("wuzha_groups", "Group commits since start", d.appender.groups)
    gauge("wuzha_memory_bytes", "Memory of a process", resident(), process=d.process)
    try:
        with d.pool.connection(timeout=5) as conn:
            told = standing(conn)
        gauge("wuzha_database_up", "0 while the database does not answer", 1)
        gauge("wuzha_log_position", "Newest place of the log", told.head)
        gauge("wuzha_worker_position", "Place that results reach", told.position)
        gauge("wuzha_worker_leased", "1 while a worker holds the lease", int(told.leased))
        gauge("wuzha_lag_seconds", "How long the oldest batch has waited for its results", told.lag_s)
        for process, figures in told.told.items():
            gauge("wuzha_told_age_seconds", "Since a process last told of itself", told.age_s[process], process=process)
            for name, words in _TOLD.items():
                if name in figures:
                    gauge(f"wuzha_{name}", words, float(figures[name]), process=process)
            if snapshot := figures.get("snapshot"):
                at = datetime.fromisoformat(snapshot["at"]).timestamp()
                gauge("wuzha_snapshot_timestamp_seconds", "When the newest snapshot was written", at, process=process)
                gauge("wuzha_snapshot_bytes", "Its size", snapshot["size"], process=process)
                gauge("wuzha_snapshot_seconds", "How long it took", snapshot["seconds"], process=process)
            for rule in figures.get("rules", ()):
                gauge("wuzha_rule_given", "Evidence by rule since the worker's start", rule["given"], rule=rule["rule"])
    except psycopg.Error:
        gauge("wuzha_database_up", "0 while the database does not answer", 0)
    return Response(generate_latest(d.figures.registry) + generate_latest(now), media_type=CONTENT_TYPE_LATEST)


#: What processes tell of themselves, as it is called here.
_TOLD = {
    "events": "Events judged since the process started",
    "events_per_s": "Events judged a second, lately",
    "subjects": "Subjects in the engine's state",
    "unsaved": "Events that no snapshot has yet",
    "memory_bytes": "Memory of a process",
    "unsealed_s": "How long the oldest row has waited for history",
}


def _may_measure(request: Request, d: Doors) -> bool:
    if request.client is not None and request.client.host in ("127.0.0.1", "::1"):
        return True
    path = d.settings.metrics_key_file
    sent = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
    if path is None or not sent:
        return False
    try:
        word = path.read_text("utf-8").strip()
    except OSError:
        return False
    return bool(word) and hmac.compare_digest(sent.encode(), word.encode())
