"""Rules: written with completion and errors at their place, tried on the past as one pauses, run in shadow, promoted by
a second person, retired, snoozed; every version and every change. What they do stands in `rule_shelf`."""

from __future__ import annotations

from fastapi import APIRouter, Depends
from fastapi.responses import Response

from .context import Context, posted, signed_in

router = APIRouter()


@router.get("/rules")
def page(ctx: Context = Depends(signed_in), rule: str = "", version: int | None = None, subject: str = "") -> Response:
    """All rules, and one of them to read and to write on; ``subject`` is whom a snooze would be for."""
    from . import rule_shelf

    return rule_shelf.show(ctx, rule, version, subject=subject)


@router.get("/rules/known")
def known(ctx: Context = Depends(signed_in)) -> Response:
    """What the editor completes."""
    from . import rule_shelf

    return rule_shelf.known(ctx)


@router.post("/rules/check")
def check(ctx: Context = Depends(posted)) -> Response:
    """Whether a text holds."""
    from . import rule_shelf

    return rule_shelf.check(ctx)


@router.post("/rules/backtest")
def ask(ctx: Context = Depends(posted)) -> Response:
    """Ask for a backtest."""
    from . import rule_shelf

    return rule_shelf.ask(ctx)


@router.get("/rules/backtest/{backtest_id}")
def result(backtest_id: int, ctx: Context = Depends(signed_in)) -> Response:
    """How far a backtest is, or what came of it."""
    from . import rule_shelf

    return rule_shelf.result(ctx, backtest_id)


@router.post("/rules")
def write(ctx: Context = Depends(posted)) -> Response:
    """Keep a text as the next version of its rule."""
    from . import rule_shelf

    return rule_shelf.write(ctx)


@router.post("/rules/{name}/act")
def act(name: str, ctx: Context = Depends(posted)) -> Response:
    """Promote, shadow, retire or snooze."""
    from . import rule_shelf

    return rule_shelf.act(ctx, name)
