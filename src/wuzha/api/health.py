"""Is it alive, is it ready, how is it doing. None of it tells anything about a person."""

from __future__ import annotations

from typing import Literal

import psycopg
from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, Gauge, generate_latest
from prometheus_client.registry import CollectorRegistry
from pydantic import BaseModel, Field

from wuzha import __version__
from wuzha.live import aside

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
            "SELECT h.position, coalesce(p.position, 0), coalesce(p.leased_until > clock_timestamp(), false)"
            " FROM wuzha.log_head h LEFT JOIN wuzha.partitions p ON p.partition = 0"
        ).fetchone()
    assert row is not None
    return row[0], row[1], row[2]


@router.get("/metrics", include_in_schema=False)
def metrics(request: Request) -> Response:
    """Prometheus figures, for this machine only."""
    if request.client is None or request.client.host not in ("127.0.0.1", "::1"):
        raise Problem(404, "http_404", "Not Found")
    d = doors(request)
    now = CollectorRegistry()
    figures = {
        "wuzha_queue_rows": ("Rows that wait for the log", d.appender.waiting_rows),
        "wuzha_free_bytes": ("Free space of the data folder's disk", d.free_space()),
        "wuzha_set_aside": ("Batches that the engine could not take in", aside.count(d.settings.home)),
        "wuzha_groups": ("Group commits since start", d.appender.groups),
    }
    try:
        head, reached, leased = _state(d)
        figures |= {
            "wuzha_log_position": ("Newest place of the log", head),
            "wuzha_worker_position": ("Place that results reach", reached),
            "wuzha_worker_leased": ("1 while a worker holds the lease", int(leased)),
        }
    except psycopg.Error:
        figures["wuzha_database_up"] = ("0 while the database does not answer", 0)
    for name, (words, value) in figures.items():
        Gauge(name, words, registry=now).set(value)
    return Response(generate_latest(d.figures.registry) + generate_latest(now), media_type=CONTENT_TYPE_LATEST)
