"""``wuzha trace``: where stolen money lies now, by a file or folder of transfers."""

from __future__ import annotations

import csv
import io
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import typer
from typer.core import TyperCommand

from .output import FAILED, JSON_OPTION, WITH_REJECTS, WRONG_USE, CommandError, emit, finish, say

if TYPE_CHECKING:
    from wuzha.trace import Policy, Theft

_ORDER = "wuzha.trace.order"


class _InOrder(TyperCommand):
    """Keeps in which order ``--from`` and ``--into`` were given: they share their ``--at`` and ``--amount``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As the base class."""
        ctx.meta[_ORDER] = [a.partition("=")[0] for a in args if a.partition("=")[0] in ("--from", "--into")]
        return super().parse_args(ctx, args)


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(cls=_InOrder)
    def trace(
        ctx: typer.Context,
        transfers: Path = typer.Argument(..., help="A Parquet file of the transfers table, or a folder that holds it."),
        from_: list[str] = typer.Option([], "--from", help="account:… that the stolen money left; may be repeated."),
        into: list[str] = typer.Option(
            [], "--into", help="account:… that received it, where that transfer is not in the data; may be repeated."
        ),
        at: list[str] = typer.Option([], "--at", help="When, ISO 8601; one for each account."),
        amount: list[str] = typer.Option([], "--amount", help="How much, in yuan; one for each account."),
        victims: Path | None = typer.Option(
            None, "--victims", help="CSV with the columns from, into, at, amount_yuan: one theft a row."
        ),
        to: str | None = typer.Option(None, "--to", help="Only what lies on a path to this account:…"),
        policy: str = typer.Option("fifo", "--policy", help="fifo, lifo, haircut or poison."),
        until: str = typer.Option("now", "--until", help="The last moment that counts; now: the newest transfer."),
        hours: float | None = typer.Option(None, "--hours", help="Hours from the earliest theft; beyond, money lies."),
        levels: int | None = typer.Option(None, "--levels", min=1, help="Levels to follow; beyond, money lies."),
        hubs: bool = typer.Option(False, "--follow-hubs", help="Go on through accounts with a great many others."),
        hub_neighbours: int = typer.Option(10_000, "--hub-neighbours", min=2, help="How many others make a hub."),
        out: Path | None = typer.Option(None, "--out", help="Write it here: NAME.json, .parquet, .xlsx or .html."),
        as_json: bool = JSON_OPTION,
    ) -> None:
        """Follow stolen money from account to account: who holds how much of it now, and how it left."""
        from wuzha.trace import POLICIES, Index, Tracer, read
        from wuzha.trace.clocks import aligned
        from wuzha.trace.report import FORMATS, beside, write

        if policy not in POLICIES:
            _wrong(f"policy {policy!r}; use one of {', '.join(POLICIES)}")
        if out is not None and out.suffix not in FORMATS:
            _wrong(f"--out {out}: name a file that ends in {', '.join(FORMATS)}")
        if hours is not None and not 0 < hours < 10**6:
            _wrong(f"--hours {hours}: a number of hours above 0")
        for path in beside(out) if out is not None else ():
            if path.is_dir() or path.resolve() == transfers.resolve():
                raise CommandError(f"{path} is a folder, or the file that is read")
        try:
            thefts = thefts_of_file(victims) if victims is not None else []
            thefts += _of_options(ctx.meta[_ORDER], from_, into, at, amount)
            end = None if until == "now" else moment_of(until)
            if to is not None:
                account_of(to)
        except ValueError as error:
            _wrong(str(error))
        if not thefts:
            _wrong("say what was stolen: --from (or --into), --at and --amount, or --victims FILE.csv")
        say(f"Reading {transfers} …")
        try:
            rows, rejects = read(transfers)
        except (ValueError, FileNotFoundError) as error:
            say(f"wuzha trace: {error}")
            finish(FAILED)
        rows, retimed = aligned(rows)
        index = Index.of(rows)
        try:
            result = Tracer(index).follow(
                [retimed.theft(t) for t in thefts], policy=cast("Policy", policy), until=end, hours=hours,
                levels=levels, to=to, follow_hubs=hubs, hub_neighbours=hub_neighbours,
            )  # fmt: skip
        except ValueError as error:
            _wrong(str(error))
        result = retimed.told(result, thefts)
        for reject in rejects[:5]:
            say(f"row {reject.row}: {reject.message}")
        told: dict[str, Any] = {
            **result.as_json(), "transfers": len(index), "left_out": index.left_out, "rejected": len(rejects),
        }  # fmt: skip
        if out is not None:
            try:
                write(result, out)
            except OSError as error:
                raise CommandError(f"{out}: {error.strerror}") from error
            except ValueError as error:
                raise CommandError(f"{out}: {error}") from error
        if as_json:
            emit(told, as_json=True)
        else:
            _told(told)
        if rejects:
            finish(WITH_REJECTS)


