"""``wuzha audit``: is the chain whole, and who did what."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import typer

from .deployment import DATA_OPTION, database, settings_of
from .output import FAILED, JSON_OPTION, emit, finish, say

#: What a broken chain means, by the stable code of `store.audit.verify`.
WORDS = {
    "row_altered": "this row was altered, or one before it in its seal was taken out or put in",
    "row_missing": "rows of this seal were taken out, put in or moved; this is the last one that is left of it",
    "seal_missing": "the seal over this row was removed",
    "seal_altered": "the seal that ends with this row was altered",
    "head_differs": "the chain was written anew after its head had been put into the heads file",
    "seals_lost": "the heads file knows more seals than the database: rows were removed, or an older copy was put back",
    "heads_missing": "the heads file is gone or lacks this seal; put it back from where it is copied to",
    "heads_contradict": "the heads file tells this seal in two ways: two databases, or somebody wrote into it",
}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="The audit: who did what when, and whether its chain is whole.")
    app.add_typer(group, name="audit")

    @group.command()
    def verify(
        data: Path | None = DATA_OPTION,
        heads: Path | None = typer.Option(None, help="The heads file to compare with. Default: the deployment's own."),
        as_json: bool = JSON_OPTION,
    ) -> None:
        """Recompute the whole chain and compare it with the heads file. Exit 1 where it is broken."""
        from wuzha.store import audit

        settings = settings_of(data)
        file = heads or settings.heads_file
        with database(settings) as db, db.connect("engine") as conn:
            verdict = audit.verify(conn, file)
        result = {
            "whole": verdict.whole, "rows": verdict.rows, "seals": verdict.seals, "waiting": verdict.waiting,
            "head": verdict.head, "heads_file": str(file), "why": verdict.why, "seal": verdict.seal,
            "audit_id": verdict.audit_id,
        }  # fmt: skip
        emit(result, as_json=as_json)
        if not verdict.whole:
            place = f"audit row {verdict.audit_id}" if verdict.audit_id is not None else f"seal {verdict.seal}"
            say(f"The chain is broken at {place}: {WORDS[str(verdict.why)]}.")
            finish(FAILED)

    @group.command("list")
    def list_(
        data: Path | None = DATA_OPTION,
        limit: int = typer.Option(50, min=1, max=100_000, help="Rows at the most, the newest first."),
        since: datetime | None = typer.Option(None, help="From this time on, by the deployment's zone."),
        actor: str | None = typer.Option(None, help="Login, source or process."),
        action: str | None = typer.Option(None, help="An action, or the first part of its name (alert, login)."),
        object_: str | None = typer.Option(None, "--object", help="What it was done to: alert:12, user:3."),
        as_json: bool = JSON_OPTION,
    ) -> None:
        """Audit rows, the newest first."""
        from wuzha.events import clock
        from wuzha.store import audit

        if since is not None and since.tzinfo is None:
            since = since.replace(tzinfo=clock.zone())
        with database(settings_of(data)) as db, db.connect("engine") as conn:
            rows = audit.rows(conn, limit=limit, since=since, actor=actor, action=action, object=object_)
        if as_json:
            emit({"rows": [{**r, "at": r["at"].isoformat()} for r in rows]}, as_json=True)
            return
        for r in rows:
            at = r["at"].astimezone(clock.zone()).strftime("%Y-%m-%d %H:%M:%S")
            detail = " ".join(f"{k}={v}" for k, v in r["detail"].items())
            typer.echo(
                f"{r['audit_id']:>8}  {at}  {r['actor']:<16} {r['action']:<24} {r['object'] or '—':<16} {detail}"
            )
