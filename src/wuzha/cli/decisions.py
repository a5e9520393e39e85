"""``wuzha decisions``: the policy by which pending transfers are decided, and what it would say of one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from .output import FAILED, JSON_OPTION, WITH_REJECTS, CommandError, emit, finish, say


def register(app: typer.Typer) -> None:
    """Add the commands."""
    decisions = typer.Typer(no_args_is_help=True, help="Decisions on transfers: the policy, and what it would say.")
    app.add_typer(decisions, name="decisions")
    decisions.command("policy")(policy)
    decisions.command("ask")(ask)


def policy(
    file: Path | None = typer.Argument(None, help="A policy file; default: the shipped one."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Check a policy and list its steps, the strictest first; a mistake is shown at its line and column."""
    found = _policy(file)
    rows = [
        {
            "id": s.id, "action": s.action, "hours": s.hours or None, "from_yuan": s.from_fen // 100,
            "basis": s.basis.id if s.basis else None, "remedy": s.remedy.id if s.remedy else None, "zh": s.zh,
            "en": s.en,
        }
        for s in found.steps
    ]  # fmt: skip
    if as_json:
        head = {"id": found.id, "since": found.since.isoformat(), "digest": found.digest}
        emit({**head, "deadline_ms": found.deadline_ms, "steps": rows}, as_json=True)
        return
    for row in rows:
        hours = f"{row['hours']} h" if row["hours"] else ""
        typer.echo(f"{row['action']:<6} {hours:<5} {row['id']:<18} {row['zh']}")


def ask(
    folder: Path = typer.Argument(..., help="A folder of event tables."),
    payer: str = typer.Option(..., "--payer", help="Paying account."),
    payee: str = typer.Option(..., "--payee", help="Receiving account."),
    yuan: str = typer.Option(..., "--yuan", help="Amount in yuan."),
    at: str | None = typer.Option(None, "--at", help="ISO time of the transfer; default: the folder's last event."),
    file: Path | None = typer.Option(None, "--policy", help="A policy file; default: the shipped one."),
    as_json: bool = JSON_OPTION,
) -> None:
    """What would be decided on a transfer after the folder's events, and why. It changes nothing."""
    from datetime import UTC, datetime

    from wuzha import text
    from wuzha.detect.files import read_folder, replayed
    from wuzha.events.money import parse_yuan
    from wuzha.live import decision
    from wuzha.live.decision_sides import ask_here

    rules = _policy(file)
    try:
        fen = parse_yuan(yuan)
        if fen < 1:
            raise ValueError(f"{yuan} yuan is no amount to transfer")
        block, refused = read_folder(folder, lambda n, rows: text.annotate(rows) if n == "messages" else rows)
        if at is None:
            ts = datetime.fromtimestamp(int(block.ts.max()) / 1_000_000, UTC)
        else:
            ts = datetime.fromisoformat(at)
            if ts.tzinfo is None:
                raise ValueError(f"--at {at}: say the offset, as in +08:00")
    except (ValueError, FileNotFoundError) as error:
        raise CommandError(str(error)) from error
    engine = replayed(block, round(ts.timestamp() * 1_000_000))
    question = decision.Question(payer=payer, payee=payee, amount_fen=fen, ts=ts.astimezone(UTC))
    heard = ask_here(engine, question.transfer("file"))
    answer, record = decision.decide(rules, question, heard, ts)
    import msgspec

    told: dict[str, Any] = msgspec.json.decode(record)
    if as_json:
        emit({**told, "sentences": {n: decision.explain(told, n) for n in ("zh", "en")}}, as_json=True)
    else:
        for sentence in decision.explain(told, "zh"):
            typer.echo(sentence)
        if answer["action"] != "allow":
            typer.echo(f"对客户说：{answer['customer']['zh']}")
            for question_ in answer["clerk"]["zh"]["ask"]:
                typer.echo(f"柜员问：{question_}")
    if refused:
        say(f"wuzha decisions: {refused} rows of {folder} were refused")
        finish(WITH_REJECTS)


def _policy(file: Path | None) -> Any:
    from wuzha.events.datafile import DataFileError
    from wuzha.live import decision_policy

    if file is None:
        return decision_policy.shipped()
    try:
        return decision_policy.read(file.read_text("utf-8"), str(file))
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{file}: {error}") from error
    except DataFileError as error:
        say(f"wuzha decisions: {error}")
        finish(FAILED)
