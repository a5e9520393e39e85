"""``wuzha paper refund``: who gets what of a frozen balance, out of files, without a server."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import typer

from .output import FAILED, JSON_OPTION, WITH_REJECTS, WRONG_USE, CommandError, emit, finish, say


def refund(
    transfers: Path = typer.Argument(..., help="A Parquet file of the transfers table, or a folder that holds it."),
    account: str = typer.Option(..., "--account", help="The frozen account:…"),
    balance: str = typer.Option(..., "--balance", help="What is frozen, in yuan."),
    victims: Path = typer.Option(..., "--victims", help="CSV with the columns from, into, at, amount_yuan."),
    until: str = typer.Option("now", "--until", help="When it was frozen, ISO 8601; now: the newest transfer."),
    rule: str = typer.Option("fifo", "--rule", help="Which money a payment took: fifo or lifo. It is printed."),
    case: str = typer.Option("", "--case", help="The case number, printed on top."),
    out: Path | None = typer.Option(None, "--out", help="The Word file to write: NAME.docx."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Who gets what of a frozen balance by article 8: one payment, time stamps, or pro rata to the fen; and why."""
    from wuzha.cases.refund import plan_paper, words
    from wuzha.events.money import parse_yuan, yuan
    from wuzha.trace import Index, Tracer, read
    from wuzha.trace.clocks import aligned
    from wuzha.trace.refund import RULES, Loss, plan

    from .trace import account_of, moment_of, thefts_of_file

    if out is not None and (out.suffix != ".docx" or out.is_dir()):
        _wrong(f"--out {out}: name a file that ends in .docx")
    try:
        if rule not in RULES:
            raise ValueError(f"rule {rule!r}; use one of {', '.join(RULES)}")
        frozen, fen = account_of(account), parse_yuan(balance)
        thefts = thefts_of_file(victims)
        end = None if until == "now" else moment_of(until)
    except ValueError as error:
        _wrong(str(error))
        raise
    say(f"Reading {transfers} …")
    try:
        rows, rejects = read(transfers)
    except (ValueError, FileNotFoundError) as error:
        say(f"wuzha paper: {error}")
        finish(FAILED)
        raise
    rows, retimed = aligned(rows)
    index = Index.of(rows)
    newest = max((int(t[-1]) for t in index.view().ts if t.shape[0]), default=0)
    try:
        made = plan(
            Tracer(index), frozen, fen,
            [Loss(theft=retimed.theft(t), outstanding_fen=t.amount_fen, victim=t.account) for t in thefts],
            until=newest if end is None else end, rule=rule,
        )  # fmt: skip
    except ValueError as error:
        _wrong(str(error))
        raise
    told = plan_paper.victims(made, thefts)
    if out is not None:
        _write(out, plan_paper.docx(made, thefts, case=case, frozen_at=until if until != "now" else "流水截止时"))
    emit_ = {
        **plan_paper.as_row(made), "account": frozen, "returned_fen": made.returned_fen, "victims": told,
        "free": words.free(), "rejected": len(rejects),
    }  # fmt: skip
    if as_json:
        emit(emit_, as_json=True)
    else:
        typer.echo(f"{words.way(made.way)}，{words.rule(made.rule)}")
        for v in told:
            typer.echo(f"{yuan(v['share_fen']):>18} / {yuan(v['lost_fen']):>18}  {v['account']}")
        typer.echo(f"{yuan(made.stays_fen):>18} 继续冻结。{words.free()}")
    if rejects:
        finish(WITH_REJECTS)


def _write(out: Path, made: bytes) -> None:
    part = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(made)
        part.replace(out)
    except OSError as error:
        raise CommandError(f"{out}: {error.strerror}") from error
    finally:
        with suppress(OSError):
            part.unlink()


def _wrong(words: str) -> None:
    say(f"wuzha paper: {words}")
    finish(WRONG_USE)
