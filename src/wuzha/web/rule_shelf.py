"""What stands behind /rules: the book in force and what waits for it, checks, trials and acts. Loaded when first asked
for, since it brings the engine along (`rules` holds the addresses)."""

from __future__ import annotations

import difflib
import re
from datetime import datetime, time, timedelta
from functools import partial
from typing import Any

import psycopg
from fastapi.responses import HTMLResponse, JSONResponse, Response
from psycopg.rows import dict_row

from wuzha.command import features, rules
from wuzha.command.public import Refused, require
from wuzha.detect import codes, drafts
from wuzha.detect.rulebook import RuleBook
from wuzha.events import STAGES, clock
from wuzha.events.datafile import DataFileError
from wuzha.live import rulebooks

from . import catalogue, render
from .context import Context, attempt
from .rule_words import told

#: How far back a backtest may look, days.
BACK = (1, 7, 30)
_SLOT = re.compile(r"\{\w+(?::\w+)?\}")
_NEW = '[my_rule]\nsubject = "person"\nstage = "approach"\nwhen = """"""\nzh = ""\nen = ""\ncap = 20\n\n[weights]\n'


def _rows(book: RuleBook, stands: rulebooks.Standing, language: str) -> list[dict[str, Any]]:
    return [
        {
            "id": r.id, "version": r.version, "subject": r.subject, "cap": r.cap,
            "words": _SLOT.sub("…", r.zh if language == "zh" else r.en), "shadow": stands.shadowed.get(r.id),
            "state": stands.out.get(r.id) or ("promoted" if r.id in stands.promoted else "shipped"),
        }
        for r in book.rules.values()
    ]  # fmt: skip


def _waiting(conn: psycopg.Connection[Any]) -> list[dict[str, Any]]:
    """The newest version of each rule that has never been live."""
    return (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT * FROM (SELECT DISTINCT ON (rule) v.*, u.name AS writer, EXISTS ("
            "SELECT 1 FROM wuzha.rule_changes c WHERE c.rule = v.rule AND c.version = v.version"
            " AND c.kind = 'promoted') AS live FROM wuzha.rule_versions v"
            " JOIN wuzha.users u ON u.user_id = v.written_by ORDER BY rule, version DESC) AS newest"
            " WHERE NOT live ORDER BY written_at DESC"
        )
        .fetchall()
    )


def _shadows(conn: psycopg.Connection[Any], stands: rulebooks.Standing) -> list[dict[str, Any]]:
    """What the rules in shadow would have given, beside the alerts that there were."""
    cursor = conn.cursor(row_factory=dict_row)
    return [
        {"rule": rule, "version": version}
        | (
            cursor.execute(
                "SELECT count(*) AS n, count(DISTINCT s.subject_id) AS subjects, min(s.at) AS first,"
                " count(DISTINCT a.person_id) AS alerted,"
                " count(DISTINCT a.person_id) FILTER (WHERE a.outcome = 'false_alarm') AS wrong,"
                " count(DISTINCT a.person_id) FILTER (WHERE a.outcome IN ('dissuaded','half_believing','deceived'))"
                " AS right FROM wuzha.rule_shadows s LEFT JOIN wuzha.alerts a ON a.person_id = s.subject_id"
                " AND a.raised_at <= s.at + interval '1 day' AND a.last_evidence_at >= s.at - interval '1 day'"
                " WHERE s.rule = %s AND s.version = %s",
                (rule, version),
            ).fetchone()
            or {}
        )
        for rule, version in sorted(stands.shadowed.items())
    ]


def _diff(old: str, new: str) -> list[tuple[str, str]]:
    """(how, line) of what differs: ``add``, ``del`` or ``same``."""
    lines = list(difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=2))[2:]
    how = {"+": "add", "-": "del"}
    return [(how.get(line[:1], "same"), line) for line in lines if not line.startswith("@@")]


def _one(conn: psycopg.Connection[Any], name: str, version: int | None) -> dict[str, Any]:
    """One rule with all that there is of it. Refused("not_found")."""
    kept = rules.versions(conn, name)
    try:
        standing = rules.text_of(conn, name)
    except Refused:
        if not kept:
            raise
        standing = ""
    text = rules.text_of(conn, name, version) if version else standing or kept[0]["body"]
    older = {v["version"]: v["body"] for v in kept}
    for v in kept:
        below = [n for n in older if n < v["version"]]
        v["diff"] = _diff(older[max(below)] if below else (_shipped(conn, name) or ""), v["body"])
    return {
        "name": name, "text": text, "version": version, "versions": kept, "diff": _diff(standing, text),
        "history": rules.history(conn, name, limit=60),
    }  # fmt: skip


