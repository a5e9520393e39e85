"""The HTTP API, ``/v1``: events in, alerts out, health. The pages are a face of their own beside it."""

from __future__ import annotations

from fastapi import FastAPI

from . import alerts, calls, decisions, events, feedback, health, orders, problems, refunds, reports


def face(app: FastAPI) -> None:
    """Give ``app`` the API's addresses and its way of answering errors."""
    problems.install(app)
    for part in (
        events.router, alerts.router, calls.router, feedback.router, reports.router, orders.router, refunds.router,
        health.router,
    ):  # fmt: skip
        app.include_router(part)
    decisions.install(app)
