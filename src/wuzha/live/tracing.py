"""Traces from a batch's arrival to the alerts that it raised (OpenTelemetry). Off unless a collector is named.

Kept true here: a trace tells tables, sources, counts and places in the log, and nothing of a row, a key or a person; a
collector that is away or slow holds nothing up. The trace that a batch belongs to stands in the batch itself (metadata
``wuzha.trace``, W3C ``traceparent``), so that it goes on in whichever process reads the log.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import structlog
from opentelemetry.context import Context
from opentelemetry.trace import Link, NoOpTracer, Span, Tracer, get_current_span, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

log = structlog.get_logger(__name__)

METADATA = b"wuzha.trace"
#: Standard names; either of them switches traces on.
ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_W3C = TraceContextTextMapPropagator()
_OFF = NoOpTracer()
# Ours alone, not the process's: libraries that look for a global one would tell addresses with what was searched for.
_tracer: Tracer = _OFF


def start(process: str) -> Callable[[], None]:
    """Switch traces on for this process where a collector is named; call what it returns at the end."""
    if not any(os.environ.get(name) for name in ENDPOINTS):
        return lambda: None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        log.warning("traces are asked for, but not installed", install="pip install 'wuzha[traces]'")
        return lambda: None
    return use(process, BatchSpanProcessor(OTLPSpanExporter()))


def use(process: str, processor: Any) -> Callable[[], None]:
    """Give spans to an SDK's span processor from now on."""
    global _tracer
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider

    provider = TracerProvider(resource=Resource.create({"service.name": f"wuzha-{process}"}), shutdown_on_exit=False)
    provider.add_span_processor(processor)
    _tracer = provider.get_tracer("wuzha")

    def stop() -> None:
        global _tracer
        _tracer = _OFF
        provider.shutdown()

    return stop


def on() -> bool:
    """Whether anybody listens."""
    return _tracer is not _OFF


@contextmanager
def span(
    name: str, parent: Context | Span | None = None, links: Iterable[Context | None] = (), **told: str | int
) -> Iterator[Span | None]:
    """A span around the block; None where traces are off. Of an error its type is told: its words may quote rows."""
    if _tracer is _OFF:
        yield None
        return
    within = set_span_in_context(parent) if isinstance(parent, Span) else parent
    seen = [Link(get_current_span(one).get_span_context()) for one in links if one is not None]
    with _tracer.start_as_current_span(
        name, within or Context(), attributes=told, links=seen, record_exception=False, set_status_on_exception=False
    ) as begun:
        try:
            yield begun
        except BaseException as error:
            begun.set_attribute("error.type", type(error).__name__)
            raise


def incoming(headers: Mapping[str, str]) -> Context | None:
    """The sender's trace, where its request names one."""
    return _W3C.extract(dict(headers), Context()) if on() and "traceparent" in headers else None


def stamp(rows: pa.Table, of: Span | None) -> pa.Table:
    """``rows`` with the trace that they belong to in their schema's metadata."""
    if of is None:
        return rows
    carrier: dict[str, str] = {}
    _W3C.inject(carrier, set_span_in_context(of))
    return rows.replace_schema_metadata({**(rows.schema.metadata or {}), METADATA: carrier["traceparent"].encode()})


def of(rows: pa.Table) -> Context | None:
    """The trace that a batch of the log belongs to."""
    said = (rows.schema.metadata or {}).get(METADATA) if on() else None
    return _W3C.extract({"traceparent": said.decode("ascii", "replace")}, Context()) if said else None