def _wrong(words: str) -> None:
    say(f"wuzha trace: {words}")
    finish(WRONG_USE)


def _told(told: dict[str, Any]) -> None:
    """The result for people: totals, then who holds most, then the exits."""
    from wuzha.events.money import yuan

    for name, words in (("stolen_fen", "stolen"), ("held_fen", "held"), ("exited_fen", "exited"),
                        ("unknown_fen", "unknown")):  # fmt: skip
        typer.echo(f"{words:<8} {yuan(told['totals'][name]):>20} yuan")
    for a in sorted(told["accounts"], key=lambda a: -a["held_fen"])[:20]:
        if a["held_fen"]:
            typer.echo(f"held     {yuan(a['held_fen']):>20} yuan  level {a['level']}  {a['account']}")
    for e in told["exits"][:20]:
        typer.echo(f"left     {yuan(e['amount_fen']):>20} yuan  {e['kind']}  {e['account']}")
    for note in told["notes"]:
        say(note)


def account_of(text: str) -> str:
    """An account's key as people give it. ValueError where it is none."""
    from wuzha.events.subjects import split_key

    kind, _ = split_key(text)
    if kind != "account":
        raise ValueError(f"{text!r} is no account (account:…)")
    return text


def moment_of(text: str) -> int:
    """A moment that people give, as the tracer counts it (µs). ValueError says what is wrong."""
    from wuzha.events.clock import zone

    try:
        moment = datetime.fromisoformat(text.strip())
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=zone())
        if not 1990 <= moment.year < 2100:
            raise ValueError("the year is none of 1990–2099")
    except (ValueError, OverflowError) as error:
        raise ValueError(f"time {text!r}: {error}") from error
    return round(moment.timestamp() * 1_000_000)


def theft_of(account: str, into: bool, at: str, amount: str) -> Theft:
    """A theft as people tell it. ValueError says what is wrong."""
    from wuzha.events.money import parse_yuan
    from wuzha.trace import Theft

    fen = parse_yuan(amount)
    if fen <= 0:
        raise ValueError(f"{amount!r}: nothing can have been stolen")
    return Theft(account=account_of(account), into=into, at=moment_of(at), amount_fen=fen)


def _of_options(order: list[str], from_: list[str], into: list[str], at: list[str], amount: list[str]) -> list[Theft]:
    if not len(from_) + len(into) == len(at) == len(amount):
        raise ValueError(
            f"{len(from_) + len(into)} accounts, {len(at)} times, {len(amount)} amounts: give one of each a theft"
        )
    left, right = iter(from_), iter(into)
    named = [(next(left), False) if option == "--from" else (next(right), True) for option in order]
    return [theft_of(account, to, t, a) for (account, to), t, a in zip(named, at, amount, strict=True)]


def thefts_of_file(path: Path) -> list[Theft]:
    """Thefts of a CSV file; the error names the row."""
    from wuzha.ingest.encodings import to_utf8

    try:
        decoded = to_utf8(path.read_bytes())
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from error
    for line, _ in decoded.broken:
        raise ValueError(f"{path} line {line}: neither UTF-8 nor GBK")
    rows = csv.DictReader(io.StringIO(decoded.text.decode(), newline=""), skipinitialspace=True)
    missing = {"from", "at", "amount_yuan"} - set(rows.fieldnames or ())
    if missing:
        raise ValueError(f"{path} lacks the columns {', '.join(sorted(missing))} (from, into, at, amount_yuan)")
    out = []
    for number, row in enumerate(rows, 2):
        left, into = (row.get("from") or "").strip(), (row.get("into") or "").strip()
        if bool(left) == bool(into):
            raise ValueError(f"{path} row {number}: name one of from and into")
        try:
            out.append(theft_of(left or into, not left, row.get("at") or "", row.get("amount_yuan") or ""))
        except ValueError as error:
            raise ValueError(f"{path} row {number}: {error}") from error
    if not out:
        raise ValueError(f"{path} holds no theft")
    return out
