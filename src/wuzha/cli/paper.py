"""``wuzha paper``: papers out of files, without a server."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from . import paper_refund
from .output import JSON_OPTION, WITH_REJECTS, WRONG_USE, CommandError, emit, finish, progress, say

if TYPE_CHECKING:
    from wuzha.trace import Theft

paper = typer.Typer(name="paper", no_args_is_help=True, help="Papers out of files, without a server.")


@paper.callback()
def _root() -> None:
    """Papers out of files, without a server."""


@paper.command("money")
def money(
    folder: Path = typer.Argument(..., metavar="DIR", help="A folder (or file) of banks' statements, as they came."),
    out: Path = typer.Option(..., "--out", help="The Word file to write: NAME.docx."),
    thresholds: Path | None = typer.Option(None, "--thresholds", help="A TOML file of thresholds of your own."),
    case: str = typer.Option("", "--case", help="The case number or purpose, printed on top."),
    account: list[str] = typer.Option([], "--from", help="account:… whose money is followed in the report; repeats."),
    at: list[str] = typer.Option([], "--at", help="From when, ISO 8601; one for each account."),
    amount: list[str] = typer.Option([], "--amount", help="How much, in yuan; one for each account."),
    mapping_dir: Path = typer.Option(
        Path("~/.config/wuzha/mappings"), "--mapping-dir", help="Folder of your mappings, as import keeps them."
    ),
    as_json: bool = JSON_OPTION,
) -> None:
    """A report on money in Word, out of any banks' files: cards, fast in and out, shared addresses, flows.

    Every statement names the file and rows that it rests on; what was not read is in it.
    """
    from wuzha.cases.workbench_reading import books_of
    from wuzha.events import clock
    from wuzha.events.datafile import DataFileError
    from wuzha.ingest import ImportFailed, MappingError, WrongUse
    from wuzha.trace.workbench import load, report, shipped

    if out.suffix != ".docx" or out.is_dir():
        _wrong(f"--out {out}: name a file that ends in .docx")
    try:
        limits = load(thresholds) if thresholds is not None else shipped()
    except DataFileError as error:
        _wrong(str(error))
    thefts = _thefts(account, at, amount)
    try:
        with tempfile.TemporaryDirectory(prefix="wuzha-paper-") as work, progress("读入") as advance:
            got = books_of([folder], Path(work) / "read", mapping_dir.expanduser(), lambda _, size: advance(size))
    except WrongUse as error:
        _wrong(str(error))
    except MappingError as error:
        _wrong(f"映射文件有误：{error}")
    except ImportFailed as error:
        raise CommandError(str(error)) from error
    try:
        traces = [got.books.followed(theft) for theft in thefts]
    except ValueError as error:
        _wrong(str(error))
    made = report(got.books, limits, read=got.read, why=case, made=clock.now().astimezone(clock.zone()), traces=traces)
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
    told = {
        "out": str(out), "files": [vars(r) for r in got.read], "accounts": got.books.accounts.height,
        "transfers": got.books.transfers.height, "left_out": got.books.left_out, "rejected": got.rejects.height,
    }  # fmt: skip
    emit(told, as_json=as_json)
    if got.rejects.height:
        say(f"{got.rejects.height} 行未读入，报告里写明了每份文件各多少")
        finish(WITH_REJECTS)


def _thefts(account: list[str], at: list[str], amount: list[str]) -> list[Theft]:
    from .trace import theft_of

    if not len(account) == len(at) == len(amount):
        _wrong(f"{len(account)} accounts, {len(at)} times, {len(amount)} amounts: give one of each")
    try:
        return [theft_of(a, False, t, n) for a, t, n in zip(account, at, amount, strict=True)]
    except ValueError as error:
        _wrong(str(error))
        raise


def _wrong(words: str) -> None:
    say(f"wuzha paper: {words}")
    finish(WRONG_USE)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    paper.command("refund")(paper_refund.refund)
    app.add_typer(paper)