def _shipped(conn: psycopg.Connection[Any], name: str) -> str | None:
    """The text of a rule as it was shipped; None where it was not."""
    base = rulebooks.base_book(conn, rules.standing(conn).base_id)
    return drafts.text_of(base, name) if name in base.rules else None


def show(
    ctx: Context, name: str = "", version: int | None = None, *, subject: str = "", said: Refused | None = None,
    status: int = 200,
) -> Response:  # fmt: skip
    require(ctx.actor, "rules.read")
    with ctx.db() as conn:
        stands = rules.standing(conn)
        book, wrong = rulebooks.book_of(conn, stands)
        waiting = _waiting(conn)
        one = _one(conn, name, version) if name else None
        values = {
            "rows": _rows(book, stands, ctx.language), "waiting": waiting, "shadows": _shadows(conn, stands),
            "braked": _braked(conn, stands),
            "snoozes": _snoozes(conn), "wrong": wrong, "follower": _follower(conn),
            "features": features.progress(conn),
        }  # fmt: skip
    text = ctx.form.get("text") or (one["text"] if one else _NEW)
    return ctx.page(
        "rules.html", status=status, one=one, name=name, text=text, said=said, form=ctx.form, back=BACK,
        subject=ctx.form.get("subject", subject),
        may=ctx.actor.may, me=ctx.actor.user_id, stands=stands, told=partial(told, language=ctx.language), **values,
    )  # fmt: skip


def _braked(conn: psycopg.Connection[Any], stands: rulebooks.Standing) -> list[dict[str, Any]]:
    """Of each rule that the brake holds out, when it last did."""
    last = {c["rule"]: c for c in reversed(rules.history(conn, limit=2000)) if c["kind"] == "braked"}
    return [c for rule, c in last.items() if stands.out.get(rule) == "braked"]


def _follower(conn: psycopg.Connection[Any]) -> dict[str, Any] | None:
    return (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT f.at, f.began_at, (SELECT coalesce(max(position), 0) FROM wuzha.log) - f.position AS behind"
            " FROM wuzha.rule_follower f"
        )
        .fetchone()
    )


def _snoozes(conn: psycopg.Connection[Any]) -> list[dict[str, Any]]:
    """Snoozes that have not ended, the next to end first."""
    newest: dict[tuple[str, int], dict[str, Any]] = {}
    for c in reversed(rules.history(conn, limit=2000)):
        if c["kind"] in ("snoozed", "woken"):
            newest[c["rule"], c["subject_id"]] = c
    now = clock.now()
    standing = [c for c in newest.values() if c["kind"] == "snoozed" and c["until"] > now]
    return [
        {**c, "subject": f"{c['subject_kind']}:{c['subject_value']}"}
        for c in sorted(standing, key=lambda c: (c["until"], c["change_id"]))
    ]


def known(ctx: Context) -> Response:
    """What the editor completes: features and typologies by subject, stages, keys."""
    require(ctx.actor, "rules.read")
    with ctx.db() as conn:
        book = rulebooks.featured(conn, rules.standing(conn))[0]
    zh = ctx.language == "zh"
    return JSONResponse(
        {
            "features": {
                kind: [
                    [f.name, f.zh if zh else f.en, catalogue.translate(f"rules.unit.{f.unit}", ctx.language)]
                    for f in book.features.values()
                    if f.subject == kind
                ]
                for kind in codes.JUDGED
            },
            "typologies": {
                kind: [[t.id, t.zh if zh else t.en] for t in book.typologies.values() if t.subject == kind]
                for kind in codes.JUDGED
            },
            "subjects": list(codes.JUDGED),
            "stages": list(STAGES),
            "keys": ["subject", "stage", "when", "zh", "en", "cooldown", "opens", "cap"],
            "words": ["AND", "OR", "NOT", "IN", "BETWEEN", "IS NULL", "COALESCE"],
        }
    )


def check(ctx: Context) -> Response:
    """Whether a text holds; else what is wrong, at its line and column."""
    require(ctx.actor, "rules.write")
    with ctx.db() as conn:
        try:
            draft = rules.check(conn, ctx.form.get("text", ""))
        except DataFileError as error:
            what = told(error.what, ctx.language)
            place = {"line": error.line, "column": error.column}
            at = render.fragment("rules_wrong.html", language=ctx.language, now=clock.now(), what=what, **place)
            return JSONResponse({"ok": False, **place, "what": what, "html": str(at)})
        book = rules.book(conn)
    named = [
        (f, book.features[f].zh if ctx.language == "zh" else book.features[f].en)
        for f in draft.rule.program.features if f in book.features
    ]  # fmt: skip
    html = render.fragment("rules_right.html", language=ctx.language, now=clock.now(), features=named, rule=draft.rule)
    return JSONResponse({"ok": True, "html": str(html)})


def ask(ctx: Context) -> Response:
    """Ask for a backtest of a text; what one has asked for before is dropped."""
    require(ctx.actor, "rules.write")
    days = ctx.form.get("days", "")
    with ctx.db() as conn:
        try:
            rules.check(conn, ctx.form.get("text", ""))
        except DataFileError as error:
            return JSONResponse({"ok": False, "line": error.line, "column": error.column})
        conn.execute(
            "UPDATE wuzha.rule_backtests SET state = 'dropped' WHERE asked_by = %s AND state IN ('waiting', 'running')",
            (ctx.actor.user_id,),
        )
        row = conn.execute(
            "INSERT INTO wuzha.rule_backtests (body, days, asked_by, asked_at) VALUES (%s, %s, %s, %s)"
            " RETURNING backtest_id",
            (ctx.form.get("text", ""), int(days) if days in map(str, BACK) else BACK[1], ctx.actor.user_id,
             clock.now()),
        ).fetchone()  # fmt: skip
    assert row is not None
    return JSONResponse({"ok": True, "id": row[0]})


def result(ctx: Context, backtest_id: int) -> Response:
    """One's own backtest as a part of the page: how far it is, or what came of it."""
    require(ctx.actor, "rules.write")
    with ctx.db() as conn:
        cursor = conn.cursor(row_factory=dict_row)
        row = cursor.execute("SELECT * FROM wuzha.rule_backtests WHERE backtest_id = %s", (backtest_id,)).fetchone()
        if row is None:
            raise Refused("not_found")
        shown = (row["result"] or {}).get("on_whom", [])
        for one in shown:
            one["first_at"] = datetime.fromisoformat(one["first_at"])
        keys = {
            r["subject_id"]: (r["kind"], r["value"])
            for r in cursor.execute(
                "SELECT subject_id, kind, value FROM wuzha.subjects WHERE subject_id = ANY(%s)",
                ([s["subject"] for s in shown],),
            )
        }
    html = render.fragment(
        "rules_backtest.html", language=ctx.language, now=clock.now(), test=row, r=row["result"] or {}, keys=keys,
        told=partial(told, language=ctx.language),
    )  # fmt: skip
    return HTMLResponse(html, headers={"Cache-Control": "no-store"})


def write(ctx: Context) -> Response:
    """Keep a text as the next version of its rule."""
    name = ctx.form.get("rule", "")
    return attempt(
        ctx, lambda conn: rules.save(conn, ctx.actor, ctx.form.get("text", ""), why=ctx.form.get("why", "")),
        shown=partial(show, name=name), to=lambda kept: f"/rules?rule={kept[0]}&version={kept[1]}",
    )  # fmt: skip


def act(ctx: Context, name: str) -> Response:
    """Promote, shadow, retire or snooze."""
    f = ctx.form
    version = int(f["version"]) if f.get("version", "").isdecimal() and len(f["version"]) < 9 else 0
    why = f.get("why", "")

    def work(conn: psycopg.Connection[Any]) -> None:
        do = f.get("do")
        if do == "promote":
            rules.promote(conn, ctx.actor, name, version, why=why)
        elif do in ("shadow", "unshadow"):
            rules.shadow(conn, ctx.actor, name, version, on=do == "shadow")
        elif do == "retire":
            rules.retire(conn, ctx.actor, name, why=why)
        elif do == "snooze":
            rules.snooze(conn, ctx.actor, name, f.get("subject", ""), _end_of(f.get("until", "")), why=why)
        elif do == "wake":
            rules.snooze(conn, ctx.actor, name, f.get("subject", ""), None, why=why)
        else:
            raise Refused("not_found")

    return attempt(ctx, work, shown=partial(show, name=name), to=f"/rules?rule={name}")


def _end_of(day: str) -> datetime:
    """The end of a day as a form gives it. Refused("snooze_time")."""
    try:
        return datetime.combine(datetime.fromisoformat(day).date(), time(), clock.zone()) + timedelta(days=1)
    except (ValueError, OverflowError) as error:
        raise Refused("snooze_time", days=rules.LONGEST_SNOOZE.days) from error
